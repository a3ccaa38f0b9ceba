//! The kubelet's vectors through `explain --offline -o json`: for each image the credentials in the kubelet's order, each
//! with its Secret and its user.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::vectors::vectors;

/// One run of the program over the objects of one vector.
fn explain(target: &str, items: &[Value]) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pull-patrol"))
        .args(["explain", target, "-n", "v", "--offline", "-o", "json", "--registry", "*.io", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string();
    stdin.write_all(input.as_bytes()).expect("it reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The objects of a vector: its Secrets, and one owner of a pod per image that has a name, with the containers numbered.
fn objects(vector: &Value) -> (Vec<Value>, Vec<&Value>) {
    let mut items = Vec::new();
    let mut names: Vec<Value> = Vec::new();
    for one in vector["secrets"].as_array().expect("secrets") {
        if !names.iter().any(|name| name["name"] == one["name"]) {
            items.push(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "namespace": "v", "name": one["name"] },
                "type": one["type"], "data": one["data"],
            }));
        }
        names.push(json!({ "name": one["name"] }));
    }
    // A bare name and an empty image can only be looked up in code.
    let lookups = vector["lookups"].as_array().expect("lookups").iter();
    let lookups: Vec<&Value> =
        lookups.filter(|one| one["image"].as_str().is_some_and(|image| !image.is_empty())).collect();
    let containers: Vec<Value> = lookups
        .iter()
        .enumerate()
        .map(|(number, lookup)| json!({ "name": format!("c{number}"), "image": lookup["image"] }))
        .collect();
    items.push(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": "v", "name": "p" },
        "spec": { "imagePullSecrets": names, "containers": containers },
    }));
    (items, lookups)
}

/// Secret and user of a credential.
type Shown = (String, String);

/// A user name that stands in the document as it is: no control character, not cut, not taken for a token.
fn is_comparable(user: &str, shown: &str) -> bool {
    shown != "redacted" && user.len() < 64 && !user.chars().any(|c| c.is_control() || c == '\u{fffd}')
}

/// The user name of a recorded credential; bytes that are no text as the character that stands for them.
fn user(credential: &Value) -> String {
    let raw = credential["username_b64"].as_str().map(|text| STANDARD.decode(text).expect("base64"));
    raw.map_or_else(|| text(&credential["username"]), |raw| String::from_utf8_lossy(&raw).into_owned())
}

/// Whether a block holds the same credentials on both sides, in whatever order. Returns how many users were compared.
fn block_agrees(theirs: &[Shown], ours: &[Shown]) -> Option<usize> {
    let mut left: Vec<&Shown> = ours.iter().collect();
    let mut take = |is: &dyn Fn(&Shown) -> bool| left.iter().position(|one| is(one)).map(|at| left.swap_remove(at));
    let (mut compared, mut rest) = (0, Vec::new());
    for wanted in theirs {
        match take(&|one| one == wanted) {
            Some(_) => compared += 1,
            None => rest.push(wanted),
        }
    }
    let fits = |(secret, user): &Shown, one: &Shown| *secret == one.0 && !is_comparable(user, &one.1);
    rest.into_iter().all(|wanted| take(&|one| fits(wanted, one)).is_some()).then_some(compared)
}

/// What is wrong with the answer for one lookup, if anything.
fn difference(image: &Value, expect: &Value, compared: &AtomicUsize) -> Option<String> {
    let shown = image["credentials"].as_array().expect("credentials");
    let numbered = shown.iter().enumerate().all(|(place, one)| one["order"] == place + 1);
    let right = match text(&expect["error_from"]).as_str() {
        "image" => image["outlook"] == "unknown" && shown.is_empty(),
        "secrets" => image["outlook"] == "blocked" && shown.is_empty(),
        _ => {
            let wanted = expect["credentials"].as_array().expect("credentials");
            let theirs: Vec<Shown> = wanted.iter().map(|one| (text(&one["secret"]), user(one))).collect();
            let ours: Vec<Shown> =
                shown.iter().map(|one| (text(&one["secret_name"]), text(&one["username"]))).collect();
            // Blocks inside which the order is random; elsewhere each credential is a block.
            let groups = expect["groups"].as_array().map(|groups| {
                groups.iter().filter_map(Value::as_u64).filter_map(|length| usize::try_from(length).ok()).collect()
            });
            let groups: Vec<usize> = groups.unwrap_or_else(|| vec![1; theirs.len()]);
            let mut at = 0;
            let blocks = groups.into_iter().map(|length| {
                at += length;
                at - length..at
            });
            theirs.len() == ours.len()
                && blocks.into_iter().all(|block| {
                    let agrees = block_agrees(&theirs[block.clone()], &ours[block]);
                    compared.fetch_add(agrees.unwrap_or(0), Ordering::Relaxed);
                    agrees.is_some()
                })
        }
    };
    (!right || !numbered).then(|| format!("{shown:?} {} for {expect}", image["outlook"]))
}

fn orders_agree(file: &str) {
    let vectors = vectors(file);
    let (next, wrong, users, lookups) =
        (AtomicUsize::new(0), Mutex::new(Vec::new()), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(vector) = vectors.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (items, wanted) = objects(vector);
                    if wanted.is_empty() {
                        continue;
                    }
                    let document = explain("pod/p", &items);
                    let images = document["images"].as_array().expect("images");
                    for (number, lookup) in wanted.iter().enumerate() {
                        lookups.fetch_add(1, Ordering::Relaxed);
                        let name = Value::from(format!("c{number}"));
                        let own =
                            |image: &&Value| image["containers"].as_array().is_some_and(|all| all.contains(&name));
                        let image = images.iter().find(own).expect("each container is explained");
                        if let Some(difference) = difference(image, &lookup["expect"], &users) {
                            wrong.lock().expect("no panic").push(format!("{}: {difference}", vector["id"]));
                        }
                    }
                }
            });
        }
    });
    let (wrong, lookups) = (wrong.into_inner().expect("no panic"), lookups.into_inner());
    assert!(wrong.is_empty(), "{} of {lookups} lookups of {file}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(lookups > 200 && users.into_inner() > 200, "{file}: {lookups} lookups");
}

#[test]
fn every_image_is_explained_with_the_credentials_that_the_kubelet_would_try() {
    orders_agree("keyring.jsonl");
    orders_agree("keyring_random.jsonl");
}
