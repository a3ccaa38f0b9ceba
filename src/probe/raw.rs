//! The parsers of what registries and issuers send, by themselves: for fuzz targets and tests, which hand them any bytes.
//! Nothing of the program calls this.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::header::{AGE, DATE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue};

use super::wire::{challenge, expiry, scope_list, wait};

/// Headers of these bytes; those that no HTTP client lets through are left out.
fn headers<'v>(values: impl IntoIterator<Item = (HeaderName, &'v [u8])>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    headers
}

/// Realm, service and scope of each challenge of `WWW-Authenticate`, behind its scheme.
pub fn www_authenticate(values: &[&[u8]]) -> Vec<(String, [Option<String>; 3])> {
    let headers = headers(values.iter().map(|value| (WWW_AUTHENTICATE, *value)));
    let told = challenge::challenges(&headers).into_iter().map(|challenge| {
        let params = ["realm", "service", "scope"].map(|name| challenge.param(name).map(str::to_owned));
        (challenge.scheme, params)
    });
    told.collect()
}

/// The date in `GitHub-Authentication-Token-Expiration`.
pub fn token_expiry(text: &str) -> Option<DateTime<Utc>> {
    expiry::parse(text)
}

/// The scopes in `X-OAuth-Scopes`.
pub fn scopes(values: &[&[u8]]) -> Option<Vec<String>> {
    let name = HeaderName::from_static("x-oauth-scopes");
    scope_list::parse(&headers(values.iter().map(|value| (name.clone(), *value))))
}

/// What `Retry-After`, `Date` and `Age` tell, and the wait that the text of an error names.
pub fn waits(
    [retry_after, date, age]: [&[u8]; 3],
    text: &str,
    now: DateTime<Utc>,
) -> (Option<Duration>, Option<DateTime<Utc>>, Option<Duration>) {
    let headers = headers([(RETRY_AFTER, retry_after), (DATE, date), (AGE, age)]);
    (wait::retry_after(&headers, now), wait::clock_date(&headers), wait::retry_after_in_text(text))
}
