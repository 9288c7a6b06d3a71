//! Logs in folders, in files and on servers.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{fs, io::Write, path::Path};

use bytes::Bytes;
use godata::{
    Error, Options,
    maintner::{
        corpus::{Snapshot, live::Status},
        log::{
            DiskLog, LocalDir, MemoryLog, SegmentLog, SegmentOptions, Sha224Sum, Sink,
            server::LogServer,
        },
        proto::{GithubIssueMutation, Mutation},
        reclog::{Header, Records},
        testing::History,
    },
};
use prost::Message;

fn payloads(seed: u64, count: usize) -> Vec<Bytes> {
    let mutations = History::new(seed).take(count);
    mutations
        .map(|mutation| mutation.encode_to_vec().into())
        .collect()
}

fn titled(title: &str) -> Bytes {
    let issue = GithubIssueMutation {
        owner: "o".into(),
        repo: "r".into(),
        number: 1,
        title: title.into(),
        ..Default::default()
    };
    let mutation = Mutation {
        github_issue: Some(issue),
        ..Default::default()
    };
    mutation.encode_to_vec().into()
}

fn title(snapshot: &Snapshot) -> Option<String> {
    let issue = snapshot.github().repo("o", "r")?.issue(1)?;
    Some(issue.title().to_owned())
}

/// Waits until issue 1 has this title.
async fn wait_for(corpus: &godata::Corpus, expected: &str) {
    let mut snapshot = corpus.snapshot();
    while title(&snapshot).as_deref() != Some(expected) {
        snapshot = corpus.newer_than(snapshot.generation()).await.unwrap();
    }
}

/// What can be told of two corpora that are the same.
fn told(snapshot: &Snapshot) -> Vec<String> {
    let issues = snapshot.github().repos().flat_map(|repo| repo.issues());
    let issues =
        issues.map(|issue| format!("{issue:?} {} {}", issue.body(), issue.comment_count()));
    let commits = snapshot
        .commits()
        .iter()
        .map(|commit| commit.message().to_owned());
    issues.chain(commits).collect()
}

fn options(cache: &Path) -> Options {
    Options::new().cache(cache)
}

#[tokio::test]
async fn a_disk_log_is_followed_while_it_grows() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = DiskLog::open(dir.path()).await.unwrap();
    log.append(&payloads(1, 200)).await.unwrap();
    let corpus = options(dir.path())
        .open(dir.path().to_str().unwrap())
        .await
        .unwrap();
    assert!(corpus.snapshot().commits().len() > 10);
    for turn in ["first", "second"] {
        log.append(&[titled(turn)]).await.unwrap();
        wait_for(&corpus, turn).await;
    }
}

#[tokio::test]
async fn a_file_and_a_folder_of_segments_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let log = History::new(2).log(100_000);
    let file = dir.path().join("any.mutlog");
    fs::write(&file, &log).unwrap();
    let expected = Snapshot::of_log(log.clone()).unwrap();
    let corpus = options(dir.path())
        .open(file.to_str().unwrap())
        .await
        .unwrap();
    assert_eq!(told(&corpus.snapshot()), told(&expected));

    let segments = dir.path().join("segments");
    fs::create_dir(&segments).unwrap();
    let sealed = format!("0000.{}.mutlog", "0a".repeat(28));
    fs::write(segments.join(sealed), &log).unwrap();
    fs::write(segments.join("0000.growing.mutlog"), b"left behind").unwrap();
    fs::write(segments.join("0001.growing.mutlog"), b"").unwrap();
    let corpus = options(dir.path())
        .open(segments.to_str().unwrap())
        .await
        .unwrap();
    assert_eq!(told(&corpus.snapshot()), told(&expected));

    fs::write(segments.join("0003.growing.mutlog"), b"REC@0+0=").unwrap();
    let refused = options(dir.path())
        .open(segments.to_str().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Read { .. }), "{refused}");
}

