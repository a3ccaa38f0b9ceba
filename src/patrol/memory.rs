//! What the patrol keeps over a restart, and in which order.
//!
//! Nothing is shown before it is saved, and nobody is asked before it is noted that he is: whatever instruction the process
//! ends at, the next one knows every verdict that anybody saw, and asks no login again that was asked just now. Where the
//! store fails or is slow, the patrol goes on without: a memory must not cost the patrol.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::timeout;

use super::Patrol;
use super::store::{Store, StoreError};
use crate::cluster::{MissingPermission, Resource};
use crate::outlook::Snapshot;
use crate::plan::{Ask, LoginId, Moment, Remembered};
use crate::verdict::memory::{self, Dial, Record};
use crate::verdict::store::{Change, Contents};

/// How long questions and pictures wait for the store.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause after a save that failed: the least and the most. It doubles while they fail.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// How long each question is noted before it is asked, whatever the store costs: a process that begins may well end soon, again
/// and again, and what nobody noted is asked by the next one anew.
const EARLY: Duration = Duration::from_secs(60);
/// How long what is remembered waits for Secrets that RBAC keeps from us.
const DENIED_PATIENCE: Duration = Duration::from_secs(3600);

type Saved = (Option<Store>, Result<(), StoreError>);

/// A save that is under way.
struct Saving {
    future: BoxFuture<'static, Saved>,
    /// What the store holds when it succeeds: all of it, or what was added.
    kept: HashMap<String, u64>,
    whole: bool,
    essence: Option<u64>,
    began: Moment,
    /// What waits for it.
    held: Held,
    /// Whether nobody waits for it any more.
    overdue: bool,
}

/// What waits for a save.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) asks: Vec<Ask>,
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

/// The memory of a patrol.
#[derive(Default)]
pub(super) struct Memory {
    store: Option<Store>,
    saving: Option<Saving>,
    dial: Option<Dial>,
    /// What the store holds: hashes of records by their keys.
    kept: HashMap<String, u64>,
    /// Hash of the verdicts that were saved last.
    essence: Option<u64>,
    /// Logins that are remembered and that no Secret held since.
    strangers: HashSet<LoginId>,
    /// Whether the inventory is still awaited that tells which of what is remembered is there no more.
    awaiting: bool,
    /// When it began, with what was recalled.
    began_at: Moment,
    /// Whether the store is one that no other process can have meanwhile.
    exclusive: bool,
    /// Questions that are due and wait to be noted.
    reserved: Vec<Ask>,
    /// Something happened that must not wait.
    news: bool,
    paused_until: Option<Moment>,
    failures: u32,
    saved_at: Option<Moment>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let saving = self.saving.is_some();
        f.debug_struct("Memory").field("store", &self.store).field("saving", &saving).finish_non_exhaustive()
    }
}

impl Memory {
    /// Whether there is a store at all, free or at work.
    fn exists(&self) -> bool {
        self.store.is_some() || self.saving.is_some()
    }

    /// Whether saving is worth waiting for now.
    fn is_well(&self, now: Moment) -> bool {
        let paused = self.paused_until.is_some_and(|until| now < until);
        self.exists() && !paused && !self.saving.as_ref().is_some_and(|saving| saving.overdue)
    }

    fn is_cheap(&self) -> bool {
        self.store.as_ref().is_none_or(Store::is_cheap)
    }

    /// How many questions are on their way without a task of their own.
    pub(super) fn held_asks(&self) -> usize {
        self.reserved.len() + self.saving.as_ref().map_or(0, |saving| saving.held.asks.len())
    }

    /// Whether a picture may be made now: one at a time waits to be shown.
    pub(super) fn may_show(&self) -> bool {
        self.saving.as_ref().is_none_or(|saving| saving.overdue)
    }

    /// An exchange showed something that a restart must not ask again at once.
    pub(super) fn note_news(&mut self) {
        self.news = true;
    }

    /// Whether a login was remembered and is met for the first time since: then it is no new one.
    pub(super) fn meets(&mut self, login: LoginId) -> bool {
        self.strangers.remove(&login)
    }

