//! Pods that wait on a pull at this moment, by workload, and for some minutes the workflow pods that waited when they
//! vanished. Remembers the last cause of each container, since a back-off of an older kubelet does not repeat it.

mod gone;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use self::gone::{Gone, REMEMBERED};
use self::gone::{Memory, is_remembered};
use super::failing::{PullFailure, Wait, classify};
use super::owners::Owners;
use super::{Gap, Workload, WorkloadKey};
use crate::cluster::{
    ContainerKind, ControllerKind, Inventory, ObjectRef, Origin, Pod, PodImage, RunnerStatus, Waiting,
};

/// A pull that fails in pods of a workload: what is pulled, with which Secrets, and why it fails.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailingPull {
    /// The image as written.
    pub image: Arc<str>,
    /// Names of the pull Secrets of those pods, in order.
    pub secrets: Vec<Arc<str>>,
    /// Why.
    pub failure: PullFailure,
}

/// Runners of a scale set that stay `Pending`, because their pods wait on an image. ARC's controller takes a container
/// that waits for one that runs, so that no failure is counted and nothing ends (`ephemeralrunner_controller.go`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hanging {
    /// Their names, in order.
    pub runners: Vec<Arc<str>>,
    /// What the controller says of one of them; mostly empty.
    pub says: String,
}

/// What fails in the pods of one workload right now, and what failed in those that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failing {
    /// Pods per reason. A pod whose containers wait for different reasons counts under each.
    pub pods: BTreeMap<PullFailure, usize>,
    /// The pulls, with the number of pods in which each fails.
    pub pulls: BTreeMap<FailingPull, usize>,
    /// By image, the runners that hang because of it.
    pub hanging: BTreeMap<Arc<str>, Hanging>,
    /// Workflow pods that vanished while they waited.
    pub gone: Gone,
}

/// What is waited for now, and the last known causes.
#[derive(Debug, Default)]
pub struct Waits {
    /// Pods that wait on a pull, and no others.
    known: HashMap<ObjectRef, Known>,
    gone: Memory,
    failing: BTreeMap<WorkloadKey, Failing>,
}

/// A pod as it was seen last.
#[derive(Debug)]
struct Known {
    /// To see a change by pointer: the texts of most pods are read once.
    pod: Arc<Pod>,
    /// Its workload: what it is rolled up by can go before it does.
    key: WorkloadKey,
    causes: Vec<Cause>,
}

/// Why a container waits on a pull.
#[derive(Clone, Debug)]
struct Cause {
    container: Arc<str>,
    image: Arc<str>,
    failure: PullFailure,
}

impl Waits {
    /// Bring it in step with the inventory. Pods that are gone and containers that wait no more are forgotten; a workflow
    /// pod of a cluster that waited when it was last seen is kept in mind for [`REMEMBERED`]. `now` is wall time.
    pub fn sync(&mut self, inventory: &Inventory, now: DateTime<Utc>) {
        let owners = Owners::of(inventory);
        let mut before = std::mem::take(&mut self.known);
        self.failing.clear();
        for pod in inventory.pods.values().filter(|pod| !pod.waiting.is_empty()) {
            let known = before.remove(&pod.at);
            let causes = match &known {
                Some(known) if Arc::ptr_eq(&known.pod, pod) => known.causes.clone(),
                known => causes(pod, known.as_ref().map(|known| &*known.causes).unwrap_or_default()),
            };
            if causes.is_empty() {
                continue;
            }
            let key = owners.of_pod(pod);
            let failing = self.failing.entry(key.clone()).or_default();
            failing.count(pod, &causes);
            if let Some((name, status)) = pending_runner(pod, inventory) {
                failing.hangs(&causes, name, status);
            }
            let key = known
                .map(|known| known.key)
                .filter(|known| is_remembered(known) && !is_remembered(&key))
                .unwrap_or(key);
            self.known.insert(pod.at.clone(), Known { pod: Arc::clone(pod), key, causes });
        }
        self.gone.expire(now);
        self.gone.forget(|at| inventory.pods.contains_key(at));
        for (at, known) in before {
            if inventory.origin == Origin::Cluster && !inventory.pods.contains_key(&at) && is_remembered(&known.key) {
                self.gone.remember(at, known.key, known.causes, now);
            }
        }
        self.gone.roll_up(&mut self.failing);
    }

    /// By workload, what fails now or did in pods that are gone; workloads where nothing does are absent.
    pub fn failing(&self) -> &BTreeMap<WorkloadKey, Failing> {
        &self.failing
    }

