//! How fast a worker is driven, beside local tools in the same run:
//! `cargo bench -p buildlet-client --bench figures`.
//!
//! The worker is real and in this process, reached over loopback, directly and through a reverse connection.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a figure that cannot be taken is no figure"
)]

#[path = "../tests/common/reverse.rs"]
mod reverse;

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use buildlet::{Buildlet, Config};
use buildlet_client::{Client, Exec};
use bytes::Bytes;
use revdial::Stream;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

const FILES: usize = 2_000;
const ROUNDS: usize = 7;
const EXECS: usize = 200;

#[tokio::main]
async fn main() {
    let dir = TempDir::new().expect("a temporary directory");
    let tree = dir.path().join("tree");
    let bytes = plant(&tree);
    let archive = dir.path().join("tree.tar.gz");
    sh(&format!(
        "tar -C {} -c . | gzip > {}",
        tree.display(),
        archive.display()
    ))
    .await;
    let upload = Bytes::from(std::fs::read(&archive).expect("the archive"));

    let over_tcp = tcp(&dir.path().join("tcp")).await;
    let over_revdial = revdial(&dir.path().join("revdial")).await;
    for (name, client) in [("tcp", &over_tcp), ("revdial", &over_revdial)] {
        put_tree(name, client, &upload, &archive, dir.path()).await;
        get_tree(name, client, &tree, bytes).await;
        exec_true(name, client).await;
    }
}

/// Source-like files of 1 to 8 kB in directories of 50. Returns their size.
fn plant(tree: &Path) -> usize {
    const WORDS: [&str; 12] = [
        "func", "return", "err", "nil", "package", "if", "{\n", "}\n", "range", "append", "bytes",
        "for",
    ];
    let mut random: u64 = 42;
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap_or(0) % below
    };
    let mut bytes = 0;
    for file in 0..FILES {
        let size = 1_000 + next(7_000);
        let mut text = String::with_capacity(size + 16);
        while text.len() < size {
            text.push_str(WORDS[next(WORDS.len())]);
            write!(text, " x{} ", next(1000)).expect("strings take all");
        }
        let path = tree
            .join(format!("dir{}", file / 50))
            .join(format!("file{file}.go"));
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, &text).expect("a file");
        bytes += text.len();
    }
    bytes
}

async fn put_tree(name: &str, client: &Client, upload: &Bytes, archive: &Path, dir: &Path) {
    let local = dir.join("local");
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        client.remove_all(&["tree"]).await.unwrap();
        let source = std::io::Cursor::new(upload.clone());
        ours.push(timed(async { client.put_tar("tree", source).await.unwrap() }).await);
        _ = std::fs::remove_dir_all(&local);
        std::fs::create_dir(&local).unwrap();
        let unpack = format!(
            "gzip -dc {} | tar -x -C {}",
            archive.display(),
            local.display()
        );
        peer.push(timed(sh(&unpack)).await);
    }
    let rate = |times| FILES as f64 / median(times);
    more(
        &format!("put_tree_{name}"),
        rate(ours),
        rate(peer),
        "gzip|tar",
        "files/s",
        0.8,
    );
}

async fn get_tree(name: &str, client: &Client, tree: &Path, bytes: usize) {
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(
            timed(async {
                let mut download = client.get_tar("tree").await.unwrap();
                while let Some(chunk) = download.next_chunk().await {
                    chunk.unwrap();
                }
            })
            .await,
        );
        peer.push(
            timed(sh(&format!(
                "tar -C {} -c . | gzip > /dev/null",
                tree.display()
            )))
            .await,
        );
    }
    let rate = |times| bytes as f64 / 1e6 / median(times);
    more(
        &format!("get_tree_{name}"),
        rate(ours),
        rate(peer),
        "tar|gzip",
        "MB/s",
        1.0,
    );
}

async fn exec_true(name: &str, client: &Client) {
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..EXECS {
        let remote = async {
            let running = client.exec(Exec::system("/bin/true")).await.unwrap();
            assert!(running.wait().await.unwrap().success());
        };
        ours.push(timed(remote).await);
        let local = async { assert!(Command::new("/bin/true").status().await.unwrap().success()) };
        peer.push(timed(local).await);
    }
    let (ours, peer) = (median(ours) * 1e3, median(peer) * 1e3);
    let ratio = ours / peer;
    let target = 5.0;
    let verdict = if ratio <= target { "ok" } else { "SHORT" };
    println!(
        "figure exec_true_{name} ours={ours:.2} peer={peer:.2}(local spawn) unit=ms ratio={ratio:.2} target<={target} {verdict}"
    );
}

fn more(name: &str, ours: f64, peer: f64, who: &str, unit: &str, target: f64) {
    let ratio = ours / peer;
    let verdict = if ratio >= target { "ok" } else { "SHORT" };
    println!(
        "figure {name} ours={ours:.0} peer={peer:.0}({who}) unit={unit} ratio={ratio:.2} target>={target} {verdict}"
    );
}

async fn timed(work: impl Future<Output = ()>) -> Duration {
    let began = Instant::now();
    work.await;
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

async fn sh(script: &str) {
    let status = Command::new("/bin/sh")
        .args(["-c", script])
        .status()
        .await
        .expect("a shell");
    assert!(status.success(), "{script}");
}

async fn tcp(work_dir: &Path) -> Client {
    let worker = Buildlet::new(Config::new(work_dir)).expect("a worker");
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = socket.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = socket.accept().await {
            tcp.set_nodelay(true).unwrap();
            let worker = worker.clone();
            tokio::spawn(async move {
                worker
                    .serve_connection(Stream::new(tcp), CancellationToken::new())
                    .await;
            });
        }
    });
    Client::tcp(addr)
}

async fn revdial(work_dir: &Path) -> Client {
    let worker = Buildlet::new(Config::new(work_dir)).expect("a worker");
    let (dialer, mut listener) = reverse::pair().await;
    tokio::spawn(async move {
        while let Ok(stream) = listener.accept().await {
            let worker = worker.clone();
            tokio::spawn(async move {
                worker
                    .serve_connection(stream, CancellationToken::new())
                    .await
            });
        }
    });
    Client::over("worker", dialer)
}
