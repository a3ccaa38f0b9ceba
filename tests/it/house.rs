//! The line of the house: rooms import only to the left, pure rooms stay pure, files stay readable.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by their place on the line. A room may import from places left of its own, never from its own place's other
/// rooms. `config` is read by all.
const LINE: [&[&str]; 12] = [
    &["config"],
    &["cluster"],
    &["credential", "workload"],
    &["plan"],
    &["clock"],
    &["probe"],
    &["verdict"],
    &["outlook"],
    &["metrics"],
    &["web"],
    &["cli"],
    &["patrol"],
];
/// May import everything, and nothing imports it but `main.rs`.
const WIRING: [&str; 2] = ["runtime", "lib"];

/// Rooms that compute and never touch the outside.
const PURE: [&str; 5] = ["credential", "workload", "plan", "verdict", "outlook"];
/// What a pure room must not name: clocks, the network, files, async machinery, the Kubernetes client.
const IMPURE: [&str; 18] = [
    "crate::clock",
    "Utc::now",
    "Local::now",
    "Instant::now",
    "SystemTime",
    "UNIX_EPOCH::now",
    "std::net",
    "tokio::",
    "reqwest",
    "hyper",
    "kube::",
    "k8s_openapi",
    "std::fs",
    "std::env",
    "std::process",
    "async fn",
    ".await",
    "axum",
];

/// Who reads time besides the clock, and for what: nothing of it bears on a credential.
const OTHER_READERS: [(&str, &str); 8] = [
    ("patrol/store.rs", "the pace of writes to the API server"),
    ("runtime/state.rs", "the pause before the API server is asked for the state again"),
    ("cluster/", "back-off and age of watches and files"),
    ("web/", "limits of connections"),
    ("probe/client/", "the time-out of one request, and the age of a CA file"),
    ("probe/exchange.rs", "how long a request took, for the histogram"),
    ("metrics/", "facts of the process"),
    ("cli/", "redrawing a line of progress"),
];
/// The one part of a pure room that touches the outside: it keeps the state in a file.
const STATE_STORE: &str = "verdict/store";

struct Source {
    path: PathBuf,
    room: String,
    /// The code without comments and string literals.
    code: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is readable");
                let relative = path.strip_prefix(&root).expect("below src").to_owned();
                let first = relative.components().next().expect("a component").as_os_str().to_string_lossy();
                let name = first.trim_end_matches(".rs").to_owned();
                found.push(Source {
                    lines: text.lines().count(),
                    code: strip(&text),
                    path: relative.clone(),
                    room: name,
                });
            }
        }
    }
    assert!(found.len() > 20, "the walk found only {} files", found.len());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Blank out comments, string and character literals, so that words in them do not count.
