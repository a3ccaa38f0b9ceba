//! Image references, as the kubelet parses them (`pkg/util/parsers`, distribution/reference v0.6.0).

use super::go::text::{quote, to_lower};

/// The registry of names that name none.
const DEFAULT_DOMAIN: &str = "docker.io";
/// Its old name, which is rewritten to the new one.
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
/// The namespace of Docker Hub's names with one component.
const OFFICIAL_PREFIX: &str = "library/";
/// `RepositoryNameTotalLengthMax`, of the path without the host.
pub(super) const MAX_PATH: usize = 255;

/// A parsed image name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageName {
    /// Registry and path without tag and digest: the string that the keyring looks up (`docker.io/library/nginx`).
    pub repository: String,
    /// Tag; `latest` without tag and digest, empty with a digest only.
    pub tag: String,
    /// Digest with its algorithm, or empty.
    pub digest: String,
}

impl ImageName {
    /// The registry host with its port (`ghcr.io`): the first component of the repository.
    pub fn host(&self) -> &str {
        self.repository.split_once('/').map_or(&self.repository, |(host, _)| host)
    }

    /// The path in the registry without the host (`org/image`).
    pub fn path(&self) -> &str {
        self.repository.split_once('/').map_or("", |(_, path)| path)
    }

    /// What a manifest request names: the digest, else the tag.
    pub fn reference(&self) -> &str {
        if self.digest.is_empty() { &self.tag } else { &self.digest }
    }
}

/// Why a text is no image name, in the kubelet's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ImageError(pub String);

/// Parse an image as a pod names it.
pub fn parse_image(image: &str) -> Result<ImageName, ImageError> {
    parse_normalized_named(image)
        .map_err(|reason| ImageError(format!("couldn't parse image name {}: {reason}", quote(image.as_bytes()))))
}

/// `reference.ParseNormalizedNamed`, with the tag that the kubelet adds.
fn parse_normalized_named(image: &str) -> Result<ImageName, String> {
    if image.len() == 64 && image.bytes().all(is_lower_hex) {
        return Err(format!("invalid repository name ({image}), cannot specify 64-byte hexadecimal strings"));
    }
    let (domain, remainder) = split_docker_domain(image);
    let remote = remainder.split_once(':').map_or(remainder.as_str(), |(remote, _)| remote);
    if to_lower(remote) != remote {
        return Err(format!("invalid reference format: repository name ({remote}) must be lowercase"));
    }
    let reference = format!("{domain}/{remainder}");
    let Some((name, tag, digest)) = split_reference(&reference) else {
        let lowered = to_lower(&reference);
        let cause = if split_reference(&lowered).is_some() {
            "repository name must be lowercase"
        } else {
            "invalid reference format"
        };
        return Err(cause.to_owned());
    };
    if path_len(name) > MAX_PATH {
        return Err(format!("repository name must not be more than {MAX_PATH} characters"));
    }
    if !digest.is_empty() {
        check_digest(digest)?;
    }
    let tag = if tag.is_empty() && digest.is_empty() { "latest" } else { tag };
    Ok(ImageName { repository: name.to_owned(), tag: tag.to_owned(), digest: digest.to_owned() })
}

/// `splitDockerDomain`: a first component is a host if it is `localhost`, has a dot or a colon, or a capital.
fn split_docker_domain(image: &str) -> (&str, String) {
    let Some((first, rest)) = image.split_once('/') else {
        return (DEFAULT_DOMAIN, format!("{OFFICIAL_PREFIX}{image}"));
    };
    let (domain, rest) = if first == LEGACY_DEFAULT_DOMAIN {
        (DEFAULT_DOMAIN, rest)
    } else if first == "localhost" || first.contains(['.', ':']) || to_lower(first) != first {
        (first, rest)
    } else {
        (DEFAULT_DOMAIN, image)
    };
    if domain == DEFAULT_DOMAIN && !rest.contains('/') {
        return (domain, format!("{OFFICIAL_PREFIX}{rest}"));
    }
    (domain, rest.to_owned())
}

/// `ReferenceRegexp`: name, tag and digest of a text that matches it. Absent parts are empty.
fn split_reference(text: &str) -> Option<(&str, &str, &str)> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    // A colon in front of the last slash is the host's port.
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    let fits = is_name(name) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest);
    fits.then_some((name, tag.unwrap_or_default(), digest.unwrap_or_default()))
}

/// `namePat`: a path, or a host and a path.
fn is_name(name: &str) -> bool {
    is_remote_name(name) || name.split_once('/').is_some_and(|(host, path)| is_domain(host) && is_remote_name(path))
}

/// The length that counts against the limit: of the path, or of all of it where its first component is no host.
fn path_len(name: &str) -> usize {
    match name.split_once('/') {
        Some((host, path)) if is_domain(host) => path.len(),
        _ => name.len(),
    }
}

/// `domainAndPort`: labels, or hexadecimal digits and colons in brackets; then perhaps a port.
pub(super) fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            let fits = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            if !fits {
                return false;
            }
            ("", port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port_fits = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    port_fits && (text.starts_with('[') || host.split('.').all(is_domain_label))
}

fn is_domain_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `remoteName`: components of lower-case letters and digits, which one dot, one or two underscores or any number of
/// dashes may join.
pub(super) fn is_remote_name(path: &str) -> bool {
    path.split('/').all(|component| {
        let mut separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let edge_is_plain = |part: Option<&str>| part.is_some_and(str::is_empty);
        edge_is_plain(separators.next())
            && edge_is_plain(separators.next_back())
            && separators.all(|part| matches!(part, "." | "_" | "__") || part.bytes().all(|byte| byte == b'-'))
    })
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// `digestPat`: words that one of `-_+.` joins, a colon, at least 32 hexadecimal digits.
fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        let word = |word: &str| {
            word.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        hex.len() >= 32
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
            && algorithm.split(['-', '_', '+', '.']).all(word)
    })
}

/// `digest.Parse` of opencontainers/go-digest, for a text that [`is_digest`] took.
fn check_digest(digest: &str) -> Result<(), &'static str> {
    let (algorithm, hex) = digest.split_once(':').unwrap_or((digest, ""));
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ if algorithm.bytes().any(|byte| byte.is_ascii_uppercase()) => return Err("invalid checksum digest format"),
        _ => return Err("unsupported digest algorithm"),
    };
    if hex.len() != length {
        return Err("invalid checksum digest length");
    }
    if hex.bytes().all(is_lower_hex) { Ok(()) } else { Err("invalid checksum digest format") }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
