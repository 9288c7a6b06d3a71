//! A million operations, beside a list that does the same the slow and obvious way.

#![expect(clippy::unwrap_used, reason = "a test program")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use buildfarm_lru::{Builder, Cache, Held, Lru, Reason};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Get(u8),
    Peek(u8),
    Insert(u8, u8),
    InsertFor(u8, u8, u8),
    GetOrInsert(u8, u8),
    Remove(u8),
    PopLru,
    Resize(u8),
    ResizeWeight(u8),
    Purge,
    Clear,
    Pass(u8),
}

/// An operation from random bits: lookups and insertions mostly.
fn op(bits: u64) -> Op {
    let [choice, key, value, more, ..] = bits.to_le_bytes();
    let key = key % 48;
    match choice {
        0..70 => Op::Get(key),
        70..80 => Op::Peek(key),
        80..170 => Op::Insert(key, value),
        170..185 => Op::InsertFor(key, value, more % 20),
        185..210 => Op::GetOrInsert(key, value),
        210..230 => Op::Remove(key),
        230..238 => Op::PopLru,
        238..241 => Op::Resize(more % 32),
        241..243 => Op::ResizeWeight(more),
        243..246 => Op::Purge,
        246 => Op::Clear,
        247.. => Op::Pass(more % 8),
    }
}

/// Lookups, and now and then something else.
fn mostly_get(bits: u64) -> Op {
    match bits >> 32 & 31 {
        0 => op(bits),
        _ => Op::Get((bits >> 8) as u8 % 24),
    }
}

/// Neither weights nor deadlines.
fn plain(op: Op) -> Op {
    match op {
        Op::InsertFor(key, value, _) => Op::Insert(key, value),
        Op::ResizeWeight(_) => Op::Purge,
        op => op,
    }
}

/// Most recently used first: key, value, deadline.
type Entry = (u8, u8, u64);

/// The obvious cache. Values weigh a sixteenth of themselves.
#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    capacity: usize,
    max_weight: u64,
    ttl: Option<u64>,
    now: u64,
    out: Vec<(u8, u8, Reason)>,
    counts: [u64; 6],
    plain: bool,
}

fn weight(value: u8) -> u64 {
    u64::from(value / 16)
}

impl Model {
    fn position(&self, key: u8) -> Option<usize> {
        self.entries.iter().position(|entry| entry.0 == key)
    }

    fn weight(&self) -> u64 {
        if self.plain {
            return self.entries.len() as u64;
        }
        self.entries.iter().map(|entry| weight(entry.1)).sum()
    }

    /// What has not expired.
    fn live(&self) -> Vec<(u8, u8)> {
        let live = self.entries.iter().filter(|entry| entry.2 > self.now);
        live.map(|&(key, value, _)| (key, value)).collect()
    }

    fn part(&mut self, at: usize) {
        let (key, value, deadline) = self.entries.remove(at);
        let late = deadline <= self.now;
        self.counts[if late { 4 } else { 3 }] += 1;
        let reason = if late {
            Reason::Expired
        } else {
            Reason::Evicted
        };
        self.out.push((key, value, reason));
    }

    fn remove(&mut self, key: u8) -> Option<u8> {
        let at = self.position(key)?;
        if self.entries[at].2 <= self.now {
            self.part(at);
            return None;
        }
        Some(self.entries.remove(at).1)
    }

    fn get(&mut self, key: u8) -> Option<u8> {
        match self.position(key) {
            Some(at) if self.entries[at].2 > self.now => {
                self.counts[0] += 1;
                let entry = self.entries.remove(at);
                self.entries.insert(0, entry);
                Some(entry.1)
            }
            late => {
                self.counts[1] += 1;
                if let Some(at) = late {
                    self.part(at);
                }
                None
            }
        }
    }

