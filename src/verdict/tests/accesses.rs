//! Proof of a denial, of scopes, and the order of the statuses.

use rstest::rstest;

use super::*;
use crate::plan::Cadence;
use LoginAnswer::Accepted;

#[test]
fn confirmations_denials_of_one_repository_are_forbidden() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    let denial = || denied(DenialStage::Manifest);
    assert_eq!(case.access(10, Some(1), GHCR, denial()).cadence, Cadence::Confirm);
    assert_eq!(case.access(70, Some(1), GHCR, denial()).cadence, Cadence::Confirm);
    assert_eq!(case.status(1), Status::Unverified, "refused, not proven, and never granted");
    assert_eq!(case.access(130, Some(1), GHCR, denial()).cadence, Cadence::BackOff);
    assert_eq!(case.access(610, Some(1), GHCR, denial()).cadence, Cadence::Confirm);
    assert_eq!(case.access(670, Some(1), GHCR, denial()).cadence, Cadence::Confirm);
    assert_eq!(case.status(1), Status::Unverified, "good logins are denied for as long");
    assert_eq!(case.access(730, Some(1), GHCR, denial()).cadence, Cadence::Routine);
    assert_eq!(case.status(1), Status::Forbidden);
    case.access(1_300, Some(1), GHCR, AccessAnswer::Granted);
    assert_eq!(case.status(1), Status::Valid, "a grant is proof by itself");
}

#[test]
fn a_denial_after_a_grant_leaves_the_verdict_until_it_is_proven() {
    let mut case = Case::new();
    case.access(0, Some(1), GHCR, AccessAnswer::Granted);
    case.access(600, Some(1), GHCR, denied(DenialStage::Manifest));
    assert_eq!(case.status(1), Status::Valid);
    case.access(660, Some(1), GHCR, AccessAnswer::Granted);
    assert_eq!(case.status(1), Status::Valid);
}

#[test]
fn a_denial_of_another_repository_does_not_add_up() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    case.access(10, Some(1), GHCR, denied(DenialStage::Manifest));
    case.access(70, Some(1), GHCR, denied(DenialStage::Manifest));
    let other = evidence(130, denied(DenialStage::Manifest), Some(403));
    case.ledger.record_access(Some(LoginId(1)), GHCR, "org/other", &other, moment(130));
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn a_denial_at_the_token_endpoint_needs_the_login_accepted_in_between() {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    let advice = case.access(10, Some(1), GHCR, denied(DenialStage::Token));
    assert!(asks_login(&advice, 1));
    case.access(70, Some(1), GHCR, denied(DenialStage::Token));
    case.access(130, Some(1), GHCR, denied(DenialStage::Token));
    assert_eq!(case.status(1), Status::Unverified, "the login was not accepted since the first denial");
    case.ghcr(140, 1, Accepted);
    for at in [190, 610, 670, 730] {
        assert_eq!(case.status(1), Status::Unverified);
        case.access(at, Some(1), GHCR, denied(DenialStage::Token));
    }
    assert_eq!(case.status(1), Status::Forbidden);
}

#[test]
fn not_found_proves_nothing_of_the_access() {
    let mut case = Case::new();
    for at in [0, 60, 120, 180] {
        case.access(at, Some(1), GHCR, AccessAnswer::NotFound);
    }
    assert_eq!(case.ledger.access(Some(LoginId(1)), GHCR, REPOSITORY).granted, None);
    assert_eq!(case.status(1), Status::Valid, "but the token exchange accepted the login");
}

