//! What is known of each mutant: kept between runs, counted, and listed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::kill::Outcome;
use super::mutation::Mutation;

/// What a mutant is called from one run to the next.
pub fn key(path: &Path, mutation: &Mutation) -> String {
    format!("{}:{}:{} {}", path.display(), mutation.line, mutation.column, mutation.what)
}

/// What is known from earlier runs.
#[derive(Default, Serialize, Deserialize)]
pub struct Known {
    pub outcomes: BTreeMap<String, Outcome>,
}

impl Known {
    pub fn read(path: &Path) -> Self {
        fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    pub fn write(&self, path: &Path) -> io::Result<()> {
        let fresh = path.with_extension("new");
        fs::write(&fresh, serde_json::to_vec_pretty(self)?)?;
        fs::rename(fresh, path)
    }
}

/// One line of the table.
#[derive(Serialize)]
pub struct Row {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
    pub function: String,
    pub mutation: String,
    pub id: usize,
    pub outcome: Outcome,
}

/// How many ended in which way.
pub fn counts(rows: &[Row]) -> String {
    let of = |wanted: fn(&Outcome) -> bool| rows.iter().filter(|row| wanted(&row.outcome)).count();
    format!(
        "{} mutants: {} killed, {} timed out, {} survived, {} reached by no test",
        rows.len(),
        of(|outcome| matches!(outcome, Outcome::Killed(_))),
        of(|outcome| matches!(outcome, Outcome::TimedOut)),
        of(|outcome| matches!(outcome, Outcome::Survived(_))),
        of(|outcome| matches!(outcome, Outcome::NotReached)),
    )
}

/// Writes down who was not noticed, for a reader and for a program.
pub fn write_survivors(folder: &Path, rows: &[Row]) -> io::Result<PathBuf> {
    let lives = |row: &&Row| matches!(row.outcome, Outcome::Survived(_) | Outcome::NotReached);
    let survivors: Vec<&Row> = rows.iter().filter(lives).collect();
    fs::write(folder.join("survivors.json"), serde_json::to_vec_pretty(&survivors)?)?;
    let mut text = String::new();
    let mut function = None;
    for row in survivors {
        if function != Some((&row.file, &row.function)) {
            let _ = writeln!(text, "\n{} {}", row.file.display(), row.function);
            function = Some((&row.file, &row.function));
        }
        let reached = match row.outcome {
            Outcome::Survived(tests) => format!("{tests} tests"),
            _ => "no test".to_owned(),
        };
        let _ = writeln!(text, "  {}:{} #{} ({reached}): {}", row.line, row.column, row.id, row.mutation);
    }
    let path = folder.join("survivors.txt");
    fs::write(&path, text)?;
    Ok(path)
}
