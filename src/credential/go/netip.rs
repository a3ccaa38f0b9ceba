//! `netip.ParseAddr`, which `net/url` asks whether the text in brackets is an IP address.

use super::text::quote;

/// The family of an address that parses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// `ParseAddr`, reduced to the family; the error is Go's text.
pub(super) fn parse_addr(text: &[u8]) -> Result<Family, String> {
    let error = |message: &str| Err(failure(text, message, b""));
    match text.iter().find(|byte| matches!(byte, b'.' | b':' | b'%')) {
        Some(b'.') => ipv4_fields(text, text).map(|()| Family::V4),
        Some(b':') => ipv6(text).map(|()| Family::V6),
        Some(_) => error("missing IPv6 address"),
        None => error("unable to parse IP"),
    }
}

fn failure(all: &[u8], message: &str, at: &[u8]) -> String {
    let place = if at.is_empty() { String::new() } else { format!(" (at {})", quote(at)) };
    format!("ParseAddr({}): {message}{place}", quote(all))
}

fn ipv4_fields(all: &[u8], text: &[u8]) -> Result<(), String> {
    let error = |message: &str, at: &[u8]| Err(failure(all, message, at));
    let (mut value, mut fields, mut digits) = (0_u32, 0, 0);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                if digits == 1 && value == 0 {
                    return error("IPv4 field has octet with leading zero", b"");
                }
                value = value * 10 + u32::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return error("IPv4 field has value >255", b"");
                }
            }
            b'.' => {
                if at == 0 || at == text.len() - 1 || text[at - 1] == b'.' {
                    return error("IPv4 field must have at least one digit", &text[at..]);
                }
                if fields == 3 {
                    return error("IPv4 address too long", b"");
                }
                fields += 1;
                (value, digits) = (0, 0);
            }
            _ => return error("unexpected character", &text[at..]),
        }
    }
    if fields < 3 { error("IPv4 address too short", b"") } else { Ok(()) }
}

fn ipv6(all: &[u8]) -> Result<(), String> {
    let error = |message: &str, at: &[u8]| Err(failure(all, message, at));
    let mut rest = all;
    if let Some(at) = all.iter().position(|byte| *byte == b'%') {
        rest = &all[..at];
        if at + 1 == all.len() {
            return error("zone must be a non-empty string", b"");
        }
    }
    let mut ellipsis = rest.starts_with(b"::");
    if ellipsis {
        rest = &rest[2..];
        if rest.is_empty() {
            return Ok(());
        }
    }
    let mut bytes = 0;
    while bytes < 16 {
        let mut digits = 0;
        while rest.get(digits).is_some_and(u8::is_ascii_hexdigit) {
            if digits > 3 {
                return error("each group must have 4 or less digits", rest);
            }
            digits += 1;
        }
        if digits == 0 {
            return error("each colon-separated field must have at least one digit", rest);
        }
        if rest.get(digits) == Some(&b'.') {
            if !ellipsis && bytes != 12 {
                return error("embedded IPv4 address must replace the final 2 fields of the address", rest);
            }
            if bytes + 4 > 16 {
                return error("too many hex fields to fit an embedded IPv4 at the end of the address", rest);
            }
            ipv4_fields(all, rest)?;
            rest = b"";
            bytes += 4;
            break;
        }
        bytes += 2;
        rest = &rest[digits..];
        match rest {
            [] => break,
            [b':'] => return error("colon must be followed by more characters", rest),
            [b':', after @ ..] => rest = after,
            _ => return error("unexpected character, want colon", rest),
        }
        if rest.first() == Some(&b':') {
            if ellipsis {
                return error("multiple :: in address", rest);
            }
            ellipsis = true;
            rest = &rest[1..];
            if rest.is_empty() {
                break;
            }
        }
    }
    if !rest.is_empty() {
        return error("trailing garbage after address", rest);
    }
    match (bytes < 16, ellipsis) {
        (true, false) => error("address string too short", b""),
        (false, true) => error("the :: must expand to at least one field of zeros", b""),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families() {
        assert_eq!(parse_addr(b"10.1.2.3"), Ok(Family::V4));
        for text in ["::", "::1", "1::", "2001:DB8::1", "::ffff:1.2.3.4", "fe80::1%eth0", "1:2:3:4:5:6:7:8"] {
            assert_eq!(parse_addr(text.as_bytes()), Ok(Family::V6), "{text}");
        }
    }

    #[test]
    fn errors_are_those_of_go() {
        for (text, message) in [
            ("g", r#"ParseAddr("g"): unable to parse IP"#),
            ("%1", r#"ParseAddr("%1"): missing IPv6 address"#),
            ("::2-9", r#"ParseAddr("::2-9"): unexpected character, want colon (at "-9")"#),
            ("1:2", r#"ParseAddr("1:2"): address string too short"#),
            ("1::2::3", r#"ParseAddr("1::2::3"): multiple :: in address (at ":3")"#),
            ("::%", r#"ParseAddr("::%"): zone must be a non-empty string"#),
            ("::12345", r#"ParseAddr("::12345"): each group must have 4 or less digits (at "12345")"#),
            ("1.2.3", r#"ParseAddr("1.2.3"): IPv4 address too short"#),
        ] {
            assert_eq!(parse_addr(text.as_bytes()), Err(message.to_owned()));
        }
    }
}
