//! The one place that reads clocks for decisions: wall time for expiry and reports, monotonic time for schedules and proof.
//!
//! It decides nothing, and neither hand follows the other: a wall clock that jumps moves no schedule. Time-outs of a single
//! request, back-offs of watches and limits of connections are no decisions about a credential and stay with the runtime.

mod hands;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

pub use self::hands::{Busy, Hands};
use crate::plan::Moment;

/// Reads the two clocks, and sleeps on the monotonic one. Clones read the same clocks.
#[derive(Clone, Debug)]
pub struct Clock(Form);

#[derive(Clone, Debug)]
enum Form {
    /// The system's. Monotonic time is tokio's, so that tests can pause it.
    Real { started: Instant },
    /// Somebody moves the hands.
    Moved(Hands),
}

impl Clock {
    /// The system's clocks; it is [`Moment::START`] now.
    pub fn start() -> Self {
        Self(Form::Real { started: Instant::now() })
    }

    /// Clocks that stand still until their hands are moved: for days that pass in seconds, and for wall clocks that jump.
    /// It is [`Moment::START`] now.
    pub fn moved_by_hand(wall: DateTime<Utc>) -> (Self, Hands) {
        let hands = Hands::new(wall);
        (Self(Form::Moved(hands.clone())), hands)
    }

    /// The moment now.
    pub fn moment(&self) -> Moment {
        match &self.0 {
            Form::Real { started } => Moment::START.after(started.elapsed()),
            Form::Moved(hands) => hands.moment(),
        }
    }

    /// Wall time now.
    pub fn wall(&self) -> DateTime<Utc> {
        match &self.0 {
            Form::Real { .. } => Utc::now(),
            Form::Moved(hands) => hands.wall(),
        }
    }

    /// Sleep until a moment.
    pub async fn sleep_until(&self, moment: Moment) {
        match &self.0 {
            Form::Real { started } => tokio::time::sleep_until(*started + moment.since(Moment::START)).await,
            Form::Moved(hands) => hands.alarm(moment).await,
        }
    }

    /// Sleep for so long.
    pub async fn sleep(&self, wait: Duration) {
        self.sleep_until(self.moment().after(wait)).await;
    }

    /// Something is under way, until the value is dropped, that takes time in the outside world: whoever moves the hands
    /// waits for it. Means nothing to the system's clocks.
    pub fn busy(&self) -> Busy {
        match &self.0 {
            Form::Real { .. } => Busy::default(),
            Form::Moved(hands) => hands.busy(),
        }
    }
}
