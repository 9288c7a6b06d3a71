//! Many readers, some of which are asleep. Alone in its process, because it looks at the memory of the process.

use std::fs;
use std::hash::{DefaultHasher, Hasher};

use livelog::{Backing, Bytes, Config, Reader};
use tokio::task::JoinSet;

const READERS: usize = 1000;

async fn digest(mut reader: Reader) -> (u64, u64) {
    let mut hasher = DefaultHasher::new();
    while let Some(chunk) = reader.next().await.expect("the log is whole") {
        hasher.write(&chunk.data);
    }
    (reader.offset(), hasher.finish())
}

/// Resident memory in bytes, where the system tells.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib = line
        .trim()
        .strip_suffix(" kB")?
        .trim()
        .parse::<u64>()
        .ok()?;
    Some(kib << 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_and_sleepers() {
    let total = a_thousand_readers_agree().await;
    assert_eq!(total, 500 * 700);
    sleepers_cost_nothing().await;
}

async fn a_thousand_readers_agree() -> u64 {
    let (mut writer, log) = livelog::log(Config::default());
    let mut readers = JoinSet::new();
    for _ in 0..READERS / 2 {
        readers.spawn(digest(log.reader()));
    }
    for i in 0..500_usize {
        writer
            .append(Bytes::from(vec![i as u8; 700]))
            .expect("memory takes all");
        if i % 2 == 0 {
            tokio::task::yield_now().await;
        }
        if i == 250 {
            for _ in 0..READERS / 2 {
                readers.spawn(digest(log.reader()));
            }
        }
    }
    writer.finish();
    let mut digests = readers.join_all().await;
    assert_eq!(digests.len(), READERS);
    digests.dedup();
    assert_eq!(digests.len(), 1);
    digests[0].0
}

async fn sleepers_cost_nothing() {
    const MIB: usize = 1 << 20;
    let file = tempfile::tempfile().expect("a temporary file");
    let (mut writer, log) = livelog::log(Config {
        backing: Backing::File(file, MIB),
        ..Config::default()
    });
    let block = Bytes::from(vec![b'x'; 8 << 10]);
    writer.append(block.clone()).expect("the disk has room");
    let mut sleepers = Vec::new();
    for _ in 0..READERS {
        let mut sleeper = log.reader();
        sleeper
            .next()
            .await
            .expect("readable")
            .expect("the first block");
        sleepers.push(sleeper);
    }
    let before = resident();
    for _ in 0..(64 * MIB) / block.len() {
        writer.append(block.clone()).expect("the disk has room");
        assert!(log.in_memory() <= MIB);
    }
    writer.finish();
    if let (Some(before), Some(after)) = (before, resident()) {
        let grown = after.saturating_sub(before) as usize;
        assert!(grown < 16 * MIB, "{} KiB more in memory", grown >> 10);
    } else {
        eprintln!("SKIPPED: the memory of the process cannot be read here");
    }
    // They wake up and find everything.
    let expected = Bytes::from(vec![b'x'; MIB]);
    let mut awake = JoinSet::new();
    for mut sleeper in sleepers.drain(..20) {
        let expected = expected.clone();
        awake.spawn(async move {
            let mut read = sleeper.offset();
            while let Some(chunk) = sleeper.next().await.expect("the log is whole") {
                assert!(chunk.data == expected[..chunk.data.len()]);
                read += chunk.data.len() as u64;
            }
            read
        });
    }
    for read in awake.join_all().await {
        assert_eq!(read, log.len());
    }
}
