//! `docs/configuration.md` is made from the config types, their docstrings and their defaults, and from the flags of the program.
//!
//! `PULL_PATROL_UPDATE=1 cargo test --test it config_docs` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::CommandFactory as _;
use pull_patrol::cli::args::Cli;
use pull_patrol::config::{Config, IssuerChoice, RegistryConfig, WebConfig};

use crate::support::real::checkout;

/// A struct or an enum of `src/config/`, as its source tells it.
#[derive(Debug, Default)]
struct Shape {
    is_enum: bool,
    rename_all: Option<String>,
    /// Fields or variants: name, type (empty for a variant), docs.
    parts: Vec<(String, String, String)>,
}

/// Every struct with named fields and every enum of the config.
fn shapes() -> BTreeMap<String, Shape> {
    let mut shapes = BTreeMap::new();
    for entry in std::fs::read_dir(checkout().join("src/config")).expect("the folder") {
        let path = entry.expect("a readable folder").path();
        let text = std::fs::read_to_string(&path).expect("source is text");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let (mut docs, mut rename_all, mut open) = (String::new(), None, None::<(String, Shape)>);
        for line in text.lines() {
            let code = line.trim();
            if let Some(doc) = code.strip_prefix("///") {
                docs = [docs.trim(), doc.trim()].join(" ");
                continue;
            }
            if let Some(rest) = code.strip_prefix("#[serde(") {
                rename_all = rest
                    .split_once("rename_all = \"")
                    .and_then(|(_, r)| Some(r.split_once('"')?.0.to_owned()))
                    .or(rename_all);
                continue;
            }
            if code.starts_with("#[") {
                continue;
            }
            let head = ["pub struct ", "pub enum "].into_iter().find_map(|kind| Some((kind, code.strip_prefix(kind)?)));
            match (&mut open, head) {
                (None, Some((kind, rest))) if rest.ends_with('{') => {
                    let name = rest.trim_end_matches('{').trim().to_owned();
                    let shape = Shape { is_enum: kind == "pub enum ", rename_all: rename_all.take(), parts: vec![] };
                    open = Some((name, shape));
                }
                (Some(_), _) if line == "}" => shapes.extend(open.take()),
                (Some((_, shape)), _) if !code.is_empty() => {
                    let part = code.trim_end_matches(',');
                    match part.strip_prefix("pub ").and_then(|field| field.split_once(": ")) {
                        Some((name, kind)) => {
                            shape.parts.push((name.to_owned(), kind.to_owned(), docs.trim().to_owned()));
                        }
                        None if shape.is_enum => {
                            shape.parts.push((part.to_owned(), String::new(), docs.trim().to_owned()));
                        }
                        None => {}
                    }
                }
                _ => rename_all = None,
            }
            docs.clear();
        }
    }
    shapes
}

/// A name as the file has it.
fn renamed(name: &str, rule: Option<&str>) -> String {
    match rule {
        Some("lowercase") => name.to_lowercase(),
        Some("camelCase") => {
            let mut pieces = name.split('_');
            let first = pieces.next().unwrap_or_default();
            let first = first[..1].to_lowercase() + &first[1..];
            let capital = |piece: &str| piece[..1].to_uppercase() + &piece[1..];
            pieces.fold(first, |all, piece| all + &capital(piece))
        }
        _ => name.to_owned(),
    }
}

