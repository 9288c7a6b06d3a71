//! What the tests of logs share.
#![allow(dead_code, reason = "not every test needs all of it")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use bytes::Bytes;
use maintner::{
    log::{Event, Feed, Segment, Source},
    proto::{GithubMutation, Mutation},
    reclog::Records,
};
use prost::Message;

/// A mutation of about `size` bytes, of its own kind for each `number`.
pub(crate) fn payload(number: usize, size: usize) -> Bytes {
    let github = GithubMutation {
        owner: format!("owner-{number}"),
        repo: "r".repeat(size),
        ..Default::default()
    };
    let mutation = Mutation {
        github: Some(github),
        ..Default::default()
    };
    mutation.encode_to_vec().into()
}

pub(crate) fn payloads(count: usize, size: usize) -> Vec<Bytes> {
    (0..count).map(|number| payload(number, size)).collect()
}

/// All bytes of a log, segment by segment.
pub(crate) fn contents(feed: &Feed) -> Vec<Bytes> {
    let read = |segment: &Segment| {
        let bytes = feed.read(segment.number, 0..u64::MAX).unwrap();
        assert_eq!(Segment::of(segment.number, &bytes), *segment);
        bytes
    };
    feed.segments().iter().map(read).collect()
}

/// The payloads of all records of a log.
pub(crate) fn records(segments: &[Bytes]) -> Vec<Bytes> {
    let records = |segment: &Bytes| {
        let records = Records::new(segment, 0);
        let payload = |record: Result<maintner::reclog::Record<'_>, _>| {
            Bytes::copy_from_slice(record.unwrap().payload)
        };
        records.map(payload).collect::<Vec<_>>()
    };
    segments.iter().flat_map(records).collect()
}

/// Whoever follows a log, and what he knows of it.
pub(crate) struct Reader<S> {
    pub(crate) source: S,
    pub(crate) segments: Vec<Vec<u8>>,
    /// What each split had in common with the log before.
    pub(crate) splits: Vec<u64>,
    pub(crate) remapped: Vec<u32>,
    /// What was said to be all.
    pub(crate) caught_up: Vec<Segment>,
}

impl<S: Source> Reader<S> {
    pub(crate) fn new(source: S) -> Self {
        Self {
            source,
            segments: Vec::new(),
            splits: Vec::new(),
            remapped: Vec::new(),
            caught_up: Vec::new(),
        }
    }

    /// Reads until `len` bytes have been told.
    pub(crate) async fn read_to(&mut self, len: u64) {
        while self.told() != len {
            self.catch_up().await;
        }
    }

    pub(crate) fn told(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| segment.len() as u64)
            .sum()
    }

    /// Reads until everything has been told. Checks that nothing is told twice or left out.
    pub(crate) async fn catch_up(&mut self) {
        self.try_catch_up().await.unwrap();
    }

    pub(crate) async fn try_catch_up(&mut self) -> Result<(), maintner::log::SourceError> {
        loop {
            match self.source.next().await? {
                Event::Batch(batch) => {
                    assert!(!batch.bytes.is_empty(), "an empty batch");
                    if batch.segment as usize == self.segments.len() {
                        self.segments.push(Vec::new());
                    }
                    assert_eq!(batch.segment as usize, self.segments.len() - 1);
                    let segment = self.segments.last_mut().unwrap();
                    assert_eq!(batch.offset, segment.len() as u64);
                    for record in Records::new(&batch.bytes, batch.offset) {
                        record.unwrap();
                    }
                    segment.extend_from_slice(&batch.bytes);
                }
                Event::Remapped { segment, bytes } => {
                    assert_eq!(bytes, self.segments[segment as usize]);
                    self.remapped.push(segment);
                }
                Event::CaughtUp { segments } => {
                    let told = (0..).zip(&self.segments);
                    let told: Vec<Segment> = told.map(|(n, s)| Segment::of(n, s)).collect();
                    assert_eq!(told, segments);
                    self.caught_up = segments;
                    return Ok(());
                }
                Event::Split { common } => {
                    assert!(common <= self.told());
                    self.splits.push(common);
                    self.segments.clear();
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
