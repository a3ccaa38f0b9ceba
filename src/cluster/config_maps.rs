//! Texts of ours in `ConfigMap`s: the first under a name, further ones under the name with a number.
//!
//! Every write names the version that was read, so that of two writers one is told of the other. A `ConfigMap` that is not
//! ours is never written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, PostParams};

use super::{MissingPermission, Resource};

/// The key of the text.
const KEY: &str = "state";
/// The key of a text that was not taken over.
const REFUSED_KEY: &str = "refused";
/// The label that says whose a `ConfigMap` is (kubernetes.io, "Recommended Labels").
const LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "pull-patrol");
/// The largest text that is put aside: beside a new one it must fit into an object, which may hold 1 MiB.
const MOST_ASIDE: usize = 480 * 1024;
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Why a text was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum ConfigMapError {
    /// Another process wrote it meanwhile.
    #[error("another process wrote the ConfigMap {name} meanwhile")]
    Conflict {
        /// Which.
        name: String,
    },
    /// RBAC denies it.
    #[error("RBAC denies to {verb} the ConfigMap {name}: allow get, create and update on configmaps in its namespace")]
    Forbidden {
        /// Which.
        name: String,
        /// What was denied.
        verb: &'static str,
    },
    /// It is somebody else's.
    #[error("the ConfigMap {name} is not one of pull-patrol: give `state.name` another value, or delete it")]
    Foreign {
        /// Which.
        name: String,
    },
    /// The namespace is not there.
    #[error("the namespace of `state` is not there")]
    NoNamespace,
    /// The API server does not take so much.
    #[error("the ConfigMap {name} is too large for the API server")]
    TooLarge {
        /// Which.
        name: String,
    },
    /// No answer, or one that makes no sense.
    #[error("cannot {verb} the ConfigMap {name}")]
    Failed {
        /// Which.
        name: String,
        /// What was tried.
        verb: &'static str,
        /// The cause.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The `ConfigMap`s of one state.
pub struct ConfigMaps {
    api: Api<ConfigMap>,
    namespace: Arc<str>,
    name: String,
    /// What was read or written last, per place.
    known: BTreeMap<usize, ConfigMap>,
}

impl std::fmt::Debug for ConfigMaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigMaps")
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ConfigMaps {
    /// Those of a name in a namespace.
    pub fn new(client: kube::Client, namespace: &str, name: &str) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, namespace: namespace.into(), name: name.to_owned(), known: BTreeMap::new() }
    }

    /// The name of the `ConfigMap` at a place.
    pub fn name(&self, place: usize) -> String {
        if place == 0 { self.name.clone() } else { format!("{}-{place}", self.name) }
    }

    /// Read the text at a place; `None` when there is none.
    pub async fn read(&mut self, place: usize) -> Result<Option<String>, ConfigMapError> {
        let name = self.name(place);
        self.known.remove(&place);
        let found = self.ask("get", &name, self.api.get_opt(&name)).await?;
        let Some(mut found) = found else { return Ok(None) };
        let label = found.metadata.labels.as_ref().and_then(|labels| labels.get(LABEL.0));
        if label.is_none_or(|value| value != LABEL.1) {
            return Err(ConfigMapError::Foreign { name });
        }
        let text = found.data.as_mut().and_then(|data| data.remove(KEY));
        self.known.insert(place, found);
        Ok(Some(text.unwrap_or_default()))
    }

    /// Whether a text that was not taken over can be kept beside another one.
    pub fn fits_aside(text: &str) -> bool {
        text.len() <= MOST_ASIDE
    }

    /// Write the text at a place. A text that was not taken over is kept beside it, unless it is too long, until another
    /// one is.
    pub async fn write(&mut self, place: usize, text: &str, refused: Option<&str>) -> Result<(), ConfigMapError> {
        let name = self.name(place);
        let mut object = self.known.remove(&place).unwrap_or_else(|| ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(BTreeMap::from([(LABEL.0.to_owned(), LABEL.1.to_owned())])),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        });
        let data = object.data.get_or_insert_default();
        if let Some(refused) = refused.filter(|refused| Self::fits_aside(refused)) {
            data.insert(REFUSED_KEY.to_owned(), refused.to_owned());
        }
        data.insert(KEY.to_owned(), text.to_owned());
        let params = PostParams::default();
        let mut written = if object.metadata.resource_version.is_some() {
            self.ask("update", &name, self.api.replace(&name, &params, &object)).await?
        } else {
            self.ask("create", &name, self.api.create(&params, &object)).await?
        };
        // The text itself need not be held twice.
        written.data.get_or_insert_default().remove(KEY);
        self.known.insert(place, written);
        Ok(())
    }

    /// The rule that RBAC lacks, where that is the error.
    pub fn missing(&self, error: &ConfigMapError) -> Option<MissingPermission> {
        let ConfigMapError::Forbidden { verb, .. } = error else { return None };
        Some(MissingPermission::new(Resource::StateConfigMaps, verb, Arc::clone(&self.namespace)))
    }

    async fn ask<T>(
        &self,
        verb: &'static str,
        name: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ConfigMapError> {
        let name = name.to_owned();
        let error = match tokio::time::timeout(TIMEOUT, request).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(elapsed) => return Err(ConfigMapError::Failed { name, verb, cause: elapsed.into() }),
        };
        let kube::Error::Api(status) = &error else {
            return Err(ConfigMapError::Failed { name, verb, cause: error.into() });
        };
        Err(match status.code {
            403 => ConfigMapError::Forbidden { name, verb },
            404 if verb == "create" => ConfigMapError::NoNamespace,
            // With 404 it went meanwhile: the next look finds none.
            404 | 409 => ConfigMapError::Conflict { name },
            413 | 422 => ConfigMapError::TooLarge { name },
            _ => ConfigMapError::Failed { name, verb, cause: error.into() },
        })
    }
}

impl ConfigMapError {
    /// The label `reason` of `pullpatrol_state_errors_total`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Forbidden { .. } => "forbidden",
            Self::Foreign { .. } => "foreign",
            Self::TooLarge { .. } => "too_large",
            Self::NoNamespace | Self::Failed { .. } => "unreachable",
        }
    }
}
