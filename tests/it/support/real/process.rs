//! Child processes: started with their output in files, waited for, killed on drop.

use std::{
    collections::HashSet,
    ffi::OsStr,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{LazyLock, Mutex},
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

/// How long a program may take to get ready. Generous: it only decides when a test gives up.
const READY_DEADLINE: Duration = Duration::from_secs(180);
const READY_POLL: Duration = Duration::from_millis(50);

/// What a program that ran to its end left.
#[derive(Debug)]
pub(crate) struct Output {
    /// Whether it ended with exit code 0.
    pub(crate) success: bool,
    /// Its exit code, unless a signal ended it.
    pub(crate) code: Option<i32>,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Output {
    /// Its standard output, of a program that must have succeeded.
    pub(crate) fn expect_success(self, what: &str) -> String {
        assert!(self.success, "{what}: exit code {:?}\n{}\n{}", self.code, self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs a program to its end.
pub(crate) async fn run<S: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = S>) -> Output {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| panic!("{} did not start: {error}", program.display()));
    Output {
        success: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A port of 127.0.0.1 that nothing listens on, and that no other test of this process was given.
pub(super) fn free_port() -> u16 {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        if GIVEN.lock().expect("nothing panics under this lock").insert(port) {
            return port;
        }
    }
}

/// A program that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a program; both its outputs go to `FOLDER/NAME.log`.
    pub(super) fn start<S: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        args: impl IntoIterator<Item = S>,
        folder: &Path,
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        let out = std::fs::File::create(&log).expect("the temporary folder can be written");
        let err = out.try_clone().expect("a file handle can be cloned");
        let child = Command::new(program)
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} ({}) did not start: {error}", program.display()));
        Self { name: name.to_owned(), child, log }
    }

    /// Waits until `ready` says yes; panics with the end of the log when the program ends before, or never gets ready.
    pub(super) async fn until<F: Future<Output = bool>>(&mut self, mut ready: impl FnMut() -> F) {
        let deadline = Instant::now() + READY_DEADLINE;
        loop {
            let ended = self.child.try_wait().expect("the child can be asked for its state");
            assert!(ended.is_none(), "{} ended before it was ready ({ended:?}):\n{}", self.name, self.log_tail());
            if ready().await {
                return;
            }
            assert!(Instant::now() < deadline, "{} did not get ready:\n{}", self.name, self.log_tail());
            sleep(READY_POLL).await;
        }
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        self.child.kill().await.expect("a child of this process can be killed");
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// Whether a URL answers with 200.
pub(super) async fn answers(client: &reqwest::Client, url: &str) -> bool {
    matches!(client.get(url).send().await, Ok(response) if response.status() == reqwest::StatusCode::OK)
}
