//! Simulated days: the patrol's own schedule and ledger, glued as the patrol glues them, against a world.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pull_patrol::config::Config;
use pull_patrol::patrol::{Answer, take_in};
use pull_patrol::plan::{Ask, LoginId, Moment, Schedule, TokenKey, Wanted};
use pull_patrol::probe::Unproven;
use pull_patrol::verdict::{AccessView, Judged, Ledger, Rules, Status, judge};

use super::answers::{HOST, Outside, index, login_id, our_wall, token_key};
use super::dice::Dice;
use super::score::{PER_SECOND, Score};
use super::world::{MINUTE, SECOND, World};

const API: &str = "api.github.com";
/// Least time between two requests of one host.
const GAP: u64 = SECOND / PER_SECOND as u64;

/// An exchange on its way.
struct Flight {
    ask: Ask,
    answer: Answer,
    honest: bool,
}

/// One run.
pub(crate) struct Drive<'w> {
    world: &'w World,
    dice: Dice,
    concurrency: usize,
    schedule: Schedule,
    ledger: Ledger,
    /// By the time of their end.
    flights: BTreeMap<(u64, u64), Flight>,
    launched: u64,
    /// From when on a host takes the next request.
    opens: BTreeMap<&'static str, u64>,
    /// Logins that a Secret holds now.
    held: Vec<usize>,
    /// Per login the repositories that are asked for, in the order of its packages.
    repositories: Vec<Vec<Arc<str>>>,
    pub(crate) score: Score<'w>,
}

pub(crate) fn moment(at: u64) -> Moment {
    Moment(Duration::from_millis(at))
}

