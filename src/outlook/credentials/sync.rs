//! Copies that were left behind when a token was replaced.

use std::collections::{BTreeMap, HashMap};

use super::super::{CredentialRow, findings};
use super::{Entries, host};
use crate::credential::Finding;
use crate::plan::Book;
use crate::verdict::Status;

/// Refused credentials, while another Secret with the same registry and the same user or Secret name holds one that works:
/// the finding, by row.
pub(super) fn out_of_sync(book: &Book, entries: &Entries<'_>, rows: &[CredentialRow]) -> BTreeMap<usize, Vec<Finding>> {
    let host_of = |row: usize| {
        let first = entries.rows[row].entries.first()?;
        Some(host(book, entries.get(*first).entry))
    };
    let is_refused = |row: &CredentialRow| matches!(row.status, Status::Expired | Status::Rejected);
    let refused = || rows.iter().enumerate().filter(|(_, row)| is_refused(row));
    // Only what stands under the same user or name as a refused one is looked for.
    let mut by_user: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    let mut by_name: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (index, row) in refused() {
        let Some(host) = host_of(index) else { continue };
        if !row.username.is_empty() && &*row.username != "redacted" {
            by_user.entry((host, &row.username)).or_default();
        }
        by_name.entry((host, &row.secret_name)).or_default();
    }
    let mut found = BTreeMap::new();
    if by_name.is_empty() {
        return found;
    }
    // Two are enough: one of them is in another Secret than the one that is looked at.
    let of_two_secrets = |known: Option<&mut Vec<usize>>, index: usize| {
        let Some(known) = known else { return };
        if known.len() < 2 && known.iter().all(|row| entries.rows[*row].at != entries.rows[index].at) {
            known.push(index);
        }
    };
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.status == Status::Valid) {
        let Some(host) = host_of(index) else { continue };
        of_two_secrets(by_user.get_mut(&(host, &*row.username)), index);
        of_two_secrets(by_name.get_mut(&(host, &*row.secret_name)), index);
    }
    for (index, row) in refused() {
        let Some(host) = host_of(index) else { continue };
        let same_name = by_name.get(&(host, &*row.secret_name));
        let same_user = by_user.get(&(host, &*row.username));
        let mut copies = [same_name, same_user].into_iter().flatten().flatten().map(|copy| entries.rows[*copy].at);
        if let Some(copy) = copies.find(|copy| *copy != entries.rows[index].at) {
            found.insert(index, vec![findings::out_of_sync_copy(&copy.to_string())]);
        }
    }
    found
}
