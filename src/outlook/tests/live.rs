//! What pods show right now, against what we say.

use super::*;
use crate::cluster::Waiting;
use crate::workload::PullFailure;

const IMAGE: &str = "ghcr.io/org/img:v1";
const REFUSED: &str = "failed to authorize: failed to fetch oauth token: unexpected status: 403 Forbidden";
const DENIED: &str = "unexpected status from HEAD request to https://ghcr.io/v2/org/img/manifests/v1: 403 Forbidden";
const ANONYMOUS: &str = "failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized";
const ABSENT: &str = "ghcr.io/org/img:v1: not found";
const TIMEOUT: &str = "dial tcp 140.82.121.34:443: i/o timeout";

impl World {
    /// The first container of a pod waits.
    fn waits(&mut self, name: &str, reason: &str, message: &str) {
        let pod = self.inventory.pods.values_mut().find(|pod| &*pod.at.name == name).unwrap();
        let waiting = Waiting { container: "c0".into(), reason: reason.into(), message: message.into() };
        Arc::make_mut(pod).waiting.push(waiting);
    }

    /// A pod whose image is pulled with a credential that works.
    fn working() -> Self {
        let mut world = World::cluster();
        world.secret("a", "s", &[("ghcr.io", "u", "p")]);
        world.pod("a", "web", &["s"], &[IMAGE]);
        world.accepts(("u", "p"));
        world.access(Some(("u", "p")), "org/img", true);
        world
    }

    /// A pod whose only credential is dead.
    fn dead() -> Self {
        let mut world = World::cluster();
        world.secret("a", "s", &[("ghcr.io", "u", "p")]);
        world.pod("a", "web", &["s"], &[IMAGE]);
        world.accepts(("control", "control"));
        world.rejects(("u", "p"));
        world
    }
}

fn contradictions(findings: &[crate::credential::Finding]) -> Vec<&str> {
    let found = findings.iter().filter(|finding| finding.kind == FindingKind::LivePullContradicts);
    found.map(|finding| finding.message.as_str()).collect()
}

#[test]
fn waiting_pods_are_counted_by_reason() {
    let mut world = World::dead();
    world.waits("web", "ErrImagePull", REFUSED);
    let row = world.workload("web");
    assert_eq!(row.failing, [(PullFailure::CredentialRefused, 1)]);
    assert_eq!(row.outlook, Outlook::Blocked);
    assert!(contradictions(&row.findings).is_empty(), "both say the same");
    assert!(contradictions(&world.row("s", "ghcr.io").findings).is_empty());
}

#[test]
fn a_refusal_of_what_works_is_told_on_workload_and_credential() {
    for (message, seen) in [(REFUSED, "refused the credential"), (DENIED, "denied the image")] {
        let mut world = World::working();
        world.waits("web", "ErrImagePull", message);
        let (workload, credential) = (world.workload("web"), world.row("s", "ghcr.io"));
        assert_eq!((workload.outlook, credential.status), (Outlook::Ok, Status::Valid), "the verdict stays");
        for findings in [&workload.findings[..], &credential.findings] {
            let told = contradictions(findings);
            let [told] = &told[..] else { panic!("{told:?}") };
            assert!(told.contains(seen) && told.contains("the credential of the Secret s works"), "{told}");
            assert!(told.starts_with("1 pod waits on ghcr.io/org/img:v1: "), "{told}");
        }
        assert_eq!(workload.severity(), Some(Severity::Warning));
        assert_eq!(credential.severity(), Some(Severity::Warning));
    }
}

#[test]
fn a_pull_without_a_credential_says_nothing_of_the_credential() {
    let mut world = World::working();
    world.waits("web", "ErrImagePull", ANONYMOUS);
    assert_eq!(contradictions(&world.workload("web").findings).len(), 1);
    assert!(contradictions(&world.row("s", "ghcr.io").findings).is_empty());
}

#[test]
fn a_secret_that_only_the_kubelet_cannot_decode_is_told() {
    let mut world = World::working();
    world.waits("web", "illegal base64 data at input byte 4", "illegal base64 data at input byte 4");
    let row = world.workload("web");
    assert_eq!(row.failing, [(PullFailure::MalformedSecret, 1)]);
    assert_eq!(contradictions(&row.findings).len(), 1);
}

