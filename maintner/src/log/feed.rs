//! A log as readers of this process see it.

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;
use sha2::{Digest, Sha224};
use tokio::sync::watch;

use super::{Batch, Event, Position, Segment, Sha224Sum, Source, SourceError};
use crate::reclog::Header;

/// What a log shows to readers in this process: all that is durable. Clones show the same log.
#[derive(Clone, Debug)]
pub struct Feed(Arc<Shared>);

/// Does not keep the log.
#[derive(Debug)]
pub(super) struct WeakFeed(Weak<Shared>);

impl WeakFeed {
    pub(super) fn upgrade(&self) -> Option<Feed> {
        self.0.upgrade().map(Feed)
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts changes of the state.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    sealed: Vec<(Segment, Bytes)>,
    /// The bytes of the segment that grows, and their digest.
    growing: Vec<u8>,
    sum: Sha224,
    /// For each time the log became another one, what it had in common with the one before.
    splits: Vec<u64>,
}

impl State {
    fn growing_number(&self) -> u32 {
        self.sealed.len() as u32
    }

    fn growing_segment(&self) -> Option<Segment> {
        (!self.growing.is_empty()).then(|| Segment {
            number: self.growing_number(),
            size: self.growing.len() as u64,
            sha224: Sha224Sum(self.sum.clone().finalize().into()),
        })
    }

    fn segments(&self) -> Vec<Segment> {
        let sealed = self.sealed.iter().map(|(segment, _)| *segment);
        sealed.chain(self.growing_segment()).collect()
    }

    fn len(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|(segment, _)| segment.size).sum();
        sealed + self.growing.len() as u64
    }
}

impl Feed {
    pub(super) fn new() -> Self {
        let (changes, _) = watch::channel(0);
        Self(Arc::new(Shared {
            state: Mutex::default(),
            changes,
        }))
    }

    /// Tells the log from its first record on.
    pub fn source(&self) -> FeedSource {
        FeedSource {
            feed: self.clone(),
            changes: self.0.changes.subscribe(),
            splits: self.lock().splits.len(),
            segment: 0,
            offset: 0,
            caught_up: false,
        }
    }

    /// The segments that the log has now. One that grows is there as long as it is now, unless it
    /// is empty.
    pub fn segments(&self) -> Vec<Segment> {
        self.lock().segments()
    }

    /// [`segments`](Self::segments), and how many of them, the first ones, are sealed.
    pub fn segments_and_sealed(&self) -> (Vec<Segment>, usize) {
        let state = self.lock();
        (state.segments(), state.sealed.len())
    }

    /// The length of the log in bytes.
    pub fn len(&self) -> u64 {
        self.lock().len()
    }

    /// Whether the log has no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The end of the log.
    pub fn position(&self) -> Position {
        Position::end_of(&self.segments())
    }

    /// Bytes of a segment, as far as it has them; `None` if there is no such segment.
    pub fn read(&self, segment: u32, range: Range<u64>) -> Option<Bytes> {
        let state = self.lock();
        let cut = |len: usize| {
            let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(len);
            let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
            start..end
        };
        if let Some((_, bytes)) = state.sealed.get(segment as usize) {
            return Some(bytes.slice(cut(bytes.len())));
        }
        let is_growing = segment == state.growing_number() && !state.growing.is_empty();
        is_growing.then(|| Bytes::copy_from_slice(&state.growing[cut(state.growing.len())]))
    }

    /// Returns when the log is not `len` bytes long, at once if it is not. May be dropped at any
    /// time.
    pub async fn wait_other_len(&self, len: u64) {
        let mut changes = self.0.changes.subscribe();
        // The sender lives as long as this feed.
        let _ = changes.wait_for(|_| self.len() != len).await;
    }

    /// Shows more of the segment that grows. `records` are whole ones.
    pub(super) fn push(&self, records: &[u8]) {
        self.change(|state| {
            state.growing.extend_from_slice(records);
            state.sum.update(records);
        });
    }

    /// Adds a sealed segment, which begins with what has grown so far: all of it.
    pub(super) fn seal(&self, segment: Segment, bytes: Bytes) {
        self.change(|state| {
            debug_assert!(bytes.starts_with(&state.growing));
            state.growing = Vec::new();
            state.sum = Sha224::new();
            state.sealed.push((segment, bytes));
        });
    }

    /// Seals what has grown so far, as it is.
    pub(super) fn seal_growing(&self) {
        self.change(|state| {
            if let Some(segment) = state.growing_segment() {
                let bytes = Bytes::from(std::mem::take(&mut state.growing));
                state.sum = Sha224::new();
                state.sealed.push((segment, bytes));
            }
        });
    }

