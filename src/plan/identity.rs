//! Names for logins and tokens that reveal nothing of them.

use std::fmt;

use ring::hmac;
use ring::rand::SecureRandom;

/// Makes ids from secrets with a key of this process (HMAC-SHA-256), so that equal ids mean equal secrets and nothing can be guessed from an id.
#[derive(Clone)]
pub struct Identifier {
    key: hmac::Key,
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identifier([redacted])")
    }
}

/// Identity of a login: (registry host, user name, password).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LoginId(pub u64);

/// Identity of a token: the password alone. Its `Display` (12 hexadecimal digits) is the label `token_id`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TokenId(pub u64);

impl fmt::Display for TokenId {
    /// The upper 48 of the 64 bits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0 >> 16)
    }
}

/// A keyed hash over bytes, to tell them from any others. Its `Display` has 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seal(pub [u8; 16]);

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the operating system gave no random bytes for the key of token ids; look at getrandom(2) and seccomp rules of the container"
)]
pub struct NoRandomness;

impl Identifier {
    /// With a key of 32 bytes that the caller drew at random (or configured).
    pub fn new(key: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// With a key that is drawn now and lives as long as the process.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut key = zeroize::Zeroizing::new([0_u8; 32]);
        ring::rand::SystemRandom::new().fill(key.as_mut_slice()).map_err(|_| NoRandomness)?;
        Ok(Self::new(key.as_slice()))
    }

    /// The id of a login.
    pub fn login(&self, host: &str, username: &[u8], password: &[u8]) -> LoginId {
        LoginId(self.digest(b"login", &[host.as_bytes(), username, password]))
    }

    /// The id of a token.
    pub fn token(&self, password: &[u8]) -> TokenId {
        TokenId(self.digest(b"token", &[password]))
    }

    /// A seal over bytes that are kept outside of the process, and over what they follow on: who lacks the key can neither
    /// change them nor put others in their place.
    pub fn seal(&self, follows: &[u8], bytes: &[u8]) -> Seal {
        Seal(first(&self.tag(b"state", &[follows, bytes])))
    }

    /// The first 128 bits of a keyed hash over parts, each of which is there or not: what has the same is the same.
    pub(super) fn fingerprint(&self, parts: &[Option<&[u8]>]) -> [u8; 16] {
        let parts: Vec<&[u8]> =
            parts.iter().flat_map(|part| part.map_or([&b"none"[..], b""], |part| [b"some", part])).collect();
        first(&self.tag(b"contents", &parts))
    }

    /// A mark that is equal for equal keys and tells nothing else of them.
    pub fn mark(&self) -> u64 {
        self.digest(b"key", &[])
    }

    /// The first 64 bits of the keyed hash. Each part stands behind its length, so that no two lists of parts give the
    /// same bytes, and `domain` keeps logins and tokens apart.
    fn digest(&self, domain: &[u8], parts: &[&[u8]]) -> u64 {
        u64::from_be_bytes(first(&self.tag(domain, parts)))
    }

    fn tag(&self, domain: &[u8], parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in std::iter::once(&domain).chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign()
    }
}

/// The first bytes of a hash.
fn first<const N: usize>(tag: &hmac::Tag) -> [u8; N] {
    let mut first = [0_u8; N];
    for (to, from) in first.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    first
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_id_shows_twelve_hexadecimal_digits() {
        assert_eq!(TokenId(0x0123_4567_89ab_cdef).to_string(), "0123456789ab");
        assert_eq!(TokenId(0xffff).to_string(), "000000000000");
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let identifier = Identifier::new(&[7; 32]);
        assert_ne!(identifier.login("a", b"bc", b"d"), identifier.login("a", b"b", b"cd"));
        assert_ne!(identifier.login("ab", b"c", b"d"), identifier.login("a", b"bc", b"d"));
        assert_ne!(identifier.login("", b"", b"token").0, identifier.token(b"token").0);
    }

    #[test]
    fn a_fingerprint_tells_parts_from_each_other_and_from_none() {
        let identifier = Identifier::new(&[7; 32]);
        let all = [[None, None], [Some(&b""[..]), None], [None, Some(b"")], [Some(b"a"), None], [None, Some(b"a")]];
        let prints: std::collections::BTreeSet<_> = all.iter().map(|parts| identifier.fingerprint(parts)).collect();
        assert_eq!(prints.len(), all.len());
        assert_ne!(identifier.fingerprint(&all[0]), Identifier::new(&[8; 32]).fingerprint(&all[0]));
    }

    #[test]
    fn another_key_gives_other_ids() {
        assert_ne!(Identifier::new(&[1; 32]).token(b"x"), Identifier::new(&[2; 32]).token(b"x"));
        let (one, other) = (Identifier::random().expect("randomness"), Identifier::random().expect("randomness"));
        assert_ne!(one.token(b"x"), other.token(b"x"));
    }

    #[test]
    fn the_hash_is_hmac_sha_256_over_lengths_and_parts() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let tag = hmac::sign(&key, b"\0\0\0\0\0\0\0\x05token\0\0\0\0\0\0\0\x03abc");
        let expected = u64::from_be_bytes(tag.as_ref()[..8].try_into().expect("eight bytes"));
        assert_eq!(Identifier::new(&[7; 32]).token(b"abc"), TokenId(expected));
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", Identifier::new(b"recognisable")), "Identifier([redacted])");
    }

    type Parts = (String, Vec<u8>, Vec<u8>);

    proptest! {
        #[test]
        fn ids_are_equal_exactly_when_logins_are(one: Parts, other: Parts) {
            let identifier = Identifier::new(&[7; 32]);
            let id = |parts: &Parts| identifier.login(&parts.0, &parts.1, &parts.2);
            prop_assert_eq!(id(&one), id(&one.clone()));
            prop_assert_eq!(id(&one) == id(&other), one == other);
        }
    }
}
