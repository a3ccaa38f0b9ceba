use futures::FutureExt as _;

use super::*;

const NOON: &str = "2026-06-01T12:00:00Z";

fn at(seconds: u64) -> Moment {
    Moment::START.after(Duration::from_secs(seconds))
}

#[tokio::test(start_paused = true)]
async fn the_real_clock_sleeps_on_monotonic_time() {
    let clock = Clock::start();
    clock.sleep(Duration::from_secs(3)).await;
    assert_eq!(clock.moment(), at(3));
    clock.sleep_until(at(2)).await;
    assert_eq!(clock.moment(), at(3), "what has passed is not waited for");
    drop(clock.busy());
}

#[test]
fn hands_move_together_and_the_wall_jumps_alone() {
    let noon: DateTime<Utc> = NOON.parse().unwrap();
    let (clock, hands) = Clock::moved_by_hand(noon);
    hands.advance(Duration::from_secs(5));
    assert_eq!((clock.moment(), clock.wall()), (at(5), noon + chrono::TimeDelta::seconds(5)));
    hands.jump_wall(chrono::TimeDelta::hours(-1));
    assert_eq!((clock.moment(), clock.wall()), (at(5), noon - chrono::TimeDelta::seconds(3595)));
}

#[test]
fn sleepers_wake_at_their_moment_and_are_forgotten_when_dropped() {
    let (clock, hands) = Clock::moved_by_hand(NOON.parse().unwrap());
    let mut early = Box::pin(clock.sleep(Duration::from_secs(1)));
    let mut late = Box::pin(clock.sleep_until(at(2)));
    assert_eq!((early.as_mut().now_or_never(), late.as_mut().now_or_never()), (None, None));
    assert_eq!(hands.next_alarm(), Some(at(1)));
    // The wall clock wakes nobody.
    hands.jump_wall(chrono::TimeDelta::days(400));
    assert_eq!(early.as_mut().now_or_never(), None);
    hands.advance(Duration::from_secs(1));
    assert_eq!((early.as_mut().now_or_never(), late.as_mut().now_or_never()), (Some(()), None));
    assert_eq!(hands.next_alarm(), Some(at(2)));
    drop(late);
    assert_eq!(hands.next_alarm(), None);
}

#[test]
fn busy_until_the_last_is_dropped() {
    let (clock, hands) = Clock::moved_by_hand(NOON.parse().unwrap());
    let idle = || std::future::poll_fn(|context| hands.poll_idle(context)).now_or_never();
    assert_eq!(idle(), Some(()));
    let (one, other) = (clock.busy(), clock.busy());
    drop(one);
    assert_eq!(idle(), None);
    drop(other);
    assert_eq!(idle(), Some(()));
}

#[tokio::test]
async fn whoever_waits_for_the_last_is_woken() {
    let (clock, hands) = Clock::moved_by_hand(NOON.parse().unwrap());
    let busy = clock.busy();
    let waits = tokio::spawn(async move { std::future::poll_fn(|context| hands.poll_idle(context)).await });
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    drop(busy);
    waits.await.expect("it was woken");
}
