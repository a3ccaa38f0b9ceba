//! One inventory of the objects of all files: later objects replace earlier ones, pods made of templates get their
//! place, and `ServiceAccount` admission is simulated.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Loaded;
use crate::cluster::{Inventory, ObjectRef, Origin, Pod, Problem, Resource, ServiceAccount};

/// Put the objects together, in the order in which they were read.
pub(super) fn inventory<'a>(objects: impl Iterator<Item = &'a Loaded>, problems: Vec<Problem>) -> Inventory {
    let mut inventory =
        Inventory { origin: Origin::Files, problems, synced: Resource::ALL.into(), ..Inventory::default() };
    let mut plain = BTreeMap::new();
    let mut made = BTreeMap::new();
    for object in objects {
        match object {
            Loaded::Secret(secret) => {
                inventory.secrets.insert(secret.at.clone(), Arc::clone(secret));
            }
            Loaded::ServiceAccount(account) => {
                inventory.service_accounts.insert(account.at.clone(), Arc::clone(account));
            }
            Loaded::Pod { pod, made: false, admitted } => {
                plain.insert(pod.at.clone(), (pod, *admitted));
            }
            Loaded::Pod { pod, made: true, .. } => {
                let kind = pod.owner.as_ref().map(|owner| Arc::clone(&owner.kind));
                made.insert((pod.at.clone(), kind), pod);
            }
        }
    }
    for (at, (pod, admitted)) in plain {
        let pod = if admitted { Arc::clone(pod) } else { admit(pod, &inventory.service_accounts) };
        inventory.pods.insert(at, pod);
    }
    for ((at, kind), pod) in made {
        let mut pod = admit(pod, &inventory.service_accounts);
        if inventory.pods.contains_key(&at) {
            // Two kinds can use one name. A slash cannot stand in the name of an object, so this one is free.
            let name = format!("{}/{}", kind.as_deref().unwrap_or_default().to_lowercase(), at.name);
            let mut moved = (*pod).clone();
            moved.at = ObjectRef { namespace: Arc::clone(&at.namespace), name: Arc::from(name) };
            pod = Arc::new(moved);
        }
        inventory.pods.insert(pod.at.clone(), pod);
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
