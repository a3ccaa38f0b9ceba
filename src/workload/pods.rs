//! Pods: the live spec is the ground truth of what the kubelet does (`getPullSecretsForPod` in
//! `pkg/kubelet/kubelet_pods.go` reads the pod's own list and nothing else).

use super::owners::Owners;
use super::rollup::Puller;
use super::{PodRole, SecretSource};
use crate::cluster::Pod;

/// What a pod pulls, and for whom.
pub(super) fn pod<'a>(pod: &'a Pod, owners: &Owners<'_>) -> Puller<'a> {
    let key = owners.of_pod(pod);
    let source = if pod.admitted_from_service_account {
        SecretSource::ServiceAccount
    } else if key.role == PodRole::Workflow && matches!(&*pod.pull_secrets, [only] if is_of_a_job(only)) {
        SecretSource::JobSecret
    } else {
        SecretSource::Pod
    };
    Puller {
        key,
        namespace: &pod.at.namespace,
        service_account: &pod.service_account,
        secrets: &pod.pull_secrets,
        source,
        images: pod.images.iter().map(|image| (&image.image, &image.container)).collect(),
        idle: false,
        gap: None,
    }
}

/// Container hooks call the Secret of a job `RUNNER-secret-` and 8 hexadecimal digits
/// (actions/runner-container-hooks, `packages/k8s/src/k8s/index.ts`).
fn is_of_a_job(name: &str) -> bool {
    name.rsplit_once("-secret-")
        .is_some_and(|(_, digits)| digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}