#[test]
fn an_absent_image_and_a_network_fault_contradict_nothing() {
    for (message, failure) in [(ABSENT, PullFailure::NotFound), (TIMEOUT, PullFailure::Network)] {
        let mut world = World::working();
        world.waits("web", "ErrImagePull", message);
        let row = world.workload("web");
        assert_eq!(row.failing, [(failure, 1)]);
        assert!(row.findings.is_empty());
        assert_eq!(row.severity(), Some(Severity::Info), "not the fault of a credential");
    }
}

#[test]
fn a_login_that_we_call_dead_and_that_a_node_got_in_with_is_told() {
    let mut world = World::dead();
    world.waits("web", "ErrImagePull", ABSENT);
    assert_eq!(contradictions(&world.workload("web").findings).len(), 1);
    let credential = world.row("s", "ghcr.io");
    assert_eq!(credential.status, Status::Rejected, "the verdict stays");
    assert_eq!(contradictions(&credential.findings).len(), 1);
}

#[test]
fn with_several_working_credentials_none_is_meant() {
    let mut world = World::working();
    world.secret("a", "t", &[("ghcr.io", "v", "q")]);
    world.pod("a", "web", &["s", "t"], &[IMAGE]);
    world.accepts(("v", "q"));
    world.access(Some(("v", "q")), "org/img", true);
    world.waits("web", "ErrImagePull", REFUSED);
    assert_eq!(contradictions(&world.workload("web").findings).len(), 1);
    for secret in ["s", "t"] {
        assert!(contradictions(&world.row(secret, "ghcr.io").findings).is_empty());
    }
}

#[test]
fn a_public_image_that_a_node_is_denied_is_told() {
    let mut world = World::cluster();
    world.pod("a", "web", &[], &[IMAGE]);
    world.access(None, "org/img", true);
    world.waits("web", "ErrImagePull", ANONYMOUS);
    let row = world.workload("web");
    let told = contradictions(&row.findings);
    assert!(told[0].contains("an anonymous pull works"), "{told:?}");
}

#[test]
fn what_is_not_proven_is_not_contradicted() {
    let mut world = World::cluster();
    world.secret("a", "s", &[("ghcr.io", "u", "p")]);
    world.pod("a", "web", &["s"], &[IMAGE]);
    world.waits("web", "ErrImagePull", REFUSED);
    let row = world.workload("web");
    assert_eq!((row.outlook, row.failing.len()), (Outlook::Unverified, 1));
    assert!(row.findings.is_empty());
    assert_eq!(row.severity(), Some(Severity::Warning), "a pod hangs because of a credential");
}

#[test]
fn pods_that_run_prove_nothing() {
    let row = World::dead().workload("web");
    assert_eq!((row.outlook, row.failing.len()), (Outlook::Blocked, 0));
}

/// A scale set with a runner whose pod waits, and a workflow pod that waited.
fn scale_set_text(more: &str) -> String {
    let owner = |kind: &str, name: &str| {
        format!(
            "ownerReferences: [{{apiVersion: actions.github.com/v1alpha1, kind: {kind}, name: {name}, controller: true}}]"
        )
    };
    let waits = |message: &str| {
        format!(
            "status: {{containerStatuses: [{{name: c, state: {{waiting: {{reason: ErrImagePull, message: {message:?}}}}}}}]}}"
        )
    };
    let runner = format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{namespace: ci, name: r1, {}}}\nspec: {{containers: [{{name: c, image: {IMAGE}}}]}}\n{}\n",
        owner("EphemeralRunner", "r1"),
        waits(REFUSED)
    );
    let job = format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{namespace: ci, name: w1, labels: {{runner-pod: r1}}}}\n\
         spec: {{containers: [{{name: c, image: ghcr.io/org/job}}]}}\n{}\n",
        waits(DENIED)
    );
    let head = "---\napiVersion: actions.github.com/v1alpha1\n";
    format!(
        "{head}kind: AutoscalingRunnerSet\nmetadata: {{name: set, namespace: ci}}\n\
         spec: {{template: {{spec: {{containers: [{{name: runner, image: {IMAGE}}}]}}}}}}\n\
         {head}kind: EphemeralRunner\nmetadata: {{name: r1, namespace: ci, {}}}\nspec: {{}}\nstatus: {{phase: Pending}}\n\
         {runner}{}",
        owner("AutoscalingRunnerSet", "set"),
        if more.is_empty() { "" } else { &job }
    )
}

