use proptest::prelude::*;

use super::super::{Keyring, parse_image};
use super::*;

fn never(written: &str) -> Option<NeverMatching> {
    match key_oddity(written) {
        Some(KeyOddity::Never(reason)) => Some(reason),
        _ => None,
    }
}

#[test]
fn ordinary_keys_are_not_odd() {
    for written in [
        "ghcr.io",
        "ghcr.io/",
        "https://ghcr.io",
        "http://ghcr.io/v1/",
        "https://ghcr.io/v2/",
        "https://ghcr.io/v2/org",
        "ghcr.io/org",
        "ghcr.io/org/",
        "ghcr.io/org/app-",
        "ghcr.io:",
        "user:pw@ghcr.io",
        "ghcr.io?x",
        "ghcr.io#x",
        "ghcr.io/%6Frg",
        "*.io",
        "*.*",
        "*",
        "g*.i*",
        "*-eu.example.com",
        "localhost",
        "localhost:5000",
        "registry:5000",
        "registry:443",
        "[2001:db8::1]:443",
        "10.1.2.3",
        "[2001:db8::1]:5000",
        "https://index.docker.io/v1/",
        "index.docker.io",
        "docker.io",
        "docker.io/library",
        "docker.io/acme/app",
        "foo.bar_baz",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    ] {
        assert_eq!(key_oddity(written), None, "{written:?}");
    }
}

#[test]
fn keys_that_no_image_matches_are_told_with_the_reason() {
    use NeverMatching as N;
    for (written, reason) in [
        ("ghcr.io ", N::WhiteSpace),
        ("ghcr.io\n", N::WhiteSpace),
        ("\tghcr.io", N::WhiteSpace),
        ("ghcr.io/org ", N::WhiteSpace),
        ("ghcr.io/%0A", N::WhiteSpace),
        ("HTTPS://ghcr.io", N::Scheme),
        ("docker://ghcr.io", N::Scheme),
        ("https:/ghcr.io", N::Scheme),
        ("https://https://ghcr.io", N::Scheme),
        ("//ghcr.io", N::Scheme),
        ("", N::NoHost),
        ("/", N::NoHost),
        ("/org", N::NoHost),
        ("https://", N::NoHost),
        ("ghcr.io:5000a", N::Port),
        ("ghcr.io:*", N::Port),
        ("2001:db8::1", N::Ipv6),
        ("[2001:db8::1]", N::Ipv6),
        ("[2001:db8::1]:", N::Ipv6),
        ("[::ffff:10.1.2.3]:5000", N::Ipv6),
        ("[fe80::1%25eth0]:5000", N::Ipv6),
        ("ghcr.i[o]", N::NotAUrl),
        ("ghcr.io/acme%25", N::NotAUrl),
        ("ghcr.io/%zz", N::NotAUrl),
        ("{ghcr}.io", N::NotAUrl),
        ("<ghcr.io>", N::Host),
        ("\"ghcr.io\"", N::Host),
        ("ghcr.io,quay.io", N::Host),
        ("ghcr.io.", N::Host),
        (".ghcr.io", N::Host),
        ("-ghcr.io", N::Host),
        ("ghcr.іo", N::Host),
        ("auths", N::BareWord),
        ("ghcr", N::BareWord),
        ("my-registry/team", N::BareWord),
        ("https://index.docker.io/v1", N::DockerHub),
        ("index.docker.io/acme", N::DockerHub),
        ("index.docker.io:", N::DockerHub),
        ("ghcr.io/Org", N::UppercasePath),
        ("ghcr.io/V2/", N::UppercasePath),
        ("ghcr.io/*", N::GlobInPath),
        ("ghcr.io/acme/app:latest", N::TagInPath),
        ("ghcr.io/acme@sha256", N::TagInPath),
        ("ghcr.io//org", N::Path),
        ("ghcr.io/x/../org", N::Path),
        ("ghcr.io/org/-x", N::Path),
        ("ghcr.io/é", N::Path),
        ("ghcr.io/%ff", N::Path),
    ] {
        assert_eq!(never(written), Some(reason), "{written:?}");
        let finding = KeyOddity::Never(reason).finding();
        assert_eq!(finding.kind, FindingKind::NeverMatchingKey);
    }
}

