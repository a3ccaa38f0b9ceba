//! Two replicas on a real API server: one probes, and the other takes over.

use std::path::PathBuf;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use simulator::{Host, TokenHandle, TokenSpec, World};

use crate::state::Exposed;
use crate::support::manifests::{docker_config, ghcr_config, pull_secret};
use crate::support::program::Program;
use crate::support::real::RealCluster;

const SHORT: &str = "interval: 1s, confirmationSpacing: 1s, rejectedInterval: 1h";

/// A cluster with pull Secrets of a living token and a dead one, and a config of replicas.
struct Scene {
    cluster: RealCluster,
    world: World,
    folder: tempfile::TempDir,
    dead: TokenHandle,
}

impl Scene {
    async fn new() -> Self {
        Self::keeping(|_| "{kind: configMap, namespace: patrol, name: kept}".to_owned()).await
    }

    /// With the state that is said, given a folder that all replicas share.
    async fn keeping(state: impl FnOnce(&std::path::Path) -> String) -> Self {
        let cluster = RealCluster::start().await;
        cluster.create_namespace("a").await;
        cluster.create_namespace("patrol").await;
        let world = World::start().await.expect("a world");
        let (alive, dead) = (world.add_token(TokenSpec::classic("alice")), world.add_token(TokenSpec::classic("bob")));
        dead.revoke();
        let folder = tempfile::tempdir().expect("a folder");
        let text = pull_secret("a", "alive", &docker_config("ghcr.io", "someone", alive.secret()))
            + &pull_secret("a", "dead", &docker_config("ghcr.io", "someone", dead.secret()));
        let secrets = folder.path().join("secrets.yaml");
        std::fs::write(&secrets, text).expect("writable");
        let apply = ["apply", "-f", &secrets.display().to_string()];
        cluster.kubectl(&apply).await.expect_success("kubectl apply");
        let key = folder.path().join("key");
        std::fs::write(&key, [7; 32]).expect("writable");
        let state = state(folder.path());
        let config = ghcr_config(&world, None, SHORT)
            + &format!(
                "tokenIdKeyFile: {}\nstate: {state}\n\
                 leaderElection: {{enabled: true, namespace: patrol, leaseDuration: 5s}}\n",
                key.display()
            );
        std::fs::write(folder.path().join("patrol.yaml"), config).expect("writable");
        Self { cluster, world, folder, dead }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("patrol.yaml")
    }

    async fn start(&self) -> Program {
        Program::start(&self.config(), &["--kubeconfig", &self.cluster.kubeconfig().display().to_string()]).await
    }

    async fn lease(&self) -> Lease {
        let leases: Api<Lease> = Api::namespaced(self.cluster.client().await, "patrol");
        leases.get("pull-patrol").await.expect("the Lease is there")
    }

    /// Requests with a password at the registry and at the API of its tokens.
    fn asked(&self) -> usize {
        self.world.count(|request| request.presented.is_some())
    }

    /// Logins at the registry.
    fn logins(&self) -> usize {
        self.world.count(|request| request.asked(Host::Ghcr, "/token") && request.presented.is_some())
    }
}

fn leads(text: &str) -> bool {
    text.contains("\npullpatrol_leader 1\n")
}

fn stands_by(text: &str) -> bool {
    text.contains("\npullpatrol_leader 0\n") && text.contains("pullpatrol_inventory_synced{resource=\"secrets\"} 1")
}

fn settled(text: &str) -> bool {
    let status = Exposed::of(text).status;
    [("alive", "valid"), ("dead", "rejected")]
        .iter()
        .all(|(name, wanted)| status.get(*name).is_some_and(|found| found == wanted))
}

/// Exchanges that a replica says it had.
fn probes(text: &str, kind: &str) -> usize {
    sum(text, "pullpatrol_probes_total{", &format!("kind=\"{kind}\""))
}

/// Requests for the Lease that failed.
fn lease_errors(text: &str) -> usize {
    sum(text, "pullpatrol_lease_errors_total{", "")
}

