//! The cache without hasher, clock, lock: hashes, weights and the time come in, what had to go goes out.

use std::borrow::Borrow;
use std::mem;

use hashbrown::HashTable;

use crate::evicted::{Outbox, Reason};
use crate::stats::Stats;

/// Positions are `u32`, and one of them means none. With so many entries the table has 2³¹ places.
pub(crate) const MOST: usize = 5 << 28;

const NONE: u32 = u32::MAX;

/// Entries in the places of a hash table, linked in the order of their use by the numbers of those places.
///
/// The table never grows by itself, for that would move entries under their links: [`rebuild`](Self::rebuild) does it.
///
/// No code of the user runs while entries and links disagree: hashes, comparisons and clocks come first, and whatever is to
/// be dropped is handed out.
pub(crate) struct Core<K, V> {
    table: HashTable<Node<K, V>>,
    /// For each place of the table, from the first weight or deadline on; empty before.
    extras: Vec<Extra>,
    /// The most recently used one.
    head: u32,
    /// The least recently used one.
    tail: u32,
    capacity: usize,
    max_weight: u64,
    /// A sum of `u64`s never overflows it. Only kept with `extras`.
    weight: u128,
    /// Whether `extras` is kept.
    tracked: bool,
    /// Whether any entry may have a deadline.
    timed: bool,
    stats: Stats,
}

pub(crate) struct Node<K, V> {
    key: K,
    value: V,
    newer: u32,
    older: u32,
}

/// What most caches do not need to know of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extra {
    pub(crate) weight: u64,
    /// In nanoseconds of the cache's clock. The greatest value means never.
    pub(crate) deadline: u64,
}

impl Extra {
    pub(crate) const NONE: Self = Self {
        weight: 1,
        deadline: u64::MAX,
    };
}

/// What is to be inserted.
pub(crate) struct Entry<K, V> {
    pub(crate) hash: u64,
    pub(crate) key: K,
    pub(crate) value: V,
    pub(crate) extra: Extra,
}

/// What came of an insertion.
pub(crate) enum Inserted<K, V> {
    New,
    /// There was one, whose key was kept; this is the new one.
    Replaced {
        key: K,
        old: V,
    },
    /// What was to be inserted is too heavy, and what was there under its key is gone.
    Rejected {
        key: K,
        value: V,
        old: Option<(K, V)>,
    },
}

