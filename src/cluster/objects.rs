//! Slim views of Kubernetes objects: only the fields that a later room reads.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretSlice};

/// Type of a pull Secret in the form that kubectl writes.
pub const DOCKERCONFIGJSON_TYPE: &str = "kubernetes.io/dockerconfigjson";
/// The data key that [`DOCKERCONFIGJSON_TYPE`] demands.
pub const DOCKERCONFIGJSON_KEY: &str = ".dockerconfigjson";
/// Type of a pull Secret in the legacy form.
pub const DOCKERCFG_TYPE: &str = "kubernetes.io/dockercfg";
/// The data key that [`DOCKERCFG_TYPE`] demands.
pub const DOCKERCFG_KEY: &str = ".dockercfg";

/// Namespace and name of an object. The namespace is empty for what comes from a Docker `config.json`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl ObjectRef {
    /// A reference from its two parts.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// A pull document as the user wrote it. It does not print, and a source hands out one for all Secrets that hold the same.
#[derive(Clone)]
pub struct Document(pub(super) Arc<SecretSlice<u8>>);

impl ExposeSecret<[u8]> for Document {
    fn expose_secret(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl From<SecretSlice<u8>> for Document {
    fn from(bytes: SecretSlice<u8>) -> Self {
        Self(Arc::new(bytes))
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Document([redacted])")
    }
}

/// A Secret, with its pull documents, if it has any, still encoded as the user wrote them.
///
/// Only the two keys that the kubelet reads are kept; nothing else of a Secret's data ever enters memory of ours. From a
/// cluster come pull Secrets alone; from files any Secret, so that a reference to one of another type is known as such.
#[derive(Debug)]
pub struct PullSecret {
    /// Namespace and name.
    pub at: ObjectRef,
    /// `type` as written; empty when absent. From files it may be any type.
    pub secret_type: Arc<str>,
    /// Value of [`DOCKERCONFIGJSON_KEY`], when the key exists.
    pub dockerconfigjson: Option<Document>,
    /// Value of [`DOCKERCFG_KEY`], when the key exists.
    pub dockercfg: Option<Document>,
}

impl PullSecret {
    /// Whether it is, or looks like, a pull Secret: by its type, or by one of the two keys.
    pub fn is_pull_secret(&self) -> bool {
        matches!(&*self.secret_type, DOCKERCONFIGJSON_TYPE | DOCKERCFG_TYPE)
            || self.dockerconfigjson.is_some()
            || self.dockercfg.is_some()
    }

    /// Whether two Secrets are the same object with the same content, asked on purpose: a source keeps the `Arc` of
    /// what did not change, so that later rooms can tell by pointer.
    pub fn same_as(&self, other: &Self) -> bool {
        self.at == other.at && self.same_content_as(other)
    }

    /// Whether two Secrets hold the same.
    pub fn same_content_as(&self, other: &Self) -> bool {
        fn same(a: Option<&Document>, b: Option<&Document>) -> bool {
            match (a, b) {
                (Some(a), Some(b)) => Arc::ptr_eq(&a.0, &b.0) || a.expose_secret() == b.expose_secret(),
                (a, b) => a.is_none() && b.is_none(),
            }
        }
        self.secret_type == other.secret_type
            && same(self.dockerconfigjson.as_ref(), other.dockerconfigjson.as_ref())
            && same(self.dockercfg.as_ref(), other.dockercfg.as_ref())
    }
}

/// A reference to the controller that owns an object (`ownerReferences` with `controller: true`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// `apiVersion` of the owner.
    pub api_version: Arc<str>,
    /// Kind, such as `ReplicaSet` or `EphemeralRunner`.
    pub kind: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

/// Where in a pod an image stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContainerKind {
    /// `spec.initContainers`
    Init,
    /// `spec.containers`
    Regular,
    /// `spec.ephemeralContainers`
    Ephemeral,
    /// `spec.volumes[].image`
    ImageVolume,
}

/// One image that a pod pulls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodImage {
    /// Name of the container or the volume.
    pub container: Arc<str>,
    /// Where it stands.
    pub kind: ContainerKind,
    /// The image as written. Never empty: containers without an image are left out.
    pub image: Arc<str>,
}

/// A container that waits, as its status tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Name of the container.
    pub container: Arc<str>,
    /// `state.waiting.reason`, cut to 256 characters: can be a raw Go error text.
    pub reason: Box<str>,
    /// `state.waiting.message`, cut to 1,024 characters.
    pub message: Box<str>,
}

/// A pod that has not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub at: ObjectRef,
    /// What it has in common with the others of its kind; a source hands out one for all of them.
    pub pulls: Arc<PodPulls>,
    /// Containers that wait now.
    pub waiting: Vec<Waiting>,
}

impl Deref for Pod {
    type Target = PodPulls;

    fn deref(&self) -> &PodPulls {
        &self.pulls
    }
}

impl DerefMut for Pod {
    /// The others of its kind stay as they are.
    fn deref_mut(&mut self) -> &mut PodPulls {
        Arc::make_mut(&mut self.pulls)
    }
}

/// What a pod pulls, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodPulls {
    /// `spec.serviceAccountName`; `default` where absent.
    pub service_account: Arc<str>,
    /// Names in `spec.imagePullSecrets`, in order, empty names left out (the kubelet skips them). From manifest files
    /// this is already the result of `ServiceAccount` admission in simulation.
    pub pull_secrets: Vec<Arc<str>>,
    /// Whether `pull_secrets` was copied from the `ServiceAccount` by our own simulation of admission.
    pub admitted_from_service_account: bool,
    /// All images, in the order init, regular, ephemeral, image volumes.
    pub images: Vec<PodImage>,
    /// The owning controller, if there is one.
    pub owner: Option<Owner>,
}

/// A `ServiceAccount`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Namespace and name.
    pub at: ObjectRef,
    /// Names in `imagePullSecrets`, in order, empty names left out.
    pub pull_secrets: Vec<Arc<str>>,
}
