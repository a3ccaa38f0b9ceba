//! What of verdicts and schedule outlives the process, as records that can be written down.
//!
//! A record holds no secret: logins and tokens stand in it by their keyed hashes, and there is no user name in it. Moments
//! of monotonic time are told as wall times of a [`Dial`], which is set once per process, so that an unchanged record is
//! written the same way every time, and so that nothing but the time between two processes hangs on the wall clock.

mod dial;
mod forms;
mod ledger;
mod record;
mod schedule;

pub use self::dial::{Dial, Stamp};
pub use self::ledger::{recall, remember};
pub use self::record::Record;
pub use self::schedule::{recall_schedule, remember_schedule};
