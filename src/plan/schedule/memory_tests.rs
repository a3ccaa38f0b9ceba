//! A schedule that is remembered by another process.

use proptest::prelude::*;

use super::tests::{access, issuer, login};
use super::*;
use crate::plan::Wanted;

const GHCR: &str = "ghcr.io";
const SPACING: u64 = 60;
const INTERVAL: u64 = 600;
const REJECTED: u64 = 6 * 3600;

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn schedule() -> Schedule {
    Schedule::new(&ProbeConfig::default(), &IssuerConfig::default())
}

/// The schedule of the next process, before it wants anything.
fn remembering(former: &Schedule, now: u64) -> Schedule {
    let mut schedule = schedule();
    schedule.recall(former.remembered(at(now)));
    schedule
}

fn restarted(former: &Schedule, wanted: &[Wanted], now: u64) -> Schedule {
    let mut schedule = remembering(former, now);
    schedule.sync(wanted, &[], at(now));
    schedule
}

fn due(schedule: &Schedule) -> Duration {
    schedule.next_due().expect("something is due").0
}

fn asked(schedule: &mut Schedule, want: &Wanted, cadence: Cadence, now: u64) {
    assert_eq!(schedule.pop_due(at(now), 9), std::slice::from_ref(&want.ask));
    schedule.done(&want.ask, cadence, at(now));
}

#[test]
fn a_dead_login_rests_on_and_is_asked_when_its_time_has_come() {
    let wanted = [login(1, GHCR)];
    let mut former = schedule();
    former.sync(&wanted, &[LoginId(1)], at(0));
    asked(&mut former, &wanted[0], Cadence::Dead, 0);
    let next = due(&former);
    assert!(next >= Duration::from_secs(REJECTED));
    let mut later = former;
    for now in [1, 100, 20_000] {
        later = restarted(&later, &wanted, now);
        assert_eq!(due(&later), next, "after {now} s");
        assert!(later.pop_due(at(REJECTED - 1), 9).is_empty());
    }
    assert_eq!(later.pop_due(Moment(next), 9).len(), 1);
}

#[test]
fn one_in_flight_counts_as_asked() {
    for (dead, rest) in [(true, REJECTED), (false, SPACING)] {
        let wanted = [login(1, GHCR)];
        let mut former = schedule();
        former.sync(&wanted, &[], at(0));
        let mut now = 0;
        if dead {
            asked(&mut former, &wanted[0], Cadence::Dead, 0);
            now = 30_000;
        }
        assert_eq!(former.pop_due(at(now), 9).len(), 1);
        let mut later = restarted(&former, &wanted, now + 1);
        assert!(later.pop_due(at(now + rest - 1), 9).is_empty(), "dead: {dead}");
        assert_eq!(later.pop_due(at(now + rest * 11 / 10 + 1), 9).len(), 1, "dead: {dead}");
    }
}

#[test]
fn one_in_flight_whose_login_died_meanwhile_rests_as_long_as_a_dead_one() {
    let wanted = [login(1, GHCR), issuer(7, &[1])];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    assert_eq!(former.pop_due(at(0), 9).len(), 2);
    former.done(&wanted[1].ask, Cadence::Dead, at(1));
    former.revise(&wanted[0].ask, Cadence::Dead, at(1));
    let mut later = restarted(&former, &wanted, 2);
    assert!(later.pop_due(at(REJECTED - 1), 9).is_empty());
    assert_eq!(later.pop_due(at(REJECTED * 11 / 10 + 2), 9).len(), 2);
    // Its own answer counts, when it comes.
    former.done(&wanted[0].ask, Cadence::Routine, at(3));
    assert!(due(&former) <= Duration::from_secs(3 + INTERVAL));
}

