//! The leader's log: what was seen stays, whatever happens.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod log_common;
mod log_disk;

use std::{fs, path::Path, process::Stdio};

use bytes::Bytes;
use log_common::{Reader, contents, payload, payloads, records};
use log_disk::Disk;
use maintner::{
    log::{LocalDir, MemoryDir, OpenError, Segment, SegmentLog, SegmentOptions, Sink, SinkError},
    reclog::Header,
};
use proptest::prelude::*;

const SMALL: u64 = 1000;

fn small() -> SegmentOptions {
    SegmentOptions {
        segment_size: SMALL,
        verify: true,
    }
}

async fn open(dir: &Path) -> SegmentLog {
    let dir = LocalDir::new(dir).unwrap();
    SegmentLog::open(dir, small()).await.unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".lock")
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn segments_are_sealed_before_they_are_too_long() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).await;
    let mut reader = Reader::new(log.source());
    reader.catch_up().await;
    assert_eq!(reader.caught_up, []);
    let all = payloads(9, 300);
    let mut written = Vec::new();
    for some in all.chunks(4) {
        for batch in log.append(some).await.unwrap() {
            if batch.offset == 0 {
                written.push(Vec::new());
            }
            written.last_mut().unwrap().extend_from_slice(&batch.bytes);
        }
        reader.catch_up().await;
    }
    assert_eq!(reader.segments, written, "told is what append gave");
    assert_eq!(
        reader.remapped,
        [1],
        "sealed after they had been told in pieces"
    );
    assert_eq!(records(&contents(log.feed())), all);
    let segments = log.feed().segments();
    let sizes: Vec<u64> = segments.iter().map(|segment| segment.size).collect();
    assert_eq!(sizes.len(), 3);
    assert!(sizes.iter().all(|size| *size <= SMALL + 40), "{sizes:?}");
    let sealed = |at: usize| format!("{:04}.{}.mutlog", at, segments[at].sha224);
    let expected = [
        sealed(0),
        sealed(1),
        "0002.growing.mutlog".into(),
        "0002.growing.mutlog.sum".into(),
    ];
    assert_eq!(names(dir.path()), expected);
    let mut late = Reader::new(log.source());
    late.catch_up().await;
    assert_eq!(late.segments, reader.segments);
    assert_eq!(late.remapped, [0; 0], "never in pieces");
}

#[tokio::test]
async fn a_record_too_long_for_any_segment_has_one_of_its_own() {
    let mut log = SegmentLog::open(MemoryDir::new(), small()).await.unwrap();
    let all = [
        payload(0, 5000),
        payload(1, 10),
        payload(2, 5000),
        payload(3, 5000),
    ];
    log.append(&all).await.unwrap();
    assert_eq!(log.feed().segments().len(), 4, "no number is left out");
    assert_eq!(records(&contents(log.feed())), all);
}

#[tokio::test]
async fn a_leader_goes_on_where_the_last_one_ended() {
    let dir = tempfile::tempdir().unwrap();
    let all = payloads(20, 200);
    let mut seen: Vec<Bytes> = Vec::new();
    for some in all.chunks(3) {
        let mut log = open(dir.path()).await;
        assert_eq!(contents(log.feed()), seen);
        log.append(some).await.unwrap();
        seen = contents(log.feed());
        log.close().await;
        assert!(matches!(log.append(some).await, Err(SinkError::Closed)));
        assert_eq!(contents(log.feed()), seen, "can still be read");
    }
    assert_eq!(records(&seen), all);
}

#[tokio::test]
async fn a_sealed_segment_that_is_not_full_grows_again() {
    let dir = tempfile::tempdir().unwrap();
    let put = |number: u32, payloads: &[Bytes]| {
        let mut bytes = Vec::new();
        for payload in payloads {
            bytes.extend_from_slice(&Header::new(bytes.len() as u64, payload.len() as u64));
            bytes.extend_from_slice(payload);
        }
        let segment = Segment::of(number, &bytes);
        let name = format!("{number:04}.{}.mutlog", segment.sha224);
        fs::write(dir.path().join(&name), bytes).unwrap();
        name
    };
    let full = put(0, &payloads(3, 300));
    put(1, &payloads(2, 100));
    let mut log = open(dir.path()).await;
    log.append(&payloads(1, 5)).await.unwrap();
    assert_eq!(log.feed().segments().len(), 2);
    assert_eq!(records(&contents(log.feed())).len(), 6);
    drop(log);
    let growing = "0001.growing.mutlog";
    assert_eq!(
        names(dir.path()),
        [&full, growing, "0001.growing.mutlog.sum"]
    );
    // One that lacks hardly anything does not.
    fs::remove_file(dir.path().join(growing)).unwrap();
    let mut log = open(dir.path()).await;
    log.append(&payloads(1, 5)).await.unwrap();
    assert_eq!(log.feed().segments().len(), 2);
    assert_eq!(log.feed().segments()[1].number, 1);
}

