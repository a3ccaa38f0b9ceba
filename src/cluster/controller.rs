//! Objects that make pods: the kinds of every cluster, and those of Actions Runner Controller (ARC).

use std::sync::Arc;

use super::{ObjectRef, Owner, PodImage, Resource};

/// Group of ARC's scale sets.
const ARC: &str = "actions.github.com";
/// Group of ARC's legacy kinds.
const LEGACY_ARC: &str = "actions.summerwind.dev";

/// The kinds of objects that make pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ControllerKind {
    /// `apps/v1`
    Deployment,
    /// `apps/v1`
    StatefulSet,
    /// `apps/v1`
    DaemonSet,
    /// `apps/v1`
    ReplicaSet,
    /// `batch/v1`
    Job,
    /// `batch/v1`
    CronJob,
    /// `v1`; from files only.
    ReplicationController,
    /// `actions.github.com/v1alpha1`: a scale set.
    AutoscalingRunnerSet,
    /// `actions.github.com/v1alpha1`: one revision of a scale set.
    EphemeralRunnerSet,
    /// `actions.github.com/v1alpha1`: one runner.
    EphemeralRunner,
    /// `actions.github.com/v1alpha1`: the listener of a scale set, in the controller's namespace.
    AutoscalingListener,
    /// `actions.summerwind.dev/v1alpha1`
    Runner,
    /// `actions.summerwind.dev/v1alpha1`
    RunnerDeployment,
    /// `actions.summerwind.dev/v1alpha1`
    RunnerReplicaSet,
    /// `actions.summerwind.dev/v1alpha1`
    RunnerSet,
}

impl ControllerKind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::ReplicaSet,
        Self::Job,
        Self::CronJob,
        Self::ReplicationController,
        Self::AutoscalingRunnerSet,
        Self::EphemeralRunnerSet,
        Self::EphemeralRunner,
        Self::AutoscalingListener,
        Self::Runner,
        Self::RunnerDeployment,
        Self::RunnerReplicaSet,
        Self::RunnerSet,
    ];

    /// The Kubernetes kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::ReplicaSet => "ReplicaSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
            Self::ReplicationController => "ReplicationController",
            Self::AutoscalingRunnerSet => "AutoscalingRunnerSet",
            Self::EphemeralRunnerSet => "EphemeralRunnerSet",
            Self::EphemeralRunner => "EphemeralRunner",
            Self::AutoscalingListener => "AutoscalingListener",
            Self::Runner => "Runner",
            Self::RunnerDeployment => "RunnerDeployment",
            Self::RunnerReplicaSet => "RunnerReplicaSet",
            Self::RunnerSet => "RunnerSet",
        }
    }

    /// The API group; empty for the core.
    pub fn group(self) -> &'static str {
        match self {
            Self::ReplicationController => "",
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::ReplicaSet => "apps",
            Self::Job | Self::CronJob => "batch",
            Self::AutoscalingRunnerSet
            | Self::EphemeralRunnerSet
            | Self::EphemeralRunner
            | Self::AutoscalingListener => ARC,
            Self::Runner | Self::RunnerDeployment | Self::RunnerReplicaSet | Self::RunnerSet => LEGACY_ARC,
        }
    }

    /// The version that is read of it.
    pub fn version(self) -> &'static str {
        if self.is_arc() { "v1alpha1" } else { "v1" }
    }

    /// The kind that an `apiVersion` and a `kind` name. The version does not count, nor that Deployments once were in
    /// the group `extensions`.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let group = if group == "extensions" { "apps" } else { group };
        Self::ALL.into_iter().find(|known| known.as_str() == kind && known.group() == group)
    }

    /// What is watched for it; nothing for what comes from files only.
    pub fn resource(self) -> Option<Resource> {
        Some(match self {
            Self::Deployment => Resource::Deployments,
            Self::StatefulSet => Resource::StatefulSets,
            Self::DaemonSet => Resource::DaemonSets,
            Self::ReplicaSet => Resource::ReplicaSets,
            Self::Job => Resource::Jobs,
            Self::CronJob => Resource::CronJobs,
            Self::ReplicationController => return None,
            Self::AutoscalingRunnerSet => Resource::AutoscalingRunnerSets,
            Self::EphemeralRunnerSet => Resource::EphemeralRunnerSets,
            Self::EphemeralRunner => Resource::EphemeralRunners,
            Self::AutoscalingListener => Resource::AutoscalingListeners,
            Self::Runner => Resource::Runners,
            Self::RunnerDeployment => Resource::RunnerDeployments,
            Self::RunnerReplicaSet => Resource::RunnerReplicaSets,
            Self::RunnerSet => Resource::RunnerSets,
        })
    }

    /// Whether it is of a custom resource of ARC, which a cluster may lack.
    pub fn is_arc(self) -> bool {
        matches!(self.group(), ARC | LEGACY_ARC)
    }

    /// Whether it is of ARC's legacy kinds, whose controller can add pull Secrets of its own.
    pub fn is_legacy_arc(self) -> bool {
        self.group() == LEGACY_ARC
    }
}

