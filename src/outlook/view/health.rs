//! The daemon's own health, in lines that every face shows: inventory, permissions, registries, clocks, rate limits,
//! schedule.

use std::collections::{BTreeMap, BTreeSet};

use super::relative;
use crate::cluster::{MissingPermission, Resource};
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
    // What a cluster may lack is told only where it is awaited.
    for (resource, synced) in daemon.synced.iter().filter(|(resource, synced)| !(*synced && resource.is_optional())) {
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

/// A rule that lacks in RBAC: the verbs of one resource in one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRule<'a> {
    resource: Resource,
    scope: &'a str,
    verbs: Vec<&'static str>,
    /// The objects that are wanted; empty for all.
    names: BTreeSet<&'a str>,
}

impl MissingRule<'_> {
    /// What cannot be done, in words.
    fn subject(&self) -> String {
        let place = if self.scope.is_empty() { "in all namespaces".to_owned() } else { format!("in {}", self.scope) };
        let names = if self.names.is_empty() { String::new() } else { format!(" {}", self.list(", ")) };
        format!("permission to {} {}{names} {place}", self.verbs.join(" and "), self.resource.as_str())
    }
}

impl MissingRule<'_> {
    fn list(&self, separator: &str) -> String {
        self.names.iter().copied().collect::<Vec<_>>().join(separator)
    }
}

/// The rule as it is to be added: `add to the ClusterRole: {apiGroups: [""], ...}`, in YAML that can be pasted.
impl std::fmt::Display for MissingRule<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.scope.is_empty() {
            f.write_str("add to the rules of the ClusterRole: ")?;
        } else {
            write!(f, "add to the rules of the Role in namespace {}: ", self.scope)?;
        }
        let verbs: Vec<String> = self.verbs.iter().map(|verb| format!("\"{verb}\"")).collect();
        write!(f, "- {{apiGroups: [\"{}\"], resources: [\"{}\"], ", self.resource.group(), self.resource.as_str())?;
        if !self.names.is_empty() {
            write!(f, "resourceNames: [\"{}\"], ", self.list("\", \""))?;
        }
        write!(f, "verbs: [{}]}}", verbs.join(", "))
    }
}

/// The rules to add, one per resource and scope.
pub fn missing_rules(missing: &[MissingPermission]) -> Vec<MissingRule<'_>> {
    let mut by_place: BTreeMap<(Resource, &str, bool), MissingRule<'_>> = BTreeMap::new();
    for permission in missing {
        let (resource, scope) = (permission.resource, &*permission.scope);
        let is_named = !permission.names.is_empty();
        let rule = by_place.entry((resource, scope, is_named)).or_insert_with(|| MissingRule {
            resource,
            scope,
            verbs: Vec::new(),
            names: BTreeSet::new(),
        });
        // What is followed by its name needs both, and the second is not asked for before the first is granted.
        let verbs = if is_named { &["list", "watch"][..] } else { &[permission.verb][..] };
        rule.verbs.extend(verbs.iter().filter(|verb| !rule.verbs.contains(verb)).copied().collect::<Vec<_>>());
        rule.names.extend(permission.names.iter().map(|name| &**name));
    }
    by_place.into_values().collect()
}
