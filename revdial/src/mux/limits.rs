//! What a session may hold, and what can go wrong with it.

/// Which end this is. It does not depend on who opened the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opens streams.
    Dialer,
    /// Is given streams.
    Listener,
}

/// What to do about streams that are not read. The protocol has no credits, so something must
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

/// The bounds of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Unread bytes of one stream from which on its reader is waited for. Default 256 KiB.
    pub stream_limit: usize,
    /// Unread bytes of all streams together. Default 4 MiB.
    pub session_limit: usize,
    /// What happens at these two. One read of the transport, at most 128 KiB, comes on top.
    pub overflow: Overflow,
    /// Bytes that one stream may have waiting for the transport. Default 64 KiB.
    pub stream_send_limit: usize,
    /// Bytes that all streams together may have waiting for the transport. Default 4 MiB.
    pub session_send_limit: usize,
    /// Bytes a stream sends before the next one's turn. Default 32 KiB, at most 65,535.
    pub quantum: usize,
    /// Streams that may wait to be accepted; further ones are closed at once. Default 128.
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
    /// A stream was opened under an id that is in use.
    #[error("dialer opened stream {0} twice")]
    DuplicateStream(u32),
    /// The transport ended within a frame.
    #[error("transport ended within a frame")]
    Cut,
    /// The peer opens streams beyond all limits and does not read that they are refused.
    #[error("dialer ignores that its streams are refused")]
    Flood,
}

/// Why nothing can be read from or written to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The session ended before the stream did.
    #[error("session ended before the stream did")]
    SessionEnded,
    /// The stream was closed because nobody read what it received.
    #[error("stream was reset because it was not read")]
    Reset,
    /// Writing after the end was sent.
    #[error("stream is closed for writing")]
    Finished,
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
