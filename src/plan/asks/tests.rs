use super::*;
use crate::config::{IssuerChoice, RegistryConfig};
use crate::plan::fixture::{CLASSIC, World, book, registry};
use crate::plan::{IssuerKind, Shard, TokenId};
use crate::workload::workloads;

/// The questions in words: logins and tokens by the password they stand for.
fn asked(world: &World, registries: &[RegistryConfig], access_checks: bool) -> Vec<String> {
    let mut book = book(registries);
    world.sync(&mut book);
    let wanted = wanted(&book, &workloads(&world.inventory), access_checks);
    let password = |login: &LoginId| String::from_utf8_lossy(book.logins[login].password.expose()).into_owned();
    let mut words: Vec<String> = wanted
        .iter()
        .map(|want| {
            let host = &want.host;
            match &want.ask {
                Ask::Login(login) => format!("login {} @ {host}", password(login)),
                Ask::Access { login, repository, reference, host: registry } => {
                    assert_eq!(host, registry);
                    let who = login.as_ref().map_or_else(|| "anybody".to_owned(), password);
                    format!("access {who} @ {host} {repository} {reference}")
                }
                Ask::Issuer(_) => {
                    let mut logins: Vec<String> = want.logins.iter().map(password).collect();
                    logins.dedup();
                    format!("issuer {} x{} @ {host}", logins.join(","), want.logins.len())
                }
                Ask::Canary(registry) => {
                    assert_eq!(host, registry);
                    format!("canary @ {host}")
                }
            }
        })
        .collect();
    assert_eq!(wanted.iter().map(|want| &want.ask).collect::<BTreeSet<_>>().len(), words.len(), "each once");
    assert!(wanted.iter().all(|want| matches!(want.ask, Ask::Issuer(_)) != want.logins.is_empty()));
    let logins: Vec<&Ask> = wanted.iter().map(|want| &want.ask).filter(|ask| matches!(ask, Ask::Login(_))).collect();
    assert!(logins.is_sorted(), "a stable order");
    words.sort();
    words
}

#[test]
fn an_issuer_is_not_asked_about_what_no_header_can_carry() {
    let mut world = World::default();
    world.secret("a/newline", &[("ghcr.io", "octo", &format!("{CLASSIC}\n"))]);
    assert_eq!(asked(&world, &[], true), [format!("login {CLASSIC}\n @ ghcr.io")]);
}

#[test]
fn copies_are_asked_once() {
    let mut world = World::default();
    for secret in ["a/one", "b/one", "c/one"] {
        world.secret(secret, &[("ghcr.io", "octo", CLASSIC)]);
        let pod = secret.replace("one", "pod");
        world.pod(&pod, &["one"], &["ghcr.io/org/app:2", "ghcr.io/org/app:1", "ghcr.io/org/other"]);
    }
    // The first reference of all that are named, in whatever namespace.
    world.pod("c/later", &["one"], &["ghcr.io/org/app:0"]);
    // The same token under another name: two logins, one token.
    world.secret("a/two", &[("ghcr.io", "hubot", CLASSIC)]);
    let access = |rest: &str| format!("access {CLASSIC} @ ghcr.io {rest}");
    assert_eq!(
        asked(&world, &[], true),
        [
            access("org/app 0"),
            access("org/other latest"),
            format!("issuer {CLASSIC} x2 @ api.github.com"),
            format!("login {CLASSIC} @ ghcr.io"),
            format!("login {CLASSIC} @ ghcr.io"),
        ]
    );
    assert!(!asked(&world, &[], false).iter().any(|ask| ask.starts_with("access")));
}

