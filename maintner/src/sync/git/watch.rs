//! Noticing that refs changed, without running git.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep};

/// Without any change seen, git is asked all the same once in this time.
const AT_LEAST: Duration = Duration::from_secs(60);

/// Looks at the files that hold refs.
#[derive(Debug)]
pub(super) struct Watch {
    git_dir: PathBuf,
    common_dir: PathBuf,
    seen: Option<Vec<Mark>>,
}

/// What changes when a file is written or replaced.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    path: PathBuf,
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl Watch {
    pub(super) fn new(git_dir: PathBuf, common_dir: PathBuf) -> Self {
        Self {
            git_dir,
            common_dir,
            seen: None,
        }
    }

    /// What is there now is known.
    pub(super) async fn remember(&mut self) {
        self.seen = self.look().await;
    }

    /// Returns when something is not as it was remembered, or has not been looked at for long.
    pub(super) async fn changed(&self, every: Duration) {
        let begin = Instant::now();
        let mut pause = every;
        while begin.elapsed() < AT_LEAST {
            sleep(pause).await;
            let before = Instant::now();
            if self.look().await != self.seen {
                return;
            }
            // Of a repository with very many loose refs a look costs something.
            pause = every.max(before.elapsed() * 20);
        }
    }

    async fn look(&self) -> Option<Vec<Mark>> {
        let (git_dir, common_dir) = (self.git_dir.clone(), self.common_dir.clone());
        let looked = tokio::task::spawn_blocking(move || look(&git_dir, &common_dir));
        looked.await.ok()
    }
}

fn look(git_dir: &Path, common_dir: &Path) -> Vec<Mark> {
    let mut marks = Vec::new();
    for file in ["packed-refs", "reftable/tables.list"] {
        mark(&common_dir.join(file), &mut marks);
    }
    mark(&git_dir.join("HEAD"), &mut marks);
    for folder in ["heads", "tags", "remotes", "changes"] {
        // A folder that vanishes meanwhile is a change that the next look sees.
        let _ = walk(&common_dir.join("refs").join(folder), &mut marks);
    }
    marks
}

fn walk(folder: &Path, marks: &mut Vec<Mark>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let _ = walk(&entry.path(), marks);
        } else {
            mark(&entry.path(), marks);
        }
    }
    Ok(())
}

fn mark(path: &Path, marks: &mut Vec<Mark>) {
    let Ok(metadata) = fs::metadata(path) else {
        return;
    };
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    marks.push(Mark {
        path: path.to_owned(),
        modified: metadata.modified().ok(),
        len: metadata.len(),
        inode,
    });
}
