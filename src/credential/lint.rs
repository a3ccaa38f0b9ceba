//! Findings of a Secret's text: what an operator should mend, in words, never with a value.

use super::document::{Fault, Place, RawEntry, Shape, read};
use super::finding::{Finding, FindingKind};
use super::oddity::{key_oddity, registry_label};
use super::pull_secret::{Decoded, Entry, PULL_TYPES, counting};
use super::token::{TokenKind, checksum_holds};

/// Findings of one entry, in the order of the published list.
pub(super) fn entry_findings(entry: &Entry, raw: &RawEntry, ignored_in_document: &[&'static str]) -> Vec<Finding> {
    [
        white_space(entry),
        stale_auth(raw),
        empty_username(entry),
        key_oddity(&entry.registry).map(super::KeyOddity::finding),
        ignored_field(&raw.ignored, ignored_in_document),
        mangled_token(entry),
        token_in_username(entry),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn white_space(entry: &Entry) -> Option<Finding> {
    let username = is_untidy(entry.username.expose(), true);
    // A Google service account key is a JSON document, line breaks and all.
    let is_json_key = entry.username.expose().starts_with(b"_json_key");
    let inner_blanks = TokenKind::of(entry.password.expose()) != TokenKind::Opaque;
    let password = !is_json_key && is_untidy(entry.password.expose(), inner_blanks);
    let place = match (username, password) {
        (false, false) => return None,
        (true, false) => "the user name has",
        (false, true) => "the password has",
        (true, true) => "each of user name and password has",
    };
    Some(Finding::new(
        FindingKind::WhitespaceInCredential,
        format!("{place} white space or control characters in it, which are sent to the registry as they stand"),
        "store the credential again without them; with `base64`, pipe from `printf '%s'` instead of `echo`",
    ))
}

/// White space at either end, or a control character or invisible mark anywhere. A blank inside counts only where asked:
/// a passphrase may hold some, a token never does.
fn is_untidy(bytes: &[u8], inner_blanks: bool) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let invisible = |c: char| c.is_control() || matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}');
    text.trim() != text || text.contains(invisible) || (inner_blanks && text.contains(char::is_whitespace))
}

fn stale_auth(raw: &RawEntry) -> Option<Finding> {
    let (username, password) = raw.auth.as_ref()?;
    let differs = |field: &str, coded: &[u8]| !field.is_empty() && field.as_bytes() != coded;
    let what = match (differs(&raw.username, username), differs(&raw.password, password)) {
        (false, false) => return None,
        (true, false) => "`username` of the entry differs",
        (false, true) => "`password` of the entry differs",
        (true, true) => "`username` and `password` of the entry differ",
    };
    Some(Finding::new(
        FindingKind::StaleAuth,
        format!("{what} from what `auth` says, and the kubelet uses `auth`"),
        "write the Secret anew with `kubectl create secret docker-registry`, or remove or renew the `auth` field",
    ))
}

fn empty_username(entry: &Entry) -> Option<Finding> {
    entry.username.is_empty().then(|| {
        Finding::new(
            FindingKind::EmptyUsername,
            "the user name is empty, so the container runtime pulls without any credential",
            "set a user name; where the registry does not check it (ghcr.io), any text that is not empty will do",
        )
    })
}

fn ignored_field(in_entry: &[&'static str], in_document: &[&'static str]) -> Option<Finding> {
    let mut fields: Vec<&str> = Vec::new();
    for field in in_entry.iter().chain(in_document) {
        if !fields.contains(field) {
            fields.push(field);
        }
    }
    (!fields.is_empty()).then(|| {
        Finding::new(
            FindingKind::IgnoredField,
            format!("the kubelet does not read {}", fields.join(", ")),
            "put user name and password (or `auth`) of the registry into the Secret itself",
        )
    })
}

fn mangled_token(entry: &Entry) -> Option<Finding> {
    // White space around it is a finding of its own.
    (checksum_holds(entry.password.expose().trim_ascii()) == Some(false)).then(|| {
        Finding::new(
            FindingKind::MangledToken,
            "the checksum inside the token does not hold: the token was mistyped, cut and filled, or is a placeholder",
            "copy the token again from where it was issued",
        )
    })
}

fn token_in_username(entry: &Entry) -> Option<Finding> {
    entry.username.is_telling(&entry.password).then(|| {
        Finding::new(
            FindingKind::TokenInUsername,
            "the user name looks like a token or repeats the password, and user names are shown and logged in many places",
            "put the token into the password and the account's name into the user name; if it was exposed, rotate it",
        )
    })
}

/// Mark entries of one Secret that end under one key.
pub(super) fn mark_ambiguous(entries: &mut [Entry]) {
    let mut by_key: std::collections::BTreeMap<_, Vec<usize>> = std::collections::BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        if let Ok(key) = entry.key() {
            by_key.entry(key).or_default().push(at);
        }
    }
    for places in by_key.into_values().filter(|places| places.len() > 1) {
        let alike = places.windows(2).all(|pair| {
            let (a, b) = (&entries[pair[0]], &entries[pair[1]]);
            a.username.expose() == b.username.expose() && a.password.same_as(&b.password)
        });
        let consequence = if alike {
            "the same credential is tried more than once"
        } else {
            "the order in which they are tried is random"
        };
        for at in &places {
            entries[*at].findings.push(Finding::new(
                FindingKind::AmbiguousKey,
                format!("{} entries of this Secret mean the same registry key: {consequence}", places.len()),
                "keep one of the entries",
            ));
        }
    }
}

