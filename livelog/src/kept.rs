use std::ops::Range;

use bytes::Bytes;

use crate::ring::Ring;
use crate::segments::{self, Segments};

/// What is kept of a log in memory, and what is known about the rest.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The first bytes, if they stay in memory while later ones go.
    head: Option<Segments>,
    /// The newest bytes.
    tail: Segments,
    ring: Option<Ring>,
    /// With a ring: the bytes between its head and this offset are lost.
    lost_end: u64,
}

/// What is found at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// These bytes, at least one.
    Data(Bytes),
    /// Bytes that only the file has.
    Gone,
    /// Bytes that nobody has any more; those at this offset are the next.
    Lost(u64),
    /// Nothing yet.
    End,
}

impl Kept {
    pub(crate) fn all_in_memory(ring: Option<Ring>) -> Self {
        match ring {
            None => Self::new(None, Segments::starting_at(0, usize::MAX), None),
            Some(Ring { head, tail }) => Self::new(
                Some(Segments::starting_at(0, usize::MAX)),
                Segments::starting_at(head, usize::try_from(tail).unwrap_or(usize::MAX)),
                ring,
            ),
        }
    }

    /// With the newest `memory` bytes in memory; the file, which is written first, has what the ring says.
    pub(crate) fn in_file(ring: Option<Ring>, memory: usize) -> Self {
        let tail = ring.map_or(u64::MAX, |ring| ring.tail);
        let keep = memory.min(usize::try_from(tail).unwrap_or(usize::MAX));
        Self::new(None, Segments::starting_at(0, keep), ring)
    }

    fn new(head: Option<Segments>, tail: Segments, ring: Option<Ring>) -> Self {
        Self {
            head,
            tail,
            ring,
            lost_end: 0,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match (&self.head, &self.ring) {
            (Some(head), Some(ring)) if head.len() < ring.head => head.len(),
            _ => self.tail.len(),
        }
    }

    /// How long the log may become before something leaves memory, if there is no head in memory.
    pub(crate) fn keep(&self) -> usize {
        self.tail.keep()
    }

    pub(crate) fn in_memory(&self) -> usize {
        self.head.as_ref().map_or(0, Segments::in_memory) + self.tail.in_memory()
    }

    /// Behind the last byte that is lost, if there is a ring.
    pub(crate) fn lost_end(&self) -> u64 {
        self.lost_end
    }

    /// Whether there is, or may come, a gap.
    #[cfg(feature = "http")]
    pub(crate) fn may_lose(&self) -> bool {
        self.ring.is_some()
    }

    pub(crate) fn gap(&self) -> Option<Range<u64>> {
        let gap = self.ring?.head..self.lost_end.min(self.len());
        (!gap.is_empty()).then_some(gap)
    }

    /// Gives up the bytes that a log of `len` bytes no longer has. Where they end, if that has changed.
    pub(crate) fn make_room(&mut self, len: u64) -> Option<u64> {
        let lost_end = self.ring?.lost_end(len);
        let more = lost_end > self.lost_end;
        self.lost_end = lost_end;
        more.then_some(lost_end)
    }

    pub(crate) fn push_slice(&mut self, data: &[u8]) {
        let (head, tail) = data.split_at(self.for_head(data.len()));
        if let Some(segments) = self.head.as_mut().filter(|_| !head.is_empty()) {
            segments.push_slice(head);
        }
        self.tail.push_slice(tail);
        self.make_room(self.len());
    }

    pub(crate) fn push_shared(&mut self, mut data: Bytes) {
        let head = data.split_to(self.for_head(data.len()));
        if let Some(segments) = self.head.as_mut().filter(|_| !head.is_empty()) {
            segments.push_shared(head);
        }
        self.tail.push_shared(data);
        self.make_room(self.len());
    }

    /// How many of the next `len` bytes belong to the head.
    fn for_head(&self, len: usize) -> usize {
        match (&self.head, &self.ring) {
            (Some(head), Some(ring)) => {
                usize::try_from(ring.head - head.len()).map_or(len, |room| room.min(len))
            }
            _ => 0,
        }
    }

    pub(crate) fn close(&mut self) {
        if let Some(head) = &mut self.head {
            head.close();
        }
        self.tail.close();
    }

    /// Whether the newest bytes, which no reader has seen, begin at or before `offset`.
    pub(crate) fn is_unseen(&self, offset: u64) -> bool {
        self.tail.is_open(offset)
    }

    /// Makes one piece of the newest bytes.
    pub(crate) fn cut(&mut self) {
        self.tail.cut();
    }

    pub(crate) fn find(&mut self, offset: u64) -> Found {
        let len = self.len();
        if offset >= len {
            return Found::End;
        }
        let segments = match (&mut self.head, &self.ring) {
            (Some(head), Some(ring)) if offset < ring.head => head,
            _ => &mut self.tail,
        };
        match segments.find(offset) {
            segments::Found::Data(data) => Found::Data(data),
            segments::Found::End => Found::End,
            segments::Found::Gone => match &self.ring {
                Some(ring) if ring.is_lost(offset, self.lost_end) => {
                    Found::Lost(self.lost_end.min(len))
                }
                _ => Found::Gone,
            },
        }
    }
}