fn cluster_of(text: &str) -> Inventory {
    let mut inventory = crate::cluster::load(
        &[crate::cluster::Input::Stdin(text.as_bytes().to_vec())],
        &crate::cluster::Scope::default(),
    );
    assert_eq!(inventory.problems, []);
    inventory.origin = Origin::Cluster;
    inventory
}

#[test]
fn runners_that_hang_are_told_with_the_command_that_deletes_them() {
    let mut world = World::cluster();
    world.inventory = cluster_of(&scale_set_text(""));
    let snapshot = world.snapshot();
    let row = snapshot.workloads.iter().find(|row| row.key.role == crate::workload::PodRole::Runner).unwrap();
    assert_eq!(row.pull_failing(), [(PullFailure::CredentialRefused, (1, 0))].into(), "one pod, once");
    let [finding] = &row.findings[..] else { panic!("{:?}", row.findings) };
    assert_eq!((finding.kind, finding.severity), (FindingKind::RunnersPending, Severity::Warning));
    let opening = format!("1 runner hangs in Pending because its pod waits on {IMAGE}: ");
    assert!(finding.message.starts_with(&opening), "{}", finding.message);
    assert!(finding.message.contains("none of them fails by itself"), "{}", finding.message);
    assert!(finding.fix.ends_with("kubectl -n ci delete ephemeralrunner r1"), "{}", finding.fix);
}

#[test]
fn workflow_pods_that_are_gone_are_told_as_such() {
    let mut world = World::cluster();
    let registries = world.registries();
    let mut waits = Waits::default();
    waits.sync(&cluster_of(&scale_set_text("job")), now() - TimeDelta::minutes(4));
    world.inventory = cluster_of(&scale_set_text(""));
    waits.sync(&world.inventory, now() - TimeDelta::minutes(3));
    let mut workloads = workloads(&world.inventory);
    waits.add_unseen(&mut workloads);
    let mut book = Book::new(identifier(), registries.clone());
    book.sync(&world.inventory, &needed_images(&workloads));
    let inputs = Inputs {
        inventory: &world.inventory,
        book: &book,
        workloads: &workloads,
        failing: waits.failing(),
        ledger: &world.ledger,
        config: &world.config,
        registries: &registries,
        hosts: &[],
        schedule_lag: Duration::ZERO,
        moment: super::NOW,
        waiting: &[],
    };
    let snapshot = build(&inputs, now());
    let row = snapshot.workloads.iter().find(|row| row.key.role == crate::workload::PodRole::Workflow).unwrap();
    assert_eq!((&*row.key.kind, &*row.key.name), ("AutoscalingRunnerSet", "set"));
    assert!(row.failing.is_empty(), "none waits now");
    assert_eq!(row.pull_failing(), [(PullFailure::AccessDenied, (1, 1))].into());
    assert_eq!(row.severity(), Some(Severity::Warning));
    assert_eq!(
        crate::outlook::view::vanished(row, now()).unwrap(),
        "gone in the last 10 minutes while waiting on a pull: 1 pod on ghcr.io/org/job (the registry denies the image); \
         the last 3 min ago"
    );
    assert_eq!(crate::outlook::view::waiting(row), None);
    let view = serde_json::to_value(crate::outlook::view::report::WorkloadView::from(row)).unwrap();
    assert_eq!(view["pull_failing"], serde_json::json!([{"reason": "access_denied", "pods": 1, "gone": 1}]));
    let target = crate::outlook::explain::Target::parse("ars/set", None).unwrap();
    let explained = crate::outlook::explain::explain(&inputs, None, &target, now()).unwrap();
    let told = serde_json::to_value(&explained).unwrap();
    let right_now = told["right_now"].to_string();
    assert!(right_now.contains("AutoscalingRunnerSet/set (runner): waiting on a pull right now: 1 pod"), "{right_now}");
    assert!(right_now.contains("AutoscalingRunnerSet/set (workflow): gone in the last 10 minutes"), "{right_now}");
    let runner = told["images"].as_array().unwrap().iter().find(|image| image["pod_role"] == "runner").unwrap();
    assert_eq!(runner["findings"][0]["finding"], "runners_pending");
    assert_eq!(runner["fix"].as_array().unwrap().last().unwrap(), "kubectl -n ci delete ephemeralrunner r1");
}
