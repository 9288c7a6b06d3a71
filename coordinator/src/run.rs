//! Runs one attempt at a build: carries out what [`Life`] decides.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use buildlet_client::{Client, CommError, Exec, ExecOutcome};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::event::Event as FarmEvent;
use crate::farm::Inner;
use crate::life::{Cause, Effect, Ending, Event, Exit, Life, Trouble};
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
    Trouble(Trouble),
}

impl Attempt {
    /// Runs the attempt to its end, which is in the store when this returns: the store says what became of the build. Returns
    /// whether the worker may be trusted with another attempt.
    pub(crate) async fn run(self) -> bool {
        let build = self.queued.build.id;
        let steps = self.queued.plan.steps.iter();
        let steps: Vec<_> = steps.map(|s| s.name.clone()).collect();
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
                return true;
            }
        };
        self.farm.announce(build, FarmEvent::Started).await;
        let (ending, log) = match self.farm.logs.create(id, self.queued.plan.log_limit).await {
            Ok(log) => {
                let log = Arc::new(Mutex::new(log));
                let ending = self.drive(id, &log).await;
                let log = Arc::into_inner(log);
                (
                    ending,
                    log.map(|log| log.into_inner().unwrap_or_else(PoisonError::into_inner)),
                )
            }
            Err(error) => {
                let reason = format!("the log could not be opened: {}", chain(&error));
                (Ending::own(reason), None)
            }
        };
        self.finish(id, ending, log).await
    }

    /// The loop between the state machine and the world.
    async fn drive(&self, id: AttemptId, log: &Log) -> Ending {
        let mut life = Life::new(&self.queued.plan);
        let mut archive = None;
        let mut activity: Option<Activity> = None;
        let mut event = Event::Leased;
        // Stands still while the store is waited for: a full disk makes builds wait, it does not time them out.
        let mut taken = Duration::ZERO;
        loop {
            for effect in life.on(event, taken) {
                match effect {
                    Effect::FetchSource => activity = Some(self.fetch()),
                    Effect::PutTree => activity = archive.take().map(|archive| self.put(archive)),
                    Effect::Run(step) => match self.begin_step(id, step, log).await {
                        Ok(()) => activity = Some(self.exec(step, log.clone())),
                        Err(error) => {
                            let trouble = Trouble::Own(chain(&error));
                            activity = Some(Box::pin(async move { Done::Trouble(trouble) }));
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
            let wake = life.wake().map(|at| at.saturating_sub(taken));
            let began = Instant::now();
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
                        Done::Trouble(trouble) => Event::Trouble(trouble),
                    }
                }
                reason = self.lease.client.dead() => {
                    Event::Trouble(Trouble::Worker(format!("worker {} was lost: {reason}", self.lease.worker)))
                }
                () = sleep(wake) => Event::Tick,
            };
            taken += began.elapsed();
        }
    }

    fn fetch(&self) -> Activity {
        let (source, commit) = (self.source.clone(), self.queued.build.commit.clone());
        Box::pin(async move {
            match source.archive(&commit).await {
                Ok(archive) => Done::Archive(archive),
                Err(error) => {
                    let reason = format!("the source could not be fetched: {}", chain(&error));
                    Done::Trouble(if error.is_ours() {
                        Trouble::Own(reason)
                    } else {
                        Trouble::Source(reason)
                    })
                }
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
                    let reason = format!("the source archive cannot be read: {error}");
                    return Done::Trouble(Trouble::Source(reason));
                }
            };
            match client.put_tar(TREE, file).await {
                Ok(()) => Done::Tree,
                Err(error) => Done::Trouble(Trouble::Worker(format!(
                    "the source could not be put on worker {worker}: {}",
                    chain(&error)
                ))),
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
                Err(Unseen::Comm(error)) => Done::Trouble(Trouble::Worker(format!(
                    "contact with worker {worker} was lost: {}",
                    chain(&error)
                ))),
                Err(Unseen::Log(error)) => Done::Trouble(Trouble::Own(format!(
                    "the log could not be written: {}",
                    chain(&error)
                ))),
                Err(Unseen::NotStarted(text)) => Done::Trouble(Trouble::Worker(format!(
                    "worker {worker} could not start the command: {text}"
                ))),
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

    async fn finish(self, id: AttemptId, ending: Ending, log: Option<Box<dyn LogWriter>>) -> bool {
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
        // A result without its log is not a result: the attempt is ours to repeat.
        let ending = if sealed.is_some() || ending.cause == Cause::Interruption {
            ending
        } else {
            Ending {
                worker_sound: ending.worker_sound,
                ..Ending::own(format!(
                    "the log could not be kept (the build itself: {})",
                    ending.reason
                ))
            }
        };
        let retry = self.queued.plan.retry;
        let next = retry.decide(&ending, self.queued.infra_failures, self.farm.now());
        let (log_bytes, log_sha256) = sealed.map(|s| (s.bytes, s.sha256)).unwrap_or_default();
        let end = AttemptEnd {
            outcome: ending.outcome,
            reason: ending.reason,
            log_bytes,
            log_sha256,
            next,
        };
        self.farm.end_attempt(id, &end).await;
        if ending.worker_sound {
            self.lease.release();
        }
        ending.worker_sound
    }
}

impl Inner {
    /// Records the end of an attempt and tells of it.
    pub(crate) async fn end_attempt(&self, id: AttemptId, end: &AttemptEnd) {
        let now = Timestamp::now();
        if let Err(error) = self.persist(|| self.store.end_attempt(id, end, now)).await {
            tracing::error!(%id, error = &error as &dyn std::error::Error, "attempt's end was not recorded");
            return;
        }
        let reason = end.reason.clone();
        self.announce(id.build, |build| match end.next {
            Next::Final => FarmEvent::Finished(build),
            Next::Requeue { .. } => FarmEvent::Retrying { build, reason },
        })
        .await;
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
        // The folder is one of the tree we put there, or is not: that is the commit's doing.
        ExecOutcome::NotStarted(text) if text.starts_with("chdir ") => Ok(Exit::Other(text)),
        ExecOutcome::NotStarted(text) => Err(Unseen::NotStarted(text)),
        other => Ok(Exit::Other(other.to_string())),
    }
}

impl Inner {
    /// Asks the store again until it answers. The farm does not go on without its memory: a full disk makes builds wait, not
    /// vanish.
    pub(crate) async fn persist<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut pause = STORE_PAUSE;
        loop {
            match ask().await {
                Err(StoreError::Database(error)) if !self.gone.is_cancelled() => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "store failed; trying again"
                    );
                    self.send(FarmEvent::Notice(format!(
                        "the store does not work, builds wait: {}",
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
