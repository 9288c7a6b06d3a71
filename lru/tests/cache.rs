//! What users can rely on.

use std::cell::Cell;
use std::collections::hash_map::DefaultHasher as SipHasher;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use buildfarm_lru::{Builder, Cache, Held, Lru, Reason};

/// The order of eviction of the Go original: reading and replacing make an entry the newest.
#[test]
fn as_the_original() {
    let cache = Cache::new(2);
    assert_eq!(cache.get("a"), None);
    cache.insert("a", 1);
    cache.insert("b", 2);
    assert_eq!(cache.insert("a", 10), Some(1));
    cache.insert("c", 3);
    assert!(!cache.contains("b"));
    assert_eq!(cache.pop_lru(), Some(("a", 10)));
    assert_eq!(cache.pop_lru(), Some(("c", 3)));
    assert_eq!(cache.pop_lru(), None);
}

#[test]
fn zero_is_no_limit() {
    let cache = Cache::new(0);
    for n in 0..10_000 {
        cache.insert(n, n);
    }
    assert_eq!((cache.len(), cache.capacity()), (10_000, 0));
    cache.resize(10);
    assert_eq!((cache.len(), cache.capacity()), (10, 10));
    cache.resize(0);
    cache.insert(10_000, 0);
    assert_eq!(cache.len(), 11);
}

#[test]
fn peeking_changes_nothing() {
    let cache = Cache::new(2);
    cache.insert("old", 1);
    cache.insert("new", 2);
    assert_eq!(cache.peek("old"), Some(1));
    assert!(cache.contains("old"));
    assert_eq!(cache.stats().hits, 0);
    cache.insert("newest", 3);
    assert!(!cache.contains("old"));
}

#[test]
fn an_entry_that_is_too_heavy() {
    let gone = Arc::new(Mutex::new(Vec::new()));
    let heard = gone.clone();
    let cache = Builder::new()
        .max_weight(10, |_: &&str, weight: &u64| *weight)
        .on_evict(move |key, weight, reason| heard.lock().unwrap().push((key, weight, reason)))
        .build();
    cache.insert("a", 4);
    cache.insert("b", 6);
    // What it replaces is gone, for it is no longer true; the others stay.
    assert_eq!(cache.insert("a", 11), Some(4));
    assert_eq!(cache.snapshot(), [("b", 6)]);
    assert_eq!(*gone.lock().unwrap(), [("a", 11, Reason::TooHeavy)]);
    assert_eq!(cache.stats().rejections, 1);
    // As heavy as everything may be is not too heavy.
    cache.insert("c", 10);
    assert_eq!(cache.snapshot(), [("c", 10)]);
    assert_eq!(cache.get_or_insert_with("d", |_| 12), 12);
    assert_eq!(cache.weight(), 10);
}

#[test]
fn weights_near_the_end_of_numbers() {
    let cache = Builder::new()
        .max_weight(0, |_: &u8, _: &()| u64::MAX)
        .build();
    cache.insert(1, ());
    cache.insert(2, ());
    assert_eq!((cache.len(), cache.weight()), (2, u64::MAX));
    cache.resize_weight(u64::MAX);
    assert_eq!(cache.snapshot(), [(2, ())]);
}

#[test]
fn time_passes() {
    let start = Instant::now();
    let now = Arc::new(Mutex::new(start));
    let clock = now.clone();
    let cache = Builder::new()
        .ttl(Duration::from_secs(10))
        .clock(move || *clock.lock().unwrap())
        .build();
    let after = |seconds| *now.lock().unwrap() = start + Duration::from_secs(seconds);
    cache.insert("default", 1);
    cache.insert_with_ttl("short", 2, Duration::from_secs(1));
    cache.insert_with_ttl("for ever", 3, Duration::MAX);
    after(1);
    assert_eq!((cache.peek("short"), cache.get("default")), (None, Some(1)));
    assert_eq!(cache.len(), 3);
    assert_eq!(cache.get("short"), None);
    assert_eq!(cache.len(), 2);
    after(10);
    assert_eq!(cache.snapshot(), [("for ever", 3)]);
    assert_eq!(cache.remove("default"), None);
    cache.purge_expired();
    assert_eq!(cache.stats().expirations, 2);
    after(1_000_000_000);
    assert!(cache.contains("for ever"));
}

