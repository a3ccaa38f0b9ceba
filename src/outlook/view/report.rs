//! The JSON document of `check -o json` and of the API, as types that borrow from the snapshot.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use crate::cluster::{MissingRule, Problem, missing_rules};
use crate::credential::{Finding, Severity, TokenKind};
use crate::outlook::{CredentialRow, ImageRow, Outlook, SecretFindings, Snapshot, WorkloadRow};
use crate::verdict::{EvidenceRow, Status};

/// Version of the document's form.
pub const VERSION: u32 = 1;

/// The whole document.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    /// [`VERSION`].
    pub version: u32,
    /// When the snapshot was computed.
    #[serde(serialize_with = "seconds")]
    pub generated_at: DateTime<Utc>,
    /// One row per (Secret, registry key).
    pub credentials: Vec<CredentialView<'a>>,
    /// One row per workload and role.
    pub workloads: Vec<WorkloadView<'a>>,
    /// Findings of Secrets that hold no credential.
    pub findings: Vec<SecretFindingView<'a>>,
    /// Input that could not be read.
    pub problems: &'a [Problem],
    /// Rules that lack in RBAC.
    pub missing_permissions: Vec<MissingRuleView>,
    /// Counts.
    pub summary: Summary,
}

/// The document of a snapshot.
pub fn report(snapshot: &Snapshot) -> Report<'_> {
    Report {
        version: VERSION,
        generated_at: snapshot.generated_at,
        credentials: snapshot.credentials.iter().map(CredentialView::from).collect(),
        workloads: snapshot.workloads.iter().map(WorkloadView::from).collect(),
        findings: snapshot.findings.iter().flat_map(secret_findings).collect(),
        problems: &snapshot.problems,
        missing_permissions: missing_permissions(snapshot),
        summary: summary(snapshot),
    }
}

/// A rule that lacks in RBAC.
#[derive(Debug, Serialize)]
pub struct MissingRuleView {
    /// The API group, empty for the core.
    pub api_group: &'static str,
    /// The plural.
    pub resource: &'static str,
    /// The verbs.
    pub verbs: Vec<&'static str>,
    /// The namespace of the Role; empty for a `ClusterRole`.
    pub namespace: String,
    /// The objects; empty for all.
    pub resource_names: Vec<String>,
    /// The item of `rules` to add, in YAML.
    pub rule: String,
}

/// The rules that lack.
pub fn missing_permissions(snapshot: &Snapshot) -> Vec<MissingRuleView> {
    let view = |rule: &MissingRule<'_>| MissingRuleView {
        api_group: rule.resource().group(),
        resource: rule.resource().as_str(),
        verbs: rule.verbs().to_vec(),
        namespace: rule.namespace().to_owned(),
        resource_names: rule.names().map(str::to_owned).collect(),
        rule: rule.rule(),
    };
    missing_rules(&snapshot.daemon.missing_permissions).iter().map(view).collect()
}

/// A credential; the labels of the metrics under the same names.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `CredentialRow`")]
pub struct CredentialView<'a> {
    pub secret_namespace: &'a str,
    pub secret_name: &'a str,
    pub registry: &'a str,
    pub username: &'a str,
    pub token_kind: &'static str,
    pub token_owner: &'a str,
    pub token_id: &'a str,
    pub status: Status,
    pub usable: Option<bool>,
    #[serde(serialize_with = "maybe_seconds")]
    pub expires_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "maybe_seconds")]
    pub last_verdict_at: Option<DateTime<Utc>>,
    pub scopes: Option<&'a [String]>,
    pub missing_scopes: Option<&'a [String]>,
    pub excess_scopes: Option<&'a [String]>,
    pub copies: usize,
    pub workloads: usize,
    pub entries: usize,
    pub findings: &'a [Finding],
    pub evidence: Vec<EvidenceView<'a>>,
}

impl<'a> From<&'a CredentialRow> for CredentialView<'a> {
    fn from(row: &'a CredentialRow) -> Self {
        Self {
            secret_namespace: &row.secret_namespace,
            secret_name: &row.secret_name,
            registry: &row.registry,
            username: &row.username,
            token_kind: row.token_kind.map_or("", TokenKind::as_str),
            token_owner: &row.token_owner,
            token_id: &row.token_id,
            status: row.status,
            usable: row.status.usable(),
            expires_at: row.expires_at,
            last_verdict_at: row.last_verdict_at,
            scopes: row.scopes.as_deref(),
            missing_scopes: row.missing_scopes.as_deref(),
            excess_scopes: row.excess_scopes.as_deref(),
            copies: row.copies,
            workloads: row.workloads,
            entries: row.entries,
            findings: &row.findings,
            evidence: row.evidence.iter().map(|one| EvidenceView::from(&**one)).collect(),
        }
    }
}

/// One exchange, its time in whole seconds.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `EvidenceRow`")]
pub struct EvidenceView<'a> {
    #[serde(serialize_with = "seconds")]
    pub at: DateTime<Utc>,
    pub kind: &'static str,
    pub outcome: &'static str,
    pub http_status: Option<u16>,
    pub code: Option<&'a str>,
    pub detail: &'a str,
}

impl<'a> From<&'a EvidenceRow> for EvidenceView<'a> {
    fn from(row: &'a EvidenceRow) -> Self {
        Self {
            at: row.at,
            kind: row.kind,
            outcome: row.outcome,
            http_status: row.http_status,
            code: row.code.as_deref(),
            detail: &row.detail,
        }
    }
}

