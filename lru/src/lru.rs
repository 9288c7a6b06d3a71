use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::iter::FusedIterator;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::config::{Builder, Config};
use crate::core::{Core, Inserted};
use crate::evicted::{Outbox, Reason};
use crate::hasher::DefaultHasher;
use crate::stats::Stats;
use crate::table::Walk;

/// A cache for one owner: no lock, and references to what is in it.
///
/// Every operation takes constant time, growing and shrinking amortised, except those that say otherwise.
///
/// A panic in a hash, a comparison, a weigher, a clock, a listener, a closure or a destructor leaves the cache as it
/// was before the operation or as it is after it.
///
/// ```
/// use buildfarm_lru::Lru;
///
/// let mut recent = Lru::new(2);
/// recent.insert("a", 1);
/// recent.insert("b", 2);
/// assert_eq!(recent.get("a"), Some(&1));
/// recent.insert("c", 3);
/// assert!(!recent.contains("b"));
/// assert_eq!(recent.iter().collect::<Vec<_>>(), [(&"c", &3), (&"a", &1)]);
/// ```
pub struct Lru<K, V, S = DefaultHasher> {
    core: Core<K, V>,
    config: Config<K, V, S>,
}

impl<K: Hash + Eq, V> Lru<K, V> {
    /// A cache of at most so many entries; 0 means no limit.
    pub fn new(capacity: usize) -> Self {
        Builder::new().capacity(capacity).build_local()
    }

    /// A cache with other limits.
    pub fn builder() -> Builder<K, V> {
        Builder::new()
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Lru<K, V, S> {
    /// The value of `key`, which becomes the most recently used one.
    #[inline]
    pub fn get<Q>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get_mut(key).map(|value| &*value)
    }

    /// As [`get`](Self::get), to be changed in place. It is not weighed anew.
    #[inline]
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.config.hash(key);
        match self.core.get(hash, key, || self.config.now()) {
            Ok(value) => Some(value),
            Err(missing) => {
                if let Some(late) = missing {
                    self.config.report_expired(late);
                }
                None
            }
        }
    }

    /// The value of `key`; neither the order nor the statistics change.
    pub fn peek<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.config.hash(key);
        let at = self.core.find_live(hash, key, || self.config.now())?;
        Some(self.core.entry(at).1)
    }

    /// Whether `key` is there; neither the order nor the statistics change.
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.peek(key).is_some()
    }

    /// Inserts or replaces; either way the entry becomes the most recently used one, and the least recently used ones make
    /// room. Gives what was replaced.
    #[inline]
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.config.is_plain() && self.core.is_plain() {
            let hash = self.config.hash(&key);
            let hasher = |key: &K| self.config.hash(key);
            let found = self.core.prepare_plain(hasher, hash, &key);
            let inserted = self.core.insert_plain(found, hash, key, value);
            return self.config.settle(inserted);
        }
        self.insert_for(key, value, None)
    }

    /// As [`insert`](Self::insert), for that long, whatever the limit of the cache.
    pub fn insert_with_ttl(&mut self, key: K, value: V, ttl: Duration) -> Option<V> {
        self.insert_for(key, value, Some(ttl))
    }

    fn insert_for(&mut self, key: K, value: V, ttl: Option<Duration>) -> Option<V> {
        let mut out = Outbox::new();
        let entry = self.config.entry(key, value, ttl);
        let now = || self.config.now();
        let hasher = |key: &K| self.config.hash(key);
        let place = self.core.prepare(hasher, &entry, now);
        let inserted = self.core.insert(place, entry, &mut out);
        let old = inserted.settle(&mut out);
        self.config.report(out);
        old
    }

    /// The value of `key`, which `make` makes if there is none; it becomes the most recently used one.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce(&K) -> V) -> Held<'_, V> {
        match self.try_get_or_insert_with(key, |key| Ok::<_, Never>(make(key))) {
            Ok(held) => held,
            Err(never) => match never {},
        }
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), but if `make` fails nothing is inserted.
    ///
    /// # Errors
    ///
    /// Those of `make`.
    pub fn try_get_or_insert_with<E>(
        &mut self,
        key: K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<Held<'_, V>, E> {
        let hash = self.config.hash(&key);
        match self.core.get(hash, &key, || self.config.now()) {
            Ok(_) => return Ok(Held::Cached(self.core.newest_mut())),
            Err(Some(late)) => self.config.report_expired(late),
            Err(None) => {}
        }
        let value = make(&key)?;
        let mut out = Outbox::new();
        let entry = self.config.entry(key, value, None);
        let now = || self.config.now();
        let hasher = |key: &K| self.config.hash(key);
        let place = self.core.prepare(hasher, &entry, now);
        let inserted = self.core.insert(place, entry, &mut out);
        self.config.report(out);
        Ok(match inserted {
            Inserted::Rejected { value, .. } => Held::Passed(value),
            _ => Held::Cached(self.core.newest_mut()),
        })
    }

    /// Removes an entry. What has expired is reported, not returned.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut out = Outbox::new();
        let hash = self.config.hash(key);
        let removed = self
            .core
            .remove_key(hash, key, || self.config.now(), &mut out);
        self.config.report(out);
        removed.map(|(_, value)| value)
    }

    /// Another greatest number of entries; 0 means no limit. The least recently used ones make room, in time in
    /// proportion to their number.
    pub fn resize(&mut self, capacity: usize) {
        let mut out = Outbox::new();
        let now = || self.config.now();
        self.core.resize(capacity, now, &mut out);
        self.config.report(out);
        self.core.shrink(|key| self.config.hash(key));
    }

    /// Another greatest weight; 0 means no limit. The least recently used ones make room, in time in proportion to their
    /// number.
    pub fn resize_weight(&mut self, max_weight: u64) {
        let mut out = Outbox::new();
        let now = || self.config.now();
        self.core.resize_weight(max_weight, now, &mut out);
        self.config.report(out);
        self.core.shrink(|key| self.config.hash(key));
    }
}