impl<K, V> Core<K, V> {
    pub(crate) fn new(capacity: usize, max_weight: u64) -> Self {
        Self {
            table: HashTable::new(),
            extras: Vec::new(),
            head: NONE,
            tail: NONE,
            capacity: most(capacity),
            max_weight,
            weight: 0,
            tracked: false,
            timed: false,
            stats: Stats::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// 0 if there is no limit.
    pub(crate) fn capacity(&self) -> usize {
        if self.capacity == MOST {
            0
        } else {
            self.capacity
        }
    }

    pub(crate) fn max_weight(&self) -> u64 {
        self.max_weight
    }

    pub(crate) fn weight(&self) -> u64 {
        u64::try_from(self.total()).unwrap_or(u64::MAX)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats
    }

    /// The position of a key, expired or not.
    #[inline]
    pub(crate) fn find<Q>(&self, hash: u64, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let at = self
            .table
            .find_bucket_index(hash, |node| node.key.borrow() == key)?;
        Some(at as u32)
    }

    /// Every position that is linked, or was found and not removed since, has an entry.
    #[inline]
    fn node(&self, at: u32) -> &Node<K, V> {
        match self.table.get_bucket(at as usize) {
            Some(node) => node,
            None => unreachable!("no entry at {at}"),
        }
    }

    #[inline]
    fn node_mut(&mut self, at: u32) -> &mut Node<K, V> {
        match self.table.get_bucket_mut(at as usize) {
            Some(node) => node,
            None => unreachable!("no entry at {at}"),
        }
    }

    /// The position of a key whose time has not come. Changes nothing.
    pub(crate) fn find_live<Q>(&self, hash: u64, key: &Q, now: impl FnOnce() -> u64) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let at = self.find(hash, key)?;
        (!self.is_expired(at, self.time(now))).then_some(at)
    }

    /// Looks a key up: counts, makes its entry the most recently used one, or removes it because its time has come.
    #[inline]
    pub(crate) fn get<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        now: impl FnOnce() -> u64,
        out: &mut Outbox<K, V>,
    ) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(at) = self.find(hash, key) else {
            self.stats.misses += 1;
            return None;
        };
        if self.timed && self.is_expired(at, now()) {
            self.stats.misses += 1;
            self.take_out(at, Reason::Expired, out);
            return None;
        }
        self.stats.hits += 1;
        self.touch(at);
        Some(at)
    }

    #[inline]
    pub(crate) fn entry(&self, at: u32) -> (&K, &V) {
        let node = self.node(at);
        (&node.key, &node.value)
    }

    #[inline]
    pub(crate) fn value_mut(&mut self, at: u32) -> &mut V {
        &mut self.node_mut(at).value
    }

    /// Inserts as the most recently used one. `out` gets what had to make room.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        entry: Entry<K, V>,
        hasher: impl Fn(&K) -> u64,
        now: impl FnOnce() -> u64,
        out: &mut Outbox<K, V>,
    ) -> Inserted<K, V>
    where
        K: Eq,
    {
        let found = self.find(entry.hash, &entry.key);
        let extra = entry.extra;
        if found.is_none() && self.table.len() == self.table.capacity() {
            self.rebuild(self.table.len() + 1, hasher);
        }
        if extra != Extra::NONE {
            self.keep_extras();
            self.timed |= extra.deadline != u64::MAX;
        }
        let now = self.time(now);
        if self.max_weight > 0 && extra.weight > self.max_weight {
            self.stats.rejections += 1;
            let old = found.and_then(|at| self.remove_live(at, now, out));
            let Entry { key, value, .. } = entry;
            return Inserted::Rejected { key, value, old };
        }
        self.stats.insertions += 1;
        if let Some(at) = found {
            let Entry { key, value, .. } = entry;
            let late = self.is_expired(at, now);
            let old = mem::replace(self.value_mut(at), value);
            if let Some(known) = self.extras.get_mut(at as usize) {
                self.weight = self.weight - u128::from(known.weight) + u128::from(extra.weight);
                *known = extra;
            }
            self.touch(at);
            let inserted = if late {
                self.count(Reason::Expired);
                out.push(key, old, Reason::Expired);
                Inserted::New
            } else {
                Inserted::Replaced { key, old }
            };
            self.fit_weight(0, now, out);
            return inserted;
        }
        self.fit_weight(extra.weight, now, out);
        if self.table.len() >= self.capacity {
            self.evict_oldest(now, out);
        }
        self.push(entry);
        Inserted::New
    }

    /// Removes the entry at a position. No other one moves.
    pub(crate) fn remove(&mut self, at: u32) -> (K, V) {
        let Ok(entry) = self.table.get_bucket_entry(at as usize) else {
            unreachable!("no entry at {at}")
        };
        let (node, _) = entry.remove();
        self.join(node.newer, node.older);
        if self.tracked {
            self.weight -= u128::from(self.extras[at as usize].weight);
        }
        (node.key, node.value)
    }

    /// Removes an entry for a caller, who does not get it if its time has come.
    pub(crate) fn remove_key<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        now: impl FnOnce() -> u64,
        out: &mut Outbox<K, V>,
    ) -> Option<(K, V)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let at = self.find(hash, key)?;
        let now = self.time(now);
        self.remove_live(at, now, out)
    }

    fn remove_live(&mut self, at: u32, now: u64, out: &mut Outbox<K, V>) -> Option<(K, V)> {
        if self.is_expired(at, now) {
            self.take_out(at, Reason::Expired, out);
            return None;
        }
        Some(self.remove(at))
    }

    /// Removes an entry on the cache's own account.
    pub(crate) fn take_out(&mut self, at: u32, reason: Reason, out: &mut Outbox<K, V>) {
        let (key, value) = self.remove(at);
        self.count(reason);
        out.push(key, value, reason);
    }

    /// The position of the least recently used entry.
    pub(crate) fn oldest(&self) -> Option<u32> {
        (self.tail != NONE).then_some(self.tail)
    }

    /// The position of the most recently used entry.
    pub(crate) fn newest(&self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    /// The value of the most recently used entry. There must be one.
    pub(crate) fn newest_mut(&mut self) -> &mut V {
        self.value_mut(self.head)
    }

    /// From one position to the next less recently used one. Of no meaning after the last.
    pub(crate) fn older(&self, at: u32) -> u32 {
        self.node(at).older
    }

    /// From one position to the next more recently used one. Of no meaning after the last.
    pub(crate) fn newer(&self, at: u32) -> u32 {
        self.node(at).newer
    }

    pub(crate) fn resize(
        &mut self,
        capacity: usize,
        hasher: impl Fn(&K) -> u64,
        now: impl FnOnce() -> u64,
        out: &mut Outbox<K, V>,
    ) {
        let now = self.time(now);
        self.capacity = most(capacity);
        while self.table.len() > self.capacity {
            self.evict_oldest(now, out);
        }
        self.shrink(hasher);
    }

    pub(crate) fn resize_weight(
        &mut self,
        max_weight: u64,
        hasher: impl Fn(&K) -> u64,
        now: impl FnOnce() -> u64,
        out: &mut Outbox<K, V>,
    ) {
        let now = self.time(now);
        self.max_weight = max_weight;
        self.fit_weight(0, now, out);
        self.shrink(hasher);
    }

    pub(crate) fn purge_expired(&mut self, now: impl FnOnce() -> u64, out: &mut Outbox<K, V>) {
        let now = self.time(now);
        let mut next = self.tail;
        while next != NONE {
            let at = next;
            next = self.newer(at);
            if self.is_expired(at, now) {
                self.take_out(at, Reason::Expired, out);
            }
        }
    }

    /// Empties the cache; what was in it is returned, to be dropped where that does no harm.
    pub(crate) fn clear(&mut self) -> HashTable<Node<K, V>> {
        self.extras = Vec::new();
        self.timed = false;
        self.tracked = false;
        self.weight = 0;
        (self.head, self.tail) = (NONE, NONE);
        mem::take(&mut self.table)
    }

    /// Gives memory back if three quarters of it are unused.
    fn shrink(&mut self, hasher: impl Fn(&K) -> u64) {
        if self.table.capacity() / 4 > self.table.len() {
            self.rebuild(self.table.len(), hasher);
        }
    }

    /// Whether an entry's time has come, at the time that [`time`](Self::time) gave.
    pub(crate) fn is_expired(&self, at: u32, now: u64) -> bool {
        self.timed
            && self
                .extras
                .get(at as usize)
                .is_some_and(|extra| extra.deadline <= now)
    }

    /// The time, if it matters to any entry.
    pub(crate) fn time(&self, now: impl FnOnce() -> u64) -> u64 {
        if self.timed { now() } else { 0 }
    }

    fn keep_extras(&mut self) {
        if !self.tracked {
            self.tracked = true;
            self.weight = self.table.len() as u128;
            self.extras.resize(self.table.num_buckets(), Extra::NONE);
        }
    }

    /// Inserts what is not there. The table must have room for it.
    fn push(&mut self, entry: Entry<K, V>) {
        let Entry {
            hash,
            key,
            value,
            extra,
        } = entry;
        let older = self.head;
        let node = Node {
            key,
            value,
            newer: NONE,
            older,
        };
        let place = self.table.insert_unique(hash, node, never_called);
        let at = place.bucket_index() as u32;
        self.head = at;
        if older == NONE {
            self.tail = at;
        } else {
            self.node_mut(older).newer = at;
        }
        if self.tracked {
            self.extras[at as usize] = extra;
            self.weight += u128::from(extra.weight);
        }
    }

    /// Moves everything to a table for that many entries and some more.
    ///
    /// Removals leave places that are neither free nor taken where the table is crowded. With a third to spare that is rare
    /// enough for insertions to use up such places as fast as they come, and this need not be done again.
    #[cold]
    fn rebuild(&mut self, entries: usize, hasher: impl Fn(&K) -> u64) {
        // All that may panic comes first.
        let len = self.table.len();
        let mut hashes = Vec::with_capacity(len);
        let mut at = self.tail;
        while at != NONE {
            let node = self.node(at);
            hashes.push(hasher(&node.key));
            at = node.newer;
        }
        let mut old = mem::replace(
            &mut self.table,
            HashTable::with_capacity(entries + entries / 3 + 4),
        );
        let places = if self.tracked {
            self.table.num_buckets()
        } else {
            0
        };
        let extras = mem::replace(&mut self.extras, vec![Extra::NONE; places]);
        let mut next = self.tail;
        self.weight = 0;
        (self.head, self.tail) = (NONE, NONE);
        for hash in hashes {
            let Ok(entry) = old.get_bucket_entry(next as usize) else {
                unreachable!("no entry at {next}")
            };
            let at = next;
            let (node, _) = entry.remove();
            next = node.newer;
            let extra = extras.get(at as usize).copied().unwrap_or(Extra::NONE);
            self.push(Entry {
                hash,
                key: node.key,
                value: node.value,
                extra,
            });
        }
    }

    /// Evicts until that much more has room.
    fn fit_weight(&mut self, more: u64, now: u64, out: &mut Outbox<K, V>) {
        if self.max_weight == 0 {
            return;
        }
        let most = u128::from(self.max_weight - more);
        while self.total() > most {
            self.evict_oldest(now, out);
        }
    }

    fn total(&self) -> u128 {
        if self.tracked {
            self.weight
        } else {
            self.table.len() as u128
        }
    }

    fn evict_oldest(&mut self, now: u64, out: &mut Outbox<K, V>) {
        if let Some(at) = self.oldest() {
            self.take_out(at, self.reason(at, now), out);
        }
    }

    fn reason(&self, at: u32, now: u64) -> Reason {
        if self.is_expired(at, now) {
            Reason::Expired
        } else {
            Reason::Evicted
        }
    }

    fn count(&mut self, reason: Reason) {
        match reason {
            Reason::Evicted => self.stats.evictions += 1,
            Reason::Expired => self.stats.expirations += 1,
            Reason::TooHeavy => {}
        }
    }

    /// Makes an entry the most recently used one.
    #[inline]
    pub(crate) fn touch(&mut self, at: u32) {
        let head = self.head;
        if at == head {
            return;
        }
        let node = self.node_mut(at);
        let (newer, older) = (node.newer, node.older);
        node.newer = NONE;
        node.older = head;
        self.join(newer, older);
        self.node_mut(head).newer = at;
        self.head = at;
    }

    /// Makes two positions neighbours, of which either may be none.
    #[inline]
    fn join(&mut self, newer: u32, older: u32) {
        if newer == NONE {
            self.head = older;
        } else {
            self.node_mut(newer).older = older;
        }
        if older == NONE {
            self.tail = newer;
        } else {
            self.node_mut(older).newer = newer;
        }
    }
}

/// The table asks for hashes only to grow, and never has to.
fn never_called<K, V>(_: &Node<K, V>) -> u64 {
    unreachable!("the table grows by itself")
}

fn most(capacity: usize) -> usize {
    match capacity {
        0 => MOST,
        _ => capacity.min(MOST),
    }
}
