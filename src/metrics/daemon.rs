//! The daemon's own counters and histograms.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::process::ProcessCollector;
use crate::cluster::EventOutcome;
use crate::probe::{Outcome, ProbeKind};

/// From a registry in the same rack to one that nearly times out (10 s by default), and what retries add.
const PROBE_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

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
        let probes = IntCounterVec::new(
            Opts::new("pullpatrol_probes_total", "Exchanges with registries and issuers, by how they ended."),
            &["registry", "kind", "outcome"],
        )?;
        let probe_duration = HistogramVec::new(
            HistogramOpts::new(
                "pullpatrol_probe_duration_seconds",
                "How long exchanges with registries and issuers took.",
            )
            .buckets(PROBE_BUCKETS.to_vec()),
            &["registry", "kind"],
        )?;
        let watch_errors = IntCounterVec::new(
            Opts::new("pullpatrol_watch_errors_total", "Errors of lists and watches at the Kubernetes API."),
            &["resource", "reason"],
        )?;
        let events = IntCounterVec::new(
            Opts::new("pullpatrol_events_total", "Kubernetes Events on pull Secrets, by how they fared."),
            &["outcome"],
        )?;
        for outcome in EventOutcome::ALL {
            events.with_label_values(&[outcome.as_str()]);
        }
        let leader = IntGauge::new("pullpatrol_leader", "1 while this daemon probes, 0 while it stands by.")?;
        leader.set(1);
        let lag = Gauge::new("pullpatrol_schedule_lag_seconds", "How late the most overdue exchange is.")?;
        // Without labels, but a gauge alone would tell of a save before there was one.
        let state_saved = IntGaugeVec::new(
            Opts::new("pullpatrol_state_saved_timestamp_seconds", "When the state was saved last."),
            &[],
        )?;
        let state_errors = IntCounterVec::new(
            Opts::new("pullpatrol_state_errors_total", "States that could not be read, taken over or saved."),
            &["reason"],
        )?;
        let lease_errors = IntCounterVec::new(
            Opts::new("pullpatrol_lease_errors_total", "Requests about the Lease of the election that failed."),
            &["reason"],
        )?;
        // Without labels, but there is nothing to tell of a config file that is not there.
        let reload_well = IntGaugeVec::new(
            Opts::new(
                "pullpatrol_config_last_reload_successful",
                "Whether the config file could be used when it was read last.",
            ),
            &[],
        )?;
        let reloaded_at = IntGaugeVec::new(
            Opts::new(
                "pullpatrol_config_last_reload_success_timestamp_seconds",
                "When the config file was last read and could be used.",
            ),
            &[],
        )?;
        let build_info = IntGaugeVec::new(
            Opts::new("pullpatrol_build_info", "What this binary was built from."),
            &["version", "revision", "rustc"],
        )?;
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
