//! What an answer about a login lets its other questions do, whatever is in flight meanwhile.

use std::time::Duration;

use crate::config::{IssuerConfig, ProbeConfig};
use crate::plan::schedule::entry::{Identity, State};
use crate::plan::schedule::tests::{access, at, issuer, login, minutes, schedule};
use crate::plan::schedule::{Remembered, Schedule};
use crate::plan::{Ask, Cadence, LoginId, Moment, Wanted};

const GHCR: &str = "ghcr.io";

#[test]
fn who_is_in_flight_and_urgent_again_within_the_spacing_is_not_asked_at_once() {
    let mut schedule = schedule();
    let own = [login(1, GHCR)];
    schedule.sync(&own, &[LoginId(1)], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 1);
    schedule.sync(&own, &[LoginId(1)], at(10));
    schedule.done(&own[0].ask, Cadence::Dead, at(11));
    assert!(schedule.pop_due(at(59), 9).is_empty());
    assert_eq!(schedule.pop_due(at(60), 9), [own[0].ask.clone()], "but then");
}

#[test]
fn who_is_in_flight_and_urgent_twice_is_asked_as_soon_as_the_first_time_allows() {
    let mut schedule = schedule();
    let own = [login(1, GHCR)];
    schedule.sync(&own, &[LoginId(1)], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 1);
    for now in [70, 80] {
        schedule.sync(&own, &[LoginId(1)], at(now));
    }
    schedule.done(&own[0].ask, Cadence::Dead, at(81));
    assert_eq!(schedule.pop_due(at(81), 9), [own[0].ask.clone()]);
    schedule.done(&own[0].ask, Cadence::Routine, at(82));
    assert!(schedule.next_due() >= Some(at(82 + 300)), "what was urgent was asked");
}

#[test]
fn what_others_tell_of_a_login_in_flight_lets_no_access_check_go() {
    let mut schedule = schedule();
    let own = login(1, GHCR);
    schedule.sync(&[own.clone(), access(Some(1), GHCR, "org/app")], &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(&own.ask));
    schedule.revise(&own.ask, Cadence::Routine, at(0));
    schedule.answered(&own.ask, Cadence::OwnerNotBefore(Duration::from_secs(60)), at(0));
    assert_eq!(schedule.pop_due(at(70), 9), std::slice::from_ref(&own.ask), "it was never accepted");
}

#[test]
fn an_access_check_that_ends_after_its_login_died_lets_no_other_go() {
    let mut schedule = schedule();
    let own = login(1, GHCR);
    schedule.sync(&[own.clone(), access(Some(1), GHCR, "a"), access(Some(1), GHCR, "b")], &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(&own.ask));
    schedule.answered(&own.ask, Cadence::Routine, at(0));
    let flying = schedule.pop_due(at(0), 9);
    assert_eq!(flying.len(), 1);
    schedule.revise(&own.ask, Cadence::Dead, at(1));
    schedule.answered(&flying[0], Cadence::Routine, at(2));
    assert!(schedule.pop_due(at(60), 9).is_empty());
}

#[test]
fn an_issuer_that_is_asked_for_a_changed_secret_does_not_rest_with_a_login_that_stays_dead() {
    let mut schedule = schedule();
    let wanted = [login(1, GHCR), issuer(7, &[1])];
    schedule.sync(&wanted, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 2);
    for want in &wanted {
        schedule.done(&want.ask, Cadence::Dead, at(0));
    }
    schedule.sync(&wanted, &[LoginId(1)], at(100));
    schedule.hold(&wanted[1].host, at(110));
    assert_eq!(schedule.pop_due(at(100), 9), std::slice::from_ref(&wanted[0].ask));
    schedule.done(&wanted[0].ask, Cadence::Dead, at(101));
    assert_eq!(schedule.pop_due(at(110), 9), std::slice::from_ref(&wanted[1].ask));
}

