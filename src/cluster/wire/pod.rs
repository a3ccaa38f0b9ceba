//! Pods and the pod templates of other kinds.

use serde::Deserialize;

use super::convert::names;
use super::text::{List, Text, nullable};
use super::{Interner, Meta, NameRef, ShapeError};
use crate::cluster::objects::{ContainerKind, ObjectRef, Owner, Pod, PodImage, Waiting};

/// Images of a pod at most, and pull Secrets at most. No node could run such a pod, but everything that is worked out
/// of it multiplies the two.
const MOST_IMAGES: usize = 250;
/// See [`MOST_IMAGES`].
const MOST_PULL_SECRETS: usize = 250;
/// Longest waiting reason that is kept, in characters: it can be a raw Go error text.
const REASON_LIMIT: usize = 256;
/// Longest waiting message that is kept, in characters.
const MESSAGE_LIMIT: usize = 1024;

/// A Pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct PodShape<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(in crate::cluster) metadata: PodMeta<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    spec: PodSpec<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    status: PodStatus<'a>,
}

/// `metadata` of a Pod, with its owners.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::cluster) struct PodMeta<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(in crate::cluster) name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(in crate::cluster) generate_name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(in crate::cluster) namespace: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(in crate::cluster) resource_version: Text<'a>,
    #[serde(borrow)]
    owner_references: List<OwnerReference<'a>>,
}

impl<'a> PodMeta<'a> {
    /// Without the owners.
    pub(in crate::cluster) fn meta(&self) -> Meta<'a> {
        Meta {
            name: self.name.clone(),
            generate_name: self.generate_name.clone(),
            namespace: self.namespace.clone(),
            resource_version: self.resource_version.clone(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OwnerReference<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    api_version: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    kind: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    name: Text<'a>,
    #[serde(deserialize_with = "nullable")]
    controller: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    service_account_name: Text<'a>,
    /// The old name of `serviceAccountName`, which the API server still takes where the new one is empty.
    #[serde(borrow, deserialize_with = "nullable")]
    service_account: Text<'a>,
    #[serde(borrow)]
    image_pull_secrets: List<NameRef<'a>>,
    #[serde(borrow)]
    init_containers: List<Container<'a>>,
    #[serde(borrow)]
    containers: List<Container<'a>>,
    #[serde(borrow)]
    ephemeral_containers: List<Container<'a>>,
    #[serde(borrow)]
    volumes: List<Volume<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    image: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Volume<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    image: ImageVolume<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ImageVolume<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    reference: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    phase: Text<'a>,
    #[serde(borrow)]
    init_container_statuses: List<ContainerStatus<'a>>,
    #[serde(borrow)]
    container_statuses: List<ContainerStatus<'a>>,
    #[serde(borrow)]
    ephemeral_container_statuses: List<ContainerStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    state: ContainerState<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerState<'a> {
    #[serde(borrow)]
    waiting: Option<StateWaiting<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StateWaiting<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    reason: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    message: Text<'a>,
}

/// An object that makes pods from a template: `spec.template`, or `spec.jobTemplate.spec.template` of a `CronJob`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct WorkloadShape<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(in crate::cluster) metadata: Meta<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    spec: WorkloadSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WorkloadSpec<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    template: Template<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    job_template: JobTemplate<'a>,
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
struct Template<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    spec: PodSpec<'a>,
}

/// Whether a pod has run to its end: it will not pull again.
pub(in crate::cluster) fn is_finished(shape: &PodShape<'_>) -> bool {
    matches!(&*shape.status.phase, "Succeeded" | "Failed")
}

/// A Pod as it stands.
pub(in crate::cluster) fn pod(shape: &PodShape<'_>, at: ObjectRef, interner: &Interner) -> Result<Pod, ShapeError> {
    let owner = shape.metadata.owner_references.0.iter().find(|owner| owner.controller).map(|owner| Owner {
        api_version: interner.intern(&owner.api_version),
        kind: interner.intern(&owner.kind),
        name: interner.intern(&owner.name),
    });
    let status = &shape.status;
    let waiting = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses]
        .into_iter()
        .flat_map(|list| &list.0)
        .filter_map(|container| {
            container.state.waiting.as_ref().map(|waiting| Waiting {
                container: interner.intern(&container.name),
                reason: cut(&waiting.reason, REASON_LIMIT),
                message: cut(&waiting.message, MESSAGE_LIMIT),
            })
        })
        .collect();
    from_spec(&shape.spec, at, owner, waiting, interner)
}

/// The Pod that a controller would make of a template.
pub(in crate::cluster) fn template_pod(
    shape: &WorkloadShape<'_>,
    at: ObjectRef,
    owner: Owner,
    interner: &Interner,
) -> Result<Pod, ShapeError> {
    let spec = if &*owner.kind == "CronJob" { &shape.spec.job_template.spec.template } else { &shape.spec.template };
    from_spec(&spec.spec, at, Some(owner), Vec::new(), interner)
}

fn from_spec(
    spec: &PodSpec<'_>,
    at: ObjectRef,
    owner: Option<Owner>,
    waiting: Vec<Waiting>,
    interner: &Interner,
) -> Result<Pod, ShapeError> {
    let images = images(spec, interner);
    if images.len() > MOST_IMAGES {
        return Err(ShapeError::new(
            "spec.containers",
            &format!("a pod of more than {MOST_IMAGES} images is not looked at"),
        ));
    }
    let pull_secrets = names(&spec.image_pull_secrets, interner);
    if pull_secrets.len() > MOST_PULL_SECRETS {
        return Err(ShapeError::new(
            "spec.imagePullSecrets",
            &format!("a pod of more than {MOST_PULL_SECRETS} pull Secrets is not looked at"),
        ));
    }
    let account = [&spec.service_account_name, &spec.service_account].into_iter().find(|name| !name.is_empty());
    Ok(Pod {
        at,
        service_account: interner.intern(account.map_or("default", |name| name)),
        pull_secrets,
        admitted_from_service_account: false,
        images,
        owner,
        waiting,
    })
}

fn images(spec: &PodSpec<'_>, interner: &Interner) -> Vec<PodImage> {
    let containers = [
        (ContainerKind::Init, &spec.init_containers),
        (ContainerKind::Regular, &spec.containers),
        (ContainerKind::Ephemeral, &spec.ephemeral_containers),
    ]
    .into_iter()
    .flat_map(|(kind, list)| list.0.iter().map(move |container| (kind, &container.name, &container.image)));
    let volumes =
        spec.volumes.0.iter().map(|volume| (ContainerKind::ImageVolume, &volume.name, &volume.image.reference));
    containers
        .chain(volumes)
        .filter(|(_, _, image)| !image.is_empty())
        .map(|(kind, name, image)| PodImage { container: interner.intern(name), kind, image: interner.intern(image) })
        .collect()
}

fn cut(text: &str, characters: usize) -> Box<str> {
    let end = text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    Box::from(&text[..end])
}
