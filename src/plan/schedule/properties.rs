//! What holds for every sequence of events.

use std::collections::HashSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::tests::{access, issuer, login};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// These of the pool are wanted; these logins are urgent.
    Sync(Vec<bool>, Vec<u64>),
    /// Pop so many.
    Pop(usize),
    /// The n-th in flight is done, and was refused or not.
    Done(usize, Cadence, bool),
    /// Advice about the n-th of the pool.
    Revise(usize, Cadence),
    Hasten(usize),
    /// So many seconds pass.
    Wait(u64),
    /// Time passes up to the next due moment.
    Sleep,
}

const HOSTS: [&str; 3] = ["ghcr.io", "quay.io", "docker.io"];
const LOGINS: u64 = 6;

static POOL: LazyLock<Vec<Wanted>> = LazyLock::new(|| {
    let host = |login: u64| HOSTS[usize::try_from(login % 3).expect("small")];
    let mut pool = Vec::new();
    for who in 0..LOGINS {
        pool.push(login(who, host(who)));
        pool.extend((0..3).map(|n| access(Some(who), host(who), &format!("org/{n}"))));
    }
    pool.extend((0..3).map(|token| issuer(token, &[token, token + 3])));
    pool.push(access(None, HOSTS[0], "org/public"));
    pool
});

fn host(ask: &Ask) -> Arc<str> {
    POOL.iter().find(|want| Identity::of(&want.ask) == Identity::of(ask)).expect("of the pool").host.clone()
}

/// A wanted set as the plan makes it: an access check never stands without its login.
fn wanted(chosen: &[bool]) -> Vec<Wanted> {
    let all: Vec<Wanted> =
        POOL.iter().cloned().zip(chosen).filter(|(_, chosen)| **chosen).map(|(want, _)| want).collect();
    let logins: HashSet<LoginId> =
        all.iter().filter_map(|want| matches!(want.ask, Ask::Login(_)).then(|| want.ask.login())?).collect();
    all.into_iter().filter(|want| want.ask.login().is_none_or(|login| logins.contains(&login))).collect()
}

