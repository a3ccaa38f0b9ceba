//! What a dead login costs its owner, and what one tenant's Secrets cost the others.
//!
//! Nothing here measures time: requests in the world's log are counted, against each other or against bounds that hold for
//! however long the test takes.

use std::time::Duration;

use chrono::TimeDelta;
use pull_patrol::runtime::Source;
use simulator::{Fault, FaultRule, Host, LoggedRequest, TokenHandle, TokenSpec, World, mangle};

use crate::line::{Daemon, row};
use crate::support::manifests::{docker_config, ghcr_config, pull_secret};

/// Many rounds within a test, and confirmations as rare as in real life: so few refusals are earned meanwhile that what a
/// namespace has saved is nearly all that it may cause.
const ROUNDS: &str = "interval: 1s, confirmationSpacing: 1m, rejectedInterval: 6h";
/// Refusals that a namespace may cause at a host at once, and those that it earns in each `confirmationSpacing`.
const SAVED: usize = 60;
const PER_MINUTE: usize = 10;
/// How long a test waits for what must come: generous, since it only matters when something is broken.
const PATIENCE: Duration = Duration::from_secs(90);

fn secret(namespace: &str, name: &str, user: &str, token: &str) -> String {
    pull_secret(namespace, name, &docker_config("ghcr.io", user, token))
}

fn logins_of(token: &TokenHandle) -> impl Fn(&&LoggedRequest) -> bool {
    move |request| request.asked(Host::Ghcr, "/token") && request.shows(token)
}

