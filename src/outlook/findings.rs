//! Findings that need more than the text of a Secret, in words.

use std::cmp::Reverse;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::live;
use crate::credential::{Finding, FindingKind, Severity};
use crate::workload::{Hanging, WorkloadKey};

/// How long before its expiry a token becomes critical.
const IMMINENT: TimeDelta = TimeDelta::days(3);

/// Worst first; within a severity in the order of the published list.
pub(super) fn sort(findings: &mut Vec<Finding>) {
    findings.sort_by(|a, b| (Reverse(a.severity), a.kind, &a.message).cmp(&(Reverse(b.severity), b.kind, &b.message)));
    findings.dedup_by(|a, b| a.kind == b.kind && a.message == b.message);
}

pub(super) fn issuer_disagrees(host: &str, disowned: bool) -> Finding {
    let (message, fix) = if disowned {
        (
            format!("{host} accepts the login, but the token's issuer does not know the token any more"),
            "expect it to stop working: create a new token and write it into every copy of the Secret",
        )
    } else {
        (
            format!("{host} refuses the login, but the token's issuer says that the token lives"),
            "compare user name and password with a `docker login`, and look for an incident of the registry",
        )
    };
    Finding::new(FindingKind::IssuerDisagrees, message, fix)
}

pub(super) fn password_not_checked(host: &str) -> Finding {
    Finding::new(
        FindingKind::PasswordNotChecked,
        format!("{host} let us in without asking for the password, so nothing is known of it"),
        "nothing to do where the registry is open; else look whether the host is a registry at all",
    )
}

pub(super) fn foreign_realm(host: &str, realm: &str) -> Finding {
    Finding::new(
        FindingKind::ForeignRealm,
        format!(
            "{host} points its token service or a redirect at {realm}, which is not on the list; nothing was sent there"
        ),
        match realm.strip_prefix("http://") {
            _ if realm.contains(' ') => "ask whoever runs the registry to mend its answer".to_owned(),
            None => format!("if that is right, add {realm} to `realms` of {host} in the config file"),
            Some(realm) => format!(
                "prefer https there; if plain HTTP is right, add {realm} to `realms` of {host} in the config file and \
                 set `plainHttp: true`"
            ),
        },
    )
}

pub(super) fn private_registry_address(host: &str) -> Finding {
    Finding::new(
        FindingKind::PrivateRegistryAddress,
        format!("{host} resolves to a loopback, link-local or private address, which is not allowed; it was not asked"),
        format!("if that is right, set `allowPrivateAddresses: true` for {host} in the config file"),
    )
}

pub(super) fn no_expiry() -> Finding {
    Finding::new(
        FindingKind::NoExpiry,
        "the token never expires",
        "prefer a token with an expiry, and let this be the reminder to rotate it",
    )
}

pub(super) fn expiry_unreliable() -> Finding {
    Finding::new(
        FindingKind::ExpiryUnreliable,
        "the issuer told an expiry at or before the very answer that accepted the token, so it is not believed",
        "look up the expiry where the token was issued",
    )
}

/// `None` while the expiry is further away than `warn_before`.
pub(super) fn expires_soon(at: DateTime<Utc>, now: DateTime<Utc>, warn_before: Duration) -> Option<Finding> {
    let left = at.signed_duration_since(now);
    let warn_before = TimeDelta::from_std(warn_before).unwrap_or(TimeDelta::MAX);
    if left >= warn_before.max(IMMINENT) {
        return None;
    }
    let date = at.format("%Y-%m-%d %H:%M UTC");
    let message = if left <= TimeDelta::zero() {
        format!("the token's expiry, {date}, has passed")
    } else {
        format!("the token expires on {date}, in {}", words_of(left))
    };
    let fix = "create a new token and write it into every copy of the Secret before that date";
    let mut finding = Finding::new(FindingKind::ExpiresSoon, message, fix);
    if left < IMMINENT {
        finding.severity = Severity::Critical;
    }
    Some(finding)
}

fn words_of(left: TimeDelta) -> String {
    let (n, unit) = match (left.num_days(), left.num_hours()) {
        (0, 0) => (left.num_minutes().max(1), "minute"),
        (0, hours) => (hours, "hour"),
        (days, _) => (days, "day"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

pub(super) fn sso_required() -> Finding {
    Finding::new(
        FindingKind::SsoRequired,
        "an organisation demands that its single sign-on authorises the token, and it is not authorised",
        "in GitHub's settings, under the token, choose `Configure SSO` and authorise the organisation",
    )
}

pub(super) fn missing_scopes(lacking: &[&str]) -> Finding {
    Finding::new(
        FindingKind::MissingScopes,
        format!("the token lacks the required scopes {}", lacking.join(", ")),
        "add the scopes to the token where it was issued, or take them out of `issuer.requiredScopes`",
    )
}

pub(super) fn excess_scopes(excess: &[String]) -> Finding {
    Finding::new(
        FindingKind::ExcessScopes,
        format!("the token may do more than pulling needs: {}", excess.join(", ")),
        "create a token with read:packages alone for pulling",
    )
}

pub(super) fn out_of_sync_copy(working: &str) -> Finding {
    Finding::new(
        FindingKind::OutOfSyncCopy,
        format!("refused here, while the copy in {working} holds a token that works"),
        format!("write the token of {working} into this Secret"),
    )
}

pub(super) fn later_credential_only(first: &str, image: &str, later: &str) -> Finding {
    Finding::new(
        FindingKind::LaterCredentialOnly,
        format!("{image} is pulled only because a later credential works: {first} fails first, then {later} is tried"),
        format!("mend the credential of {first}, or remove it where it is not needed"),
    )
}

pub(super) fn live_pull_contradicts(image: &str, pods: usize, seen: &str, said: &str, namespace: &str) -> Finding {
    let waits = if pods == 1 { "1 pod waits".to_owned() } else { format!("{pods} pods wait") };
    Finding::new(
        FindingKind::LivePullContradicts,
        format!("{waits} on {image}: {seen} when the node pulled, while by our own exchanges {said}"),
        format!(
            "right after a change this passes: the kubelet tries again within 5 minutes. If it stays, read the whole error \
             (kubectl -n {namespace} get events --field-selector reason=Failed) and look at what only nodes go through: a \
             mirror or a proxy of the runtime, its own credentials, another address of the registry"
        ),
    )
}

pub(super) fn runners_pending(key: &WorkloadKey, image: &str, hanging: &Hanging) -> Finding {
    let count = hanging.runners.len();
    let (runners, hang, pods, stay) = match count {
        1 => ("runner", "hangs", "its pod waits", "it stays"),
        _ => ("runners", "hang", "their pods wait", "they stay"),
    };
    let says = match &*hanging.says {
        "" => String::new(),
        says => format!(" (its controller says: {says})"),
    };
    Finding::new(
        FindingKind::RunnersPending,
        format!(
            "{count} {runners} {hang} in Pending because {pods} on {image}: a pull that fails is no failure to the \
             controller, so {stay} Pending for ever and none of them fails by itself{says}"
        ),
        format!(
            "where a Secret is mended they go on within 5 minutes. Where the template of the scale set is, they keep the old \
             one, and with `updateStrategy: eventual` they can hold the new one up until they are deleted: {}",
            live::delete_runners(key, hanging)
        ),
    )
}

pub(super) fn ambiguous_key(entries: usize) -> Finding {
    Finding::new(
        FindingKind::AmbiguousKey,
        format!(
            "{entries} entries of this Secret mean the same registry key: the order in which they are tried is random"
        ),
        "keep one of the entries",
    )
}
