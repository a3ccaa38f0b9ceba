//! The published metrics, read from the table of `docs/metrics.md`, and the check of a PromQL expression against them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use promql_parser::{
    label::Labels,
    parser::{
        AggregateExpr, BinaryExpr, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
        token::{T_BOTTOMK, T_COUNT_VALUES, T_TOPK},
    },
};

use super::real::checkout;

/// A published metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    /// `gauge`, `counter` or `histogram`.
    pub(crate) kind: String,
    /// Its own labels.
    pub(crate) labels: BTreeSet<String>,
}

/// The text of `docs/metrics.md`.
pub(crate) static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| std::fs::read_to_string(checkout().join("docs/metrics.md")).expect("docs/metrics.md can be read"));

/// Every published metric by name, from the table *At a glance*.
pub(crate) static METRICS: LazyLock<BTreeMap<String, Metric>> = LazyLock::new(|| {
    let table = DOCUMENT.split("## ").find(|section| section.starts_with("At a glance")).expect("the table is there");
    table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let labels = cells[3].split(", ").flat_map(|label| match label {
                "" => vec![],
                "C" => vec!["secret_namespace", "secret_name", "registry"],
                "W" => vec!["workload_namespace", "workload_kind", "workload_name", "pod_role"],
                label => vec![label.trim_matches('`')],
            });
            let metric = Metric { kind: cells[2].to_owned(), labels: labels.map(str::to_owned).collect() };
            (cells[1].trim_matches('`').to_owned(), metric)
        })
        .collect()
});

/// Parses an expression and checks every metric and label that it names against the published ones.
///
/// Returns the labels that its result can have.
pub(crate) fn check(expr: &str) -> Result<BTreeSet<String>, String> {
    let parsed = promql_parser::parser::parse(expr).map_err(|error| format!("{expr}\n{error}"))?;
    labels_of(&parsed).map_err(|error| format!("{expr}\n{error}"))
}

fn labels_of(expr: &Expr) -> Result<BTreeSet<String>, String> {
    match expr {
        Expr::Aggregate(aggregate) => labels_of_aggregate(aggregate),
        Expr::Binary(binary) => labels_of_binary(binary),
        Expr::Unary(unary) => labels_of(&unary.expr),
        Expr::Paren(paren) => labels_of(&paren.expr),
        Expr::Subquery(subquery) => labels_of(&subquery.expr),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(BTreeSet::new()),
        Expr::VectorSelector(selector) => labels_of_selector(selector),
        Expr::MatrixSelector(matrix) => labels_of_selector(&matrix.vs),
        Expr::Call(call) => call.args.args.iter().try_fold(BTreeSet::new(), |mut labels, argument| {
            labels.extend(labels_of(argument)?);
            Ok(labels)
        }),
        Expr::Extension(_) => Err("an extension of PromQL".to_owned()),
    }
}

fn labels_of_selector(selector: &VectorSelector) -> Result<BTreeSet<String>, String> {
    let name = selector.name.as_deref().ok_or("a selector without a name")?;
    let is_histogram = |base: &str| METRICS.get(base).is_some_and(|metric| metric.kind == "histogram");
    let base = ["_bucket", "_sum", "_count"]
        .into_iter()
        .find_map(|suffix| name.strip_suffix(suffix).filter(|base| is_histogram(base)))
        .unwrap_or(name);
    let metric = METRICS.get(base).ok_or_else(|| format!("{name} is not published"))?;
    if base == name && metric.kind == "histogram" {
        return Err(format!("{name} is a histogram: it has _bucket, _sum and _count"));
    }
    let mut labels = metric.labels.clone();
    if name.ends_with("_bucket") {
        labels.insert("le".to_owned());
    }
    // What the scraper adds; `cluster` where several clusters come together.
    labels.extend(["job", "instance", "cluster"].map(str::to_owned));
    for matcher in &selector.matchers.matchers {
        demand(&labels, &matcher.name, name)?;
    }
    Ok(labels)
}

fn labels_of_aggregate(aggregate: &AggregateExpr) -> Result<BTreeSet<String>, String> {
    let inner = labels_of(&aggregate.expr)?;
    let named = |labels: &Labels| {
        labels
            .labels
            .iter()
            .try_for_each(|label| demand(&inner, label, &aggregate.to_string()))
            .map(|()| to_set(labels))
    };
    match &aggregate.modifier {
        Some(LabelModifier::Include(labels)) => named(labels),
        Some(LabelModifier::Exclude(labels)) => Ok(&inner - &named(labels)?),
        None if [T_TOPK, T_BOTTOMK].contains(&aggregate.op.id()) => Ok(inner),
        // It makes a label of the values, named by its parameter.
        None if aggregate.op.id() == T_COUNT_VALUES => match aggregate.param.as_deref() {
            Some(Expr::StringLiteral(label)) => Ok(BTreeSet::from([label.val.clone()])),
            other => Err(format!("count_values of {other:?}")),
        },
        None => Ok(BTreeSet::new()),
    }
}

fn labels_of_binary(binary: &BinaryExpr) -> Result<BTreeSet<String>, String> {
    let (mut left, right) = (labels_of(&binary.lhs)?, labels_of(&binary.rhs)?);
    if let Some(modifier) = &binary.modifier {
        if let Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) = &modifier.matching {
            for label in &labels.labels {
                demand(&left, label, &binary.lhs.to_string())?;
                demand(&right, label, &binary.rhs.to_string())?;
            }
        }
        if let VectorMatchCardinality::ManyToOne(labels) = &modifier.card {
            labels.labels.iter().try_for_each(|label| demand(&right, label, &binary.rhs.to_string()))?;
            left.extend(to_set(labels));
        }
    }
    // Without a vector on the left the result has the labels of the right.
    Ok(if left.is_empty() { right } else { left })
}

fn demand(labels: &BTreeSet<String>, label: &str, what: &str) -> Result<(), String> {
    if labels.contains(label) { Ok(()) } else { Err(format!("no label {label} in: {what}")) }
}

fn to_set(labels: &Labels) -> BTreeSet<String> {
    labels.labels.iter().map(ToString::to_string).collect()
}

#[test]
fn a_metric_or_label_that_is_not_published_is_found() {
    for (expr, fault) in [
        ("pullsecret_credential_stat", "not published"),
        ("pullsecret_credential_status{state=\"valid\"}", "no label state"),
        ("max by (secret) (pullsecret_credential_status)", "no label secret"),
        ("pullsecret_credential_usable and on (owner) pullsecret_credential_info", "no label owner"),
        ("max by (registry) (pullpatrol_leader)", "no label registry"),
        ("max(max by (registry) (pullpatrol_registry_up)) by (host)", "no label host"),
        ("rate(pullpatrol_probe_duration_seconds[5m])", "histogram"),
        ("pullpatrol_leader ==", "pullpatrol_leader =="),
    ] {
        let error = check(expr).expect_err(expr);
        assert!(error.contains(fault), "{error}");
    }
    let labels = check("max by (registry, le) (rate(pullpatrol_probe_duration_seconds_bucket[5m])) > 0");
    assert_eq!(labels, Ok(BTreeSet::from(["registry".to_owned(), "le".to_owned()])));
}
