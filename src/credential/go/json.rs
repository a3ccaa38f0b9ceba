//! Reading a JSON text as `encoding/json` does: [`parse`] checks all of it first, then values are looked at in place.

use zeroize::Zeroizing;

pub(in crate::credential) use super::json_syntax::SyntaxError;
use super::json_syntax::{check, is_space};
use super::text::push_replacing;

/// Check a text and give its value.
pub(in crate::credential) fn parse(data: &[u8]) -> Result<Value<'_>, SyntaxError> {
    check(data)?;
    Ok(Value(data.trim_ascii()))
}

/// What a value is, by the names that Go's errors give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::credential) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// The word in `json: cannot unmarshal WORD into ...`.
    pub(in crate::credential) fn word(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// A value inside a text that [`parse`] found well-formed.
#[derive(Clone, Copy)]
pub(in crate::credential) struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    pub(in crate::credential) fn kind(self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// The text of a string; empty for any other kind.
    pub(in crate::credential) fn text(self) -> Zeroizing<String> {
        match self.0 {
            [b'"', inner @ .., b'"'] => unquote(inner),
            _ => Zeroizing::new(String::new()),
        }
    }

    /// The members of an object in their order, duplicates included; none for any other kind.
    pub(in crate::credential) fn members(self) -> Members<'a> {
        match self.0 {
            [b'{', inner @ ..] => Members(inner),
            _ => Members(&[]),
        }
    }
}

/// See [`Value::members`].
pub(in crate::credential) struct Members<'a>(&'a [u8]);

impl<'a> Iterator for Members<'a> {
    type Item = (String, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = skip(self.0, |byte| is_space(byte) || byte == b',');
        if rest.first() != Some(&b'"') {
            self.0 = &[];
            return None;
        }
        let (name, rest) = rest.split_at(value_len(rest));
        let rest = skip(rest, |byte| is_space(byte) || byte == b':');
        let (value, rest) = rest.split_at(value_len(rest));
        self.0 = rest;
        Some((std::mem::take(&mut *Value(name).text()), Value(value)))
    }
}

fn skip(data: &[u8], skipped: impl Fn(u8) -> bool) -> &[u8] {
    &data[data.iter().take_while(|byte| skipped(**byte)).count()..]
}

/// The length of the value at the start of a well-formed text.
fn value_len(data: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = data.get(at) {
        at += 1;
        match byte {
            b'"' => at += string_len(&data[at..]),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => {
                return at + data[at..].iter().take_while(|byte| !is_space(**byte) && !b",}]".contains(byte)).count();
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a string behind its opening quote, closing quote included.
fn string_len(data: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = data.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    data.len()
}

/// `unquote`: escapes resolved; bytes that are not UTF-8 and lone surrogates replaced.
fn unquote(inner: &[u8]) -> Zeroizing<String> {
    // A string only shrinks unless bytes are replaced. With room for the worst, no growth leaves a copy behind.
    let room = if std::str::from_utf8(inner).is_ok() { inner.len() } else { inner.len() * 3 };
    let mut out = Zeroizing::new(String::with_capacity(room));
    let mut rest = inner;
    loop {
        let plain = rest.iter().take_while(|byte| **byte != b'\\').count();
        push_replacing(&mut out, &rest[..plain]);
        rest = &rest[plain..];
        let [_, escape, after @ ..] = rest else { return out };
        rest = after;
        out.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (c, after) = unicode_escape(rest);
                rest = after;
                c
            }
            other => char::from(*other),
        });
    }
}

/// The character of the digits behind `\u`, with the second half of a surrogate pair where there is one.
fn unicode_escape(digits: &[u8]) -> (char, &[u8]) {
    let (first, rest) = hex4(digits);
    if (0xd800..0xdc00).contains(&first)
        && let [b'\\', b'u', second @ ..] = rest
    {
        let (second, after) = hex4(second);
        if (0xdc00..0xe000).contains(&second) {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), after);
        }
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), rest)
}

fn hex4(digits: &[u8]) -> (u32, &[u8]) {
    let (four, rest) = digits.split_at(digits.len().min(4));
    (four.iter().fold(0, |code, digit| code << 4 | char::from(*digit).to_digit(16).unwrap_or(0)), rest)
}

/// Whether a member's name stands for a field: without regard to case, and with the two characters outside ASCII that
/// fold to ASCII letters, U+017F to `s` and U+212A to `k`.
pub(in crate::credential) fn names_field(name: &str, field: &str) -> bool {
    let folded = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => c.to_ascii_lowercase(),
    };
    name.chars().map(folded).eq(field.chars().map(folded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Vec<(String, String)> {
        let value = parse(text.as_bytes()).expect("good input");
        value.members().map(|(name, value)| (name, String::from_utf8_lossy(value.0).into_owned())).collect()
    }

    #[test]
    fn members_are_cut_exactly() {
        assert_eq!(
            members(r#" { "a" : 1 ,"b":{"x":"}\"]"} , "c":[ {"d":"]"} ],"d":null,"e":"\\" } "#),
            [("a", "1"), ("b", r#"{"x":"}\"]"}"#), ("c", r#"[ {"d":"]"} ]"#), ("d", "null"), ("e", r#""\\""#)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(members("{}"), []);
        assert_eq!(members("[1]"), []);
    }

    #[test]
    fn strings_are_read_as_go_reads_them() {
        let text = |json: &str| parse(json.as_bytes()).expect("good input").text().to_string();
        assert_eq!(text(r#""\"\\\/\b\f\n\r\t\u00e9""#), "\"\\/\u{8}\u{c}\n\r\té");
        assert_eq!(text(r#""\ud83d\ude00""#), "😀");
        assert_eq!(text(r#""\ud83dx\ude00\ud800\ud800\udc00""#), "\u{fffd}x\u{fffd}\u{fffd}\u{10000}");
        assert_eq!(text(r#""\ud83d\u0041""#), "\u{fffd}A");
    }

    #[test]
    fn field_names_fold() {
        assert!(names_field("pa\u{17f}\u{17f}WORD", "password"));
        assert!(names_field("Identityto\u{212a}en", "identitytoken"));
        assert!(!names_field("auths ", "auths"));
        assert!(!names_field("аuth", "auth"));
    }
}
