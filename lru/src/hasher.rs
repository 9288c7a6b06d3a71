use std::hash::{BuildHasher, Hasher};

/// Makes the hashes of caches that are given no other hasher.
///
/// It is fast and seeded at random, but no cryptographic one: who can choose keys *and* watch closely may find some that
/// collide. For keys that strangers choose take [`std::hash::RandomState`], through
/// [`Builder::hasher`](crate::Builder::hasher).
#[derive(Debug, Clone, Default)]
pub struct DefaultHasher(foldhash::fast::RandomState);

impl BuildHasher for DefaultHasher {
    type Hasher = KeyHasher;

    #[inline]
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.0.build_hasher())
    }
}

/// Hashes one key. Made by [`DefaultHasher`].
#[derive(Clone)]
pub struct KeyHasher(<foldhash::fast::RandomState as BuildHasher>::Hasher);

impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is in it would help to make keys that collide.
        f.debug_struct("KeyHasher").finish_non_exhaustive()
    }
}

macro_rules! forward {
    ($($name:ident: $type:ty),*) => {
        $(
            #[inline]
            fn $name(&mut self, value: $type) {
                self.0.$name(value);
            }
        )*
    };
}

impl Hasher for KeyHasher {
    // Each by its own method, for foldhash treats numbers better than bytes.
    forward!(
        write: &[u8], write_u8: u8, write_u16: u16, write_u32: u32, write_u64: u64, write_u128: u128, write_usize: usize,
        write_i8: i8, write_i16: i16, write_i32: i32, write_i64: i64, write_i128: i128, write_isize: isize
    );

    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }
}
