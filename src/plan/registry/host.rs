//! Hosts as registry keys, images and the config write them: `host[:port]`, and patterns of them.

use url::Url;

/// The host under which Docker Hub is known here.
pub(super) const DOCKER_HUB: &str = "docker.io";

/// A concrete host in its one spelling: lower case, no empty port, Docker Hub's names as [`DOCKER_HUB`]. `None` when it
/// is no `hostname[:port]` (white space, brackets, `*`, a name that URL parsers read as something else).
pub(super) fn canonical(host: &str) -> Option<String> {
    // The kubelet takes an empty port for none: the key `ghcr.io:` matches images of `ghcr.io`.
    let host = host.strip_suffix(':').unwrap_or(host).to_ascii_lowercase();
    let (name, port) = split_port(&host);
    if !name.split('.').all(is_label) || !port.is_none_or(is_port) {
        return None;
    }
    // `0x7f.1` is 127.0.0.1 to a URL parser, and a bad `xn--` label is nothing: such a name is not what it looks like.
    let url = Url::parse(&format!("https://{host}")).ok()?;
    if url.host_str() != Some(name) {
        return None;
    }
    Some(if is_docker_hub(&host) { DOCKER_HUB.to_owned() } else { host })
}

/// The names of Docker Hub's registry. Images are looked up as `docker.io/...`; `index.docker.io` is the classic key,
/// and `registry-1.docker.io` is where its API lives.
fn is_docker_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

/// Host and port of a text that holds at most one colon.
pub(super) fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    }
}

fn is_label(label: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !label.is_empty()
        && label.len() <= 63
        && label.bytes().all(inside)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0') && port.parse::<u16>().is_ok()
}

/// What an entry of the config says of hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPattern {
    /// One concrete host, in its one spelling.
    Exact(String),
    /// A glob per label; the port is compared as text.
    Glob {
        /// The labels, of which at least one holds `*`.
        labels: Vec<String>,
        /// The port.
        port: Option<String>,
    },
}

impl HostPattern {
    /// Read the `host` of an entry; an error says what is wrong and what to do.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the host is empty; write host[:port], such as registry.example.com:5000".to_owned());
        }
        if text.contains('/') {
            return Err("the host has a scheme or a path; write host[:port] only".to_owned());
        }
        if !text.contains('*') {
            return canonical(text).map(Self::Exact).ok_or_else(|| {
                "the host is no hostname[:port]; write letters, digits, hyphens and dots, and a port without leading zeros"
                    .to_owned()
            });
        }
        let lower = text.to_ascii_lowercase();
        let (name, port) = split_port(&lower);
        if !port.is_none_or(is_port) {
            return Err("the port of a glob must be a number; leave it out for the default port".to_owned());
        }
        let labels: Vec<String> = name.split('.').map(str::to_owned).collect();
        let is_glob_label = |label: &String| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'*'))
        };
        if !labels.iter().all(is_glob_label) {
            return Err("a glob may hold letters, digits, hyphens and * in each label, such as *.azurecr.io".to_owned());
        }
        Ok(Self::Glob { labels, port: port.map(str::to_owned) })
    }

    /// Whether it means this host (in its one spelling).
    pub(super) fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == host,
            Self::Glob { labels, port } => {
                let (name, host_port) = split_port(host);
                let mut found = name.split('.');
                port.as_deref() == host_port
                    && labels.iter().all(|glob| found.next().is_some_and(|label| label_matches(glob, label)))
                    && found.next().is_none()
            }
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Glob { labels, port } => {
                f.write_str(&labels.join("."))?;
                port.iter().try_for_each(|port| write!(f, ":{port}"))
            }
        }
    }
}

impl HostPattern {
    /// Whether some host matches both this pattern and a glob.
    pub(super) fn may_meet(&self, glob: &str) -> bool {
        let glob = glob.to_ascii_lowercase();
        let (name, glob_port) = split_port(&glob);
        let (labels, port): (Vec<&str>, Option<&str>) = match self {
            Self::Exact(host) => {
                let (name, port) = split_port(host);
                (name.split('.').collect(), port)
            }
            Self::Glob { labels, port } => (labels.iter().map(String::as_str).collect(), port.as_deref()),
        };
        port == glob_port.filter(|port| !port.is_empty())
            && labels.len() == name.split('.').count()
            && labels.iter().zip(name.split('.')).all(|(one, other)| globs_meet(one.as_bytes(), other.as_bytes()))
    }
}

