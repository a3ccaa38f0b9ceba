//! Objects that make pods, each kind read from where its template stands.

use std::sync::Arc;

use serde::Deserialize;

use super::convert::names;
use super::hooks::HooksShape;
use super::pod::{Container, PodMeta, PodSpec, cut, template};
use super::text::{List, Text, nullable};
use super::{Interner, NameRef, ShapeError};
use crate::cluster::objects::ContainerKind;
use crate::cluster::{
    ArcTraits, Controller, ControllerKind, ListenerTemplate, ObjectRef, Owner, PodImage, PodTemplate, RunnerStatus,
};

/// The name that ARC gives the container of a runner (`EphemeralRunnerContainerName` in `constants.go`).
pub(super) const RUNNER: &str = "runner";
/// The name that ARC gives the container of a listener (`autoscalingListenerContainerName`).
const LISTENER: &str = "listener";

/// Longest `status.reason` of a runner that is kept, in characters.
const STATUS_REASON_LIMIT: usize = 128;
/// Longest `status.message` of a runner that is kept, in characters.
const STATUS_MESSAGE_LIMIT: usize = 256;

/// An object that makes pods. The fields of all kinds stand side by side; each kind has some of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct ControllerShape<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(in crate::cluster) metadata: PodMeta<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    spec: ControllerSpec<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    status: Status<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ControllerSpec<'a> {
    replicas: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    suspend: bool,
    min_runners: Option<i64>,
    #[serde(borrow, deserialize_with = "nullable")]
    template: Template<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    job_template: JobTemplate<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    github_config_url: Text<'a>,
    /// Of a scale set.
    #[serde(borrow)]
    listener_template: Option<Template<'a>>,
    /// Of an `EphemeralRunnerSet`, whose template stands inline beside its own fields.
    #[serde(borrow, deserialize_with = "nullable")]
    ephemeral_runner_spec: EphemeralRunnerSpec<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    autoscaling_runner_set_namespace: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    autoscaling_runner_set_name: Text<'a>,
    /// Of an `AutoscalingListener`, a `RunnerSet` or a `Runner`.
    #[serde(borrow, deserialize_with = "nullable")]
    image: Text<'a>,
    /// Of an `AutoscalingListener` or a `Runner`.
    #[serde(borrow)]
    image_pull_secrets: List<NameRef<'a>>,
    /// Of a `Runner`.
    #[serde(borrow)]
    containers: List<Container<'a>>,
    /// Of a `RunnerSet` or a `Runner`.
    #[serde(borrow, deserialize_with = "nullable")]
    service_account_name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EphemeralRunnerSpec<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    github_config_url: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    spec: PodSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Template<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    spec: PodSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JobTemplate<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    spec: JobSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JobSpec<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    template: Template<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status<'a> {
    /// This and the next two of an `EphemeralRunner`.
    #[serde(borrow, deserialize_with = "nullable")]
    phase: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    reason: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    message: Text<'a>,
    #[serde(borrow)]
    conditions: List<Condition<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition<'a> {
    #[serde(borrow, rename = "type", deserialize_with = "nullable")]
    kind: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    status: Text<'a>,
}

/// What the inventory keeps of an object that makes pods. `hooks` is its second reading, for ARC's kinds.
pub(in crate::cluster) fn controller(
    kind: ControllerKind,
    shape: &ControllerShape<'_>,
    hooks: Option<&HooksShape<'_>>,
    at: ObjectRef,
    interner: &Interner,
) -> Result<Controller, ShapeError> {
    let owner = owner(kind, shape, interner);
    let spec = &shape.spec;
    let idle = match kind {
        ControllerKind::Job | ControllerKind::CronJob => spec.suspend,
        ControllerKind::AutoscalingRunnerSet => spec.min_runners.unwrap_or(0) <= 0,
        ControllerKind::DaemonSet | ControllerKind::AutoscalingListener => false,
        _ => spec.replicas == Some(0),
    };
    let template =
        makes_pods(kind, shape, owner.as_ref(), idle).then(|| pod_template(kind, shape, &at, interner)).transpose()?;
    let arc = kind
        .is_arc()
        .then(|| arc_traits(kind, shape, hooks, interner))
        .transpose()?
        .filter(|arc| *arc != ArcTraits::default());
    Ok(Controller { at, kind, owner, template, idle, arc: arc.map(Box::new), manager: None })
}

/// The owner of an object. What a person made, such as a Deployment, is the top for us, though an operator of a kind that
/// is not read may own it in turn; what comes and goes, such as a `ReplicaSet`, is known by its owner whatever that is.
fn owner(kind: ControllerKind, shape: &ControllerShape<'_>, interner: &Interner) -> Option<Owner> {
    let comes_and_goes = matches!(
        kind,
        ControllerKind::ReplicaSet
            | ControllerKind::Job
            | ControllerKind::EphemeralRunnerSet
            | ControllerKind::EphemeralRunner
            | ControllerKind::RunnerReplicaSet
            | ControllerKind::Runner
    );
    shape.metadata.owner(interner).filter(|owner| comes_and_goes || is_read(owner))
}

/// Whether an owner is of a kind that is read, so that it counts in place of what it owns.
fn is_read(owner: &Owner) -> bool {
    ControllerKind::of(&owner.api_version, &owner.kind).is_some() || &*owner.kind == "Pod"
}

