//! An API server that sends 100,000 updates as fast as they are taken.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use simulator::{Host, TokenHandle, TokenSpec, Visibility, World};

use super::with_status;
use crate::support::manifests::{docker_config, ghcr_config};
use crate::support::program::Program;

const UPDATES: usize = 100_000;
const OBJECTS: usize = 50;

/// Pods and pull Secrets, each with one login.
struct Objects {
    documents: Vec<String>,
    last: String,
}

impl Objects {
    fn secret(name: &str, document: &str, version: usize) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"namespace": "a", "name": name, "resourceVersion": version.to_string()},
            "data": {".dockerconfigjson": STANDARD.encode(document)},
        })
    }

    fn pod(nth: usize, version: usize) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": "a", "name": format!("pod-{nth}"), "resourceVersion": version.to_string()},
            "spec": {
                "imagePullSecrets": [{"name": format!("pull-{nth}")}],
                // The image of a new one each time.
                "containers": [{"name": "main", "image": format!("ghcr.io/acme/app:v{version}")}],
            },
        })
    }

    fn listed(&self, resource: &str) -> Vec<Value> {
        match resource {
            "secrets" => {
                let all = self.documents.iter().enumerate();
                all.map(|(nth, document)| Self::secret(&format!("pull-{nth}"), document, 1)).collect()
            }
            "pods" => (0..OBJECTS).map(|nth| Self::pod(nth, 1)).collect(),
            _ => Vec::new(),
        }
    }

    /// The update of that number; half of them are of Secrets, whose content stays.
    fn update(&self, resource: &str, number: usize) -> Value {
        let (nth, version) = (number % OBJECTS, number + 2);
        let object = match resource {
            "secrets" => Self::secret(&format!("pull-{nth}"), &self.documents[nth], version),
            _ => Self::pod(nth, version),
        };
        json!({"type": "MODIFIED", "object": object})
    }

    /// The lines of a watch: all updates, one last new Secret, then silence.
    fn watch(self: Arc<Self>, resource: &'static str) -> Body {
        const LINES: usize = 500;
        let this = Arc::clone(&self);
        let storm = stream::iter(0..UPDATES / 2 / LINES).map(move |chunk| {
            let lines =
                (chunk * LINES..(chunk + 1) * LINES).map(|number| format!("{}\n", this.update(resource, number)));
            Bytes::from(lines.collect::<String>())
        });
        let last = json!({"type": "ADDED", "object": Self::secret("last", &self.last, UPDATES)});
        let last = (resource == "secrets").then(|| Bytes::from(format!("{last}\n")));
        let lines = storm.chain(stream::iter(last)).chain(stream::pending());
        Body::from_stream(lines.map(Ok::<Bytes, Infallible>))
    }
}

async fn answer(
    State(objects): State<Arc<Objects>>,
    Query(query): Query<HashMap<String, String>>,
    uri: Uri,
) -> Response {
    let resource = match uri.path() {
        "/api/v1/secrets" => "secrets",
        "/api/v1/pods" => "pods",
        path if path == "/api/v1/serviceaccounts"
            || path.starts_with("/apis/apps/")
            || path.starts_with("/apis/batch/") =>
        {
            "others"
        }
        _ => {
            let status =
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
            return (StatusCode::NOT_FOUND, axum::Json(status)).into_response();
        }
    };
    // Of the two types of pull Secrets there is one here.
    let is_other_type = query.get("fieldSelector").is_some_and(|fields| fields.ends_with("dockercfg"));
    let is_quiet = resource == "others" || is_other_type;
    if query.contains_key("watch") {
        let body = if is_quiet {
            Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())
        } else {
            objects.watch(resource)
        };
        return ([("content-type", "application/json")], body).into_response();
    }
    let items = if is_quiet { Vec::new() } else { objects.listed(resource) };
    axum::Json(json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}))
        .into_response()
}

/// The most memory that a process ever had, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn write_kubeconfig(path: &Path, url: &str) {
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {}}],
    });
    std::fs::write(path, text.to_string()).expect("writable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_hundred_thousand_updates_it_shows_the_last_of_each() {
    let world = World::start().await.expect("a world");
    world.add_package("acme/app", Visibility::private());
    let add = |n: usize| world.add_token(TokenSpec::classic(format!("user-{n}")).reads("acme/app"));
    let tokens: Vec<TokenHandle> = (0..=OBJECTS).map(add).collect();
    let document = |n: usize| docker_config("ghcr.io", &format!("user-{n}"), tokens[n].secret());
    let objects = Objects { documents: (0..OBJECTS).map(document).collect(), last: document(OBJECTS) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(answer).with_state(Arc::new(objects));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let folder = tempfile::tempdir().expect("a folder");
    let (config, kubeconfig) = (folder.path().join("patrol.yaml"), folder.path().join("kubeconfig"));
    std::fs::write(&config, ghcr_config(&world, None, "interval: 1h") + "events: false\n").expect("writable");
    write_kubeconfig(&kubeconfig, &url);
    let daemon = Program::start(&config, &["--kubeconfig", &kubeconfig.display().to_string()]).await;

    // The Secret that comes last is seen and asked about, and so is the image of the last update of each pod.
    daemon.metrics_when(|text| with_status(text, "valid") == OBJECTS + 1).await;
    let last = |nth: usize| format!("ghcr.io/acme/app:v{}", UPDATES / 2 - OBJECTS + nth + 2);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(90);
    loop {
        let (_, text) = daemon.get("/api/v1/workloads").await.expect("it answers");
        if (0..OBJECTS).all(|nth| text.contains(&format!("\"{}\"", last(nth)))) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the last images never showed");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    // What did not change is not asked again: each login once, and its one repository once.
    for (n, token) in tokens.iter().enumerate().take(OBJECTS) {
        let asked = world.count(|request| request.asked(Host::Ghcr, "/token") && request.shows(token));
        assert_eq!(asked, 2, "login {n}");
    }
    let peak = peak_memory(daemon.pid());
    assert!(peak < 150 * 1024, "{peak} KiB for {} objects", 2 * OBJECTS);
    daemon.stop().await;
    server.abort();
}
