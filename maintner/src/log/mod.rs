//! Where a log comes from, and where it goes.
//!
//! A log is a list of [`Segment`]s, files of [records](crate::reclog) numbered from 0, of which
//! only the last one grows. Whoever reads a log has a [`Source`]; whoever writes one has a
//! [`Sink`].
//!
//! | type | is | of |
//! |---|---|---|
//! | [`MemoryLog`] | sink and source | a log in this process |
//! | [`DiskLog`] | sink and source | a directory of files by date, as the original has it |
//! | [`Tail`] | source | a directory of files that another process writes |
//! | [`Follower`] | source | a log on a server |
//! | [`SegmentLog`] | sink and source | the leader's own log, for others to follow: in a directory, in memory, in a bucket |

pub mod check;
mod disk;
mod error;
mod event;
mod feed;
mod files;
#[cfg(feature = "net")]
mod follower;
mod memory;
mod names;
mod segments;
#[cfg(feature = "serve")]
pub mod server;
mod tail;

pub use disk::{DiskError, DiskLog};
pub use error::{SinkError, SourceError};
pub use event::{Batch, Event, Position, Segment, Sha224Sum, common_prefix, total};
pub use feed::{Feed, FeedSource};
#[cfg(feature = "net")]
pub use follower::{FollowError, FollowOptions, Follower, SEALED_PREFIX};
pub use memory::MemoryLog;
#[cfg(feature = "object-store")]
pub use object_store;
#[cfg(feature = "object-store")]
pub use segments::{Bucket, BucketError};
pub use segments::{Dir, Entry, LocalDir, MemoryDir, OpenError, SegmentLog, SegmentOptions};
pub use tail::Tail;

use bytes::Bytes;

/// Tells a log: first all there is, then what is appended, as it is appended.
pub trait Source: Send {
    /// What comes next. Waits for it if there is nothing to tell.
    ///
    /// May be dropped at any time without losing anything: the next call goes on where it was. After
    /// an error, the next call tries again.
    fn next(&mut self) -> impl Future<Output = Result<Event, SourceError>> + Send;

    /// How many bytes the log has, as far as is known before it is told: to say how far it is.
    fn log_bytes(&self) -> Option<u64> {
        None
    }
}

/// Takes what happens into a log.
pub trait Sink: Send {
    /// Appends one record for each payload, in order, and returns when all of them would survive a
    /// power cut. Gives exactly the bytes that the log has now: the records with their framing.
    ///
    /// One call is one commit to disk: pass what belongs together, and what has piled up.
    ///
    /// Dropping the future leaves it open whether the records are appended. They are never appended
    /// in part then, and readers of the log see what it has.
    fn append(
        &mut self,
        payloads: &[Bytes],
    ) -> impl Future<Output = Result<Vec<Batch>, SinkError>> + Send;
}

/// How long a segment grows before it is sealed unless told otherwise: 16 MiB.
pub const SEGMENT_SIZE: u64 = 16 << 20;
