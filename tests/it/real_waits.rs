//! Pods that wait on a pull, through a real kube-apiserver: statuses as kubelets write them in, `pull_failing` out.

use std::time::Duration;

use pull_patrol::runtime::Source;
use serde_json::{Value, json};

use crate::line::Daemon;
use crate::support::manifests::pod;
use crate::support::real::RealCluster;

/// How long a test waits for a state that must come.
const PATIENCE: Duration = Duration::from_secs(90);

const REFUSED: &str = "rpc error: code = Unknown desc = failed to pull and unpack image \"ghcr.io/acme/app:v1\": failed to \
                       authorize: failed to fetch oauth token: unexpected status from GET request to \
                       https://ghcr.io/token?service=ghcr.io: 403 Forbidden";

/// Write the status of the first container of a pod, as its kubelet would.
async fn report(cluster: &RealCluster, pod: &str, state: Value) {
    let container = json!({
        "name": "main", "image": "ghcr.io/acme/app:v1", "imageID": "", "ready": false, "restartCount": 0, "state": state,
    });
    let patch = json!({ "status": { "phase": "Pending", "containerStatuses": [container] } }).to_string();
    let args = ["patch", "pod", pod, "-n", "team-a", "--subresource=status", "--type=merge", "-p", &patch];
    cluster.kubectl(&args).await.expect_success("kubectl patch");
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({ "waiting": { "reason": reason, "message": message } })
}

/// Wait until a pod of its own has these entries of `pull_failing`.
async fn until_failing(daemon: &Daemon, pod: &str, expected: &Value) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let document: Value = serde_json::from_str(&daemon.get("/api/v1/workloads").await.1).expect("JSON");
        let rows = document["workloads"].as_array().expect("a list");
        let found = rows.iter().find(|row| row["workload_name"] == pod).map(|row| &row["pull_failing"]);
        if found == Some(expected) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{pod}: {found:?}, not {expected}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_a_kubelet_writes_shows_while_it_stands_and_its_cause_outlives_a_bare_back_off() {
    let cluster = RealCluster::start().await;
    cluster.create_namespace("team-a").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pods.yaml");
    let pods = ["web", "other"].map(|name| pod("team-a", name, "ghcr.io/acme/app:v1", &[]));
    std::fs::write(&file, pods.concat()).expect("writable");
    cluster.kubectl(&["apply", "-f", &file.display().to_string()]).await.expect_success("kubectl apply");
    let source = Source::Cluster { kubeconfig: Some(cluster.kubeconfig().to_owned()), context: None };
    // The registry is left unasked: what a pod shows needs no exchange of ours.
    let closed = "registries:\n  - host: ghcr.io\n    endpoint: https://127.0.0.1:1\n";
    let daemon = Daemon::start(closed, source).await;
    until_failing(&daemon, "web", &json!([])).await;

    let refused = json!([{ "reason": "credential_refused", "pods": 1 }]);
    report(&cluster, "web", waiting("ErrImagePull", REFUSED)).await;
    until_failing(&daemon, "web", &refused).await;
    let series = "pullsecret_workload_pull_failing{workload_namespace=\"team-a\",workload_kind=\"Pod\",workload_name=\"web\",\
                  pod_role=\"pod\",reason=\"credential_refused\"} 1";
    let metrics = daemon.get("/metrics").await.1;
    assert!(metrics.contains(series), "{metrics}");

    // The second pod changes last, so once it shows, the change of the first has been seen.
    report(&cluster, "web", waiting("ImagePullBackOff", "Back-off pulling image \"ghcr.io/acme/app:v1\"")).await;
    report(&cluster, "other", waiting("RegistryUnavailable", "")).await;
    until_failing(&daemon, "other", &json!([{ "reason": "network", "pods": 1 }])).await;
    until_failing(&daemon, "web", &refused).await;

    report(&cluster, "web", json!({ "running": { "startedAt": "2026-11-24T11:00:00Z" } })).await;
    until_failing(&daemon, "web", &json!([])).await;
    cluster.kubectl(&["delete", "pod", "other", "-n", "team-a", "--force"]).await.expect_success("kubectl delete");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while daemon.get("/metrics").await.1.contains("pullsecret_workload_pull_failing{") {
        assert!(tokio::time::Instant::now() < deadline, "series outlive their pods");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    daemon.stop().await;
}
