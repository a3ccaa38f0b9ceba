//! What each image of a target would be pulled with.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::commands::Patient;
use super::gaps::Gaps;
use super::target::{Found, same_image};
use super::{Answer, BrokenReference, ExplainedCredential, ExplainedImage, Target};
use crate::cluster::{Controller, ControllerKind, ObjectRef};
use crate::outlook::build::Inputs;
use crate::outlook::credentials::{self, Entries, Judgements};
use crate::outlook::images::{Image, Images};
use crate::outlook::logins::Logins;
use crate::outlook::words::{self, Cause};
use crate::outlook::workloads::{Attempt, Broken, Context, Presented, Pulls, Resolved};
use crate::outlook::{Outlook, findings, images, live, view};
use crate::verdict::Status;
use crate::workload::{PodRole, SecretSource, Workload, WorkloadKey};

pub(super) fn answer(inputs: &Inputs<'_>, found: &Found, target: &Target, now: DateTime<Utc>) -> Answer {
    let entries = Entries::of(inputs.book);
    let mut images = Images::new(inputs.registries, &inputs.config.scope.node_credentials);
    let pulls = Pulls::of(inputs, &entries, &mut images);
    let logins = Logins::of(inputs, now);
    let judged = credentials::judge_entries(inputs, &entries, &images, &pulls, &logins, now);
    let context = Context::new(inputs, &entries, &images, &judged, &logins);
    let teller = Teller { inputs, target, entries: &entries, images: &images, judged: &judged, context: &context };
    let mut shown = Vec::new();
    let mut broken_references = BTreeSet::new();
    let (mut gaps, mut right_now, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let of_gaps = Gaps { inputs, target };
    for (key, (workload, resolved, broken)) in inputs.workloads.keys().zip(&pulls.workloads) {
        if !found.workloads.contains_key(key) {
            continue;
        }
        let account = teller.service_account(workload);
        let wanted = |pull: &&Resolved<'_>| match target {
            Target::Image(image) => same_image(image, &pull.pull.image),
            _ => true,
        };
        let first = shown.len();
        for pull in resolved.iter().filter(wanted) {
            shown.push(teller.image(workload, pull, broken, account.as_deref()));
            let named = broken.iter().filter(|(name, _)| pull.pull.secrets.contains(name));
            broken_references
                .extend(named.map(|(name, reason)| BrokenReference { secret_name: name.to_string(), reason }));
        }
        gaps.extend(of_gaps.of(workload, &shown[first..]));
        notes.extend(note(workload));
        right_now.extend(happening(inputs, workload, now));
    }
    notes.dedup();
    let broken_references = broken_references.into_iter().collect();
    Answer::Pulls { images: shown, broken_references, gaps, right_now, notes }
}

/// What happens to the pods of a workload at this moment, and to those that are gone.
fn happening(inputs: &Inputs<'_>, workload: &Workload, now: DateTime<Utc>) -> Vec<String> {
    let key = &workload.key;
    let Some(failing) = inputs.failing.get(key) else { return Vec::new() };
    let role = if key.role == PodRole::Pod { String::new() } else { format!(" ({})", key.role.as_str()) };
    let waiting: Vec<_> = failing.pods.iter().map(|(why, pods)| (*why, *pods)).collect();
    let told = view::waiting_in(&waiting).into_iter().chain(view::vanished_in(&failing.gone, now));
    told.map(|words| format!("{}/{}{role}: {words}", key.kind, key.name)).collect()
}

/// What makes the pods of a workload, if it is among the objects.
pub(super) fn controller<'a>(inputs: &Inputs<'a>, key: &WorkloadKey) -> Option<&'a Controller> {
    let kind = ControllerKind::ALL.into_iter().find(|kind| kind.as_str() == &*key.kind)?;
    let at = ObjectRef { namespace: key.namespace.clone(), name: key.name.clone() };
    inputs.inventory.controllers.get(&(kind, at)).map(AsRef::as_ref)
}

/// What a runner pulls inside itself is known to nobody outside.
fn note(workload: &Workload) -> Option<String> {
    let dind = workload.pulls.iter().any(|pull| pull.containers.iter().any(|name| &**name == "dind"));
    (dind && workload.key.role == PodRole::Runner).then(|| {
        format!(
            "what jobs pull inside the container dind of {} is pulled by its own Docker with logins of the job: out of \
             reach from here",
            workload.key.name
        )
    })
}

