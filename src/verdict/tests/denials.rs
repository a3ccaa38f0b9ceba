//! A registry that accepts logins and denies every repository.

use super::*;
use crate::plan::Cadence;
use AccessAnswer::Granted;

/// Logins that were accepted and granted their repository.
fn granted(logins: &[u64]) -> Case {
    let mut case = Case::new();
    for login in logins {
        case.ghcr(0, *login, LoginAnswer::Accepted);
        case.access(0, Some(*login), GHCR, Granted);
    }
    case
}

fn deny(case: &mut Case, at: u64, logins: &[u64]) {
    for login in logins {
        case.access(at, Some(*login), GHCR, denied(DenialStage::Manifest));
    }
}

fn statuses(case: &Case, logins: &[u64]) -> Vec<Status> {
    logins.iter().map(|login| case.status(*login)).collect()
}

#[test]
fn three_logins_and_half_denied_within_an_interval_are_an_incident() {
    let mut case = granted(&[1, 2, 3, 4]);
    for at in [600, 660, 720, 780, 2000, 4000] {
        deny(&mut case, at, &[1, 2, 3, 4]);
        for login in 1..=4 {
            case.ghcr(at + 1, login, LoginAnswer::Accepted);
        }
        assert!(case.incident(GHCR), "logins that are accepted do not end it");
        assert_eq!(statuses(&case, &[1, 2, 3, 4]), [Status::Valid; 4]);
    }
    case.access(4100, Some(1), GHCR, Granted);
    assert!(!case.incident(GHCR));
}

#[test]
fn two_logins_denied_are_no_incident_of_denials() {
    let mut case = granted(&[1, 2, 3, 4]);
    for at in [600, 660, 720, 1_200, 1_260, 1_320] {
        deny(&mut case, at, &[1, 2]);
    }
    assert!(!case.incident(GHCR));
    assert_eq!(statuses(&case, &[1, 2, 3, 4]), [Status::Forbidden, Status::Forbidden, Status::Valid, Status::Valid]);
}

#[test]
fn from_the_start_five_logins_denied_and_nothing_granted_are_an_incident() {
    let mut case = Case::new();
    for at in [0, 60, 120, 180] {
        for login in 1..=5 {
            case.ghcr(at, login, LoginAnswer::Accepted);
        }
        deny(&mut case, at, &[1, 2, 3, 4, 5]);
    }
    assert!(case.incident(GHCR));
    assert_eq!(statuses(&case, &[1, 2, 3, 4, 5]), [Status::Unverified; 5]);
    case.access(200, Some(6), GHCR, Granted);
    assert!(!case.incident(GHCR), "whatever is granted first ends it");
}

#[test]
fn what_stays_denied_after_it_needs_another_access_as_the_control() {
    let mut case = granted(&[1, 2, 3, 4]);
    deny(&mut case, 600, &[1, 2, 3]);
    assert!(case.incident(GHCR));
    case.access(610, Some(4), GHCR, Granted);
    assert!(!case.incident(GHCR));
    for at in [700, 760, 820] {
        deny(&mut case, at, &[1, 2, 3]);
    }
    assert!(!case.incident(GHCR), "not the same one again");
    assert_eq!(
        statuses(&case, &[1, 2, 3, 4]),
        [Status::Unverified, Status::Unverified, Status::Unverified, Status::Valid]
    );
    for at in [1_300, 1_360, 1_420] {
        deny(&mut case, at, &[1, 2, 3]);
    }
    case.access(1_430, Some(4), GHCR, Granted);
    deny(&mut case, 1_480, &[1, 2, 3]);
    assert_eq!(
        statuses(&case, &[1, 2, 3, 4]),
        [Status::Forbidden, Status::Forbidden, Status::Forbidden, Status::Valid]
    );
    // Once proven it is no news to the next incident either.
    deny(&mut case, 2_000, &[1, 2, 3, 4]);
    assert!(!case.incident(GHCR));
}

