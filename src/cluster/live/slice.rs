//! What is listed and watched on its own: a kind of object, all of it or in one namespace.

use std::sync::{Arc, PoisonError, RwLock};

use kube::api::{ListParams, WatchParams};

use crate::cluster::templates::Keys;
use crate::cluster::{
    ControllerKind, DOCKERCFG_TYPE, DOCKERCONFIGJSON_TYPE, MissingPermission, ObjectRef, PullSecret, Resource, Scope,
    TemplateHolder,
};

/// The API server ends a watch after this long; it is started again where it stood.
pub(super) const WATCH_SECONDS: u32 = 290;
/// How many excluded namespaces the server is told to leave out; the rest is left out here. A URL must not grow without
/// bound.
const MAX_EXCLUDED_FIELDS: usize = 20;

/// A kind of object that has a list of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Secrets of one type. Field selectors know no "or", so each type has a list of its own.
    Secrets(&'static str),
    /// One Secret that the scope names, of whatever type: who names it means it for pulling.
    NamedSecret,
    /// Pods that have not finished.
    Pods,
    /// `ServiceAccounts`.
    ServiceAccounts,
    /// Objects that make pods. A cluster may lack them, and the inventory is complete without them.
    Controllers(ControllerKind),
    /// One object that holds extension templates of container hooks.
    Templates(TemplateHolder),
}

/// One list and watch.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) kind: Kind,
    /// One namespace, or all that the scope admits.
    pub(super) namespace: Option<Arc<str>>,
    /// Where it is, but for the version of a custom resource.
    base: String,
    rest: String,
    /// The version of a custom resource that the cluster serves, where it is another than the one that we know.
    version: Arc<RwLock<Option<String>>>,
    fields: Option<String>,
    labels: Option<String>,
    /// The one object that is wanted, with the keys of it that count.
    named: Option<(Arc<str>, Keys)>,
}

/// All slices of a scope. Where it lists namespaces, each is asked on its own, which needs Roles only; where it names
/// Secrets, each of them, and no other Secret is asked for.
pub(super) fn slices(scope: &Scope) -> Vec<Slice> {
    let namespaces: Vec<Option<Arc<str>>> = match scope.namespaces() {
        Some(namespaces) => namespaces.iter().cloned().map(Some).collect(),
        None => vec![None],
    };
    let types = [Kind::Secrets(DOCKERCONFIGJSON_TYPE), Kind::Secrets(DOCKERCFG_TYPE)];
    let types = types.into_iter().filter(|_| scope.reads_secrets() && scope.named_secrets().is_none());
    let watched = ControllerKind::ALL.into_iter().filter(|kind| kind.resource().is_some()).map(Kind::Controllers);
    let kinds: Vec<Kind> = types.chain([Kind::ServiceAccounts, Kind::Pods]).chain(watched).collect();
    let of = |namespace: Option<Arc<str>>| kinds.iter().map(move |kind| Slice::new(*kind, namespace.clone(), scope));
    let named = scope.named_secrets().filter(|_| scope.reads_secrets()).into_iter().flatten();
    let named = named.map(|at| Slice::of_one(Kind::NamedSecret, at, Keys::new()));
    named.chain(namespaces.into_iter().flat_map(of)).collect()
}

impl Slice {
    fn new(kind: Kind, namespace: Option<Arc<str>>, scope: &Scope) -> Self {
        let resource = kind.resource().as_str();
        let base = match kind {
            Kind::Controllers(kind) => format!("/apis/{}", kind.group()),
            _ => "/api".to_owned(),
        };
        let rest = match &namespace {
            Some(namespace) => format!("namespaces/{namespace}/{resource}"),
            None => resource.to_owned(),
        };
        let mut fields: Vec<String> = match kind {
            Kind::Secrets(secret_type) => vec![format!("type={secret_type}")],
            Kind::Pods => vec!["status.phase!=Succeeded".to_owned(), "status.phase!=Failed".to_owned()],
            _ => Vec::new(),
        };
        if namespace.is_none() {
            let excluded = scope.excluded().iter().take(MAX_EXCLUDED_FIELDS);
            fields.extend(excluded.map(|name| format!("metadata.namespace!={name}")));
        }
        let labels = match kind {
            Kind::Secrets(_) => Some(scope.secret_selector().as_str().to_owned()).filter(|text| !text.is_empty()),
            _ => None,
        };
        let fields = (!fields.is_empty()).then(|| fields.join(","));
        Self { kind, namespace, base, rest, version: Arc::default(), fields, labels, named: None }
    }

