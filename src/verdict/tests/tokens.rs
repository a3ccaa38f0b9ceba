//! What issuers tell of tokens and their owners.

use super::*;
use crate::plan::Cadence;
use crate::probe::RateLimit;
use IssuerAnswer::{Disowned, ForbiddenByPolicy};
use LoginAnswer::{Accepted, Refused};

const API: &str = "api.github.com";

fn owned_by(owner: &str) -> IssuerAnswer {
    IssuerAnswer::Alive(TokenFacts { owner: Some(owner.to_owned()), ..TokenFacts::default() })
}

fn locked_out() -> IssuerAnswer {
    IssuerAnswer::Unproven(Unproven::LockedOut)
}

/// Tokens `1..=n`, found alive one after the other.
fn living(n: u64) -> Case {
    let mut case = Case::new();
    for login in 1..=n {
        case.issuer(login, login, alive());
    }
    case
}

fn controls(advice: &Advice) -> Vec<u64> {
    let tokens = advice.at_once.iter().filter_map(|ask| match ask {
        Ask::Issuer(token) => Some(token.token.0),
        _ => None,
    });
    tokens.collect()
}

#[test]
fn a_token_that_is_new_does_not_end_an_incident_of_the_issuer_at_once() {
    let mut case = living(3);
    for login in 1..=3 {
        case.issuer(600, login, Disowned);
    }
    assert!(case.incident(API));
    assert!(!case.incident(GHCR), "its registry has none");
    case.issuer(610, 9, alive());
    assert!(case.incident(API));
    case.issuer(620, 9, alive());
    assert!(!case.incident(API), "it was alive before by now");

    // Where none of those that were alive before is left, any token will do.
    let mut case = living(3);
    for login in [8, 9] {
        case.issuer(590, login, Disowned);
    }
    for login in 1..=3 {
        case.issuer(600, login, Disowned);
    }
    case.ledger.retain(|_| true, |key| *key == token(8) || *key == token(9));
    assert!(case.incident(API));
    case.issuer(700, 9, alive());
    assert!(!case.incident(API));
}

#[test]
fn tokens_that_were_never_alive_hide_no_incident_of_the_issuer() {
    let mut case = living(3);
    for login in 11..=15 {
        case.issuer(500, login, Disowned);
    }
    for login in 1..=3 {
        case.issuer(600, login, Disowned);
    }
    assert!(case.incident(API));
}

#[test]
fn a_date_that_was_believed_stands_for_five_minutes_past_it() {
    for (date, told, expected) in
        [(100, 400, Expiry::At(wall(100))), (100, 401, Expiry::Unreliable), (1_000, 400, Expiry::Unreliable)]
    {
        let mut case = Case::new();
        case.issuer(0, 1, IssuerAnswer::Alive(facts(None, Expiry::At(wall(date)))));
        case.issuer(told, 1, IssuerAnswer::Alive(facts(None, Expiry::Unreliable)));
        let facts = case.ledger.token(&token(1)).facts.unwrap();
        assert_eq!(facts.expiry, expected, "{date}, and unreliable at {told}");
    }
}

#[test]
fn an_owner_that_was_told_once_is_remembered() {
    let mut case = Case::new();
    case.issuer(0, 1, owned_by("alice"));
    case.issuer(600, 1, alive());
    assert_eq!(case.ledger.token(&token(1)).facts.unwrap().owner.as_deref(), Some("alice"));
}

#[test]
fn scopes_of_another_issuer_are_not_those_of_github() {
    let api = Some(url::Url::parse("https://gitlab.example.com").unwrap());
    let key = TokenKey { issuer: Issuer { kind: IssuerKind::Gitlab, api }, token: TokenId(1) };
    let mut case = Case::new();
    for at in [0, 60, 120] {
        let told = IssuerAnswer::Alive(facts(Some(&["read_registry"]), Expiry::Never));
        case.ledger.record_issuer(&key, &evidence(at, told, Some(200)), moment(at));
    }
    assert!(!case.ledger.token(&key).pull_scope_missing);
}

#[test]
fn a_scope_must_be_missing_in_two_answers_in_a_row() {
    let mut case = Case::new();
    for (at, scope, missing) in
        [(0, "gist", false), (60, "read:packages", false), (120, "gist", false), (180, "gist", true)]
    {
        case.issuer(at, 1, IssuerAnswer::Alive(facts(Some(&[scope]), Expiry::Never)));
        assert_eq!(case.ledger.token(&token(1)).pull_scope_missing, missing, "at {at}");
    }
}

