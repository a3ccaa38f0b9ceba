//! The request log: who asked what with which credential, and what was answered. Never a secret.

use chrono::{DateTime, Utc};

use crate::faults::FaultId;
use crate::host::Host;
use crate::tokens::{TokenHandle, TokenId};

/// Which secret a request showed, without showing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretRef {
    /// A token of the world.
    Known(TokenId),
    /// A text that the world does not know; equal texts have equal fingerprints.
    Unknown(u64),
    /// A bearer token that was issued to nobody in particular.
    Anonymous,
    /// The empty text.
    Empty,
}

/// The credential of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Presented {
    /// No `Authorization`.
    None,
    /// Basic.
    Basic {
        /// The user name, or `[token]` where it is itself a token of the world.
        user: String,
        /// The password.
        secret: SecretRef,
    },
    /// Bearer (or the API's scheme `token`, or GitLab's `PRIVATE-TOKEN`).
    Bearer {
        /// The token itself, or the one that the bearer was issued to or encodes.
        secret: SecretRef,
        /// Whether a token service of the world issued it.
        issued: bool,
    },
    /// A header that is none of these.
    Other,
}

impl Presented {
    /// The token of the world that was shown, directly or through a bearer issued to it.
    pub fn token(&self) -> Option<TokenId> {
        match self {
            Self::Basic { secret: SecretRef::Known(id), .. } | Self::Bearer { secret: SecretRef::Known(id), .. } => {
                Some(*id)
            }
            _ => None,
        }
    }

    /// Whether any credential was shown.
    pub fn is_some(&self) -> bool {
        *self != Self::None
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct LoggedRequest {
    /// Counts all requests of the world, from 0.
    pub seq: u64,
    /// When it came in, by the world's clock.
    pub at: DateTime<Utc>,
    /// The host that was asked.
    pub host: Host,
    /// Number of the TCP connection on that host, from 1.
    pub connection: u64,
    /// The method.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The query as sent.
    pub query: Option<String>,
    /// The credential.
    pub presented: Presented,
    /// The status that was answered; `None` while none is, and for faults that never send one.
    pub status: Option<u16>,
    /// The fault that changed the answer.
    pub fault: Option<FaultId>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// `Accept`.
    pub accept: Option<String>,
}

impl LoggedRequest {
    /// Whether it went to that host and a path that begins so.
    pub fn asked(&self, host: Host, path_prefix: &str) -> bool {
        self.host == host && self.path.starts_with(path_prefix)
    }

    /// Whether it showed that token, directly or through a bearer issued to it.
    pub fn shows(&self, token: &TokenHandle) -> bool {
        self.presented.token() == Some(token.id())
    }
}
