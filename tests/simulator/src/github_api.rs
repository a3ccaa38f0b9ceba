//! The REST API of a GitHub instance, as far as a token can learn about itself there.

use serde_json::{Value, json};

use crate::auth::Credential;
use crate::host::{Home, Host};
use crate::owners::Owner;
use crate::state::State;
use crate::token_spec::TokenKind;
use crate::tokens::TokenId;
use crate::wire::{Reply, Request};

const DOCS: &str = "https://docs.github.com/rest";
/// The versions of `X-GitHub-Api-Version` that GitHub knows.
const VERSIONS: [&str; 2] = ["2022-11-28", "2026-03-10"];

/// Which GitHub it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// github.com
    GithubCom,
    /// Enterprise Server: everything under `/api/v3`, rate limits off.
    EnterpriseServer,
    /// `*.ghe.com` (data residency): as github.com, but nothing without authentication.
    DataResidency,
}

pub(crate) fn answer(state: &mut State, host: Host, request: &Request, credential: &Credential) -> Reply {
    let home = host.home();
    let flavour = match home {
        Home::Github(instance) => state.instances.get(instance as usize).copied(),
        Home::Registry(_) => None,
    }
    .unwrap_or(Flavour::GithubCom);
    let path = if flavour == Flavour::EnterpriseServer {
        request.path.strip_prefix("/api/v3").filter(|rest| rest.is_empty() || rest.starts_with('/'))
    } else {
        Some(request.path.as_str())
    };
    let reply = match path {
        Some(path) => Call { state, home, flavour, request }.answer(path.trim_end_matches('/'), credential),
        None => Reply::new(404, "text/html; charset=utf-8", "<html><body>Page not found</body></html>\n"),
    };
    let reply = if flavour == Flavour::EnterpriseServer { without_status(reply) } else { reply };
    reply
        .with("server", "github.com")
        .with("x-github-request-id", state.request_id())
        .with("x-github-media-type", "github.v3; format=json")
}

/// The body of a secondary rate limit.
pub(crate) fn secondary_limit_body(status: u16) -> Value {
    json!({
        "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        "documentation_url":
            "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits",
        "status": status.to_string(),
    })
}

/// An error body of github.com. The fields stand in the order of the recorded answers.
fn error(status: u16, message: &str, page: &str) -> Reply {
    let (message, url) = (json!(message), json!(format!("{DOCS}{page}")));
    let body = format!("{{\"message\":{message},\"documentation_url\":{url},\"status\":\"{status}\"}}");
    Reply::new(status, "application/json; charset=utf-8", body)
}

/// Older bodies, as on Enterprise Server, lack `status` and point at pages of their own.
fn without_status(mut reply: Reply) -> Reply {
    let old = String::from_utf8_lossy(&reply.body)
        .replace(&format!(",\"status\":\"{}\"}}", reply.status), "}")
        .replace(DOCS, "https://docs.github.com/enterprise-server@3.14/rest");
    reply.body = old.into_bytes();
    reply
}

fn bad_credentials() -> Reply {
    error(401, "Bad credentials", "")
}

struct Call<'a> {
    state: &'a mut State,
    home: Home,
    flavour: Flavour,
    request: &'a Request,
}

