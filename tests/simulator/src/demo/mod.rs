//! A world with a cluster around it that shows every status a credential can have.

mod manifests;
mod trouble;

use chrono::TimeDelta;
use serde_json::json;

use crate::faults::{Fault, FaultRule};
use crate::hostile::Hostile;
use crate::mint::{ecr_password, mangle};
use crate::owners::OrgPolicy;
use crate::packages::Visibility;
use crate::registries::{RegistryHandle, RegistryKind};
use crate::token_spec::{TokenKind, TokenSpec};
use crate::unsettled::PullRefusal;
use crate::world::World;
pub use trouble::trouble;

use manifests::{Manifests, RegistryConfig, auth, document};

const REGISTRY: &str = "registry.example.com";
const OPEN: &str = "open.example.com";
const FLAKY: &str = "flaky.example.com";
const PHISHING: &str = "mirror.example.net";
const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

/// Ports of the demo world; 0 is any free one.
#[derive(Clone, Copy, Debug, Default)]
pub struct DemoPorts {
    /// ghcr.io
    pub ghcr: u16,
    /// api.github.com
    pub api: u16,
    /// registry.example.com
    pub registry: u16,
    /// The token service of registry.example.com.
    pub token_service: u16,
    /// open.example.com
    pub open: u16,
    /// flaky.example.com
    pub flaky: u16,
    /// mirror.example.net
    pub mirror: u16,
    /// The ECR.
    pub ecr: u16,
}

/// What a daemon should say of one credential of the demo once its refusals are confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Namespace of the Secret.
    pub namespace: &'static str,
    /// Name of the Secret.
    pub secret: &'static str,
    /// The registry key; empty for a malformed Secret.
    pub registry: &'static str,
    /// The status.
    pub status: &'static str,
    /// Findings that must stand (others may).
    pub findings: &'static [&'static str],
}

/// The demo: a running world, the manifests of its cluster, and the daemon's config.
#[derive(Debug)]
pub struct DemoWorld {
    /// The world.
    pub world: World,
    /// Kubernetes manifests, YAML of several documents. They hold the tokens.
    pub manifests: String,
    /// The daemon's config file, YAML.
    pub config: String,
    /// What the daemon should find.
    pub expectations: Vec<Expectation>,
    /// How long after the start the credential `payments/ghcr-ends-today` expires.
    pub ends_today_after: TimeDelta,
}

/// The cluster while it is put together.
#[derive(Default)]
struct Cluster {
    manifests: Manifests,
    expectations: Vec<Expectation>,
}

impl Cluster {
    /// A pull Secret and what is to be found in it: `place` is `namespace/name`.
    fn secret(
        &mut self,
        place: &'static str,
        registry: &'static str,
        status: &'static str,
        findings: &'static [&'static str],
        document: &str,
    ) {
        let (namespace, secret) = place.split_once('/').unwrap_or(("default", place));
        self.manifests.pull_secret(namespace, secret, document);
        self.expectations.push(Expectation { namespace, secret, registry, status, findings });
    }
}

impl DemoWorld {
    /// Starts it with seed 1.
    pub async fn start(ports: DemoPorts) -> anyhow::Result<Self> {
        Self::start_seeded(1, ports).await
    }

    /// Starts it with token texts of another seed.
    pub async fn start_seeded(seed: u64, ports: DemoPorts) -> anyhow::Result<Self> {
        let world =
            World::builder().seed(seed).ghcr_port(ports.ghcr).api_port(ports.api).log_limit(10_000).start().await?;
        let registry =
            world.add_registry_on(RegistryKind::BearerElsewhere, ports.registry, ports.token_service).await?;
        let open = world.add_registry_on(RegistryKind::Open, ports.open, 0).await?;
        let flaky = world.add_registry_on(RegistryKind::Bearer, ports.flaky, 0).await?;
        let foreign = Hostile::ForeignRealm("http://192.0.2.1/token".to_owned());
        let mirror = world.add_registry_on(RegistryKind::Hostile(foreign), ports.mirror, 0).await?;
        let ecr = world.add_registry_on(RegistryKind::Basic, ports.ecr, 0).await?;

        let mut cluster = Cluster::default();
        let ends_today_after = TimeDelta::minutes(3);
        furnish_packages(&world);
        copies(&world, &mut cluster);
        dead(&world, &mut cluster);
        powers(&world, &mut cluster);
        lifetimes(&world, &mut cluster, ends_today_after);
        texts(&world, &mut cluster);
        others(&world, &mut cluster, &registry, &ecr);
        world.fault(FaultRule::on(flaky.host(), Fault::status(503)));

        let config =
            config(&world, &[(REGISTRY, &registry), (OPEN, &open), (FLAKY, &flaky), (PHISHING, &mirror)], &ecr);
        let Cluster { manifests, expectations } = cluster;
        Ok(Self { world, manifests: manifests.into_yaml(), config, expectations, ends_today_after })
    }

