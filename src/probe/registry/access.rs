//! May a login, or anyone, pull a repository? A token for it where the registry wants one, then its manifest: HEAD, and
//! GET for the reason when that is not a plain yes.

use http::{HeaderValue, Method};
use url::Url;

use super::learn::{challenge, learn};
use super::login::{asks_otherwise, odd, refuses_login};
use super::token::{basic, request};
use super::{is_github, v2};
use crate::credential::{Password, Username};
use crate::probe::client::Ask;
use crate::probe::evidence::{AccessAnswer, Denial, DenialStage, Unproven};
use crate::probe::exchange::{Exchange, Seen};
use crate::probe::host_state::Asks;
use crate::probe::wire::challenge::challenges;
use crate::probe::wire::oci::{Body, content_type, is_html};

/// What GitHub's registry says when the token's scopes do not suffice.
const SCOPE_MISMATCH: &str = "does not match expected scopes";
/// Said of a bearer, not of a right: seen by everyone in incidents, and for bearers that went stale.
const BEARER_TROUBLE: [&str; 3] = ["cannot be authenticated", "invalid token", "authentication token not provided"];

const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, \
    */*;q=0.1";

type Login<'a> = Option<(&'a Username, &'a Password)>;

pub(in crate::probe) async fn access(
    exchange: &mut Exchange<'_>,
    login: Login<'_>,
    repository: &str,
    reference: &str,
) -> Result<AccessAnswer, Unproven> {
    if !is_plain(repository) || !is_plain(reference) || reference.contains('/') {
        exchange.explain("not a repository and reference that can be asked for");
        return Err(Unproven::Odd("bad_name"));
    }
    let mut path: Vec<&str> = repository.split('/').collect();
    path.extend(["manifests", reference]);
    let manifest = v2(exchange.registry, &path);
    let scope = format!("repository:{repository}:pull");
    let asks = match learn(exchange).await? {
        Asks::Nothing => {
            // Open at its root, perhaps not here.
            let seen = head(exchange, &manifest, None).await?;
            if seen.status() != 401 {
                exchange.to_anybody = true;
                return judge(exchange, &manifest, seen, &Sent::default()).await;
            }
            challenge(exchange, &seen)?
        }
        asks => asks,
    };
    match asks {
        Asks::Bearer { realm, service } => {
            let authorization = login.and_then(|(username, password)| basic(username, password));
            let token = match request(exchange, &realm, service.as_deref(), Some(&scope), authorization).await? {
                Ok(token) => token,
                Err(seen) => return token_refused(exchange, &seen, login.is_some()),
            };
            exchange.to_anybody = token.for_nobody;
            let sent = Sent {
                bearer: true,
                login: login.is_some(),
                for_nobody: token.for_nobody && login.is_some(),
                authorization: Some(token.header),
            };
            let seen = head(exchange, &manifest, sent.authorization.clone()).await?;
            judge(exchange, &manifest, seen, &sent).await
        }
        Asks::Basic | Asks::Nothing => {
            let authorization = login.and_then(|(username, password)| basic(username, password));
            let sent = Sent { bearer: false, login: login.is_some(), for_nobody: false, authorization };
            let seen = head(exchange, &manifest, sent.authorization.clone()).await?;
            judge(exchange, &manifest, seen, &sent).await
        }
    }
}

/// What the manifest was asked with.
#[derive(Default)]
struct Sent {
    authorization: Option<HeaderValue>,
    bearer: bool,
    login: bool,
    /// A login was sent to the token service, which took no notice of it.
    for_nobody: bool,
}

/// Names come from images of tenants: one that would leave its place in the path is not asked for.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 512
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b'?' | b'#' | b'\\'))
}

fn ask(method: Method, manifest: &Url, authorization: Option<HeaderValue>) -> Ask {
    Ask {
        method,
        accept: HeaderValue::from_static(MANIFEST_TYPES),
        // A runtime drops the credential at another host too, so an answer from there counts as a pull.
        may_drop_auth: true,
        ..Ask::get(manifest.clone(), authorization)
    }
}

async fn head(
    exchange: &mut Exchange<'_>,
    manifest: &Url,
    authorization: Option<HeaderValue>,
) -> Result<Seen, Unproven> {
    exchange.send(ask(Method::HEAD, manifest, authorization)).await
}

/// The token service said no.
fn token_refused(exchange: &mut Exchange<'_>, seen: &Seen, with_login: bool) -> Result<AccessAnswer, Unproven> {
    let github = is_github(exchange.registry);
    let status = seen.status();
    let denied = |missing_scope| Ok(AccessAnswer::Denied(Denial { stage: DenialStage::Token, missing_scope }));
    if !with_login {
        return if refuses_login(seen, false) || (status == 403 && seen.is_oci_error()) {
            denied(false)
        } else {
            Err(odd(seen))
        };
    }
    // A 403 elsewhere than on GitHub may mean either; the login exchange tells which.
    if (github || status == 401) && refuses_login(seen, github) {
        return Ok(AccessAnswer::LoginRefused);
    }
    let speaks_of_access = if github {
        seen.error.code == "DENIED"
            && (seen.error.message.starts_with("requested access")
                || seen.error.message.starts_with("permission_denied"))
    } else {
        seen.is_oci_error()
    };
    if status == 403 && speaks_of_access { denied(is_scope_mismatch(seen)) } else { Err(odd(seen)) }
}

fn is_scope_mismatch(seen: &Seen) -> bool {
    seen.error.message.contains(SCOPE_MISMATCH)
}

/// What the answer to the HEAD means; asks again with GET where the reason stands in the body.
async fn judge(exchange: &mut Exchange<'_>, manifest: &Url, head: Seen, sent: &Sent) -> Result<AccessAnswer, Unproven> {
    if let Some(why) = head.unproven() {
        return Err(why);
    }
    if head.status() == 200 {
        return if is_manifest(&head) { Ok(AccessAnswer::Granted) } else { Err(not_a_manifest(exchange, &head)) };
    }
    let seen = exchange.send(ask(Method::GET, manifest, sent.authorization.clone())).await?;
    if let Some(why) = seen.unproven() {
        return Err(why);
    }
    if seen.status() == 200 {
        return if is_manifest(&seen) { Ok(AccessAnswer::Granted) } else { Err(not_a_manifest(exchange, &seen)) };
    }
    if seen.reply.dropped_auth {
        exchange.explain("a host that it redirects to refused, without having been shown the credential");
        return Err(Unproven::Odd("redirect"));
    }
    let answer = refused(exchange, &seen, sent)?;
    if sent.for_nobody && answer != AccessAnswer::Granted {
        exchange.explain("the token service took no notice of the login, and the registry refused its token");
        return Err(Unproven::Odd("password_not_checked"));
    }
    Ok(answer)
}

fn refused(exchange: &mut Exchange<'_>, seen: &Seen, sent: &Sent) -> Result<AccessAnswer, Unproven> {
    let github = is_github(exchange.registry);
    let message = seen.error.message.to_lowercase();
    if github && BEARER_TROUBLE.iter().any(|words| message.contains(words)) {
        return Err(Unproven::Odd("bearer_refused"));
    }
    let denied =
        || AccessAnswer::Denied(Denial { stage: DenialStage::Manifest, missing_scope: is_scope_mismatch(seen) });
    match seen.status() {
        401 if !sent.bearer && sent.login => {
            if asks_otherwise(seen) {
                return Err(Unproven::Odd("challenge_changed"));
            }
            if refuses_login(seen, false) { Ok(AccessAnswer::LoginRefused) } else { Err(odd(seen)) }
        }
        // Said of the token, such as one from a token service whose clock is off.
        401 if sent.bearer && says(seen, "invalid_token") => Err(Unproven::Odd("bearer_refused")),
        401 if seen.is_oci_error() || says(seen, "insufficient_scope") => Ok(denied()),
        401 if !sent.login && refuses_login(seen, false) => Ok(denied()),
        403 if seen.is_oci_error() => Ok(denied()),
        404 if seen.error.code == "MANIFEST_UNKNOWN" => Ok(AccessAnswer::Granted),
        404 if matches!(seen.body, Body::Json(_) | Body::Empty) => Ok(AccessAnswer::NotFound),
        404 => Err(seen.body.unproven()),
        _ => Err(odd(seen)),
    }
}

/// Whether a challenge carries an error code of RFC 6750, 3.1.
fn says(seen: &Seen, error: &str) -> bool {
    challenges(&seen.reply.headers).iter().any(|c| c.param("error") == Some(error))
}

/// A 200 counts only when it looks like a manifest: portals answer 200 to everything.
fn is_manifest(seen: &Seen) -> bool {
    let digest = seen.header("docker-content-digest").is_some_and(|digest| digest.contains(':'));
    let kind = content_type(&seen.reply).unwrap_or_default();
    !is_html(&seen.reply)
        && !matches!(seen.body, Body::Html)
        && (digest || kind.contains("json") || kind.contains("prettyjws"))
}

fn not_a_manifest(exchange: &mut Exchange<'_>, seen: &Seen) -> Unproven {
    exchange.explain("a 200 that shows no manifest");
    Unproven::Odd(if is_html(&seen.reply) || seen.body == Body::Html { "html" } else { "not_a_manifest" })
}
