//! The container registry of a GitHub instance.
//!
//! It differs from other registries in ways that matter: Basic is taken at `/token` alone, a token answer proves
//! authentication and nothing else, refusals come as 403, and public content is served to any bearer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::json;

use crate::auth::{Bearer, Credential};
use crate::faults::UNAUTHENTICATED;
use crate::host::{Home, Host};
use crate::packages::{Resource, Visibility, oci_error, parse_path};
use crate::state::State;
use crate::token_spec::TokenKind;
use crate::tokens::TokenId;
use crate::unsettled::PullRefusal;
use crate::wire::{Reply, Request};

/// The scope in a challenge whose path names no repository: a literal placeholder.
const PLACEHOLDER: &str = "repository:user/image:pull";

const AUTHENTICATION_REQUIRED: &str = "authentication required";
const REQUESTED_ACCESS: &str = "requested access to the resource is denied";
const SCOPE_MISMATCH: &str = "permission_denied: The token provided does not match expected scopes.";

pub(crate) fn answer(state: &mut State, host: Host, request: &Request, credential: &Credential) -> Reply {
    let home = host.home();
    let reply = match request.path.as_str() {
        "/token" => token(state, home, request, credential),
        "/v2" | "/v2/" | "/v2/_catalog" => root(state, home, request, credential),
        path => match parse_path(path) {
            Some((name, resource)) => content(state, home, &name, &resource, request, credential),
            None => Reply::new(404, "text/plain; charset=utf-8", "404 page not found\n"),
        },
    };
    reply.with("x-github-request-id", state.request_id())
}

fn challenge(state: &State, home: Home, scope: &str) -> String {
    let (realm, service) = (state.url(home.registry_host()), service(home));
    format!("Bearer realm=\"{realm}/token\",service=\"{service}\",scope=\"{scope}\"")
}

fn service(home: Home) -> &'static str {
    if home == Home::Github(0) { "ghcr.io" } else { "containers.github.example" }
}

fn unauthorized(state: &State, home: Home, scope: &str) -> Reply {
    oci_error(401, "UNAUTHORIZED", AUTHENTICATION_REQUIRED).with("www-authenticate", challenge(state, home, scope))
}

fn root(state: &State, home: Home, request: &Request, credential: &Credential) -> Reply {
    match credential {
        Credential::None => unauthorized(state, home, PLACEHOLDER),
        Credential::Basic { .. } | Credential::Other => {
            oci_error(state.unsettled.basic_on_v2, "DENIED", "invalid token")
        }
        Credential::Bearer(text) => match state.bearer(home, text) {
            Bearer::Empty => oci_error(401, "UNAUTHORIZED", "authentication token not provided"),
            Bearer::Refused => oci_error(401, "UNAUTHORIZED", UNAUTHENTICATED),
            _ if request.path == "/v2/_catalog" => oci_error(403, "DENIED", REQUESTED_ACCESS),
            _ => Reply::new(200, "application/json", "{}").with("docker-distribution-api-version", "registry/2.0"),
        },
    }
}

