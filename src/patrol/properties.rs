//! Whatever happens to the inventory, what is brought in step change by change equals what is worked out from nothing.

mod turns;

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use secrecy::{ExposeSecret as _, SecretSlice};

use self::turns::Now;
use super::*;
use crate::cluster::{
    ArcTraits, ContainerKind, Controller, ControllerKind, DOCKERCONFIGJSON_TYPE, HookTemplate, HookTemplateRef, Hooks,
    Inventory, ObjectRef, Origin, Owner, Pod, PodImage, PodPulls, PodTemplate, PullSecret, Resource, RunnerContainer,
    ServiceAccount, TemplateHolder,
};
use crate::metrics::BuildInfo;
use crate::probe::Settings;

const NAMESPACES: [&str; 2] = ["a", "b"];
const SECRETS: [&str; 3] = ["s", "t", "u"];
const IMAGES: [&str; 5] = [
    "ghcr.io/org/one:v1",
    "ghcr.io:443/org/one:v1",
    "eu.registry.example.com/two:v1",
    "us.registry.example.com/two:v1",
    "Not An Image",
];
/// Keys that stand for what images name (a glob, an odd port), plain ones, and a document that poisons.
const DOCUMENTS: [&str; 9] = [
    r#"{"auths": {"ghcr.io": {"username": "robot", "password": "one"}}}"#,
    r#"{"auths": {"ghcr.io": {"username": "robot", "password": "two"}}}"#,
    r#"{"auths": {"*.registry.example.com": {"username": "robot", "password": "one"}}}"#,
    r#"{"auths": {"ghcr.io:443": {"username": "robot", "password": "one"}, "ghcr.io/org": {"username": "", "password": ""}}}"#,
    r#"{"auths": {"https://ghcr.io": {"username": "robot", "password": "two"}, "ghcr.io": {"username": "x", "password": "y"}}}"#,
    r#"{"auths": {"ghcr.io": {"username": "robot", "password": "ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}}"#,
    r#"{"auths": {"ghcr.io": {"username": "robot", "password": "ghp_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}}}"#,
    r#"{"auths": {}}"#,
    r#"{"auths": 7}"#,
];

/// One thing that happens to the inventory.
#[derive(Clone, Debug)]
enum Event {
    Secret(ObjectRef, Option<&'static str>),
    Pod(ObjectRef, Option<Pod>),
    Controller(ControllerKind, ObjectRef, Option<Controller>),
    Account(ObjectRef, Option<ServiceAccount>),
    HookTemplate(ObjectRef, Option<HookTemplate>),
    Origin(Origin),
    /// Everything is listed again: other pointers, the same content.
    Relisted,
}

impl Event {
    fn happen(self, inventory: &mut Inventory) {
        fn put<K: Ord, V>(map: &mut std::collections::BTreeMap<K, Arc<V>>, key: K, value: Option<V>) {
            match value {
                Some(value) => drop(map.insert(key, Arc::new(value))),
                None => drop(map.remove(&key)),
            }
        }
        match self {
            Self::Secret(at, document) => {
                let secret = document.map(|document| pull_secret(&at, document.as_bytes()));
                put(&mut inventory.secrets, at, secret);
            }
            Self::Pod(at, pod) => put(&mut inventory.pods, at, pod),
            Self::Controller(kind, at, controller) => put(&mut inventory.controllers, (kind, at), controller),
            Self::Account(at, account) => put(&mut inventory.service_accounts, at, account),
            Self::HookTemplate(at, template) => {
                let templates = template.map(|template| Ok([("key".into(), Ok(template))].into()));
                put(&mut inventory.hook_templates, (TemplateHolder::ConfigMap, at), templates);
            }
            Self::Origin(origin) => inventory.origin = origin,
            Self::Relisted => {
                for secret in inventory.secrets.values_mut() {
                    let document = secret.dockerconfigjson.as_ref().expect("a document").expose_secret().to_vec();
                    *secret = Arc::new(pull_secret(&secret.at, &document));
                }
                for pod in inventory.pods.values_mut() {
                    *pod = Arc::new(Pod::clone(pod));
                }
                for made in inventory.controllers.values_mut() {
                    *made = Arc::new(Controller::clone(made));
                }
            }
        }
    }
}

fn pull_secret(at: &ObjectRef, document: &[u8]) -> PullSecret {
    let dockerconfigjson = Some(SecretSlice::from(document.to_vec()).into());
    PullSecret { at: at.clone(), secret_type: DOCKERCONFIGJSON_TYPE.into(), dockerconfigjson, dockercfg: None }
}

fn at(names: &'static [&'static str]) -> impl Strategy<Value = ObjectRef> {
    (select(&NAMESPACES[..]), select(names)).prop_map(|(namespace, name)| ObjectRef::new(namespace, name))
}

