use std::io::Write;
use std::thread;

use crate::Layout;
use crate::layout::BGZF_BLOCK;
use crate::pipeline::Settings;
use crate::writer::Writer;

/// The usual chunk: 1 MiB, as in the Go original. Smaller chunks compress a little less (64 KiB: some 4 %), larger ones
/// gain nothing.
pub const DEFAULT_CHUNK_SIZE: usize = 1 << 20;

/// The largest chunk: 1 GiB.
pub const MAX_CHUNK_SIZE: usize = 1 << 30;

/// The most compressing threads.
pub const MAX_THREADS: usize = 256;

/// The level of a new [`Builder`].
pub const DEFAULT_LEVEL: u32 = 6;

/// The slowest and smallest level.
pub const MAX_LEVEL: u32 = 12;

/// How to compress; makes [`Writer`]s.
#[derive(Debug, Clone)]
pub struct Builder {
    level: u32,
    threads: usize,
    chunk_size: usize,
    layout: Layout,
    empty_output: bool,
}

impl Builder {
    /// Level 6, one thread for each CPU, chunks of [`DEFAULT_CHUNK_SIZE`].
    pub fn new() -> Self {
        Self {
            level: DEFAULT_LEVEL,
            threads: 0,
            chunk_size: DEFAULT_CHUNK_SIZE,
            layout: Layout::default(),
            empty_output: false,
        }
    }

    /// From 0, which only stores, and 1, fast, to [`MAX_LEVEL`], small. Larger numbers are taken as that.
    ///
    /// With the feature `libdeflate`, levels from 10 on need some 10 MB more for each thread. Without it, and in the
    /// layout [`Single`](Layout::Single), they are the same as 9.
    #[must_use]
    pub fn level(mut self, level: u32) -> Self {
        self.level = level.min(MAX_LEVEL);
        self
    }

    /// How many threads compress, at most [`MAX_THREADS`]; 0 means one for each CPU.
    ///
    /// The caller's is one of them: where a [`Writer`] would have to wait for the others, it compresses a chunk itself.
    /// The others are the writer's own. (An `AsyncWriter` has all of them started, not to hold up its task.)
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.min(MAX_THREADS);
        self
    }

    /// Bytes of input that are compressed at a time, from 1 to [`MAX_CHUNK_SIZE`]; numbers outside are taken as the
    /// nearest. Each member but the last holds as many, except in the layout [`Bgzf`](Layout::Bgzf), where a chunk is so
    /// many blocks of 65,280 bytes as fit, but at least one.
    #[must_use]
    pub fn chunk_size(mut self, bytes: usize) -> Self {
        self.chunk_size = bytes.clamp(1, MAX_CHUNK_SIZE);
        self
    }

    /// How the output is cut into members.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Whether no input gives no output at all, as the Go original does. That is not a gzip file: by default no input
    /// gives one empty member.
    #[must_use]
    pub fn empty_output(mut self, empty: bool) -> Self {
        self.empty_output = empty;
        self
    }

    /// A writer that compresses into `sink`. With more than one thread, they write to it, one at a time.
    pub fn build<W: Write + Send + 'static>(&self, sink: W) -> Writer<W> {
        Writer::new(sink, self.settings())
    }

    /// A writer that compresses into an asynchronous `sink`.
    #[cfg(feature = "tokio")]
    pub fn build_async<W: tokio::io::AsyncWrite + Unpin>(&self, sink: W) -> crate::AsyncWriter<W> {
        crate::AsyncWriter::new(sink, self.settings())
    }

    fn settings(&self) -> Settings {
        let threads = match self.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let chunk_size = match self.layout {
            Layout::Bgzf => (self.chunk_size / BGZF_BLOCK).max(1) * BGZF_BLOCK,
            _ => self.chunk_size,
        };
        Settings {
            level: self.level,
            threads: threads.min(MAX_THREADS),
            chunk_size,
            layout: self.layout,
            empty_output: self.empty_output,
        }
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}
