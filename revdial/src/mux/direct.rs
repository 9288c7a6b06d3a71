//! Data on its way from a writer's own memory to the transport.

use std::io::IoSlice;

use super::frame::{Dialect, HEADER_LEN, Header, MAX_PAYLOAD};

/// The most that one call of a writer sends so.
pub(super) const DIRECT: usize = MOST * PART;

/// Payloads of the mux that need more than one frame are cut into these: a power of two, as the
/// buffers of readers and writers mostly are. In version 1 all frames are as long as the
/// original's.
const PART: usize = 32 * 1024;

/// Frames of one call.
const MOST: usize = 8;

/// A payload as frames, without a copy of it.
pub(super) struct Frames<'a> {
    pub(super) id: u32,
    pub(super) payload: &'a [u8],
    heads: [[u8; HEADER_LEN]; MOST],
    /// Of each frame but the last one.
    part: usize,
}

impl<'a> Frames<'a> {
    /// Slices that [`slices`](Self::slices) fills at most.
    pub(super) const SLICES: usize = 2 * MOST;

    /// `payload` is not empty and at most [`DIRECT`] long.
    pub(super) fn new(dialect: Dialect, id: u32, payload: &'a [u8]) -> Self {
        let part = match dialect {
            Dialect::Mux if payload.len() > MAX_PAYLOAD => PART,
            _ => payload.len().min(MAX_PAYLOAD),
        };
        let mut heads = [[0; HEADER_LEN]; MOST];
        for (head, part) in heads.iter_mut().zip(payload.chunks(part)) {
            *head = Header::data(id, part.len()).to_bytes();
        }
        Self {
            id,
            payload,
            heads,
            part,
        }
    }

    /// All bytes, headers included.
    pub(super) fn len(&self) -> usize {
        self.payload.len() + self.payload.len().div_ceil(self.part) * HEADER_LEN
    }

    /// Everything after the first `written` bytes, header and payload in turns.
    fn after(&self, written: usize) -> impl Iterator<Item = &[u8]> {
        let whole = self.part + HEADER_LEN;
        let mut skip = written % whole;
        self.heads
            .iter()
            .zip(self.payload.chunks(self.part))
            .skip(written / whole)
            .flat_map(|(head, part)| [&head[..], part])
            .filter_map(move |slice| {
                let from = skip.min(slice.len());
                skip -= from;
                (from < slice.len()).then(|| &slice[from..])
            })
    }

    /// Copies all bytes to the front of `space`, which has room for them; gives how many.
    pub(super) fn copy_to(&self, space: &mut [u8]) -> usize {
        let mut end = 0;
        for (head, part) in self.heads.iter().zip(self.payload.chunks(self.part)) {
            for slice in [&head[..], part] {
                space[end..end + slice.len()].copy_from_slice(slice);
                end += slice.len();
            }
        }
        end
    }

    /// Fills `slots` with what is left after `written` bytes; gives how many.
    pub(super) fn slices<'b>(&'b self, written: usize, slots: &mut [IoSlice<'b>]) -> usize {
        let mut filled = 0;
        for (slot, slice) in slots.iter_mut().zip(self.after(written)) {
            *slot = IoSlice::new(slice);
            filled += 1;
        }
        filled
    }

    /// The payload of all frames that the first `written` bytes have begun, and the rest of the
    /// last of them.
    pub(super) fn begun(&self, written: usize) -> (usize, impl Iterator<Item = &[u8]>) {
        let whole = self.part + HEADER_LEN;
        let payload = (written.div_ceil(whole) * self.part).min(self.payload.len());
        // At most a header and its payload, and if one of the two is cut, no more than that.
        let mut open = written.next_multiple_of(whole).min(self.len()) - written;
        let rest = self.after(written).map_while(move |slice| {
            let slice = &slice[..open.min(slice.len())];
            open -= slice.len();
            (!slice.is_empty()).then_some(slice)
        });
        (payload, rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined<'a>(slices: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        slices.flatten().copied().collect()
    }

    proptest! {
        #[test]
        fn however_much_is_written_the_frames_are_whole_in_the_end(
            len in prop_oneof![1_usize..20, 65_500_usize..65_600, 1..=DIRECT],
            share in 0.0..=1.0_f64,
            mux in any::<bool>(),
        ) {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let dialect = if mux { Dialect::Mux } else { Dialect::V1 };
            let frames = Frames::new(dialect, 7, &payload);
            let all = joined(frames.after(0));
            prop_assert_eq!(all.len(), frames.len());

            let written = (share * all.len() as f64) as usize;
            let (begun, rest) = frames.begun(written);
            let mut sent = all[..written].to_vec();
            sent.extend(joined(rest));
            prop_assert!(all.starts_with(&sent));
            let mut found = Vec::new();
            let mut left = &sent[..];
            while let Some((head, tail)) = left.split_first_chunk() {
                let len = usize::from(Header::from_bytes(*head).len);
                found.extend_from_slice(&tail[..len]);
                left = &tail[len..];
            }
            prop_assert!(left.is_empty());
            prop_assert_eq!(&found[..], &payload[..begun]);
            prop_assert_eq!(written == 0, begun == 0);
        }
    }
}
