//! Commands for pods of Actions Runner Controller that the template of the runners does not make: listeners and workflow
//! pods.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cluster::{Controller, ControllerKind, HookTemplateRef, Hooks};
use crate::outlook::words::quoted;
use crate::workload::{SecretSource, WorkloadKey};

/// Where container hooks find the extension that a command makes.
const EXTENSION_FOLDER: &str = "/home/runner/hook-extension";
/// The key of its `ConfigMap`, which is the name of the file.
const EXTENSION_KEY: &str = "extension";
/// Turns a hook extension on (actions/runner-container-hooks, `packages/k8s/README.md`).
const EXTENSION_VARIABLE: &str = "ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE";

/// What a chart made, its next upgrade makes anew.
pub(super) fn values_note(field: &str) -> String {
    format!("# set {field} in the values of the chart too, else its next upgrade takes this away")
}

/// References to Secrets as a list in JSON.
pub(super) fn references(names: &[&str]) -> Value {
    names.iter().map(|name| json!({ "name": name })).collect()
}

/// A patch of an object of the namespace; `form` is `merge` or `json`.
pub(super) fn patch(namespace: &str, kind: &str, name: &str, form: &str, document: &Value) -> String {
    let (namespace, kind, name, document) =
        (quoted(namespace), quoted(kind), quoted(name), quoted(&document.to_string()));
    format!("kubectl -n {namespace} patch {kind} {name} --type={form} -p {document}")
}

/// Name Secrets for the listener of a scale set, in place of those of its controller.
pub(super) fn listener(key: &WorkloadKey, at: &str, scale_set: Option<&Controller>, names: &[&str]) -> Vec<String> {
    let Some(scale_set) = scale_set else {
        return vec![format!(
            "# name it in `imagePullSecrets` in the values of the chart gha-runner-scale-set-controller, whose pods are in \
             the namespace {}",
            one_line(at)
        )];
    };
    let template = scale_set.arc.as_ref().and_then(|arc| arc.listener.as_ref());
    let mut spec = json!({ "imagePullSecrets": references(names) });
    if !template.is_some_and(|template| template.has_containers) {
        // The definition of the kind demands containers; one of this name without an image changes nothing.
        spec["containers"] = json!([{ "name": "listener" }]);
    }
    let document = json!({ "spec": { "listenerTemplate": { "spec": spec } } });
    vec![
        "# for all scale sets of the controller: `imagePullSecrets` in the values of the chart \
         gha-runner-scale-set-controller; for this one:"
            .to_owned(),
        values_note("listenerTemplate.spec.imagePullSecrets"),
        patch(&key.namespace, "autoscalingrunnerset", &key.name, "merge", &document),
    ]
}

/// What is known of workflow pods.
#[derive(Debug)]
pub(super) struct WorkflowPods<'a> {
    pub(super) key: &'a WorkloadKey,
    /// Their `ServiceAccount`.
    pub(super) account: &'a str,
    /// Where their list comes from.
    pub(super) source: SecretSource,
    /// What makes their runners.
    pub(super) runners: Option<&'a Controller>,
}

impl WorkflowPods<'_> {
    /// Both ways in which workflow pods come to these Secrets, each in commands of its own.
    pub(super) fn ways(&self, names: &[&str]) -> Vec<String> {
        let (namespace, account) = (&self.key.namespace, self.account);
        let hooks = self.runners.and_then(|runners| runners.arc.as_ref()?.hooks.as_ref());
        let mut commands = Vec::new();
        // The list of an extension takes the place of all others, so where it has one only that can be changed.
        if self.source != SecretSource::HookTemplate {
            commands.push(format!(
                "# either the ServiceAccount {} of workflow pods (does not count for a job whose image is on ghcr.io: \
                 there the runner presents the job's GITHUB_TOKEN):",
                one_line(account)
            ));
            let document = json!({ "imagePullSecrets": references(names) });
            commands.push(patch(namespace, "serviceaccount", account, "merge", &document));
        }
        let word = if commands.is_empty() { "the" } else { "or a" };
        match hooks.map(|hooks| (&hooks.template, hooks)) {
            Some((HookTemplateRef::Key { holder, name, key }, _)) => {
                let key = one_line(key);
                commands.push(format!(
                    "# {word} hook extension, which counts for every job: name it in `spec.imagePullSecrets` of the key {key} of:"
                ));
                let kind = holder.as_str().to_lowercase();
                commands.push(format!("kubectl -n {} edit {kind} {}", quoted(namespace), quoted(name)));
            }
            Some((HookTemplateRef::None, hooks)) => {
                commands.push(format!("# {word} hook extension, which counts for every job:"));
                match self.extension(hooks, names) {
                    Some(made) => commands.extend(made),
                    None => commands.push(format!(
                        "# a ConfigMap with `spec.imagePullSecrets` in it, mounted into the runner, its path in {EXTENSION_VARIABLE}"
                    )),
                }
            }
            Some((HookTemplateRef::Unread(place), _)) => commands.push(format!(
                "# {word} hook extension, which counts for every job: `spec.imagePullSecrets` in {}",
                one_line(place)
            )),
            None => {}
        }
        commands
    }

    /// The commands that make a hook extension and give it to the runners of a scale set that has none.
    fn extension(&self, hooks: &Hooks, names: &[&str]) -> Option<Vec<String>> {
        let runners = self.runners.filter(|made| made.kind == ControllerKind::AutoscalingRunnerSet)?;
        let runner = hooks.runner;
        let index = runner.index?;
        let name = format!("{}-hook-extension", runners.at.name);
        let extension = json!({ "spec": { "imagePullSecrets": references(names) } }).to_string();
        let add = |path: String, exists: bool, value: Value| {
            // A list that is there gets one more; one that is not is made.
            let (path, value) = if exists { (format!("{path}/-"), value) } else { (path, json!([value])) };
            json!({ "op": "add", "path": path, "value": value })
        };
        let container = format!("/spec/template/spec/containers/{index}");
        let document = json!([
            { "op": "test", "path": format!("{container}/name"), "value": "runner" },
            add(
                "/spec/template/spec/volumes".to_owned(),
                runner.volumes,
                json!({ "name": "hook-extension", "configMap": { "name": name } })
            ),
            add(
                format!("{container}/volumeMounts"),
                runner.mounts,
                json!({ "name": "hook-extension", "mountPath": EXTENSION_FOLDER, "readOnly": true })
            ),
            add(
                format!("{container}/env"),
                runner.env,
                json!({ "name": EXTENSION_VARIABLE, "value": format!("{EXTENSION_FOLDER}/{EXTENSION_KEY}") })
            ),
        ]);
        let namespace = &self.key.namespace;
        Some(vec![
            format!(
                "kubectl -n {} create configmap {} --from-literal={}",
                quoted(namespace),
                quoted(&name),
                quoted(&format!("{EXTENSION_KEY}={extension}"))
            ),
            values_note("the volume, its mount and the variable"),
            patch(namespace, "autoscalingrunnerset", &runners.at.name, "json", &document),
        ])
    }
}

/// A text within a comment: a line break would end it, and what follows would be run.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Names without those that stand twice, the first of each kept, and `last` behind them.
pub(super) fn with_last<'a>(names: &'a [Arc<str>], last: &'a str) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::with_capacity(names.len() + 1);
    for name in names.iter().map(AsRef::as_ref).filter(|name| *name != last) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all.push(last);
    all
}
