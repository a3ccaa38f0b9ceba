//! Families of worlds: each mixes what happens to credentials with one kind of trouble.

use pull_patrol::probe::{LoginAnswer, Unproven};

use super::dice::Dice;
use super::world::{Fault, HOUR, Login, MINUTE, Noise, Package, SECOND, Why, Window, World};

/// A kind of world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Quiet,
    Noise,
    Edits,
    NoIssuer,
    NoIssuerIncident,
    LoginBursts,
    RegistryRefuses,
    RegistryDenies,
    IssuerDisowns,
    BothAtOnce,
    Outages,
    LockOut,
    LockOutUnheard,
    FromTheStart,
    OwnerLeaves,
    OrganisationCloses,
    ManyLogins,
    Everything,
    /// A login's own exchange never proves anything: pulls alone show what it is worth.
    LoginsUntold,
    /// The registry asks for no password but at its repositories.
    OpenAtRoot,
    /// What no rule can tell within the bound. Reported, not judged.
    Undecidable,
}

impl Family {
    pub(crate) const ALL: [Self; 21] = [
        Self::Quiet,
        Self::Noise,
        Self::Edits,
        Self::NoIssuer,
        Self::NoIssuerIncident,
        Self::LoginBursts,
        Self::RegistryRefuses,
        Self::RegistryDenies,
        Self::IssuerDisowns,
        Self::BothAtOnce,
        Self::Outages,
        Self::LockOut,
        Self::LockOutUnheard,
        Self::FromTheStart,
        Self::OwnerLeaves,
        Self::OrganisationCloses,
        Self::ManyLogins,
        Self::Everything,
        Self::LoginsUntold,
        Self::OpenAtRoot,
        Self::Undecidable,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Noise => "noise",
            Self::Edits => "edits",
            Self::NoIssuer => "no issuer",
            Self::NoIssuerIncident => "no issuer, incident",
            Self::LoginBursts => "bursts of one login",
            Self::RegistryRefuses => "registry refuses",
            Self::RegistryDenies => "registry denies",
            Self::IssuerDisowns => "issuer disowns",
            Self::BothAtOnce => "both at once",
            Self::Outages => "outages",
            Self::LockOut => "lock-out",
            Self::LockOutUnheard => "lock-out, issuer mute",
            Self::FromTheStart => "from the start",
            Self::OwnerLeaves => "owner leaves",
            Self::OrganisationCloses => "organisation closes",
            Self::ManyLogins => "many logins",
            Self::Everything => "everything",
            Self::LoginsUntold => "logins untold",
            Self::OpenAtRoot => "open at its root",
            Self::Undecidable => "(undecidable)",
        }
    }

    /// Whether a miss in it is a failure.
    pub(crate) fn is_judged(self) -> bool {
        self != Self::Undecidable
    }

    /// How often it is among a hundred runs.
    pub(crate) fn share(self) -> u64 {
        match self {
            Self::Noise | Self::LoginBursts | Self::Everything => 12,
            Self::ManyLogins | Self::Undecidable => 1,
            Self::Quiet | Self::NoIssuer | Self::RegistryRefuses | Self::BothAtOnce => 7,
            _ => 4,
        }
    }

    /// The family of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let total: u64 = Self::ALL.into_iter().map(Self::share).sum();
        let mut left = Dice::new(seed).below(total);
        for family in Self::ALL {
            if left < family.share() {
                return family;
            }
            left -= family.share();
        }
        Self::Everything
    }

    /// The world of a seed.
    pub(crate) fn world(self, seed: u64) -> World {
        let mut maker = Maker { dice: Dice::new(seed ^ 0xfa41), world: World::default() };
        maker.world.ends = 24 * HOUR;
        maker.world.with_issuer = !matches!(self, Self::NoIssuer | Self::NoIssuerIncident);
        maker.world.with_canary = maker.dice.happens(3_000);
        maker.world.names_scopes = maker.dice.happens(5_000);
        maker.clocks();
        maker.trouble(self);
        maker.world
    }
}

struct Maker {
    dice: Dice,
    world: World,
}

