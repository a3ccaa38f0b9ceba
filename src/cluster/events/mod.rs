//! Kubernetes Events on pull Secrets: what is announced is sent, sooner or later, at a bounded rate.
//!
//! Nobody waits for it but whoever announces: the API server may be slow, away, or forbid it, and then announcements wait
//! here, in bounded numbers. An Event has a name of its own for each credential and reason, so that the same again raises
//! the count of the one that is there, over restarts too, for as long as the API server keeps it (an hour by default).

mod outbox;
mod send;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::outbox::Outbox;
use self::send::Sent;
use super::{MissingPermission, ObjectRef, Resource, Scope, SharedInventory};

/// How long to wait where RBAC forbids it.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);
/// The first and the longest wait after a failure, where the API server does not name one.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Something to be told on a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The Secret.
    pub secret: ObjectRef,
    /// What of the Secret it is about (a registry key); may be empty. With the reason it tells which Event is the same again.
    pub subject: Arc<str>,
    /// Why, in one word: `reason` of the Event.
    pub reason: &'static str,
    /// Whether somebody should act: the type `Warning`, else `Normal`.
    pub warning: bool,
    /// One sentence, of at most 900 bytes and without a secret.
    pub message: String,
    /// When it happened.
    pub at: DateTime<Utc>,
}

/// How an announcement ended, or fared so far, as metrics label it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// A new Event was made.
    Sent,
    /// The count of an Event that was there was raised.
    Repeated,
    /// It went over the rate, and is told of in the number that a later Event mentions.
    Limited,
    /// RBAC forbids it; it is tried again.
    Forbidden,
    /// An attempt failed; it is tried again.
    Failed,
    /// It was given up: the Secret or its namespace is gone, it waited for too long, or the API server calls it invalid.
    Dropped,
}

impl EventOutcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Sent, Self::Repeated, Self::Limited, Self::Forbidden, Self::Failed, Self::Dropped];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Repeated => "repeated",
            Self::Limited => "limited",
            Self::Forbidden => "forbidden",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// Who counts Events.
pub trait EventObserver: Send + Sync {
    /// So many announcements ended so, or an attempt did.
    fn count(&self, outcome: EventOutcome, announcements: usize);
}

/// Send what is announced until told to stop. What is not sent by then is forgotten: it is told by metrics anyway.
///
/// A missing permission stands in `missing_permissions` of the inventory until an Event could be sent.
pub async fn send_events(
    client: kube::Client,
    scope: &Scope,
    shared: &SharedInventory,
    mut announcements: mpsc::Receiver<Announcement>,
    observer: impl EventObserver,
    shutdown: CancellationToken,
) {
    let mut outbox = Outbox::default();
    let mut pause = BACK_OFF.0;
    let mut open = true;
    loop {
        while let Ok(announcement) = announcements.try_recv() {
            let limited = outbox.put(announcement, Instant::now());
            observer.count(EventOutcome::Limited, limited);
        }
        let dropped = outbox.expire(Instant::now());
        observer.count(EventOutcome::Dropped, dropped);
        if let Some(waiting) = outbox.next(Instant::now()) {
            let sent = tokio::select! {
                () = shutdown.cancelled() => return,
                sent = send::send(&client, &waiting.announcement) => sent,
            };
            let (place, reason) = (waiting.announcement.secret.clone(), waiting.announcement.reason);
            let permissions = Permissions { scope, shared, namespace: &place.namespace };
            let outcome = match sent {
                Sent::Created => EventOutcome::Sent,
                Sent::Repeated => EventOutcome::Repeated,
                Sent::Gone => EventOutcome::Dropped,
                Sent::Invalid(why) => {
                    tracing::warn!(secret = %place, reason, error = %why, "the API server does not take an Event; this is a bug, please report it");
                    EventOutcome::Dropped
                }
                Sent::Denied(verb) => {
                    if permissions.miss(verb) {
                        tracing::warn!(
                            verb,
                            scope = %permissions.place(),
                            "RBAC forbids Events on Secrets; trying again every minute. To do without, set `events: false`"
                        );
                    }
                    // One that is there already and cannot be counted up has been told.
                    if verb == "create" {
                        outbox.put_back(waiting, Instant::now() + FORBIDDEN_PAUSE, false);
                    }
                    EventOutcome::Forbidden
                }
                Sent::Failed { why, retry_after } => {
                    let wait = retry_after.unwrap_or(pause);
                    tracing::debug!(secret = %place, reason, error = %why, ?wait, "an Event could not be sent; trying again");
                    outbox.put_back(waiting, Instant::now() + wait, true);
                    pause = (pause * 2).min(BACK_OFF.1);
                    EventOutcome::Failed
                }
            };
            observer.count(outcome, 1);
            if outcome != EventOutcome::Failed {
                pause = BACK_OFF.0;
            }
            match outcome {
                EventOutcome::Sent => permissions.have(&["create"]),
                EventOutcome::Repeated => permissions.have(&["create", "patch"]),
                _ => {}
            }
            continue;
        }
        let wake = outbox.wake(Instant::now());
        tokio::select! {
            () = shutdown.cancelled() => return,
            announcement = announcements.recv(), if open => match announcement {
                Some(announcement) => {
                    let limited = outbox.put(announcement, Instant::now());
                    observer.count(EventOutcome::Limited, limited);
                }
                None => open = false,
            },
            () = async { match wake { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {}
        }
    }
}

/// What RBAC denies of Events, as the inventory tells it.
struct Permissions<'a> {
    scope: &'a Scope,
    shared: &'a SharedInventory,
    namespace: &'a Arc<str>,
}

impl Permissions<'_> {
    /// The namespace where the scope names namespaces, so that Roles are what is granted; else empty for all.
    fn place(&self) -> Arc<str> {
        if self.scope.namespaces().is_some() { Arc::clone(self.namespace) } else { Arc::from("") }
    }

    fn rule(&self, verb: &'static str) -> MissingPermission {
        MissingPermission::new(Resource::Events, verb, self.place())
    }

    /// Tells whether that is news.
    fn miss(&self, verb: &'static str) -> bool {
        let mut news = false;
        self.shared.update(|inventory| {
            news = inventory.missing_permissions.insert(self.rule(verb));
            news
        });
        news
    }

    fn have(&self, verbs: &[&'static str]) {
        self.shared.update(|inventory| {
            // No short circuit: each of them is granted.
            verbs.iter().fold(false, |changed, verb| inventory.missing_permissions.remove(&self.rule(verb)) | changed)
        });
    }
}
