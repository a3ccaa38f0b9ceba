//! From the shapes into the objects of the inventory.

use std::sync::Arc;

use secrecy::SecretSlice;

use super::{Interner, List, Meta, NameRef, SecretShape, ServiceAccountShape};
use crate::cluster::objects::{ObjectRef, PullSecret, ServiceAccount};

/// Namespace and name, where the namespace is told.
pub(in crate::cluster) fn at(meta: &Meta<'_>, interner: &Interner) -> ObjectRef {
    ObjectRef { namespace: interner.intern(&meta.namespace), name: Arc::from(&*meta.name) }
}

/// A Secret. `stringData` wins over `data`, as in the API server's Secret strategy.
pub(in crate::cluster) fn pull_secret(shape: SecretShape<'_>, at: ObjectRef, interner: &Interner) -> PullSecret {
    let document = |bytes: Option<SecretSlice<u8>>| bytes.map(|bytes| interner.document(bytes));
    PullSecret {
        at,
        secret_type: interner.intern(&shape.secret_type),
        dockerconfigjson: document(shape.string_data.dockerconfigjson.or(shape.data.dockerconfigjson)),
        dockercfg: document(shape.string_data.dockercfg.or(shape.data.dockercfg)),
    }
}

/// A `ServiceAccount`.
pub(in crate::cluster) fn service_account(
    shape: &ServiceAccountShape<'_>,
    at: ObjectRef,
    interner: &Interner,
) -> ServiceAccount {
    ServiceAccount { at, pull_secrets: names(&shape.image_pull_secrets, interner) }
}

/// The names of a list of references, empty ones left out as the kubelet skips them.
pub(super) fn names(references: &List<NameRef<'_>>, interner: &Interner) -> Vec<Arc<str>> {
    references
        .0
        .iter()
        .filter(|reference| !reference.name.is_empty())
        .map(|reference| interner.intern(&reference.name))
        .collect()
}
