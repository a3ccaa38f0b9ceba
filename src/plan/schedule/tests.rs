use super::*;
use crate::plan::{Issuer, IssuerKind, TokenId, TokenKey};

const GHCR: &str = "ghcr.io";
const API: &str = "api.github.com";

pub(super) fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

pub(super) fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

/// A schedule with the default intervals: 10 min, issuer 1 h, spacing 1 min, rejected 6 h, 20 access checks, 16 at once.
pub(super) fn schedule() -> Schedule {
    Schedule::new(&ProbeConfig::default(), &IssuerConfig::default())
}

/// A question for the namespace `a`.
fn wanted(ask: Ask, host: &str) -> Wanted {
    let host: Arc<str> = Arc::from(host);
    Wanted { ask, pool: host.clone(), host, tenant: Arc::from("a"), logins: Vec::new() }
}

/// The same question for another namespace.
pub(super) fn of(tenant: &str, want: Wanted) -> Wanted {
    Wanted { tenant: Arc::from(tenant), ..want }
}

pub(super) fn login(login: u64, host: &str) -> Wanted {
    wanted(Ask::Login(LoginId(login)), host)
}

pub(super) fn access(login: Option<u64>, host: &str, repository: &str) -> Wanted {
    let (login, repository, reference) = (login.map(LoginId), Arc::from(repository), Arc::from("latest"));
    wanted(Ask::Access { host: Arc::from(host), login, repository, reference }, host)
}

pub(super) fn issuer(token: u64, logins: &[u64]) -> Wanted {
    let issuer = Issuer { kind: IssuerKind::GithubCloud, api: url::Url::parse("https://api.github.com").ok() };
    let logins = logins.iter().copied().map(LoginId).collect();
    Wanted { logins, ..wanted(Ask::Issuer(TokenKey { issuer, token: TokenId(token) }), API) }
}

fn canary(host: &str) -> Wanted {
    wanted(Ask::Canary(Arc::from(host)), host)
}

/// Pop the one ask that is due at a moment, and end it.
#[track_caller]
fn ask_once(schedule: &mut Schedule, expected: &Wanted, cadence: Cadence, now: Moment) {
    assert_eq!(schedule.pop_due(now, 99), std::slice::from_ref(&expected.ask));
    schedule.done(&expected.ask, cadence, now);
}

/// How long the schedule waits for its next ask, in units of `unit`.
fn wait_in(schedule: &Schedule, now: Moment, unit: Duration) -> f64 {
    schedule.next_due().expect("something is due").since(now).as_secs_f64() / unit.as_secs_f64()
}

#[test]
fn new_asks_are_due_at_once_and_gone_ones_are_forgotten() {
    let mut schedule = schedule();
    let wanted = [login(1, GHCR), access(None, GHCR, "org/public"), issuer(1, &[1]), canary(GHCR)];
    schedule.sync(&wanted, &[], at(5));
    assert_eq!(schedule.next_due(), Some(at(5)));
    let popped = schedule.pop_due(at(5), 99);
    let all: BTreeSet<Ask> = wanted.iter().map(|want| want.ask.clone()).collect();
    assert_eq!(popped.iter().cloned().collect::<BTreeSet<_>>(), all);
    assert_eq!((schedule.in_flight(), schedule.next_due()), (4, None));
    schedule.sync(&[], &[], at(6));
    assert_eq!(schedule.len(), 4, "what is in flight is known until it is done");
    for ask in &popped {
        schedule.done(ask, Cadence::Routine, at(7));
    }
    assert!(schedule.is_empty() && schedule.in_flight() == 0 && schedule.next_due().is_none());
    assert_eq!(schedule.lag(at(9)), Duration::ZERO);
    // Back again: as if it had never been there.
    schedule.sync(&wanted[..1], &[], at(8));
    ask_once(&mut schedule, &wanted[0], Cadence::Routine, at(8));
    schedule.sync(&[], &[], at(9));
    schedule.sync(&wanted[..1], &[], at(10));
    assert_eq!(schedule.pop_due(at(10), 99), [wanted[0].ask.clone()]);
    assert!(schedule.logins.len() == 1 && schedule.entries.len() == 1);
}

