//! What one namespace does holds up no other, and what it makes registries refuse is bounded.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::tests::{access, at, issuer, login, minutes, of, schedule};
use super::*;

const GHCR: &str = "ghcr.io";

/// Refusals of one namespace at one host within a minute of `confirmationSpacing`: those it had saved, and those that it
/// earns meanwhile.
const MOST_IN_A_MINUTE: usize = 60 + 10;

fn bad(login_no: u64) -> Wanted {
    of("hostile", login(login_no, GHCR))
}

/// The most of these moments within a minute.
fn most_in_a_minute(times: &[Moment]) -> usize {
    let within = |first: &Moment| times.iter().filter(|at| **at >= *first && at.since(*first) < minutes(1)).count();
    times.iter().map(within).max().unwrap_or_default()
}

#[test]
fn refusals_of_a_namespace_that_changes_its_logins_each_second_are_bounded() {
    let mut schedule = schedule();
    let honest: Vec<Wanted> = (0..20).map(|n| of("honest", login(1_000_000 + n, GHCR))).collect();
    let (mut refused, mut asked_honest, mut told) = (Vec::new(), 0, 0);
    for second in 0..600 {
        let now = at(second);
        let first = second * 300;
        let wanted: Vec<Wanted> = (first..first + 300).map(bad).chain(honest.iter().cloned()).collect();
        let urgent: Vec<LoginId> = (first..first + 300).map(LoginId).collect();
        schedule.sync(&wanted, &urgent, now);
        for ask in schedule.pop_due(now, 16) {
            if honest.iter().any(|want| want.ask == ask) {
                asked_honest += 1;
                schedule.answered(&ask, Cadence::Routine, now);
            } else {
                refused.push(now);
                schedule.refused(&ask, Cadence::Confirm, now);
            }
        }
        for waiting in schedule.waiting(now) {
            assert_eq!((&*waiting.namespace, &*waiting.host), ("hostile", GHCR));
            told = told.max(waiting.logins);
        }
    }
    assert!(most_in_a_minute(&refused) <= MOST_IN_A_MINUTE, "{}", most_in_a_minute(&refused));
    // Ten minutes: 60, and 10 a minute. Without a bound it would be 16 a second.
    assert!((120..=160).contains(&refused.len()), "{}", refused.len());
    assert!((20..=60).contains(&asked_honest), "each once to three times: {asked_honest}");
    assert!(told > 200, "it is told that logins wait: {told}");
    assert!(schedule.lag(at(600)) < minutes(1), "who waits for an allowance is not late");
}

#[test]
fn a_namespace_is_not_forgiven_by_taking_its_secrets_away() {
    let mut schedule = schedule();
    let mut refused = 0;
    for round in 0..40 {
        let now = at(round);
        let wanted: Vec<Wanted> = (round * 10..round * 10 + 10).map(bad).collect();
        schedule.sync(&wanted, &[], now);
        for ask in schedule.pop_due(now, 16) {
            refused += 1;
            schedule.refused(&ask, Cadence::Confirm, now);
        }
        schedule.sync(&[], &[], now);
    }
    assert!((60..=67).contains(&refused), "{refused}");
    // Long after it may cause as many as at first, and nothing is remembered.
    schedule.sync(&[], &[], at(10_000));
    assert_eq!(schedule.queues.sizes(), (0, 0, 0));
}

#[test]
fn logins_that_work_and_those_that_worked_are_not_bounded() {
    let mut schedule = schedule();
    let wanted: Vec<Wanted> = (0..500).map(|n| of("honest", login(n, GHCR))).collect();
    schedule.sync(&wanted, &[], at(0));
    let mut asked = 0;
    while let asks @ [_, ..] = &*schedule.pop_due(at(0), 16) {
        for ask in asks {
            asked += 1;
            schedule.answered(ask, Cadence::Routine, at(0));
        }
    }
    assert_eq!(asked, 500, "what is accepted costs nothing");
    // All of them are refused at once: an incident, or an owner who left. Both are looked into without delay.
    let mut refused = 0;
    for minute in 1..=11 {
        while let asks @ [_, ..] = &*schedule.pop_due(at(minute * 60), 16) {
            for ask in asks {
                refused += 1;
                schedule.refused(ask, Cadence::Confirm, at(minute * 60));
            }
        }
    }
    assert!(refused >= 1_000, "{refused}");
    assert!(schedule.waiting(at(660)).is_empty());
}

