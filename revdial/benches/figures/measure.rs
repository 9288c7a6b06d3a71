//! The measurements.

use std::{
    fs,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};

use crate::systems::Opener;

/// What one system is measured by: first what [`on_two_threads`] gives, then [`on_one_thread`].
pub(crate) const COLUMNS: [Column; 10] = [
    Column::new("bulk_1", "GB/s", true),
    Column::new("bulk_1_cpu", "s/GB", false),
    Column::new("bulk_16", "GB/s", true),
    Column::new("bulk_16_cpu", "s/GB", false),
    Column::new("set_ups_16", "1/s", true),
    Column::new("set_ups_1", "1/s", true),
    Column::new("ping_p50_2t", "us", false),
    Column::new("ping_p50", "us", false),
    Column::new("ping_p99", "us", false),
    Column::new("set_ups_1_1t", "1/s", true),
];

pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) more_is_better: bool,
}

impl Column {
    const fn new(name: &'static str, unit: &'static str, more_is_better: bool) -> Self {
        Self {
            name,
            unit,
            more_is_better,
        }
    }
}

/// How much of each.
#[derive(Clone, Copy)]
pub(crate) struct Amount {
    pub(crate) bulk: usize,
    pub(crate) pings: usize,
    pub(crate) set_ups: usize,
}

/// Throughput, and everything that a second processor changes.
pub(crate) async fn on_two_threads<O: Opener>(opener: &O, amount: Amount) -> Vec<f64> {
    let (bulk_1, cpu_1) = bulk(opener, 1, amount.bulk).await;
    let (bulk_16, cpu_16) = bulk(opener, 16, amount.bulk).await;
    vec![
        bulk_1,
        cpu_1,
        bulk_16,
        cpu_16,
        set_ups(opener, 16, amount.set_ups / 4).await,
        set_ups(opener, 1, amount.set_ups).await,
        percentile(&pings(opener, amount.pings / 4).await, 50),
    ]
}

/// Latency. With one thread nobody has to be woken on a sleeping processor, which on a virtual
/// machine takes longer than all the rest and says nothing of the code.
pub(crate) async fn on_one_thread<O: Opener>(opener: &O, amount: Amount) -> Vec<f64> {
    let times = pings(opener, amount.pings).await;
    vec![
        percentile(&times, 50),
        percentile(&times, 99),
        set_ups(opener, 1, amount.set_ups).await,
    ]
}

/// Open, one byte each way, close; per second, with `lanes` at a time.
async fn set_ups<O: Opener>(opener: &O, lanes: usize, each: usize) -> f64 {
    let begin = Instant::now();
    let mut work = JoinSet::new();
    for _ in 0..lanes {
        let opener = opener.clone();
        work.spawn(async move {
            for _ in 0..each {
                greet(&opener, b'e').await;
            }
        });
    }
    work.join_all().await;
    (lanes * each) as f64 / begin.elapsed().as_secs_f64()
}

/// Opens a stream, tells the far end what it is for and hears its answer.
pub(crate) async fn greet<O: Opener>(opener: &O, what: u8) -> O::Stream {
    let mut stream = opener.open().await;
    stream.write_all(&[what]).await.unwrap();
    stream.flush().await.unwrap();
    stream.read_u8().await.unwrap();
    stream
}

/// 64 bytes there and back, each in microseconds, sorted. From a task, as programs do: who waits
/// outside of the runtime has to be woken on a thread of its own.
async fn pings<O: Opener>(opener: &O, count: usize) -> Vec<f64> {
    let opener = opener.clone();
    let client = tokio::spawn(async move {
        let mut stream = greet(&opener, b'e').await;
        let mut buf = [0; 64];
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let begin = Instant::now();
            stream.write_all(&buf).await.unwrap();
            stream.flush().await.unwrap();
            stream.read_exact(&mut buf).await.unwrap();
            times.push(begin.elapsed().as_secs_f64() * 1e6);
        }
        times
    });
    let mut times = client.await.unwrap();
    times.sort_by(f64::total_cmp);
    times
}

/// One way over `lanes` streams at a time: GB/s, and CPU seconds of both ends for a GB.
async fn bulk<O: Opener>(opener: &O, lanes: usize, total: usize) -> (f64, f64) {
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    let mut work = JoinSet::new();
    for _ in 0..lanes {
        let mut stream = opener.open().await;
        work.spawn(async move {
            let buf = vec![7; 64 * 1024];
            stream.write_all(b"s").await.unwrap();
            for _ in 0..total / lanes / buf.len() {
                stream.write_all(&buf).await.unwrap();
            }
            stream.shutdown().await.unwrap();
            stream.read_u8().await.unwrap();
        });
    }
    work.join_all().await;
    let gigabytes = total as f64 / 1e9;
    (
        gigabytes / begin.elapsed().as_secs_f64(),
        (cpu_seconds() - cpu) / gigabytes,
    )
}

/// What the threads of this process have run for. Not a number where there is no `/proc`.
pub(crate) fn cpu_seconds() -> f64 {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return f64::NAN;
    };
    let nanos = threads.filter_map(|thread| {
        let stat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e9
}

/// A dial and its first byte there and back; beside it a byte alone, on a stream that is open
/// already. In turns, each after the same pause: medians in microseconds.
pub(crate) async fn dial<O: Opener, P: Opener>(dialer: &O, open: &P, count: usize) -> (f64, f64) {
    let mut open = greet(open, b'e').await;
    let (mut dials, mut trips) = (Vec::new(), Vec::new());
    for _ in 0..count {
        // Time for the spare that replaces the last one.
        tokio::time::sleep(Duration::from_millis(15)).await;
        let begin = Instant::now();
        let stream = greet(dialer, b'e').await;
        dials.push(begin.elapsed().as_secs_f64() * 1e6);
        drop(stream);

        tokio::time::sleep(Duration::from_millis(15)).await;
        let begin = Instant::now();
        open.write_all(b"e").await.unwrap();
        open.flush().await.unwrap();
        open.read_u8().await.unwrap();
        trips.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    (median(dials), median(trips))
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 50)
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}
