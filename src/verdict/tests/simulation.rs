//! Hours of schedule in milliseconds: logins of which we know the truth, a registry and an issuer that err at times, and a
//! caller that follows the advice to the letter. Judged is what a user would have seen.

use std::collections::BTreeMap;

use super::*;
use crate::plan::Cadence;

/// Numbers that look random and are the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.roll() >> 33) % bound
    }

    /// Whether something happens that does so this often in a thousand.
    fn happens(&mut self, in_a_thousand: u64) -> bool {
        self.below(1_000) < in_a_thousand
    }
}

const INTERVAL: u64 = 600;
const ISSUER_INTERVAL: u64 = 3_600;
const SPACING: u64 = 60;

/// What is true, hour by hour.
#[derive(Clone, Debug, Default)]
struct Truth {
    logins: u64,
    with_issuer: bool,
    with_canary: bool,
    /// From then on these logins are revoked.
    revoked: BTreeMap<u64, u64>,
    /// The registry refuses everyone from the one to the other.
    incident: Option<(u64, u64)>,
    /// The issuer disowns everyone as long as the registry's incident lasts.
    issuer_too: bool,
    /// In a thousand answers: no answer, and a refusal of what is good.
    silent: u64,
    wrong: u64,
    /// The same for the issuer's disownments.
    issuer_wrong: u64,
}

impl Truth {
    fn in_incident(&self, at: u64) -> bool {
        self.incident.is_some_and(|(from, until)| (from..until).contains(&at))
    }

    fn is_good(&self, login: u64, at: u64) -> bool {
        self.revoked.get(&login).is_none_or(|from| at < *from)
    }
}

struct Due {
    at: u64,
    not_before: u64,
    backed_off: u32,
}

struct Simulation {
    truth: Truth,
    dice: Dice,
    case: Case,
    due: BTreeMap<Ask, Due>,
}

impl Simulation {
    fn new(truth: Truth, seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut due = BTreeMap::new();
        let mut add = |ask, interval| {
            due.insert(ask, Due { at: dice.below(interval), not_before: 0, backed_off: 0 });
        };
        for login in 0..truth.logins {
            add(Ask::Login(LoginId(login)), INTERVAL);
            if truth.with_issuer {
                add(Ask::Issuer(token(login)), ISSUER_INTERVAL);
            }
        }
        if truth.with_canary {
            add(Ask::Canary(GHCR.into()), INTERVAL);
        }
        Self { truth, dice, case: Case::new(), due }
    }

    /// Run until then; `look` sees the ledger after each exchange.
    fn run(&mut self, until: u64, mut look: impl FnMut(&Truth, &Case, u64)) {
        loop {
            let next = self.due.iter().min_by_key(|(ask, due)| (due.at, *ask)).map(|(ask, due)| (due.at, ask.clone()));
            let Some((now, ask)) = next.filter(|(at, _)| *at <= until) else { return };
            let advice = self.exchange(now, &ask);
            self.apply(now, &ask, &advice);
            look(&self.truth, &self.case, now);
        }
    }

    fn exchange(&mut self, now: u64, ask: &Ask) -> Advice {
        let silent = self.dice.happens(self.truth.silent);
        let wrong = self.dice.happens(self.truth.wrong);
        let refuses = self.truth.in_incident(now) || wrong;
        match ask {
            Ask::Login(login) => {
                let answer = match (silent, refuses || !self.truth.is_good(login.0, now)) {
                    (true, _) => LoginAnswer::Unproven(TIMEOUT),
                    (false, true) => LoginAnswer::Refused,
                    (false, false) => LoginAnswer::Accepted,
                };
                let token = self.truth.with_issuer.then(|| token(login.0));
                let evidence = evidence(now, answer, Some(200));
                self.case.ledger.record_login(*login, GHCR, token.as_ref(), &evidence, moment(now))
            }
            Ask::Issuer(key) => {
                let disowns = self.dice.happens(self.truth.issuer_wrong)
                    || (self.truth.issuer_too && self.truth.in_incident(now));
                let answer = match (silent, disowns || !self.truth.is_good(key.token.0, now)) {
                    (true, _) => IssuerAnswer::Unproven(Unproven::Throttled),
                    (false, true) => IssuerAnswer::Disowned,
                    (false, false) => alive(),
                };
                self.case.issuer(now, key.token.0, answer)
            }
            Ask::Canary(_) if silent => self.case.canary(now, GHCR, AccessAnswer::Unproven(TIMEOUT)),
            Ask::Canary(_) if refuses => self.case.canary(now, GHCR, denied(DenialStage::Token)),
            Ask::Canary(_) => self.case.canary(now, GHCR, AccessAnswer::Granted),
            Ask::Access { .. } => unreachable!("no access is asked here"),
        }
    }

    fn apply(&mut self, now: u64, ask: &Ask, advice: &Advice) {
        self.schedule(now, ask, advice.cadence);
        for (other, cadence) in &advice.also {
            self.schedule(now, other, *cadence);
        }
        for other in &advice.at_once {
            let due = self.due.get_mut(other).unwrap_or_else(|| panic!("{other:?} is not among the questions"));
            due.at = now.max(due.not_before);
        }
    }

