//! The end of what has been written so far: what is held back, and what ends the file.

use std::ops::Range;

use crate::engine::END;
use crate::layout::{BGZF_END, Layout, TRAILER_LEN};
use crate::member::{FRONT, Output};

/// Goes along with the sink.
///
/// The trailer of the last member is held back until the next one follows, or a flush or the end. So a file whose writer
/// was dropped or killed ends within a member, and no reader takes it for a whole one.
#[derive(Debug)]
pub(crate) struct Tail {
    layout: Layout,
    /// Whether the end is not written if nothing else is.
    empty_output: bool,
    held: Option<[u8; TRAILER_LEN]>,
    /// Something came.
    begun: bool,
    /// Of all that came; for [`Layout::Single`].
    crc: crc32fast::Hasher,
    /// How much that is, modulo 2^32.
    len: u32,
}

impl Tail {
    pub(crate) fn new(layout: Layout, empty_output: bool) -> Self {
        Self {
            layout,
            empty_output,
            held: None,
            begun: false,
            crc: crc32fast::Hasher::new(),
            len: 0,
        }
    }

    /// Which bytes of `output` to write, now that it comes.
    pub(crate) fn follow(&mut self, output: &mut Output) -> Range<usize> {
        let single = self.layout == Layout::Single;
        let bytes = output.with_front();
        let mut end = bytes.len();
        let mut begin = FRONT;
        let mut before = |front: &[u8]| {
            begin = FRONT - front.len();
            bytes[begin..FRONT].copy_from_slice(front);
        };
        if single {
            if !self.begun {
                before(self.layout.header());
            }
        } else {
            if let Some(held) = self.held.take() {
                before(&held);
            }
            self.held = bytes.last_chunk().copied();
            end -= TRAILER_LEN;
        }
        self.begun = true;
        if single {
            self.crc.combine(&output.crc);
            self.len = self.len.wrapping_add(output.input_len as u32);
        }
        begin..end
    }

    /// What is missing for all that came to be readable.
    pub(crate) fn settle(&mut self) -> Vec<u8> {
        self.held.take().map(Vec::from).unwrap_or_default()
    }

    /// What ends the file.
    pub(crate) fn end(&mut self) -> Vec<u8> {
        let mut end = self.settle();
        if !self.begun && self.empty_output {
            return end;
        }
        match self.layout {
            Layout::Bgzf => end.extend_from_slice(&BGZF_END),
            Layout::Single => {
                if !self.begun {
                    end.extend_from_slice(self.layout.header());
                }
                end.extend_from_slice(&END);
                end.extend_from_slice(&self.crc.clone().finalize().to_le_bytes());
                end.extend_from_slice(&self.len.to_le_bytes());
            }
            Layout::Members | Layout::Sized => {}
        }
        end
    }
}
