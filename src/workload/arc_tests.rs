//! One table per rule of Actions Runner Controller: objects in as YAML, pulls and their Secrets out.

use rstest::rstest;

use super::*;
use crate::cluster::{HookTemplateState, Input, NotRead, ObjectRef, Origin, Scope, TemplateHolder, load};

fn read(text: &str) -> BTreeMap<WorkloadKey, Workload> {
    let inventory = load(&[Input::Stdin(text.as_bytes().to_vec())], &Scope::default());
    assert_eq!(inventory.problems, []);
    workloads(&inventory)
}

/// All pulls of a role: `namespace image containers [Secrets] source`.
fn pulls(all: &BTreeMap<WorkloadKey, Workload>, role: PodRole) -> Vec<String> {
    let of_role = all.values().filter(|workload| workload.key.role == role);
    let pulls = of_role.flat_map(|workload| &workload.pulls);
    pulls
        .map(|pull| {
            format!(
                "{} {} {} [{}] {:?}",
                pull.namespace,
                pull.image,
                pull.containers.join(","),
                pull.secrets.join(","),
                pull.source
            )
        })
        .collect()
}

fn scale_set(pod: &str) -> String {
    format!(
        "---\n{{apiVersion: actions.github.com/v1alpha1, kind: AutoscalingRunnerSet, metadata: {{name: set, namespace: ci}}, \
         spec: {{githubConfigUrl: 'https://github.com/org', template: {{spec: {pod}}}}}}}\n"
    )
}

fn account(namespace: &str, name: &str, secret: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: {namespace}}}, \
         imagePullSecrets: [{{name: {secret}}}]}}\n"
    )
}

#[rstest]
#[case::own_list("imagePullSecrets: [{name: own}]", "ci img runner [own] Pod")]
#[case::default_account("", "ci img runner [of-default] ServiceAccount")]
#[case::named_account("serviceAccountName: kube", "ci img runner [of-kube] ServiceAccount")]
#[case::own_list_beats_the_account(
    "serviceAccountName: kube, imagePullSecrets: [{name: own}]",
    "ci img runner [own] Pod"
)]
#[case::an_account_without_list("serviceAccountName: bare", "ci img runner [] Pod")]
fn a_runner_has_the_list_of_its_template_else_of_its_account(#[case] pod: &str, #[case] expected: &str) {
    let accounts = account("ci", "default", "of-default") + &account("ci", "kube", "of-kube");
    let all = read(
        &(scale_set(&format!("{{{pod}, containers: [{{name: runner, image: img}}]}}").replace("{,", "{")) + &accounts),
    );
    assert_eq!(pulls(&all, PodRole::Runner), [expected]);
    let keys: Vec<_> = all.keys().map(|key| (&*key.kind, key.role.as_str())).collect();
    assert_eq!(keys, [("AutoscalingRunnerSet", "runner"), ("AutoscalingRunnerSet", "listener")]);
    assert!(all.values().next().unwrap().idle, "no runner is wanted, and none is there");
}

#[rstest]
#[case::controllers_list("imagePullSecrets: [{name: theirs}], image: ctl", "arc ctl listener [theirs] Pod")]
#[case::template_overrides(
    "imagePullSecrets: [{name: theirs}], image: ctl, template: {spec: {imagePullSecrets: [{name: own}], containers: []}}",
    "arc ctl listener [own] Pod"
)]
#[case::template_image(
    "image: ctl, template: {spec: {containers: [{name: listener, image: mine}]}}",
    "arc mine listener [of-listener] ServiceAccount"
)]
#[case::an_empty_list_overrides(
    "imagePullSecrets: [{name: theirs}], image: ctl, template: {spec: {imagePullSecrets: []}}",
    "arc ctl listener [of-listener] ServiceAccount"
)]
fn a_listener_is_in_the_controllers_namespace_with_its_own_list(#[case] spec: &str, #[case] expected: &str) {
    let listener = format!(
        "---\n{{apiVersion: actions.github.com/v1alpha1, kind: AutoscalingListener, metadata: {{name: set-listener, namespace: arc}}, \
         spec: {{autoscalingRunnerSetName: set, autoscalingRunnerSetNamespace: ci, {spec}}}}}\n"
    );
    let set = scale_set("{containers: [{name: runner, image: img}]}");
    let all = read(
        &(set.clone() + &listener + &account("arc", "set-listener", "of-listener") + &account("ci", "default", "x")),
    );
    assert_eq!(pulls(&all, PodRole::Listener), [expected]);
    let row = all.values().find(|workload| workload.key.role == PodRole::Listener).unwrap();
    assert_eq!((&*row.key.namespace, &*row.key.kind, &*row.key.name), ("ci", "AutoscalingRunnerSet", "set"));
    assert_eq!(row.gap, None);
    let alone = read(&set);
    let row = alone.values().find(|workload| workload.key.role == PodRole::Listener).unwrap();
    assert_eq!((&*row.pulls, &row.gap), (&[][..], &Some(Gap::ListenerUnseen)));
}

