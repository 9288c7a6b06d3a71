//! One GiB at a steady rate to a thousand readers of all kinds, over the default backing, and what it costs the writer.
//!
//! 700 read as fast as they can, 200 take 10 KiB a second, 100 take one chunk and stall (half of them in the middle of a
//! wait), 50 of the fast ones are replaced by others that join late, anywhere, and 20 of the fast ones are cut off every
//! 32 MiB and resume by offset. Two of those that stalled go on at the end. Every byte has a value of its own, and every reader
//! compares every byte it gets; one that it shares with another, in the same memory, is compared once.
//!
//! The writer is a thread of its own, as a process whose output is read would be, and each append is timed. *Blocked* is
//! the time of an append less the time for which its thread was ready to run and had no CPU (the system counts that): its own
//! work, locks that readers hold, wake-ups, the disk. What is left out is measured as well: the whole time of an append,
//! beside that of the same writer without readers while other threads keep all CPUs busy.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use livelog::{Chunk, Config, Log, Reader};
use tokio::task::JoinSet;
use tokio::time::sleep;

const TOTAL: u64 = 1 << 30;
const APPEND: u64 = 64 << 10;
/// Bytes a second that the writer tries to reach.
const RATE: u64 = 128 << 20;
const LINE: u64 = 128;

pub(crate) fn run() {
    let alone = Writing::of(livelog::log(Config::default()).0, &Arc::default());
    let crowded_out =
        Busy::during(|| Writing::of(livelog::log(Config::default()).0, &Arc::default()));

    let runtime = crate::fanout::runtime();
    let before = resident();
    let highest = Highest::watch();
    let (writer, log) = livelog::log(Config::default());
    let clock = Arc::<Clock>::default();
    let seen = Arc::<Seen>::default();
    let (mut fast, mut slow) = (JoinSet::new(), JoinSet::new());
    let in_runtime = runtime.enter();
    for i in 0..650 {
        let clock = (i % 10 == 0).then(|| clock.clone());
        let cut_every = if i % 32 == 1 { 32 << 20 } else { TOTAL };
        fast.spawn(read(log.clone(), 0, cut_every, seen.clone(), clock));
    }
    for _ in 0..200 {
        slow.spawn(crawl(log.reader(), seen.clone()));
    }
    let stalled = (0..100).map(|i| stall(log.reader(), i % 2 == 0));
    let stalled = stalled
        .map(|stalled| runtime.spawn(stalled))
        .collect::<Vec<_>>();
    for i in 0..50 {
        fast.spawn(join_late(log.clone(), i, seen.clone()));
    }
    let writing = thread::spawn(move || Writing::of(writer, &clock));
    let with_readers = writing.join().expect("the writer does not panic");
    let read_all = runtime.block_on(tokio::time::timeout(
        Duration::from_secs(60),
        fast.join_all(),
    ));
    let read_all = read_all.expect("a reader never comes to the end");
    let highest = highest.stop();
    assert_eq!(read_all.len(), 700);
    let mut lags = read_all.into_iter().flatten().collect::<Vec<_>>();
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
    for (name, ours, peer, peer_name) in [
        ("block", with_readers.blocked, alone.blocked, "no-readers"),
        (
            "append-wall",
            with_readers.longest,
            crowded_out.longest,
            "no-readers-busy-cpus",
        ),
    ] {
        let (ours, peer) = (ours.as_secs_f64() * 1e3, peer.as_secs_f64() * 1e3);
        println!(
            "figure livelog-r10-{name} ours={ours:.2} peer={peer:.2}({peer_name}) unit=ms ratio={:.2} target<=5 {}",
            ours / peer,
            verdict(ours <= 5.0)
        );
    }
    println!(
        "# appends of more than 5 ms, of {}: {} with readers, {} without and busy CPUs, {} alone",
        TOTAL / APPEND,
        with_readers.long,
        crowded_out.long,
        alone.long
    );
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
    for stalled in stalled.into_iter().take(2) {
        let at = runtime.block_on(stalled).expect("it only stalls");
        runtime.block_on(read(log.clone(), at, TOTAL, seen.clone(), None));
    }
    println!("# 700 readers compared all their bytes; 2 that had stalled resumed, to the end");
    drop((slow, in_runtime));
    runtime.block_on(lines(&log));
}

/// The last 200 lines, and lines 10,000 to 10,100, beside counting from the beginning.
async fn lines(log: &Log) {
    let begun = Instant::now();
    let (mut found, mut found_bytes) = ((0, 0), 0);
    for _ in 0..100 {
        let line = async |line| {
            log.offset_of_line(line)
                .await
                .expect("readable")
                .expect("is there")
        };
        found = (
            log.tail_lines(200).await.expect("readable"),
            line(10_000).await,
        );
        for (from, to) in [(found.0, TOTAL), (found.1, line(10_100).await)] {
            let mut reader = log.reader_at(from).until(to);
            while let Some(chunk) = reader.next().await.expect("readable") {
                found_bytes += chunk.data.len() as u64;
            }
        }
    }
    let ours = begun.elapsed().as_secs_f64() * 1e3 / 100.0;
    assert_eq!(found, (TOTAL - 200 * LINE, 10_000 * LINE));
    assert_eq!(found_bytes, 100 * 300 * LINE);

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
    println!("# its index has at most 256 KiB: 0.25 KiB for each MiB of the log");
}

