//! The table for a person.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pull_patrol::verdict::Status;

use super::families::Family;
use super::score::{BOUND, Miss, Tally};
use super::world::{SECOND, Truth};

/// Everything of a number of runs.
pub(crate) fn render(families: &BTreeMap<Family, Tally>) -> String {
    let mut out = String::new();
    let mut sum = Tally::default();
    for (family, tally) in families {
        if family.is_judged() {
            sum.add(tally.clone());
        }
    }
    matrix(&mut out, &sum);
    kinds(&mut out, families);
    misses(&mut out, families);
    out
}

/// Runs that are judged and missed a target.
pub(crate) fn failures(families: &BTreeMap<Family, Tally>) -> usize {
    families.iter().filter(|(family, _)| family.is_judged()).map(|(_, tally)| tally.misses.len()).sum()
}

fn matrix(out: &mut String, sum: &Tally) {
    let shown = [
        Status::Valid,
        Status::Forbidden,
        Status::InsufficientScope,
        Status::Rejected,
        Status::Expired,
        Status::Unverified,
    ];
    out.push_str(
        "Minutes of a credential: what was true (rows), what was shown (columns). Off the diagonal is the time until\n",
    );
    out.push_str("a change was found; whatever is false is counted below.\n\n");
    let _ = write!(out, "{:14}", "");
    for status in shown {
        let _ = write!(out, "{:>20}", status.as_str());
    }
    out.push('\n');
    for truth in Truth::ALL {
        let _ = write!(out, "{:14}", truth.as_str());
        for status in shown {
            let _ = write!(out, "{:>20}", sum.matrix.get(&(truth, status)).copied().unwrap_or_default());
        }
        out.push('\n');
    }
    out.push('\n');
}

fn kinds(out: &mut String, families: &BTreeMap<Family, Tally>) {
    let heads = ["false:", "rejected", "expired", "forbid.", "scope", "valid", "late", "stuck", "burst"];
    let _ = write!(out, "{:22}{:>6}{:>10}", "worlds", "runs", "exchanges");
    for head in heads {
        let _ = write!(out, "{head:>9}");
    }
    out.push_str("   dead: median, worst   denied: median, worst\n");
    for (family, tally) in families {
        let _ = write!(out, "{:22}{:>6}{:>10}{:>9}", family.as_str(), tally.runs, tally.exchanges, "");
        for miss in Miss::ALL {
            let _ = write!(out, "{:>9}", tally.count(miss));
        }
        let _ = writeln!(out, "   {:>20}   {:>22}", spread(&tally.deaths), spread(&tally.denials));
    }
    let _ = writeln!(
        out,
        "\nfalse: a verdict that the truth contradicts. late: not found within {} of the last moment at which an honest\n\
         observer was hindered. stuck: an incident of a host that is well. burst: requests after an incident.",
        short(BOUND)
    );
}

fn misses(out: &mut String, families: &BTreeMap<Family, Tally>) {
    for (family, tally) in families {
        for (miss, seed, what) in tally.misses.iter().take(12) {
            let _ = writeln!(out, "{}: seed {seed}, {miss:?}, {what}", family.as_str());
        }
        if tally.misses.len() > 12 {
            let _ = writeln!(out, "{}: and {} more", family.as_str(), tally.misses.len() - 12);
        }
    }
}

fn spread(delays: &[u64]) -> String {
    let mut sorted = delays.to_vec();
    sorted.sort_unstable();
    let at = |index: usize| sorted.get(index).map_or_else(|| "-".to_owned(), |delay| short(*delay));
    format!("{}, {}", at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}

fn short(millis: u64) -> String {
    let seconds = millis / SECOND;
    match seconds {
        0..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}
