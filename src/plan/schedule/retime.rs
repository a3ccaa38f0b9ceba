//! Other intervals while the schedule runs: nothing that is known of a question is forgotten, and what was spent of a budget
//! stays spent.

use std::time::Duration;

use super::entry::{Entry, State, Timing};
use super::lane::{Budget, Slot};
use super::refusals::Allowance;
use super::{AskNo, Cadence, Moment, Schedule};
use crate::config::{IssuerConfig, ProbeConfig};
use crate::plan::Ask;

impl Schedule {
    /// Go by other intervals and bounds from now on. A question that would have come sooner by them is brought forward, and
    /// what has become overdue that way is spread over an interval; one that would come later is asked once more as it was
    /// planned.
    pub fn retime(&mut self, probe: &ProbeConfig, issuer: &IssuerConfig, now: Moment) {
        let now = self.inside(now);
        let timing = Timing::new(probe, issuer);
        let budget = Budget { per_round: probe.access_checks_per_login.max(1), round: timing.interval };
        self.queues.retune(probe.concurrency, budget, Allowance::new(timing.spacing));
        if timing == self.timing {
            return;
        }
        self.timing = timing;
        for no in self.entries.keys().copied().collect::<Vec<_>>() {
            self.retime_ask(no, now);
        }
    }

    fn retime_ask(&mut self, no: AskNo, now: Moment) {
        let timing = self.timing;
        let Some(entry) = self.entries.get_mut(&no) else { return };
        entry.stretch = entry.stretch.min(timing.longest);
        let Some(entry) = self.entries.get(&no) else { return };
        let (Some(wait), Some((last, _))) = (self.longest_wait(entry), entry.last_done) else { return };
        let spread = wait.min(timing.interval).mul_f64(entry.fraction);
        let sooner = if last.after(wait) > now { last.after(wait) } else { now.after(spread) };
        match entry.state {
            State::Queued(slot) if sooner < slot.due => {
                self.queue(no, Slot { key: slot.key.min(sooner), due: sooner, ..slot });
            }
            State::Parked(from) if sooner < from => self.park(no, sooner),
            _ => {}
        }
    }

    /// The longest that a question rests after what its last answer led to; `None` where somebody else named the wait.
    fn longest_wait(&self, entry: &Entry) -> Option<Duration> {
        let timing = self.timing;
        let interval = match entry.ask {
            Ask::Issuer(_) => timing.issuer_interval.max(entry.stretch),
            _ => timing.interval,
        };
        match entry.last_done?.1 {
            Cadence::Routine if self.all_dead(&entry.logins) => Some(interval.max(entry.dead_wait(timing))),
            Cadence::Routine => Some(interval),
            Cadence::Confirm => Some(timing.spacing.mul_f64(1.0 + entry.fraction / 10.0)),
            Cadence::Dead => Some(entry.dead_wait(timing)),
            Cadence::BackOff => Some(interval.max(timing.spacing)),
            Cadence::NotBefore(_) | Cadence::OwnerNotBefore(_) => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
