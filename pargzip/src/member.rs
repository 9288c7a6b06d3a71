//! Chunks to members: what a worker does.

use std::ops::Range;

use bytes::Bytes;

use crate::buffer::Buffer;
use crate::engine::{self, Engine, Stream, stored_len};
use crate::layout::{BGZF_BLOCK, Layout, TRAILER_LEN};
use crate::sample;

/// Room kept free before each output, for what has to be written first: see [`Tail`](crate::tail::Tail).
pub(crate) const FRONT: usize = 10;

/// Input of one job: a chunk, and for [`Layout::Single`] what lies before it.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) buffer: Buffer,
    /// A whole chunk from elsewhere, in place of what is in the buffer.
    pub(crate) shared: Option<Bytes>,
    pub(crate) dictionary: Vec<u8>,
}

impl Chunk {
    pub(crate) fn input(&self) -> &[u8] {
        match &self.shared {
            Some(bytes) => bytes,
            None => self.buffer.bytes(),
        }
    }

    /// Lets go of the input, and keeps the buffer.
    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
        self.shared = None;
    }
}

/// A compressed chunk. The buffer is never shortened, so that using it again needs no clearing, and what was never written
/// to takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    /// Of the bytes in the buffer; begins at [`FRONT`].
    end: usize,
    /// Of the chunk; for [`Layout::Single`] only.
    pub(crate) crc: crc32fast::Hasher,
    /// Of the chunk.
    pub(crate) input_len: usize,
}

impl Output {
    /// Empties it and makes room for `len` bytes.
    fn begin(&mut self, len: usize) {
        if self.buffer.len() < FRONT + len {
            self.buffer = vec![0; FRONT + len];
        }
        self.end = FRONT;
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// The place for `len` more bytes; [`Self::end`] is to be moved.
    fn room(&mut self, len: usize) -> &mut [u8] {
        &mut self.buffer[self.end..self.end + len]
    }

    /// The compressed bytes, with the place before them.
    pub(crate) fn with_front(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.end]
    }

    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }
}

/// Makes the members of a layout, chunk after chunk.
pub(crate) struct Compressor {
    layout: Layout,
    codec: Codec,
}

enum Codec {
    Whole(Engine),
    /// For [`Layout::Single`]; no stream for level 0.
    Parts(Option<Stream>),
}

impl Compressor {
    pub(crate) fn new(level: u32, layout: Layout) -> Self {
        let codec = match layout {
            Layout::Single => Codec::Parts((level > 0).then(|| Stream::new(level))),
            _ => Codec::Whole(Engine::new(level)),
        };
        Self { layout, codec }
    }

    /// Replaces `output` by what the chunk becomes.
    pub(crate) fn compress(&mut self, chunk: &Chunk, output: &mut Output) {
        let input = chunk.input();
        let store = sample::incompressible(input);
        match &mut self.codec {
            Codec::Parts(stream) => {
                output.begin(stored_len(input.len()));
                let stream = stream.as_ref().filter(|_| !store);
                part(stream, chunk, output);
            }
            Codec::Whole(engine) => {
                let engine = &mut match store {
                    true => None,
                    false => Some(engine),
                };
                let block = match self.layout {
                    Layout::Bgzf => BGZF_BLOCK,
                    _ => input.len().max(1),
                };
                let each = self.layout.header().len() + stored_len(block) + TRAILER_LEN;
                output.begin(each * input.len().div_ceil(block).max(1));
                if input.is_empty() {
                    return member(self.layout, engine, input, output);
                }
                for block in input.chunks(block) {
                    member(self.layout, engine, block, output);
                }
            }
        }
    }
}

/// Adds a member that holds `input`, stored if there is no engine or it is of no use.
fn member(layout: Layout, engine: &mut Option<&mut Engine>, input: &[u8], output: &mut Output) {
    let begin = output.end;
    output.push(layout.header());
    let limit = stored_len(input.len());
    let room = output.room(limit);
    let deflated = engine
        .as_mut()
        .and_then(|engine| engine.deflate(input, room));
    output.end += deflated.unwrap_or_else(|| {
        engine::store(input, room, true);
        limit
    });
    output.push(&crc32(input).to_le_bytes());
    // Modulo 2^32, says the format.
    output.push(&(input.len() as u32).to_le_bytes());
    layout.set_len(&mut output.buffer[begin..output.end]);
}

fn part(stream: Option<&Stream>, chunk: &Chunk, output: &mut Output) {
    let input = chunk.input();
    let limit = stored_len(input.len());
    let room = output.room(limit);
    let deflated = stream.and_then(|stream| stream.part(&chunk.dictionary, input, room));
    output.end += deflated.unwrap_or_else(|| {
        engine::store(input, room, false);
        limit
    });
    output.crc.reset();
    output.crc.update(input);
    output.input_len = input.len();
}

#[cfg(feature = "libdeflate")]
fn crc32(bytes: &[u8]) -> u32 {
    libdeflater::crc32(bytes)
}

#[cfg(not(feature = "libdeflate"))]
fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
