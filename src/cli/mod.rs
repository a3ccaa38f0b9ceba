//! The terminal: the report of `check`, the answer of `explain`, their exit codes, and progress for a person who waits.
//!
//! This room shows a snapshot and never judges it anew. What it prints goes through a writer that is passed in.

pub mod args;
pub mod document;
pub mod exit;
pub mod explanation;
pub mod progress;
pub mod report;
pub mod shipped;
pub mod terminal;
