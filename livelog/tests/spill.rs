//! The anonymous file of a log that outgrows its memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use livelog::{AppendError, Backing, Bytes, Config, Limit, Log, Outcome, ReadError, Reader};

fn spill(memory: usize, dir: Option<PathBuf>) -> Config {
    Config {
        backing: Backing::Spill { memory, dir },
        ..Config::default()
    }
}

async fn rest(mut reader: Reader) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = reader.next().await.unwrap() {
        all.extend_from_slice(&chunk.data);
    }
    all
}

async fn now(log: &Log) -> Vec<u8> {
    rest(log.reader().until(log.len())).await
}

/// Files of this process that were deleted, in this folder.
#[cfg(target_os = "linux")]
fn deleted_files_in(dir: &std::path::Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|path| path.starts_with(dir) && path.to_string_lossy().ends_with(" (deleted)"))
        .count()
}

#[tokio::test]
async fn every_byte_before_and_after_the_spill() {
    for memory in [0, 1, 10, 1000, 30_000, 300_000] {
        let (mut writer, log) = livelog::log(spill(memory, None));
        let mut early = log.reader();
        let mut expected = Vec::new();
        let mut seen = Vec::new();
        for i in 0..60_u8 {
            let data = vec![i; if i % 7 == 0 { 20_000 } else { usize::from(i) }];
            expected.extend_from_slice(&data);
            writer.append(Bytes::from(data)).unwrap();
            assert_eq!(log.in_memory(), memory.min(expected.len()));
            if i % 5 == 0 {
                assert!(now(&log).await == expected);
            }
            if i % 3 == 0 && (seen.len() as u64) < log.len() {
                seen.extend_from_slice(&early.next().await.unwrap().unwrap().data);
            }
        }
        writer.sync().await.unwrap();
        writer.sync_blocking().unwrap();
        writer.finish();
        seen.extend(rest(early).await);
        assert!(seen == expected);
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_file_is_made_late_has_no_name_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    // Links in /proc show the folder's real name.
    let path = dir.path().canonicalize().unwrap();
    let (mut writer, log) = livelog::log(spill(1000, Some(path.clone())));
    writer.append_slice(&[1; 1000]).unwrap();
    assert_eq!(deleted_files_in(&path), 0);
    writer.append_slice(b"x").unwrap();
    assert_eq!(deleted_files_in(&path), 1);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    writer.finish();
    drop(log);
    assert_eq!(deleted_files_in(&path), 0);
}

#[tokio::test]
async fn no_room_to_spill_to() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, log) = livelog::log(spill(4, Some(dir.path().join("missing"))));
    writer.append_slice(b"good").unwrap();
    let error = writer.append_slice(b"more").unwrap_err();
    assert!(matches!(error, AppendError::File(_)));
    assert!(error.source().is_some());
    assert!(matches!(log.outcome(), Some(Outcome::Failed(_))));
    let mut reader = log.reader();
    assert_eq!(reader.next().await.unwrap().unwrap().data, "good");
    assert!(matches!(reader.next().await, Err(ReadError::Failed(_))));
}

#[tokio::test]
async fn head_and_tail_spill_only_what_they_keep() {
    // Fits; tail fits; nothing fits.
    for memory in [30, 20, 5, 0] {
        let limit = Limit::HeadAndTail {
            head: 10,
            tail: 20,
            marker: Bytes::from_static(b"..."),
        };
        let (mut writer, log) = livelog::log(Config {
            limit,
            ..spill(memory, None)
        });
        for i in 0..10 {
            writer
                .append_slice(format!("line {i}\n").as_bytes())
                .unwrap();
            assert!(log.in_memory() <= memory);
        }
        writer.finish();
        assert_eq!(
            rest(log.reader()).await,
            b"line 0\nlin...ine 7\nline 8\nline 9\n"
        );
    }
}
