//! Runs one attempt at a build: carries out what [`Life`] decides.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use buildlet_client::{Client, CommError, Exec, ExecOutcome};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::event::Event as FarmEvent;
use crate::farm::Inner;
use crate::life::{Effect, Ending, Event, Exit, Life, Trouble};
use crate::logs::LogWriter;
use crate::pool::Lease;
use crate::store::{AttemptEnd, AttemptId, Next, QueuedBuild, StoreError};
use crate::work::{Archive, WorkSource};

/// Where the tree is unpacked on the worker, relative to its work directory.
const TREE: &str = "src";
/// Pauses between tries while the store cannot be written.
const STORE_PAUSE: Duration = Duration::from_millis(200);
const STORE_PAUSE_MAX: Duration = Duration::from_secs(10);

/// One attempt, with all it needs.
pub(crate) struct Attempt {
    pub(crate) farm: Arc<Inner>,
    pub(crate) source: Arc<dyn WorkSource>,
    pub(crate) queued: QueuedBuild,
    pub(crate) lease: Lease,
    /// The coordinator stops.
    pub(crate) stop: CancellationToken,
}

type Log = Arc<Mutex<Box<dyn LogWriter>>>;
type Activity = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What an activity came to.
enum Done {
    Archive(Archive),
    Tree,
    Exit(Exit),
    Trouble(String),
}

impl Attempt {
    /// Runs the attempt to its end, which is in the store when this returns. Says what became of the build; `None` if the
    /// build was not to be had, because something else took it.
    pub(crate) async fn run(self) -> Option<Next> {
        let build = self.queued.build.id;
        let steps: Vec<_> = self
            .queued
            .plan
            .steps
            .iter()
            .map(|s| s.name.clone())
            .collect();
        let store = &self.farm.store;
        let begun = self
            .farm
            .persist(|| store.begin_attempt(build, &self.lease.worker, &steps, Timestamp::now()))
            .await;
        let id = match begun {
            Ok(number) => AttemptId { build, number },
            Err(error) => {
                // The worker did nothing yet and is as good as before.
                tracing::warn!(
                    build,
                    error = &error as &dyn std::error::Error,
                    "build could not be started"
                );
                self.lease.release();
                return None;
            }
        };
        self.farm.announce(build, FarmEvent::Started).await;
        let ending = match self.farm.logs.create(id, self.queued.plan.log_limit).await {
            Ok(log) => {
                let log = Arc::new(Mutex::new(log));
                let ending = self.drive(id, &log).await;
                (
                    ending,
                    Arc::into_inner(log)
                        .map(|log| log.into_inner().unwrap_or_else(PoisonError::into_inner)),
                )
            }
            Err(error) => {
                let reason = format!("the log could not be opened: {}", chain(&error));
                (
                    Ending {
                        outcome: buildfarm_dashboard::record::Outcome::InfraFailed,
                        reason,
                        worker_sound: true,
                        interrupted: false,
                    },
                    None,
                )
            }
        };
        Some(self.finish(id, ending.0, ending.1).await)
    }

