//! The ledger: the evidence so far, per login, token, repository and registry, and what it proves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::records::{
    AccessRecord, Asks, Confirmation, HostRecord, IssuerRecord, LoginRecord, Proven, RegistryRecord, TokenRecord,
};
use super::{AccessView, Advice, LoginView, RegistryView, Rules, TokenView};
use crate::plan::{Ask, ByLogin, Cadence, Issuer, LoginId, Moment, TokenKey};
use crate::probe::{
    AccessAnswer, Answer, Denial, DenialStage, Evidence, Guarded, IssuerAnswer, LoginAnswer, ProbeKind, RateLimit,
    Unproven,
};

/// Everything observed so far.
#[derive(Debug)]
pub struct Ledger {
    pub(super) rules: Rules,
    pub(super) logins: ByLogin<LoginRecord>,
    pub(super) tokens: HashMap<TokenKey, TokenRecord>,
    pub(super) registries: HashMap<Arc<str>, RegistryRecord>,
    pub(super) issuers: BTreeMap<Issuer, IssuerRecord>,
    pub(super) hosts: BTreeMap<Arc<str>, HostRecord>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            logins: ByLogin::default(),
            tokens: HashMap::new(),
            registries: HashMap::new(),
            issuers: BTreeMap::new(),
            hosts: BTreeMap::new(),
        }
    }

    /// Go by other rules from now on; what is known stays.
    pub fn go_by(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Take in a login exchange. `token` is the issuer question about its password, where there is an issuer to ask.
    /// `now` is monotonic: spacing and windows are counted on it, never on wall time.
    pub fn record_login(
        &mut self,
        login: LoginId,
        host: &str,
        token: Option<&TokenKey>,
        evidence: &Evidence<LoginAnswer>,
        now: Moment,
    ) -> Advice {
        self.note_host(host, evidence, now);
        let record = self.login_mut(login, host);
        // A password that tells of itself has no issuer who could be asked to confirm a refusal.
        let token = token.filter(|token| token.issuer.api.is_some());
        record.issuer = token.cloned().map_or(Confirmation::Nobody, Confirmation::Issuer);
        record.probed_at = Some(evidence.at);
        record.rows.push(ProbeKind::Login, evidence.answer.outcome(), evidence);
        match &evidence.answer {
            LoginAnswer::Unproven(Unproven::Guarded(guard)) => record.guarded = Some(guard.clone()),
            LoginAnswer::Unproven(_) => {}
            answer => {
                record.guarded = None;
                record.not_checked = *answer == LoginAnswer::NotChecked;
            }
        }
        if let Some(token) = token {
            self.token_mut(token).logins.insert(login);
        }
        match &evidence.answer {
            LoginAnswer::Accepted => {
                self.password_is_asked_for(login);
                self.accepted(login, evidence.at, asked(evidence, now));
                Advice::just(Cadence::Routine)
            }
            LoginAnswer::Refused => {
                self.password_is_asked_for(login);
                self.refused(login, evidence.at, now)
            }
            LoginAnswer::NotChecked => {
                self.password_is_not_asked_for(login);
                Advice::just(Cadence::Routine)
            }
            LoginAnswer::Unproven(why) => Advice::unproven(why, evidence),
        }
    }

    /// Take in an access check (`login` is `None` for an anonymous one).
    pub fn record_access(
        &mut self,
        login: Option<LoginId>,
        host: &str,
        repository: &str,
        evidence: &Evidence<AccessAnswer>,
        now: Moment,
    ) -> Advice {
        self.note_host(host, evidence, now);
        if let Some(login) = login {
            let record = self.login_mut(login, host);
            record.probed_at = Some(evidence.at);
            record.rows.push(ProbeKind::Access, evidence.answer.outcome(), evidence);
        }
        let access = self.access_mut(login, host, repository);
        access.note_guard(&evidence.answer);
        access.note_answer(&evidence.answer);
        let buried = login.filter(|login| self.is_dead(*login));
        let mut advice = self.weigh_access(login, host, repository, evidence, now);
        // It was asked before its issuer proved the login dead, which is to be asked as one that works again.
        if let Some(login) = buried.filter(|login| !self.is_dead(*login)) {
            advice.also.push((Ask::Login(login), Cadence::Routine));
        }
        advice
    }

    fn weigh_access(
        &mut self,
        login: Option<LoginId>,
        host: &str,
        repository: &str,
        evidence: &Evidence<AccessAnswer>,
        now: Moment,
    ) -> Advice {
        match (&evidence.answer, login) {
            (AccessAnswer::Granted, _) => {
                self.let_in(login, (host, repository), evidence, now);
                self.granted(login, host, repository, evidence.at, asked(evidence, now))
            }
            (AccessAnswer::NotFound, _) => {
                self.let_in(login, (host, repository), evidence, now);
                Advice::just(Cadence::Routine)
            }
            (AccessAnswer::Denied(denial), _) => {
                if denial.stage == DenialStage::Manifest {
                    self.let_in(login, (host, repository), evidence, now);
                }
                self.denied(login, host, repository, denial, evidence.at, now)
            }
            (AccessAnswer::LoginRefused, Some(login)) => {
                let access = self.access_mut(Some(login), host, repository);
                let confirming = access.denied_lately && !matches!(access.verdict, Some(Proven { yes: false, .. }));
                access.asks_password = true;
                if self.logins.get(&login).is_some_and(|record| record.asks == Asks::Unknown) {
                    self.password_is_asked_for(login);
                }
                let mut advice = self.refused_at_access(login, evidence.at, now);
                // It goes on once the login is accepted, which one slip must not put off by an interval.
                if confirming && advice.cadence == Cadence::Routine {
                    advice.cadence = Cadence::Confirm;
                }
                advice
            }
            // Without a login nothing but the access itself can be refused.
            (AccessAnswer::LoginRefused, None) => {
                let denial = Denial { stage: DenialStage::Token, missing_scope: false };
                self.denied(None, host, repository, &denial, evidence.at, now)
            }
            (AccessAnswer::Unproven(why), _) => Advice::unproven(why, evidence),
        }
    }

    /// Take in an issuer's answer.
    pub fn record_issuer(&mut self, token: &TokenKey, evidence: &Evidence<IssuerAnswer>, now: Moment) -> Advice {
        if let Some(host) = api_host(&token.issuer) {
            self.note_host(&host, evidence, now);
        }
        let record = self.token_mut(token);
        record.probed_at = Some(evidence.at);
        record.rows.push(ProbeKind::Issuer, evidence.answer.outcome(), evidence);
        match &evidence.answer {
            IssuerAnswer::Alive(facts) => {
                self.alive(token, asked(evidence, now));
                let advice = self.facts(token, facts, evidence.server_date.unwrap_or(evidence.at), now);
                self.confirm_explained(token, advice)
            }
            IssuerAnswer::ForbiddenByPolicy => {
                self.alive(token, asked(evidence, now));
                self.token_mut(token).forbidden_by_policy = true;
                self.confirm_explained(token, Advice::just(Cadence::Routine))
            }
            IssuerAnswer::Disowned => self.disowned(token, evidence.at, now),
            IssuerAnswer::Unproven(why) => {
                let locked_out = *why == Unproven::LockedOut;
                self.token_mut(token).locked_out |= locked_out;
                if locked_out {
                    self.end_explained_incidents();
                }
                let advice = Advice::unproven(why, evidence);
                self.spare_owner(token, advice, now)
            }
        }
    }

    /// Take in an anonymous pull of the canary.
    pub fn record_canary(&mut self, host: &str, evidence: &Evidence<AccessAnswer>, now: Moment) -> Advice {
        self.note_host(host, evidence, now);
        match &evidence.answer {
            AccessAnswer::Granted => self.canary_granted(host, asked(evidence, now)),
            AccessAnswer::Denied(_) | AccessAnswer::LoginRefused => self.canary_denied(host, now),
            AccessAnswer::NotFound => Advice::just(Cadence::Routine),
            AccessAnswer::Unproven(why) => Advice::unproven(why, evidence),
        }
    }

    /// What is proven of a login.
    pub fn login(&self, login: LoginId) -> LoginView {
        let Some(record) = self.logins.get(&login) else { return LoginView::default() };
        let token = record.token().and_then(|token| self.tokens.get(token));
        let foreign_realm = record.guards().find_map(|guard| match guard {
            Guarded::ForeignRealm(host) => Some(host.clone()),
            Guarded::PrivateAddress => None,
        });
        LoginView {
            accepted: record.verdict.filter(|_| !record.standing.doubted).map(|verdict| verdict.yes),
            doubted: record.standing.doubted,
            last_verdict_at: record.verdict.map(|verdict| verdict.at),
            last_probe_at: record.probed_at.max(token.and_then(|token| token.probed_at)),
            issuer_disagrees: token.is_some_and(|token| super::proof::disagree(record, token)),
            password_not_checked: record.not_checked,
            foreign_realm,
            private_address: record.guards().any(|guard| *guard == Guarded::PrivateAddress),
            evidence: record.rows.to_vec(),
        }
    }

    /// What is proven of an access.
    pub fn access(&self, login: Option<LoginId>, host: &str, repository: &str) -> AccessView {
        let record = match login {
            Some(login) => self.logins.get(&login).and_then(|login| login.accesses.get(repository)),
            None => self.registries.get(host).and_then(|registry| registry.anonymous.get(repository)),
        };
        let Some(record) = record else { return AccessView::default() };
        AccessView {
            granted: record.verdict.filter(|_| !record.doubted).map(|verdict| verdict.yes),
            missing_scope: record.verdict.is_some_and(|verdict| !verdict.yes) && record.missing_scope,
            denied_lately: record.denied_lately,
            last_verdict_at: record.verdict.map(|verdict| verdict.at),
        }
    }

    /// Repositories that are denied to a login, proven or not.
    pub fn denied_repositories(&self, login: LoginId) -> impl Iterator<Item = &str> {
        let accesses = self.logins.get(&login).into_iter().flat_map(|login| &login.accesses);
        let denied =
            accesses.filter(|(_, access)| access.denied_lately || access.verdict.is_some_and(|verdict| !verdict.yes));
        denied.map(|(repository, _)| &**repository)
    }

    /// Whether the last word on what a question presents was a refusal.
    pub fn is_refused(&self, ask: &Ask) -> bool {
        let login = |login| self.logins.get(login).is_some_and(|record| record.standing.refused());
        match ask {
            Ask::Login(id) | Ask::Access { login: Some(id), .. } => login(id),
            Ask::Issuer(token) => self.tokens.get(token).is_some_and(|record| {
                record.standing.refused() || record.locked_out || record.logins.iter().any(login)
            }),
            Ask::Access { login: None, .. } | Ask::Canary(_) => false,
        }
    }

    /// What is known of a token.
    pub fn token(&self, token: &TokenKey) -> TokenView {
        let Some(record) = self.tokens.get(token) else { return TokenView::default() };
        TokenView {
            facts: record.facts.clone(),
            disowned: record.standing.dead,
            forbidden_by_policy: record.forbidden_by_policy,
            pull_scope_missing: record.pull_scope_missing,
            evidence: record.rows.to_vec(),
        }
    }

    /// What is known of a registry, or of an issuer's API, by its host.
    pub fn registry(&self, host: &str) -> RegistryView {
        let note = self.hosts.get(host).copied().unwrap_or_default();
        let issuer_incident = || {
            let mut issuers = self.issuers.iter();
            issuers.any(|(issuer, record)| record.incident && api_host(issuer).as_deref() == Some(host))
        };
        RegistryView {
            incident: self.in_incident(host) || self.denies_everyone(host) || issuer_incident(),
            up: note.up,
            clock_skew_seconds: note.skew_seconds,
        }
    }

    /// The time now by the clock of the issuer, or else of the registry: whether an expiry has passed must not hang on our
    /// own wall clock, which may be wrong and may jump. `None` when neither has told a date.
    pub fn date(&self, registry: &str, issuer: Option<&Issuer>, now: Moment) -> Option<DateTime<Utc>> {
        let date = |host: &str| self.hosts.get(host)?.date(now);
        issuer.and_then(api_host).and_then(|host| date(&host)).or_else(|| date(registry))
    }

    /// Every host that an exchange was recorded for, registries and issuers' APIs, sorted.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.hosts.keys()
    }

    /// Per host of an issuer's API the lowest rate limit among its tokens; a window that has ended no longer counts where
    /// a running one is known.
    pub fn rate_limits(&self, now: DateTime<Utc>) -> BTreeMap<String, RateLimit> {
        let mut lowest: BTreeMap<String, RateLimit> = BTreeMap::new();
        for (token, record) in &self.tokens {
            let Some(limit) = record.facts.as_ref().and_then(|facts| facts.rate_limit) else { continue };
            let Some(host) = api_host(&token.issuer) else { continue };
            let rank = |limit: &RateLimit| (limit.reset <= now, limit.remaining, limit.reset);
            let entry = lowest.entry(host).or_insert(limit);
            if rank(&limit) < rank(entry) {
                *entry = limit;
            }
        }
        lowest
    }

    /// Forget the logins and tokens that no Secret holds any more. A Secret with a new password brings a new login, which
    /// starts without a past.
    pub fn retain(&mut self, logins: impl Fn(LoginId) -> bool, tokens: impl Fn(&TokenKey) -> bool) {
        self.logins.retain(|login, _| logins(*login));
        self.tokens.retain(|token, _| tokens(token));
        for record in self.tokens.values_mut() {
            record.logins.retain(|login| self.logins.contains_key(login));
        }
        for registry in self.registries.values_mut() {
            registry.logins.retain(|login| self.logins.contains_key(login));
            // Nobody is left whose acceptance could end the incident.
            let anybody = !registry.logins.is_empty() || registry.canary.latest.is_some();
            registry.incident &= anybody;
            registry.denies_everyone &= anybody;
        }
        for issuer in self.issuers.values_mut() {
            issuer.tokens.retain(|token| self.tokens.contains_key(token));
            issuer.incident &= !issuer.tokens.is_empty();
        }
    }

    /// Forget hosts that nobody asks any more: where a glob lists registries, tenants name the hosts, and what is kept of
    /// each must not outlive it.
    pub fn retain_hosts(&mut self, wanted: impl Fn(&str) -> bool) {
        self.hosts.retain(|host, _| wanted(host));
        self.registries.retain(|host, _| wanted(host));
        self.issuers.retain(|_, issuer| !issuer.tokens.is_empty());
    }

    /// Forget the accesses that no workload needs any more; asked with the login (`None`: anyone), host and repository.
    pub fn retain_accesses(&mut self, needed: impl Fn(Option<LoginId>, &str, &str) -> bool) {
        for (login, record) in &mut self.logins {
            record.accesses.retain(|repository, _| needed(Some(*login), &record.host, repository));
        }
        for (host, registry) in &mut self.registries {
            registry.anonymous.retain(|repository, _| needed(None, host, repository));
        }
    }

    fn note_host<A: Answer>(&mut self, host: &str, evidence: &Evidence<A>, now: Moment) {
        let host = self.host_name(host);
        self.hosts.entry(host).or_default().note(evidence, now);
    }

    fn host_name(&self, host: &str) -> Arc<str> {
        self.hosts.get_key_value(host).map_or_else(|| Arc::from(host), |(known, _)| Arc::clone(known))
    }

    pub(super) fn registry_mut(&mut self, host: &str) -> &mut RegistryRecord {
        let host = self.host_name(host);
        self.registries.entry(host).or_default()
    }

    fn login_mut(&mut self, login: LoginId, host: &str) -> &mut LoginRecord {
        self.registry_mut(host).logins.insert(login);
        let host = self.host_name(host);
        self.logins.entry(login).or_insert_with(|| LoginRecord::new(host))
    }

    pub(super) fn token_mut(&mut self, token: &TokenKey) -> &mut TokenRecord {
        if !self.tokens.contains_key(token) {
            self.issuers.entry(token.issuer.clone()).or_default().tokens.insert(token.clone());
        }
        self.tokens.entry(token.clone()).or_default()
    }

    pub(super) fn access_mut(&mut self, login: Option<LoginId>, host: &str, repository: &str) -> &mut AccessRecord {
        let accesses = match login {
            Some(login) => &mut self.login_mut(login, host).accesses,
            None => &mut self.registry_mut(host).anonymous,
        };
        accesses.entry(repository.into()).or_default()
    }

    fn password_is_asked_for(&mut self, login: LoginId) {
        if let Some(record) = self.logins.get_mut(&login) {
            record.asks = Asks::Yes;
        }
    }

    /// The registry let us in without the password. What accesses showed before the first login exchange was no acceptance
    /// of the password either.
    fn password_is_not_asked_for(&mut self, login: LoginId) {
        if let Some(record) = self.logins.get_mut(&login) {
            if record.asks == Asks::Unknown {
                record.verdict = None;
                record.standing = super::run::Standing::default();
            }
            record.asks = Asks::No;
        }
    }
}

/// When the question was asked. What a host said under way to a later refusal is no word on what it would say since.
pub(super) fn asked<A>(evidence: &Evidence<A>, now: Moment) -> Moment {
    now.before(evidence.took)
}

/// Host of an issuer's API, with its port where that is not the default.
pub(super) fn api_host(issuer: &Issuer) -> Option<String> {
    let api = issuer.api.as_ref()?;
    let host = api.host_str()?;
    Some(api.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}
