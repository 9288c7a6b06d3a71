//! The workers that dialled in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use buildfarm_dashboard::record::{Worker, WorkerState};
use buildlet_client::Client;
use jiff::Timestamp;
use revdial::Dialer;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Hold, Lease, LeaseError, Offer, Pool};
use crate::event::Event;
use crate::run::chain;

/// How long a lost worker stays on the page, so that people see what happened.
const REMEMBER_LOST: Duration = Duration::from_secs(15 * 60);
/// Longest a worker may take to empty its work directory.
const CLEAN_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest wait at the end until a worker has been told of it.
const FAREWELL: Duration = Duration::from_secs(1);
const STOPPING: &str = "the coordinator stops";

/// The workers that dialled in over `/reverse`.
#[derive(Debug, Clone)]
pub struct ReversePool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    workers: Mutex<BTreeMap<String, Entry>>,
    changed: watch::Sender<u64>,
    events: broadcast::Sender<Event>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Entry {
    record: Worker,
    client: Client,
    dialer: Dialer,
    /// Tells a worker that came back under its old name from the one that was lost.
    session: u64,
}

/// What a worker says of itself when it registers.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Host name; several workers may give the same.
    pub hostname: String,
    /// Host type it serves.
    pub host_type: String,
    /// Protocol version of its buildlet.
    pub version: u32,
    /// Address it dialled from.
    pub address: SocketAddr,
}

impl ReversePool {
    /// An empty pool, which tells of its workers on `events`.
    #[must_use]
    pub fn new(events: broadcast::Sender<Event>) -> Self {
        Self {
            inner: Arc::new(Inner {
                workers: Mutex::default(),
                changed: watch::Sender::new(0),
                events,
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
            }),
        }
    }

    /// Takes in a worker that answered on `client`, and returns the name it has from now on: its host name, with a number if a
    /// connected worker has that already. It is cleaned before it is offered; when it is given up, `dialer` is closed.
    pub fn add(&self, client: Client, dialer: Dialer, registration: Registration) -> String {
        let inner = &self.inner;
        let now = Timestamp::now();
        let (name, session) = {
            let mut workers = inner.lock();
            forget_lost(&mut workers, now);
            let name = free_name(&workers, &registration.hostname);
            let session = workers.get(&name).map_or(0, |old| old.session + 1);
            let record = Worker {
                name: name.clone(),
                hostname: registration.hostname,
                host_type: registration.host_type,
                state: WorkerState::Cleaning,
                build: None,
                version: registration.version,
                address: registration.address.to_string(),
                connected_at: now,
                last_seen: now,
                builds_done: 0,
            };
            let entry = Entry {
                record,
                client: client.clone(),
                dialer,
                session,
            };
            workers.insert(name.clone(), entry);
            (name, session)
        };
        let (this, watched) = (inner.clone(), name.clone());
        inner.tasks.spawn(async move {
            tokio::select! {
                reason = client.dead() => this.lost(&watched, session, &reason.to_string()),
                () = this.stop.cancelled() => {
                    if let Some(dialer) = this.forget(&watched, session) {
                        // Its idle connections would keep the session.
                        client.mark_broken(STOPPING);
                        dialer.close_because(STOPPING);
                        // A worker that takes nothing any more is not waited for.
                        let _ = tokio::time::timeout(FAREWELL, dialer.disconnected()).await;
                    }
                }
            }
        });
        Inner::clean(inner, name.clone(), session, |_| {});
        name
    }

    /// Lets go of all workers, and tells them why; they will look for the next coordinator. Takes at most about a second.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

#[async_trait]
impl Pool for ReversePool {
    fn name(&self) -> &str {
        "reverse"
    }

    fn offers(&self) -> Vec<Offer> {
        self.inner
            .lock()
            .values()
            .filter(|entry| entry.record.state == WorkerState::Idle)
            .map(|entry| Offer {
                worker: entry.record.name.clone(),
                host_type: entry.record.host_type.clone(),
            })
            .collect()
    }

