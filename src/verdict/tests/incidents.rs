//! Incidents of registries and issuers.

use super::*;
use crate::plan::Cadence;
use LoginAnswer::{Accepted, Refused};

/// Logins `1..=n` accepted in the first seconds.
fn working(n: u64) -> Case {
    let mut case = Case::new();
    for login in 1..=n {
        case.plain(login, login, Accepted);
    }
    case
}

#[test]
fn three_logins_and_half_refused_within_an_interval_are_an_incident() {
    let mut case = working(6);
    case.plain(600, 1, Refused);
    case.plain(900, 2, Refused);
    assert!(!case.incident(PLAIN));
    assert_eq!(case.plain(1_000, 3, Refused).cadence, Cadence::BackOff);
    assert!(case.incident(PLAIN));
}

#[test]
fn two_logins_are_no_incident() {
    let mut case = working(2);
    case.plain(600, 1, Refused);
    case.plain(601, 2, Refused);
    assert!(!case.incident(PLAIN));
}

/// ghcr.io takes a token under any user name: whoever holds one could make an incident of it, and hide behind that.
#[test]
fn one_token_under_many_user_names_is_no_incident() {
    let mut case = Case::new();
    let mut ask = |at, login, of, answer| {
        case.now = at;
        case.ledger.record_login(LoginId(login), GHCR, Some(&token(of)), &evidence(at, answer, Some(200)), moment(at));
        case.incident(GHCR)
    };
    ask(0, 1, 1, Accepted);
    ask(0, 2, 2, Accepted);
    for login in 10..30 {
        ask(0, login, 99, Accepted);
    }
    for login in 10..30 {
        assert!(!ask(600, login, 99, Refused));
    }
    // Others that are refused too still make one.
    assert!(!ask(601, 1, 1, Refused));
    assert!(ask(602, 2, 2, Refused));
}

#[test]
fn less_than_half_are_no_incident() {
    let mut case = working(7);
    for login in 1..=3 {
        case.plain(600, login, Refused);
    }
    assert!(!case.incident(PLAIN));
}

#[test]
fn refusals_further_apart_than_an_interval_are_no_incident() {
    let mut case = working(3);
    case.plain(600, 1, Refused);
    case.plain(700, 2, Refused);
    case.plain(1_201, 3, Refused);
    assert!(!case.incident(PLAIN));
}

#[test]
fn logins_that_never_worked_do_not_make_one() {
    let mut case = working(1);
    for login in 2..=9 {
        case.plain(600, login, Refused);
    }
    assert!(!case.incident(PLAIN));
}

#[test]
fn what_an_incident_refuses_counts_for_nothing() {
    let mut case = working(3);
    for at in (600..1_200).step_by(60) {
        for login in 1..=3 {
            case.plain(at, login, Refused);
        }
        case.access(at, None, PLAIN, denied(DenialStage::Token));
    }
    for login in 1..=3 {
        assert_eq!(case.status(login), Status::Valid);
        assert_eq!(case.view(login).last_verdict_at, Some(wall(login)), "with its age");
    }
    assert_eq!(case.ledger.access(None, PLAIN, REPOSITORY).granted, None);
}

#[test]
fn no_verdict_flips_before_the_incident_is_seen() {
    // The first login is refused often enough before the others are asked at all.
    let mut case = working(3);
    case.refuse_plain(1, &[600, 660, 720, 780]);
    assert_ne!(case.status(1), Status::Rejected);
    case.plain(900, 2, Refused);
    case.plain(901, 3, Refused);
    assert!(case.incident(PLAIN));
    case.refuse_plain(1, &[960, 1_020, 1_080]);
    assert_ne!(case.status(1), Status::Rejected);
}

