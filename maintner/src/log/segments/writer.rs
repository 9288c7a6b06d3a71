//! The one who writes a leader's segments.

use bytes::Bytes;

use crate::log::{Batch, Feed, SinkError, check, feed::fitting};

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

    pub(super) fn append(&mut self, payloads: &[Bytes]) -> Result<Vec<Batch>, SinkError> {
        check::all(payloads)?;
        let mut batches = Vec::new();
        let mut done = 0;
        while done < payloads.len() {
            match self.append_some(&payloads[done..]) {
                Ok((records, batch)) => {
                    done += records;
                    batches.extend(batch);
                }
                Err(error) => {
                    if matches!(error, SinkError::Fenced) {
                        self.place = None;
                        self.reason = || SinkError::Fenced;
                    }
                    if batches.is_empty() {
                        return Err(error);
                    }
                    return Err(SinkError::Partly {
                        records: done,
                        batches,
                        source: Box::new(error),
                    });
                }
            }
        }
        Ok(batches)
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