#[test]
fn proven_dead_logins_that_are_edited_each_second_are_bounded() {
    let mut schedule = schedule();
    let wanted: Vec<Wanted> = (0..300).map(bad).collect();
    let urgent: Vec<LoginId> = (0..300).map(LoginId).collect();
    schedule.sync(&wanted, &[], at(0));
    // They worked once, so that finding out that they are dead is free.
    for cadence in [Cadence::Routine, Cadence::Dead] {
        let now = at(if cadence == Cadence::Dead { 700 } else { 0 });
        while let asks @ [_, ..] = &*schedule.pop_due(now, 16) {
            for ask in asks {
                schedule.done(ask, cadence, now);
            }
        }
    }
    let mut refused = Vec::new();
    for second in 701..1_301 {
        let now = at(second);
        schedule.sync(&wanted, &urgent, now);
        for ask in schedule.pop_due(now, 16) {
            refused.push(now);
            schedule.refused(&ask, Cadence::Dead, now);
        }
    }
    assert!(most_in_a_minute(&refused) <= MOST_IN_A_MINUTE, "{}", most_in_a_minute(&refused));
    assert!((120..=160).contains(&refused.len()), "{}", refused.len());
}

#[test]
fn an_outage_costs_nothing() {
    let mut schedule = schedule();
    let wanted: Vec<Wanted> = (0..200).map(|n| of("honest", login(n, GHCR))).collect();
    schedule.sync(&wanted, &[], at(0));
    let mut asked = 0;
    while let asks @ [_, ..] = &*schedule.pop_due(at(0), 16) {
        for ask in asks {
            asked += 1;
            schedule.answered(ask, Cadence::BackOff, at(0));
        }
    }
    assert_eq!(asked, 200);
}

#[test]
fn namespaces_are_served_in_turn() {
    let mut schedule = schedule();
    let many: Vec<Wanted> = (0..500).map(|n| of("many", login(n, GHCR))).collect();
    let few: Vec<Wanted> = (500..505).map(|n| of("few", login(n, GHCR))).collect();
    schedule.sync(&many, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 4).len(), 4);
    // They come later, and behind hundreds.
    let all = [many, few.clone()].concat();
    schedule.sync(&all, &[], at(1));
    let popped = schedule.pop_due(at(1), 10);
    assert_eq!(popped.iter().filter(|ask| few.iter().any(|want| want.ask == **ask)).count(), 5, "{popped:?}");
}

#[test]
fn what_is_urgent_goes_first_every_other_time() {
    let mut schedule = schedule();
    let idle: Vec<Wanted> = (0..50).map(|n| of(&format!("ns-{n}"), login(n, GHCR))).collect();
    schedule.sync(&idle, &[], at(0));
    let changed = of("zz", login(999, GHCR));
    schedule.sync(&[idle, vec![changed.clone()]].concat(), &[LoginId(999)], at(1));
    let popped = schedule.pop_due(at(1), 2);
    assert!(popped.contains(&changed.ask), "{popped:?}");
}

#[test]
fn a_login_that_two_namespaces_share_is_checked_for_both_in_turn() {
    let mut schedule = schedule();
    let own = of("few", login(1, GHCR));
    let many = (0..1_000).map(|n| of("many", access(Some(1), GHCR, &format!("a/{n:04}"))));
    let few: Vec<Wanted> = (0..5).map(|n| of("few", access(Some(1), GHCR, &format!("z/{n}")))).collect();
    let wanted: Vec<Wanted> = std::iter::once(own).chain(many).chain(few.clone()).collect();
    schedule.sync(&wanted, &[], at(0));
    let (mut last, mut worst, mut checks) = (HashMap::new(), Duration::ZERO, 0);
    while let Some(now) = schedule.next_due().filter(|due| *due < at(12 * 600)) {
        for ask in schedule.pop_due(now, 99) {
            checks += usize::from(matches!(ask, Ask::Access { .. }));
            if few.iter().any(|want| want.ask == ask) {
                let before = last.insert(ask.clone(), now).unwrap_or_default();
                worst = worst.max(now.since(before));
            }
            schedule.answered(&ask, Cadence::Routine, now);
        }
    }
    assert_eq!(last.len(), 5);
    assert!(worst <= minutes(20), "two rounds at most: {worst:?}");
    assert!(last.values().all(|last| *last >= at(10 * 600)), "again and again: {last:?}");
    assert!(checks > 200, "the others go on: {checks}");
}

#[test]
fn a_check_that_is_new_does_not_wait_for_one_that_was_asked() {
    let mut schedule = schedule();
    let all = [login(1, GHCR), access(Some(1), GHCR, "org/x"), access(Some(1), GHCR, "org/y")];
    schedule.sync(&all[..2], &[], at(0));
    for want in &all[..2] {
        assert_eq!(schedule.pop_due(at(0), 9), std::slice::from_ref(&want.ask));
        schedule.answered(&want.ask, Cadence::Routine, at(0));
    }
    schedule.sync(&all, &[], at(100));
    assert_eq!(schedule.pop_due(at(100), 9), std::slice::from_ref(&all[2].ask));
}