    fn schedule(&mut self, now: u64, ask: &Ask, cadence: Cadence) {
        let interval = if matches!(ask, Ask::Issuer(_)) { ISSUER_INTERVAL } else { INTERVAL };
        let due = self.due.get_mut(ask).unwrap();
        due.backed_off = if cadence == Cadence::BackOff { (due.backed_off + 1).min(6) } else { 0 };
        let back_off = (SPACING << due.backed_off.saturating_sub(1)).min(interval);
        due.not_before = 0;
        due.at = now
            + match cadence {
                Cadence::Routine => interval,
                Cadence::Confirm => SPACING,
                Cadence::Dead => 6 * 3_600,
                Cadence::BackOff => back_off,
                Cadence::NotBefore(wait) | Cadence::OwnerNotBefore(wait) => {
                    due.not_before = now + wait.as_secs();
                    wait.as_secs()
                }
            };
    }
}

/// Looks for a good login that is called refused.
fn no_false_rejection(seed: u64) -> impl FnMut(&Truth, &Case, u64) {
    move |truth, case, now| {
        for login in 0..truth.logins {
            if truth.is_good(login, now) {
                let dead = case.ledger.logins.get(&LoginId(login)).is_some_and(|record| record.standing.dead);
                assert!(!dead, "seed {seed}, login {login} at {now}: {truth:?}");
            }
        }
    }
}

#[test]
fn no_good_login_is_ever_called_rejected() {
    for seed in 1..=500 {
        let mut dice = Dice(seed);
        dice.roll();
        let from = 1_200 + dice.below(3_600);
        // One login without an issuer and without a canary has nobody who could tell an incident from its death.
        let with_issuer = dice.happens(500);
        let truth = Truth {
            logins: if with_issuer { 1 + dice.below(12) } else { 3 + dice.below(12) },
            with_issuer,
            with_canary: dice.happens(300),
            incident: dice.happens(800).then(|| (from, from + 60 + dice.below(3_000))),
            issuer_too: false,
            silent: dice.below(400),
            wrong: dice.below(12),
            issuer_wrong: dice.below(2),
            ..Truth::default()
        };
        Simulation::new(truth, seed).run(4 * 3_600, no_false_rejection(seed));
    }
}

#[test]
fn an_incident_of_registry_and_issuer_at_once_rejects_nobody() {
    for seed in 1..=100 {
        let mut dice = Dice(seed);
        dice.roll();
        let from = 3_700 + dice.below(3_600);
        let truth = Truth {
            logins: 3 + dice.below(30),
            with_issuer: true,
            incident: Some((from, from + 60 + dice.below(3_000))),
            issuer_too: true,
            silent: dice.below(200),
            ..Truth::default()
        };
        Simulation::new(truth, seed).run(4 * 3_600, no_false_rejection(seed));
    }
}

#[test]
fn a_revocation_is_seen_within_the_confirmations_and_an_interval() {
    for seed in 1..=300 {
        let mut dice = Dice(seed);
        dice.roll();
        let with_issuer = dice.happens(500);
        let logins = 1 + dice.below(12);
        let at = 4_000 + dice.below(3_600);
        let truth = Truth {
            logins,
            with_issuer,
            with_canary: dice.happens(300),
            revoked: [(dice.below(logins), at)].into(),
            ..Truth::default()
        };
        let bound = at + 3 * SPACING + INTERVAL;
        let mut simulation = Simulation::new(truth.clone(), seed);
        simulation.run(bound, no_false_rejection(seed));
        let (revoked, _) = truth.revoked.first_key_value().unwrap();
        assert_eq!(simulation.case.view(*revoked).accepted, Some(false), "seed {seed}: {truth:?}");
    }
}

#[test]
fn a_revocation_of_many_is_seen_after_the_incident_that_it_looks_like() {
    for seed in 1..=150 {
        let mut dice = Dice(seed);
        dice.roll();
        let logins = 5 + dice.below(8);
        let at = 4_000 + dice.below(3_600);
        let many = 3 + dice.below(logins - 3);
        let truth = Truth {
            logins,
            with_issuer: dice.happens(500),
            revoked: (0..many).map(|login| (login, at)).collect(),
            ..Truth::default()
        };
        let mut simulation = Simulation::new(truth.clone(), seed);
        // One interval until they are refused, one until a login that works ends the incident, and one to back off.
        simulation.run(at + 3 * SPACING + 3 * INTERVAL + ISSUER_INTERVAL, no_false_rejection(seed));
        for login in 0..many {
            assert_eq!(simulation.case.view(login).accepted, Some(false), "seed {seed}, login {login}: {truth:?}");
        }
    }
}

#[test]
fn a_dead_login_is_left_alone() {
    let truth = Truth { logins: 3, with_issuer: true, revoked: [(0, 4_000)].into(), ..Truth::default() };
    let mut simulation = Simulation::new(truth, 7);
    simulation.run(6_000, |_, _, _| ());
    assert_eq!(simulation.case.view(0).accepted, Some(false));
    let mut asked = 0;
    let mut last = simulation.case.view(0).last_probe_at;
    simulation.run(6_000 + 5 * 3_600, |_, case, _| {
        let probed = case.view(0).last_probe_at;
        asked += u32::from(probed != last);
        last = probed;
    });
    assert_eq!(asked, 0, "neither the registry nor the issuer is asked again before its time");
}
