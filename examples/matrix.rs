//! The confusion matrix of verdicts: seeded days with every fault that can be scripted, over real sockets, against what was
//! true and what an honest observer could have seen.
//!
//! `cargo run --release --example matrix -- --seeds 200`

#[path = "../tests/days/mod.rs"]
mod days;

use std::io::Write as _;
use std::process::ExitCode;

use chrono::TimeDelta;
use clap::Parser as _;

#[derive(clap::Parser)]
struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Hours that a day has
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// Tell what happened and what was shown in the first seed, and nothing else
    #[arg(long)]
    story: bool,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let length = TimeDelta::hours(args.hours.into());
    let mut out = std::io::stdout().lock();
    if args.story {
        for (at, what) in days::matrix::one(args.first, length).story {
            writeln!(out, "{} {what}", at.format("%d %H:%M:%S"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    drop(out);
    let tell = |why: &str| {
        // Whoever reads no more has seen enough.
        let _ = writeln!(std::io::stdout().lock(), "{why}");
    };
    let score = days::matrix::run(args.first..args.first + args.seeds, length, args.threads, tell);
    write!(std::io::stdout().lock(), "{}", days::matrix::table(&score))?;
    Ok(if score.wrong.is_empty() && score.late.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
