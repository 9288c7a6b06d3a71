//! The farm at work: finds commits, hands builds to workers, and never loses one.
//!
//! One task owns the queue. It learns of new builds from the tasks that watch the sources, of workers from the pools, and of the
//! end of builds from the tasks that run them, one each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use buildfarm_dashboard::record::{Build, Outcome};
use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::event::Event;
use crate::life::{Cause, Ending};
use crate::logs::LogStore;
use crate::pool::{Lease, Offer, Pool};
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
/// Time for what is left then to be dropped.
const SHUTDOWN_REST: Duration = Duration::from_millis(200);

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
    tasks: Tasks,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) logs: Arc<dyn LogStore>,
    pools: Vec<Arc<dyn Pool>>,
    sources: Vec<Arc<dyn WorkSource>>,
    events: broadcast::Sender<Event>,
    stop: CancellationToken,
    /// The grace of a shutdown is over: even the store is not waited for any more, and all tasks are dropped.
    pub(crate) gone: CancellationToken,
    /// The time of day when the farm started, and the same moment on a clock that nobody can set.
    began: (Timestamp, Instant),
}

/// Why a farm cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its truth cannot be read.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
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
            began: (Timestamp::now(), Instant::now()),
        });
        inner.reconcile().await?;
        let waiting = inner.waiting().await?;
        let (sender, inbox) = mpsc::channel(1024);
        let tasks = Tasks {
            tracker: TaskTracker::new(),
            gone: inner.gone.clone(),
        };
        for pool in &inner.pools {
            tasks.spawn(watch_pool(pool.clone(), sender.clone(), inner.stop.clone()));
        }
        for source in &inner.sources {
            tasks.spawn(watch_source(inner.clone(), source.clone(), sender.clone()));
        }
        let queue = Queue {
            inner: inner.clone(),
            scheduler: Scheduler::default(),
            unsettled: HashSet::new(),
            tasks: tasks.clone(),
            sender,
        };
        tasks.spawn(queue.run(inbox, waiting));
        tasks.tracker.close();
        Ok(Self { inner, tasks })
    }

    /// Stops: running builds are broken off, recorded as interrupted, and will run again at the next start. Takes a few
    /// seconds at most.
    pub async fn shutdown(self) {
        self.inner.stop.cancel();
        let tasks = self.tasks.tracker.wait();
        if tokio::time::timeout(SHUTDOWN_GRACE, tasks).await.is_err() {
            tracing::warn!("some builds could not be closed in time; the next start closes them");
            self.inner.gone.cancel();
            let _ = tokio::time::timeout(SHUTDOWN_REST, self.tasks.tracker.wait()).await;
        }
    }
}

/// The tasks of a farm. None outlives its shutdown.
#[derive(Debug, Clone)]
struct Tasks {
    tracker: TaskTracker,
    gone: CancellationToken,
}

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let gone = self.gone.clone();
        self.tracker
            .spawn(async move { gone.run_until_cancelled_owned(task).await });
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.inner.stop.cancel();
        self.inner.gone.cancel();
    }
}

impl Inner {
    /// The time of day, but never set back or forward while the farm runs: for whatever has to wait.
    pub(crate) fn now(&self) -> Timestamp {
        let (wall, began) = self.began;
        wall.checked_add(began.elapsed()).unwrap_or(wall)
    }

    async fn reconcile(&self) -> Result<(), StoreError> {
        let next = Next::Requeue {
            not_before: None,
            charge: false,
        };
        for id in self.store.unfinished_attempts().await? {
            let end = self
                .abandoned(id, "the coordinator was stopped while it ran", next)
                .await;
            self.store.end_attempt(id, &end, Timestamp::now()).await?;
        }
        Ok(())
    }

