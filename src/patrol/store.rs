//! Where the state is kept, behind one door: a file, or `ConfigMap`s.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::cluster::{ConfigMapError, ConfigMaps, MissingPermission};
use crate::verdict::store::{Change, Contents, FileStore, ReadError, Refused, Shards};

/// Least time between two writes of `ConfigMap`s: each is a write of etcd.
const WRITE_GAP: Duration = Duration::from_secs(2);
/// How long a change may wait there that is no news: an exchange with the usual answer.
const IDLE_GAP: Duration = Duration::from_secs(60);
/// How often a write is repeated that another writer was quicker with.
const TRIES: usize = 4;

/// A state store.
#[derive(Debug)]
pub enum Store {
    /// A file.
    File(Box<FileStore>),
    /// `ConfigMap`s.
    ConfigMaps(Box<Sharded>),
}

/// A state in `ConfigMap`s.
#[derive(Debug)]
pub struct Sharded {
    maps: ConfigMaps,
    shards: Shards,
    /// Whether everything was handed over once.
    begun: bool,
    /// Texts that were not taken over, to be kept beside what is written over them.
    refused: Vec<(usize, String)>,
    last_write: Option<Instant>,
    /// Whether nobody could read what stands there: it is taken in before anything is written over it.
    unread: bool,
}

/// Why a state was not saved, or not read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file.
    #[error("the state cannot be written; a restart would forget what was proven since it was saved last")]
    File(#[source] std::io::Error),
    /// The file, at the start.
    #[error(transparent)]
    ReadFile(ReadError),
    /// A `ConfigMap`.
    #[error(
        "the state cannot be kept in its ConfigMap; a restart would forget what was proven since it was saved last"
    )]
    ConfigMap {
        /// The cause.
        #[source]
        cause: ConfigMapError,
        /// The rule that RBAC lacks.
        missing: Option<MissingPermission>,
    },
    /// A text that is no state, or of another key or version.
    #[error(
        "the state in the ConfigMap {name} was not taken over, and the patrol begins without a memory; {}",
        if *.aside { "it is kept under the key `refused`" } else { "it is too long to be kept beside a new one" }
    )]
    Refused {
        /// Which.
        name: String,
        /// Whether it is kept beside what is written over it.
        aside: bool,
        /// Why.
        #[source]
        cause: Refused,
    },
    /// More than all texts hold.
    #[error("the state is larger than all ConfigMaps it may have; keep it in a file (`state.kind: file`)")]
    TooLarge,
    /// It was not read in the time that a new holder of the Lease has.
    #[error(
        "the state could not be read in time; the patrol begins without a memory, and what it proves is merged with it"
    )]
    Unread,
    /// It took too long.
    #[error("the state was not saved in time, and nobody waits for it any longer")]
    Slow,
}

impl StoreError {
    /// The label `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::File(_) => "write",
            Self::ReadFile(error) => error.cause.reason(),
            Self::ConfigMap { cause, .. } => cause.reason(),
            Self::Refused { cause, .. } => cause.reason(),
            Self::TooLarge => "too_large",
            Self::Slow | Self::Unread => "timeout",
        }
    }
}

impl Store {
    /// Whether the next change must hold everything.
    pub(super) fn wants_all(&self) -> bool {
        match self {
            Self::File(file) => file.wants_all(),
            Self::ConfigMaps(sharded) => !sharded.begun,
        }
    }

    /// Whether it is cheap enough to save before every question and every picture. Otherwise, once a process is
    /// older than a minute, only refused logins wait, and what is news.
    pub(super) fn is_cheap(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// How long a change may wait that is no news.
    pub(super) fn idle_gap(&self) -> Duration {
        if self.is_cheap() { Duration::ZERO } else { IDLE_GAP }
    }

    /// Save a change. The store comes back with the result.
    pub(super) async fn save(self, change: Change) -> (Option<Self>, Result<(), StoreError>) {
        match self {
            Self::File(mut file) => {
                let saved = tokio::task::spawn_blocking(move || {
                    let result = file.save(&change);
                    (file, result)
                });
                match saved.await {
                    Ok((file, result)) => (Some(Self::File(file)), result.map_err(StoreError::File)),
                    // The runtime ends, or the write panicked: either way there is no store any more.
                    Err(error) => (None, Err(StoreError::File(std::io::Error::other(error)))),
                }
            }
            Self::ConfigMaps(mut sharded) => {
                let result = sharded.save(&change).await;
                (Some(Self::ConfigMaps(sharded)), result)
            }
        }
    }
}

impl Sharded {
    /// Over these `ConfigMap`s.
    pub fn new(maps: ConfigMaps, shards: Shards) -> Self {
        Self { maps, shards, begun: false, refused: Vec::new(), last_write: None, unread: false }
    }