impl<K, V, S> Lru<K, V, S> {
    pub(crate) fn from_parts(core: Core<K, V>, config: Config<K, V, S>) -> Self {
        Self { core, config }
    }

    /// Removes and gives the least recently used entry, expired or not.
    pub fn pop_lru(&mut self) -> Option<(K, V)> {
        self.core.oldest().map(|at| self.core.remove(at))
    }

    /// Entries, including those whose time has come without anybody having noticed.
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.core.len() == 0
    }

    /// What all entries weigh; as many as there are unless there is a weigher.
    pub fn weight(&self) -> u64 {
        self.core.weight()
    }

    /// The greatest number of entries; 0 means no limit.
    pub fn capacity(&self) -> usize {
        self.core.capacity()
    }

    /// The greatest weight; 0 means no limit.
    pub fn max_weight(&self) -> u64 {
        self.core.max_weight()
    }

    /// Removes all entries, unreported.
    pub fn clear(&mut self) {
        drop(self.core.clear());
    }

    /// Removes the entries whose time has come. Looks at all.
    pub fn purge_expired(&mut self) {
        let mut out = Outbox::new();
        self.core.purge_expired(|| self.config.now(), &mut out);
        self.config.report(out);
    }

    /// What the cache has done so far.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// All entries whose time has not come, the most recently used one first; `.rev()` for the other way round. The order
    /// does not change.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter::new(&self.core, self.core.time(|| self.config.now()))
    }
}

impl<'a, K, V, S> IntoIterator for &'a Lru<K, V, S> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for Lru<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// A value that was made sure of, wherever it is.
#[derive(Debug)]
pub enum Held<'a, V> {
    /// It is in the cache.
    Cached(&'a mut V),
    /// It was made, but is too heavy to be kept.
    Passed(V),
}

impl<V> Deref for Held<'_, V> {
    type Target = V;

    fn deref(&self) -> &V {
        match self {
            Self::Cached(value) => value,
            Self::Passed(value) => value,
        }
    }
}

impl<V> DerefMut for Held<'_, V> {
    fn deref_mut(&mut self) -> &mut V {
        match self {
            Self::Cached(value) => value,
            Self::Passed(value) => value,
        }
    }
}

/// Entries in the order of their use. Made by [`Lru::iter`].
pub struct Iter<'a, K, V> {
    core: &'a Core<K, V>,
    walk: Walk,
    now: u64,
}

impl<'a, K, V> Iter<'a, K, V> {
    pub(crate) fn new(core: &'a Core<K, V>, now: u64) -> Self {
        Self {
            core,
            walk: core.walk(),
            now,
        }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(at) = self.core.next_newest(&mut self.walk) {
            if !self.core.is_expired(at, self.now) {
                return Some(self.core.entry(at));
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.walk.len()))
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        while let Some(at) = self.core.next_oldest(&mut self.walk) {
            if !self.core.is_expired(at, self.now) {
                return Some(self.core.entry(at));
            }
        }
        None
    }
}

impl<K, V> FusedIterator for Iter<'_, K, V> {}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self {
            walk: self.walk.clone(),
            ..*self
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

impl<K, V> Inserted<K, V> {
    /// What was replaced, for the caller; everything else goes out.
    pub(crate) fn settle(self, out: &mut Outbox<K, V>) -> Option<V> {
        match self {
            Self::New => None,
            Self::Replaced { key, old } => {
                drop(key);
                Some(old)
            }
            Self::Rejected { key, value, old } => {
                out.push(key, value, Reason::TooHeavy);
                old.map(|(_, value)| value)
            }
        }
    }
}

/// What cannot happen.
pub(crate) enum Never {}
