//! Registries that mean harm or are broken beyond use.

use std::time::Duration;

use crate::faults::{Fault, RetryAfter};

/// What a hostile registry does. Unless said otherwise it does so on every path, `/v2/` and `/token` alike.
#[derive(Clone, Debug)]
pub enum Hostile {
    /// Challenges with this realm, on another host.
    ForeignRealm(String),
    /// Challenges with the realm `http://169.254.169.254/latest/meta-data/`, the metadata service of clouds.
    LinkLocalRealm,
    /// Redirects to this address.
    Redirect(String),
    /// Challenges honestly; its token service redirects to this address.
    RedirectFromTokenService(String),
    /// A body that never ends.
    EndlessBody,
    /// A declared body of 10 GiB.
    OversizedBody,
    /// One byte each that long.
    SlowDrip(Duration),
    /// 200,000 header lines.
    HeaderFlood,
    /// One header line of 32 MiB.
    HugeHeader,
    /// Half a body.
    TruncatedBody,
    /// RST in the middle of the header lines.
    ResetInHeaders,
    /// JSON of another shape.
    WrongJson,
    /// JSON that ends in the middle.
    BrokenJson,
    /// No body where one is needed.
    EmptyBody,
    /// Takes the connection and never answers.
    Silent,
    /// 429 for everyone, without end.
    AlwaysThrottled,
}

impl Hostile {
    /// The realm to challenge with, where it is not its own.
    pub(crate) fn realm(&self) -> Option<String> {
        match self {
            Self::ForeignRealm(realm) => Some(realm.clone()),
            Self::LinkLocalRealm => Some("http://169.254.169.254/latest/meta-data/".to_owned()),
            _ => None,
        }
    }

    /// The fault that is in force for good, and the path it is limited to.
    pub(crate) fn fault(&self) -> Option<(Fault, Option<&'static str>)> {
        Some(match self {
            Self::ForeignRealm(_) | Self::LinkLocalRealm => return None,
            Self::RedirectFromTokenService(target) => (Fault::Redirect(target.clone()), Some("/token")),
            Self::Redirect(target) => (Fault::Redirect(target.clone()), None),
            Self::EndlessBody => (Fault::EndlessBody, None),
            Self::OversizedBody => (Fault::Oversize, None),
            Self::SlowDrip(every) => (Fault::SlowDrip(*every), None),
            Self::HeaderFlood => (Fault::HeaderFlood, None),
            Self::HugeHeader => (Fault::HugeHeader, None),
            Self::TruncatedBody => (Fault::Truncate, None),
            Self::ResetInHeaders => (Fault::ResetInHeaders, None),
            Self::WrongJson => (Fault::WrongJson, None),
            Self::BrokenJson => (Fault::BrokenJson, None),
            Self::EmptyBody => (Fault::EmptyBody, None),
            Self::Silent => (Fault::TimeoutAtHeaders, None),
            Self::AlwaysThrottled => {
                (Fault::RateLimited { retry_after: RetryAfter::Seconds(60), ghcr_duration: None }, None)
            }
        })
    }
}
