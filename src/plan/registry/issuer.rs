//! Whom to ask about a token.

use url::Url;

use super::host::{authority, split_port};
use crate::credential::TokenKind;

/// Whom to ask about a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Issuer {
    /// What kind of API it is.
    pub kind: IssuerKind,
    /// Base URL of its API without a slash at the end of a path (`https://api.github.com`,
    /// `https://ghes.example.com/api/v3`, `https://gitlab.com/api/v4`); `None` where the token itself tells (ECR, JWT).
    pub api: Option<Url>,
}

/// What kind of issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IssuerKind {
    /// api.github.com and api.SUBDOMAIN.ghe.com: `GET /rate_limit`.
    GithubCloud,
    /// A GitHub Enterprise Server: `GET /api/v3/`.
    GithubServer,
    /// GitLab.
    Gitlab,
    /// The password tells its own expiry.
    SelfDescribed,
}

impl Issuer {
    /// Whether it is GitHub in any form.
    pub fn is_github(&self) -> bool {
        matches!(self.kind, IssuerKind::GithubCloud | IssuerKind::GithubServer)
    }

    /// Whether it can be asked about a token of this kind over the network. A password whose kind does not say that the
    /// issuer made it may open something else, so it is not sent there. Installation tokens of a GitHub App live an
    /// hour and refresh tokens are no tokens for an API: GitHub tells nothing of either that a patrol needs.
    pub fn knows(&self, kind: TokenKind) -> bool {
        self.api.is_some()
            && match self.kind {
                IssuerKind::GithubCloud | IssuerKind::GithubServer => matches!(
                    kind,
                    TokenKind::GithubClassic
                        | TokenKind::GithubFineGrained
                        | TokenKind::GithubOauth
                        | TokenKind::GithubAppUser
                        | TokenKind::GithubLegacy
                ),
                // A deploy token cannot ask about itself (GitLab docs, personal access tokens API, "self").
                IssuerKind::Gitlab => kind == TokenKind::GitlabPersonal,
                IssuerKind::SelfDescribed => false,
            }
    }

    /// Host of its API as URLs write it (a default port is left out); `None` where the token itself tells.
    pub fn authority(&self) -> Option<String> {
        self.api.as_ref().map(authority)
    }

    pub(super) fn self_described() -> Self {
        Self { kind: IssuerKind::SelfDescribed, api: None }
    }

    /// GitHub, where `api` or the host tells which: the hosts are those of GitHub's docs ("Enabling subdomain
    /// isolation", "Feature overview for GitHub Enterprise Cloud with data residency").
    pub(super) fn github(host: &str, api: Option<&Url>) -> Option<Self> {
        if let Some(api) = api {
            let server = api.path().ends_with("/api/v3");
            let kind = if server { IssuerKind::GithubServer } else { IssuerKind::GithubCloud };
            return Some(Self { kind, api: Some(api.clone()) });
        }
        if host == "ghcr.io" {
            return Some(Self::at(IssuerKind::GithubCloud, "https://api.github.com"));
        }
        // A registry on a port of its own does not tell the port of the API.
        let site = host.strip_prefix("containers.").filter(|site| !site.contains(':'))?;
        Some(if site.ends_with(".ghe.com") {
            Self::at(IssuerKind::GithubCloud, &format!("https://api.{site}"))
        } else {
            Self::at(IssuerKind::GithubServer, &format!("https://{site}/api/v3"))
        })
    }

    /// GitLab: its registry lives at `registry.SITE`, or at a port of the site (GitLab docs, container registry
    /// administration).
    pub(super) fn gitlab(host: &str, api: Option<&Url>) -> Option<Self> {
        let base = if let Some(api) = api {
            api.as_str().trim_end_matches('/').to_owned()
        } else {
            let (name, _) = split_port(host);
            format!("https://{}", name.strip_prefix("registry.").unwrap_or(name))
        };
        let base = base.strip_suffix("/api/v4").unwrap_or(&base);
        Url::parse(&format!("{base}/api/v4")).ok().map(|api| Self { kind: IssuerKind::Gitlab, api: Some(api) })
    }

    /// What host and configured API tell by themselves.
    pub(super) fn by_host(host: &str, api: Option<&Url>) -> Self {
        let labels: Vec<&str> = host.split('.').collect();
        let told = match labels.as_slice() {
            ["ghcr", "io"] | ["containers", _, "ghe", "com"] => Self::github(host, api),
            ["registry", "gitlab", "com"] => Self::gitlab(host, api),
            _ => match api.map(Url::path) {
                Some(path) if path.ends_with("/api/v4") => Self::gitlab(host, api),
                Some(path) if path.ends_with("/api/v3") => Self::github(host, api),
                // ECR (`*.dkr.ecr.*.amazonaws.com`) and ACR (`*.azurecr.io`) are among those whose passwords tell.
                _ => None,
            },
        };
        told.unwrap_or_else(Self::self_described)
    }

    fn at(kind: IssuerKind, api: &str) -> Self {
        Self { kind, api: Url::parse(api).ok() }
    }
}
