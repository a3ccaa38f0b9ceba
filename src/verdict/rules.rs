//! The rules of proof.

use std::time::Duration;

use super::advice::LOCK_OUT;
use super::run::Pace;
use crate::config::Config;

/// As [`Rules::agreed`]; fits into the time in which a revocation is to be found.
const AGREED: u32 = 3;

/// An outage of authentication that is behind registry and issuer is over by then, as a rule. Nobody publishes a bound.
const OUTAGE: Duration = Duration::from_secs(6 * 3600);

/// How much it takes to prove something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Refusals in a row that prove a rejection where no issuer can confirm it. Counted as 2 where it is less: one answer
    /// of one host never proves a refusal.
    pub confirmations: u32,
    /// Least time between two refusals that both count.
    pub spacing: Duration,
    /// How long refusals, or denials, must have gone on before they count where no second host confirms them, and an
    /// independent voice speaks against them or could have spoken for them. Longer than good tokens are refused by mistake.
    pub patience: Duration,
    /// How long refusals must have gone on where the issuer is not heard, which alone could tell that the owner is locked
    /// out. Longer than a lock-out lasts.
    pub silence: Duration,
    /// How long an issuer must disown a token during an incident of the registry while it knows no other one: longer than
    /// an outage that is behind both lasts.
    pub outage: Duration,
    /// The window of a registry's incident: one interval of its logins.
    pub interval: Duration,
    /// After how long a proven dead login is asked again.
    pub rejected_interval: Duration,
    /// The window of an issuer's incident: one interval of its tokens.
    pub issuer_interval: Duration,
}

impl Rules {
    /// From the config.
    pub fn new(config: &Config) -> Self {
        Self {
            confirmations: config.probe.confirmations,
            spacing: config.probe.confirmation_spacing,
            patience: config.probe.interval,
            outage: OUTAGE,
            silence: LOCK_OUT.saturating_add(config.probe.interval),
            interval: config.probe.interval,
            rejected_interval: config.probe.rejected_interval,
            issuer_interval: config.issuer.interval,
        }
    }

    /// From the config, for one round that a person waits for: refusals count when they are 2 seconds apart, and none is
    /// waited for longer than that.
    pub fn one_shot(config: &Config) -> Self {
        let rules = Self::new(config);
        Self {
            spacing: rules.spacing.min(Duration::from_secs(2)),
            patience: Duration::ZERO,
            silence: Duration::ZERO,
            outage: Duration::ZERO,
            ..rules
        }
    }

    /// Refusals in a row that prove something without an issuer, never less than 2.
    pub(super) fn needed(&self) -> u32 {
        self.confirmations.max(2)
    }

    /// Refusals in a row, and disownments in a row, that prove a refusal when registry and issuer agree. Two of each are
    /// too few: a good token that one of the hosts errs about for minutes needs just two slips of the other in a row.
    pub(super) fn agreed(&self) -> u32 {
        self.needed().min(AGREED)
    }

    /// What counting a refusal needs.
    pub(super) fn pace(&self) -> Pace {
        Pace { spacing: self.spacing, patience: self.patience }
    }
}
