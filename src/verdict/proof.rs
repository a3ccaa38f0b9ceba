//! What evidence proves of logins and accesses, and incidents of registries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::ledger::asked;
use super::records::{Asks, Confirmation, LoginRecord, Proven, TokenRecord};
use super::run::{self, Standing};
use super::{Advice, Ledger};
use crate::plan::{Ask, Cadence, LoginId, Moment, TokenKey};
use crate::probe::{AccessAnswer, Evidence};

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
    /// the password, and did not ask for it at this repository either, or answered as to anybody.
    pub(super) fn let_in(
        &mut self,
        login: Option<LoginId>,
        (host, repository): (&str, &str),
        evidence: &Evidence<AccessAnswer>,
        now: Moment,
    ) {
        let Some(login) = login.filter(|_| !evidence.to_anybody) else { return };
        let asks = self.logins.get(&login).is_some_and(|record| record.asks != Asks::No);
        if asks || self.access_mut(Some(login), host, repository).asks_password {
            self.accepted(login, evidence.at, asked(evidence, now));
        }
    }

    /// The login was refused.
    pub(super) fn refused(&mut self, login: LoginId, at: DateTime<Utc>, now: Moment) -> Advice {
        let (pace, needed, agreed) = (self.rules.pace(), self.rules.needed(), self.rules.agreed());
        let Some(record) = self.logins.get_mut(&login) else { return Advice::just(Cadence::BackOff) };
        record.standing.latest = Some((now, false));
        record.standing.all.refuse(now, pace);
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
        let counted = !incident && !locked_out && record.standing.run.refuse(now, pace);
        if counted {
            let heard = self.registries.get(&host).and_then(|registry| registry.control(login));
            record.standing.run.note_control(heard);
        }
        if record.standing.dead {
            if !incident {
                record.verdict = Some(Proven { yes: false, at });
            }
            return Advice::just(Cadence::Dead);
        }
        if self.issuer_confirms(login) || (counted && self.repetition_proves(login)) {
            self.bury(login, at);
            let also = self.idle_question(login).into_iter().collect();
            return Advice { also, ..Advice::just(Cadence::Dead) };
        }
        let disowned = self.doubt_in_incident(login);
        let confirming = self.issuer_is_confirming(login);
        let Some(record) = self.logins.get_mut(&login) else { return Advice::just(Cadence::BackOff) };
        let enough = record.standing.run.count() >= needed || (locked_out && record.standing.all.count() >= needed);
        record.standing.doubted |= enough && !confirming;
        let run = &record.standing.run;
        let second_series = record.token().is_some() && run.lasts(now, pace) && run.lasting() < needed;
        let all = &record.standing.all;
        let outlasts = disowned && all.lasts(now, pace) && all.lasting() < agreed;
        let slowly = !outlasts && (incident || (enough && !second_series));
        let mut advice = Advice::just(if slowly { Cadence::BackOff } else { Cadence::Confirm });
        advice.at_once.extend(self.issuer_question(login));
        if counted || (incident && self.control_is_due(&host, now)) {
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

    /// Whether the issuer proves the refusal: refused and disowned often enough, by an issuer that has no incident itself.
    ///
    /// What an incident of the registry or a lock-out explains is no refusal of this token. During an incident both hosts
    /// must go on past the patience, so that a real revocation of many tokens is told from it: one outage may be behind
    /// both, and the issuer alone may err about one token for minutes. With too few tokens for an incident of the issuer
    /// it must know another one meanwhile, or go on for longer than an outage.
    pub(super) fn issuer_confirms(&self, login: LoginId) -> bool {
        let Some(record) = self.logins.get(&login) else { return false };
        let Some(token) = record.token() else { return false };
        let Some(told) = self.tokens.get(token) else { return false };
        let incident = self.in_incident(&record.host);
        let (standing, agreed) = (&record.standing, self.rules.agreed());
        let refusals = if incident { &standing.all } else { &standing.run };
        // What it said before does not confirm a refusal that it could not know of.
        let repeated = |(at, alive): (Moment, bool)| !alive && Some(at) >= refusals.first();
        let disownments = &told.standing.run;
        let lasting = || refusals.lasting() >= agreed && disownments.lasting() >= agreed;
        let alive_at = self.issuers.get(&token.issuer).and_then(|issuer| issuer.alive_at);
        let controlled = || alive_at >= disownments.first() || disownments.duration() >= self.rules.outage;
        standing.refused()
            && refusals.count() >= agreed
            && !self.is_locked_out(token)
            && self.is_disowned(token)
            && told.standing.latest.is_some_and(repeated)
            && (!incident || (lasting() && controlled()))
    }

    /// Whether its issuer, which has no incident itself, disowns a token for certain.
    fn is_disowned(&self, token: &TokenKey) -> bool {
        let issuer = self.issuers.get(&token.issuer);
        issuer.is_none_or(|issuer| !issuer.incident) && self.tokens.get(token).is_some_and(|told| told.standing.dead)
    }

    /// During an incident of its registry: whether a login is refused often enough, and its token disowned, but not for long
    /// enough to be proven. Its last acceptance does not stand for now then.
    pub(super) fn doubt_in_incident(&mut self, login: LoginId) -> bool {
        let Some(record) = self.logins.get(&login) else { return false };
        let refused = record.standing.refused() && record.standing.all.count() >= self.rules.agreed();
        let disowned = record.token().is_some_and(|token| self.is_disowned(token) && !self.is_locked_out(token));
        let doubted = refused && disowned && !record.standing.dead && self.in_incident(&record.host);
        if doubted && let Some(record) = self.logins.get_mut(&login) {
            record.standing.doubted = true;
        }
        doubted
    }

    /// Whether the issuer is about to prove the refusal: it disowned the token, less often than it takes. Nothing is in doubt
    /// for the few seconds until it is asked again.
    fn issuer_is_confirming(&self, login: LoginId) -> bool {
        let token = self.logins.get(&login).and_then(LoginRecord::token).and_then(|token| self.tokens.get(token));
        token.is_some_and(|token| {
            token.standing.refused() && (1..self.rules.agreed()).contains(&token.standing.run.count())
        })
    }

    /// Whether repetition alone proves the refusal.
    ///
    /// While an issuer could have confirmed it, and after an incident, another login or the canary must have been accepted
    /// before each of the last two refusals, since the one before it; and an issuer that does not confirm it, since it
    /// vouches for the token, makes it take a second series of refusals, past the patience. Where it is not heard at all
    /// nobody could tell of a lock-out of the owner, during which everybody else is accepted: they must outlast one. Without
    /// an issuer it is enough that nobody is left who could be such a control: an incident that begins with this very login
    /// shows itself at the controls before it can prove anything.
    fn repetition_proves(&self, login: LoginId) -> bool {
        let Some(record) = self.logins.get(&login) else { return false };
        let standing = &record.standing;
        if standing.run.count() < self.rules.needed() {
            return false;
        }
        // One refusal after an outage that ended is a single answer, whatever was refused along with everybody before.
        let controlled = standing.run.controlled() >= (self.rules.needed() - 1).min(2);
        match &record.issuer {
            Confirmation::Unknown => false,
            Confirmation::Issuer(token) => {
                let outlasts = || standing.run.duration() >= self.rules.silence;
                controlled
                    && standing.run.lasting() >= self.rules.needed()
                    && (self.owner_heard_since(token, standing.run.first()) || outlasts())
            }
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
        let Some(record) = self.logins.get_mut(&login) else { return };
        record.standing.bury();
        record.verdict = Some(Proven { yes: false, at });
        let host = Arc::clone(&record.host);
        // Where each refusal is explained by a token that is dead, nothing is left that an incident would explain.
        if self.in_incident(&host) && !self.refusals_are_unexplained(&host) {
            self.end_incident(&host);
        }
    }

    /// Somebody is locked out: an incident that this explains is none.
    pub(super) fn end_explained_incidents(&mut self) {
        let hosts = self.registries.iter().filter(|(_, registry)| registry.incident).map(|(host, _)| host);
        let explained: Vec<_> = hosts.filter(|host| !self.refusals_are_unexplained(host)).cloned().collect();
        for host in explained {
            self.end_incident(&host);
        }
    }

    /// Whether refusals are left that neither a dead token nor a lock-out explains: one at least, from the start as many as
    /// an incident takes.
    pub(super) fn refusals_are_unexplained(&self, host: &str) -> bool {
        let Some(registry) = self.registries.get(host) else { return false };
        let least = if registry.ever_accepted { 1 } else { NONE_OF };
        registry.canary.refused() || self.refused_parties(host) >= least
    }

    /// How many are refused, and neither proven dead nor locked out: a token under many user names counts once.
    fn refused_parties(&self, host: &str) -> usize {
        let lock_outs = self.lock_outs();
        let refused =
            |record: &&LoginRecord| record.standing.refused() && !record.standing.dead && !lock_outs.explain(record);
        let (mut tokens, mut alone) = (BTreeSet::new(), 0);
        for record in self.logins_at(host).map(|(_, record)| record).filter(refused) {
            match record.token() {
                Some(token) => {
                    tokens.insert(token);
                }
                None => alone += 1,
            }
        }
        tokens.len() + alone
    }

    /// Whether to ask a control during an incident: it may be over, or none. One each spacing, so that a registry in
    /// trouble is not asked about every login in turn.
    fn control_is_due(&mut self, host: &str, now: Moment) -> bool {
        let spacing = self.rules.spacing;
        run::is_due(&mut self.registry_mut(host).control_asked, now, spacing)
    }

    /// The issuer, when it has not been heard of this token since the last refusal that counts: a token that it vouched for after
    /// one that was a mistake may be revoked before the next.
    fn issuer_question(&self, login: LoginId) -> Option<Ask> {
        let record = self.logins.get(&login)?;
        let token = record.token()?;
        let heard = self.tokens.get(token).and_then(|token| token.standing.latest).map(|(at, _)| at);
        (heard < record.standing.all.last()).then(|| Ask::Issuer(token.clone()))
    }

    /// Who can tell a dead login from a registry that refuses everyone: the canary, and of the logins that work the one
    /// that was not heard for longest.
    fn controls(&self, login: LoginId, host: &Arc<str>) -> Vec<Ask> {
        let mut asks: Vec<Ask> = self.canary_question(host).into_iter().collect();
        let lock_outs = self.lock_outs();
        let working = self
            .logins_at(host)
            .filter(|(id, other)| *id != login && other.standing.accepted() && !lock_outs.explain(other));
        asks.extend(working.min_by_key(|(id, other)| (other.standing.latest, *id)).map(|(id, _)| Ask::Login(id)));
        asks
    }

    /// The canary, if there is one.
    pub(super) fn canary_question(&self, host: &str) -> Option<Ask> {
        let (host, registry) = self.registries.get_key_value(host)?;
        registry.canary.latest.is_some().then(|| Ask::Canary(Arc::clone(host)))
    }

    fn logins_at<'l>(&'l self, host: &str) -> impl Iterator<Item = (LoginId, &'l LoginRecord)> + use<'l> {
        let ids = self.registries.get(host).into_iter().flat_map(|registry| &registry.logins);
        ids.filter_map(|id| Some((*id, self.logins.get(id)?)))
    }

    fn incident_begins(&self, host: &str, now: Moment) -> bool {
        let Some(registry) = self.registries.get(host) else { return false };
        let lock_outs = self.lock_outs();
        // A canary that is denied while a login that works is refused: nothing that is wrong with the login explains it.
        let with_canary = registry.canary.newly_refused(now, self.rules.interval)
            && self
                .logins_at(host)
                .map(|(_, record)| record)
                .any(|record| record.standing.newly_refused(now, self.rules.interval) && !lock_outs.explain(record));
        with_canary || self.logins_make_an_incident(host, now, self.rules.interval)
    }

    /// Whether so many logins are refused that it looks like an incident, whatever the canary tells.
    pub(super) fn logins_make_an_incident(&self, host: &str, now: Moment, window: Duration) -> bool {
        let Some(registry) = self.registries.get(host) else { return false };
        let from_the_start = !registry.ever_accepted && self.refused_parties(host) >= NONE_OF;
        let lock_outs = self.lock_outs();
        let explained = |record: &LoginRecord| record.standing.refused() && lock_outs.explain(record);
        let logins = || self.logins_at(host).map(|(_, record)| record).filter(|record| !explained(record));
        // Where a registry takes a token under any user name, one tenant with one token could make as many logins as an
        // incident needs: a token speaks once, with its newest refusal.
        let mut by_token: BTreeMap<&TokenKey, &Standing> = BTreeMap::new();
        let mut alone = Vec::new();
        for record in logins().filter(|record| record.standing.fresh) {
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
        from_the_start || run::is_incident(by_token.into_values().chain(alone), now, window)
    }

    fn begin_incident(&mut self, host: &str) {
        self.set_incident(host, true);
    }

    pub(super) fn end_incident(&mut self, host: &str) {
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

    /// The canary was denied. Twice, or while a login that works is refused, and it is an incident: unless it never worked while logins do, which is a canary that
    /// is not public.
    pub(super) fn canary_denied(&mut self, host: &str, now: Moment) -> Advice {
        let pace = self.rules.pace();
        let registry = self.registry_mut(host);
        registry.canary.latest = Some((now, false));
        registry.canary.run.refuse(now, pace);
        let news = registry.canary.fresh || !registry.ever_accepted;
        let twice = registry.canary.run.count() >= 2;
        if !registry.incident && news && (twice || self.incident_begins(host, now)) {
            self.begin_incident(host);
            // It was denied, not refused: that logins are accepted does not end it.
            self.begin_denying(host);
        }
        let incident = self.in_incident(host);
        Advice::just(if news || incident { Cadence::Confirm } else { Cadence::Routine })
    }
}

/// Whether registry and issuer contradict each other about the password of a login.
pub(super) fn disagree(record: &LoginRecord, token: &TokenRecord) -> bool {
    let standing = &record.standing;
    let often_refused = standing.refused() && (standing.dead || standing.doubted);
    let alive_since = matches!(token.standing.latest, Some((at, true)) if Some(at) >= standing.all.first());
    (standing.accepted() && token.standing.dead) || (often_refused && alive_since)
}
