//! A ledger that was written down and read again is the same ledger.

use proptest::prelude::*;

use super::properties::{feed, history};
use super::*;
use crate::verdict::EvidenceRow;
use crate::verdict::memory::{Dial, Record, Stamp, recall, remember};

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
        begins in 0_u64..400_000_000,
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
    assert_eq!(advice.cadence, crate::plan::Cadence::Confirm, "a second has passed, not a day");
}

#[test]
fn rows_of_evidence_and_facts_come_back_to_the_second() {
    let mut case = Case::new();
    case.ghcr(10, 2, LoginAnswer::Accepted);
    case.issuer(20, 2, IssuerAnswer::Alive(facts(Some(&["read:packages"]), Expiry::At(wall(999)))));
    let rows = |ledger: &Ledger| -> Vec<EvidenceRow> {
        [ledger.login(LoginId(2)).evidence, ledger.token(&token(2)).evidence].concat()
    };
    let later = restarted(&case.ledger, 20, 500, moment(0));
    assert_eq!(rows(&later).len(), 2);
    assert_eq!(rows(&later), rows(&case.ledger));
    assert_eq!(later.token(&token(2)).facts, case.ledger.token(&token(2)).facts);
}
