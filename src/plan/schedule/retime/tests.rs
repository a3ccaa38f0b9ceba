use crate::plan::schedule::tests::{at, login, minutes, schedule};
use crate::plan::{Cadence, LoginId, Wanted};

use super::*;

fn probing(interval: Duration) -> ProbeConfig {
    ProbeConfig { interval, ..ProbeConfig::default() }
}

#[test]
fn a_shorter_interval_brings_forward_and_spreads_what_is_overdue_by_it() {
    let mut schedule = Schedule::new(&probing(minutes(720)), &IssuerConfig::default());
    let wanted: Vec<Wanted> = (0..200).map(|number| login(number, "ghcr.io")).collect();
    schedule.sync(&wanted, &[], at(0));
    assert_eq!(ask_all(&mut schedule, at(1)), 200, "all were asked");
    assert!(schedule.next_due().expect("something") > at(3600));
    schedule.retime(&probing(minutes(10)), &IssuerConfig::default(), at(3600));
    // Each within ten minutes, and not all in one.
    let asked: Vec<usize> = (0..=10).map(|minute| ask_all(&mut schedule, at(3600 + 60 * minute))).collect();
    assert!(asked.iter().sum::<usize>() >= 200, "{asked:?}");
    assert!(asked.iter().all(|asked| *asked < 60), "{asked:?}");
}

/// Ask all that is due at a moment, each with the usual answer. Returns how many there were.
fn ask_all(schedule: &mut Schedule, now: Moment) -> usize {
    let mut asked = 0;
    loop {
        let due = schedule.pop_due(now, 999);
        if due.is_empty() {
            return asked;
        }
        asked += due.len();
        for ask in due {
            schedule.answered(&ask, Cadence::Routine, now);
        }
    }
}

#[test]
fn a_longer_interval_puts_nothing_off_and_holds_from_the_next_answer_on() {
    let mut schedule = schedule();
    let one = login(1, "ghcr.io");
    schedule.sync(std::slice::from_ref(&one), &[], at(0));
    for (now, times) in [(0, 1), (600, 1), (1200, 1), (1800, 1)] {
        let popped = schedule.pop_due(at(now), 9);
        assert_eq!(popped.len(), times, "{now}");
        schedule.answered(&one.ask, Cadence::Routine, at(now));
    }
    let due = schedule.next_due();
    schedule.retime(&probing(minutes(60)), &IssuerConfig::default(), at(1900));
    assert_eq!(schedule.next_due(), due);
    assert_eq!(schedule.pop_due(at(2400), 9), std::slice::from_ref(&one.ask));
    schedule.answered(&one.ask, Cadence::Routine, at(2400));
    assert_eq!(schedule.next_due(), Some(at(2400 + 3600)));
}

#[test]
fn what_is_in_flight_stays_in_flight() {
    let mut schedule = schedule();
    let one = login(1, "ghcr.io");
    schedule.sync(std::slice::from_ref(&one), &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 1);
    schedule.retime(&probing(minutes(1)), &IssuerConfig::default(), at(1));
    assert_eq!((schedule.in_flight(), schedule.pop_due(at(900), 9).len()), (1, 0), "never twice at once");
    schedule.answered(&one.ask, Cadence::Routine, at(901));
    assert!(schedule.next_due().expect("it comes again") <= at(961));
}

#[test]
fn a_dead_login_rests_as_long_as_it_is_told_now_and_a_named_wait_stays() {
    let mut schedule = schedule();
    let (dead, held) = (login(1, "ghcr.io"), login(2, "other.example"));
    schedule.sync(&[dead.clone(), held.clone()], &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 2);
    schedule.refused(&dead.ask, Cadence::Dead, at(0));
    schedule.answered(&held.ask, Cadence::NotBefore(minutes(300)), at(0));
    let rested = ProbeConfig { rejected_interval: minutes(60), ..ProbeConfig::default() };
    schedule.retime(&rested, &IssuerConfig::default(), at(600));
    assert_eq!(schedule.pop_due(at(3599), 9), []);
    assert_eq!(schedule.pop_due(at(3600 + 361), 9), std::slice::from_ref(&dead.ask));
    assert_eq!(schedule.pop_due(at(300 * 60 - 1), 9), [], "what a host named stays");
}

#[test]
fn what_a_namespace_spent_stays_spent() {
    let mut schedule = schedule();
    let wanted: Vec<Wanted> = (0..100).map(|number| login(number, "ghcr.io")).collect();
    schedule.sync(&wanted, &[], at(0));
    for _ in 0..60 {
        for ask in schedule.pop_due(at(1), 1) {
            schedule.refused(&ask, Cadence::Dead, at(1));
        }
    }
    assert_eq!(schedule.pop_due(at(2), 99), [], "the allowance is used up");
    schedule.retime(&probing(minutes(20)), &IssuerConfig::default(), at(2));
    assert_eq!(schedule.pop_due(at(2), 99), []);
    assert_eq!(schedule.waiting(at(2))[0].logins, 40);
    // Fewer places and smaller rounds hold at once.
    let narrow = ProbeConfig { concurrency: 1, ..ProbeConfig::default() };
    schedule.retime(&narrow, &IssuerConfig::default(), at(3));
    let urgent: Vec<LoginId> = (0..100).map(LoginId).collect();
    schedule.hurry_all(&urgent, at(3));
    assert_eq!(schedule.pop_due(at(3), 99), [], "hurry opens no allowance");
}
