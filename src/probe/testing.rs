//! Help for this room's tests: servers that answer any bytes, registries that point at them, names that resolve as told.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Lookup, Prober, Settings};
use crate::clock::Clock;
use crate::credential::{Password, Username};
use crate::plan::Registry;

/// What a server does with a request.
pub(crate) enum Act {
    /// Send and go on.
    Send(Vec<u8>),
    /// Send and close.
    Close(Vec<u8>),
    /// Send and say nothing more.
    Hold(Vec<u8>),
    /// Send, then the second part again and again for as long as it is taken.
    Endless(Vec<u8>, Vec<u8>),
    /// Break the connection without an answer.
    Reset,
}

/// A server on a free loopback port. It ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    /// `answer` gets the head of each request, lower case but for values.
    pub(crate) async fn start(answer: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let (log, count, answer) = (Arc::clone(&heads), Arc::clone(&connections), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                tokio::spawn(async move {
                    let _ = serve(stream, &log, &*answer).await;
                });
            }
        });
        Self { address, heads, connections }
    }

    /// One that nobody may contact.
    pub(crate) async fn trap() -> Self {
        Self::start(|_| Act::Close(reply(200, "content-type: application/json\r\n", "{\"token\":\"trapped\"}"))).await
    }

    pub(crate) fn url(&self, path: &str) -> url::Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<String>>,
    answer: &(dyn Fn(&str) -> Act + Send + Sync),
) -> io::Result<()> {
    let mut pending = Vec::new();
    loop {
        while !pending.windows(4).any(|w| w == b"\r\n\r\n") {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            pending.extend_from_slice(&buffer[..read]);
        }
        let head = String::from_utf8_lossy(&std::mem::take(&mut pending)).into_owned();
        log.lock().unwrap().push(head.clone());
        match answer(&head) {
            Act::Send(bytes) => stream.write_all(&bytes).await?,
            Act::Close(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Act::Hold(bytes) => {
                stream.write_all(&bytes).await?;
                let _ = stream.read(&mut [0]).await?;
                return Ok(());
            }
            Act::Endless(head, more) => {
                stream.write_all(&head).await?;
                loop {
                    stream.write_all(&more).await?;
                }
            }
            Act::Reset => {
                // Dropped with a linger of nothing, a socket sends RST.
                let socket = stream.into_std()?;
                return linger_zero(socket);
            }
        }
    }
}

fn linger_zero(socket: std::net::TcpStream) -> io::Result<()> {
    let stream = TcpStream::from_std(socket)?;
    stream.set_zero_linger()?;
    drop(stream);
    Ok(())
}

/// A whole answer.
pub(crate) fn reply(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub(crate) fn json(status: u16, body: &str) -> Vec<u8> {
    reply(status, "content-type: application/json\r\n", body)
}

/// A registry at any base URL that may be anything and anywhere.
pub(crate) fn registry(host: &str, endpoint: &url::Url) -> Registry {
    Registry {
        entry: host.into(),
        host: host.into(),
        endpoint: endpoint.clone(),
        allowed_hosts: vec![super::client::authority(endpoint)],
        issuer: None,
        plain_http: true,
        ca_file: None,
        allow_private_addresses: true,
        requests_per_second: 10_000.0,
        canary: None,
    }
}

/// Answers lookups from a list, the last one for ever, and counts them.
pub(crate) struct Script {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Script {
    pub(crate) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let answers = answers.iter().map(|list| list.iter().map(|a| a.parse().unwrap()).collect()).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::new(Vec::new()) })
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Lookup for Script {
    fn lookup(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { Ok(answer.unwrap_or_default()) })
    }
}

pub(crate) const NOW: &str = "2026-06-01T12:00:00Z";

/// Long enough for a loopback exchange on a busy machine.
pub(crate) const PATIENT: Duration = Duration::from_secs(10);
/// For exchanges that must run into their time-out.
pub(crate) const HASTY: Duration = Duration::from_millis(200);

pub(crate) fn settings(timeout: Duration, lookup: Arc<dyn Lookup>) -> Settings {
    // A process that has just begun has no burst of requests, and nobody moves the hands any more.
    let age = Duration::from_secs(1);
    let (clock, hands) = Clock::moved_by_hand(NOW.parse::<chrono::DateTime<chrono::Utc>>().unwrap() - age);
    hands.advance(age);
    Settings { clock, lookup, ..Settings::new(timeout) }
}

pub(crate) fn prober() -> Prober {
    Prober::new(settings(PATIENT, Arc::new(super::SystemLookup)))
}

pub(crate) fn user(name: &str) -> Username {
    Username::new(name.into())
}

pub(crate) fn pass(text: &str) -> Password {
    Password::new(text.into())
}
