//! Pods that wait on a pull at this moment, by workload. Remembers the last cause of each container, since a back-off of
//! an older kubelet does not repeat it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::WorkloadKey;
use super::failing::{PullFailure, Wait, classify};
use super::owners::Owners;
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
    /// Pods that wait on a pull, and no others.
    known: HashMap<ObjectRef, Known>,
    failing: BTreeMap<WorkloadKey, Failing>,
}

/// A pod as it was seen last.
#[derive(Debug)]
struct Known {
    /// To see a change by pointer: the texts of most pods are read once.
    pod: Arc<Pod>,
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
    /// Bring it in step with the inventory. Pods that are gone and containers that wait no more are forgotten.
    pub fn sync(&mut self, inventory: &Inventory) {
        let owners = Owners::of(inventory);
        let mut before = std::mem::take(&mut self.known);
        self.failing.clear();
        for pod in inventory.pods.values().filter(|pod| !pod.waiting.is_empty()) {
            let causes = match before.remove(&pod.at) {
                Some(known) if Arc::ptr_eq(&known.pod, pod) => known.causes,
                known => causes(pod, known.map(|known| known.causes).as_deref().unwrap_or_default()),
            };
            if causes.is_empty() {
                continue;
            }
            let failing = self.failing.entry(owners.of_pod(pod)).or_default();
            let reasons: BTreeSet<PullFailure> = causes.iter().map(|cause| cause.failure).collect();
            for reason in reasons {
                *failing.pods.entry(reason).or_default() += 1;
            }
            let pulls: BTreeSet<(&Arc<str>, PullFailure)> =
                causes.iter().map(|cause| (&cause.image, cause.failure)).collect();
            for (image, failure) in pulls {
                let pull = FailingPull { image: Arc::clone(image), secrets: pod.pull_secrets.clone(), failure };
                *failing.pulls.entry(pull).or_default() += 1;
            }
            self.known.insert(pod.at.clone(), Known { pod: Arc::clone(pod), causes });
        }
    }

    /// By workload, what fails now; workloads where nothing does are absent.
    pub fn failing(&self) -> &BTreeMap<WorkloadKey, Failing> {
        &self.failing
    }
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
mod tests {
    use super::*;
    use crate::cluster::Owner;

    const IMAGE: &str = "ghcr.io/org/img:v1";
    const BARE: &str = "Back-off pulling image \"ghcr.io/org/img:v1\"";
    const REFUSED: &str = "failed to fetch oauth token: unexpected status: 403 Forbidden";

    fn waiting(container: &str, reason: &str, message: &str) -> Waiting {
        Waiting { container: container.into(), reason: reason.into(), message: message.into() }
    }

    /// A pod of the `StatefulSet` `web` with two containers of one image, and an image volume.
    fn pod(name: &str, image: &str, waiting: Vec<Waiting>) -> Pod {
        let part =
            |container: &str, kind, image: &str| PodImage { container: container.into(), kind, image: image.into() };
        Pod {
            at: ObjectRef::new("a", name),
            service_account: "default".into(),
            pull_secrets: vec!["s".into()],
            admitted_from_service_account: false,
            images: vec![
                part("main", ContainerKind::Regular, image),
                part("side", ContainerKind::Regular, image),
                part("data", ContainerKind::ImageVolume, "ghcr.io/org/data:v1"),
            ],
            owner: Some(Owner { api_version: "apps/v1".into(), kind: "StatefulSet".into(), name: "web".into() }),
            waiting,
        }
    }

    fn sync(waits: &mut Waits, pods: Vec<Pod>) -> Vec<(PullFailure, usize)> {
        let pods = pods.into_iter().map(|pod| (pod.at.clone(), Arc::new(pod))).collect();
        waits.sync(&Inventory { pods, ..Inventory::default() });
        assert!(waits.failing().keys().all(|key| (&*key.kind, &*key.name) == ("StatefulSet", "web")));
        waits.failing().values().flat_map(|failing| failing.pods.clone()).collect()
    }

