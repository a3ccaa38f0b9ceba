//! Places and allowances: what each party may hold of them, and that they come back.

use super::tests::{access, at, issuer, login, minutes, of, schedule};
use super::*;

const GHCR: &str = "ghcr.io";
const SLOW: &str = "slow.example.com";
const QUICK: &str = "quick.example.com";

/// Pop all that is due at a moment, and let each be refused. Returns how many there were.
fn refuse_all(schedule: &mut Schedule, cadence: Cadence, now: Moment) -> usize {
    let mut asked = 0;
    while let asks @ [_, ..] = &*schedule.pop_due(now, 16) {
        for ask in asks {
            asked += 1;
            schedule.refused(ask, cadence, now);
        }
    }
    asked
}

#[test]
fn tokens_that_live_do_not_wait_for_those_that_are_refused() {
    let mut schedule = schedule();
    let living = of("a", issuer(1, &[]));
    schedule.sync(std::slice::from_ref(&living), &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 1);
    schedule.answered(&living.ask, Cadence::Routine, at(0));
    let mut all: Vec<Wanted> = (100..300).map(|n| of("a", issuer(n, &[]))).collect();
    all.push(living.clone());
    schedule.sync(&all, &[], at(1));
    assert!(refuse_all(&mut schedule, Cadence::Confirm, at(1)) <= 61, "of tokens nobody knows");
    assert!(!schedule.waiting(at(1)).is_empty());
    schedule.hasten(&living.ask, at(2));
    assert_eq!(schedule.pop_due(at(2), 99), std::slice::from_ref(&living.ask));
    schedule.answered(&living.ask, Cadence::Routine, at(2));
    assert!(refuse_all(&mut schedule, Cadence::Confirm, at(70)) <= 15, "to be refused makes nobody trusted");
}

#[test]
fn tokens_that_are_disowned_for_certain_are_bounded_again() {
    let mut schedule = schedule();
    let all: Vec<Wanted> = (0..200).map(|n| of("a", issuer(n, &[]))).collect();
    schedule.sync(&all, &[], at(0));
    for (now, cadence) in [(0, Cadence::Routine), (3_700, Cadence::Dead)] {
        while let asks @ [_, ..] = &*schedule.pop_due(at(now), 16) {
            for ask in asks {
                schedule.done(ask, cadence, at(now));
            }
        }
    }
    for want in &all {
        schedule.hasten(&want.ask, at(9_000));
    }
    assert!(refuse_all(&mut schedule, Cadence::Dead, at(9_000)) <= 61);
}

#[test]
fn what_is_refused_counts_for_the_namespace_that_holds_it_now() {
    let mut schedule = schedule();
    let of_all = |tenant: &str| -> Vec<Wanted> { (0..100).map(|n| of(tenant, login(n, GHCR))).collect() };
    schedule.sync(&of_all("a"), &[], at(0));
    schedule.sync(&of_all("b"), &[], at(1));
    assert_eq!(refuse_all(&mut schedule, Cadence::Confirm, at(1)), 60);
    let namespaces: Vec<_> = schedule.waiting(at(1)).into_iter().map(|waiting| waiting.namespace).collect();
    assert_eq!(namespaces, [Arc::from("b")]);
}

#[test]
fn of_several_parties_none_takes_the_last_quarter_of_the_places() {
    // The other one is a namespace, or another registry.
    for other in [of("b", login(100, GHCR)), of("a", login(101, "quay.io"))] {
        for (places, most) in [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (16, 12)] {
            let probe = ProbeConfig { concurrency: places, ..ProbeConfig::default() };
            let mut schedule = Schedule::new(&probe, &IssuerConfig::default());
            let alone: Vec<Wanted> = (0..40).map(|n| of("a", login(n, GHCR))).collect();
            schedule.sync(&alone, &[], at(0));
            assert_eq!(schedule.pop_due(at(0), most).len(), most);
            schedule.sync(&[alone.clone(), vec![other.clone()]].concat(), &[], at(1));
            let popped = schedule.pop_due(at(1), 99);
            assert!(popped.iter().all(|ask| *ask == other.ask), "{places}: {popped:?}");
            assert!(
                schedule.next_due().is_none_or(|due| due > at(1)),
                "a party at its bound does not keep the loop spinning"
            );
            for ask in &popped {
                schedule.answered(ask, Cadence::BackOff, at(1));
            }
            // It goes, and all places are free for who is left.
            schedule.sync(&alone, &[], at(1));
            assert_eq!(schedule.pop_due(at(1), 99).len(), places - most, "{places}");
        }
    }
}

