//! The cache without clock and lock: hashes, weights and the time come in, what had to go goes out.

use std::borrow::Borrow;
use std::mem;

use crate::evicted::{Outbox, Reason};
use crate::stats::Stats;
use crate::table::{Table, Walk};

/// Slots are `u32`, and there are more of them than entries.
pub(crate) const MOST: usize = 5 << 28;

/// The entries, and how they are found.
///
/// No code of the user runs amid a change: hashes, comparisons and clocks come first, and whatever is to be dropped is handed out.
/// Nor does any run while something of the user's is owned here, which a panic would drop under the lock.
pub(crate) struct Core<K, V> {
    table: Table<K, V>,
    /// How many entries the table is made for.
    room: usize,
    capacity: usize,
    max_weight: u64,
    /// Whether `extras` is kept.
    tracked: bool,
    /// Whether any entry may have a deadline.
    timed: bool,
    /// Without the hits since the table was made, which it counts.
    stats: Stats,
    /// For each slot of the table, from the first weight or deadline on; empty before.
    extras: Vec<Extra>,
    /// A sum of `u64`s never overflows it. Only kept with `extras`.
    weight: u128,
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
    pub(crate) hash: u32,
    pub(crate) key: K,
    pub(crate) value: V,
    pub(crate) extra: Extra,
}

/// Where something is to be inserted, and when.
pub(crate) struct Place {
    /// The slot of its key, if there is one.
    found: Option<u32>,
    now: u64,
}

/// What is not there, or was until now, too late.
pub(crate) type Missing<K, V> = Option<(K, V)>;

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

/// What came of an insertion into a plain cache.
pub(crate) enum Plain<K, V> {
    New,
    /// There was one, whose key was kept; this is the new one.
    Replaced(K, V),
    Evicted((K, V)),
}

impl<K, V> Core<K, V> {
    pub(crate) fn new(capacity: usize, max_weight: u64) -> Self {
        Self {
            table: Table::new(),
            room: 0,
            capacity: most(capacity),
            max_weight,
            tracked: false,
            timed: false,
            stats: Stats::default(),
            extras: Vec::new(),
            weight: 0,
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
        // Each hit is noted, and nothing else.
        Stats {
            hits: self.stats.hits + self.table.noted(),
            ..self.stats
        }
    }

    /// The slot of a key, expired or not.
    #[inline(always)]
    fn find<Q>(&self, hash: u32, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.table.find(hash, |known| known.borrow() == key)
    }

    /// The slot of a key whose time has not come. Changes nothing.
    pub(crate) fn find_live<Q>(&self, hash: u32, key: &Q, now: impl FnOnce() -> u64) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let at = self.find(hash, key)?;
        (!self.is_expired(at, self.time(now))).then_some(at)
    }

