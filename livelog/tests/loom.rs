//! All schedules of one writer and two readers, up to a bound on forced switches, by `loom`: no wake-up is lost, no byte is
//! missing, every reader learns how the log ended.
//!
//! The crate's own sources, with loom's locks in the place of those of the standard library.
#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "these are the crate's private modules"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use loom::future::block_on;
use loom::thread;

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

/// Nobody is a crowd here, and nothing is spilled; `tests/shuttle.rs` has both.
mod sync {
    use std::io;
    use std::sync::PoisonError;
    use std::time::Duration;

    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) const CROWD: usize = 64;
    pub(crate) const BACKGROUND_FROM: usize = 1 << 20;
    pub(crate) const NOT_WORTH_IT: u64 = 64 << 10;

    pub(crate) fn spawn(_name: &str, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        loom::thread::spawn(job);
        Ok(())
    }

    pub(crate) fn file_access() {}

    pub(crate) fn pause(_time: Duration) {}

    /// Never too long.
    pub(crate) fn wait<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _at_most: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let guard = condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
        (guard, false)
    }
}

fn main() {
    explore("two readers to the end", || {
        let (mut writer, log) = start(Limit::Unlimited);
        let reader = log.reader();
        let other = thread::spawn(move || assert_eq!(block_on(all(reader)).0, b"a\nb\n"));
        let writing = thread::spawn(move || {
            writer.append_slice(b"a\n").unwrap();
            writer.append_slice(b"b\n").unwrap();
            writer.finish();
        });
        let mut reader = log.reader();
        block_on(async {
            while let Some(chunk) = reader.next().await.unwrap() {
                // Who has seen a line finds it in the index.
                assert!(log.lines() >= chunk.end() / 2);
            }
        });
        assert_eq!(reader.offset(), 4);
        other.join().unwrap();
        writing.join().unwrap();
    });

    explore("nothing follows that would wake them again", || {
        let (mut writer, log) = start(Limit::Unlimited);
        let readers = [log.reader(), log.reader()].map(|reader| {
            thread::spawn(move || {
                let mut reader = reader.until(1);
                assert_eq!(block_on(reader.next()).unwrap().unwrap().data, "a");
            })
        });
        writer.append_slice(b"a").unwrap();
        for reader in readers {
            reader.join().unwrap();
        }
        writer.finish();
    });

    explore("readers that come late, give up, and come back", || {
        let (mut writer, log) = start(Limit::Unlimited);
        let impatient = log.clone();
        let other = thread::spawn(move || {
            // Waits, is cancelled, and waits again as somebody else.
            let mut reader = impatient.reader();
            let mut seen = give_up(&mut reader);
            seen.extend(give_up(&mut reader));
            let next = impatient.reader_at(reader.offset());
            drop(reader);
            seen.extend(block_on(all(next)).0);
            assert_eq!(seen, b"ab");
        });
        let writing = thread::spawn(move || {
            writer.append_slice(b"a").unwrap();
            writer.append_slice(b"b").unwrap();
            writer.finish();
        });
        assert_eq!(block_on(log.ended()), Outcome::Finished);
        assert_eq!(block_on(all(log.reader())).0, b"ab");
        other.join().unwrap();
        writing.join().unwrap();
    });

    explore("a writer that goes away", || {
        let (mut writer, log) = start(Limit::Unlimited);
        let reader = log.reader();
        let other = thread::spawn(move || {
            let (seen, error) = block_on(all(reader));
            assert_eq!(seen, b"a");
            assert!(matches!(error, Some(ReadError::Aborted)));
        });
        let writing = thread::spawn(move || {
            writer.append_slice(b"a").unwrap();
            drop(writer);
        });
        assert_eq!(block_on(log.ended()), Outcome::Aborted);
        other.join().unwrap();
        writing.join().unwrap();
    });

    explore("readers that are overtaken", || {
        let (mut writer, log) = start(Limit::HeadAndTail {
            head: 1,
            tail: 2,
            marker: bytes::Bytes::from_static(b"-"),
        });
        let reader = log.reader();
        let other = thread::spawn(move || sees_a_gap_or_none(&block_on(all(reader)).0));
        let writing = thread::spawn(move || {
            writer.append_slice(b"01").unwrap();
            writer.append_slice(b"23").unwrap();
            writer.append_slice(b"4").unwrap();
            writer.finish();
        });
        sees_a_gap_or_none(&block_on(all(log.reader())).0);
        other.join().unwrap();
        writing.join().unwrap();
    });
}

fn sees_a_gap_or_none(seen: &[u8]) {
    let possible: [&[u8]; 5] = [b"01234", b"0-234", b"0-34", b"0--34", b"01-34"];
    assert!(possible.contains(&seen), "{}", seen.escape_ascii());
}

fn start(limit: Limit) -> (Writer, Log) {
    log::log(Config {
        limit,
        backing: Backing::Memory,
    })
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

/// Polls once, with a waker that does nothing.
fn give_up(reader: &mut Reader) -> Vec<u8> {
    let next = pin!(reader.next());
    match next.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(chunk) => chunk.unwrap().map_or(Vec::new(), |chunk| chunk.data.into()),
        Poll::Pending => Vec::new(),
    }
}

fn explore(name: &str, model: impl Fn() + Sync + Send + 'static) {
    let begun = Instant::now();
    let mut builder = loom::model::Builder::new();
    // More with `LOOM_MAX_PREEMPTIONS=3`, which takes minutes.
    builder.preemption_bound.get_or_insert(2);
    let schedules = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = schedules.clone();
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    let schedules = schedules.load(std::sync::atomic::Ordering::Relaxed);
    println!("{name}: {schedules} schedules in {:.1?}", begun.elapsed());
}