    /// The end of an attempt whose task is gone, with as much of its log as there is.
    async fn abandoned(&self, id: AttemptId, reason: &str, next: Next) -> AttemptEnd {
        let log = self.logs.recover(id).await;
        let log = log.inspect_err(|error| {
            tracing::error!(%id, error = error as &dyn std::error::Error, "log cannot be recovered");
        });
        let (log_bytes, log_sha256) = log.map(|l| (l.bytes, l.sha256)).unwrap_or_default();
        AttemptEnd {
            outcome: Outcome::InfraFailed,
            reason: reason.to_owned(),
            log_bytes,
            log_sha256,
            next,
        }
    }

    /// What waited when the last process stopped. Builds of a source that is not configured now stay in the store, until it is.
    async fn waiting(&self) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut orphans = BTreeMap::<String, u64>::new();
        for queued in self.store.queued().await? {
            if self.source(&queued.source).is_some() {
                items.push(self.item(&queued));
            } else {
                *orphans.entry(queued.source).or_default() += 1;
            }
        }
        for (source, builds) in orphans {
            let text = format!("{builds} builds of {source} wait until it is a source again");
            tracing::warn!("{text}");
            self.send(Event::Notice(text));
        }
        Ok(items)
    }

    fn source(&self, name: &str) -> Option<&Arc<dyn WorkSource>> {
        self.sources.iter().find(|source| source.name() == name)
    }

    fn item(&self, queued: &QueuedBuild) -> Item {
        // Written by a process whose clock was wrong, it could lie years ahead.
        let latest = self.now().checked_add(queued.plan.retry.most).ok();
        Item {
            build: queued.build.id,
            host_type: queued.build.host_type.clone(),
            seq: queued.seq,
            not_before: queued.not_before.map(|t| latest.map_or(t, |l| t.min(l))),
            avoid: queued.avoid.clone(),
        }
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
    /// Workers given to a build that has not leased them yet.
    unsettled: HashSet<String>,
    tasks: Tasks,
    sender: mpsc::Sender<Message>,
}

impl Queue {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>, waiting: Vec<Item>) {
        self.take(Message::Waiting(waiting));
        loop {
            self.assign();
            let now = self.inner.now();
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
                    self.scheduler.add(item, self.inner.now());
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
        let now = self.inner.now();
        let mut pools = HashMap::new();
        let mut offers = Vec::new();
        for pool in &self.inner.pools {
            for offer in pool.offers() {
                if !self.unsettled.contains(&offer.worker) {
                    pools.insert(offer.worker.clone(), pool.clone());
                    offers.push(offer);
                }
            }
        }
        for Assignment { build, offer } in self.scheduler.assign(&offers, now) {
            if let Some(pool) = pools.get(&offer.worker).cloned() {
                self.unsettled.insert(offer.worker.clone());
                let (inner, sender) = (self.inner.clone(), self.sender.clone());
                self.tasks
                    .spawn(run_build(inner, pool, offer, build, sender));
            }
        }
    }
}

/// Runs one attempt at a build on the worker on offer. Whatever came of it, the store says whether the build waits again.
async fn run_build(
    inner: Arc<Inner>,
    pool: Arc<dyn Pool>,
    offer: Offer,
    build: i64,
    sender: mpsc::Sender<Message>,
) {
    let lease = pool.lease(&offer, build).await;
    let _ = sender.send(Message::Settled(offer.worker)).await;
    let sound = match lease {
        Ok(lease) => inner.clone().attempt(build, lease).await,
        Err(error) => {
            tracing::debug!(build, %error, "offer was gone");
            true
        }
    };
    match inner.persist(|| inner.store.queued_build(build)).await {
        Ok(Some(queued)) => {
            let mut item = inner.item(&queued);
            if sound {
                item.avoid = None;
            }
            let _ = sender.send(Message::Waiting(vec![item])).await;
        }
        Ok(None) => {}
        Err(error) => {
            tracing::error!(
                build,
                error = &error as &dyn std::error::Error,
                "build cannot be read"
            );
        }
    }
}

