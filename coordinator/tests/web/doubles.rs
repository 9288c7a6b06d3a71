//! A farm that lives in memory: small, stateful stand-ins for the store, the logs and the machines.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use buildfarm_coordinator::Event;
use buildfarm_coordinator::logs::{LogError, LogReader, LogStore, LogWriter, SealedLog};
use buildfarm_coordinator::pool::{Lease, LeaseError, Offer, Pool};
use buildfarm_coordinator::store::{
    AttemptEnd, AttemptId, BuildQuery, CommitRow, NewWork, QueuedBuild, Store, StoreError,
    WorkerKey,
};
use buildfarm_coordinator::web::View;
use buildfarm_dashboard::record::{
    Attempt, Build, BuildDetail, BuildState, Outcome, Step, Worker, WorkerState,
};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{broadcast, watch};

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

/// Builds and commits.
#[derive(Debug, Default)]
pub(crate) struct FakeStore {
    state: Mutex<StoreState>,
}

#[derive(Debug, Default)]
struct StoreState {
    /// Oldest first; the builds are only named.
    commits: Vec<(CommitRow, Vec<i64>)>,
    builds: BTreeMap<i64, BuildDetail>,
    broken: bool,
}

impl FakeStore {
    /// From now on every read fails.
    pub(crate) fn break_down(&self) {
        lock(&self.state).broken = true;
    }

    pub(crate) fn build_now(&self, id: i64) -> Option<BuildDetail> {
        lock(&self.state).builds.get(&id).cloned()
    }

    /// Changes a build as the tests please.
    pub(crate) fn change(&self, id: i64, change: impl FnOnce(&mut BuildDetail)) -> Build {
        let mut state = lock(&self.state);
        let detail = state
            .builds
            .get_mut(&id)
            .expect("tests change builds that exist");
        change(detail);
        detail.build.clone()
    }

    fn add_build(&self, commit: &FakeCommit<'_>, builder: &str, at: Timestamp) -> Build {
        let mut state = lock(&self.state);
        let id = state.builds.len() as i64 + 1;
        let build = Build {
            id,
            builder: builder.to_owned(),
            host_type: builder.split('-').take(2).collect::<Vec<_>>().join("-"),
            commit: commit.hash.to_owned(),
            subject: commit.subject.to_owned(),
            author: commit.author.to_owned(),
            branch: commit.branch.to_owned(),
            state: BuildState::Queued,
            outcome: None,
            reason: None,
            attempt: 0,
            worker: None,
            queued_at: at,
            started_at: None,
            ended_at: None,
        };
        state.builds.insert(
            id,
            BuildDetail {
                build: build.clone(),
                attempts: Vec::new(),
            },
        );
        build
    }

    fn add_commit(&self, commit: &FakeCommit<'_>, at: Timestamp, builds: &[Build]) {
        let mut state = lock(&self.state);
        let row = CommitRow {
            seq: state.commits.len() as i64 + 1,
            hash: commit.hash.to_owned(),
            subject: commit.subject.to_owned(),
            author: commit.author.to_owned(),
            committed_at: at,
            branch: commit.branch.to_owned(),
            builds: Vec::new(),
        };
        state
            .commits
            .push((row, builds.iter().map(|build| build.id).collect()));
    }

    fn read(&self) -> Result<MutexGuard<'_, StoreState>, StoreError> {
        let state = lock(&self.state);
        if state.broken {
            Err(StoreError::Damaged("secret detail".to_owned()))
        } else {
            Ok(state)
        }
    }
}

fn not_here<T>() -> Result<T, StoreError> {
    Err(StoreError::Damaged("pages do not write".to_owned()))
}

#[async_trait]
impl Store for FakeStore {
    async fn add_work(&self, _: &NewWork, _: Timestamp) -> Result<Vec<Build>, StoreError> {
        not_here()
    }

    async fn cursor(&self, _: &str) -> Result<Option<String>, StoreError> {
        not_here()
    }

    async fn queued(&self) -> Result<Vec<QueuedBuild>, StoreError> {
        not_here()
    }

    async fn queued_build(&self, _: i64) -> Result<Option<QueuedBuild>, StoreError> {
        not_here()
    }

    async fn begin_attempt(
        &self,
        _: i64,
        _: &str,
        _: &[String],
        _: Timestamp,
    ) -> Result<u32, StoreError> {
        not_here()
    }

    async fn begin_step(
        &self,
        _: AttemptId,
        _: usize,
        _: u64,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        not_here()
    }

    async fn end_step(
        &self,
        _: AttemptId,
        _: usize,
        _: Outcome,
        _: &str,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        not_here()
    }

    async fn end_attempt(
        &self,
        _: AttemptId,
        _: &AttemptEnd,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        not_here()
    }

    async fn unfinished_attempts(&self) -> Result<Vec<AttemptId>, StoreError> {
        not_here()
    }

    async fn grid(&self, limit: u32, before: Option<i64>) -> Result<Vec<CommitRow>, StoreError> {
        let state = self.read()?;
        let older = state
            .commits
            .iter()
            .rev()
            .filter(|(row, _)| before.is_none_or(|before| row.seq < before));
        let filled = older.take(limit as usize).map(|(row, ids)| {
            let builds = ids
                .iter()
                .filter_map(|id| Some(state.builds.get(id)?.build.clone()))
                .collect();
            CommitRow {
                builds,
                ..row.clone()
            }
        });
        Ok(filled.collect())
    }

