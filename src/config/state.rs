//! Where the state is kept.

use std::path::PathBuf;

use serde::Deserialize;

/// Where verdicts survive a restart, as the file says it.
#[derive(Clone, Debug, Deserialize, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StateConfig {
    /// Not at all, in a file, or in `ConfigMap`s of the cluster.
    pub kind: StateKind,
    /// With `kind: file`: the file, on a volume that outlives the pod.
    pub path: Option<PathBuf>,
    /// With `kind: configMap`: its namespace.
    pub namespace: Option<String>,
    /// With `kind: configMap`: its name; further ones get a number behind it.
    pub name: Option<String>,
}

/// How the state is kept.
#[derive(Clone, Copy, Debug, Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum StateKind {
    /// Not at all.
    #[default]
    None,
    /// In a file.
    File,
    /// In `ConfigMap`s.
    ConfigMap,
}

/// Where the state is kept, with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateStore {
    /// In this file.
    File(PathBuf),
    /// In `ConfigMap`s.
    ConfigMap {
        /// Their namespace.
        namespace: String,
        /// The name of the first.
        name: String,
    },
}

impl StateConfig {
    /// Where the state is kept; `None` for nowhere, and where the config does not say enough, which a checked one does.
    pub fn store(&self) -> Option<StateStore> {
        match self.kind {
            StateKind::None => None,
            StateKind::File => self.path.clone().map(StateStore::File),
            StateKind::ConfigMap => {
                Some(StateStore::ConfigMap { namespace: self.namespace.clone()?, name: self.name.clone()? })
            }
        }
    }

    /// The key that is wrong, and what to write.
    pub(super) fn check(&self, has_key: bool) -> Result<(), (String, String)> {
        let refuse = |key: &str, message: &str| Err((format!("state.{key}"), message.to_owned()));
        let path = self.path.as_ref().map(|path| !path.as_os_str().is_empty());
        if self.kind != StateKind::File && path.is_some() {
            return refuse("path", "belongs to `kind: file`");
        }
        for (key, value) in [("namespace", &self.namespace), ("name", &self.name)] {
            match (self.kind, value) {
                (StateKind::ConfigMap, None) => return refuse(key, "is needed with `kind: configMap`"),
                (StateKind::ConfigMap, Some(value)) if !is_name(value) => {
                    return refuse(key, "must be a name of Kubernetes: lower-case letters, digits, `-` and `.`");
                }
                (StateKind::ConfigMap, Some(_)) | (_, None) => {}
                (_, Some(_)) => return refuse(key, "belongs to `kind: configMap`"),
            }
        }
        match self.kind {
            StateKind::File if path != Some(true) => {
                refuse("path", "is needed with `kind: file`, for example `/var/lib/pull-patrol/state`")
            }
            StateKind::ConfigMap if !has_key => refuse(
                "kind",
                "configMap needs `tokenIdKeyFile`, mounted from a Secret: with the key in the ConfigMap as well, whoever \
                 reads it could guess weak passwords",
            ),
            _ => Ok(()),
        }
    }
}

/// A DNS subdomain that leaves room for a number (kubernetes.io, "Object Names and IDs").
pub(super) fn is_name(text: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 240
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(byte))
}
