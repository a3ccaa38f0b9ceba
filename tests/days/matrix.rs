//! Many days at once, and the table of what was true and what was shown.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::TimeDelta;
use pull_patrol::verdict::Status;

use super::scenario::day;
use super::score::Score;

const SHOWN: [Status; 6] = [
    Status::Valid,
    Status::InsufficientScope,
    Status::Forbidden,
    Status::Rejected,
    Status::Expired,
    Status::Unverified,
];

/// Let a day of each seed pass, on so many threads. What is wrong in a day bears its seed, and is told at once.
pub(crate) fn run(seeds: std::ops::Range<u64>, length: TimeDelta, threads: usize, tell: impl Fn(&str) + Sync) -> Score {
    let (next, total) = (AtomicU64::new(seeds.start), Mutex::new(Score::default()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let mut score = one(seed, length);
                    for why in score.wrong.iter_mut().map(|(_, why)| why).chain(&mut score.late) {
                        *why = format!("seed {seed}: {why}");
                        tell(why);
                    }
                    score.story.clear();
                    total.lock().expect("no day panicked").add(score);
                }
            });
        }
    });
    total.into_inner().expect("no day panicked")
}

/// Let one day pass.
pub(crate) fn one(seed: u64, length: TimeDelta) -> Score {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(day(seed, length))
}

/// The confusion matrix, in hours of credentials, and how many claims were false.
pub(crate) fn table(score: &Score) -> String {
    let mut text = format!("{:20}", "true \\ shown, hours");
    for shown in SHOWN {
        let _ = write!(text, "{:>20}", shown.as_str());
    }
    text.push('\n');
    for truth in &SHOWN[..5] {
        let _ = write!(text, "{:20}", truth.as_str());
        for shown in SHOWN {
            let hours = score.minutes.get(&(*truth, shown)).copied().unwrap_or_default() / 60.0;
            let _ = write!(text, "{hours:>20.2}");
        }
        text.push('\n');
    }
    let _ = write!(text, "{:20}", "false claims");
    for shown in &SHOWN[..5] {
        let _ = write!(text, "{:>20}", score.wrong.iter().filter(|(status, _)| status == shown).count());
    }
    let _ = writeln!(text, "{:>20}", "-");
    let late = score.late.len();
    let _ = writeln!(text, "{} deaths that could be seen; {late} times not known in time", score.deaths);
    text
}
