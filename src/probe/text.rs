//! Text from outside, made fit to be shown: cut, without control characters, and without any secret of the exchange.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

use crate::credential::{Password, Username};

/// What stands where a secret stood.
pub(crate) const REDACTED: &str = "[redacted]";
/// Longest line of detail, in characters.
pub(crate) const DETAIL: usize = 200;
/// Longest error code.
pub(crate) const CODE: usize = 64;
/// Longest name of an owner or scope.
pub(crate) const NAME: usize = 100;
/// Secrets shorter than this would turn any text that holds them into a riddle that gives them away: the whole text
/// goes.
const SHORT: usize = 4;
/// User names from this length on are taken for pasted tokens.
const TOKEN_LIKE: usize = 16;

/// Beginnings of tokens: a word that opens so is never shown, whoever's it is.
const PREFIXES: [&str; 12] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glcbt-",
    "dckr_pat_",
    "dckr_oat_",
    "eyJ",
];

/// Cut to `limit` characters, with control, format and bidirectional characters replaced by spaces.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    let mut out: String = text.chars().take(limit + 1).map(|c| if is_hidden(c) { ' ' } else { c }).collect();
    if let Some((end, _)) = out.char_indices().nth(limit) {
        // The last character goes too, so that the mark of the cut stays within the limit.
        let keep = out.char_indices().nth(limit.saturating_sub(1)).map_or(end, |(at, _)| at);
        out.truncate(keep);
        out.push('…');
    }
    let trimmed = out.trim();
    if trimmed.len() == out.len() { out } else { trimmed.to_owned() }
}

/// Characters that do not show, or that move others: they could hide or fake text on a terminal.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Knows the secrets of one exchange and takes them out of texts.
#[derive(Default)]
pub(crate) struct Redactor {
    secrets: Vec<SecretString>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor([redacted])")
    }
}

impl Redactor {
    /// For a login. The user name counts as a secret when it looks like a token or equals the password.
    pub(crate) fn login(username: &Username, password: &Password) -> Self {
        let mut redactor = Self::token(password);
        let (user, pass) = (username.expose(), password.expose());
        if user.len() >= TOKEN_LIKE || user == pass || is_token(&String::from_utf8_lossy(user)) {
            redactor.add_bytes(user);
        }
        let mut pair = user.to_vec();
        pair.push(b':');
        pair.extend_from_slice(pass);
        redactor.add(&STANDARD.encode(&pair));
        redactor.add(&URL_SAFE_NO_PAD.encode(&pair));
        zeroize::Zeroize::zeroize(&mut pair);
        redactor
    }

    /// For a token alone.
    pub(crate) fn token(password: &Password) -> Self {
        let mut redactor = Self::default();
        redactor.add_bytes(password.expose());
        redactor
    }

    fn add_bytes(&mut self, secret: &[u8]) {
        let text = String::from_utf8_lossy(secret).into_owned();
        if let Some(line) = text.split(char::is_control).max_by_key(|line| line.len()) {
            self.add(line.trim());
        }
        self.add(&url::form_urlencoded::byte_serialize(secret).collect::<String>());
        self.add(&text.chars().rev().collect::<String>());
        self.add(&text);
        self.add(&STANDARD.encode(secret));
        self.add(&URL_SAFE_NO_PAD.encode(secret));
    }

    /// One more secret, such as a bearer that was handed out.
    pub(crate) fn add(&mut self, secret: &str) {
        // Base64 without its padding is a prefix of the padded form, so this covers both.
        let secret = secret.trim_end_matches('=');
        if !secret.is_empty() {
            // Error codes are shown in upper case and hosts in lower case, whatever the other side wrote.
            self.secrets.push(secret.to_ascii_lowercase().into());
            // The longest first: a secret that contains another must go whole.
            self.secrets.sort_by_key(|known| std::cmp::Reverse(known.expose_secret().len()));
        }
    }

    /// A text fit to be shown: secrets replaced, cleaned and cut, in this order, and secrets once more, should the
    /// cleaning have put one together.
    pub(crate) fn show(&self, text: &str, limit: usize) -> String {
        let cleaned = clean(&self.redact(text), limit);
        let again = self.redact(&cleaned);
        if again == cleaned { cleaned } else { clean(&again, limit) }
    }

    fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            let secret = secret.expose_secret();
            let lower = text.to_ascii_lowercase();
            if !lower.contains(secret) {
                continue;
            }
            if secret.len() < SHORT {
                REDACTED.clone_into(&mut text);
            } else {
                text = replace_at(&text, lower.match_indices(secret).map(|(at, _)| at), secret.len());
            }
        }
        strip_tokens(&text)
    }
}

/// The text with what stands at these places, each so many bytes long, replaced.
fn replace_at(text: &str, places: impl Iterator<Item = usize>, len: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = 0;
    for at in places {
        out.push_str(&text[rest..at]);
        out.push_str(REDACTED);
        rest = at + len;
    }
    out.push_str(&text[rest..]);
    out
}

fn is_token(text: &str) -> bool {
    PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

/// Replace every run that begins like a token of a known family.
fn strip_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = PREFIXES.iter().filter_map(|prefix| rest.find(prefix)).min() {
        let (before, token) = rest.split_at(at);
        out.push_str(before);
        let end = token.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.+/=".contains(c))).unwrap_or(token.len());
        // A bare prefix is a word about tokens, not a token.
        out.push_str(if end >= 12 { REDACTED } else { &token[..end] });
        rest = &token[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn login(user: &str, pass: &str) -> Redactor {
        Redactor::login(&Username::new(user.into()), &Password::new(pass.into()))
    }

    #[test]
    fn cleans_and_cuts() {
        assert_eq!(clean(" a\u{1b}[31mred\r\nline\u{202e}x ", 50), "a [31mred  line x");
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcde…");
        assert_eq!(clean("äöüß€x", 3), "äö…");
        assert_eq!(clean("abc", 0), "…");
    }

    #[test]
    fn replaces_every_form_of_a_secret() {
        let redactor = login("bot", "s3cret+pass/word");
        let encoded = STANDARD.encode("bot:s3cret+pass/word");
        let text =
            format!("raw s3cret+pass/word basic {encoded} url s3cret%2Bpass%2Fword reversed drow/ssap+terc3s user bot");
        assert_eq!(
            redactor.show(&text, 300),
            "raw [redacted] basic [redacted]= url [redacted] reversed [redacted] user bot"
                .replace("]=", if encoded.ends_with('=') { "]=" } else { "]" })
        );
    }

    #[test]
    fn a_user_name_that_is_a_token_is_a_secret() {
        for user in ["ghp_abc", "0123456789abcdef0123", "same"] {
            let shown = login(user, "same").show(&format!("user {user} unknown"), 200);
            assert!(!shown.contains(user), "{shown}");
        }
    }

    #[test]
    fn unknown_tokens_of_known_families_go_too() {
        let shown = Redactor::default()
            .show("use ghp_ or 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, not Bearer eyJhbGciOi.J9.x-y", 200);
        assert_eq!(shown, "use ghp_ or [redacted], not Bearer [redacted]");
    }

    #[test]
    fn short_secrets_take_the_whole_text() {
        assert_eq!(login("u", "e").show("denied", 200), REDACTED);
    }

    #[test]
    fn a_secret_at_the_cut_leaves_no_part() {
        let shown = login("u", "abcdefghijklmnop").show(&format!("{}abcdefghijklmnop", "x".repeat(195)), 200);
        assert!(!shown.contains("abc"), "{shown}");
    }

    #[test]
    fn a_password_with_a_line_end_is_found_without_it() {
        let shown = login("u", "correct-horse\n").show("bad password: correct-horse", 200);
        assert_eq!(shown, "bad password: [redacted]");
    }

    proptest! {
        #[test]
        fn shown_text_is_short_and_holds_no_secret(text in ".{0,300}", pass in "[a-zA-Z0-9_+/-]{4,40}", at in 0_usize..300) {
            let at = (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
            let (head, tail) = text.split_at(at);
            prop_assume!(!REDACTED.contains(&pass));
            let shown = login("someone", &pass).show(&format!("{head}{pass}{tail}"), DETAIL);
            prop_assert!(!shown.contains(&pass));
            prop_assert!(shown.chars().count() <= DETAIL);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
