//! How long it takes to the first corpus of a log that is on a server.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use maintner::{
    corpus::{live, snapshot_file::SnapshotDir},
    log::{Event, FollowOptions, Follower, Source, Tail, server::LogServer},
};
use tokio::net::TcpListener;

use crate::{Log, ROUNDS, figure_at_most, full, median};

/// Over HTTP on loopback, from a server in the same process; the copy is in the target directory.
pub(crate) fn first(dir: &Path, log: &Log) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let url = runtime.block_on(serve(dir));
    let (mut downloads, mut applies, mut both) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        downloads.push(runtime.block_on(download(&url)).as_secs_f64());
        let start = Instant::now();
        let writer = full(log, 0);
        applies.push(start.elapsed().as_secs_f64());
        drop(writer);
        both.push(runtime.block_on(corpus(&url, log.bytes())).as_secs_f64());
    }
    runtime.shutdown_background();
    let (download, apply, first) = (median(downloads), median(applies), median(both));
    println!(
        "# first corpus after {first:.2} s: fetching takes {download:.2} s, applying {apply:.2} s"
    );
    figure_at_most(
        "first-corpus",
        first / (download + apply),
        "of-the-sum",
        0.8,
    );
}

async fn serve(dir: &Path) -> String {
    let tail = Tail::open(dir).await.expect("a log");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = LogServer::new(tail.feed().clone()).router::<()>();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/logs")
}

/// A log of which nothing is there yet.
fn follower(url: &str, dir: &Path) -> Follower {
    let follower = Follower::new(url, dir.join("cache"), FollowOptions::default());
    follower.expect("a follower")
}

async fn download(url: &str) -> Duration {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let start = Instant::now();
    let mut source = follower(url, dir.path());
    while !matches!(
        source.next().await.expect("a good log"),
        Event::CaughtUp { .. }
    ) {}
    start.elapsed()
}

async fn corpus(url: &str, bytes: u64) -> Duration {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let start = Instant::now();
    let snapshots = SnapshotDir::new(dir.path().join("snapshots"));
    let mut follower = live::Follower::open(follower(url, dir.path()), snapshots);
    let snapshot = follower.catch_up().await.expect("a good log");
    assert_eq!(snapshot.log_bytes(), bytes);
    let took = start.elapsed();
    follower.shutdown().await;
    took
}
