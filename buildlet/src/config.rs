//! What a worker is told at its start.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::exec::EnvPolicy;
use crate::http1;

/// Protocol version told to clients: that of the newest Go worker, whose rules are followed.
pub const VERSION: u32 = 29;

/// Configuration of a worker. Start from [`Config::new`] and change fields.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Directory everything happens in. Created if missing; not emptied. One worker at a time.
    pub work_dir: PathBuf,
    /// Protocol version in `/status` and at registration. Default 29.
    pub version: u32,
    /// Password every request but `/`, `/healthz` and `/debug/x` must carry. Default none: open to whoever
    /// reaches the worker, which is right behind a reverse connection only.
    pub password: Option<String>,
    /// What `/halt` does. Default: end serving.
    pub halt: HaltPolicy,
    /// Time between the answer to `/halt` and its effect. Default 1 s, as in Go.
    pub halt_delay: Duration,
    /// What commands inherit. Default: a usual `PATH` and nothing else.
    pub env: EnvPolicy,
    /// How commands are ended.
    pub kill: KillPolicy,
    /// Bounds of connections and requests.
    pub limits: Limits,
    /// What unpacking does with links. Default: those that stay inside the work directory are made.
    pub links: tarball::Links,
    /// Become the parent of orphaned processes (Linux), so that none can hide. Only for a process that runs one
    /// worker and nothing else: every unknown child is taken for an orphan of a command. Default false.
    pub adopt_orphans: bool,
}

impl Config {
    /// The defaults, for a work directory.
    pub fn new(work_dir: impl Into<PathBuf>) -> Self {
        Self {
            work_dir: work_dir.into(),
            version: VERSION,
            password: None,
            halt: HaltPolicy::EndServing,
            halt_delay: Duration::from_secs(1),
            env: EnvPolicy::default(),
            kill: KillPolicy::default(),
            limits: Limits::default(),
            links: tarball::Links::Inside,
            adopt_orphans: false,
        }
    }
}

/// What `/halt` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HaltPolicy {
    /// Running commands are killed, new ones refused, and [`Buildlet::halted`](crate::Buildlet::halted) resolves; the
    /// program decides what that means.
    #[default]
    EndServing,
    /// The request is refused with 403.
    Refuse,
}

/// How a command's processes are ended.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct KillPolicy {
    /// Time between `SIGTERM` and `SIGKILL` when a client goes away; zero skips the `SIGTERM`. Default zero.
    pub grace: Duration,
    /// How long output is awaited after the main process ended and others still hold the pipe. They are killed
    /// then. Default 1 s.
    pub drain: Duration,
    /// Longest time spent on killing what does not die. Default 10 s.
    pub limit: Duration,
}

impl Default for KillPolicy {
    fn default() -> Self {
        Self {
            grace: Duration::ZERO,
            drain: Duration::from_secs(1),
            limit: Duration::from_secs(10),
        }
    }
}

/// Bounds of what one client can ask for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Bounds of the connection.
    pub http: http1::Limits,
    /// Largest form in bytes; a larger one reads as empty. Default 10 MiB, as in Go.
    pub form: usize,
    /// Largest file `/write` takes, in bytes. Default 64 GiB.
    pub file: u64,
    /// Bounds of archives taken by `/writetgz`.
    pub archive: tarball::Limits,
    /// Most commands at a time; more are answered 503. Default 1024.
    pub execs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            http: http1::Limits::default(),
            form: 10 << 20,
            file: 64 << 30,
            archive: tarball::Limits::default(),
            execs: 1024,
        }
    }
}

/// Why a worker could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The work directory cannot be made or opened.
    #[error("work directory {path} cannot be used")]
    WorkDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another live worker has the work directory.
    #[error("work directory {0} is in use by another worker")]
    InUse(PathBuf),
    /// The process could not be made the parent of orphans.
    #[error("system does not let this process adopt orphans")]
    Adopt(#[source] io::Error),
    /// No random numbers.
    #[error("system has no random numbers")]
    Random(#[source] io::Error),
}