impl Maker {
    fn trouble(&mut self, family: Family) {
        let some = 1 + self.dice.below(10);
        match family {
            Family::Quiet => {
                self.logins(some, true);
            }
            Family::Noise => {
                self.logins(some, true);
                self.noise();
            }
            Family::Edits => {
                self.logins(some, true);
                self.edits();
                self.noise();
            }
            Family::NoIssuer => {
                self.logins(some, true);
                self.world.noise =
                    Noise { refused: self.dice.below(20), denied: self.dice.below(100), ..self.silence() };
            }
            Family::NoIssuerIncident => {
                // Fewer than three logins without a canary have nobody who could tell.
                self.logins(4 + some, true);
                for login in self.world.logins.iter_mut().take(3) {
                    (login.revoked, login.expires) = (None, None);
                }
                self.wide(Fault::RegistryRefuses, 60);
            }
            Family::LoginBursts => {
                self.logins(some, true);
                self.noise();
                self.bursts(some);
            }
            Family::RegistryRefuses => {
                self.logins(some, true);
                self.noise();
                self.wide(Fault::RegistryRefuses, 60);
            }
            Family::RegistryDenies => {
                self.logins(2 + some, true);
                self.noise();
                // With fewer logins and no canary a denial of everything is none of everyone for longer than a burst.
                self.wide(Fault::RegistryDenies, 10);
            }
            Family::IssuerDisowns => {
                self.logins(some, true);
                self.noise();
                self.wide(Fault::IssuerDisowns, 60);
            }
            Family::BothAtOnce => {
                // One or two tokens that are refused here and disowned there are dead as far as anyone can tell.
                self.logins(3 + some, false);
                self.world.noise.silent = self.dice.below(500);
                let window = self.wide(Fault::RegistryRefuses, 60);
                let from = window.start.saturating_sub(self.dice.below(2 * MINUTE));
                let until = window.end + self.dice.below(2 * MINUTE);
                self.world.windows.push(Window { time: from..until, fault: Fault::IssuerDisowns });
            }
            Family::Outages => {
                self.logins(some, true);
                self.noise();
                for fault in [Fault::RegistrySilent, Fault::IssuerSilent] {
                    if self.dice.happens(7_000) {
                        self.wide(fault, 180);
                    }
                }
            }
            Family::LockOut => {
                self.logins(2 + some, true);
                self.noise();
                let owner = self.dice.below(some);
                self.wide(Fault::LockedOut(owner), 120);
            }
            Family::LockOutUnheard => {
                self.logins(2 + some, true);
                self.noise();
                let owner = self.dice.below(some);
                // GitHub does not say how long one lasts. Past an hour, unheard, it looks like a dead token to anybody.
                let window = self.wide(Fault::LockedOut(owner), 57);
                let from = window.start.saturating_sub(self.dice.below(2 * MINUTE));
                let until = window.end + self.dice.below(2 * MINUTE);
                self.world.windows.push(Window { time: from..until, fault: Fault::IssuerSilent });
            }
            Family::FromTheStart => {
                self.logins(some, true);
                self.noise();
                let fault = *self.dice.one_of(&[Fault::RegistryRefuses, Fault::RegistryDenies, Fault::IssuerDisowns]);
                let until = MINUTE + self.dice.below(9 * MINUTE);
                self.world.windows.push(Window { time: 0..until, fault });
            }
            Family::OwnerLeaves => self.owner_leaves(some),
            Family::OrganisationCloses => self.organisation_closes(some),
            Family::ManyLogins => {
                self.logins(60 + 8 * some, false);
                self.world.ends = 8 * HOUR;
                let fault = *self.dice.one_of(&[Fault::RegistryRefuses, Fault::RegistryDenies, Fault::IssuerDisowns]);
                let from = 2 * HOUR + self.dice.below(HOUR);
                let until = from + 5 * MINUTE + self.dice.below(HOUR);
                self.world.windows.push(Window { time: from..until, fault });
            }
            Family::Everything => {
                self.logins(3 + some, true);
                self.edits();
                self.noise();
                self.bursts(some);
                let faults = [Fault::RegistryRefuses, Fault::IssuerDisowns, Fault::RegistrySilent, Fault::IssuerSilent];
                for fault in faults {
                    if self.dice.happens(4_000) {
                        self.wide(fault, 30);
                    }
                }
            }
            Family::LoginsUntold => {
                self.logins(some, true);
                self.noise();
                self.untold(LoginAnswer::Unproven(Unproven::Odd("bearer_refused")));
            }
            Family::OpenAtRoot => {
                self.logins(some, true);
                self.noise();
                self.untold(LoginAnswer::NotChecked);
            }
            Family::Undecidable => self.undecidable(),
        }
    }

