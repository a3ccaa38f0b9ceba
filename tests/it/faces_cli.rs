//! The report, the documents and the exit code of `check`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use pull_patrol::cli::exit::Exit;
use pull_patrol::cli::{document, report};
use pull_patrol::cluster::{MissingPermission, Problem, Resource};
use pull_patrol::credential::{Finding, FindingKind};
use pull_patrol::outlook::view::printable;
use pull_patrol::outlook::{Outlook, SecretFindings, Snapshot};
use pull_patrol::verdict::Status;

use crate::faces_fixture::{HOSTILE, credential, hostile, telling, workload};

fn rendered(snapshot: &Snapshot, width: Option<u16>, colour: bool) -> String {
    let mut out = Vec::new();
    report::write(snapshot, report::Look { width, colour }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn json(snapshot: &Snapshot) -> String {
    let mut out = Vec::new();
    document::write_json(snapshot, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn yaml(snapshot: &Snapshot) -> String {
    let mut out = Vec::new();
    document::write_yaml(snapshot, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn report_at_80_columns() {
    insta::assert_snapshot!(rendered(&telling(), Some(80), false));
}

#[test]
fn report_at_160_columns() {
    insta::assert_snapshot!(rendered(&telling(), Some(160), false));
}

#[test]
fn report_into_a_pipe_has_one_line_per_credential() {
    let text = rendered(&telling(), None, false);
    let row = text.lines().find(|line| line.contains("ci/no-package-access")).unwrap();
    for part in ["ghcr.io/acme", "octobot", "forbidden", "never", "may not pull ghcr.io/acme/tools"] {
        assert!(row.contains(part), "{part} in {row}");
    }
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_name_is_cut() {
    let mut snapshot = telling();
    let name = "a-secret-with-a-name-".repeat(11);
    snapshot.credentials[0].secret_name = name.as_str().into();
    for width in [60, 80, 100, 119, 120, 160] {
        let text = rendered(&snapshot, Some(width), false);
        // A fix is one line, so that its command can be copied.
        for line in text.lines().filter(|line| !line.starts_with("  fix: ")) {
            assert!(line.chars().count() <= usize::from(width), "{width}: {line}");
        }
        // The name stands in the first column, which ends where the next heading begins, and folds there.
        let next = if width < 120 { "STATUS" } else { "REGISTRY" };
        let edge = text.lines().next().unwrap().find(next).unwrap();
        let column: Vec<String> = text.lines().map(|line| line.chars().take(edge).collect()).collect();
        let joined: String = column.iter().map(|line| line.trim()).collect();
        assert!(joined.contains(&format!("ci/{name}")), "{width}: {text}");
        assert!(!text.contains('…'), "{width}");
    }
}

#[test]
fn colour_only_when_asked() {
    assert!(!rendered(&telling(), Some(80), false).contains('\u{1b}'));
    let coloured = rendered(&telling(), Some(80), true);
    assert!(coloured.contains("\u{1b}[38;5;9m"), "{coloured:?}");
    assert!(coloured.contains("\u{1b}[38;5;10m"), "{coloured:?}");
}

#[test]
fn hostile_text_never_reaches_the_terminal_raw() {
    for width in [None, Some(80), Some(160)] {
        let text = rendered(&hostile(), width, false);
        let raw = text.chars().find(|c| *c != '\n' && (c.is_control() || *c == '\u{202e}'));
        assert_eq!(raw, None, "{text}");
        assert!(text.contains("\\u{1b}"), "{text}");
    }
    let text = json(&hostile());
    assert_eq!(text.chars().find(|c| *c != '\n' && (c.is_control() || *c == '\u{202e}')), None, "{text}");
    // YAML counts formatting characters as printable, so they stand there as they are.
    let text = yaml(&hostile());
    assert_eq!(text.chars().find(|c| *c != '\n' && c.is_control()), None, "{text}");
}

#[test]
fn the_json_document() {
    let document: serde_json::Value = serde_json::from_str(&json(&telling())).unwrap();
    insta::assert_json_snapshot!(document);
}

#[test]
fn json_and_yaml_say_the_same() {
    for snapshot in [telling(), hostile(), Snapshot::default()] {
        let from_json: serde_json::Value = serde_json::from_str(&json(&snapshot)).unwrap();
        let from_yaml: serde_json::Value = serde_saphyr::from_str(&yaml(&snapshot)).unwrap();
        assert_eq!(from_json, from_yaml);
    }
    let document: serde_json::Value = serde_json::from_str(&json(&hostile())).unwrap();
    assert_eq!(document["credentials"][0]["username"], HOSTILE);
}

#[test]
fn what_is_harmless_is_shown_as_it_is() {
    assert_eq!(printable("ghcr.io/acme · größe 東京"), "ghcr.io/acme · größe 東京");
    assert_eq!(printable("a\u{1b}[0m\u{202e}"), "a\\u{1b}[0m\\u{202e}");
}

/// A snapshot in which everything is well.
fn well() -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.credentials.push(credential("ci", "good", "ghcr.io", Status::Valid));
    snapshot.workloads.push(workload("web", Outlook::Ok, "good", Status::Valid));
    snapshot.daemon.synced = Resource::ALL.map(|resource| (resource, true)).to_vec();
    snapshot
}

fn with(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
    let mut snapshot = well();
    change(&mut snapshot);
    snapshot
}

fn problem(unparsable: bool) -> Problem {
    Problem { source: "x.yaml".into(), index: None, kind: None, name: None, message: "odd".into(), unparsable }
}

#[test]
fn exit_codes() {
    let status = |status: Status| with(|snapshot| snapshot.credentials[0].status = status);
    let outlook =
        |outlook: Outlook| with(|snapshot| snapshot.workloads = vec![workload("web", outlook, "s", Status::Valid)]);
    let finding =
        |kind: FindingKind| with(|snapshot| snapshot.credentials[0].findings = [Finding::new(kind, "m", "f")].into());
    let unverified_with =
        |status: Status| with(|snapshot| snapshot.workloads = vec![workload("web", Outlook::Unverified, "s", status)]);
    // What, the snapshot, the code, and the code with `--offline`.
    let table = [
        ("all is well", well(), 0, 0),
        ("nothing at all", Snapshot::default(), 0, 0),
        ("valid", status(Status::Valid), 0, 0),
        ("ignored", status(Status::Ignored), 0, 0),
        ("unverified", status(Status::Unverified), 3, 0),
        ("anonymous", status(Status::Anonymous), 1, 1),
        ("malformed", status(Status::Malformed), 1, 1),
        ("expired", status(Status::Expired), 1, 1),
        ("rejected", status(Status::Rejected), 1, 1),
        ("unsupported", status(Status::Unsupported), 1, 1),
        ("insufficient scope", status(Status::InsufficientScope), 1, 1),
        ("forbidden", status(Status::Forbidden), 1, 1),
        ("blocked", outlook(Outlook::Blocked), 1, 1),
        ("uncovered", outlook(Outlook::Uncovered), 1, 1),
        ("unknown", outlook(Outlook::Unknown), 3, 3),
        ("workload unverified", unverified_with(Status::Unverified), 3, 0),
        ("workload with an ignored registry", unverified_with(Status::Ignored), 0, 0),
        ("an info finding", finding(FindingKind::NoExpiry), 0, 0),
        ("a warning finding", finding(FindingKind::StaleAuth), 1, 1),
        (
            "a finding of a Secret without a credential",
            with(|snapshot| {
                snapshot.findings.push(SecretFindings {
                    secret_namespace: "ci".into(),
                    secret_name: "s".into(),
                    findings: vec![Finding::new(FindingKind::WrongType, "m", "f")],
                });
            }),
            1,
            1,
        ),
        (
            "a finding of a workload",
            with(|snapshot| {
                snapshot.workloads[0].findings = vec![Finding::new(FindingKind::LaterCredentialOnly, "m", "f")];
            }),
            1,
            1,
        ),
        ("a broken reference", with(|s| s.workloads[0].broken_references = vec![("gone".into(), "not_found")]), 1, 1),
        ("an object of the wrong shape", with(|snapshot| snapshot.problems.push(problem(false))), 1, 1),
        ("a file that does not parse", with(|snapshot| snapshot.problems.push(problem(true))), 2, 2),
        (
            "a file that does not parse beside a dead credential",
            with(|snapshot| {
                snapshot.problems.push(problem(true));
                snapshot.credentials[0].status = Status::Rejected;
            }),
            2,
            2,
        ),
        (
            "a missing permission",
            with(|snapshot| {
                snapshot.daemon.missing_permissions = vec![MissingPermission::new(Resource::Pods, "list", "")];
            }),
            3,
            3,
        ),
        ("an incomplete inventory", with(|snapshot| snapshot.daemon.synced[0].1 = false), 3, 3),
        (
            "a problem beside something unverified",
            with(|snapshot| {
                snapshot.credentials[0].status = Status::Rejected;
                snapshot.credentials.push(credential("ci", "x", "ghcr.io", Status::Unverified));
            }),
            1,
            1,
        ),
    ];
    for (what, snapshot, online, offline) in table {
        assert_eq!(Exit::of(&snapshot, false).code(), online, "{what}");
        assert_eq!(Exit::of(&snapshot, true).code(), offline, "{what}, offline");
    }
}
