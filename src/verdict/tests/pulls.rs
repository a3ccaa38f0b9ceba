//! Pulls that are denied: who counts for an incident of denials, what proves a denial beside it, and what is asked next.

use super::*;
use crate::plan::Cadence;
use AccessAnswer::{Granted, NotFound};

/// Logins `1..=n` that were accepted and granted their repository.
fn pulling(n: u64) -> Case {
    let mut case = Case::new();
    for login in 1..=n {
        case.ghcr(0, login, LoginAnswer::Accepted);
        case.access(0, Some(login), GHCR, Granted);
    }
    case
}

fn deny(case: &mut Case, at: u64, logins: &[u64]) -> Advice {
    let answers = logins.iter().map(|login| case.access(at, Some(*login), GHCR, denied(DenialStage::Manifest)));
    answers.last().unwrap()
}

/// Denials of one login that prove the denial, unless something speaks against it: the last of two series.
fn deny_for_long(case: &mut Case, from: u64, login: u64) -> Advice {
    for after in [0, 60, 120, 600, 660] {
        deny(case, from + after, &[login]);
    }
    deny(case, from + 720, &[login])
}

fn anyone(case: &mut Case, at: u64, answer: AccessAnswer) -> Advice {
    case.access(at, None, GHCR, answer)
}

#[test]
fn less_than_half_denied_are_no_incident() {
    let mut case = pulling(7);
    deny(&mut case, 600, &[1, 2, 3]);
    assert!(!case.incident(GHCR), "three of seven");
    let mut case = pulling(6);
    deny(&mut case, 600, &[1, 2, 3]);
    assert!(case.incident(GHCR), "three of six");
}

#[test]
fn denials_further_apart_than_an_interval_are_no_incident() {
    for (last, expected) in [(1_200, true), (1_201, false)] {
        let mut case = pulling(3);
        deny(&mut case, 600, &[1]);
        deny(&mut case, 700, &[2]);
        deny(&mut case, last, &[3]);
        assert_eq!(case.incident(GHCR), expected, "the last one at {last}");
    }
}

#[test]
fn what_was_found_absent_since_is_not_denied() {
    let mut case = pulling(3);
    deny(&mut case, 600, &[1, 2]);
    case.access(610, Some(1), GHCR, NotFound);
    deny(&mut case, 620, &[3]);
    assert!(!case.incident(GHCR));
}

#[test]
fn anonymous_pulls_are_one_party_of_an_incident_of_denials() {
    let mut case = pulling(2);
    anyone(&mut case, 0, Granted);
    deny(&mut case, 600, &[1, 2]);
    assert!(!case.incident(GHCR));
    anyone(&mut case, 601, denied(DenialStage::Token));
    assert!(case.incident(GHCR));
}

#[test]
fn a_token_is_denied_where_one_of_its_user_names_is() {
    let mut case = pulling(3);
    for of in 1..=3 {
        let accepted = evidence(1, LoginAnswer::Accepted, Some(200));
        case.ledger.record_login(LoginId(10 + of), GHCR, Some(&token(of)), &accepted, moment(1));
    }
    deny(&mut case, 600, &[1, 2, 3]);
    assert!(case.incident(GHCR), "the other user names never asked for anything");
}

#[test]
fn from_the_start_only_logins_that_are_denied_count() {
    let mut case = Case::new();
    for login in 1..=5 {
        case.ghcr(0, login, LoginAnswer::Accepted);
    }
    case.access(1, Some(5), GHCR, NotFound);
    deny(&mut case, 2, &[1, 2, 3, 4]);
    assert!(!case.incident(GHCR), "four of five");
    deny(&mut case, 3, &[5]);
    assert!(case.incident(GHCR));
}

#[test]
fn where_anything_was_granted_denials_of_what_never_was_are_no_incident() {
    for canary in [false, true] {
        let mut case = Case::new();
        for login in 1..=6 {
            case.ghcr(0, login, LoginAnswer::Accepted);
        }
        if canary {
            case.canary(1, GHCR, Granted);
        } else {
            case.access(1, Some(6), GHCR, Granted);
        }
        deny(&mut case, 2, &[1, 2, 3, 4, 5]);
        assert!(!case.incident(GHCR), "canary: {canary}");
    }
}

