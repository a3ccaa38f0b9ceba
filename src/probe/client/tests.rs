//! The client against real sockets that misbehave.

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;

use super::*;
use crate::probe::evidence::Unproven;
use crate::probe::testing::{Act, HASTY, PATIENT, Script, Server, json, registry, reply};

fn client(timeout: Duration) -> Client {
    Client::new(timeout, Arc::new(SystemLookup))
}

async fn get_with(client: &Client, registry: &Registry, url: Url, auth: bool) -> Result<Reply, Stop> {
    let auth = auth.then(|| HeaderValue::from_static("Basic c2VjcmV0"));
    client.ask(registry, HostGuard::registry(registry), &Ask::get(url, auth)).await
}

async fn get(server: &Server, timeout: Duration) -> Result<Reply, Stop> {
    let url = server.url("/");
    get_with(&client(timeout), &registry("r.example", &url), url.clone(), false).await
}

async fn why(act: impl Fn(&str) -> Act + Send + Sync + 'static, timeout: Duration) -> Unproven {
    let server = Server::start(act).await;
    get(&server, timeout).await.err().unwrap().why
}

#[tokio::test]
async fn an_answer_comes_back_whole() {
    let server = Server::start(|_| Act::Send(json(403, "{\"a\":1}"))).await;
    let url = server.url("/v2/");
    let registry = registry("r.example", &url);
    let client = client(PATIENT);
    for _ in 0..3 {
        let reply = get_with(&client, &registry, url.clone(), true).await.unwrap();
        assert_eq!(
            (reply.status.as_u16(), reply.body.as_slice(), reply.end),
            (403, &b"{\"a\":1}"[..], BodyEnd::Complete)
        );
    }
    assert_eq!(server.connections(), 1, "connections are kept");
    let head = &server.heads()[0];
    assert!(head.starts_with("GET /v2/ HTTP/1.1\r\n"), "{head}");
    let agent = format!(
        "user-agent: pull-patrol/{} (+https://github.com/pull-patrol/pull-patrol)\r\n",
        env!("CARGO_PKG_VERSION")
    );
    assert!(head.contains(&agent), "{head}");
    assert!(
        head.contains("authorization: Basic c2VjcmV0\r\n") && head.contains("accept: application/json\r\n"),
        "{head}"
    );
    assert!(!head.contains("accept-encoding") && !head.contains("cookie") && !head.contains("referer"), "{head}");
}

#[tokio::test]
async fn a_client_that_was_built_before_goes_by_the_time_out_of_now() {
    let server = Server::start(|_| Act::Send(json(200, "{}"))).await;
    let url = server.url("/v2/");
    let client = client(Duration::ZERO);
    let built = client.client_for(&registry("r.example", &url)).await.unwrap();
    let ask = Ask::get(url.clone(), None);
    assert!(client.once(&built, &ask, &url, false).await.is_err());
    client.set_timeout(PATIENT);
    assert_eq!(client.once(&built, &ask, &url, false).await.unwrap().status.as_u16(), 200);
}

#[tokio::test]
async fn failures_have_their_names() {
    let unreachable = Unproven::Unreachable;
    // Nobody listens on a port that was just given back.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let stop = get_with(&client(PATIENT), &registry("r.example", &url), url.clone(), false).await.err().unwrap();
    assert_eq!(stop.why, unreachable(Unreachable::Connect));
    assert!(stop.detail.contains("refused"), "{}", stop.detail);

    assert_eq!(why(|_| Act::Reset, PATIENT).await, unreachable(Unreachable::Reset));
    assert_eq!(why(|_| Act::Close(vec![]), PATIENT).await, unreachable(Unreachable::Reset));
    assert_eq!(why(|_| Act::Close(b"HTTP/1.1 200 OK\r\nx: ".to_vec()), PATIENT).await, unreachable(Unreachable::Reset));
    assert_eq!(why(|_| Act::Hold(vec![]), HASTY).await, unreachable(Unreachable::Timeout));
    assert_eq!(why(|_| Act::Hold(b"HTTP/1.1 200 OK\r\n".to_vec()), HASTY).await, unreachable(Unreachable::Timeout));
    assert_eq!(why(|_| Act::Close(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()), PATIENT).await, Unproven::Odd("not_http"));
}

#[tokio::test]
async fn names_that_do_not_resolve() {
    let lookup = Script::new(&[&[]]);
    let client = Client::new(PATIENT, Arc::clone(&lookup) as Arc<dyn Lookup>);
    let url: Url = "https://registry.example/v2/".parse().unwrap();
    let stop = get_with(&client, &registry("registry.example", &url), url.clone(), false).await.err().unwrap();
    assert_eq!(stop.why, Unproven::Unreachable(Unreachable::Dns));
    assert_eq!(lookup.asked(), ["registry.example"]);
}