#[test]
fn time_outs_between_denials_neither_count_nor_reset() {
    let mut case = Case::new();
    case.access(0, Some(1), GHCR, denied(DenialStage::Manifest));
    case.access(60, Some(1), GHCR, AccessAnswer::Unproven(TIMEOUT));
    case.access(120, Some(1), GHCR, denied(DenialStage::Manifest));
    case.access(180, Some(1), GHCR, AccessAnswer::Unproven(TIMEOUT));
    assert_eq!(case.status(1), Status::Unverified);
    case.access(240, Some(1), GHCR, denied(DenialStage::Manifest));
    assert_eq!(case.access(600, Some(1), GHCR, denied(DenialStage::Manifest)).cadence, Cadence::Confirm);
    case.access(660, Some(1), GHCR, AccessAnswer::Unproven(TIMEOUT));
    case.access(661, Some(1), GHCR, denied(DenialStage::Manifest));
    assert_eq!(case.status(1), Status::Unverified);
    case.access(721, Some(1), GHCR, denied(DenialStage::Manifest));
    assert_eq!(case.status(1), Status::Forbidden);
}

#[rstest]
#[case(AccessAnswer::Granted)]
#[case(denied(DenialStage::Manifest))]
#[case(AccessAnswer::NotFound)]
fn an_access_past_the_token_exchange_accepts_the_login(#[case] answer: AccessAnswer) {
    let mut case = Case::new();
    case.access(0, Some(1), GHCR, answer);
    assert_eq!(case.view(1).accepted, Some(true));
}

