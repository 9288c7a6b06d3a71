use std::fmt;

use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};
#[cfg(feature = "libdeflate")]
use memchr::memmem;

use super::split::Span;
use crate::layout::TRAILER_LEN;

/// Members to be decoded whole, and what came out of them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) input: Vec<u8>,
    pub(super) spans: Vec<Span>,
    /// As long as it ever was; what the members gave is at its beginning.
    pub(super) output: Vec<u8>,
    /// How many of the members were what they claimed, from the first on.
    pub(super) good: usize,
}

impl Batch {
    /// Whether everything was as claimed.
    pub(super) fn is_good(&self) -> bool {
        self.good == self.spans.len()
    }

    /// Input and output of the good members.
    pub(super) fn decoded(&self) -> (usize, usize) {
        let good = &self.spans[..self.good];
        (
            good.last().map_or(0, |span| span.start + span.len),
            good.iter().map(|span| span.size).sum(),
        )
    }

    /// Input and output of all members, as they claim.
    pub(super) fn claimed(spans: &[Span]) -> (usize, usize) {
        (
            spans.last().map_or(0, |span| span.start + span.len),
            spans.iter().map(|span| span.size).sum(),
        )
    }
}

/// Decodes whole members; one for each thread.
pub(super) struct Decoder {
    #[cfg(feature = "libdeflate")]
    whole: libdeflater::Decompressor,
    stream: Option<Decompress>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(feature = "libdeflate")]
            whole: libdeflater::Decompressor::new(),
            stream: None,
        }
    }

    /// Decodes the batch up to the first member that is not exactly what it claims.
    ///
    /// A member counts as decoded if its deflate data end right before the last eight bytes of its span and these are
    /// the checksum and length of its output: then it means the same to every other decoder.
    pub(super) fn run(&mut self, batch: &mut Batch) {
        let (_, output) = Batch::claimed(&batch.spans);
        if batch.output.len() < output {
            batch.output.resize(output, 0);
        }
        let mut rest = &mut batch.output[..output];
        batch.good = 0;
        for span in &batch.spans {
            let (output, after) = rest.split_at_mut(span.size);
            let member = &batch.input[span.start..span.start + span.len];
            if !self.member(member, span.header, output) {
                return;
            }
            batch.good += 1;
            rest = after;
        }
    }

    #[cfg(feature = "libdeflate")]
    fn member(&mut self, member: &[u8], header: usize, output: &mut [u8]) -> bool {
        // The library checks the trailer where the deflate data end, but does not tell where that was. The member's length
        // is part of the trailer: where it occurs once only, at the end, the data end there.
        let length = &member[member.len() - 4..];
        if memmem::find(&member[header..member.len() - 1], length).is_some() {
            return self.stream(member, header, output);
        }
        match self.whole.gzip_decompress(member, output) {
            Ok(len) => len == output.len(),
            Err(_) => false,
        }
    }

    #[cfg(not(feature = "libdeflate"))]
    fn member(&mut self, member: &[u8], header: usize, output: &mut [u8]) -> bool {
        self.stream(member, header, output)
    }

    /// By the decoder that tells where it ended.
    fn stream(&mut self, member: &[u8], header: usize, output: &mut [u8]) -> bool {
        let stream = self.stream.get_or_insert_with(|| Decompress::new(false));
        stream.reset(false);
        let (deflate, trailer) = member[header..].split_at(member.len() - header - TRAILER_LEN);
        // One byte of room even if none is wanted, for decoders that do nothing without.
        let mut none = [0];
        let target = if output.is_empty() {
            &mut none[..]
        } else {
            &mut *output
        };
        let status = stream.decompress(deflate, target, FlushDecompress::Finish);
        let mut sum = Hasher::new();
        sum.update(output);
        matches!(status, Ok(Status::StreamEnd))
            && stream.total_in() == deflate.len() as u64
            && stream.total_out() == output.len() as u64
            && trailer[..4] == sum.finalize().to_le_bytes()
            && trailer[4..] == (output.len() as u32).to_le_bytes()
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}
