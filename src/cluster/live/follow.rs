//! Following one slice: list, then watch, and list again whenever the thread is lost.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::poll;
use kube::runtime::watcher::DefaultBackoff;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::WatchObserver;
use super::decode::{self, Item, Object};
use super::request::{self, Failure, Page, PageText, Presence, Reason, Watch};
use super::slice::{Kind, Slice};
use crate::cluster::wire::Interner;
use crate::cluster::{ObjectRef, Problem, Scope, SharedInventory, missing_rules};

/// How often a kind that the cluster lacks is looked for.
const ABSENT_PAUSE: Duration = Duration::from_secs(30);
/// How often what RBAC denies is tried again.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);
/// How often in a row a watch may be put off before everything is listed anew: with their pauses some half a minute.
const PUT_OFF: u32 = 4;
/// How many refusals in a row of what was granted before are doubted: an API server that starts refuses everybody until it
/// has read the roles.
const DOUBTED: u8 = 3;
/// A watch that ends sooner than this, and has told nothing, is a failure: without a pause it would spin.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);
/// Most objects of a page. Each can have some 1.5 MiB, and a page of such ones must still be read; Secrets are kept as
/// they are, so their pages are smaller.
const PAGE_SIZE: u32 = 250;
const SECRET_PAGE_SIZE: u32 = 100;
/// A page longer than this halves the size of the next.
const LONG_PAGE_BYTES: usize = 8 * 1024 * 1024;
const SMALLEST_PAGE: u32 = 10;

/// What all slices share.
pub(super) struct Context<'a, M> {
    pub(super) client: kube::Client,
    pub(super) scope: &'a Scope,
    pub(super) shared: &'a SharedInventory,
    pub(super) interner: &'a Interner,
    pub(super) metrics: &'a M,
    pub(super) changes: mpsc::Sender<Change>,
    pub(super) bells: &'a Bells,
}

/// What followers and the review of permissions tell each other.
#[derive(Debug, Default)]
pub(super) struct Bells {
    /// RBAC refused something.
    pub(super) refused: Notify,
    /// Something that was refused would be allowed now: who waits for that need not wait any longer.
    pub(super) granted: Notify,
}

/// A change that one slice brings. `slice` is its position among the slices.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) slice: usize,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// A complete list: what belongs to the slice and is not in it is gone.
    Listed(Listed),
    /// An object is new or has changed.
    Changed(Item),
    /// An object is gone.
    Deleted(ObjectRef),
    /// The cluster does not have what belongs to the slice.
    Absent,
    /// What belongs to the slice cannot be listed for now, and the inventory does not wait for it.
    Unavailable,
    /// RBAC denies a verb.
    Denied(&'static str),
    /// RBAC grants a verb.
    Granted(&'static str),
    /// Asked whether it would, the API server says so.
    Reviewed { verb: &'static str, allowed: bool },
}

/// A complete list of a slice.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) objects: Vec<Object>,
    pub(super) problems: Vec<(Option<ObjectRef>, Problem)>,
    /// Where a watch goes on.
    pub(super) version: String,
}

impl Listed {
    /// Take what is on a page.
    fn read(
        &mut self,
        slice: &Slice,
        page: &Page<'_>,
        scope: &Scope,
        interner: &Interner,
        known: Option<&SharedInventory>,
    ) {
        let start = self.objects.len();
        for json in &page.items {
            match decode::item(slice, json, scope, interner).0 {
                Item::Object(object) => self.objects.push(object),
                Item::Nothing(_) => {}
                Item::Bad(at, problem) => self.problems.push((at, problem)),
            }
        }
        if let Some(known) = known {
            let fresh = self.objects.split_off(start);
            known.read(|inventory| self.objects.extend(fresh.into_iter().map(|object| object.or_known(inventory))));
        }
    }
}

/// Follow a slice for ever.
pub(super) async fn follow<M: WatchObserver>(context: &Context<'_, M>, index: usize, slice: &Slice) -> Infallible {
    let refusals = [const { AtomicU8::new(DOUBTED + 1) }; 2];
    let follower = Follower { context, index, slice, told: AtomicU8::new(0), refusals };
    let mut backoff = DefaultBackoff::default();
    loop {
        let mut version = match list(&context.client, slice, context.scope, context.interner, Some(context.shared))
            .await
        {
            Ok(mut listed) => {
                let version = std::mem::take(&mut listed.version);
                debug!(resource = slice.resource().as_str(), scope = %slice.scope(), objects = listed.objects.len(), "listed");
                follower.granted("list").await;
                follower.send(What::Listed(listed)).await;
                version
            }
            Err(failure) => {
                follower.failed("list", &failure, &mut backoff).await;
                continue;
            }
        };
        let mut put_off = 0;
        loop {
            let Err(failure) = follower.watch(&mut version).await else {
                put_off = 0;
                continue;
            };
            let is_there = follower.failed("watch", &failure, &mut backoff).await;
            // A broken connection is taken up where it broke, and so is what the API server puts off while it starts or has
            // too much to do, or refuses all at once; anything else casts doubt on what was seen.
            put_off = if failure.is_put_off() { put_off + 1 } else { 0 };
            let goes_on = match failure.reason {
                Reason::Transport => true,
                Reason::Forbidden => follower.refusals("watch").load(Ordering::Relaxed) <= DOUBTED + 1,
                _ => (1..=PUT_OFF).contains(&put_off),
            };
            if !is_there || !goes_on {
                break;
            }
        }
    }
}

struct Follower<'a, M> {
    context: &'a Context<'a, M>,
    index: usize,
    slice: &'a Slice,
    /// Consecutive failures that were told, so that a long outage does not fill the log.
    told: AtomicU8,
    /// Refusals in a row to list and to watch; more than are doubted while nothing was granted yet.
    refusals: [AtomicU8; 2],
}

