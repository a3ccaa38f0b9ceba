//! Rows of workloads.

use super::*;
use crate::config::NamedSecret;

const ALICE: Login<'static> = ("alice", "pw-a");
const BOB: Login<'static> = ("bob", "pw-b");
const IMAGE: &str = "ghcr.io/org/app:1";

/// A pod that names the Secrets `first` (Alice) and `second` (Bob), in a cluster.
fn two() -> World {
    let mut world = World::cluster();
    world.secret("a", "first", &[("ghcr.io", ALICE.0, ALICE.1)]);
    world.secret("a", "second", &[("ghcr.io", BOB.0, BOB.1)]);
    world.pod("a", "p", &["first", "second"], &[IMAGE]);
    world
}

/// A pod without a pull Secret.
fn bare() -> World {
    let mut world = World::cluster();
    world.pod("a", "p", &[], &[IMAGE]);
    world
}

fn grant(world: &mut World, login: Login<'_>) {
    world.accepts(login);
    world.access(Some(login), "org/app", true);
}

#[test]
fn nothing_proven_is_unverified() {
    let row = two().workload("p");
    assert_eq!((row.outlook, row.deadline), (Outlook::Unverified, None));
    assert!(row.reason.contains("first, second"), "{}", row.reason);
    assert!(!row.unverified_by_choice());
    let order: Vec<_> = row.images[0].credentials.iter().map(|one| &*one.secret_name).collect();
    assert_eq!(order, ["first", "second"]);
}

#[test]
fn an_accepted_login_alone_is_unverified() {
    let mut world = two();
    world.accepts(ALICE);
    assert_eq!(world.workload("p").outlook, Outlook::Unverified);
}

#[test]
fn a_granted_access_is_ok() {
    let mut world = two();
    grant(&mut world, ALICE);
    let row = world.workload("p");
    assert_eq!((row.outlook, &*row.reason, &*row.fix), (Outlook::Ok, "", ""));
    assert!(row.severity().is_none() && row.findings.is_empty());
    assert_eq!(row.images[0].credentials[0].status, Status::Valid);
}

#[test]
fn all_that_match_fail_is_blocked_though_the_image_is_public() {
    let mut world = two();
    world.rejects(ALICE);
    world.accepts(BOB);
    world.access(Some(BOB), "org/app", false);
    world.access(None, "org/app", true);
    let row = world.workload("p");
    assert_eq!((row.outlook, row.severity()), (Outlook::Blocked, Some(Severity::Critical)));
    assert!(row.reason.contains("first (rejected), second (forbidden)"), "{}", row.reason);
    assert!(row.fix.contains("kubectl -n a create secret docker-registry first"), "{}", row.fix);
}

#[test]
fn one_that_fails_beside_one_unknown_is_unverified() {
    let mut world = two();
    world.rejects(ALICE);
    assert_eq!(world.workload("p").outlook, Outlook::Unverified);
}

#[test]
fn pulled_only_because_a_later_credential_works() {
    let mut world = two();
    world.rejects(ALICE);
    grant(&mut world, BOB);
    let row = world.workload("p");
    assert_eq!(row.outlook, Outlook::Ok);
    assert_eq!(row.findings[0].kind, FindingKind::LaterCredentialOnly);
    assert!(kinds(&world.row("first", "ghcr.io")).contains(&FindingKind::LaterCredentialOnly));
    assert!(!kinds(&world.row("second", "ghcr.io")).contains(&FindingKind::LaterCredentialOnly));
}

#[test]
fn an_unknown_first_credential_is_no_finding() {
    let mut world = two();
    grant(&mut world, BOB);
    let row = world.workload("p");
    assert_eq!((row.outlook, row.findings.len()), (Outlook::Ok, 0));
}

#[test]
fn no_credential_and_not_public_is_uncovered() {
    let mut world = bare();
    assert_eq!(world.workload("p").outlook, Outlook::Unverified);
    world.access(None, "org/app", false);
    let row = world.workload("p");
    assert_eq!((row.outlook, row.severity()), (Outlook::Uncovered, Some(Severity::Warning)));
    assert!(row.fix.contains("kubectl -n a create secret docker-registry NAME"), "{}", row.fix);
    world.secret("a", "unused", &[("ghcr.io", ALICE.0, ALICE.1)]);
    world.accepts(ALICE);
    let fix = world.workload("p").fix;
    assert!(fix.starts_with("the Secret unused of this namespace would cover it"), "{fix}");
    world.access(None, "org/app", true);
    assert_eq!(world.workload("p").outlook, Outlook::Ok);
}

