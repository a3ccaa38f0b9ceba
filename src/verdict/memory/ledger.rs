//! The ledger as records, and back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::dial::{Dial, Stamp, not_ahead};
use super::forms::{AsksForm, LoginForm, RowForm, RunForm, StandingForm, millis};
use super::record::{
    AccessRecord, FactsRecord, HostRecord, IssuerRecord, LoginRecord, Record, RegistryRecord, TokenRecord,
};
use crate::plan::LoginId;
use crate::probe::{RateLimit, TokenFacts};
use crate::verdict::Ledger;
use crate::verdict::records::{self, Proven, Rows};

/// Everything that a ledger knows.
pub fn remember(ledger: &Ledger, dial: &Dial) -> impl Iterator<Item = Record> {
    let logins = ledger.logins.iter().flat_map(|(id, record)| {
        let own = Record::Login(login(*id, record, dial));
        let accesses = record.accesses.iter();
        let accesses = accesses.map(|(repository, of)| access(Some(*id), &record.host, repository, of, dial));
        std::iter::once(own).chain(accesses.collect::<Vec<_>>())
    });
    let tokens = ledger.tokens.iter().map(|(key, record)| {
        Record::Token(TokenRecord {
            token: key.into(),
            facts: record.facts.as_ref().map(facts),
            standing: StandingForm::of(&record.standing, dial),
            forbidden_by_policy: record.forbidden_by_policy,
            locked_out: record.locked_out,
            rests_until: record.rests_until.map(|until| dial.tell(until)),
            scope_run: RunForm::of(&record.scope_run, dial),
            pull_scope_missing: record.pull_scope_missing,
            stretch: millis(record.stretch),
            probed_at: record.probed_at.map(Stamp::from),
            rows: RowForm::all(&record.rows.0),
        })
    });
    let registries = ledger.registries.iter().flat_map(|(host, record)| {
        let own = Record::Registry(registry(host, record, dial));
        let anonymous = record.anonymous.iter().map(|(repository, of)| access(None, host, repository, of, dial));
        std::iter::once(own).chain(anonymous.collect::<Vec<_>>())
    });
    let issuers = ledger.issuers.iter().map(|(issuer, record)| {
        Record::Issuer(IssuerRecord {
            issuer: issuer.into(),
            incident: record.incident,
            alive_at: record.alive_at.map(|at| dial.tell(at)),
            control_asked: record.control_asked.map(|at| dial.tell(at)),
        })
    });
    let hosts = ledger.hosts.iter().map(|(host, record)| {
        let (up, skew_seconds) = (record.up, record.skew_seconds.filter(|skew| skew.is_finite()));
        let told = record.told.map(|(at, date)| (dial.tell(at), date.into()));
        Record::Host(HostRecord { host: host.as_ref().to_owned(), up, skew_seconds, told })
    });
    logins.chain(tokens).chain(registries).chain(issuers).chain(hosts)
}

fn login(id: LoginId, record: &records::LoginRecord, dial: &Dial) -> LoginRecord {
    LoginRecord {
        login: LoginForm(id),
        host: record.host.as_ref().to_owned(),
        issuer: (&record.issuer).into(),
        asks: record.asks.into(),
        standing: StandingForm::of(&record.standing, dial),
        verdict: record.verdict.map(proven),
        accepted_at: record.accepted_at.map(|at| dial.tell(at)),
        probed_at: record.probed_at.map(Stamp::from),
        not_checked: record.not_checked,
        guarded: record.guarded.as_ref().map(Into::into),
        rows: RowForm::all(&record.rows.0),
    }
}

