//! The web config file, over real connections: TLS, certificates of clients, users, and changes of the files.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pull_patrol::metrics::{BuildInfo, DaemonMetrics};
use pull_patrol::web::{Faces, Limits, Secure, router, serve_secure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Certificate, Identity, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::faces_fixture::telling;
use crate::support::real::{checkout, install_tls_provider, program, run};

/// How long a test waits for a state that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A certificate authority.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key for some names.
    pub(crate) fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// Its own certificate, as a client of rustls trusts it.
    pub(crate) fn anchor(&self) -> rustls::pki_types::CertificateDer<'static> {
        rustls::pki_types::pem::PemObject::from_pem_slice(self.pem.as_bytes()).expect("PEM")
    }

    fn trusted(&self) -> Certificate {
        Certificate::from_pem(self.pem.as_bytes()).expect("PEM")
    }
}

/// A folder with a web config file and what it names, and a server by it.
struct Server {
    folder: tempfile::TempDir,
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

pub(crate) const TLS: &str = "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n";

impl Server {
    async fn start(config: &str, authority: Option<&Authority>) -> Self {
        install_tls_provider();
        let folder = tempfile::tempdir().expect("a folder");
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = Self { folder, address: listener.local_addr().expect("an address"), _stop: stop };
        if let Some(authority) = authority {
            server.certify(authority);
        }
        server.write("web.yml", config);
        let secure = Secure::load(&server.path("web.yml")).expect("a web config that holds");
        let (_, receiver) = watch::channel(Arc::new(telling()));
        let metrics = DaemonMetrics::new(BuildInfo::compiled()).expect("metrics");
        let app = router(Faces::new(receiver, Arc::new(metrics)));
        tokio::spawn(serve_secure(vec![listener], app, Limits::default(), Some(secure), async {
            let _ = stopped.await;
        }));
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Put a file in the place of another at once, as a mounted Secret changes.
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path("new"), text).expect("writable");
        std::fs::rename(self.path("new"), self.path(name)).expect("writable");
    }

    /// A certificate of the server's own by this authority.
    fn certify(&self, authority: &Authority) {
        let (certificate, key) = authority.issue(&["127.0.0.1", "localhost"]);
        self.write("tls.crt", &certificate);
        self.write("tls.key", &key);
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/livez", self.address)
    }

    /// The status of an answer over a connection of its own; `None` where there is none.
    async fn ask(&self, client: reqwest::ClientBuilder, user: Option<(&str, &str)>) -> Option<StatusCode> {
        let client = client.no_proxy().pool_max_idle_per_host(0).build().expect("a client");
        let mut request = client.get(self.url("https"));
        if let Some((user, password)) = user {
            request = request.basic_auth(user, Some(password));
        }
        Some(request.send().await.ok()?.status())
    }

