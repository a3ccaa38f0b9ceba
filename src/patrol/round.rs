//! What an answer changes: the ledger takes it in, and the schedule follows the ledger's advice. Free of tasks and clocks,
//! so that simulated days run through the very same lines.

use std::time::Duration;

use crate::plan::{Ask, Cadence, Moment, Schedule, TokenKey};
use crate::probe::{self, AccessAnswer, Evidence, IssuerAnswer, LoginAnswer, Outcome, ProbeKind, Unproven};
use crate::verdict::{Advice, Ledger};

/// What came back.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Of a question about a login.
    Login(Evidence<LoginAnswer>),
    /// Of a question about a repository.
    Access(Evidence<AccessAnswer>),
    /// Of a question to an issuer.
    Issuer(Evidence<IssuerAnswer>),
    /// Of a question about a canary.
    Canary(Evidence<AccessAnswer>),
}

impl Answer {
    /// Kind, outcome and duration, for the counters.
    pub fn measured(&self) -> (ProbeKind, Outcome, Duration) {
        match self {
            Self::Login(evidence) => (ProbeKind::Login, evidence.answer.outcome(), evidence.took),
            Self::Access(evidence) => (ProbeKind::Access, evidence.answer.outcome(), evidence.took),
            Self::Issuer(evidence) => (ProbeKind::Issuer, evidence.answer.outcome(), evidence.took),
            Self::Canary(evidence) => (ProbeKind::Canary, evidence.answer.outcome(), evidence.took),
        }
    }

    /// When to ask again for a question that is wanted no more: the host, or the owner, may want to be left alone.
    fn throttled(&self) -> Cadence {
        fn of<A: probe::Answer>(evidence: &Evidence<A>) -> Option<Cadence> {
            match (evidence.answer.unproven()?, evidence.retry_after?) {
                (Unproven::OwnerThrottled | Unproven::LockedOut, wait) => Some(Cadence::OwnerNotBefore(wait)),
                (Unproven::Throttled, wait) => Some(Cadence::NotBefore(wait)),
                _ => None,
            }
        }
        let told = match self {
            Self::Login(evidence) => of(evidence),
            Self::Access(evidence) | Self::Canary(evidence) => of(evidence),
            Self::Issuer(evidence) => of(evidence),
        };
        told.unwrap_or(Cadence::Routine)
    }

    /// Whether a login or token was refused as such.
    fn refused(&self) -> bool {
        match self {
            Self::Login(evidence) => evidence.answer == LoginAnswer::Refused,
            Self::Access(evidence) => evidence.answer == AccessAnswer::LoginRefused,
            Self::Issuer(evidence) => evidence.answer == IssuerAnswer::Disowned,
            Self::Canary(_) => false,
        }
    }

    /// Whether nobody looked at the login.
    fn unchecked(&self) -> bool {
        match self {
            Self::Login(evidence) => evidence.answer == LoginAnswer::NotChecked,
            Self::Access(evidence) => evidence.to_anybody,
            Self::Issuer(_) | Self::Canary(_) => false,
        }
    }

    /// Hand the question back to the schedule without a word of what came of it: it is to be asked anew.
    pub(super) fn end_unheard(&self, schedule: &mut Schedule, ask: &Ask, now: Moment) -> Cadence {
        let cadence = match self.throttled() {
            // Nothing is known of the login, so its accesses go on waiting.
            Cadence::Routine => Cadence::BackOff,
            wait => wait,
        };
        self.end(schedule, ask, cadence, now);
        schedule.hasten(ask, now);
        cadence
    }

    /// Hand the question back to the schedule.
    fn end(&self, schedule: &mut Schedule, ask: &Ask, cadence: Cadence, now: Moment) {
        if self.refused() {
            schedule.refused(ask, cadence, now);
        } else if self.unchecked() {
            schedule.unchecked(ask, cadence, now);
        } else {
            schedule.answered(ask, cadence, now);
        }
    }
}

/// Take in the answer to a question at a registry (the label). `token` is the question to the issuer about the password of
/// a login, where there is an issuer to ask. Returns the advice that the schedule was given.
pub fn take_in(
    (schedule, ledger): (&mut Schedule, &mut Ledger),
    (ask, host): (&Ask, &str),
    token: Option<&TokenKey>,
    answer: &Answer,
    now: Moment,
) -> Advice {
    if !schedule.wants(ask) {
        // Nobody would forget it again: it would stand as a login that works, or as one that is refused, for the others at
        // its registry.
        let cadence = answer.throttled();
        answer.end(schedule, ask, cadence, now);
        return Advice { cadence, at_once: Vec::new(), also: Vec::new() };
    }
    let advice = match (ask, answer) {
        (Ask::Login(login), Answer::Login(evidence)) => ledger.record_login(*login, host, token, evidence, now),
        (Ask::Access { login, repository, .. }, Answer::Access(evidence)) => {
            ledger.record_access(*login, host, repository, evidence, now)
        }
        (Ask::Issuer(token), Answer::Issuer(evidence)) => ledger.record_issuer(token, evidence, now),
        (Ask::Canary(_), Answer::Canary(evidence)) => ledger.record_canary(host, evidence, now),
        (ask, _) => unreachable!("an exchange answers its own question: {ask:?}"),
    };
    if let Ask::Issuer(token) = ask {
        schedule.stretch(ask, ledger.issuer_stretch(token));
    }
    answer.end(schedule, ask, advice.cadence, now);
    for (ask, cadence) in &advice.also {
        schedule.revise(ask, *cadence, now);
    }
    for ask in &advice.at_once {
        schedule.hasten(ask, now);
    }
    advice
}
