//! Pulls that are granted or denied; and a registry that accepts logins and denies every repository to everyone: an incident
//! of its own, told from accesses that were taken away.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::records::{AccessKey, AccessRecord, Proven};
use super::run::{MANY, since};
use super::{Advice, Ledger};
use crate::plan::{Ask, Cadence, LoginId, Moment, TokenKey};
use crate::probe::{Denial, DenialStage};

/// From the start: so many logins denied, and nothing ever granted, is an incident.
const NONE_OF: usize = 5;

type Accesses = HashMap<Box<str>, AccessRecord>;

impl Ledger {
    /// Whether the registry is suspected of denying everyone.
    pub(super) fn denies_everyone(&self, host: &str) -> bool {
        self.registries.get(host).is_some_and(|registry| registry.denies_everyone)
    }

    /// After a denial: whether it shows that the registry denies everyone. Logins are counted, not repositories: one that
    /// loses its rights loses them for all repositories at once.
    pub(super) fn denies_as_a_whole(&self, host: &str, now: Moment) -> bool {
        self.denies_within(host, now, self.rules.interval)
    }

    /// As [`Ledger::denies_as_a_whole`], over this window.
    pub(super) fn denies_within(&self, host: &str, now: Moment, window: Duration) -> bool {
        let Some(registry) = self.registries.get(host) else { return false };
        // A token under many user names speaks once, as it does where logins are refused.
        let mut by_token: BTreeMap<&TokenKey, Vec<&Accesses>> = BTreeMap::new();
        let mut parties: Vec<Vec<&Accesses>> = Vec::new();
        for record in registry.logins.iter().filter_map(|login| self.logins.get(login)) {
            match record.token() {
                Some(token) => by_token.entry(token).or_default().push(&record.accesses),
                None => parties.push(vec![&record.accesses]),
            }
        }
        parties.extend(by_token.into_values());
        let any = |party: &[&Accesses], fits: &dyn Fn(&AccessRecord) -> bool| {
            party.iter().any(|accesses| accesses.values().any(fits))
        };
        if !registry.ever_granted() {
            let denied = parties.iter().filter(|party| any(party, &|access| access.denied_lately));
            return denied.count() >= NONE_OF;
        }
        parties.push(vec![&registry.anonymous]);
        let (mut working, mut denied) = (0, 0);
        for party in parties {
            working += usize::from(any(&party, &|access| access.fresh));
            denied += usize::from(any(&party, &|access| access.newly_denied(now, window)));
        }
        denied >= MANY && denied * 2 >= working
    }

    /// The registry begins to deny everyone: what led to it counts for nothing.
    pub(super) fn begin_denying(&mut self, host: &str) {
        if let Some(registry) = self.registries.get_mut(host) {
            registry.denies_everyone = true;
        }
        self.for_each_access(host, AccessRecord::incident_began);
    }

