//! Registries that mean harm: nothing forbidden is contacted, no secret goes where it must not, and memory and time
//! stay bounded.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use pull_patrol::credential::TokenKind;
use pull_patrol::plan::{IssuerKind, Registry};
use pull_patrol::probe::{Guarded, LoginAnswer, Unproven, Unreachable};
use rstest::rstest;
use simulator::{Fault, FaultRule, Host, Hostile, RegistryKind, TokenSpec, TrapListener, World};

use crate::probe_support::{Proof, ghcr, hasty, issuer, login, pass, prober, registry, user};

async fn hostile(hostile: Hostile) -> (World, Registry) {
    let world = World::start().await.unwrap();
    let handle = world.add_registry(RegistryKind::Hostile(hostile)).await.unwrap();
    handle.add_login("bot", "right");
    let registry = registry("registry.example", handle.url());
    (world, registry)
}

#[tokio::test]
async fn realms_and_redirects_at_others() {
    let trap = TrapListener::start().await.unwrap();
    let to = trap.url();
    for kind in [
        Hostile::ForeignRealm(format!("{to}/token")),
        Hostile::LinkLocalRealm,
        Hostile::Redirect(format!("{to}/v2/")),
        Hostile::RedirectFromTokenService(format!("{to}/token")),
        Hostile::RedirectFromTokenService("http://169.254.169.254/latest".to_owned()),
        Hostile::ForeignRealm("http://[::ffff:127.0.0.1]/token".to_owned()),
        Hostile::ForeignRealm("gopher://registry.example/".to_owned()),
        Hostile::ForeignRealm("not a url".to_owned()),
        Hostile::ForeignRealm(format!("http://user:pass@{}/token", trap.address())),
    ] {
        let (world, registry) = hostile(kind.clone()).await;
        let prober = prober();
        let evidence = login(&prober, &registry, "bot", "right").await;
        assert!(
            matches!(evidence.answer.unproven(), Some(Unproven::Guarded(Guarded::ForeignRealm(_)))),
            "{kind:?} {evidence:?}"
        );
        let (name, password) = (user("bot"), pass("right"));
        let evidence = prober.access(&registry, Some((&name, &password)), "a/b", "latest").await;
        assert!(
            matches!(evidence.answer.unproven(), Some(Unproven::Guarded(Guarded::ForeignRealm(_)))),
            "{kind:?} {evidence:?}"
        );
        let own_token_service = matches!(kind, Hostile::RedirectFromTokenService(_));
        assert!(own_token_service || world.requests().iter().all(|r| !r.presented.is_some()), "{kind:?}");
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn a_listed_realm_at_a_private_address_is_not_contacted() {
    let trap = TrapListener::start().await.unwrap();
    let (_world, mut registry) = hostile(Hostile::ForeignRealm(format!("{}/token", trap.url()))).await;
    registry.allowed_hosts.push(trap.address().to_string());
    registry.allow_private_addresses = false;
    let evidence = login(&prober(), &registry, "bot", "right").await;
    assert_eq!(evidence.answer, LoginAnswer::Unproven(Unproven::Guarded(Guarded::PrivateAddress)));
    assert_eq!(trap.connections(), 0);
}

#[rstest]
#[case("http://localhost")]
#[case("http://127.0.0.1")]
#[case("http://2130706433")]
#[case("http://[::1]")]
#[case("http://[::ffff:7f00:1]")]
#[case("http://0.0.0.0")]
#[tokio::test]
async fn registries_at_private_addresses(#[case] base: &str) {
    let trap = TrapListener::bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
    let url = format!("{base}:{}", trap.address().port());
    let registry = Registry { allow_private_addresses: false, ..registry("evil.example", &url) };
    let evidence = login(&prober(), &registry, "bot", "right").await;
    assert_eq!(evidence.answer.unproven(), Some(&Unproven::Guarded(Guarded::PrivateAddress)));
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn a_credential_that_no_server_takes_is_not_sent() {
    let world = World::start().await.unwrap();
    let long = "x".repeat(1 << 20);
    let (prober, registry) = (prober(), ghcr(&world));
    let evidence = login(&prober, &registry, "bot", &long).await;
    assert_eq!(evidence.answer.unproven(), Some(&Unproven::Odd("too_long")));
    let (name, password) = (user(&long), pass("right"));
    let evidence = prober.access(&registry, Some((&name, &password)), "a/b", "latest").await;
    assert_eq!(evidence.answer.unproven(), Some(&Unproven::Odd("too_long")));
    let api = issuer(IssuerKind::GithubCloud, &world.github_api_url());
    let evidence = prober.issuer(&api, &registry, &pass(&long), TokenKind::GithubClassic, true).await;
    assert_eq!(evidence.answer.unproven(), Some(&Unproven::Odd("too_long")));
    assert_eq!((world.connections(Host::Ghcr), world.connections(Host::GithubApi)), (0, 0));
}

#[tokio::test]
async fn plain_http_needs_to_be_allowed() {
    let world = World::start().await.unwrap();
    let registry = Registry { plain_http: false, ..ghcr(&world) };
    let evidence = login(&prober(), &registry, "bot", "right").await;
    assert!(
        matches!(evidence.answer.unproven(), Some(Unproven::Guarded(Guarded::ForeignRealm(host))) if host.starts_with("http://"))
    );
    assert_eq!(world.connections(Host::Ghcr), 0);
}

#[rstest]
#[case(Hostile::HeaderFlood, Unproven::Odd("oversized"))]
#[case(Hostile::HugeHeader, Unproven::Odd("oversized"))]
#[case(Hostile::ResetInHeaders, Unproven::Unreachable(Unreachable::Reset))]
#[case(Hostile::AlwaysThrottled, Unproven::Throttled)]
#[tokio::test]
async fn registries_broken_beyond_use(#[case] kind: Hostile, #[case] why: Unproven) {
    let (_world, registry) = hostile(kind).await;
    let evidence = login(&prober(), &registry, "bot", "right").await;
    assert_eq!(evidence.answer.unproven(), Some(&why), "{evidence:?}");
}

#[rstest]
#[case(Hostile::Silent)]
#[case(Hostile::SlowDrip(Duration::from_millis(100)))]
#[tokio::test]
async fn registries_slower_than_the_time_out(#[case] kind: Hostile) {
    let (_world, registry) = hostile(kind).await;
    let evidence = login(&hasty(), &registry, "bot", "right").await;
    let why = Unproven::Unreachable(Unreachable::Timeout);
    assert_eq!(evidence.answer.unproven(), Some(&why), "{evidence:?}");
}

#[rstest]
#[case(Hostile::EndlessBody)]
#[case(Hostile::OversizedBody)]
#[case(Hostile::TruncatedBody)]
#[case(Hostile::WrongJson)]
#[case(Hostile::BrokenJson)]
#[case(Hostile::EmptyBody)]
#[tokio::test]
async fn broken_bodies_prove_no_login(#[case] kind: Hostile) {
    // Their 401 at `/v2/` is as good as any: only its header counts. The token service is another matter.
    let (_world, registry) = hostile(kind.clone()).await;
    let evidence = login(&prober(), &registry, "bot", "right").await;
    assert!(matches!(evidence.answer.unproven(), Some(Unproven::Odd(_))), "{kind:?} {evidence:?}");
    let evidence = login(&prober(), &registry, "bot", "wrong").await;
    assert!(!matches!(evidence.answer, LoginAnswer::Accepted), "{kind:?} {evidence:?}");
}

#[tokio::test]
async fn an_issuer_cannot_send_a_token_elsewhere() {
    let trap = TrapListener::start().await.unwrap();
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    world.fault(FaultRule::on(Host::GithubApi, Fault::Redirect(format!("{}/rate_limit", trap.url()))));
    let api = issuer(IssuerKind::GithubCloud, &world.github_api_url());
    // Hosts that the registry may contact are none of the issuer's.
    let mut registry = ghcr(&world);
    registry.allowed_hosts.push(trap.address().to_string());
    let evidence = prober().issuer(&api, &registry, &pass(token.secret()), TokenKind::GithubClassic, true).await;
    assert!(matches!(evidence.answer.unproven(), Some(Unproven::Guarded(Guarded::ForeignRealm(_)))), "{evidence:?}");
    assert_eq!(trap.connections(), 0);
}
