//! From a revoked token to a person: the daemon, a real Prometheus with the shipped rules, a real Alertmanager with the shipped
//! example configuration, and a webhook. Rules and probes run 60 times faster than shipped, Alertmanager 30 times.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use pull_patrol::cli::shipped::RULES;
use simulator::{Fault, FaultRule, Host, TokenHandle, TokenSpec, Visibility, World};

use crate::support::manifests::{docker_config, ghcr_config, pod, pull_secret};
use crate::support::program::Program;
use crate::support::real::{Alertmanager, Inbox, Notification, Prometheus, checkout, hurried};

/// Logins of others at the same registry.
const OTHERS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(50);
/// `probe.interval: 6m` and the defaults of the rest, 60 times faster.
const PROBE: &str = "interval: 6s, confirmationSpacing: 1s, rejectedInterval: 6m";

/// Everything between a Secret and a person.
struct Stage {
    world: World,
    others: Vec<TokenHandle>,
    folder: tempfile::TempDir,
    inbox: Inbox,
    alertmanager: Alertmanager,
    _prometheus: Prometheus,
    daemon: Program,
}

impl Stage {
    /// One token in two namespaces, under a scale set and a pod; and fifty others.
    async fn start() -> (Self, TokenHandle) {
        let world = World::start().await.expect("a world");
        world.add_package("acme/app", Visibility::private());
        let token = Self::token(&world, "ci-bot");
        let others: Vec<TokenHandle> = (0..OTHERS).map(|n| Self::token(&world, &format!("owner-{n}"))).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("manifests")).expect("writable");
        let config = path("patrol.yaml");
        std::fs::write(&config, ghcr_config(&world, None, PROBE)).expect("writable");
        std::fs::write(path("manifests/workloads.yaml"), workloads(&others)).expect("writable");
        write_secrets(&path("manifests/secrets.yaml"), &token);