    async fn lease(&self, offer: &Offer, build: i64) -> Result<Lease, LeaseError> {
        let lease = {
            let mut workers = self.inner.lock();
            let entry = workers
                .get_mut(&offer.worker)
                .filter(|entry| entry.record.state == WorkerState::Idle)
                .ok_or_else(|| LeaseError::Gone(offer.worker.clone()))?;
            entry.record.state = WorkerState::Busy;
            entry.record.build = Some(build);
            let hold = ReverseHold {
                inner: self.inner.clone(),
                worker: offer.worker.clone(),
                session: entry.session,
                released: false,
            };
            Lease::new(offer.worker.clone(), entry.client.clone(), Box::new(hold))
        };
        self.inner.announce(&offer.worker);
        Ok(lease)
    }

    fn workers(&self) -> Vec<Worker> {
        let mut workers = self.inner.lock();
        let now = Timestamp::now();
        forget_lost(&mut workers, now);
        workers
            .values()
            .map(|entry| {
                let mut record = entry.record.clone();
                if record.state != WorkerState::Lost {
                    let silence = entry.client.last_heard().unwrap_or_default();
                    record.last_seen = now.checked_sub(silence).unwrap_or(record.connected_at);
                }
                record
            })
            .collect()
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }
}

/// A name nobody connected has: the host name, or the host name with a number.
fn free_name(workers: &BTreeMap<String, Entry>, hostname: &str) -> String {
    let mut name = hostname.to_owned();
    let mut number = 1_u64;
    while workers
        .get(&name)
        .is_some_and(|w| w.record.state != WorkerState::Lost)
    {
        number += 1;
        name = format!("{hostname}-{number}");
    }
    name
}

fn forget_lost(workers: &mut BTreeMap<String, Entry>, now: Timestamp) {
    let remembered = REMEMBER_LOST.try_into().unwrap_or_default();
    workers.retain(|_, Entry { record, .. }| {
        record.state != WorkerState::Lost || now.duration_since(record.last_seen) < remembered
    });
}

impl Inner {
    /// Empties the worker's work directory, after which it is idle. A worker that cannot do that is no use.
    fn clean(this: &Arc<Self>, name: String, session: u64, change: impl FnOnce(&mut Worker)) {
        let changed = this.change(&name, session, |record| {
            record.state = WorkerState::Cleaning;
            change(record);
        });
        let Some((client, _)) = changed else {
            return;
        };
        let inner = this.clone();
        this.tasks.spawn(async move {
            let clean = tokio::time::timeout(CLEAN_TIMEOUT, client.remove_all(&["."]));
            let cleaned = tokio::select! {
                cleaned = clean => cleaned,
                () = inner.stop.cancelled() => return,
            };
            match cleaned {
                Ok(Ok(())) => {
                    inner.change(&name, session, |record| {
                        record.state = WorkerState::Idle;
                        record.build = None;
                    });
                }
                Ok(Err(error)) => {
                    let reason = format!("it could not be cleaned: {}", chain(&error));
                    inner.lost(&name, session, &reason);
                }
                Err(_) => inner.lost(&name, session, "it could not be cleaned in time"),
            }
        });
    }

    /// Gives a worker up. Its connection is closed; a worker that is alive after all registers anew.
    fn lost(&self, name: &str, session: u64, reason: &str) {
        let changed = self.change(name, session, |record| {
            record.state = WorkerState::Lost;
            record.build = None;
            record.last_seen = Timestamp::now();
        });
        if let Some((client, dialer)) = changed {
            tracing::info!(worker = name, reason, "worker lost");
            client.mark_broken(reason);
            dialer.close_because(reason);
        }
    }

    /// Takes a worker off the list without a word.
    fn forget(&self, name: &str, session: u64) -> Option<Dialer> {
        let mut workers = self.lock();
        workers.get(name).filter(|entry| entry.session == session)?;
        workers.remove(name).map(|entry| entry.dialer)
    }

    /// Changes a worker's record, if it is still that session's and not lost; then tells everybody.
    fn change(
        &self,
        name: &str,
        session: u64,
        change: impl FnOnce(&mut Worker),
    ) -> Option<(Client, Dialer)> {
        let connection = {
            let mut workers = self.lock();
            let entry = workers
                .get_mut(name)
                .filter(|e| e.session == session && e.record.state != WorkerState::Lost)?;
            change(&mut entry.record);
            (entry.client.clone(), entry.dialer.clone())
        };
        self.announce(name);
        Some(connection)
    }

