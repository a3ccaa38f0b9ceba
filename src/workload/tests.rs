use super::*;
use crate::cluster::{ContainerKind, Owner, Pod, PodImage, PodPulls};

fn arcs(texts: &[&str]) -> Vec<Arc<str>> {
    texts.iter().copied().map(Arc::from).collect()
}

fn pod(namespace: &str, name: &str, owner: Option<(&str, &str)>, secrets: &[&str], images: &[(&str, &str)]) -> Pod {
    Pod {
        at: ObjectRef::new(namespace, name),
        pulls: Arc::new(PodPulls {
            service_account: Arc::from("default"),
            pull_secrets: arcs(secrets),
            admitted_from_service_account: false,
            images: images
                .iter()
                .map(|(container, image)| PodImage {
                    container: Arc::from(*container),
                    kind: ContainerKind::Regular,
                    image: Arc::from(*image),
                })
                .collect(),
            owner: owner.map(|(kind, name)| Owner {
                api_version: Arc::from("apps/v1"),
                kind: Arc::from(kind),
                name: Arc::from(name),
            }),
        }),
        waiting: Vec::new(),
    }
}

fn inventory(pods: Vec<Pod>) -> Inventory {
    Inventory { pods: pods.into_iter().map(|pod| (pod.at.clone(), Arc::new(pod))).collect(), ..Inventory::default() }
}

fn key(namespace: &str, kind: &str, name: &str) -> WorkloadKey {
    WorkloadKey { namespace: Arc::from(namespace), kind: Arc::from(kind), name: Arc::from(name), role: PodRole::Pod }
}

fn pull(image: &str, containers: &[&str], secrets: &[&str]) -> Pull {
    Pull {
        image: Arc::from(image),
        containers: arcs(containers),
        namespace: Arc::from("a"),
        service_account: Arc::from("default"),
        secrets: arcs(secrets).into(),
        source: SecretSource::Pod,
    }
}

#[track_caller]
fn assert_workloads(pods: Vec<Pod>, expected: &[(WorkloadKey, Vec<Pull>)]) {
    let found = workloads(&inventory(pods));
    let found: Vec<(WorkloadKey, Vec<Pull>)> = found
        .into_iter()
        .map(|(key, workload)| {
            assert_eq!(key, workload.key);
            (key, workload.pulls)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_pod_without_owner_is_itself() {
    assert_workloads(
        vec![pod("a", "lonely", None, &["s"], &[("c", "img")])],
        &[(key("a", "Pod", "lonely"), vec![pull("img", &["c"], &["s"])])],
    );
}

#[test]
fn pods_of_one_owner_are_one_workload_per_namespace() {
    let owner = Some(("ReplicaSet", "web"));
    assert_workloads(
        vec![
            pod("a", "web-1", owner, &["s"], &[("c", "img")]),
            pod("a", "web-2", owner, &["s"], &[("c", "img"), ("side", "img"), ("b", "base")]),
            pod("b", "web-1", owner, &["s"], &[("c", "img")]),
            pod("a", "web", None, &[], &[("c", "img")]),
            pod("a", "job-1", Some(("Job", "web")), &[], &[("c", "img")]),
        ],
        &[
            (key("a", "Job", "web"), vec![pull("img", &["c"], &[])]),
            (key("a", "Pod", "web"), vec![pull("img", &["c"], &[])]),
            (key("a", "ReplicaSet", "web"), vec![pull("base", &["b"], &["s"]), pull("img", &["c", "side"], &["s"])]),
            (key("b", "ReplicaSet", "web"), vec![Pull { namespace: Arc::from("b"), ..pull("img", &["c"], &["s"]) }]),
        ],
    );
}

#[test]
fn other_lists_of_secrets_are_other_pulls_and_order_counts() {
    let owner = Some(("StatefulSet", "db"));
    assert_workloads(
        vec![
            pod("a", "db-0", owner, &["s", "t"], &[("c", "img")]),
            pod("a", "db-1", owner, &["t", "s"], &[("c", "img")]),
            pod("a", "db-2", owner, &["s", "t"], &[("c", "img")]),
            pod("a", "db-3", owner, &["s", "s"], &[("c", "img")]),
        ],
        &[(
            key("a", "StatefulSet", "db"),
            vec![pull("img", &["c"], &["s", "s"]), pull("img", &["c"], &["s", "t"]), pull("img", &["c"], &["t", "s"])],
        )],
    );
}

#[test]
fn a_list_of_the_service_account_says_so() {
    let mut admitted = pod("a", "one", None, &["s"], &[("c", "img")]);
    admitted.admitted_from_service_account = true;
    let expected = Pull { source: SecretSource::ServiceAccount, ..pull("img", &["c"], &["s"]) };
    assert_workloads(vec![admitted], &[(key("a", "Pod", "one"), vec![expected])]);
}

#[test]
fn a_pod_without_images_is_a_workload_that_pulls_nothing() {
    assert_workloads(vec![pod("a", "empty", None, &["s"], &[])], &[(key("a", "Pod", "empty"), vec![])]);
}

#[test]
fn needed_images_stand_under_each_secret_that_a_pull_names() {
    let pods = vec![
        pod("a", "one", None, &["s", "t"], &[("c", "img"), ("d", "other")]),
        pod("a", "two", None, &["s"], &[("c", "third")]),
        pod("b", "one", None, &["s"], &[("c", "img")]),
        pod("b", "two", None, &[], &[("c", "unneeded")]),
    ];
    let needed = needed_images(&workloads(&inventory(pods)));
    let expected: BTreeMap<ObjectRef, BTreeSet<Arc<str>>> =
        [(("a", "s"), vec!["img", "other", "third"]), (("a", "t"), vec!["img", "other"]), (("b", "s"), vec!["img"])]
            .into_iter()
            .map(|((namespace, name), images)| (ObjectRef::new(namespace, name), arcs(&images).into_iter().collect()))
            .collect();
    assert_eq!(needed, expected);
}