impl<M: WatchObserver> Follower<'_, M> {
    async fn send(&self, what: What) {
        // The receiver lives as long as this future does: both are parts of one.
        let _ = self.context.changes.send(Change { slice: self.index, what }).await;
    }

    fn refusals(&self, verb: &str) -> &AtomicU8 {
        &self.refusals[usize::from(verb == "watch")]
    }

    async fn granted(&self, verb: &'static str) {
        self.refusals(verb).store(0, Ordering::Relaxed);
        self.send(What::Granted(verb)).await;
    }

    /// Whether a failure is a refusal that counts, after those that are doubted.
    fn is_refused(&self, verb: &str, failure: &Failure) -> bool {
        if failure.reason != Reason::Forbidden {
            return false;
        }
        let refusals = self.refusals(verb);
        let before = refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(count.saturating_add(1)));
        before.is_ok_and(|before| before >= DOUBTED)
    }

    /// Watch until the watch ends, in peace or not.
    async fn watch(&self, version: &mut String) -> Result<(), Failure> {
        let opened = Instant::now();
        let mut watch = Watch::open(&self.context.client, self.slice, version).await?;
        self.granted("watch").await;
        let mut silent = true;
        while let Some(event) = watch.next().await? {
            silent = false;
            if self.told.swap(0, Ordering::Relaxed) > 0 {
                info!(resource = self.slice.resource().as_str(), scope = %self.slice.scope(), "watching again");
            }
            let (what, seen) = match &*event.kind {
                "ADDED" | "MODIFIED" => {
                    let (item, seen) =
                        decode::item(self.slice, event.object, self.context.scope, self.context.interner);
                    (Some(What::Changed(item)), seen)
                }
                "DELETED" => {
                    let (at, seen) = decode::deleted(self.slice, event.object, self.context.interner)
                        .ok_or_else(|| Failure::new(Reason::Decode, "a watch told of a deletion without a name"))?;
                    (Some(What::Deleted(at)), seen)
                }
                "BOOKMARK" => (None, decode::version(event.object)),
                // A kind of event that we do not know can change what we hold, so everything is listed anew.
                _ => return Err(Failure::new(Reason::Decode, "a watch told of an unknown kind of event")),
            };
            if let Some(what) = what {
                self.send(what).await;
            }
            if !seen.is_empty() {
                *version = seen;
            }
        }
        if silent && opened.elapsed() < SHORTEST_WATCH {
            return Err(Failure::new(Reason::Transport, "the API server ended a watch as soon as it was open"));
        }
        Ok(())
    }

    /// Tell of a failure and wait for as long as it takes. Returns whether the kind is still there, in its version.
    async fn failed(&self, verb: &'static str, failure: &Failure, backoff: &mut DefaultBackoff) -> bool {
        let (resource, reason) = (self.slice.resource(), failure.reason.as_str());
        if self.slice.is_optional() {
            let presence = request::presence(&self.context.client, self.slice, failure).await;
            if presence == Presence::Elsewhere {
                info!(
                    resource = resource.as_str(),
                    path = self.slice.path(),
                    "reading it in the version that the cluster serves"
                );
                // A definition that changes under us in a circle must not make us spin.
                tokio::time::sleep(backoff.next().unwrap_or(ABSENT_PAUSE)).await;
                return false;
            }
            if presence == Presence::Absent {
                debug!(resource = resource.as_str(), scope = %self.slice.scope(), "the cluster has none");
                self.send(What::Absent).await;
                self.told.store(0, Ordering::Relaxed);
                if failure.code == Some(404) {
                    // RBAC is asked before the kind is looked for, so it has let us through.
                    self.refusals(verb).store(0, Ordering::Relaxed);
                }
                tokio::time::sleep(ABSENT_PAUSE).await;
                return false;
            }
            if self.slice.is_of_templates() || matches!(failure.reason, Reason::Api | Reason::Decode) {
                self.send(What::Unavailable).await;
            }
        }
        self.context.metrics.error(resource, reason);
        let mut pause = backoff.next().unwrap_or(FORBIDDEN_PAUSE).max(failure.retry_after.unwrap_or_default());
        let refused = self.is_refused(verb, failure);
        if refused {
            pause = FORBIDDEN_PAUSE;
            self.send(What::Denied(verb)).await;
            self.context.bells.refused.notify_one();
        }
        let (resource, scope) = (resource.as_str(), self.slice.scope());
        let told = self.told.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |told| Some(told.saturating_add(1)));
        // What was doubted was told without the rule that lacks.
        let is_first = told == Ok(0) || refused && self.refusals(verb).load(Ordering::Relaxed) == DOUBTED + 1;
        if refused && is_first {
            let permission = self.slice.permission(verb);
            let rules: String = missing_rules([&permission]).iter().map(ToString::to_string).collect();
            warn!(resource, %scope, verb, reason, ?pause, error = %failure, "cannot {verb} {resource}; trying again; {rules}");
        } else if is_first {
            warn!(resource, %scope, verb, reason, ?pause, error = %failure, "cannot {verb} {resource}; trying again");
        } else {
            debug!(resource, %scope, verb, reason, ?pause, error = %failure, "still cannot {verb} {resource}");
        }
        let granted = async {
            if refused {
                self.context.bells.granted.notified().await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = granted => {}
        }
        true
    }
}