/// Whether its own template counts: not where that of its owner does, nor where it has run to its end.
fn makes_pods(kind: ControllerKind, shape: &ControllerShape<'_>, owner: Option<&Owner>, idle: bool) -> bool {
    let ended =
        |condition: &Condition<'_>| matches!(&*condition.kind, "Complete" | "Failed") && &*condition.status == "True";
    match kind {
        // Single runners come and go with the set that makes them.
        ControllerKind::EphemeralRunner => false,
        ControllerKind::Job if shape.status.conditions.0.iter().any(ended) => false,
        // An owner that is not read, such as a Rollout, keeps its old revisions at zero replicas.
        _ => owner.is_none_or(|owner| !is_read(owner) && !idle),
    }
}

fn pod_template(
    kind: ControllerKind,
    shape: &ControllerShape<'_>,
    at: &ObjectRef,
    interner: &Interner,
) -> Result<PodTemplate, ShapeError> {
    let spec = &shape.spec;
    match kind {
        ControllerKind::CronJob => template(&spec.job_template.spec.template.spec, interner),
        ControllerKind::EphemeralRunnerSet => template(&spec.ephemeral_runner_spec.spec, interner),
        ControllerKind::AutoscalingListener => listener(spec, at, interner),
        kind if kind.is_legacy_arc() => legacy(spec, interner),
        _ => template(&spec.template.spec, interner),
    }
}

/// The pod of a listener: its image and list are the controller's, unless the template of the scale set has its own; its
/// `ServiceAccount` has its own name whatever the template says (`newScaleSetListenerPod` and
/// `mergeListenerPodWithTemplate` in `resourcebuilder.go`).
fn listener(spec: &ControllerSpec<'_>, at: &ObjectRef, interner: &Interner) -> Result<PodTemplate, ShapeError> {
    let own = &spec.template.spec;
    let mut made = template(own, interner)?;
    made.service_account = Arc::clone(&at.name);
    if !own.image_pull_secrets.is_written() {
        made.pull_secrets = names(&spec.image_pull_secrets, interner);
    }
    if !made.images.iter().any(|image| &*image.container == LISTENER) && !spec.image.is_empty() {
        made.images.insert(0, regular(LISTENER, &spec.image, interner));
    }
    Ok(made)
}

/// Of ARC's legacy kinds the runner's image and `ServiceAccount` can stand beside the containers.
fn legacy(spec: &ControllerSpec<'_>, interner: &Interner) -> Result<PodTemplate, ShapeError> {
    let own = &spec.template.spec;
    let mut made = template(own, interner)?;
    // A Runner keeps in its own spec what the others keep in a template.
    if made.pull_secrets.is_empty() {
        made.pull_secrets = names(&spec.image_pull_secrets, interner);
    }
    if made.images.is_empty() {
        made.images = images_of(&spec.containers, interner);
    }
    let image = if own.image.is_empty() { &spec.image } else { &own.image };
    if !image.is_empty() && !made.images.iter().any(|image| &*image.container == RUNNER) {
        made.images.insert(0, regular(RUNNER, image, interner));
    }
    if own.service_account_name.is_empty() && !spec.service_account_name.is_empty() {
        made.service_account = interner.intern(&spec.service_account_name);
    }
    Ok(made)
}

fn images_of(containers: &List<Container<'_>>, interner: &Interner) -> Vec<PodImage> {
    let named = containers.0.iter().filter(|container| !container.image.is_empty());
    named.map(|container| regular(&container.name, &container.image, interner)).collect()
}

fn regular(container: &str, image: &str, interner: &Interner) -> PodImage {
    PodImage { container: interner.intern(container), kind: ContainerKind::Regular, image: interner.intern(image) }
}

fn arc_traits(
    kind: ControllerKind,
    shape: &ControllerShape<'_>,
    hooks: Option<&HooksShape<'_>>,
    interner: &Interner,
) -> Result<ArcTraits, ShapeError> {
    let (spec, status) = (&shape.spec, &shape.status);
    let url = [&spec.github_config_url, &spec.ephemeral_runner_spec.github_config_url];
    let url = url.into_iter().find(|url| !url.is_empty()).map_or("", |url| url);
    let serves = kind == ControllerKind::AutoscalingListener && !spec.autoscaling_runner_set_name.is_empty();
    Ok(ArcTraits {
        hooks: hooks.and_then(|hooks| hooks.hooks(interner)),
        github_host: host_of(url).into(),
        scale_set: serves.then(|| ObjectRef {
            namespace: interner.intern(&spec.autoscaling_runner_set_namespace),
            name: interner.intern(&spec.autoscaling_runner_set_name),
        }),
        runner: (kind == ControllerKind::EphemeralRunner).then(|| RunnerStatus {
            phase: interner.intern(&status.phase),
            reason: cut(&status.reason, STATUS_REASON_LIMIT),
            message: cut(&status.message, STATUS_MESSAGE_LIMIT),
        }),
        listener: spec
            .listener_template
            .as_ref()
            .map(|template| listener_template(&template.spec, interner))
            .transpose()?,
    })
}

fn listener_template(spec: &PodSpec<'_>, interner: &Interner) -> Result<ListenerTemplate, ShapeError> {
    let made = template(spec, interner)?;
    Ok(ListenerTemplate {
        pull_secrets: spec.image_pull_secrets.is_written().then_some(made.pull_secrets),
        images: made.images,
        has_containers: spec.has_containers(),
    })
}

/// The host of an address, in lower case, without user and port.
fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.split(':').next().unwrap_or_default().to_ascii_lowercase()
}
