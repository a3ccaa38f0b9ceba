//! Questions to the outside, and the words for when to ask them.

use std::sync::Arc;
use std::time::Duration;

use super::{Issuer, LoginId, TokenId};

/// A moment of monotonic time. Never wall time. The process starts at [`Moment::START`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Moment(pub Duration);

impl Moment {
    /// Where a process begins to count: ten years on, so that what happened in the life of an earlier process has a moment
    /// too.
    pub const START: Self = Self(Duration::from_secs(10 * 365 * 86_400));

    /// The moment that came this much earlier.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }

    /// The moment that comes this much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Identity of an issuer check: one per token and issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenKey {
    /// Whom to ask.
    pub issuer: Issuer,
    /// About which token.
    pub token: TokenId,
}

/// One question to the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ask {
    /// Does the registry accept the login?
    Login(LoginId),
    /// May the login (`None`: anyone) pull this repository?
    Access {
        /// Registry host.
        host: Arc<str>,
        /// Which login; `None` asks anonymously.
        login: Option<LoginId>,
        /// Path of the repository in the registry.
        repository: Arc<str>,
        /// Tag or digest that a workload names.
        reference: Arc<str>,
    },
    /// What does the issuer say of the token?
    Issuer(TokenKey),
    /// Is the public canary of this registry (host) pullable?
    Canary(Arc<str>),
}

impl Ask {
    /// The login whose exchange this is. The question to an issuer is about a token, not an exchange of a login.
    pub fn login(&self) -> Option<LoginId> {
        match self {
            Self::Login(login) => Some(*login),
            Self::Access { login, .. } => *login,
            Self::Issuer(_) | Self::Canary(_) => None,
        }
    }
}

/// A question that is to be asked from time to time.
///
/// A set of these holds the question whether a login is accepted beside every access check of that login, which waits
/// for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The question.
    pub ask: Ask,
    /// Who is asked, and so whose rate limits count: the registry's host, or the host (with a port that is not the
    /// default) of the issuer's API.
    pub host: Arc<str>,
    /// Hosts that share their places among all exchanges: [`Registry::entry`] of the registry, or the host.
    ///
    /// [`Registry::entry`]: super::Registry::entry
    pub pool: Arc<str>,
    /// The namespace that it is asked for; empty for what the operator wants. Where several need the answer, it is the one
    /// that needs the fewest, so that nobody is held up by what another namespace makes of a shared login.
    pub tenant: Arc<str>,
    /// For a question to an issuer the logins with that token; else empty.
    pub logins: Vec<LoginId>,
}

/// When to ask again, as the verdict advises after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// At the usual interval.
    Routine,
    /// A refusal or denial to confirm: after `confirmationSpacing`.
    Confirm,
    /// A proven dead login: after `rejectedInterval`.
    Dead,
    /// Nothing was proven (time-out, 5xx): exponential back-off from `confirmationSpacing` up to the interval.
    BackOff,
    /// The other side named a time (429, rate limit): not before this much time, and not before `BackOff` either. The whole
    /// host is left alone that long.
    NotBefore(Duration),
    /// The same, said of the owner of the login or token alone (lock-out, primary rate limit): everything about this login
    /// or token waits, and nothing else.
    OwnerNotBefore(Duration),
}
