//! Permissions that name Secrets, that come and go with namespaces, and that keep a state, on a real API server with the
//! chart's own roles.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simulator::{TokenSpec, World};

use super::tiers::{ACCOUNT, LOOK, PATIENCE, apply, asked, cluster, missing, render, run_as_installed, sees};
use crate::line::Daemon;
use crate::support::manifests::{docker_config, pod, pull_secret};
use crate::support::real::RealCluster;

/// A pull Secret with a token that works.
fn working(world: &World, namespace: &str, name: &str) -> String {
    let token = world.add_token(TokenSpec::classic(namespace).reads("acme"));
    pull_secret(namespace, name, &docker_config("ghcr.io", namespace, token.secret()))
}

/// Wait until exactly these Secrets have a credential that is valid.
async fn valid(daemon: &Daemon, wanted: &[(&str, &str)]) {
    let wanted: BTreeSet<String> = wanted.iter().map(|(namespace, name)| format!("{namespace}/{name} valid")).collect();
    daemon
        .settled(|rows| {
            let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
            let told = |row: &Value| {
                format!("{}/{} {}", text(row, "secret_namespace"), text(row, "secret_name"), text(row, "status"))
            };
            let found: BTreeSet<String> = rows.iter().map(told).collect();
            if found == wanted { vec![] } else { vec![format!("{found:?} instead of {wanted:?}")] }
        })
        .await;
}

/// The document of the API without its rows.
async fn document(daemon: &Daemon) -> Value {
    let (status, body) = daemon.get("/api/v1/credentials").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

/// Wait until the document is as it should be.
async fn until(daemon: &Daemon, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let document = document(daemon).await;
        if is_so(&document) {
            return document;
        }
        assert!(tokio::time::Instant::now() < deadline, "never seen: {what}: {document}");
        tokio::time::sleep(LOOK).await;
    }
}

