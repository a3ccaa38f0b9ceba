//! Who would pull which image with which Secrets: pods with the kubelet's rules, rolled up to their owners. Scale sets,
//! listeners and workflow pods join here.
//!
//! Objects of the inventory in, workloads out. Each kind of object that pulls has a module of its own that tells who it
//! is and what it pulls; [`workloads`] merges them. No I/O, no clock; images are not parsed here, and Secrets are names.

mod failing;
mod pods;
mod rollup;
mod waits;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::failing::{PullFailure, Wait, classify};
use self::rollup::roll_up;
pub use self::waits::{Failing, FailingPull, Waits};
use crate::cluster::{Inventory, ObjectRef, Pod};

/// Identity of a workload: the label set `W`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadKey {
    /// `workload_namespace`
    pub namespace: Arc<str>,
    /// `workload_kind`: the Kubernetes kind.
    pub kind: Arc<str>,
    /// `workload_name`
    pub name: Arc<str>,
    /// `pod_role`
    pub role: PodRole,
}

/// The part that a pod plays: the label `pod_role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PodRole {
    /// A runner of a scale set.
    Runner,
    /// A listener of a scale set.
    Listener,
    /// A workflow pod that container hooks make.
    Workflow,
    /// Any other pod.
    Pod,
}

impl PodRole {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runner => "runner",
            Self::Listener => "listener",
            Self::Workflow => "workflow",
            Self::Pod => "pod",
        }
    }
}

/// Where a list of pull Secrets comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretSource {
    /// The pod's own list.
    Pod,
    /// The list of its `ServiceAccount`.
    ServiceAccount,
}

/// One way in which a workload pulls: pods of one workload can differ (a rollout), so each distinct combination of
/// namespace-local Secrets and image stands once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// The image as written.
    pub image: Arc<str>,
    /// Names of the containers and volumes that name it, sorted.
    pub containers: Vec<Arc<str>>,
    /// Names of the pull Secrets, in order, in the workload's namespace. Shared by the images of a pod.
    pub secrets: Arc<[Arc<str>]>,
    /// Where that list comes from.
    pub source: SecretSource,
}

/// A workload and what it pulls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Who.
    pub key: WorkloadKey,
    /// What, sorted by image.
    pub pulls: Vec<Pull>,
}

/// All workloads of the inventory.
pub fn workloads(inventory: &Inventory) -> BTreeMap<WorkloadKey, Workload> {
    roll_up(inventory.pods.values().map(|pod| pods::pod(pod)))
}

/// What one pod pulls, under the key of the workload that it is rolled up to.
pub fn of_pod(pod: &Pod) -> Option<Workload> {
    roll_up(std::iter::once(pods::pod(pod))).into_values().next()
}

/// The images that pods pull, per Secret that they name: what a later room needs to know which hosts a credential is for.
pub fn needed_images(workloads: &BTreeMap<WorkloadKey, Workload>) -> BTreeMap<ObjectRef, BTreeSet<Arc<str>>> {
    let mut needed: BTreeMap<ObjectRef, BTreeSet<Arc<str>>> = BTreeMap::new();
    for workload in workloads.values() {
        for pull in &workload.pulls {
            for secret in pull.secrets.iter() {
                let at = ObjectRef { namespace: workload.key.namespace.clone(), name: secret.clone() };
                needed.entry(at).or_default().insert(pull.image.clone());
            }
        }
    }
    needed
}
