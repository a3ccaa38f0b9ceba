//! The shapes in which Kubernetes writes the objects, cut down to the fields that we read, and the way from there into
//! the inventory. Manifests and the live watch share them, so both read an object alike.
//!
//! Null and absent mean the zero value, as in Go. What is not named here is skipped while parsing and never becomes an
//! object in memory: annotations (which hold a copy of a Secret after `kubectl apply`), managed fields, other data.

mod bytes;
mod controller;
mod convert;
mod hooks;
mod interner;
mod pod;
mod read;
mod text;

use std::collections::BTreeMap;

use serde::Deserialize;

pub(super) use controller::{ControllerShape, controller};
pub(super) use convert::{at, pull_secret, service_account};
pub(super) use hooks::{HooksShape, TemplateShape, hook_template};
pub(super) use interner::Interner;
pub(super) use pod::{PodShape, is_finished, pod};
pub(super) use read::{ShapeError, read_json, read_tree};
pub(super) use text::{List, Text, nullable};

/// What an object says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Head<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) api_version: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) kind: Text<'a>,
}

/// `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) generate_name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) namespace: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) resource_version: Text<'a>,
}

/// An object of which only the metadata matters: a deletion, or one whose rest does not parse.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MetaShape<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) metadata: Meta<'a>,
}

/// The labels of an object, read only where a selector is evaluated here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LabelShape {
    #[serde(deserialize_with = "nullable")]
    pub(super) metadata: Labels,
}

/// `metadata.labels`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Labels {
    #[serde(deserialize_with = "nullable")]
    pub(super) labels: BTreeMap<String, String>,
}

/// A Secret, without any data but that of the two keys of pull Secrets.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SecretShape<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) metadata: Meta<'a>,
    #[serde(borrow, rename = "type", deserialize_with = "nullable")]
    pub(super) secret_type: Text<'a>,
    #[serde(deserialize_with = "nullable")]
    pub(super) data: bytes::PullData<bytes::Base64>,
    #[serde(deserialize_with = "nullable")]
    pub(super) string_data: bytes::PullData<bytes::Plain>,
}

/// A `ServiceAccount`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceAccountShape<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) metadata: Meta<'a>,
    #[serde(borrow)]
    pub(super) image_pull_secrets: List<NameRef<'a>>,
}

/// A `ConfigMap`, of which only the text counts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigMapShape<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) data: Texts<'a>,
}

/// The texts of a `ConfigMap`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Texts<'a>(#[serde(borrow)] pub(super) BTreeMap<Text<'a>, Text<'a>>);

/// A reference to an object of the same namespace.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NameRef<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) name: Text<'a>,
}

#[cfg(test)]
mod tests;
