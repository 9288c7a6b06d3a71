use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};

use super::Row;

/// A place in a log, 12 bytes instead of the text: a segment's number, and an offset in it.
///
/// It stays right however the log's bytes come and go in memory ([`Segments`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Span {
    segment: u32,
    at: u32,
    len: u32,
}

impl Row for Span {
    const SIZE: usize = 12;
    const LAYOUT: u64 = super::row::layout_of_name(super::row::LAYOUT, "span");

    #[inline]
    fn write(&self, bytes: &mut [u8]) {
        self.parts().write(bytes);
    }

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self::from_parts(Row::read(bytes))
    }
}

impl Span {
    /// The place of nothing.
    pub const EMPTY: Self = Self {
        segment: 0,
        at: 0,
        len: 0,
    };

    /// Its length in bytes.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it is the place of nothing.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The part of it from byte `from` to byte `to`, both cut to its length.
    #[must_use]
    pub fn slice(self, from: usize, to: usize) -> Self {
        let to = u32::try_from(to).unwrap_or(u32::MAX).min(self.len);
        let from = u32::try_from(from).unwrap_or(u32::MAX).min(to);
        Self {
            segment: self.segment,
            at: self.at + from,
            len: to - from,
        }
    }

    /// The place of `part`, which is a slice of `text`, which stands here; of nothing if it is not.
    #[must_use]
    pub(crate) fn part(self, text: &[u8], part: &[u8]) -> Self {
        let whole = Origin {
            bytes: text,
            span: self,
        };
        whole.span_of(part)
    }

    /// Segment, offset and length.
    pub fn parts(self) -> [u32; 3] {
        [self.segment, self.at, self.len]
    }

    /// The span whose [`parts`](Self::parts) these are; one that ends beyond 4 GiB is of nothing.
    #[must_use]
    pub fn from_parts([segment, at, len]: [u32; 3]) -> Self {
        if at.checked_add(len).is_none() {
            return Self::EMPTY;
        }
        Self { segment, at, len }
    }
}

/// Bytes of a log while they are read: tells where a part of them stands in the log.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    bytes: &'a [u8],
    span: Span,
}

impl<'a> Origin<'a> {
    /// Bytes that stand from `offset` on in a segment. Places beyond 4 GiB are of nothing.
    pub fn new(segment: u32, offset: u64, bytes: &'a [u8]) -> Self {
        let place = u32::try_from(offset)
            .ok()
            .zip(u32::try_from(bytes.len()).ok());
        let span = place.map(|(at, len)| Span::from_parts([segment, at, len]));
        Self {
            bytes,
            span: span.unwrap_or(Span::EMPTY),
        }
    }

    /// The bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The place of all of them.
    pub fn span(self) -> Span {
        self.span
    }

    /// The place of `part`, which is a slice of the bytes; of nothing if it is not.
    #[inline]
    pub fn span_of(self, part: &[u8]) -> Span {
        // Where the slice lies in memory; nothing is read through these numbers.
        let from = (part.as_ptr() as usize).wrapping_sub(self.bytes.as_ptr() as usize);
        if from > self.bytes.len() || part.len() > self.bytes.len() - from {
            return Span::EMPTY;
        }
        self.span.slice(from, from + part.len())
    }
}

/// The bytes do not follow those that are there, or reach beyond 4 GiB of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "bytes from offset {offset} of segment {segment} do not follow those there are, \
     or reach beyond 4 GiB"
)]
pub struct Misplaced {
    /// The segment.
    pub segment: u32,
    /// Where in it they were to be.
    pub offset: u64,
}

/// Pieces that grew in memory are joined up to this size: a segment of 16 MiB has at most some dozens.
const LARGEST_JOINED: usize = 256 << 10;

/// All bytes that spans point into: mapped files, and memory for what grows. Clones share them.
#[derive(Clone, Default)]
pub struct Segments(Arc<Vec<Arc<Vec<Piece>>>>);

#[derive(Clone)]
struct Piece {
    at: u32,
    bytes: Bytes,
}

impl Piece {
    fn end(&self) -> u32 {
        self.at + self.bytes.len() as u32
    }
}