#[test]
fn an_anonymous_credential_pulls_as_nobody() {
    let mut world = World::cluster();
    world.secret("a", "s", &[("ghcr.io", "", "pw")]);
    world.pod("a", "p", &["s"], &[IMAGE]);
    assert_eq!(world.workload("p").outlook, Outlook::Unverified);
    world.access(None, "org/app", false);
    assert_eq!(world.workload("p").outlook, Outlook::Blocked);
    world.access(None, "org/app", true);
    assert_eq!(world.workload("p").outlook, Outlook::Ok);
}

#[test]
fn an_image_that_does_not_parse_is_unknown() {
    let mut world = World::cluster();
    world.pod("a", "p", &[], &["ghcr.io/Org/App"]);
    let row = world.workload("p");
    assert_eq!(row.outlook, Outlook::Unknown);
    assert!(row.reason.contains("is no image name"), "{}", row.reason);
}

#[test]
fn a_malformed_secret_blocks_every_image() {
    let mut world = two();
    world.raw_secret("a", "broken", DOCKERCONFIGJSON_TYPE, "{");
    world.pod("a", "poisoned", &["first", "broken"], &[IMAGE, "docker.io/library/nginx"]);
    grant(&mut world, ALICE);
    let row = world.workload("poisoned");
    assert!(row.images.iter().all(|image| image.outlook == Outlook::Blocked));
    assert_eq!(row.broken_references, [("broken".into(), "malformed")]);
    assert!(row.fix.contains("delete secret broken"), "{}", row.fix);
    assert_eq!(world.row("broken", "").workloads, 1);
}

#[test]
fn references_that_are_broken() {
    let mut world = bare();
    world.raw_secret("a", "opaque", "Opaque", "{}");
    world.pod("a", "q", &["gone", "opaque"], &[IMAGE]);
    world.access(None, "org/app", true);
    let row = world.workload("q");
    assert_eq!(row.broken_references, [("gone".into(), "not_found"), ("opaque".into(), "wrong_type")]);
    assert_eq!((row.outlook, row.severity()), (Outlook::Ok, Some(Severity::Warning)), "neither stops a pull");
}

#[test]
fn an_absent_secret_proves_nothing_where_it_could_not_be_seen() {
    let absent = |change: &dyn Fn(&mut World), name: &str| {
        let mut world = World::cluster();
        world.pod("a", "p", &[name], &[IMAGE]);
        world.access(None, "org/app", false);
        change(&mut world);
        let row = world.workload("p");
        (row.outlook, row.broken_references.len())
    };
    assert_eq!(absent(&|_| (), "gone"), (Outlook::Uncovered, 1));
    let unseen = (Outlook::Unverified, 0);
    assert_eq!(absent(&|world| world.inventory.origin = Origin::Files, "gone"), unseen);
    assert_eq!(absent(&|world| world.inventory.synced.clear(), "gone"), unseen);
    assert_eq!(absent(&|world| world.config.scope.namespaces = vec!["b".to_owned()], "gone"), unseen);
    assert_eq!(absent(&|world| world.config.scope.exclude_namespaces = vec!["a".to_owned()], "gone"), unseen);
    assert_eq!(absent(&|world| world.config.scope.read_secrets = false, "gone"), unseen);
    let only = |name: &str| NamedSecret { namespace: "a".to_owned(), name: name.to_owned() };
    assert_eq!(absent(&|world| world.config.scope.secrets = vec![only("other")], "gone"), unseen, "nobody looked");
    assert_eq!(absent(&|world| world.config.scope.secrets = vec![only("gone")], "gone"), (Outlook::Uncovered, 1));
    assert_eq!(absent(&|_| (), "runner-abcde-secret-0123abcd"), unseen, "a Secret of one job");
    let denied = crate::cluster::MissingPermission::new(Resource::Secrets, "list", "");
    let deny = |world: &mut World| world.inventory.missing_permissions.extend([denied.clone()]);
    assert_eq!(absent(&deny, "gone"), unseen);
    let named = |name: &'static str| {
        let denied = crate::cluster::MissingPermission::new(Resource::Secrets, "list", "a").of(name);
        move |world: &mut World| world.inventory.missing_permissions.extend([denied.clone()])
    };
    assert_eq!(absent(&named("gone"), "gone"), unseen);
    assert_eq!(absent(&named("other"), "gone"), (Outlook::Uncovered, 1), "a refusal of another one");
}

#[test]
fn a_secret_that_is_not_among_the_manifests_leaves_a_failing_one_unverified() {
    let mut world = two();
    world.inventory.origin = Origin::Files;
    world.pod("a", "q", &["first", "elsewhere"], &[IMAGE]);
    world.rejects(ALICE);
    assert_eq!(world.workload("q").outlook, Outlook::Unverified);
}

