//! The GitHub API: headers, errors, limits, instances.

use chrono::{TimeDelta, Utc};
use simulator::{
    ExpiryHeader, Flavour, Host, LockoutPolicy, OrgPolicy, SecondaryLimit, TokenKind, TokenSpec, Visibility, World,
};

use crate::client::{Answer, basic, bearer, get, get_as, send};

const BAD: &str = r#"{"message":"Bad credentials","documentation_url":"https://docs.github.com/rest","status":"401"}"#;
const EXPIRY: &str = "github-authentication-token-expiration";

async fn start() -> (World, String) {
    let world = World::start().await.expect("a world");
    let url = world.github_api_url();
    (world, url)
}

async fn rate_limit(url: &str, secret: &str) -> Answer {
    get_as(url, "/rate_limit", bearer(secret)).await
}

#[tokio::test]
async fn a_good_classic_token_shows_expiry_scopes_and_limits() {
    let (world, url) = start().await;
    let at = chrono::DateTime::parse_from_rfc3339("2099-09-03T02:34:04Z").expect("a date").to_utc();
    let token = world.add_token(TokenSpec::classic("alice").scopes(["repo", "user"]).expires_at(at));
    let answer = rate_limit(&url, token.secret()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header(EXPIRY), Some("2099-09-03 02:34:04 UTC"));
    assert_eq!(answer.header("x-oauth-scopes"), Some("repo, user"));
    assert_eq!(answer.header("x-ratelimit-limit"), Some("5000"));
    assert_eq!(answer.json()["resources"]["core"]["limit"], 5000);
    assert_eq!(answer.json()["rate"]["remaining"], 5000);
    for credential in [basic("alice", token.secret()), ("authorization", format!("token {}", token.secret()))] {
        assert_eq!(get_as(&url, "/user", credential).await.json()["login"], "alice");
    }
    assert_eq!(rate_limit(&url, token.secret()).await.json()["rate"]["used"], 2, "/user counts, /rate_limit does not");
    assert!(get_as(&url, "/", bearer(token.secret())).await.json()["rate_limit_url"].is_string());
}

#[tokio::test]
async fn the_expiry_header_has_two_forms_and_can_be_absent_or_untrue() {
    let (world, url) = start().await;
    let at = chrono::DateTime::parse_from_rfc3339("2099-04-26T18:23:26Z").expect("a date").to_utc();
    let fine_grained = world.add_token(TokenSpec::fine_grained("alice").expires_at(at));
    let answer = rate_limit(&url, fine_grained.secret()).await;
    assert_eq!(answer.header(EXPIRY), Some("2099-04-26 20:23:26 +0200"));
    assert_eq!(answer.header("x-oauth-scopes"), None);
    assert!(answer.header("x-accepted-github-permissions").is_some());

    fine_grained.set_expiry_header(ExpiryHeader::Now);
    let unreliable = rate_limit(&url, fine_grained.secret()).await;
    let told = chrono::DateTime::parse_from_str(unreliable.header(EXPIRY).expect("a header"), "%Y-%m-%d %H:%M:%S %z");
    let date = chrono::DateTime::parse_from_rfc2822(unreliable.header("date").expect("a date")).expect("a date");
    assert!(told.expect("the form with an offset") <= date);
    fine_grained.set_expiry_header(ExpiryHeader::Literal("soon".to_owned()));
    assert_eq!(rate_limit(&url, fine_grained.secret()).await.header(EXPIRY), Some("soon"));

    let forever = world.add_token(TokenSpec::classic("alice"));
    assert_eq!(rate_limit(&url, forever.secret()).await.header(EXPIRY), None);
}

#[tokio::test]
async fn absent_and_empty_scopes_differ_and_oauth_names_its_app() {
    let (world, url) = start().await;
    let empty = world.add_token(TokenSpec::classic("a").scopes([""; 0]));
    assert_eq!(rate_limit(&url, empty.secret()).await.header("x-oauth-scopes"), Some(""));
    let installation = world.add_token(TokenSpec::app_installation());
    assert_eq!(rate_limit(&url, installation.secret()).await.header("x-oauth-scopes"), None);
    let user = get_as(&url, "/user", bearer(installation.secret())).await;
    assert!(user.status == 403 && user.body.contains("Resource not accessible by integration"));
    let oauth = world.add_token(TokenSpec::oauth("a"));
    let answer = rate_limit(&url, oauth.secret()).await;
    assert_eq!(answer.header("x-oauth-client-id"), Some("178c6fc778ccc68e1d6a"));
}

