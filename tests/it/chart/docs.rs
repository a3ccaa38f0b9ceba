//! What is written down twice says the same: schema and config, values and README, the files that Helm can only read
//! inside of the chart.
//!
//! `PULL_PATROL_UPDATE=1 cargo test --test it chart::docs` writes the copies anew.

use std::collections::BTreeSet;
use std::path::Path;

use pull_patrol::config;
use serde_json::Value;

use super::{chart, fixtures};
use crate::support::real::checkout;

/// Compares a file with what it should be, or writes it when asked to.
fn in_step(file: &Path, wanted: &str) {
    if std::env::var_os("PULL_PATROL_UPDATE").is_some() {
        std::fs::write(file, wanted).expect("writable");
        return;
    }
    let found = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is not in step with its source: run `PULL_PATROL_UPDATE=1 cargo test --test it chart::docs`",
        file.display()
    );
}

#[test]
fn rules_and_dashboard_in_the_chart_are_copies() {
    for (source, copy) in [
        ("deploy/alerts/pull-patrol.rules.yaml", "pull-patrol.rules.yaml"),
        ("dashboards/pull-patrol.json", "pull-patrol.json"),
        ("dashboards/pull-patrol-daemon.json", "pull-patrol-daemon.json"),
    ] {
        let source = std::fs::read_to_string(checkout().join(source)).expect("the source");
        in_step(&chart().join("files").join(copy), &source);
    }
}

fn schema() -> Value {
    let text = std::fs::read_to_string(chart().join("values.schema.json")).expect("the schema");
    serde_json::from_str(&text).expect("JSON")
}

/// The keys that the config takes at a place, as the parser itself tells when it meets one that it does not know.
fn keys_of_the_config(with_unknown: &str) -> BTreeSet<String> {
    let error = config::parse(with_unknown, Path::new("test.yaml")).expect_err("an unknown key").to_string();
    let told = error.split_once("expected one of ").unwrap_or_else(|| panic!("{error}")).1;
    let told = told.split_once(" at line ").map_or(told, |(told, _)| told);
    told.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_schema_knows_the_keys_of_the_config_and_no_others() {
    let schema = schema();
    let config = &schema["properties"]["config"];
    let registry = &config["properties"]["registries"]["items"];
    let section = |name: &str| config["properties"][name].clone();
    for (place, text) in [
        (config.clone(), "nobodyKnows: 1".to_owned()),
        (registry.clone(), "registries: [{host: a.example, nobodyKnows: 1}]".to_owned()),
        (section("probe"), "probe: {nobodyKnows: 1}".to_owned()),
        (section("issuer"), "issuer: {nobodyKnows: 1}".to_owned()),
        (section("scope"), "scope: {nobodyKnows: 1}".to_owned()),
        (section("state"), "state: {nobodyKnows: 1}".to_owned()),
        (section("shard"), "shard: {nobodyKnows: 1}".to_owned()),
        (section("leaderElection"), "leaderElection: {nobodyKnows: 1}".to_owned()),
    ] {
        let found: BTreeSet<String> = place["properties"].as_object().expect("properties").keys().cloned().collect();
        assert_eq!(found, keys_of_the_config(&text), "{text}");
        assert_eq!(place["additionalProperties"], Value::Bool(false));
    }
}

#[test]
fn the_daemon_takes_the_config_of_every_fixture() {
    for file in fixtures("valid") {
        let values: Value = serde_saphyr::from_str(&std::fs::read_to_string(&file).expect("a fixture")).expect("YAML");
        let text = values.get("config").map_or_else(|| "{}".to_owned(), Value::to_string);
        config::parse(&text, &file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

/// The values of the chart as a table: key, default, and the comment that begins with `# --`.
fn table(values: &str) -> String {
    let parsed: Value = serde_saphyr::from_str(values).expect("values.yaml is YAML");
    let mut rows = String::from("| key | default | what |\n|---|---|---|\n");
    let mut described = String::new();
    let mut parents: Vec<(usize, String)> = Vec::new();
    for line in values.lines() {
        let depth = line.len() - line.trim_start().len();
        let line = line.trim_start();
        if let Some(text) = line.strip_prefix("# -- ") {
            text.clone_into(&mut described);
        } else if let Some(text) = line.strip_prefix("# ").filter(|_| !described.is_empty()) {
            described = format!("{described} {text}");
        } else if let Some((key, _)) = line.split_once(':').filter(|(key, _)| !key.starts_with(['-', '#', '{'])) {
            parents.retain(|(above, _)| *above < depth);
            let path: Vec<&str> = parents.iter().map(|(_, key)| key.as_str()).chain([key]).collect();
            if !described.is_empty() {
                let default = path.iter().fold(&parsed, |value, key| &value[*key]);
                let what = described.replace('|', "\\|");
                rows.push_str(&["| `", &path.join("."), "` | `", &default.to_string(), "` | ", &what, " |\n"].concat());
                described.clear();
            }
            parents.push((depth, key.to_owned()));
        }
    }
    rows
}

/// The keys of the schema that are settings of their own: below them all is given through.
fn settings(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    match schema["properties"].as_object().filter(|_| path != "config") {
        Some(properties) => {
            for (key, below) in properties.iter().filter(|(key, _)| *key != "global") {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                settings(below, &path, found);
            }
        }
        None => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn the_readme_lists_every_value() {
    let values = std::fs::read_to_string(chart().join("values.yaml")).expect("the values");
    let table = table(&values);
    let listed: BTreeSet<String> =
        table.lines().skip(2).filter_map(|row| row.split('`').nth(1)).map(str::to_owned).collect();
    let mut known = BTreeSet::new();
    settings(&schema(), "", &mut known);
    assert_eq!(listed, known);

    let file = chart().join("README.md");
    let readme = std::fs::read_to_string(&file).expect("the README of the chart");
    let (before, rest) = readme.split_once("<!-- values -->\n").expect("a place for the table");
    let (_, after) = rest.split_once("<!-- /values -->\n").expect("an end of the table");
    in_step(&file, &format!("{before}<!-- values -->\n{table}<!-- /values -->\n{after}"));
}