#[test]
fn the_runs_that_led_to_an_incident_start_again_after_it() {
    let mut case = working(4);
    case.refuse_plain(1, &[600, 660]);
    case.refuse_plain(2, &[661]);
    case.refuse_plain(3, &[662]);
    assert!(case.incident(PLAIN));
    case.plain(700, 4, Accepted);
    assert!(!case.incident(PLAIN), "a login that was accepted before is accepted again");
    case.refuse_plain(1, &[720, 780]);
    case.plain(781, 4, Accepted);
    assert_eq!(case.status(1), Status::Valid, "two refusals since");
    case.plain(840, 1, Refused);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn logins_that_stay_refused_do_not_start_the_same_incident_again() {
    // Three of five are revoked where no issuer can tell: an incident at first, proven once the others work on.
    let mut case = working(5);
    for login in 1..=3 {
        case.plain(600, login, Refused);
    }
    assert!(case.incident(PLAIN));
    case.plain(610, 4, Accepted);
    for at in [660, 720, 780] {
        for login in 1..=3 {
            case.plain(at, login, Refused);
        }
        case.plain(at + 1, 5, Accepted);
        assert!(!case.incident(PLAIN));
    }
    for login in 1..=3 {
        assert_eq!(case.status(login), Status::Rejected);
    }
}

#[test]
fn after_an_incident_repetition_needs_a_control() {
    let mut case = working(3);
    for login in 1..=3 {
        case.plain(600, login, Refused);
    }
    case.plain(650, 3, Accepted);
    case.ledger.retain(|login| login != LoginId(3), |_| true);
    case.refuse_plain(1, &[660, 720, 780]);
    case.refuse_plain(2, &[661, 721, 781]);
    assert_eq!((case.status(1), case.status(2)), (Status::Unverified, Status::Unverified));
}

#[test]
fn a_login_that_is_new_does_not_end_an_incident_at_once() {
    let mut case = working(3);
    for login in 1..=3 {
        case.plain(600, login, Refused);
    }
    case.plain(610, 9, Accepted);
    assert!(case.incident(PLAIN));
    case.plain(620, 9, Accepted);
    assert!(!case.incident(PLAIN), "it was accepted before by now");
}

#[test]
fn dead_before_an_incident_stays_dead() {
    let mut case = working(3);
    case.refuse_plain(9, &[10, 70]);
    case.plain(71, 1, Accepted);
    case.plain(130, 9, Refused);
    assert_eq!(case.status(9), Status::Rejected);
    for login in 1..=3 {
        case.plain(600, login, Refused);
    }
    assert!(case.incident(PLAIN));
    case.plain(700, 9, Refused);
    assert_eq!(case.status(9), Status::Rejected);
    assert_eq!(case.view(9).last_verdict_at, Some(wall(130)));
    case.plain(800, 1, Accepted);
    assert_eq!(case.status(9), Status::Rejected);
}

#[test]
fn from_the_start_five_logins_and_none_accepted_are_an_incident() {
    let mut case = Case::new();
    for login in 1..=4 {
        case.plain(login, login, Refused);
        assert!(!case.incident(PLAIN));
    }
    case.plain(5, 5, Refused);
    assert!(case.incident(PLAIN));
    for at in [60, 120, 180] {
        case.plain(at, 1, Refused);
    }
    assert_eq!(case.status(1), Status::Unverified);
    case.plain(200, 6, Accepted);
    assert!(!case.incident(PLAIN));
}

#[test]
fn five_refused_logins_beside_one_that_works_are_no_incident() {
    let mut case = working(1);
    for login in 2..=9 {
        case.plain(10, login, Refused);
    }
    assert!(!case.incident(PLAIN));
}

#[test]
fn the_canary_denied_twice_is_an_incident_until_it_is_granted() {
    let mut case = working(1);
    case.canary(10, PLAIN, AccessAnswer::Granted);
    assert_eq!(case.canary(600, PLAIN, denied(DenialStage::Token)).cadence, Cadence::Confirm);
    assert!(!case.incident(PLAIN));
    case.canary(660, PLAIN, denied(DenialStage::Token));
    assert!(case.incident(PLAIN));
    case.refuse_plain(1, &[661, 721, 781, 841]);
    assert_eq!(case.status(1), Status::Valid);
    case.canary(900, PLAIN, AccessAnswer::Granted);
    assert!(!case.incident(PLAIN));
}

#[test]
fn a_canary_that_is_not_public_is_no_incident_beside_logins_that_work() {
    let mut case = working(1);
    for at in [600, 660, 720] {
        case.canary(at, PLAIN, denied(DenialStage::Token));
    }
    assert!(!case.incident(PLAIN));
    case.canary(780, PLAIN, AccessAnswer::NotFound);
    assert!(!case.incident(PLAIN));
}

#[test]
fn the_issuer_proves_a_revocation_during_an_incident_of_the_registry() {
    let mut case = Case::new();
    for login in 1..=8 {
        case.ghcr(login, login, Accepted);
        case.issuer(login, login, alive());
    }
    for login in 1..=4 {
        let advice = case.ghcr(600 + login, login, Refused);
        assert!(advice.at_once.contains(&Ask::Issuer(token(login))));
    }
    assert!(case.incident(GHCR));
    case.issuer(605, 1, IssuerAnswer::Disowned);
    case.issuer(606, 8, alive());
    case.ghcr(661, 1, Refused);
    assert_eq!(case.status(1), Status::Valid);
    case.issuer(665, 1, IssuerAnswer::Disowned);
    assert_eq!(case.status(1), Status::Rejected);
    assert_eq!(case.status(2), Status::Valid, "refused like all others, and not disowned");
    assert!(case.incident(GHCR), "the others are refused still");
}

#[test]
fn three_tokens_and_half_disowned_are_an_incident_of_the_issuer() {
    let mut case = Case::new();
    for login in 1..=4 {
        case.ghcr(login, login, Accepted);
        case.issuer(login, login, alive());
    }
    for login in 1..=3 {
        case.issuer(600 + login, login, IssuerAnswer::Disowned);
    }
    assert!(case.incident("api.github.com"));
    for at in [700, 760, 820] {
        for login in 1..=3 {
            assert_eq!(case.issuer(at, login, IssuerAnswer::Disowned).cadence, Cadence::BackOff);
            case.ghcr(at, login, Refused);
        }
    }
    for login in 1..=3 {
        assert_ne!(case.status(login), Status::Rejected);
    }
    case.issuer(900, 4, alive());
    assert!(!case.incident("api.github.com"));
    for at in [960, 1_020] {
        case.ghcr(at, 1, Refused);
        case.issuer(at, 1, IssuerAnswer::Disowned);
        case.issuer(at + 1, 4, alive());
    }
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn after_an_incident_of_the_issuer_a_disownment_needs_a_control() {
    let mut case = Case::new();
    for login in 1..=3 {
        case.issuer(login, login, alive());
    }
    for login in 1..=3 {
        case.issuer(600, login, IssuerAnswer::Disowned);
    }
    case.issuer(650, 3, alive());
    case.ledger.retain(|_| true, |key| *key == token(1));
    for at in [700, 760, 820] {
        case.ghcr(at, 1, Refused);
        case.issuer(at, 1, IssuerAnswer::Disowned);
    }
    assert_eq!(case.status(1), Status::Unverified, "nobody else is left to tell");
}

#[test]
fn a_disownment_waits_for_a_token_that_is_alive() {
    let mut case = Case::new();
    case.issuer(0, 2, alive());
    case.refuse_ghcr(1, &[600, 660]);
    let advice = case.issuer(601, 1, IssuerAnswer::Disowned);
    assert!(advice.at_once.contains(&Ask::Issuer(token(2))), "the control");
    case.issuer(661, 1, IssuerAnswer::Disowned);
    assert_eq!(case.status(1), Status::Unverified, "the other token was not heard since");
    case.issuer(662, 2, alive());
    case.issuer(721, 1, IssuerAnswer::Disowned);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn many_disowned_and_nobody_alive_since_prove_nothing_yet() {
    let mut case = Case::new();
    for login in 1..=20 {
        case.issuer(login, login, alive());
    }
    for at in [600, 660] {
        for login in 1..=3 {
            let advice = case.issuer(at, login, IssuerAnswer::Disowned);
            let control = |ask: &Ask| matches!(ask, Ask::Issuer(other) if other.token.0 != login);
            assert!(advice.at_once.iter().any(control), "a living token is asked as the control");
            case.ghcr(at, login, Refused);
        }
    }
    assert!(!case.incident("api.github.com"), "three of twenty");
    for login in 1..=3 {
        assert_ne!(case.status(login), Status::Rejected);
    }
    case.issuer(670, 20, alive());
    for login in 1..=3 {
        case.issuer(720, login, IssuerAnswer::Disowned);
        assert_eq!(case.status(login), Status::Rejected);
    }
}

#[test]
fn an_incident_nobody_is_left_to_end_is_forgotten() {
    let mut case = working(3);
    for login in 1..=3 {
        case.plain(600, login, Refused);
    }
    assert!(case.incident(PLAIN));
    case.ledger.retain(|_| false, |_| false);
    assert!(!case.incident(PLAIN));
}