#[tokio::test]
async fn what_an_interrupted_sealing_leaves_is_cleaned_up() {
    for grown in [0, 100, 899] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path()).await;
        log.append(&payloads(5, 300)).await.unwrap();
        let seen = contents(log.feed());
        let sealed = names(dir.path())[0].clone();
        drop(log);
        // A copy that was being made of the segment, or of the one before it was sealed.
        fs::write(dir.path().join("0000.growing.mutlog"), &seen[0][..grown]).unwrap();
        let log = open(dir.path()).await;
        assert_eq!(contents(log.feed()), seen);
        drop(log);
        assert_eq!(names(dir.path())[0], sealed);
        fs::write(dir.path().join("0000.growing.mutlog"), "something else").unwrap();
        let error = SegmentLog::open(LocalDir::new(dir.path()).unwrap(), small()).await;
        assert!(matches!(error, Err(OpenError::Twice { segment: 0 })));
    }
}

#[tokio::test]
async fn of_two_files_of_a_segment_the_newer_counts() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).await;
    let mut short = Vec::new();
    for number in 0..3 {
        log.append(&[payload(number, 300)]).await.unwrap();
        if number == 1 {
            short = contents(log.feed());
        }
    }
    log.append(&[payload(3, 300)]).await.unwrap();
    let seen = contents(log.feed());
    drop(log);
    let segment = Segment::of(0, &short[0]);
    let older = dir.path().join(format!("0000.{}.mutlog", segment.sha224));
    fs::write(&older, &short[0]).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options()
        .write(true)
        .open(&older)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    assert_eq!(contents(open(dir.path()).await.feed()), seen);
}

#[tokio::test]
async fn a_missing_segment_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).await;
    log.append(&payloads(12, 300)).await.unwrap();
    drop(log);
    let second = dir.path().join(&names(dir.path())[1]);
    let kept = fs::read(&second).unwrap();
    fs::remove_file(&second).unwrap();
    let dir_again = LocalDir::new(dir.path()).unwrap();
    let error = SegmentLog::open(dir_again, small()).await.unwrap_err();
    assert!(
        matches!(error, OpenError::Gap { missing: 1, .. }),
        "{error}"
    );
    // Bytes that are not those of the name are found when asked for.
    fs::write(&second, [&kept[..], b"x"].concat()).unwrap();
    let dir_again = LocalDir::new(dir.path()).unwrap();
    let error = SegmentLog::open(dir_again, small()).await.unwrap_err();
    assert!(matches!(error, OpenError::Digest { .. }), "{error}");
}

#[tokio::test]
async fn there_is_one_leader_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).await;
    let error = LocalDir::new(dir.path()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy);
    first.close().await;
    open(dir.path()).await;
}

#[tokio::test]
async fn what_would_stop_go_readers_is_refused_and_nothing_written() {
    let mut log = SegmentLog::open(MemoryDir::new(), small()).await.unwrap();
    let bad = Bytes::from_static(b"\x0a\x03\x0a\x01\xff");
    let error = log.append(&[payload(0, 10), bad]).await.unwrap_err();
    assert!(matches!(error, SinkError::Refused { index: 1, .. }));
    assert!(log.feed().is_empty());
}

/// Appends until something fails; gives the records that were acknowledged.
async fn work(disk: &Disk, all: &[Bytes]) -> (usize, Option<Vec<Bytes>>) {
    let Ok(mut log) = SegmentLog::open(disk.clone(), small()).await else {
        return (0, None);
    };
    let mut acknowledged = records(&contents(log.feed())).len();
    while acknowledged < all.len() {
        let some = &all[acknowledged..all.len().min(acknowledged + 2)];
        let appended = log.append(some).await;
        match &appended {
            Ok(_) => acknowledged += some.len(),
            Err(SinkError::Partly { records, .. }) => acknowledged += records,
            Err(_) => {}
        }
        let seen = records(&contents(log.feed()));
        assert_eq!(seen.len(), acknowledged, "seen is what was acknowledged");
        if appended.is_err() {
            break;
        }
    }
    let seen = contents(log.feed());
    (acknowledged, Some(seen))
}

