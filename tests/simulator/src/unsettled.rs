//! What no public source settles. Each has the likelier answer as its default, and a test can ask for the other one:
//! whoever probes must stay truthful under both.

/// How the registry words the refusal of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRefusal {
    /// 403 `DENIED`, `permission_denied: The token provided does not match expected scopes.`
    ScopeMismatch,
    /// 403 `DENIED`, `permission_denied: read_package`
    ReadPackage,
    /// 403 `DENIED`, `requested access to the resource is denied`
    RequestedAccess,
    /// 401 `UNAUTHORIZED`, `authentication required`
    Unauthorized,
}

/// Answers of ghcr.io that are undocumented or contradictory.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, each a question of its own")]
pub struct Unsettled {
    /// Status of `GET /v2/` with Basic. The body is the known `DENIED`, `invalid token`. Default 403.
    pub basic_on_v2: u16,
    /// Whether `/token` takes a fine-grained PAT (docker/login-action#331 says that logins succeed). Default true.
    pub fine_grained_login: bool,
    /// The pull of a private image with a token without packages scopes. Default `ScopeMismatch`, as pushes answer.
    pub scopeless_pull: PullRefusal,
    /// The pull with a token that is not authorised for SSO. Default `Unauthorized` (cli/cli#5174).
    pub sso_pull: PullRefusal,
    /// Whether an App installation token can pull what it may read (docker/login-action#983). Default false.
    pub installation_token_pulls: bool,
    /// Whether `/token` already refuses a valid token without access (iogrid/iogrid#473). Default false.
    pub no_access_at_token: bool,
    /// Whether the bearer is literally the base64 of the token. Default false.
    pub bearer_is_base64_token: bool,
    /// `expires_in` of the token answer, in seconds. Default absent.
    pub token_expires_in: Option<u32>,
    /// Whether the lock-out of an account reaches the registry, as 403 `denied` for good tokens. Default true.
    pub lockout_reaches_registry: bool,
    /// Status of `POST /token`; containerd falls back to GET on 400, 401, 404 and 405. Default 405.
    pub post_token: u16,
}

impl Default for Unsettled {
    fn default() -> Self {
        Self {
            basic_on_v2: 403,
            fine_grained_login: true,
            scopeless_pull: PullRefusal::ScopeMismatch,
            sso_pull: PullRefusal::Unauthorized,
            installation_token_pulls: false,
            no_access_at_token: false,
            bearer_is_base64_token: false,
            token_expires_in: None,
            lockout_reaches_registry: true,
            post_token: 405,
        }
    }
}