#[test]
fn limits_in_time_may_come_late() {
    let cache = Cache::new(0);
    cache.insert(1, "stays");
    cache.insert_with_ttl(2, "goes", Duration::ZERO);
    assert_eq!(cache.snapshot(), [(1, "stays")]);
    assert_eq!(cache.weight(), 2);
}

#[test]
fn making_values() {
    let mut cache = Lru::new(10);
    assert_eq!(*cache.get_or_insert_with("a", |_| 1), 1);
    *cache.get_or_insert_with("a", |_| 2) += 10;
    assert_eq!(cache.peek("a"), Some(&11));
    let failed = cache.try_get_or_insert_with("b", |_| Err::<u32, _>("no"));
    assert_eq!(failed.unwrap_err(), "no");
    assert!(!cache.contains("b"));

    let mut light = Builder::new()
        .max_weight(1, |_: &u8, _: &u8| 2)
        .build_local();
    assert!(matches!(
        light.get_or_insert_with(1, |_| 7),
        Held::Passed(7)
    ));
    assert!(light.is_empty());
}

/// The value that is in the cache first is everybody's.
#[test]
fn who_makes_a_value_too_late_gets_the_first_one() {
    let cache = Cache::new(10);
    let late = cache.get_or_insert_with("key", |key| {
        assert_eq!(cache.get_or_insert_with(*key, |_| "first"), "first");
        "second"
    });
    assert_eq!(late, "first");
    assert_eq!(cache.stats().insertions, 1);
}

#[test]
fn listeners_and_destructors_may_use_the_cache() {
    struct Noisy(Option<Cache<u32, Arc<Self>>>);
    impl Drop for Noisy {
        fn drop(&mut self) {
            if let Some(cache) = &self.0 {
                cache.len();
            }
        }
    }
    let lengths = Arc::new(Mutex::new(Vec::new()));
    let seen = lengths.clone();
    let handle = Arc::new(Mutex::new(None::<Cache<u32, Arc<Noisy>>>));
    let own = handle.clone();
    let cache = Builder::new()
        .capacity(2)
        .on_evict(move |_, _, _| {
            let cache = own.lock().unwrap().clone().unwrap();
            seen.lock().unwrap().push(cache.len());
        })
        .build();
    *handle.lock().unwrap() = Some(cache.clone());
    for key in 0..4 {
        cache.insert(key, Arc::new(Noisy(Some(cache.clone()))));
    }
    assert_eq!(*lengths.lock().unwrap(), [2, 2]);
    cache.insert(3, Arc::new(Noisy(None)));
    cache.remove(&2);
    cache.clear();
    handle.lock().unwrap().take();
}

thread_local! {
    static FUSE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Panics when the fuse has burnt down.
fn burn() {
    if let Some(left) = FUSE.get() {
        FUSE.set(left.checked_sub(1));
        if left == 0 {
            panic!("burnt down");
        }
    }
}

#[derive(Debug)]
struct Fused(u32);

impl Clone for Fused {
    fn clone(&self) -> Self {
        burn();
        Self(self.0)
    }
}
impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        burn();
        self.0 == other.0
    }
}
impl Eq for Fused {}
impl Hash for Fused {
    fn hash<H: Hasher>(&self, state: &mut H) {
        burn();
        // Many share a place in the table.
        (self.0 % 3).hash(state);
    }
}
impl Drop for Fused {
    fn drop(&mut self) {
        burn();
    }
}

