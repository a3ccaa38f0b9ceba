//! Thousands of seeded worlds, each a simulated day of registry and issuer with faults, through the patrol's own schedule
//! and ledger; prints the confusion matrix, false verdicts, delays and the seeds of failures. Ends with 1 when a target is
//! missed.
//!
//! `cargo run --release --example verdict_matrix -- [--runs N] [--from SEED] [--family NAME]`

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser as _;

#[path = "../tests/evidence/mod.rs"]
mod evidence;

use evidence::{Family, Tally};

#[derive(clap::Parser)]
struct Args {
    /// How many worlds
    #[arg(long, default_value_t = 10_000)]
    runs: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Only worlds of this kind, all of the seeds
    #[arg(long)]
    family: Option<String>,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let family = match &args.family {
        None => None,
        Some(name) => {
            Some(Family::ALL.into_iter().find(|family| family.as_str().contains(name.as_str())).ok_or_else(|| {
                anyhow::anyhow!("no kind of world is called {name}: leave out --family to see the names of all")
            })?)
        }
    };
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let seeds = args.from..args.from.saturating_add(args.runs);
    let mut families: BTreeMap<Family, Tally> = BTreeMap::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|nth| {
                let mine = seeds.clone().filter(move |seed| seed % threads == nth);
                scope.spawn(move || match family {
                    None => runs(mine),
                    Some(family) => evidence::runs_of(family, mine),
                })
            })
            .collect();
        for worker in workers {
            for (family, tally) in worker.join().map_err(|_| anyhow::anyhow!("a run panicked"))? {
                families.entry(family).or_default().add(tally);
            }
        }
        Ok::<(), anyhow::Error>(())
    })?;
    let mut out = std::io::stdout().lock();
    write!(out, "{}", evidence::render(&families))?;
    let failures = evidence::failures(&families);
    writeln!(out, "\n{} runs in {} s on {threads} threads: {failures} misses", args.runs, began.elapsed().as_secs())?;
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The runs of these seeds, each of the family that the seed draws.
fn runs(seeds: impl Iterator<Item = u64>) -> BTreeMap<Family, Tally> {
    let mut families: BTreeMap<Family, Tally> = BTreeMap::new();
    for seed in seeds {
        let family = Family::of(seed);
        families.entry(family).or_default().add(evidence::run(family, seed));
    }
    families
}
