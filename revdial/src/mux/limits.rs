//! What a session may hold, and what can go wrong with it.

use std::{fmt, sync::Arc};

/// Which end this is. It does not depend on who opened the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opens streams.
    Dialer,
    /// Is given streams.
    Listener,
}

/// What to do about streams that are not read in version 1. It has no credits, so something must
/// give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// Stop reading from the transport, so that TCP slows the peer down. Loses nothing, but one
    /// stream that nobody reads holds up the others once it has
    /// [`session_limit`](Limits::session_limit) bytes. The default.
    #[default]
    PauseSession,
    /// Close the stream that is over [`stream_limit`](Limits::stream_limit), or the fullest one
    /// when the session is over its limit. What it held is lost and its user gets an error.
    ResetStream,
    /// Take everything, as the Go original does. Only for peers that you trust.
    Unbounded,
}

/// The allowance that every stream of the mux begins with, in each direction, in bytes. Part of
/// the format.
pub const INITIAL_WINDOW: usize = 256 * 1024;

/// The bounds of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Version 1: unread bytes of one stream from which on its reader is waited for.
    /// Default 256 KiB.
    pub stream_limit: usize,
    /// Version 1: unread bytes of all streams together. Default 4 MiB.
    pub session_limit: usize,
    /// Version 1: what happens at these two. One read of the transport, at most 128 KiB, comes on
    /// top.
    pub overflow: Overflow,
    /// The mux: the most that a stream's window grows to, so the unread bytes that it may have. A
    /// window begins with [`INITIAL_WINDOW`] and doubles whenever the reader has to wait for a
    /// peer that has used it up. Default 8 MiB, at most 1 GiB.
    pub max_window: usize,
    /// The mux: what the windows of all streams together may grow by. Default 64 MiB.
    pub window_growth: usize,
    /// The mux: unread bytes of all streams together at which the fullest stream is reset.
    /// Default 256 MiB, which takes a thousand streams that are not read.
    pub unread_limit: usize,
    /// Bytes that one stream may have waiting for the transport. Default 64 KiB.
    pub stream_send_limit: usize,
    /// Bytes that all streams together may have waiting for the transport. Default 4 MiB.
    pub session_send_limit: usize,
    /// Bytes a stream sends before the next one's turn. Default 32 KiB, at most 65,535.
    pub quantum: usize,
    /// Streams that may wait to be accepted; further ones are refused. Default 128.
    pub accept_backlog: usize,
    /// Streams at the same time, those included that are dropped but still have data to send.
    /// Default 65,536.
    pub max_streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stream_limit: 256 * 1024,
            session_limit: 4 * 1024 * 1024,
            overflow: Overflow::default(),
            max_window: 8 * 1024 * 1024,
            window_growth: 64 * 1024 * 1024,
            unread_limit: 256 * 1024 * 1024,
            stream_send_limit: 64 * 1024,
            session_send_limit: 4 * 1024 * 1024,
            quantum: 32 * 1024,
            accept_backlog: 128,
            max_streams: 65_536,
        }
    }
}

/// What a peer sent ends the session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Only dialers open streams.
    #[error("listener tried to open stream {0}")]
    NewFromListener(u32),
    /// A stream was opened under an id that is in use, or in the mux an id that does not follow
    /// the last one.
    #[error("dialer opened stream {0} twice")]
    DuplicateStream(u32),
    /// The transport ended within a frame.
    #[error("transport ended within a frame")]
    Cut,
    /// The peer opens streams beyond all limits and does not read that they are refused.
    #[error("dialer ignores that its streams are refused")]
    Flood,
    /// The mux: a frame of no known kind.
    #[error("frame of unknown kind {0:#04x}")]
    UnknownKind(u8),
    /// The mux: a payload of a length that this kind of frame never has.
    #[error("frame of kind {kind:?} with {len} bytes", kind = char::from(*kind))]
    BadLength {
        /// The letter of the frame.
        kind: u8,
        /// What it claimed to carry.
        len: u16,
    },
    /// The mux: a frame about a stream with id 0, or one about the session with another id.
    #[error("frame of kind {kind:?} for stream {id}", kind = char::from(*kind))]
    BadId {
        /// The letter of the frame.
        kind: u8,
        /// Its id.
        id: u32,
    },
    /// The mux: a frame for a stream that was never opened.
    #[error("frame for stream {0}, which was never opened")]
    UnknownStream(u32),
    /// The mux: data or an end after the end of a stream.
    #[error("frame for stream {0} after its end")]
    AfterEnd(u32),
    /// The mux: more data than was allowed.
    #[error("more data for stream {0} than was allowed")]
    OverWindow(u32),
    /// The mux: an allowance of nothing, or of more than 2^30 bytes altogether.
    #[error("senseless allowance for stream {0}")]
    BadAllowance(u32),
}

/// Why a stream was broken off: what a `R` frame says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
pub struct Reset {
    /// The kind of reason.
    pub code: ResetCode,
    /// For people; at most [`MAX_REASON`](super::frame::MAX_REASON) bytes.
    pub reason: String,
}

/// The kinds of reasons to break off a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResetCode {
    /// 1: the listener did not accept it; no byte was seen by anybody, so trying again elsewhere
    /// is safe.
    Refused,
    /// 2: nobody read what it received, and the session was full.
    Overrun,
    /// 3: its user broke it off.
    Aborted,
    /// Any other number.
    Other(u8),
}

impl ResetCode {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Overrun => 2,
            Self::Aborted => 3,
            Self::Other(code) => code,
        }
    }

    pub(super) fn from_byte(code: u8) -> Self {
        match code {
            1 => Self::Refused,
            2 => Self::Overrun,
            3 => Self::Aborted,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for ResetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("stream was refused"),
            Self::Overrun => f.write_str("stream was not read"),
            Self::Aborted => f.write_str("stream was broken off"),
            Self::Other(code) => write!(f, "stream was broken off with code {code}"),
        }
    }
}

/// Why a peer goes away: what a `G` frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goodbye {
    /// The kind of reason.
    pub code: GoodbyeCode,
    /// For people; may be empty.
    pub reason: String,
}

/// The kinds of reasons to go away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GoodbyeCode {
    /// 0: no new streams; those that exist go on to their end.
    Drain,
    /// 1: all is over, nothing is wrong.
    Close,
    /// 2: all is over, because the other end broke the protocol.
    Protocol,
    /// Any other number: all is over.
    Other(u8),
}

impl GoodbyeCode {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Self::Drain => 0,
            Self::Close => 1,
            Self::Protocol => 2,
            Self::Other(code) => code,
        }
    }

    pub(super) fn from_byte(code: u8) -> Self {
        match code {
            0 => Self::Drain,
            1 => Self::Close,
            2 => Self::Protocol,
            other => Self::Other(other),
        }
    }
}

/// Why nothing can be read from or written to a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The session ended before the stream did.
    #[error("session ended before the stream did")]
    SessionEnded,
    /// The stream was closed because nobody read what it received.
    #[error("stream was reset because it was not read")]
    Reset,
    /// The peer broke the stream off, or refused it.
    #[error("peer says: {0}")]
    PeerReset(Arc<Reset>),
    /// Writing after the end was sent.
    #[error("stream is closed for writing")]
    Finished,
    /// Writing to a peer that reads no more.
    #[error("peer has stopped reading the stream")]
    Stopped,
}

/// Why no stream can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The session has ended, or this end listens.
    #[error("session opens no streams any more")]
    Ended,
    /// As many streams as allowed are open.
    #[error("too many streams are open: limit is {0}")]
    TooMany(usize),
}
