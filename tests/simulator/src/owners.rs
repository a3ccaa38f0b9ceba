//! Accounts and organisations of a GitHub instance: rate limits, lock-out, SSO, policies.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::host::Home;
use crate::rng;
use crate::state::{Shared, State};

/// When bad logins lock an account out. GitHub does not publish its numbers.
#[derive(Clone, Copy, Debug)]
pub struct LockoutPolicy {
    /// Bad logins within `window` that lock; `None` never locks by itself.
    pub after: Option<u32>,
    /// How long a bad login counts.
    pub window: TimeDelta,
    /// How long the lock holds.
    pub duration: TimeDelta,
}

impl LockoutPolicy {
    /// No automatic lock-out: what a world starts with.
    pub fn off() -> Self {
        Self { after: None, ..Self::after(u32::MAX) }
    }

    /// Locks after that many bad logins in ten minutes, for thirty minutes.
    pub fn after(bad_logins: u32) -> Self {
        Self { after: Some(bad_logins), window: TimeDelta::minutes(10), duration: TimeDelta::minutes(30) }
    }
}

/// How a secondary rate limit answers.
#[derive(Clone, Copy, Debug)]
pub struct SecondaryLimit {
    /// Until when, by the world's clock.
    pub until: DateTime<Utc>,
    /// 403 or 429.
    pub status: u16,
    /// Whether `retry-after` is sent.
    pub retry_after: bool,
}

/// What an organisation demands.
#[derive(Clone, Copy, Debug, Default)]
pub struct OrgPolicy {
    /// Classic and OAuth tokens must be authorised for SSO.
    pub sso_required: bool,
    /// `GET /orgs/{org}` answers 404 instead of the 403 with `X-GitHub-SSO`.
    pub hides_behind_404: bool,
    /// Classic PATs are refused.
    pub forbids_classic: bool,
    /// Longest lifetime of a PAT in days, enforced at use.
    pub max_lifetime_days: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) bad_logins: VecDeque<DateTime<Utc>>,
    pub(crate) locked_until: Option<DateTime<Utc>>,
    pub(crate) limit: u32,
    pub(crate) used: u32,
    pub(crate) reset: DateTime<Utc>,
    pub(crate) secondary: Option<SecondaryLimit>,
    /// Status of an exhausted primary limit: GitHub sends either.
    pub(crate) exhausted_status: u16,
}

impl State {
    /// The account, made at first sight. The empty login stands for those who present nothing.
    pub(crate) fn owner(&mut self, home: Home, login: &str) -> &mut Owner {
        let now = self.now();
        let fresh = || Owner {
            bad_logins: VecDeque::new(),
            locked_until: None,
            limit: if login.is_empty() { 60 } else { 5000 },
            used: 0,
            reset: now + TimeDelta::hours(1),
            secondary: None,
            exhausted_status: 403,
        };
        let owner = self.owners.entry((home, login.to_owned())).or_insert_with(fresh);
        if owner.reset <= now {
            owner.used = 0;
            owner.reset = now + TimeDelta::hours(1);
        }
        owner
    }

    pub(crate) fn is_locked(&mut self, home: Home, login: &str) -> bool {
        let now = self.now();
        self.owners.get(&(home, login.to_owned())).and_then(|owner| owner.locked_until).is_some_and(|until| until > now)
    }

    /// Whether that login owns a token here: only then can bad logins under its name lock somebody out.
    pub(crate) fn is_account(&self, home: Home, login: &str) -> bool {
        self.tokens.iter().any(|token| token.home == home && token.spec.owner == login)
    }

    pub(crate) fn record_bad_login(&mut self, home: Home, login: &str) {
        let (now, policy) = (self.now(), self.lockout);
        let owner = self.owner(home, login);
        owner.bad_logins.push_back(now);
        while owner.bad_logins.front().is_some_and(|at| *at <= now - policy.window) {
            owner.bad_logins.pop_front();
        }
        if policy.after.is_some_and(|after| owner.bad_logins.len() >= after as usize) {
            owner.locked_until = Some(now + policy.duration);
            owner.bad_logins.clear();
        }
    }

    pub(crate) fn org_policy(&self, home: Home, organisation: &str) -> Option<OrgPolicy> {
        self.organisations.get(&(home, organisation.to_owned())).copied()
    }

    /// A stable numeric id for a login or an organisation.
    pub(crate) fn numeric_id(&self, name: &str) -> u64 {
        rng::hash(self.seed, &[name.as_bytes()]) % 90_000_000 + 10_000_000
    }
}

/// An account of a GitHub instance.
#[derive(Clone, Debug)]
pub struct OwnerHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) home: Home,
    pub(crate) login: String,
}

impl OwnerHandle {
    /// Locks the account out, good tokens included, until that long from now by the world's clock.
    pub fn lock_out(&self, duration: TimeDelta) {
        let mut state = self.shared.lock();
        let until = state.now() + duration;
        state.owner(self.home, &self.login).locked_until = Some(until);
    }

    /// Ends a lock-out.
    pub fn unlock(&self) {
        self.shared.lock().owner(self.home, &self.login).locked_until = None;
    }

    /// Whether it is locked out now.
    pub fn is_locked_out(&self) -> bool {
        self.shared.lock().is_locked(self.home, &self.login)
    }

    /// Sets the primary rate limit: what is left, and when it is full again.
    pub fn set_rate_limit(&self, limit: u32, remaining: u32, reset_in: TimeDelta) {
        let mut state = self.shared.lock();
        let reset = state.now() + reset_in;
        let owner = state.owner(self.home, &self.login);
        (owner.limit, owner.used, owner.reset) = (limit, limit.saturating_sub(remaining), reset);
    }

    /// Sets the status of an exhausted primary limit: 403 (default) or 429.
    pub fn set_exhausted_status(&self, status: u16) {
        self.shared.lock().owner(self.home, &self.login).exhausted_status = status;
    }

    /// Puts it under a secondary rate limit, or ends that.
    pub fn set_secondary_limit(&self, limit: Option<SecondaryLimit>) {
        self.shared.lock().owner(self.home, &self.login).secondary = limit;
    }
}
