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
use hyper::server::conn::{http1, http2};
use hyper::service::Service as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::guard;
use super::idle::UnderWay;
use super::secure::Secure;
use super::stall::StallGuard;

/// How long a client may take for its part of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Requests under way at once on one connection of HTTP/2.
const STREAMS: u32 = 16;
/// How often a silent connection of HTTP/2 is asked whether anybody is there, and how long for an answer.
const PING: Duration = Duration::from_secs(20);

/// How long a connection of HTTP/2 lives: it answers pings however little it takes of an answer, so nothing else would end it.
/// Its client is told to open another one.
const LIFE: Duration = Duration::from_secs(600);

/// What a client may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, over all listeners. One more cuts the oldest: whoever opens many and says nothing must not
    /// keep the next scrape and the kubelet's liveness probe waiting.
    pub connections: usize,
    /// From the first wait for a request to the end of its head. It bounds idle connections as well (in HTTP/2 those without a
    /// request under way), so it must be longer than a common scrape interval or scrapers connect anew each time.
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

impl Limits {
    /// For a port that answers questions of health alone, which a kubelet and a balancer ask now and then: everybody else of the few
    /// it can have at once makes room for them.
    #[must_use]
    pub fn of_health() -> Self {
        Self { connections: 16, ..Self::default() }
    }

    /// For a process that may open so many files: clients take a quarter of them at most, so that enough is left for the
    /// API server, registries, issuers and their resolver. Where none is left, a client who leaves cannot be told from one
    /// who stays, since nobody new is let in to cut the oldest.
    #[must_use]
    pub fn within(self, descriptors: u64) -> Self {
        let quarter = usize::try_from(descriptors / 4).unwrap_or(usize::MAX);
        Self { connections: self.connections.min(quarter.max(4)), ..self }
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
    serve_secure(listeners, router, limits, None, shutdown).await
}

/// The same, with TLS, users and headers as a web config file says.
///
/// # Panics
///
/// When a handler panics, so that nothing fails unseen.
pub async fn serve_secure<L: Listener>(
    listeners: Vec<L>,
    router: Router,
    limits: Limits,
    secure: Option<Secure>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    if listeners.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no address to listen at"));
    }
    let router = match &secure {
        Some(secure) => router.layer(axum::middleware::from_fn_with_state(secure.clone(), guard::secured)),
        None => router,
    };
    let service =
        TowerToHyperService::new(router.map_request(|request: hyper::Request<Incoming>| request.map(Body::new)));
    let http = Http::new(limits);

    let stop = CancellationToken::new();
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
                let io = StallGuard::new(io, limits.stalled_write);
                let (http, service, secure) = (http.clone(), service.clone(), secure.clone());
                open.push_back(connections.spawn(http.connection(io, service, secure, stop.clone())));
                accepting.push(accept(listener));
            }
        }
    }
    drop(accepting);
    let drained = async {
        stop.cancel();
        while let Some(ended) = connections.join_next().await {
            observe(ended);
        }
    };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!("some clients did not take their answer in time; their connections are cut");
    }
    Ok(())
}

/// How HTTP is spoken.
#[derive(Clone)]
struct Http {
    one: http1::Builder,
    two: http2::Builder<TokioExecutor>,
    /// How long a connection of HTTP/2 may ask for nothing.
    idle: Duration,
    drain: Duration,
}

impl Http {
    fn new(limits: Limits) -> Self {
        let mut one = http1::Builder::new();
        one.timer(TokioTimer::new()).header_read_timeout(limits.request_head).max_buf_size(limits.head_bytes.max(8192));
        let mut two = http2::Builder::new(TokioExecutor::new());
        two.timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        Self { one, two, idle: limits.request_head, drain: limits.drain }
    }

    /// One connection, from its first byte to its last. What goes wrong here is the client's: it hung up, was too slow, or
    /// speaks something else.
    async fn connection<I, S>(
        self,
        io: I,
        service: TowerToHyperService<S>,
        secure: Option<Secure>,
        stop: CancellationToken,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: tower::Service<hyper::Request<Incoming>, Response = axum::response::Response> + Clone + Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
    {
        let tls = match &secure {
            Some(secure) => secure.current().await.tls.clone(),
            None => None,
        };
        let ended = match tls {
            None => self.speak_one(io, service, stop).await,
            Some(tls) => {
                let stream = match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(io)).await {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => return tracing::debug!("a TLS handshake took too long"),
                };
                let speaks_two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                if speaks_two {
                    self.speak_two(stream, service, stop).await
                } else {
                    self.speak_one(stream, service, stop).await
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    /// HTTP/2, until the client has enough, has asked for nothing for too long or has been here for too long, or `stop`.
    async fn speak_two<I, S>(
        &self,
        io: I,
        service: TowerToHyperService<S>,
        stop: CancellationToken,
    ) -> Result<(), hyper::Error>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: tower::Service<hyper::Request<Incoming>, Response = axum::response::Response> + Clone + Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
    {
        let under_way = UnderWay::new();
        let counted = hyper::service::service_fn(|request| {
            let (held, answer) = (under_way.hold(), service.call(request));
            async move { Ok::<_, S::Error>(answer.await?.map(|body| held.with(body))) }
        });
        let mut connection = std::pin::pin!(self.two.serve_connection(TokioIo::new(io), counted));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stop.cancelled() => {}
            () = under_way.idle_for(self.idle) => {}
            () = sleep(LIFE) => {}
        }
        connection.as_mut().graceful_shutdown();
        // Whoever is in the middle of an answer may take the rest of it.
        tokio::time::timeout(self.drain, connection).await.unwrap_or(Ok(()))
    }

    /// HTTP/1.1, until the client has enough or `stop`.
    async fn speak_one<I, S>(
        &self,
        io: I,
        service: TowerToHyperService<S>,
        stop: CancellationToken,
    ) -> Result<(), hyper::Error>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: tower::Service<hyper::Request<Incoming>, Response = axum::response::Response> + Clone + Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
    {
        let mut connection = std::pin::pin!(self.one.serve_connection(TokioIo::new(io), service));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }
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
