//! What a client of HTTP/2 may cost: how long a connection may be idle, how long it lives, how many requests it has under way.
//!
//! Client and server are joined in memory and time is not waited for, so each bound is seen to the second. The client writes its
//! frames by itself, since no library would do what is wrong here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use pull_patrol::metrics::{BuildInfo, DaemonMetrics};
use pull_patrol::web::{Faces, Limits, Secure, router, serve_secure};
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::faces_fixture::telling;
use crate::support::real::install_tls_provider;
use crate::web_secure::{Authority, TLS};

/// How a client of HTTP/2 begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Kinds of frames (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// Flags of frames.
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// The error code of a request that was not looked at.
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
/// The setting of how much of an answer may come unasked, with nothing.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

/// Gives the server the connections that a test opens.
struct Door(mpsc::Receiver<DuplexStream>);

impl Listener for Door {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(io) => (io, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Server {
    door: mpsc::Sender<DuplexStream>,
    roots: rustls::RootCertStore,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        install_tls_provider();
        let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
        let (certificate, key) = authority.issue(&["localhost"]);
        for (name, text) in [("tls.crt", &*certificate), ("tls.key", &key), ("web.yml", TLS)] {
            std::fs::write(folder.path().join(name), text).expect("writable");
        }
        let secure = Secure::load(&folder.path().join("web.yml")).expect("a web config that holds");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.anchor()).expect("an anchor");
        let (_, receiver) = watch::channel(Arc::new(telling()));
        let metrics = DaemonMetrics::new(BuildInfo::compiled()).expect("metrics");
        let app = router(Faces::new(receiver, Arc::new(metrics)));
        let ((door, doors), (stop, stopped)) = (mpsc::channel(1), oneshot::channel::<()>());
        let task = tokio::spawn(serve_secure(vec![Door(doors)], app, Limits::default(), Some(secure), async {
            let _ = stopped.await;
        }));
        Self { door, roots, stop, task, _folder: folder }
    }

    /// A connection with TLS that speaks this protocol, over which nothing was said.
    async fn connect(&self, protocol: &str) -> Client {
        let (near, far) = duplex(64 * 1024);
        self.door.send(far).await.expect("the server listens");
        let mut config =
            rustls::ClientConfig::builder().with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
        let io = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, near).await.expect("TLS");
        assert_eq!(io.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        Client { io, answers: true }
    }

    /// A client that has said which settings it has, and so is one.
    async fn client(&self, settings: &[u8]) -> Client {
        let mut client = self.connect("h2").await;
        client.say(PREFACE).await;
        client.send(SETTINGS, 0, 0, settings).await;
        client
    }
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

struct Client {
    io: TlsStream<DuplexStream>,
    /// Whether it answers settings and pings.
    answers: bool,
}

impl Client {
    async fn say(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.expect("the server reads");
        self.io.flush().await.expect("the server reads");
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.say(&[&head, payload].concat()).await;
    }

    async fn get(&mut self, stream: u32, path: &str) {
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &head(path)).await;
    }

    /// The next frame, after an answer to what demands one; `None` where the server hung up.
    async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.io.read_exact(&mut payload).await.ok()?;
        if self.answers && [SETTINGS, PING].contains(&kind) && flags & ACK == 0 {
            let echo = if kind == PING { payload.clone() } else { Vec::new() };
            let length = u8::try_from(echo.len()).expect("a ping has 8 bytes");
            let answer = [&[0, 0, length, kind, ACK, 0, 0, 0, 0][..], &echo].concat();
            // It may have hung up meanwhile, as the next read tells.
            let _ = self.io.write_all(&answer).await;
            let _ = self.io.flush().await;
        }
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Read to the end of an answer.
    async fn answered(&mut self, stream: u32) {
        loop {
            let frame = self.frame().await.expect("an answer");
            if frame.stream == stream && frame.flags & END_STREAM != 0 {
                return;
            }
            assert_ne!(frame.kind, RST_STREAM, "{frame:?}");
        }
    }

    /// Ask for nothing for so many seconds.
    async fn rest(&mut self, seconds: u64) {
        let rest = async { while self.frame().await.is_some() {} };
        assert!(timeout(Duration::from_secs(seconds), rest).await.is_err(), "the server hung up");
    }

    /// Read until the server hangs up: what it said, and how long that took in whole seconds.
    async fn until_closed(&mut self) -> (Vec<Frame>, u64) {
        let (start, mut frames) = (Instant::now(), Vec::new());
        while let Some(frame) = self.frame().await {
            frames.push(frame);
        }
        (frames, start.elapsed().as_secs())
    }
}

/// The head of a request (RFC 7541: three pairs of the static table, the path as a literal).
fn head(path: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).expect("a short text");
    let authority = "localhost";
    let literals = [&[0x04, length(path)], path.as_bytes(), &[0x01, length(authority)], authority.as_bytes()];
    [&[0x82, 0x87][..], &literals.concat()].concat()
}

