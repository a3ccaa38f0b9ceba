use proptest::prelude::*;

use super::*;
use crate::config::{IssuerChoice, RegistryConfig};
use crate::credential::{FindingKind, parse_image};
use crate::plan::fixture::{CLASSIC, World, arcs, at, book, registry};

fn hosts(book: &Book, secret: &str) -> Vec<String> {
    let logins = book.secrets[&at(secret)].credentials.iter().flat_map(|entry| &entry.logins);
    logins.map(|login| book.logins[login].registry.host.to_string()).collect()
}

/// (Secret, position, host of the login) in the kubelet's order.
fn lookup(book: &Book, namespace: &str, secrets: &[&str], image: &str) -> Vec<(String, usize, Option<String>)> {
    let ring = book.keyring(&Arc::from(namespace), &arcs(secrets));
    let image = parse_image(image).expect("image");
    ring.lookup(&image)
        .into_iter()
        .map(|found| {
            let host = found.login.map(|login| book.logins[&login].registry.host.to_string());
            (found.secret.to_string(), found.entry, host)
        })
        .collect()
}

fn row(secret: &str, entry: usize, host: Option<&str>) -> (String, usize, Option<String>) {
    (secret.to_owned(), entry, host.map(str::to_owned))
}

#[test]
fn a_login_is_one_however_many_secrets_copy_it() {
    let (mut world, mut book) = (World::default(), book(&[]));
    for secret in ["a/one", "a/two", "b/one"] {
        world.secret(secret, &[("ghcr.io", "octo", CLASSIC)]);
    }
    world.secret("b/two", &[("https://ghcr.io/v1/", "octo", CLASSIC), ("quay.io", "octo", "x")]);
    let fresh = world.sync(&mut book);
    assert_eq!(fresh.len(), 1);
    let login = &book.logins[&fresh[0]];
    assert_eq!(
        (login.credentials, login.username.expose(), login.password.expose()),
        (4, &b"octo"[..], CLASSIC.as_bytes())
    );
    assert_eq!(login.kind, TokenKind::GithubClassic);
    assert_eq!(book.credentials(), 5);
    let quay = &book.secrets[&at("b/two")].credentials[1];
    assert_eq!((&*quay.written, quay.listed, quay.logins.len()), ("quay.io", false, 0));
    let tokens: BTreeSet<TokenId> = book.secrets.values().map(|record| record.credentials[0].token).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens.first(), Some(&login.token));
}

#[test]
fn nothing_is_decoded_twice_and_a_fresh_list_is_no_change() {
    let (mut world, mut book) = (World::default(), book(&[]));
    world.secret("a/one", &[("ghcr.io", "octo", CLASSIC)]);
    world.secret("a/two", &[("ghcr.io", "octo", "other")]);
    assert_eq!(world.sync(&mut book).len(), 2);
    assert_eq!(book.decoded(), 2);
    assert!(world.sync(&mut book).is_empty());
    world.relist();
    assert!(world.sync(&mut book).is_empty());
    assert_eq!(book.decoded(), 2);
    assert!(Arc::ptr_eq(&book.secrets[&at("a/one")].source, &world.inventory.secrets[&at("a/one")]));
}

