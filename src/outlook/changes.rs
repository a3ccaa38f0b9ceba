//! Which changes of verdict a snapshot brings that are worth telling on the Secret itself.
//!
//! Only what is proven is a change: a credential that is not proven any more (`unverified`) is none, and while an incident
//! of its registry or its issuer is suspected nothing is told of it. What is kept between two snapshots is kept for bad
//! credentials alone, so that a healthy cluster costs nothing.

mod words;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{CredentialRow, Snapshot};
use crate::cluster::Resource;
use crate::credential::{FindingKind, Severity};
use crate::plan::Registries;
use crate::probe::ProbeKind;
use crate::verdict::Status;

/// A clock that was set back leaves verdicts behind that look as old as this.
const STEP: TimeDelta = TimeDelta::minutes(2);

/// Why a change is told: `reason` of the Kubernetes Event. The names are published and keep their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The registry refuses it, proven.
    CredentialRejected,
    /// The registry refuses it, and its expiry has passed.
    CredentialExpired,
    /// It works as a login, and may not pull what workloads need.
    CredentialForbidden,
    /// Its token lacks the scope that pulling takes.
    CredentialScopeInsufficient,
    /// The registry does not take its kind of token for pulling.
    CredentialUnsupported,
    /// The kubelet cannot decode the Secret.
    CredentialUndecodable,
    /// User name or password became empty.
    CredentialAnonymous,
    /// It works again, or the kubelet can decode the Secret again.
    CredentialRecovered,
    /// Its token came near its expiry.
    TokenExpiringSoon,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::CredentialRejected,
        Self::CredentialExpired,
        Self::CredentialForbidden,
        Self::CredentialScopeInsufficient,
        Self::CredentialUnsupported,
        Self::CredentialUndecodable,
        Self::CredentialAnonymous,
        Self::CredentialRecovered,
        Self::TokenExpiringSoon,
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CredentialRejected => "CredentialRejected",
            Self::CredentialExpired => "CredentialExpired",
            Self::CredentialForbidden => "CredentialForbidden",
            Self::CredentialScopeInsufficient => "CredentialScopeInsufficient",
            Self::CredentialUnsupported => "CredentialUnsupported",
            Self::CredentialUndecodable => "CredentialUndecodable",
            Self::CredentialAnonymous => "CredentialAnonymous",
            Self::CredentialRecovered => "CredentialRecovered",
            Self::TokenExpiringSoon => "TokenExpiringSoon",
        }
    }

    /// Whether somebody should act on it.
    pub fn is_warning(self) -> bool {
        self != Self::CredentialRecovered
    }

    /// The reason to tell that a status was entered; `None` for those that are not bad.
    fn of(status: Status) -> Option<Self> {
        match status {
            Status::Rejected => Some(Self::CredentialRejected),
            Status::Expired => Some(Self::CredentialExpired),
            Status::Forbidden => Some(Self::CredentialForbidden),
            Status::InsufficientScope => Some(Self::CredentialScopeInsufficient),
            Status::Unsupported => Some(Self::CredentialUnsupported),
            Status::Malformed => Some(Self::CredentialUndecodable),
            Status::Anonymous => Some(Self::CredentialAnonymous),
            Status::Ignored | Status::Valid | Status::Unverified => None,
        }
    }
}

/// One change of verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Namespace of the Secret.
    pub secret_namespace: Arc<str>,
    /// Name of the Secret.
    pub secret_name: Arc<str>,
    /// Registry key of the credential; empty where the Secret as a whole is meant.
    pub registry: Arc<str>,
    /// What happened.
    pub reason: Reason,
    /// What happened, whom it hits and what to do, in at most 900 bytes. Never holds a secret.
    pub message: String,
    /// When it was seen.
    pub at: DateTime<Utc>,
}

/// Namespace, name and registry key.
type Place = (Arc<str>, Arc<str>, Arc<str>);

/// What was last told of a credential, or was known before there was anybody to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    /// The bad status; `None` where it works.
    status: Option<Status>,
    /// The token that this is about: another one starts anew.
    token: Arc<str>,
    /// How near its expiry is.
    expiring: Option<Severity>,
}

impl Told {
    fn is_nothing(&self) -> bool {
        self.status.is_none() && self.expiring.is_none()
    }
}

/// Finds the changes from one snapshot to the next.
#[derive(Debug)]
pub struct Changes {
    registries: Registries,
    /// A verdict from before this moment was restored, and was told by whoever proved it.
    since: DateTime<Utc>,
    /// Whether a snapshot showed the complete list of Secrets: what a text alone tells was not changed by anyone before.
    listed: bool,
    told: BTreeMap<Place, Told>,
}

impl Changes {
    /// Nothing seen yet. `started` is when this process began to prove verdicts.
    pub fn new(registries: Registries, started: DateTime<Utc>) -> Self {
        Self { registries, since: started, listed: false, told: BTreeMap::new() }
    }

