//! What a pull Secret says: decoded as the kubelet decodes it, matched as the kubelet matches it, and what can be told of
//! a token from its text alone.
//!
//! This room is pure: bytes in, values out. No I/O, no clock, no Kubernetes client.

mod document;
mod finding;
mod go;
mod image;
mod keyring;
mod lint;
mod oddity;
mod pull_secret;
mod secret_types;
mod token;
mod witness;

pub use finding::{Finding, FindingKind, Severity};
pub use image::{ImageError, ImageName, parse_image};
pub use keyring::{KeyError, Keyring, RegistryKey, UrlError, registry_key, urls_match};
pub use lint::secret_findings;
pub use oddity::{KeyOddity, NeverMatching, key_oddity};
pub use pull_secret::{Decoded, Entry, MOST_ENTRIES, MalformedSecret, decode};
pub use secret_types::{Password, Username};
pub use token::{TokenKind, checksum_holds, self_described_expiry, unsupported_on_github};
