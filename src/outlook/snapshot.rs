//! The types that every face reads.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::cluster::{MissingPermission, Problem, Resource};
use crate::credential::{Finding, Severity, TokenKind};
use crate::plan::{Shard, Waiting};
use crate::probe::RateLimit;
use crate::verdict::{EvidenceRow, Status};
use crate::workload::{Gone, PullFailure, WorkloadKey};

/// One consistent picture of everything.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was computed.
    pub generated_at: DateTime<Utc>,
    /// Sorted by namespace, name, registry; one row per (Secret, registry key).
    pub credentials: Vec<CredentialRow>,
    /// Sorted by key.
    pub workloads: Vec<WorkloadRow>,
    /// Images of workloads whose credentials are of several shards, as far as this one knows.
    pub parts: Vec<WorkloadPart>,
    /// Tokens that stand in more than one credential.
    pub copies: Vec<Copies>,
    /// Findings of Secrets that have no credential row (`no_entries`, `wrong_type`).
    pub findings: Vec<SecretFindings>,
    /// Input that could not be read.
    pub problems: Vec<Problem>,
    /// Registries that are configured or in use, sorted by host.
    pub registries: Vec<RegistryRow>,
    /// About the daemon itself.
    pub daemon: DaemonFacts,
}

/// A credential with its verdict.
#[derive(Clone, Debug)]
pub struct CredentialRow {
    /// Namespace of the Secret; empty for a Docker `config.json`.
    pub secret_namespace: Arc<str>,
    /// Name of the Secret.
    pub secret_name: Arc<str>,
    /// Workloads that would present it.
    pub workloads: usize,
    /// What it has in common with its copies, once for all of them.
    pub facts: Arc<CredentialFacts>,
}

impl Deref for CredentialRow {
    type Target = CredentialFacts;

    fn deref(&self) -> &CredentialFacts {
        &self.facts
    }
}

impl DerefMut for CredentialRow {
    /// Its copies stay as they are.
    fn deref_mut(&mut self) -> &mut CredentialFacts {
        Arc::make_mut(&mut self.facts)
    }
}

/// All that does not tell a credential from its copies.
#[derive(Clone, Debug)]
pub struct CredentialFacts {
    /// Effective registry key; the key as written when the kubelet skips it; empty for a malformed Secret.
    pub registry: Arc<str>,
    /// User name as it may be shown.
    pub username: Arc<str>,
    /// Kind of the token; `None` for a malformed Secret.
    pub token_kind: Option<TokenKind>,
    /// Owner as told by the issuer, or empty.
    pub token_owner: Arc<str>,
    /// Keyed hash of the token, or empty for a malformed Secret and an empty password.
    pub token_id: Arc<str>,
    /// The one status.
    pub status: Status,
    /// Expiry of the token.
    pub expires_at: Option<DateTime<Utc>>,
    /// `Some(true)` a date is known, `Some(false)` it never expires, `None` not known.
    pub expiry_known: Option<bool>,
    /// Last exchange of any outcome.
    pub last_probe_at: Option<DateTime<Utc>>,
    /// Last exchange that proved something.
    pub last_verdict_at: Option<DateTime<Utc>>,
    /// Scopes as told; `None` unknown. These lists and the evidence are shared by all credentials of a login.
    pub scopes: Option<Arc<[String]>>,
    /// Required scopes that lack; `None` unknown.
    pub missing_scopes: Option<Arc<[String]>>,
    /// Scopes past what is required; `None` unknown.
    pub excess_scopes: Option<Arc<[String]>>,
    /// Credentials with the same token and registry, itself included.
    pub copies: usize,
    /// Findings, worst first.
    pub findings: Box<[Finding]>,
    /// Last few exchanges, newest last.
    pub evidence: Arc<[Arc<EvidenceRow>]>,
    /// Entries of the Secret that share the key.
    pub entries: usize,
    /// Entries of the Secret under other keys.
    pub siblings: usize,
    /// Repositories (with their host) that workloads need and that are proven denied.
    pub denied: Box<[Arc<str>]>,
    /// When the newest of these denials was proven.
    pub denied_at: Option<DateTime<Utc>>,
}