#[test]
fn while_the_canary_is_denied_no_denial_is_proven() {
    let mut case = granted(&[1]);
    case.canary(0, GHCR, Granted);
    let advice = case.access(600, Some(1), GHCR, denied(DenialStage::Manifest));
    assert!(advice.at_once.contains(&Ask::Canary(GHCR.into())));
    case.canary(601, GHCR, denied(DenialStage::Manifest));
    deny(&mut case, 660, &[1]);
    deny(&mut case, 720, &[1]);
    assert_eq!(case.status(1), Status::Unverified, "in doubt");
    case.canary(721, GHCR, denied(DenialStage::Manifest));
    case.ghcr(722, 1, LoginAnswer::Accepted);
    assert!(case.incident(GHCR), "a login that is accepted says nothing of pulls");
    for at in [800, 900, 1000] {
        deny(&mut case, at, &[1]);
    }
    assert_ne!(case.status(1), Status::Forbidden);
    case.canary(1100, GHCR, Granted);
    assert!(!case.incident(GHCR));
    for at in [1200, 1260, 1320, 1800, 1860, 1920] {
        deny(&mut case, at, &[1]);
        case.canary(at + 1, GHCR, Granted);
    }
    assert_eq!(case.status(1), Status::Forbidden);
}

#[test]
fn a_proven_denial_and_its_end_ask_the_issuer_why() {
    let mut case = granted(&[1]);
    let asks_issuer = |advice: &Advice| advice.at_once.contains(&Ask::Issuer(token(1)));
    for (at, asks) in
        [(600, true), (660, false), (720, false), (1200, false), (1260, false), (1320, true), (1380, false)]
    {
        let advice = case.access(at, Some(1), GHCR, denied(DenialStage::Manifest));
        assert_eq!(asks_issuer(&advice), asks, "at {at}");
        case.issuer(at + 1, 1, alive());
    }
    assert_eq!(case.status(1), Status::Forbidden);
    let advice = case.access(2000, Some(1), GHCR, Granted);
    assert!(asks_issuer(&advice) && advice.cadence == Cadence::Routine);
    assert!(!asks_issuer(&case.access(2600, Some(1), GHCR, Granted)));
}

/// The issuer tells that the organisation of the repository demands SSO of the token.
fn demands_sso(case: &mut Case, at: u64, login: u64, organisation: &str) {
    let mut told = facts(Some(&["read:packages"]), Expiry::Never);
    (told.sso_required, told.sso_demanded_by) = (true, vec![organisation.to_owned()]);
    case.issuer(at, login, IssuerAnswer::Alive(told));
}

#[test]
fn a_denial_whose_reason_the_issuer_tells_is_forbidden_after_confirmations() {
    for (organisation, status) in [("org", Status::Forbidden), ("another", Status::Unverified)] {
        let mut case = granted(&[1]);
        deny(&mut case, 600, &[1]);
        demands_sso(&mut case, 601, 1, organisation);
        deny(&mut case, 660, &[1]);
        assert_eq!(case.status(1), Status::Valid);
        deny(&mut case, 720, &[1]);
        assert_eq!(case.status(1), status);
    }
    let mut case = granted(&[1]);
    case.issuer(599, 1, IssuerAnswer::ForbiddenByPolicy);
    deny(&mut case, 600, &[1]);
    deny(&mut case, 660, &[1]);
    deny(&mut case, 720, &[1]);
    assert_eq!(case.status(1), Status::Unverified, "said before the denials");
    case.issuer(721, 1, IssuerAnswer::ForbiddenByPolicy);
    deny(&mut case, 780, &[1]);
    assert_eq!(case.status(1), Status::Forbidden);
}

#[test]
fn a_denial_that_is_proven_keeps_its_age_during_an_incident() {
    let mut case = granted(&[1]);
    case.canary(0, GHCR, Granted);
    for at in [600, 660, 720, 1_200, 1_260, 1_320] {
        deny(&mut case, at, &[1]);
    }
    assert_eq!(case.status(1), Status::Forbidden);
    let proven_at = |case: &Case| case.ledger.access(Some(LoginId(1)), GHCR, REPOSITORY).last_verdict_at;
    assert_eq!(proven_at(&case), Some(wall(1_320)));
    deny(&mut case, 1_400, &[1]);
    assert_eq!(proven_at(&case), Some(wall(1_400)), "it holds still");
    for at in [1_500, 1_560] {
        case.canary(at, GHCR, denied(DenialStage::Token));
    }
    assert!(case.incident(GHCR));
    deny(&mut case, 1_600, &[1]);
    assert_eq!((case.status(1), proven_at(&case)), (Status::Forbidden, Some(wall(1_400))));
}

#[test]
fn a_reason_that_comes_late_has_the_denials_asked_in_close_order() {
    let mut case = granted(&[1]);
    deny(&mut case, 600, &[1]);
    assert_eq!(case.issuer(601, 1, IssuerAnswer::Unproven(TIMEOUT)).also, []);
    deny(&mut case, 660, &[1]);
    // It had backed off.
    let advice = case.issuer(900, 1, IssuerAnswer::ForbiddenByPolicy);
    assert!(matches!(&advice.also[..], [(Ask::Access { login: Some(LoginId(1)), .. }, Cadence::Confirm)]));
    deny(&mut case, 960, &[1]);
    assert_eq!(case.status(1), Status::Forbidden);
    assert_eq!(case.issuer(4_500, 1, IssuerAnswer::ForbiddenByPolicy).also, [], "nothing is left to confirm");
}

