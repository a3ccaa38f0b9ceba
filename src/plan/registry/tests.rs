use rstest::rstest;

use super::*;

fn entry(host: &str) -> RegistryConfig {
    RegistryConfig {
        host: host.to_owned(),
        issuer: IssuerChoice::None,
        api: None,
        endpoint: None,
        plain_http: false,
        ca_file: None,
        allow_private_addresses: false,
        realms: Vec::new(),
        requests_per_second: 5.0,
        canary: None,
    }
}

fn registries(entries: &[RegistryConfig]) -> Registries {
    Registries::new(entries).expect("a good config")
}

fn find(entries: &[RegistryConfig], host: &str) -> Arc<Registry> {
    registries(entries).find(host).expect("listed")
}

#[test]
fn only_github_is_built_in() {
    let registries = registries(&[]);
    let ghcr = registries.find("GHCR.io").expect("built in");
    assert_eq!(&*ghcr.host, "ghcr.io");
    assert_eq!(ghcr.endpoint.as_str(), "https://ghcr.io/");
    assert_eq!(ghcr.allowed_hosts, ["ghcr.io", "api.github.com"]);
    assert!(!ghcr.plain_http && !ghcr.allow_private_addresses && ghcr.ca_file.is_none() && ghcr.canary.is_none());
    let residency = registries.find("containers.octo.ghe.com").expect("built in");
    assert_eq!(residency.allowed_hosts, ["containers.octo.ghe.com", "api.octo.ghe.com"]);
    for host in ["docker.io", "index.docker.io", "quay.io", "ghcr.io:443", "containers.ghe.com", "localhost", "*.io"] {
        assert!(registries.find(host).is_none(), "{host}");
    }
    assert_eq!(registries.listed_hosts(), ["ghcr.io"]);
}

#[rstest]
#[case(IssuerChoice::Github, "ghcr.io", None, Some((IssuerKind::GithubCloud, Some("https://api.github.com/"))))]
#[case(IssuerChoice::Github, "containers.octo.ghe.com", None, Some((IssuerKind::GithubCloud, Some("https://api.octo.ghe.com/"))))]
#[case(IssuerChoice::Github, "containers.git.example.com", None, Some((IssuerKind::GithubServer, Some("https://git.example.com/api/v3"))))]
#[case(IssuerChoice::Github, "registry.example.com", Some("https://git.example.com/api/v3/"), Some((IssuerKind::GithubServer, Some("https://git.example.com/api/v3"))))]
#[case(IssuerChoice::Github, "ghcr.io", Some("https://proxy.example.com"), Some((IssuerKind::GithubCloud, Some("https://proxy.example.com/"))))]
#[case(IssuerChoice::Gitlab, "registry.gitlab.com", None, Some((IssuerKind::Gitlab, Some("https://gitlab.com/api/v4"))))]
#[case(IssuerChoice::Gitlab, "gitlab.example.com:5050", None, Some((IssuerKind::Gitlab, Some("https://gitlab.example.com/api/v4"))))]
#[case(IssuerChoice::Gitlab, "images.example.com", Some("https://gitlab.example.com"), Some((IssuerKind::Gitlab, Some("https://gitlab.example.com/api/v4"))))]
#[case(IssuerChoice::Gitlab, "images.example.com", Some("https://gitlab.example.com/api/v4/"), Some((IssuerKind::Gitlab, Some("https://gitlab.example.com/api/v4"))))]
#[case(IssuerChoice::Gitlab, "images.example.com", Some("https://example.com/gitlab"), Some((IssuerKind::Gitlab, Some("https://example.com/gitlab/api/v4"))))]
#[case(IssuerChoice::Ecr, "1.dkr.ecr.eu-west-1.amazonaws.com", None, Some((IssuerKind::SelfDescribed, None)))]
#[case(IssuerChoice::Jwt, "corp.azurecr.io", None, Some((IssuerKind::SelfDescribed, None)))]
#[case(IssuerChoice::Auto, "ghcr.io", None, Some((IssuerKind::GithubCloud, Some("https://api.github.com/"))))]
#[case(IssuerChoice::Auto, "containers.octo.ghe.com", None, Some((IssuerKind::GithubCloud, Some("https://api.octo.ghe.com/"))))]
#[case(IssuerChoice::Auto, "registry.gitlab.com", None, Some((IssuerKind::Gitlab, Some("https://gitlab.com/api/v4"))))]
#[case(IssuerChoice::Auto, "1.dkr.ecr.eu-west-1.amazonaws.com", None, Some((IssuerKind::SelfDescribed, None)))]
#[case(IssuerChoice::Auto, "corp.azurecr.io", None, Some((IssuerKind::SelfDescribed, None)))]
#[case(IssuerChoice::Auto, "registry.example.com", None, Some((IssuerKind::SelfDescribed, None)))]
#[case(IssuerChoice::Auto, "registry.example.com", Some("https://x.example.com/api/v4"), Some((IssuerKind::Gitlab, Some("https://x.example.com/api/v4"))))]
#[case(IssuerChoice::Auto, "registry.example.com", Some("https://x.example.com/api/v3"), Some((IssuerKind::GithubServer, Some("https://x.example.com/api/v3"))))]
#[case(IssuerChoice::Auto, "registry.example.com", Some("https://example.com/gitlab/api/v4"), Some((IssuerKind::Gitlab, Some("https://example.com/gitlab/api/v4"))))]
#[case(IssuerChoice::Auto, "registry.example.com", Some("https://example.com/git/api/v3"), Some((IssuerKind::GithubServer, Some("https://example.com/git/api/v3"))))]
#[case(IssuerChoice::None, "registry.example.com", None, None)]
fn issuers(
    #[case] issuer: IssuerChoice,
    #[case] host: &str,
    #[case] api: Option<&str>,
    #[case] expected: Option<(IssuerKind, Option<&str>)>,
) {
    let found = find(&[RegistryConfig { issuer, api: api.map(str::to_owned), ..entry(host) }], host);
    let told = found.issuer.as_ref().map(|issuer| (issuer.kind, issuer.api.as_ref().map(url::Url::as_str)));
    assert_eq!(told, expected);
}

