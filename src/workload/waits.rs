//! Pods that wait on a pull at this moment, by workload. Remembers the last cause of each container, since a back-off of
//! an older kubelet does not repeat it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::failing::{PullFailure, Wait, classify};
use super::{WorkloadKey, pods};
use crate::cluster::{ContainerKind, Inventory, ObjectRef, Pod, PodImage, Waiting};

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

/// What fails in the pods of one workload right now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failing {
    /// Pods per reason. A pod whose containers wait for different reasons counts under each.
    pub pods: BTreeMap<PullFailure, usize>,
    /// The pulls, with the number of pods in which each fails.
    pub pulls: BTreeMap<FailingPull, usize>,
}

/// What is waited for now, and the last known causes.
#[derive(Debug, Default)]
pub struct Waits {
    /// By pod and container: the image, and why it failed last. Holds containers that wait on a pull and no others.
    causes: HashMap<(ObjectRef, Arc<str>), (Arc<str>, PullFailure)>,
    failing: BTreeMap<WorkloadKey, Failing>,
}

impl Waits {
    /// Bring it in step with the inventory. Pods that are gone and containers that wait no more are forgotten.
    pub fn sync(&mut self, inventory: &Inventory) {
        let mut causes = HashMap::new();
        self.failing.clear();
        for pod in inventory.pods.values().filter(|pod| !pod.waiting.is_empty()) {
            let mut pulls: BTreeSet<(Arc<str>, PullFailure)> = BTreeSet::new();
            for waiting in &pod.waiting {
                let wait = classify(&waiting.reason, &waiting.message);
                let Some(image) = image_of(pod, waiting).filter(|_| wait != Wait::Elsewhere) else { continue };
                let at = (pod.at.clone(), Arc::clone(&waiting.container));
                let remembered = self.causes.get(&at).filter(|(known, _)| *known == image).map(|(_, failure)| *failure);
                let failure = match wait {
                    Wait::Pull(failure) => failure,
                    Wait::BackOff | Wait::Elsewhere => remembered.unwrap_or(PullFailure::Other),
                };
                causes.insert(at, (Arc::clone(&image), failure));
                pulls.insert((image, failure));
            }
            if pulls.is_empty() {
                continue;
            }
            let failing = self.failing.entry(pods::key(pod)).or_default();
            let reasons: BTreeSet<PullFailure> = pulls.iter().map(|(_, failure)| *failure).collect();
            for reason in reasons {
                *failing.pods.entry(reason).or_default() += 1;
            }
            for (image, failure) in pulls {
                let pull = FailingPull { image, secrets: pod.pull_secrets.clone(), failure };
                *failing.pulls.entry(pull).or_default() += 1;
            }
        }
        self.causes = causes;
    }

    /// By workload, what fails now; workloads where nothing does are absent.
    pub fn failing(&self) -> &BTreeMap<WorkloadKey, Failing> {
        &self.failing
    }
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