    /// Wait until a client that trusts this authority gets an answer.
    async fn until_trusted(&self, authority: &Authority) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.ask(trusting(authority), None).await.is_none() {
            assert!(tokio::time::Instant::now() < deadline, "the certificate is never taken in");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn trusting(authority: &Authority) -> reqwest::ClientBuilder {
    reqwest::Client::builder().tls_certs_only([authority.trusted()])
}

fn hash(password: &str, cost: u32) -> String {
    bcrypt::hash(password, cost).expect("a hash")
}

#[tokio::test]
async fn tls_is_spoken_and_nothing_else() {
    let authority = Authority::new();
    let server = Server::start(&format!("{TLS}  min_version: TLS13\n"), Some(&authority)).await;
    assert_eq!(server.ask(trusting(&authority), None).await, Some(StatusCode::OK));
    assert_eq!(server.ask(trusting(&Authority::new()), None).await, None, "it shows the certificate that it was given");
    let old = trusting(&authority).tls_version_max(reqwest::tls::Version::TLS_1_2);
    assert_eq!(server.ask(old, None).await, None, "TLS 1.2 is below the lowest version");
    let plain = reqwest::Client::builder().no_proxy().build().expect("a client");
    assert!(plain.get(server.url("http")).send().await.is_err(), "plain HTTP at a port of TLS");
    // A client that says nothing holds nobody up.
    let _silent = tokio::net::TcpStream::connect(server.address).await.expect("a connection");
    assert_eq!(server.ask(trusting(&authority), None).await, Some(StatusCode::OK));
}

#[tokio::test]
async fn a_new_certificate_is_taken_in_and_a_broken_one_is_not() {
    let (first, second) = (Authority::new(), Authority::new());
    let server = Server::start(TLS, Some(&first)).await;
    assert_eq!(server.ask(trusting(&first), None).await, Some(StatusCode::OK));
    server.certify(&second);
    server.until_trusted(&second).await;

    server.write("tls.key", "no key");
    let third = Authority::new();
    server.write("tls.crt", &third.issue(&["127.0.0.1"]).0);
    // Two looks at the files are two seconds: as many answers come by the certificate in force.
    let until = tokio::time::Instant::now() + Duration::from_secs(3);
    while tokio::time::Instant::now() < until {
        assert_eq!(server.ask(trusting(&second), None).await, Some(StatusCode::OK));
    }
    server.certify(&third);
    server.until_trusted(&third).await;

    // TLS is never given up while it runs.
    server.write("web.yml", "basic_auth_users: {}\n");
    let until = tokio::time::Instant::now() + Duration::from_secs(3);
    while tokio::time::Instant::now() < until {
        assert_eq!(server.ask(trusting(&third), None).await, Some(StatusCode::OK));
    }
}

#[tokio::test]
async fn clients_show_a_certificate_of_the_right_authority_and_name() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let identity = |authority: &Authority, names: &[&str]| {
        let (certificate, key) = authority.issue(names);
        Identity::from_pem(format!("{certificate}{key}").as_bytes()).expect("an identity")
    };
    let prometheus = |authority: &Authority| identity(authority, &["prometheus.monitoring.svc"]);
    let config = |more: &str| {
        let ca = clients.pem.trim().replace('\n', "\n    ");
        format!("{TLS}  client_ca: |\n    {ca}\n  {more}\n")
    };
    let ok = Some(StatusCode::OK);

    let server = Server::start(&config("client_auth_type: RequireAndVerifyClientCert"), Some(&authority)).await;
    assert_eq!(server.ask(trusting(&authority), None).await, None);
    assert_eq!(server.ask(trusting(&authority).identity(prometheus(&strangers)), None).await, None);
    assert_eq!(server.ask(trusting(&authority).identity(prometheus(&clients)), None).await, ok);

    let server = Server::start(&config("client_auth_type: VerifyClientCertIfGiven"), Some(&authority)).await;
    assert_eq!(server.ask(trusting(&authority), None).await, ok);
    assert_eq!(server.ask(trusting(&authority).identity(prometheus(&strangers)), None).await, None);

    let named =
        "client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [prometheus.monitoring.svc, 10.1.2.3]";
    let server = Server::start(&config(named), Some(&authority)).await;
    for (names, allowed) in [
        (&["prometheus.monitoring.svc"][..], true),
        (&["PROMETHEUS.monitoring.svc"], true),
        (&["other.example", "10.1.2.3"], true),
        (&["other.example"], false),
        (&["*.monitoring.svc"], false),
        (&["10.1.2.4"], false),
        (&[], false),
    ] {
        let asked = server.ask(trusting(&authority).identity(identity(&clients, names)), None).await;
        assert_eq!(asked.is_some(), allowed, "{names:?}");
    }
    assert_eq!(server.ask(trusting(&authority).identity(prometheus(&strangers)), None).await, None);
}

#[tokio::test]
async fn users_are_asked_for_at_every_path_and_change_with_the_file() {
    let authority = Authority::new();
    let users = |password: &str| format!("{TLS}basic_auth_users:\n  alice: {}\n", hash(password, 4));
    let server = Server::start(&users("first"), Some(&authority)).await;
    let client = trusting(&authority).no_proxy().build().expect("a client");
    for path in ["/metrics", "/", "/api/v1/credentials", "/livez", "/readyz", "/nothing"] {
        let answer = client.get(format!("https://{}{path}", server.address)).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.headers()["www-authenticate"], "Basic", "{path}");
        assert_eq!(answer.text().await.expect("a body"), "unauthorized\n", "{path}");
    }
    let asks = async |password: &'static str| {
        let request = client.get(server.url("https")).basic_auth("alice", Some(password));
        request.send().await.expect("an answer").status()
    };
    assert_eq!(asks("first").await, StatusCode::OK);
    assert_eq!(asks("second").await, StatusCode::UNAUTHORIZED);
    // Also on a connection that is open, and with answers that are kept.
    server.write("web.yml", &users("second"));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while asks("second").await != StatusCode::OK {
        assert!(tokio::time::Instant::now() < deadline, "the new password is never taken in");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(asks("first").await, StatusCode::UNAUTHORIZED);
    // A file without users is a mistake, not an invitation.
    server.write("web.yml", TLS);
    let until = tokio::time::Instant::now() + Duration::from_secs(3);
    while tokio::time::Instant::now() < until {
        assert_eq!(server.ask(trusting(&authority), None).await, Some(StatusCode::UNAUTHORIZED));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_keep_nobody_out_who_was_in() {
    let authority = Authority::new();
    let config = format!("{TLS}basic_auth_users:\n  alice: {}\n", hash("right", 11));
    let server = Server::start(&config, Some(&authority)).await;
    let client = trusting(&authority).no_proxy().build().expect("a client");
    let url = server.url("https");
    let ask = |password: String| {
        let request = client.get(&url).basic_auth("alice", Some(password));
        async move { request.send().await.expect("an answer").status() }
    };
    assert_eq!(ask("right".to_owned()).await, StatusCode::OK);
    let wrong = futures::future::join_all((0..60).map(|n| ask(format!("wrong-{n}"))));
    let right = async {
        for _ in 0..20 {
            assert_eq!(ask("right".to_owned()).await, StatusCode::OK);
        }
    };
    let (wrong, ()) = tokio::join!(wrong, right);
    assert!(wrong.iter().all(|status| [401, 503].contains(&status.as_u16())), "{wrong:?}");
    assert!(wrong.contains(&StatusCode::SERVICE_UNAVAILABLE), "the number of checks that wait is bounded");
    assert!(wrong.contains(&StatusCode::UNAUTHORIZED));
}

/// The protocol that a client which speaks both is given, and an answer by it.
async fn protocol(server: &Server, authority: &Authority) -> (Option<Vec<u8>>, u16) {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.anchor()).expect("an anchor");
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = tokio::net::TcpStream::connect(server.address).await.expect("a connection");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
    let spoken = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    let request = http::Request::get("https://localhost/livez").header("host", "localhost");
    let request = request.body(axum::body::Body::empty()).expect("a request");
    let io = TokioIo::new(stream);
    let status = if spoken.as_deref() == Some(b"h2") {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
        tokio::spawn(connection);
        sender.send_request(request).await.expect("an answer").status()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        sender.send_request(request).await.expect("an answer").status()
    };
    (spoken, status.as_u16())
}

#[tokio::test]
async fn http_2_is_spoken_unless_the_file_says_no() {
    let authority = Authority::new();
    for (more, spoken) in [
        ("", "h2"),
        ("http_server_config: {http2: true}\n", "h2"),
        ("http_server_config: {http2: false}\n", "http/1.1"),
    ] {
        let server = Server::start(&format!("{TLS}{more}"), Some(&authority)).await;
        let expected = (Some(spoken.as_bytes().to_vec()), 200);
        assert_eq!(protocol(&server, &authority).await, expected, "{more:?}");
    }
}

#[tokio::test]
async fn headers_and_users_hold_without_tls_too() {
    let config = format!(
        "basic_auth_users: {{alice: {}}}\nhttp_server_config: {{headers: {{X-Frame-Options: deny}}}}\n",
        hash("right", 4)
    );
    let server = Server::start(&config, None).await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let refused = client.get(server.url("http")).send().await.expect("an answer");
    assert_eq!(
        (refused.status(), &refused.headers()["x-frame-options"]),
        (StatusCode::UNAUTHORIZED, &"deny".parse().expect("a value"))
    );
    let answer = client.get(server.url("http")).basic_auth("alice", Some("right")).send().await.expect("an answer");
    assert_eq!(
        (answer.status(), &answer.headers()["x-frame-options"]),
        (StatusCode::OK, &"deny".parse().expect("a value"))
    );
}

#[tokio::test]
async fn the_example_of_the_docs_is_one_that_promtool_takes_and_so_do_we() {
    let text = std::fs::read_to_string(checkout().join("docs/security.md")).expect("the page");
    let example = text.split("```yaml\n").find(|block| block.contains("tls_server_config")).expect("an example");
    let example = example.split("```").next().expect("its end");
    let authority = Authority::new();
    let server = Server::start(TLS, Some(&authority)).await;
    server.write("ca.crt", &authority.pem);
    server.write("example.yml", example);
    Secure::load(&server.path("example.yml")).expect("the example holds");
    let file = server.path("example.yml").display().to_string();
    run(&program("PROMTOOL"), ["check", "web-config", &file]).await.expect_success("promtool check web-config");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_ends_the_start_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let (certificate, key) = authority.issue(&["localhost"]);
    for (name, text) in [("tls.crt", &*certificate), ("tls.key", &key), ("other.key", &authority.issue(&["x"]).1)] {
        std::fs::write(folder.path().join(name), text).expect("writable");
    }
    let tls = |more: &str| format!("tls_server_config: {{cert_file: tls.crt, key_file: tls.key{more}}}\n");
    for (text, expected) in [
        ("tls_server_config:\n  cert_file: tls.crt\n  keyfile: tls.key\n".to_owned(), &["keyfile", "line 3"][..]),
        (tls("").replace("tls.key", "none.key"), &["none.key"]),
        (tls("").replace("tls.key", "tls.crt"), &["key_file holds no private key"]),
        (tls("").replace("tls.crt", "tls.key"), &["cert_file holds no certificate"]),
        (tls("").replace("tls.key", "other.key"), &["cert_file cannot be used"]),
        (
            tls(", cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]"),
            &["TLS_RSA_WITH_RC4_128_SHA", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
        ),
        (tls(", curve_preferences: [CurveP521]"), &["CurveP521", "X25519"]),
        ("basic_auth_users: {alice: hunter2}\n".to_owned(), &["alice", "htpasswd"]),
    ] {
        std::fs::write(folder.path().join("web.yml"), &text).expect("writable");
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_pull-patrol"))
            .args(["serve", "--web.listen-address", "127.0.0.1:0", "--web.config.file"])
            .arg(folder.path().join("web.yml"))
            .args(["--manifests"])
            .arg(folder.path())
            .output()
            .await
            .expect("the program starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}: {told}");
        for part in expected {
            assert!(told.contains(part), "{text}: {told}");
        }
        assert!(!told.contains("hunter2") && !told.contains("PRIVATE"), "{told}");
    }
}
