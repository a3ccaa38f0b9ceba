//! Rules and routes in a hurry: every duration of a rule file, or of a configuration of Prometheus or Alertmanager, divided by
//! one number, so that what takes minutes in a cluster takes seconds in a test.
//!
//! Durations are ranges (`[15m]`, in expressions and in the queries of templates) and the values of `for`, of Alertmanager's
//! waits and of Prometheus's intervals. Numbers that are compared with `time()` are moments of the real world (14 days before
//! an expiry) and stay.

use std::time::Duration;

/// Keys whose value is a duration.
const KEYS: [&str; 6] =
    ["for", "group_wait", "group_interval", "repeat_interval", "scrape_interval", "evaluation_interval"];

/// The text with every duration divided by `factor`.
pub(crate) fn hurried(text: &str, factor: u32) -> String {
    let lines = text.lines().map(|line| {
        let value = line.split_once(": ").filter(|(key, _)| KEYS.contains(&key.trim_start()));
        match value.and_then(|(key, value)| Some((key, parse(value)?))) {
            Some((key, duration)) => format!("{key}: {}ms", (duration / factor).as_millis()),
            None => ranges(line, factor),
        }
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn ranges(line: &str, factor: u32) -> String {
    let mut pieces = line.split('[');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        out.push('[');
        match piece.split_once(']').and_then(|(range, rest)| Some((parse(range)?, rest))) {
            Some((range, rest)) => out.extend([(range / factor).as_millis().to_string().as_str(), "ms]", rest]),
            None => out += piece,
        }
    }
    out
}

/// A duration with one unit, as all of ours are; `None` for any other text.
fn parse(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let seconds = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number * seconds))
}

#[test]
fn durations_are_divided_and_nothing_else_is_touched() {
    for (text, wanted) in [
        ("for: 15m", "for: 15000ms"),
        ("        for: 1h", "        for: 60000ms"),
        ("group_wait: 30s", "group_wait: 500ms"),
        (
            "max_over_time(a[15m]) and b[1d] < time() - 3600",
            "max_over_time(a[15000ms]) and b[1440000ms] < time() - 3600",
        ),
        ("printf \"x{a=%q}[1h]\" 15m", "printf \"x{a=%q}[60000ms]\" 15m"),
        ("group_by: [cluster, severity]", "group_by: [cluster, severity]"),
        ("summary: for: 5m", "summary: for: 5m"),
    ] {
        assert_eq!(hurried(text, 60).trim_end_matches('\n'), wanted);
    }
}