#[test]
fn only_matched_credentials_of_the_pods_own_list_are_asked_for_its_images() {
    let mut world = World::default();
    world.secret("a/narrow", &[("ghcr.io/org", "octo", "narrow")]);
    world.secret("a/wide", &[("ghcr.io", "octo", "wide")]);
    world.secret("a/unused", &[("ghcr.io", "octo", "unused")]);
    world.secret("b/wide", &[("ghcr.io", "octo", "elsewhere")]);
    world.pod("a/pod", &["wide", "narrow"], &["ghcr.io/org/app@sha256:aa", "ghcr.io/else/app", "not an image"]);
    let digest = format!("sha256:{}", "a".repeat(64));
    world.pod("a/by-digest", &["wide"], &[&format!("ghcr.io/else/digested@{digest}")]);
    assert_eq!(
        asked(&world, &[], true),
        [
            "access wide @ ghcr.io else/app latest".to_owned(),
            format!("access wide @ ghcr.io else/digested {digest}"),
            "login elsewhere @ ghcr.io".to_owned(),
            "login narrow @ ghcr.io".to_owned(),
            "login unused @ ghcr.io".to_owned(),
            "login wide @ ghcr.io".to_owned(),
        ],
        "a digest that does not parse and a text that is no image ask for nothing"
    );
}

#[test]
fn anybody_is_asked_where_no_credential_counts() {
    let mut world = World::default();
    world.secret("a/anonymous", &[("ghcr.io/empty", "", "p")]);
    world.secret("a/fine", &[("ghcr.io/fine", "octo", "github_pat_1")]);
    world.secret("a/good", &[("ghcr.io/good", "octo", "good")]);
    world.document("a/broken", "kubernetes.io/dockerconfigjson", "{");
    world.pod(
        "a/pod",
        &["anonymous", "fine", "good", "missing"],
        &["ghcr.io/empty/x", "ghcr.io/fine/x", "ghcr.io/good/x", "ghcr.io/none/x", "quay.io/unlisted/x", "nginx"],
    );
    world.pod("a/poisoned", &["good", "broken"], &["ghcr.io/good/y", "ghcr.io/none/y"]);
    // The runtime drops the empty one, and the kubelet tries the other.
    world.secret("b/both", &[("ghcr.io/both", "octo", "both"), ("ghcr.io", "", "p")]);
    world.pod("b/pod", &["both"], &["ghcr.io/both/x"]);
    assert_eq!(
        asked(&world, &[], true),
        [
            "access anybody @ ghcr.io both/x latest",
            "access anybody @ ghcr.io empty/x latest",
            "access anybody @ ghcr.io fine/x latest",
            "access anybody @ ghcr.io none/x latest",
            "access both @ ghcr.io both/x latest",
            "access github_pat_1 @ ghcr.io fine/x latest",
            "access good @ ghcr.io good/x latest",
            "issuer github_pat_1 x1 @ api.github.com",
            "login both @ ghcr.io",
            "login github_pat_1 @ ghcr.io",
            "login good @ ghcr.io",
        ]
    );
    let of_anybody = asked(&world, &[], false).into_iter().filter(|ask| ask.starts_with("access"));
    assert!(of_anybody.collect::<Vec<_>>().iter().all(|ask| ask.starts_with("access anybody")));
    assert_eq!(asked(&world, &[], false).iter().filter(|ask| ask.starts_with("access")).count(), 4);
}

#[test]
fn canaries_are_asked_where_they_are_listed_or_used() {
    let with_canary = |host: &str| RegistryConfig { canary: Some("public/image".to_owned()), ..registry(host) };
    let registries = [with_canary("ghcr.io"), with_canary("*.azurecr.io"), registry("docker.io")];
    let mut world = World::default();
    assert_eq!(asked(&world, &registries, true), ["canary @ ghcr.io"]);
    world.pod("a/pod", &[], &["one.azurecr.io/x", "nginx"]);
    world.secret("a/two", &[("two.azurecr.io", "octo", "p")]);
    assert_eq!(
        asked(&world, &registries, true),
        [
            "access anybody @ docker.io library/nginx latest",
            "access anybody @ one.azurecr.io x latest",
            "canary @ ghcr.io",
            "canary @ one.azurecr.io",
            "canary @ two.azurecr.io",
            "login p @ two.azurecr.io",
        ]
    );
}

