//! What to ask next, as an exchange suggests it.

use std::time::Duration;

use crate::plan::{Ask, Cadence};
use crate::probe::{Evidence, Unproven};

/// How long a locked-out owner is left alone at least. GitHub publishes neither threshold nor duration of its lock-out
/// (docs.github.com, "Authenticating to the REST API", "Failed login limit").
pub(super) const LOCK_OUT: Duration = Duration::from_secs(3600);

/// What to ask next after an exchange was recorded.
///
/// None of it overrides a [`Cadence::NotBefore`] or [`Cadence::OwnerNotBefore`] that stands for a question, nor the budget of a registry; a question that
/// is in flight or unknown to the schedule is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// When to ask the same question again.
    pub cadence: Cadence,
    /// Other questions to ask at once: the issuer about a token that was refused for the first time, and a control (the
    /// canary, another login that works) that tells a dead credential from a registry that refuses everyone.
    pub at_once: Vec<Ask>,
    /// Other questions whose due time this exchange changes, as if they had been asked now and been given this cadence.
    pub also: Vec<(Ask, Cadence)>,
}

impl Advice {
    /// Ask the same again at this cadence, and nothing else.
    pub(super) fn just(cadence: Cadence) -> Self {
        Self { cadence, at_once: Vec::new(), also: Vec::new() }
    }

    /// After an exchange that proved nothing.
    pub(super) fn unproven<A>(why: &Unproven, evidence: &Evidence<A>) -> Self {
        Self::just(match (why, evidence.retry_after) {
            (Unproven::LockedOut, wait) => Cadence::OwnerNotBefore(wait.unwrap_or_default().max(LOCK_OUT)),
            (Unproven::OwnerThrottled, Some(wait)) => Cadence::OwnerNotBefore(wait),
            (_, Some(wait)) => Cadence::NotBefore(wait),
            (_, None) => Cadence::BackOff,
        })
    }
}