    async fn builds(&self, query: &BuildQuery) -> Result<Vec<Build>, StoreError> {
        let state = self.read()?;
        let limit = if query.limit == 0 {
            200
        } else {
            query.limit.min(1_000)
        };
        let wanted = |build: &&Build| {
            query
                .builder
                .as_ref()
                .is_none_or(|builder| *builder == build.builder)
                && query
                    .commit
                    .as_ref()
                    .is_none_or(|commit| build.commit.starts_with(commit))
                && query.state.is_none_or(|state| state == build.state)
                && query
                    .outcome
                    .is_none_or(|outcome| Some(outcome) == build.outcome)
                && query.before.is_none_or(|before| build.id < before)
        };
        let newest_first = state.builds.values().rev().map(|detail| &detail.build);
        Ok(newest_first
            .filter(wanted)
            .take(limit as usize)
            .cloned()
            .collect())
    }

    async fn build(&self, id: i64) -> Result<Option<BuildDetail>, StoreError> {
        Ok(self.read()?.builds.get(&id).cloned())
    }

    async fn add_worker_key(&self, _: &WorkerKey, _: Timestamp) -> Result<(), StoreError> {
        not_here()
    }

    async fn worker_keys(&self) -> Result<Vec<WorkerKey>, StoreError> {
        not_here()
    }
}

/// Logs that grow when told to.
#[derive(Debug, Default)]
pub(crate) struct FakeLogs {
    logs: Mutex<HashMap<AttemptId, watch::Sender<LogState>>>,
}

#[derive(Debug, Clone, Default)]
struct LogState {
    bytes: Vec<u8>,
    end: LogEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum LogEnd {
    #[default]
    Open,
    Sealed,
    Cut,
}

impl FakeLogs {
    pub(crate) fn begin(&self, id: AttemptId) {
        lock(&self.logs).insert(id, watch::Sender::new(LogState::default()));
    }

    pub(crate) fn append(&self, id: AttemptId, bytes: impl AsRef<[u8]>) {
        self.with(id, |log| log.bytes.extend_from_slice(bytes.as_ref()));
    }

    pub(crate) fn seal(&self, id: AttemptId) {
        self.with(id, |log| log.end = LogEnd::Sealed);
    }

    /// The writer dies.
    pub(crate) fn cut(&self, id: AttemptId) {
        self.with(id, |log| log.end = LogEnd::Cut);
    }

    pub(crate) fn forget(&self, id: AttemptId) {
        lock(&self.logs).remove(&id);
    }

    pub(crate) fn len(&self, id: AttemptId) -> u64 {
        lock(&self.logs)
            .get(&id)
            .map_or(0, |log| log.borrow().bytes.len() as u64)
    }

    fn with(&self, id: AttemptId, change: impl FnOnce(&mut LogState)) {
        lock(&self.logs)
            .get(&id)
            .expect("tests write logs that were begun")
            .send_modify(change);
    }
}

#[async_trait]
impl LogStore for FakeLogs {
    async fn create(&self, id: AttemptId, _: u64) -> Result<Box<dyn LogWriter>, LogError> {
        Err(LogError::NotFound(id))
    }

    async fn open(&self, id: AttemptId, offset: u64) -> Result<Box<dyn LogReader>, LogError> {
        let logs = lock(&self.logs);
        let log = logs.get(&id).ok_or(LogError::NotFound(id))?;
        Ok(Box::new(FakeReader {
            log: log.subscribe(),
            offset,
        }))
    }

    async fn recover(&self, id: AttemptId) -> Result<SealedLog, LogError> {
        Err(LogError::NotFound(id))
    }
}

#[derive(Debug)]
struct FakeReader {
    log: watch::Receiver<LogState>,
    offset: u64,
}

#[async_trait]
impl LogReader for FakeReader {
    /// In small pieces, so that whoever reads must join them.
    async fn next(&mut self) -> Result<Option<Bytes>, LogError> {
        loop {
            {
                let state = self.log.borrow_and_update();
                let rest = state.bytes.get(self.offset as usize..).unwrap_or_default();
                if !rest.is_empty() {
                    let piece = Bytes::copy_from_slice(&rest[..rest.len().min(1000)]);
                    drop(state);
                    self.offset += piece.len() as u64;
                    return Ok(Some(piece));
                }
                match state.end {
                    LogEnd::Open => {}
                    LogEnd::Sealed => return Ok(None),
                    LogEnd::Cut => return Err(LogError::CutShort),
                }
            }
            if self.log.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn extent(&self) -> (u64, bool) {
        let state = self.log.borrow();
        (state.bytes.len() as u64, state.end != LogEnd::Open)
    }
}

/// Machines.
#[derive(Debug)]
pub(crate) struct FakePool {
    workers: Mutex<Vec<Worker>>,
    changed: watch::Sender<u64>,
}

impl FakePool {
    fn new() -> Self {
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

    fn set_build(&self, name: &str, build: Option<i64>, at: Timestamp) {
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
