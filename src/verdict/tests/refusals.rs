//! Proof of a refusal of a login.

use std::time::Duration;

use super::*;
use crate::plan::Cadence;
use crate::probe::Guarded;
use LoginAnswer::{Accepted, NotChecked, Refused};

#[test]
fn nothing_asked_is_unverified() {
    let case = Case::new();
    assert_eq!(case.status(1), Status::Unverified);
    assert_eq!(case.view(1).last_probe_at, None);
}

#[test]
fn one_acceptance_is_valid() {
    let mut case = Case::new();
    let advice = case.ghcr(5, 1, Accepted);
    assert_eq!((case.status(1), case.view(1).last_verdict_at), (Status::Valid, Some(wall(5))));
    assert_eq!(advice, Advice { cadence: Cadence::Routine, at_once: vec![], also: vec![] });
}

#[test]
fn answers_that_prove_nothing_leave_the_verdict_and_its_age() {
    let answers = [
        TIMEOUT,
        Unproven::Throttled,
        Unproven::OwnerThrottled,
        Unproven::LockedOut,
        Unproven::Odd("http_5xx"),
        Unproven::Guarded(Guarded::PrivateAddress),
    ];
    let mut case = Case::new();
    for (n, why) in answers.iter().enumerate() {
        case.ghcr(60 * (n as u64), 1, LoginAnswer::Unproven(why.clone()));
        assert_eq!(case.status(1), Status::Unverified, "{why:?}");
    }
    case.ghcr(1_000, 1, Accepted);
    for (n, why) in answers.iter().enumerate() {
        case.ghcr(2_000 + 60 * (n as u64), 1, LoginAnswer::Unproven(why.clone()));
        assert_eq!(case.status(1), Status::Valid, "{why:?}");
    }
    assert_eq!(case.view(1).last_verdict_at, Some(wall(1_000)));
    assert_eq!(case.view(1).last_probe_at, Some(wall(2_300)));
}

#[test]
fn cadence_after_answers_that_prove_nothing() {
    let mut case = Case::new();
    assert_eq!(case.ghcr(0, 1, LoginAnswer::Unproven(TIMEOUT)).cadence, Cadence::BackOff);
    let mut later = evidence(9, LoginAnswer::Unproven(Unproven::Throttled), Some(429));
    later.retry_after = Some(Duration::from_secs(7));
    let advice = case.ledger.record_login(LoginId(1), GHCR, None, &later, moment(9));
    assert_eq!(advice.cadence, Cadence::NotBefore(Duration::from_secs(7)));
    let locked = case.issuer(10, 1, IssuerAnswer::Unproven(Unproven::LockedOut));
    assert_eq!(locked.cadence, Cadence::OwnerNotBefore(Duration::from_secs(3600)));
    let mut limit = evidence(20, IssuerAnswer::Unproven(Unproven::OwnerThrottled), Some(403));
    limit.retry_after = Some(Duration::from_secs(900));
    let advice = case.ledger.record_issuer(&token(1), &limit, moment(20));
    assert_eq!(advice.cadence, Cadence::OwnerNotBefore(Duration::from_secs(900)));
}

#[test]
fn three_refusals_and_three_disownments_are_rejected() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    let advice = case.ghcr(600, 1, Refused);
    assert_eq!(advice.cadence, Cadence::Confirm);
    assert_eq!(advice.at_once, [Ask::Issuer(token(1))], "the issuer is asked at once");
    assert_eq!(case.issuer(601, 1, IssuerAnswer::Disowned).cadence, Cadence::Confirm);
    case.ghcr(660, 1, Refused);
    assert_eq!(case.issuer(661, 1, IssuerAnswer::Disowned).cadence, Cadence::Confirm);
    assert_eq!(case.ghcr(720, 1, Refused).cadence, Cadence::BackOff);
    assert_eq!(case.status(1), Status::Valid, "disowned twice only, and about to be asked again");
    let advice = case.issuer(721, 1, IssuerAnswer::Disowned);
    assert_eq!(case.status(1), Status::Rejected);
    assert_eq!(advice.cadence, Cadence::Dead);
    assert_eq!(advice.also, [(Ask::Login(LoginId(1)), Cadence::Dead)]);
    assert_eq!(case.view(1).last_verdict_at, Some(wall(721)));
    assert_eq!(case.ghcr(9_000, 1, Refused).cadence, Cadence::Dead);
    assert_eq!(case.view(1).last_verdict_at, Some(wall(9_000)));
}

