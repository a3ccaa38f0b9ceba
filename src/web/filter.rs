//! Filters by query string, the same for the page and the API.

use serde::Deserialize;

use crate::credential::Severity;
use crate::outlook::view::findings_severity;
use crate::outlook::{CredentialRow, Outlook, SecretFindings, WorkloadRow};
use crate::verdict::Status;

/// The query as it comes: a parameter that nobody knows is refused, since an answer that ignores a misspelt filter
/// would mislead.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Query {
    namespace: String,
    registry: String,
    status: String,
    severity: String,
    q: String,
}

/// Which rows to show. All that are set must match; an empty value is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Namespace of the Secret or the workload, exactly.
    pub namespace: Option<String>,
    /// Registry key of the credential, or of a credential that the workload would present, exactly.
    pub registry: Option<String>,
    /// Status of a credential, or outlook of a workload, as written.
    pub status: Option<String>,
    /// At least so bad.
    pub severity: Option<Severity>,
    /// Text that some name in the row holds; case does not matter.
    pub text: Option<String>,
}

/// What is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not a query of ours.
    #[error(
        "the query string is not understood: known are namespace, registry, status, severity and q, each at most once"
    )]
    Query,
    /// Neither a status nor an outlook.
    #[error("unknown status; known are {}", known_statuses().collect::<Vec<_>>().join(", "))]
    Status,
    /// Not a severity.
    #[error("unknown severity; known are info, warning, critical")]
    Severity,
}

/// Every value of the parameter `status`: the statuses of credentials, then the outlooks of workloads that are no
/// status as well.
pub(super) fn known_statuses() -> impl Iterator<Item = &'static str> {
    let outlooks = Outlook::ALL.iter().map(|outlook| outlook.as_str());
    let statuses = Status::ALL.iter().map(|status| status.as_str());
    statuses.chain(outlooks.filter(|outlook| !Status::ALL.iter().any(|status| status.as_str() == *outlook)))
}

impl Filter {
    /// From the query string of a request.
    pub fn parse(query: Option<&str>) -> Result<Self, FilterError> {
        let uri = axum::http::Uri::builder().path_and_query(format!("/?{}", query.unwrap_or_default())).build();
        let uri = uri.map_err(|_| FilterError::Query)?;
        let axum::extract::Query(query) =
            axum::extract::Query::<Query>::try_from_uri(&uri).map_err(|_| FilterError::Query)?;
        let set = |value: String| (!value.trim().is_empty()).then(|| value.trim().to_owned());
        let status = set(query.status);
        if status.as_deref().is_some_and(|status| !known_statuses().any(|known| known == status)) {
            return Err(FilterError::Status);
        }
        let severity = match set(query.severity).as_deref() {
            None => None,
            Some("info") => Some(Severity::Info),
            Some("warning") => Some(Severity::Warning),
            Some("critical") => Some(Severity::Critical),
            Some(_) => return Err(FilterError::Severity),
        };
        let text = set(query.q).map(|text| text.to_lowercase());
        Ok(Self { namespace: set(query.namespace), registry: set(query.registry), status, severity, text })
    }

    /// Whether nothing is filtered.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The query string that gives this filter, with its question mark; empty where nothing is filtered.
    pub fn query(&self) -> String {
        let pairs = [
            ("namespace", self.namespace.as_deref()),
            ("registry", self.registry.as_deref()),
            ("status", self.status.as_deref()),
            ("severity", self.severity.map(Severity::as_str)),
            ("q", self.text.as_deref()),
        ];
        let mut query = url::form_urlencoded::Serializer::for_suffix(String::from("?"), 1);
        for (name, value) in pairs {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.len() > 1 { query } else { String::new() }
    }

    /// Whether a credential is to be shown.
    pub fn credential(&self, row: &CredentialRow) -> bool {
        let names = || {
            let own = [
                &row.secret_namespace,
                &row.secret_name,
                &row.registry,
                &row.username,
                &row.token_owner,
                &row.token_id,
            ];
            own.into_iter().map(|name| &**name).chain(row.findings.iter().map(|finding| finding.kind.as_str()))
        };
        self.namespace.as_deref().is_none_or(|namespace| namespace == &*row.secret_namespace)
            && self.registry.as_deref().is_none_or(|registry| registry == &*row.registry)
            && self.status.as_deref().is_none_or(|status| status == row.status.as_str())
            && self.severity.is_none_or(|severity| row.severity() >= Some(severity))
            && self.text.as_deref().is_none_or(|text| names().any(|name| name.to_lowercase().contains(text)))
    }

    /// Whether the findings of a Secret without a credential are to be shown. It has no registry and no status.
    pub fn secret_findings(&self, row: &SecretFindings) -> bool {
        let names = || {
            let own = [&row.secret_namespace, &row.secret_name].into_iter().map(|name| &**name);
            own.chain(row.findings.iter().map(|finding| finding.kind.as_str()))
        };
        self.namespace.as_deref().is_none_or(|namespace| namespace == &*row.secret_namespace)
            && self.registry.is_none()
            && self.status.is_none()
            && self.severity.is_none_or(|severity| findings_severity(&row.findings) >= Some(severity))
            && self.text.as_deref().is_none_or(|text| names().any(|name| name.to_lowercase().contains(text)))
    }

    /// Whether a workload is to be shown: `status` matches its outlook, or the status of a credential that it would
    /// present.
    pub fn workload(&self, row: &WorkloadRow) -> bool {
        let matched = || row.images.iter().flat_map(|image| &image.credentials);
        let names = || {
            let own = [&row.key.namespace, &row.key.kind, &row.key.name].into_iter().map(|name| &**name);
            let images = row.images.iter().map(|image| &*image.image);
            let findings = row.findings.iter().map(|finding| finding.kind.as_str());
            own.chain(images).chain(matched().map(|matched| &*matched.secret_name)).chain(findings)
        };
        self.namespace.as_deref().is_none_or(|namespace| namespace == &*row.key.namespace)
            && self.registry.as_deref().is_none_or(|registry| matched().any(|matched| registry == &*matched.registry))
            && self.status.as_deref().is_none_or(|status| {
                status == row.outlook.as_str() || matched().any(|matched| status == matched.status.as_str())
            })
            && self.severity.is_none_or(|severity| row.severity() >= Some(severity))
            && self.text.as_deref().is_none_or(|text| names().any(|name| name.to_lowercase().contains(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_form_filters_nothing() {
        for query in [None, Some(""), Some("namespace=&registry=&status=&severity=&q=+")] {
            assert!(Filter::parse(query).unwrap().is_empty(), "{query:?}");
        }
    }

    #[test]
    fn values_are_decoded() {
        let filter =
            Filter::parse(Some("namespace=ci&registry=ghcr.io%2Forg&status=blocked&severity=warning&q=Two+Words"))
                .unwrap();
        assert_eq!(filter.namespace.as_deref(), Some("ci"));
        assert_eq!(filter.registry.as_deref(), Some("ghcr.io/org"));
        assert_eq!(filter.status.as_deref(), Some("blocked"));
        assert_eq!(filter.severity, Some(Severity::Warning));
        assert_eq!(filter.text.as_deref(), Some("two words"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert_eq!(Filter::parse(Some("namespce=ci")), Err(FilterError::Query));
        assert_eq!(Filter::parse(Some("q=a&q=b")), Err(FilterError::Query));
        assert_eq!(Filter::parse(Some("status=good")), Err(FilterError::Status));
        assert_eq!(Filter::parse(Some("severity=error")), Err(FilterError::Severity));
    }
}