#[test]
fn a_policy_is_told_until_the_token_is_found_alive_without_it() {
    let mut case = Case::new();
    case.issuer(0, 1, ForbiddenByPolicy);
    assert!(case.ledger.token(&token(1)).forbidden_by_policy);
    case.issuer(600, 1, alive());
    assert!(!case.ledger.token(&token(1)).forbidden_by_policy);
}

#[test]
fn an_issuer_that_disowns_a_token_has_not_locked_its_owner_out() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    case.issuer(0, 1, alive());
    case.issuer(600, 1, locked_out());
    case.issuer(605, 1, IssuerAnswer::Unproven(TIMEOUT));
    case.refuse_ghcr(1, &[610, 670]);
    assert_eq!(case.status(1), Status::Valid);
    case.ghcr(730, 1, Refused);
    assert_eq!(case.status(1), Status::Unverified, "whatever explains it, it does not work for now");
    assert!(case.ledger.is_refused(&Ask::Issuer(token(1))));
    for at in [4_300, 4_360, 4_420] {
        case.issuer(at, 1, Disowned);
        case.ghcr(at, 1, Refused);
    }
    assert_eq!(case.status(1), Status::Rejected);
    assert!(case.ledger.token(&token(1)).disowned);
}

#[test]
fn a_lock_out_is_not_over_by_an_answer_that_proves_nothing() {
    let mut case = Case::new();
    case.issuer(600, 1, locked_out());
    case.issuer(605, 1, IssuerAnswer::Unproven(TIMEOUT));
    assert!(case.ledger.is_refused(&Ask::Issuer(token(1))));
}

#[test]
fn while_another_token_of_the_owner_is_locked_out_no_refusal_is_confirmed() {
    let mut case = Case::new();
    for (login, owner) in [(1, "alice"), (2, "alice"), (3, "bob")] {
        case.ghcr(0, login, Accepted);
        case.issuer(0, login, owned_by(owner));
    }
    case.refuse_ghcr(2, &[480, 540]);
    case.issuer(600, 1, locked_out());
    for at in [610, 670, 730, 1_300, 1_360] {
        case.ghcr(at, 2, Refused);
        case.issuer(at + 1, 2, Disowned);
        case.issuer(at + 2, 3, owned_by("bob"));
    }
    assert!(case.ledger.token(&token(2)).disowned);
    assert_ne!(case.status(2), Status::Rejected);
    // When it is over the refusals count from the start.
    case.issuer(4_300, 1, owned_by("alice"));
    for (at, status) in [(4_310, Status::Unverified), (4_370, Status::Unverified), (4_430, Status::Rejected)] {
        case.ghcr(at, 2, Refused);
        case.issuer(at + 1, 2, Disowned);
        assert_eq!(case.status(2), status, "at {at}");
    }
}

#[test]
fn refusals_from_before_a_lock_out_are_not_confirmed_during_it() {
    let mut case = Case::new();
    for (login, owner) in [(1, "alice"), (2, "alice"), (3, "bob")] {
        case.ghcr(0, login, Accepted);
        case.issuer(0, login, owned_by(owner));
    }
    case.refuse_ghcr(2, &[400, 460, 520]);
    case.issuer(530, 1, locked_out());
    for at in [540, 600, 660] {
        case.issuer(at, 3, owned_by("bob"));
        case.issuer(at, 2, Disowned);
    }
    assert!(case.ledger.token(&token(2)).disowned);
    assert_ne!(case.status(2), Status::Rejected);
}

#[test]
fn a_disowned_token_that_logs_in_somewhere_is_asked_about_as_usual() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    let refused = evidence(0, Refused, Some(403));
    case.ledger.record_login(LoginId(11), GHCR, Some(&token(1)), &refused, moment(0));
    let cadences = [600, 660, 720].map(|at| case.issuer(at, 1, Disowned).cadence);
    assert_eq!(cadences, [Cadence::Confirm, Cadence::Confirm, Cadence::Routine]);
}

#[test]
fn disownments_without_a_control_are_repeated_slowly() {
    let mut case = living(2);
    let cadences = [600, 660, 720].map(|at| case.issuer(at, 1, Disowned).cadence);
    assert_eq!(cadences, [Cadence::Confirm, Cadence::Confirm, Cadence::BackOff]);
}

