//! A disk that is full under the state file. What a full disk is to a process, a bound on the size of its files is too: the
//! kernel refuses the write, and takes it again later.

use std::process::Command;

use super::{Scene, sum, value, with_status};
use crate::support::program::Program;

/// Bounds the size of the files that a process may write, in bytes; `None` is no bound.
fn bound_files(pid: u32, bytes: Option<u64>) {
    let soft = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let set = Command::new("prlimit").args([format!("--pid={pid}"), format!("--fsize={soft}:unlimited")]).status();
    assert!(set.expect("prlimit (util-linux) runs").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_costs_the_memory_and_not_the_patrol() {
    const SAVED: &str = "pullpatrol_state_saved_timestamp_seconds";
    let config = "state: {kind: file, path: STATE}\n";
    let scene = Scene::new(30, 1, "interval: 1s, confirmationSpacing: 1s, rejectedInterval: 1h", config).await;
    let [flag, path] = scene.manifests();
    // Else the kernel ends the process instead of refusing the write.
    let daemon = Program::start_bounded("trap '' XFSZ", &scene.config, &[&flag, &path]).await;
    daemon.metrics_when(|text| with_status(text, "valid") == 30).await;
    let state = scene.folder.path().join("state");
    assert!(std::fs::metadata(&state).expect("a state").len() > 4096, "there is more to keep than will fit");

    bound_files(daemon.pid(), Some(1024));
    let failing = daemon.metrics_when(|text| sum(text, "pullpatrol_state_errors_total") > 0.0).await;
    let before = value(&failing, SAVED);
    // The patrol goes on without.
    scene.tokens[0].revoke();
    let text = daemon.metrics_when(|text| with_status(text, "rejected") == 1).await;
    assert_eq!(with_status(&text, "valid"), 29, "{text}");
    assert!((value(&text, SAVED) - before).abs() < f64::EPSILON, "nothing is said to be saved that is not");
    assert_eq!(daemon.get("/livez").await.map(|(status, _)| status), Some(200));

    bound_files(daemon.pid(), None);
    daemon.metrics_when(|text| value(text, SAVED) > before).await;
    daemon.kill().await;

    // The next process knows what was proven while nothing could be kept, and asks the dead login no more.
    let dead = || scene.world.count(|request| request.shows(&scene.tokens[0]));
    let asked = dead();
    let next = Program::start(&scene.config, &[&flag, &path]).await;
    let text = next.ready_metrics().await;
    assert_eq!((with_status(&text, "rejected"), with_status(&text, "valid")), (1, 29), "{text}");
    assert_eq!(dead(), asked, "it asked a dead login again");
    next.stop().await;
}