/// The fields of a struct in its `Debug` text, by name.
fn fields(debug: &str) -> BTreeMap<String, String> {
    let body = debug.split_once(" { ").map_or("", |(_, rest)| rest.strip_suffix(" }").expect("a struct ends"));
    let (mut depth, mut start, mut pieces) = (0, 0, Vec::new());
    for (at, character) in body.char_indices() {
        match character {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                pieces.push(&body[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&body[start..]);
    let pairs = pieces.into_iter().filter_map(|piece| piece.trim().split_once(": "));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A default as a person would write it.
fn default_of(debug: &str, shape: Option<&Shape>) -> String {
    if let Some(shape) = shape.filter(|shape| shape.is_enum) {
        return format!("`{}`", renamed(debug, shape.rename_all.as_deref()));
    }
    let value = debug.trim_start_matches("OnByDefault(").trim_end_matches(')');
    let seconds = value.strip_suffix('s').and_then(|digits| digits.parse::<u64>().ok());
    match (value, seconds) {
        ("None" | "[]" | "{}", _) => String::new(),
        ("\"HOST\"", _) => "needed".to_owned(),
        (_, Some(seconds)) => {
            let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
            let (size, unit) =
                units.into_iter().find(|(size, _)| seconds % size == 0 && seconds >= *size).unwrap_or((1, "s"));
            format!("`{}{unit}`", seconds / size)
        }
        (text, None) => format!("`{text}`"),
    }
}

/// What may be written, by the type.
fn kind_of(kind: &str, shapes: &BTreeMap<String, Shape>) -> String {
    let inner = |wrapper: &str| kind.strip_prefix(wrapper).and_then(|rest| rest.strip_suffix('>'));
    if let Some(inner) = inner("Option<") {
        return kind_of(inner, shapes);
    }
    if let Some(inner) = inner("Vec<") {
        return format!("list of {}", kind_of(inner, shapes));
    }
    if let Some(shape) = shapes.get(kind).filter(|shape| shape.is_enum) {
        let names = shape.parts.iter().map(|(name, ..)| format!("`{}`", renamed(name, shape.rename_all.as_deref())));
        return names.collect::<Vec<_>>().join(", ");
    }
    match kind {
        "String" | "SecretString" => "text",
        "PathBuf" => "file",
        "Duration" => "duration",
        "usize" | "u16" | "u32" | "u64" | "f64" => "number",
        "bool" | "OnByDefault" => "`true`, `false`",
        "BTreeMap<String, BcryptHash>" => "names with bcrypt hashes",
        "BTreeMap<String, String>" => "names with values",
        other => panic!("{other}: say in tests/it/config_docs.rs what is written for this type"),
    }
    .to_owned()
}

/// The table of a struct, and of those below it.
fn section(path: &str, name: &str, debug: &str, shapes: &BTreeMap<String, Shape>, out: &mut String) {
    let shape = &shapes[name];
    let defaults = fields(debug);
    let mut below = Vec::new();
    let mut rows = String::new();
    for (field, kind, docs) in &shape.parts {
        let key = renamed(field, shape.rename_all.as_deref());
        let full = if path.is_empty() { key } else { format!("{path}.{key}") };
        let value = defaults.get(field).map_or("None", String::as_str);
        let plain = kind.trim_start_matches("Option<").trim_start_matches("Vec<").trim_end_matches('>');
        if shapes.get(plain).is_some_and(|shape| !shape.is_enum) {
            below.push((full, plain.to_owned(), kind.starts_with("Vec<"), value.to_owned(), docs.clone()));
            continue;
        }
        let shape_of = shapes.get(kind.as_str());
        let row =
            [&full, &kind_of(kind, shapes), &default_of(value, shape_of), docs].map(|cell| cell.replace('|', "\\|"));
        writeln!(rows, "| `{}` | {} | {} | {} |", row[0], row[1], row[2], row[3]).expect("a String takes all");
    }
    if !rows.is_empty() {
        out.push_str("\n| key | value | default | what |\n|---|---|---|---|\n");
        out.push_str(&rows);
    }
    for (full, kind, is_list, value, docs) in below {
        let (heading, value) = if is_list && kind == "RegistryConfig" {
            (format!("{full}[]"), format!("{:?}", RegistryConfig::plain("HOST", IssuerChoice::None)))
        } else if is_list {
            // What has no default is left empty.
            (format!("{full}[]"), String::new())
        } else if value == "None" {
            (full, format!("{:?}", pull_patrol::config::TlsServerConfig::default()))
        } else {
            (full, value)
        };
        write!(out, "\n### {heading}\n\n{docs}\n").expect("a String takes all");
        section(&heading, &kind, &value, shapes, out);
    }
}

/// The flags of the program and of its commands.
fn flags() -> String {
    let mut out = String::new();
    let program = Cli::command();
    let common = program.get_arguments().filter(|argument| argument.is_global_set()).collect::<Vec<_>>();
    let commands =
        program.get_subcommands().map(|command| (command.get_name().to_owned(), command.get_arguments().collect()));
    let all: Vec<(String, Vec<&clap::Arg>)> =
        std::iter::once(("every command".to_owned(), common)).chain(commands).collect();
    for (name, arguments) in all {
        let mut rows = String::new();
        for argument in arguments.iter().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str())) {
            let name = match (argument.get_long(), argument.get_short()) {
                (Some(long), Some(short)) => format!("`--{long}`, `-{short}`"),
                (Some(long), None) => format!("`--{long}`"),
                (None, _) => format!("`{}`", argument.get_id().as_str().to_uppercase()),
            };
            let env = argument.get_env().map(|env| format!("`{}`", env.to_string_lossy())).unwrap_or_default();
            let default: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
            let default = if default.is_empty() { String::new() } else { format!("`{}`", default.join(",")) };
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
            writeln!(rows, "| {name} | {env} | {default} | {help} |").expect("a String takes all");
        }
        if !rows.is_empty() {
            let name = if name == "every command" { name } else { format!("`pull-patrol {name}`") };
            write!(out, "\n### {name}\n\n| flag | environment | default | what |\n|---|---|---|---|\n{rows}")
                .expect("a String takes all");
        }
    }
    out
}

#[test]
fn the_reference_is_in_step_with_the_types() {
    let shapes = shapes();
    let (mut config, mut web) = (String::new(), String::new());
    section("", "Config", &format!("{:?}", Config::default()), &shapes, &mut config);
    section("", "WebConfig", &format!("{:?}", WebConfig::default()), &shapes, &mut web);
    let file = checkout().join("docs/configuration.md");
    let text = std::fs::read_to_string(&file).expect("the document");
    let mut wanted = text.clone();
    for (name, made) in [("config", config), ("web", web), ("flags", flags())] {
        let (open, close) = (format!("<!-- made: {name} -->\n"), format!("<!-- /made: {name} -->"));
        let (before, rest) = wanted.split_once(&open).unwrap_or_else(|| panic!("no place for {name}"));
        let (_, after) = rest.split_once(&close).unwrap_or_else(|| panic!("no end of {name}"));
        wanted = format!("{before}{open}{made}\n{close}{after}");
    }
    if std::env::var_os("PULL_PATROL_UPDATE").is_some() {
        std::fs::write(&file, &wanted).expect("writable");
        return;
    }
    assert!(text == wanted, "run `PULL_PATROL_UPDATE=1 cargo test --test it config_docs`");
}

#[test]
fn defaults_and_names_read_as_in_the_file() {
    let shapes = shapes();
    assert_eq!(renamed("access_checks_per_login", Some("camelCase")), "accessChecksPerLogin");
    assert_eq!(renamed("ConfigMap", Some("camelCase")), "configMap");
    assert_eq!(default_of("600s", None), "`10m`");
    assert_eq!(default_of("1209600s", None), "`14d`");
    assert_eq!(default_of("OnByDefault(true)", None), "`true`");
    assert_eq!(default_of("None", None), "");
    assert_eq!(default_of("Github", shapes.get("IssuerChoice")), "`github`");
    assert_eq!(kind_of("IssuerChoice", &shapes), "`none`, `github`, `gitlab`, `ecr`, `jwt`, `auto`");
    let probe = fields(&format!("{:?}", Config::default()));
    assert!(probe["probe"].starts_with("ProbeConfig { interval: 600s, "), "{probe:?}");
    assert_eq!(fields(&probe["issuer"])["required_scopes"], "[\"read:packages\"]");
}
