//! How a log ends, and how readers learn of it; what a reader is besides `next`.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::pin::pin;
use std::task::{Context, Waker};

use futures_util::{FutureExt, StreamExt};
use livelog::{AppendError, Backing, Bytes, Config, Outcome, ReadError};
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn a_dropped_writer_is_not_a_finished_one() {
    let (mut writer, log) = livelog::log(Config::default());
    let mut waiting = log.reader_at(4);
    assert!(waiting.next().now_or_never().is_none());
    writer.append_slice(b"half").unwrap();
    assert_eq!(log.outcome(), None);
    assert!(!log.is_finished());
    drop(writer);
    assert_eq!(log.outcome(), Some(Outcome::Aborted));
    assert!(log.is_finished());
    assert!(matches!(waiting.next().await, Err(ReadError::Aborted)));

    let mut late = log.reader();
    assert_eq!(late.next().await.unwrap().unwrap().data, "half");
    for _ in 0..2 {
        assert!(matches!(late.next().await, Err(ReadError::Aborted)));
    }
    let mut text = Vec::new();
    let error = log.reader().read_to_end(&mut text).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(text, b"half");
}

#[tokio::test]
async fn the_end_can_be_awaited() {
    let (mut writer, log) = livelog::log(Config::default());
    let ended = tokio::spawn({
        let log = log.clone();
        async move { log.ended().await }
    });
    writer.append_slice(b"x").unwrap();
    tokio::task::yield_now().await;
    assert!(!ended.is_finished());
    writer.finish();
    assert_eq!(ended.await.unwrap(), Outcome::Finished);
    assert_eq!(log.ended().await, Outcome::Finished);
}

#[tokio::test]
async fn a_file_that_cannot_be_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let read_only = File::open(file.path()).unwrap();
    let (mut writer, log) = livelog::log(Config::file(read_only));
    let mut waiting = log.reader();
    assert!(waiting.next().now_or_never().is_none());
    let error = writer.append_slice(b"x").unwrap_err();
    assert!(matches!(error, AppendError::File(_)));
    assert!(error.source().is_some());
    assert!(matches!(
        writer.append_slice(b"x"),
        Err(AppendError::Sealed)
    ));
    assert!(matches!(waiting.next().await, Err(ReadError::Failed(_))));
    assert_eq!(log.len(), 0);
    // Finishing does not make it whole.
    writer.finish();
    assert!(matches!(log.outcome(), Some(Outcome::Failed(_))));
}

#[tokio::test]
async fn a_file_that_somebody_shortened() {
    let file = tempfile::tempfile().unwrap();
    let handle = file.try_clone().unwrap();
    let (mut writer, log) = livelog::log(Config {
        backing: Backing::File(file, 4),
        ..Config::default()
    });
    writer.append_slice(b"0123456789").unwrap();
    handle.set_len(3).unwrap();
    let mut reader = log.reader();
    assert!(matches!(reader.next().await, Err(ReadError::File(_))));
    assert_eq!(reader.offset(), 0);
    // Others, and what is in memory, are not concerned.
    assert_eq!(log.reader_at(6).next().await.unwrap().unwrap().data, "6789");
    assert_eq!(
        log.reader().until(3).next().await.unwrap().unwrap().data,
        "012"
    );
}

#[tokio::test]
async fn bytes_are_in_the_file_before_they_are_seen() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (mut writer, log) = livelog::log(Config::file(file.reopen().unwrap()));
    let mut reader = log.reader();
    for i in 1..=20_u8 {
        writer.append(Bytes::from(vec![i; 1000])).unwrap();
        let chunk = reader.next().await.unwrap().unwrap();
        let on_disk = fs::read(file.path()).unwrap();
        let begin = chunk.offset as usize;
        assert_eq!(chunk.data, on_disk[begin..begin + chunk.data.len()]);
        assert_eq!(log.len(), on_disk.len() as u64);
    }
    writer.sync().await.unwrap();
    writer.sync_blocking().unwrap();
}

#[tokio::test]
async fn offsets_beyond_the_end_wait() {
    let (mut writer, log) = livelog::log(Config::default());
    let mut reader = log.reader_at(5);
    writer.append_slice(b"0123").unwrap();
    assert!(reader.next().now_or_never().is_none());
    writer.append_slice(b"4567").unwrap();
    let chunk = reader.next().await.unwrap().unwrap();
    assert_eq!((chunk.offset, &chunk.data[..]), (5, &b"567"[..]));
    assert_eq!(reader.offset(), 8);
    let mut far = log.reader_at(100);
    writer.finish();
    assert!(far.next().await.unwrap().is_none());
}

#[tokio::test]
async fn until_stops_early() {
    let (mut writer, log) = livelog::log(Config::default());
    writer.append_slice(b"0123456789").unwrap();
    let mut reader = log.reader_at(2).until(5);
    assert_eq!(reader.next().await.unwrap().unwrap().data, "234");
    assert!(reader.next().await.unwrap().is_none());
    assert!(log.reader_at(7).until(3).next().await.unwrap().is_none());
    assert!(log.reader().until(0).next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_stream_ends_after_an_error() {
    let (mut writer, log) = livelog::log(Config::default());
    writer.append_slice(b"x").unwrap();
    drop(writer);
    let mut reader = log.reader();
    assert!(reader.next().await.unwrap().is_some());
    let items = log.reader().collect::<Vec<_>>().await;
    assert!(matches!(&items[..], [Ok(_), Err(ReadError::Aborted)]));
}

#[tokio::test]
async fn small_reads_and_whole_chunks_can_be_mixed() {
    let (mut writer, log) = livelog::log(Config::default());
    writer.append_slice(b"0123456789").unwrap();
    writer.finish();
    let mut reader = log.reader();
    let mut three = [0; 3];
    reader.read_exact(&mut three).await.unwrap();
    assert_eq!(&three, b"012");
    assert_eq!(reader.offset(), 3);
    assert_eq!(reader.read(&mut []).await.unwrap(), 0);
    let mut rest = reader.until(8);
    let chunk = rest.next().await.unwrap().unwrap();
    assert_eq!((chunk.offset, &chunk.data[..]), (3, &b"34567"[..]));
    assert!(rest.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_reader_with_much_to_read_lets_others_run() {
    let (mut writer, log) = livelog::log(Config::default());
    for _ in 0..1000 {
        writer.append(Bytes::from(vec![0; 16 << 10])).unwrap();
    }
    let mut reader = log.reader();
    let mut reading = pin!(async { while let Some(_chunk) = reader.next().await.unwrap() {} });
    // Never finished, so this ends only because the reader gives way.
    tokio::select! {
        biased;
        () = &mut reading => {}
        () = tokio::task::yield_now() => {}
    }
    drop(writer);
}

/// As under an executor that is not tokio's.
#[test]
fn no_runtime_is_needed() {
    let (mut writer, log) = livelog::log(Config {
        backing: Backing::File(tempfile::tempfile().unwrap(), 10),
        ..Config::default()
    });
    writer.append_slice(&[7; 1000]).unwrap();
    writer.sync().now_or_never().unwrap().unwrap();
    let mut reader = log.reader();
    let mut read = 0;
    while read < 1000 {
        let mut next = pin!(reader.next());
        let mut cx = Context::from_waker(Waker::noop());
        let chunk = loop {
            match next.as_mut().poll(&mut cx) {
                std::task::Poll::Ready(chunk) => break chunk,
                std::task::Poll::Pending => std::thread::yield_now(),
            }
        };
        read += chunk.unwrap().unwrap().data.len();
    }
}