#[test]
fn what_waited_for_its_login_is_late_from_then_on() {
    let mut schedule = schedule();
    let (own, check) = (login(1, GHCR), access(Some(1), GHCR, "org/app"));
    schedule.sync(&[own.clone(), check.clone()], &[], at(0));
    for (now, cadence) in [(0, Cadence::Confirm), (500, Cadence::Routine)] {
        assert_eq!(schedule.pop_due(at(now), 9), std::slice::from_ref(&own.ask));
        schedule.done(&own.ask, cadence, at(now));
    }
    assert_eq!(schedule.lag(at(510)), Duration::from_secs(10));
    assert_eq!(schedule.pop_due(at(510), 9), std::slice::from_ref(&check.ask));
}

/// A login and its access checks, each answered so at once: in which cadence, and whether it was refused.
fn answer_all(
    schedule: &mut Schedule,
    now: Moment,
    of_login: (Cadence, bool),
    of_access: (Cadence, bool),
) -> (usize, usize) {
    let (mut logins, mut accesses) = (0, 0);
    while let asks @ [_, ..] = &*schedule.pop_due(now, 16) {
        for ask in asks {
            let is_login = matches!(ask, Ask::Login(_));
            *(if is_login { &mut logins } else { &mut accesses }) += 1;
            let (cadence, refused) = if is_login { of_login } else { of_access };
            if refused {
                schedule.refused(ask, cadence, now);
            } else {
                schedule.answered(ask, cadence, now);
            }
            if let (Some(login), false, true) = (ask.login(), is_login, refused) {
                // As the verdicts advise it while there is an incident.
                schedule.revise(&Ask::Login(login), Cadence::BackOff, now);
            }
        }
    }
    (logins, accesses)
}

/// So many logins of one namespace with so many access checks each.
fn with_checks(logins: u64, checks: u64) -> Vec<Wanted> {
    let of = |id| {
        let checks = (0..checks).map(move |n| access(Some(id), GHCR, &format!("org/{n}")));
        std::iter::once(login(id, GHCR)).chain(checks)
    };
    (0..logins).flat_map(of).collect()
}

#[test]
fn a_refusal_at_an_access_check_makes_nobody_trusted() {
    let (mut schedule, nothing) = (schedule(), (Cadence::BackOff, false));
    schedule.sync(&with_checks(100, 5), &[], at(0));
    // Each login proves nothing, and the one check that goes is refused: no other follows.
    assert_eq!(answer_all(&mut schedule, at(0), nothing, (Cadence::Routine, true)), (100, 60));
    let (_, more) = answer_all(&mut schedule, at(1_000), nothing, (Cadence::Routine, true));
    assert_eq!(more, 60, "what the namespace may cause");
    let (logins, accesses) = answer_all(&mut schedule, at(9_000), (Cadence::Routine, false), (Cadence::Routine, false));
    assert_eq!((logins, accesses), (100, 500));
}

#[test]
fn a_login_that_is_refused_in_an_incident_is_not_tried_at_its_repositories() {
    let mut schedule = schedule();
    schedule.sync(&with_checks(1, 3), &[], at(0));
    let (refused, granted) = ((Cadence::BackOff, true), (Cadence::Routine, false));
    assert_eq!(answer_all(&mut schedule, at(0), refused, granted), (1, 0));
    assert_eq!(answer_all(&mut schedule, at(100), refused, granted), (1, 0));
    assert_eq!(answer_all(&mut schedule, at(1_000), (Cadence::Routine, false), granted), (1, 3));
}

#[test]
fn an_access_check_that_is_refused_holds_the_others_back() {
    let mut schedule = schedule();
    schedule.sync(&with_checks(1, 5), &[], at(0));
    let (granted, refused) = ((Cadence::Routine, false), (Cadence::Routine, true));
    assert_eq!(answer_all(&mut schedule, at(0), granted, refused), (1, 1));
    assert_eq!(answer_all(&mut schedule, at(1_000), granted, granted), (1, 5));
}

/// Its issuer proves a login dead while one of its two access checks is in flight, which ends without a refusal.
fn dead_meanwhile() -> (Schedule, Wanted) {
    let mut schedule = schedule();
    let own = login(1, GHCR);
    schedule.sync(&[own.clone(), access(Some(1), GHCR, "a"), access(Some(1), GHCR, "b")], &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(&own.ask));
    schedule.answered(&own.ask, Cadence::Routine, at(0));
    let flying = schedule.pop_due(at(0), 9);
    schedule.revise(&own.ask, Cadence::Dead, at(1));
    schedule.answered(&flying[0], Cadence::Routine, at(2));
    (schedule, own)
}

