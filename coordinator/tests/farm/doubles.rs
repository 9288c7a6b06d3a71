//! A small real farm: SQLite, log files and a reverse pool whose workers run the real worker service, with faults to order.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use buildfarm_coordinator::life::RetryPolicy;
use buildfarm_coordinator::logs::{FileLogs, LogError, LogReader, LogStore, LogWriter, SealedLog};
use buildfarm_coordinator::plan::{Plan, PlanStep};
use buildfarm_coordinator::pool::{Registration, ReversePool};
use buildfarm_coordinator::store::*;
use buildfarm_coordinator::work::{Archive, SourceError, WorkSource};
use buildfarm_coordinator::{Event, Farm, FarmConfig};
use buildfarm_dashboard::record::{Build, BuildDetail, BuildState, Outcome};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Faults to come, by the name of what will fail.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<HashMap<&'static str, u32>>);

impl Faults {
    pub(crate) fn next(&self, what: &'static str, times: u32) {
        self.0.lock().unwrap().insert(what, times);
    }

    fn hits(&self, what: &'static str) -> bool {
        let mut faults = self.0.lock().unwrap();
        let left = faults.entry(what).or_default();
        let hit = *left > 0;
        *left = left.saturating_sub(1);
        hit
    }

    fn store(&self, what: &'static str) -> Result<(), StoreError> {
        match self.hits(what) {
            true => Err(StoreError::Database(sqlx::Error::PoolTimedOut)),
            false => Ok(()),
        }
    }

    fn log(&self, what: &'static str) -> Result<(), LogError> {
        match self.hits(what) {
            true => Err(LogError::Io(std::io::Error::other("disk full"))),
            false => Ok(()),
        }
    }
}

#[derive(Debug)]
pub(crate) struct FaultyStore {
    pub(crate) inner: SqliteStore,
    faults: Arc<Faults>,
}

#[async_trait]
impl Store for FaultyStore {
    async fn add_work(&self, work: &NewWork, now: Timestamp) -> Result<Vec<Build>, StoreError> {
        self.faults.store("add_work")?;
        self.inner.add_work(work, now).await
    }
    async fn cursor(&self, source: &str) -> Result<Option<String>, StoreError> {
        self.faults.store("cursor")?;
        self.inner.cursor(source).await
    }
    async fn queued(&self) -> Result<Vec<QueuedBuild>, StoreError> {
        self.inner.queued().await
    }
    async fn queued_build(&self, build: i64) -> Result<Option<QueuedBuild>, StoreError> {
        self.faults.store("queued_build")?;
        self.inner.queued_build(build).await
    }
    async fn begin_attempt(
        &self,
        build: i64,
        worker: &str,
        steps: &[String],
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        self.faults.store("begin_attempt")?;
        self.inner.begin_attempt(build, worker, steps, now).await
    }
    async fn begin_step(
        &self,
        attempt: AttemptId,
        step: usize,
        log_offset: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.faults.store("begin_step")?;
        self.inner.begin_step(attempt, step, log_offset, now).await
    }
    async fn end_step(
        &self,
        attempt: AttemptId,
        step: usize,
        outcome: Outcome,
        status: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.faults.store("end_step")?;
        self.inner
            .end_step(attempt, step, outcome, status, now)
            .await
    }
    async fn end_attempt(
        &self,
        attempt: AttemptId,
        end: &AttemptEnd,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.faults.store("end_attempt")?;
        self.inner.end_attempt(attempt, end, now).await
    }
    async fn unfinished_attempts(&self) -> Result<Vec<AttemptId>, StoreError> {
        self.inner.unfinished_attempts().await
    }
    async fn grid(&self, limit: u32, before: Option<i64>) -> Result<Vec<CommitRow>, StoreError> {
        self.inner.grid(limit, before).await
    }
    async fn builds(&self, query: &BuildQuery) -> Result<Vec<Build>, StoreError> {
        self.inner.builds(query).await
    }
    async fn build(&self, id: i64) -> Result<Option<BuildDetail>, StoreError> {
        self.inner.build(id).await
    }
    async fn add_worker_key(&self, key: &WorkerKey, now: Timestamp) -> Result<(), StoreError> {
        self.inner.add_worker_key(key, now).await
    }
    async fn worker_keys(&self) -> Result<Vec<WorkerKey>, StoreError> {
        self.inner.worker_keys().await
    }
}

