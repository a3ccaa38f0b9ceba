//! The files that are shipped inside the program, for the commands `rules` and `dashboard`.

/// The alert rules: a Prometheus rule file, printed by `pull-patrol rules`.
pub const RULES: &str = include_str!("../../deploy/alerts/pull-patrol.rules.yaml");

/// The Grafana dashboard about credentials and workloads in JSON, printed by `pull-patrol dashboard`.
pub const DASHBOARD: &str = include_str!("../../dashboards/pull-patrol.json");

/// The Grafana dashboard about the daemon itself in JSON, printed by `pull-patrol dashboard daemon`.
pub const DAEMON_DASHBOARD: &str = include_str!("../../dashboards/pull-patrol-daemon.json");