#[tokio::test]
async fn dead_tokens_get_bad_credentials_without_limits_and_nobody_gets_sixty() {
    let (world, url) = start().await;
    let token = world.add_token(TokenSpec::classic("alice").expires_at(Utc::now() + TimeDelta::days(1)));
    let unknown = world.mint(TokenKind::Classic, "");
    let refresh = world.add_token(TokenSpec::new("alice", TokenKind::Refresh));
    world.advance(TimeDelta::days(2));
    for secret in [token.secret(), &unknown, refresh.secret(), ""] {
        let answer = rate_limit(&url, secret).await;
        assert_eq!((answer.status, answer.body.as_str()), (401, BAD));
        assert_eq!(answer.header("x-ratelimit-limit"), None);
        assert_eq!(answer.header(EXPIRY), None);
    }
    let anonymous = send(&url, "GET", "/rate_limit", &[("user-agent", "test")]).await;
    assert_eq!((anonymous.status, &anonymous.json()["resources"]["core"]["limit"]), (200, &60.into()));
}

#[tokio::test]
async fn user_agent_version_and_path_are_checked() {
    let (world, url) = start().await;
    let token = world.add_token(TokenSpec::classic("alice"));
    let nameless = get(&url, "/rate_limit").await;
    assert!(nameless.status == 403 && nameless.body.contains("User-Agent"));
    let old = send(&url, "GET", "/", &[("user-agent", "t"), ("x-github-api-version", "1999-01-01")]).await;
    assert_eq!(old.status, 400);
    let known = send(&url, "GET", "/", &[("user-agent", "t"), ("x-github-api-version", "2022-11-28")]).await;
    assert_eq!(known.status, 200);
    assert_eq!(get_as(&url, "/nowhere", bearer(token.secret())).await.status, 404);
    let factor = world.add_token(TokenSpec::classic("bob").wants_second_factor());
    let answer = rate_limit(&url, factor.secret()).await;
    assert_eq!((answer.status, answer.header("x-github-otp")), (401, Some("required; app")));
}

#[tokio::test]
async fn organisations_demand_sso_and_forbid() {
    let (world, url) = start().await;
    let token = world.add_token(TokenSpec::classic("alice"));
    let ask = async || get_as(&url, "/orgs/acme", bearer(token.secret())).await;
    assert_eq!(ask().await.status, 404);
    world.set_org("acme", OrgPolicy { sso_required: true, ..OrgPolicy::default() });
    let refused = ask().await;
    assert_eq!(refused.status, 403);
    let header = refused.header("x-github-sso").expect("the header");
    assert!(header.starts_with("required; url=https://github.com/orgs/acme/sso?authorization_request="));
    assert_eq!(
        refused.json()["message"],
        "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this \
         organization."
    );
    let list = get_as(&url, "/user/orgs", bearer(token.secret())).await;
    assert!(list.header("x-github-sso").is_some_and(|text| text.starts_with("partial-results; organizations=")));
    world.set_org("acme", OrgPolicy { sso_required: true, hides_behind_404: true, ..OrgPolicy::default() });
    assert_eq!(ask().await.status, 404);
    token.set_sso_authorized("acme", true);
    assert_eq!(ask().await.json()["login"], "acme");
    world.set_org("acme", OrgPolicy { forbids_classic: true, ..OrgPolicy::default() });
    let refused = ask().await;
    assert!(refused.status == 403 && refused.body.contains("forbids access via a personal access token (classic)"));
    assert_eq!(refused.header("x-github-sso"), None);
    world.set_org("acme", OrgPolicy { max_lifetime_days: Some(90), ..OrgPolicy::default() });
    assert_eq!(ask().await.status, 403);
    token.set_expires_at(Some(Utc::now() + TimeDelta::days(30)));
    assert_eq!(ask().await.status, 200);
}

#[tokio::test]
async fn the_primary_limit_spares_the_rate_limit_endpoint() {
    let (world, url) = start().await;
    let token = world.add_token(TokenSpec::classic("alice"));
    let owner = world.owner("alice");
    owner.set_rate_limit(5000, 1, TimeDelta::minutes(10));
    assert_eq!(get_as(&url, "/user", bearer(token.secret())).await.status, 200);
    for status in [403, 429] {
        owner.set_exhausted_status(status);
        let refused = get_as(&url, "/user", bearer(token.secret())).await;
        assert_eq!((refused.status, refused.header("x-ratelimit-remaining")), (status, Some("0")));
        let reset: i64 = refused.header("x-ratelimit-reset").expect("the header").parse().expect("seconds");
        assert!(reset > world.now().timestamp() && reset <= world.now().timestamp() + 600);
        assert!(refused.body.contains("API rate limit exceeded for user ID"));
    }
    assert_eq!(rate_limit(&url, token.secret()).await.json()["rate"]["remaining"], 0);
    world.advance(TimeDelta::minutes(11));
    assert_eq!(get_as(&url, "/user", bearer(token.secret())).await.status, 200);
}

