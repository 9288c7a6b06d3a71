//! One GiB at a steady rate to a thousand readers of all kinds, over the default backing, and what it costs the writer.
//!
//! 700 read as fast as they can, 200 take 10 KiB a second, 100 take one chunk and never come back (half of them in the
//! middle of a wait), 50 of the fast ones are replaced by others that join late, anywhere. Every byte has a value of its own;
//! readers look at the ends of each chunk, one of them at all bytes, and those that come late at all of their first MiB.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use livelog::{Config, Log, Reader};
use tokio::task::JoinSet;
use tokio::time::sleep;

const TOTAL: u64 = 1 << 30;
const APPEND: u64 = 64 << 10;
/// Bytes a second that the writer tries to reach.
const RATE: u64 = 128 << 20;
const LINE: u64 = 128;

pub(crate) fn run() {
    let alone = Writing::of(livelog::log(Config::default()).0, &Arc::default());

    let runtime = crate::fanout::runtime();
    let before = resident();
    let highest = Highest::watch();
    let (writer, log) = livelog::log(Config::default());
    let clock = Arc::<Clock>::default();
    let (mut fast, mut others) = (JoinSet::new(), JoinSet::new());
    let _in_runtime = runtime.enter();
    for i in 0..650 {
        fast.spawn(read(
            log.reader(),
            if i == 0 { TOTAL } else { 0 },
            (i % 10 == 0).then(|| clock.clone()),
        ));
    }
    for _ in 0..200 {
        others.spawn(crawl(log.reader()));
    }
    for i in 0..100 {
        others.spawn(stall(log.reader(), i % 2 == 0));
    }
    for i in 0..50 {
        fast.spawn(join_late(log.clone(), i));
    }
    let writing = thread::spawn(move || Writing::of(writer, &clock));
    let with_readers = writing.join().expect("the writer does not panic");
    let read = runtime.block_on(tokio::time::timeout(
        Duration::from_secs(60),
        fast.join_all(),
    ));
    let read = read.expect("a reader never comes to the end");
    let highest = highest.stop();
    assert_eq!(read.len(), 700);
    let mut lags = read.into_iter().flatten().collect::<Vec<_>>();
    lags.sort_unstable();
    let lag = lags[lags.len() * 99 / 100] as f64 / 1e3;

    let rate = with_readers.rate();
    let verdict = |ok| if ok { "ok" } else { "SHORT" };
    println!(
        "figure livelog-r10-rate ours={rate:.0} peer={:.0}(no-readers) unit=MiB/s ratio={:.2} target>=100 {}",
        alone.rate(),
        rate / alone.rate(),
        verdict(rate >= 100.0)
    );
    for (name, ours, peer) in [
        ("block", with_readers.longest_busy, alone.longest_busy),
        ("block-wall", with_readers.longest, alone.longest),
    ] {
        let (ours, peer) = (ours.as_secs_f64() * 1e3, peer.as_secs_f64() * 1e3);
        println!(
            "figure livelog-r10-{name} ours={ours:.2} peer={peer:.2}(no-readers) unit=ms ratio={:.2} target<=5 {}",
            ours / peer,
            verdict(ours <= 5.0)
        );
    }
    println!(
        "figure livelog-r10-lag-p99 ours={lag:.2} peer=none unit=ms ratio=none target<=100 {}",
        verdict(lag <= 100.0)
    );
    if let (Some(before), Some(highest)) = (before, highest) {
        let grown = highest.saturating_sub(before) >> 20;
        println!(
            "figure livelog-r10-rss-growth ours={grown} peer=1024(the-log) unit=MiB ratio={:.3} target<=64 {}",
            grown as f64 / 1024.0,
            verdict(grown <= 64)
        );
    }
    drop(others);
    runtime.block_on(lines(&log));
}

/// The last 200 lines, and lines 10,000 to 10,100, beside counting from the beginning.
async fn lines(log: &Log) {
    let begun = Instant::now();
    let mut found = (0, 0);
    for _ in 0..100 {
        found = (
            log.tail_lines(200).await.expect("readable"),
            log.offset_of_line(10_000)
                .await
                .expect("readable")
                .expect("is there"),
        );
    }
    let ours = begun.elapsed().as_secs_f64() * 1e3 / 100.0;
    assert_eq!(found, (TOTAL - 200 * LINE, 10_000 * LINE));

    let begun = Instant::now();
    let mut left = log.lines() - 200;
    let mut reader = log.reader();
    while let Some(chunk) = reader.next().await.expect("readable") {
        left = left.saturating_sub(memchr::memchr_iter(b'\n', &chunk.data).count() as u64);
        if left == 0 {
            break;
        }
    }
    let peer = begun.elapsed().as_secs_f64() * 1e3;
    let ratio = peer / ours;
    println!(
        "figure livelog-lines-of-1gib ours={ours:.3} peer={peer:.0}(count-from-0) unit=ms ratio={ratio:.0} target>=100 {}",
        if ratio >= 100.0 { "ok" } else { "SHORT" }
    );
}

