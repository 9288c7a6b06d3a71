use std::io;
use std::sync::Arc;

/// How a log ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The writer said that it was done: the log is whole.
    Finished,
    /// The writer went away without saying so: something may be missing at the end.
    Aborted,
    /// Writing the file behind the log failed, with an error of this kind: something is missing at the end.
    Failed(io::ErrorKind),
}

/// Why bytes could not be appended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The file refused the bytes. None of this append is in the log, which now ends as [`Outcome::Failed`].
    #[error("cannot write the log's file")]
    File(#[source] Arc<io::Error>),
    /// An earlier append failed; the log has ended.
    #[error("the log ended with an earlier write error")]
    Sealed,
}

impl From<AppendError> for io::Error {
    fn from(error: AppendError) -> Self {
        let kind = match &error {
            AppendError::File(source) => source.kind(),
            AppendError::Sealed => io::ErrorKind::BrokenPipe,
        };
        Self::new(kind, error)
    }
}

/// Why a reader did not get any further.
///
/// All bytes of the log that came before the trouble have been delivered.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The writer was dropped without [`finish`](crate::Writer::finish). Permanent.
    #[error("the log's writer went away before the log was finished")]
    Aborted,
    /// The writer could not write the log's file and gave up. Permanent.
    #[error("the log's writer could not write its file")]
    Failed(#[source] Arc<io::Error>),
    /// Bytes that were needed for the answer lie in the gap of a [`Limit::HeadAndTail`](crate::Limit::HeadAndTail).
    /// Readers do not get this: they get a marker, and go on.
    #[error("the log has dropped its bytes {from} to {to}")]
    Lost {
        /// Offset of the first byte that is gone.
        from: u64,
        /// Offset of the first byte behind the gap.
        to: u64,
    },
    /// This reader could not read the log's file. The next call tries again.
    #[error("cannot read the log's file")]
    File(#[source] Arc<io::Error>),
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match &error {
            ReadError::Aborted => io::ErrorKind::UnexpectedEof,
            ReadError::Lost { .. } => io::ErrorKind::NotFound,
            ReadError::Failed(source) | ReadError::File(source) => source.kind(),
        };
        Self::new(kind, error)
    }
}