fn word(offset: u64) -> [u8; 8] {
    let mut word =
        ((offset / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 0x8080_8080_8080_8080).to_le_bytes();
    if offset % LINE == LINE - 8 {
        word[7] = b'\n';
    }
    word
}

fn check(offset: u64, data: &[u8]) {
    let begin = (offset & !7, (offset & 7) as usize);
    let first = data.len().min(8 - begin.1);
    assert_eq!(
        data[..first],
        word(begin.0)[begin.1..begin.1 + first],
        "at {offset}"
    );
    let (words, rest) = data[first..].as_chunks::<8>();
    let mut next = begin.0 + 8;
    let mut wrong = false;
    for here in words {
        wrong |= *here != word(next);
        next += 8;
    }
    assert!(!wrong, "between {offset} and {next}");
    assert_eq!(*rest, word(next)[..rest.len()], "at {next}");
}

/// What was compared lately: memory that does not change as long as it is here.
struct Seen(Vec<Mutex<(u64, Bytes)>>);

impl Default for Seen {
    fn default() -> Self {
        Self((0..64).map(|_| Mutex::default()).collect())
    }
}

impl Seen {
    fn check(&self, chunk: &Chunk) {
        let place = &self.0[(chunk.offset / APPEND) as usize % self.0.len()];
        let known = place.lock().expect("nobody panics").clone();
        if let Some(behind) = chunk.offset.checked_sub(known.0)
            && behind + chunk.data.len() as u64 <= known.1.len() as u64
            && known.1[behind as usize..].as_ptr() == chunk.data.as_ptr()
        {
            return;
        }
        check(chunk.offset, &chunk.data);
        let old = std::mem::replace(
            &mut *place.lock().expect("nobody panics"),
            (chunk.offset, chunk.data.clone()),
        );
        drop(old);
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
    /// Of more than 5 ms.
    long: u32,
    /// The longest without the time for which the thread was ready and had no CPU.
    blocked: Duration,
}

impl Writing {
    fn of(mut writer: livelog::Writer, clock: &Clock) -> Self {
        let begun = Instant::now();
        let (mut longest, mut long, mut blocked) = (Duration::ZERO, 0, Duration::ZERO);
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
            long += u32::from(took > Duration::from_millis(5));
            blocked = blocked.max(took.saturating_sub(waited));
        }
        writer.finish();
        Self {
            took: begun.elapsed(),
            longest,
            long,
            blocked,
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
async fn read(
    log: Log,
    begin: u64,
    cut_every: u64,
    seen: Arc<Seen>,
    clock: Option<Arc<Clock>>,
) -> Vec<u64> {
    let mut lags = Vec::new();
    let mut reader = log.reader_at(begin);
    let (mut next, mut cut) = (begin, begin + cut_every);
    while let Some(chunk) = reader.next().await.expect("the log is whole") {
        assert_eq!(chunk.offset, next);
        if let Some(clock) = &clock {
            let appended = &clock.appended[(chunk.offset / APPEND) as usize];
            lags.push(clock.now().saturating_sub(appended.load(Ordering::Relaxed)));
        }
        seen.check(&chunk);
        next = chunk.end();
        if next >= cut {
            cut = next + cut_every;
            reader = log.reader_at(next);
        }
    }
    assert_eq!(next, TOTAL);
    lags
}

async fn join_late(log: Log, i: u64, seen: Arc<Seen>) -> Vec<u64> {
    sleep(Duration::from_millis(i * 150)).await;
    let offset = log.len().wrapping_mul(i * 7919 % 1000) / 1000;
    read(log, offset, TOTAL, seen, None).await
}

async fn crawl(mut reader: Reader, seen: Arc<Seen>) {
    while let Ok(Some(chunk)) = reader.next().await {
        seen.check(&chunk);
        sleep(Duration::from_secs_f64(chunk.data.len() as f64 / 10_240.0)).await;
    }
}

/// Holds what it has read until the others are done; then, where it stopped.
async fn stall(mut reader: Reader, in_a_wait: bool) -> u64 {
    let chunk = reader.next().await;
    sleep(Duration::from_secs(1)).await;
    if in_a_wait {
        // Begun, and never polled again.
        let _ = reader.next().now_or_never();
    }
    sleep(Duration::from_secs(9)).await;
    drop(chunk);
    reader.offset()
}

/// Threads that do nothing, on all CPUs.
struct Busy;

impl Busy {
    fn during<T>(job: impl FnOnce() -> T) -> T {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(2, Into::into) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let done = job();
            stop.store(true, Ordering::Relaxed);
            done
        })
    }
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
