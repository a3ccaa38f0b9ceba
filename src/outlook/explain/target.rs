//! What is to be explained, as a person names it, and finding it among what exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::cluster::{ObjectRef, Origin};
use crate::credential::parse_image;
use crate::outlook::build::Inputs;
use crate::outlook::view::printable;
use crate::workload::{PodRole, Pull, SecretSource, Workload, WorkloadKey, of_pod};

/// Short names and plurals of kubectl that are more than a kind with an `s`.
const SHORT: [(&str, &str); 10] = [
    ("po", "pod"),
    ("deploy", "deployment"),
    ("sts", "statefulset"),
    ("ds", "daemonset"),
    ("rs", "replicaset"),
    ("rc", "replicationcontroller"),
    ("cj", "cronjob"),
    ("sa", "serviceaccount"),
    ("ars", "autoscalingrunnerset"),
    ("img", "image"),
];
/// How many names that exist are told when one does not.
const TOLD: usize = 5;

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A workload or a single pod.
    Workload {
        /// Its kind in lower case, singular.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A pod that used this `ServiceAccount` and had no list of its own.
    ServiceAccount {
        /// Its name.
        name: String,
        /// The image that the pod would pull.
        image: String,
    },
    /// Every workload that pulls this image.
    Image(String),
    /// What depends on this Secret.
    Secret(String),
}

/// Why a text names no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No kind and name.
    #[error(
        "{0:?} is no target; write KIND/NAME of a workload (pod/NAME, deployment/NAME, autoscalingrunnerset/NAME ...), \
         serviceaccount/NAME with --image IMAGE, image/IMAGE or secret/NAME"
    )]
    Form(String),
    /// A `ServiceAccount` pulls nothing by itself.
    #[error("a ServiceAccount pulls no image by itself; say which one with --image IMAGE")]
    NoImage,
    /// An image where none belongs.
    #[error("--image belongs to serviceaccount/NAME alone; to explain an image, write image/{0}")]
    StrayImage(String),
}

impl Target {
    /// From `KIND/NAME`; `image` goes with a `ServiceAccount` alone. A kind can be written in any case, as a plural, by
    /// its short name, and with its group behind a dot.
    ///
    /// # Errors
    /// [`TargetError`] when the text is no target.
    pub fn parse(text: &str, image: Option<&str>) -> Result<Self, TargetError> {
        let form = || TargetError::Form(text.to_owned());
        let (kind, name) = text.split_once('/').ok_or_else(form)?;
        if kind.is_empty() || name.is_empty() {
            return Err(form());
        }
        let kind = singular(kind);
        let name = name.to_owned();
        if let (Some(image), true) = (image, kind != "serviceaccount") {
            return Err(TargetError::StrayImage(image.to_owned()));
        }
        Ok(match kind.as_str() {
            "serviceaccount" => Self::ServiceAccount { name, image: image.ok_or(TargetError::NoImage)?.to_owned() },
            "image" => Self::Image(name),
            "secret" => Self::Secret(name),
            _ => Self::Workload { kind, name },
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload { kind, name } => write!(f, "{kind}/{name}"),
            Self::ServiceAccount { name, .. } => write!(f, "serviceaccount/{name}"),
            Self::Image(image) => write!(f, "image/{image}"),
            Self::Secret(name) => write!(f, "secret/{name}"),
        }
    }
}

/// A kind as kubectl would take it, in lower case, singular, without its group.
fn singular(kind: &str) -> String {
    let kind = kind.split_once('.').map_or(kind, |(kind, _)| kind).to_lowercase();
    if let Some((_, long)) = SHORT.iter().find(|(short, _)| *short == kind) {
        return (*long).to_owned();
    }
    kind.strip_suffix('s').filter(|rest| !rest.is_empty()).map_or(kind.clone(), str::to_owned)
}

/// Why a target cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExplainError {
    /// It is not there.
    NotFound {
        /// What was asked for.
        target: String,
        /// Where, if that was said.
        namespace: Option<String>,
        /// The names of that sort that are nearest, the nearest first.
        nearest: Vec<String>,
        /// Whether the first of them is so near that it may have been meant.
        meant: bool,
    },
    /// It is in several namespaces.
    Ambiguous {
        /// What was asked for.
        target: String,
        /// Where it is.
        namespaces: Vec<String>,
    },
}

impl std::error::Error for ExplainError {}

