//! What the ledger tells of what it keeps, and what it forgets.

use super::*;
use crate::config::Config;
use crate::plan::Cadence;
use crate::probe::Guarded;
use LoginAnswer::{Accepted, NotChecked, Refused};

const API: &str = "api.github.com";

fn ask_access(login: Option<u64>) -> Ask {
    Ask::Access { host: GHCR.into(), login: login.map(LoginId), repository: REPOSITORY.into(), reference: "".into() }
}

#[test]
fn the_worse_of_two_statuses_is_shown() {
    use Status::{
        Anonymous, Expired, Forbidden, Ignored, InsufficientScope, Malformed, Rejected, Unsupported, Unverified, Valid,
    };
    let worst_first = [
        Malformed,
        Expired,
        Rejected,
        Unsupported,
        InsufficientScope,
        Forbidden,
        Anonymous,
        Unverified,
        Ignored,
        Valid,
    ];
    for (at, worse) in worst_first.into_iter().enumerate() {
        for better in worst_first.into_iter().skip(at) {
            assert_eq!((worse.worse(better), better.worse(worse)), (worse, worse), "{worse:?} and {better:?}");
        }
    }
}

#[test]
fn the_rules_are_those_of_the_config() {
    let mut config = Config::default();
    config.probe.confirmations = 7;
    config.probe.confirmation_spacing = Duration::from_secs(61);
    config.probe.interval = Duration::from_secs(601);
    config.probe.rejected_interval = Duration::from_secs(21_601);
    config.issuer.interval = Duration::from_secs(3_601);
    let rules = Rules::new(&config);
    let seconds = [rules.spacing, rules.patience, rules.interval, rules.rejected_interval, rules.issuer_interval];
    assert_eq!((rules.confirmations, seconds.map(|wait| wait.as_secs())), (7, [61, 601, 601, 21_601, 3_601]));
    assert_eq!(rules.silence.as_secs(), 3_600 + 601, "a lock-out and an interval");
    assert_eq!(rules.outage.as_secs(), 6 * 3_600);
    let once = Rules::one_shot(&config);
    assert_eq!((once.spacing, once.patience), (Duration::from_secs(2), Duration::ZERO));
}

#[test]
fn an_exchange_is_shown_with_what_was_answered() {
    let mut told = evidence(5, Refused, Some(403));
    told.code = Some("DENIED".to_owned());
    told.detail = "the token is not known".to_owned();
    let mut case = Case::new();
    case.ledger.record_login(LoginId(1), PLAIN, None, &told, moment(5));
    let view = case.view(1);
    let row = &view.evidence[0];
    assert_eq!((row.at, row.kind, row.outcome), (wall(5), "login", "refused"));
    assert_eq!((row.http_status, row.code.as_deref(), &*row.detail), (Some(403), Some("DENIED"), &*told.detail));
}

#[test]
fn the_last_exchange_of_any_kind_is_told() {
    let mut case = Case::new();
    case.ghcr(10, 1, Accepted);
    case.issuer(20, 1, alive());
    assert_eq!(case.view(1).last_probe_at, Some(wall(20)));
    case.access(30, Some(1), GHCR, AccessAnswer::Unproven(TIMEOUT));
    assert_eq!(case.view(1).last_probe_at, Some(wall(30)));
    case.access(40, Some(1), GHCR, AccessAnswer::Granted);
    assert_eq!(case.ledger.access(Some(LoginId(1)), GHCR, REPOSITORY).last_verdict_at, Some(wall(40)));
}

#[test]
fn without_an_issuer_nobody_disagrees() {
    let mut case = Case::new();
    case.plain(0, 1, Accepted);
    assert!(!case.view(1).issuer_disagrees);
    case.refuse_plain(1, &[600, 660, 720]);
    assert!(!case.view(1).issuer_disagrees);
}