async fn can_i(cluster: &RealCluster, verb: &str, what: &str, namespace: &str) -> bool {
    let user = format!("--as=system:serviceaccount:monitoring:{ACCOUNT}");
    let answer = cluster.kubectl(&["auth", "can-i", verb, what, "-n", namespace, &user]).await;
    let said = answer.stdout.trim().to_owned();
    assert!(said == "yes" || said == "no", "{answer:?}");
    said == "yes"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn named_secrets_are_seen_and_nothing_else_is_asked_for() {
    let (cluster, world, folder) = cluster().await;
    apply(&cluster, &folder, &working(&world, "team-a", "other")).await;
    let secrets = json!([{"namespace": "team-a", "name": "pull"}, {"namespace": "team-a", "name": "late"}]);
    let made = render(&world, &json!({"scope": {"secrets": secrets}}), "named").await;
    apply(&cluster, &folder, &made).await;
    for verb in ["get", "list", "watch"] {
        // A list with a field selector of one name is a list of that name, also for RBAC; nobody gets.
        assert_eq!(can_i(&cluster, verb, "secrets/pull", "team-a").await, verb != "get", "{verb}");
        for (what, namespace) in [("secrets", "team-a"), ("secrets/other", "team-a"), ("secrets/pull", "team-b")] {
            assert!(!can_i(&cluster, verb, what, namespace).await, "{verb} {what} in {namespace}");
        }
    }

    let daemon = run_as_installed(&cluster, &folder, &made).await;
    sees(&daemon, &["team-a"]).await;
    valid(&daemon, &[("team-a", "pull")]).await;
    assert_eq!(missing(&daemon).await, Vec::<String>::new());
    let is_missed = |document: &Value| {
        let told = document["problems"].as_array().expect("a list");
        told.iter().any(|problem| problem["name"] == "team-a/late" && problem["kind"] == "Secret")
    };
    assert!(is_missed(&document(&daemon).await), "a name that leads nowhere is told");

    for round in 0..2 {
        apply(&cluster, &folder, &working(&world, "team-a", "late")).await;
        valid(&daemon, &[("team-a", "pull"), ("team-a", "late")]).await;
        until(&daemon, "no problem", |document| !is_missed(document)).await;
        if round == 0 {
            cluster.kubectl(&["delete", "secret", "late", "-n", "team-a"]).await.expect_success("kubectl delete");
            valid(&daemon, &[("team-a", "pull")]).await;
            until(&daemon, "the problem", is_missed).await;
        }
    }
    assert_eq!(missing(&daemon).await, Vec::<String>::new());
    daemon.stop().await;

    let asked = asked(&cluster);
    let of_secrets = asked.iter().filter(|entry| entry["objectRef"]["resource"] == "secrets");
    let objects: BTreeSet<String> = of_secrets.map(|entry| entry["objectRef"].to_string()).collect();
    let object = |name: &str| {
        json!({"apiVersion": "v1", "name": name, "namespace": "team-a", "resource": "secrets"}).to_string()
    };
    assert_eq!(objects, BTreeSet::from([object("late"), object("pull")]));
    let elsewhere: Vec<&Value> = asked.iter().filter(|entry| entry["objectRef"]["namespace"] != "team-a").collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    let refused: Vec<&Value> = asked.iter().filter(|entry| entry["responseStatus"]["code"] == 403).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// Remove a namespace with all that is in it, as the controllers would that no test has.
async fn remove_namespace(cluster: &RealCluster, folder: &tempfile::TempDir, name: &str) {
    for kind in ["pods", "secrets", "rolebindings", "roles", "serviceaccounts"] {
        let delete = ["delete", kind, "--all", "-n", name, "--grace-period=0", "--force"];
        cluster.kubectl(&delete).await.expect_success("kubectl delete");
    }
    cluster.kubectl(&["delete", "namespace", name, "--wait=false"]).await.expect_success("kubectl delete namespace");
    let file = folder.path().join("namespace.json");
    let empty =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}});
    std::fs::write(&file, empty.to_string()).expect("writable");
    let (path, flag) = (format!("/api/v1/namespaces/{name}/finalize"), format!("--filename={}", file.display()));
    cluster.kubectl(&["replace", "--raw", &path, &flag]).await.expect_success("kubectl replace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_can_come_later_go_and_come_again() {
    let (cluster, world, folder) = cluster().await;
    let made = render(&world, &json!({"scope": {"namespaces": ["team-a", "later"]}}), "all").await;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&made).expect("Helm writes YAML");
    let text = |documents: &[&Value]| {
        let documents: Vec<String> = documents.iter().map(|one| format!("---\n{one}\n")).collect();
        documents.concat()
    };
    let (later, now): (Vec<&Value>, Vec<&Value>) =
        documents.iter().partition(|object| object["metadata"]["namespace"] == "later");
    assert_eq!(later.len(), 2, "a Role and its binding");
    apply(&cluster, &folder, &text(&now)).await;

    let daemon = run_as_installed(&cluster, &folder, &made).await;
    sees(&daemon, &["team-a"]).await;
    // What is refused, and what would be: each verb, and Events that nobody has tried to write.
    let lacks = |document: &Value| {
        let told = document["missing_permissions"].as_array().expect("a list").clone();
        assert!(told.iter().all(|rule| rule["namespace"] == "later"), "{told:?}");
        let has = |resource: &str, verbs: Value| {
            told.iter().any(|rule| rule["resource"] == resource && rule["verbs"] == verbs)
        };
        has("secrets", json!(["list", "watch"])) && has("pods", json!(["list", "watch"])) && {
            has("events", json!(["create", "patch"]))
        }
    };
    let told = until(&daemon, "the missing rules", lacks).await;
    let rules = told["missing_permissions"].as_array().expect("a list");
    let secrets = rules.iter().find(|rule| rule["resource"] == "secrets").expect("told above");
    let wanted = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]});
    let rule: Value = serde_saphyr::from_str(secrets["rule"].as_str().expect("a text")).expect("YAML");
    assert_eq!(rule, wanted);
    assert!(daemon.get("/").await.1.contains("Role in namespace later"));
    let series = "pullpatrol_permission_missing{resource=\"events\",verb=\"create\",scope=\"later\"} 1";
    assert!(missing(&daemon).await.iter().any(|line| line == series));

    for round in 0..2 {
        cluster.create_namespace("later").await;
        let objects = text(&later)
            + &working(&world, "later", "pull")
            + &pod("later", "app", "ghcr.io/acme/app:latest", &["pull"]);
        apply(&cluster, &folder, &objects).await;
        valid(&daemon, &[("team-a", "pull"), ("later", "pull")]).await;
        until(&daemon, "all rules", |document| document["missing_permissions"] == json!([])).await;
        if round == 0 {
            remove_namespace(&cluster, &folder, "later").await;
            valid(&daemon, &[("team-a", "pull")]).await;
        }
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_in_config_maps_needs_the_charts_role_and_no_more() {
    let (cluster, world, folder) = cluster().await;
    let key = folder.path().join("key");
    std::fs::write(&key, [7; 32]).expect("writable");
    let state = json!({"kind": "configMap", "namespace": "monitoring", "name": "kept"});
    let made = render(&world, &json!({"tokenIdKeyFile": key, "state": state}), "all").await;
    apply(&cluster, &folder, &made).await;
    for (verb, what, wanted) in [
        ("get", "configmaps/kept", true),
        ("update", "configmaps/kept-63", true),
        ("create", "configmaps", true),
        ("get", "configmaps/else", false),
        ("list", "configmaps", false),
        ("delete", "configmaps/kept", false),
    ] {
        assert_eq!(can_i(&cluster, verb, what, "monitoring").await, wanted, "{verb} {what}");
    }
    let daemon = run_as_installed(&cluster, &folder, &made).await;
    valid(&daemon, &[("team-a", "pull"), ("team-b", "pull")]).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !daemon.get("/metrics").await.1.contains("pullpatrol_state_saved_timestamp_seconds ") {
        assert!(tokio::time::Instant::now() < deadline, "the state was never saved");
        tokio::time::sleep(LOOK).await;
    }
    assert_eq!(missing(&daemon).await, Vec::<String>::new());
    daemon.stop().await;
    cluster.kubectl(&["get", "configmap", "kept", "-n", "monitoring"]).await.expect_success("the state");
    let refused: Vec<Value> =
        asked(&cluster).into_iter().filter(|entry| entry["responseStatus"]["code"] == 403).collect();
    // The cluster lacks the kinds of runners, and a refusal of what is not there is none.
    assert!(refused.is_empty(), "{refused:?}");
}
