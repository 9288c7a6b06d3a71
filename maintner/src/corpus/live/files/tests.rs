use std::{
    collections::VecDeque,
    fs,
    path::PathBuf,
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::*;
use crate::{
    corpus::{
        Corpus, Snapshot,
        live::{Follower, Hand},
    },
    log::{Event, MemoryLog, Source, SourceError},
    reclog::Records,
    testing::{History, difference, dump},
};

const SEGMENT: u64 = 30_000;

/// A log of this history, of about so many bytes, in several segments.
fn log(seed: u64, bytes: usize) -> MemoryLog {
    let log = MemoryLog::with_segment_size(SEGMENT);
    append(&log, seed, 0..bytes);
    log
}

/// Appends the records of a history that end within a range of its bytes.
fn append(log: &MemoryLog, seed: u64, range: std::ops::Range<usize>) {
    for some in payloads(seed, range).chunks(50) {
        log.append_now(some).unwrap();
    }
}

fn payloads(seed: u64, range: std::ops::Range<usize>) -> Vec<Bytes> {
    let bytes = Bytes::from(History::new(seed).log(range.end));
    let records = Records::new(&bytes, 0).map(Result::unwrap);
    records
        .filter(|record| record.end() as usize > range.start)
        .map(|record| bytes.slice_ref(record.payload))
        .collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn dir(&self) -> SnapshotDir {
        SnapshotDir::new(self.0.path()).min_log_bytes(0)
    }

    /// The files, and how many bytes of the log each knows.
    fn files(&self) -> Vec<(u64, PathBuf)> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.0.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let known = name
                .strip_suffix(".snap")
                .and_then(|name| name.rsplit('.').next()?.parse().ok());
            files.push((known.unwrap_or_else(|| panic!("{name}")), path));
        }
        files.sort();
        files
    }

    fn known(&self) -> Vec<u64> {
        self.files().into_iter().map(|(known, _)| known).collect()
    }
}

/// What a whole log says, read without files.
fn expected(log: &MemoryLog) -> Snapshot {
    let mut writer = Writer::new();
    for segment in log.feed().segments() {
        let bytes = log.feed().read(segment.number, 0..u64::MAX).unwrap();
        writer.apply(segment.number, 0, &bytes).unwrap();
    }
    writer.publish()
}

fn compare(snapshot: &Snapshot, log: &MemoryLog) {
    assert_eq!(difference(&dump(snapshot), &dump(&expected(log))), None);
    assert_eq!(snapshot.position(), log.feed().position());
}

/// Starts, stops; what was known then.
async fn start(log: &MemoryLog, dir: SnapshotDir) -> Snapshot {
    let mut follower = Follower::open(log.source(), dir);
    let snapshot = follower.catch_up().await.unwrap();
    follower.shutdown().await;
    compare(&snapshot, log);
    snapshot
}

/// Waits for what is being saved.
async fn saved<S: Source>(follower: &mut Follower<S>) {
    let Hand::Here(writing) = &mut follower.writer else {
        panic!("the writer is away");
    };
    writing.files.as_mut().unwrap().saved().await;
}

/// Tells what it was told to, then nothing.
struct Told(VecDeque<Event>);

impl Source for Told {
    async fn next(&mut self) -> Result<Event, SourceError> {
        match self.0.pop_front() {
            Some(event) => Ok(event),
            None => std::future::pending().await,
        }
    }
}

/// Tells a log; in place of segments that end in its first `hidden` bytes, nothing that anybody
/// could read.
fn events(log: &MemoryLog, hidden: u64) -> VecDeque<Event> {
    let segments = log.feed().segments();
    let mut end = 0;
    let mut events = VecDeque::new();
    for &Segment { number, size, .. } in &segments {
        end += size;
        let mut bytes = log.feed().read(number, 0..u64::MAX).unwrap();
        if end <= hidden {
            bytes = vec![0; size as usize].into();
        }
        events.push_back(Event::Batch(Batch {
            segment: number,
            offset: 0,
            bytes,
        }));
    }
    events.push_back(Event::CaughtUp { segments });
    events
}

#[tokio::test]
async fn the_next_start_does_not_read_the_log() {
    let (folder, log) = (Folder::new(), log(1, 200_000));
    start(&log, folder.dir()).await;
    let len = log.feed().len();
    assert_eq!(
        folder.known(),
        [len],
        "saved after a start that read it all"
    );
    // A little more is no reason for a new file, and all that is read.
    append(&log, 1, 200_000..205_000);
    let source = Told(events(&log, len - SEGMENT));
    let mut follower = Follower::open(source, folder.dir());
    let snapshot = follower.catch_up().await.unwrap();
    assert_eq!(snapshot.position(), log.feed().position());
    assert_eq!(snapshot.commits().len(), expected(&log).commits().len());
    assert_eq!((snapshot.generation(), snapshot.epoch()), (1, 0));
    follower.shutdown().await;
    assert_eq!(folder.known(), [len]);
    // Without the file it cannot be done.
    let nothing = Folder::new();
    let mut follower = Follower::open(Told(events(&log, len - SEGMENT)), nothing.dir());
    assert!(follower.catch_up().await.is_err());
    follower.shutdown().await;
    assert!(nothing.known().is_empty());
}

