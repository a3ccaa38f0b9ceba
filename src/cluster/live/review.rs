//! Asks the API server what we may do (`SelfSubjectAccessReview`), so that a missing permission is known before it is needed,
//! and so is its return.
//!
//! An answer is a foresight: it never makes anything count as seen, and where a request itself is granted or refused, that
//! counts. That nobody answers is no error: whoever asks for objects finds out by himself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::follow::{Change, Context, What};
use super::request;
use super::slice::Slice;
use crate::cluster::{Inventory, MissingPermission, Resource, Scope, missing_rules};

/// How often everything is asked: before the watches that are open end, and find out the hard way.
const PERIOD: Duration = Duration::from_secs(240);
/// How often what lacks is asked, and the time that each such question adds to that.
const AGAIN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_millis(50));
/// How long after a refusal everything is asked: refusals come in groups.
const AFTER_REFUSAL: Duration = Duration::from_secs(2);
/// Questions in flight at once.
const AT_ONCE: usize = 4;
/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the API server said of one permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Allowed,
    Denied,
    /// It could not tell, or did not.
    Unknown,
}

/// A permission that is asked about, and the slices that need it; none for what is written.
#[derive(Debug)]
struct Question {
    permission: MissingPermission,
    slices: Vec<usize>,
}

/// Ask for ever. With `events` the right to write Events is asked about too.
pub(super) async fn review<M>(context: &Context<'_, M>, slices: &[Slice], events: bool) -> Infallible {
    let questions = questions(slices, context.scope, events);
    let mut lacking: BTreeSet<MissingPermission> = BTreeSet::new();
    let mut all_at = Instant::now();
    loop {
        let everything = Instant::now() >= all_at;
        if everything {
            all_at = Instant::now() + PERIOD;
        }
        let due = |question: &&Question| everything || lacking.contains(&question.permission);
        let answers = ask_all(context, slices, questions.iter().filter(due).collect()).await;
        let mut fresh = Vec::new();
        let mut came = Vec::new();
        let mut allowed = BTreeSet::new();
        for (question, answer) in answers {
            let permission = &question.permission;
            match answer {
                Answer::Unknown => continue,
                Answer::Denied if lacking.insert(permission.clone()) => fresh.push(permission),
                Answer::Denied => {}
                Answer::Allowed => {
                    allowed.insert(permission);
                    if lacking.remove(permission) {
                        came.push(permission);
                    }
                }
            }
            tell(context, question, answer == Answer::Allowed).await;
        }
        log(context, &fresh, &came);
        let waits = |inventory: &Inventory| inventory.missing_permissions.iter().any(|one| allowed.contains(one));
        if !came.is_empty() || context.shared.read(waits) {
            // Who waits out a refusal need not wait any longer.
            context.bells.granted.notify_waiters();
        }
        let again = AGAIN.0.max(AGAIN.1 * u32::try_from(lacking.len()).unwrap_or(u32::MAX));
        let pause = if lacking.is_empty() { all_at - Instant::now() } else { again };
        tokio::select! {
            () = sleep(pause) => {}
            // While something lacks, it is known why something is refused.
            () = context.bells.refused.notified(), if lacking.is_empty() => {
                sleep(AFTER_REFUSAL).await;
                all_at = Instant::now();
            }
        }
    }
}

/// What is asked about, each once.
fn questions(slices: &[Slice], scope: &Scope, events: bool) -> Vec<Question> {
    let mut wanted: BTreeMap<MissingPermission, Vec<usize>> = BTreeMap::new();
    for (index, slice) in slices.iter().enumerate() {
        for verb in ["list", "watch"] {
            wanted.entry(slice.permission(verb)).or_default().push(index);
        }
    }
    if events {
        let places: Vec<Arc<str>> = match scope.namespaces() {
            Some(namespaces) => namespaces.iter().cloned().collect(),
            None => vec![Arc::from("")],
        };
        for place in places {
            for verb in ["create", "patch"] {
                wanted.insert(MissingPermission::new(Resource::Events, verb, Arc::clone(&place)), Vec::new());
            }
        }
    }
    wanted.into_iter().map(|(permission, slices)| Question { permission, slices }).collect()
}

