//! Merging what single objects pull into workloads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{Pull, SecretSource, Workload, WorkloadKey};

/// One object that pulls, such as a pod.
#[derive(Debug)]
pub(super) struct Puller<'a> {
    /// The workload that it belongs to.
    pub(super) key: WorkloadKey,
    /// Names of its pull Secrets, in order. The order decides which credential is tried first.
    pub(super) secrets: &'a [Arc<str>],
    /// Where that list comes from.
    pub(super) source: SecretSource,
    /// Its images with the container that names each.
    pub(super) images: Vec<(&'a Arc<str>, &'a Arc<str>)>,
}

/// What makes one pull differ from another, in sort order: image, Secrets, source.
type PullKey<'a> = (&'a Arc<str>, &'a [Arc<str>], SecretSource);

/// Merge pullers by workload: identical pulls become one, whose containers are the union.
pub(super) fn roll_up<'a>(pullers: impl Iterator<Item = Puller<'a>>) -> BTreeMap<WorkloadKey, Workload> {
    let mut merged: BTreeMap<WorkloadKey, BTreeMap<PullKey<'a>, BTreeSet<&'a Arc<str>>>> = BTreeMap::new();
    for puller in pullers {
        let pulls = merged.entry(puller.key).or_default();
        for (image, container) in puller.images {
            pulls.entry((image, puller.secrets, puller.source)).or_default().insert(container);
        }
    }
    let mut lists: HashMap<&[Arc<str>], Arc<[Arc<str>]>> = HashMap::new();
    let mut finish = |(image, secrets, source): PullKey<'a>, containers: BTreeSet<&'a Arc<str>>| Pull {
        image: image.clone(),
        containers: containers.into_iter().cloned().collect(),
        secrets: Arc::clone(lists.entry(secrets).or_insert_with(|| Arc::from(secrets))),
        source,
    };
    merged
        .into_iter()
        .map(|(key, pulls)| {
            let pulls = pulls.into_iter().map(|(pull, containers)| finish(pull, containers)).collect();
            (key.clone(), Workload { key, pulls })
        })
        .collect()
}
