//! Finding and reading files, with bounds.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Contents, Input, document};
use crate::cluster::wire::Interner;
use crate::cluster::{Problem, Scope};

/// The longest file that is read. `kubectl get secrets -A -o yaml` of 20,000 Secrets stays well below it.
pub(super) const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// How deep folders may stand in each other.
const MAX_DEPTH: usize = 64;

/// A file to read, or what came in on standard input.
pub(super) enum Found<'a> {
    File(FoundFile),
    Stdin(&'a [u8]),
}

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundFile {
    pub(super) path: PathBuf,
    /// Named by the user, rather than met in a folder.
    pub(super) named: bool,
}

/// All files of the inputs in the order given, those of a folder sorted by path. A file that is met twice counts once.
pub(super) fn find(inputs: &[Input]) -> (Vec<Found<'_>>, Vec<Problem>) {
    let mut walk = Walk::default();
    let mut found = Vec::new();
    for input in inputs {
        match input {
            Input::Path(path) => {
                walk.input(path);
                found.extend(walk.files.drain(..).map(Found::File));
            }
            Input::Stdin(bytes) => found.push(Found::Stdin(bytes)),
        }
    }
    (found, walk.problems)
}

/// All files of some paths, for a source that is read again and again.
pub(super) fn find_files(paths: &[PathBuf]) -> (Vec<FoundFile>, Vec<Problem>) {
    let mut walk = Walk::default();
    for path in paths {
        walk.input(path);
    }
    (walk.files, walk.problems)
}

#[derive(Default)]
struct Walk {
    files: Vec<FoundFile>,
    problems: Vec<Problem>,
    seen: BTreeSet<PathBuf>,
}

impl Walk {
    fn input(&mut self, path: &Path) {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => self.folder(path, 0),
            Ok(_) => self.file(path, true),
            Err(error) => self.problems.push(unreadable(path, &error.to_string())),
        }
    }

    fn file(&mut self, path: &Path, named: bool) {
        if self.is_new(path) {
            self.files.push(FoundFile { path: path.to_owned(), named });
        }
    }

    fn folder(&mut self, folder: &Path, depth: usize) {
        // Links between folders can form a circle, so each folder is entered once, by its real path.
        if !self.is_new(folder) {
            return;
        }
        if depth > MAX_DEPTH {
            let reason = format!("stands more than {MAX_DEPTH} folders deep; name it directly");
            self.problems.push(unreadable(folder, &reason));
            return;
        }
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.problems.push(unreadable(folder, &error.to_string())),
        };
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => names.push(entry.file_name()),
                Err(error) => self.problems.push(unreadable(folder, &error.to_string())),
            }
        }
        names.sort();
        for name in names {
            let hidden_copy = name.to_str().is_some_and(|name| name.starts_with("..") || name == ".git");
            if hidden_copy {
                // A mounted Secret or ConfigMap keeps its generations in `..data` and `..2026_...`, and shows each file
                // as a link into them. Following the links is enough.
                continue;
            }
            let path = folder.join(&name);
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => self.folder(&path, depth + 1),
                Ok(meta) if meta.is_file() && is_candidate(&path) => self.file(&path, false),
                Err(error) if is_candidate(&path) => self.problems.push(unreadable(&path, &error.to_string())),
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn is_new(&mut self, path: &Path) -> bool {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.seen.insert(real)
    }
}

/// Files of a folder that are read: manifests by their extension, and the documents of a mounted pull Secret.
fn is_candidate(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
        || matches!(name, ".dockerconfigjson" | ".dockercfg")
}

impl Found<'_> {
    /// Read and parse it.
    pub(super) fn load(&self, scope: &Scope, interner: &Interner) -> Contents {
        match self {
            Self::File(file) => file.load(scope, interner),
            Self::Stdin(bytes) if bytes.len() as u64 > MAX_FILE_BYTES => {
                Contents { objects: Vec::new(), problems: vec![unreadable(Path::new("-"), &too_long())] }
            }
            Self::Stdin(bytes) => {
                document::parse(document::Origin { source: "-", named: true }, bytes, scope, interner)
            }
        }
    }
}

impl FoundFile {
    /// Read and parse it.
    pub(super) fn load(&self, scope: &Scope, interner: &Interner) -> Contents {
        match read(&self.path) {
            Ok(bytes) => {
                let source = self.path.display().to_string();
                document::parse(document::Origin { source: &source, named: self.named }, &bytes, scope, interner)
            }
            Err(reason) => Contents { objects: Vec::new(), problems: vec![unreadable(&self.path, &reason)] },
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_or(0, |meta| meta.len()).min(MAX_FILE_BYTES);
    // Enough room from the start, so that no half-read copy of a Secret is left behind in memory by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(too_long()) } else { Ok(bytes) }
}

fn too_long() -> String {
    format!("is longer than {} MiB; split it", MAX_FILE_BYTES / 1024 / 1024)
}

fn unreadable(path: &Path, reason: &str) -> Problem {
    let source = path.display().to_string();
    let message = format!("cannot read {source}: {reason}");
    Problem { source, index: None, kind: None, name: None, message, unparsable: true }
}
