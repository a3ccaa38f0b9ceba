//! The book of credentials: what the Secrets of the inventory hold, decoded once at change.

mod contents;
mod lookup;
mod record;
mod relist;
mod share;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use self::contents::Contents;
use self::contents::{Fingerprint, Shelf};
pub use self::lookup::{Matched, PodKeyring};
use self::record::{Interner, NewLogin, images_hash};
use super::{ByLogin, Identifier, LoginId, Registries, Registry, Shard, TokenId};
use crate::cluster::{Inventory, ObjectRef, PullSecret};
use crate::credential::{Finding, Password, RegistryKey, TokenKind, Username};
use crate::workload::NeededImages;

/// All credentials and logins.
///
/// A password is held once per login, never per credential; texts that repeat (keys, user names) are shared.
#[derive(Debug)]
pub struct Book {
    /// By Secret.
    pub secrets: BTreeMap<ObjectRef, SecretRecord>,
    /// By id.
    pub logins: ByLogin<Login>,
    identifier: Identifier,
    registries: Registries,
    /// Registries that some login uses, by [`Registry::host`].
    in_use: HashMap<Arc<str>, Arc<Registry>>,
    interner: Interner,
    shelf: Shelf,
    decoded: u64,
    /// Which of several processes this is.
    shard: Shard,
    /// Logins of other shards that this one has to know about.
    borrowed: BTreeSet<LoginId>,
    /// The list of registries is another one: every Secret is to be read again.
    reread: bool,
}

/// A Secret with what it holds.
#[derive(Debug)]
pub struct SecretRecord {
    /// The object it was decoded from, to see a change by pointer.
    pub source: Arc<PullSecret>,
    /// What it holds, which is shared by all Secrets that hold the same.
    pub contents: Arc<Contents>,
}

impl Deref for SecretRecord {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.contents
    }
}

/// One credential: one entry of one pull Secret.
#[derive(Debug)]
pub struct CredentialEntry {
    /// The effective key; `None` when the kubelet skips the entry (its key does not parse).
    pub key: Option<Arc<RegistryKey>>,
    /// The key as it may be shown: the effective one, or the text as written where there is none, without user and
    /// password in front of the host.
    pub written: Arc<str>,
    /// User name as it may be shown.
    pub username: Arc<str>,
    /// Whether user name or password is empty: the runtime pulls anonymously.
    pub anonymous: bool,
    /// Kind of its token.
    pub kind: TokenKind,
    /// Id of its token (password).
    pub token: TokenId,
    /// The expiry that the password carries in itself.
    pub self_described_expiry: Option<DateTime<Utc>>,
    /// Logins that it stands for: one for a plain host on the list; for a key with a glob one per concrete host that a
    /// needed image names; none when anonymous or not on the list.
    pub logins: Vec<LoginId>,
    /// Whether its registry is on the list. A key with a glob counts when it can match a registry on the list.
    pub listed: bool,
    /// Findings of its text.
    pub findings: Vec<Finding>,
    /// The shard that has its token.
    pub shard: u16,
}

/// One login: asked once per round, however many credentials share it.
#[derive(Debug)]
pub struct Login {
    /// Its id.
    pub id: LoginId,
    /// Where.
    pub registry: Arc<Registry>,
    /// User name.
    pub username: Username,
    /// Password.
    pub password: Password,
    /// Id of the password.
    pub token: TokenId,
    /// Kind of the token.
    pub kind: TokenKind,
    /// How many credentials share it.
    pub credentials: usize,
    /// The shard that has its token.
    pub shard: u16,
}

/// How a Secret of the inventory differs from its record.
enum Change {
    /// It has no record.
    New,
    /// Another object with the same content, as a fresh list of the watch gives.
    Object,
    /// The images that name it, or the list of registries.
    Images,
    /// Its content.
    Content,
}

/// A Secret that differs from its record.
type Changed<'i> = (&'i ObjectRef, &'i Arc<PullSecret>, Change);

impl Book {
    /// An empty book.
    pub fn new(identifier: Identifier, registries: Registries) -> Self {
        Self {
            secrets: BTreeMap::new(),
            logins: ByLogin::default(),
            identifier,
            registries,
            in_use: HashMap::new(),
            interner: Interner::default(),
            shelf: Shelf::default(),
            decoded: 0,
            shard: Shard::ALONE,
            borrowed: BTreeSet::new(),
            reread: false,
        }
    }

    /// Bring the book in step with the inventory; `needed` are the images that workloads pull, per Secret. Decodes only
    /// Secrets whose content changed, and those whose key stands for other hosts now that other images are needed.
    ///
    /// Returns the logins of this shard to be asked at once, sorted: those that no credential stood for before, and those of known
    /// Secrets whose content changed. One more copy of a known login is no reason to ask.
    pub fn sync(&mut self, inventory: &Inventory, needed: &NeededImages) -> Vec<LoginId> {
        let (changes, gone) = self.changes(inventory, needed);
        self.reread = false;
        let mut urgent = BTreeSet::new();
        for (at, source, change) in changes {
            let images = needed.get(at);
            match change {
                Change::Object => {
                    if let Some(record) = self.secrets.get_mut(at) {
                        record.source = source.clone();
                    }
                }
                Change::New | Change::Images => urgent.extend(self.decode(at, source, images)),
                Change::Content => {
                    urgent.extend(self.decode(at, source, images));
                    let record = self.secrets.get(at);
                    urgent.extend(record.iter().flat_map(|record| &record.credentials).flat_map(|entry| &entry.logins));
                }
            }
        }
        // Only now, so that a login that moved to another Secret is not taken for a new one.
        for at in gone {
            if let Some(record) = self.secrets.remove(&at) {
                self.release(&record);
            }
        }
        self.in_use.retain(|_, registry| Arc::strong_count(registry) > 1);
        self.interner.prune();
        self.shelf.prune();
        self.borrow();
        urgent.into_iter().filter(|login| self.asks(*login)).collect()
    }

