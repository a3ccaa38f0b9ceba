//! One page of a list, one watch, and what can go wrong with either.

use std::pin::Pin;
use std::time::Duration;

use futures::io::{AsyncBufRead, AsyncBufReadExt};
use http::header::{ACCEPT_ENCODING, HeaderValue};
use kube::core::request::Request;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

use super::slice::{Kind, Slice, WATCH_SECONDS};
use crate::cluster::ControllerKind;
use crate::cluster::wire::{Text, nullable};

/// Every reason for which a list or a watch fails, as metrics label it.
pub const WATCH_ERROR_REASONS: [&str; 5] = ["forbidden", "expired", "api", "transport", "decode"];

/// How long a page of a list may take, from the request to the last byte.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the API server may take to open a watch.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// A watch that is silent for this long past its own end is dead.
const WATCH_MARGIN: Duration = Duration::from_secs(5);
/// The longest page that is read. An object is at most some 1.5 MiB in etcd.
const MAX_PAGE_BYTES: usize = 512 * 1024 * 1024;
/// The longest event that is read.
const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// Why a list or a watch failed.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Failure {
    pub(super) reason: Reason,
    /// HTTP status, where the API server answered.
    pub(super) code: Option<u16>,
    /// The server's own word on when to come back.
    pub(super) retry_after: Option<Duration>,
    text: String,
}

/// The kinds of failure, one for each of [`WATCH_ERROR_REASONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// 403: RBAC denies it.
    Forbidden,
    /// 410: the version to go on from is gone, so everything is listed anew.
    Expired,
    /// Any other answer of the API server.
    Api,
    /// No answer: the connection failed, broke or timed out.
    Transport,
    /// An answer that is not what an API server says.
    Decode,
}

impl Reason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Expired => "expired",
            Self::Api => "api",
            Self::Transport => "transport",
            Self::Decode => "decode",
        }
    }
}

impl Failure {
    pub(super) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, code: None, retry_after: None, text: text.into() }
    }

    fn of_status(status: &kube::core::Status) -> Self {
        let reason = match status.code {
            403 => Reason::Forbidden,
            410 => Reason::Expired,
            _ => Reason::Api,
        };
        let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        // Messages of the API server are not ours to trust with their length: a proxy can put a page of HTML here.
        let message: String = status.message.chars().take(300).collect();
        Self {
            reason,
            code: Some(status.code),
            retry_after: (seconds > 0).then(|| Duration::from_secs(u64::from(seconds))),
            text: format!("the API server answered {}: {message}", status.code),
        }
    }

    /// Whether the API server, or who stands before it, only says "not now": nothing of what was seen is in doubt.
    pub(super) fn is_put_off(&self) -> bool {
        self.reason == Reason::Api && matches!(self.code, Some(429 | 502 | 503 | 504))
    }

    fn of_client(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status),
            kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => Self::new(Reason::Api, chain(error)),
            error => Self::new(Reason::Transport, chain(error)),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many wrappers repeat their cause.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The text of one page.
#[derive(Default)]
pub(super) struct PageText(Zeroizing<Vec<u8>>);

/// One page, borrowing from its text.
#[derive(Debug, Deserialize)]
pub(super) struct Page<'a> {
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(super) metadata: PageMeta<'a>,
    #[serde(borrow, default, deserialize_with = "raw_items")]
    pub(super) items: Vec<&'a RawValue>,
}

/// `metadata` of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PageMeta<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) resource_version: Text<'a>,
    #[serde(borrow, rename = "continue", deserialize_with = "nullable")]
    pub(super) continue_token: Text<'a>,
}

fn raw_items<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<&'a RawValue>, D::Error> {
    Ok(Option::<Vec<&'de RawValue>>::deserialize(deserializer)?.unwrap_or_default())
}

impl PageText {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn parse(&self) -> Result<Page<'_>, Failure> {
        // The message of the error could quote the page.
        let page: Page<'_> = serde_json::from_slice(&self.0)
            .map_err(|_| Failure::new(Reason::Decode, "the API server's answer to a list is not a list in JSON"))?;
        if page.metadata.resource_version.is_empty() && page.metadata.continue_token.is_empty() {
            return Err(Failure::new(Reason::Decode, "the API server's list has no resourceVersion to watch from"));
        }
        Ok(page)
    }
}

