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
        for findings in [&workload.findings, &credential.findings] {
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
