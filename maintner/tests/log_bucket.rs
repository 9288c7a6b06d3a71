//! The leader's log in an object store: what was seen stays, whoever leads.
#![cfg(all(feature = "object-store", feature = "net", feature = "serve"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod log_bucket_leaders;
mod log_common;
mod log_faulty;
mod log_peer;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{TryStreamExt, future::join_all};
use log_common::{Reader, contents, payload, payloads, records};
use log_faulty::{Fault, Faulty};
use maintner::log::{
    Bucket, BucketError, OpenError, Segment, SegmentLog, SegmentOptions, Sha224Sum, Sink,
    SinkError,
    object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path},
};
use proptest::prelude::*;

fn small() -> SegmentOptions {
    SegmentOptions {
        segment_size: 1000,
        verify: true,
    }
}

fn bucket(store: impl ObjectStore) -> Bucket {
    Bucket::new(Arc::new(store), "logs/go").retry(Duration::ZERO)
}

async fn open(store: &Arc<InMemory>) -> SegmentLog {
    let bucket = bucket(Arc::clone(store));
    SegmentLog::open_bucket(bucket, small()).await.unwrap()
}

async fn names(store: &InMemory) -> Vec<String> {
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let name = |path: &Path| path.as_ref().strip_prefix("logs/go/").unwrap().to_owned();
    let mut names: Vec<_> = listed.iter().map(|object| name(&object.location)).collect();
    names.sort();
    names
}

async fn put(store: &InMemory, name: &str, bytes: impl Into<Bytes>) {
    let path = Path::from(format!("logs/go/{name}"));
    store.put(&path, bytes.into().into()).await.unwrap();
}

#[tokio::test]
async fn a_leader_goes_on_where_the_last_one_ended() {
    let store = Arc::new(InMemory::new());
    let all = payloads(20, 200);
    let mut seen: Vec<Bytes> = Vec::new();
    for (round, some) in all.chunks(3).enumerate() {
        let mut log = open(&store).await;
        assert_eq!(contents(log.feed()), seen);
        let mut reader = Reader::new(log.source());
        reader.catch_up().await;
        log.append(some).await.unwrap();
        reader.catch_up().await;
        seen = contents(log.feed());
        assert_eq!(reader.segments, seen);
        // Killed every other time.
        if round % 2 == 0 {
            log.close().await;
            assert!(matches!(log.append(some).await, Err(SinkError::Closed)));
        }
    }
    assert_eq!(records(&seen), all);
}

