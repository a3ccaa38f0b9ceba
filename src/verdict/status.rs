//! The statuses of a credential.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::credential::Severity;

/// Status of a credential: exactly one holds.
///
/// The order is the order of the contract: where several hold, the first wins; `Unverified` where none is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The kubelet cannot decode it.
    Malformed,
    /// Empty user name or password: the runtime pulls without it.
    Anonymous,
    /// Its registry is not on the list.
    Ignored,
    /// Refused, and its expiry has passed.
    Expired,
    /// Refused, confirmed.
    Rejected,
    /// A kind of token that the registry does not take for pulling.
    Unsupported,
    /// Accepted as a login; the scope that pulling needs lacks.
    InsufficientScope,
    /// Accepted as a login; a repository that workloads need is denied.
    Forbidden,
    /// The registry accepted it, and no needed image was refused.
    Valid,
    /// Never proven yet.
    Unverified,
}

impl Status {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Malformed,
        Self::Anonymous,
        Self::Ignored,
        Self::Expired,
        Self::Rejected,
        Self::Unsupported,
        Self::InsufficientScope,
        Self::Forbidden,
        Self::Valid,
        Self::Unverified,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Anonymous => "anonymous",
            Self::Ignored => "ignored",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Unsupported => "unsupported",
            Self::InsufficientScope => "insufficient_scope",
            Self::Forbidden => "forbidden",
            Self::Valid => "valid",
            Self::Unverified => "unverified",
        }
    }

    /// 1, 0 or absent.
    pub fn usable(self) -> Option<bool> {
        match self {
            Self::Valid => Some(true),
            Self::Unverified | Self::Ignored => None,
            _ => Some(false),
        }
    }

    /// How bad it is; `needed` tells whether a workload needs the credential. `None` where nothing is wrong.
    pub fn severity(self, needed: bool) -> Option<Severity> {
        match self {
            Self::Malformed
            | Self::Expired
            | Self::Rejected
            | Self::Unsupported
            | Self::InsufficientScope
            | Self::Forbidden => Some(if needed { Severity::Critical } else { Severity::Warning }),
            Self::Anonymous => Some(Severity::Warning),
            Self::Ignored | Self::Valid | Self::Unverified => None,
        }
    }

    /// The worse of two: what a row shows that stands for several entries or hosts. Unusable is worse than unknown, and
    /// unknown is worse than usable.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |status: Self| match status {
            Self::Malformed => 0,
            Self::Expired => 1,
            Self::Rejected => 2,
            Self::Unsupported => 3,
            Self::InsufficientScope => 4,
            Self::Forbidden => 5,
            Self::Anonymous => 6,
            Self::Unverified => 7,
            Self::Ignored => 8,
            Self::Valid => 9,
        };
        if rank(other) < rank(self) { other } else { self }
    }
}

/// One exchange as the report shows it. Redacted by the probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvidenceRow {
    /// When.
    pub at: DateTime<Utc>,
    /// `login`, `access`, `issuer`, `canary`.
    pub kind: &'static str,
    /// `accepted`, `refused`, `throttled`, `unreachable`, `error`.
    pub outcome: &'static str,
    /// HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// Error code of the body.
    pub code: Option<String>,
    /// One line for a person.
    pub detail: String,
}
