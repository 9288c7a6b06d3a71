//! A deflate compressor (RFC 1951) of our own, for the level where speed counts.
//!
//! A greedy search with one place for each hash ([`matcher`]) makes literals and copies, some thousand of which become a
//! block with codes of its own ([`block`], [`huffman`]), written without branches ([`bits`]). All of it is bound by
//! branches that cannot be predicted, not by loads or checks of bounds, so that safe Rust costs next to nothing.

mod bits;
mod block;
mod huffman;
mod matcher;
#[cfg(test)]
mod tests;

use self::bits::BitWriter;
use self::block::Block;
use self::matcher::Matcher;

/// Compresses one input after the other, each for itself; allocates only when it is made.
#[derive(Debug)]
pub(crate) struct Deflate {
    matcher: Matcher,
    block: Block,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            matcher: Matcher::new(),
            block: Block::new(),
        }
    }
}

impl Deflate {
    /// Compresses `input` to a whole deflate stream at the beginning of `output`, and tells its length; `None` if it did
    /// not fit.
    pub(crate) fn deflate(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        self.matcher.clear();
        let mut writer = BitWriter::new(output);
        let mut begin = 0;
        loop {
            self.block.clear();
            let end = self.matcher.fill(input, begin, &mut self.block);
            let last = end == input.len();
            self.block.write(&input[begin..end], last, &mut writer)?;
            if last {
                return Some(writer.finish());
            }
            begin = end;
        }
    }
}