/// What a failure tells of whether the cluster has the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It has it, or that cannot be told.
    There,
    /// It has it in another version, in which the slice is read from now on.
    Elsewhere,
    /// It does not have it at all.
    Absent,
}

/// Whether a failure tells that the cluster does not have the kind. A refusal does not tell, since RBAC is asked before the
/// kind is looked for; and where it is not found it can be there in another version than the one that we know. So for a
/// custom resource discovery is asked, which everybody may read.
pub(super) async fn presence(client: &kube::Client, slice: &Slice, failure: &Failure) -> Presence {
    let (Kind::Controllers(kind), Some(code @ (403 | 404))) = (slice.kind, failure.code) else {
        return Presence::There;
    };
    if !kind.is_arc() {
        return if code == 404 { Presence::Absent } else { Presence::There };
    }
    match served_version(client, slice, kind).await {
        Ok(Some(version)) if slice.read_in(&version) => Presence::Elsewhere,
        Ok(None) => Presence::Absent,
        // Discovery lags behind a definition that comes or goes.
        Ok(Some(_)) | Err(()) if code == 404 => Presence::Absent,
        Ok(Some(_)) | Err(()) => Presence::There,
    }
}

/// Whether the cluster has the kind of a slice, as far as discovery can tell.
pub(super) async fn is_there(client: &kube::Client, slice: &Slice) -> bool {
    match slice.kind {
        Kind::Controllers(kind) if kind.is_arc() => !matches!(served_version(client, slice, kind).await, Ok(None)),
        _ => true,
    }
}

/// The version in which the cluster serves a custom resource: the one that we know if it does, else the one that it prefers.
async fn served_version(client: &kube::Client, slice: &Slice, kind: ControllerKind) -> Result<Option<String>, ()> {
    let group = format!("/apis/{}", kind.group());
    let Some(found) = discover::<Group>(client, &group).await? else { return Ok(None) };
    let mut versions: Vec<String> = found.versions.into_iter().map(|one| one.version).collect();
    // Versions come in the order of preference.
    versions.sort_by_key(|version| version != kind.version());
    for version in versions {
        let served = discover::<Discovered>(client, &format!("{group}/{version}")).await?;
        let is_it = |one: &DiscoveredResource| one.name == slice.resource().as_str();
        if served.is_some_and(|served| served.resources.iter().any(is_it)) {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// A document of discovery; `None` where there is none. It holds no secrets, so it may pass through kube's own reader.
async fn discover<T: serde::de::DeserializeOwned>(client: &kube::Client, path: &str) -> Result<Option<T>, ()> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|_| ())?;
    match timeout(OPEN_TIMEOUT, client.request::<T>(request)).await {
        Ok(Ok(found)) => Ok(Some(found)),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
        _ => Err(()),
    }
}

/// What discovery tells of a group.
#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    versions: Vec<GroupVersion>,
}

#[derive(Debug, Deserialize)]
struct GroupVersion {
    version: String,
}

/// What discovery tells of a version of a group.
#[derive(Debug, Deserialize)]
struct Discovered {
    #[serde(default)]
    resources: Vec<DiscoveredResource>,
}

#[derive(Debug, Deserialize)]
struct DiscoveredResource {
    #[serde(default)]
    name: String,
}

/// The answer to a list, of which the page has yet to be read.
pub(super) struct Answer {
    body: Pin<Box<dyn AsyncBufRead + Send>>,
    deadline: Instant,
}

/// Ask for one page of a list.
pub(super) async fn ask(
    client: &kube::Client,
    slice: &Slice,
    limit: u32,
    continue_token: Option<String>,
) -> Result<Answer, Failure> {
    let deadline = Instant::now() + PAGE_TIMEOUT;
    let request = Request::new(slice.path())
        .list(&slice.list_params(limit, continue_token))
        .map_err(|error| Failure::new(Reason::Api, chain(&error)))?;
    let body = timeout_at(deadline, client.request_stream(request))
        .await
        .map_err(|_| late_page())?
        .map_err(|error| Failure::of_client(&error))?;
    Ok(Answer { body: Box::pin(body), deadline })
}

