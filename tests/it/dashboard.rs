//! The shipped Grafana dashboard: the conventions that Grafana's dashboard linter asks for, and whether every query names
//! published metrics.

use std::collections::BTreeSet;

use pull_patrol::cli::shipped::DASHBOARD;
use serde_json::Value;

use crate::support::{published, real::Prometheus};

/// A query of a panel, with the variables filled in as *All* fills them.
#[derive(Debug)]
pub(crate) struct PanelQuery {
    /// The panel's title.
    pub(crate) panel: String,
    /// The letter of the query in its panel.
    pub(crate) letter: String,
    /// PromQL.
    pub(crate) expr: String,
}

/// Every query of every panel.
pub(crate) fn queries() -> Vec<PanelQuery> {
    panels()
        .iter()
        .flat_map(|panel| targets(panel).iter().map(move |target| (panel, target)))
        .map(|(panel, target)| PanelQuery {
            panel: text(&panel["title"]).to_owned(),
            letter: text(&target["refId"]).to_owned(),
            expr: text(&target["expr"])
                .replace("$namespace", ".*")
                .replace("$registry", ".*")
                .replace("$__rate_interval", "4m"),
        })
        .collect()
}

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).expect("the dashboard is JSON")
}

/// All panels but rows.
fn panels() -> Vec<Value> {
    let mut dashboard = dashboard();
    let Value::Array(panels) = dashboard["panels"].take() else { panic!("no list of panels") };
    panels.into_iter().filter(|panel| panel["type"] != "row").collect()
}

fn targets(panel: &Value) -> &[Value] {
    panel["targets"].as_array().unwrap_or_else(|| panic!("no queries: {panel}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

#[test]
fn the_dashboard_can_be_provisioned_and_linked() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "pull-patrol");
    assert_eq!(dashboard["id"], Value::Null, "an id belongs to one Grafana");
    assert_eq!(dashboard["schemaVersion"], 39);
    assert_eq!(dashboard["editable"], false);
    assert_eq!(dashboard["refresh"], "1m");
    assert!(!text(&dashboard["title"]).is_empty() && !text(&dashboard["description"]).is_empty());
    assert!(dashboard["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag == "pull-patrol")));
}

#[test]
fn the_variables_are_the_data_source_the_namespace_and_the_registry() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().expect("a list of variables");
    let names: Vec<_> = variables.iter().map(|variable| text(&variable["name"])).collect();
    assert_eq!(names, ["datasource", "namespace", "registry"]);
    assert_eq!(variables[0]["type"], "datasource");
    assert_eq!(variables[0]["query"], "prometheus");
    for variable in &variables[1..] {
        assert_eq!(variable["type"], "query");
        assert_eq!(variable["refresh"], 2, "read anew when the time changes");
        assert_eq!(variable["allValue"], ".*", "matches the empty registry of a Secret that cannot be decoded");
        assert_eq!(variable["datasource"]["uid"], "${datasource}");
        let query = text(&variable["query"]["query"]);
        let (metric, label) = query
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|rest| rest.split_once(", "))
            .unwrap_or_else(|| panic!("{query}"));
        assert!(published::METRICS[metric].labels.contains(label), "{query}");
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_from_the_chosen_data_source() {
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels() {
        let title = text(&panel["title"]).to_owned();
        assert!(ids.insert(panel["id"].as_u64()), "{title}: its id is taken");
        assert!(titles.insert(title.clone()), "two panels are called {title}");
        assert!(text(&panel["description"]).ends_with('.'), "{title}: a description in sentences");
        assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{title}: no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(!targets(&panel).is_empty(), "{title}: no query");
        let letters: BTreeSet<_> = targets(&panel).iter().map(|target| text(&target["refId"])).collect();
        assert_eq!(letters.len(), targets(&panel).len(), "{title}: two queries with one letter");
        for target in targets(&panel) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let is_table = panel["type"] == "table";
            assert_eq!(target["format"] == "table", is_table, "{title}: the format of its queries");
            assert!(!is_table || target["instant"] == true, "{title}: a table shows now");
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("a list of panels") {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap_or_else(|| panic!("{panel}: no {key}"));
        assert!(place("x") + place("w") <= 24, "{}: wider than the page", panel["title"]);
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{} lies over another panel", panel["title"]);
            }
        }
    }
}

#[test]
fn panels_name_only_published_metrics_and_labels() {
    for query in queries() {
        published::check(&query.expr).unwrap_or_else(|error| panic!("{} {}: {error}", query.panel, query.letter));
    }
}

#[test]
fn counters_are_shown_as_rates_over_the_interval_of_the_panel() {
    for panel in panels() {
        for target in targets(&panel) {
            let expr = text(&target["expr"]);
            for (name, metric) in published::METRICS.iter().filter(|(name, _)| expr.contains(name.as_str())) {
                if metric.kind == "gauge" {
                    continue;
                }
                let rate = format!("rate({name}");
                let pieces = expr.matches(name.as_str()).count();
                assert_eq!(expr.matches(&rate).count(), pieces, "{}: {name} without a rate", panel["title"]);
                assert_eq!(expr.matches("[$__rate_interval]").count(), pieces, "{}: {expr}", panel["title"]);
            }
            assert!(!expr.contains("vector(0)"), "{}: a zero where nothing is known", panel["title"]);
        }
    }
}

#[test]
fn table_columns_that_are_hidden_or_renamed_exist() {
    for panel in panels().iter().filter(|panel| panel["type"] == "table") {
        let mut columns = BTreeSet::from(["Time".to_owned()]);
        for target in targets(panel) {
            let single = targets(panel).len() == 1;
            columns.insert(if single { "Value".to_owned() } else { format!("Value #{}", text(&target["refId"])) });
            columns.extend(published::check(text(&target["expr"])).unwrap_or_else(|error| panic!("{error}")));
        }
        let transformations = panel["transformations"].as_array().expect("a table has transformations");
        let organize =
            transformations.iter().find(|t| t["id"] == "organize").unwrap_or_else(|| panic!("{}", panel["title"]));
        for key in ["excludeByName", "renameByName", "indexByName"] {
            let named = organize["options"][key].as_object().expect("an object");
            let unknown: Vec<_> = named.keys().filter(|column| !columns.contains(*column)).collect();
            assert!(unknown.is_empty(), "{}: {key} names {unknown:?}", panel["title"]);
        }
    }
}

#[tokio::test]
async fn a_real_prometheus_accepts_every_query() {
    let prometheus = Prometheus::start(&[], &[]).await;
    for query in queries() {
        // Nothing is scraped: a result now would be made up.
        let series = prometheus.query(&query.expr).await;
        assert!(series.is_empty(), "{} {}: {series:?}", query.panel, query.letter);
    }
}
