//! The daemon while tokens, packages and organisations change.

use std::time::Duration;

use chrono::TimeDelta;
use simulator::{
    Fault, FaultRule, Host, OrgPolicy, PullRefusal, RegistryKind, TokenHandle, TokenSpec, Visibility, World, mangle,
};

use super::{LOOK, SHORT, Scene, has_finding};
use crate::support::manifests::{docker_config, ghcr_config, pod, pull_secret};

fn secret(name: &str, user: &str, token: &str) -> String {
    pull_secret("a", name, &docker_config("ghcr.io", user, token))
}

/// A Secret `a/NAME`, and a pod that pulls an image with it.
fn pulls(name: &str, token: &TokenHandle, image: &str) -> String {
    secret(name, name, token.secret()) + &pod("a", name, &format!("ghcr.io/{image}:latest"), &[name])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_a_token_shows_and_no_other() {
    let world = World::start().await.expect("a world");
    let app = world.add_package("acme/app", Visibility::private());
    let tool = world.add_package("acme/tool", Visibility::Public);
    let add = |owner: &str| world.add_token(TokenSpec::classic(owner).reads("acme/app"));
    let (good, revoked, scoped) = (add("good"), add("revoked"), add("scoped"));
    let ends =
        world.add_token(TokenSpec::classic("ends").reads("acme/app").expires_at(world.now() + TimeDelta::seconds(12)));
    let readers: Vec<TokenHandle> = (0..3).map(|n| add(&format!("reader-{n}"))).collect();
    let outsider = add("outsider");
    let fine = world.add_token(TokenSpec::fine_grained("fine").reads("acme"));
    let installation = world.add_token(TokenSpec::app_installation().reads("acme"));
    let mut manifests = pulls("good", &good, "acme/app")
        + &pulls("revoked", &revoked, "acme/app")
        + &pulls("scoped", &scoped, "acme/app")
        + &pulls("ends", &ends, "acme/app")
        + &pulls("outsider", &outsider, "acme/tool")
        + &pulls("fine", &fine, "acme/app")
        + &pulls("installation", &installation, "acme/app")
        + &secret("mangled", "mangled", &mangle(good.secret()));
    for (n, reader) in readers.iter().enumerate() {
        manifests += &pulls(&format!("reader-{n}"), reader, "acme/app");
    }
    let scene = Scene::ghcr(&world, &manifests).await;
    let known = &["unverified"];
    scene
        .becomes(
            &[
                ("a/good", "valid"),
                ("a/revoked", "valid"),
                ("a/scoped", "valid"),
                ("a/outsider", "valid"),
                ("a/reader-0", "valid"),
                ("a/fine", "unsupported"),
                ("a/installation", "unsupported"),
                ("a/mangled", "rejected"),
            ],
            known,
        )
        .await;

    // Different things happen to different tokens at the same time: none of them is an incident.
    revoked.revoke();
    scoped.set_scopes(Some(&[]));
    tool.set_visibility(Visibility::private());
    scene
        .becomes(
            &[
                ("a/good", "valid"),
                ("a/reader-0", "valid"),
                ("a/reader-1", "valid"),
                ("a/revoked", "rejected"),
                ("a/scoped", "insufficient_scope"),
                ("a/outsider", "forbidden"),
                ("a/ends", "expired"),
            ],
            &["valid", "unverified"],
        )
        .await;
    scene.until("a/scoped", |row| row["scopes"].as_array().is_some_and(Vec::is_empty)).await;

    scoped.set_scopes(Some(&["write:packages"]));
    outsider.set_reads(&["acme"]);
    scene
        .becomes(
            &[("a/good", "valid"), ("a/scoped", "valid"), ("a/outsider", "valid")],
            &["insufficient_scope", "forbidden", "unverified"],
        )
        .await;
    scene.becomes(&[("a/revoked", "rejected"), ("a/ends", "expired"), ("a/mangled", "rejected")], &[]).await;
    drop(app);
    scene.daemon.stop().await;
}

/// A login whose organisation begins to demand SSO is denied, the reason is named, and both end with the authorisation.
async fn sso(refusal: PullRefusal) {
    let world = World::start().await.expect("a world");
    world.set_unsettled(|answers| answers.sso_pull = refusal);
    world.add_package("globex/app", Visibility::private());
    world.add_package("acme/app", Visibility::private());
    world.set_org("globex", OrgPolicy::default());
    let (token, other) = (
        world.add_token(TokenSpec::classic("alice").reads("globex")),
        world.add_token(TokenSpec::classic("bob").reads("acme")),
    );
    let manifests = pulls("sso", &token, "globex/app") + &pulls("other", &other, "acme/app");
    // The issuer comes round once an hour: the reason must not wait for that.
    let config = ghcr_config(&world, None, SHORT).replace("issuer: {interval: 2s}", "issuer: {interval: 1h}");
    let scene = Scene::start(&config, &manifests).await;
    scene.becomes(&[("a/sso", "valid"), ("a/other", "valid")], &["unverified"]).await;
    world.set_org("globex", OrgPolicy { sso_required: true, ..OrgPolicy::default() });
    scene.becomes(&[("a/sso", "forbidden"), ("a/other", "valid")], &["valid"]).await;
    scene.until("a/sso", |row| has_finding(row, "sso_required")).await;
    token.set_sso_authorized("globex", true);
    scene.becomes(&[("a/sso", "valid"), ("a/other", "valid")], &["forbidden"]).await;
    scene.until("a/sso", |row| !has_finding(row, "sso_required")).await;
    scene.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sso_demanded_in_words_of_access() {
    sso(PullRefusal::RequestedAccess).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sso_demanded_in_words_of_authentication() {
    sso(PullRefusal::Unauthorized).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_in_flight_says_nothing_of_the_password_that_came_after() {
    let world = World::start().await.expect("a world");
    let (old, new) = (world.add_token(TokenSpec::classic("alice")), world.add_token(TokenSpec::classic("alice")));
    let control = world.add_token(TokenSpec::classic("bob"));
    let with =
        |token: &TokenHandle| secret("pull", "alice", token.secret()) + &secret("control", "bob", control.secret());
    // Yes to the old one comes late, and the new one is dead; then the other way round.
    new.revoke();
    let slow = world.fault(FaultRule::on(Host::Ghcr, Fault::Delay(Duration::from_secs(4))).path("/token").token(&old));
    let scene = Scene::ghcr(&world, &with(&old)).await;
    world.wait_until(|log| log.iter().any(|request| request.asked(Host::Ghcr, "/token") && request.shows(&old))).await;
    scene.rewrite(&with(&new));
    scene.becomes(&[("a/pull", "rejected"), ("a/control", "valid")], &["unverified"]).await;
    old.revoke();
    new.restore();
    scene.rewrite(&with(&old));
    let asked = || world.count(|request| request.asked(Host::Ghcr, "/token") && request.shows(&old));
    let before = asked();
    while asked() == before {
        tokio::time::sleep(LOOK).await;
    }
    scene.rewrite(&with(&new));
    // The row of the old password may still be there until the file is read again.
    scene.becomes(&[("a/pull", "valid"), ("a/control", "valid")], &["unverified", "rejected"]).await;
    let answers = || world.count(|request| request.shows(&old) && request.status.is_some());
    let (before, after) = (answers(), asked());
    scene.stays(&["a/pull", "a/control"], &["valid"], || answers() > before || answers() >= after).await;
    slow.remove();
    scene.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_at_several_registries_stands_and_falls_at_each() {
    let world = World::start().await.expect("a world");
    let registry = world.add_registry(RegistryKind::Basic).await.expect("a registry");
    let token = world.add_token(TokenSpec::classic("alice"));
    registry.add_login("alice", token.secret());
    let document = |host: &str| docker_config(host, "alice", token.secret());
    let plain = format!(
        "registries:\n  - host: registry.example.com\n    issuer: none\n    endpoint: {}\n    plainHttp: true\n    \
         allowPrivateAddresses: true\n",
        registry.url()
    );
    let config = ghcr_config(&world, None, SHORT).replace("registries:\n", &plain);
    let good = world.add_token(TokenSpec::classic("bob"));
    let manifests = pull_secret("a", "ghcr", &document("ghcr.io"))
        + &pull_secret("a", "plain", &document("registry.example.com"))
        + &secret("control", "bob", good.secret());
    let scene = Scene::start(&config, &manifests).await;
    scene.becomes(&[("a/ghcr", "valid"), ("a/plain registry.example.com", "valid")], &["unverified"]).await;
    token.revoke();
    scene.becomes(&[("a/ghcr", "rejected")], &["valid"]).await;
    scene.becomes(&[("a/plain registry.example.com", "valid"), ("a/control", "valid")], &[]).await;
    scene.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_breaks_takes_nothing_away() {
    let world = World::start().await.expect("a world");
    let token = world.add_token(TokenSpec::classic("alice"));
    let scene = Scene::ghcr(&world, &secret("pull", "alice", token.secret())).await;
    scene.becomes(&[("a/pull", "valid")], &["unverified"]).await;
    for broken in ["", "kind: Secret\n  : ["] {
        scene.rewrite(broken);
        // Two looks at the files are two seconds each: so many rounds of the login reach past both.
        let rounds = || world.count(|request| request.asked(Host::Ghcr, "/token"));
        let before = rounds();
        scene.stays(&["a/pull"], &["valid"], || rounds() > before + 3).await;
    }
    scene.daemon.stop().await;
}
