//! Which changes are told: by the real rooms for the common ways, by rows made up for the rest.

use proptest::prelude::*;
use rstest::rstest;

use super::{GHCR, World, now, scopes};
use crate::outlook::changes::{Change, Changes, Reason};
use crate::outlook::{CredentialRow, RegistryRow, Snapshot};
use crate::probe::{AccessAnswer, Expiry, TokenFacts};
use crate::verdict::Status;
use chrono::{DateTime, TimeDelta, Utc};

const USER: (&str, &str) = ("octocat", "ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");

/// Before every piece of evidence of a [`World`].
fn started() -> DateTime<Utc> {
    now() - TimeDelta::days(2)
}

fn changes(world: &World) -> Changes {
    Changes::new(world.registries(), started())
}

fn reasons(told: &[Change]) -> Vec<Reason> {
    told.iter().map(|change| change.reason).collect()
}

/// A cluster with one Secret, `a/pull`, and the same one as control that works.
fn world() -> World {
    let mut world = World::cluster();
    world.secret("a", "pull", &[(GHCR, USER.0, USER.1)]);
    world.secret("a", "control", &[(GHCR, "control", "control")]);
    world.accepts(("control", "control"));
    world
}

#[test]
fn a_rejection_is_told_once_and_so_is_the_recovery() {
    let mut world = world();
    let mut changes = changes(&world);
    assert_eq!(changes.follow(&world.snapshot()), []);
    world.accepts(USER);
    assert_eq!(changes.follow(&world.snapshot()), [], "what works is no news");
    world.rejects(USER);
    let told = changes.follow(&world.snapshot());
    assert_eq!(reasons(&told), [Reason::CredentialRejected]);
    let change = &told[0];
    assert_eq!((&*change.secret_namespace, &*change.secret_name, &*change.registry), ("a", "pull", GHCR));
    assert_eq!(
        change.message,
        "credential for ghcr.io: the registry refuses it: revoked, wrong, or expired without a known date; no workload \
         would present it. Fix: create a new token and write it into the Secret: kubectl -n a create secret \
         docker-registry pull --docker-server=ghcr.io --docker-username=octocat --docker-password=\"$NEW_TOKEN\" \
         --dry-run=client -o yaml | kubectl apply -f -"
    );
    assert_eq!(changes.follow(&world.snapshot()), [], "the same is no change");
    world.accepts(USER);
    let told = changes.follow(&world.snapshot());
    assert_eq!(reasons(&told), [Reason::CredentialRecovered]);
    assert_eq!(told[0].message, "credential for ghcr.io: works now; it was rejected before");
    assert_eq!(changes.follow(&world.snapshot()), []);
}

#[test]
fn a_refusal_that_is_not_proven_is_not_told() {
    let mut world = world();
    let mut changes = changes(&world);
    world.accepts(USER);
    world.answers(USER, crate::probe::LoginAnswer::Refused);
    assert_eq!(changes.follow(&world.snapshot()), []);
}

#[test]
fn a_denial_names_what_is_denied_and_a_lacking_scope_the_scope() {
    let mut world = world();
    let image = |n: usize| format!("ghcr.io/acme/app-{n}:v1");
    let images: Vec<String> = (0..5).map(image).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    world.pod("a", "web", &["pull"], &images);
    let mut changes = changes(&world);
    world.accepts(USER);
    for n in 0..5 {
        world.access(Some(("control", "control")), "acme/other", true);
        world.access(Some(USER), &format!("acme/app-{n}"), false);
        world.accepts(USER);
    }
    let told = changes.follow(&world.snapshot());
    assert_eq!(reasons(&told), [Reason::CredentialForbidden]);
    let message = &told[0].message;
    for words in
        ["it may not pull ghcr.io/acme/app-0, ghcr.io/acme/app-1", " and 2 more; 1 workload would", "Fix: give"]
    {
        assert!(message.contains(words), "{message}");
    }
    assert!(!message.contains("app-4"), "{message}");

    world.tells(USER, scopes(&["repo"]));
    world.tells(USER, scopes(&["repo"]));
    let told = changes.follow(&world.snapshot());
    assert_eq!(reasons(&told), [Reason::CredentialScopeInsufficient]);
    assert!(told[0].message.contains("read:packages"), "{}", told[0].message);
}

