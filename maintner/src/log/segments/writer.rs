//! The one who writes a leader's segments.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    log::{Batch, Feed, SinkError, check, feed::fitting},
    reclog::Header,
};

/// Where a leader's segments lie. All methods block.
pub(super) trait Place: Send {
    /// Makes records of `payloads` durable behind what `feed` shows, and gives them with their
    /// framing. On an error nobody may know whether they are; the next call begins again from what
    /// `feed` shows.
    fn append(&mut self, feed: &Feed, payloads: &[Bytes]) -> Result<Bytes, SinkError>;

    /// Seals the segment that grows, and shows that in `feed`. May be called again if it failed.
    fn seal(&mut self, feed: &Feed) -> Result<(), SinkError>;

    /// Nothing comes any more.
    fn close(&mut self, feed: &Feed);
}

/// Payloads that are to be appended, and whom to tell.
pub(super) struct Waiting {
    payloads: Vec<Bytes>,
    answer: oneshot::Sender<Result<Vec<Batch>, SinkError>>,
}

impl Waiting {
    fn tell(self, result: Result<Vec<Batch>, SinkError>) {
        // Whoever has gone away does not want to know.
        let _ = self.answer.send(result);
    }
}

/// What waits while the writer is at work.
#[derive(Default)]
pub(super) struct Queue(Mutex<Vec<Waiting>>);

impl Queue {
    pub(super) fn push(
        &self,
        payloads: &[Bytes],
    ) -> oneshot::Receiver<Result<Vec<Batch>, SinkError>> {
        let (answer, answered) = oneshot::channel();
        let payloads = payloads.to_vec();
        let waiting = Waiting { payloads, answer };
        self.lock().push(waiting);
        answered
    }

    pub(super) fn take(&self) -> Vec<Waiting> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Writer {
    /// None after the end.
    place: Option<Box<dyn Place>>,
    reason: fn() -> SinkError,
    segment_size: u64,
    feed: Feed,
}

impl Writer {
    /// Goes on behind what `feed` shows of the log at `place`.
    pub(super) fn new(place: impl Place + 'static, segment_size: u64, feed: Feed) -> Self {
        Self {
            place: Some(Box::new(place)),
            reason: || SinkError::Closed,
            segment_size,
            feed,
        }
    }

    /// Writes no more from now on.
    pub(super) fn close(&mut self) {
        if let Some(mut place) = self.place.take() {
            place.close(&self.feed);
        }
    }

    /// Appends what waits, together, and answers.
    pub(super) fn append(&mut self, waiting: Vec<Waiting>) {
        let mut together = Vec::new();
        for one in waiting {
            match check::all(&one.payloads) {
                // Who has gone away while he waited has given it up.
                Ok(()) if one.answer.is_closed() => {}
                Ok(()) => together.push(one),
                Err(refused) => one.tell(Err(refused)),
            }
        }
        let payloads = together.iter().flat_map(|one| one.payloads.iter().cloned());
        let (mut batches, failure) = self.append_all(&payloads.collect::<Vec<_>>());
        for one in together {
            let (records, batches) = share(&mut batches, &one.payloads);
            let failure = failure.as_ref().filter(|_| records < one.payloads.len());
            one.tell(match failure {
                None => Ok(batches),
                Some(failure) if records == 0 => Err(failure.told()),
                Some(failure) => Err(SinkError::Partly {
                    records,
                    batches,
                    source: Box::new(failure.told()),
                }),
            });
        }
    }

    /// Appends payloads until something fails.
    fn append_all(&mut self, mut payloads: &[Bytes]) -> (VecDeque<Batch>, Option<Failure>) {
        let mut batches = VecDeque::new();
        while !payloads.is_empty() {
            match self.append_some(payloads) {
                Ok((records, batch)) => {
                    payloads = &payloads[records..];
                    batches.extend(batch);
                }
                Err(error) => {
                    if matches!(error, SinkError::Fenced) {
                        self.place = None;
                        self.reason = || SinkError::Fenced;
                    }
                    return (batches, Some(Failure::of(error)));
                }
            }
        }
        (batches, None)
    }

    /// Appends as many records as go into the segment that grows, or seals it if none does.
    fn append_some(&mut self, payloads: &[Bytes]) -> Result<(usize, Option<Batch>), SinkError> {
        let place = self.place.as_deref_mut().ok_or_else(self.reason)?;
        let (segment, offset) = self.feed.growing();
        let count = fitting(payloads, offset, self.segment_size);
        if count == 0 {
            place.seal(&self.feed)?;
            return Ok((0, None));
        }
        let bytes = place.append(&self.feed, &payloads[..count])?;
        self.feed.push(&bytes);
        let batch = Batch {
            segment,
            offset,
            bytes,
        };
        Ok((count, Some(batch)))
    }
}

/// Takes from `batches` the records of these payloads, as far as they are there: how many, and where.
fn share(batches: &mut VecDeque<Batch>, payloads: &[Bytes]) -> (usize, Vec<Batch>) {
    let mut records = 0;
    let mut mine = Vec::new();
    while records < payloads.len()
        && let Some(batch) = batches.front_mut()
    {
        let mut end = 0;
        while records < payloads.len() && end < batch.bytes.len() {
            let size = payloads[records].len();
            end += Header::new(batch.offset + end as u64, size as u64).len() + size;
            records += 1;
        }
        mine.push(Batch {
            segment: batch.segment,
            offset: batch.offset,
            bytes: batch.bytes.split_to(end),
        });
        batch.offset += end as u64;
        if batch.bytes.is_empty() {
            batches.pop_front();
        }
    }
    (records, mine)
}

/// What has hit several at once.
enum Failure {
    Io(&'static str, Arc<io::Error>),
    Fenced,
    Closed,
}

impl Failure {
    fn of(error: SinkError) -> Self {
        match error {
            SinkError::Fenced => Self::Fenced,
            SinkError::Io { action, source } => Self::Io(action, Arc::new(source)),
            _ => Self::Closed,
        }
    }

    fn told(&self) -> SinkError {
        match self {
            Self::Io(action, source) => SinkError::Io {
                action,
                source: io::Error::new(source.kind(), Arc::clone(source)),
            },
            Self::Fenced => SinkError::Fenced,
            Self::Closed => SinkError::Closed,
        }
    }
}

#[cfg(test)]
mod tests;
