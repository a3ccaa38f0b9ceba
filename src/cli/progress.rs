//! Progress for a person who waits: one line on standard error that is written anew.

use std::io::Write;

/// Back to the start of the line and clear it.
const CLEAR: &str = "\r\x1b[2K";

/// The line. It is taken away when this is dropped, so that what follows starts on a clean line.
#[derive(Debug)]
pub struct Progress<W: Write> {
    out: W,
    enabled: bool,
    shown: Option<(usize, usize)>,
}

impl<W: Write> Progress<W> {
    /// On a writer; nothing is ever written unless it is `enabled` (a terminal).
    pub fn new(out: W, enabled: bool) -> Self {
        Self { out, enabled, shown: None }
    }

    /// So many of so many questions are answered.
    pub fn update(&mut self, asked: usize, of: usize) {
        if self.enabled && self.shown != Some((asked, of)) {
            self.shown = Some((asked, of));
            self.write(&format!("{CLEAR}asked {asked} of {of}"));
        }
    }

    /// Take the line away, for other output; the next update writes it again.
    pub fn clear(&mut self) {
        if self.shown.take().is_some() {
            self.write(CLEAR);
        }
    }

    /// A terminal that is gone is no reason to end a run whose report goes elsewhere.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_written_anew_and_taken_away() {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, true);
        progress.update(0, 2);
        progress.update(0, 2);
        progress.update(2, 2);
        drop(progress);
        assert_eq!(String::from_utf8(out).unwrap(), "\r\x1b[2Kasked 0 of 2\r\x1b[2Kasked 2 of 2\r\x1b[2K");
    }

    #[test]
    fn nothing_without_a_terminal() {
        let mut out = Vec::new();
        Progress::new(&mut out, false).update(1, 2);
        assert!(out.is_empty());
    }
}
