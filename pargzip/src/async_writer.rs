use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use crate::chunker::Chunker;
use crate::failure::Failure;
use crate::member::Output;
use crate::pipeline::pulled::Pulled;
use crate::pipeline::{Pipeline, Settings};
use crate::tail::Tail;

/// Compresses what is written to it, in parallel, into an asynchronous sink. Made by
/// [`Builder::build_async`](crate::Builder::build_async), with the feature `tokio`.
///
/// Threads of its own compress; the task that writes also carries finished chunks to the sink, whenever it writes, flushes
/// or shuts down. It needs no runtime of a certain kind, and never compresses in the caller's thread.
///
/// **Call [`finish`](Self::finish) or [`shutdown`](AsyncWrite::poll_shutdown) when all has been written.** A
/// writer dropped without logs an error through `tracing`, and leaves a file that every gunzip reports as cut off.
///
/// # Cancellation safety
///
/// `write`, `flush` and `shutdown` may be dropped at any point and called again: a `write` that did not complete has
/// accepted nothing, and no byte reaches the sink twice. (`write_all` is not, as always: one cannot tell how far it came.)
/// A dropped `finish` drops the writer, with all that comes of it.
#[must_use = "what is not finished is cut off"]
pub struct AsyncWriter<W> {
    sink: W,
    tail: Tail,
    chunker: Chunker,
    pipeline: Pipeline<Pulled>,
    /// On its way into the sink.
    leaving: Option<Leaving>,
    state: State,
}

enum Leaving {
    /// What is left of it to write.
    Chunk(Output, Range<usize>),
    /// A trailer that was held back, or the end of the file.
    Rest(Vec<u8>, usize),
}

enum State {
    Open,
    /// The end of the file is on its way.
    Ending,
    /// The sink has everything.
    Ended,
    Failed(Failure),
}

/// How far to carry finished chunks to the sink.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// There is room for another chunk.
    Room,
    /// None is under way.
    Empty,
}

impl<W: AsyncWrite + Unpin> AsyncWriter<W> {
    pub(crate) fn new(sink: W, settings: Settings) -> Self {
        Self {
            sink,
            tail: Tail::new(settings.layout, settings.empty_output),
            chunker: Chunker::new(settings),
            pipeline: Pipeline::new(settings, None),
            leaving: None,
            state: State::Open,
        }
    }

    /// Compresses and writes what is left, flushes the sink, and gives it back without shutting it down.
    ///
    /// # Errors
    ///
    /// The first error of the sink, even if an earlier call has returned it (then with the same kind and text).
    pub async fn finish(mut self) -> io::Result<W> {
        let ended = poll_fn(|cx| self.poll_end(cx)).await;
        // Not before: if this call is dropped, so is a writer without its end.
        self.chunker.finished();
        ended?;
        poll_fn(|cx| Pin::new(&mut self.sink).poll_flush(cx)).await?;
        Ok(self.sink)
    }

