//! Actions Runner Controller through a real kube-apiserver, read by a ServiceAccount that may do no more than the README
//! says: hook templates that come, change, are refused and go; runners that hang; workflow pods that vanish.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pull_patrol::runtime::Source;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::line::Daemon;
use crate::support::real::RealCluster;

/// How long a test waits for a state that must come. What RBAC denies is tried again every minute.
const PATIENCE: Duration = Duration::from_secs(150);
const ARC: &str = "actions.github.com/v1alpha1";
const DENIED: &str = "unexpected status from HEAD request to https://ghcr.io/v2/acme/job/manifests/v1: 403 Forbidden";
const REFUSED: &str = "failed to authorize: failed to fetch oauth token: unexpected status from GET request to \
                       https://ghcr.io/token: 403 Forbidden";

struct Stage {
    cluster: RealCluster,
    folder: TempDir,
}

impl Stage {
    async fn start() -> Self {
        let stage = Self { cluster: RealCluster::start().await, folder: tempfile::tempdir().expect("a folder") };
        for namespace in ["ci", "locked"] {
            stage.cluster.create_namespace(namespace).await;
        }
        let kinds = [
            ("autoscalingrunnersets", "AutoscalingRunnerSet"),
            ("ephemeralrunnersets", "EphemeralRunnerSet"),
            ("ephemeralrunners", "EphemeralRunner"),
            ("autoscalinglisteners", "AutoscalingListener"),
        ];
        for (plural, kind) in kinds {
            stage.apply(&definition(plural, kind)).await;
        }
        for (plural, _) in kinds {
            let name = format!("crd/{plural}.actions.github.com");
            let args = ["wait", "--for=condition=Established", "--timeout=60s", &name];
            stage.cluster.kubectl(&args).await.expect_success("the kind");
        }
        stage
    }

    async fn apply(&self, object: &Value) {
        let file = self.folder.path().join("object.json");
        std::fs::write(&file, object.to_string()).expect("writable");
        let file = file.display().to_string();
        // A kind that was defined a moment ago may not be served yet.
        for last in [false, false, true] {
            let output = self.cluster.kubectl(&["apply", "-f", &file]).await;
            if output.success || last {
                output.expect_success("kubectl apply");
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn delete(&self, what: &[&str]) {
        let args = [&["delete", "-n", "ci", "--force"], what].concat();
        self.cluster.kubectl(&args).await.expect_success("kubectl delete");
    }

    /// A ServiceAccount with the rules of the README, and a Role for one `ConfigMap` in one namespace.
    async fn kubeconfig(&self) -> PathBuf {
        let list = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]});
        let rbac = "rbac.authorization.k8s.io/v1";
        let subject = json!([{"kind": "ServiceAccount", "name": "patrol", "namespace": "ci"}]);
        let bind = |kind: &str, name: &str, namespace: &str| {
            json!({
                "apiVersion": rbac, "kind": format!("{kind}Binding"), "metadata": {"name": name, "namespace": namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}, "subjects": subject,
            })
        };
        self.apply(
            &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "patrol", "namespace": "ci"}}),
        )
        .await;
        self.apply(&json!({
            "apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": "patrol"},
            "rules": [
                list("", &["secrets", "pods", "serviceaccounts"]),
                list("apps", &["deployments", "statefulsets", "daemonsets", "replicasets"]),
                list("batch", &["jobs", "cronjobs"]),
                list("actions.github.com", &["autoscalingrunnersets", "ephemeralrunnersets", "ephemeralrunners", "autoscalinglisteners"]),
                json!({"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]}),
            ],
        }))
        .await;
        self.apply(&bind("ClusterRole", "patrol", "")).await;
        let mut named = list("", &["configmaps"]);
        named["resourceNames"] = json!(["hooks"]);
        let role = json!({"apiVersion": rbac, "kind": "Role", "metadata": {"name": "hooks", "namespace": "ci"}, "rules": [named]});
        self.apply(&role).await;
        self.apply(&bind("Role", "hooks", "ci")).await;
        // The Role of the other namespace comes later; that it is bound changes nothing until then.
        self.apply(&bind("Role", "hooks", "locked")).await;
        let token = self.cluster.kubectl(&["create", "token", "patrol", "-n", "ci"]).await;
        let token = token.expect_success("kubectl create token");
        let ca = self.write("ca.crt", self.cluster.ca());
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "patrol"}}],
            "clusters": [{"name": "test", "cluster": {"server": self.cluster.url(), "certificate-authority": ca}}],
            "users": [{"name": "patrol", "user": {"token": token.trim()}}],
        });
        self.write("kubeconfig", text.to_string().as_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("writable");
        path
    }

    /// Write the status of the container of a pod, as its kubelet would.
    async fn waits(&self, pod: &str, image: &str, message: &str) {
        let state = json!({"waiting": {"reason": "ErrImagePull", "message": message}});
        let container =
            json!({"name": "main", "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": state});
        let patch = json!({"status": {"phase": "Pending", "containerStatuses": [container]}}).to_string();
        let args = ["patch", "pod", pod, "-n", "ci", "--subresource=status", "--type=merge", "-p", &patch];
        self.cluster.kubectl(&args).await.expect_success("kubectl patch");
    }
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

