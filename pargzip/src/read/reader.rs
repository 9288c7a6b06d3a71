use std::fmt;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::thread;

use super::batch::Decoder;
use super::builder::ReaderBuilder;
use super::engine::{Engine, READ, Shared};
use super::split::More;
use super::state::{Block, Polled};

/// Decompresses what a source holds: gzip data of one member or many, by whomever they were made.
///
/// Members that tell their length in their header (the layouts [`Sized`](crate::Layout::Sized) and
/// [`Bgzf`](crate::Layout::Bgzf), `bgzip`, `mgzip`), and small ones whose end can be guessed (the Go original's, `pigz -i`),
/// are decompressed whole, several at once. Others go through a streaming decoder in order, one thread for it. Checksums
/// and lengths are always checked; a header that lies about its length costs speed, nothing else.
///
/// # What can be relied on
///
/// * What can be decompressed of the bytes that the source has given is delivered before the source is asked for more in
///   a way that could block, with one exception: a member that tells its length is awaited whole.
/// * Memory is bounded whatever the input, see [`max_member`](ReaderBuilder::max_member). Limits on output:
///   [`max_output`](ReaderBuilder::max_output), [`max_ratio`](ReaderBuilder::max_ratio).
/// * The same bytes give the same output and the same [`ReadError`](crate::ReadError), with any number of threads. Only
///   where deflate data are broken, or grow too fast, may one come a little further than another.
///
/// # Errors
///
/// [`ReadError`](crate::ReadError)s stay: each later call returns the same. Errors of the source come after all that could
/// be decompressed of what it gave, and nothing follows them. An interrupted read is repeated, and a reader without
/// threads (see [`build_local`](ReaderBuilder::build_local)) passes [`WouldBlock`](io::ErrorKind::WouldBlock) on and can
/// be asked again.
///
/// Dropping a reader ends its threads; the one that reads the source, when the source has answered.
pub struct Reader<R> {
    engine: Engine,
    /// `None` once another thread reads it.
    source: Option<R>,
    /// Starts that thread.
    hand_over: Option<HandOver<R>>,
    threads: usize,
    buffer: Vec<u8>,
    fed: usize,
    decoder: Option<Decoder>,
    block: Block,
    at: usize,
}

type HandOver<R> = fn(R, Arc<Shared>) -> io::Result<()>;

impl<R: Read + Send + 'static> Reader<R> {
    /// A reader with the settings of [`ReaderBuilder::new`].
    ///
    /// ```
    /// # use std::io::{Read, Write};
    /// # let mut writer = pargzip::Builder::new().build(Vec::new());
    /// # writer.write_all(b"hello")?;
    /// # let compressed = writer.finish()?;
    /// let mut text = String::new();
    /// pargzip::Reader::new(std::io::Cursor::new(compressed)).read_to_string(&mut text)?;
    /// assert_eq!(text, "hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(source: R) -> Self {
        ReaderBuilder::new().build(source)
    }

    pub(super) fn new_parallel(source: R, builder: &ReaderBuilder) -> Self {
        let mut reader = Self::new_local(source, builder);
        reader.threads = builder.thread_count();
        if reader.threads > 1 {
            reader.hand_over = Some(|source, shared| {
                thread::Builder::new()
                    .name("gunzip source".into())
                    .spawn(move || pump(source, &shared))
                    .map(drop)
            });
        }
        reader
    }
}

impl<R: Read> Reader<R> {
    pub(super) fn new_local(source: R, builder: &ReaderBuilder) -> Self {
        Self {
            engine: Engine::new(builder, 0),
            source: Some(source),
            hand_over: None,
            threads: 1,
            buffer: Vec::new(),
            fed: 0,
            decoder: None,
            block: Block::default(),
            at: 0,
        }
    }

    /// Where garbage began that was ignored, in bytes of the source. Known when everything has been read, and only with
    /// [`Trailing::Ignore`](crate::Trailing::Ignore).
    pub fn trailing_garbage(&self) -> Option<u64> {
        self.engine.garbage()
    }

    /// Makes the next block the present one; an empty one at the end.
    fn next_block(&mut self) -> io::Result<()> {
        let mut used = std::mem::take(&mut self.block).data;
        self.at = 0;
        loop {
            match self.engine.poll(std::mem::take(&mut used))? {
                Polled::Block(block) => {
                    self.block = block;
                    return Ok(());
                }
                Polled::End => return Ok(()),
                Polled::Blocked => self.make_progress()?,
            }
        }
    }

    fn make_progress(&mut self) -> io::Result<()> {
        let decoder = self.decoder.get_or_insert_with(Decoder::new);
        if self.engine.work_here(decoder) {
            return Ok(());
        }
        // Little input is not worth a thread.
        if self.fed > READ
            && let Some(hand_over) = self.hand_over
            && let Some(source) = self.source.take()
        {
            self.engine.set_workers(self.threads);
            self.buffer = Vec::new();
            return hand_over(source, self.engine.shared.clone());
        }
        let Some(source) = &mut self.source else {
            self.engine.wait();
            return Ok(());
        };
        if !self.engine.shared.wants_input() {
            return Err(io::Error::other("the decompressor is stuck"));
        }
        self.buffer.resize(READ, 0);
        let (input, more) = match source.read(&mut self.buffer) {
            Ok(len) => received(&self.buffer, len)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            // Of a source that does not block: to be asked again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) => {
                self.engine.shared.fail(error);
                return Ok(());
            }
        };
        self.fed += input.len();
        self.engine.shared.feed(input, more);
        Ok(())
    }
}

/// What a source gave, and what that tells of what it has.
pub(super) fn received(buffer: &[u8], len: usize) -> io::Result<(&[u8], More)> {
    let input = buffer.get(..len).ok_or_else(|| {
        io::Error::other("the source claims to have given more than was asked of it")
    })?;
    let more = match len {
        0 => More::Nothing,
        READ => More::Soon,
        _ => More::Perhaps,
    };
    Ok((input, more))
}

/// Reads the source as far ahead as there is room.
fn pump<R: Read>(mut source: R, shared: &Arc<Shared>) {
    struct OnPanic<'a>(&'a Arc<Shared>);
    impl Drop for OnPanic<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                self.0.fail(io::Error::other("the source panicked"));
            }
        }
    }
    let _guard = OnPanic(shared);
    let mut buffer = vec![0; READ];
    while shared.wait_for_room() {
        match source
            .read(&mut buffer)
            .and_then(|len| received(&buffer, len))
        {
            Ok((input, more)) => shared.feed(input, more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return shared.fail(error),
        }
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let available = self.fill_buf()?;
        let len = available.len().min(buffer.len());
        buffer[..len].copy_from_slice(&available[..len]);
        self.consume(len);
        Ok(len)
    }
}

/// Without copying: what `fill_buf` returns is where it was decompressed to, up to a member at a time.
impl<R: Read> BufRead for Reader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.block.len {
            self.next_block()?;
        }
        Ok(&self.block.data[self.at..self.block.len])
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.block.len);
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("threads", &self.threads)
            .field("ready", &(self.block.len - self.at))
            .finish_non_exhaustive()
    }
}
