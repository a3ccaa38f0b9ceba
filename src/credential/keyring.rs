//! Registry keys and the ordered lookup (`pkg/credentialprovider/keyring.go`).

use std::sync::Arc;

use super::go::{glob, url};

/// A key after the kubelet's normalisation: host with port, and the path if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegistryKey {
    text: String,
    /// The key itself, where percent escapes made it a text that is not UTF-8.
    raw: Option<Vec<u8>>,
    /// What it matches. `None` for a key that does not parse once more at the lookup: it matches nothing.
    glob: Option<Target>,
}

impl RegistryKey {
    /// The text. Where escapes made it no text, each odd byte stands as U+FFFD. It is the tenant's: show
    /// [`Entry::registry_label`](super::Entry::registry_label) instead.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Host with port, without the path. May hold `*`.
    pub fn host(&self) -> &str {
        self.text.split_once('/').map_or(&self.text, |(host, _)| host)
    }

    /// Whether the kubelet finds this key for a name (`ImageName::repository`), the default rule of Docker Hub aside.
    pub fn matches(&self, name: &str) -> bool {
        matches!((&self.glob, Target::parse(name.as_bytes())), (Some(key), Ok(name)) if key.matches(&name) == Ok(true))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.text.as_bytes())
    }

    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let glob = Target::parse(&bytes).ok();
        match String::from_utf8(bytes) {
            Ok(text) => Self { text, raw: None, glob },
            Err(error) => {
                let raw = error.into_bytes();
                Self { text: String::from_utf8_lossy(&raw).into_owned(), raw: Some(raw), glob }
            }
        }
    }
}

impl Ord for RegistryKey {
    /// By bytes, as Go sorts strings.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for RegistryKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Why the kubelet skips an entry because of its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub String);

/// Why a key cannot be compared with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(pub String);

/// Normalise a key as written in a Secret. An error means that the kubelet logs and skips the entry; its text is Go's
/// reason, withheld where the key has an `@` and the reason may quote a password in front of it.
pub fn registry_key(written: &str) -> Result<RegistryKey, KeyError> {
    let (scheme, rest) = match written {
        _ if written.starts_with("https://") => written.split_at("https://".len()),
        _ if written.starts_with("http://") => written.split_at("http://".len()),
        _ => ("https://", written),
    };
    let url = url::parse(scheme, rest.as_bytes()).map_err(|error| {
        let withheld = written.contains('@');
        KeyError(if withheld {
            "no valid URL (the reason is withheld, since the text may hold a password)".to_owned()
        } else {
            error.reason
        })
    })?;
    let path = match url.path.as_slice() {
        [b'/', b'v', b'1' | b'2', b'/', ..] => &url.path[3..],
        path => path,
    };
    let path = if path == b"/" { b"" } else { path };
    Ok(RegistryKey::new([url.host.as_slice(), path].concat()))
}

/// `URLsMatchStr(glob, target)` of the kubelet.
pub fn urls_match(glob: &str, target: &str) -> Result<bool, UrlError> {
    let parse = |text: &str| Target::parse(text.as_bytes()).map_err(|error| UrlError(error.to_string()));
    let (glob, target) = (parse(glob)?, parse(target)?);
    glob.matches(&target).map_err(|error| UrlError(error.to_string()))
}

/// A key or a name, taken apart as `SplitURL` does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) host: Vec<u8>,
    pub(super) port: Vec<u8>,
    pub(super) path: Vec<u8>,
}

impl Target {
    /// `ParseSchemelessURL`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, url::ParseError> {
        let url = url::parse("https://", text)?;
        let (host, port) = url::split_host_port(&url.host);
        Ok(Self { host: host.to_vec(), port: port.to_vec(), path: url.path })
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = &[u8]> {
        self.host.split(|byte| *byte == b'.')
    }

    /// `URLsMatch`, with `self` as the glob.
    pub(super) fn matches(&self, target: &Self) -> Result<bool, glob::BadPattern> {
        if self.port != target.port
            || self.labels().count() != target.labels().count()
            || !target.path.starts_with(&self.path)
        {
            return Ok(false);
        }
        for (pattern, label) in self.labels().zip(target.labels()) {
            if !glob::matches(pattern, label)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The key whose credentials Docker Hub's images fall back on.
pub(super) const DEFAULT_REGISTRY_KEY: &str = "index.docker.io";

/// `isDefaultRegistryMatch`: hosts of Docker Hub, and every first component without a dot or colon, which takes in
/// `localhost/x` and `Acme/x`.
fn is_of_default_registry(name: &str) -> bool {
    match name.split_once('/') {
        Some((first, _)) => {
            !first.is_empty() && (matches!(first, "docker.io" | "index.docker.io") || !first.contains(['.', ':']))
        }
        None => !name.is_empty(),
    }
}

/// Credentials by key, in the kubelet's order. `T` is the caller's handle of a credential.
#[derive(Debug)]
pub struct Keyring<T> {
    /// Sorted by key, the greatest first.
    entries: Vec<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    key: Arc<RegistryKey>,
    credentials: Vec<T>,
}

impl<T> Slot<T> {
    fn pair(&self) -> (&RegistryKey, &[T]) {
        (&self.key, &self.credentials)
    }
}

impl<T> Default for Keyring<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> Keyring<T> {
    /// Add one credential under its key. Call it Secret by Secret, in `imagePullSecrets` order.
    pub fn add(&mut self, key: impl Into<Arc<RegistryKey>>, credential: T) {
        let key = key.into();
        match self.entries.binary_search_by(|slot| key.cmp(&slot.key)) {
            Ok(at) => self.entries[at].credentials.push(credential),
            Err(at) => self.entries.insert(at, Slot { key, credentials: vec![credential] }),
        }
    }

    /// The credentials for a name (`ImageName::repository`), in the order in which the kubelet tries them.
    pub fn lookup(&self, name: &str) -> Vec<&T> {
        self.matching(name).into_iter().flat_map(|(_, credentials)| credentials).collect()
    }

    /// What [`Keyring::lookup`] finds, with the keys: each key that matches, in order, and its credentials. Docker Hub's
    /// credentials that are only found by the default rule come under the key `index.docker.io`.
    pub fn matching(&self, name: &str) -> Vec<(&RegistryKey, &[T])> {
        let target = Target::parse(name.as_bytes()).ok();
        let matches = |slot: &&Slot<T>| {
            let (Some(glob), Some(target)) = (&slot.key.glob, &target) else { return false };
            glob.matches(target) == Ok(true)
        };
        let found: Vec<_> = self.entries.iter().filter(matches).map(Slot::pair).collect();
        if found.is_empty() && is_of_default_registry(name) {
            let is_default = |slot: &&Slot<T>| slot.key.as_bytes() == DEFAULT_REGISTRY_KEY.as_bytes();
            return self.entries.iter().find(is_default).map(Slot::pair).into_iter().collect();
        }
        found
    }
}
