//! What evidence proves of logins and accesses, and incidents of registries.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::records::{AccessRecord, Asks, Confirmation, LoginRecord, Proven, TokenRecord};
use super::run::{self, Standing};
use super::{Advice, Ledger};
use crate::plan::{Ask, Cadence, LoginId, Moment, TokenKey};
use crate::probe::{Denial, DenialStage};

/// From the start: so many logins refused, and nothing ever accepted, is an incident.
const NONE_OF: usize = 5;

impl Ledger {
    pub(super) fn in_incident(&self, host: &str) -> bool {
        self.registries.get(host).is_some_and(|registry| registry.incident)
    }

    /// The login was accepted, in whatever exchange.
    pub(super) fn accepted(&mut self, login: LoginId, at: DateTime<Utc>, now: Moment) {
        let Some(record) = self.logins.get_mut(&login) else { return };
        let known = record.standing.known_good;
        record.standing.accept(now);
        record.verdict = Some(Proven { yes: true, at });
        record.accepted_at = Some(now);
        let host = Arc::clone(&record.host);
        let any_known = known || self.logins_at(&host).any(|(id, other)| id != login && other.standing.known_good);
        let registry = self.registry_mut(&host);
        registry.note_acceptance(login, now);
        if registry.incident && (known || !any_known) {
            self.end_incident(&host);
        }
    }

    /// An access check got past the token exchange, which accepts the login; unless the registry is known not to ask for
    /// the password.
    pub(super) fn let_in(&mut self, login: Option<LoginId>, at: DateTime<Utc>, now: Moment) {
        if let Some(login) = login
            && self.logins.get(&login).is_some_and(|record| record.asks != Asks::No)
        {
            self.accepted(login, at, now);
        }
    }

    /// The login was refused.
    pub(super) fn refused(&mut self, login: LoginId, at: DateTime<Utc>, now: Moment) -> Advice {
        let (spacing, needed) = (self.rules.spacing, self.rules.needed());
        let Some(record) = self.logins.get_mut(&login) else { return Advice::just(Cadence::BackOff) };
        record.standing.latest = Some((now, false));
        record.standing.all.refuse(now, spacing);
        let host = Arc::clone(&record.host);
        if !self.in_incident(&host) && self.incident_begins(&host, now) {
            self.begin_incident(&host);
        }
        let incident = self.in_incident(&host);
        let locked_out =
            self.logins.get(&login).and_then(LoginRecord::token).is_some_and(|token| self.is_locked_out(token));
        let Some(record) = self.logins.get_mut(&login) else { return Advice::just(Cadence::BackOff) };
        if locked_out && !record.standing.dead {
            // It explains the refusals of tokens that are as good as ever.
            record.standing.run.clear();
        }
        let counted = !incident && !locked_out && record.standing.run.refuse(now, spacing);
        if record.standing.dead {
            if !incident {
                record.verdict = Some(Proven { yes: false, at });
            }
            return Advice::just(Cadence::Dead);
        }
        if self.issuer_confirms(login) || (counted && self.repetition_proves(login)) {
            self.bury(login, at);
            return Advice::just(Cadence::Dead);
        }
        let Some(record) = self.logins.get_mut(&login) else { return Advice::just(Cadence::BackOff) };
        let enough = record.standing.run.count() >= needed || (locked_out && record.standing.all.count() >= needed);
        record.standing.doubted |= enough;
        let mut advice = Advice::just(if incident || enough { Cadence::BackOff } else { Cadence::Confirm });
        advice.at_once.extend(self.issuer_question(login));
        if counted {
            advice.at_once.extend(self.controls(login, &host));
        }
        advice
    }

    /// The token exchange of an access check refused the login: the login itself is to be confirmed, not the access.
    pub(super) fn refused_at_access(&mut self, login: LoginId, at: DateTime<Utc>, now: Moment) -> Advice {
        let mut advice = self.refused(login, at, now);
        advice.also.push((Ask::Login(login), advice.cadence));
        if advice.cadence != Cadence::Dead {
            advice.cadence = Cadence::Routine;
        }
        advice
    }

    /// Whether the issuer proves the refusal: refused twice, and disowned twice by an issuer that has no incident itself.
    /// That holds during an incident of the registry too, so that a real revocation of many tokens is told from it.
    pub(super) fn issuer_confirms(&self, login: LoginId) -> bool {
        let Some(record) = self.logins.get(&login) else { return false };
        let Some(token) = record.token() else { return false };
        // What it said before does not confirm a refusal that it could not know of.
        let repeated = |(at, alive): (Moment, bool)| !alive && Some(at) >= record.standing.all.first();
        record.standing.refused()
            && record.standing.all.count() >= 2
            && self
                .tokens
                .get(token)
                .is_some_and(|token| token.standing.dead && token.standing.latest.is_some_and(repeated))
            && self.issuers.get(&token.issuer).is_none_or(|issuer| !issuer.incident)
    }

