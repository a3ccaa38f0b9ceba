//! The `process_*` metrics, read from `/proc` at scrape under the names that Prometheus client libraries agreed on, and the
//! tasks of the runtime.

use std::fs;
use std::path::{Path, PathBuf};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};

use super::about::{ALWAYS, About, Kind};

/// Clock ticks per second in what the kernel tells user space: `USER_HZ`, which is 100 on every architecture that
/// Rust's tier 1 and 2 targets of Linux know (proc(5), time(7)).
const TICKS_PER_SECOND: f64 = 100.0;

/// When there is one.
const PROC: &str = "where `/proc` tells it";

/// What is told about each: that of [`Reading::values`] in its order, and the tasks.
pub(super) static ALL: [About; 7] = [
    About::counter("process_cpu_seconds_total", [&[], &[]], PROC, "Total user and system CPU time spent in seconds."),
    About::gauge("process_resident_memory_bytes", [&[], &[]], PROC, "Resident memory size in bytes."),
    About::gauge("process_virtual_memory_bytes", [&[], &[]], PROC, "Virtual memory size in bytes."),
    About::gauge("process_open_fds", [&[], &[]], PROC, "Number of open file descriptors."),
    About::gauge("process_max_fds", [&[], &[]], PROC, "Maximum number of open file descriptors."),
    About::gauge(
        "process_start_time_seconds",
        [&[], &[]],
        PROC,
        "Start time of the process since unix epoch in seconds.",
    ),
    About::gauge(
        "pullpatrol_tasks",
        [&[], &[]],
        ALWAYS,
        "Tasks alive in the runtime: exchanges, watches and connections.",
    ),
];

/// Reads `/proc` and the runtime at each scrape. What cannot be read is absent, but for the bound of descriptors: that is
/// wanted most while there is none left to read it with.
#[derive(Debug)]
pub(super) struct ProcessCollector {
    proc: PathBuf,
    max_fds: Option<f64>,
    descriptions: Vec<Desc>,
}

impl ProcessCollector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        Self::at(PathBuf::from("/proc"))
    }

    fn at(proc: PathBuf) -> Result<Self, prometheus::Error> {
        let descriptions = ALL.iter().map(|about| {
            Desc::new(about.name.to_owned(), about.help.to_owned(), Vec::new(), std::collections::HashMap::new())
        });
        let max_fds = Reading::take(&proc).max_fds;
        Ok(Self { proc, max_fds, descriptions: descriptions.collect::<Result<_, _>>()? })
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = Reading::take(&self.proc);
        let values = Reading { max_fds: now.max_fds.or(self.max_fds), ..now }.values();
        let families = ALL.iter().zip(values.into_iter().chain([alive_tasks()])).filter_map(|(about, value)| {
            let value = value?;
            if about.kind == Kind::Counter {
                let counter = Counter::with_opts(about.options()).ok()?;
                counter.inc_by(value);
                Some(counter.collect())
            } else {
                let gauge = Gauge::with_opts(about.options()).ok()?;
                gauge.set(value);
                Some(gauge.collect())
            }
        });
        families.flatten().collect()
    }
}

/// How many files this process may have open at once; `None` where the system does not tell.
pub fn max_open_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What `/proc` told.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    virtual_bytes: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
    start_seconds: Option<f64>,
}

impl Reading {
    fn take(proc: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(proc.join(path)).unwrap_or_default();
        let stat = text("self/stat");
        // The name of the program stands in brackets and may hold anything, so fields are counted from the last
        // bracket: field 3 of proc(5) is the first behind it.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect());
        let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<f64>().ok());
        let status = text("self/status");
        let kibibytes = |key: &str| number_after(&status, key).map(|value| value * 1024.0);
        let booted = number_after(&text("stat"), "btime ");
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            resident_bytes: kibibytes("VmRSS:"),
            virtual_bytes: kibibytes("VmSize:"),
            open_fds: fs::read_dir(proc.join("self/fd")).ok().map(|entries| {
                // The directory is itself open while it is read.
                f64::from(u32::try_from(entries.count().saturating_sub(1)).unwrap_or(u32::MAX))
            }),
            max_fds: number_after(&text("self/limits"), "Max open files"),
            start_seconds: booted.zip(field(22)).map(|(booted, ticks)| booted + ticks / TICKS_PER_SECOND),
        }
    }

    fn values(&self) -> [Option<f64>; 6] {
        [self.cpu_seconds, self.resident_bytes, self.virtual_bytes, self.open_fds, self.max_fds, self.start_seconds]
    }
}

/// Tasks of the runtime that the scrape is served by; none outside of a runtime.
fn alive_tasks() -> Option<f64> {
    let tasks = tokio::runtime::Handle::try_current().ok()?.metrics().num_alive_tasks();
    u32::try_from(tasks).ok().map(f64::from)
}

/// The first number behind `key` at the start of a line.
fn number_after(text: &str, key: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_tells() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("self");
        fs::create_dir_all(own.join("fd")).unwrap();
        for fd in ["0", "1", "2", "9"] {
            fs::write(own.join("fd").join(fd), "").unwrap();
        }
        let stat = "42 (odd ) name) S 1 42 42 0 -1 4194560 1 0 0 0 250 150 0 0 20 0 9 0 1000 0 0";
        fs::write(own.join("stat"), stat).unwrap();
        fs::write(own.join("status"), "Name:\tx\nVmSize:\t    2048 kB\nVmRSS:\t     512 kB\n").unwrap();
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        fs::write(own.join("limits"), limits).unwrap();
        fs::write(folder.path().join("stat"), "cpu  1 2 3\nbtime 1700000000\n").unwrap();

        let reading = Reading::take(folder.path());
        let expected = Reading {
            cpu_seconds: Some(4.0),
            resident_bytes: Some(524_288.0),
            virtual_bytes: Some(2_097_152.0),
            open_fds: Some(3.0),
            max_fds: Some(1024.0),
            start_seconds: Some(1_700_000_010.0),
        };
        assert_eq!(reading, expected);
    }

    #[tokio::test]
    async fn tasks_that_are_alive_are_counted() {
        let told = || {
            let families = ProcessCollector::at(PathBuf::from("/nowhere")).unwrap().collect();
            assert_eq!(families.len(), 1);
            assert_eq!(families[0].name(), "pullpatrol_tasks");
            families[0].get_metric()[0].get_gauge().get_value()
        };
        assert!(told().abs() < f64::EPSILON);
        let task = tokio::spawn(std::future::pending::<()>());
        assert!((told() - 1.0).abs() < f64::EPSILON);
        task.abort();
        assert!(task.await.is_err());
        assert!(told().abs() < f64::EPSILON);
    }

    #[test]
    fn the_bound_of_descriptors_is_told_when_none_is_left_to_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let limits = folder.path().join("self/limits");
        fs::create_dir_all(folder.path().join("self")).unwrap();
        fs::write(&limits, "Max open files            64                   64                   files\n").unwrap();
        let collector = ProcessCollector::at(folder.path().to_owned()).unwrap();
        fs::remove_file(&limits).unwrap();
        let families = collector.collect();
        assert_eq!(families.iter().map(MetricFamily::name).collect::<Vec<_>>(), ["process_max_fds"]);
        assert!((families[0].get_metric()[0].get_gauge().get_value() - 64.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Reading::take(folder.path()), Reading::default());
        assert!(ProcessCollector::at(folder.path().to_owned()).unwrap().collect().is_empty());
    }
}
