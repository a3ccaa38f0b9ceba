//! What the end of an exchange, or the word of another one, means for a question: when it is asked again, and whether its lane
//! is trusted.

use super::entry::{Identity, State};
use super::lane::Slot;
use super::queue::{AskNo, LaneNo};
use super::standing::Standing;
use super::{Ask, Cadence, Moment, Schedule};

/// What an answer says of the login or token that was asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Refused,
    /// Nobody looked at it.
    Unchecked,
    /// Anything else: where it follows the usual pace, it was taken.
    Taken,
}

impl Schedule {
    /// An exchange has ended in which neither login nor token was refused; `cadence` says when to ask again. A question that is
    /// not in flight is passed over.
    pub fn answered(&mut self, ask: &Ask, cadence: Cadence, now: Moment) {
        self.end(ask, cadence, Word::Taken, now);
    }

    /// As [`Schedule::answered`], when the login or token was refused: that counts against what its namespace may cause.
    pub fn refused(&mut self, ask: &Ask, cadence: Cadence, now: Moment) {
        self.end(ask, cadence, Word::Refused, now);
    }

    /// As [`Schedule::answered`], when nobody looked at the password: its exchanges may be refused as before.
    pub fn unchecked(&mut self, ask: &Ask, cadence: Cadence, now: Moment) {
        self.end(ask, cadence, Word::Unchecked, now);
    }

    fn end(&mut self, ask: &Ask, cadence: Cadence, word: Word, now: Moment) {
        let now = self.inside(now);
        let Some(no) = self.by_identity.get(&Identity::of(ask)).copied() else { return };
        let Some(entry) = self.entries.get(&no) else { return };
        let State::InFlight { again, gone } = entry.state else { return };
        let (lane, host) = (entry.lane, entry.host.clone());
        let identity = entry.identity();
        let refused = word == Word::Refused;
        self.queues.finish(lane, refused);
        // An access check that began before its login was proven dead does not bring it back to life.
        let dead = !matches!(ask, Ask::Login(_)) && self.standing_of(ask) == Some(Standing::Dead);
        if word == Word::Taken && !dead && !gone && matches!(cadence, Cadence::Routine | Cadence::Confirm) {
            self.queues.suspect(lane, false);
        }
        match cadence {
            Cadence::NotBefore(named) => self.queues.hold(&host, now.after(named.min(self.timing.longest))),
            Cadence::OwnerNotBefore(named) => self.hold_lane(identity, lane, now.after(named.min(self.timing.longest))),
            // An issuer that disowns a token for certain: each further question is one more bad login of its owner.
            Cadence::Dead => self.queues.suspect(lane, true),
            Cadence::Routine | Cadence::Confirm | Cadence::BackOff => {}
        }
        if gone {
            self.forget(no);
            return;
        }
        if let Ask::Access { login: Some(login), .. } = ask {
            self.judge_access(*login, cadence, refused, now);
        }
        self.conclude(no, cadence, again, now);
        if let Ask::Login(login) = ask {
            self.judge(*login, cadence, word, now);
        }
    }

    fn hold_lane(&mut self, identity: Identity, lane: LaneNo, until: Moment) {
        let hold = self.holds.entry(identity).or_default();
        *hold = (*hold).max(until);
        self.queues.hold_lane(lane, until);
    }

    /// Another exchange changed what is known: ask again as if this question had been asked now and been given this
    /// cadence, a login as if it had been refused where that is no acceptance. One that is in flight or unknown is passed over, but
    /// for the hold of its owner, and for the end of a login: who never hears the answer to what is in flight must not ask
    /// again at once.
    pub fn revise(&mut self, ask: &Ask, cadence: Cadence, now: Moment) {
        let now = self.inside(now);
        let Some(no) = self.by_identity.get(&Identity::of(ask)).copied() else { return };
        if let (Cadence::OwnerNotBefore(named), Some(entry)) = (cadence, self.entries.get(&no)) {
            self.hold_lane(entry.identity(), entry.lane, now.after(named.min(self.timing.longest)));
        }
        let Some(state) = self.entries.get(&no).map(|entry| entry.state) else { return };
        let queued = matches!(state, State::Queued(_));
        if queued {
            self.conclude(no, cadence, None, now);
        }
        if let Ask::Login(login) = ask
            && (queued || cadence == Cadence::Dead)
        {
            if cadence == Cadence::Routine
                && let Some(shared) = self.logins.get(login)
            {
                self.queues.suspect(shared.lane, false);
            }
            self.judge(*login, cadence, Word::Refused, now);
        }
    }

    /// An exchange has ended, and its cadence says whether it was refused: an access that is to be confirmed was denied, which is
    /// no refusal of the login.
    #[cfg(test)]
    pub(super) fn done(&mut self, ask: &Ask, cadence: Cadence, now: Moment) {
        let refused = match cadence {
            Cadence::Confirm => !matches!(ask, Ask::Access { .. }),
            cadence => cadence == Cadence::Dead,
        };
        self.end(ask, cadence, if refused { Word::Refused } else { Word::Taken }, now);
    }

    /// Queue a question that was answered, or let it wait for its login; `again` is the latest moment for it.
    fn conclude(&mut self, no: AskNo, cadence: Cadence, again: Option<Moment>, now: Moment) {
        let Some(entry) = self.entries.get_mut(&no) else { return };
        entry.last_done = Some((now, cadence));
        let mut wait = entry.wait(cadence, self.timing);
        // Confirmations are part of the round that the first denial belongs to.
        let budgeted = matches!(entry.ask, Ask::Access { login: Some(_), .. }) && cadence == Cadence::Routine;
        if let (Cadence::Routine, Some(entry)) = (cadence, self.entries.get(&no))
            && self.all_dead(&entry.logins)
        {
            wait = wait.max(entry.dead_wait(self.timing));
        }
        let due = now.after(wait);
        let due = again.map_or(due, |latest| due.min(latest.max(now)));
        if self.may_go(no) {
            self.queue(no, Slot::at(due, budgeted));
        } else {
            self.park(no, due);
        }
    }
}