impl Inner {
    /// Whether the worker may be trusted with another attempt.
    async fn attempt(self: Arc<Self>, build: i64, lease: Lease) -> bool {
        let queued = self.persist(|| self.store.queued_build(build)).await;
        let with_source =
            |queued: QueuedBuild| Some((self.source(&queued.source)?.clone(), queued));
        let Some((source, queued)) = queued.ok().flatten().and_then(with_source) else {
            // Something else took it, or it cannot be read; whoever asks next says so.
            lease.release();
            return true;
        };
        let (retry, failures) = (queued.plan.retry, queued.infra_failures);
        let attempt = Attempt {
            farm: self.clone(),
            source,
            queued,
            lease,
            stop: self.stop.clone(),
        };
        if let Ok(sound) = AssertUnwindSafe(attempt.run()).catch_unwind().await {
            return sound;
        }
        // A defect of ours ended the task.
        let unfinished = self.persist(|| self.store.unfinished_attempts()).await;
        let mut unfinished = unfinished.unwrap_or_default().into_iter();
        if let Some(id) = unfinished.find(|id| id.build == build) {
            let ending = Ending {
                outcome: Outcome::InfraFailed,
                reason: "an internal error of the coordinator ended it".to_owned(),
                worker_sound: false,
                cause: Cause::Infrastructure,
            };
            let next = retry.decide(&ending, failures, self.now());
            let end = self.abandoned(id, &ending.reason, next).await;
            self.end_attempt(id, &end).await;
        }
        false
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
    let watch = async {
        let mut pause = Duration::ZERO;
        loop {
            tokio::time::sleep(pause).await;
            let looked = AssertUnwindSafe(look(&inner, &*source, &sender)).catch_unwind();
            let text = match looked.await {
                Ok(Ok(())) => {
                    pause = source.interval();
                    continue;
                }
                Ok(Err(error)) => chain(&*error),
                Err(_) => "an internal error".to_owned(),
            };
            let name = source.name();
            tracing::warn!(source = name, error = text, "source cannot be read");
            inner.send(Event::Notice(format!("{name} cannot be read: {text}")));
            pause = pause_after_failure(pause, source.interval());
        }
    };
    // Broken off wherever it is: what a look found is recorded in one go, or found again.
    inner.stop.run_until_cancelled(watch).await;
}

/// Twice the last pause, within sense; a source that is looked at rarely is not looked at more often for failing.
fn pause_after_failure(last: Duration, interval: Duration) -> Duration {
    (last * 2).min(SOURCE_PAUSE_MAX).max(interval)
}

async fn look(
    inner: &Inner,
    source: &dyn WorkSource,
    sender: &mpsc::Sender<Message>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let store = &inner.store;
    let cursor = inner.persist(|| store.cursor(source.name())).await?;
    let Some(work) = source.poll(cursor.as_deref()).await? else {
        return Ok(());
    };
    let added = inner.persist(|| store.add_work(&work, Timestamp::now()));
    let builds = added.await?;
    let mut items = Vec::new();
    for build in &builds {
        // From here on nobody would find them again: the cursor has moved.
        match inner.persist(|| store.queued_build(build.id)).await {
            Ok(Some(queued)) => items.push(inner.item(&queued)),
            Ok(None) => {}
            Err(error) => tracing::error!(
                build = build.id,
                error = &error as &dyn std::error::Error,
                "build cannot be read"
            ),
        }
    }
    if !builds.is_empty() {
        inner.send(Event::Queued(builds));
    }
    let _ = sender.send(Message::Waiting(items)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_source_is_asked_less_often_but_never_more() {
        let s = Duration::from_secs;
        assert_eq!(pause_after_failure(s(0), s(2)), s(2));
        assert_eq!(pause_after_failure(s(2), s(2)), s(4));
        assert_eq!(pause_after_failure(s(50), s(2)), SOURCE_PAUSE_MAX);
        assert_eq!(pause_after_failure(s(600), s(600)), s(600));
    }
}