#[test]
fn a_lack_of_scope_is_told_once_the_denial_is_proven() {
    for first in [AccessAnswer::NotFound, AccessAnswer::Granted] {
        let mut case = Case::new();
        case.access(0, Some(1), GHCR, first);
        case.canary(0, GHCR, AccessAnswer::Granted);
        case.canary(590, GHCR, denied(DenialStage::Token));
        let view = |case: &Case| case.ledger.access(Some(LoginId(1)), GHCR, REPOSITORY);
        for at in [600, 660, 720] {
            case.access(at, Some(1), GHCR, denied_for_scope());
            assert!(!view(&case).missing_scope, "the canary is denied too");
        }
        case.canary(770, GHCR, AccessAnswer::Granted);
        case.access(780, Some(1), GHCR, denied_for_scope());
        assert!(view(&case).missing_scope);
    }
}

#[test]
fn whoever_was_refused_last_is_told() {
    let mut case = Case::new();
    let all = [Ask::Login(LoginId(1)), ask_access(Some(1)), Ask::Issuer(token(1))];
    let told = |case: &Case| all.clone().map(|ask| case.ledger.is_refused(&ask));
    assert_eq!(told(&case), [false; 3], "nobody was asked");
    case.ghcr(0, 1, Accepted);
    case.issuer(0, 1, alive());
    assert_eq!(told(&case), [false; 3]);
    case.ghcr(600, 1, Refused);
    assert_eq!(told(&case), [true; 3], "with one login of a token the token is");
    let other = evidence(601, Accepted, Some(200));
    case.ledger.record_login(LoginId(11), GHCR, Some(&token(1)), &other, moment(601));
    assert_eq!(told(&case), [true; 3], "whatever of its others");
    case.ghcr(610, 1, Accepted);
    case.issuer(620, 1, IssuerAnswer::Disowned);
    assert_eq!(told(&case), [false, false, true]);
    case.issuer(630, 1, alive());
    assert_eq!(told(&case), [false; 3]);
    case.issuer(640, 1, IssuerAnswer::Unproven(Unproven::LockedOut));
    assert_eq!(told(&case), [false, false, true]);
    // What is asked without a login presents nothing that could be refused.
    case.access(650, None, GHCR, denied(DenialStage::Token));
    assert!(!case.ledger.is_refused(&ask_access(None)) && !case.ledger.is_refused(&Ask::Canary(GHCR.into())));
}

#[test]
fn the_repositories_that_are_denied_to_a_login_are_told() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    let denied_ones = |case: &Case| case.ledger.denied_repositories(LoginId(1)).map(str::to_owned).collect::<Vec<_>>();
    for answer in [AccessAnswer::NotFound, AccessAnswer::Granted] {
        case.access(0, Some(1), GHCR, answer);
        assert!(denied_ones(&case).is_empty());
    }
    for at in [600, 660, 720, 1_200, 1_260, 1_320] {
        case.access(at, Some(1), GHCR, denied(DenialStage::Manifest));
        assert_eq!(denied_ones(&case), [REPOSITORY], "proven or not");
    }
    case.access(1_400, Some(1), GHCR, AccessAnswer::NotFound);
    assert_eq!(denied_ones(&case), [REPOSITORY], "proven, though the last word was another");
}

#[test]
fn a_guard_that_stopped_an_access_is_told_until_an_answer() {
    let guarded = || AccessAnswer::Unproven(Unproven::Guarded(Guarded::PrivateAddress));
    let mut case = Case::new();
    case.plain(0, 1, Accepted);
    case.access(1, Some(1), PLAIN, guarded());
    assert!(case.view(1).private_address);
    case.access(2, Some(1), PLAIN, AccessAnswer::Unproven(TIMEOUT));
    assert!(case.view(1).private_address, "silence tells nothing of it");
    case.access(3, Some(1), PLAIN, AccessAnswer::NotFound);
    assert!(!case.view(1).private_address);
}

