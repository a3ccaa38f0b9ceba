//! How many instructions the dear steps take, counted by valgrind: the same on every machine, unlike time.
//!
//! Each step runs at two sizes, one of them four times the other. It fails past 110 % of the recorded budget, and where four
//! times the size costs more than 4.8 times as much: every step is linear or better. `PULL_PATROL_UPDATE=1 cargo test --test
//! instructions` records the budgets anew.
//!
//! It counts a build without optimisations, so a count stands for no time; it shows that more is done than before.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test without a harness tells what it found")]

#[allow(dead_code, reason = "shared with the benches, which use more of it")]
#[path = "../../benches/world/mod.rs"]
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use pull_patrol::credential::{Keyring, decode, parse_image, registry_key};
use pull_patrol::metrics::SnapshotEncoder;
use pull_patrol::plan::{Book, Registries, Shard, wanted};
use pull_patrol::workload::{needed_images, workloads};

use self::world::Size;

/// Pull Secrets of the two sizes. Small, since valgrind takes fifty times as long.
const SIZES: [usize; 2] = [40, 160];
/// Part of the budget that a step may take more.
const SLACK: f64 = 1.10;
/// How much more four times the size may cost: 4, and what maps cost that get deeper.
const GROWTH: f64 = 4.8;

/// A step: the preparation, which is not counted, and what is.
type Step = fn(usize) -> Box<dyn FnMut()>;

const STEPS: [(&str, Step); 8] = [
    ("decode", decoded),
    ("lookup", looked_up),
    ("sync", synced),
    ("plan", planned),
    ("shard", sharded),
    ("outlook", pictured),
    ("change", changed),
    ("encode", encoded),
];

/// A cluster of so many pull Secrets, all of which is in proportion to them.
fn size(secrets: usize) -> Size {
    let part = secrets / 20;
    Size { secrets, pods: secrets, logins: part, owners: part, scale_sets: part, namespaces: part }
}

/// Each Secret is decoded.
fn decoded(secrets: usize) -> Box<dyn FnMut()> {
    let documents: Vec<String> = (0..secrets).map(world::document).collect();
    Box::new(move || {
        for document in &documents {
            std::hint::black_box(decode("kubernetes.io/dockerconfigjson", Some(document.as_bytes()), None));
        }
    })
}

/// So many images are looked up in a keyring of four.
fn looked_up(lookups: usize) -> Box<dyn FnMut()> {
    let mut ring = Keyring::default();
    for (nth, key) in ["ghcr.io", "ghcr.io/org", "*.example.com", "registry.example.com:5000"].into_iter().enumerate() {
        ring.add(registry_key(key).expect("a key"), nth);
    }
    let image = parse_image("ghcr.io/org/app:v1").expect("an image");
    Box::new(move || {
        for _ in 0..lookups {
            std::hint::black_box(ring.lookup(&image.repository));
        }
    })
}

fn book() -> Book {
    Book::new(world::identifier(), Registries::new(&[]).expect("the built-in registries"))
}

/// A book of all Secrets is made.
fn synced(secrets: usize) -> Box<dyn FnMut()> {
    let inventory = world::inventory(size(secrets));
    let needed = needed_images(&workloads(&inventory));
    Box::new(move || {
        let mut book = book();
        std::hint::black_box(book.sync(&inventory, &needed));
    })
}

/// All questions are worked out.
fn planned(secrets: usize) -> Box<dyn FnMut()> {
    planned_by(secrets, Shard::ALONE)
}

/// All questions of one of three shards are worked out.
fn sharded(secrets: usize) -> Box<dyn FnMut()> {
    planned_by(secrets, Shard::new(1, 3).expect("a shard"))
}

fn planned_by(secrets: usize, shard: Shard) -> Box<dyn FnMut()> {
    let inventory = world::inventory(size(secrets));
    let workloads = workloads(&inventory);
    let mut book = book().of_shard(shard);
    book.sync(&inventory, &needed_images(&workloads));
    Box::new(move || {
        std::hint::black_box(wanted(&book, &workloads, true));
    })
}

/// A snapshot is made.
fn pictured(secrets: usize) -> Box<dyn FnMut()> {
    let (patrol, _inventory) = world::patrol(size(secrets));
    Box::new(move || {
        std::hint::black_box(patrol.snapshot());
    })
}

/// A Secret gets another login, and all that follows from that is worked out.
fn changed(secrets: usize) -> Box<dyn FnMut()> {
    let size = size(secrets);
    let (mut patrol, inventory) = world::patrol(size);
    let changed = world::secret(3, 4 % size.logins, size);
    Box::new(move || {
        inventory.update(|inventory| inventory.secrets.insert(changed.at.clone(), changed.clone()).is_some());
        patrol.sync();
        std::hint::black_box(patrol.snapshot());
    })
}

/// A snapshot is written as text.
fn encoded(secrets: usize) -> Box<dyn FnMut()> {
    let (patrol, _inventory) = world::patrol(size(secrets));
    let snapshot = patrol.snapshot();
    let mut text = String::new();
    Box::new(move || {
        text.clear();
        SnapshotEncoder::encode(&snapshot, &mut text);
    })
}

