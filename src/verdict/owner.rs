//! What concerns all tokens of one owner: lock-outs, primary rate limits, and the quota that is left to other tools.
//!
//! Who owns a token is known only after an issuer found it alive. Until then it stands for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::ledger::api_host;
use super::records::{LoginRecord, TokenRecord};
use super::{Advice, Ledger};
use crate::plan::{Ask, Cadence, Issuer, Moment, TokenKey};
use crate::probe::RateLimit;

/// Requests that one question about a token can take: its rate limit, its owner, and three organisations that may demand
/// SSO. GitHub does not count the first; it is counted here, since other issuers do.
const REQUESTS: u64 = 5;

/// Owners that are locked out, and tokens of whom it is known alone.
pub(super) struct LockOuts<'l> {
    ledger: &'l Ledger,
    owners: BTreeSet<(&'l Issuer, &'l str)>,
    tokens: BTreeSet<&'l TokenKey>,
}

impl LockOuts<'_> {
    /// Whether the refusal of a login is explained by the lock-out of its owner.
    pub(super) fn explain(&self, record: &LoginRecord) -> bool {
        let Some(token) = record.token() else { return false };
        let owner = || self.ledger.tokens.get(token).and_then(owner_of);
        self.tokens.contains(token) || owner().is_some_and(|owner| self.owners.contains(&(&token.issuer, owner)))
    }
}

impl Ledger {
    /// Everybody who is locked out.
    pub(super) fn lock_outs(&self) -> LockOuts<'_> {
        let told = || self.tokens.iter().filter(|(_, record)| record.locked_out);
        let owners = told().filter_map(|(token, record)| Some((&token.issuer, owner_of(record)?)));
        LockOuts { ledger: self, owners: owners.collect(), tokens: told().map(|(token, _)| token).collect() }
    }

    /// Whoever owns this token can authenticate again.
    pub(super) fn unlock_owner(&mut self, token: &TokenKey) {
        let locked = self.same_owner(token).filter(|(_, other)| other.locked_out || other.rests_until.is_some());
        let mut tokens: Vec<TokenKey> = locked.map(|(token, _)| token.clone()).collect();
        tokens.push(token.clone());
        for token in tokens {
            let record = self.token_mut(&token);
            (record.locked_out, record.rests_until) = (false, None);
        }
    }

    /// The other tokens of the same issuer that are known to have the same owner.
    pub(super) fn same_owner(&self, token: &TokenKey) -> impl Iterator<Item = (&TokenKey, &TokenRecord)> {
        let owner = self.tokens.get(token).and_then(owner_of);
        let tokens = owner.and_then(|_| self.issuers.get(&token.issuer)).into_iter().flat_map(|issuer| &issuer.tokens);
        let records = tokens.filter_map(|other| Some((other, self.tokens.get(other)?)));
        records.filter(move |(other, record)| *other != token && owner_of(record) == owner)
    }

    /// Whether the issuer, since a moment, knew or disowned a token, or knew another one of its owner: nobody is locked out
    /// then.
    pub(super) fn owner_heard_since(&self, token: &TokenKey, moment: Option<Moment>) -> bool {
        let since = |at: Moment| Some(at) >= moment;
        let own = self.tokens.get(token).and_then(|record| record.standing.latest).is_some_and(|(at, _)| since(at));
        own || self.same_owner(token).any(|(_, other)| matches!(other.standing.latest, Some((at, true)) if since(at)))
    }

    /// Pass a wait that concerns the owner of a token on to all that is known of this owner. An owner who is at a rate
    /// limit of the API can log in at registries; one who is locked out can not, and trying would prolong it.
    pub(super) fn spare_owner(&mut self, token: &TokenKey, mut advice: Advice, now: Moment) -> Advice {
        let Cadence::OwnerNotBefore(wait) = advice.cadence else { return advice };
        let mut resting: Vec<TokenKey> = self.same_owner(token).map(|(other, _)| other.clone()).collect();
        resting.push(token.clone());
        for token in resting {
            self.token_mut(&token).rests_until = Some(now.after(wait));
        }
        let own = self.tokens.get_key_value(token).filter(|_| self.is_locked_out(token));
        for (other, _) in self.same_owner(token) {
            advice.also.push((Ask::Issuer(other.clone()), advice.cadence));
        }
        let locked_out = own.into_iter().flat_map(|own| self.same_owner(token).chain([own]));
        for login in locked_out.flat_map(|(_, record)| &record.logins) {
            // What is proven dead rests for longer anyhow.
            if self.logins.get(login).is_some_and(|record| !record.standing.dead) {
                advice.also.push((Ask::Login(*login), advice.cadence));
            }
        }
        advice
    }

    /// Work out how far apart the usual questions about the tokens of an owner have to be.
    pub(super) fn stretch(&mut self, token: &TokenKey, at: DateTime<Utc>) {
        let limit = self.tokens.get(token).and_then(|record| record.facts.as_ref()?.rate_limit);
        let tokens = 1 + self.same_owner(token).filter(|(_, record)| record.standing.accepted()).count();
        let stretch = limit.map_or(Duration::ZERO, |limit| stretched(&limit, tokens, at));
        self.token_mut(token).stretch = stretch;
    }

    /// How far apart the usual questions about a token are at least.
    pub fn issuer_stretch(&self, token: &TokenKey) -> Duration {
        self.tokens.get(token).map_or(Duration::ZERO, |record| record.stretch)
    }

    /// Per host of an issuer's API the interval at which it is asked about the tokens of the owner with the least quota
    /// left: `issuer.interval`, or more. Only where an answer told a rate limit.
    pub fn issuer_intervals(&self) -> BTreeMap<String, Duration> {
        let mut intervals = BTreeMap::new();
        for (token, record) in &self.tokens {
            let told = record.facts.as_ref().is_some_and(|facts| facts.rate_limit.is_some());
            let Some(host) = api_host(&token.issuer).filter(|_| told) else { continue };
            let interval: &mut Duration = intervals.entry(host).or_default();
            *interval = (*interval).max(record.stretch).max(self.rules.issuer_interval);
        }
        intervals
    }
}

