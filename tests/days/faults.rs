//! What goes wrong outside in a scenario, drawn from a seed.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use simulator::{Fault, FaultId, FaultRule, Host, RetryAfter, SecondaryLimit, World};

use super::actors::Cast;
use super::dice::Dice;
use super::driver::{API, Deaf, Names, REGISTRY, Resolution};

type Time = DateTime<Utc>;
type Span = (Time, Time);

/// A wait after an answer of no use, at its longest: one interval and a tenth.
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(11);

/// Something to switch on or off at a time.
#[derive(Clone, Debug)]
pub(crate) enum Switch {
    Resolve(&'static str, Resolution),
    LockOut(usize, TimeDelta),
    PrimaryLimit(usize, TimeDelta),
    SecondaryLimit(usize, TimeDelta, bool),
    JumpWall(TimeDelta),
    Skew(Host, TimeDelta),
}

/// What goes wrong, and when it keeps things from being seen.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) switches: Vec<(Time, Switch)>,
    /// Times of trouble that are known beforehand.
    pub(crate) windows: Vec<Span>,
    /// For how long a hit of a fault keeps things from being seen.
    pub(crate) lasting: HashMap<FaultId, TimeDelta>,
    /// Each, in words, from when it holds.
    pub(crate) story: Vec<(Time, String)>,
}

/// Faults of one answer. The length is how long a host is left alone for it.
fn any(dice: &mut Dice) -> (Fault, TimeDelta) {
    let none = TimeDelta::zero();
    let limited = |retry_after, ghcr_duration: Option<&str>| Fault::RateLimited {
        retry_after,
        ghcr_duration: ghcr_duration.map(str::to_owned),
    };
    match dice.below(22) {
        0 => (Fault::status(500), none),
        1 => (Fault::status(502), none),
        2 => (Fault::status(503), none),
        3 => (limited(RetryAfter::Absent, None), none),
        4 => (limited(RetryAfter::Seconds(90), None), TimeDelta::seconds(90)),
        5 => (limited(RetryAfter::Date(TimeDelta::minutes(3)), None), TimeDelta::minutes(3)),
        6 => (limited(RetryAfter::Absent, Some("880.092µs")), none),
        7 => (limited(RetryAfter::Absent, Some("1m30s")), TimeDelta::seconds(90)),
        8 => (Fault::Reset, none),
        9 => (Fault::ResetInHeaders, none),
        10 => (Fault::Truncate, none),
        11 => (Fault::Oversize, none),
        12 => (Fault::EmptyBody, none),
        13 => (Fault::Html, none),
        14 => (Fault::WrongJson, none),
        15 => (Fault::BrokenJson, none),
        16 => (Fault::HeaderFlood, none),
        17 => (Fault::HugeHeader, none),
        18 => (Fault::EndlessBody, none),
        19 => (Fault::Redirect("http://127.0.0.1:9/".to_owned()), none),
        20 => (Fault::status(401), none),
        _ => (Fault::status(403), none),
    }
}

/// The registry's lies about good tokens.
fn false_refusal(dice: &mut Dice) -> FaultRule {
    match dice.below(3) {
        0 => FaultRule::on(Host::Ghcr, Fault::ghcr_unauthenticated()).path("/v2/org"),
        _ => FaultRule::on(Host::Ghcr, Fault::ghcr_denied()).path("/token"),
    }
}

