//! The web config file: the schema of the Prometheus exporter-toolkit (`docs/web-configuration.md` there), so that one file
//! and one way of checking it (`promtool check web-config`) serve all exporters.
//!
//! Values that are not supported are refused with their key rather than passed over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use super::load::{ConfigError, in_our_words};

/// How the web port is secured. [`WebConfig::default`] is plain HTTP for everybody.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// TLS; absent: plain HTTP.
    pub tls_server_config: Option<TlsServerConfig>,
    /// HTTP.
    #[serde(deserialize_with = "super::or_default")]
    pub http_server_config: HttpServerConfig,
    /// Users and the bcrypt hashes of their passwords; empty: everybody.
    #[serde(deserialize_with = "super::or_default")]
    pub basic_auth_users: BTreeMap<String, BcryptHash>,
}

/// `tls_server_config`. Certificate and key come from files or stand in the text.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct TlsServerConfig {
    /// PEM file with the chain; relative to the folder of the web config file.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the private key.
    pub key_file: Option<PathBuf>,
    /// The chain itself.
    pub cert: Option<String>,
    /// The private key itself.
    pub key: Option<SecretString>,
    /// What is demanded of clients.
    #[serde(deserialize_with = "super::or_default")]
    pub client_auth_type: ClientAuth,
    /// PEM file with the anchors for certificates of clients.
    pub client_ca_file: Option<PathBuf>,
    /// The anchors themselves.
    pub client_ca: Option<String>,
    /// DNS names and IP addresses, one of which a client's certificate must be for; empty: any.
    #[serde(deserialize_with = "super::or_default")]
    pub client_allowed_sans: Vec<String>,
    /// The lowest version.
    #[serde(deserialize_with = "super::or_default")]
    pub min_version: MinVersion,
    /// The highest version.
    #[serde(deserialize_with = "super::or_default")]
    pub max_version: MaxVersion,
    /// Suites of TLS 1.2 by Go's names; empty: all safe ones. Those of TLS 1.3 cannot be chosen.
    #[serde(deserialize_with = "super::or_default")]
    pub cipher_suites: Vec<String>,
    /// Whether our order of suites goes before the client's. No longer means anything in Go.
    pub prefer_server_cipher_suites: Option<bool>,
    /// Groups for the key exchange by Go's names, in order; empty: the usual ones.
    #[serde(deserialize_with = "super::or_default")]
    pub curve_preferences: Vec<String>,
}

/// What is demanded of clients.
#[derive(Clone, Copy, Debug, Deserialize, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate is asked for.
    #[default]
    NoClientCert,
    /// One that is shown must hold.
    VerifyClientCertIfGiven,
    /// One that holds must be shown.
    RequireAndVerifyClientCert,
    /// One is asked for and not looked at: refused here, since it secures nothing.
    RequestClientCert,
    /// One must be shown, whatever it is: refused here as well.
    RequireAnyClientCert,
}

/// `min_version`.
#[derive(Clone, Copy, Debug, Deserialize, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2.
    #[default]
    TLS12,
    /// TLS 1.3.
    TLS13,
}

/// `max_version`.
#[derive(Clone, Copy, Debug, Deserialize, Default, PartialEq, Eq)]
pub enum MaxVersion {
    /// TLS 1.2.
    TLS12,
    /// TLS 1.3.
    #[default]
    TLS13,
}

/// `http_server_config`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct HttpServerConfig {
    /// Whether HTTP/2 is offered. It needs TLS.
    pub http2: bool,
    /// Headers of every answer.
    #[serde(deserialize_with = "super::or_default")]
    pub headers: BTreeMap<String, String>,
}

impl Default for HttpServerConfig {
    fn default() -> Self {
        Self { http2: true, headers: BTreeMap::new() }
    }
}

/// Headers that may be set (exporter-toolkit, `web/handler.go`).
const HEADERS: [&str; 5] = [
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
    "Content-Security-Policy",
];
/// Work of a hash, as a power of two: 2^14 takes a second.
const COSTS: std::ops::RangeInclusive<u32> = 4..=14;
/// Characters of a bcrypt hash.
const HASH_LENGTH: usize = 60;

/// A bcrypt hash. It is no password, but lets one be guessed, so it does not print.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct BcryptHash(String);

