//! The JSON records every program of the farm exchanges.
//!
//! They are what `/api/v1/` answers. Fields are only ever added; readers must ignore those they do not know.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One commit on one builder: the unit of work, and a row of `/api/v1/builds`.
///
/// There is exactly one per commit and builder; running it again adds an attempt, not a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Number of the build, unique in this farm, never reused.
    pub id: i64,
    /// Builder's name, as in `farm.toml`.
    pub builder: String,
    /// Host type the builder runs on.
    pub host_type: String,
    /// Full hash of the commit, lower-case hex.
    pub commit: String,
    /// First line of the commit message.
    pub subject: String,
    /// Name of the commit's author.
    pub author: String,
    /// Branch the commit was found on.
    pub branch: String,
    /// How far it is.
    pub state: BuildState,
    /// How it ended; `null` until `state` is `done`.
    pub outcome: Option<Outcome>,
    /// Why it ended so, in words: the failing step and its exit status, the limit passed, what was lost.
    pub reason: Option<String>,
    /// Number of the newest attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// Worker that runs, or last ran it.
    pub worker: Option<String>,
    /// When the farm learned of it.
    pub queued_at: Timestamp,
    /// When its newest attempt got a worker.
    pub started_at: Option<Timestamp>,
    /// When it reached its final result.
    pub ended_at: Option<Timestamp>,
}

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildState {
    /// Waiting for a worker, or for its turn after an infrastructure failure.
    Queued,
    /// On a worker.
    Running,
    /// Final. `outcome` says how.
    Done,
}

/// How a build, an attempt or a step ended.
///
/// `Failed` and `TimedOut` are the command's own; `InfraFailed` is ours: the farm could not run or observe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every step exited with status 0.
    Passed,
    /// A step ran and failed.
    Failed,
    /// A step or the whole build passed its time limit and was killed.
    TimedOut,
    /// The farm could not run or observe the build, and its retries are used up.
    InfraFailed,
    /// Somebody stopped it.
    Canceled,
    /// Policy said that it need not run.
    Skipped,
}

/// One try at a build on one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1, counting up.
    pub number: u32,
    /// Worker it ran on.
    pub worker: String,
    /// When the worker was leased.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended; `null` while it runs. An `infra_failed` attempt may be followed by another.
    pub outcome: Option<Outcome>,
    /// Why it ended so, in words.
    pub reason: Option<String>,
    /// Length of its log in bytes; grows while it runs.
    pub log_bytes: u64,
    /// SHA-256 of the whole log in lower-case hex, once it is sealed.
    pub log_sha256: Option<String>,
    /// Its steps in order, including those not reached.
    pub steps: Vec<Step>,
}

/// One command of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Name, as in `farm.toml`; the farm's own steps are called `source`.
    pub name: String,
    /// When it started; `null` if it was not reached.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The command's end in words: `exit status 3`, `signal: killed`.
    pub status: Option<String>,
    /// Offset in the attempt's log where the step's output begins.
    pub log_offset: Option<u64>,
}

/// A build with all its attempts: the answer of `/api/v1/builds/ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildDetail {
    /// The build itself.
    #[serde(flatten)]
    pub build: Build,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// One machine of the farm: a row of `/api/v1/workers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Unique name among the connected workers.
    pub name: String,
    /// Host name it gave.
    pub hostname: String,
    /// Host type it serves.
    pub host_type: String,
    /// What it does.
    pub state: WorkerState,
    /// Build it runs.
    pub build: Option<i64>,
    /// Protocol version of its buildlet.
    pub version: u32,
    /// Address it dialled from.
    pub address: String,
    /// When it registered.
    pub connected_at: Timestamp,
    /// When it last answered.
    pub last_seen: Timestamp,
    /// Builds it finished since it registered.
    pub builds_done: u64,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Ready for work.
    Idle,
    /// Runs a build.
    Busy,
    /// Is being cleaned for its next build.
    Cleaning,
    /// Gone; listed for a while so that people see what happened.
    Lost,
}
