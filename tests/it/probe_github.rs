//! What a simulated GitHub API says of tokens.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use pull_patrol::credential::TokenKind;
use pull_patrol::plan::{Issuer, IssuerKind};
use pull_patrol::probe::{Evidence, Expiry, IssuerAnswer, SsoAnswer, TokenFacts, Unproven, Unreachable};
use rstest::rstest;
use simulator::{
    ExpiryHeader, Fault, FaultRule, Flavour, Host, OrgPolicy, SecondaryLimit, TokenHandle, TokenSpec, World,
};

use crate::probe_support::{Proof, ask_github, ghcr, hasty, issuer, pass, prober};

fn alive(evidence: Evidence<IssuerAnswer>) -> TokenFacts {
    match evidence.answer {
        IssuerAnswer::Alive(facts) => facts,
        other => panic!("{other:?}: {}", evidence.detail),
    }
}

async fn ask(world: &World, token: &TokenHandle) -> Evidence<IssuerAnswer> {
    ask_github(&prober(), world, token, TokenKind::GithubClassic).await
}

fn in_days(days: i64) -> DateTime<Utc> {
    (Utc::now() + TimeDelta::days(days)).trunc_subsecs(0)
}

#[tokio::test]
async fn the_facts_of_a_classic_token() {
    let world = World::start().await.unwrap();
    let until = in_days(30);
    let token = world.add_token(TokenSpec::classic("alice").scopes(["write:packages", "repo"]).expires_at(until));
    let evidence = ask(&world, &token).await;
    assert_eq!(evidence.http_status, Some(200));
    let facts = alive(evidence);
    assert_eq!(facts.expiry, Expiry::At(until));
    assert_eq!(facts.scopes.unwrap(), ["repo", "write:packages"]);
    assert_eq!(facts.owner, None);
    assert!(!facts.sso_required);
    let limit = facts.rate_limit.unwrap();
    assert_eq!((limit.limit, limit.remaining), (5000, 5000));
    assert!(limit.reset > Utc::now());
    let log = world.requests();
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].path.as_str(), log[0].method.as_str()), ("/rate_limit", "GET"));
}

#[rstest]
#[case(TokenSpec::classic("a"), TokenKind::GithubClassic, Expiry::Never, Some(1))]
#[case(TokenSpec::classic("a").scopes(Vec::<String>::new()), TokenKind::GithubClassic, Expiry::Never, Some(0))]
#[case(TokenSpec::classic("a").without_scopes_header(), TokenKind::GithubClassic, Expiry::NotTold, None)]
#[case(TokenSpec::oauth("a"), TokenKind::GithubOauth, Expiry::NotTold, Some(4))]
#[case(TokenSpec::fine_grained("a"), TokenKind::GithubFineGrained, Expiry::NotTold, None)]
#[case(TokenSpec::app_installation(), TokenKind::GithubAppInstallation, Expiry::NotTold, None)]
#[case(
    TokenSpec::classic("a").expiry_header(ExpiryHeader::Literal("soon".into())),
    TokenKind::GithubClassic, Expiry::NotTold, Some(1)
)]
#[case(
    TokenSpec::fine_grained("a").expires_at(in_days(60)).expiry_header(ExpiryHeader::Now),
    TokenKind::GithubFineGrained, Expiry::Unreliable, None
)]
#[tokio::test]
async fn what_is_told_of_expiry_and_scopes(
    #[case] spec: TokenSpec,
    #[case] kind: TokenKind,
    #[case] expiry: Expiry,
    #[case] scopes: Option<usize>,
) {
    let world = World::start().await.unwrap();
    let token = world.add_token(spec);
    let facts = alive(ask_github(&prober(), &world, &token, kind).await);
    assert_eq!(facts.expiry, expiry);
    assert_eq!(facts.scopes.map(|list| list.len()), scopes);
}

#[tokio::test]
async fn fine_grained_tokens_tell_their_expiry_in_the_owners_offset() {
    let world = World::start().await.unwrap();
    let until = in_days(60);
    let token = world.add_token(TokenSpec::fine_grained("alice").expires_at(until));
    let facts = alive(ask_github(&prober(), &world, &token, TokenKind::GithubFineGrained).await);
    assert_eq!(facts.expiry, Expiry::At(until));
}