fn names() -> impl Strategy<Value = Vec<Arc<str>>> {
    prop::collection::vec(select(&SECRETS[..]).prop_map(Arc::from), 0..3)
}

fn images() -> impl Strategy<Value = Vec<PodImage>> {
    let image = (select(&["main", "side"][..]), select(&IMAGES[..])).prop_map(|(container, image)| PodImage {
        container: container.into(),
        kind: ContainerKind::Regular,
        image: image.into(),
    });
    prop::collection::vec(image, 0..3)
}

fn owner() -> impl Strategy<Value = Option<Owner>> {
    const OWNERS: [(&str, &str, &str); 5] = [
        ("apps/v1", "ReplicaSet", "r"),
        ("apps/v1", "StatefulSet", "r"),
        ("v1", "Pod", "p"),
        ("actions.github.com/v1alpha1", "EphemeralRunner", "p"),
        ("actions.github.com/v1alpha1", "AutoscalingRunnerSet", "set"),
    ];
    prop::option::of(select(&OWNERS[..])).prop_map(|owner| {
        owner.map(|(api_version, kind, name)| Owner {
            api_version: api_version.into(),
            kind: kind.into(),
            name: name.into(),
        })
    })
}

/// None waits: what is remembered of waiting pods is a past, which a patrol that starts from nothing has not.
fn pod(at: ObjectRef) -> impl Strategy<Value = Pod> {
    (select(&["default", "other"][..]), names(), any::<bool>(), images(), owner()).prop_map(
        move |(account, pull_secrets, admitted, images, owner)| Pod {
            at: at.clone(),
            pulls: Arc::new(PodPulls {
                service_account: account.into(),
                pull_secrets,
                admitted_from_service_account: admitted,
                images,
                owner,
            }),
            waiting: Vec::new(),
        },
    )
}

fn controller(kind: ControllerKind, at: ObjectRef) -> impl Strategy<Value = Controller> {
    let template =
        (select(&["default", "other"][..]), names(), images()).prop_map(|(account, pull_secrets, images)| {
            PodTemplate { service_account: account.into(), pull_secrets, images }
        });
    (prop::option::of(template), owner(), any::<bool>()).prop_map(move |(template, owner, idle)| {
        let template_ref =
            HookTemplateRef::Key { holder: TemplateHolder::ConfigMap, name: "hooks".into(), key: "key".into() };
        let hooks =
            Hooks { fs_init: Some(IMAGES[0].into()), template: template_ref, runner: RunnerContainer::default() };
        let arc = || ArcTraits { hooks: Some(hooks), github_host: "github.com".into(), ..ArcTraits::default() };
        let is_set = kind == ControllerKind::AutoscalingRunnerSet;
        Controller {
            at: at.clone(),
            kind,
            owner: owner.filter(|_| !is_set),
            template,
            idle,
            arc: is_set.then(arc).map(Box::new),
            manager: None,
        }
    })
}

