//! What is known of hosts and owners beside the verdicts: lock-outs, quota, clocks.

use std::time::Duration;

use super::*;
use crate::plan::Cadence;
use crate::probe::{Guarded, RateLimit};
use LoginAnswer::{Accepted, Refused};

#[test]
fn a_locked_out_owner_explains_the_refusals() {
    let mut case = Case::new();
    let owned = |owner: &str| TokenFacts { owner: Some(owner.to_owned()), ..TokenFacts::default() };
    for (login, owner) in [(1, "alice"), (2, "alice"), (3, "bob")] {
        case.ghcr(0, login, Accepted);
        case.issuer(0, login, IssuerAnswer::Alive(owned(owner)));
    }
    for at in [600, 660, 720, 800] {
        case.ghcr(at, 1, Refused);
        case.ghcr(at, 2, Refused);
        // The host asked to be left alone, so nobody asks about the second token.
        case.issuer(at + 1, 1, IssuerAnswer::Unproven(Unproven::LockedOut));
        case.ghcr(at + 2, 3, Accepted);
    }
    assert_eq!((case.status(1), case.status(2)), (Status::Unverified, Status::Unverified));
    // The lock-out is over, and one of the two is really dead.
    case.issuer(4000, 1, IssuerAnswer::Alive(owned("alice")));
    case.ghcr(4000, 1, Accepted);
    case.ghcr(4060, 3, Accepted);
    case.refuse_ghcr(2, &[4080, 4140]);
    case.issuer(4141, 1, IssuerAnswer::Alive(owned("alice")));
    case.refuse_ghcr(2, &[4200, 4680]);
    case.ghcr(4690, 3, Accepted);
    case.refuse_ghcr(2, &[4740]);
    assert_eq!((case.status(1), case.status(2)), (Status::Valid, Status::Unverified));
    case.ghcr(4750, 3, Accepted);
    case.refuse_ghcr(2, &[4800]);
    assert_eq!(case.status(2), Status::Rejected);
}

/// Tokens of these owners, from 1 on, that work.
fn owned(owners: &[&str]) -> Case {
    let mut case = Case::new();
    for (login, owner) in (1..).zip(owners) {
        case.ghcr(login, login, Accepted);
        let facts = TokenFacts { owner: Some((*owner).to_owned()), ..TokenFacts::default() };
        case.issuer(login, login, IssuerAnswer::Alive(facts));
    }
    case
}

#[test]
fn an_incident_that_a_lock_out_explains_ends() {
    let mut case = owned(&["alice", "alice", "alice", "alice"]);
    for login in 1..=3 {
        case.ghcr(600, login, Refused);
    }
    assert!(case.incident(GHCR));
    case.issuer(601, 1, IssuerAnswer::Unproven(Unproven::LockedOut));
    assert!(!case.incident(GHCR));
    case.ghcr(602, 4, Refused);
    assert!(!case.incident(GHCR), "nor does another of her logins begin it again");
    assert_eq!([1, 2, 3, 4].map(|login| case.status(login)), [Status::Valid; 4]);
    // Once she can authenticate again, three refusals at a time mean what they always did.
    for login in 1..=4 {
        case.ghcr(4_200, login, Accepted);
    }
    case.issuer(4_201, 2, alive());
    for login in 1..=3 {
        case.ghcr(4_800, login, Refused);
    }
    assert!(case.incident(GHCR));
}

#[test]
fn an_incident_that_a_lock_out_explains_in_part_stands() {
    let mut case = owned(&["alice", "alice", "bob", "carol"]);
    for login in 1..=3 {
        case.ghcr(600, login, Refused);
    }
    case.issuer(601, 1, IssuerAnswer::Unproven(Unproven::LockedOut));
    assert!(case.incident(GHCR), "bob is not locked out");
}