fn owner_of(record: &TokenRecord) -> Option<&str> {
    record.facts.as_ref()?.owner.as_deref()
}

/// How far apart questions about each of so many tokens of one owner have to be, for all of them together to leave half of
/// the whole quota until its window ends: `window * REQUESTS * tokens / (remaining - limit / 2)`. Until the end of the
/// window where not even one question about each fits.
fn stretched(limit: &RateLimit, tokens: usize, at: DateTime<Utc>) -> Duration {
    // A second more, since both times are cut to seconds.
    let window = (limit.reset - at).to_std().unwrap_or_default().saturating_add(Duration::from_secs(1));
    if limit.reset <= at {
        return Duration::ZERO;
    }
    let round = REQUESTS.saturating_mul(u64::try_from(tokens).unwrap_or(u64::MAX));
    let ours = limit.remaining.saturating_sub(limit.limit.div_ceil(2));
    if ours <= round {
        return window;
    }
    // Both fit: quotas and numbers of tokens are far below 2^32.
    let (round, ours) = (u32::try_from(round).unwrap_or(u32::MAX), u32::try_from(ours).unwrap_or(u32::MAX));
    window.saturating_mul(round) / ours.max(1)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn limit(remaining: u64, left: i64) -> (RateLimit, DateTime<Utc>) {
        let at = DateTime::UNIX_EPOCH;
        (RateLimit { limit: 5000, remaining, reset: at + TimeDelta::seconds(left) }, at)
    }

    fn seconds(remaining: u64, left: i64, tokens: usize) -> u64 {
        let (limit, at) = limit(remaining, left);
        stretched(&limit, tokens, at).as_secs()
    }

    #[test]
    fn the_arithmetic_of_half_a_quota() {
        // All 5,000 left for an hour, and one token: 2,500 requests are 500 questions, one in 7 seconds.
        assert_eq!(seconds(5000, 3599, 1), 7);
        // 2,700 left for an hour, 100 tokens: 200 requests do not even pay for one question about each.
        assert_eq!(seconds(2700, 3599, 100), 3600);
        assert_eq!(seconds(3500, 3599, 100), 1800);
        // Half of it gone, or all: until the reset. The window is over: at the usual pace.
        assert_eq!(seconds(2500, 1799, 1), 1800);
        assert_eq!(seconds(2506, 1799, 1), 1500);
        assert_eq!(seconds(0, 1799, 1), 1800);
        assert_eq!(seconds(0, 0, 1), 0);
        assert_eq!(seconds(0, -10, 1), 0);
    }

    #[test]
    fn of_an_odd_quota_the_greater_half_stays() {
        let limit = RateLimit { limit: 11, remaining: 11, reset: DateTime::UNIX_EPOCH + TimeDelta::seconds(59) };
        assert_eq!(
            stretched(&limit, 1, DateTime::UNIX_EPOCH).as_secs(),
            60,
            "five of eleven, and a question takes five"
        );
    }

    proptest! {
        /// However often the wait is worked out anew, and whatever the owner's other tools take.
        #[test]
        fn half_of_the_quota_stays_for_a_whole_window(
            quota in 1_u64..20_000,
            others in 0_u64..100,
            length in 1_i64..7200,
            tokens in 1_usize..300,
            interval in 1_i64..600,
        ) {
            let mut limit = RateLimit { limit: quota, remaining: quota, reset: DateTime::UNIX_EPOCH + TimeDelta::seconds(length) };
            let mut at = DateTime::UNIX_EPOCH;
            let (round, mut ours) = (5 * u64::try_from(tokens).unwrap(), 0);
            loop {
                let wait = TimeDelta::from_std(stretched(&limit, tokens, at)).unwrap();
                at += wait.max(TimeDelta::seconds(interval));
                if at >= limit.reset {
                    break;
                }
                ours += round;
                limit.remaining = limit.remaining.saturating_sub(round + others);
            }
            prop_assert!(ours <= quota / 2, "{ours} of {quota}");
        }
    }
}
