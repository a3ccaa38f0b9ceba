//! Every row of `docs/verdicts.md` has a test of its name here.

mod accesses;
mod denials;
mod hosts;
mod incidents;
mod kept;
mod memory;
mod moved;
mod proofs;
mod properties;
mod pulls;
mod refusals;
mod simulation;
mod tokens;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Advice, Judged, Ledger, LoginView, Rules, Status, judge};
use crate::plan::{Ask, Issuer, IssuerKind, LoginId, Moment, TokenId, TokenKey};
use crate::probe::{
    AccessAnswer, Denial, DenialStage, Evidence, Expiry, IssuerAnswer, LoginAnswer, TokenFacts, Unproven, Unreachable,
};

/// A registry whose tokens GitHub issued.
const GHCR: &str = "ghcr.io";
/// A registry without an issuer.
const PLAIN: &str = "registry.example.com";
const REPOSITORY: &str = "org/app";

const TIMEOUT: Unproven = Unproven::Unreachable(Unreachable::Timeout);

fn rules() -> Rules {
    Rules {
        confirmations: 3,
        spacing: Duration::from_secs(60),
        patience: Duration::from_secs(600),
        silence: Duration::from_secs(3600 + 600),
        outage: Duration::from_secs(6 * 3600),
        interval: Duration::from_secs(600),
        rejected_interval: Duration::from_secs(6 * 3600),
        issuer_interval: Duration::from_secs(3600),
    }
}

fn wall(seconds: u64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(i64::try_from(seconds).unwrap())
}

fn moment(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn evidence<A>(seconds: u64, answer: A, http_status: Option<u16>) -> Evidence<A> {
    Evidence {
        at: wall(seconds),
        took: Duration::ZERO,
        answer,
        http_status,
        code: None,
        detail: String::new(),
        server_date: None,
        retry_after: None,
        to_anybody: false,
    }
}

fn token(n: u64) -> TokenKey {
    let api = Some(url::Url::parse("https://api.github.com").unwrap());
    TokenKey { issuer: Issuer { kind: IssuerKind::GithubCloud, api }, token: TokenId(n) }
}

fn facts(scopes: Option<&[&str]>, expiry: Expiry) -> TokenFacts {
    let scopes = scopes.map(|scopes| scopes.iter().map(|&scope| scope.to_owned()).collect());
    TokenFacts { scopes, expiry, ..TokenFacts::default() }
}

fn alive() -> IssuerAnswer {
    IssuerAnswer::Alive(facts(Some(&["read:packages"]), Expiry::Never))
}

fn denied(stage: DenialStage) -> AccessAnswer {
    AccessAnswer::Denied(Denial { stage, missing_scope: false })
}

fn denied_for_scope() -> AccessAnswer {
    AccessAnswer::Denied(Denial { stage: DenialStage::Manifest, missing_scope: true })
}

/// A ledger with short ways to feed it. Times are seconds since the start.
struct Case {
    ledger: Ledger,
    now: u64,
}

impl Case {
    fn new() -> Self {
        Self { ledger: Ledger::new(rules()), now: 0 }
    }

    /// A login at ghcr.io with the token of the same number.
    fn ghcr(&mut self, at: u64, login: u64, answer: LoginAnswer) -> Advice {
        self.now = at;
        let evidence = evidence(at, answer, Some(200));
        self.ledger.record_login(LoginId(login), GHCR, Some(&token(login)), &evidence, moment(at))
    }

    /// A login at a registry without an issuer.
    fn plain(&mut self, at: u64, login: u64, answer: LoginAnswer) -> Advice {
        self.now = at;
        self.ledger.record_login(LoginId(login), PLAIN, None, &evidence(at, answer, Some(200)), moment(at))
    }

    fn refuse_ghcr(&mut self, login: u64, times: &[u64]) {
        for &at in times {
            self.ghcr(at, login, LoginAnswer::Refused);
        }
    }

    /// The token of login 1 is refused and disowned from then on, until that is proven.
    fn dies(&mut self, from: u64) {
        for at in [from, from + 60, from + 120] {
            self.ghcr(at, 1, LoginAnswer::Refused);
            self.issuer(at + 1, 1, IssuerAnswer::Disowned);
        }
    }

    fn refuse_plain(&mut self, login: u64, times: &[u64]) {
        for &at in times {
            self.plain(at, login, LoginAnswer::Refused);
        }
    }

    fn issuer(&mut self, at: u64, login: u64, answer: IssuerAnswer) -> Advice {
        self.now = at;
        self.ledger.record_issuer(&token(login), &evidence(at, answer, Some(200)), moment(at))
    }

    fn access(&mut self, at: u64, login: Option<u64>, host: &str, answer: AccessAnswer) -> Advice {
        self.now = at;
        let evidence = evidence(at, answer, Some(200));
        self.ledger.record_access(login.map(LoginId), host, REPOSITORY, &evidence, moment(at))
    }

    fn canary(&mut self, at: u64, host: &str, answer: AccessAnswer) -> Advice {
        self.now = at;
        self.ledger.record_canary(host, &evidence(at, answer, Some(200)), moment(at))
    }

    fn view(&self, login: u64) -> LoginView {
        self.ledger.login(LoginId(login))
    }

    /// The status of a credential that holds the login and is needed for [`REPOSITORY`].
    fn status(&self, login: u64) -> Status {
        let view = self.view(login);
        let token = self.ledger.token(&token(login));
        let host = self.ledger.logins.get(&LoginId(login)).map_or(GHCR, |record| &*record.host);
        let access = [self.ledger.access(Some(LoginId(login)), host, REPOSITORY)];
        let expires_at = token.facts.and_then(|facts| match facts.expiry {
            Expiry::At(at) => Some(at),
            _ => None,
        });
        let judged = Judged {
            login: Some(&view),
            expires_at,
            pull_scope_missing: token.pull_scope_missing,
            accesses: &access,
            ..Judged::default()
        };
        judge(&judged, wall(self.now))
    }

    fn incident(&self, host: &str) -> bool {
        self.ledger.registry(host).incident
    }
}

fn asks_login(advice: &Advice, login: u64) -> bool {
    advice.at_once.contains(&Ask::Login(LoginId(login)))
}

#[test]
fn every_row_of_the_table_names_a_test_that_exists() {
    let tests = [
        include_str!("accesses.rs"),
        include_str!("denials.rs"),
        include_str!("hosts.rs"),
        include_str!("incidents.rs"),
        include_str!("kept.rs"),
        include_str!("moved.rs"),
        include_str!("proofs.rs"),
        include_str!("pulls.rs"),
        include_str!("refusals.rs"),
        include_str!("tokens.rs"),
    ]
    .concat();
    let rows = include_str!("../../../docs/verdicts.md").lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next()).filter(|cell| *cell != "test");
    let names: Vec<&str> = cells.flat_map(|cell| cell.split(", ")).map(|name| name.trim_matches('`')).collect();
    assert!(names.len() > 40, "the table was not found");
    for name in names {
        assert!(tests.contains(&format!("fn {name}(")), "{name} is no test");
    }
}
