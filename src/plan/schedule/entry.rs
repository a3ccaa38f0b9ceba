//! One question of the schedule: what makes it itself, where it stands, and how long it waits.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::lane::Slot;
use super::queue::LaneNo;
use crate::config::{IssuerConfig, ProbeConfig};
use crate::plan::{Ask, Cadence, LoginId, Moment, TokenKey};

/// A wait of zero would ask without end.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);
/// Ten years: far past any use, and far below what sums of waits can hold.
pub(super) const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) interval: Duration,
    pub(super) issuer_interval: Duration,
    pub(super) spacing: Duration,
    pub(super) rejected: Duration,
    pub(super) longest: Duration,
}

impl Timing {
    pub(super) fn new(probe: &ProbeConfig, issuer: &IssuerConfig) -> Self {
        let sane = |wait: Duration| wait.clamp(SHORTEST, LONGEST);
        Self {
            interval: sane(probe.interval),
            issuer_interval: sane(issuer.interval),
            spacing: sane(probe.confirmation_spacing),
            rejected: sane(probe.rejected_interval),
            longest: sane(probe.interval.max(probe.rejected_interval).max(issuer.interval)),
        }
    }
}

/// What makes a question the same one as before. The reference is not part of it: which tag of a repository is named
/// changes with every rollout, and the right to pull does not hang on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    Login(LoginId),
    Access(Arc<str>, Option<LoginId>, Arc<str>),
    Issuer(TokenKey),
    Canary(Arc<str>),
}

impl Identity {
    pub(super) fn of(ask: &Ask) -> Self {
        match ask {
            Ask::Login(login) => Self::Login(*login),
            Ask::Access { host, login, repository, .. } => Self::Access(host.clone(), *login, repository.clone()),
            Ask::Issuer(token) => Self::Issuer(token.clone()),
            Ask::Canary(host) => Self::Canary(host.clone()),
        }
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) ask: Ask,
    pub(super) host: Arc<str>,
    pub(super) lane: LaneNo,
    pub(super) tenant: Arc<str>,
    /// The logins that a question to an issuer is about.
    pub(super) logins: Vec<LoginId>,
    pub(super) state: State,
    /// 0 to 1, from the hash of the question.
    pub(super) fraction: f64,
    pub(super) last_done: Option<(Moment, Cadence)>,
    pub(super) last_urgent: Option<Moment>,
    /// Usual repetitions so far.
    pub(super) repetitions: u32,
    /// A question to an issuer is not repeated sooner than this, so that half of its owner's quota stays untouched.
    pub(super) stretch: Duration,
    /// Exchanges in a row that proved nothing.
    pub(super) unproven: u32,
    /// The last sync that wanted it.
    pub(super) generation: u64,
    /// When its last exchange began; of one that is remembered to have been asked before, when it is due.
    pub(super) asked: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Queued(Slot),
    /// Waits for its login to be accepted; due then, but not before this moment.
    Parked(Moment),
    /// Being asked. `again`: ask no later than then when it is done. `gone`: wanted no more, forget it when it is done.
    InFlight {
        again: Option<Moment>,
        gone: bool,
    },
}

impl Entry {
    /// How long to wait after an exchange.
    pub(super) fn wait(&mut self, cadence: Cadence, timing: Timing) -> Duration {
        let interval = if matches!(self.ask, Ask::Issuer(_)) { timing.issuer_interval } else { timing.interval };
        self.unproven = match cadence {
            Cadence::BackOff | Cadence::NotBefore(_) | Cadence::OwnerNotBefore(_) => self.unproven.saturating_add(1),
            Cadence::Routine | Cadence::Confirm | Cadence::Dead => 0,
        };
        let back_off = || {
            let cap = interval.max(timing.spacing);
            let times = 1_u32.checked_shl(self.unproven.saturating_sub(1)).unwrap_or(u32::MAX);
            let wait = timing.spacing.saturating_mul(times).min(cap).mul_f64(1.0 + self.fraction / 10.0);
            // What a host held up is asked at one moment, and would stay together for as long as it backs off.
            if wait < cap { wait } else { cap.mul_f64(0.9 + self.fraction / 10.0).max(timing.spacing) }
        };
        match cadence {
            Cadence::Routine => {
                let wait = jittered(interval, self.repetitions, self.fraction);
                self.repetitions = self.repetitions.saturating_add(1);
                wait.max(self.stretch)
            }
            Cadence::Confirm => timing.spacing.mul_f64(1.0 + self.fraction / 10.0),
            Cadence::Dead => self.dead_wait(timing),
            Cadence::BackOff => back_off(),
            Cadence::NotBefore(named) | Cadence::OwnerNotBefore(named) => named.min(timing.longest).max(back_off()),
        }
    }

    /// Where it is queued, and whose rate limits count.
    pub(super) fn identity(&self) -> Identity {
        // What is asked with a login shares its lane.
        self.ask.login().map_or_else(|| Identity::of(&self.ask), Identity::Login)
    }

    /// Up to a tenth more than the configured interval, never less: a dead login is not asked before.
    pub(super) fn dead_wait(&self, timing: Timing) -> Duration {
        timing.rejected.mul_f64(1.0 + self.fraction / 10.0)
    }
}

/// The interval, shortened by a hash for the first two repetitions. After these, what began at one moment is spread
/// evenly over a whole interval, and no gap was ever longer than the interval.
pub(super) fn jittered(interval: Duration, repetitions: u32, fraction: f64) -> Duration {
    if repetitions < 2 { interval.mul_f64(0.5 + 0.5 * fraction) } else { interval }
}

/// 0 to 1, evenly spread over questions, the same at every call.
pub(super) fn fraction(identity: &Identity) -> f64 {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}
