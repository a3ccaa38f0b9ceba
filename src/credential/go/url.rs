//! `net/url.Parse` for what the kubelet hands it, which always starts with `http://` or `https://`, and
//! `net.SplitHostPort`. Of a URL only host and path matter here.

use super::netip::{Family, parse_addr};
use super::text::quote;

/// Host and path of a URL. Both are unescaped and need not be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::credential) struct Url {
    /// Host with its port.
    pub(in crate::credential) host: Vec<u8>,
    /// Path, which starts with a slash or is empty.
    pub(in crate::credential) path: Vec<u8>,
}

/// Why a text is no URL: `reason` without the text itself, Display as Go prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::credential) struct ParseError {
    url: Vec<u8>,
    /// The reason, which quotes a piece of the text where Go does.
    pub(in crate::credential) reason: String,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "parse {}: {}", quote(&self.url), self.reason)
    }
}

/// `url.Parse` of a scheme with its `://`, and what follows it.
pub(in crate::credential) fn parse(scheme: &str, rest: &[u8]) -> Result<Url, ParseError> {
    let (before, fragment) = cut(rest, b'#');
    let error = |text: &[u8], reason| ParseError { url: [scheme.as_bytes(), text].concat(), reason };
    let url = parse_without_fragment(before).map_err(|reason| error(before, reason))?;
    unescape(fragment.unwrap_or_default(), Part::Fragment).map_err(|reason| error(rest, reason))?;
    Ok(url)
}

fn parse_without_fragment(rest: &[u8]) -> Result<Url, String> {
    if rest.iter().any(u8::is_ascii_control) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    let (rest, _query) = cut(rest, b'?');
    let slash = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    let host = parse_authority(authority)?;
    Ok(Url { host, path: unescape(path, Part::Path)? })
}

fn parse_authority(authority: &[u8]) -> Result<Vec<u8>, String> {
    let Some(at) = authority.iter().rposition(|byte| *byte == b'@') else { return parse_host(authority) };
    let host = parse_host(&authority[at + 1..])?;
    let user = &authority[..at];
    if !user.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte)) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    let (name, password) = cut(user, b':');
    unescape(name, Part::User)?;
    unescape(password.unwrap_or_default(), Part::User)?;
    Ok(host)
}

fn parse_host(host: &[u8]) -> Result<Vec<u8>, String> {
    match host.iter().rposition(|byte| *byte == b'[') {
        Some(0) => return parse_bracketed(host),
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {}
    }
    if let Some(colon) = host.iter().position(|byte| *byte == b':') {
        check_port(&host[colon..])?;
    }
    unescape(host, Part::Host)
}

/// An IP address in brackets, with its port (RFC 3986), and perhaps a zone (RFC 6874).
fn parse_bracketed(host: &[u8]) -> Result<Vec<u8>, String> {
    let close = host.iter().rposition(|byte| *byte == b']').ok_or_else(|| "missing ']' in host".to_owned())?;
    let (literal, port) = (&host[1..close], &host[close + 1..]);
    check_port(port)?;
    let zone = literal.windows(3).position(|three| three == b"%25").unwrap_or(literal.len());
    let mut address = unescape(&literal[..zone], Part::Host)?;
    address.extend(unescape(&literal[zone..], Part::Zone)?);
    match parse_addr(&address) {
        Ok(Family::V6) => Ok([b"[", address.as_slice(), b"]", port].concat()),
        Ok(Family::V4) => Err("invalid IP-literal".to_owned()),
        Err(error) => Err(format!("invalid host: {error}")),
    }
}

