//! Registries: does a login work, may it pull?

mod access;
mod learn;
mod login;
mod token;

use http::HeaderValue;
use url::Url;

pub(super) use access::access;
pub(super) use login::login;

use super::exchange::Exchange;
use crate::plan::{IssuerKind, Registry};

/// Whether a registry is GitHub's container registry, whose answers are told apart more finely: ghcr.io,
/// `containers.SUBDOMAIN.ghe.com`, or `containers.HOST` of an Enterprise Server.
fn is_github(registry: &Registry) -> bool {
    let github_issuer = registry
        .issuer
        .as_ref()
        .is_some_and(|issuer| matches!(issuer.kind, IssuerKind::GithubCloud | IssuerKind::GithubServer));
    let host = &*registry.host;
    host == "ghcr.io" || (host.starts_with("containers.") && (github_issuer || host.ends_with(".ghe.com")))
}

/// A URL under the registry's `/v2/`.
fn v2(registry: &Registry, path: &[&str]) -> Url {
    let mut url = registry.endpoint.clone();
    url.set_query(None);
    url.set_fragment(None);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push("v2");
        if path.is_empty() {
            segments.push("");
        }
        segments.extend(path);
    }
    url
}

/// `Authorization: Bearer`, unless the token cannot stand in a header.
fn bearer(exchange: &mut Exchange<'_>, token: &str) -> Option<HeaderValue> {
    exchange.redactor.add(token);
    HeaderValue::try_from(format!("Bearer {token}")).ok()
}

#[cfg(test)]
mod tests;