impl fmt::Display for ExplainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { target, namespace, nearest, meant } => {
                if target.starts_with("image/") {
                    write!(f, "nothing pulls {}", printable(target))?;
                } else {
                    write!(f, "there is no {}", printable(target))?;
                }
                if let Some(namespace) = namespace {
                    write!(f, " in namespace {}", printable(namespace))?;
                }
                let names: Vec<_> = nearest.iter().map(|name| printable(name)).collect();
                match names.split_first() {
                    None => write!(f, ", nor anything else of that sort"),
                    Some((first, _)) if *meant => write!(f, "; did you mean {first}?"),
                    Some(_) => write!(f, "; there is {}", names.join(", ")),
                }
            }
            Self::Ambiguous { target, namespaces } => {
                let names: Vec<_> = namespaces.iter().map(|name| printable(name)).collect();
                let names = names.join(", ");
                write!(f, "{} is in several namespaces: {names}; say which one with -n", printable(target))
            }
        }
    }
}

/// A target that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) namespace: Arc<str>,
    /// The workloads to explain. One that is made up (a single pod, a pod of a `ServiceAccount`) stands under a key of its
    /// own and knows in its `key` whom a change has to go to.
    pub(super) workloads: BTreeMap<WorkloadKey, Workload>,
}

/// The namespace that a target is in.
///
/// # Errors
/// [`ExplainError`] when it is in none, or in several.
pub fn namespace_of(inputs: &Inputs<'_>, namespace: Option<&str>, target: &Target) -> Result<Arc<str>, ExplainError> {
    find(inputs, namespace, target).map(|found| found.namespace)
}

pub(super) fn find(inputs: &Inputs<'_>, namespace: Option<&str>, target: &Target) -> Result<Found, ExplainError> {
    let mut found: BTreeMap<Arc<str>, BTreeMap<WorkloadKey, Workload>> = BTreeMap::new();
    let mut take = |key: WorkloadKey, workload: Workload| {
        found.entry(key.namespace.clone()).or_default().insert(key, workload);
    };
    match target {
        Target::Workload { kind, name } => {
            for (key, workload) in inputs.workloads {
                if *key.name == **name && key.kind.to_lowercase() == *kind {
                    take(key.clone(), workload.clone());
                }
            }
            let pods = inputs.inventory.pods.values().filter(|pod| kind == "pod" && *pod.at.name == **name);
            for pod in pods {
                if let Some(workload) = of_pod(pod, inputs.inventory) {
                    take(made_up(&pod.at, "Pod", workload.key.role), workload);
                }
            }
        }
        Target::ServiceAccount { name, image } => {
            for (at, secrets) in accounts(inputs, namespace, name) {
                let key = made_up(&at, "ServiceAccount", PodRole::Pod);
                let image = Arc::from(image.as_str());
                let pull = Pull {
                    image,
                    containers: Vec::new(),
                    namespace: Arc::clone(&at.namespace),
                    service_account: Arc::clone(&at.name),
                    secrets: secrets.into(),
                    source: SecretSource::ServiceAccount,
                };
                take(key.clone(), Workload { key, pulls: vec![pull], idle: false, gap: None });
            }
        }
        Target::Image(image) => {
            let by_tag = |workload: &Workload| workload.pulls.iter().any(|pull| same_image(image, &pull.image));
            for (key, workload) in inputs.workloads.iter().filter(|(_, workload)| by_tag(workload)) {
                take(key.clone(), workload.clone());
            }
        }
        Target::Secret(name) => {
            let names =
                |workload: &Workload| workload.pulls.iter().any(|pull| pull.secrets.iter().any(|s| **s == **name));
            for (key, workload) in inputs.workloads.iter().filter(|(_, workload)| names(workload)) {
                take(key.clone(), workload.clone());
            }
            for at in inputs.inventory.secrets.keys().filter(|at| *at.name == **name) {
                found.entry(at.namespace.clone()).or_default();
            }
        }
    }
    found.retain(|at, _| namespace.is_none_or(|namespace| **at == *namespace));
    let namespaces: Vec<String> = found.keys().map(ToString::to_string).collect();
    match found.pop_first() {
        Some((namespace, workloads)) if found.is_empty() => Ok(Found { namespace, workloads }),
        Some(_) => Err(ExplainError::Ambiguous { target: target.to_string(), namespaces }),
        None => Err(not_found(inputs, namespace, target)),
    }
}

fn made_up(at: &ObjectRef, kind: &str, role: PodRole) -> WorkloadKey {
    WorkloadKey { namespace: at.namespace.clone(), kind: Arc::from(kind), name: at.name.clone(), role }
}

