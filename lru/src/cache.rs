use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Builder, Config};
use crate::core::Core;
use crate::evicted::Outbox;
use crate::hasher::DefaultHasher;
use crate::lock::Lock;
use crate::lru::{Iter, Never};
use crate::stats::Stats;

/// A cache that threads share: clones are the same cache.
///
/// Every operation takes one short lock and constant time, growing and shrinking amortised, except those that say otherwise.
/// Values are handed out as clones: put what is large into an [`Arc`].
///
/// Under the lock run comparisons of keys, clones of values, the clock, and, when room is made or given back, hashes of keys.
/// Weighers, listeners, the closures that make values, and the destructors of what leaves the cache run outside of it and
/// may use the cache. A panic in any of them leaves the cache usable, as it was before the operation or as it is after it.
///
/// ```
/// use buildfarm_lru::Cache;
///
/// let squares = Cache::new(1000);
/// let nine = squares.get_or_insert_with(3, |n| n * n);
/// assert_eq!((nine, squares.get(&3), squares.get(&4)), (9, Some(9), None));
/// ```
pub struct Cache<K, V, S = DefaultHasher> {
    shared: Arc<Shared<K, V, S>>,
}

struct Shared<K, V, S> {
    core: Apart<Lock<Core<K, V>>>,
    config: Config<K, V, S>,
}

/// Alone in its cache lines: what all threads only read is not carried to and fro with what they write.
#[repr(align(128))]
struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<K: Hash + Eq, V> Cache<K, V> {
    /// A cache of at most so many entries; 0 means no limit.
    pub fn new(capacity: usize) -> Self {
        Builder::new().capacity(capacity).build()
    }

    /// A cache with other limits.
    pub fn builder() -> Builder<K, V> {
        Builder::new()
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Cache<K, V, S> {
    /// The value of `key`, which becomes the most recently used one.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        let Shared { core, config } = &*self.shared;
        let hash = config.hash(key);
        let mut core = core.lock();
        match core.get(hash, key, || config.now()) {
            Ok(value) => Some(value.clone()),
            Err(missing) => {
                drop(core);
                if let Some(late) = missing {
                    config.report_expired(late);
                }
                None
            }
        }
    }

    /// The value of `key`; neither the order nor the statistics change.
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        let Shared { core, config } = &*self.shared;
        let hash = config.hash(key);
        let core = core.lock();
        let at = core.find_live(hash, key, || config.now())?;
        Some(core.entry(at).1.clone())
    }

    /// Whether `key` is there; neither the order nor the statistics change.
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let Shared { core, config } = &*self.shared;
        let hash = config.hash(key);
        let core = core.lock();
        core.find_live(hash, key, || config.now()).is_some()
    }

    /// Inserts or replaces; either way the entry becomes the most recently used one, and the least recently used ones make
    /// room. Gives what was replaced.
    #[inline]
    pub fn insert(&self, key: K, value: V) -> Option<V> {
        let Shared { core, config } = &*self.shared;
        if config.is_plain() {
            let hash = config.hash(&key);
            let mut core = core.lock();
            if core.is_plain() {
                let found = core.prepare_plain(|key| config.hash(key), hash, &key);
                let inserted = core.insert_plain(found, hash, key, value);
                drop(core);
                return config.settle(inserted);
            }
        }
        self.insert_for(key, value, None)
    }

    /// As [`insert`](Self::insert), for that long, whatever the limit of the cache.
    pub fn insert_with_ttl(&self, key: K, value: V, ttl: Duration) -> Option<V> {
        self.insert_for(key, value, Some(ttl))
    }

    fn insert_for(&self, key: K, value: V, ttl: Option<Duration>) -> Option<V> {
        let Shared { core, config } = &*self.shared;
        let mut out = Outbox::new();
        let entry = config.entry(key, value, ttl);
        let now = || config.now();
        let mut core = core.lock();
        let place = core.prepare(|key| config.hash(key), &entry, now);
        let inserted = core.insert(place, entry, &mut out);
        drop(core);
        let old = inserted.settle(&mut out);
        config.report(out);
        old
    }

    /// The value of `key`, which `make` makes if there is none; it becomes the most recently used one.
    ///
    /// `make` runs outside the lock, so that others are not held up; threads that miss the same key at the same time each
    /// run theirs. The value that is in the cache first is the one that all of them get. For one run only, put
    /// `buildfarm-singleflight` around it.
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce(&K) -> V) -> V
    where
        V: Clone,
    {
        match self.try_get_or_insert_with(key, |key| Ok::<_, Never>(make(key))) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), but if `make` fails nothing is inserted.
    ///
    /// # Errors
    ///
    /// Those of `make`.
    pub fn try_get_or_insert_with<E>(
        &self,
        key: K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<V, E>
    where
        V: Clone,
    {
        if let Some(value) = self.get(&key) {
            return Ok(value);
        }
        let value = make(&key)?;
        let Shared { core, config } = &*self.shared;
        let mut out = Outbox::new();
        let entry = config.entry(key, value.clone(), None);
        let now = || config.now();
        let mut locked = core.lock();
        if let Some(at) = locked.find_live(entry.hash, &entry.key, now) {
            let first = locked.touch(at).clone();
            drop(locked);
            return Ok(first);
        }
        let place = locked.prepare(|key| config.hash(key), &entry, now);
        let inserted = locked.insert(place, entry, &mut out);
        drop(locked);
        inserted.settle(&mut out);
        config.report(out);
        Ok(value)
    }

    /// Removes an entry. What has expired is reported, not returned.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let Shared { core, config } = &*self.shared;
        let mut out = Outbox::new();
        let hash = config.hash(key);
        let removed = core.lock().remove_key(hash, key, || config.now(), &mut out);
        config.report(out);
        removed.map(|(_, value)| value)
    }

    /// Another greatest number of entries; 0 means no limit. The least recently used ones make room, in time in
    /// proportion to their number.
    pub fn resize(&self, capacity: usize) {
        let Shared { core, config } = &*self.shared;
        let mut out = Outbox::new();
        core.lock().resize(capacity, || config.now(), &mut out);
        config.report(out);
        core.lock().shrink(|key| config.hash(key));
    }

    /// Another greatest weight; 0 means no limit. The least recently used ones make room, in time in proportion to their
    /// number.
    pub fn resize_weight(&self, max_weight: u64) {
        let Shared { core, config } = &*self.shared;
        let mut out = Outbox::new();
        core.lock()
            .resize_weight(max_weight, || config.now(), &mut out);
        config.report(out);
        core.lock().shrink(|key| config.hash(key));
    }
}

