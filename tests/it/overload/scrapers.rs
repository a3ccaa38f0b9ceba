//! 200 scrapers at once.

use std::io::Read as _;

use super::{Scene, with_status};
use crate::support::program::Program;

const SCRAPERS: usize = 200;
const TOKENS: usize = 4;
const COPIES: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_scrapers_all_get_all_of_it_while_the_patrol_goes_on() {
    let scene = Scene::new(TOKENS, COPIES, "interval: 1s, confirmationSpacing: 1s", "").await;
    let [flag, path] = scene.manifests();
    let daemon = Program::start(&scene.config, &[&flag, &path]).await;
    daemon.metrics_when(|text| with_status(text, "valid") == TOKENS * COPIES).await;

    scene.tokens[0].revoke();
    // It keeps no connection, so each of them has one of its own, as scrapers do.
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
    let mut scrapers = tokio::task::JoinSet::new();
    for scraper in 0..SCRAPERS {
        let (client, url) = (client.clone(), format!("{}/metrics", daemon.url()));
        scrapers.spawn(async move {
            let compressed = scraper % 2 == 0;
            let request = client.get(&url);
            let request = if compressed { request.header("accept-encoding", "gzip") } else { request };
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status(), 200);
            let body = response.bytes().await.expect("all of the body").to_vec();
            let mut text = String::new();
            if compressed {
                flate2::read::GzDecoder::new(&*body).read_to_string(&mut text).expect("a whole gzip stream");
            } else {
                text = String::from_utf8(body).expect("UTF-8");
            }
            assert!(text.ends_with('\n') && text.contains("\npullpatrol_build_info{"), "a whole exposition");
            text.lines().filter(|line| line.starts_with("pullsecret_credential_status{")).count()
        });
    }
    let sizes = scrapers.join_all().await;
    assert_eq!(sizes.len(), SCRAPERS);
    assert!(sizes.iter().all(|credentials| *credentials == TOKENS * COPIES), "each scrape is whole");

    // What happened meanwhile is seen.
    daemon.metrics_when(|text| with_status(text, "rejected") == COPIES).await;
    daemon.stop().await;
}
