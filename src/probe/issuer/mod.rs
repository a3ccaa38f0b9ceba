//! Issuers: what they know of a token. Only questions that change nothing: every request is a GET.

mod github;
mod gitlab;

use http::HeaderValue;
use url::Url;

use super::evidence::{IssuerAnswer, SsoAnswer, Unproven};
use super::exchange::Exchange;
use crate::credential::{Password, TokenKind};
use crate::plan::{Issuer, IssuerKind};

pub(super) async fn ask(
    exchange: &mut Exchange<'_>,
    issuer: &Issuer,
    password: &Password,
    kind: TokenKind,
    want_owner: bool,
) -> Result<IssuerAnswer, Unproven> {
    let Some(api) = issuer.api.as_ref().filter(|_| issuer.kind != IssuerKind::SelfDescribed) else {
        return Err(no_api(exchange));
    };
    match issuer.kind {
        IssuerKind::Gitlab => gitlab::ask(exchange, api, password, kind, want_owner).await,
        _ => github::ask(exchange, issuer.kind, api, password, kind, want_owner).await,
    }
}

pub(super) async fn sso(
    exchange: &mut Exchange<'_>,
    issuer: &Issuer,
    password: &Password,
    organisation: &str,
) -> Result<SsoAnswer, Unproven> {
    match (issuer.kind, &issuer.api) {
        (IssuerKind::GithubCloud | IssuerKind::GithubServer, Some(api)) => {
            github::sso(exchange, api, password, organisation).await
        }
        _ => Err(no_api(exchange)),
    }
}

fn no_api(exchange: &mut Exchange<'_>) -> Unproven {
    exchange.explain("the issuer has no API that could be asked");
    Unproven::Odd("no_api")
}

/// A URL under the API's base.
fn under(api: &Url, path: &[&str]) -> Url {
    let mut url = api.clone();
    url.set_query(None);
    url.set_fragment(None);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

/// A token as a header value. Unlike Basic, a header cannot carry line ends or other control characters.
fn header(exchange: &mut Exchange<'_>, prefix: &str, password: &Password) -> Result<HeaderValue, Unproven> {
    let mut bytes = prefix.as_bytes().to_vec();
    bytes.extend_from_slice(password.expose());
    let value = HeaderValue::from_bytes(&bytes);
    zeroize::Zeroize::zeroize(&mut bytes);
    if let Ok(mut value) = value {
        value.set_sensitive(true);
        return Ok(value);
    }
    exchange.explain("the token holds control characters, so the issuer cannot be asked about it");
    Err(Unproven::Odd("unsendable_token"))
}
