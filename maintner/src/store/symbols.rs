use std::hash::BuildHasher;

use super::{Chunks, Index, Paged, Span};

/// A text that occurs often, by number: logins, labels, people, paths, refs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(u32);

impl Symbol {
    /// Its number: the symbols of a corpus are numbered from 0 in order of appearance.
    pub fn number(self) -> usize {
        self.0 as usize
    }
}

/// The symbols of a corpus: each text once, at its first place in the log.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    spans: Paged<Span>,
    index: Index,
    /// Seeded at random: who writes the texts does not know what collides.
    hasher: foldhash::quality::RandomState,
}

impl Symbols {
    /// No symbols.
    pub fn new() -> Self {
        Self::default()
    }

    /// The symbol of a text, if it occurs.
    pub fn find(&self, chunks: &Chunks, text: &[u8]) -> Option<Symbol> {
        let hash = self.hasher.hash_one(text);
        self.find_hashed(chunks, hash, text).map(Symbol)
    }

    fn find_hashed(&self, chunks: &Chunks, hash: u64, text: &[u8]) -> Option<u32> {
        self.index.find(hash, |row| {
            let span = self.spans.get(row as usize);
            span.is_some_and(|&span| chunks.bytes(span) == text)
        })
    }

    /// The symbol of the text at `span`, new if it has not occurred.
    pub fn intern(&mut self, chunks: &Chunks, span: Span) -> Symbol {
        let text = chunks.bytes(span);
        let hash = self.hasher.hash_one(text);
        if let Some(row) = self.find_hashed(chunks, hash, text) {
            return Symbol(row);
        }
        let row = self.spans.push(span) as u32;
        let (spans, hasher) = (&self.spans, &self.hasher);
        self.index.insert(hash, row, |row| {
            let span = spans.get(row as usize).copied().unwrap_or_default();
            hasher.hash_one(chunks.bytes(span))
        });
        Symbol(row)
    }

    /// Where the text of a symbol stands.
    pub fn span(&self, symbol: Symbol) -> Span {
        self.spans.get(symbol.number()).copied().unwrap_or_default()
    }

    /// Symbols there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn equal_texts_are_one_symbol() {
        let mut chunks = Chunks::new();
        let text: String = (0..9000).map(|n| format!("{:04}", n % 3000)).collect();
        let all = chunks.push(Arc::new(text)).unwrap();
        let mut symbols = Symbols::new();
        let made: Vec<Symbol> = (0..9000)
            .map(|n| symbols.intern(&chunks, all.slice(n * 4, n * 4 + 4)))
            .collect();
        assert_eq!(symbols.len(), 3000);
        for (n, &symbol) in made.iter().enumerate() {
            assert_eq!(symbol.number(), n % 3000);
            assert_eq!(
                chunks.text(symbols.span(symbol)),
                format!("{:04}", n % 3000)
            );
        }
        assert_eq!(symbols.find(&chunks, b"0042"), Some(made[42]));
        assert_eq!(symbols.find(&chunks, b"none"), None);
    }
}
