//! What all faces say in the same words.

use chrono::TimeDelta;
use pull_patrol::cluster::missing_rules;
use pull_patrol::credential::{Finding, FindingKind, Severity};
use pull_patrol::outlook::view::{
    HealthState, credentials_by_urgency, expiry, health, relative, why, workloads_by_urgency, worst_severity,
};
use pull_patrol::outlook::{CredentialRow, Outlook, Snapshot};
use pull_patrol::verdict::Status;

use crate::faces_fixture::{credential, now, telling, workload};

#[test]
fn distances_in_time() {
    for (delta, expected) in [
        (TimeDelta::zero(), "now"),
        (TimeDelta::milliseconds(-900), "now"),
        (TimeDelta::seconds(119), "in 119 s"),
        (TimeDelta::minutes(-2), "2 min ago"),
        (TimeDelta::minutes(119), "in 119 min"),
        (TimeDelta::hours(-2), "2 h ago"),
        (TimeDelta::hours(47), "in 47 h"),
        (TimeDelta::days(2), "in 2 d"),
        (TimeDelta::days(-400), "400 d ago"),
    ] {
        assert_eq!(relative(now() + delta, now()), expected);
    }
}

#[test]
fn an_expiry_that_is_not_known_is_not_never() {
    let row = |expires_at, expiry_known| {
        let mut row = credential("a", "b", "c", Status::Valid);
        row.expires_at = expires_at;
        row.expiry_known = expiry_known;
        row
    };
    assert_eq!(expiry(&row(None, None), now()), "unknown");
    assert_eq!(expiry(&row(None, Some(false)), now()), "never");
    assert_eq!(expiry(&row(Some(now() + TimeDelta::days(3)), Some(true)), now()), "2026-11-27 (in 3 d)");
}

#[test]
fn every_status_but_a_plain_valid_one_says_why() {
    for status in Status::ALL {
        let said = why(&credential("ci", "s", "ghcr.io", status));
        assert_eq!(said.is_empty(), status == Status::Valid, "{}: {said}", status.as_str());
    }
}

#[test]
fn severity_follows_use() {
    for status in Status::ALL {
        let unused = credential("ci", "s", "ghcr.io", status);
        let used = CredentialRow { workloads: 1, ..unused.clone() };
        let expected = match status {
            Status::Anonymous => (Some(Severity::Warning), Some(Severity::Warning)),
            Status::Valid | Status::Unverified | Status::Ignored => (None, None),
            _ => (Some(Severity::Warning), Some(Severity::Critical)),
        };
        assert_eq!((unused.severity(), used.severity()), expected, "{}", status.as_str());
    }
    let mut row = credential("ci", "s", "ghcr.io", Status::Valid);
    row.findings =
        [Finding::new(FindingKind::NoExpiry, "m", "f"), Finding::new(FindingKind::StaleAuth, "m", "f")].into();
    assert_eq!(row.severity(), Some(Severity::Warning));
    let mut broken = workload("w", Outlook::Ok, "s", Status::Valid);
    assert_eq!(broken.severity(), None);
    broken.broken_references = vec![("gone".into(), "not_found")];
    assert_eq!(broken.severity(), Some(Severity::Warning));
    assert_eq!(worst_severity(&Snapshot::default()), None);
    assert_eq!(worst_severity(&telling()), Some(Severity::Critical));
}

#[test]
fn the_nearest_expiry_comes_first_among_equals() {
    let row = |name: &str, days: Option<i64>| {
        let mut row = credential("ci", name, "ghcr.io", Status::Valid);
        row.expires_at = days.map(|days| now() + TimeDelta::days(days));
        row
    };
    let credentials = vec![
        row("a-unknown", None),
        row("b-later", Some(90)),
        row("c-sooner", Some(30)),
        credential("ci", "d-revoked", "ghcr.io", Status::Rejected),
        credential("ci", "e-ignored", "x.example", Status::Ignored),
        credential("ci", "f-unverified", "ghcr.io", Status::Unverified),
    ];
    let snapshot = Snapshot { credentials, ..Snapshot::default() };
    let order: Vec<_> = credentials_by_urgency(&snapshot).iter().map(|row| row.secret_name.to_string()).collect();
    assert_eq!(order, ["d-revoked", "f-unverified", "c-sooner", "b-later", "a-unknown", "e-ignored"]);

    let mut near = workload("near", Outlook::Ok, "s", Status::Valid);
    near.deadline = Some(now() + TimeDelta::days(2));
    let workloads = vec![
        workload("fine", Outlook::Ok, "s", Status::Valid),
        near,
        workload("open", Outlook::Unverified, "s", Status::Unverified),
        workload("dead", Outlook::Blocked, "s", Status::Rejected),
    ];
    let snapshot = Snapshot { workloads, ..Snapshot::default() };
    let order: Vec<_> = workloads_by_urgency(&snapshot).iter().map(|row| row.key.name.to_string()).collect();
    assert_eq!(order, ["dead", "open", "near", "fine"]);
}

#[test]
fn missing_permissions_become_rules_to_paste() {
    let snapshot = telling();
    let rules: Vec<String> =
        missing_rules(&snapshot.daemon.missing_permissions).iter().map(ToString::to_string).collect();
    assert_eq!(
        rules,
        [
            "add to the rules of the Role in namespace kube-system: - {apiGroups: [\"\"], resources: [\"pods\"], verbs: [\"list\"]}",
            "add to the rules of the ClusterRole: - {apiGroups: [\"\"], resources: [\"serviceaccounts\"], verbs: [\"list\", \"watch\"]}",
        ]
    );
    let rule = rules[1].split_once("- ").map(|(_, rule)| rule).unwrap_or_default();
    let parsed: serde_json::Value = serde_saphyr::from_str(rule).expect("the rule is YAML");
    assert_eq!(parsed["verbs"], serde_json::json!(["list", "watch"]));
}

#[test]
fn a_registry_that_was_not_asked_is_not_called_well() {
    let snapshot = telling();
    let state =
        |subject: &str| health(&snapshot).into_iter().find(|line| line.subject == subject).map(|line| line.state);
    assert_eq!(state("registry ghcr.io"), Some(HealthState::Good));
    assert_eq!(state("registry quay.io"), Some(HealthState::Unknown));
    assert_eq!(state("registry registry.example.com:5000"), Some(HealthState::Bad(Severity::Critical)));
    assert_eq!(state("clock against api.github.com"), Some(HealthState::Good));
    assert_eq!(state("clock against ghcr.io"), Some(HealthState::Bad(Severity::Warning)));
}
