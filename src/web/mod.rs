//! The HTTP face: `/metrics`, health, the JSON API and the status page, all of one snapshot.
//!
//! This room shows and never judges; it reads nothing from a request but its path and query, changes nothing (it hands on the
//! wish to read the config again, where that is allowed), sets no
//! cookie, and contacts nobody. No handler waits for an exchange or for a lock that is held across one.

mod api;
mod explain;
mod filter;
mod guard;
mod health;
mod idle;
mod page;
mod reload;
mod scrape;
mod secure;
mod server;
mod stall;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::{DaemonMetrics, Exposition};
use crate::outlook::{Role, Snapshot};

pub use explain::{Explained, Explainer};
pub use filter::{Filter, FilterError};
pub use reload::{ReloadRequest, Reloader};
pub use secure::{Secure, SecureError, TlsError};
pub use server::{Limits, serve, serve_secure};

/// What the handlers read from: cheap to clone.
#[derive(Clone, Debug)]
pub struct Faces {
    snapshot: watch::Receiver<Arc<Snapshot>>,
    exposition: Arc<Exposition>,
    explainer: Option<Explainer>,
    reloader: Option<Reloader>,
    stopping: CancellationToken,
}

impl Faces {
    /// The faces of a stream of snapshots. Until the first is computed the channel holds [`Snapshot::default`], whose
    /// `generated_at` is the epoch.
    pub fn new(snapshot: watch::Receiver<Arc<Snapshot>>, metrics: Arc<DaemonMetrics>) -> Self {
        let exposition = Arc::new(Exposition::new(metrics));
        Self { snapshot, exposition, explainer: None, reloader: None, stopping: CancellationToken::new() }
    }

    /// With someone who explains; without, `/api/v1/explain` is 503.
    #[must_use]
    pub fn explained_by(mut self, explainer: Explainer) -> Self {
        self.explainer = Some(explainer);
        self
    }

    /// With someone who reads the config again; without, `/-/reload` is 404.
    #[must_use]
    pub fn reloaded_by(mut self, reloader: Reloader) -> Self {
        self.reloader = Some(reloader);
        self
    }

    /// No longer ready once this is cancelled.
    #[must_use]
    pub fn stopped_by(mut self, stopping: CancellationToken) -> Self {
        self.stopping = stopping;
        self
    }

    /// Whether every resource was listed once.
    fn is_complete(&self) -> bool {
        let synced = &self.snapshot.borrow().daemon.synced;
        !synced.is_empty() && synced.iter().all(|(_, synced)| *synced)
    }

    /// The snapshot now.
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }
}

/// Health alone, for a port without TLS and users.
pub fn health_router(faces: Faces) -> Router {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/healthz", get(health::livez))
        .route("/readyz", get(health::readyz))
        .fallback(not_found)
        .layer(axum::middleware::from_fn(guard::guard))
        .with_state(faces)
}

/// All paths. Only GET and HEAD are answered, everywhere but at `/-/reload` where somebody reads the config again.
pub fn router(faces: Faces) -> Router {
    let guarded = match &faces.reloader {
        Some(_) => Router::new()
            .route(reload::PATH, post(reload::reload).put(reload::reload))
            .layer(axum::middleware::from_fn(guard::guard_writes)),
        None => Router::new(),
    };
    Router::new()
        .route("/", get(page::index))
        .route("/metrics", get(scrape::metrics))
        .route("/livez", get(health::livez))
        .route("/healthz", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/api/v1/credentials", get(api::credentials))
        .route("/api/v1/workloads", get(api::workloads))
        .route("/api/v1/explain", get(explain::explain))
        .fallback(not_found)
        .layer(axum::middleware::from_fn(guard::guard))
        .merge(guarded)
        .with_state(faces)
}

async fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "not found\n")
}

/// The answer of a replica that stands by: another one knows, and rows that know nothing would contradict it.
fn standing_by(snapshot: &Snapshot) -> Option<Response> {
    let Role::Standby { holder } = &snapshot.daemon.role else { return None };
    let holder = holder.as_deref().unwrap_or("nobody that is known");
    let error = format!("this replica stands by and tells of no credential; the Lease is held by {holder}");
    Some((StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": error }))).into_response())
}

/// An answer in plain text.
fn text(status: StatusCode, body: impl Into<String>) -> Response {
    (status, [("content-type", "text/plain; charset=utf-8")], body.into()).into_response()
}
