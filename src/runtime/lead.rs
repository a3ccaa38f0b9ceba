//! One of several replicas: stands by, takes over with what the store holds, probes while its tenure lasts.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::serve::chain;
use super::state;
use crate::cluster::{self, Candidacy, Leadership, LeaseObserver, SharedInventory, Tenure};
use crate::config::{Config, ElectionConfig};
use crate::metrics::DaemonMetrics;
use crate::outlook::Snapshot;
use crate::patrol::{Ended, Patrol};
use crate::plan::Identifier;

/// The counters are told about the Lease by the room that asks for it.
struct Observer(Arc<DaemonMetrics>);

impl LeaseObserver for Observer {
    fn error(&self, reason: &'static str) {
        self.0.lease_failed(reason);
    }
}

/// Start the candidate. It goes on until `stop`, and gives the Lease up then.
pub(super) fn spawn_candidate(
    client: kube::Client,
    config: &Config,
    inventory: SharedInventory,
    metrics: Arc<DaemonMetrics>,
    tasks: &mut JoinSet<(&'static str, Result<(), String>)>,
    stop: CancellationToken,
) -> watch::Receiver<Leadership> {
    let ElectionConfig { enabled: _, namespace, mut name, lease_duration } = config.leader_election.clone();
    // Each shard has replicas of its own.
    if config.shard.count > 1 {
        name = format!("{name}-shard-{}", config.shard.index.unwrap_or_default());
    }
    let candidacy = Candidacy { namespace, name, duration: lease_duration, identity: identity() };
    metrics.set_leader(false);
    let (tell, leadership) = watch::channel(Leadership::Nobody);
    tasks.spawn(async move {
        cluster::campaign(client, &candidacy, &inventory, &Observer(metrics), &tell, stop).await;
        ("lease", Ok(()))
    });
    leadership
}

/// A name that no other candidate has: that of the pod, so that a person finds it, and chance, since two processes may have
/// one name.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty() && name.len() <= 63);
    let chance = state::random().unwrap_or_default();
    let chance = chance.iter().take(8).fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    format!("{}_{chance:016x}", host.as_deref().unwrap_or("pull-patrol"))
}

/// What the patrol of a replica needs.
pub(super) struct Replica {
    pub(super) patrol: Patrol,
    pub(super) config: Config,
    pub(super) identifier: Identifier,
    pub(super) client: kube::Client,
    pub(super) metrics: Arc<DaemonMetrics>,
    pub(super) leadership: watch::Receiver<Leadership>,
}

/// What follows a pause.
enum Next {
    /// The same tenure holds again: nobody else probed.
    Resumed,
    /// It never comes back.
    Over,
}

impl Replica {
    /// Stand by, take over, probe and stand by again, until `shutdown`.
    pub(super) async fn run(
        mut self,
        snapshots: watch::Sender<Arc<Snapshot>>,
        shutdown: CancellationToken,
    ) -> Result<(), String> {
        loop {
            let watched = self.leadership.clone();
            let tenure = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                tenure = won(&mut self.leadership) => tenure,
                () = self.patrol.stand_by(&snapshots, watched) => unreachable!("it stands by for ever"),
            };
            let kept = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tenure.ended() => continue,
                kept = state::open(&self.config, Some(self.client.clone()), &self.metrics, &self.identifier) => kept,
            };
            let kept = kept.map_err(|error| chain(&error))?;
            self.patrol.take_over(tenure.clone(), kept.map(|kept| (kept.store, kept.contents, kept.trouble)));
            loop {
                self.metrics.set_leader(true);
                let ended = self.patrol.run_while(&snapshots, &shutdown).await.map_err(|error| chain(&error))?;
                self.metrics.set_leader(false);
                if ended == Ended::Shutdown {
                    return Ok(());
                }
                let next = tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    next = after(&tenure, &mut self.leadership) => next,
                    () = self.patrol.pause(&snapshots) => unreachable!("it pauses for ever"),
                };
                match next {
                    Next::Resumed => self.patrol.go_on(),
                    Next::Over => break,
                }
            }
            self.patrol.retire();
        }
    }
}

/// Wait until we hold the Lease.
async fn won(leadership: &mut watch::Receiver<Leadership>) -> Tenure {
    loop {
        if let Leadership::Us(tenure) = &*leadership.borrow_and_update()
            && tenure.holds()
        {
            return tenure.clone();
        }
        if leadership.changed().await.is_err() {
            // The candidate is gone: that happens only while the process stops.
            std::future::pending::<()>().await;
        }
    }
}

/// Wait until it is known what follows a tenure that ended.
async fn after(tenure: &Tenure, leadership: &mut watch::Receiver<Leadership>) -> Next {
    loop {
        if tenure.holds() {
            return Next::Resumed;
        }
        match &*leadership.borrow_and_update() {
            Leadership::Other(_) => return Next::Over,
            Leadership::Us(next) if next.term() != tenure.term() => return Next::Over,
            Leadership::Us(_) | Leadership::Nobody => {}
        }
        tokio::select! {
            changed = leadership.changed() => if changed.is_err() { std::future::pending::<()>().await },
            () = tenure.resumed() => {}
        }
    }
}
