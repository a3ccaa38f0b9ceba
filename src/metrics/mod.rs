//! The exposition for Prometheus: text format 0.0.4, written straight from a [`Snapshot`](crate::outlook::Snapshot) at
//! scrape, and the daemon's own counters behind it.
//!
//! This room reads a snapshot and never computes what another face would have to compute again. It keeps no metric
//! object per credential: a Secret that is gone from the snapshot is gone from the next scrape.

mod about;
mod daemon;
mod encoder;
mod exposition;
mod families;
mod process;
mod text;

pub use about::{About, Kind, reference};
pub use daemon::{BuildInfo, DaemonMetrics};
pub use encoder::SnapshotEncoder;
pub use exposition::{CONTENT_TYPE, Exposition, GzipBody};
pub use process::max_open_files;
