//! The real programs start, and do what other tests take for granted.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Api, api::ListParams};

use crate::support::real::{Alertmanager, Auth, Image, Prometheus, RealCluster, Registry, User, http_client};

#[tokio::test]
async fn real_cluster_starts_and_lists() {
    let mut cluster = RealCluster::start().await;
    cluster.create_default_service_account("default").await;
    cluster.create_namespace("ci").await;
    cluster
        .kubectl(
            &[
                &["create", "secret", "docker-registry", "ghcr", "--namespace=ci"][..],
                &["--docker-server=ghcr.io", "--docker-username=builder", "--docker-password=secret"],
            ]
            .concat(),
        )
        .await
        .expect_success("kubectl create secret");

    let names = |list: Vec<Namespace>| list.into_iter().filter_map(|namespace| namespace.metadata.name);
    let namespaces = Api::<Namespace>::all(cluster.client().await);
    let listed = namespaces.list(&ListParams::default()).await.expect("the server lists namespaces").items;
    assert!(names(listed).any(|name| name == "ci"));

    cluster.restart_api_server().await;
    let secrets = Api::<Secret>::all(cluster.client().await);
    let pull_secrets = ListParams::default().fields("type=kubernetes.io/dockerconfigjson");
    let listed = secrets.list(&pull_secrets).await.expect("the server lists Secrets by type").items;
    assert_eq!(listed.iter().map(|secret| secret.metadata.name.as_deref()).collect::<Vec<_>>(), [Some("ghcr")]);
}

#[tokio::test]
async fn real_cluster_knows_its_address_its_certificate_and_its_token() {
    let cluster = RealCluster::start().await;
    let certificate = reqwest::Certificate::from_pem_bundle(cluster.ca()).expect("a certificate in PEM");
    let client = reqwest::Client::builder().no_proxy().tls_certs_only(certificate).build().expect("a client");
    let url = format!("{}/api/v1/namespaces/default", cluster.url());
    let anonymous = client.get(&url).send().await.expect("the server answers");
    assert_eq!(anonymous.status(), reqwest::StatusCode::FORBIDDEN);
    let admin = client.get(&url).bearer_auth(RealCluster::ADMIN_TOKEN).send().await.expect("the server answers");
    assert_eq!(admin.status(), reqwest::StatusCode::OK);
    assert!(cluster.kubeconfig().is_file());
}

#[tokio::test]
async fn docker_registry_takes_a_password_file() {
    let users = BTreeMap::from([("builder".to_owned(), "right".to_owned())]);
    let registry = Registry::start(Auth::Htpasswd(users)).await;
    registry.push(&Image::new(), "org/app", "1", "builder:right").await.expect_success("skopeo copy");

    assert!(registry.token_server().is_none());
    assert!(registry.inspect("org/app", "1", Some("builder:right")).await.success);
    assert!(!registry.inspect("org/app", "1", Some("builder:wrong")).await.success);
    assert!(!registry.inspect("org/app", "1", None).await.success);
}

#[tokio::test]
async fn docker_registry_takes_tokens_of_a_token_service() {
    let users = BTreeMap::from([
        ("builder".to_owned(), User::new("right").with("org/app", &["pull", "push"])),
        ("stranger".to_owned(), User::new("also right")),
    ]);
    let registry = Registry::start(Auth::Token(users)).await;
    registry.push(&Image::new(), "org/app", "1", "builder:right").await.expect_success("skopeo copy");

    assert!(registry.inspect("org/app", "1", Some("builder:right")).await.success);
    assert!(!registry.inspect("org/app", "1", Some("builder:wrong")).await.success);
    assert!(!registry.inspect("org/app", "1", Some("stranger:also right")).await.success);

    let challenge = http_client().get(format!("http://{}/v2/", registry.host())).send().await.expect("an answer");
    let challenge = challenge.headers()["www-authenticate"].to_str().expect("a header of text").to_owned();
    let realm = registry.token_server().expect("started with one").realm().to_owned();
    assert!(challenge.contains(&format!("realm=\"{realm}\"")), "{challenge}");
}

#[tokio::test]
async fn prometheus_scrapes_and_answers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let target = listener.local_addr().expect("a bound socket has an address").to_string();
    let metrics = axum::Router::new().route("/metrics", axum::routing::get(async || "pullpatrol_leader 1\n"));
    let server = tokio::spawn(async move { axum::serve(listener, metrics).await });

    let mut prometheus = Prometheus::start(&[&target], &[]).await;
    let series = prometheus.until("pullpatrol_leader").await;
    assert_eq!(series[0]["metric"]["instance"], *target);
    assert_eq!(series[0]["value"][1], "1");
    assert!(prometheus.query("pullpatrol_leader == 0").await.is_empty());
    server.abort();
}

#[tokio::test]
async fn alertmanager_inhibits() {
    let rules = serde_json::json!([{
        "source_matchers": ["severity=critical"], "target_matchers": ["severity=warning"], "equal": ["subject"],
    }]);
    let mut alertmanager = Alertmanager::start(&rules).await;
    alertmanager
        .send(&[
            BTreeMap::from([("alertname", "Loud"), ("severity", "critical"), ("subject", "a")]),
            BTreeMap::from([("alertname", "Quiet"), ("severity", "warning"), ("subject", "a")]),
            BTreeMap::from([("alertname", "Other"), ("severity", "warning"), ("subject", "b")]),
        ])
        .await;
    let inhibited: Vec<_> = alertmanager
        .alerts(3)
        .await
        .iter()
        .filter(|alert| alert["status"]["inhibitedBy"].as_array().is_some_and(|by| !by.is_empty()))
        .map(|alert| alert["labels"]["alertname"].as_str().expect("a label is text").to_owned())
        .collect();
    assert_eq!(inhibited, ["Quiet"]);
}
