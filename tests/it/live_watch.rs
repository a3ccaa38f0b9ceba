//! The watch of a cluster against a real API server.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Client, Config};
use pull_patrol::cluster::{
    self, Inventory, MissingPermission, ObjectRef, Origin, Resource, Scope, SharedInventory, WatchEnded, WatchObserver,
};
use pull_patrol::config::ScopeConfig;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::real::RealCluster;

/// Generous: it only decides when a test gives up.
const PATIENCE: Duration = Duration::from_secs(120);
/// All but pods.
const RESOURCES: &str = "--resource=secrets,serviceaccounts,deployments.apps,statefulsets.apps,daemonsets.apps,\
                         replicasets.apps,jobs.batch,cronjobs.batch";
const DOCUMENT: &str = r#"{"auths":{"ghcr.io":{"auth":"bWU6Z2hwX3Rva2Vu"}}}"#;

#[derive(Clone, Default)]
struct Errors(Arc<Mutex<Vec<(Resource, &'static str)>>>);

impl WatchObserver for Errors {
    fn error(&self, resource: Resource, reason: &'static str) {
        self.0.lock().unwrap().push((resource, reason));
    }
}

impl Errors {
    fn all(&self) -> Vec<(Resource, &'static str)> {
        self.0.lock().unwrap().clone()
    }
}

struct Running {
    shared: SharedInventory,
    errors: Errors,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), WatchEnded>>,
}

impl Running {
    fn start(client: Client, scope: Scope) -> Self {
        let shared = SharedInventory::new(Inventory::default());
        let (errors, shutdown) = (Errors::default(), CancellationToken::new());
        let task = tokio::spawn(cluster::watch_cluster(
            client,
            scope,
            shared.clone(),
            false,
            errors.clone(),
            shutdown.clone(),
        ));
        Self { shared, errors, shutdown, task }
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Inventory) -> bool) {
        let mut changes = self.shared.subscribe();
        let wait = async {
            while !self.shared.read(&is_so) {
                changes.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            let told = self.shared.read(|inventory| format!("{inventory:?}"));
            let told: String = told.chars().take(2000).collect();
            panic!("never seen: {what}; errors {:?}; there is {told}", self.errors.all());
        }
    }

    fn has(&self, namespace: &str, name: &str) -> bool {
        self.shared.read(|inventory| inventory.secrets.contains_key(&ObjectRef::new(namespace, name)))
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn secret(name: &str, secret_type: &str, document: &str) -> Secret {
    let key = if secret_type.ends_with("dockercfg") { ".dockercfg" } else { ".dockerconfigjson" };
    object(json!({"metadata": {"name": name}, "type": secret_type, "stringData": {key: document}}))
}

fn pull_secret(name: &str) -> Secret {
    secret(name, "kubernetes.io/dockerconfigjson", DOCUMENT)
}

async fn create<T>(api: &Api<T>, object: T)
where
    T: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    api.create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("{object:?}: {error}"));
}

/// A client that may do what a ServiceAccount may.
async fn client_of(cluster: &RealCluster, namespace: &str, name: &str) -> Client {
    let token =
        cluster.kubectl(&["create", "token", name, "-n", namespace]).await.expect_success("kubectl create token");
    let mut config = Config::from_custom_kubeconfig(
        kube::config::Kubeconfig::read_from(cluster.kubeconfig()).unwrap(),
        &kube::config::KubeConfigOptions::default(),
    )
    .await
    .unwrap();
    config.auth_info = object(json!({"token": token.trim()}));
    Client::try_from(config).unwrap()
}

fn scope(namespaces: &[&str]) -> Scope {
    let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
    Scope::new(&ScopeConfig { namespaces, ..ScopeConfig::default() }, &[]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follows_a_real_cluster_through_pages_changes_and_a_restart() {
    let mut real = RealCluster::start().await;
    real.create_namespace("ci").await;
    let admin = real.client().await;
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), "ci");
    stream::iter((0..1200).map(|number| Ok(pull_secret(&format!("s{number:04}")))))
        .try_for_each_concurrent(16, |secret| {
            let secrets = secrets.clone();
            async move { secrets.create(&PostParams::default(), &secret).await.map(drop) }
        })
        .await
        .unwrap_or_else(|error: kube::Error| panic!("{error}"));
    create(&secrets, secret("legacy", "kubernetes.io/dockercfg", r#"{"ghcr.io":{"auth":"bWU6cA=="}}"#)).await;
    create(&secrets, secret("opaque", "Opaque", DOCUMENT)).await;
    let mut hook = pull_secret("hook");
    hook.metadata.labels = Some([("runner-pod".to_owned(), "runner-1".to_owned())].into());
    create(&secrets, hook).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), "ci");
    create(&accounts, object(json!({"metadata": {"name": "runner"}, "imagePullSecrets": [{"name": "s0000"}]}))).await;
    let pods: Api<Pod> = Api::namespaced(admin.clone(), "ci");
    let spec = json!({"serviceAccountName": "runner", "containers": [{"name": "main", "image": "ghcr.io/org/img"}]});
    create(&pods, object(json!({"metadata": {"name": "web"}, "spec": spec}))).await;

    let client = cluster::client(Some(real.kubeconfig()), None).await.unwrap();
    let running = Running::start(client.clone(), Scope::default());
    running.until("a complete inventory", Inventory::is_complete).await;
    running.shared.read(|inventory| {
        assert_eq!(inventory.secrets.len(), 1201, "both types, no Opaque one, none of a container hook");
        let secret = &inventory.secrets[&ObjectRef::new("ci", "s1199")];
        assert_eq!(secret.dockerconfigjson.as_ref().unwrap().expose_secret(), DOCUMENT.as_bytes());
        let pod = &inventory.pods[&ObjectRef::new("ci", "web")];
        assert_eq!(pod.pull_secrets, [Arc::from("s0000")], "admission has copied the list of the ServiceAccount");
        assert!(!pod.admitted_from_service_account, "and not our simulation of it");
        assert_eq!(inventory.problems, []);
    });

    // kubectl's own Secret arrives, and garbage beside it changes nothing else.
    let before = running.shared.read(|inventory| Arc::clone(&inventory.secrets[&ObjectRef::new("ci", "s0000")]));
    let args = ["--docker-server=ghcr.io", "--docker-username=me", "--docker-password=ghp_x", "-n", "ci"];
    real.kubectl(&[&["create", "secret", "docker-registry", "made"], &args[..]].concat())
        .await
        .expect_success("kubectl");
    create(&secrets, secret("garbage", "kubernetes.io/dockerconfigjson", r#"{"auths":{"ghcr.io":{"auth":"pants"}}}"#))
        .await;
    create(&secrets, secret("null", "kubernetes.io/dockerconfigjson", "null")).await;
    running.until("three more Secrets", |inventory| inventory.secrets.len() == 1204).await;
    assert!(Arc::ptr_eq(
        &before,
        &running.shared.read(|inventory| Arc::clone(&inventory.secrets[&ObjectRef::new("ci", "s0000")]))
    ));
    secrets.delete("made", &DeleteParams::default()).await.unwrap();
    running.until("it gone", |inventory| inventory.secrets.len() == 1203).await;
    assert!(!running.has("ci", "made"));

    // A pod that finishes leaves.
    let done = kube::api::Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
    pods.patch_status("web", &kube::api::PatchParams::default(), &done).await.unwrap();
    running.until("no pods", |inventory| inventory.pods.is_empty()).await;
    assert_eq!(running.errors.all(), []);

    // The API server dies, and what changes while it starts again is seen.
    real.stop_api_server().await;
    assert_eq!(running.shared.read(|inventory| inventory.secrets.len()), 1203, "what was known stays known");
    real.restart_api_server().await;
    secrets.delete("s0001", &DeleteParams::default()).await.unwrap();
    create(&secrets, pull_secret("after")).await;
    running
        .until("what changed behind the restart", |inventory| {
            inventory.secrets.contains_key(&ObjectRef::new("ci", "after"))
                && !inventory.secrets.contains_key(&ObjectRef::new("ci", "s0001"))
        })
        .await;
    assert_eq!(running.shared.read(|inventory| inventory.secrets.len()), 1203);
    running.stop().await;

    let inventory = cluster::snapshot_cluster(&client, &Scope::default()).await.unwrap();
    assert_eq!((inventory.origin, inventory.secrets.len()), (Origin::Cluster, 1203));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn does_what_rbac_allows_and_tells_what_it_denies() {
    let real = RealCluster::start().await;
    for namespace in ["ci", "other"] {
        real.create_namespace(namespace).await;
        let secrets: Api<Secret> = Api::namespaced(real.client().await, namespace);
        create(&secrets, pull_secret("a")).await;
    }
    let accounts: Api<ServiceAccount> = Api::namespaced(real.client().await, "ci");
    for (name, kind) in [("wide", "clusterrole"), ("narrow", "role")] {
        create(&accounts, object(json!({"metadata": {"name": name}}))).await;
        let rule = ["create", kind, name, "--verb=list,watch", RESOURCES, "-n", "ci"];
        real.kubectl(&rule).await.expect_success("the role");
        let binding = format!("{kind}binding");
        let (granted, subject) = (format!("--{kind}={name}"), format!("--serviceaccount=ci:{name}"));
        real.kubectl(&["create", &binding, name, &granted, &subject, "-n", "ci"]).await.expect_success("its binding");
    }
    let pods = |verb, scope: &str| MissingPermission::new(Resource::Pods, verb, scope);

    // The whole cluster, without pods.
    let wide = client_of(&real, "ci", "wide").await;
    let running = Running::start(wide.clone(), Scope::default());
    running.until("a complete inventory", Inventory::is_complete).await;
    assert!(running.has("ci", "a") && running.has("other", "a"));
    let denied = |inventory: &Inventory| inventory.missing_permissions.iter().cloned().collect::<Vec<_>>();
    // One was refused; the other would be, as the API server says when it is asked.
    let both = [pods("list", ""), pods("watch", "")];
    running.until("both verbs", |inventory| denied(inventory) == both).await;
    assert_eq!(running.errors.all(), [(Resource::Pods, "forbidden")]);
    let secrets: Api<Secret> = Api::namespaced(real.client().await, "other");
    create(&secrets, pull_secret("later")).await;
    running
        .until("a later Secret", |inventory| inventory.secrets.contains_key(&ObjectRef::new("other", "later")))
        .await;
    running.stop().await;

    // One namespace, with a Role only.
    let narrow = client_of(&real, "ci", "narrow").await;
    let running = Running::start(narrow.clone(), scope(&["ci"]));
    running.until("a complete inventory", Inventory::is_complete).await;
    assert!(running.has("ci", "a") && !running.has("other", "a"));
    let both = [pods("list", "ci"), pods("watch", "ci")];
    running.until("both verbs", |inventory| denied(inventory) == both).await;
    running.stop().await;

    // The whole cluster with a Role only: nothing can be listed, and that is said.
    let inventory = cluster::snapshot_cluster(&narrow, &Scope::default()).await.unwrap();
    assert!(inventory.secrets.is_empty() && inventory.is_complete());
    let resources: Vec<_> = inventory.missing_permissions.iter().map(|missing| missing.resource).collect();
    // The cluster has no custom resources of runners, whose refusal would prove nothing, and so nobody names a ConfigMap.
    let plain = Resource::ALL
        .into_iter()
        .filter(|resource| !resource.group().starts_with("actions.") && *resource != Resource::ConfigMaps);
    assert_eq!(resources, plain.collect::<Vec<_>>());
    let stranger = {
        let mut config = Config::new(real.url().parse().unwrap());
        config.accept_invalid_certs = true;
        config.auth_info = object(json!({"token": "not-a-token"}));
        Client::try_from(config).unwrap()
    };
    let error = cluster::snapshot_cluster(&stranger, &Scope::default()).await.unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
}

/// A definition that takes whatever is written.
fn definition(plural: &str, kind: &str) -> Value {
    let group = "actions.github.com";
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_resources_are_installed_removed_and_installed_again() {
    let real = RealCluster::start().await;
    real.create_namespace("ci").await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &Value| {
        let file = folder.path().join(name);
        std::fs::write(&file, value.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let definition = write("crd.json", &definition("autoscalingrunnersets", "AutoscalingRunnerSet"));
    let set = write(
        "set.json",
        &json!({
            "apiVersion": "actions.github.com/v1alpha1", "kind": "AutoscalingRunnerSet",
            "metadata": {"name": "set", "namespace": "ci"},
            "spec": {"template": {"spec": {"containers": [{"name": "runner", "image": "ghcr.io/org/runner"}]}}},
        }),
    );
    let client = cluster::client(Some(real.kubeconfig()), None).await.unwrap();
    let running = Running::start(client, Scope::default());
    running.until("a complete inventory", Inventory::is_complete).await;
    for _ in 0..2 {
        real.kubectl(&["apply", "-f", &definition]).await.expect_success("the definition");
        real.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &definition])
            .await
            .expect_success("the kind");
        real.kubectl(&["apply", "-f", &set]).await.expect_success("the scale set");
        running.until("the scale set", |inventory| inventory.controllers.len() == 1).await;
        assert!(running.shared.read(Inventory::is_complete));
        real.kubectl(&["delete", "-f", &definition]).await.expect_success("the removal");
        running.until("no scale set", |inventory| inventory.controllers.is_empty()).await;
        assert!(running.shared.read(Inventory::is_complete));
    }
    // A list of a kind that the server still sets up, or takes down, can fail; none of it goes round in circles.
    assert!(running.errors.all().len() < 20, "{:?}", running.errors.all());
    running.stop().await;
}
