use std::{fmt, io, num::NonZeroU32};

use bytes::Bytes;

use super::{
    Hasher, Index, Misplaced, Opener, Origin, Paged, Row, Saved, Saver, Segments, Span, Unusable,
};

/// A text that occurs often, by number: logins, labels, people, paths, refs. 4 bytes, and no more
/// as an `Option`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(NonZeroU32);

impl Symbol {
    /// The symbol of a number, which may have none.
    pub(crate) const fn from_number(number: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(number))
    }

    /// Its number: the symbols of a corpus are numbered from 0 in order of appearance.
    pub fn number(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// The first that there was.
impl Default for Symbol {
    fn default() -> Self {
        Self::from_number(0)
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Symbol({})", self.number())
    }
}

impl Row for Symbol {
    const SIZE: usize = 4;
    const LAYOUT: u64 = super::row::layout_of_name(super::row::LAYOUT, "symbol");

    #[inline]
    fn write(&self, bytes: &mut [u8]) {
        (self.0.get() - 1).write(bytes);
    }

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self::from_number(u32::read(bytes))
    }
}

/// The texts of a log, and those that occur often once each, at their first place.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    segments: Segments,
    symbols: Paged<Span>,
    index: Index,
    /// Seeded at random: who writes the texts does not know what collides.
    hasher: Hasher,
}

impl Texts {
    /// No texts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes of the log ([`Segments::push`]).
    pub fn push<'a>(
        &mut self,
        segment: u32,
        offset: u64,
        bytes: &'a Bytes,
    ) -> Result<Origin<'a>, Misplaced> {
        self.segments.push(segment, offset, bytes)
    }

    /// Reads the log from `segments`, which have all that there was.
    pub fn set_segments(&mut self, segments: Segments) {
        self.segments = segments;
    }

    /// The bytes of a span; none if they are not there.
    #[inline]
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.segments.bytes(span)
    }

    /// The text of a span, up to the first byte that is not UTF-8.
    pub fn text(&self, span: Span) -> &str {
        self.segments.text(span)
    }

    /// The symbol of a text, if it occurs.
    pub fn find(&self, text: &[u8]) -> Option<Symbol> {
        self.find_hashed(self.hasher.hash_one(text), text)
            .map(Symbol::from_number)
    }

    fn find_hashed(&self, hash: u64, text: &[u8]) -> Option<u32> {
        self.index.find(hash, |row| {
            let span = self.symbols.get(row as usize);
            span.is_some_and(|&span| self.bytes(span) == text)
        })
    }

    /// The symbol of `text`, which stands in `origin`; new if it has not occurred.
    pub fn intern(&mut self, origin: Origin<'_>, text: &[u8]) -> Symbol {
        self.intern_hashed(self.hasher.hash_one(text), origin, text)
    }

    /// [`intern`](Self::intern), for a text whose `hash` by the [`hasher`](Self::hasher) is known.
    pub(crate) fn intern_hashed(&mut self, hash: u64, origin: Origin<'_>, text: &[u8]) -> Symbol {
        match self.find_hashed(hash, text) {
            Some(row) => Symbol::from_number(row),
            None => self.add(hash, origin.span_of(text)),
        }
    }

    /// Hashes texts, which are byte slices.
    pub(crate) fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// The symbol of the text at `span`; new if it has not occurred.
    pub fn intern_at(&mut self, span: Span) -> Symbol {
        let text = self.bytes(span);
        let hash = self.hasher.hash_one(text);
        match self.find_hashed(hash, text) {
            Some(row) => Symbol::from_number(row),
            None => self.add(hash, span),
        }
    }

    fn add(&mut self, hash: u64, span: Span) -> Symbol {
        let row = self.symbols.push(span) as u32;
        self.index.insert(hash, row);
        Symbol::from_number(row)
    }

    /// What stands where a text of this hash is looked for ([`Index::look`]).
    #[inline]
    pub(crate) fn look(&self, hash: u64) -> u64 {
        self.index.look(hash)
    }

    /// A byte of the text that is probably found there.
    #[inline]
    pub(crate) fn look_at_text(&self, hash: u64) -> u64 {
        let row = (self.index.look(hash) as u32).wrapping_sub(1);
        let span = self.symbols.get(row as usize);
        let text = span.and_then(|&span| self.bytes(span).first());
        text.map_or(0, |&byte| byte.into())
    }

    /// The text of a symbol.
    pub fn symbol(&self, symbol: Symbol) -> &str {
        self.symbols
            .get(symbol.number())
            .map_or("", |&span| self.text(span))
    }

    /// The same, whatever the bytes are.
    #[inline]
    pub fn symbol_bytes(&self, symbol: Symbol) -> &[u8] {
        self.symbols
            .get(symbol.number())
            .map_or(&[], |&span| self.bytes(span))
    }

    /// Symbols there are.
    pub fn symbols(&self) -> usize {
        self.symbols.len()
    }

    /// All bytes of the log.
    pub fn segments(&self) -> &Segments {
        &self.segments
    }
}

/// Without the bytes of the log, which are where they are.
impl Saved for Texts {
    fn save(&self, to: &mut Saver<'_>) -> io::Result<()> {
        self.symbols.save(to)?;
        self.index.save(to)?;
        self.hasher.save(to)
    }

    fn open(from: &mut Opener) -> Result<Self, Unusable> {
        Ok(Self {
            segments: from.segments(),
            symbols: Saved::open(from)?,
            index: Saved::open(from)?,
            hasher: Saved::open(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_symbol() {
        let mut texts = Texts::new();
        let words: String = (0..9000).map(|n| format!("{:04}", n % 3000)).collect();
        let bytes = Bytes::from(words);
        let origin = texts.push(0, 0, &bytes).unwrap();
        let made: Vec<Symbol> = (0..9000)
            .map(|n| texts.intern(origin, &bytes[n * 4..n * 4 + 4]))
            .collect();
        assert_eq!(texts.symbols(), 3000);
        for (n, &symbol) in made.iter().enumerate() {
            assert_eq!(symbol.number(), n % 3000);
            assert_eq!(texts.symbol(symbol), format!("{:04}", n % 3000));
        }
        assert_eq!(texts.find(b"0042"), Some(made[42]));
        assert_eq!(texts.find(b"none"), None);
    }
}
