use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Bytes in a segment that collects small appends. Also the size above which an allocation is no longer worth splitting.
pub(crate) const SEGMENT: usize = 64 << 10;

/// The first segment of a log; each further one is twice as large, up to [`SEGMENT`]. Most logs are short.
const FIRST_SEGMENT: usize = 4 << 10;

/// Appends of at least this many bytes are kept as they are instead of being copied into a segment. Below it, the copy is
/// cheaper than what a separate piece costs each reader, and it does not keep the caller's whole buffer alive.
const SHARE_FROM: usize = 16 << 10;

/// The part of a log that is in memory: immutable pieces, then the open segment.
///
/// The open segment is cut only when a reader asks for its newest bytes, so that bytes nobody waited for stay in one
/// piece. The pieces cut from one segment are joined when it is full: later readers get large chunks.
#[derive(Debug)]
pub(crate) struct Segments {
    pieces: VecDeque<Piece>,
    /// How many of the last pieces came from the open segment.
    run: usize,
    /// The newest bytes, up to `len`, not seen by any reader yet.
    open: BytesMut,
    next_segment: usize,
    /// Offset of the first byte in memory.
    start: u64,
    /// Offset behind the last byte.
    len: u64,
    /// How many bytes to keep.
    keep: usize,
}

#[derive(Debug)]
struct Piece {
    offset: u64,
    data: Bytes,
}

/// What is found at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// These bytes, at least one.
    Data(Bytes),
    /// Bytes that are no longer in memory.
    Gone,
    /// Nothing yet.
    End,
}

impl Segments {
    /// An empty log that keeps the newest `keep` bytes.
    #[cfg(test)]
    fn new(keep: usize) -> Self {
        Self::starting_at(0, keep)
    }