/// Findings of a Secret as a whole: `undecodable_secret`, `bad_auth_encoding`, `wrong_type`, `no_entries`, and
/// `ignored_field` where there is no entry to tell it at. The arguments behind `decoded` are those it was decoded from.
pub fn secret_findings(
    decoded: &Decoded,
    secret_type: &str,
    dockerconfigjson: Option<&[u8]>,
    dockercfg: Option<&[u8]>,
) -> Vec<Finding> {
    match decoded {
        Decoded::Skipped => skipped(secret_type, dockerconfigjson, dockercfg).into_iter().collect(),
        Decoded::TooMany(_) => Vec::new(),
        Decoded::Malformed(_) | Decoded::Entries(_) => {
            let Some((shape, data)) = counting(secret_type, dockerconfigjson, dockercfg) else { return Vec::new() };
            match (decoded, read(shape, data)) {
                (Decoded::Malformed(_), Err(fault)) => vec![malformed(&fault, shape, data)],
                (Decoded::Entries(entries), Ok(document)) if entries.is_empty() => {
                    let mut findings = vec![no_entries(shape, document.looks_like_other_shape)];
                    findings.extend(ignored_field(&[], &document.ignored));
                    findings
                }
                _ => Vec::new(),
            }
        }
    }
}

fn skipped(secret_type: &str, dockerconfigjson: Option<&[u8]>, dockercfg: Option<&[u8]>) -> Option<Finding> {
    let there = |data: Option<&[u8]>| data.is_some_and(|data| !data.is_empty());
    let present = if there(dockerconfigjson) {
        Some(PULL_TYPES[0])
    } else if there(dockercfg) {
        Some(PULL_TYPES[1])
    } else {
        None
    };
    let own = PULL_TYPES.into_iter().find(|(name, _, _)| *name == secret_type);
    let (message, fix) = match (present, own) {
        (Some((wanted, key, _)), _) => (
            format!(
                "the Secret has the key `{key}`, but not the type that goes with it, so the kubelet skips it silently"
            ),
            format!("create it anew with the type `{wanted}` (the type of a Secret cannot be changed)"),
        ),
        (None, Some((_, key, _))) => {
            return Some(Finding::new(
                FindingKind::NoEntries,
                format!("the Secret has nothing under the key `{key}`, so the kubelet skips it silently"),
                "write the Secret anew with `kubectl create secret docker-registry`",
            ));
        }
        (None, None) => return None,
    };
    Some(Finding::new(FindingKind::WrongType, message, fix))
}

fn malformed(fault: &Fault, shape: Shape, data: &[u8]) -> Finding {
    const POISON: &str = "every pod that names this Secret fails to pull, public images included";
    let (kind, message, fix) = match &fault.place {
        Place::Auth(registry) => (
            FindingKind::BadAuthEncoding,
            format!("the `auth` of the entry {} is not base64 of `user:password`: {POISON}", registry_label(registry)),
            "write the Secret anew with `kubectl create secret docker-registry`; `auth` is standard base64 without blanks",
        ),
        Place::Entry(registry) => (
            FindingKind::UndecodableSecret,
            format!("the entry {} holds a value of the wrong type: {POISON}", registry_label(registry)),
            "make each entry an object, and its `username`, `password`, `email` and `auth` strings",
        ),
        Place::Document if shape == Shape::Cfg => (
            FindingKind::UndecodableSecret,
            format!("the document is no JSON object of registries: {POISON}"),
            "make it an object with one object per registry, or use the type `kubernetes.io/dockerconfigjson`",
        ),
        Place::Document => (
            FindingKind::UndecodableSecret,
            format!("the document, its `auths` or its `HttpHeaders` is of the wrong type: {POISON}"),
            "make `auths` an object with one object per registry, and remove `HttpHeaders`",
        ),
        Place::Syntax { offset } => {
            let read = &data[..*offset];
            let line = read.split(|byte| *byte == b'\n').count();
            let column = 1 + read.iter().rev().take_while(|byte| **byte != b'\n').count();
            let fix = if looks_like_base64(data) {
                "the value seems to be base64 of base64: encode it once only"
            } else {
                "mend the JSON, or write the Secret anew with `kubectl create secret docker-registry`"
            };
            (
                FindingKind::UndecodableSecret,
                format!("the value is not valid JSON at line {line}, column {column}: {POISON}"),
                fix,
            )
        }
    };
    Finding::new(kind, message, fix)
}

/// Base64 of `{"`, which is how a value starts that was encoded twice.
fn looks_like_base64(data: &[u8]) -> bool {
    data.trim_ascii_start().starts_with(b"ey")
}

fn no_entries(shape: Shape, looks_like_other_shape: bool) -> Finding {
    let (message, fix) = if shape == Shape::ConfigJson && looks_like_other_shape {
        (
            "the Secret holds no entry under `auths`; its registries stand at the top, as in the legacy form",
            "put them under `auths`, or create the Secret with the type `kubernetes.io/dockercfg`",
        )
    } else {
        (
            "the Secret holds no entry, so it has no credential for any image",
            "write the Secret anew with `kubectl create secret docker-registry`, or remove it where it is named",
        )
    };
    Finding::new(FindingKind::NoEntries, message, fix)
}

#[cfg(test)]
mod tests;
