//! Where there is no `/proc`: the process group is all that is known.

use std::collections::HashSet;
use std::io;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::Wanted;

/// Number of the group.
pub(super) type Key = i32;

/// A whole process group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    group: i32,
}

impl Process {
    pub(super) fn key(&self) -> Key {
        self.group
    }

    pub(super) fn signal(&self, signal: Signal) {
        let _ = killpg(Pid::from_raw(self.group), signal);
    }
}

pub(super) fn become_reaper() -> io::Result<bool> {
    Ok(false)
}

pub(super) fn start_time(_: i32) -> u64 {
    0
}

pub(super) fn alive(wanted: &Wanted<'_>) -> Vec<Process> {
    let reused = wanted.reaped && wanted.mains.contains(&wanted.main);
    let exists = killpg(Pid::from_raw(wanted.main), None).is_ok();
    (exists && !reused)
        .then_some(Process { group: wanted.main })
        .into_iter()
        .collect()
}

pub(super) fn marked(_: &[u8]) -> Vec<Process> {
    Vec::new()
}

pub(super) fn orphans() -> Vec<Process> {
    Vec::new()
}

pub(super) fn has_orphans(_: &HashSet<i32>) -> bool {
    true
}

pub(super) fn reap_orphans(_: &HashSet<i32>) {}
