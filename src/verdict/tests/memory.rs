//! A ledger that was written down and read again is the same ledger.

use std::sync::Arc;

use proptest::prelude::*;

use super::properties::{feed, history};
use super::*;
use crate::plan::{Cadence, LoginStanding, Remembered, RememberedAsk};
use crate::probe::RateLimit;
use crate::verdict::EvidenceRow;
use crate::verdict::memory::{Dial, Record, Stamp, recall, recall_schedule, remember, remember_schedule};

/// What a ledger knows, in the order of the keys.
fn records(ledger: &Ledger, dial: &Dial) -> Vec<Record> {
    let mut records: Vec<Record> = remember(ledger, dial).collect();
    records.sort_by_key(Record::key);
    records
}

/// Through JSON to another process, which begins `away` seconds later at another moment.
fn restarted(ledger: &Ledger, now: u64, away: u64, begins: Moment) -> Ledger {
    let dial = Dial::new(wall(0), moment(0));
    let text = serde_json::to_string(&records(ledger, &dial)).unwrap();
    let read: Vec<Record> = serde_json::from_str(&text).unwrap();
    let (saved, told) = (Stamp::from(wall(now)), dial.tell(moment(now)));
    let dial = Dial::of_earlier(saved, told, wall(now + away), begins);
    let mut ledger = Ledger::new(rules());
    recall(&mut ledger, &read, &dial, wall(now + away));
    ledger
}