fn millis(moment: Moment) -> u64 {
    u64::try_from(moment.0.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl<'w> Drive<'w> {
    pub(crate) fn new(world: &'w World, seed: u64) -> Self {
        let config = Config::default();
        let names = |packages: &[super::world::Package]| packages.iter().map(|it| Arc::from(&*it.name)).collect();
        Self {
            world,
            dice: Dice::new(seed ^ 0x5eed),
            concurrency: config.probe.concurrency,
            schedule: Schedule::new(&config.probe, &config.issuer),
            ledger: Ledger::new(Rules::new(&config)),
            flights: BTreeMap::new(),
            launched: 0,
            opens: BTreeMap::new(),
            held: Vec::new(),
            repositories: world.logins.iter().map(|login| names(&login.packages)).collect(),
            score: Score::new(world),
        }
    }

    /// Through all of the world's time.
    pub(crate) fn run(mut self) -> Score<'w> {
        let starts = self.world.logins.iter().flat_map(|login| [login.wanted.start, login.wanted.end]);
        let mut edits: Vec<u64> = starts.filter(|at| *at <= self.world.ends).collect();
        edits.push(0);
        edits.sort_unstable();
        edits.dedup();
        let mut edits = edits.into_iter().peekable();
        let mut tick = MINUTE;
        loop {
            let edit = edits.peek().copied();
            let landing = self.flights.keys().next().map(|(at, _)| *at);
            let due = self.schedule.next_due().filter(|_| self.flights.len() < self.concurrency).map(millis);
            let Some(now) = [edit, landing, due, Some(tick)].into_iter().flatten().min() else { break };
            if now > self.world.ends {
                break;
            }
            if edit == Some(now) {
                edits.next();
                self.sync(now);
            }
            while let Some(entry) = self.flights.first_entry().filter(|entry| entry.key().0 <= now) {
                let flight = entry.remove();
                self.land(&flight, now);
            }
            self.launch(now);
            if tick <= now {
                for login in self.held.clone() {
                    self.look(login, now);
                }
                let incident = self.ledger.registry(HOST).incident;
                self.score.minute(now, incident, self.ledger.registry(API).incident);
                tick += MINUTE;
            }
        }
        self.score.finish();
        self.score
    }

    /// What the patrol does when the inventory changed.
    fn sync(&mut self, now: u64) {
        let held: Vec<usize> =
            (0..self.world.logins.len()).filter(|login| self.world.logins[*login].wanted.contains(&now)).collect();
        let fresh: Vec<LoginId> =
            held.iter().filter(|login| !self.held.contains(login)).map(|it| login_id(*it)).collect();
        self.held = held;
        let mut wanted = Vec::new();
        let mut tokens: BTreeMap<TokenKey, Vec<LoginId>> = BTreeMap::new();
        let (host, api): (Arc<str>, Arc<str>) = (HOST.into(), API.into());
        let simple = |ask, login: usize| Wanted {
            ask,
            host: host.clone(),
            pool: host.clone(),
            tenant: format!("team-{login}").into(),
            logins: Vec::new(),
        };
        for login in &self.held {
            let id = login_id(*login);
            wanted.push(simple(Ask::Login(id), *login));
            for repository in &self.repositories[*login] {
                let (repository, reference) = (repository.clone(), "latest".into());
                let ask = Ask::Access { host: host.clone(), login: Some(id), repository, reference };
                wanted.push(simple(ask, *login));
            }
            if let Some(token) = self.token(*login) {
                tokens.entry(token).or_default().push(id);
            }
        }
        if self.world.with_canary {
            wanted.push(Wanted { tenant: "".into(), ..simple(Ask::Canary(host.clone()), 0) });
        }
        let asks = tokens.iter().map(|(token, logins)| Wanted {
            ask: Ask::Issuer(token.clone()),
            host: api.clone(),
            pool: api.clone(),
            tenant: format!("team-{}", logins.first().map_or(0, |login| login.0)).into(),
            logins: logins.clone(),
        });
        wanted.extend(asks);
        self.schedule.sync(&wanted, &fresh, moment(now));
        let held = &self.held;
        self.ledger.retain(|login| held.contains(&index(login)), |token| tokens.contains_key(token));
    }

    fn token(&self, login: usize) -> Option<TokenKey> {
        self.world.with_issuer.then(|| token_key(self.world.logins[login].token))
    }

    fn launch(&mut self, now: u64) {
        let free = self.concurrency.saturating_sub(self.flights.len());
        for ask in self.schedule.pop_due(moment(now), free) {
            let host = if matches!(ask, Ask::Issuer(_)) { API } else { HOST };
            self.score.asked(now, usize::from(host == API));
            let opens = self.opens.entry(host).or_default();
            let starts = now.max(*opens);
            *opens = starts + GAP;
            let denied = match &ask {
                Ask::Issuer(token) => self.denied(token),
                _ => Vec::new(),
            };
            let reply = Outside { world: self.world, dice: &mut self.dice }.reply(&ask, starts, &denied);
            self.launched += 1;
            let flight = Flight { ask, answer: reply.answer, honest: reply.honest };
            self.flights.insert((starts + reply.takes, self.launched), flight);
        }
    }

    /// Repositories that one of the logins with a token is denied.
    fn denied(&self, token: &TokenKey) -> Vec<String> {
        let of_token = |login: &&usize| self.world.logins[**login].token == token.token.0;
        let login = self.held.iter().find(of_token).map(|login| login_id(*login));
        login.into_iter().flat_map(|login| self.ledger.denied_repositories(login)).map(str::to_owned).collect()
    }

    fn land(&mut self, flight: &Flight, now: u64) {
        let login = match &flight.ask {
            Ask::Issuer(key) => self.held.iter().copied().find(|it| self.world.logins[*it].token == key.token.0),
            ask => ask.login().map(index),
        };
        let token = flight.ask.login().and_then(|login| self.token(index(login)));
        let both = (&mut self.schedule, &mut self.ledger);
        take_in(both, (&flight.ask, HOST), token.as_ref(), &flight.answer, moment(now));
        let locked_out = match &flight.answer {
            Answer::Issuer(evidence) => {
                evidence.answer == pull_patrol::probe::IssuerAnswer::Unproven(Unproven::LockedOut)
            }
            _ => false,
        };
        if locked_out && let Some(login) = login {
            // Everything of this owner waits for an hour.
            self.score.paused(self.world.logins[login].owner, now + 60 * MINUTE);
        } else if !flight.honest {
            let waits = wait_of(&flight.answer);
            if waits > 0 {
                self.score.holds(usize::from(matches!(flight.ask, Ask::Issuer(_))), now + waits);
            }
            self.score.hindered(login, now + waits, waits > 0);
        }
        if let Answer::Login(evidence) = &flight.answer
            && evidence.answer == pull_patrol::probe::LoginAnswer::Refused
            && let Some(login) = login
        {
            self.score.refused(login, now);
        }
        if let Some(login) = login.filter(|login| self.held.contains(login)) {
            self.look(login, now);
        }
    }

    /// What a user sees of a credential.
    fn look(&mut self, login: usize, now: u64) {
        let id = login_id(login);
        let view = self.ledger.login(id);
        let accesses: Vec<AccessView> =
            self.repositories[login].iter().map(|repository| self.ledger.access(Some(id), HOST, repository)).collect();
        let key = self.token(login);
        let token = key.as_ref().map(|token| self.ledger.token(token)).unwrap_or_default();
        let expires_at = token.facts.and_then(|facts| match facts.expiry {
            pull_patrol::probe::Expiry::At(at) => Some(at),
            _ => None,
        });
        // By the clock of whoever told the expiry, as the snapshot is built.
        let date = self.ledger.date(HOST, key.as_ref().map(|key| &key.issuer), moment(now));
        let judged = Judged {
            login: Some(&view),
            expires_at,
            pull_scope_missing: token.pull_scope_missing,
            accesses: &accesses,
            ..Judged::default()
        };
        let status: Status = judge(&judged, date.unwrap_or_else(|| our_wall(self.world, now)));
        self.score.look(login, now, status);
    }
}

fn wait_of(answer: &Answer) -> u64 {
    let wait = match answer {
        Answer::Login(evidence) => evidence.retry_after,
        Answer::Access(evidence) | Answer::Canary(evidence) => evidence.retry_after,
        Answer::Issuer(evidence) => evidence.retry_after,
    };
    wait.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}
