//! What holds for every request and every answer: methods, bodies, security headers.

use std::sync::LazyLock;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::secure::{Refused, Secure};
use super::{page, text};

/// Headers of every answer. The page has one style sheet, known by its hash, and nothing else; no page may frame it.
static HEADERS: LazyLock<[(HeaderName, HeaderValue); 6]> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src '{}'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        page::style_hash()
    );
    // The policy is ASCII by construction; an empty one would forbid nothing, so the strictest stands in.
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ]
});

/// Answers what no handler should see, and adds the headers.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    pass(request, next, reads, "GET, HEAD").await
}

/// The same for the one path that makes something happen.
pub(super) async fn guard_writes(request: Request, next: Next) -> Response {
    let writes = matches!(*request.method(), Method::POST | Method::PUT);
    pass(request, next, writes, "POST, PUT").await
}

async fn pass(request: Request, next: Next, allowed: bool, methods: &'static str) -> Response {
    let mut response = match refuse(&request, allowed, methods) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    for (name, value) in HEADERS.iter() {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// Lets in whom the web config file names, and adds its headers.
pub(super) async fn secured(State(secure): State<Secure>, request: Request, next: Next) -> Response {
    let rules = secure.current().await;
    let checked = match &rules.users {
        Some(users) => users.check(request.headers()).await,
        None => Ok(()),
    };
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(Refused::Unknown) => {
            let mut response = text(StatusCode::UNAUTHORIZED, "unauthorized\n");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
            response
        }
        Err(Refused::Busy) => {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "too many passwords to check\n");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    };
    for (name, value) in &rules.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

fn refuse(request: &Request, allowed: bool, methods: &'static str) -> Option<Response> {
    if !allowed {
        let told = format!("only {} are allowed\n", methods.replace(", ", " and "));
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, told);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
        close(&mut response);
        return Some(response);
    }
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH);
    if length.is_some_and(|length| length != "0") || headers.contains_key(header::TRANSFER_ENCODING) {
        let mut response = text(StatusCode::PAYLOAD_TOO_LARGE, "a request has no body here\n");
        close(&mut response);
        return Some(response);
    }
    None
}

/// A body that nobody reads would be taken for the next request.
fn close(response: &mut Response) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}
