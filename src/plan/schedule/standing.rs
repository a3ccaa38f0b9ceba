//! What the exchanges of a login mean for its other questions.

use std::collections::BTreeSet;

use super::Schedule;
use super::answers::Word;
use super::entry::State;
use super::lane::Slot;
use super::queue::{AskNo, LaneNo};
use crate::plan::{Ask, Cadence, LoginId, Moment};

#[derive(Debug)]
pub(super) struct LoginLane {
    pub(super) lane: LaneNo,
    pub(super) standing: Standing,
    /// The question whether the login is accepted.
    pub(super) login: Option<AskNo>,
    pub(super) accesses: BTreeSet<AskNo>,
    /// Questions to issuers about its token.
    pub(super) issuers: Vec<AskNo>,
}

/// What the login's own exchanges let its other questions do. While it is refused every further exchange would be one
/// more refused login, and many of these in a row lock the owner out of GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not asked yet: access checks wait for the first answer.
    Unasked,
    /// Access checks go.
    Open,
    /// Its exchange proves nothing: one access check goes, which may fare better; the others wait for its answer, so that
    /// a registry in trouble is not asked everything.
    Trying,
    /// Refused, not yet proven: access checks wait.
    Doubted,
    /// Proven dead: access checks wait, and the issuer is asked as rarely as the registry.
    Dead,
}

impl Schedule {
    /// Draw the consequences of a login's exchange for its other questions.
    pub(super) fn judge(&mut self, login: LoginId, cadence: Cadence, word: Word, now: Moment) {
        let Some(before) = self.logins.get(&login).map(|shared| shared.standing) else { return };
        let refused = word == Word::Refused;
        let cadence = match (word, before) {
            // Whether a password works that was refused elsewhere is not told where nobody looks at it.
            (Word::Unchecked, Standing::Doubted | Standing::Dead) => Cadence::BackOff,
            _ => cadence,
        };
        let standing = match (cadence, before) {
            (Cadence::Routine, _) => Standing::Open,
            (Cadence::Confirm, _) => Standing::Doubted,
            (Cadence::Dead, _) => Standing::Dead,
            (Cadence::BackOff | Cadence::NotBefore(_), Standing::Dead) | (Cadence::OwnerNotBefore(_), _) => before,
            // An incident is no time for confirmations; whatever is asked is refused as well.
            (Cadence::BackOff | Cadence::NotBefore(_), _) if refused => Standing::Doubted,
            // Also of one that was refused: where the login's own exchange never proves anything, nothing else would.
            (Cadence::BackOff | Cadence::NotBefore(_), _) => Standing::Trying,
        };
        self.stand(login, standing, now);
        if standing == Standing::Dead && !refused && matches!(cadence, Cadence::BackOff | Cadence::NotBefore(_)) {
            self.try_dead(login, now);
        }
    }

    /// Let one access check of a dead login go, whose own exchange proves nothing: no sooner than `rejectedInterval` after the
    /// last refusal, unless its Secret changed since.
    fn try_dead(&mut self, login: LoginId, now: Moment) {
        let Some(shared) = self.logins.get(&login) else { return };
        let refused_at = |no: &AskNo| match self.entries.get(no)?.last_done {
            Some((at, Cadence::Dead)) => Some(at),
            _ => None,
        };
        let refused_at = shared.login.iter().chain(&shared.accesses).filter_map(refused_at).max().unwrap_or_default();
        let Some(no) = self.soonest(&shared.accesses) else { return };
        let Some(entry) = self.entries.get(&no) else { return };
        if entry.last_urgent > Some(refused_at) || refused_at.after(entry.dead_wait(self.timing)) <= now {
            self.queue(no, Slot::at(now, false));
        }
    }

    /// Draw the consequences of an access check for the login that it was made with. One that is `refused` says as much as the
    /// login's own exchange would; one that got another answer, while that proves nothing, that the registry is well enough.
    pub(super) fn judge_access(&mut self, login: LoginId, cadence: Cadence, refused: bool, now: Moment) {
        let Some(before) = self.logins.get(&login).map(|shared| shared.standing) else { return };
        match before {
            Standing::Open | Standing::Trying if refused => self.stand(login, Standing::Doubted, now),
            Standing::Trying if matches!(cadence, Cadence::Routine | Cadence::Confirm) => {
                self.stand(login, Standing::Open, now);
            }
            _ => {}
        }
    }