#[test]
fn docker_hub_has_three_names_and_one_pair() {
    for listed in ["docker.io", "index.docker.io", "https"] {
        let host = if listed == "https" { "registry-1.docker.io" } else { listed };
        let registries = registries(&[entry(host)]);
        for asked in ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.io"] {
            let hub = registries.find(asked).expect("listed");
            assert_eq!(&*hub.host, "docker.io");
            assert_eq!(hub.endpoint.as_str(), "https://registry-1.docker.io/");
            assert_eq!(hub.allowed_hosts, ["registry-1.docker.io", "auth.docker.io"]);
        }
    }
    let mirrored = RegistryConfig { endpoint: Some("https://mirror.example.com".to_owned()), ..entry("docker.io") };
    assert_eq!(find(&[mirrored], "index.docker.io").allowed_hosts, ["mirror.example.com", "auth.docker.io"]);
}

#[test]
fn exact_goes_before_glob_and_the_operator_before_the_built_in() {
    let rate = |host: &str, requests_per_second| RegistryConfig { requests_per_second, ..entry(host) };
    let entries = [
        rate("*.example.com", 1.0),
        rate("registry.example.com", 2.0),
        rate("r*.example.com", 3.0),
        rate("*.io", 4.0),
        rate("containers.*.ghe.com", 6.0),
    ];
    let entries: Vec<RegistryConfig> = entries
        .into_iter()
        .map(|entry| match entry.host.as_str() {
            "containers.*.ghe.com" => RegistryConfig { issuer: IssuerChoice::Github, ..entry },
            _ => entry,
        })
        .collect();
    let found = |host: &str| find(&entries, host).requests_per_second;
    let expected = [
        ("registry.example.com", 2.0),
        ("reg.example.com", 1.0),
        ("quay.io", 4.0),
        ("ghcr.io", 5.0),
        ("containers.octo.ghe.com", 6.0),
    ];
    for (host, rate) in expected {
        assert!((found(host) - rate).abs() < f64::EPSILON, "{host}");
    }
    let own = RegistryConfig { endpoint: Some("https://mirror.example.com".to_owned()), ..entry("ghcr.io") };
    let own = find(&[own], "ghcr.io");
    assert_eq!(own.endpoint.as_str(), "https://mirror.example.com/");
    assert_eq!(own.issuer, None, "the operator's entry replaces the built-in one as a whole");
}