#[tokio::test]
async fn floods_of_headers_end_early() {
    let many = |_: &str| {
        let lines = "x-y: z\r\n".repeat(2000);
        Act::Send(reply(200, &lines, "{}"))
    };
    assert_eq!(why(many, PATIENT).await, Unproven::Odd("oversized"));
    let endless = |_: &str| {
        Act::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x-y: 0123456789abcdef0123456789abcdef\r\n".repeat(50))
    };
    assert_eq!(why(endless, PATIENT).await, Unproven::Odd("oversized"));
    let one_line = |_: &str| Act::Endless(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 4096]);
    assert_eq!(why(one_line, PATIENT).await, Unproven::Odd("oversized"));
    // Few enough lines and a small enough buffer for the parser, yet more than any registry sends.
    let fat = |_: &str| {
        let lines = format!("x-y: {}\r\n", "z".repeat(9000)).repeat(9);
        Act::Send(reply(200, &lines, "{}"))
    };
    assert_eq!(why(fat, PATIENT).await, Unproven::Odd("oversized"));
}

#[tokio::test]
async fn bodies_are_bounded() {
    let limit = "x".repeat(BODY_LIMIT);
    let exact = Server::start(move |_| Act::Send(json(200, &limit))).await;
    let reply_ = get(&exact, PATIENT).await.unwrap();
    assert_eq!((reply_.end, reply_.body.len()), (BodyEnd::Complete, BODY_LIMIT));

    let more = "x".repeat(BODY_LIMIT + 1);
    let over = Server::start(move |_| Act::Send(json(200, &more))).await;
    let reply_ = get(&over, PATIENT).await.unwrap();
    assert_eq!((reply_.end, reply_.body.len()), (BodyEnd::Oversized, BODY_LIMIT));

    let declared = b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n".to_vec();
    let endless = Server::start(move |_| Act::Endless(declared.clone(), vec![b'x'; 4096])).await;
    let reply_ = get(&endless, PATIENT).await.unwrap();
    assert_eq!((reply_.end, reply_.body.len()), (BodyEnd::Oversized, BODY_LIMIT));

    let chunked = b"HTTP/1.1 401 U\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let chunks = Server::start(move |_| Act::Endless(chunked.clone(), b"10\r\n0123456789abcdef\r\n".to_vec())).await;
    assert_eq!(get(&chunks, PATIENT).await.unwrap().end, BodyEnd::Oversized);

    let half = Server::start(|_| Act::Close(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"to".to_vec())).await;
    assert_eq!(get(&half, PATIENT).await.unwrap().end, BodyEnd::Broken);

    let slow = Server::start(|_| Act::Hold(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"to".to_vec())).await;
    assert_eq!(get(&slow, HASTY).await.unwrap().end, BodyEnd::Slow);
}

#[tokio::test]
async fn compressed_bodies_stay_compressed() {
    let server = Server::start(|_| Act::Send(reply(200, "content-encoding: gzip\r\n", "\u{1f}not gzip"))).await;
    assert_eq!(get(&server, PATIENT).await.unwrap().body, "\u{1f}not gzip".as_bytes());
}