#[test]
fn a_dead_token_asks_nothing_of_anybody_else() {
    let mut case = living(2);
    case.ghcr(0, 1, Accepted);
    case.ghcr(600, 1, Refused);
    assert!(!asks_login(&case.issuer(601, 1, Disowned), 1), "it was refused just now");
    for at in [661, 721] {
        case.ghcr(at - 1, 1, Refused);
        case.issuer(at - 1, 2, alive());
        case.issuer(at, 1, Disowned);
    }
    assert_eq!(case.status(1), Status::Rejected);
    let age = case.view(1).last_verdict_at;
    assert_eq!(case.issuer(5_000, 1, Disowned), Advice::just(Cadence::Dead));
    assert_eq!(case.view(1).last_verdict_at, age, "the registry said nothing new");
    // Nor when a login with it works, which shows at the usual pace.
    let accepted = evidence(5_100, Accepted, Some(200));
    case.ledger.record_login(LoginId(11), GHCR, Some(&token(1)), &accepted, moment(5_100));
    assert_eq!(case.issuer(5_200, 1, Disowned), Advice::just(Cadence::Routine));
}

/// Login 1 is refused, once less than it takes, and its token disowned once: token 2 is silent, so that this cannot be proven,
/// and login 2 is the control at the registry.
fn nearly_dead() -> Case {
    let mut case = living(2);
    case.ghcr(0, 1, Accepted);
    for at in [600, 660, 720, 1_260, 1_320] {
        case.ghcr(at - 1, 2, Accepted);
        case.ghcr(at, 1, Refused);
    }
    assert_eq!(case.issuer(1_330, 1, Disowned).cadence, Cadence::Confirm);
    case.ghcr(1_379, 2, Accepted);
    case
}

#[test]
fn an_issuer_is_not_asked_to_the_end_of_its_series_about_a_token_whose_logins_are_dead() {
    let mut case = nearly_dead();
    let idle = vec![(Ask::Issuer(token(1)), Cadence::Dead)];
    assert_eq!(case.ghcr(1_380, 1, Refused), Advice { also: idle, ..Advice::just(Cadence::Dead) });
    assert_eq!(case.status(1), Status::Rejected);
    assert_eq!(case.issuer(1_400, 1, Disowned).cadence, Cadence::Dead, "also where it was on its way");
}

