//! What the `Authorization` of a request says, and the bearer tokens that the world issues.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};

use crate::host::Home;
use crate::log::{Presented, SecretRef};
use crate::rng;
use crate::state::State;
use crate::tokens::TokenId;
use crate::wire::Request;

/// Issued bearers that are remembered for leak tests.
const REMEMBERED: usize = 10_000;
/// How long an issued bearer works, in seconds.
const BEARER_LIFETIME: i64 = 300;

/// The credential of a request, raw. Without `Debug` on purpose.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    None,
    Basic { user: String, password: String },
    Bearer(String),
    Other,
}

pub(crate) fn credential(request: &Request) -> Credential {
    if let Some(token) = request.header("private-token") {
        return Credential::Bearer(token.to_owned());
    }
    let Some(value) = request.headers.get("authorization") else { return Credential::None };
    let Ok(value) = value.to_str() else { return Credential::Other };
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => decode_pair(rest).map_or(Credential::Other, |(user, password)| Credential::Basic { user, password }),
        "bearer" | "token" => Credential::Bearer(rest.trim().to_owned()),
        _ => Credential::Other,
    }
}

fn decode_pair(text: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// A bearer that the world issued.
#[derive(Debug)]
pub(crate) struct Session {
    home: Home,
    pub(crate) token: Option<TokenId>,
    /// Repositories it may pull.
    pub(crate) grants: Vec<String>,
    until: DateTime<Utc>,
}

/// Who stands behind a bearer at a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// Nothing after the scheme.
    Empty,
    /// A living token of the world, through an issued bearer or as base64 of itself.
    Token(TokenId),
    /// Issued to nobody.
    Anonymous,
    /// Base64 of anything: ghcr.io takes it for public content.
    Noise,
    /// Expired, issued to a dead token, or no base64.
    Refused,
}

impl State {
    /// Issues a bearer.
    pub(crate) fn issue(
        &mut self,
        home: Home,
        token: Option<TokenId>,
        grants: Vec<String>,
        literal: Option<String>,
    ) -> String {
        let now = self.now();
        let text = literal.unwrap_or_else(|| {
            let noise: Vec<u8> = (0..6).flat_map(|_| self.rng.next().to_le_bytes()).collect();
            STANDARD.encode(noise)
        });
        if self.sessions.len() >= 4096 {
            self.sessions.retain(|_, session| session.until > now);
        }
        let until = now + TimeDelta::seconds(BEARER_LIFETIME);
        self.sessions.insert(text.clone(), Session { home, token, grants, until });
        if self.issued.len() >= REMEMBERED {
            self.issued.pop_front();
        }
        self.issued.push_back(text.clone());
        text
    }

    pub(crate) fn session(&self, home: Home, bearer: &str) -> Option<&Session> {
        self.sessions.get(bearer).filter(|session| session.home == home && session.until > self.now())
    }

    pub(crate) fn bearer(&self, home: Home, text: &str) -> Bearer {
        let now = self.now();
        let living = |id: TokenId| match self.token(id) {
            Some(token) if token.alive(now) => Bearer::Token(id),
            _ => Bearer::Refused,
        };
        if text.is_empty() {
            return Bearer::Empty;
        }
        if let Some(session) = self.session(home, text) {
            return session.token.map_or(Bearer::Anonymous, living);
        }
        if self.sessions.contains_key(text) {
            return Bearer::Refused;
        }
        match STANDARD.decode(text) {
            Ok(_) => self.encoded_token(home, text).map_or(Bearer::Noise, living),
            Err(_) => Bearer::Refused,
        }
    }

    /// The token of which the text is the base64, with or without a user name before it.
    fn encoded_token(&self, home: Home, text: &str) -> Option<TokenId> {
        let decoded = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let password = decoded.split_once(':').map_or(decoded.as_str(), |(_, password)| password);
        self.find_token(home, password)
    }

    /// What the log says of a credential.
    pub(crate) fn presented(&self, home: Home, credential: &Credential) -> Presented {
        let name = |secret: &str| match self.name_token(home, secret) {
            _ if secret.is_empty() => SecretRef::Empty,
            Some(id) => SecretRef::Known(id),
            None => SecretRef::Unknown(rng::hash(self.seed, &[secret.as_bytes()])),
        };
        match credential {
            Credential::None => Presented::None,
            Credential::Other => Presented::Other,
            Credential::Basic { user, password } => {
                let user = if self.token_ids.contains_key(user.as_str()) { "[token]" } else { user };
                Presented::Basic { user: user.to_owned(), secret: name(password) }
            }
            Credential::Bearer(text) => {
                if let Some(session) = self.sessions.get(text) {
                    let secret = session.token.map_or(SecretRef::Anonymous, SecretRef::Known);
                    return Presented::Bearer { secret, issued: true };
                }
                let secret = self.encoded_token(home, text).map_or_else(|| name(text), SecretRef::Known);
                Presented::Bearer { secret, issued: false }
            }
        }
    }
}