/// As many seconds as [`Limits::request_head`] and [`Limits::drain`] have by default.
const IDLE: u64 = 45;
const DRAIN: u64 = 10;
/// Seconds to a ping, and from it to the end where nobody answers.
const PING_TIME: u64 = 20;

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_in_either_protocol() {
    let server = Server::start();
    let mut one = server.connect("http/1.1").await;
    one.say(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let (start, mut answer) = (Instant::now(), Vec::new());
    // A server that closes without a word at the end of TLS is one that hung up.
    let _ = one.io.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(start.elapsed().as_secs(), IDLE);

    let mut two = server.client(&[]).await;
    // Each request begins the time anew.
    for stream in [1, 3, 5] {
        two.rest(IDLE - 5).await;
        two.get(stream, "/livez").await;
        two.answered(stream).await;
    }
    let (said, took) = two.until_closed().await;
    assert_eq!(took, IDLE);
    // It says so before, with no error, and a client that pools connections opens another one.
    let goodbye = said.iter().filter(|frame| frame.kind == GOAWAY).collect::<Vec<_>>();
    assert!(!goodbye.is_empty() && goodbye.iter().all(|frame| frame.payload[4..8] == [0; 4]), "{said:?}");
}

#[rstest]
#[case::nothing(&[], &[])]
#[case::half_a_preface(&PREFACE[..9], &[])]
#[case::no_request(PREFACE, &[(SETTINGS, 0, 0)])]
#[case::half_a_head(PREFACE, &[(SETTINGS, 0, 0), (HEADERS, END_STREAM, 1)])]
#[tokio::test(start_paused = true)]
async fn whoever_never_ends_a_request_is_cut(#[case] preface: &[u8], #[case] frames: &[(u8, u8, u32)]) {
    let server = Server::start();
    let mut client = server.connect("h2").await;
    // Nothing may come between the frames of a head, and nothing before the preface.
    client.answers = preface == PREFACE && frames.len() == 1;
    client.say(preface).await;
    for (kind, flags, stream) in frames {
        let payload = if *kind == HEADERS { head("/livez") } else { Vec::new() };
        client.send(*kind, *flags, *stream, &payload).await;
    }
    let (said, took) = client.until_closed().await;
    let least = if client.answers { IDLE } else { 2 * PING_TIME };
    assert!((least..=IDLE + DRAIN).contains(&took), "{took}: {said:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_answers_no_ping_is_gone() {
    let server = Server::start();
    let mut client = server.client(&NO_WINDOW).await;
    client.answers = false;
    client.get(1, "/metrics").await;
    assert_eq!(client.until_closed().await.1, 2 * PING_TIME);
}

/// A body is read by nobody: the answer comes at once, and what follows of the request keeps nothing open.
#[tokio::test(start_paused = true)]
async fn a_body_without_end_keeps_nothing_open() {
    let server = Server::start();
    let mut client = server.client(&[]).await;
    client.send(HEADERS, END_HEADERS, 1, &head("/livez")).await;
    client.answered(1).await;
    let start = Instant::now();
    loop {
        let frame = [&[0, 0, 1, DATA, 0, 0, 0, 0, 1][..], b"x"].concat();
        if client.io.write_all(&frame).await.is_err() || client.io.flush().await.is_err() {
            break;
        }
        if let Ok(None) = timeout(Duration::from_secs(1), client.frame()).await {
            break;
        }
        assert!(start.elapsed().as_secs() <= IDLE + DRAIN, "still open");
    }
}

#[tokio::test(start_paused = true)]
async fn no_connection_lives_for_ever() {
    let server = Server::start();
    // One that never takes its answer, and one that goes on asking.
    let (mut taker, mut asker) = (server.client(&NO_WINDOW).await, server.client(&[]).await);
    taker.get(1, "/metrics").await;
    let asks = async {
        let start = Instant::now();
        for stream in (1..).step_by(2) {
            asker.get(stream, "/livez").await;
            while let Some(frame) = asker.frame().await {
                if frame.kind == GOAWAY {
                    return start.elapsed().as_secs();
                }
                if frame.stream == stream && frame.flags & END_STREAM != 0 {
                    break;
                }
            }
            sleep(Duration::from_secs(20)).await;
        }
        unreachable!("streams do not run out")
    };
    let ((_, took), told) = tokio::join!(taker.until_closed(), asks);
    assert_eq!(took, 600 + DRAIN);
    assert!((600..=600 + 20).contains(&told), "{told}");
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_at_once_are_refused() {
    let server = Server::start();
    let mut client = server.client(&NO_WINDOW).await;
    let streams: Vec<u32> = (0..20).map(|number| 2 * number + 1).collect();
    for stream in &streams {
        client.get(*stream, "/metrics").await;
    }
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    while taken.len() + refused.len() < streams.len() {
        let frame = client.frame().await.expect("the connection stays");
        match frame.kind {
            HEADERS => taken.push(frame.stream),
            RST_STREAM => {
                assert_eq!(frame.payload, REFUSED_STREAM);
                refused.push(frame.stream);
            }
            _ => {}
        }
    }
    taken.sort_unstable();
    assert_eq!((&*taken, &*refused), (&streams[..16], &streams[16..]));
    // Nobody else has less for it.
    let mut other = server.client(&[]).await;
    other.get(1, "/livez").await;
    other.answered(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_answers_end_and_waits_for_nobody_for_long() {
    let server = Server::start();
    let mut idle = server.client(&[]).await;
    idle.get(1, "/livez").await;
    idle.answered(1).await;
    let mut reader = server.client(&NO_WINDOW).await;
    reader.get(1, "/livez").await;
    while reader.frame().await.expect("the head of an answer").kind != HEADERS {}
    let mut silent = server.client(&NO_WINDOW).await;
    silent.get(1, "/metrics").await;
    while silent.frame().await.expect("the head of an answer").kind != HEADERS {}

    let start = Instant::now();
    server.stop.send(()).expect("it runs");
    let ends = async {
        server.task.await.expect("no panic").expect("no error");
        start.elapsed().as_secs()
    };
    let reads = async {
        sleep(Duration::from_secs(5)).await;
        // WINDOW_UPDATE, of the answer alone.
        reader.send(8, 0, 1, &1000_u32.to_be_bytes()).await;
        reader.answered(1).await;
        start.elapsed().as_secs()
    };
    let (ended, left, read, (_, cut)) = tokio::join!(ends, idle.until_closed(), reads, silent.until_closed());
    assert_eq!((left.1, read, cut, ended), (0, 5, DRAIN, DRAIN));
}