    /// World, manifests and config, for callers that need no more.
    pub fn into_parts(self) -> (World, String, String) {
        (self.world, self.manifests, self.config)
    }
}

fn furnish_packages(world: &World) {
    for name in ["acme/api", "acme/web", "acme/runner", "acme/model", "globex/trainer"] {
        world.add_package(name, Visibility::private());
    }
    world.add_package("acme/docs", Visibility::Public);
    world.set_org("acme", OrgPolicy::default());
    world.set_org("globex", OrgPolicy { sso_required: true, ..OrgPolicy::default() });
    // No public source tells how the registry words it; the demo shows the refusal that is the same for all.
    world.set_unsettled(|answers| answers.sso_pull = PullRefusal::RequestedAccess);
}

/// A classic PAT with the least power that pulling from acme needs.
fn puller(world: &World, owner: &str) -> TokenSpec {
    TokenSpec::classic(owner).reads("acme/api").reads("acme/web").reads("acme/runner").expires_at(in_days(world, 200))
}

fn in_days(world: &World, days: i64) -> chrono::DateTime<chrono::Utc> {
    world.now() + TimeDelta::days(days)
}

/// One token in three namespaces; the third missed the last rotation.
fn copies(world: &World, cluster: &mut Cluster) {
    let old = world.add_token(puller(world, "ci-bot"));
    let new = old.rotate();
    let (good, stale) = (document("ghcr.io", "ci-bot", new.secret()), document("ghcr.io", "ci-bot", old.secret()));
    cluster.secret("arc-runners/ghcr-pull", "ghcr.io", "valid", &[], &good);
    cluster.secret("team-a/ghcr-pull", "ghcr.io", "valid", &[], &good);
    cluster.secret("team-b/ghcr-pull", "ghcr.io", "rejected", &["out_of_sync_copy"], &stale);
    let manifests = &mut cluster.manifests;
    manifests.service_account("arc-runners", "default", &["ghcr-pull"]);
    manifests.pod("arc-runners", "build-runner-0", "ghcr.io/acme/runner:latest", &[]);
    manifests.scale_set("arc-runners", "build", "ghcr.io/acme/runner:latest");
    manifests.deployment_pod("team-a", "api", "ghcr.io/acme/api:latest", &["ghcr-pull"]);
    manifests.service_account("team-b", "web", &["ghcr-pull"]);
    manifests.deployment_pod("team-b", "web", "ghcr.io/acme/web:latest", &["ghcr-pull"]);
}

/// The message of a back-off after the registry refused the credential, as the kubelet and containerd write it.
fn back_off(path: &str) -> String {
    let (image, scope) = (format!("ghcr.io/{path}:latest"), path.replace('/', "%2F"));
    format!(
        "Back-off pulling image \"{image}\": ErrImagePull: failed to pull and unpack image \"{image}\": failed to resolve \
         reference \"{image}\": failed to authorize: failed to fetch oauth token: unexpected status from GET request to \
         https://ghcr.io/token?scope=repository%3A{scope}%3Apull&service=ghcr.io: 403 Forbidden"
    )
}

/// Credentials that no longer work, or never did.
fn dead(world: &World, cluster: &mut Cluster) {
    let revoked = world.add_token(puller(world, "dora"));
    revoked.revoke();
    cluster.secret("team-c/ghcr-revoked", "ghcr.io", "rejected", &[], &document("ghcr.io", "dora", revoked.secret()));
    let mangled = mangle(world.add_token(puller(world, "dora")).secret());
    cluster.secret(
        "team-c/ghcr-mangled",
        "ghcr.io",
        "rejected",
        &["mangled_token"],
        &document("ghcr.io", "dora", &mangled),
    );
    let broken = json!({ "auths": { "ghcr.io": { "auth": "pants" } } }).to_string();
    cluster.secret("legacy/broken", "", "malformed", &["bad_auth_encoding"], &broken);
    let unnamed = world.add_token(puller(world, "ernie"));
    let document_unnamed = document("ghcr.io", "", unnamed.secret());
    cluster.secret("legacy/no-user", "ghcr.io", "anonymous", &["empty_username"], &document_unnamed);
    let manifests = &mut cluster.manifests;
    manifests.deployment_pod("team-c", "worker", "ghcr.io/acme/api:latest", &["ghcr-revoked"]);
    manifests.last_pod_waits("ImagePullBackOff", &back_off("acme/api"));
    manifests.pod("legacy", "report", "ghcr.io/acme/docs:latest", &["broken"]);
    manifests.pod("legacy", "docs", "ghcr.io/acme/docs:latest", &["no-user"]);
}