#[test]
fn a_namespace_that_changes_leaves_its_access_checks_where_they_belong() {
    let mut schedule = schedule();
    let wanted = [of("a", login(1, GHCR)), of("a", access(Some(1), GHCR, "x")), of("a", issuer(7, &[1]))];
    schedule.sync(&wanted, &[], at(0));
    let moved: Vec<Wanted> = wanted.iter().cloned().map(|want| of("b", want)).collect();
    let flying = schedule.pop_due(at(0), 99);
    schedule.sync(&moved, &[], at(1));
    for ask in flying {
        schedule.answered(&ask, Cadence::Routine, at(1));
    }
    schedule.sync(&wanted, &[], at(2));
    schedule.sync(&moved, &[], at(3));
    assert_eq!(schedule.pop_due(at(3), 99), [wanted[1].ask.clone()]);
    schedule.sync(&[], &[], at(4));
    schedule.answered(&wanted[1].ask, Cadence::Routine, at(4));
    schedule.sync(&[], &[], at(5));
    assert_eq!(schedule.queues.sizes(), (0, 0, 0));
}

#[test]
fn slow_hosts_under_one_glob_leave_places() {
    let mut schedule = schedule();
    let glob = |n: u64, tenant: &str| {
        let want = of(tenant, login(n, &format!("h{n}.example.com")));
        Wanted { pool: Arc::from("*.example.com"), ..want }
    };
    let slow: Vec<Wanted> = (0..100).map(|n| glob(n, "hostile")).collect();
    let (neighbour, ghcr) = (glob(500, "honest"), of("honest", login(600, GHCR)));
    schedule.sync(&slow, &[], at(0));
    schedule.sync(&[slow.clone(), vec![neighbour.clone(), ghcr.clone()]].concat(), &[], at(0));
    let popped = schedule.pop_due(at(0), 16);
    assert!(popped.contains(&neighbour.ask) && popped.contains(&ghcr.ask), "{popped:?}");
    // Theirs end, the slow ones never do: there is always a place for the honest ones.
    let mut now = at(0);
    for _ in 0..20 {
        for ask in [&neighbour.ask, &ghcr.ask] {
            schedule.answered(ask, Cadence::Routine, now);
        }
        now = now.after(minutes(10));
        let popped = schedule.pop_due(now, 16 - schedule.in_flight());
        assert!(popped.contains(&neighbour.ask) && popped.contains(&ghcr.ask), "{popped:?}");
        assert!(schedule.in_flight() < 16);
    }
}

#[test]
fn one_slow_host_under_a_glob_leaves_places_to_its_neighbours() {
    let mut schedule = schedule();
    let under = |want: Wanted| Wanted { pool: Arc::from("*.example.com"), ..want };
    let slow = (0..40).map(|n| under(of(&format!("ns-{n}"), login(n, "slow.example.com"))));
    let quick = under(of("other", login(100, "quick.example.com")));
    let wanted: Vec<Wanted> = slow.chain([quick.clone()]).collect();
    schedule.sync(&wanted, &[], at(0));
    let mut now = at(0);
    let mut popped = schedule.pop_due(now, 16);
    for _ in 0..20 {
        assert!(popped.contains(&quick.ask), "{popped:?}");
        schedule.answered(&quick.ask, Cadence::Routine, now);
        now = now.after(minutes(10));
        popped = schedule.pop_due(now, 16 - schedule.in_flight());
    }
    // The slow one answers at last, and all of its namespaces are served.
    let mut served = BTreeSet::new();
    for _ in 0..200 {
        let flying: Vec<Ask> = schedule
            .entries
            .values()
            .filter(|entry| matches!(entry.state, State::InFlight { .. }))
            .map(|entry| entry.ask.clone())
            .collect();
        for ask in flying {
            schedule.answered(&ask, Cadence::Routine, now);
            served.insert(ask);
        }
        schedule.pop_due(now, 16 - schedule.in_flight());
    }
    assert_eq!(served.len(), 41);
}

