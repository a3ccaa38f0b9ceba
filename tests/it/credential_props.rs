//! Properties of the room `credential` that no list of vectors can hold: nothing panics on hostile text, the keyring's
//! order is the rule's, findings and errors never hold a secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use pull_patrol::credential::{
    Decoded, Keyring, MOST_ENTRIES, Password, TokenKind, Username, checksum_holds, decode, key_oddity, parse_image,
    registry_key, secret_findings, self_described_expiry, urls_match,
};

const TYPES: [&str; 2] = ["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"];

fn bounded(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Everything that is done with a Secret's bytes.
fn look_into(data: &[u8]) {
    for secret_type in TYPES {
        let decoded = decode(secret_type, Some(data), Some(data));
        let findings = secret_findings(&decoded, secret_type, Some(data), Some(data));
        match &decoded {
            Decoded::Skipped => assert!(data.is_empty()),
            Decoded::TooMany(entries) => assert!(*entries > MOST_ENTRIES),
            Decoded::Malformed(malformed) => {
                assert!(!malformed.kubelet_message.is_empty());
                assert_eq!(findings.len(), 1);
            }
            Decoded::Entries(entries) => {
                assert!(entries.is_sorted_by(|a, b| a.registry < b.registry), "sorted and unique");
                assert_eq!(findings.is_empty(), !entries.is_empty());
                for entry in entries {
                    assert!(entry.registry_label().chars().count() <= 256);
                    assert!(entry.username.label(&entry.password).chars().count() <= 128);
                    self_described_expiry(entry.password.expose());
                    checksum_holds(entry.password.expose());
                }
            }
        }
    }
}

fn valid_document() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("ghcr.io".to_owned()),
        "[a-z*]{1,4}(\\.[a-z]{1,3}){0,2}(:[0-9]{1,4})?(/[a-zA-Z%]{0,4})?",
        "\\PC{0,6}"
    ];
    let field = prop_oneof![
        ("(username|password|email|auth|AUTH|identitytoken)", "[a-zA-Z0-9+/= :\\n]{0,12}")
            .prop_map(|(name, value)| (name, serde_json::json!(value))),
        "[a-z]{1,8}:[ -~]{1,12}".prop_map(|text| ("auth".to_owned(), serde_json::json!(STANDARD.encode(text)))),
        Just(("username".to_owned(), serde_json::Value::Null)),
    ];
    let entry =
        prop::collection::vec(field, 0..4).prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect()));
    prop::collection::vec((text, entry), 0..4).prop_map(|entries| {
        let auths: serde_json::Map<String, serde_json::Value> = entries.into_iter().collect();
        serde_json::json!({"auths": auths, "HttpHeaders": {"a": "b"}}).to_string()
    })
}

proptest! {
    #![proptest_config(bounded(600))]

    #[test]
    fn arbitrary_bytes_are_decoded_without_a_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
        look_into(&data);
    }

    #[test]
    fn json_like_bytes_are_decoded_without_a_panic(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u", "d83d", "\\ud83d\\ude00", "\"auths\"", "\"auth\"", "\"YTpi\"", "\"x\"",
                "null", "true", "1", "-", ".", "e", " ", "\n", "\u{17f}", "a", "=",
            ]),
            0..24,
        )
    ) {
        look_into(pieces.concat().as_bytes());
    }

    #[test]
    fn mutated_documents_are_decoded_without_a_panic(
        document in valid_document(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..4),
    ) {
        let mut data = document.into_bytes();
        for (at, byte, how) in edits {
            if data.is_empty() { break; }
            let at = at.index(data.len());
            match how {
                0 => data[at] = byte,
                1 => data.truncate(at),
                _ => data.insert(at, byte),
            }
        }
        look_into(&data);
    }

    #[test]
    fn names_and_keys_never_panic(a in "\\PC{0,24}", b in "[a-zA-Z0-9.:/@%\\[\\]*?#\\\\_ -]{0,24}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        for text in [&a, &b] {
            if let Ok(image) = parse_image(text) {
                // What was parsed parses to itself.
                let again = parse_image(&format!("{}/{}", image.host(), image.path())).map(|image| image.repository);
                prop_assert_eq!(again, Ok(image.repository));
            }
            let key = registry_key(text);
            let _ = key_oddity(text);
            if let Ok(key) = key {
                prop_assert!(key.as_str().starts_with(key.host()));
            }
        }
        let _ = (urls_match(&a, &b), urls_match(&b, &a), urls_match(&b, &b));
        let _ = (TokenKind::of(&bytes), self_described_expiry(&bytes), checksum_holds(&bytes));
        let _ = Username::new(bytes.clone()).label(&Password::new(bytes));
    }

    #[test]
    fn plain_hosts_match_themselves(host in "[a-z0-9]{1,5}(\\.[a-z0-9-]{1,5}){0,3}(:[0-9]{1,5})?", path in "(/[a-z0-9]{1,4}){0,2}", more in "[a-z/]{0,4}") {
        let key = format!("{host}{path}");
        prop_assert_eq!(urls_match(&key, &key), Ok(true));
        prop_assert_eq!(urls_match(&host, &key), Ok(true));
        let longer = format!("{key}/{more}");
        prop_assert_eq!(urls_match(&key, &longer), Ok(true));
        prop_assert_eq!(urls_match(&longer, &key), Ok(false));
        prop_assert_eq!(registry_key(&key).map(|key| key.as_str().to_owned()), Ok(key));
    }
}