/// Credentials that log in and still cannot pull, or could do too much.
fn powers(world: &World, cluster: &mut Cluster) {
    let add = |cluster: &mut Cluster, place, status, findings, user: &str, spec: TokenSpec| {
        let token = world.add_token(spec);
        cluster.secret(place, "ghcr.io", status, findings, &document("ghcr.io", user, token.secret()));
    };
    let scopeless = puller(world, "fred").scopes(["repo"]);
    add(cluster, "team-d/ghcr-no-scope", "insufficient_scope", &["excess_scopes"], "fred", scopeless);
    add(cluster, "research/ghcr-no-access", "forbidden", &[], "gina", puller(world, "gina"));
    let unauthorised = TokenSpec::classic("hugo").reads("globex").expires_at(in_days(world, 90));
    add(cluster, "research/ghcr-sso", "forbidden", &["sso_required"], "hugo", unauthorised);
    let unsupported: &[&str] = &["unsupported_token_kind"];
    let fine_grained = TokenSpec::fine_grained("ida").reads("acme").expires_at(in_days(world, 60));
    add(cluster, "team-e/ghcr-fine-grained", "unsupported", unsupported, "ida", fine_grained);
    let installation = TokenSpec::app_installation().reads("acme");
    add(cluster, "team-e/ghcr-app", "unsupported", unsupported, "x-access-token", installation);
    let admin = puller(world, "root").scopes(["admin:org", "repo", "workflow", "write:packages"]);
    add(cluster, "platform/ghcr-admin", "valid", &["excess_scopes"], "root", admin);

    let manifests = &mut cluster.manifests;
    manifests.deployment_pod("team-d", "shop", "ghcr.io/acme/web:latest", &["ghcr-no-scope"]);
    manifests.deployment_pod("research", "model", "ghcr.io/acme/model:latest", &["ghcr-no-access"]);
    manifests.deployment_pod("research", "trainer", "ghcr.io/globex/trainer:latest", &["ghcr-sso"]);
    manifests.deployment_pod("team-e", "batch", "ghcr.io/acme/api:latest", &["ghcr-fine-grained"]);
    manifests.pod("team-e", "sync", "ghcr.io/acme/api:latest", &["ghcr-app"]);
    manifests.deployment_pod("platform", "gateway", "ghcr.io/acme/api:latest", &["ghcr-admin"]);
}

/// Good credentials that end at different times, or never.
fn lifetimes(world: &World, cluster: &mut Cluster, ends_today_after: TimeDelta) {
    let add = |cluster: &mut Cluster, place, findings, user: &str, expires_at| {
        let token = world.add_token(TokenSpec { expires_at, ..puller(world, user) });
        cluster.secret(place, "ghcr.io", "valid", findings, &document("ghcr.io", user, token.secret()));
    };
    // The node was refused what works from here, as behind a mirror with a login of its own.
    add(cluster, "platform/ghcr-forever", &["live_pull_contradicts", "no_expiry"], "judy", None);
    add(cluster, "payments/ghcr-5-days", &["expires_soon"], "karl", Some(in_days(world, 5)));
    add(cluster, "payments/ghcr-1-day", &["expires_soon"], "lena", Some(in_days(world, 1)));
    let today = Some(world.now() + ends_today_after);
    add(cluster, "payments/ghcr-ends-today", &["expires_soon"], "mona", today);
    let manifests = &mut cluster.manifests;
    manifests.deployment_pod("platform", "console", "ghcr.io/acme/web:latest", &["ghcr-forever"]);
    manifests.last_pod_waits("ImagePullBackOff", &back_off("acme/web"));
    manifests.deployment_pod("payments", "ledger", "ghcr.io/acme/api:latest", &["ghcr-5-days"]);
    manifests.deployment_pod("payments", "invoice", "ghcr.io/acme/api:latest", &["ghcr-1-day"]);
    manifests.deployment_pod("payments", "refund", "ghcr.io/acme/api:latest", &["ghcr-ends-today"]);
}

