//! Another list of registries while the book is kept.

use std::sync::Arc;

use super::Book;
use crate::plan::{LoginId, Registries};

impl Book {
    /// Go by another list of registries from now on. Where other hosts or issuers are on it the next sync reads every Secret
    /// again, since which of its entries are logins hangs on that. Returns the logins that stay and are asked in another way,
    /// sorted.
    pub fn go_by(&mut self, registries: Registries) -> Vec<LoginId> {
        if !self.registries.reads_alike(&registries) {
            self.shelf.clear();
            self.reread = true;
        }
        self.registries = registries;
        self.in_use.clear();
        let mut changed = Vec::new();
        // First, so that what is read again finds each login with its new registry.
        for login in self.logins.values_mut() {
            // One whose host is on the list no more goes with the records that held it.
            let Some(registry) = self.registries.find(&login.registry.host) else { continue };
            let registry = Arc::clone(self.in_use.entry(Arc::clone(&registry.host)).or_insert(registry));
            if login.registry.is_asked_otherwise(&registry) {
                changed.push(login.id);
            }
            login.registry = registry;
        }
        changed.sort_unstable();
        changed
    }
}