#[test]
fn keys_that_few_images_match_are_unusual() {
    for (written, oddity) in [
        ("https://ghcr.io/v2", KeyOddity::ApiPath),
        ("ghcr.io/v1", KeyOddity::ApiPath),
        ("ghcr.io/v2/v1/", KeyOddity::ApiPath),
        ("GHCR.io", KeyOddity::UppercaseHost),
        ("Acme", KeyOddity::UppercaseHost),
        // Read as a character class, which takes `D` and `B`.
        ("[2001:DB8::1]", KeyOddity::UppercaseHost),
        ("[2001:DB8::1]:5000", KeyOddity::UppercaseHost),
        ("ghcr.io:443", KeyOddity::WrittenPort),
        ("https://ghcr.io:443/v2/", KeyOddity::WrittenPort),
        ("ghcr.io:0443", KeyOddity::WrittenPort),
        ("registry:0443", KeyOddity::WrittenPort),
        ("localhost:80", KeyOddity::WrittenPort),
        ("index.docker.io:443", KeyOddity::WrittenPort),
        ("registry.local:950009", KeyOddity::WrittenPort),
    ] {
        assert_eq!(key_oddity(written), Some(oddity), "{written:?}");
        assert!(!oddity.is_absolute());
    }
    assert_eq!(KeyOddity::ApiPath.finding().kind, FindingKind::NeverMatchingKey);
    assert_eq!(KeyOddity::WrittenPort.finding().kind, FindingKind::UnusualKey);
    assert_eq!(KeyOddity::WrittenPort.finding().severity, super::super::Severity::Info);
}

#[test]
fn labels_hide_what_a_key_should_not_hold() {
    for (written, label) in [
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("https://octo:hunter2@ghcr.io/org", "ghcr.io/org"),
        ("user:pa/ss@ghcr.io", "ghcr.io"),
        ("user:p@ss/x@ghcr.io", "ghcr.io"),
        ("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", "redacted"),
        ("ghcr.io\n", "ghcr.io\u{fffd}"),
        ("", ""),
    ] {
        assert_eq!(registry_label(written), label, "{written:?}");
    }
    assert_eq!(registry_label(&"a".repeat(10_000)).len(), 256);
}

/// Whether the kubelet finds a lone key for an image.
fn finds(key: &RegistryKey, image: &str) -> Option<bool> {
    let name = parse_image(image).ok()?.repository;
    let mut keyring = Keyring::default();
    keyring.add(key.clone(), ());
    Some(!keyring.lookup(&name).is_empty())
}

/// Images near a key: its text with other things in place of what no image can have.
fn images_near(written: &str) -> Vec<String> {
    let base = after_scheme(written);
    let base = base.strip_suffix('/').unwrap_or(base);
    let mut texts = vec![
        base.to_owned(),
        base.to_lowercase(),
        base.replace(':', ""),
        base.replace("/v2/", "/").replace("/v1/", "/"),
    ];
    for with in ["", "a", "A", "a-a", "io", "."] {
        texts.push(base.replace('*', with));
    }
    let tails = ["", "/a", "a", "/a/a", "a/a", ":1", "/v2/a", ":5000/a", ":443/a"];
    texts.iter().flat_map(|text| tails.iter().map(move |tail| format!("{text}{tail}"))).collect()
}

fn key_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(vec!["a", "io", "ghcr", "x-y", "docker", "index", "localhost", "A", "1", "*", "*"]),
        3 => prop::sample::select(vec![".", ".", ".", "/", "/", ":", "-", "_", "__"]),
        1 => prop::sample::select(vec![
            "443", "5000", "[::1]", "[2001:DB8::1]", "[::1%25A-Z]", "::1", "%", "%2F", "%41", "%25", "%ff", "?", "#", "[", "]", "@",
            " ", "\n", "é", "https://", "http://", "v2", "/v2/", "/v1", "<", "\"", "docker.io/", "index.docker.io", "ghcr.io",
        ]),
    ];
    let random = prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat());
    let host = prop::sample::select(vec![
        "ghcr.io",
        "docker.io",
        "index.docker.io",
        "index.docker.*",
        "*ndex.docker.io",
        "localhost",
        "*",
        "A*",
        "*.*",
        "a.b_c",
        "*.b_c",
        "x__y",
        "[::1]",
        "[2001:db8::1]",
        "[2001:DB8::1]",
        "[::ffff:1.2.3.4]",
        "-a.io",
        "*-.io",
        "*-",
        "GHCR.io",
    ]);
    let port = prop::sample::select(vec!["", "", "", ":", ":443", ":5000", ":0443", ":x"]);
    let path = prop::sample::select(vec![
        "", "/", "/v1", "/v1/", "/v2/a", "/a", "/a/", "/a_", "/a__b", "/a_-b", "//a", "/A", "/a:1", "/*",
    ]);
    let near = (host, port, path).prop_map(|(host, port, path)| format!("{host}{port}{path}"));
    let long = (prop::sample::select(vec!["docker.io", "ghcr.io", "a.b_c"]), 245..260_usize)
        .prop_map(|(host, length)| format!("{host}/{}", "p".repeat(length)));
    prop_oneof![6 => random, 4 => near, 1 => long]
}

