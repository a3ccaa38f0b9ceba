//! What one of several shards shows, and workloads whose credentials are of more than one.
//!
//! No process knows all about them, and none guesses: the one that shows the workload says `unverified` where it hangs on
//! another, and each tells its part of each image, so that whoever reads all of them can add the parts up.

use std::collections::{BTreeMap, BTreeSet};

use super::credentials::Entries;
use super::workloads::{Attempt, Context, Resolved};
use super::{Copies, CredentialRow, Outlook, WorkloadPart};
use crate::plan::{Book, Shard};
use crate::workload::{Workload, WorkloadKey};

/// For each pull of a workload, the shards of the credentials that it would present, one for each.
pub(super) type ShardsOfPulls = Vec<Vec<u16>>;

/// The shards of the pulls of a workload; nothing where there is one process alone.
pub(super) fn shards(book: &Book, pulls: &[Resolved<'_>]) -> ShardsOfPulls {
    if book.shard().is_alone() {
        return Vec::new();
    }
    let of = |pull: &Resolved<'_>| {
        let logins = pull.matched.iter().filter_map(|one| book.logins.get(&one.login?));
        logins.map(|login| login.shard).collect()
    };
    pulls.iter().map(of).collect()
}

/// Whether this shard shows a workload.
pub(super) fn is_here(book: &Book, key: &WorkloadKey, shards: &ShardsOfPulls) -> bool {
    book.shard().of_workload(key, shards.iter().flatten().copied()) == book.shard().index()
}

/// What this shard knows of the images of a workload, where several have credentials of it.
pub(super) fn of(
    context: &Context<'_, '_>,
    workload: &Workload,
    pulls: &[Resolved<'_>],
    shards: &ShardsOfPulls,
) -> Vec<WorkloadPart> {
    let mine = context.inputs.book.shard().index();
    let all: BTreeSet<u16> = shards.iter().flatten().copied().collect();
    if all.len() < 2 {
        return Vec::new();
    }
    let mut parts = BTreeMap::new();
    for (pull, shards) in pulls.iter().zip(shards).filter(|(_, shards)| shards.contains(&mine)) {
        let part = WorkloadPart {
            key: workload.key.clone(),
            image: pull.pull.image.clone(),
            secrets: pull.pull.secrets.clone(),
            outlook: outlook(context, pull, mine),
            shards: shards.iter().collect::<BTreeSet<_>>().len(),
        };
        // What differs in nothing else presents the same.
        parts.insert((part.image.clone(), part.secrets.clone()), part);
    }
    parts.into_values().collect()
}

/// The outlook of an image by those of its credentials that are of this shard, or of no login at all.
fn outlook(context: &Context<'_, '_>, pull: &Resolved<'_>, mine: u16) -> Outlook {
    let image = context.images.get(pull.image);
    let Ok(name) = &image.name else { return Outlook::Unknown };
    if image.by_node {
        return Outlook::Ok;
    }
    let book = context.inputs.book;
    let is_mine = |login| book.logins.get(&login).is_some_and(|login| login.shard == mine);
    let own = pull.matched.iter().filter(|one| one.login.is_none_or(is_mine));
    let attempts: Vec<Attempt> = own.map(|one| context.attempt(*one, image, name)).collect();
    if attempts.iter().any(|attempt| matches!(attempt, Attempt::Works(_))) {
        Outlook::Ok
    } else if attempts.contains(&Attempt::Unknown) || pull.is_obscured() {
        Outlook::Unverified
    } else {
        Outlook::Blocked
    }
}

/// The rows that a shard shows, and the copies among them.
pub(super) fn shown(
    shard: Shard,
    entries: &Entries<'_>,
    rows: Vec<CredentialRow>,
    copies: Vec<Copies>,
) -> (Vec<CredentialRow>, Vec<Copies>) {
    if shard.is_alone() {
        return (rows, copies);
    }
    let mut places = vec![None; rows.len()];
    let mut kept = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        if entries.rows[index].shard == shard.index() {
            places[index] = Some(kept.len());
            kept.push(row);
        }
    }
    let here =
        |one: Copies| Copies { credentials: one.credentials.iter().filter_map(|row| places[*row]).collect(), ..one };
    let copies = copies.into_iter().map(here).filter(|one| one.credentials.len() > 1);
    (kept, copies.collect())
}
