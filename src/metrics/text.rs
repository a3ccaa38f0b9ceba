//! The text format 0.0.4, as <https://prometheus.io/docs/instrumenting/exposition_formats/> has it, appended to a
//! string without an allocation per series.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::about::About;

/// The `HELP` and `TYPE` lines of a family. Help texts are ours and need no escape.
pub(super) fn header(out: &mut String, about: &About) {
    for part in ["# HELP ", about.name, " ", about.help, "\n# TYPE ", about.name, " ", about.kind.as_str(), "\n"] {
        out.push_str(part);
    }
}

/// Appends series of one family.
pub(super) struct Series<'a> {
    out: &'a mut String,
    name: &'static str,
}

impl<'a> Series<'a> {
    pub(super) fn new(out: &'a mut String, name: &'static str) -> Self {
        Self { out, name }
    }

    /// One series: labels in the order of the two lists, so that a family can share the front of its label set.
    pub(super) fn push(&mut self, front: &[(&str, &str)], back: &[(&str, &str)], value: Value) {
        self.out.push_str(self.name);
        let mut separator = '{';
        for (label, text) in front.iter().chain(back) {
            self.out.push(separator);
            self.out.push_str(label);
            self.out.push_str("=\"");
            escape(self.out, text);
            self.out.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.out.push('}');
        }
        self.out.push(' ');
        value.write(self.out);
        self.out.push('\n');
    }
}

/// A sample's value.
#[derive(Clone, Copy)]
pub(super) enum Value {
    Count(u64),
    Seconds(i64),
    Float(f64),
}

impl Value {
    pub(super) const ONE: Self = Self::Count(1);

    pub(super) fn flag(flag: bool) -> Self {
        Self::Count(u64::from(flag))
    }

    pub(super) fn count(count: usize) -> Self {
        Self::Count(count as u64)
    }

    /// A moment, in whole seconds since the epoch.
    pub(super) fn at(at: DateTime<Utc>) -> Self {
        Self::Seconds(at.timestamp())
    }

    fn write(self, out: &mut String) {
        let mut digits = itoa::Buffer::new();
        // Writing to a string cannot fail.
        let _ = match self {
            // There are hundreds of thousands of numbers in a scrape, and this is faster than a formatter.
            Self::Count(value) => out.write_str(digits.format(value)),
            Self::Seconds(value) => out.write_str(digits.format(value)),
            Self::Float(value) if value.is_nan() => out.write_str("NaN"),
            Self::Float(value) if value.is_infinite() => out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" }),
            Self::Float(value) => write!(out, "{value}"),
        };
    }
}

/// A label value: backslash, double quote and line feed are escaped, everything else stands as it is.
fn escape(out: &mut String, text: &str) {
    // Hardly any text has one of them, and to look at all bytes at once is faster than to stop at the first.
    if !text.bytes().fold(false, |found, byte| found | matches!(byte, b'\\' | b'"' | b'\n')) {
        out.push_str(text);
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'"' => "\\\"",
            _ => "\\n",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(value: Value) -> String {
        let mut out = String::new();
        Series::new(&mut out, "m").push(&[], &[], value);
        out
    }

    #[test]
    fn values_are_as_prometheus_reads_them() {
        assert_eq!(line(Value::Count(0)), "m 0\n");
        assert_eq!(line(Value::Count(u64::MAX)), "m 18446744073709551615\n");
        assert_eq!(line(Value::Seconds(i64::MIN)), "m -9223372036854775808\n");
        assert_eq!(line(Value::Seconds(-5)), "m -5\n");
        assert_eq!(line(Value::Float(1.5)), "m 1.5\n");
        assert_eq!(line(Value::Float(f64::NAN)), "m NaN\n");
        assert_eq!(line(Value::Float(f64::INFINITY)), "m +Inf\n");
        assert_eq!(line(Value::Float(f64::NEG_INFINITY)), "m -Inf\n");
    }

    #[test]
    fn label_values_are_escaped() {
        let mut out = String::new();
        Series::new(&mut out, "m").push(&[("a", "x\\y\"z\nw")], &[("b", "ü\t\u{1b}")], Value::ONE);
        assert_eq!(out, "m{a=\"x\\\\y\\\"z\\nw\",b=\"ü\t\u{1b}\"} 1\n");
    }
}
