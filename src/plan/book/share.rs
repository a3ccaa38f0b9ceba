//! What of the book this process looks after, where several share it.
//!
//! Every shard reads every Secret, since only the whole of a pod's list tells what the kubelet would try. It asks for, and
//! shows, no more than its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Book, SecretRecord};
use crate::cluster::ObjectRef;
use crate::plan::{LoginId, Shard};

impl Book {
    /// The same book, for one of several shards. To be called before the first [`Self::sync`].
    #[must_use]
    pub fn of_shard(mut self, shard: Shard) -> Self {
        self.shard = shard;
        self
    }

    /// Which of several processes this is.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// Whether this shard asks for a login: its token is this shard's, or it stands in a row that this shard shows.
    pub fn asks(&self, login: LoginId) -> bool {
        let Some(login) = self.logins.get(&login) else { return false };
        login.shard == self.shard.index() || self.borrowed.contains(&login.id)
    }

    /// Whether this shard shows what is known of a Secret as a whole.
    pub fn shows_secret(&self, at: &ObjectRef) -> bool {
        self.shard.is_alone() || self.shard.of_secret(at) == self.shard.index()
    }

    /// Two entries of one Secret that come to one key make one row, whose status is that of both: the shard of the first
    /// shows it, and has to ask for the second too.
    pub(super) fn borrow(&mut self) {
        if self.shard.is_alone() {
            return;
        }
        let mine = self.shard.index();
        self.borrowed = self.secrets.values().flat_map(|record| borrowed(record, mine)).collect();
    }
}

fn borrowed(record: &SecretRecord, mine: u16) -> BTreeSet<LoginId> {
    let mut borrowed = BTreeSet::new();
    if record.credentials.len() < 2 {
        return borrowed;
    }
    let mut first: BTreeMap<&Arc<str>, u16> = BTreeMap::new();
    for entry in &record.credentials {
        let shown_by = *first.entry(&entry.written).or_insert(entry.shard);
        if shown_by == mine && entry.shard != mine {
            borrowed.extend(&entry.logins);
        }
    }
    borrowed
}
