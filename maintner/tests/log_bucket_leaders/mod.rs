//! Leaders that overtake each other, or end, at any moment.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use maintner::log::{
    FollowOptions, Follower, OpenError, SegmentLog, SegmentOptions, Sink, SinkError,
    object_store::memory::InMemory,
};

use crate::{
    bucket,
    log_common::{Reader, contents, payload, payloads, records},
    log_faulty::{Fault, Faulty},
    log_peer::Peer,
    names, open, put, small, work,
};

#[tokio::test]
async fn whoever_opens_it_last_leads() {
    let store = Arc::new(InMemory::new());
    let mut first = open(&store).await;
    first.append(&[payload(0, 10)]).await.unwrap();
    let mut second = open(&store).await;
    assert_eq!(contents(second.feed()), contents(first.feed()));
    assert!(matches!(
        first.append(&[payload(1, 10)]).await,
        Err(SinkError::Fenced)
    ));
    assert!(matches!(
        first.append(&[payload(1, 10)]).await,
        Err(SinkError::Fenced)
    ));
    assert_eq!(
        records(&contents(first.feed())).len(),
        1,
        "still to be read"
    );
    first.close().await;
    second.append(&[payload(2, 10)]).await.unwrap();
    assert_eq!(
        records(&contents(open(&store).await.feed())),
        [payload(0, 10), payload(2, 10)]
    );
}

#[tokio::test]
async fn who_leads_no_more_leaves_nothing_behind() {
    let store = Arc::new(InMemory::new());
    let mut first = open(&store).await;
    first.append(&[payload(0, 10)]).await.unwrap();
    let _second = open(&store).await;
    // It has not heard of the other.
    first.close().await;
    assert_eq!(names(&store).await, ["log.head"]);
}

#[tokio::test]
async fn a_follower_sees_no_split_when_leaders_change() {
    let store = Arc::new(InMemory::new());
    let cache = tempfile::tempdir().unwrap();
    let mut log = open(&store).await;
    let peer = Peer::serve(log.feed()).await;
    let options = FollowOptions {
        retry: Duration::from_millis(1),
        ..Default::default()
    };
    let follower = Follower::new(&peer.url, cache.path(), options).unwrap();
    let mut reader = Reader::new(follower);
    let all = payloads(24, 200);
    for some in all.chunks(3) {
        log.append(some).await.unwrap();
        reader.read_to(log.feed().len()).await;
        let next = open(&store).await;
        peer.change_log(next.feed());
        assert!(matches!(log.append(some).await, Err(SinkError::Fenced)));
        log = next;
    }
    assert!(reader.splits.is_empty());
    assert_eq!(reader.segments, contents(log.feed()));
    assert_eq!(records(&contents(log.feed())), all);
}

#[tokio::test]
async fn of_leaders_that_begin_at_once_one_leads() {
    for point in 1..7 {
        let store = Arc::new(InMemory::new());
        let other = Arc::clone(&store);
        let hook = move || {
            async move {
                let mut log = open(&other).await;
                log.append(&[payload(0, 10)]).await.unwrap();
            }
            .boxed()
        };
        let faulty = Faulty::over(&store).before(point, hook);
        let opened = SegmentLog::open_bucket(bucket(faulty), small()).await;
        match opened {
            // Before it knew of anybody, or when it had it.
            Ok(log) if point < 5 => assert!(!log.feed().is_empty(), "{point}"),
            Ok(log) => assert!(point > 5 && log.feed().is_empty(), "{point}"),
            Err(OpenError::Taken) => assert_eq!(point, 5),
            Err(error) => panic!("{point}: {error}"),
        }
        assert_eq!(
            records(&contents(open(&store).await.feed())),
            [payload(0, 10)]
        );
    }
}