#[test]
fn who_must_be_left_alone_is_no_control() {
    let mut case = owned(&["alice", "alice", "bob", "carol"]);
    case.issuer(600, 1, IssuerAnswer::Unproven(Unproven::LockedOut));
    // Of those that may be asked, bob's was not heard for longest.
    assert!(case.issuer(610, 4, IssuerAnswer::Disowned).at_once.contains(&Ask::Issuer(token(3))));
    assert!(asks_login(&case.ghcr(611, 4, Refused), 3));

    let mut limit = evidence(620, IssuerAnswer::Unproven(Unproven::OwnerThrottled), Some(403));
    limit.retry_after = Some(Duration::from_secs(60));
    let mut case = owned(&["alice", "bob", "carol"]);
    case.ledger.record_issuer(&token(1), &limit, moment(620));
    assert!(case.issuer(630, 3, IssuerAnswer::Disowned).at_once.contains(&Ask::Issuer(token(2))));
    assert!(case.issuer(690, 3, IssuerAnswer::Disowned).at_once.contains(&Ask::Issuer(token(1))), "the wait is over");
}

#[test]
fn a_lock_out_pauses_all_tokens_of_its_owner_and_no_others() {
    let mut case = Case::new();
    let owned = |owner: &str| TokenFacts { owner: Some(owner.to_owned()), ..TokenFacts::default() };
    for (login, owner) in [(1, "alice"), (2, "alice"), (3, "bob"), (5, "alice")] {
        case.ghcr(0, login, Accepted);
        case.issuer(0, login, IssuerAnswer::Alive(owned(owner)));
    }
    // A token that nobody was told the owner of.
    case.ghcr(0, 4, Accepted);
    // One that is proven dead rests for longer by itself.
    case.refuse_ghcr(5, &[60, 120, 180]);
    for at in [130, 200, 270] {
        case.issuer(at, 5, IssuerAnswer::Disowned);
        case.issuer(at + 10, 3, IssuerAnswer::Alive(owned("bob")));
    }
    assert_eq!(case.status(5), Status::Rejected);

    let advice = case.issuer(600, 1, IssuerAnswer::Unproven(Unproven::LockedOut));
    let hour = Cadence::OwnerNotBefore(Duration::from_secs(3600));
    let (mut issuers, mut logins) = (Vec::new(), Vec::new());
    for (ask, cadence) in &advice.also {
        assert_eq!(*cadence, hour);
        match ask {
            Ask::Issuer(token) => issuers.push(token.token.0),
            Ask::Login(login) => logins.push(login.0),
            other => panic!("{other:?}"),
        }
    }
    issuers.sort_unstable();
    logins.sort_unstable();
    assert_eq!((advice.cadence, issuers, logins), (hour, vec![2, 5], vec![1, 2]));

    // A rate limit of the API says nothing of logins at registries.
    let mut limit = evidence(700, IssuerAnswer::Unproven(Unproven::OwnerThrottled), Some(403));
    limit.retry_after = Some(Duration::from_secs(60));
    let mut case = Case::new();
    for login in [1, 2] {
        case.ghcr(0, login, Accepted);
        case.issuer(0, login, IssuerAnswer::Alive(owned("alice")));
    }
    let advice = case.ledger.record_issuer(&token(1), &limit, moment(700));
    assert_eq!(advice.also, [(Ask::Issuer(token(2)), Cadence::OwnerNotBefore(Duration::from_secs(60)))]);
}

#[test]
fn little_quota_makes_questions_about_its_owner_rare() {
    let mut case = Case::new();
    let told = |owner: &str, remaining: u64| {
        let rate_limit = Some(RateLimit { limit: 5000, remaining, reset: wall(1_800) });
        IssuerAnswer::Alive(TokenFacts { owner: Some(owner.to_owned()), rate_limit, ..TokenFacts::default() })
    };
    let interval = |case: &Case| case.ledger.issuer_intervals().remove("api.github.com").map(|wait| wait.as_secs());
    assert_eq!(interval(&case), None);
    case.issuer(0, 1, told("alice", 5000));
    case.issuer(0, 2, told("bob", 5000));
    assert_eq!(interval(&case), Some(3600), "as configured");
    case.issuer(0, 2, told("bob", 3));
    assert_eq!(case.ledger.issuer_stretch(&token(2)), Duration::from_secs(1_801), "until the reset");
    assert!(case.ledger.issuer_stretch(&token(1)) < Duration::from_secs(10), "another owner");
    // With more tokens each is asked less often.
    case.issuer(0, 3, told("alice", 3000));
    let two = case.ledger.issuer_stretch(&token(3));
    case.issuer(0, 4, told("alice", 3000));
    assert_eq!((two.as_secs(), case.ledger.issuer_stretch(&token(4)).as_secs()), (36, 54));
}

