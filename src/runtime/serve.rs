//! The daemon: sources, patrol and listeners as tasks that are all watched.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::lead::{self, Replica};
use super::reload::{self, Reloads};
use super::setup::{self, Setup, SetupError};
use super::state::{self, Kept};
use super::stop::Stages;
use super::{events, heap, key};
use crate::cli::args::{Common, ServeArgs};
use crate::clock::Clock;
use crate::cluster::{self, Inventory, Resource, Scope, SharedInventory, WATCH_ERROR_REASONS, WatchObserver};
use crate::config::Config;
use crate::metrics::{self, BuildInfo, DaemonMetrics};
use crate::outlook::Snapshot;
use crate::outlook::changes::Changes;
use crate::patrol::{Parts, Patrol, Question};
use crate::plan::{Identifier, Registries};
use crate::probe::{self, Prober};
use crate::web::{self, Explainer, Faces, Limits, Reloader, Secure};

/// How long the end of the process waits for work that cannot be cancelled.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);
/// How many questions of faces wait at most.
const QUESTIONS: usize = 8;

/// Where the daemon takes its objects from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Manifest files and folders, re-read on change.
    Files(Vec<PathBuf>),
    /// A cluster; the parts are those of the kubeconfig, if not the usual ones.
    Cluster {
        /// Kubeconfig file.
        kubeconfig: Option<PathBuf>,
        /// Context in it.
        context: Option<String>,
    },
}

/// Everything `serve` needs. Listeners are bound by the caller.
#[derive(Debug)]
pub struct ServeSettings {
    /// The config.
    pub config: Config,
    /// Who may be contacted.
    pub registries: Registries,
    /// Where objects come from.
    pub source: Source,
    /// Where to serve.
    pub listeners: Vec<TcpListener>,
}

/// What `serve` can do besides.
#[derive(Debug, Default)]
pub struct Extras {
    /// How the web port is secured.
    pub secure: Option<Secure>,
    /// Where health alone is told, in the plain.
    pub health: Vec<TcpListener>,
    /// Where the config came from, if it can be read again.
    pub config_source: Option<ConfigSource>,
    /// Whether `POST /-/reload` is answered.
    pub lifecycle: bool,
    /// Told each time somebody wants the config read again.
    pub hangups: Option<mpsc::Receiver<()>>,
}

/// Where a config comes from.
#[derive(Clone, Debug)]
pub struct ConfigSource {
    /// The file.
    pub file: PathBuf,
    /// Registries of the command line.
    pub registries: Vec<String>,
    /// Index and count of the shard, where the command line says them.
    pub shard: (Option<u16>, Option<u16>),
}

/// The counters are told about failed watches by the room that watches.
struct Observer(Arc<DaemonMetrics>);

impl WatchObserver for Observer {
    fn error(&self, resource: Resource, reason: &'static str) {
        self.0.watch_failed(resource.as_str(), reason);
    }
}

/// The command `serve`.
pub(super) fn command(common: &Common, args: ServeArgs) -> Result<ExitCode, SetupError> {
    let unsettled = heap::settle();
    let Setup { mut config, registries } = setup::prepare(common, "info")?;
    if let Some(error) = unsettled {
        tracing::warn!(%error, "cannot start once more with settings for the allocator: it will keep more memory");
    }
    config.shard = config.shard.overridden(args.shard_index, args.shard_count);
    setup::check_shard(config.shard)?;
    let source = if args.manifests.is_empty() {
        Source::Cluster { kubeconfig: common.kubeconfig.clone(), context: common.context.clone() }
    } else {
        Source::Files(args.manifests)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(SetupError::Runtime)?;
    let secure = args.web_config_file.as_deref().map(Secure::load).transpose().map_err(SetupError::Web)?;
    let (flags, shard) = (common.registries.clone(), (args.shard_index, args.shard_count));
    let config_source = common.config_file.clone().map(|file| ConfigSource { file, registries: flags, shard });
    let ended = runtime.block_on(async move {
        let mut listeners = Vec::with_capacity(args.listen_addresses.len());
        for address in &args.listen_addresses {
            listeners.push(setup::listen(address, "web.listen-address").await?);
        }
        let mut health = Vec::with_capacity(args.health_addresses.len());
        for address in &args.health_addresses {
            health.push(setup::listen(address, "web.health-address").await?);
        }
        let shutdown = CancellationToken::new();
        let stop_on_signal = signals(shutdown.clone());
        let hangups = Some(reload::hangups().map_err(SetupError::Runtime)?);
        let extras = Extras { secure, health, config_source, lifecycle: args.enable_lifecycle, hangups };
        tokio::select! {
            biased;
            result = serve_with(ServeSettings { config, registries, source, listeners }, extras, shutdown) => result?,
            result = stop_on_signal => result?,
        }
        Ok(ExitCode::SUCCESS)
    });
    // A look-up of a name or a write to a disk that hangs must not hold up the end of the process.
    runtime.shutdown_timeout(LINGER);
    ended
}

/// The first SIGTERM or SIGINT starts a graceful stop, the second ends the wait for it.
async fn signals(shutdown: CancellationToken) -> Result<(), SetupError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(SetupError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(SetupError::Runtime)?;
    for graceful in [true, false] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if graceful {
            tracing::info!("stopping; a second signal stops at once");
            shutdown.cancel();
        }
    }
    Ok(())
}