    /// Whether what no Secret holds must not be forgotten yet. Turns to `false` once, and stays so.
    pub(super) fn is_awaiting(&self) -> bool {
        self.awaiting
    }

    /// Nobody is asked for now: what waited to be noted waits no more.
    pub(super) fn stand_down(&mut self) {
        self.reserved.clear();
        if let Some(saving) = &mut self.saving {
            saving.held.asks.clear();
        }
    }

    /// When to look again although nothing happens.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        match &self.saving {
            Some(saving) if !saving.overdue => Some(saving.began.after(PATIENCE)),
            _ => None,
        }
    }
}

#[cfg(test)]
impl Memory {
    /// As if a store held this.
    pub(super) fn assume_kept(&mut self, kept: HashMap<String, u64>) {
        self.kept = kept;
    }

    /// Tell moments by this dial.
    pub(super) fn set_dial(&mut self, dial: Dial) {
        self.dial = Some(dial);
    }
}

/// Wait for the save that is under way; for ever, when none is.
pub(super) async fn saved(memory: &mut Memory) -> Saved {
    match &mut memory.saving {
        Some(saving) => (&mut saving.future).await,
        None => std::future::pending().await,
    }
}

impl Patrol {
    /// Keep what is proven in a store, and begin with what it holds. `trouble` is why it holds nothing, where something is
    /// wrong.
    #[must_use]
    pub fn remembering(mut self, store: Store, contents: Option<Contents>, trouble: Option<StoreError>) -> Self {
        self.remember(store, contents, trouble);
        self
    }

    pub(super) fn remember(&mut self, store: Store, contents: Option<Contents>, trouble: Option<StoreError>) {
        let (moment, wall) = (self.clock.moment(), self.clock.wall());
        if let Some(Contents { saved, told, records }) = contents {
            let dial = Dial::of_earlier(saved, told, wall, moment);
            memory::recall(&mut self.ledger, &records, &dial, wall);
            let schedule = memory::recall_schedule(&records, &dial);
            self.memory.strangers = schedule.asks.iter().filter_map(|recalled| recalled.ask.login()).collect();
            self.schedule.recall(schedule);
            self.memory.awaiting = true;
            tracing::info!(records = records.len(), saved = %saved.wall(), "knows again what was proven");
        }
        self.memory.began_at = moment;
        self.memory.dial = Some(Dial::new(wall, moment));
        self.memory.exclusive = matches!(store, Store::File(_));
        self.memory.store = Some(store);
        if let Some(error) = trouble {
            self.failed(&error);
            if matches!(error, StoreError::Refused { .. } | StoreError::ReadFile(_)) {
                // There is nothing wrong with where it is kept.
                self.memory.paused_until = None;
            }
        }
    }

    /// Look whether the inventory tells what of the memory is there no more.
    pub(super) fn await_inventory(&mut self) {
        if !self.memory.awaiting {
            return;
        }
        let patient = self.clock.moment().since(self.memory.began_at) < DENIED_PATIENCE;
        let awaiting = self.inventory.read(|inventory| {
            let denied = inventory.missing_permissions.iter().any(|missing| missing.resource == Resource::Secrets);
            !inventory.is_complete() || (denied && patient)
        });
        if !awaiting {
            self.memory.awaiting = false;
            self.memory.strangers.clear();
        }
    }

    /// Set the questions aside that must be noted before they are asked; returns the others.
    pub(super) fn reserve(&mut self, due: Vec<Ask>) -> Vec<Ask> {
        let now = self.clock.moment();
        if !self.memory.is_well(now) {
            return due;
        }
        let all = self.memory.is_cheap() || now.since(self.memory.began_at) < EARLY;
        let (noted, free) = due.into_iter().partition(|ask| all || self.ledger.is_refused(ask));
        self.memory.reserved.extend::<Vec<Ask>>(noted);
        free
    }

    /// Save what waits to be noted, if the store is free. Returns the questions that need not wait any more.
    pub(super) fn save_reserved(&mut self) -> Vec<Ask> {
        if !self.memory.is_well(self.clock.moment()) {
            return std::mem::take(&mut self.memory.reserved);
        }
        if self.memory.store.is_some() && (!self.memory.reserved.is_empty() || self.memory.news) {
            self.begin_saving(None);
        }
        Vec::new()
    }

