//! A farm that lives in memory: small, stateful stand-ins for the store, the logs and the machines.

mod fake_logs;
mod fake_pool;
mod fake_store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buildfarm_coordinator::Event;
use buildfarm_coordinator::store::AttemptId;
use buildfarm_coordinator::web::View;
use buildfarm_dashboard::record::{Attempt, Build, BuildState, Outcome, Step};
use jiff::Timestamp;
use tokio::sync::broadcast;

use fake_logs::FakeLogs;
use fake_pool::FakePool;
use fake_store::FakeStore;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The farm and the handles that make things happen in it.
#[derive(Debug, Clone)]
pub(crate) struct FakeFarm {
    pub(crate) store: Arc<FakeStore>,
    pub(crate) logs: Arc<FakeLogs>,
    pub(crate) pool: Arc<FakePool>,
    pub(crate) events: broadcast::Sender<Event>,
}

impl FakeFarm {
    pub(crate) fn new() -> Self {
        Self {
            store: Arc::default(),
            logs: Arc::default(),
            pool: Arc::new(FakePool::new()),
            events: broadcast::channel(16).0,
        }
    }

    pub(crate) fn view(&self) -> View {
        View {
            project: "demo".to_owned(),
            store: Arc::clone(&self.store) as _,
            logs: Arc::clone(&self.logs) as _,
            pools: vec![Arc::clone(&self.pool) as _],
            events: self.events.clone(),
            join_hint: "buildlet join https://farm.example:8443".to_owned(),
        }
    }

    /// A commit with a waiting build for each builder; returns the numbers of the builds.
    pub(crate) fn commit(
        &self,
        commit: FakeCommit<'_>,
        builders: &[&str],
        at: Timestamp,
    ) -> Vec<i64> {
        let builds: Vec<Build> = builders
            .iter()
            .map(|builder| self.store.add_build(&commit, builder, at))
            .collect();
        let ids = builds.iter().map(|build| build.id).collect();
        self.store.add_commit(&commit, at, &builds);
        let _ = self.events.send(Event::Queued(builds));
        ids
    }

    /// Starts the next attempt at a build.
    pub(crate) fn start(
        &self,
        build: i64,
        worker: &str,
        steps: &[&str],
        at: Timestamp,
    ) -> AttemptId {
        let steps = steps.iter().map(|&name| Step {
            name: name.to_owned(),
            started_at: None,
            ended_at: None,
            outcome: None,
            status: None,
            log_offset: None,
        });
        let mut number = 0;
        let started = self.store.change(build, |detail| {
            number = detail.build.attempt + 1;
            detail.build.attempt = number;
            detail.build.state = BuildState::Running;
            detail.build.worker = Some(worker.to_owned());
            detail.build.started_at = Some(at);
            detail.attempts.push(Attempt {
                number,
                worker: worker.to_owned(),
                started_at: at,
                ended_at: None,
                outcome: None,
                reason: None,
                log_bytes: 0,
                log_sha256: None,
                steps: steps.collect(),
            });
        });
        let id = AttemptId { build, number };
        self.logs.begin(id);
        self.pool.set_build(worker, Some(build), at);
        let _ = self.events.send(Event::Started(started));
        id
    }

    pub(crate) fn begin_step(&self, id: AttemptId, step: usize, at: Timestamp) {
        let offset = self.logs.len(id);
        let mut name = String::new();
        self.store.change(id.build, |detail| {
            if let Some(step) = detail
                .attempts
                .last_mut()
                .and_then(|attempt| attempt.steps.get_mut(step))
            {
                step.started_at = Some(at);
                step.log_offset = Some(offset);
                name.clone_from(&step.name);
            }
        });
        let _ = self.events.send(Event::StepStarted {
            attempt: id,
            step,
            name,
        });
    }

    pub(crate) fn end_step(
        &self,
        id: AttemptId,
        step: usize,
        outcome: Outcome,
        status: &str,
        at: Timestamp,
    ) {
        self.store.change(id.build, |detail| {
            if let Some(step) = detail
                .attempts
                .last_mut()
                .and_then(|attempt| attempt.steps.get_mut(step))
            {
                step.ended_at = Some(at);
                step.outcome = Some(outcome);
                step.status = Some(status.to_owned());
            }
        });
    }

    /// Ends the attempt; `last` says whether the build is over with it.
    pub(crate) fn finish(
        &self,
        id: AttemptId,
        outcome: Outcome,
        reason: &str,
        last: bool,
        at: Timestamp,
    ) {
        self.logs.seal(id);
        let bytes = self.logs.len(id);
        let mut worker = String::new();
        let build = self.store.change(id.build, |detail| {
            if let Some(attempt) = detail.attempts.last_mut() {
                attempt.ended_at = Some(at);
                attempt.outcome = Some(outcome);
                attempt.reason = Some(reason.to_owned());
                attempt.log_bytes = bytes;
                attempt.log_sha256 = Some("00".repeat(32));
                worker.clone_from(&attempt.worker);
            }
            if last {
                detail.build.state = BuildState::Done;
                detail.build.outcome = Some(outcome);
                detail.build.reason = Some(reason.to_owned());
                detail.build.ended_at = Some(at);
            } else {
                detail.build.state = BuildState::Queued;
                detail.build.started_at = None;
            }
        });
        self.pool.set_build(&worker, None, at);
        let event = if last {
            Event::Finished(build)
        } else {
            Event::Retrying {
                build,
                reason: reason.to_owned(),
            }
        };
        let _ = self.events.send(event);
    }
}

/// What is to be known of a commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FakeCommit<'a> {
    pub(crate) hash: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) author: &'a str,
    pub(crate) branch: &'a str,
}