#[test]
fn an_expiry_is_told_when_it_comes_near_and_when_it_is_imminent() {
    let mut world = world();
    let mut changes = changes(&world);
    world.accepts(USER);
    let days = |days| TokenFacts { expiry: Expiry::At(now() + TimeDelta::days(days)), ..TokenFacts::default() };
    world.tells(USER, days(40));
    assert_eq!(changes.follow(&world.snapshot()), []);
    world.tells(USER, days(10));
    let told = changes.follow(&world.snapshot());
    assert_eq!(reasons(&told), [Reason::TokenExpiringSoon]);
    assert!(told[0].message.contains("the token expires on 2024-10-14 00:00 UTC, in 10 days"), "{}", told[0].message);
    assert!(told[0].message.contains("Fix: create a new token"), "{}", told[0].message);
    world.tells(USER, days(9));
    assert_eq!(changes.follow(&world.snapshot()), [], "one day less is no change");
    world.tells(USER, days(2));
    assert_eq!(reasons(&changes.follow(&world.snapshot())), [Reason::TokenExpiringSoon]);
    assert_eq!(changes.follow(&world.snapshot()), []);
    world.tells(USER, days(40));
    assert_eq!(changes.follow(&world.snapshot()), [], "a later date is no news");
}

#[test]
fn a_secret_that_was_undecodable_from_the_start_is_told_only_when_it_is_mended() {
    let mut world = world();
    let mut changes = changes(&world);
    world.raw_secret("a", "old", crate::cluster::DOCKERCONFIGJSON_TYPE, "{");
    assert_eq!(changes.follow(&world.snapshot()), [], "nobody changed it");
    world.raw_secret("a", "pull", crate::cluster::DOCKERCONFIGJSON_TYPE, "[");
    let told = changes.follow(&world.snapshot());
    assert_eq!(reasons(&told), [Reason::CredentialUndecodable]);
    assert!(told[0].message.starts_with("the kubelet cannot decode the Secret, and fails every pod"), "{told:?}");
    assert_eq!(changes.follow(&world.snapshot()), []);
    world.secret("a", "pull", &[(GHCR, USER.0, USER.1)]);
    world.secret("a", "old", &[(GHCR, USER.0, USER.1)]);
    let told = changes.follow(&world.snapshot());
    assert_eq!(reasons(&told), [Reason::CredentialRecovered; 2]);
    // Gone altogether is no recovery.
    world.raw_secret("a", "pull", crate::cluster::DOCKERCONFIGJSON_TYPE, "[");
    assert_eq!(changes.follow(&world.snapshot()).len(), 1);
    world.inventory.secrets.remove(&crate::cluster::ObjectRef::new("a", "pull"));
    assert_eq!(changes.follow(&world.snapshot()), []);
}

