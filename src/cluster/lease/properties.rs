//! However requests are late, lost or answered to nobody, and however clocks go: never do two candidates hold the Lease at one
//! moment, and somebody comes to hold it when all is well again.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tokio::time::Instant;

use super::elector::{Elector, Record, Standing, Step};

const DURATION: Duration = Duration::from_secs(15);
/// The world's clock goes in steps of this.
const TICK: u64 = 100;

/// One candidate with its own clocks.
struct Candidate {
    elector: Elector,
    /// Thousandths of the world's speed at which its monotonic clock goes.
    rate: u64,
    /// Where its monotonic clock began.
    origin: Instant,
    wall: i64,
    /// What is on its way: read by the server at the first moment, heard at the second.
    request: Option<(u64, Option<u64>, Request)>,
    answer: Option<(u64, Answer)>,
    next: u64,
}

enum Request {
    Get,
    Write { sent: Instant, create: bool, record: Record },
}

enum Answer {
    Read(Option<Record>),
    Taken { sent: Instant, record: Record },
    Refused,
}

impl Candidate {
    fn now(&self, world: u64) -> Instant {
        self.origin + Duration::from_millis(world * self.rate / 1000)
    }

    fn wall(&self, world: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH
            + SignedDuration::from_secs(1_000_000_000 + self.wall)
            + SignedDuration::from_millis(i64::try_from(world).unwrap_or(0))
    }
}

/// What becomes of a request: when it arrives, and when the answer does, if at all.
#[derive(Clone, Copy, Debug)]
struct Fate {
    there: u64,
    back: Option<u64>,
}

fn fate() -> impl Strategy<Value = Fate> {
    let delay = prop_oneof![6 => 0_u64..300, 2 => 300_u64..3_000, 1 => 3_000_u64..20_000];
    (delay.clone(), proptest::option::weighted(0.85, delay)).prop_map(|(there, back)| Fate { there, back })
}

/// The server: one Lease with a version.
#[derive(Default)]
struct Server {
    lease: Option<Record>,
    version: u64,
}

impl Server {
    fn write(&mut self, create: bool, record: &Record) -> Option<Record> {
        let fits = match &self.lease {
            None => create,
            Some(lease) => !create && lease.version == record.version,
        };
        if !fits {
            return None;
        }
        self.version += 1;
        let stored = Record { version: Some(self.version.to_string()), ..record.clone() };
        self.lease = Some(stored.clone());
        Some(stored)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn never_two_at_once(
        rates in proptest::collection::vec(900_u64..1_100, 3),
        walls in proptest::collection::vec(-1_000_000_i64..1_000_000, 3),
        fates in proptest::collection::vec(fate(), 60..200),
        deleted in proptest::option::of(50_u64..1_000),
    ) {
        let origin = Instant::now();
        let mut candidates: Vec<Candidate> = (0..3)
            .map(|n| Candidate {
                elector: Elector::new(format!("candidate-{n}"), DURATION),
                rate: rates[n],
                origin: origin + Duration::from_secs(1000 * n as u64),
                wall: walls[n],
                request: None,
                answer: None,
                next: n as u64 * 700,
            })
            .collect();
        let mut server = Server::default();
        let mut fates = fates.into_iter();
        let mut calm_since = None;
        let mut held_when_calm = false;
        for tick in 0..4_000_u64 {
            let world = tick * TICK;
            // Whoever deletes the Lease under a holder takes a risk that no candidate can know of, so it is done while nobody
            // holds it, or is about to hear that he does.
            let nobody = candidates.iter().all(|one| !matches!(one.elector.standing(one.now(world)), Standing::Us(..)));
            if deleted == Some(tick) && nobody && candidates.iter().all(|one| one.request.is_none() && one.answer.is_none()) {
                server.lease = None;
            }
            for one in &mut candidates {
                let now = one.now(world);
                if let Some((at, back, request)) = one.request.take() {
                    if at > world {
                        one.request = Some((at, back, request));
                    } else {
                        let answer = match request {
                            Request::Get => Answer::Read(server.lease.clone()),
                            Request::Write { sent, create, record } => match server.write(create, &record) {
                                Some(record) => Answer::Taken { sent, record },
                                None => Answer::Refused,
                            },
                        };
                        one.answer = back.map(|back| (world + back, answer));
                    }
                }
                if let Some((at, answer)) = one.answer.take() {
                    if at > world {
                        one.answer = Some((at, answer));
                    } else {
                        match answer {
                            Answer::Read(found) => {
                                one.elector.saw(found, now);
                                let sent = now;
                                let wall = one.wall(world);
                                let write = match one.elector.step(sent, wall) {
                                    Step::Create(record) => Some((true, record)),
                                    Step::Update(record) => Some((false, record)),
                                    Step::Wait(_) => None,
                                };
                                if let Some((create, record)) = write {
                                    let fate = fates.next().unwrap_or(Fate { there: 0, back: Some(0) });
                                    one.request =
                                        Some((world + fate.there, fate.back, Request::Write { sent, create, record }));
                                }
                            }
                            Answer::Taken { sent, record } => one.elector.wrote(record, sent),
                            Answer::Refused => {}
                        }
                    }
                }
                if world >= one.next && one.request.is_none() && one.answer.is_none() {
                    one.next = world + 1_500;
                    let fate = fates.next();
                    if fate.is_none() && calm_since.is_none() {
                        calm_since = Some(world);
                    }
                    let fate = fate.unwrap_or(Fate { there: 0, back: Some(0) });
                    let request = match one.elector.standing(now) {
                        Standing::Us(..) => match one.elector.step(now, one.wall(world)) {
                            Step::Update(record) => Request::Write { sent: now, create: false, record },
                            step => panic!("a holder renews: {step:?}"),
                        },
                        _ => Request::Get,
                    };
                    one.request = Some((world + fate.there, fate.back, request));
                }
            }
            let holders =
                candidates.iter().filter(|one| matches!(one.elector.standing(one.now(world)), Standing::Us(..))).count();
            prop_assert!(holders <= 1, "{holders} hold it at {world} ms");
            held_when_calm |= holders == 1 && calm_since.is_some_and(|since| world > since + 40_000);
        }
        if calm_since.is_some_and(|since| since < 300_000) {
            prop_assert!(held_when_calm, "nobody came to hold it");
        }
    }
}
