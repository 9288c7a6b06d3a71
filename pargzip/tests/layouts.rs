//! Every layout, for everybody's decoder.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

mod common;

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use bytes::Bytes;
use common::{decode, gunzip, members, mixed, noise};
use flate2::read::GzDecoder;
use pargzip::{Builder, Layout};
use proptest::prelude::*;

const LAYOUTS: [Layout; 4] = [Layout::Sized, Layout::Members, Layout::Bgzf, Layout::Single];

fn compress(builder: &Builder, input: &[u8]) -> Vec<u8> {
    let mut writer = builder.build(Vec::new());
    writer.write_all(input).unwrap();
    writer.finish().unwrap()
}

#[test]
fn gunzip_reads_every_layout_at_every_level() {
    let input = mixed(400_000);
    for layout in LAYOUTS {
        for level in [0, 1, 5, 9, 12] {
            for threads in [1, 3] {
                let builder = Builder::new()
                    .layout(layout)
                    .level(level)
                    .threads(threads)
                    .chunk_size(100_000);
                let compressed = compress(&builder, &input);
                assert!(decode(&compressed) == input, "{layout:?} {level} {threads}");
                if let Some(decoded) = gunzip(&compressed) {
                    assert!(decoded == input, "gzip -d: {layout:?} {level} {threads}");
                }
            }
        }
    }
}

