//! Everything the world knows, behind one lock that is never held across an await.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use crate::auth::Session;
use crate::github_api::Flavour;
use crate::host::{Home, Host};
use crate::log::LoggedRequest;
use crate::owners::{LockoutPolicy, OrgPolicy, Owner};
use crate::packages::Package;
use crate::plan::ActiveFault;
use crate::registries::Registry;
use crate::rng::Rng;
use crate::tokens::{Token, TokenId};
use crate::unsettled::Unsettled;

pub(crate) struct Shared {
    state: Mutex<State>,
    /// Wakes whoever waits for the log to change.
    pub(crate) changed: Notify,
}

/// Nothing of the state: every handle holds this, and the state is full of secrets.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already; the others may go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that happens when the first request comes in that matches.
pub(crate) struct Hook {
    pub(crate) matches: Box<dyn FnMut(&LoggedRequest) -> bool + Send>,
    pub(crate) then: Box<dyn FnOnce() + Send>,
}

/// Without `Debug` on purpose.
pub(crate) struct State {
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    pub(crate) clock_offset: TimeDelta,
    /// Where the clock stands, when it does not run.
    pub(crate) clock_stands: Option<DateTime<Utc>>,
    /// Every answer ends its connection.
    pub(crate) closes: bool,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) date_skew: HashMap<Host, TimeDelta>,
    pub(crate) urls: HashMap<Host, String>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) token_ids: HashMap<Arc<str>, Vec<TokenId>>,
    pub(crate) sessions: HashMap<String, Session>,
    pub(crate) issued: VecDeque<String>,
    pub(crate) packages: HashMap<(Home, String), Package>,
    pub(crate) organisations: HashMap<(Home, String), OrgPolicy>,
    pub(crate) owners: HashMap<(Home, String), Owner>,
    pub(crate) lockout: LockoutPolicy,
    pub(crate) unsettled: Unsettled,
    pub(crate) instances: Vec<Flavour>,
    pub(crate) registries: Vec<Registry>,
    pub(crate) faults: Vec<ActiveFault>,
    pub(crate) next_fault: u64,
    pub(crate) log: VecDeque<LoggedRequest>,
    pub(crate) log_limit: usize,
    pub(crate) next_seq: u64,
    pub(crate) connections: HashMap<Host, u64>,
}

impl State {
    pub(crate) fn new(seed: u64, log_limit: usize) -> Self {
        Self {
            seed,
            rng: Rng::new(seed),
            clock_offset: TimeDelta::zero(),
            clock_stands: None,
            closes: false,
            hooks: Vec::new(),
            date_skew: HashMap::new(),
            urls: HashMap::new(),
            tokens: Vec::new(),
            token_ids: HashMap::new(),
            sessions: HashMap::new(),
            issued: VecDeque::new(),
            packages: HashMap::new(),
            organisations: HashMap::new(),
            owners: HashMap::new(),
            lockout: LockoutPolicy::off(),
            unsettled: Unsettled::default(),
            instances: vec![Flavour::GithubCom],
            registries: Vec::new(),
            faults: Vec::new(),
            next_fault: 0,
            log: VecDeque::new(),
            log_limit,
            next_seq: 0,
            connections: HashMap::new(),
        }
    }

    /// The world's time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock_stands.unwrap_or_else(Utc::now) + self.clock_offset
    }

    /// The time by the clock of a host: the world's time and that host's skew.
    pub(crate) fn host_time(&self, host: Host) -> DateTime<Utc> {
        self.now() + self.date_skew.get(&host).copied().unwrap_or_default()
    }

    /// The `Date` header of a host.
    pub(crate) fn date(&self, host: Host) -> String {
        http_date(self.host_time(host))
    }

    pub(crate) fn url(&self, host: Host) -> String {
        self.urls.get(&host).cloned().unwrap_or_default()
    }

    /// Counts a connection and gives its number.
    pub(crate) fn count_connection(&mut self, host: Host) -> u64 {
        let count = self.connections.entry(host).or_default();
        *count += 1;
        *count
    }

    pub(crate) fn log_arrival(&mut self, mut entry: LoggedRequest) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        entry.seq = seq;
        if self.log.len() >= self.log_limit {
            self.log.pop_front();
        }
        self.log.push_back(entry);
        seq
    }

    pub(crate) fn log_status(&mut self, seq: u64, status: u16) {
        let index = self.log.partition_point(|entry| entry.seq < seq);
        if let Some(entry) = self.log.get_mut(index).filter(|entry| entry.seq == seq && status != 0) {
            entry.status = Some(status);
        }
    }

    /// A request id in GitHub's form.
    pub(crate) fn request_id(&mut self) -> String {
        let (first, second) = (self.rng.next(), self.rng.next());
        format!("{:04X}:{:06X}:{:07X}", first & 0xffff, (first >> 16) & 0x00ff_ffff, second & 0x0fff_ffff)
    }
}

/// IMF-fixdate of RFC 9110.
pub(crate) fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
