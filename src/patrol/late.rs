//! How late the schedule is, told at any time: a loop that stands still publishes nothing any more, and that is just when
//! its lateness matters.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Clock;
use crate::plan::Moment;

/// Since when something is overdue, or from when on something will be.
#[derive(Debug)]
pub(super) struct Late {
    clock: Clock,
    since: Mutex<Option<Moment>>,
}

impl Late {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, since: Mutex::default() }
    }

    /// The loop looked at the schedule.
    pub(super) fn since(&self, since: Option<Moment>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// How late the most overdue exchange is now.
    pub(super) fn lag(&self) -> Duration {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| self.clock.moment().since(since))
    }
}
