//! What a token or a login is to be: kind, owner, powers, text.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};

/// The kind of a token, which decides its text, its headers at the API and what the registry makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// `ghp_`, a personal access token (classic).
    Classic,
    /// `github_pat_`: the registry takes it as a login and refuses pulls of private packages.
    FineGrained,
    /// `ghs_` in the old form of 40 characters.
    AppInstallation,
    /// `ghs_APPID_JWT`, the form of about 520 characters that is rolled out since April 2026.
    AppInstallationStateless,
    /// `ghu_`
    AppUser,
    /// `gho_`
    OAuth,
    /// `ghr_`: no credential anywhere.
    Refresh,
    /// 40 hexadecimal digits.
    Legacy,
    /// The password of a GitHub account: refused everywhere, as GitHub does since 2020.
    AccountPassword,
    /// `glpat-`
    GitlabPersonal,
    /// `gldt-`: cannot ask for its own expiry.
    GitlabDeploy,
    /// A password of some other registry.
    Opaque,
}

/// What the header `GitHub-Authentication-Token-Expiration` tells.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ExpiryHeader {
    /// The real expiry in the form of the token's kind; absent without an expiry and for kinds that never carry it.
    #[default]
    Truthful,
    /// Never sent.
    Absent,
    /// About the current time in the owner's offset: the bug of google/go-github#3708.
    Now,
    /// This text.
    Literal(String),
}

/// What a token is to be. Build it with [`TokenSpec::classic`] and its like, then refine.
#[derive(Clone, Debug)]
pub struct TokenSpec {
    /// Login of the owner. At other registries it is the user name, which is checked there.
    pub owner: String,
    /// The kind.
    pub kind: TokenKind,
    /// `X-OAuth-Scopes`: `None` leaves the header out (and does not limit a classic token), an empty list sends it empty.
    pub scopes: Option<Vec<String>>,
    /// When it dies.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it may read of private packages: `org`, `org/image`, or `*`. Adds to the readers of the package.
    pub reads: Vec<String>,
    /// Organisations with SSO for which it is authorised.
    pub sso_authorized: BTreeSet<String>,
    /// What the expiry header tells.
    pub expiry_header: ExpiryHeader,
    /// The owner's offset from UTC in seconds, shown in the expiry header of all kinds but the classic.
    pub utc_offset_seconds: i32,
    /// Whether the API wants a second factor: 401 with `X-GitHub-OTP`.
    pub wants_second_factor: bool,
    pub(crate) text: Text,
}

#[derive(Clone)]
pub(crate) enum Text {
    Minted(String),
    Exact(String),
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl TokenSpec {
    /// A token without powers and without expiry.
    pub fn new(owner: impl Into<String>, kind: TokenKind) -> Self {
        Self {
            owner: owner.into(),
            kind,
            scopes: None,
            expires_at: None,
            reads: Vec::new(),
            sso_authorized: BTreeSet::new(),
            expiry_header: ExpiryHeader::Truthful,
            utc_offset_seconds: 2 * 3600,
            wants_second_factor: false,
            text: Text::Minted(String::new()),
        }
    }

    /// A classic PAT with the scope `read:packages`.
    pub fn classic(owner: impl Into<String>) -> Self {
        Self::new(owner, TokenKind::Classic).scopes(["read:packages"])
    }

    /// A fine-grained PAT.
    pub fn fine_grained(owner: impl Into<String>) -> Self {
        Self::new(owner, TokenKind::FineGrained)
    }

    /// An installation token of a GitHub App, whose user name is `x-access-token`.
    pub fn app_installation() -> Self {
        Self::new("x-access-token", TokenKind::AppInstallation)
    }

    /// An OAuth token such as that of the gh command line, without packages scopes.
    pub fn oauth(owner: impl Into<String>) -> Self {
        Self::new(owner, TokenKind::OAuth).scopes(["gist", "read:org", "repo", "workflow"])
    }

    /// A user name and password of some other registry.
    pub fn opaque(user: impl Into<String>) -> Self {
        Self::new(user, TokenKind::Opaque)
    }

    /// Sets the list of `X-OAuth-Scopes`; an empty list sends the header empty.
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Leaves `X-OAuth-Scopes` out.
    #[must_use]
    pub fn without_scopes_header(mut self) -> Self {
        self.scopes = None;
        self
    }

    /// Sets the expiry.
    #[must_use]
    pub fn expires_at(mut self, at: DateTime<Utc>) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Lets it read a private package (`org/image`), all of an organisation (`org`), or everything (`*`).
    #[must_use]
    pub fn reads(mut self, what: impl Into<String>) -> Self {
        self.reads.push(what.into());
        self
    }

    /// Authorises it for an organisation with SSO.
    #[must_use]
    pub fn sso_authorized(mut self, organisation: impl Into<String>) -> Self {
        self.sso_authorized.insert(organisation.into());
        self
    }

    /// Sets what the expiry header tells.
    #[must_use]
    pub fn expiry_header(mut self, header: ExpiryHeader) -> Self {
        self.expiry_header = header;
        self
    }

    /// Lets the API demand a second factor of it.
    #[must_use]
    pub fn wants_second_factor(mut self) -> Self {
        self.wants_second_factor = true;
        self
    }

    /// Puts a recognisable marker (letters and digits) into the generated text.
    #[must_use]
    pub fn marker(mut self, marker: impl Into<String>) -> Self {
        self.text = Text::Minted(marker.into());
        self
    }

    /// Uses exactly this text instead of a generated one.
    #[must_use]
    pub fn secret_text(mut self, text: impl Into<String>) -> Self {
        self.text = Text::Exact(text.into());
        self
    }
}