/// `Add` and `Lookup` as their words say it: for every key, from the greatest to the smallest, that matches, its
/// credentials in the order in which they were added; and Docker Hub's where none does.
fn naive_lookup(added: &[(String, usize)], name: &str) -> Vec<usize> {
    let mut keys: Vec<&String> = added.iter().map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    keys.reverse();
    let of = |wanted: &str| added.iter().filter(|(key, _)| key == wanted).map(|(_, id)| *id).collect::<Vec<_>>();
    let found: Vec<usize> =
        keys.into_iter().filter(|key| urls_match(key, name) == Ok(true)).flat_map(|key| of(key)).collect();
    let first = name.split('/').next().unwrap_or_default();
    let hub = matches!(first, "docker.io" | "index.docker.io") || !name.contains('/') || !first.contains(['.', ':']);
    if found.is_empty() && hub && !first.is_empty() { of("index.docker.io") } else { found }
}

fn key_text() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec![
        "ghcr.io",
        "ghcr.io",
        "*.io",
        "*.*",
        "g*.io",
        "*",
        "localhost",
        "docker.io",
        "index.docker.io",
        "ghcr.io:443",
        "ghcr.io:",
        "GHCR.io",
    ]);
    let path = prop::sample::select(vec![
        "", "", "/", "/v1/", "/v2/", "/v2", "/org", "/or", "/org/", "/org/app", "/v2/org", "/%6Frg", "/org%25", "?x",
        "#x",
    ]);
    let scheme = prop::sample::select(vec!["", "", "https://", "http://", "u:p@", "HTTPS://"]);
    (scheme, host, path).prop_map(|(scheme, host, path)| format!("{scheme}{host}{path}"))
}

proptest! {
    #![proptest_config(bounded(800))]

    #[test]
    fn the_keyring_keeps_the_order_of_the_rule(
        secrets in prop::collection::vec(prop::collection::btree_set(key_text(), 0..5), 0..4),
        image in "(ghcr\\.io/|GHCR\\.io/|quay\\.io/|ghcr\\.io:443/|localhost/|docker\\.io/|index\\.docker\\.io/|Acme/)?(org/app|org|orgx/y|app|v2/x)",
    ) {
        let mut keyring = Keyring::default();
        let mut added = Vec::new();
        for (secret, keys) in secrets.iter().enumerate() {
            for written in keys {
                if let Ok(key) = registry_key(written) {
                    let id = secret * 100 + added.len();
                    added.push((key.as_str().to_owned(), id));
                    keyring.add(key, id);
                }
            }
        }
        let name = parse_image(&image).expect("the pattern makes image names").repository;
        let found: Vec<usize> = keyring.lookup(&name).into_iter().copied().collect();
        prop_assert_eq!(found, naive_lookup(&added, &name), "{}", name);
    }

    /// Whatever a Secret holds, its password stands in no finding, label or `Debug`.
    #[test]
    fn no_password_leaves(
        username in "(octo|[a-z ]{0,6})", tail in "[\\n ]{0,2}",
        password in "canary-[a-zA-Z0-9]{8}", key in "(ghcr\\.io|ghcr\\.io |HTTPS://x|octo:PASSWORD@ghcr\\.io|octo:PASSWORD@ghcr\\.io:x)",
        valid in any::<bool>(), as_username in any::<bool>(),
    ) {
        let key = key.replace("PASSWORD", &password);
        let name = if as_username { &password } else { &username };
        let auth = STANDARD.encode(format!("{name}:{password}{tail}")) + if valid { "" } else { "!" };
        let document = serde_json::json!({"auths": {key: {"username": "other", "password": "stale", "auth": auth}}}).to_string();
        let data = document.as_bytes();
        let decoded = decode(TYPES[0], Some(data), None);
        let mut told = vec![format!("{:?}", secret_findings(&decoded, TYPES[0], Some(data), None))];
        match &decoded {
            Decoded::Entries(entries) => {
                for entry in entries {
                    let (label, registry) = (entry.username.label(&entry.password), entry.registry_label());
                    told.push(format!("{:?} {:?} {label} {registry} {:?}", entry.username, entry.password, entry.findings));
                    told.extend(entry.key().err().map(|error| error.to_string()));
                }
            }
            other => told.push(format!("{other:?}")),
        }
        let told = told.join("\n");
        prop_assert!(!told.contains(&password), "{}", told);
        prop_assert!(!told.contains(auth.trim_end_matches('!')));
    }
}

/// A document of any depth costs no stack: this one would need some 100 MB of it.
#[test]
fn hostile_depth_does_not_overflow() {
    for open in ["[", "{\"a\":", "{\"auths\":", "[[{\"auths\":"] {
        let document = open.repeat(1_000_000);
        match decode(TYPES[0], Some(document.as_bytes()), None) {
            Decoded::Malformed(malformed) => assert!(malformed.kubelet_message.ends_with("exceeded max depth")),
            other => panic!("{other:?}"),
        }
    }
    let deep = format!("{{\"auths\":{{\"ghcr.io\":{{\"x\":{}1{}}}}}}}", "[".repeat(9_990), "]".repeat(9_990));
    assert!(matches!(decode(TYPES[0], Some(deep.as_bytes()), None), Decoded::Entries(entries) if entries.len() == 1));
}
