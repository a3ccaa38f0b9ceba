//! A GitHub instance: its hosts, and what it knows.

use std::sync::Arc;

use crate::github_api::Flavour;
use crate::host::{Home, Host};
use crate::owners::{OrgPolicy, OwnerHandle};
use crate::packages::{PackageHandle, Visibility};
use crate::state::Shared;
use crate::token_spec::TokenSpec;
use crate::tokens::TokenHandle;

/// A GitHub instance beside github.com.
#[derive(Clone, Debug)]
pub struct GithubInstance {
    shared: Arc<Shared>,
    number: u32,
    flavour: Flavour,
}

impl GithubInstance {
    pub(crate) fn new(shared: Arc<Shared>, number: u32, flavour: Flavour) -> Self {
        Self { shared, number, flavour }
    }

    fn home(&self) -> Home {
        Home::Github(self.number)
    }

    /// The API's base URL: for Enterprise Server it ends in `/api/v3`.
    pub fn api_url(&self) -> String {
        let prefix = if self.flavour == Flavour::EnterpriseServer { "/api/v3" } else { "" };
        self.shared.lock().url(self.api_host()) + prefix
    }

    /// The container registry's URL.
    pub fn registry_url(&self) -> String {
        self.shared.lock().url(self.registry_host())
    }

    /// How faults and the log name the API.
    pub fn api_host(&self) -> Host {
        if self.number == 0 { Host::GithubApi } else { Host::EnterpriseApi(self.number) }
    }

    /// How faults and the log name the registry.
    pub fn registry_host(&self) -> Host {
        self.home().registry_host()
    }

    /// Adds a token.
    pub fn add_token(&self, spec: TokenSpec) -> TokenHandle {
        let (id, secret) = self.shared.lock().add_token(self.home(), spec);
        TokenHandle { id, secret, shared: Arc::clone(&self.shared) }
    }

    /// Adds a package with the tag `latest`.
    pub fn add_package(&self, name: &str, visibility: Visibility) -> PackageHandle {
        self.shared.lock().add_package(self.home(), name, visibility);
        PackageHandle { shared: Arc::clone(&self.shared), home: self.home(), name: name.to_owned() }
    }

    /// Adds an organisation, or changes what it demands.
    pub fn set_org(&self, name: &str, policy: OrgPolicy) {
        self.shared.lock().organisations.insert((self.home(), name.to_owned()), policy);
    }

    /// An account.
    pub fn owner(&self, login: &str) -> OwnerHandle {
        OwnerHandle { shared: Arc::clone(&self.shared), home: self.home(), login: login.to_owned() }
    }
}
