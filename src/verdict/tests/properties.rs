//! Whatever the order of the evidence: no verdict without the evidence it needs.

use proptest::prelude::*;

use super::*;

/// What happens, with the seconds since the event before.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Login(u64, LoginAnswer),
    Access(u64, AccessAnswer),
    Issuer(u64, IssuerAnswer),
    Canary(AccessAnswer),
}

impl Event {
    /// A lock-out proves nothing of the token, but it explains refusals away.
    fn proves_nothing(&self) -> bool {
        !matches!(self, Self::Issuer(_, IssuerAnswer::Unproven(Unproven::LockedOut)))
            && matches!(
                self,
                Self::Login(_, LoginAnswer::Unproven(_))
                    | Self::Access(_, AccessAnswer::Unproven(_))
                    | Self::Issuer(_, IssuerAnswer::Unproven(_))
                    | Self::Canary(AccessAnswer::Unproven(_))
            )
    }

    fn accepts(&self, login: u64) -> bool {
        let past_the_token = |answer: &AccessAnswer| match answer {
            AccessAnswer::Granted | AccessAnswer::NotFound => true,
            AccessAnswer::Denied(denial) => denial.stage == DenialStage::Manifest,
            _ => false,
        };
        match self {
            Self::Login(id, answer) => *id == login && *answer == LoginAnswer::Accepted,
            Self::Access(id, answer) => *id == login && past_the_token(answer),
            _ => false,
        }
    }

    fn refuses(&self, login: u64) -> bool {
        match self {
            Self::Login(id, answer) => *id == login && *answer == LoginAnswer::Refused,
            Self::Access(id, answer) => *id == login && *answer == AccessAnswer::LoginRefused,
            _ => false,
        }
    }
}

const LOGINS: u64 = 4;

fn event() -> impl Strategy<Value = Event> {
    let why = prop_oneof![
        Just(TIMEOUT),
        Just(Unproven::Throttled),
        Just(Unproven::Odd("http_5xx")),
        Just(Unproven::LockedOut)
    ];
    let login = prop_oneof![
        3 => Just(LoginAnswer::Accepted),
        6 => Just(LoginAnswer::Refused),
        1 => Just(LoginAnswer::NotChecked),
        1 => why.clone().prop_map(LoginAnswer::Unproven),
    ];
    let access = prop_oneof![
        2 => Just(AccessAnswer::Granted),
        2 => Just(denied(DenialStage::Manifest)),
        2 => Just(denied(DenialStage::Token)),
        1 => Just(denied_for_scope()),
        1 => Just(AccessAnswer::NotFound),
        2 => Just(AccessAnswer::LoginRefused),
        1 => why.clone().prop_map(AccessAnswer::Unproven),
    ];
    let issuer = prop_oneof![
        2 => Just(alive()),
        2 => Just(IssuerAnswer::Alive(facts(Some(&["repo"]), Expiry::At(wall(3_000))))),
        6 => Just(IssuerAnswer::Disowned),
        1 => Just(IssuerAnswer::ForbiddenByPolicy),
        1 => why.prop_map(IssuerAnswer::Unproven),
    ];
    prop_oneof![
        5 => (1..=LOGINS, login).prop_map(|(id, answer)| Event::Login(id, answer)),
        2 => (1..=LOGINS, access.clone()).prop_map(|(id, answer)| Event::Access(id, answer)),
        3 => (1..=LOGINS, issuer).prop_map(|(id, answer)| Event::Issuer(id, answer)),
        1 => access.prop_map(Event::Canary),
    ]
}

pub(super) fn history() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let gap = prop_oneof![Just(0_u64), Just(1), 20..40_u64, Just(60), 61..700_u64];
    prop::collection::vec((gap, event()), 0..80).prop_map(|steps| {
        let mut now = 0;
        steps
            .into_iter()
            .map(|(gap, event)| {
                now += gap;
                (now, event)
            })
            .collect()
    })
}

/// Feeds one event; logins with an even number have an issuer.
pub(super) fn feed(case: &mut Case, at: u64, event: &Event) {
    match event.clone() {
        Event::Login(id, answer) => {
            let token = (id % 2 == 0).then(|| token(id));
            let evidence = evidence(at, answer, Some(200));
            case.ledger.record_login(LoginId(id), GHCR, token.as_ref(), &evidence, moment(at));
        }
        Event::Access(id, answer) => {
            case.access(at, Some(id), GHCR, answer);
        }
        Event::Issuer(id, answer) => {
            case.issuer(at, id, answer);
        }
        Event::Canary(answer) => {
            case.canary(at, GHCR, answer);
        }
    }
    case.now = at;
}

