//! Workloads kept in step with the inventory: most pods are alike, and what all of a kind pull is worked out once.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::owners::Owners;
use super::rollup::roll_up;
use super::{Gap, NeededImages, Waits, Workload, WorkloadKey, arc, manager, needed_images, pods, templates};
use crate::cluster::{
    Controller, HookTemplateState, Inventory, ObjectRef, Origin, Owner, Pod, PodImage, PodPulls, ServiceAccount,
};

/// Who would pull what, as of the last [`Roster::sync`].
///
/// What changed is told by pointer, since a source keeps the `Arc` of what did not change. Pods that pull the same for the
/// same owner are counted, not listed, so that a change of one of thousands costs a look at each pointer and no more.
#[derive(Debug, Default)]
pub struct Roster {
    /// The pods of the last look, in order.
    pods: Vec<Arc<Pod>>,
    /// How many pods are alike.
    alike: HashMap<Alike, usize>,
    /// Everything but pods that workloads follow from.
    others: Others,
    workloads: BTreeMap<WorkloadKey, Workload>,
    needed: NeededImages,
}

/// A pod as one of those that pull the same for the same owner.
#[derive(Debug)]
struct Alike(Arc<Pod>);

/// All that tells pods apart here: for a pod without an owner also its name.
type Traits<'a> = (&'a Arc<str>, &'a Arc<str>, &'a [Arc<str>], bool, &'a [PodImage], Result<&'a Owner, &'a Arc<str>>);

impl Alike {
    fn traits(&self) -> Traits<'_> {
        let Pod { at, pulls, waiting: _ } = &*self.0;
        let PodPulls { service_account, pull_secrets, admitted_from_service_account, images, owner } = &**pulls;
        let owner = owner.as_ref().ok_or(&at.name);
        (&at.namespace, service_account, pull_secrets, *admitted_from_service_account, images, owner)
    }
}

impl PartialEq for Alike {
    fn eq(&self, other: &Self) -> bool {
        self.traits() == other.traits()
    }
}

impl Eq for Alike {}

impl Hash for Alike {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (namespace, service_account, secrets, _, images, owner) = self.traits();
        (namespace, service_account, secrets, owner).hash(state);
        for image in images {
            (&image.image, &image.container).hash(state);
        }
    }
}

#[derive(Debug, Default)]
struct Others {
    origin: Origin,
    controllers: Vec<Arc<Controller>>,
    service_accounts: Vec<Arc<ServiceAccount>>,
    hook_templates: Vec<Arc<HookTemplateState>>,
}

impl Others {
    fn of(inventory: &Inventory) -> Self {
        Self {
            origin: inventory.origin,
            controllers: inventory.controllers.values().cloned().collect(),
            service_accounts: inventory.service_accounts.values().cloned().collect(),
            hook_templates: inventory.hook_templates.values().cloned().collect(),
        }
    }

    fn is_of(&self, inventory: &Inventory) -> bool {
        self.origin == inventory.origin
            && same(&self.controllers, &inventory.controllers)
            && same(&self.service_accounts, &inventory.service_accounts)
            && same(&self.hook_templates, &inventory.hook_templates)
    }
}

/// Whether these are the very objects that are there now.
fn same<K, T>(known: &[Arc<T>], now: &BTreeMap<K, Arc<T>>) -> bool {
    known.len() == now.len() && known.iter().zip(now.values()).all(|(known, now)| Arc::ptr_eq(known, now))
}

/// What a change of pods came to.
#[derive(Debug, Default)]
struct PodsChanged {
    /// A kind of pod is new or gone.
    kinds: bool,
    /// A pod came or went, or has another owner.
    owners: bool,
}

impl Roster {
    /// Bring it in step. Returns whether the workloads may differ from those before.
    pub fn sync(&mut self, inventory: &Inventory) -> bool {
        let pods = self.sync_pods(&inventory.pods);
        let others = !self.others.is_of(inventory);
        if others {
            self.others = Others::of(inventory);
        }
        // Pods of container hooks are rolled up by the owner of another pod.
        if !(others || pods.kinds || pods.owners && self.hooks_are_used()) {
            return false;
        }
        self.workloads = self.roll_up(inventory);
        self.needed = needed_images(&self.workloads);
        true
    }

