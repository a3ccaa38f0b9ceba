//! A state in several texts of bounded size, for a keeper that takes no more per object.
//!
//! Each text is sealed by itself, with its place. Records are spread by a hash of their keys, so that a change touches few
//! texts. Where two processes write, the one that comes second reads what the other wrote, and of two records with one key
//! the one with the newer exchange stays.

use std::collections::{BTreeMap, BTreeSet};

use super::format::{self, Chain};
use super::{Change, Contents, Refused};
use crate::plan::Identifier;
use crate::verdict::memory::{Record, Stamp};

/// Bytes of one text at most: an object of the Kubernetes API may hold 1 MiB of data, what is around it counts too, and one that
/// was not taken over is kept beside its successor.
pub(super) const MOST_BYTES: usize = 480 * 1024;
/// Texts at most.
pub(super) const MOST_TEXTS: usize = 64;
/// A record of another writer that nobody renewed for so long belongs to nobody.
const ABANDONED_MICROS: i64 = 24 * 3600 * 1_000_000;

/// What stands in the texts.
#[derive(Debug)]
pub struct Shards {
    identifier: Identifier,
    most_bytes: usize,
    /// Records in JSON by key, per text.
    texts: Vec<BTreeMap<String, String>>,
    /// Texts that differ from what was written.
    changed: BTreeSet<usize>,
    /// Keys of records that only another writer keeps.
    theirs: BTreeSet<String>,
    saved: Stamp,
    told: Stamp,
}

impl Shards {
    /// Nothing yet.
    pub fn new(identifier: &Identifier) -> Self {
        Self::bounded(identifier, MOST_BYTES)
    }

    pub(super) fn bounded(identifier: &Identifier, most_bytes: usize) -> Self {
        let (saved, told) = Default::default();
        let (identifier, texts) = (identifier.clone(), vec![BTreeMap::new()]);
        Self { identifier, most_bytes, texts, changed: BTreeSet::new(), theirs: BTreeSet::new(), saved, told }
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.texts.iter().all(BTreeMap::is_empty)
    }

    /// How many texts a state has, by the first of them.
    pub fn count(&self, first: &str) -> Result<usize, Refused> {
        let purpose = first.lines().next().and_then(|header| header.rsplit_once(" of ")).map(|(_, count)| count);
        let count = purpose.and_then(|count| count.parse().ok()).filter(|count| (1..=MOST_TEXTS).contains(count));
        match count {
            Some(count) => format::read(first.as_bytes(), &self.identifier, &place(0, count)).map(|_| count),
            // Whatever else is wrong with it, the reader of all texts says.
            None => format::read(first.as_bytes(), &self.identifier, "").map(|_| 1),
        }
    }