impl Call<'_> {
    fn answer(&mut self, path: &str, credential: &Credential) -> Reply {
        if self.request.header("user-agent").is_none_or(str::is_empty) {
            let text = "\r\nRequest forbidden by administrative rules. Please make sure your request has a User-Agent header \
                        (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). \
                        Check https://developer.github.com for other possible causes.\r\n";
            return Reply::new(403, "text/html; charset=utf-8", text);
        }
        if self.request.header("x-github-api-version").is_some_and(|version| !VERSIONS.contains(&version)) {
            return error(400, "The provided API version is not supported.", "/about-the-rest-api/api-versions");
        }
        let id = match self.authenticate(credential) {
            Ok(id) => id,
            Err(refusal) => return refusal,
        };
        if id.is_none() && self.flavour == Flavour::DataResidency {
            return error(401, "Requires authentication", "");
        }
        let login = id.and_then(|id| self.state.token(id)).map(|token| token.spec.owner.clone()).unwrap_or_default();
        if let Some(refusal) = self.rate_limited(&login, path == "/rate_limit") {
            return refusal;
        }
        let reply = self.route(path, id);
        let reply = self.with_token_headers(reply, id, path);
        self.with_rate_headers(reply, &login)
    }

    /// Who asks: a living token, nobody, or the answer that refuses.
    fn authenticate(&mut self, credential: &Credential) -> Result<Option<TokenId>, Reply> {
        let (user, secret) = match credential {
            Credential::None => return Ok(None),
            Credential::Other => return Err(bad_credentials()),
            Credential::Basic { user, password } => (user.as_str(), password.as_str()),
            Credential::Bearer(text) => ("", text.as_str()),
        };
        let now = self.state.now();
        let found = self.state.find_token(self.home, secret);
        let token = found.and_then(|id| self.state.token(id));
        let account = token.map_or_else(|| user.to_owned(), |token| token.spec.owner.clone());
        let alive = token.is_some_and(|token| token.alive(now));
        let second_factor = token.is_some_and(|token| token.spec.wants_second_factor);
        if self.state.is_locked(self.home, &account) {
            return Err(error(403, "Maximum number of login attempts exceeded. Please try again later.", ""));
        }
        if second_factor {
            let reply = error(
                401,
                "Must specify two-factor authentication OTP code.",
                "/overview/other-authentication-methods",
            );
            return Err(reply.with("x-github-otp", "required; app"));
        }
        if !alive {
            if self.state.is_account(self.home, &account) {
                self.state.record_bad_login(self.home, &account);
            }
            return Err(bad_credentials());
        }
        Ok(found)
    }

    fn counts(&self) -> bool {
        self.flavour != Flavour::EnterpriseServer
    }

    /// The refusal of a secondary or primary limit; counts the request against the primary one.
    fn rate_limited(&mut self, login: &str, free: bool) -> Option<Reply> {
        if !self.counts() {
            return None;
        }
        let now = self.state.now();
        let id = self.state.numeric_id(login);
        let owner = self.state.owner(self.home, login);
        if let Some(limit) = owner.secondary.filter(|limit| limit.until > now) {
            let reply = Reply::json(limit.status, &secondary_limit_body(limit.status));
            let wait = (limit.until - now).num_seconds() + 1;
            return Some(if limit.retry_after { reply.with("retry-after", wait.to_string()) } else { reply });
        }
        if free {
            return None;
        }
        if owner.used < owner.limit {
            owner.used += 1;
            return None;
        }
        let status = owner.exhausted_status;
        let message = if login.is_empty() {
            "API rate limit exceeded for 127.0.0.1. (But here's the good news: Authenticated requests get a higher rate \
             limit. Check out the documentation for more details.)"
                .to_owned()
        } else {
            format!("API rate limit exceeded for user ID {id}.")
        };
        let reply = error(status, &message, "/using-the-rest-api/rate-limits-for-the-rest-api");
        Some(self.with_rate_headers(reply, login))
    }

    fn with_rate_headers(&mut self, reply: Reply, login: &str) -> Reply {
        if !self.counts() {
            return reply;
        }
        let owner = self.state.owner(self.home, login);
        reply
            .with("x-ratelimit-limit", owner.limit.to_string())
            .with("x-ratelimit-remaining", owner.limit.saturating_sub(owner.used).to_string())
            .with("x-ratelimit-reset", owner.reset.timestamp().to_string())
            .with("x-ratelimit-used", owner.used.to_string())
            .with("x-ratelimit-resource", "core")
    }

    fn with_token_headers(&self, mut reply: Reply, id: Option<TokenId>, path: &str) -> Reply {
        let Some(token) = id.and_then(|id| self.state.token(id)) else { return reply };
        if let Some(scopes) = &token.spec.scopes {
            let accepted = if path.starts_with("/orgs/") { "admin:org, read:org, repo, user, write:org" } else { "" };
            reply = reply.with("x-oauth-scopes", scopes.join(", ")).with("x-accepted-oauth-scopes", accepted);
        }
        match token.spec.kind {
            TokenKind::OAuth => reply = reply.with("x-oauth-client-id", "178c6fc778ccc68e1d6a"),
            TokenKind::FineGrained | TokenKind::AppInstallation | TokenKind::AppInstallationStateless => {
                reply = reply.with("x-accepted-github-permissions", "allows_permissionless_access=true");
            }
            _ => {}
        }
        match token.expiry_header(self.state.now()) {
            Some(text) => reply.with("github-authentication-token-expiration", text),
            None => reply,
        }
    }

    fn route(&mut self, path: &str, id: Option<TokenId>) -> Reply {
        if !self.request.is_read() {
            return error(404, "Not Found", "");
        }
        match path {
            "" => Reply::json(200, &self.root()),
            "/rate_limit" if !self.counts() => {
                Reply::new(404, "application/json; charset=utf-8", r#"{"message":"Rate limiting is not enabled."}"#)
            }
            "/rate_limit" => self.rate_limit(id),
            "/user" => self.user(id),
            "/user/orgs" => self.user_orgs(id),
            path => match path.strip_prefix("/orgs/").filter(|name| !name.contains('/')) {
                Some(name) => self.organisation(name, id),
                None => error(404, "Not Found", ""),
            },
        }
    }

    fn root(&self) -> Value {
        let url = self.api_url();
        json!({
            "current_user_url": format!("{url}/user"),
            "organization_url": format!("{url}/orgs/{{org}}"),
            "rate_limit_url": format!("{url}/rate_limit"),
            "user_organizations_url": format!("{url}/user/orgs"),
        })
    }

    fn api_url(&self) -> String {
        match self.home {
            Home::Github(0) | Home::Registry(_) => self.state.url(Host::GithubApi),
            Home::Github(instance) => {
                let prefix = if self.flavour == Flavour::EnterpriseServer { "/api/v3" } else { "" };
                self.state.url(Host::EnterpriseApi(instance)) + prefix
            }
        }
    }

    fn rate_limit(&mut self, id: Option<TokenId>) -> Reply {
        let login = id.and_then(|id| self.state.token(id)).map(|token| token.spec.owner.clone()).unwrap_or_default();
        let owner: &Owner = self.state.owner(self.home, &login);
        let bucket = |limit: u32, used: u32| json!({ "limit": limit, "used": used, "remaining": limit.saturating_sub(used), "reset": owner.reset.timestamp() });
        let core = bucket(owner.limit, owner.used);
        let search = bucket(if login.is_empty() { 10 } else { 30 }, 0);
        let graphql = bucket(if login.is_empty() { 0 } else { 5000 }, 0);
        Reply::json(200, &json!({ "resources": { "core": core, "search": search, "graphql": graphql }, "rate": core }))
    }

    fn user(&self, id: Option<TokenId>) -> Reply {
        let Some(token) = id.and_then(|id| self.state.token(id)) else {
            return error(401, "Requires authentication", "/users/users#get-the-authenticated-user");
        };
        if matches!(token.spec.kind, TokenKind::AppInstallation | TokenKind::AppInstallationStateless) {
            return error(403, "Resource not accessible by integration", "/users/users#get-the-authenticated-user");
        }
        let login = &token.spec.owner;
        let url = format!("{}/users/{login}", self.api_url());
        Reply::json(200, &json!({ "login": login, "id": self.state.numeric_id(login), "type": "User", "url": url }))
    }

    /// Organisations with SSO for which the token is not authorised are left out, with a header that says so.
    fn user_orgs(&self, id: Option<TokenId>) -> Reply {
        let Some(token) = id.and_then(|id| self.state.token(id)) else {
            return error(401, "Requires authentication", "/orgs/orgs#list-organizations-for-the-authenticated-user");
        };
        let (mut shown, mut hidden) = (Vec::new(), Vec::new());
        let mut names: Vec<_> = self.state.organisations.iter().filter(|((home, _), _)| *home == self.home).collect();
        names.sort_by_key(|((_, name), _)| name);
        for ((_, name), policy) in names {
            if policy.sso_required && !token.spec.sso_authorized.contains(name) {
                hidden.push(self.state.numeric_id(name).to_string());
            } else {
                shown.push(json!({ "login": name, "id": self.state.numeric_id(name) }));
            }
        }
        let reply = Reply::json(200, &Value::Array(shown));
        if hidden.is_empty() {
            return reply;
        }
        reply.with("x-github-sso", format!("partial-results; organizations={}", hidden.join(",")))
    }

    fn organisation(&self, name: &str, id: Option<TokenId>) -> Reply {
        const PAGE: &str = "/orgs/orgs#get-an-organization";
        let Some(policy) = self.state.org_policy(self.home, name) else { return error(404, "Not Found", PAGE) };
        if let Some(token) = id.and_then(|id| self.state.token(id)) {
            let classic = matches!(token.spec.kind, TokenKind::Classic | TokenKind::Legacy);
            let personal = classic || token.spec.kind == TokenKind::FineGrained;
            if policy.sso_required
                && (classic || token.spec.kind == TokenKind::OAuth)
                && !token.spec.sso_authorized.contains(name)
            {
                if policy.hides_behind_404 {
                    return error(404, "Not Found", PAGE);
                }
                let message = "Resource protected by organization SAML enforcement. You must grant your Personal Access \
                               token access to this organization.";
                let url = format!("https://github.com/orgs/{name}/sso?authorization_request=AZSCKL4U536RECIXOKCTS");
                return error(403, message, "/overview/authenticating-to-the-rest-api")
                    .with("x-github-sso", format!("required; url={url}"));
            }
            if policy.forbids_classic && classic {
                let message = format!(
                    "`{name}` forbids access via a personal access token (classic). Please use a GitHub App, OAuth App, or \
                     a personal access token with fine-grained permissions."
                );
                return error(403, &message, PAGE);
            }
            if let Some(days) = policy.max_lifetime_days.filter(|days| personal && token.outlives(*days)) {
                let kind =
                    if classic { "personal access token (classic)" } else { "fine-grained personal access token" };
                let message = format!(
                    "The '{name}' organization forbids access via a {kind} if the token's lifetime is greater than {days} \
                     days. Please adjust your token's lifetime."
                );
                return error(403, &message, PAGE);
            }
        }
        let url = format!("{}/orgs/{name}", self.api_url());
        Reply::json(
            200,
            &json!({ "login": name, "id": self.state.numeric_id(name), "type": "Organization", "url": url }),
        )
    }
}
