//! The one writer of the inventory: takes the changes of all slices and applies all that wait in one update.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::decode::{Item, Object};
use super::follow::{Change, Listed, What};
use super::slice::{Kind, Slice};
use crate::cluster::wire::Interner;
use crate::cluster::{Inventory, MissingPermission, ObjectRef, Problem, Resource, SharedInventory};

/// Most changes of one update: readers wait while it is applied.
const BATCH: usize = 1024;

/// Apply changes until there is nobody left to send any.
pub(super) async fn apply(
    mut pending: mpsc::Receiver<Change>,
    shared: &SharedInventory,
    slices: &[Slice],
    interner: &Interner,
) {
    let mut ledger = Ledger::new(slices);
    let mut batch = Vec::new();
    while pending.recv_many(&mut batch, BATCH).await > 0 {
        let listed = batch.iter().any(|change| matches!(change.what, What::Listed(_)));
        shared.update(|inventory| {
            // No short circuit: every change must be applied.
            batch.drain(..).fold(false, |changed, change| ledger.apply(inventory, change) | changed)
        });
        if listed {
            interner.sweep();
        }
    }
}

/// What is known of each slice beyond its objects.
pub(super) struct Ledger<'a> {
    slices: &'a [Slice],
    state: Vec<State>,
    /// What was told last to be missing: others tell of other permissions.
    missing: BTreeSet<MissingPermission>,
}

#[derive(Default)]
struct State {
    /// The first list is complete, or was refused.
    synced: bool,
    /// Verbs whose last request was refused.
    denied: BTreeSet<&'static str>,
    /// Verbs that would be refused, as the API server says when it is asked.
    foretold: BTreeSet<&'static str>,
    /// Verbs whose last request was granted.
    granted: BTreeSet<&'static str>,
    /// Verbs that it once said would be allowed. Where one was granted without that, its word does not count: a proxy can
    /// stand between us, with rules of its own.
    allowed: BTreeSet<&'static str>,
    problems: BTreeMap<ObjectRef, Problem>,
    /// Problems with objects that do not even tell their name.
    nameless: Vec<Problem>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(slices: &'a [Slice]) -> Self {
        Self { slices, state: slices.iter().map(|_| State::default()).collect(), missing: BTreeSet::new() }
    }

    /// Apply one change; tells whether anything differs.
    pub(super) fn apply(&mut self, inventory: &mut Inventory, change: Change) -> bool {
        let Change { slice: index, what } = change;
        let slices = self.slices;
        let (slice, state) = (&slices[index], &mut self.state[index]);
        match what {
            What::Listed(listed) => {
                state.synced = true;
                let problems = std::mem::take(&mut state.problems);
                let nameless = std::mem::take(&mut state.nameless);
                let changed = state.list(slice, inventory, listed);
                state.miss_named(slice, inventory);
                let told = state.problems != problems || state.nameless != nameless;
                if told {
                    self.tell_problems(inventory);
                }
                changed | told | self.tell_access(inventory)
            }
            What::Changed(Item::Object(object)) => {
                let mended = state.problems.remove(object.at()).is_some();
                if mended {
                    self.tell_problems(inventory);
                }
                insert(inventory, object) | mended
            }
            What::Changed(Item::Nothing(at)) | What::Deleted(at) => {
                let mended = state.problems.remove(&at).is_some();
                let removed = remove(slice, inventory, &at);
                let missed = state.miss_named(slice, inventory);
                if mended || missed {
                    self.tell_problems(inventory);
                }
                removed | mended | missed
            }
            What::Changed(Item::Bad(at, problem)) => {
                let removed = at.as_ref().is_some_and(|at| remove(slice, inventory, at));
                removed | self.note(index, at, problem, inventory)
            }
            What::Absent => {
                let gone = state.list(slice, inventory, Listed::default());
                let told = !(state.problems.is_empty() && state.nameless.is_empty());
                state.problems.clear();
                state.nameless.clear();
                state.denied.clear();
                state.foretold.clear();
                state.synced = true;
                if told {
                    self.tell_problems(inventory);
                }
                gone | told | self.tell_access(inventory)
            }
            What::Unavailable => {
                state.synced = true;
                self.tell_access(inventory)
            }
            What::Denied(verb) => {
                state.denied.insert(verb);
                state.granted.remove(verb);
                // A refusal is as complete as it gets.
                state.synced = true;
                self.tell_access(inventory)
            }
            What::Granted(verb) => {
                state.granted.insert(verb);
                let lacked = state.denied.remove(verb) | state.foretold.remove(verb);
                lacked && self.tell_access(inventory)
            }
            What::Reviewed { verb, allowed: true } => {
                state.allowed.insert(verb);
                // What was refused stays so until it is granted: nothing has been seen of it yet.
                state.foretold.remove(verb) && self.tell_access(inventory)
            }
            What::Reviewed { verb, allowed: false } => {
                let credible = state.allowed.contains(verb) || !state.granted.contains(verb);
                credible && state.foretold.insert(verb) && self.tell_access(inventory)
            }
        }
    }