/// `ServiceAccounts` of a name with their lists. Manifests seldom hold `default`, which every namespace has.
fn accounts(inputs: &Inputs<'_>, namespace: Option<&str>, name: &str) -> BTreeMap<ObjectRef, Vec<Arc<str>>> {
    let mut accounts: BTreeMap<ObjectRef, Vec<Arc<str>>> = BTreeMap::new();
    if inputs.inventory.origin == Origin::Files && name == "default" {
        let secrets = inputs.inventory.secrets.keys().map(|at| &at.namespace);
        let there = secrets.chain(inputs.inventory.pods.keys().map(|at| &at.namespace));
        let there: BTreeSet<&Arc<str>> = there.filter(|at| namespace.is_none_or(|wanted| ***at == *wanted)).collect();
        accounts.extend(there.into_iter().map(|at| (ObjectRef::new(at.clone(), name), Vec::new())));
    }
    let real = inputs.inventory.service_accounts.values().filter(|account| *account.at.name == *name);
    accounts.extend(real.map(|account| (account.at.clone(), account.pull_secrets.clone())));
    accounts
}

/// Whether two texts name the same image.
pub(super) fn same_image(a: &str, b: &str) -> bool {
    a == b || matches!((parse_image(a), parse_image(b)), (Ok(a), Ok(b)) if a == b)
}

fn not_found(inputs: &Inputs<'_>, namespace: Option<&str>, target: &Target) -> ExplainError {
    let there = |at: &str| namespace.is_none_or(|namespace| namespace == at);
    let inventory = inputs.inventory;
    let mut names: BTreeSet<String> = BTreeSet::new();
    match target {
        Target::Workload { .. } => {
            let keys = inputs.workloads.keys().filter(|key| there(&key.namespace));
            names.extend(keys.map(|key| format!("{}/{}", key.kind.to_lowercase(), key.name)));
            names.extend(inventory.pods.keys().filter(|at| there(&at.namespace)).map(|at| format!("pod/{}", at.name)));
        }
        Target::ServiceAccount { .. } => {
            let accounts = inventory.service_accounts.keys().filter(|at| there(&at.namespace));
            names.extend(accounts.map(|at| format!("serviceaccount/{}", at.name)));
        }
        Target::Image(_) => {
            let workloads = inputs.workloads.values().filter(|workload| there(&workload.key.namespace));
            names.extend(workloads.flat_map(|workload| &workload.pulls).map(|pull| format!("image/{}", pull.image)));
        }
        Target::Secret(_) => {
            let secrets = inventory.secrets.keys().filter(|at| there(&at.namespace));
            names.extend(secrets.map(|at| format!("secret/{}", at.name)));
        }
    }
    let wanted = target.to_string();
    let mut ranked: Vec<(usize, String)> = names.into_iter().map(|name| (distance(&wanted, &name), name)).collect();
    ranked.sort();
    let meant = ranked.first().is_some_and(|(distance, _)| *distance <= (wanted.len() / 4).max(2));
    let nearest = ranked.into_iter().take(TOLD).map(|(_, name)| name).collect();
    ExplainError::NotFound { target: wanted, namespace: namespace.map(str::to_owned), nearest, meant }
}

/// How many bytes are to be put in, left out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_taken_as_kubectl_takes_them() {
        let rows = [
            ("po/x", "pod/x"),
            ("Pods/x", "pod/x"),
            ("deploy/x", "deployment/x"),
            ("Deployments.apps/x", "deployment/x"),
            ("sts/x", "statefulset/x"),
            ("ds/x", "daemonset/x"),
            ("rs/x", "replicaset/x"),
            ("cj/x", "cronjob/x"),
            ("AutoscalingRunnerSet/x", "autoscalingrunnerset/x"),
            ("autoscalingrunnersets.actions.github.com/x", "autoscalingrunnerset/x"),
            ("image/ghcr.io/a/b:c", "image/ghcr.io/a/b:c"),
            ("secrets/x", "secret/x"),
        ];
        for (written, read) in rows {
            assert_eq!(Target::parse(written, None).map(|target| target.to_string()), Ok(read.to_owned()), "{written}");
        }
        let account = Target::parse("sa/x", Some("img"));
        assert_eq!(account, Ok(Target::ServiceAccount { name: "x".into(), image: "img".into() }));
    }

    #[test]
    fn what_is_no_target_is_refused_with_the_way_out() {
        for text in ["", "x", "/x", "pod/"] {
            assert_eq!(Target::parse(text, None), Err(TargetError::Form(text.to_owned())));
        }
        assert_eq!(Target::parse("sa/x", None), Err(TargetError::NoImage));
        assert_eq!(Target::parse("pod/x", Some("i")), Err(TargetError::StrayImage("i".into())));
    }

    #[test]
    fn the_distance_is_of_edits() {
        for (a, b, edits) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("web", "wbe", 2)] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
