//! What happens beside the inventory: answers come in, time passes, the config becomes another one.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::select;
use tokio::sync::oneshot;

use crate::config::{Config, IssuerChoice, RegistryConfig};
use crate::patrol::{Answer, Orders, Patrol, take_in};
use crate::plan::{self, Ask, Moment, Registries};
use crate::probe::{
    AccessAnswer, Denial, DenialStage, Evidence, Expiry, Guarded, IssuerAnswer, LoginAnswer, TokenFacts, Unproven,
};
use std::time::Duration;

/// What an answer says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    Yes,
    No,
    Nothing,
    Odd,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    /// An answer to the question at this place among those that are asked, as often as this.
    Answered(usize, Word, usize),
    /// So many minutes pass.
    Passed(u16),
    /// The config is this one.
    Config(usize),
}

pub(super) fn turn() -> impl Strategy<Value = Turn> {
    let word = select(&[Word::Yes, Word::Yes, Word::No, Word::Nothing, Word::Odd][..]);
    prop_oneof![
        6 => (0..40_usize, word, 1..4_usize).prop_map(|(place, word, times)| Turn::Answered(place, word, times)),
        2 => (1..40_000_u16).prop_map(Turn::Passed),
        1 => (0..CONFIGS).prop_map(Turn::Config),
    ]
}

/// How many configs there are.
const CONFIGS: usize = 4;

/// A config, and who may be contacted by it.
pub(super) fn config(nth: usize) -> (Config, Registries) {
    let mut config = Config::default();
    let mut registries = vec![RegistryConfig::plain("*.registry.example.com", IssuerChoice::None)];
    match nth {
        1 => {
            config.scope.node_credentials = vec!["ghcr.io/org".to_owned()];
            config.issuer.required_scopes.push("repo".to_owned());
            config.issuer.warn_before = Duration::from_secs(40 * 86_400);
        }
        2 => {
            config.scope.exclude_namespaces = vec!["b".to_owned()];
            registries.clear();
        }
        // Asked in another way, while every Secret reads the same.
        3 => {
            registries[0].endpoint = Some("https://mirror.example.com".to_owned());
            registries[0].requests_per_second = 1.0;
            config.probe.rejected_interval = Duration::from_secs(3_600);
        }
        _ => {}
    }
    (config, Registries::new(&registries).expect("good registries"))
}

/// What time it is, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) minutes: u64,
}

impl Now {
    pub(super) fn moment(self) -> Moment {
        Moment(Duration::from_secs(60 * self.minutes))
    }

    pub(super) fn wall(self) -> DateTime<Utc> {
        let minutes = i64::try_from(self.minutes).expect("a century at most");
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
    }
}

impl Turn {
    /// Let it happen; returns the config that is in force, if it is another one.
    pub(super) fn happen(self, patrol: &mut Patrol, now: &mut Now) -> Option<usize> {
        match self {
            Self::Answered(place, word, times) => {
                for _ in 0..times {
                    now.minutes += 5;
                    answer(patrol, place, word, *now);
                }
            }
            Self::Passed(minutes) => now.minutes += u64::from(minutes),
            Self::Config(nth) => {
                let (config, registries) = config(nth);
                let (obeyed, _) = oneshot::channel();
                patrol.obey(Orders { config, registries, obeyed });
                patrol.sync();
                return Some(nth);
            }
        }
        None
    }
}

fn answer(patrol: &mut Patrol, place: usize, word: Word, now: Now) {
    let wanted = plan::wanted(&patrol.book, patrol.roster.workloads(), true);
    let Some(one) = wanted.get(place % wanted.len().max(1)) else { return };
    let token = one.ask.login().and_then(|login| patrol.token_of(login));
    let answer = match &one.ask {
        Ask::Login(_) => Answer::Login(evidence(of_login(word), now)),
        Ask::Access { .. } => Answer::Access(evidence(of_access(word), now)),
        Ask::Issuer(_) => Answer::Issuer(evidence(of_issuer(word, now), now)),
        Ask::Canary(_) => Answer::Canary(evidence(of_access(word), now)),
    };
    let to = (&mut patrol.schedule, &mut patrol.ledger);
    take_in(to, (&one.ask, &one.host), token.as_ref(), &answer, now.moment());
}

fn of_login(word: Word) -> LoginAnswer {
    match word {
        Word::Yes => LoginAnswer::Accepted,
        Word::No => LoginAnswer::Refused,
        Word::Nothing => LoginAnswer::Unproven(Unproven::Guarded(Guarded::PrivateAddress)),
        Word::Odd => LoginAnswer::NotChecked,
    }
}

fn of_access(word: Word) -> AccessAnswer {
    match word {
        Word::Yes => AccessAnswer::Granted,
        Word::No => AccessAnswer::Denied(Denial { stage: DenialStage::Manifest, missing_scope: false }),
        Word::Nothing => AccessAnswer::Unproven(Unproven::Throttled),
        Word::Odd => AccessAnswer::NotFound,
    }
}

fn of_issuer(word: Word, now: Now) -> IssuerAnswer {
    let facts = |expiry| TokenFacts {
        owner: Some("octo".to_owned()),
        scopes: Some(vec!["read:packages".to_owned(), "delete_repo".to_owned()]),
        expiry,
        sso_required: false,
        sso_demanded_by: Vec::new(),
        rate_limit: None,
    };
    match word {
        Word::Yes => IssuerAnswer::Alive(facts(Expiry::At(now.wall() + TimeDelta::days(20)))),
        Word::No => IssuerAnswer::Disowned,
        Word::Nothing => IssuerAnswer::Unproven(Unproven::Throttled),
        Word::Odd => IssuerAnswer::Alive(facts(Expiry::Never)),
    }
}

fn evidence<A>(answer: A, now: Now) -> Evidence<A> {
    Evidence {
        at: now.wall(),
        took: Duration::from_millis(20),
        answer,
        http_status: Some(200),
        code: None,
        detail: "as it was told".to_owned(),
        server_date: Some(now.wall()),
        retry_after: None,
        to_anybody: false,
    }
}