/// Secrets whose text is at fault.
fn texts(world: &World, cluster: &mut Cluster) {
    let good = world.add_token(puller(world, "nina"));
    let old = world.add_token(puller(world, "nina"));
    old.revoke();
    let key: &[&str] = &["never_matching_key"];
    let document_key = document("https://ghcr.io/v2", "nina", good.secret());
    cluster.secret("team-f/ghcr-wrong-key", "ghcr.io/v2", "valid", key, &document_key);
    let entry = json!({ "username": "nina", "password": good.secret(), "auth": auth("nina", old.secret()) });
    let stale = json!({ "auths": { "ghcr.io": entry } }).to_string();
    cluster.secret("team-f/ghcr-stale-auth", "ghcr.io", "rejected", &["stale_auth"], &stale);
    // What `echo user:token | base64` leaves behind.
    let entry = json!({ "auth": auth("nina", &format!("{}\n", good.secret())) });
    let newline = json!({ "auths": { "ghcr.io": entry } }).to_string();
    cluster.secret("team-f/ghcr-newline", "ghcr.io", "rejected", &["whitespace_in_credential"], &newline);
    let manifests = &mut cluster.manifests;
    manifests.deployment_pod("team-f", "search", "ghcr.io/acme/api:latest", &["ghcr-wrong-key"]);
    manifests.deployment_pod("team-f", "index", "ghcr.io/acme/api:latest", &["ghcr-stale-auth"]);
    manifests.deployment_pod("team-f", "crawl", "ghcr.io/acme/api:latest", &["ghcr-newline"]);
}

/// Registries other than ghcr.io.
fn others(world: &World, cluster: &mut Cluster, registry: &RegistryHandle, ecr: &RegistryHandle) {
    registry.add_package("team/app", Visibility::private());
    let robot = registry.add_login("robot", &world.mint(TokenKind::Opaque, ""));
    cluster.secret("platform/registry-pull", REGISTRY, "valid", &[], &document(REGISTRY, "robot", robot.secret()));
    let password = |world: &World| world.mint(TokenKind::Opaque, "");
    let unchecked: &[&str] = &["password_not_checked"];
    cluster.secret("platform/open-pull", OPEN, "unverified", unchecked, &document(OPEN, "any", &password(world)));
    cluster.secret("platform/flaky-pull", FLAKY, "unverified", &[], &document(FLAKY, "otto", &password(world)));
    let foreign: &[&str] = &["foreign_realm"];
    cluster.secret(
        "platform/mirror-pull",
        PHISHING,
        "unverified",
        foreign,
        &document(PHISHING, "otto", &password(world)),
    );
    cluster.secret("platform/quay-pull", "quay.io", "ignored", &[], &document("quay.io", "acme+ci", &password(world)));
    let ended = world.now() - TimeDelta::hours(2);
    let stale = ecr.add_token(TokenSpec::opaque("AWS").secret_text(ecr_password("pull", ended)).expires_at(ended));
    cluster.secret("platform/ecr-pull", ECR, "expired", &[], &document(ECR, "AWS", stale.secret()));
    let manifests = &mut cluster.manifests;
    manifests.deployment_pod("platform", "portal", &format!("{REGISTRY}/team/app:latest"), &["registry-pull"]);
    manifests.pod("platform", "probe", &format!("{FLAKY}/team/app:latest"), &["flaky-pull"]);
    manifests.deployment_pod("platform", "queue", &format!("{ECR}/queue:latest"), &["ecr-pull"]);
}

fn config(world: &World, registries: &[(&str, &RegistryHandle)], ecr: &RegistryHandle) -> String {
    let (ghcr, api) = (world.ghcr_url(), world.github_api_url());
    let mut yaml = "# The daemon's config for the demo: every registry is answered on a loopback port.\n\
                    registries:\n"
        .to_owned();
    let github = RegistryConfig {
        host: "ghcr.io",
        issuer: "github",
        endpoint: &ghcr,
        api: Some(&api),
        realm: None,
        canary: Some("acme/docs"),
    };
    yaml.push_str(&github.yaml());
    for (host, handle) in registries {
        let realm = handle.token_service_url().map(|url| url.trim_start_matches("http://"));
        let entry = RegistryConfig { host, issuer: "none", endpoint: handle.url(), api: None, realm, canary: None };
        yaml.push_str(&entry.yaml());
    }
    let entry = RegistryConfig { host: ECR, issuer: "ecr", endpoint: ecr.url(), api: None, realm: None, canary: None };
    yaml.push_str(&entry.yaml());
    // Short spans, so that a person who watches sees refusals confirmed and a token expire.
    yaml.push_str("probe:\n  interval: 20s\n  timeout: 5s\n  rejectedInterval: 10m\n  confirmationSpacing: 2s\n");
    yaml.push_str("issuer:\n  interval: 30s\n");
    yaml
}
