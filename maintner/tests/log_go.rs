//! A follower written in Go (`tests/go_follower`), with Go's HTTP and JSON, of our server.
//!
//! Runs when there is a Go toolchain, in the path or named by `GO`; otherwise says so.
#![cfg(feature = "serve")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod log_common;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use log_common::{contents, payload};
use maintner::log::{LocalDir, Segment, SegmentLog, SegmentOptions, Sink, server::LogServer};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
};

fn go_follower() -> Option<PathBuf> {
    let go = env::var_os("GO").unwrap_or_else(|| "go".into());
    let found = Command::new(&go)
        .arg("version")
        .stdout(Stdio::null())
        .status();
    if !found.is_ok_and(|status| status.success()) {
        eprintln!("\n*** SKIPPED: there is no Go here, so no Go follower was tested. ***");
        eprintln!("*** Install Go, or name it: GO=/path/to/go                     ***\n");
        return None;
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gofollower");
    let built = Command::new(&go)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go_follower"))
        .args(["build", "-o"])
        .arg(&out)
        .arg(".")
        // Only what is here: the standard library and this toolchain.
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("GOWORK", "off")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "go build: {errors}");
    Some(out)
}

#[tokio::test]
async fn a_go_follower_has_the_leaders_bytes_and_never_a_split() {
    let Some(go_follower) = go_follower() else {
        return;
    };
    let options = || SegmentOptions {
        segment_size: 2000,
        verify: true,
    };
    let dir = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let place = LocalDir::new(dir.path()).unwrap();
    let mut log = SegmentLog::open(place, options()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/logs", listener.local_addr().unwrap());
    let router = LogServer::new(log.feed().clone()).router();
    let server = tokio::spawn(async { axum::serve(listener, router).await });

    // It is told when to end: at the length that a log of these mutations has.
    let all: Vec<_> = (0..24).map(|number| payload(number, 300)).collect();
    let reference = maintner::log::MemoryLog::with_segment_size(2000);
    reference.append_now(&all).unwrap();
    let len = reference.feed().len();
    let mut follower = tokio::process::Command::new(go_follower)
        .arg(&url)
        .arg(cache.path())
        .arg(len.to_string())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    for some in all.chunks(2) {
        log.append(some).await.unwrap();
        let expected = Segment::of(0, &contents(log.feed()).concat());
        let expected = format!("{} {}", expected.size, expected.sha224);
        assert_eq!(lines.next_line().await.unwrap(), Some(expected));
    }
    assert!(follower.wait().await.unwrap().success());
    assert_eq!(log.feed().segments(), reference.feed().segments());
    server.abort();
}
