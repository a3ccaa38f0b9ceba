//! For one target: the credentials that the kubelet would try for each image, in its order, what each answers, the
//! outcome, and the commands that mend it. For a Secret the other direction: what depends on it.
//!
//! Everything is judged as in the snapshot and by the same code; here it is only told at length.

mod arc;
mod commands;
mod gaps;
mod pulls;
mod secret;
mod target;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

pub use target::{ExplainError, Target, TargetError, namespace_of};

use super::view::report::{CredentialView, VERSION, maybe_seconds, seconds};
use super::{CredentialRow, Inputs, Outlook};
use crate::credential::{Finding, Severity};
use crate::verdict::Status;

/// The answer for one target.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Version of the document's form.
    pub version: u32,
    /// When it was worked out.
    #[serde(serialize_with = "seconds")]
    pub generated_at: DateTime<Utc>,
    /// What was asked for, as `kind/name`.
    pub target: String,
    /// The namespace that it is in.
    pub namespace: String,
    /// What there is to say.
    #[serde(flatten)]
    pub answer: Answer,
    /// Nothing was hidden from us: every resource was listed, and no permission lacks.
    #[serde(skip)]
    pub complete: bool,
}

/// What there is to say about a target.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// About something that pulls.
    Pulls {
        /// Per image.
        images: Vec<ExplainedImage>,
        /// References that lead nowhere.
        broken_references: Vec<BrokenReference>,
        /// What cannot be known of the target before its pods exist.
        gaps: Vec<ExplainedGap>,
        /// What happens to its pods at this moment, in words.
        right_now: Vec<String>,
        /// What cannot be told from outside, in words.
        notes: Vec<String>,
    },
    /// About a Secret.
    Secret {
        /// Its credentials.
        #[serde(serialize_with = "credential_views")]
        credentials: Vec<CredentialRow>,
        /// The images that are pulled with it.
        dependents: Vec<Dependent>,
    },
}

/// One image that a workload pulls.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedImage {
    /// `workload_namespace`
    pub workload_namespace: String,
    /// `workload_kind`
    pub workload_kind: String,
    /// `workload_name`
    pub workload_name: String,
    /// `pod_role`
    pub pod_role: &'static str,
    /// The image as written.
    pub image: String,
    /// What the kubelet looks up: registry and path. Empty for an image that does not parse.
    pub repository: String,
    /// Containers and volumes that name it.
    pub containers: Vec<String>,
    /// Whether it would pull.
    pub outlook: Outlook,
    /// When the last of its working credentials expires.
    #[serde(serialize_with = "maybe_seconds")]
    pub deadline: Option<DateTime<Utc>>,
    /// Why, in words.
    pub reason: String,
    /// Commands that mend it, in order.
    pub fix: Vec<String>,
    /// What an anonymous pull answers: `granted`, `denied`, `unknown`, or `not_tried` where a credential matches, since the
    /// kubelet does not fall back.
    pub anonymous: &'static str,
    /// The credentials in the order in which they are tried.
    pub credentials: Vec<ExplainedCredential>,
    /// Findings (`later_credential_only`, `runners_pending`).
    pub findings: Vec<Finding>,
    /// Unverified only because its registry is not on the list, which is the operator's choice.
    #[serde(skip)]
    pub by_choice: bool,
}

/// What cannot be known of pods of one role before they exist.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedGap {
    /// `workload_namespace`
    pub workload_namespace: String,
    /// `workload_kind`
    pub workload_kind: String,
    /// `workload_name`
    pub workload_name: String,
    /// `pod_role`
    pub pod_role: &'static str,
    /// `unknown` where no image of the role is known, else the worst of those that are.
    pub outlook: Outlook,
    /// What is not known and what is, in words.
    pub reason: String,
    /// Commands that help, in order.
    pub fix: Vec<String>,
}

/// One credential that the kubelet would try.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedCredential {
    /// Its place in the order, from 1.
    pub order: usize,
    /// Name of its Secret; empty for a credential of the node.
    pub secret_name: String,
    /// Registry key; for a credential of the node the glob of the config.
    pub registry: String,
    /// User name as it may be shown.
    pub username: String,
    /// Where it comes from: `pod`, `service_account` or `node`.
    pub source: &'static str,
    /// Its status.
    pub status: Status,
    /// Whether it can be used at all.
    pub usable: Option<bool>,
    /// What it answers for this image: `granted`, `denied` or `unverified`.
    pub access: &'static str,
    /// In words.
    pub detail: String,
}

/// A reference to a Secret that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BrokenReference {
    /// Name of the Secret.
    pub secret_name: String,
    /// `not_found`, `wrong_type` or `malformed`.
    pub reason: &'static str,
}

/// An image that is pulled with a Secret.
#[derive(Clone, Debug, Serialize)]
pub struct Dependent {
    /// `workload_namespace`
    pub workload_namespace: String,
    /// `workload_kind`
    pub workload_kind: String,
    /// `workload_name`
    pub workload_name: String,
    /// `pod_role`
    pub pod_role: &'static str,
    /// The image as written.
    pub image: String,
    /// Whether it would pull now.
    pub outlook: Outlook,
    /// Whether it would pull if the registry refused the credentials of this Secret.
    pub outlook_without: Outlook,
}

impl Explanation {
    /// The worst of what is shown; `None` where nothing is wrong.
    pub fn severity(&self) -> Option<Severity> {
        match &self.answer {
            Answer::Pulls { images, broken_references, .. } => {
                let broken = (!broken_references.is_empty()).then_some(Severity::Warning);
                let images = images.iter().map(|image| {
                    let findings = image.findings.iter().map(|finding| finding.severity).max();
                    let credentials = image.credentials.iter().filter_map(|one| one.status.severity(true)).max();
                    image.outlook.severity().max(findings).max(credentials)
                });
                images.max().flatten().max(broken)
            }
            Answer::Secret { credentials, dependents } => {
                let credentials = credentials.iter().filter_map(CredentialRow::severity).max();
                credentials.max(dependents.iter().filter_map(|one| one.outlook.severity()).max())
            }
        }
    }
}

fn credential_views<S: Serializer>(rows: &[CredentialRow], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rows.iter().map(CredentialView::from))
}

/// Explain a target. Without a `namespace` it is looked for in all of them. `now` is wall time.
///
/// # Errors
/// [`ExplainError`] when the target is not there, or in several namespaces.
pub fn explain(
    inputs: &Inputs<'_>,
    namespace: Option<&str>,
    target: &Target,
    now: DateTime<Utc>,
) -> Result<Explanation, ExplainError> {
    let found = target::find(inputs, namespace, target)?;
    // What else is pulled with the same Secrets has a say in their status.
    let mut workloads: std::collections::BTreeMap<_, _> = inputs
        .workloads
        .iter()
        .filter(|(key, _)| key.namespace == found.namespace)
        .map(|(key, workload)| (key.clone(), workload.clone()))
        .collect();
    workloads.extend(found.workloads.iter().map(|(key, workload)| (key.clone(), workload.clone())));
    let inputs = Inputs { workloads: &workloads, ..*inputs };
    let answer = match target {
        Target::Secret(name) => secret::answer(&inputs, &found.namespace, name, now),
        _ => pulls::answer(&inputs, &found, target, now),
    };
    Ok(Explanation {
        version: VERSION,
        generated_at: now,
        target: target.to_string(),
        namespace: found.namespace.to_string(),
        answer,
        complete: inputs.inventory.is_complete()
            && inputs.inventory.missing_permissions.iter().all(|rule| rule.resource.is_written()),
    })
}
