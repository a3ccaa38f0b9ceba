//! What is known of each login, worked out once however many credentials share it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::build::Inputs;
use super::findings;
use crate::credential::Finding;
use crate::plan::{ByLogin, Issuer, Login, LoginId, TokenKey};
use crate::probe::{self, Expiry, TokenFacts};
use crate::verdict::{EvidenceRow, LoginView, PULL_SCOPE};

/// What is known of a login and its token.
#[derive(Debug)]
pub(super) struct LoginFacts {
    pub(super) view: LoginView,
    pub(super) pull_scope_missing: bool,
    /// Expiry as the issuer told.
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) expiry_known: Option<bool>,
    pub(super) owner: Arc<str>,
    pub(super) scopes: Option<Arc<[String]>>,
    pub(super) missing_scopes: Option<Arc<[String]>>,
    pub(super) excess_scopes: Option<Arc<[String]>>,
    pub(super) findings: Vec<Finding>,
    pub(super) evidence: Arc<[Arc<EvidenceRow>]>,
    /// The time now by the clock of whoever told the expiry.
    pub(super) date: Option<DateTime<Utc>>,
}

/// By login; none of what another shard asks about.
#[derive(Debug)]
pub(super) struct Logins(ByLogin<LoginFacts>);

impl Logins {
    pub(super) fn of(inputs: &Inputs<'_>, now: DateTime<Utc>) -> Self {
        let asked = inputs.book.logins.iter().filter(|(id, _)| inputs.book.asks(**id));
        Self(asked.map(|(id, login)| (*id, LoginFacts::of(inputs, login, now))).collect())
    }

    pub(super) fn get(&self, login: LoginId) -> Option<&LoginFacts> {
        self.0.get(&login)
    }
}

impl LoginFacts {
    fn of(inputs: &Inputs<'_>, login: &Login, now: DateTime<Utc>) -> Self {
        let mut view = inputs.ledger.login(login.id);
        let mut evidence = std::mem::take(&mut view.evidence);
        let issuer = login.registry.issuer.as_ref();
        let token = issuer.map(|issuer| inputs.ledger.token(&TokenKey { issuer: issuer.clone(), token: login.token }));
        let mut token = token.unwrap_or_default();
        evidence.append(&mut token.evidence);
        evidence.sort_by_key(|row| row.at);
        let facts = token.facts.unwrap_or_default();
        let required = &inputs.config.issuer.required_scopes;
        // Which scopes there are is told by GitHub alone; another issuer's names cannot be held against them.
        let told = facts.scopes.as_deref().filter(|_| issuer.is_some_and(Issuer::is_github));
        let missing_scopes = told.map(|told| probe::missing(required, told).into_iter().collect());
        let excess_scopes = told.map(|told| probe::excess(&with_pull_scope(required), told).into_iter().collect());
        let mut this = Self {
            pull_scope_missing: token.pull_scope_missing,
            expires_at: match facts.expiry {
                Expiry::At(at) => Some(at),
                Expiry::NotTold | Expiry::Never | Expiry::Unreliable => None,
            },
            expiry_known: match facts.expiry {
                Expiry::At(_) => Some(true),
                Expiry::Never => Some(false),
                Expiry::NotTold | Expiry::Unreliable => None,
            },
            owner: Arc::from(facts.owner.as_deref().unwrap_or_default()),
            missing_scopes,
            excess_scopes,
            findings: Vec::new(),
            evidence: evidence.into(),
            scopes: None,
            date: inputs.ledger.date(&login.registry.host, issuer, inputs.moment),
            view,
        };
        this.findings = this.all_findings(login, &facts, token.disowned, now, inputs);
        this.scopes = facts.scopes.map(Arc::from);
        this
    }

    fn all_findings(
        &self,
        login: &Login,
        facts: &TokenFacts,
        disowned: bool,
        now: DateTime<Utc>,
        inputs: &Inputs<'_>,
    ) -> Vec<Finding> {
        let host = &login.registry.host;
        let mut all = Vec::new();
        if self.view.issuer_disagrees {
            all.push(findings::issuer_disagrees(host, disowned));
        }
        if self.view.password_not_checked {
            all.push(findings::password_not_checked(host));
        }
        if let Some(realm) = &self.view.foreign_realm {
            all.push(findings::foreign_realm(host, realm));
        }
        if self.view.private_address {
            all.push(findings::private_registry_address(host));
        }
        // What a dead token may do, and until when it could, no longer matters.
        if self.view.accepted == Some(false) {
            return all;
        }
        match facts.expiry {
            Expiry::Never => all.push(findings::no_expiry()),
            Expiry::Unreliable => all.push(findings::expiry_unreliable()),
            Expiry::At(_) | Expiry::NotTold => {}
        }
        if let Some(at) = self.expires_at {
            all.extend(findings::expires_soon(at, now, inputs.config.issuer.warn_before));
        }
        if facts.sso_required {
            all.push(findings::sso_required());
        }
        let lacking = self.missing_scopes.as_deref().unwrap_or_default().iter().filter(|scope| *scope != PULL_SCOPE);
        let lacking: Vec<&str> = lacking.map(String::as_str).collect();
        if !lacking.is_empty() {
            all.push(findings::missing_scopes(&lacking));
        }
        if let Some(excess) = self.excess_scopes.as_deref().filter(|excess| !excess.is_empty()) {
            all.push(findings::excess_scopes(excess));
        }
        all
    }
}

fn with_pull_scope(required: &[String]) -> Vec<String> {
    let mut all = required.to_vec();
    if !all.iter().any(|scope| scope == PULL_SCOPE) {
        all.push(PULL_SCOPE.to_owned());
    }
    all
}
