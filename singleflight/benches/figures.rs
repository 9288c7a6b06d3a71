//! Figures with their peers in the same run: `cargo bench -p buildfarm-singleflight --bench figures`.
//!
//! `uncontended`: one caller, work that ends at once, always the same key. `dedup`: a task for each of N callers, all of one
//! key; the work waits until the last of them has come; spawning and joining them counts. Two workers. Rounds alternate
//! between the peers; the median counts.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::task::{JoinSet, yield_now};

const ROUNDS: usize = 7;
const CALLS: u32 = 300_000;
const KEY: u64 = 7;

/// Something that makes one call of many.
trait Peer: Clone + Send + Sync + 'static {
    fn new() -> Self;
    fn call<F>(&self, work: F) -> impl Future<Output = u64> + Send
    where
        F: Future<Output = u64> + Send + 'static;
}

#[derive(Clone)]
struct Ours(buildfarm_singleflight::Group<u64, u64>);

impl Peer for Ours {
    fn new() -> Self {
        Self(buildfarm_singleflight::Group::new())
    }
    async fn call<F: Future<Output = u64> + Send + 'static>(&self, work: F) -> u64 {
        self.0.run(KEY, || work).await.unwrap().value
    }
}

#[derive(Clone)]
struct SingleflightAsync(Arc<singleflight_async::SingleFlight<u64, u64>>);

impl Peer for SingleflightAsync {
    fn new() -> Self {
        Self(Arc::default())
    }
    async fn call<F: Future<Output = u64> + Send + 'static>(&self, work: F) -> u64 {
        self.0.work(KEY, || work).await
    }
}

#[derive(Clone)]
struct AsyncSingleflight(Arc<async_singleflight::UnaryGroup<u64, u64>>);

impl Peer for AsyncSingleflight {
    fn new() -> Self {
        Self(Arc::default())
    }
    async fn call<F: Future<Output = u64> + Send + 'static>(&self, work: F) -> u64 {
        self.0.work(&KEY, work).await
    }
}

#[derive(Clone)]
struct Moka(moka::future::Cache<u64, u64>);

impl Peer for Moka {
    fn new() -> Self {
        Self(moka::future::Cache::new(1000))
    }
    async fn call<F: Future<Output = u64> + Send + 'static>(&self, work: F) -> u64 {
        let value = self.0.get_with(KEY, work).await;
        // It is a cache, and keeps what it has.
        self.0.invalidate(&KEY).await;
        value
    }
}

const PEERS: [&str; 4] = ["ours", "singleflight-async", "async_singleflight", "moka"];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    // For a profiler.
    if std::env::args().any(|arg| arg == "profile") {
        for _ in 0..10 * ROUNDS {
            uncontended::<Ours>(&runtime);
        }
        return;
    }
    let mut times = PEERS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        times[0].push(uncontended::<Ours>(&runtime));
        times[1].push(uncontended::<SingleflightAsync>(&runtime));
        times[2].push(uncontended::<AsyncSingleflight>(&runtime));
        times[3].push(uncontended::<Moka>(&runtime));
    }
    figure("singleflight-uncontended", times, 0.35);
    for callers in [1000, 10_000] {
        let mut times = PEERS.map(|_| Vec::new());
        let mut executions = PEERS.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            let round = [
                dedup::<Ours>(&runtime, callers),
                dedup::<SingleflightAsync>(&runtime, callers),
                dedup::<AsyncSingleflight>(&runtime, callers),
                dedup::<Moka>(&runtime, callers),
            ];
            for (peer, dedup) in round.into_iter().enumerate() {
                times[peer].push(dedup.ns);
                executions[peer].push(dedup.executions);
            }
        }
        let name = format!("singleflight-dedup-{callers}");
        figure(&name, times, 1.0);
        // One of the callers can be between having come and calling when the work ends.
        let executions = executions.map(median);
        println!("# {name} executions a burst {executions:?}");
        assert!(executions[0] < 2.0);
    }
}

/// What a load of bursts came to.
struct Dedup {
    /// For each caller.
    ns: f64,
    /// For each burst.
    executions: f64,
}

fn uncontended<P: Peer>(runtime: &Runtime) -> f64 {
    let task = runtime.spawn(async {
        let peer = P::new();
        let start = Instant::now();
        for n in 0..CALLS {
            let value = peer.call(async move { u64::from(n) }).await;
            assert_eq!(value, u64::from(n));
        }
        start.elapsed()
    });
    let time = runtime.block_on(task).unwrap();
    time.as_nanos() as f64 / f64::from(CALLS)
}

/// Nanoseconds for each caller, of as many bursts as make a hundred thousand.
fn dedup<P: Peer>(runtime: &Runtime, callers: usize) -> Dedup {
    let bursts = 100_000 / callers;
    let task = runtime.spawn(async move {
        let peer = P::new();
        let start = Instant::now();
        let mut executions = 0;
        for _ in 0..bursts {
            executions += burst(&peer, callers).await;
        }
        let time = start.elapsed();
        (time, executions as f64 / bursts as f64)
    });
    let (time, executions) = runtime.block_on(task).unwrap();
    Dedup {
        ns: time.as_nanos() as f64 / (bursts * callers) as f64,
        executions,
    }
}

async fn burst<P: Peer>(peer: &P, callers: usize) -> usize {
    let come = Arc::new(AtomicUsize::new(0));
    let executions = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (peer, come, executions) = (peer.clone(), come.clone(), executions.clone());
        tasks.spawn(async move {
            come.fetch_add(1, Ordering::Relaxed);
            let work = async move {
                executions.fetch_add(1, Ordering::Relaxed);
                while come.load(Ordering::Relaxed) < callers {
                    yield_now().await;
                }
                1
            };
            peer.call(work).await
        });
    }
    while let Some(value) = tasks.join_next().await {
        assert_eq!(value.unwrap(), 1);
    }
    executions.load(Ordering::Relaxed)
}

fn figure(name: &str, times: [Vec<f64>; 4], target: f64) {
    let times = times.map(median);
    for (peer, ns) in PEERS.iter().zip(times) {
        println!("# {name} {peer} {ns:.0} ns");
    }
    let ours = times[0];
    let (best, ns) = PEERS
        .into_iter()
        .zip(times)
        .skip(1)
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap();
    let ratio = ours / ns;
    let verdict = if ratio <= target { "ok" } else { "SHORT" };
    println!(
        "figure {name} ours={ours:.0} peer={ns:.0}({best}) unit=ns ratio={ratio:.2} target<={target} {verdict}"
    );
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