#[test]
fn usual_repetitions_come_after_shortened_intervals_first() {
    let (mut schedule, one, mut now) = (schedule(), login(1, GHCR), at(0));
    schedule.sync(std::slice::from_ref(&one), &[], now);
    let mut waits = Vec::new();
    for _ in 0..5 {
        ask_once(&mut schedule, &one, Cadence::Routine, now);
        waits.push(wait_in(&schedule, now, minutes(10)));
        now = schedule.next_due().expect("due");
        assert!(schedule.pop_due(Moment(now.0.saturating_sub(Duration::from_nanos(1))), 99).is_empty());
    }
    assert!((0.5..=1.0).contains(&waits[0]) && (waits[1] - waits[0]).abs() < 1e-6, "{waits:?}");
    assert!(waits[2..].iter().all(|wait| (wait - 1.0).abs() < 1e-6), "{waits:?}");
}

#[test]
fn cadences_wait_as_long_as_they_say() {
    let cases = [
        (Cadence::Confirm, minutes(1), 1.0..=1.1),
        (Cadence::Dead, minutes(360), 1.0..=1.1),
        (Cadence::BackOff, minutes(1), 1.0..=1.1),
        (Cadence::NotBefore(minutes(7)), minutes(7), 1.0..=1.0),
        (Cadence::NotBefore(Duration::from_secs(1)), minutes(1), 1.0..=1.1),
        // A remote may not silence us for longer than we ever wait ourselves.
        (Cadence::NotBefore(Duration::MAX), minutes(360), 1.0..=1.0),
    ];
    for (cadence, unit, expected) in cases {
        for who in 0..50 {
            let (mut schedule, one) = (schedule(), login(who, GHCR));
            schedule.sync(std::slice::from_ref(&one), &[], at(0));
            ask_once(&mut schedule, &one, cadence, at(100));
            let wait = wait_in(&schedule, at(100), unit);
            assert!(expected.contains(&wait), "{cadence:?}: {wait}");
        }
    }
}

#[test]
fn back_off_doubles_up_to_the_interval_and_starts_anew() {
    let (mut schedule, one, mut now) = (schedule(), issuer(1, &[]), at(0));
    schedule.sync(std::slice::from_ref(&one), &[], now);
    let mut waits = Vec::new();
    for turn in 0..80 {
        ask_once(&mut schedule, &one, if turn == 70 { Cadence::Routine } else { Cadence::BackOff }, now);
        waits.push(wait_in(&schedule, now, minutes(1)));
        now = schedule.next_due().expect("due");
    }
    let doubled = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
    assert!(waits.iter().zip(doubled).all(|(wait, least)| (least..=least * 1.1).contains(wait)), "{waits:?}");
    // Up to a tenth less than the interval of the issuer: by as much as its hash says, so that others are apart from it.
    assert!(waits[6..70].iter().all(|wait| (54.0..=60.0).contains(wait)), "{waits:?}");
    assert!((1.0..=1.1).contains(&waits[71]), "{waits:?}");
}

#[test]
fn a_login_has_one_exchange_at_a_time() {
    let mut schedule = schedule();
    let wanted = [login(1, GHCR), access(Some(1), GHCR, "a"), access(Some(1), GHCR, "b"), login(2, GHCR)];
    schedule.sync(&wanted, &[], at(0));
    // Access checks wait for the login's own answer.
    assert_eq!(schedule.pop_due(at(0), 99), [wanted[0].ask.clone(), wanted[3].ask.clone()]);
    assert_eq!((schedule.pop_due(at(1), 99).len(), schedule.next_due()), (0, None));
    schedule.done(&wanted[0].ask, Cadence::Routine, at(1));
    assert_eq!(schedule.pop_due(at(1), 99), [wanted[1].ask.clone()]);
    assert_eq!((schedule.pop_due(at(1), 99).len(), schedule.next_due()), (0, None));
    schedule.done(&wanted[1].ask, Cadence::Routine, at(2));
    assert_eq!(schedule.pop_due(at(2), 99), [wanted[2].ask.clone()]);
}