/// Have as many other logins of its namespace refused as it may cause.
fn use_up_the_allowance_beside(schedule: &mut Schedule, own: &Wanted) {
    let mut all = with_checks(100, 0);
    all.retain(|want| want.ask != own.ask);
    all.push(own.clone());
    schedule.sync(&all, &[], at(3));
    let refused = (Cadence::Confirm, true);
    assert_eq!(answer_all(schedule, at(3), refused, refused), (60, 0));
}

#[test]
fn an_access_check_that_ends_after_its_login_died_waits_as_well() {
    let (mut schedule, own) = dead_meanwhile();
    assert!(schedule.pop_due(at(21_600), 9).is_empty());
    let now = schedule.next_due().expect("the login");
    assert_eq!(schedule.pop_due(now, 9), std::slice::from_ref(&own.ask));
    schedule.answered(&own.ask, Cadence::Routine, now);
    let granted = (Cadence::Routine, false);
    assert_eq!(answer_all(&mut schedule, now, granted, granted), (0, 2), "once it is accepted");
}

#[test]
fn an_access_check_that_ends_after_its_login_died_makes_nobody_trusted() {
    let (mut schedule, own) = dead_meanwhile();
    use_up_the_allowance_beside(&mut schedule, &own);
    schedule.hasten(&own.ask, at(4));
    assert!(schedule.pop_due(at(4), 9).is_empty(), "it is as likely to be refused as the others");
    // Another exchange shows that it lives.
    schedule.revise(&own.ask, Cadence::Routine, at(5));
    schedule.hasten(&own.ask, at(5));
    assert_eq!(schedule.pop_due(at(5), 9), std::slice::from_ref(&own.ask));
}

#[test]
fn a_dead_login_that_is_accepted_again_is_trusted_from_then_on() {
    let (mut schedule, own) = dead_meanwhile();
    schedule.hasten(&own.ask, at(3));
    assert_eq!(schedule.pop_due(at(3), 9), std::slice::from_ref(&own.ask));
    schedule.answered(&own.ask, Cadence::Routine, at(3));
    use_up_the_allowance_beside(&mut schedule, &own);
    schedule.hasten(&own.ask, at(4));
    assert_eq!(schedule.pop_due(at(4), 9), std::slice::from_ref(&own.ask));
}

#[test]
fn of_a_login_that_proves_nothing_one_access_check_goes_at_a_time() {
    let mut schedule = schedule();
    let wanted = with_checks(1, 3);
    schedule.sync(&wanted, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9), [wanted[0].ask.clone()]);
    schedule.answered(&wanted[0].ask, Cadence::BackOff, at(0));
    let flying = schedule.pop_due(at(0), 9);
    assert_eq!(flying.len(), 1);
    // Another exchange has its owner left alone for a while, and then it is the turn of another check.
    schedule.revise(&wanted[0].ask, Cadence::OwnerNotBefore(minutes(10)), at(1));
    schedule.answered(&flying[0], Cadence::BackOff, at(1));
    assert!(schedule.pop_due(at(600), 9).is_empty());
    let mut checks = Vec::new();
    while let [ask] = schedule.pop_due(at(601), 9).as_slice() {
        schedule.answered(ask, Cadence::OwnerNotBefore(minutes(1)), at(601));
        checks.push(ask.clone());
    }
    assert_eq!(checks.len(), 1, "{checks:?}");
    assert!(!checks.contains(&flying[0]));
}

#[test]
fn a_check_that_waited_when_it_was_remembered_goes_when_its_login_was_accepted_since() {
    let wanted = with_checks(1, 1);
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    assert_eq!(former.pop_due(at(0), 9).len(), 1);
    former.done(&wanted[0].ask, Cadence::Confirm, at(0));
    let waiting = former.remembered_ask(&wanted[1].ask).expect("it waits");
    assert!(waiting.parked);
    assert_eq!(former.pop_due(at(70), 9).len(), 1);
    former.done(&wanted[0].ask, Cadence::Routine, at(70));
    let accepted = former.remembered_ask(&wanted[0].ask).expect("it was asked");
    let mut later = schedule();
    later.recall(Remembered { asks: vec![waiting, accepted], holds: Vec::new() });
    later.sync(&wanted, &[], at(71));
    assert_eq!(later.pop_due(at(71 + 60), 9), [wanted[1].ask.clone()]);
}

