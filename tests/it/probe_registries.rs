//! Registries other than GitHub's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use pull_patrol::credential::TokenKind;
use pull_patrol::plan::{IssuerKind, Registry};
use pull_patrol::probe::{
    AccessAnswer, Denial, DenialStage, Expiry, Guarded, IssuerAnswer, LoginAnswer, Prober, Unproven,
};
use rstest::rstest;
use simulator::{Fault, FaultRule, RegistryHandle, RegistryKind, TokenSpec, Visibility, World};

use crate::probe_support::{Proof, issuer, login, pass, prober, registry, user};

async fn start(kind: RegistryKind) -> (World, RegistryHandle, Registry) {
    let world = World::start().await.unwrap();
    let handle = world.add_registry(kind).await.unwrap();
    handle.add_login("bot", "right");
    let mut registry = registry("registry.example", handle.url());
    if let Some(url) = handle.token_service_url() {
        registry.allowed_hosts.push(url.trim_start_matches("http://").to_owned());
    }
    (world, handle, registry)
}

async fn access(prober: &Prober, registry: &Registry, name: &str, password: &str, repository: &str) -> AccessAnswer {
    prober.access(registry, Some((&user(name), &pass(password))), repository, "latest").await.answer
}

#[rstest]
#[case(RegistryKind::Bearer)]
#[case(RegistryKind::BearerElsewhere)]
#[case(RegistryKind::Basic)]
#[case(RegistryKind::Gitlab)]
#[tokio::test]
async fn right_and_wrong_passwords(#[case] kind: RegistryKind) {
    let (world, handle, registry) = start(kind).await;
    handle.add_package("team/app", Visibility::private());
    let prober = prober();
    for _ in 0..2 {
        assert_eq!(login(&prober, &registry, "bot", "right").await.answer, LoginAnswer::Accepted);
        for (name, password) in [("bot", "wrong"), ("other", "right"), ("bot", "")] {
            let evidence = login(&prober, &registry, name, password).await;
            assert_eq!((evidence.answer, evidence.http_status), (LoginAnswer::Refused, Some(401)));
        }
    }
    assert_eq!(access(&prober, &registry, "bot", "right", "team/app").await, AccessAnswer::Granted);
    assert_eq!(access(&prober, &registry, "bot", "wrong", "team/app").await, AccessAnswer::LoginRefused);
    let anonymous = prober.access(&registry, None, "team/app", "latest").await.answer;
    assert_eq!(anonymous, AccessAnswer::Denied(Denial { stage: DenialStage::Manifest, missing_scope: false }));
    assert_eq!(world.count(|r| r.path == "/v2/" && !r.presented.is_some()), 1);
}

#[tokio::test]
async fn a_login_without_a_right_is_denied_at_the_manifest() {
    let (_world, handle, registry) = start(RegistryKind::Bearer).await;
    handle.add_token(TokenSpec::opaque("poor").secret_text("little"));
    handle.add_package("team/app", Visibility::private());
    let prober = prober();
    assert_eq!(login(&prober, &registry, "poor", "little").await.answer, LoginAnswer::Accepted);
    let denied = AccessAnswer::Denied(Denial { stage: DenialStage::Manifest, missing_scope: false });
    assert_eq!(access(&prober, &registry, "poor", "little", "team/app").await, denied);
}

#[rstest]
#[case(RegistryKind::Open)]
#[case(RegistryKind::Html)]
#[tokio::test]
async fn a_host_that_never_asks_proves_nothing(#[case] kind: RegistryKind) {
    let (world, _handle, registry) = start(kind).await;
    assert_eq!(login(&prober(), &registry, "bot", "right").await.answer, LoginAnswer::NotChecked);
    assert!(world.requests().iter().all(|r| !r.presented.is_some()), "no password for who does not ask");
}

