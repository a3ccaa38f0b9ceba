//! The config file: what the operator allows and wants. Every room may read it; it reads none.
//!
//! The file is YAML; unknown keys are refused with their line. Nothing in it is a secret.

mod duration;
mod election;
mod load;
mod reload;
mod shard;
mod state;
mod web;

pub use duration::{DurationError, parse_duration};
pub use election::ElectionConfig;
pub use load::{ConfigError, load, parse};
pub use reload::Adopted;
pub use shard::ShardConfig;
pub use state::{StateConfig, StateKind, StateStore};
pub use web::{BcryptHash, ClientAuth, HttpServerConfig, MaxVersion, MinVersion, TlsServerConfig, WebConfig};

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// Everything the operator can set in the file. [`Config::default`] is what an empty file means.
#[derive(Clone, Debug, Deserialize, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Registries that may be contacted, on top of the built-in ones.
    #[serde(deserialize_with = "or_default")]
    pub registries: Vec<RegistryConfig>,
    /// How registries are asked.
    #[serde(deserialize_with = "or_default")]
    pub probe: ProbeConfig,
    /// How issuers are asked, and what is demanded of tokens.
    #[serde(deserialize_with = "or_default")]
    pub issuer: IssuerConfig,
    /// Which objects are looked at.
    #[serde(deserialize_with = "or_default")]
    pub scope: ScopeConfig,
    /// Whether changes of verdict are told as Kubernetes Events on the Secret.
    #[serde(deserialize_with = "or_default")]
    pub events: OnByDefault,
    /// File with the key of token ids, 32 to 4,096 random bytes: ids are then equal over restarts and shards. Without it
    /// each process draws a key of its own, unless it keeps its state in a file, which has a key beside it.
    pub token_id_key_file: Option<PathBuf>,
    /// Where verdicts survive a restart.
    #[serde(deserialize_with = "or_default")]
    pub state: StateConfig,
    /// Which of several processes this is.
    #[serde(deserialize_with = "or_default")]
    pub shard: ShardConfig,
    /// Which of several replicas probes.
    #[serde(deserialize_with = "or_default")]
    pub leader_election: ElectionConfig,
}

/// A switch that is on where nobody turned it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct OnByDefault(pub bool);

impl Default for OnByDefault {
    fn default() -> Self {
        Self(true)
    }
}

/// One registry that may be contacted.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryConfig {
    /// `host[:port]`, or a glob per label (`*.azurecr.io`).
    pub host: String,
    /// Who issued the tokens that are used there.
    #[serde(default)]
    pub issuer: IssuerChoice,
    /// Base URL of the issuer's API, where the host does not tell.
    #[serde(default)]
    pub api: Option<String>,
    /// Ask here instead of `https://HOST`.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Allow `http://` for everything of this entry.
    #[serde(default)]
    pub plain_http: bool,
    /// PEM file with extra trust anchors.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Allow loopback, link-local and private addresses for the hosts of this entry.
    #[serde(default)]
    pub allow_private_addresses: bool,
    /// Further hosts (`host[:port]`) that may issue its tokens.
    #[serde(default, deserialize_with = "or_default")]
    pub realms: Vec<String>,
    /// Requests per second; a burst is one second's worth, and a process begins without one.
    #[serde(default = "default_rate")]
    pub requests_per_second: f64,
    /// A public repository (`org/image[:tag]`) whose anonymous pull tells an incident from dead credentials.
    #[serde(default)]
    pub canary: Option<String>,
}

/// Who issued the tokens of a registry.
#[derive(Clone, Copy, Debug, Deserialize, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum IssuerChoice {
    /// Nobody whom we could ask.
    #[default]
    None,
    /// GitHub: github.com, GHE.com or an Enterprise Server.
    Github,
    /// GitLab.
    Gitlab,
    /// AWS ECR: the password tells its own expiry.
    Ecr,
    /// The password is a JWT that tells its own expiry.
    Jwt,
    /// Told by host and token.
    Auto,
}

/// How registries are asked.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// Time between two exchanges of a login.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// Bound on one HTTP request, from connect to the last byte.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Exchanges in flight at once.
    pub concurrency: usize,
    /// Repositories checked per login and round; round-robin past it.
    pub access_checks_per_login: usize,
    /// How rarely a confirmed dead login is asked again.
    #[serde(with = "duration")]
    pub rejected_interval: Duration,
    /// Refusals in a row that prove a rejection without an issuer.
    pub confirmations: u32,
    /// Least time between two refusals that both count.
    #[serde(with = "duration")]
    pub confirmation_spacing: Duration,
}

/// How issuers are asked, and what is demanded of tokens.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IssuerConfig {
    /// Time between two questions about a token.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// Scopes that every token must have.
    pub required_scopes: Vec<String>,
    /// How long before its expiry a token is a finding.
    #[serde(with = "duration")]
    pub warn_before: Duration,
}

/// Which objects are looked at.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScopeConfig {
    /// Namespaces; empty means all.
    #[serde(deserialize_with = "or_default")]
    pub namespaces: Vec<String>,
    /// Namespaces left out.
    #[serde(deserialize_with = "or_default")]
    pub exclude_namespaces: Vec<String>,
    /// Label selector for Secrets.
    pub secret_selector: String,
    /// The only pull Secrets that are looked at, by name; empty means all that the rest of the scope admits. Without
    /// `namespaces` the scope is the namespaces of these.
    #[serde(deserialize_with = "or_default")]
    pub secrets: Vec<NamedSecret>,
    /// Whether Secrets are looked at. Without them it is told which workload names which Secret, and of no credential whether
    /// it works.
    pub read_secrets: bool,
    /// Image globs that nodes can pull by other means.
    #[serde(deserialize_with = "or_default")]
    pub node_credentials: Vec<String>,
}

/// A pull Secret by its name.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedSecret {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A key with nothing behind it, as it is left when all its lines are commented out, means the default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn default_rate() -> f64 {
    5.0
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(600),
            timeout: Duration::from_secs(10),
            concurrency: 16,
            access_checks_per_login: 20,
            rejected_interval: Duration::from_secs(6 * 3600),
            confirmations: 3,
            confirmation_spacing: Duration::from_secs(60),
        }
    }
}

impl Default for IssuerConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(3600),
            required_scopes: vec!["read:packages".to_owned()],
            warn_before: Duration::from_secs(14 * 86_400),
        }
    }
}

impl Default for ScopeConfig {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            exclude_namespaces: Vec::new(),
            secret_selector: "!runner-pod".to_owned(),
            secrets: Vec::new(),
            read_secrets: true,
            node_credentials: Vec::new(),
        }
    }
}

impl RegistryConfig {
    /// An entry with nothing but a host and an issuer, as `--registry` makes it.
    pub fn plain(host: &str, issuer: IssuerChoice) -> Self {
        Self {
            host: host.to_owned(),
            issuer,
            api: None,
            endpoint: None,
            plain_http: false,
            ca_file: None,
            allow_private_addresses: false,
            realms: Vec::new(),
            requests_per_second: default_rate(),
            canary: None,
        }
    }
}
