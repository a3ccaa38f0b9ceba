//! Container hooks of runners: whether they are on, and where their extension template stands
//! (actions/runner-container-hooks; ARC's `HasContainerHookConfigured`).

use serde::Deserialize;

use super::controller::RUNNER;
use super::convert::names;
use super::pod::{PodSpec, template};
use super::text::{List, Text, nullable};
use super::{Interner, ShapeError};
use crate::cluster::{HookTemplate, HookTemplateRef, Hooks, RunnerContainer, TemplateHolder};

/// Turns hooks on: the path of the hook's program.
const HOOKS: &str = "ACTIONS_RUNNER_CONTAINER_HOOKS";
/// The path of the extension template.
const TEMPLATE: &str = "ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE";
/// The image of `fs-init`.
const IMAGE: &str = "ACTIONS_RUNNER_IMAGE";
/// What `fs-init` runs where nothing else is said (`packages/k8s/src/hooks/constants.ts`).
const DEFAULT_IMAGE: &str = "ghcr.io/actions/actions-runner:latest";
/// The folder of the hooks that need no volume, in the official image.
const NO_VOLUME: &str = "k8s-novolume";

/// The runner's container of an object of ARC, wherever its kind keeps the template.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct HooksShape<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    spec: Places<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Places<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    template: Inner<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    ephemeral_runner_spec: Inner<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Inner<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    spec: Runner<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Runner<'a> {
    #[serde(borrow)]
    containers: List<Container<'a>>,
    #[serde(borrow)]
    volumes: List<Volume<'a>>,
    /// Of ARC's legacy kinds, which keep the runner's settings beside the containers.
    #[serde(borrow, deserialize_with = "nullable")]
    container_mode: Text<'a>,
    #[serde(borrow)]
    env: List<Variable<'a>>,
    #[serde(borrow)]
    volume_mounts: List<Mount<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    name: Text<'a>,
    #[serde(borrow)]
    env: List<Variable<'a>>,
    #[serde(borrow)]
    volume_mounts: List<Mount<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Variable<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    value: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Mount<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    name: Text<'a>,
    #[serde(borrow, rename = "mountPath", deserialize_with = "nullable")]
    path: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    sub_path: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Volume<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    name: Text<'a>,
    #[serde(borrow)]
    config_map: Option<Source<'a>>,
    #[serde(borrow)]
    secret: Option<Source<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    projected: Projected<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Projected<'a> {
    #[serde(borrow)]
    sources: List<Projection<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Projection<'a> {
    #[serde(borrow)]
    config_map: Option<Source<'a>>,
    #[serde(borrow)]
    secret: Option<Source<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Source<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    secret_name: Text<'a>,
    #[serde(borrow)]
    items: List<Item<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    key: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    path: Text<'a>,
}

impl Source<'_> {
    /// The key that stands at a path of the volume.
    fn key<'s>(&'s self, path: &'s str) -> Option<&'s str> {
        if self.items.0.is_empty() {
            return Some(path);
        }
        self.items.0.iter().find(|item| &*item.path == path).map(|item| &*item.key)
    }
}

impl HooksShape<'_> {
    /// The hooks of the runner, if it has them.
    pub(super) fn hooks(&self, interner: &Interner) -> Option<Hooks> {
        [&self.spec.template.spec, &self.spec.ephemeral_runner_spec.spec]
            .into_iter()
            .find_map(|runner| runner.hooks(interner))
    }
}

impl Runner<'_> {
    fn hooks(&self, interner: &Interner) -> Option<Hooks> {
        let container = self.containers.0.iter().find(|container| &*container.name == RUNNER);
        let variables = container.map_or(&self.env, |container| &container.env);
        let variable = |name: &str| {
            [variables, &self.env].into_iter().flat_map(|list| &list.0).find(|variable| &*variable.name == name)
        };
        let program = variable(HOOKS);
        if program.is_none() && &*self.container_mode != "kubernetes" {
            return None;
        }
        let image = variable(IMAGE).map(|variable| &*variable.value);
        let no_volume = program.is_some_and(|program| program.value.contains(NO_VOLUME));
        let fs_init = (no_volume || image.is_some())
            .then(|| interner.intern(image.filter(|image| !image.is_empty()).unwrap_or(DEFAULT_IMAGE)));
        let mounts = container.map_or(&self.volume_mounts, |container| &container.volume_mounts);
        let template = match variable(TEMPLATE) {
            None => HookTemplateRef::None,
            Some(path) => self.resolve(&path.value, mounts, interner),
        };
        let runner = RunnerContainer {
            index: self.containers.0.iter().position(|container| &*container.name == RUNNER),
            env: container.is_some_and(|container| container.env.is_written()),
            mounts: container.is_some_and(|container| container.volume_mounts.is_written()),
            volumes: self.volumes.is_written(),
        };
        Some(Hooks { fs_init, template, runner })
    }

    /// The object that stands behind a path of the container: the mount with the longest matching path, its volume, and
    /// the key that the volume shows there.
    fn resolve(&self, path: &str, mounts: &List<Mount<'_>>, interner: &Interner) -> HookTemplateRef {
        let unread = |what: &str| HookTemplateRef::Unread(what.chars().take(256).collect::<String>().into());
        let below = |mount: &Mount<'_>| {
            let rest = path.strip_prefix(mount.path.trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/').to_owned())
        };
        let mount = mounts.0.iter().filter(|mount| below(mount).is_some()).max_by_key(|mount| mount.path.len());
        let Some(mount) = mount else { return unread(&format!("the file {path} of the image")) };
        let parts = [mount.sub_path.trim_matches('/').to_owned(), below(mount).unwrap_or_default()];
        let inside = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        let Some(volume) = self.volumes.0.iter().find(|volume| volume.name == mount.name) else {
            return unread(&format!("the volume {}, which the template does not have", &*mount.name));
        };
        let maps =
            volume.config_map.iter().chain(volume.projected.sources.0.iter().filter_map(|s| s.config_map.as_ref()));
        for map in maps {
            if let Some(key) = map.key(&inside) {
                let holder = TemplateHolder::ConfigMap;
                return HookTemplateRef::Key { holder, name: interner.intern(&map.name), key: key.into() };
            }
        }
        let mut secrets =
            volume.secret.iter().chain(volume.projected.sources.0.iter().filter_map(|s| s.secret.as_ref()));
        match secrets.find_map(|secret| Some((secret, secret.key(&inside)?))) {
            Some((secret, key)) => {
                let name = if secret.secret_name.is_empty() { &secret.name } else { &secret.secret_name };
                let holder = TemplateHolder::Secret;
                HookTemplateRef::Key { holder, name: interner.intern(name), key: key.into() }
            }
            None => unread(&format!("the volume {}", &*mount.name)),
        }
    }
}

/// An extension template: a `PodTemplateSpec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct TemplateShape<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    spec: PodSpec<'a>,
}

/// What an extension template says about pulling.
pub(in crate::cluster) fn hook_template(
    shape: &TemplateShape<'_>,
    interner: &Interner,
) -> Result<HookTemplate, ShapeError> {
    let spec = &shape.spec;
    let mut images = template(spec, interner)?.images;
    // These only change the hook's own containers, whose names and images stay.
    images.retain(|image| !image.container.starts_with('$'));
    Ok(HookTemplate {
        pull_secrets: names(&spec.image_pull_secrets, interner),
        service_account: (!spec.service_account_name.is_empty()).then(|| interner.intern(&spec.service_account_name)),
        images,
        replaces_init: spec.init_containers.is_written(),
    })
}