struct Teller<'t, 'a> {
    inputs: &'t Inputs<'a>,
    target: &'t Target,
    entries: &'t Entries<'a>,
    images: &'t Images<'t>,
    judged: &'t Judgements<'t>,
    context: &'t Context<'t, 'a>,
}

impl Teller<'_, '_> {
    /// The `ServiceAccount` that the pods of a workload use.
    fn service_account(&self, workload: &Workload) -> Option<Arc<str>> {
        if let Target::ServiceAccount { name, .. } = self.target {
            return Some(Arc::from(name.as_str()));
        }
        workload.pulls.first().map(|pull| pull.service_account.clone())
    }

    fn free_name(&self, namespace: &Arc<str>) -> String {
        let taken = |name: &String| {
            let at = ObjectRef::new(Arc::clone(namespace), name.as_str());
            self.inputs.inventory.secrets.contains_key(&at)
        };
        let mut name = "registry-pull".to_owned();
        let mut number = 2;
        while taken(&name) {
            name = format!("registry-pull-{number}");
            number += 1;
        }
        name
    }

    fn image(
        &self,
        workload: &Workload,
        pull: &Resolved<'_>,
        broken: &Broken,
        service_account: Option<&str>,
    ) -> ExplainedImage {
        let key = &workload.key;
        let image = self.images.get(pull.image);
        let credentials = self.credentials(pull, image);
        let later = self.context.later_credential_only(pull, image).map(|(_, finding)| finding);
        let hanging = self.inputs.failing.get(key).and_then(|failing| failing.hanging.get(&pull.pull.image));
        let (outlook, deadline, cause) = self.context.image(&pull.pull.namespace, pull, image);
        let patient = Patient {
            target: self.target,
            key,
            pull: pull.pull,
            service_account,
            controller: controller(self.inputs, key),
            broken,
            free_name: &self.free_name(&pull.pull.namespace),
        };
        let (mut reason, mut fix) = match &cause {
            Some(cause) => (words::explain(key, pull.pull, cause).0, patient.commands(cause)),
            None => (how_it_pulls(pull, image, &credentials), Vec::new()),
        };
        if let Some(hanging) = hanging {
            fix.push("# runners that still hang in Pending then, such as after a change of the template:".to_owned());
            fix.push(live::delete_runners(key, hanging));
        }
        // A pull that is not proven to work is no less so for a name that leads nowhere.
        if outlook != Outlook::Ok && !matches!(cause, Some(Cause::Malformed(_))) {
            for (why, words) in [("not_found", "does not exist"), ("wrong_type", "is no pull Secret, so it is skipped")]
            {
                for name in patient.broken(why) {
                    reason = format!("{reason}; the Secret {name} that it names {words}");
                }
            }
        }
        ExplainedImage {
            workload_namespace: key.namespace.to_string(),
            workload_kind: key.kind.to_string(),
            workload_name: key.name.to_string(),
            pod_role: key.role.as_str(),
            image: pull.pull.image.to_string(),
            repository: image.name.as_ref().map(|name| name.repository.clone()).unwrap_or_default(),
            containers: pull.pull.containers.iter().map(ToString::to_string).collect(),
            outlook,
            deadline,
            reason,
            fix,
            anonymous: self.anonymous(pull, image),
            credentials,
            findings: later
                .into_iter()
                .chain(hanging.map(|hanging| findings::runners_pending(key, &pull.pull.image, hanging)))
                .collect(),
            by_choice: outlook == Outlook::Unverified && image.host.is_none(),
        }
    }