/// `validOptionalPort`: nothing, or a colon and any number of digits, none included.
fn check_port(port: &[u8]) -> Result<(), String> {
    match port {
        [] => Ok(()),
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err(format!("invalid port {} after host", quote(port))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Host,
    Zone,
    User,
    Fragment,
}

/// `unescape`: resolve `%XX`. In a host it may only stand for bytes outside ASCII and for the percent sign.
fn unescape(text: &[u8], part: Part) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Ok(out),
            [b'%', after @ ..] => {
                let byte = hex_byte(after);
                let allowed = byte.is_some_and(|byte| match part {
                    Part::Host => byte >= 0x80 || byte == b'%',
                    Part::Zone => byte == b'%' || byte == b' ' || host_byte(byte),
                    Part::Path | Part::User | Part::Fragment => true,
                });
                match byte {
                    Some(byte) if allowed => out.push(byte),
                    _ => return Err(format!("invalid URL escape {}", quote(&rest[..rest.len().min(3)]))),
                }
                &after[2..]
            }
            [byte, after @ ..] => {
                if matches!(part, Part::Host | Part::Zone) && byte.is_ascii() && !host_byte(*byte) {
                    return Err(format!("invalid character {} in host name", quote(&[*byte])));
                }
                out.push(*byte);
                after
            }
        };
    }
}

fn hex_byte(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

/// Bytes that a host may hold as they are.
fn host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
}

fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == separator) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// `net.SplitHostPort`, and the whole text without a port where it fails, as the kubelet's `SplitURL` takes it.
pub(in crate::credential) fn split_host_port(hostport: &[u8]) -> (&[u8], &[u8]) {
    let whole = (hostport, &b""[..]);
    let Some(colon) = hostport.iter().rposition(|byte| *byte == b':') else { return whole };
    let (host, open_from, close_from) = if hostport[0] == b'[' {
        match hostport.iter().position(|byte| *byte == b']') {
            Some(end) if end + 1 == colon => (&hostport[1..end], 1, end + 1),
            _ => return whole,
        }
    } else if hostport[..colon].contains(&b':') {
        return whole;
    } else {
        (&hostport[..colon], 0, 0)
    };
    if hostport[open_from..].contains(&b'[') || hostport[close_from..].contains(&b']') {
        return whole;
    }
    (host, &hostport[colon + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(rest: &str) -> String {
        parse("https://", rest.as_bytes()).expect_err("bad input").to_string()
    }

    #[test]
    fn host_and_path_are_unescaped() {
        let url = parse("https://", b"u:p%40@gh%C3%A9.io:80/a%2Fb?q#f").expect("good input");
        assert_eq!(url, Url { host: "ghé.io:80".into(), path: "/a/b".into() });
        let url = parse("http://", b"[fe80::1%25eth%30]:1/x").expect("good input");
        assert_eq!(url, Url { host: b"[fe80::1%eth0]:1".into(), path: b"/x".into() });
    }

    #[test]
    fn errors_are_those_of_go() {
        for (rest, message) in [
            ("[10.1.2.3]", r#"parse "https://[10.1.2.3]": invalid IP-literal"#),
            ("a\u{1}b", r#"parse "https://a\x01b": net/url: invalid control character in URL"#),
            ("u s@ghcr.io", r#"parse "https://u s@ghcr.io": net/url: invalid userinfo"#),
            ("[::1%25%0a]", r#"parse "https://[::1%25%0a]": invalid URL escape "%0a""#),
            ("ghcr.io/%€", r#"parse "https://ghcr.io/%€": invalid URL escape "%\xe2\x82""#),
            ("ghcr.io/x#%", "parse \"https://ghcr.io/x#%\": invalid URL escape \"%\""),
        ] {
            assert_eq!(error(rest), message);
        }
    }

    #[test]
    fn splits_host_and_port() {
        for (hostport, host, port) in [
            ("ghcr.io", "ghcr.io", ""),
            ("ghcr.io:", "ghcr.io", ""),
            ("ghcr.io:443", "ghcr.io", "443"),
            ("[::1]", "[::1]", ""),
            ("[::1]:", "::1", ""),
            ("[::1]:5000", "::1", "5000"),
            (":", "", ""),
            ("ghcr.io]:1", "ghcr.io]:1", ""),
            ("", "", ""),
        ] {
            assert_eq!(split_host_port(hostport.as_bytes()), (host.as_bytes(), port.as_bytes()), "{hostport}");
        }
    }
}
