//! The one-shot form: it ends, soon, and not before a refusal is confirmed.

use std::process::Stdio;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;
use simulator::{
    ExpiryHeader, Fault, FaultRule, Host, OrgPolicy, RegistryKind, RetryAfter, TokenKind, TokenSpec, Visibility, World,
};
use tokio::process::Command;

use super::{find, has_finding, status_of};
use crate::support::manifests::{docker_config, ghcr_config, pod, pull_secret};

/// A run that takes longer does not end by itself.
const ENDLESS: Duration = Duration::from_secs(45);
/// Refusals count when they are a second apart.
const SPACED: &str = "confirmationSpacing: 1s, timeout: 2s";

struct Checked {
    code: Option<i32>,
    rows: Vec<Value>,
}

impl Checked {
    fn status(&self, place: &str) -> &str {
        status_of(find(&self.rows, place))
    }

    fn count(&self, status: &str) -> usize {
        self.rows.iter().filter(|row| row["status"] == status).count()
    }
}

async fn check(config: &str, manifests: &str) -> Checked {
    let folder = tempfile::tempdir().expect("a folder");
    let (objects, settings) = (folder.path().join("cluster.yaml"), folder.path().join("patrol.yaml"));
    std::fs::write(&objects, manifests).expect("writable");
    std::fs::write(&settings, config).expect("writable");
    let run = Command::new(env!("CARGO_BIN_EXE_pull-patrol"))
        .args(["check", "-o", "json", "--config.file"])
        .args([&settings, &objects])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(ENDLESS, run).await.expect("the run never ends").expect("check runs");
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    Checked { code: output.status.code(), rows: document["credentials"].as_array().expect("a list").clone() }
}

