//! Commands of `explain` in the hands of a shell: whatever tenants call things, it stays one word, and a comment stays a
//! comment.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use serde_json::{Value, json};

use crate::seed_case::{NO_VOLUME, Seed};

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
}
