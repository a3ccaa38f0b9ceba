use super::*;

fn encode(json: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(json)
}

fn jwt(claims: &str) -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    format!("{}.{}.c2ln", part(r#"{"alg":"RS256","typ":"JWT"}"#), part(claims))
}

fn seconds(password: &str) -> Option<i64> {
    self_described_expiry(password.as_bytes()).map(|at| at.timestamp())
}

#[test]
fn kinds_by_prefix_and_shape() {
    for (password, kind) in [
        ("ghp_x", "github_classic"),
        ("github_pat_11AAAA", "github_fine_grained"),
        ("gho_x", "github_oauth"),
        ("ghu_x", "github_app_user"),
        ("ghs_123_eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "github_app_installation"),
        ("ghr_x", "github_refresh"),
        ("0123456789abcdef0123456789abcdef01234567", "github_legacy"),
        ("0123456789ABCDEF0123456789ABCDEF01234567", "opaque"),
        ("glpat-x", "gitlab_personal"),
        ("gldt-x", "gitlab_deploy"),
        ("dckr_pat_x", "docker_personal"),
        (&encode(r#"{"payload":"x","datakey":"y","version":"2","type":"DATA_KEY","expiration":1700000000}"#), "ecr"),
        (&jwt("{}"), "jwt"),
        ("\n ghp_x \n", "github_classic"),
        ("GHP_x", "opaque"),
        ("xghp_x", "opaque"),
        ("", "opaque"),
        ("eyJ", "opaque"),
        ("e30.e30.x", "opaque"),
    ] {
        assert_eq!(TokenKind::of(password.as_bytes()).as_str(), kind, "{password:?}");
    }
}

#[test]
fn only_fine_grained_and_installation_tokens_are_unsupported_on_github() {
    assert!(unsupported_on_github(TokenKind::GithubFineGrained));
    assert!(unsupported_on_github(TokenKind::GithubAppInstallation));
    for kind in [TokenKind::GithubClassic, TokenKind::GithubLegacy, TokenKind::GithubOauth, TokenKind::Opaque] {
        assert!(!unsupported_on_github(kind), "{kind:?}");
    }
}

/// Worked examples: published sample tokens, and the checksum's digits for their CRC-32.
#[test]
fn checksums() {
    assert_eq!(crc32(b"M7H4jxUDDWHP4kZ6A4dxlQYsQIWJuq"), 937_837_982);
    assert_eq!(crc32(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"), 714_468_973);
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    for (value, digits) in [
        (937_837_982, b"11T4V4"),
        (714_468_973, b"0mLq17"),
        (4_166_104_549, b"4XwY6f"),
        (2_366_742_613, b"2aAbrx"),
        (0, b"000000"),
        (u32::MAX, b"4gfFC3"),
    ] {
        assert_eq!(&base62(value), digits);
    }
    assert_eq!(checksum_holds(b"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"), Some(true));
    assert_eq!(checksum_holds(b"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"), Some(true));
    assert_eq!(checksum_holds(b"ghs_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"), Some(true));
    // One character of the body, one of the checksum.
    assert_eq!(checksum_holds(b"ghp_N7H4jxUDDWHP4kZ6A4dxlQYsQIWJuq11T4V4"), Some(false));
    assert_eq!(checksum_holds(b"ghp_M7H4jxUDDWHP4kZ6A4dxlQYsQIWJuq11T4V5"), Some(false));
    // The placeholder of GitHub's docs.
    assert_eq!(checksum_holds(b"ghu_16C7e42F292c6912E7710c838347Ae178B4a"), Some(false));
}

#[test]
fn no_checksum_where_no_rule_is_known() {
    for password in ["", "ghp", "ghp_", "ghp_short", "opaque", "glpat-aaaaaaaaaaaaaaaaaaaa"] {
        assert_eq!(checksum_holds(password.as_bytes()), None, "{password}");
    }
    assert_eq!(checksum_holds(format!("github_pat_{}", "a".repeat(82)).as_bytes()), None);
    assert_eq!(checksum_holds(format!("ghr_{}", "a".repeat(76)).as_bytes()), None);
    assert_eq!(checksum_holds(format!("ghr_{}", "a".repeat(36)).as_bytes()), None);
    assert_eq!(checksum_holds(format!("ghp_{}", "a".repeat(37)).as_bytes()), None);
}

#[test]
fn expiry_of_ecr_passwords() {
    assert_eq!(seconds(&encode(r#"{"payload":"x","expiration":1700000000}"#)), Some(1_700_000_000));
    assert_eq!(
        seconds(encode(r#"{"payload":"x","expiration":1700000000}"#).trim_end_matches('=')),
        Some(1_700_000_000)
    );
    assert_eq!(seconds(&format!("{}\n", encode(r#"{"expiration":"1700000000"}"#))), Some(1_700_000_000));
    for json in [
        r#"{"expiration":null}"#,
        r#"{"expiration":-5}"#,
        r#"{"expiration":1e300}"#,
        r#"{"expiration":{}}"#,
        "{}",
        "[]",
    ] {
        assert_eq!(seconds(&encode(json)), None, "{json}");
    }
}

#[test]
fn expiry_of_json_web_tokens() {
    assert_eq!(seconds(&jwt(r#"{"sub":"a","exp":1700000000}"#)), Some(1_700_000_000));
    assert_eq!(seconds(&jwt(r#"{"exp":1700000000.9}"#)), Some(1_700_000_000));
    for claims in
        ["{}", r#"{"exp":"soon"}"#, r#"{"exp":true}"#, r#"{"exp":0}"#, r#"{"exp":99999999999999}"#, "[1]", "x"]
    {
        assert_eq!(seconds(&jwt(claims)), None, "{claims}");
    }
    assert_eq!(seconds("a.b.c"), None);
    assert_eq!(seconds(&format!("{}.d", jwt(r#"{"exp":1700000000}"#))), None);
}

#[test]
fn hostile_passwords_are_bounded() {
    let deep = jwt(&format!("{{\"a\":{}1", "[".repeat(20_000)));
    assert_eq!(self_described_expiry(deep.as_bytes()), None);
    let long = jwt(&format!("{{\"a\":\"{}\",\"exp\":1700000000}}", "a".repeat(MAX_JSON_TOKEN)));
    assert_eq!(self_described_expiry(long.as_bytes()), None);
    assert_eq!(TokenKind::of(long.as_bytes()), TokenKind::Opaque);
}

#[test]
fn tokens_are_seen_inside_other_text() {
    for text in ["ghp_x", " ghp_x", "glrt-1", "octo/ghp_M7H4jxUDDWHP4kZ6A4dxlQ", "x-github_pat_11AAAAAAA0123456789"] {
        assert!(looks_like_token(text.as_bytes()), "{text}");
    }
    for text in
        ["octo", "AWS", "", "_json_key", "robot$team+ci", "eyJan", "my-ghp_bot", "00000000-0000-0000-0000-000000000000"]
    {
        assert!(!looks_like_token(text.as_bytes()), "{text}");
    }
    assert!(looks_like_token(jwt("{}").as_bytes()));
    assert!(looks_like_token(format!("token={}", jwt("{\"sub\":\"abc\"}")).as_bytes()));
}
