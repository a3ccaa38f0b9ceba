//! What registry and issuer answer, as evidence.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use pull_patrol::patrol::Answer;
use pull_patrol::plan::{Ask, Issuer, IssuerKind, LoginId, TokenId, TokenKey};
use pull_patrol::probe::{
    AccessAnswer, Denial, DenialStage, Evidence, Expiry, IssuerAnswer, LoginAnswer, TokenFacts, Unproven, Unreachable,
};

use super::dice::Dice;
use super::world::{Fault, HOUR, Login, MINUTE, SECOND, Why, World};

pub(crate) const HOST: &str = "ghcr.io";

/// What was answered, and whether that is how an honest host that is well would have answered.
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) honest: bool,
    /// From sending to the last byte.
    pub(crate) takes: u64,
}

/// Wall time of the world, at a moment.
pub(crate) fn wall(at: u64) -> DateTime<Utc> {
    let at = i64::try_from(at).unwrap_or(i64::MAX / 2);
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(at)
}

/// Our wall time, which may be off.
pub(crate) fn our_wall(world: &World, at: u64) -> DateTime<Utc> {
    wall(at) + TimeDelta::milliseconds(world.skew_at(at))
}

pub(crate) fn login_id(index: usize) -> LoginId {
    LoginId(index as u64)
}

pub(crate) fn token_key(token: u64) -> TokenKey {
    // Parsing an address costs more than a whole exchange here.
    thread_local! {
        static ISSUER: Issuer = Issuer {
            kind: IssuerKind::GithubCloud,
            api: Some("https://api.github.com".parse().expect("an address")),
        };
    }
    TokenKey { issuer: ISSUER.with(Clone::clone), token: TokenId(token) }
}

/// Asks the world.
pub(crate) struct Outside<'w> {
    pub(crate) world: &'w World,
    pub(crate) dice: &'w mut Dice,
}

