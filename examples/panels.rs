//! What the panels of the shipped dashboards show, without a Grafana: every query of every panel against a Prometheus, as a table.
//!
//! `cargo run --example panels -- --prometheus http://127.0.0.1:9090 [--dashboard daemon] [--panel TEXT]`

use std::collections::BTreeSet;
use std::io::Write as _;

use anyhow::Context as _;
use clap::Parser as _;
use comfy_table::{ContentArrangement, Table, presets::UTF8_BORDERS_ONLY};
use pull_patrol::cli::args::ShippedDashboard;
use pull_patrol::cli::shipped::{DAEMON_DASHBOARD, DASHBOARD};
use serde_json::Value;

#[path = "../tests/panels/mod.rs"]
mod panels;

#[derive(clap::Parser)]
struct Args {
    /// Address of the Prometheus
    #[arg(long, default_value = "http://127.0.0.1:9090")]
    prometheus: String,
    /// Which dashboard
    #[arg(long, value_enum, default_value_t = ShippedDashboard::Team)]
    dashboard: ShippedDashboard,
    /// Only panels whose title holds this
    #[arg(long, default_value = "")]
    panel: String,
    /// Rows of a table
    #[arg(long, default_value_t = 12)]
    rows: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    pull_patrol::probe::install_tls_provider();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let dashboard = match args.dashboard {
        ShippedDashboard::Team => DASHBOARD,
        ShippedDashboard::Daemon => DAEMON_DASHBOARD,
    };
    let mut out = std::io::stdout();
    let mut last = String::new();
    for query in panels::queries(dashboard).iter().filter(|query| query.panel.contains(&args.panel)) {
        if query.panel != last {
            writeln!(out, "\n== {}\n   {}", query.panel, query.description)?;
            last.clone_from(&query.panel);
        }
        writeln!(out, "{}: {}", query.letter, query.expr)?;
        let series = ask(&client, &args.prometheus, &query.expr).await?;
        writeln!(out, "{}", table(&series, args.rows))?;
    }
    Ok(())
}

async fn ask(client: &reqwest::Client, prometheus: &str, expr: &str) -> anyhow::Result<Vec<Value>> {
    let url = format!("{}/api/v1/query", prometheus.trim_end_matches('/'));
    let url = url::Url::parse_with_params(&url, [("query", expr)]).context("the address of Prometheus is no URL")?;
    let answer = client.get(url).send().await.context("Prometheus does not answer")?.text().await?;
    let mut answer: Value = serde_json::from_str(&answer).context("the answer is no JSON")?;
    anyhow::ensure!(answer["status"] == "success", "Prometheus refuses {expr}: {}", answer["error"]);
    Ok(match answer["data"]["result"].take() {
        Value::Array(series) => series,
        _ => Vec::new(),
    })
}

/// The series as rows: a column for each label, and the value.
fn table(series: &[Value], rows: usize) -> String {
    if series.is_empty() {
        return "   no data".to_owned();
    }
    let label_sets: Vec<_> = series.iter().filter_map(|one| one["metric"].as_object()).collect();
    let labels: BTreeSet<&String> = label_sets.iter().flat_map(|labels| labels.keys()).collect();
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(labels.iter().map(|label| label.as_str()).chain(["value"]));
    for one in series.iter().take(rows) {
        let cell = |label: &&String| one["metric"][label.as_str()].as_str().unwrap_or_default().to_owned();
        let value = one["value"][1].as_str().unwrap_or_default().to_owned();
        table.add_row(labels.iter().map(cell).chain([value]));
    }
    let rest = series.len().saturating_sub(rows);
    if rest > 0 { format!("{table}\n   and {rest} more") } else { table.to_string() }
}
