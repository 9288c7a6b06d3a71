//! A log in files that somebody else writes: segments of a leader, and the digests kept beside days.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod log_common;

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use log_common::{Reader, contents, payload, payloads, records};
use maintner::log::{
    DiskError, DiskLog, LocalDir, Segment, SegmentLog, SegmentOptions, Sink, SourceError, Tail,
};
use proptest::prelude::*;

fn small() -> SegmentOptions {
    SegmentOptions {
        segment_size: 1000,
        verify: true,
    }
}

async fn leader(dir: &Path) -> SegmentLog {
    let dir = LocalDir::new(dir).unwrap();
    SegmentLog::open(dir, small()).await.unwrap()
}

#[tokio::test]
async fn a_leaders_segments_are_told_as_they_grow_and_are_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = leader(dir.path()).await;
    let tail = Tail::open(dir.path()).await.unwrap();
    let feed = tail.feed().clone();
    let mut reader = Reader::new(tail);
    reader.catch_up().await;
    assert!(reader.segments.is_empty());
    let all = payloads(30, 200);
    for (round, some) in all.chunks(3).enumerate() {
        log.append(some).await.unwrap();
        reader.read_to(log.feed().len()).await;
        assert_eq!(reader.segments, contents(log.feed()));
        // Another leader goes on, with a segment that was sealed and grows again.
        if round == 5 {
            log.close().await;
            let growing = format!("{:04}.growing.mutlog", reader.segments.len() - 1);
            let segment = Segment::of(0, reader.segments.last().unwrap());
            let sealed = growing.replace("growing", &segment.sha224.to_string());
            fs::rename(dir.path().join(growing), dir.path().join(sealed)).unwrap();
            log = leader(dir.path()).await;
        }
    }
    assert!(reader.splits.is_empty());
    assert_eq!(feed.segments(), log.feed().segments());
    assert_eq!(records(&contents(&feed)), all);
    let late = Tail::open(dir.path()).await.unwrap();
    assert_eq!(late.feed().segments(), feed.segments());
}

#[tokio::test]
async fn a_torn_end_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0000.growing.mutlog");
    fs::write(&path, "REC@0+0=REC@8+").unwrap();
    let mut reader = Reader::new(Tail::open(dir.path()).await.unwrap());
    reader.catch_up().await;
    assert_eq!(reader.segments, [b"REC@0+0="]);
    fs::write(&path, "REC@0+0=REC@8+0=").unwrap();
    reader.read_to(16).await;
    // What was told is taken back.
    fs::write(&path, "REC@0+0=").unwrap();
    reader.read_to(8).await;
    assert_eq!(reader.splits, [8]);
}

#[tokio::test]
async fn a_missing_segment_is_an_error_and_dates_do_not_mix_with_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = leader(dir.path()).await;
    log.append(&payloads(12, 300)).await.unwrap();
    let sealed = |number: usize| {
        let segment = log.feed().segments()[number];
        dir.path()
            .join(format!("{number:04}.{}.mutlog", segment.sha224))
    };
    // Files of other logs do not count.
    fs::write(dir.path().join("maintner-2018-07-09.mutlog"), "REC@0+0=").unwrap();
    let tail = Tail::open(dir.path()).await.unwrap();
    assert_eq!(tail.feed().segments(), log.feed().segments());
    let error = DiskLog::open(dir.path()).await.unwrap_err();
    assert!(!matches!(error, DiskError::Source(_)), "{error}");
    log.close().await;
    let error = DiskLog::open(dir.path()).await.unwrap_err();
    assert!(matches!(error, DiskError::Segments { .. }), "{error}");
    fs::remove_file(sealed(1)).unwrap();
    let error = Tail::open(dir.path()).await.unwrap_err();
    assert!(
        matches!(error, SourceError::Missing { segment: 1 }),
        "{error}"
    );
    let error = Tail::open(dir.path().join("none")).await.unwrap_err();
    assert!(matches!(error, SourceError::Io { .. }), "{error}");
}

