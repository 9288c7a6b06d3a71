//! Workers on this machine: child processes that join over the network like all others.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, ChildStdin, Command};
use tokio_util::sync::CancellationToken;

/// A child that dies young is started again after this long, and twice as long each further time.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A child that lived this long was not a failure to start.
const STABLE: Duration = Duration::from_secs(60);
/// Time for a child to end by itself when its standard input closes.
const GRACE: Duration = Duration::from_secs(2);

/// How to start a worker.
#[derive(Debug, Clone)]
pub(crate) struct LocalWorker {
    pub(crate) coordinator: String,
    pub(crate) key_file: PathBuf,
    pub(crate) workdir: PathBuf,
    pub(crate) hostname: String,
    pub(crate) host_type: String,
}

impl LocalWorker {
    /// Keeps one worker running until told to stop.
    pub(crate) async fn keep(self, stop: CancellationToken) {
        let mut pause = PAUSE;
        while !stop.is_cancelled() {
            let began = tokio::time::Instant::now();
            match self.start() {
                Ok((mut child, lifeline)) => tokio::select! {
                    biased;
                    () = stop.cancelled() => {
                        // The worker takes the end of its standard input as the end of its coordinator.
                        drop(lifeline);
                        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                            let _ = child.kill().await;
                        }
                        return;
                    }
                    status = child.wait() => tracing::warn!(worker = self.hostname, ?status, "local worker ended; starting it again"),
                },
                Err(error) => tracing::error!(
                    worker = self.hostname,
                    "local worker cannot be started: {error:#}"
                ),
            }
            pause = if began.elapsed() > STABLE {
                PAUSE
            } else {
                (pause * 2).min(PAUSE_MAX)
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// The child, and its standard input: `Child::wait` would close that, which to a worker is the end of its coordinator.
    fn start(&self) -> anyhow::Result<(Child, Option<ChildStdin>)> {
        std::fs::create_dir_all(&self.workdir)?;
        let program = std::env::current_exe().context("own program file not found")?;
        let mut command = Command::new(program);
        let mut child = command
            .arg("worker")
            .args([
                "--coordinator",
                &self.coordinator,
                "--hostname",
                &self.hostname,
                "--host-type",
                &self.host_type,
            ])
            .arg("--key-file")
            .arg(&self.key_file)
            .arg("--workdir")
            .arg(&self.workdir)
            .stdin(Stdio::piped())
            // Ctrl-C is for the coordinator, which then ends its workers in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("process cannot be started")?;
        let lifeline = child.stdin.take();
        Ok((child, lifeline))
    }
}
