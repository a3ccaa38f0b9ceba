//! Due times: when each question is asked, and what waits for what.

mod answers;
mod entry;
mod lane;
mod memory;
#[cfg(test)]
mod memory_tests;
mod queue;
mod refusals;
mod retime;
mod sorted;
mod standing;

#[cfg(test)]
mod fairness;
#[cfg(test)]
mod places;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use self::entry::{Entry, Identity, State, Timing, fraction};
use self::lane::{Budget, Slot};
pub use self::memory::{Remembered, RememberedAsk};
use self::queue::{Address, AskNo, LaneNo, Queues};
use self::refusals::Allowance;
pub use self::standing::Standing as LoginStanding;
use self::standing::{LoginLane, Standing};
use super::{Ask, Cadence, LoginId, Moment, Wanted};
use crate::config::{IssuerConfig, ProbeConfig};

/// A namespace that caused so many refused logins at a host lately that further ones wait.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The host: of a registry, or of an issuer's API.
    pub host: Arc<str>,
    /// How many of its logins (or tokens) are due and wait.
    pub logins: usize,
}

/// When each question is due. Pure: every call that needs the time is told it, and nothing is random: repetitions are
/// spread by a hash of the question.
///
/// The loop that drives it: [`Schedule::sync`] when the wanted set changes, [`Schedule::pop_due`] while there are free
/// slots, [`Schedule::answered`] for each answer, and sleep until [`Schedule::next_due`].
#[derive(Debug)]
pub struct Schedule {
    timing: Timing,
    /// How far the time inside runs ahead.
    ahead: Duration,
    queues: Queues,
    /// Boxed, since a map has room for up to twice of what it holds.
    entries: HashMap<AskNo, Box<Entry>>,
    by_identity: HashMap<Identity, AskNo>,
    /// Lanes that logins share.
    logins: HashMap<LoginId, LoginLane>,
    /// Until when nothing is asked about a login or token whose owner is to be left alone, also when it goes and comes back.
    holds: HashMap<Identity, Moment>,
    /// What was known before the process began, of questions that nobody wanted since.
    recalled: HashMap<Identity, RememberedAsk>,
    next: AskNo,
    turn: u64,
    generation: u64,
}

impl Schedule {
    /// An empty schedule with the intervals of the config.
    pub fn new(probe: &ProbeConfig, issuer: &IssuerConfig) -> Self {
        let timing = Timing::new(probe, issuer);
        let budget = Budget { per_round: probe.access_checks_per_login.max(1), round: timing.interval };
        Self {
            timing,
            ahead: timing.interval,
            queues: Queues::new(probe.concurrency, budget, Allowance::new(timing.spacing)),
            entries: HashMap::new(),
            by_identity: HashMap::new(),
            logins: HashMap::new(),
            holds: HashMap::new(),
            recalled: HashMap::new(),
            next: 0,
            turn: 0,
            generation: 0,
        }
    }

    /// The time inside: it runs the first interval ahead, so that there is room below "now" for the head start of urgent questions
    /// from the first moment on.
    fn inside(&self, now: Moment) -> Moment {
        now.after(self.ahead)
    }

    fn outside(&self, inside: Moment) -> Moment {
        Moment(inside.since(Moment(self.ahead)))
    }

    /// Take over what is wanted from now on: a new question is due at once, one that is wanted no more is forgotten. All
    /// questions about an `urgent` login (new, or its Secret changed) are due at once, even when it is dead; when the same
    /// login is urgent again within the confirmation spacing, it waits that long.
    pub fn sync(&mut self, wanted: &[Wanted], urgent: &[LoginId], now: Moment) {
        let now = self.inside(now);
        self.generation += 1;
        for want in wanted {
            match self.by_identity.get(&Identity::of(&want.ask)) {
                Some(no) => self.renew(*no, want),
                None => self.add(want, now),
            }
        }
        let generation = self.generation;
        let gone: Vec<AskNo> =
            self.entries.iter().filter(|(_, entry)| entry.generation != generation).map(|(no, _)| *no).collect();
        for no in gone {
            self.drop_ask(no);
        }
        self.link_issuers();
        for login in urgent {
            self.hurry(*login, now);
        }
        self.holds.retain(|_, until| *until > now);
        self.queues.prune(now);
    }

