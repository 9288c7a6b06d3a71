//! Byte streams of any origin behind one type.

use std::{
    any::Any,
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    ledger::{Membership, Peer, StreamInfo},
    mux,
};

/// Anything bytes can be read from and written to: a TCP socket, a TLS session, one half of a
/// [`tokio::io::duplex`] pipe. Implemented for every type that qualifies.
pub trait Io: AsyncRead + AsyncWrite + Any + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Any + Unpin + Send> Io for T {}

/// A byte stream: what [`Dialer::dial`](crate::Dialer::dial) and
/// [`Listener::accept`](crate::Listener::accept) give, in every version of the protocol.
///
/// It is a boxed [`Io`] that replays bytes which somebody else read ahead before it reads on: an
/// HTTP parser reads in blocks, so the first bytes of the protocol that follows a
/// `101 Switching Protocols` are often in its buffer already. Wrap your own transports with
/// [`Stream::new`]. Dropping it closes the connection; shutting it down for writing leaves the
/// other direction open.
///
/// Writing may leave bytes with this process while others write or the transport is full. Flushing
/// waits until they have left for the system, shutting down until the stream's end has too: a program may
/// exit after it. Neither waits for the peer to read, and a drop sends everything in its own time.
pub struct Stream {
    read_ahead: Bytes,
    io: Box<dyn Io>,
    number: u64,
    member: Option<Membership>,
}

impl Stream {
    /// Wraps `io`.
    pub fn new(io: impl Io) -> Self {
        Self::with_read_ahead(io, Bytes::new())
    }

    /// Wraps `io`; `read_ahead` is read before anything `io` still has.
    pub fn with_read_ahead(io: impl Io, read_ahead: Bytes) -> Self {
        Self {
            read_ahead: on_its_own(read_ahead),
            io: Box::new(io),
            number: 0,
            member: None,
        }
    }

    /// Stream `number` of a session.
    pub(crate) fn numbered(io: impl Io, number: u64) -> Self {
        let mut stream = Self::new(io);
        stream.number = number;
        stream
    }

    /// The same stream, and a token that is cancelled when it is dropped.
    pub(crate) fn watched(self) -> (Self, CancellationToken) {
        let gone = CancellationToken::new();
        let watched = Watched {
            _guard: gone.clone().drop_guard(),
            io: self,
        };
        (Self::new(watched), gone)
    }

    /// The same stream with another number.
    pub(crate) fn with_number(mut self, number: u64) -> Self {
        self.number = number;
        self
    }

    /// The same stream as part of a session.
    pub(crate) fn with_member(mut self, member: Membership) -> Self {
        self.member = Some(member);
        self
    }

    /// The transport and the bytes that were read ahead but not yet consumed. What
    /// [`info`](Self::info) tells is lost, and in the counts of its session the stream is over.
    pub fn into_parts(self) -> (Box<dyn Io>, Bytes) {
        (self.io, self.read_ahead)
    }

    /// Which session the stream belongs to; `None` if it was made with [`Stream::new`].
    pub fn info(&self) -> Option<StreamInfo> {
        let ledger = self.member.as_ref()?.ledger();
        Some(StreamInfo {
            version: ledger.version,
            number: self.number,
            peer: ledger.peer.clone(),
        })
    }

    /// Who is at the other end; `None` if the stream was made with [`Stream::new`].
    pub fn peer(&self) -> Option<&Peer> {
        self.member.as_ref().map(|member| &member.ledger().peer)
    }

    /// Breaks the stream off: what is not yet sent is not, what was not read is lost, and the peer's
    /// reads and writes fail with [`ConnectionReset`](io::ErrorKind::ConnectionReset) and `reason`,
    /// cut to 255 bytes. Versions 1 and 2 have no words for it: there it is a drop.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use revdial::{Dialer, Listener, Stream, mux::Config};
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    /// # let (here, there) = duplex(1024);
    /// # let dialer = Dialer::mux(Stream::new(here), Config::default());
    /// # let mut listener = Listener::mux(Stream::new(there), Config::default());
    /// let mut upload = dialer.dial().await?;
    /// upload.write_all(b"half a file").await?;
    /// upload.reset("the disk cannot be read");
    ///
    /// let mut received = Vec::new();
    /// let error = listener.accept().await?.read_to_end(&mut received).await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    /// assert!(error.to_string().ends_with("the disk cannot be read"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn reset(self, reason: &str) {
        let io: &dyn Any = &*self.io;
        if let Some(io) = io.downcast_ref::<mux::stream::Io>() {
            io.reset(reason);
        }
    }

    /// The same stream with `bytes` put back in front of what is still to be read.
    pub(crate) fn unread(mut self, bytes: Bytes) -> Self {
        self.read_ahead = if self.read_ahead.is_empty() {
            on_its_own(bytes)
        } else {
            [bytes, self.read_ahead].concat().into()
        };
        self
    }

    fn count(&self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        if let (Ok(n), Some(member)) = (&written, &self.member) {
            member.wrote(*n);
        }
        Poll::Ready(written)
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

/// A few bytes, or none, must not keep the parser's whole buffer alive while the stream idles.
fn on_its_own(bytes: Bytes) -> Bytes {
    const FEW: usize = 1024;
    if bytes.len() <= FEW {
        Bytes::copy_from_slice(&bytes)
    } else {
        bytes
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("info", &self.info())
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
        let before = buf.filled().len();
        if self.read_ahead.is_empty() {
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        } else {
            let n = self.read_ahead.len().min(buf.remaining());
            buf.put_slice(&self.read_ahead[..n]);
            self.read_ahead.advance(n);
            if self.read_ahead.is_empty() {
                // Lets go of the HTTP parser's buffer, which may be large.
                self.read_ahead = Bytes::new();
            }
        }
        if let Some(member) = &self.member {
            member.read(buf.filled().len() - before);
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
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf));
        self.count(written)
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
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs));
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// A transport whose end is awaited. The fields are dropped in this order.
struct Watched {
    io: Stream,
    _guard: DropGuard,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
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
