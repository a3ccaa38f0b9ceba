//! Reading the config file again, on SIGHUP or `POST /-/reload`.
//!
//! A file that cannot be used changes nothing. One that can is in force as a whole, but for the keys that need a restart, which
//! are named in the answer and in the log.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::serve::{ConfigSource, chain};
use super::setup::{self, SetupError};
use crate::clock::Clock;
use crate::cluster::Scope;
use crate::config::{self, Adopted, Config};
use crate::metrics::DaemonMetrics;
use crate::patrol::Orders;
use crate::web::ReloadRequest;

/// What reading the config again needs.
pub(super) struct Reloads {
    /// Where the config came from; without, it cannot be read again.
    pub(super) source: Option<ConfigSource>,
    /// Whether objects come from files.
    pub(super) of_files: bool,
    /// What is in force, with the registries of the command line.
    pub(super) config: Config,
    /// Who carries it out.
    pub(super) orders: mpsc::Sender<Orders>,
    pub(super) metrics: Arc<DaemonMetrics>,
}

/// SIGHUPs as they come. From here on they do not end the process.
pub(super) fn hangups() -> std::io::Result<mpsc::Receiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = signal(SignalKind::hangup())?;
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            // One that comes while another waits is the same wish.
            if tell.is_closed() {
                break;
            }
            let _ = tell.try_send(());
        }
    });
    Ok(told)
}

/// Start the task that reads the config again whenever somebody wants it.
pub(super) fn spawn(
    mut reloads: Reloads,
    mut requests: mpsc::Receiver<ReloadRequest>,
    mut hangups: Option<mpsc::Receiver<()>>,
    tasks: &mut JoinSet<(&'static str, Result<(), String>)>,
    shutdown: CancellationToken,
) {
    if reloads.source.is_some() {
        reloads.metrics.config_read(Clock::start().wall());
    }
    tasks.spawn(async move {
        loop {
            let reply = tokio::select! {
                () = shutdown.cancelled() => return ("reload", Ok(())),
                Some(request) = requests.recv() => Some(request.reply),
                Some(()) = next(&mut hangups) => None,
                else => {
                    shutdown.cancelled().await;
                    return ("reload", Ok(()));
                }
            };
            let done = tokio::select! {
                () = shutdown.cancelled() => return ("reload", Ok(())),
                done = reloads.reload() => done,
            };
            match &done {
                Ok(told) => tracing::info!("{told}"),
                Err(error) => tracing::error!("{error}"),
            }
            if let Some(reply) = reply {
                // Whoever asked may have gone.
                let _ = reply.send(done);
            }
        }
    });
}

async fn next(hangups: &mut Option<mpsc::Receiver<()>>) -> Option<()> {
    match hangups {
        Some(hangups) => hangups.recv().await,
        None => std::future::pending().await,
    }
}

impl Reloads {
    /// Read the config again and have it obeyed. Returns what came of it in words.
    async fn reload(&mut self) -> Result<String, String> {
        let Some(source) = self.source.clone() else {
            return Err("there is no config file to read again: start with --config.file".to_owned());
        };
        let of_files = self.of_files;
        let read =
            tokio::task::spawn_blocking(move || read(&source, of_files)).await.map_err(|error| error.to_string())?;
        let new = match read {
            Ok(new) => new,
            Err(error) => {
                self.metrics.config_refused();
                return Err(format!("what was in force stays: {}", chain(&error)));
            }
        };
        let Adopted { config, kept } = self.config.adopting(new);
        // It was checked with the file.
        let registries = setup::registries(&config).map_err(|error| chain(&error))?;
        let (obeyed, done) = oneshot::channel();
        let orders = Orders { config: config.clone(), registries, obeyed };
        let stops = || "the daemon stops".to_owned();
        self.orders.send(orders).await.map_err(|_| stops())?;
        done.await.map_err(|_| stops())?;
        self.config = config;
        self.metrics.config_read(Clock::start().wall());
        Ok(if kept.is_empty() {
            "the config was read again and is in force".to_owned()
        } else {
            format!("the config was read again and is in force, but for what needs a restart: {}", kept.join(", "))
        })
    }
}

/// The config of the file with the registries of the command line, checked as a whole, as the start checks it: also what
/// waits for a restart must not keep that from starting.
fn read(source: &ConfigSource, of_files: bool) -> Result<Config, SetupError> {
    let mut config = config::load(&source.file).map_err(SetupError::Config)?;
    setup::add_registries(&mut config, &source.registries)?;
    let (index, count) = source.shard;
    config.shard = config.shard.overridden(index, count);
    setup::check_shard(config.shard)?;
    Scope::new(&config.scope, &[]).map_err(SetupError::Scope)?;
    setup::check_source(&config, of_files)?;
    Ok(config)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn read_text(text: &str, of_files: bool) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let source = ConfigSource { file: file.path().to_owned(), registries: Vec::new(), shard: (None, None) };
        read(&source, of_files).map_err(|error| chain(&error))
    }

    #[test]
    fn what_a_restart_would_refuse_is_refused() {
        for (text, told) in [
            ("scope: {secretSelector: 'a in ('}", "the scope cannot be used"),
            ("scope: {namespaces: [a], excludeNamespaces: [a]}", "the scope cannot be used"),
            ("scope: {namespaces: [a], secrets: [{namespace: b, name: pull}]}", "the scope cannot be used"),
            ("shard: {count: 3}", "shard.count"),
        ] {
            let error = read_text(text, false).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        let election = "leaderElection: {enabled: true}";
        let maps = "tokenIdKeyFile: /key\nstate: {kind: configMap, namespace: a, name: kept}";
        for (text, told) in [(election, "leaderElection.enabled"), (maps, "state.kind: configMap")] {
            assert!(read_text(text, false).is_ok(), "{text}");
            let error = read_text(text, true).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
