//! The farm at work: finds commits, hands builds to workers, and never loses one.
//!
//! One task owns the queue. It learns of new builds from the tasks that watch the sources, of workers from the pools, and of the
//! end of builds from the tasks that run them, one each.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use buildfarm_dashboard::record::{Build, Outcome};
use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::event::Event;
use crate::life::{Ending, RetryPolicy};
use crate::logs::{LogError, LogStore};
use crate::pool::{Offer, Pool};
use crate::run::{Attempt, chain};
use crate::schedule::{Assignment, Item, Scheduler};
use crate::store::{AttemptEnd, AttemptId, Next, QueuedBuild, Store, StoreError};
use crate::work::WorkSource;

/// Longest time between two looks at the queue, should every hint get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Longest pause between two looks at a source that fails.
const SOURCE_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Time that running builds get to record that they were interrupted.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// What a farm is made of.
#[derive(Debug, Clone)]
pub struct FarmConfig {
    /// Where its truth is kept.
    pub store: Arc<dyn Store>,
    /// Where its logs are kept.
    pub logs: Arc<dyn LogStore>,
    /// Where its machines come from.
    pub pools: Vec<Arc<dyn Pool>>,
    /// Where its work comes from.
    pub sources: Vec<Arc<dyn WorkSource>>,
    /// Where it tells what happens.
    pub events: broadcast::Sender<Event>,
}

/// A farm at work.
#[derive(Debug)]
pub struct Farm {
    inner: Arc<Inner>,
    tasks: TaskTracker,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) logs: Arc<dyn LogStore>,
    pools: Vec<Arc<dyn Pool>>,
    sources: Vec<Arc<dyn WorkSource>>,
    events: broadcast::Sender<Event>,
    stop: CancellationToken,
    /// The grace of a shutdown is over: even the store is not waited for any more.
    pub(crate) gone: CancellationToken,
}

/// Why a farm cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its truth cannot be read.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    /// A log that the last process left open cannot be closed.
    #[error("the log of attempt {0} cannot be recovered")]
    Log(AttemptId, #[source] LogError),
}

/// What the owner of the queue hears.
#[derive(Debug)]
enum Message {
    /// Builds are new or wait again.
    Waiting(Vec<Item>),
    /// The worker of this offer was leased, or was not to be had: its state in the pool is the truth again.
    Settled(String),
    /// A pool has changed.
    Pool,
}

impl Farm {
    /// Puts right what the last process left behind, and starts working.
    ///
    /// Attempts that were running then are closed as interrupted and their builds wait again: visibly, as a further attempt.
    pub async fn start(config: FarmConfig) -> Result<Self, StartError> {
        let inner = Arc::new(Inner {
            store: config.store,
            logs: config.logs,
            pools: config.pools,
            sources: config.sources,
            events: config.events,
            stop: CancellationToken::new(),
            gone: CancellationToken::new(),
        });
        inner.reconcile().await?;
        let waiting = inner.store.queued().await?;
        let (sender, inbox) = mpsc::channel(1024);
        let tasks = TaskTracker::new();
        for pool in &inner.pools {
            tasks.spawn(watch_pool(pool.clone(), sender.clone(), inner.stop.clone()));
        }
        for source in &inner.sources {
            tasks.spawn(watch_source(inner.clone(), source.clone(), sender.clone()));
        }
        let queue = Queue {
            inner: inner.clone(),
            scheduler: Scheduler::default(),
            unsettled: HashMap::new(),
            tasks: tasks.clone(),
            sender,
        };
        tasks.spawn(queue.run(inbox, waiting));
        tasks.close();
        Ok(Self { inner, tasks })
    }

    /// Stops: running builds are broken off, recorded as interrupted, and will run again at the next start. Takes a few
    /// seconds at most.
    pub async fn shutdown(self) {
        self.inner.stop.cancel();
        if tokio::time::timeout(SHUTDOWN_GRACE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some builds could not be closed in time; the next start closes them");
        }
        self.inner.gone.cancel();
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.inner.stop.cancel();
        self.inner.gone.cancel();
    }
}

