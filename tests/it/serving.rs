//! Serving safely: health in the plain, the config read again, clients that take nothing, and an end in order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pull_patrol::cluster::Resource;
use pull_patrol::metrics::{BuildInfo, DaemonMetrics};
use pull_patrol::outlook::{Role, Snapshot};
use pull_patrol::web::{Faces, Limits, health_router, router, serve};
use simulator::{Fault, FaultRule, TokenHandle, TokenSpec, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::faces_fixture::{credential, telling};
use crate::state::Exposed;
use crate::support::manifests::{docker_config, ghcr_config, pull_secret};
use crate::support::program::Program;

const SHORT: &str = "interval: 1s, confirmationSpacing: 1s, rejectedInterval: 1h";

fn faces(snapshot: Snapshot) -> (Faces, watch::Sender<Arc<Snapshot>>) {
    let (snapshots, receiver) = watch::channel(Arc::new(snapshot));
    let metrics = DaemonMetrics::new(BuildInfo::compiled()).expect("metrics");
    (Faces::new(receiver, Arc::new(metrics)), snapshots)
}

async fn ask(address: std::net::SocketAddr, head: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("text");
    let status = text.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, text)
}

#[tokio::test]
async fn the_health_port_tells_health_and_nothing_else() {
    let mut snapshot = telling();
    snapshot.daemon.synced = Resource::ALL.map(|resource| (resource, true)).to_vec();
    let (faces, _snapshots) = faces(snapshot);
    let stopping = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let app = health_router(faces.stopped_by(stopping.clone()));
    tokio::spawn(serve(vec![listener], app, Limits::default(), std::future::pending()));
    for path in ["/livez", "/readyz", "/healthz", "/readyz?verbose"] {
        assert_eq!(ask(address, &format!("GET {path} HTTP/1.1")).await.0, 200, "{path}");
    }
    for path in ["/", "/metrics", "/api/v1/credentials", "/-/reload"] {
        assert_eq!(ask(address, &format!("GET {path} HTTP/1.1")).await.0, 404, "{path}");
    }
    assert_eq!(ask(address, "POST /livez HTTP/1.1").await.0, 405);
    // A process that ends is not ready, and alive to its end.
    stopping.cancel();
    let (status, told) = ask(address, "GET /readyz HTTP/1.1").await;
    assert!(status == 503 && told.contains("[-]shutdown failed: the process stops"), "{told}");
    assert_eq!(ask(address, "GET /livez HTTP/1.1").await.0, 200);
}

#[tokio::test]
async fn a_replica_that_stands_by_tells_of_no_credential() {
    let mut snapshot = telling();
    let (faces, snapshots) = faces(snapshot.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(vec![listener], router(faces), Limits::default(), std::future::pending()));
    let rows = ask(address, "GET /api/v1/credentials HTTP/1.1").await;
    assert!(rows.0 == 200 && rows.1.contains("ghcr-pull"));

    snapshot.daemon.role = Role::Paused;
    snapshots.send_replace(Arc::new(snapshot.clone()));
    let page = ask(address, "GET / HTTP/1.1").await.1;
    assert!(page.contains("paused") && page.contains("ghcr-pull"), "what it knew last is shown");

    let standby = Snapshot {
        credentials: vec![],
        workloads: vec![],
        parts: vec![],
        findings: vec![],
        copies: vec![],
        ..snapshot
    };
    let mut standby = Snapshot { registries: vec![], ..standby };
    standby.daemon.role = Role::Standby { holder: Some("patrol-7_ab".into()) };
    snapshots.send_replace(Arc::new(standby));
    for path in ["/api/v1/credentials", "/api/v1/workloads", "/api/v1/explain?image=a"] {
        let (status, told) = ask(address, &format!("GET {path} HTTP/1.1")).await;
        assert!(status == 503 && told.contains("the Lease is held by patrol-7_ab"), "{path}: {told}");
    }
    let page = ask(address, "GET / HTTP/1.1").await.1;
    assert!(page.contains("standby") && page.contains("patrol-7_ab") && !page.contains("id=\"credentials\""), "{page}");
    let metrics = ask(address, "GET /metrics HTTP/1.1").await.1;
    let series: Vec<&str> = metrics.lines().filter(|line| line.starts_with("pullsecret_")).collect();
    assert_eq!(series, Vec::<&str>::new());
    for counted in ["pullpatrol_logins", "pullpatrol_credentials", "pullpatrol_workloads", "pullpatrol_pull_secrets"] {
        assert!(!metrics.lines().any(|line| line.starts_with(&format!("{counted} "))), "{counted}");
    }
    assert!(metrics.contains("\npullpatrol_inventory_synced{"));
}

