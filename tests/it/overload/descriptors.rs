//! 64 file descriptors, and clients that want more.

use tokio::net::TcpStream;

use super::{Scene, now, oldest_verdict, value, with_status};
use crate::support::program::Program;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_64_descriptors_idle_clients_keep_out_neither_scrapes_nor_questions() {
    let scene = Scene::new(12, 1, "interval: 1s, concurrency: 16", "").await;
    let [flag, path] = scene.manifests();
    let daemon = Program::start_bounded("ulimit -n 64", &scene.config, &[&flag, &path]).await;
    daemon.metrics_when(|text| with_status(text, "valid") == 12).await;

    // More than there are descriptors, none of whom says anything.
    let address = daemon.url().strip_prefix("http://").expect("plain").to_owned();
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(&address).await.expect("the kernel takes it"));
    }
    let crowded_since = now();
    let text =
        daemon.metrics_when(|text| with_status(text, "valid") == 12 && oldest_verdict(text) > crowded_since).await;
    assert_eq!(daemon.get("/livez").await.map(|(status, _)| status), Some(200));
    assert!(value(&text, "process_max_fds") < 65.0, "the bound holds:\n{text}");

    drop(idle);
    let alone_since = now();
    daemon.metrics_when(|text| with_status(text, "valid") == 12 && oldest_verdict(text) > alone_since).await;
    daemon.stop().await;
}