/// Every place where code of the user runs panics once; the cache stays whole.
#[test]
fn panics_leave_it_usable() {
    let start = Instant::now();
    let mut panics = 0;
    for fuse in 0.. {
        let cache = Builder::new()
            .capacity(4)
            .max_weight(100, |_: &Fused, _: &Fused| {
                burn();
                20
            })
            .ttl(Duration::from_secs(1000))
            .clock(move || {
                burn();
                start
            })
            .on_evict(|_, _, _| burn())
            .hasher(BuildHasherDefault::<SipHasher>::default())
            .build();
        FUSE.set(Some(fuse));
        let mut panicked = 0;
        for n in 0..12_u32 {
            let step = AssertUnwindSafe(|| match n % 6 {
                0 | 1 => drop(cache.insert(Fused(n), Fused(n))),
                2 => drop(cache.get_or_insert_with(Fused(n), |_| {
                    burn();
                    Fused(n)
                })),
                3 => drop(cache.get(&Fused(n - 2))),
                4 => drop(cache.insert(Fused(n - 3), Fused(n))),
                _ => drop(cache.remove(&Fused(n - 3))),
            });
            panicked += usize::from(catch_unwind(step).is_err());
        }
        let unburnt = FUSE.take().is_some();
        panics += panicked;
        let entries = cache.snapshot();
        assert_eq!(entries.len(), cache.len());
        assert_eq!(cache.weight(), 20 * cache.len() as u64);
        for (key, value) in entries {
            assert_eq!(cache.get(&key).map(|value| value.0), Some(value.0));
        }
        for n in 100..105 {
            cache.insert(Fused(n), Fused(n));
        }
        assert_eq!(cache.len(), 4);
        while cache.pop_lru().is_some() {}
        assert_eq!((cache.len(), cache.weight()), (0, 0));
        if unburnt {
            break;
        }
    }
    assert!(panics > 50, "{panics}");
}

/// A value that looks into its cache when it is dropped.
struct Nosy(Option<Cache<Fused, Self, BuildHasherDefault<SipHasher>>>);

impl Clone for Nosy {
    fn clone(&self) -> Self {
        burn();
        Self(self.0.clone())
    }
}
impl Drop for Nosy {
    fn drop(&mut self) {
        if let Some(cache) = &self.0 {
            cache.len();
        }
    }
}

/// Whatever panics under the lock, nothing of the user's is dropped there.
#[test]
fn panics_drop_nothing_under_the_lock() {
    let (done, end) = mpsc::channel();
    // Apart, for it would wait for itself.
    thread::spawn(move || {
        let mut panics = 0;
        for (plain, fuse) in (0..150).flat_map(|fuse| [(true, fuse), (false, fuse)]) {
            let mut builder = Builder::new().hasher(BuildHasherDefault::<SipHasher>::default());
            if !plain {
                let start = Instant::now();
                builder = builder
                    .max_weight(1000, |_: &Fused, _: &Nosy| 20)
                    .ttl(Duration::from_secs(1000))
                    .clock(move || {
                        burn();
                        start
                    });
            }
            let cache = builder.build();
            let nosy = || Nosy(Some(cache.clone()));
            let steps = || {
                for n in 0..9 {
                    drop(cache.insert(Fused(n), nosy()));
                }
                drop(cache.insert(Fused(0), nosy()));
                for n in 9..17 {
                    drop(cache.get_or_insert_with(Fused(n), |_| nosy()));
                }
                drop(cache.snapshot());
            };
            FUSE.set(Some(fuse));
            panics += u32::from(catch_unwind(AssertUnwindSafe(steps)).is_err());
            FUSE.set(None);
            cache.clear();
        }
        done.send(panics).unwrap();
    });
    let panics = end.recv_timeout(Duration::from_secs(20));
    assert_eq!(panics, Ok(300), "a destructor waits for the lock");
}

/// Growing and shrinking hash all keys.
#[test]
fn panics_while_it_grows_and_shrinks() {
    for plain in [true, false] {
        grow_and_shrink(plain);
    }
}