impl BcryptHash {
    /// The text, to check a password against.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The work that it takes; `None` where this is no bcrypt hash.
    fn cost(&self) -> Option<u32> {
        let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|version| self.0.strip_prefix(version))?;
        let (cost, rest) = rest.split_once('$')?;
        let is_ours = |c: u8| c.is_ascii_alphanumeric() || c == b'.' || c == b'/';
        let is_hash = self.0.len() == HASH_LENGTH && cost.len() == 2 && rest.bytes().all(is_ours);
        is_hash.then(|| cost.parse().ok()).flatten()
    }
}

impl std::fmt::Debug for BcryptHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BcryptHash([redacted])")
    }
}

impl WebConfig {
    /// Read and check a file. Paths in it are made relative to its folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Parse and check; `path` is for messages and for the paths in it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let no_content = text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#'));
        let mut config: Self = if no_content {
            Self::default()
        } else {
            let options = serde_saphyr::options! { with_snippet: false };
            serde_saphyr::from_str_with_options(text, options).map_err(|error| ConfigError::Parse {
                path: path.to_owned(),
                message: in_our_words(&error.to_string()),
            })?
        };
        config.check().map_err(|(key, message)| ConfigError::Value {
            path: path.to_owned(),
            key: key.to_owned(),
            message,
        })?;
        if let Some(tls) = &mut config.tls_server_config {
            let folder = path.parent().unwrap_or(Path::new(""));
            for file in [&mut tls.cert_file, &mut tls.key_file, &mut tls.client_ca_file].into_iter().flatten() {
                *file = folder.join(&*file);
            }
        }
        Ok(config)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        let refuse = |key, message: &str| Err((key, message.to_owned()));
        for (user, hash) in &self.basic_auth_users {
            match hash.cost() {
                Some(cost) if COSTS.contains(&cost) => {}
                Some(_) => {
                    let message = format!(
                        "the hash of {user:?} must have a cost from 4 to 14; make it with `htpasswd -nBC 10 USER`"
                    );
                    return Err(("basic_auth_users", message));
                }
                None => {
                    let message = format!("{user:?} has no bcrypt hash; make one with `htpasswd -nBC 10 USER`");
                    return Err(("basic_auth_users", message));
                }
            }
            if user.contains(':') {
                return refuse("basic_auth_users", "a user name cannot hold a colon");
            }
        }
        for (name, value) in &self.http_server_config.headers {
            if !HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                return Err((
                    "http_server_config.headers",
                    format!("{name:?} cannot be set; these can: {}", HEADERS.join(", ")),
                ));
            }
            if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
                return Err((
                    "http_server_config.headers",
                    format!("the value of {name:?} must be plain text of one line"),
                ));
            }
        }
        let Some(tls) = &self.tls_server_config else { return Ok(()) };
        if tls.cert_file.is_some() == tls.cert.is_some() {
            return refuse("tls_server_config.cert_file", "name the certificate in one of cert_file and cert");
        }
        if tls.key_file.is_some() == tls.key.is_some() {
            return refuse("tls_server_config.key_file", "name the key in one of key_file and key");
        }
        if tls.client_ca_file.is_some() && tls.client_ca.is_some() {
            return refuse("tls_server_config.client_ca", "name the client CA in one of client_ca_file and client_ca");
        }
        let has_ca = tls.client_ca_file.is_some() || tls.client_ca.is_some();
        match tls.client_auth_type {
            ClientAuth::RequestClientCert | ClientAuth::RequireAnyClientCert => refuse(
                "tls_server_config.client_auth_type",
                "this asks for a certificate that nobody verifies; write RequireAndVerifyClientCert or VerifyClientCertIfGiven",
            ),
            ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert if !has_ca => refuse(
                "tls_server_config.client_ca_file",
                "client_auth_type verifies certificates of clients, so it needs a client CA",
            ),
            ClientAuth::NoClientCert if has_ca => refuse(
                "tls_server_config.client_auth_type",
                "a client CA is of use with RequireAndVerifyClientCert or VerifyClientCertIfGiven only",
            ),
            ClientAuth::NoClientCert | ClientAuth::VerifyClientCertIfGiven if !tls.client_allowed_sans.is_empty() => {
                refuse(
                    "tls_server_config.client_allowed_sans",
                    "this needs client_auth_type: RequireAndVerifyClientCert",
                )
            }
            _ if (tls.min_version, tls.max_version) == (MinVersion::TLS13, MaxVersion::TLS12) => {
                refuse("tls_server_config.min_version", "is above max_version")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HASH: &str = "$2y$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234";

    fn read(text: &str) -> Result<WebConfig, ConfigError> {
        WebConfig::parse(&text.replace("HASH", HASH), Path::new("/etc/web/web.yml"))
    }

    #[test]
    fn a_full_file() {
        let config = read(
            "tls_server_config:\n  cert_file: tls.crt\n  key_file: /keys/tls.key\n  client_auth_type: RequireAndVerifyClientCert\n  \
             client_ca_file: ca.crt\n  client_allowed_sans: [prometheus.monitoring.svc]\n  min_version: TLS13\n\
             http_server_config:\n  http2: false\n  headers: {x-frame-options: deny}\nbasic_auth_users:\n  alice: HASH\n",
        )
        .unwrap();
        let tls = config.tls_server_config.clone().unwrap();
        assert_eq!(tls.cert_file.as_deref(), Some(Path::new("/etc/web/tls.crt")), "beside the file");
        assert_eq!(tls.key_file.as_deref(), Some(Path::new("/keys/tls.key")));
        assert_eq!(
            (tls.client_auth_type, tls.min_version),
            (ClientAuth::RequireAndVerifyClientCert, MinVersion::TLS13)
        );
        assert!(!config.http_server_config.http2);
        assert_eq!(config.basic_auth_users["alice"].expose(), HASH);
        assert!(!format!("{config:?}").contains(HASH));
    }

    #[rstest]
    #[case("")]
    #[case("# nothing\n\n")]
    #[case("basic_auth_users:\nhttp_server_config:\ntls_server_config:\n")]
    fn nothing_said_is_plain_http_for_everybody(#[case] text: &str) {
        let config = read(text).unwrap();
        assert!(config.tls_server_config.is_none() && config.basic_auth_users.is_empty());
        assert!(config.http_server_config.http2);
    }

    #[rstest]
    #[case("basic_auth_user: {}", &["basic_auth_user", "line 1"])]
    #[case("tls_server_config:\n  cert_file: a\n  keyfile: b\n", &["keyfile", "line 3"])]
    #[case("http_server_config: {http2: perhaps}", &["line 1"])]
    #[case("http_server_config: {headers: {Set-Cookie: a}}", &["Set-Cookie", "X-Frame-Options"])]
    #[case("http_server_config: {headers: {X-Frame-Options: \"a\\nb\"}}", &["one line"])]
    #[case("basic_auth_users: {alice: hunter2}", &["alice", "htpasswd"])]
    #[case("basic_auth_users: {'al:ice': HASH}", &["colon"])]
    #[case("basic_auth_users: {alice: $2y$31$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234}", &["alice", "cost"])]
    #[case("tls_server_config: {cert_file: a}", &["key_file"])]
    #[case("tls_server_config: {key_file: a}", &["cert_file"])]
    #[case("tls_server_config: {cert_file: a, cert: b, key_file: c}", &["one of cert_file and cert"])]
    #[case("tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}", &["TLS10", "line 1"])]
    #[case("tls_server_config: {cert_file: a, key_file: b, min_version: TLS13, max_version: TLS12}", &["above"])]
    #[case("tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAnyClientCert}", &["nobody verifies"])]
    #[case("tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAndVerifyClientCert}", &["client CA"])]
    #[case("tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}", &["client_auth_type"])]
    #[case("tls_server_config: {cert_file: a, key_file: b, client_ca_file: c, client_auth_type: VerifyClientCertIfGiven, client_allowed_sans: [x]}", &["client_allowed_sans"])]
    fn refuses_with_place_and_remedy(#[case] text: &str, #[case] expected: &[&str]) {
        let message = read(text).expect_err(text).to_string();
        for part in expected {
            assert!(message.contains(part), "{text:?}: {message}");
        }
        assert!(!message.contains("hunter2") && !message.contains("abcdefghij"), "{message}");
    }
}