#[test]
fn the_issuer_is_asked_again_why_when_denials_go_on() {
    // The first denial was a mistake: the issuer told nothing, and what it would tell since is not asked for.
    let mut case = granted(&[1]);
    let mut asked = Vec::new();
    for at in [600, 660, 720, 780, 900, 1_140, 1_199, 1_201, 1_260] {
        let advice = case.access(at, Some(1), GHCR, denied(DenialStage::Manifest));
        if advice.at_once.contains(&Ask::Issuer(token(1))) {
            asked.push(at);
            case.issuer(at + 1, 1, alive());
        }
    }
    assert_eq!(asked, [600, 1_201], "once an interval");
}

#[test]
fn an_organisation_that_demands_sso_of_everyone_is_no_incident_for_long() {
    let mut case = granted(&[1, 2, 3, 4]);
    for login in 1..=3 {
        let advice = case.access(600, Some(login), GHCR, denied(DenialStage::Manifest));
        assert!(advice.at_once.contains(&Ask::Issuer(token(login))));
    }
    assert!(case.incident(GHCR));
    for login in 1..=3 {
        demands_sso(&mut case, 601, login, "org");
    }
    deny(&mut case, 660, &[1, 2, 3]);
    assert!(case.incident(GHCR));
    deny(&mut case, 720, &[1, 2, 3]);
    assert!(!case.incident(GHCR), "each denial is explained");
    assert_eq!(
        statuses(&case, &[1, 2, 3, 4]),
        [Status::Forbidden, Status::Forbidden, Status::Forbidden, Status::Valid]
    );
}

#[test]
fn one_token_under_many_user_names_is_no_incident_of_denials() {
    let mut case = granted(&[1, 2]);
    let mut ask = |at, login: u64, answer| {
        let of_one = evidence(at, LoginAnswer::Accepted, Some(200));
        case.ledger.record_login(LoginId(login), GHCR, Some(&token(9)), &of_one, moment(at));
        case.access(at, Some(login), GHCR, answer);
        case.incident(GHCR)
    };
    for login in 10..15 {
        ask(10, login, Granted);
    }
    for login in 10..15 {
        assert!(!ask(600, login, denied(DenialStage::Manifest)));
    }
    let mut case = Case::new();
    for login in 10..15 {
        let of_one = evidence(0, LoginAnswer::Accepted, Some(200));
        case.ledger.record_login(LoginId(login), GHCR, Some(&token(9)), &of_one, moment(0));
        case.access(1, Some(login), GHCR, denied(DenialStage::Manifest));
    }
    assert!(!case.incident(GHCR), "nor from the start");
}

#[test]
fn what_an_incident_denies_gives_a_proven_denial_no_other_reason() {
    let mut case = granted(&[1]);
    case.canary(0, GHCR, Granted);
    for at in [600, 660, 720, 1_200, 1_260, 1_320] {
        deny(&mut case, at, &[1]);
    }
    assert_eq!(case.status(1), Status::Forbidden);
    for at in [1_400, 1_460] {
        case.canary(at, GHCR, denied(DenialStage::Token));
    }
    assert!(case.incident(GHCR));
    for at in [1_500, 1_560, 1_620] {
        case.access(at, Some(1), GHCR, denied_for_scope());
    }
    assert_eq!(case.status(1), Status::Forbidden, "not for the lack of a scope");
    case.canary(1_700, GHCR, Granted);
    let advice = case.access(1_710, Some(1), GHCR, denied(DenialStage::Token));
    assert!(!asks_login(&advice, 1), "it was accepted since the denials began");
}

#[test]
fn a_denial_of_a_manifest_asks_nothing_of_the_login_that_was_let_in() {
    let mut case = granted(&[1]);
    // It was let in before the answer came.
    let slow = Evidence { took: Duration::from_secs(1), ..evidence(600, denied(DenialStage::Manifest), Some(403)) };
    let advice = case.ledger.record_access(Some(LoginId(1)), GHCR, REPOSITORY, &slow, moment(600));
    assert!(!asks_login(&advice, 1), "{advice:?}");
}

