//! Which tests are run against a mutant, in which order, until one notices it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::mutation::Id;
use super::tests_run::{End, Name, Runner};

/// How long the tests of the first process take together, by what they took alone; each further process takes four times as
/// long.
const FIRST: Duration = Duration::from_millis(100);

/// A test that reaches mutations.
#[derive(Clone, Debug)]
pub struct Test {
    pub name: Name,
    pub took: Duration,
    pub reaches: BTreeSet<Id>,
}

/// What came of a mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The test that failed, where it could be told.
    Killed(String),
    TimedOut,
    /// After so many tests.
    Survived(usize),
    NotReached,
}

/// Who killed the mutants of a function: they are asked first about its others.
#[derive(Default)]
pub struct Killers(Mutex<BTreeMap<String, Vec<Name>>>);

impl Killers {
    fn of(&self, function: &str) -> Vec<Name> {
        self.0.lock().map(|known| known.get(function).cloned().unwrap_or_default()).unwrap_or_default()
    }

    fn note(&self, function: &str, name: Name) {
        if let Ok(mut known) = self.0.lock() {
            let of = known.entry(function.to_owned()).or_default();
            if !of.contains(&name) {
                of.push(name);
            }
        }
    }
}

/// Runs the tests that reach a mutant until one notices it.
pub fn challenge(
    runner: &Runner,
    tests: &[Test],
    killers: &Killers,
    id: Id,
    function: &str,
    least: Duration,
) -> io::Result<Outcome> {
    let known = killers.of(function);
    let mut reaching: Vec<&Test> = tests.iter().filter(|test| test.reaches.contains(&id)).collect();
    if reaching.is_empty() {
        return Ok(Outcome::NotReached);
    }
    reaching.sort_by_key(|test| {
        // What takes long is no first choice, whomever it killed.
        let stranger = !known.contains(&test.name) || test.took > FIRST * 4;
        (test.name.binary, stranger, test.took, test.reaches.len())
    });
    for batch in batches(&reaching) {
        let binary = batch[0].name.binary;
        let names: Vec<&str> = batch.iter().map(|test| test.name.name.as_str()).collect();
        let usual: Duration = batch.iter().map(|test| test.took).sum();
        match runner.challenge(binary, &names, id, least.max(usual * 10))? {
            End::Passed => {}
            End::TimedOut => return Ok(Outcome::TimedOut),
            End::Failed(killer) => {
                let killer = killer.unwrap_or_else(|| "the process died".to_owned());
                killers.note(function, Name { binary, name: killer.clone() });
                return Ok(Outcome::Killed(killer));
            }
        }
    }
    Ok(Outcome::Survived(reaching.len()))
}

/// Tests of one process each: quick ones together, and more of them the longer the mutant lives.
fn batches<'t>(tests: &[&'t Test]) -> Vec<Vec<&'t Test>> {
    let mut batches: Vec<Vec<&Test>> = Vec::new();
    let (mut room, mut size) = (Duration::ZERO, FIRST);
    for test in tests {
        let other = batches.last().and_then(|batch| batch.first()).is_none_or(|of| of.name.binary != test.name.binary);
        if other || test.took > room {
            batches.push(Vec::new());
            (room, size) = (size, size * 4);
        }
        room = room.saturating_sub(test.took);
        if let Some(batch) = batches.last_mut() {
            batch.push(test);
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_and_keep_to_one_binary() {
        let test = |binary, millis| Test {
            name: Name { binary, name: format!("{binary} {millis}") },
            took: Duration::from_millis(millis),
            reaches: BTreeSet::new(),
        };
        let tests = [test(0, 60), test(0, 70), test(0, 300), test(0, 5_000), test(0, 9_000), test(1, 1), test(1, 2)];
        let sizes: Vec<usize> = batches(&tests.iter().collect::<Vec<_>>()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, 2, 1, 1, 2]);
    }
}
