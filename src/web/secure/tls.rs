//! From the TLS part of the web config to what rustls serves with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use zeroize::Zeroizing;

use super::suites;
use super::verifier::Named;
use crate::config::{ClientAuth, MaxVersion, MinVersion, TlsServerConfig};

/// What of a certificate, a key or a choice cannot be used. No text of a key is ever part of it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A text that holds not what it should.
    #[error("{key} holds no {what} in PEM")]
    Pem {
        /// The key of the web config.
        key: &'static str,
        /// What it should hold.
        what: &'static str,
    },
    /// A name that is not known.
    #[error("{key}: {name:?} is not supported; these are: {known}")]
    Unknown {
        /// The key of the web config.
        key: &'static str,
        /// The name as written.
        name: String,
        /// What may be written.
        known: String,
    },
    /// Certificate and key do not go together, or versions and suites do not.
    #[error("{key} cannot be used: {reason}")]
    Refused {
        /// The key of the web config.
        key: &'static str,
        /// Why, by the TLS library.
        reason: String,
    },
}

/// What to serve with.
pub(super) fn build(config: &TlsServerConfig, http2: bool) -> Result<ServerConfig, TlsError> {
    let chain = text(config.cert_file.as_deref(), config.cert.as_deref())?;
    let chain = certificates("cert_file", &chain)?;
    let inline = config.key.as_ref().map(secrecy::ExposeSecret::expose_secret);
    let key = text(config.key_file.as_deref(), inline)?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| TlsError::Pem { key: "key_file", what: "private key without a pass phrase" })?;

    let provider = Arc::new(provider(config)?);
    let mut built = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(config))
        .map_err(|error| refused("cipher_suites", &error))?
        .with_client_cert_verifier(verifier(config, &provider)?)
        .with_single_cert(chain, key)
        .map_err(|error| refused("cert_file", &error))?;
    built.alpn_protocols = if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok(built)
}

fn refused(key: &'static str, error: &rustls::Error) -> TlsError {
    TlsError::Refused { key, reason: error.to_string() }
}

/// The one provider of this program, with the suites and groups that were chosen.
fn provider(config: &TlsServerConfig) -> Result<CryptoProvider, TlsError> {
    let mut provider = rustls::crypto::ring::default_provider();
    if !config.cipher_suites.is_empty() {
        provider.cipher_suites = suites::suites_of_13().collect();
        for name in &config.cipher_suites {
            // Go ignores those of TLS 1.3 here.
            if ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"].contains(&&**name) {
                continue;
            }
            let unknown =
                || TlsError::Unknown { key: "cipher_suites", name: name.clone(), known: suites::suite_names() };
            provider.cipher_suites.push(suites::suite(name).ok_or_else(unknown)?);
        }
    }
    if !config.curve_preferences.is_empty() {
        provider.kx_groups.clear();
        for name in &config.curve_preferences {
            let unknown =
                || TlsError::Unknown { key: "curve_preferences", name: name.clone(), known: suites::group_names() };
            provider.kx_groups.push(suites::group(name).ok_or_else(unknown)?);
        }
    }
    Ok(provider)
}

fn versions(config: &TlsServerConfig) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    match (config.min_version, config.max_version) {
        (MinVersion::TLS13, _) => &BOTH[..1],
        (MinVersion::TLS12, MaxVersion::TLS12) => &BOTH[1..],
        (MinVersion::TLS12, MaxVersion::TLS13) => &BOTH,
    }
}

fn verifier(config: &TlsServerConfig, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    if config.client_auth_type == ClientAuth::NoClientCert {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let anchors = text(config.client_ca_file.as_deref(), config.client_ca.as_deref())?;
    let mut roots = RootCertStore::empty();
    for anchor in certificates("client_ca_file", &anchors)? {
        roots.add(anchor).map_err(|error| refused("client_ca_file", &error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if config.client_auth_type == ClientAuth::VerifyClientCertIfGiven {
        builder.allow_unauthenticated()
    } else {
        builder
    };
    let verifier =
        builder.build().map_err(|error| TlsError::Refused { key: "client_ca_file", reason: error.to_string() })?;
    if config.client_allowed_sans.is_empty() {
        return Ok(verifier);
    }
    let named = Named::new(verifier, &config.client_allowed_sans).map_err(|name| TlsError::Unknown {
        key: "client_allowed_sans",
        name,
        known: "DNS names and IP addresses".to_owned(),
    })?;
    Ok(Arc::new(named))
}

/// What a file holds, or what stands in the web config itself. It may be a private key.
fn text(file: Option<&Path>, inline: Option<&str>) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    match (file, inline) {
        (Some(path), _) => {
            let read = std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source });
            read.map(Zeroizing::new)
        }
        (None, inline) => Ok(Zeroizing::new(inline.unwrap_or_default().as_bytes().to_vec())),
    }
}

fn certificates(key: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = || TlsError::Pem { key, what: "certificate" };
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| none())?;
    if found.is_empty() { Err(none()) } else { Ok(found) }
}
