//! Listening sockets: those of the world's hosts, and the trap that must never be touched.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::host::Host;
use crate::state::Shared;
use crate::{router, wire};

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: choose another port, or 0 for any free one"))?;
    let bound = listener.local_addr().context("the socket has no address")?;
    Ok((listener, bound))
}

/// Serves one host until the handle is aborted; its open connections end with it.
pub(crate) fn spawn(listener: TcpListener, host: Host, shared: Arc<Shared>) -> AbortHandle {
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else {
                        // Out of file descriptors, say: others must get to run before it can be better.
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    };
                    let connection = shared.lock().count_connection(host);
                    shared.changed.notify_waiters();
                    connections.spawn(serve(stream, host, connection, Arc::clone(&shared)));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    })
    .abort_handle()
}

async fn serve(mut stream: TcpStream, host: Host, connection: u64, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    loop {
        let mut request = match wire::read_request(&mut stream, &mut buffer).await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(error) => return wire::refuse(&mut stream, &error).await,
        };
        request.keep_alive &= !shared.lock().closes;
        let reply = router::answer(&shared, host, connection, &request).await;
        if !matches!(wire::send(&mut stream, &request, &reply).await, Ok(true)) {
            return;
        }
    }
}

/// A socket that counts who connects and never answers: for addresses that must not be contacted.
///
/// ```no_run
/// # async fn test() -> anyhow::Result<()> {
/// let trap = simulator::TrapListener::start().await?;
/// // ... point a hostile registry at trap.url(), run the code under test ...
/// assert_eq!(trap.connections(), 0);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TrapListener {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    task: AbortHandle,
}

impl TrapListener {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> anyhow::Result<Self> {
        Self::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens on a given address, such as `127.0.0.2:0` or `[::1]:0`.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let (listener, address) = bind(address).await?;
        let connections = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    counter.fetch_add(1, Ordering::SeqCst);
                    held.push(stream);
                }
            }
        });
        Ok(Self { address, connections, task: task.abort_handle() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// TCP connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for TrapListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}
