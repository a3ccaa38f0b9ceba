//! What controllers of ARC give to their pods: a scale set and the controller's Deployment in, the listener's pulls out.

use rstest::rstest;

use super::*;
use crate::cluster::{Input, Scope, load};

fn read(text: &str) -> BTreeMap<WorkloadKey, Workload> {
    let inventory = load(&[Input::Stdin(text.as_bytes().to_vec())], &Scope::default());
    assert_eq!(inventory.problems, []);
    workloads(&inventory)
}

fn scale_set(more: &str) -> String {
    format!(
        "---\n{{apiVersion: actions.github.com/v1alpha1, kind: AutoscalingRunnerSet, metadata: {{name: set, namespace: ci}}, \
         spec: {{{more}template: {{spec: {{containers: [{{name: runner, image: img}}]}}}}}}}}\n"
    )
}

/// A Deployment of a controller, whose container has these arguments and variables.
fn controller(namespace: &str, args: &str, env: &str) -> String {
    format!(
        "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: ctl, namespace: {namespace}}}, spec: {{template: \
         {{spec: {{containers: [{{name: manager, image: ctl-own, command: [/manager], args: [{args}], env: [{env}]}}]}}}}}}}}\n"
    )
}

const ON: &str = "--auto-scaling-runner-set-only";
const IMAGE: &str = "{name: CONTROLLER_MANAGER_CONTAINER_IMAGE, value: ctl}";

/// The row of a role: `namespace image containers [Secrets]` of each pull, or the gap.
fn row(all: &BTreeMap<WorkloadKey, Workload>, role: PodRole) -> String {
    let row = all.values().find(|workload| workload.key.role == role).expect("such a row");
    if let Some(gap) = &row.gap {
        assert_eq!(row.pulls, []);
        return format!("{gap:?}");
    }
    let told = |pull: &Pull| {
        format!("{} {} {} [{}]", pull.namespace, pull.image, pull.containers.join(","), pull.secrets.join(","))
    };
    row.pulls.iter().map(told).collect::<Vec<_>>().join("; ")
}

fn listener(text: &str) -> String {
    row(&read(text), PodRole::Listener)
}

#[rstest]
#[case::none("", "arc ctl listener []")]
#[case::one(", --auto-scaler-image-pull-secrets=a", "arc ctl listener [a]")]
#[case::each_its_own(
    ", --auto-scaler-image-pull-secrets=a, --auto-scaler-image-pull-secrets=b",
    "arc ctl listener [a,b]"
)]
#[case::joined(", '--auto-scaler-image-pull-secrets=a,b'", "arc ctl listener [a,b]")]
#[case::in_two_arguments_with_one_dash(", -auto-scaler-image-pull-secrets, a", "arc ctl listener [a]")]
#[case::a_variable(", --auto-scaler-image-pull-secrets=$(NAMES)", "ListenerUnseen")]
#[case::its_namespace(", --watch-single-namespace=ci", "arc ctl listener []")]
#[case::another_namespace(", --watch-single-namespace=other", "ListenerUnseen")]
fn a_listener_gets_what_the_controllers_flags_say(#[case] args: &str, #[case] expected: &str) {
    assert_eq!(listener(&(scale_set("") + &controller("arc", &format!("{ON}{args}"), IMAGE))), expected);
}

#[rstest]
#[case::list("imagePullSecrets: [{name: own}]", "arc ctl listener [own]")]
#[case::empty_list("imagePullSecrets: []", "arc ctl listener []")]
#[case::image(
    "containers: [{name: listener, image: mine}, {name: side, image: proxy}]",
    "arc mine listener [a]; arc proxy side [a]"
)]
#[case::no_image(
    "containers: [{name: listener}, {name: side, image: proxy}]",
    "arc ctl listener [a]; arc proxy side [a]"
)]
fn the_scale_sets_template_of_it_counts_more(#[case] spec: &str, #[case] expected: &str) {
    let set = scale_set(&format!("listenerTemplate: {{spec: {{{spec}}}}}, "));
    let args = format!("{ON}, --auto-scaler-image-pull-secrets=a");
    assert_eq!(listener(&(set + &controller("arc", &args, IMAGE))), expected);
}

#[test]
fn which_controller_it_is() {
    let set = scale_set("");
    assert_eq!(listener(&set), "ListenerUnseen");
    assert_eq!(listener(&(set.clone() + &controller("arc", "--other", IMAGE))), "ListenerUnseen");
    assert_eq!(
        listener(&(set.clone() + &controller("arc", "--auto-scaling-runner-set-only=false", IMAGE))),
        "ListenerUnseen"
    );
    // Old controllers know only the image of their own container.
    assert_eq!(listener(&(set.clone() + &controller("arc", ON, ""))), "arc ctl-own listener []");
    // Two of them fight, unless one is for this namespace alone.
    let wide = controller("arc", ON, IMAGE);
    assert_eq!(listener(&(set.clone() + &wide + &controller("arc-2", ON, IMAGE))), "ListenerUnseen");
    let narrow = controller("arc-2", &format!("{ON}, --watch-single-namespace=ci"), IMAGE);
    assert_eq!(listener(&(set + &wide + &narrow)), "arc-2 ctl listener []");
}

#[test]
fn a_listener_that_is_there_tells_more_than_flags() {
    let there = "---\n{apiVersion: actions.github.com/v1alpha1, kind: AutoscalingListener, metadata: {name: l, namespace: arc}, \
                 spec: {autoscalingRunnerSetName: set, autoscalingRunnerSetNamespace: ci, image: old}}\n";
    let text = scale_set("") + &controller("arc", &format!("{ON}, --auto-scaler-image-pull-secrets=a"), IMAGE) + there;
    assert_eq!(listener(&text), "arc old listener []");
}

const ACCOUNT: &str = "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: ci}, imagePullSecrets: [{name: sa}]}\n";

#[rstest]
#[case::adds_where_there_is_none(
    "image: img",
    "--runner-image-pull-secret=x, --runner-image-pull-secret=y",
    "ci img runner [x,y]"
)]
#[case::not_where_there_is_one(
    "image: img, imagePullSecrets: [{name: own}]",
    "--runner-image-pull-secret=x",
    "ci img runner [own]"
)]
#[case::the_image("labels: []", "--runner-image=theirs, --runner-image-pull-secret=x", "ci theirs runner [x]")]
#[case::none_to_add("image: img", "--runner-image=theirs", "ci img runner [sa]")]
#[case::another_namespace("image: img", "--runner-image=theirs, --watch-namespace=other", "ControllerDefault")]
#[case::of_scale_sets("image: img", ON, "ControllerDefault")]
fn the_controller_of_the_legacy_kinds_fills_in(#[case] spec: &str, #[case] args: &str, #[case] expected: &str) {
    let runner = format!(
        "---\n{{apiVersion: actions.summerwind.dev/v1alpha1, kind: RunnerDeployment, metadata: {{name: r, namespace: ci}}, \
         spec: {{template: {{spec: {{{spec}}}}}}}}}\n"
    );
    assert_eq!(row(&read(&(runner + ACCOUNT + &controller("arc", args, ""))), PodRole::Runner), expected);
}
