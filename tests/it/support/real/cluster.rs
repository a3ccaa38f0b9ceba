//! A Kubernetes control plane of two processes: etcd and kube-apiserver. No kubelet and no controllers: pods stay as
//! they were created, and nothing makes the ServiceAccount `default` of a namespace.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::{
    Api, Client, Config,
    api::{ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    install_tls_provider,
    process::{Daemon, Output, answers, free_port, run},
    program,
};

/// Each control plane takes 350 MB and a second of CPU; a test waits for its turn.
static SLOTS: Semaphore = Semaphore::const_new(2);

/// The server's log of requests.
const AUDIT_LOG: &str = "audit.log";

/// A running control plane. Everything of it goes away when this is dropped.
#[derive(Debug)]
pub(crate) struct RealCluster {
    url: String,
    kubeconfig: PathBuf,
    ca: Vec<u8>,
    api_server_args: Vec<String>,
    api_server: Daemon,
    _etcd: Daemon,
    folder: TempDir,
    _slot: SemaphorePermit<'static>,
}

impl RealCluster {
    /// The bearer token of a user with all rights.
    pub(crate) const ADMIN_TOKEN: &str = "admin-token-of-a-test";

    /// Starts etcd and kube-apiserver, and waits until the server calls itself ready.
    pub(crate) async fn start() -> Self {
        Self::launch(false).await
    }

    /// As [`Self::start`], and the server writes down who asked for what.
    pub(crate) async fn start_audited() -> Self {
        Self::launch(true).await
    }

    async fn launch(audited: bool) -> Self {
        install_tls_provider();
        let slot = SLOTS.acquire().await.expect("the semaphore is never closed");
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path();

        let etcd_url = format!("http://127.0.0.1:{}", free_port());
        let peer_url = format!("http://127.0.0.1:{}", free_port());
        let mut etcd = Daemon::start(
            "etcd",
            &program("ETCD"),
            [
                "--data-dir",
                &path.join("etcd").to_string_lossy(),
                "--listen-client-urls",
                &etcd_url,
                "--advertise-client-urls",
                &etcd_url,
                "--listen-peer-urls",
                &peer_url,
                "--initial-advertise-peer-urls",
                &peer_url,
                "--initial-cluster",
                &format!("default={peer_url}"),
                "--unsafe-no-fsync",
            ],
            path,
        );
        let client = super::http_client();
        let health = format!("{etcd_url}/health");
        etcd.until(|| answers(&client, &health)).await;

        make_service_account_keys(path).await;
        let token = Self::ADMIN_TOKEN;
        std::fs::write(path.join("tokens.csv"), format!("{token},admin,admin,\"system:masters\"\n"))
            .expect("the temporary folder can be written");

        let url = format!("https://127.0.0.1:{}", free_port());
        let port = url.rsplit(':').next().expect("the URL ends in a port");
        let file = |name: &str| path.join(name).to_string_lossy().into_owned();
        let mut api_server_args: Vec<String> = [
            ("etcd-servers", etcd_url.clone()),
            ("secure-port", port.to_owned()),
            ("bind-address", "127.0.0.1".to_owned()),
            ("cert-dir", file("certs")),
            ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
            ("service-account-key-file", file("sa.pub")),
            ("service-account-signing-key-file", file("sa.key")),
            ("token-auth-file", file("tokens.csv")),
            ("authorization-mode", "RBAC".to_owned()),
            ("service-cluster-ip-range", "10.0.0.0/24".to_owned()),
        ]
        .into_iter()
        .map(|(flag, value)| format!("--{flag}={value}"))
        .collect();
        if audited {
            let policy = r#"{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Metadata"}]}"#;
            std::fs::write(path.join("audit-policy.json"), policy).expect("the temporary folder can be written");
            api_server_args.push(format!("--audit-policy-file={}", file("audit-policy.json")));
            api_server_args.push(format!("--audit-log-path={}", file(AUDIT_LOG)));
        }

        let (api_server, ca) = start_api_server(&api_server_args, &url, path).await;
        let kubeconfig = path.join("kubeconfig");
        std::fs::write(&kubeconfig, kubeconfig_text(&url, &path.join("certs/apiserver.crt")))
            .expect("the temporary folder can be written");
        Self { url, kubeconfig, ca, api_server_args, api_server, _etcd: etcd, folder, _slot: slot }
    }