#[test]
fn hosts_are_written_as_urls_write_them() {
    let registry = RegistryConfig {
        issuer: IssuerChoice::Gitlab,
        api: Some("https://gitlab.example.com:8443".to_owned()),
        realms: ["auth.example.com", "Auth.example.com:443", "auth.example.com:5001", "index.docker.io"]
            .map(str::to_owned)
            .to_vec(),
        ..entry("registry.example.com:443")
    };
    let registry = find(&[registry], "registry.example.com:443");
    assert_eq!(
        registry.allowed_hosts,
        [
            "registry.example.com",
            "gitlab.example.com:8443",
            "auth.example.com",
            "auth.example.com:5001",
            "index.docker.io"
        ]
    );
}

#[test]
fn plain_http_asks_in_the_clear_and_only_then() {
    let other =
        RegistryConfig { plain_http: true, realms: vec!["auth.test:8080".to_owned()], ..entry("127.0.0.1:5000") };
    let allowed = &find(&[other], "127.0.0.1:5000").allowed_hosts;
    assert_eq!(allowed, &["127.0.0.1:5000", "auth.test:8080"], "of a port of its own not the usual one");
    let plain = RegistryConfig { plain_http: true, realms: vec!["auth.test:80".to_owned()], ..entry("127.0.0.1:5000") };
    let plain = find(&[plain], "127.0.0.1:5000");
    assert_eq!(plain.endpoint.as_str(), "http://127.0.0.1:5000/");
    assert_eq!(plain.allowed_hosts, ["127.0.0.1:5000", "auth.test:80", "auth.test"]);
    assert!(plain.plain_http);
    assert_eq!(find(&[entry("127.0.0.1:5000")], "127.0.0.1:5000").endpoint.scheme(), "https");
}

#[rstest]
#[case(RegistryConfig { endpoint: Some("http://r.example.com".into()), ..entry("r.example.com") }, "use https:// or set plainHttp: true")]
#[case(RegistryConfig { endpoint: Some("r.example.com".into()), ..entry("r.example.com") }, "https://registry.example.com")]
#[case(RegistryConfig { endpoint: Some("ftp://r.example.com".into()), ..entry("r.example.com") }, "https://")]
#[case(RegistryConfig { endpoint: Some("https://u:hunter2@r.example.com".into()), ..entry("r.example.com") }, "leave them out")]
#[case(RegistryConfig { endpoint: Some("https://u@r.example.com".into()), ..entry("r.example.com") }, "leave them out")]
#[case(RegistryConfig { endpoint: Some("https://:hunter2@r.example.com".into()), ..entry("r.example.com") }, "leave them out")]
#[case(RegistryConfig { endpoint: Some("https://r.example.com#x".into()), ..entry("r.example.com") }, "fragment")]
#[case(RegistryConfig { endpoint: Some("https://r.example.com/v2".into()), ..entry("r.example.com") }, "leave out the path")]
#[case(RegistryConfig { endpoint: Some("https://r.example.com?x".into()), ..entry("r.example.com") }, "query")]
#[case(RegistryConfig { api: Some("http://x".into()), issuer: IssuerChoice::Github, ..entry("r.example.com") }, "plainHttp: true")]
#[case(RegistryConfig { api: Some("https://x".into()), ..entry("r.example.com") }, "no issuer")]
#[case(RegistryConfig { api: Some("https://x".into()), issuer: IssuerChoice::Ecr, ..entry("r.example.com") }, "leave out api")]
#[case(RegistryConfig { api: Some("https://x".into()), issuer: IssuerChoice::Auto, ..entry("r.example.com") }, "set issuer")]
#[case(RegistryConfig { issuer: IssuerChoice::Github, ..entry("r.example.com") }, "set api")]
#[case(RegistryConfig { issuer: IssuerChoice::Github, ..entry("containers.example.com:8443") }, "set api")]
#[case(RegistryConfig { issuer: IssuerChoice::Gitlab, ..entry("*.example.com") }, "set api")]
#[case(RegistryConfig { realms: vec!["https://auth.example.com".into()], ..entry("r.example.com") }, "auth.example.com")]
#[case(RegistryConfig { realms: vec!["*.example.com".into()], ..entry("r.example.com") }, "host[:port]")]
#[case(RegistryConfig { realms: vec!["auth.example.com:".into()], ..entry("r.example.com") }, "host[:port]")]
#[case(RegistryConfig { requests_per_second: f64::INFINITY, ..entry("r.example.com") }, "above 0")]
#[case(RegistryConfig { requests_per_second: 0.0, ..entry("r.example.com") }, "above 0")]
#[case(RegistryConfig { requests_per_second: f64::NAN, ..entry("r.example.com") }, "above 0")]
#[case(entry("https://r.example.com"), "host[:port] only")]
fn a_bad_entry_is_refused_with_its_place_and_a_way_out(#[case] bad: RegistryConfig, #[case] expected: &str) {
    let error = Registries::new(&[entry("good.example.com"), bad.clone()]).expect_err("refused");
    assert_eq!((error.index, &error.host), (1, &bad.host));
    let text = error.to_string();
    assert!(text.contains(expected) && text.starts_with("registries[1] (host \""), "{text}");
    assert!(!text.contains("hunter2"));
}

