//! From one object of a file to what the inventory keeps of it.

use std::borrow::Cow;
use std::sync::Arc;

use super::document::Origin;
use super::node::Node;
use super::{Contents, Loaded, docker, templates};
use crate::cluster::wire::{
    ControllerShape, Head, HooksShape, Interner, LabelShape, ManagerShape, MetaShape, PodShape, SecretShape,
    ServiceAccountShape, ShapeError, TemplateSecretShape, controller, is_finished, pod, pull_secret, service_account,
};
use crate::cluster::{ControllerKind, HookTemplates, ObjectRef, Problem, Scope, TemplateHolder};

/// How deep lists may stand in each other.
const MAX_LISTS: usize = 16;

/// Reads the objects of one file, one after the other.
pub(super) struct Reader<'a> {
    origin: Origin<'a>,
    scope: &'a Scope,
    interner: &'a Interner,
    contents: Contents,
    /// Position of the next object in the file, items of lists counted singly.
    index: usize,
}

/// An object that was placed: its kind, its own name for a problem, and where it goes.
struct Placed<'a> {
    api_version: &'a str,
    kind: &'a str,
    at: ObjectRef,
}

impl<'a> Reader<'a> {
    pub(super) fn new(origin: Origin<'a>, scope: &'a Scope, interner: &'a Interner) -> Self {
        Self { origin, scope, interner, contents: Contents::default(), index: 0 }
    }

    pub(super) fn finish(self) -> Contents {
        self.contents
    }

    /// Take in a Docker `config.json`. It belongs to no namespace, so no filter of namespaces leaves it out.
    pub(super) fn docker_config(&mut self, document: &[u8], legacy: bool) {
        let secret = docker::pull_secret(self.origin.source, document, legacy);
        self.contents.objects.push(Loaded::Secret(Arc::new(secret)));
        self.index += 1;
    }

    /// Note that some of the file does not parse.
    pub(super) fn unparsable(&mut self, message: &str) {
        self.problem(None, None, None, message, true);
    }

    /// Take in one top-level document.
    pub(super) fn top(&mut self, node: Node<'_>) {
        if node.is_null() {
            return;
        }
        let Some(outline) = node.outline() else {
            // A folder of manifests holds lists of patches and the like too.
            if self.origin.named {
                let message = "is not a Kubernetes object: it is not a mapping of apiVersion, kind, metadata and so on";
                self.problem(Some(self.index), None, None, message, true);
            }
            self.index += 1;
            return;
        };
        if outline.kind || outline.api_version {
            self.object(node, None, 0);
            return;
        }
        if outline.auths
            && let Node::Json(raw) = node
        {
            self.docker_config(raw.get().as_bytes(), false);
            return;
        }
        if outline.metadata || self.origin.named {
            let message = "is not a Kubernetes object: apiVersion and kind are missing";
            self.problem(Some(self.index), None, None, message, false);
        }
        self.index += 1;
    }

