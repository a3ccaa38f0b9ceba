//! Each tier of permissions, on a real API server: the daemon runs with the token of the chart's own ServiceAccount and
//! sees exactly what the tier allows.

use std::collections::BTreeSet;
use std::time::Duration;

use pull_patrol::runtime::Source;
use serde_json::{Value, json};
use simulator::{TokenSpec, Visibility, World};

use super::template;
use crate::line::Daemon;
use crate::support::manifests::{docker_config, ghcr_config, pod, pull_secret};
use crate::support::real::RealCluster;

pub(super) const NAMESPACES: [&str; 2] = ["team-a", "team-b"];
/// How long a test waits for a state that must come: generous, since it only matters when something is broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// Time between two looks.
pub(super) const LOOK: Duration = Duration::from_millis(100);
pub(super) const ACCOUNT: &str = "patrol-pull-patrol";

/// A cluster with a pull Secret and a pod in each namespace, and the world that their tokens come from.
pub(super) async fn cluster() -> (RealCluster, World, tempfile::TempDir) {
    let cluster = RealCluster::start_audited().await;
    let world = World::start().await.expect("a world");
    world.add_package("acme/app", Visibility::private());
    let folder = tempfile::tempdir().expect("a folder");
    cluster.create_namespace("monitoring").await;
    let mut manifests = String::new();
    for namespace in NAMESPACES {
        cluster.create_namespace(namespace).await;
        let token = world.add_token(TokenSpec::classic(namespace).reads("acme"));
        manifests += &pull_secret(namespace, "pull", &docker_config("ghcr.io", namespace, token.secret()));
        manifests += &pod(namespace, "app", "ghcr.io/acme/app:latest", &["pull"]);
    }
    apply(&cluster, &folder, &manifests).await;
    (cluster, world, folder)
}

pub(super) async fn apply(cluster: &RealCluster, folder: &tempfile::TempDir, manifests: &str) {
    let file = folder.path().join("manifests.yaml");
    std::fs::write(&file, manifests).expect("writable");
    let flag = format!("--filename={}", file.display());
    cluster.kubectl(&["apply", "--server-side", &flag]).await.expect_success("kubectl apply");
}

/// Install the chart, and start the daemon as its pod would run: with its config and its ServiceAccount.
async fn install(
    cluster: &RealCluster,
    world: &World,
    folder: &tempfile::TempDir,
    scope: Value,
    secrets: &str,
) -> Daemon {
    let made = render(world, &json!({"scope": scope}), secrets).await;
    apply(cluster, folder, &made).await;
    run_as_installed(cluster, folder, &made).await
}

/// What the chart makes with this in its config.
pub(super) async fn render(world: &World, with: &Value, secrets: &str) -> String {
    let mut config: Value = serde_saphyr::from_str(&ghcr_config(world, None, "interval: 1h")).expect("YAML");
    config.as_object_mut().expect("a map").extend(with.as_object().expect("a map").clone());
    let (config, secrets) = (format!("--set-json=config={config}"), format!("--set=rbac.secrets={secrets}"));
    template("HELM", &[&config, &secrets]).await.expect_success("helm template")
}

/// The daemon as the pod of what the chart made would run it.
pub(super) async fn run_as_installed(cluster: &RealCluster, folder: &tempfile::TempDir, made: &str) -> Daemon {
    let documents: Vec<Value> = serde_saphyr::from_multiple(made).expect("Helm writes YAML");
    let map = documents.iter().find(|object| object["kind"] == "ConfigMap").expect("a ConfigMap");
    let config = map["data"]["config.yaml"].as_str().expect("a config").to_owned();

    let token = cluster.kubectl(&["create", "token", ACCOUNT, "--namespace=monitoring"]).await;
    let token = token.expect_success("kubectl create token");
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig_of(token.trim())).expect("writable");
    Daemon::start(&config, Source::Cluster { kubeconfig: Some(kubeconfig), context: None }).await
}

