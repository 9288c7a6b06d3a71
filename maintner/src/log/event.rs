//! What a source tells of its log.

use std::fmt;

use bytes::Bytes;
use sha2::{Digest, Sha224};

/// Records that follow each other, as their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The number of their segment.
    pub segment: u32,
    /// Where the first of them begins in the segment.
    pub offset: u64,
    /// The records, whole ones only, framing included
    /// ([`Records::new(&bytes, offset)`](crate::reclog::Records) reads them).
    ///
    /// All of a sealed segment is its mapped file; what a segment grew by lies on the heap.
    pub bytes: Bytes,
}

impl Batch {
    /// Where in the segment the next record will begin.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

/// A part of a log: a file of records, the last of which grows until it is *sealed* and the next
/// one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Its number; the first is 0.
    pub number: u32,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of these bytes.
    pub sha224: Sha224Sum,
}

impl Segment {
    /// Segment `number` with exactly these bytes.
    pub fn of(number: u32, bytes: &[u8]) -> Self {
        Self {
            number,
            size: bytes.len() as u64,
            sha224: Sha224Sum::of(bytes),
        }
    }

    /// What its file, or its object in a bucket, is called when it is sealed:
    /// `NNNN.<sha224>.mutlog`.
    pub fn file_name(&self) -> String {
        super::names::sealed(self)
    }
}

/// A SHA-224 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha224Sum(pub [u8; 28]);

impl Sha224Sum {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha224::digest(bytes).into())
    }

    /// Reads 56 hex digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let hex = hex.as_bytes();
        if hex.len() != 56 {
            return None;
        }
        let mut sum = [0; 28];
        for (byte, pair) in sum.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            *byte = (digit(0)? << 4 | digit(1)?) as u8;
        }
        Some(Self(sum))
    }
}

/// In 56 lower-case hex digits.
impl fmt::Display for Sha224Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha224Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A place in a log: between two records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Bytes before it in the whole log.
    pub bytes: u64,
    /// The number of its segment.
    pub segment: u32,
    /// Bytes before it in its segment.
    pub offset: u64,
}

impl Position {
    /// The end of a log of these segments.
    pub fn end_of(segments: &[Segment]) -> Self {
        let (segment, offset) = segments
            .last()
            .map_or((0, 0), |last| (last.number, last.size));
        Self {
            bytes: total(segments),
            segment,
            offset,
        }
    }
}

/// What a source says next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The next records.
    Batch(Batch),
    /// Optional to heed: a segment whose records came piece by piece is sealed, and these are all
    /// of its bytes, the same as before, mapped from its file. Whoever points into the pieces may
    /// point here instead, and let go of them.
    Remapped {
        /// The number of the segment.
        segment: u32,
        /// All of its bytes.
        bytes: Bytes,
    },
    /// All that there is has been told. Comes after every run of batches, and once for an empty
    /// log; what comes next has to be waited for.
    CaughtUp {
        /// The log up to here. The last segment may be one that grows, as long as it is now.
        segments: Vec<Segment>,
    },
    /// The log is not what was told before. Forget everything: the next events tell it from its
    /// first record on.
    Split {
        /// The leading bytes that the log still has in common with what was told before.
        common: u64,
    },
}

/// The length of a log of these segments in bytes.
pub fn total(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| segment.size).sum()
}

/// How many leading bytes two logs have in common, as far as whole segments tell; both ends are
/// such places.
///
/// Where they first differ in a segment, `prefix(number, size)` must give the digest of the first
/// `size` bytes of the longer one's segment of that number, or `None` if it cannot.
pub fn common_prefix(
    a: &[Segment],
    b: &[Segment],
    mut prefix: impl FnMut(u32, u64) -> Option<Sha224Sum>,
) -> u64 {
    let mut common = 0;
    for (a, b) in a.iter().zip(b) {
        if a.size == b.size {
            if a.sha224 != b.sha224 {
                break;
            }
            common += a.size;
            continue;
        }
        let (short, long) = if a.size < b.size { (a, b) } else { (b, a) };
        if prefix(long.number, short.size) == Some(short.sha224) {
            common += short.size;
        }
        break;
    }
    common
}
