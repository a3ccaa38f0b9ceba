//! Snapshots that the tests of the faces share.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use pull_patrol::cluster::{MissingPermission, Problem, Resource};
use pull_patrol::credential::{Finding, FindingKind, Severity, TokenKind};
use pull_patrol::outlook::{
    Copies, CredentialFacts, CredentialRow, DaemonFacts, ImageRow, MatchedCredential, Outlook, RegistryRow,
    SecretFindings, Snapshot, WorkloadPart, WorkloadRow,
};
use pull_patrol::plan::{Shard, Waiting};
use pull_patrol::probe::RateLimit;
use pull_patrol::verdict::{EvidenceRow, Status};
use pull_patrol::workload::{PodRole, PullFailure, WorkloadKey};

/// The moment of all fixtures.
pub(crate) fn now() -> DateTime<Utc> {
    "2026-11-24T11:00:00.750Z".parse().unwrap()
}

/// What is known of a credential that was never asked about.
fn facts(registry: &str, status: Status) -> CredentialFacts {
    CredentialFacts {
        registry: registry.into(),
        username: "octobot".into(),
        token_kind: Some(TokenKind::GithubClassic),
        token_owner: Arc::default(),
        token_id: "0123456789ab".into(),
        status,
        expires_at: None,
        expiry_known: None,
        last_probe_at: None,
        last_verdict_at: None,
        scopes: None,
        missing_scopes: None,
        excess_scopes: None,
        copies: 1,
        findings: Box::default(),
        evidence: Arc::default(),
        entries: 1,
        siblings: 0,
        denied: Box::default(),
        denied_at: None,
    }
}

fn row(namespace: &str, name: &str, workloads: usize, facts: CredentialFacts) -> CredentialRow {
    CredentialRow { secret_namespace: namespace.into(), secret_name: name.into(), workloads, facts: Arc::new(facts) }
}

/// A credential that was never asked about.
pub(crate) fn credential(namespace: &str, name: &str, registry: &str, status: Status) -> CredentialRow {
    row(namespace, name, 0, facts(registry, status))
}

/// A workload that pulls one image with one credential.
pub(crate) fn workload(name: &str, outlook: Outlook, secret: &str, status: Status) -> WorkloadRow {
    WorkloadRow {
        key: WorkloadKey { namespace: "ci".into(), kind: "Deployment".into(), name: name.into(), role: PodRole::Pod },
        outlook,
        deadline: None,
        images: vec![ImageRow {
            image: format!("ghcr.io/acme/{name}:1.4").into(),
            containers: vec!["main".into()],
            outlook,
            credentials: vec![MatchedCredential { secret_name: secret.into(), registry: "ghcr.io".into(), status }],
            by_choice: status == Status::Ignored && outlook == Outlook::Unverified,
        }],
        broken_references: Vec::new(),
        failing: Vec::new(),
        gone: None,
        findings: Vec::new(),
        reason: String::new(),
        fix: String::new(),
        idle: false,
    }
}

fn evidence(kind: &'static str, outcome: &'static str, http_status: u16, detail: &str) -> Arc<EvidenceRow> {
    Arc::new(EvidenceRow {
        at: now() - TimeDelta::minutes(4),
        kind,
        outcome,
        http_status: Some(http_status),
        code: (http_status == 403).then(|| "DENIED".to_owned()),
        detail: detail.to_owned(),
    })
}