/// A workload; the labels of the metrics under the same names.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `WorkloadRow`")]
pub struct WorkloadView<'a> {
    pub workload_namespace: &'a str,
    pub workload_kind: &'a str,
    pub workload_name: &'a str,
    pub pod_role: &'static str,
    pub outlook: Outlook,
    #[serde(serialize_with = "maybe_seconds")]
    pub deadline: Option<DateTime<Utc>>,
    pub images: Vec<ImageView<'a>>,
    pub broken_references: Vec<BrokenReferenceView<'a>>,
    pub pull_failing: Vec<PullFailingView>,
    pub findings: &'a [Finding],
    pub reason: &'a str,
    pub fix: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub idle: bool,
}

impl<'a> From<&'a WorkloadRow> for WorkloadView<'a> {
    fn from(row: &'a WorkloadRow) -> Self {
        let broken = super::broken_references(row);
        Self {
            workload_namespace: &row.key.namespace,
            workload_kind: &row.key.kind,
            workload_name: &row.key.name,
            pod_role: row.key.role.as_str(),
            outlook: row.outlook,
            deadline: row.deadline,
            images: row.images.iter().map(ImageView::from).collect(),
            broken_references: broken
                .map(|(secret_name, reason)| BrokenReferenceView { secret_name, reason })
                .collect(),
            pull_failing: row
                .pull_failing()
                .into_iter()
                .map(|(failure, (pods, gone))| PullFailingView { reason: failure.as_str(), pods, gone })
                .collect(),
            findings: &row.findings,
            reason: &row.reason,
            fix: &row.fix,
            idle: row.idle,
        }
    }
}

/// Pods that wait on a pull right now, or waited on it when they vanished.
#[derive(Debug, Serialize)]
pub struct PullFailingView {
    /// As the label of `pullsecret_workload_pull_failing`.
    pub reason: &'static str,
    /// How many, as the value of the series.
    pub pods: usize,
    /// How many of them are gone; absent where none is.
    #[serde(skip_serializing_if = "is_zero")]
    pub gone: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde demands")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A reference to a Secret that is missing, of the wrong type or malformed.
#[derive(Debug, Serialize)]
pub struct BrokenReferenceView<'a> {
    /// Name of the Secret.
    pub secret_name: &'a str,
    /// `not_found`, `wrong_type` or `malformed`.
    pub reason: &'static str,
}

/// One image of a workload.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `ImageRow`")]
pub struct ImageView<'a> {
    pub image: &'a str,
    pub containers: Vec<&'a str>,
    pub outlook: Outlook,
    pub credentials: Vec<MatchedView<'a>>,
}

impl<'a> From<&'a ImageRow> for ImageView<'a> {
    fn from(row: &'a ImageRow) -> Self {
        let credentials = row.credentials.iter().map(|matched| MatchedView {
            secret_name: &matched.secret_name,
            registry: &matched.registry,
            status: matched.status,
        });
        Self {
            image: &row.image,
            containers: row.containers.iter().map(AsRef::as_ref).collect(),
            outlook: row.outlook,
            credentials: credentials.collect(),
        }
    }
}

/// A credential that the kubelet would try.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `MatchedCredential`")]
pub struct MatchedView<'a> {
    pub secret_name: &'a str,
    pub registry: &'a str,
    pub status: Status,
}

/// A finding of a Secret without a credential; the labels of `pullsecret_finding` under the same names.
#[derive(Debug, Serialize)]
pub struct SecretFindingView<'a> {
    /// Namespace of the Secret.
    pub secret_namespace: &'a str,
    /// Name of the Secret.
    pub secret_name: &'a str,
    /// Always empty: the finding is of the Secret as a whole.
    pub registry: &'static str,
    /// The finding.
    #[serde(flatten)]
    pub finding: &'a Finding,
}

/// The findings of a Secret without a credential, one row each.
pub fn secret_findings(secret: &SecretFindings) -> impl Iterator<Item = SecretFindingView<'_>> {
    secret.findings.iter().map(|finding| SecretFindingView {
        secret_namespace: &secret.secret_namespace,
        secret_name: &secret.secret_name,
        registry: "",
        finding,
    })
}

/// Counts over the whole snapshot, whatever a filter leaves of the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Credentials by status; every status is there.
    pub credentials: Counts,
    /// Workloads by outlook; every outlook is there.
    pub workloads: Counts,
    /// The worst severity of anything; `null` where nothing is wrong.
    pub worst_severity: Option<Severity>,
}

/// Names with their counts, in a fixed order; an object in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(pub Vec<(&'static str, usize)>);

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// The counts of a snapshot.
pub fn summary(snapshot: &Snapshot) -> Summary {
    let of_status = |status: Status| snapshot.credentials.iter().filter(|row| row.status == status).count();
    let of_outlook = |outlook: Outlook| snapshot.workloads.iter().filter(|row| row.outlook == outlook).count();
    Summary {
        credentials: Counts(Status::ALL.iter().map(|&status| (status.as_str(), of_status(status))).collect()),
        workloads: Counts(Outlook::ALL.iter().map(|&outlook| (outlook.as_str(), of_outlook(outlook))).collect()),
        worst_severity: super::worst_severity(snapshot),
    }
}

/// RFC 3339 in UTC, whole seconds.
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(in crate::outlook) fn seconds<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

#[expect(clippy::ref_option, reason = "the signature that serde demands")]
pub(in crate::outlook) fn maybe_seconds<S: Serializer>(
    at: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => seconds(at, serializer),
        None => serializer.serialize_none(),
    }
}