    /// All questions about these logins are due at once, as if their Secrets had changed.
    pub fn hurry_all(&mut self, logins: &[LoginId], now: Moment) {
        let now = self.inside(now);
        for login in logins {
            self.hurry(*login, now);
        }
    }

    /// Up to `limit` questions that are due, now in flight: hand each back with [`Schedule::answered`]. Never two exchanges of
    /// one login at once; fair over hosts.
    pub fn pop_due(&mut self, now: Moment, limit: usize) -> Vec<Ask> {
        let now = self.inside(now);
        let popped = self.queues.pop(now, limit);
        let mut asks = Vec::with_capacity(popped.len());
        for no in popped {
            if let Some(entry) = self.entries.get_mut(&no) {
                entry.state = State::InFlight { again: None, gone: false };
                entry.asked = Some(now);
                asks.push(entry.ask.clone());
            }
        }
        asks
    }

    /// Ask at once, as far as holds allow. One that is in flight or unknown, or that waits for its login to be accepted,
    /// is passed over.
    pub fn hasten(&mut self, ask: &Ask, now: Moment) {
        let now = self.inside(now);
        let Some(no) = self.by_identity.get(&Identity::of(ask)).copied() else { return };
        if let Some(State::Queued(slot)) = self.entries.get(&no).map(|entry| entry.state) {
            self.queue(no, self.brought_forward(slot, now, now));
        }
    }

    /// Repeat a question to an issuer no sooner than this from now on, at its usual pace; what is urgent is not put off.
    pub fn stretch(&mut self, ask: &Ask, least: Duration) {
        let entry = self.by_identity.get(&Identity::of(ask)).and_then(|no| self.entries.get_mut(no));
        if let Some(entry) = entry.filter(|entry| matches!(entry.ask, Ask::Issuer(_))) {
            entry.stretch = least.min(self.timing.longest);
        }
    }

    /// Ask nothing of a host (of a registry or of an issuer's API) before `until`.
    pub fn hold(&mut self, host: &Arc<str>, until: Moment) {
        self.queues.hold(host, self.inside(until));
    }

    /// From when on [`Schedule::pop_due`] has something to give, as long as nothing else happens.
    pub fn next_due(&self) -> Option<Moment> {
        self.queues.next_due().map(|due| self.outside(due))
    }

    /// Whether a question is known and still wanted. One in flight may be wanted no more.
    pub fn wants(&self, ask: &Ask) -> bool {
        let entry = self.by_identity.get(&Identity::of(ask)).and_then(|no| self.entries.get(no));
        entry.is_some_and(|entry| !matches!(entry.state, State::InFlight { gone: true, .. }))
    }

    /// Whether one of the questions that `open` picks is in flight, or can be asked by `until` as long as nothing else
    /// happens. Walks all questions.
    pub fn expects(&self, open: impl Fn(&Ask) -> bool, until: Moment) -> bool {
        let until = self.inside(until);
        self.entries.values().any(|entry| {
            let soon = match entry.state {
                State::InFlight { .. } => true,
                State::Queued(slot) => self.queues.opens(entry.lane, slot) <= until,
                State::Parked(_) => false,
            };
            soon && open(&entry.ask)
        })
    }

