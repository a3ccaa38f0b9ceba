//! A replica that does not probe: it stands by with the objects decoded, takes over what another proved, and pauses without
//! forgetting when its right to probe ends while nobody else is known to have it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::explain::next_question;
use super::reload::next_orders;
use super::store::{Store, StoreError};
use super::{Memory, Patrol};
use crate::cluster::{Leadership, Tenure};
use crate::outlook::{self, Role, Snapshot};
use crate::plan::{Moment, Schedule};
use crate::verdict::store::Contents;
use crate::verdict::{Ledger, Rules};

/// A replica that stands by looks at changes this long after they came.
const SETTLE: Duration = Duration::from_secs(1);
/// A picture of a replica that does not probe is never older than this.
const AGE: Duration = Duration::from_secs(60);

/// Why a patrol stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Shutdown,
    /// The right to probe ended.
    TenureEnded,
}

/// Wait for the end of a tenure; for ever where there is no election.
pub(super) async fn end_of(tenure: Option<&Tenure>) {
    match tenure {
        Some(tenure) => tenure.ended().await,
        None => std::future::pending().await,
    }
}

impl Patrol {
    /// Whether anybody may be asked at this very moment.
    pub(super) fn may_ask(&self) -> bool {
        self.tenure.as_ref().is_none_or(Tenure::holds)
    }

    /// Keep the objects decoded and ask nobody, for as long as this is polled.
    pub async fn stand_by(
        &mut self,
        snapshots: &watch::Sender<Arc<Snapshot>>,
        mut leadership: watch::Receiver<Leadership>,
    ) {
        let mut changes = self.inventory.subscribe();
        loop {
            changes.mark_unchanged();
            self.look_for_later();
            let holder = match &*leadership.borrow_and_update() {
                Leadership::Other(holder) => Some(Arc::clone(holder)),
                Leadership::Nobody | Leadership::Us(_) => None,
            };
            let now = self.clock.wall();
            let snapshot = self.with_inputs(|inputs| outlook::standing_by(inputs, holder.clone(), now));
            snapshots.send_replace(Arc::new(snapshot));
            self.role = Role::Standby { holder };
            tokio::select! {
                Ok(()) = changes.changed() => self.clock.sleep(SETTLE).await,
                Ok(()) = leadership.changed() => {}
                // Whoever asked is told that nobody is there to answer.
                Some(_) = next_question(&mut self.questions) => {}
                Some(orders) = next_orders(&mut self.orders) => self.obey(orders),
                () = self.clock.sleep(AGE) => {}
            }
        }
    }

    /// Begin to probe, with what the store holds.
    pub fn take_over(&mut self, tenure: Tenure, kept: Option<(Store, Option<Contents>, Option<StoreError>)>) {
        self.tenure = Some(tenure);
        self.role = Role::Active;
        if let Some((store, contents, trouble)) = kept {
            self.remember(store, contents, trouble);
        }
    }

    /// Show what is known and ask nobody, for as long as this is polled: the right to probe ended, and nobody else is known to
    /// have it.
    pub async fn pause(&mut self, snapshots: &watch::Sender<Arc<Snapshot>>) {
        let remembered = self.schedule.remembered(self.clock.moment());
        self.schedule = Schedule::new(&self.config.probe, &self.config.issuer);
        self.schedule.recall(remembered);
        self.memory.stand_down();
        self.late.since(None);
        self.role = Role::Paused;
        let mut changes = self.inventory.subscribe();
        snapshots.send_replace(Arc::new(self.snapshot()));
        self.let_go_of_store().await;
        loop {
            changes.mark_unchanged();
            self.look_for_later();
            snapshots.send_replace(Arc::new(self.snapshot()));
            tokio::select! {
                Ok(()) = changes.changed() => self.clock.sleep(SETTLE).await,
                Some(question) = next_question(&mut self.questions) => self.answer(question),
                Some(orders) = next_orders(&mut self.orders) => self.obey(orders),
                () = self.clock.sleep(AGE) => {}
            }
        }
    }

    /// Bring book and workloads in step with the inventory, and keep in mind who is to be asked at once when anybody is.
    fn look_for_later(&mut self) {
        let fresh = self.look();
        self.fresh.extend(fresh);
        self.fresh.retain(|login| self.book.asks(*login));
    }

    /// Go on after a pause in which nobody else probed.
    pub fn go_on(&mut self) {
        self.role = Role::Active;
    }

    /// Forget all that was proven: another probes now, and proves it anew. The objects stay.
    pub fn retire(&mut self) {
        self.ledger = Ledger::new(Rules::new(&self.config));
        self.schedule = Schedule::new(&self.config.probe, &self.config.issuer);
        self.memory = Memory::default();
        self.tokens.clear();
        self.tenure = None;
        self.late.since(None::<Moment>);
        self.role = Role::Standby { holder: None };
    }
}
