//! ghcr.io: challenge, token endpoint, manifests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use simulator::{
    ManifestKind, OrgPolicy, Presented, PullRefusal, TokenHandle, TokenKind, TokenSpec, Visibility, World,
};

use crate::client::{ACCEPT, Answer, basic, bearer, get, get_as, send, send_as};

const AUTHENTICATION_REQUIRED: &str = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
const DENIED: &str = r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#;
const REQUESTED: &str = r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
const UNAUTHENTICATED: &str = r#"{"errors":[{"code":"UNAUTHORIZED","message":"unauthenticated: User cannot be authenticated with the token provided."}]}"#;

async fn furnished() -> World {
    let world = World::start().await.expect("a world");
    world.add_package("acme/public", Visibility::Public);
    world.add_package("acme/private", Visibility::Private { readers: vec!["reader".to_owned()] });
    world
}

#[track_caller]
fn expect(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.body.trim_end()), (status, body));
}

async fn token_for(world: &World, repository: &str, user: &str, password: &str) -> Answer {
    let target = format!("/token?service=ghcr.io&scope=repository:{repository}:pull");
    get_as(&world.ghcr_url(), &target, basic(user, password)).await
}

async fn manifest(world: &World, method: &str, repository: &str, session: &str) -> Answer {
    send_as(&world.ghcr_url(), method, &format!("/v2/{repository}/manifests/latest"), bearer(session)).await
}

async fn session(world: &World, token: &TokenHandle, repository: &str) -> String {
    token_for(world, repository, "any", token.secret()).await.token()
}

