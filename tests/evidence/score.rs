//! What a user saw, against what was true.

use std::collections::BTreeMap;

use pull_patrol::probe::LoginAnswer;
use pull_patrol::verdict::Status;

use super::world::{
    CONFIRMATIONS, Fault, INTERVAL, ISSUER_INTERVAL, Login, MINUTE, SECOND, SPACING, Truth, Why, Window, World,
};

/// Within this a revocation is found that an honest observer could see.
pub(crate) const BOUND: u64 = CONFIRMATIONS * SPACING + INTERVAL;
/// The same for a pull that is denied: two series of denials an interval apart, with a back-off between.
const DENIAL_BOUND: u64 = 2 * BOUND + 10 * MINUTE;
/// The same for a scope that lacks: two answers of the issuer.
const SCOPE_BOUND: u64 = ISSUER_INTERVAL + 2 * SPACING + MINUTE;
/// An incident of a host that is well again ends within this: its questions back off to an interval at most.
const REGISTRY_RECOVERS: u64 = INTERVAL + 2 * MINUTE;
const ISSUER_RECOVERS: u64 = ISSUER_INTERVAL + 2 * MINUTE;
/// Within this after a host opened again all that it had held up is taken up.
const DRAINS: u64 = 5 * SECOND;
/// The default of `requestsPerSecond`.
pub(crate) const PER_SECOND: u32 = 5;

/// What is wrong with a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Miss {
    Rejected,
    Expired,
    Forbidden,
    InsufficientScope,
    Valid,
    /// A real change was not found in time.
    Late,
    /// An incident stood though the host was well.
    Stuck,
    /// More requests after an incident than usual.
    Burst,
}

impl Miss {
    pub(crate) const ALL: [Self; 8] = [
        Self::Rejected,
        Self::Expired,
        Self::Forbidden,
        Self::InsufficientScope,
        Self::Valid,
        Self::Late,
        Self::Stuck,
        Self::Burst,
    ];
}

/// What a run amounts to; sums of runs too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) runs: u64,
    pub(crate) exchanges: u64,
    /// Minutes of a credential, by what was true and what was shown.
    pub(crate) matrix: BTreeMap<(Truth, Status), u64>,
    /// What went wrong, with the seed.
    pub(crate) misses: Vec<(Miss, u64, String)>,
    /// How long revocations, expiries and denials took to be found, in milliseconds.
    pub(crate) deaths: Vec<u64>,
    pub(crate) denials: Vec<u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.exchanges += other.exchanges;
        for (cell, count) in other.matrix {
            *self.matrix.entry(cell).or_default() += count;
        }
        self.misses.extend(other.misses);
        self.deaths.extend(other.deaths);
        self.denials.extend(other.denials);
    }

    pub(crate) fn count(&self, miss: Miss) -> usize {
        self.misses.iter().filter(|(kind, ..)| *kind == miss).count()
    }
}

#[derive(Clone, Debug, Default)]
struct Seen {
    status: Option<Status>,
    /// The last answer about it that was not honest, or the end of a wait that such an answer asked for.
    hindered: u64,
    /// When it was first refused since it died.
    refused: Option<u64>,
    /// Since when what is true now is true, and whether that was found or missed.
    since: Option<u64>,
    found: bool,
    missed: bool,
    /// When a denial was last shown that was true.
    denial_shown: u64,
    /// A false verdict is counted once while it stands.
    wrong: bool,
}

/// The score of one run while it goes on.
pub(crate) struct Score<'w> {
    world: &'w World,
    seen: Vec<Seen>,
    /// As [`Seen::hindered`], for any question at all.
    hindered: u64,
    /// Until when a host asked to be left alone.
    held: u64,
    /// Questions that went out, by the second.
    asked: Vec<u32>,
    /// The same, without those that a host had held up.
    crowd: Vec<u32>,
    /// Per host until when it asked to be left alone.
    opens: [u64; 2],
    well_since: [u64; 2],
    stuck: [bool; 2],
    pub(crate) tally: Tally,
}

