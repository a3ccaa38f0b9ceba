//! Compiles the copy, and leaves out what the compiler does not take.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::mutation::{Id, Written, to_blame};

/// A message of cargo, as far as it matters here.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerMessage {
        message: Diagnostic,
    },
    CompilerArtifact {
        target: Target,
        executable: Option<PathBuf>,
        profile: Profile,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Diagnostic {
    level: String,
    message: String,
    rendered: Option<String>,
    spans: Vec<Place>,
    children: Vec<Diagnostic>,
}

#[derive(Clone, Debug, Deserialize)]
struct Place {
    file_name: PathBuf,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
    expansion: Option<Box<Expansion>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Expansion {
    span: Place,
}

/// What came of a build.
pub enum Built {
    /// The test binaries by their target.
    Fine(BTreeMap<String, PathBuf>),
    /// What the compiler objects to.
    Objections(Vec<Diagnostic>),
}

/// Compiles tests of the copy. The crate itself is optimised a little, so that tests that are slow are less so, and keeps the
/// checks of its arithmetic; what it depends on is shared with other builds of the checkout.
pub fn build(root: &Path, copy: &Path, targets: &[&str]) -> io::Result<Built> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["test", "--no-run", "--locked", "--message-format", "json"])
        .args(["--config", "profile.test.package.pull-patrol.opt-level=1"])
        .args(["--config", "profile.dev.package.pull-patrol.opt-level=1"])
        .args(["--config", "profile.test.package.pull-patrol.debug=false"])
        .args(targets)
        .arg("--target-dir")
        .arg(root.join("target"))
        // A checkout of its own, of no revision.
        .env("PULL_PATROL_REVISION", "mutants")
        .env("CARGO_INCREMENTAL", "1")
        .current_dir(copy)
        .stderr(Stdio::inherit());
    // What `cargo run` tells this program is not about the copy, and would have what depends on it compiled again.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name.to_string_lossy().starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    let output = cargo.output()?;
    let (mut binaries, mut objections) = (BTreeMap::new(), Vec::new());
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{")) {
        match serde_json::from_slice(line) {
            Ok(Message::CompilerMessage { message }) if message.level.starts_with("error") => objections.push(message),
            Ok(Message::CompilerArtifact { target, executable: Some(path), profile }) if profile.test => {
                binaries.insert(target.name, path);
            }
            _ => {}
        }
    }
    match output.status.success() {
        true => Ok(Built::Fine(binaries)),
        false if objections.is_empty() => Err(io::Error::other("cargo failed, and no diagnostic says why")),
        false => Ok(Built::Objections(objections)),
    }
}

impl Diagnostic {
    /// The mutations without which the compiler may have no objection. Empty where it is about none.
    pub fn blamed(&self, written: &BTreeMap<PathBuf, Vec<Written>>) -> Vec<Id> {
        let mut places: Vec<&Place> = self.spans.iter().filter(|place| place.is_primary).collect();
        places.extend(self.spans.iter().filter(|place| !place.is_primary));
        let ids = |(path, bytes): (PathBuf, Range<usize>)| {
            written.get(&path).map(|written| to_blame(written, &bytes)).filter(|ids| !ids.is_empty())
        };
        // Of several places the one counts that is about the fewest: the mutated code before what stands around it.
        let here = places.iter().flat_map(|place| place.and_where_expanded()).filter_map(ids).min_by_key(Vec::len);
        here.or_else(|| self.children.iter().map(|child| child.blamed(written)).find(|ids| !ids.is_empty()))
            .unwrap_or_default()
    }

    /// Whether it is the sum of others.
    pub fn is_summary(&self) -> bool {
        self.spans.is_empty() && (self.message.starts_with("aborting") || self.message.starts_with("could not compile"))
    }

    pub fn text(&self) -> &str {
        self.rendered.as_deref().unwrap_or(&self.message)
    }
}

impl Place {
    fn and_where_expanded(&self) -> Vec<(PathBuf, Range<usize>)> {
        let mut places = vec![(self.file_name.clone(), self.byte_start..self.byte_end)];
        places.extend(self.expansion.iter().flat_map(|expansion| expansion.span.and_where_expanded()));
        places
    }
}
