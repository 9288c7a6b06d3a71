//! One deflate block: what it holds, and the cheapest of the three ways to write it (RFC 1951 section 3.2.3).

use super::bits::{BitWriter, MOST_BITS};
use super::huffman;

/// Literals and copies in a block. Fewer would fit their codes more closely, and pay more for telling the codes: with half
/// as many and with half as many more, files are the same size within 0.2 %, and compressing is slower by 1 to 5 %.
pub(super) const TOKENS: usize = 16 << 10;

/// The longest code deflate allows for literals, lengths and distances.
const LIMIT: u8 = 15;
/// The same for the code by which code lengths are told.
const HEAD_LIMIT: u8 = 7;

/// The symbol that ends a block.
const END: usize = 256;
/// Bits before a block: whether it is the last, and its kind.
const HEAD: usize = 3;

/// What stands for the distance in a literal: codes 30 and 31 do not occur.
const NO_DISTANCE: usize = 30;

/// A literal, or a copy of earlier bytes, in the form in which it is written without asking which of both it is: in the
/// lowest 9 bits the literal, or 253 and the length; then the 5 bits of the distance's code, [`NO_DISTANCE`] for a
/// literal; then the distance's extra bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token(u32);

impl Token {
    #[inline(always)]
    pub(super) fn literal(byte: u8) -> Self {
        Self(u32::from(byte) | (NO_DISTANCE as u32) << 9)
    }

    /// A copy of 3 to 258 bytes from 1 to 32768 bytes before.
    #[inline(always)]
    pub(super) fn copy(length: usize, distance: u16) -> Self {
        let (code, extra) = distance_code(distance.into());
        Self((length as u32 + 253) & 511 | code << 9 | extra << 14)
    }
}

#[derive(Debug)]
pub(super) struct Block {
    tokens: [Token; TOKENS],
    len: usize,
    /// How often literals (0 to 255) and lengths (253 and more) occur.
    literals: [u32; 512],
    distances: [u32; 32],
}

impl Block {
    pub(super) fn new() -> Self {
        Self {
            tokens: [Token(0); TOKENS],
            len: 0,
            literals: [0; 512],
            distances: [0; 32],
        }
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.literals = [0; 512];
        self.distances = [0; 32];
    }

    /// The place for tokens, each of which is to be counted; and then [`set_len`](Self::set_len) be called.
    #[inline(always)]
    pub(super) fn parts(&mut self) -> (&mut [Token; TOKENS], Count<'_>) {
        let count = Count {
            literals: &mut self.literals,
            distances: &mut self.distances,
        };
        (&mut self.tokens, count)
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.len = len.min(TOKENS);
    }

    /// Writes the block, which stands for `input`. `None` if there is no room.
    pub(super) fn write(&self, input: &[u8], last: bool, writer: &mut BitWriter<'_>) -> Option<()> {
        let frequencies = self.frequencies();
        let extra = self.extra_bits();
        let lengths = huffman::lengths(&frequencies, LIMIT);
        let distances = huffman::lengths(&self.coded_distances(), LIMIT);
        let head = Head::new(&lengths, &distances);
        let dynamic = HEAD
            + head.bits()
            + cost(&frequencies, &lengths)
            + cost(&self.distances, &distances)
            + extra;
        let fixed = HEAD
            + cost(&frequencies, &FIXED_LENGTHS)
            + cost(&self.distances, &FIXED_DISTANCES)
            + extra;
        let stored = stored_bits(input.len(), writer.len());
        let least = dynamic.min(fixed).min(stored);
        if writer.len() + least > writer.capacity() {
            return None;
        }
        let last = u64::from(last);
        if least == stored {
            store(input, last, writer);
        } else if least == fixed {
            writer.put(last | 1 << 1, HEAD as u32);
            self.write_tokens(&FIXED_LENGTHS, &FIXED_DISTANCES, writer);
        } else {
            writer.put(last | 2 << 1, HEAD as u32);
            head.write(writer);
            self.write_tokens(&lengths, &distances, writer);
        }
        Some(())
    }

    /// By symbol, with the end.
    fn frequencies(&self) -> [u32; 288] {
        let mut frequencies = [0; 288];
        frequencies[..END].copy_from_slice(&self.literals[..END]);
        frequencies[END] = 1;
        for (&frequency, &(code, ..)) in self.literals[END..].iter().zip(&LENGTH_CODES) {
            frequencies[usize::from(code)] += frequency;
        }
        frequencies
    }

    /// At least two, because some decoders refuse codes of fewer.
    fn coded_distances(&self) -> [u32; 32] {
        let mut distances = self.distances;
        let used = distances.iter().filter(|&&frequency| frequency > 0).count();
        for _ in used..2 {
            if let Some(unused) = distances.iter_mut().find(|frequency| **frequency == 0) {
                *unused = 1;
            }
        }
        distances
    }