/// Secrets `a/good-N`, each with a token of its own and a pod that pulls with it.
fn good_logins(world: &World, count: usize) -> String {
    world.add_package("acme/app", Visibility::private());
    (0..count)
        .map(|n| {
            let owner = format!("owner-{n}");
            let token = world.add_token(TokenSpec::classic(&owner).reads("acme"));
            let name = format!("good-{n}");
            pull_secret("a", &name, &docker_config("ghcr.io", &owner, token.secret()))
                + &pod("a", &name, "ghcr.io/acme/app:latest", &[&name])
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_confirms_a_single_dead_token() {
    let world = World::start().await.expect("a world");
    let dead = world.add_token(TokenSpec::classic("alice"));
    dead.revoke();
    let ended = world.add_token(TokenSpec::classic("bob").expires_at(world.now() - TimeDelta::hours(1)));
    for token in [&dead, &ended] {
        let secret = pull_secret("a", "dead", &docker_config("ghcr.io", "alice", token.secret()));
        let found = check(&ghcr_config(&world, None, SPACED), &secret).await;
        // Nobody told when the second one ended: the issuer disowns what has expired like what never was.
        assert_eq!((found.status("a/dead"), found.code), ("rejected", Some(1)), "{:#?}", found.rows);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_confirms_a_dead_login_without_an_issuer() {
    let world = World::start().await.expect("a world");
    for kind in [RegistryKind::Basic, RegistryKind::Bearer] {
        let registry = world.add_registry(kind).await.expect("a registry");
        registry.add_login("robot", "right");
        let config = format!(
            "registries:\n  - host: registry.example.com\n    issuer: none\n    endpoint: {}\n    plainHttp: true\n    \
             allowPrivateAddresses: true\nprobe: {{{SPACED}}}\n",
            registry.url()
        );
        for (password, status, code) in [("wrong", "rejected", 1), ("right", "valid", 0)] {
            let secret = pull_secret("a", "pull", &docker_config("registry.example.com", "robot", password));
            let found = check(&config, &secret).await;
            assert_eq!((found.status("a/pull registry.example.com"), found.code), (status, Some(code)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_ends_unverified_where_the_registry_cannot_answer() {
    let faults = [
        Fault::status(503),
        Fault::RateLimited { retry_after: RetryAfter::Seconds(1), ghcr_duration: None },
        Fault::RateLimited { retry_after: RetryAfter::Seconds(3600), ghcr_duration: None },
        Fault::Reset,
        Fault::Html,
    ];
    let runs = faults.map(async |fault| {
        let world = World::start().await.expect("a world");
        let manifests = good_logins(&world, 2);
        world.fault(FaultRule::on(Host::Ghcr, fault.clone()));
        let found = check(&ghcr_config(&world, None, SPACED), &manifests).await;
        assert_eq!((found.count("unverified"), found.code), (2, Some(3)), "{fault:?}: {:#?}", found.rows);
    });
    futures::future::join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_waits_out_a_short_throttle() {
    let world = World::start().await.expect("a world");
    let manifests = good_logins(&world, 1);
    let throttle = Fault::RateLimited { retry_after: RetryAfter::Seconds(1), ghcr_duration: None };
    world.fault(FaultRule::on(Host::Ghcr, throttle).path("/token").times(1));
    let found = check(&ghcr_config(&world, None, SPACED), &manifests).await;
    assert_eq!((found.status("a/good-0"), found.code), ("valid", Some(0)), "{:#?}", found.rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_tells_the_dead_among_many() {
    let world = World::start().await.expect("a world");
    let mut manifests = String::new();
    for n in 0..30 {
        let token = world.add_token(TokenSpec::classic(format!("owner-{n}")));
        if n % 6 == 0 {
            token.revoke();
        }
        manifests += &pull_secret("a", &format!("s{n}"), &docker_config("ghcr.io", "user", token.secret()));
    }
    let found = check(&ghcr_config(&world, None, SPACED), &manifests).await;
    assert_eq!((found.count("valid"), found.count("rejected"), found.code), (25, 5, Some(1)), "{:#?}", found.rows);
    assert!((0..30).all(|n| (found.status(&format!("a/s{n}")) == "rejected") == (n % 6 == 0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_ends_while_a_registry_refuses_everyone() {
    let faults = [
        ("/token", None),
        ("/token", Some("acme/public")),
        ("/", Some("acme/public")),
        // Logins are accepted, pulls are not.
        ("/v2/acme/", None),
        ("/v2/acme/", Some("acme/public")),
    ];
    let runs = faults.map(async |(path, canary)| {
        let world = World::start().await.expect("a world");
        world.add_package("acme/public", Visibility::Public);
        let manifests = good_logins(&world, 10);
        world.fault(FaultRule::on(Host::Ghcr, Fault::ghcr_denied()).path(path));
        let found = check(&ghcr_config(&world, canary, SPACED), &manifests).await;
        assert_eq!((found.count("unverified"), found.code), (10, Some(3)), "{path} {canary:?}: {:#?}", found.rows);
    });
    futures::future::join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_ends_unverified_where_nobody_is() {
    let world = World::start().await.expect("a world");
    let token = world.mint(TokenKind::Classic, "");
    let config = "registries:\n  - host: ghcr.io\n    issuer: github\n    endpoint: http://127.0.0.1:9\n    \
                  api: http://127.0.0.1:9\n    plainHttp: true\n    allowPrivateAddresses: true\n"
        .to_owned()
        + &format!("probe: {{{SPACED}}}\n");
    let found = check(&config, &pull_secret("a", "pull", &docker_config("ghcr.io", "alice", &token))).await;
    assert_eq!((found.status("a/pull"), found.code), ("unverified", Some(3)), "{:#?}", found.rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_why_a_package_is_denied() {
    let world = World::start().await.expect("a world");
    world.add_package("globex/app", Visibility::private());
    world.set_org("globex", OrgPolicy { sso_required: true, ..OrgPolicy::default() });
    let token = world.add_token(TokenSpec::classic("alice").reads("globex").expiry_header(ExpiryHeader::Truthful));
    let manifests = pull_secret("a", "sso", &docker_config("ghcr.io", "alice", token.secret()))
        + &pod("a", "p", "ghcr.io/globex/app:latest", &["sso"]);
    let found = check(&ghcr_config(&world, None, SPACED), &manifests).await;
    assert_eq!((found.status("a/sso"), found.code), ("forbidden", Some(1)), "{:#?}", found.rows);
    assert!(has_finding(&found.rows[0], "sso_required"), "{:#?}", found.rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_proves_a_denial_that_nobody_explains_within_its_run() {
    let world = World::start().await.expect("a world");
    world.add_package("globex/app", Visibility::private());
    let token = world.add_token(TokenSpec::classic("alice"));
    let manifests = pull_secret("a", "pull", &docker_config("ghcr.io", "alice", token.secret()))
        + &pod("a", "p", "ghcr.io/globex/app:latest", &["pull"]);
    let found = check(&ghcr_config(&world, None, SPACED), &manifests).await;
    assert_eq!((found.status("a/pull"), found.code), ("forbidden", Some(1)), "{:#?}", found.rows);
}
