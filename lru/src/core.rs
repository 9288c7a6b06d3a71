//! The cache without hasher, clock, lock: hashes, weights and the time come in, what had to go goes out.

use std::borrow::Borrow;
use std::mem;

use hashbrown::HashTable;

use crate::evicted::{Outbox, Reason};
use crate::stats::Stats;

/// Positions are `u32`, and one of them means none.
pub(crate) const MOST: usize = u32::MAX as usize - 1;

const NONE: u32 = u32::MAX;

/// Entries in a vector without holes, in a ring of links from the most recently used one round to it again, found through a
/// table of their positions.
///
/// No code of the user runs while entries, ring and table disagree: comparisons and clocks come first, and whatever is to be
/// dropped is handed out.
pub(crate) struct Core<K, V> {
    table: HashTable<u32>,
    nodes: Vec<Node<K, V>>,
    /// For each node, from the first weight or deadline on; empty before.
    extras: Vec<Extra>,
    /// The most recently used one; the one before it in the ring is the least recently used.
    head: u32,
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
    /// Towards the more recently used.
    newer: u32,
    older: u32,
    /// Kept so that neither growing nor evicting calls the user's hasher.
    hash: u32,
    key: K,
    value: V,
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

/// What came of an insertion.
pub(crate) enum Inserted<K, V> {
    New,
    /// There was one, whose key was kept; this is the new one.
    Replaced {
        key: K,
        old: V,
        /// Whether the old one's time had come.
        late: bool,
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
            nodes: Vec::new(),
            extras: Vec::new(),
            head: NONE,
            capacity: most(capacity),
            max_weight,
            weight: 0,
            tracked: false,
            timed: false,
            stats: Stats::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
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
    pub(crate) fn find<Q>(&self, hash: u32, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let nodes = &self.nodes;
        self.table
            .find(spread(hash), |&at| nodes[at as usize].key.borrow() == key)
            .copied()
    }

    /// The position of a key whose time has not come. Changes nothing.
    pub(crate) fn find_live<Q>(&self, hash: u32, key: &Q, now: impl FnOnce() -> u64) -> Option<u32>
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
        hash: u32,
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
        let node = &self.nodes[at as usize];
        (&node.key, &node.value)
    }

    #[inline]
    pub(crate) fn value_mut(&mut self, at: u32) -> &mut V {
        &mut self.nodes[at as usize].value
    }

    /// Inserts as the most recently used one. `out` gets what had to make room.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        hash: u32,
        key: K,
        value: V,
        extra: Extra,
        now: impl FnOnce() -> u64,
        out: &mut Outbox<K, V>,
    ) -> Inserted<K, V>
    where
        K: Eq,
    {
        let found = self.find(hash, &key);
        if extra != Extra::NONE {
            self.keep_extras();
            self.timed |= extra.deadline != u64::MAX;
        }
        let now = self.time(now);
        if self.max_weight > 0 && extra.weight > self.max_weight {
            self.stats.rejections += 1;
            let old = found.and_then(|at| self.remove_live(at, now, out));
            return Inserted::Rejected { key, value, old };
        }
        self.stats.insertions += 1;
        if let Some(at) = found {
            let late = self.is_expired(at, now);
            if late {
                self.count(Reason::Expired);
            }
            let old = mem::replace(self.value_mut(at), value);
            if let Some(known) = self.extras.get_mut(at as usize) {
                self.weight = self.weight - u128::from(known.weight) + u128::from(extra.weight);
                *known = extra;
            }
            self.touch(at);
            self.fit_weight(0, now, out);
            return Inserted::Replaced { key, old, late };
        }
        self.fit_weight(extra.weight, now, out);
        if self.nodes.len() >= self.capacity {
            self.replace_oldest(hash, key, value, extra, now, out);
        } else {
            self.push(hash, key, value, extra);
        }
        Inserted::New
    }

    /// Removes the entry at a position, which another one then may have.
    pub(crate) fn remove(&mut self, at: u32) -> (K, V) {
        let hash = self.nodes[at as usize].hash;
        if let Ok(slot) = self.table.find_entry(spread(hash), |&other| other == at) {
            slot.remove();
        }
        self.unlink(at);
        let node = self.nodes.swap_remove(at as usize);
        let last = self.nodes.len() as u32;
        if last != at {
            self.renumber(last, at);
        }
        if self.tracked {
            let extra = self.extras.swap_remove(at as usize);
            self.weight -= u128::from(extra.weight);
        }
        (node.key, node.value)
    }

    /// Removes an entry for a caller, who does not get it if its time has come.
    pub(crate) fn remove_key<Q>(
        &mut self,
        hash: u32,
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
        self.nodes.get(self.head as usize).map(|head| head.newer)
    }

