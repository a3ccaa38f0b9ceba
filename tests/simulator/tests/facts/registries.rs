//! Registries other than GitHub's, honest and hostile.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use simulator::{
    Host, Hostile, RegistryHandle, RegistryKind, TokenKind, TokenSpec, TrapListener, Visibility, World, ecr_password,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{basic, bearer, connect, get, get_as, raw, send_as};

async fn registry(kind: RegistryKind) -> (World, RegistryHandle) {
    let world = World::start().await.expect("a world");
    let registry = world.add_registry(kind).await.expect("a registry");
    (world, registry)
}

#[tokio::test]
async fn bearer_registries_refuse_wrong_passwords_at_the_token_and_access_at_the_manifest() {
    for kind in [RegistryKind::Bearer, RegistryKind::BearerElsewhere] {
        let (_world, registry) = registry(kind).await;
        registry.add_package("team/app", Visibility::private());
        registry.add_package("team/open", Visibility::Public);
        registry.add_login("robot", "right");
        registry.add_token(TokenSpec::opaque("weak").secret_text("weak-password"));
        let issuer = registry.token_service_url().unwrap_or(registry.url()).to_owned();
        let challenge = get(registry.url(), "/v2/").await;
        assert_eq!(challenge.status, 401);
        let text = format!("Bearer realm=\"{issuer}/token\",service=\"registry.example.com\"");
        assert_eq!(challenge.header("www-authenticate"), Some(text.as_str()));
        assert_eq!(
            challenge.body,
            "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"authentication required\",\"detail\":null}]}\n"
        );

        let target = "/token?service=registry.example.com&scope=repository:team/app:pull";
        assert_eq!(get_as(&issuer, target, basic("robot", "wrong")).await.status, 401);
        assert_eq!(get_as(&issuer, target, basic("other", "right")).await.status, 401, "the user name is checked");
        let granted = get_as(&issuer, target, basic("robot", "right")).await;
        assert_eq!(granted.json()["expires_in"], 300);
        let path = "/v2/team/app/manifests/latest";
        assert_eq!(get_as(registry.url(), path, bearer(&granted.token())).await.status, 200);
        assert_eq!(get_as(registry.url(), "/v2/", bearer(&granted.token())).await.status, 200);

        for weak in [get_as(&issuer, target, basic("weak", "weak-password")).await, get(&issuer, target).await] {
            let refused = get_as(registry.url(), path, bearer(&weak.token())).await;
            assert_eq!(refused.status, 401);
            assert!(
                refused.header("www-authenticate").is_some_and(|text| text.contains("error=\"insufficient_scope\""))
            );
        }
        let invalid = get_as(registry.url(), path, bearer("nonsense")).await;
        assert!(invalid.header("www-authenticate").is_some_and(|text| text.contains("error=\"invalid_token\"")));
        let open = get(&issuer, "/token?service=x&scope=repository:team/open:pull").await.token();
        assert_eq!(get_as(registry.url(), "/v2/team/open/manifests/latest", bearer(&open)).await.status, 200);
    }
}