#[test]
fn another_list_reads_secrets_again_only_where_hosts_or_issuers_are_others() {
    let list = |change: fn(&mut RegistryConfig)| {
        let mut entries = [registry("r.example"), registry("*.azurecr.io")];
        change(&mut entries[0]);
        Registries::new(&entries).expect("a good config")
    };
    let (mut world, mut book) = (World::default(), book(&[]));
    world.secret("a/one", &[("r.example", "octo", CLASSIC)]);
    world.secret("a/two", &[("ghcr.io", "octo", "other")]);
    assert_eq!(world.sync(&mut book).len(), 1);
    let mut decoded = book.decoded();
    let mut go_by = |registries: Registries, reads: bool| {
        let changed = book.go_by(registries.clone()).len();
        let fresh = world.sync(&mut book).len();
        assert_eq!(book.decoded() - decoded, if reads { 2 } else { 0 });
        decoded = book.decoded();
        for login in book.logins.values() {
            assert_eq!(Some(&login.registry), registries.find(&login.registry.host).as_ref());
        }
        (changed, fresh)
    };
    assert_eq!(go_by(list(|_| ()), true), (0, 1), "a host that was not on the list");
    assert_eq!(go_by(list(|_| ()), false), (0, 0), "the same again");
    assert_eq!(go_by(list(|one| one.requests_per_second = 1.0), false), (0, 0));
    assert_eq!(go_by(list(|one| one.endpoint = Some("https://mirror.example".to_owned())), false), (1, 0));
    assert_eq!(go_by(list(|one| one.issuer = IssuerChoice::Jwt), true).0, 1);
    assert_eq!(book.secrets[&at("a/one")].credentials[0].findings, []);
    let github = |one: &mut RegistryConfig| {
        (one.issuer, one.api) = (IssuerChoice::Github, Some("https://github.example/api/v3".to_owned()));
    };
    book.go_by(list(github));
    book.go_by(list(github));
    world.secret("a/one", &[("r.example", "octo", "github_pat_x")]);
    world.sync(&mut book);
    let kinds = |book: &Book| -> Vec<FindingKind> {
        book.secrets[&at("a/one")].credentials[0].findings.iter().map(|finding| finding.kind).collect()
    };
    assert!(kinds(&book).contains(&FindingKind::UnsupportedTokenKind), "{:?}", kinds(&book));
    // What another list asked for is not forgotten by a third that is like the second.
    book.go_by(list(|_| ()));
    book.go_by(list(|_| ()));
    world.sync(&mut book);
    assert!(!kinds(&book).contains(&FindingKind::UnsupportedTokenKind), "{:?}", kinds(&book));
}

#[test]
fn what_changed_along_with_a_fresh_list_is_seen() {
    let (mut world, mut book) = (World::default(), book(&[registry("*.azurecr.io")]));
    world.secret("a/one", &[("*.azurecr.io", "octo", CLASSIC)]);
    world.secret("a/two", &[("r.example", "octo", CLASSIC)]);
    world.sync(&mut book);
    assert_eq!((hosts(&book, "a/one"), hosts(&book, "a/two")), (vec![], vec![]));
    world.pod("a/pod", &["one"], &["one.azurecr.io/x"]);
    world.relist();
    world.sync(&mut book);
    assert_eq!(hosts(&book, "a/one"), ["one.azurecr.io"], "an image that is needed");
    book.go_by(Registries::new(&[registry("*.azurecr.io"), registry("r.example")]).expect("a good config"));
    world.relist();
    world.sync(&mut book);
    assert_eq!(hosts(&book, "a/two"), ["r.example"], "a registry that is listed");
}

#[test]
fn logins_that_are_asked_otherwise_are_told_in_their_order() {
    let (mut world, mut book) = (World::default(), book(&[registry("r.example")]));
    for n in 0..20 {
        world.secret(&format!("a/s{n}"), &[("r.example", "octo", &format!("p{n}"))]);
    }
    world.sync(&mut book);
    let mirror = RegistryConfig { endpoint: Some("https://mirror.example".to_owned()), ..registry("r.example") };
    let changed = book.go_by(Registries::new(&[mirror]).expect("a good config"));
    assert!(changed.len() == 20 && changed.is_sorted(), "{changed:?}");
}

#[test]
fn a_change_asks_at_once_and_one_more_copy_does_not() {
    let (mut world, mut book) = (World::default(), book(&[]));
    world.secret("a/one", &[("ghcr.io", "octo", "first")]);
    let first = world.sync(&mut book);
    // One more copy of a known login.
    world.secret("a/two", &[("ghcr.io", "octo", "first")]);
    assert!(world.sync(&mut book).is_empty());
    // Another document with the same login: somebody touched the Secret.
    world.secret("a/two", &[("ghcr.io", "octo", "first"), ("quay.io", "octo", "x")]);
    assert_eq!(world.sync(&mut book), first);
    // Another password.
    world.secret("a/two", &[("ghcr.io", "octo", "second")]);
    let second = world.sync(&mut book);
    assert!(second.len() == 1 && second != first);
    assert_eq!(book.logins.len(), 2);
    // The last credential of a login goes, and the login with it.
    world.inventory.secrets.remove(&at("a/one"));
    assert!(world.sync(&mut book).is_empty());
    assert_eq!(book.logins.keys().collect::<Vec<_>>(), second.iter().collect::<Vec<_>>());
    // It comes back.
    world.secret("a/one", &[("ghcr.io", "octo", "first")]);
    assert_eq!(world.sync(&mut book), first);
}

