//! The entry points of the fuzz targets on a stable compiler: every file of the corpus, the same with small changes, and
//! random bytes.

use proptest::prelude::*;

#[path = "../../fuzz/entry_points.rs"]
mod entry_points;

use crate::support::real::checkout;

type EntryPoint = fn(&[u8]);

/// Each target, by the name of its folder in the corpus.
const TARGETS: [(&str, EntryPoint); 7] = [
    ("dockerconfig", entry_points::dockerconfig),
    ("image_reference", entry_points::image_reference),
    ("www_authenticate", entry_points::www_authenticate),
    ("expiry_header", entry_points::expiry_header),
    ("scope_header", entry_points::scope_header),
    ("wait_header", entry_points::wait_header),
    ("manifests", entry_points::manifests),
];

/// The seeds of a target, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = checkout().join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("readable").path();
        (path.display().to_string(), std::fs::read(&path).expect("readable"))
    };
    let mut seeds: Vec<_> = entries.map(read).collect();
    seeds.sort();
    seeds
}

#[test]
fn every_seed_is_taken() {
    for (target, enter) in TARGETS {
        let seeds = corpus(target);
        assert!(seeds.len() >= 4, "{target} has {} seeds", seeds.len());
        for (name, seed) in seeds {
            let taken = std::panic::catch_unwind(|| enter(&seed));
            assert!(taken.is_ok(), "{target} panics on {name}");
        }
    }
}

#[test]
fn every_target_is_built_and_has_seeds() {
    let manifest = std::fs::read_to_string(checkout().join("fuzz/Cargo.toml")).expect("readable");
    let names: Vec<&str> = manifest.lines().filter_map(|line| line.strip_prefix("path = \"targets/")).collect();
    let wanted: Vec<String> = TARGETS.iter().map(|(target, _)| format!("{target}.rs\"")).collect();
    assert_eq!(names, wanted);
    for (target, _) in TARGETS {
        let text = std::fs::read_to_string(checkout().join(format!("fuzz/targets/{target}.rs"))).expect("a target");
        assert!(text.contains(&format!("entry_points::{target}(data)")), "{target}");
    }
}

fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn seeds_with_small_changes_are_taken(which: prop::sample::Index, edits in edits()) {
        for (target, enter) in TARGETS {
            let seeds = corpus(target);
            let mut data = which.get(&seeds).1.clone();
            for (at, byte, how) in &edits {
                if data.is_empty() {
                    break;
                }
                let at = at.index(data.len());
                match how {
                    0 => data[at] = *byte,
                    1 => data.insert(at, *byte),
                    2 => data.truncate(at),
                    _ => data.extend_from_within(at..),
                }
            }
            enter(&data);
        }
    }

    #[test]
    fn any_bytes_are_taken(data in prop::collection::vec(any::<u8>(), 0..300)) {
        for (_, enter) in TARGETS {
            enter(&data);
        }
    }
}
