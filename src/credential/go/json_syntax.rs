//! `checkValid` of `encoding/json`: is a text well-formed, and if not, what does Go say about it. A state machine over
//! bytes, so that depth costs memory on the heap and never stack.

use super::text::quote_char;

/// Go's `maxNestingDepth`.
const MAX_DEPTH: usize = 10_000;

/// What is wrong with the text, in Go's words, and how many bytes were read before it showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::credential) struct SyntaxError {
    pub(in crate::credential) message: String,
    pub(in crate::credential) offset: usize,
}

/// Check a whole text.
pub(super) fn check(data: &[u8]) -> Result<(), SyntaxError> {
    let mut scanner = Scanner { state: State::BeginValue, open: Vec::new() };
    for (offset, byte) in data.iter().enumerate() {
        scanner.step(*byte).map_err(|context| SyntaxError {
            message: format!("invalid character {} {context}", quote_char(*byte)),
            offset,
        })?;
    }
    // At the end Go feeds one more blank, which completes a number and shows every other half-read literal as an error.
    match scanner.step(b' ') {
        Ok(()) if scanner.state == State::EndTop => Ok(()),
        Ok(()) => Err(SyntaxError { message: "unexpected end of JSON input".to_owned(), offset: data.len() }),
        Err(context) => Err(SyntaxError { message: format!("invalid character ' ' {context}"), offset: data.len() }),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BeginValue,
    BeginValueOrEmpty,
    BeginKey,
    BeginKeyOrEmpty,
    EndValue,
    EndTop,
    InString,
    Escape,
    /// In `\u`, with so many hexadecimal digits read.
    EscapeHex(u8),
    Minus,
    Zero,
    Digits,
    Dot,
    DotDigits,
    Exponent,
    ExponentSign,
    ExponentDigits,
    /// In a literal, with so many bytes read.
    Literal(&'static str, u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Key,
    Value,
    Array,
}

type Context = std::borrow::Cow<'static, str>;

struct Scanner {
    state: State,
    open: Vec<Open>,
}

impl Scanner {
    /// Take one byte. The error is what Go writes behind the character.
    fn step(&mut self, byte: u8) -> Result<(), Context> {
        let next = match self.state {
            State::BeginValueOrEmpty if byte == b']' => return self.end_value(byte),
            State::BeginValue | State::BeginValueOrEmpty => return self.begin_value(byte),
            State::BeginKeyOrEmpty if byte == b'}' => {
                if let Some(open) = self.open.last_mut() {
                    *open = Open::Value;
                }
                return self.end_value(byte);
            }
            State::BeginKey | State::BeginKeyOrEmpty => match byte {
                _ if is_space(byte) => self.state,
                b'"' => State::InString,
                _ => return Err("looking for beginning of object key string".into()),
            },
            State::EndValue => return self.end_value(byte),
            State::EndTop => match byte {
                _ if is_space(byte) => State::EndTop,
                _ => return Err("after top-level value".into()),
            },
            State::InString => match byte {
                b'"' => State::EndValue,
                b'\\' => State::Escape,
                0..0x20 => return Err("in string literal".into()),
                _ => State::InString,
            },
            State::Escape => match byte {
                b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => State::InString,
                b'u' => State::EscapeHex(0),
                _ => return Err("in string escape code".into()),
            },
            State::EscapeHex(read) => match byte {
                b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' if read == 3 => State::InString,
                b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => State::EscapeHex(read + 1),
                _ => return Err("in \\u hexadecimal character escape".into()),
            },
            State::Minus => match byte {
                b'0' => State::Zero,
                b'1'..=b'9' => State::Digits,
                _ => return Err("in numeric literal".into()),
            },
            State::Digits if byte.is_ascii_digit() => State::Digits,
            State::Digits | State::Zero => match byte {
                b'.' => State::Dot,
                b'e' | b'E' => State::Exponent,
                _ => return self.end_value(byte),
            },
            State::Dot => match byte {
                b'0'..=b'9' => State::DotDigits,
                _ => return Err("after decimal point in numeric literal".into()),
            },
            State::DotDigits => match byte {
                b'0'..=b'9' => State::DotDigits,
                b'e' | b'E' => State::Exponent,
                _ => return self.end_value(byte),
            },
            State::Exponent if matches!(byte, b'+' | b'-') => State::ExponentSign,
            State::Exponent | State::ExponentSign => match byte {
                b'0'..=b'9' => State::ExponentDigits,
                _ => return Err("in exponent of numeric literal".into()),
            },
            State::ExponentDigits => match byte {
                b'0'..=b'9' => State::ExponentDigits,
                _ => return self.end_value(byte),
            },
            State::Literal(word, read) => {
                let expected = word.as_bytes()[usize::from(read)];
                if byte != expected {
                    return Err(format!("in literal {word} (expecting '{}')", char::from(expected)).into());
                }
                if usize::from(read) + 1 == word.len() { State::EndValue } else { State::Literal(word, read + 1) }
            }
        };
        self.state = next;
        Ok(())
    }

    fn begin_value(&mut self, byte: u8) -> Result<(), Context> {
        self.state = match byte {
            // The place keeps its meaning: `[ ]` is as empty as `[]`.
            _ if is_space(byte) => return Ok(()),
            b'{' => return self.open(Open::Key, State::BeginKeyOrEmpty),
            b'[' => return self.open(Open::Array, State::BeginValueOrEmpty),
            b'"' => State::InString,
            b'-' => State::Minus,
            b'0' => State::Zero,
            b'1'..=b'9' => State::Digits,
            b't' => State::Literal("true", 1),
            b'f' => State::Literal("false", 1),
            b'n' => State::Literal("null", 1),
            _ => return Err("looking for beginning of value".into()),
        };
        Ok(())
    }

    fn open(&mut self, what: Open, state: State) -> Result<(), Context> {
        if self.open.len() == MAX_DEPTH {
            return Err("exceeded max depth".into());
        }
        self.open.push(what);
        self.state = state;
        Ok(())
    }

    fn end_value(&mut self, byte: u8) -> Result<(), Context> {
        let Some(open) = self.open.last_mut() else {
            self.state = State::EndTop;
            return self.step(byte);
        };
        if is_space(byte) {
            self.state = State::EndValue;
            return Ok(());
        }
        self.state = match (*open, byte) {
            (Open::Key, b':') => {
                *open = Open::Value;
                State::BeginValue
            }
            (Open::Value, b',') => {
                *open = Open::Key;
                State::BeginKey
            }
            (Open::Array, b',') => State::BeginValue,
            (Open::Value, b'}') | (Open::Array, b']') => {
                self.open.pop();
                if self.open.is_empty() { State::EndTop } else { State::EndValue }
            }
            (Open::Key, _) => return Err("after object key".into()),
            (Open::Value, _) => return Err("after object key:value pair".into()),
            (Open::Array, _) => return Err("after array element".into()),
        };
        Ok(())
    }
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        check(text.as_bytes()).expect_err("bad input").message
    }

    #[test]
    fn takes_what_go_takes() {
        for text in ["{}", " [ ] ", "-0.5e+7", "\"\\u00e9\"", "[1,{\"a\":[null,true,false]}]\n", "1e400", "{\"a\":0 }"]
        {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn refuses_in_the_words_of_go() {
        for (text, message) in [
            ("", "unexpected end of JSON input"),
            ("{\"a\":-", "invalid character ' ' in numeric literal"),
            ("tru", "invalid character ' ' in literal true (expecting 'e')"),
            ("nul!", "invalid character '!' in literal null (expecting 'l')"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1e+", "invalid character ' ' in exponent of numeric literal"),
            ("\"\\", "invalid character ' ' in string escape code"),
            ("\"a", "unexpected end of JSON input"),
            ("[,]", "invalid character ',' looking for beginning of value"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{} {}", "invalid character '{' after top-level value"),
        ] {
            assert_eq!(error(text), message, "{text}");
        }
    }

    #[test]
    fn depth_is_counted_not_recursed() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check(nested(10_000).as_bytes()), Ok(()));
        assert_eq!(error(&nested(10_001)), "invalid character '[' exceeded max depth");
        assert_eq!(error(&"{\"a\":".repeat(1_000_000)), "invalid character '{' exceeded max depth");
    }
}
