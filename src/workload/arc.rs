//! Actions Runner Controller: the workflow pods that container hooks will make. Its listeners, and what its controllers
//! add, are in [`manager`](super::manager).
//!
//! A workflow pod inherits nothing from its runner's pod: it is a new spec with the `ServiceAccount` `default`, unless an
//! extension template says otherwise (actions/runner-container-hooks, `createPod` in `packages/k8s/src/k8s/index.ts` and
//! `mergePodSpecWithOptions` in `packages/k8s/src/k8s/utils.ts`).

use std::sync::{Arc, LazyLock};

use super::owners::kind_text;
use super::rollup::Puller;
use super::templates::admitted;
use super::{Gap, JobPods, PodRole, SecretSource, UnknownTemplate, WorkloadKey};
use crate::cluster::{Controller, HookTemplate, HookTemplateRef, Hooks, Inventory, NotRead, ObjectRef, Origin};

static DEFAULT: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("default"));
static FS_INIT: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("fs-init"));

/// The workflow pods of a set of runners whose container hooks are on.
pub(super) fn workflow<'a>(controller: &'a Controller, inventory: &'a Inventory) -> Option<Puller<'a>> {
    // The template of its owner counts.
    controller.template.as_ref()?;
    let arc = controller.arc.as_ref()?;
    let hooks = arc.hooks.as_ref()?;
    let namespace = &controller.at.namespace;
    let key = WorkloadKey {
        namespace: namespace.clone(),
        kind: kind_text(controller.kind),
        name: controller.at.name.clone(),
        role: PodRole::Workflow,
    };
    let mut puller = Puller {
        key,
        namespace,
        service_account: &DEFAULT,
        secrets: &[],
        source: SecretSource::Pod,
        images: Vec::new(),
        idle: controller.idle,
        gap: None,
    };
    let template = match template(&hooks.template, namespace, inventory) {
        Ok(template) => template,
        Err(unknown) => {
            puller.gap = Some(Gap::HookTemplate(unknown));
            return Some(puller);
        }
    };
    puller.service_account = template.and_then(|template| template.service_account.as_ref()).unwrap_or(&DEFAULT);
    let own = template.map_or(&[][..], |template| &template.pull_secrets);
    (puller.secrets, puller.source) = if own.is_empty() {
        admitted(own, namespace, puller.service_account, inventory)
    } else {
        (own, SecretSource::HookTemplate)
    };
    puller.images = images(hooks, template);
    puller.gap = Some(Gap::JobImage(JobPods {
        secrets: puller.secrets.to_vec(),
        source: puller.source,
        service_account: puller.service_account.clone(),
        github_token: own.is_empty() && is_github(&arc.github_host),
    }));
    Some(puller)
}

/// The images of a workflow pod that are known before any job.
fn images<'a>(hooks: &'a Hooks, template: Option<&'a HookTemplate>) -> Vec<(&'a Arc<str>, &'a Arc<str>)> {
    let replaced = template.is_some_and(|template| template.replaces_init);
    let fs_init = hooks.fs_init.as_ref().filter(|_| !replaced).map(|image| (image, &*FS_INIT));
    let own = template.into_iter().flat_map(|template| &template.images).map(|one| (&one.image, &one.container));
    fs_init.into_iter().chain(own).collect()
}

/// Whether the runner presents the job's `GITHUB_TOKEN` for an image on ghcr.io: with github.com and `*.ghe.com` only
/// (`UpdateRegistryAuthForGitHubToken` in actions/runner, `ContainerOperationProvider.cs`).
fn is_github(host: &str) -> bool {
    host == "github.com" || host == "www.github.com" || host.ends_with(".ghe.com")
}

/// The extension template, if there is one; or why it is not known.
fn template<'a>(
    reference: &HookTemplateRef,
    namespace: &Arc<str>,
    inventory: &'a Inventory,
) -> Result<Option<&'a HookTemplate>, UnknownTemplate> {
    let unknown = |why: String| UnknownTemplate { why: why.into(), refused: None };
    let (holder, name, key) = match reference {
        HookTemplateRef::None => return Ok(None),
        HookTemplateRef::Unread(place) => return Err(unknown(format!("it is in {place}, which is not read"))),
        HookTemplateRef::Key { holder, name, key } => (*holder, name, key),
    };
    let at = ObjectRef { namespace: namespace.clone(), name: name.clone() };
    let place = format!("the key {key} of the {} {name}", holder.as_str());
    let why = match (inventory.hook_templates.get(&(holder, at)).map(AsRef::as_ref), inventory.origin) {
        (Some(Ok(templates)), _) => match templates.get(key) {
            Some(Ok(template)) => return Ok(Some(template)),
            Some(Err(why)) => format!("{place} is no pod template: {why}"),
            None => format!("{place} is no pod template with a `spec`"),
        },
        (None, Origin::Files) => format!("it is in {place}, which is not among the objects that were read"),
        (None | Some(Err(NotRead::Pending)), _) => format!("it is in {place}, which has not been read yet"),
        (Some(Err(NotRead::Absent)), _) => format!("it is in {place}, which does not exist"),
        (Some(Err(NotRead::NoName)), _) => format!("it is in {place}, and no object can have that name"),
        (Some(Err(NotRead::TooMany)), _) => {
            format!("it is in {place}, which is not read, since runners name too many of them")
        }
        (Some(Err(NotRead::Failed(why))), _) => format!("it is in {place}, which cannot be read: {why}"),
        (Some(Err(NotRead::Denied)), _) => {
            let why = format!("it is in {place}, which RBAC does not let us read").into();
            return Err(UnknownTemplate { why, refused: Some((holder, name.clone())) });
        }
    };
    Err(unknown(why))
}