    /// The changes that a snapshot brings over those that were followed before.
    pub fn follow(&mut self, snapshot: &Snapshot) -> Vec<Change> {
        if snapshot.generated_at < self.since {
            // The wall clock was set back: what is proven from now on must not count as restored.
            self.since = snapshot.generated_at - STEP;
        }
        let incidents: HashSet<&str> =
            snapshot.registries.iter().filter(|registry| registry.incident).map(|registry| &*registry.host).collect();
        let mut changes = Vec::new();
        let mut before = std::mem::take(&mut self.told);
        for row in &snapshot.credentials {
            let known = if before.is_empty() { None } else { before.remove(&place(row)) };
            let told = if self.is_held(row, &incidents) {
                known.or_else(|| self.restored(row))
            } else {
                self.turn(row, known, snapshot.generated_at, &mut changes)
            };
            if let Some(told) = told {
                self.told.insert(place(row), told);
            }
        }
        // A Secret that could not be decoded has another row once it can.
        for ((namespace, name, registry), told) in before {
            let rows = &snapshot.credentials;
            let at = rows.partition_point(|row| (&row.secret_namespace, &row.secret_name) < (&namespace, &name));
            let is_there = rows.get(at).is_some_and(|row| row.secret_namespace == namespace && row.secret_name == name);
            if told.status == Some(Status::Malformed) && is_there {
                changes.push(Change {
                    message: words::decodes_again(),
                    secret_namespace: namespace,
                    secret_name: name,
                    registry,
                    reason: Reason::CredentialRecovered,
                    at: snapshot.generated_at,
                });
            }
        }
        let synced = &snapshot.daemon.synced;
        self.listed |= synced.iter().any(|(resource, synced)| *resource == Resource::Secrets && *synced);
        changes
    }

    /// Follow one credential: what was told of it before, and what is from now on.
    fn turn(
        &self,
        row: &CredentialRow,
        known: Option<Told>,
        now: DateTime<Utc>,
        changes: &mut Vec<Change>,
    ) -> Option<Told> {
        let mut tell = |reason, message| {
            changes.push(Change {
                secret_namespace: Arc::clone(&row.secret_namespace),
                secret_name: Arc::clone(&row.secret_name),
                registry: Arc::clone(&row.registry),
                reason,
                message,
                at: now,
            });
        };
        let Some(reason) = Reason::of(row.status) else {
            if row.status != Status::Valid {
                // Not proven: what was told last still stands.
                return known;
            }
            let mut told =
                known.unwrap_or_else(|| Told { status: None, token: Arc::clone(&row.token_id), expiring: None });
            if let Some(bad) = told.status.take() {
                tell(Reason::CredentialRecovered, words::recovered(row, bad));
            }
            if told.token != row.token_id {
                told = Told { status: None, token: Arc::clone(&row.token_id), expiring: None };
            }
            let near = row.findings.iter().find(|finding| finding.kind == FindingKind::ExpiresSoon);
            if let Some(finding) = near
                && told.expiring < Some(finding.severity)
                && !self.is_restored(row)
            {
                tell(Reason::TokenExpiringSoon, words::expiring(row, &finding.message));
            }
            told.expiring = near.map(|finding| finding.severity);
            return Some(told).filter(|told| !told.is_nothing());
        };
        if row.status == Status::Unsupported && !is_settled(row) {
            return known;
        }
        let same = known.as_ref().is_some_and(|told| told.status == Some(row.status) && told.token == row.token_id);
        let of_text = matches!(row.status, Status::Malformed | Status::Anonymous);
        let is_news = if of_text { self.listed } else { !self.is_restored(row) };
        if !same && is_news {
            tell(reason, words::bad(row));
        }
        Some(Told { status: Some(row.status), token: Arc::clone(&row.token_id), expiring: None })
    }

    /// Whether what makes the status of a credential is from before this process. A denial stays one of a former life though
    /// its login was accepted again since.
    fn is_restored(&self, row: &CredentialRow) -> bool {
        let denied_at = row.denied_at.filter(|_| matches!(row.status, Status::Forbidden | Status::InsufficientScope));
        let at = denied_at.or_else(|| row.last_verdict_at.max(row.last_probe_at));
        at.is_some_and(|at| at < self.since)
    }

    /// What was told in a former life of a credential that an incident holds from the first look on.
    fn restored(&self, row: &CredentialRow) -> Option<Told> {
        let of_text = matches!(row.status, Status::Malformed | Status::Anonymous);
        let told = || Told { status: Some(row.status), token: Arc::clone(&row.token_id), expiring: None };
        (Reason::of(row.status).is_some() && !of_text && self.is_restored(row)).then(told)
    }

    /// Whether an incident of its registry, or of the issuer of its tokens, is suspected.
    fn is_held(&self, row: &CredentialRow, incidents: &HashSet<&str>) -> bool {
        if incidents.is_empty() || row.registry.is_empty() {
            return false;
        }
        let host = row.registry.split_once('/').map_or(&*row.registry, |(host, _)| host);
        match self.registries.find(host) {
            Some(registry) => {
                let issuer = registry.issuer.as_ref().and_then(crate::plan::Issuer::authority);
                incidents.contains(&*registry.host) || issuer.is_some_and(|host| incidents.contains(&*host))
            }
            // A key with a glob stands for several hosts, and any of them may be meant.
            None => host.contains(['*', '?', '[']),
        }
    }
}

fn place(row: &CredentialRow) -> Place {
    (Arc::clone(&row.secret_namespace), Arc::clone(&row.secret_name), Arc::clone(&row.registry))
}

/// Whether no pull can prove the opposite any more of a kind of token that should not work: one was tried, or none is
/// needed.
fn is_settled(row: &CredentialRow) -> bool {
    let tried = || row.evidence.iter().any(|exchange| exchange.kind == ProbeKind::Access.as_str());
    row.last_verdict_at.is_some() && (row.workloads == 0 || tried())
}
