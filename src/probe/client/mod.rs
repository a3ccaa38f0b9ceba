//! The guarded HTTP client: it asks only listed hosts at allowed addresses, reads only so much, waits only so long, and
//! follows no redirect that it did not check.
//!
//! HTTP/1.1 without decompression, cookies, proxies from the environment, retries or a `Referer`.

mod address;
mod fault;
mod hosts;
mod resolve;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, AUTHORIZATION, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

pub(crate) use fault::Stop;
pub(crate) use hosts::{HostGuard, authority};
pub use resolve::{Lookup, SystemLookup};

use super::evidence::{Guarded, Unreachable};
use crate::plan::Registry;

/// How much of a body is read: token answers and error texts are far smaller.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;
/// Headers of one answer, as hyper's default. With its buffer limit of about 400 KiB this bounds a flood.
const HEADERS: usize = 100;
/// Bytes of all headers of one answer, names and values.
const HEADER_BYTES: usize = 64 * 1024;
/// The longest wait for a connection, within the total time-out.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const POOL_IDLE: Duration = Duration::from_secs(30);
const POOL_PER_HOST: usize = 16;
/// Bound on a CA bundle, so that a wrong path cannot fill the memory.
const CA_FILE_LIMIT: u64 = 4 * 1024 * 1024;

const USER_AGENT: &str =
    concat!("pull-patrol/", env!("CARGO_PKG_VERSION"), " (+https://github.com/pull-patrol/pull-patrol)");

/// Make ring the TLS provider of the process. Any number of calls, before or after another provider was chosen, are
/// fine: the first one stands.
pub fn install_tls_provider() {
    // An error only says that a provider is already in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// One request. `Debug` is left out on purpose: it carries credentials.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) accept: HeaderValue,
    /// `Authorization`, or a header of the issuer's own. Marked sensitive.
    pub(crate) auth: Option<(http::HeaderName, HeaderValue)>,
    /// Whether a redirect to another allowed host may be followed without the credential. It must not where the answer
    /// would then be taken as an answer about the credential.
    pub(crate) may_drop_auth: bool,
}

impl Ask {
    /// A GET that keeps its credential or stops.
    pub(crate) fn get(url: Url, authorization: Option<HeaderValue>) -> Self {
        Self {
            method: Method::GET,
            url,
            accept: HeaderValue::from_static("application/json"),
            auth: authorization.map(|value| (AUTHORIZATION, value)),
            may_drop_auth: false,
        }
    }
}

/// How the body of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// All of it is here.
    Complete,
    /// There was more than [`BODY_LIMIT`].
    Oversized,
    /// The connection broke in it.
    Broken,
    /// It did not end within the time-out.
    Slow,
}

/// An answer. `Debug` is left out on purpose: token answers are secrets.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) end: BodyEnd,
    /// It came from another host, after a redirect, without the credential.
    pub(crate) dropped_auth: bool,
}

/// What tells two HTTP clients apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Profile {
    allow_private: bool,
    plain_http: bool,
    ca_file: Option<PathBuf>,
}

struct Built {
    client: reqwest::Client,
    /// Age and size of the CA file it was built with.
    stamp: Option<(Option<SystemTime>, u64)>,
}

/// The client: one connection pool per profile (trust anchors, address rules).
pub(crate) struct Client {
    /// Milliseconds.
    timeout: AtomicU64,
    lookup: Arc<dyn Lookup>,
    built: Mutex<HashMap<Profile, Built>>,
}

impl Client {
    pub(crate) fn new(timeout: Duration, lookup: Arc<dyn Lookup>) -> Self {
        install_tls_provider();
        Self { timeout: millis(timeout).into(), lookup, built: Mutex::new(HashMap::new()) }
    }

