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
    for (last, expected) in [(1_200, true), (1_201, false)] {
        let mut case = working(3);
        case.plain(600, 1, Refused);
        case.plain(700, 2, Refused);
        case.plain(last, 3, Refused);
        assert_eq!(case.incident(PLAIN), expected, "the last one at {last}");
    }
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
    for at in [720, 780] {
        case.plain(at, 1, Refused);
        case.plain(at + 1, 4, Accepted);
    }
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
    for at in [10, 70, 130] {
        case.plain(at, 9, Refused);
        case.plain(at + 1, 1, Accepted);
    }
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
    let mut disowned = |at| {
        case.ghcr(at, 1, Refused);
        case.issuer(at + 1, 8, alive());
        case.issuer(at + 2, 1, IssuerAnswer::Disowned);
        case.status(1)
    };
    assert_eq!([661, 721].map(&mut disowned), [Status::Valid; 2]);
    assert_eq!([781, 961, 1_265, 1_325].map(&mut disowned), [Status::Unverified; 4], "disowned, but not for long");
    assert_eq!(disowned(1_385), Status::Rejected);
    assert_eq!(case.status(2), Status::Valid, "refused like all others, and not disowned");
    assert!(case.incident(GHCR), "the others are refused still");
}

#[test]
fn an_incident_that_the_issuer_joins_needs_another_token_alive_or_hours() {
    let mut case = Case::new();
    case.canary(0, GHCR, AccessAnswer::Granted);
    for login in 1..=2 {
        case.ghcr(0, login, Accepted);
        case.issuer(0, login, alive());
    }
    let mut at = 600;
    while at < 600 + 6 * 3_600 {
        for login in 1..=2 {
            case.ghcr(at, login, Refused);
            case.issuer(at + 1, login, IssuerAnswer::Disowned);
            assert_ne!(case.status(login), Status::Rejected, "at {at}: two tokens are no incident of the issuer");
        }
        case.canary(at + 2, GHCR, denied(DenialStage::Token));
        at += 300;
    }
    assert!(case.incident(GHCR));
    for at in [at, at + 60, at + 120] {
        case.ghcr(at, 1, Refused);
        case.issuer(at + 1, 1, IssuerAnswer::Disowned);
    }
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn a_token_disowned_for_minutes_during_an_incident_is_unverified() {
    let mut case = Case::new();
    for login in 1..=4 {
        case.ghcr(login, login, Accepted);
        case.issuer(login, login, alive());
    }
    for login in 1..=3 {
        case.ghcr(600 + login, login, Refused);
    }
    for at in [620, 680, 740, 920] {
        case.ghcr(at, 1, Refused);
        case.issuer(at + 1, 1, IssuerAnswer::Disowned);
        case.issuer(at + 2, 4, alive());
    }
    assert!(case.incident(GHCR));
    assert_eq!(case.status(1), Status::Unverified);
    // Past the patience it is asked in close order, so that a real revocation is not found much later.
    assert_eq!(case.ghcr(1_239, 1, Refused).cadence, Cadence::Confirm);
    case.issuer(1_240, 1, alive());
    case.ghcr(1_300, 1, Accepted);
    assert_eq!(case.status(1), Status::Valid);
}

#[test]
fn what_an_incident_explained_confirms_no_disownment_after_it() {
    let mut case = Case::new();
    for login in 1..=4 {
        case.ghcr(login, login, Accepted);
        case.issuer(login, login, alive());
    }
    for at in [600, 660, 720] {
        for login in 1..=3 {
            case.ghcr(at, login, Refused);
        }
    }
    case.ghcr(780, 4, Accepted);
    assert!(!case.incident(GHCR));
    for at in [790, 850, 910] {
        case.issuer(at, 1, IssuerAnswer::Disowned);
        case.issuer(at + 1, 4, alive());
    }
    assert_eq!(case.status(1), Status::Valid, "it was not asked since");
    case.refuse_ghcr(1, &[920, 980, 1_040]);
    assert_ne!(case.status(1), Status::Rejected, "the issuer was not heard since the last of them that counts");
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
    case.ledger.retain_hosts(|_| true);
    assert!(case.incident("api.github.com"), "an issuer with tokens is not forgotten");
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
    // Nor has the registry one any more.
    case.ghcr(901, 4, Accepted);
    for at in [960, 1_020, 1_080] {
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
    case.refuse_ghcr(1, &[600, 660, 720]);
    let advice = case.issuer(601, 1, IssuerAnswer::Disowned);
    assert!(advice.at_once.contains(&Ask::Issuer(token(2))), "the control");
    case.issuer(661, 1, IssuerAnswer::Disowned);
    case.issuer(721, 1, IssuerAnswer::Disowned);
    assert_eq!(case.status(1), Status::Unverified, "the other token was not heard since");
    case.issuer(722, 2, alive());
    case.issuer(781, 1, IssuerAnswer::Disowned);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn many_disowned_and_nobody_alive_since_prove_nothing_yet() {
    let mut case = Case::new();
    for login in 1..=20 {
        case.issuer(login, login, alive());
    }
    for at in [600, 660, 720] {
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
    case.issuer(730, 20, alive());
    for login in 1..=3 {
        case.issuer(780, login, IssuerAnswer::Disowned);
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

#[test]
fn a_canary_denied_while_a_login_is_refused_is_an_incident_at_once() {
    let mut case = working(1);
    case.canary(10, PLAIN, AccessAnswer::Granted);
    let advice = case.plain(600, 1, Refused);
    assert!(advice.at_once.contains(&Ask::Canary(PLAIN.into())));
    case.canary(601, PLAIN, denied(DenialStage::Token));
    assert!(case.incident(PLAIN));
    case.canary(661, PLAIN, AccessAnswer::Granted);
    assert!(!case.incident(PLAIN));

    let mut case = working(1);
    case.canary(10, PLAIN, AccessAnswer::Granted);
    case.canary(600, PLAIN, denied(DenialStage::Token));
    assert!(!case.incident(PLAIN));
    case.plain(601, 1, Refused);
    assert!(case.incident(PLAIN), "the other way round");
}

#[test]
fn an_incident_asks_one_control_each_spacing() {
    let mut case = working(6);
    let mut controls = Vec::new();
    for (at, login) in [(600, 1), (601, 2), (602, 3), (603, 4), (604, 5), (662, 1), (663, 2)] {
        let advice = case.plain(at, login, Refused);
        controls.push((case.incident(PLAIN), advice.at_once.len()));
    }
    let (before, during) = ((false, 1), (true, 1));
    assert_eq!(controls, [before, before, during, (true, 0), (true, 0), during, (true, 0)]);
    // The same for an issuer.
    let mut case = Case::new();
    for login in 1..=6 {
        case.issuer(login, login, alive());
    }
    let controls = [(600, 1), (601, 2), (602, 3), (603, 4), (663, 1), (664, 2)].map(|(at, login)| {
        let advice = case.issuer(at, login, IssuerAnswer::Disowned);
        advice.at_once.iter().filter(|ask| matches!(ask, Ask::Issuer(_))).count()
    });
    assert_eq!(controls, [1, 1, 1, 0, 1, 0]);
}

#[test]
fn from_the_start_a_token_counts_once_and_a_dead_one_not_at_all() {
    let mut case = Case::new();
    let mut ask = |at, login, of| {
        case.now = at;
        let refused = evidence(at, Refused, Some(403));
        case.ledger.record_login(LoginId(login), GHCR, Some(&token(of)), &refused, moment(at));
        case.incident(GHCR)
    };
    for login in 1..=9 {
        assert!(!ask(0, login, 1), "one token under many user names");
    }
    for login in 12..=14 {
        assert!(!ask(0, login, login));
    }
    assert!(ask(1, 15, 15));
    // Another token of the issuer lives: it knows what it says of these.
    for (at, login) in [(60, 12), (120, 12), (700, 12), (760, 12), (820, 12), (60, 13), (120, 13)] {
        ask(at, login, login);
    }
    for at in [60, 120, 180, 700, 760, 820] {
        assert_ne!(case.status(12), Status::Rejected);
        case.issuer(at, 12, IssuerAnswer::Disowned);
        case.issuer(at + 1, 99, alive());
    }
    assert_eq!(case.status(12), Status::Rejected);
    assert!(!case.incident(GHCR), "four tokens are left that nothing explains");
}

#[test]
fn an_incident_ends_when_each_refusal_is_explained() {
    let mut case = Case::new();
    for login in 1..=4 {
        case.ghcr(login, login, Accepted);
        case.issuer(login, login, alive());
    }
    for at in [600, 660, 720] {
        for login in 1..=3 {
            case.ghcr(at, login, Refused);
        }
    }
    assert!(case.incident(GHCR));
    // The issuer was in doubt too, until a living token was heard.
    for login in 1..=3 {
        case.issuer(721, login, IssuerAnswer::Disowned);
    }
    case.issuer(722, 4, alive());
    for at in [780, 840, 900, 1_380, 1_440] {
        for login in 1..=3 {
            case.ghcr(at, login, Refused);
            case.issuer(at, login, IssuerAnswer::Disowned);
        }
        case.issuer(at + 1, 4, alive());
    }
    for login in 1..=3 {
        assert!(case.incident(GHCR));
        case.ghcr(1_500, login, Refused);
        case.issuer(1_500, login, IssuerAnswer::Disowned);
    }
    assert_eq!([1, 2, 3].map(|login| case.status(login)), [Status::Rejected; 3]);
    assert!(!case.incident(GHCR));
}

#[test]
fn both_hosts_against_one_token_during_an_incident_must_last() {
    // The canary is refused too: the one token may be as good as ever, and one outage behind both hosts.
    for another in [false, true] {
        let mut case = Case::new();
        case.ghcr(0, 1, Accepted);
        case.issuer(0, 1, alive());
        case.canary(0, GHCR, AccessAnswer::Granted);
        case.ghcr(600, 1, Refused);
        case.canary(601, GHCR, denied(DenialStage::Token));
        assert!(case.incident(GHCR));
        for at in [660, 720, 780, 1_200, 1_260, 1_320] {
            case.ghcr(at, 1, Refused);
            case.issuer(at, 1, IssuerAnswer::Disowned);
            assert_ne!(case.status(1), Status::Rejected, "at {at}");
            if another {
                case.issuer(at, 2, alive());
            }
        }
        case.ghcr(1_380, 1, Refused);
        case.issuer(1_380, 1, IssuerAnswer::Disowned);
        let status = if another { Status::Rejected } else { Status::Unverified };
        assert_eq!(case.status(1), status, "the issuer knows another one: {another}");
    }
}
