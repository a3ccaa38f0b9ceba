//! The Deployment of a controller of Actions Runner Controller: what its flags and variables give to the pods that it
//! makes (`main.go` of actions/actions-runner-controller).

use serde::Deserialize;

use super::Interner;
use super::text::{List, Text, nullable};
use crate::cluster::Manager;

/// Makes it the controller of scale sets, and of nothing else.
const SCALE_SETS_ONLY: &str = "auto-scaling-runner-set-only";
/// Pull Secrets of listeners, repeatable. Charts before 0.9 join them with commas, which no name of a Secret holds.
const LISTENER_SECRETS: &str = "auto-scaler-image-pull-secrets";
/// The only namespace of scale sets that it looks at.
const SINGLE_NAMESPACE: &str = "watch-single-namespace";
/// The image of listeners.
const LISTENER_IMAGE: &str = "CONTROLLER_MANAGER_CONTAINER_IMAGE";
/// Of the controller of the legacy kinds: pull Secrets of runners that have none, repeatable.
const RUNNER_SECRET: &str = "runner-image-pull-secret";
/// Of the controller of the legacy kinds: the image of runners that name none.
const RUNNER_IMAGE: &str = "runner-image";
/// Of the controller of the legacy kinds: the only namespace that it looks at.
const NAMESPACE: &str = "watch-namespace";

/// The containers of a Deployment, with what starts them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct ManagerShape<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    spec: Spec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    template: Template<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Template<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    spec: PodSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodSpec<'a> {
    #[serde(borrow)]
    containers: List<Container<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    image: Text<'a>,
    #[serde(borrow)]
    command: List<Text<'a>>,
    #[serde(borrow)]
    args: List<Text<'a>>,
    #[serde(borrow)]
    env: List<Variable<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Variable<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    value: Text<'a>,
}

impl ManagerShape<'_> {
    /// What it gives to its pods, if it is a controller of ARC whose flags stand in the Deployment.
    pub(in crate::cluster) fn manager(&self, interner: &Interner) -> Option<Manager> {
        self.spec.template.spec.containers.0.iter().find_map(|container| container.manager(interner))
    }
}

impl Container<'_> {
    fn manager(&self, interner: &Interner) -> Option<Manager> {
        let scale_sets = self.switched_on(SCALE_SETS_ONLY);
        let (secrets, namespace) = if scale_sets {
            (self.values(LISTENER_SECRETS), self.values(SINGLE_NAMESPACE))
        } else if self.has(RUNNER_SECRET) || self.has(RUNNER_IMAGE) {
            (self.values(RUNNER_SECRET), self.values(NAMESPACE))
        } else {
            return None;
        };
        let image = if scale_sets {
            let variable = self.env.0.iter().find(|one| &*one.name == LISTENER_IMAGE).map(|one| &*one.value);
            // Controllers before 0.5 gave listeners the image of their own container.
            Some(variable.filter(|value| !value.is_empty()).unwrap_or(&self.image))
        } else {
            self.values(RUNNER_IMAGE).last().copied()
        };
        let image = image.filter(|image| !image.is_empty());
        // Variables that Kubernetes puts in when the container starts are not followed.
        if secrets.iter().chain(&namespace).chain(&image).any(|text| text.contains("$(")) {
            return None;
        }
        let names = secrets.iter().flat_map(|value| value.split(','));
        Some(Manager {
            scale_sets,
            namespace: namespace.last().filter(|name| !name.is_empty()).map(|name| interner.intern(name)),
            image: image.map(|image| interner.intern(image)),
            pull_secrets: names
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(|name| interner.intern(name))
                .collect(),
        })
    }

    fn arguments(&self) -> impl Iterator<Item = &str> {
        self.command.0.iter().chain(&self.args.0).map(|text| &**text)
    }

    fn has(&self, flag: &str) -> bool {
        self.arguments().any(|argument| split(argument).is_some_and(|(name, _)| name == flag))
    }

    /// Whether a flag without a value of its own is set, as Go's `flag` reads it.
    fn switched_on(&self, flag: &str) -> bool {
        let set = self.arguments().filter_map(split).filter(|(name, _)| *name == flag).last();
        set.is_some_and(|(_, value)| {
            value.is_none_or(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"))
        })
    }

    /// The values of a flag in order: `--flag=value` and `--flag value`, with one dash or two.
    fn values(&self, flag: &str) -> Vec<&str> {
        let arguments: Vec<&str> = self.arguments().collect();
        let mut values = Vec::new();
        for (at, argument) in arguments.iter().enumerate() {
            match split(argument) {
                Some((name, Some(value))) if name == flag => values.push(value),
                Some((name, None)) if name == flag => values.extend(arguments.get(at + 1).copied()),
                _ => {}
            }
        }
        values
    }
}

/// The name of a flag, and its value where it stands in the same argument.
fn split(argument: &str) -> Option<(&str, Option<&str>)> {
    let flag = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    Some(flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value))))
}
