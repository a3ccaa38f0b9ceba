//! Announcements against an API server in memory that keeps Events, and refuses or fails on demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{Method, Request, Response};
use serde_json::{Value, json};

use super::*;
use crate::cluster::Inventory;
use crate::config::ScopeConfig;

#[derive(Default)]
struct State {
    /// By name.
    events: BTreeMap<String, Value>,
    /// Answers to come before all else, to requests of a method: status and body.
    answers: VecDeque<(Method, u16, Value)>,
    requests: Vec<(Method, String)>,
    /// Secrets are there.
    secrets: bool,
}

#[derive(Clone)]
struct Api(Arc<Mutex<State>>);

impl Api {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State { secrets: true, ..State::default() })))
    }

    fn client(&self) -> kube::Client {
        let state = Arc::clone(&self.0);
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let state = Arc::clone(&state);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let (status, answer) = state.lock().unwrap().answer(&head.method, &head.uri, &body);
                let answer = Response::builder().status(status).body(Body::from(answer.to_string()));
                Ok::<_, std::io::Error>(answer.unwrap())
            }
        });
        kube::Client::new(service, "default")
    }

    fn script(&self, method: Method, status: u16, body: Value) {
        self.0.lock().unwrap().answers.push_back((method, status, body));
    }

    fn events(&self) -> Vec<Value> {
        self.0.lock().unwrap().events.values().cloned().collect()
    }

    fn count(&self, method: &Method) -> usize {
        self.0.lock().unwrap().requests.iter().filter(|(asked, _)| asked == method).count()
    }
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason})
}

impl State {
    fn answer(&mut self, method: &Method, uri: &http::Uri, body: &[u8]) -> (u16, Value) {
        self.requests.push((method.clone(), uri.to_string()));
        if self.answers.front().is_some_and(|(expected, ..)| expected == method) {
            let (_, status, body) = self.answers.pop_front().unwrap();
            return (status, body);
        }
        let name = uri.path().rsplit('/').next().unwrap().to_owned();
        match *method {
            Method::GET => {
                assert!(uri.query().unwrap().contains("fieldSelector=metadata.name%3Dpull"), "{uri}");
                let items =
                    if self.secrets { json!([{"metadata": {"name": "pull", "uid": "uid-1"}}]) } else { json!([]) };
                (200, json!({"metadata": {"resourceVersion": "1"}, "items": items}))
            }
            Method::POST => {
                let mut event: Value = serde_json::from_slice(body).unwrap();
                let name = event["metadata"]["name"].as_str().unwrap().to_owned();
                if self.events.contains_key(&name) {
                    return (409, status(409, "AlreadyExists"));
                }
                event["metadata"]["resourceVersion"] = json!("1");
                self.events.insert(name, event.clone());
                (201, event)
            }
            Method::PATCH => {
                let patch: Value = serde_json::from_slice(body).unwrap();
                let Some(event) = self.events.get_mut(&name) else { return (404, status(404, "NotFound")) };
                if let Some(version) = patch["metadata"]["resourceVersion"].as_str() {
                    assert_eq!(event["metadata"]["resourceVersion"], version);
                }
                for field in ["count", "lastTimestamp", "message"] {
                    if !patch[field].is_null() {
                        event[field] = patch[field].clone();
                    }
                }
                (200, event.clone())
            }
            _ => panic!("{method} is not used"),
        }
    }
}

/// Counts outcomes.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<&'static str, usize>>>);

impl EventObserver for Counts {
    fn count(&self, outcome: EventOutcome, announcements: usize) {
        if announcements > 0 {
            *self.0.lock().unwrap().entry(outcome.as_str()).or_default() += announcements;
        }
    }
}

impl Counts {
    fn told(&self) -> Vec<(&'static str, usize)> {
        self.0.lock().unwrap().iter().map(|(outcome, count)| (*outcome, *count)).collect()
    }
}

fn announcement(namespace: &str, reason: &'static str, minute: i64) -> Announcement {
    Announcement {
        secret: ObjectRef::new(namespace, "pull"),
        subject: Arc::from("ghcr.io"),
        reason,
        warning: reason != "CredentialRecovered",
        message: format!("in words, at minute {minute}"),
        at: DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes(minute),
    }
}