fn strip(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(&['/', '/']) {
            while at < bytes.len() && bytes[at] != '\n' {
                at += 1;
            }
        } else if rest.starts_with(&['/', '*']) {
            at += 2;
            while at < bytes.len() && !bytes[at..].starts_with(&['*', '/']) {
                at += 1;
            }
            at += 2;
        } else if let Some(length) = raw_string(rest) {
            at += length;
        } else if bytes[at] == '"' {
            at += 1;
            while at < bytes.len() && bytes[at] != '"' {
                at += if bytes[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if bytes[at] == '\'' && (rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'')) {
            at += 2;
            while at < bytes.len() && bytes[at] != '\'' {
                at += 1;
            }
            at += 1;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}

/// Length of a raw string literal at the start, if there is one.
fn raw_string(rest: &[char]) -> Option<usize> {
    let prefix = usize::from(rest.first() == Some(&'b'));
    if rest.get(prefix) != Some(&'r') {
        return None;
    }
    let hashes = rest[prefix + 1..].iter().take_while(|c| **c == '#').count();
    if rest.get(prefix + 1 + hashes) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = prefix + hashes + 2;
    (body..rest.len()).find(|at| rest[*at..].starts_with(&close)).map(|at| at + close.len())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The first names after every `crate::`, and after every `super::` chain that leaves the room.
fn imports(source: &Source) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut scan = |marker: &str| {
        let mut rest = source.code.as_str();
        while let Some(at) = rest.find(marker) {
            let boundary = rest[..at].chars().next_back().is_none_or(|c| !is_word(c) && c != ':');
            rest = &rest[at + marker.len()..];
            if !boundary {
                continue;
            }
            if let Some(group) = rest.strip_prefix('{') {
                let mut level = 0;
                let mut word = String::new();
                let mut at_start = true;
                for c in group.chars() {
                    match c {
                        '{' => level += 1,
                        '}' if level == 0 => break,
                        '}' => level -= 1,
                        ',' if level == 0 => at_start = true,
                        c if level == 0 && at_start && is_word(c) => word.push(c),
                        _ if !word.is_empty() => {
                            names.insert(std::mem::take(&mut word));
                            at_start = false;
                        }
                        _ => {}
                    }
                    if matches!(c, ',') && !word.is_empty() {
                        names.insert(std::mem::take(&mut word));
                    }
                }
                if !word.is_empty() {
                    names.insert(word);
                }
            } else {
                names.insert(rest.chars().take_while(|c| is_word(*c)).collect());
            }
        }
    };
    scan("crate::");
    scan("pull_patrol::");
    // `super::super::ROOM` leaves a room as well as `crate::ROOM` does; only names of rooms count there.
    let mut rest = source.code.as_str();
    while let Some(at) = rest.find("super::super::") {
        rest = rest[at..].trim_start_matches("super::");
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        if place(&name).is_some() || WIRING.contains(&name.as_str()) {
            names.insert(name);
        }
    }
    names
}

fn place(room: &str) -> Option<usize> {
    LINE.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn imports_point_left() {
    let mut wrong = Vec::new();
    for source in sources() {
        if WIRING.contains(&source.room.as_str()) || source.room == "main" {
            continue;
        }
        let Some(own) = place(&source.room) else {
            wrong.push(format!("{}: `{}` has no place on the line", source.path.display(), source.room));
            continue;
        };
        for name in imports(&source) {
            if name == source.room {
                continue;
            }
            let allowed = match place(&name) {
                Some(theirs) => theirs < own,
                None => !WIRING.contains(&name.as_str()) && name != "main",
            };
            if !allowed {
                wrong.push(format!("{}: imports `{name}`, which stands right of it", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the line:\n{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_name_nothing_impure() {
    let mut wrong = Vec::new();
    for source in sources() {
        if PURE.contains(&source.room.as_str()) {
            let keeps_files = source.path.starts_with(STATE_STORE);
            let named = IMPURE.iter().filter(|word| !(keeps_files && **word == "std::fs"));
            for word in named.filter(|word| source.code.contains(**word)) {
                wrong.push(format!("{}: names `{word}`", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "impure words in pure rooms:\n{}", wrong.join("\n"));
}

#[test]
fn only_the_clock_reads_time_for_decisions() {
    let words = ["Utc::now", "Local::now", "Instant::now", "SystemTime::now", ".elapsed()"];
    let mut wrong = Vec::new();
    for source in sources() {
        let path = source.path.display().to_string();
        let is_test = path.contains("tests") || path.contains("testing");
        if is_test || path.starts_with("clock/") || OTHER_READERS.iter().any(|(place, _)| path.starts_with(place)) {
            continue;
        }
        // Tests stand at the end of a file.
        let code = source.code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        wrong.extend(words.iter().filter(|word| code.contains(**word)).map(|word| format!("{path}: `{word}`")));
    }
    assert!(wrong.is_empty(), "time read past `clock`:\n{}", wrong.join("\n"));
}

#[test]
fn files_stay_readable() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| source.lines > 600)
        .map(|source| format!("{}: {} lines", source.path.display(), source.lines))
        .collect();
    assert!(long.is_empty(), "files past 600 lines:\n{}", long.join("\n"));
}

#[test]
fn the_scanner_sees_what_it_must() {
    let source = |text: &str| Source { path: "plan/book.rs".into(), room: "plan".into(), code: strip(text), lines: 1 };
    let names = |text: &str| imports(&source(text)).into_iter().collect::<Vec<_>>();
    assert_eq!(names("use crate::probe::Evidence;"), ["probe"]);
    assert_eq!(names("use crate::{cluster::{Pod, x}, web, verdict as v};"), ["cluster", "verdict", "web"]);
    assert_eq!(names("let x = crate::web::serve();"), ["web"]);
    assert_eq!(names("use super::super::outlook::Snapshot;"), ["outlook"]);
    assert_eq!(names("use super::super::book::Book; use super::outlook;"), Vec::<String>::new());
    assert_eq!(
        names("// use crate::web;\n/* crate::cli */ \"crate::web\" r#\"crate::cli\"# 'c'"),
        Vec::<String>::new()
    );
    assert!(strip("a /* b */ \"Utc::now\" c").contains('c'));
    assert!(!strip("let x = b\"Utc::now\";").contains("Utc"));
}