    /// How the login of a question stands.
    pub(super) fn standing_of(&self, ask: &Ask) -> Option<Standing> {
        self.logins.get(&ask.login()?).map(|shared| shared.standing)
    }

    /// Whether a question that is not in flight may be queued, as its login stands.
    pub(super) fn may_go(&self, no: AskNo) -> bool {
        let Some(Ask::Access { login: Some(login), .. }) = self.entries.get(&no).map(|entry| &entry.ask) else {
            return true;
        };
        let Some(shared) = self.logins.get(login) else { return true };
        let is_queued = |no| matches!(self.entries.get(no).map(|entry| entry.state), Some(State::Queued(_)));
        match shared.standing {
            Standing::Open => true,
            Standing::Trying => !shared.accesses.iter().any(|other| *other != no && is_queued(other)),
            Standing::Unasked | Standing::Doubted | Standing::Dead => false,
        }
    }

    /// Set the standing of a login, and let its other questions go or wait accordingly.
    fn stand(&mut self, login: LoginId, standing: Standing, now: Moment) {
        let Some(shared) = self.logins.get_mut(&login) else { return };
        let before = std::mem::replace(&mut shared.standing, standing);
        if standing == Standing::Dead {
            // Whatever is asked of it from here on is one more refused login.
            self.queues.suspect(shared.lane, true);
        }
        let (accesses, issuers) = (shared.accesses.clone(), shared.issuers.clone());
        let trial = if standing == Standing::Trying { self.soonest(&accesses) } else { None };
        let mut accesses: Vec<AskNo> = accesses.into_iter().collect();
        if standing == Standing::Open && before != Standing::Open {
            // Who waits for longest goes first: one refusal can make all of them wait again.
            accesses.sort_by_cached_key(|no| self.due(*no));
        }
        for no in accesses {
            if trial == Some(no) && before == Standing::Doubted {
                // The login was to be confirmed, and this is asked in its place.
                self.queue(no, Slot::at(now, false));
            } else {
                self.gate(no, standing == Standing::Open || trial == Some(no), now);
            }
        }
        if standing != before {
            for no in issuers {
                self.rest_issuer(no, standing, now);
            }
        }
    }

    /// Of some access checks the one whose turn it is.
    fn soonest(&self, accesses: &BTreeSet<AskNo>) -> Option<AskNo> {
        accesses.iter().filter_map(|no| Some((self.due(*no)?, *no))).min().map(|(_, no)| no)
    }

    /// When a question is due that is not in flight.
    fn due(&self, no: AskNo) -> Option<Moment> {
        match self.entries.get(&no)?.state {
            State::Parked(due) | State::Queued(Slot { due, .. }) => Some(due),
            State::InFlight { .. } => None,
        }
    }

    /// Let an access check go, or make it wait.
    fn gate(&mut self, no: AskNo, open: bool, now: Moment) {
        let Some(entry) = self.entries.get(&no) else { return };
        let confirms = matches!(entry.last_done, Some((_, Cadence::Confirm)));
        match entry.state {
            State::Parked(from) if open => self.queue(no, Slot::at(from.max(now), !confirms)),
            State::Queued(slot) if !open => self.park(no, slot.due),
            _ => {}
        }
    }

    /// Ask an issuer about a token as rarely as its logins are asked once all of them are dead, and as usual before. What
    /// the issuer has not answered yet is asked all the same; what it called dead itself, when a login with it works.
    fn rest_issuer(&mut self, no: AskNo, standing: Standing, now: Moment) {
        let Some(entry) = self.entries.get(&no) else { return };
        let (State::Queued(slot), Some((last, cadence))) = (entry.state, entry.last_done) else { return };
        let due = match (cadence, standing) {
            (Cadence::Routine | Cadence::Dead, _) if self.all_dead(&entry.logins) => {
                slot.due.max(last.after(entry.dead_wait(self.timing)))
            }
            (Cadence::Routine, _) | (Cadence::Dead, Standing::Open) => {
                slot.due.min(last.after(self.timing.issuer_interval.max(entry.stretch)).max(now))
            }
            _ => return,
        };
        self.queue(no, Slot::at(due, false));
    }

    pub(super) fn all_dead(&self, logins: &[LoginId]) -> bool {
        let dead = |login| self.logins.get(login).is_some_and(|shared: &LoginLane| shared.standing == Standing::Dead);
        !logins.is_empty() && logins.iter().all(dead)
    }
}

#[cfg(test)]
mod tests;
