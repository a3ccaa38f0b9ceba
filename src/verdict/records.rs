//! What the ledger keeps of each login, repository, token and host.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::EvidenceRow;
use super::moved::Asked;
use super::run::{Run, Standing};
use crate::plan::{LoginId, Moment, TokenKey};
use crate::probe::{AccessAnswer, Answer, Evidence, Guarded, Outcome, ProbeKind, TokenFacts, Unproven};

/// A proven state and the exchange that last fitted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) yes: bool,
    pub(super) at: DateTime<Utc>,
}

/// The last few exchanges, newest last, each shared with the snapshots that show it.
#[derive(Debug, Default)]
pub(super) struct Rows(pub(super) VecDeque<Arc<EvidenceRow>>);

impl Rows {
    const KEPT: usize = 5;

    pub(super) fn push<A>(&mut self, kind: ProbeKind, outcome: Outcome, evidence: &Evidence<A>) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.reserve_exact(1);
        self.0.push_back(Arc::new(EvidenceRow {
            at: evidence.at,
            kind: kind.as_str(),
            outcome: outcome.as_str(),
            http_status: evidence.http_status,
            code: evidence.code.clone(),
            detail: evidence.detail.clone(),
        }));
    }

    pub(super) fn to_vec(&self) -> Vec<Arc<EvidenceRow>> {
        self.0.iter().cloned().collect()
    }
}

/// Whether a registry asks for the password at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asks {
    /// No login exchange told so far.
    #[default]
    Unknown,
    /// It does.
    Yes,
    /// It let us in without.
    No,
}

/// Whether there is an issuer who can be asked about the password of a login.
#[derive(Clone, Debug, Default)]
pub(super) enum Confirmation {
    /// No login exchange told so far.
    #[default]
    Unknown,
    /// Nobody can.
    Nobody,
    /// This is the question.
    Issuer(TokenKey),
}

/// Of a login.
#[derive(Debug)]
pub(super) struct LoginRecord {
    pub(super) host: Arc<str>,
    pub(super) issuer: Confirmation,
    pub(super) asks: Asks,
    pub(super) standing: Standing,
    pub(super) verdict: Option<Proven>,
    pub(super) accepted_at: Option<Moment>,
    pub(super) probed_at: Option<DateTime<Utc>>,
    pub(super) not_checked: bool,
    pub(super) guarded: Option<Guarded>,
    pub(super) rows: Rows,
    pub(super) accesses: HashMap<Box<str>, AccessRecord>,
}

impl LoginRecord {
    pub(super) fn new(host: Arc<str>) -> Self {
        Self {
            host,
            issuer: Confirmation::Unknown,
            asks: Asks::Unknown,
            standing: Standing::default(),
            verdict: None,
            accepted_at: None,
            probed_at: None,
            not_checked: false,
            guarded: None,
            rows: Rows::default(),
            accesses: HashMap::new(),
        }
    }

    /// The token whose issuer can be asked.
    pub(super) fn token(&self) -> Option<&TokenKey> {
        match &self.issuer {
            Confirmation::Issuer(token) => Some(token),
            Confirmation::Unknown | Confirmation::Nobody => None,
        }
    }

    /// The guard that stopped the last exchange of the login, or of one of its accesses.
    pub(super) fn guards(&self) -> impl Iterator<Item = &Guarded> {
        self.guarded.iter().chain(self.accesses.values().filter_map(|access| access.guarded.as_ref()))
    }
}

/// Of one repository, for a login or for anyone.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and nearly all combinations occur")]
pub(super) struct AccessRecord {
    pub(super) verdict: Option<Proven>,
    /// Denials in a row.
    pub(super) run: Run,
    /// Denials in a row, those during incidents included: only the issuer's own reason makes them count.
    pub(super) all: Run,
    /// Whether the last denial was in words of a missing scope, and how many in a row were like it.
    pub(super) words: (bool, u32),
    /// Whether the proven denial was in words of a missing scope.
    pub(super) missing_scope: bool,
    pub(super) guarded: Option<Guarded>,
    /// Whether the login was refused here once: who is let in has shown the password, whatever the registry asks for elsewhere.
    pub(super) asks_password: bool,
    /// Whether the latest answer was a denial.
    pub(super) denied_lately: bool,
    /// When it was last denied.
    pub(super) denied_at: Option<Moment>,
    /// Whether it was ever granted.
    pub(super) known_good: bool,
    /// Whether it was granted since the registry last denied everyone, and no denial of it was proven since: its denial
    /// would be news.
    pub(super) fresh: bool,
    /// Whether it was denied when the registry stopped denying everyone: it needs a control to be proven denied.
    pub(super) suspect: bool,
    /// Whether it was denied often enough, but without the control that the proof needs.
    pub(super) doubted: bool,
}