#[test]
fn other_bounds_hold_at_once() {
    let probe =
        |concurrency, checks| ProbeConfig { concurrency, access_checks_per_login: checks, ..ProbeConfig::default() };
    let mut schedule = Schedule::new(&probe(2, 1), &IssuerConfig::default());
    let mut wanted: Vec<Wanted> = (0..20).map(|n| login(n, GHCR)).collect();
    wanted.extend((0..9).map(|n| access(Some(0), GHCR, &format!("org/{n}"))));
    schedule.sync(&wanted, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 99).len(), 2);
    schedule.retime(&probe(5, 1), &IssuerConfig::default(), at(0));
    assert_eq!(schedule.pop_due(at(0), 99).len(), 3);
    schedule.retime(&probe(20, 1), &IssuerConfig::default(), at(0));
    assert_eq!(schedule.pop_due(at(0), 99).len(), 15);
    for want in &wanted[..20] {
        schedule.answered(&want.ask, Cadence::Routine, at(0));
    }
    let checks = |schedule: &mut Schedule| {
        let mut checks = 0;
        while let [ask] = schedule.pop_due(at(1), 9).as_slice() {
            checks += 1;
            schedule.answered(ask, Cadence::Routine, at(1));
        }
        checks
    };
    assert_eq!(checks(&mut schedule), 1);
    schedule.retime(&probe(20, 4), &IssuerConfig::default(), at(1));
    assert_eq!(checks(&mut schedule), 3);
}

#[test]
fn there_is_always_one_place() {
    let none = ProbeConfig { concurrency: 0, ..ProbeConfig::default() };
    for retimed in [false, true] {
        let mut schedule = if retimed { schedule() } else { Schedule::new(&none, &IssuerConfig::default()) };
        if retimed {
            schedule.retime(&none, &IssuerConfig::default(), at(0));
        }
        schedule.sync(&[login(1, GHCR), login(2, GHCR)], &[], at(0));
        assert_eq!(schedule.pop_due(at(0), 99).len(), 1);
    }
}

#[test]
fn who_waits_for_the_allowance_goes_by_the_spacing_of_now() {
    let mut schedule = schedule();
    let all: Vec<Wanted> = (0..61).map(|n| of("a", login(n, GHCR))).collect();
    schedule.sync(&all, &[], at(0));
    assert_eq!(refuse_all(&mut schedule, Cadence::Dead, at(0)), 60);
    assert_eq!(schedule.next_due(), Some(at(6)));
    let rarely = ProbeConfig { confirmation_spacing: Duration::from_secs(600), ..ProbeConfig::default() };
    schedule.retime(&rarely, &IssuerConfig::default(), at(1));
    // What was spent at six seconds each is not much at a minute each.
    assert!(schedule.next_due() <= Some(at(1)));
    assert_eq!(schedule.pop_due(at(1), 9).len(), 1);
}

#[test]
fn the_checks_of_a_login_move_between_namespaces_without_it() {
    let mut schedule = schedule();
    let mut all: Vec<Wanted> = (100..161).map(|n| of("c", login(n, GHCR))).collect();
    all.push(of("a", login(1, GHCR)));
    let checked_by = |tenant: &str| [all.clone(), vec![of(tenant, access(Some(1), GHCR, "org/app"))]].concat();
    for tenant in ["b", "c"] {
        schedule.sync(&checked_by(tenant), &[], at(0));
    }
    assert_eq!(refuse_all(&mut schedule, Cadence::Confirm, at(0)), 60 + 1);
}

