//! The world itself: tokens over time, log, connections, end.

use simulator::{
    Host, LockoutPolicy, Presented, SecretRef, TokenKind, TokenSpec, TrapListener, World, checksum, mangle,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{basic, bearer, connect, get, get_as};

async fn start() -> World {
    World::start().await.expect("a world")
}

#[tokio::test]
async fn token_texts_have_the_shapes_that_detectors_know() {
    let world = start().await;
    for (kind, prefix, length) in [
        (TokenKind::Classic, "ghp_", 40),
        (TokenKind::OAuth, "gho_", 40),
        (TokenKind::AppUser, "ghu_", 40),
        (TokenKind::AppInstallation, "ghs_", 40),
        (TokenKind::FineGrained, "github_pat_", 93),
        (TokenKind::Refresh, "ghr_", 80),
        (TokenKind::Legacy, "", 40),
        (TokenKind::GitlabPersonal, "glpat-", 26),
    ] {
        let text = world.mint(kind, "CANARY");
        assert!(text.starts_with(prefix) && text.len() == length, "{kind:?}");
        assert!(text.contains("CANARY") || kind == TokenKind::Legacy, "{kind:?}");
        if length == 40 && !prefix.is_empty() {
            assert_eq!(checksum(&text[4..34]), text[34..], "{kind:?}");
        }
    }
    let stateless = world.mint(TokenKind::AppInstallationStateless, "CANARY");
    assert!(stateless.starts_with("ghs_") && stateless.matches('.').count() == 2 && stateless.len() > 500);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_tokens() {
    let texts = async |seed| {
        let world = World::builder().seed(seed).start().await.expect("a world");
        let first = world.add_token(TokenSpec::classic("a"));
        [first.secret().to_owned(), first.rotate().secret().to_owned(), world.mint(TokenKind::FineGrained, "")]
    };
    let first = texts(3).await;
    assert_eq!(first, texts(3).await);
    assert_ne!(first, texts(4).await);
}

#[tokio::test]
async fn rotation_kills_the_old_text_and_keeps_the_powers() {
    let world = start().await;
    let old = world.add_token(TokenSpec::classic("a").scopes(["repo"]).marker("OLD"));
    let new = old.rotate();
    let url = world.github_api_url();
    assert_eq!(get_as(&url, "/user", bearer(old.secret())).await.status, 401);
    let answer = get_as(&url, "/user", bearer(new.secret())).await;
    assert_eq!((answer.status, answer.header("x-oauth-scopes")), (200, Some("repo")));
}

#[tokio::test]
async fn exact_and_mangled_texts_can_be_used() {
    let world = start().await;
    let odd = world.add_token(TokenSpec::classic("a").secret_text("no known prefix"));
    assert_eq!(get_as(&world.ghcr_url(), "/token", basic("a", odd.secret())).await.status, 200);
    let mangled = mangle(world.add_token(TokenSpec::classic("a")).secret());
    assert_eq!(get_as(&world.ghcr_url(), "/token", basic("a", &mangled)).await.status, 403);
    assert_eq!(
        get_as(&world.ghcr_url(), "/token", basic("a", "no known prefix\n")).await.status,
        403,
        "nothing is trimmed"
    );
}

#[tokio::test]
async fn the_log_names_credentials_and_never_shows_them() {
    let world = start().await;
    let token = world.add_token(TokenSpec::classic("a"));
    let url = world.ghcr_url();
    get_as(&url, "/token", basic("alice", token.secret())).await;
    get_as(&url, "/token", basic(token.secret(), "wrong")).await;
    get_as(&url, "/token", basic("alice", "wrong")).await;
    get(&url, "/v2/").await;
    get_as(&world.github_api_url(), "/rate_limit", bearer(token.secret())).await;
    let log = world.requests();
    assert_eq!(log.iter().map(|request| request.seq).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let known = SecretRef::Known(token.id());
    assert_eq!(log[0].presented, Presented::Basic { user: "alice".to_owned(), secret: known });
    let Presented::Basic { user, secret: first } = &log[1].presented else { panic!("Basic") };
    let Presented::Basic { secret: second, .. } = &log[2].presented else { panic!("Basic") };
    assert_eq!(user, "[token]");
    assert!(matches!(first, SecretRef::Unknown(_)) && first == second, "equal texts, equal fingerprints");
    assert_eq!(log[3].presented, Presented::None);
    assert_eq!(log[4].presented, Presented::Bearer { secret: known, issued: false });
    assert_eq!((log[4].host, log[4].status, log[4].user_agent.as_deref()), (Host::GithubApi, Some(200), Some("test")));
    assert!(!format!("{log:?}").contains(token.secret()) && !format!("{log:?}").contains("wrong"));
    assert_eq!(world.count(|request| request.asked(Host::Ghcr, "/token") && request.shows(&token)), 1);
    assert_eq!(world.requests_where(|request| request.status == Some(403)).len(), 2);
    world.clear_requests();
    assert_eq!(world.count(|_| true), 0);
    get(&url, "/v2/").await;
    assert_eq!((world.requests()[0].seq, world.requests()[0].status), (5, Some(401)));
}

#[tokio::test]
async fn the_log_is_bounded() {
    let world = World::builder().log_limit(3).start().await.expect("a world");
    for _ in 0..5 {
        get(&world.ghcr_url(), "/v2/").await;
    }
    let log = world.requests();
    assert_eq!(
        log.iter().map(|request| (request.seq, request.status)).collect::<Vec<_>>(),
        [2, 3, 4].map(|n| (n, Some(401)))
    );
}

#[tokio::test]
async fn waiting_ends_when_the_requests_have_been_answered() {
    let world = start().await;
    let url = world.ghcr_url();
    let asked = tokio::spawn(async move {
        for _ in 0..3 {
            get(&url, "/v2/").await;
        }
    });
    world.wait_for_requests(3, |request| request.asked(Host::Ghcr, "/v2/")).await;
    assert_eq!(world.count(|request| request.status == Some(401)), 3);
    asked.await.expect("the client ends");
}

#[tokio::test]
async fn connections_are_counted_and_kept_alive() {
    let world = start().await;
    assert_eq!(world.connections(Host::Ghcr), 0);
    let mut stream = connect(&world.ghcr_url()).await;
    for _ in 0..3 {
        stream.write_all(b"GET /v2/ HTTP/1.1\r\nhost: test\r\n\r\n").await.expect("written");
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"}]}\n") {
            assert_ne!(stream.read_buf(&mut bytes).await.expect("bytes"), 0);
        }
    }
    // Two requests in one write: both are answered, in order.
    let pair = b"GET /v2/ HTTP/1.1\r\nhost: test\r\n\r\nPOST /token HTTP/1.1\r\ncontent-length: 3\r\nconnection: close\r\n\r\na=b";
    stream.write_all(pair).await.expect("written");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("an end");
    assert!(rest.starts_with("HTTP/1.1 401") && rest.contains("HTTP/1.1 405"));
    assert_eq!((world.connections(Host::Ghcr), world.count(|_| true)), (1, 5));
    assert!(world.requests().iter().all(|request| request.connection == 1));
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_not_logged() {
    let world = start().await;
    for request in [
        "\u{16}\u{3}\u{1}",
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    ] {
        let mut stream = connect(&world.ghcr_url()).await;
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("an end");
        assert!(bytes.starts_with(b"HTTP/1.1 400"), "{request:?}");
    }
    assert_eq!((world.connections(Host::Ghcr), world.count(|_| true)), (4, 0));
}

#[tokio::test]
async fn everything_ends_with_the_world() {
    let world = start().await;
    let address = world.authority(Host::Ghcr);
    let mut open = TcpStream::connect(&address).await.expect("a listener");
    world.set_lockout(LockoutPolicy::off());
    drop(world);
    let mut rest = Vec::new();
    let _ = open.read_to_end(&mut rest).await;
    assert!(TcpStream::connect(&address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_port_can_be_chosen_and_is_not_shared() {
    let first = start().await;
    let port = first.authority(Host::Ghcr).rsplit(':').next().and_then(|text| text.parse().ok()).expect("a port");
    let error = World::builder().ghcr_port(port).start().await.expect_err("the port is taken");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")));
}

#[tokio::test]
async fn a_trap_counts_and_never_answers() {
    let trap = TrapListener::start().await.expect("a trap");
    let mut stream = TcpStream::connect(trap.address()).await.expect("a listener");
    while trap.connections() == 0 {
        tokio::task::yield_now().await;
    }
    drop(trap);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_clock_that_stands_moves_by_hand_alone() {
    let world = start().await;
    let noon = "2026-06-01T12:00:00Z".parse().expect("a date");
    world.stop_clock(noon);
    assert_eq!(world.now(), noon);
    world.advance(chrono::TimeDelta::seconds(90));
    let answer = get(&world.ghcr_url(), "/v2/").await;
    assert_eq!(answer.header("date"), Some("Mon, 01 Jun 2026 12:01:30 GMT"));
    world.set_date_skew(Host::Ghcr, chrono::TimeDelta::hours(1));
    let later = simulator::RetryAfter::Date(chrono::TimeDelta::minutes(3));
    let throttled = simulator::Fault::RateLimited { retry_after: later, ghcr_duration: None };
    world.fault(simulator::FaultRule::on(Host::Ghcr, throttled));
    // A host that is off is off in all it says.
    let answer = get(&world.ghcr_url(), "/v2/").await;
    assert_eq!(answer.header("retry-after"), Some("Mon, 01 Jun 2026 13:04:30 GMT"));
}

#[tokio::test]
async fn hosts_have_names_and_end_connections_when_told_to() {
    let world = start().await;
    let address = world.ghcr_url();
    world.name(Host::Ghcr, "ghcr.test");
    assert_eq!(world.ghcr_url(), address.replace("127.0.0.1", "ghcr.test"));
    let challenge = get(&address, "/v2/").await;
    assert!(challenge.header("www-authenticate").expect("a challenge").contains("realm=\"http://ghcr.test:"));
    world.close_connections();
    let mut stream = connect(&address).await;
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer, and the end");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn something_happens_once_while_a_request_is_in_flight() {
    let world = std::sync::Arc::new(start().await);
    let token = world.add_token(TokenSpec::classic("a"));
    let (shown, revoked) = (token.clone(), token.clone());
    world.when(move |request| request.shows(&shown), move || revoked.revoke());
    let url = world.github_api_url();
    get(&url, "/").await;
    assert_eq!(get_as(&url, "/user", bearer(token.secret())).await.status, 401, "revoked before it was answered");
    token.restore();
    assert_eq!(get_as(&url, "/user", bearer(token.secret())).await.status, 200, "once");
}