#[test]
fn a_refused_login_is_not_tried_at_its_repositories() {
    let mut schedule = schedule();
    let (own, checks) = (login(1, GHCR), [access(Some(1), GHCR, "a"), access(Some(1), GHCR, "b")]);
    let wanted = [own.clone(), checks[0].clone(), checks[1].clone()];
    schedule.sync(&wanted, &[], at(0));
    ask_once(&mut schedule, &own, Cadence::Confirm, at(0));
    assert!(wait_in(&schedule, at(0), minutes(1)) >= 1.0);
    ask_once(&mut schedule, &own, Cadence::Dead, at(140));
    assert!(wait_in(&schedule, at(140), minutes(360)) >= 1.0);
    // Wanted again and again, new repositories included: nothing but the login, and that rarely.
    let more = [own.clone(), checks[0].clone(), checks[1].clone(), access(Some(1), GHCR, "c")];
    schedule.sync(&more, &[], at(200));
    assert!(wait_in(&schedule, at(140), minutes(360)) >= 1.0);
    assert_eq!(schedule.lag(at(9_000)), Duration::ZERO);
    // The Secret changed: at once.
    schedule.sync(&more, &[LoginId(1)], at(300));
    ask_once(&mut schedule, &own, Cadence::Routine, at(300));
    for repository in ["a", "b", "c"] {
        ask_once(&mut schedule, &access(Some(1), GHCR, repository), Cadence::Routine, at(301));
    }
}

#[test]
fn a_registry_in_trouble_is_not_asked_everything() {
    let mut schedule = schedule();
    let own = login(1, GHCR);
    let wanted: Vec<Wanted> =
        std::iter::once(own.clone()).chain((0..9).map(|n| access(Some(1), GHCR, &n.to_string()))).collect();
    schedule.sync(&wanted, &[], at(0));
    ask_once(&mut schedule, &own, Cadence::BackOff, at(0));
    // One check goes, in case that it fares better than the plain exchange.
    ask_once(&mut schedule, &wanted[1], Cadence::BackOff, at(1));
    assert!(schedule.next_due() > Some(at(59)));
    ask_once(&mut schedule, &own, Cadence::BackOff, at(70));
    // It does: the others follow.
    ask_once(&mut schedule, &wanted[2], Cadence::Confirm, at(71));
    let mut followed = BTreeSet::new();
    for second in 72..80 {
        let popped = schedule.pop_due(at(second), 99);
        schedule.done(&popped[0], Cadence::Routine, at(second));
        followed.extend(popped);
    }
    assert_eq!(followed.len(), 8);
    assert!(!followed.contains(&wanted[2].ask));
}

#[test]
fn an_issuer_is_asked_rarely_about_a_token_whose_logins_are_all_dead() {
    let mut schedule = schedule();
    let (one, two, token) = (login(1, GHCR), login(2, GHCR), issuer(7, &[1, 2]));
    schedule.sync(&[one.clone(), two.clone(), token.clone()], &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 99).len(), 3);
    schedule.done(&token.ask, Cadence::Routine, at(0));
    schedule.done(&one.ask, Cadence::Dead, at(0));
    schedule.done(&two.ask, Cadence::Routine, at(0));
    let due = |schedule: &Schedule| {
        let entry = &schedule.entries[&schedule.by_identity[&Identity::of(&token.ask)]];
        match entry.state {
            State::Queued(slot) => Moment(slot.due.0.saturating_sub(minutes(10))),
            other => panic!("{other:?}"),
        }
    };
    assert!(due(&schedule) <= at(3_600), "the other login is alive");
    let now = schedule.next_due().expect("the second login");
    ask_once(&mut schedule, &two, Cadence::Dead, now);
    assert!(due(&schedule) >= Moment(minutes(360)), "{:?}", due(&schedule));
    // One comes back to life.
    schedule.sync(&[one.clone(), two.clone(), token.clone()], &[], at(4_000));
    schedule.revise(&one.ask, Cadence::Routine, at(7_000));
    assert_eq!(due(&schedule), at(7_000), "its last answer is more than an hour old");
    ask_once(&mut schedule, &token, Cadence::Dead, at(7_000));
    assert!(due(&schedule).since(at(7_000)) >= minutes(360), "the issuer itself says dead");
    schedule.revise(&two.ask, Cadence::Confirm, at(7_060));
    assert!(due(&schedule).since(at(7_000)) >= minutes(360), "and no other login with it works by now");
    schedule.revise(&two.ask, Cadence::Routine, at(7_120));
    assert_eq!(due(&schedule), at(7_000 + 3_600), "one more works: as usual");
}

