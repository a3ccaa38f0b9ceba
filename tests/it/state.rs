//! Nothing that was shown is forgotten: the daemon is killed at any moment, and the next one goes on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use simulator::{Host, TokenHandle, TokenSpec, Visibility, World};

use crate::support::manifests::{docker_config, ghcr_config, pod, pull_secret};
use crate::support::program::Program;

/// How often the daemon is killed; more, where `PULL_PATROL_KILLS` says so.
const KILLS: usize = 12;
/// Every so many kills a token is revoked.
const REVOKED_EVERY: usize = 2;

/// A value of each credential, by the name of its Secret.
type Values = BTreeMap<String, i64>;

/// What an exposition tells of each credential.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exposed {
    pub(crate) status: BTreeMap<String, String>,
    verdict_at: Values,
    probe_at: Values,
    expiry: Values,
}

fn label<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(&format!("{name}=\""))?.1.split_once('"').map(|(value, _)| value)
}

impl Exposed {
    pub(crate) fn of(text: &str) -> Self {
        let values = |family: &str| -> Values {
            let lines = text.lines().filter(|line| line.starts_with(&format!("{family}{{")));
            let pair = |line: &str| {
                Some((label(line, "secret_name")?.to_owned(), line.rsplit_once(' ')?.1.parse::<i64>().ok()?))
            };
            lines.filter_map(pair).collect()
        };
        let status = text.lines().filter(|line| line.starts_with("pullsecret_credential_status{"));
        let status = status
            .filter_map(|line| Some((label(line, "secret_name")?.to_owned(), label(line, "status")?.to_owned())))
            .collect();
        Self {
            status,
            verdict_at: values("pullsecret_credential_last_verdict_timestamp_seconds"),
            probe_at: values("pullsecret_credential_last_probe_timestamp_seconds"),
            expiry: values("pullsecret_token_expiry_timestamp_seconds"),
        }
    }

    /// What the next process must know of it.
    fn assert_known_by(&self, later: &Self, context: &str) {
        let now = chrono::Utc::now().timestamp();
        for (name, status) in self.status.iter().filter(|(_, status)| *status != "unverified") {
            let found = later.status.get(name);
            // What was proven after the last look may be newer than what was seen.
            let newer = status == "valid" && found.is_some_and(|found| found == "rejected" || found == "unverified");
            let doubted = newer && later.verdict_at.get(name) >= self.verdict_at.get(name);
            assert!(found == Some(status) || doubted, "{context}: {name} was {status}, and is {found:?} now");
        }
        for (what, before, after) in
            [("verdict", &self.verdict_at, &later.verdict_at), ("exchange", &self.probe_at, &later.probe_at)]
        {
            for (name, at) in before {
                let found = after.get(name).copied();
                let right = found.is_some_and(|found| (*at..=now).contains(&found));
                assert!(right, "{context}: the last {what} of {name} was at {at}, and is at {found:?} now ({now})");
            }
        }
        for (name, at) in &self.expiry {
            assert_eq!(later.expiry.get(name), Some(at), "{context}: expiry of {name}");
        }
    }
}

/// A world, a config with a state in a file, and Secrets of all tokens.
struct Scene {
    world: World,
    folder: tempfile::TempDir,
    config: PathBuf,
    manifests: PathBuf,
    tokens: Vec<TokenHandle>,
}

