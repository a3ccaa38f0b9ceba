//! The documents of `check` and `explain`: each in two spellings, JSON and YAML.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use crate::outlook::Snapshot;
use crate::outlook::view::is_hidden;
use crate::outlook::view::report::report;

/// Write the document of a snapshot as JSON.
pub fn write_json(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    json(&report(snapshot), out)
}

/// Write the document of a snapshot as YAML.
pub fn write_yaml(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    yaml(&report(snapshot), out)
}

/// Write any document as JSON. Characters that control or reorder text are escaped, since the document may end on a
/// terminal.
pub fn json(document: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string_pretty(document)?;
    let mut rest = text.as_str();
    // Between strings stands nothing but ASCII and line feeds, and line feeds in strings are escaped already.
    let hidden = |c: char| c != '\n' && is_hidden(c);
    while let Some(at) = rest.find(hidden) {
        out.write_all(&rest.as_bytes()[..at])?;
        let Some(c) = rest[at..].chars().next() else { break };
        let mut escaped = String::new();
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
        out.write_all(escaped.as_bytes())?;
        rest = &rest[at + c.len_utf8()..];
    }
    out.write_all(rest.as_bytes())?;
    out.write_all(b"\n")
}

/// Write any document as YAML.
pub fn yaml(document: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_saphyr::to_string(document).map_err(io::Error::other)?;
    out.write_all(text.as_bytes())
}
