//! Commands of `explain` in the hands of a shell: whatever tenants call things, it stays one word, and a comment stays a
//! comment.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use serde_json::{Value, json};

use crate::seed_case::{NO_VOLUME, Seed};
use crate::support::manifests::{docker_config, pod, pull_secret};

/// Runs something for whoever does not quote it.
const EVIL: &str = "x'; intruder; \"$(intruder)\"`intruder`\n intruder \\";

/// The words of each kubectl that a shell runs for the commands of all images and gaps, with nothing else that it could run.
fn words(document: &Value) -> Vec<Vec<String>> {
    let rows = ["images", "gaps"].into_iter().flat_map(|list| document[list].as_array().unwrap());
    let lines = rows.flat_map(|row| row["fix"].as_array().unwrap()).map(|line| line.as_str().unwrap());
    // `printf` and functions are the shell's own.
    let script = format!(
        "kubectl() {{ printf '%s\\001' \"$@\"; printf '\\002'; }}\nintruder() {{ printf INTRUDER; }}\n{}",
        lines.collect::<Vec<_>>().join("\n")
    );
    let output = Command::new("/bin/sh").args(["-c", &script]).env_clear().env("NEW_TOKEN", "new").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("INTRUDER"), "{script}\n{text}");
    let calls = text.split_terminator('\u{2}');
    calls.map(|call| call.split_terminator('\u{1}').map(str::to_owned).collect()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_tenants_are_words_of_a_command() {
    let seed = Seed::start().await;
    let evil = Value::from(EVIL);

    // A ServiceAccount and a key that a hook extension names.
    let hooks = format!(
        ", {{name: ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE, value: {}}}], volumeMounts: [{{name: t, mountPath: /t}}]}}], volumes: \
         [{{name: t, configMap: {{name: hooks}}}}]}}",
        json!(format!("/t/{EVIL}"))
    );
    let extension = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "hooks", "namespace": "arc-runners" },
        "data": { EVIL: json!({ "spec": { "serviceAccountName": EVIL } }).to_string() },
    });
    let objects =
        seed.objects("imagePullSecrets: [{name: github-pat}], ", NO_VOLUME).replacen("}]}]}", &format!("}}{hooks}"), 1);
    seed.write("hooks.yaml", &format!("{objects}---\n{extension}\n"));
    let (document, _) = seed.json("explain ars/arc-set hooks.yaml").await;
    let calls = words(&document);
    assert_eq!(calls.len(), 2, "{document:#}");
    assert_eq!(calls[0][..5], ["-n", "arc-runners", "patch", "serviceaccount", EVIL]);
    assert_eq!(calls[1], ["-n", "arc-runners", "edit", "configmap", "hooks"]);

    // A user of a Secret that is refused, and a Secret that is not there.
    let dead = pull_secret("a", "dead", &docker_config("ghcr.io", EVIL, "ghp_dead"));
    let named = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "gone", "namespace": "a" },
        "spec": { "imagePullSecrets": [{ "name": evil }], "containers": [{ "name": "main", "image": "ghcr.io/acme/gha-runners" }] },
    });
    let text = format!("{dead}{}---\n{named}\n", pod("a", "dead", "ghcr.io/acme/gha-runners", &["dead"]));
    seed.write("pods.yaml", &text);
    let (document, _) = seed.json("explain pod/dead pods.yaml").await;
    let calls = words(&document);
    assert_eq!(calls[0][..6], ["-n", "a", "create", "secret", "docker-registry", "dead"], "{document:#}");
    let user = calls[0].iter().find_map(|word| word.strip_prefix("--docker-username=")).unwrap();
    // Line breaks of a user name are not shown.
    assert!(user.starts_with("x'; intruder; \"$(intruder)\"`intruder`"), "{user}");
    assert!(calls[0].contains(&"--docker-password=new".to_owned()));
    let (document, _) = seed.json("explain pod/gone pods.yaml").await;
    assert_eq!(words(&document), [["-n", "a", "get", "secret", EVIL]], "{document:#}");
}
