//! The state in `ConfigMap`s of a real API server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use pull_patrol::cluster::{ConfigMapError, ConfigMaps};
use simulator::{Host, TokenHandle, TokenSpec, World};

use crate::leaks::disguises;
use crate::state::Exposed;
use crate::support::manifests::{docker_config, ghcr_config, pull_secret};
use crate::support::program::Program;
use crate::support::real::RealCluster;

const SHORT: &str = "interval: 1s, confirmationSpacing: 1s, rejectedInterval: 1h";

/// A cluster with pull Secrets of two living tokens and a dead one, and a config that keeps its state in the cluster.
struct Scene {
    cluster: RealCluster,
    world: World,
    folder: tempfile::TempDir,
    dead: TokenHandle,
    tokens: Vec<TokenHandle>,
}

impl Scene {
    async fn new() -> Self {
        let cluster = RealCluster::start().await;
        cluster.create_namespace("a").await;
        cluster.create_namespace("patrol").await;
        let world = World::start().await.expect("a world");
        let tokens: Vec<TokenHandle> =
            ["alice", "bob", "carol"].iter().map(|user| world.add_token(TokenSpec::classic(*user))).collect();
        let dead = tokens[2].clone();
        dead.revoke();
        let folder = tempfile::tempdir().expect("a folder");
        let mut text = String::new();
        for (n, token) in tokens.iter().enumerate() {
            text += &pull_secret("a", &format!("pull-{n}"), &docker_config("ghcr.io", "someone", token.secret()));
        }
        let secrets = folder.path().join("secrets.yaml");
        std::fs::write(&secrets, text).expect("writable");
        let apply = ["apply", "-f", &secrets.display().to_string()];
        cluster.kubectl(&apply).await.expect_success("kubectl apply");
        let key = folder.path().join("key");
        std::fs::write(&key, [7; 32]).expect("writable");
        let config = ghcr_config(&world, None, SHORT).replace("issuer: {interval: 2s}", "issuer: {interval: 1h}")
            + &format!(
                "tokenIdKeyFile: {}\nstate: {{kind: configMap, namespace: patrol, name: kept}}\n",
                key.display()
            );
        std::fs::write(folder.path().join("patrol.yaml"), config).expect("writable");
        Self { cluster, world, folder, dead, tokens }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("patrol.yaml")
    }

    async fn start(&self, kubeconfig: &Path) -> Program {
        Program::start(&self.config(), &["--kubeconfig", &kubeconfig.display().to_string()]).await
    }

    /// The config of another daemon, which looks at these namespaces alone.
    fn config_for(&self, namespaces: &str) -> PathBuf {
        let text = std::fs::read_to_string(self.config()).expect("readable");
        let path = self.folder.path().join(format!("{namespaces}.yaml"));
        std::fs::write(&path, text + &format!("scope: {{namespaces: [{namespaces}]}}\n")).expect("writable");
        path
    }

    /// Apply manifests.
    async fn apply(&self, text: &str) {
        let path = self.folder.path().join("more.yaml");
        std::fs::write(&path, text).expect("writable");
        let apply = ["apply", "-f", &path.display().to_string()];
        self.cluster.kubectl(&apply).await.expect_success("kubectl apply");
    }

    async fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.cluster.client().await, "patrol")
    }

    /// The text of the state.
    async fn kept(&self) -> String {
        let map = self.maps().await.get("kept").await.expect("the ConfigMap is there");
        map.data.expect("data").remove("state").expect("a state")
    }
}

