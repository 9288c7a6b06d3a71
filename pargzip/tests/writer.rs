//! What a user of the writer sees.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

mod common;

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{decode, gunzip, members, noise};
use flate2::read::MultiGzDecoder;
use pargzip::{Builder, Layout};
use proptest::prelude::*;

fn sizes(compressed: &[u8]) -> Vec<usize> {
    members(compressed).iter().map(Vec::len).collect()
}

fn write_sizes(builder: &Builder, writes: &[usize]) -> Vec<u8> {
    let mut writer = builder.build(Vec::new());
    for (i, &len) in writes.iter().enumerate() {
        writer.write_all(&vec![i as u8; len]).unwrap();
    }
    writer.finish().unwrap()
}

/// A sink whose writes, from number `fail_at` (counted from 0) on, fail.
#[derive(Clone)]
struct Failing {
    fail_at: usize,
    writes: Arc<AtomicUsize>,
}

impl Failing {
    fn at(fail_at: usize) -> Self {
        Self {
            fail_at,
            writes: Arc::default(),
        }
    }
}

impl Write for Failing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.writes.fetch_add(1, Ordering::SeqCst) >= self.fail_at {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the disk is full",
            ));
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink that waits for permission at each write.
#[derive(Clone, Default)]
struct Gated {
    permits: Arc<(Mutex<usize>, Condvar)>,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Gated {
    fn allow(&self, writes: usize) {
        *self.permits.0.lock().unwrap() += writes;
        self.permits.1.notify_all();
    }
}

impl Write for Gated {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut permits = self.permits.0.lock().unwrap();
        while *permits == 0 {
            permits = self.permits.1.wait(permits).unwrap();
        }
        *permits -= 1;
        self.taken.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_originals_test() {
    // Byte i, then 4 KiB of "a", until there are 20 MiB.
    let mut input = Vec::new();
    let mut i = 0_u8;
    while input.len() < 20 << 20 {
        input.push(i);
        input.extend_from_slice(&[b'a'; 4 << 10]);
        i = i.wrapping_add(1);
    }
    let builder = Builder::new().chunk_size(1 << 20).threads(4);
    let mut writer = builder.build(Vec::new());
    writer.write_all(&input).unwrap();
    let compressed = writer.finish().unwrap();
    assert!(compressed.len() < input.len() / 50);
    assert!(decode(&compressed) == input);
}

#[test]
fn the_originals_output_decodes_to_the_same_members() {
    // Written by the Go program: chunk size 4, input "hello".
    let original =
        b"\x1f\x8b\x08\0\0\0\0\0\0\xff\0\x04\0\xfb\xffhell\x03\0\xe3\0\x86\x1c\x04\0\0\0\
        \x1f\x8b\x08\0\0\0\0\0\0\xff\0\x01\0\xfe\xffo\x03\0\x44\x93\x0f\x0f\x01\0\0\0";
    let mut writer = Builder::new()
        .chunk_size(4)
        .layout(Layout::Members)
        .build(Vec::new());
    writer.write_all(b"hello").unwrap();
    let ours = writer.finish().unwrap();
    assert_eq!(members(original), [&b"hell"[..], b"o"]);
    assert_eq!(members(&ours), members(original));
    assert_eq!(ours[..10], original[..10]);
}

#[test]
fn members_are_full_however_the_input_comes() {
    let builder = Builder::new().chunk_size(4).threads(2);
    let table: [(&[usize], &[usize]); 10] = [
        (&[10], &[4, 4, 2]),
        (&[3, 3, 3, 3], &[4, 4, 4]),
        (&[1, 9], &[4, 4, 2]),
        (&[5, 1, 1], &[4, 3]),
        (&[2, 6], &[4, 4]),
        (&[4], &[4]),
        (&[5], &[4, 1]),
        (&[3], &[3]),
        (&[0, 4, 0], &[4]),
        (&[], &[0]),
    ];
    for (writes, expected) in table {
        assert_eq!(
            sizes(&write_sizes(&builder, writes)),
            expected,
            "{writes:?}"
        );
    }
    let default = write_sizes(&Builder::new(), &[2_500_000, 10]);
    assert_eq!(sizes(&default), [1 << 20, 1 << 20, 402_858]);
}

#[test]
fn no_input() {
    let valid = write_sizes(&Builder::new(), &[0, 0]);
    assert_eq!(decode(&valid), b"");
    assert_eq!(valid[..2], [0x1f, 0x8b]);
    let original = Builder::new().empty_output(true);
    assert_eq!(write_sizes(&original, &[]), b"");
    assert_eq!(write_sizes(&original, &[0]), b"");
    assert_eq!(decode(&write_sizes(&original, &[1])), [0]);
}

#[test]
fn every_level() {
    let mut input = noise(30_000);
    input.extend_from_slice(&[b'x'; 200_000]);
    for level in 0..=13 {
        let mut writer = Builder::new()
            .level(level)
            .chunk_size(50_000)
            .build(Vec::new());
        writer.write_all(&input).unwrap();
        assert!(decode(&writer.finish().unwrap()) == input, "level {level}");
    }
}

#[test]
fn settings_outside_their_range() {
    let builder = Builder::new()
        .chunk_size(0)
        .threads(usize::MAX)
        .level(u32::MAX);
    assert_eq!(sizes(&write_sizes(&builder, &[3])), [1, 1, 1]);
    assert_eq!(sizes(&write_sizes(&Builder::new().threads(0), &[3])), [3]);
}

#[test]
fn noise_hardly_grows() {
    for level in [1, 6, 9] {
        let input = noise(3 << 20);
        let mut writer = Builder::new().level(level).build(Vec::new());
        writer.write_all(&input).unwrap();
        let compressed = writer.finish().unwrap();
        let most = input.len() + input.len() / 10_000 + 3 * 23;
        assert!(
            compressed.len() <= most,
            "level {level}: {}",
            compressed.len()
        );
        assert!(decode(&compressed) == input);
    }
}

#[test]
fn a_failing_sink_is_told_at_a_write_and_at_finish() {
    for fail_at in [0, 1, 2, 7] {
        let sink = Failing::at(fail_at);
        let mut writer = Builder::new()
            .chunk_size(100)
            .threads(2)
            .build(sink.clone());
        let mut failed = None;
        // More chunks than can be under way: the failure must show.
        for _ in 0..fail_at + 20 {
            if let Err(error) = writer.write_all(&[1; 100]) {
                failed = Some(error);
                break;
            }
        }
        let failed = failed.expect("writing goes on without a sink");
        assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
        assert_eq!(failed.to_string(), "the disk is full");
        assert_eq!(
            writer.write(b"x").unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        assert_eq!(
            writer.flush().unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        let error = writer.finish().map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(error.to_string(), "the disk is full");
        assert_eq!(
            sink.writes.load(Ordering::SeqCst),
            fail_at + 1,
            "written to after its error"
        );
    }
}

#[test]
fn a_sink_that_fails_at_the_end_is_told_at_finish() {
    for chunks in [0, 1, 3] {
        let mut writer = Builder::new().chunk_size(100).build(Failing::at(chunks));
        writer.write_all(&vec![1; 100 * chunks + 50]).unwrap();
        let error = writer.finish().map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}

#[test]
fn a_sink_that_panics_is_an_error() {
    struct Panicking;
    impl Write for Panicking {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("by test")
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Builder::new().chunk_size(10).build(Panicking);
    let error = (0..100)
        .find_map(|_| writer.write_all(&[0; 10]).err())
        .unwrap();
    assert_eq!(error.to_string(), "the sink panicked");
    assert!(writer.finish().is_err());
}

#[test]
fn a_slow_sink_slows_the_writer() {
    let sink = Gated::default();
    let accepted = Arc::new(AtomicUsize::new(0));
    let (threads, chunks) = (2, 50);
    let writing = std::thread::spawn({
        let (sink, accepted) = (sink.clone(), accepted.clone());
        move || {
            let mut writer = Builder::new().chunk_size(10).threads(threads).build(sink);
            for i in 0..chunks {
                writer.write_all(&[i; 10]).unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
            }
            writer.finish().map(|_| ()).unwrap();
        }
    });
    let under_way = threads + 2;
    for emitted in 0..usize::from(chunks) {
        // It gets as far as it may, and `emitted + under_way` are all that it may.
        let expected = (emitted + under_way).min(chunks.into());
        while accepted.load(Ordering::SeqCst) < expected {
            std::thread::yield_now();
        }
        assert_eq!(accepted.load(Ordering::SeqCst), expected);
        sink.allow(1);
        while sink.taken.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
    }
    // The end of the last member.
    sink.allow(1);
    writing.join().unwrap();
    let compressed = sink.taken.lock().unwrap().clone();
    assert_eq!(sizes(&compressed), vec![10; chunks.into()]);
}

/// Who writes to the sink compresses, too.
#[test]
fn the_caller_is_one_of_the_threads() {
    #[derive(Default)]
    struct Threads(Vec<ThreadId>);
    impl Write for Threads {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0.push(std::thread::current().id());
            Ok(data.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for threads in 1..4 {
        let builder = Builder::new().chunk_size(1000).threads(threads);
        let mut writer = builder.build(Threads::default());
        writer.write_all(&noise(200_000)).unwrap();
        let mut seen = writer.finish().unwrap().0;
        assert!(seen.len() >= 200, "{}", seen.len());
        seen.push(std::thread::current().id());
        let seen = seen.into_iter().collect::<HashSet<_>>();
        assert!(seen.len() <= threads, "{}", seen.len());
    }
}

#[test]
fn shared_bytes_are_let_go_chunk_by_chunk() {
    /// Tells what is left of it.
    struct Owner(Vec<u8>, Arc<AtomicUsize>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::SeqCst);
        }
    }
    for threads in 1..4 {
        let (left, most) = (Arc::new(AtomicUsize::new(0)), 2 * threads.max(2));
        let builder = Builder::new().chunk_size(1000).threads(threads);
        let mut writer = builder.build(Vec::new());
        let input = noise(100_000);
        for piece in input.chunks(1000) {
            left.fetch_add(1, Ordering::SeqCst);
            let owner = Owner(piece.to_vec(), left.clone());
            writer.write_bytes(Bytes::from_owner(owner)).unwrap();
            assert!(left.load(Ordering::SeqCst) <= most);
        }
        assert!(decode(&writer.finish().unwrap()) == input);
        assert_eq!(left.load(Ordering::SeqCst), 0);

        // Nothing holds them after a failure, either.
        let mut writer = builder.build(Failing::at(3));
        let input = Bytes::from(input);
        let error = writer.write_bytes(input.clone()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        writer.write_bytes(input.clone()).unwrap_err();
        writer.finish().map(|_| ()).unwrap_err();
        // A thread may be in the middle of a chunk.
        let begun = Instant::now();
        while !input.is_unique() {
            assert!(begun.elapsed() < Duration::from_secs(10), "still held");
            std::thread::yield_now();
        }
    }
}

#[test]
fn an_owner_of_shared_bytes_that_panics_is_an_error() {
    struct Panicking(Vec<u8>);
    impl AsRef<[u8]> for Panicking {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Panicking {
        fn drop(&mut self) {
            assert_ne!(std::thread::current().name(), Some("pargzip"), "by test");
        }
    }
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut writer = Builder::new().chunk_size(1000).threads(2).build(Vec::new());
        // Until it is a worker that lets go of one, while others wait for their turn.
        let error = loop {
            let bytes = Bytes::from_owner(Panicking(vec![1; 1000]));
            if let Err(error) = writer.write_bytes(bytes) {
                break error;
            }
        };
        tell.send((error, writer.finish())).unwrap();
    });
    let (error, finished) = told
        .recv_timeout(Duration::from_secs(10))
        .expect("the writer waits for ever");
    assert_eq!(error.to_string(), "the owner of shared bytes panicked");
    assert_eq!(finished.unwrap_err().to_string(), error.to_string());
}

#[test]
fn a_failed_writer_reads_nothing() {
    let mut writer = Builder::new()
        .chunk_size(10)
        .threads(1)
        .build(Failing::at(0));
    writer.write_all(&[0; 100]).unwrap_err();
    for mut rest in [&b""[..], b"not lost"] {
        let len = rest.len();
        let error = writer.read_from(&mut rest).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(rest.len(), len);
    }
}

#[test]
fn dropping_an_unfinished_writer_ends_its_threads() {
    struct Tell(Arc<AtomicUsize>, Gated);
    impl Write for Tell {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.1.write(data)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    for chunks in 0..5 {
        let gone = Arc::new(AtomicUsize::new(0));
        let gate = Gated::default();
        let mut writer = Builder::new()
            .chunk_size(10)
            .threads(2)
            .build(Tell(gone.clone(), gate.clone()));
        writer.write_all(&vec![0; 10 * chunks + 3]).unwrap();
        drop(writer);
        // The emitter may be in the middle of a write.
        gate.allow(1);
        while gone.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let written = gate.taken.lock().unwrap().clone();
        let mut decoded = Vec::new();
        let read = MultiGzDecoder::new(&written[..]).read_to_end(&mut decoded);
        assert!(read.is_err());
        assert!(decoded.len() <= 10, "went on after the drop");
    }
}

#[test]
fn flush_makes_what_was_written_readable() {
    let sink = Gated::default();
    sink.allow(usize::MAX / 2);
    let mut writer = Builder::new().chunk_size(10).build(sink.clone());
    writer.flush().unwrap();
    assert!(sink.taken.lock().unwrap().is_empty());
    writer.write_all(b"0123456789abc").unwrap();
    writer.flush().unwrap();
    assert_eq!(sizes(&sink.taken.lock().unwrap()), [10, 3]);
    writer.flush().unwrap();
    writer.write_all(b"def").unwrap();
    writer.finish().map(|_| ()).unwrap();
    assert_eq!(decode(&sink.taken.lock().unwrap()), b"0123456789abcdef");
}

#[test]
fn gzip_itself_reads_it() {
    let mut input = noise(100_000);
    input.extend_from_slice(&[b'x'; 1_000_000]);
    let mut writer = Builder::new().chunk_size(64 << 10).build(Vec::new());
    writer.write_all(&input).unwrap();
    let compressed = writer.finish().unwrap();
    match gunzip(&compressed) {
        Some(decoded) => assert!(decoded == input),
        None => assert_eq!(gunzip(&[]), None, "gzip does not read it"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(
        writes in prop::collection::vec((any::<u8>(), 0_usize..3000, any::<bool>()), 0..40),
        chunk_size in 1_usize..5000,
        threads in 1_usize..5,
        level in 0_u32..10,
    ) {
        let builder = Builder::new().chunk_size(chunk_size).threads(threads).level(level);
        let mut writer = builder.build(Vec::new());
        let random = noise(3000);
        let mut input = Vec::new();
        for (byte, len, noisy) in writes {
            let data = if noisy { random[3000 - len..].to_vec() } else { vec![byte; len] };
            writer.write_all(&data).unwrap();
            input.extend_from_slice(&data);
        }
        let compressed = writer.finish().unwrap();
        let members = members(&compressed);
        prop_assert_eq!(members.concat(), input);
        let (last, full) = members.split_last().unwrap();
        prop_assert!(full.iter().all(|member| member.len() == chunk_size));
        prop_assert!(last.len() <= chunk_size);
    }
}
