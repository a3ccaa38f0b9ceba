//! Whether a name in `imagePullSecrets` that leads nowhere is a broken reference.

use super::build::Inputs;
use crate::cluster::{Origin, Resource};
use crate::config::NamedSecret;

/// Whether a Secret that is not in the inventory is not in the cluster either.
pub(super) fn absence_is_proven(inputs: &Inputs<'_>, namespace: &str, name: &str) -> bool {
    let inventory = inputs.inventory;
    let scope = &inputs.config.scope;
    let forbidden = inventory.missing_permissions.iter().any(|missing| {
        missing.resource == Resource::Secrets
            && (missing.scope.is_empty() || &*missing.scope == namespace)
            && (missing.names.is_empty() || missing.names.contains(name))
    });
    let named = |secret: &NamedSecret| secret.namespace == namespace && secret.name == name;
    let in_scope = (scope.namespaces.is_empty() || scope.namespaces.iter().any(|listed| listed == namespace))
        && !scope.exclude_namespaces.iter().any(|excluded| excluded == namespace)
        && (scope.secrets.is_empty() || scope.secrets.iter().any(named));
    // In manifests a Secret that is not there is often made elsewhere.
    inventory.origin == Origin::Cluster
        && inventory.synced.contains(&Resource::Secrets)
        && !forbidden
        && in_scope
        && scope.read_secrets
        && !is_of_a_job(name)
}

/// Secrets that ARC's container hooks make for one job are left out of the watch by their label `runner-pod`; their names
/// are `RUNNER-secret-` and 8 hexadecimal digits (actions/runner-container-hooks, `packages/k8s/src/k8s/index.ts`).
fn is_of_a_job(name: &str) -> bool {
    name.rsplit_once("-secret-")
        .is_some_and(|(_, digits)| digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}