    /// Read the state; `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read or is not taken over. The store can be used all the same.
    pub async fn load(&mut self) -> Result<Option<Contents>, StoreError> {
        self.unread = true;
        let Some(texts) = self.texts().await? else {
            self.unread = false;
            return Ok(None);
        };
        self.unread = false;
        match self.shards.load(&texts) {
            Ok(contents) => Ok(Some(contents)),
            Err(cause) => Err(self.refuse(texts, cause)),
        }
    }

    /// All texts that stand there; `None` when there are none.
    async fn texts(&mut self) -> Result<Option<Vec<String>>, StoreError> {
        let Some(first) = self.maps.read(0).await.map_err(|cause| self.failed(cause))? else { return Ok(None) };
        let count = match self.shards.count(&first) {
            Ok(count) => count,
            Err(cause) => {
                self.unread = false;
                return Err(self.refuse(vec![first], cause));
            }
        };
        let mut texts = vec![first];
        for place in 1..count {
            // One that lacks is as bad as one that is damaged, and the reader says so.
            texts.push(self.maps.read(place).await.map_err(|cause| self.failed(cause))?.unwrap_or_default());
        }
        Ok(Some(texts))
    }

    fn refuse(&mut self, texts: Vec<String>, cause: Refused) -> StoreError {
        let aside = texts.iter().all(|text| ConfigMaps::fits_aside(text));
        self.refused = texts.into_iter().enumerate().collect();
        StoreError::Refused { name: self.maps.name(0), aside, cause }
    }

    fn failed(&self, cause: ConfigMapError) -> StoreError {
        let missing = self.maps.missing(&cause);
        StoreError::ConfigMap { cause, missing }
    }

    async fn save(&mut self, change: &Change) -> Result<(), StoreError> {
        self.shards.apply(change);
        // After a failure everything is handed over anew.
        self.begun = false;
        if self.unread
            && let Some(texts) = self.texts().await?
            && let Err(cause) = self.shards.absorb(&texts)
        {
            let error = self.refuse(texts, cause);
            tracing::warn!("{error}");
        }
        if !self.shards.fits() {
            return Err(StoreError::TooLarge);
        }
        if let Some(last) = self.last_write {
            sleep_until(last + WRITE_GAP).await;
        }
        self.last_write = Some(Instant::now());
        for place in self.shards.changed() {
            self.write(place).await?;
        }
        (self.begun, self.unread) = (true, false);
        Ok(())
    }

    /// Write one text. Where another process was quicker, what it wrote is read and merged first.
    async fn write(&mut self, place: usize) -> Result<(), StoreError> {
        for tries in 1.. {
            let text = self.shards.text(place);
            let aside = self.refused.iter().find(|(at, _)| *at == place).map(|(_, text)| text.as_str());
            match self.maps.write(place, &text, aside).await {
                Ok(()) => {
                    self.shards.written(place);
                    self.refused.retain(|(at, _)| *at != place);
                    break;
                }
                Err(ConfigMapError::Conflict { .. }) if tries < TRIES => {
                    let theirs = self.maps.read(place).await.map_err(|cause| self.failed(cause))?;
                    if let Some(theirs) = theirs
                        && let Err(cause) = self.shards.merge(place, &theirs)
                    {
                        tracing::warn!(name = self.maps.name(place), error = %cause, "what another process wrote is no state of this one; it is written over");
                        self.refused.push((place, theirs));
                    }
                }
                Err(cause) => return Err(self.failed(cause)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Identifier;

    #[test]
    fn each_text_of_a_large_state_can_be_kept_beside_its_successor() {
        let mut shards = Shards::new(&Identifier::new(&[7; 32]));
        let record = |n: usize| (format!("login {n:016x}"), format!("{{\"n\":\"{}\"}}", "x".repeat(n % 300)));
        shards.apply(&Change { all: true, set: (0..40_000).map(record).collect(), ..Change::default() });
        assert!(shards.len() > 8 && shards.fits());
        for place in 0..shards.len() {
            assert!(ConfigMaps::fits_aside(&shards.text(place)), "{place} of {}", shards.len());
        }
    }
}
