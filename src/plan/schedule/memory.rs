//! What of the schedule outlives the process: when each question is due, how often it came to nothing, and which hosts are
//! left alone until when.

use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, Identity, State};
use super::lane::Slot;
use super::queue::AskNo;
use super::standing::Standing;
use super::{Ask, Cadence, Moment, Schedule};

/// A question that was due before the rest of the schedule is known again waits up to this part of its interval, by a hash,
/// so that a process which comes back late does not ask everything at once.
const LATE_SPREAD: f64 = 0.1;

/// One question as it is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct RememberedAsk {
    /// The question.
    pub ask: Ask,
    /// When it is due. One that is in flight counts as asked to no avail, so that it is not asked again at once by whoever
    /// remembers it.
    pub due: Moment,
    /// Whether it waits for its login to be accepted.
    pub parked: bool,
    /// When it was last answered, and what that led to.
    pub last: Option<(Moment, Cadence)>,
    /// Usual repetitions so far.
    pub repetitions: u32,
    /// Exchanges in a row that proved nothing.
    pub unproven: u32,
    /// Least time between its usual repetitions, as [`Schedule::stretch`] was told.
    pub stretch: Duration,
    /// Until when everything about its login or token is left alone, for its owner's sake.
    pub held: Option<Moment>,
    /// Of the question whether a login is accepted: what its other questions may do.
    pub standing: Option<Standing>,
}

/// What is remembered of a schedule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// Its questions.
    pub asks: Vec<RememberedAsk>,
    /// Hosts that are left alone until a moment.
    pub holds: Vec<(Arc<str>, Moment)>,
}

impl Schedule {
    /// What is to be kept. A question that was never asked is not among it.
    pub fn remembered(&self, now: Moment) -> Remembered {
        let now = self.inside(now);
        let known = self.entries.values().filter_map(|entry| self.remember(entry));
        let asks = known.chain(self.recalled.values().cloned()).map(|ask| self.told_outside(ask));
        let holds = self.queues.holds().filter(|(_, until)| *until > now);
        Remembered {
            asks: asks.collect(),
            holds: holds.map(|(host, until)| (Arc::clone(host), until.before(self.ahead))).collect(),
        }
    }

    /// What is to be kept of one question.
    pub fn remembered_ask(&self, ask: &Ask) -> Option<RememberedAsk> {
        let entry = self.entries.get(self.by_identity.get(&Identity::of(ask))?)?;
        self.remember(entry).map(|ask| self.told_outside(ask))
    }

    /// Know again what was remembered, from before anything was wanted. Questions take it up as they are wanted.
    pub fn recall(&mut self, remembered: Remembered) {
        for (host, until) in remembered.holds {
            self.hold(&host, until);
        }
        for mut recalled in remembered.asks {
            recalled.due = self.inside(recalled.due);
            recalled.last = recalled.last.map(|(at, cadence)| (self.inside(at), cadence));
            recalled.held = recalled.held.map(|until| self.inside(until));
            let identity = Identity::of(&recalled.ask);
            if let Some(until) = recalled.held {
                let whose = recalled.ask.login().map_or_else(|| identity.clone(), Identity::Login);
                self.holds.insert(whose, until);
            }
            self.recalled.insert(identity, recalled);
        }
    }

    /// Forget what was recalled and not wanted since.
    pub fn forget_recalled(&mut self) {
        self.recalled.clear();
    }

    fn told_outside(&self, mut ask: RememberedAsk) -> RememberedAsk {
        ask.due = ask.due.before(self.ahead);
        ask.held = ask.held.map(|until| until.before(self.ahead));
        ask.last = ask.last.map(|(at, cadence)| (at.before(self.ahead), cadence));
        ask
    }

    fn remember(&self, entry: &Entry) -> Option<RememberedAsk> {
        let standing = self.standing_of(&entry.ask);
        let (due, parked) = match entry.state {
            State::InFlight { .. } => (entry.asked?.after(self.wait_unanswered(entry, standing)), false),
            State::Queued(slot) => (slot.due, false),
            State::Parked(due) => (due, true),
        };
        (entry.asked.is_some() || entry.last_done.is_some() || parked).then(|| RememberedAsk {
            ask: entry.ask.clone(),
            due,
            parked,
            last: entry.last_done,
            repetitions: entry.repetitions,
            unproven: entry.unproven,
            stretch: entry.stretch,
            held: self.holds.get(&entry.identity()).copied(),
            standing: standing.filter(|_| matches!(entry.ask, Ask::Login(_))),
        })
    }

    /// How long a question rests that was asked, where nobody will ever hear the answer.
    fn wait_unanswered(&self, entry: &Entry, standing: Option<Standing>) -> Duration {
        if standing == Some(Standing::Dead) || self.all_dead(&entry.logins) {
            entry.dead_wait(self.timing)
        } else {
            self.timing.spacing.mul_f64(1.0 + entry.fraction / 10.0)
        }
    }

    /// Let a question that is wanted again stand where it stood.
    pub(super) fn resume(&mut self, no: AskNo, recalled: &RememberedAsk, open: bool, now: Moment) {
        let Some(entry) = self.entries.get_mut(&no) else { return };
        entry.last_done = recalled.last;
        entry.asked = Some(recalled.due);
        entry.repetitions = recalled.repetitions;
        entry.unproven = recalled.unproven;
        entry.stretch = recalled.stretch.min(self.timing.longest);
        let interval = match entry.ask {
            Ask::Issuer(_) => self.timing.issuer_interval.max(entry.stretch),
            _ => self.timing.interval,
        };
        // The intervals of the config may be shorter than they were.
        let most = match recalled.last {
            Some((_, Cadence::Routine)) if entry.logins.is_empty() => interval,
            Some((_, Cadence::Routine | Cadence::Dead)) => interval.max(entry.dead_wait(self.timing)),
            _ => self.timing.longest,
        };
        let mut due = recalled.due.min(now.after(most));
        let urgent = matches!(recalled.last, Some((_, Cadence::Confirm)));
        if due <= now && !urgent {
            due = now.after(interval.mul_f64(LATE_SPREAD * entry.fraction));
        }
        let budgeted = matches!(entry.ask, Ask::Access { login: Some(_), .. })
            && matches!(recalled.last, None | Some((_, Cadence::Routine)));
        // Of a login that proves nothing the check goes on that was going.
        if !self.may_go(no) || recalled.parked && !open {
            self.park(no, due);
        } else {
            self.queue(no, Slot::at(due, budgeted));
        }
    }
}
