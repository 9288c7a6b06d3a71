use std::io::Write;
use std::thread;

use crate::pipeline::Settings;
use crate::writer::Writer;

/// The usual chunk: 1 MiB, as in the Go original. Smaller chunks compress a little less (64 KiB: some 4 %), larger ones
/// gain nothing.
pub const DEFAULT_CHUNK_SIZE: usize = 1 << 20;

/// The largest chunk: 1 GiB.
pub const MAX_CHUNK_SIZE: usize = 1 << 30;

/// The most compressing threads.
pub const MAX_THREADS: usize = 256;

/// How to compress; makes [`Writer`]s.
#[derive(Debug, Clone)]
pub struct Builder {
    level: u32,
    threads: usize,
    chunk_size: usize,
    empty_output: bool,
}

impl Builder {
    /// Level 6, one thread for each CPU, chunks of [`DEFAULT_CHUNK_SIZE`].
    pub fn new() -> Self {
        Self {
            level: 6,
            threads: 0,
            chunk_size: DEFAULT_CHUNK_SIZE,
            empty_output: false,
        }
    }

    /// From 0, which only stores, and 1, fast, to 9, small. Larger numbers are taken as 9.
    #[must_use]
    pub fn level(mut self, level: u32) -> Self {
        self.level = level.min(9);
        self
    }

    /// How many threads compress, at most [`MAX_THREADS`]; 0 means one for each CPU. One more thread writes to the sink.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.min(MAX_THREADS);
        self
    }

    /// Bytes of input in each member but the last, from 1 to [`MAX_CHUNK_SIZE`]; numbers outside are taken as the nearest.
    #[must_use]
    pub fn chunk_size(mut self, bytes: usize) -> Self {
        self.chunk_size = bytes.clamp(1, MAX_CHUNK_SIZE);
        self
    }

    /// Whether no input gives no output at all, as the Go original does. That is not a gzip file: by default no input
    /// gives one empty member.
    #[must_use]
    pub fn empty_output(mut self, empty: bool) -> Self {
        self.empty_output = empty;
        self
    }

    /// A writer that compresses into `sink`. The sink is written to by another thread, in large pieces.
    pub fn build<W: Write + Send + 'static>(&self, sink: W) -> Writer<W> {
        let threads = match self.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let settings = Settings {
            level: self.level,
            threads: threads.min(MAX_THREADS),
            chunk_size: self.chunk_size,
        };
        Writer::new(sink, settings, self.empty_output)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}
