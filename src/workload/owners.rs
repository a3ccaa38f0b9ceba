//! The top owner of a pod, along the controllers that are known: a Deployment rather than its `ReplicaSet`, a scale set
//! rather than one of its runners.

use std::sync::{Arc, LazyLock};

use super::{PodRole, WorkloadKey};
use crate::cluster::{Controller, ControllerKind, Inventory, ObjectRef, Owner, Pod};

/// Owners of owners that are followed. Real chains have four links; a longer one is a ring.
const MAX_LINKS: usize = 8;

/// Kinds as shared strings, in the order of [`ControllerKind::ALL`].
static KINDS: LazyLock<Vec<Arc<str>>> =
    LazyLock::new(|| ControllerKind::ALL.iter().map(|kind| Arc::from(kind.as_str())).collect());
/// Shared by all pods without an owner.
static POD: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("Pod"));

/// The shared string of a kind.
pub(super) fn kind_text(kind: ControllerKind) -> Arc<str> {
    let at = ControllerKind::ALL.iter().position(|known| *known == kind);
    at.and_then(|at| KINDS.get(at)).cloned().unwrap_or_else(|| Arc::from(kind.as_str()))
}

/// Finds top owners.
#[derive(Debug)]
pub(super) struct Owners<'a> {
    inventory: &'a Inventory,
}

impl<'a> Owners<'a> {
    pub(super) fn of(inventory: &'a Inventory) -> Self {
        Self { inventory }
    }

    /// The workload of a pod.
    pub(super) fn of_pod(&self, pod: &Pod) -> WorkloadKey {
        let itself = || key(&pod.at, POD.clone(), PodRole::Pod);
        pod.owner.as_ref().map_or_else(itself, |owner| self.top(&pod.at.namespace, owner))
    }

    /// The workload of the pods that a controller makes.
    pub(super) fn of_controller(&self, controller: &Controller) -> WorkloadKey {
        if let Some(owner) = &controller.owner {
            let role = role(controller.kind);
            let top = self.top(&controller.at.namespace, owner);
            return if role == PodRole::Pod { top } else { WorkloadKey { role, ..top } };
        }
        served(controller).unwrap_or_else(|| key(&controller.at, kind_text(controller.kind), role(controller.kind)))
    }

    fn top(&self, namespace: &Arc<str>, owner: &Owner) -> WorkloadKey {
        let mut owner = owner;
        let mut found_role = PodRole::Pod;
        let mut is_workflow = false;
        for _ in 0..MAX_LINKS {
            let at = ObjectRef { namespace: namespace.clone(), name: owner.name.clone() };
            // Only what container hooks make is owned by a pod: that of the runner.
            if &*owner.kind == "Pod" {
                is_workflow = true;
                // ARC gives a runner and its pod one name; the pod may have gone first.
                let next = self.inventory.pods.get(&at).and_then(|pod| pod.owner.as_ref()).or_else(|| {
                    let runner = [ControllerKind::EphemeralRunner, ControllerKind::Runner].into_iter();
                    let mut runner = runner.filter_map(|kind| self.inventory.controllers.get(&(kind, at.clone())));
                    runner.find_map(|runner| runner.owner.as_ref())
                });
                match next {
                    Some(next) => owner = next,
                    None => return key(&at, owner.kind.clone(), PodRole::Workflow),
                }
                continue;
            }
            let kind = ControllerKind::of(&owner.api_version, &owner.kind);
            if let Some(kind) = kind
                && found_role == PodRole::Pod
            {
                found_role = role(kind);
            }
            let known = kind.and_then(|kind| self.inventory.controllers.get(&(kind, at.clone())));
            if let Some(next) = known.and_then(|known| known.owner.as_ref()) {
                owner = next;
                continue;
            }
            if let Some(served) = known.and_then(|known| served(known)) {
                return served;
            }
            break;
        }
        let at = ObjectRef { namespace: namespace.clone(), name: owner.name.clone() };
        key(&at, owner.kind.clone(), if is_workflow { PodRole::Workflow } else { found_role })
    }
}

/// The scale set of a listener, which is in another namespace and so cannot be its owner.
fn served(controller: &Controller) -> Option<WorkloadKey> {
    let scale_set = controller.arc.as_ref()?.scale_set.as_ref()?;
    Some(key(scale_set, kind_text(ControllerKind::AutoscalingRunnerSet), PodRole::Listener))
}

/// The part that pods of a kind play.
fn role(kind: ControllerKind) -> PodRole {
    match kind {
        ControllerKind::AutoscalingListener => PodRole::Listener,
        kind if kind.is_arc() => PodRole::Runner,
        _ => PodRole::Pod,
    }
}

fn key(at: &ObjectRef, kind: Arc<str>, role: PodRole) -> WorkloadKey {
    WorkloadKey { namespace: at.namespace.clone(), kind, name: at.name.clone(), role }
}
