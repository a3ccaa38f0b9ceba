//! Which test reaches which mutant, and how long it takes: each test is run alone, without any mutation.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::for_each;
use super::kill::Test;
use super::mutation::Id;
use super::tests_run::{Name, Runner};

/// What may take longer is no test to run against thousands of mutants.
const LONGEST: Duration = Duration::from_secs(120);

/// What was measured of one binary, as long as it is the same.
#[derive(Default, Serialize, Deserialize)]
struct Measured {
    binary: String,
    tests: BTreeMap<String, Option<(f64, BTreeSet<Id>)>>,
}

/// Runs the tests of all binaries: all of the first, of the others those whose names begin in one of these ways.
pub fn measure(runner: &Runner, path: &Path, prefixes: &[String], jobs: usize) -> Result<Vec<Test>, Box<dyn Error>> {
    let before: Vec<Measured> =
        fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let (mut measured, mut names) = (Vec::new(), Vec::new());
    for (binary, executable) in runner.binaries.iter().enumerate() {
        let built = fs::metadata(executable)?.modified()?.duration_since(UNIX_EPOCH)?.as_millis();
        let identity = format!("{} {built}", executable.display());
        let known = before.iter().find(|of| of.binary == identity).map(|of| of.tests.clone()).unwrap_or_default();
        let picked = |name: &Name| binary == 0 || prefixes.iter().any(|prefix| name.name.starts_with(prefix.as_str()));
        let listed = runner.list(binary)?.into_iter().filter(|name| picked(name));
        names.extend(listed.filter(|name| !known.contains_key(&name.name)));
        measured.push(Measured { binary: identity, tests: known });
    }
    let found = Mutex::new(measured);
    for_each(&names, jobs, |name| {
        let reached = runner.reach(name, LONGEST)?;
        if reached.is_none() {
            eprintln!("not used, since it fails without a mutation: {}", name.name);
        }
        let reached = reached.map(|(took, ids)| (took.as_secs_f64(), ids));
        let mut found = found.lock().map_err(|_| io::Error::other("a worker panicked"))?;
        found[name.binary].tests.insert(name.name.clone(), reached);
        Ok(())
    })?;
    let measured = found.into_inner().map_err(|_| "a worker panicked")?;
    fs::write(path, serde_json::to_vec(&measured)?)?;
    let of_binary = |(binary, measured): (usize, &Measured)| -> Vec<Test> {
        let reaching = measured.tests.iter().filter_map(|(name, reached)| Some((name, reached.as_ref()?)));
        let test = |(name, (took, reaches)): (&String, &(f64, BTreeSet<Id>))| Test {
            name: Name { binary, name: name.clone() },
            took: Duration::from_secs_f64(*took),
            reaches: reaches.clone(),
        };
        reaching.filter(|(_, (_, reaches))| !reaches.is_empty()).map(test).collect()
    };
    let tests: Vec<Test> = measured.iter().enumerate().flat_map(of_binary).collect();
    let total: Duration = tests.iter().map(|test| test.took).sum();
    eprintln!("{} tests reach a mutant; together they take {:.1} s", tests.len(), total.as_secs_f64());
    Ok(tests)
}
