//! Where the farm's truth is kept.
//!
//! Every method that changes something is one transaction, and is durable when it returns: whatever a page, a bot or a person
//! has seen survives `kill -9`. Writers name the attempt they speak for; a report of an attempt that is no longer the current
//! one is refused as [`StoreError::Stale`], so a machine that comes back from the dead cannot finish somebody else's build.

mod rows;
mod sqlite;

use std::fmt;

use async_trait::async_trait;
use buildfarm_dashboard::record::{Build, BuildDetail, Outcome};
use jiff::Timestamp;

use crate::plan::Plan;

pub use sqlite::SqliteStore;

/// The farm's durable state.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Records commits found by a source, the builds wanted for them, and the source's new position, all at once.
    ///
    /// Commits and builds that are already known are left as they are, so a source may repeat itself freely. One exception: a
    /// build that was skipped, on a branch that did not want it, waits after all once it is wanted.
    /// Returns the builds that are new or wait after all, in the order given.
    async fn add_work(&self, work: &NewWork, now: Timestamp) -> Result<Vec<Build>, StoreError>;

    /// Position up to which a source's work is recorded, as it was given to [`Store::add_work`].
    async fn cursor(&self, source: &str) -> Result<Option<String>, StoreError>;

    /// Builds that wait, with what the scheduler and the runner need to know about them. Those that cannot be read are left out.
    async fn queued(&self) -> Result<Vec<QueuedBuild>, StoreError>;

    /// One waiting build.
    async fn queued_build(&self, build: i64) -> Result<Option<QueuedBuild>, StoreError>;

    /// Turns a waiting build into a running one and opens its next attempt, whose number is returned.
    async fn begin_attempt(
        &self,
        build: i64,
        worker: &str,
        steps: &[String],
        now: Timestamp,
    ) -> Result<u32, StoreError>;

    /// Records that a step of the running attempt has started, and where in the log its output begins.
    async fn begin_step(
        &self,
        attempt: AttemptId,
        step: usize,
        log_offset: u64,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Records how a step of the running attempt ended.
    async fn end_step(
        &self,
        attempt: AttemptId,
        step: usize,
        outcome: Outcome,
        status: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Ends the running attempt and says what becomes of its build.
    async fn end_attempt(
        &self,
        attempt: AttemptId,
        end: &AttemptEnd,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Attempts that were running when the previous process stopped, however it stopped.
    async fn unfinished_attempts(&self) -> Result<Vec<AttemptId>, StoreError>;

    /// Newest commits first, each with its builds; at most `limit` commits that are older than `before` (a commit's `seq`).
    async fn grid(&self, limit: u32, before: Option<i64>) -> Result<Vec<CommitRow>, StoreError>;

    /// Builds that match, newest first.
    async fn builds(&self, query: &BuildQuery) -> Result<Vec<Build>, StoreError>;

    /// One build with its attempts and steps.
    async fn build(&self, id: i64) -> Result<Option<BuildDetail>, StoreError>;

    /// Stores the hash of a key that workers may register with. Repeating it changes nothing.
    async fn add_worker_key(&self, key: &WorkerKey, now: Timestamp) -> Result<(), StoreError>;

    /// Keys that are valid now.
    async fn worker_keys(&self) -> Result<Vec<WorkerKey>, StoreError>;
}

/// An attempt: number `number` at build `build`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId {
    /// The build.
    pub build: i64,
    /// From 1.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.build, self.number)
    }
}

/// What a source found.
#[derive(Debug, Clone, Default)]
pub struct NewWork {
    /// Name of the source, the key of its cursor.
    pub source: String,
    /// Its new position.
    pub cursor: String,
    /// Commits, oldest first; their order becomes the order of the grid.
    pub commits: Vec<NewCommit>,
}

/// A commit and the builds it wants.
#[derive(Debug, Clone)]
pub struct NewCommit {
    /// Full hash, lower-case hex.
    pub hash: String,
    /// First line of the message.
    pub subject: String,
    /// Author's name.
    pub author: String,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// Branch it was found on.
    pub branch: String,
    /// Builds in the order of the configuration.
    pub builds: Vec<NewBuild>,
}

/// A build that a commit wants.
#[derive(Debug, Clone)]
pub struct NewBuild {
    /// Builder's name.
    pub builder: String,
    /// Host type it needs.
    pub host_type: String,
    /// What it does, or why it is over before it began.
    pub start: BuildStart,
}

/// How a new build enters the farm.
#[derive(Debug, Clone)]
pub enum BuildStart {
    /// It waits for a worker.
    Queue(Plan),
    /// It is done already: skipped by policy, or failed because its configuration cannot be read.
    Done(Outcome, String),
}

/// A build that waits for a worker.
#[derive(Debug, Clone)]
pub struct QueuedBuild {
    /// The build.
    pub build: Build,
    /// What it will do.
    pub plan: Plan,
    /// Name of the source that has its tree.
    pub source: String,
    /// Place of its commit in the history of the farm: higher is newer.
    pub seq: i64,
    /// Infrastructure failures so far, counted against its budget.
    pub infra_failures: u32,
    /// Not to be started before this time.
    pub not_before: Option<Timestamp>,
    /// Worker of the attempt that failed last; another is preferred.
    pub avoid: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEnd {
    /// How.
    pub outcome: Outcome,
    /// Why, in words.
    pub reason: String,
    /// Length of its sealed log.
    pub log_bytes: u64,
    /// SHA-256 of its sealed log, lower-case hex.
    pub log_sha256: String,
    /// What becomes of the build.
    pub next: Next,
}

/// What becomes of a build when an attempt at it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The attempt's outcome is the build's.
    Final,
    /// The build waits again.
    Requeue {
        /// Earliest start.
        not_before: Option<Timestamp>,
        /// Whether the failure counts against the budget of infrastructure failures.
        charge: bool,
    },
}

/// A commit of the grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRow {
    /// Place in the history of the farm: higher is newer.
    pub seq: i64,
    /// Full hash.
    pub hash: String,
    /// First line of the message.
    pub subject: String,
    /// Author's name.
    pub author: String,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// Branch it was found on.
    pub branch: String,
    /// Its builds, in the order of the configuration.
    pub builds: Vec<Build>,
}

/// Which builds are wanted. Everything left out matches.
#[derive(Debug, Clone, Default)]
pub struct BuildQuery {
    /// This builder only.
    pub builder: Option<String>,
    /// Commits whose hash begins so.
    pub commit: Option<String>,
    /// This state only.
    pub state: Option<buildfarm_dashboard::record::BuildState>,
    /// This outcome only.
    pub outcome: Option<Outcome>,
    /// Builds with a smaller number only: for paging.
    pub before: Option<i64>,
    /// At most so many; 0 means 200, and 1,000 is the ceiling.
    pub limit: u32,
}

/// A key that workers may register with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerKey {
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// Host type it is good for; `*` for any.
    pub scope: String,
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The caller spoke for an attempt that is not the running one. Nothing was changed.
    #[error("caller is out of date: attempt {0} is not running")]
    Stale(AttemptId),
    /// The caller wanted to start a build that does not wait. Nothing was changed.
    #[error("caller is out of date: build {0} is not queued")]
    NotQueued(i64),
    /// The file holds something this program did not write.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// The database failed: disk full, file locked, file gone.
    #[error("database failed")]
    Database(#[from] sqlx::Error),
    /// The database could not be brought to this program's schema.
    #[error("database schema could not be upgraded")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}