#[test]
fn where_a_logins_own_exchange_never_proves_anything_its_checks_go_on_one_by_one() {
    let (mut schedule, nothing) = (schedule(), (Cadence::BackOff, false));
    schedule.sync(&with_checks(1, 3), &[], at(0));
    let (granted, refused) = ((Cadence::Routine, false), (Cadence::Routine, true));
    // The first is refused, as one slip of the registry would have it.
    assert_eq!(answer_all(&mut schedule, at(0), nothing, refused), (1, 1));
    assert!(schedule.pop_due(at(59), 9).is_empty());
    // The login is asked, and proves nothing again: one check goes, and again, each refused.
    for now in [1_000, 2_000] {
        assert_eq!(answer_all(&mut schedule, at(now), nothing, refused), (1, 1), "at {now}");
    }
    assert_eq!(answer_all(&mut schedule, at(3_000), nothing, granted), (1, 3));
}

#[test]
fn a_dead_login_whose_own_exchange_proves_nothing_is_tried_as_rarely_as_any() {
    let wanted = with_checks(1, 3);
    let (nothing, granted) = ((Cadence::BackOff, false), (Cadence::Routine, false));
    let dead = || {
        let mut schedule = schedule();
        schedule.sync(&wanted, &[], at(0));
        assert_eq!(answer_all(&mut schedule, at(0), nothing, (Cadence::Dead, true)), (1, 1));
        schedule.revise(&wanted[0].ask, Cadence::Dead, at(0));
        schedule
    };
    let mut schedule = dead();
    // It is asked for another reason: nothing of it may be refused yet.
    schedule.hasten(&wanted[0].ask, at(9_000));
    for now in [9_000, 12_000, 21_000] {
        assert_eq!(answer_all(&mut schedule, at(now), nothing, granted), (1, 0), "at {now}");
    }
    for now in [24_000, 48_000] {
        assert_eq!(answer_all(&mut schedule, at(now), nothing, (Cadence::Dead, true)), (1, 1), "at {now}");
        assert_eq!(answer_all(&mut schedule, at(now + 900), nothing, (Cadence::Dead, true)), (1, 0), "at {now}");
    }
    assert_eq!(answer_all(&mut schedule, at(75_000), nothing, (Cadence::BackOff, false)), (1, 1));
    // Its Secret changes: at once.
    let mut schedule = dead();
    schedule.sync(&wanted, &[LoginId(1)], at(100));
    schedule.sync(&wanted, &[LoginId(0)], at(100));
    assert_eq!(answer_all(&mut schedule, at(100), nothing, (Cadence::Dead, true)), (1, 1));
    assert_eq!(answer_all(&mut schedule, at(1_000), nothing, (Cadence::Dead, true)), (1, 0));
}

#[test]
fn logins_at_which_nobody_looks_are_bounded_like_those_that_were_never_accepted() {
    let mut schedule = schedule();
    let wanted = with_checks(100, 2);
    schedule.sync(&wanted, &[], at(0));
    let mut refused = 0;
    for now in [0, 1, 2] {
        while let [ask, ..] = schedule.pop_due(at(now), 1).as_slice() {
            if matches!(ask, Ask::Login(_)) {
                schedule.unchecked(ask, Cadence::Routine, at(now));
            } else {
                refused += 1;
                schedule.refused(ask, Cadence::Routine, at(now));
            }
        }
    }
    assert_eq!(refused, 60);
    // One that was granted something is trusted from then on.
    let one = schedule.pop_due(at(7), 1);
    schedule.answered(&one[0], Cadence::Routine, at(7));
    let login = one[0].login().expect("an access check");
    let more: Vec<LoginId> = schedule.pop_due(at(7), 9).iter().filter_map(Ask::login).collect();
    assert!(more.len() == 2 && more.contains(&login), "{more:?}");
}