#[tokio::test]
async fn an_expiry_is_judged_by_the_servers_clock() {
    let world = World::start().await.unwrap();
    // Our clock is a year fast: the date lies in our past, and the token still lives by the clock that counts.
    world.set_clock_offset(TimeDelta::days(-365));
    let until = (world.now() + TimeDelta::days(10)).trunc_subsecs(0);
    let token = world.add_token(TokenSpec::classic("alice").expires_at(until));
    assert_eq!(alive(ask(&world, &token).await).expiry, Expiry::At(until));
}

#[tokio::test]
async fn the_owner_costs_a_second_request() {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    let api = issuer(IssuerKind::GithubCloud, &world.github_api_url());
    let (prober, registry) = (prober(), ghcr(&world));
    let ask = async || prober.issuer(&api, &registry, &pass(token.secret()), TokenKind::GithubClassic, true).await;
    assert_eq!(alive(ask().await).owner.as_deref(), Some("alice"));
    assert_eq!(world.requests().iter().map(|r| r.path.as_str()).collect::<Vec<_>>(), ["/rate_limit", "/user"]);
    // What the second request meets changes nothing of what the first one proved.
    world.fault(FaultRule::on(Host::GithubApi, Fault::bad_credentials()).path("/user"));
    let evidence = ask().await;
    assert_eq!((evidence.http_status, evidence.detail.as_str()), (Some(200), "HTTP 200"));
    assert_eq!(alive(evidence).owner, None);
}

#[tokio::test]
async fn bad_tokens_are_disowned() {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    token.expire();
    let evidence = ask(&world, &token).await;
    assert_eq!((&evidence.answer, evidence.http_status), (&IssuerAnswer::Disowned, Some(401)));
    assert_eq!(evidence.detail, "Bad credentials");
}

#[tokio::test]
async fn a_locked_out_owner_proves_nothing() {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    world.owner("alice").lock_out(TimeDelta::minutes(30));
    assert_eq!(ask(&world, &token).await.answer.unproven(), Some(&Unproven::LockedOut));
}

#[rstest]
#[case(403)]
#[case(429)]
#[tokio::test]
async fn rate_limits(#[case] status: u16) {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    let until = world.now() + TimeDelta::minutes(3);
    for (header, least, most) in [(true, 100, 182), (false, 60, 60)] {
        world.owner("alice").set_secondary_limit(Some(SecondaryLimit { until, status, retry_after: header }));
        let evidence = ask(&world, &token).await;
        assert_eq!(evidence.answer.unproven(), Some(&Unproven::Throttled));
        let wait = evidence.retry_after.unwrap();
        assert!((Duration::from_secs(least)..=Duration::from_secs(most)).contains(&wait), "{wait:?}");
    }
    world.owner("alice").set_secondary_limit(None);

    // The primary one spares `/rate_limit`, so it can only meet the owner's name.
    let body = r#"{"message":"API rate limit exceeded for user ID 1."}"#.to_owned();
    let reset = (Utc::now() + TimeDelta::minutes(20)).timestamp().to_string();
    let headers =
        [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str()), ("content-type", "application/json")];
    let headers = headers.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    world.fault(FaultRule::on(Host::GithubApi, Fault::Status { status, body, headers }));
    let evidence = ask(&world, &token).await;
    assert_eq!(evidence.answer.unproven(), Some(&Unproven::OwnerThrottled));
    let wait = evidence.retry_after.unwrap();
    assert!((Duration::from_secs(1100)..=Duration::from_secs(1202)).contains(&wait), "{wait:?}");
}