/// Ask a few at once. A custom resource that the cluster lacks is not missed.
async fn ask_all<'a, M>(
    context: &Context<'_, M>,
    slices: &[Slice],
    due: Vec<&'a Question>,
) -> Vec<(&'a Question, Answer)> {
    let api: Api<SelfSubjectAccessReview> = Api::all(context.client.clone());
    let mut permissions: VecDeque<MissingPermission> = due.iter().map(|one| one.permission.clone()).collect();
    // Where one cannot be answered at all, none can.
    let Some(first) = permissions.pop_front() else { return Vec::new() };
    let Some(first) = ask(&api, first).await else { return Vec::new() };
    let others = stream::iter(permissions).map(|permission| ask(&api, permission)).buffered(AT_ONCE);
    let others = others.map(|answer| answer.unwrap_or(Answer::Unknown)).collect::<Vec<_>>().await;
    let mut answers: Vec<_> = due.into_iter().zip([first].into_iter().chain(others)).collect();
    let mut served: BTreeMap<Resource, bool> = BTreeMap::new();
    for (question, answer) in &mut answers {
        let slice = question.slices.first().and_then(|index| slices.get(*index));
        let Some(slice) = slice.filter(|slice| *answer == Answer::Denied && slice.is_optional()) else { continue };
        let resource = slice.resource();
        let known = match served.get(&resource) {
            Some(known) => *known,
            None => request::is_there(&context.client, slice).await,
        };
        served.insert(resource, known);
        if !known {
            *answer = Answer::Unknown;
        }
    }
    answers
}

/// Ask one; `None` where there is no answer.
async fn ask(api: &Api<SelfSubjectAccessReview>, permission: MissingPermission) -> Option<Answer> {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let attributes = ResourceAttributes {
        group: text(permission.resource.group()),
        resource: text(permission.resource.as_str()),
        verb: text(permission.verb),
        namespace: text(&permission.scope),
        name: permission.names.first().and_then(|name| text(name)),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        metadata: ObjectMeta::default(),
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        status: None,
    };
    let status = match timeout(TIMEOUT, api.create(&PostParams::default(), &review)).await {
        Ok(Ok(answered)) => answered.status?,
        Ok(Err(error)) => {
            debug!(%error, "the API server does not say what it would allow");
            return None;
        }
        Err(_) => return None,
    };
    // An authorizer that failed has said nothing, unless another one denies it outright.
    let failed = status.evaluation_error.is_some_and(|error| !error.is_empty());
    Some(match status.allowed {
        true => Answer::Allowed,
        false if failed && status.denied != Some(true) => Answer::Unknown,
        false => Answer::Denied,
    })
}

/// Tell whoever keeps account of it.
async fn tell<M>(context: &Context<'_, M>, question: &Question, allowed: bool) {
    let permission = &question.permission;
    if permission.resource.is_written() {
        context.shared.update(|inventory| {
            if allowed {
                inventory.missing_permissions.remove(permission)
            } else {
                inventory.missing_permissions.insert(permission.clone())
            }
        });
        return;
    }
    for slice in &question.slices {
        // The receiver lives as long as this future does: both are parts of one.
        let what = What::Reviewed { verb: permission.verb, allowed };
        let _ = context.changes.send(Change { slice: *slice, what }).await;
    }
}

/// One line for each rule.
fn log<M>(context: &Context<'_, M>, fresh: &[&MissingPermission], came: &[&MissingPermission]) {
    if !fresh.is_empty() {
        let merged = MissingPermission::merged(fresh.iter().copied());
        for rule in missing_rules(&merged) {
            warn!(scope = rule.namespace(), "RBAC denies {}; {rule}", rule.subject());
        }
        if context.scope.namespaces().is_some() {
            info!("a namespace that does not exist yet denies everything, until it is made and has its Role");
        }
    }
    let merged = MissingPermission::merged(came.iter().copied());
    for rule in missing_rules(&merged) {
        info!(scope = rule.namespace(), "RBAC grants {}", rule.subject());
    }
}
