//! The written forms of what other rooms name, with the ways there and back.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::dial::{Dial, Stamp};
use crate::plan::{Ask, Cadence, Issuer, IssuerKind, LoginId, LoginStanding, Moment, TokenId, TokenKey};
use crate::probe::{Expiry, Guarded, Outcome, ProbeKind};
use crate::verdict::EvidenceRow;
use crate::verdict::records::{Asks, Confirmation};
use crate::verdict::run::{Run, Standing};

/// 16 hexadecimal digits: no reader of JSON takes them for a number and rounds it.
macro_rules! hexadecimal {
    ($(#[$about:meta])* $form:ident, $id:ident) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) struct $form(pub(super) $id);

        impl fmt::Display for $form {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0.0)
            }
        }

        impl Serialize for $form {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $form {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
                u64::from_str_radix(&text, 16).map(|id| Self($id(id))).map_err(serde::de::Error::custom)
            }
        }
    };
}

hexadecimal!(
    /// A login by its keyed hash.
    LoginForm,
    LoginId
);
hexadecimal!(
    /// A token by its keyed hash.
    TokenIdForm,
    TokenId
);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum IssuerKindForm {
    GithubCloud,
    GithubServer,
    Gitlab,
    SelfDescribed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct IssuerForm {
    kind: IssuerKindForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api: Option<String>,
}

impl fmt::Display for IssuerForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.api.as_deref().unwrap_or("-"))
    }
}

impl From<&Issuer> for IssuerForm {
    fn from(issuer: &Issuer) -> Self {
        let kind = match issuer.kind {
            IssuerKind::GithubCloud => IssuerKindForm::GithubCloud,
            IssuerKind::GithubServer => IssuerKindForm::GithubServer,
            IssuerKind::Gitlab => IssuerKindForm::Gitlab,
            IssuerKind::SelfDescribed => IssuerKindForm::SelfDescribed,
        };
        Self { kind, api: issuer.api.as_ref().map(ToString::to_string) }
    }
}

impl IssuerForm {
    /// `None` where its address is none.
    pub(super) fn issuer(&self) -> Option<Issuer> {
        let kind = match self.kind {
            IssuerKindForm::GithubCloud => IssuerKind::GithubCloud,
            IssuerKindForm::GithubServer => IssuerKind::GithubServer,
            IssuerKindForm::Gitlab => IssuerKind::Gitlab,
            IssuerKindForm::SelfDescribed => IssuerKind::SelfDescribed,
        };
        let api = match &self.api {
            Some(api) => Some(Url::parse(api).ok()?),
            None => None,
        };
        Some(Issuer { kind, api })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TokenForm {
    token: TokenIdForm,
    issuer: IssuerForm,
}

impl fmt::Display for TokenForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.issuer, self.token)
    }
}

impl From<&TokenKey> for TokenForm {
    fn from(key: &TokenKey) -> Self {
        Self { token: TokenIdForm(key.token), issuer: (&key.issuer).into() }
    }
}