#[test]
fn an_urgent_login_is_asked_at_once_but_no_more_often_than_confirmations() {
    let mut schedule = schedule();
    let (own, token) = (login(1, GHCR), issuer(7, &[1]));
    let wanted = [own.clone(), token.clone()];
    let urgent = [LoginId(1)];
    schedule.sync(&wanted, &urgent, at(0));
    assert_eq!(schedule.pop_due(at(0), 99).len(), 2);
    schedule.done(&own.ask, Cadence::Dead, at(1));
    schedule.done(&token.ask, Cadence::Dead, at(1));
    schedule.sync(&wanted, &urgent, at(100));
    assert_eq!(schedule.pop_due(at(100), 99).len(), 2);
    schedule.done(&own.ask, Cadence::Dead, at(101));
    schedule.done(&token.ask, Cadence::Dead, at(101));
    for second in 110..150 {
        schedule.sync(&wanted, &urgent, at(second));
        assert_eq!(schedule.next_due(), Some(at(160)));
    }
    assert_eq!(schedule.pop_due(at(160), 99).len(), 2);
    // While in flight: once more when it is done.
    schedule.sync(&wanted, &urgent, at(300));
    schedule.done(&own.ask, Cadence::Dead, at(301));
    assert_eq!(schedule.pop_due(at(301), 99), std::slice::from_ref(&own.ask));
}

#[test]
fn urgent_logins_overtake_a_backlog_that_is_not_too_old() {
    let mut schedule = schedule();
    let mut wanted: Vec<Wanted> = (0..100).map(|n| login(n, GHCR)).collect();
    schedule.sync(&wanted, &[], at(0));
    assert_eq!(schedule.pop_due(at(60), 1), [wanted[0].ask.clone()]);
    wanted.push(login(1_000, GHCR));
    schedule.sync(&wanted, &[LoginId(1_000)], at(60));
    assert_eq!(schedule.pop_due(at(60), 1), [wanted[100].ask.clone()]);
    wanted.push(login(1_001, GHCR));
    schedule.sync(&wanted, &[LoginId(1_001)], at(601));
    assert_eq!(schedule.pop_due(at(601), 1), [wanted[1].ask.clone()], "what waits for an interval goes first");
    assert_eq!(schedule.lag(at(601)), Duration::from_secs(601));
}

#[test]
fn a_slow_registry_does_not_starve_the_others() {
    let mut schedule = schedule();
    let slow: Vec<Wanted> = (0..100).map(|n| login(n, "slow.example.com")).collect();
    let fast: Vec<Wanted> = (100..200).map(|n| login(n, GHCR)).collect();
    schedule.sync(&[slow, fast.clone()].concat(), &[], at(0));
    let is_fast = |ask: &Ask| fast.iter().any(|want| want.ask == *ask);
    let mut popped = schedule.pop_due(at(0), 16);
    assert_eq!(popped.iter().filter(|ask| is_fast(ask)).count(), 8);
    let mut answered = 0;
    // The slow one never answers; every answer of the fast one frees a slot.
    for second in 1..200 {
        for ask in popped.iter().filter(|ask| is_fast(ask)) {
            schedule.done(ask, Cadence::Routine, at(second));
            answered += 1;
        }
        popped = schedule.pop_due(at(second), 16 - schedule.in_flight());
        if answered >= 100 {
            break;
        }
    }
    assert!(answered >= 100, "{answered}");
    // Even with nothing else due it leaves slots.
    assert!(schedule.in_flight() <= 12, "{}", schedule.in_flight());
    assert!(schedule.next_due() > Some(at(0)), "a host at its cap does not keep the loop spinning");
}

