//! For which namespace a question is asked, where several need its answer: the one that needs the fewest.
//!
//! What a namespace writes into its Secrets and pods then holds up nobody else: a login or a repository that others need too
//! counts for one of them, who has its share of the exchanges whatever this one does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Access, AccessKey};
use crate::plan::{Book, ByLogin, LoginId};

/// Who asks for what no namespace needs.
pub(super) const OPERATOR: &str = "";

/// The namespaces that hold each login.
#[derive(Debug, Default)]
pub(super) struct Holders<'a> {
    of: ByLogin<Vec<&'a Arc<str>>>,
    /// How many logins each namespace holds.
    logins: HashMap<&'a Arc<str>, usize>,
}

impl<'a> Holders<'a> {
    pub(super) fn of(book: &'a Book) -> Self {
        let mut this = Self::default();
        for (at, record) in &book.secrets {
            for login in record.credentials.iter().flat_map(|entry| &entry.logins) {
                let holders = this.of.entry(*login).or_default();
                // Secrets are in the order of their namespaces.
                if holders.last().is_none_or(|last| **last != at.namespace) {
                    holders.push(&at.namespace);
                }
            }
        }
        for namespace in this.of.values().flatten() {
            *this.logins.entry(namespace).or_default() += 1;
        }
        this
    }

    /// The namespace that questions about these logins are asked for.
    pub(super) fn tenant(&self, logins: &[LoginId]) -> Arc<str> {
        let holders = logins.iter().filter_map(|login| self.of.get(login)).flatten();
        let fewest = holders.min_by_key(|namespace| (self.logins.get(*namespace), **namespace));
        fewest.map_or_else(|| Arc::from(OPERATOR), |namespace| Arc::clone(namespace))
    }
}

/// How many repositories each namespace needs of each login, or of a registry without one.
#[derive(Debug, Default)]
pub(super) struct Needs<'a>(HashMap<Need<'a>, usize>);

/// Login or host, and namespace.
type Need<'a> = (Option<LoginId>, &'a Arc<str>, &'a Arc<str>);

impl<'a> Needs<'a> {
    pub(super) fn of(accesses: &'a BTreeMap<AccessKey, Access>) -> Self {
        let mut this = Self::default();
        for ((host, login, _), access) in accesses {
            for namespace in &access.namespaces {
                *this.0.entry((*login, host, namespace)).or_default() += 1;
            }
        }
        this
    }

    /// The namespace that an access check is for.
    pub(super) fn tenant(&self, login: Option<LoginId>, host: &Arc<str>, access: &Access) -> Arc<str> {
        let needed = |namespace: &Arc<str>| self.0.get(&(login, host, namespace)).copied();
        let fewest = access.namespaces.iter().min_by_key(|namespace| (needed(namespace), *namespace));
        fewest.map_or_else(|| Arc::from(OPERATOR), Arc::clone)
    }
}
