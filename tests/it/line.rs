//! The whole line: the daemon over the demo world, from manifests to `/metrics`, the API and the page.

use std::path::PathBuf;
use std::time::Duration;

use pull_patrol::config;
use pull_patrol::plan::Registries;
use pull_patrol::runtime::{ServeSettings, Source, serve};
use serde_json::Value;
use simulator::demo::{DemoPorts, DemoWorld};
use tokio_util::sync::CancellationToken;

/// How long a test waits for a state that must come: generous, since it only matters when something is broken.
const PATIENCE: Duration = Duration::from_secs(90);

/// A daemon in this process, stopped when dropped.
pub(crate) struct Daemon {
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Daemon {
    /// Start `serve` on a free port.
    pub(crate) async fn start(config: &str, source: Source) -> Self {
        pull_patrol::probe::install_tls_provider();
        let config = config::parse(config, &PathBuf::from("test.yaml")).expect("a valid config");
        let registries = Registries::new(&config.registries).expect("valid registries");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shutdown = CancellationToken::new();
        let settings = ServeSettings { config, registries, source, listeners: vec![listener] };
        let stop = shutdown.clone();
        let task = tokio::spawn(async move { serve(settings, stop).await.expect("the daemon serves") });
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { url, client, shutdown, task }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.expect("the daemon answers");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    pub(crate) async fn credentials(&self) -> Vec<Value> {
        let (status, body) = self.get("/api/v1/credentials").await;
        assert_eq!(status, 200, "{body}");
        let document: Value = serde_json::from_str(&body).expect("JSON");
        document["credentials"].as_array().expect("a list").clone()
    }

    /// Wait until `look` finds no complaint in the credentials.
    pub(crate) async fn settled(&self, look: impl Fn(&[Value]) -> Vec<String>) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let complaints = look(&self.credentials().await);
            if complaints.is_empty() {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "not settled:\n{}", complaints.join("\n"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stop it and wait for its end.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("the daemon ends without a panic");
    }
}

/// The row of a credential.
pub(crate) fn row<'a>(rows: &'a [Value], namespace: &str, name: &str, registry: &str) -> Option<&'a Value> {
    rows.iter()
        .find(|row| row["secret_namespace"] == namespace && row["secret_name"] == name && row["registry"] == registry)
}

fn findings(row: &Value) -> Vec<&str> {
    row["findings"]
        .as_array()
        .map(|list| list.iter().filter_map(|f| f["finding"].as_str()).collect())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_every_status_it_promises() {
    let demo = DemoWorld::start(DemoPorts::default()).await.expect("the world starts");
    let folder = tempfile::tempdir().expect("a folder");
    let manifests = folder.path().join("cluster.yaml");
    std::fs::write(&manifests, &demo.manifests).expect("writable");
    let daemon = Daemon::start(&demo.config, Source::Files(vec![manifests])).await;

    daemon
        .settled(|rows| {
            let mut complaints = Vec::new();
            for expected in &demo.expectations {
                let place = format!("{}/{} {}", expected.namespace, expected.secret, expected.registry);
                let Some(row) = row(rows, expected.namespace, expected.secret, expected.registry) else {
                    complaints.push(format!("{place}: no row"));
                    continue;
                };
                if row["status"] != expected.status {
                    complaints.push(format!("{place}: {} instead of {}", row["status"], expected.status));
                }
                for finding in expected.findings {
                    if !findings(row).contains(finding) {
                        complaints.push(format!("{place}: lacks {finding}, has {:?}", findings(row)));
                    }
                }
            }
            complaints
        })
        .await;

    let (status, metrics) = daemon.get("/metrics").await;
    assert_eq!(status, 200);
    for status in [
        "valid",
        "expired",
        "rejected",
        "insufficient_scope",
        "forbidden",
        "unsupported",
        "malformed",
        "anonymous",
        "unverified",
        "ignored",
    ] {
        let wanted = format!("status=\"{status}\"");
        assert!(metrics.contains(&wanted), "no series with {wanted}");
    }
    for path in ["/", "/livez", "/readyz", "/healthz", "/api/v1/workloads"] {
        assert_eq!(daemon.get(path).await.0, 200, "{path}");
    }
    daemon.stop().await;
}