#[test]
fn an_access_whose_token_exchange_refuses_the_login_counts_as_a_refusal() {
    let mut case = Case::new();
    case.plain(0, 1, LoginAnswer::Refused);
    let advice = case.access(60, Some(1), PLAIN, AccessAnswer::LoginRefused);
    assert_eq!(advice.cadence, Cadence::Routine);
    assert_eq!(advice.also, [(Ask::Login(LoginId(1)), Cadence::Confirm)]);
    let advice = case.access(120, Some(1), PLAIN, AccessAnswer::LoginRefused);
    assert_eq!(advice.cadence, Cadence::Dead);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn an_access_that_is_let_in_after_its_login_was_proven_dead_has_the_login_asked_as_usual() {
    for (answer, lives) in [
        (AccessAnswer::Granted, true),
        (AccessAnswer::NotFound, true),
        (denied(DenialStage::Manifest), true),
        (denied(DenialStage::Token), false),
        (AccessAnswer::Unproven(TIMEOUT), false),
    ] {
        let mut case = Case::new();
        case.ghcr(0, 1, LoginAnswer::Accepted);
        case.dies(600);
        assert_eq!(case.status(1), Status::Rejected);
        let advice = case.access(730, Some(1), GHCR, answer.clone());
        let revived = advice.also == [(Ask::Login(LoginId(1)), Cadence::Routine)];
        assert_eq!((revived, case.view(1).accepted), (lives, Some(lives)), "{answer:?}");
        // It lives now: nothing needs to be said of that.
        assert_eq!(case.access(740, Some(1), GHCR, answer).also, []);
    }
}

#[test]
fn a_repository_that_asks_for_the_password_accepts_where_the_host_does_not() {
    let mut case = Case::new();
    let other = |case: &mut Case, at| {
        let granted = evidence(at, AccessAnswer::Granted, Some(200));
        case.ledger.record_access(Some(LoginId(1)), PLAIN, "org/public", &granted, moment(at));
    };
    case.plain(0, 1, LoginAnswer::NotChecked);
    for at in [10, 70] {
        case.access(at, Some(1), PLAIN, AccessAnswer::LoginRefused);
        case.plain(at + 1, 1, LoginAnswer::NotChecked);
        other(&mut case, at + 2);
        assert_eq!(case.view(1).accepted, None, "what anybody may pull proves nothing");
    }
    let mut to_anybody = evidence(75, AccessAnswer::Granted, Some(200));
    to_anybody.to_anybody = true;
    case.ledger.record_access(Some(LoginId(1)), PLAIN, REPOSITORY, &to_anybody, moment(75));
    assert_eq!(case.view(1).accepted, None, "the refusal was a mistake: there nobody is asked for the password either");
    case.access(80, Some(1), PLAIN, AccessAnswer::Granted);
    assert_eq!(case.status(1), Status::Valid);
    // Granted as it was, it is known for a repository that asks; the refusals before count for nothing.
    for at in [600, 660] {
        case.access(at, Some(1), PLAIN, AccessAnswer::LoginRefused);
        case.plain(at + 1, 1, LoginAnswer::NotChecked);
        other(&mut case, at + 2);
    }
    assert_eq!(case.status(1), Status::Valid);
    case.access(670, Some(1), PLAIN, AccessAnswer::Granted);
    for at in [1_200, 1_260, 1_320] {
        assert_eq!(case.status(1), Status::Valid);
        case.access(at, Some(1), PLAIN, AccessAnswer::LoginRefused);
    }
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn before_a_login_exchange_repetition_proves_nothing() {
    // Whether there is an issuer to ask is not known yet.
    let mut case = Case::new();
    for at in [0, 60, 120, 180] {
        case.access(at, Some(1), GHCR, AccessAnswer::LoginRefused);
    }
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn an_anonymous_pull_is_denied_after_confirmations() {
    let mut case = Case::new();
    for at in [0, 60] {
        case.access(at, None, GHCR, denied(DenialStage::Token));
        assert_eq!(case.ledger.access(None, GHCR, REPOSITORY).granted, None);
    }
    case.access(120, None, GHCR, denied(DenialStage::Token));
    assert_eq!(case.ledger.access(None, GHCR, REPOSITORY).granted, Some(false));
    case.access(180, None, GHCR, AccessAnswer::Granted);
    assert_eq!(case.ledger.access(None, GHCR, REPOSITORY).granted, Some(true));
}

#[test]
fn the_pull_scope_missing_in_two_answers_is_insufficient_scope() {
    let without = || IssuerAnswer::Alive(facts(Some(&["repo"]), Expiry::Never));
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    assert_eq!(case.issuer(0, 1, without()).cadence, Cadence::Confirm);
    case.issuer(59, 1, without());
    assert_eq!(case.status(1), Status::Valid, "two answers closer than the spacing");
    assert_eq!(case.issuer(60, 1, without()).cadence, Cadence::Routine);
    assert_eq!(case.status(1), Status::InsufficientScope);
    case.issuer(3_660, 1, alive());
    assert_eq!(case.status(1), Status::Valid);
}

#[test]
fn a_login_refused_once_does_not_put_off_what_is_being_confirmed() {
    let mut case = Case::new();
    let refused = |case: &mut Case, at| case.access(at, Some(1), GHCR, AccessAnswer::LoginRefused).cadence;
    case.access(0, Some(1), GHCR, AccessAnswer::Granted);
    assert_eq!(refused(&mut case, 600), Cadence::Routine, "nothing is being confirmed of the access");
    case.access(660, Some(1), GHCR, denied(DenialStage::Manifest));
    assert_eq!(refused(&mut case, 720), Cadence::Confirm);
    for at in [780, 840, 1_260, 1_320, 1_380] {
        case.access(at, Some(1), GHCR, denied(DenialStage::Manifest));
    }
    assert_eq!(case.status(1), Status::Forbidden);
    assert_eq!(refused(&mut case, 1_980), Cadence::Routine, "it is proven");
}

#[test]
fn a_denial_that_a_missing_scope_explained_is_open_once_the_scope_is_there() {
    let without = || IssuerAnswer::Alive(facts(Some(&["repo"]), Expiry::Never));
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    for at in [0, 60, 120, 600, 660, 720] {
        case.access(at, Some(1), GHCR, denied(DenialStage::Manifest));
        case.issuer(at + 1, 1, without());
    }
    assert_eq!(case.status(1), Status::InsufficientScope);
    assert_eq!(case.ledger.access(Some(LoginId(1)), GHCR, REPOSITORY).granted, Some(false));
    let advice = case.issuer(3_660, 1, alive());
    assert_eq!(case.status(1), Status::Unverified);
    let asked = advice.at_once.iter().any(
        |ask| matches!(ask, Ask::Access { login: Some(LoginId(1)), repository, .. } if &**repository == REPOSITORY),
    );
    assert!(asked, "{:?}", advice.at_once);
    case.access(3_661, Some(1), GHCR, denied(DenialStage::Manifest));
    assert_eq!(case.status(1), Status::Unverified, "one denial proves nothing");
    case.access(3_721, Some(1), GHCR, AccessAnswer::Granted);
    assert_eq!(case.status(1), Status::Valid);
}

#[rstest]
#[case::absent_is_unknown(None, false)]
#[case::empty_is_an_empty_list(Some(&[][..]), true)]
#[case::write_implies_read(Some(&["write:packages"][..]), false)]
#[case::repo_does_not(Some(&["repo"][..]), true)]
fn the_scope_list_as_told(#[case] scopes: Option<&[&str]>, #[case] lacks: bool) {
    let mut case = Case::new();
    case.ghcr(0, 1, Accepted);
    for at in [0, 60] {
        case.issuer(at, 1, IssuerAnswer::Alive(facts(scopes, Expiry::Never)));
    }
    assert_eq!(case.status(1) == Status::InsufficientScope, lacks);
}

#[test]
fn the_pull_scope_missing_before_an_acceptance_is_unverified() {
    let mut case = Case::new();
    for at in [0, 60, 120] {
        case.issuer(at, 1, IssuerAnswer::Alive(facts(Some(&["repo"]), Expiry::Never)));
    }
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn the_registrys_own_words_confirmations_times_are_insufficient_scope() {
    let mut case = Case::new();
    case.access(0, Some(1), GHCR, denied_for_scope());
    case.access(60, Some(1), GHCR, denied_for_scope());
    assert_eq!(case.status(1), Status::Unverified);
    case.access(120, Some(1), GHCR, denied_for_scope());
    assert_eq!(case.status(1), Status::InsufficientScope);
    for at in [180, 240, 300] {
        case.access(at, Some(1), GHCR, denied(DenialStage::Manifest));
    }
    assert_eq!(case.status(1), Status::Forbidden, "the scope came, the access did not");
}

#[test]
fn denials_only_partly_in_words_of_a_scope_are_forbidden() {
    let mut case = Case::new();
    case.access(0, Some(1), GHCR, denied_for_scope());
    case.access(60, Some(1), GHCR, denied(DenialStage::Manifest));
    case.access(120, Some(1), GHCR, denied_for_scope());
    assert_eq!(case.status(1), Status::Unverified);
    case.access(600, Some(1), GHCR, denied(DenialStage::Manifest));
    case.access(660, Some(1), GHCR, denied_for_scope());
    case.access(720, Some(1), GHCR, denied_for_scope());
    assert_eq!(case.status(1), Status::Forbidden);
}

#[test]
fn accesses_that_nobody_needs_are_forgotten() {
    let mut case = Case::new();
    case.access(0, Some(1), GHCR, AccessAnswer::Granted);
    case.access(0, None, GHCR, AccessAnswer::Granted);
    case.ledger.retain_accesses(|login, host, repository| login.is_some() && host == GHCR && repository == REPOSITORY);
    assert_eq!(case.ledger.access(Some(LoginId(1)), GHCR, REPOSITORY).granted, Some(true));
    assert_eq!(case.ledger.access(None, GHCR, REPOSITORY).granted, None);
}

/// The order of the contract: each row adds what the row before would have been without.
#[rstest]
#[case::malformed(Judged { malformed: true, anonymous: true, ignored: true, ..worst() }, Status::Malformed)]
#[case::anonymous(Judged { anonymous: true, ignored: true, ..worst() }, Status::Anonymous)]
#[case::ignored(Judged { ignored: true, ..worst() }, Status::Ignored)]
#[case::expired(worst(), Status::Expired)]
#[case::rejected(Judged { expires_at: Some(wall(11)), ..worst() }, Status::Rejected)]
#[case::unsupported(Judged { login: Some(&ACCEPTED), ..worst() }, Status::Unsupported)]
#[case::unsupported_before_any_answer(Judged { login: None, ..worst() }, Status::Unsupported)]
#[case::insufficient_scope(Judged { login: Some(&ACCEPTED), unsupported_kind: false, ..worst() }, Status::InsufficientScope)]
#[case::insufficient_scope_by_the_registry(
    Judged { login: Some(&ACCEPTED), unsupported_kind: false, pull_scope_missing: false, ..worst() },
    Status::InsufficientScope
)]
#[case::forbidden(
    Judged { login: Some(&ACCEPTED), accesses: &FORBIDDEN, ..Judged::default() },
    Status::Forbidden
)]
#[case::valid(Judged { login: Some(&ACCEPTED), ..Judged::default() }, Status::Valid)]
#[case::unverified(Judged::default(), Status::Unverified)]
#[case::a_proven_pull_outdoes_kind_and_scopes(
    Judged { login: Some(&ACCEPTED), pull_proven: true, accesses: &[], ..worst() },
    Status::Valid
)]
fn the_order_where_several_hold(#[case] judged: Judged<'_>, #[case] status: Status) {
    assert_eq!(judge(&judged, wall(10)), status);
}

