//! What is remembered of a host between exchanges: its pace, and how it asks for a login.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use super::evidence::Unproven;
use super::exchange::Circumstances;
use super::pace::Pacer;
use crate::clock::Clock;
use crate::plan::Moment;

/// Hosts remembered at once. Globs let tenants name hosts, so the map must not grow with what they write.
const HOSTS: usize = 4096;
/// How long the way a registry asks is taken for granted.
pub(super) const FRESH: Duration = Duration::from_secs(300);
/// How long it serves when the registry cannot be asked anew.
pub(super) const STALE: Duration = Duration::from_secs(3600);

/// How a registry asks for a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// With a token of its token service.
    Bearer {
        /// The token service.
        realm: Url,
        /// The name it knows the registry by.
        service: Option<String>,
    },
    /// With the password itself.
    Basic,
    /// Not at all at its root.
    Nothing,
}

/// What the last attempts to learn it gave.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// The last challenge, and when it came.
    pub(super) known: Option<(Moment, Asks)>,
    /// The last attempt that gave none, and when it ended: shared by all who waited for it.
    pub(super) miss: Option<(Moment, Result<Asks, Unproven>, Circumstances)>,
}

/// What is remembered of one host.
#[derive(Debug)]
pub(super) struct HostState {
    pub(super) pacer: Pacer,
    /// Held while learning, so that a thousand logins of one registry ask it once.
    pub(super) learned: tokio::sync::Mutex<Learned>,
}

/// All hosts.
#[derive(Debug)]
pub(super) struct Hosts {
    clock: Clock,
    map: Mutex<HashMap<(String, u64), Arc<HostState>>>,
    /// The slowest pace of each host that several entries of the config share.
    shared: Mutex<HashMap<String, f64>>,
}

impl Hosts {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, map: Mutex::default(), shared: Mutex::default() }
    }

    /// The state of a host that several entries of the config may name, such as the API of an issuer: of their paces the
    /// slowest counts, and together they take no more than that.
    pub(super) fn shared(&self, name: &str, requests_per_second: f64) -> Arc<HostState> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.len() >= HOSTS && !shared.contains_key(name) {
            shared.clear();
        }
        let slowest = shared.entry(name.to_owned()).or_insert(requests_per_second);
        *slowest = slowest.min(requests_per_second);
        self.get(name, *slowest)
    }

    /// The slowest pace of a host is found anew: the entry that asked for it may be gone.
    pub(super) fn forget_shared_paces(&self) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The state of a host at a pace. Another pace is another state, so that a changed config takes effect.
    pub(super) fn get(&self, name: &str, requests_per_second: f64) -> Arc<HostState> {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), requests_per_second.to_bits());
        if let Some(state) = map.get(&key) {
            return Arc::clone(state);
        }
        if map.len() >= HOSTS {
            // Only the hosts of exchanges in flight are held elsewhere.
            map.retain(|_, state| Arc::strong_count(state) > 1);
        }
        let state = Arc::new(HostState {
            pacer: Pacer::new(requests_per_second, self.clock.clone()),
            learned: tokio::sync::Mutex::default(),
        });
        map.insert(key, Arc::clone(&state));
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_shares_a_host_shares_its_slowest_pace() {
        let hosts = Hosts::new(Clock::start());
        hosts.shared("issuer api.example", 5.0);
        let slow = hosts.shared("issuer api.example", 1.0);
        assert!(Arc::ptr_eq(&slow, &hosts.shared("issuer api.example", 5.0)));
        for i in 0..3 * HOSTS {
            hosts.shared(&format!("{i}.example"), 5.0);
        }
        assert!(hosts.shared.lock().unwrap().len() <= HOSTS);
    }

    #[tokio::test]
    async fn remembers_a_bounded_number_of_hosts() {
        let hosts = Hosts::new(Clock::start());
        let held = hosts.get("held.example", 5.0);
        for i in 0..3 * HOSTS {
            hosts.get(&format!("{i}.example"), 5.0);
        }
        assert!(hosts.map.lock().unwrap().len() <= HOSTS);
        assert!(Arc::ptr_eq(&held, &hosts.get("held.example", 5.0)));
        assert!(!Arc::ptr_eq(&held, &hosts.get("held.example", 6.0)));
    }
}
