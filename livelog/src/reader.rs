use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;
use tokio::task::coop;

use crate::error::ReadError;
use crate::shared::{End, Fetched, Shared};
use crate::waiters::Ticket;

/// Some bytes of a log.
///
/// `data` is a slice of a buffer that it shares with the log and with other readers; holding it keeps that buffer (at
/// least 64 KiB in a busy log) alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where in the log the chunk begins.
    pub offset: u64,
    /// The bytes; at least one, unless some are `missing`.
    pub data: Bytes,
    /// Usually 0. Otherwise this many bytes at `offset` were dropped by [`Limit::HeadAndTail`](crate::Limit::HeadAndTail),
    /// and `data` is the marker that stands for them. It is no part of the log and does not count for offsets.
    pub missing: u64,
}

impl Chunk {
    /// Where in the log the next chunk begins.
    pub fn end(&self) -> u64 {
        self.offset
            + match self.missing {
                0 => self.data.len() as u64,
                missing => missing,
            }
    }
}

/// What a reader delivers next.
#[derive(Debug)]
enum Piece {
    Data(Bytes),
    /// Lost up to this offset.
    Gap(u64),
}

/// Reads a log from some offset to its end, waiting for what is not there yet.
///
/// A reader is a position and little else. It can be left alone for any time without costing the writer anything, and it
/// can be moved, or dropped in the middle of a wait. How the bytes are divided into chunks means nothing and differs from
/// reader to reader; their concatenation is the same for all.
///
/// Read with [`next`](Self::next), as a [`Stream`], or as [`AsyncRead`]; mixing them is fine.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    /// Of the next byte to deliver.
    offset: u64,
    /// Where to stop, if before the log's end.
    until: Option<u64>,
    ticket: Option<Ticket>,
    /// Answers with bytes at `offset`.
    file_read: Option<oneshot::Receiver<io::Result<Bytes>>>,
    /// Bytes at `offset` that did not fit into an `AsyncRead` buffer.
    left: Bytes,
    /// What did not fit of the marker of a gap that has been passed.
    marker_left: Bytes,
    stream_done: bool,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, offset: u64) -> Self {
        Self {
            shared,
            offset,
            until: None,
            ticket: None,
            file_read: None,
            left: Bytes::new(),
            marker_left: Bytes::new(),
            stream_done: false,
        }
    }

    /// Makes the reader end at offset `end` as if the log had finished there.
    ///
    /// `log.reader().until(log.len())` reads what is there now and does not wait for more.
    #[must_use]
    pub fn until(mut self, end: u64) -> Self {
        self.until = Some(end);
        self
    }

    /// Offset of the next byte; all before it have been delivered. Pass it to [`Log::reader_at`](crate::Log::reader_at)
    /// to go on with another reader.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next bytes, as soon as there are any; `None` at the end of a finished log.
    ///
    /// Cancel safe: no byte is lost if the future is dropped.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. What the log holds is delivered first.
    pub async fn next(&mut self) -> Result<Option<Chunk>, ReadError> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// As [`next`](Self::next), for those who write futures by hand.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, ReadError>> {
        // A reader that lags always finds bytes; without this its task would never give way to others.
        let turn = ready!(coop::poll_proceed(cx));
        let answer = ready!(self.poll_piece(cx));
        turn.made_progress();
        self.marker_left = Bytes::new();
        Poll::Ready(answer.map(|piece| {
            piece.map(|piece| {
                let offset = self.offset;
                let (data, missing) = match piece {
                    Piece::Data(data) => (data, 0),
                    Piece::Gap(end) => (self.shared.gap_marker.clone(), end - offset),
                };
                let chunk = Chunk {
                    offset,
                    data,
                    missing,
                };
                self.offset = chunk.end();
                chunk
            })
        }))
    }

    /// Finds the bytes at `offset` but does not advance.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>, ReadError>> {
        let wanted = match self.until {
            Some(until) => until.saturating_sub(self.offset),
            None => u64::MAX,
        };
        if wanted == 0 {
            return Poll::Ready(Ok(None));
        }
        let at_most = |mut data: Bytes| {
            data.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
            Poll::Ready(Ok(Some(Piece::Data(data))))
        };
        if !self.left.is_empty() {
            return at_most(std::mem::take(&mut self.left));
        }
        loop {
            if let Some(answer) = &mut self.file_read {
                let answer = ready!(Pin::new(answer).poll(cx));
                self.file_read = None;
                return match answer {
                    Ok(Ok(data)) if data.is_empty() => continue,
                    Ok(Ok(data)) => at_most(data),
                    Ok(Err(error)) => Poll::Ready(Err(ReadError::File(Arc::new(error)))),
                    Err(_) => {
                        let error = io::Error::other("the runtime that was to read it has stopped");
                        Poll::Ready(Err(ReadError::File(Arc::new(error))))
                    }
                };
            }
            match ready!(self.shared.poll_fetch(self.offset, &mut self.ticket, cx)) {
                Fetched::Data(data) => return at_most(data),
                Fetched::InFile(len) => match self.shared.file.get() {
                    Some(file) => {
                        let len = (len - self.offset).min(wanted);
                        self.file_read = Some(file.read(self.offset, len));
                    }
                    // Not reached: without a file, nothing leaves memory.
                    None => return Poll::Ready(Err(ReadError::Aborted)),
                },
                Fetched::Lost(end) => {
                    let end = end.min(self.offset.saturating_add(wanted));
                    return Poll::Ready(Ok(Some(Piece::Gap(end))));
                }
                Fetched::Ended(End::Finished) => return Poll::Ready(Ok(None)),
                Fetched::Ended(End::Aborted) => return Poll::Ready(Err(ReadError::Aborted)),
                Fetched::Ended(End::Failed(error)) => {
                    return Poll::Ready(Err(ReadError::Failed(error)));
                }
            }
        }
    }

    /// Skips to the end of the log.
    pub(crate) async fn end(&mut self) -> End {
        loop {
            self.offset = u64::MAX;
            let fetched = poll_fn(|cx| self.shared.poll_fetch(self.offset, &mut self.ticket, cx));
            if let Fetched::Ended(end) = fetched.await {
                return end;
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.stop_waiting(ticket);
        }
    }
}

/// Ends after an error.
impl Stream for Reader {
    type Item = Result<Chunk, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stream_done {
            return Poll::Ready(None);
        }
        let item = ready!(self.poll_chunk(cx)).transpose();
        self.stream_done = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

/// An aborted log ends with [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), a failed one with the writer's error; the
/// [`ReadError`] is inside. The marker of a gap is read like the log's own bytes; what is left of it when somebody goes on
/// with [`next`](Reader::next) is skipped.
impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if !self.marker_left.is_empty() {
                let now = self.marker_left.len().min(into.remaining());
                into.put_slice(&self.marker_left.split_to(now));
                return Poll::Ready(Ok(()));
            }
            let Some(mut chunk) = ready!(self.poll_chunk(cx))? else {
                return Poll::Ready(Ok(()));
            };
            if chunk.missing > 0 {
                self.marker_left = chunk.data;
                continue;
            }
            let now = chunk.data.split_to(chunk.data.len().min(into.remaining()));
            into.put_slice(&now);
            self.offset -= chunk.data.len() as u64;
            self.left = chunk.data;
            return Poll::Ready(Ok(()));
        }
    }
}
