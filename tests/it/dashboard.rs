//! The shipped Grafana dashboards: the conventions that Grafana's dashboard linter asks for, what Grafana 10 to 13 all take, and
//! whether every query names published metrics.

use std::collections::{BTreeMap, BTreeSet};

use pull_patrol::cli::shipped::{DAEMON_DASHBOARD, DASHBOARD};
use pull_patrol::web::Filter;
use serde_json::Value;

use crate::panels::{PanelQuery, panels, queries, targets, text};
use crate::support::{published, real::Prometheus};

/// The dashboards by their uid.
pub(crate) const DASHBOARDS: [(&str, &str); 2] = [("pull-patrol", DASHBOARD), ("pull-patrol-daemon", DAEMON_DASHBOARD)];

/// Panels that Grafana itself brings, from 10 to 13, under one name.
const PANELS: [&str; 6] = ["barchart", "bargauge", "stat", "state-timeline", "table", "timeseries"];

fn parsed(dashboard: &str) -> Value {
    serde_json::from_str(dashboard).expect("the dashboard is JSON")
}

fn variables(dashboard: &str) -> Vec<Value> {
    parsed(dashboard)["templating"]["list"].as_array().expect("a list of variables").clone()
}

/// Every panel of both dashboards.
fn all_panels() -> impl Iterator<Item = Value> {
    DASHBOARDS.into_iter().flat_map(|(_, dashboard)| panels(dashboard))
}

