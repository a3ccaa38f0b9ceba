//! Rows of credentials.

use rstest::rstest;

use super::*;

const ALICE: Login<'static> = ("alice", "pw-a");
const BOB: Login<'static> = ("bob", "pw-b");
const NOBODY_AT_ALL: &str = "registry.example.com";

/// One Secret `s` with Alice's credential at ghcr.io, and a pod that pulls `ghcr.io/org/app` with it.
fn alice() -> World {
    let mut world = World::cluster();
    world.secret("a", "s", &[("ghcr.io", ALICE.0, ALICE.1)]);
    world.pod("a", "p", &["s"], &["ghcr.io/org/app:1"]);
    world
}

#[test]
fn a_row_tells_what_is_known() {
    let mut world = alice();
    world.secret("b", "copy", &[("https://ghcr.io/v2/", ALICE.0, ALICE.1)]);
    world.accepts(ALICE);
    let expiry = now() + TimeDelta::days(40);
    let mut facts = scopes(&["read:packages"]);
    (facts.owner, facts.expiry) = (Some("alice-gh".to_owned()), Expiry::At(expiry));
    world.tells(ALICE, facts);
    let row = world.row("s", "ghcr.io");
    assert_eq!((&*row.secret_namespace, &*row.username, &*row.token_owner), ("a", "alice", "alice-gh"));
    assert_eq!(row.token_id.len(), 12);
    assert_eq!((row.status, row.expires_at, row.expiry_known), (Status::Valid, Some(expiry), Some(true)));
    assert_eq!((row.copies, row.workloads, row.entries), (2, 1, 1));
    assert_eq!(row.scopes.as_deref(), Some(&["read:packages".to_owned()][..]));
    assert_eq!((row.missing_scopes.as_deref(), row.excess_scopes.as_deref()), (Some(&[][..]), Some(&[][..])));
    assert!(row.findings.is_empty() && row.severity().is_none() && row.reason().is_empty() && row.fix().is_empty());
    assert_eq!(row.evidence.iter().map(|row| row.kind).collect::<Vec<_>>(), ["login", "issuer"]);
    let copy = world.row("copy", "ghcr.io");
    assert!(Arc::ptr_eq(&copy.evidence, &row.evidence) || copy.evidence == row.evidence);
    assert_eq!((&copy.token_id, copy.copies, copy.workloads), (&row.token_id, 2, 0));
}

#[test]
fn rows_stand_in_order() {
    let mut world = World::new();
    world.secret("b", "x", &[("ghcr.io", "u", "1")]);
    world.secret("a", "y", &[("ghcr.io/z", "u", "1"), ("docker.io", "u", "2"), ("ghcr.io", "u", "3")]);
    world.raw_secret("a", "broken", DOCKERCONFIGJSON_TYPE, "{");
    let rows = world.snapshot().credentials;
    let order: Vec<_> = rows.iter().map(|row| (&*row.secret_namespace, &*row.secret_name, &*row.registry)).collect();
    let expected = [
        ("a", "broken", ""),
        ("a", "y", "docker.io"),
        ("a", "y", "ghcr.io"),
        ("a", "y", "ghcr.io/z"),
        ("b", "x", "ghcr.io"),
    ];
    assert_eq!(order, expected);
}