    /// How the Secrets of the inventory differ from the records, and which records have no Secret any more. Both are in the
    /// order of their places, so a Secret that did not change costs one look at its pointer.
    fn changes<'i>(&self, inventory: &'i Inventory, needed: &NeededImages) -> (Vec<Changed<'i>>, Vec<ObjectRef>) {
        let mut changes = Vec::new();
        let mut gone = Vec::new();
        let mut records = self.secrets.iter().peekable();
        for (at, source) in &inventory.secrets {
            if let Some((_, record)) = records.next_if(|(_, record)| Arc::ptr_eq(&record.source, source)) {
                let outdated = |hash| hash != images_hash(needed.get(at));
                if self.reread || record.images.is_some_and(outdated) {
                    changes.push((at, source, Change::Images));
                }
                continue;
            }
            while let Some((earlier, _)) = records.next_if(|(known, _)| *known < at) {
                gone.push(earlier.clone());
            }
            let change = match records.next_if(|(known, _)| *known == at) {
                Some((_, record)) => match change(record, source, needed.get(at)) {
                    Change::Object if self.reread => Change::Images,
                    change => change,
                },
                None => Change::New,
            };
            changes.push((at, source, change));
        }
        gone.extend(records.map(|(at, _)| at.clone()));
        (changes, gone)
    }

    /// The registry of a host as a key or an image names it; `None` when it is not on the list.
    pub fn registry(&self, host: &str) -> Option<Arc<Registry>> {
        let host = Registries::canonical_host(host)?;
        self.in_use.get(host.as_str()).cloned().or_else(|| self.registries.find(&host))
    }

    /// All registries that may be contacted.
    pub fn registries(&self) -> &Registries {
        &self.registries
    }

    /// How often a Secret was decoded so far.
    pub fn decoded(&self) -> u64 {
        self.decoded
    }

    /// How many credentials there are.
    pub fn credentials(&self) -> usize {
        self.secrets.values().map(|record| record.credentials.len()).sum()
    }

    /// Decode a Secret and put it in place of its former record. Returns the logins that are new to the book.
    fn decode(
        &mut self,
        at: &ObjectRef,
        source: &Arc<PullSecret>,
        images: Option<&BTreeSet<Arc<str>>>,
    ) -> Vec<LoginId> {
        let (contents, fresh) = self.contents(source, images);
        let record = SecretRecord { source: Arc::clone(source), contents };
        if let Some(former) = self.secrets.insert(at.clone(), record) {
            self.release(&former);
        }
        fresh
    }

    /// What a Secret holds, with its credentials counted; and the logins that are new to the book.
    fn contents(&mut self, source: &PullSecret, images: Option<&BTreeSet<Arc<str>>>) -> (Arc<Contents>, Vec<LoginId>) {
        let print = Fingerprint::of(source, &self.identifier);
        if let Some(known) = self.shelf.find(print, images_hash(images)) {
            for id in known.credentials.iter().flat_map(|entry| &entry.logins) {
                // What a record holds is counted, so the login is there.
                if let Some(login) = self.logins.get_mut(id) {
                    login.credentials += 1;
                }
            }
            return (known, Vec::new());
        }
        self.decoded += 1;
        let (contents, logins) = self.read(source, images);
        let fresh = logins.into_iter().filter_map(|login| self.acquire(login)).collect();
        let contents = Arc::new(contents);
        self.shelf.put(print, &contents);
        (contents, fresh)
    }

    /// Count one more credential of a login; its id when it is new.
    fn acquire(&mut self, new: NewLogin) -> Option<LoginId> {
        if let Some(login) = self.logins.get_mut(&new.id) {
            login.credentials += 1;
            return None;
        }
        let NewLogin { id, registry, username, password, token, kind, shard } = new;
        self.logins.insert(id, Login { id, registry, username, password, token, kind, credentials: 1, shard });
        Some(id)
    }

    /// Count the credentials of a record off, and forget logins that have none left.
    fn release(&mut self, record: &SecretRecord) {
        for id in record.credentials.iter().flat_map(|entry| &entry.logins) {
            if let Some(login) = self.logins.get_mut(id) {
                login.credentials -= 1;
                if login.credentials == 0 {
                    self.logins.remove(id);
                }
            }
        }
    }
}

/// How another object at the place of a record differs from it.
fn change(record: &SecretRecord, source: &PullSecret, images: Option<&BTreeSet<Arc<str>>>) -> Change {
    if !record.source.same_content_as(source) {
        Change::Content
    } else if record.images.is_some_and(|hash| hash != images_hash(images)) {
        Change::Images
    } else {
        Change::Object
    }
}
