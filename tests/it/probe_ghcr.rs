//! Logins and access checks at a simulated ghcr.io.

use std::time::Duration;

use chrono::TimeDelta;
use pull_patrol::probe::{AccessAnswer, Denial, DenialStage, LoginAnswer, Prober, Settings, Unproven, Unreachable};
use rstest::rstest;
use simulator::{Fault, FaultRule, Host, OrgPolicy, PullRefusal, RetryAfter, TokenKind, TokenSpec, Visibility, World};

use crate::probe_support::{Proof, ghcr, hasty, login, pass, prober, user};

const DENIED: AccessAnswer = AccessAnswer::Denied(Denial { stage: DenialStage::Manifest, missing_scope: false });

#[tokio::test]
async fn a_good_and_a_bad_login() {
    let world = World::start().await.unwrap();
    let good = world.add_token(TokenSpec::classic("alice"));
    let (prober, registry) = (prober(), ghcr(&world));

    let evidence = login(&prober, &registry, "alice", good.secret()).await;
    assert_eq!(evidence.answer, LoginAnswer::Accepted);
    assert_eq!((evidence.http_status, evidence.code), (Some(200), None));
    let skew = evidence.server_date.unwrap() - evidence.at;
    assert!(skew.abs() < TimeDelta::seconds(30), "{skew}");

    good.revoke();
    for (name, secret) in [("alice", good.secret().to_owned()), ("alice", "password".to_owned()), ("", "x".to_owned())]
    {
        let evidence = login(&prober, &registry, name, &secret).await;
        assert_eq!(evidence.answer, LoginAnswer::Refused, "{evidence:?}");
        assert_eq!((evidence.http_status, evidence.code.as_deref()), (Some(403), Some("DENIED")));
    }
}

#[tokio::test]
async fn a_login_is_one_request_without_scope() {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    let (prober, registry) = (prober(), ghcr(&world));
    for _ in 0..5 {
        login(&prober, &registry, "alice", token.secret()).await;
    }
    let log = world.requests();
    assert_eq!(world.count(|r| r.asked(Host::Ghcr, "/v2/")), 1, "the challenge is learned once");
    assert!(log.iter().filter(|r| r.path == "/v2/").all(|r| !r.presented.is_some()));
    let tokens: Vec<_> = log.iter().filter(|r| r.path == "/token").collect();
    assert_eq!(tokens.len(), 5);
    assert!(tokens.iter().all(|r| r.query.as_deref() == Some("service=ghcr.io") && r.method == "GET"), "{tokens:?}");
    assert!(log.iter().all(|r| r.user_agent.as_deref().is_some_and(|agent| agent.starts_with("pull-patrol/"))));
}

#[tokio::test]
async fn a_thousand_logins_at_once_learn_the_challenge_once() {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    let (prober, registry) = (prober(), ghcr(&world));
    let (name, password) = (user("alice"), pass(token.secret()));
    let logins = (0..50).map(|_| prober.login(&registry, &name, &password));
    let answers = futures::future::join_all(logins).await;
    assert!(answers.iter().all(|evidence| evidence.answer == LoginAnswer::Accepted));
    assert_eq!(world.count(|r| r.path == "/v2/"), 1);
}

