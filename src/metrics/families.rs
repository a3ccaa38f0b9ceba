//! The families that are computed from the snapshot, in the order in which they are written.

use super::about::{ALWAYS, About};
use super::text::{Series, Value};
use crate::cluster::Resource;
use crate::credential::{FindingKind, TokenKind};
use crate::outlook::view::broken_references;
use crate::outlook::{CredentialRow, Snapshot, WorkloadPart, WorkloadRow};

/// One family: how many rows of the snapshot feed it, and how one row is written (as no, one or several series).
pub(super) struct Family {
    pub(super) about: About,
    pub(super) rows: fn(&Snapshot) -> usize,
    pub(super) write: fn(&Snapshot, usize, &mut Series<'_>),
}

/// Labels of whatever is told of one credential.
const CREDENTIAL: &[&str] = &["secret_namespace", "secret_name", "registry"];
/// Labels of whatever is told of one workload.
const WORKLOAD: &[&str] = &["workload_namespace", "workload_kind", "workload_name", "pod_role"];

type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

fn credential_labels(row: &CredentialRow) -> Labels<'_, 3> {
    [("secret_namespace", &row.secret_namespace), ("secret_name", &row.secret_name), ("registry", &row.registry)]
}

fn workload_labels(row: &WorkloadRow) -> Labels<'_, 4> {
    [
        ("workload_namespace", &row.key.namespace),
        ("workload_kind", &row.key.kind),
        ("workload_name", &row.key.name),
        ("pod_role", row.key.role.as_str()),
    ]
}

fn part_labels(part: &WorkloadPart) -> Labels<'_, 4> {
    [
        ("workload_namespace", &part.key.namespace),
        ("workload_kind", &part.key.kind),
        ("workload_name", &part.key.name),
        ("pod_role", part.key.role.as_str()),
    ]
}

/// One part of so many.
fn share_of(shards: usize) -> f64 {
    u32::try_from(shards.max(1)).map_or(0.0, |shards| f64::from(shards).recip())
}

/// A family with at most one series per credential.
macro_rules! per_credential {
    ($name:literal, $emitted:literal, $help:literal, $value:expr) => {
        Family {
            about: About::gauge($name, [CREDENTIAL, &[]], $emitted, $help),
            rows: |snapshot| snapshot.credentials.len(),
            write: |snapshot, row, series| {
                let row = &snapshot.credentials[row];
                let value: fn(&CredentialRow) -> Option<Value> = $value;
                if let Some(value) = value(row) {
                    series.push(&credential_labels(row), &[], value);
                }
            },
        }
    };
}

/// A family with one series; with none while a replica stands by, which counts nothing of what is proven.
macro_rules! single {
    ($name:literal, $help:literal, $value:expr) => {
        Family {
            about: About::gauge($name, [&[], &[]], "unless this replica stands by", $help),
            rows: |snapshot| usize::from(!snapshot.daemon.role.is_standby()),
            write: |snapshot, _, series| {
                let value: fn(&Snapshot) -> Value = $value;
                series.push(&[], &[], value(snapshot));
            },
        }
    };
}

/// A family with one series per issuer whose rate limit is known.
macro_rules! per_issuer {
    ($name:literal, $emitted:literal, $help:literal, $value:expr) => {
        Family {
            about: About::gauge($name, [&["issuer"], &[]], $emitted, $help),
            rows: |snapshot| snapshot.daemon.rate_limits.len(),
            write: |snapshot, row, series| {
                let (issuer, limit) = &snapshot.daemon.rate_limits[row];
                let value: fn(&crate::probe::RateLimit) -> Value = $value;
                series.push(&[("issuer", issuer)], &[], value(limit));
            },
        }
    };
}

