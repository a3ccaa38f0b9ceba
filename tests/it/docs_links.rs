//! Every link of the documents leads somewhere: to a file of the project, and to a heading in it.

use std::path::{Path, PathBuf};

use crate::support::real::checkout;

/// Every Markdown file below these places.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut places: Vec<PathBuf> = ["README.md", "CHANGELOG.md", "docs", "deploy", "tests/real", "benches"]
        .iter()
        .map(|place| checkout().join(place))
        .collect();
    while let Some(place) = places.pop() {
        if place.is_dir() {
            let entries = std::fs::read_dir(&place).expect("a readable folder");
            places.extend(entries.map(|entry| entry.expect("a readable folder").path()));
        } else if place.extension().is_some_and(|extension| extension == "md") {
            found.push(place);
        }
    }
    assert!(found.len() > 30, "{found:?}");
    found
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The anchor that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    kept.trim().replace(' ', "-")
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut dead = Vec::new();
    for document in documents() {
        let text = read(&document);
        for rest in text.split("](").skip(1) {
            let Some((target, _)) = rest.split_once(')') else { continue };
            if target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let folder = document.parent().expect("a file is in a folder");
            let file = if path.is_empty() { document.clone() } else { folder.join(path) };
            let there = file.exists()
                && (heading.is_empty()
                    || read(&file)
                        .lines()
                        .any(|line| line.starts_with('#') && anchor(line.trim_matches('#')) == heading));
            if !there {
                dead.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn anchors_are_those_of_github() {
    assert_eq!(anchor(" What it may read"), "what-it-may-read");
    assert_eq!(anchor(" Prometheus, Alertmanager, Grafana"), "prometheus-alertmanager-grafana");
    assert_eq!(anchor(" `state`: how"), "state-how");
}