#[rstest]
#[case(Fault::ghcr_denied(), LoginAnswer::Refused)]
#[case(Fault::oci_error(401, "UNAUTHORIZED", "authentication required"), LoginAnswer::Refused)]
#[case(Fault::status(401), odd("empty"))]
#[case(Fault::status(403), odd("empty"))]
#[case(Fault::oci_error(403, "DENIED", "requested access to the resource is denied"), odd("unexpected_status"))]
#[case(Fault::oci_error(403, "DENIED", "permission_denied: read_package"), odd("unexpected_status"))]
#[case(Fault::oci_error(403, "DENIED", "something new"), odd("unexpected_status"))]
#[case(Fault::oci_error(403, "UNAUTHORIZED", "denied"), odd("unexpected_status"))]
#[case(text(403, "<html>blocked</html>"), odd("html"))]
#[case(text(401, "<html>log in</html>"), odd("html"))]
#[case(text(403, "denied"), odd("unexpected_status"))]
#[case(text(403, r#"{"errors":[{"code":"DENIED","mess"#), odd("unexpected_status"))]
#[case(text(404, "404 page not found"), odd("unexpected_status"))]
#[case(Fault::status(500), odd("http_5xx"))]
#[case(Fault::oci_error(503, "DENIED", "denied"), odd("http_5xx"))]
#[case(Fault::Html, odd("html"))]
#[case(text(200, ""), odd("empty"))]
#[case(text(200, "{}"), odd("unexpected_json"))]
#[case(text(200, r#"{"token":""}"#), odd("unexpected_json"))]
#[case(text(200, r#"{"token":"a\nb"}"#), odd("unexpected_json"))]
#[case(text(200, r#"{"access_token":"other name"}"#), LoginAnswer::Accepted)]
#[case(Fault::WrongJson, odd("unexpected_json"))]
#[case(Fault::BrokenJson, odd("not_json"))]
#[case(Fault::Truncate, odd("truncated"))]
#[case(Fault::Oversize, odd("oversized"))]
#[case(Fault::EndlessBody, odd("oversized"))]
#[case(Fault::HeaderFlood, odd("oversized"))]
#[case(Fault::HugeHeader, odd("oversized"))]
#[case(Fault::Reset, LoginAnswer::Unproven(Unproven::Unreachable(Unreachable::Reset)))]
#[case(Fault::ResetInHeaders, LoginAnswer::Unproven(Unproven::Unreachable(Unreachable::Reset)))]
#[tokio::test]
async fn answers_of_the_token_service(#[case] fault: Fault, #[case] expected: LoginAnswer) {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    world.fault(FaultRule::on(Host::Ghcr, fault).path("/token"));
    let evidence = login(&prober(), &ghcr(&world), "alice", token.secret()).await;
    assert_eq!(evidence.answer, expected, "{evidence:?}");
}

fn odd(why: &'static str) -> LoginAnswer {
    LoginAnswer::Unproven(Unproven::Odd(why))
}

fn text(status: u16, body: &str) -> Fault {
    Fault::Status { status, body: body.to_owned(), headers: vec![] }
}

#[rstest]
#[case(Fault::TimeoutAtHeaders)]
#[case(Fault::TimeoutAtBody)]
#[case(Fault::SlowDrip(Duration::from_millis(100)))]
#[tokio::test]
async fn slow_answers_are_time_outs(#[case] fault: Fault) {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    world.fault(FaultRule::on(Host::Ghcr, fault).path("/token"));
    let evidence = login(&hasty(), &ghcr(&world), "alice", token.secret()).await;
    assert_eq!(evidence.answer, LoginAnswer::Unproven(Unproven::Unreachable(Unreachable::Timeout)));
}

#[rstest]
#[case(Some("880.092µs"), RetryAfter::Absent, Some(Duration::from_nanos(880_092)))]
#[case(Some("1.16676ms"), RetryAfter::Absent, Some(Duration::from_nanos(1_166_760)))]
#[case(None, RetryAfter::Seconds(17), Some(Duration::from_secs(17)))]
#[case(None, RetryAfter::Absent, None)]
#[tokio::test]
async fn rate_limits(
    #[case] ghcr_duration: Option<&str>,
    #[case] retry_after: RetryAfter,
    #[case] expected: Option<Duration>,
) {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    let fault = Fault::RateLimited { retry_after, ghcr_duration: ghcr_duration.map(str::to_owned) };
    world.fault(FaultRule::on(Host::Ghcr, fault));
    for _ in 0..2 {
        let evidence = login(&prober(), &ghcr(&world), "alice", token.secret()).await;
        assert_eq!(evidence.answer, LoginAnswer::Unproven(Unproven::Throttled));
        assert_eq!(evidence.retry_after, expected);
    }
    world.clear_faults();
    let words = Fault::oci_error(403, "DENIED", "You have exceeded a rate limit. retry-after: 2s");
    world.fault(FaultRule::on(Host::Ghcr, words).path("/token"));
    let evidence = login(&prober(), &ghcr(&world), "alice", token.secret()).await;
    assert_eq!(evidence.answer, LoginAnswer::Unproven(Unproven::Throttled));
    assert_eq!(evidence.retry_after, Some(Duration::from_secs(2)));
}

