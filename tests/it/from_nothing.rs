//! From nothing to a firing alert, with the very commands of `docs/install.md`: Helm installs the chart into a real API server, and
//! a real Prometheus and Alertmanager do the rest. There is no kubelet at hand, so the test starts the program of the Deployment
//! itself, with its config and the token of its ServiceAccount. Rules, routes and probes run 60 times faster.

use std::path::Path;

use serde_json::{Value, json};
use simulator::{TokenSpec, Visibility, World};

use crate::support::program::Program;
use crate::support::real::{Alertmanager, Inbox, Output, Prometheus, RealCluster, checkout, hurried, program, run};

/// The blocks of the document that are marked, by their name.
fn block(name: &str) -> String {
    let document = std::fs::read_to_string(checkout().join("docs/install.md")).expect("the document");
    let (_, rest) =
        document.split_once(&format!("<!-- tested: {name} -->\n```")).unwrap_or_else(|| panic!("no {name}"));
    let (_, rest) = rest.split_once('\n').expect("a block has lines");
    rest.split_once("\n```").expect("a block ends").0.to_owned() + "\n"
}

/// A folder that looks like a checkout to whoever pastes the commands, with the programs on its path.
struct Desk<'c> {
    cluster: &'c RealCluster,
    folder: tempfile::TempDir,
}

impl<'c> Desk<'c> {
    fn new(cluster: &'c RealCluster) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).expect("writable");
        for (name, key) in [("kubectl", "KUBECTL"), ("helm", "HELM"), ("promtool", "PROMTOOL"), ("amtool", "AMTOOL")] {
            std::os::unix::fs::symlink(program(key), bin.join(name)).expect("writable");
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_pull-patrol"), bin.join("pull-patrol")).expect("writable");
        std::os::unix::fs::symlink(checkout().join("deploy"), folder.path().join("deploy")).expect("writable");
        Self { cluster, folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("writable");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Pastes commands into a shell.
    async fn paste(&self, commands: &str, environment: &[(&str, &str)]) -> Output {
        let mut line = vec![
            format!("HOME={}", self.folder.path().display()),
            format!("KUBECONFIG={}", self.cluster.kubeconfig().display()),
            format!("PATH={}:{}", self.path("bin").display(), std::env::var("PATH").expect("a path")),
        ];
        line.extend(environment.iter().map(|(key, value)| format!("{key}={value}")));
        line.extend(["sh", "-e", "-c"].map(str::to_owned));
        line.push(format!("cd {}\n{commands}", self.folder.path().display()));
        run(Path::new("/usr/bin/env"), line).await
    }
}

/// The config and the kubeconfig that a kubelet would mount into the pod, written beside each other.
async fn mount(desk: &Desk<'_>) {
    let get = |kind: &'static str| async move {
        let args = ["get", kind, "pull-patrol", "--namespace=pull-patrol", "-o", "json"];
        let object = desk.cluster.kubectl(&args).await.expect_success(kind);
        serde_json::from_str::<Value>(&object).expect("kubectl writes JSON")
    };
    let pod = get("deployment").await["spec"]["template"]["spec"].take();
    let args = pod["containers"][0]["args"].as_array().expect("arguments").clone();
    assert_eq!(args[..2], ["serve", "--config.file=/etc/pull-patrol/config.yaml"]);
    assert_eq!(pod["containers"][0]["image"], "registry.example.com/pull-patrol:0.1.0");
    assert_eq!(pod["volumes"][0]["configMap"]["name"], "pull-patrol");
    let config = get("configmap").await;
    desk.write("config.yaml", config["data"]["config.yaml"].as_str().expect("a config"));

    let account = pod["serviceAccountName"].as_str().expect("an account");
    let token = desk.cluster.kubectl(&["create", "token", account, "--namespace=pull-patrol"]).await;
    let token = token.expect_success("kubectl create token");
    desk.write("pod-kubeconfig", &desk.cluster.kubeconfig_of(token.trim()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_document_lead_to_a_firing_alert_and_to_its_end() {
    let world = World::start().await.expect("a world");
    world.add_package("acme/app", Visibility::private());
    let good = world.add_token(TokenSpec::classic("octocat").reads("acme"));
    let cluster = RealCluster::start().await;
    let desk = Desk::new(&cluster);
    let config = json!({
        "registries": [{"host": "ghcr.io", "issuer": "github", "endpoint": world.ghcr_url(),
            "api": world.github_api_url(), "plainHttp": true, "allowPrivateAddresses": true}],
        "probe": {"interval": "6s", "confirmationSpacing": "1s"}, "issuer": {"interval": "60s"},
    });
    let mut values: Value = serde_saphyr::from_str(&block("values")).expect("YAML");
    values["config"] = config;
    desk.write("values.yaml", &values.to_string());

    let made = desk.paste(&block("install"), &[]).await.expect_success("install");
    assert!(made.contains("deployment.apps/pull-patrol") && made.contains("serviceaccount/pull-patrol"), "{made}");
    desk.paste(&block("dead"), &[]).await.expect_success("dead");
    desk.paste(&block("rules"), &[]).await.expect_success("rules");
    mount(&desk).await;
    let kubeconfig = desk.path("pod-kubeconfig");
    let daemon = Program::start(&desk.path("config.yaml"), &["--kubeconfig", &kubeconfig.to_string_lossy()]).await;

    let inbox = Inbox::start().await;
    let routes = desk.read("alertmanager.yaml").replace("http://receiver.example.com", inbox.url());
    let alertmanager = Alertmanager::start_with(&hurried(&routes, 30)).await;
    desk.write("pull-patrol.rules.yaml", &hurried(&desk.read("pull-patrol.rules.yaml"), 60));
    let target = daemon.url().trim_start_matches("http://");
    let places = [("localhost:9797", target), ("localhost:9093", alertmanager.address())];
    let prometheus = places.iter().fold(block("prometheus.yml"), |text, (theirs, ours)| {
        assert!(text.contains(theirs), "{text}");
        text.replace(theirs, ours)
    });
    desk.write("prometheus.yml", &hurried(&prometheus, 30));
    desk.paste("promtool check config prometheus.yml", &[]).await.expect_success("promtool");
    let prometheus = Prometheus::start_with(&desk.path("prometheus.yml")).await;

    let pages = inbox.until("pages", |pages| !pages.is_empty()).await;
    assert_eq!(pages[0].names("firing"), ["PullSecretCredentialRejected", "PullSecretWorkloadBlocked"], "{pages:#?}");
    let query = block("query").replace("http://localhost:9093", &format!("http://{}", alertmanager.address()));
    let told = desk.paste(&query, &[]).await.expect_success("query");
    for part in [
        "PullSecretCredentialRejected",
        "Secret try-pull-patrol/ghcr, entry ghcr.io: the registry refuses it, confirmed.",
        "Workloads that present it: 1. Cannot pull in this namespace: Deployment app (pod).",
    ] {
        assert!(told.contains(part), "{told}");
    }
    // The rights of the chart suffice for all of it.
    assert!(prometheus.query("pullpatrol_permission_missing").await.is_empty());

    desk.paste(&block("mend"), &[("GITHUB_USER", "octocat"), ("TOKEN", good.secret())]).await.expect_success("mend");
    let over = |pages: &[crate::support::real::Notification]| {
        pages.last().is_some_and(|page| page.status == "resolved" && page.alerts.len() == 2)
    };
    inbox.until("pages", over).await;
    daemon.stop().await;
}
