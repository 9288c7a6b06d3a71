//! Figures with their peers in the same run: `cargo bench -p buildfarm-lru --bench figures`.
//!
//! Numbers to numbers, Zipf 0.9 over a million keys, room for 100,000. `goi`: get, and insert on a miss. `hit`: get what is
//! there. `evict`: insert what is not. Rounds alternate between the peers; the median counts. ns = wall time / operations.
//! Arguments such as `goi-1t` choose among the loads.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const KEYS: u64 = 1_000_000;
const CAPACITY: usize = 100_000;
const OPERATIONS: usize = 2_000_000;
const ROUNDS: usize = 3;

/// A cache as its users would have it behind `&self`.
trait Peer: Sync {
    fn get(&self, key: u64) -> Option<u64>;
    fn insert(&self, key: u64, value: u64);
}

/// A cache that must be locked.
trait Map: Send {
    fn get(&mut self, key: u64) -> Option<u64>;
    fn insert(&mut self, key: u64, value: u64);
}

impl<M: Map> Peer for std::sync::Mutex<M> {
    fn get(&self, key: u64) -> Option<u64> {
        self.lock().unwrap().get(key)
    }
    fn insert(&self, key: u64, value: u64) {
        self.lock().unwrap().insert(key, value);
    }
}

impl<M: Map> Peer for parking_lot::Mutex<M> {
    fn get(&self, key: u64) -> Option<u64> {
        self.lock().get(key)
    }
    fn insert(&self, key: u64, value: u64) {
        self.lock().insert(key, value);
    }
}

impl Map for buildfarm_lru::Lru<u64, u64> {
    fn get(&mut self, key: u64) -> Option<u64> {
        self.get(&key).copied()
    }
    fn insert(&mut self, key: u64, value: u64) {
        self.insert(key, value);
    }
}

impl Map for lru::LruCache<u64, u64> {
    fn get(&mut self, key: u64) -> Option<u64> {
        self.get(&key).copied()
    }
    fn insert(&mut self, key: u64, value: u64) {
        self.put(key, value);
    }
}

impl Map for schnellru::LruMap<u64, u64> {
    fn get(&mut self, key: u64) -> Option<u64> {
        self.get(&key).copied()
    }
    fn insert(&mut self, key: u64, value: u64) {
        self.insert(key, value);
    }
}

impl Map for hashlink::LruCache<u64, u64> {
    fn get(&mut self, key: u64) -> Option<u64> {
        self.get(&key).copied()
    }
    fn insert(&mut self, key: u64, value: u64) {
        self.insert(key, value);
    }
}

impl Peer for buildfarm_lru::Cache<u64, u64> {
    fn get(&self, key: u64) -> Option<u64> {
        self.get(&key)
    }
    fn insert(&self, key: u64, value: u64) {
        self.insert(key, value);
    }
}

impl Peer for quick_cache::sync::Cache<u64, u64> {
    fn get(&self, key: u64) -> Option<u64> {
        self.get(&key)
    }
    fn insert(&self, key: u64, value: u64) {
        self.insert(key, value);
    }
}

