//! How long the other side asks us to wait: `Retry-After` (RFC 9110, 10.2.3) and ghcr.io's Go duration in the body.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::HeaderMap;
use http::header::{AGE, DATE, RETRY_AFTER};

/// No wait that another side names is believed past a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// The `Date` header.
pub(crate) fn server_date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// The `Date` header of an answer that tells the time: one that a cache kept for a while (`Age`, RFC 9111, 5.1) is of another
/// time, and may be of another clock.
pub(crate) fn clock_date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let fresh = headers.get(AGE).is_none_or(|age| age.to_str().is_ok_and(|age| age.trim() == "0"));
    server_date(headers).filter(|_| fresh)
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    if text.len() > 64 {
        return None;
    }
    DateTime::parse_from_rfc2822(text.trim()).ok().map(|date| date.to_utc())
}

/// `Retry-After` in either form; a date counts from the server's own `Date`, else from `now`.
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are a very long wait.
        return Some(text.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let until = http_date(text)?;
    let from = server_date(headers).unwrap_or(now);
    Some((until - from).to_std().unwrap_or(Duration::ZERO).min(LONGEST))
}

/// The duration behind `retry-after:` in an error text: `toomanyrequests: retry-after: 880.092µs, allowed: ...`.
pub(crate) fn retry_after_in_text(text: &str) -> Option<Duration> {
    const KEY: &str = "retry-after:";
    let at = text.as_bytes().windows(KEY.len()).position(|window| window.eq_ignore_ascii_case(KEY.as_bytes()))?;
    let rest = text[at + KEY.len()..].trim_start();
    let end = rest.find(|c: char| c == ',' || c == '"' || c.is_whitespace()).unwrap_or(rest.len());
    let word = &rest[..end];
    go_duration(word).or_else(|| word.parse().ok().map(Duration::from_secs)).map(|wait| wait.min(LONGEST))
}

/// A duration as Go prints it (`time.Duration.String`): `1h2m3.5s`, `880.092µs`, `0s`. `None` for anything else,
/// negative ones among it.
pub(crate) fn go_duration(text: &str) -> Option<Duration> {
    if text.is_empty() || text.len() > 64 {
        return None;
    }
    let mut seconds = 0.0_f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number * unit;
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn headers(retry: &str, date: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(retry).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        headers
    }

    #[test]
    fn a_date_that_a_cache_kept_tells_no_clock() {
        let date = "Wed, 21 Oct 2015 07:27:30 GMT";
        for (age, told) in
            [(None, true), (Some("0"), true), (Some("1"), false), (Some("86400"), false), (Some("x"), false)]
        {
            let mut headers = headers("0", Some(date));
            headers.extend(age.map(|age| (AGE, HeaderValue::from_static(age))));
            assert_eq!(clock_date(&headers).is_some(), told, "{age:?}");
            assert!(server_date(&headers).is_some());
        }
    }

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        let now = at("2026-01-01T00:00:00Z");
        let date = Some("Wed, 21 Oct 2015 07:27:30 GMT");
        assert_eq!(retry_after(&headers("120", None), now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(&headers("0", None), now), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers("Wed, 21 Oct 2015 07:28:00 GMT", date), now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&headers("Wed, 21 Oct 2015 07:27:00 GMT", date), now), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers("Thu, 01 Jan 2026 00:01:00 GMT", None), now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after(&headers("99999999999999999999999", None), now), Some(LONGEST));
        assert_eq!(retry_after(&headers("31536000", None), now), Some(LONGEST));
        for bad in ["", "soon", "-5", "1.5", "+3"] {
            assert_eq!(retry_after(&headers(bad, None), now), None, "{bad}");
        }
    }

    #[test]
    fn the_wait_in_the_body_of_ghcr() {
        for (text, nanos) in [
            ("toomanyrequests: retry-after: 880.092µs, allowed: 44000/minute", 880_092),
            ("retry-after: 1.16676ms, allowed: 44000/minute", 1_166_760),
            ("Retry-After: 2s", 2_000_000_000),
            ("x retry-after:30", 30_000_000_000),
        ] {
            assert_eq!(retry_after_in_text(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for bad in ["", "retry-after:", "retry-after: soon", "retry-after: -3s", "allowed: 3s"] {
            assert_eq!(retry_after_in_text(bad), None, "{bad}");
        }
    }

    #[test]
    fn go_durations() {
        for (text, seconds) in [("0s", 0.0), ("1h2m3.5s", 3723.5), ("1.5h", 5400.0), ("250ms", 0.25), ("3us", 3e-6)] {
            assert_eq!(go_duration(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for bad in ["", "5", "s", "1x", "1..2s", ".s", "-1s", "1h-2m", "1e300h"] {
            assert_eq!(go_duration(bad), None, "{bad}");
        }
        assert_eq!(go_duration(&"9".repeat(100)), None);
    }

    proptest! {
        #[test]
        fn never_panic(text in r"[0-9.hmnsuµμ ,a-c:-]{0,80}", any in ".{0,80}") {
            let _ = go_duration(&text);
            let _ = retry_after_in_text(&format!("retry-after:{text}"));
            let _ = (go_duration(&any), retry_after_in_text(&any), http_date(&any));
        }

        #[test]
        fn any_header_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.insert(RETRY_AFTER, value.clone());
                headers.insert(DATE, value);
                let _ = (retry_after(&headers, DateTime::UNIX_EPOCH), server_date(&headers));
            }
        }

        #[test]
        fn whole_milliseconds_come_back(ms in 0_u64..10_000_000) {
            let text = format!("{}m{}.{:03}s", ms / 60_000, ms / 1000 % 60, ms % 1000);
            let found = go_duration(&text).unwrap();
            prop_assert!(found.abs_diff(Duration::from_millis(ms)) < Duration::from_micros(1));
        }
    }
}
