//! Scripted faults.

use std::time::Duration;

use chrono::TimeDelta;
use simulator::{Fault, FaultRule, Host, RetryAfter, TokenSpec, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{basic, bearer, connect, get, get_as, raw, send_as};

async fn start() -> World {
    World::start().await.expect("a world")
}

const TOKEN: &str = "/token?service=ghcr.io";

#[tokio::test]
async fn a_rule_hits_what_it_names_and_ends_when_removed() {
    let world = start().await;
    let (unlucky, lucky) = (world.add_token(TokenSpec::classic("a")), world.add_token(TokenSpec::classic("b")));
    let fault = world.fault(FaultRule::on(Host::Ghcr, Fault::ghcr_denied()).path("/token").token(&unlucky));
    let status =
        async |token: &simulator::TokenHandle| get_as(&world.ghcr_url(), TOKEN, basic("x", token.secret())).await;
    let refused = status(&unlucky).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.body.trim_end(), r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#);
    assert_eq!(status(&lucky).await.status, 200);
    assert_eq!(get_as(&world.github_api_url(), "/user", bearer(unlucky.secret())).await.status, 200);
    assert_eq!((fault.hits(), world.requests()[0].fault), (1, Some(fault.id())));
    fault.remove();
    assert_eq!(status(&unlucky).await.status, 200);
}

#[tokio::test]
async fn a_rule_follows_the_token_into_its_bearer() {
    let world = start().await;
    world.add_package("acme/public", simulator::Visibility::Public);
    let token = world.add_token(TokenSpec::classic("a"));
    let session = get_as(&world.ghcr_url(), TOKEN, basic("x", token.secret())).await.token();
    world.fault(FaultRule::on(Host::Ghcr, Fault::ghcr_unauthenticated()).path("/v2/").token(&token).method("HEAD"));
    let path = "/v2/acme/public/manifests/latest";
    assert_eq!(send_as(&world.ghcr_url(), "HEAD", path, bearer(&session)).await.status, 401);
    assert_eq!(send_as(&world.ghcr_url(), "GET", path, bearer(&session)).await.status, 200);
}

#[tokio::test]
async fn times_skip_and_windows_bound_a_rule() {
    let world = start().await;
    let statuses = async |count: usize| {
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(get(&world.ghcr_url(), "/v2/").await.status);
        }
        list
    };
    world.fault(FaultRule::on(Host::Ghcr, Fault::status(503)).skip(1).times(2));
    assert_eq!(statuses(5).await, [401, 503, 503, 401, 401]);
    let from = world.now() + TimeDelta::minutes(5);
    world.clear_faults();
    world.fault(FaultRule::everywhere(Fault::status(500)).between(from, from + TimeDelta::minutes(5)));
    assert_eq!(statuses(1).await, [401]);
    world.advance(TimeDelta::minutes(6));
    assert_eq!(statuses(1).await, [500]);
    world.advance(TimeDelta::minutes(6));
    assert_eq!(statuses(1).await, [401]);
}

#[tokio::test]
async fn a_share_is_drawn_from_the_seed_alone() {
    let draw = async |seed| {
        let world = World::builder().seed(seed).start().await.expect("a world");
        let fault = world.fault(FaultRule::on(Host::Ghcr, Fault::status(503)).share(0.2));
        let mut hits = Vec::new();
        for number in 0..200 {
            hits.push(get(&world.ghcr_url(), "/v2/").await.status == 503);
            // Other requests in between change nothing.
            if number % 3 == seed % 3 {
                get(&world.ghcr_url(), "/elsewhere").await;
            }
        }
        assert!(fault.hits() > 0);
        hits
    };
    let first = draw(7).await;
    assert_eq!(first, draw(7).await);
    assert_ne!(first, draw(8).await);
    let hit = first.iter().filter(|hit| **hit).count();
    assert!((20..=60).contains(&hit), "{hit} of 200 at a share of one in five");
}

