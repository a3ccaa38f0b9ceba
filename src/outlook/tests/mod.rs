//! Small worlds, built through the real rooms to the left: Secrets are decoded, pods are rolled up, evidence is proven.

mod arc;
mod changes;
mod copies;
mod credentials;
mod explain;
mod live;
mod shards;
mod workloads;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretSlice;

use super::{CredentialRow, DaemonFacts, Inputs, Outlook, Snapshot, WorkloadRow, build};
use crate::cluster::{
    ContainerKind, DOCKERCONFIGJSON_TYPE, Inventory, ObjectRef, Origin, Pod, PodImage, PodPulls, PullSecret, Resource,
};
use crate::config::Config;
use crate::credential::{FindingKind, Severity};
use crate::plan::{Book, Identifier, LoginId, Moment, Registries, Shard, TokenKey};
use crate::probe::{AccessAnswer, Denial, DenialStage, Evidence, Expiry, IssuerAnswer, LoginAnswer, TokenFacts};
use crate::verdict::{Ledger, Rules, Status};
use crate::workload::{Waits, needed_images, workloads};

const GHCR: &str = "ghcr.io";
/// The moment of [`now`]: evidence begins a day before.
const NOW: Moment = Moment(Duration::from_secs(86_400));

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn identifier() -> Identifier {
    Identifier::new(&[7; 32])
}

/// A user and a password at ghcr.io.
type Login<'a> = (&'a str, &'a str);

struct World {
    inventory: Inventory,
    ledger: Ledger,
    config: Config,
    seconds: u64,
}

impl World {
    fn new() -> Self {
        let config = Config::default();
        Self { inventory: Inventory::default(), ledger: Ledger::new(Rules::new(&config)), config, seconds: 0 }
    }

    /// A live cluster, completely listed.
    fn cluster() -> Self {
        let mut world = Self::new();
        world.inventory.origin = Origin::Cluster;
        world.inventory.synced = Resource::ALL.into();
        world
    }

    fn raw_secret(&mut self, namespace: &str, name: &str, secret_type: &str, document: &str) {
        let at = ObjectRef::new(namespace, name);
        let secret = PullSecret {
            at: at.clone(),
            secret_type: secret_type.into(),
            dockerconfigjson: Some(SecretSlice::from(document.as_bytes().to_vec()).into()),
            dockercfg: None,
        };
        self.inventory.secrets.insert(at, Arc::new(secret));
    }

    /// Entries are (key, user, password).
    fn secret(&mut self, namespace: &str, name: &str, entries: &[(&str, &str, &str)]) {
        let auths: serde_json::Map<String, serde_json::Value> = entries
            .iter()
            .map(|(key, user, password)| {
                ((*key).to_owned(), serde_json::json!({"username": user, "password": password}))
            })
            .collect();
        let document = serde_json::json!({ "auths": auths }).to_string();
        self.raw_secret(namespace, name, DOCKERCONFIGJSON_TYPE, &document);
    }

    fn pod(&mut self, namespace: &str, name: &str, secrets: &[&str], images: &[&str]) {
        let image = |(nth, image): (usize, &&str)| PodImage {
            container: format!("c{nth}").into(),
            kind: ContainerKind::Regular,
            image: (*image).into(),
        };
        let pod = Pod {
            at: ObjectRef::new(namespace, name),
            pulls: Arc::new(PodPulls {
                service_account: "default".into(),
                pull_secrets: secrets.iter().map(|&name| name.into()).collect(),
                admitted_from_service_account: false,
                images: images.iter().enumerate().map(image).collect(),
                owner: None,
            }),
            waiting: Vec::new(),
        };
        self.inventory.pods.insert(pod.at.clone(), Arc::new(pod));
    }

    /// The evidence of the next exchange, well spaced from the last.
    fn evidence<A>(&mut self, answer: A) -> (Evidence<A>, Moment) {
        self.seconds += 60;
        let at = now() - TimeDelta::days(1) + TimeDelta::seconds(i64::try_from(self.seconds).unwrap());
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
        (evidence, Moment(Duration::from_secs(self.seconds)))
    }

    fn registries(&self) -> Registries {
        Registries::new(&self.config.registries).unwrap()
    }

    fn login_at(host: &str, (user, password): Login<'_>) -> LoginId {
        identifier().login(host, user.as_bytes(), password.as_bytes())
    }

    fn token(&self, (_, password): Login<'_>) -> TokenKey {
        let issuer = self.registries().find(GHCR).unwrap().issuer.clone().unwrap();
        TokenKey { issuer, token: identifier().token(password.as_bytes()) }
    }

    fn answers(&mut self, login: Login<'_>, answer: LoginAnswer) {
        let token = self.token(login);
        let (evidence, at) = self.evidence(answer);
        self.ledger.record_login(Self::login_at(GHCR, login), GHCR, Some(&token), &evidence, at);
    }

    fn accepts(&mut self, login: Login<'_>) {
        self.answers(login, LoginAnswer::Accepted);
    }

