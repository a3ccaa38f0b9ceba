//! What one exchange showed, when. Typed, redacted, without judgement.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// What kind of exchange: the label `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Token exchange or Basic request of a login.
    Login,
    /// May a login pull a repository?
    Access,
    /// What does the issuer say of a token?
    Issuer,
    /// Anonymous pull of a public repository.
    Canary,
}

impl ProbeKind {
    /// All, for pre-created counters.
    pub const ALL: [Self; 4] = [Self::Login, Self::Access, Self::Issuer, Self::Canary];
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Access => "access",
            Self::Issuer => "issuer",
            Self::Canary => "canary",
        }
    }
}

/// How an exchange ended: the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Yes.
    Accepted,
    /// No, in a way that speaks of the credential.
    Refused,
    /// Later: rate limits and lock-outs.
    Throttled,
    /// No answer: DNS, connect, TLS, time-out, reset.
    Unreachable,
    /// An answer that proves nothing: 5xx, odd bodies, guards of ours.
    Error,
}

impl Outcome {
    /// All, for pre-created counters.
    pub const ALL: [Self; 5] = [Self::Accepted, Self::Refused, Self::Throttled, Self::Unreachable, Self::Error];
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::Error => "error",
        }
    }
}

/// One exchange: an answer with its circumstances.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence<A> {
    /// When it ended, by our clock.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub took: Duration,
    /// What it showed.
    pub answer: A,
    /// Status of the HTTP response that decided.
    pub http_status: Option<u16>,
    /// Code in the body (`DENIED`, `UNAUTHORIZED`, `MANIFEST_UNKNOWN`), cut and cleaned.
    pub code: Option<String>,
    /// One line for a person: cut to 200 characters, control characters and known secrets replaced.
    pub detail: String,
    /// The `Date` header of the response that decided, unless a cache kept it; our own wall time at its arrival is `at`.
    pub server_date: Option<DateTime<Utc>>,
    /// How long the other side asked us to wait.
    pub retry_after: Option<Duration>,
    /// Whether it was answered as to anybody: the login was not sent, since nobody asked for it, or no notice was taken of it.
    pub to_anybody: bool,
}

/// Why an exchange proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// 429, or a rate limit in other clothes: of a host or an address, as far as the answer tells.
    Throttled,
    /// The primary rate limit of the token's owner is used up: other owners are not concerned.
    OwnerThrottled,
    /// The issuer locked the owner out after many bad logins.
    LockedOut,
    /// No answer.
    Unreachable(Unreachable),
    /// An answer that makes no sense or is the server's own fault: `http_5xx`, `unexpected_status`, `not_json`, `oversized`, `truncated`, `empty`, `html`,
    /// `unexpected_json`, `not_http`, `redirect` (one that would have carried the credential away, or a second one), `no_challenge` (a 401 that does not
    /// say how to log in), `challenge_changed`, `bearer_refused` (the registry does not take the token that its token service just handed out),
    /// `not_a_manifest`, `password_not_checked` (the token service took no notice of the login), `anonymous_limits` (the issuer answered as to nobody),
    /// `otp_required`, `policy`. Or nothing was asked: `bad_name`, `no_canary`, `no_api`, `unsendable_token`, `unsupported_token_kind`.
    Odd(&'static str),
    /// We refused to go on.
    Guarded(Guarded),
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// The name does not resolve.
    Dns,
    /// No TCP connection.
    Connect,
    /// No TLS session.
    Tls,
    /// Nothing, or not everything, within the time.
    Timeout,
    /// The connection broke.
    Reset,
}

/// A guard of ours that stopped an exchange; nothing was sent past it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// The name resolves only to addresses that are not allowed.
    PrivateAddress,
    /// Token realm or redirect at a host that is not on the list (cut and cleaned), or not `https`.
    ForeignRealm(String),
}

/// May the login in?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginAnswer {
    /// The password was asked for and accepted.
    Accepted,
    /// The password was asked for and refused.
    Refused,
    /// The registry never asked for the password (open registry, an HTML page): proves nothing.
    NotChecked,
    /// Proves nothing.
    Unproven(Unproven),
}

/// May the login pull?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessAnswer {
    /// Yes: the manifest was shown, or only the tag is missing (`MANIFEST_UNKNOWN`).
    Granted,
    /// No.
    Denied(Denial),
    /// 404 that does not tell absent from hidden (`NAME_UNKNOWN`, or without a code).
    NotFound,
    /// The token exchange refused the login itself (`denied`), as [`LoginAnswer::Refused`].
    LoginRefused,
    /// Proves nothing.
    Unproven(Unproven),
}

