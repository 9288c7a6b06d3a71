//! Collects what is written into full chunks.

use std::io::{self, Read};
use std::thread;

use bytes::{Buf, Bytes};

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

    /// Makes room for `len` bytes in all: as many as a small input has, or all there may be.
    fn reserve(&mut self, len: usize) {
        let most = self.settings.chunk_size;
        self.chunk.buffer.reserve(match len {
            ..=SMALL => most.min(SMALL),
            _ => most,
        });
    }

    /// Takes as much of `data` as there is room for.
    pub(crate) fn extend(&mut self, data: &[u8]) -> usize {
        let now = &data[..data.len().min(self.room())];
        self.reserve(self.len() + now.len());
        self.chunk.buffer.extend(now);
        self.total += now.len() as u64;
        now.len()
    }

    /// Takes the beginning off `bytes`, as much as there is room for: a whole chunk as it is, less by copying.
    pub(crate) fn share(&mut self, bytes: &mut Bytes) {
        let whole = self.settings.chunk_size;
        if self.is_empty() && bytes.len() >= whole {
            self.chunk.shared = Some(bytes.split_to(whole));
            self.total += whole as u64;
        } else {
            let accepted = self.extend(bytes);
            bytes.advance(accepted);
        }
    }

    /// Reads until the chunk is full, or the reader at its end or failing.
    pub(crate) fn read(&mut self, reader: &mut (impl Read + ?Sized)) -> io::Result<u64> {
        let before = self.len();
        let mut result = Ok(1);
        while let Ok(1..) = result
            && !self.is_full()
        {
            // What follows one chunk is likely to fill another.
            let begun = self.begun || !self.is_empty();
            self.reserve(if begun { self.settings.chunk_size } else { 1 });
            result = self.chunk.buffer.read(reader, self.room());
        }
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
        self.end_chunk();
        std::mem::take(&mut self.chunk)
    }

    /// Goes on with another buffer, after [`Self::take`].
    pub(crate) fn give(&mut self, spare: Chunk) {
        self.chunk = spare;
        self.chunk.clear();
        self.chunk.dictionary.clone_from(&self.window);
    }

    /// Goes on with the same buffer, its content being done with.
    pub(crate) fn reuse(&mut self) {
        let chunk = self.take();
        self.give(chunk);
    }

    fn end_chunk(&mut self) {
        self.begun = true;
        if self.settings.layout == Layout::Single {
            let input = self.chunk.input();
            let passed = (self.window.len() + input.len()).saturating_sub(WINDOW);
            self.window.drain(..passed.min(self.window.len()));
            let from = input.len().saturating_sub(WINDOW);
            self.window.extend_from_slice(&input[from..]);
        }
    }

    /// What is left at the end, which may be an empty chunk if there would be no member without.
    pub(crate) fn last(&mut self) -> Option<Chunk> {
        let needs_member = matches!(self.settings.layout, Layout::Sized | Layout::Members)
            && !self.begun
            && !self.settings.empty_output;
        (!self.is_empty() || needs_member).then(|| self.take())
    }
}