#[tokio::test]
async fn retry_after_as_a_date() {
    let world = World::start().await.unwrap();
    // The world's clock is far from ours: only its own `Date` makes sense of its dates.
    world.set_clock_offset(TimeDelta::days(-400));
    let fault = Fault::RateLimited { retry_after: RetryAfter::Date(TimeDelta::seconds(90)), ghcr_duration: None };
    world.fault(FaultRule::on(Host::Ghcr, fault));
    let evidence = login(&prober(), &ghcr(&world), "alice", "x").await;
    assert_eq!(evidence.answer, LoginAnswer::Unproven(Unproven::Throttled));
    let wait = evidence.retry_after.unwrap();
    assert!(wait <= Duration::from_secs(91) && wait >= Duration::from_secs(60), "{wait:?}");
}

#[tokio::test]
async fn trouble_at_v2_is_shared_by_who_waits_and_not_remembered() {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    let fault = world.fault(FaultRule::on(Host::Ghcr, Fault::TimeoutAtHeaders).path("/v2/"));
    // Short enough to wait for, long enough for the exchange that must succeed in the end.
    let prober = Prober::new(Settings::new(Duration::from_secs(2)));
    let registry = ghcr(&world);
    let (name, password) = (user("alice"), pass(token.secret()));
    let answers = futures::future::join_all((0..40).map(|_| prober.login(&registry, &name, &password))).await;
    let timeout = LoginAnswer::Unproven(Unproven::Unreachable(Unreachable::Timeout));
    assert!(answers.iter().all(|evidence| evidence.answer == timeout));
    assert_eq!(world.count(|r| r.path == "/v2/"), 1, "forty time-outs in a row would hold everything up");
    fault.remove();
    assert_eq!(prober.login(&registry, &name, &password).await.answer, LoginAnswer::Accepted);
}

#[tokio::test]
async fn access_of_a_good_login() {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice").reads("acme"));
    let app = world.add_package("acme/team/app", Visibility::private());
    world.add_package("acme/public", Visibility::Public);
    world.add_package("other/secret", Visibility::private());
    let (prober, registry) = (prober(), ghcr(&world));
    let (name, password) = (user("alice"), pass(token.secret()));
    let ask = async |repository: &str, reference: &str| {
        prober.access(&registry, Some((&name, &password)), repository, reference).await
    };

    let evidence = ask("acme/team/app", "latest").await;
    assert_eq!((evidence.answer, evidence.http_status), (AccessAnswer::Granted, Some(200)));
    let digest = app.digest("latest").unwrap();
    assert_eq!(ask("acme/team/app", &digest).await.answer, AccessAnswer::Granted);
    assert_eq!(ask("acme/public", "latest").await.answer, AccessAnswer::Granted);
    let evidence = ask("acme/team/app", "gone").await;
    assert_eq!((evidence.answer, evidence.code.as_deref()), (AccessAnswer::Granted, Some("MANIFEST_UNKNOWN")));

    world.clear_requests();
    let evidence = ask("other/secret", "latest").await;
    assert_eq!((evidence.answer, evidence.http_status, evidence.code.as_deref()), (DENIED, Some(403), Some("DENIED")));
    assert_eq!(evidence.detail, "requested access to the resource is denied");
    let log = world.requests();
    let shape: Vec<_> = log.iter().map(|r| (r.method.as_str(), r.path.as_str())).collect();
    let manifest = "/v2/other/secret/manifests/latest";
    assert_eq!(shape, [("GET", "/token"), ("HEAD", manifest), ("GET", manifest)]);
    assert_eq!(log[0].query.as_deref(), Some("service=ghcr.io&scope=repository%3Aother%2Fsecret%3Apull"));
    assert!(log[1].accept.as_deref().unwrap().contains("vnd.oci.image.index.v1+json"));

    token.revoke();
    assert_eq!(ask("acme/public", "latest").await.answer, AccessAnswer::LoginRefused, "public ones too");
}

