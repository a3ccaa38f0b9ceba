//! The demo world: complete, consistent, and alive.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use simulator::demo::{DemoPorts, DemoWorld};

use crate::client::{basic, get_as};

/// Every status that a credential can have.
const STATUSES: [&str; 10] = [
    "anonymous",
    "expired",
    "forbidden",
    "ignored",
    "insufficient_scope",
    "malformed",
    "rejected",
    "unsupported",
    "unverified",
    "valid",
];

/// Namespace, name and decoded document of each Secret in the manifests.
fn secrets(manifests: &str) -> Vec<(String, String, String)> {
    let value = |document: &str, key: &str| {
        let line = document.lines().find_map(|line| line.trim_start().strip_prefix(key));
        line.map(str::to_owned).unwrap_or_default()
    };
    manifests
        .split("---\n")
        .filter(|document| document.contains("kind: Secret\n"))
        .map(|document| {
            let data = STANDARD.decode(value(document, ".dockerconfigjson: ")).expect("base64");
            (value(document, "namespace: "), value(document, "name: "), String::from_utf8(data).expect("text"))
        })
        .collect()
}

#[tokio::test]
async fn every_status_is_shown_and_every_secret_is_expected() {
    let demo = DemoWorld::start(DemoPorts::default()).await.expect("a demo");
    let statuses: BTreeSet<&str> = demo.expectations.iter().map(|expectation| expectation.status).collect();
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), STATUSES);
    let expected: Vec<_> = demo
        .expectations
        .iter()
        .map(|expectation| (expectation.namespace.to_owned(), expectation.secret.to_owned()))
        .collect();
    let written: Vec<_> = secrets(&demo.manifests).into_iter().map(|(namespace, name, _)| (namespace, name)).collect();
    assert_eq!(written, expected);
    assert_eq!(written.iter().collect::<BTreeSet<_>>().len(), written.len(), "no name twice");
}

#[tokio::test]
async fn registries_and_tokens_answer_as_expected() {
    let demo = DemoWorld::start(DemoPorts::default()).await.expect("a demo");
    let documents = secrets(&demo.manifests);
    for expectation in demo.expectations.iter().filter(|expectation| expectation.registry.starts_with("ghcr.io")) {
        let place = (expectation.namespace, expectation.secret);
        let (_, _, document) = documents
            .iter()
            .find(|(namespace, name, _)| (namespace.as_str(), name.as_str()) == place)
            .expect("a Secret");
        let json: serde_json::Value = serde_json::from_str(document).expect("JSON");
        let entry = json["auths"].as_object().and_then(|auths| auths.values().next()).expect("an entry");
        let pair = STANDARD.decode(entry["auth"].as_str().expect("a field")).expect("base64");
        let pair = String::from_utf8(pair).expect("text");
        let (user, password) = pair.split_once(':').expect("a pair");
        let answer = get_as(&demo.world.ghcr_url(), "/token?service=ghcr.io", basic(user, password)).await;
        let refused = expectation.status == "rejected";
        assert_eq!(answer.status, if refused { 403 } else { 200 }, "{place:?}");
    }
}

#[tokio::test]
async fn the_config_points_at_the_world() {
    let demo = DemoWorld::start_seeded(5, DemoPorts::default()).await.expect("a demo");
    for text in [
        format!("    endpoint: \"{}\"", demo.world.ghcr_url()),
        format!("    api: \"{}\"", demo.world.github_api_url()),
        "  - host: \"ghcr.io\"\n    issuer: github\n".to_owned(),
        "    plainHttp: true\n    allowPrivateAddresses: true\n".to_owned(),
    ] {
        assert!(demo.config.contains(&text), "{text}");
    }
    assert!(!demo.config.contains("quay.io"), "a host that is not on the list shows `ignored`");
    let (world, manifests, _) = demo.into_parts();
    assert!(manifests.contains("kind: ReplicaSet") && manifests.contains("kind: ServiceAccount"));
    assert_eq!(world.count(|_| true), 0);
}
