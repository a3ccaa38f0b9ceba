//! What the ledger answers.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::EvidenceRow;
use crate::probe::TokenFacts;

/// What is proven of a login. An access check whose token exchange accepted or refused the login counts too.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and a finding of its own")]
pub struct LoginView {
    /// Proven state: `Some(true)` accepted, `Some(false)` refusal proven, `None` never proven, or in doubt.
    pub accepted: Option<bool>,
    /// Accepted once, but since refused as often as would prove a rejection, without the control or the issuer that the
    /// proof needs.
    pub doubted: bool,
    /// When that state was last proven (last acceptance, or last refusal that fits a proven refusal).
    pub last_verdict_at: Option<DateTime<Utc>>,
    /// Last exchange of any outcome, access checks and issuer checks of its token included.
    pub last_probe_at: Option<DateTime<Utc>>,
    /// The registry and the issuer contradict each other now.
    pub issuer_disagrees: bool,
    /// The registry never asked for the password in the last exchange.
    pub password_not_checked: bool,
    /// The last exchange was stopped at a foreign realm or redirect (the host, cleaned).
    pub foreign_realm: Option<String>,
    /// The last exchange was stopped because the address is not allowed.
    pub private_address: bool,
    /// Last few exchanges, newest last.
    pub evidence: Vec<Arc<EvidenceRow>>,
}

/// What is proven of an access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessView {
    /// `Some(true)` granted, `Some(false)` denial proven, `None` unknown.
    pub granted: Option<bool>,
    /// The denial, once proven, was in words of a missing scope.
    pub missing_scope: bool,
    /// Whether the latest word was a denial, proven or not.
    pub denied_lately: bool,
    /// When that was last proven.
    pub last_verdict_at: Option<DateTime<Utc>>,
}

/// What is known of a token.
#[derive(Clone, Debug, Default)]
pub struct TokenView {
    /// The facts of the last answer that found it alive.
    pub facts: Option<TokenFacts>,
    /// Disowned in two answers, spaced.
    pub disowned: bool,
    /// The issuer's last word: the token lives, but a policy of an organisation forbids its kind or its lifetime.
    pub forbidden_by_policy: bool,
    /// Whether `read:packages` lacks in two answers, spaced (facts told a scope list both times).
    pub pull_scope_missing: bool,
    /// Last few exchanges, newest last.
    pub evidence: Vec<Arc<EvidenceRow>>,
}

/// What is known of a registry (or an issuer's API) as a whole, for a host of the `registry` label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegistryView {
    /// Whether an incident is suspected.
    pub incident: bool,
    /// Whether the last exchange got any answer.
    pub up: Option<bool>,
    /// Our clock minus theirs, in seconds, last seen.
    pub clock_skew_seconds: Option<f64>,
}
