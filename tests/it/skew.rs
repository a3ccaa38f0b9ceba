//! Whose clock is wrong shows per host, for registries and issuers alike, and goes with the host.

use chrono::TimeDelta;
use simulator::{Host, TokenSpec, World};

use crate::line::{Daemon, row};
use crate::support::manifests::{docker_config, ghcr_config, pull_secret};
use pull_patrol::runtime::Source;

fn skews(metrics: &str) -> Vec<(String, f64)> {
    let series = metrics.lines().filter_map(|line| line.strip_prefix("pullpatrol_clock_skew_seconds{host=\""));
    series
        .map(|rest| {
            let (host, value) = rest.split_once("\"} ").expect("a series");
            (host.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_differs_shows_for_registry_and_issuer_and_goes_with_them() {
    let world = World::start().await.expect("a world");
    world.set_date_skew(Host::Ghcr, TimeDelta::hours(2));
    let token = world.add_token(TokenSpec::classic("alice"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cluster.yaml");
    std::fs::write(&file, pull_secret("a", "pull", &docker_config("ghcr.io", "alice", token.secret())))
        .expect("written");
    let config = ghcr_config(&world, None, "interval: 1s, confirmationSpacing: 1s");
    let daemon = Daemon::start(&config, Source::Files(vec![file.clone()])).await;
    daemon
        .settled(|rows| match row(rows, "a", "pull", "ghcr.io") {
            Some(row) if row["status"] == "valid" && !row["scopes"].is_null() => vec![],
            other => vec![format!("{other:?}")],
        })
        .await;
    let issuer = world.github_api_url();
    let issuer = issuer.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let found = skews(&daemon.get("/metrics").await.1);
    assert_eq!(found.iter().map(|(host, _)| host.as_str()).collect::<Vec<_>>(), [&*issuer, "ghcr.io"], "{found:?}");
    // Generous: a machine under load makes an exchange long, which the value says nothing wrong of.
    assert!(found[0].1.abs() < 30.0 && (found[1].1 + 7_200.0).abs() < 30.0, "{found:?}");
    let page = daemon.get("/").await.1;
    assert!(page.contains("clock against ghcr.io") && page.contains("s behind"), "{page}");

    // Nobody uses the issuer any more; the registry is on the list by name, and stays.
    std::fs::write(&file, pull_secret("a", "other", &docker_config("quay.io", "alice", "not-asked"))).expect("written");
    daemon.settled(|rows| row(rows, "a", "pull", "ghcr.io").map(ToString::to_string).into_iter().collect()).await;
    let found = skews(&daemon.get("/metrics").await.1);
    assert_eq!(found.iter().map(|(host, _)| host.as_str()).collect::<Vec<_>>(), ["ghcr.io"]);
    daemon.stop().await;
}
