//! Which registries may be asked, and how, resolved from the config and the built-in list.

mod host;
mod issuer;
mod rule;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use issuer::{Issuer, IssuerKind};

use self::host::{DOCKER_HUB, HostPattern, authority, canonical};
use self::rule::Rule;
use crate::config::{IssuerChoice, RegistryConfig};
use crate::credential::{TokenKind, unsupported_on_github};

/// A registry that may be contacted, resolved for one concrete host.
#[derive(Debug, Clone, PartialEq)]
pub struct Registry {
    /// The host as registry keys and images name it, in lower case (`ghcr.io`, `docker.io`, `registry.example.com:5000`).
    pub host: Arc<str>,
    /// The entry of the config that it comes from: its host, or the glob that tenants name hosts under.
    pub entry: Arc<str>,
    /// Base URL of its API: `https://HOST` (`http://HOST` with `plainHttp`), `https://registry-1.docker.io` for Docker
    /// Hub, or the configured endpoint. Its path is `/`.
    pub endpoint: url::Url,
    /// Hosts (`host` or `host:port`, as the URL writes them, default ports left out) that may be contacted for it: endpoint, the issuer's API, realms, built-in pairs.
    pub allowed_hosts: Vec<String>,
    /// Whom to ask about its tokens.
    pub issuer: Option<Issuer>,
    /// Whether `http://` is allowed for everything of it.
    pub plain_http: bool,
    /// Extra trust anchors.
    pub ca_file: Option<PathBuf>,
    /// Whether loopback, link-local and private addresses are allowed.
    pub allow_private_addresses: bool,
    /// Requests per second.
    pub requests_per_second: f64,
    /// Public repository for the canary: path and reference (`org/image`, `latest`).
    pub canary: Option<(String, String)>,
}

impl Registry {
    /// Whether it takes this kind of token for pulling, as far as its issuer documents that
    /// ([`unsupported_on_github`]). A token whose kind the prefix does not tell gets the benefit of the doubt.
    pub fn takes(&self, kind: TokenKind) -> bool {
        !(self.issuer.as_ref().is_some_and(Issuer::is_github) && unsupported_on_github(kind))
    }

    /// Whether the answer about a login may be another one when it is asked as `after` says. Pace and canary change nothing
    /// about it.
    pub fn is_asked_otherwise(&self, after: &Self) -> bool {
        let Self {
            host: _,
            entry: _,
            endpoint,
            allowed_hosts,
            issuer,
            plain_http,
            ca_file,
            allow_private_addresses,
            requests_per_second: _,
            canary: _,
        } = self;
        *endpoint != after.endpoint
            || *allowed_hosts != after.allowed_hosts
            || *issuer != after.issuer
            || *plain_http != after.plain_http
            || *ca_file != after.ca_file
            || *allow_private_addresses != after.allow_private_addresses
    }
}

/// An entry of `registries` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("registries[{index}] (host {host:?}): {what}")]
pub struct RegistryError {
    /// Position of the entry in `registries`, from 0.
    pub index: usize,
    /// Its host as written.
    pub host: String,
    /// What is wrong, and what to do.
    pub what: String,
}

/// All registries that may be contacted.
#[derive(Debug, Clone)]
pub struct Registries {
    rules: Vec<Rule>,
    exact: HashMap<String, usize>,
    globs: Vec<usize>,
}

impl Registries {
    /// From the config; the built-in ones (ghcr.io and containers.*.ghe.com, issuer github) come behind, so that an
    /// entry of the operator wins. An exact host, built-in or not, goes before every glob.
    pub fn new(configured: &[RegistryConfig]) -> Result<Self, RegistryError> {
        let mut registries = Self { rules: Vec::new(), exact: HashMap::new(), globs: Vec::new() };
        for (index, entry) in configured.iter().enumerate() {
            let wrong = |what: String| RegistryError { index, host: entry.host.clone(), what };
            let rule = Rule::new(entry).map_err(wrong)?;
            if !registries.add(rule) {
                return Err(wrong("the host stands twice; merge the two entries into one".to_owned()));
            }
        }
        for rule in Rule::built_in() {
            registries.add(rule);
        }
        Ok(registries)
    }

    /// Add a rule behind the others, unless its pattern stands already.
    fn add(&mut self, rule: Rule) -> bool {
        let at = self.rules.len();
        match &rule.pattern {
            HostPattern::Exact(host) if self.exact.contains_key(host) => return false,
            HostPattern::Glob { .. } if self.rules.iter().any(|other| other.pattern == rule.pattern) => return false,
            HostPattern::Exact(host) => {
                self.exact.insert(host.clone(), at);
            }
            HostPattern::Glob { .. } => self.globs.push(at),
        }
        self.rules.push(rule);
        true
    }

