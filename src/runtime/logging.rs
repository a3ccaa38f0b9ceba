//! The log: logfmt or JSON, to standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::args::LogFormat;

/// The level cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "`--log.level {level}` is no level: write error, warn, info, debug or trace, or directives such as `info,pull_patrol::probe=debug`"
)]
pub struct BadLevel {
    level: String,
    #[source]
    source: tracing_subscriber::filter::ParseError,
}

/// Start logging for the rest of the process. `default` is the level where the user named none.
pub(super) fn start(level: Option<&str>, default: &str, format: LogFormat) -> Result<(), BadLevel> {
    let level = level.unwrap_or(default);
    let filter =
        EnvFilter::try_new(level).map_err(|source| BadLevel { level: level.chars().take(80).collect(), source })?;
    let registry = tracing_subscriber::registry().with(filter);
    // A second start (tests in one process) keeps the first subscriber, which is what a library may expect.
    let started = match format {
        LogFormat::Logfmt => {
            let layer = tracing_logfmt::builder().with_target(true).layer();
            registry.with(layer.with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            registry.with(layer).try_init()
        }
    };
    if started.is_err() {
        tracing::debug!("a log subscriber is already installed");
    }
    Ok(())
}
