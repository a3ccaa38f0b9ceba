//! One inventory of the objects of all files: later objects replace earlier ones, and for pods `ServiceAccount` admission
//! is simulated.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Loaded;
use crate::cluster::templates::named;
use crate::cluster::{Inventory, ObjectRef, Origin, Pod, Problem, Resource, ServiceAccount, TemplateHolder};

/// Put the objects together, in the order in which they were read.
pub(super) fn inventory<'a>(objects: impl Iterator<Item = &'a Loaded>, problems: Vec<Problem>) -> Inventory {
    let mut inventory =
        Inventory { origin: Origin::Files, problems, synced: Resource::ALL.into(), ..Inventory::default() };
    let mut plain = BTreeMap::new();
    for object in objects {
        match object {
            Loaded::Secret(secret) => {
                inventory.secrets.insert(secret.at.clone(), Arc::clone(secret));
            }
            Loaded::ServiceAccount(account) => {
                inventory.service_accounts.insert(account.at.clone(), Arc::clone(account));
            }
            Loaded::Pod { pod, admitted } => {
                plain.insert(pod.at.clone(), (pod, *admitted));
            }
            Loaded::Controller(controller) => {
                inventory.controllers.insert((controller.kind, controller.at.clone()), Arc::clone(controller));
            }
            Loaded::HookTemplates(at, templates) => {
                inventory.hook_templates.insert(at.clone(), Arc::clone(templates));
            }
        }
    }
    // What a Secret holds is kept only where runners mount it.
    let named = named(inventory.controllers.values());
    inventory.hook_templates.retain(|key, _| key.0 == TemplateHolder::ConfigMap || named.contains_key(key));
    for (at, (pod, admitted)) in plain {
        let pod = if admitted { Arc::clone(pod) } else { admit(pod, &inventory.service_accounts) };
        inventory.pods.insert(at, pod);
    }
    inventory
}

/// The `ServiceAccount` admission plugin: only a pod without a list of its own gets that of its `ServiceAccount`
/// (`plugin/pkg/admission/serviceaccount/admission.go`).
fn admit(pod: &Arc<Pod>, accounts: &BTreeMap<ObjectRef, Arc<ServiceAccount>>) -> Arc<Pod> {
    let account = ObjectRef { namespace: Arc::clone(&pod.at.namespace), name: Arc::clone(&pod.service_account) };
    match accounts.get(&account) {
        Some(account) if pod.pull_secrets.is_empty() && !account.pull_secrets.is_empty() => {
            let mut admitted = (**pod).clone();
            admitted.pull_secrets.clone_from(&account.pull_secrets);
            admitted.admitted_from_service_account = true;
            Arc::new(admitted)
        }
        _ => Arc::clone(pod),
    }
}
