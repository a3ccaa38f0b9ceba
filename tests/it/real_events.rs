//! Kubernetes Events on Secrets, through a real kube-apiserver: what changed once is told once, and by nobody else.

use std::path::PathBuf;
use std::time::Duration;

use pull_patrol::runtime::Source;
use serde_json::{Value, json};
use simulator::demo::{DemoPorts, DemoWorld};
use simulator::{TokenHandle, TokenSpec, Visibility, World};

use crate::leaks;
use crate::line::{Daemon, row};
use crate::support::manifests::{docker_config, ghcr_config, pull_secret};
use crate::support::real::RealCluster;

/// How long a test waits for a state that must come.
const PATIENCE: Duration = Duration::from_secs(90);
const SHORT: &str = "interval: 1s, confirmationSpacing: 1s, rejectedInterval: 2s";

async fn apply(cluster: &RealCluster, manifests: &str) -> crate::support::real::Output {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("objects.yaml");
    std::fs::write(&file, manifests).expect("writable");
    cluster.kubectl(&["apply", "-f", &file.display().to_string()]).await
}

/// A namespace `team-a` with a Secret of a token that a test revokes, and one whose token works.
async fn scene(world: &World, cluster: &RealCluster) -> TokenHandle {
    cluster.create_namespace("team-a").await;
    world.add_package("acme/app", Visibility::private());
    let token = world.add_token(TokenSpec::classic("alice").reads("acme"));
    let control = world.add_token(TokenSpec::classic("bob").reads("acme"));
    let secret = |name: &str, user: &str, token: &TokenHandle| {
        pull_secret("team-a", name, &docker_config("ghcr.io", user, token.secret()))
    };
    let manifests = secret("pull", "alice", &token) + &secret("control", "bob", &control);
    apply(cluster, &manifests).await.expect_success("kubectl apply");
    token
}

async fn becomes(daemon: &Daemon, name: &str, status: &str) {
    daemon
        .settled(|rows| match row(rows, "team-a", name, "ghcr.io") {
            Some(row) if row["status"] == status => vec![],
            other => vec![format!("{name} is not {status}: {other:?}")],
        })
        .await;
}

async fn events(cluster: &RealCluster) -> Vec<Value> {
    let output = cluster.kubectl(&["get", "events", "-A", "-o", "json"]).await.expect_success("kubectl get events");
    let list: Value = serde_json::from_str(&output).expect("JSON");
    list["items"].as_array().expect("a list").clone()
}

/// Wait until there are so many Events with a reason, each counted; then look at all.
async fn until_told(cluster: &RealCluster, reason: &str, count: u64) -> Vec<Value> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let events = events(cluster).await;
        let counted = events.iter().filter(|event| event["reason"] == reason);
        let found: u64 = counted.filter_map(|event| event["count"].as_u64()).sum();
        if found >= count {
            return events;
        }
        assert!(tokio::time::Instant::now() < deadline, "{reason} {found} times, not {count}: {events:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn reasons(events: &[Value]) -> Vec<(&str, u64)> {
    let mut told: Vec<_> = events
        .iter()
        .map(|event| (event["reason"].as_str().expect("a reason"), event["count"].as_u64().expect("a count")))
        .collect();
    told.sort_unstable();
    told
}