    fn anonymous(&self, pull: &Resolved<'_>, image: &Image) -> &'static str {
        match &image.name {
            Ok(name) if pull.malformed.is_none() && pull.matched.is_empty() && !image.by_node => {
                match self.context.anonymous(image, name) {
                    Attempt::Works(_) => "granted",
                    Attempt::Fails => "denied",
                    Attempt::Unknown => "unknown",
                }
            }
            _ => "not_tried",
        }
    }

    fn credentials(&self, pull: &Resolved<'_>, image: &Image) -> Vec<ExplainedCredential> {
        let Some(name) = image.name.as_ref().ok().filter(|_| pull.malformed.is_none()) else { return Vec::new() };
        let source = match pull.pull.source {
            SecretSource::Pod => "pod",
            SecretSource::ServiceAccount => "service_account",
            SecretSource::HookTemplate => "hook_template",
            SecretSource::JobSecret => "job_secret",
        };
        let own = pull.matched.iter().map(|one| {
            let entry = self.entries.get(one.entry);
            let (status, attempt) = (self.judged[one.entry].status, self.context.attempt(*one, image, name));
            ExplainedCredential {
                order: 0,
                secret_name: entry.at.name.to_string(),
                registry: entry.entry.written.to_string(),
                username: entry.entry.username.to_string(),
                source,
                status,
                usable: status.usable(),
                access: access(attempt),
                detail: self.detail(*one, attempt, &name.repository),
            }
        });
        // The kubelet tries the node's credentials behind those of the pod.
        let globs = self.inputs.config.scope.node_credentials.iter();
        let of_node = globs.filter(|glob| images::covers(glob, &name.repository)).map(|glob| ExplainedCredential {
            order: 0,
            secret_name: String::new(),
            registry: glob.clone(),
            username: String::new(),
            source: "node",
            status: Status::Unverified,
            usable: None,
            access: "unverified",
            detail: "a credential of the node, as the config says (scope.nodeCredentials): cannot be asked from here"
                .to_owned(),
        });
        let mut all: Vec<_> = own.chain(of_node).collect();
        for (place, one) in all.iter_mut().enumerate() {
            one.order = place + 1;
        }
        all
    }

    /// A credential's status and its answer for this image, in words.
    fn detail(&self, one: Presented, attempt: Attempt, repository: &str) -> String {
        let entry = self.entries.get(one.entry);
        if one.login.is_some_and(|login| !self.inputs.book.asks(login)) {
            return format!("not asked about here, since it is of shard {}", entry.entry.shard);
        }
        let judged = &self.judged[one.entry];
        let asked = judged.login.is_some_and(|login| login.view.last_probe_at.is_some());
        let mut parts =
            vec![words::status_reason(judged.status, judged.expires_at, &words::list(judged.denied.iter()), asked)];
        match (judged.status, attempt) {
            (_, Attempt::Works(Some(until))) => {
                parts.push(format!("pulls {repository} until {}", until.format("%Y-%m-%d %H:%M UTC")));
            }
            (_, Attempt::Works(None)) => parts.push(format!("pulls {repository}")),
            (Status::Anonymous | Status::Valid, Attempt::Fails) => {
                parts.push(format!("{repository} is denied"));
            }
            (Status::Valid | Status::Forbidden | Status::Anonymous, Attempt::Unknown) => {
                parts.push(format!("whether it may pull {repository} is not proven yet"));
            }
            _ => {}
        }
        let key = &entry.entry.key;
        let twins = entry.record.credentials.iter().filter(|other| other.key.is_some() && other.key == *key).count();
        if twins > 1 {
            parts.push(format!(
                "{twins} entries of this Secret come to one key: the kubelet tries them in random order"
            ));
        }
        parts.retain(|part| !part.is_empty());
        parts.join("; ")
    }
}

/// Why an image pulls.
fn how_it_pulls(pull: &Resolved<'_>, image: &Image, credentials: &[ExplainedCredential]) -> String {
    match credentials.iter().find(|one| one.access == "granted") {
        Some(one) => format!("{}: credential {} ({}) pulls it", pull.pull.image, one.order, one.secret_name),
        None if image.by_node => {
            format!("{}: nodes can pull it by other means, as the config says (scope.nodeCredentials)", pull.pull.image)
        }
        None => format!("{}: no credential matches, and anyone may pull it", pull.pull.image),
    }
}

/// Whether entries of a Secret would be tried for a pull.
pub(super) fn depends_on(entries: &Entries<'_>, pull: &Resolved<'_>, secret: &ObjectRef) -> bool {
    pull.matched.iter().any(|one| entries.get(one.entry).at == secret)
}

fn access(attempt: Attempt) -> &'static str {
    match attempt {
        Attempt::Works(_) => "granted",
        Attempt::Fails => "denied",
        Attempt::Unknown => "unverified",
    }
}
