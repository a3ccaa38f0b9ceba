//! The loop that carries one round along the line: changes of the inventory in, questions out, evidence in, snapshot out.
//!
//! It knows neither where objects come from nor who reads the snapshot, and it decides nothing: the book says which
//! logins there are, the schedule which question is due, the ledger what the answers prove.

mod exchange;
mod explain;
mod late;
mod memory;
mod once;
#[cfg(test)]
mod properties;
mod reload;
mod round;
mod standby;
mod store;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::exchange::Finished;
pub use self::explain::Question;
use self::late::Late;
use self::memory::Memory;
pub use self::once::Progress;
pub use self::reload::Orders;
pub use self::round::{Answer, take_in};
pub use self::standby::Ended;
pub use self::store::{Sharded, Store, StoreError};
use crate::clock::Clock;
use crate::cluster::{SharedInventory, Tenure};
use crate::config::Config;
use crate::metrics::DaemonMetrics;
use crate::outlook::{self, Role, Snapshot};
use crate::plan::{
    self, Ask, Book, Cadence, Identifier, LoginId, Moment, Registries, Schedule, Shard, TokenKey, Wanted,
};
use crate::probe::Prober;
use crate::verdict::{Advice, Ledger, Rules};
use crate::workload::{Roster, Waits};

/// A background exchange panicked: what it asked is lost, and so is the ground under every later verdict.
#[derive(Debug, thiserror::Error)]
#[error("an exchange with a registry or an issuer ended without an answer")]
pub struct ExchangeLost(#[source] tokio::task::JoinError);

/// What a patrol needs.
#[derive(Debug)]
pub struct Parts {
    /// The rules.
    pub config: Config,
    /// Who may be contacted.
    pub registries: Registries,
    /// Names for logins and tokens.
    pub identifier: Identifier,
    /// The objects.
    pub inventory: SharedInventory,
    /// Who asks. The patrol reads the same clock.
    pub prober: Prober,
    /// Counters.
    pub metrics: Arc<DaemonMetrics>,
}

/// State of the patrol between two steps.
#[derive(Debug)]
pub struct Patrol {
    config: Config,
    registries: Registries,
    inventory: SharedInventory,
    prober: Arc<Prober>,
    metrics: Arc<DaemonMetrics>,
    clock: Clock,
    book: Book,
    roster: Roster,
    waits: Waits,
    schedule: Schedule,
    /// Since when the most overdue question is late, as far as the loop got.
    late: Arc<Late>,
    ledger: Ledger,
    /// Registries that the config names, for the snapshot.
    hosts: Vec<Arc<str>>,
    /// For each question to an issuer one of the logins whose password it is about.
    tokens: HashMap<TokenKey, LoginId>,
    /// What faces want explained while the patrol goes on.
    questions: Option<mpsc::Receiver<Question>>,
    /// What survives the process.
    memory: Memory,
    /// Orders of the operator while the patrol goes on.
    orders: Option<mpsc::Receiver<Orders>>,
    /// Registries that are asked in another way, and whose questions are to be asked anew.
    moved: HashSet<Arc<str>>,
    /// Logins that were to be asked at once while nobody might be asked.
    fresh: BTreeSet<LoginId>,
    /// The right to probe, where several replicas share one; without an election there is no end to it.
    tenure: Option<Tenure>,
    role: Role,
}

impl Patrol {
    /// A patrol that has seen nothing yet.
    pub fn new(parts: Parts) -> Self {
        let Parts { config, registries, identifier, inventory, prober, metrics } = parts;
        let clock = prober.clock().clone();
        let late = Arc::new(Late::new(clock.clone()));
        let shard = Shard::new(config.shard.index.unwrap_or_default(), config.shard.count).unwrap_or_default();
        let registries = registries.shared_by(shard.count());
        metrics.watch_schedule({
            let late = Arc::clone(&late);
            move || late.lag()
        });
        Self {
            late,
            clock,
            book: Book::new(identifier, registries.clone()).of_shard(shard),
            schedule: Schedule::new(&config.probe, &config.issuer),
            ledger: Ledger::new(Rules::new(&config)),
            prober: Arc::new(prober),
            hosts: registries.listed_hosts().into_iter().map(Arc::from).collect(),
            roster: Roster::default(),
            waits: Waits::default(),
            tokens: HashMap::new(),
            questions: None,
            memory: Memory::default(),
            orders: None,
            moved: HashSet::new(),
            fresh: BTreeSet::new(),
            tenure: None,
            role: Role::Active,
            config,
            registries,
            inventory,
            metrics,
        }
    }

    /// A patrol that goes on from what was proven before.
    #[must_use]
    pub fn knowing(mut self, ledger: Ledger) -> Self {
        self.ledger = ledger;
        self
    }

    /// Bring book, workloads and schedule in step with the inventory.
    pub fn sync(&mut self) {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.extend(self.look());
        self.plan(fresh.into_iter().collect());
    }

    /// Bring book and workloads in step with the inventory. Returns the logins that are to be asked at once.
    fn look(&mut self) -> Vec<LoginId> {
        let now = self.clock.wall();
        let Self { inventory, book, roster, waits, .. } = self;
        inventory.read(|inventory| {
            roster.sync(inventory);
            waits.sync(inventory, now);
            roster.add_unseen(waits);
            book.sync(inventory, roster.needed())
        })
    }

    /// Bring the schedule in step with the book, and forget what is gone.
    fn plan(&mut self, fresh: Vec<LoginId>) {
        // What is remembered is no news when it is met again.
        let fresh: Vec<LoginId> = fresh.into_iter().filter(|login| !self.memory.meets(*login)).collect();
        let wanted = plan::wanted(&self.book, self.roster.workloads(), true);
        self.schedule.sync(&wanted, &fresh, self.clock.moment());
        self.meet_registries();
        self.ask_moved(&wanted);
        let mut accesses: HashSet<(Option<LoginId>, &str, &str)> = HashSet::new();
        self.tokens.clear();
        for Wanted { ask, logins, .. } in &wanted {
            match ask {
                Ask::Issuer(token) => self.tokens.extend(logins.first().map(|login| (token.clone(), *login))),
                Ask::Access { host, login, repository, .. } => {
                    accesses.insert((*login, host, repository));
                }
                Ask::Login(_) | Ask::Canary(_) => {}
            }
        }
        self.await_inventory();
        if self.memory.is_awaiting() {
            return;
        }
        self.schedule.forget_recalled();
        let hosts: HashSet<&str> =
            wanted.iter().map(|wanted| &wanted.host).chain(&self.hosts).map(|host| &**host).collect();
        self.ledger.retain_hosts(|host| hosts.contains(host));
        self.metrics.retain_registries(|host| hosts.contains(host));
        let (book, tokens) = (&self.book, &self.tokens);
        self.ledger.retain(|login| book.asks(login), |token| tokens.contains_key(token));
        self.ledger.retain_accesses(|login, host, repository| accesses.contains(&(login, host, repository)));
    }

    /// Start what is due, as far as places are free. Returns when to look again: a question that is due and cannot start
    /// (its login is in flight, or no place is free) waits for a task to end, not for the clock.
    fn launch_due(&mut self, tasks: &mut JoinSet<Finished>) -> Option<Moment> {
        if !self.may_ask() {
            return None;
        }
        let busy = |this: &Self, tasks: &JoinSet<Finished>| tasks.len() + this.memory.held_asks();
        let free = self.config.probe.concurrency.saturating_sub(busy(self, tasks));
        let now = self.clock.moment();
        let due = if free == 0 { Vec::new() } else { self.schedule.pop_due(now, free) };
        let due = self.reserve(due);
        self.launch_all(due, tasks);
        self.late.since(self.schedule.late_since());
        if busy(self, tasks) >= self.config.probe.concurrency {
            return None;
        }
        // By the same reading of the clock: what becomes due between two would be seen by neither.
        self.schedule.next_due().filter(|due| *due > now)
    }

    /// Start these exchanges.
    fn launch_all(&mut self, asks: Vec<Ask>, tasks: &mut JoinSet<Finished>) {
        if !self.may_ask() {
            // They count as asked to no avail, and come again.
            return;
        }
        for ask in asks {
            if !self.launch(ask.clone(), tasks) {
                // What it asked about went between two syncs; the next sync drops the question.
                self.schedule.answered(&ask, Cadence::Routine, self.clock.moment());
            }
        }
    }

    /// Take in an answer. Returns the advice that the schedule was given.
    fn record(&mut self, finished: &Finished) -> Advice {
        let Finished { ask, registry, answer } = finished;
        let host = &registry.host;
        let (kind, outcome, took) = answer.measured();
        self.metrics.probe_ended(host, kind, outcome, took);
        let now = self.clock.moment();
        if self.is_asked_otherwise_now(ask, registry) {
            // What it showed is about the way it was asked, and nobody asks that way any more.
            let cadence = answer.end_unheard(&mut self.schedule, ask, now);
            return Advice { cadence, at_once: Vec::new(), also: Vec::new() };
        }
        let token = ask.login().and_then(|login| self.token_of(login));
        let advice = take_in((&mut self.schedule, &mut self.ledger), (ask, host), token.as_ref(), answer, now);
        self.ledger.was_asked(registry);
        if matches!(advice.cadence, Cadence::Confirm | Cadence::Dead) {
            self.memory.note_news();
        }
        tracing::debug!(registry = %host, kind = kind.as_str(), outcome = outcome.as_str(), ?took, "exchange");
        advice
    }

    /// The issuer question about the password of a login, if there is an issuer to ask.
    fn token_of(&self, login: LoginId) -> Option<TokenKey> {
        self.book.logins.get(&login).and_then(plan::issuer_asks)
    }

    /// One consistent picture of everything.
    pub fn snapshot(&self) -> Snapshot {
        let now = self.clock.wall();
        let mut snapshot = self.with_inputs(|inputs| outlook::build(inputs, now));
        snapshot.daemon.role = self.role.clone();
        snapshot
    }

    /// Look at everything that is known.
    fn with_inputs<T>(&self, look: impl FnOnce(&outlook::Inputs<'_>) -> T) -> T {
        let moment = self.clock.moment();
        let (lag, waiting) = (self.schedule.lag(moment), self.schedule.waiting(moment));
        self.inventory.read(|inventory| {
            look(&outlook::Inputs {
                config: &self.config,
                registries: &self.registries,
                inventory,
                book: &self.book,
                workloads: self.roster.workloads(),
                failing: self.waits.failing(),
                ledger: &self.ledger,
                hosts: &self.hosts,
                schedule_lag: lag,
                moment,
                waiting: &waiting,
            })
        })
    }

    /// The picture without asking anybody: what text alone tells.
    pub fn offline(mut self) -> Snapshot {
        self.sync();
        self.snapshot()
    }
}