/// Serve until `shutdown`. A task that ends before is an error: nothing runs unobserved.
pub async fn serve(settings: ServeSettings, shutdown: CancellationToken) -> Result<(), SetupError> {
    serve_with(settings, Extras::default(), shutdown).await
}

/// The same, with all that `serve` can do besides.
///
/// The end comes in stages, each bounded: whoever probes stops and saves, then the Lease is given up, and the web port, which
/// says that this process is not ready, closes last.
pub async fn serve_with(
    settings: ServeSettings,
    extras: Extras,
    shutdown: CancellationToken,
) -> Result<(), SetupError> {
    let ServeSettings { config, registries, source, listeners } = settings;
    let Extras { secure, health, config_source, lifecycle, hangups } = extras;
    let metrics = Arc::new(DaemonMetrics::new(BuildInfo::compiled()).map_err(SetupError::Metrics)?);
    for host in registries.listed_hosts() {
        metrics.add_registry(host);
    }
    for resource in Resource::ALL {
        metrics.add_watch(resource.as_str(), &WATCH_ERROR_REASONS);
    }
    let scope = Scope::new(&config.scope, &[]).map_err(SetupError::Scope)?;
    let (snapshots, snapshot) = watch::channel(Arc::new(Snapshot::default()));
    let inventory = SharedInventory::new(Inventory::default());
    for listener in &listeners {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, tls = secure.as_ref().is_some_and(Secure::has_tls), "listening");
        }
    }
    for listener in &health {
        if let Ok(health) = listener.local_addr() {
            tracing::info!(%health, "listening for questions of health alone");
        }
    }

    let mut stages = Stages::new(shutdown.clone());
    let (questions, asked) = mpsc::channel(QUESTIONS);
    let files = metrics::max_open_files();
    let (reloads, wanted) = mpsc::channel(1);
    let rereads = config_source.is_some().then(|| reloads.clone());
    let mut faces = Faces::new(snapshot.clone(), Arc::clone(&metrics))
        .explained_by(explainer(questions))
        .stopped_by(shutdown.clone());
    if lifecycle {
        faces = faces.reloaded_by(Reloader::new(reloads));
    }
    if !health.is_empty() {
        let (router, stopping) = (web::health_router(faces.clone()), stages.web.stop.clone().cancelled_owned());
        // Few of the few: both ports together leave enough for whom the daemon asks.
        let limits = files.map_or(Limits::of_health(), |files| Limits::of_health().within(files / 4));
        stages.web.tasks.spawn(async move {
            let ended = web::serve(health, router, limits, stopping).await;
            ("health", ended.map_err(|error| error.to_string()))
        });
    }
    let (router, stopping) = (web::router(faces), stages.web.stop.clone().cancelled_owned());
    let limits = files.map_or(Limits::default(), |files| Limits::default().within(files));
    stages.web.tasks.spawn(async move {
        let ended = web::serve_secure(listeners, router, limits, secure, stopping).await;
        ("web", ended.map_err(|error| error.to_string()))
    });
    let client = match &source {
        Source::Files(_) => None,
        Source::Cluster { kubeconfig, context } => {
            let client = cluster::client(kubeconfig.as_deref(), context.as_deref()).await;
            Some(client.map_err(SetupError::Cluster)?)
        }
    };
    let identifier = state::identifier(&config).map_err(SetupError::State)?;
    let election = config.leader_election.enabled;
    metrics.add_lease(&cluster::LEASE_ERROR_REASONS);
    setup::check_source(&config, client.is_none())?;
    // Whoever waits for an answer of the API server can be asked how he is meanwhile. One of several replicas opens the state
    // when it takes over.
    let kept = if election {
        None
    } else {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            kept = state::open(&config, client.clone(), &metrics, &identifier) => kept.map_err(SetupError::State)?,
        }
    };
    let (shared, stop) = (inventory.clone(), shutdown.clone());
    match &source {
        Source::Files(paths) => {
            let paths = paths.clone();
            stages.work.tasks.spawn(async move {
                let ended = cluster::watch_files(paths, scope, shared, stop).await;
                ("manifests", ended.map_err(|error| chain(&error)))
            });
        }
        Source::Cluster { .. } => {
            let Some(client) = client.clone() else { unreachable!("a cluster has a client") };
            let with_events = config.events.0;
            if with_events {
                let parts = events::Parts {
                    client: client.clone(),
                    scope: scope.clone(),
                    inventory: shared.clone(),
                    metrics: Arc::clone(&metrics),
                    snapshots: snapshot,
                    changes: Changes::new(registries.clone(), Clock::start().wall()),
                    registries: registries.clone(),
                };
                events::spawn(parts, &mut stages.work.tasks, &shutdown);
            }
            let observer = Observer(Arc::clone(&metrics));
            stages.work.tasks.spawn(async move {
                let ended = cluster::watch_cluster(client, scope, shared, with_events, observer, stop).await;
                ("watch", ended.map_err(|error| chain(&error)))
            });
        }
    }
    let (orders, given) = mpsc::channel(1);
    let reloading = Reloads {
        source: config_source,
        of_files: client.is_none(),
        config: config.clone(),
        orders,
        metrics: Arc::clone(&metrics),
    };
    reload::spawn(reloading, wanted, hangups, &mut stages.work.tasks, shutdown.clone());
    let replica = config.clone();
    let patrol = patrol_with(identifier.clone(), config, registries, inventory.clone(), Arc::clone(&metrics));
    let patrol = patrol.answering(asked).obeying(given);
    let stop = shutdown.clone();
    match (client, &source) {
        (Some(client), Source::Cluster { kubeconfig, context }) if election => {
            // A connection of its own: a renewal must not wait behind a list of thousands of objects.
            let own = cluster::client(kubeconfig.as_deref(), context.as_deref()).await.map_err(SetupError::Cluster)?;
            let leadership = lead::spawn_candidate(
                own,
                &replica,
                inventory,
                Arc::clone(&metrics),
                &mut stages.lease.tasks,
                stages.lease.stop.clone(),
            );
            let replica = Replica { patrol, config: replica, identifier, client, metrics, leadership, reload: rereads };
            stages.work.tasks.spawn(async move { ("patrol", replica.run(snapshots, stop).await) });
        }
        _ => {
            let patrol = match kept {
                None => patrol,
                Some(Kept { store, contents, trouble }) => patrol.remembering(store, contents, trouble),
            };
            stages
                .work
                .tasks
                .spawn(async move { ("patrol", patrol.run(snapshots, stop).await.map_err(|error| chain(&error))) });
        }
    }
    stages.watch().await
}

/// Carries a question of a face to the patrol and waits for the answer, which comes between two of its steps.
fn explainer(questions: mpsc::Sender<Question>) -> Explainer {
    Explainer::new(move |namespace, target| {
        let questions = questions.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            questions.send(Question { namespace, target, reply }).await.ok()?;
            answer.await.ok()
        })
    })
}

/// A patrol over an inventory.
pub(super) fn patrol(
    config: Config,
    registries: Registries,
    inventory: SharedInventory,
    metrics: Arc<DaemonMetrics>,
) -> Result<Patrol, SetupError> {
    let identifier = key::identifier(config.token_id_key_file.as_deref()).map_err(SetupError::TokenIdKey)?;
    Ok(patrol_with(identifier, config, registries, inventory, metrics))
}

fn patrol_with(
    identifier: Identifier,
    config: Config,
    registries: Registries,
    inventory: SharedInventory,
    metrics: Arc<DaemonMetrics>,
) -> Patrol {
    let prober = Prober::new(probe::Settings::new(config.probe.timeout));
    Patrol::new(Parts { config, registries, identifier, inventory, prober, metrics })
}

/// An error with its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