#[test]
fn the_dashboards_can_be_provisioned_and_linked() {
    for (uid, dashboard) in DASHBOARDS {
        let dashboard = parsed(dashboard);
        assert_eq!(dashboard["uid"], uid);
        assert_eq!(dashboard["id"], Value::Null, "an id belongs to one Grafana");
        assert_eq!(dashboard["editable"], false);
        assert_eq!(dashboard["refresh"], "1m");
        assert!(!text(&dashboard["title"]).is_empty() && !text(&dashboard["description"]).is_empty());
        assert!(dashboard["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag == "pull-patrol")));
        // Each leads to the other, to the status page and to the runbooks.
        let links = dashboard["links"].as_array().expect("links");
        assert!(links.iter().any(|link| link["type"] == "dashboards" && link["tags"][0] == "pull-patrol"), "{uid}");
        assert!(links.iter().any(|link| link["url"] == "${page:raw}"), "{uid}");
        assert!(links.iter().any(|link| text(&link["url"]).ends_with("/docs/runbooks")), "{uid}");
    }
}

/// Version 39 is that of Grafana 10.3 and 10.4; later ones migrate it when they load it. What their migrations would change is
/// not there: `refresh: false` (40), `timepicker.time_options` (41), `hideFrom` of tooltips (42); nor what is older (38).
#[test]
fn grafana_10_to_13_need_no_migration() {
    for (uid, text) in DASHBOARDS {
        let dashboard = parsed(text);
        assert_eq!(dashboard["schemaVersion"], 39, "{uid}");
        assert!(dashboard["refresh"].is_string() && dashboard["timepicker"] == serde_json::json!({}), "{uid}");
        assert!(dashboard.get("style").is_none(), "{uid}: removed in Grafana 10");
        for old in ["hideFrom", "displayMode\": \"color", "\"angular", "\"graph\"", "$interval", "[["] {
            assert!(!text.contains(old), "{uid}: {old}");
        }
        for panel in dashboard["panels"].as_array().expect("a list of panels") {
            let kind = self::text(&panel["type"]);
            let known = kind == "row" || PANELS.contains(&kind);
            assert!(known, "{uid}: {kind}");
            assert!(kind != "row" || panel["panels"] == serde_json::json!([]), "{uid}: a panel inside of a row");
        }
    }
}

#[test]
fn the_variables_choose_what_is_shown() {
    let wanted: [&[&str]; 2] =
        [&["datasource", "namespace", "registry", "scaleset", "page"], &["datasource", "instance", "registry", "page"]];
    for ((uid, dashboard), wanted) in DASHBOARDS.into_iter().zip(wanted) {
        let variables = variables(dashboard);
        let names: Vec<_> = variables.iter().map(|variable| text(&variable["name"])).collect();
        assert_eq!(names, wanted, "{uid}");
        assert_eq!((&variables[0]["type"], &variables[0]["query"]), (&"datasource".into(), &"prometheus".into()));
        assert_eq!(variables.last().expect("several")["type"], "textbox");
        for variable in &variables[1..variables.len() - 1] {
            let name = text(&variable["name"]);
            assert!(dashboard.contains(&format!("=~\\\"${name}\\\"")), "{uid}: nothing follows {name}");
            assert_eq!(variable["type"], "query");
            assert_eq!(variable["refresh"], 2, "read anew when the time changes");
            assert_eq!(variable["allValue"], ".*", "matches the empty registry of a Secret that cannot be decoded");
            assert_eq!(variable["datasource"]["uid"], "${datasource}");
            let query = text(&variable["query"]["query"]);
            let (selector, label) = query
                .strip_prefix("label_values(")
                .and_then(|rest| rest.strip_suffix(')'))
                .and_then(|rest| rest.rsplit_once(", "))
                .unwrap_or_else(|| panic!("{query}"));
            let labels = published::check(selector).unwrap_or_else(|error| panic!("{error}"));
            assert!(labels.contains(label), "{query}");
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_from_the_chosen_data_source() {
    for (uid, dashboard) in DASHBOARDS {
        let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
        for panel in parsed(dashboard)["panels"].as_array().expect("a list of panels") {
            let title = text(&panel["title"]).to_owned();
            assert!(ids.insert(panel["id"].as_u64()), "{uid}: the id of {title} is taken");
            assert!(titles.insert(title.clone()), "{uid}: two panels are called {title}");
        }
    }
    for panel in all_panels() {
        let title = text(&panel["title"]).to_owned();
        assert!(text(&panel["description"]).ends_with('.'), "{title}: a description in sentences");
        assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{title}: no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(!targets(&panel).is_empty(), "{title}: no query");
        let letters: BTreeSet<_> = targets(&panel).iter().map(|target| text(&target["refId"])).collect();
        assert_eq!(letters.len(), targets(&panel).len(), "{title}: two queries with one letter");
        for target in targets(&panel) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let in_rows = panel["type"] == "table" || panel["type"] == "barchart";
            assert_eq!(target["format"] == "table", in_rows, "{title}: the format of its queries");
            assert!(!in_rows || target["instant"] == true, "{title}: a table shows now");
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    for (uid, dashboard) in DASHBOARDS {
        let dashboard = parsed(dashboard);
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().expect("a list of panels") {
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap_or_else(|| panic!("{panel}: no {key}"));
            assert!(place("x") + place("w") <= 24, "{uid}: {} is wider than the page", panel["title"]);
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{uid}: {} lies over another panel", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn panels_name_only_published_metrics_and_labels() {
    for query in DASHBOARDS.iter().flat_map(|(_, dashboard)| queries(dashboard)) {
        published::check(&query.expr).unwrap_or_else(|error| panic!("{} {}: {error}", query.panel, query.letter));
    }
}

/// What can be alerted on can be looked at: every metric of the document but these is on some panel.
#[test]
fn every_metric_is_on_a_panel() {
    const NOT_SHOWN: [&str; 7] = [
        "process_virtual_memory_bytes",
        "pullsecret_credential_last_probe_timestamp_seconds",
        "pullsecret_token_excess_scopes",
        "pullsecret_token_expiry_known",
        "pullsecret_token_missing_scopes",
        "pullsecret_token_scope_info",
        "pullsecret_workload_outlook_part",
    ];
    let shown: Vec<String> =
        DASHBOARDS.iter().flat_map(|(_, dashboard)| queries(dashboard)).map(|query| query.expr).collect();
    for name in published::METRICS.keys().filter(|name| !NOT_SHOWN.contains(&name.as_str())) {
        assert!(shown.iter().any(|expr| expr.contains(name.as_str())), "no panel shows {name}");
    }
}

#[test]
fn counters_are_shown_as_rates_over_the_interval_of_the_panel() {
    for panel in all_panels() {
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

/// The columns of a table by the name that they are shown under, with the label behind each.
fn columns(panel: &Value) -> BTreeMap<String, String> {
    let mut columns = BTreeSet::from(["Time".to_owned()]);
    for target in targets(panel) {
        let single = targets(panel).len() == 1;
        columns.insert(if single { "Value".to_owned() } else { format!("Value #{}", text(&target["refId"])) });
        columns.extend(published::check(text(&target["expr"])).unwrap_or_else(|error| panic!("{error}")));
    }
    let transformations = panel["transformations"].as_array().expect("a table has transformations");
    let organize =
        transformations.iter().find(|t| t["id"] == "organize").unwrap_or_else(|| panic!("{}", panel["title"]));
    let named = |key: &str| organize["options"][key].as_object().expect("an object").clone();
    for key in ["excludeByName", "renameByName", "indexByName"] {
        let unknown: Vec<_> = named(key).keys().filter(|column| !columns.contains(*column)).cloned().collect();
        assert!(unknown.is_empty(), "{}: {key} names {unknown:?}", panel["title"]);
    }
    let renamed = named("renameByName");
    let shown = |column: &String| renamed.get(column).map_or_else(|| column.clone(), |name| text(name).to_owned());
    columns.iter().map(|column| (shown(column), column.clone())).collect()
}

#[test]
fn table_columns_that_are_hidden_renamed_or_sorted_by_exist() {
    for panel in all_panels().filter(|panel| panel["type"] == "table" || panel["type"] == "barchart") {
        let columns = columns(&panel);
        for sorted in panel["options"]["sortBy"].as_array().into_iter().flatten() {
            assert!(columns.contains_key(text(&sorted["displayName"])), "{}", panel["title"]);
        }
        for change in panel["fieldConfig"]["overrides"].as_array().expect("a list") {
            assert!(columns.contains_key(text(&change["matcher"]["options"])), "{}: {change}", panel["title"]);
        }
    }
}

#[test]
fn rows_about_secrets_and_workloads_lead_to_the_status_page() {
    let mut linked = 0;
    for panel in all_panels().filter(|panel| panel["type"] == "table") {
        let columns = columns(&panel);
        let labels: BTreeSet<&str> = columns.values().map(String::as_str).collect();
        let about = if labels.contains("workload_name") { "workload_name" } else { "secret_name" };
        let column = columns.iter().find(|(_, label)| *label == about).expect("a table of Secrets or workloads").0;
        let changes = panel["fieldConfig"]["overrides"].as_array().expect("a list");
        let link = changes
            .iter()
            .filter(|change| change["matcher"]["options"] == column.as_str())
            .flat_map(|change| change["properties"].as_array().expect("a list"))
            .find(|property| property["id"] == "links")
            .unwrap_or_else(|| panic!("{}: no link on {column}", panel["title"]));
        let url = text(&link["value"][0]["url"]);
        let query = url.strip_prefix("${page:raw}/?").unwrap_or_else(|| panic!("{url}"));
        for field in query.split("${__data.fields.").skip(1).filter_map(|rest| rest.split_once('}')) {
            assert!(columns.contains_key(field.0), "{}: no column {}", panel["title"], field.0);
        }
        let filter = query.replace("${__data.fields.", "").replace('}', "");
        let filter = Filter::parse(Some(&filter)).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert!(filter.namespace.is_some() && filter.text.is_some(), "{url}");
        linked += 1;
    }
    assert!(linked >= 8, "{linked}");
}

#[tokio::test]
async fn a_real_prometheus_accepts_every_query() {
    let prometheus = Prometheus::start(&[], &[]).await;
    for query in DASHBOARDS.iter().flat_map(|(_, dashboard)| queries(dashboard)) {
        // Nothing is scraped: a result now would be made up.
        let series = prometheus.query(&query.expr).await;
        let PanelQuery { panel, letter, description, .. } = query;
        assert!(series.is_empty(), "{panel} {letter} ({description}): {series:?}");
    }
}
