//! What the terminal can do, and what the user wants of it.

use std::ffi::OsStr;

/// The flag `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// When standard output is a terminal that wants it.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    /// Whether to colour. `no_color` and `term` are the environment variables `NO_COLOR` (<https://no-color.org>: any
    /// value but the empty one says no) and `TERM`.
    pub fn wanted(self, is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal && no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb"),
        }
    }
}

/// The width of standard output in columns; `None` where it is no terminal, or one that has not been told its size (a
/// pseudo-terminal starts with 0).
pub fn width() -> Option<u16> {
    comfy_table::Table::new().width().filter(|width| *width > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_that_want_it() {
        let wanted = |colour: Colour, is_terminal, no_color: Option<&str>, term: Option<&str>| {
            colour.wanted(is_terminal, no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(wanted(Colour::Auto, true, None, Some("xterm")));
        assert!(wanted(Colour::Auto, true, Some(""), None));
        assert!(!wanted(Colour::Auto, true, Some("1"), Some("xterm")));
        assert!(!wanted(Colour::Auto, true, None, Some("dumb")));
        assert!(!wanted(Colour::Auto, false, None, Some("xterm")));
        assert!(wanted(Colour::Always, false, Some("1"), Some("dumb")));
        assert!(!wanted(Colour::Never, true, None, None));
    }
}