    /// Read all texts of a state.
    pub fn load(&mut self, texts: &[String]) -> Result<Contents, Refused> {
        let mut read = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            read.push(format::read(text.as_bytes(), &self.identifier, &place(at, texts.len()))?.0);
        }
        let mut contents = Contents::default();
        self.texts.clear();
        for loaded in read {
            if loaded.contents.saved >= contents.saved {
                (contents.saved, contents.told) = (loaded.contents.saved, loaded.contents.told);
            }
            contents.records.extend(loaded.contents.records);
            self.texts.push(loaded.texts);
        }
        (self.saved, self.told) = (contents.saved, contents.told);
        self.changed.clear();
        Ok(contents)
    }

    /// Take in a change. What is to be written stands in [`Self::changed`] then.
    pub fn apply(&mut self, change: &Change) {
        (self.saved, self.told) = (change.saved, change.told);
        if change.all {
            let keys: BTreeSet<&str> = change.set.iter().map(|(key, _)| key.as_str()).collect();
            for (at, text) in self.texts.iter_mut().enumerate() {
                let before = text.len();
                text.retain(|key, _| keys.contains(key.as_str()));
                if text.len() != before {
                    self.changed.insert(at);
                }
            }
        }
        for (key, record) in &change.set {
            let at = self.place_of(key);
            self.theirs.remove(key);
            if self.texts[at].get(key) != Some(record) {
                self.texts[at].insert(key.clone(), record.clone());
                self.changed.insert(at);
            }
        }
        for key in &change.gone {
            let at = self.place_of(key);
            if self.texts[at].remove(key).is_some() {
                self.changed.insert(at);
            }
        }
        self.spread();
        // The first text tells when the state was saved, and by it ages are reckoned.
        self.changed.insert(0);
    }

    /// The places of the texts that are to be written, the first last: it tells how many there are.
    pub fn changed(&self) -> Vec<usize> {
        self.changed.iter().rev().copied().collect()
    }

    /// A text was written.
    pub fn written(&mut self, place: usize) {
        self.changed.remove(&place);
    }

    /// Another process wrote this text meanwhile: keep of it what is newer than ours, or not ours and not abandoned.
    ///
    /// # Errors
    /// [`Refused`] when it is no text of this state; then ours goes over it.
    pub fn merge(&mut self, at: usize, theirs: &str) -> Result<(), Refused> {
        let (loaded, _) = format::read(theirs.as_bytes(), &self.identifier, &place(at, self.texts.len()))?;
        let theirs = &mut self.theirs;
        self.texts[at].retain(|key, _| !theirs.remove(key));
        for (record, (key, text)) in loaded.contents.records.iter().zip(loaded.texts) {
            let keep = match self.texts[at].get(&key) {
                Some(own) => record.newest() > newest(own),
                None => record.newest().0.saturating_add(ABANDONED_MICROS) > self.saved.0,
            };
            if keep {
                if !self.texts[at].contains_key(&key) {
                    self.theirs.insert(key.clone());
                }
                self.texts[at].insert(key, text);
            }
        }
        Ok(())
    }

    /// Take in a whole state that stood there unread: keep of it what is newer than ours, or not ours and not abandoned.
    ///
    /// # Errors
    /// [`Refused`] when it is no state of ours; then ours goes over it.
    pub fn absorb(&mut self, texts: &[String]) -> Result<(), Refused> {
        let mut read = Self::bounded(&self.identifier, self.most_bytes);
        read.load(texts)?;
        if self.texts.len() < read.texts.len() {
            // A text that nobody overwrites would be taken for one of ours later.
            self.divide(read.texts.len());
        }
        for (key, text) in read.texts.into_iter().flatten() {
            let (at, told) = (self.place_of(&key), newest(&text));
            let own = self.texts[at].get(&key);
            let keep = match own {
                Some(own) => told > newest(own),
                None => told.0.saturating_add(ABANDONED_MICROS) > self.saved.0,
            };
            if keep {
                if own.is_none() {
                    self.theirs.insert(key.clone());
                }
                self.texts[at].insert(key, text);
                self.changed.insert(at);
            }
        }
        self.spread();
        Ok(())
    }

    /// Whether it all fits into as many texts as there may be.
    pub fn fits(&self) -> bool {
        (0..self.texts.len()).all(|at| self.size(at) <= self.most_bytes)
    }

    /// The text at a place.
    pub fn text(&self, at: usize) -> String {
        let set = self.texts[at].iter().map(|(key, text)| (key.clone(), text.clone())).collect();
        let change = Change { saved: self.saved, told: self.told, all: true, set, gone: Vec::new() };
        let (mut chain, mut text) = Chain::start(&self.identifier, &place(at, self.texts.len()));
        text.push_str(&chain.line(&change));
        text
    }

    fn size(&self, at: usize) -> usize {
        self.texts[at].values().map(|record| record.len() + 1).sum::<usize>() + 256
    }

    /// Twice as many texts, until each is small enough. There are never fewer again: a text that lacks would be missed.
    fn spread(&mut self) {
        while !self.fits() && self.texts.len() * 2 <= MOST_TEXTS {
            self.divide(self.texts.len() * 2);
        }
    }

    /// Into so many texts.
    fn divide(&mut self, count: usize) {
        let all: Vec<_> = std::mem::take(&mut self.texts).into_iter().flatten().collect();
        self.texts = vec![BTreeMap::new(); count];
        for (key, record) in all {
            let at = self.place_of(&key);
            self.texts[at].insert(key, record);
        }
        self.changed = (0..count).collect();
    }

    fn place_of(&self, key: &str) -> usize {
        // FNV-1a: the same in every version of the program, which the hash of the standard library does not promise.
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        usize::try_from(hash % self.texts.len() as u64).unwrap_or(0)
    }
}

/// The place of a text, as its first line names it.
fn place(at: usize, count: usize) -> String {
    format!(" {} of {count}", at + 1)
}

fn newest(record: &str) -> Stamp {
    serde_json::from_str::<Record>(record).map(|record| record.newest()).unwrap_or_default()
}
