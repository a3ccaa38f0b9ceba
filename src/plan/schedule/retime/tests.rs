use crate::plan::schedule::tests::{access, at, issuer, login, minutes, schedule};
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
    assert_eq!(schedule.lag(at(2500)), Duration::from_secs(100), "it is late when it would have been");
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

#[test]
fn a_question_to_an_issuer_goes_by_its_own_interval_and_by_what_is_left_of_a_quota() {
    let mut schedule = schedule();
    let one = issuer(1, &[]);
    schedule.sync(std::slice::from_ref(&one), &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 1);
    schedule.stretch(&one.ask, minutes(30));
    schedule.answered(&one.ask, Cadence::Routine, at(0));
    let often = IssuerConfig { interval: minutes(5), ..IssuerConfig::default() };
    schedule.retime(&ProbeConfig::default(), &often, at(1));
    assert_eq!(schedule.next_due(), Some(at(30 * 60)));
}

#[test]
fn a_confirmation_comes_sooner_with_a_shorter_spacing() {
    let mut schedule = schedule();
    let one = login(1, "ghcr.io");
    schedule.sync(std::slice::from_ref(&one), &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 1);
    schedule.refused(&one.ask, Cadence::Confirm, at(0));
    let close = ProbeConfig { confirmation_spacing: Duration::from_secs(10), ..ProbeConfig::default() };
    schedule.retime(&close, &IssuerConfig::default(), at(1));
    let due = schedule.next_due().expect("it is confirmed");
    assert!(due >= at(10) && due <= at(11), "{due:?}");
    assert_eq!(schedule.lag(due.after(minutes(1))), minutes(1), "and is late from then on");
}

#[test]
fn a_back_off_ends_within_the_interval_and_never_before_the_spacing() {
    for (interval, longest) in [(120, 120), (30, 60)] {
        let mut schedule = schedule();
        let one = login(1, "ghcr.io");
        schedule.sync(std::slice::from_ref(&one), &[], at(0));
        let mut last = at(0);
        for _ in 0..6 {
            last = schedule.next_due().expect("it comes again").max(last);
            assert_eq!(schedule.pop_due(last, 9).len(), 1);
            schedule.answered(&one.ask, Cadence::BackOff, last);
        }
        assert!(schedule.next_due().expect("it comes again") > last.after(minutes(5)));
        let probe = ProbeConfig { interval: Duration::from_secs(interval), ..ProbeConfig::default() };
        schedule.retime(&probe, &IssuerConfig::default(), last);
        assert_eq!(schedule.next_due(), Some(last.after(Duration::from_secs(longest))), "an interval of {interval} s");
    }
}

/// A login that is refused a minute after it worked, and an access that waits for it since.
fn doubted_at_a_minute(schedule: &mut Schedule) -> (Wanted, Wanted) {
    let (one, repository) = (login(1, "ghcr.io"), access(Some(1), "ghcr.io", "org/app"));
    schedule.sync(&[one.clone(), repository.clone()], &[], at(0));
    assert_eq!(ask_all(schedule, at(0)), 2);
    schedule.hasten(&one.ask, at(60));
    assert_eq!(schedule.pop_due(at(60), 9), std::slice::from_ref(&one.ask));
    schedule.refused(&one.ask, Cadence::Confirm, at(60));
    (one, repository)
}

#[test]
fn an_access_that_waits_for_its_login_is_brought_forward_where_it_waits() {
    let mut schedule = Schedule::new(&probing(minutes(720)), &IssuerConfig::default());
    let (one, repository) = doubted_at_a_minute(&mut schedule);
    schedule.retime(&probing(minutes(10)), &IssuerConfig::default(), at(120));
    assert_eq!(schedule.pop_due(at(130), 9), std::slice::from_ref(&one.ask));
    schedule.answered(&one.ask, Cadence::Routine, at(130));
    let mut asked_at = Vec::new();
    for second in 131..=600 {
        for ask in schedule.pop_due(at(second), 9) {
            if ask == repository.ask {
                asked_at.push(second);
            }
            schedule.answered(&ask, Cadence::Routine, at(second));
        }
    }
    assert_eq!(asked_at, [600], "ten minutes after it was asked");
}

#[test]
fn an_issuer_rests_with_its_dead_logins_as_long_as_these_do_now() {
    let asked = || {
        let mut schedule = schedule();
        let (one, token) = (login(1, "ghcr.io"), issuer(1, &[1]));
        schedule.sync(&[one.clone(), token.clone()], &[], at(0));
        assert_eq!(schedule.pop_due(at(0), 9).len(), 2);
        schedule.refused(&one.ask, Cadence::Dead, at(0));
        schedule.answered(&token.ask, Cadence::Routine, at(0));
        schedule
    };
    let mut as_before = asked();
    assert_eq!(as_before.pop_due(at(6 * 3600 - 1), 9), []);
    assert_eq!(as_before.pop_due(at(6 * 3600 + 2160), 9).len(), 2);
    let mut sooner = asked();
    let rested = ProbeConfig { rejected_interval: minutes(120), ..ProbeConfig::default() };
    sooner.retime(&rested, &IssuerConfig::default(), at(10));
    assert_eq!(sooner.pop_due(at(2 * 3600 - 1), 9), []);
    assert_eq!(sooner.pop_due(at(2 * 3600 + 720), 9).len(), 2);
}

#[test]
fn a_quota_holds_a_question_up_no_longer_than_the_longest_interval_there_is_now() {
    let mut schedule = schedule();
    let one = issuer(1, &[]);
    schedule.sync(std::slice::from_ref(&one), &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 1);
    schedule.stretch(&one.ask, minutes(300));
    schedule.answered(&one.ask, Cadence::Routine, at(0));
    assert_eq!(schedule.next_due(), Some(at(300 * 60)));
    let rested = ProbeConfig { rejected_interval: minutes(60), ..ProbeConfig::default() };
    schedule.retime(&rested, &IssuerConfig::default(), at(1));
    assert_eq!(schedule.next_due(), Some(at(60 * 60)));
}

#[test]
fn what_is_overdue_by_a_shorter_wait_comes_within_that_wait_or_an_interval() {
    let close = ProbeConfig { confirmation_spacing: Duration::from_secs(10), ..ProbeConfig::default() };
    let rested = ProbeConfig { rejected_interval: minutes(60), ..ProbeConfig::default() };
    for (cadence, probe, now, latest) in [(Cadence::Confirm, close, 30, 41), (Cadence::Dead, rested, 7_200, 7_800)] {
        let mut schedule = schedule();
        let wanted: Vec<Wanted> = (0..8).map(|number| login(number, "ghcr.io")).collect();
        schedule.sync(&wanted, &[], at(0));
        for ask in schedule.pop_due(at(0), 9) {
            schedule.refused(&ask, cadence, at(0));
        }
        schedule.retime(&probe, &IssuerConfig::default(), at(now));
        assert_eq!(schedule.pop_due(at(latest), 9).len(), 8, "{cadence:?}");
    }
}

#[test]
fn a_longer_interval_puts_off_nothing_that_waits_for_its_login() {
    let mut schedule = schedule();
    let (one, repository) = doubted_at_a_minute(&mut schedule);
    schedule.retime(&probing(minutes(60)), &IssuerConfig::default(), at(100));
    assert_eq!(schedule.pop_due(at(130), 9), std::slice::from_ref(&one.ask));
    schedule.answered(&one.ask, Cadence::Routine, at(130));
    assert_eq!(schedule.pop_due(at(600), 9), std::slice::from_ref(&repository.ask));
}
