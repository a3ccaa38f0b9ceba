//! Registries whose answers the simulated world does not give.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::clock::Clock;
use crate::plan::Issuer;
use crate::probe::evidence::{AccessAnswer, LoginAnswer, Unproven, Unreachable};
use crate::probe::host_state::STALE;
use crate::probe::testing::{Act, HASTY, NOW, PATIENT, Server, json, pass, prober, registry, reply, settings, user};
use crate::probe::{Prober, Settings, SystemLookup};

const OK_MANIFEST: &str = "content-type: application/vnd.oci.image.manifest.v1+json\r\n";

/// A registry with a token service at `realm`, whose `/v2/` takes any bearer.
fn bearer_registry(realm: &'static str, token: String) -> impl Fn(&str) -> Act + Send + Sync + 'static {
    move |head: &str| {
        let host = head.split("host: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
        Act::Send(if head.starts_with("GET /auth") {
            json(200, &serde_json::json!({ "token": token }).to_string())
        } else if head.contains("authorization: Bearer") {
            reply(200, OK_MANIFEST, "{}")
        } else {
            let challenges = format!(
                "www-authenticate: Negotiate\r\nWWW-Authenticate: Basic realm=\"x\", bearer Realm=\"http://{host}{realm}\" , SERVICE=\"s p\"\r\n"
            );
            reply(401, &challenges, "")
        })
    }
}

async fn login(server: &Server) -> crate::probe::Evidence<LoginAnswer> {
    prober().login(&registry("r.example", &server.url("/")), &user("u"), &pass("letmein")).await
}

#[tokio::test]
async fn the_realm_keeps_its_query_and_bearer_comes_before_basic() {
    let server = Server::start(bearer_registry("/auth?account=a#part", "opaque".to_owned())).await;
    assert_eq!(login(&server).await.answer, LoginAnswer::Accepted);
    let heads = server.heads();
    assert!(heads[1].starts_with("GET /auth?account=a&service=s+p HTTP/1.1"), "{}", heads[1]);
    assert!(heads[2].starts_with("GET /v2/ ") && heads[2].contains("authorization: Bearer opaque"), "{}", heads[2]);
}

#[tokio::test]
async fn a_token_for_nobody_proves_no_login() {
    let jwt = |claims: &str| format!("eyJhbGciOiJub25lIn0.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
    let server = Server::start(bearer_registry("/auth", jwt(r#"{"sub":""}"#))).await;
    assert_eq!(login(&server).await.answer, LoginAnswer::NotChecked);
    let server = Server::start(bearer_registry("/auth", jwt(r#"{"sub":"u"}"#))).await;
    assert_eq!(login(&server).await.answer, LoginAnswer::Accepted);
}

#[tokio::test]
async fn a_denial_of_a_token_for_nobody_is_none_of_the_login() {
    let inner = bearer_registry("/auth", format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"sub":""}"#)));
    let server = Server::start(move |head| {
        if head.contains("/manifests/") {
            Act::Send(json(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#))
        } else {
            inner(head)
        }
    })
    .await;
    let registry = registry("r.example", &server.url("/"));
    let (name, password) = (user("u"), pass("letmein"));
    let evidence = prober().access(&registry, Some((&name, &password)), "a/b", "latest").await;
    assert_eq!(evidence.answer, AccessAnswer::Unproven(Unproven::Odd("password_not_checked")));
    let anonymous = prober().access(&registry, None, "a/b", "latest").await;
    assert!(matches!(anonymous.answer, AccessAnswer::Denied(_)), "{anonymous:?}");
}

/// Whether a pull of this repository is answered as to anybody.
async fn pulled(server: &Server, repository: &str) -> (AccessAnswer, bool) {
    let registry = registry("r.example", &server.url("/"));
    let (name, password) = (user("u"), pass("letmein"));
    let evidence = prober().access(&registry, Some((&name, &password)), repository, "latest").await;
    (evidence.answer, evidence.to_anybody)
}

#[tokio::test]
async fn a_pull_that_anybody_may_make_says_so() {
    let manifest = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.oci.image.manifest.v1+json\r\n\
        docker-content-digest: sha256:00\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    // Open at its root, where nobody is asked for a login but at one repository.
    let server = Server::start(move |head: &str| match head {
        head if !head.contains("/manifests/") => Act::Send(reply(200, "", "")),
        head if head.contains("/private/") && !head.contains("authorization: Basic") => {
            Act::Send(reply(401, "WWW-Authenticate: Basic realm=\"x\"\r\n", ""))
        }
        _ => Act::Send(manifest.to_owned().into()),
    })
    .await;
    assert_eq!(pulled(&server, "public/app").await, (AccessAnswer::Granted, true));
    assert_eq!(pulled(&server, "private/app").await, (AccessAnswer::Granted, false));
    // A token service that takes no notice of the login, and one that does.
    for (claims, to_anybody) in [(r#"{"sub":""}"#, true), (r#"{"sub":"u"}"#, false)] {
        let inner = bearer_registry("/auth", format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)));
        let server = Server::start(move |head: &str| {
            if head.contains("/manifests/") { Act::Send(manifest.to_owned().into()) } else { inner(head) }
        })
        .await;
        assert_eq!(pulled(&server, "a/b").await, (AccessAnswer::Granted, to_anybody));
    }
}

#[tokio::test]
async fn an_endpoint_may_have_a_path() {
    let server = Server::start(bearer_registry("/auth", "t".to_owned())).await;
    for base in ["/mirror/ghcr", "/mirror/ghcr/"] {
        let registry = registry("r.example", &server.url(base));
        assert_eq!(prober().access(&registry, None, "a/b", "sha256:00").await.answer, AccessAnswer::Granted);
    }
    let paths: Vec<_> = server.heads().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(paths[0], "/mirror/ghcr/v2/");
    assert_eq!(paths[2], "/mirror/ghcr/v2/a/b/manifests/sha256:00");
    assert_eq!(paths[..3], paths[3..]);
}

#[tokio::test]
async fn a_registry_that_asks_only_at_the_repository() {
    let inner = bearer_registry("/auth", "t".to_owned());
    let server =
        Server::start(move |head| if head.starts_with("GET /v2/ ") { Act::Send(json(200, "{}")) } else { inner(head) })
            .await;
    let registry = registry("r.example", &server.url("/"));
    let (name, password) = (user("u"), pass("letmein"));
    let evidence = prober().access(&registry, Some((&name, &password)), "a/b", "latest").await;
    assert_eq!(evidence.answer, AccessAnswer::Granted);
    assert!(server.heads()[2].contains("scope=repository%3Aa%2Fb%3Apull"), "{:?}", server.heads());
}

#[tokio::test]
async fn a_registry_without_head_is_asked_with_get() {
    let inner = bearer_registry("/auth", "t".to_owned());
    let server =
        Server::start(move |head| if head.starts_with("HEAD ") { Act::Send(reply(405, "", "")) } else { inner(head) })
            .await;
    let evidence = prober().access(&registry("r.example", &server.url("/")), None, "a/b", "latest").await;
    assert_eq!(evidence.answer, AccessAnswer::Granted);
}

#[tokio::test]
async fn manifests_may_be_served_from_a_listed_host() {
    let storage = Server::start(|head| {
        Act::Send(if head.contains("/gone") {
            json(403, r#"{"errors":[{"code":"DENIED"}]}"#)
        } else {
            reply(200, OK_MANIFEST, "{}")
        })
    })
    .await;
    let target = storage.address;
    let inner = bearer_registry("/auth", "t".to_owned());
    let server = Server::start(move |head| {
        if head.contains("/manifests/") {
            let name = if head.contains("gone") { "gone" } else { "here" };
            Act::Send(reply(307, &format!("location: http://{target}/{name}\r\n"), ""))
        } else {
            inner(head)
        }
    })
    .await;
    let mut registry = registry("r.example", &server.url("/"));
    let foreign = prober().access(&registry, None, "a/here", "latest").await;
    assert!(matches!(foreign.answer, AccessAnswer::Unproven(Unproven::Guarded(_))), "{foreign:?}");
    assert_eq!(storage.connections(), 0);
    registry.allowed_hosts.push(target.to_string());
    assert_eq!(prober().access(&registry, None, "a/here", "latest").await.answer, AccessAnswer::Granted);
    let gone = prober().access(&registry, None, "a/gone", "latest").await;
    assert_eq!(gone.answer, AccessAnswer::Unproven(Unproven::Odd("redirect")));
    assert!(storage.heads().iter().all(|head| !head.contains("authorization")), "{:?}", storage.heads());
}

#[tokio::test]
async fn what_was_learned_is_refreshed_and_bridges_an_outage() {
    let down = Arc::new(AtomicBool::new(false));
    let (inner, broken) = (bearer_registry("/auth", "t".to_owned()), Arc::clone(&down));
    let server = Server::start(move |head| {
        let anonymous = head.starts_with("GET /v2/ ") && !head.contains("authorization");
        if anonymous && broken.load(Ordering::SeqCst) { Act::Send(reply(503, "", "")) } else { inner(head) }
    })
    .await;
    let (clock, hands) = Clock::moved_by_hand(NOW.parse().unwrap());
    hands.advance(Duration::from_secs(1));
    let prober = Prober::new(Settings { clock, ..settings(PATIENT, Arc::new(SystemLookup)) });
    let registry = registry("r.example", &server.url("/"));
    let (name, password) = (user("u"), pass("letmein"));
    let ask = async || prober.login(&registry, &name, &password).await.answer;
    let learned =
        || server.heads().iter().filter(|h| h.starts_with("GET /v2/ ") && !h.contains("authorization")).count();
    assert_eq!(ask().await, LoginAnswer::Accepted);
    assert_eq!(ask().await, LoginAnswer::Accepted);
    assert_eq!(learned(), 1);
    hands.advance(Duration::from_secs(301));
    assert_eq!(ask().await, LoginAnswer::Accepted);
    assert_eq!(learned(), 2);
    down.store(true, Ordering::SeqCst);
    hands.advance(Duration::from_secs(301));
    assert_eq!(ask().await, LoginAnswer::Accepted);
    assert_eq!(learned(), 3);
    hands.advance(STALE);
    assert_eq!(ask().await, LoginAnswer::Unproven(Unproven::Odd("http_5xx")));
}

#[tokio::test]
async fn requests_wait_for_their_slot() {
    let server = Server::start(bearer_registry("/auth", "t".to_owned())).await;
    let (prober, mut registry) = (prober(), registry("r.example", &server.url("/")));
    // One request at once, the next one in a quarter of an hour.
    registry.requests_per_second = 0.001;
    let (name, password) = (user("u"), pass("letmein"));
    let mut login = std::pin::pin!(prober.login(&registry, &name, &password));
    let first = async {
        while server.heads().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        evidence = &mut login => panic!("{evidence:?}"),
        () = first => {}
    }
    assert!(tokio::time::timeout(HASTY, login).await.is_err());
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn evidence_carries_its_circumstances() {
    let date = "date: Mon, 01 Jun 2026 11:59:58 GMT\r\nretry-after: 7\r\n";
    let began = NOW.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let (clock, hands) = Clock::moved_by_hand(began);
    let slow = Duration::from_millis(700);
    let server = Server::start(move |_| {
        hands.advance(slow);
        Act::Send(reply(503, date, "\u{1b}[31mdown\r\nfor repairs"))
    })
    .await;
    let prober = Prober::new(Settings { clock, ..settings(PATIENT, Arc::new(SystemLookup)) });
    let evidence = prober.login(&registry("r.example", &server.url("/")), &user("u"), &pass("letmein")).await;
    assert_eq!((evidence.took, evidence.at), (slow, began + slow));
    assert_eq!(evidence.server_date, Some("2026-06-01T11:59:58Z".parse().unwrap()));
    assert_eq!(evidence.retry_after, Some(Duration::from_secs(7)));
    assert_eq!((evidence.http_status, evidence.code), (Some(503), None));
    assert_eq!(evidence.detail, "[31mdown  for repairs");

    let gone = Server::start(|_| Act::Reset).await;
    let evidence = login(&gone).await;
    assert_eq!(evidence.answer, LoginAnswer::Unproven(Unproven::Unreachable(Unreachable::Reset)));
    assert_eq!((evidence.http_status, evidence.server_date), (None, None));
    assert!(!evidence.detail.is_empty());
}

#[test]
fn which_registries_are_githubs() {
    let at = |host: &str, kind: Option<IssuerKind>| {
        let url = "https://r.example/".parse().unwrap();
        is_github(&Registry { issuer: kind.map(|kind| Issuer { kind, api: None }), ..registry(host, &url) })
    };
    assert!(at("ghcr.io", None));
    assert!(at("containers.octo.ghe.com", None));
    assert!(at("containers.ghes.example", Some(IssuerKind::GithubServer)));
    assert!(!at("containers.example", None));
    assert!(!at("registry.example", Some(IssuerKind::GithubCloud)));
    assert!(!at("containers.example", Some(IssuerKind::Gitlab)));
}
