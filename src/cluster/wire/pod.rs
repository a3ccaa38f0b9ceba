//! Pods, and the specs of their templates.

use serde::Deserialize;

use super::convert::names;
use super::text::{List, Text, nullable};
use super::{Interner, Meta, NameRef, ShapeError};
use crate::cluster::PodTemplate;
use crate::cluster::objects::{ContainerKind, ObjectRef, Owner, Pod, PodImage, PodPulls, Waiting};

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
    #[serde(borrow, deserialize_with = "nullable")]
    labels: HookLabels<'a>,
}

/// The one label that is read: container hooks set no owner on what they make, but name the runner's pod here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HookLabels<'a> {
    #[serde(borrow, rename = "runner-pod", deserialize_with = "nullable")]
    runner_pod: Text<'a>,
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

    /// The owning controller; for what a container hook made, the runner's pod.
    pub(super) fn owner(&self, interner: &Interner) -> Option<Owner> {
        let controller = self.owner_references.0.iter().find(|owner| owner.controller);
        let (api_version, kind, name) = match controller {
            Some(owner) => (&*owner.api_version, &*owner.kind, &*owner.name),
            None if self.labels.runner_pod.is_empty() => return None,
            None => ("v1", "Pod", &*self.labels.runner_pod),
        };
        Some(Owner {
            api_version: interner.intern(api_version),
            kind: interner.intern(kind),
            name: interner.intern(name),
        })
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
pub(super) struct PodSpec<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) service_account_name: Text<'a>,
    /// The old name of `serviceAccountName`, which the API server still takes where the new one is empty.
    #[serde(borrow, deserialize_with = "nullable")]
    service_account: Text<'a>,
    #[serde(borrow)]
    pub(super) image_pull_secrets: List<NameRef<'a>>,
    /// The runner's image where ARC's legacy kinds write it; no pod has such a field.
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) image: Text<'a>,
    /// Of ARC's legacy kinds.
    #[serde(borrow)]
    sidecar_containers: List<Container<'a>>,
    #[serde(borrow)]
    pub(super) init_containers: List<Container<'a>>,
    #[serde(borrow)]
    pub(super) containers: List<Container<'a>>,
    #[serde(borrow)]
    ephemeral_containers: List<Container<'a>>,
    #[serde(borrow)]
    volumes: List<Volume<'a>>,
}

impl PodSpec<'_> {
    /// Whether it has containers, with an image or without.
    pub(super) fn has_containers(&self) -> bool {
        !self.containers.0.is_empty()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Container<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) image: Text<'a>,
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

/// Whether a pod has run to its end: it will not pull again.
pub(in crate::cluster) fn is_finished(shape: &PodShape<'_>) -> bool {
    matches!(&*shape.status.phase, "Succeeded" | "Failed")
}

/// A Pod as it stands.
pub(in crate::cluster) fn pod(shape: &PodShape<'_>, at: ObjectRef, interner: &Interner) -> Result<Pod, ShapeError> {
    let owner = shape.metadata.owner(interner);
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
    let PodTemplate { service_account, pull_secrets, images } = template(&shape.spec, interner)?;
    let pulls = PodPulls { service_account, pull_secrets, admitted_from_service_account: false, images, owner };
    Ok(Pod { at, pulls: interner.pulls(pulls), waiting })
}

/// What a template says about pulling, before admission.
pub(super) fn template(spec: &PodSpec<'_>, interner: &Interner) -> Result<PodTemplate, ShapeError> {
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
    Ok(PodTemplate { service_account: interner.intern(account(spec)), pull_secrets, images })
}

fn account<'s>(spec: &'s PodSpec<'_>) -> &'s str {
    let names = [&spec.service_account_name, &spec.service_account];
    names.into_iter().find(|name| !name.is_empty()).map_or("default", |name| name)
}

fn images(spec: &PodSpec<'_>, interner: &Interner) -> Vec<PodImage> {
    let containers = [
        (ContainerKind::Init, &spec.init_containers),
        (ContainerKind::Regular, &spec.containers),
        (ContainerKind::Regular, &spec.sidecar_containers),
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

pub(super) fn cut(text: &str, characters: usize) -> Box<str> {
    let end = text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    Box::from(&text[..end])
}
