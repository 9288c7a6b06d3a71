//! A log in files named by date: ours, the original's, and one that somebody else writes.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod log_common;

use std::{
    fs,
    io::Write,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use log_common::{Reader, contents, payload, payloads, records};
use maintner::{
    log::{DiskError, DiskLog, Segment, Sink, SourceError},
    reclog::Header,
};

const DAY: u64 = 86_400;
/// 2018-07-09.
const FIRST: u64 = 1_531_094_400;

/// What the original writes: a record at the end of a day's file.
fn append(dir: &Path, name: &str, payload: &[u8]) {
    let path = dir.join(name);
    let at = fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let mut record = Header::new(at, payload.len() as u64).to_vec();
    record.extend_from_slice(payload);
    append_bytes(dir, name, &record);
}

fn append_bytes(dir: &Path, name: &str, bytes: &[u8]) {
    let file = fs::File::options()
        .append(true)
        .create(true)
        .open(dir.join(name));
    file.unwrap().write_all(bytes).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".mutlog")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn each_day_has_its_file() {
    static NOW: AtomicU64 = AtomicU64::new(FIRST + DAY - 1);
    fn clock() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW.load(Ordering::SeqCst))
    }
    let dir = tempfile::tempdir().unwrap();
    let mut log = DiskLog::open_with_clock(dir.path(), clock).await.unwrap();
    assert_eq!(
        names(dir.path()),
        [""; 0],
        "made by the first mutation of a day"
    );
    let mut reader = Reader::new(log.source());
    reader.catch_up().await;
    let all = payloads(5, 100);
    // The seconds before and after midnight UTC, a day without mutations, a clock that goes back.
    for (payload, seconds) in all.iter().zip([0, 1, DAY * 2, DAY, DAY * 2]) {
        NOW.store(FIRST + DAY - 1 + seconds, Ordering::SeqCst);
        let batches = log.append(std::slice::from_ref(payload)).await.unwrap();
        assert_eq!(batches.len(), 1);
        reader.catch_up().await;
    }
    let expected = [
        "maintner-2018-07-09.mutlog",
        "maintner-2018-07-10.mutlog",
        "maintner-2018-07-11.mutlog",
    ];
    assert_eq!(names(dir.path()), expected);
    assert_eq!(reader.segments, contents(log.feed()));
    assert_eq!(reader.remapped, [0, 1]);
    assert_eq!(records(&contents(log.feed())), all);
    for (name, segment) in expected.iter().zip(contents(log.feed())) {
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), segment);
    }
    drop(log);
    let mut log = DiskLog::open_with_clock(dir.path(), clock).await.unwrap();
    log.append(&payloads(1, 5)).await.unwrap();
    assert_eq!(names(dir.path()), expected);
    assert_eq!(records(&contents(log.feed())).len(), 6);
}

#[tokio::test]
async fn there_is_one_writer_and_a_torn_end_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), "maintner-2018-07-09.mutlog", &payload(0, 10));
    append_bytes(dir.path(), "maintner-2018-07-09.mutlog", b"REC@");
    let mut log = DiskLog::open(dir.path()).await.unwrap();
    let error = DiskLog::open(dir.path()).await.unwrap_err();
    assert!(matches!(error, DiskError::InUse { .. }), "{error}");
    log.append(&[payload(1, 10)]).await.unwrap();
    assert_eq!(
        records(&contents(log.feed())),
        [payload(0, 10), payload(1, 10)]
    );
    drop(log);
    assert_eq!(contents(&DiskLog::read(dir.path()).await.unwrap()).len(), 2);
}

#[tokio::test]
async fn a_torn_first_record_of_a_day_leaves_the_log_as_it_was() {
    type Clock = fn() -> SystemTime;
    let [first, second] = ["maintner-2018-07-09.mutlog", "maintner-2018-07-10.mutlog"];
    let clocks: [(&str, Clock); 2] = [
        (first, || UNIX_EPOCH + Duration::from_secs(FIRST)),
        (second, || UNIX_EPOCH + Duration::from_secs(FIRST + DAY)),
    ];
    for days_before in [0, 1] {
        for (today, clock) in clocks {
            let dir = tempfile::tempdir().unwrap();
            let before: Vec<Bytes> = payloads(days_before, 10);
            for payload in &before {
                append(dir.path(), first, payload);
            }
            append_bytes(dir.path(), second, b"REC@0+5=\x1a");
            let mut log = DiskLog::open_with_clock(dir.path(), clock).await.unwrap();
            assert_eq!(records(&contents(log.feed())), before);
            log.append(&[payload(7, 10)]).await.unwrap();
            let seen = contents(log.feed());
            assert_eq!(records(&seen), [before, vec![payload(7, 10)]].concat());
            let last = fs::read(dir.path().join(today)).unwrap();
            assert_eq!(&last, seen.last().unwrap(), "{today}");
            drop(log);
            let log = DiskLog::open_with_clock(dir.path(), clock).await.unwrap();
            assert_eq!(contents(log.feed()), seen, "{days_before} {today}");
        }
    }
}