#[derive(Debug)]
struct FaultyLogs {
    inner: FileLogs,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultyWriter {
    inner: Box<dyn LogWriter>,
    faults: Arc<Faults>,
}

#[async_trait]
impl LogStore for FaultyLogs {
    async fn create(&self, id: AttemptId, limit: u64) -> Result<Box<dyn LogWriter>, LogError> {
        self.faults.log("create")?;
        Ok(Box::new(FaultyWriter {
            inner: self.inner.create(id, limit).await?,
            faults: self.faults.clone(),
        }))
    }
    async fn open(&self, id: AttemptId, offset: u64) -> Result<Box<dyn LogReader>, LogError> {
        self.inner.open(id, offset).await
    }
    async fn recover(&self, id: AttemptId) -> Result<SealedLog, LogError> {
        self.faults.log("recover")?;
        self.inner.recover(id).await
    }
}

#[async_trait]
impl LogWriter for FaultyWriter {
    fn append(&mut self, data: bytes::Bytes) -> Result<(), LogError> {
        self.faults.log("append")?;
        self.inner.append(data)
    }
    fn len(&self) -> u64 {
        self.inner.len()
    }
    async fn seal(self: Box<Self>) -> Result<SealedLog, LogError> {
        self.faults.log("seal")?;
        self.inner.seal().await
    }
}

/// A source that is told what to find.
#[derive(Debug)]
pub(crate) struct Source {
    dir: PathBuf,
    finds: Mutex<Vec<NewWork>>,
    told: Notify,
    faults: Arc<Faults>,
    /// How long packing takes.
    pub(crate) slow: Mutex<Duration>,
}

#[async_trait]
impl WorkSource for Source {
    fn name(&self) -> &str {
        "test"
    }
    fn interval(&self) -> Duration {
        Duration::from_millis(10)
    }
    async fn poll(&self, _: Option<&str>) -> Result<Option<NewWork>, SourceError> {
        loop {
            let told = self.told.notified();
            assert!(!self.faults.hits("poll panics"), "as ordered");
            if self.faults.hits("poll") {
                return Err(SourceError::Unexpected("as ordered".into()));
            }
            if let Some(work) = self.finds.lock().unwrap().pop() {
                return Ok(Some(work));
            }
            told.await;
        }
    }
    async fn archive(&self, _: &str) -> Result<Archive, SourceError> {
        let slow = *self.slow.lock().unwrap();
        tokio::time::sleep(slow).await;
        if self.faults.hits("archive") {
            return Err(SourceError::Unexpected("as ordered".into()));
        }
        let garbage = self.faults.hits("garbage");
        let path = self
            .dir
            .join(if garbage { "garbage" } else { "empty.tar.gz" });
        if garbage {
            std::fs::write(&path, "this is no archive").unwrap();
        } else {
            let mut gzip = pargzip::Builder::new().build(Vec::new());
            gzip.write_all(&[0; 1024]).unwrap();
            std::fs::write(&path, gzip.finish().unwrap()).unwrap();
        }
        Ok(Archive { path, bytes: 1 })
    }
}

/// A worker: the real service on a real socket.
pub(crate) struct Machine {
    pub(crate) name: String,
    service: buildlet::Buildlet,
    connections: JoinSet<()>,
    _dir: tempfile::TempDir,
}

impl Machine {
    /// All at once, as when its power fails.
    pub(crate) async fn die(mut self) {
        self.connections.shutdown().await;
        self.service.shutdown().await;
    }
}

pub(crate) struct TestFarm {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) faults: Arc<Faults>,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) source: Arc<Source>,
    pub(crate) pool: ReversePool,
    pub(crate) events: broadcast::Sender<Event>,
    logs: Arc<FaultyLogs>,
    farm: Option<Farm>,
    registry: revdial::Registry,
    cursor: AtomicU32,
    pub(crate) configured: AtomicBool,
}

