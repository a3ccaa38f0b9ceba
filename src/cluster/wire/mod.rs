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
mod manager;
mod pod;
mod read;
mod text;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub(super) use controller::{ControllerShape, controller};
pub(super) use convert::{at, pull_secret, service_account};
pub(super) use hooks::{HooksShape, TemplateShape, hook_template};
pub(super) use interner::Interner;
pub(super) use manager::ManagerShape;
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
    pub(super) metadata: Meta<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) data: Texts<'a>,
}

/// The texts of a `ConfigMap`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Texts<'a>(#[serde(borrow)] pub(super) BTreeMap<Text<'a>, Text<'a>>);

/// A Secret that may hold extension templates: its values, still as they were written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TemplateSecretShape<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) metadata: Meta<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) data: SecretTexts<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) string_data: SecretTexts<'a>,
}

/// The values of a Secret, which must not print.
#[derive(Default, Deserialize)]
pub(super) struct SecretTexts<'a>(#[serde(borrow)] pub(super) BTreeMap<Text<'a>, Option<Text<'a>>>);

impl std::fmt::Debug for SecretTexts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretTexts([redacted])")
    }
}

impl SecretTexts<'_> {
    /// The value of a key as it was written. Null is an empty one, as Go reads it.
    fn get(&self, key: &str) -> Option<&str> {
        let (_, text) = self.0.iter().find(|(known, _)| &***known == key)?;
        Some(text.as_ref().map_or("", |text| &**text))
    }
}

impl TemplateSecretShape<'_> {
    /// Its keys. `stringData` wins over `data`.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let only_data = self.data.0.keys().filter(|key| !self.string_data.0.contains_key(*key));
        self.string_data.0.keys().chain(only_data).map(|key| &**key)
    }

    /// The value of a key, where there is such a key; or why it is no text.
    pub(super) fn text(&self, key: &str) -> Option<Result<SecretString, &'static str>> {
        if let Some(text) = self.string_data.get(key) {
            return Some(Ok(SecretString::from(text)));
        }
        let decoded = <bytes::Base64 as bytes::Encoding>::decode(self.data.get(key)?);
        let Some(bytes) = decoded else { return Some(Err("it is not written in base64")) };
        Some(std::str::from_utf8(bytes.expose_secret()).map(SecretString::from).map_err(|_| "it is no text in UTF-8"))
    }
}

/// A reference to an object of the same namespace.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NameRef<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) name: Text<'a>,
}

#[cfg(test)]
mod tests;
