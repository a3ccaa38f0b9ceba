//! A registry that accepts logins and denies every repository to everyone: an incident of its own, told from accesses that
//! were taken away.

use std::collections::HashMap;
use std::time::Duration;

use super::Ledger;
use super::records::{AccessKey, AccessRecord};
use super::run::{MANY, since};
use crate::plan::{LoginId, Moment};

/// From the start: so many logins denied, and nothing ever granted, is an incident.
const NONE_OF: usize = 5;

type Accesses = HashMap<Box<str>, AccessRecord>;

impl Ledger {
    /// Whether the registry is suspected of denying everyone.
    pub(super) fn denies_everyone(&self, host: &str) -> bool {
        self.registries.get(host).is_some_and(|registry| registry.denies_everyone)
    }

    /// After a denial: whether it shows that the registry denies everyone. Logins are counted, not repositories: one that
    /// loses its rights loses them for all repositories at once.
    pub(super) fn denies_as_a_whole(&self, host: &str, now: Moment) -> bool {
        let Some(registry) = self.registries.get(host) else { return false };
        let of_logins = || registry.logins.iter().filter_map(|login| Some(&self.logins.get(login)?.accesses));
        if !registry.ever_granted() {
            let denied = |accesses: &&Accesses| accesses.values().any(|access| access.denied_lately);
            return of_logins().filter(denied).count() >= NONE_OF;
        }
        let (mut working, mut denied) = (0, 0);
        for accesses in of_logins().chain([&registry.anonymous]) {
            working += usize::from(accesses.values().any(|access| access.fresh));
            let news = accesses.values().any(|access| access.newly_denied(now, self.rules.interval));
            denied += usize::from(news);
        }
        denied >= MANY && denied * 2 >= working
    }

    /// The registry begins to deny everyone: what led to it counts for nothing.
    pub(super) fn begin_denying(&mut self, host: &str) {
        if let Some(registry) = self.registries.get_mut(host) {
            registry.denies_everyone = true;
        }
        self.for_each_access(host, AccessRecord::incident_began);
    }

    /// An access was granted, or the canary: the registry does not deny everyone. An access that was never granted before
    /// may be one that was opened just now, so it tells nothing where others are known.
    pub(super) fn end_denying(&mut self, host: &str, known: bool) {
        if !self.denies_everyone(host) {
            return;
        }
        let mut any_known = known;
        self.for_each_access(host, |access| any_known |= access.fresh);
        if any_known && !known {
            return;
        }
        if let Some(registry) = self.registries.get_mut(host) {
            registry.denies_everyone = false;
            if registry.canary.refused() {
                registry.canary.fresh = false;
            }
        }
        self.for_each_access(host, AccessRecord::denying_ended);
    }

    /// Whether the control that a denial needs was heard: while the canary is denied as well nothing is proven, and what was
    /// denied along with everything needs another access that was granted between its last two denials.
    pub(super) fn denial_is_controlled(&self, host: &str, login: Option<LoginId>, repository: &str) -> bool {
        let Some(registry) = self.registries.get(host) else { return true };
        if registry.canary.fresh && registry.canary.refused() {
            return false;
        }
        let accesses = login.map_or(Some(&registry.anonymous), |login| Some(&self.logins.get(&login)?.accesses));
        let Some(access) = accesses.and_then(|accesses| accesses.get(repository)) else { return true };
        let key: AccessKey = (login, repository.into());
        !access.suspect || registry.grant_control(&key) >= access.run.last_but_one()
    }

    fn for_each_access(&mut self, host: &str, mut turn: impl FnMut(&mut AccessRecord)) {
        let Some(registry) = self.registries.get_mut(host) else { return };
        registry.anonymous.values_mut().for_each(&mut turn);
        for login in &registry.logins {
            if let Some(record) = self.logins.get_mut(login) {
                record.accesses.values_mut().for_each(&mut turn);
            }
        }
    }
}

impl AccessRecord {
    /// Whether it was denied within the window, and that is news.
    fn newly_denied(&self, now: Moment, window: Duration) -> bool {
        self.fresh && self.denied_lately && self.denied_at.is_some_and(|at| since(at, now) <= window)
    }

    fn denying_ended(&mut self) {
        self.incident_began();
        if self.denied_lately {
            self.fresh = false;
            self.suspect = true;
        }
    }
}
