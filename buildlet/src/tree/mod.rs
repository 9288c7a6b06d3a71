//! The process trees of commands, and how to end them.
//!
//! A command runs in a process group of its own and carries a random `BUILDLET_EXEC_ID` in its environment, which
//! its children inherit. To end it is to find, again and again until there is nothing left to find, everything
//! that is below its main process, in its group, or bears its mark. On Linux that catches what left the group
//! (`setsid`), left the tree (double fork) or ignores `SIGTERM`; a process that did both *and* wiped its environment
//! is caught if the worker is a sub-reaper ([`Processes::new`]), at the latest when no other command runs. On other
//! Unix systems it is the process group only.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
mod group;
#[cfg(not(target_os = "linux"))]
use group as system;

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// Variable that marks the processes of one command.
pub(crate) const EXEC_ID: &str = "BUILDLET_EXEC_ID";
/// Variable that marks the processes of one work directory.
pub(crate) const WORK_DIR: &str = "BUILDLET_WORK_DIR";

/// The children of this process that are the main processes of commands.
#[derive(Debug)]
pub(crate) struct Processes {
    adopt: bool,
    mains: Mutex<HashSet<i32>>,
}

/// How the end of a tree went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Destroyed {
    /// Processes found alive and killed.
    pub(crate) killed: usize,
    /// Processes still there when time was up.
    pub(crate) left: usize,
}

/// What a system's `alive` looks for.
#[derive(Debug)]
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "what /proc is searched for has no use elsewhere")
)]
struct Wanted<'a> {
    main: i32,
    reaped: bool,
    mark: &'a [u8],
    started: u64,
    adopt: bool,
    mains: &'a HashSet<i32>,
    /// Found before: theirs for ever, whatever became of their parents.
    known: &'a BTreeSet<system::Key>,
}

impl Processes {
    /// With `adopt`, orphans of commands become children of this process (`PR_SET_CHILD_SUBREAPER`, Linux), and
    /// every child that is not a known main process is taken for such an orphan: only for a process that does
    /// nothing else but run one worker.
    pub(crate) fn new(adopt: bool) -> io::Result<Arc<Self>> {
        let adopt = adopt && system::become_reaper()?;
        Ok(Arc::new(Self {
            adopt,
            mains: Mutex::new(HashSet::new()),
        }))
    }

    /// Whether this process adopts orphans.
    pub(crate) fn adopts(&self) -> bool {
        self.adopt
    }

    /// Starts a command. The lock is held until the child is known, so that no sweep takes it for an orphan.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        command: &mut Command,
        exec_id: &str,
    ) -> io::Result<(Child, Tree)> {
        let mut mains = self.mains();
        let child = command.process_group(0).spawn()?;
        let main = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .ok_or_else(|| io::Error::other("child without process id"))?;
        mains.insert(main);
        drop(mains);
        let tree = Tree {
            processes: Arc::clone(self),
            main,
            mark: format!("{EXEC_ID}={exec_id}").into_bytes(),
            started: system::start_time(main),
            reaped: AtomicBool::new(false),
        };
        Ok((child, tree))
    }

    /// Reaps orphans that have ended. Does nothing unless this process adopts them.
    pub(crate) fn reap_orphans(&self) {
        if self.adopt {
            let mains = self.mains();
            system::reap_orphans(&mains);
        }
    }

    /// Kills orphans nobody could be made answerable for, if no command runs any more. Does nothing unless this
    /// process adopts them. Blocks for at most `limit`.
    pub(crate) fn sweep_if_idle(&self, limit: Duration) {
        if !self.adopt {
            return;
        }
        // Looked at under the lock, so that a command just being started is not taken for an orphan.
        let find = |_: &BTreeSet<system::Key>| {
            let mains = self.mains();
            if mains.is_empty() && system::has_orphans(&mains) {
                system::orphans()
            } else {
                Vec::new()
            }
        };
        let swept = sweep(limit, &mut BTreeSet::new(), find);
        if swept.killed > 0 {
            tracing::info!(
                killed = swept.killed,
                left = swept.left,
                "killed orphans of earlier commands"
            );
        }
    }

    fn mains(&self) -> MutexGuard<'_, HashSet<i32>> {
        self.mains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kills what an earlier worker left behind in a work directory. Blocks for at most `limit`.