impl Segments {
    /// No bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes from `offset` on of a segment, which has to be the last there is, or the next, and
    /// to have nothing beyond `offset`. Segments are numbered from 0; their first bytes may be
    /// missing, in which case spans there are of nothing.
    pub fn push<'a>(
        &mut self,
        segment: u32,
        offset: u64,
        bytes: &'a Bytes,
    ) -> Result<Origin<'a>, Misplaced> {
        let misplaced = Misplaced { segment, offset };
        let at = u32::try_from(offset).map_err(|_| misplaced)?;
        let len = u32::try_from(bytes.len()).map_err(|_| misplaced)?;
        let is_last = segment as usize + 1 == self.0.len();
        let is_next = segment as usize == self.0.len();
        if at.checked_add(len).is_none() || !is_last && !is_next {
            return Err(misplaced);
        }
        let segments = Arc::make_mut(&mut self.0);
        if is_next {
            segments.push(Arc::default());
        }
        let pieces = segments.last_mut().ok_or(misplaced)?;
        if pieces.last().is_some_and(|last| last.end() > at) {
            return Err(misplaced);
        }
        let pieces = Arc::make_mut(pieces);
        let bytes_copy = bytes.clone();
        pieces.push(Piece {
            at,
            bytes: bytes_copy,
        });
        join(pieces);
        Ok(Origin {
            bytes,
            span: Span { segment, at, len },
        })
    }

    /// Puts `bytes`, which begin at offset 0 and hold at least what there is, in the place of what a
    /// segment has: a mapping in the place of memory. Does nothing if they are too few.
    pub fn replace(&mut self, segment: u32, bytes: Bytes) {
        let Some(pieces) = Arc::make_mut(&mut self.0).get_mut(segment as usize) else {
            return;
        };
        let end = pieces.last().map_or(0, Piece::end);
        if bytes.len() >= end as usize && u32::try_from(bytes.len()).is_ok() {
            *pieces = Arc::new(vec![Piece { at: 0, bytes }]);
        }
    }

    /// The bytes of a span; none if they are not there.
    #[inline]
    pub fn bytes(&self, span: Span) -> &[u8] {
        let Some(pieces) = self.0.get(span.segment as usize) else {
            return &[];
        };
        let piece = match pieces.as_slice() {
            [piece] => piece,
            pieces => {
                let after = pieces.partition_point(|piece| piece.at <= span.at);
                match pieces.get(after.wrapping_sub(1)) {
                    Some(piece) => piece,
                    None => return &[],
                }
            }
        };
        let from = span.at.wrapping_sub(piece.at) as usize;
        let bytes = piece.bytes.get(from..);
        bytes
            .and_then(|bytes| bytes.get(..span.len as usize))
            .unwrap_or(&[])
    }

    /// The length of a segment; 0 if there is none.
    pub fn end(&self, segment: u32) -> u64 {
        let last = self
            .0
            .get(segment as usize)
            .and_then(|pieces| pieces.last());
        last.map_or(0, |last| last.end().into())
    }

    /// The bytes of a segment from offset `from` to offset `to`, in the pieces in which they are
    /// there, each with its offset.
    pub fn read(&self, segment: u32, from: u64, to: u64) -> impl Iterator<Item = (u64, Bytes)> {
        let pieces = self
            .0
            .get(segment as usize)
            .map_or(&[][..], |pieces| pieces);
        let first = pieces.partition_point(|piece| u64::from(piece.end()) <= from);
        let pieces = pieces[first..].iter();
        pieces
            .map(move |piece| {
                let at = u64::from(piece.at);
                let end = to.clamp(at, piece.end().into());
                let start = from.clamp(at, end);
                let part = (start - at) as usize..(end - at) as usize;
                (start, piece.bytes.slice(part))
            })
            .take_while(|(_, bytes)| !bytes.is_empty())
    }

    /// The text of a span, up to the first byte that is not UTF-8. Where loading checked it, all
    /// of it.
    pub fn text(&self, span: Span) -> &str {
        let bytes = self.bytes(span);
        simdutf8::basic::from_utf8(bytes).unwrap_or_else(|_| valid_part(bytes))
    }

    /// How far the bytes of each segment reach.
    pub fn sizes(&self) -> impl Iterator<Item = u64> + Clone {
        let ends = self
            .0
            .iter()
            .map(|pieces| pieces.last().map_or(0, Piece::end));
        ends.map(u64::from)
    }

    /// The number of segments.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What stands before the first byte that is not UTF-8.
