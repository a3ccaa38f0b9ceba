//! An API server in memory: lists in pages, watches with bookmarks, selectors by type and namespace, and faults on demand.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::cluster::Resource;

#[derive(Clone, Default)]
pub(super) struct FakeApi {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// Resource and object, in order of creation.
    objects: Vec<(&'static str, Value)>,
    watches: Vec<OpenWatch>,
    denied: Vec<(&'static str, &'static str)>,
    /// What is said of a resource and verb when asked, where that is not what is done.
    said: Vec<(&'static str, &'static str, Value)>,
    /// How many questions of what would be allowed there were, and whether they are answered with this.
    reviews: usize,
    no_reviews: Option<u16>,
    /// Whether discovery is answered with this.
    no_discovery: Option<u16>,
    /// Resources that the server does not know.
    absent: Vec<&'static str>,
    /// Answers to the next requests of a resource and verb, in order.
    faults: VecDeque<(&'static str, &'static str, Fault)>,
    requests: Vec<String>,
}

struct OpenWatch {
    request: Asked,
    lines: UnboundedSender<Result<Bytes, Infallible>>,
}

/// What a request asks for.
#[derive(Clone, Debug)]
struct Asked {
    resource: &'static str,
    verb: &'static str,
    namespace: Option<String>,
    fields: Vec<String>,
    limit: usize,
    start: usize,
    from: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// An answer with this status and body.
    Answer(u16, String),
    /// No answer at all.
    Broken,
    /// A watch that opens and tells of an error of this code.
    Event(u16),
    /// A watch that opens and ends at once.
    Ends,
}

impl FakeApi {
    pub(super) fn client(&self) -> kube::Client {
        let state = Arc::clone(&self.state);
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let state = Arc::clone(&state);
            async move {
                if request.uri().path() == REVIEWS {
                    let asked = request.into_body().collect_bytes().await.unwrap();
                    return Ok(state.lock().unwrap().review(&serde_json::from_slice(&asked).unwrap()));
                }
                let answer = state.lock().unwrap().answer(&request);
                answer.ok_or_else(|| std::io::Error::other("connection refused"))
            }
        });
        kube::Client::new(service, "default")
    }

    /// Create or replace an object.
    pub(super) fn put(&self, resource: &'static str, object: Value) {
        let mut state = self.state.lock().unwrap();
        let version = state.stamp();
        let mut object = object;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let old = state.objects.iter().position(|(kind, old)| *kind == resource && is_same(old, &object));
        let before = old.map(|at| std::mem::replace(&mut state.objects[at].1, object.clone()));
        if before.is_none() {
            state.objects.push((resource, object.clone()));
        }
        state.tell(resource, before.as_ref(), Some(&object));
    }

    /// Delete an object.
    pub(super) fn delete(&self, resource: &'static str, namespace: &str, name: &str) {
        let mut state = self.state.lock().unwrap();
        let wanted = json!({"metadata": {"namespace": namespace, "name": name}});
        let at = state.objects.iter().position(|(kind, old)| *kind == resource && is_same(old, &wanted));
        let (_, mut object) = state.objects.remove(at.expect("it exists"));
        object["metadata"]["resourceVersion"] = json!(state.stamp().to_string());
        state.tell(resource, Some(&object), None);
    }

    /// Change the store without telling any watch, as if the events were lost.
    pub(super) fn forget_quietly(&self, resource: &'static str, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.stamp();
        state.objects.retain(|(kind, object)| *kind != resource || object["metadata"]["name"] != name);
    }

    /// Send a line to all watches of a resource.
    pub(super) fn send_line(&self, resource: &'static str, line: &str) {
        let state = self.state.lock().unwrap();
        for watch in state.watches.iter().filter(|watch| watch.request.resource == resource) {
            watch.lines.unbounded_send(Ok(Bytes::from(format!("{line}\n")))).ok();
        }
    }

    /// End all watches, as the server does after their time.
    pub(super) fn end_watches(&self) {
        self.state.lock().unwrap().watches.clear();
    }

    pub(super) fn deny(&self, resource: &'static str, verb: &'static str) {
        self.state.lock().unwrap().denied.push((resource, verb));
    }

    /// Remove a kind with its objects: every watch of it is told of their deletion and ends.
    pub(super) fn uninstall(&self, resource: &'static str) {
        let gone: Vec<Value> = {
            let mut state = self.state.lock().unwrap();
            state.absent.push(resource);
            state.objects.iter().filter(|(kind, _)| *kind == resource).map(|(_, object)| object.clone()).collect()
        };
        for object in gone {
            let name = |field: &str| object["metadata"][field].as_str().unwrap().to_owned();
            self.delete(resource, &name("namespace"), &name("name"));
        }
        self.state.lock().unwrap().watches.retain(|watch| watch.request.resource != resource);
    }

    pub(super) fn install(&self, resource: &'static str) {
        self.state.lock().unwrap().absent.retain(|absent| *absent != resource);
    }

    /// Say this of a resource and verb when asked, whatever is done.
    pub(super) fn say(&self, resource: &'static str, verb: &'static str, status: Value) {
        let mut state = self.state.lock().unwrap();
        state.said.retain(|(of, on, _)| (*of, *on) != (resource, verb));
        state.said.push((resource, verb, status));
    }

    /// Answer questions of what would be allowed with an error of this code.
    pub(super) fn refuse_reviews(&self, code: u16) {
        self.state.lock().unwrap().no_reviews = Some(code);
    }

    /// Answer discovery with an error of this code.
    pub(super) fn refuse_discovery(&self, code: u16) {
        self.state.lock().unwrap().no_discovery = Some(code);
    }

    /// How often was asked what would be allowed.
    pub(super) fn reviews(&self) -> usize {
        self.state.lock().unwrap().reviews
    }

    pub(super) fn grant_all(&self) {
        self.state.lock().unwrap().denied.clear();
    }

    pub(super) fn fail_next(&self, resource: &'static str, verb: &'static str, fault: Fault) {
        self.state.lock().unwrap().faults.push_back((resource, verb, fault));
    }

    /// All requests so far: path and query.
    pub(super) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    pub(super) fn version(&self) -> u64 {
        self.state.lock().unwrap().version
    }

    /// How many watches are open.
    pub(super) fn watch_count(&self) -> usize {
        self.state.lock().unwrap().watches.iter().filter(|watch| !watch.lines.is_closed()).count()
    }
}

