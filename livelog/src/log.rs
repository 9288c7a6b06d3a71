use std::sync::Arc;

use crate::config::{Backing, Config};
use crate::error::Outcome;
use crate::file::FileStore;
use crate::limit::Limiter;
use crate::reader::Reader;
use crate::shared::{End, Shared};
use crate::writer::Writer;

/// Starts a log: its one writer, and a handle from which readers are made.
pub fn log(config: Config) -> (Writer, Log) {
    let (keep, file) = match config.backing {
        Backing::Memory => (usize::MAX, None),
        Backing::File(file, memory_tail) => (memory_tail, Some(FileStore::new(file))),
    };
    let shared = Arc::new(Shared::new(keep, file));
    let writer = Writer::new(shared.clone(), Limiter::new(config.limit));
    (writer, Log { shared })
}

/// A handle to a log, for making readers and for asking how it stands. Clones are the same log.
///
/// The bytes live as long as a handle, the writer or a reader does.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

impl Log {
    /// A reader that starts with the first byte.
    pub fn reader(&self) -> Reader {
        self.reader_at(0)
    }

    /// A reader that starts at `offset`, in bytes from the beginning of the log.
    ///
    /// An offset behind the present end is allowed: the reader waits until the log has grown beyond it, or has ended.
    pub fn reader_at(&self, offset: u64) -> Reader {
        Reader::new(self.shared.clone(), offset)
    }

    /// Bytes in the log now, marker of a cut included.
    pub fn len(&self) -> u64 {
        self.shared.lock().segments.len()
    }

    /// Whether the log holds no byte now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the log has ended, in whichever way: it will never be longer than it is now.
    pub fn is_finished(&self) -> bool {
        self.shared.lock().end.is_some()
    }

    /// How the log ended; `None` while it still grows.
    pub fn outcome(&self) -> Option<Outcome> {
        self.shared.lock().end.as_ref().map(End::outcome)
    }

    /// Waits until the log has ended. Cancel safe.
    pub async fn ended(&self) -> Outcome {
        self.reader_at(u64::MAX).end().await.outcome()
    }

    /// Appended bytes that are not in the log because of its [`Limit`](crate::Limit).
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }

    /// Bytes of the log that are in memory now. With [`Backing::File`] at most its memory tail.
    pub fn in_memory(&self) -> usize {
        self.shared.lock().segments.in_memory()
    }
}
