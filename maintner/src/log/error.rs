//! What goes wrong with logs.

use std::{io, path::PathBuf};

use super::{Batch, check::Refused};

/// Why a source has nothing to tell.
///
/// Asking it again tries again, unless the error says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file or directory of the log, or of its copy, cannot be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What came of it.
        #[source]
        source: io::Error,
    },
    /// A segment is longer than a corpus can point into.
    #[error(
        "segment {segment} has {size} bytes, more than the limit of 4 GiB; cut it into several"
    )]
    TooLarge {
        /// Its number.
        segment: u32,
        /// Its length in bytes.
        size: u64,
    },
    /// A segment's file is missing.
    #[error("segment {segment} is missing; bring its file back")]
    Missing {
        /// Its number.
        segment: u32,
    },
    /// The log's framing is damaged.
    #[error("segment {segment} is damaged")]
    Damaged {
        /// The number of the segment.
        segment: u32,
        /// What is wrong with it.
        #[source]
        source: crate::reclog::Error,
    },
    /// The server of a log does not do what it should.
    #[error("log server {url}: {reason}")]
    Server {
        /// The address that was asked.
        url: String,
        /// What it did.
        reason: String,
    },
    /// The server of a log could not be asked, several times over.
    #[error("log server {url} cannot be reached{}", times(*attempts))]
    Unreachable {
        /// The address that was asked.
        url: String,
        /// How often it was tried.
        attempts: u32,
        /// What came of it the last time.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn times(attempts: u32) -> String {
    match attempts {
        1 => String::new(),
        _ => format!(": tried {attempts} times"),
    }
}

/// Why records were not appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// A payload would stop the Go readers of the log. Nothing was appended.
    #[error("payload {index} must not be written")]
    Refused {
        /// Which of the payloads, from 0.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: Refused,
    },
    /// The log cannot be written right now. Nothing was appended; it may be tried again.
    #[error("cannot {action} the log")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What came of it.
        #[source]
        source: io::Error,
    },
    /// Some of the payloads, the first ones, were appended, are durable, and are seen by readers.
    #[error("only the first {records} payloads were appended")]
    Partly {
        /// How many.
        records: usize,
        /// What was appended.
        batches: Vec<Batch>,
        /// Why no more.
        #[source]
        source: Box<Self>,
    },
    /// Another leader has taken the log over. This one must stop.
    #[error("another leader has taken the log over; stop this one")]
    Fenced,
    /// The log was closed.
    #[error("log is closed")]
    Closed,
}
