//! A log in one file that nobody writes to.

use std::{collections::VecDeque, fs, io, path::Path};

use bytes::Bytes;
use maintner::{
    log::{Batch, Event, Segment, Source, SourceError},
    reclog::{Records, find_record},
};

/// Tells a log as it is now, without a record at its end that is not all there. It will not grow.
#[derive(Debug)]
pub(crate) struct OneFile {
    events: VecDeque<Event>,
    bytes: u64,
}

impl OneFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut bytes = match fs::metadata(path)?.len() {
            // Nothing cannot be mapped.
            0 => Bytes::new(),
            _ => Bytes::from_owner(mmap_guard::map_file(path)?),
        };
        let mut records = Records::new(&bytes, 0);
        // Other damage is told by whoever applies it; so is a wrong length that reaches beyond the end,
        // which looks torn, but has whole records behind it.
        if let Some(Err(error)) = records.find(Result::is_err)
            && error.is_torn()
            && find_record(&bytes, 0, error.offset() as usize).is_none()
        {
            tracing::warn!(path = %path.display(), %error, "a log's end is passed over");
            bytes.truncate(error.offset() as usize);
        }
        let segment = Segment::of(0, &bytes);
        let batch = Batch {
            segment: 0,
            offset: 0,
            bytes,
        };
        let segments = vec![segment];
        Ok(Self {
            events: [Event::Batch(batch), Event::CaughtUp { segments }].into(),
            bytes: segment.size,
        })
    }
}

impl Source for OneFile {
    async fn next(&mut self) -> Result<Event, SourceError> {
        match self.events.pop_front() {
            Some(event) => Ok(event),
            None => std::future::pending().await,
        }
    }

    fn log_bytes(&self) -> Option<u64> {
        Some(self.bytes)
    }
}
