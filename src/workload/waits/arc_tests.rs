//! Runners that hang, and workflow pods that vanish: a scale set of a cluster, seen one inventory after the other.

use chrono::TimeDelta;

use super::*;
use crate::cluster::{Input, Scope, load};
use crate::workload::{PodRole, workloads};

const DENIED: &str = "unexpected status from HEAD request to https://ghcr.io/v2/org/job/manifests/v1: 403 Forbidden";
const HUNG: &str = "Back-off pulling image \"ghcr.io/org/runner\": ErrImagePull: failed to fetch oauth token: unexpected \
                    status: 403 Forbidden";

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
}

fn owned(kind: &str, name: &str) -> String {
    format!(
        "ownerReferences: [{{apiVersion: actions.github.com/v1alpha1, kind: {kind}, name: {name}, controller: true}}]"
    )
}

/// A scale set, its revision, and runners with their phases.
fn set(runners: &[(&str, &str)]) -> String {
    let head = "---\napiVersion: actions.github.com/v1alpha1\n";
    let mut text = format!(
        "{head}kind: AutoscalingRunnerSet\nmetadata: {{name: set, namespace: ci}}\n\
         spec: {{template: {{spec: {{containers: [{{name: runner, image: ghcr.io/org/runner}}]}}}}}}\n\
         {head}kind: EphemeralRunnerSet\nmetadata: {{name: set-x, namespace: ci, {}}}\nspec: {{}}\n",
        owned("AutoscalingRunnerSet", "set")
    );
    for (name, status) in runners {
        let owner = owned("EphemeralRunnerSet", "set-x");
        let runner = format!(
            "{head}kind: EphemeralRunner\nmetadata: {{name: {name}, namespace: ci, {owner}}}\nspec: {{}}\nstatus: {status}\n"
        );
        text.push_str(&runner);
    }
    text
}

/// A pod whose container waits for a reason, or runs where that is empty.
fn pod(meta: &str, image: &str, reason: &str, message: &str) -> String {
    let state = if reason.is_empty() {
        "{running: {}}".to_owned()
    } else {
        format!("{{waiting: {{reason: {reason}, message: {message:?}}}}}")
    };
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{namespace: ci, {meta}}}\n\
         spec: {{containers: [{{name: c, image: {image}}}]}}\nstatus: {{containerStatuses: [{{name: c, state: {state}}}]}}\n"
    )
}

fn runner_pod(name: &str, reason: &str) -> String {
    let meta = format!("name: {name}, {}", owned("EphemeralRunner", name));
    pod(&meta, "ghcr.io/org/runner", reason, HUNG)
}

fn workflow_pod(runner: &str, reason: &str) -> String {
    let meta = format!("name: {runner}-workflow, labels: {{runner-pod: {runner}}}");
    pod(&meta, "ghcr.io/org/job", reason, DENIED)
}

fn cluster(text: &str) -> Inventory {
    let mut inventory = load(&[Input::Stdin(text.as_bytes().to_vec())], &Scope::default());
    assert_eq!(inventory.problems, []);
    inventory.origin = Origin::Cluster;
    inventory
}

fn of(waits: &Waits, role: PodRole) -> Failing {
    let mut found = waits.failing().iter().filter(|(key, _)| key.role == role);
    let failing = found.next().map(|(key, failing)| {
        assert_eq!((&*key.namespace, &*key.kind, &*key.name), ("ci", "AutoscalingRunnerSet", "set"));
        failing.clone()
    });
    assert!(found.next().is_none());
    failing.unwrap_or_default()
}

#[test]
fn runners_whose_pods_wait_on_a_pull_hang_and_their_pods_count_once() {
    let runners = [("r1", "{phase: Pending}"), ("r2", "{}"), ("r3", "{phase: Running}"), ("r4", "{phase: Pending}")];
    let mut text = set(&runners);
    // The last one waits for something else; nothing is known of the runner of a fifth pod.
    for (name, reason) in [
        ("r1", "ImagePullBackOff"),
        ("r2", "ImagePullBackOff"),
        ("r3", "ImagePullBackOff"),
        ("r4", "ContainerCreating"),
        ("r5", "ImagePullBackOff"),
    ] {
        text += &runner_pod(name, reason);
    }
    let mut waits = Waits::default();
    let inventory = cluster(&text);
    waits.sync(&inventory, at(0));
    let key = waits.failing().keys().find(|key| &*key.name == "set").unwrap().clone();
    let failing = &waits.failing()[&key];
    assert_eq!(failing.pods, [(PullFailure::CredentialRefused, 3)].into(), "pods, and r5 is of a runner not seen");
    let hanging = Hanging { runners: vec!["r1".into(), "r2".into()], says: String::new() };
    assert_eq!(failing.hanging, [("ghcr.io/org/runner".into(), hanging)].into());

    let said = "{phase: Pending, reason: ImageError, message: no such image}";
    waits.sync(&cluster(&(set(&[("r1", said)]) + &runner_pod("r1", "ErrImagePull"))), at(0));
    assert_eq!(of(&waits, PodRole::Runner).hanging["ghcr.io/org/runner"].says, "ImageError: no such image");
    waits.sync(&cluster(&(set(&[("r1", said)]) + &runner_pod("r1", ""))), at(0));
    assert_eq!(of(&waits, PodRole::Runner), Failing::default());
}

