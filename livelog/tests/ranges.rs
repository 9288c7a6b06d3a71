//! Ranges of bytes, and what is left when a call is cancelled; over all backings.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use livelog::{Backing, Bytes, Config, Limit, Log, Outcome, ReadError, Writer};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

fn bytes(from: u64, to: u64) -> Vec<u8> {
    (from..to).map(|offset| (offset % 251) as u8).collect()
}

fn backings() -> [Backing; 4] {
    let spill = |memory| Backing::Spill { memory, dir: None };
    [
        Backing::Memory,
        spill(1000),
        spill(1 << 20),
        Backing::File(tempfile::tempfile().unwrap(), 1000),
    ]
}

fn started(backing: Backing, len: u64) -> (Writer, Log) {
    let limit = Limit::Unlimited;
    let (mut writer, log) = livelog::log(Config { limit, backing });
    let mut offset = 0;
    while offset < len {
        let end = len.min(offset + 7777);
        writer.append_slice(&bytes(offset, end)).unwrap();
        offset = end;
    }
    (writer, log)
}

#[tokio::test]
async fn ranges_are_exact() {
    const LEN: u64 = 3 << 20;
    for backing in backings() {
        let (writer, log) = started(backing, LEN);
        for (from, to) in [
            (0, 0),
            (0, 10),
            (5, 200_000),
            (LEN - 10, LEN),
            (1_000_000, 1_500_000),
        ] {
            assert!(log.read_range(from..to).await.unwrap() == bytes(from, to));
        }
        let beyond = log.read_range(LEN - 3..LEN + 3).await.unwrap();
        assert_eq!(beyond, bytes(LEN - 3, LEN));
        assert_eq!(log.read_range(LEN + 1..LEN + 3).await.unwrap(), "");
        #[expect(clippy::reversed_empty_ranges, reason = "what callers may do")]
        let reversed = 10..3;
        assert_eq!(log.read_range(reversed).await.unwrap(), "");
        // The end of the log, in whichever way, is no trouble of a range.
        drop(writer);
        assert_eq!(log.read_range(LEN - 3..u64::MAX).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_range_in_a_gap_is_lost() {
    let (mut writer, log) = livelog::log(Config {
        limit: Limit::HeadAndTail {
            head: 4,
            tail: 8,
            marker: Bytes::from_static(b"..."),
        },
        backing: Backing::Memory,
    });
    writer.append_slice(b"0123456789abcdef").unwrap();
    assert_eq!(log.read_range(0..4).await.unwrap(), "0123");
    assert_eq!(log.read_range(8..99).await.unwrap(), "89abcdef");
    let lost = log.read_range(2..9).await;
    assert!(matches!(lost, Err(ReadError::Lost { from: 4, to: 8 })));
}

/// Every way to read is begun and dropped again and again, whether it waits for the file or for the writer.
#[tokio::test]
async fn cancelling_loses_nothing() {
    const LEN: u64 = 1_500_000;
    for backing in backings() {
        let (writer, log) = started(backing, LEN);
        let mut reader = log.reader();
        let mut seen = Vec::new();
        let mut buffer = [0; 5000];
        let mut turn = 0;
        while seen.len() < LEN as usize {
            turn += 1;
            // Less time than a read from the file may take, so that all kinds of calls are dropped in the middle.
            let at_most = Duration::from_micros(turn % 50);
            let got = match turn % 3 {
                0 => {
                    let next = timeout(at_most, reader.next()).await;
                    next.map(|chunk| chunk.unwrap().unwrap().data)
                }
                1 => {
                    let next = timeout(at_most, StreamExt::next(&mut reader)).await;
                    next.map(|chunk| chunk.unwrap().unwrap().data)
                }
                _ => {
                    let read = timeout(at_most, reader.read(&mut buffer)).await;
                    read.map(|n| Bytes::copy_from_slice(&buffer[..n.unwrap()]))
                }
            };
            seen.extend_from_slice(&got.unwrap_or_default());
            assert_eq!(reader.offset(), seen.len() as u64);
            let _ = log.read_range(0..LEN).now_or_never();
            let _ = log.tail_lines(3).now_or_never();
            let _ = log.ended().now_or_never();
            let _ = writer.sync().now_or_never();
        }
        assert!(seen == bytes(0, LEN));
        for _ in 0..10 {
            assert!(reader.next().now_or_never().is_none());
        }
        writer.finish();
        assert!(reader.next().await.unwrap().is_none());
        assert_eq!(log.ended().await, Outcome::Finished);
    }
}
