use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::{Severity, decode};
use super::*;

const JSON: &str = "kubernetes.io/dockerconfigjson";
const CFG: &str = "kubernetes.io/dockercfg";
/// A token whose checksum holds.
const TOKEN: &str = "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";

fn entries(document: &str) -> Vec<Entry> {
    match decode(JSON, Some(document.as_bytes()), None) {
        Decoded::Entries(entries) => entries,
        other => panic!("{document}: {other:?}"),
    }
}

/// Findings of the one entry under `ghcr.io`.
fn found(fields: &str) -> Vec<&'static str> {
    let entries = entries(&format!(r#"{{"auths":{{"ghcr.io":{{{fields}}}}}}}"#));
    entries[0].findings.iter().map(|finding| finding.kind.as_str()).collect()
}

fn auth(text: &str) -> String {
    format!(r#""auth":"{}""#, STANDARD.encode(text))
}

fn of_secret(secret_type: &str, json: Option<&str>, cfg: Option<&str>) -> Vec<Finding> {
    let (json, cfg) = (json.map(str::as_bytes), cfg.map(str::as_bytes));
    secret_findings(&decode(secret_type, json, cfg), secret_type, json, cfg)
}

fn kinds(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.kind.as_str()).collect()
}

#[test]
fn a_tidy_entry_has_no_finding() {
    for fields in [
        auth(&format!("octo:{TOKEN}")),
        format!(r#""username":"octo","password":"{TOKEN}",{}"#, auth(&format!("octo:{TOKEN}"))),
        r#""username":"rex","password":"tiny arms","email":"x","auth":null,"serveraddress":"ghcr.io""#.to_owned(),
        r#""username":"_json_key","password":"{\n  \"type\": \"service_account\"\n}\n""#.to_owned(),
        r#""username":"octo","password":"p","identitytoken":"""#.to_owned(),
        r#""username":"AWS","password":"ghp_unknown_length""#.to_owned(),
    ] {
        assert_eq!(found(&fields), [""; 0], "{fields}");
    }
}

#[test]
fn white_space_and_control_characters() {
    for fields in [
        auth("octo:tok\n"),
        auth(" octo:tok"),
        auth("oc to:tok"),
        auth("octo:to\0k"),
        auth("octo:\u{a0}tok"),
        auth("octo:\u{feff}tok"),
        auth(&format!("octo:{TOKEN}\r\n")),
        auth("octo:ghp_a b"),
        r#""username":"octo\t","password":"p""#.to_owned(),
    ] {
        assert_eq!(found(&fields), ["whitespace_in_credential"], "{fields}");
    }
}

#[test]
fn stale_auth_is_told_only_where_a_field_says_otherwise() {
    let old = auth("octo:old");
    assert_eq!(found(&format!(r#""username":"octo","password":"new",{old}"#)), ["stale_auth"]);
    assert_eq!(found(&format!(r#""username":"other","password":"old",{old}"#)), ["stale_auth"]);
    assert_eq!(found(&format!(r#""username":"octo","password":"old",{old}"#)), [""; 0]);
    assert_eq!(found(&format!(r#""username":"","password":"",{old}"#)), [""; 0]);
    assert_eq!(found(r#""username":"octo","password":"new","auth":"""#), [""; 0]);
}

#[test]
fn user_names() {
    assert_eq!(found(&auth(":tok")), ["empty_username"]);
    assert_eq!(found(""), ["empty_username"]);
    assert_eq!(found(&auth("ghp_x:y")), ["token_in_username"]);
    assert_eq!(found(&auth("admin:admin")), ["token_in_username"]);
    assert_eq!(found(&auth(&format!("{TOKEN}:x-oauth-basic"))), ["token_in_username"]);
}

#[test]
fn mangled_tokens() {
    let mangled = TOKEN.replace("M7H4", "N7H4");
    assert_eq!(found(&auth(&format!("octo:{mangled}"))), ["mangled_token"]);
    assert_eq!(found(&auth(&format!("octo:{mangled}\n"))), ["whitespace_in_credential", "mangled_token"]);
}

#[test]
fn ignored_fields_are_named_once() {
    assert_eq!(found(r#""identitytoken":"t""#), ["empty_username", "ignored_field"]);
    let entries = entries(
        r#"{"auths":{"a.io":{"username":"u","password":"p","registrytoken":"r","RegistryToken":"r"},"b.io":{"username":"u","password":"p"}},
            "credsStore":"desktop","credHelpers":{"c.io":"x"}}"#,
    );
    let messages: Vec<&str> = entries.iter().map(|entry| entry.findings[0].message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "the kubelet does not read registrytoken, credsStore, credHelpers",
            "the kubelet does not read credsStore, credHelpers"
        ]
    );
    assert!(entries.iter().all(|entry| entry.findings.len() == 1 && entry.findings[0].severity == Severity::Info));
}

#[test]
fn keys_of_one_meaning_are_ambiguous() {
    let entries = entries(
        r#"{"auths":{"ghcr.io":{"username":"a","password":"1"},"https://ghcr.io/v1/":{"username":"b","password":"2"},
            "quay.io":{"username":"a","password":"1"},"x@quay.io/":{"username":"a","password":"1"},"other.io":{"username":"a","password":"1"}}}"#,
    );
    let marks: Vec<Option<&str>> = entries
        .iter()
        .map(|entry| entry.findings.first().map(|finding| finding.message.rsplit(": ").next().expect("good input")))
        .collect();
    let (random, twice) =
        ("the order in which they are tried is random", "the same credential is tried more than once");
    assert_eq!(marks, [Some(random), Some(random), None, Some(twice), Some(twice)]);
}

#[test]
fn keys_are_judged() {
    let entries = entries(
        r#"{"auths":{"https://ghcr.io/v2":{"username":"a","password":"1"},"ghcr.io:443":{"username":"a","password":"1"}}}"#,
    );
    let kinds: Vec<_> = entries.iter().map(|entry| entry.findings[0].kind.as_str()).collect();
    assert_eq!(kinds, ["unusual_key", "never_matching_key"]);
}

#[test]
fn wrong_type_needs_a_value_of_the_other_type() {
    let good = r#"{"auths":{"ghcr.io":{}}}"#;
    assert_eq!(kinds(&of_secret("Opaque", Some(good), None)), ["wrong_type"]);
    assert_eq!(kinds(&of_secret("Opaque", Some("{"), None)), ["wrong_type"]);
    assert_eq!(kinds(&of_secret("", None, Some(good))), ["wrong_type"]);
    assert_eq!(kinds(&of_secret(CFG, Some(good), None)), ["wrong_type"]);
    assert_eq!(kinds(&of_secret(JSON, Some(""), Some(good))), ["wrong_type"]);
    assert!(of_secret(JSON, None, Some(good))[0].fix.contains("`kubernetes.io/dockercfg`"));
    assert_eq!(kinds(&of_secret("Opaque", None, None)), [""; 0]);
    assert_eq!(kinds(&of_secret("Opaque", Some(""), None)), [""; 0]);
    assert_eq!(kinds(&of_secret(JSON, Some(good), Some("{"))), [""; 0]);
}

#[test]
fn secrets_without_an_entry() {
    for document in ["{}", r#"{"auths":{}}"#, r#"{"auths":null}"#, "null"] {
        assert_eq!(kinds(&of_secret(JSON, Some(document), None)), ["no_entries"], "{document}");
    }
    assert_eq!(kinds(&of_secret(JSON, None, None)), ["no_entries"]);
    assert_eq!(kinds(&of_secret(CFG, None, Some("{}"))), ["no_entries"]);
    assert_eq!(kinds(&of_secret(JSON, Some(r#"{"credsStore":"x"}"#), None)), ["no_entries", "ignored_field"]);
    let legacy = of_secret(JSON, Some(r#"{"ghcr.io":{"auth":"YTpi"}}"#), None);
    assert!(legacy[0].message.contains("legacy form"), "{legacy:?}");
}

#[test]
fn faults_are_told_with_their_place_and_no_value() {
    for (secret_type, document, kind, place) in [
        (JSON, r#"{"auths":{"u:secretpw@ghcr.io":{"auth":"secretpw!"}}}"#, "bad_auth_encoding", "the entry ghcr.io"),
        (JSON, r#"{"auths":{"ghcr.io":{"auth":"c2VjcmV0cHc="}}}"#, "bad_auth_encoding", "the entry ghcr.io"),
        (JSON, r#"{"auths":{"ghcr.io":{"password":12}}}"#, "undecodable_secret", "the entry ghcr.io holds"),
        (JSON, r#"{"auths":["secretpw"]}"#, "undecodable_secret", "`auths`"),
        (JSON, "{\"auths\":\n {secretpw}}", "undecodable_secret", "line 2, column 3"),
        (JSON, "", "no_entries", "nothing under"),
        (CFG, r#"{"credsStore":"secretpw"}"#, "undecodable_secret", "the entry credsStore"),
        (CFG, r#"["secretpw"]"#, "undecodable_secret", "no JSON object"),
    ] {
        let (json, cfg) = if secret_type == JSON { (Some(document), None) } else { (None, Some(document)) };
        let findings = of_secret(secret_type, json, cfg);
        assert_eq!(kinds(&findings), [kind], "{document}");
        assert!(findings[0].message.contains(place), "{document}: {}", findings[0].message);
        assert!(!format!("{findings:?}").contains("secretpw"), "{findings:?}");
    }
    let twice = STANDARD.encode(r#"{"auths":{}}"#);
    assert!(of_secret(JSON, Some(&twice), None)[0].fix.contains("base64 of base64"));
}

#[test]
fn auth_faults_are_told_apart_from_document_faults() {
    for (document, in_auth) in [
        (r#"{"auths":{"ghcr.io":{"auth":"!"}}}"#, true),
        (r#"{"auths":{"ghcr.io":{"auth":"cGFudHM="}}}"#, true),
        (r#"{"auths":{"ghcr.io":{"auth":{}}}}"#, false),
        ("{", false),
    ] {
        match decode(JSON, Some(document.as_bytes()), None) {
            Decoded::Malformed(malformed) => assert_eq!(malformed.in_auth, in_auth, "{document}"),
            other => panic!("{document}: {other:?}"),
        }
    }
}