#[tokio::test]
async fn each_third_is_hit_after_those_let_through() {
    let world = start().await;
    let fault = world.fault(FaultRule::on(Host::Ghcr, Fault::status(503)).skip(1).every(3).times(2));
    let mut hit = Vec::new();
    for number in 1..=12 {
        if get(&world.ghcr_url(), "/v2/").await.status == 503 {
            hit.push(number);
        }
    }
    assert_eq!(hit, [4, 7]);
    assert_eq!(fault.hits(), 2);
}

#[tokio::test]
async fn throttling_has_every_form() {
    let world = start().await;
    let duration = Fault::RateLimited { retry_after: RetryAfter::Absent, ghcr_duration: Some("880.092µs".to_owned()) };
    world.fault(FaultRule::on(Host::Ghcr, duration).times(1));
    let answer = get(&world.ghcr_url(), TOKEN).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, None));
    assert_eq!(answer.json()["errors"][0]["code"], "TOOMANYREQUESTS");
    assert_eq!(answer.json()["errors"][0]["message"], "retry-after: 880.092µs, allowed: 44000/minute");

    let seconds = Fault::RateLimited { retry_after: RetryAfter::Seconds(7), ghcr_duration: None };
    world.fault(FaultRule::on(Host::GithubApi, seconds).times(1));
    let answer = get(&world.github_api_url(), "/rate_limit").await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("7")));
    assert!(answer.body.contains("secondary rate limit"));

    let date = Fault::RateLimited { retry_after: RetryAfter::Date(TimeDelta::minutes(2)), ghcr_duration: None };
    world.fault(FaultRule::on(Host::Ghcr, date).times(1));
    let answer = get(&world.ghcr_url(), TOKEN).await;
    let read = |name| chrono::DateTime::parse_from_rfc2822(answer.header(name).expect("the header")).expect("a date");
    assert!((read("retry-after") - read("date") - TimeDelta::minutes(2)).num_seconds().abs() <= 1);
}

#[tokio::test]
async fn resets_and_silence_send_no_byte() {
    let world = start().await;
    world.fault(FaultRule::on(Host::Ghcr, Fault::Reset).times(1));
    let (bytes, end) = raw(&world.ghcr_url(), "GET", "/v2/", &[]).await;
    assert!(bytes.is_empty() && end.is_err());

    world.fault(FaultRule::on(Host::Ghcr, Fault::TimeoutAtHeaders).times(1));
    let mut stream = connect(&world.ghcr_url()).await;
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nhost: test\r\n\r\n").await.expect("written");
    world.wait_until(|log| log.len() == 2).await;
    assert_eq!(stream.try_read(&mut [0; 16]).map_err(|error| error.kind()), Err(std::io::ErrorKind::WouldBlock));
    assert_eq!(world.requests()[1].status, None);
    drop(world);
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "the connection ends with the world: {end:?}");
}

#[tokio::test]
async fn a_stall_in_the_body_comes_after_the_whole_head() {
    let world = start().await;
    world.fault(FaultRule::on(Host::Ghcr, Fault::TimeoutAtBody));
    let mut stream = connect(&world.ghcr_url()).await;
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nhost: test\r\n\r\n").await.expect("written");
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains("\r\n\r\n{\"err") {
        assert_ne!(stream.read_buf(&mut bytes).await.expect("bytes"), 0);
    }
    drop(world);
    let _ = stream.read_to_end(&mut bytes).await;
    assert!(!String::from_utf8_lossy(&bytes).ends_with("}]}\n"), "the second half never came");
}

#[tokio::test(start_paused = true)]
async fn delays_add_up_and_leave_the_answer_alone() {
    let world = start().await;
    world.fault(FaultRule::on(Host::Ghcr, Fault::Delay(Duration::from_secs(20))));
    world.fault(FaultRule::on(Host::Ghcr, Fault::Delay(Duration::from_secs(10))).path("/v2/"));
    world.fault(FaultRule::on(Host::Ghcr, Fault::Html).times(1));
    let start = tokio::time::Instant::now();
    assert_eq!(get(&world.ghcr_url(), "/v2/").await.status, 200);
    assert_eq!(get(&world.ghcr_url(), "/v2/").await.status, 401);
    assert!(start.elapsed() >= Duration::from_secs(60));
}