#[test]
fn an_owner_is_held_and_nobody_else() {
    let mut schedule = schedule();
    let wanted = [login(1, GHCR), access(Some(1), GHCR, "x"), issuer(1, &[1]), login(2, GHCR), issuer(2, &[2])];
    schedule.sync(&wanted, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 99).len(), 4);
    schedule.answered(&wanted[0].ask, Cadence::Routine, at(0));
    schedule.answered(&wanted[2].ask, Cadence::OwnerNotBefore(minutes(60)), at(0));
    schedule.revise(&wanted[0].ask, Cadence::OwnerNotBefore(minutes(60)), at(0));
    // The other owner's token was in flight meanwhile, and is not concerned.
    schedule.revise(&wanted[4].ask, Cadence::Routine, at(0));
    schedule.answered(&wanted[3].ask, Cadence::Routine, at(0));
    schedule.answered(&wanted[4].ask, Cadence::Routine, at(0));
    let mut others = 0;
    for second in 1..3_600 {
        if second % 100 == 0 {
            // Neither an edit of the Secret nor taking it away for a moment breaks the hold.
            if second % 200 == 0 {
                schedule.sync(&wanted[3..], &[], at(second));
            }
            schedule.sync(&wanted, &[LoginId(1), LoginId(2)], at(second));
            schedule.hasten(&wanted[2].ask, at(second));
        }
        for ask in schedule.pop_due(at(second), 99) {
            assert!(ask == wanted[3].ask || ask == wanted[4].ask, "{ask:?} at {second}");
            schedule.answered(&ask, Cadence::Routine, at(second));
            others += 1;
        }
        assert_eq!(schedule.lag(at(second)), Duration::ZERO, "who is told to wait is not late");
    }
    assert!(others > 40, "{others}");
    let late: BTreeSet<Ask> = schedule.pop_due(at(3_601), 99).into_iter().collect();
    assert!(late.contains(&wanted[0].ask) && late.contains(&wanted[2].ask), "{late:?}");
}

#[test]
fn a_hold_also_meets_what_is_in_flight() {
    let mut schedule = schedule();
    let wanted = [login(1, GHCR), issuer(1, &[1])];
    schedule.sync(&wanted, &[], at(0));
    assert_eq!(schedule.pop_due(at(0), 99).len(), 2);
    schedule.revise(&wanted[0].ask, Cadence::OwnerNotBefore(minutes(60)), at(0));
    schedule.refused(&wanted[0].ask, Cadence::Confirm, at(1));
    schedule.answered(&wanted[1].ask, Cadence::OwnerNotBefore(minutes(60)), at(1));
    assert!(schedule.next_due() >= Some(at(3_600)), "{:?}", schedule.next_due());
}

#[test]
fn an_issuer_is_asked_less_often_where_quota_is_short() {
    let mut schedule = schedule();
    let token = issuer(1, &[]);
    schedule.sync(std::slice::from_ref(&token), &[], at(0));
    schedule.pop_due(at(0), 1);
    schedule.stretch(&token.ask, minutes(150));
    schedule.answered(&token.ask, Cadence::Routine, at(0));
    assert_eq!(schedule.next_due(), Some(Moment(minutes(150))), "not shortened either");
    schedule.pop_due(Moment(minutes(150)), 1);
    schedule.stretch(&token.ask, Duration::ZERO);
    schedule.answered(&token.ask, Cadence::Routine, Moment(minutes(150)));
    assert!(schedule.next_due() <= Some(Moment(minutes(210))));
}

/// What happens in a second.
#[derive(Clone, Debug)]
enum Event {
    /// The hostile namespace writes so many new bad logins in place of those it had.
    Rewrite(u64),
    /// It edits what it has.
    Edit,
    /// It takes its Secrets away.
    Clear,
    /// An honest Secret is rotated.
    Rotate(usize),
    /// The registry fails for so long: nothing is proven.
    Fail(u64),
    Nothing,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1_u64..80).prop_map(Event::Rewrite),
        2 => Just(Event::Edit),
        1 => Just(Event::Clear),
        2 => (0_usize..5).prop_map(Event::Rotate),
        1 => (1_u64..20).prop_map(Event::Fail),
        6 => Just(Event::Nothing),
    ]
}