const HOOK: &str = "{name: ACTIONS_RUNNER_CONTAINER_HOOKS, value: /home/runner/k8s/index.js}";
const NO_VOLUME: &str = "{name: ACTIONS_RUNNER_CONTAINER_HOOKS, value: /home/runner/k8s-novolume/index.js}";
const IMAGE: &str = "{name: ACTIONS_RUNNER_IMAGE, value: private/runner}";
const TEMPLATE: &str = "{name: ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE, value: /home/runner/pod-templates/t.yaml}";

fn hooked(env: &[&str]) -> String {
    scale_set(&format!(
        "{{imagePullSecrets: [{{name: runners-own}}], containers: [{{name: runner, image: private/runner, env: [{}], \
         volumeMounts: [{{name: work, mountPath: /home/runner}}, {{name: t, mountPath: /home/runner/pod-templates}}]}}], \
         volumes: [{{name: work, emptyDir: {{}}}}, {{name: t, configMap: {{name: hooks, items: [{{key: content, path: t.yaml}}]}}}}]}}",
        env.join(", ")
    ))
}

fn extension(spec: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: hooks, namespace: ci}}\ndata:\n  content: |\n    spec: {spec}\n"
    )
}

#[rstest]
#[case::inherits_nothing(&[HOOK], "", &[], "[] Pod default")]
#[case::default_account(&[HOOK], "default", &[], "[of-default] ServiceAccount default")]
#[case::fs_init(&[NO_VOLUME, IMAGE], "", &["ci private/runner fs-init [] Pod"], "[] Pod default")]
#[case::fs_init_with_the_workflow_pods_list(
    &[NO_VOLUME, IMAGE], "default", &["ci private/runner fs-init [of-default] ServiceAccount"], "[of-default] ServiceAccount default"
)]
#[case::fs_init_of_no_image_of_its_own(
    &[NO_VOLUME], "", &["ci ghcr.io/actions/actions-runner:latest fs-init [] Pod"], "[] Pod default"
)]
fn a_workflow_pod_has_the_list_of_the_default_account(
    #[case] env: &[&str],
    #[case] named: &str,
    #[case] expected: &[&str],
    #[case] told: &str,
) {
    let accounts = if named.is_empty() { String::new() } else { account("ci", named, &format!("of-{named}")) };
    assert_workflow(&read(&(hooked(env) + &accounts)), expected, told, true);
}

#[rstest]
#[case::list_replaces("{imagePullSecrets: [{name: ext}]}", &["ci private/runner fs-init [ext] HookTemplate"], "[ext] HookTemplate default", false)]
#[case::account("{serviceAccountName: jobs}", &["ci private/runner fs-init [of-jobs] ServiceAccount"], "[of-jobs] ServiceAccount jobs", true)]
#[case::empty_list_is_none("{imagePullSecrets: []}", &["ci private/runner fs-init [of-default] ServiceAccount"], "[of-default] ServiceAccount default", true)]
#[case::sidecars(
    "{imagePullSecrets: [{name: ext}], containers: [{name: $job, image: ignored}, {name: side, image: proxy}]}",
    &["ci private/runner fs-init [ext] HookTemplate", "ci proxy side [ext] HookTemplate"],
    "[ext] HookTemplate default",
    false
)]
#[case::init_containers_replace("{imagePullSecrets: [{name: ext}], initContainers: [{name: mine, image: own}]}", &["ci own mine [ext] HookTemplate"], "[ext] HookTemplate default", false)]
fn an_extension_replaces_what_the_hook_would_write(
    #[case] spec: &str,
    #[case] expected: &[&str],
    #[case] told: &str,
    #[case] github_token: bool,
) {
    let accounts = account("ci", "default", "of-default") + &account("ci", "jobs", "of-jobs");
    let all = read(&(hooked(&[NO_VOLUME, IMAGE, TEMPLATE]) + &accounts + &extension(spec)));
    assert_workflow(&all, expected, told, github_token);
}

