//! The kubelet's vectors once more, through the public path: manifests in, the document of `check --offline -o json` out.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::vectors::vectors;

/// One run of the program over a list of objects.
fn check(items: &[Value]) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pull-patrol"))
        .args(["check", "--offline", "-o", "json", "--registry", "*.io", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads its input");
    let stderr = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"))
}

fn secret(namespace: &str, name: &str, vector: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "namespace": namespace, "name": name },
        "type": vector["type"], "data": vector["data"],
    })
}

#[test]
fn every_secret_is_read_as_the_kubelet_reads_it() {
    let vectors = vectors("decode.jsonl");
    let items: Vec<Value> = vectors.iter().map(|vector| secret("v", &text(&vector["id"]), vector)).collect();
    let document = check(&items);
    let rows = document["credentials"].as_array().expect("rows");
    let mut wrong = Vec::new();
    for vector in &vectors {
        let id = text(&vector["id"]);
        let own: Vec<&Value> = rows.iter().filter(|row| row["secret_name"] == vector["id"]).collect();
        let malformed = own.iter().any(|row| row["status"] == "malformed" && row["registry"] == "");
        let entries: u64 = own.iter().map(|row| row["entries"].as_u64().expect("a number")).sum();
        let expect = &vector["expect"];
        let right = if let Some(entries_wanted) = expect["entries"].as_array() {
            !malformed && entries == entries_wanted.len() as u64 && users_agree(&own, entries_wanted)
        } else if expect["skipped"] == true {
            own.is_empty()
        } else {
            malformed && own.len() == 1
        };
        if !right {
            wrong.push(format!("{id}: {own:?} for {expect}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} vectors:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
    assert!(vectors.len() > 150);
}

/// Rows say `anonymous` exactly where user name or password is empty.
fn users_agree(rows: &[&Value], entries: &[Value]) -> bool {
    let empty = |entry: &&Value| {
        let part = |name: &str| {
            let raw = entry[format!("{name}_b64").as_str()].as_str().map(|text| STANDARD.decode(text).expect("base64"));
            raw.unwrap_or_else(|| text(&entry[name]).into_bytes())
        };
        part("username").is_empty() || part("password").is_empty()
    };
    let wanted = entries.iter().filter(empty).count() as u64;
    let shown: u64 = rows
        .iter()
        .filter(|row| row["status"] == "anonymous")
        .map(|row| row["entries"].as_u64().expect("a number"))
        .sum();
    // Entries that share a key share a row, whose status is the worse of theirs.
    let merged = rows.iter().any(|row| row["entries"] != 1);
    shown == wanted || merged
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The lookups of a file: a pod for each image, with the pull Secrets of its vector, in a namespace of its own.
fn orders_agree(file: &str) {
    let vectors = vectors(file);
    let mut items = Vec::new();
    let mut lookups = Vec::new();
    for (index, vector) in vectors.iter().enumerate() {
        let namespace = format!("v{index}");
        let mut names: Vec<Value> = Vec::new();
        for one in vector["secrets"].as_array().expect("secrets") {
            if !names.iter().any(|name| name["name"] == one["name"]) {
                items.push(secret(&namespace, &text(&one["name"]), one));
            }
            names.push(json!({ "name": one["name"] }));
        }
        for (number, lookup) in vector["lookups"].as_array().expect("lookups").iter().enumerate() {
            // A pod has an image; a bare name and an empty image can only be looked up in code.
            let Some(image) = lookup["image"].as_str().filter(|image| !image.is_empty()) else { continue };
            let pod = format!("p{number}");
            items.push(json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": namespace, "name": pod },
                "spec": { "imagePullSecrets": names, "containers": [{ "name": "main", "image": image }] },
            }));
            lookups.push((text(&vector["id"]), namespace.clone(), pod, lookup.clone()));
        }
    }
    let document = check(&items);
    let workloads = document["workloads"].as_array().expect("workloads");
    let mut by_key = std::collections::HashMap::new();
    for row in workloads {
        by_key.insert((text(&row["workload_namespace"]), text(&row["workload_name"])), row);
    }
    let mut wrong = Vec::new();
    for (id, namespace, pod, lookup) in &lookups {
        let row = by_key[&(namespace.clone(), pod.clone())];
        let found = &row["images"][0];
        let expect = &lookup["expect"];
        let names = |list: &Value, key: &str| -> Vec<String> {
            list.as_array().into_iter().flatten().map(|one| text(&one[key])).collect()
        };
        let ours = names(&found["credentials"], "secret_name");
        let right = match (text(&expect["error_from"]).as_str(), expect["credentials"].is_array()) {
            ("image", _) => row["outlook"] == "unknown",
            ("secrets", _) => row["outlook"] == "blocked" && ours.is_empty(),
            (_, true) => ours == in_known_order(expect, &names(&expect["credentials"], "secret"), &ours),
            _ => false,
        };
        if !right {
            wrong.push(format!("{id} {}: {ours:?} {} for {expect}", lookup["image"], row["outlook"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} lookups of {file}:\n{}", wrong.len(), lookups.len(), wrong.join("\n"));
    assert!(lookups.len() > 200, "{file}: {} lookups", lookups.len());
}

/// The expected names, with the blocks whose order is random brought into the order that was found.
fn in_known_order(expect: &Value, wanted: &[String], found: &[String]) -> Vec<String> {
    let mut ordered = wanted.to_vec();
    let mut at = 0;
    for length in expect["groups"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
        let length = usize::try_from(length).expect("a short block");
        let block = at..at + length;
        at = block.end;
        let mut theirs = wanted[block.clone()].to_vec();
        let mut ours = found.get(block.clone()).unwrap_or_default().to_vec();
        theirs.sort();
        ours.sort();
        if theirs == ours {
            ordered[block.clone()].clone_from_slice(&found[block]);
        }
    }
    ordered
}

#[test]
fn every_pod_gets_the_credentials_that_the_kubelet_would_try() {
    orders_agree("keyring.jsonl");
    orders_agree("keyring_random.jsonl");
}
