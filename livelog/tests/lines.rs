//! Lines by number and by offset.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

use std::time::{Duration, Instant};

use livelog::{Backing, Bytes, Config, Limit, Log};

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
