//! How many refused logins one namespace may cause at one host.
//!
//! Many bad logins in a short time lock an owner out of GitHub (docs.github.com, "Authenticating to the REST API", "Failed
//! login limit"), and an address may be treated alike. Secrets are written by tenants: without a bound, one who writes
//! hundreds of bad logins and changes them each second would keep refusals going at the full rate of the host.

use std::time::Duration;

use crate::plan::Moment;

/// Refusals that a namespace may cause at one host after it caused none for long.
const SAVED: u32 = 60;
/// Refusals that it may cause in each `confirmationSpacing` from then on.
const PER_SPACING: u32 = 10;

/// What bounds the refusals of each namespace at each host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// Time in which one refusal is earned.
    pub(super) earned_in: Duration,
}

impl Allowance {
    /// For logins whose refusals are confirmed so far apart.
    pub(super) fn new(spacing: Duration) -> Self {
        Self { earned_in: (spacing / PER_SPACING).max(Duration::from_nanos(1)) }
    }

    fn saved(self) -> Duration {
        self.earned_in.saturating_mul(SAVED - 1)
    }
}

/// The refusals of one namespace at one host: a token bucket, kept as the moment at which it will be full again (GCRA).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    full_at: Moment,
}

impl Bucket {
    /// From when on one more may be spent.
    pub(super) fn opens(self, allowance: Allowance) -> Moment {
        Moment(self.full_at.0.saturating_sub(allowance.saved()))
    }

    /// Spend one, for an exchange that may be refused.
    pub(super) fn spend(&mut self, now: Moment, allowance: Allowance) {
        self.full_at = self.full_at.max(now).after(allowance.earned_in);
    }

    /// The exchange was no refusal.
    pub(super) fn give_back(&mut self, allowance: Allowance) {
        self.full_at = Moment(self.full_at.0.saturating_sub(allowance.earned_in));
    }

    /// Whether nothing needs to be remembered.
    pub(super) fn is_full(self, now: Moment) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn sixty_at_once_and_ten_a_spacing_from_then_on() {
        let allowance = Allowance::new(Duration::from_secs(60));
        let mut bucket = Bucket::default();
        for spent in 0..60 {
            assert!(bucket.opens(allowance) <= at(1_000), "{spent}");
            bucket.spend(at(1_000), allowance);
        }
        for later in 1..=30 {
            assert_eq!(bucket.opens(allowance), at(1_000 + 6 * later));
            bucket.spend(at(1_000 + 6 * later), allowance);
        }
        assert!(!bucket.is_full(at(1_200)) && bucket.is_full(at(1_000 + 6 * 90)));
    }

    #[test]
    fn what_was_no_refusal_costs_nothing() {
        let allowance = Allowance::new(Duration::from_secs(60));
        let mut bucket = Bucket::default();
        for _ in 0..10_000 {
            bucket.spend(at(9), allowance);
            bucket.give_back(allowance);
        }
        assert!(bucket.is_full(at(9)) && bucket.opens(allowance) <= at(9));
    }
}
