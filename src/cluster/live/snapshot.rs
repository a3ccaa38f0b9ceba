//! One look at a cluster, for a command that runs once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep, timeout_at};

use super::apply::Ledger;
use super::follow::{self, Change, Listed, What};
use super::request::{self, Failure, Presence, Reason};
use super::slice::{Slice, slices};
use super::templates;
use crate::cluster::templates::Keys;
use crate::cluster::wire::Interner;
use crate::cluster::{HookTemplateKey, HookTemplateState, Inventory, NotRead, Origin, Problem, Scope};

/// Bound on the whole look.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(120);
/// Pauses before a list is tried again.
const RETRIES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];
/// Objects with extension templates that are asked for at once.
const TEMPLATES_AT_ONCE: usize = 8;
/// A person waits: the server's word on when to come back is followed up to here.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The cluster could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The API server did not accept who we are.
    #[error(
        "the API server does not accept the credentials of this kubeconfig context (401); log in again, or choose another context with --context"
    )]
    Unauthenticated,
    /// The API server did not answer, or not as one.
    #[error(
        "cannot list {resource} of the cluster; check with `kubectl get {resource}` that the API server of this context answers"
    )]
    Failed {
        /// What was to be listed.
        resource: &'static str,
        /// What went wrong.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("the cluster could not be listed within {} s; name the namespaces that matter with -n", SNAPSHOT_TIMEOUT.as_secs())]
    TimedOut,
}

/// List everything of the scope once. What RBAC denies stands in `missing_permissions`.
pub async fn snapshot_cluster(client: &kube::Client, scope: &Scope) -> Result<Inventory, SnapshotError> {
    let slices = slices(scope);
    let interner = Interner::default();
    let end = Instant::now() + SNAPSHOT_TIMEOUT;
    let lists = join_all(slices.iter().map(|slice| list(client, slice, scope, &interner)));
    let lists = timeout_at(end, lists).await.map_err(|_| SnapshotError::TimedOut)?;
    let mut inventory = Inventory { origin: Origin::Cluster, ..Inventory::default() };
    let mut ledger = Ledger::new(&slices);
    let mut unlisted = Vec::new();
    for (index, listed) in lists.into_iter().enumerate() {
        let what = match listed {
            Ok(listed) => What::Listed(listed),
            Err(failure) if request::presence(client, &slices[index], &failure).await == Presence::Absent => {
                What::Absent
            }
            Err(failure) if failure.reason == Reason::Forbidden => What::Denied("list"),
            Err(failure) if failure.code == Some(401) => return Err(SnapshotError::Unauthenticated),
            // A broken conversion webhook of one kind must not hide the rest of the cluster.
            Err(failure) if slices[index].resource().is_optional() && failure.code.is_some() => {
                let resource = slices[index].resource().as_str();
                ledger.apply(&mut inventory, Change { slice: index, what: What::Unavailable });
                unlisted.push(Problem {
                    source: "cluster".to_owned(),
                    index: None,
                    kind: Some(slices[index].kind.name().to_owned()),
                    name: None,
                    message: format!("cannot list {resource}: {failure}"),
                    unparsable: false,
                });
                continue;
            }
            Err(failure) => {
                let resource = slices[index].resource().as_str();
                return Err(SnapshotError::Failed { resource, cause: Box::new(failure) });
            }
        };
        ledger.apply(&mut inventory, Change { slice: index, what });
    }
    inventory.problems.extend(unlisted);
    let read = read_templates(client, scope, &interner, &mut inventory);
    timeout_at(end, read).await.map_err(|_| SnapshotError::TimedOut)?;
    Ok(inventory)
}

/// Read what holds extension templates of container hooks. None of it keeps the rest from being shown.
async fn read_templates(client: &kube::Client, scope: &Scope, interner: &Interner, inventory: &mut Inventory) {
    let look = |(key, want): (HookTemplateKey, Result<Keys, NotRead>)| async move {
        let keys = match want {
            Ok(keys) => keys,
            Err(why) => return (key, Err(why)),
        };
        let slice = Slice::of_templates(key.0, &key.1, keys);
        let state = match list(client, &slice, scope, interner).await {
            Ok(listed) => templates::of_list(listed).await,
            Err(failure) if failure.reason == Reason::Forbidden => Err(NotRead::Denied),
            Err(failure) => Err(NotRead::Failed(failure.to_string().into())),
        };
        (key, state)
    };
    let read = stream::iter(templates::wanted(inventory)).map(look).buffer_unordered(TEMPLATES_AT_ONCE);
    let states: BTreeMap<HookTemplateKey, HookTemplateState> = read.collect().await;
    let denied = states.iter().filter(|(_, state)| **state == Err(NotRead::Denied)).map(|(key, _)| (key, "list"));
    let missing = templates::missing(denied);
    let states = states.into_iter().map(|(key, state)| (key, Arc::new(state))).collect();
    templates::put(inventory, states, &mut BTreeSet::new(), missing);
}

async fn list(client: &kube::Client, slice: &Slice, scope: &Scope, interner: &Interner) -> Result<Listed, Failure> {
    let mut pauses = RETRIES.into_iter();
    loop {
        let failure = match follow::list(client, slice, scope, interner, None).await {
            Ok(listed) => return Ok(listed),
            Err(failure) => failure,
        };
        if request::presence(client, slice, &failure).await == Presence::Elsewhere {
            continue;
        }
        let passing = match failure.reason {
            Reason::Transport | Reason::Expired => true,
            Reason::Api => failure.code.is_some_and(|code| code == 429 || code >= 500),
            Reason::Forbidden | Reason::Decode => false,
        };
        match pauses.next() {
            Some(pause) if passing => {
                sleep(pause.max(failure.retry_after.unwrap_or_default()).min(LONGEST_PAUSE)).await;
            }
            _ => return Err(failure),
        }
    }
}
