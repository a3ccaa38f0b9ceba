//! The built daemon in a process of its own, which a test can kill.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A running daemon.
pub(crate) struct Program {
    child: Child,
    url: String,
    client: reqwest::Client,
    log: tokio::task::JoinHandle<String>,
}

impl Program {
    /// Start `serve` with these arguments, and wait until it listens.
    pub(crate) async fn start(config: &Path, arguments: &[&str]) -> Self {
        match Self::try_start(config, arguments).await {
            Ok(this) => this,
            Err(log) => panic!("the daemon ended:\n{log}"),
        }
    }

    /// As [`Self::start`]; the log, when it ends before.
    pub(crate) async fn try_start(config: &Path, arguments: &[&str]) -> Result<Self, String> {
        Self::launch(Command::new(env!("CARGO_BIN_EXE_pull-patrol")), config, arguments).await
    }

    /// As [`Self::start`], after commands of a shell that bound what the process may have.
    pub(crate) async fn start_bounded(bounds: &str, config: &Path, arguments: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{bounds}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_pull-patrol")]);
        match Self::launch(shell, config, arguments).await {
            Ok(this) => this,
            Err(log) => panic!("the daemon ended:\n{log}"),
        }
    }

    async fn launch(mut program: Command, config: &Path, arguments: &[&str]) -> Result<Self, String> {
        pull_patrol::probe::install_tls_provider();
        let mut child = program
            .args(["serve", "--web.listen-address", "127.0.0.1:0", "--config.file"])
            .arg(config)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the daemon starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut log = String::new();
        let address = loop {
            let mut line = String::new();
            if stderr.read_line(&mut line).await.expect("readable") == 0 {
                return Err(log);
            }
            log.push_str(&line);
            if let Some((_, rest)) = line.split_once("address=") {
                break rest.split_whitespace().next().expect("an address").trim_matches('"').to_owned();
            }
        };
        let log = tokio::spawn(async move {
            let mut rest = Vec::new();
            // A killed process leaves half a line.
            let _ = stderr.read_to_end(&mut rest).await;
            log + &String::from_utf8_lossy(&rest)
        });
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Ok(Self { child, url: format!("http://{address}"), client, log })
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Status and body of a page; `None` when the daemon is gone.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().await.ok()?))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Status and body of a POST.
    pub(crate) async fn post(&self, path: &str) -> (u16, String) {
        let response = self.client.post(format!("{}{path}", self.url)).send().await.expect("it answers");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    /// Send it a signal.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().await.expect("kill runs");
        assert!(sent.success());
    }

    /// The metrics, once the daemon is ready.
    pub(crate) async fn ready_metrics(&self) -> String {
        while self.get("/readyz").await.is_none_or(|(status, _)| status != 200) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.get("/metrics").await.expect("it answers").1
    }

    /// Metrics that satisfy a condition.
    pub(crate) async fn metrics_when(&self, condition: impl Fn(&str) -> bool) -> String {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(90);
        loop {
            let text = self.get("/metrics").await.map(|(_, text)| text).unwrap_or_default();
            if condition(&text) {
                return text;
            }
            assert!(tokio::time::Instant::now() < deadline, "never so:\n{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// End it as `kill -9` does. Returns its log.
    pub(crate) async fn kill(mut self) -> String {
        self.child.kill().await.expect("a child can be killed");
        self.log.await.expect("read")
    }

    /// End it in order. Returns its log.
    pub(crate) async fn stop(mut self) -> String {
        let pid = self.child.id().expect("it runs").to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs");
        assert!(self.child.wait().await.expect("it ends").success(), "SIGTERM ends it in order");
        self.log.await.expect("read")
    }
}
