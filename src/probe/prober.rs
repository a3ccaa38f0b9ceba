//! The prober: the one door through which the outside is asked.

use std::sync::Arc;
use std::time::Duration;

use super::client::{Client, HostGuard, Lookup, SystemLookup, authority};
use super::evidence::{AccessAnswer, Evidence, IssuerAnswer, LoginAnswer, SsoAnswer, Unproven};
use super::exchange::Exchange;
use super::host_state::Hosts;
use super::text::Redactor;
use super::{issuer as issuers, registry as registries};
use crate::clock::Clock;
use crate::credential::{Password, TokenKind, Username};
use crate::plan::{Issuer, Registry};

/// Bytes of user name and password, or of a token, at most. Servers take a few KiB of header; a Secret of 1 MiB, encoded
/// and looked for in every form, would cost many times that in each exchange.
const MOST_BYTES: usize = 64 * 1024;

/// What a prober needs to know.
#[derive(Clone)]
pub struct Settings {
    /// Bound on one request, from connect to the last byte.
    pub timeout: Duration,
    /// For the time stamps of evidence, the pace, and how long what was learned of a host is believed.
    pub clock: Clock,
    /// Name resolution. The address guard stands behind it.
    pub lookup: Arc<dyn Lookup>,
}

impl Settings {
    /// The system's clocks and resolver.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, clock: Clock::start(), lookup: Arc::new(SystemLookup) }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Asks registries and issuers. Any number of exchanges may run at once on one prober; how many is the caller's choice.
pub struct Prober {
    pub(super) client: Client,
    pub(super) clock: Clock,
    hosts: Hosts,
}

impl std::fmt::Debug for Prober {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prober").finish_non_exhaustive()
    }
}

impl Prober {
    /// A prober. It chooses the TLS provider of the process when nobody did.
    pub fn new(settings: Settings) -> Self {
        Self {
            client: Client::new(settings.timeout, settings.lookup),
            hosts: Hosts::new(settings.clock.clone()),
            clock: settings.clock,
        }
    }

    /// Go by another time-out from now on, and by the paces that registries have from now on. What is known of hosts stays.
    pub fn retune(&self, timeout: Duration) {
        self.client.set_timeout(timeout);
        self.hosts.forget_shared_paces();
    }

    /// The clock that it reads.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Does the registry accept this login?
    ///
    /// ghcr.io: one token request without scope (what `docker login` does); it checks the password also where the image
    /// is public. Other registries are asked as they ask for: Bearer through their token service, confirmed at `/v2/`,
    /// or Basic at `/v2/`. How a registry asks is learned without credentials and remembered for five minutes.
    pub async fn login(&self, registry: &Registry, username: &Username, password: &Password) -> Evidence<LoginAnswer> {
        if username.expose().len() + password.expose().len() > MOST_BYTES {
            return self.too_long(registry, LoginAnswer::Unproven);
        }
        let mut exchange = self.registry_exchange(registry, Redactor::login(username, password));
        let answer = registries::login(&mut exchange, username, password).await.unwrap_or_else(LoginAnswer::Unproven);
        exchange.finish(answer)
    }

    /// May this login (`None`: anyone) pull a repository? `reference` is a tag or digest.
    pub async fn access(
        &self,
        registry: &Registry,
        login: Option<(&Username, &Password)>,
        repository: &str,
        reference: &str,
    ) -> Evidence<AccessAnswer> {
        if login.is_some_and(|(username, password)| username.expose().len() + password.expose().len() > MOST_BYTES) {
            return self.too_long(registry, AccessAnswer::Unproven);
        }
        let redactor = login.map_or_else(Redactor::default, |(username, password)| Redactor::login(username, password));
        let mut exchange = self.registry_exchange(registry, redactor);
        let answer = registries::access(&mut exchange, login, repository, reference)
            .await
            .unwrap_or_else(AccessAnswer::Unproven);
        exchange.finish(answer)
    }

    /// Can anyone pull the registry's canary? Proves nothing when the registry has none.
    pub async fn canary(&self, registry: &Registry) -> Evidence<AccessAnswer> {
        if let Some((repository, reference)) = &registry.canary {
            return self.access(registry, None, repository, reference).await;
        }
        let mut exchange = self.registry_exchange(registry, Redactor::default());
        exchange.explain("no canary is configured for this registry");
        exchange.finish(AccessAnswer::Unproven(Unproven::Odd("no_canary")))
    }

    /// What does the issuer say of a token? `registry` lends its rules for addresses, plain HTTP and trust anchors; with
    /// `want_owner` a second request learns the owner's name.
    pub async fn issuer(
        &self,
        issuer: &Issuer,
        registry: &Registry,
        password: &Password,
        kind: TokenKind,
        want_owner: bool,
    ) -> Evidence<IssuerAnswer> {
        if password.expose().len() > MOST_BYTES {
            return self.too_long(registry, IssuerAnswer::Unproven);
        }
        let mut exchange = self.issuer_exchange(issuer, registry, password);
        let answer = issuers::ask(&mut exchange, issuer, password, kind, want_owner)
            .await
            .unwrap_or_else(IssuerAnswer::Unproven);
        exchange.finish(answer)
    }

    /// Does a GitHub organisation demand an SSO authorisation that the token lacks? One request, worth asking where a
    /// pull from the organisation was denied.
    pub async fn sso(
        &self,
        issuer: &Issuer,
        registry: &Registry,
        password: &Password,
        organisation: &str,
    ) -> Evidence<SsoAnswer> {
        let mut exchange = self.issuer_exchange(issuer, registry, password);
        let answer =
            issuers::sso(&mut exchange, issuer, password, organisation).await.unwrap_or_else(SsoAnswer::Unproven);
        exchange.finish(answer)
    }

    /// The end of an exchange that is not begun.
    fn too_long<A>(&self, registry: &Registry, answer: impl FnOnce(Unproven) -> A) -> Evidence<A> {
        let mut exchange = self.registry_exchange(registry, Redactor::default());
        exchange.explain("the credential is longer than 64 KiB, which no server takes; it was not sent");
        exchange.finish(answer(Unproven::Odd("too_long")))
    }

    fn registry_exchange<'a>(&'a self, registry: &'a Registry, redactor: Redactor) -> Exchange<'a> {
        let name = format!("{} {}", registry.host, registry.endpoint);
        let state = self.hosts.get(&name, registry.requests_per_second);
        Exchange::new(self, registry, HostGuard::registry(registry), state, redactor)
    }

    fn issuer_exchange<'a>(&'a self, issuer: &'a Issuer, registry: &'a Registry, password: &Password) -> Exchange<'a> {
        let (guard, name) = match &issuer.api {
            Some(api) => (HostGuard::issuer(api, registry), format!("issuer {}", authority(api))),
            // Nothing will be asked.
            None => (HostGuard::registry(registry), "issuer".to_owned()),
        };
        Exchange::new(
            self,
            registry,
            guard,
            self.hosts.shared(&name, registry.requests_per_second),
            Redactor::token(password),
        )
    }
}
