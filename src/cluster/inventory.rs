//! The inventory: every object of the scope, and how complete it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

use super::controller::{Controller, ControllerKey, ControllerKind, HookTemplateKey, HookTemplateState};
use super::objects::{ObjectRef, Pod, PullSecret, ServiceAccount};
use super::permission::MissingPermission;

/// Where the objects come from: decides what a reference to an absent Secret proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Origin {
    /// Manifest files: Secrets are often made elsewhere, so an absent one proves nothing.
    #[default]
    Files,
    /// A live cluster: an absent Secret is a broken reference.
    Cluster,
}

/// A kind of object that is watched, or written. Its name is the value of the label `resource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Pull Secrets of both types.
    Secrets,
    /// Pods.
    Pods,
    /// `ServiceAccounts`.
    ServiceAccounts,
    /// Deployments. This and all that follow are optional.
    Deployments,
    /// `StatefulSets`.
    StatefulSets,
    /// `DaemonSets`.
    DaemonSets,
    /// `ReplicaSets`.
    ReplicaSets,
    /// Jobs.
    Jobs,
    /// `CronJobs`.
    CronJobs,
    /// Scale sets of Actions Runner Controller.
    AutoscalingRunnerSets,
    /// Revisions of scale sets.
    EphemeralRunnerSets,
    /// Runners of scale sets.
    EphemeralRunners,
    /// Listeners of scale sets.
    AutoscalingListeners,
    /// Legacy runners.
    Runners,
    /// Legacy deployments of runners.
    RunnerDeployments,
    /// Legacy replica sets of runners.
    RunnerReplicaSets,
    /// Legacy stateful sets of runners.
    RunnerSets,
    /// Those `ConfigMaps` that runners name for the templates of their container hooks, and no others.
    ConfigMaps,
    /// Events: written on Secrets and never read, so not one of [`Resource::ALL`].
    Events,
    /// `ConfigMaps` that keep the state: written, and so not one of [`Resource::ALL`].
    StateConfigMaps,
    /// The Lease of an election: written, and so not one of [`Resource::ALL`].
    Leases,
}

impl Resource {
    /// All that are watched, in a stable order.
    pub const ALL: [Self; 18] = [
        Self::Secrets,
        Self::Pods,
        Self::ServiceAccounts,
        Self::Deployments,
        Self::StatefulSets,
        Self::DaemonSets,
        Self::ReplicaSets,
        Self::Jobs,
        Self::CronJobs,
        Self::AutoscalingRunnerSets,
        Self::EphemeralRunnerSets,
        Self::EphemeralRunners,
        Self::AutoscalingListeners,
        Self::Runners,
        Self::RunnerDeployments,
        Self::RunnerReplicaSets,
        Self::RunnerSets,
        Self::ConfigMaps,
    ];

    /// The plural, as RBAC rules write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Pods => "pods",
            Self::ServiceAccounts => "serviceaccounts",
            Self::Deployments => "deployments",
            Self::StatefulSets => "statefulsets",
            Self::DaemonSets => "daemonsets",
            Self::ReplicaSets => "replicasets",
            Self::Jobs => "jobs",
            Self::CronJobs => "cronjobs",
            Self::AutoscalingRunnerSets => "autoscalingrunnersets",
            Self::EphemeralRunnerSets => "ephemeralrunnersets",
            Self::EphemeralRunners => "ephemeralrunners",
            Self::AutoscalingListeners => "autoscalinglisteners",
            Self::Runners => "runners",
            Self::RunnerDeployments => "runnerdeployments",
            Self::RunnerReplicaSets => "runnerreplicasets",
            Self::RunnerSets => "runnersets",
            Self::ConfigMaps | Self::StateConfigMaps => "configmaps",
            Self::Events => "events",
            Self::Leases => "leases",
        }
    }

    /// The API group, as RBAC rules write it; empty for the core.
    pub fn group(self) -> &'static str {
        if self == Self::Leases {
            return "coordination.k8s.io";
        }
        let kind = ControllerKind::ALL.into_iter().find(|kind| kind.resource() == Some(self));
        kind.map_or("", ControllerKind::group)
    }

    /// Whether we only write it: without it nothing is hidden from us.
    pub fn is_written(self) -> bool {
        matches!(self, Self::Events | Self::StateConfigMaps)
    }

    /// Whether the inventory is complete without it: a cluster may lack it, and RBAC may keep it from us.
    pub fn is_optional(self) -> bool {
        !matches!(self, Self::Secrets | Self::Pods | Self::ServiceAccounts)
    }
}

