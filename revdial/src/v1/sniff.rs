//! Which version a server speaks shows in the first byte it sends.

use std::{io, time::Duration};

use bytes::Bytes;
use tokio::{io::AsyncReadExt, time::timeout};

use crate::Stream;

/// What [`sniff`] found. The stream still has the byte that told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Sniffed {
    /// A v1 dialer: give the stream to [`v1::Listener`](super::Listener).
    V1(Stream),
    /// A v2 dialer: give the stream to [`Listener`](crate::Listener).
    V2(Stream),
}

/// Why [`sniff`] cannot tell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SniffError {
    /// Reading failed, or the server closed the connection.
    #[error("server closed the connection before it said anything")]
    Io(#[source] io::Error),
    /// The server sent nothing for this long.
    #[error("server said nothing within {0:?}")]
    Timeout(Duration),
    /// The first byte belongs to no version.
    #[error("server speaks no known version: first byte is {0:#04x}")]
    Unknown(u8),
}

/// Tells by the first byte after the `101` which version the server speaks.
///
/// Old servers ignore the header that asks for v2, so a listener that wants to work with both
/// asks and looks. A v2 server sends a control line at once. A v1 server sends something only
/// when it dials; the Go original asks for `/status` at once. `limit` bounds the wait.
///
/// Cancelling drops the stream.
pub async fn sniff(mut stream: Stream, limit: Duration) -> Result<Sniffed, SniffError> {
    let first = timeout(limit, stream.read_u8()).await;
    let first = first
        .map_err(|_| SniffError::Timeout(limit))?
        .map_err(SniffError::Io)?;
    let stream = stream.unread(Bytes::copy_from_slice(&[first]));
    match first {
        b'{' => Ok(Sniffed::V2(stream)),
        b'N' | b'K' => Ok(Sniffed::V1(stream)),
        other => Err(SniffError::Unknown(other)),
    }
}
