//! What holds extension templates of container hooks, followed against an API server in memory, on paused time.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fake::{FakeApi, Fault};
use super::tests::Running;
use super::*;
use crate::cluster::{HookTemplateState, Inventory, MissingPermission, NotRead, ObjectRef, TemplateHolder};

use TemplateHolder::{ConfigMap, Secret};

/// Nothing of it but what says something about pulling may be kept.
const CANARY: &str = "canary-of-a-template";

/// A scale set whose runners mount a key of an object as their template.
fn scale_set(name: &str, volume: &Value, key: &str) -> Value {
    let env = |name: &str, value: &str| json!({"name": name, "value": value});
    let runner = json!({
        "name": "runner", "image": "ghcr.io/org/runner",
        "env": [
            env("ACTIONS_RUNNER_CONTAINER_HOOKS", "/home/runner/k8s/index.js"),
            env("ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE", &format!("/hooks/{key}")),
        ],
        "volumeMounts": [{"name": "hooks", "mountPath": "/hooks"}],
    });
    let mut volume = volume.clone();
    volume["name"] = json!("hooks");
    json!({
        "metadata": {"name": name, "namespace": "ci"},
        "spec": {"template": {"spec": {"containers": [runner], "volumes": [volume]}}},
    })
}

fn of_config_map(set: &str, name: &str, key: &str) -> Value {
    scale_set(set, &json!({"configMap": {"name": name}}), key)
}

/// A template that names a pull Secret, and holds more.
fn template(secret: &str) -> String {
    format!(
        "metadata: {{labels: {{x: {CANARY}}}}}\nspec: {{imagePullSecrets: [{{name: {secret}}}], nodeName: {CANARY}}}\n"
    )
}

fn config_map(name: &str, data: &Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "ci"}, "data": data})
}

fn state(inventory: &Inventory, holder: TemplateHolder, name: &str) -> Option<HookTemplateState> {
    inventory.hook_templates.get(&(holder, ObjectRef::new("ci", name))).map(|state| (**state).clone())
}

/// The pull Secrets of a template, joined; or in words why it is not known.
fn told(inventory: &Inventory, holder: TemplateHolder, name: &str, key: &str) -> String {
    match state(inventory, holder, name) {
        None => "not followed".to_owned(),
        Some(Err(why)) => format!("{why:?}"),
        Some(Ok(templates)) => match templates.get(key) {
            None => "no such key".to_owned(),
            Some(Err(why)) => format!("bad: {why}"),
            Some(Ok(template)) => template.pull_secrets.join(","),
        },
    }
}

impl Running {
    async fn until_told(&self, holder: TemplateHolder, name: &str, key: &str, expected: &str) {
        let what = format!("{name} {key}: {expected}");
        self.until(&what, |inventory| told(inventory, holder, name, key) == expected).await;
    }
}

/// The requests for `ConfigMaps`.
fn asked(api: &FakeApi) -> Vec<String> {
    api.requests().into_iter().filter(|request| request.contains("/configmaps")).collect()
}