fn cadence() -> impl Strategy<Value = Cadence> {
    prop_oneof![
        4 => Just(Cadence::Routine),
        2 => Just(Cadence::Confirm),
        1 => Just(Cadence::Dead),
        2 => Just(Cadence::BackOff),
        1 => (0_u64..2_000).prop_map(|seconds| Cadence::NotBefore(Duration::from_secs(seconds))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let size = POOL.len();
    prop_oneof![
        2 => (proptest::collection::vec(any::<bool>(), size), proptest::collection::vec(0..LOGINS, 0..3))
            .prop_map(|(chosen, urgent)| Step::Sync(chosen, urgent)),
        4 => (0_usize..6).prop_map(Step::Pop),
        6 => (any::<usize>(), cadence(), any::<bool>())
            .prop_map(|(which, cadence, refused)| Step::Done(which, cadence, refused)),
        1 => (0..size, cadence()).prop_map(|(which, cadence)| Step::Revise(which, cadence)),
        1 => (0..size).prop_map(Step::Hasten),
        2 => (0_u64..700).prop_map(Step::Wait),
        3 => Just(Step::Sleep),
    ]
}

fn schedule() -> Schedule {
    let probe = ProbeConfig { concurrency: 4, access_checks_per_login: 2, ..ProbeConfig::default() };
    Schedule::new(&probe, &IssuerConfig::default())
}

/// The least that a cadence lets wait.
fn least(ask: &Ask, cadence: Cadence) -> Duration {
    let probe = ProbeConfig::default();
    match cadence {
        Cadence::Routine if matches!(ask, Ask::Issuer(_)) => IssuerConfig::default().interval / 2,
        Cadence::Routine => probe.interval / 2,
        Cadence::Confirm | Cadence::BackOff => probe.confirmation_spacing,
        Cadence::Dead => probe.rejected_interval,
        Cadence::NotBefore(named) | Cadence::OwnerNotBefore(named) => named.max(probe.confirmation_spacing),
    }
}

/// What a schedule must never contradict.
#[derive(Default)]
struct Witness {
    flying: Vec<Ask>,
    /// Not before this moment, unless something urgent comes.
    earliest: HashMap<Identity, Moment>,
    holds: HashMap<Arc<str>, Moment>,
    /// Urgent since they are in flight, and from when on they may be asked again for that.
    hurried: HashMap<Identity, Moment>,
}

impl Witness {
    fn popped(&mut self, asks: &[Ask], now: Moment) -> Result<(), TestCaseError> {
        for ask in asks {
            let host = host(ask);
            prop_assert!(self.holds.get(&host).is_none_or(|until| *until <= now), "{ask:?} breaks a hold");
            let earliest = self.earliest.get(&Identity::of(ask));
            prop_assert!(earliest.is_none_or(|earliest| *earliest <= now), "{ask:?} is early");
            self.flying.push(ask.clone());
        }
        let logins: Vec<LoginId> = self.flying.iter().filter_map(Ask::login).collect();
        prop_assert_eq!(logins.iter().collect::<HashSet<_>>().len(), logins.len(), "two exchanges of one login");
        Ok(())
    }

    fn forgive(&mut self, is: impl Fn(&Identity) -> bool) {
        self.earliest.retain(|identity, _| !is(identity));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_early_doubled_or_lost(steps in proptest::collection::vec(step(), 1..120)) {
        let (mut schedule, mut now, mut witness) = (schedule(), Moment::default(), Witness::default());
        let mut want = wanted(&vec![true; POOL.len()]);
        schedule.sync(&want, &[], now);
        for step in steps {
            match step {
                Step::Sync(chosen, urgent) => {
                    want = wanted(&chosen);
                    let urgent: Vec<LoginId> = urgent.into_iter().map(LoginId).collect();
                    schedule.sync(&want, &urgent, now);
                    let kept: HashSet<Identity> = want.iter().map(|want| Identity::of(&want.ask)).collect();
                    witness.forgive(|identity| !kept.contains(identity));
                    let is_urgent = |identity: &Identity| match identity {
                        Identity::Login(login) | Identity::Access(_, Some(login), _) => urgent.contains(login),
                        Identity::Issuer(_) => !urgent.is_empty(),
                        _ => false,
                    };
                    witness.forgive(is_urgent);
                    for identity in witness.flying.iter().map(Identity::of).filter(is_urgent) {
                        let granted = schedule.entries[&schedule.by_identity[&identity]].last_urgent;
                        if let Some(granted) = granted.filter(|granted| *granted >= schedule.inside(now)) {
                            witness.hurried.entry(identity).or_insert(schedule.outside(granted));
                        }
                    }
                }
                Step::Pop(limit) => {
                    let asks = schedule.pop_due(now, limit);
                    prop_assert!(asks.len() <= limit);
                    witness.popped(&asks, now)?;
                    if asks.len() < limit {
                        prop_assert!(schedule.next_due().is_none_or(|due| due > now), "the loop would spin");
                    }
                }
                Step::Done(which, cadence, refused) if !witness.flying.is_empty() => {
                    let ask = witness.flying.swap_remove(which % witness.flying.len());
                    if refused {
                        schedule.refused(&ask, cadence, now);
                    } else {
                        schedule.answered(&ask, cadence, now);
                    }
                    if let Cadence::NotBefore(named) = cadence {
                        let host = host(&ask);
                        let hold = witness.holds.entry(host).or_default();
                        *hold = (*hold).max(now.after(named));
                    }
                    let granted = witness.hurried.remove(&Identity::of(&ask));
                    if want.iter().any(|want| want.ask == ask) {
                        let usual = now.after(least(&ask, cadence));
                        witness.earliest.insert(Identity::of(&ask), granted.map_or(usual, |granted| granted.min(usual)));
                    }
                    if let (Ask::Login(login), Cadence::BackOff | Cadence::NotBefore(_), false) = (&ask, cadence, refused) {
                        // An access check may be asked in its place.
                        witness.forgive(|identity| matches!(identity, Identity::Access(_, of, _) if *of == Some(*login)));
                    }
                    if matches!(ask, Ask::Login(_)) {
                        // A login that comes back to life lets its issuer be asked again.
                        witness.forgive(|identity| matches!(identity, Identity::Issuer(_)));
                    }
                }
                Step::Revise(which, cadence) => {
                    let ask = &POOL[which].ask;
                    schedule.revise(ask, cadence, now);
                    witness.forgive(|identity| *identity == Identity::of(ask) || matches!(identity, Identity::Issuer(_)));
                }
                Step::Hasten(which) => {
                    let ask = &POOL[which].ask;
                    schedule.hasten(ask, now);
                    witness.forgive(|identity| *identity == Identity::of(ask));
                }
                Step::Wait(seconds) => now = now.after(Duration::from_secs(seconds)),
                Step::Sleep => now = schedule.next_due().unwrap_or(now).max(now),
                Step::Done(..) => {}
            }
            prop_assert_eq!(schedule.in_flight(), witness.flying.len());
            schedule.check();
        }
        // From here on everything is well: each question is asked within its interval.
        for ask in witness.flying.drain(..) {
            schedule.done(&ask, Cadence::Routine, now);
        }
        let missing = drive(&mut schedule, &want, now.after(Duration::from_secs(8 * 3600)));
        prop_assert!(missing.is_empty(), "never asked: {:?}", missing);
        schedule.sync(&[], &[], now.after(Duration::from_secs(16 * 3600)));
        prop_assert!(schedule.is_empty());
        prop_assert_eq!(schedule.queues.sizes(), (0, 0, 0));
    }
}

/// Run a healthy world up to a moment; what was wanted and never asked.
fn drive(schedule: &mut Schedule, want: &[Wanted], until: Moment) -> HashSet<Ask> {
    let mut missing: HashSet<Ask> = want.iter().map(|want| want.ask.clone()).collect();
    while let Some(due) = schedule.next_due().filter(|due| *due <= until) {
        let asks = schedule.pop_due(due, 4);
        assert!(!asks.is_empty(), "something is due, and nothing is given");
        for ask in asks {
            schedule.done(&ask, Cadence::Routine, due);
            missing.remove(&ask);
        }
    }
    missing
}

impl Schedule {
    /// That all books of the schedule agree.
    pub(super) fn check(&self) {
        assert_eq!(self.entries.len(), self.by_identity.len());
        let mut flying = 0;
        for (no, entry) in &self.entries {
            assert_eq!(self.by_identity[&Identity::of(&entry.ask)], *no);
            match entry.state {
                State::Queued(slot) => {
                    assert!(self.queues.holds_slot(entry.lane, *no, slot, &entry.tenant), "{entry:?}");
                }
                State::InFlight { .. } => flying += 1,
                State::Parked(_) => assert!(matches!(entry.ask, Ask::Access { login: Some(_), .. }), "{entry:?}"),
            }
        }
        assert_eq!(flying, self.in_flight());
        for (login, shared) in &self.logins {
            let members = shared.login.iter().chain(&shared.accesses);
            assert!(members.clone().count() > 0);
            for no in members {
                assert_eq!(self.entries[no].ask.login(), Some(*login));
                assert_eq!(self.entries[no].lane, shared.lane);
            }
            let is_queued = |no: &&AskNo| matches!(self.entries[no].state, State::Queued(_));
            let most = match shared.standing {
                LoginStanding::Open => usize::MAX,
                LoginStanding::Trying | LoginStanding::Dead => 1,
                LoginStanding::Unasked | LoginStanding::Doubted => 0,
            };
            assert!(shared.accesses.iter().filter(is_queued).count() <= most, "{shared:?}");
        }
        let (lanes, _, queued) = self.queues.sizes();
        let solo = self.entries.values().filter(|entry| entry.ask.login().is_none()).count();
        assert_eq!(lanes, self.logins.len() + solo);
        assert_eq!(queued, self.entries.values().filter(|entry| matches!(entry.state, State::Queued(_))).count());
    }
}