impl CredentialRow {
    /// The worst of its status and its findings; `None` where nothing is wrong.
    pub fn severity(&self) -> Option<Severity> {
        let findings = self.findings.iter().map(|finding| finding.severity);
        findings.chain(self.status.severity(self.workloads > 0)).max()
    }
}

/// Findings of a Secret that has no credential.
#[derive(Clone, Debug)]
pub struct SecretFindings {
    /// Namespace of the Secret.
    pub secret_namespace: Arc<str>,
    /// Name of the Secret.
    pub secret_name: Arc<str>,
    /// The findings.
    pub findings: Vec<Finding>,
}

/// Would it pull on a fresh node now? The order is from the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    /// Credentials match, none works.
    Blocked,
    /// No credential matches and the image is not public.
    Uncovered,
    /// Cannot be told.
    Unknown,
    /// Not proven yet.
    Unverified,
    /// Yes.
    Ok,
}

impl Outlook {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Blocked, Self::Uncovered, Self::Unknown, Self::Unverified, Self::Ok];
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Uncovered => "uncovered",
            Self::Unknown => "unknown",
            Self::Unverified => "unverified",
            Self::Ok => "ok",
        }
    }

    /// How bad it is; `None` where nothing is known to be wrong.
    pub fn severity(self) -> Option<Severity> {
        match self {
            Self::Blocked => Some(Severity::Critical),
            Self::Uncovered => Some(Severity::Warning),
            Self::Unknown | Self::Unverified | Self::Ok => None,
        }
    }
}

/// A workload with its outlook.
#[derive(Clone, Debug)]
pub struct WorkloadRow {
    /// Who.
    pub key: WorkloadKey,
    /// The worst of its images' outlooks.
    pub outlook: Outlook,
    /// When its last usable credential for some image expires.
    pub deadline: Option<DateTime<Utc>>,
    /// Per image.
    pub images: Vec<ImageRow>,
    /// References to Secrets that are missing, of the wrong type or malformed: (Secret name, `not_found` | `wrong_type` | `malformed`).
    pub broken_references: Vec<(Arc<str>, &'static str)>,
    /// Pods that wait on a pull right now, per reason. A pod counts under each reason for which one of its containers waits.
    pub failing: Vec<(PullFailure, usize)>,
    /// Workflow pods that vanished within the last minutes while they waited on a pull.
    pub gone: Option<Box<Gone>>,
    /// Findings (`later_credential_only`, `live_pull_contradicts`, `runners_pending`).
    pub findings: Vec<Finding>,
    /// Why, in words. Empty when ok, unless something cannot be known before a job runs.
    pub reason: String,
    /// What to do; empty when nothing.
    pub fix: String,
    /// It has no pods now and wants none: zero replicas, suspended, a scale set that stands at zero.
    pub idle: bool,
}

impl WorkloadRow {
    /// The worst of its outlook, its broken references, its findings and of what its pods wait for; `None` where nothing
    /// is wrong. A pod that waits for something else than a credential is another tool's concern: only information.
    pub fn severity(&self) -> Option<Severity> {
        let findings = self.findings.iter().map(|finding| finding.severity);
        let broken = (!self.broken_references.is_empty()).then_some(Severity::Warning);
        let waiting = self
            .pull_failing()
            .into_keys()
            .map(|failure| if failure.is_about_credentials() { Severity::Warning } else { Severity::Info });
        findings.chain(self.outlook.severity()).chain(broken).chain(waiting).max()
    }

    /// Pods per reason: those that wait on a pull right now and those that vanished while they did, and how many of them are
    /// gone.
    pub fn pull_failing(&self) -> BTreeMap<PullFailure, (usize, usize)> {
        let mut all: BTreeMap<PullFailure, (usize, usize)> = BTreeMap::new();
        for (failure, pods) in &self.failing {
            all.entry(*failure).or_default().0 += pods;
        }
        for (failure, pods) in self.gone.iter().flat_map(|gone| &gone.pods) {
            let counts = all.entry(*failure).or_default();
            counts.0 += pods;
            counts.1 += pods;
        }
        all
    }