impl Scene {
    async fn new(tokens: usize, probe: &str) -> Self {
        let world = World::builder().log_limit(1_000_000).start().await.expect("a world");
        world.add_package("acme/app", Visibility::private());
        let add = |n: usize| {
            let expires = world.now() + chrono::TimeDelta::days(30);
            world.add_token(TokenSpec::classic(format!("user-{n}")).reads("acme/app").expires_at(expires))
        };
        let tokens: Vec<TokenHandle> = (0..tokens).map(add).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let (config, manifests) = (folder.path().join("patrol.yaml"), folder.path().join("cluster.yaml"));
        let state = folder.path().join("state");
        let text = ghcr_config(&world, None, probe) + &format!("state: {{kind: file, path: {}}}\n", state.display());
        std::fs::write(&config, text).expect("writable");
        let mut text = String::new();
        for (n, token) in tokens.iter().enumerate() {
            let name = format!("pull-{n}");
            text += &pull_secret("a", &name, &docker_config("ghcr.io", &format!("user-{n}"), token.secret()));
            text += &pod("a", &name, "ghcr.io/acme/app:latest", &[&name]);
        }
        std::fs::write(&manifests, text).expect("writable");
        Self { world, folder, config, manifests, tokens }
    }

    async fn start(&self) -> Program {
        Program::start(&self.config, &["--manifests", &self.manifests.display().to_string()]).await
    }

    /// Exchanges in which a token was shown to the registry's token service.
    fn asked(&self, token: &TokenHandle) -> usize {
        self.world.count(|request| request.asked(Host::Ghcr, "/token") && request.shows(token))
    }

