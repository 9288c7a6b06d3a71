//! Whether a chunk is worth compressing at all.
//!
//! Compressed archives, pictures and encrypted files give a compressor no hold, and cost it more time than text. A look at
//! one byte in a hundred tells them: their bytes are all about as frequent, and nothing comes twice.

/// Samples of [`PIECE`] bytes, evenly spread, from which byte frequencies are counted.
const PIECES: usize = 128;
const PIECE: usize = 64;

/// Shorter chunks are not worth the look.
const SHORTEST: usize = 4 * PIECES * PIECE;

/// By how much the probability that two bytes are equal may exceed that of noise, as one part in this many. Then no code
/// for single bytes can save more than some 0.2 %. Noise itself exceeds it by 1/370 (one standard deviation).
const SKEW: u64 = 50;

/// Places that are searched for repetitions, and how long each is: more than deflate's window.
const WINDOWS: usize = 2;
const WINDOW_LEN: usize = 48 << 10;

/// Every so many bytes a word of as many is remembered: any repetition of twice that less one is found.
const WORD: usize = 8;
const TABLE_BITS: u32 = 13;

/// How many repeated words are chance, or too few to matter.
const REPEATS: usize = 2;

/// Whether compressing `chunk` would save next to nothing.
pub(crate) fn incompressible(chunk: &[u8]) -> bool {
    chunk.len() >= SHORTEST && is_even(chunk) && !repeats(chunk)
}

/// Whether all byte values are about as frequent.
fn is_even(chunk: &[u8]) -> bool {
    let mut counts = [0_u32; 256];
    let step = chunk.len() / PIECES;
    for piece in chunk.chunks_exact(step).take(PIECES) {
        for &byte in &piece[..PIECE] {
            counts[usize::from(byte)] += 1;
        }
    }
    let n = (PIECES * PIECE) as u64;
    let pairs = counts
        .iter()
        .map(|&count| u64::from(count).pow(2))
        .sum::<u64>()
        - n;
    // Of n(n-1) pairs, noise makes one in 256 equal.
    let noise = n * (n - 1) / 256;
    pairs <= noise + noise / SKEW
}

/// Whether there are repetitions within deflate's reach.
fn repeats(chunk: &[u8]) -> bool {
    let mut found = 0;
    let step = chunk.len() / WINDOWS;
    let mut table = vec![0_u16; 1 << TABLE_BITS];
    for part in chunk.chunks_exact(step) {
        let begin = (part.len() / 2).saturating_sub(WINDOW_LEN / 2);
        let window = &part[begin..part.len().min(begin + WINDOW_LEN)];
        table.fill(u16::MAX);
        for at in 0..window.len().saturating_sub(WORD) {
            let word = word_at(window, at);
            let slot = &mut table
                [(word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TABLE_BITS)) as usize];
            if *slot != u16::MAX && word_at(window, usize::from(*slot)) == word {
                found += 1;
                if found > REPEATS {
                    return true;
                }
            }
            if at % WORD == 0 {
                *slot = at as u16;
            }
        }
    }
    false
}

fn word_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk::<WORD>()
        .map_or(0, |word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        (0..len).map(next).collect()
    }

    #[test]
    fn noise_is_stored() {
        for len in [SHORTEST, 100_000, 1 << 20, (1 << 20) + 777] {
            assert!(incompressible(&noise(len)), "{len}");
        }
        for (i, chunk) in noise(8 << 20).chunks(64 << 10).enumerate() {
            assert!(incompressible(chunk), "{i}");
        }
    }

    #[test]
    fn what_can_be_compressed_is_not() {
        let mut noise = noise(1 << 20);
        // Seven bits a byte.
        assert!(!incompressible(
            &noise.iter().map(|byte| byte & 0x7f).collect::<Vec<_>>()
        ));
        // The same noise again and again, at a distance that deflate can reach.
        assert!(!incompressible(&noise[..30_000].repeat(35)));
        // A tenth of it is text.
        let at = 333_333;
        for byte in &mut noise[at..at + (100 << 10)] {
            *byte = b'a' + (*byte & 15);
        }
        assert!(!incompressible(&noise));
        assert!(!incompressible(&[0; 1 << 20]));
        // Too short to tell.
        assert!(!incompressible(b"?"));
        assert!(!incompressible(b""));
    }
}