    fn insert(&mut self, key: u8, value: u8, ttl: Option<u64>) -> Option<u8> {
        let old = self.remove(key);
        if self.max_weight > 0 && weight(value) > self.max_weight {
            self.counts[5] += 1;
            self.out.push((key, value, Reason::TooHeavy));
            return old;
        }
        self.counts[2] += 1;
        while self.max_weight > 0 && self.weight() + weight(value) > self.max_weight {
            self.part(self.entries.len() - 1);
        }
        if self.entries.len() == self.capacity && self.capacity > 0 {
            self.part(self.entries.len() - 1);
        }
        let deadline = ttl.or(self.ttl).map_or(u64::MAX, |ttl| self.now + ttl);
        self.entries.insert(0, (key, value, deadline));
        old
    }

    fn fit(&mut self) {
        while self.capacity > 0 && self.entries.len() > self.capacity
            || self.max_weight > 0 && self.weight() > self.max_weight
        {
            self.part(self.entries.len() - 1);
        }
    }
}

/// One kind of cache for both forms of it.
enum Form {
    Local(Box<Lru<u8, u8>>),
    Shared(Cache<u8, u8>),
}

macro_rules! both {
    ($form:expr, $cache:ident => $what:expr) => {
        match $form {
            Form::Local($cache) => $what,
            Form::Shared($cache) => $what,
        }
    };
}

impl Form {
    fn get(&mut self, key: u8) -> Option<u8> {
        match self {
            Self::Local(cache) => cache.get(&key).copied(),
            Self::Shared(cache) => cache.get(&key),
        }
    }

    fn peek(&self, key: u8) -> Option<u8> {
        match self {
            Self::Local(cache) => cache.peek(&key).copied(),
            Self::Shared(cache) => cache.peek(&key),
        }
    }

    fn get_or_insert(&mut self, key: u8, value: u8) -> u8 {
        match self {
            Self::Local(cache) => match cache.get_or_insert_with(key, |_| value) {
                Held::Cached(kept) => *kept,
                Held::Passed(made) => made,
            },
            Self::Shared(cache) => cache.get_or_insert_with(key, |_| value),
        }
    }

