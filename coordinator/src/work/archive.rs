//! Packed trees of commits, kept on disk.
//!
//! Many builders want the same commit at the same time: the first request packs it, the others wait for the same file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use buildfarm_singleflight::Group;
use tokio::task::spawn_blocking;

use super::git;
use super::{Archive, SourceError};

/// A packed tree is left alone for this long after its last use, so that nobody's file vanishes before it is opened.
const IN_USE: Duration = Duration::from_secs(600);

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
            spawn_blocking(move || find_or_pack(&mirror, &dir, budget, &hash))
                .await
                .unwrap_or_else(|panic| Err(SourceError::Io(io::Error::other(panic))))
                .map_err(Arc::new)
        });
        match flight.await {
            Ok(shared) => shared.value.map_err(SourceError::Shared),
            Err(aborted) => Err(SourceError::Io(io::Error::other(aborted))),
        }
    }
}

fn find_or_pack(
    mirror: &Path,
    dir: &Path,
    budget: u64,
    commit: &str,
) -> Result<Archive, SourceError> {
    let path = dir.join(format!("{commit}.tar.gz"));
    match File::options().append(true).open(&path) {
        Ok(file) => {
            file.set_modified(SystemTime::now())?;
            Ok(Archive {
                bytes: file.metadata()?.len(),
                path,
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_room(dir, budget)?;
            pack(mirror, commit, path)
        }
        Err(error) => Err(error.into()),
    }
}

fn pack(mirror: &Path, commit: &str, path: PathBuf) -> Result<Archive, SourceError> {
    let mut child = git::command(mirror, ["archive", "--format=tar", commit])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(SourceError::NoGit)?;
    let mut tar = child
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("git has no output"))?;
    let partial = path.with_extension("partial");
    // Level 1: the archive crosses one network once; packing it must not take longer than that.
    let mut gzip = pargzip::Builder::new()
        .level(1)
        .build(File::create(&partial)?);
    let copied = io::copy(&mut tar, &mut gzip);
    drop(tar);
    let status = child.wait()?;
    copied?;
    let file = gzip.finish()?;
    if !status.success() {
        return Err(SourceError::Git {
            command: "archive".to_owned(),
            stderr: format!("{commit}: {status}"),
        });
    }
    let bytes = file.metadata()?.len();
    fs::rename(partial, &path)?;
    Ok(Archive { path, bytes })
}

/// Deletes the archives used longest ago until the rest fits the budget.
fn make_room(dir: &Path, budget: u64) -> io::Result<()> {
    let mut archives = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        archives.push((meta.modified()?, meta.len(), entry.path()));
    }
    archives.sort();
    let mut total: u64 = archives.iter().map(|(_, bytes, _)| bytes).sum();
    for (used, bytes, path) in archives {
        if total <= budget || used.elapsed().is_ok_and(|age| age < IN_USE) {
            break;
        }
        fs::remove_file(path)?;
        total -= bytes;
    }
    Ok(())
}
