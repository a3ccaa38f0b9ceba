//! What several faces need of a snapshot: severities, the order of urgency, the words for why, times, and the health of
//! the daemon. The JSON document of `check` and the API is in [`report`].
//!
//! Pure: every function takes what it shows, and `now` is the snapshot's own `generated_at`.

mod health;
pub mod report;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Copies, CredentialRow, SecretFindings, Snapshot, WorkloadRow};
use crate::credential::{Finding, FindingKind, Severity};
use crate::verdict::Status;
use crate::workload::{Gone, PullFailure, REMEMBERED};

/// Images of pods that are gone that are told at most.
const MOST_GONE_IMAGES: usize = 5;

pub use health::{HealthLine, HealthState, health};

/// The worst of a list of findings.
pub fn findings_severity(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max()
}

/// The worst of everything in a snapshot. Input that could not be read counts as a warning.
pub fn worst_severity(snapshot: &Snapshot) -> Option<Severity> {
    let credentials = snapshot.credentials.iter().filter_map(CredentialRow::severity).max();
    let workloads = snapshot.workloads.iter().filter_map(WorkloadRow::severity).max();
    let findings = snapshot.findings.iter().filter_map(|secret| findings_severity(&secret.findings)).max();
    let problems = (!snapshot.problems.is_empty()).then_some(Severity::Warning);
    credentials.max(workloads).max(findings).max(problems)
}

/// Where a status stands among rows of equal severity: dead, empty, not proven, good, not asked.
fn status_rank(status: Status) -> u8 {
    match status {
        Status::Anonymous => 1,
        Status::Unverified => 2,
        Status::Valid => 3,
        Status::Ignored => 4,
        _ => 0,
    }
}

/// `None` sorts last.
fn date_rank(date: Option<DateTime<Utc>>) -> (bool, Option<DateTime<Utc>>) {
    (date.is_none(), date)
}

/// All credentials, the worst first: by severity, by status, then by the nearest expiry and the most workloads.
pub fn credentials_by_urgency(snapshot: &Snapshot) -> Vec<&CredentialRow> {
    let mut rows: Vec<&CredentialRow> = snapshot.credentials.iter().collect();
    rows.sort_by_cached_key(|row| {
        let severity = Reverse(row.severity());
        let status = (status_rank(row.status), row.status);
        (severity, status, date_rank(row.expires_at), Reverse(row.workloads))
    });
    rows
}

/// All workloads, the worst first: by outlook, then by the nearest deadline.
pub fn workloads_by_urgency(snapshot: &Snapshot) -> Vec<&WorkloadRow> {
    let mut rows: Vec<&WorkloadRow> = snapshot.workloads.iter().collect();
    rows.sort_by_key(|row| (row.outlook, date_rank(row.deadline), Reverse(row.severity())));
    rows
}

/// Tokens with more than one copy, and their copies: those that serve the most workloads first.
pub fn copies_by_use(snapshot: &Snapshot) -> Vec<(&Copies, Vec<&CredentialRow>)> {
    let of = |copies: &Copies| {
        let mut rows: Vec<&CredentialRow> =
            copies.credentials.iter().filter_map(|&row| snapshot.credentials.get(row)).collect();
        rows.sort_by_key(|row| Reverse(row.workloads));
        rows
    };
    let mut all: Vec<_> = snapshot.copies.iter().map(|copies| (copies, of(copies))).collect();
    all.sort_by_cached_key(|(_, rows)| Reverse(rows.iter().map(|row| row.workloads).sum::<usize>()));
    all
}

/// What a finding speaks of.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// One credential.
    Credential(&'a CredentialRow),
    /// A Secret that has none.
    Secret(&'a SecretFindings),
}

impl<'a> Subject<'a> {
    /// Namespace of the Secret.
    pub fn secret_namespace(self) -> &'a str {
        match self {
            Self::Credential(row) => &row.secret_namespace,
            Self::Secret(secret) => &secret.secret_namespace,
        }
    }

    /// Name of the Secret.
    pub fn secret_name(self) -> &'a str {
        match self {
            Self::Credential(row) => &row.secret_name,
            Self::Secret(secret) => &secret.secret_name,
        }
    }

    /// Registry key; empty where the finding is of the Secret as a whole.
    pub fn registry(self) -> &'a str {
        match self {
            Self::Credential(row) => &row.registry,
            Self::Secret(_) => "",
        }
    }
}

/// All findings of credentials and of Secrets without a credential, the worst first. Findings of workloads are left
/// out: they stand on the workload, and most of them on the Secret as well.
pub fn findings_by_urgency(snapshot: &Snapshot) -> Vec<(Subject<'_>, &Finding)> {
    let of_credentials =
        snapshot.credentials.iter().flat_map(|row| row.findings.iter().map(move |f| (Subject::Credential(row), f)));
    let of_secrets =
        snapshot.findings.iter().flat_map(|secret| secret.findings.iter().map(move |f| (Subject::Secret(secret), f)));
    let mut all: Vec<_> = of_credentials.chain(of_secrets).collect();
    all.sort_by_key(|(_, finding)| Reverse(finding.severity));
    all
}