    /// An access was granted, or the canary: the registry does not deny everyone. An access that was never granted before
    /// may be one that was opened just now, so it tells nothing where others are known.
    pub(super) fn end_denying(&mut self, host: &str, known: bool) {
        if !self.denies_everyone(host) {
            return;
        }
        let mut any_known = known;
        self.for_each_access(host, |access| any_known |= access.fresh);
        if any_known && !known {
            return;
        }
        if let Some(registry) = self.registries.get_mut(host) {
            registry.denies_everyone = false;
            if registry.canary.refused() {
                registry.canary.fresh = false;
            }
        }
        self.for_each_access(host, AccessRecord::denying_ended);
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
        let (known, asks_password) = (access.known_good, access.asks_password);
        self.end_denying(host, known);
        *self.access_mut(login, host, repository) = AccessRecord {
            verdict: Some(Proven { yes: true, at }),
            known_good: true,
            fresh: true,
            asks_password,
            ..AccessRecord::default()
        };
        self.registry_mut(host).note_grant((login, repository.into()), now);
        let mut advice = Advice::just(Cadence::Routine);
        if was_denied {
            advice.at_once.extend(self.reason_question(login));
        }
        advice
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
        let (pace, needed) = (self.rules.pace(), self.rules.needed());
        let access = self.access_mut(login, host, repository);
        access.denied_at = Some(now);
        access.all.refuse(now, pace);
        if !self.denies_everyone(host) && self.denies_as_a_whole(host, now) {
            self.begin_denying(host);
        }
        let incident = self.in_incident(host) || self.denies_everyone(host);
        let accepted_at = login.map(|login| self.logins.get(&login).and_then(|record| record.accepted_at));
        let access = self.access_mut(login, host, repository);
        if !incident && access.run.refuse(now, pace) {
            let in_a_row = if access.words.0 == denial.missing_scope { access.words.1 } else { 0 };
            access.words = (denial.missing_scope, in_a_row.saturating_add(1));
        }
        let (run, all) = (access.run, access.all);
        // What the registry says in its own words of the token is no burst of denials; nor is it one that nobody pulls.
        let in_words = access.words.0 && access.words.1 >= needed;
        // The login must have been accepted in the course of the run: a login that is refused says nothing of the access.
        let accepted_since = |first: Option<Moment>| accepted_at.is_none_or(|at| at >= first);
        let explained = self.is_explained(login, repository, all.first()) && accepted_since(all.first());
        let accepted_within = accepted_since(run.first());
        let enough = run.count() >= needed;
        let lasting = run.lasting() >= needed || in_words || login.is_none();
        let controlled = self.denial_is_controlled(host, login, repository);
        let access = self.access_mut(login, host, repository);
        let was_proven = matches!(access.verdict, Some(Proven { yes: false, .. }));
        // During an incident a run stands still: what was proven before it is not proven anew by what counts for nothing.
        let repeated = !incident && enough && lasting && accepted_within && controlled;
        let proven = (explained && all.count() >= needed) || repeated;
        if proven || (was_proven && !incident) {
            access.verdict = Some(Proven { yes: false, at });
            (access.fresh, access.suspect) = (false, false);
        }
        if proven || !incident {
            access.doubted = enough && !proven && !was_proven;
        }
        if access.words.1 >= needed {
            access.missing_scope = access.words.0;
        }
        let second_series = login.is_some() && run.lasts(now, pace) && run.lasting() < needed;
        let mut advice = Advice::just(match access.verdict {
            Some(Proven { yes: false, .. }) if !incident || proven => Cadence::Routine,
            _ if explained => Cadence::Confirm,
            _ if incident || (enough && !second_series) => Cadence::BackOff,
            _ => Cadence::Confirm,
        });
        if proven {
            self.end_denying_where_explained(host);
        }
        if !was_proven && (proven || self.reason_is_due(login, all.first(), now)) {
            advice.at_once.extend(self.reason_question(login));
        }
        if !incident && !proven && !was_proven {
            advice.at_once.extend(self.canary_question(host));
        }
        if let Some(login) = login
            && !incident
            && !accepted_within
            && denial.stage == DenialStage::Token
        {
            advice.at_once.push(Ask::Login(login));
        }
        advice
    }

    /// The issuer, who can say why a login is denied (an SSO authorisation that lacks), and that it is no longer so.
    fn reason_question(&self, login: Option<LoginId>) -> Option<Ask> {
        let token = self.logins.get(&login?)?.token()?;
        token.issuer.is_github().then(|| Ask::Issuer(token.clone()))
    }

    /// The issuer told why: denials that it explains and that are not proven are asked about again in close order, also where
    /// they had backed off while it was not heard.
    pub(super) fn confirm_explained(&self, token: &TokenKey, mut advice: Advice) -> Advice {
        let logins = self.tokens.get(token).into_iter().flat_map(|record| &record.logins);
        for (login, record) in logins.filter_map(|login| Some((*login, self.logins.get(login)?))) {
            for (repository, access) in record.accesses.iter().filter(|(_, access)| access.is_open()) {
                if self.is_explained(Some(login), repository, access.all.first()) {
                    advice.also.push((access_question(login, &record.host, repository), Cadence::Confirm));
                }
            }
        }
        advice.also.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        advice
    }

