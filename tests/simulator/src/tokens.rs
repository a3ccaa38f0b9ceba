//! Tokens and logins while the world runs: their handles, their state, finding them by their text.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};

use crate::host::Home;
use crate::state::{Shared, State};
use crate::token_spec::{ExpiryHeader, Text, TokenKind, TokenSpec};

/// Number of a token in its world: how the request log names a credential without showing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(pub(crate) usize);

/// A token that the world knows. Clones name the same token; `Debug` never shows its text.
#[derive(Clone)]
pub struct TokenHandle {
    pub(crate) id: TokenId,
    pub(crate) secret: Arc<str>,
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for TokenHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenHandle").field(&self.id).finish()
    }
}

impl TokenHandle {
    /// How the request log names it.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// The text that goes into a Secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Revokes it: from now on indistinguishable from a token that never was.
    pub fn revoke(&self) {
        self.change(|token| token.revoked = true);
    }

    /// Takes a revocation back.
    pub fn restore(&self) {
        self.change(|token| token.revoked = false);
    }

    /// Lets it expire at the world's present time.
    pub fn expire(&self) {
        let mut state = self.shared.lock();
        let now = state.now();
        if let Some(token) = state.token_mut(self.id) {
            token.spec.expires_at = Some(now);
        }
    }

    /// Moves or removes its expiry.
    pub fn set_expires_at(&self, at: Option<DateTime<Utc>>) {
        self.change(|token| token.spec.expires_at = at);
    }

    /// Replaces its scopes; `None` leaves the header out.
    pub fn set_scopes(&self, scopes: Option<&[&str]>) {
        self.change(|token| token.spec.scopes = scopes.map(|list| list.iter().map(ToString::to_string).collect()));
    }

    /// Replaces what it may read.
    pub fn set_reads(&self, reads: &[&str]) {
        self.change(|token| token.spec.reads = reads.iter().map(ToString::to_string).collect());
    }

    /// Sets what its expiry header tells.
    pub fn set_expiry_header(&self, header: ExpiryHeader) {
        self.change(|token| token.spec.expiry_header = header);
    }

    /// Authorises it for an organisation with SSO, or takes that back.
    pub fn set_sso_authorized(&self, organisation: &str, authorized: bool) {
        self.change(|token| {
            if authorized {
                token.spec.sso_authorized.insert(organisation.to_owned());
            } else {
                token.spec.sso_authorized.remove(organisation);
            }
        });
    }

    /// Revokes it and returns a fresh token with the same owner, powers and expiry.
    #[must_use = "the fresh token is the one that works"]
    pub fn rotate(&self) -> TokenHandle {
        let mut state = self.shared.lock();
        let fresh = state.token_mut(self.id).map(|token| {
            token.revoked = true;
            (token.home, TokenSpec { text: Text::Minted(String::new()), ..token.spec.clone() })
        });
        let Some((home, spec)) = fresh else { return self.clone() };
        let (id, secret) = state.add_token(home, spec);
        TokenHandle { id, secret, shared: Arc::clone(&self.shared) }
    }

    fn change(&self, change: impl FnOnce(&mut Token)) {
        if let Some(token) = self.shared.lock().token_mut(self.id) {
            change(token);
        }
    }
}

/// A token as the world keeps it.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) home: Home,
    pub(crate) spec: TokenSpec,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) revoked: bool,
}

impl Token {
    pub(crate) fn alive(&self, now: DateTime<Utc>) -> bool {
        let credential = !matches!(self.spec.kind, TokenKind::Refresh | TokenKind::AccountPassword);
        credential && !self.revoked && self.spec.expires_at.is_none_or(|at| at > now)
    }

    /// Whether its scopes allow reading packages: `write:packages` implies it, `repo` does not.
    pub(crate) fn may_read_packages(&self) -> bool {
        let suffices = |scope: &String| matches!(scope.as_str(), "read:packages" | "write:packages");
        self.spec.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(suffices))
    }

    pub(crate) fn reads(&self, package: &str) -> bool {
        let organisation = package.split('/').next().unwrap_or_default();
        self.spec.reads.iter().any(|what| what == "*" || what == package || what == organisation)
    }

    /// Whether an organisation's maximum lifetime in days forbids it.
    pub(crate) fn outlives(&self, days: i64) -> bool {
        self.spec.expires_at.is_none_or(|at| at - self.created_at > TimeDelta::days(days))
    }

    /// The text of the expiry header.
    pub(crate) fn expiry_header(&self, now: DateTime<Utc>) -> Option<String> {
        let offset = FixedOffset::east_opt(self.spec.utc_offset_seconds).or_else(|| FixedOffset::east_opt(0))?;
        let local = |at: DateTime<Utc>| at.with_timezone(&offset).format("%Y-%m-%d %H:%M:%S %z").to_string();
        match &self.spec.expiry_header {
            ExpiryHeader::Absent => None,
            ExpiryHeader::Literal(text) => Some(text.clone()),
            ExpiryHeader::Now => Some(local(now)),
            ExpiryHeader::Truthful => match self.spec.kind {
                TokenKind::Classic | TokenKind::Legacy => {
                    self.spec.expires_at.map(|at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string())
                }
                TokenKind::FineGrained => self.spec.expires_at.map(local),
                _ => None,
            },
        }
    }
}

impl State {
    pub(crate) fn add_token(&mut self, home: Home, spec: TokenSpec) -> (TokenId, Arc<str>) {
        let secret: Arc<str> = match &spec.text {
            Text::Exact(text) => Arc::from(text.as_str()),
            Text::Minted(marker) => Arc::from(crate::mint::mint(spec.kind, marker, &mut self.rng)),
        };
        let id = TokenId(self.tokens.len());
        self.tokens.push(Token { home, created_at: self.now(), spec, revoked: false });
        self.token_ids.entry(Arc::clone(&secret)).or_default().push(id);
        (id, secret)
    }

    pub(crate) fn token(&self, id: TokenId) -> Option<&Token> {
        self.tokens.get(id.0)
    }

    pub(crate) fn token_mut(&mut self, id: TokenId) -> Option<&mut Token> {
        self.tokens.get_mut(id.0)
    }

    /// The newest token with that text at that home.
    pub(crate) fn find_token(&self, home: Home, secret: &str) -> Option<TokenId> {
        let ids = self.token_ids.get(secret)?;
        ids.iter().rev().copied().find(|id| self.token(*id).is_some_and(|token| token.home == home))
    }

    /// The same, or else a token with that text anywhere: what the log calls it.
    pub(crate) fn name_token(&self, home: Home, secret: &str) -> Option<TokenId> {
        self.find_token(home, secret).or_else(|| self.token_ids.get(secret)?.last().copied())
    }
}