/// Where one asks what would be allowed.
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

fn is_same(a: &Value, b: &Value) -> bool {
    a["metadata"]["namespace"] == b["metadata"]["namespace"] && a["metadata"]["name"] == b["metadata"]["name"]
}

impl State {
    fn stamp(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Tell all watches of a change: what leaves a selection is deleted to it, what enters it is added.
    fn tell(&mut self, resource: &str, before: Option<&Value>, after: Option<&Value>) {
        for watch in self.watches.iter().filter(|watch| watch.request.resource == resource) {
            let selected = |object: Option<&Value>| object.is_some_and(|object| watch.request.selects(object));
            let kind = match (selected(before), selected(after)) {
                (true, true) => "MODIFIED",
                (false, true) => "ADDED",
                (true, false) => "DELETED",
                (false, false) => continue,
            };
            let line = format!("{}\n", json!({"type": kind, "object": after.or(before)}));
            watch.lines.unbounded_send(Ok(Bytes::from(line))).ok();
        }
    }

    fn review(&mut self, asked: &Value) -> Response<Body> {
        self.reviews += 1;
        if let Some(code) = self.no_reviews {
            return respond(code, status(code, "no reviews").to_string());
        }
        let attributes = &asked["spec"]["resourceAttributes"];
        let is_it = |resource: &str, verb: &str| attributes["resource"] == resource && attributes["verb"] == verb;
        let said = self.said.iter().find(|(resource, verb, _)| is_it(resource, verb));
        let denied = self.denied.iter().any(|(resource, verb)| is_it(resource, verb));
        let status = said.map_or_else(|| json!({"allowed": !denied}), |(_, _, status)| status.clone());
        let mut answer = asked.clone();
        answer["status"] = status;
        respond(201, answer.to_string())
    }

    fn answer(&mut self, request: &Request<kube::client::Body>) -> Option<Response<Body>> {
        self.requests.push(request.uri().to_string());
        if let ["", "apis", group, ref rest @ ..] = request.uri().path().split('/').collect::<Vec<_>>()[..]
            && rest.len() < 2
        {
            return Some(self.discover(group, rest.is_empty()));
        }
        let asked = Asked::read(request.uri());
        let fault =
            self.faults.iter().position(|(resource, verb, _)| (*resource, *verb) == (asked.resource, asked.verb));
        if let Some((_, _, fault)) = fault.and_then(|at| self.faults.remove(at)) {
            return match fault {
                Fault::Broken => None,
                Fault::Answer(code, body) => Some(respond(code, body)),
                Fault::Event(code) => Some(respond(
                    200,
                    format!("{}\n", json!({"type": "ERROR", "object": status(code, "told by an event")})),
                )),
                Fault::Ends => Some(respond(200, String::new())),
            };
        }
        if self.denied.contains(&(asked.resource, asked.verb)) {
            let message = format!("{} is forbidden: cannot {}", asked.resource, asked.verb);
            return Some(respond(403, status(403, &message).to_string()));
        }
        if self.absent.contains(&asked.resource) {
            return Some(respond(404, status(404, "the server could not find the requested resource").to_string()));
        }
        Some(if asked.verb == "watch" { self.watch(asked) } else { self.list(&asked) })
    }

    /// What everybody may read: the versions of a group or the resources of one, or that there are none.
    fn discover(&self, group: &str, versions: bool) -> Response<Body> {
        if let Some(code) = self.no_discovery {
            return respond(code, status(code, "no discovery").to_string());
        }
        let known = Resource::ALL.into_iter().filter(|resource| resource.group() == group);
        let here: Vec<Value> = known
            .map(Resource::as_str)
            .filter(|resource| !self.absent.contains(resource))
            .map(|resource| json!({"name": resource}))
            .collect();
        if here.is_empty() {
            return respond(404, status(404, "the server could not find the requested resource").to_string());
        }
        respond(
            200,
            if versions {
                json!({"kind": "APIGroup", "versions": [{"version": "v1alpha1"}]}).to_string()
            } else {
                json!({"kind": "APIResourceList", "resources": here}).to_string()
            },
        )
    }

    fn list(&self, asked: &Asked) -> Response<Body> {
        let all: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(resource, object)| *resource == asked.resource && asked.selects(object))
            .map(|(_, object)| object)
            .collect();
        let end = (asked.start + asked.limit).min(all.len());
        let next = if end < all.len() { json!(end.to_string()) } else { json!("") };
        let page = json!({
            "kind": "List", "apiVersion": "v1",
            "metadata": {"resourceVersion": self.version.to_string(), "continue": next},
            "items": all[asked.start.min(end)..end],
        });
        respond(200, page.to_string())
    }