#[test]
fn an_access_that_is_new_does_not_end_an_incident_of_denials_at_once() {
    let mut case = pulling(4);
    deny(&mut case, 600, &[1, 2, 3]);
    case.access(610, Some(9), GHCR, Granted);
    assert!(case.incident(GHCR), "it may have been opened just now");
    case.access(620, Some(9), GHCR, Granted);
    assert!(!case.incident(GHCR), "it was granted before by now");
}

#[test]
fn who_was_not_denied_in_an_incident_is_news_in_the_next() {
    let mut case = pulling(6);
    deny(&mut case, 600, &[1, 2, 3]);
    case.access(610, Some(4), GHCR, Granted);
    assert!(!case.incident(GHCR));
    deny(&mut case, 2_000, &[4, 5, 6]);
    assert!(case.incident(GHCR));
}

#[test]
fn without_the_control_a_denial_is_in_doubt_however_long_it_lasts() {
    let mut case = pulling(4);
    deny(&mut case, 600, &[1, 2, 3]);
    case.access(610, Some(4), GHCR, Granted);
    let advice = deny_for_long(&mut case, 700, 1);
    assert_eq!((case.status(1), advice.cadence), (Status::Unverified, Cadence::BackOff));
    assert_eq!(deny(&mut case, 1_480, &[1]).cadence, Cadence::BackOff, "there is nothing more to confirm");
    case.access(1_490, Some(4), GHCR, Granted);
    deny(&mut case, 1_540, &[1]);
    assert_eq!(case.status(1), Status::Forbidden);
}

#[test]
fn an_anonymous_denial_in_doubt_is_asked_slowly() {
    let mut case = pulling(4);
    anyone(&mut case, 0, Granted);
    anyone(&mut case, 600, denied(DenialStage::Token));
    deny(&mut case, 600, &[1, 2]);
    case.access(610, Some(4), GHCR, Granted);
    for at in [700, 760, 820, 1_400] {
        let advice = anyone(&mut case, at, denied(DenialStage::Token));
        let cadence = if at < 820 { Cadence::Confirm } else { Cadence::BackOff };
        assert_eq!(advice.cadence, cadence, "at {at}");
    }
    assert_eq!(case.ledger.access(None, GHCR, REPOSITORY).granted, None);
}

#[test]
fn a_doubted_denial_stays_in_doubt_during_an_incident_until_its_reason_is_told() {
    let mut case = pulling(6);
    deny(&mut case, 600, &[1, 2, 3]);
    case.access(610, Some(4), GHCR, Granted);
    deny_for_long(&mut case, 700, 1);
    assert_eq!(case.status(1), Status::Unverified);
    deny(&mut case, 2_000, &[4, 5, 6]);
    assert!(case.incident(GHCR));
    deny(&mut case, 2_010, &[1]);
    assert_eq!(case.status(1), Status::Unverified);

    for login in [1, 5] {
        case.issuer(2_020, login, IssuerAnswer::ForbiddenByPolicy);
    }
    assert_eq!(deny(&mut case, 2_081, &[5]).cadence, Cadence::Confirm, "its reason is known");
    assert_eq!(deny(&mut case, 2_081, &[6]).cadence, Cadence::BackOff, "nobody knows why");
    assert_eq!(deny(&mut case, 2_082, &[1]).cadence, Cadence::Routine);
    assert_eq!(case.status(1), Status::Forbidden);
    assert!(case.incident(GHCR), "the reason of the others is not told");
}

#[test]
fn while_the_canary_is_denied_a_proven_denial_stands() {
    let mut case = pulling(2);
    case.canary(0, GHCR, Granted);
    deny_for_long(&mut case, 600, 1);
    assert_eq!(case.status(1), Status::Forbidden);
    case.canary(1_900, GHCR, denied(DenialStage::Token));
    assert!(!case.incident(GHCR));
    let advice = deny(&mut case, 1_920, &[1]);
    assert_eq!((advice.cadence, advice.at_once), (Cadence::Routine, vec![]), "nothing is to be found out");
    let age = |case: &Case| case.ledger.access(Some(LoginId(1)), GHCR, REPOSITORY).last_verdict_at;
    assert_eq!((case.status(1), age(&case)), (Status::Forbidden, Some(wall(1_920))));
    case.canary(1_960, GHCR, denied(DenialStage::Token));
    assert!(case.incident(GHCR));
    let advice = case.access(1_980, Some(1), GHCR, denied(DenialStage::Token));
    assert_eq!(advice.cadence, Cadence::BackOff);
    assert_eq!((case.status(1), age(&case)), (Status::Forbidden, Some(wall(1_920))), "with its age");
}

