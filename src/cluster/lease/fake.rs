//! An API server in memory that knows one Lease, compares versions as the real one does, and fails on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

#[derive(Clone, Default)]
pub(super) struct FakeLeases {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    version: u64,
    lease: Option<Value>,
    /// What the next requests of a method meet, in order.
    faults: VecDeque<(Method, Fault)>,
    /// What every request meets.
    always: Option<Fault>,
    requests: Vec<(Method, u16)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// An answer with this status.
    Answer(u16),
    /// No answer, ever.
    Hangs,
    /// The write is taken, and its answer is lost.
    Lost,
}

impl FakeLeases {
    pub(super) fn client(&self) -> kube::Client {
        let this = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let this = this.clone();
            async move {
                let method = request.method().clone();
                let body = http_body_bytes(request.into_body()).await;
                match this.answer(&method, &body) {
                    Some((status, body)) => {
                        let body = Body::from(body.to_string());
                        Ok::<_, std::io::Error>(Response::builder().status(status).body(body).expect("an answer"))
                    }
                    None => std::future::pending().await,
                }
            }
        });
        kube::Client::new(service, "default")
    }

    pub(super) fn fault(&self, method: Method, fault: Fault) {
        self.state.lock().unwrap().faults.push_back((method, fault));
    }

    /// Every request from now on meets this.
    pub(super) fn always(&self, fault: Option<Fault>) {
        self.state.lock().unwrap().always = fault;
    }

    /// Who is written to hold the Lease.
    pub(super) fn holder(&self) -> Option<String> {
        let state = self.state.lock().unwrap();
        let holder = state.lease.as_ref()?["spec"]["holderIdentity"].as_str()?;
        Some(holder.to_owned())
    }

    pub(super) fn lease(&self) -> Option<Value> {
        self.state.lock().unwrap().lease.clone()
    }

    /// Somebody else changes the Lease.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let version = state.version.to_string();
        let lease = state.lease.as_mut().expect("there is one");
        change(lease);
        lease["metadata"]["resourceVersion"] = json!(version);
    }

    pub(super) fn delete(&self) {
        self.state.lock().unwrap().lease = None;
    }

    /// How many requests of a method there were.
    pub(super) fn count(&self, method: &Method) -> usize {
        self.state.lock().unwrap().requests.iter().filter(|(asked, _)| asked == method).count()
    }

    fn answer(&self, method: &Method, body: &[u8]) -> Option<(StatusCode, Value)> {
        let mut state = self.state.lock().unwrap();
        let fault = match state.faults.iter().position(|(of, _)| of == method) {
            Some(at) => state.faults.remove(at).map(|(_, fault)| fault),
            None => state.always,
        };
        let (status, answer) = match fault {
            Some(Fault::Hangs) => return None,
            Some(Fault::Answer(status)) => (status, failure(status)),
            Some(Fault::Lost) => {
                state.carry_out(method, body);
                return None;
            }
            None => state.carry_out(method, body),
        };
        state.requests.push((method.clone(), status));
        Some((StatusCode::from_u16(status).expect("a status"), answer))
    }
}

impl State {
    fn carry_out(&mut self, method: &Method, body: &[u8]) -> (u16, Value) {
        let store = |this: &mut Self, mut object: Value| {
            this.version += 1;
            object["metadata"]["resourceVersion"] = json!(this.version.to_string());
            this.lease = Some(object.clone());
            object
        };
        let object = || serde_json::from_slice::<Value>(body).expect("a Lease");
        match (method.as_str(), self.lease.clone()) {
            ("GET", Some(lease)) => (200, lease),
            ("POST", None) => (201, store(self, object())),
            ("POST", Some(_)) => (409, failure(409)),
            ("GET" | "PUT", None) => (404, failure(404)),
            ("PUT", Some(lease)) => {
                let new = object();
                if new["metadata"]["resourceVersion"] == lease["metadata"]["resourceVersion"] {
                    (200, store(self, new))
                } else {
                    (409, failure(409))
                }
            }
            other => panic!("nobody asks so: {other:?}"),
        }
    }
}

fn failure(code: u16) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        _ => "InternalError",
    };
    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": reason})
}

async fn http_body_bytes(body: kube::client::Body) -> Vec<u8> {
    axum::body::to_bytes(Body::new(body), usize::MAX).await.expect("a body in memory").to_vec()
}
