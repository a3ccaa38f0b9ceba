//! One entry point for each parser of text from tenants or from the network: any bytes in, no panic, and nothing out that is
//! larger than it may be. The fuzz targets call these, and so does `tests/it/fuzz.rs` with the corpus and with random bytes.

#![allow(dead_code, reason = "each fuzz target calls one of them")]

use std::time::Duration;

use chrono::{DateTime, Utc};
use pull_patrol::cluster::{Input, Scope, load};
use pull_patrol::config::ScopeConfig;
use pull_patrol::credential::{
    Decoded, Keyring, MOST_ENTRIES, TokenKind, checksum_holds, decode, key_oddity, parse_image, registry_key,
    secret_findings, self_described_expiry, urls_match,
};
use pull_patrol::probe::raw;

/// A text cut into parts where the byte 0 stands: several headers, or several fields.
fn parts(data: &[u8]) -> Vec<&[u8]> {
    data.split(|byte| *byte == 0).collect()
}

/// The value of a pull Secret, as both of its types.
pub(crate) fn dockerconfig(data: &[u8]) {
    for secret_type in ["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"] {
        let decoded = decode(secret_type, Some(data), Some(data));
        let findings = secret_findings(&decoded, secret_type, Some(data), Some(data));
        assert!(findings.len() <= 8, "findings of a Secret are few: {findings:?}");
        let Decoded::Entries(entries) = &decoded else { continue };
        assert!(entries.len() <= MOST_ENTRIES);
        for entry in entries {
            assert!(entry.registry_label().chars().count() <= 256);
            assert!(entry.username.label(&entry.password).chars().count() <= 128);
            let password = entry.password.expose();
            let _ = (TokenKind::of(password), checksum_holds(password), self_described_expiry(password));
            let shown = format!("{:?} {:?}", entry.username, entry.findings);
            let secret = String::from_utf8_lossy(password);
            assert!(password.len() < 12 || !shown.contains(&*secret), "a password in what may be shown");
        }
    }
}

/// An image as a pod names it, and as a key of a pull Secret.
pub(crate) fn image_reference(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (image, key) = text.split_once('\0').unwrap_or((&text, &text));
    let parsed = parse_image(image);
    if let Ok(name) = &parsed {
        assert!(name.repository.len() <= 2 * image.len() + 32, "a name is no longer than what is written, and a host");
        let again = parse_image(&format!("{}/{}", name.host(), name.path())).map(|again| again.repository);
        assert_eq!(again.as_ref(), Ok(&name.repository), "a name that is written out means the same");
    }
    let _ = (key_oddity(key), urls_match(key, image));
    if let (Ok(key), Ok(name)) = (registry_key(key), parsed) {
        let mut ring = Keyring::default();
        ring.add(key, ());
        assert!(ring.lookup(&name.repository).len() <= 1);
    }
}

/// `WWW-Authenticate`, in one header or several.
pub(crate) fn www_authenticate(data: &[u8]) {
    let challenges = raw::www_authenticate(&parts(data));
    assert!(challenges.len() <= 16);
    for (scheme, params) in &challenges {
        assert!(!scheme.is_empty());
        // A byte that is no UTF-8 takes three when it is shown.
        assert!(params.iter().flatten().all(|value| value.len() <= 3 * data.len()));
    }
}

/// `GitHub-Authentication-Token-Expiration`.
pub(crate) fn expiry_header(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(date) = raw::token_expiry(&text) {
        let written = date.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        assert_eq!(raw::token_expiry(&written), Some(date), "{written}");
    }
}

/// `X-OAuth-Scopes`, in one header or several.
pub(crate) fn scope_header(data: &[u8]) {
    let Some(scopes) = raw::scopes(&parts(data)) else { return };
    assert!(scopes.len() <= 100 && scopes.is_sorted());
    let expanded = pull_patrol::probe::expand(&scopes);
    assert!(pull_patrol::probe::missing(&scopes, &scopes).is_empty());
    assert!(pull_patrol::probe::excess(&scopes, &scopes).is_empty());
    assert!(expanded.len() <= scopes.len() + 100);
}

/// `Retry-After`, `Date` and `Age`, and the wait in the text of an error.
pub(crate) fn wait_header(data: &[u8]) {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut parts = parts(data).into_iter();
    let mut next = || parts.next().unwrap_or_default();
    let headers = [next(), next(), next()];
    let text = String::from_utf8_lossy(next()).into_owned();
    let (header, _, told) = raw::waits(headers, &text, DateTime::<Utc>::UNIX_EPOCH);
    assert!([header, told].iter().flatten().all(|wait| *wait <= DAY), "nobody makes us wait longer than a day");
}

/// Manifests, as YAML, JSON or a Docker `config.json`.
pub(crate) fn manifests(data: &[u8]) {
    let scope = Scope::new(&ScopeConfig::default(), &[]).expect("the default scope");
    let inventory = load(&[Input::Stdin(data.to_vec())], &scope);
    assert!(inventory.secrets.len() + inventory.pods.len() + inventory.controllers.len() <= data.len());
    assert!(inventory.problems.iter().all(|problem| problem.message.len() <= 10_000));
}
