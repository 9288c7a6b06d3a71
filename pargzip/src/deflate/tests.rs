use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use proptest::prelude::*;

use super::Deflate;
use crate::engine::stored_len;

/// What `deflate` makes of it, or nothing if that is not smaller than stored; every decoder has to agree.
fn compressed(deflate: &mut Deflate, input: &[u8]) -> Option<Vec<u8>> {
    let mut output = vec![0xaa; stored_len(input.len())];
    let len = deflate.deflate(input, &mut output)?;
    output.truncate(len);
    let mut decoded = Vec::new();
    let mut decoder = flate2::bufread::DeflateDecoder::new(&output[..]);
    decoder.read_to_end(&mut decoded).unwrap();
    assert!(decoded == input, "flate2");
    assert_eq!(decoder.total_in(), len as u64);
    let mut decoded = vec![0; input.len()];
    let decoded_len = libdeflater::Decompressor::new()
        .deflate_decompress(&output, &mut decoded)
        .unwrap();
    assert!(decoded_len == input.len() && decoded == input, "libdeflate");
    Some(output)
}

/// The size, which is not more than that of stored blocks.
fn size(input: &[u8]) -> usize {
    compressed(&mut Deflate::default(), input)
        .map_or_else(|| stored_len(input.len()), |output| output.len())
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    /// Copies of all lengths and distances between bytes of an alphabet.
    fn text(&mut self, len: usize) -> Vec<u8> {
        let alphabet = 1 << (1 + self.below(8));
        let copies = self.below(4);
        let mut text = Vec::with_capacity(len + 300);
        while text.len() < len {
            if text.is_empty() || self.below(4) >= copies {
                text.push(self.below(alphabet) as u8);
                continue;
            }
            let reach = text.len().min(40_000);
            let reach = [reach, reach.min(8), reach.min(300)][self.below(3)];
            let from = text.len() - 1 - self.below(reach);
            let longest = [9, 30, 300][self.below(3)];
            for at in from..from + 1 + self.below(longest) {
                text.push(text[at]);
            }
        }
        text.truncate(len);
        text
    }

    fn noise(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

#[test]
fn every_length_up_to_some() {
    let mut random = Random(1);
    let mut deflate = Deflate::default();
    let text = random.text(600);
    for len in 0..600 {
        compressed(&mut deflate, &text[..len]);
        compressed(&mut deflate, &vec![7; len]);
    }
    assert_eq!(compressed(&mut deflate, b"").unwrap().len(), 2);
    // Three bits, two literals, seven bits: all but the end of the last byte.
    assert_eq!(compressed(&mut deflate, b"a").unwrap().len(), 3);
}

#[test]
fn many_seeds_with_one_compressor() {
    let mut deflate = Deflate::default();
    for seed in 1..400 {
        let mut random = Random(seed);
        let len = 1 << random.below(16);
        let len = len + random.below(len);
        let text = random.text(len);
        let again = compressed(&mut deflate, &text);
        // What came before makes no difference.
        assert_eq!(again, compressed(&mut Deflate::default(), &text), "{seed}");
    }
}

#[test]
fn several_blocks() {
    let mut random = Random(5);
    // Each block of another kind: text, noise that is stored, one byte, and what has the fixed codes.
    let mut input = random.text(150_000);
    input.extend(random.noise(150_000));
    input.extend(vec![9; 300_000]);
    input.extend(random.text(100_000));
    let size = size(&input);
    assert!(size < 150_000 + 150_000 + 100_000, "{size}");
}

#[test]
fn noise_is_never_longer_than_stored() {
    let mut random = Random(3);
    for len in [1, 2, 10, 100, 5000, 65_535, 65_536, 200_000] {
        assert!(size(&random.noise(len)) <= stored_len(len), "{len}");
    }
}

#[test]
fn a_small_output_is_refused() {
    let text = Random(4).text(50_000);
    let whole = compressed(&mut Deflate::default(), &text).unwrap();
    for room in [0, 1, 7, 8, whole.len() - 8, whole.len() - 1] {
        assert_eq!(Deflate::default().deflate(&text, &mut vec![0; room]), None);
    }
    let mut exact = vec![0; whole.len()];
    assert_eq!(
        Deflate::default().deflate(&text, &mut exact),
        Some(whole.len())
    );
    assert_eq!(exact, whole);
}

#[test]
fn the_longest_copies() {
    // A literal and copies from 1 before, of two bits each.
    let size = size(&[b'x'; 1 + 258 * 1000 + 8]);
    assert!(size < 280, "{size}");
    for len in 250..530 {
        let mut input = Random(6).noise(len);
        input.extend(input.clone());
        input.extend(b"not the same");
        let size = self::size(&input);
        assert!(size < len + 60, "{len}: {size}");
    }
}

#[test]
fn the_edges_of_the_window() {
    let noise = Random(7).noise(70_000);
    for (distance, found) in [
        (1000, true),
        (32_767, true),
        (32_768, true),
        (32_769, false),
        (65_535, false),
        (65_536, false),
        (65_537, false),
    ] {
        let mut input = noise[..distance].to_vec();
        input.extend_from_within(..200);
        let size = size(&input);
        assert_eq!(
            size < stored_len(distance) + 100,
            found,
            "{distance}: {size}"
        );
    }
}

#[test]
fn codes_that_have_to_be_limited() {
    // Frequencies as Fibonacci's numbers make the deepest tree.
    let mut input = Vec::new();
    let (mut a, mut b) = (1, 1);
    for byte in 0..20_u8 {
        input.extend(std::iter::repeat_n(byte, a));
        (a, b) = (b, a + b);
    }
    let mut random = Random(8);
    for at in (1..input.len()).rev() {
        input.swap(at, random.below(at + 1));
    }
    size(&input);
    let frequencies =
        std::array::from_fn::<u32, 30, _>(|i| (0..i).fold((1, 1), |(a, b), _| (b, a + b)).0);
    for limit in [5, 7, 15] {
        let lengths = super::huffman::lengths(&frequencies, limit);
        let taken = lengths
            .iter()
            .map(|&length| 1 << (limit - length))
            .sum::<u32>();
        assert_eq!(taken, 1 << limit);
        assert!(lengths.is_sorted_by(|a, b| a >= b));
    }
}

#[test]
fn gunzip_reads_it() {
    let mut file = Vec::new();
    let mut expected = Vec::new();
    let mut deflate = Deflate::default();
    for seed in 1..40 {
        let text = Random(seed).text(1 + seed as usize * 997);
        let Some(body) = compressed(&mut deflate, &text) else {
            continue;
        };
        file.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
        file.extend(body);
        file.extend(crc32fast::hash(&text).to_le_bytes());
        file.extend((text.len() as u32).to_le_bytes());
        expected.extend(text);
    }
    let gzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    // Without gzip there is nothing to test.
    let Ok(mut gzip) = gzip else { return };
    let mut stdin = gzip.stdin.take().unwrap();
    let feeding = thread::spawn(move || stdin.write_all(&file));
    let output = gzip.wait_with_output().unwrap();
    feeding.join().unwrap().unwrap();
    assert!(output.status.success() && output.stdout == expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes(input in prop::collection::vec(any::<u8>(), 0..3000)) {
        compressed(&mut Deflate::default(), &input);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec((prop::collection::vec(0..4_u8, 1..20), 1..200_usize), 0..30)) {
        let input = pieces.iter().flat_map(|(piece, times)| piece.repeat(*times)).collect::<Vec<_>>();
        compressed(&mut Deflate::default(), &input);
    }
}