fn live(cluster: &RealCluster) -> Source {
    Source::Cluster { kubeconfig: Some(cluster.kubeconfig().to_owned()), context: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_makes_one_event_and_its_return_another() {
    let cluster = RealCluster::start().await;
    let world = World::start().await.expect("a world");
    let token = scene(&world, &cluster).await;
    let daemon = Daemon::start(&ghcr_config(&world, None, SHORT), live(&cluster)).await;
    becomes(&daemon, "pull", "valid").await;
    becomes(&daemon, "control", "valid").await;

    token.revoke();
    let told = until_told(&cluster, "CredentialRejected", 1).await;
    assert_eq!(reasons(&told), [("CredentialRejected", 1)], "what works makes no Event, and what is dead one");
    let event = &told[0];
    let secret = cluster.kubectl(&["get", "secret", "pull", "-n", "team-a", "-o", "jsonpath={.metadata.uid}"]).await;
    assert_eq!(event["involvedObject"]["uid"], secret.stdout.trim());
    assert_eq!(
        (&event["involvedObject"]["kind"], &event["involvedObject"]["name"]),
        (&json!("Secret"), &json!("pull"))
    );
    assert_eq!((&event["type"], &event["source"]["component"]), (&json!("Warning"), &json!("pull-patrol")));
    let message = event["message"].as_str().expect("a message");
    for words in [
        "credential for ghcr.io: the registry refuses it",
        "no workload would present it",
        "kubectl -n team-a create secret docker-registry pull --docker-server=ghcr.io --docker-username=alice",
    ] {
        assert!(message.contains(words), "{message}");
    }
    // What a person types.
    let shown = cluster.kubectl(&["events", "--for", "secret/pull", "-n", "team-a"]).await;
    assert!(shown.stdout.contains("CredentialRejected"), "{shown:?}");
    let described = cluster.kubectl(&["describe", "secret", "pull", "-n", "team-a"]).await;
    assert!(!described.stdout.contains("Events:"), "kubectl learned to show them: say so in the docs\n{described:?}");

    token.restore();
    becomes(&daemon, "pull", "valid").await;
    let told = until_told(&cluster, "CredentialRecovered", 1).await;
    assert_eq!(reasons(&told), [("CredentialRecovered", 1), ("CredentialRejected", 1)]);
    let recovered = told.iter().find(|event| event["reason"] == "CredentialRecovered").expect("just told");
    assert_eq!(recovered["type"], "Normal");
    assert_eq!(recovered["message"], "credential for ghcr.io: works now; it was rejected before");

    // The same again counts up, also for a daemon that knows nothing of the first time.
    daemon.stop().await;
    token.revoke();
    let daemon = Daemon::start(&ghcr_config(&world, None, SHORT), live(&cluster)).await;
    let told = until_told(&cluster, "CredentialRejected", 2).await;
    assert_eq!(reasons(&told), [("CredentialRecovered", 1), ("CredentialRejected", 2)]);
    let metrics = daemon.get("/metrics").await.1;
    assert!(metrics.contains("pullpatrol_events_total{outcome=\"repeated\"} 1\n"), "{metrics}");
    daemon.stop().await;
    leaks::search("Events", &json!(told).to_string(), &[token.secret().to_owned()]);
}

/// A kubeconfig of a ServiceAccount that may list and watch what the daemon reads, and nothing else.
async fn reader(cluster: &RealCluster, folder: &std::path::Path) -> PathBuf {
    let rules = [
        "create serviceaccount patrol -n team-a",
        "create clusterrole reader --verb=list,watch --resource=secrets,pods,serviceaccounts,deployments.apps,\
         statefulsets.apps,daemonsets.apps,replicasets.apps,jobs.batch,cronjobs.batch",
        "create clusterrolebinding reader --clusterrole=reader --serviceaccount=team-a:patrol",
    ];
    for rule in rules {
        let words: Vec<&str> = rule.split_whitespace().collect();
        cluster.kubectl(&words).await.expect_success(rule);
    }
    let token = cluster.kubectl(&["create", "token", "patrol", "-n", "team-a"]).await.expect_success("create token");
    let text = std::fs::read_to_string(cluster.kubeconfig()).expect("a kubeconfig");
    let file = folder.join("kubeconfig");
    std::fs::write(&file, text.replace(RealCluster::ADMIN_TOKEN, token.trim())).expect("writable");
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_make_events_the_patrol_goes_on_and_says_so() {
    let cluster = RealCluster::start().await;
    let world = World::start().await.expect("a world");
    let token = scene(&world, &cluster).await;
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = reader(&cluster, folder.path()).await;
    let source = Source::Cluster { kubeconfig: Some(kubeconfig), context: None };
    let daemon = Daemon::start(&ghcr_config(&world, None, SHORT), source).await;
    becomes(&daemon, "pull", "valid").await;
    // It is known before the first Event is to be written.
    let series = "pullpatrol_permission_missing{resource=\"events\",verb=\"create\",scope=\"\"} 1\n";
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !daemon.get("/metrics").await.1.contains(series) {
        assert!(tokio::time::Instant::now() < deadline, "the missing permission is not exported");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    token.revoke();
    becomes(&daemon, "pull", "rejected").await;
    assert!(daemon.get("/metrics").await.1.contains(series));
    let ready = daemon.get("/readyz?verbose").await;
    let page = daemon.get("/").await.1;
    assert_eq!(ready.0, 200, "{ready:?}");
    let rule =
        "{apiGroups: [&quot;&quot;], resources: [&quot;events&quot;], verbs: [&quot;create&quot;, &quot;patch&quot;]}";
    assert!(page.contains(rule) || page.contains(&rule.replace("&quot;", "\"")), "{page}");

    token.restore();
    becomes(&daemon, "pull", "valid").await;
    assert_eq!(events(&cluster).await, Vec::<Value>::new());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_stands_in_any_event_of_the_demo_and_off_means_off() {
    let demo = DemoWorld::start(DemoPorts::default()).await.expect("the world starts");
    let cluster = RealCluster::start().await;
    let mut namespaces: Vec<&str> = demo
        .manifests
        .lines()
        .filter_map(|line| line.trim().strip_prefix("namespace: "))
        .map(|name| name.trim_matches('"'))
        .collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    for namespace in &namespaces {
        cluster.create_namespace(namespace).await;
    }
    // The custom resources of the demo are unknown to this server; the rest is applied all the same.
    let applied = apply(&cluster, &demo.manifests).await;
    assert!(applied.stdout.matches("secret/").count() > 10, "{applied:?}");

    let off = Daemon::start(&format!("{}\nevents: false\n", demo.config), live(&cluster)).await;
    let on = Daemon::start(&demo.config, live(&cluster)).await;
    for reason in ["CredentialRejected", "CredentialExpired", "CredentialForbidden", "CredentialScopeInsufficient"] {
        until_told(&cluster, reason, 1).await;
    }
    off.settled(|rows| {
        let rejected = rows.iter().filter(|row| row["status"] == "rejected").count();
        if rejected > 0 { vec![] } else { vec!["none is rejected".to_owned()] }
    })
    .await;
    let zeros = off.get("/metrics").await.1;
    let counted = zeros.lines().filter(|line| line.starts_with("pullpatrol_events_total") && !line.ends_with(" 0"));
    assert_eq!(counted.count(), 0, "it was told to make none");

    // A Secret becomes undecodable, with its token in the text.
    let secrets = leaks::secrets(&demo.manifests);
    let garbage = format!("{{\"auths\":{{\"ghcr.io\":{{\"auth\":\"{}!\"}}}}}}", secrets[0]);
    apply(&cluster, &pull_secret(namespaces[0], "broken-later", &garbage)).await.expect_success("kubectl apply");
    let told = until_told(&cluster, "CredentialUndecodable", 1).await;
    leaks::search("Events", &json!(told).to_string(), &secrets);
    on.stop().await;
    off.stop().await;
}
