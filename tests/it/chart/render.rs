//! What the chart makes of values.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{HELMS, chart, fixtures, template};
use crate::support::real::{RealCluster, checkout, program, run};

/// Objects of a text of several YAML documents.
fn objects(text: &str) -> Vec<Value> {
    let documents: Vec<Option<Value>> = serde_saphyr::from_multiple(text).expect("Helm writes YAML");
    documents.into_iter().flatten().filter(|document| !document.is_null()).collect()
}

fn values_flag(file: &Path) -> String {
    format!("--values={}", file.display())
}

#[tokio::test]
async fn helm_lint_has_nothing_to_say() {
    for helm in HELMS {
        for file in fixtures("valid") {
            let chart = chart();
            let args =
                ["lint", "--strict", "--quiet", &values_flag(&file), &chart.to_string_lossy()].map(str::to_owned);
            run(&program(helm), args).await.expect_success(&format!("{helm} lint with {}", file.display()));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_in_words() {
    for file in fixtures("invalid") {
        let text = std::fs::read_to_string(&file).expect("a readable fixture");
        let wanted =
            text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("the first line is the refusal");
        for helm in HELMS {
            let output = template(helm, &[&values_flag(&file)]).await;
            assert!(!output.success, "{helm} takes {}", file.display());
            assert!(output.stderr.contains(wanted), "{helm}, {}: {}", file.display(), output.stderr);
        }
    }
}

/// What Helm prints after an installation. Only Helm 4 tells it without a cluster.
async fn notes(args: &[&str]) -> String {
    let chart = chart();
    let fixed = ["install", "patrol", &*chart.to_string_lossy(), "--namespace=monitoring", "--dry-run=client"];
    let output = run(&program("HELM"), fixed.iter().chain(args).map(|arg| (*arg).to_owned())).await;
    let said = output.expect_success(&format!("helm install {args:?}"));
    said.split_once("\nNOTES:\n").expect("the notes").1.to_owned()
}

#[tokio::test]
async fn the_notes_say_what_is_patrolled_and_where_it_is_seen() {
    for file in fixtures("valid") {
        let said = notes(&[&values_flag(&file)]).await;
        assert!(said.contains("port-forward") && said.contains("http://127.0.0.1:9797/"), "{said}");
        for odd in ["<nil>", "map[", "<no value>", "\n\n\n"] {
            assert!(!said.contains(odd), "{}: {said}", file.display());
        }
    }
    let plain = notes(&[]).await;
    assert!(plain.contains("patrols all namespaces.") && plain.contains("is not published yet"), "{plain}");
    assert!(plain.contains("deployment/patrol-pull-patrol 9797"), "{plain}");
    assert!(plain.contains("scrape patrol-pull-patrol.monitoring.svc:9797."), "{plain}");
    let few = ["--set=image.repository=x/y,rbac.secrets=none", "--set=config.scope.excludeNamespaces={kube-system}"];
    let few = notes(&few).await;
    assert!(few.contains("all namespaces but kube-system.") && few.contains("It may not read Secrets"), "{few}");
    assert!(!few.contains("published"), "{few}");
    let replicas = notes(&["--set=replicas=2,config.leaderElection.enabled=true"]).await;
    assert!(replicas.contains("-n monitoring get lease pull-patrol -o"), "{replicas}");
    assert!(replicas.contains("scrape port 9797 of each pod."), "{replicas}");
    let shards = notes(&["--set=shards=3,web.existingSecret=web"]).await;
    assert!(shards.contains("pod/patrol-pull-patrol-0 9797") && shards.contains("https://"), "{shards}");
}

#[tokio::test]
async fn both_helms_make_the_same() {
    for file in fixtures("valid") {
        let mut made = Vec::new();
        for helm in HELMS {
            let output =
                template(helm, &[&values_flag(&file)]).await.expect_success(&format!("{helm} {}", file.display()));
            let mut objects = objects(&output);
            objects.sort_by_key(|object| format!("{}{}", object["kind"], object["metadata"]));
            made.push(objects);
        }
        assert_eq!(made[0], made[1], "{}", file.display());
    }
}

#[tokio::test]
async fn an_api_server_takes_all_of_it() {
    let cluster = RealCluster::start().await;
    for namespace in ["monitoring", "team-a", "arc-runners"] {
        cluster.create_namespace(namespace).await;
    }
    let crds = format!("--filename={}", checkout().join("tests/chart/crds/monitoring.yaml").display());
    cluster.kubectl(&["create", &crds]).await.expect_success("kubectl create, the operator's kinds");
    let established = ["wait", "--for=condition=Established", "--timeout=120s", &crds];
    cluster.kubectl(&established).await.expect_success("kubectl wait");

    let folder = tempfile::tempdir().expect("a folder");
    for file in fixtures("valid") {
        let made = template("HELM", &[&values_flag(&file)]).await.expect_success("helm template");
        let manifest = folder.path().join(file.file_name().expect("a file has a name"));
        std::fs::write(&manifest, &made).expect("writable");
        let flag = format!("--filename={}", manifest.display());
        // Strict: a field that the schema does not know is an error, as is one that stands twice.
        let applied =
            cluster.kubectl(&["apply", "--server-side", "--dry-run=server", "--validate=strict", &flag]).await;
        let told = applied.expect_success(&format!("kubectl apply of {}", file.display()));
        assert_eq!(told.lines().count(), objects(&made).len(), "{told}");
    }
}

#[tokio::test]
async fn alerts_stay_rules_whatever_is_changed() {
    let everything = checkout().join("tests/chart/valid/everything.yaml");
    let made = template("HELM", &[&values_flag(&everything)]).await.expect_success("helm template");
    let objects = objects(&made);
    let rule = objects.iter().find(|object| object["kind"] == "PrometheusRule").expect("a PrometheusRule");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.json");
    std::fs::write(&file, rule["spec"].to_string()).expect("writable");
    let arguments = ["check", "rules", &file.to_string_lossy()].map(str::to_owned);
    run(&program("PROMTOOL"), arguments).await.expect_success("promtool check rules");

    let rules: Vec<&Value> = rule["spec"]["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .filter_map(|group| group["rules"].as_array())
        .flatten()
        .collect();
    let named = |name: &str| -> Vec<&&Value> { rules.iter().filter(|rule| rule["alert"] == name).collect() };
    let soon = named("PullSecretTokenExpiringSoon");
    assert_eq!(soon.len(), 1);
    assert!(soon[0]["expr"].as_str().expect("text").contains("time() + 30 * 86400"), "{}", soon[0]);
    assert_eq!((&soon[0]["for"], &soon[0]["labels"]["severity"]), (&"1h".into(), &"info".into()));
    assert!(named("PullSecretTokenNeverExpires").is_empty());
    assert!(named("PullPatrolAbsent").iter().all(|rule| rule["labels"]["page"] == "true"));
    assert_eq!(named("Ours").len(), 1);
    assert!(rules.iter().filter(|rule| rule["alert"] != "Ours").all(|rule| rule["labels"]["team"] == "platform"));

    // Untouched, they are those of the plain file.
    let plain = template("HELM", &["--set=prometheusRule.enabled=true"]).await.expect_success("helm template");
    let plain = self::objects(&plain);
    let plain = plain.iter().find(|object| object["kind"] == "PrometheusRule").expect("a PrometheusRule");
    let shipped = std::fs::read_to_string(checkout().join("deploy/alerts/pull-patrol.rules.yaml")).expect("the rules");
    let shipped: Value = serde_saphyr::from_str(&shipped).expect("YAML");
    assert_eq!(plain["spec"], shipped);
}

#[tokio::test]
async fn a_pod_is_hardened_without_being_asked() {
    let made = template("HELM", &[]).await.expect_success("helm template");
    let objects = objects(&made);
    let kinds: BTreeSet<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    let expected = ["ClusterRole", "ClusterRoleBinding", "ConfigMap", "Deployment", "Service", "ServiceAccount"]
        .into_iter()
        .collect();
    assert_eq!(kinds, expected);
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    for (place, wanted) in [
        (&pod["enableServiceLinks"], Value::Bool(false)),
        (&pod["securityContext"]["runAsNonRoot"], Value::Bool(true)),
        (&pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault".into()),
        (&container["securityContext"]["allowPrivilegeEscalation"], Value::Bool(false)),
        (&container["securityContext"]["readOnlyRootFilesystem"], Value::Bool(true)),
        (&container["securityContext"]["capabilities"]["drop"][0], "ALL".into()),
        (&deployment["spec"]["strategy"]["type"], "Recreate".into()),
    ] {
        assert_eq!(*place, wanted);
    }
    for object in objects.iter().filter(|object| object["kind"] == "ClusterRole") {
        for rule in object["rules"].as_array().expect("rules") {
            let writes = rule["resources"] == serde_json::json!(["events"]);
            let verbs = if writes { ["create", "patch"] } else { ["list", "watch"] };
            assert_eq!(rule["verbs"], serde_json::json!(verbs), "{rule}");
        }
    }
}

#[tokio::test]
async fn each_pod_of_several_is_told_its_place() {
    let file = checkout().join("tests/chart/valid/shards.yaml");
    let made = template("HELM", &[&values_flag(&file)]).await.expect_success("helm template");
    let objects = objects(&made);
    let kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    assert!(!kinds.contains(&"Deployment"), "{kinds:?}");
    let set = objects.iter().find(|object| object["kind"] == "StatefulSet").expect("a StatefulSet");
    assert_eq!((&set["spec"]["replicas"], &set["spec"]["podManagementPolicy"]), (&3.into(), &"Parallel".into()));
    let service = objects.iter().find(|object| object["kind"] == "Service").expect("a Service");
    assert_eq!(set["spec"]["serviceName"], service["metadata"]["name"]);
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let arguments = container["args"].as_array().expect("arguments");
    assert!(arguments.contains(&"--shard.count=3".into()), "{arguments:?}");
    let names: Vec<&Value> = container["env"].as_array().expect("variables").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["PULL_PATROL_SHARD_INDEX", "RUST_BACKTRACE"]);
    assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
    // Each has a state of its own.
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"], "state");
    assert!(!kinds.contains(&"PersistentVolumeClaim"), "{kinds:?}");
    let volumes = set["spec"]["template"]["spec"]["volumes"].as_array().expect("volumes");
    assert!(volumes.iter().all(|volume| volume["name"] != "state"), "{volumes:?}");

    let file = checkout().join("tests/chart/valid/shards-config-map.yaml");
    let made = template("HELM", &[&values_flag(&file)]).await.expect_success("helm template");
    for name in ["pull-patrol-state-shard-0", "pull-patrol-state-shard-1", "pull-patrol-state-shard-1-63"] {
        assert!(made.lines().any(|line| line.trim() == format!("- {name}")), "no rule for {name}");
    }
}

#[tokio::test]
async fn a_list_of_namespaces_makes_nothing_for_the_whole_cluster() {
    let file = checkout().join("tests/chart/valid/namespaces.yaml");
    let made = template("HELM", &[&values_flag(&file)]).await.expect_success("helm template");
    let objects = objects(&made);
    assert!(objects.iter().all(|object| !object["kind"].as_str().unwrap_or_default().starts_with("Cluster")));
    let roles: BTreeSet<&str> = objects
        .iter()
        .filter(|object| object["kind"] == "Role")
        .filter_map(|object| object["metadata"]["namespace"].as_str())
        .collect();
    assert_eq!(roles, BTreeSet::from(["arc-runners", "team-a"]));
}