#[test]
fn a_denial_that_was_proven_is_no_news() {
    let mut case = pulling(4);
    deny_for_long(&mut case, 600, 1);
    assert_eq!(case.status(1), Status::Forbidden);
    deny(&mut case, 1_400, &[1, 2, 3]);
    assert!(!case.incident(GHCR), "two of three");
}

#[test]
fn a_canary_denied_once_holds_up_the_proof_of_a_denial() {
    let mut case = pulling(2);
    case.canary(0, GHCR, Granted);
    case.canary(590, GHCR, denied(DenialStage::Token));
    deny_for_long(&mut case, 600, 1);
    assert_eq!((case.status(1), case.incident(GHCR)), (Status::Unverified, false));
    case.canary(1_330, GHCR, Granted);
    deny(&mut case, 1_380, &[1]);
    assert_eq!(case.status(1), Status::Forbidden);
}

#[test]
fn a_canary_that_is_not_public_holds_up_no_denial() {
    let mut case = pulling(2);
    assert_eq!(case.canary(0, GHCR, denied(DenialStage::Token)).cadence, Cadence::Routine);
    deny_for_long(&mut case, 600, 1);
    assert_eq!(case.status(1), Status::Forbidden);
}

#[test]
fn an_access_that_is_granted_outweighs_a_canary_that_stays_denied() {
    let mut case = pulling(3);
    case.canary(0, GHCR, Granted);
    for at in [600, 660] {
        case.canary(at, GHCR, denied(DenialStage::Token));
    }
    assert!(case.incident(GHCR));
    case.ghcr(670, 1, LoginAnswer::Accepted);
    case.access(680, Some(1), GHCR, Granted);
    assert!(!case.incident(GHCR));
    deny_for_long(&mut case, 700, 2);
    assert_eq!(case.status(2), Status::Forbidden);

    // The same where logins began it.
    let mut case = pulling(4);
    case.canary(0, GHCR, Granted);
    deny(&mut case, 600, &[1, 2, 3]);
    case.canary(605, GHCR, denied(DenialStage::Token));
    case.access(610, Some(4), GHCR, Granted);
    assert!(!case.incident(GHCR));
    deny_for_long(&mut case, 700, 4);
    assert_eq!(case.status(4), Status::Forbidden);

    // A canary that was granted all the while is heard on.
    let mut case = pulling(4);
    case.canary(0, GHCR, Granted);
    deny(&mut case, 600, &[1, 2, 3]);
    case.access(610, Some(4), GHCR, Granted);
    assert!(!case.incident(GHCR));
    case.canary(620, GHCR, denied(DenialStage::Token));
    deny_for_long(&mut case, 700, 4);
    assert_eq!(case.status(4), Status::Unverified);
}

#[test]
fn denials_that_led_to_an_incident_count_for_nothing_after_it() {
    let mut case = pulling(4);
    anyone(&mut case, 0, Granted);
    for at in [600, 660] {
        anyone(&mut case, at, denied(DenialStage::Token));
    }
    deny(&mut case, 661, &[1, 2, 3]);
    assert!(case.incident(GHCR));
    for (at, granted) in [(720, Some(true)), (780, Some(true)), (840, Some(false))] {
        case.access(at - 50, Some(4), GHCR, Granted);
        assert!(!case.incident(GHCR));
        anyone(&mut case, at, denied(DenialStage::Token));
        assert_eq!(case.ledger.access(None, GHCR, REPOSITORY).granted, granted, "at {at}");
    }
}

