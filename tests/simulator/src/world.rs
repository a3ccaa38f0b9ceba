//! The world: its hosts, its clock, its log.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::AbortHandle;

use crate::faults::{FaultHandle, FaultRule};
use crate::github::GithubInstance;
use crate::github_api::Flavour;
use crate::host::Host;
use crate::listener::{bind, spawn};
use crate::log::LoggedRequest;
use crate::owners::{LockoutPolicy, OrgPolicy, OwnerHandle};
use crate::packages::{PackageHandle, Visibility};
use crate::registries::{Registry, RegistryHandle, RegistryKind};
use crate::state::{Hook, Shared, State};
use crate::token_spec::{TokenKind, TokenSpec};
use crate::tokens::TokenHandle;
use crate::unsettled::Unsettled;

/// How a world begins.
#[derive(Clone, Debug)]
pub struct WorldBuilder {
    seed: u64,
    address: IpAddr,
    ghcr_port: u16,
    api_port: u16,
    log_limit: usize,
}

impl WorldBuilder {
    /// The seed of token texts and of the draws of faults. Default 1.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The address of all listeners. Default 127.0.0.1.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// The port of ghcr.io. Default 0, any free one.
    #[must_use]
    pub fn ghcr_port(mut self, port: u16) -> Self {
        self.ghcr_port = port;
        self
    }

    /// The port of api.github.com. Default 0, any free one.
    #[must_use]
    pub fn api_port(mut self, port: u16) -> Self {
        self.api_port = port;
        self
    }

    /// Requests kept in the log; the oldest go first. Default 200,000.
    #[must_use]
    pub fn log_limit(mut self, limit: usize) -> Self {
        self.log_limit = limit;
        self
    }

    /// Starts ghcr.io and api.github.com. Fails when a port is taken.
    pub async fn start(self) -> anyhow::Result<World> {
        let shared = Arc::new(Shared::new(State::new(self.seed, self.log_limit)));
        let world = World { shared, address: self.address, tasks: Mutex::new(Vec::new()) };
        world.open(Host::Ghcr, self.ghcr_port).await?;
        world.open(Host::GithubApi, self.api_port).await?;
        Ok(world)
    }
}