    /// How late the most overdue question is.
    pub fn lag(&self, now: Moment) -> Duration {
        self.late_since().map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Since when the most overdue question is late, or from when on one will be if nothing happens until then. What waits
    /// for a hold, for a round of its login or for the allowance of its namespace is not late.
    pub fn late_since(&self) -> Option<Moment> {
        self.queues.late_since().map(|late| self.outside(late))
    }

    /// Namespaces that caused as many refused logins at a host as they may for now, sorted.
    pub fn waiting(&self, now: Moment) -> Vec<Waiting> {
        let waiting = self.queues.waiting(self.inside(now)).into_iter();
        waiting.map(|(namespace, host, logins)| Waiting { namespace, host, logins }).collect()
    }

    /// How many questions are in flight.
    pub fn in_flight(&self) -> usize {
        self.queues.in_flight()
    }

    /// How many questions are known, those in flight included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn add(&mut self, want: &Wanted, now: Moment) {
        self.next += 1;
        let no = self.next;
        let identity = Identity::of(&want.ask);
        let fraction = fraction(&identity);
        let lane = match want.ask.login() {
            Some(login) => self.login_lane(login, want),
            // An anonymous pull is nobody's login.
            None => self.queues.add_lane(address(want), fraction, matches!(want.ask, Ask::Issuer(_))),
        };
        let mut open = true;
        if let Some(shared) = want.ask.login().and_then(|login| self.logins.get_mut(&login)) {
            if matches!(want.ask, Ask::Login(_)) {
                shared.login = Some(no);
                self.queues.move_lane(lane, address(want));
            } else {
                shared.accesses.insert(no);
                open = shared.standing == Standing::Open;
            }
        }
        let entry = Entry {
            ask: want.ask.clone(),
            host: want.host.clone(),
            lane,
            tenant: want.tenant.clone(),
            logins: want.logins.clone(),
            state: State::Parked(now),
            fraction,
            last_done: None,
            last_urgent: None,
            repetitions: 0,
            stretch: Duration::ZERO,
            unproven: 0,
            generation: self.generation,
            asked: None,
        };
        let budgeted = matches!(entry.ask, Ask::Access { login: Some(_), .. });
        if let Some(until) = self.holds.get(&entry.identity()) {
            self.queues.hold_lane(lane, *until);
        }
        self.entries.insert(no, Box::new(entry));
        let recalled = self.recalled.remove(&identity);
        self.by_identity.insert(identity, no);
        if let Some(recalled) = recalled {
            self.resume(no, &recalled, open, now);
        } else if open {
            self.queue(no, Slot::at(now, budgeted));
        }
    }

    fn login_lane(&mut self, login: LoginId, want: &Wanted) -> LaneNo {
        if let Some(shared) = self.logins.get(&login) {
            return shared.lane;
        }
        let lane = self.queues.add_lane(address(want), fraction(&Identity::Login(login)), true);
        let (accesses, issuers) = (BTreeSet::new(), Vec::new());
        let standing = self.recalled.get(&Identity::Login(login)).and_then(|recalled| recalled.standing);
        let standing = standing.unwrap_or(Standing::Unasked);
        self.logins.insert(login, LoginLane { lane, standing, login: None, accesses, issuers });
        lane
    }

    fn renew(&mut self, no: AskNo, want: &Wanted) {
        let Some(entry) = self.entries.get_mut(&no) else { return };
        entry.generation = self.generation;
        entry.ask.clone_from(&want.ask);
        entry.logins.clone_from(&want.logins);
        if let State::InFlight { gone, .. } = &mut entry.state {
            *gone = false;
        }
        if entry.tenant != want.tenant {
            let before = std::mem::replace(&mut entry.tenant, want.tenant.clone());
            let (lane, state) = (entry.lane, entry.state);
            if let State::Queued(slot) = state {
                self.queues.take(lane, no, slot, &before);
                self.queues.put(lane, no, slot, &want.tenant);
            }
            // The access checks of a login share its lane, whoever needs them.
            if !matches!(want.ask, Ask::Access { login: Some(_), .. }) {
                self.queues.move_lane(lane, address(want));
            }
        }
    }

