//! The daemon's own counters and histograms.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus::{Gauge, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use super::about::{ALWAYS, About, Kind};
use super::process::ProcessCollector;
use crate::cluster::EventOutcome;
use crate::probe::{Outcome, ProbeKind};

/// From a registry in the same rack to one that nearly times out (10 s by default), and what retries add.
const PROBE_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

static BUILD_INFO: About = About::gauge(
    "pullpatrol_build_info",
    [&["version", "revision", "rustc"], &[]],
    ALWAYS,
    "What this binary was built from.",
);
static PROBES: About = About::counter(
    "pullpatrol_probes_total",
    [&["registry", "kind", "outcome"], &[]],
    "for each configured registry, from 0",
    "Exchanges with registries and issuers, by how they ended.",
);
static PROBE_DURATION: About = About {
    name: "pullpatrol_probe_duration_seconds",
    kind: Kind::Histogram(&PROBE_BUCKETS),
    labels: [&["registry", "kind"], &[]],
    emitted: "after the first exchange of its kind",
    help: "How long exchanges with registries and issuers took.",
};
static WATCH_ERRORS: About = About::counter(
    "pullpatrol_watch_errors_total",
    [&["resource", "reason"], &[]],
    "always, from 0",
    "Errors of lists and watches at the Kubernetes API.",
);
static EVENTS: About = About::counter(
    "pullpatrol_events_total",
    [&["outcome"], &[]],
    "always, from 0",
    "Kubernetes Events on pull Secrets, by how they fared.",
);
static LEADER: About =
    About::gauge("pullpatrol_leader", [&[], &[]], ALWAYS, "1 while this daemon probes, 0 while it stands by.");
static LEASE_ERRORS: About = About::counter(
    "pullpatrol_lease_errors_total",
    [&["reason"], &[]],
    "always, from 0",
    "Requests about the Lease of the election that failed.",
);
static RELOAD_WELL: About = About::gauge(
    "pullpatrol_config_last_reload_successful",
    [&[], &[]],
    "with a config file",
    "Whether the config file could be used when it was read last.",
);
static RELOADED_AT: About = About::gauge(
    "pullpatrol_config_last_reload_success_timestamp_seconds",
    [&[], &[]],
    "with a config file",
    "When the config file was last read and could be used.",
);
static LAG: About =
    About::gauge("pullpatrol_schedule_lag_seconds", [&[], &[]], ALWAYS, "How late the most overdue exchange is.");
static STATE_SAVED: About = About::gauge(
    "pullpatrol_state_saved_timestamp_seconds",
    [&[], &[]],
    "after the first save of the state",
    "When the state was saved last.",
);
static STATE_ERRORS: About = About::counter(
    "pullpatrol_state_errors_total",
    [&["reason"], &[]],
    "where a state is configured, from 0",
    "States that could not be read, taken over or saved.",
);

/// What is told about each.
pub(super) static ALL: [&About; 12] = [
    &BUILD_INFO,
    &PROBES,
    &PROBE_DURATION,
    &WATCH_ERRORS,
    &EVENTS,
    &LEADER,
    &LEASE_ERRORS,
    &RELOAD_WELL,
    &RELOADED_AT,
    &LAG,
    &STATE_SAVED,
    &STATE_ERRORS,
];

/// What this binary was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// Version of the package.
    pub version: &'static str,
    /// Revision of the source, or `unknown`.
    pub revision: &'static str,
    /// Version of the compiler, or `unknown`.
    pub rustc: &'static str,
}

impl BuildInfo {
    /// As `build.rs` told it.
    pub const fn compiled() -> Self {
        const fn told(value: Option<&'static str>) -> &'static str {
            match value {
                Some(value) => value,
                None => "unknown",
            }
        }
        Self {
            version: env!("CARGO_PKG_VERSION"),
            revision: told(option_env!("PULL_PATROL_REVISION")),
            rustc: told(option_env!("PULL_PATROL_RUSTC")),
        }
    }
}

/// Counters and histograms of what the daemon did, and the process under it.
#[derive(Debug)]
pub struct DaemonMetrics {
    registry: Registry,
    probes: IntCounterVec,
    probe_duration: HistogramVec,
    watch_errors: IntCounterVec,
    events: IntCounterVec,
    leader: IntGauge,
    lag: Gauge,
    schedule: ScheduleWatch,
    state_saved: IntGaugeVec,
    state_errors: IntCounterVec,
    lease_errors: IntCounterVec,
    reload_well: IntGaugeVec,
    reloaded_at: IntGaugeVec,
    /// Registries that have series.
    registries: Mutex<BTreeSet<Box<str>>>,
}

/// Reads the lateness of the schedule.
#[derive(Default)]
struct ScheduleWatch(OnceLock<Box<dyn Fn() -> Duration + Send + Sync>>);

impl std::fmt::Debug for ScheduleWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScheduleWatch").field("watched", &self.0.get().is_some()).finish()
    }
}