fn grow_and_shrink(plain: bool) {
    for fuse in 0.. {
        let mut builder =
            Cache::<Fused, Fused>::builder().hasher(BuildHasherDefault::<SipHasher>::default());
        if !plain {
            let start = Instant::now();
            builder = builder
                .max_weight(1000, |key, _| {
                    burn();
                    u64::from(key.0 % 7)
                })
                .ttl(Duration::from_secs(1000))
                .clock(move || {
                    burn();
                    start
                });
        }
        let cache = builder.build();
        let check = || {
            let entries = cache.snapshot();
            assert_eq!(entries.len(), cache.len());
            let weigh = |key: &Fused| if plain { 1 } else { u64::from(key.0 % 7) };
            let weight: u64 = entries.iter().map(|(key, _)| weigh(key)).sum();
            assert_eq!(cache.weight(), weight);
            for (key, value) in entries {
                assert_eq!(cache.get(&key).map(|value| value.0), Some(value.0));
            }
        };
        FUSE.set(Some(fuse));
        let mut done = 0;
        for n in 0..20_u32 {
            let step = AssertUnwindSafe(|| cache.insert(Fused(n), Fused(n)));
            done += u64::from(catch_unwind(step).is_ok());
        }
        let resized = catch_unwind(AssertUnwindSafe(|| cache.resize(2)));
        let unburnt = FUSE.take().is_some();
        check();
        if resized.is_err() {
            // The clock may have failed before anything changed.
            cache.resize(2);
        }
        assert_eq!(cache.stats().insertions, done);
        assert_eq!((cache.capacity(), cache.len()), (2, 2));
        cache.resize(0);
        for n in 100..120 {
            cache.insert(Fused(n), Fused(n));
        }
        check();
        assert_eq!(cache.len(), 22);
        if unburnt {
            assert!(resized.is_ok() && fuse > 40, "{fuse}");
            break;
        }
    }
}

#[test]
fn threads_share_it() {
    let made = Arc::new(AtomicUsize::new(0));
    let gone = Arc::new(AtomicUsize::new(0));
    let heard = gone.clone();
    let cache = Builder::new()
        .capacity(50)
        .on_evict(move |_, _, _| {
            heard.fetch_add(1, Ordering::Relaxed);
        })
        .build();
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for seed in 0..4_u64 {
            let (cache, barrier, made) = (cache.clone(), &barrier, &made);
            scope.spawn(move || {
                barrier.wait();
                for n in 0..10_000_u64 {
                    let key = ((n * (seed + 7) * 2_654_435_761) >> 7) % 100;
                    let value = cache.get_or_insert_with(key, |key| {
                        made.fetch_add(1, Ordering::Relaxed);
                        key * 3
                    });
                    assert_eq!(value, key * 3);
                }
            });
        }
    });
    let stats = cache.stats();
    assert_eq!(stats.hits + stats.misses, 40_000);
    assert_eq!(stats.misses, made.load(Ordering::Relaxed) as u64);
    assert_eq!(stats.insertions - stats.evictions, 50);
    assert_eq!(stats.evictions, gone.load(Ordering::Relaxed) as u64);
    assert_eq!(cache.snapshot().len(), 50);
}

/// All keys alike to it.
#[derive(Default)]
struct Blind;

impl Hasher for Blind {
    fn write(&mut self, _: &[u8]) {}
    fn finish(&self) -> u64 {
        0
    }
}

#[test]
fn bad_hashes_cost_time_only() {
    let mut cache = Builder::new()
        .capacity(2000)
        .hasher(BuildHasherDefault::<Blind>::default())
        .build_local();
    for n in 0..5000 {
        assert_eq!(cache.insert(n, n), None);
        if n % 3 == 0 {
            assert_eq!(cache.remove(&n), Some(n));
        }
    }
    for n in (4900..5000).rev() {
        assert_eq!(cache.get(&n), (n % 3 > 0).then_some(&n));
    }
    assert_eq!(cache.get(&1), None);
    let keys = cache.iter().map(|(key, _)| *key);
    let recent = (4900..5000).chain((0..4900).rev());
    assert!(keys.eq(recent.filter(|n| n % 3 > 0).take(2000)));
    cache.clear();
    assert_eq!(cache.insert(1, 1), None);
    assert_eq!(cache.len(), 1);
}
