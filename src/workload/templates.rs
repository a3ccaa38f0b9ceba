//! Templates: what the pods of a controller will pull once there are any, with the admission of `ServiceAccounts` in
//! simulation (`plugin/pkg/admission/serviceaccount/admission.go`).

use std::sync::{Arc, LazyLock};

use super::manager::Managers;
use super::owners::Owners;
use super::rollup::Puller;
use super::{Gap, SecretSource};
use crate::cluster::{Controller, Inventory, ObjectRef};

/// The name that ARC gives the container of a runner.
static RUNNER: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("runner"));

/// What the pods of a controller pull; `None` where the template of its owner counts.
pub(super) fn controller<'a>(
    controller: &'a Controller,
    inventory: &'a Inventory,
    owners: &Owners<'_>,
    managers: &Managers<'a>,
) -> Option<Puller<'a>> {
    let template = controller.template.as_ref()?;
    let namespace = &controller.at.namespace;
    let mut own = &template.pull_secrets[..];
    let mut images: Vec<_> = template.images.iter().map(|image| (&image.image, &image.container)).collect();
    let mut gap = None;
    if controller.kind.is_legacy_arc() {
        // It fills in what a runner does not name (`newRunnerPodWithContainerMode` in `runner_controller.go`).
        let manager = managers.legacy(namespace);
        match manager {
            Some(manager) if own.is_empty() => own = &manager.pull_secrets,
            None if own.is_empty() => gap = Some(Gap::ControllerDefault),
            _ => {}
        }
        if let Some(image) = manager.and_then(|manager| manager.image.as_ref())
            && !images.iter().any(|(_, container)| **container == *RUNNER)
        {
            images.push((image, &RUNNER));
        }
    }
    let (secrets, source) = admitted(own, namespace, &template.service_account, inventory);
    Some(Puller {
        key: owners.of_controller(controller),
        namespace,
        service_account: &template.service_account,
        secrets,
        source,
        // Which list counts is then for the controller to say, so nothing can be told of any image.
        images: if gap.is_some() { Vec::new() } else { images },
        idle: controller.idle,
        gap,
    })
}

/// The list that a new pod ends up with: its own, or that of its `ServiceAccount` where it has none.
pub(super) fn admitted<'a>(
    own: &'a [Arc<str>],
    namespace: &Arc<str>,
    account: &Arc<str>,
    inventory: &'a Inventory,
) -> (&'a [Arc<str>], SecretSource) {
    let at = ObjectRef { namespace: namespace.clone(), name: account.clone() };
    match inventory.service_accounts.get(&at) {
        Some(account) if own.is_empty() && !account.pull_secrets.is_empty() => {
            (&account.pull_secrets, SecretSource::ServiceAccount)
        }
        _ => (own, SecretSource::Pod),
    }
}