impl AccessRecord {
    /// Keep what kind of answer came last; what proves nothing leaves it.
    pub(super) fn note_answer(&mut self, answer: &AccessAnswer) {
        if !matches!(answer, AccessAnswer::Unproven(_) | AccessAnswer::LoginRefused) {
            self.denied_lately = matches!(answer, AccessAnswer::Denied(_));
        }
    }

    /// Keep what guard of ours stopped the exchange, if one did. A time-out or a throttle tells nothing of that.
    pub(super) fn note_guard(&mut self, answer: &AccessAnswer) {
        match answer {
            AccessAnswer::Unproven(Unproven::Guarded(guard)) => self.guarded = Some(guard.clone()),
            AccessAnswer::Unproven(_) => {}
            _ => self.guarded = None,
        }
    }

    /// What explained its denial is gone: the denial, proven or not, proves nothing any more.
    pub(super) fn reopen(&mut self) {
        if matches!(self.verdict, Some(Proven { yes: false, .. })) {
            self.verdict = None;
        }
        self.run.clear();
        self.all.clear();
        self.words = (false, 0);
        (self.missing_scope, self.doubted) = (false, false);
    }

    /// An incident of the registry began: denials that are not proven count for nothing.
    pub(super) fn incident_began(&mut self) {
        if !matches!(self.verdict, Some(Proven { yes: false, .. })) {
            self.run.clear();
            self.words = (false, 0);
        }
    }
}

/// A repository, for a login or for anyone.
pub(super) type AccessKey = (Option<LoginId>, Box<str>);

/// Of a token, as its issuer tells.
#[derive(Debug, Default)]
pub(super) struct TokenRecord {
    pub(super) facts: Option<TokenFacts>,
    pub(super) standing: Standing,
    pub(super) forbidden_by_policy: bool,
    /// The issuer's last word that was neither a yes nor a no: its owner is locked out.
    pub(super) locked_out: bool,
    /// Until when nothing is asked about it, since its owner is to be left alone.
    pub(super) rests_until: Option<Moment>,
    /// Answers in a row whose scope list lacks what pulling needs.
    pub(super) scope_run: Run,
    pub(super) pull_scope_missing: bool,
    /// How far apart usual questions about it are at least, so that half of its owner's quota stays untouched.
    pub(super) stretch: Duration,
    pub(super) probed_at: Option<DateTime<Utc>>,
    pub(super) rows: Rows,
    pub(super) logins: BTreeSet<LoginId>,
}

/// Of a registry: its logins together.
#[derive(Debug, Default)]
pub(super) struct RegistryRecord {
    pub(super) logins: BTreeSet<LoginId>,
    pub(super) incident: bool,
    /// When a control was last asked for during an incident.
    pub(super) control_asked: Option<Moment>,
    /// Whether anything was ever accepted there, the canary included.
    pub(super) ever_accepted: bool,
    /// The last acceptance of a login.
    pub(super) accepted: Option<(LoginId, Moment)>,
    /// Whether it is suspected of denying every repository to everyone, though it accepts logins.
    pub(super) denies_everyone: bool,
    /// The last access that was granted.
    pub(super) granted: Option<(AccessKey, Moment)>,
    pub(super) canary: Standing,
    /// How it was asked; `None` before anybody told.
    pub(super) asked: Option<Asked>,
    pub(super) anonymous: HashMap<Box<str>, AccessRecord>,
}

impl RegistryRecord {
    pub(super) fn note_acceptance(&mut self, login: LoginId, now: Moment) {
        self.ever_accepted = true;
        self.accepted = Some((login, now));
    }

