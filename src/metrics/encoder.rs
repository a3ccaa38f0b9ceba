//! From a snapshot to text, in pieces of bounded size.

use super::families::FAMILIES;
use super::text::{Series, header};
use crate::outlook::Snapshot;

/// Where the encoding of a snapshot stands. It holds no text of its own, so a slow client costs no more than its last
/// piece.
#[derive(Debug, Default)]
pub struct SnapshotEncoder {
    family: usize,
    row: usize,
    header_written: bool,
}

impl SnapshotEncoder {
    /// At the start.
    pub fn new() -> Self {
        Self::default()
    }

    /// Append to `out` until it holds at least `enough` bytes (by less than one row more) or the end is reached.
    /// Returns whether there is more. The snapshot must be the same at every call.
    pub fn fill(&mut self, snapshot: &Snapshot, out: &mut String, enough: usize) -> bool {
        while let Some(family) = FAMILIES.get(self.family) {
            if !self.header_written {
                header(out, &family.about);
                self.header_written = true;
            }
            let rows = (family.rows)(snapshot);
            while self.row < rows {
                if out.len() >= enough.max(1) {
                    return true;
                }
                (family.write)(snapshot, self.row, &mut Series::new(out, family.about.name));
                self.row += 1;
            }
            *self = Self { family: self.family + 1, ..Self::default() };
        }
        false
    }

    /// The whole text at once.
    pub fn encode(snapshot: &Snapshot, out: &mut String) {
        Self::new().fill(snapshot, out, usize::MAX);
    }
}
