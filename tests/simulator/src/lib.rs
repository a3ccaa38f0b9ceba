//! The outside world of pull-patrol, for tests and for the demo: a ghcr.io, a GitHub API and other registries on real
//! loopback sockets, with scripted faults and a request log.
//!
//! - A [`World`] starts with [`Host::Ghcr`] and [`Host::GithubApi`]. More hosts: [`World::add_registry`] (distribution with
//!   bearer or Basic, open, HTML, GitLab, [`Hostile`]), [`World::add_github`] (Enterprise Server, data residency),
//!   [`TrapListener`] (an address that nobody may contact). All ends with the `World`.
//! - Tokens ([`TokenSpec`], [`TokenHandle`]), packages ([`PackageHandle`]), organisations ([`OrgPolicy`]) and accounts
//!   ([`OwnerHandle`]) can be changed at any time: revoke, expire, rotate, lock out, demand SSO.
//! - The world has a clock of its own ([`World::advance`]): it rules expiry, rate limits and `Date` headers.
//! - [`World::fault`] scripts misbehaviour for some requests: by host, path, method, token, number, time and seeded chance.
//! - [`World::requests`] tells who asked what with which token, never showing one; [`World::connections`] counts TCP
//!   connections, so that a test can say that none was opened.
//! - What no public source settles about ghcr.io stands in [`Unsettled`]; a test can switch each answer.
//!
//! Token texts follow from the seed; those of the classic family carry a checksum that holds.
//!
//! ```
//! use simulator::{Fault, FaultRule, Host, TokenSpec, Visibility, World};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let world = World::start().await?;
//! world.add_package("acme/app", Visibility::private());
//! let token = world.add_token(TokenSpec::classic("alice").reads("acme").marker("CANARY"));
//! assert!(token.secret().starts_with("ghp_CANARY"));
//!
//! // The registry refuses this token twice, though it is good; the API answers 503 to one request in a hundred.
//! world.fault(FaultRule::on(Host::Ghcr, Fault::ghcr_denied()).path("/token").token(&token).times(2));
//! world.fault(FaultRule::on(Host::GithubApi, Fault::status(503)).share(0.01));
//!
//! // ... run the code under test against world.ghcr_url() and world.github_api_url() ...
//! token.revoke();
//! assert_eq!(world.count(|request| request.asked(Host::Ghcr, "/token") && request.shows(&token)), 0);
//! # Ok(()) }
//! ```

mod auth;
pub mod demo;
mod faults;
mod ghcr;
mod github;
mod github_api;
mod gitlab;
mod host;
mod hostile;
mod listener;
mod log;
mod mint;
mod owners;
mod packages;
mod plan;
mod registries;
mod rng;
mod router;
mod state;
mod token_spec;
mod tokens;
mod unsettled;
mod wire;
mod world;

pub use faults::{Fault, FaultHandle, FaultId, FaultRule, RetryAfter};
pub use github::GithubInstance;
pub use github_api::Flavour;
pub use host::Host;
pub use hostile::Hostile;
pub use listener::TrapListener;
pub use log::{LoggedRequest, Presented, SecretRef};
pub use mint::{checksum, classic_token, ecr_password, jwt, mangle};
pub use owners::{LockoutPolicy, OrgPolicy, OwnerHandle, SecondaryLimit};
pub use packages::{ManifestKind, PackageHandle, Visibility};
pub use registries::{RegistryHandle, RegistryKind};
pub use token_spec::{ExpiryHeader, TokenKind, TokenSpec};
pub use tokens::{TokenHandle, TokenId};
pub use unsettled::{PullRefusal, Unsettled};
pub use world::{World, WorldBuilder};