/// Every status, every outlook and every family of metrics at least once.
pub(crate) fn telling() -> Snapshot {
    let ago = |minutes| Some(now() - TimeDelta::minutes(minutes));
    let scopes = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Arc<[_]>>());
    let valid = row(
        "ci",
        "ghcr-pull",
        3,
        CredentialFacts {
            token_owner: "octobot".into(),
            expires_at: Some(now() + TimeDelta::days(9)),
            expiry_known: Some(true),
            last_probe_at: ago(4),
            last_verdict_at: ago(4),
            scopes: scopes(&["read:packages", "repo"]),
            missing_scopes: scopes(&[]),
            excess_scopes: scopes(&["repo"]),
            copies: 2,
            findings: [
                Finding::new(
                    FindingKind::ExpiresSoon,
                    "the token expires in 9 d",
                    "make a new token and replace it in both Secrets",
                ),
                Finding::new(
                    FindingKind::ExcessScopes,
                    "the token may also: repo",
                    "make a token with read:packages alone",
                ),
            ]
            .into(),
            evidence: [evidence("login", "accepted", 200, "token issued")].into(),
            ..facts("ghcr.io", Status::Valid)
        },
    );
    let expired = row(
        "ci",
        "expired-last-week",
        1,
        CredentialFacts {
            expires_at: Some(now() - TimeDelta::days(4)),
            expiry_known: Some(true),
            last_probe_at: ago(4),
            last_verdict_at: ago(4),
            evidence: [evidence("login", "refused", 403, "the registry denied the login")].into(),
            ..facts("ghcr.io", Status::Expired)
        },
    );
    let forbidden = row(
        "ci",
        "no-package-access",
        1,
        CredentialFacts {
            expiry_known: Some(false),
            last_probe_at: ago(2),
            last_verdict_at: ago(2),
            findings: [Finding::new(FindingKind::NoExpiry, "the token never expires", "make a token that expires")]
                .into(),
            evidence: [evidence("access", "refused", 403, "acme/tools: permission_denied")].into(),
            denied: ["ghcr.io/acme/tools".into()].into(),
            ..facts("ghcr.io/acme", Status::Forbidden)
        },
    );
    let malformed = row(
        "ci",
        "mangled",
        1,
        CredentialFacts {
            username: Arc::default(),
            token_kind: None,
            token_id: Arc::default(),
            findings: [
                Finding::new(
                    FindingKind::UndecodableSecret,
                    "the Secret holds no JSON",
                    "create it anew with kubectl create secret docker-registry",
                ),
                Finding::new(FindingKind::UndecodableSecret, "said twice", "counts once"),
            ]
            .into(),
            ..facts("", Status::Malformed)
        },
    );
    let insufficient = row(
        "ci",
        "scopeless",
        0,
        CredentialFacts {
            missing_scopes: scopes(&["read:packages"]),
            excess_scopes: scopes(&[]),
            scopes: scopes(&["gist", "gist"]),
            last_probe_at: ago(3),
            last_verdict_at: ago(3),
            ..facts("ghcr.io", Status::InsufficientScope)
        },
    );
    let unsupported = row(
        "tools",
        "fine-grained",
        0,
        CredentialFacts {
            token_kind: Some(TokenKind::GithubFineGrained),
            findings: [Finding::new(
                FindingKind::UnsupportedTokenKind,
                "ghcr.io does not take fine-grained tokens",
                "make a classic token with read:packages",
            )]
            .into(),
            ..facts("ghcr.io", Status::Unsupported)
        },
    );
    let rejected = row(
        "tools",
        "revoked",
        0,
        CredentialFacts {
            last_probe_at: ago(60),
            last_verdict_at: ago(60),
            evidence: [
                evidence("login", "refused", 403, "the registry denied the login"),
                evidence("issuer", "refused", 401, "bad credentials"),
            ]
            .into(),
            ..facts("ghcr.io", Status::Rejected)
        },
    );
    let unverified = row(
        "tools",
        "registry-away",
        0,
        CredentialFacts {
            token_kind: Some(TokenKind::Opaque),
            last_probe_at: ago(1),
            evidence: [evidence("login", "error", 503, "the registry answered 503")].into(),
            ..facts("registry.example.com:5000", Status::Unverified)
        },
    );
    let mut credentials = vec![
        expired,
        valid,
        malformed,
        forbidden,
        insufficient,
        credential("other", "ignored", "registry.elsewhere.example", Status::Ignored),
        row(
            "tools",
            "empty-user",
            0,
            CredentialFacts { username: Arc::default(), ..facts("ghcr.io", Status::Anonymous) },
        ),
        unsupported,
        unverified,
        rejected,
    ];
    credentials.sort_by(|a, b| {
        (&a.secret_namespace, &a.secret_name, &a.registry).cmp(&(&b.secret_namespace, &b.secret_name, &b.registry))
    });
    Snapshot {
        generated_at: now(),
        credentials,
        workloads: workloads(),
        parts: vec![part("split", "ghcr.io/acme/app", &["one", "other"])],
        copies: vec![Copies { token_id: "0123456789ab".into(), registry: "ghcr.io".into(), credentials: vec![0, 1] }],
        findings: vec![SecretFindings {
            secret_namespace: "ci".into(),
            secret_name: "nothing-in-it".into(),
            findings: vec![Finding::new(
                FindingKind::NoEntries,
                "the Secret holds no entry",
                "add one or delete the Secret",
            )],
        }],
        problems: vec![Problem {
            source: "manifests/apps.yaml".to_owned(),
            index: Some(2),
            kind: Some("Pod".to_owned()),
            name: Some("ci/odd".to_owned()),
            message: "spec.containers is not a list".to_owned(),
            unparsable: false,
        }],
        registries: vec![
            RegistryRow { host: "ghcr.io".into(), incident: false, up: Some(true) },
            RegistryRow { host: "quay.io".into(), incident: false, up: None },
            RegistryRow { host: "registry.example.com:5000".into(), incident: true, up: Some(false) },
        ],
        daemon: DaemonFacts {
            shard: Shard::ALONE,
            role: pull_patrol::outlook::Role::Active,
            logins: 7,
            pull_secrets: 11,
            synced: Resource::ALL.map(|resource| (resource, resource != Resource::ServiceAccounts)).to_vec(),
            secrets_left_out: false,
            missing_permissions: vec![
                MissingPermission::new(Resource::ServiceAccounts, "list", ""),
                MissingPermission::new(Resource::ServiceAccounts, "watch", ""),
                MissingPermission::new(Resource::Pods, "list", "kube-system"),
            ],
            schedule_lag_seconds: 1.5,
            issuer_intervals: vec![("api.github.com".into(), Duration::from_secs(3600))],
            waiting: vec![Waiting { namespace: "loud".into(), host: "ghcr.io".into(), logins: 240 }],
            clock_skews: vec![("api.github.com".into(), -0.25), ("ghcr.io".into(), 75.0)],
            rate_limits: vec![(
                "api.github.com".into(),
                RateLimit { limit: 5000, remaining: 4987, reset: now() + TimeDelta::minutes(40) },
            )],
        },
    }
}

