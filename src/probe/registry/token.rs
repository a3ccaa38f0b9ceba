//! Token services (distribution's "Token Authentication Specification"): a token for a login or for anyone.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use serde_json::Value;
use url::Url;

use super::bearer;
use crate::credential::{Password, Username};
use crate::probe::client::Ask;
use crate::probe::evidence::Unproven;
use crate::probe::exchange::{Exchange, Seen};
use crate::probe::wire::oci::Body;

/// A token that was handed out.
pub(super) struct Token {
    /// `Authorization` for the registry.
    pub(super) header: HeaderValue,
    /// The token itself says that it is for nobody: a JWT whose `sub` is empty ("This should be empty (`""`) if the
    /// client did not authenticate", distribution `docs/content/spec/auth/jwt.md`).
    pub(super) for_nobody: bool,
}

/// `Authorization: Basic` of a login.
pub(super) fn basic(username: &Username, password: &Password) -> Option<HeaderValue> {
    let mut pair = username.expose().to_vec();
    pair.push(b':');
    pair.extend_from_slice(password.expose());
    let encoded = STANDARD.encode(&pair);
    zeroize::Zeroize::zeroize(&mut pair);
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Ask the token service, for a scope where one is needed. A 200 must hold a token; everything else is the caller's to
/// judge.
pub(super) async fn request(
    exchange: &mut Exchange<'_>,
    realm: &Url,
    service: Option<&str>,
    scope: Option<&str>,
    authorization: Option<HeaderValue>,
) -> Result<Result<Token, Seen>, Unproven> {
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        if let Some(scope) = scope {
            query.append_pair("scope", scope);
        }
    }
    // An empty query would show as a lone question mark.
    if url.query() == Some("") {
        url.set_query(None);
    }
    let seen = exchange.send(Ask::get(url, authorization)).await?;
    if let Some(why) = seen.unproven() {
        return Err(why);
    }
    if seen.status() != 200 {
        return Ok(Err(seen));
    }
    let token = match &seen.body {
        Body::Json(value) => ["token", "access_token"]
            .iter()
            .find_map(|key| value.get(key)?.as_str().filter(|token| !token.is_empty()))
            .map(str::to_owned),
        _ => None,
    };
    let Some(token) = token else {
        exchange.explain("the token service answered 200 without a token");
        return Err(seen.body.unproven());
    };
    let for_nobody = is_for_nobody(&token);
    let Some(header) = bearer(exchange, &token) else {
        exchange.explain("the token service handed out a token that cannot be sent");
        return Err(Unproven::Odd("unexpected_json"));
    };
    Ok(Ok(Token { header, for_nobody }))
}

fn is_for_nobody(token: &str) -> bool {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let Ok(claims) = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')) else { return false };
    let Ok(claims) = serde_json::from_slice::<Value>(&claims) else { return false };
    claims.get("sub").and_then(Value::as_str) == Some("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("eyJhbGciOiJub25lIn0.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn only_an_empty_subject_is_nobody() {
        assert!(is_for_nobody(&jwt(r#"{"sub":"","access":[]}"#)));
        for someone in [r#"{"sub":"bot"}"#, "{}", r#"{"sub":null}"#, "[]", "garbage"] {
            assert!(!is_for_nobody(&jwt(someone)), "{someone}");
        }
        for opaque in ["", "abc", "a.b", "a.b.c", "a.b.c.d", "Z2hwXw=="] {
            assert!(!is_for_nobody(opaque), "{opaque}");
        }
    }

    #[test]
    fn basic_is_sensitive_and_takes_any_bytes() {
        let value = basic(&Username::new(b"us:er".to_vec()), &Password::new(vec![0, 10, 255])).unwrap();
        assert!(value.is_sensitive());
        assert_eq!(value.as_bytes(), b"Basic dXM6ZXI6AAr/");
        assert_eq!(format!("{value:?}"), "Sensitive");
    }

    #[test]
    fn long_passwords_are_not_wrapped() {
        let value = basic(&Username::new(b"u".to_vec()), &Password::new(vec![b'x'; 600])).unwrap();
        assert!(!value.as_bytes()[6..].iter().any(u8::is_ascii_whitespace));
    }
}