#[tokio::test]
async fn the_secondary_limit_hits_every_endpoint() {
    let (world, url) = start().await;
    let token = world.add_token(TokenSpec::classic("alice"));
    for (status, retry_after) in [(403, true), (429, false)] {
        let until = world.now() + TimeDelta::seconds(90);
        world.owner("alice").set_secondary_limit(Some(SecondaryLimit { until, status, retry_after }));
        let refused = rate_limit(&url, token.secret()).await;
        assert_eq!((refused.status, refused.header("retry-after").is_some()), (status, retry_after));
        assert!(refused.json()["message"].as_str().is_some_and(|text| text.contains("secondary rate limit")));
        assert!(
            refused.json()["documentation_url"].as_str().is_some_and(|text| text.ends_with("secondary-rate-limits"))
        );
    }
    world.advance(TimeDelta::minutes(2));
    assert_eq!(rate_limit(&url, token.secret()).await.status, 200);
}

#[tokio::test]
async fn bad_logins_lock_the_owner_out_everywhere() {
    let (world, url) = start().await;
    let good = world.add_token(TokenSpec::classic("alice"));
    let dead = world.add_token(TokenSpec::classic("alice"));
    dead.revoke();
    world.set_lockout(LockoutPolicy::after(3));
    for _ in 0..2 {
        assert_eq!(rate_limit(&url, dead.secret()).await.status, 401);
    }
    let denied = get_as(&world.ghcr_url(), "/token?service=ghcr.io", basic("alice", "wrong")).await;
    assert_eq!(denied.status, 403);
    let locked = rate_limit(&url, good.secret()).await;
    assert_eq!(locked.status, 403);
    assert_eq!(locked.json()["message"], "Maximum number of login attempts exceeded. Please try again later.");
    assert_eq!(get_as(&world.ghcr_url(), "/token?service=ghcr.io", basic("x", good.secret())).await.status, 403);
    world.advance(TimeDelta::minutes(31));
    assert_eq!(rate_limit(&url, good.secret()).await.status, 200);
    world.owner("alice").lock_out(TimeDelta::hours(1));
    assert_eq!(rate_limit(&url, good.secret()).await.status, 403);
    world.owner("alice").unlock();
    assert_eq!(rate_limit(&url, good.secret()).await.status, 200);
    assert!(!world.owner("alice").is_locked_out());
}

#[tokio::test]
async fn enterprise_instances_are_worlds_of_their_own() {
    let (world, url) = start().await;
    let ghes = world.add_github(Flavour::EnterpriseServer).await.expect("an instance");
    let token = ghes.add_token(TokenSpec::classic("alice").reads("acme"));
    let base = ghes.api_url();
    let (host, prefix) = base.split_at(base.len() - "/api/v3".len());
    assert_eq!(prefix, "/api/v3");
    let limits = get_as(host, "/api/v3/rate_limit", bearer(token.secret())).await;
    assert_eq!((limits.status, limits.body.as_str()), (404, r#"{"message":"Rate limiting is not enabled."}"#));
    let root = get_as(host, "/api/v3/", bearer(token.secret())).await;
    assert_eq!((root.status, root.header("x-oauth-scopes")), (200, Some("read:packages")));
    assert_eq!(root.header("x-ratelimit-limit"), None);
    assert_eq!(get_as(host, "/api/v3/user", bearer(token.secret())).await.json()["login"], "alice");
    let bad = get_as(host, "/api/v3/", bearer("ghp_wrong")).await;
    let body =
        r#"{"message":"Bad credentials","documentation_url":"https://docs.github.com/enterprise-server@3.14/rest"}"#;
    assert_eq!((bad.status, bad.body.as_str()), (401, body));
    assert_eq!(get_as(host, "/user", bearer(token.secret())).await.status, 404);
    assert_eq!(rate_limit(&url, token.secret()).await.status, 401, "github.com does not know it");

    ghes.add_package("acme/app", Visibility::private());
    let registry = ghes.registry_url();
    let target = "/token?service=x&scope=repository:acme/app:pull";
    let session = get_as(&registry, target, basic("alice", token.secret())).await.token();
    assert_eq!(get_as(&registry, "/v2/acme/app/manifests/latest", bearer(&session)).await.status, 200);
    assert!(get(&registry, "/v2/").await.header("www-authenticate").is_some_and(|text| text.contains(&registry)));

    let residency = world.add_github(Flavour::DataResidency).await.expect("an instance");
    let answer = send(&residency.api_url(), "GET", "/rate_limit", &[("user-agent", "t")]).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn the_clock_of_a_host_can_be_off() {
    let (world, url) = start().await;
    world.set_date_skew(Host::GithubApi, TimeDelta::hours(-2));
    let token = world.add_token(TokenSpec::classic("alice"));
    let date = async |url: &str| {
        let answer = rate_limit(url, token.secret()).await;
        chrono::DateTime::parse_from_rfc2822(answer.header("date").expect("a date")).expect("a date").to_utc()
    };
    let skewed = date(&url).await;
    assert!((world.now() - skewed - TimeDelta::hours(2)).num_seconds().abs() <= 60);
    let honest = date(&world.ghcr_url()).await;
    assert!((world.now() - honest).num_seconds().abs() <= 60);
}
