//! Suites and groups by the names that Go gives them, as the web config file writes them.

use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::{SupportedCipherSuite, crypto::SupportedKxGroup};

/// Suites of TLS 1.2, by Go's names.
const SUITES: [(&str, SupportedCipherSuite); 6] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Groups, by Go's names.
const GROUPS: [(&str, &dyn SupportedKxGroup); 3] =
    [("X25519", kx_group::X25519), ("CurveP256", kx_group::SECP256R1), ("CurveP384", kx_group::SECP384R1)];

/// A suite by its name; Go's older names lack the hash at the end.
pub(super) fn suite(name: &str) -> Option<SupportedCipherSuite> {
    let name = if name.ends_with("CHACHA20_POLY1305") { format!("{name}_SHA256") } else { name.to_owned() };
    SUITES.iter().find(|(known, _)| *known == name).map(|(_, suite)| *suite)
}

/// The suites of TLS 1.3, which nobody can choose.
pub(super) fn suites_of_13() -> impl Iterator<Item = SupportedCipherSuite> {
    rustls::crypto::ring::ALL_CIPHER_SUITES.iter().copied().filter(|suite| suite.tls13().is_some())
}

/// A group by its name.
pub(super) fn group(name: &str) -> Option<&'static dyn SupportedKxGroup> {
    GROUPS.iter().find(|(known, _)| *known == name).map(|(_, group)| *group)
}

/// The names of all suites.
pub(super) fn suite_names() -> String {
    SUITES.map(|(name, _)| name).join(", ")
}

/// The names of all groups.
pub(super) fn group_names() -> String {
    GROUPS.map(|(name, _)| name).join(", ")
}