    /// Whether it is unverified, and that only because the operator left registries off the list.
    pub fn unverified_by_choice(&self) -> bool {
        let mut unverified = self.images.iter().filter(|image| image.outlook == Outlook::Unverified);
        self.outlook == Outlook::Unverified && unverified.all(|image| image.by_choice)
    }
}

/// What this shard knows of an image whose credentials, or those of another image of the workload, are of several shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadPart {
    /// The workload.
    pub key: WorkloadKey,
    /// The image as written.
    pub image: Arc<str>,
    /// The pull Secrets of the pods, in order.
    pub secrets: Arc<[Arc<str>]>,
    /// Its outlook by the credentials of this shard alone: `Ok` when one of them works, `Blocked` when all of them fail.
    pub outlook: Outlook,
    /// How many shards have a credential for it.
    pub shards: usize,
}

/// One image of a workload.
#[derive(Clone, Debug)]
pub struct ImageRow {
    /// The image as written.
    pub image: Arc<str>,
    /// Containers that name it.
    pub containers: Vec<Arc<str>>,
    /// Its outlook.
    pub outlook: Outlook,
    /// The credentials in kubelet order.
    pub credentials: Vec<MatchedCredential>,
    /// Unverified only because its registry is not on the list, which is the operator's choice.
    pub by_choice: bool,
}

/// A credential that the kubelet would try for an image.
#[derive(Clone, Debug)]
pub struct MatchedCredential {
    /// Name of the Secret (in the workload's namespace).
    pub secret_name: Arc<str>,
    /// Registry key.
    pub registry: Arc<str>,
    /// Its status.
    pub status: Status,
}

/// One token that stands in several credentials of one registry: a rotation has to reach all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// Keyed hash of the token.
    pub token_id: Arc<str>,
    /// Host of the registry.
    pub registry: Arc<str>,
    /// Places in [`Snapshot::credentials`], ascending.
    pub credentials: Vec<usize>,
}

/// A registry as a whole.
#[derive(Clone, Debug)]
pub struct RegistryRow {
    /// Host as in the label `registry`.
    pub host: Arc<str>,
    /// Whether an incident is suspected.
    pub incident: bool,
    /// Whether the last exchange got an answer; `None` before any.
    pub up: Option<bool>,
}

/// What this replica does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It probes.
    #[default]
    Active,
    /// It probed, may not for now, and shows what it knew last: nobody else is known to probe.
    Paused,
    /// Another replica probes: this one knows the objects, and nothing of what is proven.
    Standby {
        /// Which, if one was seen to.
        holder: Option<Arc<str>>,
    },
}

impl Role {
    /// Whether another replica is the one that knows.
    pub fn is_standby(&self) -> bool {
        matches!(self, Self::Standby { .. })
    }
}

/// About the daemon itself.
#[derive(Clone, Debug, Default)]
pub struct DaemonFacts {
    /// Which of several processes this is.
    pub shard: Shard,
    /// What this replica does.
    pub role: Role,
    /// Distinct logins.
    pub logins: usize,
    /// Pull Secrets.
    pub pull_secrets: usize,
    /// Resources whose first list is complete.
    pub synced: Vec<(Resource, bool)>,
    /// Whether Secrets are left out by choice (`scope.readSecrets`).
    pub secrets_left_out: bool,
    /// What RBAC denies.
    pub missing_permissions: Vec<MissingPermission>,
    /// Lateness of the most overdue exchange when the snapshot was made, in seconds.
    pub schedule_lag_seconds: f64,
    /// Per issuer (host of its API): how far apart the usual questions about a token are now, the longest among owners.
    pub issuer_intervals: Vec<(Arc<str>, Duration)>,
    /// Namespaces whose logins wait because too many of them were refused, sorted.
    pub waiting: Vec<Waiting>,
    /// Per host: our clock minus theirs, in seconds.
    /// Per host of a registry or an issuer: our clock minus theirs, in seconds, as last seen.
    pub clock_skews: Vec<(Arc<str>, f64)>,
    /// Per issuer (host of its API): the lowest rate limit seen among tokens.
    pub rate_limits: Vec<(Arc<str>, RateLimit)>,
}
