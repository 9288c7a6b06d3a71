//! Finding processes through `/proc`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid};

use super::Wanted;

/// Most bytes of an environment that are looked at.
const MAX_ENVIRON: u64 = 4 << 20;

/// Number and start time: names a process for ever.
pub(super) type Key = (i32, u64);

/// One line of `/proc/PID/stat`, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    /// In clock ticks since boot.
    started: u64,
    ended: bool,
}

impl Process {
    pub(super) fn key(&self) -> Key {
        (self.pid, self.started)
    }

    /// Signals the process, unless its number was given to another one since it was found.
    pub(super) fn signal(&self, signal: Signal) {
        if read_stat(self.pid).is_some_and(|now| now.started == self.started) {
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

pub(super) fn become_reaper() -> io::Result<bool> {
    nix::sys::prctl::set_child_subreaper(true)?;
    Ok(true)
}

pub(super) fn start_time(pid: i32) -> u64 {
    read_stat(pid).map_or(0, |found| found.started)
}

/// All living processes of a command. Reaps ended orphans on the way.
pub(super) fn alive(wanted: &Wanted<'_>) -> Vec<Process> {
    let me = getpid().as_raw();
    let all = list();
    let below_me = below(&all, &HashSet::from([me]), &HashSet::new());
    let others: HashSet<i32> = wanted
        .mains
        .iter()
        .copied()
        .filter(|&main| main != wanted.main)
        .collect();
    let group_is_ours = !wanted.reaped || !wanted.mains.contains(&wanted.main);
    let mut seeds = HashSet::new();
    for found in &all {
        if found.pid == me || others.contains(&found.pid) {
            continue;
        }
        if (found.pid == wanted.main && !wanted.reaped) || wanted.known.contains(&found.key()) {
            seeds.insert(found.pid);
            continue;
        }
        let orphan = found.parent == me && !wanted.mains.contains(&found.pid);
        if found.ended {
            if orphan && wanted.adopt {
                reap(found.pid);
            }
            continue;
        }
        let possible = if wanted.adopt {
            below_me.contains(&found.pid)
        } else {
            found.started >= wanted.started
        };
        if !possible {
            continue;
        }
        let ours = match mark_of(found.pid, wanted.mark) {
            Mark::Ours => true,
            Mark::Other => false,
            Mark::None => {
                (found.group == wanted.main && group_is_ours)
                    || (orphan && wanted.adopt && others.is_empty())
            }
        };
        if ours {
            seeds.insert(found.pid);
        }
    }
    let tree = below(&all, &seeds, &others);
    all.into_iter()
        .filter(|found| !found.ended && tree.contains(&found.pid))
        .collect()
}

/// All living processes with an entry in their environment, and what is below them; never this process or one it
/// descends from.
pub(super) fn marked(mark: &[u8]) -> Vec<Process> {
    let all = list();
    let parents: HashMap<i32, i32> = all.iter().map(|found| (found.pid, found.parent)).collect();
    let mut spared = HashSet::new();
    let mut line = Some(getpid().as_raw());
    while let Some(pid) = line {
        line = spared
            .insert(pid)
            .then(|| parents.get(&pid).copied())
            .flatten();
    }
    let seeds = all
        .iter()
        .filter(|found| !found.ended && !spared.contains(&found.pid))
        .filter(|found| mark_of(found.pid, mark) == Mark::Ours)
        .map(|found| found.pid)
        .collect();
    let tree = below(&all, &seeds, &spared);
    all.into_iter()
        .filter(|found| !found.ended && tree.contains(&found.pid))
        .collect()
}

/// All living processes below this one. Reaps its children that have ended.
pub(super) fn orphans() -> Vec<Process> {
    let me = getpid().as_raw();
    let all = list();
    for found in all.iter().filter(|found| found.parent == me && found.ended) {
        reap(found.pid);
    }
    let tree = below(&all, &HashSet::from([me]), &HashSet::new());
    all.into_iter()
        .filter(|found| found.pid != me && !found.ended && tree.contains(&found.pid))
        .collect()
}

/// Whether this process has children that are not known mains.
pub(super) fn has_orphans(mains: &HashSet<i32>) -> bool {
    // Unreadable means unknown: look closer.
    own_children().is_none_or(|children| children.iter().any(|pid| !mains.contains(pid)))
}

pub(super) fn reap_orphans(mains: &HashSet<i32>) {
    for pid in own_children().unwrap_or_default() {
        if !mains.contains(&pid) {
            reap(pid);
        }
    }
}

/// Waits for one specific child if it has ended, so that children others wait for are left to them.
fn reap(pid: i32) {
    let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
}

/// The children of all threads. A thread that ends hands its children to another, so the list of threads must be
/// the same before and after.
fn own_children() -> Option<Vec<i32>> {
    for _ in 0..5 {
        let before = threads()?;
        let mut children = Vec::new();
        let mut whole = true;
        for thread in &before {
            match fs::read_to_string(format!("/proc/self/task/{thread}/children")) {
                Ok(text) => children.extend(
                    text.split_ascii_whitespace()
                        .filter_map(|pid| pid.parse::<i32>().ok()),
                ),
                Err(_) => whole = false,
            }
        }
        if whole && threads()? == before {
            return Some(children);
        }
    }
    None
}

fn threads() -> Option<Vec<i32>> {
    numbers("/proc/self/task").ok()
}

fn numbers(dir: &str) -> io::Result<Vec<i32>> {
    let mut found: Vec<i32> = fs::read_dir(dir)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    found.sort_unstable();
    Ok(found)
}

fn list() -> Vec<Process> {
    numbers("/proc")
        .unwrap_or_default()
        .into_iter()
        .filter_map(read_stat)
        .collect()
}

fn read_stat(pid: i32) -> Option<Process> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(pid, &text)
}

/// The name in parentheses may itself hold anything, parentheses included: fields start after the last one.
fn parse_stat(pid: i32, text: &[u8]) -> Option<Process> {
    let after = text.iter().rposition(|&byte| byte == b')')? + 1;
    let rest = std::str::from_utf8(text.get(after..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let started = fields.nth(16)?.parse().ok()?;
    Some(Process {
        pid,
        parent,
        group,
        started,
        ended: matches!(state, "Z" | "X" | "x"),
    })
}

/// The given processes and all below them, not going through those to spare.
fn below(all: &[Process], seeds: &HashSet<i32>, spare: &HashSet<i32>) -> HashSet<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for found in all {
        children.entry(found.parent).or_default().push(found.pid);
    }
    let mut tree = HashSet::new();
    let mut todo: Vec<i32> = seeds.iter().copied().collect();
    while let Some(pid) = todo.pop() {
        if !spare.contains(&pid) && tree.insert(pid) {
            todo.extend(children.get(&pid).into_iter().flatten());
        }
    }
    tree
}

#[derive(Debug, PartialEq, Eq)]
enum Mark {
    Ours,
    Other,
    None,
}

/// Whether a process bears the wanted `NAME=value`, the same name with another value, or neither.
fn mark_of(pid: i32, mark: &[u8]) -> Mark {
    let mut environ = Vec::new();
    let read = fs::File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(MAX_ENVIRON).read_to_end(&mut environ));
    if read.is_err() {
        return Mark::None;
    }
    let name = mark
        .iter()
        .position(|&byte| byte == b'=')
        .and_then(|at| mark.get(..=at))
        .unwrap_or(mark);
    let mut other = false;
    for entry in environ.split(|&byte| byte == 0) {
        if entry == mark {
            return Mark::Ours;
        }
        other |= entry.starts_with(name);
    }
    if other { Mark::Other } else { Mark::None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stat_lines_with_hostile_names() {
        let line = b"42 (a) S 1 (b)) Z 7 8 9 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        let found = parse_stat(42, line).unwrap();
        assert_eq!((found.parent, found.group, found.started), (7, 8, 12345));
        assert!(found.ended);
        assert!(parse_stat(42, b"42 (x").is_none());
        assert!(parse_stat(42, b"42 (x) S 1").is_none());
    }

    #[test]
    fn finds_itself() {
        let me = getpid().as_raw();
        let all = list();
        assert!(all.iter().any(|found| found.pid == me && !found.ended));
        assert!(below(&all, &HashSet::from([me]), &HashSet::new()).contains(&me));
    }
}