    /// The loop between the state machine and the world.
    async fn drive(&self, id: AttemptId, log: &Log) -> Ending {
        let mut life = Life::new(&self.queued.plan);
        let mut archive = None;
        let mut activity: Option<Activity> = None;
        let mut event = Event::Leased;
        loop {
            for effect in life.on(event, Timestamp::now()) {
                match effect {
                    Effect::FetchSource => activity = Some(self.fetch()),
                    Effect::PutTree => activity = archive.take().map(|archive| self.put(archive)),
                    Effect::Run(step) => match self.begin_step(id, step, log).await {
                        Ok(()) => activity = Some(self.exec(step, log.clone())),
                        Err(error) => {
                            activity = Some(Box::pin(async move { Done::Trouble(chain(&error)) }))
                        }
                    },
                    Effect::EndStep(step, outcome, status) => {
                        let store = &self.farm.store;
                        let now = Timestamp::now();
                        let ended = self
                            .farm
                            .persist(|| store.end_step(id, step, outcome, &status, now))
                            .await;
                        if let Err(error) = ended {
                            tracing::error!(%id, step, error = &error as &dyn std::error::Error, "step's end was not recorded");
                        }
                    }
                    // Dropping an exec closes its connection, at which the worker kills the whole process tree.
                    Effect::Stop => activity = None,
                    Effect::End(ending) => return ending,
                }
            }
            let wake = life.wake().map(|at| {
                Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()
            });
            event = tokio::select! {
                biased;
                () = self.stop.cancelled() => Event::Trouble(Trouble::Interrupted),
                done = async { match &mut activity { Some(activity) => activity.await, None => std::future::pending().await } } => {
                    activity = None;
                    match done {
                        Done::Archive(found) => {
                            archive = Some(found);
                            Event::SourceReady
                        }
                        Done::Tree => Event::TreeReady,
                        Done::Exit(exit) => Event::Exited(exit),
                        Done::Trouble(reason) => Event::Trouble(Trouble::Failed(reason)),
                    }
                }
                reason = self.lease.client.dead() => {
                    Event::Trouble(Trouble::Failed(format!("worker {} was lost: {reason}", self.lease.worker)))
                }
                () = sleep(wake) => Event::Tick,
            };
        }
    }

    fn fetch(&self) -> Activity {
        let (source, commit) = (self.source.clone(), self.queued.build.commit.clone());
        Box::pin(async move {
            match source.archive(&commit).await {
                Ok(archive) => Done::Archive(archive),
                Err(error) => Done::Trouble(format!(
                    "the source could not be fetched: {}",
                    chain(&error)
                )),
            }
        })
    }

    fn put(&self, archive: Archive) -> Activity {
        let client = self.lease.client.clone();
        let worker = self.lease.worker.clone();
        Box::pin(async move {
            let file = match tokio::fs::File::open(&archive.path).await {
                Ok(file) => file,
                Err(error) => {
                    return Done::Trouble(format!("the source archive cannot be read: {error}"));
                }
            };
            match client.put_tar(TREE, file).await {
                Ok(()) => Done::Tree,
                Err(error) => Done::Trouble(format!(
                    "the source could not be put on worker {worker}: {}",
                    chain(&error)
                )),
            }
        })
    }

    async fn begin_step(&self, id: AttemptId, step: usize, log: &Log) -> Result<(), StoreError> {
        let offset = lock(log).len();
        let store = &self.farm.store;
        self.farm
            .persist(|| store.begin_step(id, step, offset, Timestamp::now()))
            .await?;
        let name = self.queued.plan.steps[step].name.clone();
        self.farm.send(FarmEvent::StepStarted {
            attempt: id,
            step,
            name,
        });
        Ok(())
    }

    fn exec(&self, step: usize, log: Log) -> Activity {
        let (client, exec) = (self.lease.client.clone(), self.command(step));
        let worker = self.lease.worker.clone();
        Box::pin(async move {
            match watch(&client, exec, &log).await {
                Ok(exit) => Done::Exit(exit),
                Err(Unseen::Comm(error)) => Done::Trouble(format!(
                    "contact with worker {worker} was lost: {}",
                    chain(&error)
                )),
                Err(Unseen::Log(error)) => {
                    Done::Trouble(format!("the log could not be written: {}", chain(&error)))
                }
                Err(Unseen::NotStarted(text)) => Done::Trouble(format!(
                    "worker {worker} could not start the command: {text}"
                )),
            }
        })
    }

    fn command(&self, step: usize) -> Exec {
        let (plan, build) = (&self.queued.plan, &self.queued.build);
        let step = &plan.steps[step];
        let dir = step.dir.as_deref().unwrap_or(&plan.dir);
        let dir = if dir.is_empty() {
            TREE.to_owned()
        } else {
            format!("{TREE}/{dir}")
        };
        let mut shell = plan.shell.iter();
        let mut exec = Exec::system(shell.next().map_or("sh", String::as_str))
            .args(shell)
            .arg(&step.run)
            .dir(dir);
        let given = [
            ("CI", "true".to_owned()),
            ("BUILDFARM_BUILD", build.id.to_string()),
            ("BUILDFARM_BUILDER", build.builder.clone()),
            ("BUILDFARM_COMMIT", build.commit.clone()),
            ("BUILDFARM_BRANCH", build.branch.clone()),
            // The name that scripts written for the original look at.
            ("GO_BUILDER_NAME", build.builder.clone()),
        ];
        for (name, value) in given {
            exec = exec.env(name, value);
        }
        for (name, value) in plan.env.iter().chain(&step.env) {
            exec = exec.env(name, value);
        }
        exec
    }

