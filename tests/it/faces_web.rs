//! The HTTP face, over a real socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use pull_patrol::cluster::Resource;
use pull_patrol::metrics::{BuildInfo, DaemonMetrics};
use pull_patrol::outlook::Snapshot;
use pull_patrol::web::{Faces, Limits, router, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::faces_fixture::{credential, hostile, telling};

/// A server on a free port, and the channel that feeds it.
struct Server {
    address: std::net::SocketAddr,
    snapshots: watch::Sender<Arc<Snapshot>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(snapshot: Snapshot, limits: Limits) -> Self {
        let (snapshots, receiver) = watch::channel(Arc::new(snapshot));
        let metrics = DaemonMetrics::new(BuildInfo::compiled()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let app = router(Faces::new(receiver, Arc::new(metrics)));
        let task = tokio::spawn(serve(vec![listener], app, limits, async {
            let _ = stopped.await;
        }));
        Self { address, snapshots, stop, task }
    }

    async fn with(snapshot: Snapshot) -> Self {
        Self::start(snapshot, Limits::default()).await
    }

    async fn ask(&self, head: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&bytes)
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1")).await
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = bytes[end + 4..].to_vec();
        if head.contains("transfer-encoding: chunked") && !body.is_empty() {
            body = unchunk(&body);
        }
        Self { status, head, body }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

fn synced() -> Snapshot {
    let mut snapshot = telling();
    snapshot.daemon.synced = Resource::ALL.map(|resource| (resource, true)).to_vec();
    snapshot
}

#[tokio::test]
async fn liveness_depends_on_nothing() {
    let server = Server::with(Snapshot::default()).await;
    for path in ["/livez", "/healthz"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.text()), (200, "ok\n"), "{path}");
    }
    assert_eq!(server.get("/livez?verbose").await.text(), "[+]ping ok\nlivez check passed\n");
}

#[tokio::test]
async fn readiness_is_a_complete_inventory_that_was_looked_at() {
    let server = Server::with(Snapshot::default()).await;
    let answer = server.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().starts_with("[-]snapshot failed: none was computed yet\n[-]inventory/secrets failed: "),
        "{}",
        answer.text()
    );

    server.snapshots.send_replace(Arc::new(telling()));
    let answer = server.get("/readyz?verbose").await;
    assert_eq!(answer.status, 503);
    let expected = "[+]snapshot ok\n[+]inventory/secrets ok\n[+]inventory/pods ok\n\
                    [-]inventory/serviceaccounts failed: the first list has not arrived yet\n[+]inventory/deployments ok\n";
    assert!(answer.text().starts_with(expected), "{}", answer.text());
    assert!(answer.text().ends_with("\nreadyz check failed\n"));

    server.snapshots.send_replace(Arc::new(synced()));
    assert_eq!(server.get("/readyz").await.text(), "ok\n");
    let verbose = server.get("/readyz?verbose=1").await;
    assert_eq!(verbose.status, 200);
    assert!(verbose.text().contains("[+]inventory/serviceaccounts ok\n"));
    assert!(verbose.text().ends_with("\nreadyz check passed\n"));
}

#[tokio::test]
async fn only_get_and_head() {
    let server = Server::with(telling()).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        for path in ["/", "/metrics", "/livez", "/api/v1/credentials", "/nowhere"] {
            let answer = server.ask(&format!("{method} {path} HTTP/1.1")).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("get, head")), "{method} {path}");
        }
    }
    let head = server.ask("HEAD /metrics HTTP/1.1").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let lost = server.get("/api/v1/nothing").await;
    assert_eq!(
        (lost.status, lost.text(), lost.header("content-type")),
        (404, "not found\n", Some("text/plain; charset=utf-8"))
    );
}

#[tokio::test]
async fn a_body_is_refused() {
    let server = Server::with(telling()).await;
    let answer = server.ask("GET /metrics HTTP/1.1\r\nContent-Length: 3").await;
    assert_eq!(answer.status, 413);
    let answer = server.ask("GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked").await;
    assert_eq!(answer.status, 413);
    assert_eq!(server.ask("GET /livez HTTP/1.1\r\nContent-Length: 0").await.status, 200);
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let server = Server::with(telling()).await;
    for path in ["/", "/metrics", "/readyz", "/nowhere", "/api/v1/workloads", "/?status=nonsense"] {
        let answer = server.get(path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("set-cookie"), None, "{path}");
    }
}

