//! The server under the router: bounded in connections, in the time of a request's head and in the patience with slow
//! readers.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::serve::Listener;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::task::{AbortHandle, JoinSet};
use tower::ServiceExt;

use super::stall::StallGuard;

/// What a client may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, over all listeners. One more cuts the oldest: whoever opens many and says nothing must not
    /// keep the next scrape and the kubelet's liveness probe waiting.
    pub connections: usize,
    /// From the first wait for a request to the end of its head. It bounds idle connections as well, so it must be
    /// longer than a common scrape interval or scrapers connect anew each time.
    pub request_head: Duration,
    /// How long a client may take nothing of an answer.
    pub stalled_write: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// How long answers under way may go on after a shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            request_head: Duration::from_secs(45),
            stalled_write: Duration::from_secs(20),
            head_bytes: 16 * 1024,
            drain: Duration::from_secs(10),
        }
    }
}

/// Serve on all listeners until `shutdown` is done; then let the answers under way end, within [`Limits::drain`].
///
/// # Panics
///
/// When a handler panics, so that nothing fails unseen.
pub async fn serve<L: Listener>(
    listeners: Vec<L>,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    if listeners.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no address to listen at"));
    }
    let service =
        TowerToHyperService::new(router.map_request(|request: hyper::Request<Incoming>| request.map(Body::new)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.request_head).max_buf_size(limits.head_bytes.max(8192));

    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    // In the order of their beginning.
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    let mut accepting: FuturesUnordered<_> = listeners.into_iter().map(accept).collect();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => observe(ended),
            Some((listener, io)) = accepting.next() => {
                open.retain(|connection| !connection.is_finished());
                if open.len() >= limits.connections.max(1)
                    && let Some(oldest) = open.pop_front()
                {
                    tracing::debug!("too many connections: the oldest is cut");
                    oldest.abort();
                }
                let io = TokioIo::new(StallGuard::new(io, limits.stalled_write));
                let connection = graceful.watch(http.serve_connection(io, service.clone()));
                let task = connections.spawn(async move {
                    // What goes wrong here is the client's: it hung up, was too slow, or does not speak HTTP.
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                });
                open.push_back(task);
                accepting.push(accept(listener));
            }
        }
    }
    drop(accepting);
    let drained = async {
        graceful.shutdown().await;
        while let Some(ended) = connections.join_next().await {
            observe(ended);
        }
    };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!("some clients did not take their answer in time; their connections are cut");
    }
    Ok(())
}

/// The next connection of a listener.
async fn accept<L: Listener>(mut listener: L) -> (L, L::Io) {
    let (io, _) = listener.accept().await;
    (listener, io)
}

/// A panic in a handler goes on here instead of ending with its task.
fn observe(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
