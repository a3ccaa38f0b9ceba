//! Which URLs may be asked at all: those on the operator's list.

use url::{Host, Url};

use super::address::is_public;
use crate::plan::Registry;
use crate::probe::evidence::Guarded;
use crate::probe::text::clean;

/// The longest name of a foreign host that is shown.
const SHOWN: usize = 100;

/// The hosts that one exchange may contact, and under which conditions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostGuard<'a> {
    allowed: &'a [String],
    also: Option<&'a Url>,
    plain_http: bool,
    allow_private: bool,
}

impl<'a> HostGuard<'a> {
    /// For a registry: its endpoint and its listed hosts.
    pub(crate) fn registry(registry: &'a Registry) -> Self {
        Self {
            allowed: &registry.allowed_hosts,
            also: Some(&registry.endpoint),
            plain_http: registry.plain_http,
            allow_private: registry.allow_private_addresses,
        }
    }

    /// For an issuer: its API and nothing else, so that a token never reaches the registry's further hosts.
    pub(crate) fn issuer(api: &'a Url, registry: &'a Registry) -> Self {
        Self {
            allowed: &[],
            also: Some(api),
            plain_http: registry.plain_http,
            allow_private: registry.allow_private_addresses,
        }
    }

    /// Whether a URL may be asked. Host names pass here and have their addresses checked when they are resolved;
    /// address literals are never resolved, so they are checked here.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Guarded> {
        let https = url.scheme() == "https";
        let listed = self.also.is_some_and(|also| authority(also) == authority(url))
            || self.allowed.iter().any(|entry| is_entry(entry, url));
        if !(https || (self.plain_http && url.scheme() == "http")) || has_userinfo(url) || !listed {
            return Err(Guarded::ForeignRealm(shown(url)));
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(Guarded::ForeignRealm(shown(url))),
        };
        if self.allow_private || is_public(address) { Ok(()) } else { Err(Guarded::PrivateAddress) }
    }
}

/// `host`, or `host:port` where the port is not the scheme's own.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn is_entry(entry: &str, url: &Url) -> bool {
    if entry.eq_ignore_ascii_case(&authority(url)) {
        return true;
    }
    // An operator may write the default port out.
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) => entry.eq_ignore_ascii_case(&format!("{host}:{port}")),
        _ => false,
    }
}

fn has_userinfo(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// How a foreign URL is named: its host, and its scheme where that is the offence. Never its user information, path
/// or query, which may hold anything.
fn shown(url: &Url) -> String {
    let host = authority(url);
    let text = if url.scheme() == "https" { host } else { format!("{}://{host}", url.scheme()) };
    clean(&text, SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allowed: &[String], plain_http: bool, allow_private: bool) -> HostGuard<'_> {
        HostGuard { allowed, also: None, plain_http, allow_private }
    }

    fn check(guard: &HostGuard<'_>, url: &str) -> Result<(), Guarded> {
        guard.check(&url.parse().unwrap())
    }

    #[test]
    fn only_listed_hosts_over_https() {
        let allowed = ["ghcr.io".to_owned(), "Registry.Example:5000".to_owned(), "other.example:443".to_owned()];
        let guard = guard(&allowed, false, false);
        for good in [
            "https://ghcr.io/token",
            "https://GHCR.io:443/token",
            "https://registry.example:5000/x",
            "https://other.example/",
        ] {
            assert_eq!(check(&guard, good), Ok(()), "{good}");
        }
        for (bad, shown) in [
            ("https://evil.example/token", "evil.example"),
            ("https://ghcr.io.evil.example/", "ghcr.io.evil.example"),
            ("https://ghcr.io:444/", "ghcr.io:444"),
            ("https://registry.example/", "registry.example"),
            ("http://ghcr.io/token", "http://ghcr.io"),
            ("https://ghcr.io@evil.example/", "evil.example"),
            ("https://user:pass@ghcr.io/", "ghcr.io"),
            ("https://ghcr.io./", "ghcr.io."),
            ("ftp://ghcr.io/", "ftp://ghcr.io"),
            ("file:///etc/passwd", "file://"),
        ] {
            assert_eq!(check(&guard, bad), Err(Guarded::ForeignRealm(shown.to_owned())), "{bad}");
        }
    }

    #[test]
    fn literals_are_checked_by_address() {
        let allowed: Vec<String> =
            ["127.0.0.1", "169.254.169.254", "[::1]", "[::ffff:7f00:1]", "8.8.8.8", "10.0.0.1:5000"]
                .map(str::to_owned)
                .into();
        let strict = guard(&allowed, false, false);
        for url in [
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://169.254.169.254/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://10.0.0.1:5000/",
        ] {
            assert_eq!(check(&strict, url), Err(Guarded::PrivateAddress), "{url}");
        }
        assert_eq!(check(&strict, "https://8.8.8.8/"), Ok(()));
        let open = guard(&allowed, true, true);
        assert_eq!(check(&open, "http://127.0.0.1/"), Ok(()));
        assert!(check(&open, "http://127.0.0.1:81/").is_err());
    }
}
