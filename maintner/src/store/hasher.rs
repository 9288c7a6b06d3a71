use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hash, Hasher as _},
    io,
    sync::Arc,
};

use foldhash::{SharedSeed, quality::FoldHasher};

use super::{Opener, Saved, Saver, Unusable};

/// Hashes with a seed that was chosen at random, so that who writes the log does not know what
/// collides, and that can be saved, so that an index need not be made anew.
#[derive(Clone)]
pub struct Hasher(Arc<Seeded>);

struct Seeded {
    seed: [u64; 2],
    shared: SharedSeed,
}

impl Hasher {
    /// With a seed of its own.
    #[must_use]
    pub fn random() -> Self {
        // The keys of the standard library's hasher are from the system's source of randomness.
        let number = |salt: u64| RandomState::new().hash_one(salt);
        Self::from_seed([number(0), number(1)])
    }

    /// With this seed.
    #[must_use]
    pub fn from_seed(seed: [u64; 2]) -> Self {
        let shared = SharedSeed::from_u64(seed[1]);
        Self(Arc::new(Seeded { seed, shared }))
    }

    /// Its seed.
    #[must_use]
    pub fn seed(&self) -> [u64; 2] {
        self.0.seed
    }

    /// The hash of a value.
    #[inline]
    pub fn hash_one(&self, value: impl Hash) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.0.seed[0], &self.0.shared);
        value.hash(&mut hasher);
        hasher.finish()
    }

    /// A number that differs if another seed, or another way to hash, is used: one saved with an
    /// index tells whether the index can be used.
    #[must_use]
    pub fn probe(&self) -> u64 {
        const TEXT: [u8; 300] = [0x5a; 300];
        let lengths = [0, 1, 3, 4, 8, 16, 17, 20, 40, 128, 288, 300];
        let hashes = lengths.map(|len| self.hash_one(&TEXT[..len]));
        self.hash_one((hashes, 1_u32, 2_u64, -3_i64, [4_u8; 20]))
    }
}

/// With a seed of its own.
impl Default for Hasher {
    fn default() -> Self {
        Self::random()
    }
}

impl Saved for Hasher {
    fn save(&self, to: &mut Saver<'_>) -> io::Result<()> {
        [self.0.seed[0], self.0.seed[1], self.probe()].save(to)
    }

    fn open(from: &mut Opener) -> Result<Self, Unusable> {
        let [one, two, probe] = Saved::open(from)?;
        let hasher = Self::from_seed([one, two]);
        let is_same = hasher.probe() == probe;
        is_same.then_some(hasher).ok_or(Unusable::Hashes)
    }
}

impl fmt::Debug for Hasher {
    /// Without the seed, which is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_hashes_again() {
        let (one, other) = (Hasher::random(), Hasher::random());
        assert_ne!(one.seed(), other.seed());
        assert_ne!(one.hash_one("text"), other.hash_one("text"));
        assert_ne!(one.probe(), other.probe());
        let again = Hasher::from_seed(one.seed());
        assert_eq!(one.hash_one("text"), again.hash_one("text"));
        assert_eq!(one.probe(), again.probe());
        assert_eq!(format!("{one:?}"), "Hasher { .. }");
    }
}