struct Sender {
    announce: mpsc::Sender<Announcement>,
    shared: SharedInventory,
    counts: Counts,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Sender {
    fn start(api: &Api, namespaces: &[&str]) -> Self {
        let namespaces = namespaces.iter().map(|&name| name.to_owned()).collect();
        let scope = Scope::new(&ScopeConfig { namespaces, ..ScopeConfig::default() }, &[]).unwrap();
        let (announce, announcements) = mpsc::channel(64);
        let (shared, counts, stop) =
            (SharedInventory::new(Inventory::default()), Counts::default(), CancellationToken::new());
        let (client, inventory, observer, token) = (api.client(), shared.clone(), counts.clone(), stop.clone());
        let task = tokio::spawn(async move {
            send_events(client, &scope, &inventory, announcements, observer, token).await;
        });
        Self { announce, shared, counts, stop, task }
    }

    async fn tell(&self, announcement: Announcement) {
        self.announce.send(announcement).await.unwrap();
    }

    /// Wait until a condition holds; time is paused, so that it costs none.
    async fn until(&self, what: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(2 * 3600);
        while !what(self) {
            assert!(Instant::now() < deadline, "never so: {:?}", self.counts.told());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn missing(&self) -> Vec<(&'static str, String)> {
        let told = |missing: &MissingPermission| {
            assert_eq!(missing.resource, Resource::Events);
            (missing.verb, missing.scope.to_string())
        };
        self.shared.read(|inventory| inventory.missing_permissions.iter().map(told).collect())
    }

    async fn end(self) -> Vec<(&'static str, usize)> {
        self.stop.cancel();
        self.task.await.unwrap();
        self.counts.told()
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_made_once_and_counted_up_when_the_same_comes_again() {
    let api = Api::new();
    let sender = Sender::start(&api, &[]);
    sender.tell(announcement("a", "CredentialRejected", 1)).await;
    sender.until(|_| api.events().len() == 1).await;
    let event = &api.events()[0];
    assert_eq!(
        event["involvedObject"],
        json!({"apiVersion": "v1", "kind": "Secret", "namespace": "a", "name": "pull", "uid": "uid-1"})
    );
    assert_eq!(
        (&event["type"], &event["reason"], &event["count"]),
        (&json!("Warning"), &json!("CredentialRejected"), &json!(1))
    );
    assert_eq!(
        (&event["message"], &event["firstTimestamp"]),
        (&json!("in words, at minute 1"), &json!("1970-01-01T00:01:00Z"))
    );
    let name = event["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("pull.") && name.len() == 5 + 16, "{name}");

    sender.tell(announcement("a", "CredentialRecovered", 2)).await;
    sender.until(|_| api.events().len() == 2).await;
    drop(sender.end().await);

    // Another process: the API server alone remembers.
    let sender = Sender::start(&api, &[]);
    sender.tell(announcement("a", "CredentialRejected", 3)).await;
    sender.until(|sender| sender.counts.told() == [("repeated", 1)]).await;
    let events = api.events();
    assert_eq!(events.len(), 2);
    let event = events.iter().find(|event| event["metadata"]["name"] == *name).unwrap();
    assert_eq!((&event["count"], &event["message"]), (&json!(2), &json!("in words, at minute 3")));
    assert_eq!(
        (&event["firstTimestamp"], &event["lastTimestamp"]),
        (&json!("1970-01-01T00:01:00Z"), &json!("1970-01-01T00:03:00Z"))
    );
    sender.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_survived_and_ends_with_the_grant() {
    let api = Api::new();
    let sender = Sender::start(&api, &[]);
    api.script(Method::POST, 403, status(403, "Forbidden"));
    api.script(Method::POST, 403, status(403, "Forbidden"));
    let begun = Instant::now();
    sender.tell(announcement("a", "CredentialRejected", 1)).await;
    sender.until(|sender| !sender.missing().is_empty()).await;
    assert_eq!(sender.missing(), [("create", String::new())], "a ClusterRole is what lacks");
    sender.until(|_| api.events().len() == 1).await;
    assert!(Instant::now() - begun >= 2 * FORBIDDEN_PAUSE);
    sender.until(|sender| sender.missing().is_empty()).await;
    assert_eq!(sender.end().await, [("forbidden", 2), ("sent", 1)]);
}

#[tokio::test(start_paused = true)]
async fn with_named_namespaces_the_role_is_named_and_the_others_go_on() {
    let api = Api::new();
    let sender = Sender::start(&api, &["a", "b"]);
    api.script(Method::POST, 403, status(403, "Forbidden"));
    sender.tell(announcement("a", "CredentialRejected", 1)).await;
    sender.until(|sender| !sender.missing().is_empty()).await;
    assert_eq!(sender.missing(), [("create", "a".to_owned())]);
    let begun = Instant::now();
    sender.tell(announcement("b", "CredentialRejected", 1)).await;
    sender.until(|_| api.events().len() == 1).await;
    assert!(Instant::now() - begun < FORBIDDEN_PAUSE);
    assert_eq!(sender.missing(), [("create", "a".to_owned())], "what b grants says nothing of a");
    sender.until(|sender| sender.missing().is_empty()).await;
    sender.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_patch_the_event_that_is_there_must_do() {
    let api = Api::new();
    let sender = Sender::start(&api, &[]);
    sender.tell(announcement("a", "CredentialRejected", 1)).await;
    sender.until(|_| api.events().len() == 1).await;
    api.script(Method::PATCH, 403, status(403, "Forbidden"));
    sender.tell(announcement("a", "CredentialRejected", 2)).await;
    sender.until(|sender| !sender.missing().is_empty()).await;
    assert_eq!(sender.missing(), [("patch", String::new())]);
    tokio::time::sleep(10 * FORBIDDEN_PAUSE).await;
    assert_eq!(api.count(&Method::PATCH), 1, "it is not tried again");
    sender.tell(announcement("a", "CredentialRejected", 3)).await;
    sender.until(|sender| sender.missing().is_empty()).await;
    assert_eq!(sender.end().await, [("forbidden", 1), ("repeated", 1), ("sent", 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_fails_is_asked_again_later_and_later() {
    let api = Api::new();
    let sender = Sender::start(&api, &[]);
    for _ in 0..3 {
        api.script(Method::POST, 500, status(500, "InternalError"));
    }
    let mut busy = status(429, "TooManyRequests");
    busy["details"] = json!({"retryAfterSeconds": 40});
    api.script(Method::POST, 429, busy);
    let begun = Instant::now();
    sender.tell(announcement("a", "CredentialRejected", 1)).await;
    sender.until(|_| api.events().len() == 1).await;
    assert!(Instant::now() - begun >= Duration::from_secs(1 + 2 + 4 + 40));
    assert_eq!(sender.end().await, [("failed", 4), ("sent", 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_told_any_more_is_given_up() {
    let api = Api::new();
    let sender = Sender::start(&api, &[]);
    let mut terminating = status(403, "Forbidden");
    terminating["details"] = json!({"causes": [{"reason": "NamespaceTerminating", "message": "", "field": ""}]});
    api.script(Method::POST, 403, terminating);
    sender.tell(announcement("a", "CredentialRejected", 1)).await;
    sender.until(|sender| sender.counts.told() == [("dropped", 1)]).await;
    api.script(Method::POST, 422, status(422, "Invalid"));
    sender.tell(announcement("a", "CredentialRejected", 2)).await;
    sender.until(|sender| sender.counts.told() == [("dropped", 2)]).await;
    api.0.lock().unwrap().secrets = false;
    sender.tell(announcement("a", "CredentialRejected", 3)).await;
    sender.until(|sender| sender.counts.told() == [("dropped", 3)]).await;
    assert!(sender.missing().is_empty() && api.events().is_empty());
    assert_eq!(api.count(&Method::POST), 2, "of a Secret that is gone nothing is told");
    sender.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_namespace_is_told_as_a_number() {
    let api = Api::new();
    let sender = Sender::start(&api, &[]);
    for n in 0..60 {
        let mut one = announcement("a", "CredentialRejected", 1);
        one.subject = Arc::from(format!("registry-{n}.example.com"));
        sender.tell(one).await;
    }
    sender.until(|_| api.events().len() == 21).await;
    let aggregate = |event: &&Value| event["message"].as_str().unwrap().contains("(39 more changes in this namespace");
    assert_eq!(api.events().iter().filter(aggregate).count(), 1);
    assert_eq!(sender.end().await, [("limited", 39), ("sent", 21)]);
}
