//! The command line.

use std::path::PathBuf;
use std::time::Duration;

pub const HELP: &str = "\
Runs the tests against mutants of src/verdict and src/plan: each changes one place, and a test should notice.

  --only FILE[:LINE]  these mutants alone; a folder too; may be given again
  --ids N,N           these mutants alone, by the numbers that --list and the survivors have
  --list              list the mutants and run nothing
  --again             run also what an earlier run has judged
  --survivors         run again what survived an earlier run
  --it PREFIX,PREFIX  also run tests of the integration binary whose names begin so
  --quick             leave out tests that take longer than half a second: a first look; --survivors runs the rest
  --jobs N            processes at a time (2)
  --limit SECONDS     the least time after which a mutant that does not end counts as noticed (20)
";

#[derive(Debug)]
pub struct Options {
    pub root: PathBuf,
    pub only: Vec<(String, Option<usize>)>,
    pub ids: Vec<usize>,
    pub list: bool,
    pub again: bool,
    pub survivors: bool,
    pub it: Vec<String>,
    pub quick: bool,
    pub jobs: usize,
    pub limit: Duration,
}

impl Options {
    /// What the arguments say; `None` where they ask for help.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            root: PathBuf::from("."),
            only: Vec::new(),
            ids: Vec::new(),
            list: false,
            again: false,
            survivors: false,
            it: Vec::new(),
            quick: false,
            jobs: 2,
            limit: Duration::from_secs(20),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            let number = |text: &str| text.parse().map_err(|_| format!("{text} is no number"));
            match argument.as_str() {
                "--root" => options.root = value()?.into(),
                "--only" => {
                    let text = value()?;
                    options.only.push(match text.rsplit_once(':') {
                        Some((file, line)) => (file.to_owned(), Some(number(line)?)),
                        None => (text, None),
                    });
                }
                "--ids" => {
                    for id in value()?.split(',') {
                        options.ids.push(number(id)?);
                    }
                }
                "--list" => options.list = true,
                "--again" => options.again = true,
                "--survivors" => options.survivors = true,
                "--quick" => options.quick = true,
                "--it" => options.it.extend(value()?.split(',').map(str::to_owned)),
                "--jobs" => options.jobs = number(&value()?)?.max(1),
                "--limit" => options.limit = Duration::from_secs(number(&value()?)? as u64),
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("{argument} is unknown; --help lists what is")),
            }
        }
        Ok(Some(options))
    }

    /// Whether a mutant is among those to run.
    pub fn picks(&self, path: &str, line: usize, id: usize) -> bool {
        let placed =
            self.only.iter().any(|(file, at)| path.starts_with(file.as_str()) && at.is_none_or(|at| at == line));
        (self.only.is_empty() || placed) && (self.ids.is_empty() || self.ids.contains(&id))
    }
}
