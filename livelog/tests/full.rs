//! A file that can take no more: files of the process are limited (`ulimit -f`) in a process of its own, which is this
//! program again.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

use std::env;
use std::error::Error;
use std::io;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use livelog::{AppendError, Backing, Bytes, Config, Limit, Log, Outcome, ReadError, Writer};
use tokio::task::JoinSet;

/// Bytes in a file at most: 2,048 of ulimit's blocks of 512, or of 1,024 in some shells.
const ROOM: u64 = 1 << 20;
const ROOM_AT_MOST: u64 = 2 << 20;

#[test]
fn a_full_disk() {
    const INSIDE: &str = "LIVELOG_TEST_IN_SMALL_FILES";
    if env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        return runtime.block_on(async {
            let all = tokio::time::timeout(Duration::from_secs(30), inside());
            all.await.expect("a wake-up was lost");
        });
    }
    // A signal comes with the error, which would end the process.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ && ulimit -f 2048 && exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "a_full_disk", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

async fn inside() {
    const MIB: usize = 1 << 20;
    let spill = |memory| Backing::Spill { memory, dir: None };
    for readers in [0, 100] {
        // The job in the background meets the end of the disk long before the writer has to write anything itself.
        next_append_fails(spill(6 * MIB), readers).await;
        // The writer meets it, or either.
        for backing in [spill(MIB), spill(100_000), spill(0), own_file(100_000)] {
            next_append_fails(backing, readers).await;
        }
    }
    in_time(spill(6 * MIB)).await;
    overtaken(spill(MIB)).await;
}

fn own_file(memory: usize) -> Backing {
    Backing::File(tempfile::tempfile().unwrap(), memory)
}

fn bytes(from: u64, to: u64) -> &'static [u8] {
    static TEXT: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..8 << 20).map(|i| (i % 251) as u8).collect());
    &TEXT[from as usize..to as usize]
}

fn append(writer: &mut Writer, len: usize) -> Result<(), AppendError> {
    let from = writer.len();
    let data = Bytes::copy_from_slice(bytes(from, from + len as u64));
    writer.append(data).map(drop)
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}

async fn next_append_fails(backing: Backing, readers: usize) {
    let limit = Limit::Unlimited;
    let (mut writer, log) = livelog::log(Config { limit, backing });
    let mut reading = JoinSet::new();
    for i in 0..readers {
        reading.spawn(all(log.clone(), if i % 2 == 0 { 0 } else { ROOM / 2 }));
    }
    let ended = tokio::spawn({
        let log = log.clone();
        async move { log.ended().await }
    });
    let mut pieces = 0;
    let error = loop {
        // First enough for the job to begin, then little: it has to fail without being pushed.
        let len = if pieces < 80 { 50_000 } else { 1 };
        match append(&mut writer, len) {
            Ok(()) => pieces += 1,
            Err(error) => break error,
        }
        tokio::task::yield_now().await;
    };
    let AppendError::File(source) = &error else {
        panic!("{error}");
    };
    assert!(is_full(source), "{source}");
    assert!(error.source().is_some());
    let again = append(&mut writer, 1);
    assert!(matches!(again, Err(AppendError::Sealed)));

    let failed = Outcome::Failed(io::ErrorKind::FileTooLarge);
    assert_eq!(ended.await.unwrap(), failed);
    let len = writer.len();
    assert!(len > ROOM - 100_000);
    drop(writer);
    assert_eq!((log.len(), log.outcome()), (len, Some(failed)));
    // Those that followed, and those that come now, have every byte that was accepted.
    reading.spawn(all(log.clone(), 0));
    for end in reading.join_all().await {
        assert_eq!(end, len);
    }
    for range in [0..10, ROOM - 60_000..ROOM - 50_000, len - 10..len] {
        let read = log.read_range(range.clone()).await.unwrap();
        assert_eq!(read, bytes(range.start, range.end));
    }
    assert_eq!(log.line_of_offset(len).await.unwrap(), log.lines() - 1);
}

/// Reads, and compares, until the log fails.
async fn all(log: Log, from: u64) -> u64 {
    let mut reader = log.reader_at(from);
    loop {
        match reader.next().await {
            Ok(Some(chunk)) => assert!(chunk.data == bytes(chunk.offset, chunk.end())),
            Ok(None) => panic!("this log was not finished"),
            Err(ReadError::Failed(error)) if is_full(&error) => return reader.offset(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A log that ends before an append had to be told is whole: what the job could not write is still in memory.
async fn in_time(backing: Backing) {
    let limit = Limit::Unlimited;
    let (mut writer, log) = livelog::log(Config { limit, backing });
    append(&mut writer, 4 << 20).unwrap();
    // Begins the job.
    append(&mut writer, 1).unwrap();
    tokio::task::yield_now().await;
    let len = writer.len();
    assert!(len > ROOM_AT_MOST);
    writer.finish();
    assert_eq!(log.outcome(), Some(Outcome::Finished));
    assert!(log.read_range(0..len).await.unwrap() == bytes(0, len));
}

/// Head and newest tail, too large for the disk: the head stays, and all of the tail that nothing was written over.
async fn overtaken(backing: Backing) {
    let (head, tail) = (10_000, ROOM_AT_MOST);
    let marker = Bytes::from_static(b"...");
    let limit = Limit::HeadAndTail { head, tail, marker };
    let (mut writer, log) = livelog::log(Config { limit, backing });
    while append(&mut writer, 50_000).is_ok() {}
    let len = writer.len();
    assert!(matches!(log.outcome(), Some(Outcome::Failed(_))));
    assert!(log.read_range(0..head).await.unwrap() == bytes(0, head));
    let kept = log.gap().map_or(head, |gap| gap.end);
    assert!(len - kept > ROOM - 100_000);
    assert!(log.read_range(kept..len).await.unwrap() == bytes(kept, len));
}