#[test]
fn a_host_may_stand_once() {
    for (one, other) in [("docker.io", "index.docker.io"), ("*.io", "*.IO"), ("r.example.com", "R.example.com")] {
        let error = Registries::new(&[entry(one), entry(other)]).expect_err("refused");
        assert!(error.what.contains("twice"), "{error}");
    }
}

#[rstest]
#[case("ghcr.io", "actions/actions-runner", ("actions/actions-runner", "latest"))]
#[case("ghcr.io", "actions/actions-runner:2.330.0", ("actions/actions-runner", "2.330.0"))]
#[case("docker.io", "busybox", ("library/busybox", "latest"))]
#[case("*.azurecr.io", "public/image", ("public/image", "latest"))]
#[case("ghcr.io", "ghcr.io-mirror/image", ("ghcr.io-mirror/image", "latest"))]
fn canaries(#[case] host: &str, #[case] canary: &str, #[case] expected: (&str, &str)) {
    let concrete = host.replace('*', "corp");
    let registry = find(&[RegistryConfig { canary: Some(canary.to_owned()), ..entry(host) }], &concrete);
    let (path, reference) = registry.canary.as_ref().expect("a canary");
    assert_eq!((path.as_str(), reference.as_str()), expected);
}

#[rstest]
#[case("ghcr.io/actions/actions-runner", "again")]
#[case("Actions/Runner", "org/image")]
#[case("", "org/image")]
fn a_bad_canary_is_told(#[case] canary: &str, #[case] expected: &str) {
    let error = Registries::new(&[RegistryConfig { canary: Some(canary.to_owned()), ..entry("ghcr.io") }])
        .expect_err("refused");
    assert!(error.what.contains(expected), "{error}");
}

#[test]
fn an_issuer_is_asked_only_about_what_it_issued() {
    use TokenKind::*;
    let all = [
        GithubClassic,
        GithubFineGrained,
        GithubOauth,
        GithubAppUser,
        GithubAppInstallation,
        GithubRefresh,
        GithubLegacy,
        GitlabPersonal,
        GitlabDeploy,
        DockerPersonal,
        Ecr,
        Jwt,
        Opaque,
    ];
    let known = |issuer: &Issuer| all.into_iter().filter(|kind| issuer.knows(*kind)).collect::<Vec<_>>();
    let github = find(&[], "ghcr.io");
    let issuer = github.issuer.as_ref().expect("github");
    assert_eq!(known(issuer), [GithubClassic, GithubFineGrained, GithubOauth, GithubAppUser, GithubLegacy]);
    assert_eq!(known(&Issuer::gitlab("registry.gitlab.com", None).expect("gitlab")), [GitlabPersonal]);
    assert_eq!(known(&Issuer::self_described()), []);
    let refused: Vec<_> = all.into_iter().filter(|kind| !github.takes(*kind)).collect();
    assert_eq!(refused, [GithubFineGrained, GithubAppInstallation]);
    let plain = find(&[entry("r.example.com")], "r.example.com");
    assert!(all.into_iter().all(|kind| plain.takes(kind)));
}

