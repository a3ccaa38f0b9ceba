//! Entries of the config, read and checked.

use std::path::PathBuf;

use url::Url;

use super::host::{HostPattern, authority, canonical, split_port};
use super::issuer::{Issuer, IssuerKind};
use crate::config::{IssuerChoice, RegistryConfig};
use crate::credential::parse_image;

/// One entry of `registries`, or a built-in one.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Which hosts it means.
    pub(super) pattern: HostPattern,
    /// Who issued the tokens.
    pub(super) issuer: IssuerChoice,
    /// The issuer's API.
    pub(super) api: Option<Url>,
    /// Where the registry is asked instead.
    pub(super) endpoint: Option<Url>,
    /// Further hosts, as URLs write them.
    pub(super) realms: Vec<String>,
    /// As in the config.
    pub(super) plain_http: bool,
    /// As in the config.
    pub(super) ca_file: Option<PathBuf>,
    /// As in the config.
    pub(super) allow_private_addresses: bool,
    /// As in the config.
    pub(super) requests_per_second: f64,
    /// Path and reference.
    pub(super) canary: Option<(String, String)>,
}

impl Rule {
    /// Read an entry; an error says what is wrong and what to do.
    pub(super) fn new(entry: &RegistryConfig) -> Result<Self, String> {
        let pattern = HostPattern::parse(&entry.host)?;
        let endpoint =
            entry.endpoint.as_deref().map(|text| base_url("endpoint", text, entry.plain_http)).transpose()?;
        if endpoint.as_ref().is_some_and(|url| url.path() != "/") {
            return Err("endpoint: a registry serves its API at /v2/ of a host; leave out the path".to_owned());
        }
        let api = entry.api.as_deref().map(|text| base_url("api", text, entry.plain_http)).transpose()?;
        check_issuer(entry.issuer, &entry.host, api.as_ref())?;
        let mut realms = Vec::new();
        for realm in &entry.realms {
            realms.extend(realm_hosts(realm, entry.plain_http)?);
        }
        if !(entry.requests_per_second.is_finite() && entry.requests_per_second > 0.0) {
            return Err("requestsPerSecond must be a number above 0".to_owned());
        }
        Ok(Self {
            canary: entry.canary.as_deref().map(|text| canary(text, &pattern)).transpose()?,
            pattern,
            issuer: entry.issuer,
            api,
            endpoint,
            realms,
            plain_http: entry.plain_http,
            ca_file: entry.ca_file.clone(),
            allow_private_addresses: entry.allow_private_addresses,
            requests_per_second: entry.requests_per_second,
        })
    }

    /// The registries of GitHub.
    pub(super) fn built_in() -> [Self; 2] {
        let labels = ["containers", "*", "ghe", "com"].map(str::to_owned).to_vec();
        [HostPattern::Exact("ghcr.io".to_owned()), HostPattern::Glob { labels, port: None }].map(|pattern| Self {
            pattern,
            issuer: IssuerChoice::Github,
            api: None,
            endpoint: None,
            realms: Vec::new(),
            plain_http: false,
            ca_file: None,
            allow_private_addresses: false,
            requests_per_second: 5.0,
            canary: None,
        })
    }
}

/// A base URL of the config, without a slash at the end of its path.
fn base_url(field: &str, text: &str, plain_http: bool) -> Result<Url, String> {
    let mut url = Url::parse(text)
        .map_err(|why| format!("{field} is no URL ({why}); write it like https://registry.example.com"))?;
    match url.scheme() {
        "https" => {}
        "http" if plain_http => {}
        "http" => return Err(format!("{field} is http://; use https:// or set plainHttp: true")),
        _ => return Err(format!("{field} must start with https:// (or http:// with plainHttp: true)")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("{field} names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{field} holds a user name or a password; leave them out"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{field} has a query or a fragment; leave it out"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Whether issuer, host and API fit together.
fn check_issuer(issuer: IssuerChoice, host: &str, api: Option<&Url>) -> Result<(), String> {
    let host = host.to_ascii_lowercase();
    match (issuer, api) {
        (IssuerChoice::None, Some(_)) => {
            Err("api is set, but no issuer; set issuer: github or gitlab, or leave out api".to_owned())
        }
        (IssuerChoice::Ecr | IssuerChoice::Jwt, Some(_)) => {
            Err("api is set, but such a password tells its own expiry; leave out api".to_owned())
        }
        (IssuerChoice::Github, None) if Issuer::github(&host, None).is_none() => {
            Err("the host does not tell where GitHub's API is; set api, such as https://github.example.com/api/v3"
                .to_owned())
        }
        (IssuerChoice::Gitlab, None) if host.contains('*') => {
            Err("a glob does not tell where GitLab's API is; set api, such as https://gitlab.example.com".to_owned())
        }
        (IssuerChoice::Auto, Some(api)) if Issuer::by_host(&host, Some(api)).kind == IssuerKind::SelfDescribed => {
            Err("neither host nor api tells the kind of the issuer; set issuer: github or gitlab".to_owned())
        }
        _ => Ok(()),
    }
}

/// A host of `realms` as URLs write it. With `plainHttp` port 80 is a default port too.
fn realm_hosts(realm: &str, plain_http: bool) -> Result<Vec<String>, String> {
    let wrong = || format!("realms: {realm:?} is no host[:port]; write it like auth.example.com");
    let lower = realm.to_ascii_lowercase();
    // Docker Hub's names are one as registries, but not as realms, so that the text is kept.
    canonical(realm).ok_or_else(wrong)?;
    if lower.ends_with(':') {
        return Err(wrong());
    }
    let mut hosts = vec![authority(&Url::parse(&format!("https://{lower}")).map_err(|_| wrong())?)];
    let (name, port) = split_port(&lower);
    if plain_http && port == Some("80") {
        hosts.push(name.to_owned());
    }
    Ok(hosts)
}

/// Path and reference of a public repository, read as the kubelet reads an image of that registry.
fn canary(text: &str, pattern: &HostPattern) -> Result<(String, String), String> {
    let host = match pattern {
        HostPattern::Exact(host) => host.as_str(),
        HostPattern::Glob { .. } => "registry.invalid",
    };
    if text.strip_prefix(host).is_some_and(|rest| rest.starts_with('/')) {
        return Err("canary names the host again; write org/image or org/image:tag".to_owned());
    }
    let image = parse_image(&format!("{host}/{text}"))
        .map_err(|why| format!("canary {text:?} is no repository ({why}); write org/image or org/image:tag"))?;
    Ok((image.path().to_owned(), image.reference().to_owned()))
}