impl DaemonMetrics {
    /// All at zero; `pullpatrol_leader` at 1, since without an election there is one daemon.
    pub fn new(build: BuildInfo) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let probes = PROBES.counters()?;
        let probe_duration = PROBE_DURATION.histograms(&PROBE_BUCKETS)?;
        let watch_errors = WATCH_ERRORS.counters()?;
        let events = EVENTS.counters()?;
        for outcome in EventOutcome::ALL {
            events.with_label_values(&[outcome.as_str()]);
        }
        let leader = IntGauge::with_opts(LEADER.options())?;
        leader.set(1);
        let lag = Gauge::with_opts(LAG.options())?;
        // Without labels, but a gauge alone would tell of a save before there was one.
        let state_saved = STATE_SAVED.gauges()?;
        let state_errors = STATE_ERRORS.counters()?;
        let lease_errors = LEASE_ERRORS.counters()?;
        // Without labels, but there is nothing to tell of a config file that is not there.
        let reload_well = RELOAD_WELL.gauges()?;
        let reloaded_at = RELOADED_AT.gauges()?;
        let build_info = BUILD_INFO.gauges()?;
        build_info.with_label_values(&[build.version, build.revision, build.rustc]).set(1);

        registry.register(Box::new(probes.clone()))?;
        registry.register(Box::new(probe_duration.clone()))?;
        registry.register(Box::new(watch_errors.clone()))?;
        registry.register(Box::new(events.clone()))?;
        registry.register(Box::new(leader.clone()))?;
        registry.register(Box::new(lag.clone()))?;
        registry.register(Box::new(state_saved.clone()))?;
        registry.register(Box::new(state_errors.clone()))?;
        registry.register(Box::new(lease_errors.clone()))?;
        registry.register(Box::new(reload_well.clone()))?;
        registry.register(Box::new(reloaded_at.clone()))?;
        registry.register(Box::new(build_info))?;
        registry.register(Box::new(ProcessCollector::new()?))?;
        let (schedule, registries) = (ScheduleWatch::default(), Mutex::default());
        Ok(Self {
            registry,
            probes,
            probe_duration,
            watch_errors,
            events,
            leader,
            lag,
            schedule,
            state_saved,
            state_errors,
            lease_errors,
            reload_well,
            reloaded_at,
            registries,
        })
    }

    /// Make the counters of a registry exist at zero, for all kinds and outcomes, so that a rate sees the first
    /// exchange.
    pub fn add_registry(&self, registry: &str) {
        self.note(registry);
        for kind in ProbeKind::ALL {
            for outcome in Outcome::ALL {
                self.probes.with_label_values(&[registry, kind.as_str(), outcome.as_str()]);
            }
        }
    }

    /// Make the counters of a watched resource exist at zero.
    pub fn add_watch(&self, resource: &str, reasons: &[&str]) {
        for reason in reasons {
            self.watch_errors.with_label_values(&[resource, reason]);
        }
    }

    fn note(&self, registry: &str) {
        let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        if !registries.contains(registry) {
            registries.insert(registry.into());
        }
    }

    /// Drop the series of registries that nobody asks any more. Where a glob lists registries, tenants name the hosts.
    pub fn retain_registries(&self, wanted: impl Fn(&str) -> bool) {
        let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        registries.retain(|registry| {
            let keep = wanted(registry);
            for kind in ProbeKind::ALL.into_iter().filter(|_| !keep) {
                // An error says that there is no such series.
                let _ = self.probe_duration.remove_label_values(&[registry, kind.as_str()]);
                for outcome in Outcome::ALL {
                    let _ = self.probes.remove_label_values(&[registry, kind.as_str(), outcome.as_str()]);
                }
            }
            keep
        });
    }

    /// An exchange ended.
    pub fn probe_ended(&self, registry: &str, kind: ProbeKind, outcome: Outcome, took: Duration) {
        self.note(registry);
        self.probes.with_label_values(&[registry, kind.as_str(), outcome.as_str()]).inc();
        self.probe_duration.with_label_values(&[registry, kind.as_str()]).observe(took.as_secs_f64());
    }

    /// A list or a watch failed.
    pub fn watch_failed(&self, resource: &str, reason: &str) {
        self.watch_errors.with_label_values(&[resource, reason]).inc();
    }

    /// So many Events fared so.
    pub fn events_ended(&self, outcome: EventOutcome, count: usize) {
        self.events.with_label_values(&[outcome.as_str()]).inc_by(count as u64);
    }

    /// Make the counters of a state store exist at zero.
    pub fn add_state(&self, reasons: &[&str]) {
        for reason in reasons {
            self.state_errors.with_label_values(&[*reason]);
        }
    }

    /// The state was saved.
    pub fn state_saved(&self, at: DateTime<Utc>) {
        self.state_saved.with_label_values::<&str>(&[]).set(at.timestamp());
    }

    /// The state could not be read, taken over or saved.
    pub fn state_failed(&self, reason: &str) {
        self.state_errors.with_label_values(&[reason]).inc();
    }

    /// Make the counters of an election exist at zero.
    pub fn add_lease(&self, reasons: &[&str]) {
        for reason in reasons {
            self.lease_errors.with_label_values(&[*reason]);
        }
    }

    /// The Lease could not be read or written.
    pub fn lease_failed(&self, reason: &str) {
        self.lease_errors.with_label_values(&[reason]).inc();
    }

    /// The config file was read, and is in force.
    pub fn config_read(&self, at: DateTime<Utc>) {
        self.reload_well.with_label_values::<&str>(&[]).set(1);
        self.reloaded_at.with_label_values::<&str>(&[]).set(at.timestamp());
    }

    /// The config file was read anew and cannot be used: what was in force stays.
    pub fn config_refused(&self) {
        self.reload_well.with_label_values::<&str>(&[]).set(0);
    }

    /// Whether this daemon probes (or stands by).
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Where the lateness of the most overdue exchange is read at each scrape: it grows while the loop that would make a
    /// new snapshot stands still. The first call counts.
    pub fn watch_schedule(&self, lag: impl Fn() -> Duration + Send + Sync + 'static) {
        // An error only says that somebody watches already.
        let _ = self.schedule.0.set(Box::new(lag));
    }

    /// The text of all of them.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        self.lag.set(self.schedule.0.get().map_or(0.0, |lag| lag().as_secs_f64()));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> DaemonMetrics {
        DaemonMetrics::new(BuildInfo { version: "1.2.3", revision: "abc", rustc: "1.95.0" }).unwrap()
    }

    #[test]
    fn counters_of_a_registry_exist_before_the_first_exchange() {
        let metrics = metrics();
        metrics.add_registry("ghcr.io");
        let text = metrics.encode().unwrap();
        let zeros = text.lines().filter(|line| line.starts_with("pullpatrol_probes_total{") && line.ends_with(" 0"));
        assert_eq!(zeros.count(), ProbeKind::ALL.len() * Outcome::ALL.len());
    }

    #[test]
    fn an_exchange_is_counted_and_timed() {
        let metrics = metrics();
        metrics.probe_ended("ghcr.io", ProbeKind::Access, Outcome::Refused, Duration::from_millis(30));
        let text = metrics.encode().unwrap();
        assert!(text.contains("pullpatrol_probes_total{kind=\"access\",outcome=\"refused\",registry=\"ghcr.io\"} 1\n"));
        assert!(text.contains(
            "pullpatrol_probe_duration_seconds_bucket{kind=\"access\",registry=\"ghcr.io\",le=\"0.05\"} 1\n"
        ));
        assert!(text.contains(
            "pullpatrol_probe_duration_seconds_bucket{kind=\"access\",registry=\"ghcr.io\",le=\"0.025\"} 0\n"
        ));
        assert!(text.contains("pullpatrol_probe_duration_seconds_sum{kind=\"access\",registry=\"ghcr.io\"} 0.03\n"));
    }

    #[test]
    fn the_lag_is_read_at_each_scrape() {
        let metrics = metrics();
        let late = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(7));
        let read = std::sync::Arc::clone(&late);
        metrics.watch_schedule(move || Duration::from_secs(read.load(std::sync::atomic::Ordering::Relaxed)));
        metrics.watch_schedule(|| Duration::from_secs(99));
        assert!(metrics.encode().unwrap().contains("pullpatrol_schedule_lag_seconds 7\n"));
        late.store(65, std::sync::atomic::Ordering::Relaxed);
        assert!(metrics.encode().unwrap().contains("pullpatrol_schedule_lag_seconds 65\n"));
    }

    #[test]
    fn the_rest_of_its_own_series() {
        let metrics = metrics();
        metrics.watch_failed("pods", "gone");
        metrics.set_leader(false);
        metrics.events_ended(EventOutcome::Limited, 3);
        let text = metrics.encode().unwrap();
        assert!(text.contains("pullpatrol_watch_errors_total{reason=\"gone\",resource=\"pods\"} 1\n"));
        assert!(text.contains("pullpatrol_leader 0\n"));
        assert!(text.contains("pullpatrol_schedule_lag_seconds 0\n"));
        assert!(text.contains("pullpatrol_events_total{outcome=\"limited\"} 3\n"));
        assert!(text.contains("pullpatrol_events_total{outcome=\"sent\"} 0\n"));
        assert!(text.contains("pullpatrol_build_info{revision=\"abc\",rustc=\"1.95.0\",version=\"1.2.3\"} 1\n"));
    }
}