    /// Looks a key up: counts, makes its entry the most recently used one, or removes it because its time has come.
    #[inline(always)]
    pub(crate) fn get<Q>(
        &mut self,
        hash: u32,
        key: &Q,
        now: impl FnOnce() -> u64,
    ) -> Result<&mut V, Missing<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(at) = self.find(hash, key) else {
            self.stats.misses += 1;
            return Err(None);
        };
        if self.timed && self.is_expired(at, now()) {
            self.stats.misses += 1;
            self.count(Reason::Expired);
            return Err(Some(self.remove(at)));
        }
        Ok(self.table.note(at))
    }

    #[inline]
    pub(crate) fn entry(&self, at: u32) -> (&K, &V) {
        self.table.entry(at)
    }

    #[inline]
    pub(crate) fn value_mut(&mut self, at: u32) -> &mut V {
        self.table.value_mut(at)
    }

    /// Whether entries have neither weights nor deadlines: then there is much that need not be looked at.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        !self.tracked && self.max_weight == 0
    }

    /// As [`prepare`](Self::prepare), for a cache that is plain: the slot of the key, or room for it.
    #[inline]
    pub(crate) fn prepare_plain(
        &mut self,
        hasher: impl Fn(&K) -> u32,
        hash: u32,
        key: &K,
    ) -> Option<u32>
    where
        K: Eq,
    {
        let found = self.find(hash, key);
        if found.is_none() {
            self.make_room(hasher);
        }
        found
    }

    /// As [`insert`](Self::insert), for a cache that is plain.
    #[inline]
    pub(crate) fn insert_plain(
        &mut self,
        found: Option<u32>,
        hash: u32,
        key: K,
        value: V,
    ) -> Plain<K, V> {
        self.stats.insertions += 1;
        if let Some(at) = found {
            let old = mem::replace(self.table.touch(at), value);
            return Plain::Replaced(key, old);
        }
        if self.table.len() < self.capacity {
            self.table.push(hash, key, value);
            return Plain::New;
        }
        self.stats.evictions += 1;
        let evicted = self.table.remove_oldest();
        self.table.push(hash, key, value);
        Plain::Evicted(evicted)
    }

    /// Finds the place of what is to be inserted, and makes room: all of an insertion that may panic, before the entry is
    /// moved into it.
    pub(crate) fn prepare(
        &mut self,
        hasher: impl Fn(&K) -> u32,
        entry: &Entry<K, V>,
        now: impl FnOnce() -> u64,
    ) -> Place
    where
        K: Eq,
    {
        let found = self.find(entry.hash, &entry.key);
        let extra = entry.extra;
        if extra != Extra::NONE {
            self.keep_extras();
            self.timed |= extra.deadline != u64::MAX;
        }
        let now = self.time(now);
        if found.is_none() && !self.is_too_heavy(extra) {
            self.make_room(hasher);
        }
        Place { found, now }
    }

    /// Inserts as the most recently used one, where it was [prepared](Self::prepare). `out` gets what had to make room.
    pub(crate) fn insert(
        &mut self,
        place: Place,
        entry: Entry<K, V>,
        out: &mut Outbox<K, V>,
    ) -> Inserted<K, V> {
        let Place { found, now } = place;
        if self.is_too_heavy(entry.extra) {
            self.stats.rejections += 1;
            let old = found.and_then(|at| self.remove_live(at, now, out));
            let Entry { key, value, .. } = entry;
            return Inserted::Rejected { key, value, old };
        }
        self.stats.insertions += 1;
        match found {
            Some(at) => self.replace(at, entry, now, out),
            None => {
                self.add(entry, now, out);
                Inserted::New
            }
        }
    }

    fn replace(
        &mut self,
        at: u32,
        entry: Entry<K, V>,
        now: u64,
        out: &mut Outbox<K, V>,
    ) -> Inserted<K, V> {
        let Entry {
            key, value, extra, ..
        } = entry;
        let late = self.is_expired(at, now);
        let old = mem::replace(self.value_mut(at), value);
        self.set_extra(at, extra);
        self.touch(at);
        let inserted = if late {
            self.count(Reason::Expired);
            out.push(key, old, Reason::Expired);
            Inserted::New
        } else {
            Inserted::Replaced { key, old }
        };
        self.fit_weight(0, now, out);
        inserted
    }

    /// Inserts what is not there. There must be room for it, if not all of it is taken.
    fn add(&mut self, entry: Entry<K, V>, now: u64, out: &mut Outbox<K, V>) {
        let Entry {
            hash,
            key,
            value,
            extra,
        } = entry;
        self.fit_weight(extra.weight, now, out);
        if self.table.len() == self.capacity {
            self.evict_oldest(now, out);
        }
        let at = self.table.push(hash, key, value);
        if self.tracked {
            self.extras[at as usize] = extra;
            self.weight += u128::from(extra.weight);
        }
    }

    #[inline]
    fn set_extra(&mut self, at: u32, extra: Extra) {
        if self.tracked {
            let known = mem::replace(&mut self.extras[at as usize], extra);
            self.weight = self.weight - u128::from(known.weight) + u128::from(extra.weight);
        }
    }

    /// Removes the entry of a slot.
    pub(crate) fn remove(&mut self, at: u32) -> (K, V) {
        if self.tracked {
            self.weight -= u128::from(self.extras[at as usize].weight);
        }
        self.table.remove(at)
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

    /// The slot of the least recently used entry.
    pub(crate) fn oldest(&mut self) -> Option<u32> {
        (self.len() > 0).then(|| self.table.oldest())
    }

    /// The value of the most recently used entry. There must be one.
    pub(crate) fn newest_mut(&mut self) -> &mut V {
        self.value_mut(self.table.newest())
    }

    /// Through all entries, expired ones included.
    pub(crate) fn walk(&self) -> Walk {
        Walk::new(&self.table)
    }

    pub(crate) fn next_newest(&self, walk: &mut Walk) -> Option<u32> {
        walk.next_newest(&self.table)
    }

    pub(crate) fn next_oldest(&self, walk: &mut Walk) -> Option<u32> {
        walk.next_oldest(&self.table)
    }

    pub(crate) fn resize(
        &mut self,
        capacity: usize,
        now: impl FnOnce() -> u64,
        out: &mut Outbox<K, V>,
    ) {
        let now = self.time(now);
        self.capacity = most(capacity);
        while self.len() > self.capacity {
            self.evict_oldest(now, out);
        }
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
    }

    pub(crate) fn purge_expired(&mut self, now: impl FnOnce() -> u64, out: &mut Outbox<K, V>) {
        let now = self.time(now);
        self.table.settle();
        let mut walk = self.walk();
        while let Some(at) = self.next_oldest(&mut walk) {
            if self.is_expired(at, now) {
                self.take_out(at, Reason::Expired, out);
            }
        }
    }

    /// Empties the cache; what was in it is returned, to be dropped where that does no harm.
    pub(crate) fn clear(&mut self) -> Table<K, V> {
        self.room = 0;
        self.extras = Vec::new();
        self.timed = false;
        self.tracked = false;
        self.weight = 0;
        self.stats.hits += self.table.noted();
        mem::replace(&mut self.table, Table::new())
    }

    /// Makes sure that there is a place for one more entry, if one more may be there. Before anything is changed, for it calls
    /// code of the user.
    #[inline]
    fn make_room(&mut self, hasher: impl Fn(&K) -> u32) {
        if self.table.len() == self.room && self.room < self.capacity {
            self.grow(hasher);
        }
    }

    /// Makes room for twice the entries, but for no more than may be there.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, hasher: impl Fn(&K) -> u32) {
        self.rebuild(hasher, (2 * self.len()).max(8).min(self.capacity));
    }

    /// Gives memory back if three quarters of it are unused.
    pub(crate) fn shrink(&mut self, hasher: impl Fn(&K) -> u32) {
        if self.room / 4 > self.len() {
            self.rebuild(hasher, self.len());
        }
    }

    fn rebuild(&mut self, hasher: impl Fn(&K) -> u32, room: usize) {
        // So few entries are in another group than their own: a table that may yet grow is seldom full.
        let slots = if room == self.capacity {
            2 * room
        } else {
            room + room / 2
        };
        if !self.tracked {
            self.table.rebuild(slots, hasher, |_, _| ());
            self.room = room;
            return;
        }
        let mut moves = Vec::with_capacity(self.len());
        self.table
            .rebuild(slots, hasher, |from, to| moves.push((from, to)));
        self.room = room;
        let mut extras = vec![Extra::NONE; self.table.slots()];
        for (from, to) in moves {
            extras[to as usize] = self.extras[from as usize];
        }
        self.extras = extras;
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

    /// Whether an entry weighs more than all may.
    #[inline]
    fn is_too_heavy(&self, extra: Extra) -> bool {
        self.max_weight > 0 && extra.weight > self.max_weight
    }

    fn keep_extras(&mut self) {
        if !self.tracked {
            self.tracked = true;
            self.weight = self.table.len() as u128;
            self.extras = vec![Extra::NONE; self.table.slots()];
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
    pub(crate) fn touch(&mut self, at: u32) -> &mut V {
        self.table.touch(at)
    }
}

fn most(capacity: usize) -> usize {
    match capacity {
        0 => MOST,
        _ => capacity.min(MOST),
    }
}
