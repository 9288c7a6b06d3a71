//! Head and tail, compared with a plain vector of everything that was appended.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

use std::time::Duration;

use futures_util::FutureExt;
use livelog::{Backing, Bytes, Chunk, Config, Limit, Log, Reader};
use proptest::prelude::*;
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

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Join(u64),
    Poll(usize),
    Breathe,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![3 => 0_usize..300, 1 => 0_usize..40_000].prop_map(Step::Append),
        1 => (0_u64..1100).prop_map(Step::Join),
        5 => any::<usize>().prop_map(Step::Poll),
        1 => Just(Step::Breathe),
    ]
}

async fn play(head: u64, tail: u64, memory: Option<usize>, steps: Vec<Step>) {
    let (mut writer, log) = livelog::log(head_and_tail(head, tail, backing(memory)));
    let mut readers = Vec::<(Reader, u64)>::new();
    let mut len = 0;
    let gap = |len: u64| {
        let gap = head..len.saturating_sub(tail);
        (!gap.is_empty()).then_some(gap)
    };
    for step in steps {
        match step {
            Step::Append(n) => {
                writer.append(Bytes::from(bytes(len, n))).unwrap();
                len += n as u64;
            }
            Step::Join(permille) => {
                let next = len * permille / 1000;
                readers.push((log.reader_at(next), next));
            }
            Step::Poll(i) if !readers.is_empty() => {
                let i = i % readers.len();
                let (reader, next) = &mut readers[i];
                if let Some(chunk) = reader.next().now_or_never() {
                    let chunk = chunk.unwrap().unwrap();
                    if chunk.missing > 0 {
                        let gap = gap(len).unwrap();
                        assert!(gap.contains(next));
                        assert_eq!(chunk.end(), gap.end);
                    }
                    *next = check(&chunk, *next);
                    assert_eq!(reader.offset(), *next);
                }
            }
            Step::Breathe => tokio::time::sleep(Duration::from_micros(200)).await,
            Step::Poll(_) => {}
        }
        assert_eq!((log.len(), log.gap()), (len, gap(len)));
        let most = memory.map_or(head + tail, |memory| tail.min(memory as u64));
        assert!(log.in_memory() as u64 <= most);
    }
    writer.finish();
    readers.push((log.reader(), 0));
    for (mut reader, mut next) in readers {
        let mut gaps = 0;
        while let Some(chunk) = reader.next().await.unwrap() {
            gaps += u32::from(chunk.missing > 0);
            next = check(&chunk, next);
        }
        assert!(gaps <= 1, "nothing is lost any more");
        assert!(next >= len);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn head_and_tail_and_nothing_wrong_between(
        head in prop_oneof![Just(0), 1_u64..100, 1000_u64..50_000],
        tail in prop_oneof![Just(0), 1_u64..100, 1000_u64..50_000],
        memory in prop_oneof![Just(None), Just(Some(0)), (1_usize..60_000).prop_map(Some)],
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let played = tokio::time::timeout(Duration::from_secs(20), play(head, tail, memory, steps));
            played.await.expect("a reader waits for ever");
        });
    }
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
