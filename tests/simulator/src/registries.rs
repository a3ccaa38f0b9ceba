//! Registries other than GitHub's.

use std::fmt;
use std::sync::Arc;

use serde_json::json;

use crate::auth::Credential;
use crate::ghcr::repositories;
use crate::gitlab;
use crate::host::{Home, Host};
use crate::hostile::Hostile;
use crate::packages::{PackageHandle, Visibility, parse_path};
use crate::plan::html_page;
use crate::state::{Shared, State};
use crate::token_spec::TokenSpec;
use crate::tokens::{TokenHandle, TokenId};
use crate::wire::{Reply, Request};

/// The kind of a registry.
#[derive(Clone, Debug)]
pub enum RegistryKind {
    /// Docker distribution with token authentication; its token service is the path `/token` of the same host.
    Bearer,
    /// The same with its token service on a host of its own, as Docker Hub has it.
    BearerElsewhere,
    /// Docker distribution with htpasswd: a known login may do everything.
    Basic,
    /// Asks nobody for anything.
    Open,
    /// A web server that answers every path with 200 and an HTML page.
    Html,
    /// GitLab: tokens at `/jwt/auth` of a second host, which serves the API too.
    Gitlab,
    /// Misbehaves.
    Hostile(Hostile),
}

#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) kind: RegistryKind,
}

/// A registry of the world.
#[derive(Clone)]
pub struct RegistryHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: u32,
    pub(crate) url: String,
    pub(crate) token_service_url: Option<String>,
}

impl fmt::Debug for RegistryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryHandle").field("id", &self.id).field("url", &self.url).finish_non_exhaustive()
    }
}