/// Every field of everything that a ledger knows: what no record carries is missing here.
fn whole(ledger: &Ledger) -> Vec<String> {
    let known = (&ledger.logins, &ledger.tokens, &ledger.registries, &ledger.issuers, &ledger.hosts);
    // The order of the maps is none.
    let mut lines: Vec<String> = format!("{known:#?}").lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// All that can be seen of a login and its registry.
fn seen(ledger: &Ledger, id: u64) -> String {
    let (login, access) = (ledger.login(LoginId(id)), ledger.access(Some(LoginId(id)), GHCR, REPOSITORY));
    let seen = (login, access, ledger.token(&token(id)), ledger.access(None, GHCR, REPOSITORY));
    let rates = ledger.rate_limits(wall(0));
    let hosts: Vec<_> = ledger.hosts().map(|host| (host.clone(), ledger.registry(host))).collect();
    format!("{seen:#?} {hosts:#?} {rates:#?}")
}

proptest! {
    #[test]
    fn a_restart_at_any_point_changes_nothing(history in history(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(history.len() + 1);
        let mut case = Case::new();
        let mut twin = Case::new();
        for (at, event) in &history[..cut] {
            feed(&mut case, *at, event);
        }
        let now = history[..cut].last().map_or(0, |(at, _)| *at);
        // The same moments, so that what follows can be held against it.
        twin.ledger = restarted(&case.ledger, now, 0, moment(now));
        let dial = Dial::new(wall(0), moment(0));
        prop_assert_eq!(records(&twin.ledger, &dial), records(&case.ledger, &dial));
        prop_assert_eq!(whole(&twin.ledger), whole(&case.ledger));
        for (at, event) in &history[cut..] {
            feed(&mut case, *at, event);
            feed(&mut twin, *at, event);
            for id in 1..=4 {
                prop_assert_eq!(seen(&twin.ledger, id), seen(&case.ledger, id));
            }
        }
        prop_assert_eq!(records(&twin.ledger, &dial), records(&case.ledger, &dial));
    }

    #[test]
    fn verdicts_and_their_ages_do_not_hang_on_how_long_it_was_away(
        history in history(),
        away in 0_u64..10_000_000,
        // A process begins years after moment 0, so that what came before it has a moment too.
        begins in 20_000_000_u64..400_000_000,
    ) {
        let mut case = Case::new();
        for (at, event) in &history {
            feed(&mut case, *at, event);
        }
        let now = history.last().map_or(0, |(at, _)| *at);
        let later = restarted(&case.ledger, now, away, moment(begins));
        for id in 1..=4 {
            prop_assert_eq!(seen(&later, id), seen(&case.ledger, id));
        }
    }
}

#[test]
fn refusals_before_a_restart_count_with_the_time_between() {
    for (away, proven) in [(59, false), (60, true), (86_400, true)] {
        let mut case = Case::new();
        case.plain(0, 1, LoginAnswer::Refused);
        case.plain(60, 1, LoginAnswer::Refused);
        case.ledger = restarted(&case.ledger, 60, away, moment(7_000));
        case.plain(7_000, 1, LoginAnswer::Refused);
        assert_eq!(case.view(1).accepted == Some(false), proven, "{away} s later");
    }
}

#[test]
fn an_incident_outlives_a_restart_and_ends_after_it() {
    let mut case = Case::new();
    for login in 1..=4 {
        case.plain(0, login, LoginAnswer::Accepted);
    }
    for login in 1..=3 {
        case.plain(100, login, LoginAnswer::Refused);
    }
    assert!(case.incident(PLAIN));
    case.ledger = restarted(&case.ledger, 100, 10, moment(500));
    assert!(case.incident(PLAIN));
    case.plain(600, 1, LoginAnswer::Accepted);
    assert!(!case.incident(PLAIN));
}

#[test]
fn after_the_wall_clock_was_turned_back_no_proof_lies_ahead_and_no_time_has_passed() {
    let mut case = Case::new();
    case.plain(86_400, 1, LoginAnswer::Refused);
    let dial = Dial::new(wall(0), moment(0));
    let records: Vec<Record> = remember(&case.ledger, &dial).collect();
    let (saved, told) = (Stamp::from(wall(86_400)), dial.tell(moment(86_400)));
    let dial = Dial::of_earlier(saved, told, wall(100), moment(1_000_000));
    let mut ledger = Ledger::new(rules());
    recall(&mut ledger, &records, &dial, wall(100));
    assert_eq!(ledger.login(LoginId(1)).last_probe_at, Some(wall(100)));
    assert_eq!(dial.moment(told), moment(1_000_000));
    let advice = ledger.record_login(
        LoginId(1),
        PLAIN,
        None,
        &evidence(101, LoginAnswer::Refused, Some(401)),
        moment(1_000_001),
    );
    assert_eq!(advice.cadence, Cadence::Confirm, "a second has passed, not a day");
}

#[test]
fn rows_of_evidence_and_facts_come_back_to_the_second() {
    let mut case = Case::new();
    case.ghcr(10, 2, LoginAnswer::Accepted);
    case.issuer(20, 2, IssuerAnswer::Alive(facts(Some(&["read:packages"]), Expiry::At(wall(999)))));
    let rows = |ledger: &Ledger| -> Vec<Arc<EvidenceRow>> {
        [ledger.login(LoginId(2)).evidence, ledger.token(&token(2)).evidence].concat()
    };
    let later = restarted(&case.ledger, 20, 500, moment(0));
    assert_eq!(rows(&later).len(), 2);
    assert_eq!(rows(&later), rows(&case.ledger));
    assert_eq!(later.token(&token(2)).facts, case.ledger.token(&token(2)).facts);
}

#[test]
fn dates_of_hosts_and_quotas_of_owners_come_back() {
    let mut case = Case::new();
    let told = TokenFacts {
        owner: Some("alice".to_owned()),
        sso_required: true,
        sso_demanded_by: vec!["org".to_owned()],
        rate_limit: Some(RateLimit { limit: 60, remaining: 7, reset: wall(7_200) }),
        ..facts(None, Expiry::Unreliable)
    };
    // As many tokens of one owner as make the issuer's questions rarer than usual.
    for n in 1..=50 {
        case.ghcr(n, n, LoginAnswer::Accepted);
        case.issuer(n, n, IssuerAnswer::Alive(told.clone()));
    }
    let dated = Evidence { server_date: Some(wall(95)), ..evidence(100, LoginAnswer::Refused, Some(401)) };
    case.ledger.record_login(LoginId(1), GHCR, Some(&token(1)), &dated, moment(100));
    let stretch = case.ledger.issuer_stretch(&token(50));
    assert!(stretch > rules().issuer_interval, "{stretch:?}");
    let later = restarted(&case.ledger, 100, 0, moment(100));
    assert_eq!(later.issuer_stretch(&token(50)), stretch);
    assert_eq!(whole(&later), whole(&case.ledger));
    let shown = whole(&later).concat();
    for part in ["told: Some(", "sso_demanded_by: [", "\"org\",", "remaining: 7,"] {
        assert!(shown.contains(part), "{part}");
    }
}

fn any_moment() -> impl Strategy<Value = Moment> {
    (0..40_000_000_000_000_u64).prop_map(|micros| Moment(Duration::from_micros(micros)))
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let access = |(login, path): (Option<u64>, u8)| Ask::Access {
        host: GHCR.into(),
        login: login.map(LoginId),
        repository: format!("org/{path}").into(),
        reference: "1.2".into(),
    };
    prop_oneof![
        any::<u64>().prop_map(|id| Ask::Login(LoginId(id))),
        any::<(Option<u64>, u8)>().prop_map(access),
        any::<u64>().prop_map(|id| Ask::Issuer(token(id))),
        Just(Ask::Canary(GHCR.into())),
    ]
}

fn any_cadence() -> impl Strategy<Value = Cadence> {
    let wait = || (0..u64::from(u32::MAX)).prop_map(Duration::from_millis);
    prop_oneof![
        Just(Cadence::Routine),
        Just(Cadence::Confirm),
        Just(Cadence::Dead),
        Just(Cadence::BackOff),
        wait().prop_map(Cadence::NotBefore),
        wait().prop_map(Cadence::OwnerNotBefore),
    ]
}

fn any_remembered() -> impl Strategy<Value = RememberedAsk> {
    let standing = prop_oneof![
        Just(LoginStanding::Unasked),
        Just(LoginStanding::Open),
        Just(LoginStanding::Trying),
        Just(LoginStanding::Doubted),
        Just(LoginStanding::Dead),
    ];
    let last = prop::option::of((any_moment(), any_cadence()));
    let (held, standing) = (prop::option::of(any_moment()), prop::option::of(standing));
    let counts = any::<(bool, u32, u32, u32)>();
    (any_ask(), any_moment(), counts, last, held, standing).prop_map(|(ask, due, counts, last, held, standing)| {
        let (parked, repetitions, unproven, stretch) = counts;
        let stretch = Duration::from_millis(stretch.into());
        RememberedAsk { ask, due, parked, last, repetitions, unproven, stretch, held, standing }
    })
}

proptest! {
    #[test]
    fn a_schedule_is_read_as_it_was_written(
        asks in prop::collection::vec(any_remembered(), 0..20),
        hold in any_moment(),
    ) {
        let remembered = Remembered { asks, holds: vec![(Arc::from(GHCR), hold)] };
        let dial = Dial::new(wall(0), Moment::START);
        let text = serde_json::to_string(&remember_schedule(&remembered, &dial).collect::<Vec<_>>()).unwrap();
        let read: Vec<Record> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(recall_schedule(&read, &dial), remembered);
    }
}
