//! What is odd about a registry key: no image can match it, or hardly any does.

use super::finding::{Finding, FindingKind};
use super::keyring::{RegistryKey, Target, registry_key};
use super::secret_types::showable;
use super::token::looks_like_token;
use super::witness::{Hosts, witness};

/// What is odd about a key. Unless it [is absolute](KeyOddity::is_absolute), its finding falls when an image of a workload
/// does match the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyOddity {
    /// No image name can match it.
    Never(NeverMatching),
    /// The path starts with `/v1` or `/v2`, which was meant as the registry's API: only images under a path of that name
    /// match.
    ApiPath,
    /// Only images written with a capital in their host match.
    UppercaseHost,
    /// Only images written with this port match, and images are seldom written with it: 443, 80, one with leading zeros,
    /// or one that is none.
    WrittenPort,
}

/// Why no image name can match a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NeverMatching {
    /// White space or control characters.
    WhiteSpace,
    /// A scheme other than `http://` or `https://`, in capitals, or mistyped.
    Scheme,
    /// No host in front of the path.
    NoHost,
    /// A bad port.
    Port,
    /// An IPv6 address without brackets or without a port, or in a form that image names do not have.
    Ipv6,
    /// Other text that is no URL: the kubelet skips the entry.
    NotAUrl,
    /// Other characters that no host of an image has.
    Host,
    /// One word without a dot and a port, which image names take for a namespace on Docker Hub.
    BareWord,
    /// `index.docker.io` with a path or an empty port: images are looked up as `docker.io`.
    DockerHub,
    /// Capitals in the path: image paths are lower case.
    UppercasePath,
    /// `*` in the path, where it is no glob.
    GlobInPath,
    /// A tag or digest in the path.
    TagInPath,
    /// Another path that no image has.
    Path,
}

/// What is odd about a key as written in a Secret, if anything. A key without oddity matches at least one image name
/// that is written as people write them.
pub fn key_oddity(written: &str) -> Option<KeyOddity> {
    let Ok(key) = registry_key(written) else { return Some(KeyOddity::Never(why_no_url(written, written))) };
    let Ok(target) = Target::parse(key.as_bytes()) else {
        return Some(KeyOddity::Never(why_no_url(written, key.as_str())));
    };
    if witness(&key, Hosts::Any).is_none() {
        return Some(KeyOddity::Never(why_never(written, &key, &target)));
    }
    if matches!(target.path.as_slice(), [b'/', b'v', b'1' | b'2'] | [b'/', b'v', b'1' | b'2', b'/', ..]) {
        return Some(KeyOddity::ApiPath);
    }
    if witness(&key, Hosts::Lowercase).is_none() {
        return Some(KeyOddity::UppercaseHost);
    }
    has_odd_port(&target).then_some(KeyOddity::WrittenPort)
}

fn has_odd_port(target: &Target) -> bool {
    let number = std::str::from_utf8(&target.port).ok().and_then(|port| port.parse::<u16>().ok());
    match number {
        _ if target.port.is_empty() => false,
        _ if target.port.starts_with(b"0") => true,
        // A host of one word, or an IPv6 address, is a host only with its port.
        Some(80 | 443) => witness(&RegistryKey::new(target.host.clone()), Hosts::Lowercase).is_some(),
        Some(_) => false,
        None => true,
    }
}

/// The reason for a key whose text does not parse: the one as written, or the normalised one at the lookup.
fn why_no_url(written: &str, text: &str) -> NeverMatching {
    let rest = after_scheme(written);
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.rsplit('@').next().unwrap_or_default();
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        NeverMatching::WhiteSpace
    } else if has_junk_scheme(rest) {
        NeverMatching::Scheme
    } else if host.starts_with('[') || host.matches(':').count() > 1 {
        NeverMatching::Ipv6
    } else if host.contains(':') {
        NeverMatching::Port
    } else {
        NeverMatching::NotAUrl
    }
}

/// The reason for a key that parses, and that no image matches.
fn why_never(written: &str, key: &RegistryKey, target: &Target) -> NeverMatching {
    let (host, path) = (String::from_utf8_lossy(&target.host), String::from_utf8_lossy(&target.path));
    let odd = |text: &str| text.contains(|c: char| c.is_whitespace() || c.is_control());
    if odd(&host) || odd(&path) {
        NeverMatching::WhiteSpace
    } else if has_junk_scheme(after_scheme(written)) {
        NeverMatching::Scheme
    } else if host.is_empty() {
        NeverMatching::NoHost
    } else if host.starts_with('[') || host.contains(':') {
        NeverMatching::Ipv6
    } else if key.host() == "index.docker.io" || key.host() == "index.docker.io:" {
        NeverMatching::DockerHub
    } else if witness(&host_only(key), Hosts::Any).is_some() {
        why_path(&path)
    } else if host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_*".contains(&byte)) && target.port.is_empty()
    {
        NeverMatching::BareWord
    } else {
        NeverMatching::Host
    }
}

fn why_path(path: &str) -> NeverMatching {
    if path.contains('*') {
        NeverMatching::GlobInPath
    } else if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        NeverMatching::UppercasePath
    } else if path.contains([':', '@']) {
        NeverMatching::TagInPath
    } else {
        NeverMatching::Path
    }
}

