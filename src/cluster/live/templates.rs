//! The `ConfigMaps` and Secrets that hold extension templates of container hooks. Each one that a set of runners names is
//! listed and watched on its own, by its name, as the kubelet does for what its pods mount; no other is ever asked for.
//!
//! Watches come and go with the names. Of an object only the mounted keys are looked at, and of those only what says
//! something about pulling is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{AbortHandle, Abortable, Aborted};
use futures::stream::FuturesUnordered;
use secrecy::ExposeSecret;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::WatchObserver;
use super::decode::{Item, Object, TemplateTexts};
use super::follow::{self, Bells, Change, Context, Listed, What};
use super::slice::Slice;
use crate::cluster::manifest::{STACK_BYTES, read_template};
use crate::cluster::templates::{Keys, named};
use crate::cluster::wire::Interner;
use crate::cluster::{
    HookTemplateKey, HookTemplateState, HookTemplates, Inventory, MissingPermission, NotRead, Resource, Scope,
    SharedInventory,
};

/// Objects that are followed at most, of one namespace and in all: each is a watch of its own.
const MOST_OF_A_NAMESPACE: usize = 20;
/// See [`MOST_OF_A_NAMESPACE`].
const MOST: usize = 200;
/// The least time between two looks at what is named: in a busy cluster the inventory changes all the time.
const LOOK_GAP: Duration = Duration::from_millis(250);
/// How many changes may wait to be applied.
const PENDING_CHANGES: usize = 64;

type Followers<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Result<Infallible, Aborted>> + Send + 'a>>>;

/// One object that is followed.
struct Followed {
    /// Tells the changes of this follower from those of an earlier one of the same object.
    id: usize,
    keys: Keys,
    state: Arc<HookTemplateState>,
    denied: BTreeSet<&'static str>,
    stop: AbortHandle,
}

/// Follow what sets of runners name, for ever.
pub(super) async fn follow_named<M: WatchObserver>(
    client: &kube::Client,
    scope: &Scope,
    shared: &SharedInventory,
    metrics: &M,
    bells: &Bells,
) -> Infallible {
    let (changes, mut pending) = mpsc::channel(PENDING_CHANGES);
    // What a template names is shared with nothing, and little.
    let interner = Interner::default();
    let context = Context { client: client.clone(), scope, shared, interner: &interner, metrics, changes, bells };
    let mut inventory = shared.subscribe();
    let mut followers: Followers<'_> = FuturesUnordered::new();
    let mut followed: BTreeMap<HookTemplateKey, Followed> = BTreeMap::new();
    let mut told = BTreeSet::new();
    let mut next_id = 0;
    let mut look_at = Some(Instant::now());
    loop {
        tokio::select! {
            () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => {
                inventory.mark_unchanged();
                let wanted = shared.read(wanted);
                followed.retain(|key, one| {
                    let stays = matches!(wanted.get(key), Some(Ok(keys)) if *keys == one.keys);
                    if !stays {
                        one.stop.abort();
                    }
                    stays
                });
                for (key, keys) in wanted.iter().filter_map(|(key, want)| Some((key, want.as_ref().ok()?))) {
                    if followed.contains_key(key) {
                        continue;
                    }
                    next_id += 1;
                    let (id, context) = (next_id, &context);
                    let slice = Slice::of_templates(key.0, &key.1, keys.clone());
                    let (stop, registration) = AbortHandle::new_pair();
                    let following = async move { follow::follow(context, id, &slice).await };
                    followers.push(Box::pin(Abortable::new(following, registration)));
                    let (keys, state) = (keys.clone(), Arc::new(Err(NotRead::Pending)));
                    followed.insert(key.clone(), Followed { id, keys, state, denied: BTreeSet::new(), stop });
                }
                tell(shared, &wanted, &followed, &mut told);
                look_at = None;
            }
            alive = inventory.changed(), if look_at.is_none() => {
                if alive.is_err() {
                    // Nobody can share the inventory any more but us: it never changes again.
                    std::future::pending::<()>().await;
                }
                look_at = Some(Instant::now() + LOOK_GAP);
            }
            Some(change) = pending.recv() => {
                let one = followed.iter_mut().find(|(_, one)| one.id == change.slice);
                // A follower that was stopped can have left a change behind.
                if let Some((key, one)) = one {
                    one.take(change, key).await;
                    let wanted = shared.read(wanted);
                    tell(shared, &wanted, &followed, &mut told);
                }
            }
            Some(stopped) = followers.next() => match stopped {
                Err(Aborted) => {}
            },
        }
    }
}

impl Followed {
    async fn take(&mut self, change: Change, key: &HookTemplateKey) {
        let state = match change.what {
            What::Listed(listed) => of_list(listed).await,
            What::Changed(Item::Object(object)) => read(object).await,
            What::Changed(Item::Bad(_, problem)) => Err(NotRead::Failed(problem.message.into())),
            What::Changed(Item::Nothing(_)) | What::Deleted(_) | What::Absent => Err(NotRead::Absent),
            // What was read before stays, as everywhere.
            What::Unavailable if *self.state == Err(NotRead::Pending) => {
                Err(NotRead::Failed("the API server does not answer, or cannot tell".into()))
            }
            // Nobody asks what would be allowed of what comes and goes.
            What::Unavailable | What::Reviewed { .. } => return,
            What::Denied(verb) => {
                self.denied.insert(verb);
                if verb == "watch" && *self.state != Err(NotRead::Pending) {
                    // It is listed again and again then.
                    return;
                }
                Err(NotRead::Denied)
            }
            What::Granted(verb) => {
                self.denied.remove(verb);
                return;
            }
        };
        if let (Err(NotRead::Failed(why)), true) = (&state, *self.state != state) {
            warn!(holder = key.0.as_str(), object = %key.1, why, "an extension template cannot be read");
        }
        if *self.state != state {
            self.state = Arc::new(state);
        }
    }
}

