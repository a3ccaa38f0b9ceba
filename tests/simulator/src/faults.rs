//! Scripted faults: which requests they hit, and what happens to those.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::host::Host;
use crate::packages::oci_error;
use crate::state::Shared;
use crate::tokens::{TokenHandle, TokenId};

/// The form of `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// No such header.
    Absent,
    /// Seconds.
    Seconds(u64),
    /// An HTTP date that far from now, by the clock of the host.
    Date(TimeDelta),
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This answer instead.
    Status {
        /// The status.
        status: u16,
        /// The body, literally.
        body: String,
        /// Header lines.
        headers: Vec<(String, String)>,
    },
    /// 429. On the GitHub API the body is that of a secondary limit, elsewhere `TOOMANYREQUESTS`.
    RateLimited {
        /// The header.
        retry_after: RetryAfter,
        /// ghcr.io's own text in the body: a Go duration such as `880.092µs`.
        ghcr_duration: Option<String>,
    },
    /// No byte, until the client gives up.
    TimeoutAtHeaders,
    /// Half of the real answer, then silence.
    TimeoutAtBody,
    /// RST before the first byte.
    Reset,
    /// RST in the middle of the real answer's header lines.
    ResetInHeaders,
    /// Half of the real answer under its full length, then the end.
    Truncate,
    /// The real status with a declared length of 10 GiB, and bytes for as long as they are taken.
    Oversize,
    /// The real status with a chunked body that never ends.
    EndlessBody,
    /// The real status and headers without a body.
    EmptyBody,
    /// 200 with an HTML page.
    Html,
    /// The real status with JSON of another shape.
    WrongJson,
    /// The real status with JSON that ends in the middle (its length is right).
    BrokenJson,
    /// The real answer, byte by byte, one each that long.
    SlowDrip(Duration),
    /// The real status with 200,000 header lines.
    HeaderFlood,
    /// The real status with one header line of 32 MiB.
    HugeHeader,
    /// 307 to another address.
    Redirect(String),
    /// The real answer (or the next fault that matches), later.
    Delay(Duration),
}

impl Fault {
    /// An answer with that status and an empty body.
    pub fn status(status: u16) -> Self {
        Self::Status { status, body: String::new(), headers: Vec::new() }
    }

    /// A registry's error answer with that status, code and message.
    pub fn oci_error(status: u16, code: &str, message: &str) -> Self {
        let reply = oci_error(status, code, message);
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        Self::Status { status, body, headers: reply.headers }
    }

    /// ghcr.io's 403 `denied`, which good credentials get now and then (docker/build-push-action#463).
    pub fn ghcr_denied() -> Self {
        Self::oci_error(403, "DENIED", "denied")
    }

    /// ghcr.io's 401 of the manifest, which good bearers get now and then (bank-vaults#1640).
    pub fn ghcr_unauthenticated() -> Self {
        Self::oci_error(401, "UNAUTHORIZED", UNAUTHENTICATED)
    }

    /// The API's 401, which good tokens got on 2026-02-17 (githubstatus.com/incidents/xs6xtcv196g7).
    pub fn bad_credentials() -> Self {
        let body = r#"{"message":"Bad credentials","documentation_url":"https://docs.github.com/rest","status":"401"}"#;
        let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
        Self::Status { status: 401, body: body.to_owned(), headers }
    }
}

/// The registry's text for a bearer that stands for nobody.
pub(crate) const UNAUTHENTICATED: &str = "unauthenticated: User cannot be authenticated with the token provided.";

/// Which requests a fault hits: those that match all that is set.
///
/// Rules are tried in the order they were added; the first that matches decides, but delays add up.
#[derive(Clone, Debug)]
pub struct FaultRule {
    /// The host; `None` is every host.
    pub host: Option<Host>,
    /// How the path begins.
    pub path_prefix: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// The token that is shown, directly or through a bearer issued to it.
    pub token: Option<TokenId>,
    /// Matching requests that are let through first.
    pub skip: u32,
    /// Matching requests that are hit; `None` is all.
    pub times: Option<u32>,
    /// From when, by the world's clock.
    pub from: Option<DateTime<Utc>>,
    /// Until when, by the world's clock.
    pub until: Option<DateTime<Utc>>,
    /// Share of the matching requests that are hit, 0 to 1. Which ones follows from the seed and the request alone, not
    /// from the order in which different requests come in.
    pub share: Option<f64>,
    /// Of the matching requests each so-many-th is hit; `None` is all.
    pub every: Option<u32>,
    /// What happens.
    pub fault: Fault,
}

impl FaultRule {
    /// Every request of a host.
    pub fn on(host: Host, fault: Fault) -> Self {
        Self { host: Some(host), ..Self::everywhere(fault) }
    }

    /// Every request of every host.
    pub fn everywhere(fault: Fault) -> Self {
        Self {
            host: None,
            path_prefix: None,
            method: None,
            token: None,
            skip: 0,
            times: None,
            from: None,
            until: None,
            share: None,
            every: None,
            fault,
        }
    }

    /// Only paths that begin so.
    #[must_use]
    pub fn path(mut self, prefix: impl Into<String>) -> Self {
        self.path_prefix = Some(prefix.into());
        self
    }

    /// Only that method.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Only requests that show that token.
    #[must_use]
    pub fn token(mut self, token: &TokenHandle) -> Self {
        self.token = Some(token.id());
        self
    }

    /// Lets the first `count` matching requests through.
    #[must_use]
    pub fn skip(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// Hits `count` matching requests, then no more.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.times = Some(count);
        self
    }

    /// Holds from one moment of the world's clock to another.
    #[must_use]
    pub fn between(mut self, from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        (self.from, self.until) = (Some(from), Some(until));
        self
    }

    /// Hits that share of the matching requests.
    #[must_use]
    pub fn share(mut self, share: f64) -> Self {
        self.share = Some(share);
        self
    }

    /// Hits each `nth` of the matching requests, and none before: with two or more, never two in a row.
    #[must_use]
    pub fn every(mut self, nth: u32) -> Self {
        self.every = Some(nth);
        self
    }
}

/// Number of a fault in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultId(pub(crate) u64);

/// A fault in force. Dropping the handle leaves the fault as it is.
#[derive(Clone, Debug)]
pub struct FaultHandle {
    pub(crate) id: FaultId,
    pub(crate) shared: Arc<Shared>,
}

impl FaultHandle {
    /// How the request log names it.
    pub fn id(&self) -> FaultId {
        self.id
    }

    /// Ends the fault.
    pub fn remove(&self) {
        self.shared.lock().faults.retain(|fault| fault.id != self.id);
    }

    /// Requests that it has hit; 0 after its removal.
    pub fn hits(&self) -> u32 {
        self.shared.lock().faults.iter().find(|fault| fault.id == self.id).map_or(0, |fault| fault.hits)
    }
}
