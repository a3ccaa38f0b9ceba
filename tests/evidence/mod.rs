//! The pure half of the fault matrix: seeded worlds of which the truth is known answer the patrol's own schedule and
//! ledger through simulated days, without a socket. What a user would have seen is scored against the truth.
//!
//! `cargo run --release --example verdict_matrix` runs thousands of worlds; `tests/it/verdict_matrix.rs` a fixed sample.

mod answers;
mod dice;
mod drive;
mod families;
mod score;
mod table;
mod world;

use std::collections::BTreeMap;

pub(crate) use families::Family;
pub(crate) use score::Tally;
pub(crate) use table::{failures, render};

/// One run of a family.
pub(crate) fn run(family: Family, seed: u64) -> Tally {
    let world = family.world(seed);
    let mut tally = drive::Drive::new(&world, seed).run().tally;
    for (_, of, _) in &mut tally.misses {
        *of = seed;
    }
    tally
}

/// The runs of these seeds, all of one family.
pub(crate) fn runs_of(family: Family, seeds: impl Iterator<Item = u64>) -> BTreeMap<Family, Tally> {
    let mut sum = Tally::default();
    for seed in seeds {
        sum.add(run(family, seed));
    }
    BTreeMap::from([(family, sum)])
}
