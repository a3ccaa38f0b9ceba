//! A ledger that was written down and read again is the same ledger.

use std::sync::Arc;

use proptest::prelude::*;

use super::properties::{feed, history};
use super::*;
use crate::plan::{Cadence, LoginStanding, Remembered, RememberedAsk};
use crate::probe::{Guarded, RateLimit};
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
    let mut told = evidence(10, LoginAnswer::Accepted, Some(200));
    (told.code, told.detail) = (Some("OK".to_owned()), "as told".to_owned());
    case.ledger.record_login(LoginId(2), GHCR, Some(&token(2)), &told, moment(10));
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
fn what_a_guard_stopped_and_the_lack_of_a_scope_come_back() {
    let mut case = Case::new();
    for at in [0, 60, 120] {
        case.access(at, Some(1), GHCR, denied_for_scope());
    }
    let realm = Guarded::ForeignRealm("elsewhere.example.com".to_owned());
    case.ghcr(130, 2, LoginAnswer::Unproven(Unproven::Guarded(realm.clone())));
    for guard in [Guarded::PrivateAddress, realm] {
        case.access(140, Some(1), GHCR, AccessAnswer::Unproven(Unproven::Guarded(guard)));
        let later = restarted(&case.ledger, 140, 0, moment(140));
        assert_eq!(whole(&later), whole(&case.ledger));
    }
    let later = restarted(&case.ledger, 140, 0, moment(140));
    assert!(later.access(Some(LoginId(1)), GHCR, REPOSITORY).missing_scope);
    assert_eq!(later.login(LoginId(2)).foreign_realm.as_deref(), Some("elsewhere.example.com"));
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

#[test]
fn a_second_acceptance_and_a_second_grant_of_an_earlier_program_are_passed_over() {
    let mut case = Case::new();
    case.plain(0, 1, LoginAnswer::Accepted);
    case.access(1, Some(1), PLAIN, AccessAnswer::Granted);
    let dial = Dial::new(wall(0), moment(0));
    let mut text = serde_json::to_value(records(&case.ledger, &dial)).unwrap();
    let registry = text.as_array_mut().unwrap().iter_mut().find(|record| record["record"] == "registry").unwrap();
    for (field, second) in [
        ("accepted", serde_json::json!(["0000000000000002", 0])),
        ("granted", serde_json::json!([null, "org/other", 0])),
    ] {
        let told = registry[field].as_array_mut().unwrap();
        assert_eq!(told.len(), 1, "{field}");
        told.push(second);
    }
    let read: Vec<Record> = serde_json::from_value(text).unwrap();
    let mut ledger = Ledger::new(rules());
    recall(&mut ledger, &read, &dial, wall(1));
    assert_eq!(whole(&ledger), whole(&case.ledger));
}

#[test]
fn a_dial_tells_wall_time_of_what_was_before_the_process_too() {
    let dial = Dial::new(wall(1_000), moment(500));
    for (at, told) in [(400, 900), (500, 1_000), (600, 1_100)] {
        assert_eq!(dial.tell(moment(at)), Stamp::from(wall(told)), "{at}");
        assert_eq!(dial.moment(Stamp::from(wall(told))), moment(at), "{told}");
    }
}

#[test]
fn each_record_has_a_key_of_its_own() {
    let mut case = Case::new();
    for login in 1..=2 {
        case.ghcr(0, login, LoginAnswer::Accepted);
        case.plain(0, 10 + login, LoginAnswer::Accepted);
        case.access(0, Some(login), GHCR, AccessAnswer::Granted);
    }
    case.access(0, None, GHCR, AccessAnswer::Granted);
    // The same token at another issuer.
    let mut other = token(1);
    other.issuer =
        Issuer { kind: IssuerKind::Gitlab, api: Some(url::Url::parse("https://gitlab.com/api/v4").unwrap()) };
    case.ledger.record_issuer(&other, &evidence(1, alive(), Some(200)), moment(1));
    let records = records(&case.ledger, &Dial::new(wall(0), moment(0)));
    let keys: std::collections::BTreeSet<String> = records.iter().map(Record::key).collect();
    assert_eq!(keys.len(), records.len(), "{keys:#?}");
}

#[test]
fn an_access_whose_login_is_not_told_is_passed_over() {
    let mut case = Case::new();
    case.plain(0, 1, LoginAnswer::Accepted);
    for login in [Some(1), None] {
        case.access(1, login, PLAIN, AccessAnswer::Granted);
    }
    let dial = Dial::new(wall(0), moment(0));
    let mut told = records(&case.ledger, &dial);
    told.retain(|record| !matches!(record, Record::Login(_)));
    let mut ledger = Ledger::new(rules());
    recall(&mut ledger, &told, &dial, wall(1));
    assert!(ledger.logins.is_empty());
    assert_eq!(ledger.access(None, PLAIN, REPOSITORY).granted, Some(true));
}

/// Of two records with one key the one with the newer exchange stays.
#[test]
fn a_record_is_as_new_as_the_last_exchange_that_it_tells_of() {
    let dial = Dial::new(wall(0), moment(0));
    let newest = |case: &Case, kind: &str| {
        let of_kind = records(&case.ledger, &dial).into_iter().filter(|record| record.key().starts_with(kind));
        of_kind.map(|record| record.newest()).max().unwrap()
    };
    let told = |seconds: u64| Stamp::from(wall(seconds));
    let mut case = Case::new();
    case.ghcr(10, 1, LoginAnswer::Accepted);
    case.issuer(20, 1, alive());
    case.access(30, Some(1), GHCR, AccessAnswer::Granted);
    assert_eq!(["login", "token", "access"].map(|kind| newest(&case, kind)), [told(30), told(20), told(30)]);
    assert_eq!(newest(&case, "registry"), told(30), "the acceptance along with the grant");
    case.ghcr(40, 2, LoginAnswer::Accepted);
    assert_eq!(newest(&case, "registry"), told(40), "an acceptance after the grant");
    case.canary(50, GHCR, AccessAnswer::Granted);
    assert_eq!(newest(&case, "registry"), told(50));
    case.access(60, Some(1), GHCR, denied(DenialStage::Token));
    assert_eq!(newest(&case, "access"), told(60), "a denial that proves nothing yet");
    // The wall clock was turned back: by the other one it is later.
    case.ledger.record_login(LoginId(1), GHCR, Some(&token(1)), &evidence(5, LoginAnswer::Accepted, None), moment(70));
    case.ledger.record_issuer(&token(1), &evidence(5, alive(), None), moment(80));
    case.ledger.retain(|login| login == LoginId(1), |key| *key == token(1));
    assert_eq!(["login", "token"].map(|kind| newest(&case, kind)), [told(70), told(80)]);
    for answer in [TIMEOUT, Unproven::Throttled] {
        case.ghcr(90, 1, LoginAnswer::Unproven(answer.clone()));
        case.issuer(95, 1, IssuerAnswer::Unproven(answer));
    }
    assert_eq!(["login", "token"].map(|kind| newest(&case, kind)), [told(90), told(95)]);

    let ask = RememberedAsk {
        ask: Ask::Login(LoginId(1)),
        due: moment(700),
        parked: false,
        last: Some((moment(100), Cadence::Routine)),
        repetitions: 0,
        unproven: 0,
        stretch: Duration::ZERO,
        held: None,
        standing: None,
    };
    let remembered = Remembered { asks: vec![ask], holds: vec![(Arc::from(GHCR), moment(900))] };
    let newest: Vec<Stamp> = remember_schedule(&remembered, &dial).map(|record| record.newest()).collect();
    assert_eq!(newest, [told(700), told(900)]);
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
