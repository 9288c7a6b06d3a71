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

/// How long a lost worker stays on the page, so that people see what happened.
const REMEMBER_LOST: Duration = Duration::from_secs(15 * 60);
/// Longest a worker may take to empty its work directory.
const CLEAN_TIMEOUT: Duration = Duration::from_secs(120);

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

    /// A name nobody connected has: the host name, or the host name with a number.
    #[must_use]
    pub fn free_name(&self, hostname: &str) -> String {
        let workers = self.inner.lock();
        let taken = |name: &str| {
            workers
                .get(name)
                .is_some_and(|w| w.record.state != WorkerState::Lost)
        };
        std::iter::once(hostname.to_owned())
            .chain((2_u32..).map(|n| format!("{hostname}-{n}")))
            .find(|name| !taken(name))
            .unwrap_or_else(|| hostname.to_owned())
    }

    /// Takes in a worker that answered on `client`, under the client's name. It is cleaned before it is offered; when it is
    /// given up, `dialer` is closed.
    pub fn add(&self, client: Client, dialer: Dialer, registration: Registration) {
        let inner = &self.inner;
        let name = client.name().to_owned();
        let now = Timestamp::now();
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
        let session = {
            let mut workers = inner.lock();
            let session = workers.get(&name).map_or(0, |old| old.session + 1);
            workers.insert(
                name.clone(),
                Entry {
                    record,
                    client: client.clone(),
                    dialer,
                    session,
                },
            );
            session
        };
        let (this, watched) = (inner.clone(), name.clone());
        inner.tasks.spawn(async move {
            tokio::select! {
                reason = client.dead() => this.lost(&watched, session, &reason.to_string()),
                () = this.stop.cancelled() => {}
            }
        });
        Inner::clean(inner, name, session);
    }

    /// Lets go of all workers; they will look for the next coordinator.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.lock().clear();
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
        workers.retain(|_, entry| {
            entry.record.state != WorkerState::Lost
                || now.duration_since(entry.record.last_seen)
                    < REMEMBER_LOST.try_into().unwrap_or_default()
        });
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

impl Inner {
    /// Empties the worker's work directory, after which it is idle. A worker that cannot do that is no use.
    fn clean(this: &Arc<Self>, name: String, session: u64) {
        let Some((client, _)) = this.change(&name, session, |record| {
            record.state = WorkerState::Cleaning
        }) else {
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
                    inner.lost(&name, session, &format!("it could not be cleaned: {error}"))
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
            dialer.close();
        }
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
        self.inner
            .change(&self.worker, self.session, |record| record.builds_done += 1);
        Inner::clean(&self.inner, self.worker.clone(), self.session);
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
