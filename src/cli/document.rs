//! `check -o json` and `check -o yaml`: one document, two spellings.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::outlook::Snapshot;
use crate::outlook::view::is_hidden;
use crate::outlook::view::report::report;

/// Write the document as JSON. Characters that control or reorder text are escaped, since the document may end on a
/// terminal.
pub fn write_json(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string_pretty(&report(snapshot))?;
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

/// Write the document as YAML.
pub fn write_yaml(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_saphyr::to_string(&report(snapshot)).map_err(io::Error::other)?;
    out.write_all(text.as_bytes())
}
