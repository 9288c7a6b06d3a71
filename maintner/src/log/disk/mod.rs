//! A log in a directory of files named by date, as the original keeps it.

mod day;

use std::{
    fmt, fs,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;

use super::{
    Batch, Feed, FeedSource, Sink, SinkError, SourceError, check,
    feed::frame,
    files::{lock, map, sync_names},
    names,
    tail::{Scan, Tail, blocking, failed},
};
use crate::reclog::{self, Appender, Lock, Options};

/// A log in a directory, one file `maintner-YYYY-MM-DD.mutlog` for each day (UTC) on which
/// something happened. Clones are the same log.
///
/// The original (`DiskMutationLogger`) reads it, and goes on with it. Each file is a segment; they
/// are numbered in the order of their names. Files without records do not count. [`Tail`] reads it
/// while another process writes.
///
/// Beside them stands `.sums` with the digests of those that grow no more, so that opening a log need
/// not read them. It is not believed about a file that has changed.
///
/// ```
/// use bytes::Bytes;
/// use maintner::log::{DiskLog, Sink};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let mut log = DiskLog::open(dir.path()).await?;
/// log.append(&[Bytes::new()]).await?;
/// assert_eq!(log.feed().len(), 8);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct DiskLog {
    feed: Feed,
    writer: Arc<Mutex<Writer>>,
}

/// Why a [`DiskLog`] cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// Another process, or another value, writes to it.
    #[error("log {} is in use by another writer", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It is a log of another kind: the files are those of a
    /// [`SegmentLog`](super::SegmentLog).
    #[error("log {} has segments, such as {name}, instead of files by date", path.display())]
    Segments {
        /// The directory.
        path: PathBuf,
        /// One of the files.
        name: String,
    },
    /// The last file cannot be appended to.
    #[error(transparent)]
    Last(#[from] reclog::OpenError),
    /// The files cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

const NOT_AS_SEEN: &str = "the file is not what readers have seen";

struct Writer {
    dir: PathBuf,
    _lock: Lock,
    clock: fn() -> SystemTime,
    feed: Feed,
    /// The last file, which is appended to until the next day.
    current: Option<PathBuf>,
    /// None if it is to be opened first.
    appender: Option<Appender>,
}

impl DiskLog {
    /// Opens the log in `dir` to write to it, or begins one. Cuts off what an interrupted append
    /// left at its end.
    ///
    /// # Errors
    /// See [`DiskError`].
    pub async fn open(dir: impl Into<PathBuf>) -> Result<Self, DiskError> {
        Self::open_with_clock(dir, SystemTime::now).await
    }

    /// [`open`](Self::open), told what day it is by `clock`. For tests.
    ///
    /// # Errors
    /// See [`DiskError`].
    pub async fn open_with_clock(
        dir: impl Into<PathBuf>,
        clock: fn() -> SystemTime,
    ) -> Result<Self, DiskError> {
        let dir = dir.into();
        blocking(move || Self::open_now(dir, clock)).await
    }

    fn open_now(dir: PathBuf, clock: fn() -> SystemTime) -> Result<Self, DiskError> {
        fs::create_dir_all(&dir).map_err(failed("make", &dir))?;
        let lock = lock(&dir).map_err(failed("lock", &dir))?;
        let lock = lock.ok_or_else(|| DiskError::InUse { path: dir.clone() })?;
        let feed = Feed::new();
        let mut scan = Scan::new(dir.clone());
        // Before anything is shown: the end is repaired first.
        let files = scan.list()?;
        if let Some(file) = files.iter().find(|file| !names::is_dated(&file.name)) {
            let name = file.name.clone();
            return Err(DiskError::Segments { path: dir, name });
        }
        let (mut current, mut appender) = (None, None);
        for file in files.iter().rev() {
            let path = dir.join(&file.name);
            let (repaired, _) = Appender::open(&path, &Options::default())?;
            // A first record that was torn leaves nothing: then the file before it is the last one.
            if repaired.end() > 0 {
                (current, appender) = (Some(path), Some(repaired));
                break;
            }
        }
        scan.refresh(&feed)?;
        let end = appender.as_ref().map_or(0, Appender::end);
        if end != feed.growing().1 {
            let path = current.as_deref().unwrap_or(&dir);
            let error = io::Error::other(NOT_AS_SEEN);
            return Err(failed("go on with", path)(error).into());
        }
        if let Err(error) = scan.sums.write(&dir) {
            tracing::debug!(%error, "the digests of a log's files were not kept");
        }
        let writer = Writer {
            dir,
            _lock: lock,
            clock,
            feed: feed.clone(),
            current,
            appender,
        };
        Ok(Self {
            feed,
            writer: Arc::new(Mutex::new(writer)),
        })
    }

    /// Shows the log in `dir`, to which another process may be writing: [`Tail`] without its own
    /// place in the log.
    ///
    /// # Errors
    /// See [`Tail::open`].
    pub async fn read(dir: impl Into<PathBuf>) -> Result<Feed, SourceError> {
        Ok(Tail::open(dir).await?.feed().clone())
    }

    /// What readers see of it.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Tells it from its first record on, and then what is appended.
    pub fn source(&self) -> FeedSource {
        self.feed.source()
    }
}

impl Sink for DiskLog {
    async fn append(&mut self, payloads: &[Bytes]) -> Result<Vec<Batch>, SinkError> {
        let writer = Arc::clone(&self.writer);
        let payloads = payloads.to_vec();
        // Goes on if this future is dropped: what is written is shown.
        let appended = tokio::task::spawn_blocking(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.append(&payloads)
        });
        appended
            .await
            .unwrap_or_else(|error| Err(cannot("append to")(io::Error::other(error))))
    }
}

