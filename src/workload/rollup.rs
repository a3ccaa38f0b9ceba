//! Merging what single objects pull into workloads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{Gap, Pull, SecretSource, Workload, WorkloadKey};

/// One object that pulls, such as a pod.
#[derive(Debug)]
pub(super) struct Puller<'a> {
    /// The workload that it belongs to.
    pub(super) key: WorkloadKey,
    /// Where its pods are.
    pub(super) namespace: &'a Arc<str>,
    /// Their `ServiceAccount`.
    pub(super) service_account: &'a Arc<str>,
    /// Names of its pull Secrets, in order. The order decides which credential is tried first.
    pub(super) secrets: &'a [Arc<str>],
    /// Where that list comes from.
    pub(super) source: SecretSource,
    /// Its images with the container that names each.
    pub(super) images: Vec<(&'a Arc<str>, &'a Arc<str>)>,
    /// It has no pods, and wants none.
    pub(super) idle: bool,
    /// What cannot be known of it.
    pub(super) gap: Option<Gap>,
}

/// What makes one pull differ from another, in sort order: namespace, image, Secrets.
type PullKey<'a> = (&'a Arc<str>, &'a Arc<str>, &'a [Arc<str>]);

/// What is told of a pull beside its key.
struct Told<'a> {
    source: SecretSource,
    service_account: &'a Arc<str>,
    containers: BTreeSet<&'a Arc<str>>,
}

struct Merged<'a> {
    pulls: BTreeMap<PullKey<'a>, Told<'a>>,
    idle: bool,
    gap: Option<Gap>,
}

/// Merge pullers by workload: identical pulls become one, whose containers are the union. A live pod does not tell whether
/// its list was copied from the `ServiceAccount`; a template with the same list does, and is believed.
pub(super) fn roll_up<'a>(pullers: impl Iterator<Item = Puller<'a>>) -> BTreeMap<WorkloadKey, Workload> {
    let mut merged: BTreeMap<WorkloadKey, Merged<'a>> = BTreeMap::new();
    for puller in pullers {
        let into = merged.entry(puller.key).or_insert_with(|| Merged { pulls: BTreeMap::new(), idle: true, gap: None });
        into.idle &= puller.idle;
        into.gap = into.gap.take().or(puller.gap);
        for (image, container) in puller.images {
            let told = into.pulls.entry((puller.namespace, image, puller.secrets)).or_insert_with(|| Told {
                source: puller.source,
                service_account: puller.service_account,
                containers: BTreeSet::new(),
            });
            told.source = told.source.max(puller.source);
            told.containers.insert(container);
        }
    }
    let mut lists = HashMap::new();
    merged.into_iter().map(|(key, merged)| (key.clone(), finish(key, merged, &mut lists))).collect()
}

/// `lists` are the lists of Secrets that are shared already.
fn finish<'a>(key: WorkloadKey, merged: Merged<'a>, lists: &mut HashMap<&'a [Arc<str>], Arc<[Arc<str>]>>) -> Workload {
    let pull = |((namespace, image, secrets), told): (PullKey<'a>, Told<'a>)| Pull {
        image: image.clone(),
        containers: told.containers.into_iter().cloned().collect(),
        namespace: namespace.clone(),
        service_account: told.service_account.clone(),
        secrets: Arc::clone(lists.entry(secrets).or_insert_with(|| Arc::from(secrets))),
        source: told.source,
    };
    let pulls: Vec<Pull> = merged.pulls.into_iter().map(pull).collect();
    // What is seen fills these gaps; which image a job will name is open whatever is seen.
    let filled = matches!(merged.gap, Some(Gap::ListenerUnseen | Gap::ControllerDefault)) && !pulls.is_empty();
    Workload { key, pulls, idle: merged.idle, gap: merged.gap.filter(|_| !filled) }
}