    pub(super) fn note_grant(&mut self, access: AccessKey, now: Moment) {
        self.granted = Some((access, now));
    }

    /// Whether an access was ever granted, the canary included.
    pub(super) fn ever_granted(&self) -> bool {
        self.granted.is_some() || self.canary.known_good
    }

    /// When another access, or the canary, was last granted: the control of an access. Where the last grant was its own,
    /// its denials are all later than those before it, and none of these would be a control.
    pub(super) fn grant_control(&self, access: &AccessKey) -> Option<Moment> {
        let other = self.granted.as_ref().filter(|(key, _)| key != access).map(|(_, at)| *at);
        other.max(self.canary_granted_at())
    }

    fn canary_granted_at(&self) -> Option<Moment> {
        self.canary.latest.filter(|(_, granted)| *granted).map(|(at, _)| at)
    }

    /// When another login, or the canary, was last accepted: the control of a login. As with accesses, what came before its
    /// own last acceptance would be none.
    pub(super) fn control(&self, login: LoginId) -> Option<Moment> {
        let other = self.accepted.filter(|(id, _)| *id != login).map(|(_, at)| at);
        other.max(self.canary_granted_at())
    }
}

/// Of an issuer: its tokens together.
#[derive(Debug, Default)]
pub(super) struct IssuerRecord {
    pub(super) tokens: BTreeSet<TokenKey>,
    pub(super) incident: bool,
    /// When a token was last found alive.
    pub(super) alive_at: Option<Moment>,
    /// When a control was last asked for during an incident.
    pub(super) control_asked: Option<Moment>,
}

/// Of any host that we exchange with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HostRecord {
    pub(super) up: Option<bool>,
    pub(super) skew_seconds: Option<f64>,
    /// The `Date` of its last answer that made sense, and when it came.
    pub(super) told: Option<(Moment, DateTime<Utc>)>,
}

impl HostRecord {
    pub(super) fn note<A: Answer>(&mut self, evidence: &Evidence<A>, now: Moment) {
        self.up = evidence.heard().or(self.up);
        if let Some(theirs) = evidence.server_date {
            self.skew_seconds = Some(skew_seconds(evidence.at, theirs, evidence.took));
            if evidence.answer.unproven().is_none() {
                self.told = Some((now, theirs));
            }
        }
    }

    /// Its time now, by its last `Date` and the time that has passed since.
    pub(super) fn date(&self, now: Moment) -> Option<DateTime<Utc>> {
        let (at, date) = self.told?;
        date.checked_add_signed(TimeDelta::from_std(now.0.saturating_sub(at.0)).ok()?)
    }
}

/// Our clock minus theirs. `Date` is cut to whole seconds (RFC 9110, 5.6.7), and was written at some time between the question
/// and the answer: the difference lies in a range, of which the middle is told, and 0 where 0 is in it.
fn skew_seconds(ours: DateTime<Utc>, theirs: DateTime<Utc>, took: Duration) -> f64 {
    let most = ours.signed_duration_since(theirs).as_seconds_f64();
    let least = most - took.as_secs_f64() - 1.0;
    if least <= 0.0 && most >= 0.0 { 0.0 } else { f64::midpoint(least, most) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skew_is_told_as_far_as_whole_seconds_and_the_time_under_way_allow() {
        let (date, ms) = (DateTime::UNIX_EPOCH, TimeDelta::milliseconds);
        // Ours at the arrival in ms after their `Date`, time under way in ms, expected.
        for (ours, took, expected) in [
            (0, 20, 0.0),
            (999, 20, 0.0),
            (1_000, 0, 0.0),
            (1_019, 20, 0.0),
            (1_500, 20, 0.99),
            (9_000, 8_500, 0.0),
            (-1, 20, -0.511),
            (60_000, 1_000, 59.0),
            (-3_600_000, 200, -3_600.6),
        ] {
            let told = skew_seconds(date + ms(ours), date, Duration::from_millis(took));
            assert!((told - expected).abs() < 1e-6, "{ours} ms, {took} ms: {told}");
        }
    }
}