    /// Accepts all of `bytes`; saves a copy of every byte of whole chunks, as against `write_all`, and the memory for it.
    /// What is shared so is let go of chunk by chunk, as soon as each has been compressed.
    ///
    /// # Errors
    ///
    /// An error of the sink, as told by `write`.
    ///
    /// # Cancellation safety
    ///
    /// What has been accepted is gone from the beginning of `bytes`. So a call that was dropped can be made again.
    pub async fn write_bytes(&mut self, bytes: &mut Bytes) -> io::Result<()> {
        self.check()?;
        poll_fn(|cx| {
            while !bytes.is_empty() {
                ready!(self.poll_accept(cx, |chunker| chunker.share(bytes)))?;
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Bytes accepted so far.
    pub fn total_in(&self) -> u64 {
        self.chunker.total()
    }

    fn check(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Open => Ok(()),
            State::Failed(failure) => Err(failure.error()),
            State::Ending | State::Ended => Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the gzip file has been ended",
            )),
        }
    }

    /// Keeps an error for the calls to come.
    fn kept<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let mut failure = Failure::new(error);
            let error = failure.error();
            self.state = State::Failed(failure);
            error
        })
    }

    /// Writes what is on its way into the sink.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(leaving) = &mut self.leaving {
            let bytes = leaving.bytes();
            if bytes.is_empty() {
                if let Some(Leaving::Chunk(output, _)) = self.leaving.take() {
                    self.pipeline.written(output);
                }
                break;
            }
            match ready!(Pin::new(&mut self.sink).poll_write(cx, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => leaving.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_carry(&mut self, cx: &mut Context<'_>, until: Until) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_leave(cx))?;
            if until == Until::Room && self.pipeline.has_room() {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.pipeline.poll_take(cx.waker()))? {
                Some(mut output) => {
                    let range = self.tail.follow(&mut output);
                    self.leaving = Some(Leaving::Chunk(output, range));
                }
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Hands the present chunk over as soon as there is room for it.
    fn poll_submit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_carry(cx, Until::Room))?;
        let chunk = self.chunker.take();
        self.chunker.give(self.pipeline.submit_now(chunk)?);
        // Not to wait for: only for the sink not to idle.
        if let Poll::Ready(Err(error)) = self.poll_carry(cx, Until::Empty) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for room for more, and hands it over if it makes a whole chunk.
    fn poll_accept<T>(
        &mut self,
        cx: &mut Context<'_>,
        accept: impl FnOnce(&mut Chunker) -> T,
    ) -> Poll<io::Result<T>> {
        self.check()?;
        if self.chunker.is_full() {
            let result = ready!(self.poll_submit(cx));
            self.kept(result)?;
        }
        let accepted = accept(&mut self.chunker);
        if self.chunker.is_full()
            && let Poll::Ready(result) = self.poll_submit(cx)
        {
            self.kept(result)?;
        }
        Poll::Ready(Ok(accepted))
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.chunker.is_empty() {
            ready!(self.poll_submit(cx))?;
        }
        ready!(self.poll_carry(cx, Until::Empty))?;
        let rest = self.tail.settle();
        if !rest.is_empty() {
            self.leaving = Some(Leaving::Rest(rest, 0));
        }
        self.poll_leave(cx)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Open => {
                let result = ready!(self.poll_last(cx));
                self.kept(result)?;
            }
            State::Ending => {}
            State::Ended => return Poll::Ready(Ok(())),
            State::Failed(failure) => return Poll::Ready(Err(failure.error())),
        }
        let result = ready!(self.poll_leave(cx));
        self.kept(result)?;
        self.state = State::Ended;
        Poll::Ready(Ok(()))
    }

    fn poll_last(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_carry(cx, Until::Room))?;
        if let Some(chunk) = self.chunker.last() {
            self.chunker.give(self.pipeline.submit_now(chunk)?);
        }
        ready!(self.poll_carry(cx, Until::Empty))?;
        self.leaving = Some(Leaving::Rest(self.tail.end(), 0));
        self.state = State::Ending;
        Poll::Ready(Ok(()))
    }
}

impl Leaving {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Chunk(output, range) => output.bytes(range.clone()),
            Self::Rest(rest, begin) => &rest[*begin..],
        }
    }

    fn advance(&mut self, by: usize) {
        match self {
            Self::Chunk(_, range) => range.start += by,
            Self::Rest(_, begin) => *begin += by,
        }
    }
}

/// An error of the sink is returned by the first call that comes after it, and by all that follow.
impl<W: AsyncWrite + Unpin> AsyncWrite for AsyncWriter<W> {
    /// Accepts bytes; waits while the chunks under way are as many as allowed.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_accept(cx, |chunker| chunker.extend(data))
    }

    /// Ends the present chunk, waits until it and all before it are in the sink, and flushes that. Each flush costs
    /// compression.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Open => {
                let result = ready!(self.poll_rest(cx));
                self.kept(result)?;
            }
            State::Failed(failure) => return Poll::Ready(Err(failure.error())),
            State::Ending | State::Ended => ready!(self.poll_end(cx))?,
        }
        let result = ready!(Pin::new(&mut self.sink).poll_flush(cx));
        Poll::Ready(self.kept(result))
    }

    /// Ends the file and shuts the sink down.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_end(cx))?;
        self.chunker.finished();
        let result = ready!(Pin::new(&mut self.sink).poll_shutdown(cx));
        Poll::Ready(self.kept(result))
    }
}

impl<W> fmt::Debug for AsyncWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncWriter")
            .field("pipeline", &self.pipeline)
            .field("total_in", &self.chunker.total())
            .finish_non_exhaustive()
    }
}
