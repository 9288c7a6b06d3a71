//! Byte streams of any origin behind one type.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Anything bytes can be read from and written to: a TCP socket, a TLS session, one half of a
/// [`tokio::io::duplex`] pipe. Implemented for every type that qualifies.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// A boxed [`Io`] that replays bytes which somebody else read ahead before it reads on.
///
/// An HTTP parser reads in blocks, so the first bytes of the protocol that follows a
/// `101 Switching Protocols` are often in its buffer already. A `Stream` keeps them in front.
/// Dropping it closes the connection.
pub struct Stream {
    read_ahead: Bytes,
    io: Box<dyn Io>,
}

impl Stream {
    /// Wraps `io`.
    pub fn new(io: impl Io) -> Self {
        Self::with_read_ahead(io, Bytes::new())
    }

    /// Wraps `io`; `read_ahead` is read before anything `io` still has.
    pub fn with_read_ahead(io: impl Io, read_ahead: Bytes) -> Self {
        Self {
            read_ahead,
            io: Box::new(io),
        }
    }

    /// The transport and the bytes that were read ahead but not yet consumed.
    pub fn into_parts(self) -> (Box<dyn Io>, Bytes) {
        (self.io, self.read_ahead)
    }

    /// The same stream with `bytes` put back in front of what is still to be read.
    pub(crate) fn unread(mut self, bytes: Bytes) -> Self {
        self.read_ahead = if self.read_ahead.is_empty() {
            bytes
        } else {
            [bytes, self.read_ahead].concat().into()
        };
        self
    }

    /// Looks once, without waiting, whether the peer is still there. Bytes found are kept.
    pub(crate) async fn is_alive(&mut self) -> bool {
        if !self.read_ahead.is_empty() {
            return true;
        }
        let mut space = [0_u8; 64];
        let mut buf = ReadBuf::new(&mut space);
        let read =
            std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut self.io).poll_read(cx, &mut buf)))
                .await;
        match read {
            Poll::Pending => true,
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                self.read_ahead = Bytes::copy_from_slice(buf.filled());
                true
            }
            Poll::Ready(_) => false,
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("read_ahead", &self.read_ahead.len())
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read_ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let n = self.read_ahead.len().min(buf.remaining());
        buf.put_slice(&self.read_ahead[..n]);
        self.read_ahead.advance(n);
        if self.read_ahead.is_empty() {
            // Lets go of the HTTP parser's buffer, which may be large.
            self.read_ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn read_ahead_comes_first_and_pieces_keep_their_order() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"three").await.unwrap();
        drop(far);
        let mut stream = Stream::with_read_ahead(near, Bytes::from_static(b"two "))
            .unread(Bytes::from_static(b"one "));
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "one two three");
    }

    #[tokio::test]
    async fn looking_for_life_loses_nothing() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut stream = Stream::new(near);
        assert!(stream.is_alive().await);
        far.write_all(b"early").await.unwrap();
        assert!(stream.is_alive().await);
        drop(far);
        assert!(
            stream.is_alive().await,
            "unread bytes are still worth reading"
        );
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "early");
        assert!(!stream.is_alive().await);
    }
}