/// What is counted: valgrind looks for this name.
#[inline(never)]
fn pull_patrol_counted_step(step: &mut dyn FnMut()) {
    step();
}

/// Runs one step in this process, which valgrind watches.
fn run(name: &str, size: &str) {
    let (_, prepare) = STEPS.iter().find(|(known, _)| *known == name).expect("a known step");
    let mut step = prepare(size.parse().expect("a size"));
    pull_patrol_counted_step(&mut *step);
}

/// Counts one step. Fails in words where valgrind cannot.
fn count(valgrind: &Path, name: &str, size: usize) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program is not found: {error}"))?;
    let output = Command::new(valgrind)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*pull_patrol_counted_step*")
        .arg(program)
        .args(["--step", name, &size.to_string()])
        .output()
        .map_err(|error| format!("{} does not run: {error}", valgrind.display()))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let counted = told.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    counted.filter(|counted| *counted > 1000).ok_or_else(|| format!("valgrind counted nothing of {name}:\n{told}"))
}

/// The valgrind that `tests/real/setup` found.
fn valgrind() -> Result<PathBuf, String> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = std::env::var_os("PULL_PATROL_REAL_ENV").map_or_else(|| checkout.join("target/real.env"), PathBuf::from);
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let found = text.lines().find_map(|line| line.strip_prefix("VALGRIND=")).map(PathBuf::from);
    found.ok_or_else(|| format!("no VALGRIND in {}", file.display()))
}

/// The budget of each step and size.
type Budget = BTreeMap<(String, usize), u64>;

fn budget_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/instructions/budget.tsv")
}

fn read_budget(text: &str) -> Option<Budget> {
    let rows = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut cells = line.split('\t');
        Some(((cells.next()?.to_owned(), cells.next()?.parse().ok()?), cells.next()?.parse().ok()?))
    });
    rows.collect()
}

fn write_budget(budget: &Budget) -> String {
    let rows = budget.iter().map(|((name, size), count)| format!("{name}\t{size}\t{count}\n"));
    "# step\tsize\tinstructions of an unoptimised build\n".to_owned() + &rows.collect::<String>()
}

/// What is wrong with these counts.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn complaints(counts: &Budget, budget: &Budget) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((name, size), count) in counts {
        match budget.get(&(name.clone(), *size)) {
            None => wrong.push(format!("{name} at {size} has no budget")),
            Some(allowed) if *count as f64 > *allowed as f64 * SLACK => {
                wrong.push(format!("{name} at {size} takes {count} instructions, its budget is {allowed}"));
            }
            Some(_) => {}
        }
    }
    for (name, _) in STEPS {
        let at = |size: usize| counts.get(&(name.to_owned(), size)).map(|count| *count as f64);
        if let (Some(small), Some(big)) = (at(SIZES[0]), at(SIZES[1]))
            && big > small * GROWTH
        {
            wrong.push(format!("{name} takes {:.1} times as much for four times the size", big / small));
        }
    }
    wrong
}

/// What the check itself finds in counts that are wrong: it must be able to fail.
fn finds_what_is_wrong() -> Result<(), String> {
    let of = |small, big| Budget::from([(("plan".to_owned(), SIZES[0]), small), (("plan".to_owned(), SIZES[1]), big)]);
    let budget = of(100_000, 400_000);
    let cases = [
        (of(109_000, 430_000), 0),
        (of(111_000, 400_000), 1),
        (of(100_000, 441_000), 1),
        (of(80_000, 400_000), 1),
        (Budget::from([(("new".to_owned(), SIZES[0]), 1)]), 1),
    ];
    for (counts, expected) in cases {
        let found = complaints(&counts, &budget);
        if found.len() != expected {
            return Err(format!("of {counts:?} the check says {found:?}"));
        }
    }
    let text = write_budget(&budget);
    (read_budget(&text) == Some(budget)).then_some(()).ok_or_else(|| format!("not read back: {text}"))
}

fn check() -> Result<(), String> {
    finds_what_is_wrong()?;
    let valgrind = valgrind().map_err(|error| format!("{error}; run tests/real/setup first"))?;
    let mut counts = Budget::new();
    for (name, _) in STEPS {
        for size in SIZES {
            counts.insert((name.to_owned(), size), count(&valgrind, name, size)?);
        }
    }
    print!("{}", write_budget(&counts));
    let file = budget_file();
    if std::env::var_os("PULL_PATROL_UPDATE").is_some() {
        return std::fs::write(&file, write_budget(&counts)).map_err(|error| format!("{}: {error}", file.display()));
    }
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let budget = read_budget(&text).ok_or_else(|| format!("{} is not a table", file.display()))?;
    let wrong = complaints(&counts, &budget);
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\nIf that is meant, say why in the commit and record it: PULL_PATROL_UPDATE=1 cargo test --test instructions",
        wrong.join("\n")
    ))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--step", name, size] => {
            run(name, size);
            ExitCode::SUCCESS
        }
        // Of a filter for tests of other names nothing here is meant; what `--list` would tell is nothing.
        [] => match check() {
            Ok(()) => ExitCode::SUCCESS,
            Err(wrong) => {
                eprintln!("{wrong}");
                ExitCode::FAILURE
            }
        },
        _ => ExitCode::SUCCESS,
    }
}
