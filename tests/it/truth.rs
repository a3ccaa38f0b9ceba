//! No false alarm, no false calm: what daemon and command line say of a world that changes and misbehaves.
//!
//! Each scenario says which statuses a credential may show on its way to the right one; any other is a failure the moment
//! it is seen.

mod check;
mod daemon;
mod incident;

use std::path::PathBuf;
use std::time::Duration;

use pull_patrol::runtime::Source;
use serde_json::Value;
use simulator::World;

use crate::line::{Daemon, row};
use crate::support::manifests::ghcr_config;

const SHORT: &str = "interval: 1s, confirmationSpacing: 1s, rejectedInterval: 1h";
/// How long a test waits for a state that must come: generous, since it only matters when something is broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A daemon over manifests that a test rewrites.
struct Scene {
    daemon: Daemon,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn start(config: &str, manifests: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cluster.yaml");
        std::fs::write(&file, manifests).expect("writable");
        let daemon = Daemon::start(config, Source::Files(vec![file.clone()])).await;
        while daemon.credentials().await.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        Self { daemon, file, _folder: folder }
    }

    async fn ghcr(world: &World, manifests: &str) -> Self {
        Self::start(&ghcr_config(world, None, SHORT), manifests).await
    }

    fn rewrite(&self, manifests: &str) {
        std::fs::write(&self.file, manifests).expect("writable");
    }

    /// Look until all of these rows (`namespace/name` with the wanted status) are as wanted. On the way a row may show
    /// its wanted status and those in `meanwhile`, and nothing else.
    async fn becomes(&self, wanted: &[(&str, &str)], meanwhile: &[&str]) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let rows = self.daemon.credentials().await;
            let mut open = Vec::new();
            for (place, status) in wanted {
                let row = find(&rows, place);
                let found = status_of(row);
                assert!(found == *status || meanwhile.contains(&found), "{place} is {found}, not {status}: {row:#?}");
                if found != *status {
                    open.push(format!("{place} is {found}, not {status}: {row:#?}"));
                }
            }
            if open.is_empty() {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "not settled:\n{}", open.join("\n"));
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Look until `ended`; meanwhile every row shows one of these statuses.
    async fn stays(&self, places: &[&str], allowed: &[&str], ended: impl Fn() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let over = ended();
            let rows = self.daemon.credentials().await;
            for place in places {
                let row = find(&rows, place);
                let found = status_of(row);
                assert!(allowed.contains(&found), "{place} is {found}: {row:#?}");
            }
            if over {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "the condition never came");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Look until a row satisfies a condition.
    async fn until(&self, place: &str, what: impl Fn(&Value) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let rows = self.daemon.credentials().await;
            let row = find(&rows, place);
            if row.is_some_and(&what) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "never so: {row:#?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn field(&self, place: &str, field: &str) -> Value {
        find(&self.daemon.credentials().await, place).expect("a row")[field].clone()
    }

    /// The value of a series.
    async fn metric(&self, series: &str) -> Option<f64> {
        let (_, text) = self.daemon.get("/metrics").await;
        let line = text.lines().find(|line| line.starts_with(series))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Wait until a series has a value.
    async fn metric_becomes(&self, series: &str, wanted: f64) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = self.metric(series).await;
            if found.is_some_and(|found| (found - wanted).abs() < f64::EPSILON) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{series} is {found:?}, not {wanted}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A row by `namespace/name`, or `namespace/name registry`; the registry is ghcr.io where none is named.
fn find<'a>(rows: &'a [Value], place: &str) -> Option<&'a Value> {
    let (secret, registry) = place.split_once(' ').unwrap_or((place, "ghcr.io"));
    let (namespace, name) = secret.split_once('/').expect("namespace/name");
    row(rows, namespace, name, registry)
}

fn status_of(row: Option<&Value>) -> &str {
    row.and_then(|row| row["status"].as_str()).unwrap_or("no row")
}

fn has_finding(row: &Value, kind: &str) -> bool {
    row["findings"].as_array().is_some_and(|all| all.iter().any(|finding| finding["finding"] == kind))
}
