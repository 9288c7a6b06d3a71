//! Where build logs are kept.
//!
//! A log holds exactly what the build's commands wrote, byte for byte, and nothing else; where each step's output begins is
//! recorded beside it. A byte is in the store before any reader sees it.

mod files;

use std::fmt;
use std::io;

use async_trait::async_trait;
use bytes::Bytes;

use crate::store::AttemptId;

pub use files::FileLogs;

/// A place for logs.
#[async_trait]
pub trait LogStore: fmt::Debug + Send + Sync + 'static {
    /// Starts the log of an attempt, of which at most `limit` bytes are kept. Anything left of an earlier life under the same
    /// name is replaced.
    async fn create(&self, id: AttemptId, limit: u64) -> Result<Box<dyn LogWriter>, LogError>;

    /// Reads a log from `offset` on. While the attempt runs, the reader follows it to its end.
    ///
    /// An offset beyond the end of a finished log gives an empty read.
    async fn open(&self, id: AttemptId, offset: u64) -> Result<Box<dyn LogReader>, LogError>;

    /// Closes the log that a previous process left open, and says what it holds. A log that was never begun is empty.
    async fn recover(&self, id: AttemptId) -> Result<SealedLog, LogError>;
}

/// The writing end of a log.
#[async_trait]
pub trait LogWriter: fmt::Debug + Send {
    /// Adds bytes. When it returns they are in the store and readers may see them.
    fn append(&mut self, data: Bytes) -> Result<(), LogError>;

    /// Bytes so far.
    fn len(&self) -> u64;

    /// Whether nothing was written yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the log durable and final.
    async fn seal(self: Box<Self>) -> Result<SealedLog, LogError>;
}

/// The reading end of a log.
#[async_trait]
pub trait LogReader: fmt::Debug + Send {
    /// The next bytes; waits for them while the log grows; `None` at its end. Cancellation-safe.
    async fn next(&mut self) -> Result<Option<Bytes>, LogError>;

    /// Offset of the byte that [`LogReader::next`] gives next.
    fn offset(&self) -> u64;

    /// Bytes in the log now, and whether that is final.
    fn extent(&self) -> (u64, bool);
}

/// A finished log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedLog {
    /// Length.
    pub bytes: u64,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// Why a log could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// There is no such log.
    #[error("no log of attempt {0}")]
    NotFound(AttemptId),
    /// The store failed: disk full, file gone.
    #[error("log store failed")]
    Io(#[from] io::Error),
    /// The writer stopped without finishing the log; what it wrote is kept.
    #[error("log was cut short by its writer")]
    CutShort,
}