#[test]
fn denials_from_before_an_incident_prove_nothing_during_it() {
    let mut case = pulling(4);
    let refused = |case: &mut Case, at| case.access(at, Some(1), GHCR, denied(DenialStage::Token));
    for at in [600, 660, 720, 1_200, 1_260] {
        refused(&mut case, at);
    }
    assert!(asks_login(&refused(&mut case, 1_320), 1), "the login was not accepted since");
    assert_eq!(case.status(1), Status::Unverified);
    deny(&mut case, 1_400, &[2, 3, 4]);
    assert!(case.incident(GHCR));
    assert!(!asks_login(&refused(&mut case, 1_440), 1), "a registry in trouble is not asked more");
    case.ghcr(1_450, 1, LoginAnswer::Accepted);
    refused(&mut case, 1_500);
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn a_reason_proves_no_denial_of_a_login_that_was_not_accepted_since() {
    let mut case = pulling(2);
    for at in [600, 660, 720] {
        case.access(at, Some(1), GHCR, denied(DenialStage::Token));
        case.issuer(at + 1, 1, IssuerAnswer::ForbiddenByPolicy);
    }
    assert_ne!(case.status(1), Status::Forbidden);
    case.ghcr(730, 1, LoginAnswer::Accepted);
    let advice = case.access(780, Some(1), GHCR, denied(DenialStage::Token));
    assert_eq!(case.status(1), Status::Forbidden);
    assert!(!asks_login(&advice, 1), "it was accepted since");
}

#[test]
fn an_incident_of_denials_stays_while_the_canary_is_denied_too() {
    let mut case = pulling(3);
    case.canary(0, GHCR, Granted);
    deny(&mut case, 600, &[1, 2, 3]);
    case.canary(605, GHCR, denied(DenialStage::Token));
    for login in 1..=3 {
        case.issuer(610, login, IssuerAnswer::ForbiddenByPolicy);
    }
    for at in [660, 720] {
        deny(&mut case, at, &[1, 2, 3]);
    }
    assert_eq!([1, 2, 3].map(|login| case.status(login)), [Status::Forbidden; 3]);
    assert!(case.incident(GHCR), "no policy explains the canary");
    case.canary(730, GHCR, Granted);
    assert!(!case.incident(GHCR));
}

#[test]
fn others_are_asked_only_while_a_denial_is_open() {
    let canary = Ask::Canary(GHCR.into());
    let mut case = pulling(4);
    case.canary(0, GHCR, Granted);
    let asks = deny(&mut case, 600, &[1]).at_once;
    assert_eq!(asks, [Ask::Issuer(token(1)), canary.clone()], "the login was accepted in the same exchange");
    case.issuer(601, 1, alive());
    assert_eq!(deny(&mut case, 660, &[1]).at_once, [canary], "the issuer was heard since");
    for at in [720, 1_200, 1_260] {
        deny(&mut case, at, &[1]);
    }
    assert_eq!(deny(&mut case, 1_320, &[1]).at_once, [Ask::Issuer(token(1))], "proven: what the issuer knows of it");
    assert_eq!(deny(&mut case, 1_920, &[1]).at_once, []);
    assert_eq!(deny(&mut case, 2_600, &[2, 3, 4]).at_once, [Ask::Issuer(token(4))], "an incident");
}

#[test]
fn what_a_missing_scope_explained_is_forgotten_with_it() {
    let scopes = |list: &[&str]| IssuerAnswer::Alive(facts(Some(list), Expiry::Never));
    let mut case = pulling(1);
    let other = evidence(0, Granted, Some(200));
    case.ledger.record_access(Some(LoginId(1)), GHCR, "org/other", &other, moment(0));
    for at in [10, 70] {
        case.issuer(at, 1, scopes(&[]));
    }
    for at in [100, 160] {
        case.access(at, Some(1), GHCR, denied_for_scope());
    }
    let advice = case.issuer(200, 1, scopes(&["read:packages"]));
    let (host, repository, reference) = (GHCR.into(), REPOSITORY.into(), "".into());
    let denied_one = Ask::Access { host, login: Some(LoginId(1)), repository, reference };
    assert_eq!(advice.at_once, [denied_one], "what was granted needs no second look");
    assert_eq!(case.ledger.access(Some(LoginId(1)), GHCR, REPOSITORY).granted, Some(true), "as before the denials");
    case.issuer(210, 1, IssuerAnswer::ForbiddenByPolicy);
    deny(&mut case, 260, &[1]);
    assert_ne!(case.status(1), Status::Forbidden, "one denial");
}
