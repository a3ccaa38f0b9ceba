//! What cannot be known of a target before its pods exist, and the commands that help all the same.

use std::sync::Arc;

use super::arc::{WorkflowPods, one_line, with_last};
use super::pulls::controller;
use super::{ExplainedGap, ExplainedImage, Target};
use crate::cluster::ObjectRef;
use crate::outlook::build::Inputs;
use crate::outlook::words::quoted;
use crate::outlook::{Outlook, gaps};
use crate::workload::{Gap, PodRole, Workload, WorkloadKey};

/// Stands for a Secret that only a person can choose.
const SECRET_NAME: &str = "SECRET_NAME";

pub(super) struct Gaps<'t, 'a> {
    pub(super) inputs: &'t Inputs<'a>,
    pub(super) target: &'t Target,
}

impl Gaps<'_, '_> {
    /// The gap of a workload; `known` are its images that are shown.
    pub(super) fn of(&self, workload: &Workload, known: &[ExplainedImage]) -> Option<ExplainedGap> {
        let key = &workload.key;
        // Whoever asks for one image knows which one it is.
        let gap = workload.gap.as_ref().filter(|_| !matches!(self.target, Target::Image(_)))?;
        let (reason, words) = gaps::explain(key, gap, |secret| self.registries_of(&key.namespace, secret));
        Some(ExplainedGap {
            workload_namespace: key.namespace.to_string(),
            workload_kind: key.kind.to_string(),
            workload_name: key.name.to_string(),
            pod_role: key.role.as_str(),
            outlook: known.iter().map(|image| image.outlook).min().unwrap_or(Outlook::Unknown),
            reason,
            fix: self.commands(key, gap, known, &words),
        })
    }

    fn commands(&self, key: &WorkloadKey, gap: &Gap, known: &[ExplainedImage], words: &str) -> Vec<String> {
        match gap {
            Gap::ListenerUnseen => vec![
                "# read the controller's namespace too; where it is:".to_owned(),
                "kubectl get autoscalinglisteners -A".to_owned(),
            ],
            Gap::ControllerDefault => vec![
                "# under imagePullSecrets of the template, name the Secrets, so that no default counts:".to_owned(),
                crate::outlook::words::edit(key),
            ],
            Gap::HookTemplate(_) => match words.split_once(": kubectl ") {
                Some((what, command)) => vec![format!("# {}:", one_line(what)), format!("kubectl {command}")],
                None => vec![format!("# {}", one_line(words))],
            },
            // The commands of an image that does not pull are the same, and stand there.
            Gap::JobImage(pods) if pods.secrets.is_empty() && known.iter().all(|image| image.fix.is_empty()) => {
                let runners = controller(self.inputs, key);
                let pods = WorkflowPods { key, account: &pods.service_account, source: pods.source, runners };
                let mut commands = Vec::new();
                let secret = self.of_runners(key).or_else(|| self.only_one(&key.namespace)).unwrap_or_else(|| {
                    commands
                        .push(format!("# {SECRET_NAME}: a pull Secret of the namespace {}", quoted(&key.namespace)));
                    Arc::from(SECRET_NAME)
                });
                commands.extend(pods.ways(&with_last(&[], &secret)));
                commands
            }
            Gap::JobImage(_) | Gap::PodsGone => Vec::new(),
        }
    }

    /// The first Secret that the runners present and that is one: what a person most likely wants for their jobs too.
    fn of_runners(&self, key: &WorkloadKey) -> Option<Arc<str>> {
        let runners = self.inputs.workloads.get(&WorkloadKey { role: PodRole::Runner, ..key.clone() })?;
        let mut names = runners.pulls.iter().flat_map(|pull| pull.secrets.iter());
        names.find(|name| self.can_be_read(&ObjectRef::new(Arc::clone(&key.namespace), Arc::clone(name)))).cloned()
    }

    /// The pull Secret of a namespace, where there is no other.
    fn only_one(&self, namespace: &Arc<str>) -> Option<Arc<str>> {
        let here = self.inputs.book.secrets.keys().filter(|at| at.namespace == *namespace);
        let mut here = here.filter(|at| self.can_be_read(at));
        let first = here.next()?;
        here.next().is_none().then(|| Arc::clone(&first.name))
    }

    fn can_be_read(&self, secret: &ObjectRef) -> bool {
        let record = self.inputs.book.secrets.get(secret);
        record.is_some_and(|record| !record.skipped && record.malformed.is_none())
    }

    /// The registry keys of a Secret, as written.
    fn registries_of(&self, namespace: &Arc<str>, secret: &Arc<str>) -> Vec<Arc<str>> {
        let at = ObjectRef::new(Arc::clone(namespace), Arc::clone(secret));
        let record = self.inputs.book.secrets.get(&at);
        record.into_iter().flat_map(|record| &record.credentials).map(|one| Arc::clone(&one.written)).collect()
    }
}
