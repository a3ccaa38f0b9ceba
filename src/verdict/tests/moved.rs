//! Registries that are asked in another way from some moment on.

use super::*;
use crate::config::{IssuerChoice, RegistryConfig};
use crate::plan::Registries;
use crate::verdict::memory::{Dial, recall, remember};
use LoginAnswer::{Accepted, Refused};

/// A registry without an issuer, as the config says.
fn asked(change: impl FnOnce(&mut RegistryConfig)) -> Registries {
    let mut registry = RegistryConfig::plain(PLAIN, IssuerChoice::None);
    change(&mut registry);
    Registries::new(&[registry]).unwrap()
}

fn with_canary(image: &str) -> Registries {
    asked(|registry| registry.canary = Some(image.to_owned()))
}

/// So many logins that work, from 1 on, and a canary that is granted.
fn beside_a_canary(logins: u64) -> Case {
    let mut case = Case::new();
    for login in 1..=logins {
        case.plain(login, login, Accepted);
    }
    case.canary(logins + 1, PLAIN, AccessAnswer::Granted);
    case.meet(&with_canary("org/image"));
    case
}

/// The same, and each of them pulls.
fn pulling_beside_a_canary(logins: u64) -> Case {
    let mut case = beside_a_canary(logins);
    for login in 1..=logins {
        case.access(logins + 1, Some(login), PLAIN, AccessAnswer::Granted);
    }
    case
}

impl Case {
    fn meet(&mut self, registries: &Registries) -> Vec<String> {
        self.ledger.meet(|host| registries.find(host)).iter().map(ToString::to_string).collect()
    }

    fn restart(&mut self) {
        let dial = Dial::new(wall(0), moment(0));
        let records: Vec<_> = remember(&self.ledger, &dial).collect();
        let dial =
            Dial::of_earlier(wall(self.now).into(), dial.tell(moment(self.now)), wall(self.now), moment(self.now));
        self.ledger = Ledger::new(rules());
        recall(&mut self.ledger, &records, &dial, wall(self.now));
    }
}

#[test]
fn a_canary_that_is_asked_no_more_is_no_witness() {
    // What becomes of it by the next config, over a restart or not.
    for (next, restarts) in [
        (asked(|_| ()), false),
        (asked(|_| ()), true),
        (with_canary("org/other"), false),
        (with_canary("org/other"), true),
    ] {
        let mut case = Case::new();
        case.plain(0, 1, Accepted);
        case.canary(1, PLAIN, AccessAnswer::Granted);
        assert!(case.meet(&with_canary("org/image")).is_empty());
        if restarts {
            case.restart();
        }
        assert_eq!(case.meet(&next), [PLAIN]);
        assert!(case.meet(&next).is_empty(), "once");
        let advice = case.plain(700, 1, Refused);
        assert!(!advice.at_once.contains(&Ask::Canary(PLAIN.into())), "{advice:?}");
        case.refuse_plain(1, &[760, 820]);
        assert_eq!(case.status(1), Status::Rejected);
    }
}