#[test]
fn what_is_overdue_is_spread_over_a_tenth_of_the_interval() {
    let wanted: Vec<Wanted> = (0..100).map(|id| login(id, GHCR)).collect();
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    while let [ask] = former.pop_due(at(0), 1)[..].to_vec().as_slice() {
        former.done(ask, Cadence::Routine, at(0));
    }
    let now = 50_000;
    let mut later = restarted(&former, &wanted, now);
    let mut count = |seconds: u64| {
        let mut popped = 0;
        while let [ask] = later.pop_due(at(now + seconds), 1)[..].to_vec().as_slice() {
            later.done(ask, Cadence::Routine, at(now + seconds));
            popped += 1;
        }
        popped
    };
    assert!(count(0) < 10);
    assert!((20..80).contains(&count(INTERVAL / 20)));
    assert!(count(INTERVAL / 10) > 10);
}

#[test]
fn waits_of_hosts_and_doubts_about_logins_last() {
    let wanted = [login(1, GHCR), access(Some(1), GHCR, "org/app"), login(2, "quay.io")];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    assert_eq!(former.pop_due(at(0), 9).len(), 2);
    former.done(&wanted[0].ask, Cadence::Confirm, at(0));
    former.done(&wanted[2].ask, Cadence::NotBefore(Duration::from_secs(5_000)), at(0));
    let mut later = restarted(&former, &wanted, 1);
    // The access check waits for its login, as before.
    assert_eq!(later.pop_due(at(70), 9), [wanted[0].ask.clone()]);
    later.done(&wanted[0].ask, Cadence::Routine, at(70));
    assert_eq!(later.pop_due(at(70), 9), [wanted[1].ask.clone()]);
    later.done(&wanted[1].ask, Cadence::Routine, at(70));
    assert!(!later.pop_due(at(4_999), 9).contains(&wanted[2].ask), "the other host wants to be left alone");
    assert!(later.pop_due(at(5_001), 9).contains(&wanted[2].ask));
}

#[test]
fn an_owner_that_is_held_stays_held() {
    let wanted = [login(1, GHCR), issuer(1, &[1]), login(2, GHCR)];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    assert_eq!(former.pop_due(at(0), 9).len(), 3);
    former.done(&wanted[0].ask, Cadence::Routine, at(0));
    former.answered(&wanted[1].ask, Cadence::OwnerNotBefore(Duration::from_secs(3_600)), at(0));
    former.revise(&wanted[0].ask, Cadence::OwnerNotBefore(Duration::from_secs(3_600)), at(0));
    former.done(&wanted[2].ask, Cadence::Routine, at(0));
    let mut later = restarted(&former, &wanted, 1);
    // Neither an edit of the Secret nor a second restart breaks the hold.
    later.sync(&wanted, &[LoginId(1), LoginId(2)], at(2));
    let mut later = restarted(&later, &wanted, 3);
    later.sync(&wanted, &[LoginId(1), LoginId(2)], at(4));
    assert_eq!(later.pop_due(at(3_599), 9), [wanted[2].ask.clone()]);
    let freed = later.pop_due(at(3_601), 9);
    assert!(freed.contains(&wanted[0].ask) && freed.contains(&wanted[1].ask), "{freed:?}");
}

#[test]
fn quota_that_is_short_stays_spared() {
    let wanted = [login(1, GHCR), issuer(1, &[1])];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    assert_eq!(former.pop_due(at(0), 9).len(), 2);
    former.stretch(&wanted[1].ask, Duration::from_secs(9_000));
    former.done(&wanted[1].ask, Cadence::Routine, at(0));
    former.done(&wanted[0].ask, Cadence::Routine, at(0));
    let mut later = restarted(&former, &wanted, 1);
    let mut now = 1;
    while now < 8_999 {
        if now == 2_001 {
            later.hasten(&wanted[0].ask, at(now));
        }
        for ask in later.pop_due(at(now), 9) {
            assert_eq!(ask, wanted[0].ask, "at {now}");
            // A login that dies and lives again brings its issuer's question back to the usual pace, not before it.
            later.done(&ask, if now < 2_000 { Cadence::Dead } else { Cadence::Routine }, at(now));
        }
        now += 10;
    }
    assert_eq!(later.pop_due(at(30_000), 9).len(), 2);
}

