//! Files that are read again when they change.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::files::{self, FoundFile};
use super::{Contents, assemble};
use crate::cluster::wire::Interner;
use crate::cluster::{Inventory, Problem, Scope, SharedInventory, WatchEnded};

/// How often the files are looked at. Polling sees what notifications miss: network file systems, and the links of a
/// mounted `ConfigMap` that are swapped as a whole.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// A file that was written this shortly before it was read is read once more, since a later write in the same tick of
/// the file system's clock would leave its stamp as it is.
const RACY: Duration = Duration::from_secs(3);

/// Keep a shared inventory equal to what some files and folders hold, until told to stop.
///
/// A file that no longer parses is a [`Problem`], and its objects stay as last read until it parses again: a half-written
/// file must not look like deleted Secrets. A deleted file takes its objects with it.
pub async fn watch_files(
    paths: Vec<PathBuf>,
    scope: Scope,
    shared: SharedInventory,
    shutdown: CancellationToken,
) -> Result<(), WatchEnded> {
    let mut source = FileSource::new(paths, scope);
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let target = shared.clone();
        let reload = tokio::task::spawn_blocking(move || {
            source.reload(&target);
            source
        });
        source =
            reload.await.map_err(|cause| WatchEnded { source_of_objects: "watch of files", cause: Some(cause) })?;
    }
}

/// Files and what was last read of them.
#[derive(Debug)]
pub struct FileSource {
    paths: Vec<PathBuf>,
    scope: Scope,
    interner: Interner,
    known: BTreeMap<PathBuf, Known>,
    /// What the last look found, in order; a change of it alone (a file gone) is a change as well.
    last: Option<(Vec<FoundFile>, Vec<Problem>)>,
}

#[derive(Debug)]
struct Known {
    stamp: Option<Stamp>,
    read_at: SystemTime,
    contents: Contents,
    /// Whether the objects come from a read in which all of the file parsed.
    whole: bool,
}

/// What changes when a file is written or swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// Device and inode, where there are such.
    identity: (u64, u64),
}

impl FileSource {
    /// Nothing is read yet.
    pub fn new(paths: Vec<PathBuf>, scope: Scope) -> Self {
        Self { paths, scope, interner: Interner::default(), known: BTreeMap::new(), last: None }
    }

    /// Look at all files, read those that changed, and bring the inventory up to date. Readers are woken only if an object
    /// or a problem changed; objects that did not change keep their `Arc`.
    pub fn reload(&mut self, shared: &SharedInventory) {
        let found = files::find_files(&self.paths);
        let mut changed = self.last.as_ref() != Some(&found);
        self.known.retain(|path, _| found.0.iter().any(|file| file.path == *path));
        for file in &found.0 {
            changed |= self.look_at(file);
        }
        if !changed {
            return;
        }
        let contents: Vec<&Contents> =
            found.0.iter().filter_map(|file| self.known.get(&file.path)).map(|known| &known.contents).collect();
        let mut problems = found.1.clone();
        problems.extend(contents.iter().flat_map(|contents| contents.problems.iter().cloned()));
        let fresh = assemble::inventory(contents.iter().flat_map(|contents| &contents.objects), problems);
        self.last = Some(found);
        let mut new = Vec::new();
        shared.update(|inventory| {
            let known: HashSet<&Problem> = inventory.problems.iter().collect();
            new.extend(fresh.problems.iter().filter(|problem| !known.contains(problem)).cloned());
            replace(inventory, fresh)
        });
        for problem in new {
            let Problem { source, index, kind, name, message, .. } = problem;
            warn!(source, index, kind, name, problem = message, "input that cannot be read");
        }
        self.interner.sweep();
    }

    /// Read a file if it may have changed since the last time; tells whether it was read.
    fn look_at(&mut self, file: &FoundFile) -> bool {
        let stamp = stamp(&file.path);
        let previous = self.known.get(&file.path);
        if let Some(known) = previous
            && known.stamp == stamp
            && !is_racy(stamp, known.read_at)
        {
            return false;
        }
        let read_at = SystemTime::now();
        let mut contents = file.load(&self.scope, &self.interner);
        let held = previous.map_or(0, |known| known.contents.objects.len());
        if held > 0 && stamp.is_some_and(|stamp| stamp.length == 0) {
            // The first half of a write that is not atomic.
            contents.problems.push(emptied(file, held));
        }
        let mut whole = !contents.is_broken();
        if let Some(known) = previous
            && !whole
            && known.whole
        {
            contents.objects.clone_from(&known.contents.objects);
            whole = true;
            info!(file = %file.path.display(), "does not parse; its objects stay as last read");
        }
        self.known.insert(file.path.clone(), Known { stamp, read_at, contents, whole });
        true
    }
}

fn emptied(file: &FoundFile, held: usize) -> Problem {
    let message = format!("is empty but held {held} objects, which stay as last read; delete the file to let them go");
    let source = file.path.display().to_string();
    Problem { source, index: None, kind: None, name: None, message, unparsable: true }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt;
        (meta.dev(), meta.ino())
    };
    #[cfg(not(unix))]
    let identity = (0, 0);
    Some(Stamp { length: meta.len(), modified: meta.modified().ok(), identity })
}

fn is_racy(stamp: Option<Stamp>, read_at: SystemTime) -> bool {
    // A file whose time cannot be told is read each time.
    stamp.and_then(|stamp| stamp.modified).is_none_or(|modified| modified + RACY >= read_at)
}

/// Put `fresh` in the place of what was there, keeping the `Arc` of each object that is the same; tells whether anything
/// differs.
fn replace(inventory: &mut Inventory, mut fresh: Inventory) -> bool {
    let mut changed =
        inventory.problems != fresh.problems || inventory.synced != fresh.synced || inventory.origin != fresh.origin;
    changed |= keep(&inventory.secrets, &mut fresh.secrets, super::super::objects::PullSecret::same_as);
    changed |= keep(&inventory.pods, &mut fresh.pods, PartialEq::eq);
    changed |= keep(&inventory.service_accounts, &mut fresh.service_accounts, PartialEq::eq);
    changed |= keep(&inventory.controllers, &mut fresh.controllers, PartialEq::eq);
    changed |= keep(&inventory.hook_templates, &mut fresh.hook_templates, PartialEq::eq);
    *inventory = fresh;
    changed
}

fn keep<K: Ord, T>(old: &BTreeMap<K, Arc<T>>, new: &mut BTreeMap<K, Arc<T>>, same: impl Fn(&T, &T) -> bool) -> bool {
    let mut changed = old.len() != new.len();
    for (at, object) in new {
        match old.get(at) {
            Some(known) if same(known, object) => *object = Arc::clone(known),
            _ => changed = true,
        }
    }
    changed
}
