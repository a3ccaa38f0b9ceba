//! What every command does first: log, config, TLS provider, registries.

use std::net::SocketAddr;

use super::logging;
use crate::cli::args::Common;
use crate::config::{self, Config, ConfigError, IssuerChoice, RegistryConfig, ShardConfig, StateStore};
use crate::plan::{Registries, RegistryError};

/// Why a command cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The log level.
    #[error("the log cannot start")]
    Log(#[source] logging::BadLevel),
    /// The config file.
    #[error("the config cannot be used")]
    Config(#[source] ConfigError),
    /// An entry of `registries`.
    #[error("the registries of the config cannot be used")]
    Registries(#[source] RegistryError),
    /// A registry on the command line.
    #[error("--registry {host}: {what}")]
    Flag {
        /// As given.
        host: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// Which of several processes this is.
    #[error("{key} {message}")]
    Shard {
        /// The key of the config.
        key: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A label selector or a namespace of the scope.
    #[error("the scope cannot be used")]
    Scope(#[source] crate::cluster::ScopeError),
    /// The counters.
    #[error("the counters cannot start; this is a bug, please report it")]
    Metrics(#[source] prometheus::Error),
    /// No key for token ids.
    #[error("token ids cannot be made")]
    TokenIdKey(#[source] super::KeyError),
    /// A state that cannot be kept where the config says.
    #[error("verdicts cannot be kept over restarts")]
    State(#[source] super::state::StateError),
    /// The first list of a one-shot run.
    #[error("cannot read the objects of the cluster")]
    Listing(#[source] crate::cluster::SnapshotError),
    /// No cluster.
    #[error("no cluster to read from; to read manifests instead, give `check` a PATH or `serve` --manifests PATH")]
    Cluster(#[source] crate::cluster::ClientError),
    /// An election without a cluster.
    #[error("`leaderElection.enabled` needs a cluster to hold the Lease; with --manifests leave it out")]
    ElectionOfFiles,
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: choose another one with --{flag}")]
    Listen {
        /// The address as given.
        address: String,
        /// The flag that gives it.
        flag: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A text that names nothing to explain.
    #[error("the target cannot be used")]
    Target(#[source] crate::outlook::explain::TargetError),
    /// A target that is not there.
    #[error("nothing to explain")]
    Explain(#[source] crate::outlook::explain::ExplainError),
    /// Standard input.
    #[error("cannot read standard input")]
    Input(#[source] std::io::Error),
    /// Standard output.
    #[error("cannot write the report")]
    Output(#[source] std::io::Error),
    /// The web config file.
    #[error("the web port cannot be secured as asked")]
    Web(#[source] crate::web::SecureError),
    /// The asynchronous runtime.
    #[error("the runtime cannot start")]
    Runtime(#[source] std::io::Error),
    /// A task that must run for ever has ended: the process cannot be trusted any more.
    #[error("the task `{task}` ended: {reason}")]
    TaskEnded {
        /// Which.
        task: &'static str,
        /// How.
        reason: String,
    },
}

/// Config and registries, checked.
#[derive(Debug)]
pub(super) struct Setup {
    /// The config, with the registries of the command line added.
    pub(super) config: Config,
    /// Who may be contacted.
    pub(super) registries: Registries,
}

/// Start the log, read the config, check the registries.
pub(super) fn prepare(common: &Common, default_level: &str) -> Result<Setup, SetupError> {
    logging::start(common.log_level.as_deref(), default_level, common.log_format).map_err(SetupError::Log)?;
    let mut config = match &common.config_file {
        Some(path) => config::load(path).map_err(SetupError::Config)?,
        None => Config::default(),
    };
    let registries = add_registries(&mut config, &common.registries)?;
    crate::probe::install_tls_provider();
    Ok(Setup { config, registries })
}

/// Check what file and command line together say about the shard.
pub(super) fn check_shard(shard: ShardConfig) -> Result<(), SetupError> {
    shard.check().map_err(|(key, message)| SetupError::Shard { key, message })?;
    if shard.count > 1 && shard.index.is_none() {
        let message = format!(
            "is {}, and nobody says which of them this is: set shard.index, or --shard.index (PULL_PATROL_SHARD_INDEX) to \
             the name of the StatefulSet's pod",
            shard.count
        );
        return Err(SetupError::Shard { key: "shard.count".to_owned(), message });
    }
    Ok(())
}

/// Check what needs a cluster where objects come from files.
pub(super) fn check_source(config: &Config, of_files: bool) -> Result<(), SetupError> {
    if of_files && config.leader_election.enabled {
        return Err(SetupError::ElectionOfFiles);
    }
    if of_files && matches!(config.state.store(), Some(StateStore::ConfigMap { .. })) {
        return Err(SetupError::State(super::state::StateError::NoCluster));
    }
    Ok(())
}

/// Add the registries of the command line, and check all of them. One that is listed already, in the config or twice on
/// the command line, stays as it is.
pub(super) fn add_registries(config: &mut Config, hosts: &[String]) -> Result<Registries, SetupError> {
    let mut registries = Registries::new(&config.registries).map_err(SetupError::Registries)?;
    for host in hosts {
        if registries.lists(host) {
            continue;
        }
        config.registries.push(RegistryConfig::plain(host, IssuerChoice::Auto));
        registries = Registries::new(&config.registries)
            .map_err(|error| SetupError::Flag { host: error.host, what: error.what })?;
    }
    Ok(registries)
}

/// The registries of a config that holds those of the command line already.
pub(super) fn registries(config: &Config) -> Result<Registries, SetupError> {
    Registries::new(&config.registries).map_err(SetupError::Registries)
}

/// `:9797`, `127.0.0.1:9797` or `[::1]:9797`, as exporters write it; without a host every address is meant.
pub(super) async fn listen(address: &str, flag: &'static str) -> Result<tokio::net::TcpListener, SetupError> {
    let refused = |source| SetupError::Listen { address: address.to_owned(), flag, source };
    if let Some(port) = address.strip_prefix(':') {
        let port: u16 = port.parse().map_err(|_| {
            refused(std::io::Error::new(std::io::ErrorKind::InvalidInput, "the port is no number from 0 to 65535"))
        })?;
        // A dual-stack listener where IPv6 exists, else IPv4 alone.
        let everywhere = tokio::net::TcpListener::bind(SocketAddr::from(([0_u16; 8], port))).await;
        return match everywhere {
            Ok(listener) => Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(refused(error)),
            Err(_) => tokio::net::TcpListener::bind(SocketAddr::from(([0_u8; 4], port))).await.map_err(refused),
        };
    }
    tokio::net::TcpListener::bind(address).await.map_err(refused)
}