impl<K, V, S> Cache<K, V, S> {
    pub(crate) fn from_parts(core: Core<K, V>, config: Config<K, V, S>) -> Self {
        Self {
            shared: Arc::new(Shared {
                core: Apart(Lock::new(core)),
                config,
            }),
        }
    }

    /// Removes and gives the least recently used entry, expired or not.
    pub fn pop_lru(&self) -> Option<(K, V)> {
        let mut core = self.shared.core.lock();
        core.oldest().map(|at| core.remove(at))
    }

    /// Entries, including those whose time has come without anybody having noticed.
    pub fn len(&self) -> usize {
        self.shared.core.lock().len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What all entries weigh; as many as there are unless there is a weigher.
    pub fn weight(&self) -> u64 {
        self.shared.core.lock().weight()
    }

    /// The greatest number of entries; 0 means no limit.
    pub fn capacity(&self) -> usize {
        self.shared.core.lock().capacity()
    }

    /// The greatest weight; 0 means no limit.
    pub fn max_weight(&self) -> u64 {
        self.shared.core.lock().max_weight()
    }

    /// Removes the entries whose time has come. Looks at all of them, under the lock.
    pub fn purge_expired(&self) {
        let Shared { core, config } = &*self.shared;
        let mut out = Outbox::new();
        core.lock().purge_expired(|| config.now(), &mut out);
        config.report(out);
    }

    /// Removes all entries, unreported.
    pub fn clear(&self) {
        let entries = self.shared.core.lock().clear();
        drop(entries);
    }

    /// What the cache has done so far.
    pub fn stats(&self) -> Stats {
        self.shared.core.lock().stats()
    }

    /// Copies of all entries whose time has not come, the most recently used one first, as they are at one moment. Takes
    /// time in proportion to their number, under the lock. The order does not change.
    pub fn snapshot(&self) -> Vec<(K, V)>
    where
        K: Clone,
        V: Clone,
    {
        let Shared { core, config } = &*self.shared;
        // Should a copy panic, those made before are dropped after the lock.
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let core = core.lock();
        let now = core.time(|| config.now());
        for (key, value) in Iter::new(&core, now) {
            keys.push(key.clone());
            values.push(value.clone());
        }
        drop(core);
        keys.into_iter().zip(values).collect()
    }
}

impl<K, V, S> Clone for Cache<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<K, V, S> fmt::Debug for Cache<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = self.shared.core.lock();
        f.debug_struct("Cache")
            .field("len", &core.len())
            .field("weight", &core.weight())
            .field("stats", &core.stats())
            .finish_non_exhaustive()
    }
}