impl Faults {
    /// Draw them, and put in force what needs no switch.
    pub(crate) fn draw(dice: &mut Dice, world: &World, cast: &Cast, plain: Host, span: Span) -> Self {
        let mut this = Self::default();
        let (from, to) = span;
        let length = to - from;
        let mut window = |dice: &mut Dice, shortest: i64, longest: i64| {
            let start = from + dice.span(TimeDelta::minutes(5), length);
            (start, start + dice.span(TimeDelta::minutes(shortest), TimeDelta::minutes(longest)))
        };
        // Noise all day long.
        for _ in 0..dice.below(4) {
            let (fault, lasting) = any(dice);
            let host = *dice.pick(&[Host::Ghcr, Host::GithubApi, plain]);
            this.force(world, FaultRule::on(host, fault).share(0.004), lasting);
        }
        if dice.percent(60) {
            // Replica lag: the API knows nothing of one token in a hundred.
            this.force(world, FaultRule::on(Host::GithubApi, Fault::bad_credentials()).share(0.01), TimeDelta::zero());
        }
        if dice.percent(60) {
            this.force(world, false_refusal(dice).share(0.005), TimeDelta::zero());
        }
        if dice.percent(30) {
            this.force(
                world,
                FaultRule::everywhere(Fault::Delay(Duration::from_millis(3))).share(0.01),
                TimeDelta::zero(),
            );
        }
        // Silence costs real time.
        for fault in [Fault::TimeoutAtHeaders, Fault::TimeoutAtBody, Fault::SlowDrip(Duration::from_millis(20))] {
            if dice.percent(25) {
                let (start, end) = window(dice, 10, 200);
                let host = *dice.pick(&[Host::Ghcr, Host::GithubApi, plain]);
                this.force(world, FaultRule::on(host, fault).between(start, end).times(3), TimeDelta::zero());
            }
        }
        // Trouble for a while.
        for _ in 0..dice.below(4) {
            let (fault, lasting) = any(dice);
            let (start, end) = window(dice, 2, 60);
            let host = *dice.pick(&[Host::Ghcr, Host::GithubApi, plain]);
            let rule = FaultRule::on(host, fault).between(start, end);
            // Half of all logins refused, by a registry that nobody can be asked about, is a lie that nobody can see through.
            let lies = host == plain && matches!(rule.fault, Fault::Status { status: 401 | 403, .. });
            let rule = if dice.percent(50) && !lies { rule.share(0.5) } else { rule };
            this.force(world, rule, lasting);
            this.windows.push((start, end + LONGEST_WAIT));
        }
        // Good tokens refused for minutes.
        for _ in 0..dice.below(3) {
            let actor = dice.below(cast.len());
            let (start, end) = window(dice, 1, 6);
            if cast.is_github(actor) {
                this.force(world, false_refusal(dice).token(cast.token(actor)).between(start, end), TimeDelta::zero());
                this.windows.push((start, end + LONGEST_WAIT));
            }
        }
        // Everyone refused: by the registry, by the issuer, by both.
        for host in [Host::Ghcr, Host::GithubApi] {
            if dice.percent(25) {
                let (start, end) = window(dice, 3, 90);
                let both = dice.percent(40);
                for refuses in [Host::Ghcr, Host::GithubApi].into_iter().filter(|other| both || *other == host) {
                    let rule = match refuses {
                        Host::Ghcr => FaultRule::on(refuses, Fault::ghcr_denied()).path(*dice.pick(&["/token", "/"])),
                        _ => FaultRule::on(refuses, Fault::bad_credentials()),
                    };
                    this.force(world, rule.between(start, end), TimeDelta::zero());
                }
                // The incident ends with the next round, and what was refused in it begins anew.
                this.windows.push((start, end + LONGEST_WAIT + LONGEST_WAIT));
            }
        }
        this.draw_switches(dice, cast, &mut window);
        this
    }

