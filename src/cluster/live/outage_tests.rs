//! What becomes of watches when the API server ends, starts again, or has no time.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::fake::{FakeApi, Fault, status};
use super::tests::{Running, secret};
use crate::cluster::{Resource, Scope};

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_goes_on_from_the_last_bookmark() {
    let api = FakeApi::default();
    let running = Running::start(&api, Scope::default());
    running.watching(&api).await;
    api.send_line(
        "secrets",
        &json!({"type": "BOOKMARK", "object": {"kind": "Secret", "metadata": {"resourceVersion": "4711"}}}).to_string(),
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    api.end_watches();
    api.put("secrets", secret("ci", "meanwhile"));
    while api.watch_count() < 4 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let resumed = api.requests().into_iter().filter(|uri| uri.contains("resourceVersion=4711")).count();
    assert_eq!(resumed, 2, "both watches of Secrets: {:?}", api.requests());
    assert_eq!(running.errors.all(), []);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_is_waited_for_with_patience() {
    let api = FakeApi::default();
    api.put("secrets", secret("ci", "a"));
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    for _ in 0..10 {
        for resource in ["secrets", "secrets", "pods", "serviceaccounts"] {
            api.fail_next(resource, "watch", Fault::Broken);
        }
    }
    let start = Instant::now();
    api.end_watches();
    api.put("secrets", secret("ci", "meanwhile"));
    running.until("what happened meanwhile", |inventory| inventory.secrets.len() == 2).await;
    assert!(start.elapsed() > Duration::from_secs(60), "ten failures came too fast: {:?}", start.elapsed());
    assert_eq!(running.secrets()[0], "ci/a", "what was known stays known");
    assert!(running.errors.all().iter().all(|(_, reason)| *reason == "transport"));
    running.stop().await;
}

/// How often Secrets were listed: there are two lists of them.
fn lists(api: &FakeApi) -> usize {
    api.requests().iter().filter(|uri| uri.starts_with("/api/v1/secrets?") && !uri.contains("watch=")).count()
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_has_no_time_yet_is_not_read_anew() {
    for code in [429, 502, 503, 504] {
        let api = FakeApi::default();
        api.put("secrets", secret("ci", "a"));
        let running = Running::start(&api, Scope::default());
        running.watching(&api).await;
        for _ in ["dockerconfigjson", "dockercfg"] {
            api.fail_next(
                "secrets",
                "watch",
                Fault::Answer(code, status(code, "storage is (re)initializing").to_string()),
            );
            api.fail_next("secrets", "watch", Fault::Event(code));
        }
        api.end_watches();
        api.put("secrets", secret("ci", "meanwhile"));
        running.until("what happened meanwhile", |inventory| inventory.secrets.len() == 2).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(lists(&api), 2, "after {code}: {:?}", api.requests());
        assert_eq!(running.errors.all(), [(Resource::Secrets, "api"); 4]);
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_put_off_for_ever_is_made_up_for_by_lists() {
    let api = FakeApi::default();
    let running = Running::start(&api, Scope::default());
    running.watching(&api).await;
    for _ in 0..100 {
        api.fail_next("secrets", "watch", Fault::Answer(503, String::new()));
    }
    let start = Instant::now();
    api.end_watches();
    api.put("secrets", secret("ci", "meanwhile"));
    running.until("what happened meanwhile", |inventory| inventory.secrets.len() == 1).await;
    assert!(lists(&api) > 2, "{:?}", api.requests());
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_casts_doubt_brings_a_new_list() {
    for code in [400, 410, 500] {
        let api = FakeApi::default();
        let running = Running::start(&api, Scope::default());
        running.watching(&api).await;
        for _ in ["dockerconfigjson", "dockercfg"] {
            api.fail_next("secrets", "watch", Fault::Event(code));
        }
        api.end_watches();
        while lists(&api) < 4 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_next_page_is_gone_is_read_anew_from_its_first() {
    let api = FakeApi::default();
    api.put("secrets", secret("ci", "a"));
    let mut gone = secret("ci", "gone");
    gone["metadata"]["resourceVersion"] = json!("7");
    let page = json!({"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [gone]});
    for _ in ["dockerconfigjson", "dockercfg"] {
        api.fail_next("secrets", "list", Fault::Answer(200, page.to_string()));
    }
    for _ in ["dockerconfigjson", "dockercfg"] {
        api.fail_next("secrets", "list", Fault::Answer(410, status(410, "the continue token is too old").to_string()));
    }
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    assert_eq!(running.secrets(), ["ci/a"], "nothing of the list that was cut short");
    assert_eq!(running.errors.all(), [(Resource::Secrets, "expired"); 2]);
    assert_eq!(api.requests().iter().filter(|uri| uri.contains("continue=more")).count(), 2, "{:?}", api.requests());
    running.stop().await;
}

/// Whether anything is told as missing.
fn missing(running: &Running) -> bool {
    running.shared.read(|inventory| !inventory.missing_permissions.is_empty())
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_knows_no_roles_yet_is_not_believed_and_not_read_anew() {
    let api = FakeApi::default();
    api.put("secrets", secret("ci", "a"));
    let running = Running::start(&api, Scope::default());
    running.watching(&api).await;
    api.refuse_reviews(403);
    api.deny("secrets", "watch");
    api.end_watches();
    api.put("secrets", secret("ci", "meanwhile"));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        assert!(!missing(&running));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(running.errors.all().contains(&(Resource::Secrets, "forbidden")), "{:?}", running.errors.all());
    api.grant_all();
    running.until("what happened meanwhile", |inventory| inventory.secrets.len() == 2).await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(lists(&api), 2, "{:?}", api.requests());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_gone_for_good_is_told_within_seconds_and_made_up_for_by_lists() {
    let api = FakeApi::default();
    let running = Running::start(&api, Scope::default());
    running.watching(&api).await;
    api.refuse_reviews(403);
    api.deny("secrets", "watch");
    let start = Instant::now();
    api.end_watches();
    running.until("a missing permission", |inventory| !inventory.missing_permissions.is_empty()).await;
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    api.put("secrets", secret("ci", "meanwhile"));
    running.until("what happened meanwhile", |inventory| inventory.secrets.len() == 1).await;
    assert!(missing(&running), "it may list and still not watch");
    assert!(start.elapsed() < Duration::from_secs(180), "{:?}", start.elapsed());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_refused_once_more_than_it_was_granted_is_not_missed_at_once() {
    let api = FakeApi::default();
    api.put("secrets", secret("ci", "a"));
    let running = Running::start(&api, Scope::default());
    running.watching(&api).await;
    api.refuse_reviews(403);
    for _ in ["dockerconfigjson", "dockercfg"] {
        api.fail_next("secrets", "watch", Fault::Event(410));
        api.fail_next("secrets", "list", Fault::Answer(403, status(403, "no roles yet").to_string()));
    }
    api.end_watches();
    while lists(&api) < 6 {
        assert!(!missing(&running));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(running.secrets(), ["ci/a"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_the_cluster_lacks_is_not_missed_while_an_api_server_starts() {
    let api = FakeApi::default();
    api.uninstall("autoscalinglisteners");
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    tokio::time::sleep(Duration::from_secs(45)).await;
    api.refuse_reviews(403);
    api.refuse_discovery(403);
    api.deny("autoscalinglisteners", "list");
    while !running.errors.all().contains(&(Resource::AutoscalingListeners, "forbidden")) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!missing(&running));
    running.until("a missing permission", |inventory| !inventory.missing_permissions.is_empty()).await;
    running.stop().await;
}
