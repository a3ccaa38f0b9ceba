//! What a password tells of itself: its kind by prefix, its checksum, an expiry it carries.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

/// The kind of a token, by its prefix or shape: a hint, never proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenKind {
    /// `ghp_`
    GithubClassic,
    /// `github_pat_`
    GithubFineGrained,
    /// `gho_`
    GithubOauth,
    /// `ghu_`
    GithubAppUser,
    /// `ghs_`
    GithubAppInstallation,
    /// `ghr_`
    GithubRefresh,
    /// 40 hexadecimal digits
    GithubLegacy,
    /// `glpat-`
    GitlabPersonal,
    /// `gldt-`
    GitlabDeploy,
    /// `dckr_pat_`
    DockerPersonal,
    /// The password of `aws ecr get-login-password`: base64 of JSON with `expiration`.
    Ecr,
    /// A JSON Web Token.
    Jwt,
    /// Anything else.
    Opaque,
}

/// Prefixes of the kinds that have one (GitHub: "About authentication to GitHub"; GitLab: "Token overview").
const PREFIXES: [(&str, TokenKind); 9] = [
    ("ghp_", TokenKind::GithubClassic),
    ("github_pat_", TokenKind::GithubFineGrained),
    ("gho_", TokenKind::GithubOauth),
    ("ghu_", TokenKind::GithubAppUser),
    ("ghs_", TokenKind::GithubAppInstallation),
    ("ghr_", TokenKind::GithubRefresh),
    ("glpat-", TokenKind::GitlabPersonal),
    ("gldt-", TokenKind::GitlabDeploy),
    ("dckr_pat_", TokenKind::DockerPersonal),
];

/// Further prefixes of secrets, which no issuer here can be asked about but which must not be shown either.
const OTHER_SECRET_PREFIXES: [&str; 12] = [
    "dckr_oat_",
    "glrt-",
    "glcbt-",
    "glptt-",
    "glft-",
    "glimt-",
    "glagent-",
    "gloas-",
    "glsoat-",
    "glffct-",
    "glrtr-",
    "eyJ",
];

/// Longer texts are not looked into for a token of the JSON kinds. Real ones have a few kilobytes.
const MAX_JSON_TOKEN: usize = 64 * 1024;
/// How base64 of a text starts whose first character is `{`.
const BASE64_BRACE: &[u8] = b"e";

impl TokenKind {
    /// The kind of a password. White space around it does not hide the kind.
    pub fn of(password: &[u8]) -> Self {
        let text = password.trim_ascii();
        if let Some((_, kind)) = PREFIXES.iter().find(|(prefix, _)| text.starts_with(prefix.as_bytes())) {
            return *kind;
        }
        if text.len() == 40 && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Self::GithubLegacy;
        }
        if jwt_claims(text).is_some() {
            return Self::Jwt;
        }
        if ecr_expiration(text).is_some() { Self::Ecr } else { Self::Opaque }
    }

    /// The label value, such as `github_classic`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GithubClassic => "github_classic",
            Self::GithubFineGrained => "github_fine_grained",
            Self::GithubOauth => "github_oauth",
            Self::GithubAppUser => "github_app_user",
            Self::GithubAppInstallation => "github_app_installation",
            Self::GithubRefresh => "github_refresh",
            Self::GithubLegacy => "github_legacy",
            Self::GitlabPersonal => "gitlab_personal",
            Self::GitlabDeploy => "gitlab_deploy",
            Self::DockerPersonal => "docker_personal",
            Self::Ecr => "ecr",
            Self::Jwt => "jwt",
            Self::Opaque => "opaque",
        }
    }
}

/// Whether a registry of GitHub (ghcr.io, `containers.*.ghe.com`, GHES) does not take this kind for pulling: GitHub
/// Packages authenticates classic PATs only, and App installation tokens are refused at the pull (GitHub docs, "Working
/// with the Container registry").
pub fn unsupported_on_github(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::GithubFineGrained | TokenKind::GithubAppInstallation)
}