#[test]
fn what_was_in_flight_when_it_moved_gives_its_place_back() {
    let mut schedule = schedule();
    let of_all = |tenant: &str| -> Vec<Wanted> { (0..16).map(|n| of(tenant, login(n, GHCR))).collect() };
    schedule.sync(&of_all("a"), &[], at(0));
    let flying = schedule.pop_due(at(0), 99);
    assert_eq!(flying.len(), 16);
    for now in [200, 201] {
        schedule.sync(&of_all("b"), &[], at(now));
    }
    for ask in &flying {
        schedule.answered(ask, Cadence::Routine, at(202));
    }
    schedule.sync(&of_all("b"), &[], at(203));
    assert_eq!(schedule.pop_due(at(900), 99).len(), 16);
}

#[test]
fn who_is_left_alone_has_the_places_of_those_that_went() {
    let mut schedule = schedule();
    let all: Vec<Wanted> = (0..40).map(|n| of("a", login(n, GHCR))).collect();
    let others = [of("b", login(100, GHCR)), of("a", login(101, "quay.io"))];
    let mut held = 0;
    for (left, places) in [(2, 9), (1, 12), (0, 16)] {
        // The first of the others goes, then the second; the answers to what they asked are in.
        let wanted: Vec<Wanted> = all.iter().chain(&others[2 - left..]).cloned().collect();
        schedule.sync(&wanted, &[], at(0));
        let (ours, theirs): (Vec<Ask>, Vec<Ask>) =
            schedule.pop_due(at(0), 99).into_iter().partition(|ask| all.iter().any(|want| want.ask == *ask));
        held += ours.len();
        assert_eq!(held, places, "beside {left} others");
        for ask in theirs {
            schedule.answered(&ask, Cadence::Routine, at(0));
        }
    }
}

/// The login of a namespace of its own, at one of the hosts that one entry of the config names.
fn under_glob(no: u64, host: &str) -> Wanted {
    Wanted { pool: Arc::from("*.example.com"), ..of(&format!("ns-{no}"), login(no, host)) }
}

fn asks_of<'a>(wanted: impl IntoIterator<Item = &'a Wanted>) -> Vec<Ask> {
    wanted.into_iter().map(|want| want.ask.clone()).collect()
}

#[test]
fn who_has_many_logins_leaves_places_from_the_begin() {
    // The other one is a namespace, or another registry.
    for other in [of("b", login(100, GHCR)), of("a", login(101, "quay.io"))] {
        for (places, most) in [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (16, 12)] {
            let probe = ProbeConfig { concurrency: places, ..ProbeConfig::default() };
            let mut schedule = Schedule::new(&probe, &IssuerConfig::default());
            let mut all: Vec<Wanted> = (0..40).map(|n| of("a", login(n, GHCR))).collect();
            all.push(other.clone());
            schedule.sync(&all, &[], at(0));
            let popped = schedule.pop_due(at(0), 99);
            assert_eq!(popped.iter().filter(|ask| **ask != other.ask).count(), most, "of {places}");
        }
    }
}

#[test]
fn who_is_new_is_asked_before_who_had_a_turn() {
    let mut schedule = schedule();
    let known = [of("a", login(1, GHCR)), of("a", login(2, GHCR))];
    let new = of("b", login(3, GHCR));
    schedule.sync(&known, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 1), std::slice::from_ref(&known[0].ask));
    schedule.sync(&[known[0].clone(), known[1].clone(), new.clone()], &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 1), std::slice::from_ref(&new.ask));
}

#[test]
fn who_waits_for_a_full_host_gets_the_places_of_another_that_went() {
    // The other one is of the same entry, or of another one.
    for other in [under_glob(100, QUICK), login(101, GHCR)] {
        let mut schedule = schedule();
        let mut all: Vec<Wanted> = (0..40).map(|n| under_glob(n, SLOW)).collect();
        all.push(under_glob(102, "third.example.com"));
        let both = [all.clone(), vec![other.clone()]].concat();
        schedule.sync(&both, &[], at(0));
        let popped = schedule.pop_due(at(0), 99);
        let slow = popped.len() - 2;
        for want in &both[40..] {
            schedule.answered(&want.ask, Cadence::Routine, at(0));
        }
        // Of three the last one goes, and then the last but one: nothing of the slow one was answered.
        schedule.sync(&all, &[], at(0));
        let more = schedule.pop_due(at(0), 99).len();
        assert_eq!(slow + more, 12, "{:?}", other.host);
        schedule.sync(&all[..40], &[], at(0));
        assert_eq!(schedule.next_due(), Some(at(0)));
        assert_eq!(schedule.pop_due(at(0), 99).len(), 4, "{:?}", other.host);
    }
}

