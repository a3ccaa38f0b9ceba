//! What an issuer's answers prove of a token, and incidents of issuers.

use chrono::{DateTime, TimeDelta, Utc};

use super::denials::access_question;
use super::records::TokenRecord;
use super::run::{self, Standing};
use super::{Advice, Ledger};
use crate::plan::{Ask, Cadence, IssuerKind, LoginId, Moment, TokenKey};
use crate::probe::{Expiry, TokenFacts, expand};

/// The scope that pulling from GitHub's registry needs (docs.github.com, "About permissions for GitHub Packages").
pub const PULL_SCOPE: &str = "read:packages";

/// How long after its expiry a token may still be let in: dates are cut to seconds, and replicas lag. A date that was
/// believed before stands for that long, so that the refusal which comes next is an expiry.
const LINGERS: TimeDelta = TimeDelta::minutes(5);

/// Answers that lack the scope before that is proven.
const TWICE: u32 = 2;

impl Ledger {
    /// The issuer knows the token.
    pub(super) fn alive(&mut self, token: &TokenKey, now: Moment) {
        let record = self.token_mut(token);
        let known = record.standing.known_good;
        record.standing.accept(now);
        record.forbidden_by_policy = false;
        self.unlock_owner(token);
        let any_known = known || self.tokens_of(token).any(|(id, other)| id != token && other.known_good);
        let Some(issuer) = self.issuers.get_mut(&token.issuer) else { return };
        issuer.alive_at = Some(now);
        if issuer.incident && (known || !any_known) {
            self.set_issuer_incident(token, false);
        }
    }

    /// What the issuer told of a living token.
    pub(super) fn facts(&mut self, token: &TokenKey, facts: &TokenFacts, at: DateTime<Utc>, now: Moment) -> Advice {
        let pace = self.rules.pace();
        let record = self.token_mut(token);
        let mut facts = facts.clone();
        let believed = record.facts.as_ref().map(|known| known.expiry);
        if let (Expiry::Unreliable, Some(Expiry::At(date))) = (facts.expiry, believed)
            && date <= at
            && at - date <= LINGERS
        {
            facts.expiry = Expiry::At(date);
        }
        if facts.owner.is_none() {
            facts.owner = record.facts.take().and_then(|known| known.owner);
        }
        let github = matches!(token.issuer.kind, IssuerKind::GithubCloud | IssuerKind::GithubServer);
        let (mut cadence, mut explained) = (Cadence::Routine, false);
        if let Some(told) = facts.scopes.as_deref().filter(|_| github) {
            if expand(told).contains(PULL_SCOPE) {
                record.scope_run.clear();
                explained = std::mem::take(&mut record.pull_scope_missing);
            } else {
                record.scope_run.refuse(now, pace);
                record.pull_scope_missing |= record.scope_run.count() >= TWICE;
                if !record.pull_scope_missing {
                    cadence = Cadence::Confirm;
                }
            }
        }
        record.facts = Some(facts);
        self.stretch(token, at);
        let mut advice = Advice::just(cadence);
        if explained {
            advice.at_once = self.reopen_denials(token);
        }
        advice
    }

    /// The scope that lacked is there: what it explained is open again, and to be asked.
    fn reopen_denials(&mut self, token: &TokenKey) -> Vec<Ask> {
        let mut asks = Vec::new();
        let logins = self.tokens.get(token).into_iter().flat_map(|record| &record.logins);
        for login in logins {
            let Some(record) = self.logins.get_mut(login) else { continue };
            for (repository, access) in record.accesses.iter_mut().filter(|(_, access)| access.denied_lately) {
                access.reopen();
                asks.push(access_question(*login, &record.host, repository));
            }
        }
        asks.sort_unstable();
        asks
    }

    /// The issuer does not know the token.
    pub(super) fn disowned(&mut self, token: &TokenKey, at: DateTime<Utc>, now: Moment) -> Advice {
        let (pace, window, agreed) = (self.rules.pace(), self.rules.issuer_interval, self.rules.agreed());
        let record = self.token_mut(token);
        record.locked_out = false;
        record.standing.latest = Some((now, false));
        if !self.issuer_in_incident(token)
            && run::is_incident(self.tokens_of(token).map(|(_, standing)| standing), now, window)
        {
            self.set_issuer_incident(token, true);
        }
        let incident = self.issuer_in_incident(token);
        let standing = &mut self.token_mut(token).standing;
        if !incident {
            standing.run.refuse(now, pace);
        }
        if !incident && self.disownment_is_proven(token) {
            self.token_mut(token).standing.bury();
        }
        let standing = &self.token_mut(token).standing;
        let (dead, count) = (standing.dead, standing.run.count());
        let logins = self.tokens.get(token).into_iter().flat_map(|token| &token.logins);
        let works = logins.filter_map(|login| self.logins.get(login)).any(|login| login.standing.accepted());
        let mut advice = Advice::just(match (dead, incident) {
            // Who is in the right shows at the usual pace; a token whose logins are dead as well rests with them.
            (true, _) if works => Cadence::Routine,
            (true, _) => Cadence::Dead,
            (false, false) if self.is_buried(token) => Cadence::Dead,
            (false, false) if count < agreed => Cadence::Confirm,
            (false, _) => Cadence::BackOff,
        });
        if !dead && (!incident || self.issuer_control_is_due(token, now)) {
            advice.at_once.extend(self.issuer_control(token, now));
        }
        let logins: Vec<_> = self.tokens.get(token).into_iter().flat_map(|token| &token.logins).copied().collect();
        for login in logins {
            let Some(record) = self.logins.get(&login) else { continue };
            if record.standing.dead {
                continue;
            }
            let refused = record.standing.refused();
            if self.issuer_confirms(login) {
                self.bury(login, at);
                advice.also.push((Ask::Login(login), Cadence::Dead));
            } else if !refused && !dead {
                advice.at_once.push(Ask::Login(login));
            } else {
                self.doubt_in_incident(login);
            }
        }
        advice
    }

