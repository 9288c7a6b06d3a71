//! A small HTTP/1.1 server connection, made for what a worker must do and frameworks do not.
//!
//! - Trailers are sent on every chunked answer. Go clients read them without ever saying `TE: trailers`.
//! - The head of an answer is on the wire before its handler goes on.
//! - A handler learns that the client went away while it is still producing the answer ([`Peer::gone`]).
//! - An answer can be cut off in the middle ([`Abort`]), which is how clients learn that it is incomplete.
//! - Request bodies are pulled, so a slow handler slows the client down.
//!
//! [`serve`] runs one connection; a [`Handler`] is called with one [`Exchange`] per request. Nothing is
//! pipelined: a request is looked at when the one before it is answered.

mod chunks;
mod exchange;
mod head;
mod reply;

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout, timeout_at};

pub use chunks::BodyError;
pub use exchange::{Exchange, Gone, Output, Peer};
pub use head::{BodyLength, Head, HeadError, parse as parse_head};
pub use reply::Reply;

/// Bounds of one connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Longest request head in bytes. Default 64 KiB.
    pub head: usize,
    /// Longest time from the first byte of a head to its last. Default 10 s.
    pub head_time: Duration,
    /// Longest wait for the next request. Default 10 min.
    pub idle: Duration,
    /// Longest wait for the next byte of a request body. Default 2 min.
    pub body_idle: Duration,
    /// Longest time one write may wait for a client that does not read. Default 5 min.
    pub write_stall: Duration,
    /// Most bytes of unread request body that are skipped to keep a connection. Default 256 KiB.
    pub skip: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 64 * 1024,
            head_time: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            body_idle: Duration::from_secs(120),
            write_stall: Duration::from_secs(300),
            skip: 256 * 1024,
        }
    }
}

/// Why a connection was cut without a proper end.
///
/// A handler returns it to make the client see a truncated answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Abort {
    /// The client went away.
    #[error("client went away")]
    Gone,
    /// The client did not read for too long.
    #[error("client stopped reading")]
    Stalled,
    /// The connection failed.
    #[error("connection failed")]
    Io(#[source] std::io::Error),
    /// The handler could not complete what it had begun to send.
    #[error("answer cut off: {0}")]
    Handler(String),
    /// A handler used the exchange out of order, such as a second answer.
    #[error("answer begun twice")]
    Misuse,
}

/// Answers requests.
pub trait Handler<T>: Sync {
    /// Answers one request. An `Err` cuts the connection; `Ok` without an answer sends a 500.
    ///
    /// The future is dropped when the connection is.
    fn handle(&self, exchange: &mut Exchange<T>) -> impl Future<Output = Result<(), Abort>> + Send;
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Either side was done with it.
    Closed,
    /// A handler took it over ([`Exchange::switch`]).
    Switched,
}

/// Serves requests on one connection until it ends. Dropping the future cuts the connection.
pub async fn serve<T, H>(io: T, limits: &Limits, handler: &H) -> Result<Ended, Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler<T>,
{
    let (reader, writer) = tokio::io::split(io);
    let mut wire = Wire {
        reader,
        writer,
        buf: BytesMut::new(),
        eof: false,
    };
    loop {
        let head = match wire.read_head(limits).await {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(Ended::Closed),
            Err(error) => {
                let reply = Reply::error(error.status(), &error.to_string());
                let bytes = reply.encode(reply::Framing::Sized, false, true);
                write_all(&mut wire.writer, &bytes, limits).await?;
                wire.linger(limits).await;
                return Ok(Ended::Closed);
            }
        };
        let mut exchange = Exchange::new(wire, head, limits.clone());
        handler.handle(&mut exchange).await?;
        if !exchange.is_answered() {
            let reply = Reply::error(500, "no answer");
            exchange.reply(reply).await?;
        }
        match exchange.into_wire() {
            exchange::Next::Again(next) => wire = next,
            exchange::Next::Close(mut last) => {
                last.linger(limits).await;
                return Ok(Ended::Closed);
            }
            exchange::Next::Switched => return Ok(Ended::Switched),
        }
    }
}

/// The two halves of a connection and what was read ahead.
#[derive(Debug)]
struct Wire<T> {
    reader: ReadHalf<T>,
    writer: WriteHalf<T>,
    buf: BytesMut,
    eof: bool,
}

impl<T: AsyncRead + AsyncWrite> Wire<T> {
    /// The next head; `None` if the connection ended, or idled out, between requests.
    async fn read_head(&mut self, limits: &Limits) -> Result<Option<Head>, HeadError> {
        let mut searched = 0;
        let mut deadline = None;
        loop {
            // Empty lines before a request are skipped, as RFC 9112 §2.2 asks.
            let blank = self
                .buf
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            if searched == 0 && blank > 0 {
                drop(self.buf.split_to(blank));
            }
            if let Some(end) = head::find_end(&self.buf, searched) {
                if end > limits.head {
                    return Err(HeadError::TooLong(limits.head));
                }
                let bytes = self.buf.split_to(end);
                return head::parse(&bytes).map(Some);
            }
            if self.buf.len() > limits.head {
                return Err(HeadError::TooLong(limits.head));
            }
            searched = self.buf.len();
            if self.eof {
                return if self.buf.is_empty() {
                    Ok(None)
                } else {
                    Err(HeadError::Truncated)
                };
            }
            let until = if self.buf.is_empty() {
                Instant::now() + limits.idle
            } else {
                *deadline.get_or_insert_with(|| Instant::now() + limits.head_time)
            };
            self.buf.reserve(4096);
            match timeout_at(until, self.reader.read_buf(&mut self.buf)).await {
                Ok(Ok(0)) => self.eof = true,
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Ok(None),
                Err(_) if self.buf.is_empty() => return Ok(None),
                Err(_) => return Err(HeadError::Slow),
            }
        }
    }

    /// Ends our side, then reads on for a moment: closing with unread bytes would take back the answer.
    async fn linger(&mut self, limits: &Limits) {
        let ended = timeout(Duration::from_millis(500), async {
            self.writer.shutdown().await?;
            let mut left = limits.skip.max(1);
            while left > 0 && !self.eof {
                self.buf.clear();
                self.buf.reserve(4096);
                let count = self.reader.read_buf(&mut self.buf).await?;
                self.eof = count == 0;
                left = left.saturating_sub(count);
            }
            std::io::Result::Ok(())
        });
        if !matches!(ended.await, Ok(Ok(()))) {
            tracing::trace!("connection did not end in peace");
        }
    }
}

async fn write_all<T: AsyncRead + AsyncWrite>(
    writer: &mut WriteHalf<T>,
    bytes: &[u8],
    limits: &Limits,
) -> Result<(), Abort> {
    let work = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    match timeout(limits.write_stall, work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Abort::Io(error)),
        Err(_) => Err(Abort::Stalled),
    }
}
