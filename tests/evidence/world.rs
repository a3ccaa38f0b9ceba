//! What is true, and what goes wrong: one registry, its issuer, owners, tokens, logins and packages. Times are milliseconds
//! since the start.

use std::ops::Range;

use pull_patrol::probe::LoginAnswer;

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const INTERVAL: u64 = 10 * MINUTE;
pub(crate) const ISSUER_INTERVAL: u64 = HOUR;
pub(crate) const SPACING: u64 = MINUTE;
pub(crate) const CONFIRMATIONS: u64 = 3;

/// What goes wrong, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The registry refuses everyone, the canary too.
    RegistryRefuses,
    /// The registry refuses one login.
    LoginRefused(usize),
    /// The registry accepts logins and denies every pull, the canary's too.
    RegistryDenies,
    /// The registry denies every pull of one login.
    LoginDenied(usize),
    /// The registry gives no answer that proves anything.
    RegistrySilent,
    /// The issuer disowns every token.
    IssuerDisowns,
    /// The issuer disowns the token of one login.
    TokenDisowned(usize),
    /// The issuer gives no answer that proves anything.
    IssuerSilent,
    /// The owner is locked out: the issuer says so, and the registry refuses what is his.
    LockedOut(u64),
}

/// A fault while it lasts.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) time: Range<u64>,
    pub(crate) fault: Fault,
}

/// What happens now and then to single answers, in ten thousand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noise {
    pub(crate) refused: u64,
    pub(crate) denied: u64,
    pub(crate) disowned: u64,
    pub(crate) silent: u64,
}

/// Why a pull is denied for real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The package was made private, or the owner lost his right.
    NoAccess,
    /// Its organisation demands an SSO authorisation.
    Sso,
    /// Its organisation forbids classic tokens.
    Policy,
    /// It was deleted: nothing can be told of a credential by it.
    Deleted,
}

/// A repository that a workload pulls with a login.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) closed: Option<(Range<u64>, Why)>,
}

impl Package {
    pub(crate) fn organisation(&self) -> &str {
        self.name.split_once('/').map_or("", |(owner, _)| owner)
    }

    pub(crate) fn closed_at(&self, at: u64) -> Option<Why> {
        self.closed.as_ref().filter(|(time, _)| time.contains(&at)).map(|(_, why)| *why)
    }
}

/// A login: its Secret lives for some time, and so does its token.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) token: u64,
    pub(crate) owner: u64,
    /// While a Secret holds it.
    pub(crate) wanted: Range<u64>,
    pub(crate) revoked: Option<u64>,
    /// When it expires, which the issuer tells.
    pub(crate) expires: Option<u64>,
    /// While it lacks the scope that pulling needs.
    pub(crate) scopeless: Option<Range<u64>>,
    pub(crate) packages: Vec<Package>,
}

/// The truth about a credential, by the order of the statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    Expired,
    Revoked,
    Scopeless,
    Forbidden,
    Good,
    /// Its package is gone: nothing is asked of a verdict.
    Open,
}

impl Truth {
    pub(crate) const ALL: [Self; 6] =
        [Self::Expired, Self::Revoked, Self::Scopeless, Self::Forbidden, Self::Good, Self::Open];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Scopeless => "lacks scope",
            Self::Forbidden => "no access",
            Self::Good => "good",
            Self::Open => "no package",
        }
    }
}

impl Login {
    /// From when on neither registry nor issuer knows it.
    pub(crate) fn dies(&self) -> Option<u64> {
        [self.revoked, self.expires].into_iter().flatten().min()
    }

    pub(crate) fn is_dead(&self, at: u64) -> bool {
        self.dies().is_some_and(|dies| dies <= at)
    }

    pub(crate) fn lacks_scope(&self, at: u64) -> bool {
        self.scopeless.as_ref().is_some_and(|time| time.contains(&at))
    }

    pub(crate) fn truth(&self, at: u64) -> Truth {
        let closed = || self.packages.iter().filter_map(|package| package.closed_at(at));
        if self.expires.is_some_and(|expires| expires <= at) {
            Truth::Expired
        } else if self.is_dead(at) {
            Truth::Revoked
        } else if self.lacks_scope(at) {
            Truth::Scopeless
        } else if closed().any(|why| why != Why::Deleted) {
            Truth::Forbidden
        } else if closed().next().is_some() {
            Truth::Open
        } else {
            Truth::Good
        }
    }

    /// Since when that has been true.
    pub(crate) fn true_since(&self, at: u64) -> u64 {
        let mut turns = vec![self.wanted.start];
        turns.extend([self.revoked, self.expires].into_iter().flatten());
        let times = self.packages.iter().filter_map(|package| package.closed.as_ref().map(|(time, _)| time));
        turns.extend(times.chain(&self.scopeless).flat_map(|time| [time.start, time.end]));
        turns.retain(|turn| *turn <= at);
        turns.sort_unstable();
        let truth = self.truth(at);
        let turned = turns.iter().rev().find(|turn| **turn == 0 || self.truth(**turn - 1) != truth);
        turned.copied().unwrap_or(self.wanted.start).max(self.wanted.start)
    }
}

/// One world.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) logins: Vec<Login>,
    pub(crate) with_issuer: bool,
    pub(crate) with_canary: bool,
    /// A pull that a missing scope denies is denied in just these words.
    pub(crate) names_scopes: bool,
    /// What a login's own exchange always answers, where it never proves anything.
    pub(crate) untold: Option<LoginAnswer>,
    pub(crate) noise: Noise,
    pub(crate) windows: Vec<Window>,
    /// Our wall clock runs ahead by so many milliseconds from then on.
    pub(crate) skew: Vec<(u64, i64)>,
    pub(crate) ends: u64,
}

impl World {
    /// Whether one of the faults that fit is on.
    pub(crate) fn suffers(&self, at: u64, fits: impl Fn(Fault) -> bool) -> bool {
        self.windows.iter().any(|window| window.time.contains(&at) && fits(window.fault))
    }

    pub(crate) fn skew_at(&self, at: u64) -> i64 {
        self.skew.iter().rev().find(|(from, _)| *from <= at).map_or(0, |(_, skew)| *skew)
    }
}
