//! Collects what is written into full chunks.

use std::io::{self, Read};
use std::thread;

use crate::engine::WINDOW;
use crate::layout::Layout;
use crate::member::Chunk;
use crate::pipeline::Settings;

/// Below this a chunk's buffer grows with its content; above, it is allocated whole.
const SMALL: usize = 64 << 10;

pub(crate) struct Chunker {
    settings: Settings,
    chunk: Chunk,
    /// The end of what was taken, for [`Layout::Single`].
    window: Vec<u8>,
    /// A chunk has been handed over.
    begun: bool,
    total: u64,
    unfinished: Unfinished,
}

/// Tells of a writer that was dropped before its end.
struct Unfinished(bool);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.0 && !thread::panicking() {
            tracing::error!("a gzip writer was dropped without `finish`: its output is cut off");
        }
    }
}

impl Chunker {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            chunk: Chunk::default(),
            window: Vec::new(),
            begun: false,
            total: 0,
            unfinished: Unfinished(true),
        }
    }

    /// The end has come, and its success is the caller's to see.
    pub(crate) fn finished(&mut self) {
        self.unfinished.0 = false;
    }

    /// Bytes that came so far.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    fn len(&self) -> usize {
        self.chunk.input().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.settings.chunk_size
    }

    fn room(&self) -> usize {
        self.settings.chunk_size - self.len()
    }

    /// Takes as much of `data` as there is room for.
    pub(crate) fn extend(&mut self, data: &[u8]) -> usize {
        let room = self.room();
        let now = &data[..data.len().min(room)];
        if self.len() + now.len() > SMALL {
            self.chunk.bytes.reserve_exact(room);
        }
        self.chunk.bytes.extend_from_slice(now);
        self.total += now.len() as u64;
        now.len()
    }

    /// Reads until the chunk is full, or the reader at its end or failing.
    pub(crate) fn read(&mut self, reader: &mut (impl Read + ?Sized)) -> io::Result<u64> {
        let before = self.len();
        let room = self.room();
        if before > 0 || self.begun {
            self.chunk.bytes.reserve_exact(room);
        }
        let result = reader.take(room as u64).read_to_end(&mut self.chunk.bytes);
        let read = (self.len() - before) as u64;
        self.total += read;
        result.map(|_| read)
    }

    /// The present chunk.
    pub(crate) fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    /// The present chunk, to be handed over. [`Self::give`] is to follow.
    pub(crate) fn take(&mut self) -> Chunk {
        self.begun = true;
        if self.settings.layout == Layout::Single {
            let bytes = &self.chunk.bytes;
            self.window.clear();
            self.window
                .extend_from_slice(&bytes[bytes.len().saturating_sub(WINDOW)..]);
        }
        std::mem::take(&mut self.chunk)
    }

    /// Goes on with another buffer, after [`Self::take`].
    pub(crate) fn give(&mut self, spare: Chunk) {
        self.chunk = spare;
        self.chunk.bytes.clear();
        self.chunk.bytes.extend_from_slice(&self.window);
        self.chunk.dictionary = self.window.len();
    }

    /// Goes on with the same buffer, its content being done with.
    pub(crate) fn reuse(&mut self) {
        self.begun = true;
        let bytes = &mut self.chunk.bytes;
        let begin = match self.settings.layout {
            Layout::Single => bytes.len().saturating_sub(WINDOW),
            _ => bytes.len(),
        };
        bytes.copy_within(begin.., 0);
        bytes.truncate(bytes.len() - begin);
        self.chunk.dictionary = bytes.len();
    }

    /// What is left at the end, which may be an empty chunk if there would be no member without.
    pub(crate) fn last(&mut self) -> Option<Chunk> {
        let needs_member = matches!(self.settings.layout, Layout::Sized | Layout::Members)
            && !self.begun
            && !self.settings.empty_output;
        (!self.is_empty() || needs_member).then(|| self.take())
    }
}