    fn extra_bits(&self) -> usize {
        let lengths = self.literals[END..]
            .iter()
            .zip(&LENGTH_CODES)
            .map(|(&frequency, &(_, bits, _))| frequency as usize * usize::from(bits))
            .sum::<usize>();
        let distances = (0..).zip(&self.distances);
        lengths
            + distances
                .map(|(code, &frequency)| frequency as usize * distance_extra(code) as usize)
                .sum::<usize>()
    }

    fn write_tokens(&self, lengths: &[u8; 288], distances: &[u8; 32], writer: &mut BitWriter<'_>) {
        let codes = huffman::codes(lengths);
        // Bits in the lower 24, their number above.
        let mut literals = [0_u32; 512];
        for (literal, (&code, &length)) in literals[..END].iter_mut().zip(codes.iter().zip(lengths))
        {
            *literal = u32::from(code) | u32::from(length) << 24;
        }
        for (literal, &(symbol, bits, value)) in literals[END..].iter_mut().zip(&LENGTH_CODES) {
            let symbol = usize::from(symbol);
            let (code, length) = (u32::from(codes[symbol]), u32::from(lengths[symbol]));
            *literal = code | u32::from(value) << length | (length + u32::from(bits)) << 24;
        }
        // The code in the lower 16 bits, its length, and the number of all bits.
        let mut places = [0_u32; 32];
        for (code, (place, (&bits, &length))) in (0..).zip(
            places
                .iter_mut()
                .zip(huffman::codes(distances).iter().zip(distances)),
        ) {
            if code < NO_DISTANCE as u32 {
                let length = u32::from(length);
                *place = u32::from(bits) | length << 16 | (length + distance_extra(code)) << 24;
            }
        }
        // Bits, at most 15 + 5 + 15 + 13, and their number.
        let coded = |Token(token)| {
            let literal = literals[(token & 511) as usize];
            let place = places[(token >> 9 & 31) as usize];
            let distance = place & 0xffff | (token >> 14) << (place >> 16 & 31);
            let count = literal >> 24;
            (
                u64::from(literal & 0xff_ffff) | u64::from(distance) << (count & 31),
                count + (place >> 24),
            )
        };
        // Two at once: how far the writer is, each put has to wait for.
        let (pairs, rest) = self.tokens[..self.len].as_chunks::<2>();
        for &[first, second] in pairs {
            let ((first, count), (second, second_count)) = (coded(first), coded(second));
            if count + second_count <= MOST_BITS {
                writer.put(first | second << (count & 63), count + second_count);
            } else {
                writer.put(first, count);
                writer.put(second, second_count);
            }
        }
        for &token in rest {
            let (bits, count) = coded(token);
            writer.put(bits, count);
        }
        writer.put(codes[END].into(), lengths[END].into());
    }
}

/// Bits of all codes of these lengths.
fn cost(frequencies: &[u32], lengths: &[u8]) -> usize {
    let codes = frequencies.iter().zip(lengths);
    codes
        .map(|(&frequency, &length)| frequency as usize * usize::from(length))
        .sum()
}

/// Counts tokens as they are made: later takes longer, though it is less to do between two branches.
pub(super) struct Count<'a> {
    literals: &'a mut [u32; 512],
    distances: &'a mut [u32; 32],
}

impl Count<'_> {
    #[inline(always)]
    pub(super) fn literal(&mut self, byte: u8) {
        self.literals[usize::from(byte)] += 1;
    }

    #[inline(always)]
    pub(super) fn copy(&mut self, Token(token): Token) {
        self.literals[(token & 511) as usize] += 1;
        self.distances[(token >> 9 & 31) as usize] += 1;
    }
}

/// What tells the codes of a block (RFC 1951 section 3.2.7).
struct Head {
    /// Code lengths with runs made short, and the extra bits of those.
    symbols: [(u8, u8); 320],
    len: usize,
    literals: usize,
    distances: usize,
    lengths: [u8; 19],
    /// How many of the 19 are told.
    told: usize,
    bits: usize,
}

