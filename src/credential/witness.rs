//! Is there an image whose name a registry key matches? Answered by building one.
//!
//! The names that the kubelet looks up are a small language ([`super::parse_image`]): a host of DNS labels or an IPv6
//! address in brackets, lower-case path components behind it. A key is a glob of `*` per label with a path prefix. So the
//! question can be decided label by label, and the answer needs no search: a letter in place of each star is at least as
//! good as any other text, because it keeps what stands beside it apart.

use super::image::{MAX_PATH, is_domain, is_remote_name};
use super::keyring::{DEFAULT_REGISTRY_KEY, RegistryKey, Target};

/// Which hosts the image may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hosts {
    Any,
    /// Without capitals, as people write them.
    Lowercase,
}

/// An image for which the kubelet would find this key, if there is any.
pub(super) fn witness(key: &RegistryKey, hosts: Hosts) -> Option<String> {
    if key.as_bytes() == DEFAULT_REGISTRY_KEY.as_bytes() {
        // Matches no name by itself (`index.docker.io/x` is looked up as `docker.io/x`), but Docker Hub's images fall
        // back on it.
        return Some("docker.io/library/a".to_owned());
    }
    let target = Target::parse(key.as_bytes()).ok()?;
    let prefix = std::str::from_utf8(&target.path).ok()?;
    let prefix = prefix.strip_prefix('/').unwrap_or(prefix);
    if let Some(host) = domain(&target, hosts) {
        let components = if host == "docker.io" { 2 } else { 1 };
        return complete(prefix, components, MAX_PATH).map(|path| format!("{host}/{path}"));
    }
    // A first component with a dot and an underscore is no host to the grammar, but a name can start with it.
    let first = dotted_component(&target)?;
    let room = MAX_PATH.checked_sub(first.len() + 1)?;
    complete(prefix, 1, room).map(|path| format!("{first}/{path}"))
}

/// A path that starts with the prefix, has so many components at least, and so many bytes at most.
fn complete(prefix: &str, components: usize, max: usize) -> Option<String> {
    // A name of whole words first, then whatever the prefix's last character asks for.
    ["", "/a", "a", "a/a"]
        .into_iter()
        .map(|suffix| format!("{prefix}{suffix}"))
        .find(|path| path.len() <= max && is_remote_name(path) && path.split('/').count() >= components)
}

/// A host that the key's host and port match and that an image name can have.
fn domain(key: &Target, hosts: Hosts) -> Option<String> {
    let glob = std::str::from_utf8(&key.host).ok()?;
    let port = std::str::from_utf8(&key.port).ok()?;
    if glob.starts_with('[') {
        return bracket_class(key, hosts);
    }
    if glob.contains(':') {
        // An IPv6 address whose brackets went with its port.
        return Some(format!("[{glob}]:{port}"))
            .filter(|host| !port.is_empty() && is_domain(host) && fits(host, hosts));
    }
    let with_port = |host: String| if port.is_empty() { host } else { format!("{host}:{port}") };
    let filled = fill(glob, "a");
    let candidates = if port.is_empty() && !glob.contains('.') {
        // One label alone is a host only if it is `localhost` or has a capital.
        vec!["localhost".to_owned(), filled, fill(glob, "A")]
    } else {
        vec![with_port(filled)]
    };
    let names_a_host = |host: &String| host != DEFAULT_REGISTRY_KEY && is_host_of_a_name(host) && fits(host, hosts);
    candidates.into_iter().find(|host| names_a_host(host) && matches_host(key, host))
}

/// Whether a first component is taken as a host (`splitDockerDomain`), and is one.
fn is_host_of_a_name(host: &str) -> bool {
    let taken = host == "localhost" || host.contains(['.', ':']) || host.bytes().any(|byte| byte.is_ascii_uppercase());
    taken && is_domain(host)
}

/// Brackets without a port are read as a character class, which can match a host of one capital letter.
fn bracket_class(key: &Target, hosts: Hosts) -> Option<String> {
    let capitals = ('A'..='Z').map(|letter| letter.to_string());
    capitals.filter(|host| fits(host, hosts)).find(|host| matches_host(key, host))
}

fn fits(host: &str, hosts: Hosts) -> bool {
    hosts == Hosts::Any || !host.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// A first component like `a.b_c`, where the key has no port.
fn dotted_component(key: &Target) -> Option<String> {
    let glob = std::str::from_utf8(&key.host).ok()?;
    let first = fill(glob, "a");
    let fits = key.port.is_empty() && first.contains('.') && is_remote_name(&first) && !is_domain(&first);
    (fits && matches_host(key, &first)).then_some(first)
}

/// The glob with a letter for each run of stars.
fn fill(glob: &str, letter: &str) -> String {
    let mut filled = String::with_capacity(glob.len());
    let mut in_stars = false;
    for c in glob.chars() {
        if c != '*' {
            filled.push(c);
        } else if !in_stars {
            filled.push_str(letter);
        }
        in_stars = c == '*';
    }
    filled
}

fn matches_host(key: &Target, host: &str) -> bool {
    let glob = Target { path: Vec::new(), ..key.clone() };
    Target::parse(host.as_bytes()).is_ok_and(|host| glob.matches(&host) == Ok(true))
}
