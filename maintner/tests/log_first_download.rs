//! A corpus of a log that has to be fetched first: taken in while it comes, seen when it is all there.
#![cfg(all(feature = "net", feature = "serve"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod log_peer;

use std::{fs, path::Path, sync::Arc, time::Duration};

use log_peer::{Fault, Peer};
use maintner::{
    corpus::{
        Snapshot,
        live::{FollowError, Follower, Status},
        snapshot_file::SnapshotDir,
    },
    log::{self, FollowOptions, Segment, SourceError, Tail},
    reclog::Header,
    testing::{History, difference, dump},
};
use tokio::sync::Notify;

/// A server of a log whose first segment is sealed; the second has one record.
async fn serve(dir: &Path, first: &[u8]) -> Peer {
    fs::write(dir.join(Segment::of(0, first).file_name()), first).unwrap();
    fs::write(dir.join("0001.growing.mutlog"), "REC@0+0=").unwrap();
    Peer::serve(Tail::open(dir).await.unwrap().feed()).await
}

/// Follows it for the first time.
fn follower(peer: &Peer, cache: &Path) -> Follower<log::Follower> {
    let options = FollowOptions {
        retry: Duration::from_millis(1),
        ..FollowOptions::default()
    };
    let source = log::Follower::new(&peer.url, cache, options).unwrap();
    Follower::open(source, SnapshotDir::new(cache.join("snapshots")))
}

#[tokio::test]
async fn a_segment_is_taken_in_while_the_next_one_is_still_to_come() {
    // What cannot be taken in is told by whoever tries.
    let mut first = History::new(1).log(10_000);
    first.extend_from_slice(&Header::new(first.len() as u64, 1));
    first.push(0xff);
    let [dir, cache] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let peer = serve(dir.path(), &first).await;
    peer.fail_segments([Fault::None, Fault::Hold(Arc::default())]);
    let error = follower(&peer, cache.path()).catch_up().await.unwrap_err();
    assert!(matches!(error, FollowError::Apply(_)), "{error}");
}

#[tokio::test]
async fn nothing_is_seen_before_all_of_it_is_there() {
    let first = History::new(2).log(400_000);
    let [dir, cache] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let peer = serve(dir.path(), &first).await;
    let gate = Arc::new(Notify::new());
    peer.fail_segments([Fault::None, Fault::Hold(Arc::clone(&gate))]);
    let mut follower = follower(&peer, cache.path());
    let corpus = follower.corpus().clone();
    let opened = async {
        while !matches!(corpus.status(), Status::Loading { bytes, .. } if bytes > 0) {
            tokio::task::yield_now().await;
        }
        assert_eq!(corpus.snapshot().log_bytes(), 0);
        gate.notify_one();
    };
    let (snapshot, ()) = tokio::join!(follower.catch_up(), opened);
    let snapshot = snapshot.unwrap();
    assert_eq!(snapshot.log_bytes(), first.len() as u64 + 8);
    let whole = Snapshot::of_log(first).unwrap();
    assert_eq!(difference(&dump(&snapshot), &dump(&whole)), None);
}

#[tokio::test]
async fn what_does_not_have_its_digest_is_never_taken_in() {
    let first = History::new(3).log(50_000);
    let [dir, cache] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let peer = serve(dir.path(), &first).await;
    peer.fail_segments([Fault::Corrupt, Fault::None, Fault::Corrupt]);
    let mut follower = follower(&peer, cache.path());
    for _ in 0..2 {
        let error = follower.catch_up().await.unwrap_err();
        let is_corrupt = matches!(&error, FollowError::Source(SourceError::Server { .. }));
        assert!(is_corrupt, "{error}");
        assert_eq!(follower.corpus().snapshot().log_bytes(), 0);
    }
    let snapshot = follower.catch_up().await.unwrap();
    let whole = Snapshot::of_log(first).unwrap();
    assert_eq!(difference(&dump(&snapshot), &dump(&whole)), None);
}