impl<'w> Score<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        let seen = vec![Seen::default(); world.logins.len()];
        let tally = Tally { runs: 1, ..Tally::default() };
        Self {
            world,
            seen,
            hindered: 0,
            held: 0,
            asked: Vec::new(),
            crowd: Vec::new(),
            opens: [0; 2],
            well_since: [0; 2],
            stuck: [false; 2],
            tally,
        }
    }

    /// A question to a host was taken up, to be sent as soon as the host's pace lets it.
    pub(crate) fn asked(&mut self, now: u64, host: usize) {
        let second = usize::try_from(now / SECOND).unwrap_or_default();
        for counts in [&mut self.asked, &mut self.crowd] {
            if counts.len() <= second {
                counts.resize(second + 1, 0);
            }
        }
        self.asked[second] += 1;
        if now > self.opens[host] + DRAINS {
            self.crowd[second] += 1;
        }
        self.tally.exchanges += 1;
    }

    /// A host asked to be left alone until then.
    pub(crate) fn holds(&mut self, host: usize, until: u64) {
        self.opens[host] = self.opens[host].max(until);
    }

    /// An answer that was not honest, or none; `held` where all questions to its host have to wait until then. What is
    /// said of others matters to a login while its refusal is being proven: they are its controls.
    pub(crate) fn hindered(&mut self, login: Option<usize>, until: u64, held: bool) {
        self.hindered = self.hindered.max(until);
        if held {
            self.held = self.held.max(until);
        }
        for (index, seen) in self.seen.iter_mut().enumerate() {
            if held || seen.refused.is_some() || login == Some(index) || login.is_none() {
                seen.hindered = seen.hindered.max(until);
            }
        }
    }

    /// Nothing is asked of an owner's logins and tokens until then.
    pub(crate) fn paused(&mut self, owner: u64, until: u64) {
        self.hindered = self.hindered.max(until);
        for (seen, login) in self.seen.iter_mut().zip(&self.world.logins) {
            if login.owner == owner {
                seen.hindered = seen.hindered.max(until);
            }
        }
    }

    /// A login was refused.
    pub(crate) fn refused(&mut self, login: usize, now: u64) {
        if self.world.logins[login].is_dead(now) {
            self.seen[login].refused.get_or_insert(now);
        }
    }

    /// A minute went by.
    pub(crate) fn minute(&mut self, now: u64, registry: bool, issuer: bool) {
        if registry || issuer {
            self.hindered(None, now, false);
        }
        let at_registry =
            |fault: Fault| !matches!(fault, Fault::IssuerDisowns | Fault::IssuerSilent | Fault::TokenDisowned(_));
        let at_issuer = |fault: Fault| !at_registry(fault) || matches!(fault, Fault::LockedOut(_));
        let somebody_works = self.world.logins.iter().any(|login| {
            login.wanted.contains(&now) && login.wanted.start + ISSUER_INTERVAL < now && login.truth(now) == Truth::Good
        });
        // Where one answer in ten proves nothing, what each login has to confirm takes some of them a second round.
        let rounds = 1 + u64::from(self.world.noise.silent > 1_000);
        let hosts = [
            (registry, self.world.suffers(now, at_registry), rounds * REGISTRY_RECOVERS),
            (issuer, self.world.suffers(now, at_issuer), ISSUER_RECOVERS),
        ];
        for (host, (incident, ill, limit)) in hosts.into_iter().enumerate() {
            if ill || !incident || !somebody_works || now <= self.held {
                self.well_since[host] = now;
                self.stuck[host] = false;
            } else if now - self.well_since[host] > limit && !self.stuck[host] {
                self.stuck[host] = true;
                self.miss(Miss::Stuck, format!("host {host} at {}", clock(now)));
            }
        }
    }

    /// A credential shows a status.
    pub(crate) fn look(&mut self, index: usize, now: u64, status: Status) {
        let login = &self.world.logins[index];
        let truth = login.truth(now);
        if now.is_multiple_of(MINUTE) {
            *self.tally.matrix.entry((truth, status)).or_default() += 1;
        }
        let turned = self.seen[index].status != Some(status);
        self.seen[index].status = Some(status);
        let wrong = self.is_wrong(login, index, now, status, turned);
        let known = self.seen[index].wrong;
        if let Some(miss) = wrong.filter(|_| !known) {
            self.miss(miss, format!("login {index} at {}: {}", clock(now), truth.as_str()));
        }
        self.seen[index].wrong = wrong.is_some() || (known && !turned);
        if matches!(truth, Truth::Forbidden | Truth::Scopeless) && matches!(status, Status::Forbidden) {
            self.seen[index].denial_shown = now;
        }
        self.find(login, index, now, status, truth);
    }

    fn is_wrong(&self, login: &Login, index: usize, now: u64, status: Status, turned: bool) -> Option<Miss> {
        // A new verdict stands on what was true just now. One that stood before may be as old as the last moment at which
        // nothing hindered its questions.
        let carried_over = denied_since(login, 0, self.seen[index].denial_shown);
        let within = |time: u64| (!turned || carried_over) && self.seen[index].hindered + time >= now;
        // The issuer alone tells of scopes.
        let excused = within(if status == Status::InsufficientScope { ISSUER_INTERVAL } else { 3 * INTERVAL });
        let lookback = |usual: u64| if excused { 0 } else { now.saturating_sub(usual) };
        match status {
            Status::Rejected | Status::Expired if !login.is_dead(now) => Some(match status {
                Status::Expired => Miss::Expired,
                _ => Miss::Rejected,
            }),
            Status::Expired if login.expires.is_none_or(|at| at > now + 6 * MINUTE) => Some(Miss::Expired),
            Status::Forbidden if !login.is_dead(now) => {
                (!denied_since(login, lookback(BOUND), now)).then_some(Miss::Forbidden)
            }
            Status::InsufficientScope if !login.is_dead(now) => {
                let from = lookback(SCOPE_BOUND);
                let lacked = login.scopeless.as_ref().is_some_and(|time| time.start <= now && from < time.end);
                (!lacked).then_some(Miss::InsufficientScope)
            }
            Status::Valid => {
                let truth = login.truth(now);
                let bound = match truth {
                    Truth::Expired | Truth::Revoked | Truth::Forbidden => BOUND,
                    Truth::Scopeless => SCOPE_BOUND,
                    Truth::Good | Truth::Open => return None,
                };
                let hindered = if login.is_dead(now) { self.seen[index].hindered } else { self.hindered };
                let since = if login.is_dead(now) { dead_since(login) } else { login.true_since(now) };
                (now > since.max(hindered) + bound).then_some(Miss::Valid)
            }
            _ => None,
        }
    }

    /// Whether what is true was found, and in time.
    fn find(&mut self, login: &Login, index: usize, now: u64, status: Status, truth: Truth) {
        let dead = login.is_dead(now);
        let since = if dead { dead_since(login) } else { login.true_since(now) };
        let any = self.hindered;
        let seen = &mut self.seen[index];
        if seen.since != Some(since) {
            (seen.since, seen.found, seen.missed) = (Some(since), false, false);
        }
        let (hindered, bound, fits) = match truth {
            Truth::Expired | Truth::Revoked => {
                (seen.hindered, BOUND, matches!(status, Status::Rejected | Status::Expired))
            }
            Truth::Scopeless => (any, SCOPE_BOUND, matches!(status, Status::InsufficientScope | Status::Forbidden)),
            Truth::Forbidden => (any, DENIAL_BOUND, status == Status::Forbidden),
            Truth::Good | Truth::Open => return,
        };
        // Where nobody looks at the password a denial need not be its own.
        if !dead && self.world.untold == Some(LoginAnswer::NotChecked) {
            return;
        }
        if fits && !seen.found {
            seen.found = true;
            if dead {
                self.tally.deaths.push(now - since);
            } else {
                self.tally.denials.push(now - since);
            }
        }
        let seen = &mut self.seen[index];
        if !seen.found && !seen.missed && now > since.max(hindered) + bound {
            seen.missed = true;
            self.miss(
                Miss::Late,
                format!("login {index} at {}: {} shown as {}", clock(now), truth.as_str(), status.as_str()),
            );
        }
    }

    /// After the last minute. An incident that ended must not bring everybody at once: in no second more than the two hosts
    /// allow, and over an interval not much more than usual. What a host had held up by a `Retry-After` is due at its end
    /// whatever anybody does, and goes out at the host's pace: it counts in the interval alone.
    pub(crate) fn finish(&mut self) {
        let second = |at: u64| usize::try_from(at / SECOND).unwrap_or_default();
        let sums = self.asked.chunks(second(INTERVAL)).map(|chunk| chunk.iter().sum::<u32>());
        let mut usual: Vec<u32> = sums.collect();
        usual.sort_unstable();
        let usual = usual.get(usual.len() / 2).copied().unwrap_or_default();
        for window in &self.world.windows {
            let wide = |window: &Window| {
                [Fault::RegistryRefuses, Fault::RegistryDenies, Fault::IssuerDisowns].contains(&window.fault)
            };
            let end = window.time.end;
            // Where another incident is on by then, or begins, its own questions are no burst after this one; what comes
            // after both is counted at the end of the last.
            let another = |other: &Window| wide(other) && other.time.start < end + INTERVAL && other.time.end > end;
            if !wide(window) || end > self.world.ends || self.world.windows.iter().any(another) {
                continue;
            }
            let after = |counts: &[u32]| -> Vec<u32> {
                counts.iter().skip(second(window.time.end)).take(second(INTERVAL)).copied().collect()
            };
            let peak = after(&self.crowd).into_iter().max().unwrap_or_default();
            let sum: u32 = after(&self.asked).into_iter().sum();
            // What comes with new Secrets is asked at once.
            let edited = self.world.logins.iter().any(|login| login.wanted.start > 0);
            if (peak > 2 * PER_SECOND && !edited) || sum > 2 * usual + 20 {
                let what = format!("{:?}: {peak} in a second, {sum} in an interval, usually {usual}", window.fault);
                self.miss(Miss::Burst, what);
                return;
            }
        }
    }

    fn miss(&mut self, miss: Miss, what: String) {
        self.tally.misses.push((miss, 0, what));
    }
}

fn dead_since(login: &Login) -> u64 {
    login.dies().unwrap_or_default().max(login.wanted.start)
}

/// Whether a pull of the login was denied for real between the two.
fn denied_since(login: &Login, from: u64, now: u64) -> bool {
    let closed = |package: &super::world::Package| {
        package.closed.as_ref().is_some_and(|(time, why)| *why != Why::Deleted && time.start <= now && from < time.end)
    };
    login.packages.iter().any(closed)
        || login.scopeless.as_ref().is_some_and(|time| time.start <= now && from < time.end)
}

/// Hours, minutes and seconds since the start.
pub(crate) fn clock(at: u64) -> String {
    let seconds = at / 1_000;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
