use std::io;

/// Why gzip data could not be read, and where: offsets count compressed bytes from the beginning of the source.
///
/// Readers return it inside an [`io::Error`]; [`ReadError::of`] gets it back. The kind of the `io::Error` is
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) for [`Truncated`](Self::Truncated) and [`Empty`](Self::Empty), and
/// [`InvalidData`](io::ErrorKind::InvalidData) for the rest. What came before the error has been delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The source ended at `offset`, inside a member.
    #[error("the gzip data are cut off at byte {offset}")]
    Truncated {
        /// Length of the source.
        offset: u64,
    },
    /// The source held no byte, which no gzip file does.
    #[error("no gzip data at all")]
    Empty,
    /// What begins at `offset` is no header of a gzip member, or one that RFC 1952 does not know.
    #[error("{what}, at byte {offset}")]
    BadHeader {
        /// Where the header begins.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Data that no compressor makes.
    #[error("broken deflate data, at byte {offset}")]
    BadDeflate {
        /// About where; the mistake may lie some bytes before.
        offset: u64,
    },
    /// A member decompressed to other data than its CRC-32 was made of.
    #[error(
        "the member at byte {offset} is damaged: its checksum is {found:08x} and should be {expected:08x}"
    )]
    BadCrc {
        /// Where the member begins.
        offset: u64,
        /// The checksum in the member.
        expected: u32,
        /// The checksum of what came out of it.
        found: u32,
    },
    /// A member decompressed to another length than it says, both modulo 2³².
    #[error(
        "the member at byte {offset} is damaged: it holds {found} bytes and should hold {expected}"
    )]
    BadSize {
        /// Where the member begins.
        offset: u64,
        /// The length in the member.
        expected: u32,
        /// The length of what came out of it.
        found: u32,
    },
    /// After at least one whole member comes something that is neither a member nor zeros up to the end. See
    /// [`Trailing`](crate::Trailing).
    #[error("garbage after the gzip data, at byte {offset}")]
    TrailingGarbage {
        /// Where it begins.
        offset: u64,
    },
    /// There is more output than [`max_output`](crate::ReaderBuilder::max_output) allows. Exactly as much as it allows
    /// has been delivered.
    #[error("more than the {limit} bytes of output allowed, at byte {offset}")]
    OutputLimit {
        /// How much input gave the output so far.
        offset: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The output grew faster than [`max_ratio`](crate::ReaderBuilder::max_ratio) allows.
    #[error("more than {limit} bytes of output for each byte of input, at byte {offset}")]
    RatioLimit {
        /// How much input gave the output so far.
        offset: u64,
        /// The limit: bytes of output for each of input.
        limit: u32,
    },
}

impl ReadError {
    /// The error inside what a reader returned; `None` if it is an error of the source.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Where in the source, in bytes.
    pub fn offset(&self) -> u64 {
        match *self {
            Self::Empty => 0,
            Self::Truncated { offset }
            | Self::BadHeader { offset, .. }
            | Self::BadDeflate { offset }
            | Self::BadCrc { offset, .. }
            | Self::BadSize { offset, .. }
            | Self::TrailingGarbage { offset }
            | Self::OutputLimit { offset, .. }
            | Self::RatioLimit { offset, .. } => offset,
        }
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match error {
            ReadError::Truncated { .. } | ReadError::Empty => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
