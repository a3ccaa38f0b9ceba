//! The panels of the shipped dashboards and their queries, as Grafana would send them.

use serde_json::Value;

/// A query of a panel, with the variables filled in as *All* fills them.
#[derive(Clone, Debug)]
pub(crate) struct PanelQuery {
    /// The panel's title.
    pub(crate) panel: String,
    /// What the panel says that it shows.
    pub(crate) description: String,
    /// The letter of the query in its panel.
    pub(crate) letter: String,
    /// PromQL.
    pub(crate) expr: String,
}

/// All panels of a dashboard but rows.
pub(crate) fn panels(dashboard: &str) -> Vec<Value> {
    let mut dashboard: Value = serde_json::from_str(dashboard).expect("a dashboard is JSON");
    let Value::Array(panels) = dashboard["panels"].take() else { panic!("no list of panels") };
    panels.into_iter().filter(|panel| panel["type"] != "row").collect()
}

/// The queries of a panel, as they stand in the dashboard.
pub(crate) fn targets(panel: &Value) -> &[Value] {
    panel["targets"].as_array().unwrap_or_else(|| panic!("no queries: {panel}"))
}

/// A text of a dashboard.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

/// Every query of every panel of a dashboard.
pub(crate) fn queries(dashboard: &str) -> Vec<PanelQuery> {
    let panels = panels(dashboard);
    let pairs = panels.iter().flat_map(|panel| targets(panel).iter().map(move |target| (panel, target)));
    pairs
        .map(|(panel, target)| PanelQuery {
            panel: text(&panel["title"]).to_owned(),
            description: text(&panel["description"]).to_owned(),
            letter: text(&target["refId"]).to_owned(),
            expr: with_all(text(&target["expr"])),
        })
        .collect()
}

/// An expression with every variable at *All*, and the interval of a scrape each minute.
fn with_all(expr: &str) -> String {
    let expr = expr.replace("$__rate_interval", "4m");
    ["$namespace", "$registry", "$scaleset", "$instance"].iter().fold(expr, |expr, name| expr.replace(name, ".*"))
}
