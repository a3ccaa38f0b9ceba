//! The one-shot form of the loop, for `check`: every question at least once, refusals confirmed inside the run.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::task::JoinSet;

use super::{ExchangeLost, Patrol};
use crate::outlook::Snapshot;
use crate::plan::{Ask, Cadence};
use crate::verdict::Rules;

/// What a one-shot run waits for at most when the other side asks it to wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a question that proved nothing is asked in all.
const TRIES: u32 = 3;

/// How far a one-shot run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Questions that need no further exchange.
    pub settled: usize,
    /// Questions in all, as far as known.
    pub total: usize,
}

impl Patrol {
    /// Ask until everything is settled: proven, or tried often enough. `on_progress` is called after every exchange.
    ///
    /// # Errors
    /// [`ExchangeLost`] when an exchange panicked.
    pub async fn run_once(mut self, on_progress: impl FnMut(Progress)) -> Result<Snapshot, ExchangeLost> {
        self.settle(on_progress).await?;
        Ok(self.snapshot())
    }

    /// The round itself.
    pub(super) async fn settle(&mut self, mut on_progress: impl FnMut(Progress)) -> Result<(), ExchangeLost> {
        let mut tasks = JoinSet::new();
        let mut tries: HashMap<Ask, u32> = HashMap::new();
        let mut settled: HashSet<Ask> = HashSet::new();
        self.ledger.go_by(Rules::one_shot(&self.config));
        self.sync();
        let total = self.schedule.len();
        on_progress(Progress { settled: 0, total });
        // A refusal needs its confirmations, and some more for answers in between that prove nothing.
        let confirming = self.config.probe.confirmations + TRIES;
        let mut repeated = false;
        while settled.len() < total {
            let due = self.launch_due(&mut tasks);
            let soon = self.clock.moment().after(PATIENCE + self.config.probe.confirmation_spacing);
            let waits_in_vain = tasks.is_empty() && due.is_none();
            if waits_in_vain
                || ((tasks.is_empty() || repeated) && !self.schedule.expects(|ask| !settled.contains(ask), soon))
            {
                // What is left was told to wait longer than a person would, or waits for a login that is not let in. That
                // settled questions come round again holds nobody up.
                break;
            }
            tokio::select! {
                Some(finished) = tasks.join_next() => {
                    let finished = finished.map_err(ExchangeLost)?;
                    repeated = settled.contains(&finished.ask);
                    let advice = self.record(&finished);
                    let count = tries.entry(finished.ask.clone()).or_default();
                    *count += 1;
                    if rests(advice.cadence, *count, confirming) {
                        settled.insert(finished.ask);
                    } else {
                        settled.remove(&finished.ask);
                    }
                    for (ask, cadence) in advice.also {
                        if rests(cadence, 1, confirming) {
                            settled.insert(ask);
                        }
                    }
                    // A control that is asked again on behalf of another question belongs to that question; what an issuer
                    // has to add is news of its own.
                    for ask in advice.at_once.iter().filter(|ask| matches!(ask, Ask::Issuer(_))) {
                        settled.remove(ask);
                    }
                    on_progress(Progress { settled: settled.len(), total });
                }
                () = async { match due { Some(due) => self.clock.sleep_until(due).await, None => std::future::pending().await } } => {}
            }
        }
        Ok(())
    }
}

/// Whether a question needs no further exchange in this run.
fn rests(cadence: Cadence, tried: u32, confirming: u32) -> bool {
    match cadence {
        Cadence::Routine | Cadence::Dead => true,
        Cadence::Confirm => tried >= confirming,
        Cadence::BackOff => tried >= TRIES,
        Cadence::NotBefore(wait) | Cadence::OwnerNotBefore(wait) => wait > PATIENCE || tried >= TRIES,
    }
}
