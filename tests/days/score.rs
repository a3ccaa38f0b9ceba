//! What was shown, held against what was true and could be seen.
//!
//! A status claims something. A claim that never held is false at once. One that held once may be shown for as long as an
//! honest observer could not know better: until a *clean* window has passed, in which no fault touched an exchange and which
//! is as long as the rules of proof take.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use pull_patrol::outlook::Snapshot;
use pull_patrol::verdict::Status;

use super::actors::TLS;
use super::truth::{Claim, Fact};

type Time = DateTime<Utc>;
type Span = (Time, Time);

/// `probe.interval`, and a confirmation: `confirmationSpacing` and up to a tenth of it.
const INTERVAL: TimeDelta = TimeDelta::minutes(10);
const CONFIRMATION: TimeDelta = TimeDelta::seconds(66);
/// Confirmations, one interval, and the time to show it.
pub(crate) const BOUND: TimeDelta = TimeDelta::seconds(600 + 3 * 66 + 2);
/// The same where only the issuer can tell, which is asked once an hour.
const ISSUER_BOUND: TimeDelta = TimeDelta::seconds(3600 + 2 * 66 + 2);

/// One status of one token in one Secret, from when until when.
#[derive(Clone, Debug)]
struct Shown {
    status: Status,
    /// Whether an expiry was shown with it.
    told: bool,
    from: Time,
    to: Time,
}

/// Everything that was shown.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// By Secret and token.
    rows: BTreeMap<(String, String), Vec<Shown>>,
    last: Option<Time>,
}

impl Record {
    /// Take in a picture.
    pub(crate) fn see(&mut self, now: Time, snapshot: &Snapshot) {
        let before = self.last.replace(now);
        for row in &snapshot.credentials {
            let key = (row.secret_name.to_string(), row.token_id.to_string());
            let (status, told) = (row.status, row.expires_at.is_some());
            let shown = self.rows.entry(key).or_default();
            match shown.last_mut() {
                // It was in the picture before this one as well.
                Some(last) if Some(last.to) == before => {
                    last.to = now;
                    if (last.status, last.told) != (status, told) {
                        shown.push(Shown { status, told, from: now, to: now });
                    }
                }
                _ => shown.push(Shown { status, told, from: now, to: now }),
            }
        }
    }
}

/// Minutes by truth and by what was shown, and what was wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Score {
    pub(crate) minutes: BTreeMap<(Status, Status), f64>,
    /// False claims, by status, in words.
    pub(crate) wrong: Vec<(Status, String)>,
    /// A dead token that was not called dead in time, and others that stayed unknown for too long.
    pub(crate) late: Vec<String>,
    /// Deaths that the world let be seen.
    pub(crate) deaths: usize,
    /// What happened and what was shown, in order, in words.
    pub(crate) story: Vec<(Time, String)>,
}

impl Score {
    pub(crate) fn add(&mut self, other: Self) {
        for (cell, minutes) in other.minutes {
            *self.minutes.entry(cell).or_default() += minutes;
        }
        self.wrong.extend(other.wrong);
        self.late.extend(other.late);
        self.deaths += other.deaths;
        self.story.extend(other.story);
    }
}

/// Judge a record. `dirty` are the times at which the world kept something from being seen.
pub(crate) fn score(record: &Record, facts: &[Fact], mut dirty: Vec<Span>, from: Time, to: Time) -> Score {
    dirty.sort_unstable();
    let mut score = Score::default();
    for fact in facts {
        let key = (fact.secret.clone(), fact.token_id.clone());
        let Some(shown) = record.rows.get(&key) else { continue };
        let judge = Judge { fact, shown, dirty: &dirty, from, to };
        judge.judge(&mut score);
    }
    let of_tls: Vec<&Shown> =
        record.rows.iter().filter(|((secret, _), _)| secret == TLS).flat_map(|(_, shown)| shown).collect();
    let claimed = of_tls.iter().filter(|shown| shown.status != Status::Unverified);
    score.wrong.extend(claimed.map(|shown| (shown.status, format!("{TLS} at {}, without a handshake", shown.from))));
    assert!(!of_tls.is_empty(), "{TLS} is never shown");
    score
}