fn questions_about(token: &TokenHandle) -> impl Fn(&&LoggedRequest) -> bool {
    move |request| request.asked(Host::GithubApi, "/rate_limit") && request.shows(token)
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !so() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn status(daemon: &Daemon, namespace: &str, name: &str) -> String {
    let rows = daemon.credentials().await;
    let row = row(&rows, namespace, name, "ghcr.io");
    row.and_then(|row| row["status"].as_str()).unwrap_or("no row").to_owned()
}

async fn becomes(daemon: &Daemon, namespace: &str, name: &str, wanted: &str) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = status(daemon, namespace, name).await;
        if found == wanted {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{namespace}/{name} is {found}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_logins_that_change_all_the_time_neither_flood_nor_starve() {
    let world = World::start().await.expect("a world");
    let good = world.add_token(TokenSpec::classic("alice"));
    let honest = secret("honest", "pull", "alice", good.secret());
    let made_up = world.mint(simulator::TokenKind::Classic, "made-up");
    let hostile = |round: usize| -> String {
        let auths: serde_json::Map<String, serde_json::Value> = (0..300)
            .map(|n| {
                (
                    format!("ghcr.io/o{n}"),
                    serde_json::json!({ "username": format!("u-{round}-{n}"), "password": made_up }),
                )
            })
            .collect();
        pull_secret("hostile", "pull", &serde_json::json!({ "auths": auths }).to_string())
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cluster.yaml");
    std::fs::write(&file, hostile(0) + &honest).expect("writable");
    let started = std::time::Instant::now();
    let daemon = Daemon::start(&ghcr_config(&world, None, ROUNDS), Source::Files(vec![file.clone()])).await;
    becomes(&daemon, "honest", "pull", "valid").await;
    let rounds = || world.count(logins_of(&good));
    // Logins never seen before, again and again, while the honest one goes its rounds.
    for round in 1..=6 {
        std::fs::write(&file, hostile(round) + &honest).expect("writable");
        let before = rounds();
        until("another three rounds of the honest login", || rounds() >= before + 3).await;
        assert_eq!(status(&daemon, "honest", "pull").await, "valid");
    }
    let refused = world.count(|request| {
        request.asked(Host::Ghcr, "/token") && request.presented.is_some() && !logins_of(&good)(request)
    });
    let minutes = usize::try_from(started.elapsed().as_secs() / 60 + 1).expect("few");
    assert!(refused >= SAVED, "they were asked at all: {refused}");
    assert!(refused <= SAVED + PER_MINUTE * minutes, "{refused} bad logins in {minutes} minutes");

    let (_, metrics) = daemon.get("/metrics").await;
    let waiting = metrics.lines().find(|line| {
        line.starts_with("pullpatrol_refusals_waiting{secret_namespace=\"hostile\",registry=\"ghcr.io\"} ")
    });
    assert!(waiting.is_some(), "it is told that logins wait");
    assert!(!metrics.contains("pullpatrol_refusals_waiting{secret_namespace=\"honest\""));
    // An honest newcomer is asked at once, though the other namespace has hundreds that wait.
    let second = world.add_token(TokenSpec::classic("bob"));
    std::fs::write(&file, hostile(7) + &honest + &secret("honest", "new", "bob", second.secret())).expect("writable");
    becomes(&daemon, "honest", "new", "valid").await;
    daemon.stop().await;
}

/// Two owners; one is stopped at the API, the other one's tokens are asked about as before.
async fn one_owner_is_stopped(stop: impl Fn(&World, &[TokenHandle]), refused_by: &str, logins_pause: bool) {
    let world = World::start().await.expect("a world");
    let alice = [world.add_token(TokenSpec::classic("alice")), world.add_token(TokenSpec::classic("alice"))];
    let bob = world.add_token(TokenSpec::classic("bob"));
    let manifests = secret("a", "one", "alice", alice[0].secret())
        + &secret("b", "two", "alice", alice[1].secret())
        + &secret("a", "bob", "bob", bob.secret());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cluster.yaml");
    std::fs::write(&file, manifests).expect("writable");
    let daemon = Daemon::start(&ghcr_config(&world, None, ROUNDS), Source::Files(vec![file])).await;
    for (namespace, name) in [("a", "one"), ("b", "two"), ("a", "bob")] {
        becomes(&daemon, namespace, name, "valid").await;
    }
    // The owners are known once the answers are in.
    until("owners", || alice.iter().chain([&bob]).all(|token| world.count(questions_about(token)) >= 2)).await;
    stop(&world, &alice);
    let told = |token: &TokenHandle| {
        world.count(|request| request.host == Host::GithubApi && request.shows(token) && request.status == Some(403))
    };
    until(refused_by, || alice.iter().any(|token| told(token) > 0)).await;
    // One exchange of each may have been under way.
    let others = || world.count(questions_about(&bob));
    let start = others();
    until("the other owner's next questions", || others() >= start + 2).await;
    let paused = || -> Vec<usize> { alice.iter().map(|token| world.count(questions_about(token))).collect() };
    let logins = || -> Vec<usize> { alice.iter().map(|token| world.count(logins_of(token))).collect() };
    let (questions_before, logins_before, start) = (paused(), logins(), others());
    until("more of the other owner's questions", || others() >= start + 4).await;
    assert_eq!(paused(), questions_before, "nothing is asked about the tokens of that owner");
    if logins_pause {
        assert_eq!(logins(), logins_before, "nor does anything log in with them");
    } else {
        assert!(logins().iter().zip(&logins_before).all(|(now, before)| now > before), "registries go on");
    }
    for (namespace, name) in [("a", "one"), ("b", "two"), ("a", "bob")] {
        assert_eq!(status(&daemon, namespace, name).await, "valid", "the last proven state stays");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_out_of_one_owner_stops_only_this_owner() {
    one_owner_is_stopped(|world, _| world.owner("alice").lock_out(TimeDelta::hours(1)), "a lock-out", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_of_one_owner_stops_only_this_owner() {
    let exhausted = |world: &World, tokens: &[TokenHandle]| {
        let reset = (world.now() + TimeDelta::minutes(30)).timestamp().to_string();
        let headers = [("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &*reset)];
        let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let body = r#"{"message":"API rate limit exceeded for user ID 1."}"#.to_owned();
        for token in tokens {
            let fault = Fault::Status { status: 403, body: body.clone(), headers: headers.clone() };
            world.fault(FaultRule::on(Host::GithubApi, fault).token(token));
        }
    };
    one_owner_is_stopped(exhausted, "a rate limit", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_with_little_quota_left_is_asked_about_less_often() {
    let world = World::start().await.expect("a world");
    let (poor, rich) = (world.add_token(TokenSpec::classic("poor")), world.add_token(TokenSpec::classic("rich")));
    world.owner("poor").set_rate_limit(5000, 4, TimeDelta::minutes(50));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cluster.yaml");
    let manifests = secret("a", "poor", "poor", poor.secret()) + &secret("a", "rich", "rich", rich.secret());
    std::fs::write(&file, manifests).expect("writable");
    let daemon = Daemon::start(&ghcr_config(&world, None, ROUNDS), Source::Files(vec![file])).await;
    becomes(&daemon, "a", "poor", "valid").await;
    becomes(&daemon, "a", "rich", "valid").await;
    until("questions about the rich one", || world.count(questions_about(&rich)) >= 5).await;
    assert_eq!(world.count(questions_about(&poor)), 1, "the rest belongs to the owner's other tools");
    let (_, metrics) = daemon.get("/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with("pullpatrol_issuer_interval_seconds{")).expect("a series");
    let seconds: f64 = line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number");
    assert!((2_900.0..=3_001.0).contains(&seconds), "until the reset: {line}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_login_is_left_alone_until_its_secret_changes() {
    let world = World::start().await.expect("a world");
    let good = world.add_token(TokenSpec::classic("alice"));
    let dead = mangle(good.secret());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cluster.yaml");
    let control = secret("a", "good", "alice", good.secret());
    std::fs::write(&file, secret("a", "dead", "carol", &dead) + &control).expect("writable");
    let config = ghcr_config(&world, None, "interval: 1s, confirmationSpacing: 1s, rejectedInterval: 6h");
    let daemon = Daemon::start(&config, Source::Files(vec![file.clone()])).await;
    becomes(&daemon, "a", "dead", "rejected").await;
    let bad = || world.count(|request| request.presented.is_some() && request.presented.token().is_none());
    let rounds = || world.count(logins_of(&good));
    // An issuer's answer may have been under way.
    let start = rounds();
    until("a round", || rounds() >= start + 2).await;
    let (asked, start) = (bad(), rounds());
    until("five rounds", || rounds() >= start + 5).await;
    assert_eq!(bad(), asked, "neither the registry nor the issuer");
    // Another password: at once.
    std::fs::write(&file, secret("a", "dead", "carol", good.secret()) + &control).expect("writable");
    becomes(&daemon, "a", "dead", "valid").await;
    daemon.stop().await;
}