    /// Every request that showed a token.
    fn shown(&self, token: &TokenHandle) -> usize {
        self.world.count(|request| request.shows(token))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_forgets_nothing_that_it_showed() {
    let kills = std::env::var("PULL_PATROL_KILLS").ok().map_or(KILLS, |text| text.parse().expect("a number"));
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[19; 32]);
    let scene =
        Scene::new(kills / REVOKED_EVERY + 8, "interval: 1s, confirmationSpacing: 1s, rejectedInterval: 1h").await;
    let mut seen = Exposed::default();
    let mut revoked: Vec<(&TokenHandle, Instant)> = Vec::new();
    // In which life the end of each dead login was first shown, and what it had been asked by then.
    let mut buried: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for kill in 0..kills {
        let life = Duration::from_millis(u64::from(random.next_u32() % 2_500));
        let context = format!("kill {kill}, after a life of {life:?}");
        let daemon = scene.start().await;
        let died = Instant::now() + life;
        let first = tokio::time::timeout(life, daemon.ready_metrics()).await;
        if let Ok(text) = &first {
            let exposed = Exposed::of(text);
            seen.assert_known_by(&exposed, &context);
            assert_eq!(exposed.status.len(), scene.tokens.len(), "{context}: every series is there at the first look");
            seen = exposed;
        }
        if kill % REVOKED_EVERY == 1 {
            let token = &scene.tokens[revoked.len()];
            token.revoke();
            revoked.push((token, Instant::now()));
        }
        while Instant::now() < died {
            if first.is_ok()
                && let Some((200, text)) = daemon.get("/metrics").await
            {
                seen = Exposed::of(&text);
                for n in 0..revoked.len() {
                    if seen.status[&format!("pull-{n}")] == "rejected" {
                        buried.entry(n).or_insert_with(|| (kill, scene.shown(&scene.tokens[n])));
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let log = daemon.kill().await;
        assert!(!log.contains("not taken over") && !log.contains("panicked"), "{context}:\n{log}");
        for (n, (in_life, asked)) in &mut buried {
            // An exchange of its issuer or its workload may have been on its way when the end was shown.
            let under_way = if *in_life == kill { 2 } else { 0 };
            let requests = scene.world.requests_where(|request| request.shows(&scene.tokens[*n]));
            let told = requests.iter().map(|one| format!("\n{} {:?} {} {:?}", one.at, one.host, one.path, one.status));
            assert!(
                requests.len() <= *asked + under_way,
                "{context}: a login that was dead after {asked} requests, in life {in_life}, was asked again:{}",
                told.collect::<String>()
            );
            *asked = requests.len();
        }
        for (token, since) in &revoked {
            let most = usize::try_from(since.elapsed().as_secs()).expect("small") + 3;
            let refused = scene.world.count(|request| {
                request.asked(Host::Ghcr, "/token") && request.shows(token) && request.status == Some(403)
            });
            assert!(refused <= most, "{context}: refused {refused} times, a second apart it is {most} at most");
        }
    }
    assert!(buried.len() * 2 >= revoked.len(), "only {} of {} were found out meanwhile", buried.len(), revoked.len());
    let daemon = scene.start().await;
    let dead = revoked.len();
    daemon
        .metrics_when(|text| {
            let status = Exposed::of(text).status;
            status.values().filter(|status| *status == "rejected").count() == dead
                && status.values().filter(|status| *status == "valid").count() == status.len() - dead
        })
        .await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_restarts_ask_no_more_than_one_round() {
    let scene = Scene::new(12, "interval: 10m, confirmationSpacing: 5m").await;
    let slow = std::fs::read_to_string(&scene.config).expect("readable");
    let slow = slow.replace("requestsPerSecond: 1000", "requestsPerSecond: 8").replace("interval: 2s", "interval: 1h");
    std::fs::write(&scene.config, slow).expect("writable");
    let mut seen = Exposed::default();
    for restart in 0..10_u64 {
        let daemon = scene.start().await;
        let exposed = Exposed::of(&daemon.ready_metrics().await);
        seen.assert_known_by(&exposed, &format!("restart {restart}"));
        tokio::time::sleep(Duration::from_millis(100 + 130 * restart)).await;
        seen = Exposed::of(&daemon.ready_metrics().await);
        daemon.kill().await;
    }
    for (n, token) in scene.tokens.iter().enumerate() {
        // One token for the login, one for the access check of its workload.
        assert!(scene.asked(token) <= 2, "pull-{n} was asked {} times", scene.asked(token));
        let issuer = scene.world.count(|request| request.asked(Host::GithubApi, "/rate_limit") && request.shows(token));
        assert!(issuer <= 1, "GitHub was asked about pull-{n} {issuer} times");
    }
    assert!(seen.status.values().any(|status| status == "valid"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_is_damaged_is_put_aside_and_told() {
    let scene = Scene::new(1, "interval: 1s, confirmationSpacing: 1s").await;
    let path = scene.folder.path().join("state");
    let daemon = scene.start().await;
    let text = daemon.metrics_when(|text| text.contains("status=\"valid\"")).await;
    assert!(text.contains("pullpatrol_state_errors_total{reason=\"corrupt\"} 0"));
    assert!(text.contains("pullpatrol_state_saved_timestamp_seconds "));
    let second = Program::try_start(&scene.config, &["--manifests", &scene.manifests.display().to_string()]).await;
    let log = second.err();
    // It may listen before it sees that the file is in use; then it ends at once all the same.
    assert!(log.is_none_or(|log| log.contains("in use by another process")), "two daemons keep one file");
    daemon.stop().await;

    let mut bytes = std::fs::read(&path).expect("a state");
    let key = std::fs::read(scene.folder.path().join("state.key")).expect("a key");
    assert_eq!(key.len(), 32);
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    bytes.extend(b"more\nlines\n");
    std::fs::write(&path, &bytes).expect("writable");
    let daemon = scene.start().await;
    let text = daemon.metrics_when(|text| text.contains("status=\"valid\"")).await;
    assert!(text.contains("pullpatrol_state_errors_total{reason=\"corrupt\"} 1"), "{text}");
    let aside = scene.folder.path().join("state.refused-1");
    assert_eq!(std::fs::read(&aside).expect("a copy"), bytes);
    let log = daemon.stop().await;
    assert!(log.contains("state.refused-1") && log.contains("damaged"), "{log}");

    std::fs::write(scene.folder.path().join("state.key"), [1; 32]).expect("writable");
    let daemon = scene.start().await;
    let text = daemon.metrics_when(|text| text.contains("status=\"valid\"")).await;
    assert!(text.contains("pullpatrol_state_errors_total{reason=\"other_key\"} 1"));
    daemon.stop().await;
}