#[test]
fn a_registry_off_the_list_is_unverified_by_choice() {
    let mut world = World::cluster();
    world.secret("a", "s", &[("registry.example.com", "u", "p")]);
    world.pod("a", "p", &["s"], &["registry.example.com/app"]);
    world.pod("a", "q", &[], &["registry.example.com/app"]);
    world.pod("a", "r", &[], &["registry.example.com/app", IMAGE]);
    assert!(world.workload("p").unverified_by_choice());
    assert!(world.workload("q").unverified_by_choice());
    assert!(!world.workload("r").unverified_by_choice());
    assert!(world.workload("q").fix.contains("--registry registry.example.com"));
}

#[test]
fn what_nodes_can_pull_is_ok() {
    let mut world = two();
    world.rejects(ALICE);
    world.rejects(BOB);
    assert_eq!(world.workload("p").outlook, Outlook::Blocked);
    for globs in [["ghcr.io/org"], ["ghcr.io/org/*"], ["*.io"]] {
        world.config.scope.node_credentials = globs.map(str::to_owned).to_vec();
        let row = world.workload("p");
        assert_eq!((row.outlook, row.deadline), (Outlook::Ok, None), "{globs:?}");
        assert_eq!(row.findings[0].kind, FindingKind::LaterCredentialOnly);
    }
    world.config.scope.node_credentials = vec!["ghcr.io/other".to_owned()];
    assert_eq!(world.workload("p").outlook, Outlook::Blocked);
}

#[test]
fn the_deadline_is_the_last_of_the_working_credentials() {
    let day = |days| now() + TimeDelta::days(days);
    let mut world = two();
    grant(&mut world, ALICE);
    world.expires(ALICE, day(10));
    assert_eq!(world.workload("p").deadline, Some(day(10)));
    grant(&mut world, BOB);
    assert_eq!(world.workload("p").deadline, None, "one that works has no known date");
    world.expires(BOB, day(20));
    assert_eq!(world.workload("p").deadline, Some(day(20)));
    world.access(Some(BOB), "org/app", false);
    assert_eq!(world.workload("p").deadline, Some(day(10)), "one that is denied does not count");
}

#[test]
fn the_deadline_is_the_earliest_over_the_images() {
    let day = |days| now() + TimeDelta::days(days);
    let mut world = World::cluster();
    world.secret("a", "first", &[("ghcr.io/org", ALICE.0, ALICE.1), ("ghcr.io/other", BOB.0, BOB.1)]);
    world.pod("a", "p", &["first"], &[IMAGE, "ghcr.io/other/app", "ghcr.io/public/app"]);
    grant(&mut world, ALICE);
    world.expires(ALICE, day(10));
    world.accepts(BOB);
    world.access(Some(BOB), "other/app", true);
    world.expires(BOB, day(5));
    world.access(None, "public/app", true);
    let row = world.workload("p");
    assert_eq!((row.outlook, row.deadline), (Outlook::Ok, Some(day(5))));
}

#[test]
fn the_worst_image_decides_and_the_others_are_counted() {
    let mut world = World::cluster();
    world.secret("a", "s", &[("ghcr.io", ALICE.0, ALICE.1)]);
    world.pod("a", "p", &["s"], &[IMAGE, "ghcr.io/org/b", "docker.io/library/nginx"]);
    world.rejects(ALICE);
    let row = world.workload("p");
    assert_eq!(row.outlook, Outlook::Blocked);
    assert!(row.reason.ends_with("(and 1 more of its images)"), "{}", row.reason);
}

#[test]
fn workloads_stand_in_the_order_of_their_keys() {
    let mut world = World::cluster();
    for (namespace, name) in [("b", "x"), ("a", "z"), ("a", "y")] {
        world.pod(namespace, name, &[], &[IMAGE]);
    }
    let rows = world.snapshot().workloads;
    assert_eq!(rows.iter().map(|row| &*row.key.name).collect::<Vec<_>>(), ["y", "z", "x"]);
}

#[test]
fn a_user_name_stands_quoted_in_a_command() {
    let mut world = World::cluster();
    world.secret("a", "s", &[("ghcr.io", "a'; rm -rf /", "p")]);
    world.rejects(("a'; rm -rf /", "p"));
    assert!(world.row("s", "ghcr.io").fix().contains(r"--docker-username='a'\''; rm -rf /'"));
}

#[test]
fn an_open_registry_is_ok_where_the_pull_was_seen() {
    let mut world = two();
    world.answers(ALICE, LoginAnswer::NotChecked);
    world.access(Some(ALICE), "org/app", true);
    let row = world.workload("p");
    assert_eq!((row.outlook, row.images[0].credentials[0].status), (Outlook::Ok, Status::Unverified));
}