#[test]
fn a_login_that_moves_to_another_secret_is_no_new_one() {
    let (mut world, mut book) = (World::default(), book(&[]));
    world.secret("a/old", &[("ghcr.io", "octo", CLASSIC)]);
    assert_eq!(world.sync(&mut book).len(), 1);
    world.inventory.secrets.clear();
    world.secret("a/new", &[("ghcr.io", "octo", CLASSIC)]);
    assert!(world.sync(&mut book).is_empty());
    assert_eq!(book.logins.values().map(|login| login.credentials).collect::<Vec<_>>(), [1]);
}

#[test]
fn names_of_docker_hub_and_odd_spellings_are_one_login() {
    let (mut world, mut book) = (World::default(), book(&[registry("docker.io")]));
    world.secret(
        "a/one",
        &[("https://index.docker.io/v1/", "me", "p"), ("docker.io", "me", "p"), ("registry-1.docker.io", "me", "p")],
    );
    world.secret("a/two", &[("GHCR.io", "me", "p"), ("ghcr.io:", "me", "p"), ("ghcr.io/org", "me", "p")]);
    world.sync(&mut book);
    assert_eq!(book.logins.len(), 2);
    assert_eq!(hosts(&book, "a/one"), ["docker.io"; 3]);
    assert_eq!(hosts(&book, "a/two"), ["ghcr.io"; 3]);
    let (one, other) = (&book.secrets[&at("a/one")].credentials[0], &book.secrets[&at("a/one")].credentials[1]);
    assert!(Arc::ptr_eq(&one.username, &other.username), "user names are shared");
    assert!(Arc::ptr_eq(&book.logins[&one.logins[0]].registry, &book.logins[&other.logins[0]].registry));
}