#[test]
fn what_nobody_wants_any_more_makes_nobody_trusted() {
    let mut schedule = schedule();
    let [own, check] = <[Wanted; 2]>::try_from(with_checks(1, 1)).expect("two");
    schedule.sync(&[own.clone(), check.clone()], &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(&own.ask));
    schedule.answered(&own.ask, Cadence::BackOff, at(0));
    assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(&check.ask));
    let mut wanted: Vec<Wanted> = (200..300).map(|id| login(id, GHCR)).collect();
    wanted.push(own.clone());
    schedule.sync(&wanted, &[], at(0));
    // It came to nothing; nobody asks what.
    schedule.answered(&check.ask, Cadence::Routine, at(0));
    let refused = (Cadence::Confirm, true);
    assert_eq!(answer_all(&mut schedule, at(0), refused, refused), (60, 0));
    schedule.hasten(&own.ask, at(1));
    assert!(schedule.pop_due(at(1), 9).is_empty());
}

#[test]
fn of_checks_that_waited_those_go_first_that_wait_for_longest() {
    let mut schedule = schedule();
    schedule.sync(&with_checks(1, 4), &[], at(0));
    let mut refused = Vec::new();
    // Each time the login is accepted, its first check is refused, and all wait again.
    for now in (0..4).map(|round| 70 * round) {
        while let [ask] = schedule.pop_due(at(now), 9).as_slice() {
            if let Ask::Access { repository, .. } = ask {
                refused.push(repository.clone());
                schedule.refused(ask, Cadence::Routine, at(now));
                schedule.revise(&Ask::Login(LoginId(0)), Cadence::Confirm, at(now));
            } else {
                schedule.answered(ask, Cadence::Routine, at(now));
            }
        }
    }
    refused.sort_unstable();
    refused.dedup();
    assert_eq!(refused.len(), 4, "{refused:?}");
}

#[test]
fn a_confirmation_that_waited_for_its_login_waits_for_no_round() {
    let probe = ProbeConfig { access_checks_per_login: 1, ..ProbeConfig::default() };
    let mut schedule = Schedule::new(&probe, &IssuerConfig::default());
    let wanted = with_checks(1, 2);
    schedule.sync(&wanted, &[], at(0));
    for (now, want, cadence, refused) in [
        (0, &wanted[0], Cadence::Routine, false),
        (0, &wanted[1], Cadence::Confirm, false),
        (70, &wanted[1], Cadence::Confirm, true),
        (140, &wanted[0], Cadence::Routine, false),
        (140, &wanted[1], Cadence::Routine, false),
    ] {
        assert_eq!(schedule.pop_due(at(now), 9), std::slice::from_ref(&want.ask), "at {now}");
        if refused {
            schedule.refused(&want.ask, cadence, at(now));
            schedule.revise(&wanted[0].ask, Cadence::Confirm, at(now));
        } else {
            schedule.answered(&want.ask, cadence, at(now));
        }
    }
}

#[test]
fn where_nobody_looks_at_the_password_a_check_confirms_what_a_check_refused() {
    let mut schedule = schedule();
    let wanted = with_checks(1, 1);
    let (own, check) = (&wanted[0].ask, &wanted[1].ask);
    schedule.sync(&wanted, &[], at(0));
    for now in [0, 70, 140] {
        assert_eq!(schedule.pop_due(at(now), 9), std::slice::from_ref(own), "at {now}");
        schedule.unchecked(own, Cadence::Routine, at(now));
        // At once, and not when it would have come.
        assert_eq!(schedule.pop_due(at(now), 9), std::slice::from_ref(check), "at {now}");
        schedule.refused(check, Cadence::Routine, at(now));
        schedule.revise(own, Cadence::Confirm, at(now));
    }
    schedule.revise(own, Cadence::Dead, at(141));
    for (now, goes) in [(9_000, false), (22_000, false), (26_000, true)] {
        schedule.hasten(own, at(now));
        assert_eq!(schedule.pop_due(at(now), 9), std::slice::from_ref(own), "at {now}");
        schedule.unchecked(own, Cadence::Routine, at(now));
        assert_eq!(schedule.pop_due(at(now), 9).contains(check), goes, "at {now}");
    }
}