#[test]
fn refusals_or_disownments_closer_than_the_spacing_count_once() {
    let mut case = Case::new();
    case.refuse_ghcr(1, &[0, 59, 60, 119]);
    for at in [0, 60, 120] {
        case.issuer(at, 1, IssuerAnswer::Disowned);
    }
    assert_eq!(case.status(1), Status::Unverified);
    case.ghcr(120, 1, Refused);
    assert_eq!(case.status(1), Status::Rejected);

    let mut case = Case::new();
    case.refuse_ghcr(1, &[0, 60, 120]);
    for at in [0, 60, 119] {
        case.issuer(at, 1, IssuerAnswer::Disowned);
    }
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn a_login_accepted_in_between_starts_the_run_again() {
    let mut case = Case::new();
    case.refuse_plain(1, &[0, 60]);
    case.plain(90, 1, Accepted);
    case.refuse_plain(1, &[120, 180]);
    assert_eq!(case.status(1), Status::Valid);
    case.plain(240, 1, Refused);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn a_token_alive_in_between_starts_the_disownments_again() {
    let mut case = Case::new();
    case.refuse_ghcr(1, &[0, 60, 120]);
    case.issuer(0, 1, IssuerAnswer::Disowned);
    case.issuer(60, 1, IssuerAnswer::Disowned);
    case.issuer(120, 1, alive());
    case.issuer(180, 1, IssuerAnswer::Disowned);
    case.issuer(240, 1, IssuerAnswer::Disowned);
    assert_eq!(case.status(1), Status::Unverified);
    case.issuer(300, 1, IssuerAnswer::Disowned);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn answers_that_prove_nothing_neither_count_nor_reset() {
    let mut case = Case::new();
    case.plain(0, 1, Refused);
    case.plain(60, 1, LoginAnswer::Unproven(TIMEOUT));
    case.plain(120, 1, Refused);
    case.plain(180, 1, LoginAnswer::Unproven(Unproven::Odd("http_5xx")));
    assert_eq!(case.status(1), Status::Unverified);
    case.plain(240, 1, Refused);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn without_an_issuer_confirmations_refusals_are_rejected() {
    let mut case = Case::new();
    assert_eq!(case.plain(0, 1, Refused).cadence, Cadence::Confirm);
    assert_eq!(case.plain(60, 1, Refused).cadence, Cadence::Confirm);
    assert_eq!(case.status(1), Status::Unverified);
    assert_eq!(case.plain(120, 1, Refused).cadence, Cadence::Dead);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn one_answer_never_proves_a_refusal() {
    let mut case = Case::new();
    case.ledger = Ledger::new(Rules { confirmations: 1, ..rules() });
    case.plain(0, 1, Refused);
    assert_eq!(case.status(1), Status::Unverified);
    case.plain(60, 1, Refused);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn without_an_issuer_a_control_that_could_answer_is_heard_first() {
    let mut case = Case::new();
    case.plain(0, 1, Accepted);
    case.plain(1, 2, Accepted);
    let advice = case.plain(600, 1, Refused);
    assert!(asks_login(&advice, 2), "the other login is the control");
    case.refuse_plain(1, &[660, 720]);
    assert_eq!(case.status(1), Status::Unverified, "refused often enough, but nobody else was heard");
    case.plain(725, 2, Accepted);
    case.plain(780, 1, Refused);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn without_an_issuer_two_logins_that_are_both_refused_are_rejected() {
    let mut case = Case::new();
    case.plain(0, 1, Accepted);
    case.plain(1, 2, Accepted);
    for at in [600, 660, 720] {
        case.plain(at, 1, Refused);
        case.plain(at + 1, 2, Refused);
    }
    assert_eq!((case.status(1), case.status(2)), (Status::Rejected, Status::Rejected));
    assert!(!case.incident(PLAIN), "two logins are no incident");
}

#[test]
fn refused_but_alive_without_a_control_is_unverified() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    case.refuse_ghcr(1, &[600, 660]);
    case.issuer(601, 1, alive());
    assert_eq!(case.status(1), Status::Valid);
    assert!(!case.view(1).issuer_disagrees);
    assert_eq!(case.ghcr(720, 1, Refused).cadence, Cadence::BackOff);
    assert_eq!(case.status(1), Status::Unverified);
    assert!(case.view(1).issuer_disagrees && case.view(1).doubted);
    assert_eq!(case.view(1).last_verdict_at, Some(wall(0)), "the last proof keeps its age");
    case.ghcr(800, 1, Accepted);
    assert_eq!(case.status(1), Status::Valid);
    assert!(!case.view(1).issuer_disagrees && !case.view(1).doubted);
}

#[test]
fn refused_but_alive_with_another_login_accepted_in_between_is_rejected() {
    let mut case = Case::new();
    case.ghcr(0, 2, Accepted);
    case.ghcr(600, 1, Refused);
    case.issuer(601, 1, alive());
    for at in [660, 720, 780, 900, 1_200, 1_260] {
        case.ghcr(at - 1, 2, Accepted);
        case.ghcr(at, 1, Refused);
        assert_eq!(case.status(1), Status::Unverified, "at {at}");
    }
    case.ghcr(1_319, 2, Accepted);
    assert_eq!(case.ghcr(1_320, 1, Refused), Advice::just(Cadence::Dead), "the issuer vouches for it");
    assert_eq!(case.status(1), Status::Rejected);
    assert!(case.view(1).issuer_disagrees);
}

#[test]
fn refused_for_minutes_while_the_issuer_vouches_is_unverified() {
    // Good tokens are refused for up to ten minutes, whatever is asked, while others are accepted.
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    case.ghcr(0, 2, Accepted);
    for minute in 10..20 {
        let advice = case.ghcr(60 * minute, 1, Refused);
        assert!(advice.at_once.contains(&Ask::Issuer(token(1))), "it may be revoked any time");
        case.issuer(60 * minute + 1, 1, alive());
        let again = case.ghcr(60 * minute + 1, 1, Refused);
        assert!(!again.at_once.contains(&Ask::Issuer(token(1))), "once for each refusal that counts");
        case.ghcr(60 * minute + 2, 2, Accepted);
        assert_ne!(case.status(1), Status::Rejected);
    }
    assert_eq!(case.status(1), Status::Unverified);
    assert!(case.view(1).issuer_disagrees);
    case.ghcr(1_200, 1, Accepted);
    assert_eq!(case.status(1), Status::Valid);
}

#[test]
fn past_the_patience_a_second_series_is_asked_in_close_order() {
    use Cadence::{BackOff, Confirm};
    let mut case = Case::new();
    case.ghcr(0, 2, Accepted);
    let cadences = [600, 660, 720, 780, 1_200, 1_260].map(|at| case.ghcr(at, 1, Refused).cadence);
    assert_eq!(cadences, [Confirm, Confirm, BackOff, BackOff, Confirm, Confirm]);
    assert_eq!(case.ghcr(1_320, 1, Refused).cadence, BackOff, "no control was heard");
}

#[test]
fn refused_but_alive_with_the_canary_granted_in_between_is_rejected() {
    let mut case = Case::new();
    case.canary(0, GHCR, AccessAnswer::Granted);
    let advice = case.ghcr(600, 1, Refused);
    assert!(advice.at_once.contains(&Ask::Canary(GHCR.into())));
    case.issuer(601, 1, alive());
    case.ghcr(660, 1, Refused);
    case.canary(661, GHCR, AccessAnswer::Granted);
    case.ghcr(720, 1, Refused);
    assert_eq!(case.status(1), Status::Unverified);
    for at in [1_200, 1_260, 1_320] {
        assert_eq!(case.status(1), Status::Unverified);
        case.ghcr(at, 1, Refused);
        case.canary(at + 1, GHCR, AccessAnswer::Granted);
    }
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn a_control_from_before_the_refusals_is_none() {
    let mut case = Case::new();
    case.ghcr(599, 2, Accepted);
    case.refuse_ghcr(1, &[600, 660, 720, 1_200, 1_260, 1_320]);
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn an_acceptance_of_the_login_itself_is_no_control() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    case.refuse_ghcr(1, &[60, 120, 180, 240, 700, 760, 820]);
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn an_issuer_that_cannot_be_asked_leaves_it_to_refusals_that_outlast_a_lock_out() {
    let mut case = Case::new();
    case.ghcr(0, 2, Accepted);
    case.refuse_ghcr(1, &[0, 60]);
    case.issuer(1, 1, IssuerAnswer::Unproven(Unproven::Throttled));
    // An hour, and an interval more.
    for at in [120, 600, 660, 720, 1_200, 2_400, 3_600, 4_199] {
        case.ghcr(at - 1, 2, Accepted);
        case.ghcr(at, 1, Refused);
        assert_eq!(case.status(1), Status::Unverified, "at {at}");
    }
    case.refuse_ghcr(1, &[4_259]);
    assert_eq!(case.status(1), Status::Unverified, "no control since");
    for (at, expected) in [(4_319, Status::Unverified), (4_379, Status::Rejected)] {
        case.ghcr(at - 1, 2, Accepted);
        case.ghcr(at, 1, Refused);
        assert_eq!(case.status(1), expected, "at {at}");
    }
    assert!(!case.view(1).issuer_disagrees);
}

#[test]
fn another_token_of_the_owner_that_lives_rules_a_lock_out_out() {
    let mut case = Case::new();
    let owned = || {
        let owner = Some("octocat".to_owned());
        IssuerAnswer::Alive(TokenFacts { owner, ..facts(None, Expiry::Never) })
    };
    case.issuer(0, 1, owned());
    case.issuer(0, 3, owned());
    for heard in [false, true] {
        for at in [600, 660, 720, 1_200, 1_260, 1_320] {
            case.ghcr(at - 1, 2, Accepted);
            case.ghcr(at, 1, Refused);
            case.issuer(at + 1, 1, IssuerAnswer::Unproven(Unproven::Odd("oversized")));
            if heard {
                case.issuer(at + 1, 3, owned());
            }
        }
        let status = if heard { Status::Rejected } else { Status::Unverified };
        assert_eq!(case.status(1), status);
        case.ghcr(1_380, 1, Accepted);
    }
}

#[test]
fn an_answer_that_was_under_way_when_refusals_began_was_not_heard_since() {
    let slow = |answer| Evidence { took: Duration::from_secs(2), ..evidence(601, answer, Some(200)) };
    let mut case = Case::new();
    for at in [600, 660, 720, 1_200, 1_260] {
        case.ghcr(at, 1, Refused);
        if at == 600 {
            case.ledger.record_issuer(&token(1), &slow(alive()), moment(601));
        }
    }
    case.ghcr(1_261, 2, Accepted);
    case.ghcr(1_320, 1, Refused);
    assert_eq!(case.status(1), Status::Unverified, "the issuer was asked before");

    let mut case = Case::new();
    case.plain(0, 1, Accepted);
    case.plain(1, 2, Accepted);
    case.refuse_plain(1, &[540, 600]);
    let late = Evidence { took: Duration::from_secs(70), ..evidence(605, Accepted, Some(200)) };
    case.ledger.record_login(LoginId(2), PLAIN, None, &late, moment(605));
    case.plain(660, 1, Refused);
    assert_eq!(case.status(1), Status::Unverified, "the control was asked before the last two refusals");
}

#[test]
fn a_password_that_tells_of_itself_has_no_issuer_to_ask() {
    let itself = Issuer { kind: IssuerKind::SelfDescribed, api: None };
    let token = TokenKey { issuer: itself, token: TokenId(1) };
    let mut case = Case::new();
    for at in [0, 60, 120] {
        let refused = evidence(at, Refused, Some(401));
        let advice = case.ledger.record_login(LoginId(1), PLAIN, Some(&token), &refused, moment(at));
        assert!(advice.at_once.is_empty());
    }
    assert_eq!(case.view(1).accepted, Some(false));
}

#[test]
fn accepted_but_disowned_is_valid_and_the_issuer_disagrees() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    let advice = case.issuer(1, 1, IssuerAnswer::Disowned);
    assert!(asks_login(&advice, 1), "the registry is asked at once");
    case.issuer(61, 1, IssuerAnswer::Disowned);
    assert!(!case.view(1).issuer_disagrees, "disowned twice only");
    assert_eq!(case.issuer(121, 1, IssuerAnswer::Disowned).cadence, Cadence::Routine, "it may be the one that errs");
    case.ghcr(122, 1, Accepted);
    assert_eq!(case.status(1), Status::Valid);
    assert!(case.view(1).issuer_disagrees);
    case.issuer(4_000, 1, alive());
    assert!(!case.view(1).issuer_disagrees);
}

#[test]
fn disowned_before_and_since_makes_the_third_refusal_the_proof() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    case.issuer(1, 1, IssuerAnswer::Disowned);
    case.issuer(61, 1, IssuerAnswer::Disowned);
    let advice = case.issuer(121, 1, IssuerAnswer::Disowned);
    assert_eq!(advice.cadence, Cadence::Routine, "the registry still accepts it");
    let advice = case.ghcr(600, 1, Refused);
    assert!(advice.at_once.contains(&Ask::Issuer(token(1))));
    case.issuer(601, 1, IssuerAnswer::Disowned);
    case.ghcr(660, 1, Refused);
    assert_eq!(case.status(1), Status::Valid);
    case.ghcr(720, 1, Refused);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn a_clock_that_was_set_back_shows_in_the_times() {
    let mut case = Case::new();
    for (wall_time, moment_of) in [(90_000, 0), (600, 600)] {
        let accepted = evidence(wall_time, Accepted, Some(200));
        case.ledger.record_login(LoginId(1), GHCR, None, &accepted, moment(moment_of));
    }
    let view = case.view(1);
    assert_eq!((view.last_probe_at, view.last_verdict_at), (Some(wall(600)), Some(wall(600))));
}

#[test]
fn what_the_issuer_said_before_the_refusals_confirms_none() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    for at in [1, 61, 121] {
        case.issuer(at, 1, IssuerAnswer::Disowned);
    }
    case.refuse_ghcr(1, &[600, 660, 720]);
    assert_eq!(case.status(1), Status::Unverified);
    case.issuer(730, 1, IssuerAnswer::Disowned);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn refused_after_the_known_expiry_is_expired() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    case.issuer(0, 1, IssuerAnswer::Alive(facts(None, Expiry::At(wall(500)))));
    case.ghcr(510, 1, Accepted);
    assert_eq!(case.status(1), Status::Valid, "a date that has passed proves nothing by itself");
    case.dies(600);
    assert_eq!(case.status(1), Status::Expired);
}

#[test]
fn a_token_that_lingers_past_its_expiry_has_expired_when_it_is_refused() {
    for (asked, status) in [(500, Status::Expired), (790, Status::Expired), (900, Status::Rejected)] {
        let mut case = Case::new();
        case.ghcr(0, 1, Accepted);
        case.issuer(0, 1, IssuerAnswer::Alive(facts(None, Expiry::At(wall(500)))));
        case.issuer(asked, 1, IssuerAnswer::Alive(facts(None, Expiry::Unreliable)));
        case.dies(1_000);
        assert_eq!(case.status(1), status, "accepted at {asked}");
    }
}

#[test]
fn refused_before_the_known_expiry_is_rejected_until_it_has_passed() {
    let mut case = Case::new();
    case.issuer(0, 1, IssuerAnswer::Alive(facts(None, Expiry::At(wall(5_000)))));
    case.dies(600);
    assert_eq!(case.status(1), Status::Rejected);
    case.now = 5_000;
    assert_eq!(case.status(1), Status::Expired);
}

#[test]
fn an_unreliable_expiry_never_makes_expired() {
    let mut case = Case::new();
    case.issuer(0, 1, IssuerAnswer::Alive(facts(None, Expiry::Unreliable)));
    case.dies(600);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn a_proven_refusal_stands_until_an_acceptance() {
    let mut case = Case::new();
    case.refuse_plain(1, &[0, 60, 120]);
    case.plain(3_000, 1, LoginAnswer::Unproven(TIMEOUT));
    assert_eq!(case.status(1), Status::Rejected);
    case.plain(4_000, 1, Accepted);
    assert_eq!(case.status(1), Status::Valid);
    case.plain(4_600, 1, Refused);
    assert_eq!(case.status(1), Status::Valid, "one refusal again");
}

#[test]
fn a_host_that_never_asked_for_the_password_proves_nothing() {
    let mut case = Case::new();
    case.plain(0, 1, NotChecked);
    case.access(1, Some(1), PLAIN, AccessAnswer::Granted);
    assert_eq!(case.status(1), Status::Unverified);
    assert!(case.view(1).password_not_checked);
    case.plain(2, 1, LoginAnswer::Unproven(TIMEOUT));
    assert!(case.view(1).password_not_checked);
    case.plain(3, 1, Accepted);
    assert!(!case.view(1).password_not_checked);
    assert_eq!(case.status(1), Status::Valid);
}

#[test]
fn an_access_before_the_first_login_exchange_is_taken_back_when_nobody_asks_for_the_password() {
    let mut case = Case::new();
    case.access(0, Some(1), PLAIN, AccessAnswer::Granted);
    case.plain(1, 1, NotChecked);
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn a_new_password_is_a_new_login_without_a_past() {
    let mut case = Case::new();
    case.refuse_plain(1, &[0, 60, 120]);
    case.ledger.retain(|login| login == LoginId(2), |_| false);
    assert_eq!(case.status(1), Status::Unverified, "forgotten");
    case.plain(130, 2, Accepted);
    assert_eq!(case.status(2), Status::Valid);
}

#[test]
fn one_round_confirms_within_its_run() {
    let mut config = crate::config::Config::default();
    let at_once = Rules {
        spacing: Duration::from_secs(2),
        patience: Duration::ZERO,
        silence: Duration::ZERO,
        outage: Duration::ZERO,
        ..Rules::new(&config)
    };
    assert_eq!(Rules::one_shot(&config), at_once);
    config.probe.confirmation_spacing = Duration::from_millis(10);
    assert_eq!(Rules::one_shot(&config).spacing, Duration::from_millis(10));
}

#[test]
fn a_control_must_be_heard_between_the_last_two_refusals() {
    // The registry may have gone dark since an earlier control.
    let mut case = Case::new();
    case.refuse_ghcr(1, &[600, 660, 720, 1_200]);
    case.issuer(1_200, 1, alive());
    case.ghcr(1_201, 2, Accepted);
    case.refuse_ghcr(1, &[1_260, 1_320]);
    assert_eq!(case.status(1), Status::Unverified);
    case.ghcr(1_321, 2, Accepted);
    case.ghcr(1_380, 1, Refused);
    assert_eq!(case.status(1), Status::Unverified, "between one pair of them");
    case.ghcr(1_381, 2, Accepted);
    case.ghcr(1_440, 1, Refused);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn one_refusal_after_an_outage_proves_nothing() {
    // Two logins are too few for an incident, and everybody was refused for longer than an interval.
    let mut case = Case::new();
    for login in [1, 2] {
        case.ghcr(0, login, Accepted);
    }
    for at in [600, 660, 720, 1_200, 1_260, 1_320, 1_800] {
        for login in [1, 2] {
            case.ghcr(at, login, Refused);
            case.issuer(at + 1, login, alive());
        }
    }
    for (at, expected) in [(2_400, Status::Unverified), (2_460, Status::Rejected)] {
        case.ghcr(at, 2, Accepted);
        case.ghcr(at + 1, 1, Refused);
        assert_eq!(case.status(1), expected, "at {at}");
    }
}

#[test]
fn where_registry_and_issuer_agree_more_confirmations_are_not_waited_for() {
    let mut case = Case::new();
    case.ledger = Ledger::new(Rules { confirmations: 5, ..rules() });
    case.dies(600);
    assert_eq!(case.status(1), Status::Rejected);
}