#[tokio::test]
async fn a_closed_log_is_one_of_the_original_and_so_is_the_other_way_round() {
    let store = Arc::new(InMemory::new());
    let mut log = open(&store).await;
    log.append(&payloads(9, 300)).await.unwrap();
    let segments = log.feed().segments();
    let seen = contents(log.feed());
    assert_eq!(
        names(&store).await.len(),
        3,
        "two sealed segments and the head"
    );
    log.close().await;
    let mut expected: Vec<_> = segments.iter().map(Segment::file_name).collect();
    expected.push("log.head".into());
    assert_eq!(names(&store).await, expected);
    for segment in &segments {
        let path = Path::from(format!("logs/go/{}", segment.file_name()));
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        assert_eq!(Sha224Sum::of(&bytes), segment.sha224);
    }

    // The original leads meanwhile: a longer last segment, and the shorter one is gone.
    let last = &segments[2];
    let longer = [
        &seen[2][..],
        b"REC@",
        format!("{:x}", last.size).as_bytes(),
        b"+0=",
    ]
    .concat();
    let longer = Bytes::from(longer);
    put(&store, &Segment::of(2, &longer).file_name(), longer.clone()).await;
    let error = SegmentLog::open_bucket(bucket(Arc::clone(&store)), small())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("remove the object or"),
        "{error}"
    );
    let short = Path::from(format!("logs/go/{}", last.file_name()));
    store.delete(&short).await.unwrap();
    let error = SegmentLog::open_bucket(bucket(Arc::clone(&store)), small())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("remove log.head"), "{error}");
    store.delete(&Path::from("logs/go/log.head")).await.unwrap();
    // Of two objects of a segment the later one counts, and the other goes.
    put(
        &store,
        &Segment::of(0, b"REC@0+0=").file_name(),
        &b"REC@0+0="[..],
    )
    .await;
    put(&store, &segments[0].file_name(), seen[0].clone()).await;
    let mut log = open(&store).await;
    assert_eq!(
        contents(log.feed()),
        [seen[0].clone(), seen[1].clone(), longer.clone()]
    );
    assert_eq!(names(&store).await.len(), 4);
    log.append(&payloads(1, 500)).await.unwrap();
    assert_eq!(
        log.feed().segments().len(),
        4,
        "the third was sealed as it was"
    );
    assert_eq!(log.feed().segments()[2], Segment::of(2, &longer));
    assert_eq!(names(&store).await.len(), 4);

    store.delete(&Path::from("logs/go/log.head")).await.unwrap();
    store
        .delete(&Path::from(format!("logs/go/{}", segments[1].file_name())))
        .await
        .unwrap();
    let error = SegmentLog::open_bucket(bucket(Arc::clone(&store)), small())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Gap {
                missing: 1,
                last: 2
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn many_records_are_in_pieces_until_they_are_sealed() {
    let store = Arc::new(InMemory::new());
    let options = || SegmentOptions::default();
    let mut log = SegmentLog::open_bucket(bucket(Arc::clone(&store)), options())
        .await
        .unwrap();
    let all = payloads(40, 50_000);
    for one in &all[..39] {
        log.append(std::slice::from_ref(one)).await.unwrap();
    }
    let pieces = names(&store).await;
    assert_eq!(pieces.len(), 7, "{pieces:?}");
    assert!(pieces[0].starts_with("0000.growing.1-"), "{pieces:?}");
    let seen = contents(log.feed());
    drop(log);
    // Of a leader that was interrupted before the head named it.
    put(&store, "0000.growing.1-77", "REC").await;
    let mut log = SegmentLog::open_bucket(bucket(Arc::clone(&store)), options())
        .await
        .unwrap();
    assert_eq!(contents(log.feed()), seen);
    assert_eq!(names(&store).await, pieces);
    log.append(&[all[39].clone(), payload(40, 14 << 20)])
        .await
        .unwrap();
    log.append(&payloads(1, 1 << 20)).await.unwrap();
    let sealed = log.feed().segments()[0];
    assert_eq!(names(&store).await[0], sealed.file_name());
    assert_eq!(log.feed().segments().len(), 2);
    assert_eq!(records(&contents(log.feed()))[..40], all);
    assert_eq!(
        names(&store).await.len(),
        3,
        "and what the new segment has, and the head"
    );
    assert!(!names(&store).await.contains(&pieces[0]));
}

/// Appends in turn; gives what was acknowledged. Ends at the first failure if `once`.
async fn work(log: &mut SegmentLog, all: &[Bytes], once: bool) -> (usize, Option<SinkError>) {
    let mut acknowledged = records(&contents(log.feed())).len();
    let mut failures = 0;
    while acknowledged < all.len() {
        let some = &all[acknowledged..all.len().min(acknowledged + 2)];
        let error = match log.append(some).await {
            Ok(_) => {
                acknowledged += some.len();
                None
            }
            Err(SinkError::Partly {
                records, source, ..
            }) => {
                acknowledged += records;
                Some(*source)
            }
            Err(error) => Some(error),
        };
        let seen = records(&contents(log.feed()));
        assert_eq!(seen.len(), acknowledged, "seen is what was acknowledged");
        if let Some(error) = error {
            failures += 1;
            if once || failures > 3 {
                return (acknowledged, Some(error));
            }
        }
    }
    (acknowledged, None)
}

#[tokio::test]
async fn failing_requests_lose_nothing() {
    let all = payloads(14, 280);
    for fault in [Fault::Before, Fault::Lost, Fault::Late] {
        for point in 1.. {
            let store = Arc::new(InMemory::new());
            let faulty = Faulty::over(&store).fail(point, fault);
            let mut log = SegmentLog::open_bucket(bucket(faulty.clone()), small())
                .await
                .unwrap();
            let mut reader = Reader::new(log.source());
            let (_, error) = work(&mut log, &all, true).await;
            assert!(error.is_none(), "{fault:?} {point}: {error:?}");
            reader.catch_up().await;
            assert_eq!(reader.segments, contents(log.feed()));
            assert_eq!(records(&contents(log.feed())), all);
            log.close().await;
            assert_eq!(contents(open(&store).await.feed()), reader.segments);
            // What is left is what is needed.
            assert_eq!(names(&store).await.len(), 6, "{fault:?} {point}");
            if faulty.calls() < point {
                assert!(point > 20);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_burst_of_appends_takes_few_writes() {
    let store = Arc::new(InMemory::new());
    // An object may not be replaced as often as one likes.
    let client = Faulty::over(&store).busy(3);
    let log = SegmentLog::open_bucket(bucket(client.clone()), SegmentOptions::default())
        .await
        .unwrap();
    let before = client.calls();
    let all = payloads(100, 300);
    let appends = all.iter().map(|payload| {
        let mut log = log.clone();
        async move { log.append(std::slice::from_ref(payload)).await.unwrap() }
    });
    let told = join_all(appends).await;
    let told: Vec<u8> = told
        .iter()
        .flatten()
        .flat_map(|batch| batch.bytes.to_vec())
        .collect();
    assert_eq!(contents(log.feed()), [told]);
    assert_eq!(records(&contents(log.feed())), all);
    // The first by itself, the others together; each is tried four times, and seen before again.
    let writes = client.calls() - before;
    assert!(writes <= 2 * (4 + 3), "{writes}");
    assert_eq!(contents(open(&store).await.feed()), contents(log.feed()));
}

#[tokio::test]
async fn a_store_that_never_works_is_told() {
    let store = Arc::new(InMemory::new());
    let mut log = open(&store).await;
    log.append(&[payload(0, 10)]).await.unwrap();
    drop(log);
    let faulty = Faulty::over(&store);
    let mut log = SegmentLog::open_bucket(bucket(faulty.clone()), small())
        .await
        .unwrap();
    let calls = faulty.calls();
    let _dead = faulty.clone().fail(calls + 1, Fault::Dead);
    let error = log.append(&[payload(1, 10)]).await.unwrap_err();
    assert!(matches!(error, SinkError::Io { .. }), "{error}");
    assert_eq!(faulty.calls(), calls + 5, "tried five times");
    let error = SegmentLog::open_bucket(bucket(faulty), small())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "cannot read log.head");
}

#[tokio::test]
async fn a_store_without_conditions_is_refused() {
    let store = Arc::new(InMemory::new());
    // To the first head, and as object_store's LocalFileSystem answers to its replacement.
    for point in [3, 5] {
        let faulty = Faulty::over(&store).fail(point, Fault::Unsupported);
        let opened = SegmentLog::open_bucket(bucket(faulty), small()).await;
        let error = opened.unwrap_err().to_string();
        assert!(
            error.ends_with("a directory is opened as a LocalDir"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_told() {
    let store = Arc::new(InMemory::new());
    let faulty = Faulty::over(&store).fail(3, Fault::ReadOnly);
    let opened = SegmentLog::open_bucket(bucket(faulty.clone()), small()).await;
    assert_eq!(opened.unwrap_err().to_string(), "cannot write log.head");
    assert_eq!(faulty.calls(), 2 + 5 * 2, "tried and looked at five times");
}

#[tokio::test]
async fn damage_is_told_and_left() {
    let store = Arc::new(InMemory::new());
    let mut log = open(&store).await;
    log.append(&payloads(5, 280)).await.unwrap();
    let sealed = log.feed().segments()[0].file_name();
    drop(log);
    let good = store
        .get(&Path::from("logs/go/log.head"))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let with = |old: &[u8], new: &[u8]| {
        let at = good
            .windows(old.len())
            .position(|bytes| bytes == old)
            .unwrap();
        [&good[..at], new, &good[at + old.len()..]].concat()
    };
    let reason = async || {
        let opened = SegmentLog::open_bucket(bucket(Arc::clone(&store)), small()).await;
        opened.unwrap_err().to_string()
    };
    put(&store, "log.head", with(b"REC@0", b"REC@1")).await;
    assert!(
        reason()
            .await
            .ends_with("segment 1, which grows, is damaged")
    );
    put(&store, "log.head", with(b"\"format\":1", b"\"format\":2")).await;
    assert!(reason().await.contains("a later version"));
    put(&store, "log.head", good.clone()).await;
    put(&store, "0007.growing.mutlog", "").await;
    assert!(
        reason()
            .await
            .contains("0007.growing.mutlog holds what log.head knows nothing of")
    );
    store
        .delete(&Path::from("logs/go/0007.growing.mutlog"))
        .await
        .unwrap();
    put(&store, &sealed, "REC@0+0=").await;
    assert!(reason().await.contains("has 8 bytes instead of"));
    put(&store, &sealed, vec![0; 5000]).await;
    let faulty = Faulty::over(&store);
    let opened = SegmentLog::open_bucket(bucket(faulty.clone()), small()).await;
    let error = opened.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("it has 5000 bytes, more than"), "{source}");
    assert_eq!(
        faulty.calls(),
        3,
        "not tried again, but the head may have changed"
    );
}

#[tokio::test]
async fn sealed_segments_are_kept_on_this_machine() {
    let store = Arc::new(InMemory::new());
    let dir = tempfile::tempdir().unwrap();
    let cached = || bucket(Arc::clone(&store)).cache(dir.path());
    let mut log = SegmentLog::open_bucket(cached(), small()).await.unwrap();
    log.append(&payloads(9, 300)).await.unwrap();
    // Copies: the files are about to be damaged.
    let mapped = contents(log.feed());
    let seen: Vec<Vec<u8>> = mapped.iter().map(|bytes| bytes.to_vec()).collect();
    let first = dir.path().join(log.feed().segments()[0].file_name());
    let second = dir.path().join(log.feed().segments()[1].file_name());
    assert_eq!(std::fs::read(&first).unwrap(), seen[0]);
    drop(log);
    std::fs::remove_file(&first).unwrap();
    let mut damaged = seen[1].to_vec();
    damaged[100] ^= 1;
    std::fs::write(&second, damaged).unwrap();
    let log = SegmentLog::open_bucket(cached(), small()).await.unwrap();
    assert_eq!(contents(log.feed()), seen);
    assert_eq!(std::fs::read(&first).unwrap(), seen[0]);
    assert_eq!(std::fs::read(&second).unwrap(), seen[1]);
}

#[tokio::test]
async fn buckets_have_addresses() {
    let options = [
        ("AWS_REGION".to_owned(), "nowhere".to_owned()),
        ("HOME".into(), "/".into()),
    ];
    let bucket = Bucket::from_url("memory:///logs/go", options).unwrap();
    let mut log = SegmentLog::open_bucket(bucket, small()).await.unwrap();
    log.append(&[payload(0, 10)]).await.unwrap();
    let url = |url: &str| Bucket::from_url(url, []).unwrap_err();
    assert!(matches!(url("logs/go"), BucketError::Url { .. }));
    assert!(matches!(url("gopher://logs/go"), BucketError::Store { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn readers_have_what_was_acknowledged(
        groups in proptest::collection::vec(
            (proptest::collection::vec(0_usize..700, 1..6), 0_u8..4, 1_usize..12, 0_u8..6), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let store = Arc::new(InMemory::new());
            let mut client = Faulty::over(&store);
            let mut log = SegmentLog::open_bucket(bucket(client.clone()), small()).await.unwrap();
            let mut reader = Reader::new(log.source());
            let mut all = Vec::new();
            for (sizes, then, distance, fault) in groups {
                let fault = [Fault::Before, Fault::Lost, Fault::Late].get(usize::from(fault));
                if let Some(fault) = fault {
                    let at = client.calls() + distance;
                    client = client.fail(at, *fault);
                }
                let group: Vec<Bytes> = sizes.iter().map(|size| payload(all.len(), *size)).collect();
                log.append(&group).await.unwrap();
                all.extend(group);
                match then {
                    0 => reader.catch_up().await,
                    1 => log.close().await,
                    _ => {}
                }
                if matches!(then, 1 | 2) {
                    // The one before may not even know that it is no more.
                    client = Faulty::over(&store);
                    log = SegmentLog::open_bucket(bucket(client.clone()), small()).await.unwrap();
                    reader = Reader::new(log.source());
                }
            }
            reader.read_to(log.feed().len()).await;
            assert_eq!(reader.segments, contents(log.feed()));
            assert_eq!(records(&contents(log.feed())), all);
        });
    }
}
