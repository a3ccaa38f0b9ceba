//! The log: logfmt or JSON, to standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
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
}

/// The filter of a level or of directives. The subscriber would take a misspelt level for the name of a module and log
/// nothing else.
fn filter(level: &str) -> Option<EnvFilter> {
    let is_level = |directive: &str| !directive.is_empty() && directive.trim().parse::<LevelFilter>().is_ok();
    let sound = level.split(',').all(|directive| directive.contains('=') || is_level(directive));
    if sound { EnvFilter::try_new(level).ok() } else { None }
}

/// Start logging for the rest of the process. `default` is the level where the user named none.
pub(super) fn start(level: Option<&str>, default: &str, format: LogFormat) -> Result<(), BadLevel> {
    let level = level.unwrap_or(default);
    let filter = filter(level).ok_or_else(|| BadLevel { level: level.chars().take(80).collect() })?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused() {
        for good in ["info", "WARN", "off", "trace", "info,pull_patrol::probe=debug", "pull_patrol=trace"] {
            assert!(filter(good).is_some(), "{good}");
        }
        for bad in ["inof", "warning", "", "info,", "debug,pull_patrol", "a=b", "bogus==="] {
            assert!(filter(bad).is_none(), "{bad}");
        }
    }
}