#[test]
fn who_waits_for_a_full_host_gets_the_places_that_the_config_adds() {
    let probe = |concurrency| ProbeConfig { concurrency, ..ProbeConfig::default() };
    let mut schedule = Schedule::new(&probe(4), &IssuerConfig::default());
    let mut all: Vec<Wanted> = (0..40).map(|n| under_glob(n, SLOW)).collect();
    all.push(under_glob(100, QUICK));
    schedule.sync(&all, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 99).len(), 3 + 1);
    schedule.retime(&probe(8), &IssuerConfig::default(), at(0));
    assert_eq!(schedule.next_due(), Some(at(0)));
    assert_eq!(schedule.pop_due(at(0), 99).len(), 3);
}

#[test]
fn a_wait_for_the_allowance_counts_as_no_lateness_when_it_is_over() {
    let mut schedule = schedule();
    let all: Vec<Wanted> = (0..62).map(|n| of("a", login(n, GHCR))).collect();
    schedule.sync(&all, &[], at(100));
    assert_eq!(refuse_all(&mut schedule, Cadence::Dead, at(100)), 60);
    assert_eq!(schedule.lag(at(105)), Duration::ZERO);
    // From then on it may go; nobody asks it.
    for now in [107, 110] {
        schedule.sync(&all, &[], at(now));
        schedule.hasten(&all[61].ask, at(now));
        assert_eq!(schedule.lag(at(now)), Duration::from_secs(now - 106));
    }
    assert_eq!(schedule.pop_due(at(110), 1).len(), 1);
    assert_eq!(schedule.lag(at(111)), Duration::ZERO, "the other one waits for the next");
    // Who was asked was accepted: the other one may go at once, and is late since then.
    schedule.answered(&all[60].ask, Cadence::Routine, at(110));
    schedule.answered(&all[61].ask, Cadence::Routine, at(110));
    assert_eq!(schedule.lag(at(112)), Duration::from_secs(2));
}

#[test]
fn hosts_that_come_later_share_the_places_of_their_entry() {
    let mut schedule = schedule();
    let all: Vec<Wanted> = (0..20).map(|n| under_glob(n, if n < 12 { SLOW } else { QUICK })).collect();
    schedule.sync(&all[..1], &[], at(0));
    schedule.sync(&all, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 99).len(), 16);
}

#[test]
fn namespaces_wait_for_a_full_host_in_the_order_in_which_they_came() {
    let mut schedule = schedule();
    let slow: Vec<Wanted> = (0..40).map(|n| under_glob(n, SLOW)).collect();
    let quick = under_glob(100, QUICK);
    schedule.sync(&[slow.clone(), vec![quick.clone()]].concat(), &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 99), asks_of(slow[..12].iter().chain([&quick])));
    for (ended, next) in slow.iter().zip(&slow[12..15]) {
        schedule.answered(&ended.ask, Cadence::Routine, at(0));
        assert_eq!(schedule.pop_due(at(0), 99), std::slice::from_ref(&next.ask));
    }
}

#[test]
fn who_waits_for_a_full_host_is_not_left_behind_one_that_went() {
    let probe = ProbeConfig { concurrency: 2, ..ProbeConfig::default() };
    let mut schedule = Schedule::new(&probe, &IssuerConfig::default());
    let all = [under_glob(0, SLOW), under_glob(1, SLOW), under_glob(2, SLOW), under_glob(3, QUICK)];
    schedule.sync(&all, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 99), asks_of([&all[0], &all[3]]));
    schedule.sync(&[all[0].clone(), all[2].clone(), all[3].clone()], &[], at(1));
    schedule.answered(&all[0].ask, Cadence::Routine, at(1));
    assert_eq!(schedule.pop_due(at(1), 99), std::slice::from_ref(&all[2].ask));
}

