//! The end of the daemon, in stages: first what probes and watches, then the Lease, then the web ports.

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::setup::SetupError;

/// Tasks with their names, and how each ended.
pub(super) type Tasks = JoinSet<(&'static str, Result<(), String>)>;

/// Tasks that end together.
pub(super) struct Stage {
    pub(super) tasks: Tasks,
    /// Cancelled when they shall end.
    pub(super) stop: CancellationToken,
}

impl Stage {
    fn new(stop: CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), stop }
    }

    fn is_over(&self) -> bool {
        self.stop.is_cancelled() && self.tasks.is_empty()
    }
}

/// Who ends when.
pub(super) struct Stages {
    /// What probes and watches ends with `shutdown`.
    pub(super) work: Stage,
    /// Then the Lease is given up: nobody probes any more.
    pub(super) lease: Stage,
    /// Then the ports close: there is nothing to tell any more.
    pub(super) web: Stage,
}

impl Stages {
    pub(super) fn new(shutdown: CancellationToken) -> Self {
        // What ends later has tokens of its own, which `shutdown` does not reach.
        Self {
            work: Stage::new(shutdown),
            lease: Stage::new(CancellationToken::new()),
            web: Stage::new(CancellationToken::new()),
        }
    }

    /// Watch all tasks to their end. One that ends before its stage does is an error: nothing runs unobserved.
    pub(super) async fn watch(mut self) -> Result<(), SetupError> {
        loop {
            if self.work.is_over() {
                self.lease.stop.cancel();
            }
            if self.lease.is_over() {
                self.web.stop.cancel();
            }
            if self.web.is_over() {
                return Ok(());
            }
            let (joined, told) = tokio::select! {
                Some(joined) = self.work.tasks.join_next() => (joined, self.work.stop.is_cancelled()),
                Some(joined) = self.lease.tasks.join_next() => (joined, self.lease.stop.is_cancelled()),
                Some(joined) = self.web.tasks.join_next() => (joined, self.web.stop.is_cancelled()),
            };
            judge(joined, told)?;
        }
    }
}

fn judge(joined: Result<(&'static str, Result<(), String>), JoinError>, told: bool) -> Result<(), SetupError> {
    let (task, result) =
        joined.map_err(|error| SetupError::TaskEnded { task: "background", reason: error.to_string() })?;
    match result {
        Err(reason) => Err(SetupError::TaskEnded { task, reason }),
        Ok(()) if told => Ok(()),
        Ok(()) => Err(SetupError::TaskEnded { task, reason: "nobody told it to".to_owned() }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Stages whose tasks write down when they end.
    fn stages() -> (Stages, CancellationToken, Arc<Mutex<Vec<&'static str>>>) {
        let shutdown = CancellationToken::new();
        let mut stages = Stages::new(shutdown.clone());
        let log = Arc::new(Mutex::new(Vec::new()));
        let Stages { work, lease, web } = &mut stages;
        for (stage, names) in [(web, &["web"][..]), (lease, &["lease"]), (work, &["patrol", "watch"])] {
            for name in names.iter().copied() {
                let (stop, log) = (stage.stop.clone(), Arc::clone(&log));
                stage.tasks.spawn(async move {
                    stop.cancelled().await;
                    if name == "patrol" {
                        // Saving takes its time, and nothing is given up before.
                        tokio::time::sleep(std::time::Duration::from_secs(9)).await;
                    }
                    log.lock().unwrap().push(name);
                    (name, Ok(()))
                });
            }
        }
        (stages, shutdown, log)
    }

    #[tokio::test(start_paused = true)]
    async fn one_stage_after_the_other() {
        let (stages, shutdown, log) = stages();
        let watched = tokio::spawn(stages.watch());
        tokio::task::yield_now().await;
        shutdown.cancel();
        watched.await.unwrap().unwrap();
        assert_eq!(*log.lock().unwrap(), ["watch", "patrol", "lease", "web"]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_election_the_web_follows_the_work() {
        let (mut stages, shutdown, log) = stages();
        stages.lease.tasks.shutdown().await;
        shutdown.cancel();
        stages.watch().await.unwrap();
        assert_eq!(*log.lock().unwrap(), ["watch", "patrol", "web"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_unasked_ends_all() {
        for (name, result) in [("patrol", Ok(())), ("web", Err("cannot listen".to_owned()))] {
            let (mut stages, ..) = stages();
            stages.lease.tasks.spawn(async move { (name, result) });
            let error = stages.watch().await.unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        let (mut stages, ..) = stages();
        stages.web.tasks.spawn(async { panic!("a handler") });
        assert!(stages.watch().await.unwrap_err().to_string().contains("background"));
    }
}
