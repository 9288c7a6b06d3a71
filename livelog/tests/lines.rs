//! Lines by number and by offset, compared with splitting the whole log.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

use std::time::{Duration, Instant};

use livelog::{Backing, Bytes, Config, Limit, Log, ReadError};
use proptest::prelude::*;

/// Offsets behind line ends.
fn ends(text: &[u8]) -> Vec<u64> {
    let ends = text.iter().zip(1..).filter(|(byte, _)| **byte == b'\n');
    ends.map(|(_, behind)| behind).collect()
}

async fn text(log: &Log, from: u64, to: u64) -> Vec<u8> {
    let mut text = Vec::new();
    let mut reader = log.reader_at(from).until(to);
    while let Some(chunk) = reader.next().await.unwrap() {
        text.extend_from_slice(&chunk.data);
    }
    text
}

#[tokio::test]
async fn a_few_lines() {
    let (mut writer, log) = livelog::log(Config::default());
    assert_eq!((log.lines(), log.tail_lines(3).await.unwrap()), (0, 0));
    writer.append_slice(b"zero\none\r").unwrap();
    assert_eq!(log.lines(), 2);
    assert_eq!(log.offset_of_line(2).await.unwrap(), None);
    writer.append_slice(b"\n\x1b[1mtwo").unwrap();
    assert_eq!(log.lines(), 3);
    for (line, offset) in [(0, Some(0)), (1, Some(5)), (2, Some(10)), (3, None)] {
        assert_eq!(log.offset_of_line(line).await.unwrap(), offset);
    }
    for (offset, line) in [(0, 0), (4, 0), (5, 1), (9, 1), (10, 2), (17, 2), (99, 2)] {
        assert_eq!(log.line_of_offset(offset).await.unwrap(), line);
    }
    for (lines, offset) in [(0, 17), (1, 10), (2, 5), (3, 0), (4, 0), (u64::MAX, 0)] {
        assert_eq!(log.tail_lines(lines).await.unwrap(), offset);
    }
    writer.append_slice(b"\n").unwrap();
    assert_eq!(log.lines(), 3);
    assert_eq!(log.offset_of_line(3).await.unwrap(), Some(18));
    assert_eq!(log.tail_lines(1).await.unwrap(), 10);
    assert_eq!(text(&log, 5, 10).await, b"one\r\n");
}

#[tokio::test]
async fn the_marker_of_a_cut_has_lines_too() {
    let limit = Limit::HeadOnly {
        max: 10,
        marker: Bytes::from_static(b"\ncut\n"),
    };
    let (mut writer, log) = livelog::log(Config {
        limit,
        backing: Backing::Memory,
    });
    writer.append_slice(b"a\nbcdefghijk\n\n\n").unwrap();
    assert_eq!(text(&log, 0, 10).await, b"a\nbcd\ncut\n");
    assert_eq!(log.lines(), 3);
    assert_eq!(log.offset_of_line(2).await.unwrap(), Some(6));
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let line = prop_oneof![6 => 0_usize..60, 2 => 60_usize..300, 1 => 3000_usize..12_000];
    let piece = prop::collection::vec((line, any::<bool>()), 0..8).prop_map(|lines| {
        let mut piece = Vec::new();
        for (len, ended) in lines {
            piece.extend(std::iter::repeat_n(b'x', len));
            piece.extend(ended.then_some(b'\n'));
        }
        piece
    });
    prop::collection::vec(piece, 0..30)
}

async fn play(config: Config, pieces: Vec<Vec<u8>>) {
    let (mut writer, log) = livelog::log(config);
    let mut all = Vec::new();
    for piece in pieces {
        writer.append_slice(&piece).unwrap();
        all.extend_from_slice(&piece);
        let ends = ends(&all);
        let unfinished = all.last().is_some_and(|last| *last != b'\n');
        assert_eq!(log.lines(), ends.len() as u64 + u64::from(unfinished));
    }
    let ends = ends(&all);
    let len = all.len() as u64;
    // What is known exactly although its bytes are lost: every entry of the index, and the last line.
    let lost = |offset: u64| log.gap().is_some_and(|gap| gap.contains(&offset));
    for (line, offset) in std::iter::once(0).chain(ends.iter().copied()).enumerate() {
        match log.offset_of_line(line as u64).await {
            Ok(found) => assert_eq!(found, Some(offset)),
            // The end of the line before is what is looked for.
            Err(ReadError::Lost { from, to }) => {
                assert_eq!(Some(from..to), log.gap());
                assert!(lost(offset - 1));
            }
            Err(error) => panic!("{error}"),
        }
    }
    let beyond = log.offset_of_line(ends.len() as u64 + 1).await.unwrap();
    assert_eq!(beyond, None);
    for offset in (0..=len).step_by(1 + all.len() / 300) {
        let line = ends.partition_point(|end| *end <= offset) as u64;
        match log.line_of_offset(offset).await {
            Ok(found) => assert_eq!(found, line),
            Err(ReadError::Lost { .. }) => assert!(lost(offset)),
            Err(error) => panic!("{error}"),
        }
    }
    for n in [1, 2, 5, 1000] {
        let first = log.lines().saturating_sub(n);
        let found = log.tail_lines(n).await.unwrap();
        match log.offset_of_line(first).await {
            Ok(offset) => assert_eq!(Some(found), offset),
            Err(_) => assert_eq!(found, log.gap().unwrap().end),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn as_splitting_does(
        pieces in pieces(),
        memory in prop_oneof![Just(0), 1_usize..30_000, Just(1 << 20)],
        ring in prop::option::of((0_u64..10_000, 0_u64..20_000)),
    ) {
        let limit = match ring {
            None => Limit::Unlimited,
            Some((head, tail)) => Limit::HeadAndTail { head, tail, marker: Bytes::new() },
        };
        let backing = Backing::Spill { memory, dir: None };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let played = tokio::time::timeout(Duration::from_secs(20), play(Config { limit, backing }, pieces));
            played.await.expect("an answer never comes");
        });
    }
}

/// Questions while the log grows never wait for more than what is being appended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_while_it_grows() {
    let (mut writer, log) = livelog::log(Config::default());
    let writing = tokio::spawn(async move {
        for i in 0..50_000 {
            writer.append(Bytes::from(format!("line {i}\n"))).unwrap();
            if i % 16 == 0 {
                tokio::task::yield_now().await;
            }
        }
        writer.finish();
    });
    let asking = async {
        while !log.is_finished() {
            let lines = log.lines();
            if let Some(line) = lines.checked_sub(1) {
                let offset = log.offset_of_line(line).await.unwrap().unwrap();
                assert_eq!(log.line_of_offset(offset).await.unwrap(), line);
                let next = log.reader_at(offset).next().await.unwrap().unwrap();
                let expected = format!("line {line}\n");
                let seen = expected.len().min(next.data.len());
                assert_eq!(next.data[..seen], expected.as_bytes()[..seen]);
            }
            tokio::task::yield_now().await;
        }
    };
    let limit = Instant::now() + Duration::from_secs(20);
    tokio::time::timeout_at(limit.into(), asking).await.unwrap();
    writing.await.unwrap();
}