/// What is to be followed, and what is named and cannot be.
pub(super) fn wanted(inventory: &Inventory) -> BTreeMap<HookTemplateKey, Result<Keys, NotRead>> {
    let mut of_namespace: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let mut all = 0;
    let bound = |(key, keys): (HookTemplateKey, Keys)| {
        if !is_name(&key.1.namespace) || !is_name(&key.1.name) {
            return (key, Err(NotRead::NoName));
        }
        let here = of_namespace.entry(Arc::clone(&key.1.namespace)).or_default();
        *here += 1;
        if *here > MOST_OF_A_NAMESPACE || all == MOST {
            return (key, Err(NotRead::TooMany));
        }
        all += 1;
        (key, Ok(keys))
    };
    named(inventory.controllers.values()).into_iter().map(bound).collect()
}

/// A name as an object can have one (RFC 1123 subdomain, give or take where its dots stand). It becomes part of a URL and
/// of a selector, and the schema of a custom resource need not check it.
fn is_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
        && !text.starts_with('.')
}

/// Put what is known into the inventory.
fn tell(
    shared: &SharedInventory,
    wanted: &BTreeMap<HookTemplateKey, Result<Keys, NotRead>>,
    followed: &BTreeMap<HookTemplateKey, Followed>,
    told: &mut BTreeSet<MissingPermission>,
) {
    let states = wanted.iter().filter_map(|(key, want)| match want {
        Ok(_) => Some((key.clone(), Arc::clone(&followed.get(key)?.state))),
        Err(why) => Some((key.clone(), Arc::new(Err(why.clone())))),
    });
    let states = states.collect();
    let denied = followed.iter().flat_map(|(key, one)| one.denied.iter().map(move |verb| (key, *verb)));
    let missing = missing(denied);
    shared.update(|inventory| put(inventory, states, told, missing));
}

/// The permissions that lack for single objects.
pub(super) fn missing<'a>(
    denied: impl Iterator<Item = (&'a HookTemplateKey, &'static str)>,
) -> BTreeSet<MissingPermission> {
    let of = |((holder, at), verb): (&HookTemplateKey, &'static str)| {
        MissingPermission::new(holder.resource(), verb, Arc::clone(&at.namespace)).of(Arc::clone(&at.name))
    };
    denied.map(of).collect()
}

/// Bring the inventory in step; tells whether anything differs. `told` is what was told last to be missing.
pub(super) fn put(
    inventory: &mut Inventory,
    states: BTreeMap<HookTemplateKey, Arc<HookTemplateState>>,
    told: &mut BTreeSet<MissingPermission>,
    missing: BTreeSet<MissingPermission>,
) -> bool {
    let mut changed = inventory.tell_missing(told, missing);
    // Once complete, it stays so: a name that is new since is no reason to take the daemon out of service.
    let of_runners = |resource: &Resource| resource.group().starts_with("actions.");
    let runners_known = Resource::ALL.iter().filter(|one| of_runners(one)).all(|one| inventory.synced.contains(one));
    if runners_known && states.values().all(|state| **state != Err(NotRead::Pending)) {
        changed |= inventory.synced.insert(Resource::ConfigMaps);
    }
    changed |= inventory.hook_templates != states;
    inventory.hook_templates = states;
    changed
}

/// The templates in the list of one object.
pub(super) async fn of_list(listed: Listed) -> HookTemplateState {
    match (listed.objects.into_iter().next(), listed.problems.into_iter().next()) {
        (Some(object), _) => read(object).await,
        (None, Some((_, problem))) => Err(NotRead::Failed(problem.message.into())),
        (None, None) => Err(NotRead::Absent),
    }
}

/// The templates in an object.
async fn read(object: Object) -> HookTemplateState {
    let Object::Templates(texts) = object else { return Err(NotRead::Absent) };
    match tokio::task::spawn_blocking(move || parse(&texts)).await {
        Ok(state) => state,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => std::future::pending().await,
    }
}

/// The parser needs a deep stack, and time that belongs to no task.
fn parse(texts: &TemplateTexts) -> HookTemplateState {
    let here = || -> HookTemplates {
        let interner = Interner::default();
        let mut templates = HookTemplates::new();
        for (key, text) in &texts.texts {
            let template = text.as_ref().map_err(Clone::clone).and_then(|text| {
                read_template(text.expose_secret(), &interner)?.ok_or_else(|| "it has no `spec`".into())
            });
            templates.insert(key.clone(), template);
        }
        templates
    };
    std::thread::scope(|threads| {
        let thread = std::thread::Builder::new().name("template".to_owned()).stack_size(STACK_BYTES);
        match thread.spawn_scoped(threads, here) {
            Ok(thread) => Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
            Err(error) => Err(NotRead::Failed(format!("cannot start a thread to read it: {error}").into())),
        }
    })
}
