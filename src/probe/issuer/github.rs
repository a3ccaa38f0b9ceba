//! GitHub: expiry, scopes, owner and rate limit of a token.
//!
//! github.com and GHE.com are asked at `/rate_limit`, which costs nothing of the limit it tells; an Enterprise Server
//! at its API root, since `/rate_limit` is 404 there while limits are off.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use url::Url;

use super::{header, under};
use crate::credential::{Password, TokenKind};
use crate::plan::IssuerKind;
use crate::probe::client::Ask;
use crate::probe::evidence::{Expiry, IssuerAnswer, RateLimit, SsoAnswer, TokenFacts, Unproven};
use crate::probe::exchange::{Exchange, Seen};
use crate::probe::text::NAME;
use crate::probe::wire::oci::Body;
use crate::probe::wire::{expiry, scope_list, wait};

const EXPIRATION: &str = "github-authentication-token-expiration";
/// Requests an hour of somebody who is not authenticated.
const ANONYMOUS_LIMIT: u64 = 60;
/// The least wait after a secondary rate limit that names none (GitHub docs, "Rate limits for the REST API").
const SECONDARY_WAIT: Duration = Duration::from_secs(60);

pub(super) async fn ask(
    exchange: &mut Exchange<'_>,
    kind: IssuerKind,
    api: &Url,
    password: &Password,
    token: TokenKind,
    want_owner: bool,
) -> Result<IssuerAnswer, Unproven> {
    let server = kind == IssuerKind::GithubServer;
    let url = under(api, if server { &[""] } else { &["rate_limit"] });
    let seen = get(exchange, url, password).await?;
    let first = judge(exchange, &seen, token)?;
    let IssuerAnswer::Alive(mut facts) = first else { return Ok(first) };
    if facts.sso_required && seen.status() != 200 {
        return Ok(IssuerAnswer::Alive(facts));
    }
    let mut proven = true;
    if server {
        // The root answers anybody; only what it says of the token shows that it saw one.
        proven = facts.scopes.is_some() || seen.header(EXPIRATION).is_some();
    } else {
        let limit = core_limit(&seen.body).ok_or_else(|| seen.body.unproven())?;
        if limit.limit <= ANONYMOUS_LIMIT {
            exchange.explain("the answer is the one for nobody, as if the token had not been sent");
            return Err(Unproven::Odd("anonymous_limits"));
        }
        facts.rate_limit = Some(limit);
    }
    // What is left belongs to the owner's other tools; a name can wait.
    let nothing_left = facts.rate_limit.is_some_and(|limit| limit.remaining == 0);
    if proven && (!want_owner || nothing_left) {
        return Ok(IssuerAnswer::Alive(facts));
    }
    let decided = exchange.last.clone();
    let user = get(exchange, under(api, &["user"]), password).await;
    let owner = match &user {
        Ok(seen) if seen.status() == 200 => login_of(&seen.body),
        _ => None,
    };
    if proven {
        // The first answer stands; the owner is a name to show.
        exchange.last = decided;
        facts.owner = owner.map(|owner| exchange.redactor.show(owner, NAME));
        return Ok(IssuerAnswer::Alive(facts));
    }
    let seen = user?;
    let second = judge(exchange, &seen, token)?;
    match second {
        IssuerAnswer::Alive(second) => {
            let owner = login_of(&seen.body).map(|owner| exchange.redactor.show(owner, NAME));
            if owner.is_none() && seen.status() == 200 {
                return Err(seen.body.unproven());
            }
            Ok(IssuerAnswer::Alive(TokenFacts { owner, ..second }))
        }
        other => Ok(other),
    }
}

pub(super) async fn sso(
    exchange: &mut Exchange<'_>,
    api: &Url,
    password: &Password,
    organisation: &str,
) -> Result<SsoAnswer, Unproven> {
    if organisation.is_empty() || !organisation.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        exchange.explain("not the name of an organisation");
        return Err(Unproven::Odd("bad_name"));
    }
    let seen = get(exchange, under(api, &["orgs", organisation]), password).await?;
    match seen.status() {
        200 => Ok(SsoAnswer::NotDemanded),
        403 | 429 => match refusal(exchange, &seen)? {
            Refusal::Sso => Ok(SsoAnswer::Demanded),
            Refusal::Policy => Err(Unproven::Odd("policy")),
        },
        // 404 hides as well as it tells absence.
        _ => Err(seen.unproven().unwrap_or(Unproven::Odd("unexpected_status"))),
    }
}

async fn get(exchange: &mut Exchange<'_>, url: Url, password: &Password) -> Result<Seen, Unproven> {
    let authorization = header(exchange, "Bearer ", password)?;
    let ask = Ask {
        accept: http::HeaderValue::from_static("application/vnd.github+json"),
        ..Ask::get(url, Some(authorization))
    };
    exchange.send(ask).await
}

/// What one answer says of the token; the cross-checks of a 200 are the caller's.
fn judge(exchange: &mut Exchange<'_>, seen: &Seen, token: TokenKind) -> Result<IssuerAnswer, Unproven> {
    match seen.status() {
        200 if matches!(seen.body, Body::Json(Value::Object(_))) => {
            Ok(IssuerAnswer::Alive(facts(exchange, seen, token)))
        }
        401 if seen.header("x-github-otp").is_some_and(|otp| otp.starts_with("required")) => {
            Err(Unproven::Odd("otp_required"))
        }
        401 if message(&seen.body) == Some("Bad credentials") => Ok(IssuerAnswer::Disowned),
        401 if matches!(seen.body, Body::Json(_)) => Err(Unproven::Odd("unexpected_status")),
        200 | 401 => Err(seen.body.unproven()),
        403 | 429 => match refusal(exchange, seen)? {
            Refusal::Sso => {
                let mut facts = facts(exchange, seen, token);
                facts.sso_required = true;
                Ok(IssuerAnswer::Alive(facts))
            }
            Refusal::Policy => Ok(IssuerAnswer::ForbiddenByPolicy),
        },
        500.. => Err(Unproven::Odd("http_5xx")),
        _ => Err(Unproven::Odd("unexpected_status")),
    }
}