fn part(name: &str, image: &str, secrets: &[&str]) -> WorkloadPart {
    WorkloadPart {
        key: workload(name, Outlook::Unverified, "one", Status::Unverified).key,
        image: image.into(),
        secrets: secrets.iter().map(|&name| name.into()).collect(),
        outlook: Outlook::Blocked,
        shards: 2,
    }
}

fn workloads() -> Vec<WorkloadRow> {
    let mut runner = workload("builders", Outlook::Ok, "ghcr-pull", Status::Valid);
    runner.key.kind = "AutoscalingRunnerSet".into();
    runner.key.role = PodRole::Runner;
    runner.deadline = Some(now() + TimeDelta::days(9));
    let mut blocked = workload("web", Outlook::Blocked, "expired-last-week", Status::Expired);
    blocked.reason = "the only credential for ghcr.io/acme/web is expired".into();
    blocked.failing = vec![(PullFailure::CredentialRefused, 2), (PullFailure::NotFound, 1)];
    blocked.fix = "replace the token in Secret ci/expired-last-week".into();
    let mut broken = workload("worker", Outlook::Uncovered, "gone", Status::Unverified);
    broken.images[0].credentials.clear();
    broken.broken_references =
        vec![("gone".into(), "not_found"), ("gone".into(), "not_found"), ("mangled".into(), "malformed")];
    broken.reason = "no credential matches ghcr.io/acme/worker, and it is not public".into();
    broken.fix = "create Secret ci/gone, or name another one".into();
    let mut later = workload("later", Outlook::Ok, "ghcr-pull", Status::Valid);
    later.findings = vec![Finding::new(
        FindingKind::LaterCredentialOnly,
        "Secret expired-last-week is tried first and refused",
        "drop it from imagePullSecrets",
    )];
    let mut unknown = workload("template", Outlook::Unknown, "ghcr-pull", Status::Valid);
    unknown.reason = "the image name does not parse".into();
    let unverified = workload("tool", Outlook::Unverified, "registry-away", Status::Unverified);
    let mut all = vec![runner, blocked, broken, later, unknown, unverified];
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all
}