#[cold]
fn valid_part(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// Joins the last pieces as long as the one before is no larger, as a binary counter carries: each
/// byte is copied a logarithmic number of times, and that many pieces remain.
fn join(pieces: &mut Vec<Piece>) {
    while let [.., before, last] = pieces.as_slice() {
        let both = before.bytes.len() + last.bytes.len();
        let is_due = before.bytes.len() <= last.bytes.len() && before.end() == last.at;
        if !is_due || both > LARGEST_JOINED {
            return;
        }
        let mut joined = BytesMut::with_capacity(both);
        joined.extend_from_slice(&before.bytes);
        joined.extend_from_slice(&last.bytes);
        let (at, bytes) = (before.at, joined.freeze());
        pieces.truncate(pieces.len() - 2);
        pieces.push(Piece { at, bytes });
    }
}

impl fmt::Debug for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Segments").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(segments: &mut Segments, segment: u32, offset: u64, bytes: &str) -> Span {
        let bytes = Bytes::copy_from_slice(bytes.as_bytes());
        segments.push(segment, offset, &bytes).unwrap().span()
    }

    #[test]
    fn spans_lead_back_to_their_bytes() {
        let mut segments = Segments::new();
        let first = push(&mut segments, 0, 0, "first segment");
        let version = segments.clone();
        let second = push(&mut segments, 1, 7, "zweites St\u{fc}ck");
        assert_eq!(segments.bytes(first), b"first segment");
        assert_eq!(segments.text(second.slice(0, 7)), "zweites");
        assert_eq!(segments.text(second.slice(8, 100)), "St\u{fc}ck");
        assert_eq!(
            segments.text(second.slice(8, 11)),
            "St",
            "cut within a character"
        );
        assert_eq!(segments.text(second.slice(9, 3)), "");
        assert_eq!(version.bytes(second), b"", "of a later version");
        assert_eq!(segments.bytes(Span::EMPTY), b"");
    }

    #[test]
    fn parts_are_found_in_their_origin() {
        let mut segments = Segments::new();
        let bytes = Bytes::from_static(b"some words");
        let origin = segments.push(0, 100, &bytes).unwrap();
        let words = origin.span_of(&origin.bytes()[5..]);
        assert_eq!(segments.text(words), "words");
        assert_eq!(words.parts(), [0, 105, 5]);
        assert_eq!(
            origin.span_of(b"words"),
            Span::EMPTY,
            "equal, but elsewhere"
        );
    }

    #[test]
    fn a_segment_grows_in_few_pieces_and_is_mapped_in_the_end() {
        let mut segments = Segments::new();
        let mut spans = Vec::new();
        let mut all = String::new();
        for n in 0..5000 {
            let text = format!("{n:05} ");
            spans.push((
                push(&mut segments, 0, all.len() as u64, &text),
                text.clone(),
            ));
            all += &text;
        }
        let pieces = segments.0[0].len();
        assert!(pieces <= 13, "{pieces} pieces");
        assert!(
            spans
                .iter()
                .all(|(span, text)| segments.text(*span) == text)
        );
        segments.replace(0, Bytes::from_static(b"too short"));
        segments.replace(0, Bytes::from(all));
        assert_eq!(segments.0[0].len(), 1);
        assert!(
            spans
                .iter()
                .all(|(span, text)| segments.text(*span) == text)
        );
    }

    #[test]
    fn bytes_out_of_order_are_refused() {
        let mut segments = Segments::new();
        push(&mut segments, 0, 0, "0123");
        for (segment, offset) in [(0, 3), (2, 0), (0, 1 << 32), (0, u64::from(u32::MAX))] {
            let bytes = Bytes::from_static(b"45");
            let refused = segments.push(segment, offset, &bytes).map(|_| ());
            assert_eq!(refused.unwrap_err(), Misplaced { segment, offset });
        }
        push(&mut segments, 0, 9, "after a hole");
        assert_eq!(segments.bytes(Span::from_parts([0, 5, 2])), b"");
        assert_eq!(segments.text(Span::from_parts([0, 15, 6])), "a hole");
        assert_eq!(Span::from_parts([0, u32::MAX, 2]), Span::EMPTY);
    }
}