fn access(login: Option<LoginId>, host: &str, path: &str, of: &records::AccessRecord, dial: &Dial) -> Record {
    Record::Access(AccessRecord {
        login: login.map(LoginForm),
        host: host.to_owned(),
        repository: path.to_owned(),
        verdict: of.verdict.map(proven),
        run: RunForm::of(&of.run, dial),
        all: RunForm::of(&of.all, dial),
        words: of.words,
        missing_scope: of.missing_scope,
        guarded: of.guarded.as_ref().map(Into::into),
        asks_password: of.asks_password,
        denied_lately: of.denied_lately,
        denied_at: of.denied_at.map(|at| dial.tell(at)),
        known_good: of.known_good,
        fresh: of.fresh,
        suspect: of.suspect,
        doubted: of.doubted,
    })
}

fn registry(host: &str, record: &records::RegistryRecord, dial: &Dial) -> RegistryRecord {
    RegistryRecord {
        host: host.to_owned(),
        incident: record.incident,
        control_asked: record.control_asked.map(|at| dial.tell(at)),
        ever_accepted: record.ever_accepted,
        denies_everyone: record.denies_everyone,
        accepted: record.accepted.iter().map(|(login, at)| (LoginForm(*login), dial.tell(*at))).collect(),
        granted: record
            .granted
            .iter()
            .map(|((login, path), at)| (login.map(LoginForm), path.as_ref().to_owned(), dial.tell(*at)))
            .collect(),
        canary: StandingForm::of(&record.canary, dial),
        asked: record.asked.clone(),
    }
}

fn proven(verdict: Proven) -> (bool, Stamp) {
    (verdict.yes, verdict.at.into())
}

fn facts(facts: &TokenFacts) -> FactsRecord {
    FactsRecord {
        owner: facts.owner.clone(),
        scopes: facts.scopes.clone(),
        expiry: facts.expiry.into(),
        sso_required: facts.sso_required,
        sso_demanded_by: facts.sso_demanded_by.clone(),
        rate_limit: facts.rate_limit.map(|limit| (limit.limit, limit.remaining, limit.reset.into())),
    }
}

/// Let a ledger know what it knew. `dial` reads what the earlier process wrote; `now` is wall time.
pub fn recall(ledger: &mut Ledger, records: &[Record], dial: &Dial, now: DateTime<Utc>) {
    let reader = Reader { dial, now };
    for record in records {
        match record {
            Record::Login(record) => {
                let host = host_name(ledger, &record.host);
                ledger.registry_mut(&host).logins.insert(record.login.0);
                ledger.logins.insert(record.login.0, reader.login(record, host));
            }
            Record::Token(record) => {
                if let Some(key) = record.token.key() {
                    *ledger.token_mut(&key) = reader.token(record);
                }
            }
            Record::Registry(record) => {
                let host = host_name(ledger, &record.host);
                let registry = ledger.registry_mut(&host);
                registry.incident = record.incident;
                registry.control_asked = record.control_asked.map(|at| dial.moment(at));
                registry.ever_accepted = record.ever_accepted;
                registry.denies_everyone = record.denies_everyone;
                registry.accepted = record.accepted.first().map(|(login, at)| (login.0, dial.moment(*at)));
                registry.granted = record
                    .granted
                    .first()
                    .map(|(login, path, at)| ((login.map(|login| login.0), path.as_str().into()), dial.moment(*at)));
                registry.canary = record.canary.standing(dial);
                registry.asked.clone_from(&record.asked);
            }
            Record::Issuer(record) => {
                if let Some(issuer) = record.issuer.issuer() {
                    let known = ledger.issuers.entry(issuer).or_default();
                    known.incident = record.incident;
                    known.alive_at = record.alive_at.map(|at| dial.moment(at));
                    known.control_asked = record.control_asked.map(|at| dial.moment(at));
                }
            }
            Record::Host(record) => {
                let host = host_name(ledger, &record.host);
                let (up, skew_seconds) = (record.up, record.skew_seconds);
                let told = record.told.map(|(at, date)| (dial.moment(at), date.wall()));
                ledger.hosts.insert(host, records::HostRecord { up, skew_seconds, told });
            }
            Record::Access(_) | Record::Ask(_) | Record::Hold(_) => {}
        }
    }
    // Each hangs on its login or on its registry, and each login hangs on its token.
    for record in records {
        if let Record::Access(record) = record
            && record.login.is_none_or(|login| ledger.logins.contains_key(&login.0))
        {
            *ledger.access_mut(record.login.map(|login| login.0), &record.host, &record.repository) =
                reader.access(record);
        }
    }
    let tokens: Vec<_> = ledger.logins.iter().filter_map(|(id, login)| Some((*id, login.token()?.clone()))).collect();
    for (login, token) in tokens {
        if let Some(record) = ledger.tokens.get_mut(&token) {
            record.logins.insert(login);
        }
    }
}

