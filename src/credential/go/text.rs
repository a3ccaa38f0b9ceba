//! `strconv.Quote`, `strings.ToLower` and the way Go reads text that is not UTF-8.

use std::fmt::Write as _;

/// `strconv.Quote` (`%q`) of bytes.
pub(in crate::credential) fn quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut out, c);
        }
        for byte in chunk.invalid() {
            push(&mut out, format_args!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

/// How `encoding/json` shows the byte that it stumbled over: as the character of that number, in single quotes.
pub(super) fn quote_char(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => r#"'"'"#.to_owned(),
        _ => {
            let mut out = String::from("'");
            push_escaped(&mut out, char::from(byte));
            out.push('\'');
            out
        }
    }
}

/// Bytes as Go's JSON reader takes them: every byte that is no part of valid UTF-8 becomes one U+FFFD.
pub(super) fn push_replacing(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for _ in chunk.invalid() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// `strings.ToLower`: rune by rune, without the cases in which one character becomes several.
pub(in crate::credential) fn to_lower(text: &str) -> String {
    text.chars().map(lower).collect()
}

fn lower(c: char) -> char {
    match c {
        // The only character whose full mapping has two characters; the simple one has the first.
        '\u{130}' => 'i',
        _ => c.to_lowercase().next().unwrap_or(c),
    }
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        ' '..='~' => out.push(c),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        '\0'..'\u{80}' => push(out, format_args!("\\x{:02x}", u32::from(c))),
        _ if is_print(c) => out.push(c),
        '\0'..'\u{10000}' => push(out, format_args!("\\u{:04x}", u32::from(c))),
        _ => push(out, format_args!("\\U{:08x}", u32::from(c))),
    }
}

/// `strconv.IsPrint` outside ASCII: letters, marks, numbers, punctuation, symbols. The standard library decides the same
/// question for `escape_debug`; the `x` before it keeps it from escaping combining marks as well.
fn is_print(c: char) -> bool {
    let mut buffer = [b'x', 0, 0, 0, 0];
    let end = 1 + c.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..end]).is_ok_and(|pair| pair.escape_debug().nth(1) == Some(c))
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_strconv_does() {
        assert_eq!(quote(b"a\"b\\c\n\x00\x7f"), r#""a\"b\\c\n\x00\x7f""#);
        assert_eq!(quote("é ї\u{301}😀".as_bytes()), "\"é ї\u{301}😀\"");
        assert_eq!(quote("\u{a0}\u{200b}\u{feff}\u{e0001}".as_bytes()), r#""\u00a0\u200b\ufeff\U000e0001""#);
        assert_eq!(quote(b"a\xff\xc3"), r#""a\xff\xc3""#);
        assert_eq!(quote("\u{fffd}".as_bytes()), "\"\u{fffd}\"");
    }

    #[test]
    fn shows_a_byte_as_the_character_of_its_number() {
        assert_eq!(quote_char(0xef), "'ï'");
        assert_eq!(quote_char(0xa0), r"'\u00a0'");
        assert_eq!(quote_char(0xad), r"'\u00ad'");
        assert_eq!(quote_char(0x80), r"'\u0080'");
        assert_eq!(quote_char(b'\\'), r"'\\'");
        assert_eq!(quote_char(b'\''), r"'\''");
        assert_eq!(quote_char(b'"'), "'\"'");
    }

    #[test]
    fn lowers_rune_by_rune() {
        assert_eq!(to_lower("ÄB\u{212a}\u{130}Σ"), "äbkiσ");
    }

    #[test]
    fn replaces_byte_by_byte() {
        let mut out = String::new();
        push_replacing(&mut out, b"a\xf0\x9f\x98b\xed\xa0\x80");
        assert_eq!(out, "a\u{fffd}\u{fffd}\u{fffd}b\u{fffd}\u{fffd}\u{fffd}");
    }
}
