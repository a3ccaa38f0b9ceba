//! The state store: how records are kept, so that verdicts survive the process.
//!
//! The only part of the room that touches the outside, and only a file ([`FileStore`]). Where the state lives in
//! `ConfigMap`s, [`Shards`] works out what stands in each; whoever talks to the API server carries it there.
//!
//! A state begins with its version and a mark of the key that its hashes were made with. Each line behind that is sealed
//! with the same key, over itself and all lines before: what was changed by anybody else, by a bad disk, or by a hand that
//! put old lines back, is refused as a whole. A last line that was cut short is no damage, but a write that did not end.

mod file;
mod format;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod shard_tests;
mod shards;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;

pub use self::file::{FileStore, OpenError, ReadCause, ReadError, key_beside};
pub use self::format::{Loaded, Refused, VERSION};
pub use self::shards::Shards;

use super::memory::{Record, Stamp};

/// What is to be written: what changed since the last time, or everything.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// When, by the wall clock.
    pub saved: Stamp,
    /// The same moment by the dial of the records.
    pub told: Stamp,
    /// Whether `set` holds every record, and so all others are gone.
    pub all: bool,
    /// Records that are new or changed, in JSON, by their keys.
    pub set: Vec<(String, String)>,
    /// Keys of records that are gone.
    pub gone: Vec<String>,
}

/// What a state holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// When it was written, by the wall clock of the writer.
    pub saved: Stamp,
    /// The same moment by the dial of the records.
    pub told: Stamp,
    /// The records.
    pub records: Vec<Record>,
}

/// Values of the label `reason` of `pullpatrol_state_errors_total`.
pub const ERROR_REASONS: [&str; 12] = [
    "read",
    "write",
    "foreign",
    "corrupt",
    "newer_version",
    "other_key",
    "conflict",
    "forbidden",
    "unreachable",
    "too_large",
    "timeout",
    IN_USE,
];

/// The reason of a file that another replica has.
pub const IN_USE: &str = "in_use";