#[test]
fn an_issuer_in_trouble_is_asked_on_about_a_token_whose_logins_are_dead() {
    let mut case = living(3);
    case.ghcr(10, 1, Accepted);
    for login in 1..=3 {
        case.issuer(590, login, Disowned);
    }
    for at in [600, 660, 720, 1_260, 1_320] {
        case.ghcr(at - 1, 2, Accepted);
        case.ghcr(at, 1, Refused);
    }
    case.issuer(1_330, 1, Disowned);
    case.ghcr(1_379, 2, Accepted);
    assert!(case.incident(API));
    assert_eq!(case.ghcr(1_380, 1, Refused), Advice::just(Cadence::Dead));
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn an_issuer_goes_on_about_a_token_while_another_login_with_it_is_not_proven_dead() {
    let mut case = nearly_dead();
    let refused = evidence(1_379, Refused, Some(403));
    case.ledger.record_login(LoginId(11), GHCR, Some(&token(1)), &refused, moment(1_379));
    assert_eq!(case.ghcr(1_380, 1, Refused), Advice::just(Cadence::Dead));
    assert_eq!(case.issuer(1_400, 1, Disowned).cadence, Cadence::Confirm);
}

#[test]
fn an_issuer_that_vouches_for_a_dead_login_is_asked_as_usual() {
    let mut case = living(2);
    case.ghcr(0, 1, Accepted);
    for at in [600, 660, 720, 1_260, 1_320, 1_380] {
        case.ghcr(at - 1, 2, Accepted);
        case.issuer(at - 1, 1, alive());
        case.ghcr(at, 1, Refused);
    }
    assert_eq!(case.status(1), Status::Rejected);
    assert_eq!(
        case.issuer(1_400, 1, alive()),
        Advice::just(Cadence::Routine),
        "the schedule knows that its login is dead"
    );
}

#[test]
fn two_tokens_that_are_both_disowned_are_rejected() {
    let mut case = living(2);
    for at in [600, 660, 720] {
        for login in [1, 2] {
            case.ghcr(at, login, Refused);
            case.issuer(at, login, Disowned);
        }
    }
    assert_eq!((case.status(1), case.status(2)), (Status::Rejected, Status::Rejected));
}

#[test]
fn the_control_of_a_token_is_a_living_one_that_was_not_heard_for_longest() {
    let mut case = Case::new();
    for (at, login) in [(0, 2), (10, 3), (11, 4), (12, 1)] {
        case.issuer(at, login, alive());
    }
    case.issuer(13, 2, Disowned);
    case.issuer(14, 3, alive());
    case.issuer(15, 4, alive());
    assert_eq!(controls(&case.issuer(600, 1, Disowned)), [3]);
}

#[test]
fn in_an_incident_of_the_issuer_a_token_that_lived_before_it_tells_whether_it_is_over() {
    let mut case = Case::new();
    for login in 1..=4 {
        case.issuer(0, login, alive());
    }
    case.issuer(1, 9, Disowned);
    let asked: Vec<_> = (1..=4).map(|login| controls(&case.issuer(600 + 60 * login, login, Disowned))).collect();
    // At the third it is one, and of those that live the last is asked; then nobody is left who was not disowned.
    assert_eq!(asked, [vec![2], vec![3], vec![4], vec![1]]);
    assert!(case.incident(API));
    assert!(controls(&case.issuer(841, 2, Disowned)).is_empty(), "one each spacing");
    // 2 was revoked meanwhile; its next question has the one asked that was not heard for longest.
    assert_eq!(controls(&case.issuer(3_600, 2, Disowned)), [1]);
    case.issuer(3_601, 1, alive());
    assert!(!case.incident(API));
}

#[test]
fn an_owner_at_its_limit_may_be_asked_again_when_any_of_its_tokens_is_answered() {
    let mut case = Case::new();
    for (login, owner) in [(1, "alice"), (2, "alice"), (3, "bob")] {
        case.issuer(login, login, owned_by(owner));
    }
    let mut limit = evidence(620, IssuerAnswer::Unproven(Unproven::OwnerThrottled), Some(403));
    limit.retry_after = Some(Duration::from_secs(3_600));
    case.ledger.record_issuer(&token(1), &limit, moment(620));
    assert!(controls(&case.issuer(690, 3, Disowned)).is_empty());
    case.issuer(700, 2, owned_by("alice"));
    assert_eq!(controls(&case.issuer(760, 3, Disowned)), [1]);
}

#[test]
fn a_quota_is_shared_among_the_tokens_that_live() {
    let mut case = Case::new();
    let told = |remaining, reset| {
        let rate_limit = Some(RateLimit { limit: 5_000, remaining, reset: wall(reset) });
        IssuerAnswer::Alive(TokenFacts { owner: Some("alice".to_owned()), rate_limit, ..TokenFacts::default() })
    };
    let intervals = |case: &Case| case.ledger.issuer_intervals();
    case.issuer(0, 2, owned_by("alice"));
    assert!(intervals(&case).is_empty(), "no answer told a limit");
    case.issuer(0, 1, told(3_000, 1_800));
    assert_eq!(case.ledger.issuer_stretch(&token(1)).as_secs(), 36, "two tokens");
    case.issuer(0, 2, Disowned);
    case.issuer(0, 1, told(3_000, 1_800));
    assert_eq!(case.ledger.issuer_stretch(&token(1)).as_secs(), 18, "one");
    assert_eq!(intervals(&case)[API].as_secs(), 3_600);
    case.issuer(0, 1, told(0, 7_200));
    assert_eq!(intervals(&case)[API].as_secs(), 7_201, "until the reset");
}

#[test]
fn a_token_that_is_dead_or_was_just_disowned_is_no_control() {
    let mut case = Case::new();
    for n in 1..=2 {
        case.issuer(0, n, alive());
    }
    case.issuer(100, 2, Disowned);
    assert!(controls(&case.issuer(200, 1, Disowned)).is_empty(), "nobody lives who could be one");

    let mut case = Case::new();
    for n in 1..=5 {
        case.ghcr(0, n, LoginAnswer::Accepted);
        case.issuer(0, n, alive());
    }
    for at in [100, 200, 300] {
        case.issuer(at - 10, 2, alive());
        case.issuer(at, 1, Disowned);
    }
    assert!(case.ledger.token(&token(1)).disowned);
    for n in 2..=5 {
        case.issuer(4_000, n, Disowned);
    }
    assert!(case.incident(API));
    // One control each spacing, of those that lived: the dead one was heard before all of them.
    let asked = controls(&case.issuer(4_100, 5, Disowned));
    assert!(asked.len() == 1 && asked != [1], "{asked:?}");
}