/// What a 403 says of a token that lives.
enum Refusal {
    Sso,
    Policy,
}

/// A 403 or 429 in the order in which its causes exclude each other.
fn refusal(exchange: &mut Exchange<'_>, seen: &Seen) -> Result<Refusal, Unproven> {
    let text = message(&seen.body).unwrap_or_default().to_lowercase();
    let page = match &seen.body {
        Body::Json(value) => value["documentation_url"].as_str().unwrap_or_default(),
        _ => "",
    };
    if seen.header("x-ratelimit-remaining").map(str::trim) == Some("0") {
        let reset = seen.header("x-ratelimit-reset").and_then(|text| text.trim().parse().ok());
        if exchange.last.retry_after.is_none() {
            exchange.last.retry_after = reset.and_then(timestamp).map(|reset| {
                let now = exchange.last.server_date.unwrap_or_else(|| exchange.prober.clock.wall());
                // A second more, since both times are cut to seconds.
                (reset - now)
                    .to_std()
                    .unwrap_or_default()
                    .saturating_add(Duration::from_secs(1))
                    .min(Duration::from_secs(86_400))
            });
        }
        // The primary limit is each user's own, whatever token is used; that of somebody unknown goes by address (GitHub
        // docs, "Rate limits for the REST API").
        let limit = seen.header("x-ratelimit-limit").and_then(|text| text.trim().parse::<u64>().ok());
        let of_an_owner = limit.is_none_or(|limit| limit > ANONYMOUS_LIMIT);
        return Err(if of_an_owner { Unproven::OwnerThrottled } else { Unproven::Throttled });
    }
    let secondary = ["secondary-rate-limits", "abuse-rate-limits"].iter().any(|mark| page.ends_with(mark))
        || text.contains("secondary rate limit")
        || text.contains("abuse detection");
    if secondary || seen.status() == 429 {
        exchange.last.retry_after.get_or_insert(SECONDARY_WAIT);
        return Err(Unproven::Throttled);
    }
    if seen.header("x-github-sso").is_some_and(|sso| sso.trim_start().starts_with("required")) {
        return Ok(Refusal::Sso);
    }
    if text.contains("number of login attempts exceeded") {
        return Err(Unproven::LockedOut);
    }
    if text.contains("forbids access via a") && text.contains("personal access token") {
        return Ok(Refusal::Policy);
    }
    if text.contains("rate limit") {
        return Err(Unproven::Throttled);
    }
    Err(match &seen.body {
        Body::Json(_) => Unproven::Odd("unexpected_status"),
        body => body.unproven(),
    })
}

fn facts(exchange: &Exchange<'_>, seen: &Seen, token: TokenKind) -> TokenFacts {
    let scopes = scope_list::parse(&seen.reply.headers)
        .map(|scopes| scopes.iter().map(|scope| exchange.redactor.show(scope, NAME)).collect::<Vec<_>>());
    let answered = wait::server_date(&seen.reply.headers).unwrap_or_else(|| exchange.prober.clock.wall());
    TokenFacts {
        owner: None,
        expiry: expiry_of(seen.header(EXPIRATION), answered, token, scopes.is_some()),
        scopes,
        sso_required: seen.header("x-github-sso").is_some(),
        sso_demanded_by: Vec::new(),
        rate_limit: header_limit(seen),
    }
}

/// The expiry that an answer of the time `answered` tells.
fn expiry_of(told: Option<&str>, answered: DateTime<Utc>, token: TokenKind, scopes_told: bool) -> Expiry {
    match told.map(str::trim) {
        // Only classic tokens are known to carry the header whenever they expire, and only an answer that tells their
        // scopes speaks of them at all.
        None if token == TokenKind::GithubClassic && scopes_told => Expiry::Never,
        None => Expiry::NotTold,
        Some(text) => match expiry::parse(text) {
            // A token that was just accepted has not expired; go-github issue 3708 saw such dates.
            Some(date) if date <= answered => Expiry::Unreliable,
            Some(date) => Expiry::At(date),
            None => Expiry::NotTold,
        },
    }
}

fn message(body: &Body) -> Option<&str> {
    let Body::Json(value) = body else { return None };
    value.get("message")?.as_str()
}

fn login_of(body: &Body) -> Option<&str> {
    let Body::Json(value) = body else { return None };
    value.get("login")?.as_str().filter(|login| !login.is_empty())
}

fn core_limit(body: &Body) -> Option<RateLimit> {
    let Body::Json(value) = body else { return None };
    let core = value.get("resources")?.get("core")?;
    Some(RateLimit {
        limit: core.get("limit")?.as_u64()?,
        remaining: core.get("remaining")?.as_u64()?,
        reset: timestamp(core.get("reset")?.as_i64()?)?,
    })
}

fn header_limit(seen: &Seen) -> Option<RateLimit> {
    let number = |name: &str| seen.header(name)?.trim().parse::<u64>().ok();
    Some(RateLimit {
        limit: number("x-ratelimit-limit")?,
        remaining: number("x-ratelimit-remaining")?,
        reset: timestamp(i64::try_from(number("x-ratelimit-reset")?).ok()?)?,
    })
}

fn timestamp(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}
