//! From the JSON of one item to an object of the inventory. Whatever the item holds, there is an answer: one object that
//! cannot be read must not keep the others from being seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;

use super::slice::{Kind, Slice};
use crate::cluster::manifest::{MAX_BYTES, too_long};
use crate::cluster::wire::{
    ConfigMapShape, ControllerShape, HooksShape, Interner, ManagerShape, Meta, MetaShape, PodShape, SecretShape,
    ServiceAccountShape, ShapeError, TemplateSecretShape, at, controller, is_finished, pod, pull_secret, read_json,
    service_account,
};
use crate::cluster::{
    Controller, ControllerKind, Inventory, ObjectRef, Pod, Problem, PullSecret, Scope, ServiceAccount, TemplateHolder,
};

/// An object of any kind.
#[derive(Clone, Debug)]
pub(super) enum Object {
    Secret(Arc<PullSecret>),
    Pod(Arc<Pod>),
    ServiceAccount(Arc<ServiceAccount>),
    Controller(Arc<Controller>),
    /// Texts that have yet to be parsed; they never get into the inventory.
    Templates(Arc<TemplateTexts>),
}

/// The wanted keys of an object that holds extension templates.
#[derive(Debug)]
pub(super) struct TemplateTexts {
    pub(super) at: ObjectRef,
    /// The text of each, or why there is none.
    pub(super) texts: BTreeMap<Box<str>, Result<SecretString, Box<str>>>,
}

/// What an item turned out to be.
#[derive(Debug)]
pub(super) enum Item {
    /// An object to keep.
    Object(Object),
    /// One that does not count: out of scope, finished, or of another type. It replaces what was at its place.
    Nothing(ObjectRef),
    /// One that cannot be read. It replaces what was at its place, if that can be told.
    Bad(Option<ObjectRef>, Problem),
}

impl Object {
    pub(super) fn at(&self) -> &ObjectRef {
        match self {
            Self::Secret(secret) => &secret.at,
            Self::Pod(pod) => &pod.at,
            Self::ServiceAccount(account) => &account.at,
            Self::Controller(controller) => &controller.at,
            Self::Templates(templates) => &templates.at,
        }
    }

    /// The one that the inventory holds already, if it is the same: then nothing has changed.
    pub(super) fn or_known(self, inventory: &Inventory) -> Self {
        fn known<T>(new: Arc<T>, old: Option<&Arc<T>>, same: impl Fn(&T, &T) -> bool) -> Arc<T> {
            old.filter(|old| same(old, &new)).map(Arc::clone).unwrap_or(new)
        }
        match self {
            Self::Secret(new) => {
                let old = inventory.secrets.get(&new.at);
                Self::Secret(known(new, old, super::super::objects::PullSecret::same_as))
            }
            Self::Pod(new) => {
                let old = inventory.pods.get(&new.at);
                Self::Pod(known(new, old, PartialEq::eq))
            }
            Self::ServiceAccount(new) => {
                let old = inventory.service_accounts.get(&new.at);
                Self::ServiceAccount(known(new, old, PartialEq::eq))
            }
            Self::Controller(new) => {
                let old = inventory.controllers.get(&(new.kind, new.at.clone()));
                Self::Controller(known(new, old, PartialEq::eq))
            }
            Self::Templates(new) => Self::Templates(new),
        }
    }
}

/// Read an item, and the version of it, which is empty where it cannot be told.
pub(super) fn item(slice: &Slice, json: &RawValue, scope: &Scope, interner: &Interner) -> (Item, String) {
    match read(slice, json, scope, interner) {
        Ok(read) => read,
        Err(error) => {
            let meta = read_json::<MetaShape<'_>>(json).unwrap_or_default().metadata;
            let place = place(slice, &meta, interner).ok();
            let problem = Problem {
                source: "cluster".to_owned(),
                index: None,
                kind: Some(slice.kind.name().to_owned()),
                name: place.as_ref().map(ToString::to_string),
                message: error.to_string(),
                unparsable: false,
            };
            (Item::Bad(place, problem), meta.resource_version.to_string())
        }
    }
}

/// Where a deleted object was, and the version of the deletion.
pub(super) fn deleted(slice: &Slice, json: &RawValue, interner: &Interner) -> Option<(ObjectRef, String)> {
    let meta = read_json::<MetaShape<'_>>(json).ok()?.metadata;
    Some((place(slice, &meta, interner).ok()?, meta.resource_version.to_string()))
}

