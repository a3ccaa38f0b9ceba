//! What may be done, and Secrets by their names, against an API server in memory and on paused time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::fake::FakeApi;
use super::tests::{Running, at, pod, secret, secret_of};
use crate::cluster::{Inventory, MissingPermission, Resource, Scope};
use crate::config::{NamedSecret, ScopeConfig};

fn missing(inventory: &Inventory) -> Vec<MissingPermission> {
    MissingPermission::merged(&inventory.missing_permissions)
}

fn lack(resource: Resource, verb: &'static str) -> MissingPermission {
    MissingPermission::new(resource, verb, "")
}

#[tokio::test(start_paused = true)]
async fn what_would_be_refused_is_told_before_it_is_needed() {
    let api = FakeApi::default();
    api.deny("events", "create");
    let running = Running::start_writing(&api, Scope::default(), true);
    running.until("a missing right", |inventory| missing(inventory) == [lack(Resource::Events, "create")]).await;
    running.synced().await;
    let start = Instant::now();
    api.grant_all();
    running.until("the right", |inventory| inventory.missing_permissions.is_empty()).await;
    assert!(start.elapsed() <= Duration::from_secs(31), "{:?}", start.elapsed());
    running.stop().await;

    let running = Running::start(&api, Scope::default());
    api.deny("events", "create");
    running.synced().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(running.shared.read(missing), [], "nobody writes them");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_taken_away_under_an_open_watch_is_told_and_what_was_seen_stays() {
    let api = FakeApi::default();
    api.put("secrets", secret("ci", "a"));
    let running = Running::start(&api, Scope::default());
    running.watching(&api).await;
    let (quiet, asked) = (api.requests().len(), api.reviews());
    assert_eq!(asked, 2 * (Resource::ALL.len() - 1), "both verbs of each kind, once");
    for verb in ["list", "watch"] {
        api.deny("secrets", verb);
    }
    let both = [lack(Resource::Secrets, "list"), lack(Resource::Secrets, "watch")];
    running.until("the missing rights", |inventory| missing(inventory) == both).await;
    assert_eq!(api.requests().len(), quiet, "no request was refused: the watches are open");
    assert_eq!(running.secrets(), ["ci/a"]);
    assert!(running.shared.read(Inventory::is_complete));
    api.grant_all();
    running.until("the rights", |inventory| inventory.missing_permissions.is_empty()).await;
    assert_eq!(running.errors.all(), []);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_out_a_refusal_is_woken_when_it_ends() {
    let api = FakeApi::default();
    api.put("pods", pod("web", "Running"));
    api.deny("pods", "list");
    let running = Running::start(&api, Scope::default());
    running.synced().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let start = Instant::now();
    api.grant_all();
    running.until("the pod", |inventory| inventory.pods.contains_key(&at("ci", "web"))).await;
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
    assert_eq!(running.shared.read(missing), []);
    assert_eq!(running.errors.all(), [(Resource::Pods, "forbidden")], "one refusal, and no second try that fails");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn that_nobody_answers_is_no_error() {
    for code in [403, 404, 500] {
        let api = FakeApi::default();
        api.refuse_reviews(code);
        api.deny("pods", "list");
        let running = Running::start_writing(&api, Scope::default(), true);
        running.synced().await;
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(running.shared.read(missing), [lack(Resource::Pods, "list")], "the request itself tells");
        assert!(api.reviews() <= 2, "{} questions that nobody answers", api.reviews());
        api.grant_all();
        running.until("the right", |inventory| inventory.missing_permissions.is_empty()).await;
        assert!(running.errors.all().iter().all(|error| *error == (Resource::Pods, "forbidden")));
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_granted_counts_for_more_than_what_is_said() {
    let api = FakeApi::default();
    api.put("pods", pod("web", "Running"));
    for verb in ["list", "watch"] {
        api.say("pods", verb, json!({"allowed": false}));
    }
    let running = Running::start(&api, Scope::default());
    running.watching(&api).await;
    running.until("nothing that lacks", |inventory| inventory.missing_permissions.is_empty()).await;
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(running.shared.read(missing), []);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_authorizer_that_failed_has_said_nothing() {
    let api = FakeApi::default();
    let running = Running::start_writing(&api, Scope::default(), true);
    running.watching(&api).await;
    let broken = json!({"allowed": false, "evaluationError": "the webhook does not answer"});
    api.say("events", "create", broken.clone());
    api.say("secrets", "list", broken);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(running.shared.read(missing), []);
    let outright = json!({"allowed": false, "denied": true, "evaluationError": "another one does not answer"});
    api.say("events", "create", outright);
    running.until("a denial", |inventory| missing(inventory) == [lack(Resource::Events, "create")]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_cluster_lacks_is_not_missed() {
    let api = FakeApi::default();
    for kind in ["runners", "runnerdeployments", "runnerreplicasets", "runnersets"] {
        api.uninstall(kind);
        for verb in ["list", "watch"] {
            api.deny(kind, verb);
        }
    }
    api.deny("ephemeralrunners", "watch");
    let running = Running::start(&api, Scope::default());
    let there = [lack(Resource::EphemeralRunners, "watch")];
    running.until("what is there", |inventory| missing(inventory) == there).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(running.shared.read(missing), there);
    running.stop().await;
}

fn naming(secrets: &[(&str, &str)]) -> Scope {
    let named =
        |(namespace, name): &(&str, &str)| NamedSecret { namespace: (*namespace).to_owned(), name: (*name).to_owned() };
    let config = ScopeConfig { secrets: secrets.iter().map(named).collect(), ..ScopeConfig::default() };
    Scope::new(&config, &[]).unwrap()
}

/// Names of Secrets that are not there, as the problems tell.
fn absent(inventory: &Inventory) -> Vec<String> {
    let told = inventory.problems.iter().filter(|problem| problem.message.contains("is not there"));
    told.map(|problem| problem.name.clone().unwrap_or_default()).collect()
}

#[tokio::test(start_paused = true)]
async fn named_secrets_come_go_and_come_again_and_no_other_is_seen() {
    let api = FakeApi::default();
    for name in ["one", "other"] {
        api.put("secrets", secret("ci", name));
    }
    // A label that leaves others out.
    let mut labelled = secret("ops", "pull");
    labelled["metadata"]["labels"] = json!({"runner-pod": "x"});
    api.put("secrets", labelled);
    let running = Running::start(&api, naming(&[("ci", "one"), ("ci", "late"), ("ops", "pull")]));
    running.synced().await;
    assert_eq!(running.secrets(), ["ci/one", "ops/pull"]);
    assert_eq!(running.shared.read(absent), ["ci/late"], "a name that leads nowhere is told");
    for _ in 0..2 {
        api.put("secrets", secret("ci", "late"));
        running.until("the late one", |inventory| inventory.secrets.len() == 3 && absent(inventory).is_empty()).await;
        api.delete("secrets", "ci", "late");
        running.until("its end", |inventory| inventory.secrets.len() == 2 && absent(inventory) == ["ci/late"]).await;
    }
    // Of another type it is there, and no pull Secret.
    api.put("secrets", secret_of("ci", "late", "Opaque"));
    running.until("its type", |inventory| inventory.secrets.contains_key(&at("ci", "late"))).await;
    let kind = running.shared.read(|inventory| inventory.secrets[&at("ci", "late")].secret_type.clone());
    assert_eq!((&*kind, running.shared.read(absent)), ("Opaque", vec![]));
    assert_eq!(running.errors.all(), []);
    // Lists that are made anew change nothing.
    let before = running.shared.read(|inventory| Arc::clone(&inventory.secrets[&at("ci", "one")]));
    api.end_watches();
    api.forget_quietly("secrets", "other");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(Arc::ptr_eq(&before, &running.shared.read(|inventory| Arc::clone(&inventory.secrets[&at("ci", "one")]))));

    let asked = api.requests();
    let secrets: Vec<&String> = asked.iter().filter(|uri| uri.contains("/secrets")).collect();
    assert!(
        secrets.len() >= 6 && secrets.iter().all(|uri| uri.contains("fieldSelector=metadata.name%3D")),
        "{secrets:?}"
    );
    assert!(asked.iter().all(|uri| !uri.contains("/namespaces/") || uri.contains("/ci/") || uri.contains("/ops/")));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_named_secret_that_is_refused_is_missed_by_its_name() {
    let api = FakeApi::default();
    api.put("secrets", secret("ci", "one"));
    api.deny("secrets", "list");
    let running = Running::start(&api, naming(&[("ci", "one"), ("ci", "two")]));
    running.synced().await;
    let list = MissingPermission::new(Resource::Secrets, "list", "ci");
    let both = MissingPermission { names: ["one".into(), "two".into()].into(), ..list };
    running.until("both names", |inventory| missing(inventory) == [both.clone()]).await;
    assert_eq!(running.shared.read(absent), [""; 0], "what may not be seen can be there");
    api.grant_all();
    running.until("the one that is there", |inventory| !inventory.secrets.is_empty()).await;
    running.until("the other", |inventory| absent(inventory) == ["ci/two"]).await;
    assert_eq!(running.shared.read(missing), []);
    running.stop().await;
}
