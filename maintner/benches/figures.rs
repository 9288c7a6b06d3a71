//! Figures with their peers in the same run: `cargo bench -p maintner --bench figures`; a part of
//! them with `-- load`, `-- memory`, `-- first`, `-- snapshot`, `-- questions`, `-- tail`, `-- reads` or
//! `-- lag`.
//!
//! The log is made anew for each run, [`SIZE`] bytes with the mix of a real one, and mapped. Rounds
//! alternate with the peer's; the median counts.

#[path = "figures/first.rs"]
mod first;
#[path = "figures/lag.rs"]
mod lag;
#[path = "figures/log.rs"]
mod log;
#[path = "figures/reads.rs"]
mod reads;

use std::{ffi::OsStr, hint::black_box, path::Path, process::Command, time::Instant};

use log::Log;
use maintner::{
    corpus::{Options, Snapshot, Writer, snapshot_file::SnapshotDir},
    proto::Mutation,
    reclog::Records,
    testing::History,
};
use prost::Message;

/// Bytes of the log.
const SIZE: u64 = 600_000_000;
const ROUNDS: usize = 3;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    match &wanted.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["memory-of", dir] => return memory_of(&Log::open(dir.as_ref())),
        ["first-query-of", dir, snapshots] => return first_query_of(dir, snapshots),
        _ => {}
    }
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for the log");
    let mut history = History::new(1);
    let log = log::write(&mut history, SIZE, dir.path());
    // Pages in, and what is left of the log's making out of the caches.
    let records = log.records();
    println!("# log: {records} records, {} bytes", log.bytes());
    if is_wanted("load") {
        load(&log);
    }
    if is_wanted("memory") {
        memory(dir.path(), &log);
    }
    if is_wanted("first") {
        first::first(dir.path(), &log);
    }
    if is_wanted("lag") {
        lag::lag();
    }
    if ["snapshot", "tail", "reads", "questions"]
        .into_iter()
        .any(is_wanted)
    {
        let mut writer = full(&log, 0);
        if is_wanted("snapshot") {
            snapshot(dir.path(), &log, &writer);
        }
        if is_wanted("questions") {
            reads::questions(&writer.publish());
        }
        let mut tail = log.tail(&mut history);
        if is_wanted("tail") {
            tail_apply(&mut writer, &mut tail);
        }
        if is_wanted("reads") {
            reads::while_applying(writer, tail);
        }
    }
}

/// One that has to be large: `ours` must reach `target`.
fn figure(name: &str, ours: f64, peer: Option<(f64, &str)>, unit: &str, target: f64) {
    let verdict = if ours >= target { "ok" } else { "SHORT" };
    let peer = match peer {
        Some((peer, who)) => format!("peer={peer:.0}({who}) unit={unit} ratio={:.2}", ours / peer),
        None => format!("peer=none unit={unit} ratio=none"),
    };
    println!("figure maintner-{name} ours={ours:.0} {peer} target>={target} {verdict}");
}