    /// Save a picture before it is shown; returns it when it can be shown at once.
    pub(super) fn hold_back(&mut self, snapshot: Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        let Some(store) = self.memory.store.as_ref().filter(|_| self.memory.is_well(self.clock.moment())) else {
            return Some(snapshot);
        };
        let idle = self.memory.saved_at.is_some_and(|at| self.clock.moment().since(at) < store.idle_gap());
        if idle && self.memory.essence == Some(essence(&snapshot)) {
            return Some(snapshot);
        }
        self.begin_saving(Some(snapshot));
        None
    }

    fn begin_saving(&mut self, snapshot: Option<Arc<Snapshot>>) {
        let Some(store) = self.memory.store.take() else { return };
        // That somebody is asked is noted for itself: what was answered meanwhile nobody saw yet.
        let whole = snapshot.is_some() || store.wants_all() || !store.is_cheap() || self.memory.reserved.is_empty();
        let (change, kept) = if whole { self.change(store.wants_all()) } else { self.note(&self.memory.reserved) };
        let essence = snapshot.as_deref().map(essence).or(self.memory.essence);
        let held = Held { asks: std::mem::take(&mut self.memory.reserved), snapshot };
        self.memory.news = false;
        let future = store.save(change).boxed();
        let began = self.clock.moment();
        self.memory.saving = Some(Saving { future, kept, whole, essence, began, held, overdue: false });
    }

    /// What changed since it was saved last, and what the store holds then.
    pub(super) fn change(&self, all: bool) -> (Change, HashMap<String, u64>) {
        let (moment, wall) = (self.clock.moment(), self.clock.wall());
        let dial = self.memory.dial.unwrap_or_else(|| Dial::new(wall, moment));
        let schedule = self.schedule.remembered(moment);
        let records = memory::remember(&self.ledger, &dial).chain(memory::remember_schedule(&schedule, &dial));
        let mut change = Change { saved: wall.into(), told: dial.tell(moment), all, ..Change::default() };
        let mut kept = HashMap::with_capacity(self.memory.kept.len());
        for record in records {
            self.add(&record, &mut change, &mut kept);
        }
        if !all {
            change.gone = self.memory.kept.keys().filter(|key| !kept.contains_key(*key)).cloned().collect();
        }
        (change, kept)
    }

    /// That these questions are asked.
    fn note(&self, asks: &[Ask]) -> (Change, HashMap<String, u64>) {
        let (moment, wall) = (self.clock.moment(), self.clock.wall());
        let dial = self.memory.dial.unwrap_or_else(|| Dial::new(wall, moment));
        let asks = asks.iter().filter_map(|ask| self.schedule.remembered_ask(ask)).collect();
        let schedule = Remembered { asks, holds: Vec::new() };
        let mut change = Change { saved: wall.into(), told: dial.tell(moment), ..Change::default() };
        let mut kept = HashMap::new();
        for record in memory::remember_schedule(&schedule, &dial) {
            self.add(&record, &mut change, &mut kept);
        }
        (change, kept)
    }

    /// Add a record to a change, unless the store holds it.
    fn add(&self, record: &Record, change: &mut Change, kept: &mut HashMap<String, u64>) {
        let key = record.key();
        // Nothing in a record can fail to be written: it has no map, and no number that JSON lacks.
        let Ok(text) = serde_json::to_string(record) else { return };
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        if change.all || self.memory.kept.get(&key) != Some(&hash) {
            change.set.push((key.clone(), text));
        }
        kept.insert(key, hash);
    }

