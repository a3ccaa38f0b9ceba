//! Truth over real sockets: what the daemon says while the outside world misbehaves.

use std::path::PathBuf;
use std::time::Duration;

use pull_patrol::runtime::Source;
use serde_json::Value;
use simulator::{Fault, FaultRule, Host, TokenSpec, TrapListener, Visibility, World};

use crate::line::{Daemon, row};
use crate::support::manifests::{docker_config, ghcr_config, pod, pull_secret};

const SHORT: &str = "interval: 1s, confirmationSpacing: 1s, rejectedInterval: 1h";

/// A folder with one manifest file, which a test rewrites.
struct Files {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

impl Files {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cluster.yaml");
        std::fs::write(&file, text).expect("writable");
        Self { _folder: folder, file }
    }

    fn source(&self) -> Source {
        Source::Files(vec![self.file.clone()])
    }

    fn rewrite(&self, text: &str) {
        std::fs::write(&self.file, text).expect("writable");
    }
}

fn status(rows: &[Value], namespace: &str, name: &str) -> String {
    row(rows, namespace, name, "ghcr.io").map_or_else(|| "no row".to_owned(), |row| row["status"].to_string())
}

/// A complaint unless a credential has a status.
fn expect(rows: &[Value], namespace: &str, name: &str, wanted: &str) -> Vec<String> {
    let found = status(rows, namespace, name);
    if found == format!("\"{wanted}\"") { vec![] } else { vec![format!("{namespace}/{name}: {found}, not {wanted}")] }
}

/// A registry that refuses everyone for longer than three refusals take: nobody is called rejected. With a canary that is
/// an incident and the verdict stays; without any control nothing is known, and the issuer disagrees.
async fn survives(canary: Option<&str>, allowed: &[&str]) {
    let world = World::start().await.expect("a world");
    world.add_package("acme/app", Visibility::private());
    let token = world.add_token(TokenSpec::classic("alice").reads("acme"));
    let files = Files::new(&pull_secret("a", "good", &docker_config("ghcr.io", "alice", token.secret())));
    world.add_package("acme/public", Visibility::Public);
    let daemon = Daemon::start(&ghcr_config(&world, canary, SHORT), files.source()).await;
    daemon.settled(|rows| expect(rows, "a", "good", "valid")).await;

    let fault = world.fault(FaultRule::on(Host::Ghcr, Fault::ghcr_denied()));
    // Far more refusals, and farther apart, than the three that would prove a rejection without an issuer.
    while fault.hits() < 9 {
        let rows = daemon.credentials().await;
        let status = status(&rows, "a", "good");
        assert!(allowed.contains(&status.trim_matches('"')), "{status} after {} false refusals", fault.hits());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = row(&daemon.credentials().await, "a", "good", "ghcr.io").expect("a row")["last_verdict_at"].clone();
    fault.remove();
    daemon
        .settled(|rows| {
            let row = row(rows, "a", "good", "ghcr.io").expect("a row");
            let renewed = row["status"] == "valid" && row["last_verdict_at"] != before;
            if renewed { vec![] } else { vec![format!("not renewed since {before}: {row}")] }
        })
        .await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_token_survives_a_registry_that_refuses_everyone() {
    survives(None, &["valid", "unverified"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_tells_an_incident_from_dead_credentials() {
    survives(Some("acme/public"), &["valid"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_login_rests_until_its_secret_changes() {
    let world = World::start().await.expect("a world");
    let dead = world.add_token(TokenSpec::classic("alice"));
    dead.revoke();
    let good = world.add_token(TokenSpec::classic("bob"));
    let secret = |token: &str| pull_secret("a", "pull", &docker_config("ghcr.io", "alice", token));
    let control = pull_secret("b", "control", &docker_config("ghcr.io", "bob", good.secret()));
    let files = Files::new(&format!("{}{control}", secret(dead.secret())));
    let daemon = Daemon::start(&ghcr_config(&world, None, SHORT), files.source()).await;
    daemon.settled(|rows| expect(rows, "a", "pull", "rejected")).await;

    // Several rounds of the control later nobody has asked about the dead login again.
    let asked = |token: &simulator::TokenHandle| world.count(|request| request.shows(token));
    let (before, rounds) = (asked(&dead), asked(&good));
    world.wait_until(|log| log.iter().filter(|request| request.shows(&good)).count() >= rounds + 5).await;
    assert_eq!(asked(&dead), before, "a dead login is asked again only after rejectedInterval");

    let rotated = world.add_token(TokenSpec::classic("alice"));
    files.rewrite(&format!("{}{control}", secret(rotated.secret())));
    daemon.settled(|rows| expect(rows, "a", "pull", "valid")).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_copies_are_one_exchange_a_round() {
    let world = World::start().await.expect("a world");
    let token = world.add_token(TokenSpec::classic("alice"));
    let document = docker_config("ghcr.io", "alice", token.secret());
    let text: String = (0..1000).map(|n| pull_secret(&format!("team-{n}"), "pull", &document)).collect();
    let files = Files::new(&text);
    let daemon = Daemon::start(&ghcr_config(&world, None, "interval: 1h"), files.source()).await;
    daemon
        .settled(|rows| {
            let valid = rows.iter().filter(|row| row["status"] == "valid" && row["copies"] == 1000).count();
            if valid == 1000 { vec![] } else { vec![format!("{valid} of {} are valid", rows.len())] }
        })
        .await;
    let logins = world.count(|request| request.asked(Host::Ghcr, "/token") && request.shows(&token));
    assert_eq!(logins, 1, "one exchange for a thousand Secrets");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_opens_no_connection_to_a_place_that_is_not_listed() {
    let world = World::start().await.expect("a world");
    let trap = TrapListener::start().await.expect("a trap");
    let address = trap.address().to_string();
    let port = trap.address().port();
    let named = format!("localhost:{port}");
    let token = world.add_token(TokenSpec::classic("alice"));
    let hosts = [address.as_str(), named.as_str(), "169.254.169.254", "[::1]:5000", "metadata.google.internal"];
    let mut text: String = hosts
        .iter()
        .enumerate()
        .map(|(n, host)| pull_secret("evil", &format!("s{n}"), &docker_config(host, "alice", token.secret())))
        .collect();
    text += &pod("evil", "p", &format!("{address}/x/y:latest"), &["s0"]);
    text += &pull_secret("evil", "listed", &docker_config("trap.example.com", "alice", token.secret()));
    // A host that the operator listed, at an address that only `allowPrivateAddresses` would permit.
    let config = format!(
        "registries:\n  - host: trap.example.com\n    issuer: none\n    endpoint: http://{named}\n    plainHttp: true\n\
         probe: {{{SHORT}}}\n"
    );
    let files = Files::new(&text);
    let daemon = Daemon::start(&config, files.source()).await;
    daemon
        .settled(|rows| {
            let mut complaints = Vec::new();
            for row in rows.iter().filter(|row| row["secret_name"] != "listed" && row["status"] != "ignored") {
                complaints.push(format!("{} is {}", row["secret_name"], row["status"]));
            }
            let listed = row(rows, "evil", "listed", "trap.example.com");
            let found = listed.and_then(|row| row["findings"].as_array()).is_some_and(|findings| {
                findings.iter().any(|finding| finding["finding"] == "private_registry_address")
            });
            if !found {
                complaints.push(format!("no finding about the address: {listed:?}"));
            }
            complaints
        })
        .await;
    assert_eq!(trap.connections(), 0, "a connection was opened");
    daemon.stop().await;
}
