//! Watches against an API server in memory, on paused time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::fake::{FakeApi, Fault, status};
use super::*;
use crate::cluster::{DOCKERCFG_TYPE, DOCKERCONFIGJSON_TYPE, Inventory, MissingPermission, ObjectRef};
use crate::config::ScopeConfig;

/// One of each kind, and two of Secrets; none of `ConfigMaps` while no runner names one.
const WATCHES: usize = Resource::ALL.len();

const DOCUMENT: &str = r#"{"auths":{"ghcr.io":{"auth":"bWU6Z2hwX2NhbmFyeQ=="}}}"#;

#[derive(Clone, Default)]
pub(super) struct Errors(Arc<Mutex<Vec<(Resource, &'static str)>>>);

impl WatchObserver for Errors {
    fn error(&self, resource: Resource, reason: &'static str) {
        assert!(WATCH_ERROR_REASONS.contains(&reason));
        self.0.lock().unwrap().push((resource, reason));
    }
}

impl Errors {
    pub(super) fn all(&self) -> Vec<(Resource, &'static str)> {
        self.0.lock().unwrap().clone()
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) struct Running {
    pub(super) shared: SharedInventory,
    pub(super) errors: Errors,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), WatchEnded>>,
}

impl Running {
    pub(super) fn start(api: &FakeApi, scope: Scope) -> Self {
        Self::start_writing(api, scope, false)
    }

    pub(super) fn start_writing(api: &FakeApi, scope: Scope, events: bool) -> Self {
        let shared = SharedInventory::new(Inventory::default());
        let (errors, shutdown) = (Errors::default(), CancellationToken::new());
        let (observer, stop) = (errors.clone(), shutdown.clone());
        let task = tokio::spawn(watch_cluster(api.client(), scope, shared.clone(), events, observer, stop));
        Self { shared, errors, shutdown, task }
    }

    /// Wait until the inventory is as it should be.
    pub(super) async fn until(&self, what: &str, is_so: impl Fn(&Inventory) -> bool) {
        let mut changes = self.shared.subscribe();
        let wait = async {
            while !self.shared.read(&is_so) {
                changes.changed().await.unwrap();
            }
        };
        if timeout(Duration::from_secs(3600), wait).await.is_err() {
            let told = self.shared.read(|inventory| format!("{inventory:?}"));
            panic!("not within an hour: {what}; there is {}", told.chars().take(2000).collect::<String>());
        }
    }

    pub(super) async fn synced(&self) {
        self.until("a complete inventory", Inventory::is_complete).await;
    }

    /// Wait until all watches have been open for a while.
    pub(super) async fn watching(&self, api: &FakeApi) {
        self.synced().await;
        while api.watch_count() < WATCHES {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        self.shared.read(|inventory| inventory.secrets.keys().map(ToString::to_string).collect())
    }

    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

pub(super) fn secret_of(namespace: &str, name: &str, secret_type: &str) -> Value {
    let key = if secret_type == DOCKERCFG_TYPE { ".dockercfg" } else { ".dockerconfigjson" };
    json!({
        "metadata": {
            "namespace": namespace, "name": name,
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "ghp_canary"},
            "managedFields": [{"manager": "kubectl"}],
        },
        "type": secret_type,
        "data": {key: STANDARD.encode(DOCUMENT), "other": "bm90IG91cnM="},
    })
}

pub(super) fn secret(namespace: &str, name: &str) -> Value {
    secret_of(namespace, name, DOCKERCONFIGJSON_TYPE)
}

pub(super) fn pod(name: &str, phase: &str) -> Value {
    json!({
        "metadata": {"namespace": "ci", "name": name},
        "spec": {"containers": [{"name": "main", "image": "ghcr.io/org/img"}], "imagePullSecrets": [{"name": "a"}]},
        "status": {"phase": phase},
    })
}

pub(super) fn at(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef::new(namespace, name)
}

#[tokio::test(start_paused = true)]
async fn lists_in_pages_and_follows_changes() {
    let api = FakeApi::default();
    for number in 0..612 {
        api.put("secrets", secret("ci", &format!("s{number:04}")));
    }
    api.put("secrets", secret_of("ci", "legacy", DOCKERCFG_TYPE));
    api.put("secrets", secret_of("ci", "opaque", "Opaque"));
    api.put("pods", pod("web", "Running"));
    api.put("pods", pod("done", "Succeeded"));
    api.put(
        "serviceaccounts",
        json!({"metadata": {"namespace": "ci", "name": "default"}, "imagePullSecrets": [{"name": "a"}, {}]}),
    );
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    assert_eq!(running.secrets().len(), 613);
    running.shared.read(|inventory| {
        assert_eq!(inventory.origin, Origin::Cluster);
        let secret = &inventory.secrets[&at("ci", "s0611")];
        assert_eq!(secret.dockerconfigjson.as_ref().unwrap().expose_secret(), DOCUMENT.as_bytes());
        assert_eq!(inventory.pods.keys().map(ToString::to_string).collect::<Vec<_>>(), ["ci/web"]);
        assert_eq!(inventory.service_accounts[&at("ci", "default")].pull_secrets, [Arc::from("a")]);
        assert!(inventory.problems.is_empty() && inventory.missing_permissions.is_empty());
    });
    let pages =
        api.requests().iter().filter(|uri| uri.contains("dockerconfigjson") && !uri.contains("watch=true")).count();
    assert_eq!(pages, 7, "612 Secrets in pages of 100");

    api.put("secrets", secret("other", "new"));
    running.until("a new Secret", |inventory| inventory.secrets.contains_key(&at("other", "new"))).await;
    let mut changed = secret("other", "new");
    changed["data"][".dockerconfigjson"] = json!("e30=");
    api.put("secrets", changed);
    running
        .until("a new value", |inventory| {
            let secret = &inventory.secrets[&at("other", "new")];
            secret.dockerconfigjson.as_ref().unwrap().expose_secret() == b"{}"
        })
        .await;
    api.delete("secrets", "other", "new");
    running.until("no such Secret", |inventory| inventory.secrets.len() == 613).await;
    api.put("pods", pod("web", "Failed"));
    api.delete("pods", "ci", "web");
    running.until("no pods", |inventory| inventory.pods.is_empty()).await;
    assert_eq!(running.errors.all(), []);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_did_not_change_wakes_nobody_and_keeps_its_memory() {
    let api = FakeApi::default();
    api.put("secrets", secret("ci", "a"));
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    let before = running.shared.read(|inventory| Arc::clone(&inventory.secrets[&at("ci", "a")]));
    let changes = {
        let mut changes = running.shared.subscribe();
        changes.mark_unchanged();
        changes
    };
    // A new version with an annotation, and a list: both show the same Secret.
    let mut touched = secret("ci", "a");
    touched["metadata"]["annotations"] = json!({"x": "y"});
    api.put("secrets", touched);
    let requests = api.requests().len();
    api.send_line("secrets", &json!({"type": "ERROR", "object": status(410, "too old")}).to_string());
    while api.requests().len() < requests + 4 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(!changes.has_changed().unwrap());
    assert!(Arc::ptr_eq(&before, &running.shared.read(|inventory| Arc::clone(&inventory.secrets[&at("ci", "a")]))));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_object_is_a_problem_and_nothing_else() {
    let api = FakeApi::default();
    let mut bad = secret("ci", "bad");
    bad["data"] = json!({".dockerconfigjson": {"expected ghp_canary": true}});
    api.put("secrets", bad);
    api.put("secrets", json!({"metadata": {"namespace": "ci"}, "type": DOCKERCONFIGJSON_TYPE}));
    api.put("secrets", secret("ci", "good"));
    api.put("pods", json!({"metadata": {"namespace": "ci", "name": "odd"}, "spec": {"containers": "none"}}));
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    assert_eq!(running.secrets(), ["ci/good"]);
    let problems = |inventory: &Inventory| {
        let tell = |name: &Option<String>| name.clone().unwrap_or_default();
        let told = inventory.problems.iter().map(|problem| format!("{}: {}", tell(&problem.name), problem.message));
        told.collect::<Vec<_>>()
    };
    assert_eq!(
        running.shared.read(problems),
        [
            r#"ci/bad: data[".dockerconfigjson"]: expected a string in base64"#,
            ": metadata.name: is missing",
            "ci/odd: spec.containers: expected a sequence",
        ]
    );
    // It is mended; another one breaks while it is watched, and the watch goes on.
    api.put("secrets", secret("ci", "bad"));
    running.until("a mended Secret", |inventory| inventory.secrets.len() == 2).await;
    assert_eq!(running.shared.read(|inventory| inventory.problems.len()), 2);
    let mut broken = secret("ci", "good");
    broken["data"] = json!("ghp_canary");
    api.put("secrets", broken);
    api.put("secrets", secret("ci", "later"));
    running.until("the Secret behind it", |inventory| inventory.secrets.contains_key(&at("ci", "later"))).await;
    assert_eq!(running.secrets(), ["ci/bad", "ci/later"]);
    assert_eq!(running.shared.read(|inventory| inventory.problems.len()), 3);
    api.delete("secrets", "ci", "good");
    running.until("no problem with it", |inventory| inventory.problems.len() == 2).await;
    assert!(!running.shared.read(|inventory| format!("{inventory:?}")).contains("ghp_canary"));
    assert_eq!(running.errors.all(), [], "an object is no fault of the watch");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_permission_is_told_survived_and_forgotten() {
    let api = FakeApi::default();
    api.put("secrets", secret("ci", "a"));
    api.put("pods", pod("web", "Running"));
    api.deny("pods", "list");
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    let missing = MissingPermission::new(Resource::Pods, "list", "");
    running.until("a missing permission", |inventory| inventory.missing_permissions.contains(&missing)).await;
    assert_eq!(running.secrets(), ["ci/a"]);
    assert_eq!(running.errors.all(), [(Resource::Pods, "forbidden")]);

    let start = Instant::now();
    api.grant_all();
    running.until("pods", |inventory| !inventory.pods.is_empty() && inventory.missing_permissions.is_empty()).await;
    assert!(start.elapsed() <= Duration::from_secs(61), "{:?}", start.elapsed());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_the_verb_watch_the_list_is_repeated() {
    let api = FakeApi::default();
    api.deny("secrets", "watch");
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    let missing = MissingPermission::new(Resource::Secrets, "watch", "");
    running.until("a missing permission", |inventory| inventory.missing_permissions.contains(&missing)).await;
    api.put("secrets", secret("ci", "a"));
    running.until("the Secret", |inventory| !inventory.secrets.is_empty()).await;
    assert!(running.shared.read(|inventory| inventory.missing_permissions.contains(&missing)));
    api.grant_all();
    running.until("the permission", |inventory| inventory.missing_permissions.is_empty()).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_gone_brings_a_new_list() {
    let api = FakeApi::default();
    api.put("secrets", secret("ci", "gone"));
    api.put("secrets", secret("ci", "stays"));
    let running = Running::start(&api, Scope::default());
    running.watching(&api).await;
    let stays = running.shared.read(|inventory| Arc::clone(&inventory.secrets[&at("ci", "stays")]));
    api.forget_quietly("secrets", "gone");
    for _ in ["dockerconfigjson", "dockercfg"] {
        api.fail_next("secrets", "watch", Fault::Event(410));
    }
    api.end_watches();
    running.until("the Secret gone", |inventory| inventory.secrets.len() == 1).await;
    assert!(Arc::ptr_eq(&stays, &running.shared.read(|inventory| Arc::clone(&inventory.secrets[&at("ci", "stays")]))));
    assert_eq!(running.errors.all(), [(Resource::Secrets, "expired"); 2]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_at_once_does_not_spin() {
    let api = FakeApi::default();
    for _ in 0..5 {
        api.fail_next("pods", "watch", Fault::Ends);
    }
    let running = Running::start(&api, Scope::default());
    let start = Instant::now();
    while api.watch_count() < WATCHES {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(start.elapsed() > Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(running.errors.all(), [(Resource::Pods, "transport"); 5]);
    running.stop().await;
}

/// Whether a call site logs is settled once for a process, and other tests share this one: so this runs in a child.
#[test]
fn answers_that_are_no_answers_are_tried_again_and_never_told() {
    const CHILD: &str = "PULL_PATROL_TEST_IN_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        return runtime.enable_all().start_paused(true).build().unwrap().block_on(odd_answers_are_never_told());
    }
    let name = "cluster::live::tests::answers_that_are_no_answers_are_tried_again_and_never_told";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"), "the child ran no test: {child:?}");
}

async fn odd_answers_are_never_told() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let api = FakeApi::default();
    api.put("secrets", secret("ci", "a"));
    api.fail_next("secrets", "list", Fault::Answer(200, format!("{{\"items\": [{}", secret("ci", "cut"))));
    api.fail_next("serviceaccounts", "list", Fault::Answer(200, "{}".to_owned()));
    api.fail_next("pods", "list", Fault::Answer(502, "<html>bad gateway</html>".to_owned()));
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    assert_eq!(running.secrets(), ["ci/a"]);
    let mut errors = running.errors.all();
    errors.sort_unstable();
    assert_eq!(errors, [(Resource::Secrets, "decode"), (Resource::Pods, "api"), (Resource::ServiceAccounts, "decode")]);
    api.send_line("secrets", "{\"type\": \"ADDED\", \"object\": {\"ghp_canary\"");
    api.put("secrets", secret("ci", "b"));
    running.until("both", |inventory| inventory.secrets.len() == 2).await;
    running.stop().await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("not a list in JSON") && log.contains("TRACE"), "it was written: {log}");
    for canary in ["ghp_canary", &STANDARD.encode(DOCUMENT), "bWU6Z2hwX2NhbmFyeQ"] {
        assert!(!log.contains(canary), "{canary} stands in the log");
    }
}

#[tokio::test(start_paused = true)]
async fn the_servers_own_word_on_when_to_come_back_is_kept() {
    let api = FakeApi::default();
    let mut busy = status(429, "too many requests");
    busy["details"] = json!({"retryAfterSeconds": 77});
    api.fail_next("pods", "list", Fault::Answer(429, busy.to_string()));
    let start = Instant::now();
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    assert!(start.elapsed() >= Duration::from_secs(77), "{:?}", start.elapsed());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_name_can_change_hands_between_the_types() {
    let api = FakeApi::default();
    api.put("secrets", secret("ci", "a"));
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    // The news of the new one can arrive before that of the old one's end.
    let mut new = secret_of("ci", "a", DOCKERCFG_TYPE);
    new["metadata"]["resourceVersion"] = json!("90");
    api.send_line("secrets", &json!({"type": "ADDED", "object": new}).to_string());
    running.until("the new one", |inventory| inventory.secrets[&at("ci", "a")].dockercfg.is_some()).await;
    api.delete("secrets", "ci", "a");
    api.put("secrets", secret("ci", "b"));
    running.until("the news behind it", |inventory| inventory.secrets.contains_key(&at("ci", "b"))).await;
    assert_eq!(running.secrets(), ["ci/a", "ci/b"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn listed_namespaces_need_roles_only_and_excluded_ones_are_not_seen() {
    let api = FakeApi::default();
    for namespace in ["a", "b", "c"] {
        api.put("secrets", secret(namespace, "s"));
    }
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let some = ScopeConfig { namespaces: names(&["a", "c"]), ..ScopeConfig::default() };
    let running = Running::start(&api, Scope::new(&some, &[]).unwrap());
    running.synced().await;
    assert_eq!(running.secrets(), ["a/s", "c/s"]);
    assert!(api.requests().iter().all(|uri| uri.contains("/namespaces/")), "{:?}", api.requests());
    // A list of one namespace must not drop what belongs to another.
    api.forget_quietly("secrets", "nothing");
    api.fail_next("secrets", "watch", Fault::Event(410));
    api.end_watches();
    api.put("secrets", secret("a", "t"));
    running.until("the new one", |inventory| inventory.secrets.len() == 3).await;
    running.stop().await;

    let most = ScopeConfig { exclude_namespaces: names(&["b"]), ..ScopeConfig::default() };
    let running = Running::start(&api, Scope::new(&most, &[]).unwrap());
    running.synced().await;
    assert_eq!(running.secrets(), ["a/s", "a/t", "c/s"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn changes_that_wait_together_are_one_update() {
    let api = FakeApi::default();
    let running = Running::start(&api, Scope::default());
    running.watching(&api).await;
    let mut changes = running.shared.subscribe();
    changes.mark_unchanged();
    for number in 0..500 {
        api.put("secrets", secret("ci", &format!("s{number}")));
    }
    let mut updates = 0;
    while running.shared.read(|inventory| inventory.secrets.len()) < 500 {
        changes.changed().await.unwrap();
        updates += 1;
    }
    assert!(updates <= 50, "{updates} updates for 500 changes");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_look_tells_what_there_is_and_what_is_denied() {
    let api = FakeApi::default();
    api.put("secrets", secret("ci", "a"));
    api.put("pods", pod("web", "Running"));
    api.deny("serviceaccounts", "list");
    api.fail_next("pods", "list", Fault::Answer(503, String::new()));
    let inventory = snapshot_cluster(&api.client(), &Scope::default()).await.unwrap();
    assert!(inventory.is_complete());
    assert_eq!((inventory.origin, inventory.secrets.len(), inventory.pods.len()), (Origin::Cluster, 1, 1));
    let missing = MissingPermission::new(Resource::ServiceAccounts, "list", "");
    assert_eq!(inventory.missing_permissions.into_iter().collect::<Vec<_>>(), [missing]);
}

#[tokio::test(start_paused = true)]
async fn one_look_at_nothing_is_an_error_not_an_empty_cluster() {
    let api = FakeApi::default();
    for _ in 0..4 {
        api.fail_next("pods", "list", Fault::Broken);
    }
    let error = snapshot_cluster(&api.client(), &Scope::default()).await.unwrap_err();
    assert!(matches!(error, SnapshotError::Failed { resource: "pods", .. }), "{error:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("connection refused") && !error.to_string().contains("connection refused"), "{cause}");

    api.fail_next("pods", "list", Fault::Answer(401, status(401, "Unauthorized").to_string()));
    let error = snapshot_cluster(&api.client(), &Scope::default()).await.unwrap_err();
    assert!(matches!(error, SnapshotError::Unauthenticated) && api.version() == 0, "{error:?}");
}

fn scale_set(name: &str) -> Value {
    json!({
        "metadata": {"namespace": "ci", "name": name},
        "spec": {
            "githubConfigUrl": "https://github.com/org", "surprise": [1],
            "template": {"spec": {"containers": [{"name": "runner", "image": "ghcr.io/org/runner"}]}},
        },
    })
}

fn scale_sets(inventory: &Inventory) -> Vec<String> {
    inventory.controllers.keys().map(|(kind, at)| format!("{}/{at}", kind.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn custom_resources_come_and_go_while_the_watch_runs() {
    const SETS: &str = "autoscalingrunnersets";
    let api = FakeApi::default();
    api.uninstall(SETS);
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    assert!(running.shared.read(|inventory| inventory.controllers.is_empty()));
    for _ in 0..2 {
        api.install(SETS);
        // A list can be throttled while the server still sets the kind up.
        api.fail_next(SETS, "list", Fault::Answer(429, status(429, "storage is (re)initializing").to_string()));
        api.put(SETS, scale_set("set"));
        running.until("the set", |inventory| scale_sets(inventory) == ["AutoscalingRunnerSet/ci/set"]).await;
        let mut odd = scale_set("odd");
        odd["spec"]["template"] = json!("text");
        api.put(SETS, odd);
        running.until("a problem", |inventory| inventory.problems.len() == 1).await;
        api.put(SETS, scale_set("later"));
        running.until("the later one", |inventory| inventory.controllers.len() == 2).await;
        assert!(running.shared.read(Inventory::is_complete));

        api.uninstall(SETS);
        running.until("none", |inventory| inventory.controllers.is_empty() && inventory.problems.is_empty()).await;
        assert!(running.shared.read(Inventory::is_complete));
    }
    // Absence is no error, and it is looked for twice a minute.
    tokio::time::sleep(Duration::from_secs(120)).await;
    let (errors, asked) = (running.errors.all(), api.requests().len());
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(running.errors.all(), errors);
    let lists = api.requests()[asked..].iter().filter(|uri| uri.contains(SETS)).count();
    assert!((19..=21).contains(&lists), "{lists}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn readiness_does_not_wait_for_what_is_optional() {
    let api = FakeApi::default();
    api.deny("deployments", "list");
    api.deny("autoscalingrunnersets", "list");
    // Of a group that the cluster lacks, a refusal says nothing: RBAC is asked first.
    for legacy in ["runners", "runnerdeployments", "runnerreplicasets", "runnersets"] {
        api.deny(legacy, "list");
        api.uninstall(legacy);
    }
    for _ in 0..50 {
        api.fail_next("ephemeralrunners", "list", Fault::Answer(500, status(500, "conversion webhook").to_string()));
    }
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    let missing = || running.shared.read(|inventory| inventory.missing_permissions.iter().cloned().collect::<Vec<_>>());
    let denied = |resource| MissingPermission::new(resource, "list", "");
    assert_eq!(missing(), [denied(Resource::Deployments), denied(Resource::AutoscalingRunnerSets)]);
    running.stop().await;

    for _ in 0..50 {
        api.fail_next("jobs", "list", Fault::Answer(500, status(500, "conversion webhook").to_string()));
    }
    let inventory = snapshot_cluster(&api.client(), &Scope::default()).await.unwrap();
    assert!(inventory.is_complete());
    assert!(inventory.problems.iter().any(|problem| problem.message.contains("cannot list jobs")));
}