#[tokio::test]
async fn pulls_from_an_open_registry() {
    let (_world, handle, registry) = start(RegistryKind::Open).await;
    handle.add_package("team/app", Visibility::Public);
    assert_eq!(access(&prober(), &registry, "bot", "right", "team/app").await, AccessAnswer::Granted);
    assert!(matches!(
        access(&prober(), &registry, "bot", "right", "team/none").await,
        AccessAnswer::Granted | AccessAnswer::NotFound
    ));
}

#[tokio::test]
async fn a_page_shows_no_manifest() {
    let (_world, _handle, registry) = start(RegistryKind::Html).await;
    let answer = access(&prober(), &registry, "bot", "right", "team/app").await;
    assert_eq!(answer.unproven(), Some(&Unproven::Odd("html")));
}

#[tokio::test]
async fn a_token_service_that_is_not_listed_gets_nothing() {
    let (world, handle, mut registry) = start(RegistryKind::BearerElsewhere).await;
    registry.allowed_hosts.truncate(1);
    let evidence = login(&prober(), &registry, "bot", "right").await;
    let elsewhere = handle.token_service_url().unwrap().to_owned();
    assert_eq!(evidence.answer.unproven(), Some(&Unproven::Guarded(Guarded::ForeignRealm(elsewhere))));
    assert_eq!(world.connections(handle.token_service()), 0);
}