impl RegistryHandle {
    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `127.0.0.1:PORT`
    pub fn authority(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The token service (for GitLab also the API), where it is a host of its own.
    pub fn token_service_url(&self) -> Option<&str> {
        self.token_service_url.as_deref()
    }

    /// How faults and the log name it.
    pub fn host(&self) -> Host {
        Host::Registry(self.id)
    }

    /// How faults and the log name its token service.
    pub fn token_service(&self) -> Host {
        if self.token_service_url.is_some() { Host::TokenService(self.id) } else { self.host() }
    }

    /// Adds a login that may read every package.
    pub fn add_login(&self, user: &str, password: &str) -> TokenHandle {
        self.add_token(TokenSpec::opaque(user).secret_text(password).reads("*"))
    }

    /// Adds a login with powers of its own. The user name (`owner`) is checked.
    pub fn add_token(&self, spec: TokenSpec) -> TokenHandle {
        let (id, secret) = self.shared.lock().add_token(Home::Registry(self.id), spec);
        TokenHandle { id, secret, shared: Arc::clone(&self.shared) }
    }

    /// Adds a package with the tag `latest`.
    pub fn add_package(&self, name: &str, visibility: Visibility) -> PackageHandle {
        let home = Home::Registry(self.id);
        self.shared.lock().add_package(home, name, visibility);
        PackageHandle { shared: Arc::clone(&self.shared), home, name: name.to_owned() }
    }
}

/// distribution's error body carries `detail`, unlike ghcr.io's.
fn refusal(status: u16, code: &str, message: &str, detail: &serde_json::Value) -> Reply {
    let (code, message) = (json!(code), json!(message));
    let body = format!("{{\"errors\":[{{\"code\":{code},\"message\":{message},\"detail\":{detail}}}]}}\n");
    Reply::new(status, "application/json; charset=utf-8", body).with("docker-distribution-api-version", "registry/2.0")
}

fn welcome() -> Reply {
    Reply::new(200, "application/json; charset=utf-8", "{}").with("docker-distribution-api-version", "registry/2.0")
}

/// The living login behind user name and password.
pub(crate) fn log_in(state: &State, id: u32, user: &str, password: &str) -> Option<TokenId> {
    let now = state.now();
    let found = state.find_token(Home::Registry(id), password)?;
    state.token(found).filter(|token| token.spec.owner == user && token.alive(now)).map(|_| found)
}

pub(crate) fn answer(state: &mut State, id: u32, request: &Request, credential: &Credential) -> Reply {
    let Some(kind) = state.registries.get(id as usize).map(|registry| registry.kind.clone()) else {
        return Reply::empty(503);
    };
    match kind {
        RegistryKind::Html => html_page(),
        RegistryKind::Open => serve(state, id, request),
        RegistryKind::Basic => match credential {
            Credential::Basic { user, password } if log_in(state, id, user, password).is_some() => {
                serve(state, id, request)
            }
            _ => refusal(401, "UNAUTHORIZED", "authentication required", &json!(null))
                .with("www-authenticate", "Basic realm=\"Registry Realm\""),
        },
        RegistryKind::Bearer | RegistryKind::Hostile(_) if request.path == "/token" => {
            answer_token_service(state, id, request, credential)
        }
        RegistryKind::Bearer | RegistryKind::BearerElsewhere | RegistryKind::Gitlab | RegistryKind::Hostile(_) => {
            with_bearer(state, id, &kind, request, credential)
        }
    }
}

fn serve(state: &State, id: u32, request: &Request) -> Reply {
    if matches!(request.path.as_str(), "/v2" | "/v2/") {
        return welcome();
    }
    match parse_path(&request.path) {
        Some((name, resource)) if request.is_read() => {
            state.serve_content(Home::Registry(id), &name, &resource, request)
        }
        Some(_) => refusal(405, "UNSUPPORTED", "The operation is unsupported.", &json!(null)),
        None => Reply::new(404, "text/plain; charset=utf-8", "404 page not found\n"),
    }
}

fn with_bearer(state: &State, id: u32, kind: &RegistryKind, request: &Request, credential: &Credential) -> Reply {
    let home = Home::Registry(id);
    let repository = parse_path(&request.path).map(|(name, _)| name);
    let session = match credential {
        Credential::Bearer(text) => state.session(home, text),
        _ => None,
    };
    let granted = session.is_some_and(|session| repository.as_ref().is_none_or(|name| session.grants.contains(name)));
    if granted {
        return serve(state, id, request);
    }
    let (realm, service) = match kind {
        RegistryKind::BearerElsewhere => {
            (format!("{}/token", state.url(Host::TokenService(id))), "registry.example.com")
        }
        RegistryKind::Gitlab => (format!("{}/jwt/auth", state.url(Host::TokenService(id))), "container_registry"),
        RegistryKind::Hostile(hostile) => {
            let own = format!("{}/token", state.url(Host::Registry(id)));
            (hostile.realm().unwrap_or(own), "registry.example.com")
        }
        _ => (format!("{}/token", state.url(Host::Registry(id))), "registry.example.com"),
    };
    let mut challenge = format!("Bearer realm=\"{realm}\",service=\"{service}\"");
    let mut detail = json!(null);
    if let Some(name) = &repository {
        challenge = format!("{challenge},scope=\"repository:{name}:pull\"");
        detail = json!([{ "Type": "repository", "Class": "", "Name": name, "Action": "pull" }]);
    }
    match credential {
        // distribution `registry/auth/token/accesscontroller.go`: a token that verifies but lacks the grant, or fails.
        Credential::Bearer(_) if session.is_some() => challenge.push_str(",error=\"insufficient_scope\""),
        Credential::Bearer(_) => challenge.push_str(",error=\"invalid_token\""),
        _ => {}
    }
    refusal(401, "UNAUTHORIZED", "authentication required", &detail).with("www-authenticate", challenge)
}

pub(crate) fn answer_token_service(state: &mut State, id: u32, request: &Request, credential: &Credential) -> Reply {
    let gitlab = matches!(state.registries.get(id as usize).map(|registry| &registry.kind), Some(RegistryKind::Gitlab));
    match request.path.as_str() {
        "/jwt/auth" if gitlab => {}
        path if gitlab => return gitlab::answer(state, id, path, request, credential),
        "/token" => {}
        _ => return Reply::new(404, "text/plain; charset=utf-8", "404 page not found\n"),
    }
    if !request.is_read() {
        return Reply::empty(405).with("allow", "GET");
    }
    let login = match credential {
        Credential::Basic { user, password } => match log_in(state, id, user, password) {
            Some(login) => Some(login),
            None if gitlab => return gitlab::access_denied(),
            None => {
                return refusal(401, "UNAUTHORIZED", "authentication required", &json!(null))
                    .with("www-authenticate", "Basic realm=\"token service\"");
            }
        },
        _ => None,
    };
    // Every token is granted: what it may do shows at the manifest.
    let home = Home::Registry(id);
    let mut grants = repositories(request);
    grants.retain(|name| may_pull(state, home, login, name));
    let bearer = state.issue(home, login, grants, None);
    let issued_at = state.now().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let body = json!({ "token": bearer, "access_token": bearer, "expires_in": 300, "issued_at": issued_at });
    Reply::new(200, "application/json", body.to_string())
}

fn may_pull(state: &State, home: Home, login: Option<TokenId>, name: &str) -> bool {
    let token = login.and_then(|login| state.token(login));
    match state.package(home, name).map(|package| &package.visibility) {
        Some(Visibility::Public) => true,
        Some(Visibility::Private { readers }) => {
            token.is_some_and(|token| readers.contains(&token.spec.owner) || token.reads(name))
        }
        // A login with sight of everything learns at the manifest that there is no such package.
        None => token.is_some_and(|token| token.reads(name)),
    }
}
