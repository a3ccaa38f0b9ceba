//! The case that many how-tos lead to: `imagePullSecrets` at the top level of the values of the chart
//! gha-runner-scale-set, where nothing reads it, and a private image for the runners.

use super::*;
use crate::cluster::{Input, Scope, load};
use crate::workload::PodRole;

const LOGIN: Login<'static> = ("bot", "pw");

/// The scale set as the chart renders it, without a runner, beside a pull Secret that works.
fn world(pod: &str, path: &str, more: &str) -> World {
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: github-pat, namespace: ci}}\ntype: kubernetes.io/dockerconfigjson\n\
         stringData:\n  .dockerconfigjson: '{{\"auths\":{{\"ghcr.io\":{{\"username\":\"bot\",\"password\":\"pw\"}}}}}}'\n---\n\
         apiVersion: actions.github.com/v1alpha1\nkind: AutoscalingRunnerSet\nmetadata: {{name: arc-set, namespace: ci}}\n\
         spec:\n  githubConfigUrl: https://github.com/acme\n  minRunners: 0\n  template:\n    spec:\n      \
         {pod}serviceAccountName: arc-set-gha-rs-kube-mode\n      containers:\n      - name: runner\n        \
         image: ghcr.io/acme/gha-runners:latest\n        env:\n        \
         - {{name: ACTIONS_RUNNER_CONTAINER_HOOKS, value: {path}}}\n        \
         - {{name: ACTIONS_RUNNER_IMAGE, value: 'ghcr.io/acme/gha-runners:latest'}}\n{more}"
    );
    let mut world = World::new();
    world.inventory = load(&[Input::Stdin(text.into_bytes())], &Scope::default());
    assert_eq!(world.inventory.problems, []);
    world.accepts(LOGIN);
    world.access(Some(LOGIN), "acme/gha-runners", true);
    world.access(None, "acme/gha-runners", false);
    world
}

const NO_VOLUME: &str = "/home/runner/k8s-novolume/index.js";
const LIST: &str = "imagePullSecrets: [{name: github-pat}]\n      ";

fn row(world: &World, role: PodRole) -> WorkloadRow {
    let row = world.snapshot().workloads.into_iter().find(|row| row.key.role == role).expect("such a role");
    assert_eq!((&*row.key.kind, &*row.key.name), ("AutoscalingRunnerSet", "arc-set"));
    row
}

#[test]
fn a_list_where_the_chart_does_not_read_it_covers_no_runner() {
    let row = row(&world("", NO_VOLUME, ""), PodRole::Runner);
    assert_eq!((row.outlook, row.idle), (Outlook::Uncovered, true));
    for words in [
        "ghcr.io/acme/gha-runners:latest: no credential matches",
        "an anonymous pull of ghcr.io/acme/gha-runners is denied",
        "`template.spec.imagePullSecrets` of the scale set is empty",
        "the ServiceAccount arc-set-gha-rs-kube-mode names no Secret",
        "a top-level `imagePullSecrets` in the values of the chart gha-runner-scale-set does nothing",
    ] {
        assert!(row.reason.contains(words), "{words}: {}", row.reason);
    }
    assert!(row.fix.contains("the Secret github-pat of this namespace would cover it"), "{}", row.fix);
    assert!(
        row.fix.contains(
            "kubectl -n ci patch autoscalingrunnerset arc-set --type merge -p \
             '{\"spec\":{\"template\":{\"spec\":{\"imagePullSecrets\":[{\"name\":\"github-pat\"}]}}}}'"
        ),
        "{}",
        row.fix
    );
}

#[test]
fn mended_the_runner_pulls_and_the_workflow_pod_does_not() {
    let world = world(LIST, NO_VOLUME, "");
    assert_eq!(row(&world, PodRole::Runner).outlook, Outlook::Ok);
    let workflow = row(&world, PodRole::Workflow);
    assert_eq!(workflow.outlook, Outlook::Uncovered);
    assert_eq!(workflow.images[0].containers, ["fs-init".into()]);
    assert!(workflow.reason.contains("inherit nothing from the runner's pod"), "{}", workflow.reason);
    for way in [
        "`spec.imagePullSecrets` of a hook extension",
        "kubectl -n ci patch serviceaccount default -p '{\"imagePullSecrets\":[{\"name\":\"github-pat\"}]}'",
    ] {
        assert!(workflow.fix.contains(way), "{way}: {}", workflow.fix);
    }
    let listener = row(&world, PodRole::Listener);
    assert_eq!(listener.outlook, Outlook::Unknown);
    assert!(listener.reason.contains("controller's namespace"), "{}", listener.reason);
}

#[test]
fn both_ways_out_cover_the_workflow_pod() {
    let account = "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: ci}, \
                   imagePullSecrets: [{name: github-pat}]}\n";
    let workflow = row(&world(LIST, NO_VOLUME, account), PodRole::Workflow);
    assert_eq!(workflow.outlook, Outlook::Ok);
    assert!(workflow.reason.contains("present github-pat of the ServiceAccount default"), "{}", workflow.reason);
    assert!(workflow.reason.contains("private images from ghcr.io and from nowhere else"), "{}", workflow.reason);
    assert!(workflow.reason.contains("GITHUB_TOKEN"), "{}", workflow.reason);
    let extension = "        - {name: ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE, value: /hooks/extension}\n        \
                     volumeMounts: [{name: hooks, mountPath: /hooks}]\n      \
                     volumes: [{name: hooks, configMap: {name: hooks}}]\n---\napiVersion: v1\nkind: ConfigMap\n\
                     metadata: {name: hooks, namespace: ci}\ndata:\n  extension: |\n    \
                     spec: {imagePullSecrets: [{name: github-pat}]}\n";
    let workflow = row(&world(LIST, NO_VOLUME, extension), PodRole::Workflow);
    assert_eq!(workflow.outlook, Outlook::Ok);
    assert!(workflow.reason.contains("present github-pat of the hook extension"), "{}", workflow.reason);
    assert!(!workflow.reason.contains("GITHUB_TOKEN"), "{}", workflow.reason);
}

#[test]
fn what_only_a_job_names_is_unknown_in_words() {
    let mut world = world(LIST, "/home/runner/k8s/index.js", "");
    for controller in world.inventory.controllers.values_mut() {
        let controller = Arc::make_mut(controller);
        controller.arc.as_mut().unwrap().hooks.as_mut().unwrap().fs_init = None;
    }
    let workflow = row(&world, PodRole::Workflow);
    assert_eq!(workflow.outlook, Outlook::Unknown);
    for words in ["only a job says", "cannot pull private images from any registry", "GITHUB_TOKEN"] {
        assert!(workflow.reason.contains(words), "{words}: {}", workflow.reason);
    }
    assert!(workflow.fix.contains("hook extension") && workflow.fix.contains("serviceaccount default"));
}