        let inbox = Inbox::start().await;
        let example = std::fs::read_to_string(checkout().join("deploy/alerts/alertmanager.yaml")).expect("the example");
        let example = hurried(&example.replace("http://receiver.example.com", inbox.url()), 30);
        let alertmanager = Alertmanager::start_with(&example).await;
        let daemon = Program::start(&config, &["--manifests", &path("manifests").to_string_lossy()]).await;
        let rules = path("rules.yaml");
        std::fs::write(&rules, hurried(RULES, 60)).expect("writable");
        let target = daemon.url().trim_start_matches("http://").to_owned();
        let prometheus = Prometheus::start_alerting(&[&target], &[&rules], alertmanager.address()).await;
        (Self { world, others, folder, inbox, alertmanager, _prometheus: prometheus, daemon }, token)
    }

    fn token(world: &World, owner: &str) -> TokenHandle {
        world.add_token(TokenSpec::classic(owner).reads("acme").expires_at(world.now() + TimeDelta::days(200)))
    }

    fn secrets(&self) -> PathBuf {
        self.folder.path().join("manifests/secrets.yaml")
    }

    /// Waits until one of the others was asked in this many further rounds.
    async fn rounds(&self, count: usize) {
        let asked =
            || self.world.count(|request| request.asked(Host::Ghcr, "/token") && request.shows(&self.others[0]));
        let wanted = asked() + count;
        until("rounds", || asked() >= wanted).await;
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

fn write_secrets(file: &std::path::Path, token: &TokenHandle) {
    let document = docker_config("ghcr.io", "ci-bot", token.secret());
    let text = pull_secret("arc-runners", "ghcr-pull", &document) + &pull_secret("team-a", "ghcr-pull", &document);
    std::fs::write(file, text).expect("writable");
}

fn workloads(others: &[TokenHandle]) -> String {
    let mut text = "---\napiVersion: actions.github.com/v1alpha1\nkind: AutoscalingRunnerSet\n\
                    metadata: {name: build, namespace: arc-runners}\nspec:\n  template:\n    spec:\n      \
                    imagePullSecrets: [{name: ghcr-pull}]\n      \
                    containers: [{name: runner, image: 'ghcr.io/acme/app:latest'}]\n"
        .to_owned();
    text += &pod("team-a", "api", "ghcr.io/acme/app:latest", &["ghcr-pull"]);
    for (n, token) in others.iter().enumerate() {
        let name = format!("good-{n}");
        text += &pull_secret("crowd", &name, &docker_config("ghcr.io", &format!("owner-{n}"), token.secret()));
        text += &pod("crowd", &name, "ghcr.io/acme/app:latest", &[&name]);
    }
    text
}

fn ended(letters: &[Notification], names: &[&str]) -> bool {
    letters.last().is_some_and(|letter| letter.status == "resolved" && letter.names("resolved") == names)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_is_one_page_its_renewal_ends_it_and_an_incident_is_an_incident() {
    const DEAD: [&str; 4] = [
        "PullSecretCredentialRejected",
        "PullSecretCredentialRejected",
        "PullSecretWorkloadBlocked",
        "PullSecretWorkloadBlocked",
    ];
    let (mut stage, token) = Stage::start().await;
    let all_work = |metrics: &str| {
        let works = |line: &&str| line.starts_with("pullsecret_credential_usable{") && line.ends_with(" 1");
        metrics.lines().filter(works).count() == OTHERS + 2
    };
    stage.daemon.metrics_when(all_work).await;

    // One page, with all that it takes to act.
    let day = |at: chrono::DateTime<Utc>| at.format("%Y-%m-%d").to_string();
    let before = day(Utc::now());
    token.revoke();
    let pages = stage.inbox.until("pages", |pages| !pages.is_empty()).await;
    assert_eq!(pages[0].names("firing"), DEAD, "{pages:#?}");
    let alert = pages[0]
        .alerts
        .iter()
        .find(|alert| {
            let labels = &alert["labels"];
            labels["alertname"] == "PullSecretCredentialRejected" && labels["secret_namespace"] == "arc-runners"
        })
        .expect("the alert about the Secret of the runners");
    assert_eq!(alert["labels"]["severity"], "critical");
    let text = alert["annotations"]["description"].as_str().expect("a description");
    for part in [
        "Secret arc-runners/ghcr-pull, entry ghcr.io, token owner ci-bot: the registry refuses it, confirmed. Last proven: ",
        " Workloads that present it: 1. Cannot pull in this namespace: AutoscalingRunnerSet build (runner). Credentials with \
         this token: 2. Put a working token into the Secret, or delete the Secret.",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(text.contains(&before) || text.contains(&day(Utc::now())), "{text}");
    let page = alert["annotations"]["runbook_url"].as_str().expect("a runbook");
    assert!(page.ends_with("/docs/runbooks/PullSecretCredentialRejected.md"));

    // Two rounds are longer than the group interval of Alertmanager here: nothing is said twice.
    stage.rounds(2).await;
    assert_eq!(stage.inbox.of("pages").len(), 1, "{:#?}", stage.inbox.of("pages"));

    let renewed = Stage::token(&stage.world, "ci-bot");
    write_secrets(&stage.secrets(), &renewed);
    stage.daemon.metrics_when(all_work).await;
    let pages = stage.inbox.until("pages", |pages| ended(pages, &DEAD)).await;
    let firing = pages.iter().filter(|page| page.names("firing") == DEAD).count();
    assert_eq!(firing, 1, "{pages:#?}");

    // The registry refuses everyone.
    let said = (stage.inbox.of("pages").len(), stage.inbox.of("tickets").len());
    let fault = stage.world.fault(FaultRule::on(Host::Ghcr, Fault::ghcr_denied()).path("/token"));
    let opened = |letters: &[Notification]| letters[said.1..].iter().any(|letter| letter.status == "firing");
    let tickets = stage.inbox.until("tickets", opened).await;
    assert_eq!(tickets[said.1].names("firing"), ["PullPatrolRegistryIncident"], "{tickets:#?}");
    // More refusals of each than prove a rejection, and time enough for an alert about them to arrive.
    let enough = fault.hits() + 3 * u32::try_from(OTHERS).expect("few");
    until("refusals", || fault.hits() >= enough).await;
    let standing = stage.alertmanager.alerts(1).await;
    assert_eq!(standing[0]["labels"]["alertname"], "PullPatrolRegistryIncident", "{standing:#?}");
    assert_eq!(stage.inbox.of("pages").len(), said.0, "{:#?}", stage.inbox.of("pages"));

    fault.remove();
    let over = |letters: &[Notification]| ended(letters, &["PullPatrolRegistryIncident"]);
    let tickets = stage.inbox.until("tickets", over).await;
    assert_eq!(tickets.len(), said.1 + 2, "{tickets:#?}");
    assert_eq!(stage.inbox.of("pages").len(), said.0);
    stage.daemon.stop().await;
}
