//! The log as a vector, and a reader whose every answer is compared with it.

use std::ops::Range;
use std::sync::LazyLock;

use livelog::{Chunk, Limit, Log, Reader};

/// What is appended, from its beginning: lines of all lengths, with a long period, so that misplaced bytes show.
pub(crate) static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let byte = |offset: u64| {
        let random = offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        // None at all in a quarter of all blocks.
        let ends = random.is_multiple_of(61) && (offset >> 13) & 3 > 0;
        if ends {
            b'\n'
        } else {
            b' ' + (random >> 8) as u8 % 95
        }
    };
    (0..6 << 20).map(byte).collect()
});

/// In place of a gap. Its first byte is not in the text.
pub(crate) const GAP: &[u8] = b"\x01[...]\n";

#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Memory,
    Spill(usize),
    File(usize),
}

/// What a log is, without anything that makes it fast or small.
pub(crate) struct Model {
    pub(crate) limit: Limit,
    pub(crate) place: Place,
    /// From the beginning of the text.
    pub(crate) appended: usize,
    /// What a reader from the beginning has seen or would have.
    pub(crate) log: Vec<u8>,
}

impl Model {
    pub(crate) fn append(&mut self, n: usize) {
        self.appended += n;
        let whole = &TEXT[..self.appended];
        self.log = match &self.limit {
            Limit::HeadOnly { max, marker } => {
                let marker = &marker[..marker.len().min(*max as usize)];
                let room = *max as usize - marker.len();
                match whole.get(..room) {
                    Some(head) if whole.len() > room => [head, marker].concat(),
                    _ => whole.to_vec(),
                }
            }
            _ => {
                self.log.extend_from_slice(&whole[self.log.len()..]);
                return;
            }
        };
    }

    pub(crate) fn len(&self) -> u64 {
        self.log.len() as u64
    }

    pub(crate) fn dropped(&self) -> u64 {
        match &self.limit {
            Limit::HeadOnly { max, marker } => {
                let room = max.saturating_sub(marker.len() as u64);
                (self.appended as u64).saturating_sub(room)
            }
            _ => 0,
        }
    }

    pub(crate) fn gap(&self) -> Option<Range<u64>> {
        let Limit::HeadAndTail { head, tail, .. } = self.limit else {
            return None;
        };
        let gap = head..self.len().saturating_sub(tail);
        (!gap.is_empty()).then_some(gap)
    }

    pub(crate) fn is_lost(&self, offset: u64) -> bool {
        self.gap().is_some_and(|gap| gap.contains(&offset))
    }

    pub(crate) fn gap_marker(&self) -> &[u8] {
        match &self.limit {
            Limit::HeadAndTail { marker, .. } => marker,
            _ => b"",
        }
    }

    pub(crate) fn in_memory(&self) -> u64 {
        let memory = match self.place {
            Place::Memory => u64::MAX,
            Place::Spill(memory) | Place::File(memory) => memory as u64,
        };
        let Limit::HeadAndTail { head, tail, .. } = self.limit else {
            return self.len().min(memory);
        };
        let file = matches!(self.place, Place::File(_));
        if head + tail <= memory && !file {
            self.len().min(head) + self.len().saturating_sub(head).min(tail)
        } else {
            self.len().min(tail).min(memory)
        }
    }

    pub(crate) fn at(&self, permille: u64) -> u64 {
        self.len() * permille / 1000
    }

    pub(crate) fn slice(&self, range: Range<u64>) -> &[u8] {
        let end = range.end.min(self.len());
        &self.log[range.start.min(end) as usize..end as usize]
    }

    /// Where lines begin; the last one has no byte if the log ends with a line end.
    pub(crate) fn lines(&self) -> Vec<u64> {
        let ends = memchr::memchr_iter(b'\n', &self.log);
        std::iter::once(0)
            .chain(ends.map(|end| end as u64 + 1))
            .collect()
    }
}

pub(crate) struct Checked {
    pub(crate) reader: Reader,
    pub(crate) next: u64,
    pub(crate) until: u64,
    /// Of the marker of a gap, read in parts.
    pub(crate) marker_left: Vec<u8>,
}

impl Checked {
    pub(crate) fn new(log: &Log, next: u64, until: Option<u64>) -> Self {
        let until = until.map(|len| next + len);
        let reader = log.reader_at(next);
        Self {
            reader: match until {
                Some(until) => reader.until(until),
                None => reader,
            },
            next,
            until: until.unwrap_or(u64::MAX),
            marker_left: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, chunk: Chunk, model: &Model) {
        assert_eq!(chunk.offset, self.next);
        self.marker_left.clear();
        if chunk.missing > 0 {
            assert_eq!(chunk.data, model.gap_marker());
            self.skip_gap(model);
        } else {
            self.take_bytes(&chunk.data, model);
        }
        assert_eq!((chunk.end(), self.reader.offset()), (self.next, self.next));
    }

    pub(crate) fn skip_gap(&mut self, model: &Model) {
        assert!(model.is_lost(self.next));
        self.next = model.gap().unwrap().end.min(self.until);
    }

    pub(crate) fn take_bytes(&mut self, data: &[u8], model: &Model) {
        let end = self.next + data.len() as u64;
        assert!(!data.is_empty() && end <= self.until);
        assert!(data == model.slice(self.next..end), "at {}", self.next);
        self.next = end;
    }

    /// As `AsyncRead` gives it.
    pub(crate) fn take_read(&mut self, data: &[u8], model: &Model) {
        if self.marker_left.is_empty() && self.reader.offset() != self.next + data.len() as u64
            || data.first() == Some(&GAP[0]) && self.marker_left.is_empty()
        {
            self.skip_gap(model);
            self.marker_left = model.gap_marker().to_vec();
        }
        let of_marker = self.marker_left.len().min(data.len());
        if of_marker > 0 {
            let taken = self.marker_left.drain(..of_marker).collect::<Vec<_>>();
            assert_eq!(data, taken);
        } else if !data.is_empty() {
            self.take_bytes(data, model);
        }
        assert_eq!(self.reader.offset(), self.next);
    }
}
