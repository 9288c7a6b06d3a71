//! Random schedules of the writer, some readers, the thread that wakes crowds, the one that spills and the one that reads
//! the file, by `shuttle`: 1,000 of each scenario, or as many as `LIVELOG_SCHEDULES` says
//! (`LIVELOG_SCHEDULES=100000 cargo test --release -p livelog --test shuttle` takes minutes).
//!
//! The crate's own sources, with shuttle's locks, atomics and threads in the place of those of the standard library. Readers
//! that are more than one are a crowd here, and a log of more than some bytes is spilled in the background.
#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "these are the crate's private modules"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

use std::time::Instant;

use shuttle::future::block_on;
use shuttle::scheduler::RandomScheduler;
use shuttle::thread;

use crate::config::{Backing, Config, Limit};
use crate::error::{Outcome, ReadError};
use crate::log::Log;
use crate::reader::Reader;
use crate::writer::Writer;

#[path = "../src/config.rs"]
mod config;
#[path = "../src/crowd.rs"]
mod crowd;
#[path = "../src/error.rs"]
mod error;
#[path = "../src/file.rs"]
mod file;
#[path = "../src/kept.rs"]
mod kept;
#[path = "../src/limit.rs"]
mod limit;
#[path = "../src/lines.rs"]
mod lines;
#[path = "../src/log.rs"]
mod log;
#[path = "../src/reader.rs"]
mod reader;
#[path = "../src/ring.rs"]
mod ring;
#[path = "../src/segments.rs"]
mod segments;
#[path = "../src/shared.rs"]
mod shared;
#[path = "../src/spill.rs"]
mod spill;
#[path = "../src/waiters.rs"]
mod waiters;
#[path = "../src/writer.rs"]
mod writer;

mod sync {
    use std::io;
    use std::sync::PoisonError;
    use std::time::Duration;

    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64};
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) const CROWD: usize = 1;
    pub(crate) const BACKGROUND_FROM: usize = 2;
    pub(crate) const NOT_WORTH_IT: u64 = 1;

    pub(crate) fn spawn(_name: &str, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        shuttle::thread::spawn(job);
        Ok(())
    }

    pub(crate) fn file_access() {
        shuttle::thread::yield_now();
    }

    pub(crate) fn pause(_time: Duration) {
        shuttle::thread::yield_now();
    }

    /// Sometimes it is too long.
    pub(crate) fn wait<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _at_most: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        use shuttle::rand::Rng;
        if shuttle::rand::thread_rng().gen_bool(0.3) {
            return (guard, true);
        }
        let guard = condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
        (guard, false)
    }
}

