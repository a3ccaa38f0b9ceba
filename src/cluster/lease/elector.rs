//! Who holds a Lease, as far as one candidate may believe it.
//!
//! The rules are those of client-go (`tools/leaderelection/leaderelection.go`): what others wrote into a Lease as times is never
//! compared with a clock of ours. A candidate counts from when it saw the Lease change last, by its own monotonic clock, and a
//! holder counts from when it *sent* the renewal that was taken: whoever saw that renewal saw it later, so the holder has
//! stopped before anybody may take over, whatever any wall clock says.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Who holds it; empty for nobody.
    pub(super) holder: String,
    /// How long it keeps others away after a renewal.
    pub(super) duration: Duration,
    /// When it was taken, by the holder's wall clock: for people, and to tell two terms apart.
    pub(super) acquired: Option<Timestamp>,
    /// When it was renewed, by the holder's wall clock: for people, and to see a renewal.
    pub(super) renewed: Option<Timestamp>,
    /// How often it went from one holder to another.
    pub(super) transitions: i32,
    /// The version of the object.
    pub(super) version: Option<String>,
}

/// An unbroken time in which one candidate held the Lease: nobody else had it in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    pub(super) transitions: i32,
    pub(super) acquired: Option<Timestamp>,
}

impl Record {
    fn term(&self) -> Term {
        Term { transitions: self.transitions, acquired: self.acquired }
    }
}

/// What a candidate does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Make the Lease.
    Create(Record),
    /// Write this over the version that was seen.
    Update(Record),
    /// Another holds it, for all we know until this moment.
    Wait(Instant),
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing<'a> {
    /// We hold it until this moment, unless it is renewed.
    Us(&'a Term, Instant),
    /// Another was seen to hold it last.
    Other(&'a str),
    /// Nobody is known to hold it; we may have held it last.
    Nobody,
}

/// One candidate.
#[derive(Debug)]
pub(super) struct Elector {
    me: String,
    duration: Duration,
    /// What was seen last, and when it was seen to change.
    observed: Option<(Record, Instant)>,
    /// Our term, and when its last renewal that was taken was sent.
    confirmed: Option<(Term, Instant)>,
}

impl Elector {
    /// A candidate of this name, which is no other candidate's.
    pub(super) fn new(me: String, duration: Duration) -> Self {
        Self { me, duration, observed: None, confirmed: None }
    }

    /// How long a holder goes on without a renewal: two thirds, as client-go does by default. The last third is for the
    /// exchanges under way, and for monotonic clocks that do not run alike.
    fn patience(&self) -> Duration {
        self.duration * 2 / 3
    }

    /// The Lease was read, or found not to be there.
    pub(super) fn saw(&mut self, found: Option<Record>, now: Instant) {
        if found.as_ref().is_none_or(|record| record.holder != self.me) {
            self.confirmed = None;
        }
        match (found, &self.observed) {
            (Some(record), Some((known, _))) if record == *known => {}
            (found, _) => self.observed = found.map(|record| (record, now)),
        }
    }

    /// Our write was taken: it had been sent at this moment, and the Lease is so now.
    pub(super) fn wrote(&mut self, record: Record, sent: Instant) {
        self.confirmed = Some((record.term(), sent));
        self.observed = Some((record, sent));
    }

    /// What to do, with the wall clock for what people read.
    pub(super) fn step(&self, now: Instant, wall: Timestamp) -> Step {
        let fresh = |transitions, version| Record {
            holder: self.me.clone(),
            duration: self.duration,
            acquired: Some(wall),
            renewed: Some(wall),
            transitions,
            version,
        };
        let Some((record, seen)) = &self.observed else { return Step::Create(fresh(0, None)) };
        if record.holder == self.me {
            return Step::Update(Record { renewed: Some(wall), duration: self.duration, ..record.clone() });
        }
        // Replicas may differ in their config while one replaces the other: the longer duration counts.
        let free = *seen + record.duration.max(self.duration);
        if record.holder.is_empty() || now >= free {
            return Step::Update(fresh(record.transitions.saturating_add(1), record.version.clone()));
        }
        Step::Wait(free)
    }

    /// How it stands now.
    pub(super) fn standing(&self, now: Instant) -> Standing<'_> {
        if let Some((term, sent)) = &self.confirmed {
            let until = *sent + self.patience();
            if now < until {
                return Standing::Us(term, until);
            }
        }
        match &self.observed {
            Some((record, _)) if !record.holder.is_empty() && record.holder != self.me => {
                Standing::Other(&record.holder)
            }
            _ => Standing::Nobody,
        }
    }

    /// What to write so that others need not wait; `None` when it is not ours.
    pub(super) fn release(&self, wall: Timestamp) -> Option<Record> {
        let (record, _) = self.observed.as_ref().filter(|(record, _)| record.holder == self.me)?;
        self.confirmed.as_ref()?;
        Some(Record {
            holder: String::new(),
            duration: Duration::from_secs(1),
            renewed: Some(wall),
            acquired: Some(wall),
            ..record.clone()
        })
    }
}