impl TokenForm {
    pub(super) fn key(&self) -> Option<TokenKey> {
        Some(TokenKey { issuer: self.issuer.issuer()?, token: self.token.0 })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConfirmationForm {
    Unknown,
    Nobody,
    Issuer(TokenForm),
}

impl From<&Confirmation> for ConfirmationForm {
    fn from(confirmation: &Confirmation) -> Self {
        match confirmation {
            Confirmation::Unknown => Self::Unknown,
            Confirmation::Nobody => Self::Nobody,
            Confirmation::Issuer(token) => Self::Issuer(token.into()),
        }
    }
}

impl ConfirmationForm {
    pub(super) fn confirmation(&self) -> Confirmation {
        match self {
            Self::Unknown => Confirmation::Unknown,
            Self::Nobody => Confirmation::Nobody,
            Self::Issuer(token) => token.key().map_or(Confirmation::Unknown, Confirmation::Issuer),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AsksForm {
    Unknown,
    Yes,
    No,
}

impl From<Asks> for AsksForm {
    fn from(asks: Asks) -> Self {
        match asks {
            Asks::Unknown => Self::Unknown,
            Asks::Yes => Self::Yes,
            Asks::No => Self::No,
        }
    }
}

impl From<AsksForm> for Asks {
    fn from(form: AsksForm) -> Self {
        match form {
            AsksForm::Unknown => Self::Unknown,
            AsksForm::Yes => Self::Yes,
            AsksForm::No => Self::No,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RunForm {
    count: u32,
    first: Stamp,
    previous: Stamp,
    last: Stamp,
    #[serde(default, skip_serializing_if = "is_zero")]
    lasting: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    controlled: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl RunForm {
    /// `None` for an empty run.
    pub(super) fn of(run: &Run, dial: &Dial) -> Option<Self> {
        let previous = if run.count > 1 { run.previous } else { run.first };
        (run.count > 0).then(|| Self {
            count: run.count,
            first: dial.tell(run.first),
            previous: dial.tell(previous),
            last: dial.tell(run.last),
            lasting: run.lasting,
            controlled: run.controlled,
        })
    }

    pub(super) fn run(form: Option<Self>, dial: &Dial) -> Run {
        form.filter(|form| form.count > 0).map_or_else(Run::default, |form| Run {
            count: form.count,
            first: dial.moment(form.first),
            // As in a run that was counted here.
            previous: if form.count > 1 { dial.moment(form.previous) } else { Moment::default() },
            last: dial.moment(form.last),
            lasting: form.lasting,
            controlled: form.controlled,
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "as in the ledger: each is a fact of its own")]
pub(super) struct StandingForm {
    known_good: bool,
    fresh: bool,
    suspect: bool,
    dead: bool,
    doubted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latest: Option<(Stamp, bool)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<RunForm>,
}

impl StandingForm {
    pub(super) fn of(standing: &Standing, dial: &Dial) -> Self {
        Self {
            known_good: standing.known_good,
            fresh: standing.fresh,
            suspect: standing.suspect,
            dead: standing.dead,
            doubted: standing.doubted,
            latest: standing.latest.map(|(at, yes)| (dial.tell(at), yes)),
            run: RunForm::of(&standing.run, dial),
            all: RunForm::of(&standing.all, dial),
        }
    }

    pub(super) fn standing(&self, dial: &Dial) -> Standing {
        Standing {
            known_good: self.known_good,
            fresh: self.fresh,
            suspect: self.suspect,
            dead: self.dead,
            doubted: self.doubted,
            latest: self.latest.map(|(at, yes)| (dial.moment(at), yes)),
            run: RunForm::run(self.run, dial),
            all: RunForm::run(self.all, dial),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GuardForm {
    PrivateAddress,
    ForeignRealm(String),
}

impl From<&Guarded> for GuardForm {
    fn from(guard: &Guarded) -> Self {
        match guard {
            Guarded::PrivateAddress => Self::PrivateAddress,
            Guarded::ForeignRealm(host) => Self::ForeignRealm(host.clone()),
        }
    }
}

impl From<GuardForm> for Guarded {
    fn from(form: GuardForm) -> Self {
        match form {
            GuardForm::PrivateAddress => Self::PrivateAddress,
            GuardForm::ForeignRealm(host) => Self::ForeignRealm(host),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExpiryForm {
    NotTold,
    Never,
    Unreliable,
    At(Stamp),
}

impl From<Expiry> for ExpiryForm {
    fn from(expiry: Expiry) -> Self {
        match expiry {
            Expiry::NotTold => Self::NotTold,
            Expiry::Never => Self::Never,
            Expiry::Unreliable => Self::Unreliable,
            Expiry::At(at) => Self::At(at.into()),
        }
    }
}

impl From<ExpiryForm> for Expiry {
    fn from(form: ExpiryForm) -> Self {
        match form {
            ExpiryForm::NotTold => Self::NotTold,
            ExpiryForm::Never => Self::Never,
            ExpiryForm::Unreliable => Self::Unreliable,
            ExpiryForm::At(at) => Self::At(at.wall()),
        }
    }
}

/// One exchange for the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RowForm {
    at: Stamp,
    kind: String,
    outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl RowForm {
    pub(super) fn all(rows: &VecDeque<Arc<EvidenceRow>>) -> Vec<Self> {
        let form = |row: &Arc<EvidenceRow>| Self {
            at: row.at.into(),
            kind: row.kind.to_owned(),
            outcome: row.outcome.to_owned(),
            http_status: row.http_status,
            code: row.code.clone(),
            detail: row.detail.clone(),
        };
        rows.iter().map(form).collect()
    }

    /// `None` where its words are none of ours.
    pub(super) fn row(self) -> Option<EvidenceRow> {
        Some(EvidenceRow {
            at: self.at.wall(),
            kind: ProbeKind::ALL.into_iter().map(ProbeKind::as_str).find(|kind| *kind == self.kind)?,
            outcome: Outcome::ALL.into_iter().map(Outcome::as_str).find(|outcome| *outcome == self.outcome)?,
            http_status: self.http_status,
            code: self.code,
            detail: self.detail,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AskForm {
    Login(LoginForm),
    Access { host: String, login: Option<LoginForm>, repository: String, reference: String },
    Issuer(TokenForm),
    Canary(String),
}

impl From<&Ask> for AskForm {
    fn from(ask: &Ask) -> Self {
        match ask {
            Ask::Login(login) => Self::Login(LoginForm(*login)),
            Ask::Access { host, login, repository, reference } => Self::Access {
                host: host.as_ref().to_owned(),
                login: login.map(LoginForm),
                repository: repository.as_ref().to_owned(),
                reference: reference.as_ref().to_owned(),
            },
            Ask::Issuer(token) => Self::Issuer(token.into()),
            Ask::Canary(host) => Self::Canary(host.as_ref().to_owned()),
        }
    }
}

impl AskForm {
    pub(super) fn ask(&self) -> Option<Ask> {
        Some(match self {
            Self::Login(login) => Ask::Login(login.0),
            Self::Access { host, login, repository, reference } => Ask::Access {
                host: host.as_str().into(),
                login: login.map(|login| login.0),
                repository: repository.as_str().into(),
                reference: reference.as_str().into(),
            },
            Self::Issuer(token) => Ask::Issuer(token.key()?),
            Self::Canary(host) => Ask::Canary(host.as_str().into()),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CadenceForm {
    Routine,
    Confirm,
    Dead,
    BackOff,
    /// Milliseconds.
    NotBefore(u64),
    /// Milliseconds.
    OwnerNotBefore(u64),
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl From<Cadence> for CadenceForm {
    fn from(cadence: Cadence) -> Self {
        match cadence {
            Cadence::Routine => Self::Routine,
            Cadence::Confirm => Self::Confirm,
            Cadence::Dead => Self::Dead,
            Cadence::BackOff => Self::BackOff,
            Cadence::NotBefore(wait) => Self::NotBefore(millis(wait)),
            Cadence::OwnerNotBefore(wait) => Self::OwnerNotBefore(millis(wait)),
        }
    }
}

impl From<CadenceForm> for Cadence {
    fn from(form: CadenceForm) -> Self {
        match form {
            CadenceForm::Routine => Self::Routine,
            CadenceForm::Confirm => Self::Confirm,
            CadenceForm::Dead => Self::Dead,
            CadenceForm::BackOff => Self::BackOff,
            CadenceForm::NotBefore(wait) => Self::NotBefore(Duration::from_millis(wait)),
            CadenceForm::OwnerNotBefore(wait) => Self::OwnerNotBefore(Duration::from_millis(wait)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LoginStandingForm {
    Unasked,
    Open,
    Trying,
    Doubted,
    Dead,
}

impl From<LoginStanding> for LoginStandingForm {
    fn from(standing: LoginStanding) -> Self {
        match standing {
            LoginStanding::Unasked => Self::Unasked,
            LoginStanding::Open => Self::Open,
            LoginStanding::Trying => Self::Trying,
            LoginStanding::Doubted => Self::Doubted,
            LoginStanding::Dead => Self::Dead,
        }
    }
}

impl From<LoginStandingForm> for LoginStanding {
    fn from(form: LoginStandingForm) -> Self {
        match form {
            LoginStandingForm::Unasked => Self::Unasked,
            LoginStandingForm::Open => Self::Open,
            LoginStandingForm::Trying => Self::Trying,
            LoginStandingForm::Doubted => Self::Doubted,
            LoginStandingForm::Dead => Self::Dead,
        }
    }
}
