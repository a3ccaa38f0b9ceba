//! The rules of proof.

use std::time::Duration;

use crate::config::Config;

/// How much it takes to prove something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Refusals in a row that prove a rejection where no issuer can confirm it. Counted as 2 where it is less: one answer
    /// of one host never proves a refusal.
    pub confirmations: u32,
    /// Least time between two refusals that both count.
    pub spacing: Duration,
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
            interval: config.probe.interval,
            rejected_interval: config.probe.rejected_interval,
            issuer_interval: config.issuer.interval,
        }
    }

    /// From the config, for one round that a person waits for: refusals count when they are 2 seconds apart.
    pub fn one_shot(config: &Config) -> Self {
        let rules = Self::new(config);
        Self { spacing: rules.spacing.min(Duration::from_secs(2)), ..rules }
    }

    /// Refusals in a row that prove something without an issuer, never less than 2.
    pub(super) fn needed(&self) -> u32 {
        self.confirmations.max(2)
    }
}
