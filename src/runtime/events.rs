//! From snapshots to Kubernetes Events on the Secrets: two tasks, so that the patrol never waits for either.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::{self, Announcement, EventObserver, EventOutcome, ObjectRef, Scope, SharedInventory};
use crate::metrics::DaemonMetrics;
use crate::outlook::changes::{Change, Changes};
use crate::outlook::{Role, Snapshot};
use crate::plan::Registries;

/// How many announcements wait between the two tasks; more wait in the snapshots themselves.
const PENDING: usize = 64;

/// The counters are told about Events by the room that sends them.
struct Observer(Arc<DaemonMetrics>);

impl EventObserver for Observer {
    fn count(&self, outcome: EventOutcome, announcements: usize) {
        self.0.events_ended(outcome, announcements);
    }
}

/// What the tasks need.
pub(super) struct Parts {
    pub(super) client: kube::Client,
    pub(super) scope: Scope,
    pub(super) inventory: SharedInventory,
    pub(super) metrics: Arc<DaemonMetrics>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) changes: Changes,
    pub(super) registries: Registries,
}

/// Start both tasks.
pub(super) fn spawn(
    parts: Parts,
    tasks: &mut JoinSet<(&'static str, Result<(), String>)>,
    shutdown: &CancellationToken,
) {
    let Parts { client, scope, inventory, metrics, snapshots, changes, registries } = parts;
    let (announce, announcements) = mpsc::channel(PENDING);
    let stop = shutdown.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = follow(snapshots, changes, registries, announce) => {}
        }
        ("changes", Ok(()))
    });
    let stop = shutdown.clone();
    tasks.spawn(async move {
        cluster::send_events(client, &scope, &inventory, announcements, Observer(metrics), stop).await;
        ("events", Ok(()))
    });
}

/// Announce what changes from snapshot to snapshot. One that comes while announcements wait is passed over for the next:
/// changes are told between any two.
///
/// A replica that stands by tells nothing, and begins anew when it takes over: what the one before it proved was told by it.
async fn follow(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mut changes: Changes,
    registries: Registries,
    announce: mpsc::Sender<Announcement>,
) {
    while snapshots.changed().await.is_ok() {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        match snapshot.daemon.role {
            Role::Active => {}
            Role::Paused => continue,
            Role::Standby { .. } => {
                changes = Changes::new(registries.clone(), snapshot.generated_at);
                continue;
            }
        }
        for change in changes.follow(&snapshot) {
            if announce.send(announcement(change)).await.is_err() {
                return;
            }
        }
    }
}

fn announcement(change: Change) -> Announcement {
    let Change { secret_namespace, secret_name, registry, reason, message, at } = change;
    Announcement {
        secret: ObjectRef { namespace: secret_namespace, name: secret_name },
        subject: registry,
        reason: reason.as_str(),
        warning: reason.is_warning(),
        message,
        at,
    }
}
