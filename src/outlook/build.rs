//! One pass from what the rooms know to the snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::credentials::{self, Entries};
use super::images::Images;
use super::logins::Logins;
use super::workloads::{self, Pulls};
use super::{DaemonFacts, RegistryRow, Role, SecretFindings, Snapshot};
use crate::cluster::{Inventory, MissingPermission, Origin, Problem, Resource};
use crate::config::Config;
use crate::credential::MOST_ENTRIES;
use crate::plan::{Book, Moment, Registries, Waiting};
use crate::verdict::Ledger;
use crate::workload::{Failing, Workload, WorkloadKey};

/// Everything that the snapshot is made of. The book must be in step with the inventory.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// What is there.
    pub inventory: &'a Inventory,
    /// What the Secrets hold.
    pub book: &'a Book,
    /// Who pulls what.
    pub workloads: &'a BTreeMap<WorkloadKey, Workload>,
    /// What fails in their pods right now.
    pub failing: &'a BTreeMap<WorkloadKey, Failing>,
    /// What is proven.
    pub ledger: &'a Ledger,
    /// What the operator wants.
    pub config: &'a Config,
    /// Which registries may be asked.
    pub registries: &'a Registries,
    /// Hosts of registries that are configured or in use; those that the ledger has heard of are added.
    pub hosts: &'a [Arc<str>],
    /// Lateness of the most overdue exchange.
    pub schedule_lag: Duration,
    /// The moment that `now` stands for.
    pub moment: Moment,
    /// Namespaces whose logins wait because too many of them were refused.
    pub waiting: &'a [Waiting],
}

/// The picture at `now`, which is wall time: it decides what has expired, and what expires soon.
pub fn build(inputs: &Inputs<'_>, now: DateTime<Utc>) -> Snapshot {
    let entries = Entries::of(inputs.book);
    let mut images = Images::new(inputs.registries, &inputs.config.scope.node_credentials);
    let pulls = Pulls::of(inputs, &entries, &mut images);
    let logins = Logins::of(inputs, now);
    let judged = credentials::judge_entries(inputs, &entries, &images, &pulls, &logins, now);
    let workloads = workloads::rows(inputs, &entries, &images, &pulls, &judged, &logins);
    let (credentials, copies) = credentials::rows(inputs, &entries, &pulls, &judged, &workloads);
    Snapshot {
        generated_at: now,
        credentials,
        workloads: workloads.rows,
        parts: workloads.parts,
        copies,
        findings: secret_findings(inputs.book),
        problems: problems(inputs),
        registries: registries(inputs),
        daemon: daemon(inputs, now),
    }
}

/// The picture of a replica that stands by: what is there, and no word on any credential. Whoever probes tells of those, and
/// would be contradicted by rows that know nothing.
pub fn standing_by(inputs: &Inputs<'_>, holder: Option<Arc<str>>, now: DateTime<Utc>) -> Snapshot {
    Snapshot {
        generated_at: now,
        problems: problems(inputs),
        daemon: DaemonFacts { role: Role::Standby { holder }, ..daemon(inputs, now) },
        ..Snapshot::default()
    }
}

/// Findings of Secrets as a whole; those of a malformed Secret stand in its row.
fn secret_findings(book: &Book) -> Vec<SecretFindings> {
    let told = book
        .secrets
        .iter()
        .filter(|(at, record)| record.malformed.is_none() && !record.findings.is_empty() && book.shows_secret(at));
    told.map(|(at, record)| {
        let mut findings = record.findings.clone();
        super::findings::sort(&mut findings);
        SecretFindings { secret_namespace: at.namespace.clone(), secret_name: at.name.clone(), findings }
    })
    .collect()
}

/// What could not be read, and the Secrets that hold too much to be looked at.
fn problems(inputs: &Inputs<'_>) -> Vec<Problem> {
    let source = if inputs.inventory.origin == Origin::Cluster { "cluster" } else { "manifests" };
    let too_many = inputs.book.secrets.iter().filter_map(|(at, record)| {
        let entries = record.too_many.filter(|_| inputs.book.shows_secret(at))?;
        Some(Problem {
            source: source.to_owned(),
            index: None,
            kind: Some("Secret".to_owned()),
            name: Some(at.to_string()),
            message: format!("it holds {entries} entries; none of more than {MOST_ENTRIES} is looked at"),
            unparsable: false,
        })
    });
    let waiting = inputs.waiting.iter().map(|waiting| Problem {
        source: source.to_owned(),
        index: None,
        kind: Some("Namespace".to_owned()),
        name: Some(waiting.namespace.to_string()),
        message: format!(
            "many of its logins were refused at {} lately, which can lock their owners out, so {} more wait for their turn; \
             remove the Secrets that hold dead credentials",
            waiting.host, waiting.logins
        ),
        unparsable: false,
    });
    inputs.inventory.problems.iter().cloned().chain(too_many).chain(waiting).collect()
}

fn registries(inputs: &Inputs<'_>) -> Vec<RegistryRow> {
    let in_use = inputs.book.logins.values().map(|login| &login.registry.host);
    let hosts: BTreeSet<_> = inputs.hosts.iter().chain(in_use).chain(inputs.ledger.hosts()).collect();
    let row = |host: &Arc<str>| {
        let view = inputs.ledger.registry(host);
        RegistryRow { host: Arc::clone(host), incident: view.incident, up: view.up }
    };
    hosts.into_iter().map(row).collect()
}

fn daemon(inputs: &Inputs<'_>, now: DateTime<Utc>) -> DaemonFacts {
    let skew = |host: &Arc<str>| Some((Arc::clone(host), inputs.ledger.registry(host).clock_skew_seconds?));
    let book = inputs.book;
    DaemonFacts {
        role: Role::Active,
        shard: book.shard(),
        logins: book.logins.values().filter(|login| login.shard == book.shard().index()).count(),
        pull_secrets: book.secrets.iter().filter(|(at, record)| !record.skipped && book.shows_secret(at)).count(),
        synced: Resource::ALL.map(|resource| (resource, inputs.inventory.synced.contains(&resource))).to_vec(),
        secrets_left_out: !inputs.config.scope.read_secrets,
        missing_permissions: MissingPermission::merged(&inputs.inventory.missing_permissions),
        schedule_lag_seconds: inputs.schedule_lag.as_secs_f64(),
        clock_skews: inputs.ledger.hosts().filter_map(skew).collect(),
        issuer_intervals: inputs
            .ledger
            .issuer_intervals()
            .into_iter()
            .map(|(host, wait)| (host.into(), wait))
            .collect(),
        waiting: inputs.waiting.to_vec(),
        rate_limits: inputs.ledger.rate_limits(now).into_iter().map(|(host, limit)| (host.into(), limit)).collect(),
    }
}
