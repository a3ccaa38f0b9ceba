//! The text of a state.
//!
//! ```text
//! pull-patrol state 1 0123456789abcdef
//! 00112233445566778899aabbccddeeff {"saved":1,"told":1,"set":[...],"gone":[...]}
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::{Change, Contents};
use crate::plan::Identifier;
use crate::verdict::memory::{Record, Stamp};

/// The version of the format that is written, and the newest that is read.
pub const VERSION: u32 = 1;
const MAGIC: &str = "pull-patrol state ";
/// Hexadecimal digits of a seal.
const SEAL: usize = 32;

/// Why a state is not taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is something else.
    #[error("it is no state of pull-patrol")]
    Foreign,
    /// A later version wrote it.
    #[error("it is of version {found}, and this program reads versions up to {VERSION}: a later pull-patrol wrote it")]
    Newer {
        /// The version that it names.
        found: String,
    },
    /// Its hashes were made with another key.
    #[error("its hashes were made with another key: give back the former `tokenIdKeyFile` to use it")]
    OtherKey,
    /// It is not as it was written.
    #[error("it is damaged in line {line}")]
    Corrupt {
        /// Counted from 1.
        line: usize,
    },
}

impl Refused {
    /// The label `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Newer { .. } => "newer_version",
            Self::OtherKey => "other_key",
            Self::Corrupt { .. } => "corrupt",
        }
    }
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// What the state holds.
    pub contents: Contents,
    /// Whether its last line was cut short: the process ended while it wrote it.
    pub torn: bool,
    /// Records by their keys, as they stand in the text.
    pub(super) texts: BTreeMap<String, String>,
}

/// Writes lines, each sealed over all before it.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    identifier: Identifier,
    last: Vec<u8>,
}

impl Chain {
    /// A chain from its start, with the first line of its text.
    pub(super) fn start(identifier: &Identifier, purpose: &str) -> (Self, String) {
        let header = format!("{MAGIC}{VERSION} {:016x}{purpose}\n", identifier.mark());
        (Self { identifier: identifier.clone(), last: header.clone().into_bytes() }, header)
    }

    /// The next line.
    pub(super) fn line(&mut self, change: &Change) -> String {
        let json = json(change);
        let seal = self.identifier.seal(&self.last, json.as_bytes());
        self.last = seal.0.to_vec();
        format!("{seal} {json}\n")
    }

    /// Whether this is the next line (without its end); its JSON.
    fn check<'l>(&mut self, line: &'l [u8]) -> Option<&'l [u8]> {
        let (seal, json) = (line.get(..SEAL)?, line.get(SEAL + 1..)?);
        let expected = self.identifier.seal(&self.last, json);
        if line[SEAL] != b' ' || seal != expected.to_string().as_bytes() {
            return None;
        }
        self.last = expected.0.to_vec();
        Some(json)
    }
}

/// A change as JSON in one line. Records and keys are JSON already, or become it here.
fn json(change: &Change) -> String {
    let records: usize = change.set.iter().map(|(_, text)| text.len() + 1).sum();
    let mut out = String::with_capacity(records + 128);
    // Writing to a string cannot fail.
    let _ = write!(out, "{{\"saved\":{},\"told\":{},\"all\":{},\"set\":[", change.saved.0, change.told.0, change.all);
    for (place, (_, text)) in change.set.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push_str(text);
    }
    out.push_str("],\"gone\":");
    out.push_str(&serde_json::Value::from(change.gone.clone()).to_string());
    out.push('}');
    out
}

#[derive(Deserialize)]
struct Line<'a> {
    saved: Stamp,
    told: Stamp,
    all: bool,
    #[serde(borrow)]
    set: Vec<&'a serde_json::value::RawValue>,
    gone: Vec<String>,
}

/// Read a state, and the chain that its next line continues.
pub(super) fn read(text: &[u8], identifier: &Identifier, purpose: &str) -> Result<(Loaded, Chain), Refused> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').peekable();
    let (mut chain, header) = Chain::start(identifier, purpose);
    check_header(lines.next().unwrap_or_default(), header.as_bytes())?;
    let mut loaded = Loaded::default();
    let mut texts: BTreeMap<String, (String, Record)> = BTreeMap::new();
    let mut any = false;
    let mut number = 1;
    while let Some(line) = lines.next() {
        number += 1;
        let corrupt = Refused::Corrupt { line: number };
        let Some(json) = line.strip_suffix(b"\n").and_then(|line| chain.check(line)) else {
            if any && lines.peek().is_none() {
                loaded.torn = true;
                break;
            }
            return Err(corrupt);
        };
        let parsed: Line<'_> = serde_json::from_slice(json).map_err(|_| corrupt.clone())?;
        if parsed.all {
            texts.clear();
        }
        for raw in parsed.set {
            let record: Record = serde_json::from_str(raw.get()).map_err(|_| corrupt.clone())?;
            texts.insert(record.key(), (raw.get().to_owned(), record));
        }
        for key in &parsed.gone {
            texts.remove(key);
        }
        (loaded.contents.saved, loaded.contents.told) = (parsed.saved, parsed.told);
        any = true;
    }
    if !any {
        // A header alone: whoever wrote it writes its first line together with it.
        return Err(Refused::Corrupt { line: 2 });
    }
    for (key, (text, record)) in texts {
        loaded.texts.insert(key, text);
        loaded.contents.records.push(record);
    }
    Ok((loaded, chain))
}

fn check_header(found: &[u8], expected: &[u8]) -> Result<(), Refused> {
    if found == expected {
        return Ok(());
    }
    let found = std::str::from_utf8(found).map_err(|_| Refused::Foreign)?;
    let rest = found.strip_prefix(MAGIC).ok_or(Refused::Foreign)?;
    let (version, mark) = rest.split_once(' ').ok_or(Refused::Corrupt { line: 1 })?;
    match version.parse::<u32>() {
        Ok(VERSION) => {}
        Ok(newer) if newer > VERSION => return Err(Refused::Newer { found: version.to_owned() }),
        _ => return Err(Refused::Corrupt { line: 1 }),
    }
    let whole = mark.len() >= 17 && mark.ends_with('\n') && mark.as_bytes()[..16].iter().all(u8::is_ascii_hexdigit);
    let ours = std::str::from_utf8(expected).ok().and_then(|header| header.strip_prefix(MAGIC)?.split_once(' '));
    match ours {
        Some((_, ours)) if whole && ours[..16] != mark[..16] && ours[16..] == mark[16..] => Err(Refused::OtherKey),
        _ => Err(Refused::Corrupt { line: 1 }),
    }
}