    /// A login's own exchange always answers this, and each has something that it pulls.
    fn untold(&mut self, answer: LoginAnswer) {
        self.world.untold = Some(answer);
        for login in &mut self.world.logins {
            if login.packages.is_empty() {
                login.packages.push(Package { name: "acme/app".to_owned(), closed: None });
            }
        }
        if self.dice.happens(5_000) {
            self.wide(Fault::RegistryRefuses, 60);
        }
    }

    /// Our clock is off by minutes, and may jump.
    fn clocks(&mut self) {
        let minutes = |dice: &mut Dice| i64::try_from(dice.below(10 * MINUTE)).unwrap_or_default() - 5 * 60_000;
        if self.dice.happens(3_000) {
            let skew = minutes(&mut self.dice);
            self.world.skew.push((0, skew));
            let (at, skew) = (self.dice.below(self.world.ends), minutes(&mut self.dice));
            self.world.skew.push((at, skew));
        }
    }

    fn silence(&mut self) -> Noise {
        let silent = if self.dice.happens(5_000) { self.dice.below(100) } else { self.dice.below(2_000) };
        Noise { silent, ..Noise::default() }
    }

    /// Single answers that are wrong: up to 2 %, and 1 % of what the issuer says.
    fn noise(&mut self) {
        let silence = self.silence();
        self.world.noise =
            Noise { refused: self.dice.below(200), denied: self.dice.below(200), disowned: 100, ..silence };
    }

    /// Logins of as many tokens; with `changes` some of them die, expire, lose scopes or pulls.
    fn logins(&mut self, count: u64, changes: bool) {
        let owners = 1 + self.dice.below(count);
        for token in 0..count {
            let owner = self.dice.below(owners);
            let mut login = self.login(token, owner);
            if changes && self.dice.happens(3_500) {
                self.change(&mut login);
            }
            self.world.logins.push(login);
        }
    }

    fn login(&mut self, token: u64, owner: u64) -> Login {
        let ends = self.world.ends;
        let organisations = ["acme", "globex", "initech"];
        let packages = self.dice.below(3);
        let packages = (0..packages)
            .map(|n| Package { name: format!("{}/app-{n}", self.dice.one_of(&organisations)), closed: None })
            .collect();
        Login { token, owner, wanted: 0..ends + 1, revoked: None, expires: None, scopeless: None, packages }
    }

    fn change(&mut self, login: &mut Login) {
        let ends = self.world.ends;
        let at = self.dice.below(ends);
        let until = at + HOUR + self.dice.below(ends);
        match self.dice.below(6) {
            0 | 1 => login.revoked = Some(at),
            2 => login.expires = Some(at),
            // Without an issuer only a pull could show it.
            3 if self.world.with_issuer || !login.packages.is_empty() => login.scopeless = Some(at..until),
            _ => {
                let why = *self.dice.one_of(&[Why::NoAccess, Why::NoAccess, Why::Sso, Why::Deleted]);
                if let Some(package) = login.packages.first_mut() {
                    package.closed = Some((at..until, why));
                }
            }
        }
    }

