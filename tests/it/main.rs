//! Integration tests: one binary, so that it is linked once.

#[path = "../days/mod.rs"]
mod days;

mod conformance;
mod conformance_check;
mod conformance_explain;
mod contract;
mod credential_props;
mod dashboard;
mod day;
mod explain;
mod faces_cli;
mod faces_fixture;
mod faces_metrics;
mod faces_promtool;
mod faces_view;
mod faces_web;
mod hostile;
mod house;
mod leaks;
mod line;
mod live_watch;
mod manifests;
mod probe_ghcr;
mod probe_github;
mod probe_guard;
mod probe_registries;
mod probe_secrets;
mod probe_support;
mod real;
mod real_arc;
mod real_line;
mod real_waits;
mod rules;
mod scenarios;
mod support;
mod token_ids;
mod truth;
