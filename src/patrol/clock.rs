//! The two clocks of a patrol: wall time for expiry and reports, monotonic time for schedules.

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::plan::Moment;

/// Reads the clocks. Monotonic time is tokio's, so that tests can pause it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock whose [`Moment`] counts from now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The moment now.
    pub fn moment(&self) -> Moment {
        Moment(self.started.elapsed())
    }

    /// Wall time now.
    pub fn wall(&self) -> DateTime<Utc> {
        Utc::now()
    }

    /// The instant of a moment, for sleeping until it.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.started + moment.0
    }
}