fn api_error(status: u16, message: &str, headers: &[(&str, &str)]) -> Fault {
    let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Fault::Status { status, body: format!(r#"{{"message":"{message}"}}"#), headers }
}

#[rstest]
#[case(api_error(401, "Requires authentication", &[]), Unproven::Odd("unexpected_status"))]
#[case(api_error(401, "Must specify OTP", &[("x-github-otp", "required; app")]), Unproven::Odd("otp_required"))]
#[case(api_error(403, "Resource not accessible", &[]), Unproven::Odd("unexpected_status"))]
#[case(api_error(403, "You have triggered an abuse detection mechanism", &[]), Unproven::Throttled)]
#[case(api_error(429, "anything", &[]), Unproven::Throttled)]
#[case(api_error(404, "Not Found", &[]), Unproven::Odd("unexpected_status"))]
#[case(api_error(400, "bad version", &[]), Unproven::Odd("unexpected_status"))]
#[case(api_error(502, "Bad credentials", &[]), Unproven::Odd("http_5xx"))]
#[case(Fault::Status { status: 403, body: "Request forbidden by administrative rules.".into(), headers: vec![] }, Unproven::Odd("not_json"))]
#[case(Fault::Status { status: 401, body: "<html>proxy</html>".into(), headers: vec![] }, Unproven::Odd("html"))]
#[case(Fault::status(401), Unproven::Odd("empty"))]
#[case(Fault::Html, Unproven::Odd("html"))]
#[case(Fault::WrongJson, Unproven::Odd("unexpected_json"))]
#[case(Fault::BrokenJson, Unproven::Odd("not_json"))]
#[case(Fault::EmptyBody, Unproven::Odd("empty"))]
#[case(Fault::Truncate, Unproven::Odd("truncated"))]
#[case(Fault::EndlessBody, Unproven::Odd("oversized"))]
#[case(Fault::HeaderFlood, Unproven::Odd("oversized"))]
#[case(Fault::Reset, Unproven::Unreachable(Unreachable::Reset))]
#[tokio::test]
async fn answers_that_prove_nothing(#[case] fault: Fault, #[case] why: Unproven) {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    world.fault(FaultRule::on(Host::GithubApi, fault));
    let evidence = ask(&world, &token).await;
    assert_eq!(evidence.answer.unproven(), Some(&why), "{evidence:?}");
}

#[tokio::test]
async fn a_silent_api_is_a_time_out() {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    world.fault(FaultRule::on(Host::GithubApi, Fault::TimeoutAtBody));
    let evidence = ask_github(&hasty(), &world, &token, TokenKind::GithubClassic).await;
    assert_eq!(evidence.answer.unproven(), Some(&Unproven::Unreachable(Unreachable::Timeout)));
}

#[tokio::test]
async fn limits_of_nobody_mean_that_nobody_was_seen() {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    world.owner("alice").set_rate_limit(60, 59, TimeDelta::hours(1));
    assert_eq!(ask(&world, &token).await.answer.unproven(), Some(&Unproven::Odd("anonymous_limits")));
}

#[rstest]
#[case("`acme` forbids access via a personal access token (classic). Please use a GitHub App.")]
#[case(
    "The 'acme' organization forbids access via a fine-grained personal access token if the token's lifetime is greater than 90 days."
)]
#[tokio::test]
async fn policies(#[case] message: &str) {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    world.fault(FaultRule::on(Host::GithubApi, api_error(403, message, &[])));
    assert_eq!(ask(&world, &token).await.answer, IssuerAnswer::ForbiddenByPolicy);
}

