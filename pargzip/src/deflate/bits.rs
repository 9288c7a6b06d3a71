//! Writing bits, the first into the lowest bit of a byte, as RFC 1951 section 3.1.1 has it.

/// The most that can be written at once.
pub(super) const MOST_BITS: u32 = 56;

/// Puts bits into a slice. What does not fit is dropped: callers know beforehand what they are going to write.
pub(super) struct BitWriter<'a> {
    output: &'a mut [u8],
    /// Whole bytes written.
    at: usize,
    pending: u64,
    /// How many bits are pending: at most 7, between calls.
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(output: &'a mut [u8]) -> Self {
        Self {
            output,
            at: 0,
            pending: 0,
            count: 0,
        }
    }

    /// Bits written so far.
    pub(super) fn len(&self) -> usize {
        8 * self.at + self.count as usize
    }

    /// Bits there is room for in all.
    pub(super) fn capacity(&self) -> usize {
        8 * self.output.len()
    }

    /// Writes the lowest `count` bits, at most [`MOST_BITS`], of `bits`, whose other bits are 0.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        self.pending |= bits << self.count;
        self.count += count;
        // All eight bytes are stored, and some of them again with the next bits: no branch depends on the count.
        let bytes = self.pending.to_le_bytes();
        if let Some(place) = self
            .output
            .get_mut(self.at..)
            .and_then(|rest| rest.first_chunk_mut::<8>())
        {
            *place = bytes;
        } else {
            self.put_last(bytes);
        }
        self.at += (self.count >> 3) as usize;
        self.pending >>= self.count & 0x38;
        self.count &= 7;
    }

    /// As many bytes as there is room for.
    #[cold]
    fn put_last(&mut self, bytes: [u8; 8]) {
        for (place, byte) in self.output.iter_mut().skip(self.at).zip(bytes) {
            *place = byte;
        }
    }

    /// Fills up the last byte.
    pub(super) fn align(&mut self) {
        self.put(0, (8 - self.count) & 7);
    }

    /// Writes whole bytes, at the beginning of one.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if let Some(place) = self.output.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    /// Ends with a whole byte, and tells how many there are.
    pub(super) fn finish(mut self) -> usize {
        self.align();
        self.at
    }
}
