//! The snapshot: credentials with verdicts, workloads with their outlook, findings with fixes.
//!
//! Pure: what the rooms to the left know in, one [`Snapshot`] out. All faces show this and nothing else; whatever two of
//! them would have to work out alike is worked out here.

mod build;
pub mod changes;
mod credentials;
pub mod explain;
mod findings;
mod gaps;
mod images;
mod live;
mod logins;
mod parts;
mod references;
mod snapshot;
pub mod view;
mod words;
mod workloads;

pub use build::{Inputs, build, standing_by};
pub use snapshot::{
    Copies, CredentialFacts, CredentialRow, DaemonFacts, ImageRow, MatchedCredential, Outlook, RegistryRow, Role,
    SecretFindings, Snapshot, WorkloadPart, WorkloadRow,
};

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