#[test]
fn guards_of_ours_are_told_until_an_answer() {
    let realm = Unproven::Guarded(Guarded::ForeignRealm("evil.example.com".to_owned()));
    let mut case = Case::new();
    case.plain(0, 1, LoginAnswer::Unproven(realm));
    case.plain(1, 1, LoginAnswer::Unproven(TIMEOUT));
    assert_eq!(case.view(1).foreign_realm.as_deref(), Some("evil.example.com"));
    case.plain(2, 1, LoginAnswer::Unproven(Unproven::Guarded(Guarded::PrivateAddress)));
    assert!(case.view(1).private_address && case.view(1).foreign_realm.is_none());
    case.plain(3, 1, Accepted);
    assert!(!case.view(1).private_address);
}

#[test]
fn a_host_is_up_when_it_answered_and_its_clock_is_compared() {
    let mut case = Case::new();
    assert_eq!(case.ledger.registry(PLAIN).up, None);
    let mut answered = evidence(100, LoginAnswer::Unproven(Unproven::Odd("http_5xx")), Some(503));
    answered.server_date = Some(wall(70));
    answered.took = Duration::from_millis(20);
    case.ledger.record_login(LoginId(1), PLAIN, None, &answered, moment(100));
    let view = case.ledger.registry(PLAIN);
    let skew = |view: &crate::verdict::RegistryView| (view.clock_skew_seconds.unwrap() * 1000.0).round();
    assert_eq!((view.up, skew(&view)), (Some(true), 29_490.0), "to the second, and half the way");
    let silent = evidence(200, LoginAnswer::Unproven(TIMEOUT), None);
    case.ledger.record_login(LoginId(1), PLAIN, None, &silent, moment(200));
    let view = case.ledger.registry(PLAIN);
    assert_eq!((view.up, skew(&view)), (Some(false), 29_490.0), "what was seen last stays");
    assert_eq!(case.ledger.hosts().map(|host| &**host).collect::<Vec<_>>(), [PLAIN]);
    case.ledger.retain_hosts(|host| host != PLAIN);
    assert_eq!(case.ledger.registry(PLAIN).clock_skew_seconds, None, "nobody asks there any more");
}

#[test]
fn the_lowest_rate_limit_of_an_issuer_is_told() {
    let limit = |remaining, reset| {
        let mut facts = facts(None, Expiry::NotTold);
        facts.rate_limit = Some(crate::probe::RateLimit { limit: 5_000, remaining, reset: wall(reset) });
        IssuerAnswer::Alive(facts)
    };
    let mut case = Case::new();
    case.issuer(0, 1, limit(10, 100));
    case.issuer(0, 2, limit(4_000, 5_000));
    case.issuer(0, 3, limit(3_000, 5_000));
    let lowest = |case: &Case, at| case.ledger.rate_limits(wall(at)).remove("api.github.com").map(|it| it.remaining);
    assert_eq!(lowest(&case, 50), Some(10));
    assert_eq!(lowest(&case, 100), Some(3_000), "the window of the lowest has ended");
    assert_eq!(lowest(&case, 9_000), Some(10), "all have ended");
}

#[test]
fn the_last_few_exchanges_are_kept() {
    let mut case = Case::new();
    for at in 0..9 {
        case.plain(at, 1, Accepted);
    }
    let rows = case.view(1).evidence;
    assert_eq!(rows.iter().map(|row| row.at).collect::<Vec<_>>(), (4..9).map(wall).collect::<Vec<_>>());
    assert_eq!((rows[0].kind, rows[0].outcome), ("login", "accepted"));
}

#[test]
fn no_interval_is_told_of_an_issuer_that_told_no_rate_limit() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    assert!(case.ledger.issuer_intervals().is_empty(), "it was not heard");
    case.issuer(1, 1, alive());
    assert!(case.ledger.issuer_intervals().is_empty());
}