/// List a slice page by page. With `known`, objects that have not changed are the very ones that the inventory holds, so
/// that a list does not double the memory.
pub(super) async fn list(
    client: &kube::Client,
    slice: &Slice,
    scope: &Scope,
    interner: &Interner,
    known: Option<&SharedInventory>,
) -> Result<Listed, Failure> {
    let mut listed = Listed::default();
    let mut limit =
        if matches!(slice.kind, Kind::Secrets(_) | Kind::NamedSecret) { SECRET_PAGE_SIZE } else { PAGE_SIZE };
    let first = request::ask(client, slice, limit, None).await?;
    let mut text = first.read(PageText::default()).await?;
    loop {
        let page = text.parse()?;
        let more = page.metadata.continue_token.to_string();
        if more.is_empty() {
            listed.version = page.metadata.resource_version.to_string();
            listed.read(slice, &page, scope, interner, known);
            return Ok(listed);
        }
        let is_long = text.len() > LONG_PAGE_BYTES;
        if is_long {
            limit = (limit / 2).max(SMALLEST_PAGE);
        }
        // The API server works on the next page while this one is read.
        let mut next = pin!(request::ask(client, slice, limit, Some(more)));
        let early = poll!(next.as_mut());
        listed.read(slice, &page, scope, interner, known);
        drop(page);
        let room = if is_long { PageText::default() } else { text };
        let answer = match early {
            Poll::Ready(answer) => answer,
            Poll::Pending => next.await,
        };
        text = answer?.read(room).await?;
    }
}