    fn announce(&self, name: &str) {
        let record = self.lock().get(name).map(|entry| entry.record.clone());
        if let Some(record) = record {
            // Nobody listening is fine.
            let _ = self.events.send(Event::Worker(record));
        }
        self.changed.send_modify(|n| *n += 1);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct ReverseHold {
    inner: Arc<Inner>,
    worker: String,
    session: u64,
    released: bool,
}

impl Hold for ReverseHold {
    fn release(&mut self) {
        self.released = true;
        Inner::clean(&self.inner, self.worker.clone(), self.session, |record| {
            record.builds_done += 1
        });
    }
}

impl Drop for ReverseHold {
    fn drop(&mut self) {
        if !self.released {
            self.inner.lost(
                &self.worker,
                self.session,
                "its last build did not end cleanly",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use revdial::{DialerConfig, Listener, Registry, Stream};

    fn pool() -> ReversePool {
        ReversePool::new(broadcast::channel(64).0)
    }

    /// A worker that never answers a request.
    fn join(pool: &ReversePool, registry: &Registry, hostname: &str) -> (String, Dialer) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let _theirs = theirs;
            std::future::pending::<()>().await;
        });
        let dialer = registry.register(Stream::new(ours), DialerConfig::default());
        join_as(pool, dialer, hostname)
    }

    fn join_as(pool: &ReversePool, dialer: Dialer, hostname: &str) -> (String, Dialer) {
        let registration = Registration {
            hostname: hostname.into(),
            host_type: "linux".into(),
            version: 29,
            address: ([127, 0, 0, 1], 1).into(),
        };
        let client = Client::over(hostname, dialer.clone());
        (pool.add(client, dialer.clone(), registration), dialer)
    }

    #[tokio::test(start_paused = true)]
    async fn workers_of_one_host_name_are_told_apart_and_their_old_names_used_again() {
        let (pool, registry) = (pool(), Registry::new());
        let (first, dialer) = join(&pool, &registry, "box");
        let (second, _other) = join(&pool, &registry, "box");
        assert_eq!((&*first, &*second), ("box", "box-2"));
        assert_eq!(pool.workers().len(), 2);
        dialer.close();
        let mut changed = pool.changed();
        while pool.workers()[0].state != WorkerState::Lost {
            changed.changed().await.unwrap();
        }
        assert_eq!(join(&pool, &registry, "box").0, "box");
        assert_eq!(pool.workers().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_answers_nothing_is_never_offered_and_is_let_go() {
        let (pool, registry) = (pool(), Registry::new());
        let (_, dialer) = join(&pool, &registry, "mute");
        tokio::time::timeout(Duration::from_secs(60), dialer.closed())
            .await
            .unwrap();
        assert!(pool.offers().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn workers_hear_why_before_the_shutdown_is_over() {
        let pool = pool();
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let mut worker = Listener::mux(Stream::new(theirs), Default::default());
        let dialer = Dialer::mux(Stream::new(ours), Default::default());
        let _dialer = join_as(&pool, dialer, "box");
        // It is asked something, and takes its time.
        let _stream = worker.accept().await.unwrap();
        pool.shutdown().await;
        let reason = tokio::time::timeout(Duration::ZERO, worker.closed()).await;
        assert_eq!(
            reason.unwrap().to_string(),
            "closed by the peer: the coordinator stops"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_that_is_shut_down_keeps_nobody_who_comes_too_late() {
        let (pool, registry) = (pool(), Registry::new());
        let (_, early) = join(&pool, &registry, "early");
        pool.shutdown().await;
        let (_, late) = join(&pool, &registry, "late");
        for dialer in [early, late] {
            tokio::time::timeout(Duration::from_secs(1), dialer.closed())
                .await
                .unwrap();
        }
        pool.shutdown().await;
        assert!(pool.workers().is_empty());
    }
}