/// How long an honest question that is due waits for its turn at most: places for four exchanges of up to three seconds,
/// of which every other one is the honest namespace's, and five logins.
const PATIENCE: Duration = Duration::from_secs(30);

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_hostile_namespace_neither_floods_a_host_nor_starves_another(
        events in proptest::collection::vec((event(), 1_u64..4), 60..160),
    ) {
        let probe = ProbeConfig { concurrency: 4, ..ProbeConfig::default() };
        let mut schedule = Schedule::new(&probe, &IssuerConfig::default());
        let (mut hostile, mut next): (Vec<u64>, u64) = (Vec::new(), 1_000_000);
        let mut honest: [u64; 5] = [1, 2, 3, 4, 5];
        let mut ever_honest: BTreeSet<u64> = honest.into();
        // Honest logins by the moment from which on they may be asked.
        let mut due: HashMap<u64, Moment> = honest.iter().map(|no| (*no, at(0))).collect();
        let mut flying: VecDeque<(Moment, Ask)> = VecDeque::new();
        let (mut refused, mut failing_until) = (Vec::new(), at(0));
        for (second, (event, takes)) in events.into_iter().enumerate() {
            let now = at(u64::try_from(second).expect("few"));
            let mut urgent = Vec::new();
            match event {
                Event::Rewrite(count) => {
                    hostile = (next..next + count).collect();
                    next += count;
                    urgent.clone_from(&hostile);
                }
                Event::Edit => urgent.clone_from(&hostile),
                Event::Clear => hostile.clear(),
                Event::Rotate(which) => {
                    due.remove(&honest[which]);
                    honest[which] = next;
                    ever_honest.insert(next);
                    due.insert(next, now);
                    urgent.push(next);
                    next += 1;
                }
                Event::Fail(seconds) => failing_until = now.after(Duration::from_secs(seconds)),
                Event::Nothing => {}
            }
            let wanted: Vec<Wanted> = hostile
                .iter()
                .map(|no| bad(*no))
                .chain(honest.iter().map(|no| of("honest", login(*no, GHCR))))
                .collect();
            schedule.sync(&wanted, &urgent.into_iter().map(LoginId).collect::<Vec<_>>(), now);
            while flying.front().is_some_and(|(end, _)| *end <= now) {
                let Some((_, ask)) = flying.pop_front() else { break };
                let no = ask.login().map_or(0, |login| login.0);
                if failing_until > now {
                    schedule.answered(&ask, Cadence::BackOff, now);
                    // At most ten minutes of back-off.
                    due.entry(no).and_modify(|due| *due = now.after(minutes(11)));
                } else if ever_honest.contains(&no) {
                    schedule.answered(&ask, Cadence::Routine, now);
                    due.entry(no).and_modify(|due| *due = now.after(minutes(10)));
                } else {
                    refused.push(now);
                    schedule.refused(&ask, Cadence::Confirm, now);
                }
            }
            for ask in schedule.pop_due(now, 4 - schedule.in_flight()) {
                if let Some(due) = ask.login().and_then(|login| due.get_mut(&login.0)) {
                    // In flight: not waiting.
                    *due = now.after(minutes(60));
                }
                flying.push_back((now.after(Duration::from_secs(takes)), ask));
            }
            flying.make_contiguous().sort_by_key(|(end, _)| *end);
            prop_assert!(schedule.next_due().is_none_or(|due| due > now) || schedule.in_flight() == 4, "the loop would spin");
            for (no, since) in &due {
                prop_assert!(now.since(*since) <= PATIENCE, "{no} waits since {since:?} at {now:?}");
            }
            schedule.check();
        }
        prop_assert!(most_in_a_minute(&refused) <= MOST_IN_A_MINUTE + 4, "{}", most_in_a_minute(&refused));
    }
}

#[test]
fn among_several_registries_namespaces_of_one_share_what_it_may_hold() {
    let (mut schedule, registries) = (schedule(), ["quay.io", "docker.io"]);
    let others = registries.iter().zip(100..).map(|(host, no)| of("c", login(no, host)));
    let alone: Vec<Wanted> = (0..40).map(|no| of("a", login(no, GHCR))).chain(others).collect();
    let other = of("b", login(200, GHCR));
    let both = [alone.clone(), vec![other.clone()]].concat();
    schedule.sync(&alone, &[], at(0));
    let popped = schedule.pop_due(at(0), 99);
    let mine: Vec<&Ask> = popped.iter().filter(|ask| alone[..40].iter().any(|want| want.ask == **ask)).collect();
    assert_eq!((popped.len(), mine.len()), (14, 12), "three quarters of all places are for one of several registries");
    for want in &alone[40..] {
        schedule.answered(&want.ask, Cadence::BackOff, at(0));
    }
    // Another namespace comes, and three quarters of those are the first one's.
    for ask in &mine[..3] {
        schedule.answered(ask, Cadence::BackOff, at(0));
    }
    schedule.sync(&both, &[], at(1));
    assert_eq!(schedule.pop_due(at(1), 99), std::slice::from_ref(&other.ask));
    assert!(schedule.next_due().is_none_or(|due| due > at(1)), "who is at its bound does not keep the loop spinning");
    schedule.answered(&other.ask, Cadence::BackOff, at(1));
    // It goes.
    schedule.sync(&alone, &[], at(1));
    assert_eq!(schedule.pop_due(at(1), 99).len(), 3);
}
