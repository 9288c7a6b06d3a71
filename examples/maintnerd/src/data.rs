//! The folder that the log is in.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use maintner::{
    log::{LocalDir, SegmentLog, SegmentOptions},
    sync::git::GitRepo,
};

/// Opens the log in a folder. A second maintnerd on the same folder is refused.
pub(crate) async fn open(folder: &Path) -> anyhow::Result<SegmentLog> {
    let place = match LocalDir::new(folder) {
        Ok(place) => place,
        Err(error) if error.kind() == ErrorKind::ResourceBusy => bail!(
            "another maintnerd works with {}: stop it, or give this one a folder of its own with --data-dir",
            folder.display()
        ),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot use {}", folder.display()));
        }
    };
    let opened = SegmentLog::open(place, SegmentOptions::default()).await;
    opened.with_context(|| format!("cannot open the log in {}", folder.display()))
}

/// A folder for the log of a repository, in the cache folder.
pub(crate) fn default_for(repo: &GitRepo) -> anyhow::Result<PathBuf> {
    let name = repo.project().rsplit('/').next().unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    repo.path().hash(&mut hasher);
    let folder = format!("{name}-{:08x}", hasher.finish() as u32);
    Ok(cache_dir()?.join("maintnerd").join(folder))
}

fn cache_dir() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(dir) = variable("XDG_CACHE_HOME") {
        return Ok(dir.into());
    }
    let home = variable("HOME").context("HOME is not set: name a folder with --data-dir")?;
    let within = if cfg!(target_os = "macos") {
        "Library/Caches"
    } else {
        ".cache"
    };
    Ok(PathBuf::from(home).join(within))
}
