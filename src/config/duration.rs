//! Durations as Prometheus writes them: `10m`, `1h30m`, `14d`.

use std::time::Duration;

use serde::Deserialize;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("a duration is missing: write for example `30s`, `10m`, `1h30m` or `14d`")]
    Empty,
    /// A number without a unit, or a unit without a number.
    #[error("`{0}` is no duration: write a number and a unit (ms, s, m, h, d, w), for example `10m` or `1h30m`")]
    Malformed(String),
    /// More than a century.
    #[error("`{0}` is too long for a duration: at most 36500d")]
    TooLong(String),
}

const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
const LONGEST_MS: u64 = 36_500 * 86_400_000;

/// Parse a duration of one or more numbers with units, the largest first as in Prometheus (`1h30m`). A plain `0` is a
/// duration too.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let malformed = || DurationError::Malformed(text.chars().take(40).collect());
    let too_long = || DurationError::TooLong(text.chars().take(40).collect());
    let mut rest = text;
    let mut total: u64 = 0;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(malformed());
        }
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms).ok_or_else(malformed)?;
        if factor >= last_unit {
            return Err(malformed());
        }
        last_unit = factor;
        let number: u64 = number.parse().map_err(|_| too_long())?;
        total = number.checked_mul(factor).and_then(|ms| total.checked_add(ms)).ok_or_else(too_long)?;
        rest = tail;
    }
    if total > LONGEST_MS {
        return Err(too_long());
    }
    Ok(Duration::from_millis(total))
}

/// For `#[serde(with = "duration")]`.
pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", 0)]
    #[case("250ms", 250)]
    #[case("30s", 30_000)]
    #[case("10m", 600_000)]
    #[case("1h30m", 5_400_000)]
    #[case("14d", 14 * 86_400_000)]
    #[case("2w", 14 * 86_400_000)]
    #[case(" 5s ", 5_000)]
    fn reads(#[case] text: &str, #[case] ms: u64) {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)));
    }

    #[rstest]
    #[case("")]
    #[case("10")]
    #[case("m")]
    #[case("-1m")]
    #[case("1.5h")]
    #[case("1m1h")]
    #[case("1m1m")]
    #[case("10 m")]
    #[case("5y")]
    #[case("99999999999999999999s")]
    #[case("99999999999w")]
    #[case("36501d")]
    fn refuses(#[case] text: &str) {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}
