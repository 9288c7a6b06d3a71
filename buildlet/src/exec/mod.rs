//! `POST /exec`: run one command, stream its output, tell how it ended, leave nothing behind.

mod env;
mod pump;
mod resolve;
mod state;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use env::EnvPolicy;
use pump::pump;
use resolve::{Resolved, resolve};

use crate::config::KillPolicy;
use crate::form::{Form, go_bool};
use crate::http1::{Abort, Exchange, Gone, Output, Reply};
use crate::service::{Worker, body_error};
use crate::tree::{self, Destroyed, Tree};
use crate::workdir::random_hex;

/// One command, ready to start.
struct Job {
    resolved: Resolved,
    args: Vec<OsString>,
    env: Vec<OsString>,
    id: String,
    debug: bool,
}

/// How a job ended.
enum Ended {
    Exited {
        status: ExitStatus,
        strays: Destroyed,
    },
    NotStarted(String),
}

pub(crate) async fn handle<T>(worker: &Worker, exchange: &mut Exchange<T>) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if !exchange.head().http11 {
        let reply = Reply::error(400, "HTTP/1.1 or higher required");
        return exchange.reply(reply).await;
    }
    let form = match Form::read(exchange, worker.config.limits.form).await {
        Ok(form) => form,
        Err(error) => return body_error(exchange, &error).await,
    };
    let Some(_slot) = worker.exec_slot() else {
        let reply = Reply::error(503, "no more commands are taken");
        return exchange.reply(reply).await;
    };
    let job = match prepare(worker, &form) {
        Ok(job) => job,
        Err((status, text)) => return refuse(exchange, status, &text).await,
    };
    let head = Reply::new(200).header("Trailer", "Process-State");
    let (output, mut peer) = exchange.stream(head).await?;
    tokio::select! {
        biased;
        gone = peer.gone() => {
            tracing::info!(exec = %job.id, ?gone, "client went away, command is killed");
            Err(match gone {
                Gone::Closed | Gone::Failed => Abort::Gone,
                Gone::Flood => Abort::Handler("client sent ahead without end".to_owned()),
            })
        }
        () = worker.stop.cancelled() => Err(Abort::Handler("worker stops".to_owned())),
        done = run(worker, &job, output) => done,
    }
}

/// Refusals after the method check carry the trailer header too, and are chunked, as in Go.
async fn refuse<T>(exchange: &mut Exchange<T>, status: u16, text: &str) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let head = Reply::new(status)
        .header("Content-Type", "text/plain; charset=utf-8")
        .header("Trailer", "Process-State")
        .header("X-Content-Type-Options", "nosniff");
    let (mut output, _) = exchange.stream(head).await?;
    output.write(format!("{text}\n").as_bytes()).await?;
    output.finish(&[]).await
}

fn prepare(worker: &Worker, form: &Form) -> Result<Job, (u16, String)> {
    let config = &worker.config;
    let work_dir = worker.work_dir.path();
    let resolved = resolve(
        form.value("cmd"),
        form.value("dir"),
        form.value("mode") == b"sys",
        work_dir,
        config.env.get("PATH"),
    )
    .map_err(|error| (error.status(), error.to_string()))?;
    let failed = |error: io::Error| (500, error.to_string());
    let id = random_hex::<16>().map_err(failed)?;
    let tmp = work_dir.join("tmp");
    // Made here and not at the start, because clients legitimately empty the work directory.
    worker.work_dir.dir().map_err(failed)?;
    std::fs::create_dir_all(&tmp).map_err(failed)?;
    let ours = [
        ("WORKDIR", work_dir.into()),
        ("TMPDIR", tmp.into()),
        ("GOCACHE", work_dir.join("gocache").into()),
        ("GOPLSCACHE", work_dir.join("goplscache").into()),
        ("PWD", resolved.dir.clone().into()),
        (tree::WORK_DIR, work_dir.into()),
        (tree::EXEC_ID, OsString::from(&id)),
    ];
    let path: Vec<&[u8]> = form.post("path").collect();
    let env = env::compose(&config.env, form.post("env"), &ours, &path, work_dir);
    let args = form
        .post("cmdArg")
        .map(|arg| OsString::from_vec(arg.to_vec()))
        .collect();
    Ok(Job {
        resolved,
        args,
        env,
        id,
        debug: go_bool(form.value("debug")),
    })
}

