//! Refusals that count or do not, who is asked as a control, and what an incident of a registry is made of.

use super::*;
use crate::plan::Cadence;
use IssuerAnswer::Disowned;
use LoginAnswer::{Accepted, Refused};

/// Logins `1..=n` at a registry without an issuer, accepted in the first seconds.
fn working(n: u64) -> Case {
    let mut case = Case::new();
    for login in 1..=n {
        case.plain(login, login, Accepted);
    }
    case
}

/// Logins `1..=n` at ghcr.io, whose tokens live.
fn living(n: u64) -> Case {
    let mut case = Case::new();
    for login in 1..=n {
        case.ghcr(0, login, Accepted);
        case.issuer(0, login, alive());
    }
    case
}

fn locked_out(case: &mut Case, at: u64, logins: &[u64]) {
    for login in logins {
        case.issuer(at, *login, IssuerAnswer::Unproven(Unproven::LockedOut));
    }
}

#[test]
fn a_dead_login_that_is_refused_again_is_told_anew() {
    let mut case = working(1);
    case.refuse_plain(9, &[10, 70]);
    case.plain(71, 1, Accepted);
    case.refuse_plain(9, &[130, 30_000]);
    assert_eq!((case.status(9), case.view(9).last_verdict_at), (Status::Rejected, Some(wall(30_000))));
}