#[tokio::test]
async fn access_without_a_login() {
    let world = World::start().await.unwrap();
    world.add_package("acme/public", Visibility::Public);
    world.add_package("acme/secret", Visibility::private());
    let (prober, registry) = (prober(), ghcr(&world));
    let at_token = AccessAnswer::Denied(Denial { stage: DenialStage::Token, missing_scope: false });
    for (repository, expected) in
        [("acme/public", AccessAnswer::Granted), ("acme/secret", at_token.clone()), ("acme/nothing", at_token)]
    {
        assert_eq!(prober.access(&registry, None, repository, "latest").await.answer, expected, "{repository}");
    }
    assert!(world.requests().iter().all(|r| r.path != "/token" || !r.presented.is_some()));
}

#[tokio::test]
async fn the_canary() {
    let world = World::start().await.unwrap();
    let (prober, mut registry) = (prober(), ghcr(&world));
    let package = world.add_package("acme/public", Visibility::Public);
    assert_eq!(prober.canary(&registry).await.answer, AccessAnswer::Granted);
    package.set_visibility(Visibility::private());
    assert!(matches!(prober.canary(&registry).await.answer, AccessAnswer::Denied(_)));
    world.fault(FaultRule::on(Host::Ghcr, Fault::status(502)));
    assert_eq!(prober.canary(&registry).await.answer.unproven(), Some(&Unproven::Odd("http_5xx")));
    registry.canary = None;
    let asked = world.requests().len();
    assert_eq!(prober.canary(&registry).await.answer.unproven(), Some(&Unproven::Odd("no_canary")));
    assert_eq!(world.requests().len(), asked);
}

#[rstest]
#[case(PullRefusal::ScopeMismatch, true)]
#[case(PullRefusal::ReadPackage, false)]
#[case(PullRefusal::RequestedAccess, false)]
#[case(PullRefusal::Unauthorized, false)]
#[tokio::test]
async fn a_token_without_scopes_logs_in_and_pulls_nothing(#[case] refusal: PullRefusal, #[case] missing_scope: bool) {
    let world = World::start().await.unwrap();
    world.set_unsettled(|unsettled| unsettled.scopeless_pull = refusal);
    world.add_package("acme/app", Visibility::private());
    let token = world.add_token(TokenSpec::classic("alice").scopes(["repo"]).reads("*"));
    let (prober, registry) = (prober(), ghcr(&world));
    assert_eq!(login(&prober, &registry, "alice", token.secret()).await.answer, LoginAnswer::Accepted);
    let evidence = prober.access(&registry, Some((&user("alice"), &pass(token.secret()))), "acme/app", "latest").await;
    assert_eq!(evidence.answer, AccessAnswer::Denied(Denial { stage: DenialStage::Manifest, missing_scope }));
}

#[rstest]
#[case(PullRefusal::Unauthorized)]
#[case(PullRefusal::RequestedAccess)]
#[tokio::test]
async fn a_token_without_sso_is_denied(#[case] refusal: PullRefusal) {
    let world = World::start().await.unwrap();
    world.set_unsettled(|unsettled| unsettled.sso_pull = refusal);
    world.set_org("acme", OrgPolicy { sso_required: true, ..OrgPolicy::default() });
    world.add_package("acme/app", Visibility::private());
    let token = world.add_token(TokenSpec::classic("alice").reads("acme"));
    let evidence =
        prober().access(&ghcr(&world), Some((&user("alice"), &pass(token.secret()))), "acme/app", "latest").await;
    assert_eq!(evidence.answer, DENIED);
}