/// A scale set whose hooks read the key `content` of a volume.
fn scale_set(namespace: &str, name: &str, volume: &Value) -> Value {
    let mut volume = volume.clone();
    volume["name"] = json!("hooks");
    let env = |name: &str, value: &str| json!({"name": name, "value": value});
    let runner = json!({
        "name": "runner", "image": "ghcr.io/acme/runner:v1",
        "env": [
            env("ACTIONS_RUNNER_CONTAINER_HOOKS", "/home/runner/k8s/index.js"),
            env("ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE", "/hooks/content"),
        ],
        "volumeMounts": [{"name": "hooks", "mountPath": "/hooks"}],
    });
    json!({
        "apiVersion": ARC, "kind": "AutoscalingRunnerSet", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "githubConfigUrl": "https://github.com/acme",
            "template": {"spec": {"containers": [runner], "volumes": [volume]}},
        },
    })
}

fn owner(kind: &str, name: &str) -> Value {
    json!([{"apiVersion": ARC, "kind": kind, "name": name, "controller": true, "uid": "0b0d9a60-0000-4000-8000-000000000000"}])
}

fn holder(kind: &str, name: &str, secret: &str) -> Value {
    let data = if kind == "Secret" { "stringData" } else { "data" };
    let template = format!("spec:\n  imagePullSecrets:\n  - name: {secret}\n");
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "ci"}, data: {"content": template, "password": "canary-of-the-hooks"}})
}

fn pod(metadata: &Value, image: &str) -> Value {
    let mut metadata = metadata.clone();
    metadata["namespace"] = json!("ci");
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"containers": [{"name": "main", "image": image}]},
    })
}