#[test]
fn a_changed_secret_is_asked_at_once_also_right_after_a_restart() {
    let wanted = [login(1, GHCR)];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    asked(&mut former, &wanted[0], Cadence::Dead, 0);
    let mut later = remembering(&former, 100);
    later.sync(&wanted, &[LoginId(1)], at(100));
    assert_eq!(later.pop_due(at(100), 9).len(), 1);
}

#[test]
fn shorter_intervals_take_effect() {
    let wanted = [login(1, GHCR), issuer(1, &[1])];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    assert_eq!(former.pop_due(at(0), 9).len(), 2);
    former.done(&wanted[0].ask, Cadence::Routine, at(0));
    former.done(&wanted[1].ask, Cadence::Routine, at(0));
    let mut later = Schedule::new(
        &ProbeConfig { interval: Duration::from_secs(10), ..ProbeConfig::default() },
        &IssuerConfig { interval: Duration::from_secs(10), ..IssuerConfig::default() },
    );
    later.recall(former.remembered(at(1)));
    later.sync(&wanted, &[], at(1));
    assert_eq!(later.pop_due(at(11), 9)[0], wanted[0].ask);
}

#[test]
fn what_is_not_wanted_again_can_be_forgotten() {
    let wanted = [login(1, GHCR)];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    asked(&mut former, &wanted[0], Cadence::Dead, 0);
    let mut later = remembering(&former, 1);
    assert_eq!(later.remembered(at(1)).asks.len(), 1, "a process that ends before it saw the Secret loses nothing");
    later.forget_recalled();
    assert_eq!(later.remembered(at(1)).asks.len(), 0);
    later.sync(&wanted, &[], at(2));
    assert_eq!(later.pop_due(at(2), 9).len(), 1);
}

#[test]
fn a_host_that_wants_to_be_left_alone_is_also_left_alone_by_what_is_new() {
    let wanted = [login(1, "quay.io"), login(2, "quay.io")];
    let mut former = schedule();
    former.sync(&wanted[..1], &[], at(0));
    asked(&mut former, &wanted[0], Cadence::NotBefore(Duration::from_secs(5_000)), 0);
    let mut later = restarted(&former, &wanted, 1);
    assert!(later.pop_due(at(4_999), 9).is_empty());
    assert_eq!(later.pop_due(at(5_600), 9).len(), 2);
    let holds = |now| former.remembered(at(now)).holds.len();
    assert_eq!((holds(4_999), holds(5_000), holds(5_001)), (1, 0, 0), "what is over is not kept");
}

#[test]
fn one_question_is_told_as_among_all() {
    let wanted = [login(1, GHCR), issuer(1, &[1])];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    assert_eq!(former.remembered_ask(&wanted[0].ask), None, "never asked");
    asked_all(&mut former, Cadence::Routine, 0);
    let mut all = former.remembered(at(1)).asks;
    all.sort_by(|one, other| one.ask.cmp(&other.ask));
    assert_eq!(wanted.map(|want| former.remembered_ask(&want.ask).expect("asked")).to_vec(), all);
}

/// Pop all that is due, and end each so.
fn asked_all(schedule: &mut Schedule, cadence: Cadence, now: u64) -> Vec<Ask> {
    let mut all = Vec::new();
    while let [ask] = schedule.pop_due(at(now), 1).as_slice() {
        schedule.done(ask, cadence, at(now));
        all.push(ask.clone());
    }
    all
}

#[test]
fn how_often_it_came_to_nothing_and_was_repeated_is_known_again() {
    let wanted = [login(1, GHCR)];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    for now in [0, 100, 300] {
        asked(&mut former, &wanted[0], Cadence::BackOff, now);
    }
    let mut later = restarted(&former, &wanted, 301);
    asked(&mut later, &wanted[0], Cadence::BackOff, 1_000);
    assert!(later.pop_due(at(1_000 + 6 * 60), 9).is_empty(), "it had backed off for four minutes before");

    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    for now in [0, 601, 1_202] {
        asked(&mut former, &wanted[0], Cadence::Routine, now);
    }
    let mut later = restarted(&former, &wanted, 1_203);
    asked(&mut later, &wanted[0], Cadence::Routine, 1_900);
    assert_eq!(due(&later), Duration::from_secs(1_900 + INTERVAL), "the first repetitions are over");
}

