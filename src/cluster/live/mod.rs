//! Objects from a live cluster: each kind is listed in pages once, then watched, for as long as the process lives.
//!
//! Lists and watches are our own on top of [`kube::Client`], rather than kube's `watcher`, for two reasons. `Client::request`
//! writes a whole response into the log when it does not parse (`kube-client/src/client/mod.rs`), and here a response is
//! full of Secrets. And objects are read item by item out of the text of a page: fields that we do not read never become
//! objects in memory, and an item that has not the shape it should have is one [`Problem`](super::Problem), not the end
//! of a list.
//!
//! This module never retries without a pause, never ends a watch because of an object, and never takes a missing
//! permission for an empty cluster.

mod apply;
mod client;
mod decode;
mod follow;
mod request;
mod review;
mod slice;
mod snapshot;
mod templates;

use std::convert::Infallible;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use client::{ClientError, client};
pub use request::WATCH_ERROR_REASONS;
pub use snapshot::{SnapshotError, snapshot_cluster};

use super::wire::Interner;
use super::{Origin, Resource, Scope, SharedInventory, WatchEnded};

/// Who counts the errors of watches.
pub trait WatchObserver: Send + Sync {
    /// A list or a watch failed and will be tried again. `reason` is one of [`WATCH_ERROR_REASONS`].
    fn error(&self, resource: Resource, reason: &'static str);
}

/// Nobody counts.
impl WatchObserver for () {
    fn error(&self, _: Resource, _: &'static str) {}
}

/// How many changes may wait to be applied. All that wait are applied in one update.
const PENDING_CHANGES: usize = 1024;

/// Keep a shared inventory equal to a cluster, until told to stop.
///
/// A resource counts as synced when its first list is complete in every namespace of the scope, or was refused; refusals
/// stand in `missing_permissions`, are tried again every minute, and vanish when the rule is granted. What would be refused
/// stands there too, as the API server says when it is asked, and with `events` so does what lacks to write Events. Everything
/// runs in this one future: dropping it stops all, and a panic in a part is a panic of the caller's task.
pub async fn watch_cluster(
    client: kube::Client,
    scope: Scope,
    shared: SharedInventory,
    events: bool,
    metrics: impl WatchObserver,
    shutdown: CancellationToken,
) -> Result<(), WatchEnded> {
    shared.update(|inventory| {
        let changed = inventory.origin != Origin::Cluster;
        inventory.origin = Origin::Cluster;
        changed
    });
    let slices = slice::slices(&scope);
    let interner = Interner::default();
    let (changes, pending) = mpsc::channel(PENDING_CHANGES);
    let bells = follow::Bells::default();
    let context = follow::Context {
        client,
        scope: &scope,
        shared: &shared,
        interner: &interner,
        metrics: &metrics,
        changes,
        bells: &bells,
    };
    let mut watches: FuturesUnordered<_> =
        slices.iter().enumerate().map(|(index, slice)| follow::follow(&context, index, slice)).collect();
    let ended: Option<Infallible> = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        ended = watches.next() => ended,
        () = apply::apply(pending, &shared, &slices, &interner) => None,
        ended = templates::follow_named(&context.client, &scope, &shared, &metrics, &bells) => Some(ended),
        ended = review::review(&context, &slices, events) => Some(ended),
    };
    match ended {
        None => Err(WatchEnded { source_of_objects: "watch of the cluster", cause: None }),
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod outage_tests;
#[cfg(test)]
mod review_tests;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;
