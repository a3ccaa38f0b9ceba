//! The far end of Alertmanager: a webhook that keeps what it was sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::post;
use serde_json::Value;
use tokio::time::Instant;

/// How long a notification may take: generous, since it only decides when a test gives up.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(50);

/// One message of Alertmanager to a receiver.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    /// The path that it was sent to, without its slash: the receiver.
    pub(crate) to: String,
    /// `firing` while one of its alerts fires, else `resolved`.
    pub(crate) status: String,
    /// Its alerts: `status`, `labels`, `annotations`.
    pub(crate) alerts: Vec<Value>,
}

impl Notification {
    /// The names of its alerts that have this status, each as often as it is there, sorted.
    pub(crate) fn names(&self, status: &str) -> Vec<&str> {
        let alerts = self.alerts.iter().filter(|alert| alert["status"] == status);
        let mut names: Vec<&str> = alerts.filter_map(|alert| alert["labels"]["alertname"].as_str()).collect();
        names.sort_unstable();
        names
    }
}

type Letters = Arc<Mutex<Vec<Notification>>>;

/// A webhook on a free port.
#[derive(Debug)]
pub(crate) struct Inbox {
    url: String,
    letters: Letters,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Inbox {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let letters = Letters::default();
        let router = axum::Router::new().route("/{to}", post(receive)).with_state(Arc::clone(&letters));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, letters, server }
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What one receiver was sent so far.
    pub(crate) fn of(&self, to: &str) -> Vec<Notification> {
        let letters = self.letters.lock().expect("nothing panics under this lock");
        letters.iter().filter(|letter| letter.to == to).cloned().collect()
    }

    /// Waits until what one receiver was sent satisfies a condition.
    pub(crate) async fn until(&self, to: &str, condition: impl Fn(&[Notification]) -> bool) -> Vec<Notification> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let letters = self.of(to);
            if condition(&letters) {
                return letters;
            }
            assert!(Instant::now() < deadline, "{to} was sent: {letters:#?}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn receive(Path(to): Path<String>, State(letters): State<Letters>, body: String) {
    let mut body: Value = serde_json::from_str(&body).expect("Alertmanager sends JSON");
    let Value::Array(alerts) = body["alerts"].take() else { panic!("a notification without alerts: {body}") };
    let status = body["status"].as_str().expect("a notification has a status").to_owned();
    letters.lock().expect("nothing panics under this lock").push(Notification { to, status, alerts });
}
