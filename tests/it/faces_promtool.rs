//! What Prometheus itself says of the exposition.

use std::process::Stdio;
use std::sync::Arc;

use pull_patrol::outlook::Snapshot;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::faces_fixture::{hostile, telling};
use crate::faces_metrics::exposition;
use crate::support::real::program;

/// `promtool check metrics` parses the text and lints names, help texts and types; it exits 3 at a lint.
#[tokio::test]
async fn promtool_has_nothing_to_say() {
    for (what, snapshot) in [("telling", telling()), ("hostile", hostile()), ("empty", Snapshot::default())] {
        let text: Vec<u8> = exposition().plain(Arc::new(snapshot)).expect("the text").flatten().collect();
        let mut promtool = Command::new(program("PROMTOOL"))
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("promtool starts");
        let mut stdin = promtool.stdin.take().expect("a pipe");
        stdin.write_all(&text).await.expect("promtool reads");
        drop(stdin);
        let output = promtool.wait_with_output().await.expect("promtool ends");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.is_empty(), "{what}: {}: {said}", output.status);
    }
}