#[tokio::test]
async fn root_without_credentials_challenges_with_the_placeholder() {
    let world = furnished().await;
    let answer = get(&world.ghcr_url(), "/v2/").await;
    expect(&answer, 401, AUTHENTICATION_REQUIRED);
    let challenge =
        format!("Bearer realm=\"{}/token\",service=\"ghcr.io\",scope=\"repository:user/image:pull\"", world.ghcr_url());
    assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()));
    assert_eq!(answer.header("content-length"), Some("73"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
    assert!(answer.header("x-github-request-id").is_some());

    let catalog = get(&world.ghcr_url(), "/v2/_catalog").await;
    assert_eq!(catalog.header("www-authenticate"), Some(challenge.as_str()));
    let named = get(&world.ghcr_url(), "/v2/acme/public/manifests/latest").await;
    assert_eq!(named.status, 401);
    assert!(
        named.header("www-authenticate").is_some_and(|text| text.contains("scope=\"repository:acme/public:pull\""))
    );
}

#[tokio::test]
async fn any_authorization_on_v2_drops_the_challenge() {
    let world = furnished().await;
    let good = world.add_token(TokenSpec::classic("reader"));
    let url = world.ghcr_url();
    for target in ["/v2/", "/v2/acme/private/tags/list"] {
        let answer = get_as(&url, target, basic("reader", good.secret())).await;
        expect(&answer, 403, r#"{"errors":[{"code":"DENIED","message":"invalid token"}]}"#);
        assert_eq!(answer.header("www-authenticate"), None);
        let empty = send(&url, "GET", target, &[("authorization", "Bearer")]).await;
        let text = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication token not provided"}]}"#;
        expect(&empty, 401, text);
        assert_eq!(empty.header("www-authenticate"), None);
    }
}

#[tokio::test]
async fn anonymous_token_tells_public_private_and_nonexistent_apart() {
    let world = furnished().await;
    let url = world.ghcr_url();
    let ask = async |name: &str| get(&url, &format!("/token?service=ghcr.io&scope=repository%3A{name}%3Apull")).await;
    let public = ask("acme/public").await;
    assert_eq!(manifest(&world, "HEAD", "acme/public", &public.token()).await.status, 200);
    assert_eq!(public.json().as_object().expect("an object").len(), 1, "no expiry comes back");
    expect(&ask("acme/private").await, 401, AUTHENTICATION_REQUIRED);
    expect(&ask("acme/nothing").await, 403, REQUESTED);
    let scopeless = get(&url, "/token?service=ghcr.io").await;
    expect(&scopeless, 401, AUTHENTICATION_REQUIRED);
}

#[tokio::test]
async fn bad_credentials_are_denied_even_for_public_repositories() {
    let world = furnished().await;
    let revoked = world.add_token(TokenSpec::classic("a"));
    revoked.revoke();
    let expired = world.add_token(TokenSpec::classic("b"));
    expired.expire();
    let password = world.add_token(TokenSpec::new("c", TokenKind::AccountPassword));
    let unknown = world.mint(TokenKind::Classic, "");
    for secret in [revoked.secret(), expired.secret(), password.secret(), &unknown] {
        for repository in ["acme/public", "acme/private", "acme/nothing"] {
            expect(&token_for(&world, repository, "a", secret).await, 403, DENIED);
        }
        expect(&get_as(&world.ghcr_url(), "/token?service=ghcr.io", basic("a", secret)).await, 403, DENIED);
    }
    revoked.restore();
    token_for(&world, "acme/public", "a", revoked.secret()).await.token();
}

#[tokio::test]
async fn the_user_name_is_not_checked_and_a_call_without_scope_authenticates() {
    let world = furnished().await;
    let good = world.add_token(TokenSpec::classic("reader"));
    for user in ["reader", "somebody-else", "unset"] {
        get_as(&world.ghcr_url(), "/token?service=ghcr.io", basic(user, good.secret())).await.token();
    }
}

#[tokio::test]
async fn a_bearer_and_a_post_are_not_honoured_at_the_token_endpoint() {
    let world = furnished().await;
    let good = world.add_token(TokenSpec::classic("reader"));
    let private = "/token?service=ghcr.io&scope=repository:acme/private:pull";
    expect(&get_as(&world.ghcr_url(), private, bearer(good.secret())).await, 401, AUTHENTICATION_REQUIRED);
    assert_eq!(send_as(&world.ghcr_url(), "POST", "/token", basic("reader", good.secret())).await.status, 405);
}

#[tokio::test]
async fn a_reader_gets_manifests_tags_and_blobs() {
    let world = furnished().await;
    let package = world.add_package("acme/private", Visibility::private());
    package.tag("v1").tag_as("docker", ManifestKind::DockerList);
    let good = world.add_token(TokenSpec::classic("x").reads("acme"));
    let session = session(&world, &good, "acme/private").await;
    let head = manifest(&world, "HEAD", "acme/private", &session).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("docker-content-digest"), package.digest("latest").as_deref());
    assert_eq!(head.header("content-type"), Some("application/vnd.oci.image.index.v1+json"));
    let index = manifest(&world, "GET", "acme/private", &session).await.json();
    let child = index["manifests"][0]["digest"].as_str().expect("a digest").to_owned();
    let url = world.ghcr_url();
    let image = get_as(&url, &format!("/v2/acme/private/manifests/{child}"), bearer(&session)).await.json();
    let config = image["config"]["digest"].as_str().expect("a digest").to_owned();
    let blob = get_as(&url, &format!("/v2/acme/private/blobs/{config}"), bearer(&session)).await;
    assert_eq!(blob.json()["os"], "linux");
    let tags = get_as(&url, "/v2/acme/private/tags/list?n=2", bearer(&session)).await;
    assert_eq!(tags.json()["tags"], serde_json::json!(["docker", "latest"]));

    let missing = get_as(&url, "/v2/acme/private/manifests/v9", bearer(&session)).await;
    expect(&missing, 404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#);
    let nowhere = manifest(&world, "GET", "acme/nothing", &session).await;
    assert_eq!(nowhere.status, 404);
    let authorization = bearer(&session).1;
    let narrow = [("accept", "*/*"), ("authorization", authorization.as_str())];
    let refused = send(&url, "GET", "/v2/acme/private/manifests/latest", &narrow).await;
    assert!(refused.status == 404 && refused.body.contains("OCI index found"), "{}", refused.body);
}

#[tokio::test]
async fn a_valid_token_without_access_is_refused_at_the_manifest_only() {
    let world = furnished().await;
    let stranger = world.add_token(TokenSpec::classic("stranger"));
    let session = session(&world, &stranger, "acme/private").await;
    let head = manifest(&world, "HEAD", "acme/private", &session).await;
    assert_eq!((head.status, head.body.as_str()), (403, ""));
    expect(&manifest(&world, "GET", "acme/private", &session).await, 403, REQUESTED);
    let tags = get_as(&world.ghcr_url(), "/v2/acme/private/tags/list", bearer(&session)).await;
    expect(&tags, 403, r#"{"errors":[{"code":"DENIED","message":"permission_denied: read_package"}]}"#);
    assert_eq!(manifest(&world, "GET", "acme/public", &session).await.status, 200);
    stranger.set_reads(&["acme/private"]);
    assert_eq!(manifest(&world, "GET", "acme/private", &session).await.status, 200);

    stranger.set_reads(&[]);
    world.set_unsettled(|answers| answers.no_access_at_token = true);
    expect(&token_for(&world, "acme/private", "x", stranger.secret()).await, 403, REQUESTED);
}

#[tokio::test]
async fn scopes_decide_over_private_packages() {
    let world = furnished().await;
    let mismatch = r#"{"errors":[{"code":"DENIED","message":"permission_denied: The token provided does not match expected scopes."}]}"#;
    let token = world.add_token(TokenSpec::classic("reader"));
    let session = session(&world, &token, "acme/private").await;
    for (scopes, status) in
        [(&["read:packages"][..], 200), (&["write:packages"], 200), (&["repo", "delete:packages"], 403), (&[], 403)]
    {
        token.set_scopes(Some(scopes));
        let answer = manifest(&world, "GET", "acme/private", &session).await;
        assert_eq!(answer.status, status, "{scopes:?}");
        if status == 403 {
            expect(&answer, 403, mismatch);
        }
        assert_eq!(manifest(&world, "GET", "acme/public", &session).await.status, 200, "{scopes:?}");
    }
    let push = send_as(&world.ghcr_url(), "PUT", "/v2/acme/private/manifests/latest", bearer(&session)).await;
    expect(&push, 403, mismatch);
    let oauth = world.add_token(TokenSpec::oauth("reader"));
    let oauth_session = token_for(&world, "acme/private", "x", oauth.secret()).await.token();
    expect(&manifest(&world, "GET", "acme/private", &oauth_session).await, 403, mismatch);
}

#[tokio::test]
async fn kinds_that_cannot_pull_log_in_all_the_same() {
    let world = furnished().await;
    let fine_grained = world.add_token(TokenSpec::fine_grained("reader").reads("*"));
    let installation = world.add_token(TokenSpec::app_installation().reads("*"));
    for (token, text) in [(&fine_grained, "does not match expected scopes"), (&installation, "requested access")] {
        let session = session(&world, token, "acme/private").await;
        let answer = manifest(&world, "GET", "acme/private", &session).await;
        assert!(answer.status == 403 && answer.body.contains(text), "{}", answer.body);
    }
    world.set_unsettled(|answers| {
        answers.fine_grained_login = false;
        answers.installation_token_pulls = true;
    });
    expect(&token_for(&world, "acme/private", "x", fine_grained.secret()).await, 403, DENIED);
    let session = session(&world, &installation, "acme/private").await;
    assert_eq!(manifest(&world, "GET", "acme/private", &session).await.status, 200);
}

#[tokio::test]
async fn sso_and_policies_refuse_at_the_manifest() {
    let world = furnished().await;
    let token = world.add_token(TokenSpec::classic("reader"));
    let session = session(&world, &token, "acme/private").await;
    world.set_org("acme", OrgPolicy { sso_required: true, ..OrgPolicy::default() });
    expect(&manifest(&world, "GET", "acme/private", &session).await, 401, AUTHENTICATION_REQUIRED);
    world.set_unsettled(|answers| answers.sso_pull = PullRefusal::RequestedAccess);
    expect(&manifest(&world, "GET", "acme/private", &session).await, 403, REQUESTED);
    token.set_sso_authorized("acme", true);
    assert_eq!(manifest(&world, "GET", "acme/private", &session).await.status, 200);
    world.set_org("acme", OrgPolicy { forbids_classic: true, ..OrgPolicy::default() });
    expect(&manifest(&world, "GET", "acme/private", &session).await, 403, REQUESTED);
    world.set_org("acme", OrgPolicy { max_lifetime_days: Some(366), ..OrgPolicy::default() });
    expect(&manifest(&world, "GET", "acme/private", &session).await, 403, REQUESTED);
}

#[tokio::test]
async fn a_dead_or_stale_bearer_is_unauthenticated() {
    let world = furnished().await;
    let token = world.add_token(TokenSpec::classic("reader"));
    let first = session(&world, &token, "acme/private").await;
    token.revoke();
    expect(&manifest(&world, "GET", "acme/private", &first).await, 401, UNAUTHENTICATED);
    token.restore();
    assert_eq!(manifest(&world, "GET", "acme/private", &first).await.status, 200);
    world.advance(chrono::TimeDelta::hours(1));
    expect(&manifest(&world, "GET", "acme/private", &first).await, 401, UNAUTHENTICATED);
    expect(&manifest(&world, "GET", "acme/private", "not base64!").await, 401, UNAUTHENTICATED);
}

#[tokio::test]
async fn any_base64_passes_for_public_content_and_the_token_itself_is_a_bearer() {
    let world = furnished().await;
    let good = world.add_token(TokenSpec::classic("reader"));
    assert_eq!(manifest(&world, "GET", "acme/public", "QQ==").await.status, 200);
    expect(&manifest(&world, "GET", "acme/private", "QQ==").await, 401, UNAUTHENTICATED);
    for text in [good.secret().to_owned(), format!("user:{}", good.secret())] {
        assert_eq!(manifest(&world, "GET", "acme/private", &STANDARD.encode(text)).await.status, 200);
    }
    assert_eq!(world.count(|request| request.shows(&good)), 2);

    world.set_unsettled(|answers| {
        answers.bearer_is_base64_token = true;
        answers.token_expires_in = Some(300);
    });
    let answer = token_for(&world, "acme/private", "x", good.secret()).await;
    assert_eq!(answer.token(), STANDARD.encode(good.secret()));
    assert_eq!(answer.json()["expires_in"], 300);
    assert!(world.issued_bearers().contains(&answer.token()));
}

#[tokio::test]
async fn bearers_are_logged_as_the_token_behind_them() {
    let world = furnished().await;
    let good = world.add_token(TokenSpec::classic("reader"));
    let session = session(&world, &good, "acme/private").await;
    manifest(&world, "HEAD", "acme/private", &session).await;
    let requests = world.requests();
    assert!(requests.iter().all(|request| request.shows(&good)));
    assert!(matches!(requests[1].presented, Presented::Bearer { issued: true, .. }));
    assert_eq!(requests[1].accept.as_deref(), Some(ACCEPT.1));
    let printed = format!("{requests:?} {world:?} {good:?} {:?}", TokenSpec::classic("a").secret_text("ghp_visible"));
    for secret in [good.secret(), &session, "ghp_visible"] {
        assert!(!printed.contains(secret));
    }
}