    /// Whether something that is told is too long ago by now: then [`Waits::sync`] is due.
    pub fn is_stale(&self, now: DateTime<Utc>) -> bool {
        self.gone.is_stale(now)
    }

    /// Workloads that nothing tells of but pods that are gone, such as those of hooks that a runner's image turns on.
    pub fn add_unseen(&self, workloads: &mut BTreeMap<WorkloadKey, Workload>) {
        for key in self.failing.iter().filter(|(_, failing)| !failing.gone.is_empty()).map(|(key, _)| key) {
            workloads.entry(key.clone()).or_insert_with(|| Workload {
                key: key.clone(),
                pulls: Vec::new(),
                idle: false,
                gap: Some(Gap::PodsGone),
            });
        }
    }
}

impl Failing {
    fn count(&mut self, pod: &Pod, causes: &[Cause]) {
        for reason in causes.iter().map(|cause| cause.failure).collect::<BTreeSet<PullFailure>>() {
            *self.pods.entry(reason).or_default() += 1;
        }
        let pulls: BTreeSet<(&Arc<str>, PullFailure)> =
            causes.iter().map(|cause| (&cause.image, cause.failure)).collect();
        for (image, failure) in pulls {
            let pull = FailingPull { image: Arc::clone(image), secrets: pod.pull_secrets.clone(), failure };
            *self.pulls.entry(pull).or_default() += 1;
        }
    }

    fn hangs(&mut self, causes: &[Cause], runner: &Arc<str>, status: &RunnerStatus) {
        for image in causes.iter().map(|cause| &cause.image).collect::<BTreeSet<_>>() {
            let hanging = self.hanging.entry(Arc::clone(image)).or_default();
            hanging.runners.push(Arc::clone(runner));
            if hanging.says.is_empty() {
                let parts = [&*status.reason, &*status.message].into_iter().filter(|part| !part.is_empty());
                hanging.says = parts.collect::<Vec<_>>().join(": ");
            }
        }
    }
}

/// The runner that owns a pod, where ARC's controller takes it for pending.
fn pending_runner<'a>(pod: &'a Pod, inventory: &'a Inventory) -> Option<(&'a Arc<str>, &'a RunnerStatus)> {
    let owner = pod.owner.as_ref()?;
    let kind = ControllerKind::of(&owner.api_version, &owner.kind)?;
    if kind != ControllerKind::EphemeralRunner {
        return None;
    }
    let at = ObjectRef { namespace: Arc::clone(&pod.at.namespace), name: Arc::clone(&owner.name) };
    let runner = inventory.controllers.get(&(kind, at))?;
    let status = runner.arc.as_ref()?.runner.as_ref()?;
    status.is_pending().then_some((&owner.name, status))
}

/// Why the containers of a pod wait on a pull; `before` is what was known of them.
fn causes(pod: &Pod, before: &[Cause]) -> Vec<Cause> {
    let cause = |waiting: &Waiting| {
        let wait = classify(&waiting.reason, &waiting.message);
        if wait == Wait::Elsewhere {
            return None;
        }
        let (container, image) = (Arc::clone(&waiting.container), image_of(pod, waiting)?);
        let same = |known: &&Cause| known.container == container && known.image == image;
        let failure = match wait {
            Wait::Pull(failure) => failure,
            Wait::BackOff | Wait::Elsewhere => {
                before.iter().find(same).map_or(PullFailure::Other, |known| known.failure)
            }
        };
        Some(Cause { container, image, failure })
    };
    pod.waiting.iter().filter_map(cause).collect()
}

/// The image that a container waits for: its own, or that of a volume that the message names instead.
fn image_of(pod: &Pod, waiting: &Waiting) -> Option<Arc<str>> {
    let own = |image: &&PodImage| image.kind != ContainerKind::ImageVolume && image.container == waiting.container;
    let named = |image: &&PodImage| waiting.message.contains(&format!("\"{}\"", image.image));
    let own = pod.images.iter().find(own);
    let volume = pod.images.iter().find(|image| image.kind == ContainerKind::ImageVolume && named(image));
    match (own, volume) {
        (Some(own), Some(_)) if named(&own) => Some(own),
        (own, volume) => volume.or(own),
    }
    .map(|image| Arc::clone(&image.image))
}

#[cfg(test)]
mod arc_tests;
#[cfg(test)]
mod tests;