#[test]
fn any_exchange_tells_whether_a_host_is_up() {
    let silent = || AccessAnswer::Unproven(TIMEOUT);
    let mut case = Case::new();
    let up = |case: &Case| case.ledger.registry(PLAIN).up;
    case.access(0, None, PLAIN, AccessAnswer::NotFound);
    assert_eq!(up(&case), Some(true));
    case.ledger.record_access(None, PLAIN, REPOSITORY, &evidence(1, silent(), None), moment(1));
    assert_eq!(up(&case), Some(false));
    case.canary(2, PLAIN, AccessAnswer::Granted);
    assert_eq!(up(&case), Some(true));
    case.ledger.record_canary(PLAIN, &evidence(3, silent(), None), moment(3));
    assert_eq!(up(&case), Some(false));
    let guarded = AccessAnswer::Unproven(Unproven::Guarded(Guarded::PrivateAddress));
    case.ledger.record_canary(PLAIN, &evidence(4, guarded, None), moment(4));
    assert_eq!(up(&case), Some(false), "nothing was asked of it");
}

#[test]
fn the_time_is_told_by_the_issuer_or_else_by_the_registry() {
    let mut case = Case::new();
    let date = |case: &Case, at| case.ledger.date(GHCR, Some(&token(1).issuer), moment(at));
    assert_eq!(date(&case, 0), None);
    let mut told = evidence(100, Accepted, Some(200));
    told.server_date = Some(wall(70));
    case.ledger.record_login(LoginId(1), GHCR, Some(&token(1)), &told, moment(100));
    assert_eq!(date(&case, 110), Some(wall(80)), "by the registry, with the time since");
    assert_eq!(case.ledger.date(GHCR, None, moment(110)), Some(wall(80)));
    let mut told = evidence(120, alive(), Some(200));
    told.server_date = Some(wall(95));
    case.ledger.record_issuer(&token(1), &told, moment(120));
    assert_eq!(date(&case, 130), Some(wall(105)), "by the issuer");
    // An answer that makes no sense has no date that could be relied on.
    let mut odd = evidence(140, IssuerAnswer::Unproven(Unproven::Odd("http_5xx")), Some(503));
    odd.server_date = Some(wall(0));
    case.ledger.record_issuer(&token(1), &odd, moment(140));
    assert_eq!(date(&case, 140), Some(wall(115)));
    assert_eq!(
        case.ledger.registry(API).clock_skew_seconds.map(f64::floor),
        Some(139.0),
        "it is compared all the same"
    );
}

#[test]
fn a_password_that_was_asked_for_once_keeps_what_was_proven_of_it() {
    for refused in [false, true] {
        let mut case = Case::new();
        if refused {
            case.refuse_plain(1, &[0, 60, 120]);
        } else {
            case.plain(120, 1, Accepted);
        }
        let before = case.view(1).accepted;
        assert_eq!(before, Some(!refused));
        case.plain(600, 1, NotChecked);
        assert_eq!((case.view(1).accepted, case.view(1).password_not_checked), (before, true));
    }
    // A refusal at an access is a question for the password too.
    let mut case = Case::new();
    case.access(0, Some(1), PLAIN, AccessAnswer::Granted);
    case.access(60, Some(1), PLAIN, AccessAnswer::LoginRefused);
    case.plain(120, 1, NotChecked);
    assert_eq!(case.view(1).accepted, Some(true));
}

#[test]
fn who_was_let_in_without_a_password_is_no_control() {
    let mut case = Case::new();
    case.plain(0, 2, Accepted);
    case.access(0, Some(1), PLAIN, AccessAnswer::Granted);
    case.plain(10, 1, NotChecked);
    assert_eq!(case.plain(600, 2, Refused).at_once, []);
}

#[test]
fn an_access_whose_login_is_proven_dead_rests_with_it() {
    let mut case = Case::new();
    case.plain(0, 1, Accepted);
    case.access(0, Some(1), PLAIN, AccessAnswer::Granted);
    case.access(60, Some(1), PLAIN, denied(DenialStage::Manifest));
    case.refuse_plain(1, &[600, 660, 720]);
    assert_eq!(case.status(1), Status::Rejected);
    assert_eq!(case.access(800, Some(1), PLAIN, AccessAnswer::LoginRefused).cadence, Cadence::Dead);
}