#[test]
fn what_is_urgent_and_what_is_not_take_turns() {
    let mut schedule = schedule();
    let idle: Vec<Wanted> = (0..3).map(|n| of(&format!("idle-{n}"), login(n, GHCR))).collect();
    let changed: Vec<Wanted> = (10..13).map(|n| of(&format!("changed-{n}"), login(n, GHCR))).collect();
    let urgent: Vec<LoginId> = (10..13).map(LoginId).collect();
    schedule.sync(&[idle.clone(), changed.clone()].concat(), &urgent, at(1));
    let in_turn = asks_of(changed.iter().zip(&idle).flat_map(|(one, other)| [one, other]));
    assert_eq!(schedule.pop_due(at(1), 99), in_turn);
}

#[test]
fn who_was_urgent_is_asked_no_sooner_again() {
    let mut schedule = schedule();
    let mut all: Vec<Wanted> = (0..4).map(|n| of("idle", login(n, GHCR))).collect();
    all.push(of("changed", login(9, GHCR)));
    schedule.sync(&all, &[LoginId(9)], at(1));
    for asked in [9, 0, 1, 2, 3].map(|n| Ask::Login(LoginId(n))) {
        assert_eq!(schedule.pop_due(at(1), 1), std::slice::from_ref(&asked));
        schedule.answered(&asked, Cadence::Routine, at(1));
    }
}

#[test]
fn registries_are_asked_in_turn() {
    let mut schedule = schedule();
    let all: Vec<Wanted> = (0..8).map(|n| login(n, if n < 4 { GHCR } else { "quay.io" })).collect();
    schedule.sync(&all, &[], at(0));
    for asked in [0, 4, 1, 5].map(|n| Ask::Login(LoginId(n))) {
        assert_eq!(schedule.pop_due(at(0), 1), std::slice::from_ref(&asked));
        schedule.answered(&asked, Cadence::Routine, at(0));
    }
}

/// Logins of two namespaces that were accepted at the begin; the first one's turn is longest ago.
fn two_that_were_asked() -> (Schedule, [Wanted; 2]) {
    let mut schedule = schedule();
    let both = [of("a", login(1, GHCR)), of("b", login(2, GHCR))];
    schedule.sync(&both, &[], at(0));
    for ask in schedule.pop_due(at(0), 9) {
        schedule.answered(&ask, Cadence::Routine, at(0));
    }
    (schedule, both)
}

#[test]
fn whose_turn_it_is_waits_until_something_is_due() {
    let (mut schedule, [one, other]) = two_that_were_asked();
    let new = of("b", login(3, GHCR));
    schedule.sync(&[one, other, new.clone()], &[], at(10));
    assert_eq!(schedule.pop_due(at(10), 9), std::slice::from_ref(&new.ask));
}

#[test]
fn what_is_put_off_is_asked_then_and_not_before() {
    let (mut schedule, [one, other]) = two_that_were_asked();
    schedule.revise(&one.ask, Cadence::Dead, at(1));
    assert_eq!(schedule.pop_due(at(601), 9), std::slice::from_ref(&other.ask));
    assert_eq!(schedule.pop_due(at(8 * 3_600), 9), std::slice::from_ref(&one.ask));
}

#[test]
fn a_hold_of_a_registry_meets_every_namespace() {
    let mut schedule = schedule();
    let all = [of("a", login(1, GHCR)), of("b", login(2, GHCR))];
    schedule.sync(&all, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 1), std::slice::from_ref(&all[0].ask));
    schedule.answered(&all[0].ask, Cadence::NotBefore(minutes(5)), at(0));
    assert!(schedule.pop_due(at(299), 9).is_empty());
    assert!(schedule.pop_due(at(300), 9).contains(&all[1].ask));
}

#[test]
fn the_end_of_an_access_that_is_wanted_no_more_leaves_its_login_queued() {
    for (cadence, earliest) in [(Cadence::Routine, 300), (Cadence::OwnerNotBefore(minutes(60)), 3_602)] {
        let mut schedule = schedule();
        let (own, check) = (login(1, GHCR), access(Some(1), GHCR, "org/app"));
        schedule.sync(&[own.clone(), check.clone()], &[], at(0));
        assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(&own.ask));
        schedule.answered(&own.ask, Cadence::Routine, at(0));
        assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(&check.ask));
        schedule.sync(std::slice::from_ref(&own), &[], at(1));
        schedule.answered(&check.ask, cadence, at(2));
        let due = schedule.next_due().expect("the login");
        assert!(due >= at(earliest), "{cadence:?}: {due:?}");
        assert_eq!(schedule.pop_due(due, 9), std::slice::from_ref(&own.ask));
    }
}

