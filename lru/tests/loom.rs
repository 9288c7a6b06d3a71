//! All schedules of two threads that write and two that read, up to a bound on forced switches, by `loom`: everybody gets the
//! value that is in the cache first, what is evicted is reported once, and the limit holds whenever somebody looks.
//!
//! The crate's own sources, with loom's lock in the place of that of the standard library.
#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "these are the crate's private modules"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loom::thread;

use crate::cache::Cache;
use crate::config::Builder;

#[path = "../src/cache.rs"]
mod cache;
#[path = "../src/config.rs"]
mod config;
#[path = "../src/core.rs"]
mod core;
#[path = "../src/evicted.rs"]
mod evicted;
#[path = "../src/group.rs"]
mod group;
#[path = "../src/hasher.rs"]
mod hasher;
#[path = "../src/lru.rs"]
mod lru;
#[path = "../src/stats.rs"]
mod stats;
#[path = "../src/table.rs"]
mod table;

mod lock {
    use loom::sync::{Mutex, MutexGuard};

    pub(crate) struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

fn main() {
    explore("two make the same value, two read", || {
        let cache = Cache::new(2);
        let makers: Vec<_> = (1..=2)
            .map(|n| {
                let cache = cache.clone();
                thread::spawn(move || cache.get_or_insert_with("key", |_| n))
            })
            .collect();
        let reader = cache.clone();
        let reader = thread::spawn(move || reader.get("key"));
        let here = cache.get("key");
        let there = reader.join().unwrap();
        let made: Vec<_> = makers.into_iter().map(|m| m.join().unwrap()).collect();
        assert_eq!(made[0], made[1]);
        for seen in [here, there].into_iter().flatten() {
            assert_eq!(seen, made[0]);
        }
        assert_eq!(cache.stats().insertions, 1);
    });
    explore("two insert, two read", || {
        let gone = Arc::new(AtomicUsize::new(0));
        let heard = gone.clone();
        let cache = Builder::new()
            .capacity(1)
            .on_evict(move |key, value: u32, _| {
                assert_eq!(key, value);
                heard.fetch_add(1, Ordering::Relaxed);
            })
            .build();
        let writers: Vec<_> = (1..=2)
            .map(|n| {
                let cache = cache.clone();
                thread::spawn(move || cache.insert(n, n))
            })
            .collect();
        let reader = cache.clone();
        let reader = thread::spawn(move || assert!(reader.len() <= 1));
        assert!(cache.snapshot().len() <= 1);
        for writer in writers {
            assert_eq!(writer.join().unwrap(), None);
        }
        reader.join().unwrap();
        assert_eq!((cache.len(), gone.load(Ordering::Relaxed)), (1, 1));
    });
}

fn explore(name: &str, scenario: impl Fn() + Send + Sync + 'static) {
    let start = Instant::now();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    println!(
        "{name}: {} schedules in {:.1?}",
        count.load(Ordering::Relaxed),
        start.elapsed()
    );
}