impl Answer {
    /// Read the page, into the memory of one that is read already, so that a list takes and wipes it once.
    pub(super) async fn read(mut self, mut page: PageText) -> Result<PageText, Failure> {
        page.0.clear();
        let fill = async {
            loop {
                let chunk =
                    self.body.fill_buf().await.map_err(|error| Failure::new(Reason::Transport, chain(&error)))?;
                if chunk.is_empty() {
                    return Ok(());
                }
                let taken = chunk.len();
                if page.0.len() + taken >= MAX_PAGE_BYTES {
                    return Err(Failure::new(Reason::Decode, "a page of a list is longer than 512 MiB"));
                }
                page.0.extend_from_slice(chunk);
                self.body.as_mut().consume_unpin(taken);
            }
        };
        timeout_at(self.deadline, fill).await.unwrap_or_else(|_| Err(late_page()))?;
        Ok(page)
    }
}

fn late_page() -> Failure {
    Failure::new(Reason::Transport, format!("a page of a list took more than {} s", PAGE_TIMEOUT.as_secs()))
}

/// A watch that is open.
pub(super) struct Watch {
    body: Pin<Box<dyn AsyncBufRead + Send>>,
    line: Zeroizing<Vec<u8>>,
    deadline: Instant,
}

/// One event, borrowing from its line.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

impl Watch {
    /// Open a watch that goes on from a version.
    pub(super) async fn open(client: &kube::Client, slice: &Slice, version: &str) -> Result<Self, Failure> {
        let mut request = Request::new(slice.path())
            .watch(&slice.watch_params(), version)
            .map_err(|error| Failure::new(Reason::Api, chain(&error)))?;
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let body = timeout(OPEN_TIMEOUT, client.request_stream(request))
            .await
            .map_err(|_| Failure::new(Reason::Transport, "the API server did not open a watch in time"))?
            .map_err(|error| Failure::of_client(&error))?;
        let lifetime = Duration::from_secs(u64::from(WATCH_SECONDS)) + WATCH_MARGIN;
        Ok(Self { body: Box::pin(body), line: Zeroizing::new(Vec::new()), deadline: Instant::now() + lifetime })
    }

    /// The next event; `None` when the watch has ended in peace.
    pub(super) async fn next(&mut self) -> Result<Option<Event<'_>>, Failure> {
        loop {
            self.line.clear();
            let whole = match timeout_at(self.deadline, read_line(&mut self.body, &mut self.line)).await {
                Ok(read) => read?,
                // The server's own end never arrived: the connection is dead, and the next request will find out more.
                Err(_) => return Ok(None),
            };
            // A line that the end of the connection has cut is not an event; it will be sent again.
            if !whole {
                return Ok(None);
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        let event = serde_json::from_slice::<Event<'_>>(&self.line);
        let event = event.map_err(|_| Failure::new(Reason::Decode, "an event of a watch is not one in JSON"))?;
        if &*event.kind == "ERROR" {
            let status = serde_json::from_str::<kube::core::Status>(event.object.get());
            return Err(status.map_or_else(
                |_| Failure::new(Reason::Decode, "a watch told of an error that is not a Status"),
                |status| Failure::of_status(&status),
            ));
        }
        Ok(Some(event))
    }
}

/// Read up to the end of a line; tells whether there was one.
async fn read_line(body: &mut Pin<Box<dyn AsyncBufRead + Send>>, line: &mut Vec<u8>) -> Result<bool, Failure> {
    loop {
        let chunk = body.fill_buf().await.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Failure::new(Reason::Transport, "the connection of a watch broke"),
            _ => Failure::new(Reason::Transport, chain(&error)),
        })?;
        if chunk.is_empty() {
            return Ok(false);
        }
        let (taken, ended) = match chunk.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (chunk.len(), false),
        };
        if line.len() + taken > MAX_LINE_BYTES {
            return Err(Failure::new(Reason::Decode, "an event of a watch is longer than 16 MiB"));
        }
        line.extend_from_slice(&chunk[..taken]);
        body.as_mut().consume_unpin(taken);
        if ended {
            return Ok(true);
        }
    }
}