    fn note(&mut self, index: usize, at: Option<ObjectRef>, problem: Problem, inventory: &mut Inventory) -> bool {
        let state = &mut self.state[index];
        let told = match at {
            Some(at) => state.problems.insert(at, problem.clone()) != Some(problem),
            None if state.nameless.contains(&problem) => false,
            None => {
                state.nameless.push(problem);
                true
            }
        };
        if told {
            self.tell_problems(inventory);
        }
        told
    }

    fn tell_problems(&self, inventory: &mut Inventory) {
        let all = self.state.iter().flat_map(|state| state.problems.values().chain(&state.nameless));
        inventory.problems = all.cloned().collect();
    }

    fn tell_access(&mut self, inventory: &mut Inventory) -> bool {
        let slices = || self.slices.iter().zip(&self.state);
        let verbs = |state: &State| state.denied.union(&state.foretold).copied().collect::<Vec<_>>();
        let missing: BTreeSet<_> =
            slices().flat_map(|(slice, state)| verbs(state).into_iter().map(|verb| slice.permission(verb))).collect();
        let synced: BTreeSet<_> = Resource::ALL
            .into_iter()
            .filter(|resource| {
                // Which ones there are to read is known behind all the rest; what follows them tells.
                if *resource == Resource::ConfigMaps {
                    return inventory.synced.contains(resource);
                }
                slices().filter(|(slice, _)| slice.resource() == *resource).all(|(_, state)| state.synced)
            })
            .collect();
        let listed = inventory.synced != synced;
        inventory.synced = synced;
        inventory.tell_missing(&mut self.missing, missing) || listed
    }
}

impl State {
    /// Say of a Secret that the scope names and that is not there that it is not; tells whether that is news.
    fn miss_named(&mut self, slice: &Slice, inventory: &Inventory) -> bool {
        let Some(at) = slice.one().filter(|_| slice.kind == Kind::NamedSecret) else { return false };
        if inventory.secrets.contains_key(&at) || self.problems.contains_key(&at) {
            return false;
        }
        let problem = Problem {
            source: "cluster".to_owned(),
            index: None,
            kind: Some(slice.kind.name().to_owned()),
            name: Some(at.to_string()),
            message: "is named in scope.secrets and is not there: create it, or leave it out".to_owned(),
            unparsable: false,
        };
        self.problems.insert(at, problem);
        true
    }

    fn list(&mut self, slice: &Slice, inventory: &mut Inventory, listed: Listed) -> bool {
        for (at, problem) in listed.problems {
            match at {
                Some(at) => drop(self.problems.insert(at, problem)),
                None if self.nameless.contains(&problem) => {}
                None => self.nameless.push(problem),
            }
        }
        let seen: BTreeSet<ObjectRef> = listed.objects.iter().map(|object| object.at().clone()).collect();
        let count = |inventory: &Inventory| {
            inventory.secrets.len()
                + inventory.pods.len()
                + inventory.service_accounts.len()
                + inventory.controllers.len()
        };
        let before = count(inventory);
        match slice.kind {
            Kind::Secrets(_) | Kind::NamedSecret => {
                inventory.secrets.retain(|at, secret| !slice.covers_secret(secret) || seen.contains(at));
            }
            Kind::Pods => inventory.pods.retain(|at, _| !slice.covers(at) || seen.contains(at)),
            Kind::ServiceAccounts => {
                inventory.service_accounts.retain(|at, _| !slice.covers(at) || seen.contains(at));
            }
            // Followed apart: nothing of it comes here.
            Kind::Templates(_) => {}
            Kind::Controllers(kind) => {
                inventory.controllers.retain(|(of, at), _| *of != kind || !slice.covers(at) || seen.contains(at));
            }
        }
        let gone = before != count(inventory);
        listed.objects.into_iter().fold(gone, |changed, object| insert(inventory, object) | changed)
    }
}

fn insert(inventory: &mut Inventory, object: Object) -> bool {
    fn put<K: Ord + Clone, T>(objects: &mut BTreeMap<K, Arc<T>>, at: &K, object: &Arc<T>) -> bool {
        let old = objects.insert(at.clone(), Arc::clone(object));
        old.is_none_or(|old| !Arc::ptr_eq(&old, object))
    }
    match object.or_known(inventory) {
        Object::Secret(secret) => put(&mut inventory.secrets, &secret.at, &secret),
        Object::Pod(pod) => put(&mut inventory.pods, &pod.at, &pod),
        Object::ServiceAccount(account) => put(&mut inventory.service_accounts, &account.at, &account),
        Object::Controller(controller) => {
            let key = (controller.kind, controller.at.clone());
            put(&mut inventory.controllers, &key, &controller)
        }
        Object::Templates(_) => false,
    }
}

fn remove(slice: &Slice, inventory: &mut Inventory, at: &ObjectRef) -> bool {
    match slice.kind {
        // The name may be in the hands of a Secret of the other type by now, which is another slice's.
        Kind::Secrets(_) | Kind::NamedSecret => {
            let ours = inventory.secrets.get(at).is_some_and(|secret| slice.covers_secret(secret));
            ours && inventory.secrets.remove(at).is_some()
        }
        Kind::Pods => inventory.pods.remove(at).is_some(),
        Kind::ServiceAccounts => inventory.service_accounts.remove(at).is_some(),
        Kind::Controllers(kind) => inventory.controllers.remove(&(kind, at.clone())).is_some(),
        Kind::Templates(_) => false,
    }
}