fn host_name(ledger: &Ledger, host: &str) -> Arc<str> {
    ledger.hosts.get_key_value(host).map_or_else(|| Arc::from(host), |(known, _)| Arc::clone(known))
}

struct Reader<'a> {
    dial: &'a Dial,
    now: DateTime<Utc>,
}

impl Reader<'_> {
    fn proven(&self, verdict: Option<(bool, Stamp)>) -> Option<Proven> {
        verdict.map(|(yes, at)| Proven { yes, at: not_ahead(at, self.now) })
    }

    fn rows(rows: &[RowForm]) -> Rows {
        Rows(rows.iter().cloned().filter_map(RowForm::row).map(Arc::new).collect())
    }

    fn login(&self, record: &LoginRecord, host: Arc<str>) -> records::LoginRecord {
        let mut login = records::LoginRecord::new(host);
        login.issuer = record.issuer.confirmation();
        login.asks = AsksForm::into(record.asks);
        login.standing = record.standing.standing(self.dial);
        login.verdict = self.proven(record.verdict);
        login.accepted_at = record.accepted_at.map(|at| self.dial.moment(at));
        login.probed_at = record.probed_at.map(|at| not_ahead(at, self.now));
        login.not_checked = record.not_checked;
        login.guarded = record.guarded.clone().map(Into::into);
        login.rows = Self::rows(&record.rows);
        login
    }

    fn access(&self, record: &AccessRecord) -> records::AccessRecord {
        records::AccessRecord {
            verdict: self.proven(record.verdict),
            run: RunForm::run(record.run, self.dial),
            all: RunForm::run(record.all, self.dial),
            words: record.words,
            missing_scope: record.missing_scope,
            guarded: record.guarded.clone().map(Into::into),
            asks_password: record.asks_password,
            denied_lately: record.denied_lately,
            denied_at: record.denied_at.map(|at| self.dial.moment(at)),
            known_good: record.known_good,
            fresh: record.fresh,
            suspect: record.suspect,
            doubted: record.doubted,
        }
    }

    fn token(&self, record: &TokenRecord) -> records::TokenRecord {
        records::TokenRecord {
            facts: record.facts.as_ref().map(|facts| TokenFacts {
                owner: facts.owner.clone(),
                scopes: facts.scopes.clone(),
                expiry: facts.expiry.into(),
                sso_required: facts.sso_required,
                sso_demanded_by: facts.sso_demanded_by.clone(),
                rate_limit: facts.rate_limit.map(|(limit, remaining, reset)| RateLimit {
                    limit,
                    remaining,
                    reset: reset.wall(),
                }),
            }),
            standing: record.standing.standing(self.dial),
            forbidden_by_policy: record.forbidden_by_policy,
            locked_out: record.locked_out,
            rests_until: record.rests_until.map(|until| self.dial.moment(until)),
            scope_run: RunForm::run(record.scope_run, self.dial),
            pull_scope_missing: record.pull_scope_missing,
            stretch: Duration::from_millis(record.stretch),
            probed_at: record.probed_at.map(|at| not_ahead(at, self.now)),
            rows: Self::rows(&record.rows),
            // They are linked when all of them are known.
            logins: BTreeSet::new(),
        }
    }
}
