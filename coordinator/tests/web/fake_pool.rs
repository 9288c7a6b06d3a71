//! Machines in memory.

use std::sync::Mutex;

use async_trait::async_trait;
use buildfarm_coordinator::pool::{Lease, LeaseError, Offer, Pool};
use buildfarm_dashboard::record::{Worker, WorkerState};
use jiff::Timestamp;
use tokio::sync::watch;

use super::lock;

/// Machines.
#[derive(Debug)]
pub(crate) struct FakePool {
    workers: Mutex<Vec<Worker>>,
    changed: watch::Sender<u64>,
}

impl FakePool {
    pub(super) fn new() -> Self {
        Self {
            workers: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }

    pub(crate) fn add(&self, name: &str, host_type: &str, state: WorkerState, at: Timestamp) {
        let mut workers = lock(&self.workers);
        let host = workers.len() + 11;
        workers.push(Worker {
            name: name.to_owned(),
            hostname: format!("{name}.example"),
            host_type: host_type.to_owned(),
            state,
            build: None,
            version: 29,
            address: format!("192.0.2.{host}:51{host}4"),
            connected_at: at,
            last_seen: at,
            builds_done: 0,
        });
    }

    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Worker)) {
        if let Some(worker) = lock(&self.workers)
            .iter_mut()
            .find(|worker| worker.name == name)
        {
            change(worker);
        }
        self.changed.send_modify(|n| *n += 1);
    }

    pub(super) fn set_build(&self, name: &str, build: Option<i64>, at: Timestamp) {
        self.change(name, |worker| {
            worker.builds_done += u64::from(build.is_none());
            worker.state = if build.is_some() {
                WorkerState::Busy
            } else {
                WorkerState::Idle
            };
            worker.build = build;
            worker.last_seen = at;
        });
    }
}

#[async_trait]
impl Pool for FakePool {
    fn name(&self) -> &str {
        "fake"
    }

    fn offers(&self) -> Vec<Offer> {
        Vec::new()
    }

    async fn lease(&self, offer: &Offer, _: i64) -> Result<Lease, LeaseError> {
        Err(LeaseError::Gone(offer.worker.clone()))
    }

    fn workers(&self) -> Vec<Worker> {
        lock(&self.workers).clone()
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
