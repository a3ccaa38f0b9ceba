//! Trouble for long runs: faults of every kind, over and over, none of which says the truth about a login.

use std::time::Duration;

use chrono::TimeDelta;

use crate::faults::{Fault, FaultRule, RetryAfter};
use crate::world::World;

/// Makes every host of a world answer wrongly from `after` on: with each kind of fault at some of its requests, by count, so
/// that no kind hits twice in a row. About one request in six is hit.
///
/// Two kinds are lies about logins (a denial, a disownment); they are rarer than a daemon that asks for three answers can be
/// misled by.
pub fn trouble(world: &World, after: TimeDelta) {
    let from = world.now() + after;
    let until = from + TimeDelta::days(365);
    let throttled = |retry_after| Fault::RateLimited { retry_after, ghcr_duration: None };
    let kinds = [
        (31, Fault::status(500)),
        (37, Fault::status(502)),
        (41, Fault::status(503)),
        (131, throttled(RetryAfter::Seconds(2))),
        (137, throttled(RetryAfter::Date(TimeDelta::seconds(2)))),
        (199, Fault::RateLimited { retry_after: RetryAfter::Absent, ghcr_duration: Some("880.092µs".to_owned()) }),
        (83, Fault::TimeoutAtHeaders),
        (89, Fault::TimeoutAtBody),
        (43, Fault::Reset),
        (47, Fault::ResetInHeaders),
        (53, Fault::Truncate),
        (97, Fault::Oversize),
        (101, Fault::EndlessBody),
        (59, Fault::EmptyBody),
        (61, Fault::Html),
        (67, Fault::WrongJson),
        (71, Fault::BrokenJson),
        (103, Fault::HeaderFlood),
        (107, Fault::HugeHeader),
        (73, Fault::Redirect("http://169.254.169.254/latest/meta-data/".to_owned())),
        (29, Fault::Delay(Duration::from_millis(700))),
        (211, Fault::ghcr_denied()),
        (223, Fault::bad_credentials()),
    ];
    for (nth, fault) in kinds {
        world.fault(FaultRule::everywhere(fault).every(nth).between(from, until));
    }
}