#[test]
fn a_sized_member_tells_its_length() {
    let builder = Builder::new().chunk_size(1000).level(1);
    let compressed = compress(&builder, &mixed(4500));
    let mut rest = &compressed[..];
    let mut count = 0;
    while !rest.is_empty() {
        // As `mgzip`, `pgzip` and `gzp` have it.
        assert_eq!(rest[..16], *b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x08\0IG\x04\0");
        let len = u32::from_le_bytes(rest[16..20].try_into().unwrap()) as usize;
        let (member, after) = rest.split_at(len);
        assert_eq!(members(member).len(), 1);
        rest = after;
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn bgzf_blocks() {
    let input = mixed(1_000_000);
    let compressed = compress(
        &Builder::new().layout(Layout::Bgzf).chunk_size(200_000),
        &input,
    );
    let members = members(&compressed);
    let (end, blocks) = members.split_last().unwrap();
    assert!(end.is_empty());
    assert!(
        blocks[..blocks.len() - 1]
            .iter()
            .all(|block| block.len() == 0xff00)
    );
    let mut rest = &compressed[..];
    while !rest.is_empty() {
        assert_eq!(rest[..16], *b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0");
        rest = &rest[usize::from(u16::from_le_bytes([rest[16], rest[17]])) + 1..];
    }
    // Blocks that cannot be compressed stay below 64 KiB as well.
    let noise = noise(300_000);
    assert!(decode(&compress(&Builder::new().layout(Layout::Bgzf), &noise)) == noise);
}

#[test]
fn a_single_member_is_all_that_a_first_member_reader_sees() {
    let input = mixed(500_000);
    for threads in [1, 2] {
        let builder = Builder::new()
            .layout(Layout::Single)
            .chunk_size(64_000)
            .threads(threads);
        let compressed = compress(&builder, &input);
        let mut decoded = Vec::new();
        GzDecoder::new(&compressed[..])
            .read_to_end(&mut decoded)
            .unwrap();
        assert!(decoded == input);
        // The dictionary is of use: repetitions across chunks cost next to nothing.
        let repeated = noise(20_000).repeat(20);
        let small = compress(&builder.clone().chunk_size(20_000), &repeated);
        assert!(small.len() < 30_000, "{}", small.len());
        assert!(decode(&small) == repeated);
    }
}

#[test]
fn nothing_is_a_file_in_every_layout() {
    for layout in LAYOUTS {
        let builder = Builder::new().layout(layout);
        let compressed = compress(&builder, b"");
        assert_eq!(members(&compressed), [b""], "{layout:?}");
        assert_eq!(compress(&builder.clone().empty_output(true), b""), b"");
    }
}

#[test]
fn what_was_flushed_can_be_read() {
    for layout in LAYOUTS {
        for threads in [1, 2] {
            let sink = common::Shared::default();
            let builder = Builder::new()
                .layout(layout)
                .threads(threads)
                .chunk_size(1000);
            let mut writer = builder.build(sink.clone());
            let mut expected = Vec::new();
            for part in mixed(5000).chunks(1234) {
                writer.write_all(part).unwrap();
                writer.flush().unwrap();
                expected.extend_from_slice(part);
                let mut decoded = vec![0; expected.len()];
                flate2::read::MultiGzDecoder::new(&sink.bytes()[..])
                    .read_exact(&mut decoded)
                    .unwrap();
                assert!(decoded == expected, "{layout:?} {threads}");
            }
            drop(writer.finish().unwrap());
            assert!(decode(&sink.bytes()) == expected);
        }
    }
}

#[test]
fn unfinished_is_cut_off_in_every_layout() {
    for layout in LAYOUTS {
        for threads in [1, 2] {
            for written in [10, 1000, 5000] {
                let sink = common::Shared::default();
                let builder = Builder::new()
                    .layout(layout)
                    .threads(threads)
                    .chunk_size(1000);
                let mut writer = builder.build(sink.clone());
                writer.write_all(&mixed(written)).unwrap();
                drop(writer);
                sink.wait_until_dropped();
                let mut decoded = Vec::new();
                let read =
                    flate2::read::MultiGzDecoder::new(&sink.bytes()[..]).read_to_end(&mut decoded);
                // flate2 takes no bytes for no members.
                assert!(
                    read.is_err() || sink.bytes().is_empty(),
                    "{layout:?} {threads} {written}"
                );
                if gunzip(b"").is_some() {
                    assert_eq!(gunzip(&sink.bytes()), None);
                }
            }
        }
    }
}

#[test]
fn reading_from_a_reader() {
    let input = mixed(350_000);
    for threads in [1, 2] {
        let mut writer = Builder::new()
            .threads(threads)
            .chunk_size(100_000)
            .build(Vec::new());
        writer.write_all(&input[..10]).unwrap();
        assert_eq!(writer.read_from(&mut &input[10..]).unwrap(), 349_990);
        assert_eq!(writer.read_from(&mut &input[..0]).unwrap(), 0);
        assert_eq!(writer.total_in(), 350_000);
        let compressed = writer.finish().unwrap();
        let sizes = members(&compressed)
            .iter()
            .map(Vec::len)
            .collect::<Vec<_>>();
        assert_eq!(sizes, [100_000, 100_000, 100_000, 50_000]);
        assert!(decode(&compressed) == input);
    }
}

/// A source that does something behind the first chunk.
struct Changing<F> {
    file: File,
    change: Option<F>,
}

impl<F: FnOnce(&File)> Read for Changing<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.file.stream_position()? >= 100_000
            && let Some(change) = self.change.take()
        {
            change(&self.file);
        }
        self.file.read(buffer)
    }
}

#[test]
fn a_file_that_shrinks_or_grows_is_compressed_as_it_is_found() {
    let input = mixed(350_000);
    for (len, found) in [(10, 100_000), (150_000, 150_000), (400_000, 400_000)] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&input).unwrap();
        file.rewind().unwrap();
        let mut source = Changing {
            file,
            change: Some(|file: &File| file.set_len(len).unwrap()),
        };
        let mut writer = Builder::new()
            .threads(2)
            .chunk_size(100_000)
            .build(Vec::new());
        assert_eq!(writer.read_from(&mut source).unwrap(), found);
        let decoded = decode(&writer.finish().unwrap());
        assert_eq!(decoded.len() as u64, found);
        let same = decoded.len().min(input.len());
        assert!(decoded[..same] == input[..same]);
        assert!(decoded[same..].iter().all(|&byte| byte == 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_writes_flushes_and_settings_round_trip(
        writes in prop::collection::vec((any::<u16>(), 0_usize..30_000, 0_u8..8), 0..16),
        chunk_size in 1_usize..70_000,
        threads in 1_usize..4,
        level in 0_u32..13,
        layout in prop::sample::select(&LAYOUTS[..]),
    ) {
        let builder = Builder::new()
            .chunk_size(chunk_size.max(64))
            .threads(threads)
            .level(level)
            .layout(layout);
        let source = mixed(100_000);
        let mut writer = builder.build(Vec::new());
        // However the same bytes come, the same file comes out.
        let mut other = builder.build(Vec::new());
        let mut input = Vec::new();
        for (begin, len, action) in writes {
            let data = &source[begin.into()..usize::from(begin) + len];
            writer.write_all(data).unwrap();
            match action {
                0..3 => other.write_bytes(Bytes::copy_from_slice(data)).unwrap(),
                3..6 => drop(other.read_from(&mut &*data).unwrap()),
                _ => other.write_all(data).unwrap(),
            }
            input.extend_from_slice(data);
            if action == 0 {
                writer.flush().unwrap();
                other.flush().unwrap();
            }
        }
        prop_assert_eq!(other.total_in(), input.len() as u64);
        let by_another_way = other.finish().unwrap();
        let compressed = writer.finish().unwrap();
        prop_assert!(decode(&compressed) == input);
        prop_assert!(by_another_way == compressed);
        if let Some(decoded) = gunzip(&compressed) {
            prop_assert!(decoded == input);
        }
    }
}
