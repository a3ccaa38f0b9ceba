//! What went wrong when no answer came: the chain of an HTTP error, sorted into what evidence knows.

use std::error::Error;
use std::io;

use super::resolve::LookupFault;
use crate::probe::evidence::{Guarded, Unproven, Unreachable};

/// Errors nest a handful deep; past this a chain is not followed.
const DEPTH: usize = 16;

/// An exchange that ended before an answer could be judged: why, and a line for a person (not yet cleaned).
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    pub(crate) why: Unproven,
    pub(crate) detail: String,
}

impl Stop {
    pub(crate) fn new(why: Unproven, detail: impl Into<String>) -> Self {
        Self { why, detail: detail.into() }
    }

    pub(crate) fn odd(why: &'static str, detail: impl Into<String>) -> Self {
        Self::new(Unproven::Odd(why), detail)
    }

    pub(crate) fn unreachable(why: Unreachable, detail: impl Into<String>) -> Self {
        Self::new(Unproven::Unreachable(why), detail)
    }
}

impl From<Guarded> for Stop {
    fn from(guarded: Guarded) -> Self {
        let detail = match &guarded {
            Guarded::PrivateAddress => {
                "its address is loopback, link-local or private; set allowPrivateAddresses to allow it".to_owned()
            }
            Guarded::ForeignRealm(host) => {
                format!("it points at {host}, which is not on its list; nothing was sent there")
            }
        };
        Self::new(Unproven::Guarded(guarded), detail)
    }
}

/// Sort an error of the HTTP client.
pub(super) fn sort(error: &reqwest::Error) -> Stop {
    let found = walk(error);
    if let Some(fault) = found.lookup {
        return match fault {
            LookupFault::Refused => Guarded::PrivateAddress.into(),
            LookupFault::Unresolved => Stop::unreachable(Unreachable::Dns, "the name does not resolve"),
        };
    }
    if let Some(tls) = found.tls {
        return Stop::unreachable(Unreachable::Tls, format!("no TLS session: {tls}"));
    }
    if error.is_timeout() || found.io == Some(io::ErrorKind::TimedOut) {
        return Stop::unreachable(Unreachable::Timeout, "no complete answer within the time-out");
    }
    if found.too_large {
        return Stop::odd("oversized", "more or larger headers than accepted");
    }
    if found.parse {
        return Stop::odd("not_http", "the answer is not HTTP/1.1");
    }
    match found.io {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe) => {
            Stop::unreachable(Unreachable::Reset, "the connection broke")
        }
        // A peer that hangs up in the handshake is no TLS server, or wants none of ours.
        Some(io::ErrorKind::UnexpectedEof) if error.is_connect() => {
            Stop::unreachable(Unreachable::Tls, "the connection was closed in the TLS handshake")
        }
        Some(kind) if error.is_connect() => Stop::unreachable(Unreachable::Connect, format!("no connection: {kind}")),
        _ if error.is_connect() => Stop::unreachable(Unreachable::Connect, "no connection"),
        _ => Stop::unreachable(Unreachable::Reset, "the connection broke before the answer was complete"),
    }
}

#[derive(Default)]
struct Found {
    lookup: Option<LookupFault>,
    tls: Option<String>,
    io: Option<io::ErrorKind>,
    too_large: bool,
    parse: bool,
}

fn walk(error: &reqwest::Error) -> Found {
    let mut found = Found::default();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    for _ in 0..DEPTH {
        let Some(current) = next else { break };
        if let Some(fault) = current.downcast_ref::<LookupFault>() {
            found.lookup = Some(*fault);
        } else if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            found.tls = Some(tls.to_string());
        } else if let Some(http) = current.downcast_ref::<hyper::Error>() {
            found.too_large |= http.is_parse_too_large();
            found.parse |= http.is_parse();
        }
        next = match current.downcast_ref::<io::Error>() {
            Some(io) => {
                // The innermost kind is the most telling; a wrapper is mostly `Other`.
                if found.io.is_none_or(|kind| kind == io::ErrorKind::Other) {
                    found.io = Some(io.kind());
                }
                // `io::Error::source` skips the error that it wraps.
                io.get_ref().map(|inner| inner as &(dyn Error + 'static))
            }
            None => current.source(),
        };
    }
    found
}