/// A denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Who said it.
    pub stage: DenialStage,
    /// Whether the registry says in its own words that the token's scopes do not suffice.
    pub missing_scope: bool,
}

/// Which server denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialStage {
    /// The token endpoint.
    Token,
    /// The registry, at the manifest.
    Manifest,
}

/// What does the issuer say?
#[derive(Clone, Debug, PartialEq)]
pub enum IssuerAnswer {
    /// The token lives.
    Alive(TokenFacts),
    /// The issuer does not know the token (401 bad credentials): bad, expired or revoked.
    Disowned,
    /// The token lives, but an organisation's policy forbids its kind or its lifetime (403).
    ForbiddenByPolicy,
    /// Proves nothing.
    Unproven(Unproven),
}

/// Does an organisation demand an SSO authorisation that the token lacks?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SsoAnswer {
    /// Yes: `X-GitHub-SSO: required`.
    Demanded,
    /// No: the organisation answered.
    NotDemanded,
    /// Proves nothing.
    Unproven(Unproven),
}

/// What an issuer knows of a token.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TokenFacts {
    /// Login name of the owner, cleaned.
    pub owner: Option<String>,
    /// Scopes as told, trimmed, sorted, not expanded; `None` when no scope header came.
    pub scopes: Option<Vec<String>>,
    /// Expiry as told.
    pub expiry: Expiry,
    /// Whether an SSO authorisation is demanded (`X-GitHub-SSO`).
    pub sso_required: bool,
    /// Those of the organisations asked about that demanded it.
    pub sso_demanded_by: Vec<String>,
    /// The rate limit of its owner.
    pub rate_limit: Option<RateLimit>,
}

/// What an issuer says of a token's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Expiry {
    /// Nothing that can be relied on: the header is absent where its absence proves nothing.
    #[default]
    NotTold,
    /// It never expires: the header is absent for a kind that always carries it.
    Never,
    /// It expires then.
    At(DateTime<Utc>),
    /// A date at or before the `Date` of the very answer that accepted the token.
    Unreliable,
}

/// A primary rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per window.
    pub limit: u64,
    /// Left in this window.
    pub remaining: u64,
    /// End of the window.
    pub reset: DateTime<Utc>,
}

impl Unproven {
    /// The label value it counts under.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Throttled | Self::OwnerThrottled | Self::LockedOut => Outcome::Throttled,
            Self::Unreachable(_) => Outcome::Unreachable,
            Self::Odd(_) | Self::Guarded(_) => Outcome::Error,
        }
    }
}

impl LoginAnswer {
    /// The label value it counts under.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Accepted => Outcome::Accepted,
            Self::Refused => Outcome::Refused,
            Self::NotChecked => Outcome::Error,
            Self::Unproven(why) => why.outcome(),
        }
    }
}

impl AccessAnswer {
    /// The label value it counts under.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Granted => Outcome::Accepted,
            Self::Denied(_) | Self::LoginRefused | Self::NotFound => Outcome::Refused,
            Self::Unproven(why) => why.outcome(),
        }
    }
}

impl IssuerAnswer {
    /// The label value it counts under.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Alive(_) => Outcome::Accepted,
            Self::Disowned | Self::ForbiddenByPolicy => Outcome::Refused,
            Self::Unproven(why) => why.outcome(),
        }
    }
}

impl SsoAnswer {
    /// The label value it counts under.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Demanded => Outcome::Refused,
            Self::NotDemanded => Outcome::Accepted,
            Self::Unproven(why) => why.outcome(),
        }
    }
}

/// What all answers have in common.
pub trait Answer {
    /// Why the exchange proves nothing, if it does not.
    fn unproven(&self) -> Option<&Unproven>;
}

impl Answer for LoginAnswer {
    fn unproven(&self) -> Option<&Unproven> {
        if let Self::Unproven(why) = self { Some(why) } else { None }
    }
}

impl Answer for AccessAnswer {
    fn unproven(&self) -> Option<&Unproven> {
        if let Self::Unproven(why) = self { Some(why) } else { None }
    }
}

impl Answer for IssuerAnswer {
    fn unproven(&self) -> Option<&Unproven> {
        if let Self::Unproven(why) = self { Some(why) } else { None }
    }
}

impl<A: Answer> Evidence<A> {
    /// Whether the other side was there: `None` where nothing was asked of it.
    pub fn heard(&self) -> Option<bool> {
        match self.answer.unproven() {
            Some(Unproven::Unreachable(_)) => Some(false),
            // Its own answer is what pointed elsewhere.
            Some(Unproven::Guarded(Guarded::ForeignRealm(_))) => Some(true),
            _ => self.http_status.map(|_| true),
        }
    }
}
