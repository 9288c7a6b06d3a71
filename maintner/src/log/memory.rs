//! A log in this process.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{
    Batch, Feed, FeedSource, SEGMENT_SIZE, Sink, SinkError, check,
    feed::{fitting, frame},
};

/// A log in the memory of this process. Clones are the same log.
///
/// ```
/// use bytes::Bytes;
/// use maintner::log::{Event, MemoryLog, Sink, Source};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut log = MemoryLog::new();
/// let mut source = log.source();
/// let written = log.append(&[Bytes::new()]).await?;
/// assert_eq!(written[0].bytes, &b"REC@0+0="[..]);
/// assert_eq!(source.next().await?, Event::Batch(written[0].clone()));
/// assert!(matches!(source.next().await?, Event::CaughtUp { segments } if segments[0].size == 8));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct MemoryLog {
    feed: Feed,
    segment_size: u64,
    /// Held while appending.
    writing: Arc<Mutex<()>>,
}

impl MemoryLog {
    /// A log without records.
    pub fn new() -> Self {
        Self::with_segment_size(SEGMENT_SIZE)
    }

    /// A log without records whose segments are sealed before they have more than `bytes` bytes.
    pub fn with_segment_size(bytes: u64) -> Self {
        Self {
            feed: Feed::new(),
            segment_size: bytes,
            writing: Arc::default(),
        }
    }

    /// What readers see of it.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Tells it from its first record on.
    pub fn source(&self) -> FeedSource {
        self.feed.source()
    }

    /// Seals the segment that grows, if it has records.
    pub fn seal(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.feed.seal_growing();
    }

    /// [`append`](Sink::append), at once.
    ///
    /// # Errors
    /// [`SinkError::Refused`] if a payload must not be written.
    pub fn append_now(&self, payloads: &[Bytes]) -> Result<Vec<Batch>, SinkError> {
        check::all(payloads)?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batches = Vec::new();
        let mut rest = payloads;
        while !rest.is_empty() {
            let (segment, offset) = self.feed.growing();
            let (now, later) = rest.split_at(fitting(rest, offset, self.segment_size));
            rest = later;
            if now.is_empty() {
                self.feed.seal_growing();
                continue;
            }
            let bytes = Bytes::from(frame(now, offset));
            self.feed.push(&bytes);
            batches.push(Batch {
                segment,
                offset,
                bytes,
            });
        }
        Ok(batches)
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for MemoryLog {
    async fn append(&mut self, payloads: &[Bytes]) -> Result<Vec<Batch>, SinkError> {
        self.append_now(payloads)
    }
}