pub(crate) fn kill_strays(work_dir: &Path, limit: Duration) -> Destroyed {
    let mut mark = format!("{WORK_DIR}=").into_bytes();
    mark.extend_from_slice(std::os::unix::ffi::OsStrExt::as_bytes(work_dir.as_os_str()));
    sweep(limit, &mut BTreeSet::new(), |_| system::marked(&mark))
}

/// One command's processes.
#[derive(Debug)]
pub(crate) struct Tree {
    processes: Arc<Processes>,
    main: i32,
    mark: Vec<u8>,
    started: u64,
    reaped: AtomicBool,
}

impl Tree {
    /// The table this command is in.
    pub(crate) fn processes(&self) -> &Processes {
        &self.processes
    }

    /// Tells that the main process was waited for: from now on its number may belong to someone else.
    pub(crate) fn main_reaped(&self) {
        if !self.reaped.swap(true, Ordering::AcqRel) {
            self.processes.mains().remove(&self.main);
        }
    }

    /// Whether a sweep is needed at all. Cheap on Linux when this process adopts orphans.
    pub(crate) fn may_have_left(&self) -> bool {
        !self.reaped.load(Ordering::Acquire)
            || !self.processes.adopt
            || system::has_orphans(&self.processes.mains())
    }

    /// Ends every process of the tree: with a `grace`, asks first (`SIGTERM`) and waits that long; then kills until
    /// none is found, for at most `limit`. Blocks.
    pub(crate) fn destroy(&self, grace: Duration, limit: Duration) -> Destroyed {
        // Looked up before the first signal: what a dead parent leaves behind can no longer be told from others.
        let mut known = BTreeSet::new();
        let first = self.alive(&known);
        known.extend(first.iter().map(system::Process::key));
        if !grace.is_zero() {
            self.signal_group(Signal::SIGTERM);
            for process in &first {
                process.signal(Signal::SIGTERM);
            }
            let until = Instant::now() + grace;
            while Instant::now() < until {
                let alive = self.alive(&known);
                if alive.is_empty() {
                    break;
                }
                known.extend(alive.iter().map(system::Process::key));
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.signal_group(Signal::SIGKILL);
        let destroyed = sweep(limit, &mut known, |known| self.alive(known));
        Destroyed {
            killed: known.len(),
            left: destroyed.left,
        }
    }

    fn signal_group(&self, signal: Signal) {
        if self.reaped.load(Ordering::Acquire) {
            return;
        }
        // An error means the group is gone, which is what is wanted.
        let _ = killpg(Pid::from_raw(self.main), signal);
    }

    fn alive(&self, known: &BTreeSet<system::Key>) -> Vec<system::Process> {
        let mains = self.processes.mains();
        system::alive(&Wanted {
            main: self.main,
            reaped: self.reaped.load(Ordering::Acquire),
            mark: &self.mark,
            started: self.started,
            adopt: self.processes.adopt,
            mains: &mains,
            known,
        })
    }
}

impl Drop for Tree {
    /// A tree nobody ended properly, as when the runtime is shut down, at least loses its process group.
    fn drop(&mut self) {
        self.signal_group(Signal::SIGKILL);
        self.main_reaped();
    }
}

fn sweep(
    limit: Duration,
    known: &mut BTreeSet<system::Key>,
    find: impl Fn(&BTreeSet<system::Key>) -> Vec<system::Process>,
) -> Destroyed {
    let until = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        let alive = find(known);
        let late = Instant::now() >= until;
        if alive.is_empty() || late {
            return Destroyed {
                killed: known.len(),
                left: alive.len(),
            };
        }
        for process in &alive {
            process.signal(Signal::SIGKILL);
            known.insert(process.key());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
