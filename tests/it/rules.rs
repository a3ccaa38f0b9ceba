//! The shipped alert rules: what `promtool` says, what every alert must have, and whether they name published metrics.

use std::collections::{BTreeMap, BTreeSet};

use pull_patrol::cli::shipped::RULES;
use serde::Deserialize;

use crate::support::{
    published,
    real::{Alertmanager, Prometheus, checkout, program, run},
};

/// The alerts that are promised, in the order of the rule file.
const ALERTS: [&str; 25] = [
    "PullSecretTokenExpiringSoon",
    "PullSecretTokenExpiryImminent",
    "PullSecretCredentialRejected",
    "PullSecretCredentialForbidden",
    "PullSecretTokenScopeInsufficient",
    "PullSecretTokenUnsupported",
    "PullSecretUndecodable",
    "PullSecretCopyOutOfSync",
    "PullSecretTokenOverprivileged",
    "PullSecretTokenNeverExpires",
    "PullSecretReferenceBroken",
    "PullSecretWorkloadBlocked",
    "PullSecretWorkloadUncovered",
    "PullSecretWorkloadDeadlineNear",
    "PullPatrolAbsent",
    "PullPatrolProbesStale",
    "PullPatrolRegistryUnreachable",
    "PullPatrolRegistryIncident",
    "PullPatrolRefusalsWaiting",
    "PullPatrolClockSkew",
    "PullPatrolPermissionMissing",
    "PullPatrolWatchFailing",
    "PullPatrolStateFailing",
    "PullPatrolShardMissing",
    "PullPatrolConfigReloadFailed",
];

/// Alerts about one credential: critical where a workload presents it, a warning else.
const BY_NEED: [&str; 6] = [
    "PullSecretTokenExpiryImminent",
    "PullSecretCredentialRejected",
    "PullSecretCredentialForbidden",
    "PullSecretTokenScopeInsufficient",
    "PullSecretTokenUnsupported",
    "PullSecretUndecodable",
];

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    _pending: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct CaseFile {
    rule_files: Vec<String>,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    alert_rule_test: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    alertname: String,
    exp_alerts: Vec<serde_json::Value>,
}

