//! How a corpus is opened.

use std::{
    borrow::Cow,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use maintner::{
    corpus::{
        ApplyError, Writer,
        live::Follower,
        snapshot_file::{Checkpoint, SnapshotDir},
    },
    log::{Batch, Event, Segment, Source, total},
};

use crate::{Corpus, Error, SERVER, source::AnySource};

/// Logs below this size are read faster than a snapshot file is worth.
const WORTH_SAVING: u64 = 16 << 20;

/// A snapshot file is made anew when the log has grown by this part of its size.
const OUTGROWN: u64 = 20;

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
        let cache = self.cache_for(log);
        let mut source = AnySource::open(log, cache.as_deref()).await?;
        let (segments, batches) = read_all(log, &mut source).await?;
        let snapshots = cache.filter(|_| self.snapshot_file && total(&segments) >= WORTH_SAVING);
        let snapshots = snapshots.map(|cache| SnapshotDir::new(cache.join("snapshots")));
        let load = move || load(&segments, &batches, snapshots);
        let loaded = tokio::task::spawn_blocking(load).await;
        let loaded = loaded.map_err(|_| Error::Shutdown)?;
        let writer = loaded.map_err(|source| Error::Apply {
            log: log.to_owned(),
            source,
        })?;
        let live = Follower::with_writer(source, writer).spawn();
        Ok(Corpus { live })
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

/// All there is, without looking at it.
async fn read_all(log: &str, source: &mut AnySource) -> Result<(Vec<Segment>, Vec<Batch>), Error> {
    let mut batches = Vec::new();
    loop {
        let event = source.next().await.map_err(|source| Error::Read {
            log: log.to_owned(),
            source: Arc::new(source),
        })?;
        match event {
            Event::Batch(batch) => batches.push(batch),
            Event::CaughtUp { segments } => return Ok((segments, batches)),
            Event::Split { .. } => batches.clear(),
            _ => {}
        }
    }
}

/// Makes a corpus of a log, with the help of a snapshot file if there is one; and keeps one for the
/// next time.
fn load(
    segments: &[Segment],
    batches: &[Batch],
    snapshots: Option<SnapshotDir>,
) -> Result<Writer, ApplyError> {
    let opened = snapshots
        .as_ref()
        .map(|files| files.open(segments, batches));
    let (mut writer, rest) = match opened {
        Some(Ok(opened)) => (opened.writer, Cow::Owned(opened.rest)),
        other => {
            if let Some(Err(reason)) = other {
                tracing::debug!(%reason, "no snapshot file");
            }
            (Writer::new(), Cow::Borrowed(batches))
        }
    };
    let new: usize = rest.iter().map(|batch| batch.bytes.len()).sum();
    let is_old = new as u64 > total(segments) / OUTGROWN;
    for batch in rest.iter() {
        writer.apply(batch.segment, batch.offset, &batch.bytes)?;
    }
    writer.publish();
    if let Some(snapshots) = snapshots.filter(|_| is_old) {
        let (checkpoint, segments) = (writer.checkpoint(), segments.to_vec());
        std::thread::spawn(move || save(&snapshots, &checkpoint, &segments));
    }
    Ok(writer)
}

fn save(snapshots: &SnapshotDir, checkpoint: &Checkpoint, segments: &[Segment]) {
    match snapshots.save(checkpoint, segments) {
        Ok(file) => tracing::debug!(file = %file.display(), "saved a snapshot file"),
        // The next start takes longer; nothing else depends on it.
        Err(error) => tracing::warn!(%error, "cannot save a snapshot file"),
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
