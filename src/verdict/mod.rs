//! What the history of evidence proves: confirmation, incidents of registries and issuers, statuses.
//!
//! Pure but for [`store`], which keeps a file: evidence and `now` in, verdicts out. No HTTP types, no Kubernetes types, no
//! clock.
//!
//! [`Ledger`] takes in one exchange after the other and answers what is proven; [`judge`] turns that into the one
//! [`Status`] of a credential. Nothing is ever refused on one answer, on a time-out, a 5xx or a 429; a registry that
//! suddenly refuses everyone has an incident, and what it says then counts for nothing.

mod advice;
mod denials;
mod issuer;
mod judge;
mod ledger;
pub mod memory;
mod moved;
mod owner;
mod proof;
mod records;
mod rules;
mod run;
mod status;
pub mod store;
mod views;

pub use advice::Advice;
pub use issuer::PULL_SCOPE;
pub use judge::{Judged, judge};
pub use ledger::Ledger;
pub use rules::Rules;
pub use status::{EvidenceRow, Status};
pub use views::{AccessView, LoginView, RegistryView, TokenView};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::many_single_char_names, reason = "a test may panic")]
mod tests;
