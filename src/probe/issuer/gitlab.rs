//! GitLab: `GET /api/v4/personal_access_tokens/self`, which a token of any scope may ask about itself (GitLab
//! `lib/api/personal_access_tokens/self_information.rb`). The same path with DELETE revokes the token; nothing here can
//! send one.

use chrono::{NaiveDate, NaiveTime};
use serde_json::Value;
use url::Url;

use super::{header, under};
use crate::credential::{Password, TokenKind};
use crate::probe::client::Ask;
use crate::probe::evidence::{Expiry, IssuerAnswer, TokenFacts, Unproven};
use crate::probe::exchange::{Exchange, Seen};
use crate::probe::text::NAME;
use crate::probe::wire::oci::Body;
use crate::probe::wire::wait;

/// Most scopes that are taken.
const SCOPES: usize = 100;

pub(super) async fn ask(
    exchange: &mut Exchange<'_>,
    api: &Url,
    password: &Password,
    kind: TokenKind,
    want_owner: bool,
) -> Result<IssuerAnswer, Unproven> {
    if kind == TokenKind::GitlabDeploy {
        exchange.explain("a deploy token cannot be asked about by itself");
        return Err(Unproven::Odd("unsupported_token_kind"));
    }
    let base: &[&str] = if api.path().trim_end_matches('/').ends_with("/api/v4") { &[] } else { &["api", "v4"] };
    let url = |path: &[&str]| under(api, &[base, path].concat());
    let seen = get(exchange, url(&["personal_access_tokens", "self"]), password).await?;
    if let Some(why) = seen.unproven() {
        return Err(why);
    }
    let mut facts = match (seen.status(), &seen.body) {
        (200, Body::Json(Value::Object(token))) if token.contains_key("expires_at") => {
            if token.get("revoked") == Some(&Value::Bool(true)) || token.get("active") == Some(&Value::Bool(false)) {
                return Ok(IssuerAnswer::Disowned);
            }
            facts(exchange, &seen, token)
        }
        // A password or a token of another kind is refused here too, and may well work at the registry.
        (401, Body::Json(_)) if kind == TokenKind::GitlabPersonal => return Ok(IssuerAnswer::Disowned),
        (401, Body::Json(_)) => return Err(Unproven::Odd("unsupported_token_kind")),
        (200 | 401, body) => return Err(body.unproven()),
        _ => return Err(Unproven::Odd("unexpected_status")),
    };
    if want_owner {
        let decided = exchange.last.clone();
        let owner = match get(exchange, url(&["user"]), password).await {
            Ok(Seen { body: Body::Json(user), reply, .. }) if reply.status == http::StatusCode::OK => {
                user["username"].as_str().map(|name| exchange.redactor.show(name, NAME))
            }
            // Tokens with registry scopes alone may not ask who they are; the owner stays unknown.
            _ => None,
        };
        exchange.last = decided;
        facts.owner = owner;
    }
    Ok(IssuerAnswer::Alive(facts))
}

async fn get(exchange: &mut Exchange<'_>, url: Url, password: &Password) -> Result<Seen, Unproven> {
    let token = header(exchange, "", password)?;
    let mut ask = Ask::get(url, None);
    ask.auth = Some((http::HeaderName::from_static("private-token"), token));
    exchange.send(ask).await
}

fn facts(exchange: &Exchange<'_>, seen: &Seen, token: &serde_json::Map<String, Value>) -> TokenFacts {
    let scopes = token.get("scopes").and_then(Value::as_array).map(|scopes| {
        let mut scopes: Vec<String> = scopes
            .iter()
            .filter_map(Value::as_str)
            .take(SCOPES)
            .map(|scope| exchange.redactor.show(scope, NAME))
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    });
    let expiry = match token.get("expires_at") {
        Some(Value::Null) => Expiry::Never,
        Some(Value::String(date)) => match NaiveDate::parse_from_str(date, "%Y-%m-%d") {
            // It dies as that day begins, in UTC.
            Ok(date) => {
                let date = date.and_time(NaiveTime::MIN).and_utc();
                let answered = wait::server_date(&seen.reply.headers).unwrap_or_else(|| exchange.prober.clock.wall());
                if date <= answered { Expiry::Unreliable } else { Expiry::At(date) }
            }
            Err(_) => Expiry::NotTold,
        },
        _ => Expiry::NotTold,
    };
    TokenFacts { scopes, expiry, ..TokenFacts::default() }
}
