//! GitLab's side of its registry: the refusal of its token service, and a token's view of itself.

use serde_json::json;

use crate::auth::Credential;
use crate::host::Home;
use crate::state::State;
use crate::token_spec::TokenKind;
use crate::wire::{Reply, Request};

/// `/jwt/auth` for a wrong password.
pub(crate) fn access_denied() -> Reply {
    let message = "HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect \
                   or you're required to use a token instead of a password.";
    Reply::json(401, &json!({ "errors": [{ "code": "UNAUTHORIZED", "message": message }] }))
}

/// The API. `GET /api/v4/personal_access_tokens/self` tells a token's expiry; DELETE on the same URL revokes it, which a
/// daemon must never do.
pub(crate) fn answer(state: &mut State, id: u32, path: &str, request: &Request, credential: &Credential) -> Reply {
    if path != "/api/v4/personal_access_tokens/self" {
        return Reply::json(404, &json!({ "error": "404 Not Found" }));
    }
    let secret = match credential {
        Credential::Bearer(secret) => secret.as_str(),
        Credential::Basic { password, .. } => password.as_str(),
        Credential::None | Credential::Other => "",
    };
    let now = state.now();
    let found = state.find_token(Home::Registry(id), secret);
    let Some((found, token)) = found.and_then(|found| Some((found, state.token(found)?))) else {
        return unauthorized();
    };
    if !token.alive(now) {
        return unauthorized();
    }
    if token.spec.kind != TokenKind::GitlabPersonal {
        let message = "400 Bad request - This endpoint requires token type to be a personal access token";
        return Reply::json(400, &json!({ "message": message }));
    }
    if request.method == http::Method::DELETE {
        if let Some(token) = state.token_mut(found) {
            token.revoked = true;
        }
        return Reply::empty(204);
    }
    // `expires_at` is a date; the token dies at 00:00 UTC of it.
    let body = json!({
        "id": state.numeric_id(&token.spec.owner), "name": "image pulls", "revoked": false,
        "created_at": token.created_at.format("%Y-%m-%dT%H:%M:%S.000Z").to_string(), "description": null,
        "scopes": token.spec.scopes.clone().unwrap_or_default(), "user_id": state.numeric_id(&token.spec.owner) % 10_000,
        "last_used_at": now.format("%Y-%m-%dT%H:%M:%S.000Z").to_string(), "active": true,
        "expires_at": token.spec.expires_at.map(|at| at.format("%Y-%m-%d").to_string()),
    });
    Reply::json(200, &body)
}

fn unauthorized() -> Reply {
    Reply::json(401, &json!({ "message": "401 Unauthorized" }))
}