    /// The slice of an object that holds templates.
    pub(super) fn of_templates(holder: TemplateHolder, at: &ObjectRef, keys: Keys) -> Self {
        Self::of_one(Kind::Templates(holder), at, keys)
    }

    /// The slice of one object, which a Role with its name is enough for: the API server takes the name of a request from
    /// this very selector (`apiserver/pkg/endpoints/request/requestinfo.go`). Both parts of `at` must be names of objects,
    /// since they become part of a URL.
    fn of_one(kind: Kind, at: &ObjectRef, keys: Keys) -> Self {
        let resource = kind.resource().as_str();
        Self {
            kind,
            base: "/api".to_owned(),
            rest: format!("namespaces/{}/{resource}", at.namespace),
            version: Arc::default(),
            namespace: Some(Arc::clone(&at.namespace)),
            fields: Some(format!("metadata.name={}", at.name)),
            labels: None,
            named: Some((Arc::clone(&at.name), keys)),
        }
    }

    /// The keys that count of the one object that is wanted.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.named.iter().flat_map(|(_, keys)| keys).map(|key| &**key)
    }

    /// Whether it is about an object that holds templates.
    pub(super) fn is_of_templates(&self) -> bool {
        matches!(self.kind, Kind::Templates(_))
    }

    /// The one object that it is about, if it is about one.
    pub(super) fn one(&self) -> Option<ObjectRef> {
        let (name, _) = self.named.as_ref()?;
        Some(ObjectRef { namespace: self.scope(), name: Arc::clone(name) })
    }

    /// What RBAC lacks where it denies a verb.
    pub(super) fn permission(&self, verb: &'static str) -> MissingPermission {
        let all = MissingPermission::new(self.resource(), verb, self.scope());
        match &self.named {
            Some((name, _)) => all.of(Arc::clone(name)),
            None => all,
        }
    }

    /// Whether the inventory is complete without it.
    pub(super) fn is_optional(&self) -> bool {
        self.is_of_templates() || self.resource().is_optional()
    }

    /// The path of its requests.
    pub(super) fn path(&self) -> String {
        let other = self.version.read().unwrap_or_else(PoisonError::into_inner);
        let version = other.as_deref().unwrap_or(match self.kind {
            Kind::Controllers(kind) => kind.version(),
            _ => "v1",
        });
        format!("{}/{version}/{}", self.base, self.rest)
    }

    /// Read it in this version from now on; tells whether that is another than before.
    pub(super) fn read_in(&self, version: &str) -> bool {
        let known = matches!(self.kind, Kind::Controllers(kind) if kind.version() == version);
        let wanted = (!known).then(|| version.to_owned());
        let mut other = self.version.write().unwrap_or_else(PoisonError::into_inner);
        let changed = *other != wanted;
        *other = wanted;
        changed
    }

    pub(super) fn resource(&self) -> Resource {
        self.kind.resource()
    }

    /// The namespace as `missing_permissions` tells it: empty for all.
    pub(super) fn scope(&self) -> Arc<str> {
        self.namespace.clone().unwrap_or_else(|| Arc::from(""))
    }

    pub(super) fn list_params(&self, limit: u32, continue_token: Option<String>) -> ListParams {
        ListParams {
            field_selector: self.fields.clone(),
            label_selector: self.labels.clone(),
            limit: Some(limit),
            continue_token,
            ..ListParams::default()
        }
    }

    pub(super) fn watch_params(&self) -> WatchParams {
        WatchParams {
            field_selector: self.fields.clone(),
            label_selector: self.labels.clone(),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            send_initial_events: false,
        }
    }

    /// Whether an object at this place belongs to this slice.
    pub(super) fn covers(&self, at: &ObjectRef) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == at.namespace)
            && self.named.as_ref().is_none_or(|(name, _)| *name == at.name)
    }

    /// Whether a Secret belongs to this slice: a name can change hands between the types.
    pub(super) fn covers_secret(&self, secret: &PullSecret) -> bool {
        let is_of_type = match self.kind {
            Kind::Secrets(secret_type) => *secret.secret_type == *secret_type,
            Kind::NamedSecret => true,
            _ => false,
        };
        is_of_type && self.covers(&secret.at)
    }
}

impl Kind {
    pub(super) fn resource(self) -> Resource {
        match self {
            Self::Secrets(_) | Self::NamedSecret => Resource::Secrets,
            Self::Pods => Resource::Pods,
            Self::ServiceAccounts => Resource::ServiceAccounts,
            // Only kinds that are watched have a slice.
            Self::Controllers(kind) => kind.resource().unwrap_or(Resource::ReplicaSets),
            Self::Templates(holder) => holder.resource(),
        }
    }