#[track_caller]
fn assert_workflow(all: &BTreeMap<WorkloadKey, Workload>, expected: &[&str], told: &str, github_token: bool) {
    assert_eq!(pulls(all, PodRole::Workflow), expected);
    let row = all.values().find(|workload| workload.key.role == PodRole::Workflow).unwrap();
    let Some(Gap::JobImage(pods)) = &row.gap else { panic!("{:?}", row.gap) };
    assert_eq!(format!("[{}] {:?} {}", pods.secrets.join(","), pods.source, pods.service_account), told);
    assert_eq!(pods.github_token, github_token);
    assert!(
        pulls(all, PodRole::Runner).iter().all(|pull| pull.contains("[runners-own] Pod")),
        "the runner's own stays"
    );
}

#[rstest]
#[case("https://github.com/org/repo", true)]
#[case("https://GitHub.com/org", true)]
#[case("https://acme.ghe.com/org", true)]
#[case("https://github.acme.example/org", false)]
#[case("https://evil.example/github.com", false)]
fn the_token_of_a_job_counts_on_github_only(#[case] url: &str, #[case] expected: bool) {
    let all = read(&hooked(&[HOOK]).replace("https://github.com/org", url));
    assert_workflow(&all, &[], "[] Pod default", expected);
}

/// The template in a Secret instead of a `ConfigMap`, beside a Secret that nobody mounts.
#[test]
fn an_extension_in_a_secret_counts_as_one_in_a_config_map() {
    let set = hooked(&[NO_VOLUME, IMAGE, TEMPLATE]).replace("configMap: {name: hooks", "secret: {secretName: hooks");
    let secret = |name: &str, field: &str, text: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Secret, metadata: {{name: {name}, namespace: ci}}, {field}: {{content: {text:?}}}}}\n"
        )
    };
    let template = "spec: {imagePullSecrets: [{name: ext}], containers: [{name: side, image: proxy}]}";
    let expected = ["ci private/runner fs-init [ext] HookTemplate", "ci proxy side [ext] HookTemplate"];
    let encoded =
        "c3BlYzoge2ltYWdlUHVsbFNlY3JldHM6IFt7bmFtZTogZXh0fV0sIGNvbnRhaW5lcnM6IFt7bmFtZTogc2lkZSwgaW1hZ2U6IHByb3h5fV19";
    for (field, text) in [("stringData", template), ("data", encoded)] {
        let text = set.clone() + &secret("hooks", field, text) + &secret("unmounted", field, text);
        assert_workflow(&read(&text), &expected, "[ext] HookTemplate default", false);
        let inventory = load(&[Input::Stdin(text.into_bytes())], &Scope::default());
        let kept: Vec<_> = inventory.hook_templates.keys().map(|(_, at)| &*at.name).collect();
        assert_eq!(kept, ["hooks"]);
    }
}