/// The repositories in the `scope` parameters of a token request.
pub(crate) fn repositories(request: &Request) -> Vec<String> {
    let scopes = request.query_values("scope");
    let words = scopes.iter().flat_map(|scope| scope.split(' '));
    words
        .filter_map(|scope| scope.strip_prefix("repository:")?.rsplit_once(':'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn token(state: &mut State, home: Home, request: &Request, credential: &Credential) -> Reply {
    if !request.is_read() {
        return oci_error(state.unsettled.post_token, "UNSUPPORTED", "The operation is unsupported.")
            .with("allow", "GET");
    }
    let repositories = repositories(request);
    let Credential::Basic { user, password } = credential else {
        // A bearer is not honoured here: it counts as nothing.
        return anonymous_token(state, home, repositories);
    };
    let Some(id) = log_in(state, home, user, password) else {
        return oci_error(403, "DENIED", "denied");
    };
    let refused = |name: &String| matches!(access(state, home, id, name), Access::Denied);
    if state.unsettled.no_access_at_token && repositories.iter().any(refused) {
        return oci_error(403, "DENIED", REQUESTED_ACCESS);
    }
    let literal = state.unsettled.bearer_is_base64_token.then(|| STANDARD.encode(password));
    let bearer = state.issue(home, Some(id), repositories, literal);
    token_reply(state, &bearer)
}

fn token_reply(state: &State, bearer: &str) -> Reply {
    let mut body = json!({ "token": bearer });
    if let (Some(seconds), Some(object)) = (state.unsettled.token_expires_in, body.as_object_mut()) {
        object.insert("expires_in".to_owned(), json!(seconds));
    }
    Reply::new(200, "application/json", body.to_string()).with("docker-distribution-api-version", "registry/2.0")
}

fn anonymous_token(state: &mut State, home: Home, repositories: Vec<String>) -> Reply {
    let Some(first) = repositories.first() else { return unauthorized(state, home, PLACEHOLDER) };
    for name in &repositories {
        match state.package(home, name).map(|package| &package.visibility) {
            Some(Visibility::Public) => {}
            Some(Visibility::Private { .. }) => {
                return unauthorized(state, home, &format!("repository:{first}:pull"));
            }
            None => return oci_error(403, "DENIED", REQUESTED_ACCESS),
        }
    }
    let bearer = state.issue(home, None, repositories, None);
    token_reply(state, &bearer)
}

/// The token behind a password; the user name is not checked. A refusal counts against the account.
fn log_in(state: &mut State, home: Home, user: &str, password: &str) -> Option<TokenId> {
    let now = state.now();
    let found = state.find_token(home, password);
    let account =
        found.and_then(|id| state.token(id)).map_or_else(|| user.to_owned(), |token| token.spec.owner.clone());
    if state.unsettled.lockout_reaches_registry && state.is_locked(home, &account) {
        return None;
    }
    let takes_fine_grained = state.unsettled.fine_grained_login;
    let accepted = found.filter(|id| {
        state
            .token(*id)
            .is_some_and(|token| token.alive(now) && (token.spec.kind != TokenKind::FineGrained || takes_fine_grained))
    });
    if accepted.is_none() && state.is_account(home, &account) {
        state.record_bad_login(home, &account);
    }
    accepted
}

/// Whether a living token may pull a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Granted,
    Missing,
    ScopeMismatch,
    Sso,
    Denied,
}

fn access(state: &State, home: Home, id: TokenId, name: &str) -> Access {
    let (Some(package), Some(token)) = (state.package(home, name), state.token(id)) else { return Access::Missing };
    let Visibility::Private { readers } = &package.visibility else { return Access::Granted };
    let pulls = match token.spec.kind {
        TokenKind::Classic | TokenKind::OAuth | TokenKind::Legacy => true,
        TokenKind::FineGrained => return Access::ScopeMismatch,
        TokenKind::AppInstallation | TokenKind::AppInstallationStateless => state.unsettled.installation_token_pulls,
        _ => false,
    };
    if !pulls {
        return Access::Denied;
    }
    if !token.may_read_packages() {
        return Access::ScopeMismatch;
    }
    let policy = state.org_policy(home, name.split('/').next().unwrap_or_default()).unwrap_or_default();
    let forbidden = policy.forbids_classic || policy.max_lifetime_days.is_some_and(|days| token.outlives(days));
    if forbidden && matches!(token.spec.kind, TokenKind::Classic | TokenKind::Legacy) {
        return Access::Denied;
    }
    let organisation = name.split('/').next().unwrap_or_default();
    if policy.sso_required && !token.spec.sso_authorized.contains(organisation) {
        return Access::Sso;
    }
    if readers.contains(&token.spec.owner) || token.reads(name) { Access::Granted } else { Access::Denied }
}

fn content(
    state: &State,
    home: Home,
    name: &str,
    resource: &Resource,
    request: &Request,
    credential: &Credential,
) -> Reply {
    let scope = format!("repository:{name}:pull");
    let text = match credential {
        Credential::None => return unauthorized(state, home, &scope),
        Credential::Basic { .. } | Credential::Other => return oci_error(403, "DENIED", "invalid token"),
        Credential::Bearer(text) => text,
    };
    let public = state.package(home, name).is_some_and(|package| package.visibility == Visibility::Public);
    let access = match state.bearer(home, text) {
        Bearer::Empty => return oci_error(401, "UNAUTHORIZED", "authentication token not provided"),
        Bearer::Anonymous | Bearer::Noise if public => Access::Granted,
        Bearer::Anonymous | Bearer::Noise | Bearer::Refused => {
            return oci_error(401, "UNAUTHORIZED", UNAUTHENTICATED);
        }
        Bearer::Token(id) => access(state, home, id, name),
    };
    if !request.is_read() || *resource == Resource::Upload {
        return oci_error(403, "DENIED", SCOPE_MISMATCH);
    }
    let refusal = match access {
        Access::Granted | Access::Missing => return state.serve_content(home, name, resource, request),
        Access::ScopeMismatch => state.unsettled.scopeless_pull,
        Access::Sso => state.unsettled.sso_pull,
        Access::Denied if *resource == Resource::Tags => PullRefusal::ReadPackage,
        Access::Denied => PullRefusal::RequestedAccess,
    };
    let reply = match refusal {
        PullRefusal::ScopeMismatch => oci_error(403, "DENIED", SCOPE_MISMATCH),
        PullRefusal::ReadPackage => oci_error(403, "DENIED", "permission_denied: read_package"),
        PullRefusal::RequestedAccess => oci_error(403, "DENIED", REQUESTED_ACCESS),
        PullRefusal::Unauthorized => oci_error(401, "UNAUTHORIZED", AUTHENTICATION_REQUIRED),
    };
    if request.method == Method::HEAD { Reply { body: Vec::new(), ..reply } } else { reply }
}