/// Time goes on when nothing else does, so a client that takes nothing waits for nobody.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_of_a_large_answer_is_cut() {
    let mut snapshot = Snapshot { generated_at: telling().generated_at, ..Snapshot::default() };
    for number in 0..40_000 {
        snapshot.credentials.push(credential(
            "ci",
            &format!("s-{number:05}"),
            "ghcr.io",
            pull_patrol::verdict::Status::Valid,
        ));
    }
    let (faces, _snapshots) = faces(snapshot);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(vec![listener], router(faces), Limits::default(), std::future::pending()));
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it reads");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let mut got = Vec::new();
    // An end or a reset, by how much was under way.
    let _ = stream.read_to_end(&mut got).await;
    assert!(got.starts_with(b"HTTP/1.1 200 OK") && got.len() > 100_000);
    assert!(!got.ends_with(b"0\r\n\r\n"), "all of it was sent to a client that took nothing");
}

/// A daemon over manifests with a token that lives and one that is dead.
struct Scene {
    world: World,
    folder: tempfile::TempDir,
    dead: TokenHandle,
}

impl Scene {
    async fn new() -> Self {
        let world = World::start().await.expect("a world");
        let (alive, dead) = (world.add_token(TokenSpec::classic("alice")), world.add_token(TokenSpec::classic("bob")));
        dead.revoke();
        let folder = tempfile::tempdir().expect("a folder");
        let text = pull_secret("a", "alive", &docker_config("ghcr.io", "someone", alive.secret()))
            + &pull_secret("a", "dead", &docker_config("ghcr.io", "someone", dead.secret()))
            + &pull_secret("a", "elsewhere", &docker_config("registry.example", "someone", "password"));
        std::fs::write(folder.path().join("secrets.yaml"), text).expect("writable");
        let this = Self { world, folder, dead };
        this.write(&this.config(SHORT));
        this
    }

    fn config(&self, probe: &str) -> String {
        ghcr_config(&self.world, None, probe)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("patrol.yaml")
    }

    fn write(&self, config: &str) {
        std::fs::write(self.path(), config).expect("writable");
    }

    async fn start(&self, more: &[&str]) -> Program {
        let manifests = self.folder.path().join("secrets.yaml").display().to_string();
        let arguments: Vec<&str> = ["--manifests", &manifests].into_iter().chain(more.iter().copied()).collect();
        Program::start(&self.path(), &arguments).await
    }
}

fn is(text: &str, name: &str, status: &str) -> bool {
    Exposed::of(text).status.get(name).is_some_and(|found| found == status)
}

fn well(value: u8) -> String {
    format!("\npullpatrol_config_last_reload_successful {value}\n")
}

