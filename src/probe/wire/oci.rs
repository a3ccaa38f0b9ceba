//! Bodies of registries: the error object of the OCI distribution specification ("Error Codes"), and what kind of body
//! an answer has at all.

use serde_json::Value;

use crate::probe::client::{BodyEnd, Reply};
use crate::probe::evidence::{Unproven, Unreachable};

/// The first error of an error body.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct OciError {
    /// In upper case.
    pub(crate) code: String,
    /// As sent; may be empty.
    pub(crate) message: String,
}

/// What a body is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// JSON.
    Json(Value),
    /// Nothing.
    Empty,
    /// A page for a browser.
    Html,
    /// Text of another kind.
    Text(String),
    /// It did not come whole: `oversized`, `truncated`.
    Partial(&'static str),
    /// It did not end in time.
    Slow,
}

impl Body {
    /// What the body of an answer is.
    pub(crate) fn of(reply: &Reply) -> Self {
        match reply.end {
            BodyEnd::Oversized => return Self::Partial("oversized"),
            BodyEnd::Broken => return Self::Partial("truncated"),
            BodyEnd::Slow => return Self::Slow,
            BodyEnd::Complete => {}
        }
        let text = reply.body.trim_ascii();
        if text.is_empty() {
            return Self::Empty;
        }
        if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_slice(text) {
            return Self::Json(value);
        }
        if text.starts_with(b"<") || is_html(reply) {
            return Self::Html;
        }
        Self::Text(String::from_utf8_lossy(text).into_owned())
    }

    /// What an answer proves whose body is not what was due: nothing, and why.
    pub(crate) fn unproven(&self) -> Unproven {
        Unproven::Odd(match self {
            Self::Json(_) => "unexpected_json",
            Self::Empty => "empty",
            Self::Html => "html",
            Self::Text(_) => "not_json",
            Self::Partial(how) => how,
            Self::Slow => return Unproven::Unreachable(Unreachable::Timeout),
        })
    }

    /// The first error with a code, when it is an OCI error body.
    pub(crate) fn oci_error(&self) -> Option<OciError> {
        let Self::Json(value) = self else { return None };
        let first = value.get("errors")?.as_array()?.iter().find(|error| error["code"].is_string())?;
        let text = |key: &str| first[key].as_str().unwrap_or_default().trim().to_owned();
        Some(OciError { code: text("code").to_ascii_uppercase(), message: text("message") })
    }

    /// A line for a person, from wherever such bodies keep it. As sent, not yet cleaned.
    pub(crate) fn line(&self) -> Option<String> {
        match self {
            Self::Json(value) => {
                if let Some(error) = self.oci_error() {
                    return Some(if error.message.is_empty() { error.code } else { error.message });
                }
                let keys = ["message", "details", "error_description", "error"];
                keys.iter().find_map(|key| value.get(key)?.as_str().map(str::to_owned))
            }
            Self::Text(text) => Some(text.clone()),
            Self::Html => Some("an HTML page".to_owned()),
            Self::Partial("oversized") => Some("a body of more than 64 KiB".to_owned()),
            Self::Partial(_) => Some("the body ended early".to_owned()),
            Self::Slow => Some("the body did not end within the time-out".to_owned()),
            Self::Empty => None,
        }
    }
}

/// Whether an answer says that it is a page for a browser.
pub(crate) fn is_html(reply: &Reply) -> bool {
    content_type(reply).is_some_and(|kind| kind.starts_with("text/html") || kind.starts_with("application/xhtml"))
}

/// The content type, in lower case.
pub(crate) fn content_type(reply: &Reply) -> Option<String> {
    Some(reply.headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use proptest::prelude::*;

    use super::*;

    fn reply(kind: &str, body: &[u8]) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", kind.parse().unwrap());
        Reply {
            status: StatusCode::FORBIDDEN,
            headers,
            body: body.to_vec(),
            end: BodyEnd::Complete,
            dropped_auth: false,
        }
    }

    #[test]
    fn reads_the_error_object() {
        let text = br#"{"errors":[{"detail":1},{"code":"denied","message":" denied "},{"code":"X"}]}"#;
        let error = Body::of(&reply("application/json", text)).oci_error().unwrap();
        assert_eq!(error, OciError { code: "DENIED".to_owned(), message: "denied".to_owned() });
        for other in
            ["{}", "[]", r#"{"errors":{}}"#, r#"{"errors":[{"code":1}]}"#, r#"{"errors":["DENIED"]}"#, "DENIED", ""]
        {
            assert_eq!(Body::of(&reply("application/json", other.as_bytes())).oci_error(), None, "{other}");
        }
    }

    #[test]
    fn tells_kinds_apart() {
        assert_eq!(Body::of(&reply("text/html", b"sorry")), Body::Html);
        assert_eq!(Body::of(&reply("application/json", b"  <!DOCTYPE html>")), Body::Html);
        assert_eq!(Body::of(&reply("text/plain", b" \n")), Body::Empty);
        assert_eq!(Body::of(&reply("text/plain", b"Auth failed.")), Body::Text("Auth failed.".to_owned()));
        assert_eq!(Body::of(&reply("application/json", b"\"text\"")).unproven(), Unproven::Odd("not_json"));
        assert_eq!(
            Body::of(&reply("application/json", b"{\"errors\":[{\"code\":\"DEN")).unproven(),
            Unproven::Odd("not_json")
        );
        let broken = Reply { end: BodyEnd::Broken, ..reply("application/json", b"{}") };
        assert_eq!(Body::of(&broken), Body::Partial("truncated"));
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let body = Body::of(&reply("application/json", &body));
            let _ = (body.oci_error(), body.line(), body.unproven());
        }

        #[test]
        fn deep_nesting_is_survived(depth in 1_usize..5000) {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let _ = Body::of(&reply("application/json", text.as_bytes()));
        }
    }
}