#[test]
fn a_canary_that_stays_is_heard_first() {
    let mut case = Case::new();
    case.plain(0, 1, Accepted);
    case.canary(1, PLAIN, AccessAnswer::Granted);
    for _ in 0..2 {
        case.restart();
        assert!(case.meet(&with_canary("org/image")).is_empty());
    }
    case.refuse_plain(1, &[700, 760, 820]);
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn an_incident_that_only_the_canary_carried_goes_with_it() {
    let mut case = beside_a_canary(1);
    case.canary(600, PLAIN, denied(DenialStage::Token));
    case.canary(660, PLAIN, denied(DenialStage::Token));
    case.plain(700, 1, Accepted);
    assert!(case.incident(PLAIN), "logins that are accepted do not end it");
    assert_eq!(case.meet(&asked(|_| ())), [PLAIN]);
    assert!(!case.incident(PLAIN));
    // Whoever was refused meanwhile is judged alone, from the start.
    case.access(701, Some(1), PLAIN, denied(DenialStage::Manifest));
    case.refuse_plain(1, &[1_000, 1_060]);
    assert_eq!(case.status(1), Status::Unverified, "a repository was denied that was never granted");
    case.refuse_plain(1, &[1_120]);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn an_incident_that_logins_carry_stays_without_the_canary() {
    let mut case = beside_a_canary(3);
    case.canary(600, PLAIN, denied(DenialStage::Token));
    for login in 1..=3 {
        case.plain(600 + login, login, Refused);
    }
    assert!(case.incident(PLAIN));
    // However long it goes on.
    case.now = 20_000;
    case.meet(&asked(|_| ()));
    assert!(case.incident(PLAIN));
    case.refuse_plain(1, &[20_000, 20_060, 20_120]);
    assert_eq!(case.status(1), Status::Valid);
}

#[test]
fn who_needed_a_control_is_judged_alone_without_one() {
    let mut case = beside_a_canary(1);
    case.canary(600, PLAIN, denied(DenialStage::Token));
    case.plain(601, 1, Refused);
    assert!(case.incident(PLAIN));
    case.canary(660, PLAIN, AccessAnswer::Granted);
    case.meet(&asked(|_| ()));
    case.refuse_plain(1, &[700, 760, 820]);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn what_another_host_answered_proves_nothing_of_this_one() {
    let elsewhere = asked(|registry| registry.endpoint = Some("https://mirror.example.com".to_owned()));
    for restarts in [false, true] {
        let mut case = Case::new();
        case.plain(0, 1, Accepted);
        case.refuse_plain(2, &[0, 60]);
        case.plain(61, 1, Accepted);
        case.refuse_plain(2, &[120]);
        assert!(case.meet(&elsewhere).is_empty());
        assert_eq!((case.status(1), case.status(2)), (Status::Valid, Status::Rejected));
        if restarts {
            case.restart();
        }
        assert_eq!(case.meet(&asked(|_| ())), [PLAIN]);
        assert_eq!((case.status(1), case.status(2)), (Status::Unverified, Status::Unverified));
        assert_eq!(case.ledger.registry(PLAIN).up, None);
        // No login that the other host took counts as one that worked.
        for login in 1..=3 {
            case.refuse_plain(login, &[600, 660, 720]);
        }
        assert!(!case.incident(PLAIN));
        assert_eq!(case.status(1), Status::Rejected);
    }
}

#[test]
fn who_may_be_asked_on_the_way_changes_no_acceptance() {
    let mut case = Case::new();
    case.meet(&asked(|_| ()));
    case.plain(0, 1, Accepted);
    case.refuse_plain(2, &[0, 60]);
    case.plain(61, 1, Accepted);
    case.refuse_plain(2, &[120]);
    case.meet(&asked(|_| ()));
    let realms = asked(|registry| registry.realms = vec!["auth.example.com".to_owned()]);
    assert_eq!(case.meet(&realms), [PLAIN]);
    assert_eq!((case.status(1), case.status(2)), (Status::Valid, Status::Unverified));
    assert!(case.view(2).evidence.is_empty());
    let faster = asked(|registry| {
        registry.realms = vec!["auth.example.com".to_owned()];
        registry.requests_per_second = 50.0;
    });
    assert!(case.meet(&faster).is_empty());
}

#[test]
fn who_issues_its_tokens_changes_no_acceptance_either() {
    let mut case = Case::new();
    case.plain(0, 1, Accepted);
    case.plain(60, 2, Refused);
    assert!(case.meet(&asked(|_| ())).is_empty());
    let issuer = asked(|registry| registry.issuer = IssuerChoice::Jwt);
    assert_eq!(case.meet(&issuer), [PLAIN]);
    assert_eq!((case.status(1), case.status(2)), (Status::Valid, Status::Unverified));
    assert!(case.view(2).evidence.is_empty());
    case.plain(120, 1, Accepted);
    let nobody_was_refused = asked(|_| ());
    assert!(case.meet(&nobody_was_refused).is_empty(), "there is nothing to forget");
}

#[test]
fn an_incident_ends_with_the_refusals_that_are_forgotten() {
    let mut case = Case::new();
    for login in 1..=3 {
        case.plain(login, login, Accepted);
    }
    assert!(case.meet(&asked(|_| ())).is_empty());
    for login in 1..=3 {
        case.plain(600, login, Refused);
    }
    assert!(case.incident(PLAIN));
    let realms = asked(|registry| registry.realms = vec!["auth.example.com".to_owned()]);
    assert_eq!(case.meet(&realms), [PLAIN]);
    assert!(!case.incident(PLAIN));

    // One that the canary carries stays.
    let mut case = beside_a_canary(1);
    case.canary(600, PLAIN, denied(DenialStage::Token));
    case.plain(601, 1, Refused);
    assert!(case.ledger.in_incident(PLAIN));
    case.meet(&asked(|registry| {
        registry.canary = Some("org/image".to_owned());
        registry.realms = vec!["auth.example.com".to_owned()];
    }));
    assert!(case.view(1).evidence.is_empty());
    assert!(case.ledger.in_incident(PLAIN));
}

#[test]
fn another_host_has_no_incident_and_other_registries_keep_theirs() {
    let elsewhere = |n: u8| asked(|registry| registry.endpoint = Some(format!("https://mirror-{n}.example.com")));
    let mut case = Case::new();
    case.ghcr(0, 9, Accepted);
    for login in 1..=3 {
        case.plain(login, login, Accepted);
    }
    case.meet(&asked(|_| ()));
    for login in 1..=3 {
        case.plain(600, login, Refused);
    }
    assert!(case.incident(PLAIN));
    assert_eq!(case.meet(&elsewhere(1)), [PLAIN]);
    assert!(!case.incident(PLAIN));
    assert_eq!(case.status(9), Status::Valid, "at another registry");
    // And once more.
    case.plain(700, 1, Accepted);
    assert_eq!(case.meet(&elsewhere(2)), [PLAIN]);
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn how_a_registry_was_asked_first_is_not_written_over() {
    let mut case = Case::new();
    case.plain(0, 1, Accepted);
    let (before, now) =
        (asked(|_| ()), asked(|registry| registry.endpoint = Some("https://mirror.example.com".into())));
    for registries in [&before, &now] {
        case.ledger.was_asked(&registries.find(PLAIN).unwrap());
    }
    assert_eq!(case.meet(&now), [PLAIN]);
    assert_eq!(case.status(1), Status::Unverified);
}

#[test]
fn a_canary_of_a_state_that_does_not_tell_goes_where_there_is_none() {
    let mut case = Case::new();
    case.plain(0, 1, Accepted);
    case.canary(1, PLAIN, AccessAnswer::Granted);
    assert_eq!(case.meet(&asked(|_| ())), [PLAIN]);
    assert_eq!(case.plain(600, 1, Refused).at_once, []);
}

#[test]
fn an_incident_of_the_canary_and_refusals_in_it_go_with_it() {
    let mut case = beside_a_canary(1);
    for at in [600, 660] {
        case.canary(at, PLAIN, denied(DenialStage::Token));
    }
    assert!(case.ledger.in_incident(PLAIN) && case.ledger.denies_everyone(PLAIN));
    assert_eq!(case.meet(&asked(|_| ())), [PLAIN]);
    assert!(!case.incident(PLAIN));
    case.refuse_plain(1, &[700, 760]);
    assert_ne!(case.status(1), Status::Rejected);
    case.plain(820, 1, Refused);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn an_incident_of_denials_that_logins_carry_stays_without_the_canary() {
    let mut case = pulling_beside_a_canary(3);
    for login in 1..=3 {
        case.access(600, Some(login), PLAIN, denied(DenialStage::Manifest));
    }
    case.canary(601, PLAIN, denied(DenialStage::Token));
    assert!(case.ledger.denies_everyone(PLAIN));
    case.meet(&asked(|_| ()));
    assert!(case.ledger.denies_everyone(PLAIN));
}

#[test]
fn without_an_incident_what_was_counted_stays_when_the_canary_goes() {
    for canary in [AccessAnswer::Granted, denied(DenialStage::Token)] {
        let mut case = Case::new();
        case.plain(0, 1, Accepted);
        case.access(0, None, PLAIN, AccessAnswer::Granted);
        case.canary(1, PLAIN, AccessAnswer::Granted);
        case.meet(&with_canary("org/image"));
        case.canary(2, PLAIN, canary);
        for at in [700, 760] {
            case.access(at, None, PLAIN, denied(DenialStage::Token));
        }
        case.refuse_plain(1, &[1_000, 1_060]);
        assert!(!case.incident(PLAIN));
        case.meet(&asked(|_| ()));
        case.access(1_120, None, PLAIN, denied(DenialStage::Token));
        case.plain(1_120, 1, Refused);
        assert_eq!(case.status(1), Status::Rejected, "the third in a row");
        assert_eq!(case.ledger.access(None, PLAIN, REPOSITORY).granted, Some(false));
    }
}

#[test]
fn who_needs_a_control_and_has_others_waits_for_them_without_the_canary() {
    let mut case = pulling_beside_a_canary(4);
    for login in 1..=3 {
        case.plain(600, login, Refused);
    }
    for login in 2..=4 {
        case.access(600, Some(login), PLAIN, denied(DenialStage::Token));
    }
    assert!(case.ledger.in_incident(PLAIN) && case.ledger.denies_everyone(PLAIN));
    case.canary(610, PLAIN, AccessAnswer::Granted);
    assert!(!case.incident(PLAIN));
    case.meet(&asked(|_| ()));
    assert!(case.ledger.logins[&LoginId(1)].standing.suspect);
    assert!(case.ledger.logins[&LoginId(4)].accesses[REPOSITORY].suspect);
    case.ledger.retain(|login| login <= LoginId(2), |_| true);
    case.canary(615, PLAIN, AccessAnswer::Granted);
    case.meet(&asked(|_| ()));
    assert!(case.ledger.logins[&LoginId(2)].standing.suspect, "one other is left");
    assert!(case.ledger.logins[&LoginId(2)].accesses[REPOSITORY].suspect);
    case.ledger.retain(|login| login == LoginId(2), |_| true);
    case.canary(620, PLAIN, AccessAnswer::Granted);
    case.meet(&asked(|_| ()));
    assert!(!case.ledger.logins[&LoginId(2)].standing.suspect, "nobody is left");
    assert!(!case.ledger.logins[&LoginId(2)].accesses[REPOSITORY].suspect);
}

#[test]
fn a_canary_that_was_not_denied_carried_no_incident() {
    let mut case = pulling_beside_a_canary(6);
    for login in 1..=3 {
        case.plain(600, login, Refused);
        case.access(600, Some(login + 3), PLAIN, denied(DenialStage::Token));
    }
    assert!(case.ledger.in_incident(PLAIN) && case.ledger.denies_everyone(PLAIN));
    // With one more that works, half of them are not refused any more, which by itself ends nothing.
    case.access(610, Some(7), PLAIN, AccessAnswer::Granted);
    case.meet(&asked(|_| ()));
    assert!(case.ledger.in_incident(PLAIN) && case.ledger.denies_everyone(PLAIN));
}

#[test]
fn who_never_worked_is_nobody_who_could_be_the_control() {
    let mut case = beside_a_canary(1);
    case.plain(500, 2, Refused);
    case.canary(600, PLAIN, denied(DenialStage::Token));
    case.plain(601, 1, Refused);
    assert!(case.incident(PLAIN));
    case.canary(660, PLAIN, AccessAnswer::Granted);
    case.meet(&asked(|_| ()));
    case.refuse_plain(1, &[700, 760, 820]);
    assert_eq!(case.status(1), Status::Rejected);
}

#[test]
fn the_hosts_of_which_something_was_forgotten_are_told_in_their_order() {
    let hosts = ["a", "b", "c", "d", "e", "f"].map(|name| format!("{name}.example.com"));
    let all = |endpoint: Option<&str>| {
        let registries = hosts.clone().map(|host| RegistryConfig {
            endpoint: endpoint.map(str::to_owned),
            ..RegistryConfig::plain(&host, IssuerChoice::None)
        });
        Registries::new(&registries).unwrap()
    };
    let mut case = Case::new();
    for (id, host) in (1..).zip(&hosts) {
        case.ledger.record_login(LoginId(id), host, None, &evidence(0, Accepted, Some(200)), moment(0));
    }
    assert!(case.meet(&all(None)).is_empty());
    assert_eq!(case.meet(&all(Some("https://mirror.example.com"))), hosts);
}

#[test]
fn tokens_of_other_registries_keep_their_logins() {
    let mut case = Case::new();
    case.plain(0, 1, Accepted);
    case.meet(&asked(|_| ()));
    case.issuer(0, 8, alive());
    case.ghcr(0, 9, Accepted);
    case.issuer(0, 9, alive());
    for at in [600, 660] {
        case.ghcr(at, 9, Refused);
        case.issuer(at + 1, 9, IssuerAnswer::Disowned);
    }
    case.ghcr(720, 9, Refused);
    case.issuer(720, 8, alive());
    let elsewhere = asked(|registry| registry.endpoint = Some("https://mirror.example.com".to_owned()));
    assert_eq!(case.meet(&elsewhere), [PLAIN]);
    case.issuer(721, 9, IssuerAnswer::Disowned);
    assert_eq!(case.status(9), Status::Rejected);
}

#[test]
fn denials_are_counted_on_where_refusals_are_forgotten() {
    let mut case = Case::new();
    case.plain(0, 1, Accepted);
    case.meet(&asked(|_| ()));
    case.plain(10, 2, Refused);
    for at in [600, 660] {
        case.access(at, None, PLAIN, denied(DenialStage::Token));
    }
    assert_eq!(case.meet(&asked(|registry| registry.realms = vec!["auth.example.com".to_owned()])), [PLAIN]);
    case.access(720, None, PLAIN, denied(DenialStage::Token));
    assert_eq!(case.ledger.access(None, PLAIN, REPOSITORY).granted, Some(false), "the third in a row");
}
