use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};

use crate::config::{Backing, Config, Limit};
use crate::error::{Outcome, ReadError};
use crate::file::FileStore;
use crate::kept::Kept;
use crate::limit::Limiter;
use crate::reader::Reader;
use crate::ring::Ring;
use crate::shared::{End, Shared};
use crate::spill::Spill;
use crate::writer::Writer;

/// Starts a log: its one writer, and a handle from which readers are made.
pub fn log(config: Config) -> (Writer, Log) {
    let limiter = Limiter::new(&config.limit);
    let (ring, gap_marker) = match config.limit {
        Limit::HeadAndTail { head, tail, marker } => (Some(Ring { head, tail }), marker),
        _ => (None, Bytes::new()),
    };
    let file = OnceLock::new();
    let mut spill = None;
    let kept = match config.backing {
        Backing::Memory => Kept::all_in_memory(ring),
        Backing::Spill { memory, .. } if ring.is_some_and(|ring| ring.fits(memory)) => {
            Kept::all_in_memory(ring)
        }
        Backing::Spill { memory, dir } => {
            let kept = Kept::in_file(ring, memory);
            spill = Some(Spill::new(kept.keep(), dir, ring));
            kept
        }
        Backing::File(opened, memory_tail) => {
            let _ = file.set(FileStore::new(opened, ring));
            Kept::in_file(ring, memory_tail)
        }
    };
    let shared = Arc::new(Shared::new(kept, file, spill, gap_marker));
    let writer = Writer::new(shared.clone(), limiter);
    (writer, Log { shared })
}

/// A handle to a log, for making readers and for asking how it stands. Clones are the same log.
///
/// The bytes live as long as a handle, the writer or a reader does.
#[derive(Debug, Clone)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
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

    /// The bytes of `range` that are there now, in one piece; does not wait for more.
    ///
    /// What lies behind the end is left out, so the answer may be shorter than asked for, or empty. It is as long as the range
    /// otherwise: for much of a log, use a [`Reader`] instead. Without a copy if the bytes lie in one piece of memory.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ReadError::File`], and [`ReadError::Lost`] if some of the bytes lie in the gap of a [`Limit::HeadAndTail`].
    pub async fn read_range(&self, range: Range<u64>) -> Result<Bytes, ReadError> {
        let mut reader = self.reader_at(range.start).until(range.end.min(self.len()));
        let mut all = Bytes::new();
        let mut joined = BytesMut::new();
        while let Some(chunk) = reader.next().await? {
            if chunk.missing > 0 {
                let gap = self.gap().unwrap_or_else(|| chunk.offset..chunk.end());
                return Err(ReadError::Lost {
                    from: gap.start,
                    to: gap.end,
                });
            }
            if all.is_empty() && joined.is_empty() {
                all = chunk.data;
            } else {
                joined.extend_from_slice(&std::mem::take(&mut all));
                joined.extend_from_slice(&chunk.data);
            }
        }
        Ok(if joined.is_empty() {
            all
        } else {
            joined.freeze()
        })
    }

    /// Bytes in the log now, marker of a cut included, and those that [`Limit::HeadAndTail`] has dropped since.
    pub fn len(&self) -> u64 {
        self.shared.lock().kept.len()
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

    /// The bytes that [`Limit::HeadAndTail`] has dropped so far, if any.
    pub fn gap(&self) -> Option<Range<u64>> {
        self.shared.lock().kept.gap()
    }

    /// Appended bytes that never came into the log because of its [`Limit`].
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }

    /// Bytes of the log that are in memory now; never more than the [`Backing`] says.
    pub fn in_memory(&self) -> usize {
        self.shared.lock().kept.in_memory()
    }
}