struct Judge<'a> {
    fact: &'a Fact,
    shown: &'a [Shown],
    dirty: &'a [Span],
    from: Time,
    to: Time,
}

impl Judge<'_> {
    fn judge(&self, score: &mut Score) {
        let mut appeared = self.from;
        let story = self
            .shown
            .iter()
            .map(|shown| (shown.from, format!("{} is shown {}", self.fact.secret, shown.status.as_str())));
        score.story.extend(story);
        for (nth, shown) in self.shown.iter().enumerate() {
            if nth == 0 || self.shown[nth - 1].to < shown.from {
                appeared = shown.from;
            }
            let middle = shown.from + (shown.to - shown.from) / 2;
            let cell = (self.fact.status(middle), shown.status);
            *score.minutes.entry(cell).or_default() += (shown.to - shown.from).as_seconds_f64() / 60.0;
            for (claim, lag) in Self::claims(shown.status) {
                if let Some((since, at)) = self.contradicted(shown, claim, lag, appeared) {
                    let why = format!(
                        "{} shown {} at {at} until {}, not so since {since} ({claim:?}), {:?}",
                        self.fact.secret,
                        shown.status.as_str(),
                        shown.to,
                        self.fact
                    );
                    score.wrong.push((shown.status, why));
                }
            }
            if shown.status == Status::Unverified {
                self.unknown_for_long(shown, appeared, score);
            }
        }
        if let Some(died) = self.fact.died().filter(|died| self.clean((*died).max(self.from), self.to, BOUND).is_some())
        {
            score.deaths += usize::from(died < self.to);
        }
    }

    /// What a status claims, and how long each claim may outlive its ground.
    fn claims(status: Status) -> Vec<(Claim, Option<TimeDelta>)> {
        match status {
            Status::Valid => {
                let all = [(Claim::Alive, BOUND), (Claim::Usable, BOUND), (Claim::Scoped, ISSUER_BOUND)];
                all.map(|(claim, lag)| (claim, Some(lag))).to_vec()
            }
            Status::Rejected | Status::Expired => vec![(Claim::Dead(status), None)],
            Status::InsufficientScope => vec![(Claim::Scopeless, Some(ISSUER_BOUND))],
            Status::Forbidden => vec![(Claim::Denied, Some(BOUND))],
            _ => Vec::new(),
        }
    }

    /// The first moment at which a claim that was shown could have been known to be false, and since when it was.
    fn contradicted(&self, shown: &Shown, claim: Claim, lag: Option<TimeDelta>, appeared: Time) -> Option<Span> {
        self.fact.unfounded(claim, shown.told, self.from, self.to).into_iter().find_map(|(since, until)| {
            let end = until.min(shown.to);
            // It never held for this login: a denial that is not known yet is no lie, all else is.
            let never = since <= appeared && !matches!(claim, Claim::Usable | Claim::Scoped);
            let known = match lag {
                Some(lag) if !never => self.clean(since.max(appeared), end, lag)?,
                _ => since,
            };
            let at = known.max(shown.from);
            (at < end).then_some((since, at))
        })
    }

    /// A dead token must be proven within the bound, and one that is well must be known within two.
    fn unknown_for_long(&self, shown: &Shown, appeared: Time, score: &mut Score) {
        let (fact, died) = (self.fact, self.fact.died().unwrap_or(self.to));
        let dead = self.clean(died.max(appeared), shown.to, BOUND).filter(|_| died < self.to);
        let well = self.clean(shown.from, died.min(shown.to), BOUND + INTERVAL + CONFIRMATION);
        for (known, word) in [(dead, "dead"), (well, "well")] {
            if let Some(known) = known.filter(|known| *known < shown.to) {
                let known = known.max(shown.from);
                score.late.push(format!("{} is {word}, unverified at {known}: {fact:?}", fact.secret));
            }
        }
    }

    /// The end of the first clean window of that length, within a time.
    fn clean(&self, from: Time, to: Time, length: TimeDelta) -> Option<Time> {
        let mut start = from;
        for (dirty, until) in self.dirty {
            if *dirty >= start + length {
                break;
            }
            if *until >= start {
                start = start.max(*until);
            }
        }
        (start + length <= to).then_some(start + length)
    }
}
