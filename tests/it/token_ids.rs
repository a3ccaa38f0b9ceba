//! `token_id` over several runs of the program, with and without a configured key.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// The token ids of one run of `check --offline`, in the order of the rows.
fn token_ids(config: Option<&Path>) -> Vec<String> {
    let secret = |name: &str, password: &str| {
        let document = json!({ "auths": { "ghcr.io": { "username": "u", "password": password } } }).to_string();
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "namespace": "a", "name": name },
            "type": "kubernetes.io/dockerconfigjson", "stringData": { ".dockerconfigjson": document },
        })
    };
    let items = [secret("one", "token"), secret("other", "another"), secret("two", "token")];
    let mut command = Command::new(env!("CARGO_BIN_EXE_pull-patrol"));
    if let Some(config) = config {
        command.arg("--config.file").arg(config);
    }
    let mut child = command
        .args(["check", "--offline", "-o", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let input = json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string();
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads its input");
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let rows = document["credentials"].as_array().expect("a list");
    rows.iter().map(|row| row["token_id"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn with_a_key_file_ids_are_equal_over_runs_and_without_one_they_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, config) = (folder.path().join("key"), folder.path().join("patrol.yaml"));
    std::fs::write(&key, [7; 32]).expect("a key");
    std::fs::write(&config, format!("tokenIdKeyFile: {}\n", key.display())).expect("a config");
    let first = token_ids(Some(&config));
    assert_eq!(first, token_ids(Some(&config)));
    assert_eq!(first[0], first[2], "equal for copies");
    assert_ne!(first[0], first[1], "and for copies alone");
    let (one, other) = (token_ids(None), token_ids(None));
    assert_eq!(one[0], one[2]);
    assert_ne!(one, other, "each process has a key of its own");
}