/// Whether all three credentials have the status that they must come to.
fn settled(text: &str) -> bool {
    let status = Exposed::of(text).status;
    ["valid", "valid", "rejected"]
        .iter()
        .enumerate()
        .all(|(n, wanted)| status.get(&format!("pull-{n}")).is_some_and(|found| found == wanted))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_in_a_config_map_survives_kill_9_and_holds_no_secret() {
    let scene = Scene::new().await;
    let kubeconfig = scene.cluster.kubeconfig().to_owned();
    let daemon = scene.start(&kubeconfig).await;
    daemon.metrics_when(settled).await;
    daemon.kill().await;
    let asked = scene.world.count(|request| request.shows(&scene.dead));
    for _ in 0..3 {
        let daemon = scene.start(&kubeconfig).await;
        let text = daemon.ready_metrics().await;
        assert!(settled(&text), "{text}");
        assert!(text.contains("pullpatrol_state_errors_total{reason=\"corrupt\"} 0"));
        tokio::time::sleep(Duration::from_millis(500)).await;
        daemon.kill().await;
    }
    assert_eq!(scene.world.count(|request| request.shows(&scene.dead)), asked, "a dead login was asked again");
    let kept = scene.kept().await;
    assert!(kept.contains("\"verdict\":[false"));
    let all = serde_json::to_string(&scene.maps().await.get("kept").await.expect("there")).expect("JSON");
    for token in &scene.tokens {
        for form in disguises(token.secret()) {
            assert!(!kept.contains(&form) && !all.contains(&form), "the ConfigMap holds a token");
        }
    }
    assert!(!all.contains("someone"), "the ConfigMap holds a user name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_of_one_config_map_merge() {
    let scene = Scene::new().await;
    let kubeconfig = scene.cluster.kubeconfig().to_owned();
    let (one, other) = tokio::join!(scene.start(&kubeconfig), scene.start(&kubeconfig));
    tokio::join!(one.metrics_when(settled), other.metrics_when(settled));
    // Both write on, each over what the other wrote.
    let version = async || scene.maps().await.get("kept").await.expect("there").metadata.resource_version;
    let mut versions = std::collections::BTreeSet::new();
    for round in 0..4 {
        let token = scene.world.add_token(TokenSpec::classic("dave"));
        let name = format!("new-{round}");
        scene.apply(&pull_secret("a", &name, &docker_config("ghcr.io", "someone", token.secret()))).await;
        let valid = |text: &str| Exposed::of(text).status.get(&name).is_some_and(|status| status == "valid");
        tokio::join!(one.metrics_when(valid), other.metrics_when(valid));
        versions.insert(version().await);
    }
    assert!(versions.len() >= 3, "{versions:?}");
    for daemon in [one, other] {
        let text = daemon.get("/metrics").await.expect("it answers").1;
        for reason in ["conflict", "corrupt", "foreign", "write", "timeout"] {
            assert!(text.contains(&format!("pullpatrol_state_errors_total{{reason=\"{reason}\"}} 0")), "{text}");
        }
        daemon.kill().await;
    }
    let daemon = scene.start(&kubeconfig).await;
    let text = daemon.ready_metrics().await;
    assert!(settled(&text), "{text}");
    let status = Exposed::of(&text).status;
    assert!((0..4).all(|round| status[&format!("new-{round}")] == "valid"), "{status:?}");
    daemon.stop().await;
}

/// Each proves what the other never asks, and neither may write over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_writers_prove_of_different_secrets_is_kept_together() {
    let scene = Scene::new().await;
    scene.cluster.create_namespace("b").await;
    let (good, bad) =
        (scene.world.add_token(TokenSpec::classic("dave")), scene.world.add_token(TokenSpec::classic("erin")));
    bad.revoke();
    let secret =
        |name: &str, token: &TokenHandle| pull_secret("b", name, &docker_config("ghcr.io", "else", token.secret()));
    scene.apply(&(secret("good", &good) + &secret("bad", &bad))).await;
    let elsewhere = |text: &str| {
        let status = Exposed::of(text).status;
        let is = |name: &str, wanted: &str| status.get(name).is_some_and(|found| found == wanted);
        is("good", "valid") && is("bad", "rejected")
    };
    let kubeconfig = scene.cluster.kubeconfig().display().to_string();
    let (one, other) = (scene.config_for("a"), scene.config_for("b"));
    let arguments = ["--kubeconfig", kubeconfig.as_str()];
    let (one, other) = tokio::join!(Program::start(&one, &arguments), Program::start(&other, &arguments));
    let (here, there) = tokio::join!(one.metrics_when(settled), other.metrics_when(elsewhere));
    assert!(!Exposed::of(&here).status.contains_key("good") && !Exposed::of(&there).status.contains_key("pull-0"));
    one.kill().await;
    other.kill().await;
    let dead = || scene.world.count(|request| request.shows(&scene.dead) || request.shows(&bad));
    let asked = dead();
    let daemon = scene.start(scene.cluster.kubeconfig()).await;
    let text = daemon.ready_metrics().await;
    assert!(settled(&text) && elsewhere(&text), "{text}");
    // Whoever works is asked again, and nobody else.
    let living = || scene.world.count(|request| request.shows(&good));
    let before = living();
    daemon.metrics_when(|_| living() >= before + 2).await;
    assert_eq!(dead(), asked, "a dead login was asked again");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_restarts_over_a_config_map_ask_no_more_than_one_round() {
    let mut scene = Scene::new().await;
    for n in 3..12 {
        let token = scene.world.add_token(TokenSpec::classic(format!("user-{n}")));
        scene
            .apply(&pull_secret("a", &format!("pull-{n}"), &docker_config("ghcr.io", "someone", token.secret())))
            .await;
        scene.tokens.push(token);
    }
    let slow = std::fs::read_to_string(scene.config()).expect("readable");
    // A few at a time, so that most are asked after the first save.
    let slow = slow.replace(SHORT, "interval: 10m, confirmationSpacing: 5m, concurrency: 2");
    let slow = slow.replace("requestsPerSecond: 1000", "requestsPerSecond: 20");
    assert!(slow.contains("concurrency: 2") && slow.contains("requestsPerSecond: 20"));
    std::fs::write(scene.config(), slow).expect("writable");
    for restart in 0..10_u64 {
        let daemon = scene.start(scene.cluster.kubeconfig()).await;
        daemon.ready_metrics().await;
        tokio::time::sleep(Duration::from_millis(100 + 60 * restart)).await;
        daemon.kill().await;
    }
    assert!(scene.world.count(|request| request.asked(Host::Ghcr, "/token")) > 4, "hardly anybody was asked");
    for (n, token) in scene.tokens.iter().enumerate() {
        let logins = scene.world.count(|request| request.asked(Host::Ghcr, "/token") && request.shows(token));
        assert!(logins <= 1, "pull-{n} was asked {logins} times");
        let issuer = scene.world.count(|request| request.asked(Host::GithubApi, "/rate_limit") && request.shows(token));
        assert!(issuer <= 1, "GitHub was asked about pull-{n} {issuer} times");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_state_is_kept_aside_in_its_config_map() {
    let scene = Scene::new().await;
    let daemon = scene.start(scene.cluster.kubeconfig()).await;
    daemon.metrics_when(settled).await;
    daemon.kill().await;
    let damaged = scene.kept().await.replacen("\"verdict\":[false", "\"verdict\":[true", 1);
    let patch = serde_json::json!({"data": {"state": damaged}});
    let params = kube::api::PatchParams::default();
    scene.maps().await.patch("kept", &params, &kube::api::Patch::Merge(&patch)).await.expect("patched");

    let daemon = scene.start(scene.cluster.kubeconfig()).await;
    let text = daemon.metrics_when(settled).await;
    assert!(text.contains("pullpatrol_state_errors_total{reason=\"corrupt\"} 1"), "{text}");
    let data = scene.maps().await.get("kept").await.expect("there").data.expect("data");
    assert_eq!(data["refused"], damaged);
    let log = daemon.stop().await;
    assert!(log.contains("it is kept under the key `refused`"), "{log}");
    // The next one begins where this one ended.
    let daemon = scene.start(scene.cluster.kubeconfig()).await;
    let text = daemon.ready_metrics().await;
    assert!(settled(&text) && text.contains("pullpatrol_state_errors_total{reason=\"corrupt\"} 0"), "{text}");
    daemon.stop().await;
}

/// What the longest texts take that a state is divided into, beside one that was refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_texts_fit_into_real_config_maps() {
    let cluster = RealCluster::start().await;
    cluster.create_namespace("patrol").await;
    let open = async || ConfigMaps::new(cluster.client().await, "patrol", "kept");
    let long = "\"".repeat(480 * 1024);
    assert!(ConfigMaps::fits_aside(&long) && !ConfigMaps::fits_aside(&(long.clone() + "x")));
    let mut maps = open().await;
    for place in [0, 1] {
        maps.write(place, &long, Some(&long)).await.expect("it fits");
    }
    let mut other = open().await;
    for place in [0, 1] {
        assert_eq!(other.read(place).await.expect("readable").as_deref(), Some(long.as_str()));
    }
    // What was set aside stays, and of two writers the second is told.
    other.write(1, "short", None).await.expect("it fits");
    let error = maps.write(1, "stale", None).await.expect_err("another one wrote it");
    assert!(matches!(error, ConfigMapError::Conflict { .. }), "{error:?}");
    let api: Api<ConfigMap> = Api::namespaced(cluster.client().await, "patrol");
    let data = api.get("kept-1").await.expect("there").data.expect("data");
    assert_eq!((data["state"].as_str(), &data["refused"]), ("short", &long));
    let error = maps.write(2, &long.repeat(3), None).await.expect_err("more than the API server takes");
    assert!(matches!(error, ConfigMapError::TooLarge { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_keep_a_state_the_patrol_goes_on_and_says_so() {
    let scene = Scene::new().await;
    let account = "system:serviceaccount:patrol:default";
    let user = format!("--serviceaccount={}", account.trim_start_matches("system:serviceaccount:"));
    for (name, verbs, resources) in [("look", "list,watch", "secrets,pods,serviceaccounts")] {
        let (verbs, resources) = (format!("--verb={verbs}"), format!("--resource={resources}"));
        scene.cluster.kubectl(&["create", "clusterrole", name, &verbs, &resources]).await.expect_success("a role");
        let role = format!("--clusterrole={name}");
        scene.cluster.kubectl(&["create", "clusterrolebinding", name, &role, &user]).await.expect_success("a binding");
    }
    let token = scene.cluster.kubectl(&["create", "token", "default", "-n", "patrol"]).await.expect_success("a token");
    let text = std::fs::read_to_string(scene.cluster.kubeconfig()).expect("readable");
    let mut text: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    text["users"][0]["user"]["token"] = token.trim().into();
    let kubeconfig = scene.folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, text.to_string()).expect("writable");

    let daemon = scene.start(&kubeconfig).await;
    let missing = "pullpatrol_permission_missing{resource=\"configmaps\",verb=\"get\",scope=\"patrol\"} 1";
    let text = daemon.metrics_when(|text| settled(text) && text.contains(missing)).await;
    assert!(!text.contains("pullpatrol_state_saved_timestamp_seconds "), "{text}");
    assert!(!text.contains("pullpatrol_state_errors_total{reason=\"forbidden\"} 0"), "{text}");
    assert!(daemon.get("/").await.expect("it answers").1.contains("configmaps"), "the page names the rule");

    let create = ["create", "role", "keep", "-n", "patrol", "--verb=get,create,update", "--resource=configmaps"];
    scene.cluster.kubectl(&create).await.expect_success("a role");
    let bind = ["create", "rolebinding", "keep", "-n", "patrol", "--role=keep", &user];
    scene.cluster.kubectl(&bind).await.expect_success("a binding");
    let saved = "pullpatrol_state_saved_timestamp_seconds ";
    let still_missing = "pullpatrol_permission_missing{resource=\"configmaps\"";
    daemon.metrics_when(|text| text.contains(saved) && !text.contains(still_missing)).await;
    assert!(scene.kept().await.contains("\"verdict\":[false"));
    let log = daemon.stop().await;
    assert!(log.contains("RBAC denies to get the ConfigMap kept"), "{log}");
    assert!(scene.world.count(|request| request.asked(Host::Ghcr, "/token")) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_of_somebody_else_is_never_written() {
    let scene = Scene::new().await;
    let create = ["create", "configmap", "kept", "-n", "patrol", "--from-literal=state=mine"];
    scene.cluster.kubectl(&create).await.expect_success("a ConfigMap");
    let daemon = scene.start(scene.cluster.kubeconfig()).await;
    let told = |text: &str| !text.contains("pullpatrol_state_errors_total{reason=\"foreign\"} 0");
    daemon.metrics_when(|text| settled(text) && told(text)).await;
    assert_eq!(scene.kept().await, "mine");
    daemon.stop().await;
    assert_eq!(scene.kept().await, "mine");
}