    /// The position of the most recently used entry.
    pub(crate) fn newest(&self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    /// The value of the most recently used entry. There must be one.
    pub(crate) fn newest_mut(&mut self) -> &mut V {
        self.value_mut(self.head)
    }

    /// From one position to the next less recently used one; after the last comes the first.
    pub(crate) fn older(&self, at: u32) -> u32 {
        self.nodes[at as usize].older
    }

    /// From one position to the next more recently used one; after the last comes the first.
    pub(crate) fn newer(&self, at: u32) -> u32 {
        self.nodes[at as usize].newer
    }

    pub(crate) fn resize(
        &mut self,
        capacity: usize,
        now: impl FnOnce() -> u64,
        out: &mut Outbox<K, V>,
    ) {
        let now = self.time(now);
        self.capacity = most(capacity);
        while self.nodes.len() > self.capacity {
            self.evict_oldest(now, out);
        }
        self.shrink();
    }

    pub(crate) fn resize_weight(
        &mut self,
        max_weight: u64,
        now: impl FnOnce() -> u64,
        out: &mut Outbox<K, V>,
    ) {
        let now = self.time(now);
        self.max_weight = max_weight;
        self.fit_weight(0, now, out);
        self.shrink();
    }

    pub(crate) fn purge_expired(&mut self, now: impl FnOnce() -> u64, out: &mut Outbox<K, V>) {
        let now = self.time(now);
        let mut at = 0;
        while (at as usize) < self.nodes.len() {
            if self.is_expired(at, now) {
                self.take_out(at, Reason::Expired, out);
            } else {
                at += 1;
            }
        }
    }

    /// Empties the cache; what was in it is returned, to be dropped where that does no harm.
    pub(crate) fn clear(&mut self) -> Vec<Node<K, V>> {
        self.table.clear();
        self.extras.clear();
        self.timed = false;
        self.weight = 0;
        self.head = NONE;
        mem::take(&mut self.nodes)
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
            self.extras.resize(self.nodes.len(), Extra::NONE);
            self.weight = self.nodes.len() as u128;
        }
    }

    fn push(&mut self, hash: u32, key: K, value: V, extra: Extra) {
        let at = self.nodes.len() as u32;
        let (newer, older) = match self.oldest() {
            Some(oldest) => (oldest, self.head),
            None => (at, at),
        };
        self.nodes.push(Node {
            newer,
            older,
            hash,
            key,
            value,
        });
        self.nodes[newer as usize].older = at;
        self.nodes[older as usize].newer = at;
        self.head = at;
        self.enter(hash, at);
        if self.tracked {
            self.extras.push(extra);
            self.weight += u128::from(extra.weight);
        }
    }

    /// Evicts, and inserts in the place of what was evicted: in the ring that is a turn by one.
    fn replace_oldest(
        &mut self,
        hash: u32,
        key: K,
        value: V,
        extra: Extra,
        now: u64,
        out: &mut Outbox<K, V>,
    ) {
        let Some(at) = self.oldest() else { return };
        let reason = self.reason(at, now);
        let node = &mut self.nodes[at as usize];
        let old_hash = mem::replace(&mut node.hash, hash);
        let old_key = mem::replace(&mut node.key, key);
        let old_value = mem::replace(&mut node.value, value);
        if let Ok(slot) = self
            .table
            .find_entry(spread(old_hash), |&other| other == at)
        {
            slot.remove();
        }
        self.enter(hash, at);
        self.head = at;
        if let Some(known) = self.extras.get_mut(at as usize) {
            self.weight = self.weight - u128::from(known.weight) + u128::from(extra.weight);
            *known = extra;
        }
        self.count(reason);
        out.push(old_key, old_value, reason);
    }

    fn enter(&mut self, hash: u32, at: u32) {
        let nodes = &self.nodes;
        self.table.insert_unique(spread(hash), at, |&other| {
            spread(nodes[other as usize].hash)
        });
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
            self.nodes.len() as u128
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
        let tail = self.nodes[head as usize].newer;
        if at != tail {
            let Node { newer, older, .. } = self.nodes[at as usize];
            self.nodes[newer as usize].older = older;
            self.nodes[older as usize].newer = newer;
            let node = &mut self.nodes[at as usize];
            node.newer = tail;
            node.older = head;
            self.nodes[tail as usize].older = at;
            self.nodes[head as usize].newer = at;
        }
        // The least recently used one only needs the ring to be turned.
        self.head = at;
    }

    fn unlink(&mut self, at: u32) {
        let Node { newer, older, .. } = self.nodes[at as usize];
        self.nodes[newer as usize].older = older;
        self.nodes[older as usize].newer = newer;
        if self.head == at {
            self.head = if older == at { NONE } else { older };
        }
    }

    /// The node that was at `from` has been moved to `to`.
    fn renumber(&mut self, from: u32, to: u32) {
        let Node {
            newer, older, hash, ..
        } = self.nodes[to as usize];
        if newer == from {
            // It is the only one left.
            let node = &mut self.nodes[to as usize];
            (node.newer, node.older) = (to, to);
        } else {
            self.nodes[newer as usize].older = to;
            self.nodes[older as usize].newer = to;
        }
        if self.head == from {
            self.head = to;
        }
        if let Some(slot) = self.table.find_mut(spread(hash), |&other| other == from) {
            *slot = to;
        }
    }

    /// Gives memory back once three quarters of it are unused.
    fn shrink(&mut self) {
        let len = self.nodes.len();
        if self.nodes.capacity() / 4 > len {
            self.nodes.shrink_to(len);
            self.extras.shrink_to(len);
            let nodes = &self.nodes;
            self.table
                .shrink_to(len, |&other| spread(nodes[other as usize].hash));
        }
    }
}

fn most(capacity: usize) -> usize {
    match capacity {
        0 => MOST,
        _ => capacity.min(MOST),
    }
}

/// What is kept of a hash.
#[inline]
pub(crate) fn fold(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

/// What the table is given: it takes positions from the low bits and tags from the highest seven.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
