//! Stream ids as keys and as a sequence.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
};

/// Streams, or what belongs to them, by id.
pub(super) type ById<T> = HashMap<u32, T, Seed>;

/// Hashes ids with one multiplication. Seeded at random, because the peer of a v1 session chooses
/// the ids.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for Seed {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        Fold(self.0)
    }
}

pub(super) struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    fn write_u32(&mut self, id: u32) {
        // An odd number without pattern: the fraction of the golden ratio.
        let wide = u128::from(self.0 ^ u64::from(id)) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Whether `id` comes after `last` in the sequence that wraps (RFC 1982).
pub(super) fn is_after(id: u32, last: u32) -> bool {
    let ahead = id.wrapping_sub(last);
    ahead != 0 && ahead < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_wraps() {
        assert!(is_after(1, 0) && !is_after(0, 0) && !is_after(0, 1));
        assert!(is_after(3, u32::MAX - 3) && !is_after(u32::MAX - 3, 3));
        assert!(is_after(1 << 30, 1) && !is_after(1 << 31, 0));
    }

    #[test]
    fn ids_in_sequence_fall_into_different_places() {
        let seed = Seed::default();
        let mut places: Vec<_> = (0..4096_u32).map(|id| seed.hash_one(id) % 4096).collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > 2000, "{}", places.len());
    }
}
