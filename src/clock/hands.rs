//! Hands that somebody moves: monotonic and wall time independent of each other, with alarms for those who sleep.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::plan::Moment;

/// Moves the hands of a clock. Clones move the same hands.
#[derive(Clone, Debug)]
pub struct Hands {
    shared: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    moment: Moment,
    wall: DateTime<Utc>,
    /// Who sleeps, by moment and number.
    alarms: BTreeMap<(Moment, u64), Waker>,
    next: u64,
    busy: usize,
    /// Who waits until nothing is under way.
    idle: Option<Waker>,
}

impl Hands {
    pub(super) fn new(wall: DateTime<Utc>) -> Self {
        let state = State { moment: Moment::START, wall, alarms: BTreeMap::new(), next: 0, busy: 0, idle: None };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment that the monotonic hand shows.
    pub fn moment(&self) -> Moment {
        self.lock().moment
    }

    /// What the wall hand shows.
    pub fn wall(&self) -> DateTime<Utc> {
        self.lock().wall
    }

    /// Time passes: both hands move, and whoever slept until then wakes.
    pub fn advance(&self, by: Duration) {
        let woken = {
            let mut state = self.lock();
            let now = state.moment.after(by);
            state.moment = now;
            state.wall += TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
            let later = state.alarms.split_off(&(now.after(Duration::from_nanos(1)), 0));
            std::mem::replace(&mut state.alarms, later)
        };
        woken.into_values().for_each(Waker::wake);
    }

    /// The wall clock is set: forth or back, while no time passes.
    pub fn jump_wall(&self, by: TimeDelta) {
        self.lock().wall += by;
    }

    /// The first moment that somebody sleeps until.
    pub fn next_alarm(&self) -> Option<Moment> {
        self.lock().alarms.keys().next().map(|(moment, _)| *moment)
    }

    /// Ready when nothing is under way that takes time in the outside world. One task can wait for it.
    pub fn poll_idle(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.busy == 0 {
            return Poll::Ready(());
        }
        state.idle = Some(context.waker().clone());
        Poll::Pending
    }

    pub(super) fn busy(&self) -> Busy {
        self.lock().busy += 1;
        Busy(Some(self.clone()))
    }

    /// Wait until the monotonic hand has reached a moment. Whoever stops waiting is forgotten.
    pub(super) async fn alarm(&self, until: Moment) {
        struct Place<'h>(&'h Hands, Option<(Moment, u64)>);
        impl Drop for Place<'_> {
            fn drop(&mut self) {
                if let Some(key) = self.1 {
                    self.0.lock().alarms.remove(&key);
                }
            }
        }
        let mut place = Place(self, None);
        poll_fn(|context| {
            let mut state = self.lock();
            if state.moment >= until {
                return Poll::Ready(());
            }
            let key = *place.1.get_or_insert_with(|| {
                state.next += 1;
                (until, state.next)
            });
            state.alarms.insert(key, context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Under way until dropped.
#[derive(Debug, Default)]
#[must_use = "what is dropped at once keeps nobody waiting"]
pub struct Busy(Option<Hands>);

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(hands) = &self.0 {
            let idle = {
                let mut state = hands.lock();
                state.busy -= 1;
                if state.busy == 0 { state.idle.take() } else { None }
            };
            if let Some(idle) = idle {
                idle.wake();
            }
        }
    }
}
