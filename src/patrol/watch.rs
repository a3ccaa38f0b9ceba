//! The endless form of the loop, for the daemon.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::exchange::Finished;
use super::explain::next_question;
use super::memory::{Held, saved};
use super::reload::next_orders;
use super::standby::{Ended, end_of};
use super::{ExchangeLost, Patrol};
use crate::cluster::Inventory;
use crate::outlook::Snapshot;
use crate::plan::Moment;

/// Time between two snapshots while changes keep coming: the least, and the most where a snapshot is dear, so that a
/// change shows within a second.
const SNAPSHOT_GAP: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(900));
/// A snapshot may take this part of the time between two: 1 in 20.
const SNAPSHOT_SHARE: u32 = 20;
/// How long a burst of changes is gathered before it is worked on.
const SETTLE: Duration = Duration::from_millis(30);
/// A snapshot is never older than this: findings and statuses also change with the time of day.
const SNAPSHOT_AGE: Duration = Duration::from_secs(60);

impl Patrol {
    /// Patrol until `shutdown`. Snapshots go to `snapshots`; exchanges in flight are dropped at the end.
    ///
    /// # Errors
    /// [`ExchangeLost`] when an exchange panicked.
    pub async fn run(
        mut self,
        snapshots: watch::Sender<Arc<Snapshot>>,
        shutdown: CancellationToken,
    ) -> Result<(), ExchangeLost> {
        self.run_while(&snapshots, &shutdown).await.map(drop)
    }

    /// Patrol until `shutdown`, or until the tenure ends; exchanges in flight are dropped either way.
    ///
    /// # Errors
    /// [`ExchangeLost`] when an exchange panicked.
    pub async fn run_while(
        &mut self,
        snapshots: &watch::Sender<Arc<Snapshot>>,
        shutdown: &CancellationToken,
    ) -> Result<Ended, ExchangeLost> {
        let tenure = self.tenure.clone();
        let mut lost = std::pin::pin!(end_of(tenure.as_ref()));
        let mut changes = self.inventory.subscribe();
        let mut tasks = JoinSet::new();
        changes.mark_unchanged();
        self.sync();
        let (mut published, mut gap) = self.publish(snapshots);
        let (mut stale, mut complete) = (false, self.inventory.read(Inventory::is_complete));
        loop {
            let due = self.launch_due(&mut tasks);
            let publish_at = published.after(if stale { gap } else { SNAPSHOT_AGE });
            if self.memory.may_show() && self.clock.moment() >= publish_at {
                if self.waits.is_stale(self.clock.wall()) {
                    self.sync();
                }
                (published, gap) = self.publish(snapshots);
                stale = false;
                continue;
            }
            let free = self.save_reserved();
            self.launch_all(free, &mut tasks);
            let wake = [due, self.memory.wake_at(), self.memory.may_show().then_some(publish_at)];
            let wake = wake.into_iter().flatten().min();
            tokio::select! {
                () = shutdown.cancelled() => {
                    self.save_for_good().await;
                    return Ok(Ended::Shutdown);
                }
                () = &mut lost => return Ok(Ended::TenureEnded),
                alive = changes.changed() => {
                    if alive.is_err() {
                        // Every source is gone: that happens only while the process stops.
                        shutdown.cancelled().await;
                        return Ok(Ended::Shutdown);
                    }
                    self.clock.sleep(SETTLE).await;
                    changes.mark_unchanged();
                    self.sync();
                    stale = true;
                    // `/readyz` waits for the first picture of all that there is.
                    if !complete && self.inventory.read(Inventory::is_complete) {
                        (complete, gap) = (true, Duration::ZERO);
                    }
                }
                Some(finished) = tasks.join_next() => {
                    self.record(&finished.map_err(ExchangeLost)?);
                    stale = true;
                }
                outcome = saved(&mut self.memory) => {
                    let held = self.conclude_save(outcome);
                    self.release(held, &mut tasks, snapshots);
                }
                Some(question) = next_question(&mut self.questions) => self.answer(question),
                Some(orders) = next_orders(&mut self.orders) => {
                    self.obey(orders);
                    self.sync();
                    stale = true;
                }
                () = self.clock.sleep_until(wake.unwrap_or(publish_at)), if wake.is_some() => {
                    let held = self.lose_patience();
                    self.release(held, &mut tasks, snapshots);
                }
            }
        }
    }

    /// Let go what waited for a save: questions are asked, a picture is shown.
    fn release(&mut self, held: Held, tasks: &mut JoinSet<Finished>, snapshots: &watch::Sender<Arc<Snapshot>>) {
        self.launch_all(held.asks, tasks);
        if let Some(snapshot) = held.snapshot {
            snapshots.send_replace(snapshot);
        }
    }

    /// Show a new snapshot, or have it saved first. Returns when, and how long to wait before the next one.
    fn publish(&mut self, snapshots: &watch::Sender<Arc<Snapshot>>) -> (Moment, Duration) {
        let begun = self.clock.moment();
        let snapshot = Arc::new(self.snapshot());
        if let Some(snapshot) = self.hold_back(snapshot) {
            snapshots.send_replace(snapshot);
        }
        let done = self.clock.moment();
        let (least, most) = SNAPSHOT_GAP;
        (done, (done.since(begun) * SNAPSHOT_SHARE).clamp(least, most))
    }
}