/// All of them.
pub(super) static FAMILIES: &[Family] = &[
    Family {
        about: About::gauge(
            "pullsecret_credential_info",
            [CREDENTIAL, &["username", "token_kind", "token_owner", "token_id"]],
            "for each credential",
            "A credential: one entry of one pull Secret. token_id is a keyed hash, equal for copies of one token.",
        ),
        rows: |snapshot| snapshot.credentials.len(),
        write: |snapshot, row, series| {
            let row = &snapshot.credentials[row];
            let more = [
                ("username", &*row.username),
                ("token_kind", row.token_kind.map_or("", TokenKind::as_str)),
                ("token_owner", &row.token_owner),
                ("token_id", &row.token_id),
            ];
            series.push(&credential_labels(row), &more, Value::ONE);
        },
    },
    Family {
        about: About::gauge(
            "pullsecret_credential_status",
            [CREDENTIAL, &["status"]],
            "for each credential, one series",
            "1 for the one current status of a credential.",
        ),
        rows: |snapshot| snapshot.credentials.len(),
        write: |snapshot, row, series| {
            let row = &snapshot.credentials[row];
            series.push(&credential_labels(row), &[("status", row.status.as_str())], Value::ONE);
        },
    },
    per_credential!(
        "pullsecret_credential_usable",
        "where it is known",
        "Whether images can be pulled with a credential; absent where that is not known.",
        |row| row.status.usable().map(Value::flag)
    ),
    per_credential!(
        "pullsecret_credential_last_probe_timestamp_seconds",
        "after the first exchange",
        "When a credential was last asked about, whatever came of it.",
        |row| row.last_probe_at.map(Value::at)
    ),
    per_credential!(
        "pullsecret_credential_last_verdict_timestamp_seconds",
        "after the first exchange that proved something",
        "When an exchange last proved something about a credential. Exchanges have a schedule of their own, not that of scrapes.",
        |row| row.last_verdict_at.map(Value::at)
    ),
    per_credential!(
        "pullsecret_credential_copies",
        "for each credential",
        "Credentials with the same token and registry, itself included.",
        |row| Some(Value::count(row.copies))
    ),
    per_credential!(
        "pullsecret_credential_workloads",
        "for each credential",
        "Workloads that would present a credential.",
        |row| Some(Value::count(row.workloads))
    ),
    per_credential!(
        "pullsecret_token_expiry_timestamp_seconds",
        "where an expiry is known",
        "When a token expires; absent where no expiry is known.",
        |row| row.expires_at.map(Value::at)
    ),
    per_credential!(
        "pullsecret_token_expiry_known",
        "once the issuer or the token itself told",
        "1 where the expiry of a token is known, 0 where its issuer reports none; absent where nobody could tell yet.",
        |row| row.expiry_known.map(Value::flag)
    ),
    Family {
        about: About::gauge(
            "pullsecret_token_scope_info",
            [CREDENTIAL, &["scope"]],
            "for each scope that the issuer told",
            "A scope of a token, as its issuer tells it.",
        ),
        rows: |snapshot| snapshot.credentials.len(),
        write: |snapshot, row, series| {
            let row = &snapshot.credentials[row];
            let scopes = row.scopes.as_deref().unwrap_or_default();
            for (at, scope) in scopes.iter().enumerate() {
                if !scopes[..at].contains(scope) {
                    series.push(&credential_labels(row), &[("scope", scope)], Value::ONE);
                }
            }
        },
    },
    per_credential!(
        "pullsecret_token_missing_scopes",
        "once the issuer told the scopes",
        "Required scopes that a token lacks; absent where its scopes are not known.",
        |row| row.missing_scopes.as_ref().map(|scopes| Value::count(scopes.len()))
    ),
    per_credential!(
        "pullsecret_token_excess_scopes",
        "once the issuer told the scopes",
        "Scopes of a token past those that are required; absent where its scopes are not known.",
        |row| row.excess_scopes.as_ref().map(|scopes| Value::count(scopes.len()))
    ),
    Family {
        about: About::gauge(
            "pullsecret_finding",
            [CREDENTIAL, &["finding", "severity"]],
            "while it stands",
            "1 while a finding about a pull Secret or one of its credentials stands.",
        ),
        rows: |snapshot| snapshot.credentials.len() + snapshot.findings.len(),
        write: write_findings,
    },
    Family {
        about: About::gauge(
            "pullsecret_reference_broken",
            [WORKLOAD, &["secret_name", "reason"]],
            "while it stands",
            "1 while a workload refers to a Secret that is missing, of the wrong type or malformed.",
        ),
        rows: |snapshot| snapshot.workloads.len(),
        write: |snapshot, row, series| {
            let row = &snapshot.workloads[row];
            for (secret, reason) in broken_references(row) {
                series.push(&workload_labels(row), &[("secret_name", secret), ("reason", reason)], Value::ONE);
            }
        },
    },
    Family {
        about: About::gauge(
            "pullsecret_workload_outlook",
            [WORKLOAD, &["outlook"]],
            "for each workload, one series",
            "1 for the one current outlook of a workload: would its images pull on a fresh node now?",
        ),
        rows: |snapshot| snapshot.workloads.len(),
        write: |snapshot, row, series| {
            let row = &snapshot.workloads[row];
            series.push(&workload_labels(row), &[("outlook", row.outlook.as_str())], Value::ONE);
        },
    },
    Family {
        about: About::gauge(
            "pullsecret_workload_deadline_timestamp_seconds",
            [WORKLOAD, &[]],
            "where a credential that it needs expires",
            "When the last usable credential for some image of a workload expires; absent where none does.",
        ),
        rows: |snapshot| snapshot.workloads.len(),
        write: |snapshot, row, series| {
            let row = &snapshot.workloads[row];
            if let Some(deadline) = row.deadline {
                series.push(&workload_labels(row), &[], Value::at(deadline));
            }
        },
    },
    Family {
        about: About::gauge(
            "pullsecret_workload_pull_failing",
            [WORKLOAD, &["reason"]],
            "while pods wait on a pull, and for 10 minutes after workflow pods vanished while they did",
            "Pods of a workload that wait on a pull right now, and workflow pods that vanished while they did within the last 10 minutes; absent where there are none.",
        ),
        rows: |snapshot| snapshot.workloads.len(),
        write: |snapshot, row, series| {
            let row = &snapshot.workloads[row];
            for (failure, (pods, _)) in row.pull_failing() {
                series.push(&workload_labels(row), &[("reason", failure.as_str())], Value::count(pods));
            }
        },
    },
    Family {
        about: About::gauge(
            "pullsecret_workload_outlook_part",
            [WORKLOAD, &["image", "pull_secrets", "shard", "outlook"]],
            "with several shards, for each image of a workload whose credentials are of more than one",
            "What one of several shards knows of an image of a workload whose credentials are theirs: its outlook by the credentials of this shard, as a part of 1. Parts of one outlook that add up to 1 are the outlook of the image.",
        ),
        rows: |snapshot| snapshot.parts.len(),
        write: |snapshot, row, series| {
            let part = &snapshot.parts[row];
            let more = [
                ("image", &*part.image),
                ("pull_secrets", &part.secrets.join(",")),
                ("shard", &snapshot.daemon.shard.index().to_string()),
                ("outlook", part.outlook.as_str()),
            ];
            series.push(&part_labels(part), &more, Value::Float(share_of(part.shards)));
        },
    },
    single!("pullpatrol_logins", "Distinct logins (registry, user name, password).", |snapshot| Value::count(
        snapshot.daemon.logins
    )),
    single!("pullpatrol_credentials", "Credentials in all pull Secrets.", |snapshot| Value::count(
        snapshot.credentials.len()
    )),
    single!("pullpatrol_pull_secrets", "Pull Secrets.", |snapshot| Value::count(snapshot.daemon.pull_secrets)),
    single!("pullpatrol_workloads", "Workloads, by role.", |snapshot| Value::count(snapshot.workloads.len())),
    per_issuer!(
        "pullpatrol_issuer_rate_limit_remaining",
        "once the issuer told",
        "Requests left in the window of an issuer's rate limit, the lowest seen among tokens.",
        |limit| Value::Count(limit.remaining)
    ),
    per_issuer!(
        "pullpatrol_issuer_rate_limit_limit",
        "once the issuer told",
        "Requests per window of an issuer's rate limit, for the token with the fewest left.",
        |limit| Value::Count(limit.limit)
    ),
    per_issuer!(
        "pullpatrol_issuer_rate_limit_reset_timestamp_seconds",
        "once the issuer told",
        "When the window of an issuer's rate limit ends, for the token with the fewest left.",
        |limit| Value::at(limit.reset)
    ),
    Family {
        about: About::gauge(
            "pullpatrol_issuer_interval_seconds",
            [&["issuer"], &[]],
            "once the issuer told a rate limit",
            "How far apart the usual questions to an issuer about a token are, longer than configured where quota is short.",
        ),
        rows: |snapshot| snapshot.daemon.issuer_intervals.len(),
        write: |snapshot, row, series| {
            let (issuer, interval) = &snapshot.daemon.issuer_intervals[row];
            series.push(&[("issuer", issuer)], &[], Value::Float(interval.as_secs_f64()));
        },
    },
    Family {
        about: About::gauge(
            "pullpatrol_refusals_waiting",
            [&["secret_namespace", "registry"], &[]],
            "while logins of a namespace wait",
            "Logins of a namespace that are due and wait, since many of its logins were refused; absent where none waits.",
        ),
        rows: |snapshot| snapshot.daemon.waiting.len(),
        write: |snapshot, row, series| {
            let waiting = &snapshot.daemon.waiting[row];
            let labels = [("secret_namespace", &*waiting.namespace), ("registry", &waiting.host)];
            series.push(&labels, &[], Value::count(waiting.logins));
        },
    },
    Family {
        about: About::gauge(
            "pullpatrol_shards",
            [&["shard"], &[]],
            ALWAYS,
            "How many processes share the logins; the label tells which of them this is.",
        ),
        rows: |_| 1,
        write: |snapshot, _, series| {
            let shard = snapshot.daemon.shard;
            let count = Value::count(usize::from(shard.count()));
            series.push(&[("shard", &shard.index().to_string())], &[], count);
        },
    },
    Family {
        about: About::gauge(
            "pullpatrol_registry_incident",
            [&["registry"], &[]],
            "for each registry that is listed by name or in use",
            "1 while a registry is suspected of refusing logins as a whole.",
        ),
        rows: |snapshot| snapshot.registries.len(),
        write: |snapshot, row, series| {
            let registry = &snapshot.registries[row];
            series.push(&[("registry", &registry.host)], &[], Value::flag(registry.incident));
        },
    },
    Family {
        about: About::gauge(
            "pullpatrol_registry_up",
            [&["registry"], &[]],
            "after the first exchange",
            "1 when the last exchange of any kind got an answer from a registry; absent before any.",
        ),
        rows: |snapshot| snapshot.registries.len(),
        write: |snapshot, row, series| {
            let registry = &snapshot.registries[row];
            if let Some(up) = registry.up {
                series.push(&[("registry", &registry.host)], &[], Value::flag(up));
            }
        },
    },
    Family {
        about: About::gauge(
            "pullpatrol_permission_missing",
            [&["resource", "verb", "scope"], &[]],
            "while RBAC denies it",
            "1 while RBAC denies a permission; an empty scope means all namespaces.",
        ),
        rows: |snapshot| snapshot.daemon.missing_permissions.len(),
        write: |snapshot, row, series| {
            let missing = &snapshot.daemon.missing_permissions[row];
            let labels = [("resource", missing.resource.as_str()), ("verb", missing.verb), ("scope", &*missing.scope)];
            series.push(&labels, &[], Value::ONE);
        },
    },
    Family {
        about: About::gauge(
            "pullpatrol_inventory_synced",
            [&["resource"], &[]],
            "for each kind that is watched",
            "Whether the first full list of a resource has arrived.",
        ),
        rows: |_| Resource::ALL.len(),
        write: |snapshot, row, series| {
            let resource = Resource::ALL[row];
            let synced = snapshot.daemon.synced.iter().any(|(which, synced)| *which == resource && *synced);
            series.push(&[("resource", resource.as_str())], &[], Value::flag(synced));
        },
    },
    Family {
        about: About::gauge(
            "pullpatrol_clock_skew_seconds",
            [&["host"], &[]],
            "after the first answer with a `Date`",
            "Our clock minus that of a host, by the Date header last seen.",
        ),
        rows: |snapshot| snapshot.daemon.clock_skews.len(),
        write: |snapshot, row, series| {
            let (host, skew) = &snapshot.daemon.clock_skews[row];
            series.push(&[("host", host)], &[], Value::Float(*skew));
        },
    },
];