fn rules() -> Vec<Rule> {
    let file: RuleFile = serde_saphyr::from_str(RULES).expect("the rule file is YAML of the known shape");
    file.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// The queries inside a template: the format strings of its `printf`, with every `%q` filled in, and literal queries.
fn queries_of_template(template: &str) -> Vec<String> {
    ["printf \"", "query \""]
        .into_iter()
        .flat_map(|opening| template.split(opening).skip(1))
        .map(|rest| {
            let mut query = String::new();
            let mut characters = rest.chars();
            while let Some(character) = characters.next() {
                match character {
                    '\\' => query.extend(characters.next()),
                    '"' => break,
                    other => query.push(other),
                }
            }
            query.replace("%q", "\"x\"").replace("%.0f", "0")
        })
        .collect()
}

/// The labels that a template reads, as `$labels.NAME`.
fn labels_of_template(template: &str) -> BTreeSet<String> {
    template
        .split("$labels.")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .collect()
}

#[tokio::test]
async fn promtool_finds_nothing_to_complain_of() {
    let file = checkout().join("deploy/alerts/pull-patrol.rules.yaml");
    let file = file.to_string_lossy();
    run(&program("PROMTOOL"), ["check", "rules", "--lint=all", "--lint-fatal", &file])
        .await
        .expect_success("promtool check rules");
}

#[tokio::test]
async fn the_cases_of_every_alert_hold() {
    let files = ALERTS.map(|alert| checkout().join(format!("tests/rules/{alert}.yaml")));
    let arguments = ["test", "rules"].map(Into::into).into_iter().chain(files);
    run(&program("PROMTOOL"), arguments).await.expect_success("promtool test rules");
}

#[test]
fn the_rule_file_has_the_promised_alerts_and_no_others() {
    let mut names: Vec<_> = rules().into_iter().map(|rule| rule.alert).collect();
    names.dedup();
    assert_eq!(names, ALERTS);
}

#[test]
fn every_alert_has_cases_that_fire_stay_quiet_stay_steady_and_show_its_boundary() {
    for alert in ALERTS {
        let path = checkout().join(format!("tests/rules/{alert}.yaml"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let cases: CaseFile = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{alert}: {error}"));
        assert_eq!(cases.rule_files, ["../../deploy/alerts/pull-patrol.rules.yaml"], "{alert}");

        let mut severities_fired = BTreeSet::new();
        for case in &cases.tests {
            assert!(!case.alert_rule_test.is_empty(), "{alert}: {} checks nothing", case.name);
            assert!(case.alert_rule_test.iter().all(|check| check.alertname == alert), "{alert}: {}", case.name);
            let fired: Vec<_> = case.alert_rule_test.iter().flat_map(|check| &check.exp_alerts).collect();
            if case.name.starts_with("fires ") {
                assert!(!fired.is_empty(), "{alert}: {} does not fire", case.name);
                severities_fired.extend(
                    fired.iter().filter_map(|alert| alert["exp_labels"]["severity"].as_str().map(str::to_owned)),
                );
            }
        }
        for start in ["fires ", "is quiet ", "is steady ", "turns "] {
            assert!(cases.tests.iter().any(|case| case.name.starts_with(start)), "{alert}: no case that {start}");
        }
        let both_sides = cases.tests.iter().filter(|case| case.name.starts_with("turns ")).any(|case| {
            let quiet = case.alert_rule_test.iter().filter(|check| check.exp_alerts.is_empty()).count();
            (1..case.alert_rule_test.len()).contains(&quiet)
        });
        assert!(both_sides, "{alert}: no case that shows both sides of its boundary");
        let severities: BTreeSet<_> = rules()
            .into_iter()
            .filter(|rule| rule.alert == alert)
            .map(|rule| rule.labels["severity"].clone())
            .collect();
        assert_eq!(severities_fired, severities, "{alert}: a severity that no case shows");
    }
}

#[test]
fn every_alert_has_its_labels_and_annotations() {
    for rule in rules() {
        let name = &rule.alert;
        assert!(["critical", "warning", "info"].contains(&rule.labels["severity"].as_str()), "{name}");
        assert!(rule.labels.values().all(|value| !value.contains("{{")), "{name}: a label with a value churns");
        let keys: Vec<_> = rule.annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, ["description", "runbook_url", "summary"], "{name}");
        let summary = &rule.annotations["summary"];
        assert!(summary.ends_with('.') && !summary.contains("{{"), "{name}: {summary}");
    }
}

#[test]
fn alerts_about_credentials_are_louder_where_workloads_need_them() {
    for alert in BY_NEED {
        let severities: Vec<_> = rules()
            .into_iter()
            .filter(|rule| rule.alert == alert)
            .map(|rule| rule.labels["severity"].clone())
            .collect();
        assert_eq!(severities, ["critical", "warning"], "{alert}");
    }
}

#[test]
fn every_alert_has_a_runbook_page() {
    let sections = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation", "## False alarms"];
    for rule in rules() {
        let url = &rule.annotations["runbook_url"];
        let path = url
            .strip_prefix("https://github.com/pull-patrol/pull-patrol/blob/main/")
            .unwrap_or_else(|| panic!("{}: {url}", rule.alert));
        assert_eq!(path, format!("docs/runbooks/{}.md", rule.alert));
        let page = std::fs::read_to_string(checkout().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(page.starts_with(&format!("# {}\n", rule.alert)), "{path}");
        let places: Vec<_> = sections.iter().map(|section| page.find(section)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{path}: {places:?}");
    }
}

#[test]
fn rules_name_only_published_metrics_and_labels() {
    for rule in rules() {
        let mut labels = published::check(&rule.expr).unwrap_or_else(|error| panic!("{}: {error}", rule.alert));
        labels.extend(rule.labels.keys().cloned());
        for template in rule.annotations.values() {
            let unknown: Vec<_> = labels_of_template(template).into_iter().filter(|l| !labels.contains(l)).collect();
            assert!(unknown.is_empty(), "{}: the alert has no labels {unknown:?}", rule.alert);
            for query in queries_of_template(template) {
                published::check(&query).unwrap_or_else(|error| panic!("{}: {error}", rule.alert));
            }
        }
    }
}

#[test]
fn alerts_about_secrets_and_workloads_name_them() {
    for rule in rules().iter().filter(|rule| rule.alert.starts_with("PullSecret")) {
        let description = &rule.annotations["description"];
        let about_a_workload =
            rule.alert.starts_with("PullSecretWorkload") || rule.alert == "PullSecretReferenceBroken";
        let needed: &[&str] = if about_a_workload {
            &["$labels.workload_namespace", "$labels.workload_kind", "$labels.workload_name"]
        } else {
            &["$labels.secret_namespace", "$labels.secret_name", "pullsecret_credential_workloads"]
        };
        assert!(needed.iter().all(|needed| description.contains(needed)), "{}: {description}", rule.alert);
        if !about_a_workload && rule.alert != "PullSecretUndecodable" {
            assert!(description.contains("token_owner"), "{}: {description}", rule.alert);
        }
    }
}

#[test]
fn the_document_describes_every_metric_and_every_finding() {
    for name in published::METRICS.keys() {
        assert!(published::DOCUMENT.contains(&format!("\n### {name}\n")), "no section about {name}");
    }
    for finding in pull_patrol::credential::FindingKind::ALL {
        let row = format!("\n| `{}` |", finding.as_str());
        assert!(published::DOCUMENT.contains(&row), "no row about {}", finding.as_str());
    }
    for block in published::DOCUMENT.split("```promql\n").skip(1) {
        let query = block.split("```").next().unwrap_or_default();
        let query: Vec<_> = query.lines().filter(|line| !line.starts_with('#')).collect();
        published::check(&query.join("\n")).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[tokio::test]
async fn a_real_prometheus_evaluates_every_rule() {
    let file = checkout().join("deploy/alerts/pull-patrol.rules.yaml");
    let mut prometheus = Prometheus::start(&[], &[&file]).await;
    let evaluated = prometheus.evaluated_rules().await;
    assert_eq!(evaluated.len(), rules().len());
    for rule in evaluated {
        assert_eq!(rule["health"], "ok", "{rule}");
        // Nothing is scraped, and there is an alert about that alone.
        let state = if rule["query"].as_str().is_some_and(|query| query.starts_with("absent(")) {
            "pending"
        } else {
            "inactive"
        };
        assert_eq!(rule["state"], state, "{rule}");
    }
}

#[tokio::test]
async fn the_example_for_alertmanager_is_valid_and_has_the_inhibition_rules() {
    let file = checkout().join("deploy/alerts/alertmanager.yaml");
    let told = run(&program("AMTOOL"), ["check-config".into(), file.clone()]).await.expect_success("amtool");
    assert!(told.contains("3 receivers"), "{told}");
    let read = |file: &std::path::Path| -> serde_json::Value {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let (whole, snippet) = (read(&file), read(&checkout().join("deploy/alerts/inhibit.yaml")));
    assert_eq!(whole["inhibit_rules"], snippet["inhibit_rules"]);
    // A severity that no route names would wait with the tickets.
    let routes = [("critical", "pages"), ("warning", "tickets"), ("info", "notes")];
    for rule in rules() {
        let severity = &rule.labels["severity"];
        let wanted = routes.iter().find(|(known, _)| known == severity).expect("a known severity").1;
        let labels = [format!("alertname={}", rule.alert), format!("severity={severity}")];
        let arguments = ["config", "routes", "test", "--config.file"].map(str::to_owned).into_iter();
        let arguments = arguments.chain([file.display().to_string()]).chain(labels);
        let receiver = run(&program("AMTOOL"), arguments).await.expect_success("amtool config routes test");
        assert_eq!(receiver.trim(), format!("pull-patrol-{wanted}"), "{}", rule.alert);
    }
}

#[tokio::test]
async fn an_incident_inhibits_the_alerts_about_credentials_of_that_registry() {
    let text = std::fs::read_to_string(checkout().join("deploy/alerts/inhibit.yaml")).expect("the snippet can be read");
    let snippet: serde_json::Value = serde_saphyr::from_str(&text).expect("the snippet is YAML");
    for name in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|name| name.starts_with("Pull")) {
        assert!(ALERTS.contains(&name), "inhibit.yaml names {name}, which is no alert");
    }

    let mut alertmanager = Alertmanager::start(&snippet["inhibit_rules"]).await;
    let credential = |alertname, registry| {
        BTreeMap::from([
            ("alertname", alertname),
            ("severity", "critical"),
            ("registry", registry),
            ("secret_namespace", "ci"),
            ("secret_name", "ghcr"),
        ])
    };
    let incident =
        BTreeMap::from([("alertname", "PullPatrolRegistryIncident"), ("severity", "warning"), ("registry", "ghcr.io")]);
    alertmanager
        .send(&[
            incident,
            credential("PullSecretCredentialRejected", "ghcr.io"),
            credential("PullSecretCredentialForbidden", "ghcr.io"),
            credential("PullSecretCredentialRejected", "registry.example.com"),
            credential("PullSecretTokenExpiryImminent", "ghcr.io"),
        ])
        .await;
    let mut inhibited: Vec<_> = alertmanager
        .alerts(5)
        .await
        .iter()
        .filter(|alert| alert["status"]["state"] == "suppressed")
        .map(|alert| format!("{} {}", alert["labels"]["alertname"], alert["labels"]["registry"]))
        .collect();
    inhibited.sort();
    assert_eq!(
        inhibited,
        ["\"PullSecretCredentialForbidden\" \"ghcr.io\"", "\"PullSecretCredentialRejected\" \"ghcr.io\""]
    );
}
