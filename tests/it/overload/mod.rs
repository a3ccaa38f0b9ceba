//! More than it can take: the daemon gets late by its own account, says nothing that it does not know, and comes back by
//! itself with nothing lost.

mod descriptors;
mod disk;
mod scrapers;
mod slow_registry;
mod updates;

use std::collections::BTreeMap;
use std::path::PathBuf;

use simulator::{TokenHandle, TokenSpec, Visibility, World};

use crate::support::manifests::{docker_config, ghcr_config, pod, pull_secret};

/// A world, tokens of it, and the files of a daemon.
struct Scene {
    world: World,
    tokens: Vec<TokenHandle>,
    folder: tempfile::TempDir,
    config: PathBuf,
    manifests: PathBuf,
}

impl Scene {
    /// `copies` Secrets for each token, and one pod for each; `config` is added to the file.
    async fn new(tokens: usize, copies: usize, probe: &str, config: &str) -> Self {
        let world = World::start().await.expect("a world");
        world.add_package("acme/app", Visibility::private());
        let add = |n: usize| world.add_token(TokenSpec::classic(format!("user-{n}")).reads("acme/app"));
        let tokens: Vec<TokenHandle> = (0..tokens).map(add).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let (config_file, manifests) = (folder.path().join("patrol.yaml"), folder.path().join("cluster.yaml"));
        let state = folder.path().join("state").display().to_string();
        let text = ghcr_config(&world, None, probe) + &config.replace("STATE", &state);
        std::fs::write(&config_file, text).expect("writable");
        let mut text = String::new();
        for (n, token) in tokens.iter().enumerate() {
            let document = docker_config("ghcr.io", &format!("user-{n}"), token.secret());
            for copy in 0..copies {
                text += &pull_secret("a", &format!("pull-{n}-{copy}"), &document);
            }
            text += &pod("a", &format!("pod-{n}"), "ghcr.io/acme/app:latest", &[&format!("pull-{n}-0")]);
        }
        std::fs::write(&manifests, text).expect("writable");
        Self { world, tokens, folder, config: config_file, manifests }
    }

    fn manifests(&self) -> [String; 2] {
        ["--manifests".to_owned(), self.manifests.display().to_string()]
    }
}

/// The value of a metric without labels; not a number where it is absent, such as in the answer of nobody.
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(f64::NAN, |value| value.parse().expect("a number"))
}

/// The sum over all series of a family.
fn sum(text: &str, name: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// The values of a family by the name of the Secret.
fn by_secret(text: &str, name: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let pair = |line: &str| {
        let secret = line.split_once("secret_name=\"")?.1.split_once('"')?.0.to_owned();
        Some((secret, line.rsplit_once(' ')?.1.parse().ok()?))
    };
    lines.filter_map(pair).collect()
}

/// How many credentials have a status.
fn with_status(text: &str, status: &str) -> usize {
    let label = format!("status=\"{status}\"");
    text.lines().filter(|line| line.starts_with("pullsecret_credential_status{") && line.contains(&label)).count()
}

const VERDICT_AT: &str = "pullsecret_credential_last_verdict_timestamp_seconds";
const LAG: &str = "pullpatrol_schedule_lag_seconds";

/// The oldest verdict.
fn oldest_verdict(text: &str) -> f64 {
    by_secret(text, VERDICT_AT).into_values().fold(f64::INFINITY, f64::min)
}

/// Now, in seconds since the epoch.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
fn now() -> f64 {
    chrono::Utc::now().timestamp() as f64
}
