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
    for at in [600, 660, 720] {
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
    case.access(830, Some(4), GHCR, Granted);
    deny(&mut case, 880, &[1, 2, 3]);
    assert_eq!(
        statuses(&case, &[1, 2, 3, 4]),
        [Status::Forbidden, Status::Forbidden, Status::Forbidden, Status::Valid]
    );
    // Once proven it is no news to the next incident either.
    deny(&mut case, 1500, &[1, 2, 3, 4]);
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
    for at in [1200, 1260, 1320] {
        deny(&mut case, at, &[1]);
        case.canary(at + 1, GHCR, Granted);
    }
    assert_eq!(case.status(1), Status::Forbidden);
}

#[test]
fn a_proven_denial_and_its_end_ask_the_issuer_why() {
    let mut case = granted(&[1]);
    let asks_issuer = |advice: &Advice| advice.at_once.contains(&Ask::Issuer(token(1)));
    for (at, proven) in [(600, false), (660, false), (720, true), (780, false)] {
        let advice = case.access(at, Some(1), GHCR, denied(DenialStage::Manifest));
        assert_eq!(asks_issuer(&advice), proven, "at {at}");
    }
    let advice = case.access(1400, Some(1), GHCR, Granted);
    assert!(asks_issuer(&advice) && advice.cadence == Cadence::Routine);
    assert!(!asks_issuer(&case.access(2000, Some(1), GHCR, Granted)));
}
