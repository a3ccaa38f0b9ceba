//! The kustomize base with its overlays makes the objects of the chart.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::HELMS;
use crate::support::real::{checkout, program, run};

/// Objects by kind, namespace and name, without what only Helm writes.
fn objects(text: &str) -> BTreeMap<String, Value> {
    let documents: Vec<Option<Value>> = serde_saphyr::from_multiple(text).expect("YAML");
    let mut objects = BTreeMap::new();
    for mut object in documents.into_iter().flatten().filter(|document| !document.is_null()) {
        for place in ["/metadata/labels", "/spec/template/metadata/labels"] {
            if let Some(labels) = object.pointer_mut(place).and_then(Value::as_object_mut) {
                labels.retain(|label, _| label != "helm.sh/chart" && label != "app.kubernetes.io/managed-by");
            }
        }
        let template = object.pointer_mut("/spec/template/metadata").and_then(Value::as_object_mut);
        if let Some(annotations) = template.and_then(|metadata| metadata.remove("annotations")) {
            let annotations: Map<String, Value> = serde_json::from_value(annotations).expect("a map");
            assert!(annotations.keys().eq(["checksum/config"]), "{annotations:?}");
        }
        let metadata = &object["metadata"];
        objects.insert(format!("{} {} {}", object["kind"], metadata["namespace"], metadata["name"]), object);
    }
    assert!(!objects.is_empty());
    objects
}

#[tokio::test]
async fn the_overlays_are_the_chart() {
    let named = r#"{"scope":{"secrets":[{"namespace":"arc-runners","name":"ghcr-pull"},{"namespace":"arc-systems","name":"ghcr-pull"}]}}"#;
    let in_a_file = r#"{"state":{"kind":"file","path":"/var/lib/pull-patrol/state"}}"#;
    let in_config_maps = r#"{"tokenIdKeyFile":"/var/run/token-id/key","state":{"kind":"configMap","namespace":"pull-patrol","name":"pull-patrol-verdicts"}}"#;
    let overlays: [(&str, &str, &[&str]); 6] = [
        ("cluster", "{}", &[]),
        ("replicas", r#"{"leaderElection":{"enabled":true}}"#, &["--set=replicas=2"]),
        ("namespaces", r#"{"scope":{"namespaces":["arc-runners","arc-systems"]}}"#, &[]),
        ("named", named, &["--set=rbac.secrets=named"]),
        ("state-file", in_a_file, &["--set=state.volume=persistentVolumeClaim"]),
        ("state-config-map", in_config_maps, &["--set=tokenIdKey.existingSecret=token-id"]),
    ];
    let there = std::fs::read_dir(checkout().join("deploy/kustomize/overlays")).expect("the overlays").count();
    assert_eq!(there, overlays.len(), "an overlay that nothing compares");
    for (overlay, config, flags) in overlays {
        let folder = checkout().join("deploy/kustomize/overlays").join(overlay);
        let made = run(&program("KUBECTL"), ["kustomize", &folder.to_string_lossy()].map(str::to_owned)).await;
        let made = objects(&made.expect_success("kubectl kustomize"));

        let chart = super::chart();
        let arguments = ["template", "pull-patrol", &chart.to_string_lossy(), "--namespace=pull-patrol"];
        let config = format!("--set-json=config={config}");
        let rendered =
            run(&program(HELMS[0]), arguments.into_iter().chain([&*config]).chain(flags.iter().copied())).await;
        let rendered = objects(&rendered.expect_success("helm template"));

        assert_eq!(made.keys().collect::<Vec<_>>(), rendered.keys().collect::<Vec<_>>(), "{overlay}");
        for (name, object) in &made {
            assert_eq!(*object, rendered[name], "{overlay}: {name}");
        }
    }
}