/// How much of a log has been applied by a follower that has read all that came, which is not all.
async fn applied(follower: &mut Follower<Told>) -> u64 {
    loop {
        {
            let mut call = pin!(follower.catch_up());
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
        }
        match &follower.writer {
            Hand::Here(writing) if follower.source.0.is_empty() => {
                return writing.writer.log_bytes();
            }
            _ => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn without_a_file_segments_are_taken_in_while_others_are_still_to_come() {
    let (folder, log) = (Folder::new(), log(9, 100_000));
    let mut events = events(&log, 0);
    let rest = events.split_off(2);
    let two: u64 = log.feed().segments()[..2]
        .iter()
        .map(|segment| segment.size)
        .sum();
    // In the way of nobody: of another program, and what is none.
    fs::write(folder.0.path().join("corpus.0.1000.snap"), "x").unwrap();
    let mut follower = Follower::open(Told(events.clone()), folder.dir());
    assert_eq!(applied(&mut follower).await, two);
    let unread = follower.corpus().snapshot();
    assert_eq!(unread.log_bytes(), 0, "nobody sees a part");
    follower.source.0.extend(rest);
    compare(&follower.catch_up().await.unwrap(), &log);
    follower.shutdown().await;

    // It may know all of it: then nothing need be applied.
    let mut follower = Follower::open(Told(events), folder.dir());
    assert_eq!(applied(&mut follower).await, 0);
}

#[tokio::test]
async fn a_stale_a_foreign_a_damaged_and_a_newer_file_change_nothing() {
    let folder = Folder::new();
    let short = log(1, 100_000);
    start(&short, folder.dir()).await;
    // Stale: half of the log is missing in it.
    let long = log(1, 200_000);
    start(&long, folder.dir()).await;
    assert_eq!(folder.known(), [short.feed().len(), long.feed().len()]);
    // Newer than the log: the first one fits.
    start(&short, folder.dir()).await;
    // None does.
    let shorter = log(1, 50_000);
    start(&shorter, folder.dir()).await;
    // Foreign ones, longer and shorter.
    for bytes in [40_000, 150_000, 400_000] {
        start(&log(2, bytes), folder.dir()).await;
    }
    start(&long, folder.dir()).await;
    // Damaged, in turn at its beginning, in its middle, at its end, and cut.
    for turn in 0..4 {
        for (_, file) in folder.files() {
            let mut bytes = fs::read(&file).unwrap();
            let at = [0, bytes.len() / 2, bytes.len() - 1][turn % 3];
            bytes[at] ^= 1;
            bytes.truncate(if turn == 3 { at } else { bytes.len() });
            fs::write(&file, bytes).unwrap();
        }
        start(&long, folder.dir()).await;
        // In place of the damaged one.
        assert!(folder.known().contains(&long.feed().len()));
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_no_reason_to_stop() {
    let folder = Folder::new();
    let file = folder.0.path().join("file");
    fs::write(&file, "").unwrap();
    let log = log(3, 50_000);
    start(&log, SnapshotDir::new(&file).min_log_bytes(0)).await;
    start(&log, folder.dir().max_bytes(1000)).await;
    fs::remove_file(file).unwrap();
    assert!(folder.known().is_empty());
    start(&log, folder.dir().min_log_bytes(60_000)).await;
    assert!(folder.known().is_empty());
}

#[tokio::test]
async fn files_are_made_now_and_then() {
    let (folder, log) = (Folder::new(), MemoryLog::with_segment_size(SEGMENT));
    let mut follower = Follower::open(log.source(), folder.dir().min_log_bytes(20_000));
    let mut made = Vec::new();
    for some in payloads(4, 0..150_000).chunks(2) {
        log.append_now(some).unwrap();
        let snapshot = follower.catch_up().await.unwrap();
        saved(&mut follower).await;
        let known = folder.known().pop();
        if known > made.last().copied() {
            assert_eq!(known, Some(snapshot.log_bytes()));
            made.extend(known);
        }
    }
    assert!(made[0] >= 20_000 && made.len() > 5, "{made:?}");
    // Not more often than when it has grown by a quarter, so that they take no more than it.
    assert!(
        made.windows(2).all(|two| two[1] * 3 > two[0] * 4),
        "{made:?}"
    );
    compare(&follower.corpus().snapshot(), &log);

    // At the end if that saves something.
    let last = *made.last().unwrap();
    let len = log.feed().len();
    assert!(len > last + last / 10, "{len} {made:?}");
    follower.shutdown().await;
    assert_eq!(folder.known().pop(), Some(len));
    let follower = Follower::open(log.source(), folder.dir());
    follower.shutdown().await;
    assert_eq!(folder.known().pop(), Some(len));
}

#[tokio::test]
async fn after_a_split_a_file_of_the_new_log_is_taken() {
    let folder = Folder::new();
    let (old, new) = (log(5, 100_000), log(6, 150_000));
    start(&new, folder.dir()).await;
    let mut told = events(&old, 0);
    told.push_back(Event::Split { common: 0 });
    told.extend(events(&new, new.feed().len() - SEGMENT));
    told.push_back(Event::Split { common: 0 });
    told.extend(events(&old, 0));
    let mut follower = Follower::open(Told(told), folder.dir());
    let first = follower.catch_up().await.unwrap();
    compare(&first, &old);
    let second = follower.catch_up().await.unwrap();
    assert_eq!(second.position(), new.feed().position());
    assert_eq!(second.commits().len(), expected(&new).commits().len());
    assert_eq!((second.generation(), second.epoch()), (2, 1));
    let third = follower.catch_up().await.unwrap();
    assert_eq!((third.generation(), third.epoch()), (3, 2));
    compare(&third, &old);
    compare(&first, &old);
}

#[tokio::test]
async fn a_start_that_is_dropped_anywhere_loses_nothing() {
    let (folder, log) = (Folder::new(), log(7, 120_000));
    let dir = folder.dir();
    start(&log, dir.clone()).await;
    append(&log, 7, 120_000..160_000);
    for polls in 0..30 {
        let mut follower = Follower::open(log.source(), dir.clone());
        let mut is_ready = false;
        for _ in 0..polls {
            // Each call is dropped after its first look.
            let mut call = pin!(follower.catch_up());
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(snapshot) = polled {
                compare(&snapshot.unwrap(), &log);
                is_ready = true;
            }
            tokio::task::yield_now().await;
        }
        if polls % 3 == 0 {
            // All of it, while it loads, or saves.
            let corpus = follower.corpus().clone();
            drop(follower);
            all_or_nothing(&corpus, &log).await;
        } else if polls % 3 == 1 && !is_ready {
            compare(&follower.catch_up().await.unwrap(), &log);
        } else {
            follower.shutdown().await;
        }
    }
    start(&log, dir).await;
    assert_eq!(folder.known().pop(), Some(log.feed().len()));
}

/// What readers see of a corpus whose follower was dropped before it followed.
async fn all_or_nothing(corpus: &Corpus, log: &MemoryLog) {
    assert!(corpus.newer_than(u64::MAX).await.is_none());
    let snapshot = corpus.snapshot();
    if snapshot.generation() > 0 {
        compare(&snapshot, log);
    }
}

#[test]
fn a_follower_that_is_dropped_while_it_loads_publishes_no_part() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (folder, log) = (Folder::new(), log(9, 100_000));
        start(&log, folder.dir()).await;
        // Of this log and this program by its name, so that the log is held, but it does not fit.
        for (_, path) in folder.files() {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        let files = folder.files();
        let mut follower = Follower::open(Told(events(&log, 0)), folder.dir());
        let corpus = follower.corpus().clone();
        // The one thread has something else to do until the follower is gone.
        let (go, wait) = std::sync::mpsc::channel();
        let busy = tokio::task::spawn_blocking(move || wait.recv());
        {
            let mut call = pin!(follower.catch_up());
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
        }
        assert!(follower.source.0.is_empty() && matches!(follower.writer, Hand::Away(_)));
        drop(follower);
        go.send(()).unwrap();
        busy.await.unwrap().unwrap();
        assert!(corpus.newer_than(u64::MAX).await.is_none());
        assert_eq!(corpus.snapshot().generation(), 0);
        assert_eq!(folder.files(), files, "nor is one saved");
    });
}

#[tokio::test]
async fn a_live_corpus_that_is_shut_down_has_saved() {
    let (folder, log) = (Folder::new(), log(8, 60_000));
    let follower = Follower::open(log.source(), folder.dir());
    let live = follower.spawn();
    let corpus = live.corpus().clone();
    corpus.newer_than(0).await.unwrap();
    append(&log, 8, 60_000..66_000);
    let mut snapshot = corpus.snapshot();
    while snapshot.log_bytes() < log.feed().len() {
        snapshot = corpus.newer_than(snapshot.generation()).await.unwrap();
    }
    live.shutdown().await;
    assert_eq!(folder.known().pop(), Some(log.feed().len()));
    assert!(corpus.newer_than(u64::MAX).await.is_none());
    compare(&corpus.snapshot(), &log);
}
