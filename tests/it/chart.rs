//! The Helm chart: what it makes of values, what it refuses, and what the roles that it makes allow.

mod docs;
mod kustomize;
mod render;
mod rights;
mod tiers;

use std::path::PathBuf;

use crate::support::real::{Output, checkout, program, run};

/// The Helms that are in use, by their key among the real programs.
const HELMS: [&str; 2] = ["HELM", "HELM3"];

fn chart() -> PathBuf {
    checkout().join("deploy/chart")
}

/// The fixtures of one kind, `valid` or `invalid`, sorted by name.
fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = checkout().join("tests/chart").join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// `helm template` as release `patrol` in the namespace `monitoring`.
async fn template(helm: &str, args: &[&str]) -> Output {
    let chart = chart();
    let fixed = ["template", "patrol", &*chart.to_string_lossy(), "--namespace=monitoring"].map(str::to_owned);
    run(&program(helm), fixed.into_iter().chain(args.iter().map(|arg| (*arg).to_owned()))).await
}
