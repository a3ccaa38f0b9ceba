//! Types for what must not be printed, serialised or compared by accident.

use secrecy::{ExposeSecret, SecretSlice};

use super::token::looks_like_token;

/// What stands in place of a user name that must not be shown.
const REDACTED: &str = "redacted";
/// No more of a user name than this is shown.
const MAX_LABEL: usize = 128;
/// No user name is longer. A longer one is not searched for the password but taken to hold it.
const MOST_NAME: usize = 4096;
/// A password of this length inside a user name is no accident.
const TELLING_PASSWORD: usize = 8;

/// The password of an entry: bytes, which need not be UTF-8. It has no `Display`, no `Serialize`, no `PartialEq`; its
/// `Debug` is redacted, and its memory is zeroed when it is dropped.
#[derive(Clone)]
pub struct Password(SecretSlice<u8>);

impl Password {
    /// Take over bytes as a password.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(SecretSlice::from(bytes))
    }

    /// The bytes, for sending or hashing.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// Whether two passwords are the same, asked on purpose.
    pub fn same_as(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password([redacted])")
    }
}

/// The user name of an entry: bytes, which need not be UTF-8. Users paste tokens here too, so it prints only through
/// [`Username::label`].
#[derive(Clone)]
pub struct Username(SecretSlice<u8>);

impl Username {
    /// Take over bytes as a user name.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(SecretSlice::from(bytes))
    }

    /// The bytes, for sending or hashing.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// Whether it is a token, or holds one: by a known prefix, or by its shape (JSON Web Token, ECR password).
    pub fn looks_like_token(&self) -> bool {
        looks_like_token(self.expose())
    }

    /// Whether it gives a secret away: it looks like a token, is the password, or holds a password of some length.
    pub fn is_telling(&self, password: &Password) -> bool {
        // White space around either hides nothing from a reader.
        let (name, password) = (self.expose().trim_ascii(), password.expose().trim_ascii());
        let holds =
            || password.len() >= TELLING_PASSWORD && name.windows(password.len()).any(|window| window == password);
        name.len() > MOST_NAME || (!password.is_empty() && name == password) || self.looks_like_token() || holds()
    }

    /// What may be shown: `redacted` where the name gives a secret away ([`Username::is_telling`]), else the text, with
    /// U+FFFD for control characters and for what is not UTF-8, cut to 128 characters.
    pub fn label(&self, password: &Password) -> String {
        if self.is_telling(password) { REDACTED.to_owned() } else { showable(self.expose(), MAX_LABEL) }
    }
}

impl std::fmt::Debug for Username {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Username([redacted])")
    }
}

/// Bytes from outside as a text of so many characters at most, without any that a terminal or a page would act upon.
pub(super) fn showable(bytes: &[u8], max: usize) -> String {
    let visible = |c: char| {
        let formats =
            matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || formats { char::REPLACEMENT_CHARACTER } else { c }
    };
    // Four bytes are the most that a character has.
    let head = &bytes[..bytes.len().min(max * 4)];
    String::from_utf8_lossy(head).chars().map(visible).take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(username: &str, password: &str) -> String {
        Username::new(username.as_bytes().to_vec()).label(&Password::new(password.as_bytes().to_vec()))
    }

    #[test]
    fn debug_shows_nothing() {
        let (username, password) = (Username::new(b"octo".to_vec()), Password::new(b"hunter2".to_vec()));
        assert_eq!(format!("{username:?} {password:?}"), "Username([redacted]) Password([redacted])");
        assert_eq!(format!("{:#?}", Some(&password)), "Some(\n    Password([redacted]),\n)");
    }

    #[test]
    fn label_shows_names_and_hides_secrets() {
        assert_eq!(label("octo", "ghp_x"), "octo");
        assert_eq!(label("", ""), "");
        assert_eq!(label("ghp_x", "ghp_x"), "redacted");
        assert_eq!(label("ghp_other", "x"), "redacted");
        assert_eq!(label("admin", "admin"), "redacted");
        assert_eq!(label(" admin", "admin\n"), "redacted");
        assert_eq!(label("octo:correct-horse", "correct-horse"), "redacted");
        assert_eq!(label("octo", "o"), "octo");
        assert_eq!(label("a\nb\u{1b}[1m\u{202e}c", "x"), "a\u{fffd}b\u{fffd}[1m\u{fffd}c");
        assert_eq!(label(&"ü".repeat(500), "x"), "ü".repeat(128));
        assert_eq!(label(&"x".repeat(5000), "y"), "redacted");
        assert_eq!(Username::new(vec![0xff, b'a']).label(&Password::new(Vec::new())), "\u{fffd}a");
    }
}
