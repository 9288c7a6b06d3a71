//! Packed trees of commits, kept on disk.
//!
//! Many builders want the same commit at the same time: the first request packs it, the others wait for the same file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use buildfarm_singleflight::Group;
use tokio::task::spawn_blocking;
use tokio_util::io::SyncIoBridge;

use super::command::git_into;
use super::{Archive, SourceError};

/// A packed tree is left alone for this long after its last use, so that nobody's file vanishes before it is opened.
const IN_USE: Duration = Duration::from_secs(600);

const PARTIAL: &str = "partial";

/// Packed trees, the most recently used kept, within a budget of bytes.
#[derive(Debug)]
pub(super) struct ArchiveCache {
    dir: PathBuf,
    budget: u64,
    flights: Group<String, Result<Archive, Arc<SourceError>>>,
}

impl ArchiveCache {
    pub(super) async fn open(dir: &Path, budget: u64) -> Result<Self, SourceError> {
        tokio::fs::create_dir_all(dir).await?;
        let mut entries = tokio::fs::read_dir(dir).await?;
        while let Some(entry) = entries.next_entry().await? {
            // Nobody but us packs here: what is not finished never will be.
            if entry.path().extension().is_some_and(|e| e == PARTIAL) {
                tokio::fs::remove_file(entry.path()).await?;
            }
        }
        Ok(Self {
            dir: dir.to_owned(),
            budget,
            flights: Group::new(),
        })
    }

    /// The packed tree of `commit`, packing it if need be.
    pub(super) async fn get(&self, mirror: &Path, commit: &str) -> Result<Archive, SourceError> {
        // The name becomes part of a path and of a command line.
        if commit.is_empty() || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(SourceError::Unexpected(format!("commit {commit:?}")));
        }
        let (mirror, dir, budget, hash) = (
            mirror.to_owned(),
            self.dir.clone(),
            self.budget,
            commit.to_owned(),
        );
        let flight = self.flights.run(commit.to_owned(), move || async move {
            find_or_pack(&mirror, dir, budget, &hash)
                .await
                .map_err(Arc::new)
        });
        match flight.await {
            Ok(shared) => shared.value.map_err(SourceError::Shared),
            Err(aborted) => Err(SourceError::Io(io::Error::other(aborted))),
        }
    }
}

async fn find_or_pack(
    mirror: &Path,
    dir: PathBuf,
    budget: u64,
    commit: &str,
) -> Result<Archive, SourceError> {
    let path = dir.join(format!("{commit}.tar.gz"));
    let known = path.clone();
    let found = blocking(move || match File::options().append(true).open(known) {
        Ok(file) => {
            file.set_modified(SystemTime::now())?;
            Ok(Some(file.metadata()?.len()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_room(&dir, budget)?;
            Ok(None)
        }
        Err(error) => Err(error),
    });
    let bytes = match found.await? {
        Some(bytes) => bytes,
        None => pack(mirror, commit, path.clone()).await?,
    };
    Ok(Archive { path, bytes })
}

async fn pack(mirror: &Path, commit: &str, path: PathBuf) -> Result<u64, SourceError> {
    let partial = path.with_extension(PARTIAL);
    let to = partial.clone();
    // The tree as it was committed, whatever line ends this machine's user likes in working trees.
    let args = [
        "-c",
        "core.autocrlf=false",
        "-c",
        "core.eol=lf",
        "archive",
        "--format=tar",
        commit,
    ];
    let file = git_into(mirror, &args, |tar| async {
        let mut tar = SyncIoBridge::new(tar);
        blocking(move || {
            // Level 1: the archive crosses one network once; packing it must not take longer than that.
            let mut gzip = pargzip::Builder::new().level(1).build(File::create(to)?);
            io::copy(&mut tar, &mut gzip)?;
            gzip.finish()
        })
        .await
    })
    .await?;
    blocking(move || {
        let bytes = file.metadata()?.len();
        // A name that survives a power failure must not outlive the content.
        file.sync_all()?;
        fs::rename(partial, path)?;
        Ok(bytes)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SourceError> {
    Ok(spawn_blocking(work).await.map_err(io::Error::other)??)
}

/// Deletes the archives used longest ago until the rest fits the budget.
fn make_room(dir: &Path, budget: u64) -> io::Result<()> {
    let mut archives = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Others come and go meanwhile.
        let Ok(meta) = entry.metadata() else { continue };
        archives.push((meta.modified()?, meta.len(), entry.path()));
    }
    archives.sort();
    let mut total: u64 = archives.iter().map(|(_, bytes, _)| bytes).sum();
    for (used, bytes, path) in archives {
        if total <= budget || used.elapsed().is_ok_and(|age| age < IN_USE) {
            break;
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => total -= bytes,
        }
    }
    Ok(())
}
