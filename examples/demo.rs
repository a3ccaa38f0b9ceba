//! The daemon on an embedded outside world: a ghcr.io, a GitHub API and a few other registries on loopback sockets, with a
//! dozen telling Secrets. Prints a report, then keeps page and metrics up until Ctrl-C (`--once`: ends after the report).
//!
//! `cargo run --release --example demo`

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Parser as _;
use pull_patrol::cli::args::Cli;
use pull_patrol::runtime;
use simulator::demo::{DemoPorts, DemoWorld};

#[derive(clap::Parser)]
struct Args {
    /// Address of the daemon
    #[arg(long, default_value = "127.0.0.1:9797")]
    listen: String,
    /// End after the report
    #[arg(long)]
    once: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let outside = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let demo = outside.block_on(DemoWorld::start(DemoPorts::default())).context("the embedded world does not start")?;
    let folder = tempfile::tempdir()?;
    let manifests = folder.path().join("cluster.yaml");
    let config = folder.path().join("patrol.yaml");
    write_private(&manifests, &demo.manifests)?;
    write_private(&config, &demo.config)?;

    let common = ["pull-patrol", "--log.level", "warn", "--config.file"].map(Into::into);
    let line = |rest: &[&std::ffi::OsStr]| {
        let words = common.iter().cloned().chain([config.clone().into_os_string()]);
        Cli::parse_from(words.chain(rest.iter().map(|word| (*word).to_owned())))
    };
    let serve = line(&[
        "serve".as_ref(),
        "--manifests".as_ref(),
        manifests.as_ref(),
        "--web.listen-address".as_ref(),
        args.listen.as_ref(),
    ]);
    let daemon = std::thread::spawn(move || runtime::main(serve));

    say("One round over the demo cluster (refusals are confirmed, which takes some seconds) ...\n\n")?;
    runtime::main(line(&["check".as_ref(), manifests.as_ref()]));
    if args.once {
        return Ok(());
    }
    say(&format!(
        "\nThe daemon patrols the same cluster:\n  page     http://{0}/\n  metrics  http://{0}/metrics\n  JSON     \
         http://{0}/api/v1/credentials\n\nEdit {1} and watch the page follow. Ctrl-C ends it.\n",
        args.listen,
        manifests.display(),
    ))?;
    let ended = daemon.join();
    drop(demo);
    anyhow::ensure!(ended.is_ok(), "the daemon panicked");
    Ok(())
}

/// The demo's tokens are worth nothing outside of it, but a file with tokens is a file with tokens.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