/// What a pod template says about pulling, before admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodTemplate {
    /// `serviceAccountName`; `default` where absent.
    pub service_account: Arc<str>,
    /// Names in `imagePullSecrets`, in order, empty names left out.
    pub pull_secrets: Vec<Arc<str>>,
    /// All images, in the order init, regular, ephemeral, image volumes.
    pub images: Vec<PodImage>,
}

/// Kind and place of a controller.
pub type ControllerKey = (ControllerKind, ObjectRef);

/// An object that makes pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Namespace and name.
    pub at: ObjectRef,
    /// Its kind.
    pub kind: ControllerKind,
    /// The object that controls it. A Job of a container hook is owned by its runner's Pod, which its label
    /// `runner-pod` names (actions/runner-container-hooks sets no owner).
    pub owner: Option<Owner>,
    /// What its pods will be; `None` where the template of its owner counts, and where it makes no pods any more.
    pub template: Option<PodTemplate>,
    /// It makes no pods now: zero replicas, suspended, or a scale set without a minimum of runners.
    pub idle: bool,
    /// What only ARC's kinds have.
    pub arc: Option<Box<ArcTraits>>,
    /// Of a Deployment that runs a controller of ARC.
    pub manager: Option<Box<Manager>>,
}

/// What a controller of ARC gives to the pods that it makes, by its own flags and variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// It looks after scale sets; otherwise after the legacy kinds.
    pub scale_sets: bool,
    /// The only namespace whose objects it looks after; `None` for all.
    pub namespace: Option<Arc<str>>,
    /// The image of listeners; of the legacy kinds that of runners that name none.
    pub image: Option<Arc<str>>,
    /// Names of the pull Secrets of listeners; of the legacy kinds those of runners that have none.
    pub pull_secrets: Vec<Arc<str>>,
}

/// What only ARC's kinds have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArcTraits {
    /// How its container hooks make workflow pods; `None` where it has none.
    pub hooks: Option<Hooks>,
    /// Host of `githubConfigUrl`; empty where there is none.
    pub github_host: Box<str>,
    /// The scale set that a listener serves.
    pub scale_set: Option<ObjectRef>,
    /// What the controller says of one runner.
    pub runner: Option<RunnerStatus>,
    /// What a scale set wants of its listener's pod (`spec.listenerTemplate`).
    pub listener: Option<ListenerTemplate>,
}

/// `status` of an `EphemeralRunner`, as ARC's controller writes it (`EphemeralRunnerStatus` in
/// `apis/actions.github.com/v1alpha1/ephemeralrunner_types.go`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunnerStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Outdated`; empty before its pod was seen.
    pub phase: Arc<str>,
    /// `reason`, cut to 128 characters; mostly empty.
    pub reason: Box<str>,
    /// `message`, cut to 256 characters; mostly empty.
    pub message: Box<str>,
}

