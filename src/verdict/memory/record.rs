//! The records.
//!
//! What is added to one later must have a default: a state of an earlier version lacks it.

use serde::{Deserialize, Serialize};

use super::forms::{AskForm, CadenceForm, ExpiryForm, GuardForm, LoginForm, RowForm, RunForm, StandingForm, TokenForm};
use super::{Stamp, forms};
use crate::verdict::moved::Asked;

/// One record. Its key tells it from all others; a newer record takes the place of an older one with its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// What is known of a login.
    Login(LoginRecord),
    /// What is known of an access.
    Access(AccessRecord),
    /// What is known of a token.
    Token(TokenRecord),
    /// What is known of a registry.
    Registry(RegistryRecord),
    /// What is known of an issuer.
    Issuer(IssuerRecord),
    /// What is known of a host.
    Host(HostRecord),
    /// When a question is due.
    Ask(AskRecord),
    /// Until when a host is left alone.
    Hold(HoldRecord),
}

/// Of a login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoginRecord {
    pub(super) login: LoginForm,
    pub(super) host: String,
    pub(super) issuer: forms::ConfirmationForm,
    pub(super) asks: forms::AsksForm,
    pub(super) standing: StandingForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<(bool, Stamp)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) accepted_at: Option<Stamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) probed_at: Option<Stamp>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) not_checked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) guarded: Option<GuardForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) rows: Vec<RowForm>,
}

/// Of an access.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "as in the ledger: each is a fact of its own")]
pub struct AccessRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) login: Option<LoginForm>,
    pub(super) host: String,
    pub(super) repository: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<(bool, Stamp)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<RunForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) all: Option<RunForm>,
    #[serde(default)]
    pub(super) words: (bool, u32),
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) missing_scope: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) guarded: Option<GuardForm>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) asks_password: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) denied_lately: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) denied_at: Option<Stamp>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) known_good: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) fresh: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) suspect: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) doubted: bool,
}

/// Of a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenRecord {
    pub(super) token: TokenForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) facts: Option<FactsRecord>,
    pub(super) standing: StandingForm,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) forbidden_by_policy: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) locked_out: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rests_until: Option<Stamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scope_run: Option<RunForm>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) pull_scope_missing: bool,
    /// In milliseconds.
    #[serde(default)]
    pub(super) stretch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) probed_at: Option<Stamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) rows: Vec<RowForm>,
}

/// What an issuer told of a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FactsRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scopes: Option<Vec<String>>,
    pub(super) expiry: ExpiryForm,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) sso_required: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sso_demanded_by: Vec<String>,
    /// Limit, remaining, reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rate_limit: Option<(u64, u64, Stamp)>,
}

/// Of a registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegistryRecord {
    pub(super) host: String,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) incident: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) control_asked: Option<Stamp>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) ever_accepted: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) denies_everyone: bool,
    /// The last acceptance. Earlier programs wrote the last one of another login behind it, which decides nothing.
    #[serde(default)]
    pub(super) accepted: Vec<(LoginForm, Stamp)>,
    /// The last grant. Earlier programs wrote the last one of another access behind it, which decides nothing.
    #[serde(default)]
    pub(super) granted: Vec<(Option<LoginForm>, String, Stamp)>,
    pub(super) canary: StandingForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<Asked>,
}

/// Of an issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IssuerRecord {
    pub(super) issuer: forms::IssuerForm,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) incident: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) alive_at: Option<Stamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) control_asked: Option<Stamp>,
}

/// Of a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostRecord {
    pub(super) host: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) up: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) skew_seconds: Option<f64>,
    /// When its last `Date` came, and the date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) told: Option<(Stamp, Stamp)>,
}

/// Of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AskRecord {
    pub(super) ask: AskForm,
    pub(super) due: Stamp,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) parked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<(Stamp, CadenceForm)>,
    #[serde(default)]
    pub(super) repetitions: u32,
    #[serde(default)]
    pub(super) unproven: u32,
    /// In milliseconds.
    #[serde(default)]
    pub(super) stretch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<Stamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) standing: Option<forms::LoginStandingForm>,
}

/// Of a host that wants to be left alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoldRecord {
    pub(super) host: String,
    pub(super) until: Stamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Record {
    /// What tells it from all other records.
    pub fn key(&self) -> String {
        let who = |login: &Option<LoginForm>| login.as_ref().map_or_else(|| "anyone".to_owned(), ToString::to_string);
        match self {
            Self::Login(record) => format!("login {}", record.login),
            Self::Access(record) => format!("access {} {} {}", record.host, who(&record.login), record.repository),
            Self::Token(record) => format!("token {}", record.token),
            Self::Registry(record) => format!("registry {}", record.host),
            Self::Issuer(record) => format!("issuer {}", record.issuer),
            Self::Host(record) => format!("host {}", record.host),
            Self::Ask(record) => match &record.ask {
                AskForm::Login(login) => format!("ask login {login}"),
                AskForm::Access { host, login, repository, .. } => {
                    format!("ask access {host} {} {repository}", who(login))
                }
                AskForm::Issuer(token) => format!("ask issuer {token}"),
                AskForm::Canary(host) => format!("ask canary {host}"),
            },
            Self::Hold(record) => format!("hold {}", record.host),
        }
    }

    /// When the last exchange was that it tells of; of two records with one key the later one knows more.
    pub fn newest(&self) -> Stamp {
        let of_standing = |standing: &StandingForm| standing.latest.map(|(at, _)| at);
        match self {
            Self::Login(record) => record.probed_at.max(of_standing(&record.standing)),
            Self::Access(record) => record.denied_at.max(record.verdict.map(|(_, at)| at)),
            Self::Token(record) => record.probed_at.max(of_standing(&record.standing)),
            Self::Registry(record) => {
                let times = record.accepted.iter().map(|(_, at)| at).chain(record.granted.iter().map(|(.., at)| at));
                times.max().copied().max(of_standing(&record.canary))
            }
            Self::Issuer(record) => record.alive_at,
            Self::Host(_) => None,
            Self::Ask(record) => record.last.map(|(at, _)| at).max(Some(record.due)),
            Self::Hold(record) => Some(record.until),
        }
        .unwrap_or_default()
    }
}