impl Head {
    fn new(literal_lengths: &[u8; 288], distance_lengths: &[u8; 32]) -> Self {
        let used = |lengths: &[u8]| {
            lengths
                .iter()
                .rposition(|&length| length > 0)
                .map_or(0, |last| last + 1)
        };
        let literals = used(literal_lengths).max(257);
        let distances = used(distance_lengths).max(1);
        let mut all = [0; 320];
        all[..literals].copy_from_slice(&literal_lengths[..literals]);
        all[literals..literals + distances].copy_from_slice(&distance_lengths[..distances]);
        let mut symbols = [(0, 0); 320];
        let mut len = 0;
        let mut frequencies = [0; 19];
        let mut push = |symbol: u8, extra: usize| {
            symbols[len] = (symbol, extra as u8);
            len += 1;
            frequencies[usize::from(symbol)] += 1;
        };
        let mut rest = &all[..literals + distances];
        while let Some(&length) = rest.first() {
            let mut run = rest.iter().take_while(|&&next| next == length).count();
            rest = &rest[run..];
            if length == 0 {
                while run >= 3 {
                    let zeros = run.min(138);
                    match zeros {
                        11.. => push(18, zeros - 11),
                        _ => push(17, zeros - 3),
                    }
                    run -= zeros;
                }
            } else {
                push(length, 0);
                run -= 1;
                while run >= 3 {
                    let same = run.min(6);
                    push(16, same - 3);
                    run -= same;
                }
            }
            for _ in 0..run {
                push(length, 0);
            }
        }
        let lengths = huffman::lengths(&frequencies, HEAD_LIMIT);
        let told = HEAD_ORDER
            .iter()
            .rposition(|&symbol| lengths[symbol] > 0)
            .map_or(4, |last| (last + 1).max(4));
        let bits = (0..).zip(&frequencies).map(|(symbol, &frequency)| {
            frequency as usize * (usize::from(lengths[symbol]) + head_extra(symbol) as usize)
        });
        let bits = 5 + 5 + 4 + 3 * told + bits.sum::<usize>();
        Self {
            symbols,
            len,
            literals,
            distances,
            lengths,
            told,
            bits,
        }
    }

    fn bits(&self) -> usize {
        self.bits
    }

    fn write(&self, writer: &mut BitWriter<'_>) {
        writer.put(self.literals as u64 - 257, 5);
        writer.put(self.distances as u64 - 1, 5);
        writer.put(self.told as u64 - 4, 4);
        for &symbol in &HEAD_ORDER[..self.told] {
            writer.put(self.lengths[symbol].into(), 3);
        }
        let codes = huffman::codes(&self.lengths);
        for &(symbol, extra) in &self.symbols[..self.len] {
            let symbol = usize::from(symbol);
            writer.put(codes[symbol].into(), self.lengths[symbol].into());
            writer.put(extra.into(), head_extra(symbol));
        }
    }
}

/// In which order the lengths of the code for code lengths are told.
const HEAD_ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

const fn head_extra(symbol: usize) -> u32 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

/// Symbol, number of extra bits, and their value, of the lengths from 3 to 258 (RFC 1951 section 3.2.5).
static LENGTH_CODES: [(u16, u8, u8); 256] = {
    let mut codes = [(285, 0, 0); 256];
    let mut at = 0;
    // The longest has a symbol of its own.
    while at < 255 {
        // Four symbols for each power of two; below 8, each length has its own.
        let bits = if at < 8 { 0 } else { (at as u32).ilog2() - 2 };
        let symbol = 257 + 4 * bits as u16 + (at >> bits) as u16;
        codes[at] = (symbol, bits as u8, (at & ((1 << bits) - 1)) as u8);
        at += 1;
    }
    codes
};

/// Code and extra bits of a distance: two codes for each power of two, of which the first two have one each.
#[inline(always)]
fn distance_code(distance: u32) -> (u32, u32) {
    let distance = distance.wrapping_sub(1) & 0x7fff;
    let bits = (distance | 1).ilog2().saturating_sub(1);
    (2 * bits + (distance >> bits), distance & ((1 << bits) - 1))
}

/// How many extra bits distances of a code have.
const fn distance_extra(code: u32) -> u32 {
    (code >> 1).saturating_sub(1)
}

/// RFC 1951 section 3.2.6.
static FIXED_LENGTHS: [u8; 288] = {
    let mut lengths = [8; 288];
    let mut symbol = 144;
    while symbol < 280 {
        lengths[symbol] = if symbol < 256 { 9 } else { 7 };
        symbol += 1;
    }
    lengths
};
static FIXED_DISTANCES: [u8; 32] = [5; 32];

/// The most a stored block can hold.
const STORED: usize = 0xffff;

/// How long `len` bytes get by storing them after `before` bits.
fn stored_bits(len: usize, before: usize) -> usize {
    let first = HEAD + (before + HEAD).next_multiple_of(8) - (before + HEAD) + 32;
    let others = len.div_ceil(STORED).saturating_sub(1) * 40;
    first + others + 8 * len
}

fn store(input: &[u8], last: u64, writer: &mut BitWriter<'_>) {
    let mut blocks = input.chunks(STORED).peekable();
    while let Some(block) = blocks.next() {
        let last = if blocks.peek().is_none() { last } else { 0 };
        writer.put(last, HEAD as u32);
        writer.align();
        let len = block.len() as u64;
        writer.put(len | (len ^ 0xffff) << 16, 32);
        writer.bytes(block);
    }
}
