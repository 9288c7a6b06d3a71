//! A log followed over the network: by a scripted server's faults, and by our own server.
#![cfg(all(feature = "net", feature = "serve"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod log_common;
mod log_follower_failures;
mod log_peer;

use std::{fs, path::Path, time::Duration};

use bytes::Bytes;
use log_common::{Reader, contents, payload, payloads};
use log_peer::{Fault, Peer};
use maintner::log::{
    Event, FollowOptions, Follower, MemoryDir, MemoryLog, Segment, SegmentLog, SegmentOptions,
    Sink, Source, server::LogServer,
};
use proptest::prelude::*;

fn follower(peer: &Peer, cache: &Path) -> Follower {
    let options = FollowOptions {
        retry: Duration::from_millis(1),
        ..FollowOptions::default()
    };
    Follower::new(&peer.url, cache, options).unwrap()
}

fn log() -> MemoryLog {
    MemoryLog::with_segment_size(1000)
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

fn sealed_name(segment: Segment) -> String {
    format!("{:04}.{}.mutlog", segment.number, segment.sha224)
}

/// Waits until the follower has all of the log, and checks that it is the log.
async fn follow<S: Source>(reader: &mut Reader<S>, log: &MemoryLog) {
    reader.read_to(log.feed().len()).await;
    assert_eq!(reader.segments, contents(log.feed()));
    assert_eq!(reader.caught_up, log.feed().segments());
}

#[tokio::test]
async fn only_what_is_new_is_fetched() {
    let log = log();
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    let mut reader = Reader::new(follower(&peer, cache.path()));
    reader.catch_up().await;
    assert_eq!(reader.caught_up, [], "an empty log is told at once");
    assert_eq!(peer.requests()[0], "/logs");

    log.append_now(&payloads(2, 300)).unwrap();
    follow(&mut reader, &log).await;
    let first = log.feed().len();
    let expected = [
        "/logs?waitsizenot=0".into(),
        format!("/logs/0 bytes=0-{}", first - 1),
    ];
    assert_eq!(peer.requests()[..2], expected);
    assert_eq!(names(cache.path()), ["0000.growing.mutlog"]);

    log.append_now(&[payload(2, 200)]).unwrap();
    follow(&mut reader, &log).await;
    let grown = log.feed().len();
    let ranged = format!("/logs/0 bytes={first}-{}", grown - 1);
    assert_eq!(peer.segment_requests(), [ranged]);

    log.append_now(&payloads(2, 300)).unwrap();
    follow(&mut reader, &log).await;
    let segments = log.feed().segments();
    let next = format!("/logs/1 bytes=0-{}", segments[1].size - 1);
    assert_eq!(
        peer.segment_requests(),
        [next],
        "the sealed one is there already"
    );
    assert_eq!(reader.remapped, [0]);
    assert_eq!(
        names(cache.path()),
        [&sealed_name(segments[0]), "0001.growing.mutlog"]
    );

    // Growth, sealing and a further segment in one go.
    log.append_now(&payloads(6, 300)).unwrap();
    follow(&mut reader, &log).await;
    assert_eq!(reader.remapped, [0, 1]);
    assert_eq!(reader.splits, [0; 0]);
    assert_eq!(
        peer.segment_requests().len(),
        log.feed().segments().len() - 1
    );

    // Another one, later, fetches nothing.
    drop(reader);
    let mut reader = Reader::new(follower(&peer, cache.path()));
    follow(&mut reader, &log).await;
    assert_eq!(peer.segment_requests(), [""; 0]);
    assert_eq!(reader.remapped, [0; 0]);
}

#[tokio::test]
async fn the_next_segment_is_asked_for_before_anybody_wants_it() {
    let log = log();
    log.append_now(&payloads(12, 300)).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    let mut reader = Reader::new(follower(&peer, cache.path()));
    // The first one is taken, the second waits, the third is there: it waits for its turn to be told.
    let first = reader.source.next().await.unwrap();
    assert!(matches!(first, Event::Batch(batch) if batch.segment == 0));
    let mut asked = Vec::new();
    let all_asked = async {
        while asked.len() < 4 {
            asked.extend(peer.segment_requests());
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(5);
    tokio::time::timeout(limit, all_asked).await.unwrap();
    assert!(asked[3].starts_with("/logs/3"), "{asked:?}");
    drop(reader);
    // What was asked for and not taken does no harm.
    let mut reader = Reader::new(follower(&peer, cache.path()));
    follow(&mut reader, &log).await;
}

#[tokio::test]
async fn splits_tell_what_is_still_common() {
    let seal_each = |groups: &[&[Bytes]]| {
        let log = MemoryLog::new();
        for (at, group) in groups.iter().enumerate() {
            log.append_now(group).unwrap();
            if at + 1 < groups.len() {
                log.seal();
            }
        }
        log
    };
    let [a, b, c, x] = [
        payload(1, 50),
        payload(2, 50),
        payload(3, 50),
        payload(9, 50),
    ];
    let ab = std::slice::from_ref(&a);
    let old = || seal_each(&[ab, &[b.clone(), c.clone()]]);
    let first = old().feed().segments()[0].size;
    let half = seal_each(&[ab, std::slice::from_ref(&b)]).feed().len();
    let long = payload(7, 500);
    for (what, new, common) in [
        (
            "another first of the same size",
            seal_each(&[std::slice::from_ref(&x), std::slice::from_ref(&b)]),
            0,
        ),
        (
            "another first, longer",
            seal_each(&[std::slice::from_ref(&long)]),
            0,
        ),
        ("another first, shorter", seal_each(&[&[payload(7, 5)]]), 0),
        (
            "a first that goes on differently",
            seal_each(&[&[a.clone(), x.clone()]]),
            first,
        ),
        (
            "truncated within the last",
            seal_each(&[ab, std::slice::from_ref(&b)]),
            half,
        ),
        ("truncated after the first", seal_each(&[ab]), first),
        (
            "another last of the same size",
            seal_each(&[ab, &[b.clone(), x.clone()], std::slice::from_ref(&c)]),
            first,
        ),
        (
            "another last, longer",
            seal_each(&[ab, &[x.clone(), b.clone(), c.clone()]]),
            first,
        ),
        ("nothing", MemoryLog::new(), 0),
    ] {
        let log = old();
        let cache = tempfile::tempdir().unwrap();
        let peer = Peer::serve(log.feed()).await;
        let mut reader = Reader::new(follower(&peer, cache.path()));
        follow(&mut reader, &log).await;
        peer.change_log(new.feed());
        while reader.splits.is_empty() {
            reader.catch_up().await;
        }
        assert_eq!(reader.splits, [common], "{what}");
        follow(&mut reader, &new).await;
        // And from there as ever.
        new.append_now(std::slice::from_ref(&c)).unwrap();
        follow(&mut reader, &new).await;
        assert_eq!(reader.splits, [common], "{what}");
    }
}

#[tokio::test]
async fn followers_share_a_cache() {
    let log = log();
    log.append_now(&payloads(10, 300)).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    let mut one = Reader::new(follower(&peer, cache.path()));
    let mut other = Reader::new(follower(&peer, cache.path()));
    tokio::join!(follow(&mut one, &log), follow(&mut other, &log));
    let fetched = peer.segment_requests().len();
    assert_eq!(
        fetched,
        log.feed().segments().len(),
        "nothing is fetched twice"
    );
    for number in 10..20 {
        log.append_now(&[payload(number, 300)]).unwrap();
        tokio::join!(follow(&mut one, &log), follow(&mut other, &log));
    }
    assert!(one.splits.is_empty() && other.splits.is_empty());
}

#[tokio::test]
async fn a_prefix_says_what_is_sealed() {
    // As the original: all segments elsewhere, no word about sealing, one segment only.
    let log = log();
    log.append_now(&payloads(2, 300)).unwrap();
    log.seal();
    let segment = log.feed().segments()[0];
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    let root = peer.url.trim_end_matches("/logs").to_owned();
    let index = format!(
        "[{{\"number\":0,\"size\":{},\"sha224\":\"{}\",\"url\":\"{root}/logs/0\"}}]",
        segment.size, segment.sha224
    );
    peer.fail_index([Fault::Say(index.clone()), Fault::Say(index)]);
    let options = FollowOptions {
        sealed_prefix: root,
        ..FollowOptions::default()
    };
    let mut reader = Reader::new(Follower::new(&peer.url, cache.path(), options).unwrap());
    reader.catch_up().await;
    assert_eq!(reader.segments, contents(log.feed()));
    assert_eq!(names(cache.path()), [sealed_name(segment)]);
}

#[tokio::test]
async fn segments_elsewhere_are_found_by_redirect() {
    let log = log();
    log.append_now(&payloads(5, 300)).unwrap();
    let store = Peer::serve(log.feed()).await;
    let root = store.url.clone();
    let elsewhere = move |segment: &Segment| Some(format!("{root}/{}", segment.number));
    let server = LogServer::new(log.feed().clone()).public_urls(elsewhere);
    let peer = Peer::serve_as(server).await;
    let cache = tempfile::tempdir().unwrap();
    let mut reader = Reader::new(follower(&peer, cache.path()));
    follow(&mut reader, &log).await;
    assert_eq!(store.segment_requests().len(), 1);
    drop(reader);
    // Its own address for the sealed one sends there, too.
    let segment = log.feed().segments()[0];
    let index = format!(
        "[{{\"number\":0,\"size\":{},\"sha224\":\"{}\",\"url\":\"/logs/0\"}}]",
        segment.size, segment.sha224
    );
    peer.fail_index([Fault::Say(index)]);
    let cache = tempfile::tempdir().unwrap();
    let mut reader = Reader::new(follower(&peer, cache.path()));
    reader.catch_up().await;
    assert_eq!(store.segment_requests().len(), 1);
}

#[tokio::test]
async fn dropping_the_future_loses_nothing() {
    let log = log();
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    let mut source = follower(&peer, cache.path());
    let mut bytes = 0;
    for number in 0..30 {
        log.append_now(&[payload(number, 300)]).unwrap();
        while bytes < log.feed().len() {
            // Given up again and again.
            if let Ok(event) = tokio::time::timeout(Duration::from_micros(300), source.next()).await
                && let Event::Batch(batch) = event.unwrap()
            {
                bytes += batch.bytes.len() as u64;
            }
        }
    }
    assert_eq!(bytes, log.feed().len(), "each byte once");
}

#[tokio::test]
async fn news_arrive_within_50_ms() {
    let dir = MemoryDir::new();
    let mut log = SegmentLog::open(dir, SegmentOptions::default())
        .await
        .unwrap();
    let peer = Peer::serve(log.feed()).await;
    let cache = tempfile::tempdir().unwrap();
    let mut reader = Reader::new(follower(&peer, cache.path()));
    reader.catch_up().await;
    let mut waits = Vec::new();
    for number in 0..31 {
        log.append(&[payload(number, 300)]).await.unwrap();
        let durable = std::time::Instant::now();
        reader.read_to(log.feed().len()).await;
        waits.push(durable.elapsed());
    }
    waits.sort();
    println!(
        "news after {:?} (median), {:?} (slowest)",
        waits[15], waits[30]
    );
    assert!(waits[15] < Duration::from_millis(50), "{waits:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn a_follower_has_exactly_the_leaders_bytes(
        steps in proptest::collection::vec(
            (proptest::collection::vec(0_usize..900, 0..5), any::<bool>(), 0_u8..12, any::<bool>()), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let log = log();
            let peer = Peer::serve(log.feed()).await;
            let cache = tempfile::tempdir().unwrap();
            let mut reader = Reader::new(follower(&peer, cache.path()));
            let mut count = 0;
            for (sizes, seals, fault, restarts) in steps {
                let group: Vec<Bytes> = sizes.iter().map(|size| payload(count + size, *size)).collect();
                count += 1000;
                log.append_now(&group).unwrap();
                if seals {
                    log.seal();
                }
                match fault {
                    0 => peer.fail_segments([Fault::Cut(sizes.len() * 100)]),
                    1 => peer.fail_segments([Fault::Status(503)]),
                    2 => peer.fail_index([Fault::Status(503)]),
                    3 => peer.fail_segments([Fault::IgnoreRange]),
                    4 => peer.fail_segments([Fault::Short(sizes.len() * 100)]),
                    _ => {}
                }
                if restarts {
                    reader = Reader::new(follower(&peer, cache.path()));
                }
                reader.read_to(log.feed().len()).await;
                assert_eq!(reader.segments, contents(log.feed()));
            }
            assert_eq!(reader.splits, [0; 0]);
        });
    }
}