impl Peer for moka::sync::Cache<u64, u64> {
    fn get(&self, key: u64) -> Option<u64> {
        self.get(&key)
    }
    fn insert(&self, key: u64, value: u64) {
        self.insert(key, value);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Load {
    GetOrInsert,
    Hit,
    Evict,
}

const PEERS: [&str; 9] = [
    "ours",
    "ours+pl",
    "schnellru+pl",
    "hashlink+pl",
    "lru+std",
    "lru+pl",
    "quick_cache",
    "moka",
    "ours+std",
];

fn main() {
    let keys = zipf(OPERATIONS, KEYS, 0.9);
    for (load, name) in [
        (Load::GetOrInsert, "goi"),
        (Load::Hit, "hit"),
        (Load::Evict, "evict"),
    ] {
        for threads in [1, 2] {
            let chosen = std::env::args().skip(1).filter(|arg| arg != "--bench");
            let chosen: Vec<_> = chosen.collect();
            if load == Load::Evict && threads == 2
                || !chosen.is_empty() && !chosen.contains(&format!("{name}-{threads}t"))
            {
                continue;
            }
            let mut times = PEERS.map(|_| Vec::new());
            let mut rates = PEERS.map(|_| 0.0);
            for _ in 0..ROUNDS {
                for ((times, rate), &name) in times.iter_mut().zip(&mut rates).zip(&PEERS) {
                    // So slow that a part tells as much.
                    let share = if name == "moka" { 16 } else { 1 };
                    let (ns, hits) = run(name, load, threads, &keys[..keys.len() / share]);
                    times.push(ns);
                    *rate = hits;
                }
            }
            let times = times.map(median);
            for ((peer, ns), rate) in PEERS.iter().zip(times).zip(rates) {
                println!(
                    "# lru-{name}-{threads}t {peer} {ns:.1} ns, {:.1} % hits",
                    100.0 * rate
                );
            }
            let of = |peer: &str| times[PEERS.iter().position(|&name| name == peer).unwrap()];
            let fastest = ["schnellru+pl", "hashlink+pl", "lru+pl"]
                .into_iter()
                .min_by(|a, b| of(a).total_cmp(&of(b)))
                .unwrap();
            let figure = format!("lru-{name}-{threads}t");
            at_most(
                &format!("{figure}-samelock"),
                of("ours+pl"),
                of(fastest),
                fastest,
                1.1,
            );
            at_least(
                &format!("{figure}-lru"),
                of("ours"),
                of("lru+std"),
                "lru+std",
                2.0,
            );
            if load == Load::GetOrInsert {
                at_least(
                    &format!("{figure}-quick"),
                    of("ours"),
                    of("quick_cache"),
                    "quick_cache",
                    1.0,
                );
                at_least(
                    &format!("{figure}-moka"),
                    of("ours"),
                    of("moka"),
                    "moka",
                    5.0,
                );
            }
        }
    }
}

/// Nanoseconds for each operation, and the share of lookups that found something.
fn run(name: &str, load: Load, threads: usize, keys: &[u64]) -> (f64, f64) {
    // So much room that approximate caches do not evict either.
    let capacity = if load == Load::Hit {
        2 * CAPACITY
    } else {
        CAPACITY
    };
    let some = NonZeroUsize::new(capacity).unwrap();
    let ours = || buildfarm_lru::Lru::<u64, u64>::new(capacity);
    let lru = || lru::LruCache::<u64, u64>::new(some);
    let job = Job {
        load,
        threads,
        keys,
    };
    match name {
        "ours" => job.time(buildfarm_lru::Cache::new(capacity)),
        "ours+pl" => job.time(parking_lot::Mutex::new(ours())),
        "ours+std" => job.time(std::sync::Mutex::new(ours())),
        "schnellru+pl" => job.time(parking_lot::Mutex::new(schnellru::LruMap::new(
            schnellru::ByLength::new(capacity as u32),
        ))),
        "hashlink+pl" => job.time(parking_lot::Mutex::new(hashlink::LruCache::new(capacity))),
        "lru+pl" => job.time(parking_lot::Mutex::new(lru())),
        "lru+std" => job.time(std::sync::Mutex::new(lru())),
        "quick_cache" => job.time(quick_cache::sync::Cache::new(capacity)),
        "moka" => job.time(moka::sync::Cache::new(capacity as u64)),
        other => panic!("no peer {other}"),
    }
}

#[derive(Clone, Copy)]
struct Job<'a> {
    load: Load,
    threads: usize,
    keys: &'a [u64],
}

impl Job<'_> {
    fn time<P: Peer>(self, cache: P) -> (f64, f64) {
        for key in 0..CAPACITY as u64 {
            cache.insert(key.wrapping_mul(SCATTER), key);
        }
        let barrier = Barrier::new(self.threads + 1);
        let hits = AtomicUsize::new(0);
        let start = std::thread::scope(|scope| {
            for part in self.keys.chunks(self.keys.len() / self.threads) {
                let (cache, barrier, hits) = (&cache, &barrier, &hits);
                scope.spawn(move || {
                    barrier.wait();
                    hits.fetch_add(self.work(cache, part), Ordering::Relaxed);
                });
            }
            barrier.wait();
            Instant::now()
        });
        let count = self.keys.len() as f64;
        (
            start.elapsed().as_nanos() as f64 / count,
            hits.into_inner() as f64 / count,
        )
    }

    /// Gives how many lookups found something.
    #[inline(never)]
    fn work<P: Peer>(self, cache: &P, keys: &[u64]) -> usize {
        let mut hits = 0;
        match self.load {
            Load::GetOrInsert => {
                for key in keys.iter().map(|key| key.wrapping_mul(SCATTER)) {
                    if cache.get(key).is_some() {
                        hits += 1;
                    } else {
                        cache.insert(key, key);
                    }
                }
            }
            Load::Hit => {
                for key in keys {
                    let value = cache.get((key % CAPACITY as u64).wrapping_mul(SCATTER));
                    hits += usize::from(black_box(value).is_some());
                }
            }
            Load::Evict => {
                for (n, &key) in keys.iter().enumerate() {
                    cache.insert((n as u64 + KEYS).wrapping_mul(SCATTER), key);
                }
            }
        }
        hits
    }
}

const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn at_least(name: &str, ours: f64, peer: f64, peer_name: &str, target: f64) {
    let ratio = peer / ours;
    let verdict = if ratio >= target { "ok" } else { "SHORT" };
    println!(
        "figure {name} ours={ours:.1} peer={peer:.1}({peer_name}) unit=ns ratio={ratio:.2} target>={target} {verdict}"
    );
}

fn at_most(name: &str, ours: f64, peer: f64, peer_name: &str, target: f64) {
    let ratio = ours / peer;
    let verdict = if ratio <= target { "ok" } else { "SHORT" };
    println!(
        "figure {name} ours={ours:.1} peer={peer:.1}({peer_name}) unit=ns ratio={ratio:.2} target<={target} {verdict}"
    );
}

/// Keys of Zipf's distribution, the same in each run.
fn zipf(count: usize, keys: u64, exponent: f64) -> Vec<u64> {
    let mut sums = Vec::with_capacity(keys as usize);
    let mut sum = 0.0;
    for rank in 1..=keys {
        sum += (rank as f64).powf(-exponent);
        sums.push(sum);
    }
    let mut state = 1_u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let point = (state >> 11) as f64 / (1_u64 << 53) as f64 * sum;
            sums.partition_point(|&sum| sum < point) as u64
        })
        .collect()
}
