//! A registry that takes 10 s for each answer.

use std::time::Duration;

use simulator::{Fault, FaultRule, Host};

use super::{LAG, Scene, now, oldest_verdict, value, with_status};
use crate::support::program::Program;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_gets_slow_makes_it_late_and_nothing_else() {
    let scene = Scene::new(8, 1, "interval: 2s, timeout: 15s, concurrency: 2", "").await;
    let [flag, path] = scene.manifests();
    let daemon = Program::start(&scene.config, &[&flag, &path]).await;
    daemon.metrics_when(|text| with_status(text, "valid") == 8).await;

    scene.world.fault(FaultRule::on(Host::Ghcr, Fault::Delay(Duration::from_secs(10))));
    let slow_since = now();
    let late = daemon.metrics_when(|text| value(text, LAG) > 8.0 && oldest_verdict(text) < now() - 10.0).await;
    assert_eq!(with_status(&late, "valid"), 8, "late is not wrong:\n{late}");
    assert!(late.contains("pullpatrol_registry_up{registry=\"ghcr.io\"} 1"), "slow is not down:\n{late}");
    assert_eq!(daemon.get("/livez").await.map(|(status, _)| status), Some(200));

    scene.world.clear_faults();
    let again = daemon.metrics_when(|text| value(text, LAG) < 2.0 && oldest_verdict(text) > slow_since + 10.0).await;
    assert_eq!(with_status(&again, "valid"), 8, "{again}");
    daemon.stop().await;
}
