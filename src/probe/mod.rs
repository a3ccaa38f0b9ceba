//! Ask the outside world: registries whether a login works and what it may pull, issuers what they know of a token.
//!
//! This room returns typed evidence and never a verdict. It contacts only hosts that the operator listed, at addresses
//! that are allowed, and sends a credential to nobody else; nothing of a secret stays in what it returns or logs.

mod client;
mod evidence;
mod exchange;
mod host_state;
mod issuer;
mod pace;
mod prober;
#[doc(hidden)]
pub mod raw;
mod registry;
mod scopes;
#[cfg(test)]
mod testing;
mod text;
mod wire;

pub use client::{Lookup, SystemLookup, install_tls_provider};
pub use evidence::{
    AccessAnswer, Answer, Denial, DenialStage, Evidence, Expiry, Guarded, IssuerAnswer, LoginAnswer, Outcome,
    ProbeKind, RateLimit, SsoAnswer, TokenFacts, Unproven, Unreachable,
};
pub use pace::Pacer;
pub use prober::{Prober, Settings};
pub use scopes::{excess, expand, missing};
