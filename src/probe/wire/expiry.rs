//! The header `GitHub-Authentication-Token-Expiration`, in both its forms.

use chrono::{DateTime, NaiveDateTime, Utc};

/// `2021-09-03 02:34:04 UTC` (classic tokens) or `2023-04-26 20:23:26 +0200` (all others), as go-github's
/// `parseTokenExpiration` reads them. `None` for anything else.
pub(crate) fn parse(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    if let Some(naive) = text.strip_suffix("UTC").or_else(|| text.strip_suffix("GMT")) {
        return Some(NaiveDateTime::parse_from_str(naive.trim_end(), "%Y-%m-%d %H:%M:%S").ok()?.and_utc());
    }
    Some(DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S %z").ok()?.to_utc())
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms() {
        for (text, expected) in [
            ("2021-09-03 02:34:04 UTC", "2021-09-03T02:34:04Z"),
            ("2023-04-26 20:23:26 +0200", "2023-04-26T18:23:26Z"),
            ("2023-04-26 20:23:26 -0730", "2023-04-27T03:53:26Z"),
            (" 2021-09-03 14:34:04 UTC ", "2021-09-03T14:34:04Z"),
        ] {
            assert_eq!(parse(text), Some(expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn nothing_else() {
        for bad in [
            "",
            "never",
            "2021-09-03",
            "2021-09-03 02:34:04",
            "2021-02-30 02:34:04 UTC",
            "2021-09-03 25:34:04 UTC",
            "2021-09-03T02:34:04Z",
            "2021-09-03 02:34:04 CEST",
            "99999999-01-01 00:00:00 UTC",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(any in ".{0,80}", near in r"[0-9]{1,6}-[0-9]{1,3}-[0-9]{1,3} [0-9:]{1,9} ?(UTC|[+-][0-9]{0,5})") {
            let _ = (parse(&any), parse(&near));
        }

        #[test]
        fn dates_come_back(seconds in 0_i64..4_102_444_800, hours in -12_i32..=14) {
            let date = Utc.timestamp_opt(seconds, 0).unwrap();
            prop_assert_eq!(parse(&date.format("%Y-%m-%d %H:%M:%S UTC").to_string()), Some(date));
            let local = date.with_timezone(&chrono::FixedOffset::east_opt(hours * 3600).unwrap());
            prop_assert_eq!(parse(&local.format("%Y-%m-%d %H:%M:%S %z").to_string()), Some(date));
        }
    }
}
