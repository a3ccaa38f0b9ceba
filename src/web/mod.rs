//! The HTTP face: `/metrics`, health, the JSON API and the status page, all of one snapshot.
//!
//! This room shows and never judges; it reads nothing from a request but its path and query, changes nothing, sets no
//! cookie, and contacts nobody. No handler waits for an exchange or for a lock that is held across one.

mod api;
mod explain;
mod filter;
mod guard;
mod health;
mod page;
mod scrape;
mod secure;
mod server;
mod stall;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use crate::metrics::{DaemonMetrics, Exposition};
use crate::outlook::Snapshot;

pub use explain::{Explained, Explainer};
pub use filter::{Filter, FilterError};
pub use secure::{Secure, SecureError, TlsError};
pub use server::{Limits, serve, serve_secure};

/// What the handlers read from: cheap to clone.
#[derive(Clone, Debug)]
pub struct Faces {
    snapshot: watch::Receiver<Arc<Snapshot>>,
    exposition: Arc<Exposition>,
    explainer: Option<Explainer>,
}

impl Faces {
    /// The faces of a stream of snapshots. Until the first is computed the channel holds [`Snapshot::default`], whose
    /// `generated_at` is the epoch.
    pub fn new(snapshot: watch::Receiver<Arc<Snapshot>>, metrics: Arc<DaemonMetrics>) -> Self {
        Self { snapshot, exposition: Arc::new(Exposition::new(metrics)), explainer: None }
    }

    /// With someone who explains; without, `/api/v1/explain` is 503.
    #[must_use]
    pub fn explained_by(mut self, explainer: Explainer) -> Self {
        self.explainer = Some(explainer);
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

/// All paths. Only GET and HEAD are answered, everywhere.
pub fn router(faces: Faces) -> Router {
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
        .with_state(faces)
}

async fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "not found\n")
}

/// An answer in plain text.
fn text(status: StatusCode, body: impl Into<String>) -> Response {
    (status, [("content-type", "text/plain; charset=utf-8")], body.into()).into_response()
}