#[rstest]
#[case(TokenKind::FineGrained)]
#[case(TokenKind::AppInstallation)]
#[case(TokenKind::AppInstallationStateless)]
#[tokio::test]
async fn kinds_that_log_in_and_cannot_pull(#[case] kind: TokenKind) {
    let world = World::start().await.unwrap();
    world.add_package("acme/app", Visibility::private());
    let token = world.add_token(TokenSpec::new("bot", kind).reads("*"));
    let (prober, registry) = (prober(), ghcr(&world));
    assert_eq!(login(&prober, &registry, "bot", token.secret()).await.answer, LoginAnswer::Accepted);
    let evidence = prober.access(&registry, Some((&user("bot"), &pass(token.secret()))), "acme/app", "latest").await;
    assert!(matches!(evidence.answer, AccessAnswer::Denied(_)), "{evidence:?}");
}

#[tokio::test]
async fn a_refusal_at_the_token_service_is_no_refusal_of_the_login() {
    let world = World::start().await.unwrap();
    world.set_unsettled(|unsettled| unsettled.no_access_at_token = true);
    world.add_package("acme/app", Visibility::private());
    let token = world.add_token(TokenSpec::classic("alice"));
    let evidence =
        prober().access(&ghcr(&world), Some((&user("alice"), &pass(token.secret()))), "acme/app", "latest").await;
    assert_eq!(evidence.answer, AccessAnswer::Denied(Denial { stage: DenialStage::Token, missing_scope: false }));
}

#[rstest]
#[case(Fault::ghcr_unauthenticated(), "bearer_refused")]
#[case(Fault::oci_error(403, "DENIED", "invalid token"), "bearer_refused")]
#[case(Fault::status(403), "empty")]
#[case(text(403, "<html>"), "html")]
#[case(text(404, "<html>"), "html")]
#[case(text(404, "404 page not found"), "not_json")]
#[case(Fault::Html, "html")]
#[case(Fault::status(200), "not_a_manifest")]
#[case(Fault::status(500), "http_5xx")]
#[case(Fault::status(418), "unexpected_status")]
#[tokio::test]
async fn manifests_that_prove_nothing(#[case] fault: Fault, #[case] why: &'static str) {
    let world = World::start().await.unwrap();
    world.add_package("acme/app", Visibility::private());
    let token = world.add_token(TokenSpec::classic("alice").reads("acme"));
    world.fault(FaultRule::on(Host::Ghcr, fault).path("/v2/acme"));
    let evidence =
        prober().access(&ghcr(&world), Some((&user("alice"), &pass(token.secret()))), "acme/app", "latest").await;
    assert_eq!(evidence.answer.unproven(), Some(&Unproven::Odd(why)), "{evidence:?}");
}

#[tokio::test]
async fn missing_repositories() {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    let (name, password) = (user("alice"), pass(token.secret()));
    let (prober, registry) = (prober(), ghcr(&world));
    for fault in
        [Fault::oci_error(404, "NAME_UNKNOWN", "repository name not known"), Fault::status(404), text(404, "{}")]
    {
        world.clear_faults();
        world.fault(FaultRule::on(Host::Ghcr, fault.clone()).path("/v2/acme"));
        let evidence = prober.access(&registry, Some((&name, &password)), "acme/app", "latest").await;
        assert_eq!(evidence.answer, AccessAnswer::NotFound, "{fault:?}");
    }
}

#[tokio::test]
async fn names_that_would_leave_their_place_are_not_asked_for() {
    let world = World::start().await.unwrap();
    let (prober, registry) = (prober(), ghcr(&world));
    for (repository, reference) in [
        ("", "latest"),
        ("a//b", "latest"),
        ("../token", "latest"),
        ("a/../../x", "latest"),
        ("./a", "latest"),
        ("a?b", "latest"),
        ("a#b", "latest"),
        ("a%2fb", "latest"),
        ("a b", "latest"),
        ("a\\b", "latest"),
        ("a", ""),
        ("a", "x/y"),
        ("a", ".."),
        ("a", "x?y"),
    ] {
        let evidence = prober.access(&registry, None, repository, reference).await;
        assert_eq!(evidence.answer.unproven(), Some(&Unproven::Odd("bad_name")), "{repository}:{reference}");
    }
    assert!(world.requests().is_empty());
}