    /// Bring those in step of which nothing is left but pods that are gone.
    pub fn add_unseen(&mut self, waits: &Waits) {
        self.workloads.retain(|_, workload| workload.gap != Some(Gap::PodsGone));
        waits.add_unseen(&mut self.workloads);
    }

    /// All workloads.
    pub fn workloads(&self) -> &BTreeMap<WorkloadKey, Workload> {
        &self.workloads
    }

    /// The images that pods pull, per Secret that they name.
    pub fn needed(&self) -> &NeededImages {
        &self.needed
    }

    /// All workloads, taken out.
    pub(super) fn into_workloads(self) -> BTreeMap<WorkloadKey, Workload> {
        self.workloads
    }

    fn sync_pods(&mut self, now: &BTreeMap<ObjectRef, Arc<Pod>>) -> PodsChanged {
        let mut changed = PodsChanged::default();
        if same(&self.pods, now) {
            return changed;
        }
        let known = std::mem::replace(&mut self.pods, now.values().cloned().collect());
        let (mut known, mut now) = (known.into_iter().peekable(), now.values().peekable());
        // Both are in the order of their places.
        while known.peek().is_some() || now.peek().is_some() {
            if let (Some(old), Some(new)) = (known.peek(), now.peek())
                && Arc::ptr_eq(old, new)
            {
                known.next();
                now.next();
                continue;
            }
            let (old, new) = match (known.peek(), now.peek()) {
                (Some(old), Some(new)) if old.at == new.at => (known.next(), now.next()),
                (Some(old), Some(new)) if old.at < new.at => (known.next(), None),
                (Some(_), None) => (known.next(), None),
                _ => (None, now.next()),
            };
            changed.owners |= old.as_ref().map(|pod| &pod.owner) != new.map(|pod| &pod.owner);
            // The new one first, so that the last of a kind that is replaced by its like is no change.
            changed.kinds |= new.is_some_and(|new| self.count(Arc::clone(new)));
            changed.kinds |= old.is_some_and(|old| self.discount(old));
        }
        changed
    }

    /// One more pod; whether it is the first of its kind.
    fn count(&mut self, pod: Arc<Pod>) -> bool {
        let pods = self.alike.entry(Alike(pod)).or_insert(0);
        *pods += 1;
        *pods == 1
    }

    /// One pod less; whether it was the last of its kind.
    fn discount(&mut self, pod: Arc<Pod>) -> bool {
        let pod = Alike(pod);
        let Some(pods) = self.alike.get_mut(&pod) else { return false };
        *pods -= 1;
        *pods == 0 && self.alike.remove(&pod).is_some()
    }

    fn hooks_are_used(&self) -> bool {
        let by_pod = |owner: &Option<Owner>| owner.as_ref().is_some_and(|owner| &*owner.kind == "Pod");
        self.alike.keys().any(|pod| by_pod(&pod.0.owner))
            || self.others.controllers.iter().any(|controller| by_pod(&controller.owner))
    }

    fn roll_up(&self, inventory: &Inventory) -> BTreeMap<WorkloadKey, Workload> {
        let owners = Owners::of(inventory);
        let mut alike: Vec<&Pod> = self.alike.keys().map(|pod| &*pod.0).collect();
        // Of pulls that are merged the first tells its ServiceAccount.
        alike.sort_unstable_by_key(|pod| (&pod.at.namespace, &pod.service_account));
        let pods = alike.into_iter().map(|pod| pods::pod(pod, &owners));
        let controllers = || inventory.controllers.values();
        let managers = manager::Managers::of(inventory);
        let template = |made| templates::controller(made, inventory, &owners, &managers);
        let templates = controllers().filter_map(|made| template(&**made));
        let workflows = controllers().filter_map(|made| arc::workflow(made, inventory));
        let listeners = controllers().filter_map(|made| managers.listener(made));
        roll_up(pods.chain(templates).chain(workflows).chain(listeners))
    }
}