#[test]
fn a_check_that_is_refused_doubts_its_login_before_anybody_revises_it() {
    let (mut schedule, wanted) = (schedule(), with_checks(1, 3));
    schedule.sync(&wanted, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(&wanted[0].ask));
    schedule.answered(&wanted[0].ask, Cadence::Routine, at(0));
    let flying = schedule.pop_due(at(0), 1);
    schedule.refused(&flying[0], Cadence::Routine, at(0));
    assert!(schedule.pop_due(at(0), 9).is_empty(), "two more wait for the login");
}

#[test]
fn a_check_that_nobody_wants_any_more_holds_no_other_back() {
    let (mut schedule, wanted) = (schedule(), with_checks(1, 2));
    schedule.sync(&wanted, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 1);
    schedule.answered(&wanted[0].ask, Cadence::Routine, at(0));
    let flying = schedule.pop_due(at(0), 1);
    let left: Vec<Wanted> = wanted.into_iter().filter(|want| want.ask != flying[0]).collect();
    schedule.sync(&left, &[], at(1));
    schedule.refused(&flying[0], Cadence::Routine, at(1));
    assert_eq!(schedule.pop_due(at(1), 9), std::slice::from_ref(&left[1].ask));
}

#[test]
fn a_check_goes_in_place_of_a_login_only_where_it_confirms_a_refusal() {
    let (mut schedule, wanted) = (schedule(), with_checks(1, 1));
    let (own, check) = (&wanted[0].ask, &wanted[1].ask);
    schedule.sync(&wanted, &[], at(30_000));
    assert_eq!(schedule.pop_due(at(30_000), 9), std::slice::from_ref(own));
    schedule.answered(own, Cadence::BackOff, at(30_000));
    assert_eq!(schedule.pop_due(at(30_000), 9), std::slice::from_ref(check));
    schedule.answered(check, Cadence::Routine, at(30_000));
    // The login is asked for another reason, and proves nothing: its check was granted just now.
    schedule.hasten(own, at(30_100));
    assert_eq!(schedule.pop_due(at(30_100), 9), std::slice::from_ref(own));
    schedule.answered(own, Cadence::BackOff, at(30_100));
    assert!(schedule.pop_due(at(30_100), 9).is_empty());
}

/// A dead login with one check, asked again when that is due.
fn dead_and_asked_again() -> (Schedule, Vec<Wanted>, Moment) {
    let (mut schedule, wanted) = (schedule(), with_checks(1, 1));
    schedule.sync(&wanted, &[], at(30_000));
    assert_eq!(schedule.pop_due(at(30_000), 9), std::slice::from_ref(&wanted[0].ask));
    schedule.refused(&wanted[0].ask, Cadence::Dead, at(30_000));
    let later = at(30_000 + 24_000);
    assert_eq!(schedule.pop_due(later, 9), std::slice::from_ref(&wanted[0].ask));
    (schedule, wanted, later)
}

#[test]
fn a_dead_login_that_an_incident_refuses_is_not_tried_by_a_check() {
    let (mut schedule, wanted, now) = dead_and_asked_again();
    schedule.refused(&wanted[0].ask, Cadence::BackOff, now);
    assert!(schedule.pop_due(now, 9).is_empty());
}

#[test]
fn a_dead_login_whose_owner_is_left_alone_is_not_tried_by_a_check() {
    let (mut schedule, wanted, now) = dead_and_asked_again();
    schedule.answered(&wanted[0].ask, Cadence::OwnerNotBefore(minutes(1)), now);
    for later in [minutes(2), minutes(20)] {
        let asked = schedule.pop_due(now.after(later), 9);
        assert!(!asked.contains(&wanted[1].ask), "{asked:?}");
        for ask in asked {
            schedule.answered(&ask, Cadence::OwnerNotBefore(minutes(1)), now.after(later));
        }
    }
    // But where the login's own exchange proves nothing, it is.
    let (mut schedule, wanted, now) = dead_and_asked_again();
    schedule.answered(&wanted[0].ask, Cadence::BackOff, now);
    assert_eq!(schedule.pop_due(now, 9), std::slice::from_ref(&wanted[1].ask));
}