#[test]
fn a_malformed_secret_has_one_row_without_a_registry() {
    let mut world = World::cluster();
    world.raw_secret("a", "broken", DOCKERCONFIGJSON_TYPE, r#"{"auths":{"ghcr.io":{"auth":"pants"}}}"#);
    world.pod("a", "p", &["broken"], &["ghcr.io/org/app:1"]);
    let row = world.row("broken", "");
    assert_eq!((row.status, row.token_kind, row.workloads), (Status::Malformed, None, 1));
    assert_eq!(kinds(&row), [FindingKind::BadAuthEncoding]);
    assert_eq!(row.severity(), Some(Severity::Critical));
    assert!(row.fix().contains("kubectl -n a delete secret broken"), "{}", row.fix());
    assert!(world.snapshot().findings.is_empty(), "its findings stand in the row");
}

#[test]
fn a_secret_without_a_credential_has_findings_and_no_row() {
    let mut world = World::new();
    world.raw_secret("a", "empty", DOCKERCONFIGJSON_TYPE, r#"{"auths":{}}"#);
    world.raw_secret("a", "opaque", "Opaque", r#"{"auths":{}}"#);
    let snapshot = world.snapshot();
    assert!(snapshot.credentials.is_empty());
    let told: Vec<_> = snapshot.findings.iter().map(|of| (&*of.secret_name, of.findings[0].kind)).collect();
    assert_eq!(told, [("empty", FindingKind::NoEntries), ("opaque", FindingKind::WrongType)]);
}

#[test]
fn statuses_that_need_no_exchange() {
    let mut world = World::new();
    world.secret(
        "a",
        "s",
        &[(NOBODY_AT_ALL, "u", "p"), ("ghcr.io", "", "p"), ("ghcr.io/x", "u", ""), ("gh cr", "u", "p")],
    );
    let status = |registry| world.row("s", registry).status;
    assert_eq!(status(NOBODY_AT_ALL), Status::Ignored);
    assert_eq!((status("ghcr.io"), status("ghcr.io/x")), (Status::Anonymous, Status::Anonymous));
    assert_eq!(world.row("s", "ghcr.io/x").token_id.len(), 0, "an empty password has no id");
    assert_eq!(world.row("s", "ghcr.io").severity(), Some(Severity::Warning));
    assert_eq!(world.row("s", NOBODY_AT_ALL).severity(), None);
    assert_eq!(status("gh cr"), Status::Ignored, "the kubelet skips it");
}

#[test]
fn a_status_is_critical_where_a_workload_needs_the_credential() {
    let mut world = alice();
    world.secret("b", "unused", &[("ghcr.io", ALICE.0, ALICE.1)]);
    world.rejects(ALICE);
    let (used, unused) = (world.row("s", "ghcr.io"), world.row("unused", "ghcr.io"));
    assert_eq!((used.status, used.severity()), (Status::Rejected, Some(Severity::Critical)));
    assert_eq!((unused.status, unused.severity()), (Status::Rejected, Some(Severity::Warning)));
    assert_eq!(
        used.fix(),
        "create a new token and write it into the Secret: kubectl -n a create secret docker-registry s \
         --docker-server=ghcr.io --docker-username=alice --docker-password=\"$NEW_TOKEN\" --dry-run=client -o yaml \
         | kubectl apply -f -"
    );
}

#[test]
fn two_entries_with_one_key_are_one_row_with_the_worse_status() {
    let mut world = World::new();
    world.secret("a", "s", &[("ghcr.io", ALICE.0, ALICE.1), ("https://ghcr.io/v1/", BOB.0, BOB.1)]);
    world.accepts(ALICE);
    world.rejects(BOB);
    let rows = world.snapshot().credentials;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].status, rows[0].entries, &*rows[0].username), (Status::Rejected, 2, "bob"));
    assert_eq!(kinds(&rows[0]), [FindingKind::AmbiguousKey], "once, though both entries have it");
}

#[test]
fn a_denied_repository_that_a_workload_needs_is_forbidden() {
    let mut world = alice();
    world.accepts(ALICE);
    world.access(Some(ALICE), "org/other", false);
    assert_eq!(world.row("s", "ghcr.io").status, Status::Valid, "nobody needs that one");
    world.access(Some(ALICE), "org/app", false);
    let row = world.row("s", "ghcr.io");
    assert_eq!((row.status, row.denied.len()), (Status::Forbidden, 1));
    assert!(row.reason().contains("ghcr.io/org/app") && row.fix().contains("ghcr.io/org/app"));
}

