//! Seeded days with every fault, scored against the truth: a small sample of what the example `matrix` runs at length, and
//! each seed that ever showed something false.

use chrono::TimeDelta;
use rstest::rstest;

use crate::days::matrix::{one, table};

#[rstest]
#[case::sample(1, 4)]
#[case::sample(2, 6)]
#[case::sample(3, 4)]
// A registry without an issuer that refuses everyone, with two logins left and no canary, cannot be told from two dead
// logins; with a canary it can.
#[case::everyone_refused_where_two_logins_are_left(4, 6)]
// A registry whose clock is an hour off and that names a date to come back at.
#[case::a_date_of_a_clock_that_is_off(10, 6)]
// A good token that is refused for minutes while its issuer says that it lives.
#[case::refused_for_minutes_and_alive(13, 6)]
#[case::refused_for_minutes_and_alive(23, 6)]
// An owner who is locked out while the API of the issuer answers nonsense.
#[case::a_lock_out_that_nobody_tells_of(2, 24)]
// Registry and issuer refuse everyone, the canary too, for longer than the patience, and only two tokens live.
#[case::an_incident_that_the_issuer_joins(173, 24)]
// A token revoked after its issuer disowned everyone for an hour, which nobody noticed to be over.
#[case::after_the_issuer_disowned_everyone(151, 24)]
fn no_day_shows_anything_false(#[case] seed: u64, #[case] hours: i64) {
    let score = one(seed, TimeDelta::hours(hours));
    let (wrong, late, table) = (&score.wrong, &score.late, table(&score));
    assert!(wrong.is_empty() && late.is_empty(), "{wrong:#?}\n{late:#?}\n{table}");
    assert!(score.minutes.values().sum::<f64>() > 60.0, "{table}");
    assert!(hours < 24 || score.deaths > 0, "in a whole day a token dies that can be seen: {table}");
}
