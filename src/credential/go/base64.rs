//! `encoding/base64`: the standard alphabet, padded or raw, not strict, `\r` and `\n` skipped wherever they stand.

use zeroize::Zeroizing;

/// The place of the first byte that does not belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::credential) struct CorruptInput(usize);

impl std::fmt::Display for CorruptInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "illegal base64 data at input byte {}", self.0)
    }
}

/// Whether the text must end in padding (`base64.StdEncoding`) or must not (`base64.RawStdEncoding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::credential) enum Padding {
    Required,
    Forbidden,
}

/// `Encoding.DecodeString`.
pub(in crate::credential) fn decode(input: &[u8], padding: Padding) -> Result<Zeroizing<Vec<u8>>, CorruptInput> {
    // Room for all of it at once, so that no growth leaves a copy behind that nobody wipes.
    let mut out = Zeroizing::new(Vec::with_capacity(input.len() / 4 * 3 + 3));
    let mut at = 0;
    while at < input.len() {
        at = quantum(input, at, padding, &mut out)?;
    }
    Ok(out)
}

/// `decodeQuantum`: up to four digits into up to three bytes; returns where the next one starts.
fn quantum(input: &[u8], mut at: usize, padding: Padding, out: &mut Vec<u8>) -> Result<usize, CorruptInput> {
    let mut digits = [0_u8; 4];
    let mut count = 0;
    while count < 4 {
        let Some(&byte) = input.get(at) else {
            match count {
                0 => return Ok(at),
                1 => return Err(CorruptInput(at - 1)),
                _ if padding == Padding::Required => return Err(CorruptInput(at - count)),
                _ => break,
            }
        };
        at += 1;
        if let Some(digit) = digit(byte) {
            digits[count] = digit;
            count += 1;
        } else if is_newline(byte) {
        } else if byte == b'=' && padding == Padding::Required && count >= 2 {
            if count == 2 {
                at = skip_newlines(input, at);
                match input.get(at) {
                    None => return Err(CorruptInput(input.len())),
                    Some(b'=') => at += 1,
                    Some(_) => return Err(CorruptInput(at - 1)),
                }
            }
            at = skip_newlines(input, at);
            if at < input.len() {
                return Err(CorruptInput(at));
            }
            break;
        } else {
            return Err(CorruptInput(at - 1));
        }
    }
    let value = digits.iter().fold(0_u32, |value, digit| value << 6 | u32::from(*digit));
    out.extend_from_slice(&value.to_be_bytes()[1..][..count.saturating_sub(1)]);
    Ok(at)
}

fn skip_newlines(input: &[u8], at: usize) -> usize {
    at + input[at..].iter().take_while(|byte| is_newline(**byte)).count()
}

fn is_newline(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_go_decodes() {
        for text in ["Zm9vOmJhcg==", "Zm9vOm\nJhcg==\n", "Zm9vOmJhcg=\r\n=", "Zm9vOmJhch=="] {
            assert_eq!(
                decode(text.as_bytes(), Padding::Required).expect("good input").as_slice(),
                b"foo:bar",
                "{text:?}"
            );
        }
        for text in ["Zm9vOmJhcg", "\nZm9vOmJhcg\n", "Zm9vOmJhch"] {
            assert_eq!(
                decode(text.as_bytes(), Padding::Forbidden).expect("good input").as_slice(),
                b"foo:bar",
                "{text:?}"
            );
        }
        assert_eq!(decode(b"", Padding::Forbidden).expect("good input").as_slice(), b"");
        assert_eq!(decode(b"\n\r", Padding::Required).expect("good input").as_slice(), b"");
    }

    #[test]
    fn names_the_byte_that_go_names() {
        for (text, at) in
            [("=", 0), ("Zm9vOmJhcg=", 11), ("YWJjOmRl====", 8), ("Zm8=OmJh", 4), ("Zm9vOmJhcg==Zg==", 12)]
        {
            assert_eq!(decode(text.as_bytes(), Padding::Required), Err(CorruptInput(at)), "{text}");
        }
        for (text, at) in [("pants", 4), ("Z", 0), ("Zm9v\u{ff}", 4), ("YTo-Pj4_", 3), ("  ", 0)] {
            assert_eq!(decode(text.as_bytes(), Padding::Forbidden), Err(CorruptInput(at)), "{text}");
        }
    }
}
