//! A log in files that another process may be writing.

mod scan;
mod sums;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

pub(super) use self::scan::{Scan, failed};
use super::{Event, Feed, FeedSource, Source, SourceError};

/// How often a directory that others write to is looked at.
const POLL: Duration = Duration::from_millis(20);

/// How often a log is read anew because its files were given other names meanwhile.
const RENAMES: u32 = 9;

/// Follows a log in a directory of this machine, to which another process may be writing: the
/// original, a leader, a follower that keeps its copy there. What it appends is told within 20 ms or
/// so.
///
/// The files are `NNNN.<sha224>.mutlog` and `NNNN.growing.mutlog`, as a [`SegmentLog`] and the
/// caches of followers have them, or, if there are none of these, `maintner-YYYY-MM-DD.mutlog`, as
/// a [`DiskLog`] and the original have them.
///
/// Takes no lock and changes nothing. Later trouble with the files is told by `tracing`, and looked
/// at again. What is told is in the files; a power cut may still take it from there, if the writer
/// has not made it durable yet.
///
/// ```
/// use bytes::Bytes;
/// use maintner::log::{DiskLog, Event, Sink, Source, Tail};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let mut writer = DiskLog::open(dir.path()).await?;
/// let mut tail = Tail::open(dir.path()).await?;
/// assert!(matches!(tail.next().await?, Event::CaughtUp { .. }));
/// let written = writer.append(&[Bytes::new()]).await?;
/// assert_eq!(tail.next().await?, Event::Batch(written[0].clone()));
/// # Ok(()) }
/// ```
///
/// [`DiskLog`]: super::DiskLog
/// [`SegmentLog`]: super::SegmentLog
#[derive(Debug)]
pub struct Tail {
    feed: Feed,
    source: FeedSource,
}

impl Tail {
    /// Reads the log in `dir`. From then on a task reads on; it ends when nobody has the feed any
    /// more.
    ///
    /// # Errors
    /// When the files cannot be read, or are damaged, or one is missing.
    pub async fn open(dir: impl Into<PathBuf>) -> Result<Self, SourceError> {
        let dir = dir.into();
        let (feed, mut scan) = blocking(move || {
            let feed = Feed::new();
            let mut scan = Scan::new(dir.clone());
            let mut tries = 0;
            loop {
                let refreshed = scan.refresh(&feed);
                // Somebody may have been giving a file another name.
                let may_pass = match &refreshed {
                    Err(SourceError::Io { source, .. }) => {
                        source.kind() == io::ErrorKind::NotFound && dir.is_dir()
                    }
                    Err(SourceError::Missing { .. }) => true,
                    _ => false,
                };
                if !may_pass || tries == RENAMES {
                    break refreshed?;
                }
                tries += 1;
            }
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
        let source = feed.source();
        Ok(Self { feed, source })
    }

    /// What it has read. Goes on reading as long as this, or a clone, or a source of it lives.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }
}

impl Source for Tail {
    async fn next(&mut self) -> Result<Event, SourceError> {
        self.source.next().await
    }

    fn log_bytes(&self) -> Option<u64> {
        self.source.log_bytes()
    }
}

pub(super) async fn blocking<T: Send + 'static, E: From<SourceError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        let panicked = io::Error::other(error);
        Err(failed("read", Path::new("the log"))(panicked).into())
    })
}