impl Inner {
    async fn reconcile(&self) -> Result<(), StartError> {
        let now = Timestamp::now();
        for id in self.store.unfinished_attempts().await? {
            let log = self
                .logs
                .recover(id)
                .await
                .map_err(|error| StartError::Log(id, error))?;
            let end = AttemptEnd {
                outcome: Outcome::InfraFailed,
                reason: "the coordinator was stopped while it ran".to_owned(),
                log_bytes: log.bytes,
                log_sha256: log.sha256,
                next: Next::Requeue {
                    not_before: None,
                    charge: false,
                },
            };
            self.store.end_attempt(id, &end, now).await?;
        }
        Ok(())
    }

    /// Tells everybody who listens; nobody has to.
    pub(crate) fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Tells of a build as it now stands in the store.
    pub(crate) async fn announce(&self, build: i64, event: impl FnOnce(Build) -> Event) {
        match self.store.build(build).await {
            Ok(Some(detail)) => self.send(event(detail.build)),
            Ok(None) => {}
            Err(error) => tracing::warn!(
                build,
                error = &error as &dyn std::error::Error,
                "build cannot be read"
            ),
        }
    }
}

/// The owner of the queue.
struct Queue {
    inner: Arc<Inner>,
    scheduler: Scheduler,
    /// Workers given to a build that has not leased them yet, and when.
    unsettled: HashMap<String, Timestamp>,
    tasks: TaskTracker,
    sender: mpsc::Sender<Message>,
}

impl Queue {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>, waiting: Vec<QueuedBuild>) {
        for queued in &waiting {
            self.scheduler.add(item(queued), Timestamp::now());
        }
        loop {
            self.assign();
            let now = Timestamp::now();
            let wake = self.scheduler.wake(now).map_or(LOOK_AGAIN, |at| {
                Duration::try_from(at.duration_since(now))
                    .unwrap_or_default()
                    .min(LOOK_AGAIN)
            });
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                message = inbox.recv() => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
                () = tokio::time::sleep(wake) => {}
            }
            // Whatever else has come in meanwhile is decided on together.
            while let Ok(message) = inbox.try_recv() {
                self.take(message);
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Waiting(items) => {
                for item in items {
                    self.scheduler.add(item, Timestamp::now());
                }
            }
            Message::Settled(worker) => {
                self.unsettled.remove(&worker);
            }
            Message::Pool => {}
        }
    }

    fn assign(&mut self) {
        if self.scheduler.is_empty() {
            return;
        }
        let now = Timestamp::now();
        let mut pools = HashMap::new();
        let mut offers = Vec::new();
        for pool in &self.inner.pools {
            for offer in pool.offers() {
                if !self.unsettled.contains_key(&offer.worker) {
                    pools.insert(offer.worker.clone(), pool.clone());
                    offers.push(offer);
                }
            }
        }
        for Assignment { build, offer } in self.scheduler.assign(&offers, now) {
            let Some(pool) = pools.get(&offer.worker).cloned() else {
                continue;
            };
            self.unsettled.insert(offer.worker.clone(), now);
            let (inner, sender) = (self.inner.clone(), self.sender.clone());
            self.tasks
                .spawn(run_build(inner, pool, offer, build, sender));
        }
    }
}

/// Runs one attempt at a build on the worker on offer, and puts the build back into the queue if it is not over.
async fn run_build(
    inner: Arc<Inner>,
    pool: Arc<dyn Pool>,
    offer: Offer,
    build: i64,
    sender: mpsc::Sender<Message>,
) {
    let lease = pool.lease(&offer, build).await;
    let _ = sender.send(Message::Settled(offer.worker.clone())).await;
    let again = match lease {
        Err(error) => {
            tracing::debug!(build, %error, "offer was gone");
            true
        }
        Ok(lease) => match inner.store.queued_build(build).await {
            Ok(Some(queued)) => {
                let source = inner
                    .sources
                    .iter()
                    .find(|s| s.name() == queued.source)
                    .cloned();
                if let Some(source) = source {
                    let attempt = Attempt {
                        farm: inner.clone(),
                        source,
                        queued,
                        lease,
                        stop: inner.stop.clone(),
                    };
                    match AssertUnwindSafe(attempt.run()).catch_unwind().await {
                        Ok(next) => matches!(next, Some(Next::Requeue { .. })),
                        Err(_) => inner.close_after_panic(build).await,
                    }
                } else {
                    tracing::warn!(
                        build,
                        source = queued.source,
                        "build waits: its source is not configured"
                    );
                    lease.release();
                    false
                }
            }
            Ok(None) => {
                lease.release();
                false
            }
            Err(error) => {
                tracing::error!(
                    build,
                    error = &error as &dyn std::error::Error,
                    "build cannot be read"
                );
                lease.release();
                tokio::time::sleep(Duration::from_secs(1)).await;
                true
            }
        },
    };
    if again && let Ok(Some(queued)) = inner.store.queued_build(build).await {
        let _ = sender.send(Message::Waiting(vec![item(&queued)])).await;
    }
}