    fn draw_switches(&mut self, dice: &mut Dice, cast: &Cast, window: &mut impl FnMut(&mut Dice, i64, i64) -> Span) {
        for name in [REGISTRY, API] {
            if dice.percent(25) {
                let (start, end) = window(dice, 2, 40);
                let how = *dice.pick(&[Resolution::Unknown, Resolution::Nobody]);
                self.switches.push((start, Switch::Resolve(name, how)));
                self.switches.push((end, Switch::Resolve(name, Resolution::Here)));
                self.windows.push((start, end + LONGEST_WAIT));
            }
        }
        for kind in 0..3 {
            let actor = dice.below(cast.len());
            if !dice.percent(25) || !cast.is_github(actor) {
                continue;
            }
            let (start, end) = window(dice, 5, 60);
            let length = end - start;
            let (switch, after) = match kind {
                // An owner who is locked out is left alone for an hour.
                0 => (Switch::LockOut(actor, length), TimeDelta::minutes(80)),
                1 => (Switch::PrimaryLimit(actor, length), LONGEST_WAIT),
                _ => (Switch::SecondaryLimit(actor, length, dice.percent(50)), LONGEST_WAIT),
            };
            self.switches.push((start, switch));
            self.windows.push((start, end + after));
        }
        if dice.percent(30) {
            for _ in 0..2 {
                let (start, _) = window(dice, 1, 2);
                let days = TimeDelta::days(*dice.pick(&[-700, -1, 1, 45, 400]));
                self.switches.push((start, Switch::JumpWall(days)));
            }
        }
        if dice.percent(20) {
            let (start, _) = window(dice, 1, 2);
            self.switches.push((start, Switch::Skew(Host::Ghcr, TimeDelta::hours(*dice.pick(&[-50, -1, 1, 50])))));
        }
        if dice.percent(20) {
            let (start, _) = window(dice, 1, 2);
            self.switches.push((start, Switch::Skew(Host::GithubApi, TimeDelta::seconds(*dice.pick(&[-90, 90])))));
        }
    }

    /// A resolver that does not answer, and connections that do not come about. Each question costs real time then.
    pub(crate) fn draw_silence(&mut self, dice: &mut Dice, span: Span) {
        let (from, to) = span;
        for name in [REGISTRY, API] {
            if dice.percent(15) {
                let start = from + dice.span(TimeDelta::minutes(5), to - from);
                let end = start + dice.span(TimeDelta::minutes(1), TimeDelta::minutes(8));
                let how = *dice.pick(&[Resolution::Silence, Resolution::Deaf]);
                self.switches.push((start, Switch::Resolve(name, how)));
                self.switches.push((end, Switch::Resolve(name, Resolution::Here)));
                self.windows.push((start, end + LONGEST_WAIT));
            }
        }
    }

    /// The listeners beside the hosts that somebody will look for in vain.
    pub(crate) fn deaf(&self, world: &World) -> Vec<Deaf> {
        let beside = [(REGISTRY, Host::Ghcr), (API, Host::GithubApi)];
        let drawn = |name| {
            let is = |switch: &Switch| matches!(switch, Switch::Resolve(of, Resolution::Deaf) if *of == name);
            self.switches.iter().any(|(_, switch)| is(switch))
        };
        beside.into_iter().filter(|(name, _)| drawn(*name)).map(|(_, host)| Deaf::beside(world, host)).collect()
    }

    fn force(&mut self, world: &World, rule: FaultRule, lasting: TimeDelta) {
        self.story.push((rule.from.unwrap_or(world.now()), format!("{rule:?}")));
        self.lasting.insert(world.fault(rule).id(), lasting);
    }

    /// The times at which something that happened in the log kept things from being seen.
    pub(crate) fn dirt(&self, world: &World) -> Vec<Span> {
        let struck = world.requests_where(|request| request.fault.is_some());
        let lasting = |id: &FaultId| self.lasting.get(id).copied().unwrap_or_default();
        // What a hit delays, a confirmation makes up for.
        let after = |id: &FaultId| lasting(id) + TimeDelta::seconds(140);
        struck.iter().filter_map(|request| Some((request.at, request.at + after(request.fault.as_ref()?)))).collect()
    }
}

impl Switch {
    pub(crate) fn turn(&self, world: &World, names: &Names, hands: &pull_patrol::clock::Hands, cast: &Cast) {
        match self {
            Self::Resolve(name, how) => names.set(name, *how),
            Self::LockOut(actor, length) => world.owner(cast.owner(*actor)).lock_out(*length),
            Self::PrimaryLimit(actor, length) => world.owner(cast.owner(*actor)).set_rate_limit(5000, 0, *length),
            Self::SecondaryLimit(actor, length, retry_after) => {
                let limit = SecondaryLimit { until: world.now() + *length, status: 403, retry_after: *retry_after };
                world.owner(cast.owner(*actor)).set_secondary_limit(Some(limit));
            }
            Self::JumpWall(by) => hands.jump_wall(*by),
            Self::Skew(host, by) => world.set_date_skew(*host, *by),
        }
    }
}