    /// Secrets come, go, and get a new token, some of them while the old one is being asked about.
    fn edits(&mut self) {
        let ends = self.world.ends;
        let count = self.world.logins.len();
        for index in 0..count {
            if !self.dice.happens(5_000) {
                continue;
            }
            let at = self.dice.below(ends);
            self.world.logins[index].wanted.end = at;
            if self.dice.happens(7_000) {
                let token = 1_000 + index as u64;
                let mut successor = self.login(token, self.world.logins[index].owner);
                successor.packages.clone_from(&self.world.logins[index].packages);
                successor.wanted = at..ends + 1;
                if self.dice.happens(2_000) {
                    successor.revoked = Some(self.dice.between(at / 2, ends));
                }
                self.world.logins.push(successor);
            }
        }
    }

    /// A fault of a whole host, for minutes; at times up to `longest` of them.
    fn wide(&mut self, fault: Fault, longest: u64) -> std::ops::Range<u64> {
        let minutes = if self.dice.happens(7_000) { 3 + self.dice.below(7) } else { 3 + self.dice.below(longest) };
        let from = self.dice.between(10 * MINUTE, self.world.ends - 4 * HOUR);
        let time = from..from + minutes * MINUTE + self.dice.below(MINUTE);
        self.world.windows.push(Window { time: time.clone(), fault });
        time
    }

    /// Minutes of refusals, denials or disownments of one login; never refused and disowned at the same time, since that
    /// is what a dead token looks like.
    fn bursts(&mut self, logins: u64) {
        for _ in 0..=self.dice.below(6) {
            let login = usize::try_from(self.dice.below(logins)).unwrap_or_default();
            let minutes = 3 + self.dice.below(7);
            let from = self.dice.between(10 * MINUTE, self.world.ends - 2 * HOUR);
            let time = from..from + minutes * MINUTE + self.dice.below(50 * SECOND);
            let kinds = [Fault::LoginRefused(login), Fault::LoginDenied(login), Fault::TokenDisowned(login)];
            let fault = *self.dice.one_of(&kinds);
            let near = |window: &Window| {
                window.time.start < time.end + 30 * MINUTE && time.start < window.time.end + 30 * MINUTE
            };
            if !self.world.windows.iter().any(near) {
                self.world.windows.push(Window { time, fault });
            }
        }
    }

    /// All tokens of one owner, or nearly all there are, are revoked within minutes.
    fn owner_leaves(&mut self, others: u64) {
        self.logins(3 + others, false);
        if self.dice.happens(5_000) {
            self.noise();
        }
        let at = self.dice.between(HOUR, self.world.ends - 4 * HOUR);
        let stay = 1 + self.dice.below(others);
        let count = self.world.logins.len() as u64;
        for login in self.world.logins.iter_mut().take(usize::try_from(count - stay).unwrap_or_default()) {
            login.owner = 99;
            login.revoked = Some(at + self.dice.below(2 * MINUTE));
        }
    }

    /// An organisation demands SSO, or forbids classic tokens, of all logins that pull from it.
    fn organisation_closes(&mut self, others: u64) {
        self.logins(3 + others, false);
        if self.dice.happens(5_000) {
            self.noise();
        }
        let at = self.dice.between(HOUR, self.world.ends - 4 * HOUR);
        let why = *self.dice.one_of(&[Why::Sso, Why::Policy]);
        let elsewhere = self.dice.below(3);
        let end = self.world.ends + 1;
        for login in self.world.logins.iter_mut().skip(usize::try_from(elsewhere).unwrap_or_default()) {
            login.packages = vec![Package { name: "acme/app".to_owned(), closed: Some((at..end, why)) }];
        }
    }

    /// A burst that refuses and disowns one login, or refuses one that has no issuer: a dead token looks just like it.
    fn undecidable(&mut self) {
        self.world.with_issuer = self.dice.happens(5_000);
        self.world.with_canary = true;
        self.logins(4, false);
        let from = HOUR + self.dice.below(HOUR);
        let time = from..from + 3 * MINUTE + self.dice.below(7 * MINUTE);
        self.world.ends = 6 * HOUR;
        self.world.windows.push(Window { time: time.clone(), fault: Fault::LoginRefused(0) });
        self.world.windows.push(Window { time, fault: Fault::TokenDisowned(0) });
    }
}
