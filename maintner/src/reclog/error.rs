use std::io;

/// Why bytes are no record. The texts are those of the Go original where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data ends within a header.
    #[error("truncated header at offset {offset}: {have} bytes of it")]
    TornHeader {
        /// Where the record begins.
        offset: u64,
        /// Bytes of the header that are there.
        have: usize,
    },
    /// The data ends within a payload.
    #[error("truncated record at offset {offset}: {have} of {want} bytes of payload")]
    TornPayload {
        /// Where the record begins.
        offset: u64,
        /// The payload's length as the header has it.
        want: u64,
        /// Bytes of payload that are there.
        have: u64,
    },
    /// No `=` within [`MAX_HEADER`](super::MAX_HEADER) bytes.
    #[error("malformed overlong header \"{header}\" at offset {offset}")]
    OverlongHeader {
        /// Where the record should begin.
        offset: u64,
        /// What stands there.
        header: Box<str>,
    },
    /// Not of the form `REC@…+…=`.
    #[error("malformed header \"{header}\" at offset {offset}")]
    MalformedHeader {
        /// Where the record should begin.
        offset: u64,
        /// What stands there.
        header: Box<str>,
    },
    /// What should be the offset is no number, or has a sign.
    #[error("malformed header \"{header}\" (malformed offset) at offset {offset}")]
    MalformedOffset {
        /// Where the record should begin.
        offset: u64,
        /// What stands there.
        header: Box<str>,
    },
    /// What should be the length is no number, or has a sign.
    #[error("malformed header \"{header}\" (bad size) at offset {offset}")]
    MalformedSize {
        /// Where the record should begin.
        offset: u64,
        /// What stands there.
        header: Box<str>,
    },
    /// A header that belongs somewhere else.
    #[error("header at offset {offset} says that it stands at {found}")]
    WrongOffset {
        /// Where the header stands.
        offset: u64,
        /// Where it says it stands.
        found: u64,
    },
    /// A record that is longer than the reader's limit.
    #[error("record at offset {offset} has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Where the record begins.
        offset: u64,
        /// Its payload's length.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

impl Error {
    /// Where the record begins, or should.
    pub fn offset(&self) -> u64 {
        match *self {
            Self::TornHeader { offset, .. }
            | Self::TornPayload { offset, .. }
            | Self::OverlongHeader { offset, .. }
            | Self::MalformedHeader { offset, .. }
            | Self::MalformedOffset { offset, .. }
            | Self::MalformedSize { offset, .. }
            | Self::WrongOffset { offset, .. }
            | Self::TooLarge { offset, .. } => offset,
        }
    }

    /// Whether the data merely ends too early: more of it may complete the record.
    pub fn is_torn(&self) -> bool {
        matches!(self, Self::TornHeader { .. } | Self::TornPayload { .. })
    }
}

/// Why a [`Reader`](super::Reader) gives no further record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// What was read is no record.
    #[error(transparent)]
    Record(#[from] Error),
    /// Reading failed.
    #[error("cannot read the log at offset {offset}")]
    Io {
        /// Where.
        offset: u64,
        /// How.
        #[source]
        source: io::Error,
    },
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = if error.is_torn() {
            io::ErrorKind::UnexpectedEof
        } else {
            io::ErrorKind::InvalidData
        };
        Self::new(kind, error)
    }
}
