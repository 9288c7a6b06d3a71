use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::batch::Decoder;
use super::builder::ReaderBuilder;
use super::engine::{Engine, READ};
use super::reader::received;
use super::state::{Block, Polled};

/// A [`Reader`](crate::Reader) for async code: the same decoding, errors and limits.
///
/// The source is polled by the task that reads; decompression happens on threads of the reader's own, never on the
/// runtime's, so that no poll takes long. It needs no particular runtime.
///
/// Cancel safety: reading may be given up at any await and taken up again; nothing is lost.
///
/// ```
/// # async fn demo() -> std::io::Result<()> {
/// use tokio::io::AsyncReadExt;
///
/// let file = tokio::fs::File::open("snapshot.tar.gz").await?;
/// let mut reader = pargzip::AsyncReader::new(file);
/// let mut head = [0; 512];
/// reader.read_exact(&mut head).await?;
/// # Ok(())
/// # }
/// ```
pub struct AsyncReader<R> {
    engine: Engine,
    source: R,
    /// As far as the source is known, it has more at hand.
    soon: bool,
    buffer: Box<[u8]>,
    decoder: Option<Decoder>,
    block: Block,
    at: usize,
}

impl<R: AsyncRead + Unpin> AsyncReader<R> {
    /// A reader with the settings of [`ReaderBuilder::new`].
    pub fn new(source: R) -> Self {
        ReaderBuilder::new().build_async(source)
    }

    pub(super) fn from_builder(source: R, builder: &ReaderBuilder) -> Self {
        Self {
            engine: Engine::new(builder, builder.thread_count()),
            source,
            soon: false,
            buffer: vec![0; READ].into(),
            decoder: None,
            block: Block::default(),
            at: 0,
        }
    }

    /// Where garbage began that was ignored; as [`Reader::trailing_garbage`](crate::Reader::trailing_garbage).
    pub fn trailing_garbage(&self) -> Option<u64> {
        self.engine.garbage()
    }

    /// The source.
    pub fn get_ref(&self) -> &R {
        &self.source
    }

    fn poll_block(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut used = std::mem::take(&mut self.block).data;
        self.at = 0;
        loop {
            match self.engine.poll(std::mem::take(&mut used))? {
                Polled::Block(block) => {
                    self.block = block;
                    return Poll::Ready(Ok(()));
                }
                Polled::End => return Poll::Ready(Ok(())),
                Polled::Blocked => {}
            }
            // Where no thread can be started, better slowly than not at all.
            if self
                .engine
                .work_here(self.decoder.get_or_insert_with(Decoder::new))
            {
                continue;
            }
            if self.engine.shared.wants_input() {
                let mut buffer = ReadBuf::new(&mut self.buffer);
                match Pin::new(&mut self.source).poll_read(context, &mut buffer) {
                    Poll::Ready(Ok(())) => {
                        let len = buffer.filled().len();
                        let (input, more) = received(&self.buffer, len)?;
                        self.soon = len == READ;
                        self.engine.shared.feed(input, more);
                        continue;
                    }
                    Poll::Ready(Err(error)) => {
                        self.engine.shared.fail(error);
                        continue;
                    }
                    Poll::Pending if self.soon => {
                        self.soon = false;
                        self.engine.shared.pause();
                        continue;
                    }
                    Poll::Pending => {}
                }
            }
            if self.engine.register(context) {
                return Poll::Pending;
            }
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for AsyncReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let available = ready!(self.as_mut().poll_fill_buf(context))?;
        let len = available.len().min(buffer.remaining());
        buffer.put_slice(&available[..len]);
        self.as_mut().consume(len);
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead + Unpin> AsyncBufRead for AsyncReader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.at == this.block.len {
            ready!(this.poll_block(context))?;
        }
        Poll::Ready(Ok(&this.block.data[this.at..this.block.len]))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        this.at = (this.at + amount).min(this.block.len);
    }
}

impl<R> fmt::Debug for AsyncReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncReader")
            .field("ready", &(self.block.len - self.at))
            .finish_non_exhaustive()
    }
}