#[tokio::test]
async fn what_was_seen_survives_the_end_of_the_leader_at_any_request() {
    let all = payloads(14, 280);
    for fault in [Fault::Dead, Fault::DeadAfter] {
        for point in 1.. {
            let store = Arc::new(InMemory::new());
            let faulty = Faulty::over(&store).fail(point, fault);
            let opened = SegmentLog::open_bucket(bucket(faulty.clone()), small()).await;
            let mut seen = Vec::new();
            let mut acknowledged = 0;
            if let Ok(mut log) = opened {
                (acknowledged, _) = work(&mut log, &all, true).await;
                seen = contents(log.feed()).concat();
                // Dead, or the leader is at its end, which fails in the same way.
                log.close().await;
            }
            let mut log = open(&store).await;
            let now = contents(log.feed());
            assert!(now.concat().starts_with(&seen), "{fault:?} {point}");
            let now = records(&now);
            assert!(
                now.len() >= acknowledged && all.starts_with(&now),
                "{fault:?} {point}"
            );
            assert_eq!(work(&mut log, &all, true).await.0, all.len());
            assert_eq!(records(&contents(log.feed())), all);
            log.close().await;
            drop(open(&store).await);
            assert_eq!(names(&store).await.len(), 6, "{fault:?} {point}");
            if faulty.calls() < point {
                assert!(point > 20);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_leader_that_is_overtaken_at_any_request_has_promised_nothing() {
    let all = payloads(14, 280);
    for (fault, distance) in [
        (None, 0),
        (Some(Fault::Late), 1),
        (Some(Fault::Lost), 1),
        (Some(Fault::Late), 2),
    ] {
        for point in 8.. {
            let store = Arc::new(InMemory::new());
            let other = Arc::clone(&store);
            let others: Vec<_> = (100..105).map(|number| payload(number, 250)).collect();
            let theirs = others.clone();
            // Another leads in the middle of a request, and does all of its work.
            let hook = move || {
                async move {
                    let mut log = open(&other).await;
                    log.append(&theirs).await.unwrap();
                }
                .boxed()
            };
            let mut faulty = Faulty::over(&store).before(point, hook);
            if let Some(fault) = fault {
                faulty = faulty.fail(point - distance, fault);
            }
            let mut log = SegmentLog::open_bucket(bucket(faulty.clone()), small())
                .await
                .unwrap();
            let (acknowledged, error) = work(&mut log, &all, false).await;
            let seen = contents(log.feed()).concat();
            log.close().await;
            if faulty.calls() < point {
                assert!(point > 20);
                break;
            }
            assert!(
                error.is_none() || matches!(error, Some(SinkError::Fenced)),
                "{point}: {error:?}"
            );
            let last = open(&store).await;
            let now = contents(last.feed());
            assert!(now.concat().starts_with(&seen), "{fault:?} {point}");
            let now = records(&now);
            let common = now.iter().zip(&all).take_while(|(a, b)| a == b).count();
            assert!(common >= acknowledged);
            assert_eq!(now[common..], others, "{fault:?} {point}");
        }
    }
}

/// A leader is told that it could not seal a segment, which it has, and lets it grow on: whoever takes
/// over in between sees the segment sealed first, and then not.
#[tokio::test]
async fn a_segment_that_is_sealed_and_then_is_not_is_read_once() {
    for (hook_at, and_seals) in [(2, false), (3, false), (2, true), (3, true)] {
        let store = Arc::new(InMemory::new());
        let slow = Faulty::over(&store);
        let mut first = SegmentLog::open_bucket(bucket(slow.clone()), small())
            .await
            .unwrap();
        first.append(&payloads(2, 300)).await.unwrap();
        // The segment, then the head, of which it is not told.
        let _sealing = slow.clone().fail(slow.calls() + 2, Fault::DeadAfter);
        let error = first.append(&[payload(2, 600)]).await.unwrap_err();
        assert!(matches!(error, SinkError::Io { .. }), "{error}");
        slow.revive();

        // Between the head and the segment, or behind both.
        let hook = async move {
            first.append(&[payload(3, 100)]).await.unwrap();
            if and_seals {
                first.append(&[payload(4, 900)]).await.unwrap();
            }
        };
        let faulty = Faulty::over(&store).before(hook_at, || hook.boxed());
        let second = SegmentLog::open_bucket(bucket(faulty), small())
            .await
            .unwrap();
        let mut expected = payloads(2, 300);
        expected.push(payload(3, 100));
        expected.extend(and_seals.then(|| payload(4, 900)));
        let seen = contents(second.feed());
        assert_eq!(records(&seen), expected, "{hook_at} {and_seals}");
        assert_eq!(contents(open(&store).await.feed()), seen);
    }
}

#[tokio::test]
async fn who_is_overtaken_while_opening_removes_nothing() {
    // What the other does: it needs a piece, or seals what there is.
    for other in [payloads(2, 200_000), payloads(1, 20 << 20)] {
        for point in 1.. {
            let store = Arc::new(InMemory::new());
            let open =
                |client: Faulty| SegmentLog::open_bucket(bucket(client), SegmentOptions::default());
            let mut log = open(Faulty::over(&store)).await.unwrap();
            log.append(&payloads(1, 1000)).await.unwrap();
            let segment = log.feed().segments()[0];
            let bytes = contents(log.feed())[0].clone();
            drop(log);
            // A leader ended when it was sealing, another one when it had written a piece.
            put(&store, &segment.file_name(), bytes).await;
            put(&store, "0000.growing.1-7", "REC").await;

            let (theirs, others) = (Faulty::over(&store), other.clone());
            let hook = async move {
                let mut log = open(theirs).await.unwrap();
                log.append(&others).await.unwrap();
            };
            let faulty = Faulty::over(&store).before(point, || hook.boxed());
            match open(faulty.clone()).await {
                Ok(_) | Err(OpenError::Taken) => {}
                Err(error) => panic!("{point}: {error}"),
            }
            if faulty.calls() < point {
                assert!(point > 4);
                break;
            }
            let log = open(Faulty::over(&store)).await;
            let log = log.unwrap_or_else(|error| panic!("{point}: {error}"));
            let all = [payloads(1, 1000), other.clone()].concat();
            assert!(records(&contents(log.feed())) == all, "{point}");
        }
    }
}