const fn login_view(accepted: bool) -> LoginView {
    LoginView {
        accepted: Some(accepted),
        doubted: false,
        last_verdict_at: None,
        last_probe_at: None,
        issuer_disagrees: false,
        password_not_checked: false,
        foreign_realm: None,
        private_address: false,
        evidence: Vec::new(),
    }
}

static ACCEPTED: LoginView = login_view(true);
static REFUSED: LoginView = login_view(false);
static FORBIDDEN: [crate::verdict::AccessView; 1] = [crate::verdict::AccessView {
    granted: Some(false),
    missing_scope: false,
    denied_lately: false,
    last_verdict_at: None,
}];
static SCOPE: [crate::verdict::AccessView; 2] = [
    crate::verdict::AccessView {
        granted: Some(true),
        missing_scope: false,
        denied_lately: false,
        last_verdict_at: None,
    },
    crate::verdict::AccessView {
        granted: Some(false),
        missing_scope: true,
        denied_lately: false,
        last_verdict_at: None,
    },
];

/// Everything holds at once.
fn worst() -> Judged<'static> {
    Judged {
        login: Some(&REFUSED),
        expires_at: Some(wall(10)),
        unsupported_kind: true,
        pull_scope_missing: true,
        accesses: &SCOPE,
        ..Judged::default()
    }
}