    fn entries(&self) -> Vec<(u8, u8)> {
        match self {
            Self::Local(cache) => {
                let entries: Vec<_> = cache.iter().map(|(&key, &value)| (key, value)).collect();
                let mut back: Vec<_> = cache.iter().rev().map(|(&k, &v)| (k, v)).collect();
                back.reverse();
                assert_eq!(entries, back);
                // From both ends by turns.
                let mut ends = cache.iter();
                let (mut front, mut back) = (Vec::new(), Vec::new());
                while let Some(entry) = ends.next() {
                    front.push(entry);
                    back.extend(ends.next_back());
                }
                let both = front.into_iter().chain(back.into_iter().rev());
                assert!(both.eq(cache.iter()));
                entries
            }
            Self::Shared(cache) => cache.snapshot(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Setup {
    shared: bool,
    /// Without what follows the capacity.
    plain: bool,
    capacity: usize,
    max_weight: u64,
    ttl: Option<u64>,
}

fn compare(setup: Setup, ops: impl IntoIterator<Item = Op>) {
    let start = Instant::now();
    let time = Arc::new(AtomicU64::new(0));
    let clock = time.clone();
    let out = Arc::new(Mutex::new(Vec::new()));
    let heard = out.clone();
    let mut builder = Builder::new()
        .capacity(setup.capacity)
        .clock(move || start + Duration::from_secs(clock.load(Ordering::Relaxed)))
        .on_evict(move |key, value, reason| heard.lock().unwrap().push((key, value, reason)));
    let mut model = Model {
        capacity: setup.capacity,
        plain: setup.plain,
        ..Model::default()
    };
    if !setup.plain {
        model.max_weight = setup.max_weight;
        model.ttl = setup.ttl;
        builder = builder.max_weight(setup.max_weight, |_, value| weight(*value));
        if let Some(ttl) = setup.ttl {
            builder = builder.ttl(Duration::from_secs(ttl));
        }
    }
    let mut cache = match setup.shared {
        true => Form::Shared(builder.build()),
        false => Form::Local(Box::new(builder.build_local())),
    };
    for (n, op) in ops.into_iter().enumerate() {
        match if setup.plain { plain(op) } else { op } {
            Op::Get(key) => assert_eq!(cache.get(key), model.get(key)),
            Op::Peek(key) => {
                let live = |at: usize| {
                    let (_, value, deadline) = model.entries[at];
                    (deadline > model.now).then_some(value)
                };
                let expected = model.position(key).and_then(live);
                assert_eq!(cache.peek(key), expected);
                assert_eq!(both!(&cache, c => c.contains(&key)), expected.is_some());
            }
            Op::Insert(key, value) => {
                let old = both!(&mut cache, c => c.insert(key, value));
                assert_eq!(old, model.insert(key, value, None));
            }
            Op::InsertFor(key, value, ttl) => {
                let time = Duration::from_secs(ttl.into());
                let old = both!(&mut cache, c => c.insert_with_ttl(key, value, time));
                assert_eq!(old, model.insert(key, value, Some(ttl.into())));
            }
            Op::GetOrInsert(key, value) => {
                let expected = model.get(key).unwrap_or_else(|| {
                    model.insert(key, value, None);
                    // Handed to the caller instead.
                    model
                        .out
                        .retain(|(.., reason)| setup.shared || *reason != Reason::TooHeavy);
                    value
                });
                assert_eq!(cache.get_or_insert(key, value), expected);
            }
            Op::Remove(key) => {
                assert_eq!(both!(&mut cache, c => c.remove(&key)), model.remove(key));
            }
            Op::PopLru => {
                let expected = model.entries.pop().map(|(key, value, _)| (key, value));
                assert_eq!(both!(&mut cache, c => c.pop_lru()), expected);
            }
            Op::Resize(capacity) => {
                model.capacity = capacity.into();
                model.fit();
                both!(&mut cache, c => c.resize(capacity.into()));
            }
            Op::ResizeWeight(max) => {
                model.max_weight = max.into();
                model.fit();
                both!(&mut cache, c => c.resize_weight(max.into()));
            }
            Op::Purge => {
                for at in (0..model.entries.len()).rev() {
                    if model.entries[at].2 <= model.now {
                        model.part(at);
                    }
                }
                both!(&mut cache, c => c.purge_expired());
                // In no particular order.
                model.out.sort_by_key(|entry| entry.0);
                out.lock()
                    .unwrap()
                    .sort_by_key(|entry: &(u8, u8, Reason)| entry.0);
            }
            Op::Clear => {
                model.entries.clear();
                both!(&mut cache, c => c.clear());
            }
            Op::Pass(seconds) => {
                model.now += u64::from(seconds);
                time.store(model.now, Ordering::Relaxed);
            }
        }
        assert_eq!(*out.lock().unwrap(), model.out);
        out.lock().unwrap().clear();
        model.out.clear();
        assert_eq!(both!(&cache, c => c.len()), model.entries.len());
        assert_eq!(both!(&cache, c => c.weight()), model.weight());
        if n % 8 == 0 {
            assert_eq!(cache.entries(), model.live());
        }
    }
    assert_eq!(cache.entries(), model.live());
    let stats = both!(&cache, c => c.stats());
    let counts = [
        stats.hits,
        stats.misses,
        stats.insertions,
        stats.evictions,
        stats.expirations,
        stats.rejections,
    ];
    assert_eq!(counts, model.counts);
}

#[test]
fn a_million_operations() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    for round in 0..1000 {
        let bits = random();
        let setup = Setup {
            shared: round % 2 == 0,
            plain: round % 3 == 0,
            capacity: (bits % 32) as usize,
            max_weight: (bits >> 8) % 3 * 60,
            ttl: (bits >> 16 & 1 == 0).then_some(bits >> 17 & 15),
        };
        let op = if round % 7 < 3 { mostly_get } else { op };
        compare(setup, (0..1000).map(|_| op(random())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same, made smaller where it fails.
    #[test]
    fn any_operations(
        shared in any::<bool>(),
        plain in any::<bool>(),
        capacity in 0..6_usize,
        max_weight in 0..40_u64,
        ttl in proptest::option::of(0..10_u64),
        bits in proptest::collection::vec(any::<u64>(), 0..200),
    ) {
        let setup = Setup { shared, plain, capacity, max_weight, ttl };
        compare(setup, bits.into_iter().map(op));
    }
}