/// The process that was started is the one that serves, with a word to its allocator in its environment.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_allocator_is_told_to_keep_little() {
    let scene = Scene::new().await;
    let daemon = scene.start(&[]).await;
    let environment = std::fs::read(format!("/proc/{}/environ", daemon.pid())).expect("readable");
    let environment: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
    let operator = std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("MALLOC_"));
    assert!(operator || environment.contains(&&b"MALLOC_ARENA_MAX=1"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_is_taken_over_while_running_and_nothing_is_forgotten() {
    let scene = Scene::new().await;
    let daemon = scene.start(&["--web.enable-lifecycle"]).await;
    let settled =
        |text: &str| is(text, "alive", "valid") && is(text, "dead", "rejected") && is(text, "elsewhere", "ignored");
    let text = daemon.metrics_when(settled).await;
    assert!(text.contains(&well(1)), "{text}");
    assert_eq!(daemon.get("/-/reload").await.expect("it answers").0, 405, "a GET changes nothing");
    let asked = scene.world.count(|request| request.shows(&scene.dead));

    // One that cannot be used changes nothing.
    scene.write(&scene.config("interval: soon"));
    let (status, told) = daemon.post("/-/reload").await;
    assert!(status == 500 && told.contains("what was in force stays") && told.contains("soon"), "{told}");
    let text = daemon.metrics_when(|text| text.contains(&well(0))).await;
    assert!(settled(&text), "{text}");

    // A host that was not on the list, another interval; where the state is kept waits for a restart.
    let more = "  - {host: registry.example, endpoint: 'https://registry.example'}\nprobe:";
    let config = scene.config("interval: 2s, confirmationSpacing: 1s, rejectedInterval: 1h").replace("probe:", more)
        + "state: {kind: file, path: /nowhere/state}\nevents: false\n";
    scene.write(&config);
    let (status, told) = daemon.post("/-/reload").await;
    assert_eq!(
        (status, told.trim_end()),
        (200, "the config was read again and is in force, but for what needs a restart: events, state")
    );
    let text = daemon.metrics_when(|text| is(text, "elsewhere", "unverified") && text.contains(&well(1))).await;
    assert!(is(&text, "alive", "valid") && is(&text, "dead", "rejected"), "{text}");
    assert!(text.contains("outcome=\"accepted\",registry=\"registry.example\"} 0"), "{text}");

    // The same by a signal: the host is off the list again.
    scene.write(&scene.config(SHORT));
    daemon.signal("HUP").await;
    let text = daemon.metrics_when(settled).await;
    assert!(text.contains(&well(1)));
    let counted = |line: &str| line.starts_with("pullpatrol_probes_total{") && line.contains("registry.example");
    assert!(!text.lines().any(counted), "the series of a host go with it: {text}");
    assert_eq!(scene.world.count(|request| request.shows(&scene.dead)), asked, "a dead login was asked again");
    let log = daemon.stop().await;
    assert!(log.contains("what was in force stays") && log.contains("needs a restart: events, state"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_flag_nobody_reloads_and_a_hangup_ends_nothing() {
    let scene = Scene::new().await;
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let health = format!("127.0.0.1:{port}");
    let daemon = scene.start(&["--web.health-address", &health]).await;
    daemon.metrics_when(|text| is(text, "alive", "valid")).await;
    assert_eq!(daemon.post("/-/reload").await.0, 405);
    assert_eq!(daemon.get("/-/reload").await.expect("it answers").0, 404);
    let health: std::net::SocketAddr = health.parse().expect("an address");
    assert_eq!(ask(health, "GET /readyz HTTP/1.1").await.0, 200);
    assert_eq!(ask(health, "GET /metrics HTTP/1.1").await.0, 404);
    scene.write("probe: [");
    daemon.signal("HUP").await;
    daemon.metrics_when(|text| text.contains(&well(0)) && is(text, "alive", "valid")).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_in_order_waits_for_no_registry_and_keeps_what_was_proven() {
    let scene = Scene::new().await;
    let state = format!("state: {{kind: file, path: {}}}\n", scene.folder.path().join("state").display());
    let config = scene.config(&format!("{SHORT}, timeout: 5m")) + &state;
    scene.write(&config);
    let daemon = scene.start(&[]).await;
    daemon.metrics_when(|text| is(text, "alive", "valid") && is(text, "dead", "rejected")).await;
    // The registry takes requests and never answers any more: some are under way when the end comes.
    scene.world.fault(FaultRule::everywhere(Fault::TimeoutAtHeaders));
    let before = scene.world.requests().len();
    while scene.world.requests().len() == before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    daemon.stop().await;
    scene.world.clear_faults();
    let daemon = scene.start(&[]).await;
    let text = daemon.ready_metrics().await;
    assert!(is(&text, "alive", "valid") && is(&text, "dead", "rejected"), "{text}");
    daemon.stop().await;
}
