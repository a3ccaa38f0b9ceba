//! Places and allowances: what each party may hold of them, and that they come back.

use super::tests::{access, at, issuer, login, of, schedule};
use super::*;

const GHCR: &str = "ghcr.io";

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
                schedule.end(ask, cadence, cadence == Cadence::Dead, at(now));
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
