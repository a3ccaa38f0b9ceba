//! What an answer about a login lets its other questions do, whatever is in flight meanwhile.

use std::time::Duration;

use crate::plan::schedule::tests::{access, at, issuer, login, schedule};
use crate::plan::{Cadence, LoginId};

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
