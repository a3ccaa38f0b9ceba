//! Nothing of a secret stays in evidence or logs, even when the other side sends it back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pull_patrol::credential::TokenKind;
use pull_patrol::plan::IssuerKind;
use simulator::{Fault, FaultRule, Host, Hostile, RegistryKind, TokenSpec, Visibility, World};

use crate::probe_support::{ghcr, issuer, login, pass, prober, registry, user};

fn forms(name: &str, secret: &str) -> Vec<String> {
    vec![
        secret.to_owned(),
        STANDARD.encode(secret),
        STANDARD.encode(format!("{name}:{secret}")),
        secret.chars().rev().collect(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
    ]
}

fn assert_clean(what: &str, text: &str, forms: &[String]) {
    for form in forms {
        assert!(!text.contains(form.trim_end_matches('=')), "{what} shows a secret: {text}");
    }
}

#[tokio::test]
async fn echoes_are_redacted() {
    let world = World::start().await.unwrap();
    let secret = "C4nary+Pass/w0rd_0123456789";
    let forms = forms("alice", secret);
    let echo = forms.join(" ");
    let (prober, registry) = (prober(), ghcr(&world));
    let (name, password) = (user("alice"), pass(secret));
    let api = issuer(IssuerKind::GithubCloud, &world.github_api_url());
    for status in [400, 401, 403, 404, 429, 500] {
        world.clear_faults();
        world.fault(FaultRule::on(Host::Ghcr, Fault::oci_error(status, &echo, &echo)).path("/token"));
        let body = serde_json::json!({ "message": echo }).to_string();
        world.fault(FaultRule::on(Host::GithubApi, Fault::Status { status, body, headers: vec![] }));
        let evidence = prober.login(&registry, &name, &password).await;
        assert!(evidence.detail.contains("[redacted]"), "{evidence:?}");
        assert_clean("login", &format!("{evidence:?}"), &forms);
        let evidence = prober.access(&registry, Some((&name, &password)), "acme/app", "latest").await;
        assert_clean("access", &format!("{evidence:?}"), &forms);
        let evidence = prober.issuer(&api, &registry, &password, TokenKind::GithubClassic, true).await;
        assert!(evidence.detail.contains("[redacted]"), "{evidence:?}");
        assert_clean("issuer", &format!("{evidence:?}"), &forms);
    }
}

#[tokio::test]
async fn owners_and_scopes_that_are_secrets_are_redacted() {
    let world = World::start().await.unwrap();
    let token = world.add_token(TokenSpec::classic("alice").marker("CANARY"));
    let forms = forms("alice", token.secret());
    let body = serde_json::json!({ "login": token.secret() }).to_string();
    world.fault(FaultRule::on(Host::GithubApi, Fault::Status { status: 200, body, headers: vec![] }).path("/user"));
    let body = r#"{"resources":{"core":{"limit":5000,"remaining":1,"reset":1}}}"#.to_owned();
    let headers = vec![("x-oauth-scopes".to_owned(), format!("repo, {}", token.secret()))];
    world.fault(FaultRule::on(Host::GithubApi, Fault::Status { status: 200, body, headers }).path("/rate_limit"));
    let api = issuer(IssuerKind::GithubCloud, &world.github_api_url());
    let evidence = prober().issuer(&api, &ghcr(&world), &pass(token.secret()), TokenKind::GithubClassic, true).await;
    let text = format!("{evidence:?}");
    assert_clean("issuer", &text, &forms);
    assert!(text.contains("\"[redacted]\"") && text.contains("\"repo\""), "{text}");
}

#[tokio::test]
async fn bearers_are_secrets_too() {
    let world = World::start().await.unwrap();
    world.add_package("acme/app", Visibility::private());
    let token = world.add_token(TokenSpec::classic("alice").reads("acme"));
    let bearer = "handed-out-bearer-0123456789";
    let body = serde_json::json!({ "token": bearer }).to_string();
    world.fault(FaultRule::on(Host::Ghcr, Fault::Status { status: 200, body, headers: vec![] }).path("/token"));
    world.fault(FaultRule::on(Host::Ghcr, Fault::oci_error(403, "DENIED", &format!("bad {bearer}"))).path("/v2/acme"));
    let evidence =
        prober().access(&ghcr(&world), Some((&user("alice"), &pass(token.secret()))), "acme/app", "latest").await;
    assert_eq!(evidence.detail, "bad [redacted]");
}

#[tokio::test]
async fn a_secret_in_the_case_of_hosts_and_codes_is_redacted() {
    let secret = "C4nary-Passw0rd-0123456789";
    let (lower, upper) = (secret.to_lowercase(), secret.to_uppercase());
    let world = World::start().await.unwrap();
    let pointing = Hostile::RedirectFromTokenService(format!("http://{secret}.evil.example/"));
    let handle = world.add_registry(RegistryKind::Hostile(pointing)).await.unwrap();
    let evidence = login(&prober(), &registry("registry.example", handle.url()), "alice", secret).await;
    let text = format!("{evidence:?}");
    assert!(text.contains("[redacted].evil.example"), "{text}");
    assert_clean("a redirect", &text, &[secret.to_owned(), lower, upper.clone()]);

    world.fault(FaultRule::on(Host::Ghcr, Fault::oci_error(403, secret, "no")).path("/token"));
    let evidence = login(&prober(), &ghcr(&world), "alice", secret).await;
    assert_eq!(evidence.code.as_deref(), Some("[redacted]"));
    assert_clean("a code", &format!("{evidence:?}"), &[secret.to_owned(), upper]);
}

const CANARY: &str = "ghp_CANARYcanary0123456789abcdefABCDEF01";
const CHILD: &str = "PULL_PATROL_TEST_LOGS_IN_CHILD";

/// The log of one process has one receiver, and other tests share this one: so the exchanges run in a child.
#[test]
fn logs_at_trace_show_nothing() {
    if std::env::var_os(CHILD).is_some() {
        return log_all_exchanges();
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "probe_secrets::logs_at_trace_show_nothing", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let log = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success(), "{log}");
    assert!(log.contains("challenge remembered") && log.contains("exchanges done"), "{log}");
    assert_clean("the log", &log, &forms("alice", CANARY));
}

fn log_all_exchanges() {
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::stderr).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let world = World::start().await.unwrap();
        // So the bearer is one of the forms that the parent looks for.
        world.set_unsettled(|unsettled| unsettled.bearer_is_base64_token = true);
        world.add_package("acme/app", Visibility::private());
        let token = world.add_token(TokenSpec::classic("alice").reads("acme").secret_text(CANARY));
        let (registry, api) = (ghcr(&world), issuer(IssuerKind::GithubCloud, &world.github_api_url()));
        let (name, password) = (user("alice"), pass(CANARY));
        let prober = prober();
        for _ in 0..2 {
            prober.login(&registry, &name, &password).await;
            prober.access(&registry, Some((&name, &password)), "acme/app", "latest").await;
            prober.issuer(&api, &registry, &password, TokenKind::GithubClassic, true).await;
            token.revoke();
        }
        assert_eq!(world.count(|request| request.status == Some(403)), 2);
        tracing::info!("exchanges done");
    });
}
