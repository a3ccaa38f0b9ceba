//! `/api/v1/explain`: the document of `explain -o json`. Whoever holds what it needs is asked; no registry is.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::Faces;
use crate::outlook::explain::{ExplainError, Explanation, Target};

/// What comes of a question; `None` when nobody is there to answer.
pub type Explained = Option<Result<Explanation, ExplainError>>;

/// Whoever explains: called with the namespace, if one was said, and the target.
#[derive(Clone)]
pub struct Explainer(Arc<dyn Fn(Option<String>, Target) -> BoxFuture<'static, Explained> + Send + Sync>);

impl Explainer {
    /// From a function.
    pub fn new(
        explain: impl Fn(Option<String>, Target) -> BoxFuture<'static, Explained> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(explain))
    }
}

impl fmt::Debug for Explainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Explainer")
    }
}

/// The query as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Query {
    namespace: String,
    target: String,
    image: String,
    service_account: String,
}

/// What a query asks.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    namespace: Option<String>,
    target: Target,
}

impl Question {
    /// `image`, with or without `service_account`, or `target` alone. An empty value is not set.
    fn parse(query: Option<&str>) -> Result<Self, String> {
        let unknown = || {
            "the query string is not understood: known are namespace, image, service_account and target, each at most once"
                .to_owned()
        };
        let uri = axum::http::Uri::builder().path_and_query(format!("/?{}", query.unwrap_or_default())).build();
        let uri = uri.map_err(|_| unknown())?;
        let query = axum::extract::Query::<Query>::try_from_uri(&uri).map_err(|_| unknown())?;
        let Query { namespace, target, image, service_account } = query.0;
        let set = |value: &str| (!value.trim().is_empty()).then(|| value.trim().to_owned());
        let target = match (set(&target), set(&image), set(&service_account)) {
            (Some(target), image, None) => {
                Target::parse(&target, image.as_deref()).map_err(|error| error.to_string())?
            }
            (None, Some(image), None) => Target::Image(image),
            (None, Some(image), Some(name)) => Target::ServiceAccount { name, image },
            (Some(_), _, Some(_)) => return Err("target and service_account exclude each other".to_owned()),
            (None, None, _) => {
                return Err("say what to explain: image=IMAGE, image=IMAGE&service_account=NAME, or target=KIND/NAME"
                    .to_owned());
            }
        };
        Ok(Self { namespace: set(&namespace), target })
    }
}

/// Explain what the query names.
pub(super) async fn explain(State(faces): State<Faces>, RawQuery(query): RawQuery) -> Response {
    let question = match Question::parse(query.as_deref()) {
        Ok(question) => question,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    if let Some(refusal) = super::standing_by(&faces.snapshot()) {
        return refusal;
    }
    let explained = match &faces.explainer {
        Some(explainer) => (explainer.0)(question.namespace, question.target).await,
        None => None,
    };
    match explained {
        Some(Ok(explanation)) => Json(explanation).into_response(),
        Some(Err(error @ ExplainError::Ambiguous { .. })) => refused(StatusCode::BAD_REQUEST, &error.to_string()),
        // What is not there yet may come with the first list.
        Some(Err(_)) if !faces.is_complete() => {
            refused(StatusCode::SERVICE_UNAVAILABLE, "not every resource was listed yet; see /readyz?verbose")
        }
        Some(Err(error)) => refused(StatusCode::NOT_FOUND, &error.to_string()),
        None => refused(StatusCode::SERVICE_UNAVAILABLE, "nobody is there to explain: the patrol does not run"),
    }
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(query: &str) -> Result<String, String> {
        Question::parse(Some(query)).map(|question| format!("{:?} {:?}", question.namespace, question.target))
    }

    #[test]
    fn a_query_names_one_target() {
        let rows = [
            ("image=ghcr.io/a/b:c&namespace=n", r#"Some("n") Image("ghcr.io/a/b:c")"#),
            ("image=a&service_account=", r#"None Image("a")"#),
            ("image=a&service_account=sa", r#"None ServiceAccount { name: "sa", image: "a" }"#),
            ("target=deploy/web", r#"None Workload { kind: "deployment", name: "web" }"#),
            ("target=sa%2Fx&image=a", r#"None ServiceAccount { name: "x", image: "a" }"#),
        ];
        for (query, expected) in rows {
            assert_eq!(target(query).as_deref(), Ok(expected), "{query}");
        }
        for query in
            ["", "namespace=n", "service_account=x", "target=x", "imge=a", "image=a&image=b", "target=po/x&image=a"]
        {
            assert!(target(query).is_err(), "{query}");
        }
    }
}
