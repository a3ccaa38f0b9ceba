//! The whole line with real neighbours: a kube-apiserver that is watched, a docker-registry that is asked, a Prometheus
//! that scrapes, and skopeo as the second opinion.

use std::collections::BTreeMap;

use pull_patrol::runtime::Source;
use serde_json::Value;
use simulator::demo::{DemoPorts, DemoWorld};
use simulator::{TokenSpec, Visibility, World};

use crate::line::{Daemon, row};
use crate::support::manifests::{docker_config, ghcr_config, pod, pull_secret};
use crate::support::program::Program;
use crate::support::real::{Auth, Image, Prometheus, RealCluster, Registry, User, program, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_made_by_kubectl_shows_in_metrics_and_goes_with_it() {
    let cluster = RealCluster::start().await;
    cluster.create_namespace("team-a").await;
    let world = World::start().await.expect("a world");
    world.add_package("acme/app", Visibility::private());
    let token = world.add_token(TokenSpec::classic("alice").reads("acme"));
    let source = Source::Cluster { kubeconfig: Some(cluster.kubeconfig().to_owned()), context: None };
    let daemon = Daemon::start(&ghcr_config(&world, None, "interval: 1h"), source).await;

    let password = format!("--docker-password={}", token.secret());
    let create = |name: &'static str| {
        vec!["create", "secret", "docker-registry", name, "-n", "team-a", "--docker-server=ghcr.io"]
    };
    let mut args = create("pull");
    args.extend(["--docker-username=alice", password.as_str()]);
    cluster.kubectl(&args).await.expect_success("kubectl create secret");
    daemon
        .settled(|rows| match row(rows, "team-a", "pull", "ghcr.io") {
            Some(row) if row["status"] == "valid" => vec![],
            other => vec![format!("{other:?}")],
        })
        .await;
    let series =
        "pullsecret_credential_usable{secret_namespace=\"team-a\",secret_name=\"pull\",registry=\"ghcr.io\"} 1";
    assert!(daemon.get("/metrics").await.1.contains(series));

    // Garbage beside it is an observation, and changes nothing else.
    let garbage = [
        "create",
        "secret",
        "generic",
        "garbage",
        "-n",
        "team-a",
        "--type=kubernetes.io/dockerconfigjson",
        "--from-literal=.dockerconfigjson={\"auths\":{\"ghcr.io\":{\"auth\":\"pants\"}}}",
    ];
    cluster.kubectl(&garbage).await.expect_success("kubectl create secret generic");
    daemon
        .settled(|rows| match row(rows, "team-a", "garbage", "") {
            Some(row) if row["status"] == "malformed" => vec![],
            other => vec![format!("{other:?}")],
        })
        .await;
    assert!(daemon.get("/metrics").await.1.contains(series));

    cluster.kubectl(&["delete", "secret", "pull", "-n", "team-a"]).await.expect_success("kubectl delete");
    daemon.settled(|rows| row(rows, "team-a", "pull", "ghcr.io").map(Value::to_string).into_iter().collect()).await;
    let metrics = daemon.get("/metrics").await.1;
    assert!(!metrics.contains("secret_name=\"pull\""), "series outlive their Secret");
    assert!(metrics.contains("secret_name=\"garbage\""));
    assert_eq!(daemon.get("/readyz").await.0, 200);
    daemon.stop().await;
}