/// The row of a scale set's role, as soon as it is as wanted.
async fn until_row(daemon: &Daemon, at: (&str, &str), role: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let document: Value = serde_json::from_str(&daemon.get("/api/v1/workloads").await.1).expect("JSON");
        let rows = document["workloads"].as_array().expect("a list");
        let found = rows.iter().find(|row| {
            (&row["workload_namespace"], &row["workload_name"], &row["pod_role"])
                == (&json!(at.0), &json!(at.1), &json!(role))
                && row["workload_kind"] == "AutoscalingRunnerSet"
        });
        match found {
            Some(row) if is_so(row) => return row.clone(),
            _ if tokio::time::Instant::now() > deadline => panic!("never: {what}; {found:?}"),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn until_workflow(daemon: &Daemon, at: (&str, &str), words: &str) -> Value {
    until_row(daemon, at, "workflow", words, |row| row["reason"].as_str().is_some_and(|reason| reason.contains(words)))
        .await
}

async fn daemon(kubeconfig: &Path) -> Daemon {
    let source = Source::Cluster { kubeconfig: Some(kubeconfig.to_owned()), context: None };
    // The registry is left unasked: nothing of this needs an exchange.
    Daemon::start("registries:\n  - host: ghcr.io\n    endpoint: https://127.0.0.1:1\n", source).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_scale_sets_name_and_what_becomes_of_their_pods_is_followed() {
    let stage = Stage::start().await;
    stage.apply(&scale_set("ci", "set", &json!({"configMap": {"name": "hooks"}}))).await;
    stage.apply(&scale_set("ci", "sealed", &json!({"secret": {"secretName": "sealed-hooks"}}))).await;
    stage.apply(&scale_set("locked", "set", &json!({"configMap": {"name": "hooks"}}))).await;
    let kubeconfig = stage.kubeconfig().await;
    let daemon = daemon(&kubeconfig).await;
    let (set, sealed, locked) = (("ci", "set"), ("ci", "sealed"), ("locked", "set"));

    // Refused in one namespace: said with the rule, exported, and no reason to be out of service.
    let refused = until_workflow(&daemon, locked, "which RBAC does not let us read").await;
    assert_eq!(refused["outlook"], "unknown");
    let fix = refused["fix"].as_str().expect("words").to_owned();
    let (_, rule) = fix.split_once("add to the rules of a Role in namespace locked: ").expect("the rule");
    let series = "pullpatrol_permission_missing{resource=\"configmaps\",verb=\"list\",scope=\"locked\"} 1";
    let metrics = daemon.get("/metrics").await.1;
    assert!(metrics.contains(series), "{metrics}");
    assert!(metrics.contains("pullpatrol_inventory_synced{resource=\"configmaps\"} 1"), "{metrics}");
    assert_eq!(daemon.get("/readyz").await.0, 200);
    let page = daemon.get("/").await.1;
    assert!(page.contains("permission to list and watch configmaps hooks in locked"), "{page}");
    // The words of the row are the Role, as they stand.
    let manifest = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: hooks, namespace: locked}}\nrules:\n{rule}\n"
    );
    let manifest = stage.write("role.yaml", manifest.as_bytes()).display().to_string();
    stage.cluster.kubectl(&["apply", "-f", &manifest]).await.expect_success("the rule of the row");

    // Meanwhile, where it is granted: nothing, something, something else, nothing again.
    until_workflow(&daemon, set, "the key content of the ConfigMap hooks, which does not exist").await;
    stage.apply(&holder("ConfigMap", "hooks", "first")).await;
    until_workflow(&daemon, set, "the pods present first of the hook extension").await;
    stage.apply(&holder("ConfigMap", "hooks", "second")).await;
    until_workflow(&daemon, set, "the pods present second of the hook extension").await;
    stage.delete(&["configmap", "hooks"]).await;
    until_workflow(&daemon, set, "which does not exist").await;
    until_workflow(&daemon, sealed, "the key content of the Secret sealed-hooks, which does not exist").await;
    stage.apply(&holder("Secret", "sealed-hooks", "third")).await;
    until_workflow(&daemon, sealed, "the pods present third of the hook extension").await;
    stage.delete(&["secret", "sealed-hooks"]).await;
    until_workflow(&daemon, sealed, "which does not exist").await;

    // A runner whose pod waits on its image.
    let metadata = json!({"name": "r1", "namespace": "ci", "ownerReferences": owner("AutoscalingRunnerSet", "set")});
    stage.apply(&json!({"apiVersion": ARC, "kind": "EphemeralRunner", "metadata": metadata, "spec": {}, "status": {"phase": "Pending"}})).await;
    stage
        .apply(&pod(
            &json!({"name": "r1", "ownerReferences": owner("EphemeralRunner", "r1")}),
            "ghcr.io/acme/runner:v1",
        ))
        .await;
    stage.waits("r1", "ghcr.io/acme/runner:v1", REFUSED).await;
    let runner = until_row(&daemon, set, "runner", "a runner that hangs", |row| {
        row["findings"][0]["finding"] == "runners_pending"
    })
    .await;
    let fix = runner["findings"][0]["fix"].as_str().expect("words");
    assert!(fix.ends_with("kubectl -n ci delete ephemeralrunner r1"), "{fix}");
    assert_eq!(runner["pull_failing"], json!([{"reason": "credential_refused", "pods": 1}]));

    // A workflow pod of that runner, which its hook gives up.
    stage.apply(&pod(&json!({"name": "r1-workflow", "labels": {"runner-pod": "r1"}}), "ghcr.io/acme/job:v1")).await;
    stage.waits("r1-workflow", "ghcr.io/acme/job:v1", DENIED).await;
    let waits = json!([{"reason": "access_denied", "pods": 1}]);
    until_row(&daemon, set, "workflow", "a workflow pod that waits", |row| row["pull_failing"] == waits).await;
    stage.delete(&["pod", "r1-workflow"]).await;
    let gone = json!([{"reason": "access_denied", "pods": 1, "gone": 1}]);
    until_row(&daemon, set, "workflow", "one that is gone", |row| row["pull_failing"] == gone).await;
    let series = "pullsecret_workload_pull_failing{workload_namespace=\"ci\",workload_kind=\"AutoscalingRunnerSet\",\
                  workload_name=\"set\",pod_role=\"workflow\",reason=\"access_denied\"} 1";
    let metrics = daemon.get("/metrics").await.1;
    assert!(metrics.contains(series), "{metrics}");
    let page = daemon.get("/").await.1;
    assert!(
        page.contains("gone in the last 10 minutes while waiting on a pull: 1 pod on ghcr.io/acme/job:v1"),
        "{page}"
    );

    // What was granted is tried again within the minute.
    until_workflow(&daemon, locked, "the key content of the ConfigMap hooks, which does not exist").await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let text = daemon.get("/metrics").await.1;
        let lacking: Vec<&str> =
            text.lines().filter(|line| line.starts_with("pullpatrol_permission_missing{")).collect();
        if lacking.is_empty() {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "rules lack that were granted: {lacking:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for path in ["/", "/metrics", "/api/v1/workloads"] {
        assert!(!daemon.get(path).await.1.contains("canary-of-the-hooks"), "{path}");
    }
    daemon.stop().await;
}
