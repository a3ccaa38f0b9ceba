//! YAML of several documents, one document at a time: a broken one does not hide the others, and each has its own
//! budget against alias bombs, deep nesting and sheer size.

use serde_json::Value;
use serde_saphyr::localizer::ExternalMessageSource;
use serde_saphyr::{DuplicateKeyPolicy, Error, NonFiniteFloatPolicy};

/// How deep a document may nest. Schemas of custom resources reach about 50.
const MAX_NESTING: usize = 100;
/// Stack for the thread that parses: the parser takes up to 40 KiB for each level of nesting in a debug build.
pub(in crate::cluster) const STACK_BYTES: usize = 16 * 1024 * 1024;

/// A place where the text does not parse. Lines and columns count from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) column: usize,
    /// What is wrong, without quoting the text.
    pub(super) what: String,
}

impl std::fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

/// One document of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    pub(super) text: &'a str,
    /// Line of the text at which it begins, from zero.
    pub(super) line: usize,
}

/// Cut a text into its documents. `---` and `...` at the start of a line end a document wherever they stand, even inside
/// of a scalar (YAML 1.2.2, chapter 9.1), so the cut needs no parser.
pub(super) fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line) = (0, 0);
    let (mut has_content, mut has_begun) = (false, false);
    let mut at = 0;
    for (line_number, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_end();
        let (opens, closes) = (is_marker(bare, "---"), is_marker(bare, "..."));
        if has_content && (opens || closes) {
            chunks.push(Chunk { text: &text[start..at], line: start_line });
        }
        if opens && (has_content || has_begun) {
            (start, start_line) = (at, line_number);
            has_content = false;
        }
        at += line.len();
        if closes {
            (start, start_line) = (at, line_number + 1);
            (has_content, has_begun) = (false, false);
            continue;
        }
        has_begun |= opens;
        // Directives belong to the document that follows them.
        let rest = bare.strip_prefix("---").filter(|_| opens).unwrap_or(bare).trim_start();
        has_content |= !(rest.is_empty() || rest.starts_with('#') || bare.starts_with('%'));
    }
    if has_content {
        chunks.push(Chunk { text: &text[start..], line: start_line });
    }
    chunks
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// Parse one document.
pub(super) fn parse(chunk: Chunk<'_>) -> Result<Value, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            // Room for a file of the greatest length that holds real objects; hostile ones of that length take less
            // than 200 MiB, since every node takes at least one event.
            max_events: 4_000_000,
            max_nodes: 4_000_000,
            max_depth: MAX_NESTING,
            flow_nesting_limit: MAX_NESTING,
            max_aliases: 10_000,
            max_anchors: 10_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 200_000 },
        // The last one wins, as in encoding/json and in the YAML reader of kubectl.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        // A snippet would quote the text.
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(chunk.text, options).map_err(|error| {
        let at = error.location();
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
        SyntaxError {
            line: chunk.line + at.map_or(1, |at| number(at.line())),
            column: at.map_or(1, |at| number(at.column())),
            what: describe(&error),
        }
    })
}

fn describe(error: &Error) -> String {
    match error.without_snippet() {
        // The parser's own texts are fixed and name one character at most; all others could quote the document.
        Error::ExternalMessage { source, .. } => match &**source {
            ExternalMessageSource::Parser(error) => error.info(),
            _ => "is not YAML".to_owned(),
        },
        Error::AliasError { error, .. } => describe(error),
        Error::UnknownAnchor { .. } => "names an anchor that does not exist".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => {
            "goes past the bounds for one document (nesting, size, or what its aliases expand to)".to_owned()
        }
        Error::Eof { .. } => "ends too early".to_owned(),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => "merges (<<) what is not a mapping".to_owned(),
        _ => "is not YAML that Kubernetes objects are written in".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", &[])]
    #[case("---\n---\n# nothing\n...\n", &[])]
    #[case("a: 1", &[(0, "a: 1")])]
    #[case("a: 1\n---\nb: 2\n", &[(0, "a: 1\n"), (1, "---\nb: 2\n")])]
    #[case("---\n# nothing\n---\na: 1\n", &[(2, "---\na: 1\n")])]
    #[case("---\r\na: 1\r\n---\r\nb: 2\r\n", &[(0, "---\r\na: 1\r\n"), (2, "---\r\nb: 2\r\n")])]
    #[case("--- {a: 1}\n--- # two\nb: 2\n", &[(0, "--- {a: 1}\n"), (1, "--- # two\nb: 2\n")])]
    #[case("%YAML 1.2\n---\na: 1\n...\n---\nb: 2", &[(0, "%YAML 1.2\n---\na: 1\n"), (4, "---\nb: 2")])]
    #[case("a: |\n  ---\n  x\nb: ----\n----: c\n", &[(0, "a: |\n  ---\n  x\nb: ----\n----: c\n")])]
    #[case("a: 1\n...\nb: 2\n", &[(0, "a: 1\n"), (2, "b: 2\n")])]
    fn cuts_at_the_markers(#[case] text: &str, #[case] expected: &[(usize, &str)]) {
        let found: Vec<_> = chunks(text).into_iter().map(|chunk| (chunk.line, chunk.text)).collect();
        assert_eq!(found, expected);
    }

    fn fails(text: &str) -> SyntaxError {
        parse(Chunk { text, line: 0 }).expect_err("it parses")
    }

    #[test]
    fn tells_the_place_of_an_error() {
        let error = parse(Chunk { text: "a: 1\nb: [1\nc: 2\n", line: 10 }).unwrap_err();
        assert_eq!(error.line, 12 + 1, "{error}");
        assert!(error.column >= 1);
    }

    #[test]
    fn never_quotes_the_text() {
        for text in [
            "a: \"hunter2",
            "a: *hunter2",
            "hunter2: a: b",
            "? {hunter2: 1}\n: x",
            "<<: hunter2",
            "a: !hunter2!x y",
            "- hunter2\nb",
        ] {
            if let Err(error) = parse(Chunk { text, line: 0 }) {
                assert!(!error.to_string().contains("hunter2"), "{error}");
            }
        }
    }

    #[test]
    fn a_bomb_of_aliases_ends_in_an_error() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            use std::fmt::Write as _;
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            writeln!(text, "a{level}: &a{level} [{items}]").unwrap();
        }
        assert!(fails(&text).what.contains("bounds"));
    }

    #[test]
    fn a_long_string_cannot_be_multiplied_by_aliases() {
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000_000), vec!["*a"; 9_000].join(", "));
        assert!(fails(&text).what.contains("bounds"));
    }

    #[test]
    fn deep_nesting_ends_in_an_error() {
        let parse_all = || {
            fails(&"[".repeat(100_000));
            fails(&format!("{}x", "- ".repeat(100_000)));
            fails(&"{a: ".repeat(100_000));
            let deepest = format!("{}x{}", "[".repeat(MAX_NESTING), "]".repeat(MAX_NESTING));
            parse(Chunk { text: &deepest, line: 0 }).unwrap();
        };
        std::thread::Builder::new().stack_size(STACK_BYTES).spawn(parse_all).unwrap().join().unwrap();
    }

    #[test]
    fn scalars_are_read_as_kubernetes_writes_them() {
        let text = "a: yes\nb: .inf\nc: 012\nd: 1\ne: null\nf: 'x'\na: again\n";
        let value = parse(Chunk { text, line: 0 }).unwrap();
        assert_eq!(value["a"], "again");
        assert!(value["b"].is_string() && value["e"].is_null());
        assert_eq!(value["d"], 1);
    }
}
