//! From a Secret's data to its entries, as the kubelet does it (`pkg/credentialprovider/secrets/secrets.go`).

use super::document::{Document, Fault, Place, RawEntry, Shape, read};
use super::keyring::{KeyError, RegistryKey, registry_key};
use super::{Finding, Password, Username, lint, oddity};

/// What the kubelet makes of a Secret.
#[derive(Debug)]
pub enum Decoded {
    /// It does not count: type, key or an empty value. The kubelet skips it without an event.
    Skipped,
    /// It counts and cannot be decoded: every lookup of a pod that names it fails.
    Malformed(MalformedSecret),
    /// It counts. Sorted by the bytes of the registry as written; may be empty.
    Entries(Vec<Entry>),
    /// It counts, and holds more than [`MOST_ENTRIES`]: so many. The kubelet would read them all.
    TooMany(usize),
}

/// A Secret with more entries is not looked into. One of 1 MiB has room for a hundred thousand, each of which would cost
/// a hundred times its own size in rows, series and findings.
pub const MOST_ENTRIES: usize = 500;

/// Why a Secret cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedSecret {
    /// The text of the kubelet (Go), as it stands in the pod's status.
    pub kubelet_message: String,
    /// Whether the fault is in an `auth` field (`bad_auth_encoding`), or else in the document (`undecodable_secret`).
    pub in_auth: bool,
}

/// One entry of a pull Secret.
#[derive(Debug)]
pub struct Entry {
    /// The key as written (unescaped, not normalised). It is the tenant's text and may hold a password (`user:pw@host`):
    /// show [`Entry::registry_label`] instead.
    pub registry: String,
    /// The user name in force (`auth` wins over `username`).
    pub username: Username,
    /// The password in force.
    pub password: Password,
    /// `email`, which nobody reads but the vectors.
    pub email: String,
    /// Findings of the entry's text alone: `stale_auth`, `ignored_field`, `whitespace_in_credential`, `empty_username`,
    /// `token_in_username`, `mangled_token`, `never_matching_key`, `unusual_key` (a candidate: see
    /// [`key_oddity`](super::key_oddity)) and `ambiguous_key`.
    pub findings: Vec<Finding>,
}

impl Entry {
    /// The key after the kubelet's normalisation; an error means that the kubelet skips the entry.
    pub fn key(&self) -> Result<RegistryKey, KeyError> {
        registry_key(&self.registry)
    }

    /// What may be shown as the registry of this entry: the normalised key, or the key as written where it has none;
    /// without user and password, control characters replaced, cut to 256 characters.
    pub fn registry_label(&self) -> String {
        oddity::registry_label(&self.registry)
    }
}

/// The type of a Secret that counts, and the key that it must have (`k8s.io/api/core/v1`).
pub(super) const PULL_TYPES: [(&str, &str, Shape); 2] = [
    ("kubernetes.io/dockerconfigjson", ".dockerconfigjson", Shape::ConfigJson),
    ("kubernetes.io/dockercfg", ".dockercfg", Shape::Cfg),
];

/// The value that counts, by type and key; `None` where the kubelet skips the Secret.
pub(super) fn counting<'a>(
    secret_type: &str,
    dockerconfigjson: Option<&'a [u8]>,
    dockercfg: Option<&'a [u8]>,
) -> Option<(Shape, &'a [u8])> {
    let (_, _, shape) = PULL_TYPES.into_iter().find(|(name, _, _)| *name == secret_type)?;
    let data = match shape {
        Shape::ConfigJson => dockerconfigjson,
        Shape::Cfg => dockercfg,
    };
    data.filter(|data| !data.is_empty()).map(|data| (shape, data))
}

/// Decode the data of a Secret of a type.
pub fn decode(secret_type: &str, dockerconfigjson: Option<&[u8]>, dockercfg: Option<&[u8]>) -> Decoded {
    let Some((shape, data)) = counting(secret_type, dockerconfigjson, dockercfg) else { return Decoded::Skipped };
    match read(shape, data) {
        Ok(document) if document.entries.len() > MOST_ENTRIES => Decoded::TooMany(document.entries.len()),
        Ok(document) => Decoded::Entries(entries(document)),
        Err(Fault { message, place }) => {
            Decoded::Malformed(MalformedSecret { kubelet_message: message, in_auth: matches!(place, Place::Auth(_)) })
        }
    }
}

fn entries(document: Document) -> Vec<Entry> {
    let Document { entries, ignored, .. } = document;
    let mut entries: Vec<Entry> = entries.into_iter().map(|(registry, raw)| entry(registry, &raw, &ignored)).collect();
    lint::mark_ambiguous(&mut entries);
    entries
}

fn entry(registry: String, raw: &RawEntry, ignored: &[&'static str]) -> Entry {
    let (username, password) = match &raw.auth {
        Some((username, password)) => (username.to_vec(), password.to_vec()),
        None => (raw.username.as_bytes().to_vec(), raw.password.as_bytes().to_vec()),
    };
    let mut entry = Entry {
        registry,
        username: Username::new(username),
        password: Password::new(password),
        email: raw.email.clone(),
        findings: Vec::new(),
    };
    entry.findings = lint::entry_findings(&entry, raw, ignored);
    entry
}
