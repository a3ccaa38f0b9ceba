//! A Prometheus that scrapes what a test names, with the shipped rules or others.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use super::{
    http_client,
    process::{Daemon, answers, free_port},
    program,
};

/// A running Prometheus.
#[derive(Debug)]
pub(crate) struct Prometheus {
    url: String,
    daemon: Daemon,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes `targets` (`HOST:PORT`) as job `pull-patrol` every second.
    pub(crate) async fn start(targets: &[&str], rules: &[&Path]) -> Self {
        Self::launch(targets, rules, &[]).await
    }

    /// As [`Self::start`], and it sends its alerts to an Alertmanager.
    pub(crate) async fn start_alerting(targets: &[&str], rules: &[&Path], alertmanager: &str) -> Self {
        Self::launch(targets, rules, &[alertmanager]).await
    }

    async fn launch(targets: &[&str], rules: &[&Path], alertmanagers: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        // Prometheus reads YAML, of which JSON is a part.
        let config = serde_json::json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": rules,
            "scrape_configs": [{"job_name": "pull-patrol", "static_configs": [{"targets": targets}]}],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": alertmanagers}]}]},
        });
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).expect("the temporary folder can be written");
        Self::run(&file, folder).await
    }

    /// Starts a Prometheus with this configuration file.
    pub(crate) async fn start_with(config: &Path) -> Self {
        Self::run(config, TempDir::new().expect("a temporary folder")).await
    }

    async fn run(config: &Path, folder: TempDir) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let args = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={address}"),
        ];
        let mut daemon = Daemon::start("prometheus", &program("PROMETHEUS"), args, folder.path());
        let client = http_client();
        let url = format!("http://{address}");
        let ready = format!("{url}/-/ready");
        daemon.until(|| answers(&client, &ready)).await;
        Self { url, daemon, client, _folder: folder }
    }

    /// The result of an instant query: one object with `metric` and `value` for each series.
    ///
    /// Panics when Prometheus refuses the query.
    pub(crate) async fn query(&self, expr: &str) -> Vec<Value> {
        let url = Url::parse_with_params(&format!("{}/api/v1/query", self.url), [("query", expr)])
            .expect("the address of Prometheus is a URL");
        let text = get(&self.client, url.as_str()).await;
        let mut answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(answer["status"], "success", "query {expr}: {text}");
        match answer["data"]["result"].take() {
            Value::Array(series) => series,
            other => panic!("query {expr} did not answer with series: {other}"),
        }
    }

    /// Waits until a query has a result, and returns it.
    pub(crate) async fn until(&mut self, expr: &str) -> Vec<Value> {
        let (client, url) = (self.client.clone(), self.url.clone());
        let url = Url::parse_with_params(&format!("{url}/api/v1/query"), [("query", expr)])
            .expect("the address of Prometheus is a URL");
        self.daemon
            .until(|| async {
                let text = get(&client, url.as_str()).await;
                let answer: Value = serde_json::from_str(&text).unwrap_or_default();
                answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty())
            })
            .await;
        self.query(expr).await
    }

    /// Waits until every rule was evaluated, and returns the rules as Prometheus has them, with `health` and `lastError`.
    pub(crate) async fn evaluated_rules(&mut self) -> Vec<Value> {
        let (client, url) = (self.client.clone(), format!("{}/api/v1/rules", self.url));
        self.daemon
            .until(|| async {
                let rules = rules(&get(&client, &url).await);
                !rules.is_empty() && rules.iter().all(|rule| rule["health"] != "unknown")
            })
            .await;
        rules(&get(&self.client, &url).await)
    }
}

async fn get(client: &reqwest::Client, url: &str) -> String {
    let answer = client.get(url).send().await.unwrap_or_else(|error| panic!("GET {url}: {error}"));
    answer.text().await.unwrap_or_else(|error| panic!("GET {url}: {error}"))
}

fn rules(answer: &str) -> Vec<Value> {
    let answer: Value = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    let groups = answer["data"]["groups"].as_array().expect("a list of groups");
    groups.iter().flat_map(|group| group["rules"].as_array().expect("a list of rules").clone()).collect()
}