    /// Shows another log from now on, which has `common` leading bytes in common with this one.
    pub(super) fn replace(&self, with: Self, common: u64) {
        let new = std::mem::take(&mut *with.lock());
        self.change(|state| {
            let mut splits = std::mem::take(&mut state.splits);
            splits.push(common);
            *state = State { splits, ..new };
        });
    }

    /// The segment that grows, unless it is empty.
    pub(super) fn growing_segment(&self) -> Option<Segment> {
        self.lock().growing_segment()
    }

    pub(super) fn downgrade(&self) -> WeakFeed {
        WeakFeed(Arc::downgrade(&self.0))
    }

    /// The number of the segment that grows, and its length.
    pub(super) fn growing(&self) -> (u32, u64) {
        let state = self.lock();
        (state.growing_number(), state.growing.len() as u64)
    }

    fn change(&self, with: impl FnOnce(&mut State)) {
        with(&mut self.lock());
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave it half-changed: what can panic comes before the changes.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the log of a [`Feed`]. Keeps its feed, not its writer, alive.
#[derive(Debug)]
pub struct FeedSource {
    feed: Feed,
    changes: watch::Receiver<u64>,
    /// Splits that were told.
    splits: usize,
    /// Where it is.
    segment: u32,
    offset: u64,
    caught_up: bool,
}

impl FeedSource {
    fn step(&mut self) -> Option<Result<Event, SourceError>> {
        let state = self.feed.lock();
        if let Some(common) = state.splits[self.splits..].iter().min() {
            self.splits = state.splits.len();
            (self.segment, self.offset, self.caught_up) = (0, 0, false);
            return Some(Ok(Event::Split { common: *common }));
        }
        if let Some((sealed, all)) = state.sealed.get(self.segment as usize) {
            let (number, offset) = (sealed.number, self.offset);
            if offset == sealed.size {
                (self.segment, self.offset) = (number + 1, 0);
                let bytes = all.clone();
                let segment = number;
                return Some(Ok(Event::Remapped { segment, bytes }));
            }
            self.caught_up = false;
            let bytes = all.slice(offset as usize..);
            if offset == 0 {
                (self.segment, self.offset) = (number + 1, 0);
            } else {
                self.offset = sealed.size;
            }
            return Some(batch(number, offset, bytes));
        }
        let new = state.growing.get(self.offset as usize..)?;
        if !new.is_empty() {
            let (segment, offset) = (self.segment, self.offset);
            self.offset += new.len() as u64;
            self.caught_up = false;
            return Some(batch(segment, offset, Bytes::copy_from_slice(new)));
        }
        if !self.caught_up {
            self.caught_up = true;
            let segments = state.segments();
            return Some(Ok(Event::CaughtUp { segments }));
        }
        None
    }
}

impl Source for FeedSource {
    async fn next(&mut self) -> Result<Event, SourceError> {
        loop {
            self.changes.mark_unchanged();
            if let Some(event) = self.step() {
                return event;
            }
            // The sender lives as long as the feed.
            let _ = self.changes.changed().await;
        }
    }

    fn log_bytes(&self) -> Option<u64> {
        Some(self.feed.len())
    }
}

/// A batch that a corpus can point into.
fn batch(segment: u32, offset: u64, bytes: Bytes) -> Result<Event, SourceError> {
    let size = offset + bytes.len() as u64;
    if size > u64::from(u32::MAX) {
        return Err(SourceError::TooLarge { segment, size });
    }
    Ok(Event::Batch(Batch {
        segment,
        offset,
        bytes,
    }))
}

/// The records of `payloads`, the first of which begins at `offset`.
pub(super) fn frame<'a>(payloads: impl IntoIterator<Item = &'a Bytes>, offset: u64) -> Vec<u8> {
    let mut records = Vec::new();
    for payload in payloads {
        let header = Header::new(offset + records.len() as u64, payload.len() as u64);
        records.extend_from_slice(&header);
        records.extend_from_slice(payload);
    }
    records
}

/// How many of `payloads` go into a segment of which `grown` bytes are there, and which is sealed
/// before it would be longer than `limit`. The original counts payloads without their headers, too.
pub(super) fn fitting(payloads: &[Bytes], grown: u64, limit: u64) -> usize {
    let mut end = grown;
    for (count, payload) in payloads.iter().enumerate() {
        let size = payload.len() as u64;
        // A record that is too long for any segment gets one of its own.
        if end + size > limit && end > 0 {
            return count;
        }
        end += Header::new(end, size).len() as u64 + size;
    }
    payloads.len()
}