    /// Registry and issuer agree, as often as it takes.
    fn rejects(&mut self, login: Login<'_>) {
        for _ in 0..3 {
            self.answers(login, LoginAnswer::Refused);
            self.issuer(login, IssuerAnswer::Disowned);
            self.tells(("control", "control"), TokenFacts::default());
        }
    }

    fn issuer(&mut self, login: Login<'_>, answer: IssuerAnswer) {
        let token = self.token(login);
        let (evidence, at) = self.evidence(answer);
        self.ledger.record_issuer(&token, &evidence, at);
    }

    fn tells(&mut self, login: Login<'_>, facts: TokenFacts) {
        self.issuer(login, IssuerAnswer::Alive(facts));
    }

    fn expires(&mut self, login: Login<'_>, at: DateTime<Utc>) {
        self.tells(login, TokenFacts { expiry: Expiry::At(at), ..TokenFacts::default() });
    }

    /// The access to a repository of ghcr.io, proven: granted at once, denied by repetition.
    fn access(&mut self, login: Option<Login<'_>>, path: &str, granted: bool) {
        let id = login.map(|login| Self::login_at(GHCR, login));
        let stage = if id.is_some() { DenialStage::Manifest } else { DenialStage::Token };
        // Without a reason of the issuer, denials must go on for longer than an interval (10 minutes).
        for _ in 0..15 {
            let denial = AccessAnswer::Denied(Denial { stage, missing_scope: false });
            let (evidence, at) = self.evidence(if granted { AccessAnswer::Granted } else { denial });
            self.ledger.record_access(id, GHCR, path, &evidence, at);
        }
    }

    fn snapshot(&self) -> Snapshot {
        self.snapshot_of(Shard::ALONE)
    }

    fn snapshot_of(&self, shard: Shard) -> Snapshot {
        let registries = self.registries();
        let workloads = workloads(&self.inventory);
        let mut book = Book::new(identifier(), registries.clone()).of_shard(shard);
        book.sync(&self.inventory, &needed_images(&workloads));
        let mut waits = Waits::default();
        waits.sync(&self.inventory, now());
        let inputs = Inputs {
            inventory: &self.inventory,
            book: &book,
            workloads: &workloads,
            failing: waits.failing(),
            ledger: &self.ledger,
            config: &self.config,
            registries: &registries,
            hosts: &["configured.example.com".into()],
            schedule_lag: Duration::from_millis(1_500),
            moment: NOW,
            waiting: &[],
        };
        build(&inputs, now())
    }

    fn row(&self, name: &str, registry: &str) -> CredentialRow {
        let rows = self.snapshot().credentials;
        rows.into_iter().find(|row| &*row.secret_name == name && &*row.registry == registry).expect("such a row")
    }

    fn workload(&self, name: &str) -> WorkloadRow {
        self.snapshot().workloads.into_iter().find(|row| &*row.key.name == name).expect("such a workload")
    }
}

fn kinds(row: &CredentialRow) -> Vec<FindingKind> {
    row.findings.iter().map(|finding| finding.kind).collect()
}

fn scopes(scopes: &[&str]) -> TokenFacts {
    TokenFacts { scopes: Some(scopes.iter().map(|&scope| scope.to_owned()).collect()), ..TokenFacts::default() }
}

#[test]
fn nothing_in_nothing_out() {
    let snapshot = World::new().snapshot();
    assert!(snapshot.credentials.is_empty() && snapshot.workloads.is_empty() && snapshot.findings.is_empty());
    assert_eq!(snapshot.generated_at, now());
    assert!((snapshot.daemon.schedule_lag_seconds - 1.5).abs() < f64::EPSILON);
}

#[test]
fn registries_and_the_daemon_are_told() {
    let mut world = World::cluster();
    world.secret("a", "s", &[("ghcr.io", "u", "p")]);
    world.raw_secret("a", "opaque", "Opaque", "{}");
    world.accepts(("u", "p"));
    let rate_limit = Some(crate::probe::RateLimit { limit: 5_000, remaining: 4_999, reset: now() });
    world.tells(("u", "p"), TokenFacts { rate_limit, ..TokenFacts::default() });
    let snapshot = world.snapshot();
    let hosts: Vec<_> = snapshot.registries.iter().map(|row| (&*row.host, row.incident, row.up)).collect();
    let expected = [
        ("api.github.com", false, Some(true)),
        ("configured.example.com", false, None),
        ("ghcr.io", false, Some(true)),
    ];
    assert_eq!(hosts, expected);
    let daemon = snapshot.daemon;
    assert_eq!((daemon.logins, daemon.pull_secrets), (1, 1));
    assert!(daemon.synced.iter().all(|(_, synced)| *synced));
    assert_eq!(daemon.clock_skews, [("api.github.com".into(), 0.0), ("ghcr.io".into(), 0.0)]);
    let limits: BTreeMap<_, _> = daemon.rate_limits.into_iter().collect();
    assert_eq!(limits["api.github.com"].remaining, 4_999);
}
