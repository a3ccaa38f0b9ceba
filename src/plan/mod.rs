//! What to ask, and when: logins deduplicated over Secrets, access checks, due times, back-off.
//!
//! Pure: `now` is passed in as a [`Moment`]. No clock, no network.

mod ask;
mod asks;
mod book;
#[cfg(test)]
mod fixture;
mod id_hash;
mod identity;
mod registry;
mod schedule;
mod shard;

pub use ask::{Ask, Cadence, Moment, TokenKey, Wanted};
pub use asks::{issuer_asks, wanted};
pub use book::{Book, Contents, CredentialEntry, Login, Matched, PodKeyring, SecretRecord};
pub use id_hash::{ByLogin, IdHasher};
pub use identity::{Identifier, LoginId, NoRandomness, Seal, TokenId};
pub use registry::{Issuer, IssuerKind, Registries, Registry, RegistryError};
pub use schedule::{LoginStanding, Remembered, RememberedAsk, Schedule, Waiting};
pub use shard::Shard;