#[rstest]
#[case::pending(Err(NotRead::Pending), "has not been read yet", false)]
#[case::absent(Err(NotRead::Absent), "which does not exist", false)]
#[case::denied(Err(NotRead::Denied), "which RBAC does not let us read", true)]
#[case::no_name(Err(NotRead::NoName), "no object can have that name", false)]
#[case::too_many(Err(NotRead::TooMany), "name too many of them", false)]
#[case::failed(Err(NotRead::Failed("for a reason".into())), "cannot be read: for a reason", false)]
#[case::bad(Ok([("content".into(), Err("it has no `spec`".into()))].into()), "is no pod template: it has no `spec`", false)]
fn what_is_not_known_of_an_extension_in_a_cluster_is_said(
    #[case] state: HookTemplateState,
    #[case] expected: &str,
    #[case] refused: bool,
) {
    let text = hooked(&[NO_VOLUME, IMAGE, TEMPLATE]);
    let mut inventory = load(&[Input::Stdin(text.into_bytes())], &Scope::default());
    inventory.origin = Origin::Cluster;
    let key = (TemplateHolder::ConfigMap, ObjectRef::new("ci", "hooks"));
    inventory.hook_templates.insert(key, Arc::new(state));
    let all = workloads(&inventory);
    let row = all.values().find(|workload| workload.key.role == PodRole::Workflow).unwrap();
    assert_eq!(row.pulls, [], "no image is judged by a list that may be replaced");
    let Some(Gap::HookTemplate(unknown)) = &row.gap else { panic!("{:?}", row.gap) };
    assert!(unknown.why.contains("the key content of the ConfigMap hooks"), "{}", unknown.why);
    assert!(unknown.why.contains(expected), "{}", unknown.why);
    assert_eq!(unknown.refused, refused.then(|| (TemplateHolder::ConfigMap, "hooks".into())));
}

#[rstest]
#[case::not_among_the_objects(&[HOOK, TEMPLATE], "the key content of the ConfigMap hooks, which is not among")]
#[case::of_the_image(&[HOOK, "{name: ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE, value: /opt/t.yaml}"], "the file /opt/t.yaml of the image")]
#[case::no_such_item(&[HOOK, "{name: ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE, value: /home/runner/pod-templates/other}"], "the volume t, which is not read")]
fn an_extension_that_cannot_be_read_is_said(#[case] env: &[&str], #[case] expected: &str) {
    let all = read(&hooked(env));
    let row = all.values().find(|workload| workload.key.role == PodRole::Workflow).unwrap();
    assert!(matches!(&row.gap, Some(Gap::HookTemplate(unknown)) if unknown.why.contains(expected)), "{:?}", row.gap);
    assert_eq!(row.pulls, []);
}

fn owned(kind: &str, name: &str, owner: (&str, &str, &str), spec: &str) -> String {
    let api = match kind {
        "Pod" => "v1",
        "Job" => "batch/v1",
        "ReplicaSet" => "apps/v1",
        _ => "actions.github.com/v1alpha1",
    };
    format!(
        "---\n{{apiVersion: {api}, kind: {kind}, metadata: {{name: {name}, namespace: ci, resourceVersion: '1', \
         ownerReferences: [{{apiVersion: {}, kind: {}, name: {}, controller: true}}]}}, spec: {spec}}}\n",
        owner.0, owner.1, owner.2
    )
}

#[test]
fn live_pods_join_the_rows_of_their_scale_set() {
    const ARC: &str = "actions.github.com/v1alpha1";
    let job = "---\n{apiVersion: v1, kind: Pod, metadata: {name: run-1-workflow, namespace: ci, labels: {runner-pod: run-1}}, \
               spec: {imagePullSecrets: [{name: run-1-secret-0a1b2c3d}], containers: [{name: job, image: node}]}}\n";
    let step = "---\n{apiVersion: batch/v1, kind: Job, metadata: {name: run-1-step, namespace: ci, labels: {runner-pod: run-1}}, spec: {}}\n";
    let text = [
        hooked(&[HOOK]),
        owned("EphemeralRunnerSet", "set-x", (ARC, "AutoscalingRunnerSet", "set"), "{}"),
        owned("EphemeralRunner", "run-1", (ARC, "EphemeralRunnerSet", "set-x"), "{}"),
        owned(
            "Pod",
            "run-1",
            (ARC, "EphemeralRunner", "run-1"),
            "{imagePullSecrets: [{name: old}], containers: [{name: runner, image: private/runner}]}",
        ),
        job.to_owned(),
        step.to_owned(),
        owned("Pod", "run-1-step-abc", ("batch/v1", "Job", "run-1-step"), "{containers: [{name: job, image: step}]}"),
    ]
    .concat();
    let all = read(&text);
    let keys: Vec<_> = all.keys().map(|key| format!("{}/{} {}", key.kind, key.name, key.role.as_str())).collect();
    assert_eq!(keys, ["runner", "listener", "workflow"].map(|role| format!("AutoscalingRunnerSet/set {role}")));
    assert_eq!(
        pulls(&all, PodRole::Runner),
        ["ci private/runner runner [old] Pod", "ci private/runner runner [runners-own] Pod"]
    );
    assert_eq!(pulls(&all, PodRole::Workflow), ["ci node job [run-1-secret-0a1b2c3d] JobSecret", "ci step job [] Pod"]);
    assert!(all.values().all(|workload| !workload.idle));
}