/// The outside world. Everything it started stops when it is dropped.
#[derive(Debug)]
pub struct World {
    shared: Arc<Shared>,
    address: IpAddr,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl World {
    /// A world with ghcr.io and api.github.com on free ports of 127.0.0.1.
    pub async fn start() -> anyhow::Result<Self> {
        Self::builder().start().await
    }

    /// The settings of a world.
    pub fn builder() -> WorldBuilder {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        WorldBuilder { seed: 1, address, ghcr_port: 0, api_port: 0, log_limit: 200_000 }
    }

    async fn open(&self, host: Host, port: u16) -> anyhow::Result<String> {
        let (listener, address) = bind(SocketAddr::new(self.address, port)).await?;
        let url = format!("http://{address}");
        self.shared.lock().urls.insert(host, url.clone());
        let task = spawn(listener, host, Arc::clone(&self.shared));
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        Ok(url)
    }

    // Hosts.

    /// The registry of github.com, such as `http://127.0.0.1:40001`.
    pub fn ghcr_url(&self) -> String {
        self.url(Host::Ghcr)
    }

    /// The API of github.com.
    pub fn github_api_url(&self) -> String {
        self.url(Host::GithubApi)
    }

    /// The URL of any host; empty for one that does not exist.
    pub fn url(&self, host: Host) -> String {
        self.shared.lock().url(host)
    }

    /// `127.0.0.1:PORT` of any host.
    pub fn authority(&self, host: Host) -> String {
        self.url(host).trim_start_matches("http://").to_owned()
    }

    /// Adds a GitHub instance of its own: registry, API, tokens, packages.
    pub async fn add_github(&self, flavour: Flavour) -> anyhow::Result<GithubInstance> {
        let number = {
            let mut state = self.shared.lock();
            state.instances.push(flavour);
            u32::try_from(state.instances.len() - 1).context("too many GitHub instances")?
        };
        self.open(Host::EnterpriseRegistry(number), 0).await?;
        self.open(Host::EnterpriseApi(number), 0).await?;
        Ok(GithubInstance::new(Arc::clone(&self.shared), number, flavour))
    }

    /// Adds a registry on free ports.
    pub async fn add_registry(&self, kind: RegistryKind) -> anyhow::Result<RegistryHandle> {
        self.add_registry_on(kind, 0, 0).await
    }

    /// Adds a registry on given ports; the second is for a token service on a host of its own.
    pub async fn add_registry_on(
        &self,
        kind: RegistryKind,
        port: u16,
        token_service_port: u16,
    ) -> anyhow::Result<RegistryHandle> {
        let elsewhere = matches!(kind, RegistryKind::BearerElsewhere | RegistryKind::Gitlab);
        let fault = if let RegistryKind::Hostile(hostile) = &kind { hostile.fault() } else { None };
        let id = {
            let mut state = self.shared.lock();
            state.registries.push(Registry { kind });
            u32::try_from(state.registries.len() - 1).context("too many registries")?
        };
        if let Some((fault, path)) = fault {
            let rule = FaultRule { path_prefix: path.map(str::to_owned), ..FaultRule::on(Host::Registry(id), fault) };
            self.fault(rule);
        }
        let url = self.open(Host::Registry(id), port).await?;
        let token_service_url =
            if elsewhere { Some(self.open(Host::TokenService(id), token_service_port).await?) } else { None };
        Ok(RegistryHandle { shared: Arc::clone(&self.shared), id, url, token_service_url })
    }

    // github.com.

    fn github(&self) -> GithubInstance {
        GithubInstance::new(Arc::clone(&self.shared), 0, Flavour::GithubCom)
    }

    /// Adds a token of github.com.
    pub fn add_token(&self, spec: TokenSpec) -> TokenHandle {
        self.github().add_token(spec)
    }

    /// A fresh text of that kind with a marker in it, which no host knows: for tokens that were never valid, and for
    /// other hosts. Classic kinds get a checksum that holds.
    pub fn mint(&self, kind: TokenKind, marker: &str) -> String {
        crate::mint::mint(kind, marker, &mut self.shared.lock().rng)
    }

    /// Adds a package (`org/image`) of ghcr.io with the tag `latest`.
    pub fn add_package(&self, name: &str, visibility: Visibility) -> PackageHandle {
        self.github().add_package(name, visibility)
    }

    /// Adds an organisation of github.com, or changes what it demands.
    pub fn set_org(&self, name: &str, policy: OrgPolicy) {
        self.github().set_org(name, policy);
    }

    /// An account of github.com.
    pub fn owner(&self, login: &str) -> OwnerHandle {
        self.github().owner(login)
    }

    /// Sets when bad logins lock accounts out (on every GitHub instance).
    pub fn set_lockout(&self, policy: LockoutPolicy) {
        self.shared.lock().lockout = policy;
    }

    /// Chooses among the answers that no public source settles.
    pub fn set_unsettled(&self, change: impl FnOnce(&mut Unsettled)) {
        change(&mut self.shared.lock().unsettled);
    }

    // Clock.

    /// Stops the world's clock at a moment: from then on only [`World::advance`] moves it.
    pub fn stop_clock(&self, at: DateTime<Utc>) {
        let mut state = self.shared.lock();
        (state.clock_stands, state.clock_offset) = (Some(at), TimeDelta::zero());
    }

    /// The world's time: real time (or where its clock stands) and an offset.
    pub fn now(&self) -> DateTime<Utc> {
        self.shared.lock().now()
    }

    /// Sets the offset of the world's clock from real time.
    pub fn set_clock_offset(&self, offset: TimeDelta) {
        self.shared.lock().clock_offset = offset;
    }

    /// Moves the world's clock.
    pub fn advance(&self, by: TimeDelta) {
        self.shared.lock().clock_offset += by;
    }

    /// Sets how far the `Date` header of one host is off the world's time.
    pub fn set_date_skew(&self, host: Host, skew: TimeDelta) {
        self.shared.lock().date_skew.insert(host, skew);
    }

    // Faults.

    /// Puts a fault in force until its handle removes it.
    pub fn fault(&self, rule: FaultRule) -> FaultHandle {
        FaultHandle { id: self.shared.lock().add_fault(rule), shared: Arc::clone(&self.shared) }
    }

    /// Ends all faults, those of hostile registries included.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Gives a host a name instead of its address, in its URL and in its challenges: whoever asks must resolve it.
    pub fn name(&self, host: Host, name: &str) {
        let mut state = self.shared.lock();
        if let Some(url) = state.urls.get_mut(&host)
            && let Some((_, port)) = url.rsplit_once(':')
        {
            *url = format!("http://{name}:{port}");
        }
    }

    /// From now on every answer ends its connection, so that each request resolves its host and connects anew.
    pub fn close_connections(&self) {
        self.shared.lock().closes = true;
    }

    /// Lets something happen once, when the first request comes in that matches: while it is in flight, and before it is
    /// answered. The action may change this world.
    pub fn when(
        &self,
        matches: impl FnMut(&LoggedRequest) -> bool + Send + 'static,
        then: impl FnOnce() + Send + 'static,
    ) {
        self.shared.lock().hooks.push(Hook { matches: Box::new(matches), then: Box::new(then) });
    }

    // Log.

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.lock().log.iter().cloned().collect()
    }

    /// The requests that match.
    pub fn requests_where(&self, matches: impl FnMut(&&LoggedRequest) -> bool) -> Vec<LoggedRequest> {
        self.shared.lock().log.iter().filter(matches).cloned().collect()
    }

    /// How many requests match.
    pub fn count(&self, matches: impl FnMut(&&LoggedRequest) -> bool) -> usize {
        self.shared.lock().log.iter().filter(matches).count()
    }

    /// Empties the log; numbers go on.
    pub fn clear_requests(&self) {
        self.shared.lock().log.clear();
    }

    /// Waits until that many requests in the log match and have been answered. Has no time-out of its own.
    pub async fn wait_for_requests(&self, count: usize, mut matches: impl FnMut(&LoggedRequest) -> bool) {
        self.wait_until(|log| log.iter().filter(|entry| entry.status.is_some() && matches(entry)).count() >= count)
            .await;
    }

    /// Waits until the log satisfies the condition. Has no time-out of its own.
    pub async fn wait_until(&self, mut condition: impl FnMut(&[LoggedRequest]) -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Listens before it looks, so that no change between the two is missed.
            changed.as_mut().enable();
            if condition(self.shared.lock().log.make_contiguous()) {
                return;
            }
            changed.await;
        }
    }

    /// TCP connections that a host has accepted, requests or not.
    pub fn connections(&self, host: Host) -> u64 {
        self.shared.lock().connections.get(&host).copied().unwrap_or_default()
    }

    /// The bearer tokens issued lately (up to 10,000): each is as secret as the token behind it.
    pub fn issued_bearers(&self) -> Vec<String> {
        self.shared.lock().issued.iter().cloned().collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for task in self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}
