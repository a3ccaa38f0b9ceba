//! What the controllers of Actions Runner Controller give to the pods that they make: listeners of scale sets that are not
//! among the objects, and runners of the legacy kinds that have no pull Secret. Their Deployments tell by their flags.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use super::owners::kind_text;
use super::rollup::Puller;
use super::{Gap, PodRole, SecretSource, WorkloadKey};
use crate::cluster::{Controller, ControllerKind, Inventory, ListenerTemplate, Manager, ObjectRef};

/// The name that ARC gives the container of a listener (`autoscalingListenerContainerName`).
static LISTENER: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("listener"));
/// The `ServiceAccount` of a listener is made with it, and never has a list.
static NO_ACCOUNT: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));

/// The controllers of ARC among the objects.
#[derive(Debug)]
pub(super) struct Managers<'a> {
    all: Vec<(&'a Arc<str>, &'a Manager)>,
    /// The scale sets whose listener is among the objects.
    served: BTreeSet<&'a ObjectRef>,
}

impl<'a> Managers<'a> {
    pub(super) fn of(inventory: &'a Inventory) -> Self {
        let mut this = Self { all: Vec::new(), served: BTreeSet::new() };
        for controller in inventory.controllers.values() {
            if let Some(manager) = &controller.manager {
                this.all.push((&controller.at.namespace, manager));
            }
            this.served.extend(controller.arc.as_ref().and_then(|arc| arc.scale_set.as_ref()));
        }
        this
    }

    /// The one controller that looks after a namespace, with the namespace that it is in. Where several do, each would undo
    /// what the other does, so nothing can be told, unless they say the same.
    fn watching(&self, namespace: &str, scale_sets: bool) -> Option<(&'a Arc<str>, &'a Manager)> {
        let of = |narrow: bool| {
            let mut fit = self.all.iter().filter(move |(_, manager)| {
                let watched = manager.namespace.as_deref();
                manager.scale_sets == scale_sets && if narrow { watched == Some(namespace) } else { watched.is_none() }
            });
            let first = fit.next()?;
            Some((*first, fit.all(|other| other == first)))
        };
        let (found, agreed) = of(true).or_else(|| of(false))?;
        agreed.then_some(found)
    }

    /// What the controller of ARC's legacy kinds gives to runners of a namespace.
    pub(super) fn legacy(&self, namespace: &str) -> Option<&'a Manager> {
        self.watching(namespace, false).map(|(_, manager)| manager)
    }

    /// The row of a scale set's listener. Its pod is the controller's: an `AutoscalingListener` or a pod that is among the
    /// objects joins the row, and tells more than flags do.
    pub(super) fn listener(&self, controller: &'a Controller) -> Option<Puller<'a>> {
        if controller.kind != ControllerKind::AutoscalingRunnerSet {
            return None;
        }
        let mut puller = Puller {
            key: WorkloadKey {
                namespace: controller.at.namespace.clone(),
                kind: kind_text(controller.kind),
                name: controller.at.name.clone(),
                role: PodRole::Listener,
            },
            namespace: &controller.at.namespace,
            service_account: &NO_ACCOUNT,
            secrets: &[],
            source: SecretSource::Pod,
            images: Vec::new(),
            idle: false,
            gap: Some(Gap::ListenerUnseen),
        };
        if self.served.contains(&controller.at) {
            return Some(puller);
        }
        let template = controller.arc.as_ref().and_then(|arc| arc.listener.as_ref());
        if let Some((namespace, manager)) = self.watching(&controller.at.namespace, true)
            && let Some(images) = images(manager, template)
        {
            puller.namespace = namespace;
            let own = template.and_then(|template| template.pull_secrets.as_ref());
            puller.secrets = own.unwrap_or(&manager.pull_secrets);
            puller.images = images;
            puller.gap = None;
        }
        Some(puller)
    }
}

/// The images of a listener's pod; `None` where the controller does not tell its own.
fn images<'a>(
    manager: &'a Manager,
    template: Option<&'a ListenerTemplate>,
) -> Option<Vec<(&'a Arc<str>, &'a Arc<str>)>> {
    let own: Vec<_> =
        template.into_iter().flat_map(|template| &template.images).map(|one| (&one.image, &one.container)).collect();
    if own.iter().any(|(_, container)| **container == *LISTENER) {
        return Some(own);
    }
    let mut all = vec![(manager.image.as_ref()?, &*LISTENER)];
    all.extend(own);
    Some(all)
}