    /// Whether repetition alone proves the refusal.
    ///
    /// While an issuer could have confirmed it, and after an incident, another login or the canary must have been accepted
    /// between the last two refusals. Without an issuer it is enough that nobody is left who could be such a control: an
    /// incident that begins with this very login shows itself at the controls before it can prove anything.
    fn repetition_proves(&self, login: LoginId) -> bool {
        let Some(record) = self.logins.get(&login) else { return false };
        let standing = &record.standing;
        if standing.run.count() < self.rules.needed() {
            return false;
        }
        let controlled = self.registries.get(&record.host).and_then(|registry| registry.control(login))
            >= standing.run.last_but_one();
        match &record.issuer {
            Confirmation::Unknown => false,
            Confirmation::Issuer(_) => controlled,
            Confirmation::Nobody => {
                controlled || (!standing.suspect && run::nobody_left(self.witnesses(login, record), &standing.run))
            }
        }
    }

    /// Who could tell a dead login from a registry that refuses everyone: the other logins there, and the canary.
    fn witnesses<'l>(&'l self, login: LoginId, record: &LoginRecord) -> impl Iterator<Item = &'l Standing> {
        let others = self.logins_at(&record.host).filter(move |(id, _)| *id != login).map(|(_, other)| &other.standing);
        others.chain(self.registries.get(&record.host).map(|registry| &registry.canary))
    }

    pub(super) fn bury(&mut self, login: LoginId, at: DateTime<Utc>) {
        if let Some(record) = self.logins.get_mut(&login) {
            record.standing.bury();
            record.verdict = Some(Proven { yes: false, at });
        }
    }

    /// The issuer, when it has not been heard of this token since the login is refused.
    fn issuer_question(&self, login: LoginId) -> Option<Ask> {
        let record = self.logins.get(&login)?;
        let token = record.token()?;
        let heard = self.tokens.get(token).and_then(|token| token.standing.latest).map(|(at, _)| at);
        (heard < record.standing.all.first()).then(|| Ask::Issuer(token.clone()))
    }

    /// Who can tell a dead login from a registry that refuses everyone: the canary, and of the logins that work the one
    /// that was not heard for longest.
    fn controls(&self, login: LoginId, host: &Arc<str>) -> Vec<Ask> {
        let mut asks: Vec<Ask> = self.canary_question(host).into_iter().collect();
        let working = self.logins_at(host).filter(|(id, other)| *id != login && other.standing.accepted());
        asks.extend(working.min_by_key(|(id, other)| (other.standing.latest, *id)).map(|(id, _)| Ask::Login(id)));
        asks
    }

    /// The canary, if there is one.
    fn canary_question(&self, host: &str) -> Option<Ask> {
        let (host, registry) = self.registries.get_key_value(host)?;
        registry.canary.latest.is_some().then(|| Ask::Canary(Arc::clone(host)))
    }

    fn logins_at<'l>(&'l self, host: &str) -> impl Iterator<Item = (LoginId, &'l LoginRecord)> + use<'l> {
        let ids = self.registries.get(host).into_iter().flat_map(|registry| &registry.logins);
        ids.filter_map(|id| Some((*id, self.logins.get(id)?)))
    }

    fn incident_begins(&self, host: &str, now: Moment) -> bool {
        let standings = || self.logins_at(host).map(|(_, record)| &record.standing);
        let from_the_start = self.registries.get(host).is_some_and(|registry| !registry.ever_accepted)
            && standings().filter(|standing| standing.refused() && !standing.dead).count() >= NONE_OF;
        // Where a registry takes a token under any user name, one tenant with one token could make as many logins as an
        // incident needs: a token speaks once, with its newest refusal.
        let mut by_token: BTreeMap<&TokenKey, &Standing> = BTreeMap::new();
        let mut alone = Vec::new();
        for (_, record) in self.logins_at(host).filter(|(_, record)| record.standing.fresh) {
            match record.token() {
                Some(token) => {
                    let heard = by_token.entry(token).or_insert(&record.standing);
                    let rank = |standing: &Standing| (standing.refused(), standing.latest);
                    if rank(&record.standing) > rank(heard) {
                        *heard = &record.standing;
                    }
                }
                None => alone.push(&record.standing),
            }
        }
        from_the_start || run::is_incident(by_token.into_values().chain(alone), now, self.rules.interval)
    }

    fn begin_incident(&mut self, host: &str) {
        self.set_incident(host, true);
    }

    fn end_incident(&mut self, host: &str) {
        self.set_incident(host, false);
    }

    fn set_incident(&mut self, host: &str, begins: bool) {
        let Some(registry) = self.registries.get_mut(host) else { return };
        registry.incident = begins;
        let turn = if begins { Standing::incident_began } else { Standing::incident_ended };
        turn(&mut registry.canary);
        registry.anonymous.values_mut().for_each(super::records::AccessRecord::incident_began);
        for login in &registry.logins {
            let Some(record) = self.logins.get_mut(login) else { continue };
            turn(&mut record.standing);
            record.accesses.values_mut().for_each(super::records::AccessRecord::incident_began);
        }
    }

    /// The canary was pulled: the registry does not refuse everyone.
    pub(super) fn canary_granted(&mut self, host: &str, now: Moment) -> Advice {
        let registry = self.registry_mut(host);
        registry.canary.accept(now);
        registry.ever_accepted = true;
        if registry.incident {
            self.end_incident(host);
        }
        self.end_denying(host, true);
        Advice::just(Cadence::Routine)
    }

    /// The canary was denied. Twice, and it is an incident: unless it never worked while logins do, which is a canary that
    /// is not public.
    pub(super) fn canary_denied(&mut self, host: &str, now: Moment) -> Advice {
        let spacing = self.rules.spacing;
        let registry = self.registry_mut(host);
        registry.canary.latest = Some((now, false));
        registry.canary.run.refuse(now, spacing);
        let news = registry.canary.fresh || !registry.ever_accepted;
        if !registry.incident && news && registry.canary.run.count() >= 2 {
            self.begin_incident(host);
            // It was denied, not refused: that logins are accepted does not end it.
            self.begin_denying(host);
        }
        let incident = self.in_incident(host);
        Advice::just(if news || incident { Cadence::Confirm } else { Cadence::Routine })
    }

    /// The access was granted: proof by itself.
    pub(super) fn granted(
        &mut self,
        login: Option<LoginId>,
        host: &str,
        repository: &str,
        at: DateTime<Utc>,
        now: Moment,
    ) -> Advice {
        let access = self.access_mut(login, host, repository);
        let was_denied = matches!(access.verdict, Some(Proven { yes: false, .. }));
        let known = access.known_good;
        self.end_denying(host, known);
        *self.access_mut(login, host, repository) = AccessRecord {
            verdict: Some(Proven { yes: true, at }),
            known_good: true,
            fresh: true,
            ..AccessRecord::default()
        };
        self.registry_mut(host).note_grant((login, repository.into()), now);
        let mut advice = Advice::just(Cadence::Routine);
        if was_denied {
            advice.at_once.extend(self.reason_question(login));
        }
        advice
    }

    /// The issuer, who can say why a login is denied (an SSO authorisation that lacks), and that it is no longer so.
    fn reason_question(&self, login: Option<LoginId>) -> Option<Ask> {
        let token = self.logins.get(&login?)?.token()?;
        token.issuer.is_github().then(|| Ask::Issuer(token.clone()))
    }

    /// The access was denied.
    pub(super) fn denied(
        &mut self,
        login: Option<LoginId>,
        host: &str,
        repository: &str,
        denial: &Denial,
        at: DateTime<Utc>,
        now: Moment,
    ) -> Advice {
        self.access_mut(login, host, repository).denied_at = Some(now);
        if !self.denies_everyone(host) && self.denies_as_a_whole(host, now) {
            self.begin_denying(host);
        }
        if self.in_incident(host) || self.denies_everyone(host) {
            return Advice::just(Cadence::BackOff);
        }
        let (spacing, needed) = (self.rules.spacing, self.rules.needed());
        let accepted_at = login.map(|login| self.logins.get(&login).and_then(|record| record.accepted_at));
        let access = self.access_mut(login, host, repository);
        if access.run.refuse(now, spacing) {
            let in_a_row = if access.words.0 == denial.missing_scope { access.words.1 } else { 0 };
            access.words = (denial.missing_scope, in_a_row.saturating_add(1));
        }
        // The login must have been accepted in the course of the run: a login that is refused says nothing of the access.
        let accepted_within = accepted_at.is_none_or(|at| at >= access.run.first());
        let enough = access.run.count() >= needed;
        let controlled = self.denial_is_controlled(host, login, repository);
        let access = self.access_mut(login, host, repository);
        let was_proven = matches!(access.verdict, Some(Proven { yes: false, .. }));
        let proven = enough && accepted_within && controlled;
        if proven || was_proven {
            access.verdict = Some(Proven { yes: false, at });
            (access.fresh, access.suspect) = (false, false);
        }
        access.doubted = enough && !proven && !was_proven;
        if access.words.1 >= needed {
            access.missing_scope = access.words.0;
        }
        let mut advice = Advice::just(match access.verdict {
            Some(Proven { yes: false, .. }) => Cadence::Routine,
            _ if enough => Cadence::BackOff,
            _ => Cadence::Confirm,
        });
        if proven && !was_proven {
            advice.at_once.extend(self.reason_question(login));
        } else if !was_proven {
            advice.at_once.extend(self.canary_question(host));
        }
        if let Some(login) = login
            && !accepted_within
            && denial.stage == DenialStage::Token
        {
            advice.at_once.push(Ask::Login(login));
        }
        advice
    }
}

/// Whether registry and issuer contradict each other about the password of a login.
pub(super) fn disagree(record: &LoginRecord, token: &TokenRecord) -> bool {
    let standing = &record.standing;
    let often_refused = standing.refused() && (standing.dead || standing.doubted);
    let alive_since = matches!(token.standing.latest, Some((at, true)) if Some(at) >= standing.all.first());
    (standing.accepted() && token.standing.dead) || (often_refused && alive_since)
}
