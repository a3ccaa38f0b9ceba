//! What the tests of the prober share: registries and issuers that point into the simulated world.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use pull_patrol::credential::{Password, TokenKind, Username};
use pull_patrol::plan::{Issuer, IssuerKind, Registry};
use pull_patrol::probe::{Evidence, IssuerAnswer, LoginAnswer, Prober, Settings, Unproven};
use simulator::{TokenHandle, World};

/// Long enough for a loopback exchange on a busy machine.
pub(crate) const PATIENT: Duration = Duration::from_secs(10);
/// For exchanges that must run into their time-out.
pub(crate) const HASTY: Duration = Duration::from_millis(250);

pub(crate) fn prober() -> Prober {
    Prober::new(Settings::new(PATIENT))
}

pub(crate) fn hasty() -> Prober {
    Prober::new(Settings::new(HASTY))
}

/// A registry at a loopback URL.
pub(crate) fn registry(host: &str, url: &str) -> Registry {
    let authority = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    Registry {
        entry: host.into(),
        host: host.into(),
        endpoint: url.parse().unwrap(),
        allowed_hosts: vec![authority],
        issuer: None,
        plain_http: true,
        ca_file: None,
        allow_private_addresses: true,
        requests_per_second: 10_000.0,
        canary: Some(("acme/public".to_owned(), "latest".to_owned())),
    }
}

pub(crate) fn ghcr(world: &World) -> Registry {
    registry("ghcr.io", &world.ghcr_url())
}

pub(crate) fn issuer(kind: IssuerKind, api: &str) -> Issuer {
    Issuer { kind, api: Some(api.parse().unwrap()) }
}

pub(crate) fn user(name: &str) -> Username {
    Username::new(name.into())
}

pub(crate) fn pass(text: &str) -> Password {
    Password::new(text.into())
}

pub(crate) async fn login(prober: &Prober, registry: &Registry, name: &str, password: &str) -> Evidence<LoginAnswer> {
    prober.login(registry, &user(name), &pass(password)).await
}

pub(crate) async fn ask_github(
    prober: &Prober,
    world: &World,
    token: &TokenHandle,
    kind: TokenKind,
) -> Evidence<IssuerAnswer> {
    let issuer = issuer(IssuerKind::GithubCloud, &world.github_api_url());
    prober.issuer(&issuer, &ghcr(world), &pass(token.secret()), kind, false).await
}

/// What an answer of any kind says that proves nothing.
pub(crate) trait Proof {
    fn unproven(&self) -> Option<&Unproven>;
}

impl Proof for LoginAnswer {
    fn unproven(&self) -> Option<&Unproven> {
        if let Self::Unproven(why) = self { Some(why) } else { None }
    }
}

impl Proof for IssuerAnswer {
    fn unproven(&self) -> Option<&Unproven> {
        if let Self::Unproven(why) = self { Some(why) } else { None }
    }
}

impl Proof for pull_patrol::probe::AccessAnswer {
    fn unproven(&self) -> Option<&Unproven> {
        if let Self::Unproven(why) = self { Some(why) } else { None }
    }
}
