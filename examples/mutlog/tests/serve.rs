//! The built program serves a folder to a follower while another writes to it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

use maintner::{
    log::{
        DiskLog, Event, FollowOptions, Follower, LocalDir, Segment, SegmentLog, SegmentOptions,
        Sink, Source,
    },
    reclog::Records,
    testing::History,
};

/// Ends with the test.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(dir: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_mutlog"))
            .arg("serve")
            .arg(dir)
            .args(["--addr", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.split(' ').next().unwrap().to_owned();
        Self { process, url }
    }

    /// Asks it to stop, and expects that it does.
    fn stop(mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
        let mut errors = String::new();
        let stderr = self.process.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        assert_eq!(errors, "");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads until the log has this length; gives its segments, and checks that all was told.
async fn read_to(source: &mut Follower, told: &mut Vec<Vec<u8>>, len: u64) -> Vec<Segment> {
    loop {
        match source.next().await.unwrap() {
            Event::Batch(batch) => {
                if told.len() == batch.segment as usize {
                    told.push(Vec::new());
                }
                let segment = told.last_mut().unwrap();
                assert_eq!(batch.offset, segment.len() as u64);
                segment.extend_from_slice(&batch.bytes);
            }
            Event::CaughtUp { segments } => {
                let all: Vec<_> = (0..).zip(&*told).map(|(n, s)| Segment::of(n, s)).collect();
                assert_eq!(all, segments);
                if maintner::log::total(&segments) == len {
                    return segments;
                }
            }
            Event::Remapped { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_follower_has_what_a_leader_writes_into_the_folder() {
    let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = LocalDir::new(dir.path()).unwrap();
    let options = SegmentOptions {
        segment_size: 20_000,
        verify: true,
    };
    let mut log = SegmentLog::open(place, options).await.unwrap();
    let history = History::new(3).log(60_000);
    let payloads: Vec<_> = Records::new(&history, 0)
        .map(|record| record.unwrap().payload.to_vec().into())
        .collect();
    let (first, rest) = payloads.split_at(10);
    log.append(first).await.unwrap();
    let server = Server::start(dir.path());
    let mut follower = Follower::new(&server.url, cache.path(), FollowOptions::default()).unwrap();
    let mut told = Vec::new();
    let segments = read_to(&mut follower, &mut told, log.feed().len()).await;
    assert_eq!(segments, log.feed().segments());
    for some in rest.chunks(20) {
        log.append(some).await.unwrap();
        read_to(&mut follower, &mut told, log.feed().len()).await;
    }
    assert!(told.len() > 2);
    let segments = read_to_again(&server, cache.path(), log.feed().len()).await;
    assert_eq!(segments, log.feed().segments());
    // Although a follower waits for news.
    server.stop();
}

async fn read_to_again(server: &Server, cache: &Path, len: u64) -> Vec<Segment> {
    let mut follower = Follower::new(&server.url, cache, FollowOptions::default()).unwrap();
    read_to(&mut follower, &mut Vec::new(), len).await
}

#[tokio::test]
async fn a_follower_has_the_files_of_days() {
    let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old = History::new(1).log(5000);
    fs::write(dir.path().join("maintner-2018-07-09.mutlog"), &old).unwrap();
    let mut log = DiskLog::open(dir.path()).await.unwrap();
    let server = Server::start(dir.path());
    let mut follower = Follower::new(&server.url, cache.path(), FollowOptions::default()).unwrap();
    let mut told = Vec::new();
    read_to(&mut follower, &mut told, old.len() as u64).await;
    log.append(&[Default::default()]).await.unwrap();
    let segments = read_to(&mut follower, &mut told, log.feed().len()).await;
    assert_eq!(segments, log.feed().segments());
    assert_eq!(told, [old, b"REC@0+0=".to_vec()]);
    server.stop();
}

#[test]
fn what_cannot_be_served_is_said() {
    let fails = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mutlog"));
        let output = command.arg("serve").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let any = ["--listen", "127.0.0.1:0"];
    assert!(fails(&[path, any[0], any[1]]).contains("is a log's"));
    let none = format!("{path}/none");
    assert!(fails(&[&none, any[0], any[1]]).contains("cannot read"));
    let file = format!("{path}/0001.growing.mutlog");
    fs::write(&file, "REC@0+0=").unwrap();
    assert!(fails(&[&file, any[0], any[1]]).contains("is no folder"));
    assert!(fails(&[path, any[0], any[1]]).contains("segment 0 is missing"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    assert!(fails(&[path, "--listen", &taken]).contains("take another address with --listen"));
}