impl Inner {
    /// A defect of ours ended the task of a build. The attempt is closed as an infrastructure failure, within the budget.
    async fn close_after_panic(&self, build: i64) -> bool {
        let Ok(unfinished) = self.store.unfinished_attempts().await else {
            return false;
        };
        let Some(id) = unfinished.into_iter().find(|id| id.build == build) else {
            return true;
        };
        let log = self.logs.recover(id).await.ok();
        let (log_bytes, log_sha256) = log.map(|l| (l.bytes, l.sha256)).unwrap_or_default();
        let reason = "an internal error of the coordinator ended it".to_owned();
        let ending = Ending {
            outcome: Outcome::InfraFailed,
            reason: reason.clone(),
            worker_sound: false,
            interrupted: false,
        };
        // Attempts stand in for the count of charged failures, which was lost with the task.
        let policy = RetryPolicy {
            budget: 2,
            first: Duration::from_secs(10),
            most: Duration::from_secs(60),
        };
        let next = policy.decide(&ending, id.number.saturating_sub(1), Timestamp::now());
        let end = AttemptEnd {
            outcome: ending.outcome,
            reason,
            log_bytes,
            log_sha256,
            next,
        };
        self.persist(|| self.store.end_attempt(id, &end, Timestamp::now()))
            .await
            .is_ok()
            && next != Next::Final
    }
}

async fn watch_pool(pool: Arc<dyn Pool>, sender: mpsc::Sender<Message>, stop: CancellationToken) {
    let mut changed = pool.changed();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            change = changed.changed() => if change.is_err() || sender.send(Message::Pool).await.is_err() { return },
        }
    }
}

/// Looks at a source again and again; what it finds is recorded before anybody hears of it.
async fn watch_source(
    inner: Arc<Inner>,
    source: Arc<dyn WorkSource>,
    sender: mpsc::Sender<Message>,
) {
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        match look(&inner, &*source, &sender).await {
            Ok(()) => pause = source.interval(),
            Err(error) => {
                let text = chain(&*error);
                tracing::warn!(
                    source = source.name(),
                    error = text,
                    "source cannot be read"
                );
                inner.send(Event::Notice(format!(
                    "{} cannot be read: {text}",
                    source.name()
                )));
                pause = (pause * 2).clamp(source.interval(), SOURCE_PAUSE_MAX);
            }
        }
    }
}

async fn look(
    inner: &Inner,
    source: &dyn WorkSource,
    sender: &mpsc::Sender<Message>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let cursor = inner.store.cursor(source.name()).await?;
    let Some(work) = source.poll(cursor.as_deref()).await? else {
        return Ok(());
    };
    let builds = inner.store.add_work(&work, Timestamp::now()).await?;
    let mut items = Vec::new();
    for build in &builds {
        if let Some(queued) = inner.store.queued_build(build.id).await? {
            items.push(item(&queued));
        }
    }
    if !builds.is_empty() {
        inner.send(Event::Queued(builds));
    }
    let _ = sender.send(Message::Waiting(items)).await;
    Ok(())
}

fn item(queued: &QueuedBuild) -> Item {
    Item {
        build: queued.build.id,
        host_type: queued.build.host_type.clone(),
        seq: queued.seq,
        not_before: queued.not_before,
        avoid: queued.avoid.clone(),
    }
}