/// The findings of a credential, or past those, of a Secret without one. A kind stands once per label set, however
/// often it was found: with its worst severity, which is the first.
fn write_findings(snapshot: &Snapshot, row: usize, series: &mut Series<'_>) {
    if let Some(row) = snapshot.credentials.get(row) {
        for (at, finding) in row.findings.iter().enumerate() {
            if !row.findings[..at].iter().any(|earlier| earlier.kind == finding.kind) {
                let more = [("finding", finding.kind.as_str()), ("severity", finding.severity.as_str())];
                series.push(&credential_labels(row), &more, Value::ONE);
            }
        }
        return;
    }
    let secret = &snapshot.findings[row - snapshot.credentials.len()];
    let written = |kind: FindingKind| {
        let same_secret = snapshot.credentials.binary_search_by(|other| {
            let key = (&*other.secret_namespace, &*other.secret_name, &*other.registry);
            key.cmp(&(&secret.secret_namespace, &secret.secret_name, ""))
        });
        same_secret.is_ok_and(|at| snapshot.credentials[at].findings.iter().any(|finding| finding.kind == kind))
    };
    for (at, finding) in secret.findings.iter().enumerate() {
        if !secret.findings[..at].iter().any(|earlier| earlier.kind == finding.kind) && !written(finding.kind) {
            let labels = [
                ("secret_namespace", &*secret.secret_namespace),
                ("secret_name", &secret.secret_name),
                ("registry", ""),
                ("finding", finding.kind.as_str()),
                ("severity", finding.severity.as_str()),
            ];
            series.push(&labels, &[], Value::ONE);
        }
    }
}