    /// As an empty log that has forgotten its first `offset` bytes.
    pub(crate) fn starting_at(offset: u64, keep: usize) -> Self {
        Self {
            pieces: VecDeque::new(),
            run: 0,
            open: BytesMut::new(),
            next_segment: FIRST_SEGMENT,
            start: offset,
            len: offset,
            keep,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn keep(&self) -> usize {
        self.keep
    }

    pub(crate) fn in_memory(&self) -> usize {
        (self.len - self.start) as usize
    }

    /// Appends a copy of `data`.
    pub(crate) fn push_slice(&mut self, mut data: &[u8]) {
        if data.len() > self.keep {
            let gone = data.len() - self.keep;
            self.forget_all();
            self.len += gone as u64;
            self.start = self.len;
            data = &data[gone..];
        }
        while !data.is_empty() {
            if self.open.capacity() == self.open.len() {
                self.close_run();
                self.open = BytesMut::with_capacity(self.next_segment);
                self.next_segment = (self.next_segment * 2).min(SEGMENT);
            }
            let room = self.open.capacity() - self.open.len();
            let (now, later) = data.split_at(room.min(data.len()));
            self.open.extend_from_slice(now);
            self.len += now.len() as u64;
            data = later;
        }
        self.trim();
    }

    /// Appends `data`, sharing it if it is large.
    pub(crate) fn push_shared(&mut self, data: Bytes) {
        if data.len() < SHARE_FROM || data.len() > self.keep {
            return self.push_slice(&data);
        }
        self.close_run();
        let offset = self.len;
        self.len += data.len() as u64;
        self.pieces.push_back(Piece { offset, data });
        self.trim();
    }

    /// Nothing more will come: gives back what was allocated in advance.
    pub(crate) fn close(&mut self) {
        self.close_run();
        self.open = BytesMut::new();
        self.pieces.shrink_to_fit();
    }

    pub(crate) fn find(&mut self, offset: u64) -> Found {
        if offset >= self.len {
            return Found::End;
        }
        if offset < self.start {
            return Found::Gone;
        }
        self.cut_up_to(offset);
        // Not 0: the first piece begins at `start`, which is not behind `offset`.
        let behind = self.pieces.partition_point(|piece| piece.offset <= offset);
        let piece = &self.pieces[behind - 1];
        Found::Data(piece.data.slice((offset - piece.offset) as usize..))
    }

    /// Cuts the open segment if `offset` lies in it.
    fn cut_up_to(&mut self, offset: u64) {
        if self.is_open(offset) {
            self.cut();
        }
    }

    /// Whether bytes at `offset` would be found only by cutting the open segment.
    pub(crate) fn is_open(&self, offset: u64) -> bool {
        (self.len - self.open.len() as u64..self.len).contains(&offset)
    }

    pub(crate) fn cut(&mut self) {
        if !self.open.is_empty() {
            let data = self.open.split().freeze();
            let offset = self.len - data.len() as u64;
            self.pieces.push_back(Piece { offset, data });
            self.run += 1;
        }
    }

    /// Makes one piece of what came from the open segment. What is left of the segment stays usable.
    fn close_run(&mut self) {
        let unused = self.open.capacity() - self.open.len();
        self.cut();
        let first = self.pieces.len() - self.run;
        let run = self.pieces.range(first..);
        let bytes = run.clone().map(|piece| piece.data.len()).sum::<usize>();
        // A lone piece is copied only if it would keep a mostly unused segment alive.
        if self.run > 1 || (self.run == 1 && unused > bytes) {
            let mut joined = Vec::with_capacity(bytes);
            for piece in run {
                joined.extend_from_slice(&piece.data);
            }
            let offset = self.pieces[first].offset;
            self.pieces.truncate(first);
            self.pieces.push_back(Piece {
                offset,
                data: joined.into(),
            });
        }
        self.run = 0;
    }

    /// Forgets the oldest bytes beyond `keep`.
    fn trim(&mut self) {
        let mut excess = self.in_memory().saturating_sub(self.keep);
        self.start += excess as u64;
        while excess > 0 {
            let Some(oldest) = self.pieces.front_mut() else {
                self.open.advance(excess);
                break;
            };
            if oldest.data.len() > excess {
                oldest.data.advance(excess);
                oldest.offset += excess as u64;
                break;
            }
            excess -= oldest.data.len();
            self.pieces.pop_front();
        }
        self.run = self.run.min(self.pieces.len());
    }

    fn forget_all(&mut self) {
        self.pieces.clear();
        self.run = 0;
        self.open.clear();
        self.start = self.len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(segments: &Segments) -> Vec<usize> {
        segments
            .pieces
            .iter()
            .map(|piece| piece.data.len())
            .collect()
    }

    #[test]
    fn bytes_that_nobody_waits_for_stay_together() {
        let mut segments = Segments::new(usize::MAX);
        for _ in 0..200_000 {
            segments.push_slice(b"x");
        }
        segments.close();
        assert_eq!(
            sizes(&segments),
            [4 << 10, 8 << 10, 16 << 10, 32 << 10, SEGMENT, SEGMENT, 7488]
        );
    }

    #[test]
    fn what_was_read_in_pieces_is_joined_later() {
        let mut segments = Segments::new(usize::MAX);
        for offset in 0..10_000 {
            segments.push_slice(b"x");
            assert_eq!(segments.find(offset), Found::Data(Bytes::from_static(b"x")));
        }
        assert_eq!(sizes(&segments)[0], 4 << 10);
        segments.close();
        assert_eq!(sizes(&segments), [4 << 10, 10_000 - (4 << 10)]);
    }

    #[test]
    fn large_appends_are_shared_and_small_ones_are_not() {
        let mut segments = Segments::new(usize::MAX);
        let (small, large) = (Bytes::from(vec![1; 100]), Bytes::from(vec![2; SHARE_FROM]));
        segments.push_shared(small.clone());
        segments.push_shared(large.clone());
        segments.push_shared(small.clone());
        let Found::Data(found) = segments.find(0) else {
            panic!()
        };
        assert_ne!(found.as_ptr(), small.as_ptr());
        let Found::Data(found) = segments.find(100) else {
            panic!()
        };
        assert_eq!(found.as_ptr(), large.as_ptr());
        assert_eq!(sizes(&segments), [100, SHARE_FROM]);
    }

    #[test]
    fn exactly_the_newest_bytes_are_kept() {
        for keep in [0, 1, 7, 5000, 100_000] {
            let mut segments = Segments::new(keep);
            let mut len = 0;
            for size in [3, 5000, 1, 20_000, 70_000, 2, 200_000, 9] {
                segments.push_shared(vec![0; size].into());
                len += size;
                let kept = keep.min(len);
                assert_eq!(segments.in_memory(), kept);
                let in_pieces = sizes(&segments).iter().sum::<usize>();
                assert_eq!(in_pieces + segments.open.len(), kept);
                let oldest = (len - kept) as u64;
                if kept > 0 {
                    assert!(matches!(segments.find(oldest), Found::Data(_)));
                }
                if oldest > 0 {
                    assert_eq!(segments.find(oldest - 1), Found::Gone);
                }
                assert_eq!(segments.find(len as u64), Found::End);
            }
        }
    }
}
