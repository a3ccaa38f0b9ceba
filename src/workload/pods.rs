//! Pods: the live spec is the ground truth of what the kubelet does (`getPullSecretsForPod` in
//! `pkg/kubelet/kubelet_pods.go` reads the pod's own list and nothing else).

use std::sync::{Arc, LazyLock};

use super::rollup::Puller;
use super::{PodRole, SecretSource, WorkloadKey};
use crate::cluster::Pod;

/// Shared by all pods without an owner.
static POD: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("Pod"));

/// The workload that a pod belongs to.
pub(super) fn key(pod: &Pod) -> WorkloadKey {
    let (kind, name) = match &pod.owner {
        Some(owner) => (&owner.kind, &owner.name),
        None => (&*POD, &pod.at.name),
    };
    WorkloadKey { namespace: pod.at.namespace.clone(), kind: kind.clone(), name: name.clone(), role: PodRole::Pod }
}

/// What a pod pulls, and for whom.
pub(super) fn pod(pod: &Pod) -> Puller<'_> {
    Puller {
        key: key(pod),
        secrets: &pod.pull_secrets,
        source: if pod.admitted_from_service_account { SecretSource::ServiceAccount } else { SecretSource::Pod },
        images: pod.images.iter().map(|image| (&image.image, &image.container)).collect(),
    }
}