fn host_only(key: &RegistryKey) -> RegistryKey {
    RegistryKey::new(key.host().as_bytes().to_vec())
}

fn after_scheme(written: &str) -> &str {
    ["https://", "http://"].iter().find_map(|scheme| written.strip_prefix(scheme)).unwrap_or(written)
}

/// Whether a text still starts with something like a scheme.
fn has_junk_scheme(rest: &str) -> bool {
    let lower = rest.to_ascii_lowercase();
    ["http:", "https:", "docker:", "oci:", "//"].iter().any(|scheme| lower.starts_with(scheme))
        || rest.split_once("://").is_some_and(|(scheme, _)| !scheme.contains(['/', '@', '.']))
}

impl KeyOddity {
    /// Whether it holds for every image there can be, so that no workload has to be looked at.
    pub fn is_absolute(self) -> bool {
        matches!(self, Self::Never(_))
    }

    /// The finding: `never_matching_key`, or `unusual_key` for a key that some images do match.
    pub fn finding(self) -> Finding {
        let (message, fix) = self.words();
        let kind = match self {
            Self::Never(_) | Self::ApiPath => FindingKind::NeverMatchingKey,
            Self::UppercaseHost | Self::WrittenPort => FindingKind::UnusualKey,
        };
        Finding::new(kind, message, fix)
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Never(reason) => reason.words(),
            Self::ApiPath => (
                "the registry key ends in the path of the registry's API, which the kubelet takes for the start of an image path: only images whose path starts with v1 or v2 match",
                "write the host alone, as in `ghcr.io`, or end the path with a slash, as in `https://ghcr.io/v2/`",
            ),
            Self::UppercaseHost => (
                "the registry key has a capital in its host: only images whose host is written with the same capitals match",
                "write the host in lower case, as the images are written",
            ),
            Self::WrittenPort => (
                "the registry key names a port that images are seldom written with: only images with this very port text in their name match",
                "leave the port out of the key, unless the images are written with it",
            ),
        }
    }
}

impl NeverMatching {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::WhiteSpace => (
                "the registry key has white space or control characters in it: no image name can match",
                "write the key without white space; often a trailing newline or blank was pasted along",
            ),
            Self::Scheme => (
                "the registry key starts with a scheme other than `https://` or `http://` in lower case, which the kubelet takes for a host: no image name can match",
                "write the host alone, as in `ghcr.io`",
            ),
            Self::NoHost => (
                "the registry key has no host: no image name can match",
                "start the key with the registry's host, as in `ghcr.io/org`",
            ),
            Self::Port => (
                "the registry key has a port that is no number, so the kubelet skips the entry: no image name can match",
                "write the port in digits, as in `registry.example.com:5000`; globs do not work in a port",
            ),
            Self::Ipv6 => (
                "the registry key is an IPv6 address in a form that the kubelet does not match with any image name",
                "write the address in brackets with its port, as in `[2001:db8::1]:5000`, without a zone, or use a host name",
            ),
            Self::NotAUrl => (
                "the registry key is no valid URL, so the kubelet logs and skips the entry: no image name can match",
                "write the registry's host, as in `ghcr.io`; of glob characters only `*` works",
            ),
            Self::Host => (
                "the host of the registry key has characters or labels that no image name has: no image name can match",
                "write one registry's host, as in `ghcr.io`; of glob characters only `*` works, and it stands for one label at most",
            ),
            Self::BareWord => (
                "the registry key is one word without a dot and a port, which image names take for a namespace on Docker Hub: no image name can match",
                "write the registry's full host or add its port; for Docker Hub write `https://index.docker.io/v1/`",
            ),
            Self::DockerHub => (
                "images of Docker Hub are looked up under `docker.io`, and `index.docker.io` counts only without path and port: no image name can match",
                "write `https://index.docker.io/v1/` with the trailing slash, or `docker.io` with the path",
            ),
            Self::UppercasePath => (
                "the path of the registry key has capitals, and image paths are lower case: no image name can match",
                "write the path in lower case",
            ),
            Self::GlobInPath => (
                "the path of the registry key has a `*`, which is a glob in the host only: no image name can match",
                "leave the `*` out: a path matches every image whose path starts with it",
            ),
            Self::TagInPath => (
                "the path of the registry key has a tag, a digest or a port in it, and images are looked up without: no image name can match",
                "write the path without `:` and `@`",
            ),
            Self::Path => (
                "the path of the registry key is one that no image has: no image name can match",
                "write the path as in the image's name, without double slashes, dots as segments or other characters",
            ),
        }
    }
}

/// No more of a registry key than this is shown.
const MAX_LABEL: usize = 256;

/// See `Entry::registry_label`.
pub(super) fn registry_label(written: &str) -> String {
    let key = registry_key(written);
    let text = key.as_ref().map_or(written, RegistryKey::as_str);
    let shown = text.rsplit('@').next().unwrap_or_default();
    if looks_like_token(shown.as_bytes()) { "redacted".to_owned() } else { showable(shown.as_bytes(), MAX_LABEL) }
}

#[cfg(test)]
mod tests;