/// Text that tries to break out of wherever it is shown.
pub(crate) const HOSTILE: &str = "a\"b\\c\n<script>alert(1)</script>'&\u{1b}[31m\u{9b}2J\r\u{202e}\u{7}\u{0}";

/// A snapshot whose every text from outside is [`HOSTILE`].
pub(crate) fn hostile() -> Snapshot {
    let finding = Finding { severity: Severity::Critical, ..Finding::new(FindingKind::ExpiresSoon, HOSTILE, HOSTILE) };
    let evil = row(
        HOSTILE,
        HOSTILE,
        1,
        CredentialFacts {
            username: HOSTILE.into(),
            token_owner: HOSTILE.into(),
            scopes: Some([HOSTILE.to_owned()].into()),
            missing_scopes: Some([HOSTILE.to_owned()].into()),
            findings: [finding.clone()].into(),
            evidence: [evidence("login", "refused", 403, HOSTILE)].into(),
            denied: [HOSTILE.into()].into(),
            ..facts(HOSTILE, Status::InsufficientScope)
        },
    );
    let mut workload = workload(HOSTILE, Outlook::Blocked, HOSTILE, Status::Rejected);
    workload.key.namespace = HOSTILE.into();
    workload.key.kind = HOSTILE.into();
    workload.broken_references = vec![(HOSTILE.into(), "not_found")];
    workload.findings = vec![finding.clone()];
    workload.reason = HOSTILE.into();
    workload.fix = HOSTILE.into();
    let mut rejected = evil.clone();
    rejected.status = Status::Rejected;
    rejected.registry = format!("{HOSTILE}/x").into();
    Snapshot {
        generated_at: now(),
        credentials: vec![evil, rejected],
        workloads: vec![workload],
        parts: vec![part(HOSTILE, HOSTILE, &[HOSTILE])],
        copies: vec![Copies { token_id: HOSTILE.into(), registry: HOSTILE.into(), credentials: vec![0, 1] }],
        findings: vec![SecretFindings {
            secret_namespace: HOSTILE.into(),
            secret_name: "z".into(),
            findings: vec![finding],
        }],
        problems: vec![Problem {
            source: HOSTILE.to_owned(),
            index: None,
            kind: Some(HOSTILE.to_owned()),
            name: Some(HOSTILE.to_owned()),
            message: HOSTILE.to_owned(),
            unparsable: false,
        }],
        registries: vec![RegistryRow { host: HOSTILE.into(), incident: true, up: Some(false) }],
        daemon: DaemonFacts {
            role: pull_patrol::outlook::Role::Active,
            missing_permissions: vec![MissingPermission::new(Resource::Pods, "list", HOSTILE)],
            clock_skews: vec![(HOSTILE.into(), 100.0)],
            issuer_intervals: vec![(HOSTILE.into(), Duration::from_secs(1))],
            waiting: vec![Waiting { namespace: HOSTILE.into(), host: HOSTILE.into(), logins: 1 }],
            ..DaemonFacts::default()
        },
    }
}