#[test]
fn what_moves_leaves_nothing_behind() {
    let mut schedule = schedule();
    schedule.sync(&[of("a", login(1, GHCR))], &[], at(0));
    schedule.sync(&[of("b", login(1, GHCR))], &[], at(1));
    assert_eq!(schedule.pop_due(at(1), 1).len(), 1);
    assert_eq!(schedule.next_due(), None);
}

#[test]
fn what_was_in_flight_when_it_moved_gives_its_allowance_back() {
    let mut schedule = schedule();
    let mut all: Vec<Wanted> = (0..70).map(|n| of("a", login(n, GHCR))).collect();
    schedule.sync(&all, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 1), std::slice::from_ref(&all[0].ask));
    assert_eq!(refuse_all(&mut schedule, Cadence::Confirm, at(0)), 59);
    all[0].tenant = Arc::from("b");
    schedule.sync(&all, &[], at(1));
    assert!(schedule.pop_due(at(1), 9).is_empty());
    schedule.answered(&all[0].ask, Cadence::Routine, at(1));
    assert_eq!(schedule.pop_due(at(1), 9).len(), 1);
}

#[test]
fn what_cannot_be_refused_neither_waits_for_the_allowance_nor_adds_to_it() {
    let mut schedule = schedule();
    let mut all: Vec<Wanted> = (0..100).map(|n| of("a", login(n, GHCR))).collect();
    schedule.sync(&all, &[], at(0));
    assert_eq!(refuse_all(&mut schedule, Cadence::Confirm, at(0)), 60);
    let public = of("a", access(None, GHCR, "org/public"));
    all.push(public.clone());
    schedule.sync(&all, &[], at(1));
    assert!(schedule.expects(|ask| *ask == public.ask, at(1)));
    let is_login = |ask: &Ask| ask.login().is_some();
    assert!(!schedule.expects(is_login, at(1)) && schedule.expects(is_login, at(7)));
    assert_eq!(schedule.pop_due(at(1), 9), std::slice::from_ref(&public.ask));
    schedule.answered(&public.ask, Cadence::Routine, at(1));
    assert!(schedule.pop_due(at(1), 9).is_empty());
}

#[test]
fn only_those_that_wait_for_their_allowance_are_told() {
    let mut schedule = schedule();
    let told = |schedule: &Schedule| -> Vec<usize> {
        schedule.waiting(at(1)).into_iter().map(|waiting| waiting.logins).collect()
    };
    let all: Vec<Wanted> = (0..61).map(|n| of("a", login(n, GHCR))).collect();
    schedule.sync(&all[..60], &[], at(0));
    assert!(told(&schedule).is_empty(), "they may go");
    assert_eq!(refuse_all(&mut schedule, Cadence::Confirm, at(0)), 60);
    assert!(told(&schedule).is_empty(), "none is due");
    schedule.sync(&all, &[], at(1));
    assert_eq!(told(&schedule), [1]);
    schedule.hold(&Arc::from(GHCR), at(5));
    assert!(told(&schedule).is_empty(), "it waits for the registry");
}

#[test]
fn those_that_wait_are_told_in_order() {
    let mut schedule = schedule();
    let all: Vec<Wanted> = (0..8 * 61).map(|n| of(&format!("ns-{}", 9 - n / 61), login(n, GHCR))).collect();
    schedule.sync(&all, &[], at(0));
    assert_eq!(refuse_all(&mut schedule, Cadence::Confirm, at(0)), 8 * 60);
    let namespaces: Vec<_> = schedule.waiting(at(0)).into_iter().map(|waiting| waiting.namespace).collect();
    assert!(namespaces.len() == 8 && namespaces.is_sorted(), "{namespaces:?}");
}

