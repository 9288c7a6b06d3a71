use std::fmt;

use crate::{parse::commit, store::row};

row! {
    /// The name of a git object: 20 bytes, shown as 40 lower-case hex digits.
    #[derive(Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct Hash(pub [u8; 20]);
}

impl Hash {
    /// Reads 40 hex digits.
    pub fn parse(hex: impl AsRef<[u8]>) -> Option<Self> {
        commit::parse_hash(hex).map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