#[test]
fn a_check_that_ends_while_another_is_to_go_waits_its_turn() {
    let (mut schedule, wanted) = (schedule(), with_checks(1, 3));
    let own = &wanted[0].ask;
    schedule.sync(&wanted, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(own));
    schedule.answered(own, Cadence::BackOff, at(0));
    let flying = schedule.pop_due(at(0), 9);
    assert_eq!(flying.len(), 1);
    // Another exchange has its owner left alone for a while, and then it is the turn of another check.
    schedule.revise(own, Cadence::OwnerNotBefore(minutes(10)), at(1));
    schedule.answered(&flying[0], Cadence::BackOff, at(1));
    let queued = |want: &&Wanted| {
        let no = schedule.by_identity[&Identity::of(&want.ask)];
        matches!(schedule.entries[&no].state, State::Queued(_))
    };
    let queued: Vec<&Ask> = wanted[1..].iter().filter(queued).map(|want| &want.ask).collect();
    assert!(queued.len() == 1 && *queued[0] != flying[0], "{queued:?}");
}

#[test]
fn of_checks_that_are_all_late_the_one_that_waits_for_longest_goes_first() {
    let (mut schedule, wanted) = (schedule(), with_checks(1, 3));
    let (own, checks) = (&wanted[0].ask, &wanted[1..]);
    schedule.sync(&wanted, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(own));
    schedule.answered(own, Cadence::Routine, at(0));
    for now in [0, 200, 400] {
        let asked = schedule.pop_due(at(now), 1);
        schedule.answered(&asked[0], Cadence::Routine, at(now));
    }
    // The first by name becomes the last.
    schedule.hasten(&checks[0].ask, at(410));
    assert_eq!(schedule.pop_due(at(410), 9), std::slice::from_ref(&checks[0].ask));
    schedule.answered(&checks[0].ask, Cadence::Routine, at(520));
    schedule.revise(own, Cadence::Confirm, at(521));
    assert_eq!(schedule.pop_due(at(5_000), 9), std::slice::from_ref(own));
    schedule.answered(own, Cadence::Routine, at(5_000));
    let mut order = Vec::new();
    while let [ask, ..] = schedule.pop_due(at(5_000), 1).as_slice() {
        order.push(ask.clone());
        schedule.answered(ask, Cadence::Routine, at(5_000));
    }
    assert_eq!(order, [checks[1].ask.clone(), checks[2].ask.clone(), checks[0].ask.clone()]);
}

#[test]
fn what_was_urgent_while_it_was_in_flight_is_not_late_when_it_ends() {
    let mut schedule = schedule();
    let own = [login(1, GHCR)];
    schedule.sync(&own, &[LoginId(1)], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 1);
    schedule.sync(&own, &[LoginId(1)], at(10));
    schedule.done(&own[0].ask, Cadence::Routine, at(200));
    assert_eq!(schedule.lag(at(200)), Duration::ZERO);
    assert_eq!(schedule.pop_due(at(200), 9), [own[0].ask.clone()]);
}

#[test]
fn a_check_in_flight_at_the_end_of_a_process_waits_for_its_doubted_login() {
    let (mut former, wanted) = (schedule(), with_checks(1, 1));
    let (own, check) = (&wanted[0].ask, &wanted[1].ask);
    former.sync(&wanted, &[], at(0));
    assert_eq!(former.pop_due(at(0), 9), std::slice::from_ref(own));
    former.answered(own, Cadence::Routine, at(0));
    assert_eq!(former.pop_due(at(0), 9), std::slice::from_ref(check));
    former.revise(own, Cadence::Confirm, at(1));
    let mut later = schedule();
    later.recall(former.remembered(at(2)));
    later.sync(&wanted, &[], at(2));
    let mut asked = Vec::new();
    while let [ask, ..] = later.pop_due(at(3_000), 1).as_slice() {
        asked.push(ask.clone());
        later.refused(ask, Cadence::Confirm, at(3_000));
    }
    assert_eq!(asked, std::slice::from_ref(own));
}