#[test]
fn a_password_that_could_be_anything_is_never_sent_to_an_issuer() {
    let gitlab = RegistryConfig {
        issuer: IssuerChoice::Gitlab,
        api: Some("https://gitlab.example.com:8443".to_owned()),
        ..registry("registry.example.com")
    };
    let mut world = World::default();
    let passwords = ["hunter2", CLASSIC, "glpat-abc", "gldt-abc", "ghs_abc", "ghr_abc", "gho_abc"];
    for (at, password) in passwords.iter().enumerate() {
        let secret = format!("a/s{at}");
        world.secret(&secret, &[("ghcr.io", "octo", password), ("registry.example.com", "octo", password)]);
    }
    let issuers: Vec<String> =
        asked(&world, &[gitlab], true).into_iter().filter(|ask| ask.starts_with("issuer")).collect();
    assert_eq!(
        issuers,
        [
            "issuer gho_abc x1 @ api.github.com".to_owned(),
            format!("issuer {CLASSIC} x1 @ api.github.com"),
            "issuer glpat-abc x1 @ gitlab.example.com:8443".to_owned(),
        ]
    );
}

#[test]
fn a_token_at_two_registries_of_one_issuer_is_one_question() {
    let ghes = RegistryConfig {
        issuer: IssuerChoice::Github,
        api: Some("https://api.github.com".to_owned()),
        ..registry("mirror.example.com")
    };
    let mut world = World::default();
    world.secret("a/one", &[("ghcr.io", "octo", CLASSIC), ("mirror.example.com", "octo", CLASSIC)]);
    let asks = asked(&world, std::slice::from_ref(&ghes), true);
    assert!(asks.contains(&format!("issuer {CLASSIC} x2 @ api.github.com")), "{asks:?}");
    let mut book = book(&[ghes]);
    world.sync(&mut book);
    let keys: BTreeSet<TokenKey> = book.logins.values().filter_map(issuer_asks).collect();
    let tokens: BTreeSet<TokenId> = keys.iter().map(|key| key.token).collect();
    assert_eq!((keys.len(), tokens.len()), (1, 1));
    assert!(keys.iter().all(|key| key.issuer.kind == IssuerKind::GithubCloud));
}

/// Each question with its namespace and its pool.
fn shares(world: &World, registries: &[RegistryConfig]) -> Vec<String> {
    let mut book = book(registries);
    world.sync(&mut book);
    let wanted = wanted(&book, &workloads(&world.inventory), true);
    let mut words: Vec<String> = wanted
        .iter()
        .map(|want| {
            let what = match &want.ask {
                Ask::Login(login) => String::from_utf8_lossy(book.logins[login].password.expose()).into_owned(),
                Ask::Access { repository, .. } => repository.to_string(),
                Ask::Issuer(_) => "token".to_owned(),
                Ask::Canary(host) => format!("canary of {host}"),
            };
            format!("{what}: {} of {}", want.tenant, want.pool)
        })
        .collect();
    words.sort_unstable();
    words
}

#[test]
fn what_several_namespaces_need_counts_for_the_one_that_needs_the_fewest() {
    let mut world = World::default();
    world.secret("a-many/shared", &[("ghcr.io", "octo", CLASSIC)]);
    for n in 0..3 {
        world.secret(&format!("a-many/bad-{n}"), &[("ghcr.io", "octo", &format!("bad-{n}"))]);
    }
    // However many copies of it there are.
    for n in 0..5 {
        world.secret(&format!("few/shared-{n}"), &[("ghcr.io", "octo", CLASSIC)]);
    }
    world.secret("few/own", &[("ghcr.io", "octo", "own")]);
    let images = ["ghcr.io/org/app", "ghcr.io/org/x", "ghcr.io/org/y", "ghcr.io/org/z"];
    world.pod("a-many/pod", &["shared"], &images);
    world.pod("few/pod", &["shared-0"], &images[..1]);
    assert_eq!(
        shares(&world, &[]),
        [
            "bad-0: a-many of ghcr.io",
            "bad-1: a-many of ghcr.io",
            "bad-2: a-many of ghcr.io",
            &format!("{CLASSIC}: few of ghcr.io"),
            "org/app: few of ghcr.io",
            "org/x: a-many of ghcr.io",
            "org/y: a-many of ghcr.io",
            "org/z: a-many of ghcr.io",
            "own: few of ghcr.io",
            "token: few of api.github.com",
        ]
    );
}