#[test]
fn a_kind_that_is_not_taken_is_told_when_no_pull_can_prove_the_opposite() {
    let mut world = World::cluster();
    let fine =
        ("octocat", "github_pat_11AAAAAAA0aaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    world.secret("a", "pull", &[(GHCR, fine.0, fine.1)]);
    world.pod("a", "web", &["pull"], &["ghcr.io/acme/app:v1"]);
    let mut changes = changes(&world);
    assert_eq!(changes.follow(&world.snapshot()), [], "its text alone proves nothing");
    world.accepts(fine);
    assert_eq!(changes.follow(&world.snapshot()), [], "a pull is still to come");
    let (evidence, at) = world.evidence(AccessAnswer::NotFound);
    world.ledger.record_access(Some(World::login_at(GHCR, fine)), GHCR, "acme/app", &evidence, at);
    let told = changes.follow(&world.snapshot());
    assert_eq!(reasons(&told), [Reason::CredentialUnsupported]);
    assert!(told[0].message.contains("classic personal access token"), "{}", told[0].message);
}

/// A row of a Secret `a/pull`, as the rooms make it, in a status.
fn row(status: Status, token: &str) -> CredentialRow {
    let mut world = world();
    world.accepts(USER);
    of(world.row("pull", GHCR), status, token)
}

/// The row with another status and another token.
fn of(mut row: CredentialRow, status: Status, token: &str) -> CredentialRow {
    row.status = status;
    row.token_id = token.into();
    row
}

fn snapshot(rows: &[CredentialRow], incident: Option<&str>) -> Snapshot {
    let mut snapshot = World::cluster().snapshot();
    snapshot.credentials = rows.to_vec();
    snapshot.registries =
        incident.map(|host| RegistryRow { host: host.into(), incident: true, up: Some(true) }).into_iter().collect();
    snapshot
}

#[rstest]
#[case(&[Status::Valid, Status::Rejected, Status::Rejected], &[Reason::CredentialRejected])]
#[case(&[Status::Valid, Status::Unverified, Status::Valid], &[])]
#[case(&[Status::Rejected, Status::Unverified, Status::Rejected], &[Reason::CredentialRejected])]
#[case(&[Status::Rejected, Status::Unverified, Status::Valid], &[Reason::CredentialRejected, Reason::CredentialRecovered])]
#[case(&[Status::Rejected, Status::Ignored, Status::Valid], &[Reason::CredentialRejected, Reason::CredentialRecovered])]
#[case(&[Status::Rejected, Status::Expired], &[Reason::CredentialRejected, Reason::CredentialExpired])]
#[case(&[Status::Forbidden, Status::Valid, Status::Forbidden], &[Reason::CredentialForbidden, Reason::CredentialRecovered, Reason::CredentialForbidden])]
fn a_walk_through_statuses(#[case] walk: &[Status], #[case] expected: &[Reason]) {
    let mut changes = Changes::new(World::cluster().registries(), started());
    let mut told = Vec::new();
    for status in walk {
        let row = row(*status, "t");
        told.extend(reasons(&changes.follow(&snapshot(&[row], None))));
    }
    assert_eq!(told, expected);
}

#[test]
fn another_token_that_fails_as_well_is_told_again() {
    let mut changes = Changes::new(World::cluster().registries(), started());
    let mut told = |row| reasons(&changes.follow(&snapshot(&[row], None)));
    assert_eq!(told(row(Status::Rejected, "one")), [Reason::CredentialRejected]);
    assert_eq!(told(row(Status::Unverified, "two")), []);
    assert_eq!(told(row(Status::Rejected, "two")), [Reason::CredentialRejected]);
    assert_eq!(told(row(Status::Rejected, "two")), []);
}

#[rstest]
#[case(GHCR, GHCR)]
#[case("ghcr.io/acme", GHCR)]
#[case(GHCR, "api.github.com")]
#[case("*.example.com", "other.example.com")]
fn during_an_incident_nothing_is_told_and_afterwards_what_is_so(#[case] registry: &str, #[case] incident: &str) {
    let mut changes = Changes::new(World::cluster().registries(), started());
    let row = |status| {
        let mut row = row(status, "t");
        row.registry = registry.into();
        row
    };
    assert_eq!(changes.follow(&snapshot(&[row(Status::Valid)], None)), []);
    assert_eq!(changes.follow(&snapshot(&[row(Status::Rejected)], Some(incident))), []);
    assert_eq!(changes.follow(&snapshot(&[row(Status::Valid)], None)), [], "it came and went with the incident");
    assert_eq!(changes.follow(&snapshot(&[row(Status::Rejected)], Some(incident))), []);
    let told = changes.follow(&snapshot(&[row(Status::Rejected)], Some("elsewhere.example.org")));
    let elsewhere = if registry.contains('*') { vec![] } else { vec![Reason::CredentialRejected] };
    assert_eq!(reasons(&told), elsewhere);
}

#[test]
fn what_a_former_life_proved_is_not_told_again_but_its_end_is() {
    let proven = row(Status::Rejected, "t").last_verdict_at.unwrap();
    let mut changes = Changes::new(World::cluster().registries(), proven + TimeDelta::seconds(1));
    assert_eq!(changes.follow(&snapshot(&[row(Status::Rejected, "t")], None)), []);
    assert_eq!(reasons(&changes.follow(&snapshot(&[row(Status::Valid, "t")], None))), [Reason::CredentialRecovered]);
}

/// The status is from before, and this process has heard of the login already when it is first shown.
#[test]
fn a_denial_of_a_former_life_is_not_told_again_because_the_login_was_heard_since() {
    let mut denied = row(Status::Forbidden, "t");
    let proven = denied.last_verdict_at.unwrap();
    let started = proven + TimeDelta::seconds(1);
    denied.denied_at = Some(proven);
    (denied.last_verdict_at, denied.last_probe_at) = (Some(started), Some(started));
    let mut changes = Changes::new(World::cluster().registries(), started);
    assert_eq!(changes.follow(&snapshot(&[denied.clone()], None)), []);
    assert_eq!(changes.follow(&snapshot(&[of(denied.clone(), Status::Forbidden, "t")], None)), []);
    denied.denied_at = Some(started);
    let another = of(denied, Status::Forbidden, "another");
    assert_eq!(reasons(&changes.follow(&snapshot(&[another], None))), [Reason::CredentialForbidden]);
}

#[test]
fn what_a_former_life_proved_is_not_told_after_the_incident_that_held_it() {
    let proven = row(Status::Rejected, "t").last_verdict_at.unwrap();
    let started = proven + TimeDelta::seconds(1);
    let mut changes = Changes::new(World::cluster().registries(), started);
    assert_eq!(changes.follow(&snapshot(&[row(Status::Rejected, "t")], Some(GHCR))), []);
    let mut again = row(Status::Rejected, "t");
    (again.last_verdict_at, again.last_probe_at) = (Some(started), Some(started));
    assert_eq!(changes.follow(&snapshot(&[again], None)), []);
    assert_eq!(reasons(&changes.follow(&snapshot(&[row(Status::Valid, "t")], None))), [Reason::CredentialRecovered]);
}

#[test]
fn a_wall_clock_that_is_set_back_silences_nothing() {
    let mut changes = Changes::new(World::cluster().registries(), now() + TimeDelta::hours(1));
    let mut proven = row(Status::Rejected, "t");
    (proven.last_verdict_at, proven.last_probe_at) = (Some(now()), Some(now()));
    // The snapshot is of `now`, an hour before the start by the clock as it was.
    assert_eq!(reasons(&changes.follow(&snapshot(&[proven], None))), [Reason::CredentialRejected]);
}

#[test]
fn names_of_tenants_do_not_speak_in_a_message() {
    let mut evil = row(Status::Forbidden, "t");
    evil.registry = "ghcr.io\n; all is well \u{202e}".into();
    evil.username = "octocat; pay 5 coins to evil.example and all will be well again".into();
    evil.denied = ["ghcr.io/a b\tc".into()].into();
    let told = Changes::new(World::cluster().registries(), started()).follow(&snapshot(&[evil.clone()], None));
    let message = &told[0].message;
    assert!(message.contains("ghcr.io???all?is?well?? ") || message.contains("ghcr.io???all?is?well??:"), "{message}");
    assert!(!message.contains("pay") && !message.contains('\n') && message.is_ascii(), "{message}");
    evil.status = Status::Rejected;
    let told = Changes::new(World::cluster().registries(), started()).follow(&snapshot(&[evil], None));
    assert!(told[0].message.ends_with("Fix: see the status page of pull-patrol"), "{}", told[0].message);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// No change without a change; every bad status is told exactly when it is entered with a token; nothing is told of what
    /// is not proven; and what is told alternates.
    #[test]
    fn what_is_told_follows_what_is_proven(walk in prop::collection::vec((0..10_usize, 0..2_u8, any::<bool>(), 1..4_usize), 1..30)) {
        let mut changes = Changes::new(World::cluster().registries(), started());
        let template = row(Status::Valid, "t");
        // The model: the bad status that was told last, with its token.
        let mut model: Option<(Status, String)> = None;
        // What text alone tells is taken as it is in the first snapshot.
        prop_assert_eq!(changes.follow(&snapshot(std::slice::from_ref(&template), None)), []);
        for (status, token, incident, times) in walk {
            let (status, token) = (Status::ALL[status], token.to_string());
            let row = of(template.clone(), status, &token);
            for _ in 0..times {
                let told = changes.follow(&snapshot(std::slice::from_ref(&row), incident.then_some(GHCR)));
                let mut expected = Vec::new();
                if !incident {
                    match status {
                        Status::Unverified | Status::Ignored => {}
                        Status::Valid => expected.extend(model.take().map(|_| Reason::CredentialRecovered)),
                        bad => {
                            let now = Some((bad, token.clone()));
                            if model != now {
                                model = now;
                                let name = |reason: &Reason| reason.as_str().to_lowercase();
                                let word = bad.as_str().replace("malformed", "undecodable");
                                let word = word.split('_').next().unwrap().to_owned();
                                let fits = |reason: &Reason| name(reason).contains(&word);
                                let reason = if bad == Status::InsufficientScope {
                                    Reason::CredentialScopeInsufficient
                                } else {
                                    Reason::ALL.into_iter().find(fits).unwrap()
                                };
                                expected.push(reason);
                            }
                        }
                    }
                }
                prop_assert_eq!(reasons(&told), expected);
                for change in &told {
                    prop_assert!(change.message.len() <= 900 && !change.message.contains(USER.1));
                }
            }
        }
    }
}
