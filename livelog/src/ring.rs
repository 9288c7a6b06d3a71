use std::ops::Range;

/// Where a file holds the log of a [`Limit::HeadAndTail`](crate::Limit::HeadAndTail): the head as it is, then the tail,
/// each byte `tail` bytes after the one that it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ring {
    pub(crate) head: u64,
    pub(crate) tail: u64,
}

/// A part of an append, and the place of its first byte in the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) data: Range<usize>,
    pub(crate) at: u64,
}

impl Ring {
    /// Offset of the first byte behind the gap of a log of `len` bytes.
    pub(crate) fn lost_end(&self, len: u64) -> u64 {
        len.saturating_sub(self.tail).max(self.head)
    }

    /// Whether all that is kept needs no more than this.
    pub(crate) fn fits(&self, memory: usize) -> bool {
        self.head.saturating_add(self.tail) <= memory as u64
    }

    pub(crate) fn is_lost(&self, offset: u64, lost_end: u64) -> bool {
        (self.head..lost_end).contains(&offset)
    }

    /// The place of the byte at `offset`.
    pub(crate) fn place(&self, offset: u64) -> u64 {
        match offset.checked_sub(self.head) {
            Some(behind) if self.tail > 0 => self.head + behind % self.tail,
            _ => offset,
        }
    }

    /// How many bytes from `offset` on lie behind each other in the file.
    pub(crate) fn in_one_piece(&self, offset: u64) -> u64 {
        if offset < self.head {
            self.head - offset
        } else {
            self.head.saturating_add(self.tail) - self.place(offset)
        }
    }

    /// How to write `len` bytes at `offset`, without those that would be overwritten at once.
    pub(crate) fn spans(&self, offset: u64, len: usize) -> impl Iterator<Item = Span> {
        let end = offset + len as u64;
        let lost_end = self.lost_end(end);
        let ring = *self;
        let mut next = offset;
        std::iter::from_fn(move || {
            if ring.is_lost(next, lost_end) {
                next = lost_end;
            }
            if next >= end {
                return None;
            }
            let begin = next;
            next = end.min(begin.saturating_add(ring.in_one_piece(begin)));
            Some(Span {
                data: (begin - offset) as usize..(next - offset) as usize,
                at: ring.place(begin),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_leave_head_and_tail_in_the_file() {
        for (head, tail) in [(0, 5), (3, 4), (7, 1), (4, 0), (0, 0)] {
            let ring = Ring { head, tail };
            for step in 1..20 {
                let mut file = vec![None; (head + tail) as usize];
                let mut len = 0;
                for _ in 0..10 {
                    for span in ring.spans(len, step) {
                        for (i, byte) in span.data.enumerate() {
                            file[span.at as usize + i] = Some(len + byte as u64);
                        }
                    }
                    len += step as u64;
                    let lost = head..ring.lost_end(len);
                    for offset in (0..len).filter(|offset| !lost.contains(offset)) {
                        assert_eq!(file[ring.place(offset) as usize], Some(offset));
                    }
                }
            }
        }
    }
}
