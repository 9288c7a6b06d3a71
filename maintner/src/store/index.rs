use std::fmt;

use super::{Paged, row, saved};

/// Finds row numbers by a hash of what is in the rows. Holds no keys: they are where the rows are.
///
/// Clones share what has not changed since, as those of [`Paged`] do. Nothing is ever taken out.
///
/// ```
/// use maintner::store::{Hasher, Index};
///
/// let names = ["one", "two"];
/// let hasher = Hasher::random();
/// let mut index = Index::new();
/// for (row, name) in (0..).zip(names) {
///     index.insert(hasher.hash_one(name), row);
/// }
/// let find = |name| index.find(hasher.hash_one(name), |row| names[row as usize] == name);
/// assert_eq!((find("two"), find("three")), (Some(1), None));
/// ```
#[derive(Clone, Default)]
pub struct Index {
    /// A power of two of them, or none. A row stands at the place that the highest bits of its hash
    /// tell, or in the next place that was free.
    slots: Paged<Slot>,
    len: usize,
}

row! {
    struct Slot {
        /// The upper half of the hash.
        hash: u32,
        /// One more than the row's number; 0 if free.
        row: u32,
    }
}

impl Slot {
    const FREE: Self = Self { hash: 0, row: 0 };
}

impl Index {
    /// An index without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rows in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The row with this `hash` for which `is_it` is true.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let hash = (hash >> 32) as u32;
        let mut at = place(hash, self.slots.len());
        for _ in 0..self.slots.len() {
            let slot = self.slots.get(at)?;
            let row = slot.row.checked_sub(1)?;
            if slot.hash == hash && is_it(row) {
                return Some(row);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        None
    }

    /// Adds a row that is not in it yet. Its number is less than `u32::MAX`.
    #[inline]
    pub fn insert(&mut self, hash: u64, row: u32) {
        // At most 2/3 full.
        if (self.len + 1) * 3 > self.slots.len() * 2 {
            self.grow();
        }
        let slot = Slot {
            hash: (hash >> 32) as u32,
            row: row.saturating_add(1),
        };
        put(&mut self.slots, slot);
        self.len += 1;
    }

    /// Twice as many places.
    #[cold]
    fn grow(&mut self) {
        let mut slots = Paged::new();
        slots.resize_with((self.slots.len() * 2).max(4), || Slot::FREE);
        for &slot in self.slots.iter().filter(|slot| slot.row > 0) {
            put(&mut slots, slot);
        }
        self.slots = slots;
    }
}

/// The first place to look at.
#[inline]
fn place(hash: u32, slots: usize) -> usize {
    ((u64::from(hash) * slots as u64) >> 32) as usize
}

#[inline]
fn put(slots: &mut Paged<Slot>, slot: Slot) {
    let last = slots.len().wrapping_sub(1);
    let mut at = place(slot.hash, slots.len());
    while slots.get(at).is_some_and(|slot| slot.row > 0) {
        at = (at + 1) & last;
    }
    if let Some(free) = slots.get_mut(at) {
        *free = slot;
    }
}

saved!(Index { slots, len });

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Hasher;

    #[test]
    fn finds_what_was_inserted_in_each_version() {
        let hasher = Hasher::random();
        let hash_of = |row: u32| hasher.hash_one(row);
        let mut index = Index::new();
        assert_eq!(index.find(hash_of(0), |_| true), None);
        let mut versions = Vec::new();
        for row in 0..50_000_u32 {
            if row % 7_001 == 0 {
                versions.push((row, index.clone()));
            }
            index.insert(hash_of(row), row);
        }
        versions.push((50_000, index));
        for (len, index) in versions {
            assert_eq!(index.len(), len as usize);
            for row in 0..50_100_u32 {
                let found = index.find(hash_of(row), |other| other == row);
                assert_eq!(found, (row < len).then_some(row));
            }
        }
    }

    #[test]
    fn equal_hashes_are_told_apart() {
        for hash in [42, u64::MAX] {
            let mut index = Index::new();
            for row in 0..3000 {
                index.insert(hash, row);
            }
            assert_eq!(index.find(hash, |row| row == 2321), Some(2321));
            assert_eq!(index.find(hash, |row| row == 3000), None);
        }
    }
}