#[test]
fn a_word_of_the_issuer_that_explains_nothing_has_no_denial_asked_sooner() {
    let mut case = granted(&[1]);
    deny(&mut case, 600, &[1]);
    assert_eq!(case.issuer(900, 1, alive()).also, []);
    demands_sso(&mut case, 910, 1, "another");
    let mut told = facts(None, Expiry::Never);
    told.sso_demanded_by = vec!["another".to_owned()];
    assert_eq!(case.issuer(920, 1, IssuerAnswer::Alive(told)).also, []);
}

#[test]
fn an_organisation_is_the_first_part_of_a_repository() {
    let mut case = granted(&[1]);
    let team = "org/team/app";
    for at in [600, 660, 720] {
        let answer = evidence(at, denied(DenialStage::Manifest), Some(403));
        case.ledger.record_access(Some(LoginId(1)), GHCR, team, &answer, moment(at));
        demands_sso(&mut case, at + 1, 1, "org");
    }
    assert_eq!(case.ledger.access(Some(LoginId(1)), GHCR, team).granted, Some(false));
}

#[test]
fn a_scope_that_is_there_again_leaves_no_trace_in_later_denials() {
    let manifest = || denied(DenialStage::Manifest);
    // Denials while the scope lacked, and after it came: never enough in words of a scope in a row.
    for (before, after) in [
        (&[100, 160][..], [denied_for_scope(), manifest(), manifest()]),
        (&[100, 160, 220], [manifest(), denied_for_scope(), manifest()]),
    ] {
        let mut case = granted(&[1]);
        for at in [10, 70] {
            case.issuer(at, 1, IssuerAnswer::Alive(facts(Some(&[]), Expiry::Never)));
        }
        for at in before {
            case.access(*at, Some(1), GHCR, denied_for_scope());
        }
        case.issuer(230, 1, alive());
        for (at, answer) in [300, 360, 420].into_iter().zip(after) {
            demands_sso(&mut case, at - 1, 1, "org");
            case.access(at, Some(1), GHCR, answer);
        }
        assert_eq!(case.status(1), Status::Forbidden);
    }
}

#[test]
fn a_grant_from_before_stands_again_once_the_scope_is_there() {
    let mut case = granted(&[1]);
    case.canary(0, GHCR, Granted);
    for at in [10, 70] {
        case.issuer(at, 1, IssuerAnswer::Alive(facts(Some(&[]), Expiry::Never)));
    }
    case.canary(590, GHCR, denied(DenialStage::Token));
    for at in [600, 660, 720] {
        deny(&mut case, at, &[1]);
    }
    let granted = |case: &Case| case.ledger.access(Some(LoginId(1)), GHCR, REPOSITORY).granted;
    assert_eq!(granted(&case), None, "in doubt");
    case.issuer(730, 1, alive());
    assert_eq!(granted(&case), Some(true));
}

#[test]
fn an_issuer_that_was_heard_just_before_the_first_denial_is_asked_why() {
    let mut case = Case::new();
    case.ghcr(0, 1, LoginAnswer::Accepted);
    case.issuer(0, 1, alive());
    case.access(0, Some(1), GHCR, AccessAnswer::Granted);
    let advice = case.access(300, Some(1), GHCR, denied(DenialStage::Token));
    assert!(advice.at_once.contains(&Ask::Issuer(token(1))), "{advice:?}");
    // It was asked, and knew of nothing.
    case.issuer(301, 1, alive());
    let advice = case.access(361, Some(1), GHCR, denied(DenialStage::Token));
    assert!(!advice.at_once.contains(&Ask::Issuer(token(1))), "{advice:?}");
}

#[test]
fn a_reason_that_was_asked_for_before_the_last_denial_explains_all_of_them() {
    let mut case = Case::new();
    case.ghcr(0, 1, LoginAnswer::Accepted);
    case.access(0, Some(1), GHCR, AccessAnswer::Granted);
    for at in [100, 170] {
        case.access(at, Some(1), GHCR, denied(DenialStage::Token));
    }
    // Asked between the two, answered after both.
    let mut told = facts(Some(&["read:packages"]), Expiry::Never);
    (told.sso_required, told.sso_demanded_by) = (true, vec!["org".to_owned()]);
    let why = Evidence { took: Duration::from_secs(20), ..evidence(180, IssuerAnswer::Alive(told), Some(200)) };
    let advice = case.ledger.record_issuer(&token(1), &why, moment(180));
    assert!(advice.also.iter().any(|(ask, cadence)| matches!(ask, Ask::Access { .. }) && *cadence == Cadence::Confirm));
}
