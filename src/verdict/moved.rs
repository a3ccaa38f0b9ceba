//! Registries that are asked in another way than before: what another host answered proves nothing of this one, and a canary
//! that nobody asks any more is no witness.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Ledger;
use super::records::{AccessRecord, LoginRecord, RegistryRecord};
use super::run::Standing;
use crate::plan::{Moment, Registry};

/// How a registry is asked, as far as what its answers prove hangs on it. It is kept with the state: a config also changes
/// between two processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    endpoint: String,
    /// Who may be contacted for it.
    hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canary: Option<(String, String)>,
}

impl Asked {
    fn of(registry: &Registry) -> Self {
        let issuer = registry.issuer.as_ref();
        Self {
            endpoint: registry.endpoint.to_string(),
            hosts: registry.allowed_hosts.clone(),
            issuer: issuer.map(|issuer| format!("{:?} {}", issuer.kind, issuer.authority().unwrap_or_default())),
            canary: registry.canary.clone(),
        }
    }
}

impl Ledger {
    /// Take note how a registry was asked that answered for the first time.
    pub fn was_asked(&mut self, registry: &Registry) {
        if let Some(record) = self.registries.get_mut(&registry.host)
            && record.asked.is_none()
        {
            record.asked = Some(Asked::of(registry));
        }
    }

    /// Take note how each registry is asked from now on, and forget what the way it was asked before showed. Returns the
    /// hosts of which something was forgotten, sorted.
    pub fn meet(&mut self, registry: impl Fn(&str) -> Option<Arc<Registry>>) -> Vec<Arc<str>> {
        let known: Vec<_> = self.registries.keys().filter_map(|host| Some((host.clone(), registry(host)?))).collect();
        let mut forgotten: Vec<Arc<str>> = Vec::new();
        for (host, registry) in known {
            let now = Asked::of(&registry);
            let before = self.registry_mut(&host).asked.replace(now.clone());
            // Where a state does not tell, the config is taken to be as it was.
            let before = before.unwrap_or_else(|| now.clone());
            let mut forgot = false;
            if before.endpoint != now.endpoint {
                self.forget_registry(&host, &now);
                forgot = true;
            } else if (&before.hosts, &before.issuer) != (&now.hosts, &now.issuer) {
                forgot = self.forget_refusals(&host);
            }
            if (before.canary != now.canary || now.canary.is_none()) && self.registry_mut(&host).canary.latest.is_some()
            {
                self.forget_canary(&host);
                forgot = true;
            }
            forgotten.extend(forgot.then_some(host));
        }
        forgotten.sort_unstable();
        forgotten
    }

    /// Another host answers now: nothing that was seen is about it.
    fn forget_registry(&mut self, host: &str, asked: &Asked) {
        *self.registry_mut(host) = RegistryRecord { asked: Some(asked.clone()), ..RegistryRecord::default() };
        self.logins.retain(|_, login| *login.host != *host);
        for token in self.tokens.values_mut() {
            token.logins.retain(|login| self.logins.contains_key(login));
        }
        self.hosts.remove(host);
    }

    /// The same host answers, but others vouch for the password now, or may be asked on the way: a refusal may have been
    /// theirs. Whether there was any.
    fn forget_refusals(&mut self, host: &str) -> bool {
        let Some(registry) = self.registries.get(host) else { return false };
        let mut any = false;
        for login in &registry.logins {
            let Some(record) = self.logins.get_mut(login) else { continue };
            if record.standing.latest.is_some_and(|(_, accepted)| !accepted) || record.standing.doubted {
                *record = LoginRecord::new(Arc::clone(&record.host));
                any = true;
            }
        }
        if any && self.in_incident(host) && !self.refusals_are_unexplained(host) {
            self.end_incident(host);
        }
        any
    }

    /// The canary is asked no more, or is another one: its answers count for nothing from now on, and what it alone made an
    /// incident is none.
    fn forget_canary(&mut self, host: &str) {
        let canary = std::mem::take(&mut self.registry_mut(host).canary);
        let Some(registry) = self.registries.get(host) else { return };
        let (incident, denying) = (registry.incident, registry.denies_everyone);
        if canary.refused() && incident && !self.logins_make_an_incident(host, Moment::START, Duration::MAX) {
            self.registry_mut(host).incident = false;
            self.for_each_login(host, Standing::incident_began);
            self.for_each_access(host, AccessRecord::incident_began);
        }
        if canary.refused() && denying && !self.denies_within(host, Moment::START, Duration::MAX) {
            self.registry_mut(host).denies_everyone = false;
            self.for_each_access(host, AccessRecord::incident_began);
        }
        // Who needs a control, and has nobody left who could be one, is judged as if there had never been any.
        let Some(registry) = self.registries.get(host) else { return };
        let known = registry.logins.iter().filter_map(|login| self.logins.get(login));
        if known.filter(|login| login.standing.known_good).count() <= 1 {
            self.for_each_login(host, |standing| standing.suspect = false);
        }
        let mut granted = 0;
        self.for_each_access(host, |access| granted += usize::from(access.known_good));
        if granted <= 1 {
            self.for_each_access(host, |access| access.suspect = false);
        }
    }

    fn for_each_login(&mut self, host: &str, mut turn: impl FnMut(&mut Standing)) {
        let Some(registry) = self.registries.get(host) else { return };
        for login in &registry.logins {
            if let Some(record) = self.logins.get_mut(login) {
                turn(&mut record.standing);
            }
        }
    }
}