impl fmt::Debug for DiskLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskLog").finish_non_exhaustive()
    }
}

impl Writer {
    fn append(&mut self, payloads: &[Bytes]) -> Result<Vec<Batch>, SinkError> {
        check::all(payloads)?;
        if payloads.is_empty() {
            return Ok(Vec::new());
        }
        let today = self.dir.join(day::name_of((self.clock)()));
        // A clock that goes back does not bring yesterday back: files are read in their order.
        if self.current.as_ref().is_none_or(|current| *current < today) {
            self.rotate(today)
                .map_err(cannot("begin another file of"))?;
        }
        let (segment, offset) = self.feed.growing();
        let mut appender = match self.appender.take() {
            Some(appender) => appender,
            None => self.reopen(offset).map_err(cannot("reopen"))?,
        };
        appender
            .append_all(payloads.iter().map(|payload| &payload[..]))
            .and_then(|_| appender.sync())
            .map_err(|error| cannot("append to")(io::Error::other(error)))?;
        self.appender = Some(appender);
        let bytes = Bytes::from(frame(payloads, offset));
        self.feed.push(&bytes);
        Ok(vec![Batch {
            segment,
            offset,
            bytes,
        }])
    }

    /// Goes on in a new file.
    fn rotate(&mut self, to: PathBuf) -> io::Result<()> {
        self.appender = None;
        if let (Some(old), Some(segment)) = (&self.current, self.feed.growing_segment()) {
            cut(old, segment.size)?;
            self.feed.seal(segment, map(old)?);
        }
        self.current = Some(to);
        Ok(())
    }

    /// Opens the last file, of which readers have seen `len` bytes.
    fn reopen(&self, len: u64) -> io::Result<Appender> {
        let path = self.current.as_deref().unwrap_or(&self.dir);
        cut(path, len)?;
        let (appender, _) = Appender::open(path, &Options::default()).map_err(io::Error::other)?;
        if appender.end() != len {
            return Err(io::Error::other(NOT_AS_SEEN));
        }
        sync_names(&self.dir)?;
        Ok(appender)
    }
}

/// Cuts a file to what readers have seen of it: behind that is what could not be appended.
fn cut(path: &Path, len: u64) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > len => {
            let file = File::options().write(true).open(path)?;
            file.set_len(len)?;
            file.sync_all()
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn cannot(action: &'static str) -> impl FnOnce(io::Error) -> SinkError {
    move |source| SinkError::Io { action, source }
}