#[test]
fn a_login_that_worked_lets_new_questions_go_at_once() {
    let wanted = [login(1, GHCR), access(Some(1), GHCR, "org/new")];
    let mut former = schedule();
    former.sync(&wanted[..1], &[], at(0));
    asked(&mut former, &wanted[0], Cadence::Routine, 0);
    let mut later = restarted(&former, &wanted, 1);
    assert_eq!(later.pop_due(at(1), 9), [wanted[1].ask.clone()]);
    let standing = |want: &Wanted| later.remembered_ask(&want.ask).expect("asked").standing;
    assert_eq!((standing(&wanted[0]), standing(&wanted[1])), (Some(LoginStanding::Open), None), "it is the login's");
}

#[test]
fn what_another_exchange_told_of_a_login_is_known_again() {
    let wanted = [login(1, GHCR)];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    former.revise(&wanted[0].ask, Cadence::Dead, at(0));
    let mut later = restarted(&former, &wanted, 1);
    assert!(later.pop_due(at(REJECTED - 1), 9).is_empty(), "refused before it was asked itself");
}

#[test]
fn an_issuer_rests_on_while_all_logins_of_its_token_are_dead() {
    let wanted = [login(1, GHCR), issuer(1, &[1])];
    for in_flight in [false, true] {
        let mut former = schedule();
        former.sync(&wanted, &[], at(0));
        assert_eq!(former.pop_due(at(0), 9).len(), 2);
        former.done(&wanted[0].ask, Cadence::Dead, at(0));
        if !in_flight {
            former.done(&wanted[1].ask, Cadence::Routine, at(0));
        }
        let mut later = restarted(&former, &wanted, 1);
        assert!(later.pop_due(at(REJECTED - 1), 9).is_empty(), "in flight: {in_flight}");
    }
    // One that lives again brings its issuer's question back to the usual pace.
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    assert_eq!(former.pop_due(at(0), 9).len(), 2);
    former.done(&wanted[0].ask, Cadence::Dead, at(0));
    former.done(&wanted[1].ask, Cadence::Routine, at(0));
    let mut later = restarted(&former, &wanted, 1);
    later.hasten(&wanted[0].ask, at(2_000));
    asked(&mut later, &wanted[0], Cadence::Routine, 2_000);
    assert!(!later.pop_due(at(3_598), 9).contains(&wanted[1].ask));
    assert!(later.pop_due(at(3_602), 9).contains(&wanted[1].ask));
}

#[test]
fn a_refusal_that_is_being_confirmed_is_asked_at_once_when_it_is_late() {
    let wanted = [login(1, GHCR)];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    asked(&mut former, &wanted[0], Cadence::Confirm, 0);
    let mut later = restarted(&former, &wanted, 100);
    assert_eq!(later.pop_due(at(100), 9).len(), 1);
}

#[test]
fn access_checks_that_are_late_go_round_by_round() {
    let probe = ProbeConfig { access_checks_per_login: 2, ..ProbeConfig::default() };
    let mut wanted = vec![login(1, GHCR)];
    wanted.extend((0..6).map(|n| access(Some(1), GHCR, &format!("org/{n}"))));
    let mut former = Schedule::new(&probe, &IssuerConfig::default());
    former.sync(&wanted, &[], at(0));
    for now in (0..6_000).step_by(10) {
        asked_all(&mut former, Cadence::Routine, now);
    }
    let mut later = Schedule::new(&probe, &IssuerConfig::default());
    later.recall(former.remembered(at(6_000)));
    later.sync(&wanted, &[], at(50_000));
    let popped = asked_all(&mut later, Cadence::Routine, 50_000 + INTERVAL / 10 + 1);
    assert_eq!(popped.len(), 3, "the login, and two of its checks: {popped:?}");
}