#[test]
fn a_host_is_held_as_a_whole_and_others_are_not() {
    let mut schedule = schedule();
    let wanted = [login(1, GHCR), login(2, GHCR), login(3, "quay.io"), issuer(1, &[1])];
    schedule.sync(&wanted, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 1), [wanted[0].ask.clone()]);
    schedule.done(&wanted[0].ask, Cadence::NotBefore(minutes(5)), at(0));
    assert_eq!(schedule.pop_due(at(0), 99), [wanted[2].ask.clone(), wanted[3].ask.clone()]);
    assert_eq!(schedule.next_due(), Some(at(300)));
    assert_eq!(schedule.lag(at(299)), Duration::ZERO, "who is told to wait is not late");
    schedule.sync(&wanted, &[LoginId(2)], at(10));
    schedule.hasten(&wanted[1].ask, at(10));
    assert!(schedule.pop_due(at(299), 99).is_empty(), "urgency does not break a hold");
    schedule.hold(&Arc::from(GHCR), at(200));
    assert_eq!(schedule.next_due(), Some(at(300)), "a hold is never shortened");
    // Nor does taking the Secret away and putting it back.
    schedule.sync(&[], &[], at(20));
    schedule.sync(&wanted[..2], &[], at(30));
    assert_eq!(schedule.next_due(), Some(at(300)));
    assert_eq!(schedule.pop_due(at(300), 99).len(), 2);
}

#[test]
fn hosts_of_which_nothing_is_wanted_are_forgotten() {
    let mut schedule = schedule();
    for round in 0..50 {
        let host = format!("h{round}.example.com");
        schedule.sync(&[login(round, &host), access(None, &host, "x")], &[], at(round));
        assert_eq!(schedule.pop_due(at(round), 1).len(), 1);
    }
    schedule.sync(&[], &[], at(60));
    assert_eq!(schedule.in_flight(), 50, "they count until they are done");
    let flying: Vec<Ask> = schedule.entries.values().map(|entry| entry.ask.clone()).collect();
    for ask in flying {
        schedule.done(&ask, Cadence::NotBefore(minutes(1)), at(61));
    }
    schedule.sync(&[], &[], at(62));
    assert!(schedule.is_empty() && schedule.logins.is_empty());
    schedule.sync(&[], &[], at(200));
    assert_eq!(schedule.queues.sizes(), (0, 0, 0));
}

#[test]
fn a_login_with_many_repositories_is_asked_for_all_of_them_in_turn() {
    let (mut schedule, mut seen) = (schedule(), HashMap::new());
    let own = login(1, GHCR);
    let checks = (0..50).map(|n| access(Some(1), GHCR, &format!("org/{n:02}")));
    let wanted: Vec<Wanted> = std::iter::once(own).chain(checks).collect();
    schedule.sync(&wanted, &[], at(0));
    let mut times: Vec<Moment> = Vec::new();
    while let Some(now) = schedule.next_due().filter(|due| *due < at(100 * 600)) {
        let [ask] = schedule.pop_due(now, 99).try_into().expect("one at a time");
        schedule.done(&ask, Cadence::Routine, now);
        if let Ask::Access { repository, .. } = ask {
            *seen.entry(repository).or_insert(0) += 1;
            times.push(now);
        }
    }
    // The budget of twenty per interval, with the first two rounds shortened by the hash.
    let asked = times.len();
    assert!((1_980..=2_040).contains(&asked), "{asked}");
    for window in times.windows(21) {
        let apart = window[20].since(window[0]);
        assert!(apart >= minutes(5), "at most twenty per round: {apart:?} after {:?}", window[0]);
    }
    let (least, most) = (seen.values().min().expect("some"), seen.values().max().expect("some"));
    assert!(seen.len() == 50 && most - least <= 1, "{least} to {most}");
    assert_eq!(schedule.lag(at(99 * 600)), Duration::ZERO, "what waits for its round is not late");
}