#[test]
fn what_waits_for_a_round_or_for_its_owner_is_expected_then() {
    let probe = ProbeConfig { access_checks_per_login: 1, ..ProbeConfig::default() };
    let mut schedule = Schedule::new(&probe, &IssuerConfig::default());
    let all = [login(1, GHCR), access(Some(1), GHCR, "org/a"), access(Some(1), GHCR, "org/b")];
    schedule.sync(&all, &[], at(0));
    for want in &all[..2] {
        assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(&want.ask));
        schedule.answered(&want.ask, Cadence::Routine, at(0));
    }
    let (own, check) = (&all[0].ask, &all[2].ask);
    assert!(!schedule.expects(|ask| ask == check, at(299)) && schedule.expects(|ask| ask == check, at(601)));
    schedule.hasten(own, at(100));
    assert!(schedule.expects(|ask| ask == own, at(100)), "a login waits for no round");
    schedule.revise(own, Cadence::OwnerNotBefore(minutes(60)), at(100));
    schedule.hasten(own, at(101));
    assert!(!schedule.expects(|ask| ask == own, at(3_699)) && schedule.expects(|ask| ask == own, at(3_700)));
}

#[test]
fn the_lag_is_that_of_what_waits_for_longest() {
    // The other one is of another namespace, or cannot be refused.
    for other in [of("b", login(2, GHCR)), of("a", access(None, GHCR, "org/public"))] {
        let mut schedule = schedule();
        let one = of("a", login(1, GHCR));
        schedule.sync(std::slice::from_ref(&one), &[], at(0));
        schedule.sync(&[one, other], &[], at(50));
        assert_eq!(schedule.lag(at(100)), Duration::from_secs(100));
    }
}

#[test]
fn logins_that_their_issuer_proved_dead_are_bounded_again() {
    let mut schedule = schedule();
    let all: Vec<Wanted> = (0..100).map(|n| of("a", login(n, GHCR))).collect();
    schedule.sync(&all, &[], at(0));
    while let asks @ [_, ..] = &*schedule.pop_due(at(0), 16) {
        for ask in asks {
            schedule.answered(ask, Cadence::Routine, at(0));
        }
    }
    for want in &all {
        schedule.revise(&want.ask, Cadence::Dead, at(10));
        schedule.hasten(&want.ask, at(9_000));
    }
    assert!(refuse_all(&mut schedule, Cadence::Dead, at(9_000)) <= 61);
}

#[test]
fn a_login_that_comes_back_elsewhere_while_its_access_is_asked_counts_there() {
    let mut schedule = schedule();
    let pair = |tenant: &str| [of(tenant, login(1, GHCR)), of(tenant, access(Some(1), GHCR, "org/app"))];
    schedule.sync(&pair("a"), &[], at(0));
    // Its own exchange proves nothing, so that one access check goes, and it is as likely to be refused as before.
    for want in &pair("a") {
        assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(&want.ask));
        if matches!(want.ask, Ask::Login(_)) {
            schedule.answered(&want.ask, Cadence::BackOff, at(0));
        }
    }
    schedule.sync(&[], &[], at(1));
    let mut all: Vec<Wanted> = (100..200).map(|n| of("b", login(n, GHCR))).collect();
    all.extend(pair("b"));
    schedule.sync(&all, &[], at(2));
    schedule.answered(&pair("b")[1].ask, Cadence::BackOff, at(2));
    assert_eq!(refuse_all(&mut schedule, Cadence::Confirm, at(2)), 60, "what one namespace may cause");
}

#[test]
fn an_access_check_that_is_queued_goes_over_to_the_namespace_that_needs_it_now() {
    let mut schedule = schedule();
    let pair = |tenant: &str| [of(tenant, login(1, GHCR)), of(tenant, access(Some(1), GHCR, "org/app"))];
    schedule.sync(&pair("a"), &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 1);
    schedule.answered(&pair("a")[0].ask, Cadence::Routine, at(0));
    schedule.sync(&pair("b"), &[], at(1));
    schedule.check();
    schedule.sync(&pair("b")[..1], &[], at(2));
    schedule.check();
    assert!(schedule.pop_due(at(2), 9).is_empty());
}
