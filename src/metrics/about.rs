//! What is told about each family: to Prometheus in its header, to a person in `docs/metrics.md`, which is made from it.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts};

use super::families::FAMILIES;
use super::{daemon, process};

/// What a family holds, as its `TYPE` line tells it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A number that goes up and down.
    Gauge,
    /// A number that only goes up.
    Counter,
    /// Durations, counted up to each of these bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// As Prometheus names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Names of labels, in the two lists in which they are written.
type Labels = [&'static [&'static str]; 2];

/// One family of series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct About {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels: those of what it tells about, and its own behind them.
    pub labels: Labels,
    /// When it has a series, as the end of a sentence.
    pub emitted: &'static str,
    /// Its `HELP` text.
    pub help: &'static str,
}

/// Emitted in every scrape.
pub(super) const ALWAYS: &str = "always";

/// Every family that is ever exported, in the order of the exposition.
pub fn reference() -> impl Iterator<Item = &'static About> {
    FAMILIES.iter().map(|family| &family.about).chain(daemon::ALL).chain(&process::ALL)
}

impl About {
    pub(super) const fn gauge(name: &'static str, labels: Labels, emitted: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, labels, emitted, help }
    }

    pub(super) const fn counter(name: &'static str, labels: Labels, emitted: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, labels, emitted, help }
    }

    pub(super) fn options(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    pub(super) fn gauges(&self) -> Result<IntGaugeVec, prometheus::Error> {
        IntGaugeVec::new(self.options(), &self.labels.concat())
    }

    pub(super) fn counters(&self) -> Result<IntCounterVec, prometheus::Error> {
        IntCounterVec::new(self.options(), &self.labels.concat())
    }

    pub(super) fn histograms(&self, buckets: &[f64]) -> Result<HistogramVec, prometheus::Error> {
        HistogramVec::new(HistogramOpts::new(self.name, self.help).buckets(buckets.to_vec()), &self.labels.concat())
    }
}
