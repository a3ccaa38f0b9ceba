//! Opens the place where the state is kept, and finds the key that belongs to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::ConfigMaps;
use crate::config::{Config, StateStore};
use crate::metrics::DaemonMetrics;
use crate::patrol::{Sharded, Store, StoreError};
use crate::plan::Identifier;
use crate::verdict::store::{self, Contents, ERROR_REASONS, FileStore, IN_USE, Loaded, OpenError, ReadError, Shards};

use super::key::{self, KeyError};
use super::serve::chain;

/// Pause before the API server is asked for the state again.
const PAUSE: Duration = Duration::from_secs(5);

/// Why the state cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file.
    #[error(transparent)]
    Open(OpenError),
    /// The task that opens it.
    #[error("the state could not be opened")]
    Lost(#[source] tokio::task::JoinError),
    /// The key file beside it.
    #[error(
        "cannot make the key of the state beside {path}: its folder must exist and this user must be able to write in it"
    )]
    MakeKey {
        /// The state file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The key.
    #[error("the hashes in the state cannot be made")]
    Key(#[source] KeyError),
    /// `ConfigMap`s without a cluster.
    #[error("`state.kind: configMap` needs a cluster; with --manifests keep the state in a file (`state.kind: file`)")]
    NoCluster,
}

/// A state that is kept, and what it held.
pub(super) struct Kept {
    pub(super) store: Store,
    pub(super) contents: Option<Contents>,
    /// Why it held nothing, where something is wrong.
    pub(super) trouble: Option<StoreError>,
}

/// What makes the ids of logins and tokens: by the key of the config, or by the one beside the state.
pub(super) fn identifier(config: &Config) -> Result<Identifier, StateError> {
    let mut key = config.token_id_key_file.clone();
    if let (Some(StateStore::File(path)), None) = (config.state.store(), &key) {
        let made = store::key_beside(&path, random);
        key = Some(made.map_err(|source| StateError::MakeKey { path, source })?);
    }
    key::identifier(key.as_deref()).map_err(StateError::Key)
}

/// Open the state of the config; `None` when there is none.
///
/// Under an election others wait for whoever is to probe: a file that another replica has is waited for, since that one lets
/// go of it when it sees that its turn is over, and an API server that gives the Lease but not the state is waited for no
/// longer than a Lease lasts.
pub(super) async fn open(
    config: &Config,
    client: Option<kube::Client>,
    metrics: &DaemonMetrics,
    identifier: &Identifier,
) -> Result<Option<Kept>, StateError> {
    let Some(place) = config.state.store() else { return Ok(None) };
    metrics.add_state(&ERROR_REASONS);
    let (store, read) = match place {
        StateStore::File(path) => {
            let (file, read) = open_file(&path, identifier, config.leader_election.enabled, metrics).await?;
            let read = read.map_err(StoreError::ReadFile).map(|loaded| {
                let loaded = loaded?;
                if loaded.torn {
                    tracing::info!("the last change in the state was cut short; nobody saw what it told");
                }
                Some(loaded.contents)
            });
            (Store::File(Box::new(file)), read)
        }
        StateStore::ConfigMap { namespace, mut name } => {
            // Each shard knows its own logins.
            if config.shard.count > 1 {
                name = format!("{name}-shard-{}", config.shard.index.unwrap_or_default());
            }
            let maps = ConfigMaps::new(client.ok_or(StateError::NoCluster)?, &namespace, &name);
            let mut sharded = Sharded::new(maps, Shards::new(identifier));
            let election = &config.leader_election;
            let patience = election.enabled.then_some(election.lease_duration);
            let read = load(&mut sharded, metrics, patience).await;
            (Store::ConfigMaps(Box::new(sharded)), read)
        }
    };
    let (contents, trouble) = match read {
        Ok(contents) => (contents, None),
        Err(error) => (None, Some(error)),
    };
    Ok(Some(Kept { store, contents, trouble }))
}

/// Lock and read a state file, on a thread that a slow disk may hold up. `waits` for a process that has it to let go of it.
async fn open_file(
    path: &Path,
    identifier: &Identifier,
    waits: bool,
    metrics: &DaemonMetrics,
) -> Result<(FileStore, Result<Option<Loaded>, ReadError>), StateError> {
    loop {
        let (at, of) = (path.to_owned(), identifier.clone());
        let opened = tokio::task::spawn_blocking(move || FileStore::open(&at, &of)).await.map_err(StateError::Lost)?;
        match opened {
            Err(error @ OpenError::InUse { .. }) if waits => {
                metrics.state_failed(IN_USE);
                tracing::warn!(error = chain(&error), pause = ?PAUSE, "waiting for the replica that has the state");
                tokio::time::sleep(PAUSE).await;
            }
            opened => return opened.map_err(StateError::Open),
        }
    }
}

/// Read a state in `ConfigMap`s. While the API server cannot be reached there is nothing to patrol either, so that is waited
/// for: as long as it takes, or with `patience` that long. What stands there then is not lost, since a write that meets it
/// merges the two.
async fn load(
    sharded: &mut Sharded,
    metrics: &DaemonMetrics,
    patience: Option<Duration>,
) -> Result<Option<Contents>, StoreError> {
    let began = tokio::time::Instant::now();
    loop {
        let tried = match patience {
            // A read that hangs is one that fails.
            Some(patience) => tokio::time::timeout_at(began + patience, sharded.load()).await,
            None => Ok(sharded.load().await),
        };
        let Ok(read) = tried else { return Err(StoreError::Unread) };
        let Err(error) = &read else { return read };
        if error.reason() != "unreachable" || patience.is_some_and(|patience| began.elapsed() + PAUSE >= patience) {
            return read;
        }
        metrics.state_failed(error.reason());
        tracing::warn!(error = chain(error), pause = ?PAUSE, "the state cannot be read yet; trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

pub(super) fn random() -> Option<[u8; 32]> {
    use ring::rand::SecureRandom as _;
    let mut key = [0_u8; 32];
    ring::rand::SystemRandom::new().fill(&mut key).ok()?;
    Some(key)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::metrics::BuildInfo;

    fn config(text: &str) -> Config {
        crate::config::parse(text, Path::new("patrol.yaml")).unwrap()
    }

    /// What opens a state, of a cluster whose API server takes no connection.
    async fn opened(config: &Config, metrics: &DaemonMetrics) -> Result<Option<Kept>, StateError> {
        crate::probe::install_tls_provider();
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = kube::Config::new(format!("http://{nobody}").parse().unwrap());
        let client = kube::Client::try_from(client).unwrap();
        open(config, Some(client), metrics, &Identifier::new(&[7; 32])).await
    }

    fn metrics() -> DaemonMetrics {
        DaemonMetrics::new(BuildInfo::compiled()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_waits_for_a_state_that_cannot_be_read_no_longer_than_a_lease_lasts() {
        let state = "tokenIdKeyFile: /key\nstate: {kind: configMap, namespace: a, name: kept}\n";
        let election = config(&format!("{state}leaderElection: {{enabled: true}}\n"));
        let kept = opened(&election, &metrics()).await.unwrap().unwrap();
        assert!(kept.contents.is_none());
        let reason = kept.trouble.unwrap().reason();
        assert!(["unreachable", "timeout"].contains(&reason), "{reason}");
        // Who is alone waits: there is nothing to patrol either.
        let (alone, metrics) = (config(state), metrics());
        tokio::time::timeout(Duration::from_secs(3600), opened(&alone, &metrics)).await.err().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_another_replica_has_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let state = format!("state: {{kind: file, path: {}}}\n", path.display());
        let (theirs, _) = FileStore::open(&path, &Identifier::new(&[7; 32])).unwrap();
        let refused = opened(&config(&state), &metrics()).await;
        assert!(matches!(refused, Err(StateError::Open(OpenError::InUse { .. }))), "one daemon too many");

        let (election, counters) = (config(&format!("{state}leaderElection: {{enabled: true}}\n")), metrics());
        let waits = "pullpatrol_state_errors_total{reason=\"in_use\"} 1";
        let kept = tokio::select! {
            biased;
            kept = opened(&election, &counters) => panic!("taken from who has it: {}", kept.is_ok()),
            () = async {
                while !counters.encode().unwrap().contains(waits) {
                    tokio::task::yield_now().await;
                }
            } => {
                drop(theirs);
                opened(&election, &counters).await
            }
        };
        assert!(kept.unwrap().unwrap().trouble.is_none());
    }
}