fn word(offset: u64) -> [u8; 8] {
    let mut word =
        ((offset / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 0x8080_8080_8080_8080).to_le_bytes();
    if offset % LINE == LINE - 8 {
        word[7] = b'\n';
    }
    word
}

fn byte(offset: u64) -> u8 {
    word(offset & !7)[(offset & 7) as usize]
}

fn check(offset: u64, data: &[u8], all: bool) {
    if !all && data.len() > 32 {
        check(offset, &data[..16], true);
        let tail = data.len() - 16;
        return check(offset + tail as u64, &data[tail..], true);
    }
    let mut next = offset;
    let mut left = data;
    while let Some((first, rest)) = left.split_first() {
        if next.is_multiple_of(8)
            && let Some((word_here, rest)) = left.split_first_chunk::<8>()
        {
            assert_eq!(*word_here, word(next), "at {next}");
            (next, left) = (next + 8, rest);
        } else {
            assert_eq!(*first, byte(next), "at {next}");
            (next, left) = (next + 1, rest);
        }
    }
}

/// When each append was made, in microseconds from the first.
#[derive(Debug)]
struct Clock {
    begun: Instant,
    appended: Vec<AtomicU64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            appended: (0..TOTAL / APPEND).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Clock {
    fn now(&self) -> u64 {
        self.begun.elapsed().as_micros() as u64
    }
}

#[derive(Debug)]
struct Writing {
    took: Duration,
    /// The longest append.
    longest: Duration,
    /// The same without the time for which the thread was ready and had no CPU.
    longest_busy: Duration,
}

impl Writing {
    fn of(mut writer: livelog::Writer, clock: &Clock) -> Self {
        let begun = Instant::now();
        let (mut longest, mut longest_busy) = (Duration::ZERO, Duration::ZERO);
        for i in 0..TOTAL / APPEND {
            let offset = i * APPEND;
            let due = Duration::from_secs_f64(offset as f64 / RATE as f64);
            if let Some(early) = due.checked_sub(begun.elapsed()) {
                thread::sleep(early);
            }
            let words = (offset..offset + APPEND).step_by(8);
            let data = Bytes::from(words.flat_map(word).collect::<Vec<_>>());
            clock.appended[i as usize].store(clock.now(), Ordering::Relaxed);
            let waited = waited_for_cpu();
            let append = Instant::now();
            writer.append(data).expect("there is room");
            let took = append.elapsed();
            let waited = waited_for_cpu().saturating_sub(waited);
            longest = longest.max(took);
            longest_busy = longest_busy.max(took.saturating_sub(waited));
        }
        writer.finish();
        Self {
            took: begun.elapsed(),
            longest,
            longest_busy,
        }
    }

    fn rate(&self) -> f64 {
        (TOTAL >> 20) as f64 / self.took.as_secs_f64()
    }
}

/// For which this thread was ready to run and did not; nothing where the system does not tell.
fn waited_for_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = stat.split(' ').nth(1).and_then(|ns| ns.parse().ok());
    Duration::from_nanos(waited.unwrap_or_default())
}

/// Reads everything; how late chunks came, in microseconds, if there is a clock.
async fn read(mut reader: Reader, all_of: u64, clock: Option<Arc<Clock>>) -> Vec<u64> {
    let mut lags = Vec::new();
    let begin = reader.offset();
    let mut next = begin;
    while let Some(chunk) = reader.next().await.expect("the log is whole") {
        assert_eq!(chunk.offset, next);
        if let Some(clock) = &clock {
            let appended = &clock.appended[(chunk.offset / APPEND) as usize];
            lags.push(clock.now().saturating_sub(appended.load(Ordering::Relaxed)));
        }
        check(chunk.offset, &chunk.data, chunk.offset - begin < all_of);
        next = chunk.end();
    }
    assert_eq!(next, TOTAL);
    lags
}

async fn join_late(log: Log, i: u64) -> Vec<u64> {
    sleep(Duration::from_millis(i * 150)).await;
    let offset = log.len().wrapping_mul(i * 7919 % 1000) / 1000;
    read(log.reader_at(offset), 1 << 20, None).await
}

async fn crawl(mut reader: Reader) {
    while let Ok(Some(chunk)) = reader.next().await {
        sleep(Duration::from_secs_f64(chunk.data.len() as f64 / 10_240.0)).await;
    }
}

async fn stall(mut reader: Reader, in_a_wait: bool) {
    let chunk = reader.next().await;
    sleep(Duration::from_secs(1)).await;
    if in_a_wait {
        let _ = reader.next().now_or_never();
    }
    std::future::pending::<()>().await;
    drop((reader, chunk));
}

fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages = statm.split(' ').nth(1)?.parse::<u64>().ok()?;
    Some(pages * 4096)
}

/// Looks at the memory of the process many times a second.
struct Highest {
    stop: Arc<AtomicBool>,
    watching: thread::JoinHandle<Option<u64>>,
}

impl Highest {
    fn watch() -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let watching = thread::spawn(move || {
            let mut highest = None;
            while !stopped.load(Ordering::Relaxed) {
                highest = highest.max(resident());
                thread::sleep(Duration::from_millis(10));
            }
            highest
        });
        Self { stop, watching }
    }

    fn stop(self) -> Option<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.watching.join().expect("it only looks")
    }
}