#[test]
fn hosts_under_one_glob_share_their_places() {
    let canary = RegistryConfig { canary: Some("public/image".to_owned()), ..registry("*.azurecr.io") };
    let mut world = World::default();
    world.secret("a/one", &[("one.azurecr.io", "octo", "p")]);
    world.secret("a/residency", &[("containers.octo.ghe.com", "octo", CLASSIC)]);
    world.pod("b/pod", &[], &["two.azurecr.io/x"]);
    assert_eq!(
        shares(&world, &[canary]),
        [
            "canary of one.azurecr.io:  of *.azurecr.io",
            "canary of two.azurecr.io:  of *.azurecr.io",
            &format!("{CLASSIC}: a of containers.*.ghe.com"),
            "p: a of *.azurecr.io",
            "token: a of the APIs of containers.*.ghe.com",
            "x: b of *.azurecr.io",
        ]
    );
}

/// Over all shards: each login is asked by one, whatever else is asked.
#[test]
fn shards_ask_together_what_one_asks() {
    let mut world = World::default();
    for nth in 0..24 {
        let password = format!("password-{nth}");
        world.secret(&format!("a/s{nth}"), &[("ghcr.io", "octo", &password), ("*.azurecr.io", "octo", &password)]);
        world.pod(&format!("a/p{nth}"), &[&format!("s{nth}")], &["ghcr.io/org/app", "one.azurecr.io/x", "quay.io/y"]);
    }
    // Two entries come to one key, so that one shard needs to know both.
    for nth in 0..4 {
        let [one, two, three] = ["one", "two", "three"].map(|which| format!("twice-{nth}-{which}"));
        let key = ("quay.io/elsewhere", "octo", three.as_str());
        let entries = [("ghcr.io", "octo", one.as_str()), ("https://ghcr.io", "octo", &two), key];
        world.secret(&format!("a/twice-{nth}"), &entries);
    }
    let registries = [registry("*.azurecr.io"), registry("quay.io")];
    let asked_by = |shard: Shard| {
        let mut book = book(&registries).of_shard(shard);
        let fresh = world.sync(&mut book);
        let asks: Vec<Ask> =
            wanted(&book, &workloads(&world.inventory), true).into_iter().map(|wanted| wanted.ask).collect();
        let logins = |asks: &[Ask]| asks.iter().filter(|ask| matches!(ask, Ask::Login(_))).count();
        assert_eq!(fresh.len(), logins(&asks), "no more is urgent than what is asked");
        assert!(asks.iter().filter_map(Ask::login).all(|login| book.asks(login)), "no access of another shard's login");
        asks
    };
    let alone: BTreeSet<Ask> = asked_by(Shard::ALONE).into_iter().collect();
    let mut shared = 0;
    for count in 2..6 {
        let shards = (0..count).map(|index| asked_by(Shard::new(index, count).expect("a shard")));
        let together: Vec<Ask> = shards.flatten().collect();
        assert_eq!(together.iter().cloned().collect::<BTreeSet<_>>(), alone, "{count} shards");
        let mut times: BTreeMap<LoginId, usize> = BTreeMap::new();
        for ask in &together {
            if let Ask::Login(login) = ask {
                *times.entry(*login).or_default() += 1;
            }
        }
        let more = times.values().filter(|times| **times > 1).count();
        assert!(more <= 4, "{more} logins are asked more than once by {count} shards");
        shared += more;
    }
    assert!(shared > 0, "the second of two entries that come to one key is asked by the shard of the first as well");
}