    /// The same registries, for one of `processes` that ask them together: the rate of each is that of all of them.
    #[must_use]
    pub fn shared_by(mut self, processes: u16) -> Self {
        for rule in &mut self.rules {
            rule.requests_per_second /= f64::from(processes.max(1));
        }
        self
    }

    /// Whether every Secret reads the same by the other list: which of its entries are logins of which hosts, and which kinds of
    /// token these take. How a host is asked, and how fast, stands in no record of a Secret.
    pub fn reads_alike(&self, other: &Self) -> bool {
        fn read(rule: &Rule) -> (&HostPattern, IssuerChoice, Option<&url::Url>) {
            (&rule.pattern, rule.issuer, rule.api.as_ref())
        }
        self.rules.iter().map(read).eq(other.rules.iter().map(read))
    }

    /// Whether this very host or glob, as the config writes it, is on the list.
    pub fn lists(&self, host: &str) -> bool {
        HostPattern::parse(host).is_ok_and(|pattern| self.rules.iter().any(|rule| rule.pattern == pattern))
    }

    /// The registry for a concrete host of a key or an image; `None` when it is not on the list. `index.docker.io` and `docker.io` are one.
    pub fn find(&self, host: &str) -> Option<Arc<Registry>> {
        let host = canonical(host)?;
        let at = match self.exact.get(&host) {
            Some(at) => *at,
            None => *self.globs.iter().find(|at| self.rules[**at].pattern.matches(&host))?,
        };
        self.rules[at].resolve(&host).map(Arc::new)
    }

    /// The hosts that are listed by name (not by glob), built-in ones included, sorted.
    pub fn listed_hosts(&self) -> Vec<&str> {
        let mut hosts: Vec<&str> = self.exact.keys().map(String::as_str).collect();
        hosts.sort_unstable();
        hosts
    }

    /// Whether a registry key with a glob can match a host on the list at all.
    pub fn may_list(&self, glob: &str) -> bool {
        self.rules.iter().any(|rule| rule.pattern.may_meet(glob))
    }

    /// The one spelling under which a host of a key or an image is known here ([`Registry::host`]); `None` when it is no
    /// host that could be listed.
    pub fn canonical_host(host: &str) -> Option<String> {
        canonical(host)
    }
}

impl Rule {
    /// The registry that this rule makes of a concrete host.
    fn resolve(&self, host: &str) -> Option<Registry> {
        let endpoint = if let Some(endpoint) = &self.endpoint {
            endpoint.clone()
        } else {
            let scheme = if self.plain_http { "http" } else { "https" };
            let at = if host == DOCKER_HUB { "registry-1.docker.io" } else { host };
            url::Url::parse(&format!("{scheme}://{at}")).ok()?
        };
        let issuer = self.issuer_for(host);
        let mut allowed_hosts = vec![authority(&endpoint)];
        if let Some(api) = issuer.as_ref().and_then(|issuer| issuer.api.as_ref()) {
            allowed_hosts.push(authority(api));
        }
        allowed_hosts.extend(self.realms.iter().cloned());
        if host == DOCKER_HUB {
            allowed_hosts.push("auth.docker.io".to_owned());
        }
        let mut seen = std::collections::HashSet::new();
        allowed_hosts.retain(|allowed| seen.insert(allowed.clone()));
        Some(Registry {
            entry: match &self.pattern {
                HostPattern::Exact(_) => Arc::from(host),
                glob @ HostPattern::Glob { .. } => Arc::from(glob.to_string()),
            },
            host: Arc::from(host),
            endpoint,
            allowed_hosts,
            issuer,
            plain_http: self.plain_http,
            ca_file: self.ca_file.clone(),
            allow_private_addresses: self.allow_private_addresses,
            requests_per_second: self.requests_per_second,
            canary: self.canary.clone(),
        })
    }

    /// Whom to ask about the tokens of a concrete host.
    fn issuer_for(&self, host: &str) -> Option<Issuer> {
        let api = self.api.as_ref();
        match self.issuer {
            IssuerChoice::None => None,
            IssuerChoice::Github => Issuer::github(host, api),
            IssuerChoice::Gitlab => Issuer::gitlab(host, api),
            IssuerChoice::Ecr | IssuerChoice::Jwt => Some(Issuer::self_described()),
            IssuerChoice::Auto => Some(Issuer::by_host(host, api)),
        }
    }
}