/// The sum of a counter's series that hold a label.
fn sum(text: &str, starts: &str, holds: &str) -> usize {
    let lines = text.lines().filter(|line| line.starts_with(starts) && line.contains(holds));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok()).sum()
}

async fn metrics(daemon: &Program) -> String {
    daemon.get("/metrics").await.expect("it answers").1
}

/// What must be so of a replica that does not lead, and never led.
fn assert_silent(text: &str) {
    assert!(stands_by(text), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("pullsecret_")), "{text}");
    for kind in ["login", "issuer", "access", "canary"] {
        assert_eq!(probes(text, kind), 0, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_probes_and_after_kill_9_the_other_goes_on_where_it_was() {
    let scene = Scene::new().await;
    let first = scene.start().await;
    first.metrics_when(|text| leads(text) && settled(text)).await;
    let second = scene.start().await;
    let text = second.metrics_when(stands_by).await;
    let dead_asked = scene.world.count(|request| request.shows(&scene.dead));
    // Some rounds, in which one asks and the other does not. All that the world was asked, the first asked.
    let rounds = probes(&metrics(&first).await, "login") + 5;
    first.metrics_when(|text| probes(text, "login") >= rounds).await;
    let before = scene.logins();
    let told = probes(&metrics(&first).await, "login");
    assert!(told >= before && told <= scene.logins() + 1, "{before} logins, {told} told");
    assert_silent(&metrics(&second).await);
    let page = second.get("/").await.expect("it answers").1;
    assert!(page.contains("standby") && page.contains("The Lease is held by"), "{page}");
    assert_eq!(second.get("/api/v1/credentials").await.expect("it answers").0, 503);
    assert_eq!(second.get("/readyz").await.expect("it answers").0, 200, "its inventory is complete");

    // A config that nobody told it to read is in force at the take-over.
    let added = "registry=\"added.example\"";
    assert!(!text.contains(added), "{text}");
    let config = std::fs::read_to_string(scene.config()).expect("readable");
    let config = config.replace("registries:\n", "registries:\n  - {host: added.example}\n");
    std::fs::write(scene.config(), config).expect("writable");
    first.kill().await;
    // It leads from the moment on at which it has the state; its first picture comes right after.
    let text = second.metrics_when(|text| leads(text) && text.contains("\npullsecret_credential_status{")).await;
    assert!(settled(&text), "what the first proved is known: {text}");
    assert!(text.contains(added), "{text}");
    let text = second.metrics_when(|text| probes(text, "login") > 2).await;
    assert!(settled(&text), "{text}");
    assert_eq!(
        scene.world.count(|request| request.shows(&scene.dead)),
        dead_asked,
        "a dead login was asked again by who took over"
    );
    assert_eq!(scene.lease().await.spec.expect("a spec").lease_transitions, Some(1));

    // The other way round, and in order: nobody waits for the end of a Lease that was given up.
    let third = scene.start().await;
    third.metrics_when(stands_by).await;
    let log = second.stop().await;
    assert!(log.contains("gave the Lease up"), "{log}");
    let text = third.metrics_when(|text| leads(text) && settled(text)).await;
    assert!(settled(&text));
    third.stop().await;
    assert_eq!(scene.lease().await.spec.expect("a spec").holder_identity.as_deref(), Some(""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_api_server_nobody_probes_and_what_was_known_stays() {
    nobody_probes_without_an_api_server(Scene::new().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_replicas_share_is_with_whoever_probes() {
    let file = |folder: &std::path::Path| format!("{{kind: file, path: {}}}", folder.join("state").display());
    nobody_probes_without_an_api_server(Scene::keeping(file).await).await;
}

async fn nobody_probes_without_an_api_server(mut scene: Scene) {
    let (one, two) = (scene.start().await, scene.start().await);
    // Who stands by at a first look may lead at the next: nobody has the Lease yet.
    let one_leads = tokio::select! {
        _ = one.metrics_when(|text| leads(text) && settled(text)) => true,
        _ = two.metrics_when(|text| leads(text) && settled(text)) => false,
    };
    let (leader, standby) = if one_leads { (one, two) } else { (two, one) };
    standby.metrics_when(stands_by).await;

    scene.cluster.stop_api_server().await;
    let text = leader.metrics_when(|text| !leads(text)).await;
    assert!(settled(&text), "the last verdicts stay: {text}");
    assert!(!leads(&metrics(&standby).await));
    assert!(leader.get("/").await.expect("it answers").1.contains("paused"));
    let asked = scene.asked();
    // While the Lease is tried for, again and again, an exchange that was due each second would have come.
    let saw = probes(&text, "login");
    let tries = lease_errors(&text) + 8;
    leader.metrics_when(|text| lease_errors(text) >= tries).await;
    assert_eq!((scene.asked(), probes(&metrics(&leader).await, "login")), (asked, saw), "nobody may ask");
    assert!(settled(&metrics(&leader).await));
    assert_silent(&metrics(&standby).await);

    scene.cluster.restart_api_server().await;
    // Whichever comes to lead, one does, and knows what was proven.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let leading = loop {
        let (a, b) = (metrics(&leader).await, metrics(&standby).await);
        assert!(!(leads(&a) && leads(&b)), "both lead");
        if leads(&a) && settled(&a) || leads(&b) && settled(&b) {
            break if leads(&a) { &leader } else { &standby };
        }
        assert!(tokio::time::Instant::now() < deadline, "nobody leads:\n{a}\n{b}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let more = probes(&metrics(leading).await, "login") + 2;
    leading.metrics_when(|text| probes(text, "login") >= more).await;
    leader.stop().await;
    standby.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_the_lease_a_replica_stands_by_and_names_the_rule() {
    let scene = Scene::new().await;
    let account = "--serviceaccount=patrol:default";
    let look = ["create", "clusterrole", "look", "--verb=list,watch", "--resource=secrets,pods,serviceaccounts"];
    scene.cluster.kubectl(&look).await.expect_success("a role");
    let bind = ["create", "clusterrolebinding", "look", "--clusterrole=look", account];
    scene.cluster.kubectl(&bind).await.expect_success("a binding");
    let token = scene.cluster.kubectl(&["create", "token", "default", "-n", "patrol"]).await.expect_success("a token");
    let kubeconfig = scene.folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, scene.cluster.kubeconfig_of(token.trim())).expect("writable");
    let daemon = Program::start(&scene.config(), &["--kubeconfig", &kubeconfig.display().to_string()]).await;

    let missing = "pullpatrol_permission_missing{resource=\"leases\",verb=\"get\",scope=\"patrol\"} 1";
    let text = daemon.metrics_when(|text| text.contains(missing) && stands_by(text)).await;
    assert_silent(&text);
    assert!(!text.contains("pullpatrol_lease_errors_total{reason=\"forbidden\"} 0"), "{text}");
    let page = daemon.get("/").await.expect("it answers").1;
    assert!(page.contains("coordination.k8s.io") && page.contains("leases"), "the page names the rule: {page}");

    // As the chart grants it: by name, but for creating, which knows no name.
    let grant = |name: &'static str, more: &'static [&'static str]| {
        let mut args = vec!["create", "role", name, "-n", "patrol", "--resource=leases.coordination.k8s.io"];
        args.extend(more);
        args
    };
    for (name, more) in
        [("make", &["--verb=create"][..]), ("hold", &["--verb=get,update", "--resource-name=pull-patrol"][..])]
    {
        scene.cluster.kubectl(&grant(name, more)).await.expect_success("a role");
        let role = format!("--role={name}");
        let bind = ["create", "rolebinding", name, "-n", "patrol", &role, account];
        scene.cluster.kubectl(&bind).await.expect_success("a binding");
    }
    daemon.metrics_when(|text| leads(text) && settled(text) && !text.contains("resource=\"leases\"")).await;
    let log = daemon.stop().await;
    assert!(log.contains("the Lease could not be read or written"), "{log}");
}
