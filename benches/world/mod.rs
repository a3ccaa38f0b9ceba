//! A cluster of any size, without a cluster: Secrets, Pods and what makes them, and answers of registries for all of it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use flate2::Crc;
use pull_patrol::cluster::{
    ArcTraits, ContainerKind, Controller, ControllerKind, DOCKERCONFIGJSON_TYPE, HookTemplateRef, Hooks, Inventory,
    ObjectRef, Origin, Owner, Pod, PodImage, PodPulls, PodTemplate, PullSecret, Resource, RunnerContainer,
    ServiceAccount, SharedInventory,
};
use pull_patrol::config::Config;
use pull_patrol::metrics::{BuildInfo, DaemonMetrics};
use pull_patrol::patrol::{Parts, Patrol};
use pull_patrol::plan::{self, Ask, Book, Identifier, Moment, Registries};
use pull_patrol::probe::{
    AccessAnswer, Denial, DenialStage, Evidence, Expiry, IssuerAnswer, LoginAnswer, Prober, Settings, TokenFacts,
};
use pull_patrol::verdict::{Ledger, Rules};
use pull_patrol::workload;
use secrecy::SecretSlice;

/// How big.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Pull Secrets.
    pub(crate) secrets: usize,
    /// Distinct logins among them.
    pub(crate) logins: usize,
    /// Pods of owners.
    pub(crate) pods: usize,
    /// Deployments, `StatefulSets`, `DaemonSets` and Jobs.
    pub(crate) owners: usize,
    /// Scale sets of Actions Runner Controller, without runners.
    pub(crate) scale_sets: usize,
    /// Namespaces over which all of it is spread.
    pub(crate) namespaces: usize,
}

impl Size {
    /// Everything in the proportion of the target: one machine's worth is `Size::of(20_000)`.
    pub(crate) fn of(secrets: usize) -> Self {
        let part = |of_20_000: usize| (secrets * of_20_000 / 20_000).max(1);
        Self {
            secrets,
            logins: part(1_000),
            pods: secrets,
            owners: part(400),
            scale_sets: part(300),
            namespaces: part(200),
        }
    }
}

/// The key of every id.
pub(crate) fn identifier() -> Identifier {
    Identifier::new(&[7; 32])
}

fn namespace(at: usize, size: Size) -> Arc<str> {
    format!("team-{}", at % size.namespaces).into()
}

/// A classic token of GitHub with a checksum that holds.
fn token(nth: usize) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = format!("bench{nth:025}");
    let mut crc = Crc::new();
    crc.update(body.as_bytes());
    let mut rest = crc.sum();
    let mut checksum = ['0'; 6];
    for place in checksum.iter_mut().rev() {
        *place = char::from(DIGITS[(rest % 62) as usize]);
        rest /= 62;
    }
    format!("ghp_{body}{}", checksum.iter().collect::<String>())
}

