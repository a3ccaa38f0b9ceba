//! One Event to the API server: made, or counted up where it is there already.

use std::time::Duration;

use chrono::SecondsFormat;
use futures::io::AsyncReadExt;
use http::{Method, Request};
use kube::api::ListParams;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::Announcement;
use crate::cluster::ObjectRef;

/// Who reports.
const COMPONENT: &str = "pull-patrol";
/// Bound on one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest list of one Secret that is read.
const MAX_LIST_BYTES: u64 = 4 * 1024 * 1024;
/// Longest name of an object (RFC 1123 subdomain).
const NAME: usize = 253;

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Sent {
    /// It is new.
    Created,
    /// It was there, and counts one more.
    Repeated,
    /// The Secret or its namespace is gone.
    Gone,
    /// RBAC forbids the verb.
    Denied(&'static str),
    /// The API server calls it invalid.
    Invalid(String),
    /// Anything else: to be tried again.
    Failed {
        why: String,
        /// When, where the API server told.
        retry_after: Option<Duration>,
    },
}

/// What we read of an Event.
#[derive(Debug, Deserialize)]
struct Known {
    metadata: KnownMeta,
    #[serde(default)]
    count: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KnownMeta {
    resource_version: String,
}

/// Send one.
pub(super) async fn send(client: &kube::Client, announcement: &Announcement) -> Sent {
    let uid = match timeout(TIMEOUT, uid(client, &announcement.secret)).await {
        Ok(Ok(Some(uid))) => uid,
        Ok(Ok(None)) => return Sent::Gone,
        Ok(Err(failed)) => return failed,
        Err(_) => return late(),
    };
    let name = name(announcement, &uid);
    let path = format!("/api/v1/namespaces/{}/events", announcement.secret.namespace);
    match request::<Known>(client, Method::POST, &path, &event(announcement, &name, &uid)).await {
        Ok(_) => return Sent::Created,
        Err(Answer::Status(status)) if status.code == 409 => {}
        Err(answer) => return answer.ended("create"),
    }
    // A patch of nothing reads it, without the right to `get`.
    let path = format!("{path}/{name}");
    let known = match request::<Known>(client, Method::PATCH, &path, &json!({})).await {
        Ok(known) => known,
        Err(answer) => return answer.patched(),
    };
    let raised = json!({
        "metadata": {"resourceVersion": known.metadata.resource_version},
        "count": known.count.unwrap_or(1).max(1) + 1,
        "lastTimestamp": time(announcement),
        "message": announcement.message,
    });
    match request::<Known>(client, Method::PATCH, &path, &raised).await {
        Ok(_) => Sent::Repeated,
        Err(answer) => answer.patched(),
    }
}

/// The uid of a Secret; `None` where there is none of that name. It is asked for as a list of one, which the right to `list`
/// allows, and read as a list of Secrets is: nothing but the uid is kept of the answer.
async fn uid(client: &kube::Client, secret: &ObjectRef) -> Result<Option<String>, Sent> {
    let path = format!("/api/v1/namespaces/{}/secrets", secret.namespace);
    let one = ListParams {
        field_selector: Some(format!("metadata.name={}", secret.name)),
        limit: Some(1),
        ..ListParams::default()
    };
    let failed = |why: String| Sent::Failed { why, retry_after: None };
    let mut request = kube::core::request::Request::new(path).list(&one).map_err(|error| failed(error.to_string()))?;
    request.headers_mut().insert(
        http::header::ACCEPT,
        http::HeaderValue::from_static("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
    );
    let body = client.request_stream(request).await.map_err(|error| match Answer::of(error).ended("list") {
        // A Secret that we watch and may not list: the watch will find out what that means.
        Sent::Denied(_) => failed("the Secret cannot be listed".to_owned()),
        ended => ended,
    })?;
    let mut text = Zeroizing::new(Vec::new());
    let mut body = std::pin::pin!(body.take(MAX_LIST_BYTES));
    body.read_to_end(&mut text).await.map_err(|error| failed(error.to_string()))?;
    // The error could quote what it read.
    let list: Secrets =
        serde_json::from_slice(&text).map_err(|_| failed("the answer to a list is not a list in JSON".to_owned()))?;
    Ok(list.items.into_iter().next().map(|one| one.metadata.uid))
}

#[derive(Deserialize)]
struct Secrets {
    #[serde(default)]
    items: Vec<OneSecret>,
}

#[derive(Deserialize)]
struct OneSecret {
    metadata: OneSecretMeta,
}

#[derive(Deserialize)]
struct OneSecretMeta {
    uid: String,
}

/// A name that is the same for the same object, subject and reason.
fn name(announcement: &Announcement, uid: &str) -> String {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    for part in [uid, &announcement.subject, announcement.reason] {
        digest.update(part.as_bytes());
        digest.update(&[0]);
    }
    let digest = digest.finish();
    let hash = digest.as_ref().iter().take(8).fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
    // Names of Secrets are ASCII.
    let room = NAME - hash.len() - 1;
    let secret = announcement.secret.name.get(..room.min(announcement.secret.name.len())).unwrap_or_default();
    format!("{}.{hash}", secret.trim_end_matches(['.', '-']))
}

/// As `kubectl` shows it: core/v1, with the times and the count that it reads.
fn event(announcement: &Announcement, name: &str, uid: &str) -> serde_json::Value {
    let (secret, at) = (&announcement.secret, time(announcement));
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": secret.namespace, "name": name},
        "involvedObject": {
            "apiVersion": "v1", "kind": "Secret", "namespace": secret.namespace, "name": secret.name, "uid": uid,
        },
        "type": if announcement.warning { "Warning" } else { "Normal" },
        "reason": announcement.reason,
        "message": announcement.message,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": "",
    })
}

fn time(announcement: &Announcement) -> String {
    announcement.at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// An answer that is no success.
enum Answer {
    Status(Box<kube::core::Status>),
    /// None that makes sense.
    None(String),
    Late,
}

impl Answer {
    fn of(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Status(status),
            error => Self::None(error.to_string()),
        }
    }

    /// What it means for a request with this verb.
    fn ended(self, verb: &'static str) -> Sent {
        let status = match self {
            Self::Status(status) => status,
            Self::None(why) => return Sent::Failed { why, retry_after: None },
            Self::Late => return late(),
        };
        let causes = || status.details.iter().flat_map(|details| &details.causes);
        // A proxy can put a page of HTML here.
        let why: String = status.message.chars().take(300).collect();
        match status.code {
            404 => Sent::Gone,
            403 if causes().any(|cause| cause.reason == "NamespaceTerminating") => Sent::Gone,
            403 => Sent::Denied(verb),
            400 | 422 => Sent::Invalid(why),
            _ => {
                let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                Sent::Failed { why, retry_after: (seconds > 0).then(|| Duration::from_secs(seconds.into())) }
            }
        }
    }

    /// What it means for a patch: an Event that has gone meanwhile is to be made anew.
    fn patched(self) -> Sent {
        match self.ended("patch") {
            Sent::Gone => Sent::Failed { why: "the Event went away meanwhile".to_owned(), retry_after: None },
            sent => sent,
        }
    }
}

fn late() -> Sent {
    Sent::Failed { why: format!("no answer within {} s", TIMEOUT.as_secs()), retry_after: None }
}

async fn request<T: serde::de::DeserializeOwned>(
    client: &kube::Client,
    method: Method,
    path: &str,
    body: &serde_json::Value,
) -> Result<T, Answer> {
    let media_type = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, media_type)
        .body(body.to_string().into_bytes())
        .map_err(|error| Answer::None(error.to_string()))?;
    match timeout(TIMEOUT, client.request::<T>(request)).await {
        Ok(answer) => answer.map_err(Answer::of),
        Err(_) => Err(Answer::Late),
    }
}