fn main() {
    explore("readers to the end", || {
        let (writer, log) = start(Limit::Unlimited);
        let readers = [0, 1, 2].map(|offset| {
            let reader = log.reader_at(offset);
            thread::spawn(move || {
                let (seen, error) = block_on(all(reader));
                assert_eq!(seen, b"abcd"[offset as usize..]);
                assert!(error.is_none());
            })
        });
        write(writer, true);
        join(readers);
    });

    explore("nothing follows that would wake them again", || {
        let (mut writer, log) = start(Limit::Unlimited);
        let readers = [log.reader(), log.reader(), log.reader()].map(|reader| {
            thread::spawn(move || {
                let mut reader = reader.until(1);
                assert_eq!(block_on(reader.next()).unwrap().unwrap().data, "a");
            })
        });
        writer.append_slice(b"a").unwrap();
        join(readers);
        writer.finish();
    });

    explore("a writer that goes away", || {
        let (writer, log) = start(Limit::Unlimited);
        let readers = [log.reader(), log.reader()].map(|reader| {
            thread::spawn(move || {
                let (seen, error) = block_on(all(reader));
                assert_eq!(seen, b"abcd");
                assert!(matches!(error, Some(ReadError::Aborted)));
            })
        });
        let ended = thread::spawn(move || block_on(log.ended()));
        write(writer, false);
        join(readers);
        assert_eq!(ended.join().unwrap(), Outcome::Aborted);
    });

    explore("readers that are overtaken", || {
        let (writer, log) = start(Limit::HeadAndTail {
            head: 1,
            tail: 2,
            marker: bytes::Bytes::from_static(b"-"),
        });
        let readers = [log.reader(), log.reader()].map(|reader| {
            thread::spawn(move || {
                let (seen, _) = block_on(all(reader));
                let possible: [&[u8]; 4] = [b"abcd", b"a-cd", b"ab-d", b"a-d"];
                assert!(possible.contains(&&*seen), "{}", seen.escape_ascii());
            })
        });
        write(writer, true);
        join(readers);
    });

    // With 2 the job is often too late, and the writer does its work; with 4 there is time for it.
    for memory in [1, 2, 4] {
        explore(&format!("a log that spills, memory {memory}"), move || {
            let (mut writer, log) = spill(memory, None, Limit::Unlimited);
            let readers = [0, 3].map(|offset| {
                let log = log.clone();
                thread::spawn(move || {
                    let (seen, error) = block_on(all(log.reader_at(offset)));
                    assert_eq!(seen, b"abcdefghij"[offset as usize..]);
                    assert!(error.is_none());
                })
            });
            for data in [&b"a"[..], b"b", b"c", b"d", b"e", b"f", b"ghi", b"j"] {
                writer.append_slice(data).unwrap();
                assert!(log.in_memory() <= memory);
            }
            writer.finish();
            join(readers);
        });
    }

    explore("a log that spills and is overtaken", || {
        let limit = Limit::HeadAndTail {
            head: 1,
            tail: 4,
            marker: bytes::Bytes::from_static(b"-"),
        };
        let (mut writer, log) = spill(2, None, limit);
        let reader = log.reader();
        let reader = thread::spawn(move || {
            let mut reader = reader;
            let mut next = 0;
            while let Some(chunk) = block_on(reader.next()).unwrap() {
                assert_eq!(chunk.offset, next);
                next = chunk.end();
                let right = &b"abcdefghij"[chunk.offset as usize..next as usize];
                assert!(chunk.missing > 0 || chunk.data == right);
            }
            assert_eq!(next, 10);
        });
        for data in [b"ab", b"cd", b"ef", b"gh", b"ij"] {
            writer.append_slice(data).unwrap();
        }
        writer.finish();
        join([reader]);
    });

    explore("a log that cannot spill", || {
        let nowhere = std::path::PathBuf::from("/dev/null/nowhere");
        let (mut writer, log) = spill(4, Some(nowhere), Limit::Unlimited);
        let readers = [log.reader(), log.reader()].map(|reader| {
            thread::spawn(move || {
                let (seen, error) = block_on(all(reader));
                assert!(matches!(error, Some(ReadError::Failed(_))));
                // As many as were appended before the job, or the writer, had noticed.
                assert!((3..=4).contains(&seen.len()), "{}", seen.escape_ascii());
                assert_eq!(seen, b"abcd"[..seen.len()]);
            })
        });
        let mut appended = 0;
        while writer.append_slice(&[b'a' + appended]).is_ok() {
            appended += 1;
        }
        drop(writer);
        assert_eq!(log.len(), appended.into());
        assert!(matches!(log.outcome(), Some(Outcome::Failed(_))));
        join(readers);
    });
}

fn join<const N: usize>(readers: [thread::JoinHandle<()>; N]) {
    for reader in readers {
        reader.join().unwrap();
    }
}

fn write(mut writer: Writer, to_the_end: bool) {
    for byte in [b"a", b"b", b"c", b"d"] {
        writer.append_slice(byte).unwrap();
    }
    if to_the_end {
        writer.finish();
    }
}

fn start(limit: Limit) -> (Writer, Log) {
    log::log(Config {
        limit,
        backing: Backing::Memory,
    })
}

fn spill(memory: usize, dir: Option<std::path::PathBuf>, limit: Limit) -> (Writer, Log) {
    let backing = Backing::Spill { memory, dir };
    log::log(Config { limit, backing })
}

async fn all(mut reader: Reader) -> (Vec<u8>, Option<ReadError>) {
    let mut seen = Vec::new();
    loop {
        match reader.next().await {
            Ok(Some(chunk)) => seen.extend_from_slice(&chunk.data),
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        }
    }
}

fn explore(name: &str, model: impl Fn() + Sync + Send + 'static) {
    let mut wanted = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    if wanted.next().is_some_and(|part| !name.contains(&part)) {
        return;
    }
    let begun = Instant::now();
    let schedules = std::env::var("LIVELOG_SCHEDULES");
    let schedules = schedules.ok().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    let mut config = shuttle::Config::new();
    // That it takes all atomics as sequentially consistent.
    config.silence_warnings = true;
    shuttle::Runner::new(RandomScheduler::new(schedules), config).run(model);
    println!("{name}: {schedules} schedules in {:.1?}", begun.elapsed());
}