fn image_text() -> impl Strategy<Value = String> {
    (
        "([a-zA-Z0-9]{1,2}(-[a-z])?(\\.[a-zA-Z0-9]{1,3}){0,2}|localhost|ghcr\\.io|docker\\.io|index\\.docker\\.io|\\[[0-9a-fA-F:]{2,6}\\]|[A-F])(:(443|5000|1))?",
        "[a-z0-9]{1,3}([._-][a-z0-9])?(/[a-z]{1,2}){0,2}",
    )
        .prop_map(|(host, path)| format!("{host}/{path}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A key that is flagged as matching nothing matches nothing; one that is not has a witness; the milder oddities say
    /// what they promise.
    #[test]
    fn oddities_are_exact(written in key_text(), random in prop::collection::vec(image_text(), 12)) {
        let oddity = key_oddity(&written);
        let Ok(key) = registry_key(&written) else {
            prop_assert!(matches!(oddity, Some(KeyOddity::Never(_))));
            return Ok(());
        };
        if let Some(KeyOddity::Never(_)) = oddity {
            prop_assert_eq!(witness(&key, Hosts::Any), None);
        } else {
            let image = witness(&key, Hosts::Any);
            prop_assert!(image.is_some());
            prop_assert_eq!(image.as_deref().and_then(|image| finds(&key, image)), Some(true), "{:?}", image);
        }
        if matches!(oddity, None | Some(KeyOddity::WrittenPort)) {
            let image = witness(&key, Hosts::Lowercase).unwrap_or_default();
            prop_assert_eq!(finds(&key, &image), Some(true));
            prop_assert!(!image.bytes().any(|byte| byte.is_ascii_uppercase()));
        }
        for image in random.into_iter().chain(images_near(&written)) {
            let (Ok(name), Some(found)) = (parse_image(&image), finds(&key, &image)) else { continue };
            let possible = match oddity {
                None => true,
                Some(KeyOddity::Never(_)) => false,
                Some(KeyOddity::ApiPath) => name.path().starts_with("v1") || name.path().starts_with("v2"),
                Some(KeyOddity::UppercaseHost) => name.host().bytes().any(|byte| byte.is_ascii_uppercase()),
                Some(KeyOddity::WrittenPort) => name.host().contains(':'),
            };
            prop_assert!(possible || !found, "{:?} matches {}", written, image);
        }
    }
}

/// All texts of so many characters at most.
fn texts(alphabet: &str, max: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut shorter = 0..1;
    for _ in 0..max {
        let longer: Vec<String> =
            all[shorter.clone()].iter().flat_map(|text| alphabet.chars().map(move |c| format!("{text}{c}"))).collect();
        shorter = all.len()..all.len() + longer.len();
        all.extend(longer);
    }
    all
}

/// Every short key without a witness against every short image name: none matches.
#[test]
fn keys_without_a_witness_match_no_short_name() {
    let names: std::collections::BTreeSet<String> =
        texts("aA.-_:1/", 5).iter().filter_map(|text| parse_image(text).ok()).map(|image| image.repository).collect();
    let names: Vec<Target> = names.iter().filter_map(|name| Target::parse(name.as_bytes()).ok()).collect();
    let (mut dead, mut alive) = (0, 0);
    for written in texts("aA.*-_:1/", 4) {
        let Ok(key) = registry_key(&written) else { continue };
        let Ok(glob) = Target::parse(key.as_bytes()) else { continue };
        if witness(&key, Hosts::Any).is_some() {
            alive += 1;
        } else {
            dead += 1;
            let hit = names.iter().find(|name| glob.matches(name) == Ok(true));
            assert!(hit.is_none(), "{written} matches {hit:?}");
        }
    }
    assert!(names.len() > 500 && dead > 1_000 && alive > 300, "{} {dead} {alive}", names.len());
}