#[tokio::test]
async fn what_was_seen_survives_a_power_cut_at_any_point() {
    let all = payloads(14, 280);
    let mut cuts = 0;
    for seed in 0..6 {
        for point in 1.. {
            let disk = Disk::new();
            disk.power_cut_at(point);
            let (acknowledged, seen) = work(&disk, &all).await;
            if !disk.is_dead() {
                break;
            }
            cuts += 1;
            let disk = disk.after_power_cut(seed * 1000 + point);
            let log = SegmentLog::open(disk.clone(), small()).await.unwrap();
            let now = contents(log.feed());
            if let Some(seen) = seen {
                let (seen, now) = (seen.concat(), now.concat());
                assert!(now.starts_with(&seen), "seed {seed}, point {point}");
            }
            let now = records(&now);
            assert!(now.len() >= acknowledged && all.starts_with(&now));
            drop(log);
            let (_, seen) = work(&disk, &all).await;
            assert_eq!(
                records(&seen.unwrap()),
                all,
                "goes on as if nothing had been"
            );
        }
    }
    assert!(cuts > 200, "{cuts}");
}

#[tokio::test]
async fn a_failing_disk_loses_nothing_and_may_recover() {
    let all = payloads(14, 280);
    for point in 1.. {
        let disk = Disk::new();
        disk.fail_once_at(point);
        let Ok(mut log) = SegmentLog::open(disk.clone(), small()).await else {
            continue;
        };
        let mut seen: Vec<u8> = Vec::new();
        let mut rest = &all[..];
        let mut failures = 0;
        while !rest.is_empty() {
            match log.append(&rest[..rest.len().min(3)]).await {
                Ok(_) => rest = &rest[rest.len().min(3)..],
                Err(SinkError::Partly { records, .. }) => {
                    failures += 1;
                    rest = &rest[records..];
                }
                Err(error) => {
                    assert!(matches!(error, SinkError::Io { .. }), "{error}");
                    failures += 1;
                }
            }
            let now = contents(log.feed()).concat();
            assert!(now.starts_with(&seen));
            seen = now;
        }
        assert!(failures <= 1, "recovers at once");
        assert_eq!(records(&contents(log.feed())), all);
        drop(log);
        // The power goes off, too.
        let disk = disk.after_power_cut(point);
        let log = SegmentLog::open(disk, small()).await.unwrap();
        assert_eq!(contents(log.feed()).concat(), seen);
        if failures == 0 && point > 20 {
            break;
        }
    }
}

/// Not a test but the process that the next one kills: it appends and tells what was acknowledged.
#[test]
fn leader_to_be_killed() {
    let Some(dir) = std::env::var_os("LOG_TEST_LEADER_DIR") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut log = open(Path::new(&dir)).await;
        let mut number = records(&contents(log.feed())).len();
        loop {
            log.append(&[payload(number, 100), payload(number + 1, 200)])
                .await
                .unwrap();
            number += 2;
            println!("have {number}");
        }
    });
}

#[tokio::test]
async fn a_leader_that_is_killed_never_splits() {
    use std::io::{BufRead, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let mut seen: Vec<u8> = Vec::new();
    for round in 0..12 {
        let mut leader = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "leader_to_be_killed", "--nocapture"])
            .env("LOG_TEST_LEADER_DIR", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut acknowledged = 0;
        let mut lines = BufReader::new(leader.stdout.take().unwrap()).lines();
        for _ in 0..4 + round * 3 {
            let line = lines.next().unwrap().unwrap();
            if let Some(number) = line.strip_prefix("have ") {
                acknowledged = number.parse().unwrap();
            }
        }
        leader.kill().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("have ") {
                acknowledged = number.parse().unwrap();
            }
        }
        leader.wait().unwrap();
        let log = open(dir.path()).await;
        let now = contents(log.feed());
        assert!(records(&now).len() >= acknowledged, "round {round}");
        let now = now.concat();
        assert!(now.starts_with(&seen), "round {round}");
        seen = now;
    }
    assert!(seen.len() > 4000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn readers_have_what_the_leader_has(
        groups in proptest::collection::vec(
            (proptest::collection::vec(0_usize..700, 1..6), any::<bool>(), any::<bool>()), 1..15),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let dir = MemoryDir::new();
            let mut log = SegmentLog::open(dir.clone(), small()).await.unwrap();
            let mut reader = Reader::new(log.source());
            let mut all = Vec::new();
            for (sizes, reads, restarts) in groups {
                let group: Vec<Bytes> = sizes.iter().map(|size| payload(all.len(), *size)).collect();
                log.append(&group).await.unwrap();
                all.extend(group);
                if reads {
                    reader.catch_up().await;
                }
                if restarts {
                    log.close().await;
                    log = SegmentLog::open(dir.clone(), small()).await.unwrap();
                    reader = Reader::new(log.source());
                }
            }
            reader.read_to(log.feed().len()).await;
            assert_eq!(reader.segments, contents(log.feed()));
            assert_eq!(records(&contents(log.feed())), all);
        });
    }
}
