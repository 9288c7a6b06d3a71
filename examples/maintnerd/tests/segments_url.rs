//! Sealed segments that followers fetch elsewhere.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, http::Uri};
use maintner::{
    corpus::live,
    log::{FollowOptions, Follower, Segment},
    testing::History,
};
use tokio::net::TcpListener;

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A maintnerd that serves the log in `data`; and the address of the log.
fn start(data: &Path, segments_url: &str) -> (Killed, String) {
    let mut maintnerd = Command::new(env!("CARGO_BIN_EXE_maintnerd"));
    maintnerd
        .args(["--listen", "127.0.0.1:0", "--segments-url", segments_url])
        .arg("--data-dir")
        .arg(data);
    let mut child = Killed(maintnerd.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    let line = lines.find(|line| line.trim_start().starts_with("follow"));
    let url = line.unwrap().split_whitespace().nth(1).unwrap().to_owned();
    // What it says later has somewhere to go.
    std::thread::spawn(move || lines.for_each(drop));
    (child, url)
}

/// What everybody may fetch, by path, and what was asked for.
#[derive(Clone, Default)]
struct Bucket {
    object: (String, Vec<u8>),
    asked: Arc<Mutex<Vec<String>>>,
}

async fn object(State(bucket): State<Bucket>, uri: Uri) -> Vec<u8> {
    let (path, bytes) = bucket.object;
    bucket.asked.lock().unwrap().push(uri.path().to_owned());
    if uri.path() == path {
        bytes
    } else {
        Vec::new()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_fetch_sealed_segments_where_it_says() {
    let data = tempfile::tempdir().unwrap();
    let sealed = History::new(1).log(100_000);
    let name = Segment::of(0, &sealed).file_name();
    fs::write(data.path().join(&name), &sealed).unwrap();
    // Only the last segment grows.
    let growing = b"REC@0+0=";
    fs::write(data.path().join("0001.growing.mutlog"), growing).unwrap();

    let bucket = Bucket {
        object: (format!("/bucket/logs/{name}"), sealed.clone()),
        ..Bucket::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public = format!("http://{}/bucket/logs/", listener.local_addr().unwrap());
    let objects = Router::new().fallback(object).with_state(bucket.clone());
    tokio::spawn(async { axum::serve(listener, objects).await.unwrap() });

    let (_maintnerd, url) = start(data.path(), &public);
    let cache = tempfile::tempdir().unwrap();
    let source = Follower::new(&url, cache.path(), FollowOptions::default()).unwrap();
    let mut follower = live::Follower::new(source);
    let snapshot = follower.catch_up().await.unwrap();
    assert_eq!(snapshot.log_bytes(), (sealed.len() + growing.len()) as u64);
    assert_eq!(*bucket.asked.lock().unwrap(), [bucket.object.0]);
    assert_eq!(fs::read(cache.path().join(name)).unwrap(), sealed);
}

#[test]
fn what_is_no_address_is_refused() {
    for url in ["gs://bucket", "https://", "bucket"] {
        let mut maintnerd = Command::new(env!("CARGO_BIN_EXE_maintnerd"));
        let output = maintnerd.args(["--segments-url", url]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("it looks like https://"), "{text}");
    }
}