/// Files of days that were written long ago.
fn days(dir: &Path) -> Vec<Vec<u8>> {
    let write = |day: usize| {
        let bytes = maintner::testing::History::new(day as u64).log(3000);
        let path = dir.join(format!("maintner-2018-07-{day:02}.mutlog"));
        fs::write(&path, &bytes).unwrap();
        set_age(&path, Duration::from_secs(1000));
        bytes
    };
    (1..=4).map(write).collect()
}

fn set_age(path: &Path, age: Duration) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

async fn sums_of(dir: &Path) -> Vec<Segment> {
    let log = DiskLog::open(dir).await.unwrap();
    log.feed().segments()
}

#[tokio::test]
async fn digests_of_days_are_kept_and_believed() {
    let dir = tempfile::tempdir().unwrap();
    let days = days(dir.path());
    let expected: Vec<Segment> = (0..)
        .zip(&days)
        .map(|(n, day)| Segment::of(n, day))
        .collect();
    let tail = Tail::open(dir.path()).await.unwrap();
    assert_eq!(tail.feed().segments(), expected);
    assert!(!dir.path().join(".sums").exists(), "readers change nothing");
    assert_eq!(sums_of(dir.path()).await, expected);
    let kept = fs::read_to_string(dir.path().join(".sums")).unwrap();
    assert_eq!(kept.lines().count(), 4, "{kept}");
    assert_eq!(sums_of(dir.path()).await, expected);

    // They are believed: other bytes of the same length and time are not looked at.
    let second = dir.path().join("maintner-2018-07-02.mutlog");
    let before = fs::metadata(&second).unwrap().modified().unwrap();
    let mut other = days[1].clone();
    *other.last_mut().unwrap() ^= 1;
    let overwrite = || {
        fs::write(&second, &other).unwrap();
        let file = fs::File::options().write(true).open(&second).unwrap();
        file.set_modified(before).unwrap();
    };
    overwrite();
    assert_eq!(sums_of(dir.path()).await, expected);
    assert_eq!(
        Tail::open(dir.path()).await.unwrap().feed().segments(),
        expected
    );

    // Anything doubtful is not.
    let truth = Segment::of(1, &other);
    set_age(&second, Duration::from_secs(500));
    assert_eq!(sums_of(dir.path()).await[1], truth, "another time");
    let kept = fs::read_to_string(dir.path().join(".sums")).unwrap();
    for damaged in [
        String::new(),
        "x".into(),
        kept.replacen("2018-07-02", "2018-07-03", 1),
        kept[..kept.len() - 2].to_owned(),
        kept.replacen(
            &truth.sha224.to_string(),
            &expected[1].sha224.to_string(),
            1,
        ),
    ] {
        fs::write(dir.path().join(".sums"), damaged).unwrap();
        assert_eq!(sums_of(dir.path()).await[1], truth);
        assert_eq!(fs::read_to_string(dir.path().join(".sums")).unwrap(), kept);
    }
    // What was changed a moment ago may be changed again within the same tick of the clock.
    set_age(&second, Duration::ZERO);
    assert_eq!(sums_of(dir.path()).await[1], truth);
    overwrite();
    assert_eq!(sums_of(dir.path()).await[1], truth);
    let kept = fs::read_to_string(dir.path().join(".sums")).unwrap();
    assert!(kept.contains("2018-07-01"), "{kept}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn whoever_reads_along_has_what_the_leader_has(
        groups in proptest::collection::vec(
            (proptest::collection::vec(0_usize..700, 1..6), any::<bool>(), any::<bool>()), 1..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let mut log = leader(dir.path()).await;
            let mut reader = Reader::new(Tail::open(dir.path()).await.unwrap());
            let mut all = Vec::new();
            for (sizes, reads, restarts) in groups {
                let group: Vec<Bytes> = sizes.iter().map(|size| payload(all.len(), *size)).collect();
                log.append(&group).await.unwrap();
                all.extend(group);
                if reads {
                    reader.read_to(log.feed().len()).await;
                }
                if restarts {
                    log.close().await;
                    log = leader(dir.path()).await;
                }
            }
            reader.read_to(log.feed().len()).await;
            assert_eq!(reader.segments, contents(log.feed()));
            assert!(reader.splits.is_empty());
            assert_eq!(records(&contents(log.feed())), all);
        });
    }
}
