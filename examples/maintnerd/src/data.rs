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
    if let Some(file) = of_days(folder) {
        bail!(
            "{file} in {folder} is of a log by days, which this does not write: `mutlog convert --to segments {folder} NEW` \
             makes one that it does, for --data-dir NEW",
            folder = folder.display()
        );
    }
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

/// The name of a file in a folder that has a log by days and none in segments.
fn of_days(folder: &Path) -> Option<String> {
    let entries = std::fs::read_dir(folder).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let (of_days, others): (Vec<_>, Vec<_>) = names
        .filter(|name| name.ends_with(".mutlog"))
        .partition(|name| name.starts_with("maintner-"));
    of_days.into_iter().next().filter(|_| others.is_empty())
}

/// Opens the log in a bucket. A maintnerd that has it is stopped. Copies of segments go into `folder`, which
/// no log is in.
#[cfg(feature = "object-store")]
pub(crate) async fn open_bucket(url: &str, folder: &Path) -> anyhow::Result<SegmentLog> {
    let settings = std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        let is_one = ["AWS_", "GOOGLE_", "AZURE_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        is_one.then_some((name, value))
    });
    let bucket = maintner::log::Bucket::from_url(url, settings)?.cache(folder);
    let opened = SegmentLog::open_bucket(bucket, SegmentOptions::default()).await;
    opened.with_context(|| format!("cannot open the log in {url}"))
}

/// A folder for the log of a repository, in the cache folder.
pub(crate) fn default_for(repo: &GitRepo) -> anyhow::Result<PathBuf> {
    let name = repo.project().rsplit('/').next().unwrap_or_default();
    folder_for(name, repo.path())
}

/// A folder in the cache folder, with a name of its own for each `what`.
pub(crate) fn folder_for(name: &str, what: impl Hash) -> anyhow::Result<PathBuf> {
    Ok(cache_dir()?.join("maintnerd").join(name_for(name, what)))
}

/// A name of its own for each `what`.
pub(crate) fn name_for(name: &str, what: impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    format!("{name}-{:08x}", hasher.finish() as u32)
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