#[test]
fn an_issuer_without_an_api_knows_nothing() {
    let nowhere = Issuer { kind: IssuerKind::GithubCloud, api: None };
    assert!(!nowhere.knows(TokenKind::GithubClassic));
    let gitlab = Issuer::gitlab("registry.gitlab.com", None).expect("gitlab");
    assert!(nowhere.is_github() && !gitlab.is_github() && !Issuer::self_described().is_github());
}

#[test]
fn what_changes_the_way_a_registry_is_asked() {
    let before = || RegistryConfig { plain_http: true, issuer: IssuerChoice::Jwt, ..entry("r.example.com") };
    let first = find(&[before()], "r.example.com");
    for (what, changed, expected) in [
        ("nothing", before(), false),
        ("rate", RegistryConfig { requests_per_second: 1.0, ..before() }, false),
        ("canary", RegistryConfig { canary: Some("org/image".into()), ..before() }, false),
        (
            "endpoint",
            RegistryConfig { endpoint: Some("http://r.example.com".into()), plain_http: true, ..before() },
            false,
        ),
        ("endpoint", RegistryConfig { endpoint: Some("https://r.example.com".into()), ..before() }, true),
        ("realms", RegistryConfig { realms: vec!["auth.example.com".into()], ..before() }, true),
        ("issuer", RegistryConfig { issuer: IssuerChoice::None, ..before() }, true),
        ("CA", RegistryConfig { ca_file: Some("/etc/ca.pem".into()), ..before() }, true),
        ("addresses", RegistryConfig { allow_private_addresses: true, ..before() }, true),
    ] {
        let after = find(&[changed], "r.example.com");
        assert_eq!(first.is_asked_otherwise(&after), expected, "{what}");
    }
    // In the clear where it was not before, though the endpoint is named.
    let named = |plain_http| RegistryConfig {
        endpoint: Some("https://r.example.com".into()),
        plain_http,
        ..entry("r.example.com")
    };
    let (secure, plain) = (find(&[named(false)], "r.example.com"), find(&[named(true)], "r.example.com"));
    assert!(secure.is_asked_otherwise(&plain) && !secure.is_asked_otherwise(&secure));
}

#[test]
fn what_an_entry_allows_reaches_the_registry() {
    let open = RegistryConfig {
        ca_file: Some("/etc/ca.pem".into()),
        allow_private_addresses: true,
        plain_http: true,
        endpoint: Some("http://mirror.test:8080".into()),
        realms: vec!["auth.test".into()],
        ..entry("r.test")
    };
    let found = find(&[open], "r.test");
    assert_eq!((found.ca_file.as_deref(), found.allow_private_addresses), (Some("/etc/ca.pem".as_ref()), true));
    assert_eq!(found.endpoint.as_str(), "http://mirror.test:8080/");
    assert_eq!(found.allowed_hosts, ["mirror.test:8080", "auth.test"]);
    // Port 80 is the default in the clear alone.
    let secure = find(&[RegistryConfig { realms: vec!["auth.test:80".into()], ..entry("r.test") }], "r.test");
    assert_eq!(secure.allowed_hosts, ["r.test", "auth.test:80"]);
}

#[test]
fn what_stands_on_the_list_is_told() {
    let listed = registries(&[entry("b.example.com"), entry("a.example.com"), entry("*.example.org")]);
    assert_eq!(listed.listed_hosts(), ["a.example.com", "b.example.com", "ghcr.io"]);
    for (host, expected) in [("A.example.com", true), ("*.Example.org", true), ("r.example.org", false), ("", false)] {
        assert_eq!(listed.lists(host), expected, "{host:?}");
    }
}

#[test]
fn processes_that_ask_together_share_the_rate() {
    for (processes, rate) in [(0, 5.0), (1, 5.0), (4, 1.25)] {
        let shared = registries(&[]).shared_by(processes).find("ghcr.io").expect("built in");
        assert!((shared.requests_per_second - rate).abs() < f64::EPSILON, "{processes}");
    }
}
