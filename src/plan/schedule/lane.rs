//! A lane: the asks of which one is in flight at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::entry::jittered;
use super::queue::{AskNo, StallNo};
use super::sorted::Sorted;
use crate::plan::Moment;

/// When a queued ask may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    /// Where it stands in the order, and from when on it may be popped. Before `due` for an urgent ask that is due now.
    pub(super) key: Moment,
    /// When it became or becomes due; the measure of lateness.
    pub(super) due: Moment,
    /// Whether it counts against the access checks of its login.
    pub(super) budgeted: bool,
    /// Grows with each ask that is queued: of two with one key the one goes first that waits for longer. By any other
    /// order one of them could lose for ever.
    pub(super) turn: u64,
}

impl Slot {
    /// Due at a moment, and not before anything that is due earlier.
    pub(super) fn at(due: Moment, budgeted: bool) -> Self {
        Self { key: due, due, budgeted, turn: 0 }
    }
}

/// What bounds the access checks of one login.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// How many per round.
    pub(super) per_round: usize,
    /// Length of a round.
    pub(super) round: Duration,
}

/// What a lane keeps of a slot: key, turn, ask, due time.
type Place = (Moment, u64, AskNo, Moment);

/// The first ask of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head {
    pub(super) key: Moment,
    pub(super) turn: u64,
    pub(super) due: Moment,
}

impl Head {
    fn of(place: &Place, not_before: Moment) -> Self {
        let (key, turn, _, due) = *place;
        Self { key: key.max(not_before), turn, due: due.max(not_before) }
    }

    /// Whether it was brought forward, before others that are due.
    pub(super) fn is_urgent(&self) -> bool {
        self.key < self.due
    }
}

/// Access checks by the namespace that needs them. Namespaces that share a login are served in turn, so that none takes
/// all checks of a round by naming thousands of images.
#[derive(Debug, Default)]
struct Shares {
    of: HashMap<Arc<str>, Share>,
    /// The first of each namespace.
    firsts: Sorted<(Moment, u64, Arc<str>)>,
}

#[derive(Debug, Default)]
struct Share {
    places: Sorted<Place>,
    /// When its turn was last, counted in checks of the lane.
    served: u64,
}

impl Shares {
    fn first(&self) -> Option<Place> {
        let (_, _, tenant) = self.firsts.first()?;
        self.of.get(tenant)?.places.first().copied()
    }

    fn change(&mut self, tenant: &Arc<str>, change: impl FnOnce(&mut Share)) {
        let share = self.of.entry(Arc::clone(tenant)).or_default();
        if let Some((key, turn, ..)) = share.places.first() {
            self.firsts.remove(&(*key, *turn, Arc::clone(tenant)));
        }
        change(share);
        match share.places.first() {
            Some((key, turn, ..)) => {
                self.firsts.insert((*key, *turn, Arc::clone(tenant)));
            }
            None => {
                self.of.remove(tenant);
            }
        }
    }

    /// Of the namespaces with something due the one whose turn is longest ago.
    fn pop(&mut self, now: Moment, turn: u64) -> Option<AskNo> {
        let due = self.firsts.iter().take_while(|(key, ..)| *key <= now);
        let served = |tenant: &Arc<str>| self.of.get(tenant).map_or(0, |share| share.served);
        let (_, _, tenant) = due.min_by_key(|(key, first, tenant)| (served(tenant), *key, *first))?;
        let tenant = Arc::clone(tenant);
        let mut popped = None;
        self.change(&tenant, |share| {
            share.served = turn;
            popped = share.places.pop_first();
        });
        popped.map(|(_, _, ask, _)| ask)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.of.values().map(|share| share.places.len()).sum()
    }
}

#[derive(Debug)]
pub(super) struct Lane {
    /// Where it stands.
    pub(super) stall: StallNo,
    /// 0 to 1, from the hash of what the lane is for.
    fraction: f64,
    /// Whether its exchanges are likely to be refused: a login that was never accepted, or is proven dead.
    pub(super) suspect: bool,
    /// The stall that the exchange in flight counts for, and whether it spent of the allowance for refusals.
    pub(super) in_flight: Option<(StallNo, bool)>,
    /// Nothing before this moment: the owner of the login is locked out or at its limit.
    pub(super) hold: Moment,
    free: Sorted<Place>,
    budgeted: Shares,
    round_began: Moment,
    round_ends: Moment,
    asked_in_round: usize,
    checks: u64,
    rounds: u32,
    /// Its entry in the queue of the stall.
    pub(super) head: Option<Head>,
}

impl Lane {
    pub(super) fn new(stall: StallNo, fraction: f64, suspect: bool) -> Self {
        Self {
            stall,
            fraction,
            suspect,
            in_flight: None,
            hold: Moment::default(),
            free: Sorted::default(),
            budgeted: Shares::default(),
            round_began: Moment::default(),
            round_ends: Moment::default(),
            asked_in_round: 0,
            checks: 0,
            rounds: 0,
            head: None,
        }
    }

    pub(super) fn put(&mut self, ask: AskNo, slot: Slot, tenant: &Arc<str>) {
        let place = (slot.key, slot.turn, ask, slot.due);
        if slot.budgeted {
            self.budgeted.change(tenant, |share| share.places.insert(place));
        } else {
            self.free.insert(place);
        }
    }

    pub(super) fn take(&mut self, ask: AskNo, slot: Slot, tenant: &Arc<str>) {
        let place = (slot.key, slot.turn, ask, slot.due);
        if slot.budgeted {
            self.budgeted.change(tenant, |share| share.places.remove(&place));
        } else {
            self.free.remove(&place);
        }
    }

    /// How many asks wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.free.len() + self.budgeted.len()
    }

    pub(super) fn next_head(&self, budget: Budget) -> Option<Head> {
        if self.in_flight.is_some() {
            return None;
        }
        let free = self.free.first().map(|place| Head::of(place, self.hold));
        let opens = self.round_opens(budget).max(self.hold);
        let budgeted = self.budgeted.first().map(|place| Head::of(&place, opens));
        free.into_iter().chain(budgeted).min()
    }

    /// From when on an access check goes.
    pub(super) fn round_opens(&self, budget: Budget) -> Moment {
        if self.asked_in_round < budget.per_round { self.round_began } else { self.round_ends }
    }

    /// Take the ask that the head stands for, or the access check of the namespace whose turn it is.
    pub(super) fn take_head(&mut self, now: Moment, budget: Budget) -> Option<AskNo> {
        let head = self.head?;
        let is_free = |place: &Place| Head::of(place, self.hold) <= head;
        if self.free.first().is_some_and(is_free) {
            return self.free.pop_first().map(|(_, _, ask, _)| ask);
        }
        self.checks += 1;
        let ask = self.budgeted.pop(now, self.checks)?;
        if self.rounds == 0 || now >= self.round_ends {
            self.round_began = now;
            self.round_ends = now.after(jittered(budget.round, self.rounds, self.fraction));
            self.rounds = self.rounds.saturating_add(1);
            self.asked_in_round = 0;
        }
        self.asked_in_round += 1;
        Some(ask)
    }

    #[cfg(test)]
    pub(super) fn holds_slot(&self, ask: AskNo, slot: Slot, tenant: &Arc<str>) -> bool {
        let place = (slot.key, slot.turn, ask, slot.due);
        if slot.budgeted {
            self.budgeted.of.get(tenant).is_some_and(|share| share.places.contains(&place))
        } else {
            self.free.contains(&place)
        }
    }
}
