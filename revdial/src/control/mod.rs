//! Control lines: what the two ends of a control connection tell each other. No I/O, no clock.
//!
//! One JSON object per line. What is written equals the Go original's bytes (its JSON encoder
//! escapes `<`, `>` and `&`), plus keys and one command of our own which Go peers ignore. What
//! is read is taken leniently: CRLF, blank lines, unknown keys and commands, any case of keys.

mod decode;
mod encode;

use std::{fmt, time::Duration};

pub use decode::{Decoder, ProtocolError};

use crate::redact;

/// The longest line in bytes, its LF included. A Go peer gives up on anything longer.
pub const MAX_LINE: usize = 4096;

/// The longest error text sent, in bytes before JSON escaping.
pub const MAX_ERR: usize = 1024;

/// One control line. Its `Debug` form shows no dialer id, which is a secret.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Either way: nothing has happened, I am still here.
    KeepAlive {
        /// How often the sender will say something, if it tells (`every_ms`, ours).
        every: Option<Duration>,
    },
    /// Dialer to listener: connect back and ask for this path.
    ConnReady {
        /// The request target of the pickup. Raw, as the peer wrote it.
        conn_path: String,
    },
    /// Listener to dialer: a pickup did not work out.
    PickupFailed {
        /// Which one; Go listeners often leave it out.
        conn_path: Option<String>,
        /// What went wrong.
        err: String,
    },
    /// Either way, ours: the sender is about to close, and why.
    Close {
        /// The reason, for people.
        why: String,
    },
    /// A command of another protocol generation; to be ignored.
    Unknown,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepAlive { every } => f.debug_struct("KeepAlive").field("every", every).finish(),
            Self::ConnReady { conn_path } => f
                .debug_struct("ConnReady")
                .field("conn_path", &redact(conn_path))
                .finish(),
            Self::PickupFailed { conn_path, err } => f
                .debug_struct("PickupFailed")
                .field("conn_path", &conn_path.as_deref().map(redact))
                .field("err", err)
                .finish(),
            Self::Close { why } => f.debug_struct("Close").field("why", why).finish(),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}

#[cfg(test)]
mod tests;