/// Wait until the credentials are valid in these namespaces, and there are no others.
pub(super) async fn sees(daemon: &Daemon, namespaces: &[&str]) {
    let wanted: BTreeSet<(&str, &str)> = namespaces.iter().map(|namespace| (*namespace, "valid")).collect();
    daemon
        .settled(|rows| {
            let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
            let found: BTreeSet<(String, String)> =
                rows.iter().map(|row| (text(row, "secret_namespace"), text(row, "status"))).collect();
            let found: BTreeSet<(&str, &str)> = found.iter().map(|(place, status)| (&**place, &**status)).collect();
            if found == wanted { vec![] } else { vec![format!("{found:?} instead of {wanted:?}")] }
        })
        .await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (status, told) = daemon.get("/readyz").await;
        if status == 200 {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{told}");
        tokio::time::sleep(LOOK).await;
    }
}

/// The series of missing permissions.
pub(super) async fn missing(daemon: &Daemon) -> Vec<String> {
    let metrics = daemon.get("/metrics").await.1;
    metrics.lines().filter(|line| line.starts_with("pullpatrol_permission_missing{")).map(str::to_owned).collect()
}

/// What the daemon asked for, as the API server wrote it down; but for what it may ask, which is about nobody else.
pub(super) fn asked(cluster: &RealCluster) -> Vec<Value> {
    let user = format!("system:serviceaccount:monitoring:{ACCOUNT}");
    let is_his = |entry: &Value| {
        let resource = entry["objectRef"]["resource"].as_str();
        entry["user"]["username"] == *user && resource.is_some_and(|resource| resource != "selfsubjectaccessreviews")
    };
    cluster.audit().into_iter().filter(is_his).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_wide_it_sees_everything() {
    let (cluster, world, folder) = cluster().await;
    let daemon = install(&cluster, &world, &folder, json!({}), "all").await;
    sees(&daemon, &NAMESPACES).await;
    assert_eq!(missing(&daemon).await, Vec::<String>::new());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_not_on_the_list_is_never_asked_for() {
    let (cluster, world, folder) = cluster().await;
    let daemon = install(&cluster, &world, &folder, json!({"namespaces": ["team-a"]}), "all").await;
    sees(&daemon, &["team-a"]).await;
    assert_eq!(missing(&daemon).await, Vec::<String>::new());
    daemon.stop().await;

    let asked: BTreeSet<String> = asked(&cluster)
        .iter()
        .map(|entry| format!("{} {}", entry["objectRef"]["resource"], entry["objectRef"]["namespace"]))
        .collect();
    assert!(asked.contains("\"secrets\" \"team-a\""), "{asked:?}");
    let elsewhere: Vec<&String> = asked.iter().filter(|place| !place.ends_with(" \"team-a\"")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_secrets_it_tells_what_is_covered_and_asks_for_none() {
    let (cluster, world, folder) = cluster().await;
    let daemon = install(&cluster, &world, &folder, json!({}), "none").await;
    sees(&daemon, &[]).await;
    assert_eq!(missing(&daemon).await, Vec::<String>::new(), "what is left out by choice is not missed");
    assert!(daemon.get("/").await.1.contains("left out by choice"));
    let (status, body) = daemon.get("/api/v1/workloads").await;
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&body).expect("JSON");
    let pods: Vec<(&str, &str)> = document["workloads"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|row| row["workload_kind"] == "Pod")
        .map(|row| {
            (row["workload_namespace"].as_str().unwrap_or_default(), row["outlook"].as_str().unwrap_or_default())
        })
        .collect();
    // Nothing is called well or broken where nothing may be known.
    assert_eq!(pods, [("team-a", "unverified"), ("team-b", "unverified")], "{body}");
    assert!(!daemon.get("/metrics").await.1.contains("pullsecret_reference_broken{"));
    daemon.stop().await;
    let asked = asked(&cluster);
    assert!(asked.iter().any(|entry| entry["objectRef"]["resource"] == "pods"));
    assert!(asked.iter().all(|entry| entry["objectRef"]["resource"] != "secrets"), "{asked:?}");
}