/// One that has to be small: `target` is what `ours` must not pass.
fn figure_at_most(name: &str, ours: f64, unit: &str, target: f64) {
    let verdict = if ours <= target { "ok" } else { "SHORT" };
    println!(
        "figure maintner-{name} ours={ours:.3} peer=none unit={unit} ratio=none target<={target} {verdict}"
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn full(log: &Log, threads: usize) -> Writer {
    let mut writer = Writer::with_options(Options {
        threads,
        ..Options::default()
    });
    for (number, segment) in (0..).zip(&log.segments) {
        writer.apply(number, 0, segment).expect("a good log");
    }
    writer.publish();
    writer
}

/// A whole log, on one thread and on two. The peer does, on one, the least that everybody has to do
/// who uses owned messages: decodes each and drops it.
fn load(log: &Log) {
    let (mut one, mut two, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.push(rate(log, || full(log, 1)));
        two.push(rate(log, || full(log, 2)));
        peers.push(rate(log, || {
            for segment in &log.segments {
                for record in Records::new(segment, 0) {
                    let mutation = Mutation::decode(record.expect("a good log").payload);
                    black_box(mutation.expect("a good log"));
                }
            }
        }));
    }
    let peer = Some((median(peers), "prost-decode-and-drop"));
    figure("load-one-thread", median(one), peer, "MB/s", 500.0);
    figure("load-two-threads", median(two), peer, "MB/s", 900.0);
}

/// MB of a log per second.
fn rate<T>(log: &Log, load: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    let loaded = load();
    let seconds = start.elapsed().as_secs_f64();
    drop(loaded);
    log.bytes() as f64 / 1e6 / seconds
}

/// Anonymous memory of a process that has loaded the log, and has it mapped.
fn memory(dir: &Path, log: &Log) {
    let grown = in_child(&["memory-of".as_ref(), dir.as_os_str()]);
    let Some(grown) = grown else {
        eprintln!("SKIPPED: memory cannot be measured here");
        return;
    };
    println!("# anonymous memory: {:.1} MB", grown / 1e6);
    figure_at_most("memory", grown / log.bytes() as f64, "of-the-log", 0.25);
}

/// The number that this program prints with these arguments.
fn in_child(arguments: &[&OsStr]) -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new(program).args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// From the start of a process to the answer to a question, with a snapshot file.
fn snapshot(dir: &Path, log: &Log, writer: &Writer) {
    let snapshots = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let start = Instant::now();
    let files = SnapshotDir::new(snapshots.path());
    let file = files
        .save(&writer.checkpoint(), &log.index)
        .expect("a snapshot file");
    let saved = start.elapsed();
    let bytes = std::fs::metadata(&file).map_or(0, |file| file.len());
    println!(
        "# snapshot file: {:.1} MB, saved in {:.0} ms",
        bytes as f64 / 1e6,
        saved.as_secs_f64() * 1e3
    );
    let arguments = [
        "first-query-of".as_ref(),
        dir.as_os_str(),
        snapshots.path().as_os_str(),
    ];
    let times: Vec<f64> = (0..5).filter_map(|_| in_child(&arguments)).collect();
    if times.len() == 5 {
        figure_at_most("first-query", median(times), "ms", 100.0);
    } else {
        eprintln!("SKIPPED: the first query cannot be measured here");
    }
}

fn first_query_of(dir: &str, snapshots: &str) {
    let start = Instant::now();
    let log = Log::open(dir.as_ref());
    let opened = SnapshotDir::new(snapshots).open(&log.index, &log.batches());
    let snapshot = opened.expect("a good snapshot file").writer.publish();
    let answers = (0..10)
        .filter(|&chance| reads::ask(&snapshot, chance))
        .count();
    assert!(answers > 5, "{answers}");
    println!("{}", start.elapsed().as_secs_f64() * 1e3);
}

fn memory_of(log: &Log) {
    let anonymous = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    let before = anonymous();
    let writer = full(log, 0);
    if let (Some(before), Some(after)) = (before, anonymous()) {
        println!("{}", after.saturating_sub(before) << 10);
    }
    drop(writer);
}

/// What comes after a full load, published every thousand mutations; and every ten thousand.
fn tail_apply(writer: &mut Writer, tail: &mut log::Tail<'_>) {
    const RECORDS: usize = 200_000;
    let mut rate = |each| {
        let batches = tail.batches(RECORDS, each);
        let start = Instant::now();
        let mut snapshot = Snapshot::default();
        for (segment, offset, bytes) in &batches {
            writer.apply(*segment, *offset, bytes).expect("a good log");
            snapshot = writer.publish();
        }
        black_box(snapshot);
        RECORDS as f64 / start.elapsed().as_secs_f64()
    };
    let (often, seldom) = (rate(1000), rate(10_000));
    println!("# tail, published every 10,000: {seldom:.0} mutations/s");
    figure("tail-apply", often, None, "mutations/s", 500_000.0);
}