#[test]
fn what_does_not_count_has_no_credentials() {
    let (mut world, mut book) = (World::default(), book(&[]));
    world.document("a/opaque", "Opaque", r#"{"auths":{"ghcr.io":{"auth":"YTpi"}}}"#);
    world.document("a/broken", "kubernetes.io/dockerconfigjson", r#"{"auths":{"ghcr.io":{"auth":"pants"}}}"#);
    world.document("a/empty", "kubernetes.io/dockerconfigjson", r#"{"auths":{}}"#);
    world.secret("a/anonymous", &[("ghcr.io", "", CLASSIC), ("quay.io", "octo", "")]);
    assert!(world.sync(&mut book).is_empty());
    assert_eq!((book.credentials(), book.logins.len()), (2, 0));
    let record = |name: &str| &book.secrets[&at(name)];
    let kinds = |name: &str| record(name).findings.iter().map(|finding| finding.kind).collect::<Vec<_>>();
    assert!(record("a/opaque").skipped);
    assert_eq!(kinds("a/opaque"), [FindingKind::WrongType]);
    assert_eq!(record("a/broken").malformed.as_deref(), Some("illegal base64 data at input byte 4"));
    assert_eq!(kinds("a/broken"), [FindingKind::BadAuthEncoding]);
    assert_eq!(kinds("a/empty"), [FindingKind::NoEntries]);
    let anonymous = &record("a/anonymous").credentials;
    assert!(anonymous.iter().all(|entry| entry.anonymous && entry.logins.is_empty()));
    assert_eq!(anonymous.iter().map(|entry| entry.listed).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_glob_stands_for_the_hosts_that_pods_with_that_secret_need() {
    let mut world = World::default();
    let mut book = book(&[registry("*.azurecr.io"), registry("quay.io")]);
    world.secret("a/glob", &[("*.azurecr.io", "octo", "p"), ("*.io/org", "octo", "p"), ("*.example.com", "octo", "p")]);
    world.pod("a/unrelated", &["other"], &["three.azurecr.io/x"]);
    assert!(world.sync(&mut book).is_empty());
    let listed =
        |book: &Book| book.secrets[&at("a/glob")].credentials.iter().map(|entry| entry.listed).collect::<Vec<_>>();
    // In the order of the keys as written: *.azurecr.io, *.example.com, *.io/org.
    assert_eq!(listed(&book), [true, false, true]);

    world.pod(
        "a/one",
        &["glob"],
        &["one.azurecr.io/x", "two.azurecr.io/y:1", "one.azurecr.io/z", "gone.example.com/x"],
    );
    assert_eq!(world.sync(&mut book).len(), 2);
    assert_eq!(hosts(&book, "a/glob"), ["one.azurecr.io", "two.azurecr.io"]);
    assert_eq!(book.decoded(), 2);
    assert!(world.sync(&mut book).is_empty());
    assert_eq!(book.decoded(), 2, "decoded again only when other images are needed");

    world.pod("a/two", &["glob"], &["quay.io/org/x", "quay.io/other/x"]);
    world.inventory.pods.remove(&at("a/one"));
    assert_eq!(world.sync(&mut book).len(), 1);
    assert_eq!(hosts(&book, "a/glob"), ["quay.io"]);
    assert_eq!(book.logins.len(), 1);
    assert_eq!(lookup(&book, "a", &["glob"], "quay.io/org/x"), [row("glob", 2, Some("quay.io"))]);
}

#[test]
fn kinds_that_github_does_not_take_are_found_where_github_is_the_issuer() {
    let ghes = RegistryConfig { issuer: IssuerChoice::Github, ..registry("containers.example.com") };
    let (mut world, mut book) = (World::default(), book(&[ghes, registry("quay.io")]));
    let token = "github_pat_11AAAAAAA0aaaaaaaaaaaa_bbbb";
    for (secret, key) in [("a/ghcr", "ghcr.io"), ("a/ghes", "containers.example.com"), ("a/quay", "quay.io")] {
        world.secret(secret, &[(key, "octo", token)]);
    }
    world.sync(&mut book);
    let found = |secret: &str| {
        let findings = &book.secrets[&at(secret)].credentials[0].findings;
        findings.iter().any(|finding| finding.kind == FindingKind::UnsupportedTokenKind)
    };
    assert!(found("a/ghcr") && found("a/ghes") && !found("a/quay"));
    assert!(!format!("{book:?}").contains(token));
}

#[test]
fn an_odd_key_is_none_when_a_workload_needs_it() {
    let (mut world, mut book) = (World::default(), book(&[]));
    world.secret("a/odd", &[("GHCR.io", "octo", "p")]);
    let odd = |book: &Book| {
        let findings = &book.secrets[&at("a/odd")].credentials[0].findings;
        findings.iter().any(|finding| finding.kind == FindingKind::UnusualKey)
    };
    world.sync(&mut book);
    assert!(odd(&book));
    world.pod("a/pod", &["odd"], &["ghcr.io/org/x"]);
    world.sync(&mut book);
    assert!(odd(&book), "an image written in lower case does not match");
    world.pod("a/pod", &["odd"], &["GHCR.io/org/x"]);
    assert!(world.sync(&mut book).is_empty());
    assert!(!odd(&book));
    world.inventory.pods.clear();
    world.sync(&mut book);
    assert!(odd(&book));
}

#[test]
fn what_else_is_found_of_an_odd_key_stays_when_a_workload_needs_it() {
    let (mut world, mut book) = (World::default(), book(&[]));
    // `octo:p`, and another password beside it.
    let document = r#"{"auths":{"GHCR.io":{"auth":"b2N0bzpw","username":"octo","password":"other"}}}"#;
    world.document("a/odd", "kubernetes.io/dockerconfigjson", document);
    let kinds = |book: &Book| -> Vec<FindingKind> {
        book.secrets[&at("a/odd")].credentials[0].findings.iter().map(|finding| finding.kind).collect()
    };
    world.sync(&mut book);
    let mut expected = kinds(&book);
    assert!(expected.len() > 1 && expected.contains(&FindingKind::UnusualKey), "{expected:?}");
    world.pod("a/pod", &["odd"], &["GHCR.io/org/x"]);
    world.sync(&mut book);
    expected.retain(|kind| *kind != FindingKind::UnusualKey);
    assert_eq!(kinds(&book), expected);
}

#[test]
fn the_expiry_that_a_password_tells_of_itself_is_kept() {
    let (mut world, mut book) = (World::default(), book(&[registry("r.example")]));
    // {"alg":"none"}.{"exp":2000000000}
    world.secret("a/jwt", &[("r.example", "octo", "eyJhbGciOiJub25lIn0.eyJleHAiOjIwMDAwMDAwMDB9.c2ln")]);
    world.secret("a/none", &[("r.example", "octo", "p")]);
    world.sync(&mut book);
    let expiry = |secret: &str| book.secrets[&at(secret)].credentials[0].self_described_expiry;
    assert_eq!((expiry("a/jwt"), expiry("a/none")), (DateTime::from_timestamp(2_000_000_000, 0), None));
}

#[test]
fn the_lookup_is_the_kubelets() {
    let (mut world, mut book) = (World::default(), book(&[registry("docker.io")]));
    world.secret("a/wide", &[("ghcr.io", "wide", "p"), ("index.docker.io", "hub", "p")]);
    world.secret("a/narrow", &[("ghcr.io/org", "narrow", "p"), ("ghcr.io", "", "p"), ("bad key ", "x", "p")]);
    world.document("a/opaque", "Opaque", "{}");
    world.document("a/broken", "kubernetes.io/dockerconfigjson", "{");
    world.document("a/pants", "kubernetes.io/dockerconfigjson", r#"{"auths":{"ghcr.io":{"auth":"pants"}}}"#);
    world.sync(&mut book);
    let ghcr = Some("ghcr.io");
    // Longer keys first, then Secrets in the order of the pod's list.
    let both = ["wide", "narrow"];
    assert_eq!(
        lookup(&book, "a", &both, "ghcr.io/org/x"),
        [row("narrow", 2, ghcr), row("wide", 0, ghcr), row("narrow", 1, None)]
    );
    assert_eq!(lookup(&book, "a", &both, "ghcr.io/else/x"), [row("wide", 0, ghcr), row("narrow", 1, None)]);
    assert_eq!(
        lookup(&book, "a", &["narrow", "wide"], "ghcr.io/else/x"),
        [row("narrow", 1, None), row("wide", 0, ghcr)]
    );
    assert_eq!(lookup(&book, "a", &["wide", "wide"], "ghcr.io/x"), [row("wide", 0, ghcr), row("wide", 0, ghcr)]);
    assert_eq!(lookup(&book, "a", &both, "nginx"), [row("wide", 1, Some("docker.io"))]);
    // The kubelet's rule presents Docker Hub's credential to a host that is none of Docker Hub's.
    assert_eq!(lookup(&book, "a", &both, "localhost/x"), [row("wide", 1, None)]);
    assert_eq!(lookup(&book, "a", &both, "quay.io/x"), []);
    assert_eq!(lookup(&book, "b", &both, "ghcr.io/x"), []);
    assert_eq!(lookup(&book, "a", &[], "ghcr.io/x"), []);

    let ring = book.keyring(&Arc::from("a"), &arcs(&["gone", "opaque", "wide", "elsewhere"]));
    assert_eq!((&ring.missing, &ring.wrong_type), (&arcs(&["gone", "elsewhere"]), &arcs(&["opaque"])));
    assert!(ring.poisoned.is_none() && ring.malformed.is_empty());
    assert_eq!(ring.lookup(&parse_image("ghcr.io/x").expect("image")).len(), 1);

    let ring = book.keyring(&Arc::from("a"), &arcs(&["wide", "pants", "broken", "gone"]));
    let (name, message) = ring.poisoned.as_ref().expect("poisoned");
    assert_eq!((&**name, *message), ("pants", "illegal base64 data at input byte 4"));
    assert_eq!((&ring.malformed, &ring.missing), (&arcs(&["pants", "broken"]), &arcs(&["gone"])));
    assert!(ring.lookup(&parse_image("ghcr.io/x").expect("image")).is_empty());
}

#[test]
fn of_too_many_credentials_what_is_left_out_is_told() {
    let (mut world, mut book) = (World::default(), book(&[]));
    let keys: Vec<String> = (0..=crate::credential::MOST_ENTRIES).map(|n| format!("ghcr.io/o{n}")).collect();
    let entries: Vec<(&str, &str, &str)> = keys.iter().map(|key| (key.as_str(), "octo", "p")).collect();
    let (fewer, more) = (&entries[..500], &entries);
    for secret in ["a/one", "a/two"] {
        world.secret(secret, fewer);
    }
    world.secret("a/last", &entries[..1]);
    world.secret("a/all", more);
    world.sync(&mut book);
    let unread = |secrets: &[&str]| book.keyring(&Arc::from("a"), &arcs(secrets)).unread.as_deref().map(str::to_owned);
    assert_eq!(unread(&["one", "two"]), None, "a thousand");
    assert_eq!(unread(&["one", "two", "last"]).as_deref(), Some("last"));
    assert_eq!(unread(&["last", "one", "two"]).as_deref(), Some("two"));
    assert_eq!(unread(&["all"]).as_deref(), Some("all"), "of one that is too large nothing is read");

    // For one image, as often as it is listed.
    let found = |times: usize| {
        let ring = book.keyring(&Arc::from("a"), &arcs(&vec!["last"; times]));
        let (matched, beyond) = ring.lookup_bounded(&parse_image("ghcr.io/o0/x").expect("image"));
        (matched.len(), beyond.is_some())
    };
    assert_eq!((found(50), found(51)), ((50, false), (50, true)));
}

#[test]
fn secrets_that_hold_the_same_share_what_was_read() {
    let (mut world, mut book) = (World::default(), book(&[]));
    for secret in ["a/one", "b/one"] {
        world.secret(secret, &[("ghcr.io", "octo", CLASSIC)]);
    }
    world.sync(&mut book);
    assert_eq!(book.decoded(), 1);
    let contents = |secret: &str| Arc::clone(&book.secrets[&at(secret)].contents);
    assert!(Arc::ptr_eq(&contents("a/one"), &contents("b/one")));
}

/// 20,000 Secrets with 1,000 logins: what the book adds per Secret, on top of the Secret itself.
#[test]
fn a_credential_is_small_and_a_password_stands_once() {
    assert!(size_of::<CredentialEntry>() <= 128, "{}", size_of::<CredentialEntry>());
    assert!(size_of::<SecretRecord>() <= 112, "{}", size_of::<SecretRecord>());
    assert!(size_of::<ObjectRef>() <= 32);
    let (mut world, mut book) = (World::default(), book(&[]));
    for secret in 0..2_000 {
        world.secret(&format!("n{secret}/pull"), &[("ghcr.io", "octo", &format!("password-{}", secret % 100))]);
    }
    assert_eq!(world.sync(&mut book).len(), 100);
    assert_eq!(book.logins.len(), 100);
    assert!(book.logins.values().all(|login| login.credentials == 20));
    let entries = || book.secrets.values().flat_map(|record| &record.credentials);
    let distinct = |pointers: BTreeSet<*const u8>| pointers.len();
    assert_eq!(distinct(entries().map(|entry| entry.username.as_ptr()).collect()), 1);
    assert_eq!(distinct(entries().map(|entry| entry.written.as_ptr()).collect()), 1);
    let keys: BTreeSet<*const RegistryKey> =
        entries().filter_map(|entry| entry.key.as_ref().map(Arc::as_ptr)).collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(book.in_use.len(), 1);
    assert!(entries().all(|entry| entry.findings.capacity() == entry.findings.len() && entry.logins.capacity() == 1));
    world.inventory.secrets.clear();
    world.sync(&mut book);
    assert!(book.secrets.is_empty() && book.logins.is_empty() && book.in_use.is_empty());
}

proptest! {
    /// However Secrets come, change and go, the book equals one that was made from the last state alone.
    #[test]
    fn the_book_forgets_and_learns_like_a_new_one(
        steps in proptest::collection::vec((0_usize..4, 0_usize..6, 0_usize..3, any::<bool>()), 1..30)
    ) {
        const KEYS: [&str; 6] = ["ghcr.io", "*.azurecr.io", "GHCR.io", "quay.io", "index.docker.io", "ghcr.io/org"];
        let config = [registry("*.azurecr.io"), registry("docker.io")];
        let (mut world, mut live) = (World::default(), book(&config));
        world.pod("a/pod", &["s0", "s1"], &["one.azurecr.io/x"]);
        let mut known = BTreeSet::new();
        for (secret, key, password, gone) in steps {
            let name = format!("a/s{secret}");
            if gone {
                world.inventory.secrets.remove(&at(&name));
            } else {
                world.secret(&name, &[(KEYS[key], "octo", &format!("p{password}")), ("ghcr.io/x", "octo", "p")]);
            }
            let fresh = world.sync(&mut live);
            let now: BTreeSet<LoginId> = live.logins.keys().copied().collect();
            prop_assert!(now.difference(&known).all(|login| fresh.contains(login)), "a new login is asked at once");
            prop_assert!(fresh.iter().all(|login| now.contains(login)));
            known = now;
        }
        let mut new = book(&config);
        world.sync(&mut new);
        let picture = |book: &Book| {
            let mut logins: Vec<_> = book.logins.values().map(|login| (login.id, login.credentials)).collect();
            logins.sort_unstable();
            (format!("{:?}", book.secrets), logins)
        };
        prop_assert_eq!(picture(&live), picture(&new));
    }
}