    fn object(&mut self, node: Node<'_>, implied: Option<(&str, &str)>, lists: usize) {
        let head: Head<'_> = match node.read() {
            Ok(head) => head,
            Err(error) => return self.misshapen(None, None, &error),
        };
        // Items of a typed list, as the API server writes them, leave both out.
        let (api_version, kind) = match implied {
            Some(implied) if head.api_version.is_empty() && head.kind.is_empty() => implied,
            _ => (&*head.api_version, &*head.kind),
        };
        if kind.is_empty() || api_version.is_empty() {
            let missing = if kind.is_empty() { "kind" } else { "apiVersion" };
            let kind = (!kind.is_empty()).then_some(kind);
            return self.misshapen(kind, None, &ShapeError::new(missing, "is missing"));
        }
        if let Some(item_kind) = kind.strip_suffix("List") {
            match node.items() {
                Some(_) if lists >= MAX_LISTS => {
                    let error = ShapeError::new("items", "more than 16 lists stand in each other");
                    return self.misshapen(Some(kind), None, &error);
                }
                Some(items) => {
                    let implied = (!item_kind.is_empty()).then_some((api_version, item_kind));
                    for item in items {
                        self.object(item, implied, lists + 1);
                    }
                    return;
                }
                None if item_kind.is_empty() && !matches!(node.outline(), Some(outline) if !outline.items) => {
                    return self.misshapen(Some(kind), None, &ShapeError::new("items", "expected a sequence"));
                }
                None => {}
            }
        }
        self.leaf(node, api_version, kind);
    }

    fn leaf(&mut self, node: Node<'_>, api_version: &str, kind: &str) {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let read: fn(&mut Self, Node<'_>, Placed<'_>) -> Result<(), ShapeError> = match (group, kind) {
            ("", "Secret") => Self::secret,
            ("", "Pod") => Self::pod,
            ("", "ServiceAccount") => Self::service_account,
            ("", "ConfigMap") => Self::config_map,
            _ if ControllerKind::of(api_version, kind).is_some() => Self::controller,
            _ => {
                self.index += 1;
                return;
            }
        };
        let meta = match node.read::<MetaShape<'_>>() {
            Ok(shape) => shape.metadata,
            Err(error) => return self.misshapen(Some(kind), None, &error),
        };
        let name = if meta.name.is_empty() { &meta.generate_name } else { &meta.name };
        let namespace = if meta.namespace.is_empty() { "default" } else { &*meta.namespace };
        let told = (!name.is_empty()).then(|| format!("{namespace}/{}", &**name));
        if name.is_empty() {
            return self.misshapen(Some(kind), None, &ShapeError::new("metadata.name", "is missing"));
        }
        for (field, text) in [("metadata.name", &**name), ("metadata.namespace", namespace)] {
            if !is_name(text) {
                let error = ShapeError::new(field, "is not a name that the API server takes (a-z, 0-9, - and .)");
                return self.misshapen(Some(kind), told, &error);
            }
        }
        if self.scope.admits(namespace) {
            let at = ObjectRef { namespace: self.interner.intern(namespace), name: Arc::from(&**name) };
            if let Err(error) = read(self, node, Placed { api_version, kind, at }) {
                return self.misshapen(Some(kind), told, &error);
            }
        }
        self.index += 1;
    }

    fn secret(&mut self, node: Node<'_>, placed: Placed<'_>) -> Result<(), ShapeError> {
        let secret = pull_secret(node.read::<SecretShape<'_>>()?, placed.at, self.interner);
        if !secret.is_pull_secret()
            && let Ok(shape) = node.read::<TemplateSecretShape<'_>>()
        {
            let found = templates::of_secret(&shape, self.interner);
            self.hook_templates(TemplateHolder::Secret, secret.at.clone(), found);
        }
        if !self.scope.admits_secret(&secret.at, &node.read::<LabelShape>()?.metadata.labels) {
            return Ok(());
        }
        self.contents.objects.push(Loaded::Secret(Arc::new(secret)));
        Ok(())
    }

    fn pod(&mut self, node: Node<'_>, placed: Placed<'_>) -> Result<(), ShapeError> {
        let shape: PodShape<'_> = node.read()?;
        if !is_finished(&shape) {
            // What an API server has written out went through admission when it was created.
            let admitted = !shape.metadata.resource_version.is_empty();
            let pod = Arc::new(pod(&shape, placed.at, self.interner)?);
            self.contents.objects.push(Loaded::Pod { pod, admitted });
        }
        Ok(())
    }

    fn controller(&mut self, node: Node<'_>, placed: Placed<'_>) -> Result<(), ShapeError> {
        let Some(kind) = ControllerKind::of(placed.api_version, placed.kind) else { return Ok(()) };
        let shape: ControllerShape<'_> = node.read()?;
        let hooks = if kind.is_arc() { Some(node.read::<HooksShape<'_>>()?) } else { None };
        let mut controller = controller(kind, &shape, hooks.as_ref(), placed.at, self.interner)?;
        if kind == ControllerKind::Deployment {
            controller.manager = node.read::<ManagerShape<'_>>()?.manager(self.interner).map(Box::new);
        }
        self.contents.objects.push(Loaded::Controller(Arc::new(controller)));
        Ok(())
    }

    /// Only what can be an extension template of container hooks is kept of a `ConfigMap`.
    fn config_map(&mut self, node: Node<'_>, placed: Placed<'_>) -> Result<(), ShapeError> {
        let found = templates::of_config_map(&node.read()?, self.interner);
        self.hook_templates(TemplateHolder::ConfigMap, placed.at, found);
        Ok(())
    }

    fn hook_templates(&mut self, holder: TemplateHolder, at: ObjectRef, found: HookTemplates) {
        if !found.is_empty() {
            self.contents.objects.push(Loaded::HookTemplates((holder, at), Arc::new(Ok(found))));
        }
    }

    fn service_account(&mut self, node: Node<'_>, placed: Placed<'_>) -> Result<(), ShapeError> {
        let shape: ServiceAccountShape<'_> = node.read()?;
        let account = service_account(&shape, placed.at, self.interner);
        self.contents.objects.push(Loaded::ServiceAccount(Arc::new(account)));
        Ok(())
    }

    fn misshapen(&mut self, kind: Option<&str>, name: Option<String>, error: &ShapeError) {
        self.problem(Some(self.index), kind, name, &error.to_string(), false);
        self.index += 1;
    }

    fn problem(
        &mut self,
        index: Option<usize>,
        kind: Option<&str>,
        name: Option<String>,
        message: &str,
        unparsable: bool,
    ) {
        self.contents.problems.push(Problem {
            source: self.origin.source.to_owned(),
            index,
            kind: kind.map(printable),
            name: name.map(|name| printable(&name)),
            message: message.to_owned(),
            unparsable,
        });
    }
}

/// A name as an object can have one: an RFC 1123 subdomain, give or take where its dots stand.
fn is_name(text: &str) -> bool {
    text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}

/// Short and without control characters, whatever the file holds.
fn printable(text: &str) -> String {
    let short: Cow<'_, str> = match text.char_indices().nth(320) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    };
    short
        .chars()
        .flat_map(|letter| if letter.is_control() { letter.escape_default().collect() } else { vec![letter] })
        .collect()
}