/// What the daemon says of three logins of a registry, and what skopeo says of the same.
async fn agrees_with_skopeo(registry: &Registry, realm: Option<&str>, users: [(&str, &str, &str, bool); 3]) {
    let host = registry.host();
    let mut text = String::new();
    for (name, user, password, _) in users {
        text += &pull_secret("a", name, &docker_config(host, user, password));
        text += &pod("a", name, &format!("{host}/team/app:v1"), &[name]);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cluster.yaml");
    std::fs::write(&file, text).expect("writable");
    let realms = realm
        .map(|realm| {
            let url = url::Url::parse(realm).expect("a URL");
            format!("    realms: ['{}:{}']\n", url.host_str().expect("a host"), url.port().expect("a port"))
        })
        .unwrap_or_default();
    let config = format!(
        "registries:\n  - host: {host}\n    endpoint: http://{host}\n    plainHttp: true\n    \
         allowPrivateAddresses: true\n{realms}probe: {{interval: 2s, confirmationSpacing: 1s}}\n"
    );
    let daemon = Daemon::start(&config, Source::Files(vec![file])).await;
    daemon
        .settled(|rows| {
            let unproven = rows.iter().filter(|row| row["status"] == "unverified");
            let mut complaints: Vec<String> = unproven.map(Value::to_string).collect();
            if rows.len() != users.len() {
                complaints.push(format!("{} rows", rows.len()));
            }
            complaints
        })
        .await;
    let rows = daemon.credentials().await;
    for (name, user, password, works) in users {
        let ours = row(&rows, "a", name, host).expect("a row");
        let theirs = registry.inspect("team/app", "v1", Some(&format!("{user}:{password}"))).await;
        assert_eq!(theirs.success, works, "skopeo as {user}: {}", theirs.stderr);
        assert_eq!(ours["usable"], Value::Bool(theirs.success), "{user}: we say {ours}, skopeo {}", theirs.stderr);
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_with_htpasswd_is_judged_as_skopeo_judges_it() {
    let users = [("alice", "right-password-1"), ("bob", "right-password-2")];
    let users: BTreeMap<String, String> = users.iter().map(|(u, p)| ((*u).to_owned(), (*p).to_owned())).collect();
    let registry = Registry::start(Auth::Htpasswd(users)).await;
    let image = Image::new();
    registry.push(&image, "team/app", "v1", "alice:right-password-1").await.expect_success("skopeo copy");
    agrees_with_skopeo(
        &registry,
        None,
        [
            ("right", "alice", "right-password-1", true),
            ("wrong", "alice", "wrong-password", false),
            ("also-right", "bob", "right-password-2", true),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_with_tokens_is_judged_as_skopeo_judges_it() {
    let users = BTreeMap::from([
        ("alice".to_owned(), User::new("right-password-1").with("team/app", &["pull", "push"])),
        ("bob".to_owned(), User::new("right-password-2")),
    ]);
    let registry = Registry::start(Auth::Token(users)).await;
    let image = Image::new();
    registry.push(&image, "team/app", "v1", "alice:right-password-1").await.expect_success("skopeo copy");
    let realm = registry.token_server().expect("a token service").realm().to_owned();
    agrees_with_skopeo(
        &registry,
        Some(&realm),
        [
            ("right", "alice", "right-password-1", true),
            ("wrong", "alice", "wrong-password", false),
            ("without-rights", "bob", "right-password-2", false),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_of_the_demo_pass_promtool_and_feed_every_panel() {
    let demo = DemoWorld::start(DemoPorts::default()).await.expect("the world starts");
    let folder = tempfile::tempdir().expect("a folder");
    let manifests = folder.path().join("cluster.yaml");
    std::fs::write(&manifests, &demo.manifests).expect("writable");
    let state = serde_json::json!({"kind": "file", "path": folder.path().join("state")});
    let config = folder.path().join("patrol.yaml");
    std::fs::write(&config, format!("{}state: {state}\n", demo.config)).expect("writable");
    let daemon = Program::start(&config, &["--manifests", &manifests.display().to_string()]).await;
    let rejected = |text: &str| {
        text.lines().filter(|line| line.contains("_credential_status{") && line.contains("status=\"rejected\"")).count()
    };
    let expected = demo.expectations.iter().filter(|wanted| wanted.status == "rejected").count();
    let text = daemon.metrics_when(|text| rejected(text) >= expected).await;

    let file = folder.path().join("metrics.txt");
    std::fs::write(&file, &text).expect("writable");
    let check = format!("{} check metrics < {}", program("PROMTOOL").display(), file.display());
    let output = run("sh".as_ref(), ["-c", &check]).await;
    assert!(output.success && output.stdout.is_empty() && output.stderr.is_empty(), "promtool: {output:?}");

    let target = daemon.url().trim_start_matches("http://").to_owned();
    let rules = crate::support::real::checkout().join("deploy/alerts/pull-patrol.rules.yaml");
    let mut prometheus = Prometheus::start(&[&target], &[&rules]).await;
    prometheus.until("rate(pullpatrol_probes_total[10s]) > 0").await;
    for (uid, dashboard) in crate::dashboard::DASHBOARDS {
        for query in crate::panels::queries(dashboard) {
            assert!(!prometheus.query(&query.expr).await.is_empty(), "{uid}: no data for {query:?}");
        }
    }
    daemon.stop().await;
}