    /// Bound requests that begin from now on so.
    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.timeout.store(millis(timeout), Ordering::Relaxed);
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout.load(Ordering::Relaxed))
    }

    /// Ask, following at most one checked redirect.
    pub(crate) async fn ask(&self, registry: &Registry, guard: HostGuard<'_>, ask: &Ask) -> Result<Reply, Stop> {
        guard.check(&ask.url)?;
        let client = self.client_for(registry).await?;
        let reply = self.once(&client, ask, &ask.url, true).await?;
        let Some(target) = redirect_target(&reply, &ask.url)? else { return Ok(reply) };
        guard.check(&target)?;
        let same_origin = target.origin() == ask.url.origin();
        if !same_origin && ask.auth.is_some() && !ask.may_drop_auth {
            return Err(Stop::odd(
                "redirect",
                format!("it redirects to {}, where the credential is not sent", authority(&target)),
            ));
        }
        let mut second = self.once(&client, ask, &target, same_origin).await?;
        if redirect_target(&second, &target)?.is_some() {
            return Err(Stop::odd("redirect", "it redirects more than once"));
        }
        second.dropped_auth = !same_origin && ask.auth.is_some();
        Ok(second)
    }

    async fn once(&self, client: &reqwest::Client, ask: &Ask, url: &Url, with_auth: bool) -> Result<Reply, Stop> {
        let mut request = client.request(ask.method.clone(), url.clone()).header(ACCEPT, ask.accept.clone());
        if let Some((name, value)) = ask.auth.as_ref().filter(|_| with_auth) {
            let mut value = value.clone();
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let deadline = tokio::time::Instant::now() + self.timeout();
        let slow = |_| Stop::unreachable(Unreachable::Timeout, "no answer within the time-out");
        let mut response =
            tokio::time::timeout_at(deadline, request.send()).await.map_err(slow)?.map_err(|e| fault::sort(&e))?;
        let header_bytes: usize =
            response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if header_bytes > HEADER_BYTES {
            return Err(Stop::odd("oversized", "larger headers than accepted"));
        }
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        let end = if ask.method == Method::HEAD {
            BodyEnd::Complete
        } else {
            tokio::time::timeout_at(deadline, read(&mut response, &mut body)).await.unwrap_or(BodyEnd::Slow)
        };
        Ok(Reply { status, headers, body, end, dropped_auth: false })
    }

    async fn client_for(&self, registry: &Registry) -> Result<reqwest::Client, Stop> {
        let profile = Profile {
            allow_private: registry.allow_private_addresses,
            plain_http: registry.plain_http,
            ca_file: registry.ca_file.clone(),
        };
        let mut stamp = None;
        if let Some(path) = &profile.ca_file {
            let meta = tokio::fs::metadata(path).await.map_err(|error| ca_fault(path, &error.to_string()))?;
            if meta.len() > CA_FILE_LIMIT {
                return Err(ca_fault(path, "it is larger than 4 MiB"));
            }
            stamp = Some((meta.modified().ok(), meta.len()));
        }
        {
            let built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
            // A renewed CA file takes effect with the next exchange.
            if let Some(known) = built.get(&profile).filter(|known| known.stamp == stamp) {
                return Ok(known.client.clone());
            }
        }
        let client = self.build(&profile).await?;
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        built.insert(profile, Built { client: client.clone(), stamp });
        Ok(client)
    }

    async fn build(&self, profile: &Profile) -> Result<reqwest::Client, Stop> {
        let mut anchors = Vec::new();
        if let Some(path) = &profile.ca_file {
            let pem = tokio::fs::read(path).await.map_err(|error| ca_fault(path, &error.to_string()))?;
            anchors = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| ca_fault(path, "it is not PEM"))?;
            if anchors.is_empty() {
                return Err(ca_fault(path, "it holds no certificate"));
            }
        }
        let builder = || {
            let resolver =
                resolve::GuardedResolver { lookup: Arc::clone(&self.lookup), allow_private: profile.allow_private };
            reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .http1_only()
                .http1_max_headers(HEADERS)
                // The time-out is no part of it: each request has a deadline of its own, which a reload changes.
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(POOL_IDLE)
                .pool_max_idle_per_host(POOL_PER_HOST)
                .dns_resolver(resolver)
        };
        match builder().tls_certs_merge(anchors).build() {
            Ok(client) => Ok(client),
            // Without system roots a registry over plain HTTP can still be asked; https then fails by itself.
            Err(_) if profile.plain_http && profile.ca_file.is_none() => {
                builder().tls_certs_only([]).build().map_err(|error| no_client(&error))
            }
            Err(error) => Err(no_client(&error)),
        }
    }
}

fn millis(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
}

fn ca_fault(path: &std::path::Path, why: &str) -> Stop {
    Stop::unreachable(Unreachable::Tls, format!("the caFile {} cannot be used: {why}", path.display()))
}

fn no_client(error: &reqwest::Error) -> Stop {
    let why = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    Stop::unreachable(
        Unreachable::Tls,
        format!("no TLS client: {why} (install the system's ca-certificates or set caFile)"),
    )
}

/// Where an answer redirects to; `None` when it does not.
fn redirect_target(reply: &Reply, from: &Url) -> Result<Option<Url>, Stop> {
    if !matches!(reply.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = reply.headers.get(LOCATION).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    match location.map(|location| from.join(location)) {
        Some(Ok(target)) => Ok(Some(target)),
        Some(Err(_)) => Err(Guarded::ForeignRealm("an address that does not parse".to_owned()).into()),
        None => Err(Stop::odd("redirect", "a redirect without a target")),
    }
}

async fn read(response: &mut reqwest::Response, body: &mut Vec<u8>) -> BodyEnd {
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = BODY_LIMIT - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return BodyEnd::Oversized;
                }
            }
            Ok(None) => return BodyEnd::Complete,
            Err(error) if error.is_timeout() => return BodyEnd::Slow,
            Err(_) => return BodyEnd::Broken,
        }
    }
}
