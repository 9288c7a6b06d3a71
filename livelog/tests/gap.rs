//! Head and tail, and the gap between them.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

use std::time::Duration;

use livelog::{Backing, Bytes, Chunk, Config, Limit, Log};
use tokio::io::AsyncReadExt;
use tokio::task::{JoinSet, yield_now};

const MARKER: &[u8] = b"\n[...]\n";

fn byte(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

fn bytes(offset: u64, len: usize) -> Vec<u8> {
    (offset..offset + len as u64).map(byte).collect()
}

fn head_and_tail(head: u64, tail: u64, backing: Backing) -> Config {
    let marker = Bytes::from_static(MARKER);
    Config {
        limit: Limit::HeadAndTail { head, tail, marker },
        backing,
    }
}

fn backing(memory: Option<usize>) -> Backing {
    match memory {
        None => Backing::Memory,
        Some(memory) => Backing::File(tempfile::tempfile().unwrap(), memory),
    }
}

/// Chunks follow each other; what is not missing is right.
fn check(chunk: &Chunk, next: u64) -> u64 {
    assert_eq!(chunk.offset, next);
    if chunk.missing > 0 {
        assert_eq!(chunk.data, MARKER);
        return next + chunk.missing;
    }
    assert!(chunk.data == bytes(next, chunk.data.len()), "at {next}");
    assert!(!chunk.data.is_empty());
    next + chunk.data.len() as u64
}

#[tokio::test]
async fn a_gap_is_told_once() {
    for memory in [None, Some(0), Some(4), Some(100)] {
        let (mut writer, log) = livelog::log(head_and_tail(4, 8, backing(memory)));
        writer.append_slice(b"0123456789ab").unwrap();
        assert_eq!(log.gap(), None);
        writer.append_slice(b"cdef").unwrap();
        writer.append_slice(b"gh").unwrap();
        writer.finish();
        assert_eq!((log.len(), log.gap()), (18, Some(4..10)));

        let mut reader = log.reader();
        let mut seen = Vec::new();
        while let Some(chunk) = reader.next().await.unwrap() {
            assert_eq!(reader.offset(), chunk.end());
            if chunk.missing > 0 {
                assert_eq!((chunk.offset, chunk.missing), (4, 6));
            }
            seen.extend_from_slice(&chunk.data);
        }
        assert_eq!(seen, b"0123\n[...]\nabcdefgh");

        let mut read = Vec::new();
        log.reader().read_to_end(&mut read).await.unwrap();
        assert_eq!(read, seen);
        let mut one_by_one = Vec::new();
        let mut reader = log.reader();
        while let Ok(byte) = reader.read_u8().await {
            one_by_one.push(byte);
        }
        assert_eq!(one_by_one, seen);

        // In the middle of the gap, at its end, and stopping inside.
        let chunk = log.reader_at(7).next().await.unwrap().unwrap();
        assert_eq!((chunk.offset, chunk.missing), (7, 3));
        let chunk = log.reader_at(10).next().await.unwrap().unwrap();
        assert_eq!((chunk.offset, chunk.missing), (10, 0));
        let mut short = log.reader_at(5).until(8);
        assert_eq!(short.next().await.unwrap().unwrap().missing, 3);
        assert_eq!(short.next().await.unwrap(), None);
    }
}

#[tokio::test]
async fn the_file_holds_the_head_and_a_ring() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let backing = Backing::File(file.reopen().unwrap(), 0);
    let (mut writer, _log) = livelog::log(head_and_tail(4, 8, backing));
    writer.append_slice(b"0123456789abcdefgh").unwrap();
    assert_eq!(std::fs::read(file.path()).unwrap(), b"0123cdefghab");
}

/// Real threads: readers in the ring while it is overwritten get right bytes or a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_reads_what_has_been_overwritten() {
    const TOTAL: u64 = 8 << 20;
    let file = tempfile::tempfile().unwrap();
    let config = head_and_tail(10_000, 100_000, Backing::File(file, 2000));
    let (mut writer, log) = livelog::log(config);
    let mut readers = JoinSet::new();
    for _ in 0..8 {
        readers.spawn(follow(log.clone()));
    }
    let mut len = 0;
    while len < TOTAL {
        let n = (7000 + len % 9000).min(TOTAL - len) as usize;
        writer.append(bytes(len, n).into()).unwrap();
        len += n as u64;
        yield_now().await;
    }
    writer.finish();
    let all = tokio::time::timeout(Duration::from_secs(20), readers.join_all()).await;
    assert_eq!(all.unwrap(), [TOTAL; 8]);
}

async fn follow(log: Log) -> u64 {
    let mut reader = log.reader();
    let mut next = 0;
    while let Some(chunk) = reader.next().await.unwrap() {
        next = check(&chunk, next);
    }
    next
}