/// How many of these moments count when each must be the spacing after the one before.
fn spaced(times: impl Iterator<Item = u64>) -> usize {
    let mut last = None;
    times.filter(|at| last.is_none_or(|last| at - last >= 60) && last.replace(*at).is_none_or(|_| true)).count()
}

/// The moments of the events that fit, after the last one that ends the run.
fn since_last<'a>(
    history: &'a [(u64, Event)],
    fits: impl Fn(&Event) -> bool + 'a,
    ends: impl Fn(&Event) -> bool,
) -> impl Iterator<Item = u64> + 'a {
    let start = history.iter().rposition(|(_, event)| ends(event)).map_or(0, |at| at + 1);
    history[start..].iter().filter(move |(_, event)| fits(event)).map(|(at, _)| *at)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_verdict_without_the_evidence_it_needs(history in history()) {
        let mut case = Case::new();
        for (index, (at, event)) in history.iter().enumerate() {
            let before: Vec<_> = (1..=LOGINS).map(|id| case.view(id)).collect();
            feed(&mut case, *at, event);
            let so_far = &history[..=index];
            for id in 1..=LOGINS {
                let view = case.view(id);
                let was = &before[usize::try_from(id - 1).unwrap()];
                prop_assert!(view.last_probe_at >= was.last_probe_at);
                if view.accepted == Some(true) {
                    prop_assert!(so_far.iter().any(|(_, event)| event.accepts(id)));
                    prop_assert!(view.last_verdict_at.is_some());
                }
                if view.accepted == Some(false) {
                    let refusals = spaced(since_last(so_far, |event| event.refuses(id), |event| {
                        matches!(event, Event::Login(of, LoginAnswer::Accepted) if *of == id)
                    }));
                    // When it was proven, both lists were long enough; an alive token since then changes nothing.
                    let disowned = spaced(so_far.iter().filter_map(|(at, event)| {
                        matches!(event, Event::Issuer(of, IssuerAnswer::Disowned) if *of == id).then_some(*at)
                    }));
                    prop_assert!(refusals >= 3 || (refusals >= 2 && disowned >= 2), "{refusals} {disowned}");
                }
                if was.accepted == Some(false) && view.accepted != Some(false) {
                    prop_assert!(event.accepts(id) || matches!(event, Event::Login(_, LoginAnswer::NotChecked)));
                }
                if case.status(id) == Status::Forbidden {
                    let denials = so_far.iter().filter(|(_, event)| {
                        matches!(event, Event::Access(of, AccessAnswer::Denied(_)) if *of == id)
                    });
                    prop_assert!(spaced(denials.map(|(at, _)| *at)) >= 3);
                }
                if view.accepted == Some(true) && event.accepts(id) && !matches!(event, Event::Access(..)) {
                    prop_assert_eq!(view.last_verdict_at, Some(wall(*at)), "an acceptance is proof by itself");
                }
            }
        }
    }

    #[test]
    fn answers_that_prove_nothing_change_no_verdict(history in history()) {
        let (mut all, mut proving) = (Case::new(), Case::new());
        // Whoever asks about a login names its issuer, whatever comes of it: both know that from the start.
        for case in [&mut all, &mut proving] {
            (1..=LOGINS).for_each(|id| feed(case, 0, &Event::Login(id, LoginAnswer::Unproven(Unproven::Throttled))));
        }
        for (at, event) in &history {
            feed(&mut all, *at, event);
            if !event.proves_nothing() {
                feed(&mut proving, *at, event);
            }
        }
        proving.now = all.now;
        for id in 1..=LOGINS {
            prop_assert_eq!(all.status(id), proving.status(id));
            prop_assert_eq!(all.view(id).last_verdict_at, proving.view(id).last_verdict_at);
        }
        prop_assert_eq!(all.incident(GHCR), proving.incident(GHCR));
    }

    /// Logins without an issuer all worked. From one moment on the registry refuses everyone, and they are asked in any
    /// order, any number of times: not one of them is called rejected.
    #[test]
    fn a_registry_that_refuses_everyone_rejects_nobody(
        logins in 3..12_u64,
        asked in prop::collection::vec((0..12_u64, 0..300_u64), 1..120),
    ) {
        let mut case = Case::new();
        for id in 0..logins {
            case.plain(id, id, LoginAnswer::Accepted);
        }
        let mut now = 600;
        for (id, gap) in asked {
            now += gap;
            case.plain(now, id % logins, LoginAnswer::Refused);
            for id in 0..logins {
                prop_assert_ne!(case.view(id).accepted, Some(false));
            }
        }
    }
}
