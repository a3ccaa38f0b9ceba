//! What is there: the objects we read of Kubernetes, from a live cluster, from manifest files or from a Docker
//! `config.json`, gathered in one [`Inventory`].
//!
//! This room touches the Kubernetes API and files; what it writes there is Events, the state in `ConfigMap`s, and the Lease. It never talks
//! to a registry or an issuer, and never decodes a pull
//! Secret: it hands the raw document on in a type that cannot print.

mod config_maps;
mod controller;
mod events;
mod inventory;
mod lease;
mod live;
mod manifest;
mod objects;
mod permission;
mod scope;
mod selector;
mod templates;
mod wire;

pub use config_maps::{ConfigMapError, ConfigMaps};
pub use controller::{
    ArcTraits, Controller, ControllerKey, ControllerKind, HookTemplate, HookTemplateKey, HookTemplateRef,
    HookTemplateState, HookTemplates, Hooks, ListenerTemplate, Manager, NotRead, PodTemplate, RunnerContainer,
    RunnerStatus, TemplateHolder,
};
pub use events::{Announcement, EventObserver, EventOutcome, send_events};
pub use inventory::{Inventory, Origin, Problem, Resource, SharedInventory};
pub use lease::{Candidacy, LEASE_ERROR_REASONS, Leadership, LeaseObserver, Tenure, Term, campaign};
pub use live::{
    ClientError, SnapshotError, WATCH_ERROR_REASONS, WatchObserver, client, snapshot_cluster, watch_cluster,
};
pub use manifest::{FileSource, Input, load, watch_files};
pub use objects::{
    ContainerKind, DOCKERCFG_KEY, DOCKERCFG_TYPE, DOCKERCONFIGJSON_KEY, DOCKERCONFIGJSON_TYPE, Document, ObjectRef,
    Owner, Pod, PodImage, PodPulls, PullSecret, ServiceAccount, Waiting,
};
pub use permission::{MissingPermission, MissingRule, missing_rules};
pub use scope::{Scope, ScopeError};
pub use selector::{LabelSelector, SelectorError};

/// A source of objects ended although nobody asked it to.
///
/// The process must not go on with an inventory that nobody keeps: whoever runs the source ends loudly.
#[derive(Debug, thiserror::Error)]
#[error("the {source_of_objects} ended although it was not told to; this is a bug, please report it with the log")]
pub struct WatchEnded {
    /// Which part ended.
    pub source_of_objects: &'static str,
    /// What it said, if it did.
    #[source]
    pub cause: Option<tokio::task::JoinError>,
}