#[test]
fn confirmations_of_a_denial_are_not_put_off_to_the_next_round() {
    let mut schedule = schedule();
    let checks = (0..30).map(|n| access(Some(1), GHCR, &format!("org/{n:02}")));
    let wanted: Vec<Wanted> = std::iter::once(login(1, GHCR)).chain(checks).collect();
    schedule.sync(&wanted, &[], at(0));
    ask_once(&mut schedule, &wanted[0], Cadence::Routine, at(0));
    for want in &wanted[1..=20] {
        assert_eq!(schedule.pop_due(at(1), 1), std::slice::from_ref(&want.ask));
        let denied = want.ask == wanted[5].ask;
        schedule.done(&want.ask, if denied { Cadence::Confirm } else { Cadence::Routine }, at(1));
    }
    assert!(schedule.pop_due(at(60), 99).is_empty());
    assert_eq!(schedule.pop_due(at(68), 99), [wanted[5].ask.clone()]);
}

#[test]
fn another_reference_is_the_same_question() {
    let mut schedule = schedule();
    let mut one = access(None, GHCR, "org/app");
    schedule.sync(std::slice::from_ref(&one), &[], at(0));
    ask_once(&mut schedule, &one, Cadence::Routine, at(0));
    let due = schedule.next_due().expect("due");
    if let Ask::Access { reference, .. } = &mut one.ask {
        *reference = Arc::from("2");
    }
    schedule.sync(std::slice::from_ref(&one), &[], at(1));
    assert_eq!(schedule.next_due(), Some(due));
    assert_eq!(schedule.pop_due(due, 99), [one.ask], "with the reference of today");
}

#[test]
fn advice_moves_what_is_queued_and_nothing_else() {
    let mut schedule = schedule();
    let wanted = [login(1, GHCR), access(Some(1), GHCR, "a"), canary(GHCR)];
    schedule.sync(&wanted, &[], at(0));
    // Passed over: waits for its login; unknown.
    schedule.hasten(&wanted[1].ask, at(0));
    schedule.revise(&wanted[1].ask, Cadence::Confirm, at(0));
    schedule.hasten(&login(9, GHCR).ask, at(0));
    schedule.done(&login(9, GHCR).ask, Cadence::Routine, at(0));
    schedule.done(&wanted[0].ask, Cadence::Dead, at(0));
    assert_eq!(schedule.pop_due(at(0), 99), [wanted[0].ask.clone(), wanted[2].ask.clone()]);
    // Passed over: in flight.
    schedule.revise(&wanted[0].ask, Cadence::Dead, at(0));
    schedule.done(&wanted[0].ask, Cadence::Routine, at(0));
    schedule.done(&wanted[2].ask, Cadence::Routine, at(0));
    // The access check shows that the login is refused.
    assert_eq!(schedule.pop_due(at(1), 99), [wanted[1].ask.clone()]);
    schedule.done(&wanted[1].ask, Cadence::Routine, at(1));
    schedule.revise(&wanted[0].ask, Cadence::Confirm, at(1));
    schedule.hasten(&wanted[2].ask, at(2));
    ask_once(&mut schedule, &wanted[2], Cadence::Routine, at(2));
    assert!((1.0..=1.1).contains(&wait_in(&schedule, at(1), minutes(1))));
    ask_once(&mut schedule, &wanted[0], Cadence::Dead, at(68));
    let times: Vec<Moment> = schedule.next_due().into_iter().collect();
    assert_eq!(times.len(), 1, "the canary alone is due before the login");
    ask_once(&mut schedule, &wanted[2], Cadence::Routine, times[0]);
}

#[test]
fn ten_thousand_logins_are_spread_evenly_over_the_interval() {
    let mut schedule =
        Schedule::new(&ProbeConfig { concurrency: 20_000, ..ProbeConfig::default() }, &IssuerConfig::default());
    let wanted: Vec<Wanted> = (0..10_000).map(|n: u64| login(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), GHCR)).collect();
    schedule.sync(&wanted, &[], at(0));
    let mut bins = [0_u32; 60];
    while let Some(now) = schedule.next_due().filter(|due| *due < at(4 * 600)) {
        for ask in schedule.pop_due(now, 20_000) {
            schedule.done(&ask, Cadence::Routine, now);
            // The fourth interval: long after the common start.
            if now >= at(3 * 600) {
                bins[usize::try_from(now.since(at(3 * 600)).as_secs() / 10).expect("a bin")] += 1;
            }
        }
    }
    assert_eq!(bins.iter().sum::<u32>(), 10_000, "each login once per interval");
    let expected = 10_000.0 / 60.0;
    let chi_square: f64 = bins.iter().map(|bin| (f64::from(*bin) - expected).powi(2) / expected).sum();
    // 59 degrees of freedom: 99.99 % of even spreads are below 107.
    assert!(chi_square < 107.0, "{chi_square}: {bins:?}");
}

