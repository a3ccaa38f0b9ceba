//! Does a login work?

use url::Url;

use super::learn::{forget, learn};
use super::token::{basic, request};
use super::{is_github, v2};
use crate::credential::{Password, Username};
use crate::probe::client::Ask;
use crate::probe::evidence::{LoginAnswer, Unproven};
use crate::probe::exchange::{Exchange, Seen};
use crate::probe::host_state::Asks;
use crate::probe::wire::challenge::challenges;
use crate::probe::wire::oci::{Body, is_html};

/// The message of ghcr.io's token service for a bad credential, and for nothing else.
pub(super) const BAD_CREDENTIAL: &str = "denied";

pub(in crate::probe) async fn login(
    exchange: &mut Exchange<'_>,
    username: &Username,
    password: &Password,
) -> Result<LoginAnswer, Unproven> {
    match learn(exchange).await? {
        Asks::Nothing => {
            exchange.explain("the registry does not ask for a login, so the password was not checked");
            Ok(LoginAnswer::NotChecked)
        }
        Asks::Basic => with_basic(exchange, username, password).await,
        Asks::Bearer { realm, service } => with_bearer(exchange, &realm, service.as_deref(), username, password).await,
    }
}

async fn with_bearer(
    exchange: &mut Exchange<'_>,
    realm: &Url,
    service: Option<&str>,
    username: &Username,
    password: &Password,
) -> Result<LoginAnswer, Unproven> {
    let github = is_github(exchange.registry);
    let token = match request(exchange, realm, service, None, basic(username, password)).await? {
        Ok(token) => token,
        Err(seen) if refuses_login(&seen, github) => return Ok(LoginAnswer::Refused),
        Err(seen) => return Err(odd(&seen)),
    };
    if github {
        // The token proves the authentication and nothing else; `/v2/` would take any bearer.
        exchange.explain("the token service accepted the login");
        return Ok(LoginAnswer::Accepted);
    }
    if token.for_nobody {
        exchange.explain("the token service handed out a token for nobody, so the password was not checked");
        return Ok(LoginAnswer::NotChecked);
    }
    // A token service that answers anybody alike cannot be found out without wrong passwords, which would count as
    // failed logins. One that looks at Basic at all refuses a wrong one with 401.
    let seen = exchange.send(Ask::get(v2(exchange.registry, &[]), Some(token.header))).await?;
    if let Some(why) = seen.unproven() {
        return Err(why);
    }
    match seen.status() {
        200 if is_page(&seen) => Ok(LoginAnswer::NotChecked),
        200 => Ok(LoginAnswer::Accepted),
        401 | 403 => {
            exchange.explain("the token service accepted the login, but the registry refused its token");
            Err(Unproven::Odd("bearer_refused"))
        }
        _ => Err(Unproven::Odd("unexpected_status")),
    }
}

async fn with_basic(
    exchange: &mut Exchange<'_>,
    username: &Username,
    password: &Password,
) -> Result<LoginAnswer, Unproven> {
    let seen = exchange.send(Ask::get(v2(exchange.registry, &[]), basic(username, password))).await?;
    if let Some(why) = seen.unproven() {
        return Err(why);
    }
    match seen.status() {
        200 if is_page(&seen) => Ok(LoginAnswer::NotChecked),
        200 => Ok(LoginAnswer::Accepted),
        401 if asks_otherwise(&seen) => {
            forget(exchange).await;
            exchange.explain("the registry asks for logins in another way than before");
            Err(Unproven::Odd("challenge_changed"))
        }
        401 | 403 if refuses_login(&seen, false) => Ok(LoginAnswer::Refused),
        _ => Err(odd(&seen)),
    }
}

/// A 200 that no registry sends.
fn is_page(seen: &Seen) -> bool {
    is_html(&seen.reply) || seen.body == Body::Html
}

/// A 401 whose challenges leave the scheme out that was just used.
pub(super) fn asks_otherwise(seen: &Seen) -> bool {
    let found = challenges(&seen.reply.headers);
    !found.is_empty() && !found.iter().any(|c| c.scheme == "basic")
}

/// Whether an answer to a Basic login refuses the login itself.
///
/// GitHub's registry: 403 `DENIED` with the very message `denied`, or 401 with an OCI error; its other 403s speak of
/// access. Elsewhere a 401 is about the credentials by definition (RFC 9110, 15.5.2), unless a page for a browser comes
/// with it, as proxies send them; a 403 needs an OCI error body.
pub(super) fn refuses_login(seen: &Seen, github: bool) -> bool {
    match (seen.status(), github) {
        (403, true) => seen.error.code == "DENIED" && seen.error.message == BAD_CREDENTIAL,
        (401, true) => seen.error.code == "UNAUTHORIZED",
        (403, false) => matches!(seen.error.code.as_str(), "DENIED" | "UNAUTHORIZED"),
        (401, false) => !is_page(seen) && !matches!(seen.body, Body::Partial(_) | Body::Slow),
        _ => false,
    }
}

/// Why an answer that is neither yes nor no proves nothing.
pub(super) fn odd(seen: &Seen) -> Unproven {
    match seen.body {
        Body::Html | Body::Partial(_) | Body::Slow => seen.body.unproven(),
        Body::Empty if matches!(seen.status(), 401 | 403) => Unproven::Odd("empty"),
        _ => Unproven::Odd("unexpected_status"),
    }
}