    /// Whether the issuer does not know the token for certain: disowned often enough, and another token was found alive in between,
    /// or nobody is left who could be such a control. An issuer that disowns everyone shows itself at the control first.
    fn disownment_is_proven(&self, token: &TokenKey) -> bool {
        let Some(standing) = self.tokens.get(token).map(|record| &record.standing) else { return false };
        let alive_at = self.issuers.get(&token.issuer).and_then(|issuer| issuer.alive_at);
        let others = self.tokens_of(token).filter(|(id, _)| *id != token).map(|(_, other)| other);
        standing.run.count() >= self.rules.agreed()
            && (alive_at >= standing.run.last_but_one()
                || (!standing.suspect && run::nobody_left(others, &standing.run)))
    }

    /// Whether every login of a token is proven dead: whatever its issuer says of it changes no verdict.
    fn is_buried(&self, token: &TokenKey) -> bool {
        let logins = self.tokens.get(token).map(|record| &record.logins);
        logins.is_some_and(|logins| !logins.is_empty() && logins.iter().all(|login| self.is_dead(*login)))
    }

    /// Whether a login is proven dead.
    pub(super) fn is_dead(&self, login: LoginId) -> bool {
        self.logins.get(&login).is_some_and(|record| record.standing.dead)
    }

    /// The question to the issuer that disowns the token of a login which was just proven dead, if nothing hangs on it any more:
    /// it is not asked to the end of its series, since each answer is one more refusal on the account of the owner.
    pub(super) fn idle_question(&self, login: LoginId) -> Option<(Ask, Cadence)> {
        let token = self.logins.get(&login)?.token()?;
        let (_, alive) = self.tokens.get(token)?.standing.latest?;
        let idle = !alive && !self.issuer_in_incident(token) && self.is_buried(token);
        idle.then(|| (Ask::Issuer(token.clone()), Cadence::Dead))
    }

    /// Whether the owner of a token is locked out, as the issuer told of it or of another token of the same owner.
    pub(super) fn is_locked_out(&self, token: &TokenKey) -> bool {
        let Some(record) = self.tokens.get(token) else { return false };
        record.locked_out || self.same_owner(token).any(|(_, other)| other.locked_out)
    }

    /// Another token of the issuer that lives, the one that was not heard for longest; none that nobody may ask about now.
    /// Where an incident left none, one that lived before it: all of them may back off for an issuer interval, and the first
    /// that is found alive ends it.
    fn issuer_control(&self, token: &TokenKey, now: Moment) -> Option<Ask> {
        let rests = |id| self.tokens.get(id).and_then(|other: &TokenRecord| other.rests_until) > Some(now);
        let others = || self.tokens_of(token).filter(|(id, _)| *id != token && !rests(*id));
        let incident = self.issuer_in_incident(token);
        let lived = others().filter(|(_, other)| incident && other.known_good && !other.dead);
        let longest = |(id, other): &(&TokenKey, &Standing)| (other.latest, (*id).clone());
        let control = others().filter(|(_, other)| other.accepted()).min_by_key(longest).or(lived.min_by_key(longest));
        control.map(|(id, _)| Ask::Issuer(id.clone()))
    }

    /// Whether to ask a control during an incident: it may be over, or none. One each spacing, so that an issuer in
    /// trouble is not asked about every token in turn.
    fn issuer_control_is_due(&mut self, token: &TokenKey, now: Moment) -> bool {
        let spacing = self.rules.spacing;
        let issuer = self.issuers.get_mut(&token.issuer);
        issuer.is_some_and(|issuer| run::is_due(&mut issuer.control_asked, now, spacing))
    }

    fn issuer_in_incident(&self, token: &TokenKey) -> bool {
        self.issuers.get(&token.issuer).is_some_and(|issuer| issuer.incident)
    }

    fn set_issuer_incident(&mut self, token: &TokenKey, begins: bool) {
        let Some(issuer) = self.issuers.get_mut(&token.issuer) else { return };
        issuer.incident = begins;
        let turn = if begins { Standing::incident_began } else { Standing::incident_ended };
        for token in &issuer.tokens {
            if let Some(record) = self.tokens.get_mut(token) {
                turn(&mut record.standing);
            }
        }
    }

    /// The tokens of the same issuer, this one included.
    fn tokens_of(&self, token: &TokenKey) -> impl Iterator<Item = (&TokenKey, &Standing)> {
        let tokens = self.issuers.get(&token.issuer).into_iter().flat_map(|issuer| &issuer.tokens);
        tokens.filter_map(|token| Some((token, &self.tokens.get(token)?.standing)))
    }
}