#[rstest]
#[case(RegistryKind::Bearer, "/token")]
#[case(RegistryKind::Basic, "/v2/")]
#[tokio::test]
async fn answers_that_are_no_refusal(#[case] kind: RegistryKind, #[case] path: &str) {
    let (world, handle, registry) = start(kind).await;
    let prober = prober();
    assert_eq!(login(&prober, &registry, "bot", "right").await.answer, LoginAnswer::Accepted);
    let status = |status, body: &str| Fault::Status { status, body: body.to_owned(), headers: vec![] };
    for (fault, why) in [
        (status(403, ""), Unproven::Odd("empty")),
        (status(403, "blocked by policy"), Unproven::Odd("unexpected_status")),
        (status(401, "<html>log in</html>"), Unproven::Odd("html")),
        (status(400, ""), Unproven::Odd("unexpected_status")),
        (status(404, ""), Unproven::Odd("unexpected_status")),
        (status(405, ""), Unproven::Odd("unexpected_status")),
        (status(503, ""), Unproven::Odd("http_5xx")),
        (status(429, ""), Unproven::Throttled),
        (status(403, r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#), Unproven::Throttled),
    ] {
        world.clear_faults();
        world.fault(FaultRule::on(handle.host(), fault.clone()).path(path));
        let evidence = login(&prober, &registry, "bot", "right").await;
        assert_eq!(evidence.answer.unproven(), Some(&why), "{fault:?}");
    }
    world.clear_faults();
    world.fault(FaultRule::on(handle.host(), Fault::oci_error(403, "DENIED", "access forbidden")).path(path));
    assert_eq!(login(&prober, &registry, "bot", "right").await.answer, LoginAnswer::Refused);
}

#[tokio::test]
async fn a_basic_registry_behind_a_login_page() {
    let (world, handle, registry) = start(RegistryKind::Basic).await;
    let prober = prober();
    login(&prober, &registry, "bot", "right").await;
    world.fault(FaultRule::on(handle.host(), Fault::Html));
    assert_eq!(login(&prober, &registry, "bot", "right").await.answer, LoginAnswer::NotChecked);
}

#[tokio::test]
async fn a_registry_that_changes_how_it_asks() {
    let (world, handle, registry) = start(RegistryKind::Basic).await;
    let prober = prober();
    login(&prober, &registry, "bot", "right").await;
    let mut fault = Fault::oci_error(401, "UNAUTHORIZED", "authentication required");
    if let Fault::Status { headers, .. } = &mut fault {
        headers.push(("www-authenticate".to_owned(), "Bearer realm=\"http://elsewhere.example/\"".to_owned()));
    }
    world.fault(FaultRule::on(handle.host(), fault).times(1));
    let evidence = login(&prober, &registry, "bot", "right").await;
    assert_eq!(evidence.answer.unproven(), Some(&Unproven::Odd("challenge_changed")));
    assert_eq!(login(&prober, &registry, "bot", "right").await.answer, LoginAnswer::Accepted, "it is learned anew");
}

#[rstest]
#[case(None)]
#[case(Some("Negotiate"))]
#[case(Some("Bearer service=\"no realm\""))]
#[tokio::test]
async fn a_401_that_does_not_say_how(#[case] challenge: Option<&str>) {
    let (world, handle, registry) = start(RegistryKind::Bearer).await;
    let headers = challenge.map(|text| ("www-authenticate".to_owned(), text.to_owned())).into_iter().collect();
    world.fault(FaultRule::on(handle.host(), Fault::Status { status: 401, body: String::new(), headers }));
    let evidence = login(&prober(), &registry, "bot", "right").await;
    assert_eq!(evidence.answer.unproven(), Some(&Unproven::Odd("no_challenge")));
}

#[tokio::test]
async fn a_bearer_that_the_registry_refuses() {
    let (world, handle, registry) = start(RegistryKind::Bearer).await;
    handle.add_package("team/app", Visibility::private());
    let prober = prober();
    login(&prober, &registry, "bot", "right").await;
    // A token service whose keys or clock the registry does not share.
    let mut fault = Fault::oci_error(401, "UNAUTHORIZED", "authentication required");
    if let Fault::Status { headers, .. } = &mut fault {
        headers.push(("www-authenticate".to_owned(), "Bearer realm=\"x\",error=\"invalid_token\"".to_owned()));
    }
    world.fault(FaultRule::on(handle.host(), fault).path("/v2/"));
    let refused = Unproven::Odd("bearer_refused");
    assert_eq!(login(&prober, &registry, "bot", "right").await.answer.unproven(), Some(&refused));
    assert_eq!(access(&prober, &registry, "bot", "right", "team/app").await.unproven(), Some(&refused));
}

#[tokio::test]
async fn gitlab_tells_the_expiry_of_its_tokens() {
    let (world, handle, registry) = start(RegistryKind::Gitlab).await;
    let day: DateTime<Utc> = (Utc::now() + TimeDelta::days(20)).date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let kind = simulator::TokenKind::GitlabPersonal;
    let token = handle.add_token(TokenSpec::new("bot", kind).scopes(["read_registry"]).expires_at(day));
    let endless = handle.add_token(TokenSpec::new("bot", kind).scopes(["read_registry"]));
    let deploy = handle.add_token(TokenSpec::new("gitlab+deploy", simulator::TokenKind::GitlabDeploy));
    let api = issuer(IssuerKind::Gitlab, handle.token_service_url().unwrap());
    let prober = prober();
    let ask = async |secret: &str, kind, owner| prober.issuer(&api, &registry, &pass(secret), kind, owner).await.answer;

    let IssuerAnswer::Alive(facts) = ask(token.secret(), TokenKind::GitlabPersonal, false).await else { panic!() };
    assert_eq!((facts.expiry, facts.scopes.unwrap()), (Expiry::At(day), vec!["read_registry".to_owned()]));
    // The owner's name needs another scope; without it the answer stands.
    let IssuerAnswer::Alive(facts) = ask(endless.secret(), TokenKind::GitlabPersonal, true).await else { panic!() };
    assert_eq!((facts.expiry, facts.owner), (Expiry::Never, None));
    token.revoke();
    assert_eq!(ask(token.secret(), TokenKind::GitlabPersonal, false).await, IssuerAnswer::Disowned);

    let other_kind = Unproven::Odd("unsupported_token_kind");
    assert_eq!(ask("a password", TokenKind::Opaque, false).await.unproven(), Some(&other_kind));
    let before = world.requests().len();
    assert_eq!(ask(deploy.secret(), TokenKind::GitlabDeploy, false).await.unproven(), Some(&other_kind));
    assert_eq!(world.requests().len(), before);
    assert!(world.requests().iter().all(|r| r.method == "GET"));
}