#[tokio::test]
async fn basic_open_and_html_registries() {
    let (world, basic_registry) = registry(RegistryKind::Basic).await;
    basic_registry.add_package("team/app", Visibility::private());
    let ended = Utc::now() - TimeDelta::hours(1);
    let password = ecr_password("pull", ended);
    basic_registry.add_token(TokenSpec::opaque("AWS").secret_text(&password).expires_at(ended));
    basic_registry.add_login("robot", "right");
    let challenge = get(basic_registry.url(), "/v2/").await;
    assert_eq!((challenge.status, challenge.header("www-authenticate")), (401, Some("Basic realm=\"Registry Realm\"")));
    for (user, password, status) in [("robot", "right", 200), ("robot", "wrong", 401), ("AWS", &password, 401)] {
        for path in ["/v2/", "/v2/team/app/manifests/latest"] {
            assert_eq!(get_as(basic_registry.url(), path, basic(user, password)).await.status, status);
        }
    }
    let open = world.add_registry(RegistryKind::Open).await.expect("a registry");
    open.add_package("team/app", Visibility::private());
    assert_eq!(get(open.url(), "/v2/").await.body, "{}");
    assert_eq!(get_as(open.url(), "/v2/team/app/manifests/latest", basic("any", "wrong")).await.status, 200);
    let html = world.add_registry(RegistryKind::Html).await.expect("a registry");
    let page = get(html.url(), "/v2/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
}

#[tokio::test]
async fn gitlab_tells_a_token_its_expiry_and_deletes_it_on_delete() {
    let (world, gitlab) = registry(RegistryKind::Gitlab).await;
    gitlab.add_package("group/app", Visibility::private());
    let api = gitlab.token_service_url().expect("an API").to_owned();
    let at = world.now() + TimeDelta::days(40);
    let personal = gitlab.add_token(
        TokenSpec::new("puller", TokenKind::GitlabPersonal).scopes(["read_registry"]).reads("group").expires_at(at),
    );
    let deploy = gitlab.add_token(TokenSpec::new("deployer", TokenKind::GitlabDeploy).reads("group"));
    assert!(get(gitlab.url(), "/v2/").await.header("www-authenticate").is_some_and(|text| text.contains("/jwt/auth")));
    let target = "/jwt/auth?service=container_registry&scope=repository:group/app:pull";
    let session = get_as(&api, target, basic("deployer", deploy.secret())).await.token();
    assert_eq!(get_as(gitlab.url(), "/v2/group/app/manifests/latest", bearer(&session)).await.status, 200);
    assert_eq!(get_as(&api, target, basic("puller", "glpat-wrong")).await.status, 401);

    let path = "/api/v4/personal_access_tokens/self";
    for credential in [("private-token", personal.secret().to_owned()), bearer(personal.secret())] {
        let answer = get_as(&api, path, credential).await.json();
        assert_eq!(answer["expires_at"], at.format("%Y-%m-%d").to_string());
        assert_eq!(answer["scopes"], serde_json::json!(["read_registry"]));
    }
    let refused = get_as(&api, path, bearer(deploy.secret())).await;
    assert!(
        refused.status == 400
            && refused.body.contains("This endpoint requires token type to be a personal access token")
    );
    assert_eq!(send_as(&api, "DELETE", path, bearer(personal.secret())).await.status, 204);
    assert_eq!(get_as(&api, path, bearer(personal.secret())).await.status, 401);
}

#[tokio::test]
async fn hostile_registries_point_elsewhere() {
    let trap = TrapListener::start().await.expect("a trap");
    let (world, foreign) =
        registry(RegistryKind::Hostile(Hostile::ForeignRealm(format!("{}/token", trap.url())))).await;
    let challenge = get(foreign.url(), "/v2/").await;
    assert!(challenge.header("www-authenticate").is_some_and(|text| text.contains(&trap.url())));
    let local = world.add_registry(RegistryKind::Hostile(Hostile::LinkLocalRealm)).await.expect("a registry");
    let challenge = get(local.url(), "/v2/").await;
    assert!(challenge.header("www-authenticate").is_some_and(|text| text.contains("//169.254.169.254/")));
    let redirect = world.add_registry(RegistryKind::Hostile(Hostile::Redirect(trap.url()))).await.expect("a registry");
    let answer = get(redirect.url(), "/v2/").await;
    assert_eq!((answer.status, answer.header("location")), (307, Some(trap.url().as_str())));
    let later = Hostile::RedirectFromTokenService(trap.url());
    let later = world.add_registry(RegistryKind::Hostile(later)).await.expect("a registry");
    assert_eq!(get(later.url(), "/v2/").await.status, 401);
    assert_eq!(get(later.url(), "/token").await.status, 307);
    assert_eq!(trap.connections(), 0);
    assert_eq!(world.connections(Host::Registry(3)), 2);
}

#[tokio::test]
async fn hostile_registries_misuse_the_protocol() {
    let (world, wrong) = registry(RegistryKind::Hostile(Hostile::WrongJson)).await;
    assert!(get(wrong.url(), "/token").await.json().is_array());
    let add = async |hostile| world.add_registry(RegistryKind::Hostile(hostile)).await.expect("a registry");
    let broken = get(add(Hostile::BrokenJson).await.url(), "/token").await;
    assert!(serde_json::from_str::<serde_json::Value>(&broken.body).is_err());
    let empty = get(add(Hostile::EmptyBody).await.url(), "/token").await;
    assert_eq!((empty.status, empty.body.as_str()), (200, ""));
    let throttled = get(add(Hostile::AlwaysThrottled).await.url(), "/v2/").await;
    assert_eq!((throttled.status, throttled.header("retry-after")), (429, Some("60")));

    let (bytes, end) = raw(add(Hostile::TruncatedBody).await.url(), "GET", "/token", &[]).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let declared = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    assert!(end.is_ok() && body.len() < declared.parse().expect("a number"));

    let (bytes, end) = raw(add(Hostile::ResetInHeaders).await.url(), "GET", "/v2/", &[]).await;
    assert!(end.is_err(), "a reset, not an end");
    assert!(!String::from_utf8_lossy(&bytes).contains("\r\n\r\n"));
}

/// Reads at most that much, then hangs up.
async fn read_up_to(url: &str, limit: usize) -> usize {
    let mut stream = connect(url).await;
    stream.write_all(b"GET /token HTTP/1.1\r\nhost: test\r\n\r\n").await.expect("written");
    let mut block = vec![0; 64 * 1024];
    let mut total = 0;
    while total < limit {
        match stream.read(&mut block).await {
            Ok(length) if length > 0 => total += length,
            _ => break,
        }
    }
    total
}

#[tokio::test]
async fn hostile_registries_flood() {
    let (world, endless) = registry(RegistryKind::Hostile(Hostile::EndlessBody)).await;
    let add = async |hostile| world.add_registry(RegistryKind::Hostile(hostile)).await.expect("a registry");
    let limit = 4 * 1024 * 1024;
    for url in [
        endless.url(),
        add(Hostile::OversizedBody).await.url(),
        add(Hostile::HeaderFlood).await.url(),
        add(Hostile::HugeHeader).await.url(),
    ] {
        assert!(read_up_to(url, limit).await >= limit);
    }
    assert_eq!(world.count(|request| request.status == Some(200)), 4);
}

#[tokio::test(start_paused = true)]
async fn a_slow_drip_takes_its_time_for_every_byte() {
    let (_world, drip) = registry(RegistryKind::Hostile(Hostile::SlowDrip(Duration::from_secs(3)))).await;
    let start = tokio::time::Instant::now();
    let answer = get(drip.url(), "/v2/").await;
    assert_eq!(answer.status, 401);
    assert!(start.elapsed() > Duration::from_mins(10), "hundreds of bytes, three seconds each");
}