    fn watch(&mut self, asked: Asked) -> Response<Body> {
        let (lines, stream) = unbounded();
        // What happened since the version that the watch goes on from.
        for (_, object) in
            self.objects.iter().filter(|(resource, object)| *resource == asked.resource && asked.selects(object))
        {
            let version: u64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
            if version > asked.from {
                let line = format!("{}\n", json!({"type": "MODIFIED", "object": object}));
                lines.unbounded_send(Ok(Bytes::from(line))).unwrap();
            }
        }
        self.watches.push(OpenWatch { request: asked, lines });
        Response::new(Body::from_stream(stream))
    }
}

impl Asked {
    fn read(uri: &http::Uri) -> Self {
        let parts: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
        let (group, rest) = match &parts[..] {
            ["api", "v1", rest @ ..] => ("", rest),
            ["apis", group, _version, rest @ ..] => (*group, rest),
            _ => panic!("an unknown path: {uri}"),
        };
        let (namespace, resource) = match rest {
            ["namespaces", namespace, resource] => (Some((*namespace).to_owned()), *resource),
            [resource] => (None, *resource),
            _ => panic!("an unknown path: {uri}"),
        };
        let resource = Resource::ALL.into_iter().find(|known| known.as_str() == resource).unwrap();
        assert_eq!(resource.group(), group, "{uri}");
        let resource = resource.as_str();
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let get = |name: &str| query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value);
        Self {
            resource,
            verb: if get("watch") == "true" { "watch" } else { "list" },
            namespace,
            fields: get("fieldSelector").split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect(),
            limit: get("limit").parse().unwrap_or(usize::MAX),
            start: get("continue").parse().unwrap_or(0),
            from: get("resourceVersion").parse().unwrap_or(0),
        }
    }

    fn selects(&self, object: &Value) -> bool {
        let namespace = self.namespace.as_deref().is_none_or(|namespace| object["metadata"]["namespace"] == namespace);
        namespace
            && self.fields.iter().all(|field| match field.split_once("!=") {
                Some(("metadata.namespace", namespace)) => object["metadata"]["namespace"] != namespace,
                Some(("status.phase", phase)) => object["status"]["phase"] != phase,
                Some(_) => panic!("an unknown field: {field}"),
                None if field.starts_with("metadata.name=") => field[14..] == object["metadata"]["name"],
                None => field.strip_prefix("type=").is_some_and(|wanted| object["type"] == wanted),
            })
    }
}

fn respond(code: u16, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

pub(super) fn status(code: u16, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code})
}