#[test]
fn the_kind_of_token_is_unsupported_until_a_pull_proves_the_opposite() {
    let fine_grained = ("alice", "github_pat_11AAAAAAA0aaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    let mut world = World::cluster();
    world.secret("a", "s", &[("ghcr.io", fine_grained.0, fine_grained.1)]);
    world.pod("a", "p", &["s"], &["ghcr.io/org/app:1"]);
    assert_eq!(world.row("s", "ghcr.io").status, Status::Unsupported);
    world.accepts(fine_grained);
    world.access(Some(fine_grained), "org/app", true);
    assert_eq!(world.row("s", "ghcr.io").status, Status::Unsupported, "the image may be public");
    world.access(None, "org/app", false);
    let row = world.row("s", "ghcr.io");
    assert_eq!(row.status, Status::Valid);
    assert_eq!((row.findings[0].kind, row.findings[0].severity), (FindingKind::UnsupportedTokenKind, Severity::Info));
}

#[test]
fn scopes_are_told_and_judged() {
    let mut world = alice();
    world.accepts(ALICE);
    world.config.issuer.required_scopes = vec!["read:packages".to_owned(), "read:org".to_owned()];
    for _ in 0..2 {
        world.tells(ALICE, scopes(&["repo", "workflow"]));
    }
    let row = world.row("s", "ghcr.io");
    assert_eq!(row.status, Status::InsufficientScope);
    assert_eq!(row.missing_scopes.as_deref(), Some(&["read:org".to_owned(), "read:packages".to_owned()][..]));
    assert_eq!(row.excess_scopes.as_deref(), Some(&["repo".to_owned(), "workflow".to_owned()][..]));
    assert_eq!(kinds(&row), [FindingKind::MissingScopes, FindingKind::ExcessScopes]);
    assert!(!row.findings[0].message.contains("read:packages"), "that one is the status");
    world.tells(ALICE, TokenFacts::default());
    let row = world.row("s", "ghcr.io");
    assert_eq!((&row.scopes, &row.missing_scopes, &row.excess_scopes), (&None, &None, &None), "absent is unknown");
}

#[rstest]
#[case(TimeDelta::days(15), None)]
#[case(TimeDelta::days(14), None)]
#[case(TimeDelta::days(13), Some((Severity::Warning, "in 13 days")))]
#[case(TimeDelta::days(3), Some((Severity::Warning, "in 3 days")))]
#[case(TimeDelta::hours(49), Some((Severity::Critical, "in 2 days")))]
#[case(TimeDelta::minutes(90), Some((Severity::Critical, "in 1 hour")))]
#[case(TimeDelta::seconds(-5), Some((Severity::Critical, "has passed")))]
fn expires_soon(#[case] left: TimeDelta, #[case] expected: Option<(Severity, &str)>) {
    let mut world = alice();
    world.accepts(ALICE);
    world.expires(ALICE, now() + left);
    let row = world.row("s", "ghcr.io");
    assert_eq!(row.status, Status::Valid);
    match expected {
        None => assert!(row.findings.is_empty()),
        Some((severity, words)) => {
            assert_eq!((row.findings[0].kind, row.findings[0].severity), (FindingKind::ExpiresSoon, severity));
            assert!(row.findings[0].message.contains(words), "{}", row.findings[0].message);
        }
    }
}

#[rstest]
#[case(Expiry::Never, Some(false), &[FindingKind::NoExpiry])]
#[case(Expiry::Unreliable, None, &[FindingKind::ExpiryUnreliable])]
#[case(Expiry::NotTold, None, &[])]
fn expiry_without_a_date(#[case] expiry: Expiry, #[case] known: Option<bool>, #[case] findings: &[FindingKind]) {
    let mut world = alice();
    world.accepts(ALICE);
    world.tells(ALICE, TokenFacts { expiry, ..TokenFacts::default() });
    let row = world.row("s", "ghcr.io");
    assert_eq!((row.expires_at, row.expiry_known), (None, known));
    assert_eq!(kinds(&row), findings);
}

#[test]
fn refused_after_its_date_is_expired_and_no_longer_expires_soon() {
    let mut world = alice();
    world.accepts(ALICE);
    world.expires(ALICE, now() - TimeDelta::hours(1));
    world.rejects(ALICE);
    let row = world.row("s", "ghcr.io");
    assert_eq!(row.status, Status::Expired);
    assert!(row.findings.is_empty(), "{:?}", row.findings);
    assert!(row.reason().contains("expired on"));
}

#[test]
fn sso_and_a_disagreeing_issuer_are_findings() {
    let mut world = alice();
    world.accepts(ALICE);
    world.tells(ALICE, TokenFacts { sso_required: true, ..TokenFacts::default() });
    assert_eq!(kinds(&world.row("s", "ghcr.io")), [FindingKind::SsoRequired]);
    for _ in 0..3 {
        world.issuer(ALICE, IssuerAnswer::Disowned);
    }
    let row = world.row("s", "ghcr.io");
    assert_eq!(row.status, Status::Valid);
    assert!(kinds(&row).contains(&FindingKind::IssuerDisagrees));
}

#[test]
fn a_host_that_never_asks_is_a_finding() {
    let mut world = alice();
    world.answers(ALICE, LoginAnswer::NotChecked);
    let row = world.row("s", "ghcr.io");
    assert_eq!((row.status, kinds(&row)), (Status::Unverified, vec![FindingKind::PasswordNotChecked]));
}

#[test]
fn guards_are_findings_that_name_the_key_to_set() {
    use crate::probe::{Guarded, Unproven};
    let mut world = alice();
    world.answers(ALICE, LoginAnswer::Unproven(Unproven::Guarded(Guarded::ForeignRealm("evil.example".to_owned()))));
    let row = world.row("s", "ghcr.io");
    assert_eq!(kinds(&row), [FindingKind::ForeignRealm]);
    assert!(row.findings[0].message.contains("evil.example") && row.findings[0].fix.contains("`realms`"));
    world.answers(ALICE, LoginAnswer::Unproven(Unproven::Guarded(Guarded::PrivateAddress)));
    assert_eq!(kinds(&world.row("s", "ghcr.io")), [FindingKind::PrivateRegistryAddress]);
}

#[rstest]
#[case::same_secret_name("s", "bob")]
#[case::same_user("other", "alice")]
fn a_copy_that_is_out_of_sync(#[case] name: &str, #[case] user: &str) {
    let mut world = alice();
    world.secret("b", name, &[("ghcr.io", user, "pw-new")]);
    world.rejects(ALICE);
    assert!(world.row("s", "ghcr.io").findings.is_empty(), "the other one is not proven to work");
    world.accepts((user, "pw-new"));
    let rows = world.snapshot().credentials;
    let refused = rows.iter().find(|row| &*row.secret_namespace == "a").unwrap();
    assert_eq!(kinds(refused), [FindingKind::OutOfSyncCopy]);
    assert!(refused.findings[0].message.contains(&format!("b/{name}")));
    let works = rows.iter().find(|row| &*row.secret_namespace == "b").unwrap();
    assert!(works.findings.is_empty());
}

#[test]
fn another_entry_of_the_same_secret_is_no_copy() {
    let mut world = World::cluster();
    world.secret("a", "s", &[("ghcr.io", ALICE.0, ALICE.1), ("ghcr.io/org", ALICE.0, "pw-new")]);
    world.rejects(ALICE);
    world.accepts((ALICE.0, "pw-new"));
    assert_eq!(world.row("s", "ghcr.io/org").status, Status::Valid);
    assert!(world.row("s", "ghcr.io").findings.is_empty());
}

#[test]
fn a_working_stranger_is_no_copy() {
    let mut world = alice();
    world.secret("b", "other", &[("ghcr.io", BOB.0, BOB.1)]);
    world.rejects(ALICE);
    world.accepts(BOB);
    assert!(world.row("s", "ghcr.io").findings.is_empty());
}

#[test]
fn an_unusual_key_is_a_finding_until_a_workload_matches_it() {
    let mut world = World::cluster();
    world.secret("a", "s", &[("ghcr.io:443", "u", "p")]);
    assert_eq!(kinds(&world.row("s", "ghcr.io:443")), [FindingKind::UnusualKey]);
    world.pod("a", "p", &["s"], &["ghcr.io:443/org/app"]);
    let row = world.row("s", "ghcr.io:443");
    assert_eq!((row.workloads, row.findings.len()), (1, 0));
}

#[test]
fn findings_stand_worst_first() {
    let mut world = alice();
    world.accepts(ALICE);
    let mut facts = scopes(&["read:packages", "repo"]);
    (facts.sso_required, facts.expiry) = (true, Expiry::At(now() + TimeDelta::days(1)));
    world.tells(ALICE, facts);
    let order = [FindingKind::ExpiresSoon, FindingKind::SsoRequired, FindingKind::ExcessScopes];
    assert_eq!(kinds(&world.row("s", "ghcr.io")), order);
}

#[test]
fn every_finding_has_a_message_and_a_fix_of_one_line() {
    let mut world = alice();
    world.secret("b", "s", &[("ghcr.io", BOB.0, BOB.1), ("https://ghcr.io", "x", "y")]);
    world.accepts(BOB);
    world.accepts(("x", "y"));
    world.rejects(ALICE);
    for password in [BOB, ("x", "y")] {
        let mut facts = scopes(&["repo"]);
        (facts.sso_required, facts.expiry) = (true, Expiry::Unreliable);
        world.tells(password, facts);
    }
    let rows = world.snapshot().credentials;
    let findings: Vec<_> = rows.iter().flat_map(|row| row.findings.iter()).collect();
    assert!(findings.len() >= 4, "{findings:?}");
    for finding in findings {
        for text in [&finding.message, &finding.fix] {
            assert!(!text.is_empty() && !text.contains('\n'), "{finding:?}");
            assert!(!text.contains("pw-"), "no password in {finding:?}");
        }
    }
}

#[test]
fn a_docker_config_is_mended_with_docker_login() {
    let mut world = World::new();
    world.secret("", "/root/.docker/config.json", &[("ghcr.io", ALICE.0, ALICE.1)]);
    world.rejects(ALICE);
    let row = world.row("/root/.docker/config.json", "ghcr.io");
    assert_eq!((&*row.secret_namespace, row.fix().as_str()), ("", "docker login ghcr.io"));
}
