//! The pace of requests to one host: so many a second, a burst of one second's worth, first come first served.
//!
//! A process that begins has no burst: what it has of one comes with time, so that those of restarts do not add up.

use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::plan::Moment;

/// The slowest pace that can be asked for: one request in 1,000 seconds.
const SLOWEST: f64 = 0.001;
/// The fastest: past it the limiter is no limit any more.
const FASTEST: f64 = 1_000_000.0;

/// The monotonic hand of the one clock, as the limiter reads it.
#[derive(Clone, Debug)]
struct Monotonic(Clock);

impl governor::clock::Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.moment().0
    }
}

/// Lets requests through at a steady pace.
#[derive(Debug)]
pub struct Pacer {
    clock: Clock,
    limiter: RateLimiter<NotKeyed, InMemoryState, Monotonic, NoOpMiddleware<Duration>>,
    /// Held while waiting for a slot, so that those who wait are served in order and wake one at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Pacer {
    /// So many requests a second; a burst is one second's worth, at least one request, once the clock has run for as long.
    /// Rates that make no sense are brought into `0.001..=1000000`.
    pub fn new(requests_per_second: f64, clock: Clock) -> Self {
        let rate = if requests_per_second.is_nan() { 1.0 } else { requests_per_second.clamp(SLOWEST, FASTEST) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0.001..=1000000 above")]
        let burst = NonZeroU32::new(rate.floor() as u32).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(Duration::from_secs_f64(rate.recip()))
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let limiter = RateLimiter::direct_with_clock(quota, Monotonic(clock.clone()));
        // Nobody knows what the process before this one asked just now: the first request goes at once, the others in step.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the burst, which is a u32")]
        let saved =
            (clock.moment().since(Moment::START).as_secs_f64() * rate).clamp(1.0, f64::from(burst.get())) as u32;
        if let Some(rest) = NonZeroU32::new(burst.get().saturating_sub(saved)) {
            // It is within the burst, and the limiter is new.
            let _ = limiter.check_n(rest);
        }
        Self { limiter, clock, turn: tokio::sync::Mutex::new(()) }
    }

    /// Wait for the next slot. Dropping the future gives the place up.
    pub async fn ready(&self) {
        let _turn = self.turn.lock().await;
        while let ControlFlow::Continue(wait) = self.try_slot() {
            self.clock.sleep(wait).await;
        }
    }

    fn try_slot(&self) -> ControlFlow<(), Duration> {
        match self.limiter.check() {
            Ok(()) => ControlFlow::Break(()),
            // The runtime's timers have a granularity of a millisecond; never spin below it.
            Err(until) => {
                ControlFlow::Continue(until.wait_time_from(self.clock.moment().0).max(Duration::from_millis(1)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_one_second_then_steady() {
        let clock = Clock::start();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let pacer = Pacer::new(5.0, clock);
        let start = Instant::now();
        let mut at = Vec::new();
        for _ in 0..15 {
            pacer.ready().await;
            at.push(start.elapsed().as_millis());
        }
        assert!(at[..5].iter().all(|ms| *ms == 0), "{at:?}");
        for (i, ms) in at[5..].iter().enumerate() {
            let due = 200 * (u128::try_from(i).unwrap() + 1);
            assert!((due..due + 5).contains(ms), "{i}: {at:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_begins_has_no_burst() {
        let pacer = Pacer::new(5.0, Clock::start());
        let start = Instant::now();
        for n in 0..12 {
            pacer.ready().await;
            let (due, at) = (200 * n, start.elapsed().as_millis());
            assert!((due..due + 5).contains(&at), "{n}: {at}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_met_early_has_what_came_since_the_start() {
        let clock = Clock::start();
        tokio::time::sleep(Duration::from_millis(610)).await;
        let pacer = Pacer::new(5.0, clock);
        let start = Instant::now();
        let mut at = Vec::new();
        for _ in 0..5 {
            pacer.ready().await;
            at.push(start.elapsed().as_millis());
        }
        assert!(at[..3].iter().all(|ms| *ms == 0) && at[3] >= 200 && at[4] >= 400, "{at:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn never_above_the_rate_however_many_wait() {
        let pacer = std::sync::Arc::new(Pacer::new(2.0, Clock::start()));
        let start = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let pacer = std::sync::Arc::clone(&pacer);
            tasks.spawn(async move {
                pacer.ready().await;
                start.elapsed()
            });
        }
        let mut at = tasks.join_all().await;
        at.sort_unstable();
        for window in at.windows(5) {
            // Five requests at two a second with a burst of two cannot fit into less than 1.5 s.
            assert!(window[4] >= window[0] + Duration::from_millis(1490), "{window:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        /// Whoever comes when: no window holds more than the burst and what its length allows.
        #[test]
        fn no_window_is_above_the_rate(
            rate in prop_oneof![Just(0.5_f64), Just(1.0), Just(5.0), 1.0_f64..50.0],
            pauses in proptest::collection::vec(0_u64..1_500, 1..120),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let mut at = runtime.block_on(async {
                let pacer = std::sync::Arc::new(Pacer::new(rate, Clock::start()));
                let start = Instant::now();
                let mut tasks = tokio::task::JoinSet::new();
                for pause in pauses {
                    // Many come at once, some after a while.
                    tokio::time::sleep(Duration::from_millis(pause.saturating_sub(1_000))).await;
                    let pacer = std::sync::Arc::clone(&pacer);
                    tasks.spawn(async move {
                        pacer.ready().await;
                        start.elapsed()
                    });
                }
                tasks.join_all().await
            });
            at.sort_unstable();
            for (first, from) in at.iter().enumerate() {
                for (last, to) in at.iter().enumerate().skip(first) {
                    let count = f64::from(u32::try_from(last - first + 1).unwrap());
                    // Timers tick in milliseconds.
                    let window = to.saturating_sub(*from);
                    let allowed = rate.floor().max(1.0) + (window.as_secs_f64() + 0.002) * rate;
                    prop_assert!(count <= allowed + 1e-6, "{count} within {window:?} at {rate}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn senseless_rates_still_pass_requests() {
        for rate in [f64::NAN, 0.0, -1.0, f64::INFINITY, 1e300, f64::MIN_POSITIVE] {
            let pacer = Pacer::new(rate, Clock::start());
            pacer.ready().await;
            pacer.ready().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_waiter_does_not_block_the_next() {
        let pacer = Pacer::new(1.0, Clock::start());
        pacer.ready().await;
        assert!(tokio::time::timeout(Duration::from_millis(10), pacer.ready()).await.is_err());
        pacer.ready().await;
    }
}
