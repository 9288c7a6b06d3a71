//! The leader's log.

#[cfg(feature = "object-store")]
mod bucket;
mod dir;
mod files;
mod writer;

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

#[cfg(feature = "object-store")]
pub use bucket::{Bucket, BucketError};
pub use dir::{Dir, Entry, LocalDir, MemoryDir};
use files::Files;
use writer::{Place, Queue, Writer};

use super::{Batch, Feed, FeedSource, SEGMENT_SIZE, Sink, SinkError};
use crate::reclog;

/// How a [`SegmentLog`] behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentOptions {
    /// A segment is sealed before it would have more bytes than this; a longer record gets a
    /// segment of its own. Default [`SEGMENT_SIZE`].
    pub segment_size: u64,
    /// Hash all segments when opening, not only the one that grows. Default false: the files are
    /// the leader's own, and reading them all takes its time.
    pub verify: bool,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            segment_size: SEGMENT_SIZE,
            verify: false,
        }
    }
}

/// A log in a directory of segments, or in a bucket (feature `object-store`), to be written by one leader and served to
/// many followers (feature `serve`).
///
/// Sealed segments are `NNNN.<sha224>.mutlog`, the last one grows as `NNNN.growing.mutlog`. What
/// readers see is on disk first, and stays as it is: whenever the process ends, however it ends,
/// the next one has all that anybody has seen. Clones are the same log; their appends share commits.
///
/// ```
/// use bytes::Bytes;
/// use maintner::log::{LocalDir, SegmentLog, SegmentOptions, Sink};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let place = LocalDir::new(dir.path())?;
/// let mut log = SegmentLog::open(place, SegmentOptions::default()).await?;
/// log.append(&[Bytes::new()]).await?;
/// assert_eq!(std::fs::read(dir.path().join("0000.growing.mutlog"))?, b"REC@0+0=");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SegmentLog {
    feed: Feed,
    writer: Arc<Mutex<Writer>>,
    /// What waits while another append is under way goes out in one.
    queue: Arc<Queue>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Why a [`SegmentLog`] cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A segment in the middle is missing.
    #[error("log has segment {last}, but segment {missing} is missing; bring its file back")]
    Gap {
        /// The first that is missing.
        missing: u32,
        /// The last that is there.
        last: u32,
    },
    /// There is a sealed and a growing file of one segment, and neither begins with the other.
    #[error("segment {segment} is there twice, with different records; remove one of its files")]
    Twice {
        /// The number of the segment.
        segment: u32,
    },
    /// A sealed segment does not have the digest that its name says.
    #[error("file {name} does not have the digest in its name; replace it")]
    Digest {
        /// The name of its file.
        name: String,
    },
    /// A sealed segment is longer than readers can point into.
    #[error("file {name} has {size} bytes, more than the limit of 4 GiB")]
    TooLarge {
        /// The name of its file.
        name: String,
        /// Its length.
        size: u64,
    },
    /// The segment that grows is damaged, and good records follow the damage.
    #[error("file {name} is damaged; repair it")]
    Damaged {
        /// The name of the file.
        name: String,
        /// What is wrong.
        #[source]
        source: reclog::RecoverError,
    },
    /// Another leader took the bucket at the same time.
    #[error("another leader has just taken the log over; run only one")]
    Taken,
    /// There is more in the bucket, or less, than a leader leaves there.
    #[error("bucket is not as its leader left it: {reason}")]
    Bucket {
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The place cannot be used.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// What came of it.
        #[source]
        source: io::Error,
    },
}

impl SegmentLog {
    /// Opens the log in `dir`, or begins one. Cuts off what an interrupted append left, cleans up
    /// after an interrupted sealing, and goes on with the last segment if it is not full.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing that a follower may have seen is changed then.
    pub async fn open(dir: impl Dir, options: SegmentOptions) -> Result<Self, OpenError> {
        let size = options.segment_size;
        Self::with(size, move |feed| Files::open(Box::new(dir), &options, feed)).await
    }

    /// Opens the log in `bucket`, or begins one. A leader that still has it open is stopped: its
    /// next append fails with [`SinkError::Fenced`]. Goes on with the last segment if it is not
    /// full.
    ///
    /// A bucket that only the original, or nobody, has written to so far is taken over.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing that a follower may have seen is changed then.
    #[cfg(feature = "object-store")]
    pub async fn open_bucket(bucket: Bucket, options: SegmentOptions) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Handle::current();
        let size = options.segment_size;
        Self::with(size, move |feed| bucket.open(&options, feed, runtime)).await
    }

    /// Goes on behind what `open` has shown.
    async fn with<P: Place + 'static>(
        segment_size: u64,
        open: impl FnOnce(&Feed) -> Result<P, OpenError> + Send + 'static,
    ) -> Result<Self, OpenError> {
        let opened = tokio::task::spawn_blocking(move || {
            let feed = Feed::new();
            let place = open(&feed)?;
            let writer = Arc::new(Mutex::new(Writer::new(place, segment_size, feed.clone())));
            Ok(Self {
                feed,
                writer,
                queue: Arc::default(),
                turn: Arc::default(),
            })
        });
        opened.await.unwrap_or_else(|error| {
            Err(OpenError::Io {
                action: "open the log".into(),
                source: io::Error::other(error),
            })
        })
    }

    /// What readers see of it.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Tells it from its first record on, and then what is appended.
    pub fn source(&self) -> FeedSource {
        self.feed.source()
    }

    /// Appends no more, in any clone, and gives up the directory or the bucket. Readers of this process still
    /// see all of the log.
    pub async fn close(&self) {
        let writer = Arc::clone(&self.writer);
        let ended = tokio::task::spawn_blocking(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.close();
        });
        // A writer that panicked writes no more either.
        let _ = ended.await;
    }
}

impl Sink for SegmentLog {
    async fn append(&mut self, payloads: &[Bytes]) -> Result<Vec<Batch>, SinkError> {
        let mut answered = self.queue.push(payloads);
        let _turn = self.turn.lock().await;
        // It may have gone out with another's.
        if let Ok(result) = answered.try_recv() {
            return result;
        }
        let (writer, queue) = (Arc::clone(&self.writer), Arc::clone(&self.queue));
        // Goes on if this future is dropped: what is written is shown.
        let appended = tokio::task::spawn_blocking(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.append(queue.take());
        });
        appended.await.map_err(broke_off)?;
        answered.await.map_err(broke_off)?
    }
}

fn broke_off(error: impl std::error::Error + Send + Sync + 'static) -> SinkError {
    SinkError::Io {
        action: "append to",
        source: io::Error::other(error),
    }
}

impl fmt::Debug for SegmentLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentLog").finish_non_exhaustive()
    }
}

/// Whether a segment lacks so little that it is not grown any further. As in the original.
fn is_full(len: u64, segment_size: u64) -> bool {
    const MARGIN: u64 = 4096;
    len >= segment_size - MARGIN.min(segment_size / 4)
}

fn failed(action: &str, name: &str) -> impl FnOnce(io::Error) -> OpenError {
    let action = format!("{action} {name}");
    move |source| OpenError::Io { action, source }
}