#[test]
fn what_is_wanted_no_more_is_known_until_it_is_done() {
    let mut schedule = schedule();
    let (one, other) = (login(1, GHCR), login(2, GHCR));
    schedule.sync(&[one.clone(), other.clone()], &[], at(0));
    assert!(schedule.wants(&one.ask) && !schedule.wants(&login(3, GHCR).ask));
    schedule.pop_due(at(0), 99);
    schedule.sync(std::slice::from_ref(&other), &[], at(1));
    assert!(!schedule.wants(&one.ask) && schedule.wants(&other.ask));
    schedule.sync(&[one.clone(), other], &[], at(2));
    assert!(schedule.wants(&one.ask), "wanted again before it was done");
}

#[test]
fn it_tells_whether_anything_of_interest_comes_soon() {
    let mut schedule = schedule();
    let (one, check, other) = (login(1, GHCR), access(Some(1), GHCR, "org/app"), login(2, "other.example.com"));
    schedule.sync(&[one.clone(), check.clone(), other.clone()], &[], at(0));
    let is = |wanted: &Wanted| {
        let ask = wanted.ask.clone();
        move |asked: &Ask| *asked == ask
    };
    assert!(schedule.expects(is(&one), at(0)));
    assert!(!schedule.expects(is(&check), at(9_999)), "it waits for its login");
    schedule.pop_due(at(0), 99);
    assert!(schedule.expects(is(&one), at(0)), "in flight");
    schedule.done(&one.ask, Cadence::Confirm, at(0));
    assert!(!schedule.expects(is(&one), at(59)) && schedule.expects(is(&one), at(67)));
    schedule.hold(&Arc::from(GHCR), at(300));
    assert!(!schedule.expects(is(&one), at(299)) && schedule.expects(is(&one), at(300)), "the hold of its host counts");
    schedule.done(&other.ask, Cadence::Confirm, at(0));
    assert!(schedule.expects(|_| true, at(67)) && !schedule.expects(|_| false, at(9_999)));
}

#[test]
fn a_back_off_is_never_shorter_than_the_spacing() {
    // As long as the interval is, or longer.
    for interval in [60, 30] {
        let probe = ProbeConfig { interval: Duration::from_secs(interval), ..ProbeConfig::default() };
        let mut schedule = Schedule::new(&probe, &IssuerConfig::default());
        let asks: Vec<Wanted> = (0..8).map(|id| login(id, GHCR)).collect();
        schedule.sync(&asks, &[], at(0));
        for ask in schedule.pop_due(at(0), 99) {
            schedule.done(&ask, Cadence::BackOff, at(0));
        }
        assert!(wait_in(&schedule, at(0), minutes(1)) >= 1.0, "an interval of {interval} s");
    }
}

#[test]
fn a_wait_that_is_named_counts_up_to_the_longest_interval_there_is() {
    let days = |count: u64| Duration::from_secs(86_400 * count);
    let rare = IssuerConfig { interval: days(2), ..IssuerConfig::default() };
    let mut schedule = Schedule::new(&ProbeConfig::default(), &rare);
    let ask = login(1, GHCR);
    schedule.sync(std::slice::from_ref(&ask), &[], at(0));
    ask_once(&mut schedule, &ask, Cadence::NotBefore(days(1)), at(0));
    assert!((1.0..1.2).contains(&wait_in(&schedule, at(0), days(1))));
}

