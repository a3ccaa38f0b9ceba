//! Manifests of a test cluster as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The document that `kubectl create secret docker-registry` writes.
pub(crate) fn docker_config(registry: &str, user: &str, password: &str) -> String {
    let auth = STANDARD.encode(format!("{user}:{password}"));
    serde_json::json!({ "auths": { registry: { "username": user, "password": password, "auth": auth } } }).to_string()
}

/// A pull Secret with this document.
pub(crate) fn pull_secret(namespace: &str, name: &str, document: &str) -> String {
    let data = STANDARD.encode(document);
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{namespace: {namespace}, name: {name}}}\n\
         type: kubernetes.io/dockerconfigjson\ndata:\n  .dockerconfigjson: {data}\n"
    )
}

/// A pod that pulls an image with these Secrets.
pub(crate) fn pod(namespace: &str, name: &str, image: &str, secrets: &[&str]) -> String {
    let secrets: Vec<String> = secrets.iter().map(|name| format!("{{name: {name}}}")).collect();
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{namespace: {namespace}, name: {name}}}\nspec:\n  \
         imagePullSecrets: [{}]\n  containers:\n  - {{name: main, image: {image:?}}}\n",
        secrets.join(", ")
    )
}

/// A config whose ghcr.io is the world's; spans are short, so that proof comes in seconds.
pub(crate) fn ghcr_config(world: &simulator::World, canary: Option<&str>, probe: &str) -> String {
    let canary = canary.map(|name| format!("    canary: {name}\n")).unwrap_or_default();
    format!(
        "registries:\n  - host: ghcr.io\n    issuer: github\n    endpoint: {}\n    api: {}\n    plainHttp: true\n    \
         allowPrivateAddresses: true\n    requestsPerSecond: 1000\n{canary}probe: {{{probe}}}\nissuer: {{interval: 2s}}\n",
        world.ghcr_url(),
        world.github_api_url(),
    )
}
