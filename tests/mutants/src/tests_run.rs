//! Runs tests of a binary, each time as a process of its own.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::mutation::Id;

/// How much memory a process may map, in KiB: a mutant that never ends may not take the machine with it.
const MEMORY: u64 = 6 * 1024 * 1024;
/// How often is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(4);
/// What counts at most of the time between two looks: no time passes for a runner that is stopped.
const AT_MOST: Duration = Duration::from_millis(200);

/// A test by its binary and its name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub binary: usize,
    pub name: String,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Passed,
    /// With the first test that failed, where the process told it.
    Failed(Option<String>),
    TimedOut,
}

/// Starts test binaries.
pub struct Runner {
    pub binaries: Vec<PathBuf>,
    /// The copy, in which they run.
    pub copy: PathBuf,
    /// A folder for what they write.
    pub scratch: PathBuf,
    next: AtomicUsize,
}

impl Runner {
    pub fn new(binaries: Vec<PathBuf>, copy: &Path, scratch: &Path) -> Self {
        Self { binaries, copy: copy.to_owned(), scratch: scratch.to_owned(), next: AtomicUsize::new(0) }
    }

    /// The tests of a binary, but for those that are ignored.
    pub fn list(&self, binary: usize) -> io::Result<Vec<Name>> {
        let told = |more: &[&str]| -> io::Result<BTreeSet<String>> {
            let mut command = self.command(binary);
            let output = command.args(["--list", "--format", "terse"]).args(more).output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
        };
        let ignored = told(&["--ignored"])?;
        Ok(told(&[])?.difference(&ignored).map(|name| Name { binary, name: name.clone() }).collect())
    }

    /// Runs one test without any mutation. Tells how long it took and which mutations it reaches, or `None` where it fails.
    pub fn reach(&self, test: &Name, limit: Duration) -> io::Result<Option<(Duration, BTreeSet<Id>)>> {
        let notes = self.scratch_file("reached");
        let mut command = self.command(test.binary);
        command.args(["--exact", "--test-threads", "1"]).arg(&test.name).env("MUTANT_REACHED", &notes);
        let (end, took) = self.run(command, limit)?;
        let text = fs::read_to_string(&notes).unwrap_or_default();
        let _ = fs::remove_file(&notes);
        Ok((end == End::Passed).then(|| (took, text.lines().filter_map(|line| line.parse().ok()).collect())))
    }

    /// Runs tests of one binary with one mutation.
    pub fn challenge(&self, binary: usize, names: &[&str], id: Id, limit: Duration) -> io::Result<End> {
        let mut command = self.command(binary);
        command.args(["--exact", "--test-threads", "1"]).args(names).env("MUTANT", id.to_string());
        Ok(self.run(command, limit)?.0)
    }

    fn command(&self, binary: usize) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -v {MEMORY}; ulimit -c 0; exec \"$0\" \"$@\"")])
            .arg(&self.binaries[binary])
            .current_dir(&self.copy)
            .stdin(Stdio::null())
            .env("CARGO_MANIFEST_DIR", &self.copy)
            .env("INSTA_WORKSPACE_ROOT", &self.copy)
            .env("INSTA_UPDATE", "no")
            // The same cases each time, and none kept of those that a mutant fails.
            .env("PROPTEST_RNG_SEED", "1")
            .env("PROPTEST_MAX_SHRINK_ITERS", "0")
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
            .env("RUST_BACKTRACE", "0");
        command
    }

    fn run(&self, mut command: Command, limit: Duration) -> io::Result<(End, Duration)> {
        let said = self.scratch_file("said");
        // A group of its own, which can be ended as a whole: tests start processes.
        let mut child = command.stdout(File::create(&said)?).stderr(Stdio::null()).process_group(0).spawn()?;
        let (status, took) = wait(&mut child, limit)?;
        let text = String::from_utf8_lossy(&fs::read(&said)?).into_owned();
        fs::remove_file(&said)?;
        let end = match status {
            None => End::TimedOut,
            Some(status) if status.success() => End::Passed,
            Some(_) => {
                let failed = text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
                End::Failed(failed.map(str::to_owned).next())
            }
        };
        Ok((end, took))
    }

    fn scratch_file(&self, kind: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.scratch.join(format!("{kind}-{number}"))
    }
}

/// Waits for a process; one that takes longer than the limit is ended, with all that it started.
fn wait(child: &mut Child, limit: Duration) -> io::Result<(Option<ExitStatus>, Duration)> {
    let (mut took, mut looked) = (Duration::ZERO, Instant::now());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((Some(status), took));
        }
        if took > limit {
            Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status()?;
            child.wait()?;
            return Ok((None, took));
        }
        thread::sleep(LOOK);
        took += looked.elapsed().min(AT_MOST);
        looked = Instant::now();
    }
}