#[test]
fn an_owner_is_left_alone_no_longer_than_the_longest_interval() {
    for revised in [false, true] {
        let mut schedule = schedule();
        let ask = login(1, GHCR);
        schedule.sync(std::slice::from_ref(&ask), &[], at(0));
        let for_ever = Cadence::OwnerNotBefore(Duration::MAX);
        ask_once(&mut schedule, &ask, if revised { Cadence::Routine } else { for_ever }, at(0));
        schedule.revise(&ask.ask, for_ever, at(0));
        assert!(schedule.pop_due(at(5 * 3_600), 9).is_empty());
        assert_eq!(schedule.pop_due(at(7 * 3_600), 9).len(), 1);
    }
}

#[test]
fn a_login_does_not_wait_for_the_round_of_its_access_checks() {
    let mut schedule =
        Schedule::new(&ProbeConfig { access_checks_per_login: 1, ..ProbeConfig::default() }, &IssuerConfig::default());
    assert!(schedule.is_empty());
    let own = login(1, GHCR);
    let mut all: Vec<Wanted> = (0..20).map(|n| access(Some(1), GHCR, &format!("org/{n}"))).collect();
    all.push(own.clone());
    schedule.sync(&all, &[], at(0));
    assert!(!schedule.is_empty());
    ask_once(&mut schedule, &own, Cadence::Routine, at(0));
    let mut checks = 0;
    let mut all_at = |schedule: &mut Schedule, now: u64| {
        let mut own_asked = false;
        while let [ask] = schedule.pop_due(at(now), 9).as_slice() {
            own_asked |= *ask == own.ask;
            checks += usize::from(*ask != own.ask);
            schedule.done(ask, Cadence::Routine, at(now));
        }
        (own_asked, checks)
    };
    assert_eq!(all_at(&mut schedule, 1), (false, 1), "one a round");
    assert_eq!(all_at(&mut schedule, 601), (true, 2));
}

#[test]
fn an_access_that_is_wanted_no_more_leaves_its_login_as_it_was() {
    let mut schedule = schedule();
    let (own, check) = (login(1, GHCR), access(Some(1), GHCR, "org/app"));
    schedule.sync(&[own.clone(), check.clone()], &[], at(0));
    ask_once(&mut schedule, &own, Cadence::Routine, at(0));
    schedule.sync(std::slice::from_ref(&own), &[], at(1));
    assert!(schedule.pop_due(at(2), 9).is_empty());
    for now in [601, 1_202] {
        ask_once(&mut schedule, &own, Cadence::Routine, at(now));
    }
    // It comes back, and is one of the login's as before.
    schedule.sync(&[own.clone(), check.clone()], &[], at(1_203));
    ask_once(&mut schedule, &check, Cadence::Routine, at(1_203));
}

#[test]
fn an_access_that_waits_for_its_login_is_brought_forward_with_it() {
    let mut schedule = schedule();
    let (own, check) = (login(1, GHCR), access(Some(1), GHCR, "org/app"));
    schedule.sync(&[own.clone(), check.clone()], &[], at(0));
    ask_once(&mut schedule, &own, Cadence::Routine, at(0));
    ask_once(&mut schedule, &check, Cadence::Routine, at(0));
    schedule.revise(&own.ask, Cadence::Confirm, at(1));
    // Its Secret changes: what waits is due with it, not when it would have come.
    schedule.sync(&[own.clone(), check.clone()], &[LoginId(1)], at(70));
    ask_once(&mut schedule, &own, Cadence::Routine, at(70));
    ask_once(&mut schedule, &check, Cadence::Routine, at(70));
}

#[test]
fn an_issuer_is_asked_as_usual_about_a_token_that_a_new_login_has() {
    let mut schedule = schedule();
    let (dead, token) = (login(1, GHCR), issuer(7, &[1]));
    schedule.sync(&[dead.clone(), token.clone()], &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 9).len(), 2);
    schedule.done(&dead.ask, Cadence::Dead, at(0));
    // Another user name with the same token.
    schedule.sync(&[dead, login(2, GHCR), issuer(7, &[1, 2])], &[], at(1));
    schedule.done(&token.ask, Cadence::Routine, at(1));
    assert!(schedule.pop_due(at(3_602), 9).contains(&token.ask));
}
