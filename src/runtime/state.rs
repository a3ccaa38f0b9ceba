//! Opens the place where the state is kept, and finds the key that belongs to it.

use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::ConfigMaps;
use crate::config::{Config, StateStore};
use crate::metrics::DaemonMetrics;
use crate::patrol::{Sharded, Store, StoreError};
use crate::plan::Identifier;
use crate::verdict::store::{self, Contents, ERROR_REASONS, FileStore, OpenError, Shards};

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
            let (file, read) = FileStore::open(&path, identifier).map_err(StateError::Open)?;
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
            let read = load(&mut sharded, metrics).await;
            (Store::ConfigMaps(Box::new(sharded)), read)
        }
    };
    let (contents, trouble) = match read {
        Ok(contents) => (contents, None),
        Err(error) => (None, Some(error)),
    };
    Ok(Some(Kept { store, contents, trouble }))
}

/// Read a state in `ConfigMap`s. While the API server cannot be reached there is nothing to patrol either, so that is waited
/// for.
async fn load(sharded: &mut Sharded, metrics: &DaemonMetrics) -> Result<Option<Contents>, StoreError> {
    loop {
        let read = sharded.load().await;
        let Err(error) = &read else { return read };
        if error.reason() != "unreachable" {
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