    /// Whether the issuer was not heard of the token of a login since its denials began, or for as long as an interval: a
    /// denial that nothing was behind may have come just before one that it can explain.
    fn reason_is_due(&self, login: Option<LoginId>, first: Option<Moment>, now: Moment) -> bool {
        let token = login.and_then(|login| self.logins.get(&login)?.token());
        let heard = token.and_then(|token| self.tokens.get(token)?.standing.latest).map(|(at, _)| at);
        heard < first || heard.is_none_or(|heard| since(heard, now) >= self.rules.interval)
    }

    /// Whether the issuer tells, since the denials began, why the login is denied: the organisation demands SSO, or a
    /// policy forbids the token. That is a second host which says the same, and no outage speaks in such words.
    fn is_explained(&self, login: Option<LoginId>, repository: &str, first: Option<Moment>) -> bool {
        let token = login.and_then(|login| self.logins.get(&login)?.token());
        let Some(told) = token.and_then(|token| self.tokens.get(token)) else { return false };
        let since = matches!(told.standing.latest, Some((at, true)) if Some(at) >= first);
        let organisation = repository.split_once('/').map(|(organisation, _)| organisation);
        let demanded = told.facts.iter().flat_map(|facts| &facts.sso_demanded_by).any(|by| Some(&**by) == organisation);
        since && (told.forbidden_by_policy || demanded)
    }

    /// Where each denial is proven, nothing is left that a registry which denies everyone would explain.
    fn end_denying_where_explained(&mut self, host: &str) {
        let Some(registry) = self.registries.get(host).filter(|registry| registry.denies_everyone) else { return };
        let logins = registry.logins.iter().filter_map(|login| self.logins.get(login));
        let mut all = logins.flat_map(|login| login.accesses.values()).chain(registry.anonymous.values());
        if !registry.canary.refused() && !all.any(AccessRecord::is_open) {
            self.end_denying(host, true);
        }
    }

    /// Whether the control that a denial needs was heard: while the canary is denied as well nothing is proven, and what was
    /// denied along with everything needs another access that was granted between its last two denials.
    pub(super) fn denial_is_controlled(&self, host: &str, login: Option<LoginId>, repository: &str) -> bool {
        let Some(registry) = self.registries.get(host) else { return true };
        if registry.canary.fresh && registry.canary.refused() {
            return false;
        }
        let accesses = login.map_or(Some(&registry.anonymous), |login| Some(&self.logins.get(&login)?.accesses));
        let Some(access) = accesses.and_then(|accesses| accesses.get(repository)) else { return true };
        let key: AccessKey = (login, repository.into());
        !access.suspect || registry.grant_control(&key) >= access.run.last_but_one()
    }

    pub(super) fn for_each_access(&mut self, host: &str, mut turn: impl FnMut(&mut AccessRecord)) {
        let Some(registry) = self.registries.get_mut(host) else { return };
        registry.anonymous.values_mut().for_each(&mut turn);
        for login in &registry.logins {
            if let Some(record) = self.logins.get_mut(login) {
                record.accesses.values_mut().for_each(&mut turn);
            }
        }
    }
}

/// The question whether a login may pull.
pub(super) fn access_question(login: LoginId, host: &Arc<str>, repository: &str) -> Ask {
    Ask::Access {
        host: Arc::clone(host),
        login: Some(login),
        repository: Arc::from(repository),
        // It is no part of what a question is.
        reference: Arc::from(""),
    }
}

impl AccessRecord {
    /// Whether it is denied, and that is not proven.
    fn is_open(&self) -> bool {
        self.denied_lately && !matches!(self.verdict, Some(Proven { yes: false, .. }))
    }

    /// Whether it was denied within the window, and that is news.
    fn newly_denied(&self, now: Moment, window: Duration) -> bool {
        self.fresh && self.denied_lately && self.denied_at.is_some_and(|at| since(at, now) <= window)
    }

    fn denying_ended(&mut self) {
        self.incident_began();
        if self.denied_lately {
            self.fresh = false;
            self.suspect = true;
        }
    }
}