#[test]
fn what_nobody_holds_any_more_is_forgotten() {
    let mut case = Case::new();
    for login in 1..=3 {
        case.ghcr(login, login, Accepted);
        case.issuer(login, login, alive());
    }
    for login in 1..=3 {
        case.ghcr(600, login, Refused);
        case.issuer(601, login, IssuerAnswer::Disowned);
    }
    assert!(case.incident(GHCR) && case.incident(API));
    case.ledger.retain(|login| login != LoginId(1), |key| *key != token(1));
    assert!(!case.ledger.is_refused(&Ask::Issuer(token(1))) && !case.ledger.is_refused(&Ask::Login(LoginId(1))));
    assert!(case.ledger.is_refused(&Ask::Issuer(token(2))) && case.ledger.is_refused(&Ask::Login(LoginId(2))));
    assert!(case.incident(GHCR) && case.incident(API), "others could still end them");
    case.issuer(700, 2, alive());
    assert!(case.ledger.is_refused(&Ask::Issuer(token(2))), "its login is refused");
    case.ledger.retain(|login| login == LoginId(3), |_| true);
    assert!(!case.ledger.is_refused(&Ask::Issuer(token(2))), "it has no login any more");
    assert!(case.ledger.tokens[&token(2)].logins.is_empty());
    assert!(case.incident(GHCR));
    case.ledger.retain(|_| false, |_| false);
    assert!(!case.incident(GHCR) && !case.incident(API));
    case.ledger.retain_hosts(|_| true);
    assert!(case.ledger.issuers.is_empty(), "an issuer without tokens");
}

#[test]
fn to_forget_begins_no_incident() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    case.issuer(0, 1, alive());
    case.access(0, Some(1), GHCR, AccessAnswer::Granted);
    case.ledger.retain(|_| true, |_| true);
    assert!(!case.incident(GHCR) && !case.incident(API));
}

#[test]
fn an_incident_that_a_canary_could_end_is_kept_without_logins() {
    let mut case = Case::new();
    case.canary(0, PLAIN, AccessAnswer::Granted);
    for at in [600, 660] {
        case.canary(at, PLAIN, denied(DenialStage::Token));
    }
    case.ledger.retain(|_| false, |_| false);
    assert!(case.ledger.in_incident(PLAIN) && case.ledger.denies_everyone(PLAIN));
    // Without logins and without a canary nobody is left.
    let mut case = Case::new();
    for login in 1..=3 {
        case.ghcr(0, login, Accepted);
        case.access(0, Some(login), GHCR, AccessAnswer::Granted);
    }
    for login in 1..=3 {
        case.access(600, Some(login), GHCR, denied(DenialStage::Manifest));
    }
    case.ledger.retain(|login| login == LoginId(1), |_| true);
    assert!(case.incident(GHCR));
    case.ledger.retain(|_| false, |_| false);
    assert!(!case.incident(GHCR));
}

#[test]
fn an_incident_of_an_issuer_goes_with_its_last_token() {
    let mut case = Case::new();
    for login in 1..=3 {
        case.issuer(login, login, alive());
    }
    for login in 1..=3 {
        case.issuer(600, login, IssuerAnswer::Disowned);
    }
    case.ledger.retain(|_| true, |_| false);
    assert!(!case.incident(API));
}

#[test]
fn hosts_and_accesses_that_nobody_wants_are_forgotten_and_no_others() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    case.plain(0, 2, Accepted);
    for login in [None, Some(1)] {
        case.access(0, login, GHCR, AccessAnswer::Granted);
    }
    case.ledger.retain_hosts(|host| host == GHCR);
    let known = |case: &Case, host: &str| (case.ledger.registry(host).up, case.ledger.registries.contains_key(host));
    assert_eq!((known(&case, GHCR), known(&case, PLAIN)), ((Some(true), true), (None, false)));

    let granted = |case: &Case, login: Option<u64>| case.ledger.access(login.map(LoginId), GHCR, REPOSITORY).granted;
    case.ledger.retain_accesses(|_, host, repository| host == GHCR && repository == REPOSITORY);
    assert_eq!((granted(&case, None), granted(&case, Some(1))), (Some(true), Some(true)));
    case.ledger.retain_accesses(|login, _, _| login.is_none());
    assert_eq!((granted(&case, None), granted(&case, Some(1))), (Some(true), None));
    case.ledger.retain_accesses(|_, _, _| false);
    assert_eq!(granted(&case, None), None);
}
