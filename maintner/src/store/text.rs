use std::{fmt, sync::Arc};

/// A place in the [`Chunks`] of a log, 12 bytes instead of the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Span {
    chunk: u32,
    at: u32,
    len: u32,
}

impl Span {
    /// The place of nothing.
    pub const EMPTY: Self = Self {
        chunk: 0,
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
            chunk: self.chunk,
            at: self.at + from,
            len: to - from,
        }
    }
}

/// Bytes that never change: a mapped file, or memory.
type Chunk = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// No more chunks can be added, or the chunk is longer than 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("text of a corpus is limited to 2^32 chunks of 4 GiB each")]
pub struct Full;

/// All bytes that spans point into. Clones share them.
#[derive(Clone, Default)]
pub struct Chunks(Arc<Vec<Chunk>>);

impl Chunks {
    /// No bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a chunk; gives the span of all of it.
    pub fn push(&mut self, bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Result<Span, Full> {
        let len = u32::try_from((*bytes).as_ref().len()).map_err(|_| Full)?;
        let chunk = u32::try_from(self.0.len()).map_err(|_| Full)?;
        Arc::make_mut(&mut self.0).push(bytes);
        Ok(Span { chunk, at: 0, len })
    }

    /// The bytes of a span. None if it is of other chunks.
    #[inline]
    pub fn bytes(&self, span: Span) -> &[u8] {
        if span.is_empty() {
            return &[];
        }
        let chunk = self.0.get(span.chunk as usize);
        let bytes = chunk.map_or(&[][..], |chunk| (**chunk).as_ref());
        let from = span.at as usize;
        bytes.get(from..from + span.len as usize).unwrap_or(&[])
    }

    /// The text of a span, up to the first byte that is not UTF-8. Where loading checked it, all
    /// of it.
    pub fn text(&self, span: Span) -> &str {
        let bytes = self.bytes(span);
        std::str::from_utf8(bytes).unwrap_or_else(|error| {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        })
    }

    /// The span of `part`, which is a slice of the bytes of `whole`. None if it is not.
    #[inline]
    pub fn span_of(&self, whole: Span, part: &[u8]) -> Option<Span> {
        let bytes = self.bytes(whole);
        // Where the slice lies in memory; nothing is read through these numbers.
        let from = (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
        let is_inside = from <= bytes.len() && part.len() <= bytes.len() - from;
        is_inside.then(|| whole.slice(from, from + part.len()))
    }

    /// The number of chunks.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chunks").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_lead_back_to_their_bytes() {
        let mut chunks = Chunks::new();
        let first = chunks.push(Arc::new(b"first chunk".to_vec())).unwrap();
        let version = chunks.clone();
        let second = chunks.push(Arc::new("zweites St\u{fc}ck")).unwrap();
        assert_eq!(chunks.bytes(first), b"first chunk");
        assert_eq!(chunks.text(second.slice(0, 7)), "zweites");
        assert_eq!(chunks.text(second.slice(8, 100)), "St\u{fc}ck");
        assert_eq!(
            chunks.text(second.slice(8, 11)),
            "St",
            "cut within a character"
        );
        assert_eq!(chunks.text(second.slice(9, 3)), "");
        assert_eq!(version.bytes(second), b"", "of a later version");
        let word = &chunks.bytes(second)[8..];
        assert_eq!(chunks.span_of(second, word), Some(second.slice(8, 14)));
        assert_eq!(chunks.span_of(first, word), None);
        assert_eq!(
            chunks.span_of(second, b"St\xc3\xbcck"),
            None,
            "equal, but elsewhere"
        );
        assert_eq!(chunks.bytes(Span::EMPTY), b"");
    }
}