    /// The server's address, `https://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A kubeconfig whose current context is this cluster with all rights.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A kubeconfig of this cluster with another bearer token.
    pub(crate) fn kubeconfig_of(&self, token: &str) -> String {
        std::fs::read_to_string(&self.kubeconfig)
            .expect("the kubeconfig was written at the start")
            .replace(Self::ADMIN_TOKEN, token)
    }

    /// What the server wrote down so far, of a cluster that was started so.
    pub(crate) fn audit(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join(AUDIT_LOG)).expect("started with an audit log");
        text.lines().map(|line| serde_json::from_str(line).expect("an entry is JSON")).collect()
    }

    /// The certificate that the server's own is to be verified with, in PEM.
    pub(crate) fn ca(&self) -> &[u8] {
        &self.ca
    }

    /// A client with all rights.
    pub(crate) async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).expect("the kubeconfig was just written");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("the kubeconfig has a current context");
        Client::try_from(config).expect("a client can be made of the kubeconfig")
    }

    /// Runs kubectl with all rights.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Output {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig.display());
        // The cache would go to the home folder, and outlive the server on this port.
        let cache = format!("--cache-dir={}", self.folder.path().join("kubectl-cache").display());
        run(&program("KUBECTL"), [kubeconfig.as_str(), cache.as_str()].iter().chain(args)).await
    }

    /// Creates a namespace with its ServiceAccount `default`, without which the server refuses every pod.
    pub(crate) async fn create_namespace(&self, name: &str) {
        let namespace = Namespace {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        Api::<Namespace>::all(self.client().await)
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap_or_else(|error| panic!("namespace {name}: {error}"));
        self.create_default_service_account(name).await;
    }

    /// Creates the ServiceAccount `default` of a namespace that the server made itself.
    pub(crate) async fn create_default_service_account(&self, namespace: &str) {
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some("default".to_owned()), ..ObjectMeta::default() },
            ..ServiceAccount::default()
        };
        Api::<ServiceAccount>::namespaced(self.client().await, namespace)
            .create(&PostParams::default(), &account)
            .await
            .unwrap_or_else(|error| panic!("ServiceAccount default in {namespace}: {error}"));
    }

    /// Kills the API server as `kill -9` does; its data stay in etcd.
    pub(crate) async fn stop_api_server(&mut self) {
        self.api_server.kill().await;
    }

    /// Starts the API server again after [`Self::stop_api_server`], on the same port with the same certificate.
    pub(crate) async fn restart_api_server(&mut self) {
        self.stop_api_server().await;
        (self.api_server, self.ca) = start_api_server(&self.api_server_args, &self.url, self.folder.path()).await;
    }
}

async fn start_api_server(args: &[String], url: &str, folder: &Path) -> (Daemon, Vec<u8>) {
    let mut daemon = Daemon::start("kube-apiserver", &program("KUBE_APISERVER"), args, folder);
    let certificate = folder.join("certs/apiserver.crt");
    let ready = format!("{url}/readyz");
    daemon
        .until(|| async {
            // The server writes its certificate when it starts.
            let Ok(pem) = std::fs::read(&certificate) else { return false };
            let Ok(ca) = reqwest::Certificate::from_pem_bundle(&pem) else { return false };
            let Ok(client) = reqwest::Client::builder().no_proxy().tls_certs_only(ca).build() else { return false };
            matches!(
                client.get(&ready).bearer_auth(RealCluster::ADMIN_TOKEN).send().await,
                Ok(response) if response.status() == reqwest::StatusCode::OK
            )
        })
        .await;
    (daemon, std::fs::read(&certificate).expect("the server has written its certificate"))
}

async fn make_service_account_keys(folder: &Path) {
    let key = folder.join("sa.key").to_string_lossy().into_owned();
    let public = folder.join("sa.pub").to_string_lossy().into_owned();
    let openssl = program("OPENSSL");
    run(&openssl, ["genrsa", "-out", &key, "2048"]).await.expect_success("openssl genrsa");
    run(&openssl, ["rsa", "-in", &key, "-pubout", "-out", &public]).await.expect_success("openssl rsa");
}

fn kubeconfig_text(url: &str, ca: &Path) -> String {
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": ca}}],
        "users": [{"name": "admin", "user": {"token": RealCluster::ADMIN_TOKEN}}],
    })
    .to_string()
}