/// The document that `kubectl create secret docker-registry` writes.
pub(crate) fn document(login: usize) -> String {
    let (user, password) = (format!("robot-{login}"), token(login));
    let auth = STANDARD.encode(format!("{user}:{password}"));
    format!(r#"{{"auths":{{"ghcr.io":{{"username":"{user}","password":"{password}","auth":"{auth}"}}}}}}"#)
}

/// A pull Secret that holds a login.
pub(crate) fn secret(nth: usize, login: usize, size: Size) -> Arc<PullSecret> {
    Arc::new(PullSecret {
        at: ObjectRef::new(namespace(nth, size), format!("pull-{nth}")),
        secret_type: DOCKERCONFIGJSON_TYPE.into(),
        dockerconfigjson: Some(SecretSlice::from(document(login).into_bytes()).into()),
        dockercfg: None,
    })
}

/// Names of two pull Secrets of a namespace.
fn secret_names(of: usize, size: Size) -> Vec<Arc<str>> {
    let here = of % size.namespaces;
    let there = (size.secrets - here).div_ceil(size.namespaces);
    let name = |nth: usize| format!("pull-{}", here + nth % there * size.namespaces).into();
    let mut names: Vec<Arc<str>> = vec![name(of / size.namespaces), name(of / size.namespaces + 1)];
    names.dedup();
    names
}

fn image(container: &str, image: String) -> PodImage {
    PodImage { container: container.into(), kind: ContainerKind::Regular, image: image.into() }
}

fn images(owner: usize) -> Vec<PodImage> {
    vec![
        image("main", format!("ghcr.io/org-{}/app-{}:v1", owner % 20, owner / 2)),
        image("proxy", "ghcr.io/org-0/proxy:v3".to_owned()),
    ]
}

fn owner_kind(nth: usize) -> ControllerKind {
    match nth % 8 {
        0..=3 => ControllerKind::Deployment,
        4 | 5 => ControllerKind::StatefulSet,
        6 => ControllerKind::DaemonSet,
        _ => ControllerKind::Job,
    }
}

fn owned_by(kind: ControllerKind, name: String) -> Owner {
    Owner {
        api_version: format!("{}/{}", kind.group(), kind.version()).into(),
        kind: kind.as_str().into(),
        name: name.into(),
    }
}

fn controllers(size: Size) -> Vec<Controller> {
    let mut all = Vec::new();
    for nth in 0..size.owners {
        let kind = owner_kind(nth);
        let at = ObjectRef::new(namespace(nth, size), format!("app-{nth}"));
        if kind == ControllerKind::Deployment {
            all.push(Controller {
                at: ObjectRef::new(at.namespace.clone(), format!("app-{nth}-5f6d7c8b9")),
                kind: ControllerKind::ReplicaSet,
                owner: Some(owned_by(kind, format!("app-{nth}"))),
                template: None,
                idle: false,
                arc: None,
                manager: None,
            });
        }
        let template = PodTemplate {
            service_account: "default".into(),
            pull_secrets: secret_names(nth, size),
            images: images(nth),
        };
        all.push(Controller { at, kind, owner: None, template: Some(template), idle: false, arc: None, manager: None });
    }
    for nth in 0..size.scale_sets {
        let template = PodTemplate {
            service_account: format!("runner-{nth}").into(),
            pull_secrets: secret_names(nth, size),
            images: vec![image("runner", format!("ghcr.io/org-{}/gha-runners:latest", nth % 20))],
        };
        let hooks = (nth % 2 == 0).then(|| Hooks {
            fs_init: Some("ghcr.io/org-0/hooks:v1".into()),
            template: HookTemplateRef::None,
            runner: RunnerContainer::default(),
        });
        all.push(Controller {
            at: ObjectRef::new(namespace(nth, size), format!("scale-set-{nth}")),
            kind: ControllerKind::AutoscalingRunnerSet,
            owner: None,
            template: Some(template),
            idle: true,
            arc: Some(Box::new(ArcTraits { hooks, github_host: "github.com".into(), ..ArcTraits::default() })),
            manager: None,
        });
    }
    all
}

fn pod(nth: usize, size: Size) -> Pod {
    let owner = nth % size.owners;
    let kind = owner_kind(owner);
    let of = if kind == ControllerKind::Deployment {
        owned_by(ControllerKind::ReplicaSet, format!("app-{owner}-5f6d7c8b9"))
    } else {
        owned_by(kind, format!("app-{owner}"))
    };
    Pod {
        at: ObjectRef::new(namespace(owner, size), format!("app-{owner}-5f6d7c8b9-{nth:05}")),
        pulls: Arc::new(PodPulls {
            service_account: "default".into(),
            pull_secrets: secret_names(owner, size),
            admitted_from_service_account: false,
            images: images(owner),
            owner: Some(of),
        }),
        waiting: Vec::new(),
    }
}

/// A complete inventory of a live cluster.
pub(crate) fn inventory(size: Size) -> Inventory {
    let accounts = (0..size.namespaces).map(|nth| ServiceAccount {
        at: ObjectRef::new(namespace(nth, size), "default"),
        pull_secrets: if nth % 2 == 0 { secret_names(nth, size) } else { Vec::new() },
    });
    Inventory {
        origin: Origin::Cluster,
        secrets: (0..size.secrets).map(|nth| secret(nth, nth % size.logins, size)).map(|s| (s.at.clone(), s)).collect(),
        pods: (0..size.pods).map(|nth| pod(nth, size)).map(|pod| (pod.at.clone(), Arc::new(pod))).collect(),
        service_accounts: accounts.map(|account| (account.at.clone(), Arc::new(account))).collect(),
        controllers: controllers(size).into_iter().map(|made| ((made.kind, made.at.clone()), Arc::new(made))).collect(),
        synced: Resource::ALL.into(),
        ..Inventory::default()
    }
}

fn evidence<A>(answer: A, second: u64) -> (Evidence<A>, Moment) {
    let at = begun() + TimeDelta::seconds(i64::try_from(second).unwrap_or(i64::MAX));
    let evidence = Evidence {
        at,
        took: Duration::from_millis(20),
        answer,
        http_status: Some(200),
        code: None,
        detail: String::new(),
        server_date: Some(at),
        retry_after: None,
        to_anybody: false,
    };
    (evidence, Moment(Duration::from_secs(second)))
}

/// When the answers come in.
pub(crate) fn begun() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

/// An answer to every question: logins are let in and may pull, but for one in fifty repositories.
pub(crate) fn answered(config: &Config, book: &Book, wanted: &[plan::Wanted]) -> Ledger {
    let mut ledger = Ledger::new(Rules::new(config));
    for round in 1..=3 {
        let second = round * 600;
        for (nth, want) in wanted.iter().enumerate() {
            let host = &want.host;
            match &want.ask {
                Ask::Login(id) => {
                    let token = book.logins.get(id).and_then(plan::issuer_asks);
                    let (evidence, at) = evidence(LoginAnswer::Accepted, second);
                    ledger.record_login(*id, host, token.as_ref(), &evidence, at);
                }
                Ask::Access { login, repository, .. } => {
                    let denial = Denial { stage: DenialStage::Manifest, missing_scope: false };
                    let granted = login.is_some() && nth % 50 != 0;
                    let answer = if granted { AccessAnswer::Granted } else { AccessAnswer::Denied(denial) };
                    let (evidence, at) = evidence(answer, second + 1);
                    ledger.record_access(*login, host, repository, &evidence, at);
                }
                Ask::Issuer(token) => {
                    let facts = TokenFacts {
                        owner: Some("robot".to_owned()),
                        scopes: Some(vec!["read:packages".to_owned(), "repo".to_owned()]),
                        expiry: Expiry::At(begun() + TimeDelta::days(365 * 100)),
                        ..TokenFacts::default()
                    };
                    let (evidence, at) = evidence(IssuerAnswer::Alive(facts), second + 2);
                    ledger.record_issuer(token, &evidence, at);
                }
                Ask::Canary(_) => {
                    let (evidence, at) = evidence(AccessAnswer::Granted, second);
                    ledger.record_canary(host, &evidence, at);
                }
            }
        }
    }
    ledger
}

/// A patrol that has seen everything and asked everything, and the inventory that it looks at.
pub(crate) fn patrol(size: Size) -> (Patrol, SharedInventory) {
    let config = Config::default();
    let registries = Registries::new(&config.registries).expect("the built-in registries");
    let inventory = inventory(size);
    let workloads = workload::workloads(&inventory);
    let mut book = Book::new(identifier(), registries.clone());
    book.sync(&inventory, &workload::needed_images(&workloads));
    let ledger = answered(&config, &book, &plan::wanted(&book, &workloads, true));
    let shared = SharedInventory::new(inventory);
    let parts = Parts {
        registries,
        identifier: identifier(),
        inventory: shared.clone(),
        prober: Prober::new(Settings::new(config.probe.timeout)),
        metrics: Arc::new(DaemonMetrics::new(BuildInfo::compiled()).expect("counters")),
        config,
    };
    let mut patrol = Patrol::new(parts).knowing(ledger);
    patrol.sync();
    (patrol, shared)
}
