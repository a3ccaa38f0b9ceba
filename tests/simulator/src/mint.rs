//! Texts of tokens: the shapes, a checksum that holds, markers for leak tests.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};

use crate::rng::Rng;
use crate::token_spec::TokenKind;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The checksum of GitHub's classic token family over the 30 characters after the prefix: CRC-32 (IEEE) in base62,
/// most significant digit first, padded with `0` to 6 (`DataDog`, `github_token_checksum.rs`).
pub fn checksum(body: &str) -> String {
    let mut rest = crc32(body.as_bytes());
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |state, byte| {
        (0..8).fold(state ^ u32::from(*byte), |word, _| (word >> 1) ^ (0xedb8_8320 & (word & 1).wrapping_neg()))
    })
}

/// A token of the classic family: prefix, 30 characters, checksum. A longer body is cut, a shorter one padded with `0`.
pub fn classic_token(prefix: &str, body: &str) -> String {
    let body: String =
        body.chars().filter(char::is_ascii_alphanumeric).chain(std::iter::repeat('0')).take(30).collect();
    format!("{prefix}{body}{}", checksum(&body))
}

/// The same token with one character changed, so that a checksum inside it no longer holds.
pub fn mangle(token: &str) -> String {
    let mut characters: Vec<char> = token.chars().collect();
    // The middle of the token: never the prefix by which its kind is told.
    let middle = characters.len() / 2;
    if let Some(character) = characters.get_mut(middle) {
        *character = if *character == 'x' { 'y' } else { 'x' };
    }
    characters.into_iter().collect()
}

/// The password of `aws ecr get-login-password`: base64 of JSON with `expiration` in epoch seconds.
pub fn ecr_password(marker: &str, expiration: DateTime<Utc>) -> String {
    let json = serde_json::json!({
        "payload": marker, "datakey": "AQEBAHh", "version": "2", "type": "DATA_KEY", "expiration": expiration.timestamp(),
    });
    STANDARD.encode(json.to_string())
}

/// A JSON Web Token with `exp` (ACR refresh tokens, Harbor 1.x robots); its signature is noise.
pub fn jwt(marker: &str, expiration: DateTime<Utc>) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
    let claims = serde_json::json!({ "jti": marker, "exp": expiration.timestamp() });
    format!("{header}.{}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()), URL_SAFE_NO_PAD.encode(marker))
}

/// A text of that kind that holds the marker (letters and digits of it), filled up from the generator.
pub(crate) fn mint(kind: TokenKind, marker: &str, rng: &mut Rng) -> String {
    let marker: String = marker.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut body = |length: usize| {
        let marker: String = marker.chars().take(length).collect();
        let filler = rng.text(BASE62, length - marker.len());
        marker + &filler
    };
    match kind {
        TokenKind::Classic => classic_token("ghp_", &body(30)),
        TokenKind::OAuth => classic_token("gho_", &body(30)),
        TokenKind::AppUser => classic_token("ghu_", &body(30)),
        TokenKind::AppInstallation => classic_token("ghs_", &body(30)),
        TokenKind::AppInstallationStateless => format!("ghs_1234567_eyJ{}.{}.{}", body(120), body(280), body(100)),
        TokenKind::Refresh => format!("ghr_{}", body(76)),
        TokenKind::FineGrained => {
            let first = body(22);
            format!("github_pat_{first}_{}", rng.text(BASE62, 59))
        }
        TokenKind::Legacy => rng.text(HEX, 40),
        TokenKind::GitlabPersonal => format!("glpat-{}", body(20)),
        TokenKind::GitlabDeploy => format!("gldt-{}", body(20)),
        TokenKind::AccountPassword | TokenKind::Opaque => format!("pw{}", body(22)),
    }
}

#[cfg(test)]
mod tests {
    use super::{checksum, classic_token, crc32, mangle};

    #[test]
    fn checksum_agrees_with_published_examples() {
        let first = "M7H4jxUDDWHP4kZ6A4dxlQYsQIWJuq";
        assert_eq!(crc32(first.as_bytes()), 937_837_982);
        assert_eq!(checksum(first), "11T4V4");
        let padded = "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ";
        assert_eq!(crc32(padded.as_bytes()), 714_468_973);
        assert_eq!(checksum(padded), "0mLq17");
    }

    #[test]
    fn mangling_breaks_the_checksum_and_keeps_length_and_prefix() {
        let good = classic_token("ghp_", "abc");
        let bad = mangle(&good);
        assert_eq!(bad.len(), 40);
        assert!(bad.starts_with("ghp_"));
        assert_ne!(checksum(&bad[4..34]), bad[34..]);
    }
}
