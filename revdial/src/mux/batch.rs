//! Bytes on their way: received ones waiting for a reader, frames waiting for the transport.

use std::{collections::VecDeque, io::IoSlice, mem};

use bytes::{Buf, BytesMut};

use super::frame::{HEADER_LEN, Header};

/// Pieces from this size on are kept where the transport put them; smaller ones are copied, or
/// a few bytes would hold on to a whole read buffer.
const KEEP: usize = 16 * 1024;

/// The largest buffer that small pieces share.
const SHARED: usize = 16 * 1024;

/// Buffers for reuse while there is much to write: fresh memory costs as much as the write.
#[derive(Debug, Default)]
pub(super) struct Pool(Vec<BytesMut>);

impl Pool {
    const KEPT: usize = 8;

    fn take(&mut self, room: usize) -> BytesMut {
        if room >= KEEP {
            // The newest first: it is in the processor's cache.
            for at in (0..self.0.len()).rev() {
                if self.0[at].try_reclaim(room) {
                    return self.0.swap_remove(at);
                }
            }
        }
        BytesMut::with_capacity(room)
    }

    /// Takes back what `batch` has written.
    pub(super) fn refill(&mut self, batch: &mut Batch) {
        self.0.append(&mut batch.done);
        let surplus = self.0.len().saturating_sub(Self::KEPT);
        self.0.drain(..surplus);
    }

    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

/// Bytes of a stream that wait. Small while there are none, as most streams are idle.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    first: BytesMut,
    /// What comes after a first piece that is not empty.
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    pieces: VecDeque<BytesMut>,
    len: usize,
}

impl Backlog {
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.more.as_ref().map_or(0, |more| more.len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    pub(super) fn push(&mut self, data: BytesMut) {
        if data.len() < KEEP {
            self.copy(&data, &mut Pool::default());
        } else {
            self.append(data);
        }
    }

    fn append(&mut self, data: BytesMut) {
        if self.first.is_empty() {
            self.first = data;
        } else {
            let more = self.more.get_or_insert_default();
            more.len += data.len();
            more.pieces.push_back(data);
        }
    }

    pub(super) fn pop(&mut self) -> Option<BytesMut> {
        if self.first.is_empty() {
            return None;
        }
        let mut next = BytesMut::new();
        if let Some(more) = &mut self.more {
            match more.pieces.pop_front() {
                Some(piece) => {
                    more.len -= piece.len();
                    next = piece;
                }
                None => self.more = None,
            }
        }
        Some(mem::replace(&mut self.first, next))
    }

    /// Copies `bytes` to the end, into memory from `pool` if it is much.
    pub(super) fn copy(&mut self, bytes: &[u8], pool: &mut Pool) {
        if bytes.is_empty() {
            return;
        }
        // A kept piece has no room to spare.
        let fits = |piece: &BytesMut| piece.capacity() - piece.len() >= bytes.len();
        if let Some(more) = &mut self.more
            && let Some(last) = more.pieces.back_mut()
        {
            if fits(last) {
                last.extend_from_slice(bytes);
                more.len += bytes.len();
                return;
            }
        } else if !self.first.is_empty() && fits(&self.first) {
            self.first.extend_from_slice(bytes);
            return;
        }
        let room = self.len().clamp(64, SHARED).max(bytes.len());
        let mut chunk = pool.take(room);
        chunk.extend_from_slice(bytes);
        self.append(chunk);
    }

    /// The next bytes, at most `most`.
    pub(super) fn take(&mut self, most: usize) -> Option<BytesMut> {
        if self.first.len() <= most {
            return self.pop();
        }
        Some(self.first.split_to(most))
    }

    /// Lets everything go; tells how much it was.
    pub(super) fn clear(&mut self) -> usize {
        mem::take(self).len()
    }
}

/// Frames that are about to be written, as far as they are not written yet.
#[derive(Debug, Default)]
pub struct Batch {
    parts: VecDeque<BytesMut>,
    len: usize,
    /// Large buffers that are written, for reuse.
    done: Vec<BytesMut>,
}

impl Batch {
    /// Buffers handed to one vectored write.
    const SLICES: usize = 32;

    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes still to be written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `slices` with what comes first; gives the part that was filled.
    pub fn slices<'a, 'b>(&'a self, slices: &'b mut [IoSlice<'a>]) -> &'b [IoSlice<'a>] {
        let mut filled = 0;
        for (slot, part) in slices.iter_mut().zip(&self.parts) {
            *slot = IoSlice::new(part);
            filled += 1;
        }
        &slices[..filled]
    }

    /// Space for [`slices`](Self::slices).
    pub fn slots<'a>() -> [IoSlice<'a>; Self::SLICES] {
        [IoSlice::new(&[]); Self::SLICES]
    }

    /// Forgets the first `written` bytes.
    pub fn advance(&mut self, mut written: usize) {
        self.len = self.len.saturating_sub(written);
        while let Some(part) = self.parts.front_mut() {
            if written < part.len() {
                part.advance(written);
                return;
            }
            written -= part.len();
            if let Some(mut part) = self.parts.pop_front()
                && part.len() >= 1024
            {
                part.clear();
                self.done.push(part);
            }
        }
    }

    /// Copies `bytes` to the end.
    pub(super) fn copy(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.len += bytes.len();
        match self.parts.back_mut() {
            Some(last) if last.capacity() - last.len() >= bytes.len() => {
                last.extend_from_slice(bytes);
            }
            _ => {
                // Room for the headers that often follow.
                let mut part = BytesMut::with_capacity(bytes.len().max(16 * HEADER_LEN));
                part.extend_from_slice(bytes);
                self.parts.push_back(part);
            }
        }
    }

    pub(super) fn header(&mut self, header: Header) {
        self.copy(&header.to_bytes());
    }

    pub(super) fn data(&mut self, data: BytesMut) {
        if data.len() < 1024 {
            self.copy(&data);
        } else {
            self.len += data.len();
            self.parts.push_back(data);
        }
    }
}
