//! What a tenant can write into Secrets and Pods of one namespace: it costs no more than its share, and other tenants
//! see the same as before.

use std::io::Write as _;
use std::process::{Command, Stdio};

use pull_patrol::runtime::Source;
use serde_json::{Value, json};

use crate::line::Daemon;
use crate::support::manifests::{docker_config, pod, pull_secret};

/// `check --offline -o json` on manifests, and its exit code.
fn check(manifests: &str) -> (Value, Option<i32>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pull-patrol"))
        .args(["check", "--offline", "-o", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("piped");
    let text = manifests.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writing.join().expect("no panic").expect("it reads all of its input");
    (serde_json::from_slice(&output.stdout).expect("JSON"), output.status.code())
}

fn entries(key: impl Fn(usize) -> String, count: usize) -> String {
    let entry = |n| (key(n), json!({ "username": "u", "password": format!("p{n}") }));
    json!({ "auths": (0..count).map(entry).collect::<serde_json::Map<_, _>>() }).to_string()
}

fn pod_of(secrets: &[&str], images: usize) -> String {
    let secrets: Vec<Value> = secrets.iter().map(|name| json!({ "name": name })).collect();
    let containers: Vec<Value> =
        (0..images).map(|n| json!({ "name": format!("c{n}"), "image": format!("ghcr.io/evil/{n}") })).collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": "evil", "name": "p" },
        "spec": { "imagePullSecrets": secrets, "containers": containers },
    });
    format!("---\n{pod}\n")
}

fn victim() -> String {
    let secret = pull_secret("victim", "pull", &docker_config("ghcr.io", "octo", "secret"));
    secret + &pod("victim", "app", "ghcr.io/victim/app", &["pull"])
}

fn in_namespace<'a>(rows: &'a Value, label: &str, namespace: &str) -> Vec<&'a Value> {
    rows.as_array().expect("rows").iter().filter(|row| row[label] == namespace).collect()
}

#[test]
fn a_secret_of_a_hundred_thousand_entries_is_one_problem() {
    let crowd = entries(|n| format!("r{n}.example"), 30_000);
    let evil = pull_secret("evil", "crowd", &crowd) + &pod_of(&["crowd"], 2);
    let (document, code) = check(&(victim() + &evil));
    assert_eq!(code, Some(1));
    assert!(in_namespace(&document["credentials"], "secret_namespace", "evil").is_empty());
    let problems = document["problems"].as_array().expect("problems");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0]["name"], "evil/crowd");
    // What the kubelet would find in it is not known, so nothing is claimed of the pod.
    let row = in_namespace(&document["workloads"], "workload_namespace", "evil")[0];
    assert_eq!(row["outlook"], "unverified", "{row}");
    assert!(row["reason"].as_str().is_some_and(|reason| reason.contains("crowd")), "{row}");
    assert_eq!(in_namespace(&document["credentials"], "secret_namespace", "victim").len(), 1);
}

#[test]
fn secrets_and_images_of_a_pod_do_not_multiply() {
    // All 500 entries match all images.
    let crowd = entries(|n| format!("ghcr.io?{n}"), 500);
    let list = ["crowd"; 250];
    let evil = pull_secret("evil", "crowd", &crowd) + &pod_of(&list, 250);
    let (document, _) = check(&(victim() + &evil));
    let row = in_namespace(&document["workloads"], "workload_namespace", "evil")[0];
    let images = row["images"].as_array().expect("images");
    assert_eq!(images.len(), 250);
    assert!(images.iter().all(|image| image["credentials"].as_array().is_some_and(|all| all.len() == 50)));
    assert_eq!(row["outlook"], "unverified", "{}", row["reason"]);
    assert_eq!(in_namespace(&document["workloads"], "workload_namespace", "victim")[0]["outlook"], "unverified");
}

#[test]
fn a_pod_that_no_node_could_run_is_one_problem() {
    for evil in [pod_of(&["a"], 5_000), pod_of(&vec!["a"; 5_000], 1)] {
        let (document, code) = check(&(victim() + &evil));
        assert_eq!(code, Some(1));
        assert!(in_namespace(&document["workloads"], "workload_namespace", "evil").is_empty());
        assert_eq!(document["problems"].as_array().map(Vec::len), Some(1), "{}", document["problems"]);
        assert_eq!(in_namespace(&document["workloads"], "workload_namespace", "victim").len(), 1);
    }
}

/// Under a glob tenants name the hosts: what is kept of one goes with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_a_tenant_named_are_forgotten_with_the_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |host: &str| {
        let text = pull_secret("evil", "pull", &docker_config(host, "u", "p"));
        std::fs::write(folder.path().join("cluster.yaml"), text).expect("writable");
    };
    write("first.invalid");
    let config = "registries: [{host: \"*.invalid\", issuer: none}]\nprobe: {timeout: 1s}\n";
    let daemon = Daemon::start(config, Source::Files(vec![folder.path().to_owned()])).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(90);
    let asked = async |host: &str| loop {
        let (_, text) = daemon.get("/metrics").await;
        let series = format!("registry=\"{host}\"}} 1");
        if text.lines().any(|line| line.starts_with("pullpatrol_probes_total") && line.contains(&series)) {
            break text;
        }
        assert!(tokio::time::Instant::now() < deadline, "{host} was not asked:\n{text}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    asked("first.invalid").await;
    write("second.invalid");
    let text = asked("second.invalid").await;
    assert!(!text.contains("first.invalid"), "{text}");
    assert!(text.contains("registry=\"ghcr.io\""), "what is listed by name stays");
    daemon.stop().await;
}
