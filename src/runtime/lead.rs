//! One of several replicas: stands by, takes over with what the store holds, probes while its tenure lasts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::serve::chain;
use super::state::{self, Kept, StateError};
use crate::cluster::{self, Candidacy, Leadership, LeaseObserver, SharedInventory, Tenure};
use crate::config::{Config, ElectionConfig};
use crate::metrics::DaemonMetrics;
use crate::outlook::Snapshot;
use crate::patrol::{Ended, Patrol};
use crate::plan::Identifier;
use crate::web::ReloadRequest;

/// How long a new holder waits for the config file.
const READ: Duration = Duration::from_secs(5);

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
    /// Whoever reads the config file again, where there is one.
    pub(super) reload: Option<mpsc::Sender<ReloadRequest>>,
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
            let begun = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tenure.ended() => continue,
                kept = begin(self.reload.as_ref(), &self.config, &self.client, &self.metrics, &self.identifier) => kept,
                () = self.patrol.stand_by(&snapshots, self.leadership.clone()) => unreachable!("it stands by for ever"),
            };
            let kept = begun.map_err(|error| chain(&error))?;
            self.patrol.take_over(tenure.clone(), kept.map(|kept| (kept.store, kept.contents, kept.trouble)));
            loop {
                self.metrics.set_leader(true);
                let ended = self.patrol.run_while(&snapshots, &shutdown).await.map_err(|error| chain(&error))?;
                self.metrics.set_leader(false);
                if ended == Ended::Shutdown {
                    return Ok(());
                }
                match self.pause(&tenure, &snapshots, &shutdown).await? {
                    Some(Next::Resumed) => self.patrol.go_on(),
                    Some(Next::Over) => break,
                    None => return Ok(()),
                }
            }
            self.patrol.retire();
        }
    }

    /// Pause until it is known what follows; `None` at the end of the process. A state that was let go of meanwhile is there
    /// again when the tenure goes on.
    async fn pause(
        &mut self,
        tenure: &Tenure,
        snapshots: &watch::Sender<Arc<Snapshot>>,
        shutdown: &CancellationToken,
    ) -> Result<Option<Next>, String> {
        loop {
            let next = tokio::select! {
                () = shutdown.cancelled() => return Ok(None),
                next = after(tenure, &mut self.leadership) => next,
                () = self.patrol.pause(snapshots) => unreachable!("it pauses for ever"),
            };
            if matches!(next, Next::Over) || !self.patrol.lacks_its_store() {
                return Ok(Some(next));
            }
            let kept = tokio::select! {
                () = shutdown.cancelled() => return Ok(None),
                () = tenure.ended() => continue,
                kept = state::open(&self.config, Some(self.client.clone()), &self.metrics, &self.identifier) => kept,
                () = self.patrol.pause(snapshots) => unreachable!("it pauses for ever"),
            };
            if let Some(kept) = kept.map_err(|error| chain(&error))? {
                self.patrol.take_back(kept.store);
            }
            return Ok(Some(Next::Resumed));
        }
    }
}

/// Read what a new holder of the Lease goes by: the config file, which may have changed since this replica read it, and the
/// state.
async fn begin(
    reload: Option<&mpsc::Sender<ReloadRequest>>,
    config: &Config,
    client: &kube::Client,
    metrics: &DaemonMetrics,
    identifier: &Identifier,
) -> Result<Option<Kept>, StateError> {
    if let Some(reload) = reload {
        let (reply, done) = oneshot::channel();
        let read = async {
            // What came of it is logged and counted by whoever reads it; what was in force stays when it cannot be used.
            if reload.send(ReloadRequest { reply }).await.is_ok() {
                let _ = done.await;
            }
        };
        if tokio::time::timeout(READ, read).await.is_err() {
            tracing::warn!(waited = ?READ, "the config file could not be read again in time; what was in force stays");
        }
    }
    state::open(config, Some(client.clone()), metrics, identifier).await
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
