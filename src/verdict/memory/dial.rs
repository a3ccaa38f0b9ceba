//! Moments of one process told to the next.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::plan::Moment;

/// A time as it is written: microseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(pub i64);

impl From<DateTime<Utc>> for Stamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_micros())
    }
}

impl Stamp {
    /// The wall time. What no calendar holds, which only a damaged file could say, is the epoch.
    pub fn wall(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }
}

/// Tells moments as times, by one pair of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial {
    told: Stamp,
    moment: Moment,
}

impl Dial {
    /// The dial of a process that begins now.
    pub fn new(now: DateTime<Utc>, moment: Moment) -> Self {
        Self { told: now.into(), moment }
    }

    /// The dial by which to read what an earlier process wrote: `saved` by the wall clock, when its own dial told `told`.
    ///
    /// Between the two processes passed what the wall clock says; nothing, when it was turned back meanwhile, so that
    /// nobody is asked earlier for that.
    pub fn of_earlier(saved: Stamp, told: Stamp, now: DateTime<Utc>, moment: Moment) -> Self {
        let elapsed = Stamp::from(now).0.saturating_sub(saved.0).max(0);
        Self { told, moment: moment.before(Duration::from_micros(elapsed.unsigned_abs())) }
    }

    /// The time of a moment, in whole microseconds.
    pub fn tell(&self, moment: Moment) -> Stamp {
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Stamp(if moment >= self.moment {
            self.told.0.saturating_add(micros(moment.since(self.moment)))
        } else {
            self.told.0.saturating_sub(micros(self.moment.since(moment)))
        })
    }

    /// The moment of a time; the first of all, where it lies before that.
    pub fn moment(&self, stamp: Stamp) -> Moment {
        let span = Duration::from_micros(stamp.0.abs_diff(self.told.0));
        if stamp >= self.told { self.moment.after(span) } else { self.moment.before(span) }
    }
}

/// A proof cannot lie ahead: after the wall clock was turned back it counts as given now.
pub(super) fn not_ahead(stamp: Stamp, now: DateTime<Utc>) -> DateTime<Utc> {
    stamp.wall().min(now)
}