impl RunnerStatus {
    /// Whether its pod has not started, as far as the controller knows.
    pub fn is_pending(&self) -> bool {
        matches!(&*self.phase, "" | "Pending")
    }
}

/// What the template of a listener says about pulling (`mergeListenerPodWithTemplate` in `resourcebuilder.go`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTemplate {
    /// A list that is written, be it empty, takes the place of the controller's.
    pub pull_secrets: Option<Vec<Arc<str>>>,
    /// The image of its container `listener` takes the place of the controller's; other containers are added.
    pub images: Vec<PodImage>,
    /// Whether it has containers at all, which the definition of the kind demands.
    pub has_containers: bool,
}

/// Container hooks of runners (actions/runner-container-hooks).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hooks {
    /// The image that hooks of version 0.8 run as `fs-init` in the workflow pod.
    pub fs_init: Option<Arc<str>>,
    /// Where the extension template stands.
    pub template: HookTemplateRef,
    /// The runner's container, for whoever adds to it.
    pub runner: RunnerContainer,
}

/// Which lists the container `runner` of a template has: a patch appends to one that is there, and makes one that is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunnerContainer {
    /// Its place among the containers; `None` where there is none of that name.
    pub index: Option<usize>,
    /// `env`
    pub env: bool,
    /// `volumeMounts`
    pub mounts: bool,
    /// `volumes` of the pod
    pub volumes: bool,
}

/// Where a runner finds the template that extends workflow pods (`ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookTemplateRef {
    /// There is none.
    None,
    /// A key of an object of the namespace.
    Key {
        /// What kind of object.
        holder: TemplateHolder,
        /// Its name.
        name: Arc<str>,
        /// The key.
        key: Box<str>,
    },
    /// Somewhere that is not read, such as a file of the image.
    Unread(Box<str>),
}

/// The kinds of objects that hold extension templates, as they are mounted into a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TemplateHolder {
    /// A `ConfigMap`.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl TemplateHolder {
    /// The Kubernetes kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    /// What RBAC rules call it.
    pub fn resource(self) -> Resource {
        match self {
            Self::ConfigMap => Resource::ConfigMaps,
            Self::Secret => Resource::Secrets,
        }
    }
}

/// Kind and place of an object that holds extension templates.
pub type HookTemplateKey = (TemplateHolder, ObjectRef);

/// What is known of an object that holds extension templates: those of its keys that matter, or why they are not known.
pub type HookTemplateState = Result<HookTemplates, NotRead>;

/// Why an object of a live cluster that a scale set names was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// It was asked for a moment ago.
    Pending,
    /// It does not exist.
    Absent,
    /// RBAC denies it.
    Denied,
    /// No object can have such a name.
    NoName,
    /// Too many objects are named, so that this one is left out.
    TooMany,
    /// The API server cannot tell, or the object has not the shape it should have.
    Failed(Box<str>),
}

/// What an extension template says about pulling. A field that it has replaces what the hook would write
/// (`mergePodSpecWithOptions` in `packages/k8s/src/k8s/utils.ts`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookTemplate {
    /// Names in `spec.imagePullSecrets`; a list that is not empty replaces the Secret of the job.
    pub pull_secrets: Vec<Arc<str>>,
    /// `spec.serviceAccountName`.
    pub service_account: Option<Arc<str>>,
    /// Images of its own containers (those that start with `$` only change the hook's), init containers and volumes.
    pub images: Vec<PodImage>,
    /// Whether it has init containers, which replace `fs-init`.
    pub replaces_init: bool,
}

/// The templates of one object, by key. A key that holds none has the reason why not.
pub type HookTemplates = std::collections::BTreeMap<Box<str>, Result<HookTemplate, Box<str>>>;