async fn settle() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn follows_what_a_scale_set_names_and_nothing_else() {
    let api = FakeApi::default();
    api.put("configmaps", config_map("other", &json!({"content": template("never")})));
    api.put("configmaps", config_map("hooks", &json!({"content": template("pull"), "unasked": template("unasked")})));
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    settle().await;
    assert_eq!(asked(&api), [""; 0], "nobody names one");

    api.put("autoscalingrunnersets", of_config_map("set", "hooks", "content"));
    running.until_told(ConfigMap, "hooks", "content", "pull").await;
    settle().await;
    let requests = asked(&api);
    assert_eq!(requests.len(), 2, "{requests:?}");
    for request in &requests {
        assert!(request.starts_with("/api/v1/namespaces/ci/configmaps?"), "{request}");
        assert!(request.contains("fieldSelector=metadata.name%3Dhooks"), "{request}");
    }
    let all = running.shared.read(|inventory| format!("{:?}", inventory.hook_templates));
    assert!(!all.contains(CANARY) && !all.contains("unasked") && !all.contains("never"), "{all}");

    // Changes, a key that goes, what is no template, deletion, and its return.
    api.put("configmaps", config_map("hooks", &json!({"content": template("next")})));
    running.until_told(ConfigMap, "hooks", "content", "next").await;
    api.put("configmaps", config_map("hooks", &json!({"else": "x"})));
    running.until_told(ConfigMap, "hooks", "content", "bad: the object has no such key").await;
    api.put("configmaps", config_map("hooks", &json!({"content": "spec: ["})));
    running
        .until("a syntax error", |inventory| told(inventory, ConfigMap, "hooks", "content").starts_with("bad: line 1"))
        .await;
    api.put("configmaps", config_map("hooks", &json!({"content": "x: 1"})));
    running.until_told(ConfigMap, "hooks", "content", "bad: it has no `spec`").await;
    api.put("configmaps", config_map("hooks", &json!({"content": "#spec".repeat(20_000)})));
    running.until_told(ConfigMap, "hooks", "content", "bad: it is longer than 64 KiB").await;
    api.put("configmaps", config_map("hooks", &json!({"content": 3})));
    running
        .until("a wrong shape", |inventory| told(inventory, ConfigMap, "hooks", "content").starts_with("Failed("))
        .await;
    api.delete("configmaps", "ci", "hooks");
    running.until_told(ConfigMap, "hooks", "content", "Absent").await;
    api.put("configmaps", config_map("hooks", &json!({"content": template("again")})));
    running.until_told(ConfigMap, "hooks", "content", "again").await;
    assert_eq!(asked(&api).len(), 2, "one list and one watch have seen all of it");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_names_any_more_is_dropped_and_its_watch_ends() {
    let api = FakeApi::default();
    for name in ["one", "two"] {
        api.put("configmaps", config_map(name, &json!({"a": template(name), "b": template("b")})));
    }
    api.put("autoscalingrunnersets", of_config_map("set", "one", "a"));
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    let told_at_once = running.shared.read(|inventory| told(inventory, ConfigMap, "one", "a"));
    assert_eq!(told_at_once, "one", "an inventory is complete only with what was named from the start");
    settle().await;
    let watches = api.watch_count();

    for _ in 0..20 {
        api.put("autoscalingrunnersets", of_config_map("set", "two", "a"));
        running.until_told(ConfigMap, "two", "a", "two").await;
        assert!(running.shared.read(|inventory| state(inventory, ConfigMap, "one").is_none()));
        api.put("autoscalingrunnersets", of_config_map("set", "one", "b"));
        running.until_told(ConfigMap, "one", "b", "b").await;
        assert_eq!(running.shared.read(|inventory| inventory.hook_templates.len()), 1);
        assert!(running.shared.read(Inventory::is_complete), "once complete, it stays so");
        settle().await;
        assert_eq!(api.watch_count(), watches, "no watch is left behind");
    }
    // A second set of the same object adds its key to the one watch.
    api.put("autoscalingrunnersets", of_config_map("second", "one", "a"));
    running.until_told(ConfigMap, "one", "a", "one").await;
    running.until_told(ConfigMap, "one", "b", "b").await;
    settle().await;
    assert_eq!(api.watch_count(), watches);
    for set in ["set", "second"] {
        api.delete("autoscalingrunnersets", "ci", set);
    }
    running.until("nothing followed", |inventory| inventory.hook_templates.is_empty()).await;
    settle().await;
    assert_eq!(api.watch_count(), watches - 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_gives_its_mounted_key_alone() {
    let api = FakeApi::default();
    let data = json!({"t.yaml": STANDARD.encode(template("pull")), "password": STANDARD.encode(CANARY), "raw": "/w=="});
    let secret =
        |data: &Value| json!({"metadata": {"name": "hooks", "namespace": "ci"}, "type": "Opaque", "data": data});
    api.put("secrets", secret(&data));
    let volume = json!({"secret": {"secretName": "hooks", "items": [{"key": "t.yaml", "path": "x"}]}});
    api.put("autoscalingrunnersets", scale_set("set", &volume, "x"));
    let projected = json!({"projected": {"sources": [{"secret": {"name": "hooks"}}]}});
    api.put("autoscalingrunnersets", scale_set("raw", &projected, "raw"));
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    running.until_told(Secret, "hooks", "t.yaml", "pull").await;
    running.until_told(Secret, "hooks", "raw", "bad: it is no text in UTF-8").await;
    let all = running.shared.read(|inventory| format!("{inventory:?}"));
    assert!(!all.contains(CANARY) && !all.contains("password"), "{all}");
    assert!(running.shared.read(|inventory| inventory.secrets.is_empty()), "it is no pull Secret");
    api.put("secrets", secret(&json!({})));
    running.until_told(Secret, "hooks", "t.yaml", "bad: the object has no such key").await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_with_its_names_survived_and_passes() {
    let api = FakeApi::default();
    api.put("configmaps", config_map("one", &json!({"a": template("pull")})));
    for (set, name) in [("set", "one"), ("second", "two")] {
        api.put("autoscalingrunnersets", of_config_map(set, name, "a"));
    }
    api.deny("configmaps", "list");
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    for name in ["one", "two"] {
        running.until_told(ConfigMap, name, "a", "Denied").await;
    }
    let missing = MissingPermission {
        names: ["one".into(), "two".into()].into(),
        ..MissingPermission::new(Resource::ConfigMaps, "list", "ci")
    };
    let all = |inventory: &Inventory| MissingPermission::merged(&inventory.missing_permissions);
    assert_eq!(running.shared.read(all), [missing], "one for both: a series has no name");
    api.grant_all();
    running.until_told(ConfigMap, "one", "a", "pull").await;
    running.until_told(ConfigMap, "two", "a", "Absent").await;
    running.until("no rule lacks", |inventory| inventory.missing_permissions.is_empty()).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_cannot_tell_keeps_nobody_waiting() {
    for fault in [Fault::Answer(500, "no".to_owned()), Fault::Broken] {
        let api = FakeApi::default();
        api.put("configmaps", config_map("one", &json!({"a": template("pull")})));
        api.put("autoscalingrunnersets", of_config_map("set", "one", "a"));
        api.fail_next("configmaps", "list", fault);
        let running = Running::start(&api, Scope::default());
        running.synced().await;
        assert!(running.shared.read(|inventory| told(inventory, ConfigMap, "one", "a").starts_with("Failed(")));
        running.until_told(ConfigMap, "one", "a", "pull").await;
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_checked_and_bounded() {
    let api = FakeApi::default();
    for bad in ["a,metadata.name!=b", "..", "A", "a/b", "a?x=1"] {
        api.put("autoscalingrunnersets", of_config_map(&format!("set-{}", bad.len()), bad, "a"));
    }
    for number in 0..30 {
        api.put("autoscalingrunnersets", of_config_map(&format!("s{number}"), &format!("map-{number:02}"), "a"));
    }
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    running.shared.read(|inventory| {
        let count =
            |wanted: NotRead| inventory.hook_templates.values().filter(|state| ***state == Err(wanted.clone())).count();
        assert_eq!((count(NotRead::Absent), count(NotRead::TooMany)), (20, 10));
        assert!(count(NotRead::NoName) >= 4, "{:?}", inventory.hook_templates.keys());
    });
    assert!(asked(&api).iter().all(|request| request.contains("metadata.name%3Dmap-")));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_look_reads_them_too() {
    let api = FakeApi::default();
    api.put("configmaps", config_map("one", &json!({"a": template("pull")})));
    api.put("autoscalingrunnersets", of_config_map("set", "one", "a"));
    api.put("autoscalingrunnersets", of_config_map("second", "gone", "a"));
    let inventory = snapshot_cluster(&api.client(), &Scope::default()).await.unwrap();
    assert_eq!(told(&inventory, ConfigMap, "one", "a"), "pull");
    assert_eq!(told(&inventory, ConfigMap, "gone", "a"), "Absent");
    assert!(inventory.is_complete());
    api.deny("configmaps", "list");
    let inventory = snapshot_cluster(&api.client(), &Scope::default()).await.unwrap();
    assert_eq!(told(&inventory, ConfigMap, "one", "a"), "Denied");
    let missing: Vec<_> =
        inventory.missing_permissions.iter().map(|one| (one.verb, &*one.scope, one.names.first())).collect();
    assert_eq!(missing, [("list", "ci", Some(&"gone".into())), ("list", "ci", Some(&"one".into()))]);
    assert!(inventory.is_complete());
}
