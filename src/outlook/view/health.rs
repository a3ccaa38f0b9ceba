//! The daemon's own health, in lines that every face shows: inventory, permissions, registries, clocks, rate limits,
//! schedule.

use super::relative;
use crate::cluster::{Resource, missing_rules};
use crate::credential::Severity;
use crate::outlook::Snapshot;

/// A clock skew from here on is worth a word: token services commonly refuse to go along from a minute on.
const SKEW_WARNING_SECONDS: f64 = 60.0;
/// A schedule this late no longer keeps its promises.
const LAG_WARNING_SECONDS: f64 = 300.0;

/// How one part of the daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    /// Well.
    Good,
    /// Nothing is known of it yet.
    Unknown,
    /// Not well.
    Bad(Severity),
}

impl HealthState {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Unknown => "unknown",
            Self::Bad(severity) => severity.as_str(),
        }
    }

    /// How bad it is, if it is.
    pub fn severity(self) -> Option<Severity> {
        match self {
            Self::Good | Self::Unknown => None,
            Self::Bad(severity) => Some(severity),
        }
    }

    fn warn_if(bad: bool) -> Self {
        if bad { Self::Bad(Severity::Warning) } else { Self::Good }
    }
}

/// One part of the daemon's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthLine {
    /// How it is.
    pub state: HealthState,
    /// What it is about.
    pub subject: String,
    /// How it stands, and what to do.
    pub detail: String,
}

/// The daemon's own health: inventory, permissions, registries, clocks, rate limits, schedule.
pub fn health(snapshot: &Snapshot) -> Vec<HealthLine> {
    let daemon = &snapshot.daemon;
    let line = |state, subject: String, detail: String| HealthLine { state, subject, detail };
    let mut lines = Vec::new();
    if !daemon.shard.is_alone() {
        let (index, count) = (daemon.shard.index(), daemon.shard.count());
        lines.push(line(
            HealthState::Good,
            format!("shard {index} of {count}"),
            format!("only its own credentials and workloads are shown here; the shards count from 0 to {}", count - 1),
        ));
    }
    // What a cluster may lack is told only where it is awaited.
    for (resource, synced) in daemon.synced.iter().filter(|(resource, synced)| !(*synced && resource.is_optional())) {
        if *resource == Resource::Secrets && daemon.secrets_left_out {
            let detail = "left out by choice (scope.readSecrets): of no credential it is known whether it works";
            lines.push(line(HealthState::Unknown, "inventory of secrets".to_owned(), detail.to_owned()));
            continue;
        }
        let detail = if *synced { "complete" } else { "the first list has not arrived yet" };
        lines.push(line(
            HealthState::warn_if(!synced),
            format!("inventory of {}", resource.as_str()),
            detail.to_owned(),
        ));
    }
    for rule in missing_rules(&daemon.missing_permissions) {
        lines.push(line(HealthState::Bad(Severity::Warning), rule.subject(), rule.to_string()));
    }
    for registry in &snapshot.registries {
        let (state, detail) = match (registry.incident, registry.up) {
            (true, _) => (
                HealthState::Bad(Severity::Critical),
                "refuses logins as a whole: an incident of the registry is suspected, so its refusals prove nothing",
            ),
            (false, Some(false)) => (
                HealthState::Bad(Severity::Warning),
                "gave no answer to the last exchange: the last proven verdicts stay",
            ),
            (false, Some(true)) => (HealthState::Good, "answers"),
            (false, None) => (HealthState::Unknown, "not asked yet"),
        };
        lines.push(line(state, format!("registry {}", registry.host), detail.to_owned()));
    }
    for (host, skew) in &daemon.clock_skews {
        let state = HealthState::warn_if(skew.abs() >= SKEW_WARNING_SECONDS);
        let side = if *skew < 0.0 { "behind" } else { "ahead" };
        lines.push(line(state, format!("clock against {host}"), format!("ours is {:.0} s {side}", skew.abs())));
    }
    for (issuer, limit) in &daemon.rate_limits {
        let reset = relative(limit.reset, snapshot.generated_at);
        let detail = format!("{} of {} requests left, reset {reset}", limit.remaining, limit.limit);
        lines.push(line(HealthState::warn_if(limit.remaining == 0), format!("rate limit at {issuer}"), detail));
    }
    let lag = daemon.schedule_lag_seconds;
    lines.push(line(
        HealthState::warn_if(lag >= LAG_WARNING_SECONDS),
        "schedule".to_owned(),
        if lag < 1.0 { "on time".to_owned() } else { format!("the most overdue exchange is {lag:.0} s late") },
    ));
    lines
}
