//! Commands that mend a pull, ready to paste: names are filled in and quoted, comments are our own words alone, and the
//! place of a token is a variable of the shell.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Target;
use super::arc::{self, WorkflowPods};
use crate::cluster::Controller;
use crate::outlook::words::{Cause, Failing, create, edit, quoted, registry_of};
use crate::outlook::workloads::Broken;
use crate::verdict::Status;
use crate::workload::{PodRole, Pull, SecretSource, WorkloadKey};

/// What is to be mended.
#[derive(Debug)]
pub(super) struct Patient<'a> {
    pub(super) target: &'a Target,
    pub(super) key: &'a WorkloadKey,
    pub(super) pull: &'a Pull,
    /// The `ServiceAccount` of the pods, where it is known.
    pub(super) service_account: Option<&'a str>,
    /// The scale set or whatever else makes the pods, where it is among the objects.
    pub(super) controller: Option<&'a Controller>,
    pub(super) broken: &'a Broken,
    /// A name for a new Secret that none in the namespace has, so that nothing is written over.
    pub(super) free_name: &'a str,
}

impl Patient<'_> {
    /// The Secrets of its list that are broken for a reason, in order.
    pub(super) fn broken(&self, reason: &str) -> Vec<&Arc<str>> {
        let mut seen = BTreeSet::new();
        let is = |name: &&Arc<str>| self.broken.iter().any(|(broken, why)| broken == *name && *why == reason);
        self.pull.secrets.iter().filter(is).filter(|name| seen.insert(Arc::clone(name))).collect()
    }

    /// What mends it, in order; none where nothing is known to be wrong.
    pub(super) fn commands(&self, cause: &Cause) -> Vec<String> {
        let namespace = &self.pull.namespace;
        match cause {
            Cause::ImageDoesNotParse(_) => vec![edit(self.key)],
            Cause::Malformed(secret) => {
                vec![token_note(), create(namespace, secret, registry_of(&self.pull.image), "USER", true)]
            }
            Cause::Unseen(secret) => vec![format!("kubectl -n {} get secret {}", quoted(namespace), quoted(secret))],
            Cause::Uncovered { repository, secret, .. } => self.cover(registry_of(repository), secret.as_deref()),
            Cause::NotListed(host) => vec![self.again(host)],
            Cause::Unread(_) | Cause::AnonymousNotProven | Cause::NotProven(_) | Cause::OfOtherShards(_) => Vec::new(),
            Cause::AllFail(failing) => failing.first().map_or_else(Vec::new, |first| self.renew(first)),
        }
    }

    /// The same question, with a registry on the list.
    fn again(&self, host: &str) -> String {
        let target = self.target.to_string();
        let mut command = format!("pull-patrol explain -n {} {}", quoted(&self.key.namespace), quoted(&target));
        if let Target::ServiceAccount { image, .. } = self.target {
            command = format!("{command} --image {}", quoted(image));
        }
        format!("{command} --registry {}", quoted(host))
    }

    fn renew(&self, failing: &Failing) -> Vec<String> {
        let user =
            if failing.username.is_empty() || &*failing.username == "redacted" { "USER" } else { &failing.username };
        let note = match failing.status {
            Status::Unsupported => "# NEW_TOKEN: a classic personal access token with the scope read:packages",
            Status::InsufficientScope => {
                "# add the scope read:packages to the token where it was issued; or NEW_TOKEN: another one that has it"
            }
            Status::Forbidden | Status::Valid => {
                "# give the token's owner read access to the repository, or authorise the token for the organisation's \
                 single sign-on; or NEW_TOKEN: another one that may pull it"
            }
            _ => "# NEW_TOKEN: a new token that may pull the image",
        };
        let mut commands = vec![note.to_owned()];
        if failing.others {
            commands.push("# this replaces all of the Secret: add its other entries again".to_owned());
        }
        commands.push(create(&self.pull.namespace, &failing.secret, &failing.registry, user, failing.legacy));
        commands
    }

    /// No credential matches. A Secret that the list names and that is not there, or is skipped, is what was meant.
    fn cover(&self, registry: &str, covering: Option<&str>) -> Vec<String> {
        let namespace = &self.pull.namespace;
        if let Some(secret) = covering {
            return self.name(secret);
        }
        if let Some(secret) = self.broken("wrong_type").first() {
            return vec![token_note(), create(namespace, secret, registry, "USER", true)];
        }
        if let Some(secret) = self.broken("not_found").first() {
            return vec![token_note(), create(namespace, secret, registry, "USER", false)];
        }
        let mut commands = vec![token_note(), create(namespace, self.free_name, registry, "USER", false)];
        commands.extend(self.name(self.free_name));
        commands
    }

    /// Put a Secret on the list, behind those that are there: a patch of this list replaces it.
    fn name(&self, secret: &str) -> Vec<String> {
        let (key, pull) = (self.key, self.pull);
        let names = arc::with_last(&pull.secrets, secret);
        // The template of a scale set makes neither its listener nor its workflow pods.
        match key.role {
            PodRole::Listener => return arc::listener(key, &pull.namespace, self.controller, &names),
            PodRole::Workflow => {
                let account = self.service_account.unwrap_or("default");
                let pods = WorkflowPods { key, account, source: pull.source, runners: self.controller };
                return pods.ways(&names);
            }
            PodRole::Runner | PodRole::Pod => {}
        }
        let list = arc::references(&names);
        let kind = key.kind.to_lowercase();
        let patch = |document: Value| arc::patch(&key.namespace, &kind, &key.name, "merge", &document);
        if let (SecretSource::ServiceAccount, Some(account)) = (pull.source, self.service_account) {
            let document = json!({ "imagePullSecrets": list });
            return vec![
                arc::patch(&key.namespace, "serviceaccount", account, "merge", &document),
                "# a pod takes this over when it is made: make the pods anew".to_owned(),
            ];
        }
        let template = json!({ "template": { "spec": { "imagePullSecrets": list } } });
        match kind.as_str() {
            "deployment"
            | "statefulset"
            | "daemonset"
            | "replicaset"
            | "replicationcontroller"
            | "runnerdeployment"
            | "runnerreplicaset"
            | "runnerset" => vec![patch(json!({ "spec": template }))],
            "autoscalingrunnerset" => {
                vec![arc::values_note("template.spec.imagePullSecrets"), patch(json!({ "spec": template }))]
            }
            "cronjob" => vec![patch(json!({ "spec": { "jobTemplate": { "spec": template } } }))],
            "runner" => vec![patch(json!({ "spec": { "imagePullSecrets": list } }))],
            "job" => vec![
                "# the template of a Job cannot be changed: make the Job anew from its manifest, the Secret named in \
                 `spec.template.spec.imagePullSecrets`"
                    .to_owned(),
            ],
            "pod" => {
                let (namespace, name) = (quoted(&key.namespace), quoted(&key.name));
                vec![
                    "# the list of a pod cannot be changed, so it is made anew".to_owned(),
                    format!(
                        "kubectl -n {namespace} get pod {name} -o yaml | kubectl patch --local -f - --type=merge -o yaml -p {} \
                         | kubectl replace --force -f -",
                        quoted(&json!({ "spec": { "imagePullSecrets": list } }).to_string())
                    ),
                ]
            }
            _ => vec![
                "# under imagePullSecrets of the pod template, name the Secret behind those that are there".to_owned(),
                edit(key),
            ],
        }
    }
}

fn token_note() -> String {
    "# USER and NEW_TOKEN: who may pull the image, and a token that may".to_owned()
}
