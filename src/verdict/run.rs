//! Counting refusals in a row, and how a login or a token stands with the host that answers for it.

use std::time::Duration;

use crate::plan::Moment;

/// Time from one moment to a later one; zero when they stand the other way round.
pub(super) fn since(earlier: Moment, later: Moment) -> Duration {
    later.0.saturating_sub(earlier.0)
}

/// Refusals in a row that count: each at least the spacing after the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) count: u32,
    pub(super) first: Moment,
    pub(super) previous: Moment,
    pub(super) last: Moment,
    pub(super) lasting: u32,
    pub(super) controlled: u32,
}

/// What counting a refusal needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Least time between two that both count.
    pub(super) spacing: Duration,
    /// From when on after the first one they are [`Run::lasting`].
    pub(super) patience: Duration,
}

impl Run {
    /// Take in a refusal. Whether it counted.
    pub(super) fn refuse(&mut self, now: Moment, pace: Pace) -> bool {
        if self.count > 0 && since(self.last, now) < pace.spacing {
            return false;
        }
        if self.count == 0 {
            self.first = now;
        }
        self.previous = self.last;
        self.last = now;
        self.count = self.count.saturating_add(1);
        self.lasting = self.lasting.saturating_add(u32::from(since(self.first, now) >= pace.patience));
        true
    }

    /// When the control was last heard, told right after a refusal that counted.
    pub(super) fn note_control(&mut self, heard: Option<Moment>) {
        let since = heard.is_some() && heard >= self.last_but_one() && self.count > 1;
        self.controlled = if since { self.controlled.saturating_add(1) } else { 0 };
    }

    /// How many refusals in a row, up to the last one, had the control heard since the one before.
    pub(super) fn controlled(&self) -> u32 {
        self.controlled
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// How many of them came at least the patience after the first.
    pub(super) fn lasting(&self) -> u32 {
        self.lasting
    }

    /// Whether the next one would be among them.
    pub(super) fn lasts(&self, now: Moment, pace: Pace) -> bool {
        self.count > 0 && since(self.first, now) >= pace.patience
    }

    /// The first refusal that counted; `None` in an empty run.
    pub(super) fn first(&self) -> Option<Moment> {
        (self.count > 0).then_some(self.first)
    }

    /// The last refusal that counted; `None` in an empty run.
    pub(super) fn last(&self) -> Option<Moment> {
        (self.count > 0).then_some(self.last)
    }

    /// From the first refusal that counted to the last one.
    pub(super) fn duration(&self) -> Duration {
        since(self.first, self.last)
    }

    /// The last refusal but one that counted; `None` in a run of less than two.
    pub(super) fn last_but_one(&self) -> Option<Moment> {
        (self.count > 1).then_some(self.previous)
    }
}

/// How a login stands at its registry, or a token at its issuer.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and nearly all combinations occur")]
pub(super) struct Standing {
    /// Whether it was ever accepted.
    pub(super) known_good: bool,
    /// Whether it was accepted since the last incident of the host, and no refusal of it was proven since: its refusal
    /// would be news.
    pub(super) fresh: bool,
    /// Whether it was refused when an incident of the host ended: it needs a control to be proven dead.
    pub(super) suspect: bool,
    /// Whether its refusal is proven.
    pub(super) dead: bool,
    /// Whether it was refused often enough, but without the proof: its last acceptance no longer stands for now.
    pub(super) doubted: bool,
    /// The last answer that was a yes (`true`) or a no.
    pub(super) latest: Option<(Moment, bool)>,
    /// Refusals in a row outside of incidents of the host.
    pub(super) run: Run,
    /// Refusals in a row, those during incidents included: only a second, independent host makes them count. They are counted
    /// of logins alone.
    pub(super) all: Run,
}

impl Standing {
    /// Take in an acceptance: it is proof by itself.
    pub(super) fn accept(&mut self, now: Moment) {
        *self = Self { known_good: true, fresh: true, latest: Some((now, true)), ..Self::default() };
    }

    /// Whether the last answer was a no.
    pub(super) fn refused(&self) -> bool {
        matches!(self.latest, Some((_, false)))
    }

    /// Whether the last answer was a yes.
    pub(super) fn accepted(&self) -> bool {
        matches!(self.latest, Some((_, true)))
    }

    /// Whether it was refused within the window, and that is news.
    pub(super) fn newly_refused(&self, now: Moment, window: Duration) -> bool {
        self.fresh && matches!(self.latest, Some((at, false)) if since(at, now) <= window)
    }

    /// An incident began at the host: what led to it counts for nothing.
    pub(super) fn incident_began(&mut self) {
        if !self.dead {
            self.run.clear();
        }
    }

    /// The incident of the host ended.
    pub(super) fn incident_ended(&mut self) {
        self.incident_began();
        if self.refused() && !self.dead {
            self.fresh = false;
            self.suspect = true;
        }
    }

    /// Its refusal is proven.
    pub(super) fn bury(&mut self) {
        self.dead = true;
        self.fresh = false;
        self.suspect = false;
        self.doubted = false;
    }
}

/// Whether something that is done once each `spacing` is due; it is taken as done then.
pub(super) fn is_due(last: &mut Option<Moment>, now: Moment, spacing: Duration) -> bool {
    let due = last.is_none_or(|last| since(last, now) >= spacing);
    if due {
        *last = Some(now);
    }
    due
}

/// Least number of parties whose refusal at about the same time is an incident of the host.
pub(super) const MANY: usize = 3;

/// Whether nobody is left who could be the control of a run of refusals: there is no other that worked, or just one, and
/// that was refused too. A control that was not heard since leaves open what it would tell, and where so many are refused
/// that it looks like an incident, however slow, repetition alone proves nothing.
pub(super) fn nobody_left<'a>(mut others: impl Iterator<Item = &'a Standing>, run: &Run) -> bool {
    let unheard = |other: &Standing| match other.latest {
        Some((at, true)) => Some(at) < run.last_but_one(),
        Some((at, false)) => Some(at) < run.first(),
        None => false,
    };
    match others.find(|other| other.fresh) {
        None => true,
        Some(first) => !unheard(first) && !others.any(|other| other.fresh),
    }
}

/// Whether at least three, and at least half of those that worked before, were refused within the window.
pub(super) fn is_incident<'a>(standings: impl Iterator<Item = &'a Standing>, now: Moment, window: Duration) -> bool {
    let (mut working, mut refused) = (0, 0);
    for standing in standings.filter(|standing| standing.fresh) {
        working += 1;
        refused += usize::from(standing.newly_refused(now, window));
    }
    refused >= MANY && refused * 2 >= working
}