/// An object or a file that could not be read, for the report.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Problem {
    /// File name as given, or `cluster`.
    pub source: String,
    /// Zero-based position of the document in its file (an item of a `List` counts on), if it has one.
    pub index: Option<usize>,
    /// Kind of the object, if it could be told.
    pub kind: Option<String>,
    /// `namespace/name` of the object, if it could be told.
    pub name: Option<String>,
    /// What is wrong, without any value of a Secret.
    pub message: String,
    /// Whether the input could not be parsed at all (exit code 2) or is of the wrong shape (exit code 1).
    #[serde(skip)]
    pub unparsable: bool,
}

/// Everything that is known to exist.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Where the objects come from.
    pub origin: Origin,
    /// Secrets that are, or look like, pull Secrets.
    pub secrets: BTreeMap<ObjectRef, Arc<PullSecret>>,
    /// Pods that have not finished.
    pub pods: BTreeMap<ObjectRef, Arc<Pod>>,
    /// `ServiceAccounts`.
    pub service_accounts: BTreeMap<ObjectRef, Arc<ServiceAccount>>,
    /// What makes pods.
    pub controllers: BTreeMap<ControllerKey, Arc<Controller>>,
    /// The `ConfigMaps` and Secrets that hold extension templates of container hooks. From a cluster only those that a
    /// set of runners names, each read or with the reason why not.
    pub hook_templates: BTreeMap<HookTemplateKey, Arc<HookTemplateState>>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Resources whose first full list has arrived, or was refused, which is as complete as it gets. An optional one also
    /// counts when the cluster lacks it or cannot list it.
    pub synced: BTreeSet<Resource>,
    /// What RBAC denies, as the last answer to each question tells it: to the request itself, or to the question whether it
    /// would be allowed. [`MissingPermission::merged`] is how it is shown.
    pub missing_permissions: BTreeSet<MissingPermission>,
}

impl Inventory {
    /// Whether every resource has been listed once: what `/readyz` tells.
    pub fn is_complete(&self) -> bool {
        Resource::ALL.iter().all(|resource| self.synced.contains(resource))
    }

    /// Replace what somebody told to be missing by what he tells now, and leave alone what others told; tells whether that
    /// changes anything.
    pub(super) fn tell_missing(
        &mut self,
        told: &mut BTreeSet<MissingPermission>,
        missing: BTreeSet<MissingPermission>,
    ) -> bool {
        let mut changed = false;
        for gone in told.difference(&missing) {
            changed |= self.missing_permissions.remove(gone);
        }
        for new in &missing {
            changed |= self.missing_permissions.insert(new.clone());
        }
        *told = missing;
        changed
    }
}

/// The inventory as tasks share it: one writer per source, readers that are woken at a change.
#[derive(Clone, Debug)]
pub struct SharedInventory {
    sender: watch::Sender<Inventory>,
}

impl SharedInventory {
    /// Share an inventory.
    pub fn new(inventory: Inventory) -> Self {
        Self { sender: watch::Sender::new(inventory) }
    }

    /// Change it; readers are woken when `change` says that something changed.
    pub fn update(&self, change: impl FnOnce(&mut Inventory) -> bool) {
        self.sender.send_if_modified(change);
    }

    /// Look at it. Hold the closure short: writers wait.
    pub fn read<T>(&self, look: impl FnOnce(&Inventory) -> T) -> T {
        look(&self.sender.borrow())
    }

    /// A receiver whose `changed()` wakes at each change.
    pub fn subscribe(&self) -> watch::Receiver<Inventory> {
        self.sender.subscribe()
    }
}
