//! The demo's outside world as a program: starts it, prints where it is and how to point pull-patrol at it.

use std::path::PathBuf;

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::Parser;
use simulator::demo::{DemoPorts, DemoWorld, trouble};

/// A ghcr.io, a GitHub API and other registries on loopback ports, with tokens in every state.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Seed of the token texts
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Port of ghcr.io (0: any free one)
    #[arg(long, default_value_t = 0)]
    ghcr_port: u16,
    /// Port of api.github.com
    #[arg(long, default_value_t = 0)]
    api_port: u16,
    /// Port of registry.example.com
    #[arg(long, default_value_t = 0)]
    registry_port: u16,
    /// Port of the token service of registry.example.com
    #[arg(long, default_value_t = 0)]
    token_service_port: u16,
    /// Port of open.example.com, which asks for no password
    #[arg(long, default_value_t = 0)]
    open_port: u16,
    /// Port of flaky.example.com, which answers 503
    #[arg(long, default_value_t = 0)]
    flaky_port: u16,
    /// Port of mirror.example.net, whose token service is on a foreign host
    #[arg(long, default_value_t = 0)]
    mirror_port: u16,
    /// Port of the ECR
    #[arg(long, default_value_t = 0)]
    ecr_port: u16,
    /// From so many seconds after the start, let every host answer wrongly in every way now and then
    #[arg(long, value_name = "SECONDS")]
    trouble_after: Option<u32>,
    /// Write manifests.yaml and config.yaml into this folder
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "telling where it listens is this program's job")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let ports = DemoPorts {
        ghcr: arguments.ghcr_port,
        api: arguments.api_port,
        registry: arguments.registry_port,
        token_service: arguments.token_service_port,
        open: arguments.open_port,
        flaky: arguments.flaky_port,
        mirror: arguments.mirror_port,
        ecr: arguments.ecr_port,
    };
    let demo = DemoWorld::start_seeded(arguments.seed, ports).await?;
    if let Some(seconds) = arguments.trouble_after {
        trouble(&demo.world, TimeDelta::seconds(i64::from(seconds)));
    }
    println!("# ghcr.io         {}", demo.world.ghcr_url());
    println!("# api.github.com  {}", demo.world.github_api_url());
    if let Some(folder) = &arguments.write {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        for (name, text) in [("manifests.yaml", &demo.manifests), ("config.yaml", &demo.config)] {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            println!("# wrote           {}", path.display());
        }
    }
    println!("{}", demo.config);
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
}