#[test]
fn a_refusal_within_the_spacing_proves_nothing_and_asks_nobody() {
    let mut case = working(2);
    case.refuse_plain(1, &[600, 660, 720]);
    assert_eq!(case.status(1), Status::Unverified, "without a control");
    case.plain(730, 2, Accepted);
    assert_eq!(case.plain(740, 1, Refused).at_once, []);
    assert_ne!(case.status(1), Status::Rejected);
    case.plain(780, 1, Refused);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn what_is_in_doubt_stays_so_while_the_issuer_begins_to_disown_it() {
    let mut case = living(2);
    case.refuse_ghcr(1, &[600, 660, 720]);
    assert_eq!(case.status(1), Status::Unverified);
    case.issuer(730, 1, Disowned);
    case.ghcr(780, 1, Refused);
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn nothing_is_in_doubt_while_the_issuer_is_about_to_confirm_it() {
    let mut case = living(2);
    case.refuse_ghcr(1, &[600, 660]);
    case.issuer(661, 1, Disowned);
    case.ghcr(720, 1, Refused);
    assert_eq!(case.status(1), Status::Valid, "it said so once");

    // An issuer in trouble is about to confirm nothing.
    let mut case = living(3);
    for login in 1..=3 {
        case.issuer(600, login, Disowned);
    }
    case.refuse_ghcr(1, &[610, 670, 730]);
    assert_eq!((case.status(1), case.incident(GHCR)), (Status::Unverified, false));
}

#[test]
fn without_an_issuer_there_is_no_second_series_to_ask_in_close_order() {
    let mut case = working(2);
    let cadences = [600, 660, 720, 1_300].map(|at| case.plain(at, 1, Refused).cadence);
    assert_eq!(cadences, [Cadence::Confirm, Cadence::Confirm, Cadence::BackOff, Cadence::BackOff]);
}

#[test]
fn during_an_incident_only_what_the_issuer_disowns_for_long_is_asked_in_close_order() {
    let mut case = living(3);
    case.issuer(0, 4, alive());
    for login in 1..=3 {
        case.ghcr(600, login, Refused);
    }
    assert!(case.incident(GHCR));
    for at in [700, 760, 820] {
        case.issuer(at, 1, Disowned);
        case.issuer(at + 1, 4, alive());
    }
    assert!(case.ledger.token(&token(1)).disowned);
    assert_eq!(case.status(1), Status::Valid, "refused once");
    assert_eq!(case.ghcr(830, 1, Refused).cadence, Cadence::BackOff, "too early");
    assert_eq!(case.status(1), Status::Valid, "refused twice");
    assert_eq!(case.ghcr(890, 1, Refused).cadence, Cadence::BackOff, "too early still");
    assert_eq!(case.status(1), Status::Unverified);
    let cadences = [1_300, 1_360, 1_420].map(|at| case.ghcr(at, 1, Refused).cadence);
    assert_eq!(cadences, [Cadence::Confirm, Cadence::Confirm, Cadence::BackOff], "three of them last");
    assert_eq!(case.status(1), Status::Unverified);
    assert_eq!(case.ghcr(1_421, 2, Refused).cadence, Cadence::BackOff, "the issuer did not disown this one");
    assert_eq!(case.status(2), Status::Valid);
}

#[test]
fn during_an_incident_the_refusals_must_last_as_the_disownments_do() {
    let mut case = living(3);
    case.issuer(0, 4, alive());
    for at in [600, 660, 720, 1_200, 1_260, 1_320] {
        case.issuer(at, 1, Disowned);
        case.issuer(at + 1, 4, alive());
    }
    assert_eq!(case.status(1), Status::Valid, "the registry takes it");
    for login in [2, 3, 1] {
        case.ghcr(2_000, login, Refused);
    }
    assert!(case.incident(GHCR));
    case.refuse_ghcr(1, &[2_060, 2_120]);
    case.issuer(2_130, 1, Disowned);
    case.ghcr(2_180, 1, Refused);
    assert_eq!(case.status(1), Status::Unverified, "for three minutes");
}

#[test]
fn an_issuer_in_trouble_confirms_no_refusal_by_what_it_disowned_before() {
    let mut case = living(4);
    case.issuer(0, 5, alive());
    for at in [600, 660, 720] {
        case.issuer(at, 1, Disowned);
        case.issuer(at + 1, 5, alive());
    }
    for login in 2..=5 {
        case.issuer(5_000, login, Disowned);
    }
    assert!(case.incident("api.github.com"));
    for at in [5_100, 5_160, 5_220] {
        case.ghcr(at, 1, Refused);
        case.issuer(at + 1, 1, Disowned);
    }
    assert_ne!(case.status(1), Status::Rejected);
}

#[test]
fn from_the_start_an_incident_stays_while_five_are_unexplained() {
    let mut case = Case::new();
    for login in 1..=6 {
        case.ghcr(0, login, Refused);
    }
    assert!(case.incident(GHCR));
    locked_out(&mut case, 10, &[6]);
    assert!(case.incident(GHCR), "five are left");
    locked_out(&mut case, 11, &[5]);
    assert!(!case.incident(GHCR), "four");
}

#[test]
fn a_lock_out_does_not_explain_a_canary_that_is_denied() {
    let mut case = living(3);
    case.canary(0, GHCR, AccessAnswer::Granted);
    for login in 1..=3 {
        case.ghcr(600, login, Refused);
    }
    case.canary(610, GHCR, denied(DenialStage::Token));
    locked_out(&mut case, 620, &[1, 2, 3]);
    assert!(case.incident(GHCR));
    case.canary(630, GHCR, AccessAnswer::Granted);
    assert!(!case.incident(GHCR));
}

#[test]
fn refusals_of_a_locked_out_owner_begin_no_incident() {
    let mut case = living(4);
    locked_out(&mut case, 590, &[1, 2, 3]);
    for login in 1..=3 {
        case.ghcr(600, login, Refused);
    }
    assert!(!case.incident(GHCR));
    // Nor along with a canary that is denied.
    let mut case = living(1);
    case.canary(0, GHCR, AccessAnswer::Granted);
    locked_out(&mut case, 590, &[1]);
    case.ghcr(600, 1, Refused);
    case.canary(601, GHCR, denied(DenialStage::Token));
    assert!(!case.incident(GHCR));
}

#[test]
fn a_login_that_works_counts_as_one_though_its_owner_is_locked_out() {
    let mut case = living(7);
    locked_out(&mut case, 590, &[7]);
    for login in 1..=3 {
        case.ghcr(600, login, Refused);
    }
    assert!(!case.incident(GHCR), "three of seven");
}

#[test]
fn a_token_speaks_with_the_refusal_among_its_user_names() {
    for refused in [0, 10] {
        let mut case = Case::new();
        let mut ask = |at, login, answer| {
            let of = token(login % 10);
            case.ledger.record_login(LoginId(login), GHCR, Some(&of), &evidence(at, answer, Some(200)), moment(at));
        };
        for login in 1..=3 {
            ask(0, login, Accepted);
            ask(0, 10 + login, Accepted);
        }
        for login in 1..=3 {
            ask(600, refused + login, Refused);
        }
        assert!(case.incident(GHCR), "whether it is the first of its names or the last");
    }
}

#[test]
fn the_control_is_the_login_that_was_not_heard_for_longest() {
    let mut case = Case::new();
    for (at, login) in [(10, 3), (100, 2), (200, 1)] {
        case.plain(at, login, Accepted);
    }
    assert_eq!(case.plain(600, 1, Refused).at_once, [Ask::Login(LoginId(3))]);
}

#[test]
fn one_refused_login_is_enough_along_with_the_canary_if_it_worked() {
    let mut case = working(2);
    case.canary(10, PLAIN, AccessAnswer::Granted);
    case.plain(600, 9, Refused);
    case.canary(601, PLAIN, denied(DenialStage::Token));
    assert!(!case.incident(PLAIN), "it never worked");
    case.plain(602, 1, Refused);
    assert!(case.incident(PLAIN), "this one did, whatever the other one does");

    let mut case = working(1);
    case.canary(590, PLAIN, denied(DenialStage::Token));
    case.plain(600, 1, Refused);
    assert!(!case.incident(PLAIN), "a canary that is not public");
}

#[test]
fn a_canary_that_is_not_public_is_no_control_when_it_is_denied() {
    let mut case = working(2);
    case.canary(10, PLAIN, denied(DenialStage::Token));
    case.refuse_plain(1, &[600, 660]);
    case.canary(700, PLAIN, denied(DenialStage::Token));
    case.plain(720, 1, Refused);
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn a_canary_that_stays_denied_after_an_incident_begins_no_other() {
    let mut case = working(2);
    case.canary(10, PLAIN, AccessAnswer::Granted);
    for at in [600, 660] {
        case.canary(at, PLAIN, denied(DenialStage::Token));
    }
    case.plain(700, 1, Accepted);
    assert!(!case.ledger.in_incident(PLAIN), "logins are taken");
    for at in [720, 780] {
        assert_eq!(case.canary(at, PLAIN, denied(DenialStage::Token)).cadence, Cadence::Routine);
    }
    assert!(!case.ledger.in_incident(PLAIN));
    for login in [1, 2] {
        case.refuse_plain(login, &[900]);
    }
    case.plain(901, 3, Accepted);
    case.plain(902, 3, Refused);
    assert!(case.ledger.in_incident(PLAIN), "three logins are refused");
    assert_eq!(case.canary(910, PLAIN, denied(DenialStage::Token)).cadence, Cadence::Confirm, "it may end it");
}

#[test]
fn a_canary_counts_as_accepted_and_as_refused_from_the_start() {
    let mut case = Case::new();
    case.canary(0, PLAIN, AccessAnswer::Granted);
    for login in 1..=5 {
        case.plain(1, login, Refused);
    }
    assert!(!case.incident(PLAIN), "the registry does not refuse everyone");

    let mut case = Case::new();
    for at in [0, 60] {
        assert_eq!(case.canary(at, PLAIN, denied(DenialStage::Token)).cadence, Cadence::Confirm);
    }
    assert!(case.incident(PLAIN), "nothing was ever accepted there");
}

#[test]
fn while_the_canary_alone_carries_an_incident_no_refusal_counts() {
    let mut case = working(1);
    case.canary(10, PLAIN, AccessAnswer::Granted);
    for at in [600, 660] {
        case.canary(at, PLAIN, denied(DenialStage::Token));
    }
    case.refuse_plain(9, &[700, 760, 820]);
    case.plain(830, 1, Accepted);
    case.plain(880, 9, Refused);
    assert_ne!(case.status(9), Status::Rejected);
}

#[test]
fn denials_before_an_incident_of_logins_count_for_nothing_after_it() {
    let mut case = working(4);
    case.access(5, None, PLAIN, AccessAnswer::Granted);
    case.access(5, Some(4), PLAIN, AccessAnswer::Granted);
    for at in [100, 160, 220, 700, 760] {
        case.access(at, Some(4), PLAIN, denied(DenialStage::Manifest));
    }
    for at in [640, 700] {
        case.access(at, None, PLAIN, denied(DenialStage::Token));
    }
    for login in 1..=3 {
        case.plain(770, login, Refused);
    }
    assert!(case.incident(PLAIN));
    case.plain(780, 1, Accepted);
    assert!(!case.incident(PLAIN));
    case.access(820, None, PLAIN, denied(DenialStage::Token));
    case.access(820, Some(4), PLAIN, denied(DenialStage::Manifest));
    let granted = |login| case.ledger.access(login, PLAIN, REPOSITORY).granted;
    assert_eq!((granted(None), granted(Some(LoginId(4)))), (Some(true), Some(true)));
}

#[test]
fn who_was_not_refused_in_an_incident_is_news_in_the_next() {
    let mut case = working(6);
    for login in 1..=3 {
        case.plain(600, login, Refused);
    }
    case.plain(610, 4, Accepted);
    assert!(!case.incident(PLAIN));
    for login in 4..=6 {
        case.plain(2_000, login, Refused);
    }
    assert!(case.incident(PLAIN));
}

#[test]
fn dead_logins_are_no_news() {
    let mut case = working(4);
    for (from, login) in [(600, 1), (2_000, 2)] {
        for at in [from, from + 60, from + 120] {
            case.plain(at, login, Refused);
            case.plain(at + 1, 4, Accepted);
        }
        assert_eq!(case.status(login), Status::Rejected);
    }
    for login in 1..=3 {
        case.plain(5_000, login, Refused);
    }
    assert!(!case.incident(PLAIN), "one of two");
}

#[test]
fn two_confirmations_need_a_control_between_them() {
    let mut case = working(2);
    case.ledger.go_by(Rules { confirmations: 2, ..rules() });
    case.refuse_plain(1, &[600, 660]);
    assert_eq!(case.status(1), Status::Unverified);
    case.plain(670, 2, Accepted);
    case.plain(720, 1, Refused);
    assert_eq!(case.status(1), Status::Rejected);
    // Of a login that is alone there two are enough.
    let mut case = working(1);
    case.ledger.go_by(Rules { confirmations: 2, ..rules() });
    case.refuse_plain(1, &[600, 660]);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn who_never_worked_is_no_control_that_is_waited_for() {
    let mut case = working(1);
    case.plain(10, 9, Refused);
    case.refuse_plain(1, &[600, 660, 720]);
    assert_eq!(case.status(1), Status::Rejected);

    // Of those that did work the second one could tell, whoever stands between them.
    let mut case = working(2);
    case.plain(3, 4, Accepted);
    case.plain(20, 3, Refused);
    case.plain(610, 2, Refused);
    case.refuse_plain(1, &[600, 660, 720]);
    assert_eq!((case.status(1), case.incident(PLAIN)), (Status::Unverified, false));
}

#[test]
fn a_disowned_token_of_a_locked_out_owner_is_in_doubt_no_sooner_than_others_of_that_owner() {
    let mut case = living(3);
    case.ledger.go_by(Rules { confirmations: 5, ..rules() });
    for login in [1, 2] {
        case.ghcr(3, login, Accepted);
        let alice = TokenFacts { owner: Some("alice".to_owned()), ..TokenFacts::default() };
        case.issuer(4, login, IssuerAnswer::Alive(alice));
    }
    case.canary(5, GHCR, AccessAnswer::Granted);
    for at in [600, 660, 720] {
        case.issuer(at, 3, alive());
        case.issuer(at, 1, IssuerAnswer::Disowned);
    }
    assert!(case.ledger.token(&token(1)).disowned);
    for at in [800, 860] {
        case.canary(at, GHCR, denied(DenialStage::Token));
    }
    case.issuer(870, 2, IssuerAnswer::Unproven(Unproven::LockedOut));
    assert!(case.incident(GHCR));
    case.refuse_ghcr(1, &[900, 960, 1_020]);
    assert_eq!(case.status(1), Status::Valid, "the lock-out explains three refusals");
    case.refuse_ghcr(1, &[1_080, 1_140]);
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn a_token_speaks_by_the_user_name_that_worked() {
    let mut case = Case::new();
    for login in 1..=3 {
        case.ghcr(0, login, Accepted);
    }
    for login in 1..=3 {
        case.ghcr(600 + 2 * login, login, Refused);
        // Under another name, which never was accepted, it is refused later.
        let other = evidence(601 + 2 * login, Refused, Some(401));
        let (id, at) = (LoginId(10 + login), moment(601 + 2 * login));
        case.ledger.record_login(id, GHCR, Some(&token(login)), &other, at);
    }
    assert!(case.incident(GHCR));
}

#[test]
fn a_lock_out_leaves_what_is_counted_where_there_is_no_incident() {
    let mut case = living(1);
    case.ghcr(0, 1, Accepted);
    for at in [600, 660] {
        case.access(at, None, GHCR, denied(DenialStage::Token));
    }
    case.issuer(700, 1, IssuerAnswer::Unproven(Unproven::LockedOut));
    case.access(720, None, GHCR, denied(DenialStage::Token));
    assert_eq!(case.ledger.access(None, GHCR, REPOSITORY).granted, Some(false), "the third in a row");
}

#[test]
fn an_issuer_in_trouble_is_not_about_to_confirm_anything() {
    let mut case = living(3);
    for login in 1..=3 {
        case.ghcr(5, login, Accepted);
    }
    for login in 1..=3 {
        case.issuer(600, login, IssuerAnswer::Disowned);
    }
    assert!(case.incident("api.github.com"));
    case.ghcr(610, 1, Refused);
    case.issuer(661, 1, IssuerAnswer::Disowned);
    case.refuse_ghcr(1, &[670, 730]);
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn a_canary_denied_twice_in_an_incident_of_logins_does_not_outlast_it() {
    let mut case = working(4);
    case.canary(5, PLAIN, AccessAnswer::Granted);
    for login in 1..=3 {
        case.plain(600, login, Refused);
    }
    for at in [610, 670] {
        case.canary(at, PLAIN, denied(DenialStage::Token));
    }
    assert!(case.incident(PLAIN));
    case.plain(700, 4, Accepted);
    assert!(!case.incident(PLAIN));
}

#[test]
fn an_issuer_that_vouched_before_the_refusals_does_not_disagree() {
    let mut case = living(1);
    case.ghcr(5, 1, Accepted);
    case.refuse_ghcr(1, &[600, 660, 720]);
    assert!(case.view(1).doubted && !case.view(1).issuer_disagrees);
    case.issuer(730, 1, alive());
    assert!(case.view(1).issuer_disagrees);
}

#[test]
fn what_an_issuer_disowned_for_long_counts_on_after_an_incident_of_it() {
    let mut case = living(6);
    case.ghcr(10, 1, Accepted);
    case.canary(10, GHCR, AccessAnswer::Granted);
    for at in [600, 660] {
        case.canary(at, GHCR, denied(DenialStage::Token));
    }
    for at in [700, 760, 820, 1_300, 1_360] {
        case.ghcr(at, 1, Refused);
        case.issuer(at + 1, 1, IssuerAnswer::Disowned);
        case.issuer(at + 2, 2, alive());
    }
    for login in 3..=5 {
        case.issuer(1_370, login, IssuerAnswer::Disowned);
    }
    assert!(case.incident("api.github.com"));
    case.issuer(1_380, 2, alive());
    assert!(case.incident(GHCR) && !case.incident("api.github.com"));
    case.ghcr(1_420, 1, Refused);
    assert_ne!(case.status(1), Status::Rejected);
    case.issuer(1_421, 1, IssuerAnswer::Disowned);
    assert_eq!(case.status(1), Status::Rejected);
}

/// Whether login 1 is proven dead, of three at a registry without an issuer, by refusals at these times; all are accepted at 0, and
/// one of the others at those.
fn is_proven(confirmations: u32, refused: &[u64], other: &[u64]) -> bool {
    let mut case = Case { ledger: Ledger::new(Rules { confirmations, ..rules() }), now: 0 };
    let mut times: Vec<(u64, u64)> = refused.iter().map(|at| (*at, 1)).chain(other.iter().map(|at| (*at, 2))).collect();
    times.sort_unstable();
    for login in 1..=3 {
        case.plain(0, login, Accepted);
    }
    for (at, login) in times {
        case.plain(at, login, if login == 1 { Refused } else { Accepted });
    }
    case.view(1).accepted == Some(false)
}

#[test]
fn the_control_comes_before_each_of_the_last_two_refusals_however_many_it_takes() {
    let hundreds = |count: u64| (1..=count).map(|n| 100 * n).collect::<Vec<_>>();
    assert!(is_proven(2, &hundreds(2), &[150]), "of two the second alone");
    assert!(!is_proven(2, &hundreds(2), &[50]));
    assert!(is_proven(5, &hundreds(5), &[350, 450]));
    assert!(!is_proven(5, &hundreds(5), &[350]) && !is_proven(5, &hundreds(5), &[450]));
}

#[test]
fn a_refusal_too_soon_to_count_brings_no_control_of_its_own() {
    assert!(!is_proven(3, &[100, 200, 205, 300], &[203]));
    assert!(is_proven(3, &[100, 200, 205, 300], &[150, 203]));
}

#[test]
fn a_canary_that_is_denied_is_no_control() {
    let mut case = Case::new();
    for login in 1..=3 {
        case.plain(0, login, Accepted);
    }
    for at in [100, 200, 300] {
        case.canary(at - 10, PLAIN, denied(DenialStage::Manifest));
        case.plain(at, 1, Refused);
    }
    assert_ne!(case.view(1).accepted, Some(false));
    for at in [400, 500] {
        case.plain(at - 10, 2, Accepted);
        case.plain(at, 1, Refused);
    }
    assert_eq!(case.view(1).accepted, Some(false));
}
