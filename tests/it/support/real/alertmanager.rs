//! An Alertmanager with a configuration of the test's making.

use std::collections::BTreeMap;

use serde_json::Value;
use tempfile::TempDir;

use super::{
    http_client,
    process::{Daemon, answers, free_port},
    program,
};

/// A running Alertmanager.
#[derive(Debug)]
pub(crate) struct Alertmanager {
    url: String,
    daemon: Daemon,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Alertmanager {
    /// Starts an Alertmanager with one silent receiver and these inhibition rules (the list under `inhibit_rules`).
    pub(crate) async fn start(inhibit_rules: &Value) -> Self {
        // Alertmanager reads YAML, of which JSON is a part.
        let config = serde_json::json!({
            "route": {"receiver": "none"},
            "receivers": [{"name": "none"}],
            "inhibit_rules": inhibit_rules,
        });
        Self::start_with(&config.to_string()).await
    }

    /// Starts an Alertmanager with this configuration.
    pub(crate) async fn start_with(config: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let address = format!("127.0.0.1:{}", free_port());
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, config).expect("the temporary folder can be written");
        let args = [
            format!("--config.file={}", file.display()),
            format!("--storage.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={address}"),
            "--cluster.listen-address=".to_owned(),
        ];
        let mut daemon = Daemon::start("alertmanager", &program("ALERTMANAGER"), args, folder.path());
        let client = http_client();
        let url = format!("http://{address}");
        let ready = format!("{url}/-/ready");
        daemon.until(|| answers(&client, &ready)).await;
        Self { url, daemon, client, _folder: folder }
    }

    /// Its address, `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Sends alerts, each by its labels, as Prometheus does.
    pub(crate) async fn send(&self, alerts: &[BTreeMap<&str, &str>]) {
        let body: Vec<_> = alerts.iter().map(|labels| serde_json::json!({"labels": labels})).collect();
        let answer = self
            .client
            .post(format!("{}/api/v2/alerts", self.url))
            .header("Content-Type", "application/json")
            .body(Value::from(body).to_string())
            .send()
            .await
            .expect("Alertmanager answers");
        assert!(answer.status().is_success(), "Alertmanager refused the alerts: {}", answer.status());
    }

    /// Waits until it has `count` alerts, none of them unprocessed, and returns them as its API shows them.
    pub(crate) async fn alerts(&mut self, count: usize) -> Vec<Value> {
        let (client, url) = (self.client.clone(), format!("{}/api/v2/alerts", self.url));
        let mut seen = Vec::new();
        let last = std::sync::Mutex::new(&mut seen);
        self.daemon
            .until(|| async {
                let Ok(answer) = client.get(&url).send().await else { return false };
                let Ok(text) = answer.text().await else { return false };
                let alerts: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
                let processed = alerts.iter().all(|alert| alert["status"]["state"] != "unprocessed");
                let done = processed && alerts.len() == count;
                **last.lock().expect("nothing panics under this lock") = alerts;
                done
            })
            .await;
        seen
    }
}