#[tokio::test]
async fn what_somebody_else_writes_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, third] = [
        "maintner-2018-07-09.mutlog",
        "maintner-2018-07-10.mutlog",
        "maintner-2018-07-11.mutlog",
    ];
    fs::create_dir(dir.path().join("maintner-0.mutlog")).unwrap();
    fs::write(dir.path().join("maintner-2018-07-08.proto.gz"), "old").unwrap();
    fs::write(dir.path().join("maintner-2018-07-08.mutlog"), "").unwrap();
    append(dir.path(), first, &payload(0, 10));
    let feed = DiskLog::read(dir.path()).await.unwrap();
    let mut reader = Reader::new(feed.source());
    reader.catch_up().await;
    assert_eq!(records(&contents(&feed)), [payload(0, 10)]);
    append(dir.path(), first, &payload(1, 10));
    reader.catch_up().await;
    assert_eq!(records(&contents(&feed)).len(), 2);
    // Half a record is not told, all of it is.
    let size = fs::metadata(dir.path().join(first)).unwrap().len();
    let mut record = Header::new(size, 8).to_vec();
    record.extend_from_slice(b"\x1a\x06\x0a\x04half");
    append_bytes(dir.path(), first, &record[..12]);
    append(dir.path(), second, &payload(2, 10));
    reader.catch_up().await;
    assert_eq!(records(&contents(&feed)).len(), 3);
    assert_eq!(reader.remapped, [0], "the next day has begun");
    append_bytes(dir.path(), third, b"REC@0+8");
    append_bytes(dir.path(), third, &record[record.len() - 9..]);
    reader.catch_up().await;
    assert_eq!(records(&contents(&feed)).len(), 4);
    assert_eq!(reader.segments, contents(&feed));
    assert_eq!(reader.splits, [0; 0]);
}

#[tokio::test]
async fn files_that_change_are_a_split() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = ["maintner-2018-07-09.mutlog", "maintner-2018-07-10.mutlog"];
    append(dir.path(), first, &payload(0, 10));
    let common = fs::metadata(dir.path().join(first)).unwrap().len();
    append(dir.path(), second, &payload(1, 10));
    append(dir.path(), second, &payload(2, 10));
    let feed = DiskLog::read(dir.path()).await.unwrap();
    let mut reader = Reader::new(feed.source());
    reader.catch_up().await;
    // The last file lost a record.
    let one = Header::new(0, payload(1, 10).len() as u64).len() + payload(1, 10).len();
    let last = fs::File::options()
        .write(true)
        .open(dir.path().join(second))
        .unwrap();
    last.set_len(one as u64).unwrap();
    reader.catch_up().await;
    assert_eq!(reader.splits, [common + one as u64]);
    // A copy of a sealed segment appears before all others.
    let bytes = contents(&feed).concat();
    let sum = Segment::of(0, &bytes[..common as usize]).sha224;
    let copy = format!("maintner-0000.{sum}.mutlog");
    fs::write(dir.path().join(&copy), &bytes[..common as usize]).unwrap();
    reader.catch_up().await;
    assert_eq!(reader.splits.last(), Some(&common));
    assert_eq!(feed.segments().len(), 3);
    assert_eq!(feed.segments()[0].sha224, sum);
}

#[tokio::test]
async fn damage_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), "maintner-2018-07-09.mutlog", &payload(0, 10));
    append_bytes(dir.path(), "maintner-2018-07-09.mutlog", &[b'x'; 100]);
    append(dir.path(), "maintner-2018-07-10.mutlog", &payload(0, 10));
    let error = DiskLog::read(dir.path()).await.unwrap_err();
    assert!(
        matches!(error, SourceError::Damaged { segment: 0, .. }),
        "{error}"
    );
    let error = DiskLog::read(dir.path().join("none")).await.unwrap_err();
    assert!(matches!(error, SourceError::Io { .. }), "{error}");
    let mut log = DiskLog::open(dir.path().join("none")).await.unwrap();
    assert_eq!(log.append(&[]).await.unwrap(), []);
    let bad = Bytes::from_static(b"\xff");
    assert!(log.append(&[bad]).await.is_err());
    assert!(log.feed().is_empty());
}