    /// Forget a question, or once it is done when it is in flight.
    fn drop_ask(&mut self, no: AskNo) {
        match self.entries.get_mut(&no).map(|entry| &mut entry.state) {
            Some(State::InFlight { gone, .. }) => *gone = true,
            _ => self.forget(no),
        }
    }

    fn forget(&mut self, no: AskNo) {
        let Some(entry) = self.entries.remove(&no) else { return };
        self.by_identity.remove(&Identity::of(&entry.ask));
        if let State::Queued(slot) = entry.state {
            self.queues.take(entry.lane, no, slot, &entry.tenant);
        }
        let Some(login) = entry.ask.login() else {
            self.queues.remove_lane(entry.lane);
            return;
        };
        if let Some(shared) = self.logins.get_mut(&login) {
            shared.accesses.remove(&no);
            shared.login = shared.login.filter(|own| *own != no);
            if shared.accesses.is_empty() && shared.login.is_none() {
                self.logins.remove(&login);
                self.queues.remove_lane(entry.lane);
            }
        }
    }

    /// Tell each login which questions to issuers are about its token.
    fn link_issuers(&mut self) {
        for shared in self.logins.values_mut() {
            shared.issuers.clear();
        }
        for (no, entry) in &self.entries {
            for login in &entry.logins {
                if let Some(shared) = self.logins.get_mut(login) {
                    shared.issuers.push(*no);
                }
            }
        }
    }

    /// Put a question into the queue of its lane, wherever it stood before.
    fn queue(&mut self, no: AskNo, slot: Slot) {
        self.turn += 1;
        let slot = Slot { turn: self.turn, ..slot };
        self.park(no, slot.due);
        let Some(entry) = self.entries.get_mut(&no) else { return };
        entry.state = State::Queued(slot);
        self.queues.put(entry.lane, no, slot, &entry.tenant);
    }

    /// Take a question out of the queue of its lane: it waits for its login, and is not due before this moment.
    fn park(&mut self, no: AskNo, due: Moment) {
        let Some(entry) = self.entries.get_mut(&no) else { return };
        if let State::Queued(before) = std::mem::replace(&mut entry.state, State::Parked(due)) {
            self.queues.take(entry.lane, no, before, &entry.tenant);
        }
    }

    /// Ask everything about a login at once.
    fn hurry(&mut self, login: LoginId, now: Moment) {
        let Some(shared) = self.logins.get(&login) else { return };
        let all = shared.login.iter().chain(&shared.accesses).chain(&shared.issuers);
        for no in all.copied().collect::<Vec<_>>() {
            let Some(entry) = self.entries.get_mut(&no) else { continue };
            let opens = match entry.last_urgent {
                // A moment that was granted already and has not passed.
                Some(last) if last >= now => last,
                Some(last) => last.after(self.timing.spacing).max(now),
                None => now,
            };
            match &mut entry.state {
                State::InFlight { again, .. } => *again = Some(again.map_or(opens, |before| before.min(opens))),
                State::Parked(from) => *from = (*from).min(opens),
                State::Queued(slot) => {
                    let slot = *slot;
                    self.queue(no, self.brought_forward(slot, opens, now));
                }
            }
            if let Some(entry) = self.entries.get_mut(&no) {
                entry.last_urgent = Some(opens);
            }
        }
    }

    /// A slot that is due at `at`, unless it is before. One that is due now goes before all that is less than an interval
    /// late, so that a change shows soon; what is later than that goes first, so that nobody can starve the others by
    /// changing Secrets.
    fn brought_forward(&self, slot: Slot, at: Moment, now: Moment) -> Slot {
        let due = slot.due.min(at);
        let head_start = if due <= now { self.timing.interval } else { Duration::ZERO };
        Slot { key: Moment(due.0.saturating_sub(head_start)).min(slot.key), due, ..slot }
    }
}

/// Where the lane of a question belongs.
fn address(want: &Wanted) -> Address<'_> {
    Address { pool: &want.pool, host: &want.host, tenant: &want.tenant }
}