#[test]
fn usable_severity_and_the_worse_of_two_fit_each_status() {
    use crate::credential::Severity::{Critical, Warning};
    for status in Status::ALL {
        let severity = (status.severity(true), status.severity(false));
        match status {
            Status::Valid => assert_eq!((status.usable(), severity), (Some(true), (None, None))),
            Status::Unverified | Status::Ignored => assert_eq!((status.usable(), severity), (None, (None, None))),
            Status::Anonymous => assert_eq!(severity, (Some(Warning), Some(Warning))),
            _ => assert_eq!((status.usable(), severity), (Some(false), (Some(Critical), Some(Warning)))),
        }
        assert_eq!(status.worse(Status::Valid), status);
        assert_eq!(Status::Valid.worse(status), status);
    }
    assert_eq!(Status::Unverified.worse(Status::Forbidden), Status::Forbidden);
}

/// A repository that asks for the password says nothing of the others, at a registry that is open at its root.
#[test]
fn a_refusal_at_one_repository_of_an_open_registry_lets_no_other_accept_the_login() {
    let mut case = Case::new();
    case.plain(0, 1, LoginAnswer::NotChecked);
    case.access(10, Some(1), PLAIN, AccessAnswer::LoginRefused);
    let granted = evidence(20, AccessAnswer::Granted, Some(200));
    case.ledger.record_access(Some(LoginId(1)), PLAIN, "org/open", &granted, moment(20));
    assert_eq!(case.view(1).accepted, None);
    case.access(30, Some(1), PLAIN, AccessAnswer::Granted);
    assert_eq!(case.view(1).accepted, Some(true));
}