/// Why a credential has its status, in one line, with what was found or said last; empty where there is nothing to say.
pub fn why(row: &CredentialRow) -> String {
    let message = |of: &dyn Fn(&Finding) -> bool| row.findings.iter().find(|f| of(f)).map(|f| f.message.clone());
    match row.status {
        // What the kubelet stumbles over is more than that it stumbles.
        Status::Malformed => {
            let undecodable = [FindingKind::UndecodableSecret, FindingKind::BadAuthEncoding];
            message(&|finding| undecodable.contains(&finding.kind)).unwrap_or_else(|| row.reason())
        }
        Status::Valid => message(&|finding| finding.severity >= Severity::Warning).unwrap_or_default(),
        Status::Unverified => match row.evidence.last() {
            Some(evidence) if !evidence.detail.is_empty() => format!("{}: {}", row.reason(), evidence.detail),
            _ => row.reason(),
        },
        _ => row.reason(),
    }
}

/// A moment as distance from `now`: `in 12 d`, `3 h ago`, `now`.
pub fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let delta = at - now;
    let distance = delta.abs();
    let amount = if distance < TimeDelta::seconds(1) {
        return "now".to_owned();
    } else if distance < TimeDelta::minutes(2) {
        format!("{} s", distance.num_seconds())
    } else if distance < TimeDelta::hours(2) {
        format!("{} min", distance.num_minutes())
    } else if distance < TimeDelta::days(2) {
        format!("{} h", distance.num_hours())
    } else {
        format!("{} d", distance.num_days())
    };
    if delta > TimeDelta::zero() { format!("in {amount}") } else { format!("{amount} ago") }
}

/// When a credential expires, in words: date and distance, `never`, `unknown`, or `-` where there is nothing that
/// could.
pub fn expiry(row: &CredentialRow, now: DateTime<Utc>) -> String {
    match (row.expires_at, row.expiry_known) {
        (Some(at), _) => format!("{} ({})", at.format("%Y-%m-%d"), relative(at, now)),
        (None, Some(false)) => "never".to_owned(),
        _ if matches!(row.status, Status::Malformed | Status::Anonymous) => "-".to_owned(),
        (None, _) => "unknown".to_owned(),
    }
}

/// Why a pull fails, in words.
fn why_it_fails(failure: PullFailure) -> &'static str {
    match failure {
        PullFailure::CredentialRefused => "the registry refuses the credential",
        PullFailure::AccessDenied => "the registry denies the image",
        PullFailure::NoCredential => "no credential was sent",
        PullFailure::NotFound => "the image is not there",
        PullFailure::Network => "the registry cannot be reached",
        PullFailure::MalformedSecret => "a pull Secret cannot be decoded",
        PullFailure::Other => "for another cause, or one that is not told",
    }
}

fn pods(count: usize) -> String {
    format!("{count} pod{}", if count == 1 { "" } else { "s" })
}

/// What pods of a workload wait for right now, in words; `None` where none waits on a pull.
pub fn waiting(row: &WorkloadRow) -> Option<String> {
    waiting_in(&row.failing)
}

pub(super) fn waiting_in(failing: &[(PullFailure, usize)]) -> Option<String> {
    let one = |(failure, count): &(PullFailure, usize)| format!("{} ({})", pods(*count), why_it_fails(*failure));
    let each: Vec<String> = failing.iter().map(one).collect();
    (!each.is_empty()).then(|| format!("waiting on a pull right now: {}", each.join(", ")))
}

/// The pods of a workload that vanished while they waited on a pull, in words; `None` where there are none.
pub fn vanished(row: &WorkloadRow, now: DateTime<Utc>) -> Option<String> {
    row.gone.as_ref().and_then(|gone| vanished_in(gone, now))
}

pub(super) fn vanished_in(gone: &Gone, now: DateTime<Utc>) -> Option<String> {
    let one = |((image, failure), count): (&(Arc<str>, PullFailure), &usize)| {
        format!("{} on {image} ({})", pods(*count), why_it_fails(*failure))
    };
    let more = gone.images.len().saturating_sub(MOST_GONE_IMAGES);
    let mut each: Vec<String> = gone.images.iter().take(MOST_GONE_IMAGES).map(one).collect();
    if more > 0 {
        each.push(format!("{more} more"));
    }
    let last = gone.last.map(|at| format!("; the last {}", relative(at, now))).unwrap_or_default();
    (!gone.is_empty()).then(|| {
        format!(
            "gone in the last {} minutes while waiting on a pull: {}{last}",
            REMEMBERED.num_minutes(),
            each.join(", ")
        )
    })
}

/// The broken references of a workload as (Secret name, reason), each once: images and containers can share one.
pub fn broken_references(row: &WorkloadRow) -> impl Iterator<Item = (&str, &'static str)> {
    let all = &row.broken_references;
    let first = move |(at, reference)| (!all[..at].contains(reference)).then_some(reference);
    all.iter().enumerate().filter_map(first).map(|(secret, reason)| (&**secret, *reason))
}

/// What a broken reference means, in words.
pub fn broken_reference(secret_name: &str, reason: &str) -> String {
    match reason {
        "not_found" => format!("refers to Secret {secret_name}, which does not exist or is not a pull Secret"),
        "wrong_type" => format!("refers to Secret {secret_name}, which is not a pull Secret: the kubelet skips it"),
        "malformed" => format!("refers to Secret {secret_name}, which the kubelet cannot decode"),
        other => format!("refers to Secret {secret_name}, which is broken ({other})"),
    }
}

/// Whether a character controls, reorders or hides text instead of showing: control characters, and Unicode's
/// bidirectional, zero-width and tag formatting.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text from outside as it may stand on a terminal or a page: what [`is_hidden`] is shown as its escape.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}