#[test]
fn plain_pods_roll_up_to_their_top_owner_and_idle_ones_count() {
    let deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: ci}, \
                      spec: {replicas: 0, template: {spec: {containers: [{name: c, image: img}]}}}}\n";
    let cron = "---\n{apiVersion: batch/v1, kind: CronJob, metadata: {name: night, namespace: ci}, \
                spec: {suspend: true, jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: job}]}}}}}}\n";
    let done = "---\n{apiVersion: batch/v1, kind: Job, metadata: {name: once, namespace: ci}, spec: {template: {spec: \
                {containers: [{name: c, image: gone}]}}}, status: {conditions: [{type: Complete, status: 'True'}]}}\n";
    let all = read(&(deployment.to_owned() + cron + done));
    let told: Vec<_> = all.values().map(|row| (&*row.key.kind, &*row.pulls[0].image, row.idle)).collect();
    assert_eq!(told, [("CronJob", "job", true), ("Deployment", "img", true)]);
    let pod = "{containers: [{name: c, image: old}]}";
    let set = owned(
        "ReplicaSet",
        "web-1",
        ("apps/v1", "Deployment", "web"),
        "{template: {spec: {containers: [{name: c, image: stale}]}}}",
    );
    let live = owned("Pod", "web-1-a", ("apps/v1", "ReplicaSet", "web-1"), pod);
    let all = read(&(deployment.to_owned() + &set + &live));
    assert_eq!(all.len(), 1);
    assert_eq!(pulls(&all, PodRole::Pod), ["ci img c [] Pod", "ci old c [] Pod"]);
    assert!(!all.values().next().unwrap().idle);
}

#[rstest]
#[case::an_operators_deployment("Deployment", "apps/v1", "replicas: 0", &["Deployment/x idle"])]
#[case::a_revision_of_a_rollout("ReplicaSet", "apps/v1", "replicas: 2", &["Rollout/web"])]
#[case::an_old_revision_of_a_rollout("ReplicaSet", "apps/v1", "replicas: 0", &[])]
fn an_owner_that_is_not_read(#[case] kind: &str, #[case] api: &str, #[case] spec: &str, #[case] expected: &[&str]) {
    let text = format!(
        "{{apiVersion: {api}, kind: {kind}, metadata: {{name: x, namespace: ci, ownerReferences: [{{apiVersion: argoproj.io/v1, \
         kind: Rollout, name: web, controller: true}}]}}, \
         spec: {{{spec}, template: {{spec: {{containers: [{{name: c, image: img}}]}}}}}}}}"
    );
    let told = |row: &Workload| format!("{}/{}{}", row.key.kind, row.key.name, if row.idle { " idle" } else { "" });
    assert_eq!(read(&text).values().map(told).collect::<Vec<_>>(), expected);
}

#[rstest]
#[case("Runner", "{image: img, imagePullSecrets: [{name: own}]}")]
#[case("RunnerDeployment", "{template: {spec: {image: img, imagePullSecrets: [{name: own}]}}}")]
#[case(
    "RunnerReplicaSet",
    "{template: {spec: {containers: [{name: runner, image: img}], imagePullSecrets: [{name: own}]}}}"
)]
#[case("RunnerSet", "{image: img, template: {spec: {imagePullSecrets: [{name: own}]}}}")]
fn legacy_kinds_keep_image_and_list_where_each_has_them(#[case] kind: &str, #[case] spec: &str) {
    let text = format!(
        "{{apiVersion: actions.summerwind.dev/v1alpha1, kind: {kind}, metadata: {{name: r, namespace: ci}}, spec: {spec}}}"
    );
    assert_eq!(pulls(&read(&text), PodRole::Runner), ["ci img runner [own] Pod"]);
    let bare = read(&text.replace("imagePullSecrets: [{name: own}]", "labels: []"));
    let row = bare.values().next().unwrap();
    assert_eq!((&*row.pulls, &row.gap), (&[][..], &Some(Gap::ControllerDefault)));
}
