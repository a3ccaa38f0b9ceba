//! The command `check`: one round, then a report and an exit code.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::serve::patrol;
use super::setup::{self, Setup, SetupError};
use crate::cli::args::{CheckArgs, Common, OutputFormat};
use crate::cli::exit::Exit;
use crate::cli::progress::Progress;
use crate::cli::report::Look;
use crate::cli::{document, report, terminal};
use crate::cluster::{self, Input, Inventory, Scope, SharedInventory};
use crate::config::{Config, ShardConfig};
use crate::metrics::{BuildInfo, DaemonMetrics};
use crate::outlook::Snapshot;

/// How long a one-shot run waits between two refusals at most.
const LONGEST_SPACING: Duration = Duration::from_secs(2);
/// No one-shot run takes as long.
const LONGER_THAN_A_RUN: Duration = Duration::from_secs(24 * 3600);

pub(super) fn command(common: &Common, args: &CheckArgs) -> Result<ExitCode, SetupError> {
    let Setup { mut config, registries } = one_round(common)?;
    let scope = scope_of(&mut config, args.namespace.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(SetupError::Runtime)?;
    runtime.block_on(async move {
        let inventory = read(common, args, &scope).await?;
        if let Some(sentence) = no_pull_secret(&inventory) {
            say(sentence);
        }
        let metrics = Arc::new(DaemonMetrics::new(BuildInfo::compiled()).map_err(SetupError::Metrics)?);
        let patrol = patrol(config, registries, SharedInventory::new(inventory), metrics)?;
        let snapshot = if args.offline {
            patrol.offline()
        } else {
            let stderr = std::io::stderr();
            let mut bar = Progress::new(&stderr, stderr.is_terminal());
            let snapshot = patrol.run_once(|progress| bar.update(progress.settled, progress.total)).await;
            snapshot.map_err(|error| SetupError::TaskEnded { task: "check", reason: error.to_string() })?
        };
        write(args, &snapshot)?;
        Ok(ExitCode::from(Exit::of(&snapshot, args.offline).code()))
    })
}

/// What a command that asks one round does first.
pub(super) fn one_round(common: &Common) -> Result<Setup, SetupError> {
    let mut setup = setup::prepare(common, "warn")?;
    // One round looks at everything, whoever shares the daemon's work.
    setup.config.shard = ShardConfig::default();
    let (probe, issuer) = (&mut setup.config.probe, &mut setup.config.issuer);
    probe.confirmation_spacing = probe.confirmation_spacing.min(LONGEST_SPACING);
    // What is settled does not come round again, however short the daemon's intervals are.
    probe.interval = probe.interval.max(LONGER_THAN_A_RUN);
    issuer.interval = issuer.interval.max(LONGER_THAN_A_RUN);
    probe.rejected_interval = probe.rejected_interval.max(LONGER_THAN_A_RUN);
    Ok(setup)
}

/// What is read, and the config of what is proven by it: a namespace of the command line stands instead of the lists of the file,
/// and all its Secrets are read.
pub(super) fn scope_of(config: &mut Config, namespace: Option<&str>) -> Result<Scope, SetupError> {
    let namespaces: Vec<String> = namespace.map(str::to_owned).into_iter().collect();
    let scope = Scope::new(&config.scope, &namespaces).map_err(SetupError::Scope)?;
    if !namespaces.is_empty() {
        // Nothing is proven of namespaces that are not read.
        config.scope.namespaces = namespaces;
        config.scope.exclude_namespaces.clear();
        config.scope.secrets.clear();
    }
    Ok(scope)
}

/// The objects, from the paths or the cluster.
pub(super) async fn read(common: &Common, args: &CheckArgs, scope: &Scope) -> Result<Inventory, SetupError> {
    if args.paths.is_empty() {
        let client = cluster::client(common.kubeconfig.as_deref(), common.context.as_deref())
            .await
            .map_err(SetupError::Cluster)?;
        return cluster::snapshot_cluster(&client, scope).await.map_err(SetupError::Listing);
    }
    let mut inputs = Vec::with_capacity(args.paths.len());
    for path in &args.paths {
        inputs.push(if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map_err(SetupError::Input)?;
            Input::Stdin(bytes)
        } else {
            Input::Path(path.clone())
        });
    }
    Ok(cluster::load(&inputs, scope))
}