fn read(slice: &Slice, json: &RawValue, scope: &Scope, interner: &Interner) -> Result<(Item, String), ShapeError> {
    let (at, version, object) = match slice.kind {
        Kind::Secrets(_) | Kind::NamedSecret => {
            let shape: SecretShape<'_> = read_json(json)?;
            let at = place(slice, &shape.metadata, interner)?;
            let version = shape.metadata.resource_version.to_string();
            let wanted = match slice.kind {
                Kind::Secrets(secret_type) => *shape.secret_type == *secret_type,
                _ => true,
            };
            let secret = wanted.then(|| pull_secret(shape, at.clone(), interner));
            (at, version, secret.map(|secret| Object::Secret(Arc::new(secret))))
        }
        Kind::Pods => {
            let shape: PodShape<'_> = read_json(json)?;
            let meta = shape.metadata.meta();
            let at = place(slice, &meta, interner)?;
            let pod = if is_finished(&shape) { None } else { Some(pod(&shape, at.clone(), interner)?) };
            let pod = pod.map(|pod| Object::Pod(Arc::new(pod)));
            (at, meta.resource_version.to_string(), pod)
        }
        Kind::ServiceAccounts => {
            let shape: ServiceAccountShape<'_> = read_json(json)?;
            let at = place(slice, &shape.metadata, interner)?;
            let account = service_account(&shape, at.clone(), interner);
            let version = shape.metadata.resource_version.to_string();
            (at, version, Some(Object::ServiceAccount(Arc::new(account))))
        }
        Kind::Controllers(kind) => {
            let shape: ControllerShape<'_> = read_json(json)?;
            let hooks = if kind.is_arc() { Some(read_json::<HooksShape<'_>>(json)?) } else { None };
            let meta = shape.metadata.meta();
            let at = place(slice, &meta, interner)?;
            let mut controller = controller(kind, &shape, hooks.as_ref(), at.clone(), interner)?;
            if kind == ControllerKind::Deployment {
                let manager = read_json::<ManagerShape<'_>>(json)?.manager(interner);
                controller.manager = manager.map(Box::new);
            }
            (at, meta.resource_version.to_string(), Some(Object::Controller(Arc::new(controller))))
        }
        Kind::Templates(holder) => {
            let (meta, texts) = match holder {
                TemplateHolder::ConfigMap => {
                    let shape: ConfigMapShape<'_> = read_json(json)?;
                    let texts = texts(slice, |key| {
                        let text = shape.data.0.iter().find(|(known, _)| &***known == key);
                        text.map(|(_, text)| Ok(SecretString::from(&**text)))
                    });
                    (shape.metadata, texts)
                }
                TemplateHolder::Secret => {
                    let shape: TemplateSecretShape<'_> = read_json(json)?;
                    let texts = texts(slice, |key| shape.text(key));
                    (shape.metadata, texts)
                }
            };
            let at = place(slice, &meta, interner)?;
            let version = meta.resource_version.to_string();
            (at.clone(), version, Some(Object::Templates(Arc::new(TemplateTexts { at, texts }))))
        }
    };
    let object = object.filter(|_| scope.admits(&at.namespace));
    Ok((object.map_or(Item::Nothing(at), Item::Object), version))
}

/// The texts of the keys that count. `find` tells the text of a key, if there is one.
fn texts(
    slice: &Slice,
    find: impl Fn(&str) -> Option<Result<SecretString, &'static str>>,
) -> BTreeMap<Box<str>, Result<SecretString, Box<str>>> {
    let text = |key: &str| match find(key) {
        None => Err("the object has no such key".into()),
        Some(Err(why)) => Err(why.into()),
        Some(Ok(text)) if text.expose_secret().len() > MAX_BYTES => Err(too_long()),
        Some(Ok(text)) => Ok(text),
    };
    slice.keys().map(|key| (Box::from(key), text(key))).collect()
}

fn place(slice: &Slice, meta: &Meta<'_>, interner: &Interner) -> Result<ObjectRef, ShapeError> {
    for (field, text) in [("metadata.name", &meta.name), ("metadata.namespace", &meta.namespace)] {
        if text.is_empty() {
            return Err(ShapeError::new(field, "is missing"));
        }
    }
    let at = at(meta, interner);
    if slice.covers(&at) {
        Ok(at)
    } else {
        Err(ShapeError::new("metadata.namespace", "is not the one that was asked for"))
    }
}

/// The version that a bookmark tells; empty where it cannot be told.
pub(super) fn version(json: &RawValue) -> String {
    read_json::<MetaShape<'_>>(json).unwrap_or_default().metadata.resource_version.to_string()
}
