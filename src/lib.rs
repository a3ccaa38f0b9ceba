//! `pull-patrol` patrols the registry credentials of a Kubernetes cluster.
//!
//! The rooms of this crate stand in one line, and imports only point left along it:
//!
//! ```text
//!             ┌─► credential ─┐
//!  cluster ───┤               ├─► plan ─► probe ─► verdict ─► outlook ─► metrics · web · cli
//!             └─► workload ───┘
//! ```
//!
//! [`config`] is read by all of them; [`clock`] reads time for `probe` and [`patrol`]. [`patrol`] carries one round along the line, [`runtime`] wires rooms and tasks and
//! is the only place that knows them all.

pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod credential;
pub mod metrics;
pub mod outlook;
pub mod patrol;
pub mod plan;
pub mod probe;
pub mod runtime;
pub mod verdict;
pub mod web;
pub mod workload;
