//! Followers of servers that fail, lie or go away, and with copies that are damaged.

use std::fs;

use maintner::log::{Event, FollowError, FollowOptions, Follower, Segment, Source, SourceError};

use crate::{
    follow, follower, log,
    log_common::{Reader, contents, payload, payloads},
    log_peer::{Fault, Peer},
    sealed_name,
};

#[tokio::test]
async fn failures_that_pass_are_got_over() {
    use Fault::{Cut, None, Short, Status};
    let log = log();
    log.append_now(&payloads(20, 300)).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    peer.fail_index([
        Status(503),
        None,
        Cut(10),
        None,
        Status(500),
        None,
        Status(304),
    ]);
    let faults = [
        None,
        None,
        Status(502),
        None,
        Cut(100),
        Short(50),
        None,
        Cut(0),
        None,
    ];
    peer.fail_segments(faults.into_iter().cycle().take(90));
    let mut reader = Reader::new(follower(&peer, cache.path()));
    for round in 0..10 {
        follow(&mut reader, &log).await;
        log.append_now(&[payload(round, 300)]).unwrap();
    }
    assert_eq!(reader.splits, [0; 0]);
}

#[tokio::test]
async fn an_interrupted_download_is_resumed_even_by_another_process() {
    let log = log();
    log.append_now(&payloads(3, 300)).unwrap();
    let size = log.feed().len();
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    peer.fail_segments([Fault::Cut(100), Fault::Short(50), Fault::Status(404)]);
    let mut first = follower(&peer, cache.path());
    let error = first.next().await.unwrap_err();
    assert!(matches!(error, SourceError::Server { .. }), "{error}");
    drop(first);
    let ranges = |starts: &[u64]| -> Vec<String> {
        starts
            .iter()
            .map(|start| format!("/logs/0 bytes={start}-{}", size - 1))
            .collect()
    };
    assert_eq!(peer.segment_requests()[..3], ranges(&[0, 100, 150]));
    let mut reader = Reader::new(follower(&peer, cache.path()));
    follow(&mut reader, &log).await;
    assert_eq!(peer.segment_requests().last(), ranges(&[150]).last());
}

#[tokio::test]
async fn servers_that_do_not_know_ranges_are_understood() {
    for fault in [Fault::IgnoreRange, Fault::RangeWithout206] {
        let log = log();
        let cache = tempfile::tempdir().unwrap();
        let peer = Peer::serve(log.feed()).await;
        peer.fail_segments(std::iter::repeat_n(fault, 10));
        let mut reader = Reader::new(follower(&peer, cache.path()));
        for number in 0..8 {
            log.append_now(&[payload(number, 200)]).unwrap();
            follow(&mut reader, &log).await;
        }
        assert_eq!(reader.splits, [0; 0]);
    }
}

#[tokio::test]
async fn a_corrupt_download_is_never_told() {
    let log = log();
    log.append_now(&payloads(2, 300)).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    peer.fail_segments([Fault::Corrupt]);
    let mut reader = Reader::new(follower(&peer, cache.path()));
    let error = reader.try_catch_up().await.unwrap_err();
    assert!(error.to_string().contains("digest"), "{error}");
    follow(&mut reader, &log).await;
    // A corrupt growth: all of the segment is fetched again.
    peer.segment_requests();
    peer.fail_segments([Fault::Corrupt]);
    log.append_now(&[payload(2, 100)]).unwrap();
    follow(&mut reader, &log).await;
    assert_eq!(peer.segment_requests().len(), 2);
    assert_eq!(reader.splits, [0; 0], "it was the download, not the log");
}

#[tokio::test]
async fn a_damaged_cache_is_mended() {
    let log = log();
    log.append_now(&payloads(5, 300)).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    let mut reader = Reader::new(follower(&peer, cache.path()));
    follow(&mut reader, &log).await;
    drop(reader);
    let segments = log.feed().segments();
    let growing = cache.path().join("0001.growing.mutlog");
    for damage in [&b"garbage"[..], b"", &[b'x'; 5000]] {
        fs::write(&growing, damage).unwrap();
        let mut reader = Reader::new(follower(&peer, cache.path()));
        follow(&mut reader, &log).await;
    }
    // Longer than it is listed: the beginning is used.
    let longer = [&contents(log.feed())[1][..], b"REC@"].concat();
    fs::write(&growing, longer).unwrap();
    peer.requests();
    let mut reader = Reader::new(follower(&peer, cache.path()));
    follow(&mut reader, &log).await;
    assert_eq!(peer.segment_requests(), [""; 0]);
    log.append_now(&[payload(5, 10)]).unwrap();
    follow(&mut reader, &log).await;
    drop(reader);
    // A sealed one of another length is fetched again, one with other bytes only when verified.
    let sealed = cache.path().join(sealed_name(segments[0]));
    fs::write(&sealed, "short").unwrap();
    let mut reader = Reader::new(follower(&peer, cache.path()));
    follow(&mut reader, &log).await;
    drop(reader);
    fs::write(&sealed, vec![b'x'; segments[0].size as usize]).unwrap();
    let options = FollowOptions {
        verify: true,
        ..FollowOptions::default()
    };
    let mut reader = Reader::new(Follower::new(&peer.url, cache.path(), options).unwrap());
    follow(&mut reader, &log).await;
}

