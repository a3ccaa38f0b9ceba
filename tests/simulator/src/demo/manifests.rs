//! Kubernetes manifests as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The `auth` field of a pull Secret.
pub(super) fn auth(user: &str, password: &str) -> String {
    STANDARD.encode(format!("{user}:{password}"))
}

/// The document that `kubectl create secret docker-registry` writes.
pub(super) fn document(registry: &str, user: &str, password: &str) -> String {
    let entry = json!({ "username": user, "password": password, "auth": auth(user, password) });
    json!({ "auths": { registry: entry } }).to_string()
}

/// Collects documents of a multi-document YAML file. All texts but the Secrets' data are ours and need no quoting.
#[derive(Default)]
pub(super) struct Manifests {
    documents: Vec<String>,
}

impl Manifests {
    pub(super) fn into_yaml(self) -> String {
        let mut yaml = self.documents.join("---\n");
        yaml.insert_str(0, "# A cluster for the demo: pull Secrets in every state, and who depends on them.\n---\n");
        yaml
    }

    pub(super) fn pull_secret(&mut self, namespace: &str, name: &str, document: &str) {
        let data = STANDARD.encode(document);
        self.documents.push(format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  namespace: {namespace}\n  name: {name}\n\
             type: kubernetes.io/dockerconfigjson\ndata:\n  .dockerconfigjson: {data}\n"
        ));
    }

    pub(super) fn service_account(&mut self, namespace: &str, name: &str, secrets: &[&str]) {
        let list = pull_secrets("", secrets);
        self.documents.push(format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  namespace: {namespace}\n  name: {name}\n{list}"
        ));
    }

    /// A pod of its own.
    pub(super) fn pod(&mut self, namespace: &str, name: &str, image: &str, secrets: &[&str]) {
        self.documents.push(pod(&format!("  namespace: {namespace}\n  name: {name}\n"), image, secrets));
    }

    /// A scale set of Actions Runner Controller that stands at zero.
    pub(super) fn scale_set(&mut self, namespace: &str, name: &str, image: &str) {
        self.documents.push(format!(
            "apiVersion: actions.github.com/v1alpha1\nkind: AutoscalingRunnerSet\nmetadata:\n  namespace: {namespace}\n  \
             name: {name}\nspec:\n  githubConfigUrl: https://github.com/acme\n  minRunners: 0\n  template:\n    \
             spec:\n      containers:\n      - name: runner\n        image: {image}\n"
        ));
    }

    /// A pod of a Deployment, as its `ReplicaSet` makes it.
    pub(super) fn deployment_pod(&mut self, namespace: &str, deployment: &str, image: &str, secrets: &[&str]) {
        const HASH: &str = "6c9d8f7b5d";
        let metadata = format!(
            "  namespace: {namespace}\n  name: {deployment}-{HASH}-x2k8p\n  labels:\n    app: {deployment}\n    \
             pod-template-hash: {HASH}\n  ownerReferences:\n  - apiVersion: apps/v1\n    kind: ReplicaSet\n    \
             name: {deployment}-{HASH}\n    uid: 00000000-0000-0000-0000-000000000001\n    controller: true\n"
        );
        self.documents.push(pod(&metadata, image, secrets));
    }
}

impl Manifests {
    /// The pod that was added last waits on its pull.
    pub(super) fn last_pod_waits(&mut self, reason: &str, message: &str) {
        // JSON strings are YAML strings.
        let (reason, message) = (Value::from(reason), Value::from(message));
        let status = format!(
            "status:\n  phase: Pending\n  containerStatuses:\n  - name: main\n    state:\n      waiting:\n        \
             reason: {reason}\n        message: {message}\n"
        );
        if let Some(pod) = self.documents.last_mut() {
            pod.push_str(&status);
        }
    }
}

fn pod(metadata: &str, image: &str, secrets: &[&str]) -> String {
    let list = pull_secrets("  ", secrets);
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n{metadata}spec:\n{list}  containers:\n  - name: main\n    image: {image}\n"
    )
}

fn pull_secrets(indent: &str, secrets: &[&str]) -> String {
    if secrets.is_empty() {
        return String::new();
    }
    let names: Vec<String> = secrets.iter().map(|name| format!("{indent}- name: {name}\n")).collect();
    format!("{indent}imagePullSecrets:\n{}", names.concat())
}

/// One entry of `registries` in the daemon's config file.
pub(super) struct RegistryConfig<'a> {
    pub(super) host: &'a str,
    pub(super) issuer: &'a str,
    pub(super) endpoint: &'a str,
    pub(super) api: Option<&'a str>,
    pub(super) realm: Option<&'a str>,
    pub(super) canary: Option<&'a str>,
}

impl RegistryConfig<'_> {
    pub(super) fn yaml(&self) -> String {
        // JSON strings are YAML strings.
        let quote = |text: &str| Value::from(text).to_string();
        let line = |key: &str, value: Option<&str>| value.map(|text| format!("    {key}: {}\n", quote(text)));
        let mut yaml = format!("  - host: {}\n    issuer: {}\n", quote(self.host), self.issuer);
        yaml.extend(line("endpoint", Some(self.endpoint)));
        yaml.extend(line("api", self.api));
        yaml.extend(self.realm.map(|realm| format!("    realms: [{}]\n", quote(realm))));
        yaml.extend(line("canary", self.canary));
        yaml.push_str("    plainHttp: true\n    allowPrivateAddresses: true\n");
        yaml
    }
}