    #[test]
    fn a_pod_counts_once_per_reason() {
        let refused = || vec![waiting("main", "ErrImagePull", REFUSED), waiting("side", "ErrImagePull", REFUSED)];
        let two = vec![waiting("main", "ErrImagePull", REFUSED), waiting("side", "RegistryUnavailable", "")];
        let crashes = vec![waiting("main", "CrashLoopBackOff", "")];
        let pods = vec![
            pod("web-0", IMAGE, refused()),
            pod("web-1", IMAGE, two),
            pod("web-2", IMAGE, crashes),
            pod("web-3", IMAGE, vec![]),
        ];
        let mut waits = Waits::default();
        assert_eq!(sync(&mut waits, pods), [(PullFailure::CredentialRefused, 2), (PullFailure::Network, 1)]);
        let pull =
            FailingPull { image: IMAGE.into(), secrets: vec!["s".into()], failure: PullFailure::CredentialRefused };
        assert_eq!(waits.failing().values().next().and_then(|failing| failing.pulls.get(&pull)), Some(&2));
    }

    #[test]
    fn a_back_off_without_a_cause_keeps_the_last_one_of_its_container() {
        let mut waits = Waits::default();
        let refused = || vec![waiting("main", "ErrImagePull", REFUSED)];
        let bare = |container| vec![waiting(container, "ImagePullBackOff", BARE)];
        let kept = [(PullFailure::CredentialRefused, 1)];
        assert_eq!(
            sync(&mut waits, vec![pod("web-0", IMAGE, bare("main"))]),
            [(PullFailure::Other, 1)],
            "not told yet"
        );
        assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, refused())]), kept);
        assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, bare("main"))]), kept);
        assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, bare("main"))]), kept, "and goes on keeping it");
        let newer = vec![waiting("main", "ImagePullBackOff", &format!("{BARE}: ErrImagePull: x: not found"))];
        assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, newer)]), [(PullFailure::NotFound, 1)], "a newer cause");
        assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, bare("main"))]), [(PullFailure::NotFound, 1)]);
        // Another container, another image, another pod: nothing is known of them.
        assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, bare("side"))]), [(PullFailure::Other, 1)]);
        sync(&mut waits, vec![pod("web-0", IMAGE, refused())]);
        assert_eq!(sync(&mut waits, vec![pod("web-0", "ghcr.io/org/img:v2", bare("main"))]), [(PullFailure::Other, 1)]);
        sync(&mut waits, vec![pod("web-0", IMAGE, refused())]);
        assert_eq!(sync(&mut waits, vec![pod("web-1", IMAGE, bare("main"))]), [(PullFailure::Other, 1)]);
    }

    #[test]
    fn what_waits_no_more_is_forgotten() {
        let refused = || vec![waiting("main", "ErrImagePull", REFUSED)];
        let bare = || vec![waiting("main", "ImagePullBackOff", BARE)];
        for between in [
            vec![],
            vec![pod("web-0", IMAGE, vec![])],
            vec![pod("web-0", IMAGE, vec![waiting("main", "ContainerCreating", "")])],
        ] {
            let mut waits = Waits::default();
            sync(&mut waits, vec![pod("web-0", IMAGE, refused())]);
            assert!(sync(&mut waits, between).is_empty());
            assert!(waits.known.is_empty(), "nothing is kept of pods that are gone");
            assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, bare())]), [(PullFailure::Other, 1)]);
        }
    }

    #[test]
    fn a_message_that_names_the_image_of_a_volume_is_about_the_volume() {
        let mut waits = Waits::default();
        let message = format!("failed to pull and unpack image \"ghcr.io/org/data:v1\": {REFUSED}");
        sync(&mut waits, vec![pod("web-0", IMAGE, vec![waiting("main", "ErrImagePull", &message)])]);
        let images: Vec<_> = waits.failing().values().flat_map(|failing| failing.pulls.keys()).collect();
        assert_eq!(images.iter().map(|pull| &*pull.image).collect::<Vec<_>>(), ["ghcr.io/org/data:v1"]);
    }
}
