//! What `docs/metrics.md` says of each family's type, labels, help and gating is made from the families' own definitions, and
//! the definitions are held against what is exported.
//!
//! `PULL_PATROL_UPDATE=1 cargo test --test it metrics_docs` writes it anew. What stands outside of the marks is written by hand.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use pull_patrol::cluster::{EventOutcome, LEASE_ERROR_REASONS, Resource, WATCH_ERROR_REASONS};
use pull_patrol::metrics::{About, BuildInfo, DaemonMetrics, Exposition, Kind, reference};
use pull_patrol::outlook::{Outlook, Snapshot};
use pull_patrol::probe::{Outcome, ProbeKind};
use pull_patrol::verdict::{Status, store::ERROR_REASONS};

use crate::support::published::DOCUMENT;
use crate::support::real::checkout;

/// Label lists that the document has a letter for.
const LETTERS: [(&str, &[&str]); 2] = [
    ("C", &["secret_namespace", "secret_name", "registry"]),
    ("W", &["workload_namespace", "workload_kind", "workload_name", "pod_role"]),
];

/// The labels of a family, with letters for what many share.
fn labels(about: &About) -> String {
    let all = about.labels.concat();
    let shared = LETTERS.iter().find(|(_, shared)| all.starts_with(shared));
    let own = &all[shared.map_or(0, |(_, shared)| shared.len())..];
    let letter = shared.map(|(letter, _)| (*letter).to_owned());
    letter.into_iter().chain(own.iter().map(|label| format!("`{label}`"))).collect::<Vec<_>>().join(", ")
}

/// The table of all families.
fn table() -> String {
    let mut out = "| metric | type | labels | emitted |\n|---|---|---|---|\n".to_owned();
    for about in reference() {
        let labels = Some(labels(about)).filter(|labels| !labels.is_empty()).map(|labels| labels + " ");
        let labels = labels.unwrap_or_default();
        writeln!(out, "| `{}` | {} | {labels}| {} |", about.name, about.kind.as_str(), about.emitted)
            .expect("a String takes all");
    }
    out
}

/// What stands below the heading of a family.
fn section(about: &About) -> String {
    let labels = match labels(about) {
        none if none.is_empty() => "no labels".to_owned(),
        labels => format!("labels {labels}"),
    };
    let kind = match about.kind {
        Kind::Histogram(buckets) => {
            let buckets: Vec<String> = buckets.iter().map(f64::to_string).collect();
            format!("histogram with buckets up to {} s", buckets.join(", "))
        }
        kind => kind.as_str().to_owned(),
    };
    // A help text is plain text: what it says must not be read as a mark of Markdown.
    let help = about.help.replace('_', "\\_");
    format!("*{kind}; {labels}; emitted {}*\n\n> {help}\n", about.emitted)
}

/// The document with its made parts made anew.
fn made(document: &str) -> String {
    let sections = reference().map(|about| (about.name, section(about)));
    let mut text = document.to_owned();
    for (name, made) in std::iter::once(("table", table())).chain(sections) {
        let (open, close) = (format!("<!-- made: {name} -->\n"), format!("<!-- /made: {name} -->\n"));
        let (before, rest) = text.split_once(&open).unwrap_or_else(|| panic!("docs/metrics.md has no {}", open.trim()));
        let (_, after) = rest.split_once(&close).unwrap_or_else(|| panic!("docs/metrics.md has no {}", close.trim()));
        let heading = format!("### {name}\n\n");
        assert!(name == "table" || before.ends_with(&heading), "{} does not stand below its heading", open.trim());
        text = format!("{before}{open}{made}{close}{after}");
    }
    text
}

#[test]
fn the_reference_is_in_step_with_the_families() {
    let wanted = made(&DOCUMENT);
    if std::env::var_os("PULL_PATROL_UPDATE").is_some() {
        std::fs::write(checkout().join("docs/metrics.md"), wanted).expect("writable");
        return;
    }
    assert!(*DOCUMENT == wanted, "run `PULL_PATROL_UPDATE=1 cargo test --test it metrics_docs`");
}

#[test]
fn every_family_has_one_heading_and_nothing_else_has_one() {
    let mut headings: Vec<&str> = DOCUMENT.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut families: Vec<&str> = reference().map(|about| about.name).collect();
    headings.sort_unstable();
    families.sort_unstable();
    assert_eq!(headings, families);
    let marks = DOCUMENT.lines().filter(|line| line.starts_with("<!-- made: ")).count();
    assert_eq!(marks, families.len() + 1, "a mark of something that is not exported");
}

/// What a daemon exports that has just started, without a config, and has seen nothing yet.
#[tokio::test]
async fn what_is_always_emitted_is_there_before_anything_happened() {
    let metrics = DaemonMetrics::new(BuildInfo::compiled()).expect("metrics");
    for resource in Resource::ALL {
        metrics.add_watch(resource.as_str(), &WATCH_ERROR_REASONS);
    }
    metrics.add_lease(&LEASE_ERROR_REASONS);
    let text: Vec<u8> = Exposition::new(Arc::new(metrics))
        .plain(Arc::new(Snapshot::default()))
        .expect("it encodes")
        .flatten()
        .collect();
    let text = String::from_utf8(text).expect("UTF-8");
    let there: BTreeSet<&str> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).collect();
    let unconditional = [
        "always",
        "always, from 0",
        "unless this replica stands by",
        "where `/proc` tells it",
        "for each kind that is watched",
    ];
    for about in reference() {
        let expected = unconditional.contains(&about.emitted);
        assert_eq!(there.contains(about.name), expected, "{}: emitted {}", about.name, about.emitted);
    }
}

/// The first column of the table with this head, in the section of this family.
fn values(family: &str, head: &str) -> BTreeSet<String> {
    let section = DOCUMENT.split(&format!("### {family}\n")).nth(1).expect("a section");
    let section = section.split("\n### ").next().unwrap_or_default();
    let table =
        section.split(&format!("| `{head}` |")).nth(1).unwrap_or_else(|| panic!("{family}: no table of {head}"));
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| `"));
    rows.filter_map(|row| Some(row.strip_prefix("| `")?.split('`').next()?.to_owned())).collect()
}

#[test]
fn tables_of_label_values_are_those_of_the_code() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let status: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
    assert_eq!(values("pullsecret_credential_status", "status"), set(&status));
    let outlook: Vec<&str> = Outlook::ALL.iter().map(|outlook| outlook.as_str()).collect();
    assert_eq!(values("pullsecret_workload_outlook", "outlook"), set(&outlook));
    let event: Vec<&str> = EventOutcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
    assert_eq!(values("pullpatrol_events_total", "outcome"), set(&event));
    let kind: Vec<&str> = ProbeKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(values("pullpatrol_probes_total", "kind"), set(&kind));
    let outcome: Vec<&str> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
    assert_eq!(values("pullpatrol_probes_total", "outcome"), set(&outcome));
    assert_eq!(values("pullpatrol_watch_errors_total", "reason"), set(&WATCH_ERROR_REASONS));
    assert_eq!(values("pullpatrol_lease_errors_total", "reason"), set(&LEASE_ERROR_REASONS));
    assert_eq!(values("pullpatrol_state_errors_total", "reason"), set(&ERROR_REASONS));
}