    /// A save has ended, well or not. Returns what waited for it.
    pub(super) fn conclude_save(&mut self, (store, result): Saved) -> Held {
        let Some(saving) = self.memory.saving.take() else { return Held::default() };
        self.memory.store = store;
        match result {
            Ok(()) => {
                if self.memory.failures > 0 {
                    tracing::info!("the state is saved again");
                }
                if saving.whole {
                    self.memory.kept = saving.kept;
                } else {
                    self.memory.kept.extend(saving.kept);
                }
                self.memory.essence = saving.essence;
                (self.memory.failures, self.memory.paused_until) = (0, None);
                self.memory.saved_at = Some(self.clock.moment());
                self.metrics.state_saved(self.clock.wall());
                self.tell_missing(None);
            }
            Err(error) => self.failed(&error),
        }
        saving.held
    }

    /// Let go of what waits for a save that takes too long.
    pub(super) fn lose_patience(&mut self) -> Held {
        let Some(saving) = &mut self.memory.saving else { return Held::default() };
        if saving.overdue || self.clock.moment().since(saving.began) < PATIENCE {
            return Held::default();
        }
        saving.overdue = true;
        let held = std::mem::take(&mut saving.held);
        self.failed(&StoreError::Slow);
        held
    }

    /// Count and tell a failure, and leave the store alone for a while.
    pub(super) fn failed(&mut self, error: &StoreError) {
        self.metrics.state_failed(error.reason());
        if let StoreError::ConfigMap { missing, .. } = error {
            self.tell_missing(missing.clone());
        }
        let (least, most) = PAUSE;
        let pause = least.saturating_mul(1_u32.checked_shl(self.memory.failures).unwrap_or(u32::MAX)).min(most);
        self.memory.paused_until = Some(self.clock.moment().after(pause));
        self.memory.failures = self.memory.failures.saturating_add(1);
        // What the store holds is not known any more.
        self.memory.kept.clear();
        let causes = std::error::Error::source(error).map(causes).unwrap_or_default();
        tracing::warn!(reason = error.reason(), ?pause, causes, "{error}");
    }

    fn tell_missing(&self, missing: Option<MissingPermission>) {
        self.inventory.update(|inventory| {
            let before = inventory.missing_permissions.len();
            inventory.missing_permissions.retain(|rule| rule.resource != Resource::StateConfigMaps);
            let cleared = before != inventory.missing_permissions.len();
            let told = missing.is_some();
            inventory.missing_permissions.extend(missing);
            cleared || told
        });
    }

    /// Let go of a store that no other process can have as long as this one has it, once it holds what is known.
    pub(super) async fn let_go_of_store(&mut self) {
        if !self.memory.exclusive {
            return;
        }
        self.save_for_good().await;
        // Where the save still hangs, the store goes with its end.
        (self.memory.store, self.memory.saving) = (None, None);
    }

    /// Whether the store was let go of.
    pub fn lacks_its_store(&self) -> bool {
        self.memory.exclusive && !self.memory.exists()
    }

    /// Go on with a store that was let go of; nobody proved anything meanwhile, so that what it holds is known.
    pub fn take_back(&mut self, store: Store) {
        self.memory.kept.clear();
        self.memory.store = Some(store);
    }

    /// Save what is left before the process ends in order.
    pub(super) async fn save_for_good(&mut self) {
        if self.memory.saving.is_some() {
            match timeout(PATIENCE, saved(&mut self.memory)).await {
                Ok(outcome) => drop(self.conclude_save(outcome)),
                Err(_) => return,
            }
        }
        if self.memory.store.is_some() {
            self.begin_saving(None);
            if let Ok(outcome) = timeout(PATIENCE, saved(&mut self.memory)).await {
                self.conclude_save(outcome);
            }
        }
    }
}

/// An error's causes in one line.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A hash of the verdicts of a picture, without their ages.
fn essence(snapshot: &Snapshot) -> u64 {
    let mut hasher = DefaultHasher::new();
    for row in &snapshot.credentials {
        (&row.secret_namespace, &row.secret_name, &row.registry, row.status, row.expires_at).hash(&mut hasher);
        (&row.token_owner, &row.scopes).hash(&mut hasher);
    }
    for row in &snapshot.registries {
        (&row.host, row.incident).hash(&mut hasher);
    }
    for row in &snapshot.workloads {
        (&row.key, row.outlook.as_str()).hash(&mut hasher);
    }
    hasher.finish()
}
