//! Objects from files: Kubernetes manifests as people keep them (YAML of several documents, JSON, lists, folders) and
//! Docker's `config.json`.
//!
//! Whatever a file holds, it ends in objects and [`Problem`]s: no input panics, leaks a value of a Secret into a message,
//! or takes memory without bound. This module never asks an API server; what admission would do is simulated in
//! [`assemble`].

mod assemble;
mod docker;
mod document;
mod files;
mod node;
mod object;
mod templates;
mod watch;
mod yaml;

use std::path::PathBuf;
use std::sync::Arc;

pub(in crate::cluster) use templates::{MAX_BYTES, read_template, too_long};
pub use watch::{FileSource, watch_files};
pub(in crate::cluster) use yaml::STACK_BYTES;

use super::wire::Interner;
use super::{
    Controller, HookTemplateKey, HookTemplateState, Inventory, Pod, Problem, PullSecret, Scope, ServiceAccount,
};

/// Where manifests are read from.
#[derive(Clone)]
pub enum Input {
    /// A file or a folder, as given on the command line.
    Path(PathBuf),
    /// What came in on standard input; its source is called `-`.
    Stdin(Vec<u8>),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Stdin(_) => f.write_str("Stdin([redacted])"),
        }
    }
}

/// One object of a file, before admission.
#[derive(Clone, Debug)]
enum Loaded {
    Secret(Arc<PullSecret>),
    Pod {
        pod: Arc<Pod>,
        /// Whether an API server has admitted it already.
        admitted: bool,
    },
    ServiceAccount(Arc<ServiceAccount>),
    Controller(Arc<Controller>),
    HookTemplates(HookTemplateKey, Arc<HookTemplateState>),
}

/// What one file holds.
#[derive(Clone, Debug, Default)]
struct Contents {
    objects: Vec<Loaded>,
    problems: Vec<Problem>,
}

impl Contents {
    /// Whether some of the file could not be parsed, so that objects may be missing.
    fn is_broken(&self) -> bool {
        self.problems.iter().any(|problem| problem.unparsable)
    }
}

/// Everything that the inputs hold within the scope, in one pass.
///
/// What cannot be read becomes a [`Problem`] and never hides the rest. Of two objects with one kind, namespace and name
/// the later wins, as with `kubectl apply`.
pub fn load(inputs: &[Input], scope: &Scope) -> Inventory {
    let interner = Interner::default();
    let (files, mut problems) = files::find(inputs);
    let contents: Vec<Contents> = files.iter().map(|file| file.load(scope, &interner)).collect();
    problems.extend(contents.iter().flat_map(|contents| contents.problems.iter().cloned()));
    assemble::inventory(contents.iter().flat_map(|contents| &contents.objects), problems)
}

#[cfg(test)]
mod tests;