#[test]
fn a_workflow_pod_that_vanished_while_it_waited_is_told_of_for_ten_minutes() {
    let mut waits = Waits::default();
    let with = |more: &str| cluster(&(set(&[("r1", "{phase: Running}")]) + &runner_pod("r1", "") + more));
    let waits_for_it = workflow_pod("r1", "ErrImagePull");
    waits.sync(&with(&waits_for_it), at(0));
    let now = of(&waits, PodRole::Workflow);
    assert_eq!((now.pods.values().sum::<usize>(), now.gone.is_empty()), (1, true));

    // Runner and workflow pod vanish at once, as when ARC cleans up.
    waits.sync(&cluster(&set(&[])), at(1));
    let told = of(&waits, PodRole::Workflow);
    assert_eq!((told.pods.len(), told.pulls.len()), (0, 0), "none waits right now");
    assert_eq!(told.gone.pods, [(PullFailure::AccessDenied, 1)].into());
    assert_eq!(told.gone.images, [(("ghcr.io/org/job".into(), PullFailure::AccessDenied), 1)].into());
    assert_eq!(told.gone.last, Some(at(1)));

    waits.sync(&cluster(&set(&[])), at(10));
    assert!(!waits.is_stale(at(10)) && !of(&waits, PodRole::Workflow).gone.is_empty());
    assert!(waits.is_stale(at(11)));
    waits.sync(&cluster(&set(&[])), at(11));
    assert!(waits.failing().is_empty());
}

#[test]
fn the_scale_set_is_known_though_the_runner_goes_first() {
    let mut waits = Waits::default();
    let job = workflow_pod("r1", "ErrImagePull");
    waits.sync(&cluster(&(set(&[("r1", "{phase: Running}")]) + &runner_pod("r1", "") + &job)), at(0));
    waits.sync(&cluster(&(set(&[]) + &job)), at(1));
    waits.sync(&cluster(&set(&[])), at(2));
    assert_eq!(of(&waits, PodRole::Workflow).gone.pods.len(), 1);
}

#[test]
fn what_started_or_came_back_is_not_counted_as_gone() {
    let runner = set(&[("r1", "{phase: Running}")]) + &runner_pod("r1", "");
    let bare = cluster(&runner);
    let failing = cluster(&(runner.clone() + &workflow_pod("r1", "ErrImagePull")));
    for state in ["", "ContainerCreating", "CrashLoopBackOff"] {
        let between = cluster(&(runner.clone() + &workflow_pod("r1", state)));
        let mut waits = Waits::default();
        for inventory in [&failing, &between, &bare] {
            waits.sync(inventory, at(0));
        }
        assert!(waits.failing().is_empty(), "it had started: {state}");
        // One of the same name that is well takes its place, or one that waits again and so counts as such.
        waits.sync(&failing, at(0));
        waits.sync(&bare, at(1));
        assert_eq!(of(&waits, PodRole::Workflow).gone.pods.len(), 1);
        waits.sync(&between, at(2));
        assert!(waits.failing().is_empty(), "{state}");
        waits.sync(&failing, at(2));
        let again = of(&waits, PodRole::Workflow);
        assert_eq!((again.pods.len(), again.gone.is_empty()), (1, true));
    }
}

#[test]
fn only_workflow_pods_of_a_scale_set_in_a_cluster_are_kept_in_mind() {
    let runners = set(&[("r1", "{phase: Pending}")]) + &runner_pod("r1", "ErrImagePull");
    let alone = pod("name: alone", "ghcr.io/org/x", "ErrImagePull", DENIED);
    let stray = workflow_pod("unknown", "ErrImagePull");
    let mut waits = Waits::default();
    waits.sync(&cluster(&(runners + &alone + &stray)), at(0));
    assert_eq!(waits.failing().len(), 3);
    waits.sync(&cluster(""), at(0));
    assert!(waits.failing().is_empty(), "their controllers make them anew, or nobody knows whose they are");

    let text = set(&[("r1", "{phase: Running}")]) + &runner_pod("r1", "") + &workflow_pod("r1", "ErrImagePull");
    let mut files = cluster(&text);
    files.origin = Origin::Files;
    waits.sync(&files, at(0));
    waits.sync(&Inventory::default(), at(0));
    assert!(waits.failing().is_empty(), "a manifest that was taken away is no pod that failed");
}

#[test]
fn the_memory_is_bounded_and_a_clock_that_is_put_back_prolongs_nothing() {
    let runner = set(&[("r1", "{phase: Running}")]) + &runner_pod("r1", "");
    let pods: String = (0..1_100)
        .map(|nth| pod(&format!("name: w{nth}, labels: {{runner-pod: r1}}"), "ghcr.io/org/job", "ErrImagePull", DENIED))
        .collect();
    let mut waits = Waits::default();
    waits.sync(&cluster(&(runner.clone() + &pods)), at(0));
    waits.sync(&cluster(&runner), at(1));
    assert_eq!(of(&waits, PodRole::Workflow).gone.pods[&PullFailure::AccessDenied], 1_000);
    assert!(waits.known.is_empty());
    assert!(waits.is_stale(at(-60)));
    waits.sync(&cluster(&runner), at(-60));
    assert!(waits.failing().is_empty());
}

#[test]
fn a_scale_set_whose_hooks_nobody_sees_has_a_row_while_its_pods_are_remembered() {
    let runner = set(&[("r1", "{phase: Running}")]) + &runner_pod("r1", "");
    let mut waits = Waits::default();
    waits.sync(&cluster(&(runner.clone() + &workflow_pod("r1", "ErrImagePull"))), at(0));
    let inventory = cluster(&runner);
    for (minute, roles) in [(1, "runner listener workflow"), (20, "runner listener")] {
        waits.sync(&inventory, at(minute));
        let mut all = workloads(&inventory);
        waits.add_unseen(&mut all);
        let told: Vec<_> = all.keys().map(|key| key.role.as_str()).collect();
        assert_eq!(told.join(" "), roles);
    }
}