impl TestFarm {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let faults = Arc::new(Faults::default());
        let (events, _) = broadcast::channel(4096);
        let inner = SqliteStore::open(&dir.path().join("farm.db"))
            .await
            .unwrap();
        Self {
            store: Arc::new(FaultyStore {
                inner,
                faults: faults.clone(),
            }),
            logs: Arc::new(FaultyLogs {
                inner: FileLogs::open(&dir.path().join("logs")).unwrap(),
                faults: faults.clone(),
            }),
            source: Arc::new(Source {
                dir: dir.path().to_owned(),
                finds: Mutex::default(),
                told: Notify::new(),
                faults: faults.clone(),
                slow: Mutex::default(),
            }),
            pool: ReversePool::new(events.clone()),
            events,
            faults,
            dir,
            farm: None,
            registry: revdial::Registry::new(),
            cursor: AtomicU32::new(0),
            configured: AtomicBool::new(true),
        }
    }

    pub(crate) async fn started() -> Self {
        let mut farm = Self::new().await;
        farm.start().await;
        farm
    }

    pub(crate) async fn start(&mut self) {
        let sources: Vec<Arc<dyn WorkSource>> = match self.configured.load(Ordering::Relaxed) {
            true => vec![self.source.clone()],
            false => Vec::new(),
        };
        let config = FarmConfig {
            store: self.store.clone(),
            logs: self.logs.clone(),
            pools: vec![Arc::new(self.pool.clone())],
            sources,
            events: self.events.clone(),
        };
        self.farm = Some(Farm::start(config).await.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        self.farm.take().unwrap().shutdown().await;
    }

    /// What `kill -9` leaves, as far as one process can show it.
    pub(crate) fn kill(&mut self) {
        self.farm = None;
    }

    pub(crate) async fn machine(&self, hostname: &str) -> Machine {
        let dir = tempfile::tempdir().unwrap();
        let mut config = buildlet::Config::new(dir.path());
        config.env = buildlet::EnvPolicy::inherit(std::env::vars_os());
        let service = buildlet::Buildlet::new(config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut connections = JoinSet::new();
        let serving = service.clone();
        connections.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                served.spawn(async move {
                    serving
                        .serve_connection(stream, CancellationToken::new())
                        .await;
                });
            }
        });
        // The pool wants a way to hang up; nobody is at its other end.
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        connections.spawn(async move {
            let _theirs = theirs;
            std::future::pending::<()>().await;
        });
        let dialer = self
            .registry
            .register(revdial::Stream::new(ours), Default::default());
        let registration = Registration {
            hostname: hostname.into(),
            host_type: "linux".into(),
            version: 29,
            address,
        };
        let client = buildlet_client::Client::tcp(address.to_string());
        Machine {
            name: self.pool.add(client, dialer, registration),
            service,
            connections,
            _dir: dir,
        }
    }

    /// Finds a commit that wants one build of these steps.
    pub(crate) fn find(&self, plan: Plan) {
        let n = self.cursor.fetch_add(1, Ordering::Relaxed);
        let build = NewBuild {
            builder: "test".into(),
            host_type: "linux".into(),
            start: BuildStart::Queue(plan),
        };
        self.source.finds.lock().unwrap().push(NewWork {
            source: "test".into(),
            cursor: n.to_string(),
            commits: vec![NewCommit {
                hash: format!("{n:040x}"),
                subject: "s".into(),
                author: "a".into(),
                committed_at: Timestamp::now(),
                branch: "main".into(),
                builds: vec![build],
            }],
        });
        self.source.told.notify_one();
    }

    /// Waits until build `id` is as wanted.
    pub(crate) async fn until(&self, id: i64, what: impl Fn(&BuildDetail) -> bool) -> BuildDetail {
        let mut events = self.events.subscribe();
        let wait = async {
            loop {
                if let Some(detail) = self.store.build(id).await.unwrap()
                    && what(&detail)
                {
                    return detail;
                }
                let _ = events.recv().await;
            }
        };
        match tokio::time::timeout(LIMIT, wait).await {
            Ok(detail) => detail,
            Err(_) => panic!("never so: {:#?}", self.store.build(id).await),
        }
    }

    pub(crate) async fn done(&self, id: i64) -> BuildDetail {
        self.until(id, |d| d.build.state == BuildState::Done).await
    }

    /// Waits until the build's log holds `text`.
    pub(crate) async fn says(&self, id: AttemptId, text: &str) {
        // The first step begins after the log was opened.
        self.until(id.build, |d| {
            let attempt = d.attempts.iter().find(|a| a.number == id.number);
            attempt.is_some_and(|a| a.steps[0].started_at.is_some())
        })
        .await;
        let read = async {
            let mut all = Vec::new();
            let mut reader = self.logs.open(id, 0).await.unwrap();
            while let Some(data) = reader.next().await.unwrap() {
                all.extend_from_slice(&data);
                if String::from_utf8_lossy(&all).contains(text) {
                    return;
                }
            }
            panic!("{:?}", String::from_utf8_lossy(&all));
        };
        tokio::time::timeout(LIMIT, read).await.unwrap();
    }
}

/// A plan of these commands, with a minute for each and one retry.
pub(crate) fn plan(steps: &[&str]) -> Plan {
    Plan {
        shell: vec!["sh".into(), "-c".into()],
        dir: String::new(),
        env: Default::default(),
        timeout: Duration::from_secs(60),
        retry: RetryPolicy {
            budget: 1,
            first: Duration::from_millis(10),
            most: Duration::from_millis(10),
        },
        log_limit: 1 << 20,
        steps: steps
            .iter()
            .enumerate()
            .map(|(n, run)| PlanStep {
                name: format!("s{n}"),
                run: (*run).to_owned(),
                dir: None,
                env: Default::default(),
                timeout: None,
            })
            .collect(),
    }
}

pub(crate) fn first(build: i64) -> AttemptId {
    AttemptId { build, number: 1 }
}
