//! `/-/reload`: hands on the wish to read the config file again, as Prometheus does with `--web.enable-lifecycle`.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use tokio::sync::{mpsc, oneshot};

use super::{Faces, text};

/// Where.
pub(super) const PATH: &str = "/-/reload";

/// Somebody wants the config read again.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Where to tell what came of it, in words.
    pub reply: oneshot::Sender<Result<String, String>>,
}

/// Whoever reads the config again.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::Sender<ReloadRequest>);

impl Reloader {
    /// Requests go there, one at a time.
    pub fn new(requests: mpsc::Sender<ReloadRequest>) -> Self {
        Self(requests)
    }
}

/// Have the config read again, and tell what came of it.
pub(super) async fn reload(State(faces): State<Faces>, headers: HeaderMap) -> Response {
    // A page of another site can make a browser send this request: browsers say so (Fetch Metadata, W3C).
    let site = headers.get("sec-fetch-site").map(axum::http::HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return text(StatusCode::FORBIDDEN, "not from another site\n");
    }
    let gone = || text(StatusCode::SERVICE_UNAVAILABLE, "the daemon stops\n");
    let Some(Reloader(requests)) = faces.reloader else { return gone() };
    let (reply, answer) = oneshot::channel();
    if requests.send(ReloadRequest { reply }).await.is_err() {
        return gone();
    }
    match answer.await {
        Ok(Ok(told)) => text(StatusCode::OK, format!("{told}\n")),
        Ok(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload the config: {error}\n")),
        Err(_) => gone(),
    }
}