#[test]
fn a_confirmation_that_is_remembered_waits_for_no_round() {
    let probe = ProbeConfig { access_checks_per_login: 1, ..ProbeConfig::default() };
    let wanted = [login(1, GHCR), access(Some(1), GHCR, "org/x"), access(Some(1), GHCR, "org/y")];
    let mut former = Schedule::new(&probe, &IssuerConfig::default());
    former.sync(&wanted, &[], at(0));
    asked(&mut former, &wanted[0], Cadence::Routine, 0);
    asked(&mut former, &wanted[1], Cadence::Confirm, 0);
    let mut later = Schedule::new(&probe, &IssuerConfig::default());
    later.recall(former.remembered(at(1)));
    later.sync(&wanted, &[], at(1));
    asked(&mut later, &wanted[2], Cadence::Routine, 1);
    asked(&mut later, &wanted[1], Cadence::Confirm, 70);
}

#[test]
fn while_a_login_proves_nothing_one_check_goes_on_trying() {
    let wanted = [login(1, GHCR), access(Some(1), GHCR, "org/x"), access(Some(1), GHCR, "org/y")];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    assert_eq!(asked_all(&mut former, Cadence::BackOff, 0).len(), 2, "the login, and one of its checks");
    let mut later = restarted(&former, &wanted, 1);
    assert_eq!(later.pop_due(at(50), 9), [], "the other one goes on waiting");
    assert_eq!(asked_all(&mut later, Cadence::BackOff, 70), asked_all(&mut former, Cadence::BackOff, 70));
    // The login backs off for longer by now than the check, whose turn it is.
    let mut later = restarted(&former, &wanted, 71);
    assert_eq!(later.pop_due(at(129), 9), [], "the other one goes on waiting");
    assert_eq!(asked_all(&mut later, Cadence::BackOff, 137), [wanted[2].ask.clone()]);
}

#[test]
fn what_waits_for_its_login_is_not_due_before_its_time() {
    let wanted = [login(1, GHCR), access(Some(1), GHCR, "org/app")];
    let mut former = schedule();
    former.sync(&wanted, &[], at(0));
    assert_eq!(asked_all(&mut former, Cadence::Routine, 0).len(), 2);
    former.revise(&wanted[0].ask, Cadence::Confirm, at(1));
    let mut later = restarted(&former, &wanted, 2);
    asked(&mut later, &wanted[0], Cadence::Routine, 70);
    assert!(later.pop_due(at(280), 9).is_empty());
    assert!(asked_all(&mut later, Cadence::Routine, 610).contains(&wanted[1].ask));
}

proptest! {
    /// Processes that live for seconds, and end at any moment.
    #[test]
    fn ten_restarts_in_a_minute_ask_nobody_twice(
        lives in prop::collection::vec((1_u64..6, 0_usize..30, any::<bool>()), 10),
        dead in any::<bool>(),
    ) {
        let wanted: Vec<Wanted> = (0..20)
            .flat_map(|id| [login(id, GHCR), access(Some(id), GHCR, "org/app"), issuer(id, &[id])])
            .collect();
        let mut current = schedule();
        let mut count: HashMap<Ask, u32> = HashMap::new();
        let mut now = 0;
        for (life, most, answered) in lives {
            current.sync(&wanted, &[], at(now));
            let mut popped = Vec::new();
            while popped.len() < most {
                let batch = current.pop_due(at(now), 1);
                let Some(ask) = batch.first().cloned() else { break };
                *count.entry(ask.clone()).or_default() += 1;
                if answered {
                    current.done(&ask, if dead { Cadence::Dead } else { Cadence::Routine }, at(now));
                }
                popped.push(ask);
            }
            now += life;
            current = remembering(&current, now);
        }
        prop_assert!(count.values().all(|asked| *asked == 1), "{count:?}");
    }
}
