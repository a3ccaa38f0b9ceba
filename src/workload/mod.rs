//! Who would pull which image with which Secrets: pods with the kubelet's rules and the templates of which pods are made,
//! rolled up to their top owners; scale sets of Actions Runner Controller with their runners, listener and workflow pods.
//!
//! Objects of the inventory in, workloads out. Each kind of object that pulls has a module of its own that tells who it
//! is and what it pulls; [`workloads`] merges them. No I/O, no clock; images are not parsed here, and Secrets are names.

mod arc;
mod failing;
mod manager;
mod owners;
mod pods;
mod rollup;
mod roster;
mod templates;
mod waits;

#[cfg(test)]
mod arc_tests;
#[cfg(test)]
mod manager_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::failing::{PullFailure, Wait, classify};
use self::owners::Owners;
use self::rollup::roll_up;
pub use self::roster::Roster;
pub use self::waits::{Failing, FailingPull, Gone, Hanging, REMEMBERED, Waits};
use crate::cluster::{Inventory, ObjectRef, Pod, TemplateHolder};

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
    /// The extension template of container hooks.
    HookTemplate,
    /// A Secret that container hooks make for one job.
    JobSecret,
}

/// One way in which a workload pulls: pods of one workload can differ (a rollout), so each distinct combination of
/// namespace-local Secrets and image stands once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// The image as written.
    pub image: Arc<str>,
    /// Names of the containers and volumes that name it, sorted.
    pub containers: Vec<Arc<str>>,
    /// Where its pods are, which for a listener is not where its scale set is.
    pub namespace: Arc<str>,
    /// The `ServiceAccount` of its pods.
    pub service_account: Arc<str>,
    /// Names of the pull Secrets, in order, in the namespace of the pull. Shared by the images of a pod.
    pub secrets: Arc<[Arc<str>]>,
    /// Where that list comes from.
    pub source: SecretSource,
}

/// A workload and what it pulls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Who.
    pub key: WorkloadKey,
    /// What, sorted by namespace and image.
    pub pulls: Vec<Pull>,
    /// It has no pods now, and none are wanted.
    pub idle: bool,
    /// What cannot be known of it beforehand.
    pub gap: Option<Gap>,
}

/// What cannot be known of a workload before its pods exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The listener's pod is made by the controller, in its own namespace, and neither it nor the controller is among the
    /// objects.
    ListenerUnseen,
    /// The controller of ARC's legacy kinds adds its own pull Secrets to a pod that has none
    /// (`--runner-image-pull-secret`), and is not among the objects.
    ControllerDefault,
    /// Only a job names the image of its workflow pod.
    JobImage(JobPods),
    /// Nothing tells of its pods but some that are gone.
    PodsGone,
    /// The extension template of container hooks is not known.
    HookTemplate(UnknownTemplate),
}

/// An extension template of container hooks that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTemplate {
    /// Where it stands, and why it is not known.
    pub why: Box<str>,
    /// The object that holds it, where RBAC does not let us read that.
    pub refused: Option<(TemplateHolder, Arc<str>)>,
}

/// What is known of the workflow pods of jobs to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPods {
    /// Names of the pull Secrets that they present, unless the job brings its own.
    pub secrets: Vec<Arc<str>>,
    /// Where that list comes from.
    pub source: SecretSource,
    /// Their `ServiceAccount`.
    pub service_account: Arc<str>,
    /// Whether the runner presents the job's `GITHUB_TOKEN` for an image on ghcr.io, in place of the `ServiceAccount`'s list.
    pub github_token: bool,
}

/// All workloads of the inventory, worked out from nothing.
pub fn workloads(inventory: &Inventory) -> BTreeMap<WorkloadKey, Workload> {
    let mut roster = Roster::default();
    roster.sync(inventory);
    roster.into_workloads()
}

/// What one pod pulls, under the key of the workload that it is rolled up to.
pub fn of_pod(pod: &Pod, inventory: &Inventory) -> Option<Workload> {
    roll_up(std::iter::once(pods::pod(pod, &Owners::of(inventory)))).into_values().next()
}

/// The images that pods pull, per Secret that they name.
pub type NeededImages = BTreeMap<ObjectRef, BTreeSet<Arc<str>>>;

/// The images that pods pull, per Secret that they name: what a later room needs to know which hosts a credential is for.
pub fn needed_images(workloads: &BTreeMap<WorkloadKey, Workload>) -> NeededImages {
    let mut needed = NeededImages::new();
    for workload in workloads.values() {
        for pull in &workload.pulls {
            for secret in pull.secrets.iter() {
                let at = ObjectRef { namespace: pull.namespace.clone(), name: secret.clone() };
                needed.entry(at).or_default().insert(pull.image.clone());
            }
        }
    }
    needed
}
