//! Work directories nobody asked for by name: a fresh one for each run, and what is left of runs that were killed.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use buildlet::{Buildlet, Config};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, geteuid};

use crate::say;

/// Names are this, the number of the process, and a random number.
const PREFIX: &str = "buildlet-";

/// Makes a directory nobody else has, readable for this user only.
pub(crate) fn make() -> Result<PathBuf> {
    let number = getrandom::u64().map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let name = format!("{PREFIX}{}-{number:016x}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// Removes the directories of workers that had no time to, and kills what still runs in them.
pub(crate) async fn clear_stale() {
    let Ok(entries) = std::env::temp_dir().read_dir() else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if name.to_str().and_then(owner).is_some_and(is_dead) && is_mine(&entry.path()) {
            clear(&entry.path()).await;
        }
    }
}

async fn clear(dir: &Path) {
    // A worker takes its directory for itself and kills what an earlier one left in it: so be that worker.
    let Ok(buildlet) = Buildlet::new(Config::new(dir)) else {
        return;
    };
    let emptied = buildlet.empty_work_dir().await;
    if emptied.and_then(|()| std::fs::remove_dir(dir)).is_ok() {
        say(&format!(
            "removed {}, left by a worker that was killed",
            dir.display()
        ));
    }
}

fn owner(name: &str) -> Option<Pid> {
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let random = number.len() == 16 && number.bytes().all(|byte| byte.is_ascii_hexdigit());
    pid.parse::<i32>()
        .ok()
        .filter(|pid| random && *pid > 0)
        .map(Pid::from_raw)
}

fn is_dead(pid: Pid) -> bool {
    kill(pid, None) == Err(Errno::ESRCH)
}

/// In a directory all users write to, a name proves nothing.
fn is_mine(dir: &Path) -> bool {
    dir.symlink_metadata()
        .is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours() {
        assert_eq!(
            owner("buildlet-12-0123456789abcdef"),
            Some(Pid::from_raw(12))
        );
        for name in [
            "buildlet-12",
            "buildlet--1-0123456789abcdef",
            "buildlet-12-x",
            "other",
            "buildlet-0-0123456789abcdef",
        ] {
            assert_eq!(owner(name), None, "{name}");
        }
        assert!(!is_dead(Pid::this()));
    }
}