    async fn finish(self, id: AttemptId, ending: Ending, log: Option<Box<dyn LogWriter>>) -> Next {
        let sealed = match log {
            Some(log) => log.seal().await,
            None => self.farm.logs.recover(id).await,
        };
        let sealed = match sealed {
            Ok(sealed) => Some(sealed),
            Err(error) => {
                tracing::error!(%id, error = &error as &dyn std::error::Error, "log could not be sealed");
                None
            }
        };
        // A result without its log is not a result: the attempt counts as ours to repeat.
        let ending = if sealed.is_some() || ending.interrupted {
            ending
        } else {
            let reason = format!(
                "the log could not be kept (the build itself: {})",
                ending.reason
            );
            Ending {
                outcome: buildfarm_dashboard::record::Outcome::InfraFailed,
                reason,
                ..ending
            }
        };
        let now = Timestamp::now();
        let next = self
            .queued
            .plan
            .retry
            .decide(&ending, self.queued.infra_failures, now);
        let (log_bytes, log_sha256) = sealed.map(|s| (s.bytes, s.sha256)).unwrap_or_default();
        let end = AttemptEnd {
            outcome: ending.outcome,
            reason: ending.reason.clone(),
            log_bytes,
            log_sha256,
            next,
        };
        let store = &self.farm.store;
        if let Err(error) = self.farm.persist(|| store.end_attempt(id, &end, now)).await {
            tracing::error!(%id, error = &error as &dyn std::error::Error, "attempt's end was not recorded");
        }
        if ending.worker_sound {
            self.lease.release();
        } else {
            drop(self.lease);
        }
        match next {
            Next::Final => self.farm.announce(id.build, FarmEvent::Finished).await,
            Next::Requeue { .. } => {
                let reason = ending.reason;
                self.farm
                    .announce(id.build, |build| FarmEvent::Retrying { build, reason })
                    .await;
            }
        }
        next
    }
}

/// Why a command's end was not seen.
enum Unseen {
    Comm(CommError),
    Log(crate::logs::LogError),
    NotStarted(String),
}

/// Runs a command, with its output into the log as it comes.
async fn watch(client: &Client, exec: Exec, log: &Log) -> Result<Exit, Unseen> {
    let mut running = client.exec(exec).await.map_err(Unseen::Comm)?;
    while let Some(output) = running.next_output().await {
        let output = output.map_err(Unseen::Comm)?;
        lock(log).append(output).map_err(Unseen::Log)?;
    }
    match running.wait().await.map_err(Unseen::Comm)? {
        ExecOutcome::Exited(code) => Ok(Exit::Status(code)),
        ExecOutcome::Signaled { signal, core } => Ok(Exit::Signal(if core {
            format!("{signal} (core dumped)")
        } else {
            signal
        })),
        ExecOutcome::NotStarted(text) => Err(Unseen::NotStarted(text)),
        other => Ok(Exit::Other(other.to_string())),
    }
}

impl Inner {
    /// Repeats a change to the store until it is made, or is out of date. The farm does not go on without its memory: a
    /// full disk makes builds wait, not vanish.
    pub(crate) async fn persist<T, F>(&self, mut change: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut pause = STORE_PAUSE;
        loop {
            match change().await {
                Err(StoreError::Database(error)) if !self.gone.is_cancelled() => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "store cannot be written; trying again"
                    );
                    self.send(FarmEvent::Notice(format!(
                        "the store cannot be written: {}",
                        chain(&error)
                    )));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.gone.cancelled() => {}
                    }
                    pause = (pause * 2).min(STORE_PAUSE_MAX);
                }
                result => return result,
            }
        }
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// An error with all its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn lock(log: &Log) -> std::sync::MutexGuard<'_, Box<dyn LogWriter>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