#[test]
fn an_api_that_a_listed_host_names_has_places_of_its_own() {
    let glob = RegistryConfig {
        issuer: IssuerChoice::Github,
        api: Some("https://api.github.com".to_owned()),
        ..registry("*.mirror.example")
    };
    let mut world = World::default();
    world.secret("a/one", &[("one.mirror.example", "octo", CLASSIC)]);
    let token = |world: &World| shares(world, std::slice::from_ref(&glob)).pop();
    assert_eq!(token(&world).as_deref(), Some("token: a of the APIs of *.mirror.example"));
    world.secret("a/two", &[("ghcr.io", "octo", CLASSIC)]);
    assert_eq!(token(&world).as_deref(), Some("token: a of api.github.com"));
}

#[test]
fn what_anybody_may_pull_is_asked_by_the_shard_that_shows_the_workload() {
    let mut world = World::default();
    for nth in 0..12 {
        // What they present is for another registry; most have a list of their own.
        let (secret, none) = ([format!("s{nth}")], []);
        world.secret(&format!("a/s{nth}"), &[("ghcr.io", "octo", &format!("password-{nth}"))]);
        let presented: Vec<&str> = if nth < 6 { none.to_vec() } else { secret.iter().map(String::as_str).collect() };
        world.pod(&format!("a/p{nth}"), &presented, &[&format!("quay.io/alone/{nth}")]);
    }
    for count in [3, 4] {
        let mut asked: Vec<Ask> = Vec::new();
        for index in 0..count {
            let mut book = book(&[registry("quay.io")]).of_shard(Shard::new(index, count).expect("a shard"));
            world.sync(&mut book);
            asked.extend(wanted(&book, &workloads(&world.inventory), true).into_iter().map(|wanted| wanted.ask));
        }
        asked.retain(|ask| matches!(ask, Ask::Access { .. }));
        asked.sort_unstable();
        let times = asked.len();
        asked.dedup();
        assert_eq!((times, asked.len()), (12, 12), "{count} shards");
    }
}

#[test]
fn where_not_all_credentials_were_read_nobody_knows_whether_one_counts() {
    let mut world = World::default();
    let keys: Vec<String> = (0..=crate::credential::MOST_ENTRIES).map(|n| format!("ghcr.io/o{n}")).collect();
    let entries: Vec<(&str, &str, &str)> = keys.iter().map(|key| (key.as_str(), "octo", "p")).collect();
    world.secret("a/many", &entries);
    world.pod("a/pod", &["many"], &["ghcr.io/o1/x", "ghcr.io/none/x"]);
    assert_eq!(asked(&world, &[], true), Vec::<String>::new());
}

#[test]
fn who_asks_with_a_token_that_is_not_taken_asks_what_anybody_may_pull_as_well() {
    let mut world = World::default();
    for nth in 0..12 {
        let (not_taken, other) = (format!("github_pat_{nth}"), format!("other-{nth}"));
        world.secret(&format!("a/s{nth}"), &[("ghcr.io", "octo", &not_taken), ("quay.io", "octo", &other)]);
        // It presents the other token twice, whose shard shows it.
        let app = format!("ghcr.io/org/app-{nth}");
        world.pod(&format!("a/p{nth}"), &[&format!("s{nth}")], &[&app, "quay.io/org/x", "quay.io/org/y"]);
    }
    for index in 0..2 {
        let mut book = book(&[registry("quay.io")]).of_shard(Shard::new(index, 2).expect("a shard"));
        world.sync(&mut book);
        let mut asked: [BTreeSet<Arc<str>>; 2] = [BTreeSet::new(), BTreeSet::new()];
        for want in wanted(&book, &workloads(&world.inventory), true) {
            if let Ask::Access { host, login, repository, .. } = want.ask
                && &*host == "ghcr.io"
            {
                asked[usize::from(login.is_some())].insert(repository);
            }
        }
        let [by_anybody, with_token] = asked;
        assert!(!with_token.is_empty() && with_token.is_subset(&by_anybody), "{with_token:?} and {by_anybody:?}");
    }
}
