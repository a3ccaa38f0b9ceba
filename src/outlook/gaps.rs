//! Words for Actions Runner Controller: why its pods present no credential, where a Secret must be named to count, and
//! what cannot be known before a job runs.

use std::sync::Arc;

use super::words::{patch_account, quoted};
use crate::workload::{Gap, JobPods, PodRole, Pull, SecretSource, UnknownTemplate, WorkloadKey};

/// The kind of a scale set.
const SCALE_SET: &str = "AutoscalingRunnerSet";

/// Why pods of a scale set present nothing, to follow the words that they do not; empty for other pods.
pub(super) fn why_no_credential(key: &WorkloadKey, pull: &Pull) -> String {
    if !pull.secrets.is_empty() || &*key.kind != SCALE_SET {
        return String::new();
    }
    let account = &pull.service_account;
    match key.role {
        PodRole::Runner => format!(
            "; runner pods present no credential, because `template.spec.imagePullSecrets` of the scale set is empty and \
             the ServiceAccount {account} names no Secret (a top-level `imagePullSecrets` in the values of the chart \
             gha-runner-scale-set does nothing)"
        ),
        PodRole::Workflow => format!(
            "; workflow pods inherit nothing from the runner's pod, and neither a hook extension nor the ServiceAccount \
             {account} names a Secret"
        ),
        PodRole::Listener => format!(
            "; the listener's pod is in the controller's namespace {}, and only what is named there counts",
            pull.namespace
        ),
        PodRole::Pod => String::new(),
    }
}

/// How to name a Secret so that it counts for pods of a scale set; `None` for other pods.
pub(super) fn where_to_name(key: &WorkloadKey, pull: &Pull, secret: &str) -> Option<String> {
    let (namespace, name) = (quoted(&key.namespace), quoted(&key.name));
    match key.role {
        PodRole::Workflow => Some(both_ways(&key.namespace, &pull.service_account, secret)),
        PodRole::Runner if &*key.kind == SCALE_SET && pull.source != SecretSource::ServiceAccount => {
            // A merge patch replaces the list, so what is on it has to be there again.
            let others = pull.secrets.iter().map(AsRef::as_ref).filter(|name| *name != secret);
            let list: Vec<_> = others.chain([secret]).map(|name| serde_json::json!({ "name": name })).collect();
            let patch = serde_json::json!({ "spec": { "template": { "spec": { "imagePullSecrets": list } } } });
            Some(format!(
                "name it in `template.spec.imagePullSecrets`, in the values of the chart and now: kubectl -n {namespace} \
                 patch autoscalingrunnerset {name} --type merge -p {}",
                quoted(&patch.to_string())
            ))
        }
        PodRole::Listener => Some(format!(
            "name it in `imagePullSecrets` in the values of the chart gha-runner-scale-set-controller, or for this scale \
             set in `listenerTemplate.spec.imagePullSecrets` (the command: pull-patrol explain autoscalingrunnerset/{name})"
        )),
        PodRole::Runner | PodRole::Pod => None,
    }
}

/// The two ways in which a workflow pod comes to a pull Secret.
fn both_ways(namespace: &str, account: &str, secret: &str) -> String {
    format!(
        "either name it in `spec.imagePullSecrets` of a hook extension (a ConfigMap that is mounted into the runner, and \
         whose path is in ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE), or in the ServiceAccount {account} of the namespace \
         (which does not count for a job whose image is on ghcr.io, where the runner presents the job's GITHUB_TOKEN): {}",
        patch_account(namespace, account, secret)
    )
}

/// What is not known, and what would help. `registries` tells the registry keys of a Secret.
pub(super) fn explain(
    key: &WorkloadKey,
    gap: &Gap,
    registries: impl Fn(&Arc<str>) -> Vec<Arc<str>>,
) -> (String, String) {
    match gap {
        Gap::ListenerUnseen => (
            "the listener's pod is in the controller's namespace with the controller's own pull Secrets, and neither an \
             AutoscalingListener of this scale set nor the one Deployment of its controller is among the objects that were \
             read"
                .to_owned(),
            "read the controller's namespace too; where it is: kubectl get autoscalinglisteners -A".to_owned(),
        ),
        Gap::ControllerDefault => (
            "the template names no pull Secret, so the controller adds those of its flag --runner-image-pull-secret, \
             and its Deployment is not among the objects that were read"
                .to_owned(),
            format!(
                "name the Secrets in `imagePullSecrets` of the template: kubectl -n {} edit {} {}",
                quoted(&key.namespace),
                quoted(&key.kind.to_lowercase()),
                quoted(&key.name)
            ),
        ),
        Gap::PodsGone => (
            "only pods that are gone by now tell of it; which image the next one pulls only a job says".to_owned(),
            String::new(),
        ),
        Gap::HookTemplate(unknown) => hook_template(key, unknown),
        Gap::JobImage(pods) => (
            job_image(pods, registries),
            if pods.secrets.is_empty() {
                format!("for private images: {}", both_ways(&key.namespace, &pods.service_account, "NAME"))
            } else {
                String::new()
            },
        ),
    }
}

fn hook_template(key: &WorkloadKey, unknown: &UnknownTemplate) -> (String, String) {
    let why = &unknown.why;
    let decides = "the extension template of the container hooks decides what workflow pods present";
    if let Some((holder, name)) = &unknown.refused {
        let rule = format!(
            "- {{apiGroups: [\"\"], resources: [\"{}\"], resourceNames: [\"{name}\"], verbs: [\"list\", \"watch\"]}}",
            holder.resource().as_str()
        );
        return (
            format!("{decides}, and {why}"),
            format!("add to the rules of a Role in namespace {}: {rule}", key.namespace),
        );
    }
    let objects = format!(
        "kubectl -n {} get {} {} -o yaml",
        quoted(&key.namespace),
        quoted(&key.kind.to_lowercase()),
        quoted(&key.name)
    );
    (
        format!("{decides}, and {why}; a runner that cannot read it fails every job"),
        format!("look at the volume behind ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE: {objects}"),
    )
}

fn job_image(pods: &JobPods, registries: impl Fn(&Arc<str>) -> Vec<Arc<str>>) -> String {
    let account = &pods.service_account;
    let mut keys: Vec<Arc<str>> = pods.secrets.iter().flat_map(registries).collect();
    keys.sort_unstable();
    keys.dedup();
    let present = if pods.secrets.is_empty() {
        format!(
            "the pods inherit nothing from the runner's pod, and neither a hook extension nor the ServiceAccount \
             {account} names a Secret, so they cannot pull private images from any registry"
        )
    } else {
        let from = match pods.source {
            SecretSource::HookTemplate => "the hook extension".to_owned(),
            _ => format!("the ServiceAccount {account}"),
        };
        format!(
            "the pods present {} of {from}, so they can pull private images from {} and from nowhere else",
            pods.secrets.join(", "),
            if keys.is_empty() { "no registry that is known".to_owned() } else { keys.join(", ") }
        )
    };
    let mut words = format!("only a job says which image its workflow pod pulls; {present}");
    words.push_str(", unless the job has `container.credentials`");
    if pods.github_token {
        words.push_str(
            "; for an image on ghcr.io the runner presents the job's GITHUB_TOKEN in place of all others, which needs \
             `permissions: packages: read` and the package's Actions access",
        );
    }
    words
}
