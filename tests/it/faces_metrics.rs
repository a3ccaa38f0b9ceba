//! The exposition.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use pull_patrol::metrics::{BuildInfo, DaemonMetrics, Exposition, SnapshotEncoder};
use pull_patrol::outlook::Snapshot;
use pull_patrol::probe::{Outcome, ProbeKind};

use crate::faces_fixture::{hostile, telling};

pub(crate) fn encoded(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    SnapshotEncoder::encode(snapshot, &mut out);
    out
}

pub(crate) fn exposition() -> Exposition {
    let metrics = DaemonMetrics::new(BuildInfo { version: "1.2.3", revision: "abc", rustc: "1.95.0" }).unwrap();
    metrics.add_registry("ghcr.io");
    metrics.add_watch("pods", &["expired"]);
    metrics.add_state(&["write"]);
    metrics.state_saved(chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1_700_000_000));
    metrics.add_lease(&["conflict"]);
    metrics.config_read(chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1_700_000_000));
    metrics.probe_ended("ghcr.io", ProbeKind::Login, Outcome::Accepted, Duration::from_millis(120));
    Exposition::new(Arc::new(metrics))
}

fn inflate(exposition: &Exposition, snapshot: &Arc<Snapshot>) -> String {
    let body = exposition.gzip(snapshot).unwrap().parts.concat();
    let mut text = String::new();
    let mut reader = flate2::bufread::GzDecoder::new(&*body);
    reader.read_to_string(&mut text).unwrap();
    // One member and nothing behind it: readers that stop at the first would lose the rest.
    assert!(reader.into_inner().is_empty());
    text
}

fn plain(exposition: &Exposition, snapshot: &Arc<Snapshot>) -> String {
    let bytes: Vec<u8> = exposition.plain(Arc::clone(snapshot)).unwrap().flatten().collect();
    String::from_utf8(bytes).unwrap()
}

/// What does not change from one encode to the next: the process goes on running.
fn steady(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with("process_")).collect()
}

#[test]
fn the_text_of_a_snapshot() {
    insta::assert_snapshot!(encoded(&telling()));
}

#[test]
fn an_empty_snapshot_has_all_families() {
    let families = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned).collect()
    };
    let full = families(&encoded(&telling()));
    assert_eq!(families(&encoded(&Snapshot::default())), full);
    for family in &full {
        let name = family.split(' ').next().unwrap();
        let has_series = encoded(&telling())
            .lines()
            .any(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")));
        assert!(has_series, "the fixture has no series of {name}");
    }
}

#[test]
fn no_series_stands_twice() {
    for snapshot in [telling(), hostile()] {
        let text = encoded(&snapshot);
        let mut seen = BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let series = line.rsplit_once(' ').unwrap().0;
            assert!(seen.insert(series.to_owned()), "{series}");
        }
    }
}

#[test]
fn a_finding_of_a_secret_is_not_repeated_beside_its_row() {
    let mut snapshot = telling();
    let malformed = snapshot.credentials.iter().find(|row| &*row.secret_name == "mangled").unwrap();
    let findings = malformed.findings.clone();
    snapshot.findings[0].secret_name = "mangled".into();
    snapshot.findings[0].findings.extend_from_slice(&findings);
    let text = encoded(&snapshot);
    let undecodable = text.lines().filter(|line| line.contains("finding=\"undecodable_secret\""));
    assert_eq!(undecodable.count(), 1);
    assert!(text.contains("secret_name=\"mangled\",registry=\"\",finding=\"no_entries\""));
}

#[test]
fn hostile_labels_stay_in_their_line() {
    let text = encoded(&hostile());
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        assert!(
            line.starts_with("# ") || line.starts_with("pullsecret_") || line.starts_with("pullpatrol_"),
            "{line:?}"
        );
    }
    assert!(text.contains("username=\"a\\\"b\\\\c\\n<script>"), "{text}");
}

#[test]
fn pieces_of_any_size_make_the_same_text() {
    let snapshot = telling();
    let whole = encoded(&snapshot);
    for enough in [0, 1, 100, 4096] {
        let mut encoder = SnapshotEncoder::new();
        let mut text = String::new();
        let mut pieces = 0;
        loop {
            let mut piece = String::new();
            let more = encoder.fill(&snapshot, &mut piece, enough);
            text.push_str(&piece);
            pieces += 1;
            if !more {
                break;
            }
            assert!(pieces < 10_000, "no progress with pieces of {enough}");
        }
        assert_eq!(text, whole, "pieces of {enough}");
    }
}

#[test]
fn compressed_and_plain_are_one_text() {
    let exposition = exposition();
    let snapshot = Arc::new(telling());
    let text = plain(&exposition, &snapshot);
    assert!(text.starts_with("# HELP pullsecret_credential_info"));
    assert!(text.contains("\npullpatrol_build_info{"));
    assert!(text.contains("\nprocess_resident_memory_bytes "));
    assert_eq!(steady(&inflate(&exposition, &snapshot)), steady(&text));
}

#[test]
fn a_big_snapshot_survives_compression() {
    let exposition = exposition();
    let mut snapshot = telling();
    let row = snapshot.credentials[0].clone();
    for number in 0..3_000 {
        let mut row = row.clone();
        row.secret_name = format!("zz-{number:05}").into();
        snapshot.credentials.push(row);
    }
    let snapshot = Arc::new(snapshot);
    assert_eq!(steady(&inflate(&exposition, &snapshot)), steady(&plain(&exposition, &snapshot)));
}

#[test]
fn the_snapshots_part_is_made_once_and_the_daemons_part_anew() {
    let exposition = exposition();
    let snapshot = Arc::new(telling());
    let first = exposition.gzip(&snapshot).unwrap();
    exposition.daemon().probe_ended("ghcr.io", ProbeKind::Login, Outcome::Refused, Duration::from_millis(5));
    let second = exposition.gzip(&snapshot).unwrap();
    assert_eq!(first.parts[0].as_ptr(), second.parts[0].as_ptr());
    let text = inflate(&exposition, &snapshot);
    assert!(text.contains("pullpatrol_probes_total{kind=\"login\",outcome=\"refused\",registry=\"ghcr.io\"} 1\n"));

    let mut changed = telling();
    changed.daemon.logins = 8;
    let text = inflate(&exposition, &Arc::new(changed));
    assert!(text.contains("\npullpatrol_logins 8\n"), "a new snapshot is encoded anew");
}

#[test]
fn an_old_snapshot_is_not_kept() {
    let exposition = exposition();
    let snapshot = Arc::new(telling());
    exposition.gzip(&snapshot).unwrap();
    assert_eq!(Arc::strong_count(&snapshot), 1);
}