    /// The Kubernetes kind, for problems.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Secrets(_) | Self::NamedSecret => "Secret",
            Self::Pods => "Pod",
            Self::ServiceAccounts => "ServiceAccount",
            Self::Controllers(kind) => kind.as_str(),
            Self::Templates(holder) => holder.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NamedSecret, ScopeConfig};

    fn scope(namespaces: &[&str], excluded: &[&str]) -> Scope {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let config = ScopeConfig {
            namespaces: names(namespaces),
            exclude_namespaces: names(excluded),
            ..ScopeConfig::default()
        };
        Scope::new(&config, &[]).unwrap()
    }

    #[test]
    fn the_whole_cluster_is_a_list_of_each_kind() {
        let slices = slices(&scope(&[], &["kube-system", "x"]));
        let told: Vec<_> = slices
            .iter()
            .map(|slice| (slice.path(), slice.fields.as_deref().unwrap(), slice.labels.as_deref().unwrap_or("")))
            .collect();
        let excluded = "metadata.namespace!=kube-system,metadata.namespace!=x";
        let first: Vec<_> = told[..4].iter().map(|(path, fields, labels)| (&**path, *fields, *labels)).collect();
        assert_eq!(
            first,
            [
                ("/api/v1/secrets", &*format!("type=kubernetes.io/dockerconfigjson,{excluded}"), "!runner-pod"),
                ("/api/v1/secrets", &*format!("type=kubernetes.io/dockercfg,{excluded}"), "!runner-pod"),
                ("/api/v1/serviceaccounts", excluded, ""),
                ("/api/v1/pods", &*format!("status.phase!=Succeeded,status.phase!=Failed,{excluded}"), ""),
            ]
        );
        let others: Vec<_> = told[4..].iter().map(|(path, ..)| &**path).collect();
        assert_eq!(others[0], "/apis/apps/v1/deployments");
        assert_eq!(others[6], "/apis/actions.github.com/v1alpha1/autoscalingrunnersets");
        assert_eq!(others[13], "/apis/actions.summerwind.dev/v1alpha1/runnersets");
        assert_eq!(others.len(), 14);
    }

    #[test]
    fn a_custom_resource_is_read_in_the_version_that_is_served() {
        let slices = slices(&scope(&["a"], &[]));
        let set = slices.iter().find(|slice| slice.resource() == Resource::AutoscalingRunnerSets).unwrap();
        let path = |version| format!("/apis/actions.github.com/{version}/namespaces/a/autoscalingrunnersets");
        assert!(!set.read_in("v1alpha1") && set.read_in("v1beta1") && !set.read_in("v1beta1"));
        assert_eq!(set.path(), path("v1beta1"));
        assert!(set.read_in("v1alpha1"));
        assert_eq!(set.path(), path("v1alpha1"));
    }

    #[test]
    fn named_secrets_are_asked_for_by_their_names_and_no_others() {
        let named =
            |namespace: &str, name: &str| NamedSecret { namespace: namespace.to_owned(), name: name.to_owned() };
        let config = ScopeConfig {
            secrets: vec![named("a", "one"), named("a", "two"), named("b", "one")],
            ..ScopeConfig::default()
        };
        let slices = slices(&Scope::new(&config, &[]).unwrap());
        let secrets = slices.iter().filter(|slice| slice.resource() == Resource::Secrets);
        let told: Vec<_> = secrets
            .map(|slice| (slice.path(), slice.fields.clone().unwrap_or_default(), slice.labels.clone()))
            .collect();
        let of = |namespace: &str, name: &str| {
            (format!("/api/v1/namespaces/{namespace}/secrets"), format!("metadata.name={name}"), None)
        };
        assert_eq!(told, [of("a", "one"), of("a", "two"), of("b", "one")]);
        assert_eq!(slices[1].permission("watch"), MissingPermission::new(Resource::Secrets, "watch", "a").of("two"));
        assert_eq!(slices.len(), 3 + 2 * 16);
        assert!(!slices[0].is_optional());
    }

    #[test]
    fn listed_namespaces_are_asked_one_by_one() {
        let slices = slices(&scope(&["a", "b"], &[]));
        assert_eq!(slices.len(), 2 * 18);
        assert!(slices.iter().all(|slice| slice.path().contains("/namespaces/")));
        assert!(slices[0].covers(&ObjectRef::new("a", "x")) && !slices[0].covers(&ObjectRef::new("b", "x")));
    }
}