#[tokio::test]
async fn a_leaders_folder_is_followed_whatever_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("log");
    let lead = async || {
        let place = LocalDir::new(&folder).unwrap();
        let options = SegmentOptions {
            segment_size: 10_000,
            ..SegmentOptions::default()
        };
        SegmentLog::open(place, options).await.unwrap()
    };
    let mut log = lead().await;
    log.append(&payloads(6, 200)).await.unwrap();
    // A record is being written, and is not finished.
    log.close().await;
    let written = log.feed().len();
    let last = log.feed().segments().len() - 1;
    assert!(last > 1);
    let growing = folder.join(format!("{last:04}.growing.mutlog"));
    let mut growing = fs::File::options().append(true).open(growing).unwrap();
    growing.write_all(b"REC@").unwrap();

    let cache = dir.path().join("cache");
    let corpus = options(&cache).open(folder.to_str().unwrap()).await;
    let corpus = corpus.unwrap();
    assert_eq!(corpus.snapshot().log_bytes(), written);
    // The next leader goes on, in more segments.
    let mut log = lead().await;
    for turn in ["first", "second"] {
        log.append(&payloads(7, 100)).await.unwrap();
        log.append(&[titled(turn)]).await.unwrap();
        wait_for(&corpus, turn).await;
    }
    assert!(log.feed().segments().len() > last + 1);
    assert_eq!(corpus.snapshot().log_bytes(), log.feed().len());
}

#[tokio::test]
async fn a_server_is_followed() {
    let log = MemoryLog::new();
    log.append_now(&payloads(3, 300)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/logs", listener.local_addr().unwrap());
    let router: axum::Router = LogServer::new(log.feed().clone()).router();
    let served = tokio::spawn(axum::serve(listener, router).into_future());
    let cache = tempfile::tempdir().unwrap();
    let corpus = options(cache.path()).open(&url).await.unwrap();
    assert_eq!(corpus.snapshot().log_bytes(), log.feed().len());
    log.append_now(&[titled("news")]).unwrap();
    wait_for(&corpus, "news").await;
    drop(corpus);
    let again = options(cache.path()).open(&url).await.unwrap();
    assert_eq!(title(&again.snapshot()).as_deref(), Some("news"));
    served.abort();
}

/// A log that is long enough for a snapshot file, most of it in a few records.
fn long_log() -> Vec<u8> {
    let mut log = History::new(4).log(200_000);
    let text = "A long story. ".repeat(80_000);
    while log.len() < 17 << 20 {
        let payload = titled(&text);
        log.extend_from_slice(&Header::new(log.len() as u64, payload.len() as u64));
        log.extend_from_slice(&payload);
    }
    log
}

#[tokio::test]
async fn a_snapshot_file_is_made_used_and_never_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let segments = dir.path().join("log");
    fs::create_dir(&segments).unwrap();
    let log = long_log();
    let digest = Sha224Sum::of(&log);
    let sealed = segments.join(format!("0000.{digest}.mutlog"));
    fs::write(&sealed, &log).unwrap();
    // The last segment is read in any case.
    fs::write(segments.join("0001.growing.mutlog"), "REC@0+0=").unwrap();
    let expected = told(&Snapshot::of_log(log.clone()).unwrap());
    let (cache, segments) = (dir.path().join("cache"), segments.to_str().unwrap());
    let open = async || options(&cache).open(segments).await;
    let files = || -> Vec<_> {
        let files = fs::read_dir(cache.join("snapshots")).into_iter().flatten();
        files.map(|file| file.unwrap().path()).collect()
    };

    let first = open().await.unwrap();
    assert_eq!(told(&first.snapshot()), expected);
    first.shutdown().await;
    assert_eq!(files().len(), 1);

    // Rows come from the file, only text from the log: which cannot be read as records now.
    let mut unreadable = log.clone();
    unreadable[..4].fill(0);
    fs::write(&sealed, &unreadable).unwrap();
    assert_eq!(told(&open().await.unwrap().snapshot()), expected);
    let all = options(&cache).snapshot_file(false).open(segments).await;
    assert!(matches!(all, Err(Error::Apply { .. })));

    // Damaged, it is of no use.
    for file in files() {
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).unwrap();
    }
    assert!(open().await.is_err());
    fs::write(&sealed, &log).unwrap();
    assert_eq!(told(&open().await.unwrap().snapshot()), expected);

    let other = dir.path().join("other");
    let without = options(&other).snapshot_file(false);
    without.open(segments).await.unwrap().shutdown().await;
    assert!(!other.exists());
}

