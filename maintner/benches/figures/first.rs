//! How long it takes to the first corpus of a log that is on a server.

use std::{convert::Infallible, path::Path, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    middleware::{self, Next},
    response::Response,
};
use futures_util::stream;
use http_body_util::BodyExt;
use maintner::{
    corpus::{live, snapshot_file::SnapshotDir},
    log::{Event, FollowOptions, Follower, Source, Tail, server::LogServer},
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep_until},
};

use crate::{Log, figure_at_most, full};

/// Bytes per second that the server sends: a gigabit.
const RATE: f64 = 125e6;

/// Over HTTP on loopback, from a server in the same process; the copy is in the target directory.
pub(crate) fn first(dir: &Path, log: &Log) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let url = runtime.block_on(serve(dir));
    let fetching = runtime.block_on(fetch(&url)).as_secs_f64();
    let start = Instant::now();
    let writer = full(log, 0);
    let applying = start.elapsed().as_secs_f64();
    drop(writer);
    let first = runtime.block_on(corpus(&url, log.bytes())).as_secs_f64();
    runtime.shutdown_background();
    println!(
        "# first corpus after {first:.2} s: fetching takes {fetching:.2} s, applying {applying:.2} s"
    );
    let slower = fetching.max(applying);
    figure_at_most("first-corpus", first / slower, "of-the-slower", 1.1);
}

async fn serve(dir: &Path) -> String {
    let tail = Tail::open(dir).await.expect("a log");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = LogServer::new(tail.feed().clone()).router::<()>();
    let router = router.layer(middleware::from_fn(slowly));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/logs")
}

/// Answers no faster than the network would be.
async fn slowly(request: Request, next: Next) -> Response {
    let (head, body) = next.run(request).await.into_parts();
    let body = body.collect().await.expect("an answer").to_bytes();
    let start = Instant::now();
    let pieces = stream::unfold(
        (body, 0),
        move |(mut rest, sent): (Bytes, usize)| async move {
            let piece = rest.split_to(rest.len().min(64 << 10));
            let sent = sent + piece.len();
            sleep_until(start + Duration::from_secs_f64(sent as f64 / RATE)).await;
            (!piece.is_empty()).then_some((Ok::<_, Infallible>(piece), (rest, sent)))
        },
    );
    Response::from_parts(head, Body::from_stream(pieces))
}

/// A log of which nothing is there yet.
fn follower(url: &str, dir: &Path) -> Follower {
    let follower = Follower::new(url, dir.join("cache"), FollowOptions::default());
    follower.expect("a follower")
}

async fn fetch(url: &str) -> Duration {
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
