//! No secret leaves: the daemon and the command line run over the demo at log level trace, and every byte that comes out
//! is searched for every token, raw and in disguise.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use simulator::demo::{DemoPorts, DemoWorld};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_pull-patrol");

/// Every form in which a secret could hide in text.
pub(crate) fn disguises(secret: &str) -> Vec<String> {
    let mut forms = vec![
        secret.to_owned(),
        secret.chars().rev().collect(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        secret.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat(),
        secret.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", "),
    ];
    // A hash without a key can be guessed as well as the secret itself.
    let hash = ring::digest::digest(&ring::digest::SHA256, secret.as_bytes());
    let hexadecimal: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    forms.extend([hexadecimal[..12].to_owned(), STANDARD.encode(&hash.as_ref()[..30])[..16].to_owned()]);
    // Base64 of a longer text shows a secret inside of it in one of three alignments; the rims depend on neighbours.
    for offset in 0..3 {
        let padded = [vec![b'x'; offset], secret.as_bytes().to_vec()].concat();
        for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE] {
            let text = engine.encode(&padded);
            let text = text.trim_end_matches('=');
            forms.push(text[offset + usize::from(offset > 0)..text.len() - 2].to_owned());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

/// The passwords in the manifests of the demo: what stands in their documents, decoded.
pub(crate) fn secrets(manifests: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in manifests.lines() {
        let Some(data) = line.trim().strip_prefix(".dockerconfigjson: ") else { continue };
        let document = STANDARD.decode(data).expect("base64");
        let document: serde_json::Value = serde_json::from_slice(&document).expect("JSON");
        for entry in document["auths"].as_object().expect("auths").values() {
            found.extend(entry["password"].as_str().map(str::to_owned));
            let auth = entry["auth"].as_str().unwrap_or_default();
            if let Ok(pair) = STANDARD.decode(auth) {
                let pair = String::from_utf8(pair).expect("UTF-8");
                found.extend(pair.split_once(':').map(|(_, password)| password.trim_end().to_owned()));
                found.push(auth.to_owned());
            }
        }
    }
    found.retain(|secret| secret.len() > 8);
    found.sort();
    found.dedup();
    assert!(found.len() > 20, "the demo holds {} secrets", found.len());
    found
}

/// Fails when the text holds one of the secrets in any form.
pub(crate) fn search(what: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        for form in disguises(secret) {
            // The place, not the text: a failing test must not print a secret either.
            assert!(!text.contains(&form), "{what}: holds a secret of {} characters", secret.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_leaves_the_daemon_or_the_command_line() {
    let demo = DemoWorld::start(DemoPorts::default()).await.expect("the world starts");
    let folder = tempfile::tempdir().expect("a folder");
    let (manifests, config) = (folder.path().join("cluster.yaml"), folder.path().join("patrol.yaml"));
    std::fs::write(&manifests, &demo.manifests).expect("writable");
    let state = folder.path().join("state");
    std::fs::create_dir(&state).expect("writable");
    let kept = format!("state: {{ kind: file, path: {} }}\n", state.join("state").display());
    std::fs::write(&config, format!("{}\n{kept}", demo.config)).expect("writable");
    let secrets = secrets(&demo.manifests);

    let mut daemon = Command::new(BINARY)
        .args(["serve", "--web.listen-address", "127.0.0.1:0", "--log.level", "trace", "--config.file"])
        .arg(&config)
        .arg("--manifests")
        .arg(&manifests)
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the daemon starts");
    let mut stderr = BufReader::new(daemon.stderr.take().expect("piped"));
    let mut log = String::new();
    let address = loop {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).await.expect("readable") > 0, "the daemon ended:\n{log}");
        log.push_str(&line);
        if let Some((_, rest)) = line.split_once("address=") {
            break rest.split_whitespace().next().expect("an address").trim_matches('"').to_owned();
        }
    };
    let reading = tokio::spawn(async move {
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).await.expect("readable");
        rest
    });

    pull_patrol::probe::install_tls_provider();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let get = async |path: &str| {
        let answer = client.get(format!("http://{address}{path}")).send().await.expect("the daemon answers");
        answer.text().await.expect("a body")
    };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(90);
    while get("/metrics").await.matches("status=\"rejected\"").count() < 4 {
        assert!(tokio::time::Instant::now() < deadline, "no verdicts");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for path in ["/metrics", "/", "/api/v1/credentials", "/api/v1/workloads", "/readyz?verbose", "/livez", "/nothing"] {
        search(path, &get(path).await, &secrets);
    }
    let pid = daemon.id().expect("it runs").to_string();
    Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs");
    let mut stdout = String::new();
    daemon.stdout.take().expect("piped").read_to_string(&mut stdout).await.expect("readable");
    assert!(daemon.wait().await.expect("it ends").success(), "SIGTERM ends it in order");
    log.push_str(&reading.await.expect("read"));
    assert!(log.lines().count() > 100, "trace says much:\n{log}");
    search("the log", &log, &secrets);
    search("standard output", &stdout, &secrets);
    let mut files = 0;
    for entry in std::fs::read_dir(&state).expect("a folder") {
        let path = entry.expect("readable").path();
        let text = String::from_utf8_lossy(&std::fs::read(&path).expect("readable")).into_owned();
        search(&path.display().to_string(), &text, &secrets);
        files += usize::from(text.contains("\"verdict\":[false"));
    }
    assert_eq!(files, 1, "the state holds refusals");

    for format in ["table", "json", "yaml"] {
        let output = Command::new(BINARY)
            .args(["check", "-o", format, "--log.level", "trace", "--config.file"])
            .args([&config, &manifests])
            .output()
            .await
            .expect("check runs");
        assert_eq!(output.status.code(), Some(1), "the demo has problems");
        search(format, &String::from_utf8_lossy(&output.stdout), &secrets);
        search("the log of check", &String::from_utf8_lossy(&output.stderr), &secrets);
    }
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let secret = "ghp_0123456789abcdefghijABCDEFGHIJ123456";
    let forms = disguises(secret);
    let found = |text: &str| forms.iter().any(|form| text.contains(form.as_str()));
    for user in ["", "a", "ab", "abc", "octocat"] {
        let pair = format!("{user}:{secret}");
        assert!(found(&STANDARD.encode(&pair)), "base64 behind {user:?}");
        assert!(found(&URL_SAFE.encode(format!("{pair}\n"))), "URL-safe base64 behind {user:?}");
        assert!(found(&format!("https://{pair}@ghcr.io")));
    }
    assert!(found(&format!("{:?}", secret.as_bytes())), "bytes as Debug prints them");
    assert!(found(&secret.chars().rev().collect::<String>()));
    assert!(!found("ghp_0123456789abcdefghijABCDEFGHIJ12345"), "one character less");
}
