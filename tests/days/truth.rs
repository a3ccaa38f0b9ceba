//! What is true of a token, and when.

use chrono::{DateTime, TimeDelta, Utc};
use pull_patrol::verdict::Status;

type Time = DateTime<Utc>;

/// How far the clock of an issuer is off at most.
pub(crate) const SKEW: TimeDelta = TimeDelta::seconds(120);

/// What a token can do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Powers {
    /// Its scopes suffice for pulling.
    pub(crate) scopes: bool,
    /// It may pull what its workload needs.
    pub(crate) access: bool,
}

/// What was true of a token all along.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    /// The Secret that holds it, and the label `token_id` of its rows.
    pub(crate) secret: String,
    pub(crate) token_id: String,
    /// Whether a workload needs a private image with it.
    pub(crate) needed: bool,
    /// Whether it is at ghcr.io, where an issuer can be asked.
    pub(crate) github: bool,
    pub(crate) revoked: Option<Time>,
    pub(crate) expires: Option<Time>,
    /// When its powers changed, from the beginning.
    pub(crate) powers: Vec<(Time, Powers)>,
}

/// What a status claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is dead, and for the reason that the status names.
    Dead(Status),
    /// It lives.
    Alive,
    /// Its scopes suffice, as long as it lives.
    Scoped,
    /// It may pull what is needed, as long as it lives and its scopes suffice.
    Usable,
    /// It lives, and lacks the scope.
    Scopeless,
    /// It lives, and may not pull what is needed.
    Denied,
}

impl Fact {
    pub(crate) fn died(&self) -> Option<Time> {
        [self.revoked, self.expires].into_iter().flatten().min()
    }

    pub(crate) fn dead(&self, at: Time) -> bool {
        self.died().is_some_and(|died| died <= at)
    }

    fn powers(&self, at: Time) -> Powers {
        let now = self.powers.iter().rev().find(|(from, _)| *from <= at).or(self.powers.first());
        now.expect("powers from the beginning").1
    }

    /// The row of the confusion matrix.
    pub(crate) fn status(&self, at: Time) -> Status {
        let powers = self.powers(at);
        if self.dead(at) {
            let expired = self.expires.is_some_and(|expires| Some(expires) == self.died());
            return if expired { Status::Expired } else { Status::Rejected };
        }
        match (powers.scopes, powers.access || !self.needed) {
            (false, _) => Status::InsufficientScope,
            (true, false) => Status::Forbidden,
            (true, true) => Status::Valid,
        }
    }

    /// Whether a claim holds. `told` says that the patrol was told the expiry.
    fn holds(&self, claim: Claim, told: bool, at: Time) -> bool {
        let (dead, now) = (self.dead(at), self.powers(at));
        // The clock of the issuer may be off by a minute or two.
        let passed = |tolerance| self.expires.is_some_and(|expires| expires <= at + tolerance);
        match claim {
            Claim::Dead(Status::Expired) => dead && passed(SKEW),
            // Expired without a known date is as good as revoked; what was revoked first stays so when its date passes.
            Claim::Dead(_) => dead && (!told || !passed(-SKEW) || self.revoked.is_some_and(|revoked| revoked <= at)),
            Claim::Alive => !dead,
            Claim::Scoped => dead || now.scopes,
            Claim::Usable => dead || !now.scopes || now.access || !self.needed,
            Claim::Scopeless => !dead && !now.scopes,
            // A registry may say so of a scope that lacks, too.
            Claim::Denied => !dead && self.needed && !(now.access && now.scopes),
        }
    }

    /// When a claim does not hold, within a time.
    pub(crate) fn unfounded(&self, claim: Claim, told: bool, from: Time, to: Time) -> Vec<(Time, Time)> {
        let mut edges: Vec<Time> = self.powers.iter().map(|(at, _)| *at).chain(self.revoked).collect();
        edges.extend(self.expires.iter().flat_map(|expires| [*expires - SKEW, *expires, *expires + SKEW]));
        edges.retain(|edge| *edge > from && *edge < to);
        edges.extend([from, to]);
        edges.sort_unstable();
        edges.dedup();
        let mut spans: Vec<(Time, Time)> = Vec::new();
        for pair in edges.windows(2) {
            if self.holds(claim, told, pair[0]) {
                continue;
            }
            match spans.last_mut() {
                Some(last) if last.1 == pair[0] => last.1 = pair[1],
                _ => spans.push((pair[0], pair[1])),
            }
        }
        spans
    }
}