impl Outside<'_> {
    /// The answer to a question that arrives at this moment; `denied` are the repositories that the patrol finds denied to
    /// the login that the question is about.
    pub(crate) fn reply(&mut self, ask: &Ask, at: u64, denied: &[String]) -> Reply {
        match ask {
            Ask::Login(login) => {
                let (answer, honest, waits) = self.login(index(*login), at);
                self.made(at, waits, honest, |evidence| Answer::Login(evidence.with(answer)))
            }
            Ask::Access { login, repository, .. } => {
                let login = login.map(index).expect("nothing is asked anonymously here");
                let (answer, honest, waits) = self.access(login, repository, at);
                self.made(at, waits, honest, |evidence| Answer::Access(evidence.with(answer)))
            }
            Ask::Issuer(key) => {
                let (answer, honest, waits) = self.issuer(key.token.0, at, denied);
                self.made(at, waits, honest, |evidence| Answer::Issuer(evidence.with(answer)))
            }
            Ask::Canary(_) => {
                let (answer, honest, waits) = self.canary(at);
                self.made(at, waits, honest, |evidence| Answer::Canary(evidence.with(answer)))
            }
        }
    }

    fn login(&mut self, login: usize, at: u64) -> (LoginAnswer, bool, Option<Unproven>) {
        if let Some(why) = self.silence(at, Fault::RegistrySilent) {
            return (LoginAnswer::Unproven(why.clone()), false, Some(why));
        }
        if let Some(untold) = &self.world.untold {
            (untold.clone(), true, None)
        } else if self.is_refused(login, at) {
            (LoginAnswer::Refused, self.world.logins[login].is_dead(at), None)
        } else {
            (LoginAnswer::Accepted, true, None)
        }
    }

    fn is_refused(&mut self, login: usize, at: u64) -> bool {
        let truth = &self.world.logins[login];
        let fits = |fault| {
            fault == Fault::RegistryRefuses
                || fault == Fault::LoginRefused(login)
                || fault == Fault::LockedOut(truth.owner)
        };
        self.dice.happens(self.world.noise.refused) || truth.is_dead(at) || self.world.suffers(at, fits)
    }

    fn access(&mut self, login: usize, repository: &Arc<str>, at: u64) -> (AccessAnswer, bool, Option<Unproven>) {
        if let Some(why) = self.silence(at, Fault::RegistrySilent) {
            return (AccessAnswer::Unproven(why.clone()), false, Some(why));
        }
        let world = self.world;
        let truth = &world.logins[login];
        if self.is_refused(login, at) {
            return (AccessAnswer::LoginRefused, truth.is_dead(at), None);
        }
        let denial = |missing_scope| AccessAnswer::Denied(Denial { stage: DenialStage::Manifest, missing_scope });
        let closed =
            truth.packages.iter().find(|package| *package.name == **repository).and_then(|it| it.closed_at(at));
        if truth.lacks_scope(at) {
            return (denial(world.names_scopes), true, None);
        }
        match closed {
            Some(Why::Deleted) => return (AccessAnswer::NotFound, true, None),
            Some(_) => return (denial(false), true, None),
            None => {}
        }
        let fits = |fault| fault == Fault::RegistryDenies || fault == Fault::LoginDenied(login);
        if self.dice.happens(world.noise.denied) || world.suffers(at, fits) {
            return (denial(false), false, None);
        }
        (AccessAnswer::Granted, true, None)
    }

    fn issuer(&mut self, token: u64, at: u64, denied: &[String]) -> (IssuerAnswer, bool, Option<Unproven>) {
        if let Some(why) = self.silence(at, Fault::IssuerSilent) {
            return (IssuerAnswer::Unproven(why.clone()), false, Some(why));
        }
        let world = self.world;
        let of_token = |(_, login): &(usize, &Login)| login.token == token;
        let mut all = world.logins.iter().enumerate().filter(of_token);
        let (index, truth) = all.next().expect("a token of a login");
        if world.suffers(at, |fault| fault == Fault::LockedOut(truth.owner)) {
            return (IssuerAnswer::Unproven(Unproven::LockedOut), false, Some(Unproven::LockedOut));
        }
        let fits = |fault| fault == Fault::IssuerDisowns || fault == Fault::TokenDisowned(index);
        if truth.is_dead(at) {
            return (IssuerAnswer::Disowned, true, None);
        }
        if self.dice.happens(world.noise.disowned) || world.suffers(at, fits) {
            return (IssuerAnswer::Disowned, false, None);
        }
        let closed = |why| truth.packages.iter().filter(move |package| package.closed_at(at) == Some(why));
        if closed(Why::Policy).next().is_some() {
            return (IssuerAnswer::ForbiddenByPolicy, true, None);
        }
        let scopes: &[&str] = if truth.lacks_scope(at) { &["repo"] } else { &["read:packages"] };
        let organisations: Vec<&str> = closed(Why::Sso).map(super::world::Package::organisation).collect();
        let mut demanded: Vec<String> = Vec::new();
        for repository in denied {
            let owner = repository.split_once('/').map_or("", |(owner, _)| owner);
            if organisations.contains(&owner) && !demanded.iter().any(|known| known == owner) {
                demanded.push(owner.to_owned());
            }
        }
        let facts = TokenFacts {
            owner: Some(format!("owner-{}", truth.owner)),
            scopes: Some(scopes.iter().map(|&scope| scope.to_owned()).collect()),
            expiry: truth.expires.map_or(Expiry::Never, |expires| Expiry::At(wall(expires))),
            sso_required: !demanded.is_empty(),
            sso_demanded_by: demanded,
            ..TokenFacts::default()
        };
        (IssuerAnswer::Alive(facts), true, None)
    }

    fn canary(&mut self, at: u64) -> (AccessAnswer, bool, Option<Unproven>) {
        if let Some(why) = self.silence(at, Fault::RegistrySilent) {
            return (AccessAnswer::Unproven(why.clone()), false, Some(why));
        }
        let denied = |stage| AccessAnswer::Denied(Denial { stage, missing_scope: false });
        if self.dice.happens(self.world.noise.refused) || self.world.suffers(at, |it| it == Fault::RegistryRefuses) {
            return (denied(DenialStage::Token), false, None);
        }
        if self.world.suffers(at, |it| it == Fault::RegistryDenies) {
            return (denied(DenialStage::Manifest), false, None);
        }
        (AccessAnswer::Granted, true, None)
    }

    /// An answer that proves nothing, where there is none that does.
    fn silence(&mut self, at: u64, of: Fault) -> Option<Unproven> {
        if !self.dice.happens(self.world.noise.silent) && !self.world.suffers(at, |fault| fault == of) {
            return None;
        }
        let kinds = [
            Unproven::Unreachable(Unreachable::Timeout),
            Unproven::Unreachable(Unreachable::Connect),
            Unproven::Unreachable(Unreachable::Reset),
            Unproven::Unreachable(Unreachable::Tls),
            Unproven::Unreachable(Unreachable::Dns),
            Unproven::Odd("http_5xx"),
            Unproven::Odd("http_5xx"),
            Unproven::Odd("truncated"),
            Unproven::Odd("oversized"),
            Unproven::Odd("empty"),
            Unproven::Odd("html"),
            Unproven::Odd("unexpected_json"),
            Unproven::Throttled,
        ];
        Some(self.dice.one_of(&kinds).clone())
    }

    fn made(&mut self, at: u64, silent: Option<Unproven>, honest: bool, make: impl FnOnce(Bare) -> Answer) -> Reply {
        let takes = match silent {
            Some(Unproven::Unreachable(Unreachable::Timeout)) => 10 * SECOND,
            _ => self.dice.between(20, 900),
        };
        // A secondary rate limit names a minute, a primary one the end of its hour; ghcr.io seconds.
        let waits = [None, Some(SECOND), Some(30 * SECOND), Some(MINUTE), Some(MINUTE), Some(HOUR / 2)];
        let wait = silent.filter(|why| *why == Unproven::Throttled).and_then(|_| *self.dice.one_of(&waits));
        let bare = Bare {
            at: our_wall(self.world, at + takes),
            server_date: wall(at + takes),
            took: Duration::from_millis(takes),
            retry_after: wait.map(Duration::from_millis),
        };
        Reply { answer: make(bare), honest, takes }
    }
}

/// Evidence that lacks its answer.
struct Bare {
    at: DateTime<Utc>,
    server_date: DateTime<Utc>,
    took: Duration,
    retry_after: Option<Duration>,
}

impl Bare {
    fn with<A>(self, answer: A) -> Evidence<A> {
        Evidence {
            at: self.at,
            took: self.took,
            answer,
            http_status: Some(200),
            code: None,
            detail: String::new(),
            server_date: Some(self.server_date),
            retry_after: self.retry_after,
            to_anybody: false,
        }
    }
}

pub(crate) fn index(login: LoginId) -> usize {
    usize::try_from(login.0).expect("an index")
}