#[tokio::test]
async fn it_tells_how_far_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = History::new(5).log(100_000);
    let file = dir.path().join("any.mutlog");
    fs::write(&file, &log).unwrap();
    let opening = options(dir.path()).begin(file.to_str().unwrap()).await;
    let opening = opening.unwrap();
    let corpus = opening.corpus().clone();
    assert!(matches!(corpus.status(), Status::Loading { bytes: 0, .. }));
    let told = async {
        let mut last = corpus.status();
        while matches!(corpus.status(), Status::Loading { .. }) {
            last = corpus.status();
            tokio::task::yield_now().await;
        }
        last
    };
    let (last, ready) = tokio::join!(biased; told, opening.ready());
    let len = log.len() as u64;
    assert!(matches!(last, Status::Loading { bytes, of } if bytes == len && of == Some(len)));
    assert_eq!(ready.unwrap().snapshot().log_bytes(), len);
}

#[tokio::test]
async fn a_file_with_a_torn_end_opens_like_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = History::new(6).log(20_000);
    let whole = log.len();
    let expected = told(&Snapshot::of_log(log.clone()).unwrap());
    let payload = titled("torn");
    log.extend_from_slice(&Header::new(whole as u64, payload.len() as u64));
    log.extend_from_slice(&payload);
    for name in ["any.mutlog", "folder/maintner-2018-07-09.mutlog"] {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        for end in whole..log.len() {
            fs::write(&file, &log[..end]).unwrap();
            let path = match name.starts_with("folder") {
                true => file.parent().unwrap(),
                false => &file,
            };
            let opened = options(dir.path()).open(path.to_str().unwrap()).await;
            let snapshot = opened.unwrap().snapshot();
            assert_eq!(snapshot.log_bytes(), whole as u64);
            assert_eq!(told(&snapshot), expected, "{end}");
        }
    }
    // Only a torn record.
    let file = dir.path().join("any.mutlog");
    fs::write(&file, "REC@0+5=hell").unwrap();
    let opened = options(dir.path()).open(file.to_str().unwrap()).await;
    assert_eq!(opened.unwrap().snapshot().log_bytes(), 0);
}

#[tokio::test]
async fn damage_in_the_middle_is_no_torn_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = History::new(6).log(20_000);
    // A length that reaches beyond the end of the file; all that follows keeps its place.
    let second = 1 + log[1..].windows(4).position(|at| at == b"REC@").unwrap();
    let equals = second + log[second..].iter().position(|&b| b == b'=').unwrap();
    log[equals..equals + 4].copy_from_slice(b"fff=");
    let told = Records::new(&log, 0).find_map(Result::err);
    assert!(told.is_some_and(|error| error.is_torn()));
    for name in ["any.mutlog", "folder/maintner-2018-07-09.mutlog"] {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &log).unwrap();
        let path = match name.starts_with("folder") {
            true => file.parent().unwrap(),
            false => &file,
        };
        let opened = options(dir.path()).open(path.to_str().unwrap()).await;
        assert!(opened.is_err(), "{name}");
    }
}

#[tokio::test]
async fn what_is_no_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open = async |log: &str| options(dir.path()).open(log).await.unwrap_err();
    let error = open("/nowhere").await;
    assert!(error.to_string().contains("neither an address"), "{error}");
    assert!(matches!(open("http://").await, Error::Address { .. }));
    let file = dir.path().join("x");
    fs::write(&file, b"REC@0+1=\xff").unwrap();
    let error = open(file.to_str().unwrap()).await;
    assert!(matches!(error, Error::Apply { .. }), "{error}");
}
