use std::{fmt, sync::Arc};

use hashbrown::HashTable;

/// Rows in a shard, about: what is copied when one is inserted.
const SHARD_ROWS: usize = 2048;

/// Finds row numbers by a hash of what is in the rows. Holds no keys: they are where the rows are.
///
/// Clones share what has not changed since, as those of [`Paged`](super::Paged) do. Nothing is ever
/// taken out.
#[derive(Clone, Default)]
pub struct Index {
    /// A power of two of them, chosen by the highest bits of the hash, or none.
    shards: Arc<Vec<Arc<HashTable<u32>>>>,
    len: usize,
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
        let shard = self.shards.get(shard(hash, self.shards.len()))?;
        shard.find(hash, |&row| is_it(row)).copied()
    }

    /// Adds a row that is not in it yet. `hash_of` gives the hash of any row in it.
    pub fn insert(&mut self, hash: u64, row: u32, hash_of: impl Fn(u32) -> u64) {
        if self.len >= self.shards.len() * SHARD_ROWS {
            self.split(&hash_of);
        }
        let shards = Arc::make_mut(&mut self.shards);
        let at = shard(hash, shards.len());
        if let Some(shard) = shards.get_mut(at) {
            Arc::make_mut(shard).insert_unique(hash, row, |&row| hash_of(row));
            self.len += 1;
        }
    }

    /// Twice as many shards.
    fn split(&mut self, hash_of: &impl Fn(u32) -> u64) {
        let count = (self.shards.len() * 2).max(1);
        let mut shards: Vec<HashTable<u32>> = (0..count)
            .map(|_| HashTable::with_capacity(SHARD_ROWS))
            .collect();
        for &row in self.shards.iter().flat_map(|shard| shard.iter()) {
            let hash = hash_of(row);
            shards[shard(hash, count)].insert_unique(hash, row, |&row| hash_of(row));
        }
        self.shards = Arc::new(shards.into_iter().map(Arc::new).collect());
    }
}

/// The shard of a hash. The table within it uses the lowest and the highest seven bits, so the
/// choice is made with those below the latter.
fn shard(hash: u64, shards: usize) -> usize {
    (hash << 7 >> 32) as usize & shards.wrapping_sub(1)
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn finds_what_was_inserted_in_each_version() {
        let hasher = foldhash::quality::RandomState::default();
        let hash_of = |row: u32| hasher.hash_one(row);
        let mut index = Index::new();
        assert_eq!(index.find(hash_of(0), |_| true), None);
        let mut versions = Vec::new();
        for row in 0..50_000_u32 {
            if row % 7_001 == 0 {
                versions.push((row, index.clone()));
            }
            index.insert(hash_of(row), row, hash_of);
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
        let mut index = Index::new();
        for row in 0..5000 {
            index.insert(42, row, |_| 42);
        }
        assert_eq!(index.find(42, |row| row == 4321), Some(4321));
        assert_eq!(index.find(42, |row| row == 5000), None);
    }
}