/// What a person is told where there is no pull Secret.
fn no_pull_secret(inventory: &Inventory) -> Option<&'static str> {
    if inventory.secrets.values().any(|secret| secret.is_pull_secret()) {
        None
    } else if inventory.problems.is_empty() && inventory.pods.is_empty() {
        Some("no pull Secret found: nothing to check\n")
    } else {
        Some("no pull Secret found\n")
    }
}

/// The report, to standard output.
fn write(args: &CheckArgs, snapshot: &Snapshot) -> Result<(), SetupError> {
    to_stdout(args, |look, out| match args.output {
        OutputFormat::Json => document::write_json(snapshot, out),
        OutputFormat::Yaml => document::write_yaml(snapshot, out),
        OutputFormat::Table => report::write(snapshot, look, out),
    })
}

/// Write something to standard output, as the terminal and the flags want it to look.
pub(super) fn to_stdout(
    args: &CheckArgs,
    write: impl FnOnce(Look, &mut dyn std::io::Write) -> std::io::Result<()>,
) -> Result<(), SetupError> {
    let stdout = std::io::stdout();
    let mut out = std::io::BufWriter::new(stdout.lock());
    let (no_color, term) = (std::env::var_os("NO_COLOR"), std::env::var_os("TERM"));
    let colour = args.color.wanted(stdout.is_terminal(), no_color.as_deref(), term.as_deref());
    let written = write(Look { width: terminal::width(), colour }, &mut out);
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(SetupError::Output(error)),
        _ => Ok(()),
    }
}

/// A sentence for a person, to standard error.
pub(super) fn say(text: &str) {
    // Nothing can be done when standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::cluster::{ContainerKind, ObjectRef, Origin, Pod, PodImage, PodPulls, Resource};
    use crate::outlook::Snapshot;
    use crate::plan::Registries;

    /// What is told of a pod in a namespace that names a Secret which is not there.
    fn told(config: Config, namespace: &str) -> Snapshot {
        let mut inventory = Inventory { origin: Origin::Cluster, ..Inventory::default() };
        inventory.synced.extend(Resource::ALL);
        let pod = Pod {
            at: ObjectRef::new(namespace, "app"),
            pulls: Arc::new(PodPulls {
                service_account: "default".into(),
                pull_secrets: vec!["absent".into()],
                admitted_from_service_account: true,
                images: vec![PodImage {
                    container: "app".into(),
                    kind: ContainerKind::Regular,
                    image: "ghcr.io/org/app:1".into(),
                }],
                owner: None,
            }),
            waiting: Vec::new(),
        };
        inventory.pods.insert(pod.at.clone(), Arc::new(pod));
        crate::probe::install_tls_provider();
        let metrics = Arc::new(DaemonMetrics::new(BuildInfo::compiled()).unwrap());
        let registries = Registries::new(&[]).unwrap();
        patrol(config, registries, SharedInventory::new(inventory), metrics).unwrap().offline()
    }

    #[test]
    fn with_a_namespace_the_lists_of_the_config_hide_no_broken_reference() {
        for scope in [
            "secrets: [{namespace: other, name: pull}]",
            "namespaces: [other]",
            "excludeNamespaces: [a]",
            "namespaces: [other], secrets: [{namespace: other, name: pull}]",
        ] {
            let text = format!("scope: {{{scope}}}\n");
            let mut config = crate::config::parse(&text, std::path::Path::new("patrol.yaml")).unwrap();
            let before = told(config.clone(), "a");
            assert!(before.workloads.iter().all(|row| row.broken_references.is_empty()), "not read: {scope}");
            let read = scope_of(&mut config, Some("a")).unwrap();
            assert!(read.admits("a") && !read.admits("other"));
            let after = told(config, "a");
            let broken: Vec<_> = after.workloads.iter().flat_map(|row| &row.broken_references).collect();
            assert_eq!(broken.len(), 1, "{scope}: {broken:?}");
        }
    }
}
