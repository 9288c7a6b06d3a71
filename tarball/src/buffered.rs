//! A buffered, bounded view on a [`Feed`].

use crate::feed::{Clock, Feed};
use crate::{Limit, Limits, UnpackErrorKind};

pub(crate) struct Buffered<F> {
    feed: F,
    buf: Vec<u8>,
    pos: usize,
    len: usize,
    total: u64,
    limits: Limits,
    clock: Clock,
}

impl<F: Feed> Buffered<F> {
    pub(crate) fn new(feed: F, limits: Limits, clock: Clock) -> Self {
        Self {
            feed,
            buf: vec![0; UNPACKED],
            pos: 0,
            len: 0,
            total: 0,
            limits,
            clock,
        }
    }

    /// Bytes that are there, after reading more if there were none; empty only at the end.
    pub(crate) fn fill(&mut self) -> Result<&[u8], UnpackErrorKind> {
        if self.pos == self.len {
            self.pos = 0;
            self.len = 0;
            self.len = self.feed.fill(&mut self.buf)?;
            self.total = self.total.saturating_add(self.len as u64);
            self.check()?;
        }
        Ok(&self.buf[self.pos..self.len])
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.pos = (self.pos + n).min(self.len);
    }

    /// Bytes that may still be taken before the limit on all bytes is reached.
    pub(crate) fn allowance(&self) -> u64 {
        let taken = self.total - (self.len - self.pos) as u64;
        self.limits.max_bytes.saturating_sub(taken)
    }

    /// Fills `block`; returns how much of it there was.
    pub(crate) fn block(&mut self, block: &mut [u8]) -> Result<usize, UnpackErrorKind> {
        let mut have = 0;
        while have < block.len() {
            let bytes = self.fill()?;
            if bytes.is_empty() {
                break;
            }
            let n = bytes.len().min(block.len() - have);
            block[have..have + n].copy_from_slice(&bytes[..n]);
            self.consume(n);
            have += n;
        }
        Ok(have)
    }

    fn check(&self) -> Result<(), UnpackErrorKind> {
        let Limits {
            max_bytes,
            max_ratio,
            ratio_from,
            ..
        } = self.limits;
        self.clock.check()?;
        if self.total > max_bytes {
            return Err(UnpackErrorKind::limit(Limit::Bytes, max_bytes, None));
        }
        if self.total > ratio_from
            && self
                .feed
                .compressed()
                .is_some_and(|c| self.total > c.saturating_mul(max_ratio))
        {
            return Err(UnpackErrorKind::limit(Limit::Ratio, max_ratio, None));
        }
        Ok(())
    }
}

/// Read-ahead on the unpacked side: most files of a source tree are written from it in one call.
pub(crate) const UNPACKED: usize = 256 << 10;