#[tokio::test]
async fn without_a_server_the_cache_is_told() {
    let log = log();
    log.append_now(&payloads(5, 300)).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    let mut nothing = follower(&peer, cache.path());
    peer.stop().await;
    let error = nothing.next().await.unwrap_err();
    assert!(
        matches!(error, SourceError::Unreachable { attempts: 1, .. }),
        "{error}"
    );
    drop(nothing);

    let peer_again = Peer::serve(log.feed()).await;
    let mut reader = Reader::new(follower(&peer_again, cache.path()));
    follow(&mut reader, &log).await;
    drop(reader);
    // An interrupted download at the end does no harm.
    let growing = cache.path().join("0001.growing.mutlog");
    let torn = [&fs::read(&growing).unwrap()[..], b"REC@"].concat();
    fs::write(&growing, torn).unwrap();
    let mut reader = Reader::new(follower(&peer, cache.path()));
    follow(&mut reader, &log).await;
    let error = reader.try_catch_up().await.unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_talks_nonsense_is_named() {
    let log = log();
    log.append_now(&payloads(2, 300)).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    let entry = |number: i64, size: i64, sum: &str| {
        format!(
            "[{{\"number\":{number},\"size\":{size},\"sha224\":\"{sum}\",\"url\":\"/logs/0\"}}]"
        )
    };
    let sum = Segment::of(0, b"").sha224.to_string();
    let nonsense = [
        ("<html>".to_owned(), "no list of segments"),
        ("{}".to_owned(), "no list of segments"),
        (entry(1, 5, &sum), "in place of 0"),
        (entry(-1, 5, &sum), "in place of 0"),
        (entry(0, -5, &sum), "-5 bytes"),
        (entry(0, 5, "abc"), "no digest"),
        (entry(0, 5 << 32, &sum), "4 GiB"),
    ];
    peer.fail_index([Fault::Status(404)]);
    peer.fail_index(nonsense.iter().map(|(text, _)| Fault::Say(text.clone())));
    let mut reader = Reader::new(follower(&peer, cache.path()));
    let error = reader.try_catch_up().await.unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
    for (_, expected) in nonsense {
        let error = reader.try_catch_up().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    follow(&mut reader, &log).await;
    for url in [
        "",
        "/logs",
        "ftp://example.org/logs",
        "http://",
        "example.org/logs",
    ] {
        let error = Follower::new(url, cache.path(), FollowOptions::default());
        assert!(matches!(error, Err(FollowError::Url { .. })), "{url}");
    }
}

#[tokio::test]
async fn an_empty_segment_at_the_end_is_not_asked_for() {
    let log = log();
    log.append_now(&[payload(1, 100)]).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    let segments = [log.feed().segments()[0], Segment::of(1, b"")];
    let entries = segments.map(|Segment { number, size, sha224 }| {
        format!(
            "{{\"number\":{number},\"size\":{size},\"sha224\":\"{sha224}\",\"url\":\"/logs/{number}\"}}"
        )
    });
    peer.fail_index([Fault::Say(format!("[{}]", entries.join(",")))]);
    let mut follower = follower(&peer, cache.path());
    let event = follower.next().await.unwrap();
    assert!(matches!(event, Event::Batch(_)), "{event:?}");
    let event = follower.next().await.unwrap();
    assert!(
        matches!(&event, Event::CaughtUp { segments: told } if *told == segments),
        "{event:?}"
    );
    assert_eq!(peer.segment_requests().len(), 1);
}

#[tokio::test]
async fn a_server_that_goes_away_in_the_middle_has_told_each_record_once() {
    let log = log();
    log.append_now(&payloads(8, 300)).unwrap();
    let [first, second, ..] = log.feed().segments()[..] else {
        panic!("several segments")
    };
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    peer.fail_segments([Fault::None, Fault::GoAway]);
    let mut reader = Reader::new(follower(&peer, cache.path()));
    let error = reader.try_catch_up().await.unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert_eq!(reader.told(), first.size);
    // What is there is told to its end, and not again.
    peer.stop().await;
    while reader.try_catch_up().await.is_err() {}
    assert_eq!((reader.told(), reader.splits.len()), (first.size, 0));
    assert_eq!(reader.caught_up, [first]);

    // Another process has changed the copy meanwhile.
    let cache = tempfile::tempdir().unwrap();
    let peer = Peer::serve(log.feed()).await;
    peer.fail_segments([Fault::None, Fault::None, Fault::GoAway]);
    let mut reader = Reader::new(follower(&peer, cache.path()));
    reader.try_catch_up().await.unwrap_err();
    assert_eq!(reader.told(), first.size + second.size);
    fs::remove_file(cache.path().join(sealed_name(second))).unwrap();
    peer.stop().await;
    while reader.try_catch_up().await.is_err() {}
    assert_eq!((reader.told(), reader.splits.len()), (first.size, 1));
}