fn event() -> impl Strategy<Value = Event> {
    const KINDS: [(ControllerKind, &[&str]); 4] = [
        (ControllerKind::ReplicaSet, &["r"]),
        (ControllerKind::Deployment, &["r", "d"]),
        (ControllerKind::EphemeralRunner, &["p"]),
        (ControllerKind::AutoscalingRunnerSet, &["set"]),
    ];
    let secret = (at(&SECRETS), prop::option::weighted(0.8, select(&DOCUMENTS[..])));
    let pod = at(&["p", "q", "r"]).prop_flat_map(|at| (Just(at.clone()), prop::option::weighted(0.7, pod(at))));
    let made = select(&KINDS[..]).prop_flat_map(|(kind, names)| {
        at(names)
            .prop_flat_map(move |at| (Just(kind), Just(at.clone()), prop::option::weighted(0.7, controller(kind, at))))
    });
    let account = (at(&["default", "other"]), prop::option::of(names()));
    let hooks = (at(&["hooks"]), prop::option::of((names(), images())));
    prop_oneof![
        4 => secret.prop_map(|(at, document)| Event::Secret(at, document)),
        4 => pod.prop_map(|(at, pod)| Event::Pod(at, pod)),
        2 => made.prop_map(|(kind, at, made)| Event::Controller(kind, at, made)),
        1 => account.prop_map(|(at, pull_secrets)| {
            let account = pull_secrets.map(|pull_secrets| ServiceAccount { at: at.clone(), pull_secrets });
            Event::Account(at, account)
        }),
        1 => hooks.prop_map(|(at, template)| {
            let template = template.map(|(pull_secrets, images)| HookTemplate {
                pull_secrets,
                images,
                ..HookTemplate::default()
            });
            Event::HookTemplate(at, template)
        }),
        1 => select(&[Origin::Files, Origin::Cluster][..]).prop_map(Event::Origin),
        1 => Just(Event::Relisted),
    ]
}

fn patrol(inventory: SharedInventory, config: usize) -> Patrol {
    let (config, registries) = turns::config(config);
    Patrol::new(Parts {
        config,
        registries,
        identifier: Identifier::new(&[7; 32]),
        inventory,
        prober: Prober::new(Settings::new(Duration::from_secs(1))),
        metrics: Arc::new(DaemonMetrics::new(BuildInfo::compiled()).expect("counters")),
    })
}

/// Everything that a patrol tells and asks, in words that can be compared.
fn told(patrol: &Patrol, now: Now) -> [String; 3] {
    let snapshot = patrol.with_inputs(|inputs| {
        let inputs = outlook::Inputs { schedule_lag: Duration::ZERO, moment: now.moment(), waiting: &[], ..*inputs };
        outlook::build(&inputs, now.wall())
    });
    let mut logins: Vec<_> = patrol.book.logins.values().map(|login| (login.id, login.credentials)).collect();
    logins.sort_unstable();
    let wanted = plan::wanted(&patrol.book, patrol.roster.workloads(), true);
    [format!("{snapshot:#?}"), format!("{logins:#?}"), format!("{wanted:#?}")]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Objects, answers, time and the config change in any order. What is proven is one and the same for both: it is a past,
    /// which nothing gives back to a patrol that starts from nothing.
    #[test]
    fn step_by_step_equals_from_nothing(
        steps in prop::collection::vec(
            (prop::collection::vec(event(), 0..4), prop::collection::vec(turns::turn(), 0..4)),
            1..16,
        )
    ) {
        let inventory = SharedInventory::new(Inventory { synced: Resource::ALL.into(), ..Inventory::default() });
        let mut stepwise = patrol(inventory.clone(), 0);
        let (mut config, mut now) = (0, Now { minutes: 0 });
        for (events, turns) in steps {
            inventory.update(|inventory| {
                for event in events {
                    event.happen(inventory);
                }
                true
            });
            stepwise.sync();
            for turn in turns {
                config = turn.happen(&mut stepwise, &mut now).unwrap_or(config);
            }
            let mut fresh = patrol(inventory.clone(), config);
            fresh.sync();
            let stepwise_told = told(&stepwise, now);
            std::mem::swap(&mut stepwise.ledger, &mut fresh.ledger);
            prop_assert_eq!(stepwise_told, told(&fresh, now));
            std::mem::swap(&mut stepwise.ledger, &mut fresh.ledger);
            prop_assert_eq!(stepwise.schedule.len(), fresh.schedule.len());
        }
    }
}