async fn run<T>(worker: &Worker, job: &Job, mut output: Output<'_, T>) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite,
{
    if job.debug {
        output.write(describe(job).as_bytes()).await?;
    }
    let ended = supervise(worker, job, &mut output).await?;
    let mut trailers = Vec::new();
    match ended {
        Ended::NotStarted(text) => {
            trailers.push(("Process-State", text));
            trailers.push(("Buildlet-Outcome", "not-started".to_owned()));
        }
        Ended::Exited { status, strays } => {
            trailers.push(("Process-State", state::process_state(status)));
            if let Some(code) = status.code() {
                trailers.push(("Buildlet-Outcome", "exited".to_owned()));
                trailers.push(("Buildlet-Exit-Code", code.to_string()));
            } else {
                trailers.push(("Buildlet-Outcome", "signaled".to_owned()));
                let signal = status.signal().unwrap_or_default();
                trailers.push(("Buildlet-Signal", signal.to_string()));
            }
            if strays.killed > 0 {
                trailers.push(("Buildlet-Strays-Killed", strays.killed.to_string()));
            }
        }
    }
    output.finish(&trailers).await
}

fn describe(job: &Job) -> String {
    let mut args = vec![&job.resolved.arg0];
    args.extend(&job.args);
    format!(
        ":: Running {} with args {args:?} and env {:?} in dir {}\n\n",
        job.resolved.program.display(),
        job.env,
        job.resolved.dir.display(),
    )
}

async fn supervise<T>(
    worker: &Worker,
    job: &Job,
    output: &mut Output<'_, T>,
) -> Result<Ended, Abort>
where
    T: AsyncRead + AsyncWrite,
{
    let (mut running, pipe) = match start(worker, job).await {
        Ok(started) => started,
        Err(error) => {
            let Resolved { program, dir, .. } = &job.resolved;
            return Ok(Ended::NotStarted(state::start_failure(
                program, dir, &error,
            )));
        }
    };
    let enough = CancellationToken::new();
    // The same future throughout: one dropped halfway could leave half a chunk on the wire.
    let mut pumping = pin!(pump(pipe, output, &enough));
    let mut pumped = false;
    let status = tokio::select! {
        status = running.wait() => status,
        done = &mut pumping => {
            done?;
            pumped = true;
            running.wait().await
        }
    };
    let status =
        status.map_err(|error| Abort::Handler(format!("command not observed: {error}")))?;
    if !pumped && let Ok(done) = timeout(worker.config.kill.drain, &mut pumping).await {
        done?;
        pumped = true;
    }
    let strays = running.finish().await;
    if !pumped {
        enough.cancel();
        pumping.await?;
    }
    if strays.killed > 0 {
        tracing::info!(exec = %job.id, killed = strays.killed, left = strays.left, "command left processes behind");
    }
    Ok(Ended::Exited { status, strays })
}

async fn start(worker: &Worker, job: &Job) -> io::Result<(Running, pipe::Receiver)> {
    let mut pause = Duration::from_millis(5);
    loop {
        match try_start(worker, job) {
            // A program written a moment ago may still be open for writing in another child that is just being
            // started: a known race of every system that forks. It passes.
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && pause < Duration::from_millis(500) =>
            {
                sleep(pause).await;
                pause *= 2;
            }
            other => return other,
        }
    }
}

fn try_start(worker: &Worker, job: &Job) -> io::Result<(Running, pipe::Receiver)> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(&job.resolved.program);
    command
        .arg0(&job.resolved.arg0)
        .args(&job.args)
        .current_dir(&job.resolved.dir)
        .env_clear()
        .envs(job.env.iter().filter_map(|entry| env::split(entry)))
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let (child, tree) = worker.processes.spawn(&mut command, &job.id)?;
    // Our ends for writing go with the command, or the pipe would never end.
    drop(command);
    let mut running = Running {
        parts: Some((child, Arc::new(tree))),
        output: None,
        kill: worker.config.kill,
        tracker: worker.tracker.clone(),
    };
    if !running.kill.grace.is_zero() {
        running.output = Some(reader.try_clone()?);
    }
    let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    Ok((running, pipe))
}

/// A started command. Dropping it before the end kills all its processes, in the background.
struct Running {
    parts: Option<(Child, Arc<Tree>)>,
    /// Where its output can still be read while it is given time to end itself.
    output: Option<io::PipeReader>,
    kill: KillPolicy,
    tracker: TaskTracker,
}

impl Running {
    /// Waits for the main process. Cancel safe.
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let Some((child, tree)) = &mut self.parts else {
            return Err(io::Error::other("waited for twice"));
        };
        let status = child.wait().await?;
        tree.main_reaped();
        Ok(status)
    }

    /// Kills what the main process left behind.
    async fn finish(mut self) -> Destroyed {
        let Some((_, tree)) = &self.parts else {
            return Destroyed::default();
        };
        if !tree.may_have_left() {
            self.parts = None;
            return Destroyed::default();
        }
        let swept = Arc::clone(tree);
        let limit = self.kill.limit;
        let sweep = tokio::task::spawn_blocking(move || {
            let destroyed = swept.destroy(Duration::ZERO, limit);
            swept.processes().sweep_if_idle(limit);
            destroyed
        });
        let destroyed = sweep.await.unwrap_or_default();
        self.parts = None;
        destroyed
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((child, tree)) = self.parts.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let end = end(child, tree, self.kill, self.output.take());
            self.tracker.spawn_on(end, &runtime);
        }
    }
}

async fn end(mut child: Child, tree: Arc<Tree>, kill: KillPolicy, output: Option<io::PipeReader>) {
    let swept = Arc::clone(&tree);
    let sweep = tokio::task::spawn_blocking(move || swept.destroy(kill.grace, kill.limit));
    let wait = async {
        let ended = timeout(kill.grace + kill.limit, child.wait()).await;
        if matches!(ended, Ok(Ok(_))) {
            tree.main_reaped();
        }
    };
    let swept = async { tokio::join!(sweep, wait).0 };
    let destroyed = tokio::select! {
        destroyed = swept => destroyed,
        // Never ends; a writer whose reader vanished would die of it instead of ending itself.
        never = discard(output) => match never {},
    };
    let late = Arc::clone(&tree);
    let sweep = tokio::task::spawn_blocking(move || late.processes().sweep_if_idle(kill.limit));
    if let Err(error) = sweep.await {
        tracing::warn!(%error, "orphans not swept");
    }
    match destroyed {
        Ok(Destroyed { killed, left: 0 }) => tracing::debug!(killed, "command killed"),
        Ok(Destroyed { killed, left }) => {
            tracing::warn!(killed, left, "processes of a command do not die");
        }
        Err(error) => tracing::warn!(%error, "command not killed"),
    }
}

async fn discard(output: Option<io::PipeReader>) -> std::convert::Infallible {
    let pipe = output.and_then(|output| pipe::Receiver::from_owned_fd(output.into()).ok());
    if let Some(mut pipe) = pipe {
        // An error ends it like the end does: there is nothing more to take.
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    std::future::pending().await
}
