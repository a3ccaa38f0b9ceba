//! The daemon while registry and issuer misbehave.

use chrono::TimeDelta;
use simulator::{Fault, FaultHandle, FaultRule, Host, RegistryKind, TokenHandle, TokenSpec, Visibility, World};

use super::{SHORT, Scene};
use crate::support::manifests::{docker_config, ghcr_config, pod, pull_secret};

const INCIDENT: &str = "pullpatrol_registry_incident{registry=\"ghcr.io\"}";
const UP: &str = "pullpatrol_registry_up{registry=\"ghcr.io\"}";

/// Good tokens `a/good-N` of owners of their own, each with a pod.
fn good(world: &World, count: usize) -> (Vec<TokenHandle>, String) {
    world.add_package("acme/app", Visibility::private());
    let mut manifests = String::new();
    let mut tokens = Vec::new();
    for n in 0..count {
        let (name, owner) = (format!("good-{n}"), format!("owner-{n}"));
        let token = world.add_token(TokenSpec::classic(&owner).reads("acme"));
        manifests += &pull_secret("a", &name, &docker_config("ghcr.io", &owner, token.secret()));
        manifests += &pod("a", &name, "ghcr.io/acme/app:latest", &[&name]);
        tokens.push(token);
    }
    (tokens, manifests)
}

const FOUR: [&str; 4] = ["a/good-0", "a/good-1", "a/good-2", "a/good-3"];

fn all_valid() -> Vec<(&'static str, &'static str)> {
    FOUR.map(|place| (place, "valid")).to_vec()
}

/// All pulls are denied while logins are accepted: no credential is called forbidden, the registry is.
async fn denies_everyone(logins: usize, canary: Option<&str>, allowed: &[&str]) {
    let world = World::start().await.expect("a world");
    world.add_package("acme/public", Visibility::Public);
    let (_tokens, manifests) = good(&world, logins);
    let places = &FOUR[..logins];
    let scene = Scene::start(&ghcr_config(&world, canary, SHORT), &manifests).await;
    scene.becomes(&all_valid()[..logins], &["unverified"]).await;
    let fault = world.fault(FaultRule::on(Host::Ghcr, Fault::ghcr_denied()).path("/v2/acme/"));
    // Two requests each, and more of them than the confirmations that would prove a denial.
    let enough = 12 * u32::try_from(logins).expect("few");
    scene.stays(places, allowed, || fault.hits() >= enough).await;
    scene.metric_becomes(INCIDENT, 1.0).await;
    fault.remove();
    scene.becomes(&all_valid()[..logins], allowed).await;
    scene.metric_becomes(INCIDENT, 0.0).await;
    scene.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_denies_all_pulls_forbids_nobody() {
    denies_everyone(4, None, &["valid"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_tells_denials_of_everyone_from_one_lost_right() {
    denies_everyone(1, Some("acme/public"), &["valid", "unverified"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_out_owner_has_no_dead_tokens() {
    let world = World::start().await.expect("a world");
    let (tokens, manifests) = good(&world, 4);
    let scene = Scene::ghcr(&world, &manifests).await;
    scene.becomes(&all_valid(), &["unverified"]).await;
    world.owner("owner-0").lock_out(TimeDelta::hours(1));
    // The issuer says why the login is refused; from then on nothing is asked with this owner's token, and the others go on.
    let told = || world.count(|request| request.host == Host::GithubApi && request.status == Some(403));
    scene.stays(&FOUR[..1], &["valid", "unverified"], || told() >= 1).await;
    let rounds = || world.count(|request| request.asked(Host::Ghcr, "/token") && request.shows(&tokens[1]));
    let before = rounds();
    scene.stays(&FOUR[..1], &["valid", "unverified"], || rounds() >= before + 2).await;
    let asked = || world.count(|request| request.shows(&tokens[0]));
    let (paused, before) = (asked(), rounds());
    scene.stays(&FOUR[..1], &["valid", "unverified"], || rounds() >= before + 6).await;
    assert_eq!(asked(), paused, "each exchange would be one more failed login of a locked-out owner");
    scene.becomes(&all_valid()[1..], &[]).await;
    scene.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn false_refusals_here_and_there_reject_nobody() {
    let world = World::start().await.expect("a world");
    let (tokens, manifests) = good(&world, 4);
    let scene = Scene::ghcr(&world, &manifests).await;
    scene.becomes(&all_valid(), &["unverified"]).await;
    // One login is refused twice in a row, while the API disowns its token now and then: one short of a proof.
    let burst =
        world.fault(FaultRule::on(Host::Ghcr, Fault::ghcr_denied()).path("/token").token(&tokens[0]).skip(4).times(2));
    let each = |rule: &dyn Fn() -> FaultRule| -> Vec<_> {
        tokens.iter().map(|token| world.fault(rule().token(token).every(3))).collect()
    };
    let lag = each(&|| FaultRule::on(Host::GithubApi, Fault::bad_credentials()));
    let blips = each(&|| FaultRule::on(Host::Ghcr, Fault::ghcr_denied()).path("/token"));
    let bearer = world.fault(FaultRule::on(Host::Ghcr, Fault::ghcr_unauthenticated()).path("/v2/acme/").every(3));
    let often = |faults: &[FaultHandle]| faults.iter().all(|fault| fault.hits() >= 2);
    scene.stays(&FOUR, &["valid", "unverified"], || often(&lag) && often(&blips) && burst.hits() == 2).await;
    assert!(bearer.hits() > 0);
    world.clear_faults();
    scene.becomes(&all_valid(), &["unverified"]).await;
    scene.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_ages_the_verdict_and_changes_it_not() {
    let world = World::start().await.expect("a world");
    let registry = world.add_registry(RegistryKind::BearerElsewhere).await.expect("a registry");
    registry.add_login("robot", "right");
    let realm = registry.token_service_url().expect("a token service").trim_start_matches("http://").to_owned();
    let config = format!(
        "registries:\n  - host: ghcr.io\n    issuer: none\n    endpoint: {}\n    realms: [\"{realm}\"]\n    \
         plainHttp: true\n    allowPrivateAddresses: true\nprobe: {{{SHORT}}}\n",
        registry.url()
    );
    let scene = Scene::start(&config, &pull_secret("a", "pull", &docker_config("ghcr.io", "robot", "right"))).await;
    scene.becomes(&[("a/pull", "valid")], &["unverified"]).await;
    scene.metric_becomes(UP, 1.0).await;
    for (fault, up) in [(Fault::status(503), 1.0), (Fault::Reset, 0.0)] {
        let fault = world.fault(FaultRule::on(registry.token_service(), fault));
        scene.stays(&["a/pull"], &["valid"], || fault.hits() >= 1).await;
        scene.metric_becomes(UP, up).await;
        let (verdict, probe) = (scene.field("a/pull", "last_verdict_at").await, fault.hits());
        scene.stays(&["a/pull"], &["valid"], || fault.hits() >= probe + 2).await;
        assert_eq!(scene.field("a/pull", "last_verdict_at").await, verdict, "nothing was proven meanwhile");
        fault.remove();
        scene.until("a/pull", |row| row["last_verdict_at"] != verdict && row["status"] == "valid").await;
        scene.metric_becomes(UP, 1.0).await;
    }
    scene.daemon.stop().await;
}
