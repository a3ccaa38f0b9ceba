//! Vectors recorded from the kubelet's own code (`tests/conformance/README.md`): each one passes, error texts included.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pull_patrol::credential::{Decoded, Entry, Keyring, decode, parse_image, urls_match};
use serde_json::{Value, json};

/// Run a check over every line of a file and fail with all the vectors that differ.
fn each(file: &str, lines: usize, check: impl Fn(&Value) -> Result<(), String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let (mut ids, mut failures) = (BTreeSet::new(), Vec::new());
    for line in text.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let id = vector["id"].as_str().unwrap().to_owned();
        if let Err(difference) = check(&vector) {
            failures.push(format!("{id} ({}): {difference}", vector["note"].as_str().unwrap_or_default()));
        }
        assert!(ids.insert(id), "an id stands twice in {file}");
    }
    assert_eq!(ids.len(), text.lines().count());
    assert_eq!(ids.len(), lines, "{file} has another number of vectors than this test knows of");
    assert!(failures.is_empty(), "{} of {lines} vectors of {file} differ:\n{}", failures.len(), failures.join("\n"));
}

fn same(actual: &Value, expected: &Value) -> Result<(), String> {
    if actual == expected { Ok(()) } else { Err(format!("expected {expected}, got {actual}")) }
}

fn decode_vector(secret: &Value) -> Decoded {
    let value = |key: &str| secret["data"][key].as_str().map(|text| STANDARD.decode(text).unwrap());
    let (json, cfg) = (value(".dockerconfigjson"), value(".dockercfg"));
    decode(secret["type"].as_str().unwrap(), json.as_deref(), cfg.as_deref())
}

/// A text under its name, or its bytes under the name with `_b64` where they are no text.
fn put(object: &mut Value, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object[name] = json!(text),
        Err(_) => object[format!("{name}_b64")] = json!(STANDARD.encode(bytes)),
    }
}

#[test]
fn decode_vectors() {
    each("decode.jsonl", 191, |vector| {
        let actual = match decode_vector(vector) {
            Decoded::Skipped => json!({"skipped": true}),
            Decoded::Malformed(malformed) => json!({"error": malformed.kubelet_message}),
            Decoded::TooMany(entries) => panic!("no vector holds {entries} entries"),
            Decoded::Entries(entries) => json!({"entries": entries.iter().map(entry_value).collect::<Vec<_>>()}),
        };
        same(&actual, &vector["expect"])
    });
}

fn entry_value(entry: &Entry) -> Value {
    let mut value = json!({"registry": entry.registry, "email": entry.email});
    put(&mut value, "username", entry.username.expose());
    put(&mut value, "password", entry.password.expose());
    value
}

#[test]
fn image_vectors() {
    each("images.jsonl", 139, |vector| {
        let actual = match parse_image(vector["image"].as_str().unwrap()) {
            Ok(image) => json!({"repository": image.repository, "tag": image.tag, "digest": image.digest}),
            Err(error) => json!({"error": error.to_string()}),
        };
        same(&actual, &vector["expect"])
    });
}

#[test]
fn urls_match_vectors() {
    each("urls_match.jsonl", 170, |vector| {
        let (glob, target) = (vector["glob"].as_str().unwrap(), vector["target"].as_str().unwrap());
        let (matched, error) = match urls_match(glob, target) {
            Ok(matched) => (json!(matched), Value::Null),
            Err(error) => (json!("error"), json!(error.to_string())),
        };
        same(&matched, &vector["match"])?;
        same(&error, &vector["error"])
    });
}

#[test]
fn keyring_vectors() {
    each("keyring.jsonl", 279, keyring_vector);
}

#[test]
fn keyring_random_vectors() {
    each("keyring_random.jsonl", 400, keyring_vector);
}

fn keyring_vector(vector: &Value) -> Result<(), String> {
    let secrets = vector["secrets"].as_array().unwrap();
    for lookup in vector["lookups"].as_array().unwrap() {
        let what = lookup.get("image").or_else(|| lookup.get("name")).unwrap();
        look_up(secrets, lookup)
            .and_then(|actual| compare(&actual, &lookup["expect"]))
            .map_err(|error| format!("{what}: {error}"))?;
    }
    Ok(())
}

/// What the kubelet would answer: the image first, then the Secrets in their order, then the keyring.
fn look_up(secrets: &[Value], lookup: &Value) -> Result<Value, String> {
    let name = match lookup.get("image") {
        Some(image) => match parse_image(image.as_str().unwrap()) {
            Ok(image) => image.repository,
            Err(error) => return Ok(json!({"error": error.to_string(), "error_from": "image"})),
        },
        None => lookup["name"].as_str().unwrap().to_owned(),
    };
    let mut keyring = Keyring::default();
    for secret in secrets {
        match decode_vector(secret) {
            Decoded::Skipped => {}
            Decoded::TooMany(entries) => panic!("no vector holds {entries} entries"),
            Decoded::Malformed(malformed) => {
                return Ok(json!({"error": malformed.kubelet_message, "error_from": "secrets"}));
            }
            Decoded::Entries(entries) => {
                for entry in entries {
                    let Ok(key) = entry.key() else { continue };
                    let mut credential = json!({"secret": secret["name"]});
                    put(&mut credential, "username", entry.username.expose());
                    put(&mut credential, "password", entry.password.expose());
                    keyring.add(key, credential);
                }
            }
        }
    }
    let credentials: Vec<Value> = keyring.lookup(&name).into_iter().cloned().collect();
    let by_key: Vec<&Value> = keyring.matching(&name).into_iter().flat_map(|(_, credentials)| credentials).collect();
    if !credentials.iter().eq(by_key) {
        return Err("lookup and matching differ".to_owned());
    }
    Ok(json!({"name": name, "matched": !credentials.is_empty(), "credentials": credentials}))
}

/// Equal, with the credentials of one group in any order where the kubelet's own order is random.
fn compare(actual: &Value, expected: &Value) -> Result<(), String> {
    if expected["unordered"] != json!(true) {
        return same(actual, expected);
    }
    for field in ["name", "matched"] {
        same(&actual[field], &expected[field])?;
    }
    let sizes: Vec<usize> = expected["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|size| usize::try_from(size.as_u64().unwrap()).unwrap())
        .collect();
    let grouped = |value: &Value| -> Option<Vec<Vec<String>>> {
        let mut rest: Vec<String> = value["credentials"].as_array()?.iter().map(Value::to_string).collect();
        let mut groups = Vec::new();
        for size in &sizes {
            let tail = (*size <= rest.len()).then(|| rest.split_off(*size))?;
            rest.sort();
            groups.push(std::mem::replace(&mut rest, tail));
        }
        rest.is_empty().then_some(groups)
    };
    let (actual, expected) = (grouped(actual), grouped(expected));
    if expected.is_some() && actual == expected {
        Ok(())
    } else {
        Err(format!("expected {expected:?}, got {actual:?}"))
    }
}
