//! A log in a directory of files named by date, as the original keeps it.

mod scan;

use std::{
    fmt, fs,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use self::scan::Scan;
use super::{
    Batch, Feed, FeedSource, Segment, Sink, SinkError, SourceError, check,
    feed::frame,
    files::{lock, map, sync_names},
};
use crate::reclog::{self, Appender, Options};

/// How often a directory that others write to is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A log in a directory, one file `maintner-YYYY-MM-DD.mutlog` for each day (UTC) on which
/// something happened. Clones are the same log.
///
/// The original (`DiskMutationLogger`) reads it, and goes on with it. Each file is a segment; they
/// are numbered in the order of their names. Files without records do not count.
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
    /// The last file cannot be appended to.
    #[error(transparent)]
    Last(#[from] reclog::OpenError),
    /// The files cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

struct Writer {
    dir: PathBuf,
    _lock: File,
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
        let current = scan.names()?.pop().map(|name| dir.join(name));
        let appender = match &current {
            Some(path) => Some(Appender::open(path, &Options::default())?.0),
            None => None,
        };
        scan.refresh(&feed)?;
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

    /// Shows the log in `dir`, to which another process, the original or one of this crate, may be
    /// writing: what it appends is seen within 20 ms or so. Takes no lock and changes nothing.
    ///
    /// Later trouble with the files is told by `tracing`, and looked at again.
    ///
    /// # Errors
    /// When the files cannot be read, or are damaged.
    pub async fn read(dir: impl Into<PathBuf>) -> Result<Feed, SourceError> {
        let dir = dir.into();
        let (feed, mut scan) = blocking(move || {
            let feed = Feed::new();
            let mut scan = Scan::new(dir);
            scan.refresh(&feed)?;
            Ok::<_, SourceError>((feed, scan))
        })
        .await?;
        let weak = feed.downgrade();
        tokio::spawn(async move {
            let mut last_trouble = String::new();
            loop {
                tokio::time::sleep(POLL).await;
                // Nobody can see it any more.
                let Some(feed) = weak.upgrade() else { return };
                let refreshed = tokio::task::spawn_blocking(move || {
                    let refreshed = scan.refresh(&feed);
                    (scan, refreshed)
                });
                let Ok((moved, refreshed)) = refreshed.await else {
                    return;
                };
                scan = moved;
                let trouble = refreshed.err().map(|error| error.to_string());
                let trouble = trouble.unwrap_or_default();
                if trouble != last_trouble && !trouble.is_empty() {
                    tracing::warn!(trouble, "cannot read on in a log");
                }
                last_trouble = trouble;
            }
        });
        Ok(feed)
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
        let today = self.dir.join(scan::name_of((self.clock)()));
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
            return Err(io::Error::other("the file is not what readers have seen"));
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

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SourceError {
    let path = path.to_owned();
    move |source| SourceError::Io {
        action,
        path,
        source,
    }
}

fn cannot(action: &'static str) -> impl FnOnce(io::Error) -> SinkError {
    move |source| SinkError::Io { action, source }
}

async fn blocking<T: Send + 'static, E: From<SourceError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        let panicked = io::Error::other(error);
        Err(failed("read", Path::new("the log"))(panicked).into())
    })
}

/// The file `segment` as far as it has whole records, which is all of it unless the original was
/// interrupted.
fn whole(segment: u32, bytes: &[u8], offset: u64) -> Result<u64, SourceError> {
    let mut records = reclog::Records::new(bytes, offset);
    for record in records.by_ref() {
        match record {
            Ok(_) => {}
            Err(error) if error.is_torn() => break,
            Err(source) => return Err(SourceError::Damaged { segment, source }),
        }
    }
    Ok(records.offset())
}

/// A file's records as a sealed segment.
fn sealed(number: u32, name: &str, bytes: Bytes) -> Result<(Segment, Bytes), SourceError> {
    if bytes.len() as u64 > u64::from(u32::MAX) {
        let size = bytes.len() as u64;
        return Err(SourceError::TooLarge {
            segment: number,
            size,
        });
    }
    // A copy of a sealed segment has its digest in its name.
    if let Some(sha224) = scan::digest_in(name) {
        let size = bytes.len() as u64;
        let segment = Segment {
            number,
            size,
            sha224,
        };
        return Ok((segment, bytes));
    }
    let end = whole(number, &bytes, 0)?;
    let bytes = bytes.slice(..end as usize);
    Ok((Segment::of(number, &bytes), bytes))
}