/// Whether the checksum of a token of GitHub's classic family holds; `None` for kinds without a known checksum.
///
/// The last 6 of its 40 characters are the CRC-32 of the 30 behind the prefix, in base 62 ("Behind GitHub's new
/// authentication token formats", 2021). Other lengths and fine-grained tokens have no published rule.
pub fn checksum_holds(password: &[u8]) -> Option<bool> {
    use TokenKind::{GithubAppInstallation, GithubAppUser, GithubClassic, GithubOauth};
    let (prefix, rest) = password.split_at_checked(4)?;
    let family = [GithubClassic, GithubOauth, GithubAppUser, GithubAppInstallation];
    if rest.len() != 36 || !family.contains(&TokenKind::of(prefix)) {
        return None;
    }
    let (body, checksum) = rest.split_at(30);
    Some(base62(crc32(body)) == checksum)
}

/// CRC-32 of IEEE 802.3, as zlib computes it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// Six digits of base 62, the most significant first. 2^32 has no more.
fn base62(mut value: u32) -> [u8; 6] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = [b'0'; 6];
    for place in out.iter_mut().rev() {
        *place = DIGITS[(value % 62) as usize];
        value /= 62;
    }
    out
}

/// The expiry that the password carries in itself: ECR's `expiration`, a JWT's `exp`. Nothing is verified; absent, odd or
/// impossible dates are none.
pub fn self_described_expiry(password: &[u8]) -> Option<DateTime<Utc>> {
    let text = password.trim_ascii();
    let seconds = match jwt_claims(text) {
        Some(claims) => claims.exp?.0?,
        None => ecr_expiration(text)?,
    };
    // Up to the year 9999, which is the last that RFC 3339 can write.
    let possible = seconds > 0.0 && seconds <= 253_402_300_799.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds are wanted, and the range was checked")]
    possible.then_some(seconds as i64).and_then(|seconds| DateTime::from_timestamp(seconds, 0))
}

/// The claims of a JSON Web Token (RFC 7519) in its compact form: three parts, the first a JSON object with `alg`.
fn jwt_claims(text: &[u8]) -> Option<Claims> {
    if text.len() > MAX_JSON_TOKEN || !text.starts_with(BASE64_BRACE) {
        return None;
    }
    let mut parts = text.split(|byte| *byte == b'.');
    let (header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let _: Header = object(&url_safe(header)?)?;
    object(&url_safe(claims)?)
}

/// `expiration` of an ECR password: base64 of a JSON object, in seconds since the epoch.
fn ecr_expiration(text: &[u8]) -> Option<f64> {
    if text.len() > MAX_JSON_TOKEN || !text.starts_with(BASE64_BRACE) {
        return None;
    }
    let unpadded = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let json = Zeroizing::new(STANDARD_NO_PAD.decode(unpadded).ok()?);
    object::<EcrPassword>(&json)?.expiration.0
}

/// A JSON object (serde would take an array for a struct as well).
fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    json.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(json).ok()).flatten()
}

fn url_safe(part: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let unpadded = part.strip_suffix(b"==").or_else(|| part.strip_suffix(b"=")).unwrap_or(part);
    URL_SAFE_NO_PAD.decode(unpadded).ok().map(Zeroizing::new)
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "alg")]
    _alg: IgnoredAny,
}

#[derive(Deserialize)]
struct Claims {
    exp: Option<Seconds>,
}

#[derive(Deserialize)]
struct EcrPassword {
    expiration: Seconds,
}

/// A `NumericDate`: a JSON number, or a string that holds one; anything else is no date and no error.
struct Seconds(Option<f64>);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(
            value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|seconds| f64::is_finite(*seconds)),
        ))
    }
}

/// Whether a text is a token or holds one, so that it must not be shown.
pub(super) fn looks_like_token(text: &[u8]) -> bool {
    let prefixes = || PREFIXES.iter().map(|(prefix, _)| *prefix).chain(OTHER_SECRET_PREFIXES);
    // A bare prefix in front is suspicious enough; inside a longer text it takes what could be the token itself.
    TokenKind::of(text) != TokenKind::Opaque
        || prefixes().any(|prefix| text.trim_ascii().starts_with(prefix.as_bytes()) && prefix != "eyJ")
        || prefixes().any(|prefix| {
            text.windows(prefix.len()).enumerate().any(|(at, window)| {
                let body = &text[at + prefix.len()..];
                let token_byte = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
                window == prefix.as_bytes() && body.iter().take_while(token_byte).count() >= 16
            })
        })
}

#[cfg(test)]
mod tests;