#[tokio::test]
async fn sso_is_no_death() {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice"));
    world.set_org("acme", OrgPolicy { sso_required: true, ..OrgPolicy::default() });
    world.set_org("open", OrgPolicy::default());
    world.set_org("strict", OrgPolicy { forbids_classic: true, ..OrgPolicy::default() });
    let api = issuer(IssuerKind::GithubCloud, &world.github_api_url());
    let (prober, registry) = (prober(), ghcr(&world));
    let sso = async |organisation: &str| prober.sso(&api, &registry, &pass(token.secret()), organisation).await.answer;
    assert_eq!(sso("acme").await, SsoAnswer::Demanded);
    assert_eq!(sso("open").await, SsoAnswer::NotDemanded);
    assert_eq!(sso("nobody").await, SsoAnswer::Unproven(Unproven::Odd("unexpected_status")));
    assert_eq!(sso("strict").await, SsoAnswer::Unproven(Unproven::Odd("policy")));
    assert_eq!(sso("../user").await, SsoAnswer::Unproven(Unproven::Odd("bad_name")));
    token.set_sso_authorized("acme", true);
    assert_eq!(sso("acme").await, SsoAnswer::NotDemanded);

    let sso = [("x-github-sso", "required; url=https://github.com/orgs/acme/sso"), ("x-oauth-scopes", "repo")];
    world.fault(FaultRule::on(
        Host::GithubApi,
        api_error(403, "Resource protected by organization SAML enforcement.", &sso),
    ));
    let facts = alive(ask(&world, &token).await);
    assert!(facts.sso_required);
    assert_eq!(facts.scopes.unwrap(), ["repo"]);
}

#[tokio::test]
async fn an_enterprise_server_is_asked_at_its_root() {
    let world = World::start().await.unwrap();
    let instance = world.add_github(Flavour::EnterpriseServer).await.unwrap();
    let until = in_days(5);
    let token = instance.add_token(TokenSpec::classic("carol").expires_at(until));
    let api = issuer(IssuerKind::GithubServer, &instance.api_url());
    let (prober, registry) = (prober(), ghcr(&world));
    let ask = async |token: &TokenHandle, kind, owner| {
        prober.issuer(&api, &registry, &pass(token.secret()), kind, owner).await
    };
    let facts = alive(ask(&token, TokenKind::GithubClassic, true).await);
    assert_eq!((facts.expiry, facts.owner.as_deref(), facts.rate_limit), (Expiry::At(until), Some("carol"), None));
    let paths = || world.requests().iter().map(|r| r.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(), ["/api/v3/", "/api/v3/user"]);

    // The root answers anybody: without a word about the token, `/user` must prove that one was seen.
    let silent = instance.add_token(TokenSpec::fine_grained("dave"));
    world.clear_requests();
    let facts = alive(ask(&silent, TokenKind::GithubFineGrained, false).await);
    assert_eq!((facts.expiry, facts.owner.as_deref()), (Expiry::NotTold, Some("dave")));
    assert_eq!(paths(), ["/api/v3/", "/api/v3/user"]);
    let anonymous = r#"{"current_user_url":"x"}"#.to_owned();
    let root = Fault::Status { status: 200, body: anonymous, headers: vec![] };
    let fault = world.fault(FaultRule::on(instance.api_host(), root).path("/api/v3/").times(1));
    token.revoke();
    assert_eq!(ask(&token, TokenKind::GithubClassic, false).await.answer, IssuerAnswer::Disowned);
    assert_eq!(fault.hits(), 1);
}

#[tokio::test]
async fn data_residency_is_asked_as_github_com() {
    let world = World::start().await.unwrap();
    let instance = world.add_github(Flavour::DataResidency).await.unwrap();
    let token = instance.add_token(TokenSpec::classic("erin"));
    let api = issuer(IssuerKind::GithubCloud, &instance.api_url());
    let evidence = prober().issuer(&api, &ghcr(&world), &pass(token.secret()), TokenKind::GithubClassic, true).await;
    assert_eq!(alive(evidence).owner.as_deref(), Some("erin"));
}

#[tokio::test]
async fn tokens_that_cannot_stand_in_a_header_are_not_sent() {
    let world = World::start().await.unwrap();
    let api = issuer(IssuerKind::GithubCloud, &world.github_api_url());
    let evidence = prober().issuer(&api, &ghcr(&world), &pass("ghp_x\n"), TokenKind::GithubClassic, false).await;
    assert_eq!(evidence.answer.unproven(), Some(&Unproven::Odd("unsendable_token")));
    let none = Issuer { kind: IssuerKind::SelfDescribed, api: None };
    let evidence = prober().issuer(&none, &ghcr(&world), &pass("x"), TokenKind::Ecr, false).await;
    assert_eq!(evidence.answer.unproven(), Some(&Unproven::Odd("no_api")));
    assert!(world.requests().is_empty());
}