/// Whether some text matches both globs. The table holds, for each pair of rests, whether these meet.
fn globs_meet(one: &[u8], other: &[u8]) -> bool {
    let only_stars = |rest: &[u8]| rest.iter().all(|byte| *byte == b'*');
    let mut below: Vec<bool> = (0..=other.len()).map(|at| only_stars(&other[at..])).collect();
    for from in (0..one.len()).rev() {
        let mut row = vec![false; other.len() + 1];
        row[other.len()] = only_stars(&one[from..]);
        for at in (0..other.len()).rev() {
            row[at] = match (one[from], other[at]) {
                (b'*', _) | (_, b'*') => below[at] || row[at + 1],
                (a, b) => a == b && below[at + 1],
            };
        }
        below = row;
    }
    below[0]
}

/// Whether a label matches a glob of which only `*` (any run of characters) is special.
fn label_matches(glob: &str, label: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|first| label.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// `host[:port]` as URLs write it: the port is left out where it is the default of the scheme.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("ghcr.io", Some("ghcr.io"))]
    #[case("GHCR.io", Some("ghcr.io"))]
    #[case("ghcr.io:", Some("ghcr.io"))]
    #[case("registry.example.com:5000", Some("registry.example.com:5000"))]
    #[case("localhost", Some("localhost"))]
    #[case("10.0.0.1:5000", Some("10.0.0.1:5000"))]
    #[case("docker.io", Some("docker.io"))]
    #[case("index.docker.io", Some("docker.io"))]
    #[case("Registry-1.docker.io", Some("docker.io"))]
    #[case("index.docker.io:443", Some("index.docker.io:443"))]
    #[case("", None)]
    #[case(":", None)]
    #[case(":5000", None)]
    #[case("ghcr.io:0443", None)]
    #[case("ghcr.io:65536", None)]
    #[case("ghcr.io:+443", None)]
    #[case("ghcr-.io", None)]
    #[case("gh_cr.io", None)]
    #[case("ghcr.io:1:2", None)]
    #[case("ghcr.io::", None)]
    #[case("ghcr.io ", None)]
    #[case("gh cr.io", None)]
    #[case("ghcr..io", None)]
    #[case("ghcr.io.", None)]
    #[case("-ghcr.io", None)]
    #[case("*.io", None)]
    #[case("[2001:db8::1]:5000", None)]
    #[case("user@ghcr.io", None)]
    #[case("ghcr.io/org", None)]
    #[case("0x7f.1", None)]
    #[case("2130706433", None)]
    #[case("bücher.example", None)]
    fn a_host_has_one_spelling_or_none(#[case] host: &str, #[case] expected: Option<&str>) {
        assert_eq!(canonical(host).as_deref(), expected);
    }

    #[rstest]
    #[case("*.azurecr.io", "corp.azurecr.io", true)]
    #[case("*.AzureCR.io", "corp.azurecr.io", true)]
    #[case("*.azurecr.io", "azurecr.io", false)]
    #[case("*.azurecr.io", "a.b.azurecr.io", false)]
    #[case("*.azurecr.io", "corp.azurecr.io.example.com", false)]
    #[case("*.azurecr.io", "corp.azurecr", false)]
    #[case("*.azurecr.io", "corp.azurecr.io:443", false)]
    #[case("*.azurecr.io:443", "corp.azurecr.io:443", true)]
    #[case("containers.*.ghe.com", "containers.octo.ghe.com", true)]
    #[case("containers.*.ghe.com", "containers.ghe.com", false)]
    #[case("*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.eu-west-1.amazonaws.com", true)]
    #[case("reg-*-eu.example.com", "reg-1-eu.example.com", true)]
    #[case("reg-*-eu.example.com", "reg-eu.example.com", false)]
    #[case("a*b*c.io", "aXbYc.io", true)]
    #[case("a*b*c.io", "acb.io", false)]
    #[case("ab*ba.io", "aba.io", false)]
    #[case("ghcr.io", "ghcr.io", true)]
    #[case("ghcr.io", "ghcr.io:443", false)]
    fn globs_match_label_by_label(#[case] pattern: &str, #[case] host: &str, #[case] expected: bool) {
        assert_eq!(HostPattern::parse(pattern).expect("pattern").matches(host), expected);
    }

    #[rstest]
    #[case("", "empty")]
    #[case("https://ghcr.io", "host[:port] only")]
    #[case("ghcr.io/org", "host[:port] only")]
    #[case("gh cr.io", "no hostname")]
    #[case("[::1]", "no hostname")]
    #[case("*.io:x", "must be a number")]
    #[case("*.io:+443", "must be a number")]
    #[case("*.gh cr.io", "*.azurecr.io")]
    #[case("*..io", "*.azurecr.io")]
    fn a_bad_host_is_told(#[case] pattern: &str, #[case] expected: &str) {
        let error = HostPattern::parse(pattern).expect_err("refused");
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_label_holds_63_characters() {
        for (length, is_one) in [(63, true), (64, false)] {
            let host = format!("{}.example.com", "a".repeat(length));
            assert_eq!(canonical(&host).is_some(), is_one, "{length}");
        }
    }

    #[rstest]
    #[case("ghcr.io", "*.io", true)]
    #[case("ghcr.io", "*.IO", true)]
    #[case("ghcr.io", "*.ghcr.io", false)]
    #[case("ghcr.io", "ghcr.*.com", false)]
    #[case("ghcr.io", "*", false)]
    #[case("ghcr.io", "*.io:", true)]
    #[case("ghcr.io", "*.io:443", false)]
    #[case("ghcr.io:443", "*.io:443", true)]
    #[case("ghcr.io:443", "*.io", false)]
    #[case("*.azurecr.io", "corp*.azurecr.io", true)]
    #[case("corp*.azurecr.io", "c*p.azurecr.io", true)]
    #[case("corp*.azurecr.io", "other*.azurecr.io", false)]
    #[case("*.azurecr.io:443", "*.azurecr.io", false)]
    fn globs_that_some_host_fits_meet(#[case] pattern: &str, #[case] glob: &str, #[case] expected: bool) {
        assert_eq!(HostPattern::parse(pattern).expect("pattern").may_meet(glob), expected);
    }

    #[test]
    fn a_part_of_a_glob_that_stands_twice_must_be_there_twice() {
        assert!(label_matches("*ab*ab*", "xabyabz") && label_matches("*ab*b", "abb"));
        assert!(!label_matches("*ab*ab*", "xaby") && !label_matches("*ab*b", "ab") && !label_matches("*aab*b", "xaab"));
    }

    proptest! {
        /// Two globs meet when a text that both match can be found; one of twice their length is enough for globs this short.
        #[test]
        fn globs_meet_where_a_text_matches_both(one in "[ab*]{0,3}", other in "[ab*]{0,3}") {
            let mut texts = vec![String::new()];
            for from in 0..(1 << 7) - 1 {
                for letter in ["a", "b"] {
                    let longer = format!("{}{letter}", texts[from]);
                    texts.push(longer);
                }
            }
            let found = texts.iter().any(|text| label_matches(&one, text) && label_matches(&other, text));
            prop_assert_eq!(globs_meet(one.as_bytes(), other.as_bytes()), found);
        }

        /// The label match agrees with a slow matcher that tries every split.
        #[test]
        fn label_globs_agree_with_backtracking(glob in "[ab*]{0,6}", label in "[ab]{0,8}") {
            fn slow(glob: &[u8], label: &[u8]) -> bool {
                match glob.split_first() {
                    None => label.is_empty(),
                    Some((b'*', rest)) => (0..=label.len()).any(|at| slow(rest, &label[at..])),
                    Some((byte, rest)) => label.first() == Some(byte) && slow(rest, &label[1..]),
                }
            }
            prop_assert_eq!(label_matches(&glob, &label), slow(glob.as_bytes(), label.as_bytes()));
        }

        #[test]
        fn canonical_is_stable_and_never_panics(host in "\\PC{0,20}") {
            if let Some(once) = canonical(&host) {
                let twice = canonical(&once);
                prop_assert_eq!(twice.as_deref(), Some(once.as_str()));
            }
        }
    }
}