#[tokio::test]
async fn addresses_that_are_not_allowed_see_no_connection() {
    let trap = Server::trap().await;
    let port = trap.address.port();
    for (host, addresses) in [
        ("127.0.0.1", &[][..]),
        ("0x7f.0.0.1", &[]),
        ("[::ffff:127.0.0.1]", &[]),
        ("[64:ff9b::7f00:1]", &[]),
        ("[::1]", &[]),
        ("0.0.0.0", &[]),
        ("localhost", &["127.0.0.1", "::1"]),
        ("evil.example", &["127.0.0.1"]),
        ("evil.example", &["::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254", "10.96.0.1"]),
    ] {
        let client = Client::new(PATIENT, Script::new(&[addresses]));
        let url: Url = format!("http://{host}:{port}/").parse().unwrap();
        let registry = Registry { allow_private_addresses: false, ..registry("evil.example", &url) };
        let stop = get_with(&client, &registry, url, true).await.err().unwrap();
        assert_eq!(stop.why, Unproven::Guarded(Guarded::PrivateAddress), "{host} {addresses:?}");
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_answer_gains_nothing() {
    let trap = Server::trap().await;
    let lookup = Script::new(&[&[], &["127.0.0.1"], &["::ffff:7f00:1"], &["127.0.0.1", "::1"]]);
    let client = Client::new(PATIENT, Arc::clone(&lookup) as Arc<dyn Lookup>);
    let url: Url = format!("http://rebind.example:{}/", trap.address.port()).parse().unwrap();
    let registry = Registry { allow_private_addresses: false, ..registry("rebind.example", &url) };
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(get_with(&client, &registry, url.clone(), true).await.err().unwrap().why);
    }
    let private = Unproven::Guarded(Guarded::PrivateAddress);
    assert_eq!(seen, [Unproven::Unreachable(Unreachable::Dns), private.clone(), private.clone(), private]);
    assert_eq!(lookup.asked().len(), 4, "each connection asks anew");
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn connections_of_one_profile_serve_no_other() {
    let server = Server::start(|_| Act::Send(json(200, "{}"))).await;
    let client = Client::new(PATIENT, Script::new(&[&["127.0.0.1"]]));
    let url: Url = format!("http://registry.example:{}/", server.address.port()).parse().unwrap();
    let open = registry("registry.example", &url);
    get_with(&client, &open, url.clone(), false).await.unwrap();
    let strict = Registry { allow_private_addresses: false, ..open };
    let stop = get_with(&client, &strict, url, false).await.err().unwrap();
    assert_eq!(stop.why, Unproven::Guarded(Guarded::PrivateAddress));
    assert_eq!(server.connections(), 1);
}

fn redirect(to: &str) -> Vec<u8> {
    reply(307, &format!("location: {to}\r\n"), "")
}

#[tokio::test]
async fn redirects_to_others_are_not_followed() {
    let trap = Server::trap().await;
    let authority = trap.address.to_string();
    for target in [
        format!("http://{authority}/x"),
        format!("//{authority}/x"),
        format!("http://user:pass@{authority}/x"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "ftp://r.example/".to_owned(),
    ] {
        let location = target.clone();
        let server = Server::start(move |_| Act::Send(redirect(&location))).await;
        let stop = get(&server, PATIENT).await.err().unwrap();
        assert!(
            matches!(&stop.why, Unproven::Guarded(Guarded::ForeignRealm(host)) if !host.contains("pass")),
            "{target} {stop:?}"
        );
        assert_eq!(server.heads().len(), 1);
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn a_redirect_from_https_to_http_needs_plain_http() {
    let registry = Registry { plain_http: false, ..registry("r.example", &"https://r.example/".parse().unwrap()) };
    let guard = HostGuard::registry(&registry);
    assert_eq!(
        guard.check(&"http://r.example/".parse().unwrap()),
        Err(Guarded::ForeignRealm("http://r.example".to_owned()))
    );
}

#[tokio::test]
async fn one_redirect_on_the_same_host_keeps_the_credential() {
    let server =
        Server::start(|head| Act::Send(if head.starts_with("GET /new ") { json(200, "{}") } else { redirect("/new") }))
            .await;
    let url = server.url("/old");
    let reply = get_with(&client(PATIENT), &registry("r.example", &url), url.clone(), true).await.unwrap();
    assert!(reply.status == 200 && !reply.dropped_auth);
    assert!(server.heads().iter().all(|head| head.contains("authorization: Basic")));

    let circle = Server::start(|_| Act::Send(redirect("/again"))).await;
    assert_eq!(get(&circle, PATIENT).await.err().unwrap().why, Unproven::Odd("redirect"));
    assert_eq!(circle.heads().len(), 2);
    let nowhere = Server::start(|_| Act::Send(reply_without_location())).await;
    assert_eq!(get(&nowhere, PATIENT).await.err().unwrap().why, Unproven::Odd("redirect"));
}

fn reply_without_location() -> Vec<u8> {
    reply(302, "", "")
}

#[tokio::test]
async fn a_redirect_to_an_allowed_host_never_carries_the_credential() {
    let second = Server::start(|_| Act::Send(json(200, "{}"))).await;
    let location = second.url("/x").to_string();
    let first = Server::start(move |_| Act::Send(redirect(&location))).await;
    let url = first.url("/");
    let mut registry = registry("r.example", &url);
    registry.allowed_hosts.push(second.address.to_string());
    let client = client(PATIENT);

    let stop = get_with(&client, &registry, url.clone(), true).await.err().unwrap();
    assert_eq!(stop.why, Unproven::Odd("redirect"));
    assert_eq!(second.connections(), 0, "an answer without the credential would prove nothing");

    let ask = Ask { may_drop_auth: true, ..Ask::get(url.clone(), Some(HeaderValue::from_static("Bearer secret"))) };
    let reply = client.ask(&registry, HostGuard::registry(&registry), &ask).await.unwrap();
    assert!(reply.dropped_auth);
    assert!(!second.heads()[0].contains("authorization"), "{:?}", second.heads());
}

mod tls {
    use std::io::{Read as _, Write as _};
    use std::path::Path;

    use rustls::pki_types::PrivateKeyDer;

    use super::*;

    /// A server with a certificate of its own for `registry.example`, valid until that year.
    fn start(last_year: i32) -> (u16, String) {
        install_tls_provider();
        let mut params = rcgen::CertificateParams::new(vec!["registry.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let config = Arc::new(config);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let Ok(mut session) = rustls::ServerConnection::new(Arc::clone(&config)) else { return };
                let mut tls = rustls::Stream::new(&mut session, &mut stream);
                if tls.read(&mut [0; 4096]).is_ok() {
                    let _ = tls.write_all(&json(200, "{\"tls\":true}"));
                    session.send_close_notify();
                    let _ = session.write_tls(&mut stream);
                }
            }
        });
        (port, certificate.pem())
    }

    async fn ask(
        client: &Client,
        host: &str,
        port: u16,
        ca_file: Option<&Path>,
    ) -> Result<Vec<u8>, (Unproven, String)> {
        let url: Url = format!("https://{host}:{port}/").parse().unwrap();
        let registry = Registry { plain_http: false, ca_file: ca_file.map(Path::to_owned), ..registry(host, &url) };
        get_with(client, &registry, url, true).await.map(|reply| reply.body).map_err(|stop| (stop.why, stop.detail))
    }

    fn local() -> Client {
        Client::new(PATIENT, Script::new(&[&["127.0.0.1"]]))
    }

    const TLS: Unproven = Unproven::Unreachable(Unreachable::Tls);

    #[tokio::test]
    async fn trust_comes_from_the_ca_file() {
        let (port, pem) = start(2200);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, &pem).unwrap();
        let client = local();
        assert_eq!(ask(&client, "registry.example", port, Some(&path)).await.unwrap(), b"{\"tls\":true}");

        let (why, detail) = ask(&client, "registry.example", port, None).await.err().unwrap();
        assert!(why == TLS && detail.contains("certificate"), "{detail}");
        let (why, detail) = ask(&client, "other.example", port, Some(&path)).await.err().unwrap();
        assert!(why == TLS && detail.contains("name"), "{detail}");
    }

    #[tokio::test]
    async fn an_expired_certificate_is_told() {
        let (port, pem) = start(2021);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, &pem).unwrap();
        let (why, detail) = ask(&local(), "registry.example", port, Some(&path)).await.err().unwrap();
        assert!(why == TLS && detail.contains("expired"), "{detail}");
    }

    #[tokio::test]
    async fn a_renewed_ca_file_takes_effect() {
        let (port, pem) = start(2200);
        let (_, other) = start(2200);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let client = local();
        std::fs::write(&path, &other).unwrap();
        assert_eq!(ask(&client, "registry.example", port, Some(&path)).await.err().unwrap().0, TLS);
        std::fs::write(&path, format!("{other}\n{pem}")).unwrap();
        assert!(ask(&client, "registry.example", port, Some(&path)).await.is_ok());
    }

    #[tokio::test]
    async fn ca_files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        for (content, part) in
            [(None, "No such file"), (Some("garbage"), "no certificate"), (Some(""), "no certificate")]
        {
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
            }
            let (why, detail) = ask(&local(), "registry.example", 1, Some(&path)).await.err().unwrap();
            assert!(why == TLS && detail.contains(part) && detail.contains("ca.pem"), "{detail}");
        }
    }

    #[tokio::test]
    async fn a_server_without_tls_is_told() {
        let plain = Server::start(|_| Act::Close(json(200, "{}"))).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closing = listener.local_addr().unwrap().port();
        let closer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await;
        });
        assert_eq!(ask(&local(), "registry.example", closing, None).await.err().unwrap().0, TLS);
        closer.await.unwrap();
        let speaks_first = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = speaks_first.local_addr().unwrap().port();
        let talker = tokio::spawn(async move {
            let (mut stream, _) = speaks_first.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await;
        });
        assert_eq!(ask(&local(), "registry.example", port, None).await.err().unwrap().0, TLS);
        talker.await.unwrap();
        assert_eq!(plain.heads().len(), 0);
    }
}
