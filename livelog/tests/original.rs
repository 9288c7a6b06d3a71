//! The scenarios that the Go original is tested with.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

use bytes::Bytes;
use futures_util::FutureExt;
use livelog::{Appended, Config, GO_MARKER, GO_MAX_BYTES, Limit, Log, Outcome, Reader, Writer};
use tokio::task::JoinHandle;

/// One read that must not wait.
fn ready(reader: &mut Reader) -> Option<Bytes> {
    let chunk = reader.next().now_or_never().expect("has to wait").unwrap();
    chunk.map(|chunk| chunk.data)
}

/// A read in a task of its own, begun.
async fn blocked(mut reader: Reader) -> JoinHandle<(Option<Bytes>, Reader)> {
    assert!(
        reader.next().now_or_never().is_none(),
        "does not have to wait"
    );
    let task = tokio::spawn(async move {
        let chunk = reader.next().await.unwrap();
        (chunk.map(|chunk| chunk.data), reader)
    });
    tokio::task::yield_now().await;
    assert!(!task.is_finished());
    task
}

#[tokio::test]
async fn one_writer_and_four_readers() {
    let (mut writer, log) = livelog::log(Config::default());
    let mut r1 = log.reader();
    let r2 = log.reader();

    writer.append_slice(b"a").unwrap();
    assert_eq!(ready(&mut r1).unwrap(), "a");
    let b1 = blocked(r1).await;
    writer.append_slice(b"b").unwrap();
    let (read, r1) = b1.await.unwrap();
    assert_eq!(read.unwrap(), "b");

    // The second reader has missed nothing.
    let mut r2 = r2;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend_from_slice(&ready(&mut r2).unwrap());
    }
    assert_eq!(seen, b"ab");

    let (b1, b2) = (blocked(r1).await, blocked(r2).await);
    writer.append_slice(b"c").unwrap();
    let (read, r1) = b1.await.unwrap();
    assert_eq!(read.unwrap(), "c");
    let (read, r2) = b2.await.unwrap();
    assert_eq!(read.unwrap(), "c");

    assert_eq!(all(&log, 3), "abc");

    // Closing a waiting reader is dropping it; the others do not notice.
    let b1 = blocked(r1).await;
    let b2 = blocked(r2).await;
    b1.abort();
    assert!(b1.await.unwrap_err().is_cancelled());
    assert!(!b2.is_finished());

    let mut idle = log.reader_at(3);
    writer.finish();
    assert_eq!(b2.await.unwrap().0, None);
    assert_eq!(ready(&mut idle), None);
    assert_eq!(ready(&mut idle), None);

    let mut late = log.reader();
    assert_eq!(ready(&mut late).unwrap(), "abc");
    assert_eq!(ready(&mut late), None);
}

/// What is in the log now.
fn all(log: &Log, len: u64) -> Bytes {
    assert_eq!(log.len(), len);
    let mut reader = log.reader().until(len);
    let mut bytes = Vec::new();
    while let Some(chunk) = ready(&mut reader) {
        bytes.extend_from_slice(&chunk);
    }
    bytes.into()
}

fn go_log() -> (Writer, Log) {
    livelog::log(Config {
        limit: Limit::GoMarker,
        ..Config::default()
    })
}

fn accepted(writer: &mut Writer, data: impl AsRef<[u8]>) -> usize {
    let len = data.as_ref().len();
    let Appended { accepted, dropped } = writer.append_slice(data.as_ref()).unwrap();
    assert_eq!(accepted + dropped, len);
    accepted
}

#[test]
fn the_originals_limit_at_its_boundaries() {
    const USER: usize = 2_097_129;
    assert_eq!(GO_MAX_BYTES, 2_097_152);
    assert_eq!(USER + GO_MARKER.len(), 2_097_152);
    assert_eq!(GO_MARKER, b"\n\n... log truncated ...");
    let filler = vec![b'x'; 4 << 20];
    let truncated = [&filler[..USER], GO_MARKER].concat();

    let (mut writer, log) = go_log();
    assert_eq!(accepted(&mut writer, &filler[..USER]), USER);
    assert_eq!(all(&log, USER as u64), filler[..USER]);
    assert_eq!(accepted(&mut writer, ""), 0);
    assert_eq!(all(&log, USER as u64), filler[..USER]);
    assert_eq!(log.dropped(), 0);
    assert_eq!(accepted(&mut writer, "1"), 0);
    assert_eq!(all(&log, GO_MAX_BYTES), truncated);
    assert_eq!(log.dropped(), 1);
    for later in ["", "2", "many bytes"] {
        assert_eq!(accepted(&mut writer, later), 0);
        assert_eq!(all(&log, GO_MAX_BYTES), truncated);
    }
    assert_eq!(log.dropped(), 12);

    let (mut writer, log) = go_log();
    accepted(&mut writer, &filler[..USER - 1]);
    assert_eq!(accepted(&mut writer, "1"), 1);
    assert_eq!(accepted(&mut writer, "2"), 0);
    let expected = [&filler[..USER - 1], b"1", GO_MARKER].concat();
    assert_eq!(all(&log, GO_MAX_BYTES), expected);

    let (mut writer, log) = go_log();
    accepted(&mut writer, &filler[..USER - 2]);
    assert_eq!(accepted(&mut writer, "123"), 2);
    let expected = [&filler[..USER - 2], b"12", GO_MARKER].concat();
    assert_eq!(all(&log, GO_MAX_BYTES), expected);

    let (mut writer, log) = go_log();
    assert_eq!(accepted(&mut writer, &filler), USER);
    assert_eq!(all(&log, GO_MAX_BYTES), truncated);
    assert_eq!(accepted(&mut writer, &filler), 0);
    assert_eq!(all(&log, GO_MAX_BYTES), truncated);
    writer.finish();
    assert_eq!(log.outcome(), Some(Outcome::Finished));

    // The same as one large shared append.
    let (mut writer, log) = go_log();
    let appended = writer.append(Bytes::from(filler.clone())).unwrap();
    assert_eq!(appended.accepted, USER);
    assert_eq!(all(&log, GO_MAX_BYTES), truncated);
}

#[test]
fn a_limit_of_ones_own() {
    let limited = |max, marker: &'static str| {
        let (mut writer, log) = livelog::log(Config {
            limit: Limit::HeadOnly {
                max,
                marker: marker.into(),
            },
            ..Config::default()
        });
        for piece in ["01234", "", "56", "789"] {
            accepted(&mut writer, piece);
        }
        let len = log.len();
        String::from_utf8(all(&log, len).into()).unwrap()
    };
    assert_eq!(limited(20, "<cut>"), "0123456789");
    assert_eq!(limited(15, "<cut>"), "0123456789");
    assert_eq!(limited(14, "<cut>"), "012345678<cut>");
    assert_eq!(limited(10, "<cut>"), "01234<cut>");
    assert_eq!(limited(5, "<cut>"), "<cut>");
    assert_eq!(limited(3, "<cut>"), "<cu");
    assert_eq!(limited(0, "<cut>"), "");
    assert_eq!(limited(10, ""), "0123456789");
    assert_eq!(limited(9, ""), "012345678", "the original before 2021");
}
