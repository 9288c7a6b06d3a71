//! How a corpus is opened.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use maintner::corpus::{live::Follower, snapshot_file::SnapshotDir};

use crate::{Corpus, Error, Opening, SERVER, source::AnySource};

/// How a corpus is opened.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), godata::Error> {
/// let log = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
/// let corpus = godata::Options::new().snapshot_file(false).open(log).await?;
/// assert!(corpus.snapshot().github().repos().len() > 0);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    cache: Option<PathBuf>,
    snapshot_file: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// With the usual cache folder, and snapshot files.
    pub fn new() -> Self {
        Self {
            cache: None,
            snapshot_file: true,
        }
    }

    /// As [`new`](Self::new); without snapshot files if `GODATA_NO_SNAPSHOT` is set in the
    /// environment and not empty.
    pub fn from_env() -> Self {
        Self::new().snapshot_file(variable("GODATA_NO_SNAPSHOT").is_none())
    }

    /// Keeps what is fetched, and snapshot files, in a folder, which is made if there is none.
    /// Several processes may share it.
    ///
    /// Default: [`dir`] for the Go project's log, a folder beside it for others.
    #[must_use]
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// Whether to keep a snapshot file, and begin with it. Default true.
    #[must_use]
    pub fn snapshot_file(mut self, keep: bool) -> Self {
        self.snapshot_file = keep;
        self
    }

    /// Opens a log: at an address, or in a folder or a file. Returns when everything there is has
    /// been read; from then on the corpus follows, as long as the log can grow.
    ///
    /// # Errors
    ///
    /// Fails if the log cannot be read. Must be called within a tokio runtime.
    pub async fn open(&self, log: &str) -> Result<Corpus, Error> {
        self.begin(log).await?.ready().await
    }

    /// Begins to open a log; [`Opening::ready`] reads it. For programs that show how far they are.
    ///
    /// # Errors
    ///
    /// Fails if there is no such log. That a server does not answer is found out later.
    pub async fn begin(&self, log: &str) -> Result<Opening, Error> {
        let cache = self.cache_for(log);
        let source = AnySource::open(log, cache.as_deref()).await?;
        let follower = match cache.filter(|_| self.snapshot_file) {
            Some(cache) => Follower::open(source, SnapshotDir::new(cache.join("snapshots"))),
            None => Follower::new(source),
        };
        let log = log.to_owned();
        Ok(Opening { log, follower })
    }

    /// Where to keep what belongs to a log.
    fn cache_for(&self, log: &str) -> Option<PathBuf> {
        if let Some(folder) = &self.cache {
            return Some(folder.clone());
        }
        if log == SERVER {
            return dir();
        }
        let absolute = match AnySource::is_address(log) {
            true => log.to_owned(),
            false => fs::canonicalize(log).ok()?.to_string_lossy().into_owned(),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
        let name = absolute.chars().map(|c| if fits(c) { c } else { '_' });
        let name: String = name.collect();
        // The end tells most, and names have a limit.
        let from = name.len().saturating_sub(150);
        let name = name[from..].trim_start_matches(['.', '_']);
        Some(cache_dir()?.join("godata").join(name))
    }
}

/// Where the Go project's log is kept: `golang-maintner` in the cache folder, as the Go programs have
/// it. None if there is no home.
pub fn dir() -> Option<PathBuf> {
    Some(cache_dir()?.join("golang-maintner"))
}

fn cache_dir() -> Option<PathBuf> {
    if let Some(folder) = variable("XDG_CACHE_HOME") {
        return Some(folder.into());
    }
    let within = match cfg!(target_os = "macos") {
        true => "Library/Caches",
        false => ".cache",
    };
    Some(
        env::home_dir()
            .filter(|home| home != Path::new(""))?
            .join(within),
    )
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