#[tokio::test]
async fn the_exposition_plain_and_compressed() {
    let server = Server::with(telling()).await;
    let plain = server.get("/metrics").await;
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(plain.header("content-encoding"), None);
    let compressed = server.ask("GET /metrics HTTP/1.1\r\nAccept-Encoding: gzip").await;
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*compressed.body), &mut text).unwrap();
    for text in [plain.text(), &text] {
        assert!(text.contains("pullsecret_credential_status{secret_namespace=\"tools\",secret_name=\"revoked\",registry=\"ghcr.io\",status=\"rejected\"} 1\n"));
        assert!(text.contains("\npullpatrol_leader 1\n"));
    }

    let mut without = telling();
    without.credentials.retain(|row| &*row.secret_name != "revoked");
    server.snapshots.send_replace(Arc::new(without));
    assert!(
        !server.get("/metrics").await.text().contains("revoked"),
        "a Secret that is gone is gone at the next scrape"
    );
}

fn names(answer: &Answer, rows: &str, name: &str) -> Vec<String> {
    let document = answer.json();
    document[rows].as_array().unwrap().iter().map(|row| row[name].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_api_filters() {
    let server = Server::with(telling()).await;
    let all = server.get("/api/v1/credentials").await;
    assert_eq!(all.header("content-type"), Some("application/json"));
    let document = all.json();
    assert_eq!(document["version"], 1);
    assert_eq!(document["generated_at"], "2026-11-24T11:00:00Z");
    assert_eq!(document["credentials"].as_array().unwrap().len(), 10);
    assert_eq!(document["findings"][0]["finding"], "no_entries");
    assert_eq!(document["problems"][0]["source"], "manifests/apps.yaml");
    assert_eq!(document["summary"]["credentials"]["valid"], 1);

    for (query, expected) in [
        ("status=rejected", &["revoked"][..]),
        ("namespace=tools&severity=warning", &["empty-user", "fine-grained", "revoked"]),
        ("severity=critical", &["expired-last-week", "mangled", "no-package-access"]),
        ("registry=ghcr.io%2Facme", &["no-package-access"]),
        ("q=REVOKED", &["revoked"]),
        ("q=expires_soon", &["ghcr-pull"]),
        ("status=blocked", &[]),
        (
            "namespace=&q=",
            &[
                "expired-last-week",
                "ghcr-pull",
                "mangled",
                "no-package-access",
                "scopeless",
                "ignored",
                "empty-user",
                "fine-grained",
                "registry-away",
                "revoked",
            ],
        ),
    ] {
        let answer = server.get(&format!("/api/v1/credentials?{query}")).await;
        assert_eq!(names(&answer, "credentials", "secret_name"), expected, "{query}");
    }
    for (query, expected) in [
        ("status=blocked", &["web"][..]),
        ("status=expired", &["web"]),
        ("status=unverified", &["tool"]),
        ("q=acme%2Flater", &["later"]),
        ("severity=warning", &["later", "web", "worker"]),
        ("namespace=elsewhere", &[]),
    ] {
        let answer = server.get(&format!("/api/v1/workloads?{query}")).await;
        assert_eq!(names(&answer, "workloads", "workload_name"), expected, "{query}");
    }
    for query in ["status=nonsense", "severity=bad", "namespce=ci", "q=a&q=b"] {
        for path in ["/api/v1/credentials", "/api/v1/workloads", "/"] {
            assert_eq!(server.get(&format!("{path}?{query}")).await.status, 400, "{path}?{query}");
        }
    }
}

#[tokio::test]
async fn the_api_says_what_check_says() {
    let server = Server::with(telling()).await;
    let mut out = Vec::new();
    pull_patrol::cli::document::write_json(&telling(), &mut out).unwrap();
    let checked: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let always = ["problems", "missing_permissions", "summary"];
    for (rows, findings) in [("credentials", &["findings"][..]), ("workloads", &[])] {
        let others = [findings, &always].concat();
        let document = server.get(&format!("/api/v1/{rows}")).await.json();
        for member in others.iter().chain(&[rows, "version", "generated_at"]) {
            assert_eq!(document[member], checked[member], "{rows}: {member}");
        }
        assert_eq!(document.as_object().unwrap().len(), others.len() + 3);
    }
}

#[tokio::test]
async fn a_big_inventory_is_cut_on_the_page_and_whole_in_the_api() {
    let mut snapshot = Snapshot { generated_at: telling().generated_at, ..Snapshot::default() };
    for number in 0..1_200 {
        snapshot.credentials.push(credential(
            "ci",
            &format!("s-{number:04}"),
            "ghcr.io",
            pull_patrol::verdict::Status::Valid,
        ));
    }
    let server = Server::with(snapshot).await;
    let page = server.get("/?namespace=ci").await;
    assert_eq!(page.text().matches(">s-").count(), 500);
    assert!(page.text().contains(
        "The first 500 of 1200 are shown. All of them are in <a href=\"/api/v1/credentials?namespace=ci\">the API</a>."
    ));
    let document = server.get("/api/v1/credentials?namespace=ci").await;
    assert_eq!(names(&document, "credentials", "secret_name").len(), 1_200);
}

#[tokio::test]
async fn the_page() {
    let server = Server::with(telling()).await;
    let page = server.get("/?namespace=ci&status=expired").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let html = page.text().split_once("</style>").unwrap().1.replace("><", ">\n<");
    insta::assert_snapshot!(html);
}

#[tokio::test]
async fn the_page_shows_the_worst_first() {
    let server = Server::with(telling()).await;
    let page = server.get("/").await;
    let credentials = page.text().split_once("id=\"credentials\"").unwrap().1;
    let at = |text: &str| credentials.find(text).unwrap_or_else(|| panic!("{text} is not on the page"));
    assert!(at("expired-last-week") < at("revoked"));
    assert!(at("revoked") < at("ghcr-pull"));
    assert!(at("ghcr-pull") < at("registry.elsewhere.example"));
    assert!(page.text().contains("{apiGroups: [&quot;&quot;], resources: [&quot;serviceaccounts&quot;], verbs: [&quot;list&quot;, &quot;watch&quot;]}"));
}

#[tokio::test]
async fn hostile_text_stays_text() {
    let server = Server::with(hostile()).await;
    for path in ["/", "/?q=%3Cscript%3E%22", "/api/v1/credentials", "/api/v1/workloads"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        if path.starts_with("/api") {
            answer.json();
        } else {
            let html = answer.text();
            assert!(!html.contains("<script"), "{path}");
            assert_eq!(html.chars().find(|c| *c != '\n' && (c.is_control() || *c == '\u{202e}')), None, "{path}");
        }
    }
    assert!(server.get("/?q=%3Cscript%3E%22").await.text().contains("value=\"&lt;script&gt;&quot;\""));
}

#[tokio::test]
async fn an_unfinished_request_is_cut() {
    let limits = Limits { request_head: Duration::from_millis(50), ..Limits::default() };
    let server = Server::start(telling(), limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    let mut bytes = Vec::new();
    // It ends, however slowly this machine goes: a server without the limit would wait for ever.
    let _ = stream.read_to_end(&mut bytes).await;
    assert!(!String::from_utf8_lossy(&bytes).contains("200 OK"));
    assert_eq!(server.get("/livez").await.status, 200);
}

#[tokio::test]
async fn many_silent_connections_keep_nobody_waiting() {
    let limits = Limits { connections: 8, request_head: Duration::from_secs(3600), ..Limits::default() };
    let server = Server::start(telling(), limits).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    // Without room for it this would wait for an hour.
    assert_eq!(server.get("/livez").await.status, 200);
    let mut byte = [0; 1];
    assert_eq!(silent[0].read(&mut byte).await.unwrap_or(0), 0, "the oldest was cut");
}

#[tokio::test]
async fn a_head_without_end_is_cut() {
    let server = Server::with(telling()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut sent = 0;
    let line = [b'a'; 1000];
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nx: ").await;
    while sent < 10_000_000 && stream.write_all(&line).await.is_ok() {
        sent += line.len();
    }
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    assert!(sent < 10_000_000, "the server took all of it");
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_and_the_server() {
    let server = Server::with(telling()).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut byte = [0; 1024];
    assert!(idle.read(&mut byte).await.unwrap() > 0);
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
    assert_eq!(idle.read(&mut byte).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn no_address_is_an_error() {
    let error = serve(Vec::<TcpListener>::new(), axum::Router::new(), Limits::default(), std::future::pending()).await;
    assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
